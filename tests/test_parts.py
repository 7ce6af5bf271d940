"""A model is its parts: composed by hand, copied, pickled, saved and loaded, it stays the same, and can be trained."""
import copy
import json
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest

import numpyvae as nv
from numpyvae.files import checkpoint
from numpyvae.gradcheck.models import DiagonalByOneSample, FullByOneSample, model_examples
from numpyvae.models.likelihoods import Bernoulli, Gaussian
from numpyvae.models.posteriors import DiagonalGaussian
from numpyvae.models.priors import StandardNormal
from numpyvae.models.tree import DEEPEST, MOST, tree_of

EXAMPLES = {name: make for name, make in model_examples() if "beta=0" not in name}


def composed(rng, activation="tanh", **options):
    """A VAE put together by hand, with layers that no constructor of ours would choose."""
    encoder = nv.Sequential([nv.Dense(6, 5, activation, rng=rng), nv.Dense(5, 4, "sigmoid", init="he", rng=rng)])
    decoder = nv.Sequential([nv.Dense(2, 5, "softplus", rng=rng), nv.Dense(5, 6, rng=rng)])
    return nv.VAE(encoder, DiagonalGaussian(4, 2, rng=rng), decoder, Bernoulli(), **options)


class Scale:
    """A learner's own layer: y = x g, one number for each column."""

    def __init__(self, n_in, start=1.0):
        self.n_in, self.start = n_in, start
        self.params = {"g": np.full(n_in, start, np.float32)}
        self.grads = {"g": np.zeros(n_in, np.float32)}

    def forward(self, x):
        self.x = x
        return x * self.params["g"]

    def backward(self, dy, need_dx=True):
        self.grads["g"][:] = (dy * self.x).sum(axis=0)
        return dy * self.params["g"]


def trained(model, images):
    """The weights after two epochs that start from the model's own."""
    for _ in nv.fit(model, images, optimizer=nv.Adam(1e-2), epochs=2, batch_size=4, rng=np.random.default_rng(0)):
        pass
    return model.parameters.values.copy()


@pytest.mark.parametrize("name", EXAMPLES)
def test_saved_and_loaded_every_model_is_the_same(name, tmp_path):
    model, x, given = EXAMPLES[name]()
    model.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz", parts=[DiagonalByOneSample, FullByOneSample])
    assert type(again) is type(model) and again.dtype == model.dtype and tree_of(again) == tree_of(model)
    assert again.parameters.names == model.parameters.names
    np.testing.assert_array_equal(again.parameters.values, model.parameters.values)
    noise = model.noise(len(x), np.random.default_rng(0))
    assert again.loss_and_grad(x, *noise, **given) == model.loss_and_grad(x, *noise, **given)
    np.testing.assert_array_equal(again.parameters.grads, model.parameters.grads)


@pytest.mark.parametrize("change", [{}, {"beta": 4.0}])
def test_a_vae_composed_by_hand_survives_its_file(change, rng, tmp_path):
    """tanh comes back as tanh, and what was set after it was made comes back too."""
    vae = composed(rng, **change)
    vae.beta = 1.0 if change else 2.5
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz")
    assert [layer.activation for layer in again.encoder.layers] == ["tanh", "sigmoid"]
    assert again.encoder.layers[1].init == "he" and again.beta == vae.beta
    x = rng.random((3, 6))
    np.testing.assert_array_equal(again.reconstruct(x), vae.reconstruct(x))


COPIES = {
    "deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "astype": lambda model: model.astype(model.dtype)}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["VAE(gaussian, beta=4)", "VAE.conv(bernoulli)", "Autoencoder(bernoulli)",
                                  "FullCovarianceVAE(bernoulli, beta=1)"])
def test_a_copy_is_a_model_that_trains(how, name):
    model, x, _ = EXAMPLES[name]()
    images = np.repeat(x, 3, axis=0)
    model.loss_and_grad(x, *model.noise(len(x), np.random.default_rng(0)))
    before = model.parameters.values.copy()
    again = COPIES[how](model)
    assert not np.shares_memory(again.parameters.values, model.parameters.values)
    for layer_name, layer in again.named_layers():
        for key in layer.params:
            assert np.shares_memory(layer.params[key], again.parameters[f"{layer_name}.{key}"])
            assert np.shares_memory(layer.grads[key], again.parameters.grad(f"{layer_name}.{key}"))
    after = trained(again, images)
    assert not np.array_equal(after, before) and np.array_equal(model.parameters.values, before)
    np.testing.assert_array_equal(trained(model, images), after)


