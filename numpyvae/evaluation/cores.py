"""Work in independent pieces, one for each core.

NumPy's BLAS spreads a single product over the cores, and everything between two products runs on one of them.  Where
the pieces of a work do not wait for each other it is faster the other way: a piece for each core, each with products
on one thread.  (numba's kernels and NumPy's loops let go of Python's lock, so they run side by side.)
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def a_thread_for_each_core() -> Iterator[tuple[Executor, int]]:
    """As many threads as BLAS would take for a product, and their number; until the end each product takes one.

    So the number is the machine's cores, or what OPENBLAS_NUM_THREADS says.  When an exception ends the block, such as
    Ctrl-C, pieces that have not begun are dropped.
    """
    blas = ThreadpoolController().select(user_api="blas")
    cores = max([library["num_threads"] for library in blas.info()], default=1)
    threads = ThreadPoolExecutor(cores)
    with blas.limit(limits=1):
        try:
            yield threads, cores
        finally:
            threads.shutdown(cancel_futures=True)
