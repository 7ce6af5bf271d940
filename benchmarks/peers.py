"""The same training step in the frameworks that a learner would use instead: the same sizes, data, noise, loss,
optimizer and number of threads.

Each function returns one that runs a step and waits for its result.  The extra `bench` installs the frameworks.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Step = Callable[[], object]


def torch_vae(hidden: Sequence[int], n_latent: int, n_data: int) -> Any:
    """PyTorch's VAE as in pytorch/examples/vae, with the loss as its forward pass."""
    import torch
    import torch.nn.functional as F

    class VAE(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            encoder, decoder = [n_data, *hidden], [n_latent, *reversed(hidden)]
            self.encoder = torch.nn.ModuleList([torch.nn.Linear(i, o) for i, o in zip(encoder, encoder[1:])])
            self.mu_head = torch.nn.Linear(encoder[-1], n_latent)
            self.logvar_head = torch.nn.Linear(encoder[-1], n_latent)
            self.decoder = torch.nn.ModuleList([torch.nn.Linear(i, o) for i, o in zip(decoder, decoder[1:])])
            self.out = torch.nn.Linear(decoder[-1], n_data)

        def forward(self, x: Any, eps: Any) -> Any:
            h = x
            for layer in self.encoder:
                h = F.relu(layer(h))
            mu, logvar = self.mu_head(h), self.logvar_head(h)
            h = mu + torch.exp(0.5 * logvar) * eps
            for layer in self.decoder:
                h = F.relu(layer(h))
            nll = F.binary_cross_entropy_with_logits(self.out(h), x, reduction="sum")
            kl = 0.5 * torch.sum(torch.exp(logvar) + mu**2 - 1 - logvar)
            return (nll + kl) / len(x)

    torch.manual_seed(0)
    return VAE()


def torch_conv_vae(n_latent: int, channels_last: bool) -> Any:
    """The network of VAE.conv's default, in PyTorch's layout (B, C, height, width) or with channels last in memory."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)
            self.dense = nn.Linear(7 * 7 * 64, 256)
            self.mu_head, self.logvar_head = nn.Linear(256, n_latent), nn.Linear(256, n_latent)
            self.dense1, self.dense2 = nn.Linear(n_latent, 256), nn.Linear(256, 7 * 7 * 64)
            self.up1, self.up2 = nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ConvTranspose2d(32, 1, 3, 2, 1, 1)

        def images(self, rows: Any, channels: int, side: int) -> Any:
            """Rows as images; with channels last, a view of rows that are in this order, as in numpyvae."""
            if channels_last:
                return rows.view(-1, side, side, channels).permute(0, 3, 1, 2)
            return rows.view(-1, channels, side, side)

        def rows(self, images: Any) -> Any:
            return (images.permute(0, 2, 3, 1) if channels_last else images).flatten(1)

        def forward(self, x: Any, eps: Any) -> Any:
            h = F.relu(self.conv2(F.relu(self.conv1(self.images(x, 1, 28)))))
            h = F.relu(self.dense(self.rows(h)))
            mu, logvar = self.mu_head(h), self.logvar_head(h)
            z = mu + torch.exp(0.5 * logvar) * eps
            h = self.images(F.relu(self.dense2(F.relu(self.dense1(z)))), 64, 7)
            logits = self.rows(self.up2(F.relu(self.up1(h))))
            nll = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = 0.5 * torch.sum(torch.exp(logvar) + mu**2 - 1 - logvar)
            return (nll + kl) / len(x)

    torch.manual_seed(0)
    model = VAE()
    return model.to(memory_format=torch.channels_last) if channels_last else model


def torch_conv_step(n_latent: int, batch: int, *, channels_last: bool) -> Step:
    """PyTorch eager, with its fused Adam."""
    return _torch_step(torch_conv_vae(n_latent, channels_last), n_latent, batch, 28 * 28, compiled=False)


def torch_step(hidden: Sequence[int], n_latent: int, batch: int, *, compiled: bool = False, n_data: int = 784) -> Step:
    """PyTorch, eager or compiled by torch.compile; Adam is PyTorch's fused one in both."""
    return _torch_step(torch_vae(hidden, n_latent, n_data), n_latent, batch, n_data, compiled)


def _torch_step(model: Any, n_latent: int, batch: int, n_data: int, compiled: bool) -> Step:
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = torch.compile(model) if compiled else model
    x, eps = map(torch.from_numpy, _data(batch, n_data, n_latent))

    def step() -> object:
        optimizer.zero_grad()
        loss = loss_of(x, eps)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def torch_epoch(images: np.ndarray, hidden: Sequence[int], n_latent: int, batch: int) -> Step:
    """An epoch with PyTorch's own DataLoader: shuffle, convert, draw binary pixels, step, add up the loss."""
    import torch

    pixels = torch.from_numpy(images.reshape(len(images), -1))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pixels), batch_size=batch, shuffle=True)
    model = torch_vae(hidden, n_latent, pixels.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> object:
        total = 0.0
        for (x,) in loader:
            x = torch.bernoulli(x.float() / 255)
            optimizer.zero_grad()
            loss = model(x, torch.randn(len(x), n_latent))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        return total / len(images)
    return epoch


def torch_log_likelihood(x: np.ndarray, samples: int, block: int) -> Step:
    """log p(x) by importance sampling in eager mode, `block` samples of an image decoded at once."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh())
    mu_head, logvar_head = nn.Linear(200, 50), nn.Linear(200, 50)
    decoder = nn.Sequential(nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784))
    rows = torch.from_numpy(x)

    def log_weights(row: Any) -> Any:
        h = encoder(row)
        mu, logvar = mu_head(h), logvar_head(h)
        for _ in range(samples // block):
            eps = torch.randn(block, 50)
            z = mu + torch.exp(0.5 * logvar) * eps
            nll = F.binary_cross_entropy_with_logits(decoder(z), row.expand(block, -1), reduction="none").sum(1)
            yield 0.5 * ((eps**2 + logvar).sum(1) - (z**2).sum(1)) - nll    # log 2 pi is in p(z) and in q(z|x)

    def evaluate() -> object:
        with torch.no_grad():
            return [torch.logsumexp(torch.cat(list(log_weights(row))), 0).item() - np.log(samples)
                    for row in rows.unsqueeze(1)]
    return evaluate


def jax_step(hidden: Sequence[int], n_latent: int, batch: int, n_data: int = 784) -> Step:
    """JAX: loss, gradient and Adam in one jitted function, with the weights' memory handed back (donated)."""
    import jax
    import jax.numpy as jnp

    encoder, decoder = [n_data, *hidden], [n_latent, *reversed(hidden), n_data]
    sizes = [*zip(encoder, encoder[1:]), *2 * [(encoder[-1], n_latent)], *zip(decoder, decoder[1:])]
    rng, E = np.random.default_rng(0), len(hidden)
    weights = [(jnp.asarray(rng.uniform(-1, 1, (i, o)) / i**0.5, jnp.float32), jnp.zeros(o)) for i, o in sizes]
    x, eps = map(jnp.asarray, _data(batch, n_data, n_latent))

    def loss_of(weights: Any, x: Any, eps: Any) -> Any:
        h = x
        for W, b in weights[:E]:
            h = jax.nn.relu(h @ W + b)
        mu, logvar = (h @ W + b for W, b in weights[E:E + 2])
        h = mu + jnp.exp(0.5 * logvar) * eps
        for W, b in weights[E + 2:-1]:
            h = jax.nn.relu(h @ W + b)
        logits = h @ weights[-1][0] + weights[-1][1]
        nll = jnp.sum(jnp.maximum(logits, 0) - logits * x + jnp.log1p(jnp.exp(-jnp.abs(logits))))
        return (nll + 0.5 * jnp.sum(jnp.exp(logvar) + mu**2 - 1 - logvar)) / len(x)

    def update(state: Any, x: Any, eps: Any) -> Any:
        weights, m, v, t = state
        loss, grads = jax.value_and_grad(loss_of)(weights, x, eps)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        weights = jax.tree.map(
            lambda w, m, v: w - 1e-3 * m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), weights, m, v)
        return (weights, m, v, t), loss

    jitted = jax.jit(update, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [(weights, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.zeros(()))]

    def step() -> object:
        state[0], loss = jitted(state[0], x, eps)
        return float(loss.block_until_ready())
    return step


def _data(batch: int, n_data: int, n_latent: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = (rng.random((batch, n_data)) < 0.5).astype(np.float32)
    return x, rng.standard_normal((batch, n_latent), dtype=np.float32)
