"""log p(x) of a test set, by importance sampling.

    p(x) = int p(x|z) p(z) dz = E_q[ w ],    w = p(x|z) p(z) / q(z|x),    z ~ q(z|x),

so the mean of K weights is an unbiased estimate of p(x) for any q that is nowhere zero, and a precise one where q is
near the posterior: for q = p(z|x) every weight is p(x) itself.  We report the mean's logarithm,

    log p(x) ~ log( 1/K sum_k w_k ),

which is too low on average, E log <= log E (Jensen): on average the estimate never flatters.  With a good q it is
too low by only about var(w) / (2 K p(x)^2) nats.           [Burda et al. 2016, section 5; lesson 8, eq. 8.5]

How far off is it?  The spread of the weights says so only if q covers the posterior.  Where q is too narrow, the
largest weights are so rare that most runs see none of them: the estimate is too low, and so is its error, since both
miss the same weights.  What is seen of the tail gives this away: above some threshold any tail is nearly a generalised
Pareto distribution, whose shape k says how heavy it is.  From k = 1/2 on the variance is infinite, and a standard error
means little.  A part of the posterior that no draw has reached leaves no trace in the tail, and nothing here can tell.
[Vehtari, Simpson, Gelman, Yao & Gabry 2024, section 2]
"""
from __future__ import annotations

import copy
import dataclasses
import queue
from typing import Any

import numpy as np

from ..arguments import AT_LEAST_2, checked
from ..models.posteriors import repeated
from ..models.vae import VAE
from ..training.batches import Pixels, drawn_once
from .cores import a_thread_for_each_core

