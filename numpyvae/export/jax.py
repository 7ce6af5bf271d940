"""A model as functions of JAX: a file of source that needs nothing but jax and safetensors.

The weights are those of the PyTorch module, by the same names and in the same layout; images stay channels-last.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..models.model import Model
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar
from .formulas import POSTERIORS
from .layout import activation_of, has_activation, numbered, row_of
from .source import (batch_of, calls, codes_of, docstring, formulas_of, given, is_autoencoder, joined, nll_of,
                     with_labels)

# The call that makes h from h, by the layer's name and the layer
LAYERS: dict[type, Callable[[str, Any], str]] = {
    Dense: lambda name, layer: f'dense(weights, "{name}", h)',
    Conv2d: lambda name, layer: f'conv(weights, "{name}", h, {layer.stride}, {layer.padding})',
    ConvTranspose2d: lambda name, layer: f'conv_transpose(weights, "{name}", h, {layer.stride}, {layer.padding}, '
                                         f'{layer.output_padding})',
    Reshape: lambda name, layer: f"h.reshape(-1, {', '.join(map(str, layer.shape))})",
    ReshapeLabelled: lambda name, layer: f"to_labelled_images(h, {layer.shape})",
    Flatten: lambda name, layer: f"to_rows(h, {layer.groups})",
    SharedLogvar: lambda name, layer: f'with_shared_logvar(weights, "{name}", h)'}

HELPERS: dict[type, str] = {
    Dense: '''
def dense(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
''',
    Conv2d: '''
def conv(weights, name, x, stride, padding):
    """Images (B, H, W, in), weights (out, in, K, L)."""
    margins = [(p, p) for p in padding]
    y = lax.conv_general_dilated(x, weights[f"{name}.weight"], stride, margins,
                                 dimension_numbers=("NHWC", "OIHW", "NHWC"))
    return y + weights[f"{name}.bias"]
''',
    ConvTranspose2d: '''
def conv_transpose(weights, name, x, stride, padding, output_padding):
    """Images (B, P, Q, in), weights (in, out, K, L): a convolution of x, spread out, with the windows turned round."""
    W = jnp.flip(weights[f"{name}.weight"], (2, 3))
    margins = [(k - 1 - p, k - 1 - p + extra) for k, p, extra in zip(W.shape[2:], padding, output_padding)]
    y = lax.conv_general_dilated(x, W, (1, 1), margins, lhs_dilation=stride,
                                 dimension_numbers=("NHWC", "IOHW", "NHWC"))
    return y + weights[f"{name}.bias"]
''',
    ReshapeLabelled: '''
def to_labelled_images(x, shape):
    """Rows of pixels with a label behind them as images, the label as channels."""
    n = shape[0] * shape[1] * shape[2]
    labels = jnp.broadcast_to(x[:, None, None, n:], (len(x), *shape[:2], x.shape[1] - n))
    return jnp.concatenate([x[:, :n].reshape(-1, *shape), labels], axis=3)
''',
    Flatten: '''
def to_rows(x, groups):
    """Images as rows, one equal group of channels after the other: (B, H, W, C) -> (B, groups H W C / groups)."""
    return jnp.concatenate([group.reshape(len(x), -1) for group in jnp.split(x, groups, axis=3)], axis=1)
''',
    SharedLogvar: '''
def with_shared_logvar(weights, name, mean):
    """Behind each row of means one learned log variance for all pixels: (B, D) -> (B, 2 D)."""
    return jnp.concatenate([mean, jnp.broadcast_to(weights[f"{name}.logvar"], mean.shape)], axis=1)
'''}


def functions_source(model: Model, weights: str) -> str:
    """A file with `load`, which reads the weights beside it, and encode, decode and loss as functions of them.

    weights : the name of their file

    Raises ValueError where a part of the model has no form in JAX.
    """
    pieces = [_load(weights), *(_autoencoder(model) if is_autoencoder(model) else _vae(model)),
              _network("encoder", model.encoder), _network("decoder", model.decoder), *_helpers(model),
              *formulas_of(model, "jnp")]
    body = "\n".join(pieces)
    imports = ["import math"] * ("math." in body) + ["from pathlib import Path", "", "import jax.numpy as jnp"]
    modules = [name for name, used in (("lax", "lax."), ("nn", "nn.")) if used in body]
    if modules:
        imports.append(f"from jax import {', '.join(modules)}")
    functions = [name for name in ("sigmoid", "softplus") if calls(name, body)]
    if functions:
        imports.append(f"from jax.nn import {', '.join(functions)}")
    imports.append("from safetensors.numpy import load_file")
    usage = ["weights = load()", f"{codes_of(model)} = encode(weights, {given(model, 'x')})",
             f"gradients = jax.grad(loss)(weights, {batch_of(model)})"]
    return joined(["\n".join([docstring(model, "functions of JAX", usage), *imports]), *pieces])


def _load(weights: str) -> str:
    return f'''
def load(path=Path(__file__).with_name("{weights}")):
    """The weights of a file, by their names; float64 only where jax_enable_x64 is set."""
    return {{name: jnp.asarray(array) for name, array in load_file(path).items()}}
'''


def _vae(model: Model) -> Iterator[str]:
    n, D, posterior = model.n_latent, model.n_data, getattr(model, "posterior")
    labels = ", labels" * (model.n_classes is not None)
    matrices = row_of(POSTERIORS, posterior).matrices
    heads = ",\n            ".join(f'dense(weights, "{name}", h)' + f".reshape(-1, {n}, {n})" * (name in matrices)
                                   for name, _ in posterior.named_heads())
    yield f'''
def infer(weights, x{labels}):
    """The parameters of q(z|x)."""
    h = encoder(weights, {with_labels(model, "x")})
    return ({heads})
'''
    yield f'''
def generate(weights, z{labels}):
    """The parameters of p(x|z): theta (B, {model.likelihood.outputs_per_pixel * D})."""
    return decoder(weights, {with_labels(model, "z")})
'''
    yield f'''
def encode(weights, x{labels}):
    """The mean and the log variance of each dimension of q(z|x): both (B, {n})."""
    return moments(infer(weights, x{labels}))
'''
    yield f'''
def decode(weights, z{labels}):
    """E[x|z], the picture without pixel noise: (B, {n}) -> (B, {D})."""
    return mean(generate(weights, z{labels}))
'''
    yield f'''
def loss(weights, x, eps{labels}, beta={float(model.beta)!r}):
    """The negative ELBO for beta = 1, in nats, its mean over the batch: x (B, {D}), eps (B, {n})."""
    q = infer(weights, x{labels})
    theta = generate(weights, draw(q, eps){labels})
    return ({nll_of(model)} + beta * kl(q)).mean()
'''
    if labels:
        yield f'''
def with_labels(rows, labels):
    """Each row, and behind it its label, one-hot: (B, I), (B,) -> (B, I + {model.n_classes})."""
    return jnp.concatenate([rows, nn.one_hot(labels, {model.n_classes}, dtype=rows.dtype)], axis=1)
'''


def _autoencoder(model: Model) -> Iterator[str]:
    yield f'''
def encode(weights, x):
    """The code of each image: (B, {model.n_data}) -> (B, {model.n_latent})."""
    return encoder(weights, x)
'''
    yield f'''
def decode(weights, z):
    """The picture of each code: (B, {model.n_latent}) -> (B, {model.n_data})."""
    return mean(decoder(weights, z))
'''
    yield f'''
def loss(weights, x):
    """-log p(x|z) in nats, its mean over the batch: x (B, {model.n_data})."""
    theta = decoder(weights, encoder(weights, x))
    return {nll_of(model)}.mean()
'''


def _network(name: str, network: Sequential) -> str:
    """A function of the weights and h, a line for each layer and each activation."""
    lines = [f"def {name}(weights, h):"]
    for number, layer in numbered(network):
        lines.append(f"    h = {row_of(LAYERS, layer)(f'{name}.{number}', layer)}")
        if has_activation(layer):
            lines.append(f"    h = {activation_of(layer).jax}")
    return "\n".join([*lines, "    return h"])


def _helpers(model: Model) -> Iterator[str]:
    used = {type(layer) for _, layer in model.named_layers()}
    yield from (source for kind, source in HELPERS.items() if kind in used)
