"""numpyvae gradcheck, numpyvae bench, numpyvae lessons"""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import Any

from ..arguments import pip_line, shown
from ..files.carried import PACKAGE, carried
from ..files.regular import written_whole
from .common import given, port, say

NOT_ALL_CHECKED = 3    # exit code: nothing is wrong, but not all could be checked
LESSONS = "numpyvae-lessons"
FIRST = "00_the_whole_game.ipynb"


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
        "bench", help="time a training step against PyTorch and JAX, where installed", example="numpyvae bench",
        description=f"Time a training step, its matrix products alone, PyTorch and JAX in turn ({pip_line('bench')}).  "
                    "In a checkout the table goes into benchmarks/RESULTS.md.")
    bench.set_defaults(run=run_bench)


def add_lessons(commands: Any) -> None:
    lessons = commands.add_parser(
        "lessons", help="open the lessons in JupyterLab",
        example="numpyvae lessons\nnumpyvae lessons --solved --dir ~/vae --no-browser --port 8890",
        description="Copy the lessons' notebooks to a folder, and open the first there in JupyterLab "
                    f"({pip_line('lessons')}).  A notebook that is there already is yours, and stays as it is.")
    lessons.set_defaults(run=run_lessons)
    lessons.add_argument("--dir", type=os.path.expanduser, default=LESSONS, metavar="DIR",
                         help="folder for your copies")
    lessons.add_argument("--solved", action="store_true", help="the solved lessons too, in DIR/solved, and open those")
    lessons.add_argument("--port", type=port, default=None, metavar="N",
                         help="of JupyterLab (default: 8888, or the next that is free)")
    lessons.add_argument("--no-browser", action="store_true", help="print the address rather than open a browser")


def run_gradcheck(options: argparse.Namespace) -> int:
    """numpyvae gradcheck"""
    for name in ("component", "method"):
        if options.own and name in options.typed:
            raise ValueError(f"{given(name, getattr(options, name))}, which has no effect on a layer of your own, "
                             f"{shown(options.own)}; expected none")
    if options.component == "":    # as from a variable of the shell that is not set
        raise ValueError("--component is ''; expected part of a component's name, or no --component for all")
    if options.own == "":
        raise ValueError("FILE.py:NAME is ''; expected a layer such as my_layer.py:MyLayer, or nothing for our own")
    from ..gradcheck import check, gradcheck
    with contextlib.redirect_stdout(sys.stderr):    # what somebody's layer prints is not our result
        report = check(options.own) if options.own else gradcheck(options.component, options.method)
    print(json.dumps(report.as_dict()) if options.json else report)
    if report.verdict == "not all checked":
        return NOT_ALL_CHECKED
    return 0 if report.ok else 1


def run_bench(options: argparse.Namespace) -> int:
    """numpyvae bench"""
    missing = [name for name, module in (("PyTorch", "torch"), ("JAX", "jax")) if not _is_there(module)]
    if missing:
        say(f"note: without {' and '.join(missing)}, which {pip_line('bench')} brings")
    folder = carried("benchmarks")
    if not folder.is_dir():
        raise OSError(f"the folder benchmarks/ is neither in the package at {PACKAGE} nor beside it; expected an "
                      "installed package or a checkout: install numpyvae anew")
    package = "numpyvae.benchmarks" if folder.parent == PACKAGE else "benchmarks"
    return subprocess.call([sys.executable, "-m", f"{package}.step"],
                           cwd=None if folder.parent == PACKAGE else folder.parent)


def run_lessons(options: argparse.Namespace) -> int:
    """numpyvae lessons"""
    if not _is_there("jupyterlab"):
        raise OSError(f"JupyterLab is not installed, so the lessons cannot be opened; {pip_line('lessons')}")
    if options.port is not None and not _is_free(options.port):
        raise ValueError(f"--port is {options.port}, which another program uses; expected one that is free")
    folder = copy_lessons(options.dir, options.solved)
    first = f"solved/{FIRST}" if options.solved else FIRST
    return subprocess.call([sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}",
                            f"--LabApp.default_url=/lab/tree/{first}",    # the address that it prints, too
                            *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
                            *([f"--port={options.port}"] if options.port is not None else []),
                            *(["--no-browser"] if options.no_browser else [])], cwd=folder)


def copy_lessons(folder: str, solved: bool) -> pathlib.Path:
    """Copy the learner's notebooks, or the solved ones too, where the folder has none of that name yet.

    Returns the folder, as a whole path.  Raises ValueError where it is none, OSError where nothing can be written.
    """
    if not folder or "\0" in folder or os.path.exists(folder) and not os.path.isdir(folder):
        raise ValueError(f"--dir is {shown(folder)}; expected the name of a folder, such as {LESSONS}")
    source, target = carried("lessons"), pathlib.Path(folder).absolute()
    paths = sorted(source.glob("[0-9]*.ipynb")) + (sorted((source / "solved").glob("[0-9]*.ipynb")) if solved else [])
    if not paths:
        raise OSError(f"the folder lessons/ is neither in the package at {PACKAGE} nor beside it; expected an "
                      "installed package or a checkout: install numpyvae anew")
    new = [path for path in paths if not (target / path.relative_to(source)).exists()]
    for path in new:
        copy = target / path.relative_to(source)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(copy) as file:
                file.write(path.read_bytes())
        except OSError as error:
            raise OSError(f"--dir is {folder!r}, which cannot be written ({error.strerror or error}); choose a folder "
                          "that you can write to") from error
    kept = f", kept {len(paths) - len(new)} that were there" if len(new) < len(paths) else ""
    say(f"copied {len(new)} notebooks to {folder}{kept}")
    return target


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":    # a server that has just ended does not hold its port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
