"""Images to learn from: `strokes` (bundled, with known factors), MNIST, and your own files."""
from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from ..arguments import AT_LEAST_2, PICTURE_SIZE, SEED, TEXT, checked, did_you_mean, shown
from .contents import Contents, Reading, looks_like_pictures, readable
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
    """Images to train on and to test on, (N, ...), with what is known about them.

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


@checked(seed=SEED, size=PICTURE_SIZE, array=TEXT, label_array=TEXT)
def load_dataset(data: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None, seed: int = 0,
                 test: str | os.PathLike[str] | None = None, colour: bool = False,
                 size: int | tuple[int, int] | None = None, array: str | None = None, label_array: str | None = None,
                 transpose: bool = False, hold_out: bool = True) -> DataSet:
    """The data set called "strokes" or "mnist", or the images in a file or folder.

    data_dir : where MNIST's files are (default: NUMPYVAE_DATA, then data/)
    seed     : chooses which of your own images are held out for testing, where there is no test set
    test     : a file or folder of your own test images
    colour, size, array, label_array, transpose : how your own files are read, as in load_images
    hold_out : False leaves your own images together: where there is no test set, all of them are test images, and none
               is for training

    Raises FileNotFoundError, OSError or ValueError, saying what is wrong with the data and what to do.
    """
    data = os.fspath(data)
    how = Reading(colour, size, array, label_array, transpose)
    if data in ("strokes", "mnist"):
        how.refuse_others(f"--data {data}")
        if test is not None:
            raise ValueError(f"test (--test) is {shown(test)}, but {data} has a test set of its own; expected none")
    if data == "strokes":
        (train, train_factors), (held_out, factors) = load_strokes("train"), load_strokes("test")
        return DataSet(data, train, held_out, train_factors["label"], factors["label"], factors)
    if data == "mnist":
        (train, train_labels), (held_out, labels) = mnist("train", data_dir), mnist("test", data_dir)
        name, said = name_of_files(data_dir)
        return DataSet(name, train, held_out, train_labels, labels, said=said)
    if not os.path.exists(data):
        raise _not_there(data)
    contents = read(data, how, test)
    said = f"{readable(data)}: {contents.described()}"
    rows = None
    if contents.test is None and not hold_out:
        none = None if contents.labels is None else contents.labels[:0]
        contents = dataclasses.replace(contents, images=contents.images[:0], labels=none, test=contents)
    elif contents.test is None:
        contents, rows = _split(contents, data, seed)
        said += f"; {len(rows[1])} of them held out to test on"
    own = contents.test
    assert own is not None
    name = readable(pathlib.Path(os.path.abspath(data)).name)
    return DataSet(name, contents.images, own.images, contents.labels, own.labels,
                   classes=contents.classes, columns=contents.columns, said=said, rows=rows)


def _split(contents: Contents, data: str, seed: int) -> tuple[Contents, tuple[np.ndarray, np.ndarray]]:
    """One image in ten, chosen by the seed, becomes the test set."""
    n = len(contents.images)
    if n < 2:
        notes = f" ({'; '.join(contents.notes)})" * bool(contents.notes)
        raise ValueError(f"{data} holds {n} {'image' if contents.columns is None else 'row'}{notes}; expected at least "
                         "2, one to train on and one to test on")
    parts = split_rows(n, seed)
    train, test = (dataclasses.replace(contents, images=contents.images[rows],
                                       labels=None if contents.labels is None else contents.labels[rows])
                   for rows in parts)
    return dataclasses.replace(train, test=test), parts


@checked(n=AT_LEAST_2, seed=SEED)
def split_rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n rows to learn from, and which one in ten, at least one, to hold out; chosen by the seed, in order.

    For images and labels alike:  rows, held_out = split_rows(len(images), 0);  images[rows], labels[rows].
    """
    order = np.random.default_rng(seed).permutation(n)
    n_held_out = max(1, n // HELD_OUT)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def _not_there(data: str) -> FileNotFoundError:
    """The error for a path without a file, with the closest name in its folder."""
    folder = os.path.dirname(data)
    try:
        known = [os.path.join(folder, name) for name in os.listdir(folder or ".")]
    except (OSError, ValueError):
        known = []
    return FileNotFoundError(f"--data is {shown(data)}, which is neither a file nor a folder; expected 'strokes', "
                             "'mnist', or the path of a .npy, .npz, IDX or .csv file or of a folder of images"
                             f"{did_you_mean(data, ['strokes', 'mnist'] * (not folder) + known)}")
