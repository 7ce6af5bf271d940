"""The update of every weight in one pass over memory."""
import numpy as np


def adam(values, grads, mean, square, lr, rate1, rate2, correction1, correction2, eps):
    """mean += rate1 * (grads - mean);  square += rate2 * (grads**2 - square);
    values -= lr * (mean / correction1) / (np.sqrt(square / correction2) + eps).

    Per weight: 16 bytes read, 12 written, one root and one division.  NumPy's lines above would read and write
    every array several times.
    """
    step, root = lr / correction1, values.dtype.type(1) / np.sqrt(correction2)
    for i in range(values.size):
        g = grads[i]
        mean[i] += rate1 * (g - mean[i])
        square[i] += rate2 * (g * g - square[i])
        values[i] -= step * mean[i] / (np.sqrt(square[i]) * root + eps)
    return values
