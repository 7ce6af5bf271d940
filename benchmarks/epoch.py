"""A whole MNIST epoch as a user runs it: shuffle, convert, draw binary pixels, step, record.

    NUMPYVAE_DATA=<folder of MNIST> python -m benchmarks.epoch

Compared with PyTorch and its DataLoader doing the same (extra `bench`), and with the epoch's matrix products alone.
"""
from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

import numpy as np

import numpyvae as nv

from .floor import matrix_products
from .interleave import interleave_apart, single, spread
from .peers import torch_epoch
from .results import table, title_with_choices, write_section

HIDDEN, LATENT, BATCH, ROUNDS = (400,), 20, 128, 5


def our_epoch(images: np.ndarray) -> Callable[[], object]:
    vae = nv.VAE.dense(784, HIDDEN, LATENT, rng=np.random.default_rng(0))
    adam, rng = nv.Adam(1e-3), np.random.default_rng(1)
    return lambda: list(nv.fit(vae, images, optimizer=adam, epochs=1, batch_size=BATCH, rng=rng, binarize="dynamic"))


def floor_epoch(n_images: int) -> Callable[[], object]:
    products = matrix_products(HIDDEN, LATENT, BATCH)

    def run() -> None:
        for _ in range(n_images // BATCH):
            products()
    return run


def main() -> None:
    images, _ = nv.datasets.mnist("train")
    makers = {"numpyvae": functools.partial(our_epoch, images), "floor": functools.partial(floor_epoch, len(images))}
    if importlib.util.find_spec("torch"):
        makers["PyTorch"] = functools.partial(torch_epoch, images, HIDDEN, LATENT, BATCH)
    times = interleave_apart(makers, ROUNDS, single)
    rows = [[name, f"{np.median(times[name]):.2f}", spread(times, name, "numpyvae")] for name in makers]
    write_section(title_with_choices("A whole MNIST epoch"), "python -m benchmarks.epoch", f"""
60,000 images, 784-400-20, batch 128, dynamic binarisation, float32.  "PyTorch" is eager, with its DataLoader and fused
Adam; "floor" the same number of steps' matrix products alone.  Epochs in turn, medians of {ROUNDS} rounds, quartiles.

{table(["what", "seconds an epoch", "times as long as ours"], rows)}
""", ["numpy", "numba", "torch"])


if __name__ == "__main__":
    main()
