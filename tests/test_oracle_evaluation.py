"""Numbers of evaluation and PCA against exact models, scipy and scikit-learn."""
import types

import numpy as np
import pytest
from scipy import integrate, special, stats

import numpyvae as nv
from numpyvae import evaluation, exact
from numpyvae.evaluation.likelihood import _pareto_k


@pytest.fixture
def sklearn():
    """The parts of scikit-learn that tests marked oracle use; without it they fail."""
    from sklearn import covariance, decomposition, feature_selection, metrics, neighbors
    return types.SimpleNamespace(covariance=covariance, decomposition=decomposition, metrics=metrics,
                                 feature_selection=feature_selection, neighbors=neighbors)


# log p(x)

@pytest.fixture
def linear():
    """A linear VAE with random weights, a q that is wider than the posterior and off by a third of its width; and 300
    draws of x, whose exact log p(x) is that of N(b, W^T W + sigma^2 I)."""
    rng = np.random.default_rng(5)
    vae = nv.VAE.dense(6, (), 2, "gaussian", sigma=0.8, rng=rng, dtype=np.float64)
    W, b = rng.standard_normal((2, 6)), rng.standard_normal(6)
    covariance = np.linalg.inv(np.eye(2) + W @ W.T / 0.8**2)    # of the posterior
    width = np.sqrt(np.diag(covariance))
    weights = vae.parameters
    weights["decoder.0.W"][:], weights["decoder.0.b"][:] = W, b
    weights["mu_head.W"][:] = W.T @ covariance / 0.8**2
    weights["mu_head.b"][:] = -b @ weights["mu_head.W"] + width / 3
    weights["logvar_head.W"][:], weights["logvar_head.b"][:] = 0, 2 * np.log(1.4 * width)
    x = rng.multivariate_normal(b, W.T @ W + 0.8**2 * np.eye(6), 300)
    return vae, x, stats.multivariate_normal(b, W.T @ W + 0.8**2 * np.eye(6)).logpdf(x)


def test_the_estimates_of_log_p_scatter_around_the_exact_one_as_their_errors_say(linear, rng):
    vae, x, truth = linear
    found = evaluation.log_likelihood(vae, x, samples=2000, rng=rng)
    assert found.standard_errors.max() < 0.1 and found.caveat == ""
    off = (found.values - truth) / found.standard_errors
    assert abs(off.mean()) < 5 / len(x)**0.5
    assert stats.kstest(off, "norm").pvalue > 1e-6
    assert off.std() == pytest.approx(1, abs=0.2)
    assert abs(found.mean - truth.mean()) < 5 * np.sqrt(np.sum(found.standard_errors**2)) / len(x)
    assert found.standard_error == pytest.approx(stats.sem(found.values), rel=1e-12)    # the images' spread, above all


def test_log_p_from_the_same_draws_by_scipy_s_densities(linear):
    vae, x, _ = linear
    samples, seed = 1500, 11    # more than a block
    found = evaluation.log_likelihood(vae, x[:20], samples, rng=np.random.default_rng(seed))
    weights, seeds = vae.parameters, np.random.default_rng(seed).integers(2**63, size=20)
    for i in range(20):
        mean = x[i] @ weights["mu_head.W"] + weights["mu_head.b"]
        deviation = np.exp(0.5 * weights["logvar_head.b"])
        rng = np.random.default_rng(seeds[i])
        z = mean + deviation * np.concatenate([rng.standard_normal((n, 2)) for n in (1000, 500)])
        log_w = (stats.norm(z @ weights["decoder.0.W"] + weights["decoder.0.b"], 0.8).logpdf(x[i]).sum(axis=1)
                 + stats.norm.logpdf(z).sum(axis=1) - stats.norm(mean, deviation).logpdf(z).sum(axis=1))
        assert found.values[i] == pytest.approx(special.logsumexp(log_w, b=1 / samples), rel=1e-12)
        share = special.softmax(log_w)
        assert found.effective_sample_size[i] == pytest.approx(1 / np.sum(share**2), rel=1e-10)
        assert found.standard_errors[i] == pytest.approx(stats.sem(samples * share), rel=1e-10)


