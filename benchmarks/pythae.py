"""The VAE of pythae's table of reproduced results: test NLL on binary MNIST, P4.        [Chadebec et al. 2022]

    python -m benchmarks.pythae

A run takes about half an hour.  It writes its progress to runs/pythae-.../progress.txt and a checkpoint every minute;
the same command resumes it.

As there: 784-400-40-400-784, ReLU, binary pixels drawn once, Adam, minibatches of 100, a learning rate of 1e-4 that
is multiplied by 10^(-1/5) after 200 and after 350 of 500 epochs, the weights of the epoch with the lowest validation
loss; test NLL by 200 importance samples.  Unlike there, the binary pixels are not those of Larochelle's set but drawn
with the run's seed; training takes MNIST's first 50,000 images, validation the other 10,000.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import time
from typing import Any

import numpy as np

import numpyvae as nv
from numpyvae.evaluation import log_likelihood

from .long_runs import train
from .results import table, write_section

N_TRAINING, BATCH = 50_000, 100
LR, FACTOR, MILESTONES = 1e-4, 10 ** (-1 / 5), (200, 350)


class AdamInSteps(nv.Adam):
    """Adam whose learning rate is multiplied by FACTOR after so many epochs as MILESTONES says."""

    def step(self, parameters: nv.Parameters) -> None:
        epochs = self.t // (N_TRAINING // BATCH)
        self.lr = LR * FACTOR ** sum(epochs >= milestone for milestone in MILESTONES)
        super().step(parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train pythae's VAE, or resume it.")
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = pathlib.Path("runs") / f"pythae-epochs-{options.epochs}-seed-{options.seed}"
    (images, _), (test, _) = nv.datasets.mnist("train"), nv.datasets.mnist("test")
    rng = np.random.default_rng(options.seed)
    vae = nv.VAE.dense(784, (400,), 40, rng=rng)
    # patience: never stop early, but end with the weights of the best epoch
    records = train(folder, vae, images[:N_TRAINING], optimizer=AdamInSteps(LR), epochs=options.epochs,
                    batch_size=BATCH, rng=rng, binarize="static", validation=images[N_TRAINING:],
                    patience=options.epochs)
    (folder / "result.json").write_text(json.dumps(evaluate(vae, test, records, options)))
    write_results()


def evaluate(vae: nv.VAE, test: np.ndarray, records: list[nv.Record], options: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    found = log_likelihood(vae, test, samples=200, rng=np.random.default_rng(options.seed), binarize="static",
                           progress=True)
    return {**vars(options), "nll": -found.mean, "standard_error": found.standard_error, "caveat": found.caveat,
            "best_epoch": records[-1].best_epoch, "validation_elbo": -min(r.validation.loss for r in records),
            "training_seconds": sum(record.seconds for record in records),
            "evaluation_seconds": time.perf_counter() - start}


def write_results() -> None:
    """A row for each finished run in runs/."""
    runs = [json.loads(path.read_text()) for path in sorted(pathlib.Path("runs").glob("pythae-*/result.json"))]
    rows = [["89.78", f"{run['nll']:.2f} ± {run['standard_error']:.2f} {run['caveat']}".rstrip(),
             f"{run['validation_elbo']:.2f}", f"{run['best_epoch']} of {run['epochs']}", run["seed"],
             f"{run['training_seconds']:.0f}", f"{run['evaluation_seconds']:.0f}"] for run in runs]
    head = ["pythae: NLL", "ours: NLL", "best validation ELBO", "epoch", "seed", "seconds of training",
            "of evaluation"]
    write_section("pythae's VAE", "python -m benchmarks.pythae", f"""
P4.  Nats per image; the standard error is over the test images, and each row, which takes half an hour, is of one seed.
{(__doc__ or '').split('As there: ')[1].strip()}

{table(head, rows)}
""")


if __name__ == "__main__":
    main()
