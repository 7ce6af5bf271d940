"""What is wrong with a gradient, in words, from the pattern of its error."""
from __future__ import annotations

import numpy as np

from ..arguments import counted
from .numeric import TOLERANCE, Array, relative_errors

CLOSE = 1e-5    # relative: how closely a pattern has to fit


def upstream_fault(found: Array, flipped: Array, doubled: Array, again: Array) -> str:
    """A backward pass is linear in dy, whatever the layer."""
    if not near(again, found):
        return "; and it changes when backward is called again: it adds to old values, or redraws the noise"
    if near(flipped, found) and np.any(found):
        return "; and it does not depend on the upstream gradient's sign" if not near(doubled, found) else (
            "; and it does not depend on the upstream gradient: multiply by dy")
    if not near(flipped, -found):
        if near(doubled, (3 * found - flipped) / 2):
            return "; and a part of it does not depend on the upstream gradient"
        return "; and it depends on the upstream gradient's sign: a comparison uses dy"
    if not near(doubled, 2 * found):
        return "; and it is not proportional to the upstream gradient: dy enters more than once"
    return ""


def diagnose(name: str, found: Array, expected: Array, batch: int,
             tolerance: float = TOLERANCE["central-differences"],
             parts: tuple[str, str] = ("entry", "entries")) -> str | None:
    """What is wrong with a gradient, from the pattern of its error; None if nothing is.

    found, expected : the analytic and the numeric gradient; batch : the number of rows of the input; parts : what one
    and several of their numbers are called
    """
    if found.shape != expected.shape:
        if found.ndim == 2 and found.T.shape == expected.shape:
            rest = diagnose("that transpose", found.T, expected, batch, tolerance, parts)
            return f"{name} is the transpose of what it should be{'; and ' + rest if rest else ''}"
        return f"{name} has shape {found.shape}; expected {expected.shape}, the shape of the array whose gradient it is"
    if relative_errors(found, expected).max(initial=0) <= tolerance:
        return None
    if not np.isfinite(found).all():
        return f"{name} holds NaN or infinity, first at {_first(~np.isfinite(found))}"
    if not found.any():
        return f"{name} is zero everywhere: it is never written, or multiplied by zero"
    close = max(CLOSE, tolerance)
    if found.ndim == 2 and found.shape[0] == found.shape[1] and near(found.T, expected, close):
        return f"{name} is the transpose of what it should be"
    factor = np.vdot(expected, found) / np.vdot(expected, expected)
    if factor and near(found, factor * expected, close):
        digits = 9 if abs(factor - 1) < 1e-3 else 6
        return f"{name} is off by the constant factor {factor:.{digits}g}{_why(factor, batch)}"
    offset = np.mean(found - expected)
    if near(found - expected, np.full(found.shape, offset), close):
        return f"{name} is too large by {offset:.6g} everywhere: a term is added that does not belong there"
    return f"{name} {_where(found, expected, tolerance, parts)}"


def _why(factor: float, batch: int) -> str:
    if abs(factor - 1) < 1e-3:
        return (": right but for that, as where forward alone has a small number for safety, such as the 1e-7 in "
                "log(p + 1e-7)")
    rows = counted(batch, "row")
    for value, why in ((-1, ": the sign is wrong"), (2, ": a 1/2 is missing, or there is a 2 too many"),
                       (0.5, ": a 2 is missing, or there is a 1/2 too many"),
                       (batch, f": the batch has {rows}, so a mean replaces a sum, or vice versa"),
                       (1 / batch, f": the batch has {rows}, so a sum replaces a mean, or vice versa")):
        if abs(factor - value) < 1e-3 * abs(value):
            return why
    return ""


def _where(found: Array, expected: Array, tolerance: float, parts: tuple[str, str]) -> str:
    wrong = relative_errors(found, expected) > tolerance
    example = (f"; at {_first(wrong)} it is {found[_first(wrong)]:.6g}, expected {expected[_first(wrong)]:.6g}")
    for axis, word in ((0, "row"), (1, "column"))[:found.ndim if found.ndim > 1 else 0]:
        others = tuple(i for i in range(found.ndim) if i != axis)
        which = np.nonzero(~np.asarray(wrong.any(axis=others)))[0]
        if len(which):
            only = f"the last {word} only" if list(which) == [found.shape[axis] - 1] else (
                f"{word} {which[0]} only" if len(which) == 1 else f"the {word}s {', '.join(map(str, which))} only")
            return f"is right for {only}{example}"
    return f"is wrong in {wrong.sum()} of {counted(wrong.size, *parts)}{example}"


def _first(mask: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def near(a: Array, b: Array, close: float = CLOSE) -> bool:
    return a.shape == b.shape and bool(np.all(abs(a - b) <= close * max(abs(b).max(initial=0), 1e-300)))
