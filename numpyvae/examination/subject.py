"""The functions under examination, called in one way, however they were written."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from ..arguments import did_you_mean, shown
from ..functional.gaussian import gaussian_kl
from ..models.likelihoods import LIKELIHOODS, Likelihood, make_likelihood
from ..models.posteriors import Diagonal, repeated
from ..models.vae import VAE

Array = np.ndarray
Function = Callable[..., Any]

LOG_FLOOR = -100.0      # of a probability rounded to 0: the cut-off of PyTorch's binary_cross_entropy
LARGEST_LOGVAR = 500.0  # exp of it is still a number, and no standard deviation that anybody means
LARGEST = 1e100         # its square is still a number
COPIES = 4              # of an image, which differ only by their noise
EXCHANGED = 1e-4        # the loss of a batch may change by this fraction if its rows change places: rounding
MOVED = 1e-3            # an image's code may change by this fraction with the rest of its batch: rounding, no more


class Probabilities(Likelihood):
    """A Bernoulli decoder that outputs probabilities, as many do: theta in [0, 1]."""

    name = "bernoulli"
    decodes_to = "probabilities"
    support = (0, 1)

    def nll(self, theta: Array, x: Array) -> Array:
        return -np.sum(x * safe_log(theta) + (1 - x) * safe_log(1 - theta), axis=1)

    def mean(self, theta: Array) -> Array:
        return theta


class Own(Likelihood):
    """A user's own -log p(x|z), whose decoder may output anything that has a row for each image."""

    name = "own"
    decodes_to = "what nll takes"

    def __init__(self, nll: Function):
        super().__init__()
        self.of_rows = nll    # theta and x as the user shapes them -> (B,)


DECODES_TO = {kind.decodes_to: name for name, kind in LIKELIHOODS.items()} | {Probabilities.decodes_to: None}


def likelihood_of(decodes_to: str, sigma: float, nll: Function | None = None) -> Likelihood:
    """The likelihood for a `decodes_to` of `examine`, or the user's own."""
    if nll is not None:
        return Own(nll)
    if not isinstance(decodes_to, str) or decodes_to not in DECODES_TO:
        hint = did_you_mean(decodes_to, DECODES_TO) if isinstance(decodes_to, str) else ""
        raise ValueError(f"decodes_to is {shown(decodes_to)}; expected one of {', '.join(map(repr, DECODES_TO))}, or "
                         f"your own nll=, a function theta, x -> (B,){hint}")
    name = DECODES_TO[decodes_to]
    return Probabilities() if name is None else make_likelihood(name, sigma)


@overload
def guarded(name: str, function: Function) -> Function: ...
@overload
def guarded(name: str, function: None) -> None: ...


def guarded(name: str, function: Function | None) -> Function | None:
    """A user's function that returns arrays, and whose exceptions say in one sentence where they come from."""
    if function is None:
        return None

    def call(*arguments: Any) -> Any:
        try:
            return as_numpy(function(*arguments))
        except Exception as error:
            words = " ".join(str(error).split())[:200]
            given = ", ".join(shown(value) for value in arguments)
            pictures = any(isinstance(value, np.ndarray) and value.ndim > 2 for value in arguments)
            shape = f"reshape {'x to (B, D) if it takes flat images' if pictures else 'inside it if it takes pictures'}"
            raise ValueError(f"{name} raised {type(error).__name__} when it was given {given}: {words or 'no words'}; "
                             "expected a function of NumPy arrays with any number of rows (the docstring of examine "
                             f"shows how to wrap one; {shape})") from error

    call.__wrapped__ = function    # type: ignore[attr-defined]    # for inspect.signature
    return call


def as_numpy(value: Any) -> Any:
    """A framework's tensors as arrays, also within a tuple, a list or a dict."""
    if isinstance(value, Mapping):
        return {key: as_numpy(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(as_numpy, value))
    for step in ("detach", "cpu", "numpy"):
        if callable(getattr(value, step, None)):
            value = getattr(value, step)()
    return value


def numbers(name: str, value: Any, expected: str) -> Array:
    """An array of real numbers, of what a user's function gave; raises ValueError if it is none."""
    try:
        array = np.asarray(value)
    except Exception:    # rows of different lengths, or an object that fails to become an array
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} gives {shown(value)}; expected {expected}")
    return array


