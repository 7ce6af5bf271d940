"""What a run leaves in its folder: early stopping at the command line, log.csv, and no harm to what was there."""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.cli.runs import ASIDE, FILES, write_log
from numpyvae.datasets import split_rows
from numpyvae.files import checkpoint

SMALL = ["--hidden", "8", "--latent", "2", "--batch-size", "20"]


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.repeat(blobs, 5, axis=0))


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Drawing it takes longer than all the rest."""
    def write(out, *_):
        open(f"{out}/report.html", "w").close()
        return f"{out}/report.html"
    for command in "train", "evaluate":
        monkeypatch.setattr(f"numpyvae.cli.{command}.write_run_report", write)


def train(*options):
    return main(["train", "--data", "mine.npy", *SMALL, "--epochs", "2", "--out", "run", *map(str, options)])


def refused(capsys, words, *options):
    """The last line of a training that fails."""
    capsys.readouterr()
    assert main(["train", *map(str, options)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    line = printed.err.splitlines()[-1]
    assert line.startswith("numpyvae: ") and words in line, line


def contents(folder):
    """The bytes of every file, but for the lock."""
    return {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder) if name != ".lock"}


def log(out="run"):
    with open(f"{out}/log.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --patience

@pytest.fixture
def impatient(capsys):
    """A run that stops by itself; its lines and its metrics."""
    assert train("--patience", 3, "--lr", 0.05, "--epochs", 60) == 0
    return capsys.readouterr(), json.load(open("run/metrics.json"))


def test_the_best_epoch_is_kept_and_told(impatient):
    printed, metrics = impatient
    best, losses = metrics["best_epoch"], metrics["validation_loss_by_epoch"]
    assert metrics["epochs"] == len(losses) == best + 3 < 60 and metrics["validation_loss"] == min(losses)
    assert losses.index(min(losses)) == best - 1
    assert (f"stopped after epoch {best + 3}: no lower validation loss in 3 epochs; kept epoch {best}, with the lowest "
            f"validation loss, {min(losses):.2f}") in printed.err
    assert "training on mine.npy: 49 images" in printed.err and "5 images more, set aside" in printed.err
    assert "validation " in printed.err and "  test " not in printed.err
    assert metrics["configuration"]["patience"] == 3
    assert metrics["configuration"]["validation"] == "5 of the 54 training images"
    assert json.load(open("run/run.json"))["set_aside"] == 5
    assert int(log()[-1]["best_epoch"]) == best


def test_the_model_is_that_epochs_and_the_test_set_has_not_chosen_it(impatient):
    """Trained by hand on nine images in ten for as long, it is the same; and the test loss is that model's."""
    _, metrics = impatient
    data = nv.datasets.load_dataset("mine.npy")
    rows, aside = split_rows(len(data.train), 0)
    assert sorted([*rows, *aside]) == list(range(len(data.train)))
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(48, (8,), 2, rng=rng)
    list(nv.fit(vae, data.train[rows], optimizer=nv.Adam(0.05), epochs=metrics["best_epoch"], batch_size=20, rng=rng,
                validation=data.train[aside]))
    for name in "model.npz", "checkpoint.npz":
        np.testing.assert_array_equal(nv.load(f"run/{name}").parameters.values, vae.parameters.values)
    test = nv.evaluate_loss(vae, data.test, rng=np.random.default_rng(0))
    assert (metrics["test_loss"], metrics["test_nll"], metrics["test_kl"]) == test
    assert "test_loss_by_epoch" not in metrics    # nobody looked


def test_the_images_set_aside_keep_their_labels(capsys):
    y = np.arange(60) % 3
    np.savez("mine.npz", x_train=np.load("mine.npy") // 2 + 40 * y[:, None, None].astype(np.uint8), y_train=y)
    assert train("--data", "mine.npz", "--conditional", "--patience", 2, "--epochs", 3) == 0
    assert nv.load("run/model.npz").n_classes == 3


def test_more_patience_goes_on_as_if_from_the_start(impatient, capsys):
    patience = ["--patience", 6, "--epochs", 70]
    assert main(["train", "--resume", "run", *map(str, patience)]) == 0
    assert train("--lr", 0.05, *patience, "--out", "whole") == 0
    (_, found), (_, whole) = checkpoint.read("run/checkpoint.npz"), checkpoint.read("whole/checkpoint.npz")
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in whole.items()}
    untimed = ("seconds", "images_per_second")
    assert [{k: v for k, v in line.items() if k not in untimed} for line in log()] == [
        {k: v for k, v in line.items() if k not in untimed} for line in log("whole")]
    a, b = (json.load(open(f"{out}/metrics.json")) for out in ("run", "whole"))
    assert a["best_epoch"] == b["best_epoch"] and a["test_loss"] == b["test_loss"]


def test_a_run_that_has_run_out_of_patience_says_so(impatient, capsys):
    done = impatient[1]["epochs"]
    assert main(["train", "--resume", "run"]) == 0
    assert f"has run out of patience after {done} epochs; to train on, give more: --patience 9\n" in (
        capsys.readouterr().err)
    refused(capsys, "--patience is 2, but the run in run was started with 3; expected at least as many", "--resume",
            "run", "--patience", 2)


