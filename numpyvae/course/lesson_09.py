"""The exercises of lesson 9: the optimum in closed form, the exact encoder, the cost of a turn, an angle."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import exercise, expect, expect_parts
from .common import rotation


def _eigenvalues(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Seven to ten of them, falling, and a Z of two to four: no half or third of D, where mistakes look alike."""
    n = int(rng.integers(7, 11))
    values = np.cumsum(rng.uniform(0.2, 1.0, n) * np.linspace(0.5, 3, n))[::-1]
    return values, int(rng.choice([Z for Z in (2, 3, 4) if n not in (2 * Z, 3 * Z)]))


@exercise("eigenvalues", "n_latent")
def best_linear_vae(answer: Any, rng: np.random.Generator) -> None:
    values, Z = _eigenvalues(rng)
    D, left, noise = len(values), values[Z:], values[Z:].mean()
    kept, rest, constant = np.log(values[:Z]).sum(), (D - Z) * np.log(noise), D * np.log(2 * np.pi)
    right = -0.5 * (kept + rest + constant + D)
    size = 0.5 * (np.abs(np.log(values)).sum() + abs(rest) + constant + D)
    expect_parts(answer(values, Z), "numbers", variance=(noise, {
        "variance: that is sigma; its square was asked for": np.sqrt(noise),
        "variance: it is a sum; take the mean of the D - Z discarded ones": left.sum(),
        "variance: divide by D - Z, the number of the discarded ones, not by D": left.sum() / D,
        "variance: divide by D - Z, the number of the discarded ones, not by Z": left.sum() / Z,
        "variance: those are the kept ones, which W explains; average the others": values[:Z].mean(),
        "variance: that is the mean of all; the Z largest are explained by W": values.mean(),
        "variance: that is the smallest alone": values[-1],
        "variance: that is the largest of the discarded ones alone": left[0],
        "variance: one too few is discarded: Python counts from 0": left[1:].mean(),
        "variance: one too many is discarded: Python counts from 0": values[Z - 1:].mean(),
        "variance: that is the median; the derivative asks for the mean": np.median(left),
        "variance: the roots are averaged; average the eigenvalues": [np.sqrt(left).mean(), np.sqrt(left).mean()**2],
        "variance: the logarithms are averaged; average the eigenvalues": [
            np.log(left).mean(), np.exp(np.log(left).mean())]}),
        log_p=(right, {
            "log_p: the half is missing": 2 * right,
            "log_p: the sign is flipped: large eigenvalues make a density small": -right,
            "log_p: the D of the trace is missing: tr(C^-1 V) is not 0": right + 0.5 * D,
            "log_p: D log 2 pi is missing": right + 0.5 * constant,
            "log_p: both D and D log 2 pi are missing": right + 0.5 * (D + constant),
            "log_p: there is a log 2 pi for each of the D axes": right + 0.5 * (constant - np.log(2 * np.pi)),
            "log_p: log sigma^2 counts D - Z times": [right + 0.5 * (rest - n * np.log(noise)) for n in (1, Z, D)],
            "log_p: that is log sigma where log sigma^2 belongs": right + 0.25 * rest,
            "log_p: the discarded axes are missing: each has the variance sigma^2": right + 0.5 * rest,
            "log_p: the kept axes are missing": right + 0.5 * kept,
            "log_p: each discarded axis keeps its eigenvalue here; in the model all have the same variance, sigma^2":
                right + 0.5 * (rest - np.log(left).sum()),
            "log_p: the logarithms of the eigenvalues are missing": [
                -0.5 * (values[:Z].sum() + (D - Z) * noise + constant + D), -0.5 * (values.sum() + constant + D),
                right + 0.5 * (kept - values[:Z].sum())],
            "log_p: a kept axis has the variance lambda, not lambda - sigma^2: W and the noise add up":
                right + 0.5 * (kept - np.log(values[:Z] - noise).sum())}, size))


@exercise("x", "mean", "W", "sigma")
def linear_posterior(answer: Any, rng: np.random.Generator) -> None:
    Z, D = 3, int(rng.integers(5, 8))
    W, mean, sigma = rng.standard_normal((Z, D)), rng.uniform(1, 2, D), float(rng.uniform(0.5, 0.8))
    x = mean + rng.standard_normal((6, Z)) @ W + sigma * rng.standard_normal((6, D))
    r = x - mean

    def inverse(noise: float) -> np.ndarray:
        return np.linalg.inv(W @ W.T + noise * np.eye(Z))
    M, right = W @ W.T + sigma**2 * np.eye(Z), inverse(sigma**2)
    expect_parts(
        answer(x, mean, W, sigma), "arrays",
        mu=(r @ W.T @ right, {
            "mu: the mean picture has to be subtracted from x first": x @ W.T @ right,
            "mu: M has to be inverted": r @ W.T @ M,
            "mu: M^-1 is missing": [r @ W.T, r @ W.T / sigma**2],
            "mu: sigma stands in M where its square belongs": r @ W.T @ inverse(sigma),
            "mu: sigma^2 is missing from M; that is least squares, which trusts the picture too much":
                r @ W.T @ inverse(0.0),
            "mu: only the diagonal of M is used; W's rows need not be at right angles": r @ W.T / np.diag(M),
            "mu: sigma^2 belongs to the covariance; in mu it cancels": [
                sigma**2 * r @ W.T @ right, r @ W.T @ right / sigma**2],
            "mu: I has the variance 1, and M the variance sigma^2 on its diagonal": r @ W.T @ inverse(1.0),
            "mu: that is the picture that mu decodes to": r @ W.T @ right @ W}),
        covariance=(sigma**2 * right, {
            "covariance: sigma^2 is missing in front of M^-1": right,
            "covariance: sigma stands in front where its square belongs": sigma * right,
            "covariance: sigma stands in M where its square belongs": sigma**2 * inverse(sigma),
            "covariance: that is the precision; invert it": M / sigma**2,
            "covariance: M has to be inverted": [M, sigma**2 * M],
            "covariance: it is divided by sigma^2 where it is multiplied": right / sigma**2,
            "covariance: I is missing from the precision": sigma**2 * inverse(0.0),
            "covariance: off the diagonal it is not 0": [np.diag(np.diag(sigma**2 * right)),
                                                         np.diag(sigma**2 / np.diag(M))]}))


