"""Numbers that were silently wrong once: overflow, cancellation, a grid too coarse, a shared generator, and so on."""
import contextlib
import itertools
import json
import pickle

import numpy as np
import pytest
from scipy import stats

import numpyvae as nv
from numpyvae import evaluation, exact
from numpyvae.cli.evaluate import measure
from numpyvae.datasets import DataSet
from numpyvae.evaluation import factors
from numpyvae.evaluation.likelihood import LogLikelihood, _estimate, _pareto_k
from numpyvae.functional.discretized_logistic import discretized_logistic_mean
from numpyvae.models.likelihoods import make_likelihood
from numpyvae.report import summary

both_paths = pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


# Nearest neighbours

def brute_force(codes, labels, test_codes, test_labels):
    codes, test_codes = codes.astype(np.longdouble), test_codes.astype(np.longdouble)
    nearest = [np.argmin(np.sum((codes - one)**2, axis=1)) for one in test_codes]
    return np.mean(labels[nearest] == test_labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float16])
def test_neighbours_are_the_nearest_in_every_dtype(dtype, rng):
    """With whole numbers' own arithmetic, a square wraps around at 256."""
    codes, test_codes = (rng.integers(0, 120, (n, 3)).astype(dtype) for n in (200, 300))
    labels, test_labels = rng.integers(0, 3, 200), rng.integers(0, 3, 300)
    found = evaluation.nearest_neighbour_accuracy(codes, labels, test_codes, test_labels)
    assert found == brute_force(codes, labels, test_codes, test_labels)


@pytest.mark.parametrize("where", [0, 3000, 1e6])
@pytest.mark.parametrize("outlier", [0, 1e7])
@both_dtypes
def test_neighbours_are_the_nearest_wherever_the_codes_lie(where, outlier, dtype, rng):
    codes, test_codes = ((where + rng.standard_normal((n, 2))).astype(dtype) for n in (300, 300))
    codes[0] += outlier
    labels, test_labels = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    found = evaluation.nearest_neighbour_accuracy(codes, labels, test_codes, test_labels)
    assert found == brute_force(codes, labels, test_codes, test_labels)


# What a code knows about a factor

def test_a_factor_that_never_changes_has_nothing_to_tell(rng):
    found = evaluation.factor_recovery(rng.standard_normal((100, 2)), {"constant": np.ones(100), "u": rng.random(100)})
    np.testing.assert_array_equal(found[0], [0, 0])
    assert np.isfinite(evaluation.mutual_information_gap(found))


@pytest.mark.parametrize("share", [0.9, 0.98, 0.995])
def test_a_factor_that_is_mostly_zero_is_recovered_by_a_code_that_is_it(share, rng):
    values = np.where(np.arange(4000) < share * 4000, 0, 1 + rng.random(4000))
    codes = np.stack([values, -values, np.exp(values), rng.standard_normal(4000)], axis=1)
    found = evaluation.factor_recovery(codes, {"spikes": values})[0]
    np.testing.assert_allclose(found[:3], 1, rtol=1e-9)
    assert abs(found[3]) < 0.06


def test_information_by_chance_is_the_mean_over_all_ways_to_deal():
    v, z = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 2, 2, 2])
    every = [factors._information(np.histogram2d(v, np.array(dealt), bins=3)[0].astype(int))
             for dealt in itertools.permutations(z)]
    assert factors._by_chance(np.bincount(v), np.bincount(z)) == pytest.approx(np.mean(every), rel=1e-12)


@pytest.mark.parametrize("n", [20, 50, 200, 500, 2000])
def test_an_unrelated_code_gets_0_for_every_n(n):
    """On average, and a single one within the error that the docstring states."""
    rng = np.random.default_rng(n)
    columns = {"continuous": rng.random(n), "classes": np.arange(n) % 4}
    found = evaluation.factor_recovery(rng.standard_normal((n, 400)), columns)
    error = found.std(axis=1)
    assert (np.abs(found.mean(axis=1)) < 5 * error / 20).all()
    bins = min(20, max(2, int((n / 5)**0.5)))
    r, c, entropy = np.array([bins, 4]), bins, np.log([bins, 4])
    stated = np.sqrt((r - 1) * (c - 1) / 2) / (n * (entropy - (r - 1) * (c - 1) / (2 * n)))
    np.testing.assert_allclose(error, stated, rtol=0.3)
    assert (error < {20: 0.1, 50: 0.04, 200: 0.015, 500: 0.01, 2000: 0.003}[n]).all()


