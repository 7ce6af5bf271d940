"""The continuous Bernoulli: a density on [0, 1], for grey pixels.                    [Loaiza-Ganem & Cunningham 2019]

Applied to grey pixels, the Bernoulli formula is not a density on [0, 1]: it does not integrate to 1.  Divided by its
integral, it is a density.
"""
from __future__ import annotations

import numpy as np

from .. import kernels
from ..kernels.continuous_bernoulli import NEAR_ZERO, SERIES
from ..twin import twin

Array = np.ndarray


@twin(kernels.continuous_bernoulli.continuous_bernoulli_nll, wrt=("logits",), logits="B D", x="B D")
def continuous_bernoulli_nll(logits: Array, x: Array) -> Array:
    """-log p(x|z) with the density p(x) = exp(a x) / integral for each pixel, a the logit.

    logits, x : (B, D), x in [0, 1]  ->  (B,)

    With y = sigmoid(a) the Bernoulli formula is  y^x (1 - y)^(1 - x) = (1 - y) e^(a x), and over [0, 1]

    integral of e^(a x) dx = (e^a - 1) / a,         so        -log p = log( (e^a - 1) / a ) - a x

    For a > 0 we write  e^a - 1 = e^a (1 - e^-a), and both signs become one formula that never overflows:

    log( (e^a - 1) / a ) = max(a, 0) + log( (1 - e^-|a|) / |a| ),        0 at a = 0.
    """
    return np.sum(_log_integral(logits) - logits * x, axis=1)


@twin(None, dnll="B", logits="B D", x="B D")
def continuous_bernoulli_nll_backward(dnll: Array, logits: Array, x: Array) -> Array:
    """The gradient for the logits:  mean(a) - x, the mean of the density minus the pixel."""
    return dnll[:, None] * (continuous_bernoulli_mean(logits) - x)


@twin(kernels.continuous_bernoulli.continuous_bernoulli_nll_and_grad, writes=("nll", "dlogits"),
      dnll="B", logits="B D", x="B D", nll="B", dlogits="B D")
def continuous_bernoulli_nll_and_grad(dnll: Array, logits: Array, x: Array,
                                      nll: Array, dlogits: Array) -> tuple[Array, Array]:
    """continuous_bernoulli_nll and its backward at once, written to nll and dlogits."""
    nll[:] = continuous_bernoulli_nll.reference(logits, x)
    dlogits[:] = continuous_bernoulli_nll_backward.reference(dnll, logits, x)
    return nll, dlogits


def continuous_bernoulli_mean(logits: Array) -> Array:
    """E[x] of each pixel, the derivative of log( (e^a - 1) / a ):

    mean(a) = 1 / (1 - e^-a) - 1 / a  =  1/2 + a/12 - a^3/720 + ...

    Near a = 0 the two large terms cancel, so the series is used there; mean(-a) = 1 - mean(a).
    """
    size = np.abs(logits.real)
    a = np.where(size < NEAR_ZERO, 1, np.where(logits.real < 0, -logits, logits))    # 1: away from the cancellation
    far = -1 / np.expm1(-a) - 1 / a
    near = 0.5 + logits * np.polynomial.polynomial.polyval(logits**2, SERIES)
    return np.where(size < NEAR_ZERO, near, np.where(logits.real < 0, 1 - far, far)).astype(logits.dtype)


def _log_integral(a: Array) -> Array:
    is_zero = a == 0
    size = np.where(is_zero, 1, np.where(a.real < 0, -a, a))
    # At a = 0 the value is 0 and the slope 1/2; a complex step sees the slope, because its a = ih is not zero.
    return np.where(is_zero, 0, np.where(a.real < 0, 0, a) + np.log(-np.expm1(-size) / size)).astype(a.dtype)
