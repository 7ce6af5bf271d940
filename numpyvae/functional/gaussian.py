"""The two places where a VAE meets the Gaussian: the reparameterization trick and the Kullback-Leibler term.

`logvar` is log sigma^2, always.
"""
from __future__ import annotations

import numpy as np

from .. import kernels
from ..twin import twin


@twin(kernels.gaussian.reparameterize, wrt=("mu", "logvar"), mu="B Z", logvar="B Z", eps="B Z")
def reparameterize(mu: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """A draw from N(mu, diag exp(logvar)), made from noise that was drawn before: z = mu + sigma * eps.

    mu, logvar, eps : (B, Z), eps drawn from N(0, I)  ->  z : (B, Z)

    logvar = log sigma^2, so sigma = sqrt(exp(logvar)) = exp(logvar / 2).  With eps ~ N(0, I), z has mean mu and
    variance sigma^2, and is a smooth function of mu and logvar while eps stands still: that lets a gradient
    pass the draw.                              [Kingma & Welling 2013, section 2.4; lesson 6]
    """
    return mu + np.exp(0.5 * logvar) * eps


@twin(kernels.gaussian.reparameterize_backward, dz="B Z", logvar="B Z", eps="B Z")
def reparameterize_backward(dz: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients for mu and logvar, given the gradient for z and the *same* eps.

    dz, logvar, eps : (B, Z)  ->  dmu, dlogvar : (B, Z)

    z = mu + exp(logvar / 2) eps, so

    dz/dmu = 1          dz/dlogvar = 1/2 exp(logvar / 2) eps
    """
    return dz.copy(), dz * eps * np.exp(0.5 * logvar) * 0.5


@twin(kernels.gaussian.gaussian_kl, mu="B Z", logvar="B Z")
def gaussian_kl(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """KL( N(mu, diag exp(logvar)) || N(0, I) ), in nats.

    mu, logvar : (B, Z)  ->  (B,)

    In one dimension, with z ~ N(mu, sigma^2):

    KL = E[ log N(z; mu, sigma^2) - log N(z; 0, 1) ]
       = E[ -1/2 log sigma^2 - (z - mu)^2 / (2 sigma^2) + z^2 / 2 ]      (the terms log 2 pi cancel)
       = -1/2 log sigma^2 - 1/2 + (mu^2 + sigma^2) / 2                   (E z^2 = mu^2 + sigma^2)
       = 1/2 ( sigma^2 + mu^2 - 1 - log sigma^2 ),

    and independent dimensions add.             [Kingma & Welling 2013, appendix B; lesson 5]
    """
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1.0 - logvar, axis=1)


@twin(kernels.gaussian.gaussian_kl_backward, dkl="B", mu="B Z", logvar="B Z")
def gaussian_kl_backward(dkl: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients for mu and logvar, given the gradient for each row's KL.

    dkl : (B,); mu, logvar : (B, Z)  ->  dmu, dlogvar : (B, Z)

    dKL/dmu = mu          dKL/dlogvar = 1/2 (exp(logvar) - 1)
    """
    dkl = dkl[:, None]
    return dkl * mu, dkl * 0.5 * (np.exp(logvar) - 1.0)