@pytest.mark.parametrize("shape", [-0.3, 0.2, 0.7, 1.2])
def test_the_tail_s_shape_is_that_of_the_pareto_distribution_it_was_drawn_from(shape):
    """Of 300,000 draws 1,643 are the tail; its estimate scatters by (1 + k) / sqrt(1643)."""
    w = stats.genpareto(shape).rvs(300_000, random_state=np.random.default_rng(2))
    n = int(3 * np.sqrt(len(w)))
    assert _pareto_k(w) == pytest.approx((n * shape + 10 * 0.5) / (n + 10), abs=5 * (1 + shape) / n**0.5)


# The latent dimensions

def test_the_kl_of_a_dimension_is_its_integral(rng):
    mu, logvar = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))

    def kl(m, s):
        q = stats.norm(m, s)
        return integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), m - 12 * s, m + 12 * s)[0]
    expected = np.mean([[kl(m, np.exp(v / 2)) for m, v in zip(*row)] for row in zip(mu, logvar)], axis=0)
    np.testing.assert_allclose(evaluation.kl_per_dimension(mu, logvar), expected, rtol=1e-9)


@pytest.mark.oracle
def test_active_units_and_moments_are_scikit_learn_s(sklearn, rng):
    scale = np.array([0.02, 0.09, 0.099, 0.101, 0.11, 0.5, 2])    # 0.1 is the border
    mu, logvar = rng.standard_normal((4000, 7)), rng.standard_normal((4000, 7))
    mu = (mu - mu.mean(axis=0)) / mu.std(axis=0) * scale + 3
    chosen = sklearn.feature_selection.VarianceThreshold(0.01).fit(mu).get_support()
    np.testing.assert_array_equal(evaluation.active_units(mu), chosen)
    assert chosen.tolist() == [False] * 3 + [True] * 4
    mean, covariance = evaluation.aggregate_moments(mu, logvar)
    np.testing.assert_allclose(mean, 3, rtol=1e-12)
    inside = np.exp(special.logsumexp(logvar, axis=0, b=1 / len(logvar)))    # the mean variance of q(z|x)
    expected = sklearn.covariance.empirical_covariance(mu) + np.diag(inside)
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-14)


# What codes know about labels and factors

@pytest.mark.oracle
@pytest.mark.parametrize("make", [
    lambda rng, n: rng.standard_normal((n, 5)), lambda rng, n: rng.integers(0, 256, (n, 30)).astype(np.uint8),
    lambda rng, n: (3000 + rng.standard_normal((n, 5))).astype(np.float32)], ids=["floats", "bytes", "far from 0"])
def test_the_nearest_neighbour_is_scikit_learn_s(make, sklearn, rng):
    codes, test_codes = make(rng, 600), make(rng, 1300)
    score = np.asarray(codes, float).sum(axis=1)
    border = np.quantile(score, [0.3, 0.6])
    labels = np.digitize(score, border)
    test_labels = np.digitize(np.asarray(test_codes, float).sum(axis=1), border)
    peer = sklearn.neighbors.KNeighborsClassifier(1, algorithm="kd_tree").fit(codes.astype(float), labels)
    expected = peer.score(test_codes.astype(float), test_labels)
    assert 0.4 < expected < 0.95
    assert evaluation.nearest_neighbour_accuracy(codes, labels, test_codes, test_labels) == pytest.approx(expected)


