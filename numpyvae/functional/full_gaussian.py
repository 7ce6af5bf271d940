"""A Gaussian with full covariance, given by its Cholesky factor: it has the correlations that a diagonal q lacks.

N(mu, L L^T) with L lower triangular.  L's diagonal is exp(logvar / 2), so it is positive; the entries below it are
those of `lower` (B, Z, Z), whose other entries are ignored.  With lower = 0 it is the diagonal Gaussian.
"""
from __future__ import annotations

import numpy as np

from ..kernels.gaussian import HALF_LOG_2_PI
from ..twin import twin
from .gaussian import gaussian_kl, gaussian_kl_backward

Array = np.ndarray


@twin(None, wrt=("mu", "logvar", "lower"), mu="B Z", logvar="B Z", lower="B Z Z", eps="B Z")
def full_reparameterize(mu: Array, logvar: Array, lower: Array, eps: Array) -> Array:
    """A draw from N(mu, L L^T), made from noise drawn beforehand:  z = mu + L eps.

    mu, logvar, eps : (B, Z), lower : (B, Z, Z)  ->  z : (B, Z)

    E[z] = mu, and the covariance of L eps is L E[eps eps^T] L^T = L L^T.  Entry by entry

    z_i = mu_i + exp(logvar_i / 2) eps_i + sum_{j < i} L_ij eps_j                [Kingma & Welling 2019, section 2.5.1]
    """
    return mu + np.exp(0.5 * logvar) * eps + (np.tril(lower, -1) @ eps[:, :, None])[:, :, 0]


@twin(None, dz="B Z", logvar="B Z", eps="B Z")
def full_reparameterize_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array, Array]:
    """Gradients for mu, logvar and lower, given the gradient for z and the same eps.

    dz_i/dmu_i = 1          dz_i/dlogvar_i = 1/2 exp(logvar_i / 2) eps_i          dz_i/dL_ij = eps_j for j < i
    """
    return dz.copy(), dz * eps * np.exp(0.5 * logvar) * 0.5, np.tril(dz[:, :, None] * eps[:, None, :], -1)


@twin(None, mu="B Z", logvar="B Z", lower="B Z Z")
def full_gaussian_kl(mu: Array, logvar: Array, lower: Array) -> Array:
    """KL( N(mu, L L^T) || N(0, I) ), in nats:  (B,).

    KL = 1/2 ( tr(L L^T) + |mu|^2 - Z - log det(L L^T) ).

    tr(L L^T) is the sum of all squares in L, sum_i exp(logvar_i) + sum_{j < i} L_ij^2; and the determinant of a
    triangular matrix is the product of its diagonal, so log det(L L^T) = 2 sum_i log L_ii = sum_i logvar_i.  That is
    the KL of the diagonal Gaussian plus one term:

    KL = 1/2 sum_i ( exp(logvar_i) + mu_i^2 - 1 - logvar_i ) + 1/2 sum_{j < i} L_ij^2
    """
    return gaussian_kl(mu, logvar) + 0.5 * np.sum(np.tril(lower, -1) ** 2, axis=(1, 2))


@twin(None, dkl="B", mu="B Z", logvar="B Z", lower="B Z Z")
def full_gaussian_kl_backward(dkl: Array, mu: Array, logvar: Array, lower: Array) -> tuple[Array, Array, Array]:
    """Gradients for mu, logvar and lower:  those of gaussian_kl, and dKL/dL_ij = L_ij for j < i."""
    dmu, dlogvar = gaussian_kl_backward(dkl, mu, logvar)
    return dmu, dlogvar, dkl[:, None, None] * np.tril(lower, -1)


@twin(None, z="B Z", mu="B Z", logvar="B Z", lower="B Z Z")
def full_gaussian_log_density(z: Array, mu: Array, logvar: Array, lower: Array) -> Array:
    """log N(z; mu, L L^T) of each row, in nats:  (B,).

    With the noise e = L^-1 (z - mu) that would have given z, and det(L L^T) = prod exp(logvar_i):

    log N = -1/2 ( |e|^2 + sum_i logvar_i + Z log(2 pi) )
    """
    noise = _noise_behind(z, mu, logvar, lower)
    return -np.sum(0.5 * (noise**2 + logvar) + HALF_LOG_2_PI, axis=1)


@twin(None, dlog="B", z="B Z", mu="B Z", logvar="B Z", lower="B Z Z")
def full_gaussian_log_density_backward(dlog: Array, z: Array, mu: Array, logvar: Array,
                                       lower: Array) -> tuple[Array, Array, Array, Array]:
    """Gradients for z, mu, logvar and lower, given the gradient for each row's log density.

    e = L^-1 (z - mu), so de = L^-1 (dz - dmu) - L^-1 dL e.  With g = L^-T e, d(-1/2 |e|^2) = -e^T de is

    -g^T (dz - dmu) + g^T dL e,      i.e.      d/dz = -g      d/dmu = g      d/dL_ij = g_i e_j

    and, as L_ii = exp(logvar_i / 2),      d/dlogvar_i = 1/2 ( L_ii g_i e_i - 1 )
    """
    noise = _noise_behind(z, mu, logvar, lower)
    g = _solve_transposed(_cholesky_factor(logvar, lower), noise)
    dlogvar = 0.5 * (np.exp(0.5 * logvar) * g * noise - 1.0)
    dlower = np.tril(g[:, :, None] * noise[:, None, :], -1)
    dlog = dlog[:, None]
    return -dlog * g, dlog * g, dlog * dlogvar, dlog[:, :, None] * dlower


def _cholesky_factor(logvar: Array, lower: Array) -> Array:
    return np.tril(lower, -1) + np.exp(0.5 * logvar)[:, :, None] * np.eye(logvar.shape[1], dtype=logvar.dtype)


def _noise_behind(z: Array, mu: Array, logvar: Array, lower: Array) -> Array:
    """e = L^-1 (z - mu), by forward substitution: (B, Z)."""
    L, noise = _cholesky_factor(logvar, lower), np.empty_like(z + mu)
    for i in range(noise.shape[1]):
        noise[:, i] = (z[:, i] - mu[:, i] - np.sum(L[:, i, :i] * noise[:, :i], axis=1)) / L[:, i, i]
    return noise


def _solve_transposed(L: Array, e: Array) -> Array:
    """g = L^-T e, by back substitution: (B, Z)."""
    g = np.empty_like(L[:, 0] * e)
    for i in reversed(range(g.shape[1])):
        g[:, i] = (e[:, i] - np.sum(L[:, i + 1:, i] * g[:, i + 1:], axis=1)) / L[:, i, i]
    return g
