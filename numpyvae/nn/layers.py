"""Layers: the parts of a network.

Every layer follows one protocol:

    layer.forward(x) -> y          keeps what backward needs on self
    layer.backward(dy) -> dx       overwrites layer.grads, never dy; None for backward(dy, need_dx=False)
    layer.params, layer.grads      dicts with the same keys

y and dx belong to the layer: they are valid until its next forward or backward.  Copy what you want to keep.
"""
from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import IMAGE, LAYERS, SHAPE, TEXT, WHOLE, checked, one_of, shown
from ..functional.activations import ACTIVATIONS
from ..functional.dense import dense, dense_backward
from ..twin import MaybeArray
from .buffers import Buffers, Gradients, Part

Array = np.ndarray


class Layer(Part):
    """What layers share.  Your own layer need not inherit from it: the package needs only what is listed above."""

    forward: Callable[[Array], Array]
    backward: Callable[..., MaybeArray]
    not_copied = ("x", "y", "kept")
    x: Array
    y: Array
    kept: Array    # what the activation's backward needs: y or its input

    def __init__(self, params: dict[str, Array] | None = None):
        self.params = params or {}
        self.grads = Gradients({name: np.zeros_like(value) for name, value in self.params.items()})
        self._buffers = Buffers()


# Each name gives the half-width of a uniform distribution, for weights of n_in inputs and n_out outputs.
INITS = {
    "fan-in": lambda n_in, n_out: (1 / n_in) ** 0.5,          # LeCun et al. 1998; PyTorch's default, for biases too
    "glorot": lambda n_in, n_out: (6 / (n_in + n_out)) ** 0.5,    # Glorot & Bengio 2010, eq. 16
    "he": lambda n_in, n_out: (6 / n_in) ** 0.5,              # He et al. 2015, eq. 10, uniform with that variance
}


_left: ContextVar[int | None] = ContextVar("weights left", default=None)


@contextlib.contextmanager
def at_most(n_weights: int) -> Iterator[None]:
    """Inside the block, layers may have at most n_weights weights in all, so that a forged file cannot exhaust memory.

    A layer that asks for more raises ValueError.
    """
    before = _left.set(n_weights)
    try:
        yield
    finally:
        _left.reset(before)


def _count(n_weights: int) -> None:
    left = _left.get()
    if left is not None:
        if n_weights > left:
            raise ValueError("its parts need more weights than it holds")
        _left.set(left - n_weights)


def first_weights(shape: tuple[int, ...], n_biases: int, fan_in: int, fan_out: int, init: str,
                  rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
    """W of that shape and b, for outputs that each sum fan_in inputs and inputs that each reach fan_out outputs."""
    width = INITS[one_of("init", init, INITS)](fan_in, fan_out)
    _count(math.prod(shape) + n_biases)
    W = rng.uniform(-width, width, shape)
    b = rng.uniform(-width, width, n_biases) if init == "fan-in" else np.zeros(n_biases)
    return {"W": W.astype(dtype), "b": b.astype(dtype)}


class Dense(Layer):
    """y = activation(x W + b).

    n_in, n_out : int, the sizes I and O
    activation  : a name in functional.activations.ACTIVATIONS, such as "relu"
    init        : "fan-in" (W and b uniform within 1/sqrt(I)), "glorot" or "he" (W uniform, b zero)
    rng         : numpy.random.Generator, for the initial weights
    params      : W (I, O), b (O,)

    The constructor, `forward` and `backward` raise TypeError or ValueError that names the argument that does not fit.
    """

    @checked(n_in=WHOLE, n_out=WHOLE)
    def __init__(self, n_in: int, n_out: int, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: DTypeLike = np.float32):
        self.n_in, self.n_out, self.init = n_in, n_out, init
        self.activation = one_of("activation", activation, ACTIVATIONS)
        super().__init__(first_weights((n_in, n_out), n_out, n_in, n_out, init, rng, dtype))

    def forward(self, x: Array) -> Array:
        """x (B, I) -> y (B, O)."""
        W, b = self.params["W"], self.params["b"]
        expect("x", x, ("B", len(W)), W.dtype)
        self.x = x
        self.y, self.kept = dense(x, W, b, self.activation, self._buffers)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, O) -> dx (B, I), or None without need_dx.          [derived in functional.dense_backward]"""
        check_upstream(self, dy, need_dx)
        dx, _, _ = dense_backward(dy, self.x, self.params["W"], self.kept, self.activation,
                                  self.grads["W"], self.grads["b"], need_dx, self._buffers)
        return dx


class Reshape(Layer):
    """Each row as an array of the given shape, such as an image: (B, D) -> (B, *shape)."""

    @checked(shape=SHAPE)
    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)
        self.n_in = math.prod(self.shape)

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", math.prod(self.shape)))
        self.y = x.reshape(len(x), *self.shape)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, in rows again."""
        check_upstream(self, dy, need_dx)
        return dy.reshape(len(dy), -1) if need_dx else None


