"""Quadrature: the integral over z as a sum over a grid.

With one or two latent dimensions this is feasible:

    p(x) = int p(x|z) p(z) dz  ~  sum_n p(x|z_n) w_n,          w_n = p(z_n) h^Z

with h the distance between grid points.  For a smooth integrand that has died away at the edges this plain sum
converges faster than any power of h (Trefethen & Weideman 2014), so a hundred points per dimension give
full precision.                                                                             [lesson 3, eq. 3.4]
"""
from __future__ import annotations

import itertools

import numpy as np

from ..arguments import AT_LEAST_2, POSITIVE, WHOLE, checked, shown
from ..functional.gaussian import gaussian_log_density
from ..models.priors import StandardNormal
from ..models.vae import VAE

Array = np.ndarray

MAX_DIMENSIONS = 2
ROWS_AT_ONCE = 2000    # grid points whose decoded images are in memory together


@checked(n_latent=WHOLE, points=AT_LEAST_2, reach=POSITIVE)
def latent_grid(n_latent: int, points: int = 200, reach: float = 6.0) -> tuple[Array, Array]:
    """A square grid from -reach to reach and the logarithms of its weights: z (N, Z), log_w (N,), N = points^Z.

    The weights include the prior N(0, I): exp(log_w) sums to 1 except for what lies beyond reach, 2e-9 for 6.

    Raises ValueError for more than two dimensions, where a grid grows too large.
    """
    if not 1 <= n_latent <= MAX_DIMENSIONS:
        raise ValueError(f"n_latent is {n_latent}; expected 1 or 2: a grid over more dimensions is too large, "
                         "so use importance sampling")
    axis, h = np.linspace(-reach, reach, points, retstep=True)
    z = np.array(list(itertools.product(axis, repeat=n_latent)))
    zero = np.zeros_like(z)
    return z, gaussian_log_density(z, zero, zero) + n_latent * np.log(h)


@checked(x="B D", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def log_joint(vae: VAE, x: Array, points: int = 200, reach: float = 6.0,
              labels: Array | None = None) -> tuple[Array, Array]:
    """log p(x|z_n) + log w_n for every image and every grid point: z (N, Z) -> (B, N), in nats.

    labels : (B,), or one for all, where the VAE has classes

    Raises ValueError where the prior is not N(0, I).
    """
    if type(vae.prior) is not StandardNormal:
        raise ValueError(f"vae has the prior {shown(vae.prior)}; expected StandardNormal, for which the grid is made")
    z, log_w = latent_grid(vae.n_latent, points, reach)
    x = vae.check_data(x)
    c = vae.one_hot(labels, len(x))
    # Images of the same class share the decoder's outputs.
    classes = [(None, range(len(x)))] if c is None else [
        (row, np.flatnonzero((c == row).all(axis=1))) for row in np.unique(c, axis=0)]
    log_px_given_z = np.empty((len(x), len(z)))
    for start in range(0, len(z), ROWS_AT_ONCE):
        some = z[start:start + ROWS_AT_ONCE].astype(vae.dtype)
        for row, images in classes:
            theta = vae.generate(some, None if row is None else np.tile(row, (len(some), 1))).copy()
            for b in images:
                rows = np.ascontiguousarray(np.broadcast_to(x[b], (len(theta), x.shape[1])))
                log_px_given_z[b, start:start + len(theta)] = -vae.likelihood.nll(theta, rows)
    return z, log_px_given_z + log_w


@checked(x="B D", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def log_likelihood(vae: VAE, x: Array, points: int = 200, reach: float = 6.0, labels: Array | None = None) -> Array:
    """log p(x) of each image by quadrature over the latent grid, in nats: x (B, D) -> (B,)."""
    return log_sum_exp(log_joint(vae, x, points, reach, labels)[1])


@checked(x="B D", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def posterior(vae: VAE, x: Array, points: int = 200, reach: float = 6.0,
              labels: Array | None = None) -> tuple[Array, Array]:
    """p(z|x) on the latent grid: z (N, Z), and the probability of each grid point, rows that sum to 1, (B, N).

    p(z|x) = p(x|z) p(z) / p(x), by Bayes' rule.                                                 [lesson 4, eq. 4.1]
    """
    z, joint = log_joint(vae, x, points, reach, labels)
    return z, np.exp(joint - log_sum_exp(joint)[:, None])


@checked(a="numbers: ...")
def log_sum_exp(a: Array) -> Array:
    """log of the sum of exp(a) over the last axis; factoring out the largest avoids overflow: (B, N) -> (B,).

    [lesson 3, eq. 3.5]
    """
    a = np.atleast_1d(a if a.dtype.kind in "fc" else a.astype(float))
    top = a.max(axis=-1)
    return top + np.log(np.sum(np.exp(a - top[..., None]), axis=-1))
