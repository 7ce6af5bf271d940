"""Each loss by hand, in plain NumPy, for several images, samples and classes."""
import numpy as np
import pytest

import numpyvae as nv
from numpyvae.models.priors import StandardNormal
from numpyvae.training import objectives
from test_posteriors import make


def log_normal(z, mu, logvar):
    return -0.5 * np.sum(np.log(2 * np.pi) + logvar + (z - mu)**2 / np.exp(logvar), axis=-1)


def by_hand(w, x, eps, c=None):
    """nll, log p(z), log q(z|x) and the KL of each dimension, in plain NumPy; all (K, B), but for the KL, (B, Z)."""
    def joined(a):
        return a if c is None else np.concatenate([a, np.broadcast_to(c, (*a.shape[:-1], c.shape[-1]))], axis=-1)
    h = np.tanh(joined(x) @ w["encoder.0.W"] + w["encoder.0.b"])
    mu, logvar = (h @ w[f"{head}_head.W"] + w[f"{head}_head.b"] for head in ("mu", "logvar"))
    z = mu + np.exp(logvar / 2) * eps
    k = np.tanh(joined(z) @ w["decoder.0.W"] + w["decoder.0.b"])
    a = k @ w["decoder.1.W"] + w["decoder.1.b"]
    nll = np.sum(np.logaddexp(0, a) - x * a, axis=-1)
    kl = 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar)
    return nll, log_normal(z, 0, np.zeros_like(z)), log_normal(z, mu, logvar), kl


@pytest.fixture(params=[None, 3])
def several(request, rng):
    """A model with or without classes, its weights, five images, their labels and the labels one-hot."""
    sizes = dict(n_data=4, hidden=(6,), n_latent=2, activation="tanh", rng=rng, dtype=np.float64)
    vae = nv.VAE.dense(**sizes) if request.param is None else nv.ConditionalVAE.dense(**sizes, n_classes=3)
    vae.parameters.values[:] = rng.normal(0, 0.7, len(vae.parameters))
    labels = None if request.param is None else np.array([2, 0, 1, 1, 0])
    w = {name: vae.parameters[name] for name in vae.parameters.names}
    return vae, w, rng.random((5, 4)), labels, None if labels is None else np.eye(3)[labels]


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("objective", [objectives.iwae, objectives.dreg])
def test_a_bound_s_loss_is_its_formula(objective, samples, several, rng):
    vae, w, x, labels, c = several
    eps = rng.standard_normal((samples, 5, 2))
    nll, log_p, log_q, _ = by_hand(w, x, eps, c)
    weights = np.exp(log_p - log_q - nll)
    loss = -np.log(weights.mean(axis=0)).mean()
    part = np.sum(weights / weights.sum(axis=0) * nll, axis=0).mean()
    assert objective(vae, x, eps, labels) == pytest.approx((loss, part, loss - part), rel=1e-12)
    if samples == 1:
        assert objective(vae, x, eps[0], labels) == pytest.approx((loss, part, loss - part), rel=1e-12)
        assert objectives.sticking_the_landing(vae, x, eps[0], labels) == pytest.approx((loss, part, loss - part))


@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_the_other_losses_are_their_formulas(beta, several, rng):
    vae, w, x, labels, c = several
    vae.beta, eps = beta, rng.standard_normal((5, 2))
    nll, _, _, kl = by_hand(w, x, eps, c)
    expected = nll.mean() + beta * kl.sum(axis=1).mean(), nll.mean(), kl.sum(axis=1).mean()
    for found in (vae.loss_terms(x, eps, labels), vae.loss_and_grad(x, eps, labels),
                  objectives.score_function(vae, x, eps, labels=labels),
                  objectives.score_function(vae, x, eps, np.arange(5.0), labels=labels)):
        assert found == pytest.approx(expected, rel=1e-12) and {type(term) for term in found} == {float}
    in_complex_numbers = vae.astype(complex).loss_terms(x, eps, labels)
    assert in_complex_numbers == pytest.approx(expected, rel=1e-12)
    assert all(np.iscomplexobj(term) for term in in_complex_numbers)
    between = kl.mean(axis=0).mean()    # one dimension counts, and the other's minimum
    for minimum, given in ((0.1, {}), *((m, {"minimum": m}) for m in (0.0, between, 100.0))):
        counted = np.maximum(minimum, kl.mean(axis=0)).sum()
        assert objectives.free_bits(vae, x, eps, **given, labels=labels) == pytest.approx(
            (nll.mean() + beta * counted, nll.mean(), counted), rel=1e-12)


