"""The checks that no wrong gradient may pass: numpyvae.gradcheck, run for one function at a time, and for a kernel
the comparison with its reference."""
from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from numpyvae.gradcheck import TOLERANCE, Gradients, check_component, components
from numpyvae.gradcheck.pairs import pairs

from .targets import SIZES, Target, backward_arguments

ROUNDING = 1e-13    # results that agree up to rounding differ by no more, relative to the largest entry

COMPLEX_STEP, CENTRAL_DIFFERENCES = TOLERANCE    # the names of the two methods


def failing(target: Target) -> str | None:
    """The first check that the function in the target's place fails, by an exception too; or None."""
    for name, passes in checks_of(target):
        try:
            if not passes():
                return name
        except Exception:    # a mutant may raise anything
            return f"{name} with an exception"
    return None


def checks_of(target: Target) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Every gradient check that runs the target, with the name of its method: the others cannot see a mutant of it.

    Those of the twins that the target is part of come first: they see most mutants, and the rest need not run.
    """
    methods = {"kernel": [CENTRAL_DIFFERENCES], "layer": [COMPLEX_STEP, CENTRAL_DIFFERENCES]}    # a layer has two paths
    own = [name.removesuffix("_backward") for name in target.twins]
    runs = [(name, method) for name in all_components() for method in methods.get(target.kind, [COMPLEX_STEP])]
    for name, method in runs:
        if name in own:
            yield method, functools.partial(gradients_are_right, name, method)
    if own and target.kind == "kernel":
        yield "kernel against reference", functools.partial(kernels_equal_references, own)
    for name, method in runs:
        if name not in own and target.function.__code__ in run_unmutated().functions[name, method]:
            yield method, functools.partial(gradients_are_right, name, method)


def kernels_equal_references(components: list[str]) -> bool:
    """A helper of both the forward and the backward kernel may be wrong in both alike; the NumPy bodies know better."""
    for forward, backward in pairs():
        if backward.name.removesuffix("_backward") not in components:
            continue
        for seed, sizes in enumerate(SIZES):
            arguments = backward_arguments(forward, backward, sizes, np.float64, np.random.default_rng(seed))
            results = [half(*[np.copy(value) if isinstance(value, np.ndarray) else value for value in arguments])
                       for half in (backward.kernel, backward.reference)]
            found, right = (result if isinstance(result, tuple) else (result,) for result in results)
            if not all(np.allclose(*both, rtol=0, atol=ROUNDING / 2 * np.abs(both[1]).max())
                       for both in zip(found, right, strict=True)):
                return False
    return True


class Unmutated(NamedTuple):
    """The gradient checks of the package as it is: those that fail, and which functions each of them runs."""

    failed: list[str]
    functions: dict[tuple[str, str], set[types.CodeType]]


@functools.cache
def run_unmutated() -> Unmutated:
    """Run every gradient check.  While one fails, no verdict counts.  Call it inside `targets.plain_python`."""
    failed, functions = [], {}
    for method in TOLERANCE:
        for name in all_components():
            seen = functions[name, method] = set()
            before = sys.gettrace()
            sys.settrace(lambda frame, event, argument, seen=seen: seen.add(frame.f_code))
            try:
                if not gradients_are_right(name, method):
                    failed.append(f"{name}, {method}")
            finally:
                sys.settrace(before)
    return Unmutated(failed, functions)


@functools.cache
def all_components() -> dict[str, Callable[[str], Gradients]]:
    return components()


def gradients_are_right(name: str, method: str) -> bool:
    return check_component(name, all_components()[name], method).ok