@exercise("W", "sigma", "angle")
def turned_gap(answer: Any, rng: np.random.Generator) -> None:
    D, sigma, angle = int(rng.integers(4, 7)), float(rng.uniform(0.75, 0.9)), float(rng.uniform(0.4, 0.7))
    axes = np.linalg.qr(rng.standard_normal((D, 2)))[0].T
    W = np.array([[rng.uniform(3, 4)], [rng.uniform(1, 1.5)]]) * axes
    turn = rotation(angle)

    def gap(noise: float, R: np.ndarray = turn) -> float:
        M = R @ W @ W.T @ R.T + noise * np.eye(2)
        return float(0.5 * (np.log(np.diag(M)).sum() - np.log(np.linalg.det(M))))
    M = turn @ W @ W.T @ turn.T + sigma**2 * np.eye(2)
    right = gap(sigma**2)
    first, second = np.diag(W @ W.T) + sigma**2
    expect(answer(W, sigma, angle), right, "the gap", {
        "the half is missing": 2 * right,
        "a gap is never negative: log M_jj minus log det M": -right,
        "sigma^2 is missing from M": gap(0.0),
        "sigma stands in M where its square belongs": gap(sigma),
        "I has sigma^2 in front, not 1": gap(1.0),
        "log det M is missing": [0.5 * np.log(np.diag(M)).sum(), np.log(np.diag(M)).sum()],
        "log det M is added; it is subtracted": 0.5 * (np.log(np.diag(M)).sum() + np.log(np.linalg.det(M))),
        "the logarithms are missing": [0.5 * (np.diag(M).sum() - np.linalg.det(M)), 0.5 * np.diag(M).prod()],
        "the logarithm of the sum is taken; sum the logarithms":
            0.5 * (np.log(np.diag(M).sum()) - np.log(np.linalg.det(M))),
        "W is not turned: that is 0, the gap before": [0.0, gap(sigma**2, np.eye(2))],
        "the angle is in radians as it is": gap(sigma**2, rotation(np.radians(angle))),
        "that is the formula for small angles": 0.5 * angle**2 * (first - second)**2 / (first * second),
        "the sine is of twice the angle": 0.5 * np.log(
            1 + (first - second)**2 / (4 * first * second) * np.sin(angle)**2)}, scale=1.0)


@exercise("A", "B")
def largest_angle(answer: Any, rng: np.random.Generator) -> None:
    D, Z = int(rng.integers(7, 10)), 3
    basis = np.linalg.qr(rng.standard_normal((D, 2 * Z)))[0].T
    angles = np.radians([rng.uniform(10, 20), rng.uniform(28, 40), rng.uniform(50, 75)])
    A, B = basis[:Z], np.cos(angles)[:, None] * basis[:Z] + np.sin(angles)[:, None] * basis[Z:]

    def mixed(rows: np.ndarray) -> np.ndarray:
        """Other rows with the same span."""
        Q = np.linalg.qr(rng.standard_normal((Z, Z)))[0]
        return np.array([[1, 0, 0], [0.6, 1, 0], [-0.4, 0.5, 1]]) @ (rng.uniform(0.6, 1.6, (Z, 1)) * (Q @ rows))
    A, B = mixed(A), mixed(B)
    unit_A, unit_B = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (A, B))
    cosines = np.cos(angles)

    def degrees(some: np.ndarray) -> np.ndarray:
        return np.degrees(np.arccos(np.clip(some, -1, 1)))
    unturned = np.linalg.svd(unit_A @ unit_B.T, compute_uv=False)
    expect(answer(A, B), degrees(cosines[-1]), "the angle", {
        "that is in radians; degrees were asked for": angles[-1],
        "that is the smallest angle; the largest has the smallest cosine": degrees(cosines[0]),
        "that is the one in the middle": degrees(cosines[1]),
        "that is the mean of the angles": degrees(cosines).mean(),
        "that is the cosine; take np.arccos": cosines[-1],
        "that is a cosine, and of the smallest angle": cosines[0],
        "the singular values are cosines, not sines": np.degrees(np.arcsin(cosines[-1])),
        "those are all of them; return the largest": degrees(cosines),
        "scaling the rows to length 1 is not enough, they must be at right angles as well: use QR": [
            degrees(unturned[-1]), degrees(unturned[0]), degrees(np.abs(unit_A @ unit_B.T).min()),
            degrees(np.diag(unit_A @ unit_B.T)).max()],
        "A and B themselves have other singular values: first np.linalg.qr(A.T)":
            degrees(np.linalg.svd(A @ B.T, compute_uv=False)[-1])})
