"""Loops for functional/activations.py.

Each activation and each derivative is a function of one number; one loop for each direction applies it to an array.
The bias is added, or its gradient summed, in the pass over memory that the activation makes anyway.  The loops work in
place on one array: where an input and an output might overlap, the compiler cannot vectorise.

`type(a)` keeps the array's precision: a literal 1 would promote float32 to float64.
"""
from .exponential import exp, expm1, log1p
from .halves import all_columns, columns_of_slope, halved, rows_of_sum, rows_of_sum_kept
from .loop_for import loop_for


@halved(rows_of_sum, returns="y")
def add_bias(y, b):
    """y += b."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += b[j]
    return y


def bias_backward(dy, db):
    """dy.sum(axis=0)."""
    db[:] = dy.dtype.type(0)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            db[j] += dy[i, j]
    return db


ROOT_2_PI, CUBIC = 0.7978845608028654, 0.044715    # of GELU

f = slope = None    # an activation and its derivative: names in the loops below, filled in by `loop_for`


@halved(rows_of_sum, returns="y")
def add_bias_f(y, b):
    """y[:] = f(y + b)."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = f(y[i, j] + b[j])
    return y


@halved(rows_of_sum_kept, returns="y")
def add_bias_f_and_keep(y, b, a):
    """a[:] = y + b and y[:] = f(a)."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            a[i, j] = y[i, j] + b[j]
            y[i, j] = f(a[i, j])
    return y


@halved(columns_of_slope, returns="da db")
def f_backward_bias(dy, kept, da, db):
    """da[:] = dy * slope(kept) and db[:] = da.sum(axis=0)."""
    first, last = all_columns(dy)
    db[first:last] = dy.dtype.type(0)
    for i in range(dy.shape[0]):
        for j in range(first, last):
            da[i, j] = dy[i, j] * slope(kept[i, j])
            db[j] += da[i, j]
    return da, db


def relu(a):
    """Keeps a NaN, which max(a, 0) may lose."""
    return type(a)(0) if a < type(a)(0) else a


def relu_slope(y):
    return type(y)(1) if y > type(y)(0) else type(y)(0)


def tanh(a):
    """tanh a = (1 - t) / (1 + t) with t = e^(-2a); for a < 0 by symmetry, and with expm1 for accuracy near 0."""
    t = expm1(-(abs(a) + abs(a)))
    y = -t / (t + type(a)(1) + type(a)(1))
    return -y if a < type(a)(0) else y


def tanh_slope(y):
    return type(y)(1) - y * y


def sigmoid(a):
    """1 / (1 + e^-a), or the same times e^a / e^a: the exponential of a negative number cannot overflow."""
    one, t = type(a)(1), exp(-abs(a))
    return (t if a < type(a)(0) else one) / (one + t)


def sigmoid_slope(y):
    return y * (type(y)(1) - y)


def softplus(a):
    """ln(1 + e^a) = max(a, 0) + ln(1 + e^-|a|)."""
    return (type(a)(0) if a < type(a)(0) else a) + log1p(exp(-abs(a)))


def softplus_slope(y):
    return -expm1(-y)


def silu(a):
    return a * sigmoid(a)


def silu_slope(a):
    """s + a s (1 - s), s = sigmoid(a)."""
    s = sigmoid(a)
    return s + a * s * (type(a)(1) - s)


def gelu(a):
    """a (1 + tanh u) / 2 with u = sqrt(2 / pi) (a + 0.044715 a^3)."""
    return type(a)(0.5) * a * (type(a)(1) + tanh(gelu_u(a)))


def gelu_slope(a):
    """(1 + t + a (1 - t^2) u') / 2 with t = tanh(u), which is 1 or -1 beyond 20."""
    a = type(a)(20) if a > type(a)(20) else type(a)(-20) if a < type(a)(-20) else a
    t, one = tanh(gelu_u(a)), type(a)(1)
    return type(a)(0.5) * (one + t + a * (one - t * t) * type(a)(ROOT_2_PI) * (one + type(a)(3 * CUBIC) * a * a))


def gelu_u(a):
    return type(a)(ROOT_2_PI) * (a + type(a)(CUBIC) * a * a * a)


LOOPS = {f.__name__: (loop_for(f"add_bias_{f.__name__}", forward, f=f),
                      loop_for(f"{f.__name__}_backward_bias", f_backward_bias, slope=slope))
         for f, slope, forward in (
             (relu, relu_slope, add_bias_f), (tanh, tanh_slope, add_bias_f), (sigmoid, sigmoid_slope, add_bias_f),
             (softplus, softplus_slope, add_bias_f), (silu, silu_slope, add_bias_f_and_keep),
             (gelu, gelu_slope, add_bias_f_and_keep))}
