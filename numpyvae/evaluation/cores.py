"""Work in independent pieces, one for each core.

NumPy's BLAS spreads a single product over the cores, and everything between two products runs on a single core.  Where
work splits into independent pieces, the opposite is faster: one piece for each core, with products on one thread
each.  (numba's kernels and NumPy's loops release Python's GIL, so they run in parallel.)
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

from threadpoolctl import ThreadpoolController

from ..kernels.processor import blas_threads, decide


@contextlib.contextmanager
def a_thread_for_each_core() -> Iterator[tuple[Executor, int]]:
    """A pool of as many threads as BLAS would use for a product, and their number; inside the block a product uses one.

    The number is that of the machine's cores, or what OPENBLAS_NUM_THREADS says.  Accelerate, NumPy's BLAS on macOS, is
    not seen by threadpoolctl: there it is that of the cores, or what VECLIB_MAXIMUM_THREADS says.  When an exception
    such as Ctrl-C ends the block, pieces that have not begun are dropped.
    """
    blas, cores = ThreadpoolController().select(user_api="blas"), blas_threads()
    decide()    # who multiplies, once for the process: inside the block it would see one thread of BLAS
    threads = ThreadPoolExecutor(cores)
    with blas.limit(limits=1):
        try:
            yield threads, cores
        finally:
            threads.shutdown(cancel_futures=True)
