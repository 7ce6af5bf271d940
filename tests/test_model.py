import functools
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


def test_a_file_has_a_name(rng):
    with pytest.raises(ValueError, match="path is ''; expected the name of a file"):
        nv.VAE.dense(6, (4,), 2, rng=rng).save("")


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


# What is made where nothing else is said

DENSE = {nv.VAE: {}, nv.ConditionalVAE: {"n_classes": 10}, nv.FullCovarianceVAE: {}, nv.Autoencoder: {}}
CONVOLUTIONAL = [nv.VAE, nv.ConditionalVAE, nv.FullCovarianceVAE, nv.Autoencoder]


@pytest.mark.parametrize("kind", DENSE)
def test_a_dense_model_has_the_defaults_of_its_documentation(kind, rng):
    model = kind.dense(7, likelihood="gaussian", rng=rng)
    classes, heads = model.n_classes or 0, {"mu_head": 20, "logvar_head": 20}
    if kind is nv.FullCovarianceVAE:
        heads["lower_head"] = 400
    shapes = {"encoder.0": (7 + classes, 400), "encoder.1": (400, 20), "decoder.0": (20 + classes, 400),
              "decoder.1": (400, 7)}
    if kind is not nv.Autoencoder:
        del shapes["encoder.1"]
        shapes |= {name: (400, n) for name, n in heads.items()}
        assert model.beta == 1 and type(model.beta) is float
    assert {name[:-2]: model.parameters[name].shape for name in model.parameters.names if name[-1] == "W"} == shapes
    assert (model.n_data, model.n_latent, model.dtype, model.likelihood.sigma) == (7, 20, np.float32, 1.0)
    assert model.n_classes == DENSE[kind].get("n_classes")
    layers = model.encoder.layers[0], *model.decoder.layers
    assert [layer.activation for layer in layers] == ["relu", "relu", "identity"]
    assert kind.dense(7, rng=rng).likelihood.name == "bernoulli"


@pytest.mark.parametrize("kind", CONVOLUTIONAL)
def test_a_convolutional_model_has_the_defaults_of_its_documentation(kind, rng):
    model = kind.conv(rng=rng)
    shapes = {name: model.parameters[name].shape for name in model.parameters.names if name[-1] == "W"}
    heads = {name: (256, 16) for name in (
        ["encoder.5.W"] if kind is nv.Autoencoder else ["mu_head.W", "logvar_head.W"])}
    assert {name: shape for name, shape in shapes.items() if len(shape) == 2 and 256 in shape and 16 in shape
            and name != "decoder.0.W"} == heads
    assert shapes["decoder.0.W"] == (16 + (model.n_classes or 0), 256)
    assert model.n_classes == DENSE[kind].get("n_classes")
    assert [shape[-1] for name, shape in shapes.items() if len(shape) == 4 and name.startswith("encoder")] == [32, 64]
    assert (model.n_data, model.n_latent, model.image_shape) == (784, 16, (28, 28, 1))
    assert model.likelihood.name == "bernoulli"
    assert getattr(model, "beta", 1) == 1 and model.dtype == np.float32
    assert kind.conv((8, 8, 1), (2,), 5, 3, "gaussian", rng=rng).likelihood.sigma == 1


@pytest.mark.parametrize("make", [
    *(functools.partial(kind.dense, 7, (6, 5), 3) for kind in DENSE),
    *(functools.partial(kind.conv, (6, 4, 2), (3, 2), 5, 3) for kind in CONVOLUTIONAL)])
def test_whatever_is_asked_for_reaches_the_parts(make, rng):
    model = make(likelihood="student-t", activation="tanh", init="he", sigma=0.3, rng=rng, dtype=np.float64)
    layers = [layer for _, layer in model.named_layers() if layer.params]
    assert {layer.init for layer in layers} == {"he"} and all(not layer.params["b"].any() for layer in layers)
    assert model.dtype == np.float64 and (model.likelihood.name, model.likelihood.sigma) == ("student-t", 0.3)
    assert {layer.activation for layer in layers[:-1]} == {"tanh", "identity"} and layers[-1].activation == "identity"
    assert model.n_latent == 3
    if isinstance(model, nv.VAE):
        assert make(beta=2.5, rng=rng).beta == 2.5
        assert {head.activation for _, head in model.posterior.named_heads()} == {"identity"}
    decoder = make(likelihood="gaussian-learned", rng=rng).decoder
    assert decoder.forward(np.zeros((1, model.decoder.n_in), np.float32)).shape == (1, 2 * model.n_data)


