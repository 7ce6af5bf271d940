"""log p(x) of a test set, by importance sampling.

    p(x) = int p(x|z) p(z) dz = E_q[ w ],    w = p(x|z) p(z) / q(z|x),    z ~ q(z|x),

so the mean of K weights is an unbiased estimate of p(x) for any q that is nowhere zero, and a precise one where q is
near the posterior: for q = p(z|x) every weight is p(x) itself.  Its logarithm is what is reported,

    log p(x) ~ log( 1/K sum_k w_k ),

and that is a little too low on average, E log <= log E (Jensen), by about var(w) / (2 K p(x)^2) nats: a likelihood is
never flattered.                                                     [Burda et al. 2016, section 5; lesson 8]
"""
from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..arguments import AT_LEAST_2, checked
from ..functional.gaussian import gaussian_log_density, reparameterize
from ..pixels import Pixels, drawn_once

Array = np.ndarray
ROWS_AT_ONCE = 1000    # decoded images in memory together: 3 MB of them for 784 pixels, so they stay in the cache


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), in nats.

    values                : (N,), one for each image
    standard_errors       : (N,), of each value: the spread of its weights, by the delta method; too small where q
                            misses a part of the posterior, and with it the largest weights
    effective_sample_size : (N,), (sum w)^2 / sum w^2: as many draws from the posterior itself would serve as well
    """

    values: Array
    standard_errors: Array
    effective_sample_size: Array

    @property
    def mean(self) -> float:
        """Over the images."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean: how much it would differ for other test images, and other draws."""
        return float(self.values.std() / np.sqrt(len(self.values)))


@checked(samples=AT_LEAST_2, images="numbers: ...", labels="any: ...")
def log_likelihood(vae: Any, images: Array, samples: int = 5000, *, rng: np.random.Generator, binarize: str = "none",
                   labels: Array | None = None, progress: bool = False) -> LogLikelihood:
    """log p(x) of each image by importance sampling, from `samples` draws of q(z|x) each.

    images, binarize, labels : as in numpyvae.fit; binary pixels are drawn once
    progress                 : show a bar of the images

    Beside the images it holds no more than ROWS_AT_ONCE decoded images and a number for each sample of one image,
    however many images and samples there are.

    Raises ValueError or TypeError that names the argument that does not fit.
    """
    pixels = Pixels("images", images, vae, drawn_once(binarize), rng, labels)
    found = np.empty((3, len(pixels)))
    for i in _bar(len(pixels)) if progress else range(len(pixels)):
        x = pixels.batch(np.array([i]))
        log_w = _log_weights(vae, x, samples, rng)
        top = log_w.max()
        w = np.exp(log_w - top)
        mean = w.mean()
        found[:, i] = top + np.log(mean), w.std() / mean / np.sqrt(samples), w.sum()**2 / np.sum(w**2)
    return LogLikelihood(*found)


def _log_weights(vae: Any, x: Array, samples: int, rng: np.random.Generator) -> Array:
    """log p(x|z) + log p(z) - log q(z|x) of `samples` draws of z for one image: x (1, D) -> (K,)."""
    mu, logvar = vae.encode(x)
    log_w = np.empty(samples)
    rows_of_x = np.repeat(x, min(samples, ROWS_AT_ONCE), axis=0)
    for start in range(0, samples, ROWS_AT_ONCE):
        n = min(ROWS_AT_ONCE, samples - start)
        (eps,) = vae.noise(n, rng)
        mus, logvars = np.repeat(mu, n, axis=0), np.repeat(logvar, n, axis=0)
        z = reparameterize(mus, logvars, eps)
        zero = np.zeros_like(z)
        log_w[start:start + n] = (gaussian_log_density(z, zero, zero) - gaussian_log_density(z, mus, logvars)
                                  - vae.likelihood.nll(vae.decoder.forward(z), rows_of_x[:n]))
    return log_w


def _bar(n: int) -> Any:
    from tqdm.auto import trange
    return trange(n, desc="log p(x)", leave=False, unit="image")
