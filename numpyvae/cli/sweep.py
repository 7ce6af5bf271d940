"""numpyvae sweep: many runs of numpyvae train, for each seed and each combination of settings."""
from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from ..arguments import counted
from ..datasets import DataSet
from ..files.regular import missing, one_line, remove_empty, written_whole
from ..models.loading import load
from ..report import summary
from ..report import sweep as result
from . import workers
from .common import MODEL, READING, in_options, say, whole
from .data import read_data
from .runs import GOES_ON_WITH, NOT_OF_RUN, make_folder, read_metrics, read_run
from .sweep_file import Run, in_short, read_sweep, train_parser
from .train import check_run, take_first_step

ATTEMPTS = 3    # at a run whose process is killed, or whose worker is lost
LOOK = 2.0      # seconds after which we look whether the workers are still there
PART, REPLACED = ".part", ".replaced"    # folders that a sweep which was killed may leave
# What may differ between a run that is whole and the one that is asked for: its data may have moved.
MAY_DIFFER = {*NOT_OF_RUN, "commands", *GOES_ON_WITH} - {"epochs", "patience"}
TABLE = {"table": "sweep.md", "numbers": "sweep.csv", "figure": "sweep.png"}


def add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep", help="train many runs: seeds and combinations of settings, on cores or a cluster",
        example="numpyvae sweep vae.toml --jobs 2\nnumpyvae sweep vae.toml --dask tcp://10.0.0.1:8786",
        description="Train a run for each seed and each combination of settings that a file asks for:\n"
                    "\n  seeds = [0, 1, 2]\n\n  [train]                # options of numpyvae train, without dashes\n"
                    "  epochs = 20\n\n  [grid]                 # every combination of these\n  latent = [2, 10, 20]\n"
                    "  lr = [1e-3, 3e-3]\n\nWrite a table and a figure of the settings, with mean and sample deviation "
                    "over the seeds.",
        epilog="Runs that are whole are not done again: after Ctrl-C, or with more seeds in the file, type the same "
               "line. Paths in the file are found from its own folder.")
    sweep.set_defaults(run=run_sweep)
    sweep.add_argument("file", type=os.path.expanduser, metavar="FILE.toml", help="what to train")
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=whole, default=None, metavar="N",
                       help="runs at a time on this machine, each on one core (default: one for each core)")
    where.add_argument("--dask", default=None, metavar="ADDRESS",
                       help="train on the workers of this Dask scheduler instead, which needs the extra dask")
    sweep.add_argument("--out", type=os.path.expanduser, default=None, metavar="DIR",
                       help="folder for the runs and the table (default: that of the file's name in runs/)")
    sweep.add_argument("--json", action="store_true", help="print the result as JSON")


def run_sweep(options: argparse.Namespace) -> int:
    """numpyvae sweep"""
    runs = read_sweep(options.file)
    if options.out == "":    # as from a variable of the shell that is not set
        raise ValueError("--out is ''; expected the name of a folder, or no --out for one in runs/")
    out = options.out or os.path.join("runs", os.path.splitext(os.path.basename(options.file))[0])
    _refuse_a_run(out)
    with (workers.Processes(options.jobs or workers.cores()) if options.dask is None else
          workers.Cluster(options.dask)) as place:
        expected = _checked(options.file, runs)
        with _folder(out):
            left = _left(out, runs, expected)
            checksums = {run.name: asked["checksum"] for run, asked in zip(runs, expected)}
            if left:
                say(f"{counted(len(left), 'run')} of {len(runs)} to train, on {place.where}; compiling first")
                firsts = _firsts(left)
                place.compile(first_steps, [run.words for run in firsts], [checksums[run.name] for run in firsts])
            failed = _train(place, left, out, options, checksums)
            rows = _rows(runs, out, failed)
            _write(out, rows)
    _show(options, out, runs, rows, failed)
    return 1 if failed else 0


def _refuse_a_run(out: str) -> None:
    if os.path.exists(os.path.join(out, "run.json")):
        raise ValueError(f"--out is {out!r}, which holds a run; expected a folder for a sweep, in which each run has "
                         "its own")


# Before training

def _options(words: Sequence[str]) -> argparse.Namespace:
    options = train_parser().parse_args(list(words))
    options.run = None
    return options


def _data_of(options: argparse.Namespace, read: dict[str, DataSet]) -> DataSet:
    """The data of a run, read once for all that follow and read the same."""
    key = repr([getattr(options, name) for name in ("data", "data_dir", "seed", *READING)])
    if key not in read:
        read.clear()    # others need the memory
        read[key] = read_data(options)
    return read[key]


