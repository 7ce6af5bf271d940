"""Which array is the gradient of which: by its name, as the step that backward takes, by its place among what backward
returns, by its shape; and what of all that has no partner, in words."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .names import BIASES, GRADIENT_HOLDERS, MATRICES, STEPS, VECTORS, plain
from .numeric import Array
from .parts import NUMBERS, Path, belongs, called, places, readings

if TYPE_CHECKING:
    from .trial import Trial, Variable

RETURNED = "returned"              # by backward: the first word of such a path


class Gradient(NamedTuple):
    """Where backward leaves the gradient of a variable; no path if it takes the step by itself, W -= rate dW."""

    name: str
    of: Variable
    path: Path | None
    rate: float = 1.0


def pair(trial: Trial) -> list[Gradient]:
    """The gradients that a first pass leaves; what cannot be a pair goes to trial.unchecked."""
    trial.state.restore()
    before = {place.path: np.copy(place.value) for place in places(trial.layer) if isinstance(place.value, np.ndarray)}
    after = trial.first_pass()
    weights = {path for weight in trial.weights for path in weight.paths}
    free = {path: array for path, array in after.items() if path not in weights}
    returned: list[Path] = [path for path in free if path[0] == RETURNED and len(path) == 2
                            and isinstance(path[1], int)]
    found = _of_inputs(trial, free, returned)
    for weight in trial.weights:
        named = [path for path in free if names_gradient(path, weight.paths)]
        written = [path for path in named if path not in before or not same(before[path], after[path])] or named[:1]
        paths = [path for at, path in enumerate(written)
                 if not any(same(after[path], after[other]) for other in written[:at])]
        if not paths and not same(after.get(weight.paths[0]), weight.value):
            found += _step(trial, weight)
        elif not paths and weight.value.ndim:
            paths = _first_of_shape(weight, free, returned)[:1] or returned[:1]    # (dx, dW, db)
        for path in paths:
            label = f"d{weight.name}" + (f" in {called(path)}" if len(paths) > 1 else "")
            found.append(Gradient(label, weight, path))
            if path in returned:
                returned.remove(path)
            free.pop(path, None)
    free = {path: array for path, array in free.items() if path not in before or not same(before[path], array)}
    found += _by_shape(trial, found, free)
    _say_what_is_alone(trial, found, before, after)
    return found


def _first_of_shape(of: Variable, free: dict[Path, Array], paths: list[Path]) -> list[Path]:
    return [path for path in paths if path in free and free[path].shape == of.value.shape]


def _of_inputs(trial: Trial, free: dict[Path, Array], returned: list[Path]) -> list[Gradient]:
    """The inputs' gradients, which are taken out of `free` and `returned`: those returned in order, if their shapes fit
    in order, else first those whose shapes fit; or those that are named so."""
    pairs: dict[int, Path] = {}
    waiting = list(enumerate(trial.inputs))
    fitting = [at for at, one in waiting if returned[at:at + 1] and free[returned[at]].shape == one.value.shape]
    for at, one in waiting if len(fitting) < len(trial.inputs) else []:
        path = next((path for path in _first_of_shape(one, free, returned) if path not in pairs.values()), None)
        if path is not None:
            pairs[at] = path
    left = [path for path in returned if path not in pairs.values()]
    may_be_weights = [path for path in left if any(_first_of_shape(one, free, [path]) for one in trial.weights)]
    for at, one in waiting:
        if at not in pairs and left and (at in fitting or left[0] not in may_be_weights):
            pairs[at] = left.pop(0)
        elif at not in pairs:
            names: list[Path] = [(one.name,), ("x",)] if at == 0 else [(one.name,)]
            named = [path for path in free if names_gradient(path, names) and path not in pairs.values()]
            pairs |= {at: path for path in named[:1]}
    for path in pairs.values():
        free.pop(path)
        if path in returned:
            returned.remove(path)
    return [Gradient(f"d{one.name}", one, pairs[at]) for at, one in waiting if at in pairs]


def _step(trial: Trial, weight: Variable) -> list[Gradient]:
    """A weight that is another one after backward: the step's length is given to backward, or the layer holds it."""
    rates = [float(place.value) for place in places(trial.layer)
             if isinstance(place.value, (int, *NUMBERS)) and plain(str(place.key)) in STEPS and place.value > 0]
    if trial.caller.has_step or len(set(rates)) == 1:
        return [Gradient(f"d{weight.name}", weight, None, 1.0 if trial.caller.has_step else rates[0])]
    trial.unchecked.append(f"d{weight.name}: backward itself changes {weight.name}, by a step of unknown length; "
                           "expected its gradient, or backward(dy, learning_rate)")
    return []


