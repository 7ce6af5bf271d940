"""A learner's own backward pass: is it right, and if not, what is wrong with it, in words.

    numpyvae gradcheck my_layer.py:MyLayer

A layer is a class with `forward(x)` and `backward(dy)`, and with `params` and `grads`, dicts with the same keys, if
it has weights; it is constructed as MyLayer(), MyLayer(7, 5) or MyLayer(7, 5, rng=rng), whichever works first.  A pair
is a function `f(x)` in a file that also holds `f_backward(dy, x)`.
"""
from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import counted
from . import TOLERANCE, Report, Row, check_layer, differentiate, relative_errors
from .layers import parameter_owners

Array = np.ndarray
METHOD = "central-differences"    # a learner's forward pass need not take complex numbers
BATCH, N_IN, N_OUT = 4, 7, 5      # of the input on which a layer is tried
CLOSE = 1e-5                      # relative: how closely a pattern has to fit


@dataclasses.dataclass(frozen=True)
class OwnReport(Report):
    """The gradient check of a learner's own component, and in words what is wrong with it."""

    findings: list[str]

    @property
    def ok(self) -> bool:
        return not self.failed and not self.findings

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"- {finding}" for finding in self.findings)])

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "findings": self.findings}


def check_own(component: Any, x: Array | None = None) -> OwnReport:
    """Check a layer (a class or an object), a pair (f, f_backward), or either of these in a file, as "FILE.py:NAME".

    x : the input to try it on, (B, ...) float64; random if None

    Raises FileNotFoundError, ValueError or TypeError if there is nothing to check.
    """
    if isinstance(component, str):
        component = load_own(component)
    if isinstance(component, tuple):
        f, f_backward = component
        return _check_own_pair(f, f_backward, _made_up(N_IN) if x is None else x)
    layer = _make_layer(component) if inspect.isclass(component) else component
    for method in ("forward", "backward"):
        if not callable(getattr(layer, method, None)):
            raise TypeError(f"{type(layer).__name__} has no method {method}; expected a layer with forward(x) and "
                            "backward(dy)")
    if not hasattr(layer, "params"):
        layer.params, layer.grads = {}, {}
    return _check_own_layer(layer, _made_up(_width(layer)) if x is None else x)


def load_own(place: str) -> Any:
    """What "FILE.py:NAME" names: a class, or a pair of functions."""
    file, colon, name = place.rpartition(":")
    if not colon or not name:
        raise ValueError(f"component is {place!r}; expected FILE.py:NAME, such as my_layer.py:MyLayer")
    path = pathlib.Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{file} does not exist; expected the file that {name} is in")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is not a Python file; expected FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{file} cannot be run: {type(error).__name__}: {error}; expected a file that Python runs "
                         "without an error") from error
    finally:
        sys.path.pop(0)
    found = getattr(module, name, None)
    if found is None:
        raise ValueError(f"{file} does not define {name}; expected the name of a layer's class or of a function")
    if inspect.isclass(found):
        return found
    backward = getattr(module, f"{name}_backward", None)
    if not callable(backward):
        raise ValueError(f"{file} defines {name} but no {name}_backward; expected both, as {name}_backward(dy, x)")
    return found, backward


def _make_layer(cls: type) -> Any:
    rng = np.random.default_rng(0)
    failures = []
    ways: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((), {}), ((N_IN, N_OUT), {}), ((N_IN, N_OUT), {"rng": rng})]
    for arguments, options in ways:
        try:
            inspect.signature(cls).bind(*arguments, **options)
        except TypeError as error:
            failures.append(str(error))
            continue
        return cls(*arguments, **options)
    raise TypeError(f"{cls.__name__} cannot be constructed ({failures[-1]}); expected {cls.__name__}(), "
                    f"{cls.__name__}({N_IN}, {N_OUT}) or {cls.__name__}({N_IN}, {N_OUT}, rng=rng) to work: or pass an "
                    "object")


def _width(layer: Any) -> int:
    return next((np.shape(value)[0] for value in layer.params.values() if np.ndim(value) == 2), N_IN)


def _made_up(width: int) -> Array:
    x = np.random.default_rng(1).standard_normal((BATCH, width))
    return x + np.copysign(0.1, x)    # away from a kink at zero, on both sides


def _check_own_layer(layer: Any, x: Array) -> OwnReport:
    for name, (owner, key) in dict(parameter_owners(layer)).items():
        owner.params[key] = _randomised(owner.params[key])    # zero weights or biases would hide errors
    kept = x.copy()

    def forward(x: Array) -> Array:
        return np.array(layer.forward(x))

    def backward(dy: Array) -> dict[str, Array]:
        gradients = {"dx": np.array(layer.backward(dy), dtype=float)}
        return gradients | {f"d{name}": np.array(owner.grads[key], dtype=float)
                            for name, (owner, key) in parameter_owners(layer)}
    y = forward(x)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    numeric = {f"d{name}": pair[1] for name, pair in check_layer(layer, x, METHOD).items()}
    forward(x)
    return _report(type(layer).__name__, backward, dy, numeric, x, kept)


def _check_own_pair(f: Callable[..., Array], f_backward: Callable[..., Array], x: Array) -> OwnReport:
    kept, dy = x.copy(), np.random.default_rng(0).standard_normal(np.shape(f(x)))
    numeric = differentiate(lambda: np.sum(dy * f(x)), x, METHOD)

    def backward(dy: Array) -> dict[str, Array]:
        return {"dx": np.array(f_backward(dy, x), dtype=float)}
    return _report(f.__name__, backward, dy, {"dx": numeric}, x, kept)


