"""Loops for functional/activations.py.

Each activation is one line for a number, and its derivative one line for a number; four loops run over them.
`f` and `f_backward` mirror the pair.  `add_bias_f` and `f_backward_bias` are what a dense layer runs: the bias is
added, or its gradient summed, in the pass over memory that the activation makes anyway.  They work in place on
one array: where an input and an output might overlap, the compiler cannot vectorise.

The arguments `zero` and `one` carry the array's precision: a literal 1 would make float32 into float64.
"""
import numpy as np

from .exponential import exp, expm1, log1p


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


def relu_of(a, zero, one):
    """A NaN stays one: max(a, 0) may lose it."""
    return zero if a < zero else a


def relu_slope(y, zero, one):
    return one if y > zero else zero


def relu(a):
    """np.where(a < 0, 0, a)."""
    y = np.empty_like(a)
    flat_a, flat_y = a.reshape(-1), y.reshape(-1)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(flat_a.size):
        flat_y[i] = relu_of(flat_a[i], zero, one)
    return y


def relu_backward(dy, y):
    """dy * (y > 0)."""
    da = np.empty_like(dy)
    flat_dy, flat_y, flat_da = dy.reshape(-1), y.reshape(-1), da.reshape(-1)
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    for i in range(flat_y.size):
        flat_da[i] = flat_dy[i] * relu_slope(flat_y[i], zero, one)
    return da


def add_bias_relu(y, b):
    """y[:] = relu(y + b)."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = relu_of(y[i, j] + b[j], zero, one)
    return y


def relu_backward_bias(dy, y, da, db):
    """da[:] = dy * (y > 0) and db[:] = da.sum(axis=0)."""
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    db[:] = zero
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            da[i, j] = dy[i, j] * relu_slope(y[i, j], zero, one)
            db[j] += da[i, j]
    return da, db


def tanh_of(a, zero, one):
    """tanh a = (1 - t) / (1 + t) with t = e^(-2a); for a < 0 by symmetry, and with expm1 for the digits near 0."""
    t = expm1(-(abs(a) + abs(a)))
    y = -t / (t + one + one)
    return -y if a < zero else y


def tanh_slope(y, zero, one):
    return one - y * y


def tanh(a):
    """np.tanh(a)."""
    y = np.empty_like(a)
    flat_a, flat_y = a.reshape(-1), y.reshape(-1)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(flat_a.size):
        flat_y[i] = tanh_of(flat_a[i], zero, one)
    return y


def tanh_backward(dy, y):
    """dy * (1 - y**2)."""
    da = np.empty_like(dy)
    flat_dy, flat_y, flat_da = dy.reshape(-1), y.reshape(-1), da.reshape(-1)
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    for i in range(flat_y.size):
        flat_da[i] = flat_dy[i] * tanh_slope(flat_y[i], zero, one)
    return da


def add_bias_tanh(y, b):
    """y[:] = tanh(y + b)."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = tanh_of(y[i, j] + b[j], zero, one)
    return y


def tanh_backward_bias(dy, y, da, db):
    """da[:] = dy * (1 - y**2) and db[:] = da.sum(axis=0)."""
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    db[:] = zero
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            da[i, j] = dy[i, j] * tanh_slope(y[i, j], zero, one)
            db[j] += da[i, j]
    return da, db


def sigmoid_of(a, zero, one):
    """1 / (1 + e^-a), or the same times e^a / e^a: the exponential of a negative number cannot overflow."""
    t = exp(-abs(a))
    return (t if a < zero else one) / (one + t)


def sigmoid_slope(y, zero, one):
    return y * (one - y)


def sigmoid(a):
    """1 / (1 + np.exp(-a))."""
    y = np.empty_like(a)
    flat_a, flat_y = a.reshape(-1), y.reshape(-1)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(flat_a.size):
        flat_y[i] = sigmoid_of(flat_a[i], zero, one)
    return y


def sigmoid_backward(dy, y):
    """dy * y * (1 - y)."""
    da = np.empty_like(dy)
    flat_dy, flat_y, flat_da = dy.reshape(-1), y.reshape(-1), da.reshape(-1)
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    for i in range(flat_y.size):
        flat_da[i] = flat_dy[i] * sigmoid_slope(flat_y[i], zero, one)
    return da


def add_bias_sigmoid(y, b):
    """y[:] = sigmoid(y + b)."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = sigmoid_of(y[i, j] + b[j], zero, one)
    return y


def sigmoid_backward_bias(dy, y, da, db):
    """da[:] = dy * y * (1 - y) and db[:] = da.sum(axis=0)."""
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    db[:] = zero
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            da[i, j] = dy[i, j] * sigmoid_slope(y[i, j], zero, one)
            db[j] += da[i, j]
    return da, db


def softplus_of(a, zero, one):
    """ln(1 + e^a) = max(a, 0) + ln(1 + e^-|a|)."""
    return (zero if a < zero else a) + log1p(exp(-abs(a)))


def softplus_slope(y, zero, one):
    return -expm1(-y)


def softplus(a):
    """np.log1p(np.exp(a))."""
    y = np.empty_like(a)
    flat_a, flat_y = a.reshape(-1), y.reshape(-1)
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(flat_a.size):
        flat_y[i] = softplus_of(flat_a[i], zero, one)
    return y


def softplus_backward(dy, y):
    """dy * (1 - np.exp(-y))."""
    da = np.empty_like(dy)
    flat_dy, flat_y, flat_da = dy.reshape(-1), y.reshape(-1), da.reshape(-1)
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    for i in range(flat_y.size):
        flat_da[i] = flat_dy[i] * softplus_slope(flat_y[i], zero, one)
    return da


def add_bias_softplus(y, b):
    """y[:] = softplus(y + b)."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = softplus_of(y[i, j] + b[j], zero, one)
    return y


def softplus_backward_bias(dy, y, da, db):
    """da[:] = dy * (1 - np.exp(-y)) and db[:] = da.sum(axis=0)."""
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    db[:] = zero
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            da[i, j] = dy[i, j] * softplus_slope(y[i, j], zero, one)
            db[j] += da[i, j]
    return da, db
