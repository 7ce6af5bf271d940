"""A small VAE that is right, and bugs in it: each subclass changes what its docstring says, and nothing else."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..functional.activations import sigmoid, softplus
from ..functional.gaussian import gaussian_kl
from ..kernels.gaussian import HALF_LOG_2_PI
from . import race

Array = np.ndarray

D, H, Z, G = 12, 7, 3, 5    # data, encoder's hidden units, latent, decoder's hidden units: all different


class TinyVAE:
    """x -> sigmoid units -> mu, logvar -> z -> relu units -> logits of Bernoulli pixels.

    The loss is the mean over the batch of NLL + KL.

    x     : (B, D), some pictures, in whose precision it computes; by default twelve of random pixels
    units : of the encoder's hidden layer, of the code, of the decoder's hidden layer
    """

    decodes_to = "logits"

    def __init__(self, rng: np.random.Generator, x: Array | None = None, units: tuple[int, int, int] = (H, Z, G)):
        self.rng = rng
        self.x = rng.random((12, D)) if x is None else x
        self.n_data, (n_hidden, self.n_latent, n_decoder) = self.x.shape[1], units
        shapes = {"encoder": (self.n_data, n_hidden), "mu": (n_hidden, self.n_latent),
                  "logvar": (n_hidden, self.n_latent), "hidden": (self.n_latent, n_decoder),
                  "output": (n_decoder, self.n_data)}
        self.parameters: dict[str, Array] = {}
        for name, (n_in, n_out) in shapes.items():
            self.parameters[f"{name}.W"] = np.asarray(rng.normal(0.0, n_in**-0.5, (n_in, n_out)), self.x.dtype)
            self.parameters[f"{name}.b"] = np.asarray(rng.normal(0.0, 0.5, n_out), self.x.dtype)

    def affine(self, x: Array, name: str) -> Array:
        return x @ self.parameters[f"{name}.W"] + self.parameters[f"{name}.b"]

    # forward
    def encode(self, x: Array) -> tuple[Array, Array]:
        h = sigmoid(self.affine(x, "encoder"))
        return self.affine(h, "mu"), self.affine(h, "logvar")

    def sigma(self, logvar: Array) -> Array:
        return np.exp(0.5 * logvar)

    def sample_z(self, mu: Array, logvar: Array, eps: Array) -> Array:
        return mu + self.sigma(logvar) * eps

    def decode(self, z: Array) -> Array:
        return self.affine(np.maximum(self.affine(z, "hidden"), 0.0), "output")

    def nll(self, theta: Array, x: Array) -> Array:
        return np.sum(softplus(theta) - x * theta, axis=1)

    def kl(self, mu: Array, logvar: Array) -> Array:
        return gaussian_kl(mu, logvar)

    def loss(self, x: Array, eps: Array) -> float:
        mu, logvar = self.encode(x)
        theta = self.decode(self.sample_z(mu, logvar, eps))
        return float(np.mean(self.nll(theta, x)) + np.mean(self.kl(mu, logvar)))

    def sample_x(self, z: Array) -> Array:
        return sigmoid(self.decode(z))

    # backward
    def dsigma(self, logvar: Array) -> Array:
        return 0.5 * np.exp(0.5 * logvar)

    def dtheta(self, theta: Array, x: Array) -> Array:
        return sigmoid(theta) - x

    def dhidden(self, dy: Array, a: Array) -> Array:
        """Through the relu: y = max(a, 0)."""
        return dy * (a > 0)

    def dencoder(self, dy: Array, y: Array) -> Array:
        """Through the sigmoid, from its output y."""
        return dy * y * (1.0 - y)

    def dz(self, da_hidden: Array, dtheta: Array) -> Array:
        return da_hidden @ self.parameters["hidden.W"].T

    def backward_noise(self, eps: Array) -> Array:
        return eps

    nll_weight, kl_weight = 1.0, 1.0    # in the gradients

    def gradients(self, x: Array, eps: Array) -> dict[str, Array]:
        p, n = self.parameters, len(x)
        h = sigmoid(self.affine(x, "encoder"))
        mu, logvar = self.affine(h, "mu"), self.affine(h, "logvar")
        z = self.sample_z(mu, logvar, eps)
        a = self.affine(z, "hidden")
        r = np.maximum(a, 0.0)
        theta = self.affine(r, "output")
        dtheta = self.nll_weight * self.dtheta(theta, x) / n
        da = self.dhidden(dtheta @ p["output.W"].T, a)
        dz = self.dz(da, dtheta)
        dmu = dz + self.kl_weight * mu / n
        dlogvar = (dz * self.backward_noise(eps) * self.dsigma(logvar)
                   + self.kl_weight * 0.5 * (np.exp(logvar) - 1.0) / n)
        de = self.dencoder(dmu @ p["mu.W"].T + dlogvar @ p["logvar.W"].T, h)
        grads = {}
        for name, inputs, da_layer in (("encoder", x, de), ("mu", h, dmu), ("logvar", h, dlogvar), ("hidden", z, da),
                                       ("output", r, dtheta)):
            grads[f"{name}.W"], grads[f"{name}.b"] = inputs.T @ da_layer, da_layer.sum(axis=0)
        return grads

    def functions(self) -> dict[str, Any]:
        """The arguments of `examine`."""
        return {"x": self.x, "encode": self.encode, "sample_z": self.sample_z, "decode": self.decode,
                "loss": self.loss, "decodes_to": self.decodes_to, "gradients": self.gradients,
                "parameters": self.parameters, "sample_x": self.sample_x}


class GaussianVAE(TinyVAE):
    """The same with Gaussian pixels of sigma 1: the decoder outputs their means."""

    decodes_to = "mean"

    def nll(self, theta: Array, x: Array) -> Array:
        return np.sum(0.5 * (x - theta)**2 + HALF_LOG_2_PI, axis=1)

    def dtheta(self, theta: Array, x: Array) -> Array:
        return theta - x

    def sample_x(self, z: Array) -> Array:
        return self.decode(z)


class VarianceAsSigma(TinyVAE):
    """Samples with exp(logvar) as the standard deviation, forward and backward; the KL uses it as the variance."""

    def sigma(self, logvar: Array) -> Array:
        return np.exp(logvar)

    def dsigma(self, logvar: Array) -> Array:
        return np.exp(logvar)


class TooLittleNoise(TinyVAE):
    """Samples with noise of standard deviation 0.01 in place of 1, forward and backward."""

    def sigma(self, logvar: Array) -> Array:
        return 0.01 * super().sigma(logvar)

    def dsigma(self, logvar: Array) -> Array:
        return 0.01 * super().dsigma(logvar)


class NoiseDrawnTwice(TinyVAE):
    """The backward pass draws noise of its own."""

    def backward_noise(self, eps: Array) -> Array:
        return self.rng.standard_normal(eps.shape)


class MeanOverPixels(TinyVAE):
    """The NLL is averaged over the pixels, the KL summed over latent dimensions; the gradients agree."""

    def loss(self, x: Array, eps: Array) -> float:
        mu, logvar = self.encode(x)
        theta = self.decode(self.sample_z(mu, logvar, eps))
        return float(np.mean(self.nll(theta, x) / self.n_data) + np.mean(self.kl(mu, logvar)))

    def __init__(self, rng: np.random.Generator, x: Array | None = None, units: tuple[int, int, int] = (H, Z, G)):
        super().__init__(rng, x, units)
        self.nll_weight = 1.0 / self.n_data


class KLSummedOverBatch(TinyVAE):
    """The NLL is averaged over the batch, the KL summed; the gradients agree."""

    def loss(self, x: Array, eps: Array) -> float:
        mu, logvar = self.encode(x)
        theta = self.decode(self.sample_z(mu, logvar, eps))
        return float(np.mean(self.nll(theta, x)) + np.sum(self.kl(mu, logvar)))

    def gradients(self, x: Array, eps: Array) -> dict[str, Array]:
        self.kl_weight = float(len(x))
        return super().gradients(x, eps)


class OtherLossReported(TinyVAE):
    """Optimises a KL four times as heavy as in the loss that it reports."""

    kl_weight = 4.0


class StaleUpstream(TinyVAE):
    """z's gradient is made from the output layer's upstream gradient, kept from the step before."""

    def dz(self, da_hidden: Array, dtheta: Array) -> Array:
        return (dtheta @ self.parameters["output.W"].T) @ self.parameters["hidden.W"].T


class TanhDerivative(TinyVAE):
    """1 - y^2, the derivative of tanh, where the forward pass has a sigmoid."""

    def dencoder(self, dy: Array, y: Array) -> Array:
        return dy * (1.0 - y**2)


class DerivativeOfTheOutput(TinyVAE):
    """sigmoid'(a) = sigmoid(a) (1 - sigmoid(a)), called with the output where it expects the input."""

    def dencoder(self, dy: Array, y: Array) -> Array:
        return dy * sigmoid(y) * (1.0 - sigmoid(y))