def test_recovery_is_the_share_of_information(rng):
    """A code that says which half of four classes: log 2 of log 4."""
    classes = rng.integers(0, 4, 20_000)
    found = evaluation.factor_recovery((classes // 2)[:, None], {"class": classes})
    assert found[0, 0] == pytest.approx(0.5, abs=1e-3)


# The error of log p(x)

def weights_of(rng, truth, spread, samples):
    """Logarithms of weights whose mean is exp(truth): what q makes of an image that it nearly knows."""
    return truth + spread * rng.standard_normal(samples) - spread**2 / 2


@pytest.mark.no_judge
@pytest.mark.parametrize("between", [0.0, 0.05, 3.0])
def test_the_standard_error_covers_the_truth(between):
    """95 +- 2 % of 1,000 repetitions, whether the images or the draws differ more."""
    rng = np.random.default_rng(5)
    right = 0
    for _ in range(1000):
        found = [_estimate(weights_of(rng, between * rng.standard_normal(), 0.3, 24)) for _ in range(50)]
        likelihood = LogLikelihood(*np.array(found).T)
        bias = -0.3**2 / 2 / 24    # Jensen's: var(w) / 2 K
        right += abs(likelihood.mean - bias) < 1.96 * likelihood.standard_error
    assert 930 <= right <= 970


def test_deviations_are_the_sample_s():
    value, error, size, _ = _estimate(np.log([1.0, 3.0]))
    assert value == pytest.approx(np.log(2)) and size == pytest.approx(1.6)
    assert error == pytest.approx(np.std([1, 3], ddof=1) / 2 / np.sqrt(2))
    found = LogLikelihood(np.array([-1.0, -4.0]), np.zeros(2), np.ones(2))
    assert found.standard_error == pytest.approx(stats.sem([-1, -4]))


def test_images_that_happen_to_agree_do_not_hide_their_own_errors():
    found = LogLikelihood(np.array([-1.0, -1.0]), np.array([0.3, 0.4]), np.ones(2))
    assert found.standard_error == pytest.approx(np.sqrt((0.09 + 0.16) / 2 / 2))


def test_one_image_does_not_tell_how_others_differ():
    found = LogLikelihood(np.array([-272.38]), np.array([0.7]), np.array([2.0]))
    assert np.isnan(found.standard_error)
    assert "unknown: one image" in found.caveat and "±" not in str(found) and "-272.38 nats" in str(found)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.8])
def test_the_tail_s_shape_is_a_pareto_s(k, rng):
    found = [_pareto_k(1 + rng.pareto(1 / k, 4000)) for _ in range(40)]
    assert np.mean(found) == pytest.approx(k, abs=0.05)


def test_tails_without_a_shape():
    assert _pareto_k(np.ones(100)) == -np.inf    # q is the posterior
    assert np.isnan(_pareto_k(np.arange(1.0, 25)))
    assert _pareto_k(np.exp(np.r_[np.zeros(99), 400.0] - 400)) > 1    # one weight is all that counts


@pytest.mark.parametrize("width, poor", [(1.2, False), (0.95, False), (0.5, True)])
def test_a_poor_q_is_said_so_beside_the_number(width, poor):
    """q too narrow by half: 95 % intervals then hold the truth in 1 of 2 cases, as is seen here too."""
    rng = np.random.default_rng(0)
    right = []
    for _ in range(40):
        found = []
        for _ in range(6):
            z = width * rng.standard_normal((300, 5))
            found.append(_estimate(np.sum(np.log(width) - 0.5 * z**2 + 0.5 * (z / width)**2, axis=1)))
            right.append(abs(found[-1][0]) < 1.96 * found[-1][1])
        likelihood = LogLikelihood(*np.array(found).T)
        assert ("q is poor" in str(likelihood)) == poor
    assert (np.mean(right) < 0.85) == poor


def test_the_command_says_so_too(rng):
    images = rng.integers(0, 256, (30, 12), np.uint8)
    data = DataSet("noise", images, images)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    vae.parameters["logvar_head.b"][:] = -8    # a q too narrow for anything
    for samples, n, words in ((100, 20, "q is poor"), (10, 20, "so few samples"), (100, 1, "unknown: one image")):
        result = json.loads(json.dumps(measure(vae, data, samples, n, "none", 0), allow_nan=False))
        name, value, hint = summary.lines(result)[0]
        assert name == "log p(x)" and words in hint and words in result["caveat"]
        assert (result["standard_error"] is None) == (n == 1) == ("±" not in value)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    assert measure(vae, data, 100, 20, "none", 0)["caveat"] == ""


