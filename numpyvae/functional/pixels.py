"""From bytes on disk to a batch of numbers in [0, 1]."""
from __future__ import annotations

import numpy as np

from .. import kernels
from ..twin import twin


@twin(kernels.pixels.pick_pixels, writes=("x",), wrt=(), images="uint8: N D", rows="int64: B", x="B D")
def pick_pixels(images: np.ndarray, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The chosen rows of images, as numbers in [0, 1], written to x.

    images : (N, D) uint8, rows : (B,) int64, x : (B, D)
    """
    np.multiply(images[rows], 1.0 / 255.0, out=x)
    return x


@twin(kernels.pixels.pick_binary_pixels, writes=("x",), wrt=(),
      images="uint8: N D", rows="int64: B", thresholds="uint8: B D", x="B D")
def pick_binary_pixels(images: np.ndarray, rows: np.ndarray, thresholds: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The chosen rows of images, each pixel 1 with probability pixel / 255 and otherwise 0, written to x.

    images : (N, D) uint8, rows : (B,) int64, thresholds : (B, D) uint8 drawn from 0 .. 254, x : (B, D)

    Of the 255 equally likely thresholds, exactly v lie below a pixel of value v.
    """
    x[:] = thresholds < images[rows]
    return x
