"""The measures of a trained VAE, each against a known answer."""
import json
import time
import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import numpyvae as nv
from numpyvae import evaluation, exact
from numpyvae.cli import main
from numpyvae.evaluation import likelihood as importance


def small_vae(likelihood="bernoulli", n_latent=1):
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(6, (4,), n_latent, likelihood, "tanh", rng=rng, dtype=np.float64)
    vae.parameters.values[:] = rng.normal(0, 0.6, len(vae.parameters))
    return vae, (rng.random((4, 6)) < 0.5).astype(float)


def linear_vae():
    """A linear VAE whose q is the true posterior, and its log p(x) on paper: N(b, W^T W + sigma^2 I)."""
    vae = nv.VAE.dense(3, (), 2, "gaussian", sigma=0.5, rng=np.random.default_rng(0), dtype=np.float64)
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]
    W[1] -= W[1] @ W[0] / (W[0] @ W[0]) * W[0]    # orthogonal columns: the posterior is diagonal
    variance = 1 / (1 + np.sum(W**2, axis=1) / 0.25)
    vae.parameters["mu_head.W"][:] = (variance[:, None] * W / 0.25).T
    vae.parameters["mu_head.b"][:] = -variance * (W @ b) / 0.25
    vae.parameters["logvar_head.W"][:] = 0
    vae.parameters["logvar_head.b"][:] = np.log(variance)
    x = np.random.default_rng(1).standard_normal((5, 3))
    covariance = W.T @ W + 0.25 * np.eye(3)
    centred = x - b
    return vae, x, -0.5 * (np.sum(centred @ np.linalg.inv(covariance) * centred, axis=1)
                           + np.linalg.slogdet(2 * np.pi * covariance)[1])


# log p(x)

@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "gaussian-learned", "continuous-bernoulli"])
@pytest.mark.parametrize("n_latent", [1, 2])
def test_importance_sampling_agrees_with_quadrature(name, n_latent, rng):
    vae, x = small_vae(name, n_latent)
    found = evaluation.log_likelihood(vae, x, 4000, rng=rng)
    truth = exact.log_likelihood(vae, x)
    assert (np.abs(found.values - truth) < 4 * found.standard_errors + 1e-6).all()
    assert (found.standard_errors < 0.2).all()
    assert ((1 <= found.effective_sample_size) & (found.effective_sample_size <= 4000.001)).all()


def test_the_standard_error_is_the_scatter_over_seeds():
    """Where q covers the posterior: elsewhere a rare, huge weight is missing from most runs, and from their errors."""
    vae, x = small_vae()
    vae.parameters.values *= 0.5
    runs = [evaluation.log_likelihood(vae, x, 200, rng=np.random.default_rng(seed)) for seed in range(200)]
    scatter = np.std([run.values for run in runs], axis=0)
    said = np.mean([run.standard_errors for run in runs], axis=0)
    np.testing.assert_allclose(said, scatter, rtol=0.25)


def test_with_the_true_posterior_two_samples_give_the_exact_answer(rng):
    vae, x, truth = linear_vae()
    found = evaluation.log_likelihood(vae, x, 2, rng=rng)
    np.testing.assert_allclose(found.values, truth, atol=1e-10)
    assert found.standard_errors.max() < 1e-10
    np.testing.assert_allclose(found.effective_sample_size, 2)


def test_the_weights_themselves(monkeypatch):
    """Images in rows, draws in columns: with the true posterior each weight is p(x), else their mean is."""
    vae, x, truth = linear_vae()
    log_w = evaluation.log_weights(vae, x, 7, rng=np.random.default_rng(0))
    np.testing.assert_allclose(log_w, np.repeat(truth[:, None], 7, axis=1), atol=1e-10)
    vae, x = small_vae()
    monkeypatch.setattr(importance, "ROWS_AT_ONCE", 64)
    log_w = evaluation.log_weights(vae, np.tile(x[0], (200, 1)), 400, rng=np.random.default_rng(0))
    estimates = np.exp(exact.log_mean_exp(log_w) - exact.log_likelihood(vae, x[:1]))
    assert len(np.unique(estimates)) == 200    # each image has draws of its own
    assert abs(estimates.mean() - 1) < 4 * estimates.std(ddof=1) / np.sqrt(200)


def test_the_weights_of_images_with_labels_and_in_bytes(rng):
    vae = nv.ConditionalVAE.dense(6, (5,), 2, rng=rng)
    images = rng.integers(0, 256, (3, 6), np.uint8)
    found = [evaluation.log_weights(vae, images, 5, rng=np.random.default_rng(0), binarize="static",
                                    labels=np.full(3, label)) for label in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].shape == (3, 5) and (found[0] != found[2]).all()


