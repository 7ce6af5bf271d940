"""The user's gradients against central differences of the loss that the user reports."""
from __future__ import annotations

import numpy as np

from ..arguments import counted
from .report import NOT_CHECKED, OK, WRONG, Finding
from .subject import Subject

Array = np.ndarray

IMAGES = 8
ENTRIES = 40                                    # of each array, drawn at random
STEP = {"float64": 1e-5, "float32": 1e-2}
TOLERANCE = {"float64": 1e-6, "float32": 3e-2}
SAME = 0.1                                      # two explanations that differ by less than this fraction are one


def check_gradients(subject: Subject) -> Finding:
    """gradients(x, eps) of every array in `parameters`, which lists them in the order of the data flow."""
    if subject.gradients is None or subject.parameters is None or subject.loss is None:
        return Finding("gradients", NOT_CHECKED, "gradients, parameters or loss was not given.")
    if not subject.frozen:
        return Finding("gradients", NOT_CHECKED, "the loss draws its own noise: write loss(x, eps), gradients(x, eps).")
    x = subject.x[:IMAGES]
    eps = subject.noise((len(x), subject.n_latent)).astype(x.dtype)
    given = _gradients(subject, x, eps)
    for name, array in subject.parameters.items():
        if name not in given or given[name].shape != array.shape:
            got = f"has shape {given[name].shape}" if name in given else "is missing"
            return Finding("gradients", WRONG, f"the gradient for {name} {got}; expected shape {array.shape}.",
                           "give one gradient for each array, of the same shape; a transpose may be missing.")
    precision = "float64" if subject.rounding < 1e-10 else "float32"
    analytic, of_loss, of_kl = {}, {}, {}
    for name, array in subject.parameters.items():
        places = subject.rng.permutation(array.size)[:ENTRIES]
        analytic[name] = given[name].ravel()[places]
        of_loss[name], of_kl[name] = _numeric(subject, array, places, x, eps, STEP[precision])
    errors = {name: _relative_error(analytic[name], of_loss[name]) for name in analytic}
    wrong = [name for name in errors if not errors[name] <= TOLERANCE[precision]]
    worst = max(errors, key=lambda name: errors[name])
    checked = sum(len(entries) for entries in analytic.values())
    evidence = (f"{counted(checked, 'entry', 'entries')} of {counted(len(errors), 'array')} against central "
                f"differences of loss(x, eps): largest error {errors[worst]:.1e}, relative to the largest gradient in "
                f"its array, at {worst}.")
    if not wrong:
        return Finding("gradients", OK, evidence)
    right = [name for name in errors if name not in wrong]
    evidence += f" Wrong: {', '.join(wrong)}. Right: {', '.join(right) or 'none'}."
    again = _gradients(subject, x, eps)
    if any(not np.array_equal(given[name], again[name]) for name in wrong):
        return Finding("gradients", WRONG, evidence + " Two calls with the same eps differ.",
                       "noise is drawn twice, once forward and once backward: keep eps and use it in both. (Or each "
                       "gradient is added to the previous one: set them to zero first.)")
    return Finding("gradients", WRONG, evidence, _other_loss(analytic, of_loss, of_kl, TOLERANCE[precision])
                   or _place(wrong, list(errors)))


def _gradients(subject: Subject, x: Array, eps: Array) -> dict[str, Array]:
    assert subject.gradients is not None
    return {name: np.array(value, dtype=float) for name, value in subject.gradients(x, eps).items()}


def _numeric(subject: Subject, array: Array, places: Array, x: Array, eps: Array, h: float) -> tuple[Array, Array]:
    """Central differences of the loss and of the closed-form KL of its batch, at some entries of an array."""
    def values() -> tuple[float, float]:
        return subject.loss_value(x, eps), float(np.mean(subject.kl(x)))

    differences = np.empty((len(places), 2))
    for row, place in zip(differences, places):
        index = np.unravel_index(place, array.shape)
        before = array[index]
        array[index] = before + h
        above = values()
        array[index] = before - h
        row[:] = (np.array(above) - np.array(values())) / (2 * h)
        array[index] = before
    return differences[:, 0], differences[:, 1]


def _relative_error(analytic: Array, numeric: Array) -> float:
    error = float(np.abs(analytic - numeric).max() / max(float(np.abs(numeric).max()), np.finfo(float).tiny))
    return np.inf if np.isnan(error) else error


def _other_loss(analytic: dict[str, Array], of_loss: dict[str, Array], of_kl: dict[str, Array],
                tolerance: float) -> str:
    """Whether the gradients are those of a loss + b KL: then they belong to a loss other than the reported one."""
    given, loss, kl = (np.concatenate(list(parts.values())) for parts in (analytic, of_loss, of_kl))
    columns = np.stack([loss, kl], axis=1)
    (a, b), *_ = np.linalg.lstsq(columns, given, rcond=None)
    if not _relative_error(columns @ np.array([a, b]), given) <= tolerance:
        return ""
    if abs(b) < SAME * abs(a):
        return f"the loss reported is not the loss optimised: every gradient is {a:.4g} times that of loss(x, eps)."
    return (f"the loss reported is not the loss optimised: the gradients are those of {a:.4g} loss + {b:.4g} KL (KL "
            "averaged over the batch).")


def _place(wrong: list[str], names: list[str]) -> str:
    """Gradients flow from the last array to the first, so what comes before a fault is wrong and what comes after
    it is right."""
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
