"""The result of a gradient check: a row for each component and path, an error for each entry."""
from __future__ import annotations

import dataclasses
import html
from typing import Any

import numpy as np

from ..arguments import counted
from .numeric import TOLERANCE, Array


@dataclasses.dataclass(frozen=True)
class Row:
    """The result for one component on one path."""

    component: str
    path: str         # "reference", the NumPy bodies, or "kernel", the compiled ones
    method: str
    errors: dict[str, Array]    # of each array, entry by entry, relative to the array's largest gradient
    tolerance: float | None = None    # the method's, if None

    @property
    def entries(self) -> int:
        return sum(error.size for error in self.errors.values())

    @property
    def worst(self) -> tuple[str, float]:
        """The name and index of the worst entry, and its error.  A NaN is worse than any number."""
        worst_of = {name: np.unravel_index(np.argmax(error), error.shape) for name, error in self.errors.items()}
        name = max(worst_of, key=lambda name: self.errors[name][worst_of[name]])
        return f"{name}[{', '.join(map(str, worst_of[name]))}]", float(self.errors[name][worst_of[name]])

    @property
    def ok(self) -> bool:
        return self.worst[1] <= (self.tolerance or TOLERANCE[self.method])


@dataclasses.dataclass(frozen=True)
class Report:
    """The rows of a gradient check; prints as a table."""

    rows: list[Row]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if not row.ok]

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def verdict(self) -> str:
        return "all right" if self.ok else f"{len(self.failed)} WRONG"

    def as_dict(self) -> dict[str, Any]:
        """What --json prints."""
        return {"failed": len(self.failed), "entries": sum(row.entries for row in self.rows), "rows": [
            {"component": row.component, "path": row.path, "method": row.method, "entries": row.entries,
             "worst_error": row.worst[1], "worst_entry": row.worst[0], "ok": row.ok} for row in self.rows]}

    def cells(self) -> list[list[str]]:
        """The table, header row first."""
        head = ["component", "path", "method", "entries", "worst error", "at", "verdict"]
        return [head] + [[row.component, row.path, row.method, str(row.entries), f"{row.worst[1]:.1e}", row.worst[0],
                          "ok" if row.ok else "WRONG"] for row in self.rows]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
        total = sum(row.entries for row in self.rows)
        return "\n".join([*lines, f"{counted(len(self.rows), 'check')}, {counted(total, 'entry', 'entries')}, "
                                  f"{self.verdict}"])

    def _repr_html_(self) -> str:
        """In a notebook: the table, and the error of every entry as a heat map."""
        from ..report.plots import gradient_errors, picture_tag
        head, *lines = [[html.escape(cell) for cell in line] for line in self.cells()]
        rows = "".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>" for line in lines)
        table = f"<table><thead><tr><th>{'</th><th>'.join(head)}</th></tr></thead><tbody>{rows}</tbody></table>"
        return table + picture_tag(lambda ax: gradient_errors(self, ax), (9, 0.6 + 0.18 * len(self.rows)),
                                   "error of every entry, as a heat map")


@dataclasses.dataclass(frozen=True)
class OwnReport(Report):
    """The gradient check of somebody's own layer: what is wrong, what was not checked and what else to know, in words.

    Prints as a table with a verdict: "all right", "WRONG" or "not all checked".
    """

    findings: list[str]     # what is wrong
    unchecked: list[str]    # what was found but could not be checked
    notes: list[str]

    @property
    def ok(self) -> bool:
        return not (self.failed or self.findings or self.unchecked)

    @property
    def verdict(self) -> str:
        return "all right" if self.ok else "WRONG" if self.failed or self.findings else "not all checked"

    def __str__(self) -> str:
        lines = [*self.findings, *(f"not checked: {one}" for one in self.unchecked),
                 *(f"note: {one}" for one in self.notes)]
        return "\n".join([super().__str__(), *(f"- {line}" for line in lines)])

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "verdict": self.verdict, "findings": self.findings, "unchecked": self.unchecked,
                "notes": self.notes}
