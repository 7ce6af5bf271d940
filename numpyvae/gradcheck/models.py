"""Models: the gradient of the loss for every weight."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arguments import checked
from ..models.likelihoods import LIKELIHOODS
from ..models.model import Model
from .numeric import Array, Gradients, differentiate

BETAS = (0.0, 1.0, 4.0)                  # a large KL term can hide an error in the other, and the other way round


def model_examples() -> Iterator[tuple[str, Callable[[], tuple[Any, Array]]]]:
    """Each model with each likelihood, and with each beta if it takes one: a small one, and data."""
    def make(kind: Any, network: str, options: dict[str, Any]) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        options = {**options, "activation": "tanh", "sigma": 0.7, "rng": rng, "dtype": np.float64}
        model = (kind.dense(7, (5,), 3, **options) if network == "dense" else
                 kind.conv((3, 4, 1), (2, 3), 4, 3, **options))
        model.parameters.values[:] = rng.normal(0, 0.5, len(model.parameters))
        if hasattr(model, "condition"):
            model.condition([0, 1, 1, 2])
        return model, rng.integers(0, 256, (4 if network == "dense" else 2, model.n_data)) / 255

    for kind in Model.kinds.values():
        betas = BETAS if "beta" in inspect.signature(kind.dense).parameters else (None,)
        for likelihood in LIKELIHOODS:
            for beta in betas:
                options: dict[str, Any] = {"likelihood": likelihood} | ({} if beta is None else {"beta": beta})
                name = f"{kind.__name__}({likelihood}" + ("" if beta is None else f", beta={beta:g}") + ")"
                yield name, functools.partial(make, kind, "dense", options)
        for likelihood in LIKELIHOODS if not hasattr(kind, "condition") else ():
            yield f"{kind.__name__}.conv({likelihood})", functools.partial(make, kind, "conv",
                                                                           {"likelihood": likelihood})


@checked(x="B D")
def check_model(model: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The gradient of the loss for every weight, and the loss that training reports against the one checked."""
    noise = model.noise(len(x), np.random.default_rng(seed))
    reported = model.loss_and_grad(x, *noise).loss
    analytic = {name: model.parameters.grad(name).copy() for name in model.parameters.names}
    if method == "complex-step":
        model = model.astype(complex)
    gradients = {"loss": (np.array([reported]), np.array([model.loss(x, *noise)]).real)}
    for name in model.parameters.names:
        numeric = differentiate(lambda: model.loss(x, *noise), model.parameters[name], method)
        gradients[name] = (analytic[name], numeric)
    return gradients
