"""The exercises of lesson 4: ELBO and gap on a grid, the q that matches, what a diagonal q cannot do."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import exercise, expect, expect_parts


def _log_normal(z: np.ndarray, mean: float, sigma: float) -> np.ndarray:
    return -0.5 * ((z - mean) / sigma)**2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)


@exercise("log_pxz", "log_q", "area")
def elbo_and_gap(answer: Any, rng: np.random.Generator) -> None:
    z, area = np.linspace(-8, 8, 2 * int(rng.integers(1000, 2000)) + 1, retstep=True)
    log_prior = _log_normal(z, 0, 1)
    log_pxz = log_prior + _log_normal(z, rng.uniform(0.5, 1.5), 0.7) - rng.uniform(2, 5)
    log_q = _log_normal(z, rng.uniform(-0.5, 1), rng.uniform(0.4, 0.8))
    q, log_px = np.exp(log_q), np.log(np.sum(np.exp(log_pxz)) * area)
    bound = np.sum(q * (log_pxz - log_q)) * area
    expect_parts(answer(log_pxz, log_q, float(area)), "numbers", **{
        "the ELBO": (bound, {
            "the term - log q is missing": np.sum(q * log_pxz) * area,
            "log q is added; it is subtracted": np.sum(q * (log_pxz + log_q)) * area,
            "the average is over q, not over the joint": np.sum(np.exp(log_pxz) * (log_pxz - log_q)) * area,
            "it is not averaged over q: weight each point by q times the area": [
                np.sum(log_pxz - log_q) * area, np.sum(log_pxz - log_q), np.mean(log_pxz - log_q)],
            "q is exp(log_q): undo the logarithm of the weight": np.sum(log_q * (log_pxz - log_q)) * area,
            "the area of a cell is missing from the sum": bound / area,
            "it is a mean over the grid; sum, times the area of a cell": bound / area / len(z),
            "that is log p(x) itself": log_px,
            "the ELBO has the wrong sign: it is log p(x, z) - log q": -bound}, abs(log_px)),
        "the gap": (log_px - bound, {
            "the gap is never negative: it is log p(x) - ELBO": bound - log_px,
            "that is the KL to the prior, not the gap": np.sum(q * (log_q - log_prior)) * area,
            "the gap is to the posterior: divide the joint by p(x) first": -bound,
            "the ELBO is added; the gap is log p(x) - ELBO": log_px + bound,
            "the area is missing from p(x)": log_px - np.log(area) - bound,
            "that is p(x) - ELBO: take the logarithm of p(x)": np.exp(log_px) - bound,
            "that is log p(x) itself": log_px}, abs(log_px))})


@exercise("z", "p")
def matching_q(answer: Any, rng: np.random.Generator) -> None:
    z = rng.standard_normal((50, 2)) * np.array([1.0, 2.0]) + rng.choice([-1.0, 1.0], 2)
    p = rng.random(50)**2
    p /= p.sum()
    mu = p @ z
    variance = p @ (z - mu)**2
    n = 50
    expect_parts(answer(z, p), "arrays", mu=(mu, {
        "the mean is not weighted by p": z.mean(axis=0),
        "mu is a mean of p z; the weights sum to 1 already, so it is a sum": mu / n,
        "mu is the likeliest point; the mean is weighted by p": z[p.argmax()]}),
        logvar=(np.log(variance), {
            "that is the variance: take its logarithm": variance,
            "that is the standard deviation": np.sqrt(variance),
            "that is log sigma, half of logvar": 0.5 * np.log(variance),
            "the variance is not weighted by p": [np.log(np.mean((z - centre)**2, axis=0))
                                                  for centre in (mu, z.mean(axis=0))],
            "the sign is flipped: that is the logarithm of the precision": -np.log(variance),
            "the deviations are not squared": [np.log(p @ np.abs(z - mu)), 2 * np.log(p @ np.abs(z - mu))],
            "logvar is a mean of logarithms; take the logarithm of the mean": p @ np.log((z - mu)**2),
            "that is one number; each dimension has its own": [np.log(variance.sum()), np.log(variance.mean())],
            "the mean is not subtracted before squaring": np.log(p @ z**2)}, 1.0))


@exercise("C")
def diagonal_gap(answer: Any, rng: np.random.Generator) -> None:
    k = int(rng.integers(2, 5))
    A = rng.standard_normal((k, k))
    C = A @ A.T + 0.5 * np.eye(k)
    precision, marginal, log_det = np.diag(np.linalg.inv(C)), np.diag(C), np.log(np.linalg.det(C))
    right = 0.5 * (log_det + np.sum(np.log(precision)))
    expect(answer(C), right, "the gap", {
        "the half is missing": 2 * right,
        "you used the marginal variances C_ii: they are best for the other KL, from the posterior to q":
            0.5 * (np.sum(precision * marginal) - k + log_det - np.sum(np.log(marginal))),
        "that is the other KL, from the posterior to q": 0.5 * (np.sum(np.log(marginal)) - log_det),
        "a KL is never negative": -right,
        "the determinant of C is missing": 0.5 * np.sum(np.log(precision)),
        "det S is missing": [0.5 * log_det, log_det],
        "log det C is subtracted; it is added": 0.5 * (np.sum(np.log(precision)) - log_det),
        "the logarithm of the determinant is missing": 0.5 * (np.exp(log_det) + np.sum(np.log(precision))),
        "the trace of C^-1 S is the dimension here: it cancels against k": [right + 0.5 * k, right - 0.5 * k],
        "that holds for two dimensions with variance 1 alone; use (4.5)":
            -0.5 * np.log(max(1 - C[0, 1]**2 / C[0, 0] / C[1, 1], 1e-300)) if k > 2 else -1.0,
    }, scale=0.5 * (abs(log_det) + np.sum(np.abs(np.log(precision)))))
