"""A model rebuilt from the file that holds its tree of parts and its weights."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import TYPES, checked, shown
from ..files import checkpoint
from ..files.regular import one_line
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar, at_most
from .autoencoder import Autoencoder
from .likelihoods import LIKELIHOODS
from .model import Model
from .posteriors import DiagonalGaussian, FullGaussian
from .priors import StandardNormal
from .tree import Maker, tree_of
from .vae import VAE
from .variants import ConditionalVAE, FullCovarianceVAE

PARTS: tuple[type, ...] = (
    VAE, Autoencoder, DiagonalGaussian, FullGaussian, StandardNormal, *LIKELIHOODS.values(),
    Sequential, Dense, Conv2d, ConvTranspose2d, Reshape, ReshapeLabelled, Flatten, SharedLogvar)


@checked(parts=TYPES)
def load(path: str | os.PathLike[str], parts: Sequence[type] = ()) -> Any:
    """The model that `save` wrote to a file.

    path  : of the file, or of the folder of a run, which holds a model.npz
    parts : your own classes that occur in it, such as [MyLayer]: a file holds only their names, and nothing in it is
            ever run

    Raises FileNotFoundError or another OSError, or ValueError where the file is not a model saved by numpyvae.
    """
    if os.path.isfile(inner := os.path.join(path, "model.npz")):
        path = inner
    header, arrays = checkpoint.read(path)
    try:
        header, arrays = in_todays_format(header, arrays)
        values = arrays.get("best", arrays["values"])    # of a run with patience, which ends with those
        with at_most(_size(values)):
            model = Maker([*parts, *PARTS], values.dtype)(header["model"])
        if not isinstance(model, Model):
            raise ValueError(f"its outermost part is {shown(model)}, not a model")
        if values.size != len(model.parameters):
            raise ValueError(f"it holds {values.size} weights, but its parts need {len(model.parameters)}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path} is not a model that numpyvae saved ({one_line(error)}); train one, or check the "
                         "path") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds weights that are NaN or infinite; train the model again")
    model.parameters.values[:] = values
    return model


def _size(values: np.ndarray) -> int:
    if values.ndim != 1 or values.dtype.kind != "f":
        raise ValueError(f"its weights have shape {values.shape} and dtype {values.dtype}; expected a vector of floats")
    return values.size


# Files of numpyvae 0.1.0, format 1, hold the name of a constructor and its arguments

CONSTRUCTORS: dict[tuple[str, str], Callable[..., Model]] = {
    ("VAE", "dense"): VAE.dense, ("VAE", "conv"): VAE.conv,
    ("Autoencoder", "dense"): Autoencoder.dense, ("Autoencoder", "conv"): Autoencoder.conv,
    ("FullCovarianceVAE", "dense"): FullCovarianceVAE.dense, ("FullCovarianceVAE", "conv"): FullCovarianceVAE.conv,
    ("ConditionalVAE", "dense"): ConditionalVAE.dense}


def in_todays_format(header: dict[str, Any],
                     arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A file's header and arrays, with those of format 1 converted to what today's version writes.

    Raises ValueError, TypeError or KeyError where they are not valid.
    """
    if "model" in header:
        return header, arrays
    values = arrays["values"]
    with at_most(_size(values)):
        make = CONSTRUCTORS[header["kind"], header.get("network", "dense")]    # the oldest do not name the network
        model = make(**header["config"], rng=np.random.default_rng(0), dtype=values.dtype)
    if header["kind"] == "FullCovarianceVAE" and values.size == len(model.parameters):
        arrays = {name: _lower_head_before_decoder(model, array) if array.shape == values.shape else array
                  for name, array in arrays.items()}
    return {**header, "model": tree_of(model)}, arrays


def _lower_head_before_decoder(model: Model, vector: np.ndarray) -> np.ndarray:
    """Weights, or an optimizer's moments, in today's order: format 1 put the head for L's lower entries last."""
    names = model.parameters.names
    stored = sorted(names, key=lambda name: name.startswith("lower_head"))
    ends = np.cumsum([model.parameters[name].size for name in stored])
    pieces = dict(zip(stored, np.split(vector, ends)))
    return np.concatenate([pieces[name] for name in names])
