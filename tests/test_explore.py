"""The page to play with, as far as it can be tested without a browser: what it holds, what it refuses, the command."""
import base64
import json
import os
import pathlib
import re
import webbrowser

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models import loading
from numpyvae.models.autoencoder import Autoencoder
from numpyvae.models.tree import Maker
from numpyvae.report import explore
from numpyvae.report.explore import explorer, known
from tests.own_data import save_pictures, write_csv
from tests.test_report import Page

EVIL = "</script><b>&\"'$x</b><!--<script>"


def given(text):
    """What a page holds for its script."""
    return json.loads(re.search('<script type="application/json" id="given">(.*?)</script>', text, re.S)[1])


def numbers(packed):
    (dtype, text), = packed.items()
    return np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))


def pictures(rng, n=40, shape=(8, 6)):
    return rng.integers(0, 256, (n, *shape), np.uint8)


@pytest.fixture
def vae(rng):
    return nv.VAE.dense(48, (10,), 3, rng=rng)


# What the page knows

def test_the_page_knows_every_part_and_every_activation_of_the_package():
    assert known("PARTS") == {kind.__name__ for kind in loading.PARTS} - {Autoencoder.__name__}
    assert known("ACTIVATIONS") == set(ACTIVATIONS)
    source = explore.source("model.js")
    for name in known("PARTS"):
        assert re.search(rf"^class {name} ", source, re.M), name
    for name in known("ACTIVATIONS"):
        assert re.search(rf"^const {name} = ", source, re.M), name


def test_its_functions_have_the_names_of_those_in_functional():
    functions = set(re.findall(r"^(?:function|const) (\w+)(?= = \(|\()", explore.source("model.js"), re.M))
    forward = {name for name in nv.functional.__all__ if not name.endswith("_backward")}
    assert forward - functions == {"dense", "conv2d_matrix", "gaussian_kl_of_dimensions", "gaussian_log_density",
                                   "full_gaussian_log_density"}    # which a page has no need of


class Doubled(nv.Dense):
    """Somebody's own layer."""


def test_what_the_page_does_not_know_is_refused_in_a_line(rng, vae, monkeypatch):
    own = nv.VAE(nv.Sequential([Doubled(48, 10, rng=rng)]), nv.posteriors.DiagonalGaussian(10, 3, rng=rng),
                 nv.Sequential([nv.Dense(3, 48, rng=rng)]), nv.likelihoods.Bernoulli())
    with pytest.raises(ValueError, match=r"the model has a part Doubled, which the page cannot compute; .*Dense"):
        explorer(own, pictures(rng))
    less = {"ACTIVATIONS": known("ACTIVATIONS") - {"relu"}, "PARTS": known("PARTS")}
    monkeypatch.setattr(explore, "known", less.get)
    with pytest.raises(ValueError, match="the model has the activation 'relu', which the page cannot .* one of gelu, "):
        explorer(vae, pictures(rng))
    less = {"ACTIVATIONS": known("ACTIVATIONS"), "PARTS": known("PARTS") - {"Bernoulli"}}
    monkeypatch.setattr(explore, "known", less.get)
    with pytest.raises(ValueError, match="the model has a part Bernoulli"):
        explorer(vae, pictures(rng))


def test_a_model_that_is_too_large_says_so_with_its_size(rng, vae, monkeypatch):
    monkeypatch.setattr(explore, "MOST_MEGABYTES", 0.001)
    with pytest.raises(ValueError, match=r"the model has 1,\d\d\d weights, which would make a page of 0 MB; expected "
                                         r"at most 0.001 MB"):
        explorer(vae, pictures(rng))


@pytest.mark.parametrize("options, named", [
    (dict(labels=np.arange(3)), r"labels has shape \(3,\); expected \(40,\)"),
    (dict(factors={"slant": np.zeros(41)}), r"slant has shape \(41,\); expected \(40,\)"),
    (dict(factors={"slant": np.zeros((40, 2))}), r"slant has shape \(40, 2\)"),
    (dict(labels=np.arange(40) % 3, factors={"class": np.zeros(40)}), "another name"),
    (dict(labels=np.arange(40) % 3, classes=["a", "b"]),
     "classes has 2 names; expected one for each of the labels 0 to 2"),
    (dict(labels=np.arange(40) % 3 + 0.5, classes=["a", "b", "c"]), "expected one for each of the labels")])
def test_values_that_do_not_match_the_images_are_named(options, named, rng, vae):
    with pytest.raises(ValueError, match=named):
        explorer(vae, pictures(rng), **options)


def test_a_conditional_model_needs_labels(rng):
    with pytest.raises(ValueError, match="labels is None; expected the images' labels"):
        explorer(nv.ConditionalVAE.dense(48, (10,), 3, n_classes=4, rng=rng), pictures(rng))


# What it holds

