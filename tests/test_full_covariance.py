"""The posterior with full covariance, and what the diagonal costs."""
import numpy as np
import pytest
from scipy import stats

import numpyvae as nv
from numpyvae import exact
from numpyvae.functional.full_gaussian import full_gaussian_kl, full_reparameterize
from numpyvae.models.posteriors import FullGaussian


def factor(logvar, lower):
    return np.diag(np.exp(logvar / 2)) + np.tril(lower, -1)


@pytest.fixture
def q(rng):
    return rng.standard_normal((1, 3)), rng.normal(-0.5, 0.5, (1, 3)), rng.standard_normal((1, 3, 3))


def test_draws_have_the_mean_and_the_covariance(q, rng):
    mu, logvar, lower = q
    rows = [np.repeat(part, 200_000, axis=0) for part in q]
    z = full_reparameterize(*rows, rng.standard_normal((200_000, 3)))
    L = factor(logvar[0], lower[0])
    np.testing.assert_allclose(z.mean(axis=0), mu[0], atol=0.02)
    np.testing.assert_allclose(np.cov(z.T), L @ L.T, atol=0.04)


def test_the_kl_is_the_mean_of_the_log_ratio(q, rng):
    mu, logvar, lower = q
    L = factor(logvar[0], lower[0])
    z = mu[0] + rng.standard_normal((200_000, 3)) @ L.T
    ratio = (stats.multivariate_normal(mu[0], L @ L.T).logpdf(z) - stats.multivariate_normal(np.zeros(3)).logpdf(z))
    assert full_gaussian_kl(mu, logvar, lower)[0] == pytest.approx(ratio.mean(), abs=4 * ratio.std() / 200_000**0.5)


def linear(cls, n_latent=2):
    """A linear Gaussian model with a correlated posterior, in a VAE of this class."""
    vae = cls.dense(4, (), n_latent, "gaussian", sigma=0.5, rng=np.random.default_rng(1), dtype=np.float64)
    W = np.array([[1.0, 0.5, 0.0, 0.3], [0.8, 0.6, 0.2, -0.1]])
    vae.parameters["decoder.0.W"][:], vae.parameters["decoder.0.b"][:] = W, 0
    covariance = np.linalg.inv(np.eye(2) + W @ W.T / 0.25)
    vae.parameters["mu_head.W"][:], vae.parameters["mu_head.b"][:] = W.T @ covariance / 0.25, 0
    vae.parameters["logvar_head.W"][:] = 0
    return vae, covariance


def test_with_the_true_posterior_the_elbo_is_log_p_and_the_diagonal_pays_its_price(rng):
    x = rng.standard_normal((3, 4))
    eps = exact.cubature(2)
    rows, noise = np.repeat(x, 4, axis=0), np.tile(eps, (3, 1))    # the sampled loss is the expected one
    truth = exact.log_likelihood(linear(nv.VAE)[0], x).mean()

    full, covariance = linear(nv.FullCovarianceVAE)
    L = np.linalg.cholesky(covariance)
    full.parameters["logvar_head.b"][:] = 2 * np.log(np.diag(L))
    full.parameters["lower_head.W"][:], full.parameters["lower_head.b"][:] = 0, L.ravel()
    assert -full.loss(rows, noise) == pytest.approx(truth, abs=1e-6)

    diagonal, _ = linear(nv.VAE)    # the best diagonal q has the precision's diagonal, and its cost is known
    precision = np.linalg.inv(covariance)
    diagonal.parameters["logvar_head.b"][:] = -np.log(np.diag(precision))
    price = 0.5 * (np.sum(np.log(np.diag(precision))) - np.linalg.slogdet(precision)[1])
    assert truth + diagonal.loss(rows, noise) == pytest.approx(price, abs=1e-6) and price > 0.2


def test_encode_gives_the_variance_of_each_dimension(rng):
    vae = nv.FullCovarianceVAE.dense(5, (4,), 3, rng=rng, dtype=np.float64)
    x = rng.random((2, 5))
    h = vae.encoder.forward(x).copy()
    _, logvar, lower = vae.posterior.forward(h)
    expected = [factor(*pair) for pair in zip(logvar, lower)]    # before the heads overwrite them
    for row, L in enumerate(expected):
        np.testing.assert_allclose(vae.encode(x)[1][row], np.log(np.diag(L @ L.T)))


def test_it_trains_saves_loads_and_is_measured(rng, tmp_path):
    images = np.repeat(255 * rng.integers(0, 2, (60, 1), np.uint8), 8, axis=1)
    vae = nv.FullCovarianceVAE.dense(8, (8,), 2, rng=rng)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(1e-2), epochs=40, batch_size=20, rng=rng))
    assert records[-1].loss < records[0].loss - 1
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz")
    assert type(again.posterior) is FullGaussian
    np.testing.assert_array_equal(again.parameters.values, vae.parameters.values)
    found = nv.evaluation.log_likelihood(vae, images[:2], 2000, rng=rng)
    truth = exact.log_likelihood(vae, (images[:2] / 255).astype(np.float32))
    np.testing.assert_allclose(found.values, truth, atol=0.1)


def test_what_does_not_fit_is_named(rng):
    with pytest.raises(ValueError, match="n_latent is 1; expected at least 2"):
        nv.FullCovarianceVAE.dense(5, (4,), 1, rng=rng)
    with pytest.raises(ValueError, match="lower has shape"):
        full_reparameterize(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 3, 2)), np.zeros((1, 3)))
