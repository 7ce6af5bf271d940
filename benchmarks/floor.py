"""The floor: the same matrix products as a training step, alone, through NumPy's BLAS.

A step cannot be faster than this with these products; its share of the floor's speed says how much time goes
elsewhere.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import numpyvae as nv


def matrix_products(hidden: Sequence[int], n_latent: int, batch: int, n_data: int = 784) -> Callable[[], None]:
    """A function that runs the products of one step of VAE.dense(n_data, hidden, n_latent), forward and backward.

    A dense layer (I, O) has three: x W, x^T dy and dy W^T; the layer that sees the data needs no dy W^T.
    """
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.standard_normal((rows, columns), dtype=np.float32)

    encoder, decoder = [n_data, *hidden], [n_latent, *reversed(hidden), n_data]
    sizes = [*zip(encoder, encoder[1:]), *2 * [(encoder[-1], n_latent)], *zip(decoder, decoder[1:])]
    layers = [(matrix(batch, i), matrix(i, o), matrix(batch, o), matrix(batch, o), matrix(i, o), matrix(batch, i))
              for i, o in sizes]
    sees_data = 1 if hidden else 2

    def run() -> None:
        for x, W, _, y, _, _ in layers:
            np.matmul(x, W, out=y)
        for k, (x, W, dy, _, dW, dx) in reversed(list(enumerate(layers))):
            np.matmul(x.T, dy, out=dW)
            if k >= sees_data:
                np.matmul(dy, W.T, out=dx)
    return run


def training_step(hidden: Sequence[int], n_latent: int, batch: int, n_data: int = 784) -> Callable[[], None]:
    """A function that runs one step of numpyvae: forward, backward, Adam."""
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(n_data, tuple(hidden), n_latent, rng=rng)
    optimizer = nv.Adam(1e-3)
    x = (rng.random((batch, n_data)) < 0.5).astype(np.float32)
    eps = rng.standard_normal((batch, n_latent), dtype=np.float32)

    def run() -> None:
        vae.loss_and_grad(x, eps)
        optimizer.step(vae.parameters)
    return run
