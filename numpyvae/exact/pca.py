"""Probabilistic PCA: the VAE that can be solved on paper.

    z ~ N(0, I),    x = z W + b + sigma noise,    so  x ~ N(b, C),  C = W^T W + sigma^2 I.

Let S be the covariance of the data, with eigenvalues l_1 >= l_2 >= ... >= l_D and eigenvectors u_j.  The mean
log-likelihood of the data is  -1/2 ( D log 2 pi + log|C| + tr(C^-1 S) ),  and it is largest for

    b = the data's mean,    sigma^2 = the mean of the D - Z smallest eigenvalues,
    row j of W = sqrt(l_j - sigma^2) u_j,    j = 1 ... Z    (and any rotation of those rows).

Then C has the eigenvalues l_1 ... l_Z and, D - Z times, sigma^2; so tr(C^-1 S) = Z + (D - Z) = D, and

    mean log p(x) = -1/2 ( sum_j log l_j + (D - Z) log sigma^2 + D log 2 pi + D ).      [Tipping & Bishop 1999, eq. 8]

With these rows, which are orthogonal, W W^T is diagonal, and so is the posterior's covariance: a linear VAE with a
diagonal q can be exact, and its ELBO reaches log p(x).  No other rotation allows that, so the KL term makes a
linear VAE find the principal axes themselves.                                                [Lucas et al. 2019]
"""
from __future__ import annotations

import dataclasses

import numpy as np

from ..arguments import POSITIVE, WHOLE, checked
from ..functional.gaussian import gaussian_kl
from ..models.likelihoods import Gaussian, GaussianShared
from ..models.posteriors import DiagonalGaussian
from ..models.priors import StandardNormal
from ..models.vae import VAE

Array = np.ndarray
TINY = 1e-12    # an eigenvalue below this share of the largest is rounding error


@dataclasses.dataclass(frozen=True)
class ProbabilisticPCA:
    """x ~ N(mean, W^T W + sigma^2 I):  mean (D,), W (Z, D), sigma; all eigenvalues of the data's covariance (D,)."""

    mean: Array
    W: Array
    sigma: float
    eigenvalues: Array

    @property
    def optimum(self) -> float:
        """The mean log-likelihood of the data it was made from, in nats: the ELBO that a linear VAE should reach.

        C has the eigenvectors of S, with the eigenvalues |W_j|^2 + sigma^2 and, D - Z times, sigma^2.
        [lesson 9, eq. 9.6, where sigma is the best one]
        """
        of_C = np.full(len(self.mean), self.sigma**2)
        of_C[:len(self.W)] += np.sum(self.W**2, axis=1)
        return float(-0.5 * np.sum(np.log(2 * np.pi * of_C) + self.eigenvalues / of_C))

    @checked(x="N D")
    def log_likelihood(self, x: Array) -> Array:
        """log p(x) of each row, in nats: (N, D) -> (N,)."""
        self._check(x)
        return gaussian_log_likelihood(x, self.mean, self.W.T @ self.W + self.sigma**2 * np.eye(len(self.mean)))

    @checked(x="N D")
    def posterior(self, x: Array) -> tuple[Array, Array]:
        """p(z|x) = N(mu, diag(variance)): mu (N, Z), variance (Z,).

        With M = W W^T + sigma^2 I, diagonal here:  mu = M^-1 W (x - b),  covariance sigma^2 M^-1.

        [Tipping & Bishop 1999, eq. 7; lesson 9, eq. 9.7]
        """
        self._check(x)
        M = np.sum(self.W**2, axis=1) + self.sigma**2
        return (np.asarray(x, float) - self.mean) @ self.W.T / M, self.sigma**2 / M

    def _check(self, x: Array) -> None:
        if x.shape[1] != len(self.mean):
            raise ValueError(f"x has shape {x.shape}; expected (N, {len(self.mean)}), as the data had")


@checked(x="N D", n_latent=WHOLE)
def probabilistic_pca(x: Array, n_latent: int) -> ProbabilisticPCA:
    """The maximum-likelihood model: x (N, D), Z = n_latent.                  [Tipping & Bishop 1999; lesson 9, eq. 9.5]

    Raises ValueError where the model does not exist: for Z outside 1 ... D - 1, and for data that do not vary in every
    direction (drop constant pixels first): where they vary in at most Z directions, the likelihood is unbounded.
    """
    x = np.asarray(x, float)
    if len(x) < 2:
        raise ValueError(f"x has shape {x.shape}; expected at least two rows")
    D = x.shape[1]
    if n_latent >= D:
        raise ValueError(f"n_latent is {n_latent}; expected 1 to {D - 1}, fewer than the {D} columns of x")
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values[::-1], vectors[:, ::-1]
    varies = (values >= TINY * values[0]) & (values > 0)
    if not varies.all():
        raise ValueError(f"x varies in {np.sum(varies)} of {D} directions; expected all: drop "
                         "constant columns, or add a little noise")
    variance = float(values[n_latent:].mean())
    W = np.sqrt(values[:n_latent] - variance)[:, None] * vectors[:, :n_latent].T
    return ProbabilisticPCA(mean, W, variance**0.5, values)


