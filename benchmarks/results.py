"""Sections of RESULTS.md, each rewritten by the command that measured it."""
from __future__ import annotations

import json
import os
import pathlib
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from numpyvae.files.regular import written_whole
from numpyvae.kernels.processor import THREADS, threads

RUNS = pathlib.Path("runs")
SEEDS = range(5)    # of figures that depend on one
RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")
BLAS_CHOICE = "OPENBLAS_CORETYPE"    # if it is set, NumPy's BLAS does not choose its routines by the processor


def write_section(title: str, command: str, body: str, packages: Sequence[str] = ("numpy", "numba")) -> None:
    """Print a section, and put it into RESULTS.md, in place of an older one with the same title.

    A wheel has no such file; there it is only printed.
    """
    section = f"\n## {title}\n\n`{command}` on {machine(packages)}\n\n{body.strip()}\n"
    print(section)
    if not RESULTS.exists():
        return
    text = RESULTS.read_text(encoding="utf-8")
    older = re.compile(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    text = older.sub(lambda _: section, text) if older.search(text) else text.rstrip("\n") + "\n" + section
    RESULTS.write_text(text, encoding="utf-8")


def title_with_choices(title: str) -> str:
    """The title, which routines BLAS was told to use, and whether a second thread of ours helped, so that sections for
    each choice can coexist."""
    chosen = os.environ.get(BLAS_CHOICE)
    return (title + (f", BLAS told to take its routines for {chosen}" if chosen else "")
            + (", on a second thread of ours" if threads() == 2 else ""))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def once(name: str, measure: Callable[[], Any]) -> Any:
    """What `measure` returns, kept in runs/NAME.json: a command that was stopped goes on where it was.

    A line in the folder's progress.txt says when.  To measure again, delete the file.
    """
    path = RUNS / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        found = json.dumps(measure())
        with open(path.parent / "progress.txt", "a", encoding="utf-8") as progress:
            print(f"{time.strftime('%H:%M:%S')} {path.stem}: {time.perf_counter() - start:.0f} s", file=progress)
        with written_whole(path) as file:
            file.write(found.encode())
    return json.loads(path.read_text(encoding="utf-8"))


def with_spread(values: Sequence[float], form: str) -> str:
    """mean ± standard deviation over seeds, each in this form; the sample's (N - 1), as a guess at other seeds'."""
    return f"{np.mean(values):{form}} ± {np.std(values, ddof=1):{form}}"


def machine(packages: Sequence[str]) -> str:
    """What the numbers were measured on: processor, cores, Python and the packages' versions."""
    versions = [f"{name} {metadata.version(name)}" for name in packages if _installed(name)]
    cores = len(os.sched_getaffinity(0))
    chosen = [f"{name}={os.environ[name]}" for name in (BLAS_CHOICE, THREADS) if name in os.environ]
    return ", ".join([f"{_processor()}, {cores} cores, Python {platform.python_version()}", *versions, *chosen])


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    if sys.platform == "linux":
        facts = dict(re.findall(r"(.*?)\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()))
        if "model name" in facts:    # a rented machine's name may say no more than "AMD EPYC"; its family and model do
            return f"{facts['model name']} (family {facts.get('cpu family')}, model {facts.get('model')})"
    return platform.processor() or platform.machine()
