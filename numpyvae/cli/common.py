"""What the commands share: arguments, and how they write results and progress."""
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import numpyvae as nv

from ..arguments import extent, shown, too_large
from ..datasets import DataSet, load_dataset
from ..files.regular import one_line, written_whole

SIZES = ("n", "samples", "batch_size", "hidden", "channels", "latent", "size")    # memory grows with these
READING = ("test", "colour", "size", "array", "label_array", "transpose")    # the options that say how data are read


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


def add_data(parser: argparse.ArgumentParser, default: str | None = "strokes") -> None:
    """The options that name data; default None stands for those of a run."""
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=os.path.expanduser, default=default, metavar="NAME|PATH",
                      help="strokes, mnist, a .npy, .npz, IDX or .csv file, or a folder or zip file of pictures"
                           + " (default: the run's own)" * (default is None))
    data.add_argument("--test", type=os.path.expanduser, default=None, metavar="PATH",
                      help="images to test on (default: the data's own test set, or one image in ten)")
    data.add_argument("--colour", "--color", action="store_true", help="keep the colours of pictures")
    data.add_argument("--size", type=width_and_height, default=None, metavar="N",
                      help="crop and resize pictures to N x N pixels; 64x48 is 64 wide and 48 high")
    data.add_argument("--array", default=None, metavar="NAME", help="the array of images in an .npz file")
    data.add_argument("--label-array", default=None, metavar="NAME",
                      help="the array of labels in an .npz file, or a table's column of labels")
    data.add_argument("--transpose", action="store_true",
                      help="exchange rows and columns: EMNIST's files need it")
    data.add_argument("--data-dir", type=os.path.expanduser, default=None, metavar="DIR",
                      help="folder with the MNIST files (default: NUMPYVAE_DATA, then data/)")


def load_data(options: argparse.Namespace) -> DataSet:
    """The data set that the options name; what was read is said on stderr."""
    given = {name: getattr(options, name) for name in READING}    # None in runs from before there were such options
    given |= {name: bool(given[name]) for name in ("colour", "transpose")}
    given["hold_out"] = getattr(options, "hold_out", True)
    try:
        data = load_dataset(options.data, options.data_dir, options.seed, **given)
    except MemoryError:
        raise ValueError(f"there is not enough memory for the images of {options.data}; expected fewer of them, or "
                         "smaller ones (--size)") from None
    if data.said:
        say(data.said)
    return data


def load_data_of_run(options: argparse.Namespace, folder: str) -> DataSet:
    """The data that a run was trained on, from wherever the command is called, or those that --data names instead.

    Raises ValueError where they have changed.
    """
    if "data" in options.typed:
        return load_data(options)
    for name in READING:
        if name in options.typed:
            raise ValueError(f"{flag(name)} is {shown(getattr(options, name))}, but without --data the "
                             "run's own data are read as in training; expected --data too")
    saved = options_of_run(folder)
    if saved is None:
        raise FileNotFoundError(f"{folder or '.'} has no run.json, which tells what the model was trained on; name the "
                                "data with --data")
    as_in_training = argparse.Namespace(**{name: saved.get(name) for name in ("data", "seed", *READING)},
                                        data_dir=options.data_dir or saved.get("data_dir"))
    refuse_if_gone(as_in_training)
    data = load_data(as_in_training)
    if saved.get("checksum") not in (None, checksum(data)):    # runs of version 0.1.0 have none
        raise has_changed(saved["data"])
    return data


def options_of_run(folder: str) -> dict[str, Any] | None:
    """What the run in a folder was started with, or None where nothing tells."""
    for name in ("run.json", "metrics.json"):
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                saved = json.load(file)
            saved = {"seed": 0, **saved.get("configuration", saved)}
            os.fspath(saved["data"])
            return saved
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{os.path.join(folder, name)} cannot be read ({error!r}); expected the file that "
                             "numpyvae train wrote: name the data with --data") from error
    return None


def checksum(data: DataSet) -> str:
    """By which a run notices that its data have changed."""
    crc = 0
    for array in (data.train, data.test, data.train_labels, data.test_labels):
        if array is not None:
            crc = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(str(array.shape).encode(), crc))
    return f"{crc:08x}"


def refuse_if_gone(options: argparse.Namespace) -> None:
    """Raises FileNotFoundError where the data of a run have moved."""
    for name, path in _paths(options):
        if not os.path.exists(path):
            raise FileNotFoundError(f"the run's data, {one_line(path)}, are no longer there; name the place where they "
                                    f"are now with {flag(name)}")


def has_changed(data: str, is_named: bool = False) -> ValueError:
    if is_named:
        return ValueError(f"--data is {data!r}, which are not the images that the run was started with; expected the "
                          "same, wherever they are now, or a new run")
    return ValueError(f"{data} has changed since the run was started; expected the same images: bring them back, or "
                      "begin a new run")


def remember_paths(options: argparse.Namespace) -> None:
    """So that the run finds its data from any folder."""
    for name, path in _paths(options):
        setattr(options, name, os.path.abspath(path))


def _paths(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The options that name files or folders of data, and these."""
    for name in ("data", "test", "data_dir"):
        path = getattr(options, name)
        if path is not None and not (name == "data" and path in ("strokes", "mnist")):
            yield name, path


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=os.path.expanduser, metavar="RUN", help="folder of a run, or its model.npz")


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


def width_and_height(text: str) -> list[int]:
    """64 or 64x48, for argparse; a list, as JSON brings it back."""
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() and 1 <= int(side) <= 4096 for side in sides if len(side) < 9)
            and all(len(side) < 9 for side in sides)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64 or 64x48, of at most 4096")
    return [int(sides[0]), int(sides[-1])]


def _parse(text: str, kind: Callable[[str], Any], good: Callable[[Any], bool], expected: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not good(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return number
