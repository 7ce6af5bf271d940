"""Quadrature against answers worked out on paper."""
import numpy as np
import pytest
from scipy import special, stats

import numpyvae as nv
from numpyvae import exact
from numpyvae.exact import quadrature
from numpyvae.functional.gaussian import gaussian_log_density
from numpyvae.models.priors import StandardNormal


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


# The grid, and what is summed on it

@pytest.mark.parametrize("n_latent, points, reach", [(1, 7, 2.5), (2, 5, 3.0)])
def test_the_grid_holds_the_prior_times_the_distance_of_its_points(n_latent, points, reach):
    z, log_w = exact.latent_grid(n_latent, points, reach)
    axis = np.linspace(-reach, reach, points)
    expected = axis[:, None] if n_latent == 1 else [[a, b] for a in axis for b in axis]
    np.testing.assert_allclose(z, expected, rtol=1e-14)
    h = 2 * reach / (points - 1)
    np.testing.assert_allclose(np.exp(log_w), np.prod(h * stats.norm.pdf(z), axis=1), rtol=1e-12)


def test_a_grid_has_200_points_from_minus_6_to_6_unless_others_are_asked_for(monkeypatch):
    vae, x = small_vae()
    for z in (exact.latent_grid(1)[0], exact.log_joint(vae, x)[0], exact.posterior(vae, x)[0]):
        assert (len(z), z[0, 0], z[-1, 0]) == (200, -6, 6)
    asked = []
    joint = quadrature.log_joint
    monkeypatch.setattr(quadrature, "log_joint", lambda *given: asked.append(given[2:4]) or joint(*given))
    exact.log_likelihood(vae, x)
    assert asked == [(200, 6.0)]


@pytest.mark.parametrize("rows", [2000, 3])
@pytest.mark.parametrize("labels", [None, [2, 0, 2], 1])
def test_the_joint_density_is_the_formula_at_each_point_in_float64(labels, rows, monkeypatch, rng):
    monkeypatch.setattr(quadrature, "ROWS_AT_ONCE", rows)
    kind, options = (nv.VAE, {}) if labels is None else (nv.ConditionalVAE, {"n_classes": 3})
    vae = kind.dense(6, (4,), 2, rng=rng, **options)
    images = rng.integers(0, 256, (3, 2, 3), np.uint8)
    z, joint = exact.log_joint(vae, images, 4, 2.5, labels)
    x, decoder = images.reshape(3, 6) / 255, vae.astype(np.float64).decoder
    for b in range(3):
        c = np.zeros((16, 0)) if labels is None else np.tile(np.eye(3)[np.broadcast_to(labels, 3)[b]], (16, 1))
        theta = decoder.forward(np.hstack([z, c]))
        log_p = np.sum(x[b] * theta - np.logaddexp(0, theta), axis=1)
        np.testing.assert_allclose(joint[b], log_p + exact.latent_grid(2, 4, 2.5)[1], rtol=1e-12)


def test_the_grid_is_made_for_one_prior():
    class Other(StandardNormal):
        pass
    vae, x = small_vae()
    vae.prior = Other(1)
    with pytest.raises(ValueError, match="vae has the prior an Other; expected StandardNormal"):
        exact.log_joint(vae, x)


@pytest.mark.parametrize("fault, n_latent, before, after", [
    (quadrature.SMALL, 1, (100, 6.0), (100, 9.0)), (quadrature.SMALL, 2, (100, 9999.0), (100, 14998.5)),
    (quadrature.SMALL, 1, (100, 1e4), "takes a z beyond a reach of 1e.04, as far as 100 points tell"),
    (quadrature.COARSE, 1, (100, 6.0), (200, 6.0)), (quadrature.COARSE, 1, (2**18 - 1, 2e4), (2**18, 2e4)),
    (quadrature.COARSE, 2, (300, 6.0), (512, 6.0)),
    (quadrature.COARSE, 1, (2**18, 6.0), "a posterior too narrow for 262,144 points within a reach of 6"),
    (quadrature.COARSE, 2, (512, 6.0), "a posterior too narrow for 262,144 points within a reach of 6")])
