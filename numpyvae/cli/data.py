"""Which data a command looks at: those that its options name, or those that a run was trained on."""
from __future__ import annotations

import argparse
import contextlib
import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import numpyvae as nv

from ..datasets import BUILT_IN, DataSet, load_dataset
from ..datasets.contents import OPTIONS, listed
from ..files.regular import one_line
from .common import READING, flag, given, say, width_and_height
from .runs import options_of_run


def add_data(parser: argparse.ArgumentParser, default: str | None = "strokes") -> None:
    """The options that name data; default None stands for those of a run."""
    data = parser.add_argument_group("data")
    own = " (default: as the run's own)" * (default is None)
    data.add_argument("--data", type=os.path.expanduser, default=default, metavar="NAME|PATH",
                      help=f"{', '.join(BUILT_IN)}, a .npy, .npz, IDX or .csv file, or a folder or zip file of pictures"
                           + " (default: the run's own)" * (default is None))
    data.add_argument("--test", type=os.path.expanduser, default=None, metavar="PATH",
                      help="images to test on (default: the data's own test set, or one image in ten)"
                      if default else "images to test on, beside --data")
    data.add_argument("--colour", "--color", action="store_true", help=f"keep the colours of pictures{own}")
    data.add_argument("--size", type=width_and_height, default=None, metavar="N",
                      help=f"crop and resize pictures to N x N pixels; 64x48 is 64 wide and 48 high{own}")
    data.add_argument("--array", default=None, metavar="NAME", help=f"the array of images in an .npz file{own}")
    data.add_argument("--label-array", default=None, metavar="NAME",
                      help=f"the array of labels in an .npz file, or a table's column of labels{own}")
    data.add_argument("--transpose", action="store_true",
                      help=f"exchange rows and columns: EMNIST's files need it{own}")
    data.add_argument("--data-dir", type=os.path.expanduser, default=None, metavar="DIR",
                      help="folder with the MNIST files (default: NUMPYVAE_DATA, then data/, or ~/.numpyvae of an "
                           "installed package)")


def load_data(options: argparse.Namespace, **how: Any) -> DataSet:
    """The data set that the options name; what was read is said on stderr.

    how : more arguments of load_dataset
    """
    data = read_data(options, **how)
    if data.said:
        say(data.said)
    return data


def read_data(options: argparse.Namespace, **how: Any) -> DataSet:
    """The same in silence."""
    given = {name: getattr(options, name) for name in READING}    # None in runs from before there were such options
    given |= {name: bool(given[name]) for name in ("colour", "transpose")}
    try:
        return load_dataset(options.data, options.data_dir, options.seed, **given, **how)
    except MemoryError:
        raise ValueError(f"there is not enough memory for what {options.data} holds; expected less of it, or, of "
                         "pictures, smaller ones (--size)") from None


def load_data_of_run(options: argparse.Namespace, folder: str, vae: nv.VAE,
                     known: dict[str, Any]) -> tuple[DataSet, bool]:
    """The data that a run was trained on, from wherever the command is called, or those that --data names instead.

    Those are read as the run's own were, where nothing else is typed, and their labels are the numbers of the classes
    of the same names.  All of them are test images, unless they have a test set, or are the run's own in another place.

    known : what known_of_run returned

    Returns the data, and whether they are the run's own.  Raises ValueError where these have changed, or where the
    model cannot take the others.
    """
    if "data" not in options.typed:
        return _own_data(options, folder), True
    _refuse_data_dir(options, options.data)
    saved = known if vae.n_classes is None else options_of_run(folder) or {}    # which tells the names of classes
    classes = None if vae.n_classes is None else _classes(options, saved, vae.n_classes)
    inherited = [name for name in OPTIONS if name not in options.typed and saved.get(name)]
    now = argparse.Namespace(**{**vars(options), **{name: saved[name] for name in inherited},
                                "seed": saved.get("seed", options.seed)})
    data = load_data(now, hold_out=False, classes=classes, passed_over=inherited or None)
    check_fits(vae, data, saved)
    if vae.n_classes is not None and data.test_labels is None:
        raise ValueError(f"the model was trained with labels, but {data.name} has none; expected data with labels: a "
                         f"folder for each class, named {listed(classes or ())}, or labels beside the images")
    own = _as_own(data, now, saved, classes)
    if own is not None:
        say(f"note: {one_line(options.data)} holds the run's own data")
    return own or data, own is not None


def _own_data(options: argparse.Namespace, folder: str) -> DataSet:
    """The data that a run was trained on, where it found them."""
    for name in READING:
        if name in options.typed:
            raise ValueError(f"{given(name, getattr(options, name))}, but without --data the run's own data are read "
                             "as in training; expected --data too")
    saved = options_of_run(folder)
    if saved is None:
        raise FileNotFoundError(f"{folder or '.'} has no run.json, which tells what the model was trained on; name the "
                                "data with --data")
    as_in_training = _as_in_training(options, saved)
    _refuse_data_dir(options, as_in_training.data)
    refuse_if_gone(as_in_training)
    data = load_data(as_in_training)
    if saved.get("checksum") not in (None, checksum(data)):    # runs of version 0.1.0 have none
        raise has_changed(saved["data"])
    return data


