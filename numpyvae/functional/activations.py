"""Elementwise activations, and how layers use them.

Most derivatives are written in terms of the activation's *output* y: a layer has it anyway, and the input may be
overwritten.  Where that is impossible they are written in terms of the input a, which is then kept.

The price: where sigmoid or tanh is saturated, y is rounded to a number near 1, and 1 - y has the digits that are left.
The slope's absolute error stays near 1e-16 in float64, 1e-7 in float32; its relative error is 1e-12 for a sigmoid at
a = 9 and 1e-3 at a = 30, where the slope is 1e-13.

With kernels on, a layer adds the bias and applies the activation in one pass over memory, and likewise in the backward
pass: `Activation` holds both loops, which are made for every pair here and tested against it.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import kernels
from ..twin import Twin, twin

Array = np.ndarray
Buffers = Callable[[str, tuple[int, ...], Any], Array]    # name, shape, dtype -> an array to write to


@twin(None, a="...")
def relu(a: Array) -> Array:
    """max(a, 0), element by element.

    At the kink a = 0 the slope is taken as 0.  The comparison reads only the real part, so that a complex step
    follows the branch of its real part, and it is written so that a NaN stays a NaN.
    """
    return np.where(a.real < 0, 0, a)


@twin(None, dy="...", y="...")
def relu_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy where y > 0, else 0."""
    return np.where(y.real > 0, dy, 0)


@twin(None, a="...")
def tanh(a: Array) -> Array:
    """tanh a = (e^a - e^-a) / (e^a + e^-a), element by element."""
    return np.tanh(a)


@twin(None, dy="...", y="...")
def tanh_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy (1 - y^2), since tanh' = 1 - tanh^2.                                   [lesson 2, eq. 2.5]"""
    return dy * (1.0 - y**2)


@twin(None, a="...")
def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), element by element, finite for every a.

    With t = e^-|a| <= 1:  1 / (1 + t) for a >= 0, and t / (1 + t) for a < 0, which is the same times e^a / e^a.
    """
    negative = a.real < 0
    t = np.exp(np.where(negative, a, -a))
    return np.where(negative, t, 1) / (1.0 + t)


@twin(None, dy="...", y="...")
def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy y (1 - y).

    y = (1 + e^-a)^-1, so dy/da = e^-a / (1 + e^-a)^2 = y (1 - y), as 1 - y = e^-a / (1 + e^-a).
    """
    return dy * y * (1.0 - y)


@twin(None, a="...")
def softplus(a: Array) -> Array:
    """log(1 + e^a), element by element, finite for every a.

    log(1 + e^a) = a + log(e^-a + 1), so it is max(a, 0) + log(1 + t) with t = e^-|a| <= 1.
    """
    negative = a.real < 0
    t = np.exp(np.where(negative, a, -a))
    return np.where(negative, 0, a) + np.log1p(t)


