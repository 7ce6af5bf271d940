"""Mutants of everything that computes or picks data outside the backward passes, each judged by the tests that run it.

    python -m tests.mutants.computing                     all of them
    python -m tests.mutants.computing --share 0.1         a tenth, drawn by the commit
    python -m tests.mutants.computing --target sample     only those of functions whose name holds "sample"

Pytest collects the judges once: the tests in the files of a room, but for those marked slow, full or no_judge.  Forked
processes then run each of them and note which functions it calls; and run, for each mutant, the tests of its room that
call its function until one fails, the fastest first.
Kernels are off: the mutants are of the bodies that people read, and tests/test_kernels.py holds the kernels to these.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import contextvars
import functools
import inspect
import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import threadpoolctl
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from numpyvae.twin import kernels_off

from .__main__ import idle_rows, summary, table
from .checks import Place, place_of
from .equivalents import COMPUTING_ROWS, reason_of
from .harness import FAILURES, Result
from .operators import LAMBDA, Source
from .targets import package_modules, poisoned_memory, swapped_globals, targets


class Room(NamedTuple):
    """A part of the package that computes numbers or picks data.

    judges : the files of tests that its mutants have to fail
    draws  : functions that compute nothing: they place boxes, or show what others drew; and how far boxes are apart
    """

    judges: str
    draws: str = ""


# Not where files are read and written, arguments checked and models put together, which tests/test_files.py,
# test_contracts.py and test_parts.py try with thousands of examples.
ROOMS = {
    "training.optimizers": Room("optimizers by_hand"),
    "training.batches": Room("training draws conditional"),
    "training.fit": Room("fit_steps by_hand training patience"),
    "training.objectives": Room("losses"),
    "models.posteriors": Room("posteriors draws full_covariance"),
    "models.likelihoods": Room("draws likelihoods"),
    "models.priors": Room("draws posteriors"),
    "models.vae": Room("losses conditional model posteriors parts"),
    "models.autoencoder": Room("model"),
    "models.variants": Room("model"),
    "evaluation": Room("measures"),
    "exact": Room("exact pca honest_numbers"),
    "datasets.toy": Room("draws"),
    "datasets.strokes": Room("drawing"),
    "datasets.digits": Room("drawing"),
    "functional": Room("functions"),
    "nn.networks": Room("networks"),
    "nn.layers": Room("layers parts"),
    "nn.convolution": Room("convolution"),
    "report.plots": Room("plots plotted_numbers", draws="learning_curves network _box _arrow _half_height "
                         "diagram GAP show_diagram symptom_tree show_symptom_tree show_curves show_rows show_dots show "
                         "strip picture_tag _axes _open_frame"),
}
LEFT_OUT = {"__repr__", "__str__", "__reduce__", "__getstate__", "__setstate__", "__del__", "_advice"}    # words, files
AT_ONCE = {"BLOCK", "ROWS_AT_ONCE", "VALIDATION_BATCH"}    # constants that only say in which pieces work is done
MOST_LISTED = 0.05    # of the mutants of a kind
# A test in which a mutant takes so many times longer than the right code, and these seconds of the processor, is caught
# in an endless loop; one that takes none for so many seconds in which it could waits for what never comes.  However
# busy the machine is, nothing else comes near to that.
ENDLESS, ENDLESS_SECONDS, STILL = 10, 2.0, 10
LISTED = 10    # judges that a mutant listed as equivalent has to pass, to prove the list wrong

Wanted = Callable[[str], bool]    # whether a mutant with this text is to run
Change = tuple[str, str, contextlib.AbstractContextManager[None]]    # kind, text, and what puts it into the package


class Function(NamedTuple):
    """A function of the package that is mutated where it stands: its code object is exchanged."""

    name: str
    room: str
    function: types.FunctionType
    places: set[Place]
    up_to: str | None    # the comment that begins its backward half, which `python -m tests.mutants` mutates

    def mutants(self, wanted: Wanted = lambda text: True) -> Iterator[Change]:
        source = Source(self.function, self.up_to, statistics=True)
        for mutant in source.mutants():
            if not wanted(str(mutant)):
                continue
            try:
                function = source.compile(mutant)
            except Exception:    # no Python, or a default that cannot be worked out
                continue
            yield mutant.kind, str(mutant), exchanged(self.function, function)


class Constant(NamedTuple):
    """A number that stands at the top of a module, with the places of the functions that read it."""

    name: str
    room: str
    value: float
    holders: list[dict[str, Any]]    # the names of each module that has it
    places: set[Place]

    def mutants(self, wanted: Wanted = lambda text: True) -> Iterator[Change]:
        name = self.name.rpartition(".")[2]
        for value in (1.05 * self.value, 0 * self.value) if isinstance(self.value, float) else (
                self.value + 1, self.value - 1, 0):
            text = f"constant of a module: {name} = {self.value!r}  ->  {value!r}"
            if wanted(text):
                yield "constant of a module", text, swapped_globals([(names, name) for names in self.holders], value)


class Judged(NamedTuple):
    """A test, as it ran on the right code: its seconds, and the places of the functions that it called."""

    item: int
    passed: bool
    seconds: float
    places: set[Place]


class EndlessLoop(BaseException):
    """Raised in a test that takes too long, past every `except Exception`."""


def functions() -> list[Function]:
    """The functions and methods of ROOMS, but for the backward passes, which `python -m tests.mutants` mutates."""
    backward = {place_of(target.function.__code__): target.after_comment for target in targets()}
    found = {}
    for module in package_modules():
        name, room = module.__name__.removeprefix("numpyvae."), room_of(module)
        if room is not None:
            for function in bodies(vars(module), module.__name__):
                place = place_of(function.__code__)
                left_out = {*LEFT_OUT, *ROOMS[room].draws.split()}
                if backward.get(place, "") is not None and function.__name__ not in left_out:
                    found[place] = Function(f"{name}.{function.__qualname__}", room, function, {place},
                                            backward.get(place))
    return list(found.values())


def constants() -> list[Constant]:
    """The numbers that stand at the top of the modules of ROOMS."""
    found = []
    for module in package_modules():
        room = room_of(module)
        if room is not None:
            left_out = {*AT_ONCE, *ROOMS[room].draws.split()}
            for name, value in vars(module).items():
                if name.isupper() and name not in left_out and type(value) in (int, float):
                    holders = [other for other in package_modules() if vars(other).get(name) is value]
                    places = {place_of(body.__code__) for other in holders
                              for body in bodies(vars(other), other.__name__) if name in body.__code__.co_names}
                    found.append(Constant(f"{module.__name__.removeprefix('numpyvae.')}.{name}", room, value,
                                          [vars(other) for other in holders], places))
    return found


def room_of(module: types.ModuleType) -> str | None:
    name = module.__name__.removeprefix("numpyvae.")
    return next((room for room in ROOMS if name == room or name.startswith(f"{room}.")), None)


def bodies(names: Any, module: str) -> Iterator[types.FunctionType]:
    """The plain functions behind what a module, a class or a table holds: twins, methods, properties, lambdas."""
    for value in list(names.values()):
        if isinstance(value, type) and value.__module__ == module and not getattr(value, "_is_protocol", False):
            yield from bodies(vars(value), module)
        if isinstance(value, dict) and "__builtins__" not in value:
            yield from (one for one in value.values() if isinstance(one, types.LambdaType) and one.__name__ == LAMBDA
                        and one.__module__ == module)
        for attribute in ("reference", "__func__", "fget", "func"):
            value = getattr(value, attribute, value) if not isinstance(value, type) else value
        if callable(value) and not isinstance(value, type):
            value = inspect.unwrap(value)
        if (isinstance(value, types.FunctionType) and value.__module__ == module
                and value.__code__.co_filename == sys.modules[module].__file__):    # not one that a NamedTuple makes
            yield value


class Rig:
    """A plugin of pytest that runs, in place of each test once, every mutant's judges."""

    def __init__(self, options: argparse.Namespace, chosen: Sequence[Function | Constant], survivors: set[str] | None,
                 say: Callable[[str], None]):
        self.options, self.chosen, self.survivors, self.say = options, chosen, survivors, say
        self.results: list[Result] = []
        self.failed: list[str] = []

    def pytest_collection(self) -> None:    # a failure is enough: nobody reads the smallest example
        settings.register_profile("unshrunk", settings.default, phases=(Phase.explicit, Phase.generate), deadline=None,
                                  derandomize=True)
        settings.load_profile("unshrunk")

    def pytest_runtestloop(self, session: Any) -> bool:
        global _rig
        _rig = self    # forked processes begin with it, and with everything that is collected here
        fork = multiprocessing.get_context("fork")
        self.items = [item for item in session.items if not item.get_closest_marker("no_judge")]
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):    # a mutant may write anywhere
            return self.judge_all(fork)

    def judge_all(self, fork: Any) -> bool:
        with fork.Pool() as pool:
            judged = pool.map(run_right, range(len(self.items)), chunksize=4)
        self.failed = [self.items[one.item].nodeid for one in judged if not one.passed]
        if self.failed:
            return True
        self.judges = sorted(judged, key=lambda one: one.seconds)
        slowest = self.judges[-1]
        self.say(f"{len(self.judges)} tests judge {len(self.chosen)} targets; the slowest is "
                 f"{self.items[slowest.item].nodeid}, {slowest.seconds:.1f} s")
        started = time.perf_counter()
        with fork.Pool() as pool:
            for n, results in enumerate(pool.imap_unordered(examine, range(len(self.chosen))), 1):
                self.results += results
                bad = [str(result) for result in results if result.verdict in FAILURES]
                self.say("\n".join([*bad, f"{n}/{len(self.chosen)} targets, {len(self.results)} mutants, "
                                    f"{time.perf_counter() - started:.0f} s"]))
        return True

    def run_right(self, i: int) -> Judged:
        seen: set[types.CodeType] = set()
        started = time.process_time()
        for tracing in (sys, threading):
            tracing.settrace(lambda frame, event, argument: seen.add(frame.f_code))
        try:
            passed = self.passes(i)
        finally:
            for tracing in (sys, threading):
                tracing.settrace(None)
        places = {place_of(code) for code in seen if f"{os.sep}numpyvae{os.sep}" in code.co_filename}
        return Judged(i, passed, time.process_time() - started, places)

    def passes(self, i: int, limit: float = 0.0) -> bool:
        """Whether a test passes, with its fixtures made anew, within so many seconds; for 0, in any time."""
        still = used = 0.0

        def stop(number: int, frame: Any) -> None:
            raise EndlessLoop

        def look(number: int, frame: Any) -> None:    # once a second, but for those in which the process is paused
            nonlocal still, used
            still, used = still + 1 if time.process_time() - used < 1e-3 else 0, time.process_time()
            if still >= STILL:    # and again, where the end of a block waits too
                raise EndlessLoop

        signal.signal(signal.SIGPROF, stop)
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.setitimer(signal.ITIMER_REAL, bool(limit), 1.0)
        try:
            # In a context of its own, so that what a mutant leaves in a ContextVar is gone for the next test.
            reports = contextvars.copy_context().run(runtestprotocol, self.items[i], log=False, nextitem=None)
        except KeyboardInterrupt:    # of fit where it is told to stop, of a mutant also elsewhere; pytest lets it pass
            return False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        return not any(report.failed for report in reports)

    def examine(self, n: int) -> list[Result]:
        """Every mutant of a target, or those that the options ask for, and what became of it."""
        chosen = self.chosen[n]
        files = files_of([chosen.room])
        judges = [one for one in self.judges if chosen.places & one.places and self.items[one.item].path.name in files]
        draw = random.Random(f"{self.options.commit} {chosen.name}")

        def wanted(text: str) -> bool:
            return draw.random() < self.options.share and (
                self.survivors is None or f"computing {chosen.name}: {text}" in self.survivors)

        results = []
        for kind, text, mutated in chosen.mutants(wanted):
            with mutated, warnings.catch_warnings():
                verdict, by = self.judge(chosen.name, text, judges)
            results.append(Result(chosen.name, "computing", text, kind, verdict, by))
        killers = {result.by for result in results if result.verdict == "killed"}
        for one in judges:
            if self.items[one.item].nodeid in killers and not self.passes(one.item):
                raise RuntimeError(f"a mutant of {chosen.name} left something behind: from then on "
                                   f"{self.items[one.item].nodeid} fails, whatever is mutated")
        return results

    def judge(self, name: str, mutant: str, judges: list[Judged]) -> tuple[str, str]:
        """The verdict, and the test that gave it, which is asked first about the next mutant."""
        reason = reason_of(name, mutant, COMPUTING_ROWS)
        for i, one in enumerate(judges[:LISTED] if reason else judges):
            if not self.passes(one.item, max(ENDLESS_SECONDS, ENDLESS * one.seconds)):
                judges.insert(0, judges.pop(i))
                return "killed", self.items[one.item].nodeid
        return ("equivalent", reason) if reason else ("survived", "")


