"""The update of every weight in one pass over memory."""
import numpy as np

from .halves import halved, weights

NEGLIGIBLE = 1e4    # in units of the smallest number that is not subnormal


@halved(weights, returns="values")
def adam(values, grads, mean, square, lr, rate1, rate2, correction1, correction2, eps):
    """mean += rate1 * (grads - mean);  square += rate2 * (grads**2 - square);
    values -= lr * (mean / correction1) / (np.sqrt(square / correction2) + eps).

    Per weight: 16 bytes read, 12 written, one root and one division.  NumPy's lines above would read and write
    every array several times.  The new m and s are stored once and not read again: where the arrays straddle a boundary
    between cache lines, a load that waits for a store just made costs more than all the arithmetic here.

    If a weight's gradient has become zero, say behind a ReLU that no image activates, its means shrink for ever.  Below
    1e-38 float32 has only "subnormal" numbers, on which a processor is many times slower, and the smallest of them
    times 0.9 rounds to itself, so it would never vanish.
    So where the gradient is zero a mean of at most NEGLIGIBLE of them, 1e-34 for float32, is set to 0, and the mean
    square after it, never before: a mean over the root of no square would be a step without bounds.
    """
    number = values.dtype.type
    step, root = lr / correction1, number(1) / np.sqrt(correction2)
    zero, negligible = number(0), number(NEGLIGIBLE * np.finfo(values.dtype).tiny)
    for i in range(values.size):
        g = grads[i]
        m = mean[i] + rate1 * (g - mean[i])
        s = square[i] + rate2 * (g * g - square[i])
        m = m if abs(m) > negligible or g != zero else zero
        s = s if s > negligible or m != zero else zero
        mean[i], square[i] = m, s
        values[i] -= step * m / (np.sqrt(s) * root + eps)
    return values