def test_the_model_in_the_page_is_the_model(rng):
    vae = nv.ConditionalVAE.conv((8, 6, 1), (3, 4), 9, 3, "gaussian-shared", "gelu", n_classes=4, rng=rng)
    images, labels = pictures(rng), np.arange(40) % 4
    page = given(explorer(vae, images, labels))
    again = Maker(loading.PARTS, np.dtype(np.float32))(page["model"])
    again.parameters.values[:] = numbers(page["weights"])
    z = rng.standard_normal((100, 3))
    assert np.abs(again.decode(z, 2) - vae.decode(z, 2)).max() < 1 / 255
    for one, other in zip(again.encode(images, labels), vae.encode(images, labels)):
        assert np.abs(one - other).max() < 1 / 255


def test_weights_are_in_half_precision_where_nobody_sees_it(rng, vae):
    images = pictures(rng)
    assert list(given(explorer(vae, images))["weights"]) == ["float16"]
    vae.parameters["mu_head.W"][:] *= 1000    # codes that a rounding moves
    assert list(given(explorer(vae, images))["weights"]) == ["float32"]
    vae.parameters["mu_head.W"][:] /= 1000
    vae.parameters["decoder.1.b"][0] = 1e6    # beyond half precision
    page = given(explorer(vae, images))
    np.testing.assert_array_equal(numbers(page["weights"]), vae.parameters.values)


def test_rounded_weights_change_no_number_that_is_shown(rng):
    """With a small sigma a rounding of the mean that nobody sees is many nats."""
    vae = nv.VAE.dense(48, (20,), 4, "gaussian", sigma=0.01, rng=rng)
    assert list(given(explorer(vae, pictures(rng)))["weights"]) == ["float32"]


def test_a_factor_may_lack_numbers_and_have_many(rng, vae):
    factors = {"age": np.arange(40), "kind": np.arange(40) % 3, "slant": np.where(np.arange(40) % 2, np.nan, 1.5)}
    age, kind, slant = given(explorer(vae, pictures(rng), factors=factors))["colourings"]
    assert "names" not in age and sorted(age["values"]) == list(range(40))
    assert kind["names"] == ["0", "1", "2"] and set(slant["values"]) == {None, 1.5}


def test_codes_images_and_colours_are_those_of_the_same_rows(rng, vae):
    images, labels = pictures(rng), rng.integers(0, 5, 40)
    slant = rng.random(40)
    page = given(explorer(vae, images, labels, {"slant": slant}, classes=list("abcde")))
    mu, codes = vae.encode(images)[0], numbers(page["codes"]).reshape(40, 3)
    rows = [int(np.abs(mu - code).sum(axis=1).argmin()) for code in codes]
    np.testing.assert_allclose(codes, mu[rows], atol=1e-6)
    by_class, by_slant = page["colourings"]
    assert [by_class["names"][kind] for kind in by_class["values"]] == ["abcde"[label] for label in labels[rows]]
    np.testing.assert_allclose(by_slant["values"], slant[rows], rtol=1e-3)
    begin = numbers(page["images"]).reshape(-1, 8, 6)
    found = [int((images == one).all(axis=(1, 2)).argmax()) for one in begin]
    assert len(begin) == explore.MOST_IMAGES and labels[found[:5]].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["uint8", "float", "standardised", "white", "table", "series"])
def test_the_range_that_is_drawn_in(kind, rng):
    x = {"uint8": pictures(rng) // 3, "float": (pictures(rng) / 600).astype(np.float32),
         "standardised": rng.normal(0, 2, (40, 8, 6)).astype(np.float32), "white": 255 - pictures(rng) // 3,
         "table": rng.normal(0, [1, 1000], (40, 2)), "series": rng.normal(0, 1, (40, 50))}[kind]
    n_data = int(np.prod(x.shape[1:]))
    vae = nv.VAE.dense(n_data, (5,), 2, "gaussian", rng=rng)
    page = given(explorer(vae, x, columns=["a", "b"] if kind == "table" else None))
    if kind in ("table", "series"):
        assert page["shape"] is None and len(page["low"]) == len(page["high"]) == n_data
        assert (x >= page["low"]).all() and (x <= page["high"]).all()
        assert len(set(page["low"])) == (2 if kind == "table" else 1)
    elif kind == "standardised":
        assert page["low"] == [pytest.approx(x.min())] and page["high"] == [pytest.approx(x.max())]
    else:
        assert (page["low"], page["high"], page["blank"]) == ([0], [1], float(kind == "white"))
        assert list(page["images"]) == ["float32" if kind == "float" else "uint8"]


def test_names_from_the_data_end_no_script_and_begin_no_element(rng):
    vae = nv.ConditionalVAE.dense(2, (5,), 2, "gaussian", n_classes=2, rng=rng)
    x = rng.normal(0, 1, (40, 2))
    text = explorer(vae, x, np.arange(40) % 2, {EVIL: rng.random(40)}, EVIL, [EVIL, "\udcff"], [EVIL, "b"])
    page = Page(text)
    assert "b" not in page.tags and page.tags.count("script") == 3 and page.text.count(EVIL) == 2    # title, heading
    held = given(text)
    assert held["columns"][0] == held["classes"][0] == held["colourings"][1]["name"] == EVIL


