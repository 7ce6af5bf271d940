"""Times that can be compared on a machine whose speed drifts: A B C A B C ..., and ratios within each round.

A turn is a short block of runs, not one run.  A round counts if the two cores were near each other before and
after it (distance.py).
"""
from __future__ import annotations

import contextlib
import functools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import TypeVar

import numpy as np

from .distance import cores_are_near

T = TypeVar("T")
Run = Callable[[], object]
Turns = Mapping[str, Callable[[], float]]    # each returns the seconds that a run takes

REST = 0.1            # seconds before a turn: threads that have just worked stay awake for a while and occupy a core
WAKING = 0.1          # seconds that a turn runs uncounted, until the scheduler has spread the threads
BLOCK = 0.1           # least number of counted seconds
FEWEST = 3            # least number of counted runs
PATIENCE = 5          # after this many times the requested rounds, those with distant cores count as well


def block(run: Run) -> float:
    """A turn for workloads of milliseconds: seconds per run, the median over a block of runs."""
    time.sleep(REST)
    awake = time.perf_counter() + WAKING
    while time.perf_counter() < awake:
        run()
    times: list[float] = []
    while sum(times) < BLOCK or len(times) < FEWEST:
        times.append(_seconds(run))
    return float(np.median(times))


def single(run: Run) -> float:
    """A turn for workloads of seconds: one run."""
    time.sleep(REST)
    return _seconds(run)


def interleave(work: Mapping[str, Run], rounds: int = 20) -> dict[str, np.ndarray]:
    """Run the workloads in turn, in this process; returns the seconds per run of each, one number per round."""
    turns = {name: functools.partial(block, run) for name, run in work.items()}
    one_round(turns)    # compiles and warms up
    return by_name(near_rounds(lambda: one_round(turns), rounds))


def interleave_apart(makers: Mapping[str, Callable[[], Run]], rounds: int = 20,
                     turn: Callable[[Run], float] = block, starts: int = 1) -> dict[str, np.ndarray]:
    """The same, each workload in a process of its own, where its maker is called.

    starts : how often the processes are started, each time for that many rounds: a workload may be faster in one
             process than in the next
    """
    found: list[dict[str, float]] = []
    for _ in range(starts):
        with apart(makers, turn) as turns:
            found += near_rounds(functools.partial(one_round, turns), rounds)
    return by_name(found)


@contextlib.contextmanager
def apart(makers: Mapping[str, Callable[[], Run]], turn: Callable[[Run], float] = block) -> Iterator[Turns]:
    """Turns of workloads that have a process each, warmed up.

    In one process the frameworks' threads get in each other's way: beside NumPy's a step of PyTorch took 8 ms instead
    of 3.6.
    """
    context = multiprocessing.get_context("spawn")
    turns = {}
    with contextlib.ExitStack() as stack:
        for name, make in makers.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make, turn), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ours.close)
            turns[name] = functools.partial(_ask, ours)
            turns[name]()    # compiles and warms up
        yield turns


def near_rounds(run_round: Callable[[], T], rounds: int) -> list[T]:
    """The results of this many rounds with the cores near each other; if they hardly ever are, of all rounds."""
    near, far = rounds_by_distance(run_round, lambda near, far: near == rounds or near + far == PATIENCE * rounds)
    return near if len(near) == rounds else near + far


def rounds_by_distance(run_round: Callable[[], T], enough: Callable[[int, int], bool]) -> tuple[list[T], list[T]]:
    """Rounds with the cores near each other, and rounds with them apart, until there are `enough` of both."""
    near: list[T] = []
    far: list[T] = []
    while not enough(len(near), len(far)):
        time.sleep(REST)
        before = cores_are_near()
        result = run_round()
        time.sleep(REST)
        (near if before and cores_are_near() else far).append(result)
    return near, far


def one_round(turns: Turns) -> dict[str, float]:
    """A turn of each workload."""
    return {name: turn() for name, turn in turns.items()}


def by_name(rounds: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Each workload's seconds in all the rounds."""
    return {name: np.array([each[name] for each in rounds]) for name in rounds[0]}


def ratio(times: Mapping[str, np.ndarray], numerator: str, denominator: str) -> tuple[float, float, float]:
    """The median over the rounds of time(numerator) / time(denominator), and its quartiles."""
    median, low, high = np.percentile(times[numerator] / times[denominator], [50, 25, 75])
    return float(median), float(low), float(high)


def spread(times: Mapping[str, np.ndarray], numerator: str, denominator: str) -> str:
    """The ratio as tables show it: median (lower quartile – upper quartile)."""
    median, low, high = ratio(times, numerator, denominator)
    return f"{median:.2f} ({low:.2f} – {high:.2f})"


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _serve(connection: Connection, make: Callable[[], Run], turn: Callable[[Run], float]) -> None:
    """In the workload's own process: a turn for every request, until the other end is closed."""
    run = make()
    with contextlib.suppress(EOFError):
        while True:
            connection.recv()
            connection.send(turn(run))


def _ask(connection: Connection) -> float:
    connection.send(None)
    seconds: float = connection.recv()
    return seconds
