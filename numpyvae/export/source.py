"""What the files of source code that are exported have in common: the formulas, and who is told the labels."""
from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..models.autoencoder import Autoencoder
from ..models.model import Model
from ..models.summary import one_line
from ..models.vae import VAE
from ..version import __version__
from .formulas import LIKELIHOODS, POSTERIORS
from .layout import row_of


def formulas_of(model: Model, xp: str) -> Iterator[str]:
    """The source of a model's distributions, nll, mean, draw, kl and moments, with `xp` as torch or jnp."""
    yield from _renamed(("nll", "mean"), row_of(LIKELIHOODS, model.likelihood), xp)
    if isinstance(model, VAE):
        yield from _renamed(("draw", "kl", "moments"), row_of(POSTERIORS, model.posterior)[:3], xp)


def _renamed(names: Iterable[str], functions: Iterable[Callable[..., Any]], xp: str) -> Iterator[str]:
    for name, function in zip(names, functions):
        source = inspect.getsource(function).rstrip().replace(f"def {function.__name__}(", f"def {name}(")
        yield re.sub(r"\bxp\.", f"{xp}.", source)


def nll_of(model: Model) -> str:
    """The call of nll in a loss."""
    sigma = getattr(model.likelihood, "sigma", None)
    return "nll(theta, x)" if sigma is None else f"nll(theta, x, {float(sigma)!r})"


def is_autoencoder(model: Model) -> bool:
    return isinstance(model, Autoencoder)


def with_labels(model: Model, rows: str) -> str:
    """What a network takes: rows, with their labels where the model has classes."""
    return rows if model.n_classes is None else f"with_labels({given(model, rows)})"


def given(model: Model, arguments: str) -> str:
    """The arguments of a function, and the labels where the model has classes."""
    return arguments if model.n_classes is None else f"{arguments}, labels"


def batch_of(model: Model) -> str:
    """What a loss takes."""
    return given(model, "x" if is_autoencoder(model) else "x, eps")


def codes_of(model: Model) -> str:
    """What `encode` gives."""
    return "z" if is_autoencoder(model) else "mu, logvar"


def docstring(model: Model, form: str, usage: Sequence[str]) -> str:
    """How a file begins: which model, in which form, how it is used, and what it takes."""
    takes = [f"x      : (B, {model.n_data}), in rows of height x width x channels; bytes divided by 255"]
    if not is_autoencoder(model):
        takes.append(f"eps    : (B, {model.n_latent}), noise from N(0, I)")
    if model.n_classes is not None:
        takes.append(f"labels : (B,), whole numbers from 0 to {model.n_classes - 1}")
    lines = [f"{one_line(model)} as {form}.", "", *(f"    {line}" for line in usage), "", *takes, "",
             f"Written by numpyvae {__version__}, without which it runs."]
    return '"""' + "\n".join(lines) + '\n"""'


def calls(function: str, source: str) -> bool:
    """Whether a function is called by its bare name."""
    return re.search(rf"(?<![\w.]){function}\(", source) is not None


def joined(pieces: Iterable[str]) -> str:
    """The pieces of a file, with two empty lines between them."""
    return "\n\n\n".join(piece.strip("\n") for piece in pieces) + "\n"
