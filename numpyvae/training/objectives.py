"""What else a VAE can be trained with, and other ways to a gradient of the same loss.

Each function takes (vae, x, eps), leaves a gradient in `vae.parameters.grads` and returns the loss; what it is an
unbiased estimate of stands in its docstring.  `numpyvae.fit` trains with any of them: fit(..., objective=iwae).

eps is (B, Z), or (K, B, Z) where an objective takes K samples for each image.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import checked
from ..exact import log_sum_exp
from ..functional.gaussian import (gaussian_kl, gaussian_kl_backward, gaussian_log_density,
                                   gaussian_log_density_backward, reparameterize, reparameterize_backward)
from ..models.model import LossTerms

Array = np.ndarray
__all__ = ["dreg", "free_bits", "iwae", "score_function", "sticking_the_landing"]


@checked(x="numbers: ...", eps="...")
def free_bits(vae: Any, x: Array, eps: Array, minimum: float = 0.1) -> LossTerms:
    """The loss with a KL term that counts no less than `minimum` nats in each latent dimension.

        loss = mean_b nll_b + beta sum_j max( minimum, mean_b KL_bj )

    While a dimension's KL, averaged over the batch, is below the minimum, nothing pushes it towards zero: so it does
    not die before the decoder has learned to use it.  The gradient is unbiased for the expectation of this loss over
    eps, the batch being given.                                               [Kingma et al. 2016, appendix C.8]

    Raises ValueError where minimum is negative.
    """
    x, eps = vae.check_pair(x, eps)
    # forward
    h      = vae.encoder.forward(x)                                             # (B, H)
    mu     = vae.mu_head.forward(h)                                             # (B, Z)
    logvar = vae.logvar_head.forward(h)                                         # (B, Z)
    z      = reparameterize(mu, logvar, eps)                                    # (B, Z)
    theta  = vae.decoder.forward(z)                                             # (B, D)
    dnll   = np.full(len(x), 1 / len(x), x.dtype)                               # (B,)
    nll, dtheta = vae.likelihood.nll_and_grad(dnll, theta, x)                   # (B,), like theta
    column = (mu.size, 1)                                                       # each (b, j) a row of its own
    kl     = gaussian_kl(mu.reshape(column), logvar.reshape(column)).reshape(mu.shape)    # (B, Z)
    counts = kl.mean(axis=0).real > minimum                                     # (Z,)
    terms  = vae.mean_terms(nll, np.where(counts, kl.mean(axis=0), minimum).sum(keepdims=True))
    # backward
    dkl    = (vae.beta * counts * dnll[:, None]).astype(x.dtype)                # (B, Z)
    dmu_kl, dlogvar_kl = gaussian_kl_backward(dkl.ravel(), mu.reshape(column), logvar.reshape(column))
    dz     = vae.decoder.backward(dtheta)
    dmu, dlogvar = reparameterize_backward(dz, logvar, eps)
    vae.backward_encoder(dmu + dmu_kl.reshape(mu.shape), dlogvar + dlogvar_kl.reshape(mu.shape))
    return terms


@checked(x="numbers: ...", eps="...", baseline="...")
def score_function(vae: Any, x: Array, eps: Array, baseline: Array | float = 0.0) -> LossTerms:
    """The ordinary loss, its gradient for the encoder without a derivative of the decoder ("REINFORCE").

        d/dphi E_q[f(z)] = int f(z) dq(z)/dphi dz = E_q[ f(z) d log q(z) / dphi ]

    for any f, because dq = q d log q.  A number c that does not depend on z may be taken from f (a "baseline"):
    E_q[d log q] = d/dphi int q = 0.  It changes the variance, not the mean.  Unbiased for the gradient of the loss.

    baseline : a number, or one for each image (B,), in nats

    The decoder's gradient is the ordinary one.  The encoder's comes from nll times the score of q(z|x), and, as ever,
    from the KL, which is known in closed form.       [Williams 1992; Mnih & Gregor 2014; lesson 6, eq. 6.2]
    """
    x, eps = vae.check_pair(x, eps)
    if np.shape(baseline) not in ((), (len(x),)):
        raise ValueError(f"baseline has shape {np.shape(baseline)}; expected a number, or ({len(x)},), one an image")
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


@checked(x="numbers: ...", eps="...")
def iwae(vae: Any, x: Array, eps: Array) -> LossTerms:
    """Minus the importance-weighted bound, from K samples an image.                    [Burda et al. 2016, eq. 8]

        loss = -mean_b log 1/K sum_k w_bk,        w_bk = p(x_b|z_bk) p(z_bk) / q(z_bk|x_b)

    With K = 1 this is the ELBO; it rises to log p(x) with K.  Its gradient is unbiased for the gradient of its
    expectation:  d/dlog w_bk of log 1/K sum w = w_bk / sum_k w_bk =: v_bk, the normalised weight, so

        dloss = -1/B sum_b sum_k v_bk dlog w_bk,         and dlog w reaches the encoder by two ways: through z, and
                                                        through the mu and logvar in log q (the score).
    """
    return _importance_weighted(vae, x, eps, "iwae")


@checked(x="numbers: ...", eps="...")
def sticking_the_landing(vae: Any, x: Array, eps: Array) -> LossTerms:
    """The ELBO from one sample, its gradient without the score term.                   [Roeder et al. 2017, eq. 7]

        d log w / dphi = (d log w / dz)(dz / dphi) - d log q(z|x) / dphi, z held

    The last term, the score, is zero on average and is left out: unbiased for the gradient of the ELBO.  Where q is
    the true posterior log w is the same for every z, so what is left is zero for every eps, not only on average.

    Raises ValueError for more than one sample: with K > 1 the score is not zero on average; `dreg` is the remedy.
    """
    return _importance_weighted(vae, x, eps, "sticking_the_landing")


@checked(x="numbers: ...", eps="...")
def dreg(vae: Any, x: Array, eps: Array) -> LossTerms:
    """The loss of `iwae`, its encoder's gradient doubly reparameterised.               [Tucker et al. 2019, eq. 8]

    The score term of iwae is itself the score-function estimate of something that depends on z; writing that as a
    gradient through z once more gives

        E[ sum_k v_k dlog q(z_k) / dphi ] = E[ sum_k (v_k - v_k^2) (dlog w_k / dz_k)(dz_k / dphi) ]

    and with the v_k of the path that is there already  v_k - (v_k - v_k^2) = v_k^2.  Unbiased for iwae's gradient;
    its signal does not drown in noise as K grows.  The decoder's gradient is iwae's.
    """
    return _importance_weighted(vae, x, eps, "dreg")


def _importance_weighted(vae: Any, x: Array, eps: Array, estimator: str) -> LossTerms:
    """Forward and backward of the three above, which differ in two lines of the backward half."""
    x, eps, K, B = _check_samples(vae, x, eps, estimator)                       # eps (K B, Z), sample by sample
    # forward
    h      = vae.encoder.forward(x)                                             # (B, H)
    mu     = np.tile(vae.mu_head.forward(h), (K, 1))                            # (K B, Z)
    logvar = np.tile(vae.logvar_head.forward(h), (K, 1))                        # (K B, Z)
    z      = reparameterize(mu, logvar, eps)                                    # (K B, Z)
    theta  = vae.decoder.forward(z)                                             # (K B, D)
    ones   = np.ones(K * B, x.dtype)                                            # (K B,)   weighted below
    nll, dtheta = vae.likelihood.nll_and_grad(ones, theta, np.tile(x, (K, 1)))  # (K B,), like theta
    zero   = np.zeros_like(z)
    log_w  = gaussian_log_density(z, zero, zero) - gaussian_log_density(z, mu, logvar) - nll    # (K B,)
    log_w  = log_w.reshape(K, B)
    bound  = log_sum_exp(log_w.T) - np.log(K)                                   # (B,)
    v      = np.exp(log_w - bound) / K                                          # (K, B)   sums to 1 over K
    part   = np.sum(v * nll.reshape(K, B), axis=0)                              # (B,)     v's mean of nll
    terms  = vae.mean_terms(part, -bound - part)
    # backward
    weight = (v / B).ravel().astype(x.dtype)                                    # (K B,)   dloss = -weight dlog w
    dtheta *= weight[:, None]
    dz     = vae.decoder.backward(dtheta)
    dz    += gaussian_log_density_backward(-weight, z, zero, zero)[0]           # through log p(z)
    dz_q, dmu_q, dlogvar_q = gaussian_log_density_backward(weight, z, mu, logvar)
    dz    += dz_q                                                               # through the z in log q
    if estimator == "dreg":
        dz *= v.reshape(-1, 1).astype(x.dtype)                                  # v^2 in all
    dmu, dlogvar = reparameterize_backward(dz, logvar, eps)
    if estimator == "iwae":
        dmu += dmu_q                                                            # the score
        dlogvar += dlogvar_q
    vae.backward_encoder(dmu.reshape(K, B, -1).sum(axis=0), dlogvar.reshape(K, B, -1).sum(axis=0))
    return terms


def _check_samples(vae: Any, x: Array, eps: Array, estimator: str) -> tuple[Array, Array, int, int]:
    """x, eps as rows, the numbers of samples and of images; raises ValueError where they do not go together."""
    if vae.beta != 1:
        raise ValueError(f"the model's beta is {vae.beta:g}; expected 1: a bound on log p(x) has no other weight")
    x, eps = vae.check_data(x), np.asarray(eps)
    samples = eps if eps.ndim == 3 else eps[None]
    if samples.ndim != 3 or samples.shape[1:] != (len(x), vae.n_latent) or len(samples) == 0:
        raise ValueError(f"eps has shape {eps.shape}; expected ({len(x)}, {vae.n_latent}), or (K, {len(x)}, "
                         f"{vae.n_latent}) for K samples an image")
    if len(samples) > 1 and estimator == "sticking_the_landing":
        raise ValueError(f"eps has {len(samples)} samples; expected one: without the score the gradient of a bound "
                         "of several samples is biased; dreg is the remedy")
    _, rows = vae.check_pair(np.tile(x, (len(samples), 1)), samples.reshape(-1, vae.n_latent))
    return x, rows, len(samples), len(x)