def test_joblib_s_read_only_maps_become_weights_that_train(rng, tmp_path):
    vae = composed(rng)
    joblib.dump(vae, tmp_path / "vae.joblib")
    again = joblib.load(tmp_path / "vae.joblib", mmap_mode="r")
    np.testing.assert_array_equal(again.parameters.values, vae.parameters.values)
    images = rng.random((8, 6), np.float32)
    np.testing.assert_array_equal(trained(again, images), trained(vae, images))


def test_what_is_kept_between_forward_and_backward_stays_behind(rng):
    vae = nv.VAE.dense(784, (10,), 2, rng=rng)
    small = len(pickle.dumps(vae))
    vae.loss_and_grad(rng.random((1000, 784)), rng.standard_normal((1000, 2)))
    assert len(pickle.dumps(vae)) < small + 1000 < 1.2 * vae.parameters.values.nbytes + 11_000


# A learner's own layer

def with_own_layer(rng):
    encoder = nv.Sequential([Scale(6, 0.5), nv.Dense(6, 4, "tanh", rng=rng)])
    return nv.VAE(encoder, DiagonalGaussian(4, 2, rng=rng), nv.Sequential([nv.Dense(2, 6, rng=rng)]), Gaussian(0.5))


def test_a_layer_of_one_s_own_comes_back_with_its_class(rng, tmp_path):
    vae = with_own_layer(rng)
    vae.parameters["encoder.0.g"][:] = np.arange(6)
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz", parts=[Scale])
    assert type(again.encoder.layers[0]) is Scale and again.encoder.layers[0].start == 0.5
    np.testing.assert_array_equal(again.parameters.values, vae.parameters.values)
    images = rng.random((8, 6), np.float32)
    np.testing.assert_array_equal(trained(again, images), trained(vae, images))


def test_without_its_class_it_is_refused_by_name(rng, tmp_path):
    with_own_layer(rng).save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=r"unknown class 'Scale': pass it.*parts=\[Scale\]"):
        nv.load(tmp_path / "model.npz")


