"""Gradient checks: is every backward pass the derivative of its forward pass?

Two ways to differentiate a function f numerically, entry by entry:

complex step          f'(x) = Im f(x + i h) / h + O(h^2).  Nothing is subtracted, so nothing cancels, and h may be
                      1e-30: the result is right to the last digits.  f has to be analytic: no absolute value and no
                      comparison may look at the complex number, only at its real part.  [Squire & Trapp 1998]
central differences   f'(x) = (f(x + h) - f(x - h)) / 2h + O(h^2).  Works for compiled kernels, which take real
                      numbers only; the subtraction costs half of the digits.

A function with many results is made one number by a random upstream gradient dy:  L = sum(dy * f(x)), and the
backward pass has to give dL/dx.  Sizes are all different, so that no transpose hides; weights and biases are random,
so that no term is zero; the noise stands still.                     [lesson 2, eq. 2.6; lesson 2, eq. 2.7]

The relative error of an array is  max |analytic - numeric| / max |numeric|.
"""
from __future__ import annotations

import copy
import dataclasses
import functools
import html
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import convolution, layers, objectives
from .functional.activations import ACTIVATIONS
from .functional.gaussian import gaussian_kl, gaussian_log_density, reparameterize
from .layers import one_of
from .model import Model
from .twin import ANY_SHAPE, NUMBER, PAIRS, Twin, kernels_are_on, kernels_everywhere, kernels_off, registry

Array = np.ndarray
Gradients = dict[str, tuple[Array, Array]]    # name -> (analytic, numeric)

STEP = {"complex-step": 1e-30, "central-differences": 1e-5}
TOLERANCE = {"complex-step": 1e-12, "central-differences": 1e-7}
SIZES = (4, 7, 5, 3, 6)                  # of the axes, in the order in which they appear
IMAGE_SIZES = (2, 6, 5, 4, 2, 3, 5, 3)    # the same where the first array holds images: (B, H, W, C), then (K, L, ...)
EXAMPLE_PAIRS = ((2, 3), (0, 1), (1, 2))    # of whole numbers, in the order in which they appear
BETAS = (0.0, 1.0, 4.0)                  # a large KL term can hide an error in the other, and the other way round
LIKELIHOODS = ("bernoulli", "gaussian", "gaussian-learned")
KINK = 0.1                               # no input comes nearer to zero, where relu has no derivative