def test_each_image_s_tail_has_a_shape_of_its_own(rng):
    """exp(k e), e exponential, is a Pareto variable of shape k; a factor in front does not matter."""
    k = np.repeat([[0.3], [0.8]], 40, axis=0)
    found = evaluation.pareto_k(k * rng.exponential(size=(80, 4000)) - 2000)
    assert [found[:40].mean(), found[40:].mean()] == pytest.approx([0.3, 0.8], abs=0.05)
    with pytest.raises(ValueError, match="at least 25 weights"):
        evaluation.pareto_k(np.zeros((2, 24)))


def test_blocks_change_nothing(monkeypatch):
    vae, x = small_vae()
    whole = evaluation.log_likelihood(vae, x, 500, rng=np.random.default_rng(0)).values
    monkeypatch.setattr(importance, "ROWS_AT_ONCE", 64)
    np.testing.assert_allclose(evaluation.log_likelihood(vae, x, 500, rng=np.random.default_rng(0)).values, whole,
                               rtol=1e-12)


@pytest.mark.parametrize("labels", [None, np.arange(20) % 10])
def test_the_number_of_cores_changes_nothing(labels):
    rng = np.random.default_rng(0)
    kind = nv.VAE if labels is None else nv.ConditionalVAE
    vae, images = kind.dense(6, (5,), 2, rng=rng), rng.integers(0, 256, (20, 6), np.uint8)
    found = []
    for cores in (1, 2, 3):
        with threadpool_limits(cores):
            found.append(evaluation.log_likelihood(vae, images, 50, rng=np.random.default_rng(1), binarize="static",
                                                   labels=labels))
    for other in found[1:]:
        for field in ("values", "standard_errors", "effective_sample_size"):
            np.testing.assert_array_equal(getattr(other, field), getattr(found[0], field))


def test_products_have_their_threads_back_afterwards(rng):
    vae, x = small_vae()
    with threadpool_limits(2):
        before = threadpool_info()
        evaluation.log_likelihood(vae, x, 10, rng=rng)
        assert threadpool_info() == before


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ArithmeticError])
def test_what_ends_one_image_ends_the_rest(monkeypatch, rng, ending):
    """Ctrl-C reaches the thread that waits, an error one of those that work."""
    vae, x = small_vae()
    begun = []

    def estimate(log_w):
        begun.append(log_w)
        time.sleep(0.005)    # two cores would take 5 seconds for all the images
        if ending is ArithmeticError:
            raise ArithmeticError
        return 0.0, 0.0, 0.0

    def bar(found, n):
        next(found)
        raise KeyboardInterrupt
    monkeypatch.setattr(importance, "_estimate", estimate)
    monkeypatch.setattr(importance, "_bar", bar)
    with pytest.raises(ending):
        evaluation.log_likelihood(vae, np.tile(x, (500, 1)), 10, rng=rng, progress=ending is KeyboardInterrupt)
    assert len(begun) < 1000    # of 2000


def test_memory_does_not_grow_with_samples_or_images(rng):
    vae = nv.VAE.dense(784, (20,), 5, rng=rng)
    x = rng.random((3, 784), np.float32)

    def peak(samples):
        evaluation.log_likelihood(vae, x[:1], 1000, rng=rng)    # kernels compiled, buffers made
        tracemalloc.start()
        try:
            with threadpool_limits(1):    # two cores may hold their blocks at the same time, or by turns
                evaluation.log_likelihood(vae, x, samples, rng=rng)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    few, many = peak(2000), peak(20_000)
    assert many - few < 20_000 * 8 * 8    # a few numbers for each sample of one image, no decoded image


def test_the_estimate_rises_with_the_samples():
    vae, x = small_vae()
    few, many = (np.mean([evaluation.log_likelihood(vae, x, k, rng=np.random.default_rng(seed)).mean
                          for seed in range(100)]) for k in (2, 50))
    assert few < many < exact.log_likelihood(vae, x).mean() + 0.01


@pytest.mark.parametrize("options, words", [
    ({"samples": 1}, "samples is 1; expected a whole number of at least 2"),
    ({"samples": 2.5}, "samples is 2.5; expected a whole number"),
    ({"binarize": "yes"}, "binarize is 'yes'"),
])
def test_what_does_not_fit_is_named(options, words, rng):
    vae, x = small_vae()
    with pytest.raises(ValueError, match=words):
        if "binarize" in options:
            x = (255 * x).astype(np.uint8)
            nv.evaluate_loss(vae, x, rng=rng, **options)
        else:
            evaluation.log_likelihood(vae, x, rng=rng, **options)


# The latent dimensions

def test_active_units_and_kl_count_what_moves(rng):
    mu = np.stack([rng.normal(0, 1, 500), rng.normal(0, 0.05, 500), np.full(500, 3.0)], axis=1)
    assert evaluation.active_units(mu).tolist() == [True, False, False]
    kl = evaluation.kl_per_dimension(mu, np.zeros_like(mu))
    np.testing.assert_allclose(kl, 0.5 * np.mean(mu**2, axis=0))


