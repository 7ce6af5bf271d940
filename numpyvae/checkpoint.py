"""Arrays and a header in one .npz file.  The header is JSON, and nothing in a file is ever executed."""
from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from typing import Any

import numpy as np

FORMAT = 1


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a file so that `path` holds either what it held or the whole new content, never a part.

    Raises OSError where the folder cannot be written.
    """
    text = json.dumps({"format": FORMAT, **header})
    temporary = f"{os.fspath(path)}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a file that `write` made.

    Raises FileNotFoundError, or ValueError where the file is something else.
    """
    try:
        if not zipfile.is_zipfile(path) and os.path.exists(path):
            raise ValueError("it is no .npz file")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(bytes(arrays.pop("header")))
        if header["format"] != FORMAT:
            raise ValueError(f"it has format {header['format']}, this numpyvae reads format {FORMAT}")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist; train a model first, or check the path") from None
    except (KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no file that numpyvae saved ({error}); "
                         "train a model, or check the path") from error
    return header, arrays
