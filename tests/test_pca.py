"""Probabilistic PCA, entropies and the toy densities, against independent calculations; and VAEs trained to them."""
import numpy as np
import pytest
from scipy import linalg, stats

import numpyvae as nv
from benchmarks.collapse import train_without_noise
from numpyvae import exact
from numpyvae.exact import entropy, pca
from numpyvae.models.priors import StandardNormal
from numpyvae.nn.layers import SharedLogvar


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 6)) * np.array([2.0, 1.5, 1.0, 0.5, 0.4, 0.3])[:, None]
    return rng.standard_normal((120, 6)) @ mixing + rng.standard_normal(6)


def linear(data, n_latent, sigma, beta=1.0, seed=1):
    return nv.VAE.dense(data.shape[1], (), n_latent, "gaussian", sigma=sigma, beta=beta,
                        rng=np.random.default_rng(seed), dtype=np.float64)


def test_the_log_likelihood_is_the_normal_distribution_s(data):
    solution = exact.probabilistic_pca(data, 2)
    covariance = solution.W.T @ solution.W + solution.sigma**2 * np.eye(6)
    np.testing.assert_allclose(solution.log_likelihood(data),
                               stats.multivariate_normal(solution.mean, covariance).logpdf(data), rtol=1e-12)
    assert solution.optimum == pytest.approx(solution.log_likelihood(data).mean(), rel=1e-13)


def test_no_step_away_from_the_solution_raises_the_likelihood(data, rng):
    solution = exact.probabilistic_pca(data, 2)

    def likelihood(mean, W, sigma):
        return exact.gaussian_log_likelihood(data, mean, W.T @ W + sigma**2 * np.eye(6)).mean()
    for size in (1e-3, 0.1):
        for _ in range(30):
            moved = likelihood(solution.mean + size * rng.standard_normal(6),
                               solution.W + size * rng.standard_normal((2, 6)),
                               solution.sigma * np.exp(size * rng.standard_normal()))
            assert moved < solution.optimum


def test_the_posterior_is_the_conditional_distribution(data):
    solution = exact.probabilistic_pca(data, 2)
    mu, variance = solution.posterior(data)
    precision = np.eye(2) + solution.W @ solution.W.T / solution.sigma**2
    np.testing.assert_allclose(np.linalg.inv(precision), np.diag(variance), atol=1e-14)
    expected = (data - solution.mean) @ solution.W.T @ np.linalg.inv(precision) / solution.sigma**2
    np.testing.assert_allclose(mu, expected, atol=1e-12)


def test_the_analytic_encoder_leaves_no_gap(data):
    solution = exact.probabilistic_pca(data, 3)
    vae = linear(data, 3, solution.sigma)
    exact.solve_linear_vae(vae, data)
    assert abs(-exact.linear_loss(vae, data) - solution.optimum) < 1e-10


def test_the_expected_loss_on_paper_is_the_mean_over_noise(data, rng):
    vae = linear(data, 2, 0.8, beta=2.0)
    losses = [vae.loss(data, rng.standard_normal((len(data), 2))) for _ in range(400)]
    assert exact.linear_loss(vae, data) == pytest.approx(np.mean(losses), abs=4 * np.std(losses) / 20)


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_the_solution_is_a_minimum_of_the_loss_for_its_own_sigma_and_beta(data, beta, rng):
    vae = linear(data, 3, 0.6, beta)
    exact.solve_linear_vae(vae, data)
    best, weights = exact.linear_loss(vae, data), vae.parameters.values.copy()
    for _ in range(100):
        vae.parameters.values[:] = weights + 1e-2 * rng.standard_normal(len(weights))
        assert exact.linear_loss(vae, data) > best


