"""Constructors of VAEs that take a label, or whose q(z|x) may be correlated.  What they make is a VAE."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import CHANNELS, IMAGE, NOT_NEGATIVE, POSITIVE, SIZES, WHOLE, checked
from .posteriors import DiagonalGaussian, FullGaussian
from .vae import VAE, conv_vae, dense_vae


class Constructors:
    """Names under which VAEs are made; not a class of objects."""

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        raise TypeError(f"{cls.__name__} has no objects of its own; expected {cls.__name__}.dense(784, rng=rng), which "
                        "makes a VAE, or, for parts of your own, VAE(encoder, posterior, decoder, likelihood)")


class ConditionalVAE(Constructors):
    """p(x|z, c) and q(z|x, c) for a known class c: the label, one-hot, is appended to x and to z.

    The loss is the VAE's, with c given everywhere:  log p(x|c) >= E_q[ log p(x|z, c) ] - KL( q(z|x, c) || p(z) ).  What
    the label says need not go through the code, so z is left with what the classes have in common: the style.
    [Kingma et al. 2014, M2; Sohn et al. 2015]

        vae = ConditionalVAE.dense(784, rng=rng)
        vae.loss_and_grad(x, eps, labels)
        vae.sample(10, rng, labels=7)                       # ten sevens
    """

    @staticmethod
    @checked(n_data=WHOLE, hidden=SIZES, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE, n_classes=WHOLE)
    def dense(n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              n_classes: int = 10, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> VAE:
        """As VAE.dense, for labels 0 ... n_classes - 1."""
        return dense_vae(VAE, DiagonalGaussian, n_data, hidden, n_latent, likelihood, activation, beta, init, sigma,
                         rng, dtype, n_classes)

    @staticmethod
    @checked(shape=IMAGE, channels=CHANNELS, n_hidden=WHOLE, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE,
             n_classes=WHOLE)
    def conv(shape: Sequence[int] = (28, 28, 1), channels: Sequence[int] = (32, 64), n_hidden: int = 256,
             n_latent: int = 16, likelihood: str = "bernoulli", activation: str = "relu", beta: float = 1.0,
             init: str = "fan-in", sigma: float = 1.0, *, n_classes: int = 10, rng: np.random.Generator,
             dtype: DTypeLike = np.float32) -> VAE:
        """As VAE.conv, for labels 0 ... n_classes - 1; the encoder sees them as channels, see nn.ReshapeLabelled."""
        return conv_vae(VAE, DiagonalGaussian, shape, channels, n_hidden, n_latent, likelihood, activation, beta, init,
                        sigma, rng, dtype, n_classes)


class FullCovarianceVAE(Constructors):
    """q(z|x) = N(mu, L L^T) in place of N(mu, diag exp(logvar)); see posteriors.FullGaussian."""

    @staticmethod
    @checked(n_data=WHOLE, hidden=SIZES, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE)
    def dense(n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              rng: np.random.Generator, dtype: DTypeLike = np.float32) -> VAE:
        """As VAE.dense, for at least two latent dimensions."""
        return dense_vae(VAE, FullGaussian, n_data, hidden, n_latent, likelihood, activation, beta, init, sigma, rng,
                         dtype)

    @staticmethod
    @checked(shape=IMAGE, channels=CHANNELS, n_hidden=WHOLE, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE)
    def conv(shape: Sequence[int] = (28, 28, 1), channels: Sequence[int] = (32, 64), n_hidden: int = 256,
             n_latent: int = 16, likelihood: str = "bernoulli", activation: str = "relu", beta: float = 1.0,
             init: str = "fan-in", sigma: float = 1.0, *, rng: np.random.Generator,
             dtype: DTypeLike = np.float32) -> VAE:
        """As VAE.conv, for at least two latent dimensions."""
        return conv_vae(VAE, FullGaussian, shape, channels, n_hidden, n_latent, likelihood, activation, beta, init,
                        sigma, rng, dtype)
