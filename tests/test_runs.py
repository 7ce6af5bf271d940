"""A run and its folder: what may be typed beside --resume and --out, and which data the commands look at."""
import argparse
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main, make_parser
from numpyvae.cli.runs import GOES_ON_WITH
from numpyvae.cli.train import EFFECT
from numpyvae.files import checkpoint

SMALL = ["--hidden", "8", "--latent", "2", "--batch-size", "20"]


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.repeat(blobs, 5, axis=0))
    return "mine.npy"


def train(*options):
    return main(["train", "--data", "mine.npy", *SMALL, "--epochs", "2", "--out", "run", *map(str, options)])


def refused(capsys, words, *arguments):
    """The last line of a command that fails."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    line = printed.err.splitlines()[-1]
    assert line.startswith("numpyvae: ") and words in line, line


# --resume

def test_a_finished_run_goes_on_to_more_epochs_bit_for_bit(capsys):
    train()
    assert main(["train", "--resume", "run", "--epochs", "4"]) == 0
    assert "epoch 4/4" in capsys.readouterr().err
    train("--epochs", 4, "--out", "whole")
    (_, found), (_, whole) = checkpoint.read("run/checkpoint.npz"), checkpoint.read("whole/checkpoint.npz")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in whole.items()}
    metrics = json.load(open("run/metrics.json"))
    assert metrics["epochs"] == 4 and metrics["configuration"]["epochs"] == 4
    assert json.load(open("run/run.json"))["epochs"] == 4
    assert main(["train", "--resume", "run"]) == 0    # and that is remembered
    assert "has finished its 4 epochs; to train on, give more: --epochs 12" in capsys.readouterr().err


def test_more_epochs_are_refused_where_they_would_change_those_that_are_done(capsys):
    train("--lr-end", 1e-4)
    refused(capsys, "its learning rate falls over all of them (--lr-end)", "train", "--resume", "run", "--epochs", 4)
    refused(capsys, "--epochs is 1, but the run in run was started with 2", "train", "--resume", "run", "--epochs", 1)


def values_for(action):
    """An option with a value that the run in `run` was not started with."""
    if action.nargs == 0:
        return [action.option_strings[-1]]
    others = [choice for choice in action.choices or () if choice != action.default]
    return [action.option_strings[-1], "strokes" if action.dest == "data" else others[0] if others else "7"]


COMMANDS = next(action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)).choices
TRAIN = COMMANDS["train"]
OTHERS = [action for action in TRAIN._actions
          if action.dest not in GOES_ON_WITH | {"help", "json", "resume", "overwrite"}]


@pytest.mark.parametrize("action", OTHERS, ids=lambda action: action.dest)
def test_every_other_option_beside_resume_is_refused_by_name(action, capsys):
    os.mkdir("run")
    options = vars(make_parser().parse_args(["train", "--data", "mine.npy", *SMALL]))
    json.dump({name: value for name, value in options.items() if name not in ("run", "typed", "json", "resume")},
              open("run/run.json", "w"))
    refused(capsys, f"--{action.dest.replace('_', '-')} is ", "train", "--resume", "run", *values_for(action))


def test_what_is_the_same_beside_resume_is_taken(capsys):
    train()
    assert main(["train", "--resume", "run", *SMALL, "--out", "run", "--checkpoint-every", "5 steps"]) == 0
    refused(capsys, "--out is 'other', but --resume goes on in 'run'", "train", "--resume", "run", "--out", "other")


def test_resuming_notices_that_the_data_have_changed(capsys):
    train()
    np.save("mine.npy", np.load("mine.npy")[::-1])
    refused(capsys, "mine.npy has changed since the run was started", "train", "--resume", "run", "--epochs", 3)


def test_a_file_or_nothing_in_place_of_a_folder(capsys):
    train()
    refused(capsys, "--resume is 'run/model.npz', a file; expected the folder of a run that numpyvae train started: "
            "did you mean 'run'?", "train", "--resume", "run/model.npz")
    refused(capsys, "--resume is 'mine.npy', a file; expected the folder of a run that numpyvae train started", "train",
            "--resume", "mine.npy")
    refused(capsys, "--out is 'mine.npy', which is a file; expected the name of a folder", "train", "--data",
            "mine.npy", "--out", "mine.npy")
    refused(capsys, "--out is ''; expected the name of a folder", "train", "--data", "mine.npy", "--out", "")
    assert not os.path.exists("runs")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_a_folder_whose_name_is_no_utf_8(capsys):
    """As on an old disk, or under a locale of another encoding: the report is written all the same."""
    name = b"K\xe4tzchen"
    assert train("--out", os.fsdecode(name)) == 0
    assert name in pathlib.Path(os.fsdecode(name), "report.html").read_bytes()


# Options without effect

@pytest.mark.parametrize("name, value", [("sigma", "0.5"), ("samples", "5"), ("channels", "2"), ("data_dir", ".")])
def test_options_without_effect_are_refused(name, value, capsys):
    assert name in [known for known, _, _ in EFFECT]
    refused(capsys, f"--{name.replace('_', '-')} is ", "train", "--data", "mine.npy", *SMALL,
            f"--{name.replace('_', '-')}", value)
    assert not os.path.exists("runs")


def test_overwrite_without_out_is_refused(capsys):
    refused(capsys, "--overwrite is given, which has no effect here; expected none, or --out too", "train",
            "--overwrite")


# --out

def test_a_run_is_not_overwritten_unasked(capsys):
    train()
    before = open("run/model.npz", "rb").read()
    refused(capsys, "--out is 'run', which holds a run; expected another folder, or --overwrite", "train", "--data",
            "mine.npy", *SMALL, "--out", "run")
    assert open("run/model.npz", "rb").read() == before
    os.unlink("run/metrics.json")
    refused(capsys, "a run that has not finished; expected another folder, --resume run to go on", "train", "--data",
            "mine.npy", *SMALL, "--out", "run")
    assert train("--seed", 5, "--overwrite") == 0 and open("run/model.npz", "rb").read() != before
    json.dump({}, open("run/evaluation.json", "w"))
    assert train("--overwrite") == 0 and not os.path.exists("run/evaluation.json")    # it was of the old model


@pytest.mark.parametrize("options", [
    ["--network", "conv", "--conditional"], ["--binarize", "dynamic", "--data", "floats.npy"], ["--lr", "1e30"],
    ["--conditional"], ["--checkpoint-every", "never"], ["--data", "none.npy"]])
def test_a_failed_start_leaves_no_folder(options, capsys):
    np.save("floats.npy", np.random.default_rng(0).random((40, 5, 5)))
    before = sorted(os.listdir())
    refused(capsys, "", "train", "--data", "mine.npy", *SMALL, "--out", "deep/er/run", *options)
    assert sorted(os.listdir()) == before
    os.mkdir("mine")
    refused(capsys, "", "train", "--data", "mine.npy", *SMALL, "--out", "mine", *options)
    assert os.path.isdir("mine")    # a folder that was there stays


# The run's own data

def test_evaluate_and_reconstruct_look_at_the_runs_own_data_from_anywhere(tmp_path, capsys, monkeypatch):
    train()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for command in (["evaluate", "../run", "--samples", "3"], ["reconstruct", "../run"]):
        capsys.readouterr()
        assert main(command) == 0
        assert "mine.npy: 60 images 6 x 8" in capsys.readouterr().err
    assert main(["train", "--resume", "../run", "--epochs", "3"]) == 0


def test_data_that_changed_or_moved_are_noticed(capsys):
    train()
    for command in ("evaluate", "reconstruct"):
        np.save("mine.npy", np.load("mine.npy")[::-1])
        refused(capsys, "mine.npy has changed since the run was started", command, "run")
        np.save("mine.npy", np.load("mine.npy")[::-1])
        shutil.move("mine.npy", "moved.npy")
        refused(capsys, "are no longer there; name the place where they are now with --data", command, "run")
        assert main([command, "run", "--data", "moved.npy"]) == 0
        assert "moved.npy holds the run's own data" in capsys.readouterr().err
        shutil.move("moved.npy", "mine.npy")
    report = open("run/report.html").read()
    assert "not on the run&#x27;s own" not in report


@pytest.mark.parametrize("command", ["evaluate", "reconstruct"])
def test_reading_options_without_data_are_refused(command, capsys):
    train()
    refused(capsys, "--size is [9, 9], but without --data the run's own data are read as in training", command, "run",
            "--size", "9")


def test_a_model_alone_needs_data(capsys):
    train()
    shutil.copy("run/model.npz", "model.npz")
    refused(capsys, "has no run.json, which tells what the model was trained on; name the data with --data",
            "reconstruct", "model.npz")
    assert main(["reconstruct", "model.npz", "--data", "mine.npy"]) == 0
    assert nv.load("model.npz").n_data == 48


# Names that are nearly right

@pytest.mark.parametrize("arguments, meant", [
    (["trian"], "train"), (["train", "--latnet", "3"], "--latent"), (["train", "--network", "cnov"], "conv"),
    (["sample", "run", "--lable", "3"], "--label")])
def test_did_you_mean(arguments, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and f"did you mean {meant!r}?" in capsys.readouterr().err


def test_did_you_mean_a_data_set(capsys):
    refused(capsys, "did you mean 'strokes'?", "train", "--data", "stroke")
    refused(capsys, "did you mean 'mine.npy'?", "train", "--data", "mien.npy")
    with pytest.raises(ValueError, match="did you mean 'bernoulli'"):
        nv.VAE.dense(4, (3,), 2, likelihood="bernouli", rng=np.random.default_rng(0))
