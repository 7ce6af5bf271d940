"""x W + b, and the matrix product itself."""
from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from .. import kernels
from ..twin import MaybeArray, twin

# NumPy's BLAS uses two threads and is faster; NUMPYVAE_MATMUL=numba, read at import, selects our own tiled product.
NUMBA_MULTIPLIES = os.environ.get("NUMPYVAE_MATMUL") == "numba"


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


@twin(kernels.matmul.matmul_tiled, writes=("out",), wrt=(), a="B I", b="I O", out="B O")
def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """a @ b, written to out: a (B, I), b (I, O), out (B, O)."""
    return np.matmul(a, b, out=out)


@twin(kernels.matmul.matmul_rows, writes=("out",), wrt=(), a="B I", b="O I", out="B O")
def product_of_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """a @ b.T, written to out: a (B, I), b (O, I), out (B, O)."""
    return np.matmul(a, b.T, out=out)


def _product_of_copies(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `product`, also for transposed views a or b, which the kernel does not take."""
    return product(np.ascontiguousarray(a), np.ascontiguousarray(b), out)


matmul: Callable[..., np.ndarray] = _product_of_copies if NUMBA_MULTIPLIES else np.matmul    # what layers call

FEW_ROWS, LONG_ROW = 32, 128    # where our loop on one thread beats BLAS on two (RESULTS.md, "The matrix product")


def matmul_transposed(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """a @ b.T, written to out, by whichever is faster: a (B, I), b (O, I), out (B, O)."""
    if NUMBA_MULTIPLIES or (len(a) <= FEW_ROWS and a.shape[1] >= LONG_ROW):
        return product_of_rows(a, b, out)
    return matmul(a, b.T, out=out)


# OpenBLAS does not copy the operands of a product of at most this many multiplications.  Where a sum over many rows
# yields few numbers, such as the gradient for 3 x 3 weights of 32 channels, doing it in pieces takes half the time.
SMALL_PRODUCT, FEW_NUMBERS = 10**6, 1000


def add_transposed_matmul(a: np.ndarray, b: np.ndarray, total: np.ndarray, scratch: np.ndarray) -> None:
    """total += a.T @ b, in pieces where that is faster: a (B, I), b (B, O), total and scratch (I, O)."""
    rows = SMALL_PRODUCT // total.size if total.size <= FEW_NUMBERS else len(a)
    for i in range(0, len(a), rows):
        total += matmul(a[i:i + rows].T, b[i:i + rows], out=scratch)
