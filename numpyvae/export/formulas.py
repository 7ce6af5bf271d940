"""Distributions and activations once more, for frameworks that differentiate by themselves: forward passes alone.

The files that are exported hold these functions as they stand here, with `xp` as torch or jax.numpy; the ONNX graphs
are recorded by calling them.  So they use only what all of these have: arithmetic, comparisons, slices, `xp.where` and
functions of one number.  What is derived, and why a form is stable, stands in numpyvae/functional/.
"""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..models.likelihoods import (Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian, GaussianLearned,
                                  GaussianShared, StudentT)
from ..models.posteriors import DiagonalGaussian, FullGaussian

xp: Any = None         # what stands for it is named where a function is used
sigmoid: Any = None
softplus: Any = None


# p(x|z): nll(theta, x) in nats for each row, (B,), and mean(theta), (B, D)

def bernoulli_nll(theta, x):
    """-log p(x|z) of each row: a pixel is 1 with probability sigmoid(theta)."""
    return (softplus(theta) - x * theta).sum(axis=1)


def bernoulli_mean(theta):
    """E[x|z]."""
    return sigmoid(theta)


def gaussian_nll(theta, x, sigma):
    """-log N(x; theta, sigma^2) of each row."""
    return (0.5 * ((x - theta) / sigma)**2 + math.log(sigma) + 0.5 * math.log(2 * math.pi)).sum(axis=1)


def location_mean(theta):
    """E[x|z]."""
    return theta


def gaussian_learned_nll(theta, x):
    """-log N(x; mean, exp(logvar)) of each row, theta = [mean, logvar]."""
    n = theta.shape[1] // 2
    m, logvar = theta[:, :n], theta[:, n:]
    return (0.5 * ((x - m)**2 * xp.exp(-logvar) + logvar) + 0.5 * math.log(2 * math.pi)).sum(axis=1)


