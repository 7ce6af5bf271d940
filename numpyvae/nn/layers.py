"""Layers: what has weights.

Every layer follows one protocol:

    layer.forward(x) -> y          keeps what backward needs on self
    layer.backward(dy) -> dx       overwrites layer.grads, never dy
    layer.params, layer.grads      dicts with the same keys

y and dx belong to the layer: they hold until its next forward or backward.  Copy what you want to keep.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..arguments import SIZES, checked, one_of, shown
from ..functional.activations import ACTIVATIONS
from ..functional.dense import dense, dense_backward
from ..twin import MaybeArray
from .buffers import Buffers, Part

Array = np.ndarray


class Layer(Part):
    """What layers share.  The rest of the package asks for these four alone: a layer of one's own need not inherit."""

    forward: Callable[[Array], Array]
    backward: Callable[..., MaybeArray]
    kept = ("x", "y", "stored")
    x: Array
    y: Array
    stored: Array    # what the activation's backward wants: y or its input

    def __init__(self, params: dict[str, Array] | None = None):
        self.params = params or {}
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._buffers = Buffers()


# Each name gives the half-width of a uniform distribution, for weights of n_in inputs and n_out outputs.
INITS = {
    "fan-in": lambda n_in, n_out: (1 / n_in) ** 0.5,          # LeCun et al. 1998; PyTorch's default, for biases too
    "glorot": lambda n_in, n_out: (6 / (n_in + n_out)) ** 0.5,    # Glorot & Bengio 2010, eq. 16
    "he": lambda n_in, n_out: (6 / n_in) ** 0.5,              # He et al. 2015, eq. 10, as a uniform of that variance
}


def first_weights(shape: tuple[int, ...], n_biases: int, fan_in: int, fan_out: int, init: str,
                  rng: np.random.Generator, dtype: Any) -> dict[str, Array]:
    """W of that shape and b, for outputs that each sum fan_in inputs and inputs that each reach fan_out outputs."""
    width = INITS[one_of("init", init, INITS)](fan_in, fan_out)
    W = rng.uniform(-width, width, shape)
    b = rng.uniform(-width, width, n_biases) if init == "fan-in" else np.zeros(n_biases)
    return {"W": W.astype(dtype), "b": b.astype(dtype)}


class Dense(Layer):
    """y = activation(x W + b).

    n_in, n_out : int, the sizes I and O
    activation  : a name in functional.activations.ACTIVATIONS, such as "relu"
    init        : "fan-in" (W and b uniform within 1/sqrt(I)), "glorot" or "he" (W uniform, b zero)
    rng         : numpy.random.Generator, for the first weights
    params      : W (I, O), b (O,)

    Raises TypeError or ValueError that names the argument that does not fit; so do `forward` and `backward`.
    """

    @checked()
    def __init__(self, n_in: int, n_out: int, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: Any = np.float32):
        self.n_in, self.n_out, self.init = n_in, n_out, init
        self.activation = one_of("activation", activation, ACTIVATIONS)
        super().__init__(first_weights((n_in, n_out), n_out, n_in, n_out, init, rng, dtype))

    def forward(self, x: Array) -> Array:
        """x (B, I) -> y (B, O)."""
        W, b = self.params["W"], self.params["b"]
        expect("x", x, ("B", len(W)), W.dtype)
        self.x = x
        self.y, self.stored = dense(x, W, b, self.activation, self._buffers)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, O) -> dx (B, I), or None where nobody needs it.        [derived in functional.dense_backward]"""
        check_upstream(self, dy, need_dx)
        dx, _, _ = dense_backward(dy, self.x, self.params["W"], self.stored, self.activation,
                                  self.grads["W"], self.grads["b"], need_dx, self._buffers)
        return dx


class Reshape(Layer):
    """Each row as an array of the given shape, such as an image: (B, D) -> (B, *shape)."""

    @checked(shape=SIZES)
    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", math.prod(self.shape)))
        self.y = x.reshape(len(x), *self.shape)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, in rows again."""
        check_upstream(self, dy, need_dx)
        return dy.reshape(len(dy), -1) if need_dx else None


