"""What the lessons' notebooks need: data, checked claims, exercises with feedback, and source code of the package.

    lesson = Lesson(5, DATA)
    claim, check = lesson.claim, lesson.check
"""
from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import one_of
from ..datasets import load_strokes, mnist
from .check import Check
from .claim import claim, holds

__all__ = ["Lesson"]

DATA = ("strokes", "mnist")
PRE = ("font-family: var(--jp-code-font-family, monospace), monospace; white-space: pre; overflow-x: auto; "
       "font-size: 90%")


class Source:
    """Source code, which a notebook shows in a font of fixed width, also on a page that it is exported to."""

    def __init__(self, module: str, code: str):
        self.module, self.code = module, code

    def __str__(self) -> str:
        return f"{self.module}\n\n{self.code}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer
        colored = highlight(self.code, PythonLexer(), HtmlFormatter(noclasses=True, nowrap=True))
        return {"text/html": f'<p><code>{self.module}</code></p>\n<pre style="{PRE}">{colored}</pre>',
                "text/plain": str(self)}


class Lesson:
    """One lesson's tools.

    number : that of a lesson_NN.py; the refresher and the glossary are companions of lesson 0
    data   : "strokes", bundled, or "mnist", found or downloaded as `numpyvae train --data mnist` does
    check  : check.<exercise>(answer) judges an answer; check.tally() counts what is done, also in earlier sessions;
             check.reset() forgets it
    """

    def __init__(self, number: int, data: str = "strokes"):
        self.number = number
        self.data = one_of("DATA", data, DATA)
        self.check = Check(number)

    def images(self, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
        """All images of "train" or "test" as uint8 (N, 28, 28), and their labels (N,)."""
        if self.data == "mnist":
            return mnist(split)
        images, factors = load_strokes(split)
        return images, factors["label"]

    def size(self, usual: int, in_browser: int) -> int:
        """How many: the second where the lesson runs in a browser, whose NumPy multiplies matrices without BLAS."""
        return in_browser if sys.platform == "emscripten" else usual

    def claim(self, name: str, value: float, expected: float, tol: float, on: str | None = None) -> None:
        """Check a number in the text against the computed one; stops the notebook if they disagree.

        on : "strokes" for a number that holds on this data set only; on any other it is printed, not judged
        """
        claim(name, float(value), expected, tol, judged=on is None or on == self.data)

    def holds(self, sentence: str, condition: Any, on: str | None = None) -> None:
        """Check that a sentence of the text is true; stops the notebook if it is not.

        on : as for `claim`
        """
        holds(sentence, condition, judged=on is None or on == self.data)

    def show(self, code: Any, *equations: str) -> Any:
        """Source code from the package, of a function, class or module that cites these equations of this lesson.

        Raises ValueError if the code does not cite one of them, so that text and code cannot drift apart.
        """
        target = getattr(code, "reference", code)    # a twin's NumPy body
        module = target if inspect.ismodule(target) else inspect.getmodule(target)
        name = module.__name__ if module else target.__module__
        for equation in equations:
            if f"lesson {self.number}, eq. {equation}" not in inspect.getsource(module or target):
                raise ValueError(f"{name} does not cite lesson {self.number}, eq. {equation}; write the citation into "
                                 "the docstring")
        return Source(name, inspect.getsource(target))

    def slider(self, draw: Callable[..., Any], **ranges: Any) -> None:
        """Sliders with which the reader changes the arguments of draw; without ipywidgets, nothing."""
        try:
            import ipywidgets
        except ImportError:
            return
        from IPython.display import display
        display(ipywidgets.interactive(draw, **ranges))
