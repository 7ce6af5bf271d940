"""What the repository holds beside the package, and a wheel inside it: the data set, the lessons, the benchmark."""
from __future__ import annotations

import os
import pathlib

PACKAGE = pathlib.Path(__file__).parents[1]


def carried(name: str) -> pathlib.Path:
    """The folder of this name in the wheel, or where there is none, in the checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def is_installed() -> bool:
    """Whether this is a wheel, which setup.py filled: no place to write to."""
    return (PACKAGE / "data").is_dir()


def kept() -> pathlib.Path:
    """The folder for what is kept between sessions: data/ of the checkout; of an installed package, ~/.numpyvae."""
    return pathlib.Path(os.path.expanduser("~/.numpyvae")) if is_installed() else carried("data")
