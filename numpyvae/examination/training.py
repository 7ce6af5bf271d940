"""What surrounds a VAE: batches, momentum, early stopping, and the importance-weighted bound."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import counted
from .report import NOT_CHECKED, OK, WRONG, Finding

Array = np.ndarray
Function = Callable[..., Any]

IMAGES, BATCH = 60, 5
PATIENCE_LIMIT = 1000
SAMPLES = 4000


def check_batches(batches: Function | None) -> Finding:
    """Every image once per epoch, in batches that differ from epoch to epoch."""
    if batches is None:
        return Finding("batches", NOT_CHECKED, "batches was not given.")
    images = np.arange(IMAGES, dtype=float)[:, None]
    epochs = [[np.asarray(batch).ravel().astype(int) for batch in batches(images, BATCH)] for _ in range(2)]
    seen = [sorted(np.concatenate(epoch).tolist()) for epoch in epochs]
    if any(epoch != list(range(IMAGES)) for epoch in seen):
        missing, double = (len(set(range(IMAGES)) - set(seen[0])), len(seen[0]) - len(set(seen[0])))
        return Finding("batches", WRONG, f"of {IMAGES} images an epoch misses {missing} and repeats {double}.",
                       "every image should occur once per epoch: take the batches from one permutation.")
    orders = [np.concatenate(epoch).tolist() for epoch in epochs]
    if orders[0] == orders[1]:
        return Finding("batches", WRONG, "two epochs have the same order.",
                       "the images are not shuffled, or are shuffled by a generator reseeded in every epoch.")
    first, second = ({frozenset(batch.tolist()) for batch in epoch} for epoch in epochs)
    evidence = (f"{IMAGES} images in batches of {BATCH}: every image once per epoch; "
                f"{len(first & second)} of {len(first)} batches of the first epoch occur again in the second.")
    if first == second:
        return Finding("batches", WRONG, evidence, "the starts of the batches are shuffled, not the images: the same "
                       "images share a batch in every epoch.  Shuffle the images' indices and cut those into batches.")
    return Finding("batches", OK, evidence)


def check_momentum(momentum: Function | None) -> Finding:
    """Under a constant gradient the steps grow as 1 + m + m^2 + ..."""
    if momentum is None:
        return Finding("momentum", NOT_CHECKED, "momentum was not given.")
    values = [np.zeros(1)]
    for _ in range(20):
        values.append(np.array(momentum(values[-1].copy(), np.ones(1)), dtype=float))
    steps = np.abs(np.diff(np.concatenate(values)))
    m = steps[1] / steps[0] - 1
    evidence = f"under a constant gradient the first steps are {', '.join(f'{s:.4g}' for s in steps[:4])}"
    if abs(m) < 1e-6:
        return Finding("momentum", WRONG, evidence + ": they do not grow.", "momentum never accumulates: the velocity "
                       "starts from zero in each step, or is computed and thrown away.  It must outlive the step.")
    expected = steps[0] * np.cumsum(m ** np.arange(20))
    if not 0 < m < 1 or not np.allclose(steps, expected, rtol=1e-4):
        return Finding("momentum", WRONG, evidence + ".", "the steps are not geometric sums: with v <- m v + g each "
                       "adds m times what the previous one added.")
    return Finding("momentum", OK, evidence + f": sums of powers of m = {m:.4g}.")


def check_early_stopping(stop: Function | None) -> Finding:
    """Continues while the loss falls, stops when it rises for good."""
    if stop is None:
        return Finding("early stopping", NOT_CHECKED, "stop was not given.")
    falling = [100.0 - epoch for epoch in range(50)]
    wavering = [51.0 + 2.0 + (epoch % 2) for epoch in range(PATIENCE_LIMIT)]    # above the best, up and down
    for epoch in range(len(falling)):
        if stop(falling[:epoch + 1]):
            return Finding("early stopping", WRONG, f"it stops in epoch {epoch + 1}, though every loss is below all "
                           "those before it.", "a smaller loss is better: look at the direction of the comparison, and "
                           "at the best loss to begin with (infinity, not 0).")
    for epoch in range(len(wavering)):
        if stop(falling + wavering[:epoch + 1]):
            return Finding("early stopping", OK, f"50 falling losses pass; it stops {counted(epoch + 1, 'epoch')} "
                           "after the best.")
    return Finding("early stopping", WRONG, f"it has not stopped {PATIENCE_LIMIT} epochs after the best loss.",
                   "early stopping never fires: compare with the best loss so far, not with the last one, and do not "
                   "count from zero again in each epoch.")


def check_iwae(iwae: Function | None, rng: np.random.Generator) -> Finding:
    """The importance-weighted bound where log p(x) is known: probabilistic PCA with orthogonal factors.

    x = W z + sigma noise, W^T W = diag(l).  Then p(x) = N(0, W W^T + sigma^2 I), and the posterior is
    N(W^T x / (l + sigma^2), diag(sigma^2 / (l + sigma^2))).                [Tipping & Bishop 1999, eq. 5 and 7]
    With it as q every weight p(x, z) / q(z|x) is p(x), so the bound is exact for any z.  With another q the bound
    approaches log p(x) as the number of samples grows.                        [Burda et al. 2016, theorem 1]
    """
    if iwae is None:
        return Finding("iwae", NOT_CHECKED, "iwae was not given.")
    D, Z, B, sigma = 5, 2, 3, 0.7
    scale = np.array([1.5, 0.8])
    W = np.linalg.qr(rng.standard_normal((D, Z)))[0] * scale
    x = rng.standard_normal((B, Z)) @ W.T + sigma * rng.standard_normal((B, D))
    total = scale**2 + sigma**2
    covariance = W @ W.T + sigma**2 * np.eye(D)
    exact = -0.5 * (np.sum(x @ np.linalg.inv(covariance) * x, axis=1) + np.linalg.slogdet(2 * np.pi * covariance)[1])

    def log_likelihood(z: Array, x: Array) -> Array:
        return -0.5 * np.sum((x - z @ W.T)**2, axis=1) / sigma**2 - 0.5 * D * np.log(2 * np.pi * sigma**2)

    def posterior(x: Array) -> tuple[Array, Array]:
        return x @ W / total, np.tile(np.log(sigma**2 / total), (len(x), 1))

    def rough(x: Array) -> tuple[Array, Array]:
        mu, logvar = posterior(x)
        return mu + 0.3, logvar + 0.5

    def bound(encode: Function, n_samples: int) -> Array:
        return np.asarray(iwae(x, rng.standard_normal((B, n_samples, Z)), encode, log_likelihood), dtype=float)

    def compare(found: Array) -> float:
        return float(np.max(np.abs(found - (exact if found.shape == exact.shape else exact.mean()))))

    sharp, few, many = compare(bound(posterior, 5)), bound(rough, 1), bound(rough, SAMPLES)
    loose = compare(many)
    evidence = (f"linear model with known log p(x): with the exact posterior as q, 5 samples, off by {sharp:.2g} nats "
                f"(expected 0); with a rough q, {SAMPLES} samples, by {loose:.2g} (expected below 0.1).")
    if sharp < 1e-6 and loose < 0.1:
        return Finding("iwae", OK, evidence)
    if sharp < 1e-6:
        return Finding("iwae", WRONG, evidence + f" One sample gives {few.mean():.4f}, {SAMPLES} give "
                       f"{many.mean():.4f}; the exact value is {exact.mean():.4f}.", "more samples do not bring it up "
                       "to log p(x). The worst sample weighs most if the weights are softmax(+loss): they must be "
                       "softmax(log w) = softmax(-loss); the bound itself is log mean exp(log w).")
    return Finding("iwae", WRONG, evidence, _iwae_mistake(x, iwae, posterior, log_likelihood, rng, (B, 4, Z)))


def _iwae_mistake(x: Array, iwae: Function, encode: Function, log_likelihood: Function, rng: np.random.Generator,
                  shape: tuple[int, int, int]) -> str:
    """If an image's bound changes with another image's noise, images are mixed; else the weights are wrong."""
    eps = rng.standard_normal(shape)
    other = eps.copy()
    other[-1] = rng.standard_normal(shape[1:])
    first, second = (np.asarray(iwae(x, noise, encode, log_likelihood)) for noise in (eps, other))
    one_image = np.asarray(iwae(x[:1], eps[:1], encode, log_likelihood), dtype=float).reshape(-1)[0]
    alone = np.asarray([np.asarray(iwae(x[i:i + 1], eps[i:i + 1], encode, log_likelihood)).reshape(-1)[0]
                        for i in range(len(x))])
    together = alone if first.shape == alone.shape else alone.mean()
    if not np.allclose(first, together) or (first.shape == alone.shape and not np.isclose(first[0], second[0])):
        return ("a reshape mixes samples and images: an image's bound changes with the other images in the batch "
                f"(alone {one_image:.4f}).  Rows repeated image by image must be reshaped to (B, K), not (K, B).")
    return ("the weights are not p(x, z) / q(z|x): with the analytic KL in them it is not a bound.  log w = "
            "log p(x|z) + log p(z) - log q(z|x), each at the sampled z.")
