"""log p(x) by 5000 importance samples per image: ours beside PyTorch eager.

    python -m benchmarks.likelihood

The network of the IWAE paper, 784-200-200-50-200-200-784 with tanh, on a slice of the test images, in turn,
each in a process of its own.  Needs the extra `bench` (torch).
"""
from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

import numpyvae as nv
from numpyvae.evaluation import log_likelihood

from .interleave import Run, interleave_apart, single, spread
from .peers import torch_log_likelihood
from .results import table, title_with_choices, write_section

IMAGES, SAMPLES, TEST_SET = 100, 5000, 10_000
STARTS, ROUNDS = 7, 3    # starts of the processes, and rounds in each: PyTorch's time varies from 24 to 40 ms per image


def our_log_likelihood(x: np.ndarray) -> Run:
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(784, (200, 200), 50, activation="tanh", rng=rng)
    return lambda: log_likelihood(vae, x, SAMPLES, rng=rng)


def main() -> None:
    test = nv.datasets.mnist("test")[0][:IMAGES]
    x = (test.reshape(IMAGES, -1) > 127).astype(np.float32)
    ours = "numpyvae"
    makers: dict[str, Callable[[], Run]] = {ours: functools.partial(our_log_likelihood, x)}
    for n in (1000, SAMPLES):
        makers[f"PyTorch eager, {n} samples at once"] = functools.partial(torch_log_likelihood, x, SAMPLES, n)
    times = interleave_apart(makers, ROUNDS, single, STARTS)
    rows = []
    for name in makers:
        rate = IMAGES / np.median(times[name])
        rows.append([name, f"{rate:.0f}", f"{TEST_SET / rate:.0f}", spread(times, name, ours)])
    head = ["what", "images a second", f"seconds for {TEST_SET} images, at that rate", "times as long as ours"]
    write_section(title_with_choices("log p(x) by importance sampling"), "python -m benchmarks.likelihood", f"""
{SAMPLES} samples per image, 784-200-200-50, float32, {IMAGES} images per turn.  Medians and quartiles over {ROUNDS}
rounds in each of {STARTS} starts of the processes.

{table(head, rows)}
""", ["numpy", "numba", "torch"])


if __name__ == "__main__":
    main()
