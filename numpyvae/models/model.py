"""What every model has besides its mathematics: one vector of weights, a dtype, a file.

A model consists of its parts.  A file holds their tree, in which each part is the name of its class with its
constructor's arguments, and one vector of weights; tree.py writes and reads the tree.
"""
from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import checked, shown
from ..files import checkpoint
from ..nn.buffers import Part
from ..nn.layers import Layer, Reshape, Sequential
from ..nn.parameters import Parameters
from . import summary
from .data import as_numbers, rows_of
from .likelihoods import Likelihood
from .tree import checked_tree_of

Array = np.ndarray


class LossTerms(NamedTuple):
    """A batch's mean loss and its two parts, in nats per image: loss = nll + beta * kl."""

    loss: float
    nll: float
    kl: float


class Model(Part):
    """The base of VAE and Autoencoder.

    parameters : all the weights (see Parameters); the layers see them as views
    n_classes  : for a conditional model the number of classes, else None
    """

    not_copied = ("parameters",)    # the layers' own arrays are copied, and this is rebuilt from them
    n_classes: int | None = None
    parameters: Parameters

    # What training needs from a model; labels come last where there are classes.
    noise: Callable[[int, np.random.Generator], tuple[Array, ...]]
    loss_and_grad: Callable[..., LossTerms]
    loss_terms: Callable[..., LossTerms]
    loss: Callable[..., float]
    encode: Callable[..., Any]
    decode: Callable[..., Array]
    reconstruct: Callable[..., Array]
    beta: float                      # of a VAE
    check_labels: Callable[..., Any]    # of a VAE

    def __init__(self, encoder: Sequential, decoder: Sequential, likelihood: Likelihood, n_data: int, n_latent: int):
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.n_data, self.n_latent = n_data, n_latent
        layers = list(self.named_layers())
        for name, layer in layers:
            if Parameters.holds(layer):
                raise ValueError(f"{name} belongs to another model; expected a separate layer: copy.deepcopy(it)")
        self.parameters = Parameters(layers)

    def __repr__(self) -> str:
        """One line: the model's sizes, its parts and the number of its weights."""
        return summary.one_line(self)

    def __str__(self) -> str:
        """A table of the layers, with the shapes of what they put out and the numbers of their weights."""
        return summary.table(self)

    def __copy__(self) -> Self:
        """A deep copy: a shallow one would take the layers away from this model."""
        return copy.deepcopy(self)

    def forget(self) -> None:
        """Drop what the parts keep from forward to backward: the last batch, and its labels."""
        for part in (*(layer for _, layer in self.named_layers()), *vars(self).values()):
            if isinstance(part, Part):
                part.forget()

    def check_views(self) -> None:
        """Raises ValueError where a layer's arrays are not views of `parameters`, and so do not train."""
        for name, layer in self.named_layers():
            if not self.parameters.sees(name, layer):
                raise ValueError(f"the weights or gradients of {name} are not those of `parameters`; expected layers "
                                 "that write into params and grads in place, and a new model if a part is replaced")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After a copy or a pickle: the weights become one vector again, and the layers see it."""
        vars(self).update(state)
        self.parameters = Parameters(list(self.named_layers()))

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """The layers with weights, in the order in which data pass through them."""
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype:
        """float32 for training, float64 for checks, complex128 for the complex step."""
        return self.parameters.values.dtype

    @checked()
    def astype(self, dtype: DTypeLike) -> Self:
        """A copy of the model with its weights in another dtype."""
        model = copy.deepcopy(self)
        model.parameters = Parameters(list(model.named_layers()), dtype)
        return model

    @checked()
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tree of parts and their weights to one .npz file, whole or not at all; `numpyvae.load` reads it.

        Raises ValueError where a part cannot be rebuilt from what is written; OSError where the folder cannot be
        written to.
        """
        self.check_views()
        if self.dtype.kind == "c":
            raise ValueError(f"the model's dtype is {self.dtype}; expected float32 or float64: save "
                             "vae.astype(np.float64)")
        checkpoint.write(path, {"model": checked_tree_of(self)}, {"values": self.parameters.values})

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """(height, width, channels) of an image, where the first layer says so, as in VAE.conv; else None."""
        first = next(iter(self.encoder.layers), None)
        return first.shape if isinstance(first, Reshape) and len(first.shape) == 3 else None

    def check_data(self, x: Array) -> Array:
        """x as rows (B, D) of the model's dtype; raises TypeError or ValueError where the model cannot take it.

        x : (B, D), (B, height, width) or (B, height, width, channels); uint8 from 0 to 255, or floats as they are
        """
        kinds = "fbc" if self.dtype.kind == "c" else "fb"
        x = as_numbers(rows_of("x", x, self.n_data, self.image_shape, kinds), self.dtype)
        self.likelihood.check(x)
        return x


def n_in(argument: str, network: Sequential) -> int:
    """How many numbers a network takes in a row; raises ValueError where its first layer does not say."""
    if network.n_in is None:
        raise ValueError(f"{argument} does not say how many numbers it takes; expected an attribute n_in of the first "
                         "layer")
    return network.n_in


def check_size(argument: str, does: str, found: int | None, expected: int | None,
               others: str = "the other parts") -> None:
    """Raises ValueError where two sizes that are both known differ.  others : what the expected one is made of"""
    if None not in (found, expected) and found != expected:
        raise ValueError(f"{argument} {does} {found} numbers per row; expected {expected}, to fit {others}")


def as_noise(argument: str, value: Array, width: int, dtype: np.dtype) -> Array:
    """Codes or noise as rows of the model's dtype; raises TypeError or ValueError where they are not (B, width) numbers
    that are finite."""
    try:
        value = np.asarray(value)
    except ValueError:    # rows of different lengths
        raise ValueError(f"{argument} is {shown(value)}; expected (B, {width}), rows of equal length") from None
    if value.dtype.kind not in "fciub" or (value.dtype.kind == "c" and dtype.kind != "c"):
        raise TypeError(f"{argument} has dtype {value.dtype}; expected real numbers, such as float32")
    if value.ndim != 2 or value.shape[1] != width or len(value) == 0:
        advice = f": for one row give {argument}[None]" if value.shape == (width,) else ""
        raise ValueError(f"{argument} has shape {value.shape}; expected (B, {width}) with at least one row{advice}")
    rows = np.ascontiguousarray(value, dtype=dtype)
    if not np.isfinite(rows).all():
        raise ValueError(f"{argument} holds NaN or infinity; expected finite numbers, as drawn from N(0, 1)")
    return rows
