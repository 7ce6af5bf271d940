"""The conditional VAE: the label is given with x and z, and samples are of its class."""
import json

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.functional.gaussian import gaussian_kl


@pytest.fixture
def vae(rng):
    return nv.ConditionalVAE.dense(6, (5,), 2, n_classes=3, rng=rng, dtype=np.float64)


def test_without_the_label_s_columns_it_is_a_vae(vae, rng):
    """Weights for the labels that are zero: the plain VAE with the others."""
    plain = nv.VAE.dense(6, (5,), 2, rng=rng, dtype=np.float64)
    for name in plain.parameters.names:
        weights = vae.parameters[name]
        weights[:] = 0
        weights[:plain.parameters[name].shape[0]] = plain.parameters[name]
    x, eps = rng.random((4, 6)), rng.standard_normal((4, 2))
    assert vae.loss_and_grad(x, eps, [0, 1, 2, 0]) == pytest.approx(plain.loss_and_grad(x, eps), rel=1e-13)


def test_the_loss_is_that_of_the_vae_on_joined_rows(vae, rng):
    x, eps, labels = rng.random((3, 6)), rng.standard_normal((3, 2)), np.array([2, 0, 1])
    one_hot = np.eye(3)[labels]
    W = vae.parameters
    h = np.maximum(np.hstack([x, one_hot]) @ W["encoder.0.W"] + W["encoder.0.b"], 0)
    mu, logvar = (h @ W[f"{head}.W"] + W[f"{head}.b"] for head in ("mu_head", "logvar_head"))
    z = mu + np.exp(logvar / 2) * eps
    h = np.maximum(np.hstack([z, one_hot]) @ W["decoder.0.W"] + W["decoder.0.b"], 0)
    a = h @ W["decoder.1.W"] + W["decoder.1.b"]
    nll = np.sum(np.log1p(np.exp(a)) - x * a, axis=1)
    found = vae.loss_and_grad(x, eps, labels)
    assert found.nll == pytest.approx(nll.mean(), rel=1e-12)
    assert found.kl == pytest.approx(gaussian_kl(mu, logvar).mean(), rel=1e-12)


def test_one_label_is_for_all_rows_and_labels_repeat_for_samples(vae, rng):
    x, eps = rng.random((4, 6)), rng.standard_normal((4, 2))
    assert vae.loss(x, eps, 1) == vae.loss(x, eps, [1, 1, 1, 1])
    x, eps, labels = rng.random((2, 6)), rng.standard_normal((3, 2, 2)), [0, 2]
    bound = nv.objectives.iwae(vae, x, eps, labels).loss
    each = [nv.objectives.iwae(vae, x[[i]], eps[:, [i]], label).loss for i, label in enumerate(labels)]
    assert bound == pytest.approx(np.mean(each), rel=1e-13)


def test_convolutions_see_the_label_as_channels(rng):
    """The same convolutions of the images with the label's channels beside theirs, by a plain VAE."""
    sizes = (3, 4), 5, 2    # channels, hidden, latent
    vae = nv.ConditionalVAE.conv((5, 6, 2), *sizes, n_classes=3, rng=rng, dtype=np.float64)
    labels, x, z = np.array([2, 0, 1, 1]), rng.random((4, 5, 6, 2)), rng.standard_normal((4, 2))
    planes = np.zeros((4, 5, 6, 3))
    planes[np.arange(4), :, :, labels] = 1
    wide = nv.VAE.conv((5, 6, 5), *sizes, rng=rng, dtype=np.float64)
    for name in vae.parameters.names:
        if not name.startswith("decoder"):
            wide.parameters[name][:] = vae.parameters[name]
    rows = np.concatenate([x, planes], axis=3).reshape(4, -1)
    for one, other in zip(vae.encode(x.reshape(4, -1), labels), wide.encode(rows)):
        assert one == pytest.approx(other, rel=1e-12)
    joined = np.hstack([z, np.eye(3)[labels]])
    assert vae.decode(z, labels) == pytest.approx(vae.likelihood.mean(vae.decoder.forward(joined)), rel=1e-12)
    assert vae.image_shape == (5, 6, 2)


def test_a_convolutional_one_is_saved_and_loaded(rng, tmp_path):
    vae = nv.ConditionalVAE.conv((5, 6, 1), (3,), 5, 2, n_classes=3, rng=rng)
    vae.save(tmp_path / "vae.npz")
    x, eps, labels = rng.random((2, 30)), rng.standard_normal((2, 2)), [2, 0]
    assert nv.load(tmp_path / "vae.npz").loss(x, eps, labels) == vae.loss(x, eps, labels)


