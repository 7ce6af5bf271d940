"""The exercises of lesson 2: a dense layer's backward pass, the kink, the complex step, three bugs, one more."""
from __future__ import annotations

from typing import Any

import numpy as np

from .attempt import Unexplained
from .check import NotYet, exercise, expect, expect_names, expect_parts
from .expect import numbers

Array = np.ndarray

BUGS = {1: "half of the batch", 2: "no activation derivative", 3: "mean for sum"}
HINTS = {1: "it is gone with a batch of one row, and before that no entry of dW or db is right: what do they all lack?",
         2: "it is still there with one row, and everything that belongs to one output is too large by one factor",
         3: "only db is wrong, by one factor, and not with one row: what is that factor for six rows?"}
SYNONYMS = {
    "no activation derivative": {"no derivative of the activation", "activation derivative missing", "no slope",
                                 "missing activation derivative", "activation derivative", "missing slope"},
    "mean for sum": {"mean", "mean instead of sum", "mean in place of sum", "mean not sum"},
    "half of the batch": {"half the batch", "half batch", "only half of the batch", "only half the batch"},
    "transpose": {"transposed", "transposition"},
    "wrong sign": {"sign", "sign error", "sign flipped", "flipped sign"}}


# Three wrong backward passes of y = tanh(x W + b), for the pictures of lesson 2: dy, x, y -> dW, db.

def _no_slope(dy: Array, x: Array, y: Array) -> tuple[Array, Array]:
    return x.T @ dy, dy.sum(axis=0)


def _mean_for_sum(dy: Array, x: Array, y: Array) -> tuple[Array, Array]:
    da = dy * (1 - y**2)
    return x.T @ da, da.mean(axis=0)


def _half_of_the_batch(dy: Array, x: Array, y: Array) -> tuple[Array, Array]:
    half = slice(max(1, len(x) // 2))
    da = (dy * (1 - y**2))[half]
    return x[half].T @ da, da.sum(axis=0)


BROKEN = {1: _half_of_the_batch, 2: _no_slope, 3: _mean_for_sum}


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


OFFSET = 1e10    # what the f of the complex step adds: beside it a difference keeps a digit or two


@exercise("f", "x")
def complex_step_gradient(answer: Any, rng: np.random.Generator) -> None:
    x, v = rng.uniform(0.5, 1.5, 4), rng.uniform(0.5, 1.5, 4)
    w = rng.choice([-1.0, 1.0], 4) * rng.uniform(1, 2, 4)
    right = w * v * np.cos(v * x)

    def f(x: Any) -> Any:
        return OFFSET + np.sum(w * np.sin(v * np.asarray(x)))
    found = numbers(answer(f, x), right.shape, "the gradient")
    if not np.any(found):
        raise NotYet("the gradient is 0: the imaginary part was lost. Is x still real, or the real part taken?")
    try:
        expect(found, right, "the gradient", {
            "it is not divided by the step h": 1e-30 * right,
            "each entry has to be put back before the next one is moved": np.cumsum(right),
            "all entries are moved at once: move one at a time": np.full(4, right.sum()),
            "that is the sum over all entries, one number: move one entry at a time, and return (D,)": right.sum(),
            "that is the real part, divided by h; take the imaginary part": np.full(4, f(x) / 1e-30),
            "that is f itself; take the imaginary part of f at x + ih": np.full(4, f(x))})
    except Unexplained as reason:    # "it does not depend on f", found by adding a constant to f, would be no fault
        near = found.shape == right.shape and np.all(np.abs(found - right) < 1)
        advice = "; is it a difference, or a step that is too large? Take np.imag(f(x + ih)) / h with h = 1e-30"
        raise NotYet(f"{reason}{advice if near else ''}") from None


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
