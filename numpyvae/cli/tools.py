"""numpyvae gradcheck, numpyvae bench, numpyvae lessons"""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import pathlib
import subprocess
import sys
from typing import Any

from ..arguments import shown
from .common import given

NOT_ALL_CHECKED = 3    # exit code: nothing is wrong, but not all could be checked


def add_gradcheck(commands: Any) -> None:
    gradcheck = commands.add_parser("gradcheck", help="check every gradient, or one of your own",
                                    description="Compare every backward pass with a numerical derivative.",
                                    example="numpyvae gradcheck --component Dense\n"
                                            "numpyvae gradcheck my_layer.py:MyLayer")
    gradcheck.set_defaults(run=run_gradcheck)
    gradcheck.add_argument("own", nargs="?", metavar="FILE.py:NAME",
                           help="your own layer, a class or an object, or a function f defined beside f_backward; the "
                                "exit code is 3 if nothing is wrong but not all could be checked")
    gradcheck.add_argument("--component", default=None, metavar="NAME",
                           help="only components whose name contains NAME")
    gradcheck.add_argument("--method", choices=["complex-step", "central-differences"], default=None,
                           help="only this method (default: both)")
    gradcheck.add_argument("--json", action="store_true", help="print the result as JSON")


def add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench", help="time a training step against PyTorch and JAX, where installed",
        description="Time a training step, its matrix products alone, PyTorch and JAX in turn (pip install -e "
                    "'.[bench]'); the table goes into benchmarks/RESULTS.md.", example="numpyvae bench")
    bench.set_defaults(run=run_bench)


def add_lessons(commands: Any) -> None:
    lessons = commands.add_parser(
        "lessons", help="open the lessons in JupyterLab", example="numpyvae lessons",
        description="Open lesson 0 in JupyterLab, which pip install -e '.[lessons]' installs.")
    lessons.set_defaults(run=run_lessons)


def run_gradcheck(options: argparse.Namespace) -> int:
    """numpyvae gradcheck"""
    for name in ("component", "method"):
        if options.own and name in options.typed:
            raise ValueError(f"{given(name, getattr(options, name))}, which has no effect on a layer of your own, "
                             f"{shown(options.own)}; expected none")
    from ..gradcheck import check, gradcheck
    with contextlib.redirect_stdout(sys.stderr):    # what somebody's layer prints is not our result
        report = check(options.own) if options.own else gradcheck(options.component, options.method)
    print(json.dumps(report.as_dict()) if options.json else report)
    if report.verdict == "not all checked":
        return NOT_ALL_CHECKED
    return 0 if report.ok else 1


def run_bench(options: argparse.Namespace) -> int:
    """numpyvae bench"""
    return subprocess.call([sys.executable, "-m", "benchmarks.step"], cwd=_checkout("benchmarks"))


def run_lessons(options: argparse.Namespace) -> int:
    """numpyvae lessons"""
    if importlib.util.find_spec("jupyterlab") is None:
        raise OSError("JupyterLab is not installed, so the lessons cannot be opened; pip install -e '.[lessons]'")
    first = _checkout("lessons") / "lessons" / "00_the_whole_game.ipynb"
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(first)])


def _checkout(folder: str) -> pathlib.Path:
    """The root of the checkout, which holds what the installed package does not."""
    root = pathlib.Path(__file__).parents[2]
    if not (root / folder).is_dir():
        raise OSError(f"the folder {folder}/ is not beside the package at {root}; clone the project and "
                      "pip install -e . there")
    return root
