"""What a gradient check cannot see: whether the function that is differentiated is the right function."""
import contextlib

import numpy as np
import pytest
from scipy import integrate

import numpyvae as nv
from numpyvae.functional.activations import sigmoid
from numpyvae.functional.gaussian import gaussian_kl, gaussian_kl_backward, reparameterize
from numpyvae.functional.likelihoods import (bernoulli_nll, bernoulli_nll_and_grad, bernoulli_nll_backward,
                                             gaussian_learned_nll, gaussian_nll)
from numpyvae.gradcheck.models import LIKELIHOODS
from numpyvae.models.likelihoods import Bernoulli

both_paths = pytest.mark.parametrize("mode", [nv.kernels_off, contextlib.nullcontext])


def log_normal(x, mean, sigma):
    """The textbook's density, written out."""
    return np.log(np.exp(-(x - mean)**2 / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi)))


# Sampling

@both_paths
def test_samples_have_the_mean_and_the_variance_that_the_encoder_says(mode, rng):
    """Within 4 standard errors: sd / sqrt(n) of a mean, variance * sqrt(2 / n) of a variance."""
    n = 100_000
    mu, logvar = np.array([[-2.0, 0.0, 3.0]]), np.array([[-3.0, 0.5, 2.0]])
    with mode():
        z = reparameterize(np.repeat(mu, n, axis=0), np.repeat(logvar, n, axis=0), rng.standard_normal((n, 3)))
    variance = np.exp(logvar[0])
    assert np.all(np.abs(z.mean(axis=0) - mu[0]) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(z.var(axis=0) - variance) < 4 * variance * np.sqrt(2 / n))


def test_the_model_s_own_samples_of_z_do_too(rng):
    """The whole model, not the function alone: through a decoder that is the identity, mean and variance of logits."""
    vae = nv.VAE.dense(5, (4,), 2, rng=rng, dtype=np.float64)
    x = rng.random((1, 5))
    mu, logvar = vae.encode(x)
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    W[:], b[:] = 0, 0
    W[0, 0], W[1, 1], b[:2] = 1, 1, 50.0    # above the relu's kink
    n = 40_000
    eps = rng.standard_normal((n, 2))
    vae.loss(np.repeat(x, n, axis=0), eps)
    z = vae.decoder.layers[0].y[:, :2] - 50.0
    variance = np.exp(logvar[0])
    assert np.all(np.abs(z.mean(axis=0) - mu[0]) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(z.var(axis=0) - variance) < 4 * variance * np.sqrt(2 / n))


def test_two_draws_differ_and_one_repeats(rng):
    vae = nv.VAE.dense(784, (8,), 3, rng=rng)
    assert not np.array_equal(vae.sample(4, rng), vae.sample(4, rng))
    assert np.array_equal(vae.sample(4, np.random.default_rng(1)), vae.sample(4, np.random.default_rng(1)))
    x = rng.random((6, 784)).astype(np.float32)
    eps, other = rng.standard_normal((2, 6, 3)).astype(np.float32)
    assert vae.loss(x, eps) == vae.loss(x, eps) != vae.loss(x, other)


def test_training_draws_new_noise_in_every_step(monkeypatch, rng):
    seen = []
    vae = nv.VAE.dense(784, (8,), 3, rng=rng)
    right = vae.loss_and_grad
    monkeypatch.setattr(vae, "loss_and_grad", lambda x, eps: (seen.append(eps.copy()), right(x, eps))[1])
    images = nv.datasets.strokes(40, seed=0)[0]
    list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=10, rng=rng))
    assert len(seen) == 8
    assert len({eps.tobytes() for eps in seen}) == 8


def test_binary_samples_have_the_mean_sigmoid_of_the_logit(rng):
    """And not softplus: a logit of 2 would give a probability of 2.13."""
    logits = np.tile(np.array([[-2.0, 0.3, 2.0]]), (40_000, 1))
    np.testing.assert_allclose(Bernoulli().mean(logits)[0], [0.119203, 0.574443, 0.880797], atol=1e-6)
    drawn = Bernoulli().sample(logits, rng)
    p = sigmoid(logits[0])
    assert np.isin(drawn, (0, 1)).all()
    assert np.all(np.abs(drawn.mean(axis=0) - p) < 4 * np.sqrt(p * (1 - p) / len(drawn)))


# The KL

