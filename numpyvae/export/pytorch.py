"""A model as a PyTorch module: a file of source that needs nothing but torch and safetensors."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..models.model import Model
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar
from .formulas import POSTERIORS
from .layout import activation_of, has_activation, row_of
from .source import (batch_of, calls, codes_of, docstring, formulas_of, given, is_autoencoder, joined, nll_of,
                     with_labels)

LAYERS: dict[type, Callable[[Any], str]] = {
    Dense: lambda layer: f"nn.Linear({layer.n_in}, {layer.n_out})",
    Conv2d: lambda layer: f"nn.Conv2d({layer.n_in}, {layer.n_out}, {layer.kernel_size}, stride={layer.stride}, "
                          f"padding={layer.padding})",
    ConvTranspose2d: lambda layer: f"nn.ConvTranspose2d({layer.n_in}, {layer.n_out}, {layer.kernel_size}, "
                                   f"stride={layer.stride}, padding={layer.padding}, "
                                   f"output_padding={layer.output_padding})",
    Reshape: lambda layer: f"ToImages({', '.join(map(str, layer.shape))})",
    ReshapeLabelled: lambda layer: f"ToLabelledImages({', '.join(map(str, layer.shape))})",
    Flatten: lambda layer: f"ToRows({layer.groups})",
    SharedLogvar: lambda layer: "SharedLogvar()"}

# What PyTorch has no module for
HELPERS: dict[type, str] = {
    Reshape: '''
class ToImages(nn.Module):
    """Rows of height x width x channels numbers as images: (B, H W C) -> (B, C, H, W)."""

    def __init__(self, height, width, channels):
        super().__init__()
        self.shape = height, width, channels

    def forward(self, x):
        return x.unflatten(1, self.shape).permute(0, 3, 1, 2)
''',
    ReshapeLabelled: '''
class ToLabelledImages(nn.Module):
    """The same, with a label behind each row as channels: (B, H W C + classes) -> (B, C + classes, H, W)."""

    def __init__(self, height, width, channels):
        super().__init__()
        self.shape, self.n_data = (height, width, channels), height * width * channels

    def forward(self, x):
        images = x[:, :self.n_data].unflatten(1, self.shape).permute(0, 3, 1, 2)
        labels = x[:, self.n_data:, None, None].expand(-1, -1, *images.shape[2:])
        return torch.cat([images, labels], dim=1)
''',
    Flatten: '''
class ToRows(nn.Module):
    """Images as rows, one equal group of channels after the other: (B, C, H, W) -> (B, groups H W C / groups)."""

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, x):
        return torch.cat([group.permute(0, 2, 3, 1).flatten(1) for group in x.chunk(self.groups, dim=1)], dim=1)
''',
    SharedLogvar: '''
class SharedLogvar(nn.Module):
    """Behind each row of means one learned log variance for all pixels: (B, D) -> (B, 2 D)."""

    def __init__(self):
        super().__init__()
        self.logvar = nn.Parameter(torch.zeros(1))

    def forward(self, mean):
        return torch.cat([mean, self.logvar.expand_as(mean)], dim=1)
'''}

SOFTPLUS = '''
def softplus(a):
    """log(1 + e^a); PyTorch's own is a itself from 20 on, if no threshold is given."""
    return F.softplus(a, threshold=40)
'''


def module_source(model: Model, weights: str) -> str:
    """A file with the class VAE or Autoencoder, and `load`, which reads the weights beside it.

    weights : the name of their file

    Raises ValueError where a part of the model has no form in PyTorch.
    """
    pieces = [*(_autoencoder(model) if is_autoencoder(model) else _vae(model)), _load(model, weights),
              *_helpers(model), *formulas_of(model, "torch")]
    if calls("softplus", "\n".join(pieces)):
        pieces.append(SOFTPLUS)
    return joined([_head(model, "\n".join(pieces)), *pieces])


def _head(model: Model, body: str) -> str:
    imports = ["import math"] * ("math." in body) + ["from pathlib import Path", ""]
    imports += ["import torch"] * calls(r"torch\.\w+", body) + ["from safetensors.torch import load_file"]
    imports.append("from torch import nn, sigmoid" if calls("sigmoid", body) else "from torch import nn")
    if "F." in body:
        imports.append("from torch.nn import functional as F")
    usage = [f"model = load()    # or {type(model).__name__}(), to train it from the start",
             f"{codes_of(model)} = model.encode({given(model, 'x')})",
             f"model.loss({batch_of(model)}).backward()"]
    return "\n".join([docstring(model, "a PyTorch module", usage), *imports])


def _vae(model: Model) -> Iterator[str]:
    labels, n, D = ", labels" * (model.n_classes is not None), model.n_latent, model.n_data
    posterior: Any = getattr(model, "posterior")
    matrices = row_of(POSTERIORS, posterior).matrices
    heads = ", ".join(f"self.{name}(h)" + f".unflatten(1, ({n}, {n}))" * (name in matrices)
                      for name, _ in posterior.named_heads())
    made = "\n".join(f"        self.{name} = {row_of(LAYERS, head)(head)}" for name, head in posterior.named_heads())
    yield f'''
