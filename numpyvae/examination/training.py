"""What surrounds a VAE: batches, momentum, early stopping, and the importance-weighted bound."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import counted, shown
from .report import NOT_CHECKED, OK, WRONG, Finding
from .subject import numbers

Array = np.ndarray
Function = Callable[..., Any]

IMAGES, REMAINDER, BATCH = 60, 2, 5
EPOCHS = 2
STEPS = 20              # with a constant gradient, and as many without one
NOTHING = 1e-5          # of the largest step: float32 rounds the values that steps are differences of
PATIENCE_LIMIT = 1000
SAMPLES = 4000
BOUND = "the bound on log p(x), (B,) or its mean"


def check_batches(batches: Function | None) -> Finding:
    """Every image once per epoch, in batches that differ from epoch to epoch; and what becomes of a remainder."""
    if batches is None:
        return Finding("batches", NOT_CHECKED, "batches was not given.")
    epochs = [_epoch(batches, IMAGES) for _ in range(EPOCHS)]
    seen = [sorted(np.concatenate(epoch).tolist()) if epoch else [] for epoch in epochs]
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
    return _remainder(batches, evidence)


def _remainder(batches: Function, evidence: str) -> Finding:
    """What becomes of the last images where the batch size does not divide their number."""
    n = IMAGES + REMAINDER
    left_out = [set(range(n)) - {i for batch in _epoch(batches, n) for i in batch.tolist()} for _ in range(EPOCHS + 1)]
    if not any(left_out):
        return Finding("batches", OK, evidence)
    dropped = f"{evidence} Of {n} images an epoch drops the remainder, {len(left_out[0])}"
    if len(left_out[0]) > REMAINDER:
        return Finding("batches", WRONG, f"{dropped}.", "more images are dropped than an incomplete batch holds.")
    if all(epoch == left_out[0] for epoch in left_out):
        return Finding("batches", WRONG, f"{dropped}, the same in every epoch.", "these images are never seen: keep "
                       "the last, smaller batch, or shuffle before each epoch, so that others are dropped each time.")
    return Finding("batches", OK, f"{dropped}, others in each epoch.")


def _epoch(batches: Function, n: int) -> list[Array]:
    """The images' numbers in the batches of one epoch; of a tuple or a list, as with labels, the first entry counts."""
    images = np.arange(n, dtype=float)[:, None]
    epoch = []
    for batch in batches(images, BATCH):
        batch = batch[0] if isinstance(batch, (tuple, list)) and len(batch) else batch
        rows = numbers("batches", batch, "batches of the images that it is given").ravel()
        if not np.isin(rows, images).all():
            raise ValueError("batches gives numbers that are none of the images' pixels; expected batches of the "
                             "images that it is given, unchanged")
        epoch.append(rows.astype(int))
    return epoch


def check_momentum(momentum: Function | None) -> Finding:
    """Steps under a constant gradient, then under none: where there is momentum m, they go on, m times smaller each.

    With v <- m v + g the first ones are 1, 1 + m, 1 + m + m^2, ...  Dampening and exponential averages scale g,
    Nesterov's steps are one ahead: in all of them each step differs from the one before by m times what that did.
    """
    if momentum is None:
        return Finding("momentum", NOT_CHECKED, "momentum was not given.")
    values = [np.zeros(1)]
    for t in range(2 * STEPS):
        gradient = np.ones(1) if t < STEPS else np.zeros(1)
        value = numbers("momentum", momentum(values[-1].copy(), gradient), "the new values, of the same shape")
        if value.size != 1 or not np.isfinite(value).all():
            return Finding("momentum", WRONG, f"momentum gives {shown(value.tolist())} for one value.",
                           "expected the new values, finite and of the same shape.")
        values.append(value.reshape(1).astype(float))
    steps = np.diff(np.concatenate(values))
    pushed, coasting = steps[:STEPS], steps[STEPS:]
    evidence = f"under a constant gradient the first steps are {', '.join(f'{s:.4g}' for s in np.abs(pushed[:4]))}"
    size = np.abs(steps).max()
    if not np.abs(coasting[0]) > NOTHING * size:
        return Finding("momentum", WRONG, f"{evidence}; when it ends, so do they.", "momentum never accumulates: the "
                       "velocity starts from zero in each step, or is computed and thrown away.  It must outlive the "
                       "step.")
    m = coasting[1] / coasting[0]
    growth = np.diff(pushed)
    ends = pushed[-1] + growth[-1] * m / (1 - m) if m != 1 else 0.0    # where the steps tend to
    geometric = all(np.abs(series[1:] - m * series[:-1]).max() <= 10 * NOTHING * size for series in (coasting, growth))
    if not 0 < m < 1 or not geometric or not pushed[0] * ends > 0 or not abs(ends) > NOTHING * size:
        return Finding("momentum", WRONG, f"{evidence}; when it ends, {', '.join(f'{s:.4g}' for s in coasting[:3])}.",
                       "the steps are not geometric sums: with v <- m v + g each "
                       "adds m times what the previous one added.")
    return Finding("momentum", OK, evidence + f": sums of powers of m = {m:.4g}.")


def check_early_stopping(stop: Function | None) -> Finding:
    """Continues while the loss falls, stops when it rises for good."""
    if stop is None:
        return Finding("early stopping", NOT_CHECKED, "stop was not given.")
    falling = [100.0 - epoch for epoch in range(50)]
    wavering = [51.0 + 2.0 + (epoch % 2) for epoch in range(PATIENCE_LIMIT)]    # above the best, up and down
    for epoch in range(len(falling)):
        if _stops(stop, falling[:epoch + 1]):
            return Finding("early stopping", WRONG, f"it stops in epoch {epoch + 1}, though every loss is below all "
                           "those before it.", "a smaller loss is better: look at the direction of the comparison, and "
                           "at the best loss to begin with (infinity, not 0).")
    for epoch in range(len(wavering)):
        if _stops(stop, falling + wavering[:epoch + 1]):
            return Finding("early stopping", OK, f"50 falling losses pass; it stops {counted(epoch + 1, 'epoch')} "
                           "after the best.")
    return Finding("early stopping", WRONG, f"it has not stopped {PATIENCE_LIMIT} epochs after the best loss.",
                   "early stopping never fires: compare with the best loss so far, not with the last one, and do not "
                   "count from zero again in each epoch.")


def _stops(stop: Function, losses: list[float]) -> bool:
    answer = numbers("stop", stop(losses), "True or False")
    if answer.size != 1:
        raise ValueError(f"stop gives shape {answer.shape}; expected True or False")
    return bool(answer.reshape(()))


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
        found = numbers("iwae", iwae(x, rng.standard_normal((B, n_samples, Z)), encode, log_likelihood), BOUND)
        if found.size not in (1, B):
            raise ValueError(f"iwae gives shape {found.shape} for {B} images; expected {BOUND}")
        return found.ravel().astype(float) if found.size == B else found.reshape(()).astype(float)

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
