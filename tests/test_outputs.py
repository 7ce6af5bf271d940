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
from numpyvae.cli.outputs import ENDINGS
from numpyvae.cli.pictures import _class
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
        assert lines[0].split(",", 1)[1] == "mu0,mu1,mu2,logvar0,logvar1,logvar2" + ",label" * labelled
        assert len(lines) == n + 1 and lines[0].split(",")[0] == ("row" if data in ("series", "table") else "image")
        first = [float(cell) for cell in lines[1].split(",")[1:4]]
        np.testing.assert_allclose(first, np.load("codes.npy")[0], rtol=1e-6)


def test_codes_are_those_of_the_images(blobs):
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "x.npy", *SMALL, "--out", "run")
    run("encode", "run", "--out", "codes.npy")
    mu, _ = nv.load("run/model.npz").encode(load_dataset("x.npy").test.reshape(6, -1) / np.float32(255))
    np.testing.assert_allclose(np.load("codes.npy"), mu, rtol=1e-5, atol=1e-6)


@pytest.fixture
def no_report(monkeypatch):
    for command in "train", "evaluate":    # takes seconds
        monkeypatch.setattr(f"numpyvae.cli.{command}.write_run_report", lambda out, *_: f"{out}/report.html")


def save_classes(folder, images, names="abc"):
    for i, name in enumerate(names):
        save_pictures(pathlib.Path(folder) / name, images[i::len(names)])


@pytest.fixture
def trained(blobs, no_report):
    """A run in `run`, on pictures in folders whose names are the classes."""
    save_classes("f", np.repeat(blobs, 5, axis=0))
    run("train", "--data", "f", *SMALL, "--conditional", "--out", "run")
    return "run"


