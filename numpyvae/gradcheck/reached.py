"""Which lines of somebody's code a trial has run: of the others nothing is known."""
from __future__ import annotations

import contextlib
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from .making import call

QUIET = ("raise", "assert", "pass", "else", "try", "continue", "print", "warnings.")    # nothing is computed there


class Reached:
    """The lines that have been run, of each function in the files of the given ones."""

    def __init__(self, *functions: Callable[..., Any]):
        codes = [getattr(inspect.unwrap(one), "__code__", None) for one in functions]
        ours = call.__code__.co_filename
        self.files = {code.co_filename for code in codes if code is not None} - {ours}
        self.lines: dict[CodeType, set[int]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        def watch(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_code.co_filename not in self.files:
                return None
            lines = self.lines.setdefault(frame.f_code, set())
            lines.add(frame.f_lineno)
            return watch
        before = sys.gettrace()
        sys.settrace(watch)
        try:
            yield
        finally:
            sys.settrace(before)

    def add(self, other: Reached) -> bool:
        """Has the other one reached lines that this one has missed?"""
        before = len(self.missed)
        for code, lines in other.lines.items():
            self.lines.setdefault(code, set()).update(lines)
        return len(self.missed) < before

    @property
    def missed(self) -> list[str]:
        """The lines of the functions that ran which never did."""
        found = []
        for code, lines in self.lines.items():
            for line in sorted({line for _, _, line in code.co_lines() if line} - lines - {code.co_firstlineno}):
                text = linecache.getline(code.co_filename, line).strip()
                if text and not text.startswith(QUIET):
                    found.append(f"line {line} of {code.co_name}, {text if len(text) <= 60 else text[:57] + '...'}")
        return list(dict.fromkeys(found))

    @property
    def has_logarithm(self) -> bool:
        """Then a forward pass often keeps its argument away from zero, which backward need not know."""
        return any(name.startswith("log") for code in self.lines for name in code.co_names)
