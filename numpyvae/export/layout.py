"""The weights by PyTorch's names and in PyTorch's layout, as `module.state_dict()` has them, and back.

    encoder.0.W (I, O)               ->  encoder.0.weight (O, I)           of a Dense, x W + b
    encoder.1.W (K, L, in, out)      ->  encoder.1.weight (out, in, K, L)  of a Conv2d
    decoder.5.W (K, L, out, in)      ->  decoder.5.weight (in, out, K, L)  of a ConvTranspose2d

In PyTorch's Sequential an activation is a module of its own, so numbers differ: encoder.1.W may be encoder.2.weight.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..models.autoencoder import Autoencoder
from ..models.model import Model
from ..models.priors import StandardNormal
from ..models.vae import VAE
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar
from .formulas import ACTIVATIONS, LIKELIHOODS, POSTERIORS, Activation

Array = np.ndarray
Axes = tuple[int, ...]
Row = TypeVar("Row")

BIAS: dict[str, tuple[str, Axes]] = {"b": ("bias", (0,))}
# The names of a layer's arrays there, and where their axes come from.
WEIGHTS: dict[type, dict[str, tuple[str, Axes]]] = {
    Dense: {"W": ("weight", (1, 0)), **BIAS},
    Conv2d: {"W": ("weight", (3, 2, 0, 1)), **BIAS},
    ConvTranspose2d: {"W": ("weight", (3, 2, 0, 1)), **BIAS},
    SharedLogvar: {"logvar": ("logvar", (0,))},
    Reshape: {}, ReshapeLabelled: {}, Flatten: {}}


class Weight(NamedTuple):
    """An array of a model: its name here and there, and which axis here each axis there is."""

    ours: str
    theirs: str
    axes: Axes


def row_of(table: Mapping[type, Row], part: Any) -> Row:
    """What a table has for a part's class.

    Raises ValueError for a class that is not in it, a subclass too: it may compute anything.
    """
    if type(part) not in table:
        known = ", ".join(kind.__name__ for kind in table)
        raise ValueError(f"{type(part).__name__} cannot be exported: its formulas are known only here; expected one of "
                         f"{known}")
    return table[type(part)]


def activation_of(layer: Any) -> Activation:
    """The forms of a layer's activation; raises ValueError where it has none."""
    if layer.activation not in ACTIVATIONS:
        raise ValueError(f"activation is {layer.activation!r}, which cannot be exported; expected one of "
                         f"{', '.join(ACTIVATIONS)}, identity")
    return ACTIVATIONS[layer.activation]


def check_exportable(model: Model) -> None:
    """Raises ValueError where a model holds something that no format has a form for."""
    model.check_views()
    if model.dtype.kind == "c":
        raise ValueError(f"the model's dtype is {model.dtype}; expected float32 or float64: vae.astype(np.float64)")
    row_of({VAE: None, Autoencoder: None}, model)
    for network in (model.encoder, model.decoder):
        row_of({Sequential: None}, network)
    for layer in (*model.encoder.layers, *model.decoder.layers):
        row_of(WEIGHTS, layer)
        if has_activation(layer):
            activation_of(layer)
        if type(layer) is Reshape and len(layer.shape) != 3:
            raise ValueError(f"Reshape({layer.shape}) cannot be exported; expected an image, (height, width, channels)")
    row_of(LIKELIHOODS, model.likelihood)
    if isinstance(model, VAE):
        row_of(POSTERIORS, model.posterior)
        row_of({StandardNormal: None}, model.prior)
        if not model.posterior.knows_kl_to(model.prior):
            raise ValueError(f"{model.posterior} has no closed form of its KL, and cannot be exported; expected a "
                             "posterior as numpyvae makes it")
        for name, head in model.posterior.named_heads():
            if type(head) is not Dense or head.activation != "identity":
                raise ValueError(f"{name} is {head}, which cannot be exported; expected a Dense without an activation")
    for name, value in (("beta", getattr(model, "beta", 1.0)), ("sigma", getattr(model.likelihood, "sigma", 1.0))):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, and the model cannot be exported; expected a finite number")
    wrong = model.parameters.first_not_finite()
    if wrong is not None:
        raise ValueError(f"{wrong} holds NaN or infinity, and cannot be exported; expected finite weights: train the "
                         "model again")


def numbered(network: Sequential) -> Iterator[tuple[int, Any]]:
    """The layers with their numbers in PyTorch's Sequential."""
    place = 0
    for layer in network.layers:
        yield place, layer
        place += 2 if has_activation(layer) else 1


def has_activation(layer: Any) -> bool:
    return getattr(layer, "activation", "identity") != "identity"


def weights_of(model: Model) -> Iterator[Weight]:
    """Every array of a model, in the order of `parameters.names`."""
    networks = {name: [f"{name}.{number}" for number, _ in numbered(getattr(model, name))]
                for name in ("encoder", "decoder")}
    for name, layer in model.named_layers():
        prefix, _, place = name.partition(".")
        theirs = networks[prefix][int(place)] if place else name
        for key, (other, axes) in row_of(WEIGHTS, layer).items():
            yield Weight(f"{name}.{key}", f"{theirs}.{other}", axes)


def state_dict(model: Model) -> dict[str, Array]:
    """The weights as PyTorch has them."""
    return {weight.theirs: np.ascontiguousarray(model.parameters[weight.ours].transpose(weight.axes))
            for weight in weights_of(model)}


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """What shapes they have there."""
    return {weight.theirs: tuple(model.parameters[weight.ours].shape[axis] for axis in weight.axes)
            for weight in weights_of(model)}


def with_weights(like: Model, arrays: Mapping[str, Array]) -> Model:
    """A model with the parts of `like` and other weights, given as `state_dict` gives them, in their dtype."""
    model = like.astype(next(iter(arrays.values())).dtype)
    for weight in weights_of(model):
        model.parameters[weight.ours][:] = arrays[weight.theirs].transpose(np.argsort(weight.axes))
    return model
