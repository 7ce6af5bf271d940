"""Figures of rows that are no pictures: a table's as bars, a series as curves."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import counted
from .plots import BLUE, INK, MUTED, ORANGE, short

Array = np.ndarray

MOST_BARS = 24    # columns with a name below each; more numbers in a row are drawn as a curve
N_ROWS = 3


def are_curves(rows: Array) -> bool:
    return rows.shape[1] > MOST_BARS


def names_of(rows: Array, columns: Sequence[str] | None) -> list[str]:
    """What stands below the bars."""
    return [_plain(name) for name in columns or range(rows.shape[1])]


def reconstructions(rows: Array, rebuilt: Array, ax: Any, columns: Sequence[str] | None = None) -> Any:
    """Some rows and what the decoder makes of their codes: rows, rebuilt (N, D)."""
    n = min(N_ROWS, len(rows))
    if are_curves(rows):
        gap = _gap(rows[:n])
        _curves(ax, rows[:n], gap, label="original", color=INK, linewidth=1.5)
        _curves(ax, rebuilt[:n], gap, label="rebuilt", color=ORANGE)
    else:
        places = np.arange(n * rows.shape[1]) + np.repeat(np.arange(n), rows.shape[1])    # a gap after each row
        ax.bar(places - 0.2, rows[:n].ravel(), 0.4, color=INK, label="original")
        ax.bar(places + 0.2, rebuilt[:n].ravel(), 0.4, color=ORANGE, label="rebuilt")
        names = names_of(rows, columns)
        ax.set_xticks(places, names * n, rotation=90, fontsize="xx-small")
        ax.set(ylabel=f"value, {counted(n, 'row')} side by side")
    return _framed(ax)


def some(rows: Array, ax: Any, columns: Sequence[str] | None = None) -> Any:
    """The first rows, of a series as curves, of a table as bars side by side: rows (N, D)."""
    n = min(2 * N_ROWS, len(rows))
    if are_curves(rows):
        _curves(ax, rows[:n], _gap(rows[:n]), color=BLUE)
    else:
        places = np.arange(rows.shape[1])
        for i in range(n):
            ax.bar(places + 0.8 * (i + 0.5) / n - 0.4, rows[i], 0.8 / n, color=BLUE, alpha=1 - 0.6 * i / n)
        ax.set_xticks(places, names_of(rows, columns), rotation=90, fontsize="x-small")
        ax.set(ylabel=f"value, {counted(n, 'row')} side by side")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def samples(rows: Array, drawn: Array, ax: Any, columns: Sequence[str] | None = None) -> Any:
    """New rows beside those of the data: of a series some curves, of a table each column's middle 90 %."""
    if are_curves(rows):
        n = min(N_ROWS, len(rows))
        gap = _gap(rows[:n])
        _curves(ax, rows[:n], gap, label="data", color=MUTED)
        _curves(ax, drawn[:n], gap, first=n, label="new", color=BLUE)
    else:
        for shift, color, name, part in ((-0.15, MUTED, "data", rows), (0.15, BLUE, "new", drawn)):
            low, middle, high = np.percentile(part, [5, 50, 95], axis=0)
            places = np.arange(part.shape[1]) + shift
            ax.vlines(places, low, high, color=color, linewidth=3, label=name)
            ax.plot(places, middle, "_", color=color, markersize=9)
        ax.set_xticks(range(rows.shape[1]), names_of(rows, columns), rotation=90, fontsize="x-small")
        ax.set(ylabel="median and middle 90 %")
    return _framed(ax)


def _gap(rows: Array) -> float:
    """How far below the last each curve lies."""
    return 1.2 * max(float(np.ptp(rows)), 1e-9)


def _curves(ax: Any, rows: Array, gap: float, first: int = 0, label: str | None = None, **style: Any) -> None:
    """Each row below the last, from the place `first` down."""
    for i, row in enumerate(rows):
        ax.plot(row - (first + i) * gap, label=label if i == 0 else None, **{"linewidth": 1, **style})
    ax.set(xlabel="place in the row", ylabel="value, each row below the last", yticks=[])


def _plain(name: Any) -> str:
    """A name from people's data, which is not mathematics."""
    return short(str(name)).replace("$", r"\$")


def _framed(ax: Any) -> Any:
    ax.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), ncols=2)    # hides no bar
    ax.spines[["top", "right"]].set_visible(False)
    return ax