@twin(None, dy="...", y="...")
def softplus_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy (1 - e^-y).

    dy/da = e^a / (1 + e^a) = sigmoid(a).  From y = log(1 + e^a):  1 + e^a = e^y, so dy/da = (e^y - 1) / e^y.
    """
    return dy * -np.expm1(-y)


@twin(None, a="...")
def silu(a: Array) -> Array:
    """a sigmoid(a), element by element.                                                    [Elfwing et al. 2018]"""
    return a * sigmoid(a)


@twin(None, dy="...", a="...")
def silu_backward(dy: Array, a: Array) -> Array:
    """dL/da = dL/dy ( s + a s (1 - s) ) with s = sigmoid(a), by the product rule and sigmoid' = s (1 - s).

    silu falls and then rises, so two inputs share an output: the derivative cannot be written in terms of y.
    """
    s = sigmoid(a)
    return dy * (s + a * s * (1.0 - s))


@twin(None, a="...")
def gelu(a: Array) -> Array:
    """Approximately a P(N(0, 1) < a):  1/2 a (1 + tanh u)  with  u = sqrt(2 / pi) (a + 0.044715 a^3).

    The form with tanh in place of the error function.                       [Hendrycks & Gimpel 2016, section 2]
    """
    return 0.5 * a * (1.0 + np.tanh((2 / np.pi) ** 0.5 * (a + 0.044715 * a**3)))


@twin(None, dy="...", a="...")
def gelu_backward(dy: Array, a: Array) -> Array:
    """dL/da = dL/dy ( 1/2 (1 + t) + 1/2 a (1 - t^2) u' ) with t = tanh u, by the product rule and tanh' = 1 - tanh^2.

    u' = du/da = sqrt(2 / pi) (1 + 3 * 0.044715 a^2).  For |a| > 20, t is 1 or -1 to every digit and a^2 may
    overflow, so the slope at 20 or -20 is used.
    """
    a = np.where(a.real > 20, 20, np.where(a.real < -20, -20, a))
    t = np.tanh((2 / np.pi) ** 0.5 * (a + 0.044715 * a**3))
    return dy * 0.5 * (1.0 + t + a * (1.0 - t**2) * (2 / np.pi) ** 0.5 * (1.0 + 3 * 0.044715 * a**2))


@twin(kernels.activations.add_bias, writes=("y",), wrt=("b",), y="B O", b="O")
def add_bias(y: Array, b: Array) -> Array:
    """y + b, in place: y (B, O), b (O,)."""
    return np.add(y, b, out=y)


@twin(kernels.activations.bias_backward, writes=("db",), dy="B O", db="O")
def bias_backward(dy: Array, db: Array) -> Array:
    """The bias is added to every row, so its gradient is the sum of the rows' gradients, written to db."""
    return np.sum(dy, axis=0, out=db)


class Activation:
    """A function of one number, its derivative, and the loops that layers run when kernels are on.

    f          : a -> y
    f_backward : dy, y -> da, or dy, a -> da where the input is kept
    keeps      : what the derivative is written in terms of: the output "y" or the input "a"
    loops      : f(y + b) in place, and its backward together with the bias's, each in one pass

    `add_bias` and `backward_bias` do not check their arguments: y, dy, kept (B, O), b, db (O,).
    """

    def __init__(self, name: str, f: Callable[..., Array], f_backward: Callable[..., Array], keeps: str = "y"):
        self.name, self.f, self.f_backward, self.keeps = name, f, f_backward, keeps
        self.loops = fused(name, f, f_backward, keeps)

    def forward(self, a: Array) -> tuple[Array, Array]:
        """f(a), and what its backward needs."""
        y = self.f(a)
        return y, a if self.keeps == "a" else y

    def add_bias(self, y: Array, b: Array, buffers: Buffers) -> Array:
        """Writes f(y + b) to y; returns what its backward needs."""
        if self.keeps == "y":
            return self.loops[0].fast(y, b)
        a = buffers("a", y.shape, y.dtype)
        self.loops[0].fast(y, b, a)
        return a

    def backward_bias(self, dy: Array, kept: Array, db: Array, buffers: Buffers) -> Array:
        """da, the gradient for what the bias was added to; the bias's gradient is written to db."""
        return self.loops[1].fast(dy, kept, buffers("da", dy.shape, dy.dtype), db)[0]


class Identity(Activation):
    """y = a and da = dy."""

    def __init__(self) -> None:
        self.name, self.f, self.f_backward, self.keeps = "identity", lambda a: a, lambda dy, y: dy, "y"
        self.loops = add_bias, bias_backward

    def backward_bias(self, dy: Array, kept: Array, db: Array, buffers: Buffers) -> Array:
        bias_backward.fast(dy, db)
        return dy


def fused(name: str, f: Callable[..., Array], f_backward: Callable[..., Array], keeps: str) -> tuple[Twin, Twin]:
    """The twins add_bias_f and f_backward_bias; where kernels/activations.py has no loops, the bodies do the work."""
    def add_bias_f(y: Array, b: Array) -> Array:
        """f(y + b), in place: y (B, O), b (O,)."""
        y[:] = f(y + b)
        return y

    def add_bias_f_and_keep(y: Array, b: Array, a: Array) -> Array:
        """f(y + b), in place, and y + b written to a: y, a (B, O), b (O,)."""
        np.add(y, b, out=a)
        y[:] = f(a)
        return y

    def f_backward_bias(dy: Array, kept: Array, da: Array, db: Array) -> tuple[Array, Array]:
        """The gradient before the activation, written to da, and its sum over the rows, written to db."""
        da[:] = f_backward(dy, kept)
        np.sum(da, axis=0, out=db)
        return da, db

    forward_loop, backward_loop = kernels.activations.LOOPS.get(name, (None, None))
    f_backward_bias.__name__ = f"{name}_backward_bias"
    backward = twin(backward_loop, writes=("da", "db"), dy="B O", kept="B O", da="B O", db="O")(f_backward_bias)
    if keeps == "a":
        add_bias_f_and_keep.__name__ = f"add_bias_{name}"
        bind = twin(forward_loop, writes=("y", "a"), wrt=("y", "b"), y="B O", b="O", a="B O")
        return bind(add_bias_f_and_keep), backward
    add_bias_f.__name__ = f"add_bias_{name}"
    return twin(forward_loop, writes=("y",), y="B O", b="O")(add_bias_f), backward


ACTIVATIONS = {activation.name: activation for activation in (
    Identity(),
    Activation("relu", relu, relu_backward),
    Activation("tanh", tanh, tanh_backward),
    Activation("sigmoid", sigmoid, sigmoid_backward),
    Activation("softplus", softplus, softplus_backward),
    Activation("gelu", gelu, gelu_backward, keeps="a"),
    Activation("silu", silu, silu_backward, keeps="a"),
)}
