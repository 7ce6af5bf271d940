"""Pairs of twins: a function and its backward, found in the registry by their names."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import METHOD, SEED, Kind, checked
from ..functional.dense import new_array
from ..twin import ANY_SHAPE, NUMBERS, Spec, Twin, is_array, registry
from .numeric import Array, Gradients, differentiate

SIZES = (4, 7, 5, 3, 6)                  # of the axes, in the order in which they appear
IMAGE_SIZES = (2, 6, 5, 4, 2, 3, 5, 3)    # the same where the first array holds images: (B, H, W, C), then (K, L, ...)
EXAMPLE_PAIRS = ((2, 3), (0, 1), (1, 2))    # of whole numbers, in the order in which they appear
TWIN = Kind(lambda value: isinstance(value, Twin), "a function of numpyvae.functional", TypeError)
KINK = 0.1                               # no input comes nearer to zero, where relu has no derivative


def pairs() -> Iterator[tuple[Twin, Twin]]:
    """Every backward twin with the forward twin that it differentiates: their names say which."""
    for key, twin in registry.items():
        module, name = key.rsplit(".", 1)
        forward = forward_name(name)
        if forward is not None:
            yield registry[f"{module}.{forward}"], twin


def forward_name(name: str) -> str | None:
    """relu for relu_backward, add_bias_relu for relu_backward_bias, bernoulli_nll for bernoulli_nll_and_grad."""
    if name in ("bias_backward", "scatter_patches"):
        return {"bias_backward": "add_bias", "scatter_patches": "patches"}[name]
    if name.endswith("_backward_bias"):
        return "add_bias_" + name.removesuffix("_backward_bias")
    for ending in ("_backward", "_and_grad"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return None


@checked(forward=TWIN, backward=TWIN, method=METHOD, seed=SEED)
def check_pair(forward: Twin, backward: Twin, method: str, seed: int = 0) -> Gradients:
    """The gradients that `backward` gives and those of sum(dy * forward(...)), by the names of the inputs."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(forward, rng)
    after = dict(zip(inputs, _copies(inputs)))
    y, kept = kept_by(forward, after)
    dy = rng.standard_normal(y.shape)
    known = {**inputs, next(iter(backward.shapes)): dy, "y": y, "kept": kept}
    arguments = {name: np.full(_buffer_shape(name, y, known), np.nan) if name in backward.writes
                 else known[name] if name in known else example_of(spec, iter(()))
                 for name, spec in backward.shapes.items()}
    given = _copies(arguments)
    results = backward(*given)
    results = results if isinstance(results, tuple) else (results,)
    written = [array for name, array in zip(arguments, given) if name in backward.writes]
    gradients: Gradients = {f"{name}, as written": (array, result) for name, array, result in
                            zip(backward.writes, written, results[len(results) - len(written):])}
    if backward.name.endswith("_and_grad"):    # the value comes first; it is checked like a gradient of its own
        gradients["value"] = (results[0], y)
        results = results[1:]
    if method == "complex-step":
        inputs = {name: value.astype(complex) if isinstance(value, np.ndarray) else value
                  for name, value in inputs.items()}

    def loss() -> Any:
        return np.sum(dy * kept_by(forward, dict(zip(inputs, _copies(inputs))))[0])
    for name, result in zip(forward.wrt, results, strict=True):
        gradients[name] = (result, differentiate(loss, inputs[name], method))
    return gradients


def kept_by(forward: Twin, inputs: dict[str, Any]) -> tuple[Array, Array]:
    """A forward twin's result, and what its backward takes as `kept`: a second result, the array a, or the result."""
    result = forward(*inputs.values())
    return result if isinstance(result, tuple) else (result, inputs["a"] if "a" in forward.writes else result)


def random_inputs(twin: Twin, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments for a forward twin, float64, all axes of different lengths, on both sides of a kink at zero."""
    lengths: dict[str, int] = {}
    inputs: dict[str, Any] = {}
    pairs = iter(EXAMPLE_PAIRS)
    sizes = IMAGE_SIZES if len(str(next(iter(twin.shapes.values()))).split()) == 4 else SIZES
    for name, spec in twin.shapes.items():
        if not is_array(spec):
            inputs[name] = example_of(spec, pairs)
            continue
        value = rng.standard_normal(shape_of(str(spec), lengths, sizes))
        inputs[name] = value + np.copysign(KINK, value)
    if "b" in inputs and "y" in inputs:    # y + b must avoid the kink, not y
        inputs["y"] -= inputs["b"]
    put_on_edges(inputs, twin)
    return inputs


def example_of(spec: Spec, pairs: Iterator[tuple[int, int]]) -> Any:
    """A value for a parameter that is not an array."""
    if spec in ("flag", "function"):
        return True if spec == "flag" else new_array
    if not isinstance(spec, str):
        return "tanh"    # the spec is a table of names: the activations
    return 0.7 if spec in NUMBERS else next(pairs)


def shape_of(spec: str, lengths: dict[str, int], sizes: tuple[int, ...]) -> list[int]:
    """The shape that a twin declares as "B 2D"; an axis that is not in `lengths` yet gets the next of the sizes."""
    shape = []
    for axis in (["B", "D"] if spec == ANY_SHAPE else spec.split()):
        letter = axis.lstrip("0123456789")
        length = lengths.setdefault(letter, sizes[len(lengths) % len(sizes)])
        shape.append(length * int(axis.removesuffix(letter) or 1))
    return shape


def put_on_edges(inputs: dict[str, Any], forward: Twin) -> None:
    """Put inputs where a likelihood changes branch: pixels of 0 and 1, logits at 0, near it and far from it, a pixel at
    its mean; and far out on both sides of an activation."""
    if "a" in inputs:
        inputs["a"].flat[:2] = -25, 25
    if "x" in inputs and "x" not in forward.wrt:
        inputs["x"].flat[:2] = 0, 1
        if "logits" in inputs:
            inputs["logits"].flat[2:7] = -6, 0, 6, -0.45, 0.45
        if "theta" in inputs:
            inputs["theta"][0, inputs["x"].shape[1] - 1] = inputs["x"][0, -1]


def _copies(arguments: dict[str, Any]) -> list[Any]:
    """Copies, because some twins overwrite their arguments."""
    return [value.copy() if isinstance(value, np.ndarray) else value for value in arguments.values()]


def _buffer_shape(name: str, y: Array, known: dict[str, Any]) -> tuple[int, ...]:
    """The shape of the buffer `name`, for a gradient (d + the input's name) or a value."""
    if name == "da":    # the gradient for the activation's input
        return y.shape
    return known[name.removeprefix("d")].shape if name.removeprefix("d") in known else y.shape
