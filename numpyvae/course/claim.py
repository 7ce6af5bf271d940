"""Numbers and sentences in the text, each checked where it appears."""
from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np

WIDTH = 100    # characters in a line: JupyterLab breaks longer ones in the middle of a word
NAME = r"[\w.]+"
LINE = re.compile(rf"claim (?P<name>{NAME}): (?P<value>\S+), the text says (?P<expected>\S+) ± (?P<tol>\S+)")
WHAT_TO_DO = ("this does not hold. If you changed a cell above, that is why: Kernel > Restart and Run All. If you "
              "changed nothing, the text is wrong: please report it.")


class ClaimFailed(Exception):
    """Stops a notebook, which shows one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def claim(name: str, value: float, expected: float, tol: float, judged: bool = True) -> None:
    """Print that |value - expected| <= tol, or raise ClaimFailed.  With judged=False it only prints.

    Raises ValueError for a name that claims.json could not list: one that NAME does not match.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(f"the claim's name is {name!r}; expected letters, digits, underscores and full stops alone, "
                         "so that claims.json lists it")
    if not judged:
        print(f"{name}: {value:.6g} on this data; the text says {expected:g}, for `strokes`")
        return
    line = f"claim {name}: {value:.6g}, the text says {expected:g} ± {tol:g}"
    if not abs(value - expected) <= tol:
        raise ClaimFailed(f"{line}: {WHAT_TO_DO}")
    print(f"{line} ✓")


def say(text: str) -> None:
    """Print a text in lines of at most WIDTH characters; "\xa0" is a blank at which no line ends."""
    lines = textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    print(lines.replace("\xa0", " "))


def holds(sentence: str, condition: Any, judged: bool = True) -> None:
    """Print that a sentence of the text is true, or raise ClaimFailed.  With judged=False it only prints.

    Raises TypeError for a condition that is neither true nor false, as an array of several.
    """
    if np.shape(condition) != () or np.asarray(condition).dtype.kind != "b":
        raise TypeError(f"the condition of {sentence!r} is {type(condition).__name__}; expected True or False, such as "
                        "a comparison, or np.all of several")
    if not judged:
        say(f"{sentence}: {'so' if condition else 'not so'} on this data; the text speaks of `strokes`")
        return
    if not condition:
        raise ClaimFailed(f"{sentence}: {WHAT_TO_DO}")
    say(f"{sentence}\xa0✓")
