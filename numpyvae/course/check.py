"""Exercises with feedback: done, not yet (and why), or not attempted.  They never raise, and never show the solution.

A lesson's exercises are the functions that `@exercise` marks in lesson_NN.py.  Each gets the learner's answer, a
value or a function, and a random generator.  If the answer is right it returns; if not, it, or `expect` on its behalf,
raises NotYet with a reason.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

DONE, NOT_YET, NOT_ATTEMPTED = "done", "not yet", "not attempted"
SIGNS = {DONE: "✓", NOT_YET: "✗", NOT_ATTEMPTED: "○"}


class NotYet(Exception):
    """The answer is wrong; the message says what seems to be wrong with it."""


class NotAttempted(Exception):
    """The stub is still there."""


def exercise(judge: Callable[[Any, np.random.Generator], None]) -> Callable[[Any, np.random.Generator], None]:
    """Mark a function of a lesson_NN.py as the judge of the exercise with its name."""
    judge.is_exercise = True    # type: ignore[attr-defined]
    return judge


class Check:
    """check.<exercise>(answer) prints a verdict; check.tally() counts them."""

    def __init__(self, number: int):
        module = importlib.import_module(f"numpyvae.course.lesson_{number:02d}")
        self._judges = {name: f for name, f in vars(module).items() if hasattr(f, "is_exercise")}
        self._verdicts = dict.fromkeys(self._judges, NOT_ATTEMPTED)

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name.startswith("_") or name not in self._judges:
            raise AttributeError(f"there is no exercise {name!r}; the exercises are {', '.join(self._judges)}")

        def check(answer: Any) -> None:
            self._verdicts[name], reason = verdict(self._judges[name], answer)
            print(f"{SIGNS[self._verdicts[name]]} {name}: {self._verdicts[name]}{reason and ': ' + reason}")
        return check

    def tally(self) -> None:
        """How many of the exercises are done, and which are not."""
        done = sum(verdict == DONE for verdict in self._verdicts.values())
        rest = [name for name, verdict in self._verdicts.items() if verdict != DONE]
        print(f"{done} of {len(self._verdicts)} exercises done" + (f"; still open: {', '.join(rest)}" if rest else ""))


def verdict(judge: Callable[[Any, np.random.Generator], None], answer: Any) -> tuple[str, str]:
    """The verdict on an answer, and its reason."""
    if not _is_attempt(answer):
        return NOT_ATTEMPTED, ""
    try:
        with np.errstate(all="ignore"):
            judge(_Watched(answer) if callable(answer) else answer, np.random.default_rng())
    except NotAttempted:
        return NOT_ATTEMPTED, ""
    except NotYet as reason:
        return NOT_YET, str(reason)
    except Exception as error:
        return NOT_YET, f"it raises {type(error).__name__}: {error}"
    return DONE, ""


class _Watched:
    """The learner's function, called with copies, so that it may modify its arguments without harm."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *args: Any) -> Any:
        try:
            result = self.function(*(arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args))
        except NotImplementedError as stub:
            raise NotAttempted from stub
        if not _is_attempt(result):
            raise NotAttempted
        return result


def _is_attempt(answer: Any) -> bool:
    return answer is not None and answer is not ...


def expect(found: Any, expected: Any, what: str = "the result", mistakes: Mapping[str, Any] | None = None,
           rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Raise NotYet unless found equals expected; if it equals one of the mistakes, {words: array}, with its words."""
    expected = np.asarray(expected)
    try:
        found = np.asarray(found, dtype=expected.dtype)
    except (TypeError, ValueError):
        raise NotYet(f"{what} is {type(found).__name__}; expected numbers of shape {expected.shape}") from None

    def is_same(other: Any) -> bool:
        other = np.asarray(other)
        return found.shape == other.shape and np.allclose(found, other, rtol=rtol, atol=atol)
    if is_same(expected):
        return
    for words, wrong in (mistakes or {}).items():
        if is_same(wrong):
            raise NotYet(words)
    if found.shape != expected.shape:
        raise NotYet(f"{what} has shape {found.shape}; expected {expected.shape}")
    if not np.isfinite(found).all():
        raise NotYet(f"{what} holds NaN or infinity")
    if is_same(-expected):
        raise NotYet(f"{what} has the wrong sign")
    share = found.ravel()[np.argmax(np.abs(expected))] / expected.ravel()[np.argmax(np.abs(expected))]
    if share and is_same(share * expected):
        raise NotYet(f"{what} is {share:.4g} times what it should be: look for a missing factor, or a mean "
                     "where a sum belongs")
    raise NotYet(f"{what} is off by {np.max(np.abs(found - expected)):.3g} at the worst entry")
