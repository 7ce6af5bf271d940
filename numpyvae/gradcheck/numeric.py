"""Numerical derivatives, and how far a gradient is from one.  The two methods are explained in __init__.py."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Gradients = dict[str, tuple[Array, Array]]    # name -> (analytic, numeric)

STEP = {"complex-step": 1e-30, "central-differences": 1e-5}
TOLERANCE = {"complex-step": 1e-12, "central-differences": 1e-7}


def differentiate(loss: Callable[[], Any], x: Array, method: str) -> Array:
    """The gradient of loss() for each entry of x, an array that loss reads and that is changed and put back.

    For the complex step x has to be complex.                     [lesson 2, eq. 2.6; lesson 2, eq. 2.7]
    """
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


def relative_errors(analytic: Array, numeric: Array) -> Array:
    """|analytic - numeric| of each entry, over the largest |numeric|; infinite where shapes differ or for NaN."""
    if analytic.shape != numeric.shape:
        return np.full(numeric.shape, np.inf)
    scale = abs(numeric).max() or 1.0
    return np.nan_to_num(abs(analytic - numeric) / scale, nan=np.inf, posinf=np.inf)
