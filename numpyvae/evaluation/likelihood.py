"""log p(x) of a test set, by importance sampling.

    p(x) = int p(x|z) p(z) dz = E_q[ w ],    w = p(x|z) p(z) / q(z|x),    z ~ q(z|x),

so the mean of K weights is an unbiased estimate of p(x) for any q that is nowhere zero, and a precise one where q is
near the posterior: for q = p(z|x) every weight is p(x) itself.  We report the mean's logarithm,

    log p(x) ~ log( 1/K sum_k w_k ),

which is a little too low on average, E log <= log E (Jensen), by about var(w) / (2 K p(x)^2) nats: on average
the estimate never flatters.                                         [Burda et al. 2016, section 5; lesson 8]
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


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), in nats.

    values                : (N,), one for each image
    standard_errors       : (N,), of each value: the spread of its weights, by the delta method; too small where q
                            misses a part of the posterior, and with it the largest weights
    effective_sample_size : (N,), (sum w)^2 / sum w^2: this many draws from the posterior itself would do as well
    """

    values: Array
    standard_errors: Array
    effective_sample_size: Array

    @property
    def mean(self) -> float:
        """The mean over the images."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of the mean: how much it would vary with other test images and draws."""
        return float(self.values.std() / np.sqrt(len(self.values)))


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

        def estimate(i: int) -> tuple[float, float, float]:
            own, its_pixels = idle.get()
            try:
                x, given = its_pixels.batch(np.array([i], np.int64))
                return _estimate(_log_weights(own, x, samples, np.random.default_rng(seeds[i]), **given))
            finally:
                idle.put((own, its_pixels))

        found = threads.map(estimate, range(len(pixels)))
        return LogLikelihood(*np.array(list(_bar(found, len(pixels)) if progress else found)).T)


def _estimate(log_w: Array) -> tuple[float, float, float]:
    """An image's value, standard error and effective sample size from its weights' logarithms (K,)."""
    top = log_w.max()
    w = np.exp(log_w - top)
    mean = w.mean()
    return top + np.log(mean), w.std() / mean / np.sqrt(len(w)), w.sum()**2 / np.sum(w**2)


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
