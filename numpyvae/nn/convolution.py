"""The layers for images, (B, height, width, channels): Conv2d, ConvTranspose2d; the mathematics is in
functional/convolution.py, which is also what runs when kernels are off.

With kernels on, each layer takes one matrix product for each chunk of images, and one pass of copying.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import MARGINS, STEPS, WHOLE, checked, one_of
from ..functional.activations import ACTIVATIONS
from ..functional.affine import add_transposed_matmul, matmul
from ..functional.convolution import (Pair, conv2d, conv2d_backward, conv_size, conv_transpose2d,
                                      conv_transpose2d_backward, patches, scatter_patches, transposed_size)
from ..twin import COMPILED_DTYPES, MaybeArray, kernels_are_on
from .layers import Layer, check_upstream, expect, first_weights

Array = np.ndarray


class Convolution(Layer):
    """What Conv2d and ConvTranspose2d share: weights, geometry, and the steps that both are made of.

    Windows are made for one chunk of the batch at a time, small enough to still be in the cache when the product reads
    them; `backward` computes them again from x, which is faster than keeping them.

    chunk : how many numbers they hold; with fewer the products are short, with more they leave the cache (measured)

    In the shapes below the larger picture is (B, H, W, third) and the smaller one (B, P, Q, last); W is (K, L, third,
    last).
    """

    chunk = 2**19

    def __init__(self, n_in: int, n_out: int, shape: tuple[int, ...], stride: int | Pair, padding: int | Pair,
                 activation: str, init: str, rng: np.random.Generator, dtype: Any):
        self.n_in, self.n_out, self.kernel_size, self.init = n_in, n_out, shape[:2], init
        self.stride, self.padding = as_pair(stride), as_pair(padding)
        self.activation = one_of("activation", activation, ACTIVATIONS)
        window = math.prod(shape[:2])    # W is stored as (K L third, last); PyTorch counts the fans likewise
        super().__init__(first_weights(shape, n_out, window * shape[2], window * shape[3], init, rng, dtype))

    def _is_compiled(self) -> bool:
        return kernels_are_on() and self.params["W"].dtype in COMPILED_DTYPES

    def _chunks(self, small: Array) -> list[slice]:
        """The batch, in chunks of equally many images; the last may hold fewer."""
        numbers = math.prod(small.shape[:3]) * math.prod(self.params["W"].shape[:3])
        n = math.ceil(len(small) / math.ceil(numbers / self.chunk))
        return [slice(i, i + n) for i in range(0, len(small), n)]

    def _windows(self, large: Array, places: tuple[int, ...]) -> Array:
        """What the windows see of the larger picture at P x Q positions, in rows: (B P Q, K L third)."""
        W = self.params["W"]
        windows = self._buffers("windows", (len(large), *places, *W.shape[:3]), W.dtype)
        return as_rows(patches(large, windows, self.stride, self.padding), 3)

    def _paint(self, small: Array, large: Array) -> None:
        """The smaller picture's windows, small W^T, scattered into the larger one."""
        W = self.params["W"]
        windows = self._buffers("windows", (*small.shape[:3], *W.shape[:3]), W.dtype)
        matmul(as_rows(small), as_rows(W).T, out=as_rows(windows, 3))
        scatter_patches(windows, large, self.stride, self.padding)

    def _add_bias(self, y: Array) -> tuple[Array, Array]:
        """y = activation(y + b), in place, and what its backward needs; by rows of images, because a loop over one
        pixel's channels would be short."""
        bias = np.broadcast_to(self.params["b"], y.shape[2:]).ravel()
        return y, ACTIVATIONS[self.activation].add_bias(as_rows(y, 2), bias, self._buffers).reshape(y.shape)

    def _backward_by_pairs(self, dy: Array, dx: MaybeArray, backward: Callable[..., Any], small: Array) -> MaybeArray:
        """The gradients from the reference functions, chunk by chunk; dx is filled where it is wanted."""
        da = ACTIVATIONS[self.activation].f_backward(dy, self.kept)
        for grad in self.grads.values():
            grad[:] = 0
        for some in self._chunks(small):
            dx_of_some, dW, db = backward(da[some], self.x[some], self.params["W"], self.stride, self.padding,
                                          dx is not None)
            self.grads["W"] += dW
            self.grads["b"] += db
            if dx is not None:
                dx[some] = dx_of_some
        return dx

    def _before_activation(self, dy: Array) -> Array:
        """The gradient da for what the bias was added to, shaped like dy; db goes to grads.  Also by rows."""
        width, n_out = dy.shape[2:]
        db = self._buffers("db", (width * n_out,), dy.dtype)
        da = ACTIVATIONS[self.activation].backward_bias(as_rows(dy, 2), as_rows(self.kept, 2), db, self._buffers)
        np.sum(db.reshape(width, n_out), axis=0, out=self.grads["b"])
        return da.reshape(dy.shape)

    def _add_weight_gradient(self, windows: Array, small: Array) -> None:
        """windows^T small is added to dW."""
        dW = as_rows(self.grads["W"])
        add_transposed_matmul(windows, as_rows(small), dW, self._buffers("dW", dW.shape, dW.dtype))


