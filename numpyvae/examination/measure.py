"""What was measured: losses of batches, and what each formula gives for the same batches.

A batch is n copies of one image.  At two batch sizes the loss shows how each of its terms is reduced.
"""
from __future__ import annotations

import functools
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from .formulas import RIGHT, SAMPLED, kl_formulas, nll_doubts, nll_formulas
from .probes import IMAGES, chosen_probes, copies, probes
from .subject import Subject

Array = np.ndarray

FROZEN_COPIES = (3, 8)
REPEATS = 16            # draws of the noise for each image where the loss takes its noise as an argument
DRAWN_COPIES = (16, 48)
LEAST_REPEATS = 2
# Where it draws its own: then as many again, again and again, as long as the budget lasts.  The spread of fewer is
# known so badly that right VAEs were called wrong.
FIRST_REPEATS = 8
AT_ONCE = 9             # batches that go through decode together
OWN = 3                 # draws of our own for each of a loss(x): half of the noise is that of the formulas
SMALL = 1250            # pixels, up to which they take no long time
ROUNDINGS = 30.0        # a sum of many terms rounds more than once
TINY = float(np.finfo(float).tiny)


@dataclass
class Measurement:
    """Losses of I images, each R times, in batches of n copies, and what the formulas give for the same batches.

    frozen : whether the formulas know the noise of each loss; if not, only the means over R belong together
    """

    n: int
    frozen: bool
    loss: Array                   # (I, R)
    nll: dict[str, Array]         # by formula: (I, R), the mean over the batch; (I, own R) if not frozen
    doubt: dict[str, Array]       # of the NLL by formula, beside rounding: (I, R); a formula that is not here has none
    kl: dict[str, Array]          # by formula: (I, R)
    rounding: float               # relative, of the loss
    n_terms: tuple[int, int]      # of the NLL's and the KL's sums: where they cancel, these round more than their size

    @property
    def is_finite(self) -> bool:
        """Whether every loss is a number, and what the right formulas give for it."""
        return bool(np.isfinite(self.loss).all()) and RIGHT in self.nll and RIGHT in self.kl

    @functools.cached_property
    def means(self) -> Measurement:
        """Each image's means over its draws, as if there had been one: (I, 1)."""
        def mean(table: dict[str, Array]) -> dict[str, Array]:
            return {name: values.mean(axis=1, keepdims=True) for name, values in table.items()}

        return replace(self, loss=self.loss.mean(axis=1, keepdims=True), nll=mean(self.nll), doubt=mean(self.doubt),
                       kl=mean(self.kl))

    @functools.cached_property
    def loss_variance(self) -> Array:
        """Over the draws of each image, (I,), and never 0."""
        return self.loss.var(axis=1, ddof=1) + TINY

    @functools.cached_property
    def nll_variance(self) -> dict[str, Array]:
        return {name: values.var(axis=1, ddof=1) + TINY for name, values in self.nll.items()}


