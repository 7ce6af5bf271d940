"""A training step of the convolutional VAE beside its matrix products, and beside the same step in PyTorch.

    python -m benchmarks.conv

28 x 28 images through 32 and 64 channels, stride 2, a dense layer of 256, latent 16, batch 128; float32, forward +
backward + Adam, in turn, each in a process of its own.  Without the extra `bench` (torch) only the floor is
measured.
"""
from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

import numpy as np

import numpyvae as nv

from .floor import conv_products, step_of
from .interleave import interleave_apart, spread
from .peers import torch_conv_step
from .results import table, title_with_choices, write_section

BATCH, LATENT, STARTS = 128, 16, 3


def our_step() -> Callable[[], None]:
    rng = np.random.default_rng(0)
    return step_of(nv.VAE.conv(n_latent=LATENT, rng=rng), BATCH, rng)


def main() -> None:
    makers = {"numpyvae": our_step, "its matrix products alone": functools.partial(conv_products, BATCH)}
    if importlib.util.find_spec("torch"):
        torch_step = functools.partial(torch_conv_step, LATENT, BATCH)
        makers |= {"PyTorch eager": functools.partial(torch_step, channels_last=False),
                   "PyTorch eager, channels last": functools.partial(torch_step, channels_last=True)}
    times = interleave_apart(makers, starts=STARTS)
    rows = []
    for name in makers:
        rows.append([name, f"{1000 * np.median(times[name]):.2f}", spread(times, name, "numpyvae")])
    write_section(title_with_choices("A convolutional training step"), "python -m benchmarks.conv", f"""
28x28 - 32 - 64 channels, stride 2, dense 256, latent {LATENT}, batch {BATCH}, float32, with Adam (PyTorch's own, fused,
in its rows).  Medians over the rounds, in {STARTS} starts of the processes, of how many times as long as ours a step
takes, and the quartiles; in the row of the products this is our share of their speed.

{table(["what", "ms a step", "times as long as ours"], rows)}
""", ["numpy", "numba", "torch"])


if __name__ == "__main__":
    main()
