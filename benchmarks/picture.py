"""The picture in the README: what a VAE makes of the embedded data set.

    python -m benchmarks.picture
"""
from __future__ import annotations

import pathlib

import numpy as np

import numpyvae as nv
from numpyvae.report import plots


def main() -> None:
    from matplotlib.figure import Figure
    rng = np.random.default_rng(0)
    train, _ = nv.datasets.load_strokes("train")
    test, _ = nv.datasets.load_strokes("test")
    vae = nv.VAE.dense(784, (400,), 20, rng=rng)
    for record in nv.fit(vae, train, optimizer=nv.Adam(1e-3), epochs=30, batch_size=128, rng=rng):
        print(f"epoch {record.epoch}: {record.loss:.2f} nats per image")
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    plots.reconstructions(vae, test[:40], ax=left)
    left.set_title("rebuilt from 20 numbers")
    plots.image_grid(vae.sample(64, rng), ax=middle)
    middle.set_title("decoded from noise")
    kl = plots.kl_of_dimensions(*vae.encode(test.reshape(len(test), -1) / 255))
    plots.latent_traversals(vae, test[0], np.argsort(-kl)[:8], ax=right)
    right.set_title("one latent dimension at a time")
    figure.savefig(pathlib.Path(__file__).with_name("picture.png"), dpi=100)


if __name__ == "__main__":
    main()
