"""One layer with one input: its weights are found, then the gradient of each, and the two are compared.

Whether an array is a weight shows by trying: the output depends on it.  Every call of forward and backward starts from
the same state, noise included, so that caches, running means, added-up gradients and dropout do no harm.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .calling import Caller, numbers
from .diagnosis import diagnose, near, upstream_fault
from .making import BIASES, LABELS, MATRICES, VECTORS, Refused, call, plain
from .numeric import TOLERANCE, Array, differentiate, relative_errors
from .parts import GRADIENT_HOLDERS, NUMBERS, Path, Place, State, belongs, called, places, readings, walk

METHOD = "central-differences"     # somebody's forward pass need not take complex numbers
MOST_SUMS = 120                    # of one array: a larger one is checked in so many sums of entries
TINY = 1e-9                        # relative to the loss: the rounding of a difference, not a gradient
COARSE, COARSE_TOLERANCE = 1e3, 1e-2    # for float32: a step that is so many times as long, and what it can tell
RETURNED = "returned"              # by backward: the first word of such a path
ZERO_METHODS = ("zero_grad", "zero_grads", "zero_gradients", "zeroGrad", "flush_gradients", "clear_grad", "clear_grads",
                "cleargrads", "reset_grad", "reset_grads", "reset_gradients")


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


class Gradient(NamedTuple):
    """Where backward leaves the gradient of a variable; no path if it takes the step by itself, W -= 1.0 dW."""

    name: str
    of: Variable
    path: Path | None


class Trial:
    """The constructor raises Refused where the layer does not take the inputs."""

    def __init__(self, layer: Any, names: list[str], inputs: list[Any]):
        self.layer = layer
        self.notes: list[str] = []
        self.unchecked: list[str] = []
        self.caller = Caller(layer, names, inputs)
        self.modules = [module for method in (self.caller.forward_method, self.caller.backward_method)
                        if isinstance(module := getattr(method, "__globals__", None), dict)]
        in_double_precision(layer)
        self._start_here()
        self._wait_for_weights()
        self.inputs = [Variable(name, value) for name, value in zip(names, self.caller.inputs)
                       if isinstance(value, np.ndarray) and value.dtype.kind == "f" and plain(name) not in LABELS]
        self.weights = [one for one in variables_in(layer) if self._matters(one)]
        self.gradients: list[Gradient] = []
        if self.noise_is_held():
            self._find_gradients()
            self._randomise()

    # Every call starts from the same state.

    def _start_here(self) -> None:
        """From now on, every call starts from the layer as it is."""
        self.state = State(self.layer, *self.modules)
        self.outputs = self.forward()
        fixed = self.caller.dy_optional    # a loss, the last in a chain, whose dy is 1
        self.dy = [np.ones(()) if fixed and not y.ndim else np.random.default_rng(at).standard_normal(y.shape)
                   for at, y in enumerate(self.outputs)]

    def forward(self) -> list[Array]:
        self.state.restore()
        return self.caller.forward()

    def backward_pass(self, dy: list[Array]) -> dict[Path, Array]:
        """All numbers that backward returns and that the layer then holds, by path."""
        found: dict[Path, Array] = {}
        returned = self.caller.backward_pass(dy)
        whole = numbers(returned)
        if whole is not None and (not isinstance(returned, list) or whole.shape == np.shape(self.caller.inputs[0])):
            found[RETURNED, 0] = whole
            returned = None
        for place in [*walk({RETURNED: returned}), *places(self.layer)]:
            if isinstance(place.value, (np.ndarray, list, *NUMBERS)) and (array := numbers(place.value)) is not None:
                found.setdefault(place.path, array)
        return found

    def loss(self, changed: Variable) -> float:
        """sum(dy * y), where one variable has the value that it now has."""
        self.state.restore()
        changed.write()
        outputs = self.caller.forward([changed.value if name == changed.name and not changed.places else given
                                       for name, given in zip(self.caller.names, self.caller.inputs)])
        return float(sum(np.sum(dy * y, dtype=float) for dy, y in zip(self.dy, outputs)))

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
        self.state.restore()
        try:
            weight.write()
            changed = self.caller.forward()
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

    # Gradients.

    def _find_gradients(self) -> None:
        """Each by its name; else those that backward returns by their order and shape."""
        self.state.restore()
        before = {place.path: np.copy(place.value) for place in places(self.layer)
                  if isinstance(place.value, np.ndarray)}
        after = self._first_gradients()
        weights = {place.path for weight in self.weights for place in weight.places}
        free = [path for path in after if path not in weights]
        in_order: list[Path] = [path for path in free if path[0] == RETURNED and len(path) == 2
                                and isinstance(path[1], int)]
        for at, one in enumerate(self.inputs):
            names: list[Path] = [(one.name,), ("x",)] if at == 0 else [(one.name,)]
            named = [path for path in free if names_gradient(path, names)]
            self.gradients += [Gradient(f"d{one.name}", one, path) for path in (in_order[:1] or named[:1])]
            in_order = in_order[1:]
        free = [path for path in free if path not in {gradient.path for gradient in self.gradients}]
        for weight in self.weights:
            named = [path for path in free if names_gradient(path, weight.paths)]
            written = [path for path in named if path not in before or not same(before[path], after[path])]
            written = written or named[:1]
            different = [path for at, path in enumerate(written)
                         if not any(same(after[path], after[other]) for other in written[:at])]
            if not different and not same(after.get(weight.paths[0]), weight.value):
                self._find_step(weight)
            elif not different and in_order and weight.value.ndim:    # (dx, dW, db)
                fitting = [path for path in in_order if after[path].shape == weight.value.shape]
                different = fitting[:1] or in_order[:1]
                in_order = [path for path in in_order if path not in different]
            for path in different:
                label = f"d{weight.name}" + (f" in {called(path)}" if len(different) > 1 else "")
                self.gradients.append(Gradient(label, weight, path))
        self._find_orphans(before, after)

    def _find_step(self, weight: Variable) -> None:
        """A weight that is another one after backward."""
        if self.caller.has_step:
            self.gradients.append(Gradient(f"d{weight.name}", weight, None))
        else:
            self.unchecked.append(f"d{weight.name}: backward itself changes {weight.name}, by a step of unknown "
                                  "length; expected its gradient, or backward(dy, learning_rate)")

    def _find_orphans(self, before: dict[Path, Array], after: dict[Path, Array]) -> None:
        """Gradients of weights that no small step can change, or that the layer does not keep."""
        known = [path for weight in self.weights for path in weight.paths]
        kept = [path for path, array in before.items() if same(after.get(path), array) and path not in known]
        claimed = {one.path for one in self.gradients}
        for path, array in after.items():
            if path in claimed or path in known or path[0] == RETURNED or not array.ndim:
                continue
            if names_gradient(path, known):    # another copy, not written
                continue
            of = next((one for one in kept if one != path and names_gradient(path, [one])), None)
            if of is not None and before[of].dtype.kind in "iu":
                self.unchecked.append(f"{called(path)}: {called(of)} holds whole numbers, which no small step changes; "
                                      "expected floats")
            elif of is not None or (set(path[:-1]) <= GRADIENT_HOLDERS and any(
                    marked and name and name[-1] in MATRICES | BIASES | VECTORS for name, marked in readings(path))):
                self.unchecked.append(f"{called(path)}: the output depends on no array of floats of which this could "
                                      "be the gradient; expected the weight to be kept by the layer")

    def _first_gradients(self) -> dict[Path, Array]:
        self.forward()
        try:
            return self.backward_pass(self.dy)
        except Refused:
            if not self.caller.left_over or len(self.caller.dy_names) != 1:
                raise
        self.caller.packed = True    # backward((dy1, dy2))
        self._start_here()
        return self.backward_pass(self.dy)

    def run(self, dy: list[Array]) -> dict[str, Array]:
        """What backward gives, by the gradients' names."""
        self.forward()
        return self.read(self.backward_pass(dy))

    def read(self, after: dict[Path, Array]) -> dict[str, Array]:
        gone = np.full((), np.nan)
        return {one.name: np.array(after.get(one.path, gone) if one.path else
                                   one.of.value - after.get(one.of.places[0].path, gone), float)
                for one in self.gradients}

    @property
    def misfit(self) -> str | None:
        """A gradient that does not have the shape of its array, in words."""
        found = self.run(self.dy)
        for one in self.gradients:
            if found[one.name].shape != one.of.value.shape:
                return f"{one.name} has shape {found[one.name].shape} in place of {one.of.value.shape}"
        return None

    # The comparison.

    def compare(self) -> tuple[dict[str, Array], list[str]]:
        """The relative error of each gradient, entry by entry, and in words what is wrong."""
        if not self.noise_is_held():
            self.unchecked = ["forward draws noise that cannot be held fixed, so that no derivative can be compared; "
                              "expected it from np.random or from a Generator that the layer keeps"]
            return {}, []
        self.state.is_noisy = self.is_random()
        if self.state.is_noisy:
            self.notes.append("forward draws random numbers: they were held fixed")
        findings = []
        found = self.run(self.dy)
        if not all(map(same, self.caller.upstream, self.dy)):
            findings.append("backward writes into dy, which belongs to the layer above")
        if not all(same(passed, given) for passed, given in zip(self.caller.passed, self.caller.inputs)):
            findings.append(f"{self.caller.names[0]}, which belongs to the caller, has changed")
        again, later = self._once_more(found)
        flipped, doubled = (self.run([factor * dy for dy in self.dy]) for factor in (-1, 2))
        errors: dict[str, Array] = {}
        batch = max((1, *np.shape(self.caller.inputs[0])[:1]))
        tolerance = TOLERANCE[METHOD] if not self.is_coarse else COARSE_TOLERANCE
        for one in self.gradients:
            analytic, numeric = self.both(one, found[one.name])
            errors[one.name] = np.atleast_1d(relative_errors(analytic, numeric))
            summed = numeric.shape != one.of.value.shape
            words = diagnose(f"{one.name}, in sums of its entries," if summed else one.name, analytic, numeric, batch,
                             tolerance)
            if words is None and not near(later[one.name], found[one.name]):
                words = self._adds_up(one, found[one.name])
            elif words is not None and found[one.name].shape == one.of.value.shape and not self.dy_is_one:
                words += upstream_fault(*(run[one.name] for run in (found, flipped, doubled, again)))
            findings += [words] if words is not None else []
        errors |= self._without_names()
        self._say_what_was_left(errors)
        return errors, findings

    @property
    def is_coarse(self) -> bool:
        return any(y.dtype in (np.float32, np.float16) for y in self.outputs)

    @property
    def dy_is_one(self) -> bool:
        return self.caller.dy_optional and not self.outputs[0].ndim

    def both(self, one: Gradient, analytic: Array) -> tuple[Array, Array]:
        """The gradient and the derivative for each entry; of a large array, for sums of entries with random signs, so
        that no entry is left out."""
        value, size = one.of.value, one.of.value.size
        if analytic.shape != value.shape and size > MOST_SUMS:    # the shape is all that is said
            return analytic, analytic.T if analytic.T.shape == value.shape else np.zeros(value.shape)
        n_sums = min(size, MOST_SUMS)
        which, sign = np.arange(size) % n_sums, np.ones(size)
        if size > n_sums:
            rng = np.random.default_rng(0)
            which, sign = rng.permutation(which), rng.choice([-1.0, 1.0], size)
            self.notes.append(f"{one.name} was checked in {n_sums} sums of its {size} entries, with random signs")
        step = COARSE if self.is_coarse else 1.0
        shift, kept = np.zeros(n_sums), value.copy()

        def loss() -> float:
            value[...] = kept + (step * sign * shift[which]).reshape(kept.shape)
            return self.loss(one.of)
        numeric = differentiate(loss, shift, METHOD) / step
        value[...] = kept
        numeric = numeric.reshape(kept.shape) if size == n_sums else numeric
        if analytic.shape == kept.shape != numeric.shape:
            analytic = np.bincount(which, sign * analytic.ravel(), n_sums)
        rounding = TINY * (1 + abs(self.loss(one.of)))
        if analytic.shape == numeric.shape and abs(numeric).max() < rounding and abs(analytic).max() < rounding:
            return np.zeros_like(numeric), np.zeros_like(numeric)
        return analytic, numeric

    def _once_more(self, found: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """backward called again at once, and in the next step of a training."""
        if any(one.path is None for one in self.gradients):    # the weights have moved
            return found, found
        self.run(self.dy)
        try:
            again = self.read(self.backward_pass(self.dy))
        except Refused:    # its caches are used up
            again = found
        self.run(self.dy)
        self.state.restore_noise()
        self.caller.forward()
        return again, self.read(self.backward_pass(self.dy))

    def _adds_up(self, one: Gradient, found: Array) -> str | None:
        """A gradient is added to the old one.  That is as it should be where something sets it to zero."""
        method = next((name for name in ZERO_METHODS if callable(getattr(self.layer, name, None))), None)
        if method is not None:
            self.run(self.dy)
            call(method, getattr(self.layer, method))
            self.state.restore_noise()
            self.caller.forward()
            if near(self.read(self.backward_pass(self.dy))[one.name], found):
                self.notes.append(f"{one.name} adds up until {method} is called")
                return None
        elif one.path and str(one.path[-1]) in GRADIENT_HOLDERS and len(one.path) > 1 and any(
                place.path[:-1] == one.path[:-1] for place in one.of.places):    # weight.data and weight.grad
            self.notes.append(f"{one.name} adds up, as .grad does in PyTorch: set it to zero before each step")
            return None
        return f"{one.name} changes when backward is called again: it adds to old values, or redraws the noise"

    def _without_names(self) -> dict[str, Array]:
        """The errors of gradients that no name leads to, but that backward returned or left in the layer."""
        self.forward()
        known = [one.path for one in self.gradients]
        others = {path: array.astype(float) for path, array in self.backward_pass(self.dy).items() if path not in known}
        errors = {}
        for weight in self.weights:
            label = f"d{weight.name}"
            if not weight.value.ndim or any(one.of is weight or overlap(weight, one.of) for one in self.gradients) or (
                    any(sentence.startswith(f"{label}:") for sentence in self.unchecked)):
                continue    # a number may be a constant, such as epsilon; the others have been dealt with
            for path, array in others.items():
                if array.shape == weight.value.shape and array.size > 1:
                    pair = self.both(Gradient(label, weight, path), array)
                    if pair[1].any() and near(*pair):
                        errors[label] = relative_errors(*pair)
                        known.append(path)
                        break
            else:
                self.unchecked.append(f"{label}: the output depends on {weight.name}, and no gradient of it was found; "
                                      f"expected it as {label} or in grads; if it is a constant, nothing is missing")
        for path, array in others.items():
            if path[0] == RETURNED and array.ndim and path not in known:
                self.unchecked.append(f"{called(path)} by backward: no array was found of which it could be the "
                                      "gradient; expected the weight to be kept by the layer")
        return errors

    def _say_what_was_left(self, errors: dict[str, Array]) -> None:
        for one in self.inputs:
            if not any(gradient.of is one for gradient in self.gradients):
                self.unchecked.append(f"d{one.name}: backward does not return it")
        for at in self.caller.left_over:
            self.unchecked.append(f"the gradient of what forward returns in place {at}: backward takes no dy for it")
        if self.is_coarse:
            self.notes.append(f"the layer computes in float32, so that only errors above {COARSE_TOLERANCE:g} show")
        if not self.inputs:
            self.notes.append(f"{self.caller.names[0]} holds whole numbers, and so has no gradient")


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


def names_gradient(path: Path, of: Sequence[Path]) -> bool:
    """Is it the path of the gradient of what has one of the other paths?"""
    return any(belongs(path[1:] if path[0] == RETURNED else path, one) for one in of)


def overlap(a: Variable, b: Variable) -> bool:
    """Is one a view of the other, such as W.T?"""
    return any(isinstance(one.value, np.ndarray) and isinstance(other.value, np.ndarray)
               and np.may_share_memory(one.value, other.value) for one in a.places for other in b.places)


def same(a: Any, b: Any) -> bool:
    return not isinstance(b, np.ndarray) or np.array_equal(a, b, equal_nan=True)
