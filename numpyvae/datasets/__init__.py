"""Images to learn from: `strokes` (bundled, with known factors), MNIST, and your own files."""
from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import numpy as np

from ..arguments import AT_LEAST_2, PICTURE_SIZE, SEED, TEXT, TEXTS, checked, counted, did_you_mean_file, shown
from .contents import Reading, listed, looks_like_pictures, readable
from .files import load_images, read
from .idx import read_idx
from .mnist import mnist, name_of_files
from .strokes import load_strokes, strokes
from .toy import two_gaussians

__all__ = ["DataSet", "load_dataset", "load_images", "load_strokes", "mnist", "read_idx", "split_rows",
           "strokes", "two_gaussians"]

HELD_OUT = 10    # of a user's own images, one in ten is kept for testing


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Images to train on and to test on, (N, ...), with what is known about them; train is empty where all are for
    testing.

    classes : the names of labels 0, 1, ..., where they have some
    columns : the names of a table's columns; None for images
    said    : what was read and how, in a line; "" for the embedded set
    rows    : the places of the training and of the test images in the file or folder that they were split from, or
              None where they were not
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    test_factors: np.ndarray | None = None      # the table of true factors, for `strokes`
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    said: str = ""
    rows: tuple[np.ndarray, np.ndarray] | None = None

    def whole(self) -> tuple[np.ndarray, np.ndarray | None]:
        """All the images, (N, ...), and their labels: as they stood in the file, or the training images first."""
        images, labels = np.concatenate([self.train, self.test]), None
        if self.train_labels is not None and self.test_labels is not None:
            labels = np.concatenate([self.train_labels, self.test_labels])
        if self.rows is not None:
            order = np.argsort(np.concatenate(self.rows))
            images, labels = images[order], None if labels is None else labels[order]
        return images, labels

    def split(self, seed: int) -> Self:
        """One in ten of the test images, chosen by the seed, stays the test set, and the others are to train on.

        Raises ValueError where there are fewer than two.
        """
        n = len(self.test)
        if n < 2:
            raise ValueError(f"{self.name} holds {counted(n, self.thing)}; expected at least 2, one to train on and "
                             f"one to test on ({self.said})")
        rows = split_rows(n, seed)
        train, test = (self.test[part] for part in rows)
        train_labels, test_labels = (None if self.test_labels is None else self.test_labels[part] for part in rows)
        return dataclasses.replace(self, train=train, test=test, train_labels=train_labels, test_labels=test_labels,
                                   said=f"{self.said}; {len(test)} of them held out to test on", rows=rows)

    def labelled_as(self, classes: Sequence[str]) -> Self:
        """The same with the labels that these classes have: 0 for the first of the names, ...

        Raises ValueError for a class that is none of them.
        """
        if self.test_labels is None:
            return self
        known = [labels for labels in (self.train_labels, self.test_labels) if labels is not None]
        there = np.unique(np.concatenate(known)).tolist()
        names = {i: self.classes[i] if self.classes else str(i) for i in there}
        unknown = [name for name in names.values() if name not in classes]
        if unknown:
            raise ValueError(f"{self.name} holds {'the class' if len(unknown) == 1 else 'the classes'} "
                             f"{listed(unknown)}, which the model does not know; expected only {listed(classes)}: "
                             "rename or leave out the others")
        numbers = np.zeros(max(there) + 1, np.int64)
        numbers[there] = [list(classes).index(name) for name in names.values()]
        if all(numbers[i] == i for i in there):    # they stay of their dtype, by which their checksum is known
            numbers = numbers.astype(self.test_labels.dtype)
        are_numbers = list(classes) == [str(i) for i in range(len(classes))]
        return dataclasses.replace(self, train_labels=None if self.train_labels is None else numbers[self.train_labels],
                                   test_labels=numbers[self.test_labels],
                                   classes=None if are_numbers else tuple(classes))

    @property
    def n_classes(self) -> int:
        """How many classes the labels, which must be there, tell apart."""
        assert self.train_labels is not None and self.test_labels is not None
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def thing(self) -> str:
        """What one of them is called: an image if it can be drawn as such, or a row, of a table or a series."""
        images = self.train if len(self.train) else self.test
        return "image" if self.columns is None and looks_like_pictures(images) else "row"


def _strokes(data_dir: str | os.PathLike[str] | None) -> DataSet:
    (train, train_factors), (held_out, factors) = load_strokes("train"), load_strokes("test")
    return DataSet("strokes", train, held_out, train_factors["label"], factors["label"], factors)


