"""What the commands write: arrays and tables to files, pictures, and text that any terminal can show."""
from __future__ import annotations

import argparse
import codecs
import csv
import io
import json
import os
import pathlib
import sys
import webbrowser
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np

from ..arguments import did_you_mean
from ..files.regular import written_whole
from .common import say
from .runs import FILES

ENDINGS = (".npy", ".csv", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".svg", ".pdf")
ASCII = {"±": "+-", "–": "-", "−": "-", "×": "x", "σ": "sigma", "μ": "mu"}


def open_closed_streams() -> None:
    """Where the shell closed stdout or stderr, `>&-`, what would be printed there goes nowhere.

    The null device takes their numbers: a file that is opened later would get them, and all that is printed with them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w" if number else "r", encoding="utf-8")
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


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


def is_picture(path: str) -> bool:
    """Whether a result is drawn there, and not written as numbers."""
    return not path.lower().endswith((".npy", ".csv"))


def output_path(out: str | None, default: str, folder: str, read: Iterable[str | None],
                endings: Sequence[str] = ENDINGS) -> str:
    """The file that a command writes: what --out names; in a folder, or where --out is None, one called `default`.

    folder  : of the run, for None
    read    : the files and folders that the run and the command read; other than paths are passed over
    endings : of the kinds of file that the command writes

    Raises ValueError before any work is done where its ending is none of these, its folder is not there, or it would
    replace a file of the run or the data, or be taken for a part of these.
    """
    if out is not None and (not out or "\0" in out):
        raise ValueError(f"--out is {out!r}; expected the name of a file, such as {default}")
    path = os.path.join(folder, default) if out is None else out
    if os.path.isdir(path) or path.endswith(("/", os.sep)):
        path = os.path.join(path, default)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in endings:
        raise ValueError(f"--out is {out!r}, which cannot be written: a {suffix or 'name without an ending'} is none "
                         f"of its kinds; expected {' '.join(endings)}, or a folder{did_you_mean(suffix, endings)}")
    refuse_file_of_run(path, folder)
    inside = os.path.dirname(path)
    if inside and not os.path.isdir(inside):
        raise ValueError(f"--out is {path!r}, but there is no folder {inside!r}; expected one that is there: make it "
                         "first, or name another")
    place = os.path.realpath(path)
    for source in map(os.path.realpath, filter(os.path.exists, filter(None, read))):
        if os.path.commonpath([place, source]) == source:
            raise ValueError(f"--out is {path!r}, which would {'replace' if place == source else 'be taken for one of'}"
                             f" the data in {source!r}; expected another place: name it with --out")
    return path


def refuse_file_of_run(path: str, folder: str) -> None:
    """Raises ValueError where a command would replace a file that belongs to the run in the folder."""
    place = os.path.realpath(path)
    if os.path.dirname(place) == os.path.realpath(folder) and os.path.basename(place) in FILES:
        raise ValueError(f"--out is {path!r}, which would replace a file of the run; expected another name")


def write_result(options: argparse.Namespace, path: str, array: np.ndarray, names: Sequence[str] | None,
                 draw: Callable[..., Any]) -> int:
    """Write an array to a file, whole or not at all: .npy, .csv, or a picture that `draw(ax)` draws.

    array : (N, ...); as .csv each of the N is a line
    names : of the columns of the .csv, or None for x0, x1, ...

    Raises ValueError where the file cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".csv":
        rows = array.reshape(len(array), -1)
        return write_table(options, path, dict(zip(names or [f"x{i}" for i in range(rows.shape[1])], rows.T)))
    write = (lambda file: np.save(file, array)) if suffix == ".npy" else (
        lambda file: _write_picture(file, suffix, draw))
    return _written(options, path, len(array), write)


def write_table(options: argparse.Namespace, path: str, columns: dict[str, np.ndarray]) -> int:
    """Write columns of the same length as .csv, whole or not at all.  Raises ValueError where they cannot be."""
    return _written(options, path, len(next(iter(columns.values()))), lambda file: _write_csv(file, columns))


def write_page(options: argparse.Namespace, path: str, text: str, n: int) -> int:
    """Write a page about n images, whole or not at all.  Raises ValueError where it cannot be."""
    return _written(options, path, n, lambda file: file.write(text.encode(errors="surrogateescape")))


def open_in_browser(path: str) -> None:
    """Show a page in the browser, or say that there is none."""
    try:
        opened = webbrowser.open(pathlib.Path(path).resolve().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        say(f"numpyvae: no browser could be opened from here (--open); open {path} yourself")


def _written(options: argparse.Namespace, path: str, n: int, write: Callable[[BinaryIO], Any]) -> int:
    """Let `write` fill a file about n images, and print where it is."""
    try:
        with written_whole(path) as file:
            write(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"--out is {path!r}, which cannot be written ({getattr(error, 'strerror', None) or error}); "
                         "expected a file in a folder that you can write to") from error
    kind = "page" if path.endswith(".html") else "picture" if is_picture(path) else "file"
    print(json.dumps({kind: path, "images": n}) if options.json else path)
    return 0


def _write_csv(file: BinaryIO, columns: dict[str, np.ndarray]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values())))
    text.detach()


def _write_picture(file: BinaryIO, suffix: str, draw: Callable[..., Any]) -> None:
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 8), layout="constrained")
    draw(ax=figure.subplots())
    figure.savefig(file, format=suffix[1:], dpi=150, bbox_inches="tight")
