"""The conditional VAE: the label stands beside x and z, and what is drawn follows it."""
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
        part, number, *array = name.split(".")
        there = f"{part}.{int(number) + 1}.{array[0]}" if array else name    # what joins the label comes first
        weights = vae.parameters[there]
        weights[:] = 0
        weights[:plain.parameters[name].shape[0]] = plain.parameters[name]
    x, eps = rng.random((4, 6)), rng.standard_normal((4, 2))
    assert vae.condition([0, 1, 2, 0]).loss_and_grad(x, eps) == pytest.approx(plain.loss_and_grad(x, eps), rel=1e-13)


def test_the_loss_is_that_of_the_vae_on_joined_rows(vae, rng):
    x, eps, labels = rng.random((3, 6)), rng.standard_normal((3, 2)), np.array([2, 0, 1])
    one_hot = np.eye(3)[labels]
    W = vae.parameters
    h = np.maximum(np.hstack([x, one_hot]) @ W["encoder.1.W"] + W["encoder.1.b"], 0)
    mu, logvar = (h @ W[f"{head}.W"] + W[f"{head}.b"] for head in ("mu_head", "logvar_head"))
    z = mu + np.exp(logvar / 2) * eps
    h = np.maximum(np.hstack([z, one_hot]) @ W["decoder.1.W"] + W["decoder.1.b"], 0)
    a = h @ W["decoder.2.W"] + W["decoder.2.b"]
    nll = np.sum(np.log1p(np.exp(a)) - x * a, axis=1)
    found = vae.condition(labels).loss_and_grad(x, eps)
    assert found.nll == pytest.approx(nll.mean(), rel=1e-12)
    assert found.kl == pytest.approx(gaussian_kl(mu, logvar).mean(), rel=1e-12)


def test_one_label_is_for_all_rows_and_labels_repeat_for_samples(vae, rng):
    x, eps = rng.random((4, 6)), rng.standard_normal((4, 2))
    assert vae.condition(1).loss(x, eps) == vae.condition([1, 1, 1, 1]).loss(x, eps)
    x, eps, labels = rng.random((2, 6)), rng.standard_normal((3, 2, 2)), [0, 2]
    bound = nv.objectives.iwae(vae.condition(labels), x, eps).loss
    each = [nv.objectives.iwae(vae.condition(label), x[[i]], eps[:, [i]]).loss for i, label in enumerate(labels)]
    assert bound == pytest.approx(np.mean(each), rel=1e-13)


def test_it_learns_to_draw_by_class(rng):
    """Three classes of four bright pixels each: what is drawn is of the class that was asked for."""
    labels = rng.integers(0, 3, 600)
    images = np.repeat(255 * np.eye(3, dtype=np.uint8)[labels], 4, axis=1)
    vae = nv.ConditionalVAE.dense(12, (16,), 2, n_classes=3, rng=rng)
    records = list(nv.fit(vae, images, labels=labels, optimizer=nv.Adam(1e-2), epochs=30, batch_size=50, rng=rng,
                          validation=images[:60], validation_labels=labels[:60]))
    assert records[-1].validation.loss < 0.5
    assert records[-1].validation.kl < 0.2    # the label has told everything: nothing is left for the code
    for label in range(3):
        drawn = vae.condition(label).sample(20, rng).reshape(20, 3, 4).mean(axis=2)
        assert (drawn.argmax(axis=1) == label).all()


def test_it_saves_and_loads(vae, rng, tmp_path):
    vae = vae.astype(np.float32)
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz")
    assert type(again) is nv.ConditionalVAE
    z = rng.standard_normal((4, 2))
    np.testing.assert_array_equal(again.condition(2).decode(z), vae.condition(2).decode(z))


@pytest.mark.parametrize("labels, error, words", [
    ([0, 3], ValueError, "lie from 0 to 3; expected .* from 0 to 2"), ([-1], ValueError, "from -1"),
    ([], ValueError, "expected at least one number"), ([[0, 1]], ValueError, r"shape \(1, 2\)"),
    (0.5, TypeError, "dtype float64; expected whole numbers")])
def test_labels_that_do_not_fit_are_named(vae, labels, error, words):
    with pytest.raises(error, match=words):
        vae.condition(labels)


def test_a_missing_condition_is_named(vae, rng):
    with pytest.raises(ValueError, match="call condition.labels. first"):
        vae.loss(rng.random((2, 6)), np.zeros((2, 2)))
    vae.condition([0, 1])
    with pytest.raises(ValueError, match="holds 2 labels for 3 rows"):
        vae.loss(rng.random((3, 6)), np.zeros((3, 2)))
    images = rng.integers(0, 255, (10, 6), np.uint8)
    with pytest.raises(ValueError, match="labels are missing.*needs"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=5, rng=rng)
    with pytest.raises(ValueError, match="labels are given.*VAE knows no condition"):
        nv.fit(nv.VAE.dense(6, (5,), 2, rng=rng), images, labels=np.zeros(10, int), optimizer=nv.Adam(), epochs=1,
               batch_size=5, rng=rng)
    with pytest.raises(ValueError, match="made of dense layers"):
        nv.ConditionalVAE.conv(rng=rng)


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
    assert main(["train", "--conditional", "--network", "conv", *small, "--out", "other"]) == 1
    assert "expected one of them" in capsys.readouterr().err
