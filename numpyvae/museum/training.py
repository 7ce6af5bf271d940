"""What surrounds a VAE, right and wrong: binary pixels, batches, momentum, early stopping."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray


def binarize(x: Array, rng: np.random.Generator) -> Array:
    """Each pixel is 1 with its brightness as the probability."""
    return (rng.random(x.shape) < x).astype(x.dtype)


def binarize_inverted(x: Array, rng: np.random.Generator) -> Array:
    """The comparison is reversed: bright pixels become 0."""
    return (rng.random(x.shape) > x).astype(x.dtype)


def shuffled_batches(images: Array, batch_size: int, rng: np.random.Generator) -> Iterator[Array]:
    """Every image once, in a new order each epoch."""
    order = rng.permutation(len(images))
    for start in range(0, len(images), batch_size):
        yield images[order[start:start + batch_size]]


def shuffled_starts(images: Array, batch_size: int, rng: np.random.Generator) -> Iterator[Array]:
    """The order of the batches changes, their contents never do."""
    for start in rng.permutation(np.arange(0, len(images), batch_size)):
        yield images[start:start + batch_size]


class Momentum:
    """v <- m v + g,  w <- w - lr v."""

    def __init__(self, lr: float = 0.1, momentum: float = 0.9):
        self.lr, self.momentum = lr, momentum
        self.velocity: Array | float = 0.0

    def __call__(self, values: Array, grads: Array) -> Array:
        self.velocity = self.momentum * self.velocity + grads
        return values - self.lr * self.velocity


class ForgetfulMomentum(Momentum):
    """The new velocity is used and thrown away, so that the next step starts from zero again."""

    def __call__(self, values: Array, grads: Array) -> Array:
        velocity = self.momentum * self.velocity + grads
        return values - self.lr * velocity


def stop_early(losses: list[float], patience: int = 10) -> bool:
    """Whether the best loss is at least `patience` epochs old."""
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def never_stop(losses: list[float], patience: int = 10) -> bool:
    """Counts the epochs without improvement against the last loss, so each small fall restarts the count."""
    waited = 0
    for before, loss in zip(losses, losses[1:]):
        waited = 0 if loss < before else waited + 1
    return waited >= patience