def test_a_bound_s_gradient_is_the_slope_of_its_loss(several, rng):
    """In a direction drawn at random, by central differences."""
    vae, _, x, labels, _ = several
    eps, way = rng.standard_normal((4, 5, 2)), rng.standard_normal(len(vae.parameters))
    objectives.iwae(vae, x, eps, labels)
    slope, ends = vae.parameters.grads @ way, []
    for step in (1e-5, -2e-5):
        vae.parameters.values[:] += step * way
        ends.append(objectives.iwae(vae, x, eps, labels).loss)
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-7)


def test_a_bound_has_the_weight_1(rng):
    vae = nv.VAE.dense(4, (6,), 2, beta=1.5, rng=rng)
    with pytest.raises(ValueError, match="^beta is 1.5; expected 1"):
        objectives.iwae(vae, rng.random((5, 4)), np.zeros((3, 5, 2)))


def test_a_closed_form_of_the_kl_need_not_be_one_of_each_dimension(rng):
    vae, x, eps = make("Laplace"), rng.random((4, 6)), np.zeros((4, 2))
    assert np.isfinite(objectives.score_function(vae, x, eps).loss)
    with pytest.raises(ValueError, match="whose KL of single dimensions has no closed form"):
        objectives.free_bits(vae, x, eps)


def test_free_bits_count_a_dimension_from_a_tenth_of_a_nat_on(rng):
    """Codes of N(mu, 1), whose KL is mu^2 / 2: 0.097 nats in one dimension, 0.103 in the other."""
    vae = nv.VAE.dense(4, (6,), 2, rng=rng, dtype=np.float64)
    for name in ("mu_head.W", "logvar_head.W", "logvar_head.b"):
        vae.parameters[name][:] = 0
    vae.parameters["mu_head.b"][:] = np.sqrt([2 * 0.097, 2 * 0.103])
    assert objectives.free_bits(vae, rng.random((5, 4)), np.zeros((5, 2))).kl == pytest.approx(0.1 + 0.103, rel=1e-12)


def test_without_a_baseline_it_is_0(several, rng):
    vae, _, x, labels, _ = several
    eps, grads = rng.standard_normal((5, 2)), []
    for given in ({}, {"baseline": 0.0}, {"baseline": np.zeros(5)}, {"baseline": 1.0}):
        objectives.score_function(vae, x, eps, **given, labels=labels)
        grads.append(vae.parameters.grads.copy())
    np.testing.assert_array_equal(grads[0], grads[1])
    np.testing.assert_array_equal(grads[0], grads[2])
    assert np.abs(grads[0] - grads[3]).max() > 1e-3


class Other(StandardNormal):
    """To which no KL is known in closed form."""


@pytest.mark.parametrize("objective", [objectives.free_bits, objectives.score_function])
def test_an_objective_that_needs_a_closed_form_says_so(objective, rng):
    vae = nv.VAE.dense(4, (6,), 2, rng=rng, dtype=np.float64)
    vae.prior = Other(2)
    with pytest.raises(ValueError, match="vae has a DiagonalGaussian and an Other, whose KL .*has no closed form"):
        objective(vae, rng.random((5, 4)), np.zeros((5, 2)))


@pytest.mark.parametrize("objective", [objectives.free_bits, objectives.score_function, objectives.iwae])
def test_an_objective_takes_what_the_model_takes(objective, rng):
    vae, images = nv.VAE.dense(4, (6,), 2, rng=rng, dtype=np.float64), rng.integers(0, 256, (5, 4), np.uint8)
    eps = rng.standard_normal((5, 2))
    assert objective(vae, images, eps.tolist()) == pytest.approx(objective(vae, images / 255, eps), rel=1e-12)
    for x, words in ((3.0, "x has shape"), (np.full((5, 4), 2.0), "x has pixels from 2 to 2")):
        with pytest.raises(ValueError, match=words):
            objective(vae, x, eps)


def encoded(w, x, c):
    h = np.tanh((x if c is None else np.hstack([x, c])) @ w["encoder.0.W"] + w["encoder.0.b"])
    return [h @ w[f"{head}_head.W"] + w[f"{head}_head.b"] for head in ("mu", "logvar")]


def decoded(w, z, c):
    h = np.tanh((z if c is None else np.hstack([z, c])) @ w["decoder.0.W"] + w["decoder.0.b"])
    return 1 / (1 + np.exp(-(h @ w["decoder.1.W"] + w["decoder.1.b"])))


