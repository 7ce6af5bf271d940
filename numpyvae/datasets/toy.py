"""Densities so simple that the best attainable loss is known."""
from __future__ import annotations

import numpy as np

from ..arguments import POSITIVE, WHOLE, checked


@checked(n=WHOLE, sigma=POSITIVE)
def two_gaussians(n: int, sigma: float = 0.25, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n numbers, each from N(-1, sigma^2) or N(1, sigma^2) by coin flip: x (n, 1), and the component, 0 or 1, (n,).

    Posterior collapse on purpose.  A Gaussian VAE whose decoder has the components' sigma must use its code to say
    which component a number comes from.  One whose decoder has the mixture's, sqrt(1 + sigma^2), needs no code: for a
    linear decoder a dimension is worth its cost only if its variance is above sigma^2.  Their attainable losses are
    exact.mixture_entropy([-1, 1], sigma) and exact.gaussian_entropy(1 + sigma^2).            [lesson 10]

    Raises ValueError for n below 1 or a sigma that is not above 0, TypeError for an rng that is not a Generator.
    """
    part = rng.integers(0, 2, n)
    return (2.0 * part - 1 + sigma * rng.standard_normal(n))[:, None], part
