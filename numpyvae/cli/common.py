"""What the commands share: arguments, and how they write results and progress."""
from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpyvae as nv


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="strokes", metavar="NAME|PATH",
                        help="strokes, mnist, a .npy, .npz or IDX file, or a folder of images")
    add_data_dir(parser)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", default=None, metavar="DIR",
                        help="folder with the MNIST files (default: NUMPYVAE_DATA, then data/)")


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN", help="folder of a run, or its model.npz")


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="seed of every random draw")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def load_run(model: str) -> tuple[nv.VAE, str]:
    """The VAE of a run, and the run's folder."""
    path = os.path.join(model, "model.npz") if os.path.isdir(model) else model
    vae = nv.load(path)
    if not isinstance(vae, nv.VAE):
        raise ValueError(f"{path} holds a model of type {type(vae).__name__}; expected a VAE, as numpyvae train saves")
    return vae, os.path.dirname(path)


def write_json(path: str, content: dict[str, Any]) -> None:
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    os.replace(path + ".part", path)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    return _parse(text, int, lambda number: number >= 1, "a whole number of at least 1")


def count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return _parse(text, int, lambda number: number >= 0, "a whole number of at least 0")


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    return _parse(text, float, lambda number: 0 < number < math.inf, "a number above 0")


def not_negative(text: str) -> float:
    """A number of at least 0, for argparse."""
    return _parse(text, float, lambda number: 0 <= number < math.inf, "a number of at least 0")


def _parse(text: str, kind: Callable[[str], Any], good: Callable[[Any], bool], expected: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not good(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return number
