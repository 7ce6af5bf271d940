"""A dense layer: an affine map and an activation.  Every training step passes through here.

With kernels off, the bodies below run and call affine, an activation and their backward functions.  With kernels on,
BLAS writes the products to arrays that outlive the step, and one loop adds the bias and applies the activation.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..twin import MaybeArray, twin
from .activations import ACTIVATIONS, Buffers
from .affine import affine, affine_backward, matmul

Array = np.ndarray


def new_array(name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """`buffers` for a caller who has none: a new array each time."""
    return np.empty(shape, dtype)


def _dense(x: Array, W: Array, b: Array, activation: str, buffers: Buffers) -> tuple[Array, Array]:
    y = matmul(x, W, out=buffers("y", (len(x), W.shape[1]), W.dtype))
    return y, ACTIVATIONS[activation].add_bias(y, b, buffers)


@twin(_dense, compiled=False, x="B I", W="I O", b="O", activation=ACTIVATIONS, buffers="function")
def dense(x: Array, W: Array, b: Array, activation: str, buffers: Buffers = new_array) -> tuple[Array, Array]:
    """y = f(x W + b), and what the backward pass needs.

    x : (B, I), W : (I, O), b : (O,)  ->  y, kept : (B, O)

    buffers : for the compiled path: a function that gives arrays to write to by name, shape and dtype; see Buffers
    """
    return ACTIVATIONS[activation].forward(affine(x, W, b))


def _dense_backward(dy: Array, x: Array, W: Array, kept: Array, activation: str, dW: Array, db: Array, need_dx: bool,
                    buffers: Buffers) -> tuple[MaybeArray, Array, Array]:
    da = ACTIVATIONS[activation].backward_bias(dy, kept, db, buffers)
    matmul(x.T, da, out=dW)
    dx = matmul(da, W.T, buffers("dx", x.shape, x.dtype)) if need_dx else None
    return dx, dW, db


@twin(_dense_backward, compiled=False, writes=("dW", "db"), dy="B O", x="B I", W="I O", kept="B O",
      activation=ACTIVATIONS, dW="I O", db="O", need_dx="flag", buffers="function")
def dense_backward(dy: Array, x: Array, W: Array, kept: Array, activation: str, dW: Array, db: Array,
                   need_dx: bool = True, buffers: Buffers = new_array) -> tuple[MaybeArray, Array, Array]:
    """Gradients for x, W and b, given the gradient for y; those for W and b are written to dW and db.

    dy, kept : (B, O), x : (B, I), W : (I, O)  ->  dx : (B, I), or None without need_dx; dW : (I, O), db : (O,)

    With a = x W + b and y = f(a):  da = dy f'(a), and the rest is affine_backward.
    """
    da = ACTIVATIONS[activation].f_backward(dy, kept)
    return affine_backward(da, x, W, need_dx, dW, db)