def test_an_autoencoder_s_loss_is_its_formula(rng):
    model = nv.Autoencoder.dense(5, (4,), 2, "gaussian", "tanh", sigma=0.5, rng=rng, dtype=np.float64)
    x, w = rng.standard_normal((6, 5)), model.parameters
    z = np.tanh(x @ w["encoder.0.W"] + w["encoder.0.b"]) @ w["encoder.1.W"] + w["encoder.1.b"]
    theta = np.tanh(z @ w["decoder.0.W"] + w["decoder.0.b"]) @ w["decoder.1.W"] + w["decoder.1.b"]
    nll = np.sum(0.5 * ((x - theta) / 0.5)**2 + np.log(0.5) + 0.5 * np.log(2 * np.pi), axis=1).mean()
    for found in (model.loss_terms(x), model.loss_and_grad(x)):
        assert found == pytest.approx((nll, nll, 0), rel=1e-12) and {type(one) for one in found} == {float}
    assert model.loss(x) == pytest.approx(nll, rel=1e-12) and model.noise(6, rng) == ()
    np.testing.assert_allclose(model.encode(x), z, rtol=1e-12)
    np.testing.assert_allclose(model.decode(z), theta, rtol=1e-12)
    np.testing.assert_allclose(model.reconstruct(x), theta, rtol=1e-12)
    complex_loss = model.astype(complex).loss_terms(x)
    assert complex_loss.loss == complex_loss.nll == pytest.approx(nll, rel=1e-12) and np.iscomplexobj(complex_loss.loss)
    assert complex_loss.kl == 0
    kept = model.encode(x)
    model.encode(0 * x)
    np.testing.assert_allclose(kept, z, rtol=1e-12)
    for bad in (0, 2.0):
        with pytest.raises(ValueError, match=f"noise: n is {bad}"):
            model.noise(bad, rng)
    with pytest.raises(TypeError, match="noise: rng is 0"):
        model.noise(3, 0)
    with pytest.raises(ValueError, match="z has shape"):
        model.decode(np.zeros((2, 3)))


def test_an_autoencoder_of_black_and_white_decodes_to_probabilities(rng):
    model = nv.Autoencoder.dense(5, (4,), 2, activation="tanh", rng=rng, dtype=np.float64)
    x, w = rng.integers(0, 256, (6, 5), np.uint8), model.parameters
    z = np.tanh(x / 255 @ w["encoder.0.W"] + w["encoder.0.b"]) @ w["encoder.1.W"] + w["encoder.1.b"]
    theta = np.tanh(z @ w["decoder.0.W"] + w["decoder.0.b"]) @ w["decoder.1.W"] + w["decoder.1.b"]
    nll = np.sum(np.logaddexp(0, theta) - x / 255 * theta, axis=1).mean()
    assert model.loss_terms(x) == pytest.approx((nll, nll, 0)) == model.loss_and_grad(x)
    np.testing.assert_allclose(model.decode(z), 1 / (1 + np.exp(-theta)), rtol=1e-12)
    for call in (model.loss, model.loss_terms, model.loss_and_grad, model.encode):
        with pytest.raises(ValueError, match="x has pixels from 2 to 2"):
            call(np.full((6, 5), 2.0))


