"""How noisy is each estimate of the same gradient?

    python -m benchmarks.estimators

A VAE on MNIST, early in training and later, and one fixed batch: the gradient for the encoder is estimated again and
again with new noise.  For each estimator: the total variance, summed over the encoder's weights, relative to the
reparameterised one's; and how far the means lie apart, in standard errors: they estimate the same number.

Five seeds, together a quarter of an hour; what is done is kept in runs/estimators, and the same command goes on there.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import numpyvae as nv
from numpyvae.training import objectives

from .results import SEEDS, once, table, with_spread, write_section

BATCH, LATENT, DRAWS = 32, 8, 500
Estimator = Callable[[nv.VAE, np.ndarray, np.ndarray], Any]


def mean_and_variance(vae: nv.VAE, x: np.ndarray, estimate: Estimator, k: int,
                      rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The mean of the encoder's gradient over DRAWS draws of noise, and the sum of its entries' variances."""
    names = [name for name in vae.parameters.names if not name.startswith("decoder")]
    total, squares = 0.0, 0.0
    for _ in range(DRAWS):
        estimate(vae, x, rng.standard_normal((k, len(x), LATENT) if k > 1 else (len(x), LATENT)))
        gradient = np.concatenate([vae.parameters.grad(name).ravel() for name in names])
        total, squares = total + gradient, squares + gradient @ gradient
    mean = total / DRAWS
    return mean, float(squares - DRAWS * mean @ mean) / (DRAWS - 1)


def baseline_of(vae: nv.VAE, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image's mean nll, from other noise: independent of the draws it is subtracted from."""
    draws = []
    for _ in range(50):
        mu, logvar = vae.encode(x)
        z = mu + np.exp(0.5 * logvar) * vae.noise(len(x), rng)[0]
        draws.append(vae.likelihood.nll(vae.decoder.forward(z), x))
    return np.mean(draws, axis=0)


def compare(vae: nv.VAE, x: np.ndarray, rng: np.random.Generator) -> dict[str, list[float]]:
    """For each estimator the three figures of the tables; the first of each bound is the yardstick for the others."""
    baseline = baseline_of(vae, x, rng)
    families: list[dict[str, tuple[Estimator, int]]] = [
        {"ELBO: reparameterised": (nv.VAE.loss_and_grad, 1),
         "ELBO: score function": (objectives.score_function, 1),
         "ELBO: score function, with each image's mean as baseline": (
             lambda vae, x, eps: objectives.score_function(vae, x, eps, baseline), 1),
         "ELBO: sticking the landing": (objectives.sticking_the_landing, 1)},
        *({f"IWAE, {k} samples: the bound's derivative": (objectives.iwae, k),
           f"IWAE, {k} samples: doubly reparameterised": (objectives.dreg, k)} for k in (5, 50))]
    figures = {}
    for family in families:
        first: tuple[np.ndarray, float] | None = None
        for name, (estimate, k) in family.items():
            mean, variance = mean_and_variance(vae, x, estimate, k, rng)
            first = first or (mean, variance)
            apart = np.linalg.norm(mean - first[0]) / np.sqrt((variance + first[1]) / DRAWS)
            figures[name] = [variance / first[1], float(np.linalg.norm(mean)) / variance**0.5, float(apart)]
    return figures


def measure(epochs: int, seed: int) -> dict[str, list[float]]:
    """The figures after so many epochs of training; the seed is that of weights, batches and noise."""
    images, _ = nv.datasets.mnist("train")
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(784, (200,), LATENT, activation="tanh", rng=rng, dtype=np.float64)
    for _ in nv.fit(vae, images[:10_000], optimizer=nv.Adam(1e-3), epochs=epochs, batch_size=100, rng=rng,
                    binarize="dynamic"):
        pass
    return compare(vae, (images[-BATCH:].reshape(BATCH, -1) > 127).astype(float), rng)


def main() -> None:
    tables = []
    for epochs in (1, 20):
        runs = [once(f"estimators/epochs-{epochs}-seed-{seed}", functools.partial(measure, epochs, seed))
                for seed in SEEDS]
        head = [f"after epoch {epochs}", "variance, times the first of its bound", "signal to noise",
                "from the first's mean, in standard errors"]
        rows = []
        for name in runs[0]:
            ratio, signal, apart = zip(*(run[name] for run in runs))
            is_first = set(apart) == {0}
            rows.append([name, "1" if is_first else with_spread(ratio, ".3g"), with_spread(signal, ".3g"),
                         "–" if is_first else with_spread(apart, ".2f")])
        tables.append(table(head, rows))
    write_section("The variance of gradient estimators", "python -m benchmarks.estimators", f"""
784-200-{LATENT} tanh, Bernoulli, 10,000 MNIST images, float64; a batch of {BATCH} images that it has not seen,
{DRAWS} draws of noise for each estimator and seed.  The variance is the sum over the encoder's weights; signal to noise
is the length of the mean gradient over the root of that variance.  Two means of the same number lie about 1 standard
error apart.  Mean ± sample standard deviation over {len(SEEDS)} seeds of weights, training and noise.

{(chr(10) * 2).join(tables)}
""")


if __name__ == "__main__":
    main()
