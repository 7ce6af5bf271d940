"""Entropies: the loss that no model can beat.

For any model q of data from p,  E_p[-log q(x)] = H(p) + KL(p || q) >= H(p),  with equality only for q = p.  So the
entropy H(p), where it is known, is the best attainable value to compare a loss with.
"""
from __future__ import annotations

import math

import numpy as np

from ..arguments import POSITIVE, checked, shown
from .quadrature import log_sum_exp

Array = np.ndarray
REACH, POINTS = 12, 1201    # standard deviations to either side of each mean, and points there


@checked(variance="...")
def gaussian_entropy(variance: float | Array) -> float:
    """The entropy of independent Gaussians with these variances, in nats:  sum of 1/2 log(2 pi e variance)."""
    if np.any(np.asarray(variance) <= 0):
        raise ValueError(f"variance is {shown(variance)}; expected numbers above 0")
    return float(np.sum(0.5 * np.log(2 * np.pi * math.e * variance)))


@checked(means="K", sigma=POSITIVE, weights="K")
def mixture_entropy(means: Array, sigma: float, weights: Array | None = None) -> float:
    """The entropy of a mixture of one-dimensional Gaussians with the same sigma, in nats, by quadrature: means (K,).

    There is no closed form.  It lies between the Gaussians' own entropy (all means equal) and that plus
    log K (K equal parts, so far apart that x tells which part it comes from).

    H = sum_k w_k E[-log p(m_k + sigma t)] with t ~ N(0, 1): each part is integrated where it lies, on a grid in t, so
    it does not matter how far apart the parts are, or where.

    weights : (K,) of the parts, at least 0, with the sum 1; all equal, if None
    """
    means = np.asarray(means, float)
    weights = np.full(len(means), 1 / len(means)) if weights is None else np.asarray(weights, float)
    if weights.min() < 0 or abs(weights.sum() - 1) > 1e-9:
        raise ValueError(f"weights has values from {weights.min():g} and the sum {weights.sum():g}; expected numbers "
                         "of at least 0 with the sum 1: divide them by their sum")
    means, weights = means[weights > 0], weights[weights > 0]
    t, h = np.linspace(-REACH, REACH, POINTS, retstep=True)
    density = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
    surprise = [-density @ log_sum_exp(np.log(weights) - 0.5 * (t[:, None] + (mean - means) / sigma)**2)
                for mean in means]
    return float(weights @ surprise * h + np.log(sigma) + 0.5 * np.log(2 * np.pi))
