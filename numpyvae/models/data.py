"""Images on their way into a model, in whatever shape and dtype people keep them: the one place that converts them."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import refuse_masked, shown
from ..functional.pixels import pick_pixels

Array = np.ndarray


def rows_of(argument: str, images: Any, n_data: int, image_shape: tuple[int, ...] | None = None,
            kinds: str = "fb") -> Array:
    """Images as rows, in the dtype that they come in: flat rows, grey pictures or colour pictures, -> (B, D).

    images      : (B, D), (B, height, width), or (B, height, width, channels); uint8 for bytes from 0 to 255, floats or
                  bool for numbers as they are, other whole numbers if they are 0 and 1
    n_data      : D
    image_shape : (height, width, channels), where the model knows it
    kinds       : of dtype that are taken as they are; complex numbers, "c", are for the complex step alone

    Raises TypeError or ValueError where they are not such images, or could mean two things.
    """
    refuse_masked(argument, images)
    try:
        images = np.asarray(images)
    except ValueError:    # rows of different lengths
        raise ValueError(f"{argument} is {shown(images)}; expected (B, {n_data}), rows of equal length") from None
    if images.ndim != 2 or images.shape[1] != n_data or len(images) == 0:
        images = _flat(argument, images, n_data, image_shape)
    if images.dtype.kind in kinds:
        return images
    if images.dtype.kind not in "ui":
        raise TypeError(f"{argument} has dtype {images.dtype}; expected real numbers: uint8 from 0 to 255, or floats "
                        "as the model takes them")
    _check_whole_numbers(argument, images)
    return images


def as_numbers(rows: Array, dtype: np.dtype) -> Array:
    """Rows in a model's dtype: bytes become numbers in [0, 1], and all others stay what they are."""
    if rows.dtype != np.uint8:
        return np.ascontiguousarray(rows, dtype)
    every = np.arange(len(rows), dtype=np.int64)
    return pick_pixels(np.ascontiguousarray(rows), every, np.empty(rows.shape, dtype))


def _flat(argument: str, images: Array, n_data: int, image_shape: tuple[int, ...] | None) -> Array:
    """(B, ...) -> (B, D); raises ValueError where the axes are not those of the model's images, in the same order."""
    shape, one = images.shape, images.shape[1:]
    fits = len(shape) > 1 and shape[0] > 0 and math.prod(one) == n_data
    if image_shape is None:
        channels_first = len(one) == 3 and one[0] in (3, 4) and one[2] not in (1, 3, 4)
        alike, expected = True, f"(B, height, width, channels) of {n_data} numbers"
    else:
        height, width, channels = image_shape
        channels_first = channels > 1 and one == (channels, height, width) != image_shape
        alike = len(one) == 1 or _without_grey(one) == _without_grey(image_shape)
        expected = f"(B, {height}, {width}, {channels})"
    if fits and alike and not channels_first:
        return images.reshape(len(images), n_data)
    advice = ""
    if channels_first:
        advice = f": its channels come first, so give {argument}.transpose(0, 2, 3, 1)"
        if fits and image_shape is None:    # to dense layers one order is as good as another
            advice += f", or rows, {argument}.reshape(len({argument}), -1)"
    elif images.size == n_data:
        advice = f": for one image give {argument}[None]"
    elif fits and _without_grey(one)[:2] == image_shape[1::-1]:    # type: ignore[index]
        advice = f": height and width are exchanged, so give {argument}.swapaxes(1, 2)"
    raise ValueError(f"{argument} has shape {shape}; expected (B, {n_data}) or images {expected}, with at least one row"
                     f"{advice}")


def _without_grey(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A picture's shape without its one channel, first or last, in which the same numbers stand in the same order."""
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        return shape[:2] if shape[2] == 1 else shape[1:]
    return tuple(shape)


def _check_whole_numbers(argument: str, images: Array) -> None:
    """Raises ValueError or TypeError for whole numbers that could mean two things."""
    largest = images.max()
    if images.dtype == np.uint8:
        if largest == 1:
            raise ValueError(f"{argument} holds the bytes 0 and 1, which are all but black where 255 is white; "
                             f"expected bytes up to 255: for black and white give {argument} * 255, or floats")
    elif largest > 1 or images.min() < 0:
        raise TypeError(f"{argument} has dtype {images.dtype}; expected uint8, or floats as the model takes them: "
                        f"{argument}.astype(np.uint8) for bytes from 0 to 255, {argument}.astype(np.float32) for other "
                        "numbers")
