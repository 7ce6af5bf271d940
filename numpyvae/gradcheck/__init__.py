"""Gradient checks: is every backward pass the derivative of its forward pass?

Two ways to differentiate a function f numerically, entry by entry:

complex step          f'(x) = Im f(x + i h) / h + O(h^2).  Nothing is subtracted, so nothing cancels, and h may be
                      1e-30: the result is right to the last digits.  f has to be analytic: no absolute value and no
                      comparison may look at the complex number, only at its real part.  [Squire & Trapp 1998]
central differences   f'(x) = (f(x + h) - f(x - h)) / 2h + O(h^2).  Works for compiled kernels, which take real
                      numbers only; the subtraction costs half of the digits.

A function with many results is reduced to one number by a random upstream gradient dy:  L = sum(dy * f(x)), and the
backward pass has to give dL/dx.  Sizes are all different, so that no transpose goes unnoticed; weights and biases are
random, so that no term is zero; the noise is held fixed.

The relative error of an array is  max |analytic - numeric| / max |numeric|.
"""
from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from ..arguments import METHOD, TEXT, checked, shown
from ..twin import kernels_are_on, kernels_off
from .layers import check_layer, layer_examples
from .models import Example, check_model, model_examples
from .numeric import STEP, TOLERANCE, Array, Gradients, differentiate, relative_errors
from .objectives import objective_examples
from .own import check
from .pairs import check_pair, pairs
from .report import OwnReport, Report, Row

__all__ = ["Gradients", "OwnReport", "Report", "Row", "STEP", "TOLERANCE", "check", "check_component", "check_layer",
           "check_model", "check_pair", "components", "differentiate", "gradcheck", "relative_errors"]


@checked(component=TEXT, method=METHOD)
def gradcheck(component: str | None = None, method: str | None = None) -> Report:
    """Check every component of the package, or those whose name contains `component`.

    method : "complex-step" (the NumPy bodies, tolerance 1e-12), "central-differences" (the compiled kernels,
             tolerance 1e-7), or None for both

    Raises ValueError for an unknown component or method.
    """
    methods = list(TOLERANCE) if method is None else [method]
    chosen = {name: check for name, check in components().items() if component is None or component in name}
    if not chosen:
        raise ValueError(f"component is {shown(component)}; expected part of one of the names "
                         f"{', '.join(dict.fromkeys(name.split('(')[0] for name in components()))}")
    return Report([check_component(name, check, method) for name, check in chosen.items() for method in methods])


@checked(name=TEXT, method=METHOD)
def check_component(name: str, check: Callable[[str], Gradients], method: str) -> Row:
    """One row of the report: on the NumPy bodies for the complex step, else on the kernels, where they exist."""
    twins = check.args if isinstance(check, functools.partial) and check.func is check_pair else ()
    has_kernel = not twins or any(one.kernel is not None for one in twins)
    with kernels_off() if method == "complex-step" else contextlib.nullcontext():
        path = "kernel" if has_kernel and kernels_are_on() else "reference"
        gradients = check(method)
    return Row(name, path, method, {key: relative_errors(*pair) for key, pair in gradients.items()})


def components() -> dict[str, Callable[[str], Gradients]]:
    """Everything that has a backward pass, found by walking the twins, the layers and the models.

    Each name goes with a function that takes a method and returns the gradients.
    """
    found: dict[str, Callable[[str], Gradients]] = {}
    for forward, backward in pairs():
        found[backward.name.removesuffix("_backward")] = functools.partial(check_pair, forward, backward)
    for name, make_layer in layer_examples():
        found[name] = functools.partial(_check_made, check_layer, make_layer)
    for name, make_model in model_examples():
        found[name] = functools.partial(_check_example, check_model, make_model)
    for name, check_objective, make_model in objective_examples():
        found[name] = functools.partial(_check_example, check_objective, make_model)
    return found


def _check_made(check: Callable[..., Gradients], make: Callable[[], tuple[Any, Array]], method: str) -> Gradients:
    return check(*make(), method)


def _check_example(check: Callable[..., Gradients], make: Callable[[], Example], method: str) -> Gradients:
    model, x, given = make()
    return check(model, x, method, **given)
