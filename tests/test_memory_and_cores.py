"""Memory that runs out is blamed on what is large; and log p(x) takes every core, whatever BLAS there is."""
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.arguments import too_large
from numpyvae.cli import main
from numpyvae.evaluation import cores
from numpyvae.kernels import processor

NUMPYS = MemoryError("Unable to allocate 58.4 GiB for an array with shape (784, 10000000) and data type float64")


@pytest.mark.parametrize("sizes, sentence", [
    ({"n_data = 784": 784, "hidden = (10000000,)": 10**7, "n_latent = 20": 20},
     "not enough memory for hidden = (10000000,) (58.4 GiB in one piece); expected a smaller value"),
    ({"--batch-size 20000": 20000, "--hidden 50000": 50000, "--latent 2": 2},
     "not enough memory for --hidden 50000 (58.4 GiB in one piece); expected a smaller value, there or of "
     "--batch-size 20000"),
    ({"--latent 20": 20, "--batch-size 128": 128},
     "not enough memory for --batch-size 128, --latent 20 (58.4 GiB in one piece); expected smaller values"),
    ({}, "not enough memory for what was asked for (58.4 GiB in one piece); expected smaller values")])
def test_the_largest_size_is_named(sizes, sentence):
    assert too_large(sizes, NUMPYS) == sentence
    assert "piece" not in too_large(sizes, MemoryError())


HUGE = 2**31 - 1    # its arrays are larger than any machine's memory


@pytest.fixture(scope="module")
def vae():
    return nv.VAE.dense(12, (2000,), 2, rng=np.random.default_rng(0))


def no_memory(*arguments, **options):
    raise NUMPYS


@pytest.mark.parametrize("call, words", [
    (lambda vae, x, rng: nv.VAE.dense(784, (HUGE, 9), 2, rng=rng), "dense: not enough memory for hidden = .21474836"),
    (lambda vae, x, rng: nv.VAE.dense(784, (400,), HUGE, rng=rng), "dense: not enough memory for n_latent = 21474836"),
    (lambda vae, x, rng: vae.sample(HUGE, rng), "sample: not enough memory for n = 2147483647"),
    (lambda vae, x, rng: nv.evaluation.log_likelihood(vae, x, HUGE, rng=rng),
     "log_likelihood: not enough memory for samples = 2147483647")])
def test_python_is_told_too(call, words, vae, rng, monkeypatch):
    for place in "evaluation.likelihood._log_weights", "models.priors.StandardNormal.sample":
        monkeypatch.setattr(f"numpyvae.{place}", no_memory)    # 16 GB: some machines have them
    with pytest.raises(MemoryError, match=words) as caught:
        call(vae, rng.integers(0, 256, (3, 12), np.uint8), rng)
    assert isinstance(caught.value, ValueError)    # as a wrong argument always was


def test_fit_names_the_batch(vae, rng, monkeypatch):
    monkeypatch.setattr(nv.VAE, "loss_and_grad", no_memory)
    run = nv.fit(vae, rng.integers(0, 256, (20_000, 12), np.uint8), optimizer=nv.Adam(), epochs=1, batch_size=20_000,
                 rng=rng)
    with pytest.raises(MemoryError, match="fit: not enough memory for a model of 64016 weights .*there or of batch_si"):
        next(run)


@pytest.fixture
def run(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", lambda *_: "report.html")
    np.save("mine.npy", blobs)
    assert main(["train", "--data", "mine.npy", "--hidden", "8", "--latent", "2", "--epochs", "1", "--out", "run"]) == 0
    return ["train", "--data", "mine.npy", "--out", "new"]


@pytest.mark.parametrize("command, words", [
    (["--hidden", HUGE], "--hidden 2147483647 ("), (["--latent", HUGE], "--latent 2147483647 ("),
    (["--network", "conv", "--channels", 8, HUGE], "--channels 8 2147483647 (")])
def test_a_command_names_its_option(command, words, run, capsys):
    capsys.readouterr()
    assert main([*run, *map(str, command)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"numpyvae: not enough memory for {words}") and "; expected a smaller value" in line
    assert not os.path.exists("new")


@pytest.mark.parametrize("place, command, words", [
    ("numpyvae.models.vae.VAE.loss_and_grad", ["--objective", "elbo", "--hidden", "20000"], "--hidden 20000 ("),
    ("numpyvae.evaluation.likelihood._log_weights", ["evaluate", "run", "--samples", "50000"], "--samples 50000 ("),
    ("numpyvae.models.priors.StandardNormal.sample", ["sample", "run", "--n", "300000", "--out", "x.npy"],
     "--n 300000 ("),
    ("numpyvae.models.vae.VAE.encode", ["encode", "run"], "what was asked for ("),
    ("numpyvae.models.vae.VAE.reconstruct", ["reconstruct", "run", "--n", "30000", "--out", "x.npy"],
     "--n 30000 ("),
    ("numpyvae.datasets.files.read", ["--data", "mine.npy"], "what mine.npy holds; expected less of it")])
def test_wherever_it_runs_out(place, command, words, run, capsys, monkeypatch):
    monkeypatch.setattr("numpyvae.datasets.read" if place.endswith("files.read") else place, no_memory)
    capsys.readouterr()
    assert main(command if command[0][0] != "-" else [*run, *command]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "not enough memory for " + words in line and "; expected" in line


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory")
def test_a_process_that_is_short_of_memory(run):
    """A real refusal: the weights of so many samples take the three gigabytes that it may have in all."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
    command = [sys.executable, "-m", "numpyvae", "evaluate", "run", "--samples", "400000000", "--images", "1"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("numpyvae: not enough memory for --samples 400000000 (2.98 GiB in")


# Cores

class Unseen:
    """What threadpoolctl finds where it knows none of the libraries."""

    def select(self, user_api):
        return self

    def info(self):
        return []

    def limit(self, limits):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


@pytest.mark.parametrize("blas, environment, expected", [
    ("accelerate", {}, 6), ("Accelerate", {"VECLIB_MAXIMUM_THREADS": "2"}, 2),
    ("accelerate", {"VECLIB_MAXIMUM_THREADS": "many"}, 6), ("blas", {}, 1), (None, {}, 1)])
def test_accelerate_gets_every_core(blas, environment, expected, monkeypatch, vae, rng):
    built = {} if blas is None else {"Build Dependencies": {"blas": {"name": blas}}}
    monkeypatch.setattr(np, "show_config", lambda mode: built)
    monkeypatch.setattr(cores, "ThreadpoolController", Unseen)
    monkeypatch.setattr(processor, "ThreadpoolController", Unseen)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with cores.a_thread_for_each_core() as (threads, found):
        assert found == expected and threads._max_workers == expected
    x = rng.integers(0, 256, (9, 12), np.uint8)
    there = nv.evaluation.log_likelihood(vae, x, 20, rng=np.random.default_rng(1)).values
    monkeypatch.undo()
    np.testing.assert_allclose(there, nv.evaluation.log_likelihood(vae, x, 20, rng=np.random.default_rng(1)).values,
                               rtol=1e-5)
