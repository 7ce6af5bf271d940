"""Exports without any framework: what can be exported and what is refused, safetensors, and the way back."""
import ast
import json
import os
import pathlib
import re
import sys
import tracemalloc

import numpy as np
import pytest

import numpyvae as nv
from numpyvae import export
from numpyvae.cli import main
from numpyvae.export import formulas, jax, layout, onnx, pytorch
from numpyvae.files import safetensors
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models.likelihoods import LIKELIHOODS, Bernoulli
from numpyvae.models.loading import PARTS
from numpyvae.models.posteriors import DiagonalGaussian, Posterior
from numpyvae.models.priors import StandardNormal
from numpyvae.nn.layers import Layer

LAYERS = [kind for kind in PARTS if issubclass(kind, Layer)]
POSTERIORS = [kind for kind in PARTS if issubclass(kind, Posterior)]


def models(rng, dtype=np.float32):
    """One of every kind of network, with weights that are all different."""
    for make, *sizes in ((nv.VAE.dense, 6, (5,), 3), (nv.VAE.dense, 6, (), 2), (nv.VAE.conv, (5, 4, 2), (3, 2), 6, 3),
                         (nv.ConditionalVAE.dense, 6, (5,), 3), (nv.ConditionalVAE.conv, (5, 4, 1), (3,), 6, 3),
                         (nv.FullCovarianceVAE.dense, 6, (5,), 3), (nv.Autoencoder.dense, 6, (5,), 3),
                         (nv.Autoencoder.conv, (5, 4, 2), (3,), 6, 3)):
        model = make(*sizes, likelihood="gaussian-shared", activation="tanh", rng=rng, dtype=dtype)
        model.parameters.values[:] = rng.standard_normal(len(model.parameters))
        yield model


@pytest.fixture
def vae(rng):
    return nv.VAE.dense(6, (5, 4), 3, rng=rng)


# What can be exported

@pytest.mark.parametrize("table, all_there_are", [
    (layout.WEIGHTS, LAYERS), (pytorch.LAYERS, LAYERS), (jax.LAYERS, LAYERS), (onnx.LAYERS, LAYERS),
    (formulas.LIKELIHOODS, list(LIKELIHOODS.values())), (formulas.POSTERIORS, POSTERIORS),
    (formulas.ACTIVATIONS, list(ACTIVATIONS))])
def test_everything_there_is_can_be_exported(table, all_there_are):
    """Whoever adds a layer, a likelihood, an activation or a posterior is reminded here of its export."""
    assert len(all_there_are) > 1 and set(table) | {"identity"} == set(all_there_are) | {"identity"}


