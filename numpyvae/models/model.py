"""What every model has beside its mathematics: one vector of weights, a dtype, a file."""
from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from ..arguments import checked, one_of, plain, shown
from ..files import checkpoint
from ..files.regular import one_line
from ..nn.layers import Layer
from ..nn.parameters import Parameters
from .likelihoods import Likelihood

Array = np.ndarray


class LossTerms(NamedTuple):
    """A batch's mean loss and its two parts, in nats per image: loss = nll + beta * kl."""

    loss: float
    nll: float
    kl: float


class Model:
    """The base of VAE and Autoencoder.

    parameters : all the weights (see Parameters); the layers see them as views
    network    : the constructor that made it, "dense" or "conv"
    config     : the arguments that it was given; a file keeps both, and makes the model again
    """

    kinds: dict[str, Any] = {}    # subclasses by name, so that a file can say which one it holds

    def __init_subclass__(cls) -> None:
        Model.kinds[cls.__name__] = cls

    def __init__(self, likelihood: Likelihood, config: dict[str, Any], dtype: Any, network: str):
        size = {"dense": "n_data", "conv": "shape"}[one_of("network", network, ("dense", "conv"))]
        if size not in config:
            raise ValueError(f"network is {network!r}, and config has no {size}; expected that of such a network")
        self.likelihood, self.network = likelihood, network
        self.config: dict[str, Any] = {    # as JSON has it: lists, and Python's own numbers
            name: list(plain(value)) if isinstance(value, tuple) else plain(value) for name, value in config.items()}
        self.n_data = math.prod(self.config["shape"]) if network == "conv" else self.config["n_data"]
        self.n_latent = self.config["n_latent"]
        self.parameters = Parameters(self.named_layers(), dtype)

    def named_layers(self) -> Iterable[tuple[str, Layer]]:
        """The layers with weights, in the order of the data."""
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype:
        """float32 trains, float64 checks, complex128 proves."""
        return self.parameters.values.dtype

    @checked()
    def astype(self, dtype: Any) -> Self:
        """A copy of the model with its weights in another dtype."""
        model = copy.deepcopy(self)
        model.parameters = Parameters(model.named_layers(), dtype)
        return model

    @checked()
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and configuration to one .npz file, whole or not at all; `numpyvae.load` reads it.

        Raises OSError where the folder cannot be written.
        """
        header = {"kind": type(self).__name__, "network": self.network, "config": self.config}
        checkpoint.write(path, header, {"values": self.parameters.values})

    def check_data(self, x: Array) -> Array:
        """x as rows of the model's dtype; raises TypeError or ValueError where the model cannot take it."""
        x = as_batch("x", x, self.n_data, self.dtype)
        self.likelihood.check(x)
        return x


class Allowance(np.random.Generator):
    """A generator for the first weights, for at most as many as a file holds: a forged configuration gets no memory.

    Raises ValueError when asked for more.
    """

    def __init__(self, n_weights: int):
        super().__init__(np.random.PCG64(0))
        self.n_weights = self.left = n_weights

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        self.left -= math.prod(np.atleast_1d(size).tolist())
        if self.left < 0:
            raise ValueError(f"its configuration asks for more than the {self.n_weights} weights that it holds")
        return super().uniform(low, high, size)


@checked()
def load(path: str | os.PathLike[str]) -> Any:
    """The model that `save` wrote to a file.

    Raises FileNotFoundError or another OSError, or ValueError where the file is no model that numpyvae saved.
    """
    header, arrays = checkpoint.read(path)
    try:
        kind = Model.kinds[header["kind"]]
        make = {"dense": kind.dense, "conv": kind.conv}[header.get("network", "dense")]    # older files do not say
        values = arrays["values"]
        model = make(**header["config"], rng=Allowance(values.size))
        if values.shape != model.parameters.values.shape or values.dtype.kind != "f":
            raise ValueError(f"it holds {values.shape} weights of {values.dtype}, its configuration asks for "
                             f"{model.parameters.values.shape} floats")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} is no model that numpyvae saved ({one_line(error)}); train one, or check the "
                         "path") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds weights that are NaN or infinite; train the model anew")
    model.parameters.values[:] = values
    return model.astype(values.dtype)


def as_batch(argument: str, value: Array, width: int, dtype: np.dtype) -> Array:
    """value as rows of the model's dtype; raises TypeError or ValueError where it is no (B, width) of numbers."""
    try:
        value = np.asarray(value)
    except ValueError:    # rows of different lengths
        raise ValueError(f"{argument} is {shown(value)}; expected (B, {width}), rows of one length") from None
    if value.dtype.kind not in "fciub" or (value.dtype.kind == "c" and dtype.kind != "c"):
        raise TypeError(f"{argument} has dtype {value.dtype}; expected real numbers, such as float32")
    if value.ndim != 2 or value.shape[1] != width or len(value) == 0:
        hint = f": reshape images with {argument}.reshape(len({argument}), -1)" if value.ndim > 2 else ""
        raise ValueError(f"{argument} has shape {value.shape}; expected (B, {width}) with at least one row{hint}")
    return np.ascontiguousarray(value, dtype=dtype)


def as_noise(argument: str, value: Array, width: int, dtype: np.dtype) -> Array:
    """The same for what has no bounds of its own, codes and noise: finite numbers."""
    rows = as_batch(argument, value, width, dtype)
    if not np.isfinite(rows).all():
        raise ValueError(f"{argument} holds NaN or infinity; expected finite numbers, as N(0, 1) has them")
    return rows
