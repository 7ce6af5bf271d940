"""The package's models and objectives once more, from the mathematics, for PyTorch to differentiate.

Nothing comes from numpyvae but the values and names of the weights.  Distributions are those of torch.distributions;
where it has none, or a less precise one, the density's definition stands here, without the package's rearrangements.
Everything is in float64.  Needs `pip install -e ".[oracle]"`; tests get this module from the fixture `oracles`.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import distributions as d
from torch.nn import functional as F

torch.set_num_threads(1)    # as elsewhere in the suite, which has a process for each core

ACTIVATIONS = {"identity": lambda a: a, "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
               "softplus": F.softplus, "gelu": lambda a: F.gelu(a, approximate="tanh"), "silu": F.silu}


# p(x|z): log densities of single pixels, theta and x (..., D)

def continuous_bernoulli(theta, x, sigma):
    """a x - log of the integral of e^(a t) over [0, 1], by Gauss-Legendre quadrature."""
    nodes, weights = (torch.from_numpy(one) for one in np.polynomial.legendre.leggauss(60))
    t, weights = (nodes + 1) / 2, weights / 2
    return theta * x - torch.logsumexp(theta[..., None] * t + weights.log(), dim=-1)


def discretized_logistic(theta, x, sigma):
    """The mass of a logistic distribution within half a level of x; the first and the last level take the tails."""
    mean, log_scale = theta.chunk(2, dim=-1)
    edges = [(x + half - mean) / log_scale.exp() for half in (-1 / 510, 1 / 510)]
    low = torch.where(x == 0, -math.inf, edges[0])
    high = torch.where(x == 1, math.inf, edges[1])
    mirrored = low + high > 0    # in the lower tail, where sigmoids are small, their difference keeps its digits
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    return (torch.sigmoid(high) - torch.sigmoid(low)).log()


def gaussian_learned(theta, x, sigma):
    mean, logvar = theta.chunk(2, dim=-1)
    return d.Normal(mean, logvar.exp().sqrt()).log_prob(x)


LIKELIHOODS = {
    "bernoulli": lambda theta, x, sigma: d.Bernoulli(logits=theta, validate_args=False).log_prob(x),
    "continuous-bernoulli": continuous_bernoulli,
    "discretized-logistic": discretized_logistic,
    "gaussian": lambda theta, x, sigma: d.Normal(theta, sigma).log_prob(x),
    "gaussian-learned": gaussian_learned,
    "gaussian-shared": gaussian_learned,    # what is shared is what the decoder ends with
    "student-t": lambda theta, x, sigma: d.StudentT(4.0, theta, sigma).log_prob(x)}


class Architecture(NamedTuple):
    """What the weights do not say.  image : (height, width, channels) of a convolutional model."""

    activation: str
    likelihood: str
    sigma: float
    is_autoencoder: bool = False
    image: tuple[int, int, int] | None = None
    beta: float = 1.0
    n_classes: int | None = None


class Model:
    """A model with the given weights, {"encoder.0.W": array, ...}, as functions of tensors."""

    def __init__(self, weights, architecture):
        self.weights = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
                        for name, value in weights.items()}
        self.architecture = architecture

    def layers(self, part):
        """The weights and biases of the encoder or the decoder, in order."""
        places = sorted({int(name.split(".")[1]) for name in self.weights
                         if name.startswith(f"{part}.") and name.endswith(".W")})
        return [(self.weights[f"{part}.{i}.W"], self.weights[f"{part}.{i}.b"]) for i in places]

    def sides(self, halvings):
        """An image's height and width after this many convolutions of stride 2."""
        return [math.ceil(side / 2**halvings) for side in self.architecture.image[:2]]

    def encoder(self, x, c):
        layers, f = self.layers("encoder"), ACTIVATIONS[self.architecture.activation]
        if self.architecture.image:
            h = x.reshape(len(x), *self.architecture.image).permute(0, 3, 1, 2)
            if c is not None:    # channels that are the same at every pixel
                h = torch.cat([h, c[..., None, None].expand(-1, -1, *h.shape[2:])], dim=1)
        else:
            h = x if c is None else torch.cat([x, c], dim=-1)
        for i, (W, b) in enumerate(layers):
            if W.ndim == 4:
                h = F.conv2d(h, W.permute(3, 2, 0, 1).contiguous(), b, stride=2, padding=1)
            else:
                h = h.permute(0, 2, 3, 1).flatten(1) if h.ndim == 4 else h
                h = h @ W + b
            h = h if self.architecture.is_autoencoder and i == len(layers) - 1 else f(h)
        return h

    def decoder(self, z, c):
        """theta for codes (..., Z)."""
        layers, f = self.layers("decoder"), ACTIVATIONS[self.architecture.activation]
        h = z.flatten(0, -2) if c is None else torch.cat([z, c.expand(*z.shape[:-1], -1)], dim=-1).flatten(0, -2)
        left = sum(W.ndim == 4 for W, _ in layers)    # how often the picture is still to be doubled
        for i, (W, b) in enumerate(layers):
            if W.ndim == 4:
                if h.ndim == 2:
                    h = h.reshape(len(h), *self.sides(left), -1).permute(0, 3, 1, 2)
                left -= 1
                extra = [side - (2 * small - 1) for side, small in zip(self.sides(left), h.shape[2:])]
                W = W.permute(3, 2, 0, 1).contiguous()
                h = F.conv_transpose2d(h, W, b, stride=2, padding=1, output_padding=extra)
            else:
                h = h @ W + b
            h = h if i == len(layers) - 1 else f(h)
        if h.ndim == 4:    # channels: those of the means, and after them those of the second parameter, if there is one
            channels = self.architecture.image[2]
            h = torch.cat([part.permute(0, 2, 3, 1).flatten(1) for part in h.split(channels, dim=1)], dim=1)
        for name in self.weights:
            if name.endswith(".logvar"):    # one for all pixels
                h = torch.cat([h, self.weights[name].expand_as(h)], dim=1)
        return h.unflatten(0, z.shape[:-1])

    def nll(self, z, x, c):
        """-log p(x|z) of each row."""
        theta = self.decoder(z, c)
        log_p = LIKELIHOODS[self.architecture.likelihood](theta, x.expand(*theta.shape[:-1], -1),
                                                          self.architecture.sigma)
        return -log_p.sum(dim=-1)

    def posterior_parameters(self, x, c):
        """The mean of q(z|x), (B, Z), and its Cholesky factor, (B, Z, Z)."""
        h = self.encoder(x, c)
        mu, logvar, *lower = (h @ self.weights[f"{head}.W"] + self.weights[f"{head}.b"]
                              for head in ("mu_head", "logvar_head", "lower_head") if f"{head}.W" in self.weights)
        factor = torch.diag_embed(logvar.exp().sqrt())
        if lower:
            factor = factor + lower[0].unflatten(-1, factor.shape[1:]).tril(-1)
        return mu, factor

    def gradients(self, loss, part=""):
        """The derivatives of the loss for all weights, or only the decoder's or only the encoder's."""
        names = [name for name in self.weights if part in ("", "decoder" if name.startswith("decoder") else "encoder")]
        found = torch.autograd.grad(loss, [self.weights[name] for name in names], retain_graph=True, allow_unused=True,
                                    materialize_grads=True)
        return {name: grad.numpy() for name, grad in zip(names, found)}


