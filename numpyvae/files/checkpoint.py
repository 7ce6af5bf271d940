"""Arrays and a header in one .npz file.  The header is JSON, and nothing in a file is ever executed."""
from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from .npz import open_npz
from .regular import FULL, one_line, written_whole

FORMAT = 2    # 1, up to numpyvae 0.1.0: a model as its constructor's name and arguments
NAMES = ("header", "values", "best", "order", "sums")    # and "optimizer. ...": anything else in a file is ignored
ADVICE = "give the path of a run's model.npz, or train a model first"


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a file so that `path` holds either its old content or all of the new, never a part.

    A crash or a power cut at any moment leaves a complete file: see written_whole.

    Raises OSError if it cannot be written, or the disk is full, and ValueError for no name.
    """
    if not os.fspath(path):
        raise ValueError("path is ''; expected the name of a file")
    text = json.dumps({"format": FORMAT, **header})
    try:
        with written_whole(path, flush=True) as file:
            np.savez(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
    except FileNotFoundError as error:
        folder = os.path.dirname(os.fspath(path))
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder!r}; make it first, "
                                f"os.makedirs({folder!r}), or choose another") from error
    except OSError as error:
        advice = ("its old content is intact: free some space, or choose another folder" if error.errno in FULL else
                  "give the name of a file in a folder that you can write to")
        raise OSError(f"{path} cannot be written ({error.strerror or error}); {advice}") from error
    except ValueError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error    # zipfile complains that an array is half written, and drops Ctrl-C
        raise


def read(path: str | os.PathLike[str], advice: str = ADVICE) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file that `write` made.

    advice : what to do about a file that is none, for the messages

    Raises FileNotFoundError or another OSError, or ValueError if the file is something else.
    """
    with open_npz(path, advice) as (names, read_array):
        arrays = {name: read_array(name) for name in names if name in NAMES or name.startswith("optimizer.")}
    try:
        if "header" not in arrays:
            raise ValueError("it has no header")
        text = arrays.pop("header")
        if text.dtype != np.uint8:    # bytes() of a number makes that many zeros
            raise ValueError(f"its header is {text.dtype}, not text")
        header = json.loads(text.tobytes())
        number = header["format"]
        if type(number) is not int or number < 1:
            raise ValueError(f"its format is {one_line(repr(number))}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a file that numpyvae saved ({one_line(error)}); {advice}") from error
    if number > FORMAT:
        raise ValueError(f"{path} has format {number}, but this numpyvae reads only up to {FORMAT}; upgrade numpyvae: "
                         "a newer version wrote it")
    return header, arrays
