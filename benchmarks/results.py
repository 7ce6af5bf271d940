"""Sections of RESULTS.md, each rewritten by the command that measured it."""
from __future__ import annotations

import os
import pathlib
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")
BLAS_CHOICE = "OPENBLAS_CORETYPE"    # if it is set, NumPy's BLAS does not choose its routines by the processor
HEAD = "# Results\n\nEvery section was written by the command that it names.\n"


def write_section(title: str, command: str, body: str, packages: Sequence[str] = ("numpy", "numba")) -> None:
    """Put a section into RESULTS.md, in place of an older one with the same title."""
    section = f"\n## {title}\n\n`{command}` on {machine(packages)}\n\n{body.strip()}\n"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    older = re.compile(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    text = older.sub(lambda _: section, text) if older.search(text) else text.rstrip("\n") + "\n" + section
    RESULTS.write_text(text, encoding="utf-8")
    print(section)


def title_with_blas(title: str) -> str:
    """The title, and which routines BLAS was told to use, so that sections for either choice can coexist."""
    chosen = os.environ.get(BLAS_CHOICE)
    return title + (f", BLAS told to take its routines for {chosen}" if chosen else "")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine(packages: Sequence[str]) -> str:
    """What the numbers were measured on: processor, cores, Python and the packages' versions."""
    versions = [f"{name} {metadata.version(name)}" for name in packages if _installed(name)]
    cores = len(os.sched_getaffinity(0))
    chosen = f", {BLAS_CHOICE}={os.environ[BLAS_CHOICE]}" if BLAS_CHOICE in os.environ else ""
    return f"{_processor()}, {cores} cores, Python {platform.python_version()}, {', '.join(versions)}{chosen}"


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
