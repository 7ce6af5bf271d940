"""Class labels, one-hot, as extra columns of a network's input."""
from __future__ import annotations

import numpy as np

from ..twin import twin

Array = np.ndarray


@twin(None, wrt=("x",), x="B I", c="B C")
def concatenate(x: Array, c: Array) -> Array:
    """y = [x, c]: each row of x with its one-hot label appended, (B, I), (B, C) -> (B, I + C)."""
    return np.concatenate([x, c], axis=1)


@twin(None, dy="B J", x="B I")
def concatenate_backward(dy: Array, x: Array) -> Array:
    """The gradient for x: y = [x, c] copies x, so it is the first I columns of dy.  Labels need no gradient.

    [lesson 11, eq. 11.7]
    """
    return dy[:, :x.shape[1]].copy()


def one_hot(labels: Array, n_classes: int, dtype: np.dtype) -> Array:
    """A row for each label, 1 in the label's column, 0 elsewhere: (B,) whole numbers -> (B, n_classes)."""
    rows = np.zeros((len(labels), n_classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows
