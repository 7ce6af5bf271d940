"""What the file of a sweep asks for: seeds, the settings that all of its runs share, and the grid of those that differ.

    seeds = [0, 1, 2]

    [train]                   # options of numpyvae train, without the dashes
    epochs = 20

    [grid]                    # every combination of these
    latent = [2, 10, 20]
    lr = [1e-3, 3e-3]
"""
from __future__ import annotations

import argparse
import itertools
import math
import os
import re
import tomllib
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from ..arguments import SEED, counted, did_you_mean, shown
from ..datasets import BUILT_IN
from ..files.regular import one_line, open_file
from .common import count, not_negative, positive, whole, width_and_height
from .parser import Parser
from .train import add_train

EXAMPLE = "seeds = [0, 1, 2], options of numpyvae train in [train], and lists of their values in [grid]"
NUMBERS = (whole, count, positive, not_negative)    # the types of options that take one
PATHS = ("data", "test", "data_dir")                # options that are found from the file's own folder
# Options of train that a sweep gives itself, or that concern one run alone.
NOT_OF_SWEEP = ("seed", "out", "resume", "overwrite", "open", "json", "help")
MOST = 100_000    # runs; more are a slip of the pen
LONGEST = 150     # characters of a folder's name


class Run(NamedTuple):
    """One run: the name of its folder, its values of the grid, its seed, and what to type after `numpyvae train`."""

    name: str
    setting: dict[str, Any]
    seed: int
    words: list[str]


