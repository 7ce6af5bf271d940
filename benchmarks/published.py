"""Train what others have published, and compare.

    python -m benchmarks.published [--seeds 0 1 2]

P1  PyTorch's VAE example (pytorch/examples, vae/main.py): 784-400-20, grey pixels as Bernoulli means, Adam 1e-3,
    batch 128.  Test losses of ten epochs as users logged them; loss = sum of BCE and KL over the images, per image.
P2  Flax's VAE example (google/flax, examples/vae): 784-500-20, pixels binarised once, Adam 1e-3, batch 128; its
    README says the test loss is around 104.  It trains on the 50,000 images of the binarised set's training split,
    so we use MNIST's first 50,000; it uses that set's own binary pixels, while here each run draws them with its seed.
"""
from __future__ import annotations

import argparse
import time

import numpy as np

import numpyvae as nv

from .results import table, with_spread, write_section

P1 = [127.30, 115.79, 112.22, 109.64, 108.54, 107.70, 107.07, 106.66, 106.04, 105.56]


def train(hidden: int, n_images: int, binarize: str, seed: int) -> tuple[list[nv.Record], float]:
    """Ten epochs on MNIST's first n_images; returns the records and the CPU seconds.

    With all 60,000, as `numpyvae train --data mnist --hidden HIDDEN --binarize BINARIZE --epochs 10 --seed SEED`.
    """
    rng = np.random.default_rng(seed)
    (train_images, _), (test_images, _) = nv.datasets.mnist("train"), nv.datasets.mnist("test")
    vae = nv.VAE.dense(784, (hidden,), 20, rng=rng)
    start = time.process_time()
    records = list(nv.fit(vae, train_images[:n_images], optimizer=nv.Adam(1e-3), epochs=10, batch_size=128, rng=rng,
                          validation=test_images, binarize=binarize, progress=True))
    return records, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Train what others have published, and compare.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    runs = {"P1": [train(400, 60_000, "none", seed) for seed in seeds],
            "P2": [train(500, 50_000, "static", seed) for seed in seeds]}

    def row(name: str, published: str) -> list[str]:
        losses = [records[-1].validation.loss for records, _ in runs[name]]    # type: ignore[union-attr]
        return [name, published, *(f"{loss:.2f}" for loss in losses),
                with_spread(losses, ".2f"),
                f"{np.mean([seconds for _, seconds in runs[name]]):.0f}"]

    summary = table(["", "published", *(f"seed {seed}" for seed in seeds), "mean ± sample sd", "CPU seconds"],
                    [row("P1", "105.56 – 105.59"), row("P2", "around 104")])
    curve = table(["epoch", "published", *(f"seed {seed}" for seed in seeds)],
                  [[epoch, f"{published:.2f}", *(f"{records[epoch - 1].validation.loss:.2f}"    # type: ignore
                                                 for records, _ in runs["P1"])]
                   for epoch, published in enumerate(P1, 1)])
    write_section("Published numbers", "python -m benchmarks.published", f"""
Test loss after 10 epochs on the 10,000 test images of MNIST, one z each, nats per image, float32.

{summary}

P1: {__doc__.split("P1  ")[1].split("P2  ")[0].strip()}
P2: {__doc__.split("P2  ")[1].strip()}

P1 epoch by epoch:

{curve}
""")


if __name__ == "__main__":
    main()
