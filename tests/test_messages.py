"""What commands say about what was typed: the option as it is typed, numbers that can be read, advice that helps."""
import argparse
import errno
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.arguments import did_you_mean_file
from numpyvae.cli import main
from numpyvae.cli.common import in_options
from numpyvae.report import summary
from tests.own_data import write_csv

SMALL = ["--hidden", "8", "--latent", "2", "--epochs", "2"]
GAUSSIAN = ["--likelihood", "gaussian"]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch, blobs, rng):
    monkeypatch.chdir(tmp_path)
    for command in "train", "evaluate":    # the report takes seconds
        monkeypatch.setattr(f"numpyvae.cli.{command}.write_run_report", lambda out, *_: f"{out}/report.html")
    np.save("mine.npy", np.repeat(blobs, 5, axis=0))
    rows = np.column_stack([rng.uniform(18, 90, 80), rng.lognormal(10, 1, 80), rng.normal(1.7, 0.1, 80)]).round(2)
    write_csv(pathlib.Path("people.csv"), rows, ["age", "income", "height"])
    write_csv(pathlib.Path("scaled.csv"), ((rows - rows.mean(0)) / rows.std(0)).round(4), ["age", "income", "height"])


def output(capsys, *arguments, code=0):
    capsys.readouterr()
    try:
        assert main(list(map(str, arguments))) == code
    except SystemExit as stop:
        assert stop.code == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err


# Tables that are not scaled

def test_columns_of_unlike_scale_are_named_before_training(capsys):
    said = output(capsys, "train", "--data", "people.csv", *GAUSSIAN, *SMALL, "--lr", "1e-9", "--out", "run")
    note = next(line for line in said.splitlines() if line.startswith("note: "))
    assert said.count("standardise") == 1 and note[6:] in json.load(open("run/metrics.json"))["remarks"]
    assert "'income' has a standard deviation of " in note and "'height' has a standard deviation of 0." in note
    assert "standardise each column" in note and said.index(note) < said.index("training on")
    assert "standardise" not in output(capsys, "train", "--data", "scaled.csv", *GAUSSIAN, *SMALL)
    assert "standardise" not in output(capsys, "train", "--data", "mine.npy", *SMALL)


def test_a_table_that_is_not_for_the_likelihood_is_no_picture(capsys, rng):
    said = output(capsys, "train", "--data", "people.csv", *SMALL, code=1)
    assert "--likelihood is 'bernoulli', as none was given, which is for numbers from 0 to 1" in said
    assert "take the likelihood gaussian" in said and "standardise the columns first" in said and "255" not in said
    write_csv(pathlib.Path("marks.csv"), rng.integers(0, 200, (50, 3)), ["a", "b", "c"])    # as bytes might be
    said = output(capsys, "train", "--data", "marks.csv", *SMALL, code=1)
    assert "take the likelihood gaussian" in said and "bytes" not in said


def test_a_loss_that_leads_nowhere_stops_with_a_sentence(rng):
    vae = nv.VAE.dense(3, (20,), 2, likelihood="gaussian", rng=rng, dtype=np.float64)
    x = rng.normal(0, 1e8, (40, 3))
    vae.parameters["logvar_head.W"][:] = 0
    with pytest.raises(FloatingPointError, match=r"the loss is \d\.\d+e\+\d\d in epoch 1, step 1, too large to learn "
                                                 r"from; expected less: the data reach .*standardise the columns"):
        list(nv.fit(vae, x, optimizer=nv.Adam(), epochs=2, batch_size=10, rng=rng))


@pytest.mark.parametrize("value, text", [(1.234, "1.23"), (-9999.994, "-9999.99"), (35363.1049, "35363.1"),
                                         (4.1234567e26, "4.12346e+26"), (1234567.0, "1.23457e+06"), (0, "0.00"),
                                         (-0.004, "0.00")])
def test_numbers_keep_six_digits(value, text):
    assert summary.nats(value) == text


