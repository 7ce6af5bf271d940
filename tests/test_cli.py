import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.models.likelihoods import LIKELIHOODS


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(rng):
    """Forty pictures of 5 x 5, saved as mine.npy."""
    np.save("mine.npy", rng.integers(0, 256, (40, 5, 5), np.uint8))
    return "mine.npy"


SMALL = ["--hidden", "8", "--latent", "2", "--epochs", "2", "--batch-size", "10"]


def test_train_writes_a_run(images, capsys):
    assert main(["train", "--data", images, *SMALL, "--out", "run"]) == 0
    assert sorted(set(os.listdir("run")) - {".lock"}) == [
        "checkpoint.npz", "log.csv", "metrics.json", "model.npz", "report.html", "run.json"]
    metrics = json.load(open("run/metrics.json"))
    assert metrics["epochs"] == 2
    assert metrics["test_loss"] == pytest.approx(metrics["test_nll"] + metrics["test_kl"])
    assert metrics["configuration"]["hidden"] == [8]
    assert metrics["seconds_per_epoch"] > 0 and metrics["images_per_second"] > 0
    printed = capsys.readouterr()
    assert f"{metrics['test_loss']:.2f} nats per image" in printed.out
    assert "run/report.html" in printed.out
    assert "epoch 2/2" in printed.err
    assert nv.load("run/model.npz").n_latent == 2


