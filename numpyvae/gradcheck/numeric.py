"""Numerical derivatives, and how far a gradient is from one.  The two methods are explained in __init__.py."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import METHOD, Kind, checked, shown

Array = np.ndarray
Gradients = dict[str, tuple[Array, Array]]    # name -> (analytic, numeric)

STEP = {"complex-step": 1e-30, "central-differences": 1e-5}
TOLERANCE = {"complex-step": 1e-12, "central-differences": 1e-7}


CHANGEABLE = Kind(lambda x: isinstance(x, np.ndarray) and x.dtype.kind in "fc" and x.size > 0 and x.flags.writeable,
                  "a writable NumPy array of floats, because it is changed and restored", TypeError)


@checked(x=CHANGEABLE, method=METHOD)
def differentiate(loss: Callable[[], Any], x: Array, method: str) -> Array:
    """The gradient of loss() for each entry of x, an array that loss reads and that is changed and put back.

    For the complex step x has to be complex.                     [lesson 2, eq. 2.6; lesson 2, eq. 2.7]

    Raises TypeError for an x that is not complex there, and ValueError for an unknown method.
    """
    if method == "complex-step" and x.dtype.kind != "c":
        raise TypeError(f"x is {shown(x)}; expected complex numbers for the complex step: x.astype(complex)")
    gradient, h = np.empty(x.shape), STEP[method]
    for index in np.ndindex(x.shape):
        before = x[index]
        if method == "complex-step":
            x[index] = before + 1j * h
            gradient[index] = loss().imag / h
        else:
            x[index] = before + h
            above = loss()
            x[index] = before - h
            gradient[index] = (above - loss()) / (2 * h)
        x[index] = before
    return gradient


@checked(analytic="numbers: ...", numeric="numbers: ...")
def relative_errors(analytic: Array, numeric: Array) -> Array:
    """|analytic - numeric| of each entry, over the largest |numeric|; infinite where shapes differ or for NaN."""
    if analytic.shape != numeric.shape:
        return np.full(numeric.shape, np.inf)
    scale = abs(numeric).max() or 1.0
    return np.nan_to_num(abs(analytic - numeric) / scale, nan=np.inf, posinf=np.inf)
