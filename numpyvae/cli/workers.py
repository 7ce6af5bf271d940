"""Where the runs of a sweep are trained: in processes of this machine, or on a Dask cluster.

Either has an Executor of concurrent.futures, to which `train` is submitted.  Where that runs, it starts `numpyvae
train` in a process of its own, in a folder that nobody else has, and returns the run's files: no disk need be shared.
"""
from __future__ import annotations

import html
import importlib.metadata
import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self

from ..arguments import pip_line
from ..files.carried import PACKAGE
from ..files.regular import one_line
from ..report.summary import as_typed
from .common import say

PACKAGES = ("numpyvae", "numpy", "numba")    # on whose versions the bits of a result depend
# One thread for each run, as Dask gives its workers: a run then learns the same bits wherever it is done.
ONE_THREAD = dict.fromkeys([f"{blas}_NUM_THREADS" for blas in ("OPENBLAS", "OMP", "MKL")] + ["VECLIB_MAXIMUM_THREADS"],
                           "1")
SECONDS = 5    # in which a scheduler has to answer

running: set[subprocess.Popen[str]] = set()
stopping = threading.Event()


class Outcome(NamedTuple):
    """What became of a run: its files, by name; or, where there are none, why, and whether it should be done again."""

    files: dict[str, bytes]
    seconds: float
    why: str = ""
    is_lost: bool = False    # its process was killed
    versions: dict[str, str | None] | None = None    # of what the bits depend on, where it was trained


def train(words: list[str], place: str) -> Outcome:
    """Train a run whose folder will be `place`, on the machine where this runs.

    words : what to type after `numpyvae train`
    """
    start, name = time.perf_counter(), os.path.basename(place)
    with tempfile.TemporaryDirectory(prefix="numpyvae-") as folder:
        folder = os.path.realpath(folder)
        command = [sys.executable, "-m", "numpyvae", "train", *words, f"--out={name}"]
        with subprocess.Popen(command, cwd=folder, env=_environment(), text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            running.add(process)
            if stopping.is_set():
                process.terminate()
            _, said = process.communicate()
            running.discard(process)
        seconds = time.perf_counter() - start
        if process.returncode:
            killed = f"its process was killed by signal {-process.returncode}" if process.returncode < 0 else ""
            last = (said.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            return Outcome({}, seconds, killed or last.removeprefix("numpyvae: "), bool(killed))
        return Outcome(_files(os.path.join(folder, name), place), seconds, versions=versions())


def _environment() -> dict[str, str]:
    """For `numpyvae train` in another folder: this package, the same data, one thread."""
    here = {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])}
    if data := os.environ.get("NUMPYVAE_DATA"):
        here["NUMPYVAE_DATA"] = os.path.abspath(data)
    return os.environ | ONE_THREAD | here


def _files(folder: str, place: str) -> dict[str, bytes]:
    """What a run has written; the commands in its report name the place where it will lie."""
    files = {}
    for entry in os.scandir(folder):
        if entry.is_file() and entry.name != ".lock":
            with open(entry.path, "rb") as file:
                files[entry.name] = file.read()
    here, there = (html.escape(as_typed(path)).encode() for path in (folder, place))
    files["report.html"] = files["report.html"].replace(here, there)
    return files


class Processes:
    """So many processes of this machine at a time."""

    where = "this machine"

    def __init__(self, jobs: int):
        self.jobs = jobs

    def __enter__(self) -> Self:
        stopping.clear()
        self.executor: Executor = ThreadPoolExecutor(self.jobs)    # a thread waits for each process
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            stopping.set()
            for process in list(running):
                process.terminate()
        self.executor.shutdown(cancel_futures=True)

    def compile(self, first_steps: Callable[..., None], *of_settings: list[Any]) -> None:
        """The sweep itself has taken the first steps, on this machine."""

    def check(self) -> None:
        """These processes are always there."""


class Cluster:
    """The workers of a Dask scheduler that runs already.

    Raises ValueError where Dask is not installed, nobody answers in a few seconds, there is no worker, or a worker has
    other versions of what the result depends on.
    """

    def __init__(self, address: str):
        self.address = address
        self.where = f"the cluster at {one_line(address)}"

    def __enter__(self) -> Self:
        try:
            from distributed import Client
            from distributed.comm.addressing import parse_address, parse_host_port
        except ImportError:
            raise ValueError(f"--dask is {self.address!r}, but Dask is not installed; "
                             f"{pip_line('dask')}") from None
        for name in ("distributed", "distributed.client"):    # what is amiss is said here, in a line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            scheme, place = parse_address(self.address)
            if scheme in ("tcp", "tls", "ws", "wss"):
                parse_host_port(place)    # a Client that it could not make would complain once more at its end
            self.client = _within(2 * SECONDS, lambda: Client(self.address, timeout=SECONDS, set_as_default=False))
        except Exception as error:    # of many kinds: no such host, no such protocol, silence, something else answers
            raise ValueError(f"--dask is {self.address!r}, where no Dask scheduler answers ({one_line(error)}); "
                             "expected the address that  dask scheduler  prints, such as "
                             "tcp://10.0.0.1:8786") from None
        try:
            self._check_versions()
        except BaseException:
            self.client.close()
            raise
        self.executor: Executor = self.client.get_executor(pure=False)
        self.was_empty = False
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self.executor.shutdown(wait=False)
        self.client.close()

    def _workers(self) -> dict[str, Any]:
        return dict(self.client.scheduler_info(n_workers=-1)["workers"])

    def _check_versions(self) -> None:
        if not self._workers():
            raise ValueError(f"--dask is {self.address!r}, a scheduler without workers; expected at least one, as  "
                             f"dask worker {self.address}  starts it")
        ours = versions()
        for worker, found in self.client.get_versions(packages=PACKAGES)["workers"].items():
            theirs = {name: found["packages"].get(name) for name in ours}
            theirs["python"] = ".".join(str(theirs["python"]).split(".")[:3])
            other = [f"{name} {theirs[name] or 'not installed'} (here {ours[name]})"
                     for name in ours if theirs[name] != ours[name]]
            if other:
                raise ValueError(f"--dask is {self.address!r}, whose worker {worker} has {', '.join(other)}; expected "
                                 "the same versions everywhere, so that a run learns the same wherever it is done")

    def compile(self, first_steps: Callable[..., None], *of_settings: list[Any]) -> None:
        """On one worker of each machine, as the others find the kernels in its cache."""
        hosts = {str(about.get("host", worker)): worker for worker, about in self._workers().items()}
        steps = [(worker, self.client.submit(first_steps, *of_settings, workers=[worker], pure=False))
                 for worker in hosts.values()]
        for worker, step in steps:
            try:
                step.result()
            except (ValueError, TypeError, OSError) as error:
                raise ValueError(f"the worker {worker} cannot train this: {one_line(error)}; expected the same data at "
                                 "the same place on every machine") from None

    def check(self) -> None:
        """Raises ConnectionError where the scheduler has gone; says so where no worker is left."""
        if self.client.status != "running":
            raise ConnectionError(f"the Dask scheduler at {self.address} has gone")
        is_empty = not self._workers()
        if is_empty and not self.was_empty:
            say(f"note: no worker is left at {self.address}; waiting for one, as  dask worker {self.address}  starts "
                "it")
        self.was_empty = is_empty


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """What a function returns; raises TimeoutError where it does not.  Dask's own limit does not hold where something
    listens that never says a word."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)
    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no word in {seconds} s") from None


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str | None]:
    """Of what the bits of a result depend on, here."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    """As Dask finds it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
