"""The folder of a run: what lies in it, who may write there, what a run in it was started with, how one is stopped."""
from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import glob
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpyvae as nv

from ..arguments import counted, did_you_mean_file
from ..files.regular import missing, one_line, remove_empty, written_whole
from ..report.summary import as_typed, more_options
from .common import CHECKPOINT, MODEL, READING, flag, given, runs_near, say, with_or_without, write_json

SAVED = (MODEL, CHECKPOINT)    # the first files that training writes: with one of them it has got somewhere
# All that belong to a run; the star stands for other data that it was evaluated on.
FILES = (*SAVED, "log.csv", "metrics.json", "evaluation.json", "evaluation-*.json", "report.html", "run.json")
ASIDE = ".replaced"    # in the folder: the run that --overwrite replaces, until the new one has saved something
NOT_OF_RUN = ("run", "json", "resume", "typed", "overwrite", "open", "command")    # what run.json leaves out
# Options that may differ when a run is resumed: the data may have moved, and are known by their checksum.
GOES_ON_WITH = {"epochs", "patience", "checkpoint_every", "data", "data_dir", "test", "out"}


class Folder:
    """The folder of a run, for us alone inside its `with` block.

    resumed   : whether the run in it goes on
    overwrite : whether a run that it holds may be replaced

    A run that fails before it has saved anything leaves no trace: its files go, and the folders that were made for it,
    and the run that it was to replace comes back.

    Raises ValueError where another process trains in it, or it holds a run and nobody asked to overwrite it; OSError
    where it cannot be written.
    """

    def __init__(self, out: str, resumed: bool, overwrite: bool):
        self.out, self.resumed, self.overwrite = out, resumed, overwrite
        import filelock    # where there are no locks, as in a browser, it warns, and only runs need one
        self.lock = filelock.FileLock(os.path.join(out, ".lock"))
        self.made: list[str] = []
        self.was_locked_before = self.begun = False

    def __enter__(self) -> Folder:
        self.made = missing(self.out)
        self.was_locked_before = os.path.exists(self.lock.lock_file)
        make_folder(self.out)
        try:
            self.lock.acquire(timeout=0)
        except TimeoutError:
            raise ValueError(f"--out is {self.out!r}, which another numpyvae train is using; wait for it to end, or "
                             "choose another folder") from None
        for name in FILES:    # left over by a run that was killed while saving
            for left in glob.glob(os.path.join(glob.escape(self.out), f"{name}*.part")):
                os.unlink(left)
        if not self.resumed:
            self._bring_back()    # what a run that was killed as it began had put aside
            try:
                self._refuse_to_overwrite()
            except ValueError:
                self.lock.release()
                raise
        return self

    def begin(self, options: argparse.Namespace) -> None:
        """Record what the run is to do, and put aside the run that it replaces."""
        if not self.resumed:
            self.begun = True
            self._put_aside()
        write_json(self._path("run.json"), {name: value for name, value in vars(options).items()
                                            if name not in NOT_OF_RUN})

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        failed = kind is not None and not self._holds(SAVED)
        if failed and self.begun:
            self._remove(FILES)
        if self.begun or not failed:
            self._bring_back()
        self.lock.release()
        if failed and not self._holds(FILES):
            if not self.was_locked_before:
                self._remove([".lock"])
            remove_empty(self.made)

    def _path(self, *names: str) -> str:
        return os.path.join(self.out, *names)

    def _holds(self, names: Sequence[str]) -> list[str]:
        return [path for name in names for path in sorted(glob.glob(name, root_dir=self.out))]

    def _remove(self, names: Sequence[str]) -> None:
        for name in self._holds(names):
            os.unlink(self._path(name))

    def _refuse_to_overwrite(self) -> None:
        found = self._holds(FILES)
        if self.overwrite or not found:
            return
        if "run.json" not in found:
            raise ValueError(f"--out is {self.out!r}, which holds a file {found[0]} that the run would replace; "
                             "expected another folder, or --overwrite to replace it")
        finished = "metrics.json" in found
        again = "" if finished else f", --resume {as_typed(self.out)} to go on with that one"
        raise ValueError(f"--out is {self.out!r}, which holds a run{'' if finished else ' that has not finished'}; "
                         f"expected another folder{again}, or --overwrite to replace it")

    def _put_aside(self) -> None:
        """What was saved first: a kill between two files then finds no sign of a new run, and all of it comes back."""
        for name in self._holds(FILES):
            os.makedirs(self._path(ASIDE), exist_ok=True)
            os.replace(self._path(name), self._path(ASIDE, name))

    def _bring_back(self) -> None:
        """What was put aside, unless the new run has saved something: then the old one goes."""
        if not os.path.isdir(self._path(ASIDE)):
            return
        if not self._holds(SAVED):
            for name in os.listdir(self._path(ASIDE)):
                os.replace(self._path(ASIDE, name), self._path(name))
        shutil.rmtree(self._path(ASIDE), ignore_errors=True)


