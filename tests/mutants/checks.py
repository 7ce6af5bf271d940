"""The checks that no wrong gradient may pass: numpyvae.gradcheck, run for one function at a time, and for a kernel
the comparison with its reference."""
from __future__ import annotations

import functools
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numpyvae.gradcheck import TOLERANCE, Gradients, check_component, components
from numpyvae.gradcheck.pairs import pairs

from .targets import SIZES, Target, backward_arguments

ROUNDING = 1e-13    # results that agree up to rounding differ by no more, relative to the largest entry

Place = tuple[str, int, str]    # of a function: its file, line and name

COMPLEX_STEP, CENTRAL_DIFFERENCES = TOLERANCE    # the names of the two methods


class Check(NamedTuple):
    method: str
    passes: Callable[[], bool]


def failing(candidates: list[Check]) -> str | None:
    """The method of the first check that fails, by an exception too; or None.

    That check moves to the front: what has seen one mutant of a function is the likeliest to see the next.
    """
    for i, check in enumerate(candidates):
        by = check.method
        try:
            if check.passes():
                continue
        except Exception:    # a mutant may raise anything
            by += " with an exception"
        candidates.insert(0, candidates.pop(i))
        return by
    return None


def checks_of(target: Target) -> Iterator[Check]:
    """Every gradient check that runs the target: the others cannot see a mutant of it.

    Those of the twins that the target is part of come first: they see most mutants, and the rest need not run.
    """
    methods = {"kernel": [CENTRAL_DIFFERENCES], "layer": [COMPLEX_STEP, CENTRAL_DIFFERENCES]}    # a layer has two paths
    own = [name.removesuffix("_backward") for name in target.twins]
    runs = [(name, method) for name in all_components() for method in methods.get(target.kind, [COMPLEX_STEP])]
    for name, method in runs:
        if name in own:
            yield Check(method, functools.partial(gradients_are_right, name, method))
    if own and target.kind == "kernel":
        yield Check("kernel against reference", functools.partial(kernels_equal_references, own))
    for name, method in runs:
        if name not in own and place_of(target.function.__code__) in run_unmutated().places[name, method]:
            yield Check(method, functools.partial(gradients_are_right, name, method))


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
    """The gradient checks of the package as it is: those that fail, and the places of the functions that each runs."""

    failed: list[str]
    places: dict[tuple[str, str], set[Place]]


_unmutated: Unmutated | None = None


def run_unmutated(starmap: Callable[..., Iterable[Any]] = itertools.starmap) -> Unmutated:
    """Run every gradient check, at the first call.  While one fails, no verdict counts.

    Call it inside `targets.plain_python`.  starmap : that of a pool of forked processes shares out the work
    """
    global _unmutated
    if _unmutated is None:
        checks = [(name, method) for method in TOLERANCE for name in all_components()]
        passed, places = zip(*starmap(run_traced, checks))
        _unmutated = Unmutated([", ".join(check) for check, passes in zip(checks, passed) if not passes],
                               dict(zip(checks, places)))
    return _unmutated


def run_traced(name: str, method: str) -> tuple[bool, set[Place]]:
    """Whether a gradient check passes, and the places of all functions that it runs."""
    seen: set[types.CodeType] = set()
    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: seen.add(frame.f_code))
    try:
        passes = gradients_are_right(name, method)
    finally:
        sys.settrace(before)
    return passes, {place_of(code) for code in seen}


def place_of(code: types.CodeType) -> Place:
    """Where a function stands: this, unlike its code, comes through from another process."""
    return code.co_filename, code.co_firstlineno, code.co_name


@functools.cache
def all_components() -> dict[str, Callable[[str], Gradients]]:
    return components()


def gradients_are_right(name: str, method: str) -> bool:
    return check_component(name, all_components()[name], method).ok
