"""Where a VAE meets the Gaussian: the reparameterization trick, the Kullback-Leibler term, and the density itself.

`logvar` is log sigma^2, always.
"""
from __future__ import annotations

import numpy as np

from .. import kernels
from ..kernels.gaussian import HALF_LOG_2_PI
from ..twin import twin


@twin(kernels.gaussian.reparameterize, wrt=("mu", "logvar"), mu="B Z", logvar="B Z", eps="B Z")
def reparameterize(mu: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """A draw from N(mu, diag exp(logvar)), made from noise drawn beforehand: z = mu + sigma * eps.

    mu, logvar, eps : (B, Z), eps drawn from N(0, I)  ->  z : (B, Z)

    logvar = log sigma^2, so sigma = sqrt(exp(logvar)) = exp(logvar / 2).  With eps ~ N(0, I), z has mean mu and
    variance sigma^2, and for fixed eps it is a smooth function of mu and logvar: that lets a gradient
    pass through the draw.                      [Kingma & Welling 2013, section 2.4; lesson 6, eq. 6.4]
    """
    return mu + np.exp(0.5 * logvar) * eps


@twin(kernels.gaussian.reparameterize_backward, dz="B Z", logvar="B Z", eps="B Z")
def reparameterize_backward(dz: np.ndarray, logvar: np.ndarray, eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients for mu and logvar, given the gradient for z and the *same* eps.

    dz, logvar, eps : (B, Z)  ->  dmu, dlogvar : (B, Z)

    z = mu + exp(logvar / 2) eps, so

    dz/dmu = 1          dz/dlogvar = 1/2 exp(logvar / 2) eps                            [lesson 6, eq. 6.5]
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

    and independent dimensions add.             [Kingma & Welling 2013, appendix B; lesson 5, eq. 5.4]
    """
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1.0 - logvar, axis=1)


@twin(kernels.gaussian.gaussian_kl_backward, dkl="B", mu="B Z", logvar="B Z")
def gaussian_kl_backward(dkl: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients for mu and logvar, given the gradient for each row's KL.

    dkl : (B,); mu, logvar : (B, Z)  ->  dmu, dlogvar : (B, Z)

    dKL/dmu = mu          dKL/dlogvar = 1/2 (exp(logvar) - 1)                           [lesson 5, eq. 5.5]
    """
    dkl = dkl[:, None]
    return dkl * mu, dkl * 0.5 * (np.exp(logvar) - 1.0)


@twin(None, mu="B Z", logvar="B Z")
def gaussian_kl_of_dimensions(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """The KL of gaussian_kl for each dimension separately, before they are summed: (B, Z), in nats."""
    column = (mu.size, 1)    # each (b, j) a row of its own
    return gaussian_kl(mu.reshape(column), logvar.reshape(column)).reshape(mu.shape)


@twin(None, dkl="B Z", mu="B Z", logvar="B Z")
def gaussian_kl_of_dimensions_backward(dkl: np.ndarray, mu: np.ndarray,
                                       logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients for mu and logvar, given the gradient for each dimension's KL: dkl, mu, logvar (B, Z)."""
    column = (mu.size, 1)
    dmu, dlogvar = gaussian_kl_backward(dkl.ravel(), mu.reshape(column), logvar.reshape(column))
    return dmu.reshape(mu.shape), dlogvar.reshape(mu.shape)


@twin(kernels.gaussian.gaussian_log_density, z="B Z", mu="B Z", logvar="B Z")
def gaussian_log_density(z: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """log N(z; mu, diag exp(logvar)) of each row, in nats.

    z, mu, logvar : (B, Z)  ->  (B,)

    In one dimension the density is exp(-(z - mu)^2 / (2 sigma^2)) / (sigma sqrt(2 pi)), so with log sigma = logvar / 2

    log N = -1/2 ( (z - mu)^2 exp(-logvar) + logvar + log(2 pi) )

    and independent dimensions add up.
    """
    return -np.sum(0.5 * ((z - mu) ** 2 * np.exp(-logvar) + logvar) + HALF_LOG_2_PI, axis=1)


@twin(kernels.gaussian.gaussian_log_density_backward, dlog="B", z="B Z", mu="B Z", logvar="B Z")
def gaussian_log_density_backward(dlog: np.ndarray, z: np.ndarray, mu: np.ndarray,
                                  logvar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients for z, mu and logvar, given the gradient for each row's log density.

    dlog : (B,); z, mu, logvar : (B, Z)  ->  dz, dmu, dlogvar : (B, Z)

    With the residual r = (z - mu) exp(-logvar):

    d/dz = -r          d/dmu = r          d/dlogvar = 1/2 ( (z - mu) r - 1 )

    The last two are the score of q, on which the score-function estimator rests.            [lesson 6, eq. 6.3]
    """
    dlog = dlog[:, None]
    r = (z - mu) * np.exp(-logvar)
    dmu = dlog * r
    return -dmu, dmu, dlog * 0.5 * ((z - mu) * r - 1.0)
