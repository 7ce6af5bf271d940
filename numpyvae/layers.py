"""Layers: what has weights.

Every layer follows one protocol:

    layer.forward(x) -> y          keeps what backward needs on self
    layer.backward(dy) -> dx       overwrites layer.grads, never dy
    layer.params, layer.grads      dicts with the same keys

y and dx belong to the layer: they hold until its next forward or backward.  Copy what you want to keep.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from .buffers import Buffers
from .functional.activations import ACTIVATIONS, bias_backward
from .functional.affine import matmul

Array = np.ndarray
MaybeArray = Any    # an Array, or None where the caller said that it needs none


class Layer(Protocol):
    """What the rest of the package asks of a layer."""

    params: dict[str, Array]
    grads: dict[str, Array]

    def forward(self, x: Array) -> Array: ...

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray: ...


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


class Dense:
    """y = activation(x W + b).

    n_in, n_out : int, the sizes I and O
    activation  : "identity", "relu", "tanh", "sigmoid" or "softplus"
    init        : "fan-in" (W and b uniform within 1/sqrt(I)), "glorot" or "he" (W uniform, b zero)
    rng         : numpy.random.Generator, for the first weights
    params      : W (I, O), b (O,)

    Raises ValueError for an unknown name or a size below 1.
    """

    def __init__(self, n_in: int, n_out: int, activation: str = "identity", init: str = "fan-in", *,
                 rng: np.random.Generator, dtype: Any = np.float32):
        check_size("n_in", n_in), check_size("n_out", n_out)
        self.activation = ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
        self.params = first_weights((n_in, n_out), n_out, n_in, n_out, init, rng, dtype)
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self._buffers = Buffers()

    def forward(self, x: Array) -> Array:
        """x (B, I) -> y (B, O)."""
        W, b = self.params["W"], self.params["b"]
        y = self._buffers("y", (len(x), W.shape[1]), W.dtype)
        matmul(x, W, out=y)
        self.activation.add_bias(y, b)
        self.x, self.y = x, y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """dy (B, O) -> dx (B, I), or None where nobody needs it: the first layer's dx is a third of its work.

        With a = x W + b and da = dy activation'(a):  dW = x^T da,  db = sum of da's rows,  dx = da W^T.
        [derived in functional.affine_backward]
        """
        x, y, W = self.x, self.y, self.params["W"]
        dW, db = self.grads["W"], self.grads["b"]
        if self.activation.backward_bias is None:
            da = dy
            bias_backward(da, db)
        else:
            da, _ = self.activation.backward_bias(dy, y, self._buffers("da", y.shape, y.dtype), db)
        matmul(x.T, da, out=dW)
        if not need_dx:
            return None
        return matmul(da, W.T, out=self._buffers("dx", x.shape, W.dtype))


class Reshape:
    """Each row as an array of the given shape, such as an image: (B, D) -> (B, *shape)."""

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.reshape(len(x), *self.shape)

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, in rows again."""
        return dy.reshape(self.x_shape) if need_dx else None


class Flatten:
    """Each image as a row: (B, H, W, C) -> (B, H W C).

    groups : the channels' parts; each part's pixels come after the other's.  With 2, where a pixel's channels are its
             mean and its logvar, the row is [mean of all pixels | logvar of all pixels], as likelihoods take it
    """

    def __init__(self, groups: int = 1):
        self.groups = check_size("groups", groups)
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self._buffers = Buffers()

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return self._moved(x, (len(x), -1, self.groups, x.shape[-1] // self.groups), "y").reshape(len(x), -1)

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """The same numbers, where they came from."""
        if not need_dx:
            return None
        channels = self.x_shape[-1] // self.groups
        return self._moved(dy, (len(dy), self.groups, -1, channels), "dx").reshape(self.x_shape)

    def _moved(self, x: Array, shape: tuple[int, ...], name: str) -> Array:
        """x in that shape with its two middle axes exchanged, in one piece."""
        moved = x.reshape(shape).swapaxes(1, 2)
        if self.groups == 1:    # nothing moves
            return moved
        out = self._buffers(name, moved.shape, x.dtype)
        out[:] = moved
        return out


class Concatenate:
    """What is known beside each row: (B, I) -> (B, I + C), [x, context].

    context : (R, C); its R rows stand beside R, 2 R, ... rows of x, again and again.  Set it before forward.
              Nothing is learned here, and backward drops the context's share of the gradient
    """

    def __init__(self, n_in: int, n_context: int):
        self.n_in, self.n_context = check_size("n_in", n_in), check_size("n_context", n_context)
        self.context: Array | None = None
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self._buffers = Buffers()

    def forward(self, x: Array) -> Array:
        if self.context is None:
            raise ValueError("no condition is set; call condition(labels) first, so that the model knows the classes")
        if len(x) % len(self.context):
            raise ValueError(f"the condition holds {len(self.context)} labels for {len(x)} rows; expected one label, "
                             "or one for each row")
        y = self._buffers("y", (len(x), self.n_in + self.n_context), x.dtype)
        y[:, :self.n_in] = x
        y[:, self.n_in:] = np.tile(self.context, (len(x) // len(self.context), 1))
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        """With y = [x, c]:  dx is the first I columns of dy."""
        return np.ascontiguousarray(dy[:, :self.n_in]) if need_dx else None


class Sequential:
    """Layers one after another; with none, the identity."""

    def __init__(self, layers: Sequence[Layer]):
        self.layers = list(layers)

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> MaybeArray:
        dx = dy
        for i, layer in reversed(list(enumerate(self.layers))):
            dx = layer.backward(dx, need_dx=need_dx or i > 0)
        return dx

    def named_layers(self, prefix: str) -> Iterator[tuple[str, Layer]]:
        """prefix.0, prefix.1, ... with their layers."""
        for i, layer in enumerate(self.layers):
            yield f"{prefix}.{i}", layer


def dense_stack(sizes: Sequence[int], activation: str, last_activation: str, **options: Any) -> Sequential:
    """Dense layers through the given sizes: (784, 400, 20) makes 784 -> 400 -> 20."""
    activations = [activation] * (len(sizes) - 2) + [last_activation]
    return Sequential([Dense(n_in, n_out, f, **options) for n_in, n_out, f in zip(sizes, sizes[1:], activations)])


def check_size(argument: str, size: Any) -> int:
    """size; raises ValueError where it is no whole number of at least 1."""
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{argument} is {size!r}; expected a whole number of at least 1")
    return int(size)


def one_of(argument: str, value: Any, known: Any) -> Any:
    """value, if it is among the known names; raises ValueError that lists them, if not."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{argument} is {value!r}; expected one of {', '.join(map(repr, known))}")
    return value
