"""The one place where kernels meet numba."""
from __future__ import annotations

import functools
import hashlib
import inspect
import operator
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any

from . import exponential, vectors
from .halves import left_columns, right_columns
from .loop_for import loop_for
from .processor import threads

# Sums may be reordered and a*b + c fused, so that loops vectorise; NaN and infinity keep their meaning.
# (Full fastmath would make isnan() false.)
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
# error_model="numpy": x / 0 is inf, as in NumPy.  Python's own rule, an exception, puts a branch into every loop
# with a division and keeps it from being vectorised (measured: 2.0 against 0.15 ns per element).
# nogil: a kernel touches nothing but its arrays, so Python's other threads may run beside it (evaluation/cores.py).
# no_cfunc_wrapper: no second entry for callers in C, of whom there are none.
OPTIONS: dict[str, Any] = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
INSIDE: dict[str, Any] = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}    # called by kernels alone
# A range reduction relies on the rounding of each of its steps, so in exponential.py no sum is reordered.
EXACT_ORDER: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", **INSIDE}


def jit(kernel: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """Compile a kernel, a plain Python function of arrays and numbers.

    Without a signature nothing is compiled yet: numba compiles at the first call with each combination of dtypes and
    layouts.  With one, such as "float32[:](float32[:, :])", the kernel is compiled now and for these alone.  The
    machine code is kept in a cache on disk for the next process.  Where no cache can be written the kernel is
    compiled again in each process, and one line on stderr says so.

    Raises ImportError where numba is not installed.
    """
    if threads() == 2 and hasattr(kernel, "how_halved"):
        return _on_two_threads(kernel)
    import numba

    _teach_numba_our_exponentials()
    vectors.teach_numba()
    _make_callable_from_kernels(kernel)
    try:
        compiled = numba.njit(cache=True, **OPTIONS)(kernel)
        # numba looks for changes in the kernel's own file only; ours call exponential.py, so the stamp that says
        # whether cached code is still good covers every kernel file.
        compiled._cache._cache_file._source_stamp = _fingerprint()
    except (RuntimeError, OSError, AttributeError):
        _say_once("numpyvae: no writable folder for compiled kernels, so every process compiles them "
                  "again; set NUMBA_CACHE_DIR to a writable folder")
        compiled = numba.njit(**OPTIONS)(kernel)
    if signature is not None:
        compiled.compile(signature)
        compiled.disable_compile()
    return compiled


def _on_two_threads(kernel: Any) -> Callable[..., Any]:
    """The kernel with half of its work done by the second thread."""
    from . import second_thread

    left, right = (loop_for(f"{side}_of_{kernel.__name__}", kernel, all_columns=columns)
                   for side, columns in (("left", left_columns), ("right", right_columns)))
    half = loop_for(f"half_of_{kernel.__name__}", kernel.how_halved, kernel=kernel, left=left, right=right)
    in_halves = jit(loop_for(f"{kernel.__name__}_in_halves", second_thread.in_halves, half=half, steps=kernel.steps))
    given = list(inspect.signature(kernel).parameters)
    filled = operator.itemgetter(*map(given.index, kernel.returns))
    return functools.partial(second_thread.run, in_halves, filled)


@functools.cache
def _fingerprint() -> str:
    """A digest of the source of every kernel."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _say_once(line: str) -> None:
    print(line, file=sys.stderr)


@functools.cache
def _teach_numba_our_exponentials() -> None:
    """Where a kernel calls exponential.exp, compiled code gets the polynomial for the argument's precision."""
    import numba

    for function, single, double in exponential.POLYNOMIALS:
        def choose(x, single=single, double=double):
            return {numba.float32: single, numba.float64: double}.get(x)

        _make_callable_from_kernels(single)
        _make_callable_from_kernels(double)
        numba.extending.overload(function, jit_options=EXACT_ORDER, strict=False)(choose)    # type: ignore[arg-type]


@functools.cache
def _make_callable_from_kernels(function: Callable[..., Any]) -> None:
    """numba cannot call plain Python functions, so the helpers that a kernel names are registered with it."""
    import numba

    polynomials = [plain for plain, _, _ in exponential.POLYNOMIALS]
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if (isinstance(helper, types.FunctionType) and helper not in polynomials
                and helper.__module__ != vectors.__name__):    # its words have instructions of their own
            exact = helper.__module__ == exponential.__name__
            numba.extending.register_jitable(**(EXACT_ORDER if exact else {**OPTIONS, **INSIDE}))(helper)
            _make_callable_from_kernels(helper)
