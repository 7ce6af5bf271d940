"""Training: a generator that yields a record for each epoch, so that a notebook, the command line and a live plot
all drive the same loop."""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .functional.pixels import pick_binary_pixels, pick_pixels
from .layers import one_of
from .optimizers import Optimizer
from .model import LossTerms

BINARIZE = ("none", "dynamic", "static")
VALIDATION_BATCH = 500


@dataclasses.dataclass(frozen=True)
class Record:
    """What an epoch gave: means over its images in nats per image, while the weights were changing."""

    epoch: int
    loss: float
    nll: float
    kl: float
    validation: LossTerms | None    # after the epoch, on the validation images
    seconds: float                  # the training alone
    images_per_second: float


def fit(model: Any, images: np.ndarray, *, optimizer: Optimizer, epochs: int, batch_size: int,
        rng: np.random.Generator, validation: np.ndarray | None = None, binarize: str = "none",
        progress: bool = False) -> Iterator[Record]:
    """Train a model; nothing happens until the records are asked for, one by one.

    images, validation : (N, ...) uint8, or floats as the model takes them
    binarize           : "none" keeps grey pixels; "dynamic" draws each pixel as 0 or 1 anew in every epoch, with
                         the pixel's brightness as its probability; "static" draws once
    rng                : orders the images, draws the noise and the binary pixels
    progress           : show a bar of the batches

    Each epoch sees every image once, in a new order.  Validation draws one z for each image, from binary pixels
    drawn once unless binarize is "none".

    Raises ValueError or TypeError that names the argument that does not fit, and FloatingPointError in the step in
    which the loss stops being a finite number; the weights are then those before that step.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
    train = Pixels("images", images, model, one_of("binarize", binarize, BINARIZE), rng)
    if batch_size > len(train):
        raise ValueError(f"batch_size is {batch_size}, more than the {len(train)} images; expected at most that many")
    held_out = None
    if validation is not None:
        held_out = Pixels("validation", validation, model, "none" if binarize == "none" else "static", rng)
    return _epochs(model, train, held_out, optimizer, epochs, batch_size, rng, progress)


def _epochs(model: Any, train: Pixels, held_out: Pixels | None, optimizer: Optimizer, epochs: int, batch_size: int,
            rng: np.random.Generator, progress: bool) -> Iterator[Record]:
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        order = rng.permutation(len(train))
        sums = np.zeros(3)
        batches = range(0, len(train), batch_size)
        with np.errstate(over="ignore", invalid="ignore"):    # a loss that is no number is reported below, once
            for step in _bar(batches, f"epoch {epoch}/{epochs}") if progress else batches:
                rows = order[step:step + batch_size]
                terms = model.loss_and_grad(train.batch(rows), *model.noise(len(rows), rng))
                if not math.isfinite(terms.loss):
                    raise FloatingPointError(
                        f"the loss is {terms.loss} in epoch {epoch}, step {step // batch_size + 1}; expected a finite "
                        "number: try a smaller lr, or look at the data for outliers")
                optimizer.step(model.parameters)
                sums += len(rows) * np.array(terms)
        seconds = time.perf_counter() - start
        validation = None if held_out is None else mean_loss(model, held_out, rng)
        loss, nll, kl = (sums / len(train)).tolist()
        yield Record(epoch, loss, nll, kl, validation, seconds, len(train) / seconds)


def evaluate_loss(model: Any, images: np.ndarray, *, rng: np.random.Generator, binarize: str = "none") -> LossTerms:
    """The mean loss over images and its parts, in nats per image, one z for each; arguments as in fit."""
    return mean_loss(model, Pixels("images", images, model, binarize, rng), rng)


def mean_loss(model: Any, pixels: Pixels, rng: np.random.Generator) -> LossTerms:
    sums = np.zeros(3)
    for start in range(0, len(pixels), VALIDATION_BATCH):
        rows = np.arange(start, min(start + VALIDATION_BATCH, len(pixels)))
        sums += len(rows) * np.array(model.loss_terms(pixels.batch(rows), *model.noise(len(rows), rng)))
    return LossTerms(*(sums / len(pixels)).tolist())


class Pixels:
    """Images that stay as they are in memory (uint8 for pictures) and become numbers batch by batch."""

    def __init__(self, argument: str, images: np.ndarray, model: Any, binarize: str, rng: np.random.Generator):
        images = np.asarray(images)
        if images.ndim < 2 or len(images) == 0:
            raise ValueError(f"{argument} has shape {images.shape}; expected (N, ...) with at least one image")
        images = np.ascontiguousarray(images.reshape(len(images), -1))
        if images.shape[1] != model.n_data:
            raise ValueError(f"{argument} has {images.shape[1]} numbers an image; expected {model.n_data}, "
                             "the model's n_data")
        if images.dtype != np.uint8:
            if images.dtype.kind != "f":
                raise TypeError(f"{argument} has dtype {images.dtype}; expected uint8, or floats as the model takes")
            if binarize != "none":
                raise ValueError(f"binarize is {binarize!r}, which draws from bytes, but {argument} has dtype "
                                 f"{images.dtype}; expected uint8 from 0 to 255")
            model.likelihood.check(images)
        if binarize == "static":
            images = _binarized(images, rng)
        self.images, self.dtype, self.dynamic, self.rng = images, model.dtype, binarize == "dynamic", rng
        self._x = np.empty((0, images.shape[1]), model.dtype)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: np.ndarray) -> np.ndarray:
        """The images of these rows, as the model's numbers; overwritten by the next batch."""
        if len(self._x) < len(rows):
            self._x = np.empty((len(rows), self.images.shape[1]), self.dtype)
        x = self._x[:len(rows)]
        if self.images.dtype != np.uint8:
            x[:] = self.images[rows]
        elif self.dynamic:
            pick_binary_pixels(self.images, rows, self.rng.integers(0, 255, x.shape, np.uint8), x)
        else:
            pick_pixels(self.images, rows, x)
        return x


def _binarized(images: np.ndarray, rng: np.random.Generator, rows_at_once: int = 1000) -> np.ndarray:
    """Each pixel drawn as 0 or 255, 255 with probability pixel / 255; in blocks, to bound the memory."""
    drawn = np.empty_like(images)
    for start in range(0, len(images), rows_at_once):
        block = images[start:start + rows_at_once]
        drawn[start:start + rows_at_once] = 255 * (rng.integers(0, 255, block.shape, np.uint8) < block)
    return drawn


def _bar(batches: range, title: str) -> Any:
    from tqdm.auto import tqdm
    return tqdm(batches, title, leave=False, unit="batch")
