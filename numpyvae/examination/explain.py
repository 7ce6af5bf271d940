"""Which formulas explain the loss: fits of a NLL + b KL + c, and what is left of them.

Where the loss takes its noise, the NLL is found by that noise alone: the KL of an image does not change with it (or, if
it is estimated from z, changes in a known way).  Only then is the KL looked for, over different images.  So a wrong KL
cannot be taken for a wrong likelihood.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .formulas import CLIPPED, CLIPS, REMARKS, RIGHT, SAMPLED
from .measure import TINY, Measurement
from .subject import Subject

Array = np.ndarray

STANDARD_ERRORS = 6.0   # beyond which something is called wrong,
EXCLUDED = 4.0          # and beyond which something wrong is excluded
DOUBTS = 2.0            # standard errors that a bound counts as: with STANDARD_ERRORS, three times the bound
NEAREST = 0.1           # of the intended beta: a pass excludes the weights that are so far from it
DECIDED = 0.25          # of the beta that a wrong formula is found with: its tolerance
BETA_TOLERANCE = 0.01   # of the intended beta: nobody means one so exactly


@dataclass
class Fit:
    """loss = a NLL + b KL + c with standard errors.   [lesson 13, eq. 13.3]

    off   : the worst residual in standard errors
    score : -2 log likelihood, up to a constant
    sizes : the standard error of each value
    """

    a: float
    b: float
    c: float
    error: Array
    off: float
    score: float
    sizes: Array
    n: int

    @property
    def beta(self) -> float:
        return self.b / self.a if self.a else np.inf

    @property
    def beta_error(self) -> float:
        return float(abs(self.error[1] / self.a) + abs(self.beta * self.error[0] / self.a)) if self.a else np.inf

    @property
    def constant(self) -> float:
        """In nats a row."""
        return self.c / self.a if self.a else np.inf

    @property
    def constant_error(self) -> float:
        return float(self.error[2] / abs(self.a)) if self.a else np.inf


@dataclass
class Explanation:
    """Formulas for NLL and KL that explain the loss at both batch sizes."""

    nll: str
    kl: str
    fits: list[Fit]

    @property
    def score(self) -> float:
        return sum(fit.score for fit in self.fits)

    @property
    def beta_error(self) -> float:
        return max(fit.beta_error for fit in self.fits)


def explanations(measured: list[Measurement]) -> list[Explanation]:
    """The formulas that leave no residual, or none that tells them from the best."""
    found: list[Explanation] = []
    for nll in nll_candidates(measured):
        if nll in (CLIPPED, *CLIPS) and any(one.nll == RIGHT for one in found):    # then no clip can be seen
            continue
        for kl in measured[0].kl:
            fits = []
            for m in measured:
                if nll in m.nll and kl in m.kl and (each := fit(m, nll, kl)).off < STANDARD_ERRORS:
                    fits.append(each)
                else:
                    break
            else:
                found.append(Explanation(nll, kl, fits))
    best = min((one.score for one in found), default=0.0)
    if any(one.nll in REMARKS and one.nll != CLIPPED for one in found):    # exactly right, without a clip of any size
        found = [one for one in found if one.nll != CLIPPED]
    # What a clip does is no random error, so that its score says little.
    return [one for one in found if one.nll == CLIPPED or one.score < best + STANDARD_ERRORS**2]


def nll_candidates(measured: list[Measurement]) -> list[str]:
    """The NLL's formulas that follow the loss when only the noise changes; all of them where the noise is not known."""
    return [nll for nll in measured[0].nll if all(
        nll in m.nll and (not m.frozen or any(fit(m, nll, kl, within=True).off < STANDARD_ERRORS
                                              for kl in (RIGHT, SAMPLED) if kl in m.kl)) for m in measured)]


