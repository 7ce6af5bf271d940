"""p(x|z): what a decoder's output theta means, a distribution for each pixel.

Classes with one protocol, so that the model reads the same for each; the mathematics is in functional/.
theta : (B, outputs_per_pixel * D), x : (B, D).
"""
from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np

from ..arguments import POSITIVE, checked, one_of
from ..functional import continuous_bernoulli, discretized_logistic, student_t
from ..functional import likelihoods as f
from ..functional.activations import sigmoid
from ..nn.buffers import Buffers, Part

Array = np.ndarray


class Likelihood(Part):
    """What every p(x|z) has.

    name              : what `VAE.dense` and the command line call it
    outputs_per_pixel : how many numbers of theta each number of x takes
    shared_logvar     : whether the last of them is one learned number, the same for all pixels
    output_names      : what a drawing of the network calls them
    decodes_to        : what `examine` calls theta
    support           : where a pixel may lie, (lowest, highest), or None for any finite number
    levels            : how many evenly spaced values it may have there, or None

    nll(theta, x)                : -log p(x|z) for each row, in nats: (B,)
    nll_and_grad(dnll, theta, x) : that, and the gradient for theta where row b has weight dnll[b] in the loss
    mean(theta)                  : E[x|z], the picture without pixel noise: (B, D)
    sample(theta, rng)           : a draw from p(x|z): (B, D)
    """

    name: str
    outputs_per_pixel = 1
    shared_logvar = False
    output_names = "parameters"
    decodes_to = "parameters of p(x|z)"
    support: tuple[float, float] | None = None
    levels: int | None = None

    def __init__(self) -> None:
        self._buffers = Buffers()

    nll: Callable[[Array, Array], Array]                                     # theta, x -> (B,)
    nll_and_grad: Callable[[Array, Array, Array], tuple[Array, Array]]       # dnll, theta, x
    mean: Callable[[Array], Array]                                           # theta -> (B, D)
    sample: Callable[[Array, np.random.Generator], Array]                    # theta, rng -> (B, D)

    def check(self, x: Array) -> None:
        """Raises ValueError unless every pixel lies in the support."""
        if self.support is None:
            if not np.isfinite(x).all():
                raise ValueError("x holds NaN or infinity; expected finite pixels: replace or drop them")
            return
        low, high = x.real.min(), x.real.max()
        if not (self.support[0] <= low and high <= self.support[1]):
            are_bytes = low >= 0 and 32 <= high <= 255    # below, they would be too dark to be seen
            advice = ("replace NaN" if not low <= high else "divide bytes by 255" if are_bytes else
                      "for numbers that are not pixels take the likelihood gaussian")
            raise ValueError(f"x has pixels from {low:g} to {high:g}; expected {list(self.support)} for a {self.name} "
                             f"decoder: {advice}")
        if self.levels is None:
            return
        if not (np.abs(x.real - self.on_levels(x.real)) < 1e-3 / self.levels).all():
            last = self.levels - 1
            raise ValueError(f"x has pixels between the levels 0, 1/{last}, ..., 1; expected only these levels for a "
                             f"{self.name} decoder: give bytes, or bytes / {last}")

    def on_levels(self, x: Array) -> Array:
        """x rounded to the nearest level, where there are levels."""
        return x if self.levels is None else np.rint((self.levels - 1) * x) / (self.levels - 1)

    def _outputs(self, theta: Array) -> tuple[Array, Array]:
        return self._buffers("nll", (len(theta),), theta.dtype), self._buffers("dtheta", theta.shape, theta.dtype)


