"""The exercises of lesson 1: the squared error's gradient, a Gaussian fitted to codes, holes, a change of the codes."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import exercise, expect, expect_parts

EDGE = 2e-4    # how near some codes lie to the limit, relatively: more than float32 errs, less than a wrong constant


@exercise("m", "x", "sigma")
def squared_error_gradient(answer: Any, rng: np.random.Generator) -> None:
    m, x, sigma = rng.random((4, 6)), rng.random((4, 6)), float(rng.uniform(0.3, 0.7))
    right = (m - x) / sigma**2 / 4
    expect(answer(m, x, sigma), right, "the gradient", {
        "the loss is a mean over the batch: divide by the number of rows": 4 * right,
        "there is a 2 too many: it cancels the half in front of the square": 2 * right,
        "the half in front of the square belongs to the loss; the 2 of the square cancels it": 0.5 * right,
        "you divided by sigma, not by its square": right * sigma,
        "sigma is missing": right * sigma**2,
        "you multiplied by sigma^2; divide by it": right * sigma**4,
        "the mean is taken over the pixels as well; sum over the pixels": right / 6,
        "the mean is taken over the pixels; take it over the batch, and sum over the pixels": right * 4 / 6,
        "the wrong way round: where m is too bright, the gradient is positive": -right,
        "that is one number per row; the gradient has one for each pixel": right.sum(axis=1),
        "that is the loss, not its gradient": 0.5 * np.mean(np.sum((m - x)**2, axis=1)) / sigma**2,
    })


@exercise("codes")
def fit_gaussian(answer: Any, rng: np.random.Generator) -> None:
    n = 200
    spread: Any = np.zeros((3, 3))
    while not (spread.min() < -0.2 and np.sort(spread.ravel())[-4] > 0.2):    # one pair falls together, one rises
        codes = rng.standard_normal((n, 3)) @ rng.standard_normal((3, 3)) + rng.standard_normal(3)
        spread = np.corrcoef(codes.T)
    mean = codes.mean(axis=0)
    scatter = (codes - mean).T @ (codes - mean)
    variances, both = np.diag(scatter) / n, (n, n - 1)    # statisticians divide by n - 1: just as good
    means: dict[str, Any] = {"the mean is taken over the wrong axis": codes.mean(axis=1),
                             "that is the mean of all numbers; each column has its own": codes.mean(),
                             "that is the sum of the codes; divide by how many there are": codes.sum(axis=0)}
    covariances: dict[str, Any] = {
        "those are the variances alone; the codes are correlated": [n * variances / m for m in both],
        "those are the standard deviations; return the covariance matrix": [np.sqrt(n * variances / m) for m in both],
        "the covariance is not zero off the diagonal": [np.diag(n * variances / m) for m in both],
        "that is the correlation matrix: the scale is lost": spread,
        "the mean is not subtracted": [codes.T @ codes / m for m in both],
        "divide by the number of codes": scatter,
        "two codes that fall together have a negative covariance": [np.abs(scatter / m) for m in both],
        "that is its Cholesky factor; return the covariance itself": [np.linalg.cholesky(scatter / m) for m in both],
        "that is its inverse, the precision": [np.linalg.inv(scatter / m) for m in both],
        "that is the covariance between images, (N, N): use the other axis": np.cov(codes)}
    expect_parts(answer(codes), "arrays", **{"the mean": (mean, means),
                                             "the covariance": ([scatter / m for m in both], covariances)})


@exercise("z", "codes", "limit")
def share_of_holes(answer: Any, rng: np.random.Generator) -> None:
    mistakes: dict[str, Any] = {}
    right: Any = 0.0
    while len({right, *mistakes.values()}) < 11:    # shares are coarse: redraw until no two answers are the same
        limit = float(rng.uniform(0.2, 0.3))
        z, codes = draw_codes(rng, limit)
        difference = z[:, None] - codes
        distance = np.sqrt(np.sum(difference**2, axis=2))

        def share(distance: np.ndarray) -> Any:
            return np.mean(distance.min(axis=1) > limit)
        right = share(distance)
        mistakes = {
            "that is the share outside the holes": 1 - right,
            "the square root is missing: squared distances are compared": share(distance**2),
            "that is the number of codes; divide by how many there are": len(z) * right,
            "that counts pairs; take the code nearest to each z first": np.mean(distance > limit),
            "that is the mean or the largest distance to all codes; take the nearest":
                np.mean(distance.mean(axis=1) > limit),
            "that takes the z nearest to each code: use the other axis": np.mean(distance.min(axis=0) > limit),
            "that divides by the number of codes; divide by the number of z": len(z) * right / len(codes),
            "the largest difference of coordinates is not the distance: add up their squares":
                share(np.abs(difference).max(axis=2)),
            "the sum of the differences is not the distance: square them first": share(np.abs(difference).sum(axis=2)),
            "differences are added before they are squared: opposite signs cancel":
                share(np.abs(difference.sum(axis=2)))}
    expect(answer(z, codes, limit), right, "the share", mistakes)


def draw_codes(rng: np.random.Generator, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """z (53, 3) and codes (64, 3), such that each of the first and last two rows of both is needed for the share.

    The codes lie on a grid, so far apart that each z has one of them near it; some z lie just within the limit, and
    some just beyond.
    """
    grid = np.stack(np.meshgrid(*3 * [np.arange(4.0)], indexing="ij"), axis=-1).reshape(-1, 3)
    codes = rng.permutation(grid) - 1.5
    away = rng.standard_normal((53, 3))
    away /= np.sqrt(np.sum(away**2, axis=1, keepdims=True))
    radius = limit * np.concatenate([[1.5, 1.4], np.full(5, 1 + EDGE), np.full(9, 1 - EDGE), rng.uniform(0.3, 0.9, 16),
                                     rng.uniform(1.1, 1.6, 19), [1.3, 1.2]])
    owner = rng.integers(2, 62, 53)
    owner[7:11] = 0, 1, 62, 63    # the only z near these codes, just within the limit
    return codes[owner] + radius[:, None] * away, codes


@exercise("W", "b", "A", "c")
def undo_in_the_decoder(answer: Any, rng: np.random.Generator) -> None:
    W, b = rng.standard_normal((3, 5)), rng.standard_normal(5)
    left, right = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
    A = left @ np.diag([0.5, 1.1, 2.0]) @ right    # neither singular nor nearly so: float32 inverts it well
    c = rng.choice([-1.0, 1.0], 3) * rng.uniform(0.5, 1.5, 3)
    inverse = np.linalg.inv(A)
    W_new = inverse @ W
    expect_parts(
        answer(W, b, A, c), "arrays",
        W_new=(W_new, {"W_new is A W; the decoder has to undo A: use its inverse": A @ W,
                       "W_new is W itself: A is not undone": W,
                       "A is transposed, not inverted": A.T @ W,
                       "the inverse of A is transposed": inverse.T @ W,
                       "1 / A inverts each entry by itself; np.linalg.inv(A) inverts the matrix": (1 / A) @ W}),
        b_new=(b - c @ W_new, {"b_new: the sign of c is wrong; the decoder takes c away again": b + c @ W_new,
                               "b_new: c goes through the inverse of A as well": b - c @ W,
                               "b_new: c goes through A; it has to go through its inverse": b - c @ A @ W,
                               "b_new is b itself: c is not undone": b,
                               "b_new: b is missing": -c @ W_new,
                               "b_new: the old b is missing, and the sign of c is wrong": c @ W_new}))
