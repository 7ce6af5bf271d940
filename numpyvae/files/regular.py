"""Opening a file that somebody names: only a file is read, and never something that may wait or go on for ever."""
from __future__ import annotations

import os
import stat
from typing import BinaryIO


def open_file(path: str | os.PathLike[str], advice: str) -> BinaryIO:
    """The file, to be read.

    advice : what to do where there is none, for the message

    Raises FileNotFoundError, PermissionError or another OSError where it cannot be opened, ValueError for a folder, a
    device or a pipe: /dev/zero has no end, and opening a pipe waits until somebody writes into it.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise ValueError(f"{path} is {kind}; expected a file: {advice}")
        return open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist; {advice}") from None
    except OSError as error:    # no permission, a name that is too long, links in a circle
        raise type(error)(f"{path} cannot be opened ({error.strerror}); {advice}") from None


def one_line(error: BaseException | str) -> str:
    """What an error says, in one line of at most 500 characters: it may quote from the file whatever that holds."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:500]