def in_bins(values):
    """Equally many in each bin, ties together; a value each where there are few."""
    n = len(values)
    if len(set(values)) <= min(20, n // 5):
        return stats.rankdata(values, "dense")
    bins = min(20, max(2, int(np.sqrt(n / 5))))
    return np.floor(bins * (stats.rankdata(values) - 0.5) / n)


@pytest.mark.oracle
@pytest.mark.parametrize("n", [50, 333, 3000])
def test_factor_recovery_is_scikit_learn_s_adjusted_information(n, sklearn, rng):
    factors = {"thickness": rng.random(n), "label": rng.integers(0, 5, n), "mostly zero": np.where(
        rng.random(n) < 0.7, 0, rng.random(n))}
    codes = np.stack([factors["thickness"] + 0.05 * rng.standard_normal(n), factors["label"] + rng.standard_normal(n),
                      factors["mostly zero"], rng.standard_normal(n)], axis=1)
    metrics, expected = sklearn.metrics, []
    for factor in factors.values():
        v, row = in_bins(factor), []
        for z in map(in_bins, codes.T):
            table = metrics.cluster.contingency_matrix(v, z)
            by_chance = metrics.cluster.expected_mutual_information(table, n)
            entropy = stats.entropy(table.sum(axis=1))
            row.append((metrics.mutual_info_score(v, z) - by_chance) / (entropy - by_chance))
        expected.append(row)
    found = evaluation.factor_recovery(codes, factors)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert found[2, 2] == pytest.approx(1) and found[0, 0] > 0.2 > abs(found[:, 3]).max()
    first, second = np.sort(found, axis=1)[:, ::-1].T[:2]
    assert evaluation.mutual_information_gap(found) == pytest.approx(sum(first - second) / 3, rel=1e-12)


# PCA

@pytest.fixture
def data(rng):
    turned = stats.ortho_group(6, seed=1).rvs()
    return rng.standard_normal((200, 6)) * [3, 2, 1.5, 0.7, 0.5, 0.4] @ turned + np.arange(6)


@pytest.mark.oracle
def test_probabilistic_pca_is_scikit_learn_s(sklearn, data):
    """scikit-learn divides by N - 1, where the likelihood is largest for N: its covariance is larger by that."""
    ours, theirs = exact.probabilistic_pca(data, 3), sklearn.decomposition.PCA(3, svd_solver="full").fit(data)
    n = len(data)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.eigenvalues[:3], theirs.explained_variance_ * (n - 1) / n, rtol=1e-12)
    assert ours.sigma**2 == pytest.approx(theirs.noise_variance_ * (n - 1) / n, rel=1e-12)
    covariance = theirs.get_covariance() * (n - 1) / n
    np.testing.assert_allclose(ours.W.T @ ours.W + ours.sigma**2 * np.eye(6), covariance, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.log_likelihood(data), stats.multivariate_normal(ours.mean, covariance).logpdf(data),
                               rtol=1e-10)
    directions = ours.W / np.linalg.norm(ours.W, axis=1, keepdims=True)
    np.testing.assert_allclose(abs(np.sum(directions * theirs.components_, axis=1)), 1, rtol=1e-12)
    assert exact.gaussian_log_likelihood(data, theirs.mean_, theirs.get_covariance()) == pytest.approx(
        theirs.score_samples(data), rel=1e-10)


@pytest.mark.oracle
def test_a_linear_vae_trained_by_adam_finds_scikit_learn_s_axes(sklearn, data):
    """Its decoder's rows are the principal axes, and a reconstruction is the projection onto them, shrunk."""
    from benchmarks.collapse import train_without_noise
    solution = exact.probabilistic_pca(data, 2)
    vae = nv.VAE.dense(6, (), 2, "gaussian", sigma=solution.sigma, rng=np.random.default_rng(0), dtype=np.float64)
    train_without_noise(vae, data, steps=4000)
    pca = sklearn.decomposition.PCA(2, svd_solver="full").fit(data)
    rows = vae.parameters["decoder.0.W"]
    rows = rows[np.argsort(-np.linalg.norm(rows, axis=1))]
    cosines = abs(np.sum(rows * pca.components_, axis=1)) / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    shrink = 1 - solution.sigma**2 / (pca.explained_variance_ * (len(data) - 1) / len(data))
    np.testing.assert_allclose(vae.reconstruct(data), pca.inverse_transform(pca.transform(data) * shrink), atol=0.02)