def make_folder(path: str) -> None:
    """Find out before an hour of training, not after it, whether the run can be written."""
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "w"):
            pass
        os.unlink(probe)
    except FileExistsError as error:
        raise FileExistsError(f"--out is {path!r}, which is a file; expected the name of a folder") from error
    except (OSError, ValueError) as error:    # ValueError: a null byte in the name
        raise OSError(f"--out is {path!r}, which cannot be written ({getattr(error, 'strerror', error)}); "
                      "choose a folder that you can write to") from error


def refuse_inside_data(out: str, options: argparse.Namespace) -> None:
    """Raises ValueError where the run would lie among the pictures that it reads, and be read as one of them."""
    for name in ("data", "test"):
        path = getattr(options, name)
        if path is None or not os.path.isdir(path):
            continue
        folder, inner = os.path.realpath(path), os.path.realpath(out)
        if inner == folder or inner.startswith(os.path.join(folder, "")):
            raise ValueError(f"--out is {out!r}, inside the folder that {flag(name)} names, {path!r}, so the run's "
                             "pictures would be read as data the next time; expected a folder outside of it")


def read_json(path: str, take: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What a file of a run holds, as `take` makes it of the file's content.

    Raises FileNotFoundError or another OSError where there is none, ValueError where it is not what train wrote.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return take(json.load(file))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({one_line(repr(error))}); expected the file that numpyvae train "
                         "wrote") from error


def read_run(folder: str) -> dict[str, Any]:
    """run.json: the options that a run was started with.  Raises as read_json does."""
    def take(saved: Any) -> dict[str, Any]:
        os.fspath(saved["data"])
        return {"seed": 0, "patience": None, "data_dir": None, **saved, "epochs": int(saved["epochs"]),
                "lr_end": saved["lr_end"]}    # older runs had no patience
    return read_json(os.path.join(folder, "run.json"), take)


def read_metrics(folder: str) -> dict[str, Any]:
    """metrics.json: what a run wrote at its end.  Raises as read_json does."""
    def take(metrics: Any) -> dict[str, Any]:
        os.fspath(metrics["configuration"]["binarize"])
        for record in metrics["records"]:
            nv.Record.from_json(record)
        return {**metrics, "configuration": {**metrics["configuration"]}, "records": list(metrics["records"]),
                "epochs": int(metrics["epochs"])}
    return read_json(os.path.join(folder, "metrics.json"), take)


def options_of_run(folder: str) -> dict[str, Any] | None:
    """What the run in a folder was started with, or None where nothing tells.  Raises ValueError as read_json does."""
    for read in (read_run, lambda folder: read_metrics(folder)["configuration"]):
        with contextlib.suppress(FileNotFoundError):
            return read(folder)
    return None


def options_of(out: str, now: argparse.Namespace) -> argparse.Namespace:
    """The options that the run in the folder `out` was started with, and those that may differ in going on with it.

    Raises ValueError for any other that was typed and differs.
    """
    try:
        saved = read_run(out)
    except NotADirectoryError as error:
        beside = os.path.dirname(out) or "."
        meant = f": did you mean {beside!r}?" * os.path.exists(os.path.join(beside, "run.json"))
        raise NotADirectoryError(f"--resume is {out!r}, a file; expected the folder of a run that numpyvae train "
                                 f"started{meant}") from error
    except OSError as error:
        raise type(error)(f"--resume is {out!r}, but its run.json cannot be read ({error.strerror}); expected the "
                          "folder of a run that numpyvae train started"
                          f"{did_you_mean_file(out, runs_near(out, 'run.json'))}") from None
    then = argparse.Namespace(**{**vars(now), **dict.fromkeys(READING), **saved, "out": out,
                                 "data_dir": now.data_dir or saved["data_dir"]})
    for name in sorted(now.typed & set(saved) - GOES_ON_WITH):
        if getattr(now, name) != saved[name]:
            raise ValueError(f"{given(name, getattr(now, name))}, but the run in {out} was "
                             f"started {with_or_without(saved[name])}; expected the same, or none: --resume goes on "
                             "with what was begun")
    if now.overwrite:
        raise ValueError("--overwrite and --resume were given together; expected one of them: the first replaces a "
                         "run, the second goes on with it")
    if "out" in now.typed and os.path.realpath(now.out) != os.path.realpath(out):
        raise ValueError(f"--out is {now.out!r}, but --resume goes on in {out!r}; expected no --out")
    for name in ("epochs", "patience"):
        if name in now.typed:
            _refuse_less(name, getattr(now, name), saved, out)
    for name in now.typed & GOES_ON_WITH - {"data_dir", "out"}:    # those are taken above
        setattr(then, name, getattr(now, name))
    _say_that_it_has_finished(then)
    return then


