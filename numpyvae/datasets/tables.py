"""Tables of numbers as text: CSV, with commas, semicolons, tabs or spaces."""
from __future__ import annotations

import array
import csv
import io
import itertools
import math
import pathlib
import re
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from ..arguments import shown
from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file
from .contents import EXPECTED, SMALLEST_SQUARE, Part, Reading, called, readable

Array = np.ndarray

INDICES = ("", "id", "index", "unnamed: 0")    # columns that only number the rows, as pandas writes them
LABELS = ("label", "labels", "class", "target", "y")
PIXEL = re.compile(r"(pixel|px|p)?[_ ]?\d+([x_]\d+)?", re.IGNORECASE)    # pixel0 as Kaggle has it, 1x1 as others
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
WIDEST = 100_000     # columns
MANY = 8             # numbers in equal steps that are hardly a row of data
MOST_CLASSES = 10    # different whole numbers in a column of that name that are classes, however few the rows are


def read_table(path: pathlib.Path, how: Reading) -> list[Part]:
    """A table with or without a line of names; a column of labels is known by its name, or by --label-array.

    Raises ValueError that names the row and the column of what is no number.
    """
    how.refuse_others("a table", "label_array", "transpose")
    with open_file(path, "check the path") as raw:
        if raw.seek(0, 2) > MAX_BYTES:
            raise ValueError(f"{path} is {raw.tell():,} bytes long; expected at most {MAX_BYTES:,}: use fewer rows")
        raw.seek(0)
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        try:
            return [_read(path, text, how)]
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is neither a known format nor text in UTF-8 ({one_line(error)}); "
                             f"{EXPECTED}") from error
        except csv.Error as error:
            raise ValueError(f"{path} cannot be read as a table ({one_line(error)}); expected a row of numbers in each "
                             "line") from error


def _read(path: pathlib.Path, text: TextIO, how: Reading) -> Part:
    comments: list[list[str]] = []
    rows = _rows(text, comments)
    first, second = next(rows, None), next(rows, None)
    if first is None:
        raise ValueError(f"{path} is empty; expected a row of numbers in each line")
    rows = itertools.chain([] if second is None else [second], rows)
    names = list(map(str, range(len(first))))    # how pandas names columns that have no names
    has_names = first in (names, ["", *names[:-1]]) or _are_names(first, second)
    if has_names:
        names = [readable(cell.strip()) for cell in first]
    else:
        rows = itertools.chain([first], rows)
        if len(comments) == 1 and len(comments[0]) == len(first) and not all(map(_is_number, comments[0])):
            names, has_names = [readable(cell) for cell in comments.pop()], True    # as NumPy's savetxt writes them
    _refuse_names(path, names)
    label = _label_column(path, names, how.label_array, has_names)
    cells, labels = _cells(path, rows, names, label)
    notes = [f"{len(comments):,} comment line{'s' * (len(comments) > 1)} skipped"] * bool(comments)
    label_name = ""
    if label is not None:
        label_name = names[label]
        measured = None if how.label_array is not None else _measurements(labels)
        if measured is None:
            names.pop(label)
        else:
            cells, labels = np.insert(cells, label, measured, axis=1), []
            notes.append(f"column {label_name!r} has {len(np.unique(measured)):,} different values and is taken as a "
                         f"number (--label-array {label_name} makes it the label)")
    if has_names and names[0].lower() in INDICES and _number_rows(cells[:, 0]):
        notes.append(f"column {names[0]!r} left out, which only numbers the rows")
        cells, names = cells[:, 1:], names[1:]
    if not names:
        raise ValueError(f"{path} has no columns beside its labels and the numbers of its rows; expected at least one")
    part = _pixels(path, cells, names, has_names)
    if part is None:
        how.refuse_others("a table of numbers that are no pixels", "label_array")
        part = Part(str(path), cells, columns=tuple(name or f"column {i}" for i, name in enumerate(names)))
    if labels:
        part.labels, part.label_name = np.array(labels), f"column {label_name!r}"
    part.notes += notes
    return part


