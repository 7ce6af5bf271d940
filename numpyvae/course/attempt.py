"""The learner's function, called so that nothing that it does can harm the check, and so that its errors speak.

It gets copies of its arguments and its results are copied, so it may work in place and keep what it likes.  What it
raises becomes a sentence with the number of its own line; what never ends is stopped after SECONDS.
"""
from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import numpy as np

from ..files.regular import one_line
from ..gradcheck.time_limit import TimeUp

FEW = 100    # a longer list holds numbers, which nobody overwrites
SECONDS = 10.0     # for the whole check of an exercise; a right answer takes some milliseconds
LARGEST = 120_000    # entries of a result: no exercise asks for more, and to copy them might take all memory


class NotYet(Exception):
    """The answer is wrong; the message says what seems to be wrong with it."""


class Unexplained(NotYet):
    """The answer is wrong, and no known mistake fits."""


class NotAttempted(Exception):
    """The stub is still there."""


class Attempt:
    """A function, and the names of the arguments with which the exercise calls it."""

    def __init__(self, function: Callable[..., Any], names: tuple[str, ...]):
        self.function, self.names = function, names
        self.last: tuple[Any, ...] = ()    # the arguments of the last call

    def __call__(self, *args: Any) -> Any:
        self.last = copy.deepcopy(args)
        given = copy.deepcopy(args)
        try:
            result = own(self._call(given))
        except (KeyboardInterrupt, TimeUp):
            raise
        except NotImplementedError as stub:
            raise NotAttempted from stub
        except BaseException as error:    # SystemExit too: whatever an answer does, the notebook goes on
            raise NotYet(self._said(error)) from error
        if result is ... or (result is None and is_empty(self.function)):
            raise NotAttempted
        if result is None:
            raise NotYet("it returned None: is `return` missing?")
        return result

    def unused(self, rng: np.random.Generator) -> list[str]:
        """The names of arguments whose change leaves the last call's result as it is."""
        args, found = self.last, []
        with contextlib.suppress(Exception):    # the answer may take no other arguments, and give what has no equal
            before = self(*args)
            for i, name in enumerate(self.names):
                changed = moved(args[i], rng)
                if changed is not None and is_equal(self(*args[:i], changed, *args[i + 1:]), before):
                    found.append(name)
        return found

    def _call(self, args: tuple[Any, ...]) -> Any:
        """By position; an argument that the function takes by its name alone, by that name."""
        try:
            parameters = dict(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):    # a built-in
            parameters = {}
        by_name = {name for name, parameter in parameters.items()
                   if parameter.kind is parameter.KEYWORD_ONLY and name in self.names}
        given = dict(zip(self.names, args))
        return self.function(*(value for name, value in given.items() if name not in by_name),
                             **{name: given[name] for name in by_name})

    def _said(self, error: BaseException) -> str:
        line = line_of(error)
        calls = f"; the check calls it with ({', '.join(self.names)})" if not line and type(error) is TypeError else ""
        with contextlib.suppress(Exception):    # an exception of the learner's own may not even have a text
            if text := one_line(error):
                return f"it raises {type(error).__name__}{line}: {text}{calls}"
        return f"it raises {type(error).__name__}{line}{calls}"


def _empty() -> None: ...


def is_empty(function: Callable[..., Any]) -> bool:
    """Whether a function that returned None has no code at all, as a stub."""
    code = getattr(function, "__code__", None)
    return len(getattr(code, "co_code", b"")) == len(_empty.__code__.co_code)


def own(value: Any) -> Any:
    """A copy, as the next call may write into the same arrays; an iterator as a list."""
    if isinstance(value, np.ndarray) and value.size <= LARGEST:
        return value.copy()
    if isinstance(value, Mapping):
        return {key: own(value[key]) for key in value}
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, LARGEST))
    if isinstance(value, (tuple, list)) and len(value) <= FEW:
        return [own(one) for one in value]
    return value


def moved(value: Any, rng: np.random.Generator) -> Any:
    """Another argument of the same kind; None if there is no telling which."""
    if isinstance(value, dict):
        return {name: moved(one, rng) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return value + (1 if value.dtype.kind in "iu" else 0.1 * rng.random(value.shape))
    if isinstance(value, float):
        return 1.1 * value
    return (lambda z: value(z) + 1.0) if inspect.isfunction(value) else None


def is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(is_equal(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_equal, one, other))
    return np.size(one) <= LARGEST and bool(np.array_equal(one, other))


def line_of(error: BaseException) -> str:
    """" in line 3, `return mu[9]`": the learner's own last line on the way to an error; "" if there is none."""
    lines = [(frame.f_code.co_filename, number) for frame, number in traceback.walk_tb(error.__traceback__)
             if _is_learners(frame)]
    if not lines:
        return ""
    text = linecache.getline(*lines[-1]).strip()
    return f" in line {lines[-1][1]}" + (f", `{text}`" if text else "")


def _is_learners(frame: FrameType) -> bool:
    """Whether a frame runs neither this package nor Python's library nor an installed one."""
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package not in {"numpyvae", "numpy", *sys.stdlib_module_names} - {"__main__"} and not any(
        f"{folder}-packages" in frame.f_code.co_filename for folder in ("site", "dist"))
