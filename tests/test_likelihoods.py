"""Likelihoods: do they integrate to one, do means and samples match the density, what do they refuse?"""
import contextlib
import warnings

import numpy as np
import pytest
from scipy import integrate

import numpyvae as nv
from numpyvae.functional.continuous_bernoulli import continuous_bernoulli_mean, continuous_bernoulli_nll
from numpyvae.functional.discretized_logistic import discretized_logistic_mean, discretized_logistic_nll
from numpyvae.models.likelihoods import LIKELIHOODS, WITH_SIGMA, make_likelihood

LOGITS = [-1e4, -60.0, -3.0, -0.6, -0.5, -0.4, -1e-3, -1e-9, 0.0, 1e-9, 0.3, 0.5, 2.0, 30.0, 1e4]
LOGISTICS = [(0.5, -2.0), (0.2, -6.0), (0.0, 0.0), (1.3, -1.0), (-0.4, 2.0), (0.5, -9.0), (0.4001, -20.0), (0.5, 10.0)]


@pytest.mark.parametrize("logit", [a for a in LOGITS if abs(a) < 100])
def test_the_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    def density(x):
        return np.exp(-continuous_bernoulli_nll(np.array([[logit]]), np.array([[x]])))[0]
    assert integrate.quad(density, 0, 1)[0] == pytest.approx(1, rel=1e-9)
    mean = integrate.quad(lambda x: x * density(x), 0, 1)[0]
    assert continuous_bernoulli_mean(np.array([[logit]]))[0, 0] == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", [contextlib.nullcontext, nv.kernels_off])
def test_every_function_keeps_the_dtype(name, dtype, mode, rng):
    likelihood = make_likelihood(name, 0.7 if name in WITH_SIGMA else 1.0)
    theta = rng.standard_normal((3, 4 * likelihood.outputs_per_pixel)).astype(dtype)
    x = rng.integers(0, 2, (3, 4)).astype(dtype)
    with mode():
        arrays = [likelihood.nll(theta, x), *likelihood.nll_and_grad(np.ones(3, dtype), theta, x),
                  likelihood.mean(theta), likelihood.sample(theta, rng)]
    assert [array.dtype for array in arrays] == [dtype] * len(arrays)


def test_the_series_near_zero_meets_the_formula():
    """On both sides of the place where the one takes over from the other, in both precisions."""
    for dtype, bound in ((np.float64, 1e-12), (np.float32, 1e-6)):
        a = np.array([[-0.5, 0.5]], dtype) * np.array([[1 - 1e-5], [1 + 1e-5]], dtype)
        below, above = continuous_bernoulli_mean(a)
        slope = 1 / 12 - 3 * 0.5**2 / 720 + 5 * 0.5**4 / 30240 - 7 * 0.5**6 / 1209600
        assert np.abs(above - below - slope * (a[1] - a[0])).max() < bound


@pytest.mark.parametrize("m, log_s", LOGISTICS)
def test_the_discretized_logistic_s_levels_sum_to_one_and_have_its_mean(m, log_s):
    levels = np.arange(256) / 255
    theta = np.tile([m, log_s], (256, 1))
    p = np.exp(-discretized_logistic_nll(theta, levels[:, None]))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert discretized_logistic_mean(theta[:1])[0, 0] == pytest.approx(np.sum(p * levels), abs=1 / 510)


