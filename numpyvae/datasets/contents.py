"""What a user's file or folder holds, as images and labels, and how it is said."""
from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..arguments import counted, did_you_mean, shown

Array = np.ndarray

EXPECTED = "expected a .npy, .npz, IDX or .csv file, or a folder or a zip file of pictures"
SMALLEST_SQUARE = 49    # numbers in a row that may be a picture, and not a table's: 7 x 7
SMALLEST_OF_BYTES = 16
MOST_SHOWN = 40         # letters of a name in a sentence
OPTIONS = ("colour", "size", "array", "label_array", "transpose")    # how data are read


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
    of_test: bool = False    # a test set, whose training set the options are for: one without effect is passed over
    classes: tuple[str, ...] = ()        # that a model knows; () where none are known yet
    passed_over: tuple[str, ...] = ()    # the options that may be without effect, as they are those of other data

    def refuse_others(self, kind: str, *taken: str) -> None:
        """Raises ValueError for an option that has no effect on data of this kind."""
        if self.of_test:
            return
        for name in OPTIONS:
            if name not in (*taken, *self.passed_over) and getattr(self, name):
                raise ValueError(f"{called(name)} is {shown(getattr(self, name))}, which has no effect on {kind}; "
                                 "expected none")

    def among(self, names: Sequence[str]) -> Reading:
        """The same without those names of other data's arrays or columns that these data do not have."""
        array, label_array = (None if name in self.passed_over and getattr(self, name) not in names else
                              getattr(self, name) for name in ("array", "label_array"))
        return dataclasses.replace(self, array=array, label_array=label_array)


class Roles(NamedTuple):
    """Which of a table's columns is the label, and which are no measurements."""

    label: str | None
    left_out: tuple[str, ...]


@dataclasses.dataclass
class Part:
    """A set of images as it lies in its file or folder, before anything is converted.

    name       : what messages call it
    images     : (N, ...) of any dtype; (N, columns) of a table
    labels     : of any kind, or None
    label_name : where the labels come from
    columns    : the names of a table's columns; None for images
    roles      : the roles of the other columns; None for images
    ground     : what transparent pictures were laid on, "white" or "black"; "" where there are none
    notes      : what was done in reading it, or left out, in words
    """

    name: str
    images: Array
    labels: Array | None = None
    label_name: str = ""
    columns: tuple[str, ...] | None = None
    roles: Roles | None = None
    ground: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)


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
        parts = [what(self.images, self.columns), self._described_labels(), *self.notes]
        if self.test is not None:
            more = [note for note in self.test.notes if note not in self.notes]
            if self.test.labels is None and self.labels is not None:
                more.append("no labels")
            if self.test.labels is not None and self.labels is not None:
                new = sorted(set(self.test.labels.tolist()) - set(self.labels.tolist()))
                if new:
                    more.append(f"{counted(len(new), 'class', 'classes')} that only they have: "
                                f"{listed([self._name(i) for i in new])}")
            if self.images.dtype != np.uint8 and numbers(self.test.images) != numbers(self.images):
                more.insert(0, numbers(self.test.images))
            parts.append(f"{len(self.test.images):,} more to test on" + (f" ({', '.join(more)})" if more else ""))
        return "; ".join(map(readable, parts))

    def _name(self, label: int) -> str:
        return self.classes[label] if self.classes else str(label)

    def _described_labels(self) -> str:
        if self.labels is None:
            return "no labels"
        there = np.unique(self.labels).tolist()
        n = counted(len(there), "class", "classes")
        if self.classes is None and there == list(range(len(there))):
            return n
        names = [self._name(i)[:MOST_SHOWN] for i in there]
        return f"{n} ({', '.join(names[:5])}{', ...' * (len(names) > 5)})"


def listed(names: Sequence[str]) -> str:
    """Some names, in a message."""
    more = f", and {len(names) - 6:,} more" * (len(names) > 6)
    return ", ".join(repr(name[:MOST_SHOWN]) for name in names[:6]) + more


def not_there(option: str, asked: str, path: str | os.PathLike[str], kind: str, names: Sequence[str]) -> ValueError:
    """The error for a name that a file does not hold."""
    return ValueError(f"{called(option)} is {shown(asked)}, but {path} holds {kind} {listed(names)}; expected "
                      f"one of them{did_you_mean(asked, names)}")


def readable(name: str) -> str:
    """A name from people's data with a mark in place of what cannot be printed: control characters, broken UTF-8."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def numbers(images: Array) -> str:
    """Their range, in words."""
    low, high = images.min(), images.max()
    if images.dtype == np.uint8:
        return f"bytes from {low:g} to {high:g}, which become {low / 255:.3g} to {high / 255:.3g}"
    return f"from {low:g} to {high:g}"


def what(images: Array, columns: tuple[str, ...] | None) -> str:
    """How many, of which size and range."""
    if columns is not None or images.ndim == 2:
        return f"{counted(len(images), 'row')} of {counted(images.shape[1], 'number')}, {numbers(images)}"
    if images.ndim > 4:
        return f"{len(images):,} arrays of {' x '.join(map(str, images.shape[1:]))} numbers, {numbers(images)}"
    channels = images.shape[3] if images.ndim == 4 else 1
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return f"{counted(len(images), 'image')} {images.shape[2]} x {images.shape[1]}, {colours}, {numbers(images)}"


def looks_like_pictures(images: Array) -> bool:
    """Whether these are pictures, or rows of as many bytes, or floats in [0, 1], as a square has pixels."""
    if images.ndim > 2:
        return True
    n = images.shape[1]
    if n != math.isqrt(n)**2:
        return False
    if images.dtype == np.uint8:
        return n >= SMALLEST_OF_BYTES
    return n >= SMALLEST_SQUARE and bool(images.min() >= 0 and images.max() <= 1)


def one_of_many(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted names that is there, in upper or lower case, with or without underscores."""
    there: dict[str, str] = {}
    for name in names:
        there.setdefault(name.lower().replace("_", ""), name)
    return next((there[name] for name in wanted if name in there), None)
