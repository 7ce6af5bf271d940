"""How somebody's layer is called: what forward and backward are named, what else they take, what they hand back."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arguments import shown
from .making import Refused, are_labels, call, parameters_of, place_of_x, required
from .names import BACKWARD, CACHES, FLAGS, FORWARD, FUNCTIONS, LABELS, OUTPUTS, SLOPES, STEPS, plain
from .parts import Array, LayerError, contents

MOST_NUMBERS = 10**6             # in an output


class Way(NamedTuple):
    """What a backward pass is given, and of what it returns the gradient."""

    given: str = "dy"    # or "x" or "y", for a loss or a derivative; "" where it takes nothing
    of: str = "dy"       # sum(dy * y); for a loss the "mean" or the "sum" of y; "slope" where it returns f'(x)

    @property
    def note(self) -> str | None:
        """What to know of a way that is not the usual one."""
        words = {"mean": "of the mean of what forward returns", "sum": "of the sum of what forward returns",
                 "slope": "of each y for its own x, which was multiplied by dy"}
        given = {"x": "forward's x", "y": "forward's result"}.get(self.given)
        return None if self.of == "dy" else (
            f"backward was taken to return the gradient {words[self.of]}" + (f", given {given}" if given else ""))


def ways_to_call(layer: Any, names: list[str]) -> list[Way]:
    """The ways of backward in the order in which they are tried; names : of forward's parameters."""
    backward = method_of(layer, BACKWARD)
    needed, possible = required(backward), parameters_of(backward)
    if needed is None or (not possible and takes_any(backward)):
        return [Way()]
    if not possible:
        return [Way("", "mean"), Way("", "sum"), Way("", "slope")]
    words, inputs, is_loss = [plain(one) for one in needed], [plain(one) for one in names], any(are_labels(names))
    losses = [Way(given, of) for given in "xy" for of in ("mean", "sum")]
    is_slope = plain(str(getattr(backward, "__name__", ""))).endswith(SLOPES)
    if words and is_slope and set(words) <= {*inputs, *OUTPUTS, "x", "s"}:
        return [*losses[:2 * is_loss], Way("x", "slope"), Way("y", "slope")]
    if is_loss and len(words) > 1 and set(words) <= {*inputs, *LABELS}:
        return losses
    return [Way(), *losses] if is_loss and len(words) > 1 and set(words[1:]) <= {*inputs, *LABELS} else [Way()]


def takes_any(function: Callable[..., Any]) -> bool:
    return any(one.kind is one.VAR_POSITIONAL for one in inspect.signature(function).parameters.values())


def numbers(value: Any) -> Array | None:
    """value as an array of its own, if it is real numbers: an array, a number, or lists of numbers."""
    if not isinstance(value, (np.ndarray, np.generic, float, int, list)):
        return None
    if isinstance(value, np.ndarray) and value.size > MOST_NUMBERS:
        return None
    try:
        array = np.array(value)
    except Exception:    # rows of different lengths, or what pretends to be an array
        return None
    return array if array.dtype.kind in "fiub" and array.size else None


