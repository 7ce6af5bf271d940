"""The command line.  Results go to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not all of one's own layer could be checked, 130 interrupted.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpyvae as nv

from .evaluate import add_evaluate
from .outputs import speak_any_code_page
from .parser import Parser
from .pictures import add_encode, add_reconstruct, add_sample
from .tools import add_bench, add_gradcheck, add_lessons
from .train import add_train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    speak_any_code_page()
    options = make_parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("numpyvae: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:    # the reader of our output has gone, as in `numpyvae ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ArithmeticError, MemoryError) as error:
        print(f"numpyvae: {error}", file=sys.stderr)
        return 1


def make_parser() -> Parser:
    parser = Parser(prog="numpyvae", description="A variational autoencoder from scratch.")
    parser.add_argument("--version", action="version", version=f"numpyvae {nv.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (add_train, add_evaluate, add_sample, add_reconstruct, add_encode, add_gradcheck, add_bench,
                add_lessons):
        add(commands)
    return parser
