"""The checks that no wrong gradient may pass: numpyvae.gradcheck, asked about one function at a time."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from numpyvae.gradcheck import TOLERANCE, Gradients, check_component, components

from .targets import Target

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
    """Every gradient check of the path that a target is on, with the name of its method.

    Those that know the target best come first: they see most mutants, and the rest need not run.
    """
    method = CENTRAL_DIFFERENCES if target.kind == "kernel" else COMPLEX_STEP
    owner = target.name.partition(".")[0].lower().replace("convolution", "conv")    # the base of Conv2d and the other
    own = [name.removesuffix("_backward") for name in target.twins]

    def is_far(name: str) -> bool:
        return name not in own if own else owner not in name.lower().replace("-", "")
    for name in sorted(all_components(), key=is_far):
        yield method, functools.partial(gradients_are_right, name, method)


def unmutated() -> list[str]:
    """The checks that fail where nothing is mutated: while there is one, no verdict counts."""
    return [f"{name}, {method}" for method in TOLERANCE for name in all_components()
            if not gradients_are_right(name, method)]


@functools.cache
def all_components() -> dict[str, Callable[[str], Gradients]]:
    return components()


def gradients_are_right(name: str, method: str) -> bool:
    return check_component(name, all_components()[name], method).ok
