"""Layers: the gradient for the input and for every parameter."""
from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arguments import LAYER, METHOD, SEED, checked, shown
from ..functional.activations import ACTIVATIONS
from ..nn import convolution, layers, networks
from .numeric import Array, Gradients, differentiate


def layer_examples() -> Iterator[tuple[str, Callable[[], tuple[Any, Array]]]]:
    """A small layer and an input for each layer class, Dense with each activation, convolutions with two."""
    def dense(activation: str) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        return layers.Dense(7, 5, activation, rng=rng, dtype=np.float64), rng.standard_normal((4, 7))

    def sequential() -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        return networks.dense_stack([7, 5, 3], "tanh", "relu", rng=rng, dtype=np.float64), rng.standard_normal((4, 7))

    def flattened() -> tuple[Any, Array]:
        """Its first layer has no weights, but rearranges the gradient."""
        rng = np.random.default_rng(0)
        stack = networks.dense_stack([24, 5, 3], "tanh", "relu", rng=rng, dtype=np.float64)
        return layers.Sequential([layers.Flatten(2), *stack.layers]), rng.standard_normal((4, 2, 3, 4))

    def convolved(make: Any, activation: str) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        layer = make(3, 2, (3, 2), (2, 1), (1, 0), activation=activation, rng=rng, dtype=np.float64)
        layer.chunk = 150    # the windows of one or two images: the gradients of the chunks have to add up
        return layer, rng.standard_normal((4, 4, 3, 3))

    def reshaped(make: Any, shape: tuple[int, ...]) -> tuple[Any, Array]:
        return make(), np.random.default_rng(0).standard_normal(shape)

    for activation in ACTIVATIONS:
        yield f"Dense({activation})", functools.partial(dense, activation)
    yield "Sequential", sequential
    yield "Sequential(Flatten)", flattened
    yield "Sequential()", functools.partial(reshaped, lambda: layers.Sequential([]), (4, 6))
    for cls in (convolution.Conv2d, convolution.ConvTranspose2d):
        for activation in ("identity", "sigmoid"):
            yield f"{cls.__name__}({activation})", functools.partial(convolved, cls, activation)
    yield "Reshape", functools.partial(reshaped, lambda: layers.Reshape((2, 3, 1)), (4, 6))
    yield "ReshapeLabelled", functools.partial(reshaped, lambda: layers.ReshapeLabelled((2, 3, 4), 3), (4, 27))
    yield "SharedLogvar", functools.partial(reshaped, lambda: layers.SharedLogvar(6, dtype=np.float64), (4, 6))
    for groups in (1, 2):
        yield f"Flatten({groups})", functools.partial(reshaped, lambda n=groups: layers.Flatten(n), (4, 2, 3, 4))


@checked(layer=LAYER, x="...", method=METHOD, seed=SEED)
def check_layer(layer: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The gradients of a layer for x and for each of its parameters."""
    rng = np.random.default_rng(seed)
    dy = rng.standard_normal(layer.forward(x).shape)
    spoil_grads(layer)
    analytic = {"x": np.array(layer.backward(dy))}
    owners = dict(parameter_owners(layer))
    without = next((name for name, (owner, _) in owners.items() if not hasattr(owner, "grads")), None)
    if without is not None:
        raise TypeError(f"layer is {shown(layer)}, which has the parameter {without} but no grads; expected a gradient "
                        "for each parameter in grads after backward")
    analytic |= {name: owner.grads[key].copy() for name, (owner, key) in owners.items()}
    if method == "complex-step":
        layer, x = copy.deepcopy(layer), x.astype(complex)
        owners = dict(parameter_owners(layer))
        for owner, key in owners.values():
            owner.params[key] = owner.params[key].astype(complex)

    def loss() -> Any:
        return np.sum(dy * layer.forward(x))
    arrays = {"x": x, **{name: owner.params[key] for name, (owner, key) in owners.items()}}
    return {name: (analytic[name], differentiate(loss, array, method)) for name, array in arrays.items()}


def spoil_grads(layer: Any) -> None:
    """Fill the buffers in grads, where there are any, with NaN: `backward` has to overwrite them."""
    for owner, _ in dict(parameter_owners(layer)).values():
        for grad in getattr(owner, "grads", {}).values():    # a learner's layer may make them in `backward`
            if isinstance(grad, np.ndarray) and grad.dtype.kind in "fc":
                grad.fill(np.nan)


def parameter_owners(layer: Any) -> Iterator[tuple[str, tuple[Any, str]]]:
    """The name of each parameter in a layer, with the layer that holds it and its key there."""
    for prefix, owner in (layer.named_layers("layers") if hasattr(layer, "named_layers") else [("", layer)]):
        for key in getattr(owner, "params", {}):
            yield f"{prefix}.{key}".lstrip("."), (owner, key)