class TrainParser(Parser):
    """The parser of `numpyvae train`, which raises ValueError where that leaves the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(re.sub(r"^argument [^:]*: ", "", message))


def train_parser() -> TrainParser:
    commands = TrainParser(prog="numpyvae").add_subparsers()
    add_train(commands)
    return commands.choices["train"]


def read_sweep(path: str) -> list[Run]:
    """The runs that a file asks for, setting after setting, each with all seeds.

    Raises FileNotFoundError or another OSError where it cannot be opened, ValueError that names the file and what is
    wrong in it.
    """
    with open_file(path, f"give one with {EXAMPLE}") as file:
        try:
            content = tomllib.loads(file.read().decode())
        except (ValueError, RecursionError) as error:    # of TOML or UTF-8
            raise ValueError(f"{one_line(path)} is not TOML ({one_line(error)}); expected {EXAMPLE}") from None
    try:
        return _runs(content, os.path.dirname(os.path.abspath(path)))
    except ValueError as error:
        raise ValueError(f"{one_line(path)}: {error}") from None


def _runs(content: dict[str, Any], folder: str) -> list[Run]:
    for name in content:
        if name not in ("seeds", "train", "grid"):
            raise ValueError(f"{shown(name)} is none of its entries; expected {EXAMPLE}"
                             f"{did_you_mean(name, ['seeds', 'train', 'grid'])}")
    seeds = _seeds(content.get("seeds"))
    known = {name[2:]: action for action in train_parser()._actions for name in action.option_strings}
    shared = {name: _words("train", known, name, value, folder) for name, value in _table(content, "train").items()}
    grid = _table(content, "grid")
    if not grid and "grid" in content:
        raise ValueError("[grid] is empty; expected a list of values for at least one option, or no [grid] for the "
                         "seeds alone")
    found = {name: _alternatives(known, name, values, folder) for name, values in grid.items()}
    _refuse_twice([known[name].dest for name in (*shared, *grid)])
    n = len(seeds) * math.prod(map(len, found.values()))
    if n > MOST:
        raise ValueError(f"[grid] and seeds make {counted(n, 'run')}; expected at most {MOST:,}")
    fixed = [word for words in shared.values() for word in words]
    runs = []
    for values in itertools.product(*found.values()):
        setting = {name: value for name, (value, _) in zip(found, values)}
        words = [word for _, typed in values for word in typed]
        runs += [Run(_folder_name({**setting, "seed": seed}), setting, seed, [*fixed, *words, f"--seed={seed}"])
                 for seed in seeds]
    return runs


def _seeds(seeds: Any) -> list[int]:
    if not (isinstance(seeds, list) and seeds and all(map(SEED.fits, seeds))):
        what = "there are no seeds" if seeds is None else f"seeds is {shown(seeds)}"
        raise ValueError(f"{what}; expected a list of whole numbers of at least 0, such as seeds = [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is {shown(seeds)}; expected each of them once")
    return seeds


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name} is {shown(table)}; expected a table, [{name}]")
    return table


def _alternatives(known: Mapping[str, argparse.Action], name: str, values: Any,
                  folder: str) -> list[tuple[Any, list[str]]]:
    """Each value of an option in the grid, with what to type for it."""
    _known("grid", known, name)
    if not isinstance(values, list) or not values:
        raise ValueError(f"[grid] {name} is {shown(values)}; expected a list of at least one value"
                         + ("" if isinstance(values, list) else ", or the option in [train]"))
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"[grid] {name} has {shown(value)} twice; expected each value once")
    return [(value, _words("grid", known, name, value, folder)) for value in values]


def _known(table: str, known: Mapping[str, argparse.Action], name: str) -> argparse.Action:
    if name not in known or (known[name].dest in NOT_OF_SWEEP):
        others = [one for one, action in known.items() if action.dest not in NOT_OF_SWEEP]
        if name in known:
            instead = ": the seeds stand in seeds = [0, 1, 2]" if name == "seed" else ""
            raise ValueError(f"[{table}] {name} is given, which numpyvae sweep sees to itself; expected none{instead}")
        raise ValueError(f"[{table}] {shown(name)[1:-1]} is no option of numpyvae train; expected one as it is typed, "
                         f"without the dashes{did_you_mean(name, others)}")
    return known[name]


def _words(table: str, known: Mapping[str, argparse.Action], name: str, value: Any, folder: str) -> list[str]:
    """What to type for an option of this value.  Raises ValueError where train would refuse it, or it is of the wrong
    type: text for a number, one number for a list."""
    action = _known(table, known, name)
    option = f"--{name}"
    if action.nargs == 0:
        fits, expected = isinstance(value, bool), "true or false"
        words = [option] * bool(value)
    elif action.nargs in ("*", "+"):
        fits = isinstance(value, list) and all(map(_is_number, value))
        expected = "a list of numbers, such as [400, 200]"
        words = [option, *map(str, value)] if fits else []
    elif action.type in NUMBERS:
        fits, expected, words = _is_number(value), "a number", [f"{option}={value}"]
    elif action.type is width_and_height:
        fits, expected = _is_number(value) or isinstance(value, str), 'a number, or text such as "64x48"'
        words = [f"{option}={value}"]
    else:
        fits, expected = isinstance(value, str), "text, in quotes"
        if fits and action.dest in PATHS and value not in BUILT_IN:
            value = os.path.join(folder, os.path.expanduser(value))
        words = [f"{option}={value}"]
    if not fits:
        raise ValueError(f"[{table}] {name} is {shown(value)}; expected {expected}")
    try:
        train_parser().parse_args(words)
    except ValueError as error:
        raise ValueError(f"[{table}] {name}: {error}") from None
    return words


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse_twice(names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"{name} is given twice; expected it in [train] or in [grid]")


def _folder_name(values: Mapping[str, Any]) -> str:
    """latent=2,lr=0.001,seed=0; with a checksum where characters that folders cannot have, or length, were lost."""
    plain = ",".join(f"{name}={in_short(value)}" for name, value in values.items())
    name = re.sub(r"[^\w.+=,-]+", "_", plain, flags=re.ASCII)
    return name if name == plain and len(name) <= LONGEST else f"{name[:LONGEST]},{zlib.crc32(plain.encode()):08x}"


def in_short(value: Any) -> str:
    """A value as a table and a folder's name show it."""
    if isinstance(value, list):
        return "-".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
