"""p(z): what codes look like before any image has been seen."""
from __future__ import annotations

import numpy as np

from ..arguments import WHOLE, checked
from ..functional.gaussian import gaussian_log_density, gaussian_log_density_backward
from ..nn.buffers import Part

Array = np.ndarray


class StandardNormal(Part):
    """p(z) = N(0, I).

    Any other prior needs n_latent and `sample` too; and `log_density` with its backward where no closed form of the KL
    is known, and for log p(x).
    """

    @checked(n_latent=WHOLE)
    def __init__(self, n_latent: int):
        self.n_latent = n_latent

    def log_density(self, z: Array) -> Array:
        """log p(z) of each row, in nats: (B, Z) -> (B,)."""
        zero = np.zeros_like(z)
        return gaussian_log_density(z, zero, zero)

    def log_density_backward(self, dlog: Array, z: Array) -> Array:
        """The gradient for z, given the gradient for each row's log density: (B,), (B, Z) -> (B, Z)."""
        zero = np.zeros_like(z)
        return gaussian_log_density_backward(dlog, z, zero, zero)[0]

    def sample(self, n: int, rng: np.random.Generator, dtype: np.dtype) -> Array:
        """n codes: (n, Z)."""
        return rng.standard_normal((n, self.n_latent), dtype=dtype)    # type: ignore[arg-type]
