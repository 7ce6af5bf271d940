"""The user's gradients against central differences of the loss that the user reports."""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arguments import counted
from .report import NOT_CHECKED, NOT_DECIDED, OK, WRONG, Finding
from .subject import Subject, numbers

Array = np.ndarray

IMAGES = 8
ENTRIES = 40                  # of each array: the largest gradients, and as many drawn at random
STEPS = {"float64": (1e-3, 1e-4, 1e-5, 1e-6), "float32": (0.3, 0.1, 0.03, 0.01, 0.003)}
TOLERANCE = {"float64": 1e-6, "float32": 3e-3}
ROUNDINGS = 4.0               # of the loss, in units of its own rounding error
ERRORS = 6.0                  # an estimated error may be this often too small
BLURRED = 0.3                 # of the largest gradient: an array whose differences are known no better says nothing
SAME = 0.1                    # two explanations that differ by less than this fraction are one
TINY = float(np.finfo(float).tiny)


class Differences(NamedTuple):
    """Central differences, with estimates of their errors and half the jump of the slope at that place: (E,) each."""

    value: Array
    error: Array
    jump: Array

    @property
    def size(self) -> float:
        return max(float(np.abs(self.value).max()), TINY)

    @property
    def is_blurred(self) -> bool:
        """Whether the errors are so large that a wrong gradient could hide among them."""
        return bool(ERRORS * np.median(self.error) > BLURRED * self.size)


def check_gradients(subject: Subject) -> Finding:
    """gradients(x, eps) of every array in `parameters`, which lists them in the order of the data flow."""
    if subject.gradients is None or subject.parameters is None or subject.loss is None:
        return Finding("gradients", NOT_CHECKED, "gradients, parameters or loss was not given.")
    if not subject.frozen:
        return Finding("gradients", NOT_CHECKED, "the loss draws its own noise: write loss(x, eps), gradients(x, eps).")
    x = subject.x[:IMAGES]
    eps = subject.noise((len(x), subject.n_latent)).astype(x.dtype)
    if not np.isfinite(subject.loss_value(x, eps)):
        return Finding("gradients", NOT_CHECKED, "the loss is NaN or infinite, and has no gradients then.")
    given = _gradients(subject, x, eps)
    for name, array in subject.parameters.items():
        if name not in given or given[name].shape != array.shape:
            got = f"has shape {given[name].shape}" if name in given else "is missing"
            return Finding("gradients", WRONG, f"the gradient for {name} {got}; expected shape {array.shape}.",
                           "give one gradient for each array, of the same shape; a transpose may be missing.")
    precision = "float64" if subject.rounding < 1e-10 and all(
        array.dtype == np.float64 for array in subject.parameters.values()) else "float32"
    places, analytic, numeric = {}, {}, {}
    for name, array in subject.parameters.items():
        places[name] = _places(subject, given[name].ravel())
        analytic[name] = given[name].ravel()[places[name]]
        numeric[name] = _of_loss(subject, array, places[name], x, eps, precision)
    if not any(np.any(found.value) for found in numeric.values()):
        return Finding("gradients", WRONG, "the loss does not change when an entry of parameters changes.",
                       "the functions do not see changes made in place: give the arrays that the model reads, not "
                       "copies of them.")
    blurred = [name for name in numeric if numeric[name].is_blurred]
    errors = {name: _relative_error(analytic[name], numeric[name]) for name in analytic}
    wrong = [name for name in errors if not errors[name] <= TOLERANCE[precision]]
    apart = {name: _apart(analytic[name], numeric[name]) for name in analytic}
    worst = max(wrong or apart, key=lambda name: apart[name])
    checked = sum(len(entries) for entries in analytic.values())
    evidence = (f"{counted(checked, 'entry', 'entries')} of {counted(len(errors), 'array')} against central "
                f"differences of loss(x, eps): largest error {apart[worst]:.1e}, relative to the largest gradient in "
                f"its array{f', at {worst}' if wrong else ''}.")    # where all is right, rounding alone decides where
    if precision == "float32":
        own = max(float(known.error.max(where=np.isfinite(known.error), initial=0.0)) / known.size
                  for known in numeric.values())
        evidence += f" (In float32 the differences themselves are off by up to some {own:.1e}.)"
    if not wrong:
        if not blurred:
            return Finding("gradients", OK, evidence)
        unclear = f" Rounding blurs the differences for {', '.join(blurred)}: hand the model over in float64."
        return Finding("gradients", OK if len(blurred) < len(errors) else NOT_DECIDED, evidence + unclear)
    right = [name for name in errors if name not in wrong]
    evidence += f" Wrong: {', '.join(wrong)}. Right: {', '.join(right) or 'none'}."
    again = _gradients(subject, x, eps)
    if any(not np.allclose(given[name], again[name], rtol=1e-4, atol=1e-6 * np.abs(given[name]).max())
           for name in wrong):
        return Finding("gradients", WRONG, evidence + " Two calls with the same eps differ.",
                       "noise is drawn twice, once forward and once backward: keep eps and use it in both. (Or each "
                       "gradient is added to the previous one: set them to zero first. Or two threads add to the same "
                       "array, a race: let each number belong to one of them.)")
    of_kl = {name: _of_kl(subject, array, places[name], x, precision) for name, array in subject.parameters.items()}
    return Finding("gradients", WRONG, evidence, _other_loss(analytic, numeric, of_kl, TOLERANCE[precision])
                   or place_of_fault(wrong, list(errors)))


def _gradients(subject: Subject, x: Array, eps: Array) -> dict[str, Array]:
    assert subject.gradients is not None and subject.parameters is not None
    expected = "a dict {name: array}, with an array for each of parameters"
    given = subject.gradients(subject.shaped(x), eps)
    if not isinstance(given, dict):
        raise ValueError(f"gradients gives a {type(given).__name__}; expected {expected}")
    return {name: np.array(numbers("gradients", value, expected), dtype=float) for name, value in given.items()
            if name in subject.parameters}


