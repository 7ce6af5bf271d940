"""What training and evaluation report, worked out a second time here: in plain NumPy, by formula, or on paper."""

import numpy as np
import pytest
from scipy import stats

import numpyvae as nv
from numpyvae import evaluation
from numpyvae.cli.evaluate import measure
from numpyvae.datasets import DataSet, load_dataset
from numpyvae.evaluation import factors
from numpyvae.models.model import LossTerms


def grey(n, n_pixels=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, n_pixels), np.uint8)


# fit, in plain NumPy

def sigmoid(a):
    t = np.exp(-np.abs(a))
    return np.where(a < 0, t, 1) / (1 + t)


def plain_fit(w, images, rng, epochs, batch_size, beta):
    """A VAE of Kingma and Welling, with Adam as in their paper, dense and relu: w is changed in place."""
    mean, square, t, B1, B2 = {n: 0 * a for n, a in w.items()}, {n: 0 * a for n, a in w.items()}, 0, 0.9, 0.999
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for i in range(0, len(images), batch_size):
            x = (images[order[i:i + batch_size]] * (1 / 255)).astype(np.float32)
            eps = rng.standard_normal((len(x), 2), np.float32)
            h = np.maximum(x @ w["encoder.0.W"] + w["encoder.0.b"], 0)
            mu, logvar = (h @ w[f"{head}_head.W"] + w[f"{head}_head.b"] for head in ("mu", "logvar"))
            z = mu + np.exp(0.5 * logvar) * eps
            k = np.maximum(z @ w["decoder.0.W"] + w["decoder.0.b"], 0)
            share = np.full((len(x), 1), 1 / len(x), np.float32)
            da = share * (sigmoid(k @ w["decoder.1.W"] + w["decoder.1.b"]) - x)
            dk = np.where(k > 0, da @ w["decoder.1.W"].T, 0)
            dz = dk @ w["decoder.0.W"].T
            dmu = dz + beta * share * mu
            dlogvar = dz * eps * np.exp(0.5 * logvar) * 0.5 + beta * share * 0.5 * (np.exp(logvar) - 1)
            dh = np.where(h > 0, dmu @ w["mu_head.W"].T + dlogvar @ w["logvar_head.W"].T, 0)
            t += 1
            for name, a, d in (("encoder.0", x, dh), ("mu_head", h, dmu), ("logvar_head", h, dlogvar),
                               ("decoder.0", z, dk), ("decoder.1", k, da)):
                for part, g in (("W", a.T @ d), ("b", d.sum(axis=0))):
                    m, s = mean[f"{name}.{part}"], square[f"{name}.{part}"]
                    m += (1 - B1) * (g - m)
                    s += (1 - B2) * (g**2 - s)
                    w[f"{name}.{part}"] -= 1e-3 / (1 - B1**t) * m / (np.sqrt(s / (1 - B2**t)) + 1e-8)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_fit_is_what_plain_numpy_makes_of_the_same_draws_bit_for_bit(beta):
    images = grey(45)
    vae = nv.VAE.dense(12, (6,), 2, beta=beta, rng=np.random.default_rng(1))
    w = {name: vae.parameters[name].copy() for name in vae.parameters.names}
    with nv.kernels_off():
        list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=3, batch_size=8, rng=np.random.default_rng(2)))
    plain_fit(w, images, np.random.default_rng(2), 3, 8, beta)
    for name in vae.parameters.names:
        np.testing.assert_array_equal(vae.parameters[name], w[name], err_msg=name)


# Optimizers

def step_of(optimizer, values, *gradients):
    class Given:
        pass
    given = Given()
    given.values = np.array(values, float)
    for grads in gradients:
        given.grads = np.array(grads, float)
        optimizer.step(given)
    return given.values


def test_sgd_and_momentum_step_by_their_formulas():
    np.testing.assert_allclose(step_of(nv.SGD(0.1), [1, 2], [3, -4]), [0.7, 2.4], rtol=1e-15)
    np.testing.assert_allclose(step_of(nv.Momentum(0.1, 0.9), [1, 2], [3, -4], [1, 1]),
                               [0.7 - 0.1 * (2.7 + 1), 2.4 - 0.1 * (-3.6 + 1)], rtol=1e-15)


def test_defaults_are_those_of_the_papers():
    adam, momentum = nv.Adam(), nv.Momentum()
    assert (adam.lr, adam.beta1, adam.beta2, adam.eps) == (1e-3, 0.9, 0.999, 1e-8)
    assert (momentum.lr, momentum.momentum, nv.SGD().lr) == (1e-2, 0.9, 1e-2)


# Schedules

class Watch:
    """An optimizer that changes nothing, and keeps lr and the model's beta of each step."""

    def __init__(self, model, lr=1e-2):
        self.model, self.lr, self.seen = model, lr, []

    def step(self, parameters):
        self.seen.append((self.lr, getattr(self.model, "beta", None)))


