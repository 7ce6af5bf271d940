"""What a sweep found: a row for each setting, with mean and sample deviation over the seeds; a table and a figure."""
from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .plots import BLUE, MUTED
from .summary import nats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {"test_loss": "test loss", "test_nll": "reconstruction", "test_kl": "KL"}


class Row(NamedTuple):
    """A setting: what the table calls its values, how many runs it has, and each measure of those that are done."""

    setting: Mapping[str, str]
    runs: int
    values: Mapping[str, Sequence[float]]

    @property
    def done(self) -> int:
        return len(self.values["test_loss"])

    def mean(self, measure: str) -> float:
        """Over the seeds; NaN where no run is done."""
        return statistics.fmean(self.values[measure]) if self.done else math.nan

    def deviation(self, measure: str) -> float | None:
        """Over the seeds, with n - 1 in the denominator; None for fewer than two."""
        return statistics.stdev(self.values[measure]) if self.done > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Flat, for CSV and JSON: test_loss is the mean, test_loss_sd the deviation."""
        found: dict[str, Any] = {**self.setting, "runs": self.done}
        for measure in MEASURES:
            found |= {measure: self.mean(measure) if self.done else None, f"{measure}_sd": self.deviation(measure)}
        return found


def as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0].as_dict()))
    writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)
    return text.getvalue()


def as_markdown(rows: Sequence[Row]) -> str:
    """A table, in nats, with the lowest mean test loss in bold."""
    best = lowest(rows)
    lines = [[*rows[0].setting, "runs", *MEASURES.values()]]
    for row in rows:
        numbers = [_with_deviation(row, measure) for measure in MEASURES]
        if row is best:
            numbers[0] = f"**{numbers[0]}**"
        lines.append([*row.setting.values(), str(row.done) if row.done == row.runs else f"{row.done} of {row.runs}",
                      *numbers])
    n = len(rows[0].setting)
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    padded = [[cell.ljust(width) if i < n else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
              for line in cells]
    rule = ["-" * width if i < n else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [padded[0], rule, *padded[1:]])


def _with_deviation(row: Row, measure: str) -> str:
    mean, deviation = row.mean(measure), row.deviation(measure)
    return "–" if math.isnan(mean) else nats(mean) + (f" ± {nats(deviation)}" if deviation is not None else "")


def lowest(rows: Sequence[Row]) -> Row | None:
    """The setting with the lowest mean test loss; None where there are not two to compare."""
    done = [row for row in rows if row.done]
    return min(done, key=lambda row: row.mean("test_loss")) if len(done) > 1 else None


def draw(rows: Sequence[Row], ax: Axes) -> Axes:
    """The test loss of every run, a line for each setting; the bar is the mean and its sample deviation."""
    names = [", ".join(f"{name} {value}" for name, value in row.setting.items()) or "all seeds" for row in rows]
    for y, row in enumerate(rows):
        losses = row.values["test_loss"]
        ax.plot(losses, [y] * len(losses), "o", color=MUTED, markersize=4, alpha=0.7)
        if row.done:
            ax.errorbar(row.mean("test_loss"), y, xerr=row.deviation("test_loss"), fmt="|", color=BLUE, markersize=12,
                        capsize=4)
    ax.set(xlabel="test loss, nats", ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), names)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
