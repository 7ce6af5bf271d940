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

from ..arguments import counted, shown
from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file
from .contents import SMALLEST_SQUARE, Part, Reading, Roles, listed, not_there, readable
from .conversion import DARKEST

Array = np.ndarray

INDICES = ("", "id", "index")    # columns that only number the rows; pandas calls one "Unnamed: 0"
LABELS = ("label", "labels", "class", "target", "y")
MEASURED = ("target", "y")    # what regression calls its measurements, too
PIXEL = re.compile(r"(pixel|px|p)?[_ ]?\d+([x_]\d+)?", re.IGNORECASE)    # pixel0 as Kaggle has it, 1x1 as others
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "#n/a", "#div/0!", "#ref!", "#value!", "#num!", "#name?",
           "#null!"}
WIDEST = 100_000     # columns
MANY = 8             # numbers in equal steps that are hardly a row of data
MOST_CLASSES = 10    # different whole numbers that are classes, however few the rows are
START = 2**16        # characters in which the delimiter is looked for
SAMPLE = 20          # lines, each of which has the same number of delimiters
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: pathlib.Path, how: Reading, like: Part | None = None) -> list[Part]:
    """A table with or without a line of names; a column of labels is known by its name, or by --label-array.

    like : the training set, if this is its test set: the columns have the same roles

    Raises ValueError that names the row and the column of what is no number.
    """
    how.refuse_others("a table", "label_array", "transpose")
    with open_file(path, "check the path") as raw:
        if raw.seek(0, 2) > MAX_BYTES:
            raise ValueError(f"{path} is {raw.tell():,} bytes long; expected at most {MAX_BYTES:,}: use fewer rows")
        raw.seek(0)
        encoding = "utf-16" if raw.read(2) in BYTE_ORDER_MARKS else "utf-8-sig"
        raw.seek(0)
        text = io.TextIOWrapper(raw, encoding=encoding, newline="")
        try:
            return [_read(path, text, how, like)]
        except UnicodeError as error:
            raise ValueError(f"{path} is neither a known format nor text in UTF-8 ({one_line(error)}); expected one of "
                             "the two: save a table as CSV in UTF-8") from error
        except csv.Error as error:
            raise ValueError(f"{path} cannot be read as a table ({one_line(error)}); expected a row of numbers in each "
                             "line") from error


def _read(path: pathlib.Path, text: TextIO, how: Reading, like: Part | None) -> Part:
    comments, rows = _rows(text)
    start = list(itertools.islice(rows, 2))
    if not start:
        raise ValueError(f"{path} is empty; expected a row of numbers in each line")
    if len(start) == 2 and start[0][-1] == start[1][-1] == "":    # a delimiter at the end of every line
        start, rows = [row[:-1] for row in start], (row[:-1] if row[-1] == "" else row for row in rows)
    wanted = how.label_array if like is None or like.roles is None else like.roles.label
    has_names, notes, width = _first_is_names(path, start, wanted), [], len(start[0])
    names = start.pop(0) if has_names else list(map(str, range(width)))    # as pandas numbers them
    if has_names:
        if start and len(start[0]) == width + 1:    # as R writes the names of its rows
            names = ["", *names]
        if any(name and _is_number(name) for name in names):
            notes.append("the first line was taken as names")
    elif comments and len(comments[-1]) == width and not all(map(_is_number, comments[-1])):
        names, has_names = comments.pop(), True    # as NumPy's savetxt writes them
    if comments:
        notes.append(f"{counted(len(comments), 'comment line')} skipped")
    names = [readable(name.strip()) for name in names]
    _refuse_names(path, names)
    part = _part(path, itertools.chain(start, rows), names, has_names, how, like)
    part.notes += notes
    return part


