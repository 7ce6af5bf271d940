"""MNIST: found in a folder, or downloaded once and checked."""
from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import os
import pathlib
import time
import urllib.request
import zlib

import numpy as np

from ..arguments import checked, one_of
from ..files.carried import kept
from ..files.regular import written_whole
from .idx import GZIP_MAGIC, read_idx

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
TIMEOUT = 5    # seconds without a byte, or below SLOWEST bytes per second, before the next mirror is tried
SLOWEST = 10_000
COUNTS = {"train": 60_000, "test": 10_000}
PREFIXES = {"train": "train", "test": "t10k"}
# The content of the .gz files: the archives themselves differ from mirror to mirror.
CONTENTS = {    # name: (bytes, SHA-256)
    "train-images-idx3-ubyte": (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
# What others publish under the same names, by the MD5 of the training images' .gz file.         [torchvision's list]
ARCHIVES = {"8d4fb7e6c68d591d4c3dfef9ec88bf0d": "fashion-mnist", "bdb82020997e1d708af4cf47b453dcf7": "kmnist"}


@checked()
def mnist(split: str = "train", data_dir: str | os.PathLike[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's images (N, 28, 28) uint8 and labels (N,) uint8: 60,000 for "train", 10,000 for "test".

    Looked for in data_dir, else in the folder that the environment variable NUMPYVAE_DATA names, else in data/ of the
    checkout, or of an installed package in ~/.numpyvae.  That folder, or mnist/ in it, may hold the four IDX files,
    plain or as .gz; missing ones are downloaded into mnist/.

    Raises ValueError for a damaged file or an unknown split, OSError if a file can be neither found nor downloaded.
    """
    one_of("split", split, COUNTS)
    folder = data_folder(data_dir)
    images, labels = (read_idx(_find_or_download(f"{PREFIXES[split]}-{kind}-ubyte", folder))
                      for kind in ("images-idx3", "labels-idx1"))
    count = COUNTS[split]
    if images.shape != (count, 28, 28) or images.dtype != np.uint8 or labels.shape != (count,) or labels.max() > 9:
        raise ValueError(f"{folder} holds images {images.shape} and labels {labels.shape} for {split!r}; expected "
                         f"MNIST's ({count}, 28, 28) and ({count},): get the files again")
    return images, labels


def name_of_files(data_dir: str | os.PathLike[str] | None = None) -> tuple[str, str]:
    """The data set that lies in MNIST's files, and a word on it: others come under the same names.

    Raises OSError if there is no such file.
    """
    path = _find_or_download(f"{PREFIXES['train']}-images-idx3-ubyte", data_folder(data_dir))
    packed = path.read_bytes()
    name = ARCHIVES.get(hashlib.md5(packed, usedforsecurity=False).hexdigest())
    if name is not None:
        return name, f"the files in {path.parent} are those of {name}"
    with contextlib.suppress(ValueError, EOFError, OSError, zlib.error):
        _check(path.name.removesuffix(".gz"), packed)
        return "mnist", ""
    return path.parent.name, f"the files in {path.parent} have MNIST's names, but are not MNIST's"


def data_folder(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder for what is kept between runs: data_dir, else NUMPYVAE_DATA, else data/ of the checkout or
    ~/.numpyvae."""
    return pathlib.Path(data_dir or os.environ.get("NUMPYVAE_DATA") or kept())


def _find_or_download(name: str, folder: pathlib.Path) -> pathlib.Path:
    if folder.is_file():
        raise NotADirectoryError(f"{folder} is a file; expected a folder for MNIST's four files, by --data-dir or "
                                 "NUMPYVAE_DATA")
    for place in (folder, folder / "mnist"):
        for path in (place / name, place / f"{name}.gz"):
            if path.is_file():
                return path
    return _download(name, folder / "mnist")


def _download(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Fetch name.gz from the first mirror that delivers it, and keep it only if its content is right."""
    path = folder / f"{name}.gz"
    failures = []
    for mirror in MIRRORS:
        try:
            packed = _fetch(f"{mirror}{name}.gz")
            _check(name, packed)
            folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                file.write(packed)
            return path
        except http.client.HTTPException as error:    # its text is whatever the mirror sent
            failures.append(f"{mirror.split('/')[2]}: {type(error).__name__}")
        except (OSError, ValueError, EOFError, zlib.error) as error:
            failures.append(f"{mirror.split('/')[2]}: {getattr(error, 'reason', None) or error}")
    raise OSError(f"MNIST's {name} is not in {folder.parent} and could not be downloaded ({'; '.join(failures)}); "
                  "use the bundled data, --data strokes, or point --data-dir or NUMPYVAE_DATA to a folder with "
                  "MNIST's four files")


def _fetch(url: str) -> bytes:
    from tqdm.auto import tqdm
    limit = max(size for size, _ in CONTENTS.values()) + 2**10    # gzip never adds more than that
    packed = io.BytesIO()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        start = time.monotonic()
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, desc=url.rsplit("/", 1)[1], unit="B", unit_scale=True, leave=False) as bar:
            while block := answer.read1(2**16):    # what has arrived; `read` would wait for all of it
                packed.write(block)
                bar.update(len(block))
                if packed.tell() > limit:
                    raise ValueError(f"it sent more than {limit:,} bytes")
                seconds = time.monotonic() - start
                if seconds > TIMEOUT and packed.tell() < SLOWEST * seconds:
                    raise TimeoutError(f"it sent only {packed.tell():,} bytes in {seconds:.0f} seconds")
    return packed.getvalue()


def _check(name: str, packed: bytes) -> None:
    """Raises ValueError unless this is MNIST's file of that name, plain or as .gz."""
    size, expected = CONTENTS[name]
    content = packed
    if packed.startswith(GZIP_MAGIC):
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            content = file.read(size + 1)
    if len(content) != size or hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("what it sent is not MNIST (the SHA-256 differs)")