class VAE(nn.Module):
    def __init__(self, beta={float(model.beta)!r}):
        super().__init__()
        self.beta = beta    # the weight of the KL
        self.encoder = {_sequential(model.encoder)}
{made}
        self.decoder = {_sequential(model.decoder)}

    def infer(self, x{labels}):
        """The parameters of q(z|x)."""
        h = self.encoder({with_labels(model, "x")})
        return {heads}

    def generate(self, z{labels}):
        """The parameters of p(x|z): theta (B, {model.likelihood.outputs_per_pixel * D})."""
        return self.decoder({with_labels(model, "z")})

    def encode(self, x{labels}):
        """The mean and the log variance of each dimension of q(z|x): both (B, {n})."""
        return moments(self.infer(x{labels}))

    def decode(self, z{labels}):
        """E[x|z], the picture without pixel noise: (B, {n}) -> (B, {D})."""
        return mean(self.generate(z{labels}))

    def loss(self, x, eps{labels}):
        """The negative ELBO for beta = 1, in nats, its mean over the batch: x (B, {D}), eps (B, {n})."""
        q = self.infer(x{labels})
        theta = self.generate(draw(q, eps){labels})
        return ({nll_of(model)} + self.beta * kl(q)).mean()

    forward = loss    # what DistributedDataParallel and torch.compile call
'''
    if labels:
        yield f'''
def with_labels(rows, labels):
    """Each row, and behind it its label, one-hot: (B, I), (B,) -> (B, I + {model.n_classes})."""
    return torch.cat([rows, F.one_hot(labels, {model.n_classes}).to(rows.dtype)], dim=1)
'''


def _autoencoder(model: Model) -> Iterator[str]:
    yield f'''
class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = {_sequential(model.encoder)}
        self.decoder = {_sequential(model.decoder)}

    def encode(self, x):
        """The code of each image: (B, {model.n_data}) -> (B, {model.n_latent})."""
        return self.encoder(x)

    def decode(self, z):
        """The picture of each code: (B, {model.n_latent}) -> (B, {model.n_data})."""
        return mean(self.decoder(z))

    def loss(self, x):
        """-log p(x|z) in nats, its mean over the batch: x (B, {model.n_data})."""
        theta = self.decoder(self.encoder(x))
        return {nll_of(model)}.mean()

    forward = loss    # what DistributedDataParallel and torch.compile call
'''


def _load(model: Model, weights: str) -> str:
    return f'''
def load(path=Path(__file__).with_name("{weights}")):
    """The module with the weights of a file, in their dtype."""
    weights = load_file(path)
    model = {type(model).__name__}().to(next(iter(weights.values())).dtype)
    model.load_state_dict(weights, strict=True)
    return model
'''


def _sequential(network: Sequential) -> str:
    """The modules of a network, a line for each."""
    modules = []
    for layer in network.layers:
        modules.append(row_of(LAYERS, layer)(layer))
        if has_activation(layer):
            modules.append(activation_of(layer).torch)
    lines = "".join(f"            {module},\n" for module in modules)
    return f"nn.Sequential(\n{lines}        )" if lines else "nn.Sequential()"


def _helpers(model: Model) -> Iterator[str]:
    used = {type(layer) for layer in (*model.encoder.layers, *model.decoder.layers)}
    yield from (source for kind, source in HELPERS.items() if kind in used)
