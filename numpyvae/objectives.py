"""Other ways to a gradient of the same loss.

The score-function estimator ("REINFORCE") needs no derivative of the decoder for the encoder's sake:

    d/dphi E_q[f(z)] = int f(z) dq(z)/dphi dz = E_q[ f(z) d log q(z) / dphi ],

for any f, because dq = q d log q.  A number c that does not depend on z may be taken from f (a "baseline"):
E_q[d log q] = d/dphi int q = 0.  It changes the variance, not the mean.
[Williams 1992; Mnih & Gregor 2014; lesson 6, eq. 6.2]
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .functional.gaussian import gaussian_kl, gaussian_kl_backward, gaussian_log_density_backward, reparameterize
from .model import LossTerms

Array = np.ndarray


def score_function(vae: Any, x: Array, eps: Array, baseline: Array | float = 0.0) -> LossTerms:
    """The loss of a batch, and the score-function estimate of its gradient in `vae.parameters.grads`.

    x : (B, D), eps : (B, Z), as in VAE.loss_and_grad; baseline : a number, or one for each image (B,), in nats

    The decoder's gradient is the ordinary one.  The encoder's comes from nll times the score of q(z|x), and, as ever,
    from the KL, which is known in closed form.
    """
    x, eps = vae.check_pair(x, eps)
    # forward, as in VAE.loss_and_grad
    h      = vae.encoder.forward(x)                                             # (B, H)
    mu     = vae.mu_head.forward(h)                                             # (B, Z)
    logvar = vae.logvar_head.forward(h)                                         # (B, Z)
    z      = reparameterize(mu, logvar, eps)                                    # (B, Z) only a draw here: no gradient
    theta  = vae.decoder.forward(z)                                             # (B, D)
    dnll   = np.full(len(x), 1 / len(x), x.dtype)                               # (B,)
    nll, dtheta = vae.likelihood.nll_and_grad(dnll, theta, x)                   # (B,), like theta
    kl     = gaussian_kl(mu, logvar)                                            # (B,)
    # backward
    vae.decoder.backward(dtheta)                                                # what comes out for z is not used
    weight = ((nll - baseline) * dnll).astype(x.dtype)                          # (B,)
    _, dmu, dlogvar    = gaussian_log_density_backward(weight, z, mu, logvar)
    dmu_kl, dlogvar_kl = gaussian_kl_backward(vae.beta * dnll, mu, logvar)
    vae.backward_encoder(dmu + dmu_kl, dlogvar + dlogvar_kl)
    return vae.mean_terms(nll, kl)
