"""Activations, element by element, and what a dense layer makes of them.

A derivative is written from the activation's *output* y: the layer keeps y anyway, and the input is overwritten.

Each pair has two fused companions that a dense layer runs, tested against the pair: `add_bias_f` computes f(a + b)
in place, and `f_backward_bias` the gradients for a and for the bias in one pass.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import kernels
from ..twin import twin

Array = np.ndarray


@twin(kernels.activations.relu, a="...")
def relu(a: Array) -> Array:
    """max(a, 0), element by element.

    At the kink a = 0 the slope is taken as 0.  The comparison reads the real part alone, so that a complex step
    follows the branch that its real part is on; and it is written so that a NaN stays a NaN.
    """
    return np.where(a.real < 0, 0, a)


@twin(kernels.activations.relu_backward, dy="...", y="...")
def relu_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy where y > 0, else 0."""
    return np.where(y.real > 0, dy, 0)


@twin(kernels.activations.tanh, a="...")
def tanh(a: Array) -> Array:
    """tanh a = (e^a - e^-a) / (e^a + e^-a), element by element."""
    return np.tanh(a)


@twin(kernels.activations.tanh_backward, dy="...", y="...")
def tanh_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy (1 - y^2), since tanh' = 1 - tanh^2.                                   [lesson 2, eq. 2.5]"""
    return dy * (1.0 - y**2)


@twin(kernels.activations.sigmoid, a="...")
def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), element by element, finite for every a.

    With t = e^-|a| <= 1:  1 / (1 + t) for a >= 0, and t / (1 + t) for a < 0, which is the same times e^a / e^a.
    """
    negative = a.real < 0
    t = np.exp(np.where(negative, a, -a))
    return np.where(negative, t, 1) / (1.0 + t)


@twin(kernels.activations.sigmoid_backward, dy="...", y="...")
def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy y (1 - y).

    y = (1 + e^-a)^-1, so dy/da = e^-a / (1 + e^-a)^2 = y (1 - y), as 1 - y = e^-a / (1 + e^-a).
    """
    return dy * y * (1.0 - y)


@twin(kernels.activations.softplus, a="...")
def softplus(a: Array) -> Array:
    """log(1 + e^a), element by element, finite for every a.

    log(1 + e^a) = a + log(e^-a + 1), so it is max(a, 0) + log(1 + t) with t = e^-|a| <= 1.
    """
    negative = a.real < 0
    t = np.exp(np.where(negative, a, -a))
    return np.where(negative, 0, a) + np.log1p(t)


@twin(kernels.activations.softplus_backward, dy="...", y="...")
def softplus_backward(dy: Array, y: Array) -> Array:
    """dL/da = dL/dy (1 - e^-y).

    dy/da = e^a / (1 + e^a) = sigmoid(a).  From y = log(1 + e^a):  1 + e^a = e^y, so dy/da = (e^y - 1) / e^y.
    """
    return dy * -np.expm1(-y)


@twin(kernels.activations.add_bias, writes=("y",), wrt=("b",), y="B O", b="O")
def add_bias(y: Array, b: Array) -> Array:
    """y + b, in place: y (B, O), b (O,)."""
    return np.add(y, b, out=y)


@twin(kernels.activations.bias_backward, writes=("db",), dy="B O", db="O")
def bias_backward(dy: Array, db: Array) -> Array:
    """The bias is added to every row, so its gradient is the sum of the rows' gradients, written to db."""
    return np.sum(dy, axis=0, out=db)


@twin(kernels.activations.add_bias_relu, writes=("y",), y="B O", b="O")
def add_bias_relu(y: Array, b: Array) -> Array:
    """relu(y + b), in place: y (B, O), b (O,)."""
    y[:] = relu.reference(y + b)
    return y


@twin(kernels.activations.relu_backward_bias, writes=("da", "db"), dy="B O", y="B O", da="B O", db="O")
def relu_backward_bias(dy: Array, y: Array, da: Array, db: Array) -> tuple[Array, Array]:
    """The gradient before the activation, written to da, and its sum over the rows, written to db."""
    da[:] = relu_backward.reference(dy, y)
    np.sum(da, axis=0, out=db)
    return da, db


@twin(kernels.activations.add_bias_tanh, writes=("y",), y="B O", b="O")
def add_bias_tanh(y: Array, b: Array) -> Array:
    """tanh(y + b), in place: y (B, O), b (O,)."""
    y[:] = tanh.reference(y + b)
    return y


@twin(kernels.activations.tanh_backward_bias, writes=("da", "db"), dy="B O", y="B O", da="B O", db="O")
def tanh_backward_bias(dy: Array, y: Array, da: Array, db: Array) -> tuple[Array, Array]:
    """The gradient before the activation, written to da, and its sum over the rows, written to db."""
    da[:] = tanh_backward.reference(dy, y)
    np.sum(da, axis=0, out=db)
    return da, db


@twin(kernels.activations.add_bias_sigmoid, writes=("y",), y="B O", b="O")
def add_bias_sigmoid(y: Array, b: Array) -> Array:
    """sigmoid(y + b), in place: y (B, O), b (O,)."""
    y[:] = sigmoid.reference(y + b)
    return y


@twin(kernels.activations.sigmoid_backward_bias, writes=("da", "db"), dy="B O", y="B O", da="B O", db="O")
def sigmoid_backward_bias(dy: Array, y: Array, da: Array, db: Array) -> tuple[Array, Array]:
    """The gradient before the activation, written to da, and its sum over the rows, written to db."""
    da[:] = sigmoid_backward.reference(dy, y)
    np.sum(da, axis=0, out=db)
    return da, db


@twin(kernels.activations.add_bias_softplus, writes=("y",), y="B O", b="O")
def add_bias_softplus(y: Array, b: Array) -> Array:
    """softplus(y + b), in place: y (B, O), b (O,)."""
    y[:] = softplus.reference(y + b)
    return y


@twin(kernels.activations.softplus_backward_bias, writes=("da", "db"), dy="B O", y="B O", da="B O", db="O")
def softplus_backward_bias(dy: Array, y: Array, da: Array, db: Array) -> tuple[Array, Array]:
    """The gradient before the activation, written to da, and its sum over the rows, written to db."""
    da[:] = softplus_backward.reference(dy, y)
    np.sum(da, axis=0, out=db)
    return da, db


class Activation(NamedTuple):
    """What a dense layer runs after its matrix product; `backward` is None where da is dy itself."""

    name: str
    add_bias: Callable[[Array, Array], Array]                                        # y, b -> y, in place
    backward_bias: Callable[[Array, Array, Array, Array], tuple[Array, Array]] | None    # dy, y, da, db


ACTIVATIONS = {activation.name: activation for activation in (
    Activation("identity", add_bias, None),
    Activation("relu", add_bias_relu, relu_backward_bias),
    Activation("tanh", add_bias_tanh, tanh_backward_bias),
    Activation("sigmoid", add_bias_sigmoid, sigmoid_backward_bias),
    Activation("softplus", add_bias_softplus, softplus_backward_bias),
)}