def gaussian_learned_mean(theta):
    """E[x|z], theta = [mean, logvar]."""
    return theta[:, :theta.shape[1] // 2]


def student_t_nll(theta, x, sigma):
    """-log p(x|z) of each row: Student's t around theta, with the scale sigma and 4 degrees of freedom."""
    r = (x - theta) / sigma
    log_c = math.lgamma(2.5) - math.lgamma(2) - 0.5 * math.log(4 * math.pi) - math.log(sigma)
    return (2.5 * xp.log1p(r**2 / 4) - log_c).sum(axis=1)


def continuous_bernoulli_nll(theta, x):
    """-log p(x|z) of each row: a pixel has the density exp(theta x) / integral on [0, 1].

    With a = theta the integral's logarithm is a/2 + log(2 sinh(|a|/2) / |a|); near a = 0 by its series, because the
    derivative of the closed form would lose its digits.
    """
    near = abs(theta) < 0.5
    s = xp.where(near, 1.0, abs(theta))
    t = xp.where(near, theta, 0.0)**2    # far from 0 its powers overflow, and 0 times infinity is no gradient
    series = t / 24 - t**2 / 2880 + t**3 / 181440 - t**4 / 9676800 + t**5 / 479001600
    log_integral = theta / 2 + xp.where(near, series, s / 2 + xp.log(-xp.expm1(-s)) - xp.log(s))
    return (log_integral - theta * x).sum(axis=1)


def continuous_bernoulli_mean(theta):
    """E[x|z]: 1 / (1 - e^-a) - 1 / a with a = theta; near a = 0, where these cancel, by its series."""
    near = abs(theta) < 0.5
    s = xp.where(near, 1.0, abs(theta))
    t = xp.where(near, theta, 0.0)**2
    series = 0.5 + theta * (1 / 12 - t / 720 + t**2 / 30240 - t**3 / 1209600 + t**4 / 47900160)
    far = -1 / xp.expm1(-s) - 1 / s
    return xp.where(near, series, xp.where(theta < 0, 1 - far, far))


def discretized_logistic_nll(theta, x):
    """-log P(x|z) of each row, theta = [mean, log scale]: the mass within half a level of x, a multiple of 1/255."""
    n = theta.shape[1] // 2
    m, log_s = theta[:, :n], theta[:, n:]
    p, q = (x + 1 / 510 - m) * xp.exp(-log_s), (x - 1 / 510 - m) * xp.exp(-log_s)
    above, below = x < 1, x > 0    # is there a level above, one below?
    width = xp.exp(-log_s) / 255
    return (above * softplus(-p) + below * softplus(q) - (above & below) * xp.log(-xp.expm1(-width))).sum(axis=1)


def discretized_logistic_mean(theta):
    """E[x|z] without the rounding to levels, theta = [mean, log scale]; mirrored at 1/2, so that few digits cancel."""
    n = theta.shape[1] // 2
    m, w = theta[:, :n], xp.exp(xp.clip(-theta[:, n:], -60, 60))
    mirrored = m > 0.5
    m = xp.where(mirrored, 1 - m, m)
    b = (m - 1) * w
    narrow = softplus(m * w) - softplus(b)
    wide = xp.log1p(sigmoid(b) * xp.expm1(xp.where(w < 1, w, 1.0)))
    mean_of_x = xp.where(w < 1, wide, narrow) / w
    return xp.clip(xp.where(mirrored, 1 - mean_of_x, mean_of_x), 0, 1)


LIKELIHOODS: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {
    Bernoulli: (bernoulli_nll, bernoulli_mean),
    ContinuousBernoulli: (continuous_bernoulli_nll, continuous_bernoulli_mean),
    DiscretizedLogistic: (discretized_logistic_nll, discretized_logistic_mean),
    Gaussian: (gaussian_nll, location_mean),
    GaussianLearned: (gaussian_learned_nll, gaussian_learned_mean),
    GaussianShared: (gaussian_learned_nll, gaussian_learned_mean),
    StudentT: (student_t_nll, location_mean)}


# q(z|x): draw(q, eps), (B, Z), kl(q) to N(0, I) in nats, (B,), and moments(q), two of (B, Z)

def diagonal_draw(q, eps):
    """z = mu + sigma eps."""
    mu, logvar = q
    return mu + xp.exp(0.5 * logvar) * eps


def diagonal_kl(q):
    """KL(q(z|x) || N(0, I)) of each row."""
    mu, logvar = q
    return 0.5 * (xp.exp(logvar) + mu**2 - 1 - logvar).sum(axis=1)


def diagonal_moments(q):
    """The mean and the log variance of each dimension."""
    return q


def full_draw(q, eps):
    """z = mu + L eps: L has exp(logvar / 2) on its diagonal, the entries of `lower` below it."""
    mu, logvar, lower = q
    return mu + xp.exp(0.5 * logvar) * eps + (xp.tril(lower, -1) * eps[:, None, :]).sum(axis=2)


def full_kl(q):
    """KL(q(z|x) || N(0, I)) of each row."""
    mu, logvar, lower = q
    squares = (xp.tril(lower, -1)**2).sum(axis=2)
    return 0.5 * (xp.exp(logvar) + squares + mu**2 - 1 - logvar).sum(axis=1)


def full_moments(q):
    """The mean and the log variance of each dimension, log (L L^T)_ii."""
    mu, logvar, lower = q
    return mu, xp.log(xp.exp(logvar) + (xp.tril(lower, -1)**2).sum(axis=2))


class Posterior(NamedTuple):
    """matrices : the heads whose numbers form a matrix (B, Z, Z)"""

    draw: Callable[..., Any]
    kl: Callable[..., Any]
    moments: Callable[..., Any]
    matrices: tuple[str, ...] = ()


POSTERIORS: dict[type, Posterior] = {
    DiagonalGaussian: Posterior(diagonal_draw, diagonal_kl, diagonal_moments),
    FullGaussian: Posterior(full_draw, full_kl, full_moments, matrices=("lower_head",))}


class Activation(NamedTuple):
    """torch, jax : as a module, and as a function's value for h;  formula : of xp's functions, for ONNX"""

    torch: str
    jax: str
    formula: Callable[..., Any]


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("nn.ReLU()", "nn.relu(h)", lambda a: xp.relu(a)),
    "tanh": Activation("nn.Tanh()", "jnp.tanh(h)", lambda a: xp.tanh(a)),
    "sigmoid": Activation("nn.Sigmoid()", "nn.sigmoid(h)", lambda a: sigmoid(a)),
    # From the threshold on PyTorch returns a itself; its own, 20, is too early for float64.
    "softplus": Activation("nn.Softplus(threshold=40)", "nn.softplus(h)", lambda a: softplus(a)),
    "silu": Activation("nn.SiLU()", "nn.silu(h)", lambda a: a * sigmoid(a)),
    "gelu": Activation('nn.GELU(approximate="tanh")', "nn.gelu(h, approximate=True)",
                       lambda a: 0.5 * a * (1 + xp.tanh((2 / math.pi)**0.5 * (a + 0.044715 * a * a * a))))}
