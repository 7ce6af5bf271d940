"""A model made again from the file that holds its tree of parts and its weights."""
from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import TYPES, checked
from ..files import checkpoint
from ..files.regular import one_line
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, Sequential, at_most
from .autoencoder import Autoencoder
from .likelihoods import LIKELIHOODS
from .model import Model, origin, tree_of
from .posteriors import DiagonalGaussian, FullGaussian
from .priors import StandardNormal
from .vae import VAE
from .variants import ConditionalVAE, FullCovarianceVAE

PARTS: dict[str, type] = {kind.__name__: kind for kind in (
    VAE, Autoencoder, DiagonalGaussian, FullGaussian, StandardNormal, *LIKELIHOODS.values(),
    Sequential, Dense, Conv2d, ConvTranspose2d, Reshape, Flatten)}
DEEPEST, MOST_PARTS = 30, 1000    # of a tree: a model has six floors, lists counted, and a few dozen parts


@checked(parts=TYPES)
def load(path: str | os.PathLike[str], parts: Sequence[type] = ()) -> Any:
    """The model that `save` wrote to a file.

    parts : classes of your own that are in it, such as [MyLayer]: a file says what they are called, and nothing in it
            is ever run

    Raises FileNotFoundError or another OSError, or ValueError where the file is no model that numpyvae saved.
    """
    header, arrays = checkpoint.read(path)
    try:
        header, arrays = in_todays_format(header, arrays)
        values = arrays["values"]
        with at_most(_size(values)):
            model = Maker(parts, values.dtype)(header["model"])
        if not isinstance(model, Model):
            raise ValueError(f"its outermost part is a {type(model).__name__}, which is no model")
        if values.size != len(model.parameters):
            raise ValueError(f"it holds {values.size} weights, and its parts ask for {len(model.parameters)}")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path} is no model that numpyvae saved ({one_line(error)}); train one, or check the "
                         "path") from error
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds weights that are NaN or infinite; train the model anew")
    model.parameters.values[:] = values
    return model


def _size(values: np.ndarray) -> int:
    if values.ndim != 1 or values.dtype.kind != "f":
        raise ValueError(f"it holds weights {values.shape} of {values.dtype}, and no vector of floats")
    return values.size


class Maker:
    """From a tree, as `tree_of` writes it, to the part, its weights drawn at random."""

    def __init__(self, own: Sequence[type], dtype: np.dtype):
        self.known = {(origin(kind), kind.__name__): kind for kind in (*own, *PARTS.values())}
        self.dtype, self.made = dtype, 0

    def __call__(self, tree: Any, depth: int = 1) -> Any:
        self.made += isinstance(tree, dict)
        if depth > DEEPEST or self.made > MOST_PARTS:
            raise ValueError(f"it is a tree of more than {DEEPEST} floors or {MOST_PARTS} parts")
        if not isinstance(tree, dict):
            return [self(one, depth + 1) for one in tree] if isinstance(tree, list) else tree
        (key, name), *arguments = tree.items()
        kind = self.known.get((key, name)) if isinstance(name, str) else None
        if kind is None:
            hint = f": give its class, numpyvae.load(path, parts=[{name}])" if key == "own" else ""
            raise ValueError(f"it holds a part called {name!r}, which is not known here{hint}")
        given = {argument: self(value, depth + 1) for argument, value in arguments}
        takes = inspect.signature(kind).parameters
        if not set(given) <= set(takes):
            raise ValueError(f"its {name} has {', '.join(set(given) - set(takes))}, which a {name} does not take")
        drawing = {"rng": np.random.default_rng(0), "dtype": self.dtype}
        return kind(**given, **{argument: value for argument, value in drawing.items() if argument in takes})


# Files of numpyvae 0.1.0, whose format had the number 1: the name of a constructor, and its arguments

CONSTRUCTORS: dict[tuple[str, str], Callable[..., Model]] = {
    ("VAE", "dense"): VAE.dense, ("VAE", "conv"): VAE.conv,
    ("Autoencoder", "dense"): Autoencoder.dense, ("Autoencoder", "conv"): Autoencoder.conv,
    ("FullCovarianceVAE", "dense"): FullCovarianceVAE.dense, ("FullCovarianceVAE", "conv"): FullCovarianceVAE.conv,
    ("ConditionalVAE", "dense"): ConditionalVAE.dense}


def in_todays_format(header: dict[str, Any],
                     arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A file's header and arrays, those of format 1 as today's version would have written them.

    Raises ValueError, TypeError or KeyError where they are none.
    """
    if "model" in header:
        return header, arrays
    values = arrays["values"]
    with at_most(_size(values)):
        make = CONSTRUCTORS[header["kind"], header.get("network", "dense")]    # the oldest do not say which network
        model = make(**header["config"], rng=np.random.default_rng(0), dtype=values.dtype)
    if header["kind"] == "FullCovarianceVAE" and values.size == len(model.parameters):
        arrays = {name: _lower_head_before_decoder(model, array) if array.shape == values.shape else array
                  for name, array in arrays.items()}
    return {**header, "model": tree_of(model)}, arrays


def _lower_head_before_decoder(model: Model, vector: np.ndarray) -> np.ndarray:
    """Weights, or an optimizer's moments, in today's order: the head for what lies below L's diagonal came last."""
    names = model.parameters.names
    stored = sorted(names, key=lambda name: name.startswith("lower_head"))
    ends = np.cumsum([model.parameters[name].size for name in stored])
    pieces = dict(zip(stored, np.split(vector, ends)))
    return np.concatenate([pieces[name] for name in names])
