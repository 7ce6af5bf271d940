"""The exercises of lesson 3: the Gaussian's logarithm, ancestral sampling, the posterior on a grid."""
from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .check import NotYet, exercise, expect
from .expect import numbers, parts

STANDARD_ERRORS = 6.5
MOMENTS = np.array([1, 0, 1, 0, 3, 0, 15, 0, 105])    # of N(0, 1), from the zeroth on


@exercise("x", "m", "sigma")
def log_likelihood(answer: Any, rng: np.random.Generator) -> None:
    x, m, sigma, D = rng.standard_normal((4, 5)), rng.standard_normal((4, 5)), float(rng.uniform(0.3, 0.7)), 5
    square = np.sum((x - m)**2, axis=1) / (2 * sigma**2)
    right = -square - D * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
    expect(answer(x, m, sigma), right, "the logarithm", {
        "the sign is flipped: that is the NLL": -right,
        "the normaliser is missing: the density would not integrate to 1": -square,
        "log sigma is missing": right + D * np.log(sigma),
        "1/2 log(2 pi) is missing": right + 0.5 * D * np.log(2 * np.pi),
        "log(2 pi) lacks its half": right - 0.5 * D * np.log(2 * np.pi),
        "1/2 log(2 pi sigma) is half a log sigma short: the variance, sigma^2, belongs there":
            right + 0.5 * D * np.log(sigma),
        "the normaliser has the wrong sign: 1/sigma is in front of the density": -square - (right + square),
        "the normaliser is counted once; it belongs to every pixel": -square - np.log(sigma) - 0.5 * np.log(2 * np.pi),
        "it is a mean over the pixels; the logarithms of independent pixels add up": right / D,
        "it is a sum over the batch as well; each row has its own": right.sum(),
        "it is a mean over the batch as well; each row has its own": right.mean(),
        "the logarithms of the pixels are not added up":
            -(x - m)**2 / (2 * sigma**2) - np.log(sigma * np.sqrt(2 * np.pi)),
        "the half in front of the square is missing": right - square,
        "sigma is not squared": right + square - square * sigma,
        "the difference is not squared": right + square - np.sum(x - m, axis=1) / (2 * sigma**2),
        "that is the density; return its logarithm": np.exp(right)})
    grid, h = np.linspace(-12, 12, 20001, retstep=True)
    log_density = numbers(answer(grid[:, None], np.zeros((20001, 1)), 0.5), grid.shape, "the logarithm")
    total = np.sum(np.exp(log_density)) * h
    if not abs(total - 1) < 1e-5:
        raise NotYet(f"the density integrates to {total:.4f}; expected 1")


@exercise("f", "sigma", "n", "rng")
def ancestral_sampling(answer: Any, rng: np.random.Generator) -> None:
    sigma, seed = float(rng.uniform(0.4, 0.7)), int(rng.integers(2**30))
    # So large that an error which is small beside f(z) is not small beside the noise.
    A, c = rng.choice([-100.0, 100.0], (2, 3)) * rng.uniform(1, 2, (2, 3)), rng.uniform(100, 200, 3)

    def f(z: Any) -> Any:
        return np.asarray(z) @ A + c

    def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        z, x = pair_of_samples(answer(f, sigma, n, np.random.default_rng(seed)), n)
        return z, (x - f(z)) / sigma
    z, noise = draw(20_000, seed)
    judge_z(z)
    judge_noise(noise, sigma)
    judge_together(z, noise)
    judge_scale(*draw(100, seed), np.random.default_rng(seed).standard_normal(500))
    advice = "draw from the rng that you are given"
    for again, same, words in ((seed, True, f"two calls with the same rng differ: {advice}"),
                               (seed + 1, False, f"another rng gives the same {{}}: {advice}")):
        for name, one, other in zip(("z", "noise"), draw(100, seed), draw(100, again)):
            if np.allclose(one, other, atol=1e-4) != same:
                raise NotYet(words.format(name))