def test_each_measure_has_a_generator_of_its_own_and_the_same_pixels(rng):
    images = rng.integers(0, 256, (60, 12), np.uint8)
    data = DataSet("noise", images, images, np.arange(60) % 3, np.arange(60) % 3)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    few, many = (measure(vae, data, 20, n, "dynamic", 0) for n in (5, 40))
    own = {"log_likelihood", "standard_error", "images", "effective_sample_size", "caveat"}
    assert all(few[name] == many[name] for name in few if name not in own)
    assert few["nearest_neighbour_accuracy"] == 1    # of training images that are the test images, drawn alike


# Training does not depend on what is validated

def trained(validation, binarize, epochs=3, **options):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (40, 12), np.uint8)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(1e-2), epochs=epochs, batch_size=8, rng=rng, binarize=binarize,
                          validation=None if validation is None else images[:validation], **options))
    return vae.parameters.values, rng.random(), records


@pytest.mark.parametrize("binarize", ["none", "static", "dynamic"])
def test_validation_changes_nothing_in_what_is_learned(binarize):
    alone, after, _ = trained(None, binarize)
    for n in (1, 7, 40):
        values, random, _ = trained(n, binarize)
        np.testing.assert_array_equal(values, alone)
        assert random == after


class Still:
    def step(self, parameters):
        pass


def test_every_epoch_is_validated_with_the_same_noise_and_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 12), np.uint8)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    records = list(nv.fit(vae, images, optimizer=Still(), epochs=3, batch_size=8, rng=rng, binarize="dynamic",
                          validation=images))
    assert len({record.validation for record in records}) == 1
    assert len({record.loss for record in records}) == 3


@pytest.mark.parametrize("binarize", ["none", "static", "dynamic"])
def test_a_killed_run_is_validated_as_if_it_had_not_been(binarize, tmp_path):
    values, _, records = trained(7, binarize)
    steps = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        trained(7, binarize, checkpoint=tmp_path / "c.npz", stop=lambda: next(steps) == 7)
    again, _, resumed = trained(7, binarize, resume=tmp_path / "c.npz")
    np.testing.assert_array_equal(again, values)
    assert [record.validation for record in resumed] == [record.validation for record in records]


# Exact answers are exact, or refused

def linear(n_latent, n_data, sigma, dtype=np.float64):
    vae = nv.VAE.dense(n_data, (), n_latent, "gaussian", sigma=sigma, rng=np.random.default_rng(3), dtype=dtype)
    W, b = (vae.parameters[f"decoder.0.{name}"].astype(float) for name in "Wb")
    return vae, b, lambda x: stats.multivariate_normal(b, W.T @ W + sigma**2 * np.eye(n_data)).logpdf(x)


@pytest.mark.parametrize("n_latent", [1, 2])
@pytest.mark.parametrize("sigma", [0.5, 0.1, 0.03, 0.01, 0.003])
@pytest.mark.parametrize("where", ["near", "half way between two points", "far"])
@both_dtypes
def test_quadrature_is_right_or_refuses(n_latent, sigma, where, dtype):
    vae, b, truth = linear(n_latent, 4, sigma, dtype)
    x = {"near": b + 0.3, "half way between two points": b, "far": b + 10}[where][None]
    refused = None
    try:
        assert exact.log_likelihood(vae, x)[0] == pytest.approx(truth(x), abs=1e-4, rel=1e-9)
        z, p = exact.posterior(vae, x)
        W = vae.parameters["decoder.0.W"].astype(float)
        M = W @ W.T + sigma**2 * np.eye(n_latent)
        np.testing.assert_allclose((p @ z)[0], np.linalg.solve(M, W @ (x[0] - b)), atol=1e-5)
        covariance = np.linalg.inv(M) * sigma**2
        np.testing.assert_allclose(np.cov(z.T, aweights=p[0], ddof=0), covariance.squeeze(), rtol=1e-3, atol=1e-9)
    except ValueError as error:
        refused = str(error)
    assert refused is None or ("importance sampling" in refused and "image 0" in refused)
    assert refused is None or (n_latent == 2 and sigma <= 0.1)    # in one dimension there is always a grid


