"""How somebody's layer is called: what forward and backward are named, what else they take, what they hand back."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import shown
from .making import BACKWARD, CACHES, FLAGS, FORWARD, LABELS, STEPS, Refused, call, parameters_of, plain
from .parts import Array, contents

MOST_NUMBERS = 10**6             # in an output
OUTPUTS = {"y", "out", "output", "outputs", "a", "z"}    # names of what forward computed


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
    """The first of the names that the layer has; raises TypeError if it has none."""
    for name in names:
        try:
            found = getattr(layer, name, None)
        except Exception:
            continue
        if callable(found):
            return found
    raise TypeError(f"layer: {type(layer).__name__} has no method {names[0]}; expected a layer with forward(x) and "
                    "backward(dy)")


class Caller:
    """A layer's forward and backward, with one set of inputs; names : those of forward's parameters."""

    def __init__(self, layer: Any, names: list[str], inputs: list[Any]):
        self.forward_method, self.backward_method = method_of(layer, FORWARD), method_of(layer, BACKWARD)
        self.layer, self.names, self.inputs = layer, names, inputs
        self.packed = False    # is it backward((dy1, dy2))?
        self.dy_names, self.others, self.dy_optional = self._parameters()

    def _parameters(self) -> tuple[list[str], list[str], bool]:
        """The names of backward's parameters that take dy, and of those that take something else."""
        parameters = parameters_of(self.backward_method)
        if parameters is None:
            return ["*"], [], False
        if not parameters:
            varies = any(one.kind is one.VAR_POSITIONAL for one in
                         inspect.signature(self.backward_method).parameters.values())
            return (["*"], [], False) if varies else ([], [], True)
        known = CACHES | STEPS | FLAGS | LABELS | {plain(name) for name in self.names}
        must = [one.name for one in parameters if one.default is one.empty]
        others = [one.name for at, one in enumerate(parameters) if plain(one.name) in CACHES | STEPS
                  or (one.name in must and (plain(one.name) in known or (at and plain(one.name) in OUTPUTS)))]
        upstream = [name for name in must if name not in others]
        if not upstream:    # backward(x), or backward(dout=1)
            upstream = [parameters[0].name]
            others = [name for name in others if name != upstream[0]]
        return upstream, others, upstream[0] not in must

    @property
    def has_step(self) -> bool:
        """Does backward take a learning rate, and so the step itself?"""
        return any(plain(name) in STEPS for name in self.others)

    def forward(self, inputs: list[Any] | None = None) -> list[Array]:
        """The outputs, on copies of the inputs."""
        self.passed = [one.copy() if isinstance(one, (np.ndarray, dict)) else one for one in inputs or self.inputs]
        self.raw = call("forward", self.forward_method, *self.passed)
        if self.raw is None:    # self.output = ...
            self.raw = next((value for name, value in contents(self.layer) if plain(str(name)) in OUTPUTS), None)
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
        given = [tuple(self.upstream)] if self.packed else self.upstream
        if self.dy_names == ["*"]:
            return call("backward", self.backward_method, *given)
        arguments: dict[str, Any] = dict(zip(self.dy_names, given))
        words = [plain(name) for name in self.names]
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
                arguments[name] = self.passed[-1]
            elif word in OUTPUTS:
                arguments[name] = self.outputs[0]
        return call("backward", self.backward_method, **arguments)