def pair_of_samples(result: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    z, x = parts(result, "arrays", ["z", "x"])
    z, x = numbers(z, (n, 2), "z"), numbers(x, (n, 3), "x")
    if z.shape == (n, 3) and x.shape == (n, 2):
        raise NotYet("z and x are swapped")
    if z.shape != (n, 2) or x.shape != (n, 3):
        raise NotYet(f"the shapes are {z.shape} and {x.shape}; expected {(n, 2)} and {(n, 3)}")
    if not np.isfinite(z).all() or not np.isfinite(x).all():
        raise NotYet("the samples hold NaN or infinity")
    return z, x


def judge_z(z: np.ndarray) -> None:
    error = STANDARD_ERRORS / np.sqrt(len(z))
    if np.any(np.abs(z.mean(axis=0)) > error) or np.any(np.abs(z.var(axis=0) - 1) > error * np.sqrt(2)):
        raise NotYet("z is not drawn from N(0, I): look at its mean and its variance")
    if abs(np.mean(z[:, 0] * z[:, 1])) > error:
        raise NotYet("z is not drawn from N(0, I): its two dimensions depend on each other")
    if strange := strange_moment(z):
        raise NotYet("z is not drawn from N(0, I): " + (
            "mean and variance are right, but it is no Gaussian" if len(strange) == 1 else
            "its two dimensions depend on each other"))
    if depend_on_each_other(z) or occur_again(z):
        raise NotYet("the rows of z depend on each other: draw each anew")


def judge_noise(noise: np.ndarray, sigma: float) -> None:
    """The noise of x, divided by sigma."""
    if np.abs(noise).max() < 1e-3:
        raise NotYet("x is f(z) itself; that is the mean, not a sample: add the noise")
    error = STANDARD_ERRORS / np.sqrt(len(noise))
    if np.all(np.abs(noise - noise[0]) < 1e-3):
        raise NotYet("the same noise is added to every row: draw it anew for each")
    square = np.mean(noise**2, axis=0)
    size, spread = np.sqrt(square), np.std(noise**2, axis=0) / square    # spread: sqrt(2) for a Gaussian

    def is_about(expected: float) -> bool:
        return bool(np.all(np.abs(square / expected**2 - 1) < error * np.maximum(spread, np.sqrt(2))))
    if is_about(sigma):
        raise NotYet("the noise has standard deviation sigma^2; sigma is the standard deviation")
    if is_about(sigma**-0.5):
        raise NotYet("the noise has variance sigma; sigma is the standard deviation, its square the variance")
    if is_about(1 / sigma):
        raise NotYet("the noise is not scaled by sigma")
    if not is_about(1.0):
        raise NotYet(f"x - f(z) has variance {np.mean(size * sigma)**2:.3f}, expected sigma^2 = {sigma**2:.3f}; "
                     "is x drawn from this z?")
    if np.any(np.abs(noise.mean(axis=0)) > error):
        raise NotYet("the noise of x does not have mean 0")
    products = noise.T @ noise / len(noise)
    if np.any(np.abs(products - np.diag(np.diag(products))) > error):
        raise NotYet("the pixels share their noise: draw a number for each pixel of each row")
    if strange := strange_moment(noise):
        raise NotYet("the noise of x has the right variance, but it is no Gaussian" if len(strange) == 1 else
                     "the noise of one pixel depends on another's")
    if depend_on_each_other(noise) or occur_again(noise):
        raise NotYet("the rows of the noise depend on each other: draw each anew")


def judge_together(z: np.ndarray, noise: np.ndarray) -> None:
    both = np.column_stack([z, noise])
    if strange_moment(both) or depend_on_each_other(both):
        raise NotYet("the noise of x depends on z: draw it anew")


def judge_scale(z: np.ndarray, noise: np.ndarray, numbers: np.ndarray) -> None:
    """Where the draws are the generator's own numbers in the usual order, their scale is known to more digits."""
    for name, found, drawn in (("z", np.abs(z).ravel(), np.abs(numbers[:z.size])),
                               ("the noise of x", np.abs(noise).ravel(), np.abs(numbers[z.size:]))):
        scale = np.sum(found * drawn) / np.sum(drawn**2)
        if np.all(np.abs(found - scale * drawn) < 1e-3) and abs(scale - 1) > 1e-4:
            raise NotYet(f"{name} is {scale:.4f} times as large as it should be")


def strange_moment(u: np.ndarray) -> tuple[int, ...]:
    """The columns whose moment, up to the fourth, is not that of independent N(0, 1); empty if there are none.

    The mean of a product of powers u_i^a u_j^b ... is that of E u^a times E u^b ..., and E u^a is 0 for an odd a and
    1 * 3 * ... * (a - 1) for an even one; its variance follows from twice the powers.
    """
    columns = range(u.shape[1])
    monomials = [indices for degree in range(3) for indices in itertools.combinations_with_replacement(columns, degree)]
    values = np.array([np.prod(u.T[list(indices)], axis=0) for indices in monomials])
    powers = np.array([[indices.count(i) for i in columns] for indices in monomials])
    powers = powers[:, None] + powers
    mean, mean_square = MOMENTS[powers].prod(axis=2), MOMENTS[2 * powers].prod(axis=2)
    strange = np.abs(values @ values.T / len(u) - mean) > STANDARD_ERRORS * np.sqrt((mean_square - mean**2) / len(u))
    return tuple(np.flatnonzero(powers[strange][0])) if strange.any() else ()


def depend_on_each_other(u: np.ndarray) -> bool:
    """Whether a row is like the next one, as in sorted draws."""
    neighbours = u[:-1].T @ u[1:] / len(u)
    return bool(np.any(np.abs(neighbours) > STANDARD_ERRORS / np.sqrt(len(u))))


def occur_again(u: np.ndarray) -> bool:
    """Whether rows occur again, up to signs, as where they are repeated or mirrored."""
    keys = np.rint(1000 * np.abs(u)).astype(np.int64) @ 10_000**np.arange(u.shape[1])
    return bool(np.count_nonzero(np.diff(np.sort(keys))) + 1 < 0.9 * len(u))


@exercise("log_px_given_z", "log_w")
def grid_posterior(answer: Any, rng: np.random.Generator) -> None:
    log_px, log_w = 3 * rng.standard_normal(30), rng.standard_normal(30) - 3

    def normal(log_p: Any) -> Any:
        p = np.exp(log_p - np.max(log_p))
        return p / p.sum()
    joint = log_px + log_w
    expect(answer(log_px, log_w), normal(joint), "the posterior", {
        "the probabilities do not sum to 1: divide by p(x)": np.exp(joint),
        "the largest is 1; it is the sum that must be 1": np.exp(joint - np.max(joint)),
        "the prior is missing": normal(log_px),
        "the likelihood is missing": normal(log_w),
        "the prior is divided out; multiply by it, that is, add its logarithm": normal(log_px - log_w),
        "the logarithms are multiplied; they add": normal(log_px * log_w),
        "log_w is a logarithm: add it to the other before exp": normal(log_px + np.log(np.abs(log_w))),
        "the logarithms themselves are divided by their sum: undo them with exp first": joint / joint.sum(),
        "that is p(x), one number; return the probability of each point": np.sum(np.exp(joint)),
        "those are the logarithms of the probabilities": joint - np.log(np.sum(np.exp(joint)))})
    low = rng.permutation(np.repeat([0.0, -2000.0], 15))
    for d_px, d_w in ((-2000.0, 0.0), (low, 0.0), (low, -2000.0 - low)):    # all, some points, all again in another way
        far = numbers(answer(log_px + d_px, log_w + d_w), joint.shape, "the posterior")
        if far.shape != joint.shape or not np.allclose(far, normal(joint + d_px + d_w), rtol=2e-3, atol=1e-9):
            raise NotYet("at -2000 it breaks down: exp(-2000) is 0. Subtract the largest logarithm before exp")
