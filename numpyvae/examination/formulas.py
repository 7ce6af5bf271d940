"""The right NLL and KL, and what common mistakes make of them."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..functional.activations import sigmoid
from ..models.likelihoods import Gaussian
from .subject import LOG_FLOOR, Subject, safe_log

Array = np.ndarray
Formula = Callable[[Array, Array], Array]


def in_nats(amount: float) -> str:
    return f"{amount:g} nat{'s' * (amount != 1)}"


RIGHT = ""
CLIPPED = "the probabilities are clipped"
SIGMA_OF_BATCH, SIGMA_OF_IMAGE = "one optimal sigma for the batch", "an optimal sigma for each image"
SAMPLED = "the KL is estimated from the drawn z"
CLIP = 1e-6     # of a probability, or added to it before the logarithm, as many do: at most
FREE_BITS = {least: f"not the plain KL: free bits, each dimension's KL counts for at least {in_nats(least)}"
             for least in (0.25, 0.5, 1.0, 2.0)}
BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0)    # of an image's KL, in nats
NOTICEABLE = 0.25                      # nats that a bound has to change on some image,
LEFT = 0.25                            # and of the spread over the images what it has to leave
CLIPS = {f"{CLIPPED} at {least:g}": (least, 0.0) for least in 10.0**np.arange(-4, -13, -1)} | {
    f"{least:g} is added to the probabilities": (0.0, least) for least in 10.0**np.arange(-4, -13, -1)}

# Right in another way than by the first formula: what is said of them.
REMARKS = {
    RIGHT: "",
    CLIPPED: f"Probabilities are clipped, or something up to {CLIP:g} is added to them: training hardly notices.",
    **{name: f"{name[0].upper()}{name[1:]} before the logarithm: training hardly notices." for name in CLIPS},
    SIGMA_OF_BATCH: "Its sigma^2 is the batch's mean squared error: the best sigma for that batch.",
    SIGMA_OF_IMAGE: "Its sigma^2 is each image's mean squared error: the best sigma for that image.",
    SAMPLED: "It is estimated from the drawn z, log q(z|x) - log p(z): right on average, though noisier.",
}


def nll_formulas(subject: Subject, theta: Array, x: Array, wrong: bool, n: int) -> dict[str, Array]:
    """The NLL of each row by the right formulas, and, if asked for, by wrong ones, named by the mistake behind them.

    n : the rows of one batch, of which there may be several
    """
    right = subject.nll(theta, x)
    formulas = {RIGHT: right}
    x = x.astype(float)
    if isinstance(subject.likelihood, Gaussian):
        D, square = x.shape[1], np.maximum(np.mean((x - theta)**2, axis=1), np.finfo(float).tiny)
        # min over sigma of sum((x - y)^2) / (2 sigma^2) + D log(sigma sqrt(2 pi)) is at sigma^2 = mean((x - y)^2)
        of_batch = np.repeat(square.reshape(-1, n).mean(axis=1), n)
        formulas |= {name: 0.5 * D * (np.log(2 * np.pi * best) + 1)
                     for name, best in ((SIGMA_OF_BATCH, of_batch), (SIGMA_OF_IMAGE, square))}
    if _is_bernoulli(subject):
        formulas[CLIPPED] = right
        if wrong and subject.frozen:    # where the loss is not known exactly, nothing would tell one clip from another
            formulas |= _clipped_nlls(subject, theta, x)
    with np.errstate(all="ignore"):
        return formulas | (_wrong_nlls(subject, theta, x) if wrong else {})


def _wrong_nlls(subject: Subject, theta: Array, x: Array) -> dict[str, Array]:
    if not subject.knows_mean:
        return {}
    mean = subject.mean(theta)
    square = (x - mean)**2
    if _is_bernoulli(subject):
        twice = sigmoid(mean)
        return {
            "sigmoid is applied twice: the loss takes logits but was given probabilities":
                -np.sum(x * np.log(twice) + (1 - x) * np.log(1 - twice), axis=1),
            "the term (1 - x) log(1 - y) is missing": -np.sum(x * safe_log(mean), axis=1),
            "the loss is a squared error, which is a Gaussian's NLL; a Bernoulli's is the cross-entropy":
                np.sum(square, axis=1),
            "the squared error is that of the logits, not of the means": np.sum((x - theta)**2, axis=1),
        }
    formulas = {"the absolute error is a Laplace's NLL; a Gaussian's is the squared error":
                np.sum(np.abs(x - mean), axis=1)}
    if subject.decodes_to == "mean and logvar":
        logvar = theta[:, x.shape[1]:]
        formulas |= {
            "the decoder's logvar is used as log sigma": np.sum(0.5 * square * np.exp(-2 * logvar) + logvar, axis=1),
            "the term logvar / 2 is missing next to the scaled square":
                np.sum(0.5 * square * np.exp(-logvar), axis=1),
            "the decoder's logvar is not used: the loss is the squared error": np.sum(square, axis=1),
        }
    return formulas


def _clipped_nlls(subject: Subject, theta: Array, x: Array) -> dict[str, Array]:
    """The NLL of probabilities clipped to [c, 1 - c], or with c added before the logarithm, for usual c."""
    y, rest = subject.mean(theta), 1 - subject.mean(theta)

    def log(p: Array, least: float, more: float) -> Array:
        return safe_log(np.clip(p, least, 1 - least) + more)

    return {name: -np.sum(x * log(y, *c) + (1 - x) * log(rest, *c), axis=1) for name, c in CLIPS.items()}


def nll_doubts(subject: Subject, theta: Array, x: Array, wrong: bool) -> dict[str, Array]:
    """How far the NLL of each row by these formulas may be off, beyond the rounding of its sum: (B,) each.

    Rounding to 1 + O(epsilon) takes from log(1 - y) about log(1 + epsilon / (1 - y)).  A clip of y, or a number added
    to it, of at most CLIP takes at most log(1 + CLIP / y), and likewise from log(1 - y).
    """
    if not _is_bernoulli(subject):
        return {}
    y = subject.mean(theta)
    lost = np.zeros(len(x))
    floor = np.exp(LOG_FLOOR)
    if subject.decodes_to == "probabilities":
        lost = np.sum((1 - x) * np.log1p(subject.rounding / np.maximum(1 - y, floor)), axis=1)
        rest = 1 - y
    else:
        rest = sigmoid(-theta)
    clipped = x * np.log1p(CLIP / np.maximum(y, floor)) + (1 - x) * np.log1p(CLIP / np.maximum(rest, floor))
    # A loss that clips takes log(1 - y) of rounded probabilities, whatever decode gives; 1 - y is at least about c.
    granular = {name: np.sum((1 - x) * np.log1p(subject.rounding / np.maximum(rest, max(c))), axis=1)
                for name, c in CLIPS.items()} if subject.frozen and wrong else {}
    return {RIGHT: lost, CLIPPED: lost + np.sum(clipped, axis=1), **granular}


def _is_bernoulli(subject: Subject) -> bool:
    return subject.decodes_to in ("logits", "probabilities")


def kl_formulas(right: Array, mu: Array, logvar: Array) -> dict[str, Array]:
    """The right KL of each row, and wrong ones, named by the mistake behind them."""
    m, s = mu.astype(float), logvar.astype(float)
    with np.errstate(all="ignore"):
        formulas = {
            "logvar is used as log sigma in the KL": 0.5 * np.exp(2 * s) + 0.5 * m**2 - s,
            "the sign of logvar is flipped": 0.5 * (np.exp(s) + m**2 + s),
            "exp(logvar) is missing": 0.5 * (m**2 - s),
            "logvar is missing": 0.5 * (np.exp(s) + m**2),
            "mu^2 is missing": 0.5 * (np.exp(s) - s),
            "mu is not squared": 0.5 * (np.exp(s) + m - s),
            "mu^2 is counted twice: the half multiplies only the other terms": 0.5 * (np.exp(s) - s) + m**2,
            "the half multiplies only logvar, and not mu^2 and exp(logvar)": np.exp(s) + m**2 - 0.5 * s,
            "exp(logvar / 2) stands where exp(logvar) belongs": 0.5 * (np.exp(0.5 * s) + m**2 - s),
            "logvar is used as the variance in the KL": 0.5 * (s + m**2 - np.log(s)),
            "logvar is used as the standard deviation in the KL": 0.5 * (s**2 + m**2 - np.log(s**2)),
            "the two Gaussians are swapped: KL(prior || q)": 0.5 * ((1 + m**2) * np.exp(-s) + s),
        }
        of_dimensions = 0.5 * (np.exp(s) + m**2 - 1 - s)
    rows = {name: np.sum(value, axis=1) for name, value in formulas.items() if np.isfinite(value).all()}
    bounded = {name: kl(right, of_dimensions) for name, kl in BOUNDED.items()}
    # Where nearly every image is at the bound, hardly more than a constant is left, which no KL at all leaves as well.
    return {RIGHT: right, **rows, **{name: value for name, value in bounded.items()
                                     if np.abs(value - right).max() >= NOTICEABLE
                                     and np.ptp(value) >= LEFT * np.ptp(right)}}


def _bounded(bound: float) -> dict[str, Formula]:
    """What an image's KL becomes by a bound: for most images often the right one, but for a constant."""
    limit = in_nats(bound)
    return {
        f"not the plain KL: a tolerance, the KL of an image counts for at least {limit}":
            lambda kl, of_dimensions: np.maximum(kl, bound),
        f"not the plain KL: only its excess over {limit} counts":
            lambda kl, of_dimensions: np.maximum(kl - bound, 0),
        f"not the plain KL: a capacity, its distance from {limit} counts":
            lambda kl, of_dimensions: np.abs(kl - bound),
        f"not the plain KL: what it has beyond {limit} does not count":
            lambda kl, of_dimensions: np.minimum(kl, bound),
    }


def _free_bits(least: float) -> Formula:
    return lambda kl, of_dimensions: np.sum(np.maximum(of_dimensions, least), axis=1)


# By name, of an image's KL and of its dimensions' KLs.
BOUNDED = {name: _free_bits(least) for least, name in FREE_BITS.items()} | {
    name: formula for bound in BOUNDS for name, formula in _bounded(bound).items()}


def least_free_bits(formulas: Iterable[str]) -> float | None:
    """The fewest free bits, of those that are looked for, that some image shows."""
    return min((least for least, name in FREE_BITS.items() if name in formulas), default=None)
