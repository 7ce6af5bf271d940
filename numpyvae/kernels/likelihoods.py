"""Loops for functional/likelihoods.py, where the formulas are derived.

Each likelihood has two: the value alone, which log p(x) by importance sampling needs thousands of times per image, and
value and gradient in one pass, in which they share their exponentials.
"""
import numpy as np

from .exponential import exp, log1p
from .gaussian import HALF_LOG_2_PI
from .halves import halved, pixels, rows_of_nll, rows_of_nll_sigma


def bernoulli_nll(logits, x):
    """np.sum(np.maximum(logits, 0) - logits * x + np.log1p(np.exp(-abs(logits))), axis=1)."""
    nll = np.empty(logits.shape[0], logits.dtype)
    zero = logits.dtype.type(0)
    for b in range(logits.shape[0]):
        total = zero
        for d in range(logits.shape[1]):
            a = logits[b, d]
            total += max(a, zero) - a * x[b, d] + log1p(exp(-abs(a)))
        nll[b] = total
    return nll


@halved(rows_of_nll, "nll dlogits", pixels)
def bernoulli_nll_and_grad(dnll, logits, x, nll, dlogits):
    """Value and gradient: one exponential, 8 bytes read and 4 written per element.   [lesson 12, eq. 12.7]"""
    zero, one = logits.dtype.type(0), logits.dtype.type(1)
    for b in range(logits.shape[0]):
        total, scale = zero, dnll[b]
        for d in range(logits.shape[1]):
            a = logits[b, d]
            t = exp(-abs(a))
            total += max(a, zero) - a * x[b, d] + log1p(t)
            dlogits[b, d] = scale * ((t if a < zero else one) / (one + t) - x[b, d])
        nll[b] = total
    return nll, dlogits


def gaussian_nll(mean, x, sigma):
    """np.sum(((x - mean) / sigma) ** 2 / 2 + log(sigma) + log(2 pi) / 2, axis=1)."""
    nll = np.empty(mean.shape[0], mean.dtype)
    half = mean.dtype.type(0.5)
    constant = mean.shape[1] * (np.log(sigma) + mean.dtype.type(HALF_LOG_2_PI))
    for b in range(mean.shape[0]):
        total = mean.dtype.type(0)
        for d in range(mean.shape[1]):
            r = (x[b, d] - mean[b, d]) / sigma
            total += half * r * r
        nll[b] = total + constant
    return nll


@halved(rows_of_nll_sigma, "nll dmean", pixels)
def gaussian_nll_and_grad(dnll, mean, x, sigma, nll, dmean):
    """Value and gradient in one pass."""
    half = mean.dtype.type(0.5)
    constant = mean.shape[1] * (np.log(sigma) + mean.dtype.type(HALF_LOG_2_PI))
    for b in range(mean.shape[0]):
        total, scale = mean.dtype.type(0), dnll[b] / sigma
        for d in range(mean.shape[1]):
            r = (x[b, d] - mean[b, d]) / sigma
            total += half * r * r
            dmean[b, d] = -scale * r
        nll[b] = total + constant
    return nll, dmean


def gaussian_learned_nll(theta, x):
    """np.sum((x - mean)**2 * np.exp(-logvar) / 2 + logvar / 2 + log(2 pi) / 2, axis=1)."""
    D = x.shape[1]
    nll = np.empty(x.shape[0], x.dtype)
    half = x.dtype.type(0.5)
    constant = D * x.dtype.type(HALF_LOG_2_PI)
    for b in range(x.shape[0]):
        total = x.dtype.type(0)
        for d in range(D):
            r = x[b, d] - theta[b, d]
            total += half * (r * r * exp(-theta[b, D + d]) + theta[b, D + d])
        nll[b] = total + constant
    return nll


@halved(rows_of_nll, "nll dtheta", pixels)
def gaussian_learned_nll_and_grad(dnll, theta, x, nll, dtheta):
    """Value and gradient: one exponential for both."""
    D = x.shape[1]
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    constant = D * x.dtype.type(HALF_LOG_2_PI)    # once, not D times: each addition to a large sum rounds
    for b in range(x.shape[0]):
        total, scale = x.dtype.type(0), dnll[b]
        for d in range(D):
            r = x[b, d] - theta[b, d]
            precision = exp(-theta[b, D + d])
            square = r * r * precision
            total += half * (square + theta[b, D + d])
            dtheta[b, d] = -scale * r * precision
            dtheta[b, D + d] = scale * half * (one - square)
        nll[b] = total + constant
    return nll, dtheta
