"""The importance-weighted bound on log p(x), right and wrong.                         [Burda et al. 2016, eq. 8]

All take x (B, D), eps (B, K, Z), encode and log_likelihood, and return the bound for each image, (B,).
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..exact import log_mean_exp
from ..functional.gaussian import gaussian_kl
from ..kernels.gaussian import HALF_LOG_2_PI

Array = np.ndarray
Encode = Callable[[Array], tuple[Array, Array]]
LogLikelihood = Callable[[Array, Array], Array]


def log_weights(x: Array, eps: Array, encode: Encode, log_likelihood: LogLikelihood) -> Array:
    """log p(x, z) / q(z|x) for K samples of each image, as rows image by image: (B K,)."""
    B, K, n_latent = eps.shape
    mu, logvar = (np.repeat(part, K, axis=0) for part in encode(x))
    noise = eps.reshape(B * K, n_latent)
    z = mu + np.exp(0.5 * logvar) * noise
    log_prior = -np.sum(0.5 * z**2 + HALF_LOG_2_PI, axis=1)
    log_q = -np.sum(0.5 * noise**2 + 0.5 * logvar + HALF_LOG_2_PI, axis=1)
    return log_likelihood(z, np.repeat(x, K, axis=0)) + log_prior - log_q


def iwae_bound(x: Array, eps: Array, encode: Encode, log_likelihood: LogLikelihood) -> Array:
    """log 1/K sum_k p(x, z_k) / q(z_k|x), below log p(x) on average and closer the larger K."""
    B, K, _ = eps.shape
    return log_mean_exp(log_weights(x, eps, encode, log_likelihood).reshape(B, K))


def analytic_kl(x: Array, eps: Array, encode: Encode, log_likelihood: LogLikelihood) -> Array:
    """log p(x|z) - KL as the weights, with the KL's closed form, which does not depend on the z that was drawn."""
    B, K, n_latent = eps.shape
    mu, logvar = (np.repeat(part, K, axis=0) for part in encode(x))
    z = mu + np.exp(0.5 * logvar) * eps.reshape(B * K, n_latent)
    log_w = log_likelihood(z, np.repeat(x, K, axis=0)) - gaussian_kl(mu, logvar)
    return log_mean_exp(log_w.reshape(B, K))


def mixed_reshape(x: Array, eps: Array, encode: Encode, log_likelihood: LogLikelihood) -> Array:
    """Rows ordered image by image, reshaped as if they were ordered sample by sample."""
    B, K, _ = eps.shape
    return log_mean_exp(log_weights(x, eps, encode, log_likelihood).reshape(K, B).T)


def positive_softmax(x: Array, eps: Array, encode: Encode, log_likelihood: LogLikelihood) -> Array:
    """Weights the samples by softmax(+loss): the worst explanation of the image counts most."""
    B, K, _ = eps.shape
    loss = -log_weights(x, eps, encode, log_likelihood).reshape(B, K)
    weights = np.exp(loss - loss.max(axis=1, keepdims=True))
    return -np.sum(weights * loss, axis=1) / np.sum(weights, axis=1)
