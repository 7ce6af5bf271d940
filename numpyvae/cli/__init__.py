"""The command line.  Results go to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not all of one's own layer could be checked, 130 interrupted.
"""
from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpyvae as nv

from ..arguments import did_you_mean
from ..files.regular import FULL, in_words
from .common import in_options, not_enough_memory, say
from .evaluate import add_evaluate
from .explore import add_explore
from .exports import add_export, add_import
from .info import add_info
from .outputs import open_closed_streams, speak_any_code_page
from .parser import Parser
from .pictures import add_encode, add_reconstruct, add_sample
from .sweep import add_sweep
from .tools import add_bench, add_gradcheck, add_lessons
from .train import add_train

# What people type, and what does it.
ELSEWHERE = {
    "version": "numpyvae --version",
    "fit": "numpyvae train",
    "generate": "numpyvae sample RUN",
    "test": "numpyvae evaluate RUN for a model, pytest for the package",
    "check": "numpyvae gradcheck",
    "notebook": "numpyvae lessons",
    "examine": "nv.examine(model, x=..., rng=...) in Python, where a VAE of your own can be handed over"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    open_closed_streams()
    speak_any_code_page()
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            with tidied_up_when_killed():
                return _run(_parsed(typed), typed)
        finally:
            sys.stdout.flush()    # here, where it is said if it fails
    except BrokenPipeError:    # the reader of our output has gone, as in `numpyvae ... | head`
        _drop_output()
        return 1
    except OSError as error:    # where the output goes, the disk is full
        _drop_output()
        print(f"numpyvae: {in_words(error)}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def tidied_up_when_killed() -> Iterator[None]:
    """A signal that ends us, from `kill` or a terminal that closes, goes through `finally` first: files half written
    go, and so do processes of ours."""
    def end(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)    # once is enough
        raise Killed(number)

    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in names if signal.getsignal(number) is signal.SIG_DFL
            and threading.current_thread() is threading.main_thread()]    # `nohup` ignores one; threads may set none
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    except Killed as killed:
        (number,) = killed.args
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)    # so that who waits for us sees what ended us
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


class Killed(BaseException):
    """By a signal, whose number it holds."""


def _drop_output() -> None:
    """What is left of it would raise again when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace, typed: Sequence[str]) -> int:
    options.command = shlex.join(["numpyvae", *typed])
    try:
        with warnings.catch_warnings():    # the line of code that gives one means nothing to who typed a command
            warnings.showwarning = lambda message, *_, **__: say(f"note: {in_options(str(message), options)}")
            return options.run(options)
    except KeyboardInterrupt:
        print("numpyvae: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(f"numpyvae: {not_enough_memory(options, error)}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None and error.errno in (errno.EPIPE, *FULL):    # of the output
            raise
        print(f"numpyvae: {in_options(in_words(error), options)}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, ArithmeticError, ImportError) as error:
        print(f"numpyvae: {in_options(str(error), options)}", file=sys.stderr)
        return 1


def make_parser() -> Parser:
    parser = Parser(prog="numpyvae", description="A variational autoencoder from scratch: train one, look at it, check "
                                                 "its gradients.",
                    example="numpyvae train\nnumpyvae train --data photos --colour --size 64\nnumpyvae sample RUN",
                    epilog="numpyvae COMMAND --help tells the options of a command.")
    parser.add_argument("--version", action="version", version=f"numpyvae {nv.__version__}",
                        help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog=parser.prog)
    for add in (add_train, add_evaluate, add_explore, add_sample, add_reconstruct, add_encode, add_export, add_import,
                add_sweep, add_gradcheck, add_bench, add_lessons, add_info):
        add(commands)
    parser.commands = list(commands.choices)
    return parser


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one command; leaves the program where they are wrong."""
    parser = make_parser()
    known = parser.commands
    first = arguments[0] if arguments else ""
    command = next((word for word in arguments if word in known), None)
    if first == "help":
        return parser.parse_args([*arguments[1:], "--help"])
    if first in ELSEWHERE:
        parser.error(f"{first!r} is no command: use {ELSEWHERE[first]}")
    if first not in ("-h", "--help", "--version") and first != command and not did_you_mean(first, known):
        if command is None and first[:1] in ("", "-"):
            parser.error(f"there is no command; expected one of {', '.join(known)}"
                         f"{did_you_mean(first, ['--version', '--help'])}")
        if command is not None:
            parser.error(f"{first!r} stands before the command; expected it after: numpyvae {command} {first} ...")
    return parser.parse_args(arguments)