@pytest.mark.parametrize("beta", [1.0, 3.0])
@pytest.mark.parametrize("warmup", [0, 1, 2, 4])
@pytest.mark.parametrize("lr_end", [None, 3e-4])
@pytest.mark.parametrize("batch_size, steps", [(8, 6), (1, 45)])    # steps of an epoch: the sixth has 5 images
def test_each_step_has_the_lr_and_beta_of_the_formula(batch_size, steps, lr_end, warmup, beta):
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(12, (6,), 2, beta=beta, rng=rng)
    watch = Watch(vae)
    records = list(nv.fit(vae, grey(45), optimizer=watch, epochs=4, batch_size=batch_size, rng=rng,
                          lr_end=lr_end, warmup=warmup))
    t = np.arange(4 * steps)
    lr, betas = np.array(watch.seen).T
    grown = np.minimum(1, t / (steps * warmup)) if warmup else 1
    np.testing.assert_allclose(lr, 1e-2 * (3e-4 / 1e-2)**(t / len(t)) if lr_end else 1e-2 + 0 * t, rtol=1e-12)
    np.testing.assert_allclose(betas, beta * grown + 0 * t, rtol=1e-12)
    assert watch.lr == 1e-2 and vae.beta == beta
    for epoch, record in enumerate(records):
        if (betas[steps * epoch:steps * (epoch + 1)] == beta).all():
            assert record.loss == pytest.approx(record.nll + beta * record.kl, rel=1e-6)
        else:
            assert record.loss < record.nll + beta * record.kl


def test_a_record_is_the_mean_over_images_of_each_step_s_terms():
    given = iter(range(1, 100))

    def objective(model, x, eps):
        i = next(given)
        return LossTerms(1.0 * i, 10.0 * i, 100.0 * i)

    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(12, (6,), 2, rng=rng)
    first, second = nv.fit(vae, grey(20), optimizer=nv.SGD(1e-9), epochs=2, batch_size=8, rng=rng, objective=objective)
    expected = (8 * 1 + 8 * 2 + 4 * 3) / 20, (8 * 4 + 8 * 5 + 4 * 6) / 20
    for record, one in zip((first, second), expected):
        assert (record.loss, record.nll, record.kl) == pytest.approx((one, 10 * one, 100 * one))


@pytest.mark.parametrize("n", [1, 499, 500, 501, 1003])
def test_the_validation_loss_is_the_mean_over_images(n):
    """In blocks of 500, the last of which may be a single image that is unlike the others."""
    rng = np.random.default_rng(0)
    model = nv.Autoencoder.dense(12, (6,), 2, rng=rng, dtype=np.float64)
    held_out = grey(n)
    held_out[-1] = 255 * (np.arange(12) % 2)
    theta = model.decoder.forward(model.encoder.forward(held_out / 255))
    expected = np.mean(np.sum(np.logaddexp(0, theta) - held_out / 255 * theta, axis=1))
    assert nv.evaluate_loss(model, held_out, rng=rng).nll == pytest.approx(expected, rel=1e-12)
    record, = nv.fit(model, grey(20), optimizer=Watch(model), epochs=1, batch_size=8, rng=rng, validation=held_out)
    assert record.validation.loss == pytest.approx(expected, rel=1e-12)


# Evaluation on a model that is solved on paper

def solved(beta=1.0):
    """x = b + z W + 0.5 noise with orthogonal rows of W, q the true posterior."""
    W = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 3)))[0].T * np.array([[1.0], [0.4], [0.02]])
    vae = nv.VAE.dense(12, (), 3, "gaussian", sigma=0.5, beta=beta, rng=np.random.default_rng(0), dtype=np.float64)
    w, b, M = vae.parameters, np.linspace(-1, 1, 12), np.sum(W**2, axis=1) + 0.25
    w["decoder.0.W"][:], w["decoder.0.b"][:] = W, b
    w["mu_head.W"][:], w["mu_head.b"][:] = W.T / M, -(b @ W.T) / M
    w["logvar_head.W"][:], w["logvar_head.b"][:] = 0, np.log(0.25 / M)
    x = b + np.random.default_rng(1).standard_normal((3000, 3)) @ W
    x += 0.5 * np.random.default_rng(2).standard_normal(x.shape)
    return vae, x, W, b, M


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_every_measure_is_the_one_on_paper(beta):
    vae, x, W, b, M = solved(beta)
    found = measure(vae, DataSet("paper", x, x), 30, 200, "none", 0)
    log_p = stats.multivariate_normal(b, W.T @ W + 0.25 * np.eye(12)).logpdf(x)
    assert found["log_likelihood"] == pytest.approx(log_p[:200].mean(), abs=1e-9)
    assert found["standard_error"] == pytest.approx(stats.sem(log_p[:200]), rel=1e-9)
    assert found["effective_sample_size"] == pytest.approx(30)
    mu, variance = (x - b) @ W.T / M, 0.25 / M
    kl = 0.5 * (variance + mu**2 - 1 - np.log(variance))
    np.testing.assert_allclose(found["kl_per_dimension"], kl.mean(axis=0), rtol=1e-9)
    assert found["rate"] == pytest.approx(kl.sum(axis=1).mean(), rel=1e-9)
    spread = np.sum((x - b - mu @ W)**2, axis=1) + np.sum(variance * M - 0.25 * variance)
    nll = spread / 0.5 + 12 * (np.log(0.5) + 0.5 * np.log(2 * np.pi))
    assert found["distortion"] == pytest.approx(nll.mean(), abs=0.1)    # one z for each image
    assert found["elbo"] == pytest.approx(log_p.mean(), abs=0.1)    # the bound is tight, whatever beta
    assert found["elbo"] == pytest.approx(-found["rate"] - found["distortion"], rel=1e-12)
    assert found["active_units"] == (mu.var(axis=0) > 0.01).sum() == 2
    np.testing.assert_allclose(found["aggregate_mean"], mu.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found["aggregate_variance"], mu.var(axis=0) + variance, rtol=1e-9)
    np.testing.assert_allclose(found["aggregate_variance"], 1, atol=0.1)    # q(z) is the prior


