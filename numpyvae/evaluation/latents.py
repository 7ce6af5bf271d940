"""What a VAE does with its latent dimensions."""
from __future__ import annotations

import numpy as np

from ..arguments import checked
from ..functional.gaussian import gaussian_kl_of_dimensions
from ..models.vae import VAE
from ..training.batches import Pixels, drawn_once

Array = np.ndarray
ROWS_AT_ONCE = 1000
ACTIVE = 0.01    # variance of the means above which a dimension counts as used [Burda et al. 2016, section 5]


@checked(images="numbers: ...", labels="any: ...")
def encode_all(vae: VAE, images: Array, *, rng: np.random.Generator, binarize: str = "none",
               labels: Array | None = None) -> tuple[Array, Array]:
    """mu and logvar of q(z|x) for every image, both (N, Z); arguments as in numpyvae.fit."""
    pixels = Pixels("images", images, vae, drawn_once(binarize), rng, labels)
    mus, logvars = zip(*[vae.encode(x, **given) for x, given in pixels.batches(ROWS_AT_ONCE)])
    return np.concatenate(mus), np.concatenate(logvars)


@checked(mu="N Z")
def active_units(mu: Array) -> Array:
    """Which latent dimensions the encoder uses: mu (N, Z) -> (Z,) of bool.

    A dimension is active if its mean moves from image to image, Var_x( E_q[z] ) > 0.01.
    [Burda et al. 2016, section 5]
    """
    return np.asarray(mu, float).var(axis=0) > ACTIVE


@checked(mu="N Z", logvar="N Z")
def kl_per_dimension(mu: Array, logvar: Array) -> Array:
    """The KL of each latent dimension to N(0, 1), averaged over the images, in nats: (N, Z) -> (Z,).

    Where it is near 0, the encoder leaves the dimension unused.  If q's dimensions are independent, as in a
    DiagonalGaussian, the sum is the rate, what q(z|x) tells about x: the negative ELBO is the rate plus the distortion,
    the mean nll.  The rate of a correlated q is higher than the sum.                              [Alemi et al. 2018]
    """
    mu, logvar = np.asarray(mu, float), np.asarray(logvar, float)
    return gaussian_kl_of_dimensions(mu, logvar).mean(axis=0)


@checked(mu="N Z", logvar="N Z")
def aggregate_moments(mu: Array, logvar: Array) -> tuple[Array, Array]:
    """Mean (Z,) and covariance (Z, Z) of the aggregate posterior, q(z) = mean over the images of q(z|x).

    By the law of total variance: the covariance of the means, plus the mean of the variances on the diagonal.  Where
    training succeeds, q(z) is near the prior, mean 0 and covariance I.
    """
    mu, logvar = np.asarray(mu, float), np.asarray(logvar, float)
    centred = mu - mu.mean(axis=0)
    return mu.mean(axis=0), centred.T @ centred / len(mu) + np.diag(np.exp(logvar).mean(axis=0))
