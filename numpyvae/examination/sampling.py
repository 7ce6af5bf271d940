"""Everything that draws at random: z from the encoder's Gaussian, images from z, binary pixels from grey ones."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..functional.activations import sigmoid, softplus
from .measure import ROUNDINGS
from .report import NOT_CHECKED, OK, WRONG, Finding
from .subject import Subject, numbers, safe_log

Array = np.ndarray

STANDARD_ERRORS = 5.0    # two-sided 6e-7 per comparison: even thousands raise no false alarm
SETTINGS = 8             # different (mu, logvar), so that the form of a wrong formula shows
DRAWS = 6000             # for each setting: a variance is known to 1.8 %
IMAGE_DRAWS = 2000
SHARED = ("one noise is shared by the batch, so that the gradient is about as noisy as that of one image: draw eps "
          "with the shape of mu, (B, Z), not (1, Z) or (Z,).")


def check_noise(subject: Subject) -> Finding:
    """Two draws differ; the same noise gives the same loss; nothing else is random."""
    if subject.unsteady:
        changes, advice = subject.unsteady.split(": ", 1)
        return Finding("noise", WRONG, f"{changes}.", f"{advice}")
    mu, logvar = subject.encoded(subject.x)
    if subject.sample_z is not None and not subject.sample_takes_noise:
        if np.array_equal(subject.sampled(mu, logvar, None), subject.sampled(mu, logvar, None)):
            return Finding("noise", WRONG, "sample_z was called twice with the same mu and logvar and gave the same z.",
                           "z is mu (many models return that in eval mode: let sample_z draw all the same); or the "
                           "noise is constant: drawn once and baked in (by a compiler that traced the draw, a "
                           "stored array, or a seed reset in every call).  The decoder learns that one noise by "
                           "heart and the ELBO comes out better than it is.  Draw new noise in every call.")
    if subject.shares_noise:
        return Finding("noise", WRONG, subject.shares_noise, SHARED)
    if subject.loss is None:
        if subject.sample_z is None:
            return Finding("noise", NOT_CHECKED, "sample_z and loss were not given.")
        return Finding("noise", OK, "two draws of z from the same mu and logvar differ.")
    if subject.loss_is_constant and _ignores_z(subject):
        return Finding("noise", NOT_CHECKED, "decode gives the same for every z: no noise can be seen in the loss.")
    if not subject.frozen:
        if subject.loss_is_constant:
            return Finding("noise", WRONG, "loss was called twice with the same images and gave the same number.",
                           "the noise is constant, or z is mu without noise (as many models have it in eval mode), or "
                           "the loss holds no NLL.  Draw new noise in every call; if it is an argument, write "
                           "loss(x, eps).")
        return Finding("noise", OK, "two losses of the same images differ.")
    eps = subject.noise(mu.shape)
    first, again = subject.loss_value(subject.x, eps), subject.loss_value(subject.x, eps)
    other = subject.loss_value(subject.x, subject.noise(mu.shape))
    losses = f"loss {first:.6g} with one eps, {again:.6g} with the same again, {other:.6g} with another."
    if not np.isfinite([first, again, other]).all():
        return Finding("noise", NOT_CHECKED, losses)
    if abs(first - again) > ROUNDINGS * subject.rounding * abs(first):
        return Finding("noise", WRONG, losses, "the loss draws noise of its own besides the eps that it is given "
                       "(dropout in training mode does so too: call model.eval()): use only that eps.")
    if first == other:
        return Finding("noise", WRONG, losses, "the loss does not depend on eps: the noise is constant, or z is mu, "
                       "or the loss holds no NLL.")
    return Finding("noise", OK, losses)


def _ignores_z(subject: Subject) -> bool:
    if subject.decode is None:
        return False
    one, other = (subject.decoded(subject.noise((4, subject.n_latent)).astype(subject.dtype)) for _ in range(2))
    return bool(np.array_equal(one, other))


def check_sampling(subject: Subject) -> Finding:
    """z has mean mu, variance exp(logvar), and independent columns."""
    if subject.sample_z is None:
        return Finding("sampling", NOT_CHECKED, "sample_z was not given.")
    if subject.shares_noise:
        return Finding("sampling", NOT_CHECKED, 'fix "noise" first.')
    dtype = subject.dtype
    shape = (SETTINGS, 1, subject.n_latent)
    mu = subject.rng.normal(0.0, 1.0, shape)
    logvar = subject.rng.uniform(0.5, 2.0, shape) * subject.rng.choice([-1, 1], shape)    # near 0 errors hide
    rows = (SETTINGS, DRAWS, subject.n_latent)
    repeated_mu, repeated_logvar = (np.broadcast_to(a, rows).reshape(-1, subject.n_latent).astype(dtype)
                                    for a in (mu, logvar))
    z = subject.sampled(repeated_mu, repeated_logvar, None)
    if z.shape != (SETTINGS * DRAWS, subject.n_latent):
        return Finding("sampling", WRONG, f"sample_z gives shape {z.shape} for mu of shape "
                       f"{(SETTINGS * DRAWS, subject.n_latent)}.", "z must have one row for each row of mu.")
    z = z.reshape(rows).astype(float)
    mean, variance = z.mean(axis=1), z.var(axis=1)
    mu, logvar = mu[:, 0], logvar[:, 0]
    mean_off = np.abs(mean - mu) / np.sqrt(np.exp(logvar) / DRAWS)
    variance_off = np.abs(variance / np.exp(logvar) - 1) / np.sqrt(2 / DRAWS)
    standard = (z - mean[:, None]) / np.sqrt(np.maximum(variance, np.finfo(float).tiny))[:, None]
    together = np.einsum("sni,snj->ij", standard, standard) / (SETTINGS * DRAWS) - np.eye(subject.n_latent)
    together_off = np.abs(together) * np.sqrt(SETTINGS * DRAWS)
    np.fill_diagonal(together_off, 0.0)
    evidence = (f"{SETTINGS * subject.n_latent} pairs of mu and logvar, {DRAWS} draws each: means within "
                f"{mean_off.max():.1f}, variances within {variance_off.max():.1f}, correlations within "
                f"{together_off.max():.1f} standard errors of mu, exp(logvar) and 0.")
    mistake = ""
    if not variance_off.max() < STANDARD_ERRORS:
        worst = np.unravel_index(np.argmax(variance_off), variance.shape)
        evidence += (f" At logvar {logvar[worst]:.3f} the variance is {variance[worst]:.4g}; "
                     f"expected exp(logvar) = {np.exp(logvar[worst]):.4g}.")
        mistake = _variance_mistake(variance, logvar)
    elif not mean_off.max() < STANDARD_ERRORS:
        mistake = "the mean of z is not mu: look at what is added to the scaled noise."
    elif not together_off.max() < STANDARD_ERRORS:
        mistake = "the latent dimensions share their noise: draw eps with the shape of mu, (B, Z), not (B, 1)."
    return Finding("sampling", WRONG if mistake else OK, evidence, mistake)


def _variance_mistake(variance: Array, logvar: Array) -> str:
    """Which formula for sigma would give these variances."""
    formulas = {
        "exp(logvar) is used as the standard deviation: the variance is its square.  Write exp(logvar / 2).  No "
        "gradient check sees this, since forward and backward agree; if the encoder gives log sigma, pass "
        "logvar = 2 log sigma": np.exp(2 * logvar),
        "logvar itself is used as the standard deviation: write exp(logvar / 2)": logvar**2,
        "exp(logvar / 4) is used as the standard deviation: write exp(logvar / 2)": np.exp(0.5 * logvar),
        "the sign of logvar is flipped: write exp(+logvar / 2)": np.exp(-logvar),
        "the noise is not scaled: multiply it by exp(logvar / 2)": np.ones_like(logvar),
        "no noise is added: z is mu": np.zeros_like(logvar),
    }
    for words, expected in formulas.items():
        if np.all(np.abs(variance - expected) <= STANDARD_ERRORS * np.sqrt(2 / DRAWS) * expected + 1e-12):
            return words + "."
    return "the noise is not N(0, 1), or is scaled by something other than exp(logvar / 2)."


def check_images(subject: Subject) -> Finding:
    """Sampled images have the mean that the decoder gives."""
    if subject.sample_x is None or subject.decode is None:
        return Finding("images", NOT_CHECKED, "sample_x (or decode) was not given.")
    if not subject.knows_mean:
        return Finding("images", NOT_CHECKED, "of your own nll the mean E[x|z] is not known.")
    z = subject.noise((4, subject.n_latent)).astype(subject.dtype)
    theta = subject.decoded(z)
    expected = subject.mean(theta)
    drawn = numbers("sample_x", subject.sample_x(np.repeat(z, IMAGE_DRAWS, axis=0)), "one image for each row of z")
    if drawn.shape[:1] != (len(z) * IMAGE_DRAWS,) or drawn.size != IMAGE_DRAWS * expected.size:
        return Finding("images", WRONG, f"sample_x gives shape {drawn.shape} for {len(z) * IMAGE_DRAWS} rows of z.",
                       "expected one image (D,) for each row.")
    drawn = drawn.reshape(len(z), IMAGE_DRAWS, -1).astype(float)
    found, spread = drawn.mean(axis=1), drawn.std(axis=1)
    error = spread / np.sqrt(IMAGE_DRAWS) + 1e-3    # a pixel with p = 0.001 may well be drawn 0 each time
    off = np.abs(found - expected) / error
    worst = np.unravel_index(np.argmax(off), off.shape)
    evidence = (f"mean of {IMAGE_DRAWS} images from each of {len(z)} z, of {found.shape[1]} pixels each: within "
                f"{off.max():.1f} standard errors of E[x|z]; at worst {found[worst]:.4f} where {expected[worst]:.4f} "
                "is expected.")
    if off.max() < STANDARD_ERRORS:
        return Finding("images", OK, evidence)
    mistake = "images are not drawn from p(x|z): look at what is done to the decoder's output."
    if subject.decodes_to in ("logits", "probabilities"):
        logits = theta if subject.decodes_to == "logits" else safe_log(theta) - safe_log(1 - theta)
        for name, wrong in (("softplus(logits)", softplus(logits)), ("the logits themselves", logits),
                            ("sigmoid(sigmoid(logits))", sigmoid(sigmoid(logits))),
                            ("1 - sigmoid(logits)", sigmoid(-logits))):
            if np.all(np.abs(found - wrong) < STANDARD_ERRORS * error):
                mistake = f"the probability of a pixel is sigmoid(logits), but the images follow {name}."
    return Finding("images", WRONG, evidence, mistake)


def check_binarisation(binarize: Callable[..., Any] | None, rng: np.random.Generator) -> Finding:
    """Binarised pixels average to the grey pixel."""
    if binarize is None:
        return Finding("binarisation", NOT_CHECKED, "binarize was not given.")
    grey = rng.random((1, 16))
    draws = numbers("binarize", binarize(np.repeat(grey, DRAWS, axis=0)), "0 or 1 for each pixel").astype(float)
    values = f"values from {draws.min():g} to {draws.max():g}" if draws.size else "no values"
    if draws.shape != (DRAWS, 16) or not np.isin(draws, (0, 1)).all():
        return Finding("binarisation", WRONG, f"binarize gives shape {draws.shape} with {values} for pixels "
                       f"of shape {(DRAWS, 16)}.", "expected 0 or 1 for each pixel.")
    found = draws.mean(axis=0)
    error = np.sqrt(grey[0] * (1 - grey[0]) / DRAWS) + 1e-12
    off = np.abs(found - grey[0]) / error
    worst = int(np.argmax(off))
    evidence = (f"16 grey pixels, {DRAWS} draws each: means within {off.max():.1f} standard errors of the pixels; "
                f"at worst {found[worst]:.4f} where {grey[0, worst]:.4f} is expected.")
    if off.max() < STANDARD_ERRORS:
        return Finding("binarisation", OK, evidence)
    if np.array_equal(found, (grey[0] > 0.5).astype(float)):
        return Finding("binarisation", OK, "each pixel is thresholded at 0.5, not drawn.  That makes another data "
                       "set: its ELBO cannot be compared with those of drawn binary pixels.")
    mistake = "a pixel must become 1 with the pixel's brightness as its probability: rng.random(x.shape) < x."
    if np.all(np.abs(found - (1 - grey[0])) < STANDARD_ERRORS * error):
        mistake = "binarised the wrong way round: bright pixels become 0.  Write rng.random(x.shape) < x."
    return Finding("binarisation", WRONG, evidence, mistake)