@pytest.mark.parametrize("name", [name for name, kind in LIKELIHOODS.items() if kind.support is None])
def test_a_density_over_all_numbers_integrates_to_one_and_has_its_mean_and_draws(name, rng):
    likelihood = make_likelihood(name, 0.7 if name in WITH_SIGMA else 1.0)
    theta = np.array([[0.3] * likelihood.outputs_per_pixel])

    def density(x):
        return np.exp(-likelihood.nll(theta, np.array([[x]])))[0]
    assert integrate.quad(density, -np.inf, np.inf)[0] == pytest.approx(1, rel=1e-7)
    mean = integrate.quad(lambda x: x * density(x), -np.inf, np.inf)[0]
    assert likelihood.mean(theta)[0, 0] == pytest.approx(mean, rel=1e-6)
    draws = likelihood.sample(np.repeat(theta, 100_000, axis=0), rng)[:, 0]
    for x in (-1.0, 0.0, 0.3, 1.0, 2.0):
        below = integrate.quad(density, -np.inf, x)[0]
        assert (draws < x).mean() == pytest.approx(below, abs=5 * 0.5 / 100_000**0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_extremes_stay_finite(name, dtype):
    likelihood = make_likelihood(name, 1.0)
    n = likelihood.outputs_per_pixel
    scale = {"bernoulli": 1e4, "continuous-bernoulli": 1e4}.get(name, 80.0)
    theta = np.array([[s * scale] * n for s in (-1, 0, 1)], dtype)
    if name in ("gaussian-learned", "gaussian-shared"):
        theta[:, 0] = [-1, 0, 1]    # (x - m)^2 exp(80) is beyond float32 for m = 80, as it should be
    for x in (0.0, 1.0, 128 / 255):
        for kernels in (nv.kernels_off, contextlib.nullcontext):
            with kernels():
                nll, dtheta = likelihood.nll_and_grad(np.ones(3, dtype), theta, np.full((3, 1), x, dtype))
                assert np.isfinite(nll).all() and np.isfinite(dtheta).all()
                assert np.isfinite(likelihood.mean(theta)).all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_have_the_mean_and_keep_the_dtype(name, rng):
    likelihood = make_likelihood(name, 0.3 if name in WITH_SIGMA else 1.0)
    n = 40_000
    theta = np.repeat([[0.8] + [-2.5] * (likelihood.outputs_per_pixel - 1)], n, axis=0).astype(np.float32)
    draws, mean = likelihood.sample(theta, rng), likelihood.mean(theta)
    assert draws.dtype == mean.dtype == np.float32 and draws.shape == (n, 1)
    assert draws.mean() == pytest.approx(mean[0, 0], abs=4 * draws.std() / np.sqrt(n) + 1e-4)
    likelihood.check(draws)


def test_draws_of_the_continuous_bernoulli_have_its_density(rng):
    for logit in (-4.0, 0.0, 1.5):
        draws = make_likelihood("continuous-bernoulli", 1.0).sample(np.full((50_000, 1), logit), rng)
        for t in (0.2, 0.5, 0.9):
            exact = t if logit == 0 else np.expm1(logit * t) / np.expm1(logit)
            assert np.mean(draws <= t) == pytest.approx(exact, abs=4 * 0.5 / np.sqrt(50_000))


def test_pixels_between_levels_are_refused(rng):
    vae = nv.VAE.dense(4, (3,), 2, "discretized-logistic", rng=rng)
    with pytest.raises(ValueError, match="between the levels 0, 1/255.*give bytes"):
        vae.loss(np.full((1, 4), 0.5), np.zeros((1, 2)))
    assert np.isfinite(vae.loss(np.full((1, 4), 128 / 255), np.zeros((1, 2))))


@pytest.mark.parametrize("name", ["continuous-bernoulli", "discretized-logistic"])
def test_grey_images_train_save_and_load(name, rng, tmp_path):
    images = np.clip(rng.normal(120, 40, (60, 1)) + rng.normal(0, 8, (60, 9)), 0, 255).astype(np.uint8)
    vae = nv.VAE.dense(9, (12,), 2, name, rng=rng)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(1e-2), epochs=60, batch_size=20, rng=rng))
    assert records[-1].loss < records[0].loss
    vae.save(tmp_path / "model.npz")
    assert nv.load(tmp_path / "model.npz").likelihood.name == name


@pytest.mark.parametrize("make", [
    lambda **o: nv.VAE.dense(4, (3,), 2, **o), lambda **o: nv.VAE.conv((4, 4, 1), (2,), 3, 2, **o),
    lambda **o: nv.Autoencoder.dense(4, (3,), 2, **o), lambda **o: nv.Autoencoder.conv((4, 4, 1), (2,), 3, 2, **o),
    lambda **o: nv.ConditionalVAE.dense(4, (3,), 2, **o), lambda **o: nv.FullCovarianceVAE.dense(4, (3,), 2, **o),
    lambda **o: nv.FullCovarianceVAE.conv((4, 4, 1), (2,), 3, 2, **o)])
@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
def test_a_sigma_without_effect_is_said(likelihood, make, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(likelihood=likelihood, rng=rng)
        if likelihood in WITH_SIGMA:
            assert make(likelihood=likelihood, sigma=3, rng=rng).likelihood.sigma == 3
            return
    with pytest.warns(UserWarning, match=f"sigma is 3, which has no effect on the likelihood '{likelihood}'; expected"):
        model = make(likelihood=likelihood, sigma=3, rng=rng)
    assert not hasattr(model.likelihood, "sigma")
