"""What a decoder's output theta means: a distribution for each pixel.

Classes with one protocol, so that the model reads the same for each; the mathematics is in functional/.
theta : (B, outputs_per_pixel * D), x : (B, D).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..arguments import checked, one_of
from ..functional import continuous_bernoulli, discretized_logistic
from ..functional import likelihoods as f
from ..functional.activations import sigmoid
from ..nn.buffers import Buffers

Array = np.ndarray


class Likelihood(Protocol):
    """What the model asks of a likelihood."""

    name: str
    outputs_per_pixel: int

    def nll(self, theta: Array, x: Array) -> Array: ...

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]: ...

    def mean(self, theta: Array) -> Array: ...

    def sample(self, theta: Array, rng: np.random.Generator) -> Array: ...

    def check(self, x: Array) -> None: ...


class Bernoulli:
    """Each pixel is 1 with probability sigmoid(theta), else 0.  Grey pixels are taken as such probabilities."""

    name = "bernoulli"
    outputs_per_pixel = 1

    def __init__(self) -> None:
        self._buffers = Buffers()

    def nll(self, theta: Array, x: Array) -> Array:
        """-log p(x|z) for each row, in nats: (B,)."""
        return f.bernoulli_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        """The rows' nll (B,) and the gradient for theta, where row b counts dnll[b] in the loss."""
        return f.bernoulli_nll_and_grad(dnll, theta, x, *_outputs(self._buffers, theta))

    def mean(self, theta: Array) -> Array:
        """E[x|z], the picture without pixel noise: (B, D) in [0, 1]."""
        return sigmoid(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """A draw from p(x|z), every pixel 0 or 1."""
        return (rng.random(theta.shape) < self.mean(theta)).astype(theta.dtype)

    def check(self, x: Array) -> None:
        """Raises ValueError unless every pixel is within [0, 1]."""
        low, high = x.real.min(), x.real.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"x has pixels from {low:g} to {high:g}; expected [0, 1] for a Bernoulli decoder: "
                             "divide bytes by 255, and replace NaN")


class Gaussian:
    """Each pixel is N(theta, sigma^2), with sigma chosen by the user."""

    name = "gaussian"
    outputs_per_pixel = 1

    @checked()
    def __init__(self, sigma: float):
        self.sigma = float(sigma)
        self._buffers = Buffers()

    def nll(self, theta: Array, x: Array) -> Array:
        return f.gaussian_nll(theta, x, self.sigma)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return f.gaussian_nll_and_grad(dnll, theta, x, self.sigma, *_outputs(self._buffers, theta))

    def mean(self, theta: Array) -> Array:
        return theta.copy()

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        return (theta + self.sigma * rng.standard_normal(theta.shape)).astype(theta.dtype)

    def check(self, x: Array) -> None:
        _check_finite(x)


class GaussianLearned:
    """Each pixel is N(mean, exp(logvar)), both put out by the decoder: theta = [mean, logvar]."""

    name = "gaussian-learned"
    outputs_per_pixel = 2

    def __init__(self) -> None:
        self._buffers = Buffers()

    def nll(self, theta: Array, x: Array) -> Array:
        return f.gaussian_learned_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return f.gaussian_learned_nll_and_grad(dnll, theta, x, *_outputs(self._buffers, theta))

    def mean(self, theta: Array) -> Array:
        return theta[:, :theta.shape[1] // 2].copy()

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        mean, logvar = np.split(theta, 2, axis=1)
        return (mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)).astype(theta.dtype)

    def check(self, x: Array) -> None:
        _check_finite(x)


class ContinuousBernoulli(Bernoulli):
    """Each pixel has the density exp(a x) / integral on [0, 1], a = theta: for grey pixels, and a true density."""

    name = "continuous-bernoulli"

    def nll(self, theta: Array, x: Array) -> Array:
        return continuous_bernoulli.continuous_bernoulli_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return continuous_bernoulli.continuous_bernoulli_nll_and_grad(dnll, theta, x, *_outputs(self._buffers, theta))

    def mean(self, theta: Array) -> Array:
        return continuous_bernoulli.continuous_bernoulli_mean(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """By the inverse of P(x <= t) = (e^(at) - 1) / (e^a - 1):  t = log(1 + u (e^a - 1)) / a, u uniform."""
        u, size = rng.random(theta.shape), np.maximum(np.abs(theta), 1e-6)
        x = 1 + np.log(u + (1 - u) * np.exp(-size)) / size    # for a = |theta|; for -|theta| it is mirrored
        return np.clip(np.where(theta < 0, 1 - x, x), 0, 1).astype(theta.dtype)


class DiscretizedLogistic:
    """Each pixel is one of 256 levels, held by a logistic distribution: theta = [mean, log scale]."""

    name = "discretized-logistic"
    outputs_per_pixel = 2

    def __init__(self) -> None:
        self._buffers = Buffers()

    def nll(self, theta: Array, x: Array) -> Array:
        return discretized_logistic.discretized_logistic_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return discretized_logistic.discretized_logistic_nll_and_grad(dnll, theta, x, *_outputs(self._buffers, theta))

    def mean(self, theta: Array) -> Array:
        return discretized_logistic.discretized_logistic_mean(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """A draw of the logistic distribution, mean + scale log(u / (1 - u)), on the nearest level."""
        mean, log_scale = np.split(theta, 2, axis=1)
        x = mean + np.exp(log_scale) * rng.logistic(size=mean.shape)
        return (np.rint(255 * np.clip(x, 0, 1)) / 255).astype(theta.dtype)

    def check(self, x: Array) -> None:
        """Raises ValueError unless every pixel is one of the 256 levels."""
        levels = 255 * x.real
        if not (np.abs(levels - np.rint(levels)) < 1e-3).all() or not (levels.min() >= 0 and levels.max() <= 255):
            raise ValueError("x has pixels between the levels 0, 1/255, ..., 1; expected those alone for a discretized "
                             "logistic decoder: give bytes, or bytes / 255")


LIKELIHOODS: dict[str, Callable[[float], Likelihood]] = {    # by name, made from sigma, which matters to one alone
    "bernoulli": lambda sigma: Bernoulli(), "continuous-bernoulli": lambda sigma: ContinuousBernoulli(),
    "discretized-logistic": lambda sigma: DiscretizedLogistic(), "gaussian": Gaussian,
    "gaussian-learned": lambda sigma: GaussianLearned()}


def make_likelihood(name: str, sigma: float) -> Likelihood:
    """The likelihood of that name; sigma matters to "gaussian" alone."""
    return LIKELIHOODS[one_of("likelihood", name, LIKELIHOODS)](sigma)


def _outputs(buffers: Buffers, theta: Array) -> tuple[Array, Array]:
    return buffers("nll", (len(theta),), theta.dtype), buffers("dtheta", theta.shape, theta.dtype)


def _check_finite(x: Array) -> None:
    if not np.isfinite(x).all():
        raise ValueError("x holds NaN or infinity; expected finite pixels: replace or drop them")