def _randomised(weight: Array) -> Array:
    return np.random.default_rng(weight.size).normal(0, 0.5, np.shape(weight))


def _report(name: str, backward: Callable[[Array], dict[str, Array]], dy: Array, numeric: dict[str, Array],
            x: Array, kept: Array) -> OwnReport:
    upstream = dy.copy()
    analytic = backward(dy)
    findings = []
    if not np.array_equal(dy, upstream):
        findings.append("backward writes into dy, which belongs to the layer above")
        dy = upstream.copy()
    if not np.array_equal(x, kept):
        findings.append("x, which belongs to the caller, has changed")
    again, flipped, doubled = backward(dy.copy()), backward(-dy), backward(2 * dy)
    for key, expected in numeric.items():
        found = analytic[key]
        words = diagnose(key, found, expected, BATCH)
        if words is None:
            if not _near(again[key], found):
                words = f"{key} changes when backward is called again: it adds to old values, or redraws the noise"
        elif found.shape == expected.shape:
            words += _upstream_fault(found, flipped[key], doubled[key], again[key])
        if words is not None:
            findings.append(words)
    errors = {key: relative_errors(analytic[key], expected) for key, expected in numeric.items()}
    return OwnReport([Row(name, "its own", METHOD, errors)], findings)


def _upstream_fault(found: Array, flipped: Array, doubled: Array, again: Array) -> str:
    """A backward pass is linear in dy, whatever the layer."""
    if not _near(again, found):
        return "; and it changes when backward is called again: it adds to old values, or redraws the noise"
    if _near(flipped, found) and np.any(found):
        return "; and it does not depend on the upstream gradient's sign" if not _near(doubled, found) else (
            "; and it does not depend on the upstream gradient: multiply by dy")
    if not _near(flipped, -found):
        return "; and it depends on the upstream gradient's sign: a comparison uses dy"
    if not _near(doubled, 2 * found):
        return "; and it is not proportional to the upstream gradient: dy enters more than once"
    return ""


def diagnose(name: str, found: Array, expected: Array, batch: int) -> str | None:
    """What is wrong with a gradient, from the pattern of its error; None if nothing is.

    found, expected : the analytic and the numeric gradient; batch : the number of rows of the input
    """
    if found.shape != expected.shape:
        if found.ndim == 2 and found.T.shape == expected.shape:
            rest = diagnose("that transpose", found.T, expected, batch)
            return f"{name} is the transpose of what it should be{'; and ' + rest if rest else ''}"
        return f"{name} has shape {found.shape}; expected {expected.shape}, the shape of the array whose gradient it is"
    if relative_errors(found, expected).max(initial=0) <= TOLERANCE[METHOD]:
        return None
    if not np.isfinite(found).all():
        return f"{name} holds NaN or infinity, first at {_first(~np.isfinite(found))}"
    if not found.any():
        return f"{name} is zero everywhere: it is never written, or multiplied by zero"
    if found.ndim == 2 and found.shape[0] == found.shape[1] and _near(found.T, expected):
        return f"{name} is the transpose of what it should be"
    factor = np.vdot(expected, found) / np.vdot(expected, expected)
    if factor and _near(found, factor * expected):
        return f"{name} is off by the constant factor {factor:.6g}{_why(factor, batch)}"
    offset = np.mean(found - expected)
    if _near(found - expected, np.full(found.shape, offset)):
        return f"{name} is too large by {offset:.6g} everywhere: a term is added that does not belong there"
    return f"{name} {_where(found, expected)}"


def _why(factor: float, batch: int) -> str:
    rows = counted(batch, "row")
    for value, why in ((-1, ": the sign is wrong"), (2, ": a 1/2 is missing, or there is a 2 too many"),
                       (0.5, ": a 2 is missing, or there is a 1/2 too many"),
                       (batch, f": the batch has {rows}, so a mean replaces a sum, or vice versa"),
                       (1 / batch, f": the batch has {rows}, so a sum replaces a mean, or vice versa")):
        if abs(factor - value) < 1e-3 * abs(value):
            return why
    return ""


def _where(found: Array, expected: Array) -> str:
    wrong = relative_errors(found, expected) > TOLERANCE[METHOD]
    example = (f"; at {_first(wrong)} it is {found[_first(wrong)]:.6g}, expected {expected[_first(wrong)]:.6g}")
    for axis, word in ((0, "row"), (1, "column"))[:found.ndim if found.ndim > 1 else 0]:
        others = tuple(i for i in range(found.ndim) if i != axis)
        which = np.nonzero(~np.asarray(wrong.any(axis=others)))[0]
        if len(which):
            only = f"the last {word} only" if list(which) == [found.shape[axis] - 1] else (
                f"{word} {which[0]} only" if len(which) == 1 else f"the {word}s {', '.join(map(str, which))} only")
            return f"is right for {only}{example}"
    return f"is wrong in {wrong.sum()} of {counted(wrong.size, 'entry', 'entries')}{example}"


def _first(mask: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _near(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.all(abs(a - b) <= CLOSE * max(abs(b).max(initial=0), 1e-300)))
