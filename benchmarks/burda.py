"""The one-layer rows of table 1 of "Importance Weighted Autoencoders" (Burda, Grosse, Salakhutdinov 2016), P3.

    python -m benchmarks.burda vae                   train with the ELBO (k = 1), then evaluate
    python -m benchmarks.burda iwae --samples 5      train with the importance-weighted bound

A run takes from half an hour to hours.  It writes its progress to runs/burda-.../progress.txt and a checkpoint every
minute; the same command resumes it.

As in the paper: 784-200-200-50-200-200-784, tanh, Glorot's initial weights, the output's bias at the logit of the mean
training image, pixels binarised again at random in every epoch, Adam with beta1 0.9, beta2 0.999, eps 1e-4; test NLL
by 5000 importance samples on the 10,000 test images; a unit is active if Var_x(E_q[z]) > 0.01.  Unlike the paper:
minibatches of 100, not 20, and a learning rate that falls smoothly from 2e-3 to 1e-4, over --epochs epochs instead of
the paper's 3,280; the test images are binarised once, with the run's seed.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import time
from typing import Any

import numpy as np

import numpyvae as nv
from numpyvae.evaluation import active_units, log_likelihood

from .long_runs import train
from .results import table, write_section

PAPER = {("vae", 1): "86.76 (19)", ("iwae", 5): "85.54 (22)", ("iwae", 50): "84.78 (25)"}
TITLE = "Table 1 of the IWAE paper"


def make_vae(images: np.ndarray, rng: np.random.Generator) -> nv.VAE:
    """The paper's network, its output's bias at the logit of the mean image."""
    vae = nv.VAE.dense(784, (200, 200), 50, activation="tanh", init="glorot", rng=rng)
    mean = np.clip(images.reshape(len(images), -1).mean(axis=0) / 255, 1e-3, 1 - 1e-3)
    vae.parameters["decoder.2.b"][:] = np.log(mean / (1 - mean))
    return vae


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a row of the IWAE paper's table 1, or resume it.")
    parser.add_argument("objective", choices=["vae", "iwae"])
    parser.add_argument("--samples", type=int, default=1, help="k, for iwae")
    parser.add_argument("--epochs", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    name = f"{options.objective}-{options.samples}-epochs-{options.epochs}-seed-{options.seed}"
    folder = pathlib.Path("runs") / f"burda-{name}"
    (images, _), (test, _) = nv.datasets.mnist("train"), nv.datasets.mnist("test")
    rng = np.random.default_rng(options.seed)
    vae = make_vae(images, rng)
    records = train(folder, vae, images, optimizer=nv.Adam(2e-3, eps=1e-4), lr_end=1e-4, epochs=options.epochs,
                    batch_size=100, rng=rng, binarize="dynamic", validation=test, samples=options.samples,
                    objective=nv.objectives.iwae if options.objective == "iwae" else None)
    (folder / "result.json").write_text(json.dumps(evaluate(vae, records, options)))
    write_results()


def evaluate(vae: nv.VAE, records: list[nv.Record], options: argparse.Namespace) -> dict[str, Any]:
    test, _ = nv.datasets.mnist("test")
    start = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    found = log_likelihood(vae, test, samples=5000, rng=rng, binarize="static", progress=True)
    mean, _ = vae.encode((test.reshape(len(test), -1) / 255).astype(np.float32))
    return {**vars(options), "nll": -found.mean, "standard_error": found.standard_error, "caveat": found.caveat,
            "active_units": int(active_units(mean).sum()), "test_elbo": -records[-1].validation.loss,
            "training_seconds": sum(record.seconds for record in records),
            "evaluation_seconds": time.perf_counter() - start}


def write_results() -> None:
    """A row for each finished run in runs/."""
    runs = [json.loads(path.read_text()) for path in sorted(pathlib.Path("runs").glob("burda-*/result.json"))]
    rows = [[f"{run['objective'].upper()} k={run['samples']}", PAPER.get((run["objective"], run["samples"]), "–"),
             f"{run['nll']:.2f} ± {run['standard_error']:.2f} ({run['active_units']}) {run.get('caveat', '')}".rstrip(),
             f"{run['test_elbo']:.2f}", run["epochs"], run["seed"], f"{run['training_seconds']:.0f}",
             f"{run['evaluation_seconds']:.0f}"]
            for run in runs]
    head = ["", "paper: NLL (active units)", "ours: NLL (active units)", "test ELBO", "epochs", "seed",
            "seconds of training", "of evaluation"]
    write_section(TITLE, "python -m benchmarks.burda", f"""
Nats per image; the standard error is over the test images, and each row, which takes hours, is of one seed.
{(__doc__ or '').split('As in the paper: ')[1].strip()}

{table(head, rows)}
""")


if __name__ == "__main__":
    main()
