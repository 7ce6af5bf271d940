"""Images to learn from: `strokes` (bundled, with known factors), MNIST, and your own files."""
from __future__ import annotations

import dataclasses
import os

import numpy as np

from ..arguments import SEED, checked
from .files import load_images
from .idx import read_idx
from .mnist import mnist
from .strokes import load_strokes, strokes
from .toy import two_gaussians

__all__ = ["DataSet", "load_dataset", "load_images", "load_strokes", "mnist", "read_idx", "strokes",
           "two_gaussians"]

HELD_OUT = 10    # of a user's own images, one in ten is kept for testing


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Images to train on and to test on, (N, ...), with what is known about them."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    test_factors: np.ndarray | None = None      # the table of true factors, for `strokes`


@checked(seed=SEED)
def load_dataset(data: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None,
                 seed: int = 0) -> DataSet:
    """The data set called "strokes" or "mnist", or the images in a file or folder.

    data_dir : where MNIST's files are (default: NUMPYVAE_DATA, then data/)
    seed     : chooses which of your own images are held out for testing

    Raises FileNotFoundError, OSError or ValueError, saying what is wrong with the data and what to do.
    """
    data = os.fspath(data)
    if data == "strokes":
        (train, train_factors), (test, factors) = load_strokes("train"), load_strokes("test")
        return DataSet(data, train, test, train_factors["label"], factors["label"], factors)
    if data == "mnist":
        (train, train_labels), (test, labels) = mnist("train", data_dir), mnist("test", data_dir)
        return DataSet(data, train, test, train_labels, labels)
    if not os.path.exists(data):
        raise FileNotFoundError(f"--data is {data!r}, which is neither a file nor a folder; expected 'strokes', "
                                "'mnist', or the path of a .npy, .npz or IDX file or of a folder of images")
    images, image_labels = load_images(data)
    if len(images) < 2:
        raise ValueError(f"{data} holds {len(images)} image; expected at least 2, one to train on and one to test on")
    order = np.random.default_rng(seed).permutation(len(images))
    n_test = max(1, len(images) // HELD_OUT)
    test_rows, train_rows = np.sort(order[:n_test]), np.sort(order[n_test:])
    known = {} if image_labels is None else {"train_labels": image_labels[train_rows],
                                             "test_labels": image_labels[test_rows]}
    return DataSet(os.path.basename(os.path.normpath(data)), images[train_rows], images[test_rows], **known)