_rig: Any = None    # the one that runs: forked processes find it here


def run_right(i: int) -> Judged:
    return _rig.run_right(i)


def examine(n: int) -> list[Result]:
    return _rig.examine(n)


@contextlib.contextmanager
def exchanged(function: types.FunctionType, mutant: types.FunctionType) -> Iterator[None]:
    """The mutant's code and defaults in the place of the function's, wherever it has been imported to."""
    before = function.__code__, function.__defaults__, function.__kwdefaults__
    clear_caches()
    function.__code__, function.__defaults__, function.__kwdefaults__ = (
        mutant.__code__, mutant.__defaults__, mutant.__kwdefaults__)
    try:
        yield
    finally:
        function.__code__, function.__defaults__, function.__kwdefaults__ = before
        clear_caches()


@functools.cache
def caches() -> list[Any]:
    return [value for module in package_modules() for value in vars(module).values() if hasattr(value, "cache_clear")]


def clear_caches() -> None:
    for cache in caches():
        cache.cache_clear()


def too_often_listed(results: Sequence[Result]) -> list[str]:
    """The kinds of mutation of which more than MOST_LISTED are listed as equivalent: that many are excuses."""
    every = collections.Counter(result.kind for result in results)
    listed = collections.Counter(result.kind for result in results if result.verdict == "equivalent")
    return [f"of {every[kind]} mutants of the kind {kind!r}, {n} are listed as equivalent, more than "
            f"{MOST_LISTED:.0%}" for kind, n in listed.items() if n > MOST_LISTED * every[kind]]