def test_patience_cannot_be_added_later(capsys):
    train()
    refused(capsys, "was started without; expected none: the weights of its best epoch were not kept", "--resume",
            "run", "--patience", 3)


def test_patience_takes_two_images(capsys):
    np.save("two.npy", np.load("mine.npy")[:2])
    refused(capsys, "--patience is 2, but there is only 1 image to train on; expected", "--data", "two.npy",
            "--patience", 2, "--out", "two")


# log.csv

def test_the_log_has_a_line_for_each_epoch_as_the_metrics_have():
    train("--epochs", 3)
    records = json.load(open("run/metrics.json"))["records"]
    assert list(log()[0]) == ["epoch", "loss", "nll", "kl", "validation_loss", "validation_nll", "validation_kl",
                              "seconds", "images_per_second"]
    for line, record in zip(log(), records, strict=True):
        loss, nll, kl = record["validation"]
        expected = {**record, "validation_loss": loss, "validation_nll": nll, "validation_kl": kl}
        assert {name: float(value) for name, value in line.items()} == {name: expected[name] for name in line}


def test_the_log_is_written_as_epochs_end(monkeypatch):
    lengths = []
    monkeypatch.setattr("numpyvae.cli.train.write_log",
                        lambda out, records: (write_log(out, records), lengths.append(len(log()))))
    train("--epochs", 3)
    assert lengths == [1, 2, 3]


