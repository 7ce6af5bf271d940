"""The same training step in the frameworks that a learner would use instead: the same sizes, data, noise, loss,
optimizer and number of threads.

Each function returns one that runs a step and waits for its result.  The frameworks are the extra `bench`.
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


def torch_step(hidden: Sequence[int], n_latent: int, batch: int, *, compiled: bool = False, n_data: int = 784) -> Step:
    """PyTorch, eager or by torch.compile; Adam is PyTorch's fused one in both."""
    import torch

    model = torch_vae(hidden, n_latent, n_data)
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