def test_active_means_a_variance_above_a_hundredth():
    mu = np.sqrt([0.0099, 0.0101, 0.05, 0.2]) * np.where(np.arange(100) % 2, 1, -1)[:, None]
    assert evaluation.active_units(mu).tolist() == [False, True, True, True]


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_codes_are_those_of_binary_pixels(binarize, rng):
    vae = nv.VAE.dense(3, (), 3, rng=rng)
    vae.parameters["mu_head.W"][:], vae.parameters["mu_head.b"][:] = np.eye(3), 0
    mu, _ = evaluation.encode_all(vae, grey(500, 3), rng=rng, binarize=binarize)
    assert set(np.unique(mu)) == {0, 1}
    assert len(np.unique(evaluation.encode_all(vae, grey(500, 3), rng=rng)[0])) > 200


def test_recovery_counts_in_20_bins(rng):
    v = rng.standard_normal(5000)
    z = v + 0.5 * rng.standard_normal(5000)
    bins = [np.searchsorted(np.quantile(a, np.arange(1, 20) / 20), a) for a in (v, z)]
    table = np.histogram2d(*bins, bins=[np.arange(21)] * 2)[0] / 5000
    information = np.nansum(stats.entropy(table.sum(axis=0)) * 2 - stats.entropy(table.ravel()))
    by_chance = 19 * 19 / 2 / 5000
    expected = (information - by_chance) / (np.log(20) - by_chance)
    assert evaluation.factor_recovery(z[:, None], {"v": v})[0, 0] == pytest.approx(expected, abs=2e-3)
    assert factors._in_bins(v).max() == 19


def test_the_gap_is_to_the_next_dimension():
    assert evaluation.mutual_information_gap([[0.1, 0.9, 0.5, 0.0], [0.2, 0.2, 0.3, 0.0]]) == pytest.approx(0.25)


# Data

def test_labels_and_pixels_of_a_batch_belong_together():
    images = np.arange(50, dtype=np.uint8)[:, None] * np.ones(3, np.uint8)
    labels = np.arange(50) % 7
    seen = {"training": [], "validation": []}

    def objective(model, x, eps, labels):
        seen["training"] += zip(np.rint(255 * x[:, 0]).astype(int) % 7, labels)
        return LossTerms(1.0, 1.0, 0.0)

    rng = np.random.default_rng(0)
    vae = nv.ConditionalVAE.dense(3, (4,), 2, n_classes=7, rng=rng)
    its_own = vae.loss_terms

    def loss_terms(x, eps, labels):
        seen["validation"] += zip(np.rint(255 * x[:, 0]).astype(int) % 7, labels)
        return its_own(x, eps, labels)
    vae.loss_terms = loss_terms
    list(nv.fit(vae, images, labels=labels, optimizer=nv.SGD(1e-9), epochs=2, batch_size=8, rng=rng,
                objective=objective, validation=images[::-1], validation_labels=labels[::-1]))
    assert {name: len(pairs) for name, pairs in seen.items()} == {"training": 100, "validation": 100}
    assert all(pixel == label for pairs in seen.values() for pixel, label in pairs)


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_images_keep_their_labels_and_are_not_trained_on(seed, tmp_path):
    images = (np.arange(200)[:, None, None] + np.zeros((8, 8))).astype(np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(200) // 25)
    data = load_dataset(tmp_path / "own.npz", seed=seed)
    numbers = [part[:, 0, 0].astype(int) for part in (data.train, data.test)]
    assert sorted(np.concatenate(numbers)) == list(range(200)) and len(numbers[1]) == 20
    for its, labels in zip(numbers, (data.train_labels, data.test_labels)):
        np.testing.assert_array_equal(labels, its // 25)


def test_strokes_are_labelled_as_what_they_show_and_are_not_in_both_sets():
    data = load_dataset("strokes")
    train, test = (part.reshape(len(part), -1) for part in (data.train, data.test))
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
    alike = evaluation.nearest_neighbour_accuracy(train[:3000], data.train_labels[:3000], test[:300],
                                                  data.test_labels[:300])
    assert alike > 0.9
    np.testing.assert_array_equal(data.test_labels, data.test_factors["label"])
    ink = test.astype(float).mean(axis=1)
    assert stats.spearmanr(ink, data.test_factors["thickness"]).statistic > 0.5