@both_paths
def test_kl_by_quadrature(mode):
    for mu, logvar in [(0.0, 0.0), (1.5, -2.0), (-0.7, 1.0), (3.0, 0.3)]:
        sigma = np.exp(logvar / 2)

        def integrand(z):
            q = np.exp(-(z - mu)**2 / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
            return q * (log_normal(z, mu, sigma) - log_normal(z, 0.0, 1.0))
        truth, _ = integrate.quad(integrand, mu - 12 * sigma, mu + 12 * sigma, epsabs=1e-12, epsrel=1e-12)
        with mode():
            kl = gaussian_kl(np.array([[mu]]), np.array([[logvar]]))[0]
        assert kl == pytest.approx(truth, abs=1e-10)


@both_paths
def test_kl_by_monte_carlo(mode, rng):
    n = 200_000
    mu, logvar = rng.standard_normal((1, 4)), rng.standard_normal((1, 4))
    z = mu + np.exp(logvar / 2) * rng.standard_normal((n, 4))
    ratio = np.sum(log_normal(z, mu, np.exp(logvar / 2)) - log_normal(z, 0.0, 1.0), axis=1)
    with mode():
        kl = gaussian_kl(mu, logvar)[0]
    assert abs(kl - ratio.mean()) < 4 * ratio.std() / np.sqrt(n)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(rng):
    assert gaussian_kl(np.zeros((2, 3)), np.zeros((2, 3))).tolist() == [0.0, 0.0]
    assert gaussian_kl(rng.standard_normal((500, 1)), rng.standard_normal((500, 1))).min() > 0


# The likelihoods

@both_paths
def test_nll_against_the_plain_formula(mode, rng):
    x = rng.random((4, 6))
    theta = rng.standard_normal((4, 6))
    y = 1 / (1 + np.exp(-theta))
    logvar = rng.standard_normal((4, 6))
    with mode():
        np.testing.assert_allclose(bernoulli_nll(theta, x),
                                   -np.sum(x * np.log(y) + (1 - x) * np.log(1 - y), axis=1), rtol=1e-13)
        np.testing.assert_allclose(gaussian_nll(theta, x, 0.3), -np.sum(log_normal(x, theta, 0.3), axis=1), rtol=1e-12)
        np.testing.assert_allclose(gaussian_learned_nll(np.hstack([theta, logvar]), x),
                                   -np.sum(log_normal(x, theta, np.exp(logvar / 2)), axis=1), rtol=1e-12)


def test_bernoulli_probabilities_sum_to_one():
    logit = np.array([[0.7]])
    assert sum(np.exp(-bernoulli_nll(logit, np.array([[x]]))[0]) for x in (0.0, 1.0)) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("density", [
    lambda x: gaussian_nll(np.array([[0.4]]), np.array([[x]]), 0.3),
    lambda x: gaussian_learned_nll(np.array([[0.4, -2.0]]), np.array([[x]])),
], ids=["gaussian", "gaussian-learned"])
def test_densities_integrate_to_one(density):
    total, _ = integrate.quad(lambda x: float(np.exp(-density(x)[0])), -8, 8, points=[0.4], epsabs=1e-12)
    assert total == pytest.approx(1, abs=1e-10)


# Extremes

@both_paths
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_at_logits_of_ten_thousand(mode, dtype):
    logits = np.array([[-1e4, 1e4, -1e4, 1e4]], dtype)
    x = np.array([[0, 1, 1, 0]], dtype)
    with mode(), np.errstate(all="raise", under="ignore"):
        assert bernoulli_nll(logits, x).tolist() == [2e4]
        np.testing.assert_allclose(bernoulli_nll_backward(np.ones(1, dtype), logits, x), [[0, 0, -1, 1]], atol=1e-30)
        nll, dlogits = bernoulli_nll_and_grad(np.ones(1, dtype), logits, x, np.empty(1, dtype), np.empty_like(logits))
        assert nll.tolist() == [2e4] and np.isfinite(dlogits).all()


@both_paths
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_at_logvar_of_eighty(mode, dtype):
    mu, logvar = np.ones((2, 1), dtype), np.array([[-80], [80]], dtype)
    with mode(), np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(gaussian_kl(mu, logvar), [40.0, 0.5 * np.exp(80.0) - 40.0], rtol=1e-5)
        assert all(np.isfinite(g).all() for g in gaussian_kl_backward(np.ones(2, dtype), mu, logvar))
        assert np.isfinite(reparameterize(mu, logvar, mu)).all()


# The reduction: sum over pixels and latent dimensions, mean over the batch

@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_a_batch_given_twice_changes_neither_loss_nor_gradient(likelihood, beta, rng):
    vae = nv.VAE.dense(7, (5,), 3, likelihood=likelihood, beta=beta, rng=rng, dtype=np.float64)
    x, eps = rng.integers(0, 256, (4, 7)) / 255, rng.standard_normal((4, 3))
    once = vae.loss_and_grad(x, eps)
    grads = vae.parameters.grads.copy()
    twice = vae.loss_and_grad(np.vstack([x, x]), np.vstack([eps, eps]))
    np.testing.assert_allclose(twice, once, rtol=1e-13)
    np.testing.assert_allclose(vae.parameters.grads, grads, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_loss_is_the_formula_row_by_row(beta, rng):
    vae = nv.VAE.dense(7, (5,), 3, beta=beta, rng=rng, dtype=np.float64)
    x, eps = rng.random((4, 7)), rng.standard_normal((4, 3))
    total = 0.0
    for row, noise in zip(x, eps):
        mu, logvar = (part[0] for part in vae.encode(row[None]))
        y = vae.decode((mu + np.exp(logvar / 2) * noise)[None])[0]
        total += -np.sum(row * np.log(y) + (1 - row) * np.log(1 - y))
        total += beta * 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar)
    assert vae.loss(x, eps) == pytest.approx(total / 4, rel=1e-13)


# One batch can be memorised

@pytest.mark.parametrize("likelihood, bound", [("bernoulli", 10.0), ("gaussian", -750.0), ("gaussian-learned", -750.0)])
def test_one_batch_can_be_overfitted(likelihood, bound, rng):
    """Ten images, beta 0 and no noise in z: the loss falls below that of the very process that made the images.

    For binary images that is 0.  For the Gaussians each pixel gets noise of sigma 0.1, whose entropy is
    784 (log 0.1 + 1/2 log(2 pi e)) = -693 nats: below it, the noise was learned by heart.  The best step counts, for a
    learned variance may go to 0 and its likelihood has no bound, so that Adam overshoots now and then.
    """
    x = (nv.datasets.strokes(10, seed=1)[0].reshape(10, -1) > 127).astype(np.float32)
    if likelihood != "bernoulli":
        x += 0.1 * rng.standard_normal(x.shape, np.float32)
    vae = nv.VAE.dense(784, (64,), 16, likelihood=likelihood, sigma=0.1, beta=0.0, rng=rng)
    adam, eps, losses = nv.Adam(lr=3e-3), np.zeros((10, 16), np.float32), []
    for _ in range(600):
        losses.append(vae.loss_and_grad(x, eps).loss)
        adam.step(vae.parameters)
    assert min(losses) < bound < losses[0]