Array = np.ndarray
ROWS_AT_ONCE = 1000    # decoded images in memory at a time: 3 MB for 784 pixels, so they stay in the cache
HEAVY = 0.5            # the shape k at and above which the variance of the weights is infinite
LEAST_TAIL = 5         # weights, below which a tail has no shape that could be told


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), in nats.  Printed, it says its mean, how far that may be off, and whether q is too poor.

    values                : (N,), one for each image
    standard_errors       : (N,), of each value: the spread of its weights, by the delta method; too small where q
                            misses a part of the posterior, and with it the largest weights
    effective_sample_size : (N,), (sum w)^2 / sum w^2: this many draws from the posterior itself would do as well
    pareto_k              : (N,), how heavy the tail of each image's weights is: from 0.5 on, value and error are too
                            small; NaN for fewer than 25 samples, which are too few to tell
    """

    values: Array
    standard_errors: Array
    effective_sample_size: Array
    pareto_k: Array | None = None

    @property
    def mean(self) -> float:
        """The mean over the images."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of the mean: how much it would vary with other test images and draws.

        The values differ because the images do, and because each has an error of its own: with S^2 their sample
        variance (N - 1 in the denominator), which has both in it, the error is S / sqrt(N).  Few values may happen to
        lie closer together than their own errors e_i allow, so S^2 counts as no less than the mean of e_i^2.

        NaN for a single image, which cannot tell how others differ; its own error is in `standard_errors`.  Mean
        +- 1.96 errors hold the true mean in 95 % of cases for many images, 94 % for 30, 92 % for 10, 70 % for 2: for
        few, take the quantile of Student's t with N - 1 degrees of freedom in place of 1.96.
        """
        n = len(self.values)
        if n < 2:
            return float("nan")
        return float(np.sqrt(max(self.values.var(ddof=1), np.mean(self.standard_errors**2)) / n))

    @property
    def caveat(self) -> str:
        """What to know before the mean and its error are believed, in words; "" if nothing."""
        found = []
        if len(self.values) < 2:
            found.append("the error is unknown: one image does not tell how others differ")
        k = None if self.pareto_k is None else float(np.median(self.pareto_k))
        if k is not None and np.isnan(k):
            found.append("with so few samples nobody can tell whether q covers the posterior: log p(x) may be higher")
        elif k is not None and k >= HEAVY:
            found.append(f"q is poor: the largest weights are missing (Pareto k {k:.2f}, expected below {HEAVY}), so "
                         "log p(x) is probably higher, by more than the error says")
        return "; ".join(found)

    def __str__(self) -> str:
        error = "" if len(self.values) < 2 else f" ± {self.standard_error:.2f}"
        return f"{self.mean:z.2f}{error} nats" + (f" ({self.caveat})" if self.caveat else "")


@checked(samples=AT_LEAST_2, images="numbers: ...", labels="any: ...")
def log_likelihood(vae: VAE, images: Array, samples: int = 5000, *, rng: np.random.Generator, binarize: str = "none",
                   labels: Array | None = None, progress: bool = False) -> LogLikelihood:
    """log p(x) of each image by importance sampling, from `samples` draws of q(z|x) each.

    images, binarize, labels : as in numpyvae.fit; binary pixels are drawn once
    progress                 : show a progress bar of the images

    Each core works on one image at a time.  Besides the images, a core holds a copy of the model, at most ROWS_AT_ONCE
    decoded images and a number for each sample of one image, however many images and samples there are.

    Raises ValueError or TypeError that names the argument that does not fit.
    """
    pixels = Pixels("images", images, vae, drawn_once(binarize), rng, labels)
    seeds = rng.integers(2**63, size=len(pixels))    # each image has its own draws, whichever core takes it
    with a_thread_for_each_core() as (threads, cores):
        idle: queue.SimpleQueue[tuple[VAE, Pixels]] = queue.SimpleQueue()    # a layer's buffers serve only one thread
        for _ in range(cores):
            own = copy.deepcopy(vae)
            idle.put((own, pixels.into(own)))

        def estimate(i: int) -> tuple[float, float, float, float]:
            own, its_pixels = idle.get()
            try:
                x, given = its_pixels.batch(np.array([i], np.int64))
                return _estimate(_log_weights(own, x, samples, np.random.default_rng(seeds[i]), **given))
            finally:
                idle.put((own, its_pixels))

        found = threads.map(estimate, range(len(pixels)))
        return LogLikelihood(*np.array(list(_bar(found, len(pixels)) if progress else found)).T)


@checked(samples=AT_LEAST_2, images="numbers: ...", labels="any: ...")
def log_weights(vae: VAE, images: Array, samples: int, *, rng: np.random.Generator, binarize: str = "none",
                labels: Array | None = None) -> Array:
    """log w of `samples` draws of q(z|x) for each image, (N, K): the weights whose mean is p(x).  [lesson 8, eq. 8.1]

    Arguments as in `log_likelihood`, which needs no memory for all of them at once.
    """
    pixels = Pixels("images", images, vae, drawn_once(binarize), rng, labels)
    return np.array([_log_weights(vae, x, samples, rng, **given) for x, given in pixels.batches(1)])


@checked(log_w="N K")
def pareto_k(log_w: Array) -> Array:
    """How heavy the tail of each image's weights is, from their logarithms: (N, K) -> (N,).  From 0.5 on their variance
    is infinite, and their mean is mostly too small.                                             [lesson 8, eq. 8.8]

    -inf where all are equal.  Raises ValueError for fewer than 25 weights, which are too few to tell.
    """
    if log_w.shape[1] < 5 * LEAST_TAIL:
        raise ValueError(f"log_w has shape {log_w.shape}; expected at least {5 * LEAST_TAIL} weights of each image")
    return np.array([_pareto_k(np.exp(row - row.max())) for row in np.asarray(log_w, float)])


def _estimate(log_w: Array) -> tuple[float, float, float, float]:
    """An image's value, standard error, effective sample size and shape of the tail, from its weights' logarithms (K,).
    """
    top = log_w.max()
    w = np.exp(log_w - top)
    mean = w.mean()
    error = w.std(ddof=1) / mean / np.sqrt(len(w))
    return top + np.log(mean), error, w.sum()**2 / np.sum(w**2), _pareto_k(w)


def _pareto_k(w: Array) -> float:
    """The shape k of the generalised Pareto distribution that fits the largest weights; NaN where they are too few.

    P(excess > y) = (1 + k y / s)^(-1/k) for the excess y of a weight over the threshold, that is  1 + k y / s = 1 - b y
    with b = -k / s.  For a given b the likelihood is largest for k = mean log(1 - b y), which leaves the profile
    n (log(-b / k) - k), but for a constant.  b is the mean over a grid, weighted by that likelihood: a posterior mean,
    which always exists, unlike the maximum.  With few weights k is drawn towards 1/2, as if by ten more.
    [Zhang & Stephens 2009; the choice of the tail and the ten are from Vehtari et al. 2024, section 3]
    """
    n = int(min(len(w) / 5, 3 * np.sqrt(len(w))))
    if n < LEAST_TAIL:
        return float("nan")
    ordered = np.sort(w)
    y = ordered[-n:] - ordered[-n - 1]
    if y[-1] <= 1e-12 * ordered[-1]:    # equal weights, as for q = p(z|x): no tail
        return float("-inf")
    y = np.maximum(y / y[-1], 1e-30)
    grid = np.arange(1, 31 + int(np.sqrt(n))) - 0.5
    b = 1 + (1 - np.sqrt(len(grid) / grid)) / (3 * y[(n - 2) // 4])
    k = np.log1p(-b[:, None] * y).mean(axis=1)
    profile = n * (np.log(-b / k) - k)
    weight = np.exp(profile - profile.max())
    best = float(np.log1p(-np.average(b, weights=weight) * y).mean())
    return (n * best + 10 * HEAVY) / (n + 10)


def _log_weights(vae: VAE, x: Array, samples: int, rng: np.random.Generator, labels: Array | None = None) -> Array:
    """The logarithms of the weights of `samples` draws of z for one image: x (1, D) -> (K,)."""
    c = vae.one_hot(labels, 1)
    q = vae.infer(x, c)
    log_w = np.empty(samples)
    rows_of_x = np.repeat(x, min(samples, ROWS_AT_ONCE), axis=0)
    for start in range(0, samples, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, samples - start)
        (eps,), rows = vae.noise(n, rng), repeated(q, n)
        z = vae.posterior.reparameterize(rows, eps)
        theta = vae.generate(z, None if c is None else np.repeat(c, n, axis=0))
        log_w[start:start + n] = vae.log_weight(rows, z, vae.likelihood.nll(theta, rows_of_x[:n]))
    return log_w


def _bar(found: Any, n: int) -> Any:
    from tqdm.auto import tqdm
    return tqdm(found, total=n, desc="log p(x)", leave=False, unit="image")
