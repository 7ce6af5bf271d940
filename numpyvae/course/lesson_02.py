"""The exercises of lesson 2: a dense layer's backward pass, the kink, three bugs, and one that no check sees."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect

BUGS = {1: "no activation derivative", 2: "mean for sum", 3: "half of the batch"}
HINTS = {1: "all of dW is wrong and db is right: what do the two share, and where do they differ?",
         2: "only db is wrong: by which factor?", 3: "all of dW is wrong and db is right, so the slopes are there"}


@exercise
def dense_backward(answer: Any, rng: np.random.Generator) -> None:
    dy, x, W = rng.standard_normal((4, 3)), rng.standard_normal((4, 5)), rng.standard_normal((5, 3))
    result = answer(dy, x, W)
    if not isinstance(result, (tuple, list)) or len(result) != 3:
        raise NotYet("expected three arrays: dx, dW, db")
    dx, dW, db = result
    expect(dx, dy @ W.T, "dx", {"dx is transposed, (I, B): write dy @ W.T": W @ dy.T})
    expect(dW, x.T @ dy, "dW", {"dW is transposed, (O, I): write x.T @ dy": dy.T @ x,
                                "dW is a mean over the batch; the chain rule adds the rows": x.T @ dy / 4})
    expect(db, dy.sum(axis=0), "db", {"db is not summed over the batch: the bias is added to every row": dy,
                                      "db is a mean over the batch; the chain rule adds the rows": dy.mean(axis=0),
                                      "db is summed over the outputs; sum over the batch, axis 0": dy.sum(axis=1)})


@exercise
def safe(answer: Any, rng: np.random.Generator) -> None:
    h = 0.1
    sizes = np.concatenate([rng.uniform(*between, 5) for between in    # on both sides of h / 2, of h and of 2 h
                            ((0.01, 0.04), (0.06, 0.09), (0.11, 0.19), (0.3, 2.0))])
    a = np.concatenate([sizes, -sizes, [0.0]])
    found = np.asarray(answer(a, h))
    if found.shape != a.shape or found.dtype != bool:
        raise NotYet(f"the result has shape {found.shape} and dtype {found.dtype}; expected booleans like a")
    right = np.abs(a) >= h
    for wrong, words in ((~right, "it is the other way round: True where it is safe"),
                         (a >= h, "points far below zero are safe too: both sides count"),
                         (a > 0, "that is ReLU's own mask, not where the difference straddles the kink"),
                         (a != 0, "a point near the kink is unsafe too, not the kink alone"),
                         (np.abs(a) >= 2 * h, "the difference reaches h to each side, not 2 h"),
                         (np.abs(a) >= h / 2, "the difference reaches h to each side, not h / 2")):
        if np.array_equal(found, wrong):
            raise NotYet(words)
    if not np.array_equal(found, right):
        raise NotYet(f"{np.sum(found != right)} of {len(a)} points are judged wrongly; which a have a - h < 0 < a + h?")


@exercise
def bugs(answer: Any, rng: np.random.Generator) -> None:
    if not isinstance(answer, dict) or set(answer) != set(BUGS):
        raise NotYet("expected a dictionary with the numbers 1, 2, 3, each with the name of a bug")
    wrong = [number for number in BUGS if answer[number] != BUGS[number]]
    if wrong:
        raise NotYet("; ".join(f"bug {number} is something else: {HINTS[number]}" for number in wrong))


@exercise
def sample_z(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar, eps = rng.standard_normal((3, 4, 3))
    expect(answer(mu, logvar, eps), mu + np.exp(0.5 * logvar) * eps, "z", {
        "that is the bug itself: exp(logvar) is the variance, and a standard deviation belongs here":
            mu + np.exp(logvar) * eps,
        "logvar is a logarithm: undo it with exp": mu + logvar * eps,
        "the noise has standard deviation 1 here: scale it": mu + eps,
        "there is no noise in it": mu,
        "exp(logvar / 2) is added, not multiplied by the noise": mu + np.exp(0.5 * logvar) + eps,
    })
