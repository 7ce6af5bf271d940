"""Arrays that outlive a step, so that training allocates nothing as large as a batch; objects copied without them."""
from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from ..arguments import shown

LINE = 64    # bytes in a cache line


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised array that begins where a cache line begins.

    NumPy's large arrays begin 16 bytes into a line, so every second load or store of 32 bytes straddles two lines:
    kernels that only copy and add take 1.2 to 1.4 times as long.                 ["Kernels alone" in RESULTS.md]
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(n_bytes + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start:start + n_bytes].view(dtype).reshape(shape)


class Buffers:
    """Named scratch arrays, made when first asked for and handed out again at every later call.

    An array is valid until the same name is asked for again.  For a smaller batch the first rows of the larger
    array are handed out.
    """

    def __init__(self) -> None:
        self._whole: dict[str, np.ndarray] = {}
        self._handed_out: dict[str, np.ndarray] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        array = self._handed_out.get(name)
        if array is not None and array.shape == shape and array.dtype == dtype:
            return array
        whole = self._whole.get(name)
        if whole is None or whole.dtype != dtype or whole.shape[1:] != shape[1:] or len(whole) < shape[0]:
            whole = self._whole[name] = aligned(shape, dtype)
        array = self._handed_out[name] = whole[:shape[0]]
        return array

    def __reduce__(self) -> tuple[type[Buffers], tuple[()]]:
        return Buffers, ()    # a copied or pickled model needs no copy of the scratch


class Gradients(dict[str, np.ndarray]):
    """Gradients by name.  Copies and pickles hold zeros of their shapes: the next step overwrites them anyway."""

    def __reduce__(self) -> Any:
        return zeros, ({name: (value.shape, value.dtype) for name, value in self.items()},)


def zeros(layouts: dict[str, tuple[tuple[int, ...], Any]]) -> Gradients:
    return Gradients({name: np.zeros(shape, dtype) for name, (shape, dtype) in layouts.items()})


class Part:
    """What a model is made of: layers and distributions.

    A copy or a pickle of a part omits what it keeps from forward to backward.

    not_copied : the names of those attributes
    """

    not_copied: tuple[str, ...] = ()

    def forget(self) -> None:
        """Drop what a copy omits too."""
        for name in self.not_copied:
            vars(self).pop(name, None)
        for name, value in vars(self).items():
            if isinstance(value, Buffers):
                setattr(self, name, Buffers())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self.not_copied}

    def __repr__(self) -> str:
        return described(self)


def described(part: Any) -> str:
    """A part, also one of a user's own, as the call that makes it: "Gaussian(sigma=0.5)".  Never raises."""
    name = type(part).__name__
    try:
        takes = [argument for argument in inspect.signature(type(part)).parameters if argument not in ("rng", "dtype")]
        return f"{name}({', '.join(f'{one}={shown(getattr(part, one))}' for one in takes if hasattr(part, one))})"
    except Exception:    # a user's own code
        return f"{name}(...)"
