"""Which exercises are done, remembered from one session to the next in tally.json in the data folder.

NUMPYVAE_TALLY=0 keeps it in memory alone, as tests and builds do.  A file that is damaged counts as empty; one that
cannot be written means that nothing is remembered, and no error.
"""
from __future__ import annotations

import contextlib
import json
import os
import pathlib

from ..datasets.mnist import data_folder
from ..files.regular import open_file, written_whole

NAME = "tally.json"
LARGEST = 100_000    # bytes; ours has some hundreds


class Tally:
    """The names of one lesson's exercises that are done."""

    def __init__(self, lesson: int):
        self.lesson = str(lesson)
        self.done: set[str] = set()    # in this session

    def add(self, name: str) -> None:
        self.done.add(name)
        self._write(self.remembered() | self.done)

    def reset(self) -> None:
        self.done.clear()
        self._write(set())

    def remembered(self) -> set[str]:
        """Those of earlier sessions, as far as the file is there and whole."""
        names = _read().get(self.lesson) if _is_on() else None
        return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()

    def _write(self, names: set[str]) -> None:
        if not _is_on() or names == self.remembered():
            return
        path = _path()
        text = json.dumps({**_read(), self.lesson: sorted(names)}, indent=1)
        with contextlib.suppress(OSError, ValueError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as file:
                file.write(f"{text}\n".encode())


def _is_on() -> bool:
    return os.environ.get("NUMPYVAE_TALLY") != "0"


def _path() -> pathlib.Path:
    return data_folder() / NAME


def _read() -> dict[str, object]:
    try:
        with open_file(_path(), "solve an exercise") as file:
            content = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
