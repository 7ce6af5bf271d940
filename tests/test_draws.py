"""Whatever is drawn has the distribution that its own density says: in each number, and in how the numbers depend.

Every sampler is held to the density of the same object by a goodness-of-fit test, by moments up to the fourth, and by
the covariance between pixels, rows and latent dimensions.  The seeds are fixed; with any other, a right sampler fails
one of these checks once in a million runs.
"""
import contextlib

import numpy as np
import pytest
from scipy import stats

import numpyvae as nv
from numpyvae.datasets.toy import two_gaussians
from numpyvae.models.likelihoods import LIKELIHOODS, make_likelihood
from numpyvae.models.posteriors import Diagonal, DiagonalGaussian, Full, FullGaussian
from numpyvae.models.priors import StandardNormal
from numpyvae.nn.layers import INITS, first_weights
from numpyvae.training.batches import Pixels

ALARM = 1e-6 / 1000    # no test makes more comparisons
FAR = stats.norm.isf(ALARM / 2)    # in standard deviations
N = 20_000
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_paths = pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])

THETAS = {    # three pixels, unlike each other
    "bernoulli": [-1.5, 0.0, 2.0], "continuous-bernoulli": [-4.0, 0.3, 9.0], "gaussian": [-1.0, 0.2, 3.0],
    "student-t": [-1.0, 0.2, 3.0], "gaussian-learned": [-1.0, 0.2, 3.0, -2.0, 0.0, 1.5],
    "gaussian-shared": [-1.0, 0.2, 3.0, -0.5, -0.5, -0.5], "discretized-logistic": [0.1, 0.5, 1.02, -3.5, -1.0, -2.0]}
SIGMA = 0.7


class Marginal:
    """A pixel's distribution as its nll has it: values (K,), and the probability of each, or of the cell around it."""

    def __init__(self, likelihood, theta):
        if likelihood.levels is not None or likelihood.name == "bernoulli":
            self.values = np.linspace(0, 1, likelihood.levels or 2)
            self.cell = 1.0
        else:
            low, high = likelihood.support or (theta[0] - 60, theta[0] + 60)
            self.cell = (high - low) / 240_000
            self.values = low + (np.arange(240_000) + 0.5) * self.cell
        rows = np.tile(np.asarray(theta, float), (len(self.values), 1))
        self.p = np.exp(-likelihood.nll(rows, self.values[:, None])) * self.cell
        self.discrete = self.cell == 1.0

    def mean(self, f):
        return self.p @ f(self.values)

    def cdf(self, x):
        return np.interp(x, np.r_[self.values + self.cell / 2], np.cumsum(self.p), left=0.0)


def pixels_of(likelihood, theta):
    return [Marginal(likelihood, one) for one in np.reshape(theta, (likelihood.outputs_per_pixel, -1)).T]


def fits(x, marginal):
    """The p-value of a chi-square test for levels, of Kolmogorov and Smirnov's for numbers."""
    if not marginal.discrete:
        return stats.kstest(x, marginal.cdf).pvalue
    counts = np.bincount(np.rint(x * (len(marginal.values) - 1)).astype(int), minlength=len(marginal.values))
    rare = marginal.p * len(x) < 10    # levels with few draws count together
    seen, expected = (np.r_[a[~rare], a[rare].sum()] for a in (counts, marginal.p * len(x)))
    if expected[-1] < 10:
        seen, expected = np.r_[seen[:-2], seen[-2:].sum()], np.r_[expected[:-2], expected[-2:].sum()]
    return stats.chisquare(seen, expected * len(x) / expected.sum()).pvalue


def uncorrelated(columns):
    """Every two columns (N, C), and each with itself and the others one row later; and their squares."""
    x = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    for a in (x, x**2 - 1):
        a = a / a.std(axis=0)
        together = np.abs(np.triu(a.T @ a / len(a), 1)).max()
        later = np.abs(a[1:].T @ a[:-1] / len(a)).max()
        if not max(together, later) < FAR / np.sqrt(len(a)):
            return False
    return True


def has_moments(x, marginal, centre, scale):
    """E[t], ... E[t^4] of t = (x - centre) / scale, cut off at +-4, against sums over the density."""
    def power(values, k):
        return np.clip((values - centre) / scale, -4, 4)**k
    for k in (1, 2, 3, 4):
        expected = marginal.mean(lambda v: power(v, k))
        spread = np.sqrt(marginal.mean(lambda v: (power(v, k) - expected)**2))
        if not abs(power(x.astype(float), k).mean() - expected) < FAR * spread / np.sqrt(len(x)) + 1e-6:
            return False
    return True