def test_large_losses_are_printed_readably(capsys, rng):
    write_csv(pathlib.Path("t.csv"), rng.normal(0, 1, (80, 3)).round(3), ["a", "b", "c"])
    said = output(capsys, "train", "--data", "t.csv", *GAUSSIAN, "--sigma", "1e-4", *SMALL, "--out", "run")
    said += output(capsys, "evaluate", "run", "--samples", 3)
    assert re.findall(r"\d{3}\de\+|e\+\d\d", said)
    assert not re.findall(r"\d{7,}", said.replace("1,000", "")), said


# Options as they are typed

def test_arguments_of_functions_are_options(capsys):
    names = argparse.Namespace(batch_size=1, samples=1, transpose=False, sigma=1, beta=1)
    for text, expected in [
            ("LocationScale: sigma is 0; expected", "--sigma is 0; expected"),
            ("batch_size is 5, more", "--batch-size is 5, more"), ("samples is 1, with", "--samples is 1, with"),
            ("transpose (--transpose) is True, which", "--transpose is given, which"),
            ("beta is 2; expected", "--beta is 2; expected"),
            ("size (--size) is 3, which", "size (--size) is 3, which"),    # no option of this command
            ("the loss is nan", "the loss is nan"), ("x.npy is empty", "x.npy is empty"), ("", "")]:
        assert in_options(text, names) == expected
    said = output(capsys, "train", "--data", "mine.npy", *SMALL, "--lr-end", "1", code=1)
    assert "numpyvae: --lr-end is 1, above the learning rate at the start, 0.001" in said
    said = output(capsys, "train", "--data", "scaled.csv", "--transpose", *SMALL, code=1)
    assert "numpyvae: --transpose is given, which has no effect on a table" in said


@pytest.mark.parametrize("options, words", [
    (["--hidden", "10,20"], "'10,20' is not a whole number of at least 1: type several without commas or quotes"),
    (["--hidden", "10 20"], "type several without commas or quotes, 10 20"),
    (["--lr", "0,001"], "'0,001' is not a number above 0: type a point, not a comma"),
    (["--lr", "fast"], "'fast' is not a number above 0\n")])
def test_commas_and_quotes_in_numbers(options, words, capsys):
    assert words in output(capsys, "train", *options, code=2)


@pytest.mark.parametrize("options", [
    ["train", "--sigma", "1e-200"], ["evaluate", "RUN", "--samples", 3 * 10**9], ["train", "--epochs", 2**31],
    ["train", "--beta", "1e200"], ["train", "--warmup", 10**12], ["sample", "RUN", "--n", 2**31]])
def test_numbers_that_no_function_takes_are_refused_at_the_door(options, capsys):
    assert f"{options[-2]}: '{options[-1]}' is not a" in output(capsys, *options, code=2)


def test_a_folder_that_looks_like_an_option(capsys):
    output(capsys, "train", "--data", "mine.npy", *SMALL, "--out=-dd")
    said = output(capsys, "train", "--resume=-dd")
    hint = next(line for line in said.splitlines() if line.startswith("longer"))
    _, *arguments = shlex.split(hint.removeprefix("longer"))
    assert "epoch 6/6" in output(capsys, *arguments)
    for _, command in summary.next_steps("-dd", {"epochs": 2}, {"epochs": 2}):
        assert "-dd" not in shlex.split(command)


# A full disk

@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a file that is always full")
@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["train", "--help"]], ids=" ".join)
def test_output_to_a_full_disk(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "numpyvae", *arguments], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 1 and done.stderr == (
        "numpyvae: the output cannot be written (No space left on device); expected space for it: free some, or choose "
        "another place\n")


@pytest.mark.parametrize("name", ["metrics.json", "run.json", "log.csv"])
def test_a_disk_that_is_full_when_a_run_writes(name, monkeypatch, capsys):
    replace = os.replace

    def full(part, path):
        if os.path.basename(path) == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))    # as write has it, without a file's name
        replace(part, path)

    monkeypatch.setattr(os, "replace", full)
    said = output(capsys, "train", "--data", "mine.npy", *SMALL, "--out", "run", code=1)
    assert f"numpyvae: run/{name} cannot be written (No space left on device); expected space for it" in said
    assert "Errno" not in said


