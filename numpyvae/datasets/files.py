"""A user's own images: a .npy, .npz or IDX file, or a folder of pictures."""
from __future__ import annotations

import os
import pathlib
import warnings

import numpy as np

from ..arguments import checked, shown
from ..files.npz import MAX_BYTES, NPY_MAGIC, open_npz, read_npy
from ..files.regular import one_line, open_file
from .idx import GZIP_MAGIC, read_idx

ZIP_MAGIC = b"PK\x03\x04"
IMAGE_NAMES, LABEL_NAMES = ("images", "x_train", "x"), ("labels", "y_train", "y")
CHECK_THE_PATH = "check the path of the images, or save them again"
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


@checked()
def load_images(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Images, and their labels if there are any.

    path : a .npy file; a .npz file with an array called "images", "x_train" or "x" (or only one array) and,
           optionally, "labels", "y_train" or "y"; an IDX file, plain or gzip; or a folder of pictures of one size, read
           as greyscale, whose subfolders, if any, are the classes

    Returns images as uint8 (N, ...), or as float32 where the file holds floats, and labels (N,) or None.
    A file is recognised by its first bytes, not by its name.  No more than 1 GiB is read, and nothing is unpickled.

    Raises FileNotFoundError or another OSError, or ValueError, saying what is wrong with the data.
    """
    path = pathlib.Path(path)
    if os.path.isdir(path):    # unlike Path.is_dir, False rather than an error for a name that is too long
        return _read_folder(path)
    with open_file(path, CHECK_THE_PATH) as file:
        start = file.read(len(NPY_MAGIC))
        file.seek(0)
        if start == NPY_MAGIC:
            return _as_images(path, read_npy(file, path.stat().st_size, str(path))), None
    if start[:len(ZIP_MAGIC)] == ZIP_MAGIC:
        return _read_npz(path)
    if start[:2] in (b"\0\0", GZIP_MAGIC):
        return _as_images(path, read_idx(path)), None
    raise ValueError(f"{path} starts with {start.hex(' ') or 'nothing'}; expected a .npy, .npz or IDX file, or a "
                     "folder of pictures")


def _read_npz(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    with open_npz(path, CHECK_THE_PATH) as (names, read):
        images_name = next((name for name in IMAGE_NAMES if name in names), names[0] if len(names) == 1 else None)
        if images_name is None:
            raise ValueError(f"{path} holds {shown(names)}; expected an array called "
                             f"{' or '.join(map(repr, IMAGE_NAMES))}")
        labels_name = next((name for name in LABEL_NAMES if name in names), None)
        images = _as_images(path, read(images_name))
        labels = None if labels_name is None else read(labels_name)
    if labels is not None and labels.shape != (len(images),):
        raise ValueError(f"{path} holds labels of shape {labels.shape} for {len(images)} images; expected "
                         f"({len(images)},)")
    return images, labels


def _read_folder(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    classes = sorted(folder for folder in path.iterdir() if folder.is_dir() and _pictures(folder))
    files = [(file, label) for label, folder in enumerate(classes) for file in _pictures(folder)]
    labels: np.ndarray | None = np.array([label for _, label in files])
    if not files:
        files, labels = [(file, 0) for file in _pictures(path)], None
    if not files:
        raise ValueError(f"{path} holds no pictures; expected files such as .png or .jpg, or subfolders of such files")
    images: list[np.ndarray] = []
    for file, _ in files:
        images.append(_read_picture(file))
        if images[-1].shape != images[0].shape:
            raise ValueError(f"{file} has {_size(images[-1])} pixels, but {files[0][0].name} has {_size(images[0])}; "
                             "expected pictures of the same size: resize them")
        if len(images) * images[0].size > MAX_BYTES:
            raise ValueError(f"{path} holds more than {MAX_BYTES:,} pixels; expected at most that: use fewer pictures")
    return np.stack(images), labels


def _pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES and file.is_file())


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _read_picture(path: pathlib.Path) -> np.ndarray:
    from PIL import Image    # Pillow comes with matplotlib
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path} cannot be read as a picture ({one_line(error)}); repair or remove it") from error


def _as_images(path: pathlib.Path, array: np.ndarray) -> np.ndarray:
    """uint8 for whole numbers, float32 for floats."""
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{path} holds an array of shape {array.shape}; expected (N, ...) with at least one image")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"{path} holds NaN or infinity; expected finite pixels: replace or drop them")
        return np.ascontiguousarray(array, np.float32)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"{path} holds whole numbers from {array.min()} to {array.max()}; expected 0 to 255")
    return np.ascontiguousarray(array, np.uint8)