def measured_frozen(subject: Subject, wrong: bool) -> list[Measurement]:
    """For a loss(x, eps): every draw is a data point without error.  Empty if the budget is too small.

    wrong : whether wrong formulas of the NLL are computed too
    """
    repeats = min(REPEATS, subject.draws // (IMAGES * sum(FROZEN_COPIES)))
    if repeats < LEAST_REPEATS:
        return []
    images = _encoded(subject, probes(subject))
    return [_measured(subject, images, n, repeats, wrong) for n in FROZEN_COPIES]


def measured_once(subject: Subject) -> list[Measurement]:
    """For a loss that no noise changes: one batch of each image says all.  Empty if the budget is too small."""
    n = FROZEN_COPIES[0]
    if subject.draws < IMAGES * n:
        return []
    return [replace(_measured(subject, _encoded(subject, probes(subject)), n, 1, wrong=False), frozen=True)]


def measured_drawn(subject: Subject) -> Generator[list[Measurement], bool, None]:
    """For a loss(x) that draws its own noise: again and again, each time with twice as many draws.

    send(True) starts again with wrong formulas of the NLL beside the right ones.
    """
    left = full_repeats(subject)
    if left < FIRST_REPEATS:
        return
    images = _encoded(subject, chosen_probes(subject))
    measured: list[Measurement] = []
    wrong, repeats, own = False, FIRST_REPEATS, OWN if images.x.shape[1] <= SMALL else 1
    while left and (measured or left >= FIRST_REPEATS):
        repeats = min(repeats, left)
        left -= repeats
        new = [_measured(subject, images, n, repeats, wrong, own) for n in DRAWN_COPIES]
        measured = [_joined(*pair) for pair in zip(measured, new)] if measured else new
        repeats = measured[0].loss.shape[1]
        if (yield measured) and not wrong:
            wrong, measured = True, []


def full_repeats(subject: Subject) -> int:
    """How often each image can be drawn at both batch sizes."""
    return subject.draws // (IMAGES * sum(DRAWN_COPIES))


def draws_needed(subject: Subject) -> int:
    """The smallest budget with which anything is measured."""
    if subject.frozen:
        return LEAST_REPEATS * IMAGES * sum(FROZEN_COPIES)
    return FIRST_REPEATS * IMAGES * sum(DRAWN_COPIES)


class _Encoded(NamedTuple):
    """Images, and what is the same for all copies of each, whatever their noise."""

    x: Array                # (I, D)
    q: Any                  # q(z|x), of I rows
    kl: dict[str, Array]    # by formula: (I,)


def _encoded(subject: Subject, x: Array) -> _Encoded:
    q = subject.q(x)
    return _Encoded(x, q, kl_formulas(subject.kl(q), *subject.encoded(x)))


def _measured(subject: Subject, images: _Encoded, n: int, repeats: int, wrong: bool, own: int = 1) -> Measurement:
    """own : batches from which the formulas' NLL is known, for each of the loss"""
    shape = len(images.x), repeats
    loss = np.empty(shape)
    nll, doubt, kl = _Table((len(images.x), own * repeats)), _Table(shape), _Table(shape)
    kl.update({name: np.repeat(values[:, None], repeats, axis=1) for name, values in images.kl.items()})
    for i in range(len(images.x)):
        x = np.repeat(images.x[i:i + 1], n, axis=0)
        for start in range(0, repeats, AT_ONCE // own):
            draws = range(start, min(start + AT_ONCE // own, repeats))
            here = i, slice(draws.start, draws.stop)
            batches = own * len(draws)
            eps = subject.noise((len(draws), n, subject.n_latent)) if subject.frozen else None
            for r in draws:
                loss[i, r] = subject.loss_value(x, None if eps is None else eps[r - start])
            # What the formulas need of these batches, in one call of decode.
            many = copies(images.q, i, n * batches)
            noise = None if eps is None else eps.reshape(-1, subject.n_latent)
            rows = np.repeat(x, batches, axis=0)
            theta = subject.decoded(subject.draw(many, noise))
            nll.fill((i, slice(own * draws.start, own * draws.stop)), nll_formulas(subject, theta, rows, wrong, n),
                     batches)
            # Doubts take time, and where only means over the draws count, those of one batch are good enough.
            if noise is not None:
                doubt.fill(here, nll_doubts(subject, theta, rows, wrong), len(draws))
                kl.fill(here, {SAMPLED: subject.log_ratio(many, noise)}, len(draws))
            elif not start:
                doubt.fill((i, slice(None)), nll_doubts(subject, theta[:n], x, wrong), 1)
    return Measurement(n, subject.frozen, loss, nll.finite, doubt.finite, kl.finite, ROUNDINGS * subject.rounding,
                       (images.x.shape[1], subject.n_latent))


class _Table(dict[str, Array]):
    """By formula, the means over batches: (I, R)."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        self.shape = shape

    def fill(self, here: tuple[int, slice], formulas: dict[str, Array], batches: int) -> None:
        """The means of each formula's rows, which are those of so many batches, one after another."""
        for name, rows in formulas.items():
            if name not in self:
                self[name] = np.full(self.shape, np.nan)
            self[name][here] = rows.reshape(batches, -1).mean(axis=1)

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