@checked(x="N D", mean="D", covariance="D D")
def gaussian_log_likelihood(x: Array, mean: Array, covariance: Array) -> Array:
    """log N(x; mean, covariance) of each row, in nats: (N, D) -> (N,).

    By C = L L^T:  (x - m)^T C^-1 (x - m) = |L^-1 (x - m)|^2  and  log|C| = 2 sum log L_ii.
    """
    try:
        L = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError("covariance is not positive definite; expected one that is: x must vary in every direction"
                         ) from None
    residual = np.linalg.solve(L, (np.asarray(x, float) - mean).T)
    return -0.5 * (np.sum(residual**2, axis=0) + len(L) * np.log(2 * np.pi)) - np.sum(np.log(np.diag(L)))


@checked(x="...")
def solve_linear_vae(vae: VAE, x: Array) -> ProbabilisticPCA:
    """Give a linear VAE the best weights for its own sigma and beta; returns the equivalent model with beta = 1.

    The VAE is VAE.dense(D, (), Z, "gaussian", sigma=...).  For a sigma that is not the best one, directions with
    l_j <= sigma^2 are not worth their cost: their rows of W are zero, and their latent dimensions die.  For other beta,
    replace sigma^2 by beta sigma^2, as L(beta, sigma^2) = beta L(1, beta sigma^2) + const (`same_loss_constant`): a
    dimension dies where l_j <= beta sigma^2.
    [Lucas et al. 2019, section 4; lesson 10, eq. 10.5]
    """
    sigma2 = vae.beta * sigma_of_linear(vae)**2
    if sigma2 == 0:
        raise ValueError("the VAE's beta is 0; expected a number above 0: without the KL no variance is best")
    x = vae.check_data(x).astype(float)
    mean = x.mean(axis=0)
    values, vectors = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values[::-1], vectors[:, ::-1]
    Z = vae.n_latent
    W = np.sqrt(np.maximum(values[:Z] - sigma2, 0))[:, None] * vectors[:, :Z].T
    M = np.sum(W**2, axis=1) + sigma2
    weights = vae.parameters
    weights["decoder.0.W"][:], weights["decoder.0.b"][:] = W, mean
    weights["mu_head.W"][:], weights["mu_head.b"][:] = W.T / M, -(mean @ W.T) / M
    weights["logvar_head.W"][:], weights["logvar_head.b"][:] = 0, np.log(sigma2 / M)
    return ProbabilisticPCA(mean, W, sigma2**0.5, values)


@checked(x="...")
def linear_loss(vae: VAE, x: Array) -> float:
    """The expected loss of a linear VAE, with the integral over z done on paper, in nats per image: x (N, D).

    With r = x - b - mu W, what mu leaves unexplained, and s_j^2 the variance of q in dimension j,

    E_q |x - b - z W|^2 = |r|^2 + sum_j s_j^2 |W_j|^2        (z = mu + s eps; the cross terms have mean zero)

    E_q[nll] = ( |r|^2 + sum_j s_j^2 |W_j|^2 ) / (2 sigma^2) + D log sigma + D/2 log 2 pi,

    and the KL is in closed form as usual.
    """
    sigma = sigma_of_linear(vae)
    x = vae.check_data(x)
    mu, logvar = (np.asarray(part, float) for part in vae.encode(x))
    W, b = (np.asarray(vae.parameters[f"decoder.0.{name}"], float) for name in "Wb")
    spread = np.exp(logvar) @ np.sum(W**2, axis=1)
    nll = (np.sum((x - b - mu @ W)**2, axis=1) + spread) / (2 * sigma**2) + x.shape[1] * (
        np.log(sigma) + 0.5 * np.log(2 * np.pi))
    kl = gaussian_kl(mu, logvar)
    return float(np.mean(nll + vae.beta * kl))