def method_of(layer: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """The first of the names that the layer has; raises LayerError if it has none."""
    for name in names:
        try:
            found = getattr(layer, name, None)
        except Exception:
            continue
        if callable(found):
            return found
    raise LayerError(f"layer: {type(layer).__name__} has no method {names[0]}; expected a layer with forward(x) and "
                     "backward(dy)")


class Caller:
    """A layer's forward and backward, with one set of inputs; names : those of forward's parameters."""

    def __init__(self, layer: Any, names: list[str], inputs: list[Any], way: Way):
        self.forward_method, self.backward_method = method_of(layer, FORWARD), method_of(layer, BACKWARD)
        self.layer, self.names, self.inputs, self.way = layer, names, inputs, way
        self.x = place_of_x(names)
        self.packed = False    # is it backward((dy1, dy2))?
        self.dy_names, self.others, self.dy_optional = self._parameters()

    def _parameters(self) -> tuple[list[str], list[str], bool]:
        """The names of backward's parameters that take dy, and of those that take something else."""
        parameters = parameters_of(self.backward_method)
        if not parameters:
            return (["*"], [], False) if parameters is None or takes_any(self.backward_method) else ([], [], True)
        known = CACHES | STEPS | FLAGS | FUNCTIONS | LABELS | {plain(name) for name in self.names}
        must = [one.name for one in parameters if one.default is one.empty]
        others = [one.name for at, one in enumerate(parameters) if plain(one.name) in CACHES | STEPS
                  or (one.name in must and (plain(one.name) in known or (at and plain(one.name) in OUTPUTS)))]
        if self.way.given != "dy":
            first = next((name for name in must if plain(name) == plain(self.names[self.x])), None)
            first = first or next((name for name in must if plain(name) not in CACHES | STEPS | LABELS), must[0])
            return [first], [name for name in others if name != first], False
        upstream = [name for name in must if name not in others]
        if not upstream:    # backward(x), or backward(dout=1)
            upstream = [parameters[0].name]
            others = [name for name in others if name != upstream[0]]
        return upstream, others, upstream[0] not in must

    @property
    def shape_of_x(self) -> tuple[int, ...]:
        return np.shape(self.inputs[self.x])

    @property
    def has_step(self) -> bool:
        """Does backward take a learning rate, and so the step itself?"""
        return any(plain(name) in STEPS for name in self.others)

    def forward(self, inputs: list[Any] | None = None) -> list[Array]:
        """The outputs, on copies of the inputs."""
        self.passed = [one.copy() if isinstance(one, (np.ndarray, dict)) else one for one in inputs or self.inputs]
        self.raw = call("forward", self.forward_method, *self.passed)
        if self.raw is None:    # self.output = ...
            self.raw = self._kept_output()
        taken = [self.raw]
        if isinstance(self.raw, tuple) and self.raw:
            taken = list(self.raw if self.packed else self.raw[:max(1, len(self.dy_names))])
        self.outputs = []
        for one in taken:
            array = numbers(one)
            if array is None:
                raise Refused(f"forward returns {shown(one)}, not an array of at most {MOST_NUMBERS} real numbers")
            if not np.isfinite(array).all():
                raise Refused("forward returns NaN or infinity")
            self.outputs.append(array)
        return self.outputs

    def _kept_output(self) -> Any:
        return next((value for name, value in contents(self.layer) if plain(str(name)) in OUTPUTS
                     and isinstance(value, np.ndarray)), None)

    @property
    def left_over(self) -> list[int]:
        """Which of the arrays that forward returned are neither differentiated nor handed to backward."""
        if not isinstance(self.raw, tuple) or any(plain(name) in CACHES for name in self.others):
            return []
        return [at for at, one in enumerate(self.raw) if at >= len(self.outputs) and isinstance(one, np.ndarray)]

    def backward_pass(self, dy: list[Array]) -> Any:
        self.upstream = [one.copy() if one.ndim else one[()] for one in dy]
        if not self.dy_names:
            return call("backward", self.backward_method)
        given: list[Any] = [tuple(self.upstream)] if self.packed else list(self.upstream)
        if self.way.given == "x":
            given = [self.passed[self.x]]
        elif self.way.given == "y":    # the loss may keep the probabilities in self.output
            given = [self.outputs[0] if self.outputs[0].shape == self.shape_of_x else self._kept_output()]
        if self.dy_names == ["*"]:
            return call("backward", self.backward_method, *given)
        arguments: dict[str, Any] = dict(zip(self.dy_names, given))
        words = [plain(name) for name in self.names]
        labels = [one for one, is_label in zip(self.passed, are_labels(self.names)) if is_label]
        rest = self.raw[len(self.outputs):] if isinstance(self.raw, tuple) else ()
        for name in self.others:
            word = plain(name)
            if word in STEPS:
                arguments[name] = 1.0
            elif word in words:
                arguments[name] = self.passed[words.index(word)]
            elif word in CACHES and rest:
                arguments[name] = rest[0]
            elif word in FLAGS:
                arguments[name] = True
            elif word in LABELS:
                arguments[name] = labels[0] if labels else self.passed[-1]
            elif word in OUTPUTS:
                arguments[name] = self.outputs[0]
        return call("backward", self.backward_method, **arguments)
