"""Class labels as columns of their own, one-hot, beside what a network is told."""
from __future__ import annotations

import numpy as np

from ..twin import twin

Array = np.ndarray


@twin(None, wrt=("x",), x="B I", c="B C")
def concatenate(x: Array, c: Array) -> Array:
    """y = [x, c]: each row of x with what is known beside it, (B, I), (B, C) -> (B, I + C)."""
    return np.concatenate([x, c], axis=1)


@twin(None, dy="B J", x="B I")
def concatenate_backward(dy: Array, x: Array) -> Array:
    """The gradient for x: as y = [x, c] copies, the first I columns of dy.  Nobody asks how a label should change."""
    return dy[:, :x.shape[1]].copy()


def one_hot(labels: Array, n_classes: int, dtype: np.dtype) -> Array:
    """A row for each label, 1 in its own column, 0 elsewhere: (B,) whole numbers -> (B, n_classes)."""
    rows = np.zeros((len(labels), n_classes), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows
