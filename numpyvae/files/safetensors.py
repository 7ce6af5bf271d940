"""Named arrays in the format that PyTorch's users share weights in: eight bytes, a header in JSON, the numbers.

By hand and not by the library `safetensors`, as with .npz: a file from outside is held to the names and shapes that are
expected before any of its numbers are read, and is refused in one line.  The tests compare with the library.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ..arguments import did_you_mean
from .regular import one_line, open_file

DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
MAX_HEADER = 2**20    # bytes: that of a network with 100 arrays takes 10,000
ADVICE = "give one that safetensors.torch.save_file(model.state_dict(), path) wrote"
AS_FLOATS = "save model.float().state_dict()"


def as_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a file that holds these arrays of float32 or float64."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}    # as PyTorch's users expect it
    codes, end = {dtype: code for code, dtype in DTYPES.items()}, 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": codes[array.dtype.newbyteorder("<")], "shape": list(array.shape),
                        "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)    # the numbers begin at a multiple of 8
    numbers = (np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes() for array in arrays.values())
    return b"".join([len(text).to_bytes(8, "little"), text, *numbers])


def read(path: str | os.PathLike[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays of a file, in the order of `shapes`.

    shapes : the names that it has to hold, no others, and their shapes

    Nothing is allocated before they are found to be as expected.  Raises OSError as open_file does, or ValueError where
    the file is damaged or forged, has other names or shapes, numbers other than float32 or float64, or any that are not
    finite.
    """
    with open_file(path, ADVICE) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            places, start = _places(file, size), file.tell()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is not a safetensors file, or is damaged ({one_line(error)}); "
                             f"{ADVICE}") from error
        _check_names(path, places, shapes)
        dtype = _dtype_of(path, places)
        _check_places(path, places, shapes, dtype, size - start)
        arrays = {}
        for name, shape in shapes.items():
            first, last = places[name]["data_offsets"]
            file.seek(start + first)
            array = np.frombuffer(bytearray(file.read(last - first)), dtype).reshape(shape)
            arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
            if not np.isfinite(array).all():
                raise ValueError(f"{path}, array {name!r}, holds NaN or infinity; expected finite weights: save those "
                                 "of a step before the training diverged")
    return arrays


def _places(file: BinaryIO, size: int) -> dict[str, dict[str, Any]]:
    """The header: each array's dtype, shape and place."""
    n_bytes = int.from_bytes(file.read(8), "little")
    if size < 8 or n_bytes > min(MAX_HEADER, size - 8):
        raise ValueError(f"it promises a header of {n_bytes:,} bytes in a file of {size:,}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("its header has the same name twice")
        return dict(pairs)
    header = json.loads(file.read(n_bytes).decode(), object_pairs_hook=once)
    if not isinstance(header, dict):
        raise ValueError("its header is no table of names")
    header.pop("__metadata__", None)
    for name, place in header.items():
        numbers = [*place["shape"], *place["data_offsets"]]
        if (type(place["dtype"]) is not str or len(place["data_offsets"]) != 2
                or any(type(number) is not int or number < 0 for number in numbers)):
            raise ValueError(f"its header has {place} for {name!r}")
    return header


def _check_names(path: Any, places: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
    missing, surplus = ([name for name in one if name not in other] for one, other in ((shapes, places),
                                                                                       (places, shapes)))
    if not missing and not surplus:
        return
    said = [f"{what} {', '.join(map(repr, names[:3]))}{f' and {len(names) - 3} more' * (len(names) > 3)}"
            for what, names in (("lacks", missing), ("has", surplus)) if names]
    hint = did_you_mean(missing[0], surplus) if missing else ""
    raise ValueError(one_line(f"{path} {', and '.join(said)}; expected the weights of that model, by the names that "
                              f"its export has{hint}"))


def _dtype_of(path: Any, places: Mapping[str, Any]) -> np.dtype:
    found = sorted({place["dtype"] for place in places.values()})
    if len(found) != 1 or found[0] not in DTYPES:
        raise ValueError(one_line(f"{path} holds {', '.join(found)}; expected all in F32, or all in F64: {AS_FLOATS}"))
    return DTYPES[found[0]]


def _check_places(path: Any, places: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype,
                  n_bytes: int) -> None:
    """Raises ValueError unless the arrays have their shapes and lie one after the other, with nothing between."""
    for name, shape in shapes.items():
        if tuple(places[name]["shape"]) != shape:
            raise ValueError(one_line(f"{path}, array {name!r}, has shape {tuple(places[name]['shape'])}; expected "
                                      f"{shape}, as in that model"))
    end = 0
    for name in sorted(shapes, key=lambda name: places[name]["data_offsets"]):
        start, last = places[name]["data_offsets"]
        if start != end or last - start != int(np.prod(shapes[name])) * dtype.itemsize:
            raise ValueError(f"{path}, array {name!r}, lies at {start:,} to {last:,} of its bytes, where it cannot; "
                             f"expected each array behind the one before: it is damaged or forged")
        end = last
    if end != n_bytes:
        raise ValueError(f"{path} holds {n_bytes:,} bytes of numbers, but its header tells of {end:,}; it is damaged: "
                         "save it again")
