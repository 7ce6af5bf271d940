"""The floor: the same matrix products as a training step, alone, through NumPy's BLAS.

A step cannot be faster than this with these products; its share of the floor's speed says how much time goes
elsewhere.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import numpyvae as nv


def network_name(hidden: Sequence[int], n_latent: int) -> str:
    """What tables call VAE.dense(784, hidden, n_latent)."""
    return "-".join(map(str, [784, *hidden, n_latent]))


def matrix_products(hidden: Sequence[int], n_latent: int, batch: int, n_data: int = 784) -> Callable[[], None]:
    """A function that runs the products of one step of VAE.dense(n_data, hidden, n_latent), forward and backward.

    A dense layer (I, O) has three: x W, x^T dy and dy W^T; the layer that sees the data needs no dy W^T.
    """
    encoder, decoder = [n_data, *hidden], [n_latent, *reversed(hidden), n_data]
    sizes = [*zip(encoder, encoder[1:]), *2 * [(encoder[-1], n_latent)], *zip(decoder, decoder[1:])]
    return products([(batch, i, o) for i, o in sizes], 1 if hidden else 2)


def conv_products(batch: int) -> Callable[[], None]:
    """The same for VAE.conv's default: a convolution's rows are its windows, a transposed one's its input pixels."""
    large, small = 14 * 14 * batch, 7 * 7 * batch
    return products([(large, 3 * 3, 32), (small, 3 * 3 * 32, 64), (batch, 7 * 7 * 64, 256), *2 * [(batch, 256, 16)],
                     (batch, 16, 256), (batch, 256, 7 * 7 * 64), (small, 64, 3 * 3 * 32), (large, 32, 3 * 3)], 1)


def products(sizes: Sequence[tuple[int, int, int]], sees_data: int) -> Callable[[], None]:
    """Layers of (rows, inputs, outputs), the first `sees_data` of which see the data."""
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.standard_normal((rows, columns), dtype=np.float32)

    layers = [(matrix(n, i), matrix(i, o), matrix(n, o), matrix(n, o), matrix(i, o), matrix(n, i))
              for n, i, o in sizes]

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
    return step_of(nv.VAE.dense(n_data, tuple(hidden), n_latent, rng=rng), batch, rng)


def step_of(vae: nv.VAE, batch: int, rng: np.random.Generator) -> Callable[[], None]:
    """The same for a given model, on random black-and-white images."""
    optimizer = nv.Adam(1e-3)
    x = (rng.random((batch, vae.n_data)) < 0.5).astype(np.float32)
    eps = rng.standard_normal((batch, vae.n_latent), dtype=np.float32)

    def run() -> None:
        vae.loss_and_grad(x, eps)
        optimizer.step(vae.parameters)
    return run
