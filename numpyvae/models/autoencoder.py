"""The plain autoencoder: what a VAE is before anything in it is random."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import CHANNELS, GENERATOR, IMAGE, LIKELIHOOD, POSITIVE, SIZES, WHOLE, checked
from ..nn.layers import Layer, Sequential
from ..nn.networks import conv_decoder, conv_encoder, dense_decoder, dense_stack
from .likelihoods import Likelihood, make_likelihood
from .model import LossTerms, Model, as_noise, check_size, n_in

Array = np.ndarray


class Autoencoder(Model):
    """An encoder to a code z and a decoder back, trained to minimise the reconstruction's nll.

    With a Gaussian likelihood that is half the squared error over sigma^2, plus a constant.        [lesson 1, eq. 1.2]
    """

    @checked(likelihood=LIKELIHOOD)
    def __init__(self, encoder: Sequential, decoder: Sequential, likelihood: Likelihood):
        n_data, n_latent = n_in("encoder", encoder), n_in("decoder", decoder)
        check_size("decoder", "takes", n_latent, encoder.n_out)
        check_size("decoder", "outputs", decoder.n_out, n_data * likelihood.outputs_per_pixel)
        super().__init__(encoder, decoder, likelihood, n_data, n_latent)

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        yield from self.encoder.named_layers("encoder")
        yield from self.decoder.named_layers("decoder")

    @classmethod
    @checked(n_data=WHOLE, hidden=SIZES, n_latent=WHOLE, sigma=POSITIVE)
    def dense(cls, n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", init: str = "fan-in", sigma: float = 1.0, *,
              rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Autoencoder:
        """Dense layers n_data -> hidden -> n_latent -> hidden reversed -> n_data; arguments as in VAE.dense."""
        pixels, weights = make_likelihood(likelihood, sigma), {"init": init, "rng": rng, "dtype": dtype}
        encoder = dense_stack([n_data, *hidden, n_latent], activation, "identity", **weights)
        decoder = dense_decoder(n_latent, hidden, n_data, pixels.outputs_per_pixel, activation, pixels.shared_logvar,
                                **weights)
        return cls(encoder, decoder, pixels)

    @classmethod
    @checked(shape=IMAGE, channels=CHANNELS, n_hidden=WHOLE, n_latent=WHOLE, sigma=POSITIVE)
    def conv(cls, shape: Sequence[int] = (28, 28, 1), channels: Sequence[int] = (32, 64), n_hidden: int = 256,
             n_latent: int = 16, likelihood: str = "bernoulli", activation: str = "relu", init: str = "fan-in",
             sigma: float = 1.0, *, rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Autoencoder:
        """Convolutions that halve the image, two dense layers, and the same in reverse; arguments as in VAE.conv."""
        pixels = make_likelihood(likelihood, sigma)
        weights: dict[str, Any] = {"init": init, "rng": rng, "dtype": dtype}
        encoder = conv_encoder(shape, channels, [n_hidden, n_latent], activation, "identity", **weights)
        decoder = conv_decoder(n_latent, n_hidden, channels, shape, pixels.outputs_per_pixel, activation,
                               pixels.shared_logvar, **weights)
        return cls(encoder, decoder, pixels)

    def loss_and_grad(self, x: Array) -> LossTerms:
        """The loss of a batch x (B, D) in nats per image, and its gradient in `parameters.grads`.

        [lesson 1, eq. 1.2]
        """
        x = self.check_data(x)
        # forward
        z     = self.encoder.forward(x)                                         # (B, Z)
        theta = self.decoder.forward(z)                                         # (B, D)
        dnll  = np.full(len(x), 1 / len(x), x.dtype)                            # (B,) the loss is a mean over rows
        nll, dtheta = self.likelihood.nll_and_grad(dnll, theta, x)              # (B,), like theta
        # backward
        dz = self.decoder.backward(dtheta)
        self.encoder.backward(dz, need_dx=False)
        return self._mean_terms(nll)

    def loss_terms(self, x: Array) -> LossTerms:
        """The loss of a batch, without gradients; an autoencoder has no KL term."""
        x = self.check_data(x)
        return self._mean_terms(self.likelihood.nll(self.decoder.forward(self.encoder.forward(x)), x))

    def loss(self, x: Array) -> float:
        """The loss of a batch, in nats per image; complex where the parameters are."""
        return self.loss_terms(x).loss

    def noise(self, n: int, rng: np.random.Generator) -> tuple[()]:
        """An autoencoder needs none."""
        WHOLE.check("noise", "n", n)
        GENERATOR.check("noise", "rng", rng)
        return ()

    def encode(self, x: Array) -> Array:
        """The code of each image: (B, D) -> (B, Z)."""
        return self.encoder.forward(self.check_data(x)).copy()

    def decode(self, z: Array) -> Array:
        """The picture of each code: (B, Z) -> (B, D)."""
        return self.likelihood.mean(self.decoder.forward(as_noise("z", z, self.n_latent, self.dtype)))

    def reconstruct(self, x: Array) -> Array:
        """Each image encoded and decoded again: (B, D) -> (B, D)."""
        return self.decode(self.encode(x))

    def _mean_terms(self, nll: Array) -> LossTerms:
        loss = nll.mean()
        return LossTerms(loss, loss, 0.0) if np.iscomplexobj(nll) else LossTerms(float(loss), float(loss), 0.0)