def _part(path: pathlib.Path, rows: Iterator[list[str]], names: list[str], has_names: bool, how: Reading,
          like: Part | None) -> Part:
    """The table, with its columns in their roles: label, number of the row, pixel or measurement."""
    label = _label_column(path, names, has_names, how, like)
    cells, labels = _cells(path, rows, names, label)
    notes, label_name = [], None
    if label is not None:
        label_name = names[label]
        if like is None and how.label_array is None and not _are_classes(label_name, labels, len(names) - 1):
            values = np.array(labels, np.float64)
            cells = np.insert(cells, label, values, axis=1)
            notes.append(f"column {label_name!r} has {len(np.unique(values)):,} different values and is taken as a "
                         f"number (--label-array {label_name} makes it the label)")
            label_name = None
        else:
            names.pop(label)
    left_out = [i for i, name in enumerate(names) if (name in like.roles.left_out if like and like.roles else
                                                      has_names and _numbers_rows(name, cells[:, i]))]
    notes += [f"column {names[i]!r} left out, which only numbers the rows" for i in left_out]
    roles = Roles(label_name, tuple(names[i] for i in left_out))
    cells, names = np.delete(cells, left_out, axis=1), [name for i, name in enumerate(names) if i not in left_out]
    if not names:
        raise ValueError(f"{path} has no columns beside its labels and the numbers of its rows; expected at least one")
    if not has_names:
        _refuse_first_row_far_away(path, cells)
    part = _pixels(path, cells, names, has_names)
    if part is None:
        how.refuse_others("a table of numbers that are no pixels", "label_array")
        part = Part(str(path), cells, columns=tuple(name or f"column {i}" for i, name in enumerate(names)))
    if label_name is not None:
        part.labels, part.label_name = np.array(labels), f"column {label_name!r}"
    part.roles, part.notes = roles, part.notes + notes
    return part


# Lines

def _rows(text: TextIO) -> tuple[list[list[str]], Iterator[list[str]]]:
    """The comments above the first row, and the rows, without blank lines."""
    delimiter = _delimiter(text)
    reader = csv.reader(_narrow(text, delimiter), delimiter=delimiter, skipinitialspace=True, strict=True)
    split = ([cell for cell in row if cell] if delimiter == " " else row for row in reader)
    rows = (row for row in split if any(map(str.strip, row)))
    comments, first = [], []
    for row in rows:
        if not row[0].startswith("#"):
            first = [row]
            break
        cells = [row[0].lstrip("#"), *row[1:]]
        comments.append([cell.strip() for cell in (cells if cells[0] or delimiter != " " else cells[1:])])
    return comments, itertools.chain(first, rows)


