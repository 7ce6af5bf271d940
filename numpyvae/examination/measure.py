"""What was measured: losses of batches, and what each formula gives for the same batches.

A batch is n copies of one image.  At two batch sizes the loss shows how each of its terms is reduced.
"""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ..models.posteriors import repeated
from .formulas import RIGHT, SAMPLED, kl_formulas, nll_doubts, nll_formulas
from .probes import IMAGES, chosen_probes, probes
from .subject import Subject

Array = np.ndarray

FROZEN_COPIES = (3, 8)
REPEATS = 16            # draws of the noise for each image where the loss takes its noise as an argument
DRAWN_COPIES = (16, 48)
FIRST_REPEATS = 8       # where it draws its own: then as many again, again and again, as long as the budget lasts
LEAST_REPEATS = 2
AT_ONCE = 8             # batches that go through decode together
ROUNDINGS = 30.0        # a sum of many terms rounds more than once


@dataclass
class Measurement:
    """Losses of I images, each R times, in batches of n copies, and what the formulas give for the same batches.

    frozen : whether the formulas know the noise of each loss; if not, only the means over R belong together
    """

    n: int
    frozen: bool
    loss: Array                   # (I, R)
    nll: dict[str, Array]         # by formula: (I, R), the mean over the batch
    doubt: dict[str, Array]       # of the NLL by formula, beside rounding: (I, R); a formula that is not here has none
    kl: dict[str, Array]          # by formula: (I, R)
    rounding: float               # relative, of the loss
    n_terms: tuple[int, int]      # of the NLL's and the KL's sums: where they cancel, these round more than their size

    @property
    def is_finite(self) -> bool:
        """Whether every loss is a number, and what the right formulas give for it."""
        return bool(np.isfinite(self.loss).all()) and RIGHT in self.nll and RIGHT in self.kl


def measured_frozen(subject: Subject, wrong: bool, most: int = REPEATS) -> list[Measurement]:
    """For a loss(x, eps): every draw is a data point without error.  Empty if the budget is too small.

    wrong : whether wrong formulas of the NLL are computed too
    most  : the most draws for each image
    """
    repeats = min(most, subject.draws // (IMAGES * sum(FROZEN_COPIES)))
    if repeats < LEAST_REPEATS:
        return []
    images = probes(subject)
    return [_measured(subject, images, n, repeats, wrong) for n in FROZEN_COPIES]


def measured_drawn(subject: Subject) -> Generator[list[Measurement], bool, None]:
    """For a loss(x) that draws its own noise: again and again, each time with twice as many draws.

    send(True) starts again with wrong formulas of the NLL beside the right ones.
    """
    left = subject.draws // (IMAGES * sum(DRAWN_COPIES))
    if left < LEAST_REPEATS:
        return
    images = chosen_probes(subject)
    measured: list[Measurement] = []
    wrong, repeats = False, FIRST_REPEATS
    while left >= LEAST_REPEATS:
        repeats = min(repeats, left)
        left -= repeats
        new = [_measured(subject, images, n, repeats, wrong) for n in DRAWN_COPIES]
        measured = [_joined(*pair) for pair in zip(measured, new)] if measured else new
        repeats = measured[0].loss.shape[1]
        if (yield measured) and not wrong:
            wrong, measured = True, []


def draws_needed(subject: Subject) -> int:
    """The smallest budget with which anything is measured."""
    return LEAST_REPEATS * IMAGES * sum(FROZEN_COPIES if subject.frozen else DRAWN_COPIES)


def _measured(subject: Subject, images: Array, n: int, repeats: int, wrong: bool) -> Measurement:
    shape = len(images), repeats
    loss = np.empty(shape)
    nll, doubt, kl = _Table(shape), _Table(shape), _Table(shape)
    for i, image in enumerate(images):
        x = np.repeat(image[None], n, axis=0)
        q = subject.q(x)
        kl.fill((i, slice(None)), kl_formulas(subject.kl(q), *subject.encoded(x)), 1)
        for start in range(0, repeats, AT_ONCE):
            draws = range(start, min(start + AT_ONCE, repeats))
            here = i, slice(draws.start, draws.stop)
            eps = subject.noise((len(draws), n, subject.n_latent)) if subject.frozen else None
            for r in draws:
                loss[i, r] = subject.loss_value(x, None if eps is None else eps[r - start])
            # What the formulas need of these batches, in one call of decode.
            many, noise = repeated(q, len(draws)), None if eps is None else eps.reshape(-1, subject.n_latent)
            rows = np.repeat(x, len(draws), axis=0)
            theta = subject.decoded(subject.draw(many, noise))
            nll.fill(here, nll_formulas(subject, theta, rows, wrong, n), len(draws))
            # Doubts take time, and where only means over the draws count, those of one batch are good enough.
            if noise is not None:
                doubt.fill(here, nll_doubts(subject, theta, rows, wrong), len(draws))
                kl.fill(here, {SAMPLED: subject.log_ratio(many, noise)}, len(draws))
            elif not start:
                doubt.fill((i, slice(None)), nll_doubts(subject, theta[:n], x, wrong), 1)
    return Measurement(n, subject.frozen, loss, nll.finite, doubt.finite, kl.finite, ROUNDINGS * subject.rounding,
                       (images.shape[1], subject.n_latent))


class _Table(dict[str, Array]):
    """By formula, the means over batches: (I, R)."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        self.shape = shape

    def fill(self, here: tuple[int, slice], formulas: dict[str, Array], batches: int) -> None:
        """The means of each formula's rows, which are those of so many batches, one after another."""
        for name, rows in formulas.items():
            self.setdefault(name, np.full(self.shape, np.nan))[here] = rows.reshape(batches, -1).mean(axis=1)

    @property
    def finite(self) -> dict[str, Array]:
        """Those formulas that give a number everywhere: log(logvar) is none below 0."""
        return {name: values for name, values in self.items() if np.isfinite(values).all()}


def _joined(one: Measurement, other: Measurement) -> Measurement:
    """Both measurements of the same images as one."""
    def tables(first: dict[str, Array], second: dict[str, Array]) -> dict[str, Array]:
        return {name: np.concatenate([first[name], second[name]], axis=1) for name in first if name in second}

    return Measurement(one.n, one.frozen, np.concatenate([one.loss, other.loss], axis=1), tables(one.nll, other.nll),
                       tables(one.doubt, other.doubt), tables(one.kl, other.kl), one.rounding, one.n_terms)