@pytest.mark.slow
def test_the_log_is_whole_after_a_kill():
    """The last checkpoint is older than the last lines of the log, whose epochs are done again."""
    command = [sys.executable, "-m", "numpyvae", "train", "--data", "mine.npy", *SMALL, "--epochs", "2000",
               "--checkpoint-every", "60 steps", "--out", "run"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not os.path.exists("run/checkpoint.npz") or len(log()) < 30:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    header, arrays = checkpoint.read("run/checkpoint.npz")
    epochs = len(log()) + 3    # nobody waits for 2,000
    header["training"]["settings"]["epochs"] = epochs
    checkpoint.write("run/checkpoint.npz", header, arrays)
    saved = json.load(open("run/run.json"))
    json.dump(saved | {"epochs": epochs}, open("run/run.json", "w"))
    assert main(["train", "--resume", "run"]) == 0
    assert [int(line["epoch"]) for line in log()] == list(range(1, epochs + 1))


def test_a_log_that_is_open_in_a_spreadsheet_stops_nothing(monkeypatch, capsys):
    replace = os.replace

    def locked(source, target):
        if target.endswith("log.csv"):
            raise PermissionError
        replace(source, target)
    monkeypatch.setattr(os, "replace", locked)
    assert train() == 0
    assert "log.csv is open in another program" in capsys.readouterr().err


# --overwrite

@pytest.mark.parametrize("options, words", [
    (["--lr", "1e30"], "expected a finite loss"), (["--data", "none.npy"], "neither a file nor a folder"),
    (["--lr-end", "1"], "--lr-end is 1"), (["--checkpoint-every", "never"], "--checkpoint-every is 'never'"),
    (["--conditional"], "--conditional needs labels"), (["--hidden", "1000000000"], "not enough memory"),
    (["--warmup", "50"], "--warmup is 50")])
def test_an_overwrite_that_fails_to_start_brings_the_old_run_back(options, words, capsys):
    train()
    main(["evaluate", "run", "--samples", "2", "--images", "2"])
    before = contents("run")
    assert set(before) == {name for name in FILES if "*" not in name}
    refused(capsys, words, "--data", "mine.npy", *SMALL, "--out", "run", "--overwrite", *options)
    assert contents("run") == before
    assert main(["train", "--resume", "run", "--epochs", "3"]) == 0


def test_an_overwrite_that_has_saved_something_replaces_the_run():
    train("--seed", 1)
    before = contents("run")
    assert train("--overwrite") == 0
    assert ASIDE not in os.listdir("run") and contents("run")["model.npz"] != before["model.npz"]


def test_an_overwrite_that_was_killed_as_it_began_loses_nothing(capsys):
    """Its run.json says what to resume; whoever begins another run in its place finds the old one again."""
    train()
    before = contents("run")
    os.mkdir("run/" + ASIDE)
    for name in FILES:
        if os.path.exists(f"run/{name}"):
            os.replace(f"run/{name}", f"run/{ASIDE}/{name}")
    with open("run/run.json", "w") as file:
        json.dump(json.loads(before["run.json"]) | {"lr": 0.005}, file)
    shutil.copytree("run", "other")
    refused(capsys, "which holds a run; expected another folder", "--data", "mine.npy", *SMALL, "--out", "run")
    assert contents("run") == before
    assert main(["train", "--resume", "other"]) == 0    # begins the new one anew
    assert json.load(open("other/run.json"))["lr"] == 0.005 and ASIDE not in os.listdir("other")
    assert contents("other")["model.npz"] != before["model.npz"]


def test_files_of_ones_own_are_not_replaced_unasked(capsys):
    os.mkdir("mine")
    with open("mine/report.html", "w") as file:
        file.write("my own")
    refused(capsys, "which holds a file report.html that the run would replace", "--data", "mine.npy", *SMALL, "--out",
            "mine")
    assert open("mine/report.html").read() == "my own"


def test_a_failed_start_leaves_nothing_in_a_folder_that_was_there(capsys):
    os.mkdir("mine")
    refused(capsys, "finite loss", "--data", "mine.npy", *SMALL, "--out", "mine", "--lr", "1e30")
    assert os.listdir("mine") == []


# Data that moved

def test_resume_takes_the_place_where_the_data_are_now(capsys):
    train()
    shutil.move("mine.npy", "moved.npy")
    refused(capsys, "are no longer there; name the place where they are now with --data", "--resume", "run")
    assert main(["train", "--resume", "run", "--epochs", "3", "--data", "moved.npy"]) == 0
    assert json.load(open("run/run.json"))["data"] == os.path.abspath("moved.npy")
    assert main(["train", "--resume", "run", "--epochs", "4"]) == 0    # and that is remembered
    np.save("other.npy", np.load("moved.npy")[::-1])
    refused(capsys, "--data is 'other.npy', which are not the images that the run was started with", "--resume", "run",
            "--data", "other.npy")
    assert json.load(open("run/run.json"))["data"] == os.path.abspath("moved.npy")


def test_resume_takes_the_place_where_the_test_set_is_now(capsys):
    np.save("test.npy", np.load("mine.npy")[:9])
    train("--test", "test.npy")
    shutil.move("test.npy", "moved.npy")
    refused(capsys, "test.npy, are no longer there; name the place where they are now with --test", "--resume", "run")
    assert main(["train", "--resume", "run", "--epochs", "3", "--test", "moved.npy"]) == 0


def test_resume_takes_a_folder_of_mnist_only_for_mnist(capsys):
    train()
    refused(capsys, "--data-dir is '.', which has no effect here", "--resume", "run", "--data-dir", ".")


def test_resume_and_overwrite_are_not_both_possible(capsys):
    train()
    refused(capsys, "--overwrite and --resume were given together", "--resume", "run", "--overwrite")


@pytest.mark.parametrize("out", ["pictures/run", "pictures", "pictures/a/../run"])
def test_a_run_inside_the_folder_that_it_reads_is_refused(out, capsys):
    from PIL import Image
    os.makedirs("pictures")
    for i, image in enumerate(np.load("mine.npy")[:12]):
        Image.fromarray(image).save(f"pictures/{i}.png")
    refused(capsys, f"--out is {out!r}, inside the folder that --data names, 'pictures', so", "--data", "pictures",
            *SMALL[:4], "--out", out)
    assert len(os.listdir("pictures")) == 12
    assert main(["train", "--data", "pictures", *SMALL[:4], "--epochs", "1", "--out", "pictures-run"]) == 0


# Options that say nothing

@pytest.mark.parametrize("options, words", [
    (["--hidden", "--activation", "tanh"], "--activation is 'tanh', which has no effect here"),
    (["--lr-end", "0.1"], "--lr-end is 0.1, above the learning rate at the start, 0.001"),
    (["--beta", "0", "--warmup", "1"], "--warmup is 1, but beta is 0"),
    (["--objective", "iwae", "--samples", "2", "--warmup", "1"], "expected 0 with the objective iwae: a bound"),
    (["--warmup", "3"], "there are only 2 epochs")])
def test_options_without_effect_are_refused(options, words, capsys):
    refused(capsys, words, "--data", "mine.npy", "--epochs", "2", "--out", "run", *options)
    assert not os.path.exists("run")


def test_a_bound_of_one_sample_is_told(capsys):
    train("--objective", "iwae")
    assert "note: --samples is 1, with which iwae is no more than the ELBO; give more\n" in capsys.readouterr().err


# One of a thing

def test_one_is_not_many(capsys):
    """A data set, a network and a run as small as can be: no sentence speaks of 1 images."""
    np.save("two.npy", np.load("mine.npy")[:2])
    smallest = ["--data", "two.npy", "--hidden", "1", "--latent", "1", "--epochs", "1", "--out", "one"]
    assert main(["train", *smallest]) == 0
    assert main(["evaluate", "one", "--samples", "2", "--images", "1"]) == 0
    assert main(["train", "--resume", "one"]) == 0
    printed = "".join(capsys.readouterr())
    assert "training on two.npy: 1 image, 151 weights" in printed and "mean of 1 test image, 2 importance" in printed
    assert "has finished its 1 epoch; to" in printed
    assert re.search(r"(?<![\d.,])1 \w+s\b", printed) is None


@pytest.mark.parametrize("beta", [0, 1, 4])
def test_the_parts_of_an_epoch_s_loss_add_up(beta, capsys):
    train("--beta", beta)
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch"))
    total, nll, weight, kl = re.search(r"test +([\d.]+) = ([\d.]+) \+ (?:(\d) x )?KL ([\d.]+)", line).groups()
    assert float(weight or 1) == beta
    assert abs(float(total) - float(nll) - beta * float(kl)) < 0.01 + 0.01 * beta