# Lines

def _rows(text: TextIO, comments: list[list[str]]) -> Iterator[list[str]]:
    """The rows, without blank lines; lines that begin with # go to `comments`."""
    sample = next((line for line in _start(text) if line.strip() and not line.startswith(("#", "sep="))), "")
    delimiter = max(",;\t", key=sample.count)
    if not sample.count(delimiter):
        delimiter = " "
    for row in csv.reader(_narrow(text, delimiter), delimiter=delimiter, skipinitialspace=True):
        if delimiter == " ":
            row = [cell for cell in row if cell]
        if row and row[0].startswith("#"):
            comments.append([cell.strip() for cell in [row[0].lstrip("#"), *row[1:]] if cell.strip(" #")])
        elif any(map(str.strip, row)):
            yield row


def _start(text: TextIO) -> list[str]:
    """The first lines, which remain to be read."""
    lines = text.read(2**16).splitlines()
    text.seek(0)
    return lines


def _narrow(text: TextIO, delimiter: str) -> Iterator[str]:
    """Lines that have no more cells than we take, seen before any is made; without Excel's first, which names the
    delimiter."""
    for i, line in enumerate(text):
        if line.count(delimiter) > WIDEST:
            raise csv.Error(f"a line has more than {WIDEST:,} cells")
        if i == 0 and line.strip().strip('"') == f"sep={delimiter}":
            continue
        yield line


# Names

def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _are_names(first: list[str], second: list[str] | None) -> bool:
    """Whether the first line names the columns, of which some names may be numbers: label, 0, 1, 2, ..."""
    words = [cell for cell in first if not _is_number(cell)]
    counted = [cell.strip() for cell in first if cell.strip() and _is_number(cell)]
    if not counted:
        return True
    if not all(cell.isdecimal() for cell in counted):
        return False
    steps = set(np.diff(np.array(counted, np.float64)))
    if len(steps) != 1 or steps == {0.0}:
        return False
    fractions = second is not None and any("." in cell for cell in second)
    return len(counted) >= MANY or fractions or any(word.strip().lower() in LABELS for word in words)


def _refuse_names(path: pathlib.Path, names: list[str]) -> None:
    if len(names) > WIDEST or len(names) < 2:
        raise ValueError(f"{path} has {len(names):,} columns; expected 2 to {WIDEST:,}, separated by commas, "
                         "semicolons, tabs or spaces")
    known = [name for name in names if name]
    if len(set(known)) < len(known):
        twice = next(name for i, name in enumerate(known) if name in known[:i])
        raise ValueError(f"{path} has two columns called {shown(twice)}; expected different names")


def _label_column(path: pathlib.Path, names: list[str], asked: str | None, has_names: bool) -> int | None:
    if asked is not None:
        if asked not in names:
            raise ValueError(f"{called('label_array')} is {shown(asked)}, but {path} has the columns {shown(names)}; "
                             "expected one of them")
        return names.index(asked)
    n = len(names)
    if has_names:
        lower = [name.lower() for name in names]
        found = [i for i, name in enumerate(lower) if name in LABELS and not (name == "y" and "x" in lower)]
        if len(found) > 1:
            raise ValueError(f"{path} has the columns {shown(tuple(names[i] for i in found))}, each of which may be "
                             f"the label; expected one: name it with --label-array {names[found[0]]}")
        others = [name for name in names if not PIXEL.fullmatch(name) and name.lower() not in INDICES]
        if not found and len(others) == 1 and _side(n - 1):
            raise ValueError(f"{path} has {n - 1} columns of pixels and the column {others[0]!r}; expected pixels, or "
                             f"pixels and their label: write --label-array {others[0]!r} if it is that, or drop it")
        return found[0] if found else None
    if _side(n - 1) and not _side(n):
        raise ValueError(f"{path} has {n} columns and no line of names, so it may hold {n - 1} pixels and their label; "
                         "expected names in the first line, or --label-array 0 for a label in the first column")
    return None