def differentiate(loss: Callable[[], Any], x: Array, method: str) -> Array:
    """The gradient of loss() for each entry of x, an array that loss reads and that is changed and put back.

    For the complex step x has to be complex.
    """
    gradient, h = np.empty(x.shape), STEP[method]
    for index in np.ndindex(x.shape):
        before = x[index]
        if method == "complex-step":
            x[index] = before + 1j * h
            gradient[index] = loss().imag / h
        else:
            x[index] = before + h
            above = loss()
            x[index] = before - h
            gradient[index] = (above - loss()) / (2 * h)
        x[index] = before
    return gradient


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of one component on one path."""

    component: str
    path: str         # "reference", the NumPy bodies, or "kernel", the compiled ones
    method: str
    errors: dict[str, Array]    # of each array, entry by entry, relative to the array's largest gradient

    @property
    def entries(self) -> int:
        return sum(error.size for error in self.errors.values())

    @property
    def worst(self) -> tuple[str, float]:
        """The name and index of the worst entry, and its error.  A NaN is worse than any number."""
        worst_of = {name: np.unravel_index(np.argmax(error), error.shape) for name, error in self.errors.items()}
        name = max(worst_of, key=lambda name: self.errors[name][worst_of[name]])
        return f"{name}[{', '.join(map(str, worst_of[name]))}]", float(self.errors[name][worst_of[name]])

    @property
    def ok(self) -> bool:
        return self.worst[1] <= TOLERANCE[self.method]


@dataclasses.dataclass(frozen=True)
class Report:
    """The rows of a gradient check; prints as a table."""

    rows: list[Row]

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if not row.ok]

    @property
    def ok(self) -> bool:
        return not self.failed

    def as_dict(self) -> dict[str, Any]:
        """What --json prints."""
        return {"failed": len(self.failed), "entries": sum(row.entries for row in self.rows), "rows": [
            {"component": row.component, "path": row.path, "method": row.method, "entries": row.entries,
             "worst_error": row.worst[1], "worst_entry": row.worst[0], "ok": row.ok} for row in self.rows]}

    def cells(self) -> list[list[str]]:
        """The table, the head first."""
        head = ["component", "path", "method", "entries", "worst error", "at", "verdict"]
        return [head] + [[row.component, row.path, row.method, str(row.entries), f"{row.worst[1]:.1e}", row.worst[0],
                          "ok" if row.ok else "WRONG"] for row in self.rows]

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
        wrong = f"{len(self.failed)} WRONG" if self.failed else "all right"
        total = sum(row.entries for row in self.rows)
        return "\n".join([*lines, f"{len(self.rows)} checks, {total} entries, {wrong}"])

    def _repr_html_(self) -> str:
        """In a notebook: the table, and the error of every entry as a heat map."""
        from .plots import gradient_errors, picture_tag
        head, *lines = [[html.escape(cell) for cell in line] for line in self.cells()]
        rows = "".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>" for line in lines)
        table = f"<table><thead><tr><th>{'</th><th>'.join(head)}</th></tr></thead><tbody>{rows}</tbody></table>"
        return table + picture_tag(lambda ax: gradient_errors(self, ax), (9, 0.6 + 0.18 * len(self.rows)),
                                   "error of every entry, as a heat map")


def gradcheck(component: str | None = None, method: str | None = None) -> Report:
    """Check every component of the package, or those whose name contains `component`.

    method : "complex-step" (the NumPy bodies, tolerance 1e-12), "central-differences" (the compiled kernels,
             tolerance 1e-7), or None for both

    Raises ValueError where no component or no method is called so.
    """
    methods = list(TOLERANCE) if method is None else [one_of("method", method, TOLERANCE)]
    chosen = {name: check for name, check in components().items() if component is None or component in name}
    if not chosen:
        raise ValueError(f"component is {component!r}; expected a part of one of {', '.join(components())}")
    return Report([check_component(name, check, method) for name, check in chosen.items() for method in methods])


def check_component(name: str, check: Callable[[str], Gradients], method: str) -> Row:
    """One row of the report: on the NumPy bodies for the complex step, else on the kernels."""
    with kernels_off() if method == "complex-step" else kernels_everywhere():
        path = "kernel" if kernels_are_on() else "reference"
        gradients = check(method)
    return Row(name, path, method, {key: relative_errors(*pair) for key, pair in gradients.items()})


def relative_errors(analytic: Array, numeric: Array) -> Array:
    """|analytic - numeric| of each entry, over the largest |numeric|; infinite where shapes differ or for NaN."""
    if analytic.shape != numeric.shape:
        return np.full(numeric.shape, np.inf)
    scale = abs(numeric).max() or 1.0
    return np.nan_to_num(abs(analytic - numeric) / scale, nan=np.inf, posinf=np.inf)


def components() -> dict[str, Callable[[str], Gradients]]:
    """All that has a backward pass, found by walking the twins, the layers and the models.

    Each name goes with a function that takes a method and returns the gradients.
    """
    found: dict[str, Callable[[str], Gradients]] = {}
    for forward, backward in pairs():
        found[backward.name.removesuffix("_backward")] = functools.partial(check_pair, forward, backward)
    for name, make_layer in layer_examples():
        found[name] = functools.partial(_check_made, check_layer, make_layer)
    for name, make_model in model_examples():
        found[name] = functools.partial(_check_made, check_model, make_model)
    for name, check, make_model in objective_examples():
        found[name] = functools.partial(_check_made, check, make_model)
    return found


def _check_made(check: Callable[..., Gradients], make: Callable[[], tuple[Any, Array]], method: str) -> Gradients:
    return check(*make(), method)


# Pairs of twins

def pairs() -> Iterator[tuple[Twin, Twin]]:
    """Every backward twin with the forward twin that it differentiates: their names say which."""
    for key, twin in registry.items():
        module, name = key.rsplit(".", 1)
        forward = forward_name(name)
        if forward is not None:
            yield registry[f"{module}.{forward}"], twin


def forward_name(name: str) -> str | None:
    """relu for relu_backward, add_bias_relu for relu_backward_bias, bernoulli_nll for bernoulli_nll_and_grad."""
    if name in ("bias_backward", "scatter_patches"):
        return {"bias_backward": "add_bias", "scatter_patches": "patches"}[name]
    if name.endswith("_backward_bias"):
        return "add_bias_" + name.removesuffix("_backward_bias")
    for ending in ("_backward", "_and_grad"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return None


def check_pair(forward: Twin, backward: Twin, method: str, seed: int = 0) -> Gradients:
    """The gradients that `backward` gives and those of sum(dy * forward(...)), by the names of the inputs."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(forward, rng)
    y = forward(*_copies(inputs))
    dy = rng.standard_normal(y.shape)
    upstream, *others = backward.shapes
    known = {upstream: dy, **inputs, "y": y}
    arguments = [np.full(_buffer_shape(name, y, known), np.nan) if name in backward.writes else known[name]
                 for name in (upstream, *others)]
    results = backward(*_copies(dict(zip(backward.shapes, arguments))))
    results = results if isinstance(results, tuple) else (results,)
    gradients: Gradients = {}
    if backward.name.endswith("_and_grad"):    # the value comes first; it is checked like a gradient of its own
        gradients["value"] = (results[0], y)
        results = results[1:]
    if method == "complex-step":
        inputs = {name: value.astype(complex) if isinstance(value, np.ndarray) else value
                  for name, value in inputs.items()}

    def loss() -> Any:
        return np.sum(dy * forward(*_copies(inputs)))
    for name, result in zip(forward.wrt, results, strict=True):
        gradients[name] = (result, differentiate(loss, inputs[name], method))
    return gradients


