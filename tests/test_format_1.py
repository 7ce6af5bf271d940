"""Files of numpyvae 0.1.0, kept in format_1/ as that version wrote them: they load bit for bit."""
import json
import pathlib
import shutil
import warnings
import zlib

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.files import checkpoint

FOLDER = pathlib.Path(__file__).with_name("format_1")
FACTS = json.loads((FOLDER / "facts.json").read_text())


def today(kind, name):
    """What a weight is called now: the label joins a network's first layer, and is no longer a layer of its own."""
    part, number, *array = name.split(".")
    return f"{part}.{int(number) - 1}.{array[0]}" if kind == "ConditionalVAE.dense" and array else name


@pytest.mark.parametrize("kind", FACTS)
def test_a_model_of_each_class_loads_to_the_same_bits(kind):
    facts = FACTS[kind]
    model = nv.load(FOLDER / f"{kind}.npz")
    assert model.dtype == facts["dtype"]
    found = {name: zlib.crc32(model.parameters[name].tobytes()) for name in model.parameters.names}
    assert found == {today(kind, name): crc for name, crc in facts["crc"].items()}


@pytest.mark.parametrize("kind", FACTS)
def test_and_does_what_it_did(kind):
    rng = np.random.default_rng(1)
    stored = nv.load(FOLDER / f"{kind}.npz")
    rng.normal(0, 0.5, len(stored.parameters))    # the weights were drawn before the images
    x, model = rng.integers(0, 256, (4, stored.n_data)) / 255, stored.astype(np.float64)
    labels = {} if model.n_classes is None else {"labels": [0, 3, 1, 2]}
    assert model.loss(x, *stored.noise(4, rng), **labels) == pytest.approx(FACTS[kind]["loss"], rel=1e-12)
    np.testing.assert_allclose(model.reconstruct(x, **labels)[0], FACTS[kind]["reconstruction"], rtol=1e-10)


@pytest.mark.parametrize("kind", FACTS)
def test_saved_again_it_has_today_s_format(kind, tmp_path):
    model = nv.load(FOLDER / f"{kind}.npz")
    model.save(tmp_path / "model.npz")
    header, _ = checkpoint.read(tmp_path / "model.npz")
    assert header["format"] == 2 and "config" not in header
    np.testing.assert_array_equal(nv.load(tmp_path / "model.npz").parameters.values, model.parameters.values)


@pytest.fixture
def run(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")


def test_a_run_that_was_stopped_half_way_goes_on(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # other library versions give other bits
        assert main(["train", "--resume", "run"]) == 0
    whole = nv.load("run_whole.npz").parameters.values
    np.testing.assert_allclose(nv.load("run/model.npz").parameters.values, whole, atol=2e-5)
    assert len(json.loads(pathlib.Path("run/metrics.json").read_text())["records"]) == 4


def test_a_full_covariance_run_goes_on_with_its_moments_in_today_s_order(tmp_path):
    """There the third head came after the decoder, in the weights and in Adam's means alike."""
    images = np.random.default_rng(0).integers(0, 256, (20, 6), np.uint8)

    def train(model, epochs, **options):
        options |= {"optimizer": nv.Adam(), "epochs": epochs, "batch_size": 5, "rng": np.random.default_rng(5)}
        return list(nv.fit(model, images, **options))

    def model():
        return nv.load(FOLDER / "FullCovarianceVAE.dense.npz")
    train(model(), 2, checkpoint=tmp_path / "whole.npz")
    stopped = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train(model(), 2, checkpoint=tmp_path / "new.npz", stop=lambda: next(stopped))
    header, arrays = checkpoint.read(tmp_path / "new.npz")
    old_header, old_arrays = checkpoint.read(FOLDER / "FullCovarianceVAE.dense.npz")
    names = model().parameters.names
    last = sorted(names, key=lambda name: name.startswith("lower_head"))
    place = {name: np.arange(len(model().parameters))[model().parameters._place[name][0]] for name in names}
    order = np.concatenate([place[name] for name in last])
    arrays = {name: array[order] if array.shape == old_arrays["values"].shape else array
              for name, array in arrays.items()}
    checkpoint.write(tmp_path / "old.npz", {**old_header, "training": header["training"]}, arrays)
    went_on = model()
    train(went_on, 2, resume=tmp_path / "old.npz")
    np.testing.assert_array_equal(went_on.parameters.values, nv.load(tmp_path / "whole.npz").parameters.values)


def test_the_oldest_files_do_not_say_which_network(tmp_path):
    header, arrays = checkpoint.read(FOLDER / "VAE.dense.npz")
    checkpoint.write(tmp_path / "oldest.npz", {name: header[name] for name in ("kind", "config")}, arrays)
    expected = nv.load(FOLDER / "VAE.dense.npz").parameters.values
    np.testing.assert_array_equal(nv.load(tmp_path / "oldest.npz").parameters.values, expected)


@pytest.mark.parametrize("change, words", [
    ({"network": "save"}, "not a model that numpyvae saved"), ({"kind": "__class__"}, "not a model that numpyvae"),
    ({"config": {"n_data": 6, "hidden": [10**6, 10**6], "n_latent": 3}}, "more weights than it holds"),
    ({"config": {"n_data": 6, "hidden": [5, 4], "n_latent": 10**9}}, "more weights than it holds"),
    ({"config": {"n_data": 6, "n_lat\nent": 3}}, "n_lat ent"), ({"config": None}, "not a model that numpyvae saved"),
])
def test_a_forged_one_is_refused_in_one_line(change, words, tmp_path):
    header, arrays = checkpoint.read(FOLDER / "VAE.dense.npz")
    checkpoint.write(tmp_path / "forged.npz", {**header, **change}, arrays)
    with pytest.raises(ValueError, match=words) as refused:
        nv.load(tmp_path / "forged.npz")
    assert "\n" not in str(refused.value)
