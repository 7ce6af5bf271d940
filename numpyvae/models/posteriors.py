"""q(z|x): what an image says about its code, and the heads that compute it.

One protocol, so that a VAE and its objectives read the same for each posterior:

    q = posterior.forward(h)                   the parameters of q(z|x), a named tuple of arrays (B, ...)
    z = posterior.reparameterize(q, eps)       a draw, from noise drawn beforehand
    posterior.kl(q, prior)                     KL(q || p(z)) of each row
    posterior.log_density(q, z)                log q(z|x) of each row

and, going back,  posterior.backward(dz, dkl),  in which the path through z and the path through the KL join.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import WHOLE, checked
from ..functional.full_gaussian import (full_gaussian_kl, full_gaussian_kl_backward, full_gaussian_log_density,
                                        full_gaussian_log_density_backward, full_reparameterize,
                                        full_reparameterize_backward)
from ..functional.gaussian import (gaussian_kl, gaussian_kl_backward, gaussian_kl_of_dimensions,
                                   gaussian_kl_of_dimensions_backward, gaussian_log_density,
                                   gaussian_log_density_backward, reparameterize, reparameterize_backward)
from ..nn.buffers import Part
from ..nn.layers import Dense, Layer
from .priors import StandardNormal

Array = np.ndarray


class Posterior(Part):
    """What every q(z|x) has: noise, and the KL, in closed form where one is known, otherwise from one sample.

    DiagonalGaussian, below, is the posterior of the usual VAE.  Your own posterior, like that one, defines the
    methods that are only declared here.

    closed_forms : the classes of priors to which its KL is known in closed form
    """

    not_copied = ("q", "eps", "z", "prior")
    closed_forms: tuple[type, ...] = ()
    n_hidden: int
    n_latent: int
    q: Any            # of the last reparameterize
    eps: Array
    z: Array
    prior: Any        # of the last kl

    forward: Callable[[Array], Any]
    backward_heads: Callable[[Any], Array]
    reparameterize: Callable[[Any, Array], Array]
    reparameterize_backward: Callable[[Array, Any, Array], Any]
    log_density: Callable[[Any, Array], Array]
    log_density_backward: Callable[[Array, Any, Array], tuple[Array, Any]]
    moments: Callable[[Any], tuple[Array, Array]]
    named_heads: Callable[[], Iterator[tuple[str, Layer]]]
    # Where the KL is known in closed form
    closed_form_kl: Callable[[Any], Array]
    closed_form_kl_backward: Callable[[Array, Any], Any]
    kl_of_dimensions: Callable[[Any], Array]
    kl_of_dimensions_backward: Callable[[Array, Any], Any]

    def knows_kl_to(self, prior: Any) -> bool:
        """Whether the KL is known in closed form.  Subclasses do not count: they may be other distributions."""
        return type(prior) in self.closed_forms

    def noise(self, n: int, rng: np.random.Generator, dtype: np.dtype) -> Array:
        """The noise from which `reparameterize` makes n codes: eps (n, Z) from N(0, I)."""
        return rng.standard_normal((n, self.n_latent), dtype=dtype)    # type: ignore[arg-type]

    def kl(self, q: Any, prior: Any) -> Array:
        """KL(q || p(z)) of each row, (B,): in closed form, or E_q[ log q - log p ] from one sample, the last z."""
        self.prior = prior
        if self.knows_kl_to(prior):
            return self.closed_form_kl(q)
        return self.log_density(q, self.z) - prior.log_density(self.z)

    def backward(self, dz: Array, dkl: Array) -> Array:
        """dz (B, Z), dkl (B,) -> dh (B, H): the path through z and the path through the KL join.

        A KL from one sample depends on z too, so its share of dz is added.
        """
        if self.knows_kl_to(self.prior):
            dq_kl = self.closed_form_kl_backward(dkl, self.q)
        else:
            dz_kl, dq_kl = self.log_density_backward(dkl, self.q, self.z)
            dz = dz + dz_kl - self.prior.log_density_backward(dkl, self.z)
        dq_z = self.reparameterize_backward(dz, self.q, self.eps)
        return self.backward_heads(joined(dq_z, dq_kl))


class Diagonal(NamedTuple):
    """The parameters of N(mu, diag exp(logvar)), or the gradients for them."""

    mu: Array        # (B, Z)
    logvar: Array    # (B, Z), log sigma^2


class DiagonalGaussian(Posterior):
    """q(z|x) = N(mu, diag exp(logvar)): a head for the mean, a head for the log variance."""

    closed_forms: tuple[type, ...] = (StandardNormal,)

    @checked(n_hidden=WHOLE, n_latent=WHOLE)
    def __init__(self, n_hidden: int, n_latent: int, init: str = "fan-in", *, rng: np.random.Generator,
                 dtype: DTypeLike = np.float32):
        self.n_hidden, self.n_latent, self.init = n_hidden, n_latent, init
        self.mu_head, self.logvar_head = (Dense(n_hidden, n_latent, init=init, rng=rng, dtype=dtype) for _ in range(2))

    def forward(self, h: Array) -> Diagonal:
        """(B, H) -> mu, logvar, both (B, Z)."""
        return Diagonal(self.mu_head.forward(h), self.logvar_head.forward(h))

    def reparameterize(self, q: Diagonal, eps: Array) -> Array:
        """z = mu + sigma eps: (B, Z).                                                          [lesson 7, eq. 7.2]"""
        self.q, self.eps = q, eps
        self.z = reparameterize(q.mu, q.logvar, eps)
        return self.z

    def closed_form_kl(self, q: Diagonal) -> Array:
        """KL(q || N(0, I)) of each row: (B,).                                                  [lesson 7, eq. 7.2]"""
        return gaussian_kl(q.mu, q.logvar)

    def backward(self, dz: Array, dkl: Array) -> Array:
        """dz (B, Z), dkl (B,) -> dh (B, H).  mu and logvar fork into z and the KL: here the paths join.

        [lesson 7, eq. 7.3]
        """
        if not self.knows_kl_to(self.prior):
            return super().backward(dz, dkl)
        dmu_z,  dlogvar_z  = self.reparameterize_backward(dz, self.q, self.eps)     # (B, Z)  the path through z
        dmu_kl, dlogvar_kl = self.closed_form_kl_backward(dkl, self.q)              # (B, Z)  the path through the KL
        dmu     = dmu_z     + dmu_kl                                                # (B, Z)  step 3
        dlogvar = dlogvar_z + dlogvar_kl                                            # (B, Z)  step 3
        return self.backward_heads(Diagonal(dmu, dlogvar))

    def backward_heads(self, dq: Diagonal) -> Array:
        """dmu, dlogvar (B, Z) -> dh (B, H).  h forks into mu and logvar: here they join.         [lesson 7, eq. 7.3]"""
        dh = self.mu_head.backward(dq.mu)                                           # (B, H)  step 2
        dh += self.logvar_head.backward(dq.logvar)                                  # (B, H)  step 2
        return dh

    # What objectives and evaluation also need

    def reparameterize_backward(self, dz: Array, q: Diagonal, eps: Array) -> Diagonal:
        """The path through z alone."""
        return Diagonal(*reparameterize_backward(dz, q.logvar, eps))

    def log_density(self, q: Diagonal, z: Array) -> Array:
        """log q(z|x) of each row, in nats: (B,)."""
        return gaussian_log_density(z, q.mu, q.logvar)

    def log_density_backward(self, dlog: Array, q: Diagonal, z: Array) -> tuple[Array, Diagonal]:
        """dlog (B,) -> dz (B, Z), and dmu, dlogvar: the score of q."""
        dz, dmu, dlogvar = gaussian_log_density_backward(dlog, z, q.mu, q.logvar)
        return dz, Diagonal(dmu, dlogvar)

    def closed_form_kl_backward(self, dkl: Array, q: Diagonal) -> Diagonal:
        """The path through the closed form of the KL alone."""
        return Diagonal(*gaussian_kl_backward(dkl, q.mu, q.logvar))

    def kl_of_dimensions(self, q: Diagonal) -> Array:
        """The KL of each dimension: (B, Z); independent dimensions add up to `kl`."""
        return gaussian_kl_of_dimensions(q.mu, q.logvar)

    def kl_of_dimensions_backward(self, dkl: Array, q: Diagonal) -> Diagonal:
        """dkl (B, Z) -> dmu, dlogvar."""
        return Diagonal(*gaussian_kl_of_dimensions_backward(dkl, q.mu, q.logvar))

    def moments(self, q: Diagonal) -> tuple[Array, Array]:
        """The mean and the log variance of each dimension, both (B, Z)."""
        return q.mu.copy(), q.logvar.copy()

    def named_heads(self) -> Iterator[tuple[str, Layer]]:
        yield "mu_head", self.mu_head
        yield "logvar_head", self.logvar_head


class Full(NamedTuple):
    """The parameters of N(mu, L L^T), or their gradients; L has exp(logvar / 2) on its diagonal, `lower` below it."""

    mu: Array        # (B, Z)
    logvar: Array    # (B, Z)
    lower: Array     # (B, Z, Z), of which only the entries below the diagonal are read


class FullGaussian(Posterior):
    """q(z|x) = N(mu, L L^T), whose dimensions may be correlated: a third head gives L's entries below the diagonal.

    What does a diagonal q cost?  The ELBO falls short of log p(x) by KL(q || p(z|x)), and where the true posterior is
    correlated no diagonal q can make that zero.                           [Kingma & Welling 2019, section 2.5.1]
    """

    closed_forms: tuple[type, ...] = (StandardNormal,)

    @checked(n_hidden=WHOLE, n_latent=WHOLE)
    def __init__(self, n_hidden: int, n_latent: int, init: str = "fan-in", *, rng: np.random.Generator,
                 dtype: DTypeLike = np.float32):
        if n_latent < 2:
            raise ValueError(f"n_latent is {n_latent}; expected at least 2: one dimension has nothing to be "
                             "correlated with, so use a DiagonalGaussian")
        self.n_hidden, self.n_latent, self.init = n_hidden, n_latent, init
        self.mu_head, self.logvar_head, self.lower_head = (
            Dense(n_hidden, n_out, init=init, rng=rng, dtype=dtype) for n_out in (n_latent, n_latent, n_latent**2))

    def forward(self, h: Array) -> Full:
        """(B, H) -> mu, logvar (B, Z), lower (B, Z, Z)."""
        lower = self.lower_head.forward(h).reshape(len(h), self.n_latent, self.n_latent)
        return Full(self.mu_head.forward(h), self.logvar_head.forward(h), lower)

    def reparameterize(self, q: Full, eps: Array) -> Array:
        """z = mu + L eps: (B, Z)."""
        self.q, self.eps = q, eps
        self.z = full_reparameterize(*q, eps)
        return self.z

    def closed_form_kl(self, q: Full) -> Array:
        """KL(q || N(0, I)) of each row: (B,)."""
        return full_gaussian_kl(*q)

    def backward_heads(self, dq: Full) -> Array:
        """dmu, dlogvar (B, Z), dlower (B, Z, Z) -> dh (B, H).  h forks into three heads: here it joins."""
        dh = self.mu_head.backward(dq.mu)
        dh += self.logvar_head.backward(dq.logvar)
        dh += self.lower_head.backward(dq.lower.reshape(len(dq.mu), -1))
        return dh

    # What objectives and evaluation also need

    def reparameterize_backward(self, dz: Array, q: Full, eps: Array) -> Full:
        """The path through z alone."""
        return Full(*full_reparameterize_backward(dz, q.logvar, eps))

    def log_density(self, q: Full, z: Array) -> Array:
        """log q(z|x) of each row, in nats: (B,)."""
        return full_gaussian_log_density(z, *q)

    def log_density_backward(self, dlog: Array, q: Full, z: Array) -> tuple[Array, Full]:
        """dlog (B,) -> dz (B, Z), and dmu, dlogvar, dlower: the score of q."""
        dz, *dq = full_gaussian_log_density_backward(dlog, z, *q)
        return dz, Full(*dq)

    def closed_form_kl_backward(self, dkl: Array, q: Full) -> Full:
        """The path through the closed form of the KL alone."""
        return Full(*full_gaussian_kl_backward(dkl, *q))

    def kl_of_dimensions(self, q: Full) -> Array:
        """Each dimension's share of the KL: (B, Z).  By the chain rule these are

        E KL( q(z_i | z_1 ... z_i-1) || N(0, 1) ) = 1/2 ( exp(logvar_i) + mu_i^2 - 1 - logvar_i + sum_{j < i} L_ij^2 ),

        since, given those before it, z_i has the mean mu_i + sum_{j < i} L_ij eps_j.  They add up to `kl`.
        """
        return gaussian_kl_of_dimensions(q.mu, q.logvar) + 0.5 * np.sum(np.tril(q.lower, -1) ** 2, axis=2)

    def kl_of_dimensions_backward(self, dkl: Array, q: Full) -> Full:
        """dkl (B, Z) -> dmu, dlogvar, dlower."""
        dmu, dlogvar = gaussian_kl_of_dimensions_backward(dkl, q.mu, q.logvar)
        return Full(dmu, dlogvar, dkl[:, :, None] * np.tril(q.lower, -1))

    def moments(self, q: Full) -> tuple[Array, Array]:
        """The marginal mean and log variance, log (L L^T)_ii, of each dimension, both (B, Z)."""
        return q.mu.copy(), np.log(np.exp(q.logvar) + np.sum(np.tril(q.lower, -1) ** 2, axis=2))

    def named_heads(self) -> Iterator[tuple[str, Layer]]:
        yield "mu_head", self.mu_head
        yield "logvar_head", self.logvar_head
        yield "lower_head", self.lower_head


def joined(one: Any, other: Any) -> Any:
    """The sum of two gradients for q, part by part."""
    return type(one)(*(a + b for a, b in zip(one, other)))


def repeated(q: Any, times: int) -> Any:
    """q for several samples per image: all its rows, repeated, (B, ...) -> (times B, ...)."""
    return type(q)(*(np.tile(part, (times, *[1] * (part.ndim - 1))) for part in q))


def summed(dq: Any, times: int) -> Any:
    """The gradient for q from that for `repeated(q, times)`: (times B, ...) -> (B, ...)."""
    return type(dq)(*(part.reshape(times, -1, *part.shape[1:]).sum(axis=0) for part in dq))