def random_inputs(twin: Twin, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments for a forward twin, float64, all axes of different lengths, on both sides of a kink at zero."""
    lengths: dict[str, int] = {}
    inputs: dict[str, Any] = {}
    pairs = iter(EXAMPLE_PAIRS)
    sizes = IMAGE_SIZES if len(next(iter(twin.shapes.values())).split()) == 4 else SIZES
    for name, spec in twin.shapes.items():
        if spec == NUMBER or spec in PAIRS:
            inputs[name] = 0.7 if spec == NUMBER else next(pairs)
            continue
        shape = []
        for axis in (["B", "D"] if spec == ANY_SHAPE else spec.split()):
            letter = axis.lstrip("0123456789")
            length = lengths.setdefault(letter, sizes[len(lengths) % len(sizes)])
            shape.append(length * int(axis.removesuffix(letter) or 1))
        value = rng.standard_normal(shape)
        inputs[name] = value + np.copysign(KINK, value)
    if "b" in inputs and "y" in inputs:    # y + b meets the kink, not y
        inputs["y"] -= inputs["b"]
    return inputs


def _copies(arguments: dict[str, Any]) -> list[Any]:
    """Some twins write over their arguments."""
    return [value.copy() if isinstance(value, np.ndarray) else value for value in arguments.values()]


def _buffer_shape(name: str, y: Array, known: dict[str, Any]) -> tuple[int, ...]:
    """Of the array that `name`, a gradient d + input or a value, is to be written into."""
    if name == "da":    # of what the activation was given
        return y.shape
    return known[name.removeprefix("d")].shape if name.removeprefix("d") in known else y.shape


# Layers

def layer_classes() -> list[type]:
    """The classes of layers.py and convolution.py that follow the protocol."""
    return [cls for module in (layers, convolution) for _, cls in inspect.getmembers(module, inspect.isclass)
            if cls.__module__ == module.__name__ and cls is not layers.Layer
            and hasattr(cls, "forward") and hasattr(cls, "backward")]


def layer_examples() -> Iterator[tuple[str, Callable[[], tuple[Any, Array]]]]:
    """A small layer and an input for each layer class, Dense with each activation, convolutions with two."""
    def dense(activation: str) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        return layers.Dense(7, 5, activation, rng=rng, dtype=np.float64), rng.standard_normal((4, 7))

    def sequential() -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        return layers.dense_stack([7, 5, 3], "tanh", "relu", rng=rng, dtype=np.float64), rng.standard_normal((4, 7))

    def convolved(make: Any, activation: str) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        layer = make(3, 2, (3, 2), (2, 1), (1, 0), activation=activation, rng=rng, dtype=np.float64)
        return layer, rng.standard_normal((4, 4, 3, 3))

    def reshaped(make: Any, shape: tuple[int, ...]) -> tuple[Any, Array]:
        return make(), np.random.default_rng(0).standard_normal(shape)

    for activation in ACTIVATIONS:
        yield f"Dense({activation})", functools.partial(dense, activation)
    yield "Sequential", sequential
    for cls in (convolution.Conv2d, convolution.ConvTranspose2d):
        for activation in ("identity", "sigmoid"):
            yield f"{cls.__name__}({activation})", functools.partial(convolved, cls, activation)
    yield "Reshape", functools.partial(reshaped, lambda: layers.Reshape((2, 3, 1)), (4, 6))
    for groups in (1, 2):
        yield f"Flatten({groups})", functools.partial(reshaped, lambda n=groups: layers.Flatten(n), (4, 2, 3, 4))


def check_layer(layer: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The gradients of a layer for x and for each of its parameters."""
    rng = np.random.default_rng(seed)
    dy = rng.standard_normal(layer.forward(x).shape)
    analytic = {"x": np.array(layer.backward(dy))}
    owners = dict(parameter_owners(layer))
    analytic |= {name: owner.grads[key].copy() for name, (owner, key) in owners.items()}
    if method == "complex-step":
        layer, x = copy.deepcopy(layer), x.astype(complex)
        owners = dict(parameter_owners(layer))
        for owner, key in owners.values():
            owner.params[key] = owner.params[key].astype(complex)

    def loss() -> Any:
        return np.sum(dy * layer.forward(x))
    arrays = {"x": x, **{name: owner.params[key] for name, (owner, key) in owners.items()}}
    return {name: (analytic[name], differentiate(loss, array, method)) for name, array in arrays.items()}


def parameter_owners(layer: Any) -> Iterator[tuple[str, tuple[Any, str]]]:
    """The name of each parameter in a layer, with the layer that holds it and its key there."""
    for prefix, owner in (layer.named_layers("layers") if hasattr(layer, "named_layers") else [("", layer)]):
        for key in owner.params:
            yield f"{prefix}.{key}".lstrip("."), (owner, key)


# Models

def model_examples() -> Iterator[tuple[str, Callable[[], tuple[Any, Array]]]]:
    """Each model with each likelihood, and with each beta if it takes one: a small one, and data."""
    def make(kind: Any, network: str, options: dict[str, Any]) -> tuple[Any, Array]:
        rng = np.random.default_rng(0)
        options = {**options, "activation": "tanh", "sigma": 0.7, "rng": rng, "dtype": np.float64}
        model = (kind.dense(7, (5,), 3, **options) if network == "dense" else
                 kind.conv((3, 4, 1), (2, 3), 4, 3, **options))
        model.parameters.values[:] = rng.normal(0, 0.5, len(model.parameters))
        return model, rng.random((4 if network == "dense" else 2, model.n_data))

    for kind in Model.kinds.values():
        betas = BETAS if "beta" in inspect.signature(kind.dense).parameters else (None,)
        for likelihood in LIKELIHOODS:
            for beta in betas:
                options: dict[str, Any] = {"likelihood": likelihood} | ({} if beta is None else {"beta": beta})
                name = f"{kind.__name__}({likelihood}" + ("" if beta is None else f", beta={beta:g}") + ")"
                yield name, functools.partial(make, kind, "dense", options)
        for likelihood in LIKELIHOODS:
            yield f"{kind.__name__}.conv({likelihood})", functools.partial(make, kind, "conv",
                                                                           {"likelihood": likelihood})


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


# Objectives: gradients of a VAE that are estimated in another way

def objective_examples() -> Iterator[tuple[str, Callable[..., Gradients], Callable[[], tuple[Any, Array]]]]:
    """Each function of objectives.py with its check, a VAE of each likelihood, and data."""
    for name, make in model_examples():
        if name.startswith("VAE("):    # the layers do not matter to them
            for objective, check in OBJECTIVES.items():
                yield name.replace("VAE", objective), check, make


def check_score_function(vae: Any, x: Array, method: str, seed: int = 0) -> Gradients:
    """The estimate is the gradient of  mean( nll(z) + (nll* - baseline) log q(z) + beta KL )  with z and nll* held."""
    rng = np.random.default_rng(seed)
    (eps,), baseline = vae.noise(len(x), rng), rng.standard_normal(len(x))
    reported = objectives.score_function(vae, x, eps, baseline).loss
    analytic = {name: vae.parameters.grad(name).copy() for name in vae.parameters.names}
    mu, logvar = vae.encode(x)
    z = reparameterize(mu, logvar, eps)
    weight = vae.likelihood.nll(vae.decoder.forward(z), x) - baseline
    if method == "complex-step":
        vae = vae.astype(complex)

    def loss() -> Any:
        mu, logvar = vae.encode(x)
        nll = vae.likelihood.nll(vae.decoder.forward(z.astype(vae.dtype)), x)
        return np.mean(nll + weight * gaussian_log_density(z, mu, logvar) + vae.beta * gaussian_kl(mu, logvar))
    gradients = {"loss": (np.array([reported]), np.array([vae.loss(x, eps)]).real)}
    return gradients | {name: (analytic[name], differentiate(loss, vae.parameters[name], method)) for name in analytic}


OBJECTIVES: dict[str, Callable[..., Gradients]] = {"score_function": check_score_function}