def test_what_a_model_makes_of_images_and_codes_by_hand(several, rng):
    vae, w, x, labels, c = several
    z = rng.standard_normal((5, 2))
    for found, expected in zip(vae.encode(x, labels), encoded(w, x, c)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(vae.decode(z, labels), decoded(w, z, c), rtol=1e-12)
    np.testing.assert_allclose(vae.decode(z.tolist(), labels), decoded(w, z, c), rtol=1e-12)
    np.testing.assert_allclose(vae.reconstruct(x, labels), decoded(w, encoded(w, x, c)[0], c), rtol=1e-12)
    with pytest.raises(ValueError, match="z has shape"):
        vae.decode(z[:, :1], labels)
    assert vae.loss(x, z, labels) == vae.loss_terms(x, z, labels).loss
    (eps,) = vae.noise(5, np.random.default_rng(0))
    np.testing.assert_array_equal(eps, np.random.default_rng(0).standard_normal((5, 2)))
    for noisy in (False, True):
        generator = np.random.default_rng(0)
        p = decoded(w, generator.standard_normal((5, 2)), c)
        drawn = vae.sample(5, np.random.default_rng(0), noisy, labels)
        np.testing.assert_allclose(drawn, generator.random((5, 4)) < p if noisy else p, rtol=1e-12)
    np.testing.assert_array_equal(vae.sample(5, np.random.default_rng(0), labels=labels),
                                  vae.sample(5, np.random.default_rng(0), False, labels))


def test_bytes_and_lists_are_taken_as_numbers_and_nonsense_is_named(several, rng):
    vae, w, _, labels, c = several
    images, eps = rng.integers(0, 256, (5, 4), np.uint8), rng.standard_normal((5, 2))
    nll, _, _, kl = by_hand(w, images / 255, eps, c)
    for found in (vae.loss(images, eps.tolist(), labels), vae.loss_and_grad(images, eps.tolist(), labels).loss):
        assert found == pytest.approx(nll.mean() + kl.sum(axis=1).mean(), rel=1e-12)
    for x, noise, words in ((np.full((5, 4), 2.0), eps, "x has pixels from 2 to 2"), (3.0, eps, "x has shape"),
                            (images, 3.0, "eps has shape"), (images, eps[:4], "eps has 4 rows; expected 5")):
        with pytest.raises(ValueError, match=words):
            vae.loss(x, noise, labels)


def test_labels_are_from_0_to_one_below_the_number_of_classes(rng):
    vae, z = nv.ConditionalVAE.dense(4, (6,), 2, n_classes=30, rng=rng), np.zeros((2, 2))
    assert vae.decode(z, [29, 0]).shape == (2, 4)
    for labels, words in (([-1, 29], "from -1 to 29"), ([0, 30], "from 0 to 30")):
        with pytest.raises(ValueError, match=words):
            vae.decode(z, labels)


def test_encode_gives_marginal_moments_not_parameters(rng):
    vae = nv.FullCovarianceVAE.dense(5, (4,), 3, rng=rng, dtype=np.float64)
    assert len(vae.encode(rng.random((2, 5)))) == 2


def test_forward_is_from_an_image_to_its_picture(several, rng):
    vae, w, x, labels, c = several
    eps = rng.standard_normal((5, 2))
    q, z, theta = vae.forward(x, eps, c)
    mu, logvar = vae.encode(x, labels)
    np.testing.assert_allclose(z, mu + np.exp(logvar / 2) * eps, rtol=1e-12)
    np.testing.assert_allclose(q.mu, mu, rtol=1e-12)
    np.testing.assert_allclose(vae.decode(z, labels), 1 / (1 + np.exp(-theta)), rtol=1e-12)
    nll, log_p, log_q, _ = by_hand(w, x, eps, c)
    np.testing.assert_allclose(vae.log_weight(q, z, nll), log_p - log_q - nll, rtol=1e-12)


@pytest.mark.parametrize("call, words", [
    (lambda vae, x: objectives.score_function(vae, x, np.zeros((5, 2)), np.zeros(4)), r"\(4,\); expected a number"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((0, 5, 2))), r"eps has shape \(0, 5, 2\)"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((3, 5, 1))), r"eps has shape \(3, 5, 1\)"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((3, 4, 2))), r"eps has shape \(3, 4, 2\)"),
    (lambda vae, x: objectives.dreg(vae, x, np.zeros((1, 1, 5, 2))), r"eps has shape \(1, 1, 5, 2\)"),
    (lambda vae, x: objectives.dreg(vae, x, np.full((2, 5, 2), np.nan)), "eps holds NaN"),
    (lambda vae, x: objectives.sticking_the_landing(vae, x, np.zeros((2, 5, 2))), "eps has 2 samples"),
])
def test_noise_that_does_not_fit_several_images_is_named(call, words, rng):
    vae = nv.VAE.dense(4, (6,), 2, rng=rng, dtype=np.float64)
    with pytest.raises(ValueError, match=words):
        call(vae, rng.random((5, 4)))