def test_the_sources_can_be_read_and_need_nothing_of_ours(rng, tmp_path):
    for i, model in enumerate(models(rng)):
        for to, name in (("torch", "vae_torch.py"), ("jax", "vae_jax.py")):
            export.save(model, tmp_path / str(i), to)
            text = (tmp_path / str(i) / name).read_text()
            imported = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
                        for alias in node.names}
            imported |= {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
            assert {name.split(".")[0] for name in imported} <= {"math", "pathlib", "torch", "jax", "safetensors"}
            assert max(map(len, text.splitlines())) <= 120 and "xp." not in text and "\n\n\n\n" not in text
            functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
            assert all(len(re.findall(rf"\b{one.name}\b", text)) > 1 for one in functions
                       if one.name not in ("load", "encode", "decode", "loss"))    # nothing that is not used


class Own(nv.Dense):
    pass


class OwnLikelihood(Bernoulli):
    pass


class OwnPrior(StandardNormal):
    pass


class OwnPosterior(DiagonalGaussian):
    pass


class OwnVAE(nv.VAE):
    pass


def with_part(rng, **parts):
    given = {"encoder": nv.Sequential([nv.Dense(6, 5, rng=rng)]), "posterior": DiagonalGaussian(5, 2, rng=rng),
             "decoder": nv.Sequential([nv.Dense(2, 6, rng=rng)]), "likelihood": Bernoulli()}
    return nv.VAE(**given | parts)


def of_one_sample(vae):
    vae.posterior.closed_forms = ()
    return vae


def with_sigma(sigma, vae):
    vae.likelihood.sigma = sigma
    return vae


def with_head(vae, rng):
    vae.posterior.mu_head = nv.Dense(5, 2, "relu", rng=rng)
    vae.parameters = nv.Parameters(list(vae.named_layers()))
    return vae


def holding(value, vae):
    vae.parameters["mu_head.W"][0, 1] = value
    return vae


@pytest.mark.parametrize("make, said", [
    (lambda rng: with_part(rng, encoder=nv.Sequential([Own(6, 5, rng=rng)])), "Own cannot be exported"),
    (lambda rng: with_part(rng, likelihood=OwnLikelihood()), "OwnLikelihood cannot be exported"),
    (lambda rng: with_part(rng, prior=OwnPrior(2)), "OwnPrior cannot be exported"),
    (lambda rng: OwnVAE.dense(6, (5,), 2, rng=rng), "OwnVAE cannot be exported"),
    (lambda rng: with_part(rng, posterior=OwnPosterior(5, 2, rng=rng)), "OwnPosterior cannot be exported"),
    (lambda rng: of_one_sample(with_part(rng)), "no closed form"),
    (lambda rng: with_head(with_part(rng), rng), "mu_head"),
    (lambda rng: with_part(rng, encoder=nv.Sequential([nv.Reshape((6,)), nv.Dense(6, 5, rng=rng)])), r"Reshape\(\(6,"),
    (lambda rng: with_part(rng).astype(complex), "complex128"),
    (lambda rng: holding(np.nan, with_part(rng)), "mu_head.W"),
    (lambda rng: with_sigma(np.nan, nv.VAE.dense(6, (5,), 2, "gaussian", rng=rng)), "sigma is nan"),
    (lambda rng: holding(np.inf, with_part(rng)), "mu_head.W")])
@pytest.mark.parametrize("to", export.FORMATS)
def test_what_has_no_form_elsewhere_is_refused_in_one_line(make, said, to, rng, tmp_path):
    model = make(rng)
    with pytest.raises(ValueError, match=said) as refusal:
        export.save(model, tmp_path / "new", to)
    assert "expected" in str(refusal.value) and "\n" not in str(refusal.value) and not (tmp_path / "new").exists()


@pytest.mark.parametrize("to", export.FORMATS)
def test_an_activation_without_an_export_is_refused(to, vae, monkeypatch, tmp_path):
    monkeypatch.delitem(formulas.ACTIVATIONS, "relu")
    with pytest.raises(ValueError, match="activation is 'relu', which cannot be exported; expected one of tanh"):
        export.save(vae, tmp_path, to)


def test_without_onnx_it_is_said_what_to_install(vae, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    vae.save(tmp_path / "model.npz")
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 1
    assert "onnx is not installed" in capsys.readouterr().err and os.listdir(tmp_path) == ["model.npz"]


# There and back

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_come_back_bit_for_bit(dtype, rng, tmp_path):
    for i, model in enumerate(models(rng, dtype)):
        path, _ = export.save(model, tmp_path / str(i), "safetensors")
        like = model.astype(np.float32)
        like.parameters.values[:] = 0
        again = export.load(path, like)
        assert type(again) is type(model) and again.dtype == dtype and again.parameters.names == model.parameters.names
        np.testing.assert_array_equal(again.parameters.values, model.parameters.values)
        assert not like.parameters.values.any()


def test_the_layout_is_pytorch_s(rng):
    vae = nv.VAE.conv((5, 4, 2), (3, 2), 6, 3, rng=rng)
    there = layout.state_dict(vae)
    assert {name: array.shape for name, array in there.items() if name.endswith("weight")} == {
        "encoder.1.weight": (3, 2, 3, 3), "encoder.3.weight": (2, 3, 3, 3), "encoder.6.weight": (6, 4),
        "mu_head.weight": (3, 6), "logvar_head.weight": (3, 6), "decoder.0.weight": (6, 3), "decoder.2.weight": (4, 6),
        "decoder.5.weight": (2, 3, 3, 3), "decoder.7.weight": (3, 2, 3, 3)}
    assert there["encoder.1.weight"][2, 1, 0, 2] == vae.parameters["encoder.1.W"][0, 2, 1, 2]
    assert there["decoder.7.weight"][2, 1, 0, 2] == vae.parameters["decoder.4.W"][0, 2, 1, 2]
    assert there["encoder.6.weight"][5, 1] == vae.parameters["encoder.4.W"][1, 5]


# safetensors, from outside

SHAPES = {"a.weight": (2, 3), "a.bias": (2,)}


def packed(header, numbers=bytes(32), promised=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if promised is None else promised).to_bytes(8, "little") + text + numbers


def place(shape=(2, 3), start=0, end=24, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


GOOD = {"a.weight": place(), "a.bias": place((2,), 24, 32)}


def test_a_file_is_read_whatever_its_order(tmp_path):
    numbers = np.arange(8, dtype="<f4")
    path = tmp_path / "file"
    for header, weight, bias in ((GOOD, numbers[:6], numbers[6:]),
                                 ({"__metadata__": {"by": "me"}, "a.bias": place((2,), 0, 8),
                                   "a.weight": place((2, 3), 8, 32)}, numbers[2:], numbers[:2])):
        path.write_bytes(packed(header, numbers.tobytes()))
        found = safetensors.read(path, SHAPES)
        assert list(found) == list(SHAPES)
        np.testing.assert_array_equal(found["a.weight"], weight.reshape(2, 3))
        np.testing.assert_array_equal(found["a.bias"], bias)


@pytest.mark.parametrize("content, said", [
    (b"", "header"), (b"\x08", "header"), (packed(GOOD, promised=2**63), "promises a header of 9,223,372"),
    (packed(GOOD, promised=len(json.dumps(GOOD)) + 33), "promises a header"),
    (packed(b" " * (2**20 + 1)), "promises a header"), (packed(b"\xff{}"), "damaged"), (packed(b"[]"), "no table"),
    (packed(b"{" * 50_000), "damaged"), (packed(b'{"a": 1}'), "damaged"), (packed(b"[" * 100_000), "damaged"),
    (packed(b'{"a.bias": {}, "a.bias": {}}'), "same name twice"), (packed({"a.weight": {"shape": 3}}), "damaged"),
    (packed(GOOD | {"a.bias": place((2,), 24, -32)}), "damaged"),
    (packed(GOOD | {"a.bias": place((2,), 24, 32.0)}), "damaged"),
    (packed(GOOD | {"a.bias": place((True,), 24, 32)}), "damaged"),
    (packed({"a.weight": place()}, bytes(24)), "lacks 'a.bias'"),
    (packed(GOOD | {"b": place((0,), 32, 32)}), "has 'b'"),
    (packed({"a.weights": place(), "a.bias": place((2,), 24, 32)}), "lacks 'a.weight', and has 'a.weights'.*did you"),
    (packed(GOOD | {"a.weight": place((3, 2))}), r"has shape \(3, 2\); expected \(2, 3\)"),
    (packed(GOOD | {"a.weight": place((2**40, 2**40), 0, 2**62)}), "has shape"),
    (packed(GOOD | {"a.weight": place((2, 3), 0, 2**62)}), "lies at 0 to 4,611"),
    (packed(GOOD | {"a.bias": place((2,), 16, 24)}), "lies at 16 to 24"),
    (packed(GOOD | {"a.bias": place((2,), 28, 36)}, bytes(36)), "lies at 28"),
    (packed(GOOD, bytes(31)), "holds 31 bytes"), (packed(GOOD, bytes(33)), "holds 33 bytes"),
    (packed({"a.weight": place(end=12, dtype="F16"), "a.bias": place((2,), 12, 16, "F16")}, bytes(16)), "F16.*float"),
    (packed(GOOD | {"a.bias": place((2,), 24, 40, "F64")}, bytes(40)), "F32, F64"),
    (packed(GOOD | {"a.bias": {"dtype": {}, "shape": [2], "data_offsets": [24, 32]}}), "damaged"),
    (packed(GOOD, np.full(8, np.nan, "<f4").tobytes()), "'a.weight', holds NaN"),
    (packed(GOOD, np.append(np.zeros(7), -np.inf).astype("<f4").tobytes()), "'a.bias', holds NaN or infinity"),
    (packed({"\x1b[2J\n": place()}), "lacks")])
def test_a_file_that_is_damaged_or_forged_is_refused(content, said, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=said) as refusal:
        safetensors.read(path, SHAPES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(refusal.value).startswith(str(path)) and str(refusal.value).isprintable() and peak < 20e6


def test_every_byte_of_a_header_can_be_wrong(vae, tmp_path, rng):
    """A file with a byte changed is refused in one line, or holds the same arrays."""
    path = pathlib.Path(export.save(vae, tmp_path, "torch")[0])
    good = path.read_bytes()
    n = 8 + int.from_bytes(good[:8], "little")
    shapes = layout.shapes_of(vae)
    expected = safetensors.read(path, shapes)
    refused = 0
    for i in range(n):
        path.write_bytes(good[:i] + bytes([good[i] ^ (1 << rng.integers(8))]) + good[i + 1:])
        try:
            found = safetensors.read(path, shapes)
        except ValueError as error:
            assert str(error).isprintable()
            refused += 1
        else:
            assert all((found[name] == expected[name]).all() for name in expected)
    assert refused > 0.8 * n


# The commands

@pytest.fixture
def run(vae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("run")
    vae.save("run/model.npz")


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("numpyvae: ") and printed.err.count("\n") == 1
    return printed.err


def files():
    return {str(path): path.read_bytes() for path in sorted(pathlib.Path().rglob("*")) if path.is_file()}


def test_export_and_import(run, vae, capsys):
    assert main(["export", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["run/export/weights.safetensors",
                                                             "run/export/vae_torch.py"]}
    assert main(["export", "run", "--to", "jax", "--out", "a/b"]) == 0
    assert capsys.readouterr().out.splitlines() == ["a/b/weights.safetensors", "a/b/vae_jax.py"]
    assert main(["import", "a/b/weights.safetensors", "--like", "run"]) == 0
    assert capsys.readouterr().out == "run/imported.npz\n"
    np.testing.assert_array_equal(nv.load("run/imported.npz").parameters.values, vae.parameters.values)
    os.mkdir("new")
    assert main(["import", "a/b/weights.safetensors", "--like", "run/model.npz", "--out", "new", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "new/imported.npz"}


def test_an_autoencoder_goes_too(rng, tmp_path):
    model = nv.Autoencoder.dense(6, (5,), 3, rng=rng)
    model.save(tmp_path / "model.npz")
    assert main(["export", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert main(["import", str(tmp_path / "weights.safetensors"), "--like", str(tmp_path)]) == 0
    again = nv.load(tmp_path / "imported.npz")
    assert isinstance(again, nv.Autoencoder)
    np.testing.assert_array_equal(again.parameters.values, model.parameters.values)


def test_what_came_back_is_evaluated_beside_the_run(run, vae, capsys, blobs, monkeypatch):
    """Its numbers have a file of their own, and the run's report, whose curves are not its, stays as it was."""
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    assert main(["train", "--data", "x.npy", "--hidden", "4", "--latent", "2", "--epochs", "1", "--out", "mine"]) == 0
    assert main(["export", "mine"]) == 0
    assert main(["import", "mine/export/weights.safetensors", "--like", "mine"]) == 0
    before = files()
    capsys.readouterr()
    few = ["--samples", "5", "--images", "4", "--json"]
    assert main(["evaluate", "mine/imported.npz", *few]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert "report" not in measured and json.load(open("mine/evaluation-imported.json")) == measured
    assert main(["evaluate", "mine/imported.npz", *few, "--data", "x.npy"]) == 0
    assert {name: content for name, content in files().items() if name in before} == before
    monkeypatch.setattr("numpyvae.cli.evaluate.write_run_report", lambda out, *_: f"{out}/report.html")
    capsys.readouterr()
    assert main(["evaluate", "mine", *few]) == 0
    assert json.loads(capsys.readouterr().out) == measured | {"report": "mine/report.html"}


def test_a_number_of_numpy_s_is_a_number_there(rng, tmp_path):
    vae = nv.VAE.dense(6, (5,), 2, "gaussian", rng=rng)
    vae.beta, vae.likelihood.sigma = np.float64(0.5), np.float32(0.25)
    for to, file in (("torch", "vae_torch.py"), ("jax", "vae_jax.py")):
        export.save(vae, tmp_path, to)
        source = (tmp_path / file).read_text()
        assert "beta=0.5)" in source and "nll(theta, x, 0.25)" in source and "np.float" not in source


def test_weights_beyond_float32_are_refused_for_onnx(rng, tmp_path):
    vae = holding(1e300, nv.VAE.dense(6, (5,), 2, rng=rng, dtype=np.float64))
    with pytest.raises(ValueError, match="mu_head.W holds a number beyond float32"):
        export.save(vae, tmp_path / "new", "onnx")
    assert not (tmp_path / "new").exists()


def test_files_are_replaced_all_or_none(vae, tmp_path):
    export.save(vae, tmp_path, "torch")
    before = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "vae_torch.py").unlink()
    (tmp_path / "vae_torch.py").mkdir()
    vae.parameters.values[:] += 1
    with pytest.raises(ValueError, match="vae_torch.py is a folder"):
        export.save(vae, tmp_path, "torch", overwrite=True)
    assert (tmp_path / "weights.safetensors").read_bytes() == before


def test_nothing_is_replaced_unasked(run, vae, capsys):
    main(["export", "run", "--out", "new"])
    main(["import", "new/weights.safetensors", "--like", "run"])
    assert main(["export", "run", "--out", "new"]) == 0    # the same again
    vae.parameters.values[:] += 1
    vae.save("run/model.npz")
    before = files()
    assert "new/weights.safetensors is there already" in refused(capsys, "export", "run", "--out", "new")
    assert "which is there already" in refused(capsys, "import", "new/weights.safetensors", "--like", "run")
    for name, why in (("run/model.npz", "would replace a file of the run"), ("run/run.json", "none of its kinds")):
        said = refused(capsys, "import", "new/weights.safetensors", "--like", "run", "--out", name, "--overwrite")
        assert why in said
    assert files() == before
    assert main(["export", "run", "--out", "new", "--overwrite"]) == 0
    assert main(["import", "new/weights.safetensors", "--like", "run", "--overwrite"]) == 0
    np.testing.assert_array_equal(nv.load("run/imported.npz").parameters.values, vae.parameters.values)


def test_what_is_wrong_leaves_nothing_behind(run, vae, capsys, rng):
    main(["export", "run", "--out", "new"])
    pathlib.Path("cut.npz").write_bytes(pathlib.Path("run/model.npz").read_bytes()[:-100])
    pathlib.Path("cut.safetensors").write_bytes(pathlib.Path("new/weights.safetensors").read_bytes()[:-4])
    holding(np.nan, nv.VAE.dense(6, (5, 4), 3, rng=rng)).save("nan.npz")
    nv.VAE.dense(6, (5,), 3, rng=rng).save("other.npz")
    before = files()
    assert "cut.npz is not a .npz file, or is damaged" in refused(capsys, "export", "cut.npz", "--out", "a")
    assert "nan.npz holds weights that are NaN" in refused(capsys, "export", "nan.npz", "--out", "a")
    assert "RUN is 'nowhere'" in refused(capsys, "export", "nowhere", "--out", "a")
    assert ("--out is 'nan.npz', which is a file; expected the name of a folder" in
            refused(capsys, "export", "run", "--out", "nan.npz"))
    assert "--out is ''" in refused(capsys, "export", "run", "--out", "")
    for weights, like, said in (("cut.safetensors", "run", "it is damaged"), ("run/model.npz", "run", "safetensors"),
                                ("nowhere", "run", "nowhere does not exist"), ("run", "run", "is a folder"),
                                ("new/weights.safetensors", "nowhere", "--like is 'nowhere'"),
                                ("new/weights.safetensors", "cut.npz", "damaged"),
                                ("new/weights.safetensors", "other.npz", "has 'encoder.2.weight'")):
        assert said in refused(capsys, "import", weights, "--like", like, "--out", "b.npz")
    assert "there is no folder 'no'" in refused(capsys, "import", "new/weights.safetensors", "--like", "run", "--out",
                                                "no/b.npz")
    assert files() == before and not os.path.exists("a")


def test_a_disk_that_fills_up_leaves_no_part(run, capsys, monkeypatch):
    written = export.written_whole

    def full(path):
        if str(path).endswith("vae_torch.py"):
            raise OSError(28, "No space left on device", str(path))
        return written(path)
    monkeypatch.setattr(export, "written_whole", full)
    for out in ("new", "new/er/est"):    # nor a folder that was made for it
        said = refused(capsys, "export", "run", "--out", out)
        assert f"--out is {out!r}, which cannot be written (No space left" in said
        assert not os.path.exists("new")


def test_weights_that_came_back_replace_no_data_and_are_called_as_models_are(run, capsys, blobs):
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    assert main(["train", "--data", "x.npy", "--hidden", "4", "--latent", "2", "--epochs", "1", "--out", "mine"]) == 0
    os.rename("x.npy", "x.npz")
    saved = pathlib.Path("mine/run.json")
    saved.write_text(saved.read_text().replace("x.npy", "x.npz"))
    assert main(["export", "mine", "--out", "new"]) == 0
    before = files()
    for out, said in (("x.npz", "which would replace the data in"), ("x", "a name without an ending is none"),
                      ("x.npy", "a .npy is none of its kinds; expected .npz, or a folder: did you mean '.npz'?")):
        assert said in refused(capsys, "import", "new/weights.safetensors", "--like", "mine", "--out", out,
                               "--overwrite")
    assert files() == before
