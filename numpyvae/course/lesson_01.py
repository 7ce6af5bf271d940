"""The exercises of lesson 1: the squared error's gradient, a Gaussian fitted to codes, the share of holes."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect


@exercise
def squared_error_gradient(answer: Any, rng: np.random.Generator) -> None:
    m, x, sigma = rng.random((4, 6)), rng.random((4, 6)), float(rng.uniform(0.3, 0.7))
    right = (m - x) / sigma**2 / 4
    expect(answer(m, x, sigma), right, "the gradient", {
        "the loss is a mean over the batch: divide by the number of rows": 4 * right,
        "there is a 2 too many: it cancels the half in front of the square": 2 * right,
        "you divided by sigma, not by its square": right * sigma,
        "sigma is missing": right * sigma**2,
        "the mean is taken over the pixels as well; sum over the pixels": right / 6,
        "the wrong way round: where m is too bright, the gradient is positive": -right,
        "that is the loss, not its gradient": 0.5 * np.mean(np.sum((m - x)**2, axis=1)) / sigma**2,
    })


@exercise
def fit_gaussian(answer: Any, rng: np.random.Generator) -> None:
    codes = rng.standard_normal((2000, 3)) @ rng.standard_normal((3, 3)) + rng.standard_normal(3)
    result = answer(codes)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("expected two arrays: the mean and the covariance matrix")
    mean, covariance = codes.mean(axis=0), np.cov(codes.T)
    expect(result[0], mean, "the mean", {"the mean is taken over the wrong axis": codes.mean(axis=1),
                                         "that is the mean of all numbers; each column has its own": codes.mean()})
    expect(result[1], covariance, "the covariance", {
        "those are the variances alone; the codes are correlated": codes.var(axis=0),
        "the covariance is not zero off the diagonal": np.diag(codes.var(axis=0)),
        "that is the correlation matrix: the scale is lost": np.corrcoef(codes.T),
        "the mean is not subtracted": codes.T @ codes / 2000,
        "divide by the number of codes": covariance * 2000,
        "that is the covariance between images, (N, N): use the other axis": np.zeros((2000, 2000)),
    }, rtol=2e-3, atol=2e-3)


@exercise
def share_of_holes(answer: Any, rng: np.random.Generator) -> None:
    mistakes: dict[str, Any] = {}
    right, limit = 0.0, 0.3
    while len({right, *mistakes.values()}) < 7:    # shares are coarse: redraw until no two answers are the same
        codes, z = rng.standard_normal((60, 2)), 1.5 * rng.standard_normal((51, 2))
        distance = np.sqrt(np.sum((z[:, None] - codes)**2, axis=2))
        right = np.mean(distance.min(axis=1) > limit)
        mistakes = {
            "that is the share outside the holes": np.mean(distance.min(axis=1) <= limit),
            "the square root is missing: squared distances are compared": np.mean(distance.min(axis=1)**2 > limit),
            "that is the number of codes; divide by how many there are": np.sum(distance.min(axis=1) > limit),
            "that counts pairs; take the code nearest to each z first": np.mean(distance > limit),
            "that is the mean distance to all codes; take the nearest": np.mean(distance.mean(axis=1) > limit),
            "that takes the z nearest to each code: use the other axis": np.mean(distance.min(axis=0) > limit)}
    expect(answer(z, codes, limit), right, "the share", mistakes)