def test_the_next_grid_is_half_as_wide_again_or_twice_as_fine(fault, n_latent, before, after):
    if isinstance(after, tuple):
        assert quadrature._better(fault, *before, n_latent, np.array([3, 5])) == after
    else:
        with pytest.raises(ValueError, match=f"image 3 is not known to 0.001 nats: it .*{after}"):
            quadrature._better(fault, *before, n_latent, np.array([3, 5]))


def weights(name, by):
    """Of seven points, none at the edge, so that those of every second or every third of them are exp(by) too many."""
    b = {"halves": 3 * np.exp(by) / (4 - 2 * np.exp(by)), "thirds": 1.5 * (np.exp(by) - 1)}[name]
    return np.array([0, 1, 1.2 * b, 1, 0.8 * b, 1, 0])


@pytest.mark.parametrize("name, by", [("halves", 1e-3), ("halves", -1e-3), ("thirds", 0.1)])
@pytest.mark.parametrize("n_latent", [1, 2])
@pytest.mark.parametrize("share, fault", [(0.99, quadrature.FINE), (1.01, quadrature.COARSE)])
def test_a_grid_is_fine_where_its_halves_and_thirds_agree(name, by, n_latent, share, fault, monkeypatch):
    monkeypatch.setattr(quadrature, {"halves": "OF_THIRDS", "thirds": "TOLERANCE"}[name], 10.0)
    w = weights(name, share * by / n_latent)
    joint = np.log(np.maximum(w if n_latent == 1 else np.outer(w, w).ravel(), 1e-30))
    assert quadrature._faults(np.stack([joint, joint + 700]), 7, n_latent).tolist() == [fault, fault]


@pytest.mark.parametrize("share, fault", [(0.99e-7, quadrature.FINE), (1.01e-7, quadrature.SMALL)])
@pytest.mark.parametrize("n_latent, at", [(1, 0), (1, 100), (2, 50), (2, 101 * 101 - 51), (2, 101 * 50), (2, 5150)])
def test_a_grid_is_wide_enough_where_its_edge_has_no_share(share, fault, n_latent, at):
    one = stats.norm.pdf(np.linspace(-9, 9, 101))
    p = one if n_latent == 1 else np.outer(one, one).ravel()
    p /= p.sum()
    p[at] = share * p.sum()
    assert quadrature._faults(np.log(p)[None] - 1000, 101, n_latent).tolist() == [fault]


def test_a_grid_that_no_image_is_explained_on_is_too_small():
    narrow = np.log(np.maximum(np.eye(101)[50], 1e-300))
    edge = np.log(np.maximum(np.eye(101)[0], 1e-300))
    joint = np.stack([np.full(101, -np.inf), narrow, edge])
    with np.errstate(invalid="raise"):
        assert quadrature._faults(joint, 101, 1).tolist() == [quadrature.SMALL, quadrature.COARSE, quadrature.SMALL]


def test_each_image_goes_on_with_the_grid_that_it_needs(monkeypatch):
    vae, x = small_vae(2)
    asked = []

    def log_joint(vae, x, points, reach, labels):
        return None, np.stack([x[:, 0], np.full(len(x), points + reach)], axis=1)

    def faults(joint, points, n_latent):
        np.testing.assert_array_equal(joint[:, 1], points + {200: 6, 400: 6, 201: 9}[points])
        assert n_latent == 2
        return np.array([quadrature.FINE, quadrature.SMALL, quadrature.COARSE] if points == 200 else [quadrature.FINE])

    def better(what, points, reach, n_latent, images):
        asked.append((what, points, reach, n_latent, images.tolist()))
        return (400, 6.0) if what == quadrature.COARSE else (201, 9.0)
    for name, function in (("log_joint", log_joint), ("_faults", faults), ("_better", better)):
        monkeypatch.setattr(quadrature, name, function)
    found = exact.log_likelihood(vae, (255 * x).astype(np.uint8))    # bytes are looked at before they are parted
    assert asked == [(quadrature.COARSE, 200, 6.0, 2, [2]), (quadrature.SMALL, 200, 6.0, 2, [1])]
    np.testing.assert_allclose(found, special.logsumexp([x[:, 0], [206, 210, 406]], axis=0), rtol=1e-14)


