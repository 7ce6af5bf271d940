"""Run a mutant: it crashes, has a wrong shape, is equivalent, or is silently wrong, which a check must see."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .checks import ROUNDING
from .equivalents import reason_of
from .operators import Source
from .targets import Outcome, Target

VERDICTS = ("crash", "wrong shape", "equivalent", "killed", "unlisted", "survived")
FAILURES = ("unlisted", "survived")


class Result(NamedTuple):
    """One mutant and what became of it.

    target, path : the name of what was mutated, and its kind
    verdict      : one of VERDICTS; "unlisted" is identical to the right code, and nobody has said why
    by           : the check that killed it, or the reason why it is equivalent
    """

    target: str
    path: str
    mutant: str
    kind: str
    verdict: str
    by: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.path} {self.target}: {self.mutant}"


def examine(target: Target) -> Iterator[Result]:
    """Run every mutant of a target.  Call it inside `targets.plain_python`."""
    if not target.outcomes:
        raise LookupError(f"nothing runs {target.name}; numpyvae.gradcheck needs an example of it")
    candidates = list(checks.checks_of(target))    # now: with a mutant in place it would be too late
    source = Source(target.function, target.after_comment, arrays=target.kind != "kernel")
    right = [run() for run in target.outcomes]
    with target.swap(source.compile()):
        if any(compare(attempt(run), outcome) != "same" for run, outcome in zip(target.outcomes, right)):
            raise RuntimeError(f"{target.name} compiled anew computes something else")
    for mutant in source.mutants():
        try:
            function = source.compile(mutant)
        except SyntaxError:
            continue
        with target.swap(function), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            verdict, by = judge(target, str(mutant), right, candidates)
        yield Result(target.name, target.kind, str(mutant), mutant.kind, verdict, by)


def judge(target: Target, mutant: str, right: list[Outcome], candidates: list[checks.Check]) -> tuple[str, str]:
    """The verdict on the mutant that is in its target's place, and who gave it."""
    seen: set[str] = set()
    for run, outcome in zip(target.outcomes, right):
        seen.add(compare(attempt(run), outcome))
        if "wrong" in seen:    # whatever else is seen: a check must see it too
            break
    reason = reason_of(target.name, mutant)
    if "wrong" in seen or (seen <= {"same", "rounding"} and not reason):
        by = checks.failing(candidates)
        if by is not None:
            return "killed", by
        if "wrong" in seen or not reason:
            return ("unlisted" if seen == {"same"} else "survived"), ""
    if "wrong shape" in seen:
        return "wrong shape", ""
    if "crash" in seen:
        return "crash", ""
    return "equivalent", str(reason)


def attempt(run: Callable[[], Outcome]) -> Any:
    """What the run returns, or the exception that it raises."""
    try:
        return run()
    except Exception as error:    # a mutant may raise anything
        return error


def compare(outcome: Any, right: Any) -> str:
    """"crash", "wrong shape", "wrong", "rounding" (apart in the last digits alone) or "same"."""
    if isinstance(outcome, Exception):
        return "crash"
    if isinstance(right, (tuple, list)):
        if not isinstance(outcome, (tuple, list)) or len(outcome) != len(right):
            return "wrong shape"
        seen = {compare(one, other) for one, other in zip(outcome, right)}
        return next((verdict for verdict in ("wrong", "wrong shape", "rounding") if verdict in seen), "same")
    if right is None or outcome is None:
        return "same" if outcome is right else "wrong shape"
    outcome, right = np.asarray(outcome), np.asarray(right)
    if outcome.shape != right.shape:
        return "wrong shape"
    if outcome.dtype != right.dtype:
        return "wrong"
    if np.array_equal(outcome, right, equal_nan=True):
        return "same"
    digits = np.finfo(right.dtype).eps / np.finfo(float).eps if right.dtype.kind in "fc" else 0
    return "rounding" if np.allclose(outcome, right, rtol=0, atol=ROUNDING * digits * np.abs(right).max()) else "wrong"