@checked(A="Z D", B="Y D")
def principal_angles(A: Array, B: Array) -> Array:
    """The angles between two subspaces, those that the rows of A (Z, D) and of B (Y, D) span.  -> (min(Z, Y),)

    In radians, the smallest first.  All are 0 where one subspace contains the other; rows that are added to one another
    or scaled change nothing.  For one row each it is the angle of two lines, at most 90 degrees.

    By QR, A^T = Q_A R_A and B^T = Q_B R_B: the columns of Q_A are at right angles and of length 1, and span the same.
    So unit vectors of the two subspaces are a = Q_A s and b = Q_B t with |s| = |t| = 1.  The cosine of their angle is

        a . b = s^T (Q_A^T Q_B) t.

    Its largest value is the largest singular value of Q_A^T Q_B: the cosine of the smallest angle.  Among the s and t
    at right angles to those the largest is the next singular value, and so on.
    [Björck & Golub 1973; lesson 9, eq. 9.11]

    A cosine near 1 says little of a small angle: 1e-9 has the cosine 1 - 5e-19, which is rounded to 1.  What Q_B has at
    right angles to the other subspace, Q_B - Q_A Q_A^T Q_B, has the sines as its singular values; together they give
    every angle to the last digits.

    Raises ValueError where rows of A or of B depend on one another.
    """
    Q = []
    for name, rows in (("A", A), ("B", B)):
        rows = np.asarray(rows, float)
        if np.linalg.matrix_rank(rows) < len(rows):
            raise ValueError(f"{name} has shape {rows.shape} and rows that depend on one another; expected independent "
                             "ones")
        Q.append(np.linalg.qr(rows.T)[0])
    large, small = sorted(Q, key=lambda one: -one.shape[1])
    cosines = np.linalg.svd(large.T @ small, compute_uv=False)
    sines = np.linalg.svd(small - large @ (large.T @ small), compute_uv=False)[::-1]
    return np.arctan2(sines, cosines)


@checked(n_latent=WHOLE)
def cubature(n_latent: int) -> Array:
    """2 Z points at which the mean of f is E[f(eps)], eps ~ N(0, I), for every polynomial f of degree up to 3: (2Z, Z).

    They are +sqrt(Z) and -sqrt(Z) along each axis: odd powers cancel, eps_i eps_j has mean 0, and eps_j^2 has mean
    2 Z / (2 Z) = 1.  A linear decoder's squared error is of degree 2 in eps: given them as noise, VAE.loss_and_grad
    returns the expected loss and its gradient, without any noise.                 [Julier & Uhlmann 1997; McNamee 1967]
    """
    points = np.sqrt(n_latent) * np.eye(n_latent)
    return np.concatenate([points, -points])


@checked(n_data=WHOLE, beta=POSITIVE, sigma=POSITIVE)
def same_loss_constant(n_data: int, beta: float, sigma: float) -> float:
    """The constant in  L(beta, sigma^2) = beta L(1, beta sigma^2) + constant,  for any Gaussian VAE.

    With r the residual, L(beta, s) = |r|^2 / (2 s) + D/2 log(2 pi s) + beta KL  for s = sigma^2.  So

    beta L(1, beta s) = |r|^2 / (2 s) + beta D/2 log(2 pi beta s) + beta KL,

    and the two differ by  D/2 ( log(2 pi s) - beta log(2 pi beta s) ),  which no weight changes: beta and sigma^2 are
    one knob, not two.                                              [Rybkin et al. 2021; lesson 10, eq. 10.3]
    """
    log_2_pi_s = np.log(2 * np.pi) + 2 * np.log(sigma)
    return float(0.5 * n_data * (log_2_pi_s - beta * (log_2_pi_s + np.log(beta))))


def sigma_of_linear(vae: VAE) -> float:
    """The sigma of a linear VAE, chosen or learned.

    Raises ValueError unless it is VAE.dense(n_data, (), n_latent, "gaussian", sigma=...), or built like it, or the same
    with "gaussian-shared".
    """
    learned = isinstance(vae.likelihood, GaussianShared)
    names = [f"{part}.{array}" for part in ("mu_head", "logvar_head", "decoder.0") for array in "Wb"]
    names += ["decoder.1.logvar"] * learned
    linear = (vae.parameters.names == names and len(vae.decoder.layers) == 1 + learned
              and getattr(vae.decoder.layers[0], "activation", "") == "identity" and vae.n_classes is None
              and type(vae.prior) is StandardNormal and isinstance(vae.posterior, DiagonalGaussian))
    if not linear or not isinstance(vae.likelihood, (Gaussian, GaussianShared)):
        raise ValueError(f"the VAE has the weights {', '.join(vae.parameters.names)} and likelihood "
                         f"{vae.likelihood.name!r}; expected VAE.dense(n_data, (), n_latent, 'gaussian', sigma=...), "
                         "or the same with 'gaussian-shared'")
    if isinstance(vae.likelihood, Gaussian):
        return vae.likelihood.sigma
    return float(np.exp(0.5 * vae.parameters["decoder.1.logvar"][0]))