def files_of(rooms: Iterable[str]) -> list[str]:
    """The names of the files of tests that judge these rooms; pytest says so where there is none."""
    return sorted({f"test_{name}.py" for room in rooms for name in ROOMS[room].judges.split()})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.computing", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", metavar="NAME",
                        help="only functions whose name holds NAME, a regular expression")
    parser.add_argument("--again", metavar="FILE", help="only the mutants that survived, by an earlier run's --json")
    parser.add_argument("--share", type=float, default=1.0, help="the share of the mutants to run")
    parser.add_argument("--json", metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args(arguments)
    options.commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    started = time.perf_counter()
    survivors = None
    if options.again:
        with open(options.again, encoding="utf-8") as file:
            survivors = {line.partition(" ")[2] for line in json.load(file)["failures"]}
    chosen = [one for one in [*functions(), *constants()]
              if re.search(options.target or "", one.name)
              and (survivors is None or any(line.startswith(f"computing {one.name}: ") for line in survivors))]
    # The longest first, so that the processes end together.
    chosen.sort(key=lambda one: len(one.function.__code__.co_code) if isinstance(one, Function) else 0, reverse=True)
    rig = Rig(options, chosen, survivors, functools.partial(print, file=os.fdopen(os.dup(2), "w"), flush=True))
    judges = [f"tests/{name}" for name in files_of({one.room for one in chosen})]
    with (contextlib.redirect_stdout(io.StringIO()) as said, kernels_off(), poisoned_memory(),
          threadpoolctl.threadpool_limits(1)):
        stopped = pytest.main([*judges, "-q", "--capture=sys", "--tb=no", "--assert=plain", "-p", "no:xdist",
                               "-p", "no:cacheprovider"], plugins=[rig])
    seconds = time.perf_counter() - started
    if rig.failed:
        parser.exit(1, f"the unmutated package fails {'; '.join(rig.failed)}\n")
    if stopped or not rig.results:    # by an error of the rig, among others where a mutant left something behind
        parser.exit(1, f"not all mutants were judged:\n{said.getvalue()}\n")
    results = rig.results
    print(table("function", results, [result.target for result in results]), end="\n\n")
    rooms = {one.name: one.room for one in chosen}
    print(table("room", results, [rooms[result.target] for result in results]), end="\n\n")
    print(table("mutation", results, [result.kind for result in results]), end="\n\n")
    failures = [result for result in results if result.verdict in FAILURES]
    whole = not (options.target or options.again)
    rows = [row for row in COMPUTING_ROWS if any(re.fullmatch(row.target, one.name) for one in chosen)]
    excuses = too_often_listed(results) + idle_rows(results, rows) if whole and options.share == 1 else []
    print(*failures, *excuses, f"{len(results)} mutants in {seconds:.0f} s, {len(failures)} survived",
          sep="\n")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(summary(results, seconds), file, indent=1)
    return 1 if failures or excuses else 0


if __name__ == "__main__":
    sys.exit(main())
