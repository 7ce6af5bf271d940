"""x W + b, the one place where a dense network multiplies matrices."""
from __future__ import annotations

import os

import numpy as np

from .. import kernels
from ..twin import twin


def numba_multiplies() -> bool:
    """Whether our own kernels do the matrix products (NUMPYVAE_MATMUL=numba); else NumPy's BLAS, which is faster."""
    return os.environ.get("NUMPYVAE_MATMUL") == "numba"


@twin(kernels.affine.affine, when=numba_multiplies, x="B I", W="I O", b="O")
def affine(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each row of x times W, plus b.

    x : (B, I), W : (I, O), b : (O,)  ->  y : (B, O),          y_bo = sum_i x_bi W_io + b_o
    """
    return x @ W + b


@twin(kernels.affine.affine_backward, when=numba_multiplies, dy="B O", x="B I", W="I O")
def affine_backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients for x, W and b, given the gradient for y.

    dy : (B, O), x : (B, I), W : (I, O)  ->  dx : (B, I), dW : (I, O), db : (O,)

    y_bo = sum_i x_bi W_io + b_o, so by the chain rule

    dx_bi = sum_o dy_bo W_io      i.e.  dx = dy W^T
    dW_io = sum_b x_bi dy_bo      i.e.  dW = x^T dy
    db_o  = sum_b dy_bo                                                              [lesson 2]
    """
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)