def _refuse_data_dir(options: argparse.Namespace, data: str) -> None:
    """Raises ValueError where --data-dir was typed and the data are not looked for there."""
    if "data_dir" in options.typed and data != "mnist":
        raise ValueError(f"{given('data_dir', options.data_dir)}, which has no effect on {one_line(data)}; expected "
                         "none, as only mnist is looked for there")


def _as_in_training(options: argparse.Namespace, saved: dict[str, Any]) -> argparse.Namespace:
    """The options that say which data a run read, and how."""
    return argparse.Namespace(**{name: saved.get(name) for name in ("data", "seed", *READING)},
                              data_dir=options.data_dir or saved.get("data_dir"))


def _classes(options: argparse.Namespace, saved: dict[str, Any], n: int) -> list[str]:
    """The names of a run's n classes, those that have none by their numbers; for a run from before names were kept
    they are those of its own data."""
    names = saved.get("classes")
    if "classes" not in saved:
        try:
            names = read_data(_as_in_training(options, saved)).classes
        except (ValueError, TypeError, OSError):
            say(f"note: the run is from before the names of classes were kept, and its own data, {saved.get('data')}, "
                f"cannot be read to look them up: its classes are called 0 to {n - 1}")
    return list(names) if names and len(names) == n else [str(i) for i in range(n)]


def _as_own(data: DataSet, now: argparse.Namespace, saved: dict[str, Any],
            classes: list[str] | None) -> DataSet | None:
    """These data as the run was trained on them, if they are the same; else None."""
    if saved.get("checksum") is None:
        return None
    with contextlib.suppress(ValueError, OSError):    # they are too few, or do not go with the run's test set
        if saved.get("test") and now.test is None:
            data = read_data(argparse.Namespace(**{**vars(now), "test": saved["test"]}), classes=classes)
        elif not len(data.train):
            data = data.split(now.seed)
        if checksum(data) == saved["checksum"]:
            return data
    return None


def known_of_run(folder: str, is_needed: bool = False) -> dict[str, Any]:
    """What run.json tells; where it is damaged a command that can do without it says so and goes on."""
    try:
        return options_of_run(folder) or {}
    except (ValueError, OSError) as error:
        if is_needed:
            raise
        say(f"note: {error}")
        return {}


def check_fits(vae: nv.VAE, data: DataSet, saved: dict[str, Any]) -> None:
    """Raises ValueError where the data are not of the size, the shape or the columns that the model was trained on."""
    shape, called = data.test.shape[1:], f"--data is {data.name!r}"
    then = [n for n in saved.get("shape") or () if n != 1]
    if np.prod(shape) != vae.n_data or len(then) > 1 < len(shape) and then != [n for n in shape if n != 1]:
        trained = f"{vae.n_data}" + f" as {' x '.join(map(str, then))}" * (len(then) > 1)
        advice = ": see --size and --colour" * (data.thing == "image") or ": with the same columns"
        raise ValueError(f"{called}, with {' x '.join(map(str, shape))} numbers for each {data.thing}, but the model "
                         f"takes {trained}; expected {data.thing}s of the size that it was trained on{advice}")
    columns, others = list(saved.get("columns") or ()), list(data.columns or ())
    if columns and others and columns != others:
        missing = [name for name in columns if name not in others]
        what = f"lacks the columns {listed(missing)}" if missing else "has the columns in another order"
        raise ValueError(f"{called}, which {what}; expected those that the model was trained on, in the same order: "
                         f"{listed(columns)}")


def checksum(data: DataSet) -> str:
    """By which a run notices that its data have changed."""
    crc = 0
    for array in (data.train, data.test, data.train_labels, data.test_labels):
        if array is not None:
            crc = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(str(array.shape).encode(), crc))
    return f"{crc:08x}"


def refuse_if_gone(options: argparse.Namespace) -> None:
    """Raises FileNotFoundError where the data of a run have moved."""
    for name, path in paths_of(options):
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
    for name, path in paths_of(options):
        setattr(options, name, os.path.abspath(path))


def read_by(options: argparse.Namespace, known: dict[str, Any]) -> list[str | None]:
    """The files and folders of data that a run and a command read.

    known : what known_of_run returned
    """
    named = [*map(known.get, ("data", "test")), *(getattr(options, name, None) for name in ("data", "test"))]
    return [name for name in named if name not in BUILT_IN]


def paths_of(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The options that name files or folders of data, and these."""
    for name in ("data", "test", "data_dir"):
        path = getattr(options, name, None)
        if path is not None and not (name == "data" and path in BUILT_IN):
            yield name, path
