"""Objectives: gradients of a VAE that are estimated in another way.

An estimator need not be the derivative of the loss that it reports: it may leave out a term that is zero on average.
So each is held to the derivative of a function of its own, a surrogate, in which what the estimator does not
differentiate stands still.  That its *expectation* is right is shown in tests/test_objectives.py, by quadrature.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..exact import log_sum_exp
from ..functional.gaussian import gaussian_kl, gaussian_log_density, reparameterize
from ..training import objectives
from .models import model_examples
from .numeric import Array, Gradients, differentiate

SAMPLES = 3


def objective_examples() -> Iterator[tuple[str, Callable[..., Gradients], Callable[[], tuple[Any, Array]]]]:
    """Each function of objectives.py with its check, a VAE of each likelihood, and data."""
    for name, make in model_examples():
        if name.startswith("VAE("):    # the layers do not matter to them
            for objective, check in OBJECTIVES.items():
                if objective not in BOUNDS or name.endswith("beta=1)"):
                    yield name.replace("VAE", objective), check, make


def check_free_bits(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The minimum lies between the lowest two dimensions' KLs, so that one does not count."""
    (eps,) = vae.noise(len(x), np.random.default_rng(seed))
    minimum = float(np.sort(_kl_of_dimensions(*vae.encode(x)))[:2].mean())
    reported = objectives.free_bits(vae, x, eps, minimum)

    def terms(vae: Any) -> Any:
        mu, logvar = vae.encode(x)
        kl = _kl_of_dimensions(mu, logvar)
        nll = np.mean(vae.likelihood.nll(vae.decoder.forward(reparameterize(mu, logvar, eps)), x))
        return nll + vae.beta * np.sum(np.where(kl.real > minimum, kl, minimum)), nll
    return _compare(vae, method, lambda vae: terms(vae)[0], reported, terms)


def check_score_function(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The estimate is the gradient of  mean( nll(z) + (nll* - baseline) log q(z) + beta KL )  with z and nll* held."""
    rng = np.random.default_rng(seed)
    (eps,), baseline = vae.noise(len(x), rng), rng.standard_normal(len(x))
    reported = objectives.score_function(vae, x, eps, baseline)
    mu, logvar = vae.encode(x)
    z = reparameterize(mu, logvar, eps)
    weight = vae.likelihood.nll(vae.decoder.forward(z), x) - baseline

    def surrogate(vae: Any) -> Any:
        mu, logvar = vae.encode(x)
        nll = vae.likelihood.nll(vae.decoder.forward(z.astype(vae.dtype)), x)
        return np.mean(nll + weight * gaussian_log_density(z, mu, logvar) + vae.beta * gaussian_kl(mu, logvar))
    return _compare(vae, method, surrogate, reported, lambda vae: vae.loss_terms(x, eps)[:2])


def check_iwae(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The derivative of the bound itself."""
    eps = np.random.default_rng(seed).standard_normal((SAMPLES, len(x), vae.n_latent))
    reported = objectives.iwae(vae, x, eps)
    return _compare(vae, method, lambda vae: _bound_terms(vae, x, eps)[0], reported,
                    lambda vae: _bound_terms(vae, x, eps))


def check_sticking_the_landing(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The derivative of  -log w  with the mu and logvar in log q held."""
    (eps,) = vae.noise(len(x), np.random.default_rng(seed))
    reported = objectives.sticking_the_landing(vae, x, eps)
    held = vae.encode(x)

    def surrogate(vae: Any) -> Any:
        mu, logvar = vae.encode(x)
        return -np.mean(_log_weight(vae, x, reparameterize(mu, logvar, eps), *held))
    return _compare(vae, method, surrogate, reported, lambda vae: _bound_terms(vae, x, eps[None]))


def check_dreg(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """For the encoder, -sum of v^2 log w through z alone; for the decoder, the sum of v nll; v held in both."""
    eps = np.random.default_rng(seed).standard_normal((SAMPLES, len(x), vae.n_latent))
    reported = objectives.dreg(vae, x, eps)
    frozen = vae.astype(complex if method == "complex-step" else vae.dtype)
    held_mu, held_logvar = held = vae.encode(x)
    z = [reparameterize(held_mu, held_logvar, e) for e in eps]
    log_w = np.array([_log_weight(vae, x, z_k, *held) for z_k in z])
    v = np.exp(log_w - log_sum_exp(log_w.T))

    def surrogate(vae: Any) -> Any:
        mu, logvar = vae.encode(x)
        encoder = sum(v_k**2 * _log_weight(frozen, x, reparameterize(mu, logvar, e), *held) for v_k, e in zip(v, eps))
        decoder = sum(v_k * vae.likelihood.nll(vae.decoder.forward(z_k.astype(vae.dtype)), x) for v_k, z_k in zip(v, z))
        return np.mean(decoder - encoder)
    return _compare(vae, method, surrogate, reported, lambda vae: _bound_terms(vae, x, eps))


BOUNDS = {"iwae": check_iwae, "sticking_the_landing": check_sticking_the_landing, "dreg": check_dreg}    # beta = 1 only
OBJECTIVES: dict[str, Callable[..., Gradients]] = {
    "free_bits": check_free_bits, "score_function": check_score_function, **BOUNDS}


def _compare(vae: Any, method: str, surrogate: Callable[[Any], Any], reported: Any,
             terms: Callable[[Any], Any]) -> Gradients:
    """The gradient that the objective left in vae against the surrogate's; the loss and nll it reported, too."""
    analytic = {name: vae.parameters.grad(name).copy() for name in vae.parameters.names}
    if method == "complex-step":
        vae = vae.astype(complex)
    gradients = {"loss": (np.array(reported[:2]), np.array(terms(vae)).real)}
    return gradients | {name: (analytic[name], differentiate(lambda: surrogate(vae), vae.parameters[name], method))
                        for name in analytic}


def _kl_of_dimensions(mu: Array, logvar: Array) -> Array:
    return np.array([np.mean(gaussian_kl(mu[:, [j]], logvar[:, [j]])) for j in range(mu.shape[1])])


def _log_weight(vae: Any, x: Array, z: Array, mu: Array, logvar: Array) -> Array:
    """log p(x|z) + log p(z) - log q(z|x) of each row."""
    zero, z = np.zeros_like(z), z.astype(vae.dtype)
    return (gaussian_log_density(z, zero, zero) - gaussian_log_density(z, mu, logvar)
            - vae.likelihood.nll(vae.decoder.forward(z), x))


def _bound_terms(vae: Any, x: Array, eps: Array) -> tuple[Any, Any]:
    """Minus the importance-weighted bound, and the weighted mean of nll in it."""
    mu, logvar = vae.encode(x)
    z = [reparameterize(mu, logvar, e) for e in eps]
    log_w = np.array([_log_weight(vae, x, z_k, mu, logvar) for z_k in z])
    nll = np.array([vae.likelihood.nll(vae.decoder.forward(z_k), x) for z_k in z])
    top = log_sum_exp(log_w.T)
    return -np.mean(top - np.log(len(eps))), np.mean(np.sum(np.exp(log_w - top) * nll, axis=0))
