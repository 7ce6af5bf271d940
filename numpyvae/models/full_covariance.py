"""A VAE whose q(z|x) may be tilted: N(mu, L L^T) in place of N(mu, diag exp(logvar))."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arguments import LAYER, LIKELIHOOD, checked
from ..functional.full_gaussian import (full_gaussian_kl, full_gaussian_kl_backward, full_reparameterize,
                                        full_reparameterize_backward)
from ..nn.layers import Dense, Layer, Sequential
from .likelihoods import Likelihood
from .model import LossTerms
from .vae import VAE

Array = np.ndarray


class FullCovarianceVAE(VAE):
    """The VAE with a full covariance in q(z|x), by a third head: (B, Z^2), of which what lies below L's
    diagonal is read.

    The lecture asks what the diagonal costs: the ELBO lacks KL(q || p(z|x)) to log p(x), and where the true posterior
    is tilted no diagonal q can bring that to zero.  `encode` gives q's mean and the variances of its single dimensions.
    """

    @checked(lower_head=LAYER, likelihood=LIKELIHOOD)
    def __init__(self, encoder: Sequential, mu_head: Dense, logvar_head: Dense, lower_head: Dense, decoder: Sequential,
                 likelihood: Likelihood, beta: float, dtype: Any, config: dict[str, Any], network: str = "dense"):
        self.lower_head = lower_head
        super().__init__(encoder, mu_head, logvar_head, decoder, likelihood, beta, dtype, config, network)

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        yield from super().named_layers()
        yield "lower_head", self.lower_head

    @classmethod
    @checked()
    def dense(cls, n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              rng: np.random.Generator, dtype: Any = np.float32) -> FullCovarianceVAE:
        """As VAE.dense, for at least two latent dimensions."""
        return cls._with_third_head(VAE.dense(n_data, hidden, n_latent, likelihood, activation, beta, init, sigma,
                                              rng=rng, dtype=dtype), rng)

    @classmethod
    def conv(cls, *args: Any, rng: np.random.Generator, **options: Any) -> FullCovarianceVAE:
        """As VAE.conv, for at least two latent dimensions."""
        return cls._with_third_head(VAE.conv(*args, rng=rng, **options), rng)

    @classmethod
    def _with_third_head(cls, vae: VAE, rng: np.random.Generator) -> FullCovarianceVAE:
        if vae.n_latent < 2:
            raise ValueError(f"n_latent is {vae.n_latent}; expected at least 2: one dimension has nothing to be tilted "
                             "against, use VAE")
        lower_head = Dense(len(vae.mu_head.params["W"]), vae.n_latent**2, init=vae.config["init"], rng=rng,
                           dtype=vae.dtype)
        return cls(vae.encoder, vae.mu_head, vae.logvar_head, lower_head, vae.decoder, vae.likelihood, vae.beta,
                   vae.dtype, vae.config, vae.network)

    def loss_and_grad(self, x: Array, eps: Array) -> LossTerms:
        """The loss of a batch, and its gradient in `parameters.grads`; as VAE.loss_and_grad, with one head more."""
        x, eps = self.check_pair(x, eps)
        # forward
        h      = self.encoder.forward(x)                        # (B, H)
        mu     = self.mu_head.forward(h)                        # (B, Z)
        logvar = self.logvar_head.forward(h)                    # (B, Z)
        lower  = self._lower(h)                                 # (B, Z, Z)
        z      = full_reparameterize(mu, logvar, lower, eps)    # (B, Z)
        theta  = self.decoder.forward(z)                        # (B, D)
        dnll   = np.full(len(x), 1 / len(x), x.dtype)           # (B,)
        nll, dtheta = self.likelihood.nll_and_grad(dnll, theta, x)      # (B,), like theta
        kl     = full_gaussian_kl(mu, logvar, lower)            # (B,)
        # backward
        dmu_kl, dlogvar_kl, dlower_kl = full_gaussian_kl_backward(self.beta * dnll, mu, logvar, lower)
        dz     = self.decoder.backward(dtheta)
        dmu, dlogvar, dlower = full_reparameterize_backward(dz, logvar, eps)
        dlower += dlower_kl
        dh     = self.lower_head.backward(dlower.reshape(len(x), -1))
        dh    += self.mu_head.backward(dmu + dmu_kl)
        dh    += self.logvar_head.backward(dlogvar + dlogvar_kl)        # h forks into three heads: here they join
        self.encoder.backward(dh, need_dx=False)
        return self.mean_terms(nll, kl)

    def loss_terms(self, x: Array, eps: Array) -> LossTerms:
        """The loss of a batch and its parts, by the forward half of `loss_and_grad` alone."""
        x, eps = self.check_pair(x, eps)
        h = self.encoder.forward(x)
        q = self.mu_head.forward(h), self.logvar_head.forward(h), self._lower(h)
        theta = self.decoder.forward(full_reparameterize(*q, eps))
        return self.mean_terms(self.likelihood.nll(theta, x), full_gaussian_kl(*q))

    def encode(self, x: Array) -> tuple[Array, Array]:
        """mu, and the log variance of each dimension of q(z|x) by itself, log (L L^T)_ii: both (B, Z)."""
        mu, logvar = super().encode(x)
        lower = self._lower(self.encoder.forward(self.check_data(x)))
        return mu, np.log(np.exp(logvar) + np.sum(np.tril(lower, -1) ** 2, axis=2))

    def _lower(self, h: Array) -> Array:
        return self.lower_head.forward(h).reshape(len(h), self.n_latent, self.n_latent)

    def backward_encoder(self, dmu: Array, dlogvar: Array) -> None:
        """Raises TypeError: who calls this, as the functions in objectives.py do, knows of two heads only."""
        raise TypeError("a FullCovarianceVAE trains with its own loss_and_grad alone; expected a VAE, whose q(z|x) is "
                        "diagonal, for the functions in numpyvae.objectives")
