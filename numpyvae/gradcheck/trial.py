"""One layer with one input: every call of forward and backward starts from the same state, noise included, so that
caches, running means, added-up gradients and dropout do no harm.  What is a weight shows by trying: the output depends
on it."""
from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np

from .calling import Caller, Way, numbers
from .making import Refused, are_labels
from .names import LABELS, plain
from .numeric import Array
from .pairing import RETURNED, Gradient, pair
from .parts import NUMBERS, Path, Place, State, called, places, walk


@dataclasses.dataclass(eq=False)
class Variable:
    """An input or a weight: what the output may depend on, and the places in which the layer keeps it."""

    name: str
    value: Array
    places: list[Place] = dataclasses.field(default_factory=list)    # none for an input

    @property
    def paths(self) -> list[Path]:
        return [place.path for place in self.places]

    def write(self) -> None:
        """The value, to where the layer reads it."""
        for place in self.places:
            if isinstance(place.value, np.ndarray):
                place.value[...] = self.value
            elif isinstance(place.value, list):
                place.value[:] = self.value.tolist()
            else:
                place.put(float(self.value))


class Trial:
    """The constructor raises Refused where the layer does not take the inputs, or cannot be called in this way."""

    def __init__(self, layer: Any, names: list[str], inputs: list[Any], way: Way):
        self.layer, self.way = layer, way
        self.notes: list[str] = []
        self.unchecked: list[str] = []
        self.caller = Caller(layer, names, inputs, way)
        self.modules = [module for method in (self.caller.forward_method, self.caller.backward_method)
                        if isinstance(module := getattr(inspect.unwrap(method), "__globals__", None), dict)]
        in_double_precision(layer)
        self._start_here()
        self._wait_for_weights()
        self.inputs = [Variable(name, value) for name, value, is_label in zip(
                       names, self.caller.inputs, are_labels(names))
                       if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not (
                           is_label and (plain(name) in LABELS or self.is_loss))]
        self.weights = [one for one in variables_in(layer) if self._matters(one)]
        self.gradients: list[Gradient] = []
        if self.noise_is_held():
            self.gradients = pair(self)
            self._randomise()

    @property
    def is_loss(self) -> bool:
        """Is backward's dy one, because this is the last in a chain?"""
        return self.way.of in ("mean", "sum") or (self.caller.dy_optional and not self.outputs[0].ndim)

    @property
    def clips_to_probabilities(self) -> bool:
        """Is it the same to forward whether x is clipped to between 0 and 1?"""
        inputs = list(self.caller.inputs)
        inputs[self.caller.x] = np.clip(inputs[self.caller.x], 0, 1)
        self.state.restore()
        return all(map(np.array_equal, self.caller.forward(inputs), self.outputs))

    # Every call starts from the same state.

    def _start_here(self) -> None:
        """From now on, every call starts from the layer as it is."""
        self.state = State(self.layer, *self.modules)
        self.outputs = self.forward()
        self.dy = [np.full(y.shape, 1 / y.size if self.way.of == "mean" else 1.0) if self.is_loss else
                   np.random.default_rng(at).standard_normal(y.shape) for at, y in enumerate(self.outputs)]

    def forward(self) -> list[Array]:
        self.state.restore()
        return self.caller.forward()

    def backward_pass(self, dy: list[Array]) -> dict[Path, Array]:
        """All numbers that backward returns and that the layer then holds, by path."""
        found: dict[Path, Array] = {}
        returned = self.caller.backward_pass(dy)
        whole = numbers(returned)
        if self.way.of == "slope":
            if whole is None or len(dy) > 1 or dy[0].shape not in ((), whole.shape):
                raise Refused("backward returns no derivative of the shape of x")
            whole = whole * dy[0]
        if whole is not None and (not isinstance(returned, list) or whole.shape == self.caller.shape_of_x):
            found[RETURNED, 0] = whole
            returned = None
        for place in [*walk({RETURNED: returned}), *places(self.layer)]:
            if isinstance(place.value, (np.ndarray, list, *NUMBERS)) and (array := numbers(place.value)) is not None:
                found.setdefault(place.path, array)
        return found

    def first_pass(self) -> dict[Path, Array]:
        """backward_pass, once it is known whether backward takes several dy as one tuple."""
        self.forward()
        try:
            return self.backward_pass(self.dy)
        except Refused:
            if not self.caller.left_over or len(self.caller.dy_names) != 1:
                raise
        self.caller.packed = True    # backward((dy1, dy2))
        self._start_here()
        return self.backward_pass(self.dy)

    def outputs_for(self, changed: Variable) -> list[Array]:
        """What forward returns where one variable has the value that it now has."""
        self.state.restore()
        changed.write()
        return self.caller.forward([changed.value if name == changed.name and not changed.places else given
                                    for name, given in zip(self.caller.names, self.caller.inputs)])

    def loss(self, changed: Variable) -> float:
        """sum(dy * y), where one variable has the value that it now has."""
        return float(sum(np.sum(dy * y, dtype=float) for dy, y in zip(self.dy, self.outputs_for(changed))))

    def run(self, dy: list[Array]) -> dict[str, Array]:
        """What backward gives, by the gradients' names."""
        self.forward()
        return self.read(self.backward_pass(dy))

    def read(self, after: dict[Path, Array]) -> dict[str, Array]:
        gone = np.full((), np.nan)
        return {one.name: np.array(after.get(one.path, gone) if one.path else
                                   (one.of.value - after.get(one.of.places[0].path, gone)) / one.rate, float)
                for one in self.gradients}

    @property
    def misfit(self) -> str | None:
        """A gradient that does not have the shape of its array, in words."""
        found = self.run(self.dy)
        return next((f"{one.name} has shape {found[one.name].shape} in place of {one.of.value.shape}"
                     for one in self.gradients if found[one.name].shape != one.of.value.shape), None)

    # Noise.

    def noise_is_held(self) -> bool:
        return all(map(np.array_equal, self.forward(), self.forward()))

    def is_random(self) -> bool:
        self.forward()
        self.state.restore_all_but_noise()
        return not all(map(np.array_equal, self.caller.forward(), self.forward()))

    # Weights.

    def _wait_for_weights(self) -> None:
        """A layer that makes its weights in the first forward is taken as it is after that."""
        self.state.restore()
        before = {place.path for place in places(self.layer) if place.value is not None}
        self.forward()
        later = [one for one in variables_in(self.layer) if not any(place.path in before for place in one.places)]
        if later:
            pristine = self.state
            self._start_here()
            if not any(self._matters(one) for one in later):
                pristine.restore()
                self._start_here()
        self.state.restore()

    def _matters(self, weight: Variable) -> bool:
        """Does the output depend on it?"""
        kept = weight.value.copy()
        weight.value += 1e-3 * (1 + abs(kept)) * np.random.default_rng(0).uniform(0.5, 1, kept.shape)
        try:
            changed = self.outputs_for(weight)
        except (Refused, ValueError, TypeError, AttributeError):    # nothing to be differentiated
            return False
        finally:
            weight.value[...] = kept
            self.state.restore()
        return not (len(changed) == len(self.outputs) and all(map(np.array_equal, changed, self.outputs)))

    def _randomise(self) -> None:
        """Zeros would hide errors.  Old gradients become zero, so that adding to them does no harm."""
        self.state.restore()
        held = {place.path: place.value for place in places(self.layer)}
        for gradient in self.gradients:
            array = held.get(gradient.path) if gradient.path else None
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable:
                array.fill(0)
        for weight in {id(gradient.of): gradient.of for gradient in self.gradients if gradient.of.places}.values():
            spread = 0.5 * float(weight.value.std()) or 0.3
            weight.value += spread * np.random.default_rng(weight.value.size).standard_normal(weight.value.shape)
            weight.write()
        for weight in self.weights:    # some may be views of others
            if isinstance(weight.places[0].value, np.ndarray):
                weight.value[...] = weight.places[0].value    # and Python's numbers are nobody's view
        self._start_here()