def _mnist(data_dir: str | os.PathLike[str] | None) -> DataSet:
    (train, train_labels), (held_out, labels) = mnist("train", data_dir), mnist("test", data_dir)
    name, said = name_of_files(data_dir)
    return DataSet(name, train, held_out, train_labels, labels, said=said)


# The data sets that have a name; any other is a path.
BUILT_IN: dict[str, Callable[[str | os.PathLike[str] | None], DataSet]] = {"strokes": _strokes, "mnist": _mnist}


@checked(seed=SEED, size=PICTURE_SIZE, array=TEXT, label_array=TEXT, classes=TEXTS, passed_over=TEXTS)
def load_dataset(data: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None, seed: int = 0,
                 test: str | os.PathLike[str] | None = None, colour: bool = False,
                 size: int | tuple[int, int] | None = None, array: str | None = None, label_array: str | None = None,
                 transpose: bool = False, hold_out: bool = True,
                 classes: Sequence[str] | None = None, passed_over: Sequence[str] | None = None) -> DataSet:
    """The data set called "strokes" or "mnist", or the images in a file or folder.

    data_dir : where MNIST's files are (default: NUMPYVAE_DATA, then data/)
    seed     : chooses which of your own images are held out for testing, where there is no test set
    test     : a file or folder of your own test images
    colour, size, array, label_array, transpose : how your own files are read, as in load_images
    hold_out : False leaves your own images together: where there is no test set, all of them are test images, and none
               is for training
    classes  : the names of labels 0, 1, ..., where they are known, as those that a model was trained on: labels are
               counted by them, a folder of one class has a label too, and a class that is none of them is refused
    passed_over : the names of options, of colour, size, array, label_array and transpose, that are passed over where
               they have no effect, as they are those of other data

    Raises FileNotFoundError, OSError or ValueError, saying what is wrong with the data and what to do.
    """
    data = os.fspath(data)
    how = Reading(colour, size, array, label_array, transpose, classes=tuple(classes or ()),
                  passed_over=tuple(passed_over or ()))
    if data in BUILT_IN:
        how.refuse_others(f"--data {data}")
        if test is not None:
            raise ValueError(f"test (--test) is {shown(test)}, but {data} has a test set of its own; expected none")
        found = BUILT_IN[data](data_dir)
    elif not os.path.exists(data):
        raise _not_there("data", data, f"{', '.join(map(repr, BUILT_IN))}, or ", BUILT_IN)
    elif test is not None and os.fspath(test) and not os.path.exists(test):
        raise _not_there("test (--test)", os.fspath(test))
    else:
        found = _own(data, how, test)
    if classes is not None:
        found = found.labelled_as(classes)
    return found.split(seed) if hold_out and not len(found.train) else found


def _own(data: str, how: Reading, test: str | os.PathLike[str] | None) -> DataSet:
    """The images in a user's file or folder; all of them are test images where it has no test set."""
    contents = read(data, how, test)
    held_out = contents if contents.test is None else contents.test
    n = 0 if held_out is contents else None    # images to train on; None for all
    return DataSet(readable(pathlib.Path(os.path.abspath(data)).name), contents.images[:n], held_out.images,
                   None if contents.labels is None else contents.labels[:n], held_out.labels, classes=contents.classes,
                   columns=contents.columns, said=f"{readable(data)}: {contents.described()}")


@checked(n=AT_LEAST_2, seed=SEED)
def split_rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n rows to learn from, and which one in ten, at least one, to hold out; chosen by the seed, in order.

    For images and labels alike:  rows, held_out = split_rows(len(images), 0);  images[rows], labels[rows].
    """
    order = np.random.default_rng(seed).permutation(n)
    n_held_out = max(1, n // HELD_OUT)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def _not_there(argument: str, path: str, or_else: str = "", names: Iterable[str] = ()) -> FileNotFoundError:
    """The error for a path without a file, with the closest name in its folder.

    or_else : what is expected beside a path
    names   : the names that stand for data beside those of files
    """
    folder = os.path.dirname(path)
    try:
        known = [os.path.join(folder, name) for name in os.listdir(folder or ".")]
    except (OSError, ValueError):
        known = []
    return FileNotFoundError(f"{argument} is {shown(path)}, which is neither a file nor a folder; expected {or_else}"
                             "the path of a .npy, .npz, IDX or .csv file or of a folder of images"
                             f"{did_you_mean_file(path, [*names] * (not folder) + known)}")
