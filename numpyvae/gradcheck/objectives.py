"""Objectives: gradients of a VAE that are estimated in other ways.

An estimator need not be the derivative of the loss that it reports: it may leave out a term that is zero on average.
So each is checked against the derivative of a surrogate function, in which whatever the estimator does not
differentiate is held fixed.  That its *expectation* is right is shown in tests/test_objectives.py, by quadrature.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..exact import log_sum_exp
from ..functional.gaussian import gaussian_log_density
from ..models.vae import VAE
from ..training import objectives
from .models import Example, model_examples
from .numeric import Array, Gradients, differentiate

SAMPLES = 3


def objective_examples() -> Iterator[tuple[str, Callable[..., Gradients], Callable[[], Example]]]:
    """Each function of objectives.py with its check, a VAE of each likelihood and of each posterior, and data."""
    for name, make in model_examples():
        # The layers make no difference to objectives.
        if name.startswith(("VAE(", "FullCovarianceVAE(bernoulli", "ConditionalVAE(bernoulli")):
            for objective, check in OBJECTIVES.items():
                is_bound = getattr(objectives, objective) in objectives.BOUNDS_ON_LOG_P    # which needs a beta of 1
                if not is_bound or name.endswith("beta=1)"):
                    kind, rest = name.split("(", 1)
                    yield f"{objective}({'' if kind == 'VAE' else f'{kind}, '}{rest}", check, make


def check_free_bits(vae: VAE, x: Array, method: str, seed: int = 0, labels: Array | None = None) -> Gradients:
    """The minimum lies between the two lowest KLs of the dimensions, so that one dimension falls below it."""
    (eps,), c = vae.noise(len(x), np.random.default_rng(seed)), vae.one_hot(labels, len(x))
    minimum = float(np.sort(_kl_of_dimensions(vae, vae.infer(x, c)))[:2].mean())
    reported = objectives.free_bits(vae, x, eps, minimum, labels)

    def terms(vae: VAE) -> Any:
        q = vae.infer(x, c)
        kl = _kl_of_dimensions(vae, q)
        nll = np.mean(vae.likelihood.nll(vae.generate(vae.posterior.reparameterize(q, eps), c), x))
        return nll + vae.beta * np.sum(np.where(kl.real > minimum, kl, minimum)), nll
    return _compare(vae, method, lambda vae: terms(vae)[0], reported, terms)


def check_score_function(vae: VAE, x: Array, method: str, seed: int = 0, labels: Array | None = None) -> Gradients:
    """The estimate is the gradient of  mean( nll(z) + (nll* - baseline) log q(z) + beta KL )  with z and nll* fixed."""
    rng, c = np.random.default_rng(seed), vae.one_hot(labels, len(x))
    (eps,), baseline = vae.noise(len(x), rng), rng.standard_normal(len(x))
    reported = objectives.score_function(vae, x, eps, baseline, labels)
    z = vae.posterior.reparameterize(vae.infer(x, c), eps)
    weight = vae.likelihood.nll(vae.generate(z, c), x) - baseline

    def surrogate(vae: VAE) -> Any:
        q = vae.infer(x, c)
        nll = vae.likelihood.nll(vae.generate(z.astype(vae.dtype), c), x)
        log_q = vae.posterior.log_density(q, z.astype(vae.dtype))
        return np.mean(nll + weight * log_q + vae.beta * vae.posterior.kl(q, vae.prior))
    return _compare(vae, method, surrogate, reported, lambda vae: vae.loss_terms(x, eps, labels)[:2])


def check_iwae(vae: VAE, x: Array, method: str, seed: int = 0, labels: Array | None = None) -> Gradients:
    """The derivative of the bound itself."""
    eps, c = np.random.default_rng(seed).standard_normal((SAMPLES, len(x), vae.n_latent)), vae.one_hot(labels, len(x))
    reported = objectives.iwae(vae, x, eps, labels)
    return _compare(vae, method, lambda vae: _bound_terms(vae, x, eps, c)[0], reported,
                    lambda vae: _bound_terms(vae, x, eps, c))


def check_sticking_the_landing(vae: VAE, x: Array, method: str, seed: int = 0,
                               labels: Array | None = None) -> Gradients:
    """The derivative of  -log w  with the parameters of q in log q held fixed."""
    (eps,), c = vae.noise(len(x), np.random.default_rng(seed)), vae.one_hot(labels, len(x))
    reported = objectives.sticking_the_landing(vae, x, eps, labels)
    held = _held(vae.infer(x, c))

    def surrogate(vae: VAE) -> Any:
        return -np.mean(_log_weight(vae, x, vae.posterior.reparameterize(vae.infer(x, c), eps), held, c))
    return _compare(vae, method, surrogate, reported, lambda vae: _bound_terms(vae, x, eps[None], c))


def check_dreg(vae: VAE, x: Array, method: str, seed: int = 0, labels: Array | None = None) -> Gradients:
    """For the encoder, -sum of v^2 log w through z alone; for the decoder, the sum of v nll; v fixed in both."""
    eps, c = np.random.default_rng(seed).standard_normal((SAMPLES, len(x), vae.n_latent)), vae.one_hot(labels, len(x))
    reported = objectives.dreg(vae, x, eps, labels)
    frozen = vae.astype(complex if method == "complex-step" else vae.dtype)
    held = _held(vae.infer(x, c))
    z = [vae.posterior.reparameterize(held, e) for e in eps]
    log_w = np.array([_log_weight(vae, x, z_k, held, c) for z_k in z])
    v = np.exp(log_w - log_sum_exp(log_w.T))

    def surrogate(vae: VAE) -> Any:
        q = vae.infer(x, c)
        encoder = sum(v_k**2 * _log_weight(frozen, x, vae.posterior.reparameterize(q, e), held, c)
                      for v_k, e in zip(v, eps))
        decoder = sum(v_k * vae.likelihood.nll(vae.generate(z_k.astype(vae.dtype), c), x) for v_k, z_k in zip(v, z))
        return np.mean(decoder - encoder)
    return _compare(vae, method, surrogate, reported, lambda vae: _bound_terms(vae, x, eps, c))


OBJECTIVES: dict[str, Callable[..., Gradients]] = {
    "free_bits": check_free_bits, "score_function": check_score_function, "iwae": check_iwae,
    "sticking_the_landing": check_sticking_the_landing, "dreg": check_dreg}


def _compare(vae: VAE, method: str, surrogate: Callable[[VAE], Any], reported: Any,
             terms: Callable[[VAE], Any]) -> Gradients:
    """The gradient that the objective left in vae against the surrogate's; and the loss and nll that it reported."""
    analytic = {name: vae.parameters.grad(name).copy() for name in vae.parameters.names}
    if method == "complex-step":
        vae = vae.astype(complex)
    gradients = {"loss": (np.array(reported[:2]), np.array(terms(vae)).real)}
    return gradients | {name: (analytic[name], differentiate(lambda: surrogate(vae), vae.parameters[name], method))
                        for name in analytic}


