"""What a user's file or folder holds, as images and labels; numbers of other kinds become them, and that is said."""
from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..arguments import shown

Array = np.ndarray

EXPECTED = "expected a .npy, .npz, IDX or .csv file, or a folder or a zip file of pictures"
DARKEST = 32    # whole numbers that never reach this are hardly bytes: as such they would be nearly black
SMALLEST_SQUARE = 49    # floats in a row that may be a picture, and not a table's: 7 x 7


def called(option: str) -> str:
    """An option by its name in Python and on the command line."""
    return f"{option} (--{option.replace('_', '-')})"


@dataclasses.dataclass(frozen=True)
class Reading:
    """How to read a user's data, as `load_images` explains it; what has no effect on them is refused."""

    colour: bool = False
    size: int | tuple[int, int] | None = None
    array: str | None = None
    label_array: str | None = None
    transpose: bool = False

    def refuse_others(self, kind: str, *taken: str) -> None:
        """Raises ValueError for an option that has no effect on data of this kind."""
        for field in dataclasses.fields(self):
            if field.name not in taken and getattr(self, field.name) != field.default:
                raise ValueError(f"{called(field.name)} is {shown(getattr(self, field.name))}, which has no effect on "
                                 f"{kind}; expected none")


@dataclasses.dataclass
class Contents:
    """Images to learn from, what is known about them, and how they were read.

    images  : (N, ...) uint8, or float32 as they are
    labels  : (N,) int64 from 0, or None
    classes : the names of labels 0, 1, ..., where the labels were something else
    test    : the images that the data itself holds out, if it does
    columns : the names of a table's columns; None for images
    notes   : what was converted or left out, in words
    """

    images: Array
    labels: Array | None = None
    classes: tuple[str, ...] | None = None
    test: Contents | None = None
    columns: tuple[str, ...] | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    def described(self) -> str:
        """All of it in a line."""
        parts = [what(self.images, self.columns)]
        if self.labels is not None:
            n = len(self.classes) if self.classes else int(self.labels.max()) + 1
            names = f" ({', '.join(self.classes[:5])}{', ...' if n > 5 else ''})" if self.classes else ""
            parts.append(f"{n} classes{names}")
        else:
            parts.append("no labels")
        if self.test is not None:
            parts.append(f"{len(self.test.images):,} more to test on")
        return "; ".join(["".join(c if c.isprintable() else " " for c in part) for part in parts + self.notes])


def what(images: Array, columns: tuple[str, ...] | None) -> str:
    """How many, of which size and range."""
    low, high = images.min(), images.max()
    numbers = f"from {low:g} to {high:g}"
    if images.dtype == np.uint8:
        numbers = f"bytes {numbers}, which become {low / 255:.3g} to {high / 255:.3g}"
    if columns is not None:
        return f"{len(images):,} rows of {len(columns)} numbers {numbers}"
    if images.ndim == 2:
        return f"{len(images):,} rows of {images.shape[1]} numbers {numbers}"
    channels = images.shape[3] if images.ndim == 4 else 1
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    size = f"{images.shape[2]} x {images.shape[1]}" if images.ndim < 5 else " x ".join(map(str, images.shape[1:]))
    return f"{len(images):,} images {size}, {colours}, {numbers}"


def as_images(name: str, array: Array) -> tuple[Array, list[str]]:
    """uint8 for bytes, black and white, and bytes that were saved as other numbers; float32 for other floats.

    Raises ValueError for what could mean several things, or nothing.
    """
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{name} holds an array of shape {array.shape}; expected (N, ...) with at least one image")
    if array.dtype.kind == "f":
        return _from_floats(name, array)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255), ["True and False became 255 and 0"]
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise ValueError(f"{name} holds whole numbers from {low} to {high}; expected 0 to 255: save "
                         f"{'x / 65535' if high > 255 and low >= 0 else 'them'} as floats{_scaling(low, high)}")
    if high == 1:
        return np.ascontiguousarray(array, np.uint8) * np.uint8(255), ["0 and 1 became 0 and 255, black and white"]
    if 0 < high < DARKEST:
        raise ValueError(f"{name} holds whole numbers from {low} to {high}, which may be dark bytes, levels or counts; "
                         f"expected bytes up to 255: save x / {high} as floats if {high} is white, or use --likelihood "
                         "gaussian on floats")
    return np.ascontiguousarray(array, np.uint8), []


