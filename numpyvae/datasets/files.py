"""A user's own images or tables: which reader a file or a folder is for."""
from __future__ import annotations

import dataclasses
import gzip
import itertools
import os
import pathlib
import re
import zipfile
import zlib

import numpy as np

from ..arguments import PICTURE_SIZE, TEXT, checked, shown
from ..files.npz import NPY_MAGIC, open_npz, read_npy
from ..files.regular import one_line, open_file
from .contents import EXPECTED, Contents, Part, Reading, listed, not_there, one_of_many
from .conversion import as_contents, refuse_other_axes
from .folders import read_folder, read_zip
from .foreign import name_it, name_zip
from .idx import GZIP_MAGIC, read_idx
from .pictures import is_picture
from .tables import read_table

ZIP_MAGIC = b"PK\x03\x04"
# In an .npz file, in any case of letters and without underscores: what is learned from, and what is held out.
IMAGES = ("images", "xtrain", "trainx", "trainimages", "x", "data", "imgs", "image")
LABELS = ("labels", "ytrain", "trainy", "trainlabels", "y", "targets", "target", "label", "class", "classes")
TEST_IMAGES, TEST_LABELS = ("xtest", "testx", "testimages"), ("ytest", "testy", "testlabels")
CHECK_THE_PATH = "check the path of the images, or save them again"
# As MNIST's own page has them, and as some unpack them.
IDX_IMAGES, IDX_LABELS = ("images-idx3-ubyte", "images.idx3-ubyte"), ("labels-idx1-ubyte", "labels.idx1-ubyte")
CALLED = {".npy": ".npy file", ".npz": ".npz file", ".zip": "zip file", ".gz": "gzip file"}
START = 512    # bytes that tell a file's format