def _side(n: int) -> int:
    """The side of a square of n pixels, or 0."""
    side = math.isqrt(max(n, 0))
    return side if side * side == n >= SMALLEST_SQUARE else 0


# Cells

def _cells(path: pathlib.Path, rows: Iterator[list[str]], names: list[str],
           label: int | None) -> tuple[Array, list[str]]:
    numbers = array.array("d")
    labels: list[str] = []
    n = 0
    for n, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise ValueError(f"{path} has {len(row)} cells in row {n:,}, but {len(names)} columns; expected the same "
                             "number in every row")
        if label is not None:
            labels.append(row.pop(label).strip())
        try:
            numbers.extend(map(float, row))
        except ValueError:
            raise _no_number(path, n, row, [name for j, name in enumerate(names) if j != label]) from None
        if 8 * len(numbers) > MAX_BYTES:
            raise ValueError(f"{path} holds more than {MAX_BYTES // 8:,} numbers; expected at most that: use fewer "
                             "rows")
    if not n:
        raise ValueError(f"{path} holds a line of names and no rows; expected at least two rows of numbers")
    table = np.frombuffer(numbers, np.float64).reshape(n, -1)
    finite = np.isfinite(table)
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        names = [name for k, name in enumerate(names) if k != label]
        raise ValueError(f"{path} has {table[i, j]} in row {i + 1:,}, column {one_line(names[j])!r}; expected a finite "
                         "number: fill it in, or drop the row")
    return table, labels


def _no_number(path: pathlib.Path, i: int, row: list[str], names: list[str]) -> ValueError:
    j = next(j for j, cell in enumerate(row) if not _is_number(cell) or cell.strip().lower() in MISSING)
    column = one_line(names[j])
    if row[j].strip().lower() in MISSING:
        return ValueError(f"{path} has no value in row {i:,}, column {column!r}; expected a number: fill it in, or "
                          "drop the row")
    if re.fullmatch(r"[-+]?\d+,\d+", row[j].strip()):
        return ValueError(f"{path} has {row[j].strip()!r} in row {i:,}, column {column!r}; expected a number with a "
                          "decimal point: replace the decimal commas")
    return ValueError(f"{path} has {one_line(row[j])[:40]!r} in row {i:,}, column {column!r}; expected a number: drop "
                      f"the column, or write --label-array {column!r} if it is the label")


def _number_rows(column: Array) -> bool:
    """Whether every row has a whole number of its own."""
    return len(np.unique(column)) == len(column) and bool((column == np.rint(column)).all())


# What the columns are

def _measurements(labels: list[str]) -> Array | None:
    """A column that is called a label's as numbers, if it holds measurements rather than classes."""
    try:
        values = np.array(labels, np.float64)
    except ValueError:
        return None
    few = len(np.unique(values)) <= max(MOST_CLASSES, len(values) // 10)
    are_classes = few and bool((values == np.rint(values)).all())
    return None if are_classes or not np.isfinite(values).all() else values


def _pixels(path: pathlib.Path, cells: Array, names: list[str], has_names: bool) -> Part | None:
    """Pictures, if the columns are as many as a square has pixels, and hold bytes or are called pixels."""
    side = _side(len(names))
    places = _places(names) if has_names else None
    if not side or cells.min() < 0 or (has_names and places is None):
        return None
    whole = cells.max() <= 255 and bool((cells == np.rint(cells)).all())
    if not whole and not (has_names and cells.max() <= 1):
        return None
    if places is not None and places != sorted(places):    # names that were sorted as text: pixel0, pixel1, pixel10
        cells = cells[:, sorted(range(len(places)), key=places.__getitem__)]
    images = cells.astype(np.int64) if whole else cells
    return Part(str(path), images.reshape(-1, side, side), notes=[f"{len(names)} columns taken as pixels"])


def _places(names: list[str]) -> list[tuple[int, ...]] | None:
    """The numbers in the names of pixels, if they count from 0 or 1: not the wavelengths of a spectrum."""
    if not all(PIXEL.fullmatch(name) for name in names):
        return None
    places = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    return places if max(places)[0] <= len(places) else None