def test_the_aggregate_posterior_has_the_moments_of_its_draws(rng):
    mu = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 3)) + 1
    logvar = rng.normal(-1, 0.5, (50, 3))
    mean, covariance = evaluation.aggregate_moments(mu, logvar)
    sigma = np.exp(np.repeat(logvar, 4000, axis=0) / 2)
    draws = np.repeat(mu, 4000, axis=0) + sigma * rng.standard_normal((200_000, 3))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.05)


# What the code knows

def test_nearest_neighbours_name_what_lies_together(rng):
    centres = 10 * rng.standard_normal((4, 3))
    labels, test_labels = rng.integers(0, 4, 300), rng.integers(0, 4, 1500)
    codes, test_codes = (centres[which] + rng.standard_normal((len(which), 3)) for which in (labels, test_labels))
    assert evaluation.nearest_neighbour_accuracy(codes, labels, test_codes, test_labels) > 0.99
    chance = evaluation.nearest_neighbour_accuracy(codes, rng.permutation(labels), test_codes, test_labels)
    assert chance < 0.45


def test_a_code_that_is_the_factors_scores_one_and_a_turned_one_less(rng):
    factors = {"class": rng.integers(0, 5, 4000), "size": rng.random(4000), "slant": rng.normal(0, 1, 4000)}
    table = np.stack([(v - v.mean()) / v.std() for v in factors.values()], axis=1)
    recovery = evaluation.factor_recovery(table, factors)
    np.testing.assert_allclose(np.diag(recovery), [1, 1, 1], atol=1e-9)
    perfect = evaluation.mutual_information_gap(recovery)
    turned = evaluation.mutual_information_gap(
        evaluation.factor_recovery(table @ np.linalg.qr(rng.standard_normal((3, 3)))[0], factors))
    noise = evaluation.mutual_information_gap(evaluation.factor_recovery(rng.standard_normal((4000, 3)), factors))
    assert perfect > 0.9 and 0.3 > turned > noise and noise < 0.02


def test_a_gap_needs_two_dimensions():
    with pytest.raises(ValueError, match=r"recovery has shape \(3, 1\); expected at least two"):
        evaluation.mutual_information_gap(np.zeros((3, 1)))


# The command

@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--hidden", "16", "--latent", "3", "--epochs", "1", "--batch-size", "500"]
    assert main(["train", *small, "--out", "run"]) == 0
    return "run"


def test_evaluate_prints_stores_and_reports(run, capsys):
    capsys.readouterr()
    assert main(["evaluate", run, "--images", "5", "--samples", "20", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.load(open("run/evaluation.json")) | {"report": "run/report.html"}
    assert result["images"] == 5 and 0 <= result["active_units"] <= 3
    assert result["elbo"] == pytest.approx(-result["rate"] - result["distortion"])
    assert sum(result["kl_per_dimension"]) == pytest.approx(result["rate"], rel=1e-4)
    assert set(result["factor_recovery"]) >= {"thickness", "slant", "label"}
    page = open("run/report.html", encoding="utf-8").read()
    assert "How good is it?" in page and "active units" in page
    assert main(["evaluate", run, "--images", "5", "--samples", "20"]) == 0
    printed = capsys.readouterr().out
    assert f"{result['log_likelihood']:.2f} ± " in printed and "nearest neighbours" in printed


def test_a_quick_look_does_not_replace_a_larger_evaluation(run, capsys):
    assert main(["evaluate", run, "--images", "6", "--samples", "20"]) == 0
    stored = open("run/evaluation.json").read()
    capsys.readouterr()
    assert main(["evaluate", run, "--images", "2", "--samples", "20"]) == 0
    said = capsys.readouterr()
    assert "mean of 2 test images" in said.out and "numbers " not in said.out
    assert ("note: run/evaluation.json and the report keep a larger evaluation of this model, of 6 images with 20 "
            "samples each; delete that file to replace it") in said.err
    assert open("run/evaluation.json").read() == stored
    assert "mean of 6 test images" in open("run/report.html", encoding="utf-8").read()
    assert main(["evaluate", run, "--images", "7", "--samples", "20"]) == 0
    assert json.load(open("run/evaluation.json"))["images"] == 7
    vae = nv.load("run/model.npz")    # of other weights nothing is kept
    vae.parameters.values[:] *= 0.9
    vae.save("run/model.npz")
    assert main(["evaluate", run, "--images", "2", "--samples", "20"]) == 0
    assert json.load(open("run/evaluation.json"))["images"] == 2


def test_evaluate_without_a_run_says_what_is_missing(run, capsys):
    (nv.load("run/model.npz")).save("alone.npz")
    assert main(["evaluate", "alone.npz"]) == 1
    assert "it has no metrics.json; expected the folder of a run" in capsys.readouterr().err