def test_every_likelihood_is_here():
    assert set(THETAS) == set(LIKELIHOODS)


@both_dtypes
@pytest.mark.parametrize("name", THETAS)
def test_pixels_are_drawn_from_their_own_density(name, dtype):
    likelihood, theta = make_likelihood(name, SIGMA), np.array(THETAS[name])
    x = likelihood.sample(np.tile(theta.astype(dtype), (N, 1)), np.random.default_rng(1))
    assert x.shape == (N, 3) and x.dtype == dtype
    likelihood.check(x)
    for j, marginal in enumerate(pixels_of(likelihood, theta)):
        assert marginal.p.sum() == pytest.approx(1, abs=1e-4)
        assert fits(x[:, j], marginal) > ALARM
        mean = marginal.mean(lambda v: v)
        scale = max(np.sqrt(marginal.mean(lambda v: (v - mean)**2)), 1e-3)
        assert has_moments(x[:, j], marginal, mean, scale)
        unrounded = 0.5 / 255 if name == "discretized-logistic" else 1e-4 * scale
        assert likelihood.mean(theta[None])[0, j] == pytest.approx(mean, abs=unrounded)
    assert uncorrelated(np.clip(x.astype(float), *np.quantile(x, [0.001, 0.999], axis=0)))


def test_the_discretized_logistic_s_mean_lies_in_the_middle_of_its_levels():
    """Not half a level off: far from the edges, where rounding to levels cancels, the two means are one."""
    likelihood, theta = make_likelihood("discretized-logistic", 1.0), np.array([[0.4, 0.5, 0.6, -4.5, -4.0, -4.2]])
    for j, marginal in enumerate(pixels_of(likelihood, theta[0])):
        assert likelihood.mean(theta)[0, j] == pytest.approx(marginal.mean(lambda v: v), abs=1e-6)


@pytest.mark.parametrize("name", THETAS)
def test_a_pixel_outside_its_support_is_refused(name):
    likelihood = make_likelihood(name, SIGMA)
    inside = [np.zeros((1, 2)), np.ones((1, 2))]
    outside = [np.array([[0.0, np.nan]]), np.array([[np.inf, 0.0]])]
    if likelihood.support is not None:
        outside += [np.array([pair]) for pair in ([0, 1.001], [-0.001, 1], [0, 1.9], [255, 0.0])]
    for x in inside:
        likelihood.check(x)
    for x in outside:
        with pytest.raises(ValueError):
            likelihood.check(x)


@pytest.mark.parametrize("a", [-30.0, -3.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 3.0, 30.0])
def test_the_continuous_bernoulli_s_draws_are_the_inverse_of_its_distribution(a):
    """By hand: P(x <= t) = expm1(a t) / expm1(a), which is t for a = 0; for a < 0 the picture is mirrored."""
    u = np.random.default_rng(0).random((500, 1))
    t = np.log1p(u * np.expm1(abs(a))) / abs(a) if abs(a) > 1e-3 else u
    drawn = make_likelihood("continuous-bernoulli", 1.0).sample(np.full((500, 1), a), np.random.default_rng(0))
    np.testing.assert_allclose(drawn, 1 - t if a < 0 else t, atol=2e-7)
    assert ((0 <= drawn) & (drawn <= 1)).all()


def test_levels_are_the_nearest_ones(rng):
    x = rng.random((4, 5))
    np.testing.assert_array_equal(make_likelihood("discretized-logistic", 1.0).on_levels(x), np.rint(255 * x) / 255)
    np.testing.assert_array_equal(make_likelihood("gaussian", 1.0).on_levels(x), x)


def test_a_pixel_is_on_a_level_or_a_thousandth_of_the_way_to_the_next():
    likelihood = make_likelihood("discretized-logistic", 1.0)
    for far in (-0.97e-3, 0.97e-3):
        likelihood.check(np.array([[128 / 255 + far / 256, 0.0, 1.0]]))
        with pytest.raises(ValueError, match="between the levels 0, 1/255"):
            likelihood.check(np.array([[128 / 255 + 1.03 * far / 0.97 / 256, 0.0, 1.0]]))


@pytest.mark.parametrize("pixels, advice", [
    ([0, 255.0], "divide bytes by 255"), ([0, 32.0], "divide bytes by 255"), ([0, 31.0], "the likelihood gaussian"),
    ([-1, 255.0], "the likelihood gaussian"), ([0, 256.0], "the likelihood gaussian"), ([0, np.nan], "replace NaN")])