# What the shell has closed

@pytest.mark.skipif(os.name != "posix", reason="as shells of Unix do it")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_output_that_is_closed_goes_nowhere(closed):
    """Nor into a file, which would else get its number."""
    words = shlex.join([sys.executable, "-m", "numpyvae"])
    for command in ("info", "train --help", "train --data mine.npy --hidden 8 --epochs 1 --out run",
                    "sample run --n 2 --out x.csv"):
        done = subprocess.run(f"{words} {command} {closed}", shell=True, capture_output=True, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stderr and done.stdout == ""
    assert pathlib.Path("x.csv").read_text().startswith("x0,x1,") and nv.load("run").n_latent == 20
    done = subprocess.run(f"{words} sample nowhere {closed}", shell=True, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == (closed == ">&-")


# Options without effect, and names of nothing

@pytest.fixture
def run(capsys):
    output(capsys, "train", "--data", "mine.npy", *SMALL, "--out", "run")
    return "run"


@pytest.mark.parametrize("command", ["evaluate", "encode", "reconstruct", "explore"])
@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_a_folder_for_mnist_has_no_effect_on_other_data(command, folder, run, capsys):
    said = output(capsys, command, run, "--data-dir", folder, code=1)
    assert f"numpyvae: --data-dir is {folder!r}, which has no effect on " in said and "mine.npy; expected none" in said
    said = output(capsys, command, run, "--data", "mine.npy", "--data-dir", folder, code=1)
    assert f"numpyvae: --data-dir is {folder!r}, which has no effect on mine.npy; expected none" in said
    said = output(capsys, "train", "--resume", run, "--data-dir", folder, code=1)
    assert f"numpyvae: --data-dir is {folder!r}, which has no effect here" in said


def test_an_option_that_is_given_is_said_to_be_given(run, capsys):
    assert "numpyvae: --colour is given, but without --data" in output(capsys, "encode", run, "--colour", code=1)


def test_a_seed_without_effect_is_said(run, capsys):
    note = "note: --seed is 3, which has no effect here: nothing is drawn at random\n"
    for command in ("reconstruct", "encode"):
        assert note in output(capsys, command, run, "--seed", 3)
        assert note not in output(capsys, command, run)
    assert note not in output(capsys, "encode", run, "--data", "scaled.csv", "--seed", 3, code=1)
    np.save("new.npy", np.load("mine.npy")[::-1])
    outs = [["--out", f"{seed}.npy", "--seed", seed] for seed in (0, 3)]
    for out in outs:
        assert note not in output(capsys, "encode", run, "--data", "new.npy", "--part", "test", *out)
    assert not np.array_equal(np.load("0.npy"), np.load("3.npy"))


def test_a_folder_of_a_run_is_no_data(run, capsys):
    output(capsys, "sample", run)    # a picture, which could be one
    assert "numpyvae: run holds a run; expected data" in output(capsys, "train", "--data", run, code=1)


def test_images_to_test_on_that_are_not_there(capsys):
    said = output(capsys, "train", "--data", "mine.npy", "--test", "mien.npy", code=1)
    assert "numpyvae: --test is 'mien.npy', which is neither a file nor a folder; expected the path of " in said
    assert said.endswith(": did you mean 'mine.npy'?\n") and "strokes" not in said


def test_a_run_to_resume_that_is_not_there(run, capsys):
    said = output(capsys, "train", "--resume", "rnu", code=1)
    assert said.endswith("expected the folder of a run that numpyvae train started: did you mean 'run'?\n")


def test_an_empty_component_is_none(capsys):
    assert "numpyvae: --component is ''; expected" in output(capsys, "gradcheck", "--component", "", code=1)
    assert "numpyvae: FILE.py:NAME is ''; expected a layer" in output(capsys, "gradcheck", "", code=1)
    assert f"numpyvae: {pathlib.Path.cwd()} is a folder; expected the file" in output(
        capsys, "gradcheck", f"{pathlib.Path.cwd()}:Layer", code=1)


@pytest.mark.parametrize("command", ["encode", "explore", "reconstruct"])
def test_a_damaged_record_of_a_run_is_one_line(command, run, capsys):
    pathlib.Path(run, "run.json").write_text("{")
    said = output(capsys, command, run, code=1)
    assert said.startswith("numpyvae: run/run.json cannot be read") and said.count("\n") == 1


@pytest.mark.parametrize("metrics", [{"configuration": {}}, {"records": [{"epoch": 1}]}, {"records": 3}])
def test_damaged_metrics_are_one_line(metrics, run, capsys):
    path = pathlib.Path(run, "metrics.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **metrics}))
    said = output(capsys, "evaluate", run, "--samples", 3, code=1)
    assert said.startswith("numpyvae: run/metrics.json cannot be read") and said.count("\n") == 1


# Advice

@pytest.mark.parametrize("path, meant", [
    ("a.npz", ""), ("some/long/folder/a.npz", ""), ("mien.npy", "mine.npy"), ("mine.npz", "mine.npy"),
    ("peple.csv", "people.csv"), ("stroke", "strokes"), ("some/long/folder/phots", "some/long/folder/photos")])
def test_only_a_name_that_is_close_is_meant(path, meant):
    known = ["z.npz", "mine.npy", "people.csv", "strokes", "some/long/folder/z.npz", "some/long/folder/photos"]
    assert did_you_mean_file(path, known) == (f": did you mean {meant!r}?" if meant else "")


@pytest.mark.parametrize("typed, meant", [
    ("--log", ""), ("--gpu", ""), ("--latnet", "--latent"), ("--epoch5", "--epochs")])
def test_only_an_option_that_is_close_is_meant(typed, meant, capsys):
    said = output(capsys, "train", typed, "3", code=2)
    assert (f"did you mean {meant!r}?" in said) if meant else ("did you mean" not in said)


def test_a_learning_rate_that_is_too_large(capsys):
    said = output(capsys, "train", "--data", "mine.npy", *SMALL, "--lr", "1e6", code=1)
    assert "try a smaller lr than 1e+06" in said and "validation" not in said


def test_test_images_that_were_trained_on_are_said(capsys, blobs):
    said = output(capsys, "train", "--data", "mine.npy", "--test", "mine.npy", *SMALL)
    assert "60 more to test on (all of them are among those to train on" in said
    np.save("new.npy", 255 - blobs)
    assert "among those" not in output(capsys, "train", "--data", "mine.npy", "--test", "new.npy", *SMALL)
    np.savez("both.npz", x_train=np.load("mine.npy"), x_test=np.concatenate([blobs[:3], 255 - blobs]))
    assert "(in x_test, 3 of them are among" in output(capsys, "train", "--data", "both.npz", *SMALL)


@pytest.mark.parametrize("name, kind", [("bad.npy", ".npy file"), ("bad.NPZ", ".npz file"), ("bad.png", "picture")])
def test_a_damaged_file_is_not_called_a_table(name, kind, capsys):
    pathlib.Path(name).write_bytes(b"1,2\n3,4\n")
    said = output(capsys, "train", "--data", name, code=1)
    assert f"{name} is called {name[3:]}, but begins with b'1,2" in said and f"as no {kind} does" in said


def test_a_batch_of_more_than_there_are(capsys):
    said = output(capsys, "train", "--data", "mine.npy", *SMALL, "--batch-size", "128", "--out", "run")
    assert "note: --batch-size is 128, more than the 54 images to train on: every step takes all of them" in said
    assert json.load(open("run/metrics.json"))["configuration"]["batch_size"] == 54


@pytest.mark.parametrize("command", ["sample", "encode", "reconstruct", "evaluate"])
def test_a_run_that_is_not_there(command, capsys):
    assert ("numpyvae: RUN is 'x', but x does not exist; expected the folder of a run, or its model.npz: train one "
            "first") in output(capsys, command, "x", code=1)
    output(capsys, "train", "--data", "mine.npy", *SMALL, "--out", "runs/first")
    for typed, meant in (("runs/frist", "did you mean 'runs/first'?"), ("runs", "there is runs/first"),
                         ("other", "there is runs/first")):
        assert meant in output(capsys, command, typed, code=1)
    os.unlink("runs/first/model.npz")
    assert ("without a model yet; expected a run that has finished an epoch: go on with it, numpyvae train --resume "
            "runs/first") in output(capsys, command, "runs/first", code=1)


@pytest.mark.parametrize("typed, said", [
    ("0", "is not a whole number of at least 1\n"), ("1e3", "is not a whole number of at least 1\n"),
    (str(2**31), "is not a whole number of at least 1 (and below 2^31)\n")])
def test_ends_of_numbers_are_told_to_who_comes_near_them(typed, said, capsys):
    assert said in output(capsys, "train", "--epochs", typed, code=2)


def test_runs_that_begin_in_the_same_second(capsys, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: "now-")
    for _ in range(3):
        output(capsys, "train", "--data", "mine.npy", *SMALL)
    assert sorted(os.listdir("runs")) == ["now-mine.npy", "now-mine.npy-2", "now-mine.npy-3"]


# Python

def test_what_is_printed_says_what_it_is(rng):
    assert repr(nv.SGD(lr=0.1)) == "SGD(lr=0.1)" and repr(nv.Momentum()) == "Momentum(lr=0.01, momentum=0.9)"
    assert repr(nv.Adam()) == "Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, 0 steps taken)"
    vae = nv.ConditionalVAE.dense(4, (3,), 2, n_classes=3, rng=rng)
    assert str(vae).startswith("conditional VAE of 4 numbers, with 2 latent dimensions\n")
    lines = repr(vae.parameters).splitlines()
    assert lines[0] == "74 weights of float32" and lines[1].split(maxsplit=1) == ["encoder.0.W", "(7, 3)"]
    epochs = nv.fit(vae, rng.random((8, 4)), labels=np.arange(8) % 3, optimizer=nv.Adam(), epochs=2, batch_size=4,
                    rng=rng)
    assert repr(epochs) == "<fit, not yet begun: 0 records so far>"
    next(epochs)
    assert repr(epochs) == "<fit, under way: 1 record so far>"
    assert len(list(epochs)) == 1 and repr(epochs) == "<fit, ended: 2 records so far>"


def test_epochs_are_gone_through_once(rng):
    epochs = nv.fit(nv.VAE.dense(4, (3,), 2, rng=rng), rng.random((8, 4)), optimizer=nv.Adam(), epochs=2, batch_size=4,
                    rng=rng)
    assert len(list(epochs)) == 2
    with pytest.warns(UserWarning, match="these epochs have been gone through"):
        assert list(epochs) == []


def test_a_learning_rate_does_not_rise(rng):
    with pytest.raises(ValueError, match="lr_end is 0.1, above the learning rate at the start, 0.001; expected less"):
        nv.fit(nv.VAE.dense(4, (3,), 2, rng=rng), rng.random((8, 4)), optimizer=nv.Adam(), epochs=2, batch_size=4,
               rng=rng, lr_end=0.1)


def test_save_and_load_by_folder(rng):
    vae = nv.VAE.dense(4, (3,), 2, rng=rng)
    with pytest.raises(FileNotFoundError, match=r"no folder 'nowhere'; make it first, os.makedirs\('nowhere'\)"):
        vae.save("nowhere/model.npz")
    os.mkdir("run")
    with pytest.raises(OSError, match="give the name of a file in a folder"):
        vae.save("run")
    vae.save("run/model.npz")
    np.testing.assert_array_equal(nv.load("run").parameters.values, vae.parameters.values)
    os.mkdir("empty")
    with pytest.raises(ValueError, match="empty is a folder; expected a file"):
        nv.load("empty")


def test_a_kill_leaves_no_odd_files_of_a_report(tmp_path, monkeypatch):
    """The report's unfinished file is called as those of all others, which the next run removes."""
    from numpyvae.report import html
    seen = []
    monkeypatch.setattr("os.replace", lambda part, path: seen.append(os.path.basename(part)))
    html._write(tmp_path / "report.html", "x")
    assert re.fullmatch(r"report\.html\.\d+\.part", seen[0])
