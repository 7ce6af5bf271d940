"""NumPy's own files from anywhere: nothing in them is executed, and reading never allocates more than they contain."""
from __future__ import annotations

import contextlib
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from .regular import one_line, open_file

NPY_MAGIC = b"\x93NUMPY"
# A header can promise more than any machine has, and a zip file can inflate a thousandfold.  We stop at 1 GiB in all.
MAX_BYTES = 2**30


def read_npy(file: BinaryIO | Any, size: int, name: str, kinds: str = "fiub") -> np.ndarray:
    """The array in an open .npy file of `size` bytes.  NumPy would first allocate what the header promises.

    kinds : the kinds of dtype that are taken, by default numbers

    Raises ValueError with a message that calls the array `name`.
    """
    try:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](file)
    except (KeyError, ValueError, EOFError, TypeError, SyntaxError, RecursionError, MemoryError,
            tokenize.TokenError) as error:    # NumPy repairs headers from Python 2 with the tokenizer
        raise ValueError(f"{name} has a damaged header ({one_line(error)}); save the array again with "
                         "np.save") from error
    if dtype.hasobject or dtype.kind not in kinds:
        raise ValueError(f"{name} holds {dtype}; expected numbers"
                         f"{', or text' if 'U' in kinds else ': uint8, or floats'}")
    promised = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or promised > min(MAX_BYTES, size):
        raise ValueError(f"the header of {name} promises shape {shape} of {dtype}, {promised:,} bytes; expected at "
                         f"most {min(MAX_BYTES, size):,} in this file: it is damaged or forged")
    data = file.read(promised)
    if len(data) != promised or file.read(1):
        raise ValueError(f"{name} does not hold the {promised:,} bytes that its header promises; save it again")
    array = np.frombuffer(bytearray(data), dtype)    # a bytearray, so that the array is writable
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


@contextlib.contextmanager
def open_npz(path: str | os.PathLike[str], advice: str) -> Iterator[tuple[list[str], Callable[..., np.ndarray]]]:
    """The names of the arrays in a .npz file, and a function that reads one.  Names are never used as paths.

    Raises OSError as open_file does, with its advice, or ValueError if the file is damaged, holds two arrays with
    the same name or more than MAX_BYTES.
    """
    with open_file(path, advice) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                if len(members) != len(archive.infolist()):
                    raise ValueError(f"{path} holds two arrays with the same name; expected one of each: save it again")
                size = sum(info.file_size for info in members.values())
                if size > MAX_BYTES:
                    raise ValueError(f"{path} promises {size:,} bytes; expected at most {MAX_BYTES:,}: it is damaged "
                                     "or forged")

                def read(name: str, kinds: str = "fiub") -> np.ndarray:
                    with archive.open(members[name]) as member:
                        return read_npy(member, members[name].file_size, f"{path}, array {name!r},", kinds)

                yield list(members), read
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
                UnicodeDecodeError) as error:    # names are UTF-8 if a flag says so
            raise ValueError(f"{path} is not a .npz file, or is damaged ({one_line(error)}); {advice}") from error
