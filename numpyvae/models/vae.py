"""The variational autoencoder.  `forward` and `loss_and_grad` are the whole of it, on one screen."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from ..arguments import (CHANNELS, GENERATOR, IMAGE, LIKELIHOOD, NOT_NEGATIVE, POSITIVE, POSTERIOR, PRIOR, SIZES, WHOLE,
                         as_array, checked, has_closed_form, has_density, shown)
from ..functional.labels import concatenate, concatenate_backward, one_hot
from ..nn.layers import Layer, Sequential
from ..nn.networks import conv_decoder, conv_encoder, dense_decoder, dense_stack
from .likelihoods import Likelihood, make_likelihood
from .model import LossTerms, Model, as_noise, check_size, n_in
from .posteriors import DiagonalGaussian, Posterior
from .priors import StandardNormal

Array = np.ndarray


class VAE(Model):
    """p(x|z) from a decoder and a likelihood, q(z|x) from an encoder and a posterior, and the prior p(z).

    Trained to minimise, on average over images (B of them in a batch),

        loss = -E_q[ log p(x|z) ] + beta KL( q(z|x) || p(z) ),

    the negative ELBO for beta = 1, with one z for each image.       [Kingma & Welling 2013, eq. 10; lesson 7, eq. 7.1]

    Five lines make one from layers of one's own choice, and of one's own making too:

        encoder = nv.Sequential([nv.Dense(784, 400, "relu", rng=rng)])                               # x -> h
        posterior = nv.posteriors.DiagonalGaussian(400, 20, rng=rng)                                 # h -> q(z|x)
        decoder = nv.Sequential([nv.Dense(20, 400, "relu", rng=rng), nv.Dense(400, 784, rng=rng)])   # z -> theta
        likelihood = nv.likelihoods.Bernoulli()                                                      # theta -> p(x|z)
        vae = nv.VAE(encoder, posterior, decoder, likelihood)

    Each function that takes x takes images as (B, D), (B, height, width) or (B, height, width, channels), in bytes
    from 0 to 255 or in numbers as the likelihood takes them.

    encoder, decoder : networks, (B, D) -> (B, H) and (B, Z) -> (B, D), or more for a likelihood that needs more
    posterior        : q(z|x), such as DiagonalGaussian(H, Z, rng=rng), which takes the encoder's output
    likelihood       : p(x|z), such as likelihoods.Bernoulli()
    prior            : p(z); N(0, I), if None
    n_classes        : for a conditional VAE: each image has a label, 0 ... n_classes - 1, which is appended one-hot to
                       x and z, so the encoder takes D + n_classes numbers and the decoder Z + n_classes

    beta             : the weight of the KL

    Raises TypeError or ValueError where a part is of the wrong kind, sizes do not fit together, a layer is used twice
    or belongs to another model, or no KL is known for posterior and prior.
    """

    @checked(posterior=POSTERIOR, likelihood=LIKELIHOOD, prior=PRIOR, beta=NOT_NEGATIVE, n_classes=WHOLE)
    def __init__(self, encoder: Sequential, posterior: Posterior, decoder: Sequential, likelihood: Likelihood,
                 prior: Any = None, beta: float = 1.0, n_classes: int | None = None):
        self.posterior, self.n_classes = posterior, n_classes
        self.prior = StandardNormal(posterior.n_latent) if prior is None else prior
        self.beta = float(beta)
        closed = posterior.knows_kl_to(self.prior)
        if closed and type(posterior).kl is Posterior.kl and not has_closed_form(posterior):
            raise TypeError(f"posterior is {shown(posterior)}, which names {type(self.prior).__name__} in "
                            "closed_forms; expected it to have closed_form_kl and closed_form_kl_backward too")
        if not (closed or (has_density(posterior) and has_density(self.prior))):
            raise ValueError(f"posterior is {shown(posterior)} and prior {shown(self.prior)}, for which no KL is "
                             "known; expected a pair with a closed form, or log_density and log_density_backward in "
                             "both")
        n_labels, n_latent = n_classes or 0, posterior.n_latent
        taken = n_in("encoder", encoder) if encoder.layers else posterior.n_hidden    # linear: the heads take x
        check_size("posterior", "takes", posterior.n_hidden, encoder.n_out)
        check_size("prior", "has", self.prior.n_latent, n_latent)
        check_size("decoder", "takes", decoder.n_in, n_latent + n_labels,
                   f"n_latent = {n_latent} and n_classes = {n_labels}" if n_labels else "the other parts")
        check_size("decoder", "outputs", decoder.n_out, (taken - n_labels) * likelihood.outputs_per_pixel)
        super().__init__(encoder, decoder, likelihood, taken - n_labels, n_latent)

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        yield from self.encoder.named_layers("encoder")
        yield from self.posterior.named_heads()
        yield from self.decoder.named_layers("decoder")

    def forward(self, x: Array, eps: Array, c: Array | None = None) -> tuple[Any, Array, Array]:
        """From an image to what the decoder makes of its code: q(z|x), a draw z from it, theta of p(x|z).

        x (B, D), eps (B, Z) noise from N(0, I), c (B, C) the labels, one-hot, if there are any.
        """
        q     = self.infer(x, c)                                        # q(z|x): mu, logvar (B, Z)
        z     = self.posterior.reparameterize(q, eps)                   # (B, Z)    z = mu + sigma eps, a draw from q
        theta = self.generate(z, c)                                     # (B, D), or (B, 2D): means and scales
        return q, z, theta

    def loss_and_grad(self, x: Array, eps: Array, labels: Array | None = None) -> LossTerms:
        """The loss of a batch, and its gradient in `parameters.grads`.

        x : (B, D) data, eps : (B, Z) noise from N(0, I), labels : (B,) or one for all, where there are classes.
        The same eps serves forward and backward.  Each line of the backward half is derived in lesson 7, eq. 7.3.
        A DiagonalGaussian, with sigma^2 = exp(logvar) and dkl = beta / B, computes:

        z = mu + sigma eps,    KL = 1/2 sum_j ( sigma_j^2 + mu_j^2 - 1 - logvar_j )

        dmu = dz + dkl mu,    dlogvar = 1/2 ( dz sigma eps + dkl (sigma^2 - 1) )

        Raises TypeError or ValueError for a batch that the model cannot take.
        """
        x, eps, c = self.check_batch(x, eps, labels)
        # forward
        q, z, theta = self.forward(x, eps, c)                           # q(z|x), z (B, Z), theta of p(x|z)
        dnll        = np.full(len(x), 1 / len(x), x.dtype)              # (B,)      a mean: each row counts 1/B
        nll, dtheta = self.likelihood.nll_and_grad(dnll, theta, x)      # (B,), like theta
        kl          = self.posterior.kl(q, self.prior)                  # (B,)      KL( q(z|x) || p(z) )
        # backward: the same lines, reversed, from step 5 to step 1; dtheta, step 5, came with the nll
        dz = concatenate_backward(self.decoder.backward(dtheta), z)     # (B, Z)    step 4
        dh = self.posterior.backward(dz, self.beta * dnll)              # (B, H)    steps 3, 2, in DiagonalGaussian
        self.encoder.backward(dh, need_dx=False)                        # step 1; the data need no gradient
        return mean_terms(nll, kl, self.beta)

    def infer(self, x: Array, c: Array | None = None) -> Any:
        """q(z|x): what the posterior's heads make of the encoder's h (B, H)."""
        h = self.encoder.forward(x if c is None else concatenate(x, c))
        return self.posterior.forward(h)

    def generate(self, z: Array, c: Array | None = None) -> Array:
        """theta of p(x|z): z (B, Z) -> (B, D), or what the likelihood needs."""
        return self.decoder.forward(z if c is None else concatenate(z, c))

    def log_weight(self, q: Any, z: Array, nll: Array) -> Array:
        """log p(x|z) + log p(z) - log q(z|x) of each row, (B,): the logarithm of an importance weight.

        Its mean under q is the ELBO; the logarithm of the mean weight is log p(x).              [lesson 8, eq. 8.1]
        """
        return self.prior.log_density(z) - self.posterior.log_density(q, z) - nll

    def loss_terms(self, x: Array, eps: Array, labels: Array | None = None) -> LossTerms:
        """The loss of a batch and its parts, by the forward half of `loss_and_grad` alone.

        With beta = 1 it estimates the negative ELBO from one z for each image.                  [lesson 4, eq. 4.4]
        """
        x, eps, c = self.check_batch(x, eps, labels)
        q, _, theta = self.forward(x, eps, c)
        return mean_terms(self.likelihood.nll(theta, x), self.posterior.kl(q, self.prior), self.beta)

    def loss(self, x: Array, eps: Array, labels: Array | None = None) -> float:
        """The loss of a batch, in nats per image; complex where the parameters are, for the complex step."""
        return self.loss_terms(x, eps, labels).loss

    def noise(self, n: int, rng: np.random.Generator) -> tuple[Array]:
        """What `loss_and_grad` needs besides n images: (eps,), eps (n, Z) from N(0, I)."""
        WHOLE.check("noise", "n", n)
        GENERATOR.check("noise", "rng", rng)
        return (self.posterior.noise(n, rng, self._real),)

    def encode(self, x: Array, labels: Array | None = None) -> tuple[Array, Array]:
        """The mean and the log variance of each dimension of q(z|x): mu, logvar, both (B, Z)."""
        x = self.check_data(x)
        return self.posterior.moments(self.infer(x, self.one_hot(labels, len(x))))

    def decode(self, z: Array, labels: Array | None = None) -> Array:
        """E[x|z], the picture without pixel noise: (B, Z) -> (B, D)."""
        z = as_noise("z", z, self.n_latent, self.dtype)
        return self.likelihood.mean(self.generate(z, self.one_hot(labels, len(z))))

    @checked(n=WHOLE, labels="any: ...")
    def sample(self, n: int, rng: np.random.Generator, pixel_noise: bool = False, labels: Array | None = None) -> Array:
        """n new images: z from the prior, then E[x|z], or with pixel_noise a draw from p(x|z).  (n, D)"""
        c = self.one_hot(labels, n)
        theta = self.generate(self.prior.sample(n, rng, self._real).astype(self.dtype), c)
        return self.likelihood.sample(theta, rng) if pixel_noise else self.likelihood.mean(theta)

    def reconstruct(self, x: Array, labels: Array | None = None) -> Array:
        """Each image encoded to its mean and decoded again: (B, D) -> (B, D)."""
        return self.decode(self.encode(x, labels)[0], labels)

    def check_batch(self, x: Array, eps: Array, labels: Array | None) -> tuple[Array, Array, Array | None]:
        """x and eps as rows of the model's dtype, the labels one-hot.

        Raises TypeError or ValueError where they do not go together.
        """
        x, eps = self.check_data(x), as_noise("eps", eps, self.n_latent, self.dtype)
        if len(x) != len(eps):
            raise ValueError(f"eps has {len(eps)} rows; expected {len(x)}, one for each row of x")
        return x, eps, self.one_hot(labels, len(x))

    def one_hot(self, labels: Any, n: int) -> Array | None:
        """The classes of n rows, (n,) or one for all, as (n, n_classes); None where the model has no classes.

        Raises TypeError or ValueError where they are not whole numbers from 0 to n_classes - 1.
        """
        known = self.check_labels(labels, n)
        return None if known is None or self.n_classes is None else one_hot(known, self.n_classes, self.dtype)

    def check_labels(self, labels: Any, n: int) -> Array | None:
        """The classes of n rows as (n,), or None; raises as one_hot does."""
        if self.n_classes is None:
            if labels is not None:
                raise ValueError(f"labels is {shown(labels)}, but the model has no classes; expected None, or a "
                                 "ConditionalVAE")
            return None
        if labels is None:
            raise ValueError(f"labels is None; expected each row's class, 0 to {self.n_classes - 1}, or one for all")
        labels = np.atleast_1d(as_array("VAE", "labels", labels, "any: ...", {}))
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels is {shown(labels)}; expected whole numbers")
        if labels.shape not in ((n,), (1,)) or labels.min() < 0 or labels.max() >= self.n_classes:
            values = f" and values from {labels.min()} to {labels.max()}" * bool(labels.size)
            raise ValueError(f"labels has shape {labels.shape}{values}; expected ({n},) or one, from 0 to "
                             f"{self.n_classes - 1}")
        return np.broadcast_to(labels, n)

    @property
    def _real(self) -> np.dtype:
        return np.zeros(0, self.dtype).real.dtype

    @classmethod
    @checked(n_data=WHOLE, hidden=SIZES, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE)
    def dense(cls, n_data: int, hidden: Sequence[int] = (400,), n_latent: int = 20, likelihood: str = "bernoulli",
              activation: str = "relu", beta: float = 1.0, init: str = "fan-in", sigma: float = 1.0, *,
              rng: np.random.Generator, dtype: DTypeLike = np.float32) -> Self:
        """Dense layers all the way: n_data -> hidden -> n_latent -> hidden reversed -> n_data.

        likelihood : "bernoulli" or "continuous-bernoulli" (pixels in [0, 1]), "discretized-logistic" (bytes / 255),
                     "gaussian" or "student-t" with the given sigma, "gaussian-learned" (a sigma for each pixel, from
                     the decoder) or "gaussian-shared" (one learned sigma for all)
        activation : of the hidden layers; see Dense, also for init
        hidden     : sizes of the encoder's hidden layers; () makes the model linear
        rng        : draws the initial weights

        Raises TypeError or ValueError that names the argument that does not fit.
        """
        return dense_vae(cls, DiagonalGaussian, n_data, hidden, n_latent, likelihood, activation, beta, init, sigma,
                         rng, dtype)

    @classmethod
    @checked(shape=IMAGE, channels=CHANNELS, n_hidden=WHOLE, n_latent=WHOLE, beta=NOT_NEGATIVE, sigma=POSITIVE)
    def conv(cls, shape: Sequence[int] = (28, 28, 1), channels: Sequence[int] = (32, 64), n_hidden: int = 256,
             n_latent: int = 16, likelihood: str = "bernoulli", activation: str = "relu", beta: float = 1.0,
             init: str = "fan-in", sigma: float = 1.0, *, rng: np.random.Generator,
             dtype: DTypeLike = np.float32) -> Self:
        """Convolutions that halve the image, a dense layer, n_latent, and the same in reverse; x comes as rows (B, D).

        shape    : of an image, (height, width, channels); x holds such images, each as a row
        channels : of the convolutions, each of which halves the sides, rounded up
        n_hidden : size of the dense layer after them; the other arguments as in `dense`

        Raises TypeError or ValueError that names the argument that does not fit.
        """
        return conv_vae(cls, DiagonalGaussian, shape, channels, n_hidden, n_latent, likelihood, activation, beta, init,
                        sigma, rng, dtype)


SomeVAE = TypeVar("SomeVAE", bound=VAE)


def mean_terms(nll: Array, kl: Array, beta: float) -> LossTerms:
    """The terms of the loss of each row (B,), averaged over the batch."""
    mean_nll, mean_kl = nll.sum() / len(nll), kl.sum() / len(kl)
    terms = LossTerms(mean_nll + beta * mean_kl, mean_nll, mean_kl)
    return terms if np.iscomplexobj(nll) else LossTerms(*map(float, terms))


def dense_vae(kind: type[SomeVAE], posterior: Any, n_data: int, hidden: Sequence[int], n_latent: int, likelihood: str,
              activation: str, beta: float, init: str, sigma: float, rng: np.random.Generator, dtype: Any,
              n_classes: int | None = None) -> SomeVAE:
    """A VAE of dense layers, or a user's subclass of it, with a posterior of this class; see VAE.dense."""
    pixels, weights = make_likelihood(likelihood, sigma), {"init": init, "rng": rng, "dtype": dtype}
    n_labels = n_classes or 0
    sizes = [n_data + n_labels, *hidden]
    encoder = dense_stack(sizes, activation, activation, **weights)
    q = posterior(sizes[-1], n_latent, **weights)
    decoder = dense_decoder(n_latent + n_labels, hidden, n_data, pixels.outputs_per_pixel, activation,
                            pixels.shared_logvar, **weights)
    return kind(encoder, q, decoder, pixels, beta=beta, n_classes=n_classes)


def conv_vae(kind: type[SomeVAE], posterior: Any, shape: Sequence[int], channels: Sequence[int], n_hidden: int,
             n_latent: int, likelihood: str, activation: str, beta: float, init: str, sigma: float,
             rng: np.random.Generator, dtype: Any, n_classes: int | None = None) -> SomeVAE:
    """The same with convolutions; see VAE.conv."""
    pixels, weights = make_likelihood(likelihood, sigma), {"init": init, "rng": rng, "dtype": dtype}
    n_labels = n_classes or 0
    encoder = conv_encoder(shape, channels, [n_hidden], activation, activation, n_labels, **weights)
    q = posterior(n_hidden, n_latent, **weights)
    decoder = conv_decoder(n_latent + n_labels, n_hidden, channels, shape, pixels.outputs_per_pixel, activation,
                           pixels.shared_logvar, **weights)
    return kind(encoder, q, decoder, pixels, beta=beta, n_classes=n_classes)
