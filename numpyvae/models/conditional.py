"""The conditional VAE: told what to draw."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..arguments import as_array, checked
from ..nn.layers import Concatenate, Dense, Sequential
from ..nn.networks import dense_stack
from .likelihoods import make_likelihood
from .vae import VAE

Array = np.ndarray


class ConditionalVAE(VAE):
    """p(x|z, c) and q(z|x, c) for a class c that is known: the label, one-hot, stands beside x and beside z.

    The loss is the VAE's, with c given everywhere:  log p(x|c) >= E_q[ log p(x|z, c) ] - KL( q(z|x, c) || p(z) ).  What
    the label tells need not go through the code, so z is left with what the classes have in common: the style.
    [Kingma et al. 2014, M2; Sohn et al. 2015]

    All of VAE works as it is, for the classes that `condition` was last given:

        vae.condition(labels).loss_and_grad(x, eps)
        vae.condition(7).sample(10, rng)                    # ten sevens
    """

    @classmethod
    @checked()
    def dense(cls, n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              n_classes: int = 10, rng: np.random.Generator, dtype: Any = np.float32) -> ConditionalVAE:
        """As VAE.dense, for labels 0 ... n_classes - 1."""
        model = make_likelihood(likelihood, sigma)
        weights = {"init": init, "rng": rng, "dtype": dtype}
        encoder = Sequential([Concatenate(n_data, n_classes), *dense_stack(
            [n_data + n_classes, *hidden], activation, activation, **weights).layers])
        mu_head, logvar_head = (Dense([n_data + n_classes, *hidden][-1], n_latent, **weights) for _ in range(2))
        decoder = Sequential([Concatenate(n_latent, n_classes), *dense_stack(
            [n_latent + n_classes, *reversed(hidden), n_data * model.outputs_per_pixel], activation, "identity",
            **weights).layers])
        config = {"n_data": n_data, "hidden": hidden, "n_latent": n_latent, "likelihood": likelihood,
                  "activation": activation, "beta": beta, "init": init, "sigma": sigma, "n_classes": n_classes}
        return cls(encoder, mu_head, logvar_head, decoder, model, beta, dtype, config)

    @classmethod
    def conv(cls, *args: Any, **options: Any) -> ConditionalVAE:
        """There is none: a label has no place among the pixels of an image.  Raises ValueError."""
        raise ValueError("a ConditionalVAE is made of dense layers; expected ConditionalVAE.dense, or VAE.conv without "
                         "labels")

    def condition(self, labels: Any) -> Self:
        """The classes of the rows that come next: one for all, or (B,) for B rows, again for every sample of them.

        Raises TypeError or ValueError where they are no whole numbers from 0 to n_classes - 1.
        """
        labels = np.atleast_1d(as_array("condition", "labels", labels, "any: ...", {}))
        n_classes = self.config["n_classes"]
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels have dtype {labels.dtype}; expected whole numbers")
        if labels.ndim != 1 or len(labels) == 0 or labels.min() < 0 or labels.max() >= n_classes:
            raise ValueError(f"labels have shape {labels.shape} and lie from {labels.min(initial=0)} to "
                             f"{labels.max(initial=0)}; expected (B,) from 0 to {n_classes - 1}")
        one_hot = np.eye(n_classes, dtype=self.dtype.type(0).real.dtype)[labels]
        for network in (self.encoder, self.decoder):
            network.layers[0].context = one_hot    # type: ignore[attr-defined]
        return self
