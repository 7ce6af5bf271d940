"""Student's t distribution: pixels with outliers.                                       [Lange, Little & Taylor 1989]

Far from its mean a Gaussian's nll grows with the square of the distance, so a single broken pixel can outweigh a whole
picture.  Student's t has heavy tails: there its nll grows only logarithmically.
"""
from __future__ import annotations

import math

import numpy as np

from ..twin import twin

Array = np.ndarray
DEGREES = 4.0    # of freedom: fewer make the tails heavier, infinitely many give the Gaussian


@twin(None, wrt=("mean",), mean="B D", x="B D", sigma="positive number")
def student_t_nll(mean: Array, x: Array, sigma: float) -> Array:
    """-log p(x|z), each pixel Student's t around its mean with scale sigma and nu = 4 degrees of freedom.

    mean, x : (B, D)  ->  (B,)

    With r = (x - m) / sigma the density is  c (1 + r^2 / nu)^(-(nu + 1) / 2) / sigma,  so for one pixel

    -log p = (nu + 1) / 2 log(1 + r^2 / nu) + log sigma - log c,

    log c = log Gamma((nu + 1) / 2) - log Gamma(nu / 2) - 1/2 log(nu pi)
    """
    r = (x - mean) / sigma
    constant = math.log(sigma) - (math.lgamma((DEGREES + 1) / 2) - math.lgamma(DEGREES / 2)
                                  - 0.5 * math.log(DEGREES * math.pi))
    return np.sum(0.5 * (DEGREES + 1) * np.log1p(r**2 / DEGREES), axis=1) + mean.shape[1] * constant


@twin(None, dnll="B", mean="B D", x="B D", sigma="positive number")
def student_t_nll_backward(dnll: Array, mean: Array, x: Array, sigma: float) -> Array:
    """The gradient for the mean.

    d/dm [ (nu + 1) / 2 log(1 + r^2 / nu) ] = (nu + 1) r / (nu + r^2) dr/dm,          dr/dm = -1 / sigma
    """
    r = (x - mean) / sigma
    return dnll[:, None] * -(DEGREES + 1) * r / (DEGREES + r * r) / sigma


@twin(None, writes=("nll", "dmean"), dnll="B", mean="B D", x="B D", sigma="positive number", nll="B", dmean="B D")
def student_t_nll_and_grad(dnll: Array, mean: Array, x: Array, sigma: float,
                           nll: Array, dmean: Array) -> tuple[Array, Array]:
    """student_t_nll and student_t_nll_backward at once, written to nll and dmean."""
    nll[:] = student_t_nll.reference(mean, x, sigma)
    dmean[:] = student_t_nll_backward.reference(dnll, mean, x, sigma)
    return nll, dmean
