"""The checks that no wrong gradient may pass: numpyvae.gradcheck, asked about one function at a time, and for a kernel
the comparison with its reference."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from numpyvae.gradcheck import TOLERANCE, Gradients, check_component, components, pairs

from .targets import SIZES, Target, backward_arguments

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
    names = sorted(all_components(), key=is_far)
    for i, name in enumerate(names):
        if i == len(own) and target.kind == "kernel":
            yield "kernel against reference", functools.partial(kernels_equal_references, own)
        yield method, functools.partial(gradients_are_right, name, method)


def kernels_equal_references(components: list[str]) -> bool:
    """A helper of both the forward and the backward kernel may be wrong in both alike; the NumPy bodies know better."""
    for forward, backward in pairs():
        if backward.name.removesuffix("_backward") not in components:
            continue
        for sizes in SIZES:
            arguments = backward_arguments(forward, backward, sizes, np.float64, np.random.default_rng(0))
            results = [half(*[np.copy(value) if isinstance(value, np.ndarray) else value for value in arguments])
                       for half in (backward.kernel, backward.reference)]
            found, right = (result if isinstance(result, tuple) else (result,) for result in results)
            if not all(np.allclose(*both, rtol=0, atol=1e-12) for both in zip(found, right, strict=True)):
                return False
    return True


def unmutated() -> list[str]:
    """The checks that fail where nothing is mutated: while there is one, no verdict counts."""
    return [f"{name}, {method}" for method in TOLERANCE for name in all_components()
            if not gradients_are_right(name, method)]


@functools.cache
def all_components() -> dict[str, Callable[[str], Gradients]]:
    return components()


def gradients_are_right(name: str, method: str) -> bool:
    return check_component(name, all_components()[name], method).ok
