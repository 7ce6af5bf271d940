"""x W + b, and the matrix product itself."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import kernels
from ..kernels.jit import jit
from ..kernels.processor import EVERY, FEW, decide
from ..twin import MaybeArray, kernels_are_on, layout, twin


@twin(None, x="B I", W="I O", b="O")
def affine(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each row of x times W, plus b.

    x : (B, I), W : (I, O), b : (O,)  ->  y : (B, O),          y_bo = sum_i x_bi W_io + b_o
    """
    return x @ W + b


@twin(None, writes=("dW", "db"), dy="B O", x="B I", W="I O", need_dx="flag", dW="I O", db="O")
def affine_backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray, need_dx: bool = True, dW: np.ndarray | None = None,
                    db: np.ndarray | None = None) -> tuple[MaybeArray, np.ndarray, np.ndarray]:
    """Gradients for x, W and b, given the gradient for y; the last two are written to dW and db where these are given.

    dy : (B, O), x : (B, I), W : (I, O)  ->  dx : (B, I), dW : (I, O), db : (O,)

    y_bo = sum_i x_bi W_io + b_o, so by the chain rule

    dx_bi = sum_o dy_bo W_io      i.e.  dx = dy W^T                                     [lesson 2, eq. 2.2]
    dW_io = sum_b x_bi dy_bo      i.e.  dW = x^T dy                                     [lesson 2, eq. 2.3]
    db_o  = sum_b dy_bo                                                                 [lesson 2, eq. 2.4]

    The data need no gradient, so the first layer can skip dx, a third of its work.
    """
    dx = dy @ W.T if need_dx else None
    return dx, np.matmul(x.T, dy, out=dW), np.sum(dy, axis=0, out=db)


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """a @ b, written to out, by BLAS or by a loop of kernels/matmul.py: a (M, K), b (K, N), out (M, N).

    What the processor, the shapes and the layouts are decides who multiplies, so the same product has the same bits
    each time; see kernels/processor.py.
    """
    if not kernels_are_on():
        return np.matmul(a, b, out)
    arrays = layout(a), layout(b), layout(out)
    try:
        multiply = _multipliers[arrays]
    except KeyError:
        if len(_multipliers) > 1000:    # a caller who never repeats a shape must not fill the memory
            _multipliers.clear()
        multiply = _multipliers[arrays] = multiplier(a, b, out)
    return multiply(a, b, out)


_multipliers: dict[tuple[Any, ...], Callable[..., np.ndarray]] = {}    # by the layouts of a, b and out

# Where one thread of ours is no faster than one of BLAS, BLAS multiplies; measured in benchmarks/RESULTS.md, "The
# matrix product".  A small product takes less time than the call of ours; in a large one BLAS is as near to the
# processor's peak; few rows or columns leave much of a tile empty; and a transposed a has to be copied.  Beside a
# second thread of ours it does whatever it can: one of BLAS, once awake, would hold the core that ours needs.
LEAST, MOST = 250_000, 10**8    # multiplications
LEAST_ROWS, LEAST_COLUMNS = 16, 32    # of out
MOST_TERMS_TRANSPOSED = 256
TILE_ROWS, TILE_COLUMNS = 8, 16    # of out, at least; but with fewer columns there is matmul_thin
STRIP_ROWS, BLOCK_TERMS = 16, 16    # M for a transposed a, K for a transposed b, at least
FEW_ROWS = 32    # up to which a panel of b is used too seldom for a copy to pay
LONG_ROW = 128    # of dy and W, where a product of few rows of dy with rows of W beats BLAS on two threads


def multiplier(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[..., np.ndarray]:
    """What multiplies arrays of these layouts; compiled code checks no bounds, so their shapes are checked here."""
    M, K, N = *a.shape, b.shape[1]
    is_transposed = not a.flags.c_contiguous
    if (b.shape[0] != K or out.shape != (M, N) or {a.dtype, b.dtype, out.dtype} != {np.dtype(np.float32)}
            or not out.flags.c_contiguous or is_transposed and not a.T.flags.c_contiguous
            or M < (STRIP_ROWS if is_transposed else TILE_ROWS)):
        return np.matmul
    tile, sizes, _ = decide()
    if tile is None or sizes != EVERY and (
            M < LEAST_ROWS or N < LEAST_COLUMNS or not LEAST <= M * K * N <= MOST
            or is_transposed and K > MOST_TERMS_TRANSPOSED):
        return np.matmul
    if N < TILE_COLUMNS:
        return _compiled(tile.loops["thin"])
    if sizes != FEW and b.flags.c_contiguous:
        return _compiled(tile.loops["strips" if is_transposed else "in_place" if M <= FEW_ROWS else "copied"])
    if not b.T.flags.c_contiguous or K < BLOCK_TERMS:
        return np.matmul
    if M <= FEW_ROWS and K >= LONG_ROW and not is_transposed:
        loop = _compiled(kernels.matmul.matmul_rows)
    elif sizes != FEW:
        loop = _compiled(tile.loops["transposed"])
    else:
        return np.matmul
    return lambda a, b, out: loop(a, b.T, out)


_compiled = functools.cache(functools.partial(jit, signature=kernels.matmul.SIGNATURE))


# OpenBLAS does not copy the operands of a product of at most this many multiplications.  Where a sum over many rows
# yields few numbers, such as the gradient for 3 x 3 weights of 32 channels, doing it in pieces takes half the time.
SMALL_PRODUCT, FEW_NUMBERS = 10**6, 1000


def add_transposed_matmul(a: np.ndarray, b: np.ndarray, total: np.ndarray, scratch: np.ndarray) -> None:
    """total += a.T @ b, in pieces where that is faster: a (B, I), b (B, O), total and scratch (I, O)."""
    rows = SMALL_PRODUCT // total.size if total.size <= FEW_NUMBERS else len(a)
    for i in range(0, len(a), rows):
        total += matmul(a[i:i + rows].T, b[i:i + rows], scratch)
