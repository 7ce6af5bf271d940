"""The exercises of lesson 10: hidden betas, one knob, which dimensions die, the best sigma, free bits."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import exercise, expect, expect_parts


@exercise("B", "D", "Z")
def hidden_betas(answer: Any, rng: np.random.Generator) -> None:
    B, D, Z = (int(n) for n in rng.choice([30, 50, 70, 110, 130, 170], 3, replace=False))
    upside_down = "is upside down: beta is what stands before the KL, divided by what stands before the NLL"
    expect_parts(
        answer(B, D, Z), "numbers",
        a=(D, {f"a {upside_down}": 1 / D, "a: the KL is a sum over dimensions, so Z plays no part": [D / Z, D * Z],
               "a: both parts are means over the batch, so B plays no part": [D * B, D / B],
               "a: the mean over pixels counts the NLL 1/D times": 1}),
        b=(D / Z, {f"b {upside_down}": Z / D, "b: the KL is a mean over dimensions as well, so divide by Z": D,
                   "b: each part is a mean, but over another number: D pixels, Z dimensions": 1,
                   "b: dividing by D takes from the NLL, dividing by Z from the KL: one raises beta, one lowers it":
                       D * Z}),
        c=(1 / Z, {f"c {upside_down}": Z, "c: the NLL is a sum over pixels, so D plays no part": [D / Z, 1 / (D * Z)],
                   "c: the KL is a mean over dimensions, which counts it 1/Z times": 1}),
        d=(1 / B, {f"d {upside_down}": B, "d: the NLL is summed over the pictures of the batch too, the KL is not": 1,
                   "d: the NLL is a sum over pixels, so D plays no part": [D / B, 1 / (B * D), D],
                   "d: the KL is a sum over dimensions, so Z plays no part": [Z / B, 1 / (B * Z)]}))


@exercise("n_data", "beta", "sigma")
def same_vae(answer: Any, rng: np.random.Generator) -> None:
    D = int(rng.integers(20, 100))
    beta, sigma = float(rng.choice([0.2, 0.4, 3.0, 5.0]) * rng.uniform(0.9, 1.1)), float(rng.uniform(0.2, 0.6))
    s = sigma**2

    def constant(mine: float, other: float) -> float:
        return D / 2 * (np.log(2 * np.pi * mine) - beta * np.log(2 * np.pi * other))
    right, scale = constant(s, beta * s), D / 2 * max(1.0, beta) * abs(np.log(2 * np.pi * s))
    expect_parts(
        answer(D, beta, sigma), "numbers",
        sigma=(np.sqrt(beta) * sigma, {
            "that is its variance; return sigma, the square root": beta * s,
            "beta multiplies the variance, so sigma is multiplied by its square root": beta * sigma,
            "the variance is multiplied by beta, not divided": [sigma / np.sqrt(beta), sigma / beta, s / beta],
            "sigma does not stay as it is: the variance is multiplied by beta": sigma}),
        constant=(right, {
            "in the constant both logarithms have the same variance; the second one's is beta sigma^2": constant(s, s),
            "the constant's second logarithm is not multiplied by beta": D / 2 * -np.log(beta),
            "the constant belongs to one pixel; there are n_data": right / D,
            "the half is missing in the constant": 2 * right,
            "the constant has the wrong sign: it is what is added to beta L(1, beta sigma^2)": -right,
            "the constant has sigma where its square belongs": constant(sigma, beta * sigma),
            "the 2 pi is missing in the constant": D / 2 * (np.log(s) - beta * np.log(beta * s))}, scale))


@exercise("eigenvalues", "beta", "sigma")
def kl_of_dimensions(answer: Any, rng: np.random.Generator) -> None:
    beta, sigma = float(rng.uniform(2.0, 4.0)), float(rng.uniform(0.3, 0.6))
    # Both sides of every threshold that a wrong answer may take: beta sigma^2, sigma^2, beta sigma, sigma, beta.
    marks = np.sort([sigma**2, beta * sigma**2, beta * sigma, sigma, beta, sigma**2 / beta])
    values = np.sort(np.concatenate([0.8 * marks, marks * rng.uniform(1.1, 1.3, len(marks))]))[::-1]
    level = beta * sigma**2

    def alive(level: float, half: float = 0.5) -> Any:
        return half * np.log(np.maximum(values / level, 1))
    cut = np.where(values > level, values, np.nan)
    expect(answer(values, beta, sigma), alive(level), "the KL", {
        "below the threshold the logarithm is negative; a KL never is: the dimension is dead, its KL 0":
            0.5 * np.log(values / level),
        "the half is missing": alive(level, 1.0),
        "beta was left out: the threshold is beta sigma^2": [alive(sigma**2), 0.5 * np.log(values / sigma**2)],
        "sigma is a standard deviation: the threshold is beta sigma^2": [alive(beta * sigma), alive(sigma)],
        "sigma was left out: the threshold is beta sigma^2": alive(beta),
        "beta multiplies sigma^2, it does not divide it": alive(sigma**2 / beta),
        "beta stands inside the logarithm; it does not multiply the KL": [beta * alive(sigma**2), beta * alive(level)],
        "that is what the code explains, lambda - beta sigma^2; the KL is half the logarithm of the ratio":
            np.maximum(values - level, 0),
        "that is what is left over, the smaller of lambda and beta sigma^2": np.minimum(values, level),
        "the sign is flipped: the ratio is lambda to beta sigma^2": -alive(level),
        "the ratio is right; its logarithm is missing": 0.5 * np.maximum(values / level, 1),
        "return the KL of each dimension; that is their sum": np.sum(alive(level)),
        "that says which dimensions live; return the KL of each": ~np.isnan(cut)})


@exercise("x", "m")
def best_sigma(answer: Any, rng: np.random.Generator) -> None:
    m = rng.standard_normal((30, 7))
    x = m + rng.uniform(0.2, 0.7) + rng.standard_normal((30, 7)) * rng.uniform(0.3, 0.9, 7)
    r = x - m
    expect(answer(x, m), np.sqrt(np.mean(r**2)), "sigma", {
        "that is sigma^2; take its square root": np.mean(r**2),
        "sum over the pixels, then mean over the pictures: divide by the number of pixels as well":
            [np.sqrt(np.mean(np.sum(r**2, axis=1))), np.mean(np.sum(r**2, axis=1))],
        "it is a sum; take the mean over all pixels of all pictures": [np.sqrt(np.sum(r**2)), np.sum(r**2)],
        "the mean of the residual is subtracted; it is an error too, and the noise has to cover it":
            [np.std(r), np.var(r), np.std(r, ddof=1), np.var(r, ddof=1)],
        "that is one sigma for each pixel; one for all was asked for": [np.sqrt(np.mean(r**2, axis=0)),
                                                                        np.std(r, axis=0)],
        "that is one sigma for each picture; one for all was asked for": [np.sqrt(np.mean(r**2, axis=1)),
                                                                          np.std(r, axis=1)],
        "that is the mean absolute error; square the residuals": np.mean(np.abs(r)),
        "positive and negative residuals cancel: square them": [np.mean(r), abs(np.mean(r)), np.mean(x - m)],
        "there is a half too many: the half of the NLL is gone where its derivative is 0":
            [np.sqrt(0.5 * np.mean(r**2)), 0.5 * np.mean(r**2)],
        "the roots are averaged; average the squares, then take the root": [np.mean(np.sqrt(np.mean(r**2, axis=0))),
                                                                            np.mean(np.sqrt(np.mean(r**2, axis=1)))],
        "that is the standard deviation of the pictures; what the decoder's mean leaves over counts": np.std(x)})


@exercise("kl", "minimum", "beta")
def free_bits_backward(answer: Any, rng: np.random.Generator) -> None:
    minimum, beta = float(rng.uniform(0.3, 0.6)), float(rng.uniform(1.5, 3.0))
    means = minimum * rng.permutation([0.1, 0.6, 0.85, 1.2, 1.6, 2.5])
    shares = rng.uniform(0.05, 1.0, (5, 6))
    shares[0] += 1.5    # in each column there are entries on both sides of the minimum, more or less
    kl = means * shares / shares.mean(axis=0)
    counts = np.broadcast_to(means > minimum, kl.shape)
    right = counts * beta / len(kl)
    expect(answer(kl, minimum, beta), right, "the gradient", {
        "each entry is compared with the minimum; compare the mean over the batch, a whole column at a time":
            [(kl > minimum) * beta / len(kl), (kl > minimum) * beta, (kl > minimum) * 1.0],
        "the mean over the batch divides each entry's share by B": counts * beta,
        "beta is missing": [counts / len(kl), counts * 1.0],
        "it is the other way round: where the mean is above the minimum, the KL counts": [
            ~counts * beta / len(kl), ~counts * beta, ~counts * 1.0],
        "below the minimum the loss does not change with the KL: the gradient is 0 there":
            np.full(kl.shape, beta / len(kl)),
        "the sign is flipped: more KL, more loss": -right,
        "the KL itself is in it; the derivative of the KL for itself is 1": counts * kl * beta / len(kl),
        "that is the loss; return its gradient for each entry": beta * np.sum(np.maximum(minimum, means)),
        "it is divided by the number of dimensions; only the batch is averaged": [
            counts * beta / kl.size, counts * beta / kl.shape[1]],
        "that is the gradient for each column's mean; each entry has its own": [
            beta * (means > minimum), beta * (means > minimum) / len(kl)],
        "the sum over the batch is compared with the minimum; compare the mean":
            np.broadcast_to(kl.sum(axis=0) > minimum, kl.shape) * beta / len(kl),
        "the sum of all dimensions is compared with the minimum; each has its own":
            (kl.sum(axis=1, keepdims=True) > minimum) * np.full(kl.shape, beta / len(kl)),
        "the mean runs over the dimensions; it has to run over the batch, axis 0":
            (kl.mean(axis=1, keepdims=True) > minimum) * np.full(kl.shape, beta / len(kl))})