def test_at_the_cubature_s_points_the_loss_is_the_expected_one(data):
    vae = linear(data, 3, 0.8, beta=2.0)
    points = exact.cubature(3)
    np.testing.assert_allclose(points.mean(axis=0), 0)
    np.testing.assert_allclose(points.T @ points / len(points), np.eye(3))
    loss = vae.loss(np.repeat(data, 6, axis=0), np.tile(points, (len(data), 1)))
    assert loss == pytest.approx(exact.linear_loss(vae, data), rel=1e-13)


@pytest.mark.no_judge
def test_a_trained_linear_vae_reaches_the_closed_form(data):
    solution = exact.probabilistic_pca(data, 2)
    vae = linear(data, 2, solution.sigma)
    train_without_noise(vae, data, steps=8000)
    gap = solution.optimum + exact.linear_loss(vae, data)
    assert -1e-10 <= gap < 1e-3


@pytest.mark.no_judge
def test_a_learned_sigma_reaches_the_mean_of_the_discarded_eigenvalues(data):
    solution = exact.probabilistic_pca(data, 2)
    vae = nv.VAE.dense(6, (), 2, "gaussian-shared", rng=np.random.default_rng(1), dtype=np.float64)
    train_without_noise(vae, data, steps=8000)
    gap = solution.optimum + exact.linear_loss(vae, data)
    assert -1e-10 <= gap < 1e-3
    assert np.exp(vae.parameters["decoder.1.logvar"][0]) == pytest.approx(solution.eigenvalues[2:].mean(), rel=1e-3)


def test_the_loss_on_paper_knows_a_learned_sigma(data):
    shared = nv.VAE.dense(6, (), 2, "gaussian-shared", rng=np.random.default_rng(1), dtype=np.float64)
    shared.parameters["decoder.1.logvar"][:] = 2 * np.log(0.7)
    chosen = linear(data, 2, 0.7)
    chosen.parameters.values[:] = shared.parameters.values[:-1]
    assert exact.linear_loss(shared, data) == pytest.approx(exact.linear_loss(chosen, data), rel=1e-14)
    eps = np.random.default_rng(2).standard_normal((len(data), 2))
    assert shared.loss(data, eps) == pytest.approx(chosen.loss(data, eps), rel=1e-14)
    exact.solve_linear_vae(shared, data)
    exact.solve_linear_vae(chosen, data)
    np.testing.assert_allclose(shared.parameters.values[:-1], chosen.parameters.values, rtol=1e-13)


@pytest.mark.parametrize("n_data, n_a, n_b", [(3, 1, 1), (6, 2, 2), (6, 2, 4), (9, 5, 2), (12, 3, 3)])
def test_principal_angles_are_scipy_s(n_data, n_a, n_b, rng):
    A, B = rng.standard_normal((n_a, n_data)), rng.standard_normal((n_b, n_data))
    found = exact.principal_angles(A, B)
    np.testing.assert_allclose(found, linalg.subspace_angles(A.T, B.T)[::-1], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(exact.principal_angles(B, A), found, rtol=1e-10, atol=1e-14)
    mixed = rng.standard_normal((n_a, n_a)) @ A    # other rows, the same span
    np.testing.assert_allclose(exact.principal_angles(mixed, B), found, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 0.3, np.pi / 4, 1.2, np.pi / 2 - 1e-9, np.pi / 2])
