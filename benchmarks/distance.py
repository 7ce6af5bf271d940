"""How far apart the machine's two cores are: what it costs to pass a cache line from one to the other.

A rented machine's cores are threads of its host, which moves them as it likes.  For seconds or minutes they lie on
one chip and share a cache; then one of them is elsewhere, and whatever it has written is ten times as far away.
`python -m benchmarks.placement` shows what that does to a training step.
"""
from __future__ import annotations

import os
import threading
import time
from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

HANDOVERS, UNCOUNTED = 2000, 200
NEAR = 100    # nanoseconds: on one chip it takes 25 to 60, from one socket to the other 250


def cores_are_near() -> bool:
    """Whether a handover takes less than NEAR; True if it cannot be measured: with one core, or on another system."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return True
    return handover() < NEAR


def handover() -> float:
    """Nanoseconds until the other core sees a write: two threads take turns at incrementing one number."""
    cores = os.sched_getaffinity(0)
    here, there, *_ = sorted(cores)
    number = np.zeros(1, np.int64)
    _count_by_turns(number, 0, 0)    # compiles it

    def other() -> None:
        os.sched_setaffinity(0, {there})    # 0 is the calling thread
        _count_by_turns(number, 1, HANDOVERS)
    thread = threading.Thread(target=other)
    os.sched_setaffinity(0, {here})
    thread.start()
    try:
        _count_by_turns(number, 0, UNCOUNTED)    # by now the other one is awake
        start = time.perf_counter()
        _count_by_turns(number, UNCOUNTED, HANDOVERS)
        return 1e9 * (time.perf_counter() - start) / (HANDOVERS - UNCOUNTED)
    finally:
        thread.join()
        os.sched_setaffinity(0, cores)


@intrinsic
def _load(_: Any, number: Any) -> Any:
    """number[0], read from memory each time; a plain read would be moved out of the loop."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(data, "acquire", 8)
    return types.int64(number), generate


@intrinsic
def _store(_: Any, number: Any, value: Any) -> Any:
    """number[0] = value, visible to the other core at once."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(args[1], data, "release", 8)
        return context.get_dummy_value()
    return types.void(number, types.int64), generate


@numba.njit(nogil=True)
def _count_by_turns(number: np.ndarray, first: int, last: int) -> None:
    """Increment the number at first, first + 2, ...; the other thread does so in between."""
    for mine in range(first, last, 2):
        while _load(number) != mine:
            pass
        _store(number, mine + 1)
