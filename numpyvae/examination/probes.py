"""Images to try a loss on, made from the given ones and from the model itself."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..models.posteriors import repeated
from .formulas import NOTICEABLE, kl_formulas
from .subject import Subject

Array = np.ndarray

GIVEN = 6                                         # of the user's images, which all others are made from
TIMES = 3                                         # that one image may be chosen, beside the user's
IMAGES = 24
PILOT = 16                                        # draws that show how noisy an image's NLL is
LEAST_SPREAD = 1e-6                               # of the NLL, relative to its size: float32 knows no less
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)      # of mu, for decoded images


def probes(subject: Subject) -> Array:
    """Darker, brighter, inverted, with their pixels shuffled, blank, full: (IMAGES, D)."""
    x = subject.x[:GIVEN]
    low, high = x.min(), x.max()
    made = [x, low + high - x, 0.5 * (x + low), 0.5 * (x + high), subject.rng.permuted(x, axis=1),
            np.stack([np.full_like(x[0], low), np.full_like(x[0], high)])]
    return _fitting(subject, np.concatenate(made)[-IMAGES:])


def chosen_probes(subject: Subject) -> Array:
    """The images, of many, from which the weight of the KL in a noisy loss is learned in the fewest draws: (IMAGES, D).

    One that tells very much is there more than once.

    For loss = a NLL + b KL + b' KL' + c, with a wrong formula KL' beside the right one, measured for image i with a
    standard error s_i, least squares gives b with the variance

        C_bb,      C = (sum_i v_i v_i^T / s_i^2)^-1,      v_i = (KL_i, KL'_i, NLL_i, 1),

    so an image tells much if its KL is unusual for its NLL and its KL', and if its NLL hardly varies with z.  Decoded
    images are such: the z of q is close to the best one for them, where the NLL is flat, and their KL grows with the
    length of the z that they were decoded from.  Where a bound is all that makes KL' another one, as with free bits,
    the few images that reach it tell all.  And b' and c are 0 if all is right: of (KL_i, NLL_i) alone b is known
    best.  So of all the images, the one without which these variances grow least is dropped, again and again: each
    growth in proportion to its variance, half of their sum that without KL' and c.  Without v v^T, C_bb grows by

        (C v)_b^2 / (1 - v^T C v)                                                  [Sherman and Morrison 1950]
    """
    images = np.concatenate([subject.x[:GIVEN], probes(subject), *([_decoded(subject)] if subject.knows_mean else [])])
    q = subject.q(images)
    nll = np.array([subject.nll(subject.decoded(subject.draw(copies(q, i, PILOT), None)), np.tile(x, (PILOT, 1)))
                    for i, x in enumerate(images)])                           # (images, PILOT)
    right, *wrong = kl_formulas(subject.kl(q), *subject.encoded(images)).values()
    wrong = [kl for kl in wrong if np.ptp(kl - right) >= NOTICEABLE] or wrong    # others differ by a constant
    error = np.maximum(nll.std(axis=1), LEAST_SPREAD * np.abs(nll).max()) + np.finfo(float).tiny
    zero, one = np.zeros_like(right), np.ones_like(right)
    rows = np.array([[right, zero, nll.mean(axis=1), zero], *([right, kl, nll.mean(axis=1), one] for kl in wrong)])
    rows = rows.swapaxes(1, 2)                                                # (formulas, images, 4)
    rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(float).tiny) * error[:, None]
    weight = np.array([len(wrong), *np.ones(len(wrong))])[:, None]
    kept = np.concatenate([np.arange(len(images)), np.repeat(np.arange(GIVEN, len(images)), TIMES - 1)])
    while len(kept) > IMAGES:
        v = rows[:, kept]
        c = np.linalg.pinv(np.einsum("fim,fin->fmn", v, v), hermitian=True)
        cv = v @ c
        growth = cv[:, :, 0]**2 / np.maximum(1 - np.einsum("fim,fim->fi", cv, v), np.finfo(float).eps)
        total = (weight * growth / np.maximum(c[:, :1, 0], np.finfo(float).tiny)).sum(axis=0)
        total[kept < GIVEN] = np.inf      # the user's own images stay
        kept = np.delete(kept, np.argmin(total))
    return images[kept]


def copies(q: Any, i: int, n: int) -> Any:
    """q(z|x) of n copies of the i-th image."""
    return repeated(type(q)(*(part[i:i + 1] for part in q)), n)


def _decoded(subject: Subject) -> Array:
    """Means of p(x|z) at multiples of the given images' mu, and at random z."""
    mu, _ = subject.encoded(subject.x[:GIVEN])
    z = [scale * mu for scale in SCALES] + [scale * subject.noise(mu.shape) for scale in SCALES if scale > 0]
    means = subject.mean(subject.decoded(np.concatenate(z).astype(mu.dtype)))
    return _fitting(subject, np.clip(means, subject.x.min(), subject.x.max()))


def _fitting(subject: Subject, images: Array) -> Array:
    return subject.likelihood.on_levels(images.astype(subject.x.dtype))