def _checked(file: str, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the run.json of each run will hold.  Raises ValueError where one would fail at its start."""
    read: dict[str, DataSet] = {}
    found: dict[int, dict[str, Any]] = {}
    for i in sorted(range(len(runs)), key=lambda i: runs[i].seed):
        options = _options(runs[i].words)
        try:
            data = _data_of(options, read)
            check_run(options, data)
            if runs[i].seed == runs[0].seed:
                take_first_step(options, data)
        except (ValueError, TypeError, OSError) as error:
            raise ValueError(f"{one_line(file)}, {runs[i].name}: {in_options(one_line(error), options)}") from None
        saved = {name: value for name, value in vars(options).items() if name not in NOT_OF_RUN}
        found[i] = json.loads(json.dumps(saved))
    return [found[i] for i in range(len(runs))]


def _firsts(runs: Sequence[Run]) -> list[Run]:
    """The run of each setting with the first of its seeds."""
    return list({repr(run.setting): run for run in reversed(runs)}.values())


def first_steps(settings: list[list[str]], checksums: Sequence[str] = ()) -> None:
    """Take a step of each setting, so that the kernels are in this machine's cache before many processes want them.

    checksums : of each setting's data, where another machine has read them

    Raises ValueError where the data of that name are others here.
    """
    read: dict[str, DataSet] = {}
    for words, known in itertools.zip_longest(settings, checksums):
        options = _options(words)
        data = _data_of(options, read)
        check_run(options, data)
        if known not in (None, options.checksum):
            raise ValueError(f"{one_line(options.data)} holds other data there")
        take_first_step(options, data)


# The folder

@contextlib.contextmanager
def _folder(out: str) -> Iterator[None]:
    """For us alone; what a sweep that was killed left half written goes."""
    made = missing(out)
    make_folder(out)
    import filelock    # where there are no locks, as in a browser, it warns, and only runs need one
    lock = filelock.FileLock(os.path.join(out, ".lock"))
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        raise ValueError(f"--out is {out!r}, which another numpyvae sweep is using; wait for it to end, or choose "
                         "another folder") from None
    try:
        for entry in os.listdir(out):
            if entry.startswith(".") and entry.endswith((PART, REPLACED)):
                shutil.rmtree(os.path.join(out, entry))
        yield
    finally:
        lock.release()
        if os.listdir(out) == [".lock"]:    # nothing came of it
            os.unlink(lock.lock_file)
            remove_empty(made)


def _left(out: str, runs: Sequence[Run], expected: Sequence[dict[str, Any]]) -> list[Run]:
    """The runs that are not whole, or were started with something else; says which are done again and why."""
    left, reasons = [], Counter[str]()
    for run, asked in zip(runs, expected):
        folder = os.path.join(out, run.name)
        if os.path.exists(folder):
            why = _why_again(folder, asked)
            if why is None:
                continue
            reasons[why] += 1
        left.append(run)
    for why, n in reasons.items():
        say(f"note: {counted(n, 'run')} will be done again: {why}")
    names = {run.name for run in runs}
    others = [name for name in sorted(os.listdir(out))
              if name not in names and os.path.exists(os.path.join(out, name, "run.json"))]
    if others:
        say(f"note: {counted(len(others), 'run')} in {out} are no longer in the file, such as {others[0]}; they "
            "stay, and the table leaves them out")
    if len(left) < len(runs):
        whole = len(runs) - len(left)
        say(f"{counted(whole, 'run')} of {len(runs)} {'is' if whole == 1 else 'are'} whole already")
    return left


def _why_again(folder: str, asked: dict[str, Any]) -> str | None:
    """Why a run that is there has to be done again; None where it is the one that is asked for.

    Raises ValueError for a folder that holds something else.
    """
    try:
        saved = read_run(folder)
        read_metrics(folder)
        load(os.path.join(folder, MODEL))
    except ValueError:
        return "a file of theirs is damaged"
    except OSError:
        if os.path.exists(os.path.join(folder, "run.json")) or os.path.isdir(folder) and not os.listdir(folder):
            return "a file of theirs is missing"
        raise ValueError(f"--out holds {folder!r}, which is no run but has the name of one; expected another "
                         "folder") from None
    if not os.path.exists(os.path.join(folder, "report.html")):
        return "a file of theirs is missing"
    if saved.get("checksum") != asked["checksum"]:
        return "the data are others"
    changed = [f"{name.replace('_', '-')} was {_value(saved.get(name))}, is {_value(asked[name])}"
               for name in asked if name not in MAY_DIFFER and saved.get(name) != asked[name]]
    return ", ".join(changed) or None


def _value(value: Any) -> str:
    return "not given" if value is None else in_short(value)


def _put(out: str, name: str, files: dict[str, bytes]) -> None:
    """The folder of a run, whole or not at all."""
    place, part, replaced = (os.path.join(out, entry) for entry in (name, f".{name}{PART}", f".{name}{REPLACED}"))
    try:
        os.makedirs(part)
        for file, content in files.items():
            with open(os.path.join(part, file), "wb") as opened:
                opened.write(content)
        if os.path.exists(place):
            os.replace(place, replaced)
        os.replace(part, place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


# Training

def _train(place: workers.Processes | workers.Cluster, left: Sequence[Run], out: str,
           options: argparse.Namespace, checksums: Mapping[str, str]) -> dict[str, str]:
    """Train the runs that are left; returns why some failed.  A run that is lost with its worker is done again.

    checksums : of the data of each run, by its name: a worker that came late may have others
    """
    failed: dict[str, str] = {}
    done = 0
    attempts = Counter[str]()
    versions = workers.versions()

    def submit(run: Run) -> Future[workers.Outcome]:
        attempts[run.name] += 1
        return place.executor.submit(workers.train, run.words, os.path.abspath(os.path.join(out, run.name)))

    try:
        with _bar(len(left)) as bar:
            waiting = {submit(run): run for run in left}
            while waiting:
                ended, _ = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
                for future in ended:
                    run, outcome = waiting.pop(future), _outcome(future)
                    if outcome.is_lost and attempts[run.name] < ATTEMPTS:
                        bar.write(f"note: {run.name} is done again: {outcome.why}", file=sys.stderr)
                        waiting[submit(run)] = run
                        continue
                    if outcome.files and outcome.versions != versions:    # of a worker that came late
                        outcome = outcome._replace(files={}, why="its worker has other versions than this machine; "
                                                                 "expected the same on every machine")
                    if outcome.files and json.loads(outcome.files["run.json"])["checksum"] != checksums[run.name]:
                        outcome = outcome._replace(files={}, why="its worker has other data at that place; expected "
                                                                 "the same on every machine")
                    done += 1
                    said = f"failed: {outcome.why}"
                    if outcome.files:
                        _put(out, run.name, outcome.files)
                        said = _line(os.path.join(out, run.name), outcome.seconds)
                    else:
                        failed[run.name] = outcome.why
                    bar.write(f"run {done:{len(str(len(left)))}}/{len(left)}  {run.name}  {said}", file=sys.stderr)
                    bar.update()
                place.check()
    except (KeyboardInterrupt, ConnectionError, OSError):
        say(f"numpyvae: {done - len(failed)} of these runs are whole, in {out}; what is not goes on with  "
            f"{options.command}")
        raise
    return failed


def _outcome(future: Future[workers.Outcome]) -> workers.Outcome:
    try:
        return future.result(0)
    except Exception as error:    # Dask has many for workers that it has lost
        return workers.Outcome({}, 0, one_line(error) or type(error).__name__, True)


def _line(folder: str, seconds: float) -> str:
    metrics = read_metrics(folder)
    loss, nll, kl = (summary.nats(metrics[measure]) for measure in result.MEASURES)
    beta = metrics["configuration"]["beta"]
    weight = "" if beta == 1 else f"{beta:g} x "
    return f"test {loss:>8} = {nll} + {weight}KL {kl}  {seconds:.1f} s"


def _bar(n: int) -> Any:
    from tqdm.auto import tqdm
    return tqdm(total=n, desc="runs", leave=False, unit="run", disable=not sys.stderr.isatty() or not n)


# The result

def _rows(runs: Sequence[Run], out: str, failed: Mapping[str, str]) -> list[result.Row]:
    """A row for each setting, in the order of the file; a run that failed may have left an older one in its place."""
    rows: dict[str, result.Row] = {}
    for run in runs:
        shown = {name: in_short(value) for name, value in run.setting.items()}
        row = rows.get(repr(run.setting), result.Row(shown, 0, {measure: [] for measure in result.MEASURES}))
        values = row.values
        if run.name not in failed:
            metrics = read_metrics(os.path.join(out, run.name))
            values = {measure: [*row.values[measure], metrics[measure]] for measure in result.MEASURES}
        rows[repr(run.setting)] = row._replace(runs=row.runs + 1, values=values)
    return list(rows.values())


def _write(out: str, rows: Sequence[result.Row]) -> None:
    from matplotlib.figure import Figure
    content = {"table": result.as_markdown(rows), "numbers": result.as_csv(rows)}
    for name, text in content.items():
        with written_whole(os.path.join(out, TABLE[name])) as opened:
            opened.write(text.encode())
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(rows)), layout="constrained")    # takes a minute for 1,000 settings
    result.draw(rows, figure.subplots())
    with written_whole(os.path.join(out, TABLE["figure"])) as opened:
        figure.savefig(opened, format="png", dpi=100)


def _show(options: argparse.Namespace, out: str, runs: Sequence[Run], rows: Sequence[result.Row],
          failed: dict[str, str]) -> None:
    files = {name: os.path.join(out, file) for name, file in TABLE.items()}
    if options.json:
        print(json.dumps({"settings": [row.as_dict() for row in rows], "failed": failed, **files}))
    else:
        print(result.as_markdown(rows))
        for name, file in files.items():
            print(f"{name:<9} {file}")
    if len({run.setting.get("beta") for run in runs}) > 1:
        say("note: the settings differ in beta, the weight of the KL in the loss: compare reconstruction + KL instead")
    first = next((run.name for run in runs if run.name in failed), None)
    if first is not None:
        say(f"numpyvae: {counted(len(failed), 'run')} failed, such as {first}: {failed[first]}")