def test_each_image_has_the_grid_that_it_needs():
    vae, b, truth = linear(1, 4, 0.05)
    x = np.stack([b, b + 0.1, b + 10, b - 0.2])
    np.testing.assert_allclose(exact.log_likelihood(vae, x), truth(x), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(exact.log_likelihood(vae, x, points=5, reach=1.0), truth(x), rtol=1e-9, atol=1e-6)


def test_labels_stay_with_their_images_on_every_grid(rng):
    vae = nv.ConditionalVAE.dense(4, (), 1, "gaussian", sigma=0.05, n_classes=3, rng=rng, dtype=np.float64)
    x, labels = np.stack([np.zeros(4), np.full(4, 8.0), np.full(4, 0.1)]), np.array([2, 0, 1])
    one_by_one = [exact.log_likelihood(vae, x[i:i + 1], points=3000, reach=60, labels=labels[i])[0] for i in range(3)]
    np.testing.assert_allclose(exact.log_likelihood(vae, x, labels=labels), one_by_one, rtol=1e-9)


def test_log_sum_exp_of_nothing_and_of_infinity():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(exact.log_sum_exp([[-np.inf, -np.inf], [np.inf, 0.0]]), [-np.inf, np.inf])


@pytest.mark.parametrize("means, weights, truth", [
    ([0, 1e5], None, np.log(2)), ([0, 1e12], [0.25, 0.75], -0.25 * np.log(0.25) - 0.75 * np.log(0.75)),
    ([0, 1e5, 7e6], [0.5, 0.5, 0], np.log(2)), (np.arange(50) * 1e3, None, np.log(50)),
])
def test_a_mixture_s_entropy_does_not_depend_on_distance(means, weights, truth):
    assert exact.mixture_entropy(means, 1.0, weights) == pytest.approx(truth + exact.gaussian_entropy(1), rel=1e-12)


def test_a_mixture_s_entropy_is_the_integral():
    means, weights = np.array([-1.0, 0.5, 3.0]), np.array([0.2, 0.5, 0.3])
    x = np.linspace(-15, 18, 400_001)
    p = stats.norm.pdf(x[:, None], means, 0.7) @ weights
    found = exact.mixture_entropy(means, 0.7, weights)
    assert found == pytest.approx(-np.sum(p * np.log(p)) * (x[1] - x[0]), rel=1e-10)
    assert exact.mixture_entropy(means + 1e6, 0.7, weights) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("weights, words", [([1.0, 1.0], "1 and the sum 2"), ([1.5, -0.5], "-0.5 and the sum 1")])
def test_weights_that_are_none_are_named(weights, words):
    with pytest.raises(ValueError, match=f"weights has values from {words}; .* with the sum 1: divide"):
        exact.mixture_entropy([0, 1], 1.0, weights)


def test_pixels_as_bytes_do_not_wrap_around():
    x, mean = np.array([[3, 250]], np.uint8), np.array([5, 240], np.uint8)
    assert exact.gaussian_log_likelihood(x, mean, 9 * np.eye(2, dtype=np.uint8)) == pytest.approx(
        stats.norm(0, 3).logpdf([-2, 10]).sum())


def test_the_same_loss_has_a_constant_however_small_sigma_is():
    assert exact.same_loss_constant(2, 1e-140, 1e-140) == pytest.approx(np.log(2 * np.pi) - 280 * np.log(10), rel=1e-12)


# Adam

@both_paths
@both_dtypes
@pytest.mark.parametrize("g, eps", [(1e-16, 1e-20), (-1e-17, 1e-25), (1e-18, 1e-8), (1e-3, 1e-8)])
def test_adam_steps_by_its_formula_for_any_gradient(kernels, dtype, g, eps):
    """The square of a small gradient was taken as 0, and its mean was not: a step of 10 in place of 0.001."""
    class Given:
        values, grads = np.zeros(3, dtype), np.full(3, g, dtype)

    parameters, optimizer = Given(), nv.Adam(lr=1e-3, eps=eps)
    with kernels():
        for t in range(1, 4):
            before = parameters.values.copy()
            optimizer.step(parameters)
            np.testing.assert_allclose(parameters.values - before, -1e-3 * g / (abs(g) + eps), rtol=1e-3)


@both_paths
def test_adam_s_steps_fade_with_a_gradient_that_is_gone(kernels):
    class Given:
        values, grads = np.zeros(1, np.float32), np.full(1, 1e-3, np.float32)

    parameters, optimizer = Given(), nv.Adam(lr=1e-3, eps=1e-30)
    with kernels():
        optimizer.step(parameters)
        parameters.grads = np.zeros(1, np.float32)
        for t in range(2, 1000):
            before = parameters.values.copy()
            optimizer.step(parameters)
            assert abs(parameters.values - before) <= 1e-3 * 0.1 * 0.9**(t - 1) * 32 + 1e-9
    assert optimizer.mean[0] == 0 and optimizer.square[0] > 0


# The rest

@pytest.mark.parametrize("objective", [nv.objectives.iwae, nv.objectives.dreg, nv.objectives.sticking_the_landing])
def test_a_bound_and_a_warmup_do_not_go_together(objective, rng):
    images = rng.integers(0, 256, (40, 12), np.uint8)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    with pytest.raises(ValueError, match=f"warmup is 1; expected 0 with the objective {objective.__name__}"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=8, rng=rng, objective=objective, warmup=1)
    vae.beta = 4.0
    with pytest.raises(ValueError, match="^beta is 4; expected 1 with the objective"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=8, rng=rng, objective=objective)


def arrays_in(value, seen):
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
    for part in (value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else
                 vars(value).values() if hasattr(value, "__dict__") else ()):
        yield from arrays_in(part, seen)


@pytest.mark.parametrize("left_early", [False, True])
@pytest.mark.parametrize("make", [
    lambda rng: nv.ConditionalVAE.dense(12, (6,), 2, n_classes=3, rng=rng),
    lambda rng: nv.FullCovarianceVAE.dense(12, (6,), 2, rng=rng),
    lambda rng: nv.Autoencoder.dense(12, (6,), 2, rng=rng), lambda rng: nv.VAE.conv((4, 3, 1), (2, 3), 5, 2, rng=rng)])
def test_after_training_a_model_holds_only_weights(make, left_early, rng):
    vae, images = make(rng), rng.integers(0, 256, (40, 12), np.uint8)
    labels = np.arange(40) % 3 if vae.n_classes else None
    records = nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=8, rng=rng, labels=labels)
    if left_early:
        next(records)
        del records
    else:
        list(records)
    fresh = pickle.loads(pickle.dumps(vae))    # which has nothing from forward or backward
    kept, expected = (sorted(array.shape for array in arrays_in(model, set())) for model in (vae, fresh))
    assert kept == expected
    assert np.isfinite(vae.reconstruct(images[:5] / 255, **({} if labels is None else {"labels": labels[:5]}))).all()