class Bernoulli(Likelihood):
    """Each pixel is 1 with probability sigmoid(theta), else 0.  Grey pixels are taken as such probabilities."""

    name = "bernoulli"
    output_names = decodes_to = "logits"
    support = (0, 1)

    def nll(self, theta: Array, x: Array) -> Array:
        return f.bernoulli_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return f.bernoulli_nll_and_grad(dnll, theta, x, *self._outputs(theta))

    def mean(self, theta: Array) -> Array:
        return sigmoid(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """Every pixel 0 or 1."""
        return (rng.random(theta.shape) < self.mean(theta)).astype(theta.dtype)


class LocationScale(Likelihood):
    """Each pixel is theta + sigma times a draw from a density of mean 0, with sigma chosen by the user."""

    output_names = "means"

    @checked(sigma=POSITIVE)
    def __init__(self, sigma: float):
        super().__init__()
        self.sigma = float(sigma)

    def mean(self, theta: Array) -> Array:
        return theta.copy()


class Gaussian(LocationScale):
    """Each pixel is N(theta, sigma^2)."""

    name = "gaussian"
    decodes_to = "mean"

    def nll(self, theta: Array, x: Array) -> Array:
        return f.gaussian_nll(theta, x, self.sigma)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return f.gaussian_nll_and_grad(dnll, theta, x, self.sigma, *self._outputs(theta))

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        return (theta + self.sigma * rng.standard_normal(theta.shape)).astype(theta.dtype)


class GaussianLearned(Likelihood):
    """Each pixel is N(mean, exp(logvar)), both from the decoder: theta = [mean, logvar]."""

    name = "gaussian-learned"
    outputs_per_pixel = 2
    output_names = "means,\nlog σ²"
    decodes_to = "mean and logvar"

    def nll(self, theta: Array, x: Array) -> Array:
        return f.gaussian_learned_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return f.gaussian_learned_nll_and_grad(dnll, theta, x, *self._outputs(theta))

    def mean(self, theta: Array) -> Array:
        return theta[:, :theta.shape[1] // 2].copy()

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        mean, logvar = np.split(theta, 2, axis=1)
        return (mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)).astype(theta.dtype)


class GaussianShared(GaussianLearned):
    """Each pixel is N(mean, exp(logvar)), with one learned logvar for all pixels, with which the decoder ends: see
    nn.layers.SharedLogvar.  theta = [mean, logvar], as for GaussianLearned."""

    name = "gaussian-shared"
    output_names = "means,\none log σ²"
    decodes_to = "mean and shared logvar"
    shared_logvar = True


class StudentT(LocationScale):
    """Each pixel is Student's t around theta, with the scale sigma and 4 degrees of freedom: for data with outliers."""

    name = "student-t"
    decodes_to = "mean of Student's t"

    def nll(self, theta: Array, x: Array) -> Array:
        return student_t.student_t_nll(theta, x, self.sigma)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return student_t.student_t_nll_and_grad(dnll, theta, x, self.sigma, *self._outputs(theta))

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        return (theta + self.sigma * rng.standard_t(student_t.DEGREES, theta.shape)).astype(theta.dtype)


class ContinuousBernoulli(Likelihood):
    """Each pixel has the density exp(a x) / integral on [0, 1], a = theta: a true density for grey pixels."""

    name = "continuous-bernoulli"
    output_names = "logits"
    decodes_to = "continuous Bernoulli logits"
    support = (0, 1)

    def nll(self, theta: Array, x: Array) -> Array:
        return continuous_bernoulli.continuous_bernoulli_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return continuous_bernoulli.continuous_bernoulli_nll_and_grad(dnll, theta, x, *self._outputs(theta))

    def mean(self, theta: Array) -> Array:
        return continuous_bernoulli.continuous_bernoulli_mean(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """By the inverse of P(x <= t) = (e^(at) - 1) / (e^a - 1):  t = log(1 + u (e^a - 1)) / a, u uniform.

        In float64, and with u (e^a - 1) = e^a (1 - (1 - u) (1 - e^-a)) - 1: near a = 0 the digits of e^a - 1 count.
        """
        u, size = rng.random(theta.shape), np.maximum(np.abs(theta.astype(float)), 1e-6)
        x = 1 + np.log1p((1 - u) * np.expm1(-size)) / size    # for a = |theta|; for -|theta| it is mirrored
        return np.clip(np.where(theta < 0, 1 - x, x), 0, 1).astype(theta.dtype)


class DiscretizedLogistic(Likelihood):
    """Each pixel is one of 256 levels, with a logistic distribution: theta = [mean, log scale]."""

    name = "discretized-logistic"
    outputs_per_pixel = 2
    output_names = "means,\nlog s"
    decodes_to = "mean and log scale"
    support = (0, 1)
    levels = 256

    def nll(self, theta: Array, x: Array) -> Array:
        return discretized_logistic.discretized_logistic_nll(theta, x)

    def nll_and_grad(self, dnll: Array, theta: Array, x: Array) -> tuple[Array, Array]:
        return discretized_logistic.discretized_logistic_nll_and_grad(dnll, theta, x, *self._outputs(theta))

    def mean(self, theta: Array) -> Array:
        return discretized_logistic.discretized_logistic_mean(theta)

    def sample(self, theta: Array, rng: np.random.Generator) -> Array:
        """A draw from the logistic distribution, mean + scale log(u / (1 - u)), rounded to the nearest level."""
        mean, log_scale = np.split(theta, 2, axis=1)
        x = mean + np.exp(log_scale) * rng.logistic(size=mean.shape)
        return self.on_levels(np.clip(x, 0, 1)).astype(theta.dtype)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    kind.name: kind for kind in (Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian, GaussianLearned,
                                 GaussianShared, StudentT)}


WITH_SIGMA = tuple(name for name, kind in LIKELIHOODS.items() if "sigma" in inspect.signature(kind).parameters)


def make_likelihood(name: str, sigma: float) -> Likelihood:
    """The likelihood of that name; sigma goes to those that have one.

    For any other likelihood a UserWarning says that a sigma but 1, the default, has no effect.
    """
    kind = LIKELIHOODS[one_of("likelihood", name, LIKELIHOODS)]
    if name in WITH_SIGMA:
        return kind(sigma=sigma)    # type: ignore[call-arg]
    if sigma != 1:
        warnings.warn(f"sigma is {sigma:g}, which has no effect on the likelihood {name!r}; expected none, or the "
                      f"likelihood {' or '.join(map(repr, WITH_SIGMA))}", stacklevel=5)    # the caller of VAE.dense
    return kind()