def test_an_angle_is_found_to_its_last_digits_however_small(angle):
    turned = np.array([[np.cos(angle), np.sin(angle), 0.0], [0.0, 0.0, 2.0]])
    found = exact.principal_angles(turned, np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(found, [0.0, angle], rtol=1e-9, atol=1e-15)
    assert exact.principal_angles(np.array([[1.0, 0.0]]), [[-1.0, 0.0]]) == pytest.approx(0, abs=1e-15)


def test_angles_of_float32_are_worked_out_in_float64():
    plane = np.array([[1, 0, 0], [1, 1e-7, 0]], np.float32)    # float32 would take the rows for one and the same
    np.testing.assert_allclose(exact.principal_angles(plane, np.eye(3, dtype=np.float32)[:2]), [0, 0], atol=1e-8)


@pytest.mark.no_judge
def test_the_predicted_dimensions_die(data):
    eigenvalues = exact.probabilistic_pca(data, 4).eigenvalues
    beta_sigma2 = np.sqrt(eigenvalues[1] * eigenvalues[2])
    vae = linear(data, 4, 0.5, beta=beta_sigma2 / 0.25)
    train_without_noise(vae, data, steps=8000)
    kl = np.sort(nv.evaluation.kl_per_dimension(*vae.encode(data)))[::-1]
    predicted = 0.5 * np.log(np.maximum(eigenvalues[:4] / beta_sigma2, 1))
    assert np.count_nonzero(predicted) == 2
    np.testing.assert_allclose(kl, predicted, atol=0.02)


@pytest.mark.parametrize("beta, sigma", [(0.5, 1.0), (1.0, 0.3), (4.0, 0.3), (7.0, 2.0)])
def test_beta_and_sigma_are_one_knob(beta, sigma, rng):
    """L(beta, sigma^2) = beta L(1, beta sigma^2) + const, with any network; and so are the gradients."""
    x, eps = rng.random((4, 7)), rng.standard_normal((4, 2))
    one = nv.VAE.dense(7, (5,), 2, "gaussian", beta=beta, sigma=sigma, rng=rng, dtype=np.float64)
    other = nv.VAE.dense(7, (5,), 2, "gaussian", sigma=sigma * beta**0.5, rng=rng, dtype=np.float64)
    other.parameters.values[:] = one.parameters.values
    constant = exact.same_loss_constant(7, beta, sigma)
    expected = beta * other.loss_and_grad(x, eps).loss + constant
    assert one.loss_and_grad(x, eps).loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(one.parameters.grads, beta * other.parameters.grads, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("call, words", [
    (lambda x: exact.probabilistic_pca(x, 6), "n_latent is 6; expected 1 to 5"),
    (lambda x: exact.probabilistic_pca(np.hstack([x, x[:, :1]]), 2), "varies in 6 of 7 directions"),
    (lambda x: exact.probabilistic_pca(x[0], 2), r"x has shape \(6,\)"),
    (lambda x: exact.linear_loss(nv.VAE.dense(6, (3,), 2, rng=np.random.default_rng(0)), x), "expected VAE.dense"),
    (lambda x: exact.principal_angles(x[:2], np.vstack([x[:1], 2 * x[:1]])), r"B has shape \(2, 6\) and rows that"),
    (lambda x: exact.principal_angles(np.vstack([np.eye(40)[:39], np.ones(40) - np.eye(40)[39]]), np.eye(40)),
     r"A has shape \(40, 40\) and rows that"),
    (lambda x: exact.mixture_entropy([0.0], -1.0), "sigma is -1.0"),
    (lambda x: exact.gaussian_entropy(0.0), r"variance is array\(0.\)"),
    (lambda x: exact.gaussian_entropy([1.0, -1.0]), "variance is an array"),
    (lambda x: nv.datasets.two_gaussians(0, rng=np.random.default_rng(0)), "n is 0"),
    (lambda x: nv.datasets.two_gaussians(5, 0.0, rng=np.random.default_rng(0)), "sigma is 0.0"),
])
def test_what_does_not_fit_is_named(call, words, data):
    with pytest.raises(ValueError, match=words):
        call(data)


@pytest.mark.parametrize("n_latent", [1, 2, 5])
def test_the_solution_is_made_of_the_covariance_s_eigenvalues(n_latent, data):
    solution = exact.probabilistic_pca(data, n_latent)
    values, vectors = np.linalg.eigh(np.cov(data.T, ddof=0))
    noise = values[:-n_latent].mean()
    np.testing.assert_allclose(solution.mean, data.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(solution.eigenvalues, values[::-1], rtol=1e-12)
    assert solution.sigma == pytest.approx(noise**0.5, rel=1e-12)
    largest = vectors[:, -n_latent:]
    expected = largest @ np.diag(values[-n_latent:] - noise) @ largest.T
    np.testing.assert_allclose(solution.W.T @ solution.W, expected, atol=1e-12)
    np.testing.assert_allclose(solution.W @ solution.W.T, np.diag(values[::-1][:n_latent] - noise), atol=1e-12)


@pytest.mark.parametrize("x, n_latent, words", [
    (np.ones((1, 3)), 1, r"x has shape \(1, 3\); expected at least two rows"),
    (np.eye(2), 1, "x varies in 1 of 2 directions"),
    (np.full((4, 3), np.nan), 1, "finite"), (np.eye(3), 3, "n_latent is 3; expected 1 to 2, fewer than the 3"),
    (np.array([[1, 9.9e-7], [1, -9.9e-7], [-1, 9.9e-7], [-1, -9.9e-7]]), 1, "x varies in 1 of 2 directions"),
    (30 * np.array([[1, 9e-7], [1, -9e-7], [-1, 9e-7], [-1, -9e-7]]), 1, "x varies in 1 of 2 directions")])
def test_data_without_a_solution_are_refused(x, n_latent, words):
    with pytest.raises(ValueError, match=words):
        exact.probabilistic_pca(x, n_latent)


@pytest.mark.parametrize("least, width", [(1e-12, 1.01e-6), (0.25, 0.5)])    # in the second case just as wide as asked
def test_a_direction_may_be_narrow(least, width, monkeypatch):
    monkeypatch.setattr(pca, "TINY", least)
    x = np.array([[1, width], [1, -width], [-1, width], [-1, -width]])
    assert exact.probabilistic_pca(x, 1).eigenvalues[1] == pytest.approx(width**2, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_directions_but_one_may_be_latent_and_float32_is_enough(dtype, rng):
    x = rng.standard_normal((60, 22)).astype(dtype)
    values = np.linalg.eigvalsh(np.cov(x.astype(float).T, ddof=0))[::-1]
    np.testing.assert_allclose(exact.probabilistic_pca(x, 21).eigenvalues, values, rtol=1e-11)


def test_data_that_do_not_vary_at_all_have_no_model():
    with pytest.raises(ValueError, match="x varies in 0 of 3 directions; expected all"):
        exact.probabilistic_pca(np.ones((5, 3)), 1)


@pytest.mark.parametrize("beta, sigma", [(1.0, 1.2), (3.0, 0.6)])
def test_a_linear_vae_is_given_the_model_that_is_best_for_its_own_sigma_and_beta(beta, sigma, data):
    """With l_j <= beta sigma^2 a row is zero; the data may be pictures."""
    vae, values = linear(data, 4, sigma, beta), np.linalg.eigvalsh(np.cov(data.T, ddof=0))[::-1]
    found = exact.solve_linear_vae(vae, data.reshape(120, 2, 3))
    sizes = np.maximum(values[:4] - beta * sigma**2, 0)
    assert 0 < np.count_nonzero(sizes) < 4
    np.testing.assert_allclose(found.W @ found.W.T, np.diag(sizes), atol=1e-12)
    np.testing.assert_allclose(found.W, vae.parameters["decoder.0.W"], rtol=1e-14)
    np.testing.assert_allclose(found.mean, data.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(vae.parameters["decoder.0.b"], found.mean, rtol=1e-14)
    np.testing.assert_allclose(found.eigenvalues, values, rtol=1e-11)
    assert found.sigma == pytest.approx(beta**0.5 * sigma, rel=1e-13)
    assert found.optimum == pytest.approx(found.log_likelihood(data).mean(), rel=1e-12)    # sigma is not the best
    mu, logvar = vae.encode(data)
    expected, variance = found.posterior(data)
    np.testing.assert_allclose(mu, expected, atol=1e-12)
    np.testing.assert_allclose(logvar, np.log(variance) + 0 * mu, atol=1e-12)


def test_pictures_have_the_loss_of_their_rows(data):
    vae = linear(data, 2, 0.5)
    assert exact.linear_loss(vae, data.reshape(120, 2, 3)) == exact.linear_loss(vae, data)


def test_a_solution_takes_only_data_like_its_own(data):
    solution = exact.probabilistic_pca(data, 2)
    for call in (solution.log_likelihood, solution.posterior):
        with pytest.raises(ValueError, match=r"x has shape \(120, 5\); expected \(N, 6\), as the data had"):
            call(data[:, :5])


def test_a_covariance_has_to_be_positive_definite():
    with pytest.raises(ValueError, match="covariance is not positive definite; expected one that is"):
        exact.gaussian_log_likelihood(np.ones((3, 2)), np.zeros(2), np.ones((2, 2)) - 2 * np.eye(2))


def test_a_share_of_a_millionth_of_a_millionth_of_the_variance_is_no_rounding_error():
    x = np.array([[1, 1.01e-6], [1, -1.01e-6], [-1, 1.01e-6], [-1, -1.01e-6]])
    assert exact.probabilistic_pca(x, 1).sigma == pytest.approx(1.01e-6, rel=1e-6)


def test_the_cubature_s_points_lie_on_the_axes_first_those_above_0():
    np.testing.assert_allclose(exact.cubature(3), 3**0.5 * np.vstack([np.eye(3), -np.eye(3)]), rtol=1e-15)


def test_without_the_kl_no_linear_vae_is_best(data):
    with pytest.raises(ValueError, match="the VAE's beta is 0; expected a number above 0"):
        exact.solve_linear_vae(linear(data, 2, 0.5, beta=0.0), data)


@pytest.mark.parametrize("off, fits", [(0.98e-9, True), (-0.98e-9, True), (1.02e-9, False), (-1.02e-9, False)])
def test_shares_add_up_to_1_but_for_rounding(off, fits):
    weights = [0.25, 0.75 + off]
    if fits:
        exact.mixture_entropy([0, 1], 1.0, weights)
    else:
        with pytest.raises(ValueError, match="weights has values from 0.25 and the sum 1; expected"):
            exact.mixture_entropy([0, 1], 1.0, weights)


def test_means_may_be_bytes_and_a_part_of_weight_0_is_none():
    with np.errstate(all="raise", under="ignore"):
        found = exact.mixture_entropy(np.array([0, 200, 1], np.uint8), 100.0, [0.5, 0.5, 0.0])
    assert found == pytest.approx(exact.mixture_entropy([0.0, 200.0], 100.0), rel=1e-12)


def other_vae(**parts):
    rng = np.random.default_rng(0)
    parts = {"encoder": nv.Sequential([]), "posterior": nv.posteriors.DiagonalGaussian(6, 2, rng=rng),
             "decoder": nv.Sequential([nv.Dense(2, 6, rng=rng)]), "likelihood": nv.likelihoods.Gaussian(0.5)} | parts
    return nv.VAE(**parts)


def test_what_is_linear_is_known_by_its_parts():
    rng = np.random.default_rng(0)

    class Other(StandardNormal):
        pass
    assert pca.sigma_of_linear(other_vae()) == 0.5
    for vae in (other_vae(encoder=nv.Sequential([nv.Dense(6, 6, rng=rng)])),
                other_vae(posterior=nv.posteriors.FullGaussian(6, 2, rng=rng)),
                other_vae(decoder=nv.Sequential([nv.Dense(2, 6, "tanh", rng=rng)])),
                other_vae(decoder=nv.Sequential([nv.Dense(2, 6, rng=rng), nv.Reshape((6,))])),
                other_vae(likelihood=nv.likelihoods.GaussianLearned(), decoder=nv.Sequential([
                    nv.Dense(2, 6, rng=rng), SharedLogvar(6)])),
                other_vae(likelihood=nv.likelihoods.GaussianShared(), decoder=nv.Sequential([
                    nv.Dense(2, 12, rng=rng)])),
                other_vae(likelihood=nv.likelihoods.Bernoulli()), other_vae(likelihood=nv.likelihoods.StudentT(0.5)),
                other_vae(encoder=nv.Sequential([]), decoder=nv.Sequential([nv.Dense(5, 3, rng=rng)]), n_classes=3)):
        with pytest.raises(ValueError, match="expected VAE.dense"):
            pca.sigma_of_linear(vae)
    for name, part in (("prior", Other(2)), ("posterior", nv.posteriors.FullGaussian(6, 2, rng=rng))):
        vae = other_vae()
        setattr(vae, name, part)
        with pytest.raises(ValueError, match="expected VAE.dense"):
            pca.sigma_of_linear(vae)


# Entropies and the toy

def test_entropies_agree_with_draws(rng):
    x, part = nv.datasets.two_gaussians(200_000, 0.5, rng=rng)
    density = 0.5 * (stats.norm(-1, 0.5).pdf(x) + stats.norm(1, 0.5).pdf(x))
    surprise = -np.log(density)
    assert exact.mixture_entropy([-1, 1], 0.5) == pytest.approx(surprise.mean(), abs=4 * surprise.std() / 200_000**0.5)
    assert x.shape == (200_000, 1) and part.mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean(x[part == 1]) == pytest.approx(1, abs=0.01) and x[part == 0].std() == pytest.approx(0.5, abs=0.01)


def test_a_mixture_is_integrated_at_1201_points_from_12_deviations_below_to_12_above(monkeypatch):
    seen = []
    monkeypatch.setattr(entropy, "log_sum_exp", lambda a: seen.append(a) or exact.log_sum_exp(a))
    exact.mixture_entropy([3.0], 2.0)
    np.testing.assert_allclose(seen[0][:, 0], -0.5 * np.linspace(-12, 12, 1201)**2, atol=1e-12)


def test_entropies_at_their_ends():
    assert exact.mixture_entropy([0, 0], 0.7) == pytest.approx(exact.gaussian_entropy(0.49), rel=1e-10)
    assert exact.mixture_entropy([-50, 50], 1.0) == pytest.approx(exact.gaussian_entropy(1.0) + np.log(2), rel=1e-8)
    assert exact.gaussian_entropy([1.0, 4.0]) == pytest.approx(stats.norm(0, 1).entropy() + stats.norm(0, 2).entropy())


@pytest.mark.no_judge
def test_one_of_the_pair_collapses_and_the_other_does_not():
    kl, log_p = {}, {}
    for sigma in (0.25, 1.0625**0.5):
        rng = np.random.default_rng(0)
        x, _ = nv.datasets.two_gaussians(1000, 0.25, rng=rng)
        vae = nv.VAE.dense(1, (16,), 1, "gaussian", "tanh", sigma=sigma, rng=rng, dtype=np.float64)
        for _ in nv.fit(vae, x, optimizer=nv.Adam(1e-2), lr_end=1e-3, epochs=250, batch_size=50, rng=rng):
            pass
        kl[sigma] = np.mean([vae.loss_terms(x, *vae.noise(1000, rng)).kl for _ in range(5)])
        log_p[sigma] = exact.log_likelihood(vae, x).mean()
    assert kl[0.25] > 0.5 and kl[1.0625**0.5] < 0.02
    entropy = exact.mixture_entropy([-1, 1], 0.25)
    assert entropy - 0.05 < -log_p[0.25] < entropy + 0.2    # above it: the decoder's step between parts has a slope
    assert -log_p[1.0625**0.5] == pytest.approx(exact.gaussian_entropy(1.0625), abs=0.05)
