"""Images on their way into a model: kept in memory as they come, converted to numbers batch by batch."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import one_of
from ..functional.pixels import pick_binary_pixels, pick_pixels
from ..models.data import rows_of
from ..models.model import Model

BINARIZE = ("none", "dynamic", "static")


def drawn_once(binarize: str) -> str:
    """How test images are binarised if training images are: once, so that every epoch's loss is of the same pixels."""
    return "none" if one_of("binarize", binarize, BINARIZE) == "none" else "static"


class Pixels:
    """Images that stay as they are in memory (uint8 for pictures) and become numbers batch by batch.

    argument : what the caller calls the images, for messages
    binarize : "none", "dynamic" or "static"; see training.fit
    labels   : (N,) for a conditional model, which is given those of each batch

    Raises TypeError or ValueError where the model cannot take them.
    """

    def __init__(self, argument: str, images: np.ndarray, model: Model, binarize: str, rng: np.random.Generator,
                 labels: np.ndarray | None = None):
        images = np.ascontiguousarray(rows_of(argument, images, model.n_data, getattr(model, "image_shape", None)))
        one_of("binarize", binarize, BINARIZE)
        if images.dtype != np.uint8:
            if binarize != "none":
                raise ValueError(f"binarize is {binarize!r}, which needs bytes, but {argument} has dtype "
                                 f"{images.dtype}; expected uint8 from 0 to 255")
            model.likelihood.check(images)
        if binarize == "static":
            images = _binarized(images, rng)
        whose = "labels" if argument == "images" else f"{argument}_labels"
        self.labels = _check_labels(whose, labels, len(images), model)
        self.images, self.model, self.dynamic, self.rng = images, model, binarize == "dynamic", rng
        self._x = np.empty((0, images.shape[1]), model.dtype)

    def __len__(self) -> int:
        return len(self.images)

    def into(self, model: Model) -> Pixels:
        """The same images for another model of the same shape, such as a copy of this one."""
        other = copy.copy(self)
        other.model, other._x = model, np.empty((0, self.images.shape[1]), model.dtype)
        return other

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """These rows' images in the model's dtype, overwritten by the next batch; and labels=, if there are any."""
        if len(self._x) < len(rows):
            self._x = np.empty((len(rows), self.images.shape[1]), self.model.dtype)
        x = self._x[:len(rows)]
        if self.images.dtype != np.uint8:
            x[:] = self.images[rows]
        elif self.dynamic:
            pick_binary_pixels(self.images, rows, self.rng.integers(0, 255, x.shape, np.uint8), x)
        else:
            pick_pixels(self.images, rows, x)
        return x, {} if self.labels is None else {"labels": self.labels[rows]}

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """All the images in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self)), dtype=np.int64))


def _check_labels(argument: str, labels: Any, n: int, model: Model) -> np.ndarray | None:
    if (labels is None) == (getattr(model, "n_classes", None) is not None):
        raise ValueError(f"{argument} are {'missing' if labels is None else 'given'}, but the model "
                         f"has {'' if labels is None else 'no '}classes; expected labels with a ConditionalVAE, and "
                         "only with it")
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{argument} have shape {labels.shape}; expected ({n},), one for each image")
    model.check_labels(labels, n)
    return labels


def _binarized(images: np.ndarray, rng: np.random.Generator, rows_at_once: int = 1000) -> np.ndarray:
    """Each pixel drawn as 0 or 255, 255 with probability pixel / 255; in blocks, to bound the memory."""
    drawn = np.empty_like(images)
    for start in range(0, len(images), rows_at_once):
        block = images[start:start + rows_at_once]
        drawn[start:start + rows_at_once] = 255 * (rng.integers(0, 255, block.shape, np.uint8) < block)
    return drawn
