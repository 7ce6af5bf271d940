"""Tables of numbers as text: CSV, with commas, semicolons or tabs."""
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
from .contents import EXPECTED, SMALLEST_SQUARE, Contents, Reading, as_images, as_labels, called

Array = np.ndarray

INDICES = ("", "id", "index", "unnamed: 0")    # columns that only count the rows, as pandas writes them
LABELS = ("label", "labels", "class", "target", "y")
PIXEL = re.compile(r"(pixel|px|p)?[_ ]?\d+([x_]\d+)?", re.IGNORECASE)    # pixel0 as Kaggle has it, 1x1 as others
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
WIDEST = 100_000    # columns


def read_table(path: pathlib.Path, how: Reading) -> Contents:
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
            return _read(path, text, how)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is neither a known format nor text in UTF-8 ({one_line(error)}); "
                             f"{EXPECTED}") from error
        except csv.Error as error:
            raise ValueError(f"{path} cannot be read as a table ({one_line(error)}); expected a row of numbers in each "
                             "line") from error


def _read(path: pathlib.Path, text: TextIO, how: Reading) -> Contents:
    lines = _rows(text)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty; expected a row of numbers in each line")
    counted = list(map(str, range(len(first))))    # how pandas names columns that have no names
    has_names = first in (counted, ["", *counted[:-1]]) or not any(cell and _is_number(cell) for cell in first)
    names = [cell.strip() for cell in first]
    if not has_names:
        names, lines = counted, itertools.chain([first], lines)
    if len(names) > WIDEST or len(names) < 2:
        raise ValueError(f"{path} has {len(names):,} columns; expected 2 to {WIDEST:,}, separated by commas, "
                         "semicolons, tabs or spaces")
    label = _label_column(path, names, how.label_array, has_names)
    numbers, labels = _numbers(path, lines, names, label)
    names = [name for i, name in enumerate(names) if i != label]
    notes = []
    if has_names and names[0].lower() in INDICES and _counts(numbers[:, 0]):
        notes.append(f"column {names[0]!r} left out, which only counts the rows")
        numbers, names = numbers[:, 1:], names[1:]
    if not names:
        raise ValueError(f"{path} has no columns beside its labels and the count of its rows; expected at least one of "
                         "numbers")
    names = [name or f"column {i}" for i, name in enumerate(names)]
    contents = _contents(path, numbers, names, has_names, how)
    if label is not None:
        parts, classes, changed = as_labels("labels", (_as_array(labels), len(labels)))
        contents.labels, contents.classes = parts[0], classes
        notes += changed
    contents.notes += notes
    return contents


def _rows(text: TextIO) -> Iterator[list[str]]:
    sample = text.read(2**16).split("\n", 1)[0]
    text.seek(0)
    delimiter = max(",;\t", key=sample.count)
    if not sample.count(delimiter):
        delimiter = " "
    for row in csv.reader(_narrow(text, delimiter), delimiter=delimiter, skipinitialspace=True):
        if delimiter == " ":
            row = [cell for cell in row if cell]
        if row and not row[0].startswith("#"):
            yield row


def _narrow(text: TextIO, delimiter: str) -> Iterator[str]:
    """Lines that have no more cells than we take, seen before any is made."""
    for line in text:
        if line.count(delimiter) > WIDEST:
            raise csv.Error(f"a line has more than {WIDEST:,} cells")
        yield line


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _counts(column: Array) -> bool:
    return len(column) > 1 and bool((np.diff(column) == 1).all())


def _label_column(path: pathlib.Path, names: list[str], asked: str | None, has_names: bool) -> int | None:
    if asked is not None:
        if asked not in names:
            raise ValueError(f"{called('label_array')} is {shown(asked)}, but {path} has the columns {shown(names)}; "
                             "expected one of them")
        return names.index(asked)
    if has_names:
        return next((i for i, name in enumerate(names) if name.lower() in LABELS), None)
    n = len(names)
    if _side(n - 1) and not _side(n):
        raise ValueError(f"{path} has {n} columns and no line of names, so it may hold {n - 1} pixels and their label; "
                         "expected names in the first line, or --label-array 0 for a label in the first column")
    return None


def _side(n: int) -> int:
    """The side of a square of n pixels, or 0."""
    side = math.isqrt(max(n, 0))
    return side if side * side == n >= SMALLEST_SQUARE else 0


def _numbers(path: pathlib.Path, lines: Iterator[list[str]], names: list[str],
             label: int | None) -> tuple[Array, list[str]]:
    numbers = array.array("d")
    labels: list[str] = []
    n = 0
    for i, row in enumerate(lines, 1):
        if len(row) != len(names):
            raise ValueError(f"{path} has {len(row)} cells in row {i:,}, but {len(names)} columns; expected the same "
                             "number in every row")
        if label is not None:
            labels.append(row.pop(label).strip())
        try:
            numbers.extend(map(float, row))
        except ValueError:
            raise _no_number(path, i, row, [name for j, name in enumerate(names) if j != label]) from None
        n = i
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


def _as_array(labels: list[str]) -> Array:
    try:
        return np.array(labels, np.float64)
    except ValueError:
        return np.array(labels)


def _contents(path: pathlib.Path, numbers: Array, names: list[str], has_names: bool, how: Reading) -> Contents:
    """Pictures, if the columns are pixels from 0 to 255; else a table of floats."""
    side = _side(len(names))
    whole = bool((numbers == np.rint(numbers)).all()) if numbers.min() >= 0 and numbers.max() <= 255 else False
    if side and whole and (not has_names or all(PIXEL.fullmatch(name) for name in names)):
        if has_names:
            places = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
            if places != sorted(places):    # as names sorted as text are: pixel0, pixel1, pixel10, ...
                numbers = numbers[:, sorted(range(len(places)), key=places.__getitem__)]
        images, notes = as_images(str(path), numbers.astype(np.int64))
        images = images.reshape(-1, side, side)
        if how.transpose:
            images = np.ascontiguousarray(images.swapaxes(1, 2))
        return Contents(images, notes=[*notes, f"{len(names)} columns taken as pixels"])
    how.refuse_others("a table of numbers that are no pixels", "label_array")
    images, notes = as_images(str(path), numbers + 0.0)
    if images.dtype == np.uint8:    # whole numbers in a table are counts or categories, not bytes
        images, notes = numbers.astype(np.float32), []
    return Contents(images, columns=tuple(names), notes=notes)
