"""Loops for functional/discretized_logistic.py, where the formulas are derived."""
import numpy as np

from .exponential import exp, expm1, log, log1p
from .halves import halved, pixels, rows_of_nll

HALF_LEVEL = 1 / 510


def discretized_logistic_nll(theta, x):
    """The sum over the pixels of softplus(-p) + softplus(q) - log(1 - e^-(p - q))."""
    D = x.shape[1]
    nll = np.empty(x.shape[0], x.dtype)
    half_level, zero, one = x.dtype.type(HALF_LEVEL), x.dtype.type(0), x.dtype.type(1)
    for b in range(x.shape[0]):
        total = zero
        for d in range(D):
            inverse = exp(-theta[b, D + d])
            p = (x[b, d] - theta[b, d] + half_level) * inverse
            q = (x[b, d] - theta[b, d] - half_level) * inverse
            above = one if x[b, d] < one else zero
            below = one if x[b, d] > zero else zero
            total += (above * (max(-p, zero) + log1p(exp(-abs(p)))) + below * (max(q, zero) + log1p(exp(-abs(q))))
                      - above * below * log(-expm1(-(half_level + half_level) * inverse)))
        nll[b] = total
    return nll


@halved(rows_of_nll, "nll dtheta", pixels)
def discretized_logistic_nll_and_grad(dnll, theta, x, nll, dtheta):
    """Value and gradient: four exponentials for both."""
    D = x.shape[1]
    half_level, zero, one = x.dtype.type(HALF_LEVEL), x.dtype.type(0), x.dtype.type(1)
    for b in range(x.shape[0]):
        total, scale = zero, dnll[b]
        for d in range(D):
            inverse = exp(-theta[b, D + d])
            p = (x[b, d] - theta[b, d] + half_level) * inverse
            q = (x[b, d] - theta[b, d] - half_level) * inverse
            above = one if x[b, d] < one else zero
            below = one if x[b, d] > zero else zero
            width = (half_level + half_level) * inverse
            t, u, v = exp(-abs(p)), exp(-abs(q)), expm1(-width)
            total += (above * (max(-p, zero) + log1p(t)) + below * (max(q, zero) + log1p(u))
                      - above * below * log(-v))
            dp, dq = above * logistic(-p, t), below * logistic(q, u)
            dtheta[b, d] = scale * (dp - dq) * inverse
            dtheta[b, D + d] = scale * (dp * p - dq * q + above * below * width * (one + v) / -v)
        nll[b] = total
    return nll, dtheta


def logistic(a, t):
    """sigmoid(a), with t = exp(-|a|)."""
    one = type(a)(1)
    return (t if a < type(a)(0) else one) / (one + t)