@dataclass
class Subject:
    """A VAE as plain functions on NumPy arrays.

    Within the examination an image is a row (D,); the functions get it in the shape that the user gave it.
    """

    x: Array
    encode: Function
    sample_z: Function | None
    decode: Function | None
    loss: Function | None
    likelihood: Likelihood
    beta: float
    gradients: Function | None
    parameters: Mapping[str, Array] | None
    sample_x: Function | None
    draws: int
    bar: Any                  # tqdm's, of rows that go through the loss
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.shape = self.x.shape[1:]
        self.x = self.x.reshape(len(self.x), -1)
        mu, logvar = self.encoded(self.x)
        self.n_latent, self.dtype = mu.shape[1], mu.dtype
        with np.errstate(over="ignore"):
            single = bool(np.all(mu.astype(np.float32) == mu))
        self.rounding = float(np.finfo(np.float32 if single else np.float64).eps)    # relative, of the arithmetic
        eps = self.noise(mu.shape).astype(self.x.dtype)
        # Whether the loss takes its noise as an argument, so that it can be held fixed; and whether sample_z does.
        self.frozen = self.loss is not None and takes_noise(self.loss, (self.shaped(self.x),), eps)
        self.sample_takes_noise = (self.sample_z is not None
                                   and takes_noise(self.sample_z, (mu, logvar), eps.astype(mu.dtype)))

    def shaped(self, x: Array) -> Array:
        return x.reshape(len(x), *self.shape)

    def encoded(self, x: Array) -> tuple[Array, Array]:
        """mu, logvar, both (B, Z); raises ValueError if encode gives something else."""
        result = self.encode(self.shaped(x))
        if not isinstance(result, tuple):
            raise ValueError(f"encode gives {shown(result)}; expected the pair mu, logvar")
        if len(result) != 2:
            raise ValueError(f"encode gives {len(result)} things; expected the pair mu, logvar: wrap it so that it "
                             "returns only those two")
        expected = "(B, Z) for both, mu and logvar: one row for each image"
        mu, logvar = (numbers("encode", part, expected) for part in result)
        if mu.ndim != 2 or len(mu) != len(x) or logvar.shape != mu.shape or not mu.size:
            flatten = "; flatten each image's in encode, and undo it in decode" if mu.ndim > 2 else ""
            raise ValueError(f"encode gives shapes {mu.shape} and {logvar.shape} for {len(x)} images; "
                             f"expected {expected}{flatten}")
        if not (float(np.abs(mu).max()) < LARGEST and float(np.abs(logvar).max()) < LARGEST_LOGVAR):    # NaN is not
            raise ValueError(f"encode gives mu up to {np.abs(mu).max():.3g} and logvar from {logvar.min():.3g} to "
                             f"{logvar.max():.3g}; expected ordinary numbers (logvar is log sigma^2)")
        return tuple(part if part.dtype.kind == "f" else part.astype(float) for part in (mu, logvar))  # type: ignore

    def sampled(self, mu: Array, logvar: Array, eps: Array | None) -> Array:
        """z (B, Z), from eps if the user's sampling takes it, or by the formula if there is no other way."""
        if self.sample_z is not None and (self.sample_takes_noise or eps is None):
            noise = self.noise(mu.shape) if eps is None else eps
            given = (noise.astype(mu.dtype),) if self.sample_takes_noise else ()
            return numbers("sample_z", self.sample_z(mu, logvar, *given), "z (B, Z)")
        noise = self.noise(mu.shape) if eps is None else eps
        return (mu + np.exp(0.5 * logvar) * noise).astype(mu.dtype)

    def decoded(self, z: Array) -> Array:
        """theta in float64: (B, D), or (B, 2D) for mean and logvar; for the user's own nll, as decode gives it."""
        assert self.decode is not None
        result = self.decode(z)
        if isinstance(self.likelihood, Own):
            theta = numbers("decode", result, "one array, with a row for each z")
            if not theta.ndim or len(theta) != len(z):
                raise ValueError(f"decode gives shape {theta.shape} for {len(z)} rows of z; expected a row for each")
            return theta
        n, width = self.likelihood.outputs_per_pixel, self.x.shape[1]
        expected = f"{(len(z), n * width)}, as decodes_to={self.decodes_to!r} asks for"
        if isinstance(result, tuple) and len(result) == n:    # mean and logvar, as two arrays
            parts = [numbers("decode", part, expected) for part in result]
        else:
            theta = numbers("decode", result, expected)
            doubled = [axis for axis, size in enumerate(self.shape, 1)
                       if theta.shape == (len(z), *self.shape[:axis - 1], n * size, *self.shape[axis:])]
            parts = np.split(theta, n, axis=doubled[0]) if n > 1 and doubled else [theta]
        rows = [part.reshape(len(z), -1) for part in parts if part.ndim and len(part) == len(z)]
        if sum(part.shape[1] for part in rows) != n * width:
            shapes = " and ".join(str(part.shape) for part in parts)
            raise ValueError(f"decode gives shape {shapes} for {len(z)} rows of z; expected {expected}")
        return np.concatenate(rows, axis=1).astype(float)

    def loss_value(self, x: Array, eps: Array | None = None) -> float:
        """The loss of a batch as a number."""
        assert self.loss is not None
        value = self.loss(self.shaped(x), *(() if eps is None else (eps.astype(x.dtype),)))
        self.bar.update(len(x))
        expected = "one number: the sum or the mean over the batch"
        if isinstance(value, dict) and "loss" in value:
            value = value["loss"]
        if isinstance(value, (dict, tuple)):
            entries = f" with the entries {shown(list(value))}" if isinstance(value, dict) else f" of {len(value)}"
            raise ValueError(f"loss gives a {type(value).__name__}{entries}; expected {expected}; let it return only "
                             "the total")
        number = numbers("loss", value, expected)
        if number.size != 1:
            raise ValueError(f"loss gives shape {number.shape}; expected {expected}")
        return float(number.reshape(()))

    def q(self, x: Array) -> Any:
        """What describes q(z|x) for each row."""
        return Diagonal(*self.encoded(x))

    def draw(self, q: Any, eps: Array | None) -> Array:
        """z (B, Z) from q(z|x)."""
        z = self.sampled(q.mu, q.logvar, eps)
        if z.shape != q.mu.shape:
            raise ValueError(f"sample_z gives shape {z.shape} for mu of shape {q.mu.shape}; expected the same")
        return z

    @property
    def kl_is_known(self) -> bool:
        """Whether there is a formula for the KL."""
        return True

    def kl(self, q: Any) -> Array:
        """KL(q(z|x) || p(z)) of each row by the formula, (B,)."""
        mu, logvar = q
        return gaussian_kl(mu.astype(float), logvar.astype(float))

    def log_ratio(self, q: Any, eps: Array) -> Array:
        """log q(z|x) - log p(z) of each row's z, an unbiased estimate of the KL from one draw: (B,)."""
        mu, logvar = (part.astype(float) for part in q)
        z = mu + np.exp(0.5 * logvar) * eps
        return 0.5 * np.sum(z**2 - eps**2 - logvar, axis=1)

    def posterior_noise(self, n: int) -> Array:
        return self.noise((n, self.n_latent))

    def log_ratios(self, image: Array, n: int) -> Array:
        """log q(z|x) - log p(z) of n draws of z for one image (1, D): (n,)."""
        return self.log_ratio(repeated(self.q(image), n), self.posterior_noise(n))

    @property
    def decodes_to(self) -> str:
        return self.likelihood.decodes_to

    def nll(self, theta: Array, x: Array) -> Array:
        """-log p(x|z) of each row by the formula, (B,)."""
        if not isinstance(self.likelihood, Own):
            return self.likelihood.nll(theta, x.astype(float))
        expected = "-log p(x|z) of each row, (B,)"
        value = numbers("nll", self.likelihood.of_rows(theta, self.shaped(x)), expected)
        if value.size != len(x):
            raise ValueError(f"nll gives shape {value.shape} for {len(x)} rows; expected {expected}")
        return value.reshape(len(x)).astype(float)

    @property
    def knows_mean(self) -> bool:
        return not isinstance(self.likelihood, Own)

    def mean(self, theta: Array) -> Array:
        """E[x|z], (B, D)."""
        return self.likelihood.mean(theta)

    def noise(self, shape: tuple[int, ...]) -> Array:
        return self.rng.standard_normal(shape)

    @functools.cached_property
    def loss_is_constant(self) -> bool:
        """Whether two draws of the noise give the same loss."""
        eps = [self.noise((len(self.x), self.n_latent)) if self.frozen else None for _ in range(2)]
        return self.loss_value(self.x, eps[0]) == self.loss_value(self.x, eps[1])

    @functools.cached_property
    def shares_noise(self) -> str:
        """How it shows that the images of a batch have one noise, in words; "" where it does not.

        In a batch of copies of one image, rows of noise of their own give different z; and a loss that takes its noise
        does not change if two of these rows change places.
        """
        if self.sample_z is not None:
            mu = np.repeat(self.encoded(self.x)[0][:1], COPIES, axis=0)
            first, again = (self.sampled(mu, np.zeros_like(mu), None) for _ in range(2))
            if first.shape == mu.shape and np.all(first == first[0]) and not np.array_equal(first, again):
                return f"of {COPIES} equal rows of mu and logvar sample_z gives one z, though another in each call."
        if self.loss is not None and self.frozen:
            copies, eps = np.repeat(self.x[:1], COPIES, axis=0), self.noise((COPIES, self.n_latent))
            value, repeated_value, exchanged = (self.loss_value(copies, noise) for noise in (eps, eps, eps[::-1]))
            if value == repeated_value and np.isfinite(exchanged) and abs(value - exchanged) > EXCHANGED * abs(value):
                return (f"of {COPIES} copies of one image the loss is {value:.6g}, and {exchanged:.6g} if rows of eps "
                        "change places.")
        return ""

    @functools.cached_property
    def unsteady(self) -> str:
        """How encode or decode changes from call to call although its input stays the same, in words; "" if not."""
        (mu, logvar), half = self.encoded(self.x), len(self.x) // 2
        advice = "call model.eval() before the examination, and leave the noise to sample_z and loss."
        if not all(self.same(*pair) for pair in zip((mu, logvar), self.encoded(self.x))):
            return f"encode gives other numbers for the same images: dropout in training mode does that; {advice}"
        if not all(self.same(whole[:half], part) for whole, part in zip((mu, logvar), self.encoded(self.x[:half]))):
            return ("encode's numbers for an image depend on the other images of its batch: batch normalisation in "
                    f"training mode does that; {advice}")
        if self.decode is not None:
            z = self.noise(mu.shape).astype(mu.dtype)
            theta = self.decoded(z)
            if not self.same(theta, self.decoded(z)):
                return f"decode gives other numbers for the same z: dropout in training mode does that; {advice}"
            if not self.same(theta[:half], self.decoded(z[:half])):
                return ("decode's numbers for a z depend on the other rows of its batch: batch normalisation in "
                        f"training mode does that; {advice}")
        return ""

    @staticmethod
    def same(one: Array, other: Array) -> bool:
        with np.errstate(invalid="ignore"):
            return bool(np.all((np.abs(one - other) <= MOVED * np.max(np.abs(one))) | (one == other)
                               | (np.isnan(one) & np.isnan(other))))