def fit(m: Measurement, nll: str, kl: str, within: bool = False, span: Array | None = None) -> Fit:
    """Weighted least squares, again with the a that was found, because the NLL's error enters the loss multiplied by a.

    within : of each value minus its image's mean, so that nothing counts that does not change with the noise
    span   : (3, k), in whose columns' span (a, b, c) is looked for; everywhere unless given
    """
    span = np.eye(3) if span is None else span
    known = m if m.frozen else m.means
    loss, columns = known.loss, np.stack([known.nll[nll], known.kl[kl], np.ones_like(known.loss)])
    doubt = known.doubt.get(nll, np.zeros_like(loss))
    if not m.frozen:
        # Both spreads have one shape over the images, but for a factor: together they say more of each.
        factor = np.exp(np.mean(np.log(m.loss_variance) - np.log(m.nll_variance[nll])))
        own = m.nll[nll].shape[1] / m.loss.shape[1]    # draws of the NLL for each of the loss
        variance = (m.loss_variance / factor + own * m.nll_variance[nll]) / (1 + own) / m.loss.shape[1]    # (I,)
    size = np.abs(loss)
    if within:
        loss, columns = loss - loss.mean(axis=1, keepdims=True), columns - columns.mean(axis=2, keepdims=True)
    loss, size, doubt, columns = loss.ravel(), size.ravel(), doubt.ravel(), columns.reshape(3, -1).T @ span
    scale = np.maximum(np.abs(columns).max(axis=0), TINY)
    a = b = 0.0
    for _ in range(3):
        terms = max(abs(a) * m.n_terms[0], abs(b) * m.n_terms[1])
        error = m.rounding * np.maximum(size, terms) + abs(a) * doubt + 1e-300
        if not m.frozen:
            error = np.hypot(error, np.sqrt((factor + a**2 / own) * variance))
        u, s, vt = np.linalg.svd(columns / scale / error[:, None], full_matrices=False)
        kept = s > 1e-13 * s[0]
        inverse = np.where(kept, 1 / np.maximum(s, TINY), 0.0)
        solution = vt.T @ (inverse * (u.T @ (loss / error))) / scale
        a, b, c = map(float, span @ solution)
    with np.errstate(invalid="ignore", over="ignore"):    # what no singular vector knows, nobody knows
        spread = np.where(kept, inverse, np.inf)[:, None]
        variances = np.where(np.abs(vt) > 1e-9, vt**2 * spread**2, 0.0).sum(axis=0)
    # Doubts are no random errors: they may all have one sign.  At worst they move the solution by this.
    moved = np.abs(vt.T @ (inverse[:, None] * u.T) / scale[:, None]) @ (abs(a) * doubt / error)
    errors = np.sqrt(variances) / scale + moved / DOUBTS
    with np.errstate(invalid="ignore"):    # nothing times infinity
        errors = np.where(span != 0, np.abs(span) * errors, 0.0).sum(axis=1)
    off = np.abs(loss - columns @ solution) / error
    return Fit(a, b, c, errors, float(off.max()),
               float(np.sum(off**2 + 2 * np.log(error))), error, m.n)


def beta_tolerance(subject: Subject, one: Explanation) -> float:
    """How far b / a may be from the intended beta."""
    return max(STANDARD_ERRORS * one.beta_error, BETA_TOLERANCE * subject.beta)


def is_intended(subject: Subject, one: Explanation) -> bool:
    return all(abs(each.beta - subject.beta) <= beta_tolerance(subject, one) for each in one.fits)


def nearest_wrong(subject: Subject) -> tuple[float, float]:
    """The weights that a pass has to exclude, with all beyond: 0.9 and 1.1 where 1 is intended."""
    width = NEAREST * (subject.beta or 1.0)
    return subject.beta - width, subject.beta + width


def excludes_others(subject: Subject, beta: float, error: float) -> bool:
    """Whether a beta, with its standard error, excludes those weights."""
    low, high = nearest_wrong(subject)
    return low < beta - EXCLUDED * error and beta + EXCLUDED * error < high


def is_known(subject: Subject, one: Explanation) -> bool:
    """Whether beta is so well known that the intended one could not be mistaken for another."""
    if n_mistakes(subject, one) == 0:
        return all(excludes_others(subject, each.beta, each.beta_error) for each in one.fits)
    size = max(abs(one.fits[-1].beta), subject.beta or 1.0)
    return STANDARD_ERRORS * one.beta_error <= DECIDED * size or not is_intended(subject, one)


def n_mistakes(subject: Subject, one: Explanation) -> int:
    """A wrong formula is one, a weight of the KL other than the intended one is another."""
    return int(one.nll not in REMARKS) + int(one.kl not in REMARKS) + int(not is_intended(subject, one))


def simplest(subject: Subject, found: list[Explanation]) -> list[Explanation]:
    """Those with the fewest mistakes, the best of them first; but a first formula before another that is right too."""
    fewest = min(n_mistakes(subject, one) for one in found)
    few = [one for one in found if n_mistakes(subject, one) == fewest]
    return sorted(few, key=lambda one: (one.nll != RIGHT, one.kl != RIGHT, one.score))


def rivals(first: Explanation, others: list[Explanation]) -> list[Explanation]:
    """The explanations that say something else: ways to be right are no rivals of each other."""
    def said(one: Explanation) -> tuple[str, str]:
        return RIGHT if one.nll in REMARKS else one.nll, RIGHT if one.kl in REMARKS else one.kl

    return [one for one in others if said(one) != said(first)]