def _by_shape(trial: Trial, found: list[Gradient], free: dict[Path, Array]) -> list[Gradient]:
    """weight and grad, or p["W"] and g["W"]: an array that backward has written and that is linear in dy, under the
    weight's own key, or the only one of the shape that only one weight has."""
    alone = [weight for weight in trial.weights if weight.value.ndim
             and not any(one.of is weight or overlap(weight, one.of) for one in found)]
    if not alone or not free:
        return []
    trial.forward()
    doubled = trial.backward_pass([2 * dy for dy in trial.dy])
    likely = {path: array for path, array in free.items() if path[0] != RETURNED
              and same(doubled.get(path), 2 * array)}
    made = []
    for weight in alone:
        fitting = _first_of_shape(weight, likely, list(likely))
        same_key = [path for path in fitting if any(path[-1] == other[-1] and len(other) > 1 for other in weight.paths)]
        nameless = [path for path in fitting if ((), True) in readings(path)]
        is_only = sum(other.value.shape == weight.value.shape for other in trial.weights) == 1
        only = fitting if weight.value.ndim > 1 and len(fitting) == 1 and free[fitting[0]].any() and (
            not is_velocity(fitting[0])) else []
        chosen = same_key or (nameless or only if is_only else [])
        if len(chosen) == 1:
            made.append(Gradient(f"d{weight.name}", weight, chosen[0]))
            likely.pop(chosen[0])
    return made


def is_velocity(path: Path) -> bool:
    """Is it what an optimizer keeps?"""
    return any(plain(str(part)).startswith(("v", "m", "update", "step", "last", "prev")) for part in path)


def _say_what_is_alone(trial: Trial, found: list[Gradient], before: dict[Path, Array],
                       after: dict[Path, Array]) -> None:
    """Gradients of weights that no small step can change, or that the layer does not keep."""
    known = [path for weight in trial.weights for path in weight.paths]
    kept = [path for path, array in before.items() if same(after.get(path), array) and path not in known]
    claimed = {one.path for one in found}
    for path, array in after.items():
        if path in claimed or path in known or path[0] == RETURNED or not array.ndim or names_gradient(path, known):
            continue    # the last: another copy, not written
        of = next((one for one in kept if one != path and names_gradient(path, [one])), None)
        if of is not None and before[of].dtype.kind in "iu":
            trial.unchecked.append(f"{called(path)}: {called(of)} holds whole numbers, which no small step changes; "
                                   "expected floats")
        elif of is not None or (set(path[:-1]) <= GRADIENT_HOLDERS and any(
                marked and name and name[-1] in MATRICES | BIASES | VECTORS for name, marked in readings(path))):
            trial.unchecked.append(f"{called(path)}: the output depends on no array of floats of which this could be "
                                   "the gradient; expected the weight to be kept by the layer")


def names_gradient(path: Path, of: Sequence[Path]) -> bool:
    """Is it the path of the gradient of what has one of the other paths?"""
    return any(belongs(("grads", *path[1:]) if path[0] == RETURNED else path, one) for one in of)


def overlap(a: Variable, b: Variable) -> bool:
    """Is one a view of the other, such as W.T?"""
    return any(isinstance(one.value, np.ndarray) and isinstance(other.value, np.ndarray)
               and np.may_share_memory(one.value, other.value) for one in a.places for other in b.places)


def same(a: Any, b: Any) -> bool:
    return not isinstance(b, np.ndarray) or np.array_equal(a, b, equal_nan=True)
