"""Exercises with feedback: done, not yet (and why), or not attempted.  They never raise, and never show the solution.

A lesson's exercises are the functions that `@exercise` marks in lesson_NN.py.  Each gets the learner's answer, a
value or a function, and a random generator.  If the answer is right it returns; if not, it, or `expect` on its behalf,
raises NotYet with a reason.
"""
from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..gradcheck.time_limit import TimeUp, time_limit
from .attempt import SECONDS, Attempt, NotAttempted, NotYet, Unexplained, line_of
from .claim import say
from .expect import expect, expect_names, expect_parts
from .tally import Tally

__all__ = ["Check", "NotYet", "exercise", "expect", "expect_names", "expect_parts", "verdict"]

DONE, NOT_YET, NOT_ATTEMPTED = "done", "not yet", "not attempted"
SIGNS = {DONE: "✓", NOT_YET: "✗", NOT_ATTEMPTED: "○"}
DRAWS = 3    # a function is judged on so many random inputs: on one a wrong answer may be right by chance
Judge = Callable[[Any, np.random.Generator], None]


def exercise(*names: str) -> Callable[[Judge], Judge]:
    """Mark a function of a lesson_NN.py as the judge of the exercise with its name.

    names : of the arguments of the function that the learner writes; none where the answer is a value
    """
    def mark(judge: Judge) -> Judge:
        judge.is_exercise, judge.names = True, names    # type: ignore[attr-defined]
        return judge
    return mark


class Check:
    """check.<exercise>(answer) prints a verdict; check.tally() counts what is done, check.reset() forgets it."""

    def __init__(self, number: int):
        module = importlib.import_module(f"numpyvae.course.lesson_{number:02d}")
        self._judges = {name: f for name, f in vars(module).items() if hasattr(f, "is_exercise")}
        self._tally = Tally(number)

    def __dir__(self) -> list[str]:
        return [*self._judges, "tally", "reset"]

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name.startswith("_") or name not in self._judges:
            raise AttributeError(f"there is no exercise {name!r}; the exercises are {', '.join(self._judges)}")

        def check(answer: Any) -> None:
            state, reason = verdict(self._judges[name], answer)
            if state == DONE:
                self._tally.add(name)
            say(f"{SIGNS[state]} {name}: {state}{reason and ': ' + reason}")
        return check

    def tally(self) -> None:
        """How many of the exercises are done, now or in an earlier session, and which are not."""
        here, before = self._tally.done, self._tally.remembered()
        done = [name for name in self._judges if name in here | before]
        earlier = len(set(done) - here)
        rest = [name for name in self._judges if name not in done]
        say(f"{len(done)} of {len(self._judges)} exercises done"
            + (f", {earlier} of them in an earlier session" if earlier else "")
            + (f"; still open: {', '.join(rest)}" if rest else ""))

    def reset(self) -> None:
        """Forget which exercises of this lesson are done."""
        self._tally.reset()
        self.tally()


def new_rng() -> np.random.Generator:
    """Other inputs in every check: an answer that fits one input alone does not last."""
    return np.random.default_rng()


def verdict(judge: Judge, answer: Any) -> tuple[str, str]:
    """The verdict on an answer, and its reason."""
    if answer is None or answer is ...:
        return NOT_ATTEMPTED, ""
    try:
        with time_limit(SECONDS), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _judge(judge, answer, new_rng())
    except NotAttempted:
        return NOT_ATTEMPTED, ""
    except NotYet as reason:
        return NOT_YET, str(reason)
    except TimeUp as error:
        return NOT_YET, f"it is not done after {SECONDS:g} seconds{line_of(error)}: does a loop never end?"
    except KeyboardInterrupt as error:
        return NOT_YET, f"it was interrupted{line_of(error)}"
    except BaseException as error:    # an object of the learner's that misbehaves when it is looked at
        return NOT_YET, f"the result cannot be read: looking at it raises {type(error).__name__}"
    return DONE, ""


def _judge(judge: Judge, answer: Any, rng: np.random.Generator) -> None:
    names = judge.names    # type: ignore[attr-defined]
    if not names:
        judge(answer, rng)
        return
    if not callable(answer):
        raise NotYet(f"expected the function itself, not called; this is {type(answer).__name__}")
    attempt = Attempt(answer, names)
    try:
        for _ in range(DRAWS):
            judge(attempt, rng)
    except Unexplained as reason:
        unused = attempt.unused(rng)
        raise NotYet(f"{reason}; it does not depend on {' and '.join(unused)}" if unused else str(reason)) from None
