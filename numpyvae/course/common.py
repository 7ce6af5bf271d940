"""What several lessons compute: small pictures, codes, and the distance to the nearest."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..models.autoencoder import Autoencoder


def shrink(images: np.ndarray) -> np.ndarray:
    """Bytes (N, 28, 28) as brightness from 0 to 1, each 2 x 2 pixels made one, their mean.  -> (N, 196)"""
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255


def black_and_white(brightness: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel drawn: 1 with a probability that is its brightness, 0 otherwise.  (N, D) -> (N, D)"""
    return (np.random.default_rng(seed).random(brightness.shape) < brightness).astype(np.float64)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The distance of each point (N, Z) to the nearest of the others (M, Z): (N,).   [lesson 1, eq. 1.8]"""
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(others**2, axis=1) - 2 * points @ others.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0))    # rounding makes a distance of 0 a little negative


def draw_codes(model: Any, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image's code: of an autoencoder what it encodes to, of a VAE a draw from q(z|x).  (N, D) -> (N, Z)"""
    if isinstance(model, Autoencoder):
        return model.encode(images)
    mu, logvar = model.encode(images)
    return mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)