def _held(q: Any) -> Any:
    """A copy of q, because the heads overwrite its arrays."""
    return type(q)(*(part.copy() for part in q))


def _kl_of_dimensions(vae: VAE, q: Any) -> Array:
    """The mean KL of each dimension: of the first j of them together, less that of the first j - 1."""
    up_to = [np.zeros(len(q.mu))]
    for j in range(1, q.mu.shape[1] + 1):
        first = type(q)(*(part[(slice(None), *[slice(0, j)] * (part.ndim - 1))] for part in q))
        up_to.append(vae.posterior.kl(first, vae.prior))
    return np.diff(np.array(up_to), axis=0).mean(axis=1)


def _log_weight(vae: VAE, x: Array, z: Array, q: Any, c: Array | None) -> Array:
    """log p(x|z) + log p(z) - log q(z|x) of each row."""
    zero, z = np.zeros_like(z), z.astype(vae.dtype)
    return (gaussian_log_density(z, zero, zero) - vae.posterior.log_density(q, z)
            - vae.likelihood.nll(vae.generate(z, c), x))


def _bound_terms(vae: VAE, x: Array, eps: Array, c: Array | None) -> tuple[Any, Any]:
    """Minus the importance-weighted bound, and the weighted mean of nll in it."""
    q = vae.infer(x, c)
    z = [vae.posterior.reparameterize(q, e) for e in eps]
    log_w = np.array([_log_weight(vae, x, z_k, q, c) for z_k in z])
    nll = np.array([vae.likelihood.nll(vae.generate(z_k, c), x) for z_k in z])
    top = log_sum_exp(log_w.T)
    return -np.mean(top - np.log(len(eps))), np.mean(np.sum(np.exp(log_w - top) * nll, axis=0))
