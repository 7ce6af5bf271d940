"""Loops for functional/continuous_bernoulli.py, where the formulas are derived."""
import numpy as np

from .exponential import expm1, log
from .halves import halved, pixels, rows_of_nll

NEAR_ZERO = 0.5
SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)    # B_2n / (2n)!
C0, C1, C2, C3, C4, C5 = SERIES
TINY = 1e-30


def continuous_bernoulli_nll(logits, x):
    """The sum over the pixels of log((e^a - 1) / a) - a x."""
    nll = np.empty(logits.shape[0], logits.dtype)
    zero, tiny = logits.dtype.type(0), logits.dtype.type(TINY)
    for b in range(logits.shape[0]):
        total = zero
        for d in range(logits.shape[1]):
            a = logits[b, d]
            size = abs(a) + tiny    # no 0 / 0 at a = 0
            total += max(a, zero) + log(-expm1(-size) / size) - a * x[b, d]
        nll[b] = total
    return nll


@halved(rows_of_nll, "nll dlogits", pixels)
def continuous_bernoulli_nll_and_grad(dnll, logits, x, nll, dlogits):
    """Value and gradient: one exponential, one logarithm."""
    zero, tiny = logits.dtype.type(0), logits.dtype.type(TINY)
    for b in range(logits.shape[0]):
        total, scale = zero, dnll[b]
        for d in range(logits.shape[1]):
            a = logits[b, d]
            size = abs(a) + tiny    # no 0 / 0 at a = 0
            t = expm1(-size)
            total += max(a, zero) + log(-t / size) - a * x[b, d]
            dlogits[b, d] = scale * (mean_of(a, size, t) - x[b, d])
        nll[b] = total
    return nll, dlogits


def mean_of(a, size, t):
    """E[x] for the logit a, with size = |a| and t = exp(-|a|) - 1."""
    number = type(a)
    half, one = number(0.5), number(1)
    q = a * a
    p = number(C5)
    p = p * q + number(C4)
    p = p * q + number(C3)
    p = p * q + number(C2)
    p = p * q + number(C1)
    p = p * q + number(C0)
    far = -one / t - one / size
    mirrored = one - far if a < number(0) else far
    return half + a * p if size < number(NEAR_ZERO) else mirrored
