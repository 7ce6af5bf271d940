"""Numbers in the text, each checked where it appears."""
from __future__ import annotations

import re

LINE = re.compile(r"claim (?P<name>\w+): (?P<value>\S+), the text says (?P<expected>\S+) ± (?P<tol>\S+)")


class ClaimFailed(Exception):
    """Stops a notebook, which shows one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def claim(name: str, value: float, expected: float, tol: float, judged: bool = True) -> None:
    """Print that |value - expected| <= tol, or raise ClaimFailed.  With judged=False it only prints."""
    if not judged:
        print(f"{name}: {value:.6g} on this data; the text says {expected:g}, for `strokes`")
        return
    line = f"claim {name}: {value:.6g}, the text says {expected:g} ± {tol:g}"
    if not abs(value - expected) <= tol:
        raise ClaimFailed(f"{line}: this does not hold. If you changed a cell above, that is why: "
                          "Kernel > Restart and Run All. If you changed nothing, the text is wrong: please report it.")
    print(f"{line} ✓")