class Flatten(Layer):
    """Each image as a row: (B, H, W, C) -> (B, H W C).

    groups : the channels' parts; each part's pixels come after the other's.  With 2, where a pixel's channels are its
             mean and its logvar, the row is [mean of all pixels | logvar of all pixels], as likelihoods take it
    """

    @checked()
    def __init__(self, groups: int = 1):
        super().__init__()
        self.groups = groups

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", "height", "width", "channels"))
        if x.shape[3] % self.groups:
            raise ValueError(f"x has shape {x.shape}; expected images (B, height, width, channels), the channels in "
                             f"{self.groups} equal groups")
        self.x = x
        self.y = self._moved(x, (len(x), -1, self.groups, x.shape[-1] // self.groups), "y").reshape(len(x), -1)
        return self.y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, where they came from."""
        check_upstream(self, dy, need_dx)
        if not need_dx:
            return None
        channels = self.x.shape[-1] // self.groups
        return self._moved(dy, (len(dy), self.groups, -1, channels), "dx").reshape(self.x.shape)

    def _moved(self, x: Array, shape: tuple[int, ...], name: str) -> Array:
        """x in that shape with its two middle axes exchanged, in one piece."""
        moved = x.reshape(shape).swapaxes(1, 2)
        if self.groups == 1:    # nothing moves
            return moved
        out = self._buffers(name, moved.shape, x.dtype)
        out[:] = moved
        return out


class Concatenate(Layer):
    """What is known beside each row: (B, I) -> (B, I + C), [x, context].

    context : (R, C); its R rows stand beside R, 2 R, ... rows of x, again and again.  Set it before forward.
              Nothing is learned here, and backward drops the context's share of the gradient
    """

    @checked()
    def __init__(self, n_in: int, n_context: int):
        super().__init__()
        self.n_in, self.n_context = n_in, n_context
        self.context: Array | None = None

    def forward(self, x: Array) -> Array:
        expect("x", x, ("B", self.n_in))
        if self.context is None:
            raise ValueError("no condition is set; call condition(labels) first, so that the model knows the classes")
        if len(x) % len(self.context):
            raise ValueError(f"the condition holds {len(self.context)} labels for {len(x)} rows; expected one label, "
                             "or one for each row")
        self.y = y = self._buffers("y", (len(x), self.n_in + self.n_context), x.dtype)
        y[:, :self.n_in] = x
        y[:, self.n_in:] = np.tile(self.context, (len(x) // len(self.context), 1))
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """With y = [x, c]:  dx is the first I columns of dy."""
        check_upstream(self, dy, need_dx)
        return np.ascontiguousarray(dy[:, :self.n_in]) if need_dx else None


class Sequential(Part):
    """Layers one after another; with none, the identity."""

    @checked()
    def __init__(self, layers: Sequence[Layer]):
        self.layers = list(layers)

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dx, or None where nobody needs it: then the way back ends at the first layer that has weights."""
        weighted = (i for i, layer in enumerate(self.layers) if layer.params)
        first = next(weighted, 0) if need_dx is False else 0
        dx = dy
        for i, layer in reversed(list(enumerate(self.layers))[first:]):
            dx = layer.backward(dx, need_dx=True if i > first else need_dx)
        return dx

    @checked()
    def named_layers(self, prefix: str) -> Iterator[tuple[str, Layer]]:
        """prefix.0, prefix.1, ... with their layers."""
        for i, layer in enumerate(self.layers):
            yield f"{prefix}.{i}", layer


def expect(argument: str, value: Array, shape: tuple[int | str, ...], dtype: Any = None) -> None:
    """Raises TypeError or ValueError where a layer is given something else: ("B", 5) is any number of rows of 5.

    Compared by hand, and not by `checked`: every layer asks in every step.
    """
    kinds = "fciub" if dtype is None else "fc" if dtype.kind == "c" else "f"
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        raise TypeError(f"{argument} is {shown(value)}; expected an array of {dtype or 'numbers'}")
    if (value.ndim != len(shape) or not value.size
            or any([type(n) is not str and n != m for n, m in zip(shape, value.shape)])):
        raise ValueError(f"{argument} has shape {value.shape}; expected ({', '.join(map(str, shape))})"
                         f"{'' if value.size else ', and none of them 0'}")


def check_as_many(argument: str, rows: Array, other: str, rows_of_other: Array) -> None:
    """Raises ValueError where one array has more rows than the other."""
    if len(rows) != len(rows_of_other):
        raise ValueError(f"{argument} has {len(rows)} rows and {other} {len(rows_of_other)}; expected as many")


def check_upstream(layer: Any, dy: Array, need_dx: bool) -> None:
    """Raises TypeError or ValueError where dy cannot be the gradient of the layer's last output, need_dx no flag."""
    if not isinstance(need_dx, (bool, np.bool_)):
        raise ValueError(f"need_dx is {shown(need_dx)}; expected True or False")
    y = getattr(layer, "y", None)
    if y is None:
        raise ValueError("dy came before any x; expected forward(x) before backward(dy)")
    kinds = "fc" if y.dtype.kind == "c" else "f"
    if not isinstance(dy, np.ndarray) or dy.dtype.kind not in kinds or dy.shape != y.shape:
        expect("dy", dy, y.shape, y.dtype)    # says what is wrong
