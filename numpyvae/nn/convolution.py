"""The layers of images, (B, height, width, channels): Conv2d, ConvTranspose2d; the mathematics is in
functional/convolution.py.

Each is one matrix product for the windows of some images, beside one pass of copying.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import checked, one_of
from ..functional.activations import ACTIVATIONS, bias_backward
from ..functional.affine import add_transposed_matmul, matmul
from ..functional.convolution import Pair, conv_size, patches, scatter_patches, transposed_size
from .buffers import Buffers
from .layers import MaybeArray, check_upstream, expect, first_weights

Array = np.ndarray


class Convolution:
    """What Conv2d and ConvTranspose2d share: weights, geometry, and the steps that both are made of.

    Windows are made for a portion of the batch, small enough that they are still in the cache when the product reads
    them; so `backward` makes them anew from x, which is faster than to keep them.

    portion : how many numbers they hold; with fewer the products get short, with more they come from memory (measured)

    In the shapes below the larger picture is (B, H, W, third) and the smaller one (B, P, Q, last); W is (K, L, third,
    last).
    """

    portion = 2**19

    def __init__(self, shape: tuple[int, ...], n_out: int, stride: int | Pair, padding: int | Pair, activation: str,
                 init: str, rng: np.random.Generator, dtype: Any):
        self.stride, self.padding = as_pair(stride), as_pair(padding)
        self.activation = ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
        K, L, n_third, n_last = shape    # W is stored as (K L third, last); PyTorch counts the fans likewise
        self.params = first_weights(shape, n_out, K * L * n_third, K * L * n_last, init, rng, dtype)
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._buffers = Buffers()

    def _portions(self, small: Array) -> list[slice]:
        """The batch, in portions of as many images each."""
        P, Q = small.shape[1:3]
        numbers = len(small) * P * Q * math.prod(self.params["W"].shape[:3])
        n = math.ceil(len(small) / math.ceil(numbers / self.portion))
        return [slice(i, i + n) for i in range(0, len(small), n)]

    def _windows(self, large: Array, places: tuple[int, ...]) -> Array:
        """What the windows see of the larger picture at P, Q places, in rows: (B P Q, K L third)."""
        W = self.params["W"]
        windows = self._buffers("windows", (len(large), *places, *W.shape[:3]), W.dtype)
        return as_rows(patches(large, windows, self.stride, self.padding), 3)

    def _paint(self, small: Array, large: Array) -> None:
        """The smaller picture's windows, small W^T, scattered into the larger one."""
        W = self.params["W"]
        windows = self._buffers("windows", (*small.shape[:3], *W.shape[:3]), W.dtype)
        matmul(as_rows(small), as_rows(W).T, out=as_rows(windows, 3))
        scatter_patches(windows, large, self.stride, self.padding)

    def _add_bias(self, y: Array) -> None:
        """y = activation(y + b), in place; by rows of images, as a loop over one pixel's channels would be short."""
        self.activation.add_bias(as_rows(y, 2), np.tile(self.params["b"], y.shape[2]))

    def _before_activation(self, dy: Array, y: Array) -> Array:
        """The gradient da for what the bias was added to, shaped like dy; db goes to grads.  By rows, too."""
        width, n_out = dy.shape[2:]
        db = self._buffers("db", (width * n_out,), dy.dtype)
        if self.activation.backward_bias is None:
            da = dy
            bias_backward(as_rows(dy, 2), db)
        else:
            da = self._buffers("da", y.shape, y.dtype)
            self.activation.backward_bias(as_rows(dy, 2), as_rows(y, 2), as_rows(da, 2), db)
        np.sum(db.reshape(width, n_out), axis=0, out=self.grads["b"])
        return da

    def _add_weight_gradient(self, windows: Array, small: Array) -> None:
        """windows^T small is added to dW."""
        dW = as_rows(self.grads["W"])
        add_transposed_matmul(windows, as_rows(small), dW, self._buffers("dW", dW.shape, dW.dtype))

    x: Array
    y: Array