def in_double_precision(layer: Any) -> None:
    """float32 arrays become float64, wherever they stand, so that differences can tell 1e-7; so do read-only ones."""
    made: dict[int, Array] = {}
    for place in list(walk(layer)):
        value = place.value
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and (
                value.dtype != np.float64 or not value.flags.writeable):
            place.put(made.setdefault(id(value), value.astype(float)))


def variables_in(layer: Any) -> list[Variable]:
    """Each array of floats, list of floats and float in a layer, once, with all its places."""
    found: dict[Any, list[Place]] = {}
    inside: set[int] = set()    # the lists that are rows of others
    for place in places(layer):
        value = place.value
        if id(place.owner) in inside:
            inside.add(id(value))
        elif is_list_of_floats(value):
            inside.add(id(value))
            found.setdefault(id(value), []).append(place)
        elif isinstance(value, np.ndarray) and value.dtype == np.float64 and value.size:
            found.setdefault(id(value), []).append(place)
        elif isinstance(value, NUMBERS) and np.isfinite(value) and not isinstance(place.owner, tuple):
            found.setdefault(place.path, []).append(place)
    return [Variable(min((called(place.path) for place in same_array), key=plainest),
                     np.array(same_array[0].value, float), same_array) for same_array in found.values()]


def is_list_of_floats(value: Any) -> bool:
    """[0.1, 0.2] or [[0.1], [0.2]], and no arrays in it."""
    return isinstance(value, list) and (all(isinstance(one, float) for one in value) or all(
        map(is_list_of_floats, value))) and numbers(value) is not None


def plainest(name: str) -> tuple[bool, bool, int]:
    """W before 0, and W before layers.0.W"""
    return name[:1].isdigit(), name[-1:].isdigit(), len(name)