def test_it_learns_to_draw_by_class(rng):
    """Three classes of four bright pixels each: what is drawn is of the class that was asked for."""
    labels = rng.integers(0, 3, 600)
    images = np.repeat(255 * np.eye(3, dtype=np.uint8)[labels], 4, axis=1)
    vae = nv.ConditionalVAE.dense(12, (16,), 2, n_classes=3, rng=rng)
    records = list(nv.fit(vae, images, labels=labels, optimizer=nv.Adam(1e-2), epochs=30, batch_size=50, rng=rng,
                          validation=images[:60], validation_labels=labels[:60]))
    assert records[-1].validation.loss < 0.5
    assert records[-1].validation.kl < 0.2    # the label says everything: nothing is left for the code
    for label in range(3):
        drawn = vae.sample(20, rng, labels=label).reshape(20, 3, 4).mean(axis=2)
        assert (drawn.argmax(axis=1) == label).all()


def test_it_saves_and_loads(vae, rng, tmp_path):
    vae = vae.astype(np.float32)
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz")
    assert again.n_classes == 3
    z = rng.standard_normal((4, 2))
    np.testing.assert_array_equal(again.decode(z, 2), vae.decode(z, 2))


@pytest.mark.parametrize("labels, error, words", [
    ([0, 3], ValueError, r"values from 0 to 3; expected \(2,\) or one, from 0 to 2"), ([-1], ValueError, "from -1"),
    ([1, 3], ValueError, "values from 1 to 3"), ([], ValueError, r"labels has shape \(0,\); expected"),
    ([[0, 1]], ValueError, r"shape \(1, 2\)"),
    ([0, 1, 2], ValueError, r"shape \(3,\)"),
    ([[0], [1, 2]], ValueError, "rows of equal length"), (0.5, TypeError, "labels is .*; expected whole numbers"),
    (None, ValueError, "labels is None; expected each row's class, 0 to 2, or one for all")])
def test_labels_that_do_not_fit_are_named(vae, rng, labels, error, words):
    x, eps = rng.random((2, 6)), np.zeros((2, 2))
    for call in (lambda: vae.loss_and_grad(x, eps, labels), lambda: vae.encode(x, labels),
                 lambda: vae.decode(eps, labels), lambda: vae.sample(2, rng, labels=labels),
                 lambda: nv.objectives.iwae(vae, x, eps, labels)):
        with pytest.raises(error, match=words):
            call()


def test_labels_belong_to_a_model_that_knows_classes(vae, rng):
    plain = nv.VAE.dense(6, (5,), 2, rng=rng)
    with pytest.raises(ValueError, match="labels is .*, but the model has no classes; expected None, or a"):
        plain.loss(rng.random((2, 6)), np.zeros((2, 2)), 1)
    images = rng.integers(0, 255, (10, 6), np.uint8)
    with pytest.raises(ValueError, match="labels are missing, but the model has classes"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=5, rng=rng)
    with pytest.raises(ValueError, match="labels are given, but the model has no classes"):
        nv.fit(plain, images, labels=np.zeros(10, int), optimizer=nv.Adam(), epochs=1, batch_size=5, rng=rng)


def test_log_p_of_an_image_and_its_label_by_weights_and_by_quadrature(vae, rng):
    images, labels = rng.integers(0, 256, (4, 6), np.uint8), np.array([2, 0, 1, 0])
    truth = nv.exact.log_likelihood(vae, images / 255, labels=labels)
    found = nv.evaluation.log_likelihood(vae, images, 5000, rng=rng, labels=labels)
    assert np.abs(found.values - truth).max() < 5 * found.standard_errors.max()
    assert np.abs(truth - nv.exact.log_likelihood(vae, images / 255, labels=0)).max() > 0.01


@pytest.mark.no_judge
def test_the_command_line_trains_draws_and_measures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--hidden", "16", "--latent", "3", "--epochs", "1", "--batch-size", "500"]
    assert main(["train", "--conditional", *small, "--out", "run"]) == 0
    assert main(["sample", "run", "--n", "10", "--label", "7", "--out", "seven.png"]) == 0
    assert main(["sample", "run", "--n", "10"]) == 0
    assert main(["reconstruct", "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--images", "5", "--samples", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 5
    assert main(["sample", "run", "--label", "10"]) == 1
    assert "from 0 to 9" in capsys.readouterr().err
    assert main(["train", "--conditional", "--network", "conv", "--channels", "2", "3", *small, "--out", "other"]) == 0
    assert main(["sample", "other", "--n", "10", "--label", "7", "--out", "another_seven.png"]) == 0


@pytest.mark.parametrize("labels", [np.full(60, 3), np.full(60, -1), np.zeros(60)])
def test_labels_that_are_no_classes_are_refused_before_the_first_step(labels, rng):
    vae = nv.ConditionalVAE.dense(4, n_classes=3, hidden=(5,), n_latent=2, rng=rng)
    with pytest.raises((TypeError, ValueError), match="labels .*expected"):
        nv.fit(vae, rng.random((60, 4)), labels=labels, optimizer=nv.Adam(), epochs=1, batch_size=20, rng=rng)