def test_it_needs_nothing_but_itself(rng, vae):
    text = explorer(vae, pictures(rng))
    page = Page(text)
    assert page.links == [] and {"link", "iframe", "img"}.isdisjoint(page.tags)
    assert not re.search(r"fetch|XMLHttp|import\b|https?:|innerHTML|eval\(|url\(", text)
    assert "default-src 'none'" in text and len(page.ids) == len(set(page.ids))


def test_the_same_model_gives_the_same_page(rng, vae):
    images = pictures(rng)
    assert explorer(vae, images) == explorer(vae, images)


# numpyvae explore

@pytest.fixture
def run(tmp_path, monkeypatch, blobs):
    """A conditional run in `run`, of pictures in folders whose names are hostile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", lambda out, *_: f"{out}/report.html")    # takes seconds
    for i, name in enumerate(("<b>a<_b>", "b & c")):
        save_pictures(pathlib.Path("f") / name, np.repeat(blobs, 5, axis=0)[i::2])
    assert main(["train", "--data", "f", "--hidden", "8", "--latent", "3", "--epochs", "1", "--conditional", "--out",
                 "run"]) == 0
    return "run"


def test_a_page_of_a_run(run, capsys):
    capsys.readouterr()
    assert main(["explore", "run"]) == 0
    assert capsys.readouterr().out == "run/explore.html\n"
    text = pathlib.Path("run/explore.html").read_text(encoding="utf-8")
    assert given(text)["classes"] == ["<b>a<_b>", "b & c"] and "A VAE on f" in Page(text).text
    assert main(["explore", "run/model.npz", "--out", "pages/", "--json"]) == 1    # there is no such folder
    os.mkdir("pages")
    capsys.readouterr()
    assert main(["explore", "run/model.npz", "--out", "pages/", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": "pages/explore.html", "images": 6}
    assert pathlib.Path("pages/explore.html").read_text(encoding="utf-8") == text


def test_the_browser_opens_it(run, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda address: shown.append(address) or bool(len(shown) < 2))
    assert main(["explore", "run", "--open"]) == 0
    assert shown == [pathlib.Path("run/explore.html").resolve().as_uri()]
    capsys.readouterr()
    assert main(["explore", "run", "--open"]) == 0
    assert capsys.readouterr().err.endswith("no browser could be opened from here (--open); open run/explore.html "
                                            "yourself\n")


def test_the_seed_chooses_what_is_shown(run):
    pages = []
    for seed in (0, 0, 5):
        assert main(["explore", "run", "--seed", str(seed), "--out", "x.html"]) == 0
        pages.append(given(pathlib.Path("x.html").read_text(encoding="utf-8")))
    assert pages[0] == pages[1] and pages[0]["images"] != pages[2]["images"]


@pytest.mark.parametrize("options, said", [
    (["--out", "page.pdf"], "a .pdf is none of its kinds; expected .html, or a folder"),
    (["--out", "run/report.html"], "which would replace a file of the run"), (["--out", ""], "--out is ''"),
    (["--out", "nowhere/page.html"], "there is no folder 'nowhere'"),
    (["--data", "none"], "neither a file nor a folder"),
    (["--out", "f/x.html"], "taken for one of the data")])
def test_what_cannot_be_is_refused_and_nothing_is_written(options, said, run, capsys):
    pathlib.Path("run/report.html").write_text("the report")
    before = sorted(pathlib.Path().rglob("*"))
    capsys.readouterr()
    assert main(["explore", "run", *options]) == 1
    line, = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("numpyvae: ") and said in line, line
    assert sorted(pathlib.Path().rglob("*")) == before and pathlib.Path("run/report.html").read_text() == "the report"


def test_strokes_are_coloured_by_their_factors_and_a_table_keeps_its_columns(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", lambda out, *_: f"{out}/report.html")
    nv.VAE.dense(784, (5,), 2, rng=rng).save("model.npz")
    assert main(["explore", "model.npz", "--data", "strokes", "--out", "x.html"]) == 0
    names = [colouring["name"] for colouring in given(pathlib.Path("x.html").read_text(encoding="utf-8"))["colourings"]]
    assert names[0] == "class" and {"thickness", "slant"} < set(names) and "label" not in names
    write_csv(pathlib.Path("t.csv"), rng.normal(0, 1, (60, 3)).round(3), ["a", "b $", "c"])
    assert main(["train", "--data", "t.csv", "--likelihood", "gaussian", "--hidden", "4", "--latent", "2", "--epochs",
                 "1", "--out", "run"]) == 0
    assert main(["explore", "run"]) == 0
    page = given(pathlib.Path("run/explore.html").read_text(encoding="utf-8"))
    assert page["columns"] == ["a", "b $", "c"] and page["shape"] is None