class Conv2d(Convolution):
    """y = activation(the weighted sums of a sliding window, plus b).

    n_in, n_out     : int, channels
    kernel_size     : of the window; this and the next two are an int, or a pair (height, width)
    stride, padding : pixels from one window to the next; rows and columns of zeros around the image
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_in, n_out), b (n_out,)

    x (B, H, W, n_in) -> y (B, P, Q, n_out), P = (H + 2 padding - K) // stride + 1.  Raises TypeError or
    ValueError for a wrong argument, or in `forward` where the window is larger than the padded image.
    """

    @checked(n_in=WHOLE, n_out=WHOLE, kernel_size=STEPS, stride=STEPS, padding=MARGINS)
    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: DTypeLike = np.float32):
        shape = (*as_pair(kernel_size), n_in, n_out)
        super().__init__(n_in, n_out, shape, stride, padding, activation, init, rng, dtype)

    def forward(self, x: Array) -> Array:
        """x (B, H, W, n_in) -> y (B, P, Q, n_out)."""
        W, b = self.params["W"], self.params["b"]
        expect("x", x, ("B", "height", "width", W.shape[2]), W.dtype)
        places = tuple(conv_size(*sizes) for sizes in zip(x.shape[1:], W.shape, self.stride, self.padding))
        a, compiled = self._buffers("y", (len(x), *places, W.shape[3]), W.dtype), self._is_compiled()
        for some in self._chunks(a):
            if compiled:
                matmul(self._windows(x[some], places), as_rows(W), out=as_rows(a[some]))
            else:
                a[some] = conv2d(x[some], W, b, self.stride, self.padding)
        self.x = x
        self.y, self.kept = self._add_bias(a) if compiled else ACTIVATIONS[self.activation].forward(a)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, P, Q, n_out) -> dx (B, H, W, n_in), or None without need_dx.

        With the windows v, a = v W + b and da = dy activation'(a):  dW = v^T da,  dv = da W^T, scattered into dx.
        [derived in functional.conv2d_backward]
        """
        check_upstream(self, dy, need_dx)
        x = self.x
        dx = self._buffers("dx", x.shape, self.y.dtype) if need_dx else None
        if not self._is_compiled():
            return self._backward_by_pairs(dy, dx, conv2d_backward, self.y)
        da = self._before_activation(dy)
        self.grads["W"][:] = 0
        for some in self._chunks(da):
            self._add_weight_gradient(self._windows(x[some], da.shape[1:3]), da[some])
            if dx is not None:
                self._paint(da[some], dx[some])
        return dx


class ConvTranspose2d(Convolution):
    """y = activation(windows painted by each pixel and added up, plus b): the adjoint of Conv2d.

    n_in, n_out     : int, channels
    kernel_size, stride, padding : of the Conv2d that it transposes, which goes from the larger picture to the smaller
    output_padding  : rows and columns, fewer than the stride, that the Conv2d would leave out at the end
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_out, n_in), b (n_out,)

    x (B, P, Q, n_in) -> y (B, H, W, n_out), H = (P - 1) stride - 2 padding + K + output_padding.  Raises TypeError or
    ValueError for a wrong argument, or in `forward` where the padding leaves nothing.
    """

    @checked(n_in=WHOLE, n_out=WHOLE, kernel_size=STEPS, stride=STEPS, padding=MARGINS, output_padding=MARGINS)
    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, output_padding: int | Pair = 0, activation: str = "identity",
                 init: str = "fan-in", *, rng: np.random.Generator, dtype: DTypeLike = np.float32):
        shape = (*as_pair(kernel_size), n_out, n_in)
        super().__init__(n_in, n_out, shape, stride, padding, activation, init, rng, dtype)
        self.output_padding = as_pair(output_padding)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride)):
            raise ValueError(f"output_padding is {output_padding!r}; expected less than the stride, {stride!r}")

    def forward(self, x: Array) -> Array:
        """x (B, P, Q, n_in) -> y (B, H, W, n_out)."""
        W, b = self.params["W"], self.params["b"]
        expect("x", x, ("B", "height", "width", W.shape[3]), W.dtype)
        sides = tuple(transposed_size(*sizes) for sizes in
                      zip(x.shape[1:], W.shape, self.stride, self.padding, self.output_padding))
        a, compiled = self._buffers("y", (len(x), *sides, W.shape[2]), W.dtype), self._is_compiled()
        for some in self._chunks(x):
            if compiled:
                self._paint(x[some], a[some])
            else:
                a[some] = conv_transpose2d(x[some], W, b, self.stride, self.padding, self.output_padding)
        self.x = x
        self.y, self.kept = self._add_bias(a) if compiled else ACTIVATIONS[self.activation].forward(a)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, H, W, n_out) -> dx (B, P, Q, n_in), or None without need_dx.

        With da = dy activation'(a) and its windows dv:  dW = dv^T x,  dx = dv W.
        [derived in functional.conv_transpose2d_backward]
        """
        check_upstream(self, dy, need_dx)
        x, W = self.x, self.params["W"]
        dx = self._buffers("dx", x.shape, W.dtype) if need_dx else None
        if not self._is_compiled():
            return self._backward_by_pairs(dy, dx, conv_transpose2d_backward, x)
        da = self._before_activation(dy)
        self.grads["W"][:] = 0
        for some in self._chunks(x):
            dwindows = self._windows(da[some], x.shape[1:3])
            self._add_weight_gradient(dwindows, x[some])
            if dx is not None:
                matmul(dwindows, as_rows(W), out=as_rows(dx[some]))
        return dx


def as_rows(x: Array, n_last: int = 1) -> Array:
    """x as a matrix: its last `n_last` axes are the columns, all before them the rows."""
    return x.reshape(-1, math.prod(x.shape[x.ndim - n_last:]))


def as_pair(value: Any) -> Pair:
    """value as a pair: a single number counts for both sides."""
    height, width = value if isinstance(value, (tuple, list)) else (value, value)
    return int(height), int(width)