def test_pixels_outside_are_told_what_to_do(pixels, advice):
    with pytest.raises(ValueError, match=advice):
        make_likelihood("bernoulli", 1.0).check(np.array([pixels]))


def mean_by_hand(name, theta):
    """E[x|z] of each pixel: theta (B, n) -> (B, D), row by row and pixel by pixel."""
    theta = theta.reshape(len(theta), -1, 3)
    if name in ("gaussian", "student-t", "gaussian-learned", "gaussian-shared"):
        return theta[:, 0]
    likelihood = make_likelihood(name, SIGMA)
    return np.array([[Marginal(likelihood, pixel).mean(lambda v: v) for pixel in row.T] for row in theta])


@pytest.mark.parametrize("name", THETAS)
def test_each_row_has_its_own_mean(name):
    theta = np.array(THETAS[name]) + np.array([[0.0], [0.4]])
    likelihood = make_likelihood(name, SIGMA)
    unrounded = 0.5 / 255 if name == "discretized-logistic" else 1e-6
    np.testing.assert_allclose(likelihood.mean(theta), mean_by_hand(name, theta), atol=unrounded)
    np.testing.assert_array_equal(likelihood.mean(theta)[1:], likelihood.mean(theta[1:]))


DRAWN = {    # from theta and the generator, as NumPy would
    "bernoulli": lambda theta, rng: rng.random(theta.shape) < 1 / (1 + np.exp(-theta)),
    "gaussian": lambda theta, rng: theta + SIGMA * rng.standard_normal(theta.shape),
    "student-t": lambda theta, rng: theta + SIGMA * rng.standard_t(4, theta.shape),
    "gaussian-learned": lambda theta, rng: (
        theta[:, :3] + np.exp(theta[:, 3:] / 2) * rng.standard_normal((len(theta), 3))),
    "discretized-logistic": lambda theta, rng: np.rint(255 * np.clip(
        theta[:, :3] + np.exp(theta[:, 3:]) * rng.logistic(size=(len(theta), 3)), 0, 1)) / 255}


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_generator_draws_the_same_pixels(name):
    theta = np.tile(THETAS[name], (50, 1))
    drawn = make_likelihood(name, SIGMA).sample(theta, np.random.default_rng(3))
    np.testing.assert_allclose(drawn, DRAWN[name](theta, np.random.default_rng(3)), rtol=1e-12)


class Lowest:
    """A generator whose every draw is the lowest that there is."""

    random = staticmethod(np.zeros)


def test_a_pixel_of_probability_0_is_never_drawn():
    assert not make_likelihood("bernoulli", 1.0).sample(np.full((2, 3), -1e4), Lowest()).any()


def test_rounding_draws_no_grey_below_black_or_above_white():
    drawn = make_likelihood("continuous-bernoulli", 1.0).sample(np.linspace(-60, 60, 100_000)[None], Lowest())
    assert 0 <= drawn.min() and drawn.max() <= 1


@pytest.mark.parametrize("posterior", [DiagonalGaussian, FullGaussian])
def test_noise_and_codes_are_the_generator_s_normal_draws(posterior):
    expected = np.random.default_rng(0).standard_normal((5, 3), np.float32)
    q = posterior(2, 3, rng=np.random.default_rng(1))
    for drawn in (q.noise(5, np.random.default_rng(0), np.dtype("f4")),
                  StandardNormal(3).sample(5, np.random.default_rng(0), np.dtype("f4"))):
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("name", THETAS)
def test_means_and_draws_are_new_arrays(name):
    likelihood, theta = make_likelihood(name, SIGMA), np.array([THETAS[name]])
    kept = theta.copy()
    for made in (likelihood.mean(theta), likelihood.sample(theta, np.random.default_rng(0))):
        assert not np.shares_memory(made, theta)
    np.testing.assert_array_equal(theta, kept)


# Codes

