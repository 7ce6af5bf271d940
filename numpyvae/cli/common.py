"""What the commands share: arguments, and how they write results and progress."""
from __future__ import annotations

import argparse
import glob
import json
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import numpyvae as nv

from ..arguments import (AT_LEAST_2, COUNT, NOT_NEGATIVE, POSITIVE, SEED, WHOLE, Kind, did_you_mean_file, extent,
                         shown, too_large)
from ..datasets.contents import OPTIONS
from ..files.regular import one_line, written_whole
from ..models.model import Model
from ..report.summary import as_typed

READING = ("test", *OPTIONS)    # the options that say how data are read
MODEL, CHECKPOINT = "model.npz", "checkpoint.npz"    # files of a run
SIZES = ("n", "samples", "batch_size", "hidden", "channels", "latent", "size")    # memory grows with these


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


def given(name: str, value: Any) -> str:
    """What was typed, at the beginning of a message."""
    return f"{flag(name)} is given" if value is True else f"{flag(name)} is {shown(value)}"


def in_options(text: str, options: argparse.Namespace) -> str:
    """A message from the library, which names its function and argument, with the option that was typed for it."""
    def as_option(match: re.Match[str]) -> str:
        name = match["python"] or match["name"]
        if name not in vars(options):
            return match[0]
        return f"{flag(name)} is given" if match["value"] else f"{flag(name)} {match['verb']}"
    return re.sub(r"^(?:[A-Za-z_.]+: )?(?:(?P<python>\w+) \(--[\w-]+\)|(?P<name>\w+)) (?P<verb>is|was)"
                  r"(?P<value>(?<=is) True(?=,))?(?= )?", as_option, text, count=1)


def with_or_without(value: Any) -> str:
    """What a run was started with, where it is not the same now."""
    return "with it" if value is True else "without" if value is False or value is None else f"with {shown(value)}"


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=os.path.expanduser, metavar="RUN",
                        help="folder of a run, its model.npz, or weights that numpyvae import brought there")


def add_common(parser: argparse.ArgumentParser, drawn: str = "seed of every random draw") -> None:
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help=drawn)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def imported(model: str) -> str | None:
    """What weights in a run's folder are called that `numpyvae import` brought; None for the run's own."""
    stem, _ = os.path.splitext(os.path.basename(model))
    return None if os.path.isdir(model) or f"{stem}.npz" == MODEL else stem


def named_after(model: str, name: str) -> str:
    """The name of a result: that of imported weights has theirs, and does not replace what the run's own model gave."""
    weights, (stem, suffix) = imported(model), os.path.splitext(name)
    return name if weights is None else f"{stem}-{weights}{suffix}"


def load_run(model: str) -> tuple[nv.VAE, str]:
    """The VAE of a run, and the run's folder."""
    vae, folder = load_model(model)
    if not isinstance(vae, nv.VAE):
        raise ValueError(f"{one_line(model)} holds a model of type {type(vae).__name__}; expected a VAE, as numpyvae "
                         "train saves")
    return vae, folder


def load_model(model: str, argument: str = "RUN") -> tuple[Model, str]:
    """The model of a run, an autoencoder too, and the run's folder."""
    if not os.path.isfile(model) and not os.path.isfile(os.path.join(model, MODEL)):
        raise _no_run(model, argument)
    return nv.load(model), model if os.path.isdir(model) else os.path.dirname(model)


def _no_run(model: str, argument: str) -> FileNotFoundError:
    """The error for a RUN without a model, with where there may be one."""
    if os.path.exists(os.path.join(model, CHECKPOINT)):
        return FileNotFoundError(f"{argument} is {model!r}, without a model yet; expected a run that has finished an "
                                 f"epoch: go on with it, numpyvae train --resume {as_typed(model)}")
    known = runs_near(model, MODEL)
    meant = did_you_mean_file(model, known) or (f": there is {one_line(known[-1])}" if known else
                                                ": train one first, numpyvae train")
    what = "a folder without a model.npz" if os.path.isdir(model) else f"but {one_line(model)} does not exist"
    return FileNotFoundError(f"{argument} is {model!r}, {what}; expected the folder of a run, or its "
                             f"model.npz{meant}")


def runs_near(path: str, file: str) -> list[str]:
    """The runs that hold this file, beside a path or in the folder that it names, and in runs/."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    found = (run for place in {folder, "runs"} for run in glob.glob(os.path.join(glob.escape(place), "*")))
    return sorted(run for run in found if os.path.exists(os.path.join(run, file)))


def not_enough_memory(options: argparse.Namespace, error: MemoryError) -> str:
    """What a command has no memory for, by the options that it depends on."""
    sizes = {f"{flag(name)} {' '.join(map(str, np.atleast_1d(value)))}":
             math.prod(value) if name == "size" else extent(value)
             for name, value in vars(options).items() if name in SIZES and value}
    return too_large(sizes, error)


def write_json(path: str, content: dict[str, Any]) -> None:
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=2).encode())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    return _parse(text, int, WHOLE)


def at_least_2(text: str) -> int:
    """A whole number of at least 2, for argparse."""
    return _parse(text, int, AT_LEAST_2)


def count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return _parse(text, int, COUNT)


def seed(text: str) -> int:
    """The same without an end, for argparse."""
    return _parse(text, int, SEED)


def port(text: str) -> int:
    """A port that a user may serve from, for argparse."""
    number = whole(text)
    if not 1024 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 1024 to 65535")
    return number


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    return _parse(text, float, POSITIVE)


def not_negative(text: str) -> float:
    """A number of at least 0, for argparse."""
    return _parse(text, float, NOT_NEGATIVE)


def width_and_height(text: str) -> list[int]:
    """64 or 64x48, for argparse; a list, as JSON brings it back."""
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() and 1 <= int(side) <= 4096 for side in sides if len(side) < 9)
            and all(len(side) < 9 for side in sides)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64 or 64x48, of at most 4096")
    return [int(sides[0]), int(sides[-1])]


def _parse(text: str, read: Callable[[str], Any], kind: Kind) -> Any:
    try:
        number = read(text)
    except ValueError:
        number = None
    if number is None or not kind.fits(number):
        expected, bracket, ends = kind.expected.partition(" (")    # the ends concern only who comes near them
        if number is not None and number > 0:
            expected += bracket + ends
        parts = text.replace(",", " ").split()
        hint = ": type a point, not a comma" if "," in text and read is float else (
            f": type several without commas or quotes, {' '.join(parts)}" if len(parts) > 1 else "")
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}{hint}")
    return number
