"""The functions under examination, called in one way, however they were written."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functional.gaussian import gaussian_kl
from ..models.likelihoods import LIKELIHOODS, Likelihood, make_likelihood
from ..models.posteriors import repeated
from ..models.vae import VAE

Array = np.ndarray
Function = Callable[..., Any]

LOG_FLOOR = -100.0    # of a probability rounded to 0: the cut-off of PyTorch's binary_cross_entropy


class Probabilities(Likelihood):
    """A Bernoulli decoder that outputs probabilities, as many do: theta in [0, 1]."""

    decodes_to = "probabilities"

    def nll(self, theta: Array, x: Array) -> Array:
        return -np.sum(x * safe_log(theta) + (1 - x) * safe_log(1 - theta), axis=1)

    def mean(self, theta: Array) -> Array:
        return theta


DECODES_TO = {kind.decodes_to: name for name, kind in LIKELIHOODS.items()} | {Probabilities.decodes_to: None}


def likelihood_of(decodes_to: str, sigma: float) -> Likelihood:
    """The likelihood for a `decodes_to` of `examine`."""
    name = DECODES_TO[decodes_to]
    return Probabilities() if name is None else make_likelihood(name, sigma)


@dataclass
class Subject:
    """What `examine` was given about the model; the arguments are explained there."""

    x: Array
    encode: Function
    sample_z: Function | None
    decode: Function | None
    loss: Function | None
    likelihood: Likelihood
    beta: float
    gradients: Function | None
    parameters: Mapping[str, Array] | None
    sample_x: Function | None
    rng: np.random.Generator

    def __post_init__(self) -> None:
        mu, _ = self.encoded(self.x[:1])
        self.n_latent = mu.shape[1]

    @property
    def frozen(self) -> bool:
        """Whether the loss takes its noise as an argument, so that it can be held fixed."""
        return self.loss is not None and takes_noise(self.loss, 1)

    def encoded(self, x: Array) -> tuple[Array, Array]:
        """mu, logvar, both (B, Z); raises ValueError if encode gives something else."""
        result = self.encode(x)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ValueError(f"encode gives {type(result).__name__}; expected the pair mu, logvar")
        mu, logvar = np.asarray(result[0]), np.asarray(result[1])
        if mu.ndim != 2 or len(mu) != len(x) or logvar.shape != mu.shape:
            raise ValueError(f"encode gives shapes {mu.shape} and {logvar.shape} for {len(x)} images; "
                             "expected (B, Z) for both: one row for each image")
        return mu, logvar

    def sampled(self, mu: Array, logvar: Array, eps: Array | None) -> Array:
        """z (B, Z), from eps if the user's sampling takes it, or by the formula if there is no other way."""
        if self.sample_z is not None and takes_noise(self.sample_z, 2):
            noise = self.noise(mu.shape) if eps is None else eps
            return np.asarray(self.sample_z(mu, logvar, noise.astype(mu.dtype)))
        if eps is None and self.sample_z is not None:
            return np.asarray(self.sample_z(mu, logvar))
        noise = self.noise(mu.shape) if eps is None else eps
        return (mu + np.exp(0.5 * logvar) * noise).astype(mu.dtype)

    def decoded(self, z: Array) -> Array:
        """theta in float64: (B, D), or (B, 2D) for mean and logvar."""
        assert self.decode is not None
        theta = np.asarray(self.decode(z), dtype=float)
        width = self.x.shape[1] * self.likelihood.outputs_per_pixel
        if theta.shape != (len(z), width):
            raise ValueError(f"decode gives shape {theta.shape} for {len(z)} rows of z; expected {(len(z), width)}, "
                             f"as decodes_to={self.decodes_to!r} asks for")
        return theta

    def loss_value(self, x: Array, eps: Array | None = None) -> float:
        """The loss of a batch as a number."""
        assert self.loss is not None
        value = np.asarray(self.loss(x) if eps is None else self.loss(x, eps.astype(x.dtype)))
        if value.size != 1:
            raise ValueError(f"loss gives shape {value.shape}; expected one number: the sum or the mean over the batch")
        return float(value.reshape(()))

    def drawn(self, x: Array, eps: Array | None) -> Array:
        """z (B, Z) from q(z|x)."""
        return self.sampled(*self.encoded(x), eps)

    @property
    def kl_is_known(self) -> bool:
        """Whether there is a formula for the KL."""
        return True

    def kl(self, x: Array) -> Array:
        """KL(q(z|x) || p(z)) of each row by the formula, (B,)."""
        mu, logvar = self.encoded(x)
        return gaussian_kl(mu.astype(float), logvar.astype(float))

    def log_ratios(self, image: Array, n: int) -> Array:
        """log q(z|x) - log p(z) of n draws of z for one image (1, D): (n,)."""
        (mu, logvar), eps = self.encoded(image), self.noise((n, self.n_latent))
        z = mu + np.exp(0.5 * logvar) * eps
        return 0.5 * np.sum(z**2 - eps**2 - logvar, axis=1)

    @property
    def decodes_to(self) -> str:
        return self.likelihood.decodes_to

    def nll(self, theta: Array, x: Array) -> Array:
        """-log p(x|z) of each row by the formula, (B,)."""
        return self.likelihood.nll(theta, x.astype(float))

    def mean(self, theta: Array) -> Array:
        """E[x|z], (B, D)."""
        return self.likelihood.mean(theta)

    def noise(self, shape: tuple[int, ...]) -> Array:
        return self.rng.standard_normal(shape)

    @property
    def rounding(self) -> float:
        """The relative rounding error of the functions' arithmetic, inferred from the encoder's output."""
        mu, _ = self.encoded(self.x[:1])
        single = bool(np.all(mu.astype(np.float32) == mu))
        return float(np.finfo(np.float32 if single else np.float64).eps)


@dataclass
class Model(Subject):
    """A numpyvae VAE, in float64.  Its q(z|x) need not be a diagonal Gaussian: draws and KL are the posterior's own."""

    vae: VAE
    c: Array | None    # the label of every row, one-hot (1, C)

    def q(self, x: Array) -> Any:
        return self.vae.infer(x, None if self.c is None else np.repeat(self.c, len(x), axis=0))

    def drawn(self, x: Array, eps: Array | None) -> Array:
        noise = self.vae.posterior.noise(len(x), self.rng, self.vae.dtype) if eps is None else eps
        return self.vae.posterior.reparameterize(self.q(x), noise)

    @property
    def kl_is_known(self) -> bool:
        return self.vae.posterior.knows_kl_to(self.vae.prior)

    def kl(self, x: Array) -> Array:
        return self.vae.posterior.kl(self.q(x), self.vae.prior)

    def log_ratios(self, image: Array, n: int) -> Array:
        q = repeated(self.q(image), n)
        z = self.vae.posterior.reparameterize(q, self.vae.posterior.noise(n, self.rng, self.vae.dtype))
        return self.vae.posterior.log_density(q, z) - self.vae.prior.log_density(z)


def takes_noise(function: Function, n_others: int) -> bool:
    """Whether a function asks for eps after its n_others arguments."""
    parameters = inspect.signature(function).parameters
    needed = [p for p in parameters.values() if p.default is p.empty
              and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(needed) > n_others or "eps" in parameters


def safe_log(p: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.log(p), LOG_FLOOR)