class ReshapeLabelled(Reshape):
    """Each row of pixels and a one-hot label as an image with more channels: (B, D + C) -> (B, H, W, channels + C).

    The label's channels are the same at every pixel, 1 in that of its class and 0 in the others, so a convolution adds
    the weights of one channel more: a picture's class moves its output as a bias would, except near padded edges.

    shape     : of an image, (H, W, channels), which has D numbers
    n_classes : C
    """

    @checked(shape=IMAGE, n_classes=WHOLE)
    def __init__(self, shape: Sequence[int], n_classes: int):
        super().__init__(shape)
        self.n_classes = n_classes
        self.n_in += n_classes

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", self.n_in))
        n_data, n_channels = self.n_in - self.n_classes, self.shape[2]
        self.y = self._buffers("y", (len(x), *self.shape[:2], n_channels + self.n_classes), x.dtype)
        self.y[..., :n_channels] = x[:, :n_data].reshape(len(x), *self.shape)
        self.y[..., n_channels:] = x[:, None, None, n_data:]
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The pixels' gradient in rows again; the label's, which was copied to every pixel, summed over them."""
        check_upstream(self, dy, need_dx)
        if not need_dx:
            return None
        n_channels = self.shape[2]
        pixels = dy[..., :n_channels].reshape(len(dy), -1)
        return np.concatenate([pixels, dy[..., n_channels:].sum(axis=(1, 2))], axis=1)


class Flatten(Layer):
    """Each image as a row: (B, H, W, C) -> (B, H W C).

    groups : how many equal groups the channels form; a row holds one group after the other.  With 2, where a pixel's
             channels are its mean and logvar, it is [mean of all pixels | logvar of all pixels], as likelihoods expect
    """

    @checked(groups=WHOLE)
    def __init__(self, groups: int = 1):
        super().__init__()
        self.groups = groups

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", "height", "width", "channels"))
        if x.shape[3] % self.groups:
            raise ValueError(f"x has shape {x.shape}; expected images (B, height, width, channels), with the "
                             f"channels in {self.groups} equal groups")
        self.x = x
        self.y = self._moved(x, (len(x), -1, self.groups, x.shape[-1] // self.groups), "y").reshape(len(x), -1)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, put back where they came from."""
        check_upstream(self, dy, need_dx)
        if not need_dx:
            return None
        channels = self.x.shape[-1] // self.groups
        return self._moved(dy, (len(dy), self.groups, -1, channels), "dx").reshape(self.x.shape)

    def _moved(self, x: Array, shape: tuple[int, ...], name: str) -> Array:
        """x in that shape with its two middle axes exchanged, contiguous."""
        moved = x.reshape(shape).swapaxes(1, 2)
        if self.groups == 1:    # nothing moves
            return moved
        out = self._buffers(name, moved.shape, x.dtype)
        out[:] = moved
        return out