def _scaling(low: int, high: int) -> str:
    if low < 0:
        return ", and use --likelihood gaussian"
    return f" if 65535 is white, or x / {high} if {high} is" if high <= 65535 else f", x / {high} if {high} is white"


def _from_floats(name: str, array: Array) -> tuple[Array, list[str]]:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite pixels: replace or drop them")
    low, high = float(array.min()), float(array.max())
    if max(-low, high) > float(np.finfo(np.float32).max):
        raise ValueError(f"{name} holds numbers from {low:g} to {high:g}; expected what float32 can hold: standardise "
                         "the columns")
    if 0 <= low and DARKEST <= high <= 255 and all((row == np.rint(row)).all() for row in array):
        return np.ascontiguousarray(array, np.uint8), ["whole numbers saved as floats became bytes"]
    return np.ascontiguousarray(array, np.float32), []


def as_labels(name: str, *parts: tuple[Array, int]) -> tuple[list[Array], tuple[str, ...] | None, list[str]]:
    """Labels as whole numbers from 0, from one-hot rows, (N, 1), names, or numbers of any size.

    parts : the labels of each set of images, and how many images it has

    Returns the labels of each part, the names of the classes where they are not 0, 1, ..., and notes.
    Raises ValueError for labels that are none.
    """
    flat, notes = [], []
    for labels, n in parts:
        labels = np.asarray(labels)
        if labels.shape == (n, 1):
            labels = labels[:, 0]
        if (labels.ndim == 2 and len(labels) == n and labels.dtype.kind in "biuf"
                and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            labels, notes = labels.argmax(axis=1), [f"{name} were one-hot"]
        if labels.shape != (n,):
            raise ValueError(f"{name} have shape {labels.shape}; expected ({n},), one for each image")
        if labels.dtype.kind == "f":
            if not (np.isfinite(labels) & (labels == np.rint(labels))).all() or np.abs(labels).max() > 2**53:
                raise ValueError(f"{name} are not whole numbers; expected classes")
            labels = labels.astype(np.int64)
        if labels.dtype.kind not in "biuUS":
            raise ValueError(f"{name} are {shown(labels)}; expected whole numbers or names")
        flat.append(labels)
    values, classes = np.unique(np.concatenate(flat), return_inverse=True)
    ends = np.cumsum([len(labels) for labels in flat])[:-1]
    if values.dtype.kind in "iu" and values[0] >= 0 and values[-1] < max(2 * len(values), 10):
        return [labels.astype(np.int64) for labels in flat], None, notes
    names = tuple(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values.tolist())
    if values.dtype.kind not in "US":
        notes.append(f"{name} {names[0]} to {names[-1]} became classes 0 to {len(names) - 1}")
    return [part.astype(np.int64) for part in np.split(classes, ends)], names, notes


def looks_like_pictures(images: Array) -> bool:
    """Whether these are pictures, or rows of as many bytes, or floats in [0, 1], as a square has pixels."""
    if images.ndim > 2:
        return True
    n = images.shape[1]
    if n not in (math.isqrt(n)**2, 3 * math.isqrt(n // 3)**2):
        return False
    return images.dtype == np.uint8 or (n >= SMALLEST_SQUARE and bool(images.min() >= 0 and images.max() <= 1))


def one_of_many(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted names that is there, in upper or lower case."""
    there: dict[str, Any] = {}
    for name in names:
        there.setdefault(name.lower(), name)
    return next((there[name] for name in wanted if name in there), None)
