"""The exercises of lesson 4: ELBO and gap on a grid, the q that matches, what a diagonal q cannot do."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect


def _log_normal(z: np.ndarray, mean: float, sigma: float) -> np.ndarray:
    return -0.5 * ((z - mean) / sigma)**2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)


@exercise
def elbo_and_gap(answer: Any, rng: np.random.Generator) -> None:
    z, area = np.linspace(-8, 8, 4001, retstep=True)
    log_prior = _log_normal(z, 0, 1)
    log_pxz = log_prior + _log_normal(z, rng.uniform(0.5, 1.5), 0.7) - rng.uniform(2, 5)
    log_q = _log_normal(z, rng.uniform(-0.5, 1), rng.uniform(0.4, 0.8))
    q, log_px = np.exp(log_q), np.log(np.sum(np.exp(log_pxz)) * area)
    bound = np.sum(q * (log_pxz - log_q)) * area
    result = answer(log_pxz, log_q, area)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("expected two numbers: the ELBO and the gap")
    expect(result[0], bound, "the ELBO", {
        "the term - log q is missing": np.sum(q * log_pxz) * area,
        "the average is over q, not over the joint": np.sum(np.exp(log_pxz) * (log_pxz - log_q)) * area,
        "the area of a cell is missing from the sum": bound / area,
        "the ELBO has the wrong sign: it is log p(x, z) - log q": -bound})
    expect(result[1], log_px - bound, "the gap", {
        "the gap is never negative: it is log p(x) - ELBO": bound - log_px,
        "that is the KL to the prior, not the gap": np.sum(q * (log_q - log_prior)) * area,
        "the gap is to the posterior: divide the joint by p(x) first": -bound,
        "that is log p(x) itself": log_px})


@exercise
def matching_q(answer: Any, rng: np.random.Generator) -> None:
    z = rng.standard_normal((50, 2)) * np.array([1.0, 2.0])
    p = rng.random(50)
    p /= p.sum()
    mu = p @ z
    variance = p @ (z - mu)**2
    result = answer(z, p)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("expected two arrays: mu and logvar")
    expect(result[0], mu, "mu", {"the mean is not weighted by p": z.mean(axis=0)})
    expect(result[1], np.log(variance), "logvar", {
        "that is the variance: take its logarithm": variance,
        "that is the standard deviation": np.sqrt(variance),
        "that is log sigma, half of logvar": 0.5 * np.log(variance),
        "the variance is not weighted by p": np.log(z.var(axis=0)),
        "the mean is not subtracted before squaring": np.log(p @ z**2)})


@exercise
def diagonal_gap(answer: Any, rng: np.random.Generator) -> None:
    A = rng.standard_normal((3, 3))
    C = A @ A.T + 0.5 * np.eye(3)
    precision, marginal = np.diag(np.linalg.inv(C)), np.diag(C)
    right = 0.5 * (np.log(np.linalg.det(C)) + np.sum(np.log(precision)))
    expect(answer(C), right, "the gap", {
        "the half is missing": 2 * right,
        "you used the marginal variances C_ii: they are best for the other KL, from the posterior to q":
            0.5 * (np.sum(precision * marginal) - 3 + np.log(np.linalg.det(C)) - np.sum(np.log(marginal))),
        "that is the other KL, from the posterior to q": 0.5 * (np.sum(np.log(marginal)) - np.log(np.linalg.det(C))),
        "a KL is never negative": -right,
        "the determinant of C is missing": 0.5 * np.sum(np.log(precision)),
    })
