"""What sample, reconstruct and encode write, and that any terminal and any file can take it."""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.datasets import load_dataset
from tests.own_data import save_pictures, write_csv

SMALL = ["--hidden", "8", "--latent", "3", "--epochs", "1"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    assert main(list(map(str, arguments))) == 0


@pytest.fixture(params=["pictures", "colour", "series", "table", "conditional"])
def data(request, blobs, rng):
    """Data that can be sampled, as a run in `run`."""
    many = np.repeat(blobs, 5, axis=0)
    if request.param == "pictures":
        np.save("x.npy", many)
        run("train", "--data", "x.npy", *SMALL, "--out", "run")
    elif request.param == "colour":
        save_pictures(pathlib.Path("f"), np.stack([many, many // 2, 255 - many], axis=3))
        run("train", "--data", "f", "--colour", *SMALL, "--out", "run")
    elif request.param == "series":
        np.save("x.npy", np.sin(np.arange(50) * rng.random((60, 1))).astype(np.float32))
        run("train", "--data", "x.npy", "--likelihood", "gaussian", *SMALL, "--out", "run")
    elif request.param == "table":
        write_csv(pathlib.Path("t.csv"), rng.normal(0, 1, (60, 3)).round(3), ["a", "b $", "c"])
        run("train", "--data", "t.csv", "--likelihood", "gaussian", *SMALL, "--out", "run")
    else:
        np.savez("x.npz", x=many, y=np.arange(60) % 3)
        run("train", "--data", "x.npz", "--conditional", *SMALL, "--out", "run")
    return request.param


SHAPES = {"pictures": (8, 6), "colour": (8, 6, 3), "series": (50,), "table": (3,), "conditional": (8, 6)}


def test_samples_and_reconstructions_of_every_kind_of_data(data):
    for command in ("sample", "reconstruct"):
        for suffix in ("npy", "csv", "png"):
            run(command, "run", "--n", 4, "--out", f"{command}.{suffix}")
        array = np.load(f"{command}.npy")
        assert array.shape == (4, *SHAPES[data]) and np.isfinite(array).all()
        lines = open(f"{command}.csv").read().splitlines()
        assert len(lines) == 5 and len(lines[1].split(",")) == np.prod(SHAPES[data])
        np.testing.assert_allclose([float(cell) for cell in lines[1].split(",")], array[0].ravel(), rtol=1e-6)
        assert lines[0].startswith("a,b $,c" if data == "table" else "x0,x1,")
        assert min(Image.open(f"{command}.png").size) > 100
        run(command, "run")    # where no name is given, a picture in the run's folder
    assert {"samples.png", "reconstructions.png"} <= set(os.listdir("run"))


def test_codes(data):
    for part, n in (("test", 6), ("train", 54)):
        for suffix in ("npy", "csv", "png"):
            run("encode", "run", "--part", part, "--out", f"codes.{suffix}")
        assert np.load("codes.npy").shape == (n, 3) and min(Image.open("codes.png").size) > 100
        lines = open("codes.csv").read().splitlines()
        labelled = data == "conditional"
        assert lines[0] == "mu0,mu1,mu2,logvar0,logvar1,logvar2" + ",label" * labelled and len(lines) == n + 1
        first = [float(cell) for cell in lines[1].split(",")[:3]]
        np.testing.assert_allclose(first, np.load("codes.npy")[0], rtol=1e-6)


def test_codes_are_those_of_the_images(blobs):
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "x.npy", *SMALL, "--out", "run")
    run("encode", "run", "--out", "codes.npy")
    mu, _ = nv.load("run/model.npz").encode(load_dataset("x.npy").test.reshape(6, -1) / np.float32(255))
    np.testing.assert_allclose(np.load("codes.npy"), mu, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_written_is_named(blobs, capsys):
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "x.npy", *SMALL, "--out", "run")
    for out in ("nowhere/x.npy", "nowhere/x.csv", "x.docx"):
        assert main(["sample", "run", "--out", out]) == 1
        assert f"--out is {out!r}, which cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "cp437", "ascii", "utf-8"])
def test_any_code_page_gets_the_whole_table(encoding, blobs):
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "x.npy", *SMALL, "--out", "run")
    done = subprocess.run([sys.executable, "-m", "numpyvae", "evaluate", "run", "--samples", "5"], capture_output=True,
                          env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and done.stderr.count(b"Error") == 0
    text = done.stdout.decode(encoding)
    assert "log p(x)" in text and "report " in text and ("+-" in text or "±" in text) and "?" not in text


def test_a_tilde_is_the_home_folder(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "~/x.npy", *SMALL, "--out", "~/run")
    run("sample", "~/run", "--out", "~/samples.npy")
    assert (tmp_path / "samples.npy").exists() and json.load(open("run/run.json"))["data"] == str(tmp_path / "x.npy")
    assert nv.load("~/run/model.npz").n_latent == 3
    assert len(nv.datasets.load_images("~/x.npy")[0]) == 60
