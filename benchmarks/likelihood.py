"""log p(x) by 5000 importance samples an image: ours beside PyTorch eager.

    python -m benchmarks.likelihood

The network of the IWAE paper, 784-200-200-50-200-200-784 with tanh, on a slice of the test images, in one process,
turn by turn.  Needs the extra `bench` (torch).
"""
from __future__ import annotations

import numpy as np

import numpyvae as nv
from numpyvae.evaluation import log_likelihood

from .interleave import ratio, turns_of_one
from .peers import torch_log_likelihood
from .results import table, title_with_blas, write_section

IMAGES, SAMPLES, TEST_SET = 20, 5000, 10_000


def main() -> None:
    rng = np.random.default_rng(0)
    test = nv.datasets.mnist("test")[0][:IMAGES]
    x = (test.reshape(IMAGES, -1) > 127).astype(np.float32)
    vae = nv.VAE.dense(784, (200, 200), 50, activation="tanh", rng=rng)
    ours = "numpyvae"
    work = {ours: lambda: log_likelihood(vae, x, SAMPLES, rng=rng)}
    for block in (1000, SAMPLES):
        work[f"PyTorch eager, {block} samples at once"] = torch_log_likelihood(x, SAMPLES, block)
    times = turns_of_one(work, rounds=7)
    rows = []
    for name in work:
        median, low, high = ratio(times, name, ours)
        rate = IMAGES / np.median(times[name])
        rows.append([name, f"{rate:.0f}", f"{TEST_SET / rate:.0f}", f"{median:.2f} ({low:.2f} – {high:.2f})"])
    head = ["what", "images a second", f"seconds for {TEST_SET} images, at that rate", "times as long as ours"]
    write_section(title_with_blas("log p(x) by importance sampling"), "python -m benchmarks.likelihood", f"""
{SAMPLES} samples an image, 784-200-200-50, float32, {IMAGES} images a turn.  Medians and quartiles over the rounds.

{table(head, rows)}
""", ["numpy", "numba", "torch"])


if __name__ == "__main__":
    main()
