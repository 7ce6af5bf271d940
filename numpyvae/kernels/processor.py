"""Who multiplies matrices on this machine, NumPy's BLAS or our own loops, and why.

What the processor is decides it: its registers and instructions, as LLVM names them, and how many threads BLAS has.  A
stopwatch would decide better, but not always alike, and a seed would not give the same bits each time.
"""
from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from . import matmul

VARIABLE, THREADS = "NUMPYVAE_MATMUL", "NUMPYVAE_THREADS"


class Tile(NamedTuple):
    """A tile of kernels/matmul.py, and the instructions that it is made for."""

    name: str
    instructions: tuple[str, ...]    # as LLVM names them
    loops: dict[str, Callable[..., Any]]    # by the way in which a panel of b is fetched


TILES = (Tile("8 x 48", ("avx512f",), matmul.by_8x48), Tile("6 x 16", ("avx2", "fma"), matmul.by_6x16))


EVERY, FASTER, FEW = "every", "faster", "few"


class Decision(NamedTuple):
    """tile  : ours, or None where BLAS multiplies everything
    sizes : which products are ours: EVERY that a tile fits, those where one thread of ours is FASTER, or those with FEW
            rows of dy, where it is faster than several threads of BLAS
    """

    tile: Tile | None
    sizes: str
    why: str


@functools.cache
def decide() -> Decision:
    """Who multiplies in this process.

    Raises ValueError if NUMPYVAE_MATMUL is neither blas nor numba.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "blas", "numba"):
        raise ValueError(f"the environment's {VARIABLE} is {asked!r}; expected blas or numba, or leave it out")
    if asked == "blas":
        return Decision(None, FEW, f"{VARIABLE} is blas")
    if importlib.util.find_spec("numba") is None:
        return Decision(None, FEW, "numba is not installed")
    known = instructions()
    tile = next((tile for tile in TILES if known.issuperset(tile.instructions)), None)
    if tile is None:
        return Decision(None, FEW, "our tiles are made for AVX-512 or AVX2 with FMA, which this processor lacks")
    has = f"the processor has {' and '.join(tile.instructions)}"
    if asked:
        return Decision(tile, EVERY, f"{has}; {VARIABLE} is numba")
    if threads() == 2:
        return Decision(tile, EVERY, f"{has}, and a second thread of ours helps")
    if blas_threads() == 1:
        return Decision(tile, FASTER, f"{has}, and BLAS has one thread")
    return Decision(tile, FEW, f"{has}, and several threads of BLAS are faster but for few rows")


@functools.cache
def threads() -> int:
    """How many threads our kernels use: 1, or 2 where NUMPYVAE_THREADS says so.

    Raises ValueError if NUMPYVAE_THREADS is neither 1 nor 2.
    """
    asked = os.environ.get(THREADS, "1")
    if asked not in ("1", "2"):
        raise ValueError(f"the environment's {THREADS} is {asked!r}; expected 1 or 2, or leave it out")
    return int(asked)


def instructions() -> set[str]:
    """What numba compiles for: what the processor can do, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say."""
    from numba.core.registry import cpu_target

    _, _, features = cpu_target.target_context.codegen().magic_tuple()    # such as "+avx2,+fma,-avx512f"
    return {word[1:] for word in features.split(",") if word.startswith("+")}


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