def test_a_layer_called_like_one_of_ours_is_not_taken_for_it(rng, tmp_path):
    own = type("Dense", (Scale,), {})
    vae = nv.VAE(nv.Sequential([own(6), nv.Dense(6, 4, rng=rng)]), DiagonalGaussian(4, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())
    vae.save(tmp_path / "model.npz")
    assert type(nv.load(tmp_path / "model.npz", parts=[own]).encoder.layers[0]) is own
    with pytest.raises(ValueError, match="unknown class 'Dense'"):
        nv.load(tmp_path / "model.npz")


class Forgetful(Scale):
    def __init__(self, n_in, other):
        super().__init__(n_in)


class Holding(Scale):
    def __init__(self, n_in, table=None):
        super().__init__(n_in)
        self.table = np.ones((2, 2)) if table is None else table


@pytest.mark.parametrize("layer, words", [
    (Forgetful(6, 1), "Forgetful cannot be saved: its constructor takes other.*expected self.other"),
    (Holding(6), r"Holding cannot be saved: its table is an array \(2, 2\)")])
def test_what_cannot_be_made_again_is_refused_when_saved(layer, words, rng, tmp_path):
    vae = nv.VAE(nv.Sequential([layer, nv.Dense(6, 4, rng=rng)]), DiagonalGaussian(4, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())
    with pytest.raises(ValueError, match=words):
        vae.save(tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()


class Doubling(Scale):
    def __init__(self, n_in, start=1.0):
        super().__init__(n_in, 2 * start)


def test_a_part_that_would_come_back_another_is_refused_when_saved(rng, tmp_path):
    vae = nv.VAE(nv.Sequential([Doubling(6), nv.Dense(6, 4, rng=rng)]), DiagonalGaussian(4, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())
    with pytest.raises(ValueError, match="Doubling cannot be saved: rebuilt from .* it is not the same"):
        vae.save(tmp_path / "model.npz")


# One vector of weights, whatever is done to the parts

def test_a_shallow_copy_leaves_the_model_its_layers(rng):
    vae = composed(rng)
    again = copy.copy(vae)
    images = rng.random((8, 6), np.float32)
    np.testing.assert_array_equal(trained(again, images), trained(vae, images))


def test_a_layer_has_one_model_and_one_place(rng):
    vae = composed(rng)
    with pytest.raises(ValueError, match="encoder.0 belongs to another model; expected a separate layer: copy"):
        nv.VAE(vae.encoder, DiagonalGaussian(4, 2, rng=rng), vae.decoder, Bernoulli())
    twice = nv.Dense(6, 6, rng=rng)
    with pytest.raises(ValueError, match="encoder.1 is the same layer as encoder.0; expected a separate layer in"):
        nv.VAE(nv.Sequential([twice, twice]), DiagonalGaussian(6, 2, rng=rng), nv.Sequential([nv.Dense(2, 6, rng=rng)]),
               Bernoulli())
    parts = copy.deepcopy((vae.encoder, vae.decoder))
    assert nv.VAE(parts[0], DiagonalGaussian(4, 2, rng=rng), parts[1], Bernoulli()).n_data == 6


class Rebinding(Scale):
    """Puts its gradient into a new array, where the model does not look."""

    def backward(self, dy, need_dx=True):
        self.grads["g"] = (dy * self.x).sum(axis=0)
        return dy * self.params["g"]


def test_arrays_that_are_not_the_model_s_are_found_before_they_are_lost(rng, tmp_path):
    vae = composed(rng)
    vae.encoder.layers[0] = nv.Dense(6, 5, "tanh", rng=rng)
    with pytest.raises(ValueError, match="weights or gradients of encoder.0 are not those of .parameters."):
        vae.save(tmp_path / "model.npz")
    own = nv.VAE(nv.Sequential([Rebinding(6), nv.Dense(6, 4, rng=rng)]), DiagonalGaussian(4, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())
    with pytest.raises(ValueError, match="of encoder.0 are not those.*write into params and grads in place"):
        trained(own, rng.random((8, 6), np.float32))


@pytest.mark.parametrize("sizes, words", [
    (dict(n_hidden=7), "posterior takes 7 numbers per row; expected 4"),
    (dict(n_code=3), "decoder takes 3 .* expected 2"), (dict(n_out=5), "decoder outputs 5 .* expected 6"),
    (dict(n_prior=5), "prior has 5 .* expected 2"), (dict(n_classes=3), "decoder takes 2 .* expected 5")])
def test_sizes_that_do_not_fit_are_named(sizes, words, rng):
    n = {"n_hidden": 4, "n_code": 2, "n_out": 6, "n_prior": 2, "n_classes": None} | sizes
    with pytest.raises(ValueError, match=words):
        nv.VAE(nv.Sequential([nv.Dense(6, 4, rng=rng)]), DiagonalGaussian(n["n_hidden"], 2, rng=rng),
               nv.Sequential([nv.Dense(n["n_code"], n["n_out"], rng=rng)]), Bernoulli(), StandardNormal(n["n_prior"]),
               n_classes=n["n_classes"])


def test_parts_that_do_not_fit_are_named(rng):
    layers = nv.Sequential([nv.Dense(4, 3, rng=rng)])
    with pytest.raises(ValueError, match="encoder does not say how many numbers it takes; expected an attribute n_in"):
        nv.VAE(nv.Sequential([nv.Flatten()]), DiagonalGaussian(3, 2, rng=rng), layers, Bernoulli())
    for position, part in (("posterior", layers), ("likelihood", "bernoulli"), ("prior", 1.0)):
        parts = {"encoder": layers, "posterior": DiagonalGaussian(3, 2, rng=rng), "decoder": layers,
                 "likelihood": Bernoulli()} | {position: part}
        with pytest.raises(TypeError, match=f"{position} is .*; expected a"):
            nv.VAE(**parts)


# Forged trees

def forged(tree, path, n_weights=40):
    checkpoint.write(path, {"model": tree}, {"values": np.zeros(n_weights, np.float32)})
    return path


DENSE = {"part": "Dense", "n_in": 6, "n_out": 4, "activation": "tanh", "init": "fan-in"}
HUGE = {**DENSE, "n_out": 2**31 - 1}


def nested(depth):
    return {"part": "Sequential", "layers": [nested(depth - 1)]} if depth else DENSE


def vae_of(**parts):
    """A tree that would do, but for these parts."""
    one = {"part": "Sequential", "layers": [DENSE]}
    return {"part": "VAE", "encoder": one, "posterior": {"part": "DiagonalGaussian", "n_hidden": 4, "n_latent": 2,
            "init": "fan-in"}, "decoder": {"part": "Sequential", "layers": [{**DENSE, "n_in": 2, "n_out": 6}]},
            "likelihood": {"part": "Bernoulli"}, "prior": {"part": "StandardNormal", "n_latent": 2}, "beta": 1.0,
            "n_classes": None} | parts


@pytest.mark.parametrize("tree, words", [
    (vae_of(encoder={"part": "Sequential", "layers": [HUGE]}), "more weights than it holds"),
    (vae_of(encoder={"part": "Sequential", "layers": [{**DENSE, "n_in": 10, "n_out": 2}] * 5}), "more weights than"),
    (vae_of(posterior={"part": "FullGaussian", "n_hidden": 4, "n_latent": 10**6, "init": "he"}), "more weights than"),
    (vae_of(encoder={"part": "Sequential", "layers": [{
        "part": "Conv2d", "n_in": 10**4, "n_out": 10**4, "kernel_size": [999, 999], "stride": 1, "padding": 0,
        "activation": "relu", "init": "he"}]}), "more weights than it holds"),
    (vae_of(encoder={"part": "Sequential", "layers": [{"part": "Flatten", "groups": 1}] * MOST}), "its tree has"),
    (vae_of(encoder={"part": "Sequential", "layers": [{"part": "Reshape", "shape": [2**31 - 1] * MOST}]}), "its tree"),
    (vae_of(encoder={"part": "Sequential", "layers": [{"part": "Reshape", "shape": [2**31 - 1] * 64}]}), "63 axes"),
    (vae_of(encoder=nested(DEEPEST + 1)), f"tree has more than {DEEPEST} levels"),
    (vae_of(encoder={"part": "__import__"}), "unknown class '__import__'"),
    (vae_of(encoder={"part": "Sequential", "layers": "Dense"}), "layers is"),
    (vae_of(encoder={"part": "Sequential", "layers": [DENSE], "path": "x"}), "path, which Sequential does not take"),
    (vae_of(encoder={"own": "Scale", "n_in": 6}), "pass it"), (vae_of(decoder={}), "not a model that numpyvae"),
    (vae_of(beta="heavy"), "beta is 'heavy'"), (vae_of(encoder={"part": ["Dense"]}), "unknown class"),
    (vae_of(likelihood=DENSE), "likelihood is"), (DENSE, "outermost part is a Dense"), (None, "not a model"),
    ([], "not a model"), ({**vae_of(), "rng": 0}, "not a model that numpyvae saved"),
    (vae_of(posterior=None), "posterior is None"),
])
def test_a_forged_tree_is_refused_in_one_line_and_gets_no_memory(tree, words, tmp_path):
    path = forged(tree, tmp_path / "model.npz", 100)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as refused:
            nv.load(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 700


@pytest.mark.parametrize("n_weights, words", [(57, "more weights than it holds"), (67, "67 weights, but its parts")])
def test_a_tree_and_weights_that_disagree_are_refused(n_weights, words, tmp_path):
    assert len(nv.load(forged(vae_of(), tmp_path / "good.npz", 28 + 20 + 18)).parameters) == 66
    with pytest.raises(ValueError, match=words):
        nv.load(forged(vae_of(), tmp_path / "model.npz", n_weights))


def test_a_newer_format_asks_for_an_upgrade(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    composed(rng).save(tmp_path / "model.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 3, but this numpyvae reads only up to 2; upgrade"):
        nv.load(tmp_path / "model.npz")


@pytest.mark.parametrize("header", [np.array(2 * 10**9), np.zeros((2, 2), np.uint8), np.zeros(3)])
def test_a_header_that_is_no_text_gets_no_memory(header, tmp_path):
    np.savez(tmp_path / "model.npz", header=header, values=np.zeros(3, np.float32))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="is not a file that numpyvae saved"):
            nv.load(tmp_path / "model.npz")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_many_layers_are_no_harm(rng, tmp_path):
    vae = nv.VAE.dense(6, (2,) * 100, 2, rng=rng)
    vae.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(nv.load(tmp_path / "model.npz").parameters.values, vae.parameters.values)


def test_a_tree_is_json_of_names_and_numbers(rng):
    tree = tree_of(nv.VAE.conv((5, 4, 1), (2,), np.int64(4), 2, rng=rng))
    assert json.loads(json.dumps(tree)) == tree
    assert tree["posterior"] == {"part": "DiagonalGaussian", "n_hidden": 4, "n_latent": 2, "init": "fan-in"}