def test_json_is_all_that_stdout_holds(images, capsys):
    assert main(["train", "--data", images, *SMALL, "--out", "run", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["report"] == "run/report.html"


def test_the_seed_repeats_a_run(images):
    for out in ("a", "b"):
        assert main(["train", "--data", images, *SMALL, "--out", out, "--seed", "5"]) == 0
    a, b = (nv.load(f"{out}/model.npz").parameters.values for out in ("a", "b"))
    np.testing.assert_array_equal(a, b)


def test_without_out_each_run_has_a_folder_of_its_own(images):
    assert main(["train", "--data", images, *SMALL]) == 0
    assert [name.endswith("-mine.npy") for name in os.listdir("runs")] == [True]


def test_sample_and_reconstruct_draw_pictures(images, capsys):
    main(["train", "--data", images, *SMALL, "--out", "run"])
    capsys.readouterr()
    assert main(["sample", "run", "--n", "6"]) == 0
    assert capsys.readouterr().out.strip() == "run/samples.png"
    assert main(["reconstruct", "run", "--data", images, "--n", "3", "--out", "r.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": "r.png", "images": 3}
    for picture in ("run/samples.png", "r.png"):
        assert open(picture, "rb").read(8) == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("network", [[], ["--network", "conv", "--channels", "2", "3"]])
@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
def test_every_likelihood_trains_and_is_drawn_in_the_report(likelihood, network, images):
    sigma = ["--sigma", "0.3"] if likelihood in ("gaussian", "student-t") else []
    arguments = ["--likelihood", likelihood, *sigma, *network, "--out", "run"]
    assert main(["train", "--data", images, *SMALL, *arguments]) == 0
    assert os.path.getsize("run/report.html") > 10_000


@pytest.mark.parametrize("images", [np.full((20, 5, 4), 128, np.uint8), np.zeros((2, 5, 4), np.uint8)])
def test_images_that_are_all_alike_train_and_are_evaluated(images):
    np.save("alike.npy", images)
    assert main(["train", "--data", "alike.npy", *SMALL, "--batch-size", "1", "--out", "run"]) == 0
    assert main(["evaluate", "run", "--samples", "3", "--images", "2"]) == 0


def test_one_image_alone_is_too_few(capsys):
    np.save("one.npy", np.zeros((1, 5, 4), np.uint8))
    assert "one.npy holds 1 image; expected at least 2" in failure(["train", "--data", "one.npy"], capsys)


@pytest.mark.parametrize("arguments, named", [
    (["--lr", "0"], "--lr: '0' is not a number above 0"), (["--lr", "nan"], "--lr"), (["--epochs", "1.5"], "--epochs"),
    (["--batch-size", "-3"], "--batch-size"), (["--latent", "0"], "--latent"), (["--hidden", "big"], "--hidden"),
    (["--beta", "-1"], "--beta"), (["--sigma", "inf"], "--sigma"), (["--seed", "-1"], "--seed"),
    (["--likelihood", "poisson"], "--likelihood"), (["--optimizer", "lbfgs"], "--optimizer"),
    (["--activation", "swish"], "--activation"), (["--binarize", "maybe"], "--binarize"),
    (["--init", "zero"], "--init"),
    (["--nonsense"], "--nonsense"),
])
def test_a_wrong_flag_is_usage(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments])
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


def failure(arguments, capsys):
    """The one line on stderr of a command that fails."""
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    line = printed.err.strip().splitlines()[-1]
    assert line.startswith("numpyvae: ") and "Traceback" not in printed.err
    return line


def test_data_that_is_not_there_is_named(capsys):
    assert "'nowhere.npy', which is neither a file nor a folder" in failure(["train", "--data", "nowhere.npy"], capsys)


def test_a_batch_larger_than_the_data_is_all_of_them_and_said(images, capsys):
    assert main(["train", "--data", images, *SMALL, "--batch-size", "37", "--out", "run"]) == 0
    assert "note: --batch-size is 37, more than the 36 images to train on: every step takes" in capsys.readouterr().err
    assert json.loads(open("run/metrics.json").read())["configuration"]["batch_size"] == 36


def test_a_small_set_is_one_batch(images, capsys):
    assert main(["train", "--data", images, "--hidden", "8", "--epochs", "1", "--out", "run"]) == 0
    assert json.loads(open("run/metrics.json").read())["configuration"]["batch_size"] == 36


def test_an_out_that_cannot_be_written_is_named_before_training(images, capsys):
    open("file", "w").close()
    assert "--out is 'file/run'" in failure(["train", "--data", images, *SMALL, "--out", "file/run"], capsys)


def test_a_missing_model_is_named(capsys):
    assert "model.npz does not exist" in failure(["sample", "model.npz"], capsys)


def test_a_loss_that_explodes_at_once_leaves_no_folder(images, capsys):
    arguments = ["train", "--data", images, *SMALL, "--epochs", "50", "--optimizer", "sgd", "--lr", "1e9",
                 "--likelihood", "gaussian", "--out", "run"]
    assert "expected a finite loss: try a smaller lr" in failure(arguments, capsys)
    assert not os.path.exists("run")    # it had not come to the end of an epoch


def test_floats_cannot_be_binarised(rng, capsys):
    np.save("floats.npy", rng.random((40, 5, 5)))
    assert "binarize is 'dynamic'" in failure(
        ["train", "--data", "floats.npy", *SMALL, "--binarize", "dynamic", "--out", "run"], capsys)


def test_no_command_is_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_a_command_that_is_killed_leaves_no_part_and_ends_as_killed():
    """While it writes a large file, which is the longest of what `sample` does."""
    nv.VAE.dense(784, (4,), 2, rng=np.random.default_rng(0)).save("model.npz")
    process = subprocess.Popen(
        [sys.executable, "-m", "numpyvae", "sample", "model.npz", "--n", "300000", "--out", "x.npy"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "NUMPYVAE_KERNELS": "0"})
    while not any(name.endswith(".part") for name in os.listdir()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM and errors == "" and os.listdir() == ["model.npz"]


def test_ctrl_c_exits_130_and_says_where_the_model_is(images):
    process = subprocess.Popen(
        [sys.executable, "-m", "numpyvae", "train", "--data", images, *SMALL, "--epochs", "100000", "--out", "run"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not os.path.exists("run/model.npz"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "is in run/model.npz" in errors and "Traceback" not in errors
    nv.load("run/model.npz")
