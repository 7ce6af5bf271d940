"""The layers of images, (B, height, width, channels): Conv2d, ConvTranspose2d; the mathematics is in
functional/convolution.py.

Each is one matrix product, of all the windows of a batch, beside one pass of copying.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .buffers import Buffers
from .functional.activations import ACTIVATIONS, bias_backward
from .functional.affine import matmul
from .functional.convolution import Pair, conv_size, patches, scatter_patches, transposed_size
from .layers import MaybeArray, check_size, first_weights, one_of

Array = np.ndarray

CACHED = 2**18    # numbers, a megabyte of float32, that are still in the cache when they are read again


class Convolution:
    """What Conv2d and ConvTranspose2d share: weights, geometry, and the passes before and after the products."""

    def __init__(self, shape: tuple[int, ...], n_out: int, stride: int | Pair, padding: int | Pair, activation: str,
                 init: str, rng: np.random.Generator, dtype: Any):
        self.stride, self.padding = check_pair("stride", stride, 1), check_pair("padding", padding, 0)
        self.activation = ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
        K, L, n_third, n_last = shape    # W is stored as (K L third, last); PyTorch counts the fans likewise
        self.params = first_weights(shape, n_out, K * L * n_third, K * L * n_last, init, rng, dtype)
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._buffers = Buffers()

    def _check(self, x: Array, n_in: int) -> None:
        if x.ndim != 4 or x.shape[3] != n_in:
            raise ValueError(f"x has shape {x.shape}; expected (B, height, width, {n_in}), the channels last")

    def _activate(self, y: Array) -> None:
        """activation(y + b), in place."""
        self.activation.add_bias(as_rows(y, 2), np.tile(self.params["b"], y.shape[2]))

    def _before_activation(self, dy: Array) -> Array:
        """The gradient da for what the bias was added to, shaped like dy; db goes into grads.

        The passes walk whole rows of an image, a bias for each number in a row: a loop over one channel would be short.
        """
        width, n_out = dy.shape[2:]
        db = self._buffers("db", (width * n_out,), dy.dtype)
        if self.activation.backward_bias is None:
            da = dy
            bias_backward(as_rows(dy, 2), db)
        else:
            da = self._buffers("da", self.y.shape, self.y.dtype)
            self.activation.backward_bias(as_rows(dy, 2), as_rows(self.y, 2), as_rows(da, 2), db)
        np.sum(db.reshape(width, n_out), axis=0, out=self.grads["b"])
        return da

    def _painted(self, x: Array, W: Array, out: Array) -> Array:
        """Windows x W^T, scattered into out (B, H, W, third): a few images at a time, while they are in the cache."""
        shape = (*x.shape[1:3], *W.shape[:3])
        n = max(1, CACHED // math.prod(shape))
        for i in range(0, len(x), n):
            some = x[i:i + n]
            windows = self._buffers("painted", (len(some), *shape), W.dtype)
            matmul(as_rows(some), as_rows(W).T, out=as_rows(windows, 3))
            scatter_patches(windows, out[i:i + n], self.stride, self.padding)
        return out

    y: Array


class Conv2d(Convolution):
    """y = activation(the weighted sums of a sliding window, plus b).

    n_in, n_out     : int, channels
    kernel_size     : of the window: int, or a pair (height, width), as are
    stride, padding : pixels from one window to the next; rows and columns of zeros around the image
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_in, n_out), b (n_out,)

    x (B, H, W, n_in) -> y (B, P, Q, n_out), P = (H + 2 padding - K) // stride + 1.  Raises ValueError for a wrong
    argument, or in `forward` where the window is larger than the padded image.
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: Any = np.float32):
        check_size("n_in", n_in), check_size("n_out", n_out)
        shape = (*check_pair("kernel_size", kernel_size, 1), n_in, n_out)
        super().__init__(shape, n_out, stride, padding, activation, init, rng, dtype)

    def forward(self, x: Array) -> Array:
        """x (B, H, W, n_in) -> y (B, P, Q, n_out)."""
        W = self.params["W"]
        self._check(x, W.shape[2])
        places = tuple(conv_size(*sizes) for sizes in zip(x.shape[1:3], W.shape[:2], self.stride, self.padding))
        windows = self._buffers("windows", (len(x), *places, *W.shape[:3]), W.dtype)
        y = self._buffers("y", (len(x), *places, W.shape[3]), W.dtype)
        patches(x, windows, self.stride, self.padding)
        matmul(as_rows(windows, 3), as_rows(W), out=as_rows(y))
        self._activate(y)
        self.x_shape, self.windows, self.y = x.shape, windows, y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, P, Q, n_out) -> dx (B, H, W, n_in), or None where nobody needs it.

        With the windows v, a = v W + b and da = dy activation'(a):  dW = v^T da,  dv = da W^T, scattered into dx.
        [derived in functional.conv2d_backward]
        """
        W, windows = self.params["W"], self.windows
        da = self._before_activation(dy)
        matmul(as_rows(windows, 3).T, as_rows(da), out=as_rows(self.grads["W"]))
        if not need_dx:
            return None
        return self._painted(da, W, self._buffers("dx", self.x_shape, W.dtype))


class ConvTranspose2d(Convolution):
    """y = activation(windows painted by each pixel and added up, plus b): the adjoint of Conv2d.

    n_in, n_out     : int, channels
    kernel_size, stride, padding : of the Conv2d that it transposes: there from the larger picture to the smaller
    output_padding  : rows and columns, less than the stride, that the Conv2d would leave out at the end
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_out, n_in), b (n_out,)

    x (B, P, Q, n_in) -> y (B, H, W, n_out), H = (P - 1) stride - 2 padding + K + output_padding.  Raises ValueError for
    a wrong argument, or in `forward` where the padding leaves nothing.
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, output_padding: int | Pair = 0, activation: str = "identity",
                 init: str = "fan-in", *, rng: np.random.Generator, dtype: Any = np.float32):
        check_size("n_in", n_in), check_size("n_out", n_out)
        shape = (*check_pair("kernel_size", kernel_size, 1), n_out, n_in)
        super().__init__(shape, n_out, stride, padding, activation, init, rng, dtype)
        self.output_padding = check_pair("output_padding", output_padding, 0)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride)):
            raise ValueError(f"output_padding is {output_padding!r}; expected less than the stride, {stride!r}")

    def forward(self, x: Array) -> Array:
        """x (B, P, Q, n_in) -> y (B, H, W, n_out)."""
        W = self.params["W"]
        self._check(x, W.shape[3])
        sides = tuple(transposed_size(*sizes) for sizes in
                      zip(x.shape[1:3], W.shape[:2], self.stride, self.padding, self.output_padding))
        y = self._painted(x, W, self._buffers("y", (len(x), *sides, W.shape[2]), W.dtype))
        self._activate(y)
        self.x, self.y = x, y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, H, W, n_out) -> dx (B, P, Q, n_in), or None where nobody needs it.

        With da = dy activation'(a) and its windows dv:  dW = dv^T x,  dx = dv W.
        [derived in functional.conv_transpose2d_backward]
        """
        x, W = self.x, self.params["W"]
        da = self._before_activation(dy)
        dwindows = self._buffers("dwindows", (*x.shape[:3], *W.shape[:3]), W.dtype)
        patches(da, dwindows, self.stride, self.padding)
        matmul(as_rows(dwindows, 3).T, as_rows(x), out=as_rows(self.grads["W"]))
        if not need_dx:
            return None
        dx = self._buffers("dx", x.shape, W.dtype)
        matmul(as_rows(dwindows, 3), as_rows(W), out=as_rows(dx))
        return dx


def as_rows(x: Array, n_last: int = 1) -> Array:
    """x as a matrix: its last `n_last` axes are the columns, all before them the rows."""
    return x.reshape(-1, math.prod(x.shape[x.ndim - n_last:]))


def check_pair(argument: str, value: Any, least: int) -> Pair:
    """value, or twice the one number that it is; raises ValueError where they are not whole and at least `least`."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= least
                                 for n in pair):
        raise ValueError(f"{argument} is {value!r}; expected a whole number of at least {least}, or a pair of them, "
                         "along the height and the width")
    return int(pair[0]), int(pair[1])
