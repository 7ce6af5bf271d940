"""What the draws of a loss that draws its own noise exclude: other weights of the KL, other formulas, a constant.

A fit of a NLL + b KL + c tells b from how the KL varies over the images.  Where it varies little, so that c and b KL
are much alike, far more is known if c is: a Bernoulli's NLL and the KL leave no constant over.  What is claimed here
rests on that, and says so: with another constant the weight may be another.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..kernels.gaussian import HALF_LOG_2_PI
from ..models.likelihoods import Gaussian
from .explain import BETA_TOLERANCE, EXCLUDED, STANDARD_ERRORS, Explanation, Fit, excludes_others, fit
from .formulas import BOUNDED, REMARKS, RIGHT
from .measure import Measurement, full_repeats
from .subject import Subject

Array = np.ndarray


@dataclass
class Exclusion:
    """What is left of the weights and the formulas of the KL.

    beta        : b / a where c is known, and its standard error; where no such fit is good enough, of the free fit
    is_anchored : whether c is known
    constant    : c / a, with its standard error, in nats a row, which the intended weight of the right KL leaves over
    """

    subject: Subject
    measured: list[Measurement]
    one: Explanation
    beta: float
    beta_error: float
    is_anchored: bool
    constant: float
    constant_error: float

    @property
    def low(self) -> float:
        return self.beta - EXCLUDED * self.beta_error

    @property
    def high(self) -> float:
        return self.beta + EXCLUDED * self.beta_error

    @functools.cached_property
    def shown(self) -> list[str]:
        """The KL's formulas that the whole budget of draws tells from the right one, if that is the right one.

        A bound that few images reach, and those with a noisy NLL, is not among them: more would have to be said of it
        than can be known.
        """
        return [kl for kl in self.measured[0].kl if all(kl in m.kl for m in self.measured)
                and (kl not in BOUNDED or self._power(kl) > (2 * EXCLUDED)**2)]

    def _power(self, kl: str) -> float:
        """By how much -2 log likelihood would grow on average if this formula stood in place of the right one.

        In standard errors the losses would move by d; an a that is fitted anew takes away what lies along the losses.
        """
        power = 0.0
        for m, each in zip(self.measured, self.one.fits):
            nll, right, wrong = (values.ravel() / each.sizes for values in (
                m.means.nll[self.one.nll], m.means.kl[RIGHT], m.means.kl[kl]))
            d, loss = each.a * self.subject.beta * (wrong - right), nll + self.subject.beta * wrong
            power += float(d @ d - (d @ loss)**2 / (loss @ loss)) * full_repeats(self.subject) / m.loss.shape[1]
        return power

    @functools.cached_property
    def formulas(self) -> list[str]:
        """Wrong ones of the KL that explain the loss as well with the intended weight and without a constant."""
        subject, measured, one = self.subject, self.measured, self.one
        # A formula that has all of the KL's terms but its -1, or is written without it, on purpose or not.
        meant = {(kl, shift): min((_fits(measured, one.nll, kl, [[1], [subject.beta], [anchor + subject.beta * shift]])
                                   for anchor in _anchors(subject, one)), key=_score)
                 for kl in self.shown if subject.beta
                 for shift in ((0.0,) if kl in REMARKS else (0.0, -0.5 * subject.n_latent))}
        best = min([one.score, *map(_score, meant.values())])
        return list(dict.fromkeys(
            kl for (kl, _), each in meant.items() if kl not in REMARKS and _score(each) < best + EXCLUDED**2
            and all(f.off < STANDARD_ERRORS for f in each)))


def exclusion(subject: Subject, measured: list[Measurement], one: Explanation) -> Exclusion:
    """What the draws exclude, if a right NLL, the right KL and the intended weight explain them."""
    anchors = _anchors(subject, one)
    anchored = min((_fits(measured, one.nll, one.kl, [[1, 0], [0, 1], [anchor, 0]]) for anchor in anchors), key=_score)
    is_anchored = _score(anchored) < one.score + STANDARD_ERRORS**2
    beta, beta_error = _mean([(each.beta, each.beta_error) for each in (anchored if is_anchored else one.fits)])
    with_constant = _fits(measured, one.nll, one.kl, [[1, 0], [subject.beta, 0], [0, 1]])
    left_over, error = _mean([(each.constant, each.constant_error) for each in with_constant])
    constant = min((left_over - anchor for anchor in anchors), key=abs)
    return Exclusion(subject, measured, one, beta, beta_error, is_anchored, constant, error)


def _fits(measured: list[Measurement], nll: str, kl: str, span: list[list[float]]) -> list[Fit]:
    return [fit(m, nll, kl, span=np.array(span)) for m in measured]


def _anchors(subject: Subject, one: Explanation) -> tuple[float, ...]:
    """What c / a may be: a Gaussian's own constant is left out by many."""
    D = subject.x.shape[1]
    if isinstance(subject.likelihood, Gaussian) and one.nll == RIGHT:
        return 0.0, -D * (float(np.log(subject.likelihood.sigma)) + HALF_LOG_2_PI)
    return (0.0, -D * HALF_LOG_2_PI) if subject.decodes_to == "mean and logvar" else (0.0,)


def _score(fits: list[Fit]) -> float:
    return sum(each.score for each in fits)


def _mean(found: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean of numbers with standard errors, and its own."""
    values, errors = np.array(found).T
    errors = np.maximum(errors, np.finfo(float).tiny)
    if not np.isfinite(errors).all():
        return float(values[-1]), np.inf
    weights = (errors.min() / errors)**2
    return float(weights @ values / weights.sum()), float(errors.min() / np.sqrt(weights.sum()))


def is_excluded_enough(subject: Subject, found: Exclusion) -> bool:
    """Whether a right loss has been shown to be right."""
    return (is_precise(subject, found) and is_meant(subject, found) and not leaves_a_constant(subject, found)
            and not found.formulas)


def is_precise(subject: Subject, found: Exclusion) -> bool:
    """Whether the draws exclude the weights that are nearest to the intended one."""
    return excludes_others(subject, found.beta, found.beta_error)


def is_meant(subject: Subject, found: Exclusion) -> bool:
    return abs(found.beta - subject.beta) <= max(STANDARD_ERRORS * found.beta_error, BETA_TOLERANCE * subject.beta)


def leaves_a_constant(subject: Subject, found: Exclusion) -> bool:
    """Whether something is added to the NLL and the right KL."""
    return knows_constant(subject) and abs(found.constant) > STANDARD_ERRORS * found.constant_error


def knows_constant(subject: Subject) -> bool:
    """Whether c is 0: of a Bernoulli's NLL there is no constant that anybody leaves out."""
    return subject.decodes_to in ("logits", "probabilities")
