"""Quadrature against answers worked out on paper."""
import numpy as np
import pytest

import numpyvae as nv
from numpyvae import exact
from numpyvae.functional.gaussian import gaussian_log_density


def small_vae(n_latent=1, likelihood="bernoulli", hidden=(4,), seed=0, **options):
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(6, hidden, n_latent, likelihood=likelihood, activation="tanh", rng=rng, dtype=np.float64,
                       **options)
    vae.parameters.values[:] = rng.normal(0, 0.6, len(vae.parameters))
    return vae, (rng.random((3, 6)) < 0.5).astype(float)


@pytest.mark.parametrize("n_latent", [1, 2])
def test_the_linear_gaussian_model_s_log_likelihood_is_known(n_latent):
    """x = W z + b + sigma noise:  log p(x) = log N(x; b, W^T W + sigma^2 I)."""
    vae, x = small_vae(n_latent, "gaussian", hidden=(), sigma=0.5)
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    covariance = W.T @ W + 0.25 * np.eye(6)
    centred = x - b
    truth = -0.5 * (np.sum(centred @ np.linalg.inv(covariance) * centred, axis=1)
                    + np.linalg.slogdet(2 * np.pi * covariance)[1])
    np.testing.assert_allclose(exact.log_likelihood(vae, x), truth, atol=1e-7)


def test_the_linear_gaussian_model_s_posterior_is_known():
    vae, x = small_vae(2, "gaussian", hidden=(), sigma=0.5)
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    covariance = np.linalg.inv(np.eye(2) + W @ W.T / 0.25)
    z, p = exact.posterior(vae, x)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    means = p @ z
    np.testing.assert_allclose(means, (x - b) @ W.T / 0.25 @ covariance, atol=1e-7)
    centred = z - means[0]
    np.testing.assert_allclose((p[0, :, None] * centred).T @ centred, covariance, atol=1e-7)


def test_bernoulli_likelihoods_of_all_images_sum_to_one():
    """All 64 binary images of 6 pixels."""
    vae, _ = small_vae(1)
    images = np.array(np.meshgrid(*[[0.0, 1.0]] * 6)).reshape(6, -1).T
    assert np.exp(exact.log_likelihood(vae, images)).sum() == pytest.approx(1, abs=1e-8)


def test_the_elbo_and_its_gap_make_log_p():
    """log p(x) = ELBO + KL(q || p(z|x)), each by quadrature on its own."""
    vae, x = small_vae(1)
    z, joint = exact.log_joint(vae, x, points=1000, reach=12)    # q reaches further than the prior here
    mu, logvar = vae.encode(x)
    h = z[1, 0] - z[0, 0]
    for b in range(len(x)):
        rows = np.ones_like(z)
        log_q = gaussian_log_density(z, mu[b] * rows, logvar[b] * rows)
        q = np.exp(log_q) * h
        log_p_zx = joint[b] - np.log(h)
        log_px = exact.log_likelihood(vae, x[b:b + 1])[0]
        assert np.sum(q * (log_p_zx - log_q)) + np.sum(q * (log_q - (log_p_zx - log_px))) == pytest.approx(log_px, 1e-6)


def test_three_dimensions_are_refused():
    with pytest.raises(ValueError, match="n_latent is 3; expected 1 or 2"):
        exact.latent_grid(3)


def test_log_sum_exp_neither_overflows_nor_underflows():
    a = np.array([[1e4, 1e4], [-1e4, -1e4], [0.0, -np.inf]])
    np.testing.assert_allclose(exact.log_sum_exp(a), np.array([1e4, -1e4, 0]) + np.log([2, 2, 1]))


def test_log_mean_exp_is_the_logarithm_of_the_mean(rng):
    a = rng.standard_normal((3, 7))
    np.testing.assert_allclose(exact.log_mean_exp(a - 2000), np.log(np.mean(np.exp(a), axis=1)) - 2000)
