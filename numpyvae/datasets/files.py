"""A user's own images or tables: which reader a file or a folder is for."""
from __future__ import annotations

import gzip
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from ..arguments import PICTURE_SIZE, TEXT, checked, shown
from ..files.npz import NPY_MAGIC, open_npz, read_npy
from ..files.regular import one_line, open_file
from .contents import Contents, Reading, as_images, as_labels, called, one_of_many
from .foreign import name_it, name_zip
from .idx import GZIP_MAGIC, read_idx
from .pictures import holds_pictures, read_folder, read_zip
from .tables import read_table

ZIP_MAGIC = b"PK\x03\x04"
# In an .npz file, in any case of letters: what is learned from, and what is held out.
IMAGES = ("images", "x_train", "train_images", "x", "data", "imgs")
LABELS = ("labels", "y_train", "train_labels", "y", "targets")
TEST_IMAGES, TEST_LABELS = ("x_test", "test_images"), ("y_test", "test_labels")
CHECK_THE_PATH = "check the path of the images, or save them again"
IDX_IMAGES, IDX_LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
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


def read(path: str | os.PathLike[str], how: Reading) -> Contents:
    """All that load_images reads, and how it was read."""
    path = pathlib.Path(path)
    if os.path.isdir(path):    # unlike Path.is_dir, False rather than an error for a name that is too long
        return _read_idx_folder(path, how) if _idx_files(path) else read_folder(path, how)
    with open_file(path, CHECK_THE_PATH) as file:
        start = file.read(START)
        file.seek(0)
        if start.startswith(NPY_MAGIC):
            how.refuse_others("an .npy file", "transpose")
            return _turned(_of_array(path, read_npy(file, path.stat().st_size, str(path))), how)
    if start.startswith(ZIP_MAGIC):
        return _read_zip(path, how)
    if start[:2] in (b"\0\0", GZIP_MAGIC):
        how.refuse_others("an IDX file", "transpose")
        return _turned(_read_idx_file(path, start), how)
    name_it(path, start)
    return read_table(path, how)


def _of_array(path: os.PathLike[str] | str, array: np.ndarray) -> Contents:
    images, notes = as_images(str(path), array)
    return Contents(images, notes=notes)


def _turned(contents: Contents, how: Reading) -> Contents:
    if how.transpose:
        for part in (contents, contents.test):
            if part is not None:
                if part.images.ndim < 3:
                    raise ValueError(f"{called('transpose')} is True, but the data are rows of {part.images.shape[1]} "
                                     "numbers; expected images (N, height, width)")
                part.images = np.ascontiguousarray(part.images.swapaxes(1, 2))
        contents.notes = [note for note in contents.notes if "--transpose" not in note] + ["rows and columns exchanged"]
    return contents


def _read_zip(path: pathlib.Path, how: Reading) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            name_zip(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
            UnicodeDecodeError) as error:    # names are UTF-8 if a flag says so
        raise ValueError(f"{path} is not a .npz file, or is damaged ({one_line(error)}); {CHECK_THE_PATH}") from error
    if holds_pictures(names):
        return read_zip(path, how)
    how.refuse_others("an .npz file", "array", "label_array", "transpose")
    return _turned(_read_npz(path, how), how)


