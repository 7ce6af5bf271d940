"""A model in words: one line for repr, a table of its layers for print.  Neither raises, whatever the parts do."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..nn.buffers import described

UNKNOWN = "?"
Row = tuple[str, str, str, str]    # of the table: name, layer, shape of its output, number of its weights


def one_line(model: Any) -> str:
    """VAE(784 -> 20, DiagonalGaussian, Bernoulli, beta=1, 652,824 weights of float32)"""
    try:
        parts = [type(getattr(model, name)).__name__ for name in ("posterior", "likelihood") if hasattr(model, name)]
        beta = [f"beta={model.beta:g}"] if hasattr(model, "beta") else []
        classes = [] if model.n_classes is None else [f"{model.n_classes} classes"]
        return (f"{type(model).__name__}("
                f"{', '.join([f'{model.n_data} -> {model.n_latent}', *parts, *beta, *classes, _weights(model)])})")
    except Exception:    # a half-made object
        return f"{type(model).__name__}(not yet made)"


def table(model: Any) -> str:
    """Each layer with the shape of what it puts out and the number of its weights; then the other parts."""
    try:
        rows = [("", "", "output", "weights"), *_layers(model)]
        others = [(name, described(getattr(model, name))) for name in ("posterior", "prior", "likelihood")
                  if hasattr(model, name)]
        others += [(name, f"{getattr(model, name):g}") for name in ("beta", "n_classes")
                   if getattr(model, name, None) is not None]
        others += [("total", _weights(model))]
        width = max(len(row[0]) for row in (*rows, *others))
        widths = [max(len(row[i]) for row in rows) for i in (1, 2, 3)]
        kind = ("conditional " if model.n_classes is not None else "") + type(model).__name__
        lines = [f"{kind} of {model.n_data} numbers, with {model.n_latent} latent dimensions"]
        lines += [f"{name:{width}}  {layer:{widths[0]}}  {shape:{widths[1]}}  {n:>{widths[2]}}"
                  for name, layer, shape, n in rows]
        return "\n".join([*lines, *(f"{name:{width}}  {words}" for name, words in others)])
    except Exception:    # a half-made object
        return f"{type(model).__name__}, not yet made"


def _layers(model: Any) -> Iterator[Row]:
    """A row for each layer, found by sending zeros through copies of them: a layer keeps arrays from forward to
    backward, and those must not change."""
    classes = model.n_classes or 0
    x: Any = np.zeros((1, model.n_data + classes), model.dtype)
    for name, layer in model.encoder.named_layers("encoder"):
        x = _forward(layer, x)
        yield _row(name, layer, x)
    if hasattr(model, "posterior"):
        for name, layer in model.posterior.named_heads():
            yield _row(name, layer, _forward(layer, x))
    x = np.zeros((1, model.n_latent + classes), model.dtype)
    for name, layer in model.decoder.named_layers("decoder"):
        x = _forward(layer, x)
        yield _row(name, layer, x)


def _row(name: str, layer: Any, y: Any) -> Row:
    activation = getattr(layer, "activation", None)
    words = type(layer).__name__ + (f", {activation}" if isinstance(activation, str) else "")
    shape = f"(B, {', '.join(map(str, y.shape[1:]))})" if isinstance(y, np.ndarray) else UNKNOWN
    return name, words, shape, _said(lambda: f"{sum(p.size for p in layer.params.values()):,}")


def _forward(layer: Any, x: Any) -> Any:
    """None where the layer fails, or where x is None because an earlier one has."""
    try:
        with np.errstate(all="ignore"):
            return copy.deepcopy(layer).forward(x)
    except Exception:    # a user's own code
        return None


def _said(words: Callable[[], str]) -> str:
    try:
        return words()
    except Exception:    # a user's own code
        return UNKNOWN


def _weights(model: Any) -> str:
    return f"{len(model.parameters):,} weights of {model.dtype}"
