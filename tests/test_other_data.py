"""A run, and data that are not its own, or its own in another place: classes by name, columns, shapes, files."""
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from tests.own_data import save_pictures, write_csv

SMALL = ["--hidden", "8", "--latent", "2", "--epochs", "1"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in "train", "evaluate":    # the report takes seconds
        monkeypatch.setattr(f"numpyvae.cli.{command}.write_run_report", lambda out, *_: f"{out}/report.html")


def run(capsys, *arguments):
    """What a command that succeeds says."""
    capsys.readouterr()
    code = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out + printed.err


def refused(capsys, words, *arguments):
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("numpyvae: ") and words in line, line


def save_classes(folder, **classes):
    for name, images in classes.items():
        save_pictures(pathlib.Path(folder) / name, images)


def labels_of(path):
    return [line.rsplit(",", 1)[1] for line in pathlib.Path(path).read_text().splitlines()[1:]]


@pytest.fixture
def many(blobs):
    """60 pictures, no two of which are alike."""
    return np.stack([np.roll(blob, i, axis=1) // (1 + i) for i in range(5) for blob in blobs])


@pytest.fixture
def animals(many, capsys):
    """A conditional run on cats, dogs and elks."""
    save_classes("animals", cat=many[:20], dog=many[20:40], elk=many[40:])
    run(capsys, "train", "--data", "animals", "--conditional", *SMALL, "--out", "run")


# Classes

def test_classes_of_other_data_are_known_by_their_names(animals, many, capsys):
    save_classes("other", dog=many[:5], elk=many[5:9])
    run(capsys, "encode", "run", "--data", "other", "--out", "codes.npy")
    vae = nv.load("run")
    labels = np.repeat([1, 2], [5, 4])    # of dog and elk in the run, and not 0 and 1 as among these two
    np.testing.assert_allclose(np.load("codes.npy"), vae.encode(many[:9], labels=labels)[0], rtol=1e-4, atol=1e-5)
    run(capsys, "encode", "run", "--data", "other", "--out", "codes.csv")
    assert labels_of("codes.csv") == 5 * ["dog"] + 4 * ["elk"]
    run(capsys, "reconstruct", "run", "--data", "other", "--n", 9, "--out", "new.npy")
    np.testing.assert_allclose(np.load("new.npy").reshape(9, -1), vae.reconstruct(many[:9], labels=labels), rtol=1e-4,
                               atol=1e-5)
    run(capsys, "evaluate", "run", "--data", "other", "--samples", 2)
    elbo = json.load(open("run/evaluation-other.json"))["elbo"]
    terms = nv.evaluate_loss(vae, many[:9], rng=np.random.default_rng(0), labels=labels)
    assert elbo == pytest.approx(-(terms.nll + terms.kl), rel=1e-5)


@pytest.mark.parametrize("command", ["encode", "reconstruct", "evaluate"])
def test_a_class_that_the_model_does_not_know_is_refused(command, animals, many, capsys):
    save_classes("other", dog=many[:5], yak=many[5:9])
    refused(capsys, "other holds the class 'yak', which the model does not know; expected only 'cat', 'dog', 'elk'",
            command, "run", "--data", "other")
    np.savez("numbers.npz", x=many, y=np.arange(60) % 3)    # whose 1 is a dog for nobody
    refused(capsys, "the classes '0', '1', '2', which the model does not know", command, "run", "--data",
            "numbers.npz")
    np.save("none.npy", many)
    refused(capsys, "none.npy has none; expected data with labels: a folder for each class, named 'cat', 'dog', 'elk'",
            command, "run", "--data", "none.npy")


def test_a_run_from_before_names_were_kept_looks_them_up_in_its_own_data(animals, many, capsys):
    saved = json.loads(pathlib.Path("run/run.json").read_text())
    del saved["classes"]
    pathlib.Path("run/run.json").write_text(json.dumps(saved))
    save_classes("other", dog=many[:5], elk=many[5:9])
    run(capsys, "encode", "run", "--data", "other", "--out", "codes.npy")
    np.testing.assert_allclose(np.load("codes.npy"), nv.load("run").encode(many[:9], np.repeat([1, 2], [5, 4]))[0],
                               rtol=1e-4, atol=1e-5)
    pathlib.Path("animals").rename("moved")
    np.savez("numbers.npz", x=many[:3], y=[2, 0, 2])
    said = run(capsys, "encode", "run", "--data", "numbers.npz", "--out", "codes.csv")
    assert labels_of("codes.csv") == ["2", "0", "2"]
    assert "from before the names of classes were kept" in said and "classes are called 0 to 2" in said


def test_a_folder_of_one_class_has_labels(animals, many, capsys):
    save_classes("other", dog=many[:5])
    for data in ("other", "other/dog"):
        run(capsys, "encode", "run", "--data", data, "--out", "codes.csv")
        assert labels_of("codes.csv") == 5 * ["dog"]
    np.savez("names.npz", x=many[:4], y=np.array(["elk", "dog", "elk", "elk"]))
    run(capsys, "encode", "run", "--data", "names.npz", "--out", "codes.csv")
    assert labels_of("codes.csv") == ["elk", "dog", "elk", "elk"]


def test_classes_that_are_numbers(many, capsys):
    np.savez("x.npz", x=many, y=np.arange(60) % 4)
    run(capsys, "train", "--data", "x.npz", "--conditional", *SMALL, "--out", "run")
    np.savez("other.npz", x=many[:6], y=np.array([3, 3, 1, 1, 3, 1]))
    run(capsys, "encode", "run", "--data", "other.npz", "--out", "codes.csv")
    assert labels_of("codes.csv") == ["3", "3", "1", "1", "3", "1"]
    np.savez("other.npz", x=many[:6], y=np.array([4, 3, 1, 1, 3, 1]))
    refused(capsys, "the class '4', which the model does not know", "encode", "run", "--data", "other.npz")


# Shapes and columns

@pytest.mark.parametrize("command", ["encode", "reconstruct", "evaluate"])
def test_pictures_that_lie_on_their_side_are_refused(command, many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    np.save("turned.npy", many.swapaxes(1, 2))
    refused(capsys, "with 6 x 8 numbers for each image, but the model takes 48 as 8 x 6", command, "run", "--data",
            "turned.npy")


def test_columns_are_those_of_the_training(capsys, rng):
    rows = rng.normal(0, 1, (60, 3)).round(3)
    write_csv(pathlib.Path("t.csv"), rows, ["a", "b", "c"])
    run(capsys, "train", "--data", "t.csv", "--likelihood", "gaussian", *SMALL, "--out", "run")
    write_csv(pathlib.Path("o.csv"), rows, ["b", "a", "c"])
    refused(capsys, "has the columns in another order; expected those that the model was trained on, in the same "
            "order: 'a', 'b', 'c'", "encode", "run", "--data", "o.csv")
    write_csv(pathlib.Path("o.csv"), rows, ["a", "b", "d"])
    refused(capsys, "lacks the columns 'c'", "encode", "run", "--data", "o.csv")
    write_csv(pathlib.Path("o.csv"), rows[:, :2], ["a", "b"])
    refused(capsys, "expected rows of the size that it was trained on: with the same columns", "encode", "run",
            "--data", "o.csv")
    write_csv(pathlib.Path("o.csv"), rows[:7] / 2, ["a", "b", "c"])
    run(capsys, "encode", "run", "--data", "o.csv", "--out", "codes.npy")
    assert np.load("codes.npy").shape == (7, 2)


# The run's own data in another place

@pytest.mark.parametrize("reading", [[], ["--size", "9", "--colour"]])
def test_data_that_have_moved_are_the_runs_own(reading, many, capsys):
    save_classes("photos", a=many[:30], b=many[30:])
    run(capsys, "train", "--data", "photos", *reading, "--seed", "3", *SMALL, "--out", "run")
    run(capsys, "evaluate", "run", "--samples", 3)
    own = json.load(open("run/evaluation.json"))
    os.unlink("run/evaluation.json")
    run(capsys, "encode", "run", "--part", "test", "--out", "own.npy")
    shutil.move("photos", "moved")
    said = run(capsys, "evaluate", "run", "--samples", 3, "--data", "moved")    # reads them as training did
    assert "note: moved holds the run's own data" in said and "not on the run's own" not in said
    assert json.load(open("run/evaluation.json")) == own
    run(capsys, "encode", "run", "--data", "moved", "--part", "test", "--out", "codes.npy")
    np.testing.assert_array_equal(np.load("codes.npy"), np.load("own.npy"))


def test_data_with_a_test_set_that_have_moved(many, capsys):
    np.save("x.npy", many)
    np.save("t.npy", many[:9] // 2)
    run(capsys, "train", "--data", "x.npy", "--test", "t.npy", *SMALL, "--out", "run")
    shutil.move("x.npy", "moved.npy")
    run(capsys, "evaluate", "run", "--samples", 3, "--data", "moved.npy")
    assert json.load(open("run/evaluation.json"))["images"] == 9


def test_all_of_other_data_are_measured(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    np.save("y.npy", 255 - many)
    run(capsys, "evaluate", "run", "--samples", 3, "--data", "y.npy")
    assert json.load(open("run/evaluation-y.npy.json"))["images"] == 60
    assert "note: --images is 99, more than the 6 test images" in run(capsys, "evaluate", "run", "--samples", 3,
                                                                      "--images", 99)


def test_two_sets_of_the_same_name_are_measured_apart(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    for folder, images in (("a", 255 - many), ("b", many // 2)):
        os.mkdir(folder)
        np.save(f"{folder}/x.npy", images)
        run(capsys, "evaluate", "run", "--samples", 3, "--data", f"{folder}/x.npy")
    first, second = (json.load(open(f"run/evaluation-x.npy{n}.json")) for n in ("", "-2"))
    assert first["elbo"] != second["elbo"]
    run(capsys, "evaluate", "run", "--samples", 3, "--data", "a/x.npy", "--seed", 5)    # again: in place of the first
    assert json.load(open("run/evaluation-x.npy.json"))["read"] == first["read"]
    assert json.load(open("run/evaluation-x.npy.json"))["elbo"] != first["elbo"]
    assert json.load(open("run/evaluation-x.npy-2.json")) == second
    assert not os.path.exists("run/evaluation-x.npy-3.json")


# Places

def test_codes_have_the_places_of_their_images(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    every = nv.load("run").encode(many)[0]
    for part, n in (("test", 6), ("train", 54), ("all", 60)):
        run(capsys, "encode", "run", "--part", part, "--out", "codes.csv")
        table = np.genfromtxt("codes.csv", delimiter=",", names=True)
        assert len(table) == n
        np.testing.assert_allclose(table["mu1"], every[table["image"].astype(int), 1], rtol=1e-4, atol=1e-5)


def test_more_than_there_are_is_said(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    said = run(capsys, "reconstruct", "run", "--n", 64, "--out", "new.npy")
    assert "note: --n is 64, more than the 6 images: all of them are shown" in said and len(np.load("new.npy")) == 6
    assert "note" not in run(capsys, "reconstruct", "run")    # the usual number was not asked for


# Damage

def test_sample_does_without_a_damaged_run_json(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    pathlib.Path("run/run.json").write_text("{")
    assert "note: run/run.json cannot be read" in run(capsys, "sample", "run", "--n", 3, "--out", "new.npy")
    assert np.load("new.npy").shape == (3, 48)
    run(capsys, "encode", "run", "--data", "x.npy", "--out", "codes.npy")
    refused(capsys, "run/run.json cannot be read", "encode", "run")


def test_a_run_that_has_not_finished_is_told_how_to_go_on(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    os.unlink("run/metrics.json")
    refused(capsys, "a run that has not finished; expected one that has: go on with it, numpyvae train --resume run",
            "evaluate", "run")


def test_a_damaged_checkpoint_gets_its_own_advice(many, capsys):
    np.save("x.npy", many)
    run(capsys, "train", "--data", "x.npy", *SMALL, "--out", "run")
    pathlib.Path("run/checkpoint.npz").write_bytes(b"PK")
    capsys.readouterr()
    assert main(["train", "--resume", "run", "--epochs", "3"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "start the run again" in line and "model.npz" not in line
