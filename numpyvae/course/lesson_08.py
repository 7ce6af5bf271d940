"""The exercises of lesson 8: log-mean-exp, the weight, a bound without a fault, how many draws, the variance."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..exact import log_mean_exp as right_log_mean_exp
from ..museum import iwae as museum
from ..twin import kernels_off
from .check import NotYet, exercise, expect
from .expect import is_close, numbers


def _log_normal(z: np.ndarray, mu: Any, logvar: Any) -> np.ndarray:
    return -0.5 * np.sum((z - mu)**2 * np.exp(-logvar) + logvar + np.log(2 * np.pi), axis=1)


@exercise("log_w")
def log_mean_exp(answer: Any, rng: np.random.Generator) -> None:
    K = 5
    for middle in (0.0, rng.choice([-2000.0, 2000.0])):    # first what overflows nowhere, where each mistake has a name
        log_w = middle + rng.uniform(-3, 3, (4, K))
        w = np.exp(log_w - middle)
        log_sum = np.log(w.sum(axis=1)) + middle
        top = log_w.max(axis=1)
        found = answer(log_w)
        if middle and np.shape(found) == (4,) and not np.isfinite(numbers(found, (4,), "the result")).all():
            raise NotYet(f"right for small numbers; for logarithms near {middle:g} the result is not finite: take the "
                         "largest out before np.exp")
        expect(found, log_sum - np.log(K), "the result", {
            "log K is forgotten: that is the logarithm of the sum": log_sum,
            "log K is added; it is subtracted": log_sum + np.log(K),
            "K itself is subtracted; subtract its logarithm": log_sum - K,
            "the logarithm of the sum is divided by K; divide the sum, or subtract log K": log_sum / K,
            "that is the mean of the logarithms, the ELBO's estimate: take the logarithm of the mean":
                log_w.mean(axis=1),
            "that is the largest alone": top,
            "the largest is taken out and never added again": [log_sum - np.log(K) - top, log_sum - top],
            "that is the mean weight: take its logarithm": w.mean(axis=1) if not middle else np.full(4, np.nan),
            "the mean is over the images (axis 0); a row holds the weights of one image":
                np.log(w.mean(axis=0)) + middle,
            "that is one number for all the images; each row gives one": np.log(w.mean()) + middle,
            "the sign is flipped": np.log(K) - log_sum})


@exercise("log_px_given_z", "z", "mu", "logvar")
def log_weight(answer: Any, rng: np.random.Generator) -> None:
    n = 6
    log_px = rng.uniform(-6, -2, n)
    mu, logvar, eps = rng.standard_normal((3, n, 3))
    z = mu + np.exp(0.5 * logvar) * eps
    prior, q = _log_normal(z, 0.0, np.zeros_like(z)), _log_normal(z, mu, logvar)
    constant = 1.5 * np.log(2 * np.pi)
    squares = -0.5 * np.sum((z - mu)**2 * np.exp(-logvar), axis=1)
    half_logvar = 0.5 * logvar.sum(axis=1)
    found = answer(log_px, z, mu, logvar)
    kl = 0.5 * np.sum(mu**2 + np.exp(logvar) - logvar - 1, axis=1)
    expect(found, log_px + prior - q, "the logarithm of the weight", {
        "log q is added; it stands below, so it is subtracted": log_px + prior + q,
        "the prior is forgotten": log_px - q,
        "the prior is subtracted; it stands above, so it is added": log_px - prior - q,
        "log q is forgotten": log_px + prior,
        "that is log p(x|z) alone": log_px,
        "the KL is an average over all z; the weight belongs to the z that was drawn": [log_px - kl, log_px + kl],
        "log p(x|z) is forgotten": prior - q,
        "the normalizer of q is missing: - 1/2 logvar, summed over the dimensions": log_px + prior - squares + constant,
        "the normalizer of q has the wrong sign: log q contains - 1/2 logvar":
            log_px + prior - squares + constant - half_logvar,
        "the half of logvar is missing in log q": log_px + prior - q + half_logvar,
        "q's squares are divided by sigma; the variance belongs there": log_px + prior - (
            -0.5 * np.sum((z - mu)**2 * np.exp(-0.5 * logvar), axis=1) - half_logvar - constant),
        "q's squares are multiplied by the variance; divide": log_px + prior - (
            -0.5 * np.sum((z - mu)**2 * np.exp(logvar), axis=1) - half_logvar - constant),
        "q's squares are not divided by the variance": log_px + prior - (
            -0.5 * np.sum((z - mu)**2, axis=1) - half_logvar - constant),
        "log q is that of z, and z is not centred: take z - mu": log_px + prior - (
            -0.5 * np.sum(z**2 * np.exp(-logvar), axis=1) - half_logvar - constant),
        "the prior is taken at z - mu; it has the mean 0": log_px - q - 0.5 * np.sum((z - mu)**2, axis=1) - constant,
        "the half is missing in both exponents": log_px - np.sum(z**2, axis=1) - 2 * squares + half_logvar,
        "1/2 log 2 pi is in one of the two densities only: put it into both, or into neither":
            [log_px + prior - q - constant, log_px + prior - q + constant],
        "that is the weight: return its logarithm": np.exp(log_px + prior - q),
        "the sign is flipped: that is log q - log p(x, z)": q - log_px - prior})


@exercise("x", "eps", "encode", "log_likelihood")
def repaired_bound(answer: Any, rng: np.random.Generator) -> None:
    B, K, D = 3, 4, 2
    x, eps = rng.standard_normal((B, D)), rng.standard_normal((B, K, 2))
    A, V = rng.standard_normal((D, 2)), rng.standard_normal((2, D))

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x @ A, 0.3 * np.abs(x @ A) - 1

    def log_likelihood(z: np.ndarray, x: np.ndarray) -> np.ndarray:
        if np.shape(z)[:-1] != np.shape(x)[:-1]:
            raise ValueError(f"z has {np.shape(z)[0]} rows and x {np.shape(x)[0]}: each z needs its x beside it")
        return -0.1 * np.sum((x - z @ V)**2, axis=-1)    # so flat that every weight counts

    asked = x, eps, encode, log_likelihood
    log_w = museum.log_weights(*asked).reshape(B, K)
    w = np.exp(log_w)
    found = answer(*asked)
    right = museum.iwae_bound(*asked)
    with kernels_off():    # to compile them takes longer than the check
        analytic_kl, both = museum.analytic_kl(*asked), _mixed(museum.analytic_kl, asked)
    expect(found, right, "the bound", {
        "analytic_kl is still in it: the KL is an average over all z; a weight needs log p(z) - log q(z) of its own z":
            analytic_kl,
        "mixed_reshape is still in it: the rows come image by image, so reshape to (B, K)":
            museum.mixed_reshape(*asked),
        "positive_softmax is still in it: take the logarithm of the mean weight": museum.positive_softmax(*asked),
        "two faults are still in it: analytic_kl's and mixed_reshape's": both,
        "that is the ELBO: the mean of the logarithms; take the logarithm of the mean": log_w.mean(axis=1),
        "that weights the right losses by softmax(log w); take the logarithm of the mean weight":
            np.sum(w * log_w, axis=1) / np.sum(w, axis=1),
        "log K is forgotten: it is a mean, not a sum": right + np.log(K),
        "that is the loss; the bound is its negative": -right,
        "one number for each image; the mean over the images comes later": [np.full(B, right.mean()), right.mean()]})


def _mixed(bound: Any, asked: tuple[Any, ...]) -> np.ndarray:
    """A bound of rows in the wrong order: image by image in, sample by sample out."""
    x, eps, *functions = asked
    B, K, n_latent = eps.shape
    one_by_one = [bound(np.repeat(x, K, axis=0)[i:i + 1], eps.reshape(B * K, 1, n_latent)[i:i + 1], *functions)
                  for i in range(B * K)]
    return right_log_mean_exp(np.reshape(one_by_one, (K, B)).T)


@exercise("log_w", "bias")
def draws_needed(answer: Any, rng: np.random.Generator) -> None:
    middle = rng.uniform(-50, -20)
    relative = rng.uniform(-2.5, 1.5, 100)
    bias = float(rng.uniform(0.02, 0.1))    # not 0.01, at which two mistakes give the same
    w = np.exp(relative)
    share = [np.var(w, ddof=ddof) / w.mean()**2 for ddof in (0, 1)]
    right = [one / (2 * bias) for one in share]
    found = answer(relative + middle, bias)
    counted = numbers(found, (), "the number of draws")
    if any(is_close(counted, np.ceil(one)) for one in right):    # as one would draw
        return
    effective = w.sum()**2 / np.sum(w**2)
    expect(found, right, "the number of draws", {
        "the 2 of (8.5) is forgotten": [one / bias for one in share],
        "the variance is not divided by the squared mean": [
            np.var(w * scale, ddof=ddof) / (2 * bias) for scale in (1.0, np.exp(middle)) for ddof in (0, 1)],
        "the mean is not squared": [np.var(w, ddof=ddof) / w.mean() / (2 * bias) for ddof in (0, 1)],
        "that is the standard deviation over the mean; the variance over the squared mean belongs there": [
            one**0.5 / (2 * bias) for one in share],
        "that is the variance of the logarithms; take that of the weights": [
            np.var(relative, ddof=ddof) / (2 * bias) for ddof in (0, 1)],
        "that is E[w^2]/p^2: subtract 1 for the variance": (share[0] + 1) / (2 * bias),
        "that is the bias of K = 1/bias draws; solve (8.5) for K": [bias * one / 2 for one in share],
        "the bias is multiplied; divide by it": [one * 2 * bias for one in share],
        "the bias is squared": [one / (2 * bias**2) for one in share],
        "that is the bias with the 100 weights you have; solve (8.5) for K": [one / 200 for one in share],
        "that is the effective number": [effective, effective / (2 * bias)]}, scale=max(right))


@exercise("variance", "q_variance")
def mean_square(answer: Any, rng: np.random.Generator) -> None:
    lam = float(rng.uniform(0.5, 2.0))
    for wide_enough in rng.uniform((0.6, 1.05), (0.95, 1.8)):
        s2 = float(wide_enough * lam)
        right = s2 / np.sqrt(lam * (2 * s2 - lam))
        found = numbers(answer(lam, s2), (), "E[w^2]")
        if found.shape == () and found == np.inf:
            raise NotYet("it is infinite only where 2 s^2 <= lambda: where the exponent of p^2/q does not fall")
        expect(found, right, "E[w^2] for a q wide enough", {
            "that is E[w^2] - 1, the variance": right - 1,
            "the square root of the Gaussian integral is missing": right**2,
            "posterior and q are swapped: w is p / q, and the average is over q": lam / np.sqrt(s2 * (2 * lam - s2)),
            "that is 1 / E[w^2]": 1 / right,
            "that is E[w], which is 1": 1.0,
            "the factor of the two densities in front is not squared": right * np.sqrt(lam / s2),
            "the factor of the two densities in front is missing": right * lam / s2})
    for too_narrow in (0.49, float(rng.uniform(0.1, 0.45)), 0.5):
        found = numbers(answer(lam, too_narrow * lam), (), "E[w^2]")
        if not found == np.inf:
            raise NotYet(f"right where q is wide enough; with a q of {too_narrow:.2g} of the posterior's variance the "
                         f"integrand does not fall, so the integral is infinite: return np.inf, not {found:.4g}")
