"""Loops for functional/affine.py; the matrix product itself is matmul.py's."""
import numpy as np

from .matmul import matmul_rows, matmul_tiled


def affine(x, W, b):
    """x @ W + b."""
    y = np.empty((x.shape[0], W.shape[1]), x.dtype)
    matmul_tiled(x, W, y)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += b[j]
    return y


def affine_backward(dy, x, W):
    """dy @ W.T, x.T @ dy, dy.sum(axis=0)."""
    dx = np.empty_like(x)
    dW = np.empty_like(W)
    db = np.zeros(W.shape[1], W.dtype)
    matmul_rows(dy, W, dx)
    matmul_tiled(x.T, dy, dW)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            db[j] += dy[i, j]
    return dx, dW, db