def _places(subject: Subject, gradient: Array) -> Array:
    """Some of the largest entries, which the differences know best, and some at random."""
    largest = np.argsort(-np.abs(gradient), kind="stable")[:ENTRIES // 2]
    others = np.setdiff1d(np.arange(gradient.size), largest)
    return np.concatenate([largest, subject.rng.permutation(others)[:ENTRIES - len(largest)]])


def _of_loss(subject: Subject, array: Array, places: Array, x: Array, eps: Array, precision: str) -> Differences:
    """Central differences of the loss at some entries of an array, each with the step that suits it best.

    With a step h the differences are off by O(h^2), or more where a relu has its kink, which the smaller steps show,
    and by the loss's rounding error over h.  The step is chosen for which the sum of the two is smallest; the sum is
    the estimated error.  Where a kink is nearer than the smallest step, the slopes to both sides of it differ.
    """
    here = subject.loss_value(x, eps)
    rounding = ROUNDINGS * subject.rounding * abs(here)
    steps = STEPS[precision]
    slopes = np.array([[_slopes(array, place, h, here, lambda: subject.loss_value(x, eps)) for h in steps]
                       for place in places])                                         # (E, steps, 2)
    found, jump = slopes.mean(axis=2), 0.5 * np.abs(slopes[:, -1, 1] - slopes[:, -1, 0])
    error = np.stack([np.abs(found[:, i:i + 1] - found[:, i + 1:]).max(axis=1) + rounding / steps[i]
                      for i in range(len(steps) - 1)], axis=1)                       # of all but the last step
    error[~np.isfinite(error)] = np.inf                                            # a step to where the loss is none
    best = np.argmin(error, axis=1)[:, None]
    value, error = (np.take_along_axis(table, best, axis=1)[:, 0] for table in (found, error))
    return Differences(np.where(np.isfinite(error), value, 0.0), error, jump)


def _of_kl(subject: Subject, array: Array, places: Array, x: Array, precision: str) -> Array:
    """The same of the closed-form KL of the batch, with one step."""
    h = STEPS[precision][-2]

    def value() -> float:
        return float(np.mean(subject.kl(subject.q(x))))

    here = value()
    return np.array([np.mean(_slopes(array, place, h, here, value)) for place in places])


def _slopes(array: Array, place: int, h: float, here: float, value: Callable[[], float]) -> tuple[float, float]:
    """(f(w) - f(w - h)) / h and (f(w + h) - f(w)) / h for one entry w, which is restored whatever happens."""
    index = np.unravel_index(place, array.shape)
    before = array[index]
    found = []
    try:
        for moved in (before - h, before + h):
            array[index] = moved
            found.append((value() - here) / (float(array[index]) - float(before)))    # the step as it was rounded
    finally:
        array[index] = before
    return found[0], found[1]


def _apart(analytic: Array, numeric: Differences) -> float:
    return float(np.abs(analytic - numeric.value).max() / numeric.size)


def _relative_error(analytic: Array, numeric: Differences) -> float:
    """The largest, beyond what the differences themselves may be off by."""
    beyond = np.maximum(np.abs(analytic - numeric.value) - ERRORS * numeric.error, 0.0)
    beyond[beyond <= numeric.jump] = 0.0    # at a kink the slope to either side is right
    error = float(beyond.max() / numeric.size)
    return np.inf if np.isnan(error) else error


def _other_loss(analytic: dict[str, Array], numeric: dict[str, Differences], of_kl: dict[str, Array],
                tolerance: float) -> str:
    """Whether the gradients are those of a loss + b KL: then they belong to a loss other than the reported one."""
    given, kl = (np.concatenate(list(parts.values())) for parts in (analytic, of_kl))
    loss = Differences(*(np.concatenate(parts) for parts in zip(*numeric.values())))
    columns = np.stack([loss.value, kl], axis=1)
    if not np.isfinite(columns).all() or not np.isfinite(given).all():
        return ""
    (a, b), *_ = np.linalg.lstsq(columns, given, rcond=None)
    fitted = Differences(columns @ np.array([a, b]), abs(a) * loss.error, abs(a) * loss.jump)
    if not _relative_error(given, fitted) <= tolerance:
        return ""
    if abs(b) < SAME * abs(a):
        return f"the loss reported is not the loss optimised: every gradient is {a:.4g} times that of loss(x, eps)."
    return (f"the loss reported is not the loss optimised: the gradients are those of {a:.4g} loss + {b:.4g} KL (KL "
            "averaged over the batch).")


def place_of_fault(wrong: list[str], names: list[str]) -> str:
    """Where a backward pass goes wrong, from the arrays whose gradients are wrong and all arrays, in words.

    Gradients flow from the last array to the first, so what comes before a fault is wrong and what comes after it is
    right.   [lesson 13, eq. 13.4]
    """
    last = wrong[-1]
    if last == names[-1]:
        return (f"the error enters just after {last}, at the loss: look at the NLL's gradient for the decoder's "
                "output. For logits it is y - x, for Gaussian means (y - x) / sigma^2, without a factor y (1 - y).")
    if len(wrong) == 1:
        return f"only {last} is wrong, and what comes before it is right: look at the line that computes this gradient."
    return (f"the error enters just after {last}: what comes after it in the data flow is right. Look at the backward "
            f"pass between {last} and {names[names.index(last) + 1]}: the derivative of another activation (1 - y^2 "
            "belongs to tanh, y (1 - y) to the sigmoid), or one written from the output but given the input, or the "
            "reverse; a missing relu mask; an upstream gradient that was kept from another layer.")