def refused(capsys, words, *arguments):
    before = {path: path.stat().st_mtime_ns for path in pathlib.Path().rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("numpyvae: ") and words in line, line
    assert before == {path: path.stat().st_mtime_ns for path in pathlib.Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_a_picture_holds_so_many_images_and_a_file_any_number(command, trained, monkeypatch, capsys):
    monkeypatch.setattr("numpyvae.cli.pictures.MOST_DRAWN", 20)
    monkeypatch.setattr("numpyvae.cli.pictures.ROWS_AT_ONCE", 8)
    refused(capsys, "--n is 21, more images than a picture can show; expected at most 20, or --out", command, "run",
            "--n", 21)
    run(command, "run", "--n", 20, "--out", "x.png")
    run("sample", "run", "--n", 21, "--out", "x.npy")
    np.testing.assert_allclose(np.load("x.npy").reshape(21, -1), nv.load("run/model.npz").sample(
        21, np.random.default_rng(0), labels=np.arange(21) % 3), rtol=1e-6)


def test_what_imported_weights_give_has_their_name(trained):
    (pathlib.Path("run") / "imported.npz").write_bytes(pathlib.Path("run/model.npz").read_bytes())
    for command, name in (("sample", "samples.png"), ("reconstruct", "reconstructions.png"), ("encode", "codes.csv"),
                          ("explore", "explore.html")):
        stem, suffix = os.path.splitext(name)
        run(command, "run/imported.npz")
        assert os.path.exists(f"run/{stem}-imported{suffix}") and not os.path.exists(f"run/{name}")
        run(command, "run/model.npz")
        assert os.path.exists(f"run/{name}")


@pytest.mark.parametrize("command", ["sample", "reconstruct", "encode"])
def test_what_cannot_be_written_is_named_and_leaves_nothing(command, trained, capsys):
    for out in ("nowhere/x.npy", "nowhere/x.csv", "nowhere/x.png", "nowhere/"):
        refused(capsys, "but there is no folder 'nowhere'; expected one that is there", command, "run", "--out", out)
    for out in ("x.docx", "x", "x.npz", "run/model.npz", "run/report.html", "x.png.zip", "."*3, "/dev/null"):
        refused(capsys, f"--out is {out!r}, which cannot be written: a ", command, "run", "--out", out)
    refused(capsys, "expected .npy .csv .png .jpg", command, "run", "--out", "x.docx")
    refused(capsys, "did you mean '.png'?", command, "run", "--out", "x.pgn")
    refused(capsys, "--out is ''; expected the name of a file", command, "run", "--out", "")


@pytest.mark.parametrize("suffix", [suffix[1:] for suffix in ENDINGS] + ["PNG", "Csv"])
def test_every_ending_is_written(suffix, trained):
    for command in ("sample", "encode"):
        run(command, "run", "--out", f"a b.{suffix}")
        assert pathlib.Path(f"a b.{suffix}").stat().st_size > 30
        os.unlink(f"a b.{suffix}")
    assert sorted(os.listdir()) == ["f", "run"]


def test_a_folder_gets_a_file_of_the_usual_name(trained, capsys):
    os.mkdir("out.png")
    for out in ("out.png", "out.png/"):
        run("sample", "run", "--out", out)
        assert os.listdir("out.png") == ["samples.png"]
        os.unlink("out.png/samples.png")


def test_a_failure_leaves_the_file_as_it_was(trained, monkeypatch, capsys):
    run("sample", "run", "--out", "x.png")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **_: file.write(b"half") and 1 / 0)
    refused(capsys, "division", "sample", "run", "--out", "x.png")


@pytest.mark.parametrize("command", ["sample", "reconstruct", "encode"])
def test_nothing_is_written_over_the_data_or_among_them(command, trained, capsys):
    for out in ("f/new.png", "f", "f/a/", "f/a/new.npy", "run/../f/new.csv"):
        refused(capsys, "would be taken for one of the data in", command, "run", "--out", out)
    pathlib.Path("link").symlink_to("f")
    refused(capsys, "would be taken for one of the data", command, "run", "--out", "link/new.png")
    if command != "sample":
        np.save("other.npy", np.zeros((4, 8, 6), np.uint8))
        refused(capsys, "would replace the data in", command, "run", "--data", "other.npy", "--out", "other.npy")
        refused(capsys, "would replace a file of the run", command, "run", "--out", "run/log.csv")
    np.save("test.npy", np.zeros((4, 8, 6), np.uint8))
    np.save("train.npy", np.arange(480, dtype=np.uint8).reshape(10, 8, 6))
    run("train", "--data", "train.npy", "--test", "test.npy", *SMALL, "--out", "second")
    for out in ("train.npy", "test.npy"):
        refused(capsys, "would replace the data in", command, "second", "--out", out)
    os.makedirs("g")
    pathlib.Path("f/a").rename("g/a")
    pathlib.Path("run").rename("g/run")
    os.rename("f", "gone")
    refused(capsys, "would be taken for one of the data", command, "g/run", "--data", "g") if command != "sample" else 0


def test_codes_have_the_names_of_the_classes(trained):
    run("encode", "run", "--part", "all", "--out", "codes.csv")
    labels = [line.rsplit(",", 1)[1] for line in open("codes.csv", encoding="utf-8").read().splitlines()]
    assert labels == ["label"] + 20 * ["a"] + 20 * ["b"] + 20 * ["c"]


def test_all_images_come_in_the_order_of_their_file(blobs, no_report):
    images = np.repeat(blobs, 5, axis=0) // (1 + np.arange(60, dtype=np.uint8)[:, None, None] % 7)
    np.save("x.npy", images)
    run("train", "--data", "x.npy", *SMALL, "--out", "run")
    expected = nv.load("run/model.npz").encode(images)[0]
    for arguments in (["--part", "all"], ["--data", "x.npy"], ["--data", "x.npy", "--part", "all"]):
        run("encode", "run", *arguments, "--out", "codes.npy")
        np.testing.assert_allclose(np.load("codes.npy"), expected, rtol=1e-4, atol=1e-5)
    for part, n in (("train", 54), ("test", 6)):
        run("encode", "run", "--data", "x.npy", "--part", part, "--out", "codes.npy")
        assert len(np.load("codes.npy")) == n
    np.save("one.npy", images[:1])    # new data need no second image
    run("encode", "run", "--data", "one.npy", "--out", "codes.npy")
    np.testing.assert_allclose(np.load("codes.npy"), expected[:1], rtol=1e-4, atol=1e-5)
    run("reconstruct", "run", "--data", "x.npy", "--n", 3, "--out", "new.npy")
    np.testing.assert_allclose(np.load("new.npy").reshape(3, -1), nv.load("run/model.npz").reconstruct(images[:3]),
                               rtol=1e-4, atol=1e-5)


def test_all_of_data_with_a_test_set_of_their_own(blobs, no_report):
    many = np.repeat(blobs, 5, axis=0)
    np.savez("x.npz", x_train=many, x_test=many[:7], y_train=np.arange(60) % 3, y_test=np.arange(7) % 3)
    run("train", "--data", "x.npz", *SMALL, "--out", "run")
    run("encode", "run", "--part", "all", "--out", "codes.csv")
    labels = [line.rsplit(",", 1)[1] for line in open("codes.csv").read().splitlines()[1:]]
    assert labels == [str(i % 3) for i in range(60)] + [str(i % 3) for i in range(7)]


def test_a_class_is_drawn_by_name_or_number(trained, capsys):
    for label in ("b", "1"):
        run("sample", "run", "--label", label, "--n", 2, "--out", "x.npy")
        expected = nv.load("run/model.npz").sample(2, np.random.default_rng(0), labels=1)
        np.testing.assert_array_equal(np.load("x.npy").reshape(2, -1), expected)
    for label in ("d", "3", "-1", "", "1.0", "1e0", "9" * 5000, "٣"):
        refused(capsys, "expected 'a', 'b', 'c', or a number from 0 to 2", "sample", "run", "--label", label)
    refused(capsys, "did you mean 'b'?", "sample", "run", "--label", "B")


def test_a_name_that_is_a_number_is_the_name(capsys):
    assert _class("7", 3, ["1", "3", "7"]) == 2 and _class("1", 3, ["a", "7", "1"]) == 2 and _class("0", 2, None) == 0
    assert _class("0", 3, ["a", "7", "1"]) == 0    # no class is called so, and not all have numbers for names
    with pytest.raises(ValueError, match="--label is '2'; expected '1', '3', '7'$"):
        _class("2", 3, ["1", "3", "7"])


@pytest.mark.parametrize("command", ["reconstruct", "encode", "evaluate"])
def test_data_of_another_size_are_named(command, trained, capsys):
    np.save("other.npy", np.zeros((4, 9, 6), np.uint8))
    refused(capsys, "--data is 'other.npy', with 9 x 6 numbers for each image, but the model takes 48", command, "run",
            "--data", "other.npy")


def test_other_data_leave_the_runs_own_numbers_alone(trained):
    run("evaluate", "run", "--samples", 5)
    own = open("run/evaluation.json").read()
    os.rename("run/evaluation.json", "kept.json")
    save_classes("other & ö", np.full((21, 8, 6), 99, np.uint8))
    run("evaluate", "run", "--samples", 5, "--data", "other & ö")
    assert not os.path.exists("run/evaluation.json")
    assert json.load(open("run/evaluation-other-ö.json"))["data"] == "other & ö"
    assert json.load(open("run/evaluation-other-ö.json"))["elbo"] != json.loads(own)["elbo"]


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
