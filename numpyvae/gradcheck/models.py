"""Models: the gradient of the loss for every weight."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arguments import METHOD, SEED, checked
from ..models.autoencoder import Autoencoder
from ..models.likelihoods import LIKELIHOODS, WITH_SIGMA
from ..models.model import Model
from ..models.posteriors import DiagonalGaussian, FullGaussian
from ..models.vae import VAE, dense_vae
from ..models.variants import ConditionalVAE, FullCovarianceVAE
from .numeric import Array, Gradients, differentiate


class DiagonalByOneSample(DiagonalGaussian):
    """As if no closed form of its KL were known."""

    closed_forms = ()


class FullByOneSample(FullGaussian):
    closed_forms = ()


BETAS = (0.0, 1.0, 4.0)                  # a large KL term can hide an error in the other, and the other way round
CONSTRUCTORS: tuple[Any, ...] = (VAE, Autoencoder, FullCovarianceVAE, ConditionalVAE)


class Example(NamedTuple):
    """A small model, data, and, if the model is conditional, labels: {"labels": (B,)}, else {}."""

    model: Any
    x: Array
    given: dict[str, Array]


def model_examples() -> Iterator[tuple[str, Callable[[], Example]]]:
    """Each model with each likelihood, and with each beta if it takes one; and VAEs whose KL comes from one sample."""
    def make(build: Any, sizes: tuple[Any, ...], n: int, options: dict[str, Any]) -> Example:
        rng = np.random.default_rng(0)
        sigma = {"sigma": 0.7} if options.get("likelihood") in WITH_SIGMA else {}
        model = build(*sizes, **options, **sigma, activation="tanh", rng=rng, dtype=np.float64)
        model.parameters.values[:] = rng.normal(0, 0.5, len(model.parameters))
        given = {} if model.n_classes is None else {"labels": np.array([0, 1, 1, 2])[:n]}
        return Example(model, rng.integers(0, 256, (n, model.n_data)) / 255, given)

    for kind in CONSTRUCTORS:
        betas = (None,) if kind is Autoencoder else BETAS
        for likelihood in LIKELIHOODS:
            for beta in betas:
                options: dict[str, Any] = {"likelihood": likelihood} | ({} if beta is None else {"beta": beta})
                name = f"{kind.__name__}({likelihood}" + ("" if beta is None else f", beta={beta:g}") + ")"
                yield name, functools.partial(make, kind.dense, (7, (5,), 3), 4, options)
        for likelihood in LIKELIHOODS if hasattr(kind, "conv") else ():
            yield f"{kind.__name__}.conv({likelihood})", functools.partial(
                make, kind.conv, ((3, 4, 1), (2, 3), 4, 3), 2, {"likelihood": likelihood})
    for posterior in (DiagonalByOneSample, FullByOneSample):
        build = functools.partial(dense_vae, VAE, posterior, 7, (5,), 3, "bernoulli", beta=4.0, init="fan-in",
                                  sigma=1.0)
        yield f"{posterior.__name__}(bernoulli, beta=4)", functools.partial(make, build, (), 4, {})


@checked(x="B D", method=METHOD, seed=SEED, labels="any: B")
def check_model(model: Model, x: Array, method: str, seed: int = 0, labels: Array | None = None) -> Gradients:
    """The gradient of the loss for every weight, and the loss that training reports, against the one differentiated."""
    noise = model.noise(len(x), np.random.default_rng(seed))
    given = {} if labels is None else {"labels": labels}
    reported = model.loss_and_grad(x, *noise, **given).loss
    analytic = {name: model.parameters.grad(name).copy() for name in model.parameters.names}
    if method == "complex-step":
        model = model.astype(complex)
    gradients = {"loss": (np.array([reported]), np.array([model.loss(x, *noise, **given)]).real)}
    for name in model.parameters.names:
        numeric = differentiate(lambda: model.loss(x, *noise, **given), model.parameters[name], method)
        gradients[name] = (analytic[name], numeric)
    return gradients
