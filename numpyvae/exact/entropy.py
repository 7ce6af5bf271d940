"""Entropies: the loss that no model can beat.

For any model q of data from p,  E_p[-log q(x)] = H(p) + KL(p || q) >= H(p),  with equality only for q = p.  So the
entropy H(p), where it is known, is the best attainable value to compare a loss with.
"""
from __future__ import annotations

import numpy as np

from ..arguments import POSITIVE, checked, shown

Array = np.ndarray
POINTS = 20_001


@checked(variance="...")
def gaussian_entropy(variance: float | Array) -> float:
    """The entropy of independent Gaussians with these variances, in nats:  sum of 1/2 log(2 pi e variance)."""
    variance = np.asarray(variance, float)
    if not (variance > 0).all():
        raise ValueError(f"variance is {shown(variance)}; expected numbers above 0")
    return float(np.sum(0.5 * np.log(2 * np.pi * np.e * variance)))


@checked(means="K", sigma=POSITIVE, weights="K")
def mixture_entropy(means: Array, sigma: float, weights: Array | None = None) -> float:
    """The entropy of a mixture of one-dimensional Gaussians with the same sigma, in nats, by quadrature: means (K,).

    There is no closed form.  It lies between the Gaussians' own entropy (all means equal) and that plus
    log K (K equal parts, so far apart that x tells which part it comes from).
    """
    means = np.asarray(means, float)
    if means.ndim != 1 or len(means) == 0 or not 0 < sigma < np.inf:
        raise ValueError(f"means has shape {means.shape} and sigma is {sigma!r}; expected (K,) and a number above 0")
    weights = np.full(len(means), 1 / len(means)) if weights is None else np.asarray(weights, float)
    x, h = np.linspace(means.min() - 12 * sigma, means.max() + 12 * sigma, POINTS, retstep=True)
    density = np.exp(-0.5 * ((x[:, None] - means) / sigma)**2) @ weights / (sigma * np.sqrt(2 * np.pi))
    there = density > 0
    return float(-np.sum(density[there] * np.log(density[there])) * h)
