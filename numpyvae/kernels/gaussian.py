"""Loops for functional/gaussian.py, where the formulas are derived."""
import numpy as np

from .exponential import exp


def reparameterize(mu, logvar, eps):
    """mu + np.exp(logvar / 2) * eps, without an array for the exponential.

    Per element: 12 bytes read, 4 written, one exp, 3 operations.
    """
    z = np.empty_like(mu)
    half = mu.dtype.type(0.5)
    for b in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            z[b, j] = mu[b, j] + exp(half * logvar[b, j]) * eps[b, j]
    return z


def reparameterize_backward(dz, logvar, eps):
    """dz, dz * eps * np.exp(logvar / 2) / 2."""
    dmu = np.empty_like(dz)
    dlogvar = np.empty_like(dz)
    half = dz.dtype.type(0.5)
    for b in range(dz.shape[0]):
        for j in range(dz.shape[1]):
            dmu[b, j] = dz[b, j]
            dlogvar[b, j] = dz[b, j] * eps[b, j] * exp(half * logvar[b, j]) * half
    return dmu, dlogvar


def gaussian_kl(mu, logvar):
    """0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)."""
    kl = np.empty(mu.shape[0], mu.dtype)
    half, one = mu.dtype.type(0.5), mu.dtype.type(1)
    for b in range(mu.shape[0]):
        total = mu.dtype.type(0)
        for j in range(mu.shape[1]):
            total += exp(logvar[b, j]) + mu[b, j] * mu[b, j] - one - logvar[b, j]
        kl[b] = half * total
    return kl


def gaussian_kl_backward(dkl, mu, logvar):
    """dkl * mu, dkl * (np.exp(logvar) - 1) / 2, with dkl as a column."""
    dmu = np.empty_like(mu)
    dlogvar = np.empty_like(mu)
    half, one = mu.dtype.type(0.5), mu.dtype.type(1)
    for b in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            dmu[b, j] = dkl[b] * mu[b, j]
            dlogvar[b, j] = dkl[b] * half * (exp(logvar[b, j]) - one)
    return dmu, dlogvar
