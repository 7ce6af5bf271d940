"""What the commands write: arrays and tables to files, pictures, and text that any terminal can show."""
from __future__ import annotations

import argparse
import codecs
import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ASCII = {"±": "+-", "–": "-", "−": "-", "×": "x", "σ": "sigma", "μ": "mu"}


def speak_any_code_page() -> None:
    """Characters that the terminal's or the file's encoding lacks become others, rather than errors after the work."""
    codecs.register_error("numpyvae", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="numpyvae")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(c, "?") for c in error.object[error.start:error.end]), error.end


def write_result(options: argparse.Namespace, default: str, array: np.ndarray, names: Sequence[str] | None,
                 draw: Callable[..., Any]) -> int:
    """Write an array to --out as its suffix says: .npy, .csv, or a picture that `draw(ax)` draws.

    array : (N, ...); as .csv each of the N is a line
    names : of the columns of the .csv, or None for x0, x1, ...

    Raises ValueError where the file cannot be written.
    """
    path = options.out or default
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".npy":
            np.save(path, array)
        elif suffix == ".csv":
            _write_csv(path, array.reshape(len(array), -1), names)
        else:
            _write_picture(path, draw)
    except (OSError, ValueError) as error:
        raise ValueError(f"--out is {path!r}, which cannot be written ({error}); expected a .npy or .csv file or a "
                         "picture, such as samples.png, in a folder that you can write to") from error
    kind = "file" if suffix in (".npy", ".csv") else "picture"
    print(json.dumps({kind: path, "images": len(array)}) if options.json else path)
    return 0


def _write_csv(path: str, rows: np.ndarray, names: Sequence[str] | None) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names or [f"x{i}" for i in range(rows.shape[1])])
        writer.writerows(rows.tolist())


def _write_picture(path: str, draw: Callable[..., Any]) -> None:
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 8), layout="constrained")
    draw(ax=figure.subplots())
    figure.savefig(path, dpi=150, bbox_inches="tight")