@pytest.mark.parametrize("kind", [nv.VAE, nv.Autoencoder])
def test_parts_that_do_not_fit_are_named(kind, rng):
    def stack(*sizes):
        return nv.Sequential([nv.Dense(n_in, n_out, rng=rng) for n_in, n_out in zip(sizes, sizes[1:])])

    def make(encoder, decoder, likelihood=nv.likelihoods.Bernoulli(), **options):
        if kind is nv.Autoencoder:
            return kind(encoder, decoder, likelihood)
        return kind(encoder, nv.posteriors.DiagonalGaussian(4, 4, rng=rng), decoder, likelihood, **options)
    assert make(stack(7, 4), stack(4, 7)).n_data == 7
    assert make(stack(7, 4), stack(4, 14), nv.likelihoods.GaussianLearned()).n_data == 7
    other = stack(7, 5), stack(5, 7)
    whose = "decoder takes 4" if kind is nv.Autoencoder else "posterior takes 4"
    with pytest.raises(ValueError, match=f"{whose} numbers per row; expected 5, to fit the other parts"):
        make(other[0], stack(4, 7))
    with pytest.raises(ValueError, match="decoder takes 5 numbers per row; expected 4, to fit the other parts"):
        make(stack(7, 4), other[1])
    with pytest.raises(ValueError, match="decoder outputs 8 numbers per row; expected 7, to fit the other parts"):
        make(stack(7, 4), stack(4, 8))
    with pytest.raises(ValueError, match="decoder outputs 7 numbers per row; expected 14"):
        make(stack(7, 4), stack(4, 7), nv.likelihoods.GaussianLearned())
    if kind is nv.VAE:
        assert make(stack(7, 4), stack(4, 7)).beta == 1 and kind.dense(7, (), 3, rng=rng).n_data == 7
        with pytest.raises(ValueError, match="prior has 3 numbers per row; expected 4"):
            make(stack(7, 4), stack(4, 7), prior=nv.priors.StandardNormal(3))
        with pytest.raises(ValueError, match="decoder takes 4 .*; expected 6, to fit n_latent = 4 and n_classes = 2"):
            make(stack(9, 4), stack(4, 7), n_classes=2)
        assert make(stack(9, 4), stack(6, 7), n_classes=2).n_data == 7


@pytest.mark.parametrize("kind", [nv.ConditionalVAE, nv.FullCovarianceVAE])
def test_a_constructor_s_name_has_no_objects(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no objects of its own; expected {kind.__name__}.dense"):
        kind()


def test_activations_stand_between_layers_and_not_after_the_last(rng):
    def activations(network):
        return [layer.activation for layer in network.layers if layer.params]
    model = nv.Autoencoder.conv((6, 4, 2), (3, 2), 5, 3, activation="tanh", rng=rng)
    assert activations(model.encoder) == ["tanh", "tanh", "tanh", "identity"] == activations(model.decoder)
    vae = nv.VAE.conv((6, 4, 2), (3, 2), 5, 3, activation="tanh", rng=rng)
    assert activations(vae.encoder) == ["tanh"] * 3 and activations(vae.decoder) == ["tanh"] * 3 + ["identity"]
    dense = nv.VAE.dense(7, (6, 5), 3, activation="tanh", rng=rng)
    assert activations(dense.encoder) == ["tanh"] * 2 and activations(dense.decoder) == ["tanh"] * 2 + ["identity"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_noise_and_samples_have_the_precision_of_the_weights(dtype, rng):
    vae = nv.VAE.dense(7, (5,), 3, rng=rng).astype(dtype)
    (eps,) = vae.noise(6, rng)
    assert eps.shape == (6, 3) and eps.dtype == np.zeros(0, dtype).real.dtype
    assert vae.sample(4, rng).dtype == dtype and vae.sample(4, rng).shape == (4, 7)
    same = [vae.sample(4, np.random.default_rng(0), pixel_noise) for pixel_noise in (False, True)]
    z = vae.prior.sample(4, np.random.default_rng(0), eps.dtype)
    np.testing.assert_allclose(same[0], vae.decode(z), rtol=1e-5)
    assert set(np.unique(same[1].real)) <= {0, 1} and len(np.unique(same[0])) == 28


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "gaussian-learned"])
def test_a_sample_is_what_the_decoder_makes_of_a_draw_from_the_prior(likelihood, rng):
    vae = nv.VAE.dense(5, (4,), 2, likelihood, "tanh", rng=rng, dtype=np.float64)
    vae.parameters.values[:] = rng.standard_normal(len(vae.parameters))
    draws, again = np.random.default_rng(3), np.random.default_rng(3)
    theta = vae.decoder.forward(again.standard_normal((6, 2)))
    np.testing.assert_allclose(vae.sample(6, draws), vae.likelihood.mean(theta), rtol=1e-12)
    theta = vae.decoder.forward(again.standard_normal((6, 2)))
    np.testing.assert_allclose(vae.sample(6, draws, pixel_noise=True), vae.likelihood.sample(theta, again), rtol=1e-12)