def normal(z, mu, covariance):
    """Whether the draws z (N, Z) are independent ones from N(mu, covariance)."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), (z - mu).T).T
    moments = [(white**k).mean(axis=0) - expected for k, expected in ((1, 0), (2, 1), (3, 0), (4, 3))]
    spread = np.sqrt(np.array([1, 2, 15, 96]) / len(z))    # of the mean of t^k
    return (all(stats.kstest(column, "norm").pvalue > ALARM for column in white.T) and uncorrelated(white)
            and all((np.abs(m) < FAR * s).all() for m, s in zip(moments, spread)))


@both_dtypes
@both_paths
def test_a_diagonal_posterior_is_drawn_from_its_own_density(dtype, kernels):
    rng = np.random.default_rng(2)
    posterior = DiagonalGaussian(2, 3, rng=rng, dtype=dtype)
    mu, logvar = np.array([-1.0, 0.5, 2.0]), np.array([-3.0, 0.0, 1.0])
    with kernels():
        q = Diagonal(*(np.tile(part.astype(dtype), (N, 1)) for part in (mu, logvar)))
        z = posterior.reparameterize(q, posterior.noise(N, rng, np.dtype(dtype)))
        assert z.dtype == dtype and normal(z.astype(float), mu, np.diag(np.exp(logvar)))
        np.testing.assert_allclose(posterior.log_density(q, z), stats.multivariate_normal(
            mu, np.diag(np.exp(logvar))).logpdf(z), rtol=2e-4 if dtype == np.float32 else 1e-10)


@both_dtypes
@both_paths
def test_a_correlated_posterior_is_drawn_from_its_own_density(dtype, kernels):
    rng = np.random.default_rng(3)
    posterior = FullGaussian(2, 3, rng=rng, dtype=dtype)
    mu, logvar, lower = np.array([-1.0, 0.5, 2.0]), np.array([-1.0, 0.0, 1.0]), rng.standard_normal((3, 3))
    L = np.tril(lower, -1) + np.diag(np.exp(logvar / 2))
    with kernels():
        q = Full(*(np.tile(part.astype(dtype), (N, *[1] * part.ndim)) for part in (mu, logvar, lower)))
        z = posterior.reparameterize(q, posterior.noise(N, rng, np.dtype(dtype)))
        assert z.dtype == dtype and normal(z.astype(float), mu, L @ L.T)
        np.testing.assert_allclose(posterior.log_density(q, z), stats.multivariate_normal(mu, L @ L.T).logpdf(z),
                                   rtol=2e-3 if dtype == np.float32 else 1e-9)


@both_dtypes
def test_the_prior_is_drawn_from_its_own_density(dtype):
    prior = StandardNormal(3)
    z = prior.sample(N, np.random.default_rng(4), np.dtype(dtype))
    assert z.dtype == dtype and normal(z.astype(float), np.zeros(3), np.eye(3))
    np.testing.assert_allclose(prior.log_density(z), stats.norm.logpdf(z).sum(axis=1), rtol=1e-5)


@both_dtypes
@pytest.mark.parametrize("pixel_noise", [False, True])
def test_new_images_have_the_model_s_own_distribution(dtype, pixel_noise):
    """x = b + z W + sigma noise: N(b, W^T W + sigma^2 I), or without pixel noise N(b, W^T W)."""
    rng = np.random.default_rng(5)
    vae = nv.VAE.dense(2, (), 2, "gaussian", sigma=SIGMA, rng=rng, dtype=dtype)
    W, b = (vae.parameters[f"decoder.0.{name}"].astype(float) for name in "Wb")
    x = vae.sample(N, rng, pixel_noise=pixel_noise).astype(float)
    assert normal(x, b, W.T @ W + pixel_noise * SIGMA**2 * np.eye(2))


def test_reconstructions_are_decoded_from_the_mean(rng):
    vae = nv.VAE.dense(5, (4,), 2, "gaussian", "tanh", rng=rng, dtype=np.float64)
    x, w = rng.standard_normal((6, 5)), vae.parameters
    mu = np.tanh(x @ w["encoder.0.W"] + w["encoder.0.b"]) @ w["mu_head.W"] + w["mu_head.b"]
    h = np.tanh(mu @ w["decoder.0.W"] + w["decoder.0.b"])
    np.testing.assert_allclose(vae.reconstruct(x), h @ w["decoder.1.W"] + w["decoder.1.b"], rtol=1e-12)


# A density whose best loss is known

@pytest.mark.parametrize("sigma", [None, 0.6])
def test_two_gaussians_are_drawn_as_they_are_described(sigma):
    x, part = two_gaussians(N, **({} if sigma is None else {"sigma": sigma}), rng=np.random.default_rng(9))
    assert x.shape == (N, 1) and part.shape == (N,) and set(part) == {0, 1}
    assert stats.binomtest(int(part.sum()), N).pvalue > ALARM
    for its, mean in ((0, -1), (1, 1)):
        assert normal(x[part == its], np.array([mean]), np.eye(1) * (0.25 if sigma is None else sigma)**2)
    assert uncorrelated(np.column_stack([part, x[:, 0] - (2 * part - 1)]))
    rng = np.random.default_rng(9)
    np.testing.assert_array_equal(part, rng.integers(0, 2, N))
    np.testing.assert_allclose(x[:, 0], 2 * part - 1 + (sigma or 0.25) * rng.standard_normal(N), rtol=1e-9)


# First weights

@both_dtypes
@pytest.mark.parametrize("init", INITS)
def test_first_weights_are_uniform_and_independent(init, dtype):
    made = first_weights((200, 100), 5000, 200, 100, init, np.random.default_rng(6), dtype)
    width = {"fan-in": 200**-0.5, "glorot": (6 / 300)**0.5, "he": (6 / 200)**0.5}[init]
    W = made["W"].astype(float)
    flat = stats.uniform(-width, 2 * width)
    assert made["W"].dtype == dtype and stats.kstest(W.ravel(), flat.cdf).pvalue > ALARM
    for k in (1, 2, 3, 4):
        spread = np.sqrt(flat.moment(2 * k) - flat.moment(k)**2)
        assert abs((W**k).mean() - flat.moment(k)) < FAR * spread / np.sqrt(W.size)
    assert uncorrelated(W.reshape(-1, 4))
    assert uncorrelated(W.T.reshape(-1, 4))
    if init == "fan-in":
        assert stats.kstest(made["b"].astype(float), flat.cdf).pvalue > ALARM
    else:
        assert not made["b"].any()


def test_two_layers_have_different_first_weights(rng):
    vae = nv.VAE.dense(6, (6,), 6, rng=rng)
    matrices = [vae.parameters[name].ravel() for name in vae.parameters.names if name.endswith("W")]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.9 for i, a in enumerate(matrices) for b in matrices[:i])


# Binary pixels

@both_dtypes
@both_paths
@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_each_grey_level_is_white_as_often_as_it_is_bright(binarize, kernels, dtype):
    """Of 255 steps, level v is above v: level 255 always, 0 never."""
    images = np.tile(np.arange(256, dtype=np.uint8), (2000, 1))
    with kernels():
        vae = nv.VAE.dense(256, (), 1, rng=np.random.default_rng(0), dtype=dtype)
        x = Pixels("images", images, vae, binarize, np.random.default_rng(7)).batch(np.arange(2000))[0].astype(float)
    p = np.arange(256) / 255
    assert set(np.unique(x)) == {0, 1} and not x[:, 0].any() and x[:, 255].all()
    deviation = (x.mean(axis=0) - p)[1:-1] / np.sqrt(p * (1 - p) / 2000)[1:-1]
    assert np.abs(deviation).max() < FAR + 1
    assert stats.chi2.sf(np.sum(deviation**2), 254) > ALARM
    assert abs(deviation.sum()) < FAR * np.sqrt(254)    # a step too many shows in all levels together
    assert uncorrelated(x[:, 100:120])


def test_dynamic_pixels_are_drawn_anew_and_static_ones_are_not(rng):
    images = np.full((50, 40), 128, np.uint8)
    vae = nv.VAE.dense(40, (), 1, rng=rng)
    for binarize, share in (("static", 1.0), ("dynamic", 0.5)):
        pixels = Pixels("images", images, vae, binarize, rng)
        first, again = (pixels.batch(np.arange(50))[0].copy() for _ in range(2))
        assert np.mean(first == again) == pytest.approx(share, abs=0.15 * (binarize == "dynamic"))


# The noise that training hands to an objective

@pytest.mark.parametrize("samples", [1, 5])
def test_every_step_image_and_sample_has_its_own_noise(samples):
    seen = []

    def objective(model, x, eps):
        seen.append(np.array(eps))
        return nv.LossTerms(1.0, 1.0, 0.0)

    rng = np.random.default_rng(8)
    vae = nv.VAE.dense(4, (), 2, rng=rng, dtype=np.float64)
    list(nv.fit(vae, rng.integers(0, 256, (40, 4), np.uint8), optimizer=nv.SGD(1e-9), epochs=40, batch_size=8, rng=rng,
                objective=objective, samples=samples))
    assert all(eps.shape == ((8, 2) if samples == 1 else (samples, 8, 2)) for eps in seen) and len(seen) == 200
    eps = np.array(seen).reshape(200, samples, 8, 2)
    assert len(np.unique(eps)) == eps.size
    assert normal(np.moveaxis(eps, 1, 2).reshape(-1, 2 * samples), np.zeros(2 * samples), np.eye(2 * samples))
