"""The exercises of lesson 2: a dense layer's backward pass, the kink, three bugs, and one that no check sees."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect, expect_names, expect_parts
from .expect import numbers

BUGS = {1: "no activation derivative", 2: "mean for sum", 3: "half of the batch"}
HINTS = {1: "all of dW is wrong and db is right: what do the two share, and where do they differ?",
         2: "only db is wrong: by which factor?", 3: "all of dW is wrong and db is right, so the slopes are there"}
SYNONYMS = {
    "no activation derivative": {"no derivative of the activation", "activation derivative missing", "no slope",
                                 "missing activation derivative", "activation derivative", "missing slope"},
    "mean for sum": {"mean", "mean instead of sum", "mean in place of sum", "mean not sum"},
    "half of the batch": {"half the batch", "half batch", "only half of the batch", "only half the batch"},
    "transpose": {"transposed", "transposition"},
    "wrong sign": {"sign", "sign error", "sign flipped", "flipped sign"}}


@exercise("dy", "x", "W")
def dense_backward(answer: Any, rng: np.random.Generator) -> None:
    dy, x, W = rng.standard_normal((4, 3)), rng.standard_normal((4, 5)), rng.standard_normal((5, 3))
    last = "{} holds the last row of the batch alone: write += in the loop, not ="
    expect_parts(
        answer(dy, x, W), "arrays",
        dx=(dy @ W.T, {"dx is transposed, (I, B): write dy @ W.T": W @ dy.T,
                       "dx holds the last output alone: write += in the loop, not =": np.outer(dy[:, -1], W[:, -1]),
                       "dx is a mean over the batch; each row has its own": dy @ W.T / 4,
                       "dx is a mean over the outputs; the chain rule adds them": dy @ W.T / 3}),
        dW=(x.T @ dy, {"dW is transposed, (O, I): write x.T @ dy": dy.T @ x,
                       "dW is a mean over the batch; the chain rule adds the rows": x.T @ dy / 4,
                       last.format("dW"): np.outer(x[-1], dy[-1]),
                       "dW is the product of the two sums; sum the products":
                           np.outer(x.sum(axis=0), dy.sum(axis=0)),
                       "dW does not use dy": np.repeat(x.sum(axis=0)[:, None], 3, axis=1)}),
        db=(dy.sum(axis=0), {"db is not summed over the batch: the bias is added to every row": dy,
                             "db is a mean over the batch; the chain rule adds the rows": dy.mean(axis=0),
                             "db is one number; each output has its own: sum over axis 0 alone": dy.sum(),
                             last.format("db"): dy[-1],
                             "db is summed over the outputs; sum over the batch, axis 0": dy.sum(axis=1)}))


@exercise("a", "h")
def safe(answer: Any, rng: np.random.Generator) -> None:
    h = float(rng.uniform(0.05, 0.2))
    between = ((0.1, 0.4), (0.6, 0.9), (0.9998, 0.9998), (1.0002, 1.0002), (1.1, 1.9), (3.0, 20.0))
    sizes = h * np.concatenate([rng.uniform(*ends, 5) for ends in between])    # on both sides of h / 2, of h and of 2 h
    near_root = np.sqrt(h) * np.array([0.95, 0.98, 1.02, 1.05])
    a = rng.permutation(np.concatenate([sizes, near_root, -sizes, -near_root, [0.0]]))
    found = numbers(answer(a, h), a.shape, "the result")
    if found.shape != a.shape or not np.isin(found, (0, 1)).all():
        what = "holds other numbers than 0 and 1" if found.shape == a.shape else f"has shape {found.shape}"
        raise NotYet(f"the result {what}; expected booleans like a, of shape {a.shape}")
    found = found.astype(bool)
    right = np.abs(a) >= h
    for wrong, words in ((~right, "it is the other way round: True where it is safe"),
                         (a >= h, "points far below zero are safe too: both sides count"),
                         (a <= -h, "points far above zero are safe too: both sides count"),
                         (a > 0, "that is ReLU's own mask, not where the difference straddles the kink"),
                         (a != 0, "a point near the kink is unsafe too, not the kink alone"),
                         (np.abs(a) >= 2 * h, "the difference reaches h to each side, not 2 h"),
                         (np.abs(a) >= h / 2, "the difference reaches h to each side, not h / 2"),
                         (a**2 >= h, "the square of a is compared with h; square both, or take the absolute value"),
                         (np.full(a.shape, True), "True everywhere: near the kink it is not safe"),
                         (np.full(a.shape, False), "False everywhere: far from the kink it is safe")):
        if np.array_equal(found, wrong):
            raise NotYet(words)
    if not np.array_equal(found, right):
        raise NotYet(f"{np.sum(found != right)} of {len(a)} points are judged wrongly; which a have a - h < 0 < a + h?")


@exercise()
def bugs(answer: Any, rng: np.random.Generator) -> None:
    expect_names(answer, BUGS, HINTS, SYNONYMS, "bug ", "the numbers 1, 2, 3, each with the name of a bug")


@exercise("mu", "logvar", "eps")
def sample_z(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar, eps = rng.standard_normal((3, 4, 3))
    expect(answer(mu, logvar, eps), mu + np.exp(0.5 * logvar) * eps, "z", {
        "that is the bug itself: exp(logvar) is the variance, and a standard deviation belongs here":
            mu + np.exp(logvar) * eps,
        "logvar is a logarithm: undo it with exp": mu + logvar * eps,
        "logvar is a logarithm: undo it with exp, and take the root": mu + np.sqrt(np.abs(logvar)) * eps,
        "half of logvar is a logarithm: undo it with exp": mu + 0.5 * logvar * eps,
        "the sign of logvar is flipped: exp(-logvar / 2) is 1 / sigma": mu + np.exp(-0.5 * logvar) * eps,
        "the root is taken before exp, of the half: sigma is exp(logvar / 2)": mu + 0.5 * np.exp(logvar) * eps,
        "the noise has standard deviation 1 here: scale it": mu + eps,
        "there is no noise in it": mu,
        "mu is missing": np.exp(0.5 * logvar) * eps,
        "the noise is subtracted; by the formula it is added": mu - np.exp(0.5 * logvar) * eps,
        "mu is scaled too: only the noise is multiplied by sigma": (mu + eps) * np.exp(0.5 * logvar),
        "exp(logvar / 2) is added, not multiplied by the noise": mu + np.exp(0.5 * logvar) + eps,
    })
