"""Times that can be compared on a machine whose speed drifts: A B C A B C ..., and ratios within each round.

A turn is a short block of runs, not one run, and a rest comes before it: the frameworks' idle threads keep spinning
for some milliseconds after their work, and would take a core from whoever comes next.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

REST = 0.02           # seconds between turns
BLOCK = 0.05          # seconds that a turn runs, at least
UNCOUNTED = 3         # runs at the start of a turn: caches and thread pools wake up
WARMUP = 5            # runs before the first turn: compilation


def interleave(work: Mapping[str, Callable[[], object]], rounds: int = 20) -> dict[str, np.ndarray]:
    """Run the works in turn; for each the seconds a run takes, one median for each round."""
    for run in work.values():
        for _ in range(WARMUP):
            run()
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            times[name].append(_turn(run))
    return {name: np.array(each) for name, each in times.items()}


def turns_of_one(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """The same for works of seconds: a turn is one run."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for i in range(rounds + 1):    # the first is the warm-up
        for name, run in work.items():
            time.sleep(REST)
            start = time.perf_counter()
            run()
            if i > 0:
                times[name].append(time.perf_counter() - start)
    return {name: np.array(each) for name, each in times.items()}


def ratio(times: Mapping[str, np.ndarray], numerator: str, denominator: str) -> tuple[float, float, float]:
    """The median over the rounds of time(numerator) / time(denominator), and its quartiles."""
    median, low, high = np.percentile(times[numerator] / times[denominator], [50, 25, 75])
    return float(median), float(low), float(high)


def _turn(run: Callable[[], object]) -> float:
    time.sleep(REST)
    for _ in range(UNCOUNTED):
        run()
    times: list[float] = []
    while sum(times) < BLOCK or len(times) < UNCOUNTED:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