def test_the_posterior_of_all_images_goes_on_until_none_is_at_fault(monkeypatch):
    vae, x = small_vae(2)
    asked, grids = [], iter([(201, 9.0), (400, 9.0)])
    fine, coarse, small = quadrature.FINE, quadrature.COARSE, quadrature.SMALL

    def faults(joint, points, n_latent):
        np.testing.assert_array_equal(joint, np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * points)
        assert n_latent == 2
        return np.array({200: [coarse, small, small], 201: [fine, coarse, fine], 400: [fine] * 3}[points])

    def better(what, points, reach, n_latent, images):
        asked.append((what, points, reach, n_latent, images.tolist()))
        return next(grids)
    monkeypatch.setattr(quadrature, "log_joint", lambda vae, x, points, reach, labels: (
        f"{points} points", np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * points))
    monkeypatch.setattr(quadrature, "_faults", faults)
    monkeypatch.setattr(quadrature, "_better", better)
    z, p = exact.posterior(vae, x)
    assert asked == [(small, 200, 6.0, 2, [1, 2]), (coarse, 201, 9.0, 2, [1])]
    assert z == "400 points"
    np.testing.assert_allclose(p, [[0.5, 0.5], [0, 1], [0.5, 0.5]], atol=1e-15)


def test_bytes_and_labels_of_images_that_need_several_grids(rng):
    vae = nv.ConditionalVAE.dense(6, (4,), 1, n_classes=3, likelihood="gaussian", sigma=0.02, rng=rng)
    vae.parameters.values[:] = rng.normal(0, 0.6, len(vae.parameters))
    labels = np.array([2, 0, 2, 1])
    x = np.rint(255 * np.clip(vae.decode(np.array([[0.3], [-1.0], [8.0], [0.0]], np.float32), labels), 0, 1))
    found = exact.log_likelihood(vae, x.astype(np.uint8), points=20, labels=labels)
    z, joint = exact.log_joint(vae, x / 255, 20_000, 30.0, labels)
    np.testing.assert_allclose(found, exact.log_sum_exp(joint), atol=1e-3)
    assert np.abs(found - exact.log_likelihood(vae, x / 255, labels=2)).max() > 1


@pytest.mark.parametrize("labels", [[2, 0, 2], [2, 0, 2, 1, 0], [2, 0, 2, 3]])
def test_labels_that_do_not_go_with_the_images_are_refused(labels, rng):
    vae = nv.ConditionalVAE.dense(6, (4,), 1, n_classes=3, rng=rng)
    with pytest.raises(ValueError, match=r"labels has shape .*; expected \(4,\) or one, from 0 to 2"):
        exact.log_likelihood(vae, rng.random((4, 6)), labels=labels)


@pytest.mark.parametrize("a", [[[1, 2, 3], [700, 710, 0]], [[[0.5, 1.0]], [[-800.0, -801.0]]], [3.0, 4.0]])
def test_log_sum_exp_is_over_the_last_axis(a):
    np.testing.assert_allclose(exact.log_sum_exp(a), special.logsumexp(np.atleast_2d(a), axis=-1).reshape(
        np.atleast_1d(np.asarray(a)[..., 0]).shape), rtol=1e-14)


def test_log_sum_exp_of_whole_numbers_of_few_bits_and_of_one_number():
    assert exact.log_sum_exp(np.array([3, 5], np.uint8)) == pytest.approx(np.log(np.exp(3) + np.exp(5)), rel=1e-14)
    assert exact.log_sum_exp(np.array([3, 5], np.float32)).dtype == np.float32
    assert exact.log_sum_exp(np.array(3.0)) == 3 and exact.log_sum_exp(np.array(3.0)).shape == ()


def test_log_mean_exp_is_the_logarithm_of_the_mean(rng):
    a = rng.standard_normal((3, 7))
    np.testing.assert_allclose(exact.log_mean_exp(a - 2000), np.log(np.mean(np.exp(a), axis=1)) - 2000)
    np.testing.assert_allclose(exact.log_mean_exp(a[0]), np.log(np.mean(np.exp(a[0]))))
    assert exact.log_mean_exp(np.array(3.0)) == 3