def _read_npz(path: pathlib.Path, how: Reading) -> Contents:
    with open_npz(path, CHECK_THE_PATH) as (names, load):
        for option, asked in (("array", how.array), ("label_array", how.label_array)):
            if asked is not None and asked not in names:
                raise ValueError(f"{called(option)} is {shown(asked)}, but {path} holds {shown(names)}; expected one "
                                 "of them")
        label_name = how.label_array or one_of_many(names, LABELS)
        others = [name for name in names if name != label_name]
        image_name = how.array or one_of_many(names, IMAGES) or (others[0] if len(others) == 1 else None)
        if image_name is None:
            raise ValueError(f"{path} holds {shown(names)}; expected an array called "
                             f"{' or '.join(map(repr, IMAGES))}: name yours with --array")
        contents = _of_array(path, load(image_name))
        test_name = None if how.array else one_of_many(names, TEST_IMAGES)
        test_label_name = None if how.array else one_of_many(names, TEST_LABELS)
        if test_name is not None:
            contents.test = _of_array(path, load(test_name))
            if contents.test.images.shape[1:] != contents.images.shape[1:]:
                raise ValueError(f"{path} holds {image_name} of shape {contents.images.shape} and {test_name} of shape "
                                 f"{contents.test.images.shape}; expected images of the same size")
            contents.notes.append(f"{test_name} is the test set")
        used = {image_name, label_name, test_name, test_label_name}
        _add_labels(contents, label_name, test_label_name, load, asked=how.label_array is not None)
        unused = [name for name in names if name not in used]
        if unused:
            contents.notes.append("not used: " + ", ".join([*map(one_line, unused[:5]), *["..."][:len(unused[5:])]]))
    return contents


def _add_labels(contents: Contents, name: str | None, test_name: str | None, load: Callable[..., np.ndarray],
                asked: bool) -> None:
    """Labels that nobody asked for never stop a run: what is wrong with them is a note."""
    if name is None:
        return
    try:
        parts = [(load(name, kinds="fiubUS"), len(contents.images))]
        if contents.test is not None and test_name is not None:
            parts.append((load(test_name, kinds="fiubUS"), len(contents.test.images)))
        labels, contents.classes, notes = as_labels(name, *parts)
    except ValueError as error:
        if asked:
            raise
        contents.notes.append(f"{name} not used: {one_line(error)}")
        return
    contents.labels = labels[0]
    if contents.test is not None and len(labels) == 2:
        contents.test.labels, contents.test.classes = labels[1], contents.classes
    contents.notes += notes


# IDX

def _read_idx_file(path: pathlib.Path, start: bytes) -> Contents:
    if start.startswith(GZIP_MAGIC):
        try:
            with open_file(path, CHECK_THE_PATH) as file, gzip.GzipFile(fileobj=file) as unpacked:
                inside = unpacked.read(2)
        except (EOFError, OSError, zlib.error):
            inside = b"\0\0"    # damaged: read_idx says how
        if inside and inside != b"\0\0":
            name_it(path, start)
    contents = _of_array(path, read_idx(path))
    if path.name.startswith("emnist"):
        contents.notes.append("EMNIST's files hold rows and columns exchanged: --transpose turns the letters upright")
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    if beside != path and beside.is_file():
        contents.labels = _idx_labels(beside, contents)
    return contents


def _idx_labels(path: pathlib.Path, contents: Contents) -> np.ndarray | None:
    try:
        labels, contents.classes, notes = as_labels(path.name, (read_idx(path), len(contents.images)))
    except (ValueError, OSError) as error:
        contents.notes.append(f"{path.name} not used: {one_line(error)}")
        return None
    contents.notes += [f"labels from {path.name}", *notes]
    return labels[0]


def _idx_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of images, by what stands before "images-idx3-ubyte": "train", "t10k", "emnist-letters-train"."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return {}
    found = ((path.name.removesuffix(".gz"), path) for path in paths)
    return {name.removesuffix(IDX_IMAGES).rstrip("-"): path for name, path in found if name.endswith(IDX_IMAGES)}


def _read_idx_folder(folder: pathlib.Path, how: Reading) -> Contents:
    """MNIST's files or those in its place: train-images, t10k-images or test-images, and their labels."""
    how.refuse_others("a folder of IDX files", "transpose")
    found = _idx_files(folder)
    sets = [name for name in found if name.endswith("train")]
    if len(sets) != 1:
        files = ", ".join(path.name for path in found.values())
        raise ValueError(f"{folder} holds {files}; expected one set of images to train on: name its file, and its test "
                         "images with --test")
    contents = _read_idx_file(found[sets[0]], b"")
    held_out = sets[0].removesuffix("train")
    test = found.get(held_out + "t10k", found.get(held_out + "test"))
    if test is not None:
        contents.test = _read_idx_file(test, b"")
        contents.notes.append(f"{test.name} is the test set")
    return _turned(contents, how)
