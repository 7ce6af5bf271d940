"""The VAE in a hundred lines is the package's VAE: the same loss and the same gradients."""
import importlib.util
import pathlib

import numpy as np
import pytest

import numpyvae as nv

FILE = pathlib.Path(__file__).parents[1] / "examples" / "vae_in_100_lines.py"
NAMES = {"h": "encoder.0", "mu": "mu_head", "logvar": "logvar_head", "g": "decoder.0", "a": "decoder.1"}


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("vae_in_100_lines", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_loss_and_gradients_are_the_package_s(example, rng):
    vae = nv.VAE.dense(example.D, (example.H,), example.Z, activation="tanh", rng=rng, dtype=np.float64)
    vae.parameters.values[:] = rng.normal(0, 0.1, len(vae.parameters))
    weights = {f"{kind}_{name}": vae.parameters[f"{layer}.{kind}"] for name, layer in NAMES.items() for kind in "Wb"}
    assert set(weights) == set(example.first_weights())
    x, eps = example.strokes(7), rng.standard_normal((7, example.Z))
    loss, nll, kl, gradients = example.loss_and_grads(weights, x, eps)
    assert (loss, nll, kl) == pytest.approx(vae.loss_and_grad(x, eps), rel=1e-12)
    for name, layer in NAMES.items():
        for kind in "Wb":
            found, expected = gradients[f"{kind}_{name}"], vae.parameters.grad(f"{layer}.{kind}")
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_its_adam_is_the_package_s(example, rng):
    vae = nv.VAE.dense(3, (2,), 1, rng=rng, dtype=np.float64)
    weights = {"all": vae.parameters.values.copy()}
    mean, square = ({"all": np.zeros(len(vae.parameters))} for _ in range(2))
    optimizer = nv.Adam(2e-3)
    for t in (1, 2, 3):
        vae.parameters.grads[:] = rng.standard_normal(len(vae.parameters))
        example.adam(weights, {"all": vae.parameters.grads}, mean, square, t)
        optimizer.step(vae.parameters)
    np.testing.assert_allclose(weights["all"], vae.parameters.values, rtol=1e-12)


def test_it_learns_and_shows_what_it_draws(example, monkeypatch, capsys):
    monkeypatch.setattr(example, "EPOCHS", 2)
    example.main()
    first, second, *picture = capsys.readouterr().out.splitlines()
    losses = [float(line.split("loss")[1].split("=")[0]) for line in (first, second)]
    assert losses[1] < losses[0] and len(picture) == 2 * example.SIDE
    assert {len(line) for line in picture} == {2 * 2 * example.SIDE + 2}


def test_it_is_numpy_alone_and_about_a_hundred_lines():
    text = FILE.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith(("import", "from"))] == ["import numpy as np"]
    assert len(text.splitlines()) <= 110 and max(map(len, text.splitlines())) <= 120
