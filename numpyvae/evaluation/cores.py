"""Work in independent pieces, one for each core.

NumPy's BLAS spreads a single product over the cores, and everything between two products runs on a single core.  Where
work splits into independent pieces, the opposite is faster: one piece for each core, with products on one thread
each.  (numba's kernels and NumPy's loops release Python's GIL, so they run in parallel.)
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def a_thread_for_each_core() -> Iterator[tuple[Executor, int]]:
    """A pool of as many threads as BLAS would use for a product, and their number; inside the block a product uses one.

    The number is that of the machine's cores, or what OPENBLAS_NUM_THREADS says.  Accelerate, NumPy's BLAS on macOS, is
    not seen by threadpoolctl: there it is that of the cores, or what VECLIB_MAXIMUM_THREADS says.  When an exception
    such as Ctrl-C ends the block, pieces that have not begun are dropped.
    """
    blas, cores = ThreadpoolController().select(user_api="blas"), blas_threads()
    threads = ThreadPoolExecutor(cores)
    with blas.limit(limits=1):
        try:
            yield threads, cores
        finally:
            threads.shutdown(cancel_futures=True)


def blas_threads() -> int:
    """How many threads BLAS would use for a product now."""
    seen = ThreadpoolController().select(user_api="blas").info()
    return max([library["num_threads"] for library in seen], default=_cores_of_an_unseen_blas())


def _cores_of_an_unseen_blas() -> int:
    """All of them for Accelerate, whose products do not mind being called from several threads; else one."""
    name = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {}).get("name", "")
    if "accelerate" not in name.lower():
        return 1    # as on WebAssembly, which has no threads
    asked = os.environ.get("VECLIB_MAXIMUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else os.cpu_count() or 1
