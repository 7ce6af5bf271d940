"""The variational autoencoder.  `loss_and_grad` is the whole of it, forward and backward, on one screen."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arguments import LIKELIHOOD, check, checked
from ..functional.gaussian import gaussian_kl, gaussian_kl_backward, reparameterize, reparameterize_backward
from ..nn.layers import Dense, Layer, Sequential, check_as_many, expect
from ..nn.networks import conv_decoder, conv_encoder, dense_decoder, dense_stack
from .likelihoods import Likelihood, make_likelihood
from .model import LossTerms, Model, as_noise

Array = np.ndarray


class VAE(Model):
    """p(x|z) from a decoder, q(z|x) = N(mu, diag exp(logvar)) from an encoder, p(z) = N(0, I).

    Trained to minimise, on average over images (B of them in a batch),

        loss = -E_q[ log p(x|z) ] + beta KL( q(z|x) || p(z) ),

    the negative ELBO for beta = 1, with one z for each image.       [Kingma & Welling 2013, eq. 10; lesson 7, eq. 7.1]
    """

    @checked(likelihood=LIKELIHOOD)
    def __init__(self, encoder: Sequential, mu_head: Dense, logvar_head: Dense, decoder: Sequential,
                 likelihood: Likelihood, beta: float, dtype: Any, config: dict[str, Any], network: str = "dense"):
        self.encoder, self.mu_head, self.logvar_head, self.decoder = encoder, mu_head, logvar_head, decoder
        self.beta = float(beta)
        super().__init__(likelihood, config, dtype, network)

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        yield from self.encoder.named_layers("encoder")
        yield "mu_head", self.mu_head
        yield "logvar_head", self.logvar_head
        yield from self.decoder.named_layers("decoder")

    @classmethod
    @checked()
    def dense(cls, n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              rng: np.random.Generator, dtype: Any = np.float32) -> VAE:
        """Dense layers all the way: n_data -> hidden -> n_latent -> hidden reversed -> n_data.

        likelihood : "bernoulli" or "continuous-bernoulli" (pixels in [0, 1]), "discretized-logistic" (bytes / 255),
                     "gaussian" with the given sigma, or "gaussian-learned"
        activation : of the hidden layers; see Dense, also for init
        hidden     : sizes of the encoder's hidden layers; () makes the model linear
        rng        : draws the first weights

        Raises TypeError or ValueError that names the argument that does not fit.
        """
        model = make_likelihood(likelihood, sigma)
        weights = {"init": init, "rng": rng, "dtype": dtype}
        encoder = dense_stack([n_data, *hidden], activation, activation, **weights)
        mu_head, logvar_head = (Dense([n_data, *hidden][-1], n_latent, **weights) for _ in range(2))
        decoder = dense_decoder(n_latent, hidden, n_data, model.outputs_per_pixel, activation, **weights)
        config = {"n_data": n_data, "hidden": hidden, "n_latent": n_latent, "likelihood": likelihood,
                  "activation": activation, "beta": beta, "init": init, "sigma": sigma}
        return cls(encoder, mu_head, logvar_head, decoder, model, beta, dtype, config)

    @classmethod
    @checked()
    def conv(cls, shape: Sequence[int] = (28, 28, 1), channels: Sequence[int] = (32, 64), n_hidden: int = 256,
             n_latent: int = 16, likelihood: str = "bernoulli", activation: str = "relu", beta: float = 1.0,
             init: str = "fan-in", sigma: float = 1.0, *, rng: np.random.Generator, dtype: Any = np.float32) -> VAE:
        """Convolutions that halve the image, a dense layer, n_latent, and the same back; x stays rows (B, D).

        shape    : of an image, (height, width, channels); x holds such images, each as a row
        channels : of the convolutions, each of which halves the sides, rounded up
        n_hidden : size of the dense layer after them; the other arguments as in `dense`

        Raises TypeError or ValueError that names the argument that does not fit.
        """
        model = make_likelihood(likelihood, sigma)
        weights = {"init": init, "rng": rng, "dtype": dtype}
        encoder = conv_encoder(shape, channels, [n_hidden], activation, activation, **weights)
        mu_head, logvar_head = (Dense(n_hidden, n_latent, **weights) for _ in range(2))
        decoder = conv_decoder(n_latent, n_hidden, channels, shape, model.outputs_per_pixel, activation, **weights)
        config = {"shape": shape, "channels": channels, "n_hidden": n_hidden, "n_latent": n_latent,
                  "likelihood": likelihood, "activation": activation, "beta": beta, "init": init, "sigma": sigma}
        return cls(encoder, mu_head, logvar_head, decoder, model, beta, dtype, config, "conv")

    def loss_and_grad(self, x: Array, eps: Array) -> LossTerms:
        """The loss of a batch, and its gradient in `parameters.grads`.

        x : (B, D) data, eps : (B, Z) noise from N(0, I).  The same eps serves forward and backward.
        Each line of the backward half is derived in lesson 7, eq. 7.3.

        Raises TypeError or ValueError for a batch that the model cannot take.
        """
        x, eps = self.check_pair(x, eps)
        # forward
        h      = self.encoder.forward(x)                        # (B, H)
        mu     = self.mu_head.forward(h)                        # (B, Z)
        logvar = self.logvar_head.forward(h)                    # (B, Z)
        z      = reparameterize(mu, logvar, eps)                # (B, Z)
        theta  = self.decoder.forward(z)                        # (B, D), or (B, 2D) where the decoder knows sigma
        dnll   = np.full(len(x), 1 / len(x), x.dtype)           # (B,)    the loss is a mean: each row counts 1/B
        nll, dtheta = self.likelihood.nll_and_grad(dnll, theta, x)              # (B,), like theta
        kl     = gaussian_kl(mu, logvar)                        # (B,)
        # backward: the same lines, reversed
        dmu_kl, dlogvar_kl = gaussian_kl_backward(self.beta * dnll, mu, logvar)     # the path through the KL
        dz                 = self.decoder.backward(dtheta)
        dmu, dlogvar       = reparameterize_backward(dz, logvar, eps)               # the path through z
        dmu     += dmu_kl                                       # mu and logvar fork into z and the KL: here they join
        dlogvar += dlogvar_kl
        self.backward_encoder(dmu, dlogvar)
        return self.mean_terms(nll, kl)

    def backward_encoder(self, dmu: Array, dlogvar: Array) -> None:
        """From the gradients for mu and logvar (B, Z) to those of the encoder's weights."""
        expect("dmu", dmu, ("B", self.n_latent), self.dtype)
        expect("dlogvar", dlogvar, ("B", self.n_latent), self.dtype)
        check_as_many("dmu", dmu, "dlogvar", dlogvar)
        has_encoder = len(self.encoder.layers) > 0
        dh = self.mu_head.backward(dmu, need_dx=has_encoder)
        dh_logvar = self.logvar_head.backward(dlogvar, need_dx=has_encoder)
        if has_encoder:
            dh += dh_logvar                                     # h forks into mu and logvar: here it joins
            self.encoder.backward(dh, need_dx=False)            # nobody asks how the data should change

    def loss_terms(self, x: Array, eps: Array) -> LossTerms:
        """The loss of a batch and its parts, by the forward half of `loss_and_grad` alone.

        With beta = 1 it is an estimate, from one z for each image, of minus the ELBO.           [lesson 4, eq. 4.4]
        """
        x, eps = self.check_pair(x, eps)
        h = self.encoder.forward(x)
        mu, logvar = self.mu_head.forward(h), self.logvar_head.forward(h)
        z = reparameterize(mu, logvar, eps)
        return self.mean_terms(self.likelihood.nll(self.decoder.forward(z), x), gaussian_kl(mu, logvar))

    def loss(self, x: Array, eps: Array) -> float:
        """The loss of a batch, in nats per image; complex where the parameters are, for the complex step."""
        return self.loss_terms(x, eps).loss

    def noise(self, n: int, rng: np.random.Generator) -> tuple[Array]:
        """What `loss_and_grad` needs beside n images: eps (n, Z) from N(0, I)."""
        check("noise", n=n, rng=rng)
        real = np.zeros(0, self.dtype).real.dtype
        return (rng.standard_normal((n, self.n_latent), dtype=real),)    # type: ignore[call-overload]

    def encode(self, x: Array) -> tuple[Array, Array]:
        """q(z|x) of each image: mu, logvar, both (B, Z)."""
        h = self.encoder.forward(self.check_data(x))
        return self.mu_head.forward(h).copy(), self.logvar_head.forward(h).copy()

    def decode(self, z: Array) -> Array:
        """E[x|z], the picture without pixel noise: (B, Z) -> (B, D)."""
        return self.likelihood.mean(self._theta(z))

    @checked()
    def sample(self, n: int, rng: np.random.Generator, pixel_noise: bool = False) -> Array:
        """n new images: z from the prior, then E[x|z], or with pixel_noise a draw from p(x|z).  (n, D)"""
        theta = self._theta(*self.noise(n, rng))
        return self.likelihood.sample(theta, rng) if pixel_noise else self.likelihood.mean(theta)

    def reconstruct(self, x: Array) -> Array:
        """Each image encoded to its mean and decoded again: (B, D) -> (B, D)."""
        return self.decode(self.encode(x)[0])

    def _theta(self, z: Array) -> Array:
        return self.decoder.forward(as_noise("z", z, self.n_latent, self.dtype))

    def check_pair(self, x: Array, eps: Array) -> tuple[Array, Array]:
        """x and eps as rows of the model's dtype; raises TypeError or ValueError where they do not go together."""
        x, eps = self.check_data(x), as_noise("eps", eps, self.n_latent, self.dtype)
        if len(x) != len(eps):
            raise ValueError(f"eps has {len(eps)} rows; expected {len(x)}, one for each row of x")
        return x, eps

    def mean_terms(self, nll: Array, kl: Array) -> LossTerms:
        """The rows' parts of the loss, averaged over the batch; kl may also be one number for all of them.

        nll : (B,), kl : (B,) or (1,)
        """
        expect("nll", nll, ("B",), self.dtype)
        expect("kl", kl, ("B",), self.dtype)
        if len(kl) != 1:
            check_as_many("nll", nll, "kl", kl)
        mean_nll, mean_kl = nll.sum() / len(nll), kl.sum() / len(kl)
        terms = LossTerms(mean_nll + self.beta * mean_kl, mean_nll, mean_kl)
        return terms if np.iscomplexobj(nll) else LossTerms(*map(float, terms))
