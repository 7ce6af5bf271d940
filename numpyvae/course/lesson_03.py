"""The exercises of lesson 3: the Gaussian's logarithm, ancestral sampling, the posterior on a grid."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect

STANDARD_ERRORS = 6


@exercise
def log_likelihood(answer: Any, rng: np.random.Generator) -> None:
    x, m, sigma, D = rng.standard_normal((4, 5)), rng.standard_normal((4, 5)), float(rng.uniform(0.3, 0.7)), 5
    square = np.sum((x - m)**2, axis=1) / (2 * sigma**2)
    right = -square - D * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
    expect(answer(x, m, sigma), right, "the logarithm", {
        "the sign is flipped: that is the NLL": -right,
        "the normaliser is missing: the density would not integrate to 1": -square,
        "log sigma is missing": right + D * np.log(sigma),
        "1/2 log(2 pi) is missing": right + 0.5 * D * np.log(2 * np.pi),
        "the normaliser is counted once; it belongs to every pixel": -square - np.log(sigma) - 0.5 * np.log(2 * np.pi),
        "it is a mean over the pixels; the logarithms of independent pixels add up": right / D,
        "the half in front of the square is missing": right - square,
        "sigma is not squared": right + square - square * sigma,
        "that is the density; return its logarithm": np.exp(right)})
    grid, h = np.linspace(-12, 12, 20001, retstep=True)
    total = np.sum(np.exp(answer(grid[:, None], np.zeros((20001, 1)), 0.5))) * h
    if not abs(total - 1) < 1e-6:
        raise NotYet(f"the density integrates to {total:.4f}; expected 1")


@exercise
def ancestral_sampling(answer: Any, rng: np.random.Generator) -> None:
    A, c, sigma, n = rng.standard_normal((2, 3)), rng.standard_normal(3), 0.5, 40_000

    def f(z: Any) -> Any:
        return np.asarray(z) @ A + c
    result = answer(f, sigma, n, rng)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("expected two arrays: z and x")
    z, x = (np.asarray(part, dtype=float) for part in result)
    if z.shape != (n, 2) or x.shape != (n, 3):
        raise NotYet(f"the shapes are {z.shape} and {x.shape}; expected {(n, 2)} and {(n, 3)}")
    if np.any(np.abs(z.mean(axis=0)) > STANDARD_ERRORS / np.sqrt(n)) or np.any(
            np.abs(z.var(axis=0) - 1) > STANDARD_ERRORS * np.sqrt(2 / n)):
        raise NotYet("z is not drawn from N(0, I): look at its mean and its variance")
    noise = (x - f(z)).var(axis=0)
    if np.all(noise == 0):
        raise NotYet("x is f(z) itself; that is the mean, not a sample: add the noise")

    def is_about(variance: float) -> bool:
        return bool(np.all(np.abs(noise / variance - 1) < STANDARD_ERRORS * np.sqrt(2 / n)))
    if is_about(sigma**4):
        raise NotYet("the noise has standard deviation sigma^2; sigma is the standard deviation")
    if is_about(sigma):
        raise NotYet("the noise has variance sigma; sigma is the standard deviation, its square the variance")
    if is_about(1.0):
        raise NotYet("the noise is not scaled by sigma")
    if not is_about(sigma**2):
        raise NotYet(f"x - f(z) has variance {noise.mean():.3f}, expected sigma^2 = {sigma**2}; "
                     "is x drawn from this z?")


@exercise
def grid_posterior(answer: Any, rng: np.random.Generator) -> None:
    log_px, log_w = 3 * rng.standard_normal(30), rng.standard_normal(30) - 3

    def normal(log_p: Any) -> Any:
        p = np.exp(log_p - np.max(log_p))
        return p / p.sum()
    expect(answer(log_px, log_w), normal(log_px + log_w), "the posterior", {
        "the probabilities do not sum to 1: divide by p(x)": np.exp(log_px + log_w),
        "the largest is 1; it is the sum that must be 1": np.exp(log_px + log_w - np.max(log_px + log_w)),
        "the prior is missing": normal(log_px),
        "the likelihood is missing": normal(log_w),
        "those are the logarithms of the probabilities": log_px + log_w - np.log(np.sum(np.exp(log_px + log_w)))})
    far = np.asarray(answer(log_px - 2000, log_w), dtype=float)
    if not np.isfinite(far).all() or not np.allclose(far, normal(log_px + log_w)):
        raise NotYet("at -2000 it breaks down: exp(-2000) is 0. Subtract the largest logarithm before exp")
