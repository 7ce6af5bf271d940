"""Quadrature: the integral over z as a sum over a grid.

With one or two latent dimensions this is feasible:

    p(x) = int p(x|z) p(z) dz  ~  sum_n p(x|z_n) w_n,          w_n = p(z_n) h^Z

with h the distance between grid points.  For a smooth integrand that has died away at the edges this plain sum
converges faster than any power of h (Trefethen & Weideman 2014), so a hundred points per dimension give
full precision.                                                                             [lesson 3, eq. 3.4]

How near is near?  A small sigma makes p(x|z) a narrow peak that falls between the points, and an unusual x is explained
by a z that no grid reaches.  So `log_likelihood` and `posterior` look at what they summed, and go on with a finer or a
wider grid until it no longer matters, or say that they cannot:

    too coarse : every second point, with twice the h per dimension, is a grid too, and every third; the sums differ.
                 (Every second alone would miss a peak half way between two points: the full grid sees both of them, the
                 coarse one sees one with twice the weight, and the sums agree)
    too small  : the points at the edge have a share in the sum
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
MOST_POINTS = 2**18    # of a grid: 262,144, or 512 x 512
TOLERANCE = 1e-3       # nats by which log p(x) may change if every second point is left out,
OF_THIRDS = 0.1        # and if two of three are
AT_THE_EDGE = 1e-7     # share of p(x)
LARGEST_REACH = 1e4


@checked(n_latent=WHOLE, points=AT_LEAST_2, reach=POSITIVE)
def latent_grid(n_latent: int, points: int = 200, reach: float = 6.0) -> tuple[Array, Array]:
    """A square grid from -reach to reach and the logarithms of its weights: z (N, Z), log_w (N,), N = points^Z.

    The weights include the prior N(0, I): exp(log_w) sums to 1 except for what lies beyond reach, 2e-9 per dimension
    for 6, if the points are less than 0.9 apart.

    Raises ValueError for more than two dimensions, where a grid grows too large.
    """
    if n_latent > MAX_DIMENSIONS:
        raise ValueError(f"n_latent is {n_latent}; expected 1 or 2: a grid over more dimensions is too large, "
                         "so use importance sampling")
    axis, h = np.linspace(-reach, reach, points, retstep=True)
    z = np.array(list(itertools.product(axis, repeat=n_latent)))
    zero = np.zeros_like(z)
    return z, gaussian_log_density(z, zero, zero) + n_latent * np.log(h)


@checked(x="...", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def log_joint(vae: VAE, x: Array, points: int = 200, reach: float = 6.0,
              labels: Array | None = None) -> tuple[Array, Array]:
    """log p(x|z_n) + log w_n for every image and every point of this grid: z (N, Z) -> (B, N), in nats, in float64.

    labels : (B,), or one for all, where the VAE has classes

    Whether the grid is fine and wide enough for these images is for the caller to see to; `log_likelihood` and
    `posterior` do.

    Raises ValueError where the prior is not N(0, I).
    """
    if type(vae.prior) is not StandardNormal:
        raise ValueError(f"vae has the prior {shown(vae.prior)}; expected StandardNormal, for which the grid is made")
    z, log_w = latent_grid(vae.n_latent, points, reach)
    vae = vae.astype(np.float64)    # a sum over many pixels leaves few digits in float32
    x = vae.check_data(x)
    c = vae.one_hot(labels, len(x))
    # Images of the same class share the decoder's outputs.
    classes = [(None, range(len(x)))] if c is None else [
        (row, np.flatnonzero((c == row).all(axis=1))) for row in np.unique(c, axis=0)]
    log_px_given_z = np.empty((len(x), len(z)))
    for start in range(0, len(z), ROWS_AT_ONCE):
        some = z[start:start + ROWS_AT_ONCE]
        for row, images in classes:
            theta = vae.generate(some, None if row is None else np.tile(row, (len(some), 1))).copy()
            for b in images:
                rows = np.ascontiguousarray(np.broadcast_to(x[b], (len(theta), x.shape[1])))
                log_px_given_z[b, start:start + len(theta)] = -vae.likelihood.nll(theta, rows)
    return z, log_px_given_z + log_w


@checked(x="...", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def log_likelihood(vae: VAE, x: Array, points: int = 200, reach: float = 6.0, labels: Array | None = None) -> Array:
    """log p(x) of each image by quadrature over the latent grid, in nats: x (B, D) -> (B,).

    points, reach : of the first grid; each image gets a finer or a wider one where it needs it.  The error is at most
                    1e-3 nats where the decoder has kinks, as with relu: half the h leaves a quarter of it.  Where the
                    decoder is smooth, the error of a grid whose half is right to 1e-3 is near rounding

    Raises ValueError where no grid of at most 262,144 points will do.
    """
    vae = vae.astype(np.float64)    # now, so that the images are looked at all together
    x = vae.check_data(x)
    found = np.empty(len(x))
    labels = vae.check_labels(labels, len(found))
    todo = [(np.arange(len(x)), points, reach)]    # images, and the grid that is to be tried for them
    while todo:
        images, points, reach = todo.pop()
        _, joint = log_joint(vae, x[images], points, reach, None if labels is None else labels[images])
        found[images] = log_sum_exp(joint)
        fault = _faults(joint, points, vae.n_latent)
        for what in (COARSE, SMALL):
            if (fault == what).any():
                todo.append((images[fault == what], *_better(what, points, reach, vae.n_latent, images[fault == what])))
    return found


@checked(x="...", points=AT_LEAST_2, reach=POSITIVE, labels="any: ...")
def posterior(vae: VAE, x: Array, points: int = 200, reach: float = 6.0,
              labels: Array | None = None) -> tuple[Array, Array]:
    """p(z|x) on the latent grid: z (N, Z), and the probability of each grid point, rows that sum to 1, (B, N).

    p(z|x) = p(x|z) p(z) / p(x), by Bayes' rule.                                                 [lesson 4, eq. 4.1]

    points, reach : of the first grid; a finer or a wider one is returned where an image needs it

    Raises ValueError where no grid of at most 262,144 points will do for all the images.
    """
    z, joint = _fine_joint(vae, x, points, reach, labels)
    return z, np.exp(joint - log_sum_exp(joint)[:, None])


FINE, COARSE, SMALL = 1, 2, 3    # the worse, the larger


def _fine_joint(vae: VAE, x: Array, points: int, reach: float, labels: Array | None) -> tuple[Array, Array]:
    """log_joint on the first grid that will do for all the images."""
    while True:
        z, joint = log_joint(vae, x, points, reach, labels)
        fault = _faults(joint, points, vae.n_latent)
        worst = fault.max()
        if worst == FINE:
            return z, joint
        points, reach = _better(worst, points, reach, vae.n_latent, np.flatnonzero(fault == worst))


def _faults(joint: Array, points: int, n_latent: int) -> Array:
    """What is wrong with a grid for each image: joint (B, points^Z) -> (B,) of FINE, COARSE, SMALL."""
    on_axes = joint.reshape(-1, *[points] * n_latent)
    log_p = log_sum_exp(joint)
    edge = np.zeros(on_axes.shape[1:], bool)
    for axis in range(n_latent):
        np.moveaxis(edge, axis, 0)[[0, -1]] = True
    fine = np.ones(len(joint), bool)
    with np.errstate(invalid="ignore"):    # -inf - -inf: an image that no point explains may need a wider grid
        for step, tolerance in ((2, TOLERANCE), (3, OF_THIRDS)):
            some = on_axes[(slice(None), *[slice(None, None, step)] * n_latent)].reshape(len(joint), -1)
            fine &= np.abs(log_sum_exp(some) + n_latent * np.log(step) - log_p) < tolerance
        small = ~(log_sum_exp(joint[:, edge.ravel()]) - log_p < np.log(AT_THE_EDGE))
    return np.where(small, SMALL, np.where(fine, FINE, COARSE))


def _better(fault: int, points: int, reach: float, n_latent: int, images: Array) -> tuple[int, float]:
    """The next grid, wider or finer; raises ValueError where that goes too far."""
    most = round(MOST_POINTS ** (1 / n_latent))
    if fault == SMALL and reach < LARGEST_REACH:
        return points, 1.5 * reach
    if fault == COARSE and points < most:
        return min(2 * points, most), reach
    why = (f"takes a z beyond a reach of {reach:.3g}, as far as {points} points tell" if fault == SMALL else
           f"has a posterior too narrow for {points**n_latent:,} points within a reach of {reach:.3g}")
    raise ValueError(f"log p(x) of image {images[0]} is not known to {TOLERANCE:g} nats: it {why}; expected a larger "
                     "sigma, or an x more like the data: or use importance sampling, evaluation.log_likelihood")


@checked(a="numbers: ...")
def log_sum_exp(a: Array) -> Array:
    """log of the sum of exp(a) over the last axis; factoring out the largest avoids overflow: (B, N) -> (B,).

    -inf where every a is, infinity where one is.                                              [lesson 3, eq. 3.5]
    """
    a = a if a.dtype.kind in "fc" else a.astype(float)
    top = a.max(axis=-1)
    top = np.where(np.isfinite(top), top, 0)    # inf - inf would be NaN
    with np.errstate(divide="ignore"):    # log 0 is right here
        return top + np.log(np.sum(np.exp(a - top[..., None]), axis=-1))


@checked(a="numbers: ...")
def log_mean_exp(a: Array) -> Array:
    """log of the mean of exp(a) over the last axis: (B, K) -> (B,).

    Of the logarithms of importance weights this is the estimate of log p(x); a mean is a sum over K, so

        log 1/K sum_k exp(a_k) = log sum_k exp(a_k) - log K                                     [lesson 8, eq. 8.3]
    """
    return log_sum_exp(a) - np.log(np.atleast_1d(a).shape[-1])