def _refuse_less(name: str, asked: int, saved: dict[str, Any], out: str) -> None:
    """Raises ValueError where a run cannot go on with so many epochs, or so much patience, as if from the start."""
    before, falls = saved[name], name == "epochs" and saved["lr_end"] is not None
    if before is None:
        raise ValueError(f"{flag(name)} is {asked}, but the run in {out} was started without; expected none: the "
                         "weights of its best epoch were not kept")
    if asked < before or (asked > before and falls):
        why = ("" if asked < before else ": its learning rate falls over all of them (--lr-end), so more would change "
               "those that are done")
        raise ValueError(f"{flag(name)} is {asked}, but the run in {out} was started with {before}; expected "
                         f"{'at least ' * (not falls)}as many{why}")


def _say_that_it_has_finished(then: argparse.Namespace) -> None:
    """Where no more is asked for than the run has done, by what it wrote at its end."""
    try:
        metrics = read_metrics(then.out)
    except (OSError, ValueError):    # it has not ended
        return
    done, best = metrics["epochs"], metrics.get("best_epoch")
    more = more_options(done, then.epochs, then.patience, best)
    if more:
        ended = "finished its" if "--epochs" in more else "run out of patience after"
        say(f"the run in {then.out} has {ended} {counted(done, 'epoch')}; to train on, give more:{more}")


def write_log(out: str, records: Sequence[nv.Record]) -> None:
    """log.csv: a line for each epoch so far.

    Whole every time, so that a run that was killed and resumed has no line twice, and misses none.
    """
    lines = []
    for record in records:
        line = dataclasses.asdict(record) | {"validation": None}
        if record.validation is not None:
            line |= {f"validation_{name}": value for name, value in record.validation._asdict().items()}
        lines.append(line)
    names = ["epoch", "loss", "nll", "kl", "validation_loss", "validation_nll", "validation_kl", "seconds",
             "images_per_second", *(["best_epoch"] if records[-1].best_epoch is not None else [])]
    path = os.path.join(out, "log.csv")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    try:
        with written_whole(path) as file:
            file.write(text.getvalue().encode())
    except PermissionError:    # on Windows, while a spreadsheet shows it
        say(f"note: {path} is open in another program; close it, and the next epoch's line comes with this one's")


class Interrupt:
    """Inside its `with` block the first Ctrl-C asks training to stop after its step; the second stops it at once.

    After either, once the block has ended, the command ignores Ctrl-C while it prints its last lines and exits.

    Python drops an exception that is raised while it destroys an object, and prints its traceback.  If a second Ctrl-C
    is lost this way, we print nothing: the first one still stops training after its step.  Nor do we print a later
    AttributeError or ValueError: if the second Ctrl-C interrupts the making of an object or the writing of a zip file,
    that object is destroyed half made, or that file closed half written.
    """

    def __enter__(self) -> Interrupt:
        self.requested = self.stopped = False
        self.before, self.report_before = signal.signal(signal.SIGINT, self._note), sys.unraisablehook
        sys.unraisablehook = self._report
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.requested:
            self.stopped = True
            raise KeyboardInterrupt
        self.requested = True
        say("numpyvae: stopping after this step; Ctrl-C again stops at once")

    def _report(self, dropped: Any) -> None:
        half_made = self.stopped and dropped.exc_type in (AttributeError, ValueError)
        if dropped.exc_type is not KeyboardInterrupt and not half_made:
            self.report_before(dropped)

    def is_requested(self) -> bool:
        return self.requested

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if self.requested else self.before)
        if not self.stopped:    # a half-made object may be destroyed later
            sys.unraisablehook = self.report_before
