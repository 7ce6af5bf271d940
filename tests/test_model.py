import os
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.files import checkpoint
from numpyvae.models.tree import tree_of


@pytest.fixture(params=["VAE", "Autoencoder"])
def model(request, rng):
    return getattr(nv, request.param).dense(7, (5,), 3, rng=rng)


def test_a_saved_model_comes_back_the_same(model, tmp_path, rng):
    model.save(tmp_path / "model.npz")
    loaded = nv.load(tmp_path / "model.npz")
    assert type(loaded) is type(model)
    assert tree_of(loaded) == tree_of(model)
    assert loaded.dtype == model.dtype
    np.testing.assert_array_equal(loaded.parameters.values, model.parameters.values)
    x = rng.random((4, 7))
    np.testing.assert_array_equal(loaded.reconstruct(x), model.reconstruct(x))
    assert os.listdir(tmp_path) == ["model.npz"]


def test_a_save_that_fails_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.npz"]


def test_a_file_that_is_no_model_is_named(tmp_path, model):
    with pytest.raises(FileNotFoundError, match="missing.npz does not exist"):
        nv.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "pickle.npz", header=np.array([{"a": 1}], dtype=object))
    model.save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-200])
    for name, said in (("text.npz", "is not a .npz file"), ("other.npz", "is not a file that numpyvae saved"),
                       ("pickle.npz", "holds object"), ("cut.npz", "or is damaged")):
        with pytest.raises(ValueError, match=f"{name}.* {said}"):
            nv.load(tmp_path / name)
    with pytest.raises(ValueError, match="is a folder; expected a file: give the path of a run's model.npz"):
        nv.load(tmp_path)


def test_a_tree_with_a_line_break_is_refused_in_one_line(model, tmp_path):
    """Found by fuzzing: Python's error quotes the name of the argument."""
    checkpoint.write(tmp_path / "model.npz", {"model": {**tree_of(model), "enc\noder": 2}},
                     {"values": model.parameters.values})
    with pytest.raises(ValueError, match="is not a model that numpyvae saved.*enc oder") as caught:
        nv.load(tmp_path / "model.npz")
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(model, tmp_path):
    model.parameters.values[3] = np.nan
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="NaN or infinite"):
        nv.load(tmp_path / "model.npz")


def test_results_are_the_callers_to_keep(model, rng):
    x = rng.random((4, 7))
    first = model.reconstruct(x)
    kept = first.copy()
    model.reconstruct(rng.random((4, 7)))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("x, named", [
    (np.full((4, 7), 255.0), r"pixels from 255 to 255; expected \[0, 1\]"),
    (np.full((4, 7), np.nan), "pixels from nan"),
    (np.full((4, 7), np.inf), "pixels from inf"),
    (np.zeros((4, 6)), r"x has shape \(4, 6\); expected \(B, 7\)"),
    (np.zeros((0, 7)), r"x has shape \(0, 7\)"),
    (np.zeros((4, 7, 2)), r"expected \(B, 7\)"),
])
def test_data_that_does_not_fit_is_named(model, x, named):
    with pytest.raises(ValueError, match=named):
        model.reconstruct(x)


def test_data_that_is_no_number_is_named(model):
    for x in (np.full((4, 7), "a"), np.zeros((4, 7), complex), np.zeros((4, 7), object)):
        with pytest.raises(TypeError, match="x has dtype"):
            model.reconstruct(x)


def test_infinite_pixels_are_refused_by_a_gaussian(rng):
    vae = nv.VAE.dense(7, (5,), 3, "gaussian", rng=rng)
    with pytest.raises(ValueError, match="NaN or infinity"):
        vae.encode(np.full((2, 7), -np.inf))


@pytest.mark.parametrize("arguments, named", [
    (dict(likelihood="poisson"), "likelihood is 'poisson'"), (dict(beta=-1), "beta is -1"),
    (dict(likelihood="gaussian", sigma=0), "sigma is 0"), (dict(hidden=5), "hidden is 5"),
    (dict(hidden=(0,)), r"hidden is \(0,\)"), (dict(n_latent=0), "n_latent is 0"),
    (dict(activation="x"), "activation is 'x'"),
])
def test_a_wrong_argument_is_named(arguments, named, rng):
    with pytest.raises(ValueError, match=named):
        nv.VAE.dense(7, **arguments, rng=rng)


def test_a_seed_instead_of_a_generator_is_named():
    with pytest.raises(TypeError, match="rng is 0; expected a Generator"):
        nv.VAE.dense(7, rng=0)


def test_noise_of_another_batch_is_named(rng):
    vae = nv.VAE.dense(7, (5,), 3, rng=rng)
    with pytest.raises(ValueError, match="eps has 3 rows; expected 4"):
        vae.loss_and_grad(np.zeros((4, 7)), np.zeros((3, 3)))


def test_import_compiles_nothing_and_loads_neither_numba_nor_matplotlib():
    code = "import sys, numpyvae; print([m for m in ('numba', 'matplotlib', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_without_numba_everything_runs_in_numpy():
    code = ("import sys; sys.modules['numba'] = None\n"
            "import numpy as np, numpyvae as nv\n"
            "vae = nv.VAE.dense(7, (5,), 3, rng=np.random.default_rng(0))\n"
            "print(vae.loss_and_grad(np.ones((4, 7)), np.zeros((4, 3))).loss > 0)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "True", run.stderr


def test_kernels_and_numpy_train_alike(rng):
    images = rng.integers(0, 256, (40, 7), np.uint8)

    def train():
        generator = np.random.default_rng(5)
        vae = nv.VAE.dense(7, (5,), 3, rng=generator, dtype=np.float64)
        for _ in nv.fit(vae, images, optimizer=nv.Adam(), epochs=3, batch_size=8, rng=generator):
            pass
        return vae.parameters.values

    compiled = train()
    with nv.kernels_off():
        np.testing.assert_allclose(train(), compiled, rtol=1e-9)