class Conv2d(Convolution):
    """y = activation(the weighted sums of a sliding window, plus b).

    n_in, n_out     : int, channels
    kernel_size     : of the window: int, or a pair (height, width), as are
    stride, padding : pixels from one window to the next; rows and columns of zeros around the image
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_in, n_out), b (n_out,)

    x (B, H, W, n_in) -> y (B, P, Q, n_out), P = (H + 2 padding - K) // stride + 1.  Raises TypeError or
    ValueError for a wrong argument, or in `forward` where the window is larger than the padded image.
    """

    @checked()
    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: Any = np.float32):
        shape = (*as_pair(kernel_size), n_in, n_out)
        super().__init__(shape, n_out, stride, padding, activation, init, rng, dtype)

    def forward(self, x: Array) -> Array:
        """x (B, H, W, n_in) -> y (B, P, Q, n_out)."""
        W = self.params["W"]
        expect("x", x, ("B", "height", "width", W.shape[2]), W.dtype)
        places = tuple(conv_size(*sizes) for sizes in zip(x.shape[1:3], W.shape[:2], self.stride, self.padding))
        y = self._buffers("y", (len(x), *places, W.shape[3]), W.dtype)
        for some in self._portions(y):
            matmul(self._windows(x[some], places), as_rows(W), out=as_rows(y[some]))
        self._add_bias(y)
        self.x, self.y = x, y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, P, Q, n_out) -> dx (B, H, W, n_in), or None where nobody needs it.

        With the windows v, a = v W + b and da = dy activation'(a):  dW = v^T da,  dv = da W^T, scattered into dx.
        [derived in functional.conv2d_backward]
        """
        check_upstream(self, dy, need_dx)
        x, y = self.x, self.y
        dx = self._buffers("dx", x.shape, y.dtype) if need_dx else None
        da = self._before_activation(dy, y)
        self.grads["W"][:] = 0
        for some in self._portions(da):
            self._add_weight_gradient(self._windows(x[some], da.shape[1:3]), da[some])
            if dx is not None:
                self._paint(da[some], dx[some])
        return dx


class ConvTranspose2d(Convolution):
    """y = activation(windows painted by each pixel and added up, plus b): the adjoint of Conv2d.

    n_in, n_out     : int, channels
    kernel_size, stride, padding : of the Conv2d that it transposes: there from the larger picture to the smaller
    output_padding  : rows and columns, less than the stride, that the Conv2d would leave out at the end
    activation, init, rng, dtype : as in Dense
    params          : W (K, L, n_out, n_in), b (n_out,)

    x (B, P, Q, n_in) -> y (B, H, W, n_out), H = (P - 1) stride - 2 padding + K + output_padding.  Raises TypeError or
    ValueError for a wrong argument, or in `forward` where the padding leaves nothing.
    """

    @checked()
    def __init__(self, n_in: int, n_out: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, output_padding: int | Pair = 0, activation: str = "identity",
                 init: str = "fan-in", *, rng: np.random.Generator, dtype: Any = np.float32):
        shape = (*as_pair(kernel_size), n_out, n_in)
        super().__init__(shape, n_out, stride, padding, activation, init, rng, dtype)
        self.output_padding = as_pair(output_padding)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride)):
            raise ValueError(f"output_padding is {output_padding!r}; expected less than the stride, {stride!r}")

    def forward(self, x: Array) -> Array:
        """x (B, P, Q, n_in) -> y (B, H, W, n_out)."""
        W = self.params["W"]
        expect("x", x, ("B", "height", "width", W.shape[3]), W.dtype)
        sides = tuple(transposed_size(*sizes) for sizes in
                      zip(x.shape[1:3], W.shape[:2], self.stride, self.padding, self.output_padding))
        y = self._buffers("y", (len(x), *sides, W.shape[2]), W.dtype)
        for some in self._portions(x):
            self._paint(x[some], y[some])
        self._add_bias(y)
        self.x, self.y = x, y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, H, W, n_out) -> dx (B, P, Q, n_in), or None where nobody needs it.

        With da = dy activation'(a) and its windows dv:  dW = dv^T x,  dx = dv W.
        [derived in functional.conv_transpose2d_backward]
        """
        check_upstream(self, dy, need_dx)
        x, y, W = self.x, self.y, self.params["W"]
        dx = self._buffers("dx", x.shape, y.dtype) if need_dx else None
        da = self._before_activation(dy, y)
        self.grads["W"][:] = 0
        for some in self._portions(x):
            dwindows = self._windows(da[some], x.shape[1:3])
            self._add_weight_gradient(dwindows, x[some])
            if dx is not None:
                matmul(dwindows, as_rows(W), out=as_rows(dx[some]))
        return dx


def as_rows(x: Array, n_last: int = 1) -> Array:
    """x as a matrix: its last `n_last` axes are the columns, all before them the rows."""
    return x.reshape(-1, math.prod(x.shape[x.ndim - n_last:]))


def as_pair(value: Any) -> Pair:
    """value, or twice the one number that it is."""
    height, width = value if isinstance(value, (tuple, list)) else (value, value)
    return int(height), int(width)