def _delimiter(text: TextIO) -> str:
    """The one of which every line has the same number, or else the most frequent in the first."""
    start = text.read(START)
    text.seek(0)
    lines = start.splitlines()
    if len(start) == START and len(lines) > 1:
        lines.pop()    # it may be cut off
    lines = [line for line in lines if line.strip() and not line.startswith(("#", "sep=", '"sep='))][:SAMPLE]
    for delimiter in ";\t,":    # a comma may be a decimal one
        counts = {line.count(delimiter) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    return delimiter if delimiter in first else " "


def _narrow(text: TextIO, delimiter: str) -> Iterator[str]:
    """Lines that have no more cells than we take, seen before any is made; without Excel's first, which names the
    delimiter."""
    for i, line in enumerate(text):
        if line.count(delimiter) > WIDEST:
            raise csv.Error(f"a line has more than {WIDEST:,} cells")
        if "\0" in line:
            raise UnicodeError("it holds zero bytes, as pictures, sounds and text in UTF-16 do")
        if i == 0 and line.rstrip("\r\n").strip('"') == f"sep={delimiter}":
            continue
        yield line


# Names

def _is_number(cell: str) -> bool:
    """Whether it is a number, or stands for one that is missing."""
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return "_" not in cell    # which Python takes, but no table means


def _in_equal_steps(numbers: list[str]) -> bool:
    """Whether these are whole numbers such as 0, 1, 2, ... or 400, 410, 420, ..."""
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return False
    steps = set(np.diff(np.array(numbers, np.float64)))
    return len(steps) == 1 and min(steps) > 0


def _first_is_names(path: pathlib.Path, start: list[list[str]], wanted: str | None) -> bool:
    """Whether the first line names the columns, of which some names may be numbers: label, 0, 1, 2, ..."""
    first, second = [cell.strip() for cell in start[0]], [cell.strip() for cell in start[-1]]
    numbers = [cell for cell in first if cell and _is_number(cell)]
    if not numbers:
        return True
    even = _in_equal_steps(numbers)
    words = [cell for cell in first if not _is_number(cell)]
    if words:
        above_numbers = any(not _is_number(a) and _is_number(b) for a, b in zip(first, second))
        return above_numbers or even or wanted in words or any(word.lower() in LABELS for word in words)
    if even and len(start) == 2:
        if any("." in cell for cell in second) or (len(numbers) >= MANY and not _in_equal_steps(second)):
            return True
        if len(numbers) >= MANY or numbers == [str(i) for i in range(len(numbers))]:
            raise ValueError(f"{path} begins with the line {', '.join(first[:3])}{', ...' * (len(first) > 3)}, which "
                             "may be data or name the columns; expected names in words: write such a line above it, "
                             "or in its place")
    return False


def _refuse_first_row_far_away(path: pathlib.Path, cells: Array) -> None:
    """Names that are numbers, such as years and wavelengths, would be trained on."""
    if len(cells) < 4:
        return
    first, low, high = cells[0], cells[1:].min(axis=0), cells[1:].max(axis=0)
    width = high - low
    if ((first < low - width) | (first > high + width)).all() and (np.diff(first) > 0).all():
        raise ValueError(f"{path} begins with the row {', '.join(f'{x:g}' for x in first[:3])}"
                         f"{', ...' * (len(first) > 3)}, far from all others, so it may name the columns; expected "
                         "names in words: write such a line above it, or in its place")


def _refuse_names(path: pathlib.Path, names: list[str]) -> None:
    if len(names) > WIDEST or len(names) < 2:
        raise ValueError(f"{path} has {counted(len(names), 'column')}; expected 2 to {WIDEST:,}, separated by commas, "
                         "semicolons, tabs or spaces")
    known = [name for name in names if name]
    if len(set(known)) < len(known):
        twice = next(name for i, name in enumerate(known) if name in known[:i])
        raise ValueError(f"{path} has two columns called {shown(twice)}; expected different names")


def _label_column(path: pathlib.Path, names: list[str], has_names: bool, how: Reading,
                  like: Part | None) -> int | None:
    if like is not None and like.roles is not None:
        return names.index(like.roles.label) if like.roles.label in names else None
    how = how.among(names)
    if how.label_array is not None:
        if how.label_array not in names:
            raise not_there("label_array", how.label_array, path, "the columns", names)
        return names.index(how.label_array)
    n = len(names)
    if has_names:
        lower = [name.lower() for name in names]
        found = [i for i, name in enumerate(lower) if name in LABELS and not (name == "y" and "x" in lower)]
        if len(found) > 1:
            raise ValueError(f"{path} has the columns {listed([names[i] for i in found])}, each of which may be the "
                             f"label; expected one: name it with --label-array {names[found[0]]}")
        others = [name for name in names if not PIXEL.fullmatch(name) and not _is_index(name)]
        if not found and len(others) == 1 and _side(n - 1):
            raise ValueError(f"{path} has {n - 1} columns of pixels and the column {others[0]!r}; expected pixels, or "
                             f"pixels and their label: write --label-array {others[0]!r} if it is that, or drop it")
        return found[0] if found else None
    if _side(n - 1) and not _side(n):
        raise ValueError(f"{path} has {n} columns and no line of names, so it may hold {n - 1} pixels and their label; "
                         "expected names in the first line, or --label-array 0 for a label in the first column")
    return None


def _is_index(name: str) -> bool:
    return name.lower() in INDICES or name.startswith("Unnamed: ")


def _numbers_rows(name: str, column: Array) -> bool:
    """Whether a column of such a name gives every row a whole number of its own."""
    return (_is_index(name) and len(np.unique(column)) == len(column) and bool((column == np.rint(column)).all()))


# Cells

def _cells(path: pathlib.Path, rows: Iterator[list[str]], names: list[str],
           label: int | None) -> tuple[Array, list[str]]:
    numbers = array.array("d")
    labels: list[str] = []
    n = 0
    for n, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise ValueError(f"{path} has {counted(len(row), 'cell')} in row {n:,}, but {len(names)} columns; expected "
                             "the same number in every row")
        if any("\n" in cell for cell in row):
            raise ValueError(f"{path} has a line break in a cell of row {n:,}; expected each row on a line of its own: "
                             "look for a quotation mark that is not closed")
        if label is not None:
            cell = row.pop(label).strip()
            labels.append("" if cell.lower() in MISSING else cell)
        try:
            numbers.extend(map(float, row))
        except ValueError:
            raise _no_number(path, n, row, [name for j, name in enumerate(names) if j != label]) from None
        if "_" in "".join(row):
            raise _no_number(path, n, row, [name for j, name in enumerate(names) if j != label])
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
    cell, column = row[j].strip(), one_line(names[j])
    if cell.lower() in MISSING:
        return ValueError(f"{path} has no value in row {i:,}, column {column!r}; expected a number: fill it in, or "
                          "drop the row")
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", cell):
        return ValueError(f"{path} has {cell!r} in row {i:,}, column {column!r}; expected a number with a decimal "
                          "point and no other marks: write thousands without a comma, and decimals with a point")
    if re.fullmatch(r"[-+]?\d+,\d+", cell):
        return ValueError(f"{path} has {cell!r} in row {i:,}, column {column!r}; expected a number with a decimal "
                          "point: replace the decimal commas")
    return ValueError(f"{path} has {one_line(cell)[:40]!r} in row {i:,}, column {column!r}; expected a number: drop "
                      f"the column, or write --label-array {column!r} if it is the label")


# What the columns are

def _are_classes(name: str, labels: list[str], n_others: int) -> bool:
    """Whether a column that is called a label's holds classes, rather than measurements; beside so many others."""
    try:
        values = np.array(labels, np.float64)
    except ValueError:
        return True
    if not np.isfinite(values).all() or not (values == np.rint(values)).all():
        return not np.isfinite(values).all()
    if name.lower() not in MEASURED or _side(n_others):
        return True
    return len(np.unique(values)) <= max(MOST_CLASSES, len(values) // 10)


def _side(n: int) -> int:
    """The side of a square of n pixels, or 0."""
    side = math.isqrt(max(n, 0))
    return side if side * side == n >= SMALLEST_SQUARE else 0


def _pixels(path: pathlib.Path, cells: Array, names: list[str], has_names: bool) -> Part | None:
    """Pictures, if the columns are as many as a square has pixels, and hold bytes or are called pixels."""
    side = _side(len(names))
    places = _places(names) if has_names else None
    if not side or cells.min() < 0 or (has_names and places is None):
        return None
    whole, high = bool((cells == np.rint(cells)).all()), cells.max()
    if high > 255 or not whole and not (has_names and high <= 1):
        return None
    if 1 < high < DARKEST:
        raise ValueError(f"{path} holds whole numbers up to {high:g} in {len(names)} columns, which may be dark pixels "
                         f"or counts; expected bytes: divide by {high:g} and call the columns pixel0, pixel1, ... for "
                         "pictures, or give them names of their own for a table")
    notes = [f"{len(names)} columns taken as pixels"]
    if places is not None and len(places[0]) == 1 and places != sorted(places):    # sorted as text: 0, 1, 10, 11
        cells = cells[:, sorted(range(len(places)), key=places.__getitem__)]
        notes.append("columns put in the order of their numbers")
    images = cells.astype(np.int64) if whole else cells
    return Part(str(path), images.reshape(-1, side, side), notes=notes)


def _places(names: list[str]) -> list[tuple[int, ...]] | None:
    """The numbers in the names of pixels, if they count from 0 or 1: not the wavelengths of a spectrum."""
    if not all(PIXEL.fullmatch(name) for name in names):
        return None
    places = [tuple(map(int, re.findall(r"\d+", name))) for name in names]
    return places if max(places)[0] <= len(places) else None
