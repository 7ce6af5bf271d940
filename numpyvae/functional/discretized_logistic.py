"""The discretised logistic: a probability for each of a pixel's 256 levels.

[Kingma et al. 2016, section 5; Salimans et al. 2017, section 2.1]

A pixel is a level k = 0 ... 255, given as x = k / 255.  Its probability is the mass that a logistic distribution, with
mean m and scale s from the decoder, has within half a level of x; the outermost levels take the tails.
"""
from __future__ import annotations

import numpy as np

from .. import kernels
from ..kernels.discretized_logistic import HALF_LEVEL
from ..twin import twin
from .activations import sigmoid, softplus

Array = np.ndarray


@twin(kernels.discretized_logistic.discretized_logistic_nll, wrt=("theta",), theta="B 2D", x="B D")
def discretized_logistic_nll(theta: Array, x: Array) -> Array:
    """-log P(x|z) for pixels on 256 levels, theta = [m, log s].

    theta : (B, 2D), x : (B, D), multiples of 1/255 in [0, 1]  ->  (B,)

    The logistic distribution has the mass sigmoid((t - m) / s) below t.  With h = 1/510, half a level,

    p = (x + h - m) / s,    q = (x - h - m) / s,    P = sigmoid(p) - sigmoid(q).

    For a narrow or distant logistic this difference would be rounded to zero.  But
    sigmoid(p) = e^p / (1 + e^p), so over a common denominator

    P = (e^p - e^q) / ((1 + e^p)(1 + e^q)) = sigmoid(p) sigmoid(-q) (1 - e^-(p - q)),    and as
    -log sigmoid(p) = log(1 + e^-p) = softplus(-p),

    -log P = softplus(-p) + softplus(q) - log(1 - e^-(p - q)).

    At level 0 everything below belongs to the pixel: P = sigmoid(p), so only the first term remains.  At level 255,
    P = 1 - sigmoid(q) = sigmoid(-q), so only the second does.
    """
    m, log_s = np.split(theta, 2, axis=1)
    p, q = (x + HALF_LEVEL - m) * np.exp(-log_s), (x - HALF_LEVEL - m) * np.exp(-log_s)
    above, below = x.real < 1, x.real > 0    # is there a level above, one below?
    width = 2 * HALF_LEVEL * np.exp(-log_s)
    return np.sum(above * softplus(-p) + below * softplus(q)
                  - (above & below) * np.log(-np.expm1(-width)), axis=1)


@twin(None, dnll="B", theta="B 2D", x="B D")
def discretized_logistic_nll_backward(dnll: Array, theta: Array, x: Array) -> Array:
    """The gradient for theta = [m, log s].

    d(-log P)/dp = -sigmoid(-p),  d(-log P)/dq = sigmoid(q),  d(-log P)/dw = -e^-w / (1 - e^-w) for w = p - q,  and

    dp/dm = dq/dm = -1/s,    dw/dm = 0;        dp/dlog s = -p,    dq/dlog s = -q,    dw/dlog s = -w.
    """
    m, log_s = np.split(theta, 2, axis=1)
    p, q = (x + HALF_LEVEL - m) * np.exp(-log_s), (x - HALF_LEVEL - m) * np.exp(-log_s)
    above, below = x.real < 1, x.real > 0
    width = 2 * HALF_LEVEL * np.exp(-log_s)
    dp, dq = above * -sigmoid(-p), below * sigmoid(q)
    dm = -(dp + dq) * np.exp(-log_s)
    dlog_s = -dp * p - dq * q + (above & below) * width * np.exp(-width) / -np.expm1(-width)
    return dnll[:, None] * np.concatenate([dm, dlog_s], axis=1)


@twin(kernels.discretized_logistic.discretized_logistic_nll_and_grad, writes=("nll", "dtheta"),
      dnll="B", theta="B 2D", x="B D", nll="B", dtheta="B 2D")
def discretized_logistic_nll_and_grad(dnll: Array, theta: Array, x: Array,
                                      nll: Array, dtheta: Array) -> tuple[Array, Array]:
    """discretized_logistic_nll and its backward at once, written to nll and dtheta."""
    nll[:] = discretized_logistic_nll.reference(theta, x)
    dtheta[:] = discretized_logistic_nll_backward.reference(dnll, theta, x)
    return nll, dtheta


def discretized_logistic_mean(theta: Array) -> Array:
    """E[x] of each pixel, without the rounding to levels: the logistic's mean with its tails moved onto 0 and 1.

    theta : (B, 2D)  ->  (B, D)

    E[x] = integral over t in [0, 1] of P(x > t) = integral of sigmoid((m - t) / s) dt
         = s ( softplus(m / s) - softplus((m - 1) / s) )

    For a wide logistic these two are nearly equal, and for an m far above 1 both are large: most digits would cancel.
    So, mirrored at 1/2, E[x; m] = 1 - E[x; 1 - m], m is at most 1/2; and with w = 1 / s, b = (m - 1) w,

    softplus(b + w) - softplus(b) = log( 1 + (e^(b + w) - e^b) / (1 + e^b) ) = log(1 + sigmoid(b) (e^w - 1))

    is used where w < 1.
    """
    m, log_s = np.split(theta, 2, axis=1)
    w = np.exp(np.clip(-log_s, -60, 60))    # beyond, the mean has reached its limits, 1/2 and m
    mirrored = m.real > 0.5
    m = np.where(mirrored, 1 - m, m)
    b = (m - 1) * w
    narrow = softplus(m * w) - softplus(b)
    wide = np.log1p(sigmoid(b) * np.expm1(np.where(w.real < 1, w, 1)))
    mean = np.where(w.real < 1, wide, narrow) / w
    return np.where(mirrored, 1 - mean, mean)