def normal(mean, factor):
    return d.MultivariateNormal(mean, scale_tril=factor, validate_args=False)


def kl_to_prior(q):
    """KL(q || N(0, I))."""
    return d.kl_divergence(q, normal(torch.zeros_like(q.mean), torch.eye(q.mean.shape[-1], dtype=torch.float64)))


def drawn(mean, factor, eps):
    """z = mean + factor eps, for eps (..., B, Z)."""
    return mean + (factor @ eps[..., None])[..., 0]


def log_prior(z):
    return d.Normal(torch.zeros_like(z), 1.0).log_prob(z).sum(dim=-1)


# Objectives: (model, x, eps, c) -> the loss, and {name: gradient}

def elbo(model, x, eps, c):
    mean, factor = model.posterior_parameters(x, c)
    nll, kl = model.nll(drawn(mean, factor, eps), x, c), kl_to_prior(normal(mean, factor))
    loss = (nll + model.architecture.beta * kl).mean()
    return loss, model.gradients(loss)


def elbo_without_closed_form(model, x, eps, c):
    """The KL from one sample, log q(z|x) - log p(z)."""
    mean, factor = model.posterior_parameters(x, c)
    z = drawn(mean, factor, eps)
    kl = normal(mean, factor).log_prob(z) - log_prior(z)
    loss = (model.nll(z, x, c) + model.architecture.beta * kl).mean()
    return loss, model.gradients(loss)


