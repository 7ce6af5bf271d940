"""Files: only regular ones are read, never anything that could block or have no end; all are written whole or not."""
from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)    # what happens to a disk while it is written


def open_file(path: str | os.PathLike[str], advice: str) -> BinaryIO:
    """The file, opened for reading.

    advice : what to do if there is none, for the message

    Raises FileNotFoundError, PermissionError or another OSError if it cannot be opened, ValueError for a folder, a
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
    except OSError as error:    # no permission, a name that is too long, circular links
        raise type(error)(f"{path} cannot be opened ({error.strerror}); {advice}") from None


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str], flush: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at this path once it is complete.

    flush : also to disk, and the folder after the renaming: a power cut at any moment leaves a complete file
    """
    part = f"{os.fspath(path)}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            yield file
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
        if flush:
            _flush_folder(os.path.dirname(os.path.abspath(path)))
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:    # of a full disk it would name no file
            error.filename = os.fspath(path)
        with contextlib.suppress(OSError, ValueError):    # ValueError: a null byte in the name
            os.unlink(part)
        raise


def missing(path: str | os.PathLike[str]) -> list[str]:
    """This folder and those above it that do not exist yet, the innermost first."""
    folders = [os.path.abspath(path)]
    while not os.path.exists(os.path.dirname(folders[-1])):
        folders.append(os.path.dirname(folders[-1]))
    return [] if os.path.exists(path) else folders


def remove_empty(folders: Iterable[str]) -> None:
    """Remove folders that were made for something that has failed, as `missing` returned them."""
    for folder in folders:
        with contextlib.suppress(OSError):    # somebody else has put something into it
            os.rmdir(folder)


def _flush_folder(path: str) -> None:
    """The renaming is stored in the folder.  Windows cannot open folders, and flushes them by itself."""
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def in_words(error: OSError) -> str:
    """What the operating system refused, as the package's own errors say it; of one of those, its words."""
    if error.errno is None or (error.filename is None and error.errno not in FULL):
        return str(error)
    what = "the output" if error.filename is None else one_line(os.fsdecode(error.filename))
    if error.errno in FULL:
        return (f"{what} cannot be written ({error.strerror}); expected space for it: free some, or choose another "
                "place")
    return f"{what} cannot be used ({error.strerror}); expected a place that you can read and write"


def one_line(error: BaseException | str) -> str:
    """An error's message as one line of at most 500 characters: it may quote anything that the file holds."""
    return "".join(c if c.isprintable() else " " for c in str(error))[:500]
