"""numpyvae sweep --dask, on a real scheduler and real workers, each a process in a folder of its own."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main, workers

pytestmark = pytest.mark.slow    # and it needs the extra dask


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.repeat(blobs, 5, axis=0))
    pathlib.Path("vae.toml").write_text('seeds = [0, 1, 2]\n[train]\ndata = "mine.npy"\nhidden = [8]\nepochs = 1\n')


@pytest.fixture
def start(tmp_path):
    """Starts Dask's scheduler or a worker in a folder of its own; what is still there at the end is killed."""
    started = []

    def one(kind, *options, **environment):
        folder = tmp_path / f"{kind} {len(started)}"
        folder.mkdir()
        started.append(subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options, "--no-dashboard"], cwd=folder,
            env=workers.ONE_THREAD | os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]
    yield one
    for process in started:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return there.getsockname()[1]


@pytest.fixture
def scheduler(start):
    """The address of a scheduler, and its process."""
    port = free_port()
    process = start("scheduler", "--host=127.0.0.1", f"--port={port}")
    wait_for(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
    return f"tcp://127.0.0.1:{port}", process


def wait_for(found, seconds=300):
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return result


def start_workers(start, address, n, **environment):
    from distributed import Client
    processes = [start("worker", address, "--no-nanny", "--nthreads=1", **environment) for _ in range(n)]
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(n, timeout=300)
    return processes


def run_of(worker):
    """The process of the run that a worker trains now."""
    import psutil
    with contextlib.suppress(psutil.NoSuchProcess):
        return next((child for child in psutil.Process(worker.pid).children() if "train" in child.cmdline()), None)


def sweep(address):
    return subprocess.Popen([sys.executable, "-m", "numpyvae", "sweep", "vae.toml", "--dask", address], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_run_that_is_lost_with_its_worker_is_done_again_and_learns_the_same_bits(start, scheduler):
    address, _ = scheduler
    lost, other = start_workers(start, address, 2)
    process = sweep(address)
    run = wait_for(lambda: run_of(lost))
    (seed,) = [word[-1] for word in run.cmdline() if word.startswith("--seed=")]
    lost.send_signal(signal.SIGKILL)
    run.kill()    # it would train on for nobody
    said, progress = process.communicate(timeout=900)
    assert process.returncode == 0 and "table     runs/vae/sweep.md" in said, progress
    assert sorted(name for name in os.listdir("runs/vae") if name.startswith("seed")) == ["seed=0", "seed=1", "seed=2"]
    alone = ["train", "--data=mine.npy", "--hidden", "8", "--epochs=1", f"--seed={seed}", "--out=alone"]
    subprocess.run([sys.executable, "-m", "numpyvae", *alone], env=workers.ONE_THREAD | os.environ, check=True)
    files = [pathlib.Path(folder, "model.npz").read_bytes() for folder in ("alone", f"runs/vae/seed={seed}")]
    assert files[0] == files[1] and nv.load("alone/model.npz").n_latent == 20
    # Called again it has nothing to do, whoever is there
    process = sweep(address)
    assert "3 runs of 3 are whole already" in process.communicate(timeout=900)[1] and process.returncode == 0


def refused(capsys, words, address):
    capsys.readouterr()
    start = time.monotonic()
    assert main(["sweep", "vae.toml", "--dask", address]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"numpyvae: --dask is {address!r}, ") and words in line, line
    assert sorted(os.listdir()) == ["mine.npy", "vae.toml"] or not os.path.exists("runs")
    return time.monotonic() - start


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "tcp://127.0.0.1:{port}", "nonsense", "htp://x:1", "",
                                     "tcp://"])
def test_a_scheduler_that_is_not_there_is_said_within_seconds(address, capsys):
    assert refused(capsys, "where no Dask scheduler answers", address.format(port=free_port())) < 30


def test_something_else_that_listens_is_no_scheduler(capsys):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert refused(capsys, "where no Dask scheduler answers", f"tcp://127.0.0.1:{port}") < 30


def test_workers_with_other_versions_are_named_and_a_cluster_without_any_refused(start, scheduler, capsys, monkeypatch):
    address, _ = scheduler
    refused(capsys, "a scheduler without workers; expected at least one, as  dask worker tcp", address)
    start_workers(start, address, 1)
    monkeypatch.setattr(workers, "versions", lambda: {"python": "3.9.1", "numpyvae": "0.0.1", "numpy": "1.0",
                                                      "numba": None})
    refused(capsys, "whose worker tcp://", address)
    here = workers._version("numpy")
    refused(capsys, f"numpyvae {nv.__version__} (here 0.0.1), numpy {here} (here 1.0)", address)


def test_a_worker_of_another_environment_is_refused(start, scheduler, tmp_path_factory, capsys):
    """A real one, for which pip has installed another numba: that is told by the folder of its metadata."""
    address, _ = scheduler
    there = tmp_path_factory.mktemp("there") / "numba-0.1.2.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: numba\nVersion: 0.1.2\n")
    path = os.pathsep.join([str(there.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    start_workers(start, address, 1, PYTHONPATH=path)
    refused(capsys, f"has numba 0.1.2 (here {workers._version('numba')}); expected the same versions", address)


def test_a_scheduler_that_goes_ends_the_sweep_and_what_is_whole_stays(start, scheduler):
    address, process = scheduler
    (worker,) = start_workers(start, address, 1)
    running = sweep(address)
    wait_for(lambda: os.path.exists("runs/vae/seed=0/model.npz") and run_of(worker))
    process.kill()
    progress = running.communicate(timeout=900)[1]
    assert running.returncode == 1 and "Traceback" not in progress
    last = progress.splitlines()[-2:]
    assert "1 of these runs are whole, in runs/vae; what is not goes on with  numpyvae sweep vae.toml --dask" in last[0]
    assert last[1] == f"numpyvae: the Dask scheduler at {address} has gone"
    assert sorted(name for name in os.listdir("runs/vae") if name != ".lock") == ["seed=0"]