@dataclass
class Model(Subject):
    """A numpyvae VAE, in float64.  Its q(z|x) need not be a diagonal Gaussian: draws and KL are the posterior's own."""

    vae: VAE
    c: Array | None    # the label of every row, one-hot (1, C)

    def q(self, x: Array) -> Any:
        return self.vae.infer(x, None if self.c is None else np.repeat(self.c, len(x), axis=0))

    def draw(self, q: Any, eps: Array | None) -> Array:
        assert eps is not None    # our loss takes it
        return self.vae.posterior.reparameterize(q, eps)

    @property
    def kl_is_known(self) -> bool:
        return self.vae.posterior.knows_kl_to(self.vae.prior)

    def kl(self, q: Any) -> Array:
        return self.vae.posterior.kl(q, self.vae.prior)

    def log_ratio(self, q: Any, eps: Array) -> Array:
        z = self.vae.posterior.reparameterize(q, eps)
        return self.vae.posterior.log_density(q, z) - self.vae.prior.log_density(z)

    def posterior_noise(self, n: int) -> Array:
        return self.vae.posterior.noise(n, self.rng, self.vae.dtype)


def takes_noise(function: Function, others: tuple[Array, ...], eps: Array) -> bool:
    """Whether a function asks for eps after its other arguments.  One of *arrays is tried; raises what it raised."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):    # of something built in
        parameters = inspect.signature(lambda *arrays: None).parameters
    needed = [p for p in parameters.values() if p.default is p.empty
              and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) > len(others) or "eps" in parameters:
        return True
    if not any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        return False
    try:
        function(*others)
    except ValueError as error:
        try:
            function(*others, eps)
        except ValueError:
            raise error from error.__cause__
        return True
    return False


def safe_log(p: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.log(p), LOG_FLOOR)
