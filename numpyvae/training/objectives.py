"""Other objectives to train a VAE with, and other estimators of the same loss's gradient.

Each function takes (vae, x, eps), and labels for a conditional VAE, leaves a gradient in `vae.parameters.grads`
and returns the loss; its docstring says what it is an unbiased estimate of.  `numpyvae.fit` trains with any of
them: fit(..., objective=iwae).

eps is (B, Z), or (K, B, Z) where an objective takes K samples for each image.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import NOT_NEGATIVE, checked, has, shown
from ..exact import log_mean_exp
from ..functional.labels import concatenate_backward
from ..models.model import LossTerms, as_noise
from ..models.posteriors import joined, repeated, summed
from ..models.vae import VAE, mean_terms

Array = np.ndarray
__all__ = ["dreg", "free_bits", "iwae", "score_function", "sticking_the_landing"]


@checked(x="numbers: ...", eps="...", minimum=NOT_NEGATIVE, labels="any: ...")
def free_bits(vae: VAE, x: Array, eps: Array, minimum: float = 0.1, labels: Array | None = None) -> LossTerms:
    """The loss with a KL term that counts no less than `minimum` nats in each latent dimension.

        loss = mean_b nll_b + beta sum_j max( minimum, mean_b KL_bj )

    While a dimension's KL, averaged over the batch, is below the minimum, nothing pushes it towards zero, so it does
    not die before the decoder has learned to use it.  The gradient is unbiased for the expectation of this loss over
    eps, given the batch.                               [Kingma et al. 2016, appendix C.8; lesson 10, eq. 10.10]

    Raises ValueError where minimum is negative, or the KL of single dimensions has no closed form.
    """
    _check_closed_form(vae, "kl_of_dimensions", "KL of single dimensions")
    x, eps, c = vae.check_batch(x, eps, labels)
    # forward
    q, z, theta = vae.forward(x, eps, c)                                        # q(z|x); z (B, Z); theta (B, D)
    dnll   = np.full(len(x), 1 / len(x), x.dtype)                               # (B,)
    nll, dtheta = vae.likelihood.nll_and_grad(dnll, theta, x)                   # (B,), like theta
    kl     = vae.posterior.kl_of_dimensions(q).mean(axis=0)                     # (Z,)
    counts = kl.real > minimum                                                  # (Z,)
    terms  = mean_terms(nll, np.where(counts, kl, minimum).sum(keepdims=True), vae.beta)
    # backward
    dkl    = (vae.beta * counts * dnll[:, None]).astype(x.dtype)                # (B, Z)
    dz     = concatenate_backward(vae.decoder.backward(dtheta), z)              # (B, Z)
    dq_z   = vae.posterior.reparameterize_backward(dz, q, eps)                  # the path through z
    dq_kl  = vae.posterior.kl_of_dimensions_backward(dkl, q)                    # the path through the KL
    vae.encoder.backward(vae.posterior.backward_heads(joined(dq_z, dq_kl)), need_dx=False)
    return terms


@checked(x="numbers: ...", eps="...", baseline="...", labels="any: ...")
def score_function(vae: VAE, x: Array, eps: Array, baseline: Array | float = 0.0,
                   labels: Array | None = None) -> LossTerms:
    """The ordinary loss; its gradient for the encoder needs no derivative of the decoder ("REINFORCE").

        d/dphi E_q[f(z)] = int f(z) dq(z)/dphi dz = E_q[ f(z) d log q(z) / dphi ]

    for any f, because dq = q d log q.  A number c that does not depend on z may be subtracted from f (a "baseline"):
    E_q[d log q] = d/dphi int q = 0.  It changes the variance, not the mean.  Unbiased for the gradient of the loss.

    baseline : a number, or one for each image (B,), in nats

    The decoder's gradient is the ordinary one.  The encoder's comes from nll times the score of q(z|x), and, as usual,
    from the KL, which must be known in closed form.  [Williams 1992; Mnih & Gregor 2014; lesson 6, eq. 6.2]
    """
    _check_closed_form(vae, "closed_form_kl", "KL")
    x, eps, c = vae.check_batch(x, eps, labels)
    if np.shape(baseline) not in ((), (len(x),)):
        raise ValueError(f"baseline has shape {np.shape(baseline)}; expected a number, or ({len(x)},), one per image")
    # forward, as in VAE.loss_and_grad
    q, z, theta = vae.forward(x, eps, c)                                        # z is only a draw here: no gradient
    dnll   = np.full(len(x), 1 / len(x), x.dtype)                               # (B,)
    nll, dtheta = vae.likelihood.nll_and_grad(dnll, theta, x)                   # (B,), like theta
    kl     = vae.posterior.kl(q, vae.prior)                                     # (B,)
    # backward
    vae.decoder.backward(dtheta)                                                # what comes out for z is not used
    weight = ((nll - baseline) * dnll).astype(x.dtype)                          # (B,)
    _, dq  = vae.posterior.log_density_backward(weight, q, z)                   # the score, weighted
    dq_kl  = vae.posterior.closed_form_kl_backward(vae.beta * dnll, q)
    vae.encoder.backward(vae.posterior.backward_heads(joined(dq, dq_kl)), need_dx=False)
    return mean_terms(nll, kl, vae.beta)


@checked(x="numbers: ...", eps="...", labels="any: ...")
def iwae(vae: VAE, x: Array, eps: Array, labels: Array | None = None) -> LossTerms:
    """Minus the importance-weighted bound, from K samples per image.                   [Burda et al. 2016, eq. 8]

        loss = -mean_b log 1/K sum_k w_bk,        w_bk = p(x_b|z_bk) p(z_bk) / q(z_bk|x_b)

    With K = 1 this is the ELBO; it rises to log p(x) with K.                                    [lesson 8, eq. 8.4]
    Its gradient is unbiased for the gradient of its expectation:  d/dlog w_bk of log 1/K sum w = w_bk / sum_k w_bk
    =: v_bk, the normalised weight, so

        dloss = -1/B sum_b sum_k v_bk dlog w_bk,         and dlog w reaches the encoder by two paths: through z, and
                                                        through the parameters of q in log q (the score).
    """
    return _importance_weighted(vae, x, eps, labels, "iwae")


@checked(x="numbers: ...", eps="...", labels="any: ...")
def sticking_the_landing(vae: VAE, x: Array, eps: Array, labels: Array | None = None) -> LossTerms:
    """The ELBO from one sample, with the score term left out of its gradient.          [Roeder et al. 2017, eq. 7]

        d log w / dphi = (d log w / dz)(dz / dphi) - d log q(z|x) / dphi, z held fixed

    The last term, the score, is zero on average and is left out: unbiased for the gradient of the ELBO.  Where q is
    the true posterior, log w is the same for every z, so what is left is zero for every eps, not only on average.

    Raises ValueError for more than one sample: with K > 1 the score is not zero on average; `dreg` is the remedy.
    """
    return _importance_weighted(vae, x, eps, labels, "sticking_the_landing")


@checked(x="numbers: ...", eps="...", labels="any: ...")
def dreg(vae: VAE, x: Array, eps: Array, labels: Array | None = None) -> LossTerms:
    """The loss of `iwae`, with the encoder's gradient doubly reparameterised.          [Tucker et al. 2019, eq. 8]

    The score term of iwae is itself a score-function estimate for something that depends on z; reparameterising it,
    too, as a gradient through z gives

        E[ sum_k v_k dlog q(z_k) / dphi ] = E[ sum_k (v_k - v_k^2) (dlog w_k / dz_k)(dz_k / dphi) ]

    and with the v_k of the existing path through z,  v_k - (v_k - v_k^2) = v_k^2.  Unbiased for iwae's gradient.  The
    decoder's gradient is iwae's.

    As K grows, the signal of iwae's gradient for the encoder drowns in noise [Rainforth et al. 2018]; this one's does
    not, once K is so large that no single weight dominates.  Before that, and so where q is poor, it may fall too:
    benchmarks/RESULTS.md has it for K = 5 and 50.
    """
    return _importance_weighted(vae, x, eps, labels, "dreg")


# Bounds, which they would not be with another weight of the KL than 1.
BOUNDS_ON_LOG_P: tuple[Any, ...] = (iwae, sticking_the_landing, dreg)


def _importance_weighted(vae: VAE, x: Array, eps: Array, labels: Array | None, estimator: str) -> LossTerms:
    """Forward and backward of the three above, which differ in two lines of the backward half."""
    x, eps, c, K, B = _check_samples(vae, x, eps, labels, estimator)            # eps (K B, Z), sample by sample
    # forward
    q      = repeated(vae.infer(x, c), K)                                       # q(z|x): K B rows
    z      = vae.posterior.reparameterize(q, eps)                               # (K B, Z)
    theta  = vae.generate(z, None if c is None else np.tile(c, (K, 1)))         # (K B, D)
    ones   = np.ones(K * B, x.dtype)                                            # (K B,)   weighted below
    nll, dtheta = vae.likelihood.nll_and_grad(ones, theta, np.tile(x, (K, 1)))  # (K B,), like theta
    log_w  = vae.log_weight(q, z, nll).reshape(K, B)
    bound  = log_mean_exp(log_w.T)                                              # (B,)
    v      = np.exp(log_w - bound) / K                                          # (K, B)   sums to 1 over K
    part   = np.sum(v * nll.reshape(K, B), axis=0)                              # (B,)     v's mean of nll
    terms  = mean_terms(part, -bound - part, vae.beta)
    # backward
    weight = (v / B).ravel().astype(x.dtype)                                    # (K B,)   dloss = -weight dlog w
    dtheta *= weight[:, None]
    dz     = concatenate_backward(vae.decoder.backward(dtheta), z)              # (K B, Z)
    dz     = dz + vae.prior.log_density_backward(-weight, z)                    # through log p(z)
    dz_q, dq_score = vae.posterior.log_density_backward(weight, q, z)
    dz    += dz_q                                                               # through the z in log q
    if estimator == "dreg":
        dz *= v.reshape(-1, 1).astype(x.dtype)                                  # v^2 in all
    dq     = vae.posterior.reparameterize_backward(dz, q, eps)
    if estimator == "iwae":
        dq = joined(dq, dq_score)
    vae.encoder.backward(vae.posterior.backward_heads(summed(dq, K)), need_dx=False)
    return terms


ONE_SAMPLE: tuple[Any, ...] = (free_bits, score_function, sticking_the_landing)
SEVERAL: dict[Any, str] = {iwae: "the ELBO", dreg: "sticking_the_landing"}    # and what they are with one sample


def _check_closed_form(vae: VAE, method: str, quantity: str) -> None:
    """Raises ValueError where the posterior has no such method, or no closed form of the quantity for the prior."""
    if not vae.posterior.knows_kl_to(vae.prior) or not has(method, f"{method}_backward")(vae.posterior):
        raise ValueError(f"vae has {shown(vae.posterior)} and {shown(vae.prior)}, whose {quantity} has no "
                         "closed form; expected a pair that has one, such as DiagonalGaussian and StandardNormal")


def _check_samples(vae: VAE, x: Array, eps: Array, labels: Array | None,
                   estimator: str) -> tuple[Array, Array, Any, int, int]:
    """x, eps as rows, the labels one-hot, the numbers of samples and of images.

    Raises ValueError where they do not go together.
    """
    if vae.beta != 1:
        raise ValueError(f"beta is {vae.beta:g}; expected 1: a bound on log p(x) needs that weight")
    x, eps = vae.check_data(x), np.asarray(eps)
    samples = eps if eps.ndim == 3 else eps[None]
    if samples.ndim != 3 or samples.shape[1:] != (len(x), vae.n_latent) or len(samples) == 0:
        raise ValueError(f"eps has shape {eps.shape}; expected ({len(x)}, {vae.n_latent}), or (K, {len(x)}, "
                         f"{vae.n_latent}) for K samples of each image of x")
    if len(samples) > 1 and estimator == "sticking_the_landing":
        raise ValueError(f"eps has {len(samples)} samples; expected one: without the score, the gradient of a "
                         "bound of several samples is biased, so use dreg")
    rows = as_noise("eps", samples.reshape(-1, vae.n_latent), vae.n_latent, vae.dtype)
    return x, rows, vae.one_hot(labels, len(x)), len(samples), len(x)
