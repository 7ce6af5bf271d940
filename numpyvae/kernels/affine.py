"""Loops for functional/affine.py: a matrix product whose sum starts at the bias."""
import numpy as np


def affine(x, W, b):
    """x @ W + b, with the inner loop along a row of W and of y, so that memory is walked in order."""
    y = np.empty((x.shape[0], W.shape[1]), x.dtype)
    for i in range(x.shape[0]):
        for j in range(W.shape[1]):
            y[i, j] = b[j]
        for k in range(x.shape[1]):
            x_ik = x[i, k]
            for j in range(W.shape[1]):
                y[i, j] += x_ik * W[k, j]
    return y


def affine_backward(dy, x, W):
    """dy @ W.T, x.T @ dy, dy.sum(axis=0)."""
    dx = np.empty_like(x)
    dW = np.zeros_like(W)
    db = np.zeros(W.shape[1], W.dtype)
    for i in range(x.shape[0]):
        for j in range(W.shape[1]):
            db[j] += dy[i, j]
        for k in range(x.shape[1]):
            x_ik = x[i, k]
            total = x.dtype.type(0)
            for j in range(W.shape[1]):
                total += dy[i, j] * W[k, j]
                dW[k, j] += x_ik * dy[i, j]
            dx[i, k] = total
    return dx, dW, db
