"""How badly the decoder's output explains an image: -log p(x|z) for each row, in nats.

Each is a pair f, f_backward, and a third function that computes value and gradient in one pass, because they share
their exponentials.  A model trains with the third, which is tested against the pair.

The upstream gradient `dnll` (B,) holds one number per row: 1/B where the loss is a mean over the batch.
"""
from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..kernels.gaussian import HALF_LOG_2_PI
from ..twin import twin
from .activations import sigmoid, softplus

Array = np.ndarray


@twin(kernels.likelihoods.bernoulli_nll, wrt=("logits",), logits="B D", x="B D")
def bernoulli_nll(logits: Array, x: Array) -> Array:
    """-log p(x|z) where each pixel is 1 with probability y = sigmoid(logit).

    logits, x : (B, D), x in [0, 1]  ->  (B,)

    For one pixel, with y = 1 / (1 + e^-a):

    -log p = -x log y - (1 - x) log(1 - y)
           = x log(1 + e^-a) + (1 - x) log(1 + e^a)           (1 - y = 1 / (1 + e^a))
           = log(1 + e^a) - x a                               (log(1 + e^-a) = log(1 + e^a) - a)

    Computed from the logit a it is always finite; computed from y it could be log(0).  A grey pixel x stands for
    the mean of such pixels; the sum is then a cross-entropy, not a density.
    [Kingma & Welling 2013, app. C.1; lesson 3, eq. 3.6]
    """
    return np.sum(softplus(logits) - x * logits, axis=1)


@twin(None, dnll="B", logits="B D", x="B D")
def bernoulli_nll_backward(dnll: Array, logits: Array, x: Array) -> Array:
    """The gradient for the logits:  d/da [ log(1 + e^a) - x a ] = sigmoid(a) - x.           [lesson 3, eq. 3.7]"""
    return dnll[:, None] * (sigmoid(logits) - x)


@twin(kernels.likelihoods.bernoulli_nll_and_grad, writes=("nll", "dlogits"),
      dnll="B", logits="B D", x="B D", nll="B", dlogits="B D")
def bernoulli_nll_and_grad(dnll: Array, logits: Array, x: Array, nll: Array, dlogits: Array) -> tuple[Array, Array]:
    """bernoulli_nll and bernoulli_nll_backward at once, written to nll and dlogits."""
    nll[:] = bernoulli_nll.reference(logits, x)
    dlogits[:] = bernoulli_nll_backward.reference(dnll, logits, x)
    return nll, dlogits


@twin(kernels.likelihoods.gaussian_nll, wrt=("mean",), mean="B D", x="B D", sigma="positive number")
def gaussian_nll(mean: Array, x: Array, sigma: float) -> Array:
    """-log N(x; mean, sigma^2 I), with a sigma that is given, not learned.

    mean, x : (B, D)  ->  (B,)

    For one pixel the density is exp(-(x - m)^2 / (2 sigma^2)) / (sigma sqrt(2 pi)), so

    -log p = (x - m)^2 / (2 sigma^2) + log sigma + 1/2 log(2 pi)                                [lesson 3, eq. 3.3]
    """
    return np.sum(0.5 * ((x - mean) / sigma) ** 2, axis=1) + mean.shape[1] * (math.log(sigma) + HALF_LOG_2_PI)


@twin(None, dnll="B", mean="B D", x="B D", sigma="positive number")
def gaussian_nll_backward(dnll: Array, mean: Array, x: Array, sigma: float) -> Array:
    """The gradient for the mean:  (m - x) / sigma^2.                                        [lesson 1, eq. 1.3]"""
    return dnll[:, None] * (mean - x) / sigma**2


@twin(kernels.likelihoods.gaussian_nll_and_grad, writes=("nll", "dmean"),
      dnll="B", mean="B D", x="B D", sigma="positive number", nll="B", dmean="B D")
def gaussian_nll_and_grad(dnll: Array, mean: Array, x: Array, sigma: float,
                          nll: Array, dmean: Array) -> tuple[Array, Array]:
    """gaussian_nll and gaussian_nll_backward at once, written to nll and dmean."""
    nll[:] = gaussian_nll.reference(mean, x, sigma)
    dmean[:] = gaussian_nll_backward.reference(dnll, mean, x, sigma)
    return nll, dmean


@twin(kernels.likelihoods.gaussian_learned_nll, wrt=("theta",), theta="B 2D", x="B D")
def gaussian_learned_nll(theta: Array, x: Array) -> Array:
    """-log N(x; mean, diag exp(logvar)), where the decoder outputs both: theta = [mean, logvar].

    theta : (B, 2D), x : (B, D)  ->  (B,)

    For one pixel, with log sigma = logvar / 2 and 1 / sigma^2 = exp(-logvar):

    -log p = 1/2 ( (x - m)^2 exp(-logvar) + logvar + log(2 pi) )
    """
    mean, logvar = np.split(theta, 2, axis=1)
    return np.sum(0.5 * ((x - mean) ** 2 * np.exp(-logvar) + logvar) + HALF_LOG_2_PI, axis=1)


@twin(None, dnll="B", theta="B 2D", x="B D")
def gaussian_learned_nll_backward(dnll: Array, theta: Array, x: Array) -> Array:
    """The gradient for theta = [mean, logvar].

    d/dm = (m - x) exp(-logvar)          d/dlogvar = 1/2 ( 1 - (x - m)^2 exp(-logvar) )
    """
    mean, logvar = np.split(theta, 2, axis=1)
    precision = np.exp(-logvar)
    dmean = (mean - x) * precision
    dlogvar = 0.5 * (1.0 - (x - mean) ** 2 * precision)
    return dnll[:, None] * np.concatenate([dmean, dlogvar], axis=1)


@twin(kernels.likelihoods.gaussian_learned_nll_and_grad, writes=("nll", "dtheta"),
      dnll="B", theta="B 2D", x="B D", nll="B", dtheta="B 2D")
def gaussian_learned_nll_and_grad(dnll: Array, theta: Array, x: Array,
                                  nll: Array, dtheta: Array) -> tuple[Array, Array]:
    """gaussian_learned_nll and gaussian_learned_nll_backward at once, written to nll and dtheta."""
    nll[:] = gaussian_learned_nll.reference(theta, x)
    dtheta[:] = gaussian_learned_nll_backward.reference(dnll, theta, x)
    return nll, dtheta
