"""IDX, the format of MNIST: a magic number, the lengths of the axes, and the numbers, big-endian.

    2 zero bytes, 1 byte for the type, 1 byte for the number of axes, 4 bytes for each axis, the data
                                                            [yann.lecun.com/exdb/mnist, "the IDX file format"]
"""
from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import BinaryIO

import numpy as np

from ..arguments import checked
from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 2**20


@checked()
def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, plain or gzip-compressed, in this machine's byte order.

    Reads no more than the header promises, plus one byte to check that the file ends there; needs at most twice that
    much memory, and less than 2 GiB.

    Raises FileNotFoundError or another OSError, or ValueError, saying what is wrong with the file.
    """
    try:
        with open_file(path, "check the path of the IDX file") as file:
            magic = file.read(2)
            file.seek(0)
            if magic != GZIP_MAGIC:
                return parse_idx(file, os.fspath(path))
            with gzip.GzipFile(fileobj=file) as unpacked:
                return parse_idx(unpacked, os.fspath(path))    # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file ({one_line(error)}); get it again") from error


def parse_idx(file: BinaryIO, name: str) -> np.ndarray:
    """The array in an open IDX file; `name` is for messages.  Raises ValueError."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise ValueError(f"{name} starts with {magic.hex(' ') or 'nothing'}; expected an IDX file: 00 00, a type "
                         "(08 for bytes), the number of axes")
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise ValueError(f"{name} ends within its header; expected {magic[3]} axes of 4 bytes: get the file again")
    shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
    dtype = np.dtype(TYPES[magic[2]])
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise ValueError(f"{name} promises {' x '.join(map(str, shape))} numbers, {size:,} bytes; "
                         f"expected at most {MAX_BYTES:,}: the header is damaged or forged")
    data = bytearray()
    while len(data) < size:    # in blocks: a short file costs its own length, not what its header promises
        block = file.read(min(CHUNK, size - len(data)))
        if not block:
            raise ValueError(f"{name} ends after {len(data):,} of {size:,} bytes; expected what its header promises: "
                             "get the file again")
        data += block
    if file.read(1):
        raise ValueError(f"{name} continues past the {size:,} bytes that its header promises; get the file again")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