class ReluForwardOnly(TinyVAE):
    """The backward pass lets the gradient through where the relu was off."""

    def dhidden(self, dy: Array, a: Array) -> Array:
        return dy


class RacingBias(TinyVAE):
    """Two threads add up the output layer's bias gradient in the same array; chance orders their steps."""

    def gradients(self, x: Array, eps: Array) -> dict[str, Array]:
        mu, logvar = self.encode(x)
        theta = self.decode(self.sample_z(mu, logvar, eps))
        dtheta = self.dtheta(theta, x) / len(x)
        db = [race.by_chance(race.rows_into_one, column[:, None], self.rng)[0] for column in dtheta.T]
        return super().gradients(x, eps) | {"output.b": np.array(db, dtheta.dtype)}


class SigmoidInGaussian(GaussianVAE):
    """The gradient of Gaussian means is scaled by y (1 - y), left over from a sigmoid output."""

    def dtheta(self, theta: Array, x: Array) -> Array:
        return (theta - x) * theta * (1.0 - theta)


class SoftplusSamples(TinyVAE):
    """Images are made with softplus(logits), which is not a probability."""

    def sample_x(self, z: Array) -> Array:
        return softplus(self.decode(z))


class LogitsShown(TinyVAE):
    """The decoder's output is taken for the picture: the sigmoid is left out."""

    def sample_x(self, z: Array) -> Array:
        return self.decode(z)


class LogOfProbability(TinyVAE):
    """-x log y - (1 - x) log(1 - y), of a probability y that rounds to 0 or 1."""

    def nll(self, theta: Array, x: Array) -> Array:
        y = sigmoid(theta)
        return np.sum(-x * np.log(y) - (1.0 - x) * np.log(1.0 - y), axis=1)


class DrawsItsNoise(TinyVAE):
    """The right VAE, but drawing its own noise, as most do: it cannot be held fixed, so no gradients are given."""

    def noise(self, shape: tuple[int, ...]) -> Array:
        return self.rng.standard_normal(shape)

    def functions(self) -> dict[str, Any]:
        def sample_z(mu: Array, logvar: Array) -> Array:
            return self.sample_z(mu, logvar, self.noise(mu.shape))

        def loss(x: Array) -> float:
            return self.loss(x, self.noise((len(x), self.n_latent)))

        return super().functions() | {"sample_z": sample_z, "loss": loss, "gradients": None, "parameters": None}


class NoiseBakedIn(DrawsItsNoise):
    """The noise is the same in every call, as when a compiler traced the draw as a constant."""

    def noise(self, shape: tuple[int, ...]) -> Array:
        return np.random.default_rng(0).standard_normal(shape)