class SharedLogvar(Layer):
    """Behind each row of means one learned log variance, the same for every pixel: (B, D) -> (B, 2D), [mean | logvar].

    A decoder that ends so has one learned sigma for all pixels of all images, as the likelihood "gaussian-shared" needs
    it.  The number is a layer's and not the likelihood's, so that it is a weight like any other: optimizers, objectives
    that weigh rows, files and gradient checks know it already.                                [Rybkin et al. 2021]

    n_in   : D
    params : logvar (1,), log sigma^2, at first 0
    """

    @checked(n_in=WHOLE)
    def __init__(self, n_in: int, *, dtype: DTypeLike = np.float32):
        self.n_in, self.n_out = n_in, 2 * n_in
        _count(1)
        super().__init__({"logvar": np.zeros(1, dtype)})

    def forward(self, x: Array) -> Array:
        logvar = self.params["logvar"]
        expect("x", x, ("B", self.n_in), logvar.dtype)
        self.y = self._buffers("y", (len(x), self.n_out), x.dtype)
        self.y[:, :self.n_in] = x
        self.y[:, self.n_in:] = logvar
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, 2D) -> dx (B, D), the means' part.  logvar was copied to every pixel: its gradient is the sum.

        With the Gaussian's nll of a row with the residual r, summed over its pixels, that sum is

        dlogvar = sum_b dnll_b 1/2 ( D - |r_b|^2 / sigma^2 ),

        which is zero where sigma^2 is the mean of r^2 over all pixels.                      [lesson 9, eq. 9.10]
        """
        check_upstream(self, dy, need_dx)
        self.grads["logvar"][:] = dy[:, self.n_in:].sum()
        if not need_dx:
            return None
        dx = self._buffers("dx", (len(dy), self.n_in), dy.dtype)
        dx[:] = dy[:, :self.n_in]
        return dx


class Sequential(Part):
    """Layers one after another; with none, the identity."""

    @checked(layers=LAYERS)
    def __init__(self, layers: Sequence[Layer]):
        for before, after in itertools.pairwise(layers):
            if isinstance(before, Dense) and isinstance(after, Dense) and before.n_out != after.n_in:
                raise ValueError(f"Sequential: layers has {before} before {after}; expected a Dense that takes "
                                 f"{before.n_out} numbers")
        self.layers = list(layers)

    @property
    def n_in(self) -> int | None:
        """How many numbers a row of x holds; None where the first layer does not say."""
        return getattr(self.layers[0], "n_in", None) if self.layers else None

    @property
    def n_out(self) -> int | None:
        """How many numbers a row of y holds, where the last layer is dense or a SharedLogvar; else None."""
        return self.layers[-1].n_out if self.layers and isinstance(self.layers[-1], (Dense, SharedLogvar)) else None

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dx, or None without need_dx: then the backward pass ends at the first layer that has weights."""
        weighted = (i for i, layer in enumerate(self.layers) if layer.params)
        first = next(weighted, 0) if need_dx is False else 0
        dx = dy
        for layer in reversed(self.layers[first + 1:]):
            dx = layer.backward(dx)
        return self.layers[first].backward(dx, need_dx=need_dx) if self.layers else dx

    @checked(prefix=TEXT)
    def named_layers(self, prefix: str) -> Iterator[tuple[str, Layer]]:
        """prefix.0, prefix.1, ... with their layers."""
        for i, layer in enumerate(self.layers):
            yield f"{prefix}.{i}", layer


def expect(argument: str, value: Array, shape: tuple[int | str, ...], dtype: Any = None) -> None:
    """Raises TypeError or ValueError unless value has this shape and dtype: ("B", 5) is any number of rows of 5.

    By hand and not by `checked`, because every layer does this in every step.
    """
    if (type(value) is np.ndarray and value.dtype == dtype and value.size
            and type(shape[0]) is str and value.shape[1:] == shape[1:]):    # the usual case
        return
    kinds = "fciub" if dtype is None else "fc" if dtype.kind == "c" else "f"
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        raise TypeError(f"{argument} is {shown(value)}; expected an array of {dtype or 'numbers'}")
    if (value.ndim != len(shape) or not value.size
            or any([type(n) is not str and n != m for n, m in zip(shape, value.shape)])):
        raise ValueError(f"{argument} has shape {value.shape}; expected ({', '.join(map(str, shape))})"
                         f"{'' if value.size else ', with no axis of length 0'}")


def check_upstream(layer: Any, dy: Array, need_dx: bool) -> None:
    """Raises TypeError or ValueError where dy does not fit the layer's last output or need_dx is not a flag."""
    y = getattr(layer, "y", None)
    if type(dy) is type(y) is np.ndarray and dy.shape == y.shape and dy.dtype == y.dtype and type(need_dx) is bool:
        return    # the usual case
    if not isinstance(need_dx, (bool, np.bool_)):
        raise ValueError(f"need_dx is {shown(need_dx)}; expected True or False")
    if y is None:
        raise ValueError("backward was called before forward; expected forward(x) before backward(dy)")
    expect("dy", dy, y.shape, y.dtype)