@both_dtypes
@pytest.mark.parametrize("log_s", [-60, -20, -3, -0.1, 0.0, 0.1, 3, 10, 15, 17, 60])
def test_the_discretized_logistic_s_mean_has_its_digits_for_every_scale(dtype, log_s):
    m = np.array([-1e4, -2, 0, 0.2, 0.5, 0.50001, 0.9, 1, 3, 1e4])
    theta = np.stack([m, np.full(10, log_s)], axis=1).astype(dtype)
    found = discretized_logistic_mean(theta)
    t = (np.arange(200_000) + 0.5) / 200_000
    at_the_edge = np.log(2) * np.exp(log_s) * ((m == 0).astype(float) - (m == 1))
    truth = (np.clip(m, 0, 1) + at_the_edge if log_s < -4 else
             [np.mean(stats.logistic.cdf(one, t, np.exp(log_s))) for one in m])
    assert found.dtype == dtype
    np.testing.assert_allclose(found[:, 0], truth, atol=2e-7 if dtype == np.float32 else 1e-9)


@both_dtypes
@pytest.mark.parametrize("theta", [0.0, 1e-5, -1e-3, 2e-6])
def test_the_continuous_bernoulli_is_drawn_right_near_0(dtype, theta, rng):
    """exp(-a) in float32 has no digits to spare for 1 - exp(-a)."""
    x = make_likelihood("continuous-bernoulli", 1.0).sample(np.full((1, 100_000), theta, dtype), rng)
    assert stats.kstest(x[0], stats.uniform.cdf).pvalue > 1e-6
    assert np.mean(x == 0) < 1e-4