@checked(size=PICTURE_SIZE, array=TEXT, label_array=TEXT)
def load_images(path: str | os.PathLike[str], colour: bool = False, size: int | tuple[int, int] | None = None,
                array: str | None = None, label_array: str | None = None,
                transpose: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Images, and their labels if there are any, from any file or folder that `numpyvae train --data` takes.

    path        : a .npy file; a .npz file; an IDX file, plain or gzip, with its labels beside it; a folder of the four
                  files that MNIST and its successors have; a folder or a zip file of pictures, whose subfolders, if
                  any, are the classes; a table, .csv
    colour      : keep the red, green and blue of pictures, which otherwise become grey
    size        : (width, height) that pictures are cropped and resized to, or one number for both
    array       : the name of the array of images in an .npz file
    label_array : the name of the array of labels in an .npz file, or of the column of labels in a table
    transpose   : exchange rows and columns, as EMNIST's files need it

    Returns images as uint8 (N, ...), or as float32 where the file holds floats, and labels (N,) from 0, or None.
    A file is recognised by its first bytes, not by its name.  No more than 1 GiB is read, and nothing is unpickled.

    Raises FileNotFoundError or another OSError, or ValueError, saying what is wrong with the data, and for an option
    that has no effect on it.
    """
    contents = read(path, Reading(colour, size, array, label_array, transpose))
    return contents.images, contents.labels


def read(path: str | os.PathLike[str], how: Reading, test: str | os.PathLike[str] | None = None) -> Contents:
    """All that load_images reads, with the test set of the data or in `test`, and how it was read."""
    parts = _read(path, how, "data")
    if test is not None:
        own = _read(test, dataclasses.replace(how, of_test=True), "test (--test)", parts[0])
        if len(own) == 2:
            raise ValueError(f"test (--test) is {shown(os.fspath(test))}, which holds a training set and a test set; "
                             "expected the test images alone")
        parts[0].notes += [f"its own {len(part.images):,} test images are not used" for part in parts[1:]]
        parts = [parts[0], *own]
    contents = as_contents(parts, how)
    if test is not None:
        contents.notes.append(f"tested on {os.fspath(test)}")
    return contents


def _read(path: str | os.PathLike[str], how: Reading, argument: str, like: Part | None = None) -> list[Part]:
    """The training set, and the test set if there is one beside it.

    argument : what messages call the path
    like     : the training set, if the path is that of its test set
    """
    if not os.fspath(path):
        raise ValueError(f"{argument} is ''; expected the path of a file or a folder")
    path = pathlib.Path(path)
    if os.path.isdir(path):    # unlike Path.is_dir, False rather than an error for a name that is too long
        return _read_idx_folder(path, how) if _idx_files(path) else read_folder(path, how, like)
    with open_file(path, CHECK_THE_PATH) as file:
        start = file.read(START)
        file.seek(0)
        if start.startswith(NPY_MAGIC):
            how.refuse_others("an .npy file", "transpose")
            return [_part(str(path), read_npy(file, path.stat().st_size, str(path)))]
    if start.startswith(ZIP_MAGIC):
        return _read_zip(path, how, like)
    if not start:
        raise ValueError(f"{path} is empty; {EXPECTED}")
    if start[:2] != GZIP_MAGIC:    # which IDX files may have, too
        name_it(path, start)
    if start[:2] in (b"\0\0", GZIP_MAGIC):
        how.refuse_others("an IDX file", "transpose")
        return [_read_idx_file(path, how, start)]
    _refuse_false_names(path, start)
    return read_table(path, how, like)


def _refuse_false_names(path: pathlib.Path, start: bytes) -> None:
    """A damaged file is not a table, whose advice would mislead.  Raises ValueError."""
    kind = CALLED.get(path.suffix.lower()) or ("picture" if is_picture(path.name) else None)
    if kind is not None:
        raise ValueError(f"{path} is called {path.suffix}, but begins with {start[:4]!r}, as no {kind} does; expected "
                         "the file as it was saved: get it or save it again, or give a table the ending .csv")


def _read_zip(path: pathlib.Path, how: Reading, like: Part | None) -> list[Part]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            name_zip(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
            UnicodeDecodeError) as error:    # names are UTF-8 if a flag says so
        raise ValueError(f"{path} is not a .npz file, or is damaged ({one_line(error)}); {CHECK_THE_PATH}") from error
    if any(map(is_picture, names)):
        return read_zip(path, how, like)
    how.refuse_others("an .npz file", "array", "label_array", "transpose")
    return _read_npz(path, how)


# Arrays

def _part(name: str, array: np.ndarray) -> Part:
    refuse_other_axes(name, array.shape)
    return Part(name, array)


def _read_npz(path: pathlib.Path, how: Reading) -> list[Part]:
    with open_npz(path, CHECK_THE_PATH) as (names, load):
        chosen = _choose(path, names, how)
        parts = []
        for image_name, label_name in chosen:
            parts.append(_part(f"{path}, array {image_name!r},", load(image_name)))
            parts[-1].label_name = label_name or ""
            if len(parts) == 2:
                parts[1].notes.append(f"in {image_name}")
            if label_name is not None:
                try:
                    parts[-1].labels = load(label_name, kinds="fiubUS")
                except ValueError as error:
                    if how.label_array is not None:
                        raise
                    parts[-1].notes.append(f"labels not used: {one_line(error)}")
        unused = [name for name in names if name not in itertools.chain(*chosen)]
        if unused:
            parts[0].notes.append(f"not used: {listed(unused)}")
    return parts


def _choose(path: pathlib.Path, names: list[str], how: Reading) -> list[tuple[str, str | None]]:
    """The names of the images and of their labels, of the training set and of a test set; what was asked for alone."""
    if how.of_test:    # the names that were asked for are those of the training set
        images, labels = one_of_many(names, TEST_IMAGES), one_of_many(names, TEST_LABELS)
        how = Reading(array=how.array if how.array in names else images,
                      label_array=how.label_array if how.label_array in names else labels)
    how = how.among(names)
    for option, asked in (("array", how.array), ("label_array", how.label_array)):
        if asked is not None and asked not in names:
            raise not_there(option, asked, path, "the arrays", names)
    labels = how.label_array or (None if how.array else one_of_many(names, LABELS))
    others = [name for name in names if name != labels]
    images = how.array or one_of_many(names, IMAGES) or (others[0] if len(others) == 1 else None)
    if images is None:
        raise ValueError(f"{path} holds the arrays {listed(names)}; expected one called 'images', 'x_train' or 'x': "
                         "name yours with --array")
    test = _partner(images, names) or (None if how.array else one_of_many(names, TEST_IMAGES))
    if test is None:
        return [(images, labels)]
    test_labels = None if labels is None else _partner(labels, names)
    if test_labels is None and not how.label_array and not how.array:
        test_labels = one_of_many(names, TEST_LABELS)
    return [(images, labels), (test, test_labels)]


def _partner(name: str, names: list[str]) -> str | None:
    """The array of the test set that goes with one of the training set: x_test with x_train."""
    found = (re.sub(train, test, name) for train, test in (("train", "test"), ("Train", "Test"), ("TRAIN", "TEST")))
    return next((one for one in found if one in names and one != name), None)


# IDX

def _read_idx_file(path: pathlib.Path, how: Reading, start: bytes = b"") -> Part:
    if start.startswith(GZIP_MAGIC):
        try:
            with open_file(path, CHECK_THE_PATH) as file, gzip.GzipFile(fileobj=file) as unpacked:
                inside = unpacked.read(2)
        except (EOFError, OSError, zlib.error):
            inside = b"\0\0"    # damaged: read_idx says how
        if inside and inside != b"\0\0":
            name_it(path, start)
    part = Part(str(path), read_idx(path))
    if path.name.startswith("emnist") and not how.transpose:
        part.notes.append("EMNIST's files hold rows and columns exchanged: --transpose turns the letters upright")
    beside = next((path.with_name(path.name.replace(images, labels)) for images, labels in zip(IDX_IMAGES, IDX_LABELS)
                   if images in path.name), None)
    if beside is not None and beside.is_file():
        try:
            part.labels, part.label_name = read_idx(beside), beside.name
        except (ValueError, OSError) as error:
            part.notes.append(f"labels not used: {one_line(error)}")
    return part


def _idx_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of images, by what stands before "images-idx3-ubyte": "train", "t10k", "emnist-letters-train"."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return {}
    found = {}
    for path in paths:
        name = path.name.removesuffix(".gz")
        for ending in IDX_IMAGES:
            if name.endswith(ending):
                found[name.removesuffix(ending).rstrip("-")] = path
    return found


def _read_idx_folder(folder: pathlib.Path, how: Reading) -> list[Part]:
    """MNIST's files or those in its place: train-images, t10k-images or test-images, and their labels."""
    how.refuse_others("a folder of IDX files", "transpose")
    found = _idx_files(folder)
    sets = [name for name in found if name.endswith("train")]
    if len(sets) != 1:
        files = ", ".join(path.name for path in found.values())
        raise ValueError(f"{folder} holds {files}; expected one set of images to train on: name its file, and its test "
                         "images with --test")
    parts = [_read_idx_file(found[sets[0]], how)]
    held_out = sets[0].removesuffix("train")
    test = found.get(held_out + "t10k", found.get(held_out + "test"))
    if test is not None:
        parts.append(_read_idx_file(test, how))
        parts[1].notes.insert(0, f"in {test.name}")
    known = {path.name for path in found.values()}
    others = [path.name for path in sorted(folder.iterdir()) if path.is_file() and path.name not in known
              and not path.name.startswith(".") and not any(ending in path.name for ending in IDX_LABELS)]
    unused = [path.name for name, path in found.items() if name not in (sets[0], held_out + "t10k", held_out + "test")]
    if unused + others:
        parts[0].notes.append(f"not used: {listed(unused + others)}")
    return parts