def free_bits(model, x, eps, c, minimum):
    """A dimension's share of the KL is what it adds to the KL of those before it."""
    mean, factor = model.posterior_parameters(x, c)
    of_first = [kl_to_prior(normal(mean[:, :n], factor[:, :n, :n])).mean() for n in range(1, mean.shape[1] + 1)]
    shares = [after - before for before, after in zip([0.0, *of_first], of_first)]
    kl = sum(share if share > minimum else torch.tensor(minimum, dtype=torch.float64) for share in shares)
    loss = model.nll(drawn(mean, factor, eps), x, c).mean() + model.architecture.beta * kl
    return loss, model.gradients(loss)


def score_function(model, x, eps, c, baseline=0.0):
    """The encoder: E[(nll - baseline) d log q(z)] + beta dKL, with z only a draw."""
    mean, factor = model.posterior_parameters(x, c)
    q, z = normal(mean, factor), drawn(mean, factor, eps).detach()
    nll, kl = model.nll(z, x, c), kl_to_prior(q)
    surrogate = (nll.detach() - torch.as_tensor(baseline)) * q.log_prob(z) + model.architecture.beta * kl
    return ((nll + model.architecture.beta * kl).mean(),
            model.gradients(surrogate.mean(), "encoder") | model.gradients(nll.mean(), "decoder"))


def log_weights(model, x, eps, c, with_score):
    """log p(x|z) + log p(z) - log q(z|x); without the score, q's own parameters are constants."""
    mean, factor = model.posterior_parameters(x, c)
    z = drawn(mean, factor, eps)
    q = normal(mean, factor) if with_score else normal(mean.detach(), factor.detach())
    return log_prior(z) - model.nll(z, x, c) - q.log_prob(z)


def iwae(model, x, eps, c):
    """-log of the mean weight."""
    eps = eps.reshape(-1, *eps.shape[-2:])
    loss = -(torch.logsumexp(log_weights(model, x, eps, c, True), dim=0) - math.log(len(eps))).mean()
    return loss, model.gradients(loss)


def sticking_the_landing(model, x, eps, c):
    loss = -log_weights(model, x, eps, c, False).mean()
    return loss, model.gradients(loss)


def dreg(model, x, eps, c):
    """For the encoder the square of each normalised weight, and no score."""
    eps = eps.reshape(-1, *eps.shape[-2:])
    log_w = log_weights(model, x, eps, c, False)
    bound = -(torch.logsumexp(log_w, dim=0) - math.log(len(eps))).mean()
    surrogate = -(torch.softmax(log_w, dim=0).detach()**2 * log_w).sum(dim=0).mean()
    return bound, model.gradients(surrogate, "encoder") | model.gradients(bound, "decoder")


def autoencoder(model, x, eps, c):
    loss = model.nll(model.encoder(x, c), x, c).mean()
    return loss, model.gradients(loss)


def batch(told, x, eps=None, labels=None):
    """x, eps and the labels, one-hot or None, as tensors; an autoencoder has no eps."""
    n_classes = told.get("n_classes")
    c = None if n_classes is None else F.one_hot(torch.tensor(labels), n_classes).double()
    return torch.tensor(x), None if eps is None else torch.tensor(eps), c
