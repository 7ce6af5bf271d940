"""The exercises of lesson 11: a convolution and its transpose by loops, sizes, a label's layer, what it costs."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..functional.convolution import conv2d_matrix, conv_size, transposed_size
from ..twin import kernels_off
from .check import exercise, expect, expect_parts

Array = np.ndarray


def matrix(w: Array, shape: tuple[int, int], stride: int, padding: int) -> Array:
    """Of the convolution of a grey picture with one window; without kernels, which might take long to compile."""
    with kernels_off():
        return conv2d_matrix(w[:, :, None, None], (*shape, 1), (stride, stride), (padding, padding))


def draw_case(rng: np.random.Generator) -> tuple[tuple[int, int], Array, int, int, tuple[int, int]]:
    """The shape of a picture that is not square, a window that is not, stride, padding, the number of places."""
    stride, padding = 2, 1
    shape = tuple(int(side) for side in rng.choice([[6, 9], [9, 6], [8, 11], [11, 8]]))
    w = rng.standard_normal((3, 4) if rng.random() < 0.5 else (4, 3))
    places = conv_size(shape[0], w.shape[0], stride, padding), conv_size(shape[1], w.shape[1], stride, padding)
    return (shape[0], shape[1]), w, stride, padding, places


@exercise("x", "w", "stride", "padding")
def convolve(answer: Any, rng: np.random.Generator) -> None:
    shape, w, stride, padding, places = draw_case(rng)
    x = rng.standard_normal(shape)

    def result(x: Array, w: Array, stride: int, padding: int) -> Array:
        places = [conv_size(side, size, stride, padding) for side, size in zip(x.shape, w.shape)]
        return (matrix(w, (x.shape[0], x.shape[1]), stride, padding) @ x.ravel()).reshape(places)
    right = result(x, w, stride, padding)
    expect(answer(x, w, stride, padding), right, "y", {
        "the window is flipped; the weights stand in the order of the pixels":
            result(x, w[::-1, ::-1], stride, padding),
        "the padding is missing": result(x, w, stride, 0),
        "the stride is missing: the window moves `stride` pixels at a time": result(x, w, 1, padding),
        "stride and padding are missing": result(x, w, 1, 0),
        "the mean over the window is taken; add up": right / w.size,
        "the padding stands on two sides only; put zeros all around":
            result(np.pad(x, ((2 * padding, 0), (2 * padding, 0))), w, stride, 0),
        "the edge's pixels are repeated; the padding is zeros": result(np.pad(x, padding, mode="edge"), w, stride, 0),
        "the last place is left out in one direction or both: there are floor((H + 2 m - K) / s) + 1": [
            right[:-1, :-1], right[:-1], right[:, :-1]],
        "that is the sum over all places; each has its own": right.sum()})


@exercise("y", "w", "stride", "padding", "shape")
def paint(answer: Any, rng: np.random.Generator) -> None:
    shape, w, stride, padding, places = draw_case(rng)
    y = rng.standard_normal(places)

    def result(y: Array, w: Array, shape: tuple[int, int]) -> Array:
        return (matrix(w, shape, stride, padding).T @ y.ravel()).reshape(shape)

    def painted(add: bool, y: Array = y, cut: int = padding) -> Array:
        padded = np.zeros((shape[0] + 2 * padding, shape[1] + 2 * padding))
        for p, q in np.ndindex(*places):
            window = np.s_[stride * p:stride * p + w.shape[0], stride * q:stride * q + w.shape[1]]
            padded[window] = y[p, q] * w + (padded[window] if add else 0)
        return padded[cut:padded.shape[0] - cut, cut:padded.shape[1] - cut]
    right = result(y, w, shape)
    expect(answer(y, w, stride, padding, shape), right, "the picture", {
        "where windows overlap the later one replaces the earlier; add them up": painted(False),
        "the window is flipped; a pixel goes back with the weight with which it came": result(y, w[::-1, ::-1], shape),
        "the padding is still there: cut it off": painted(True, cut=0),
        "every window is painted with its bare weights; multiply by y": painted(True, np.ones(places)),
        "the padding is cut off below and on the right alone":
            painted(True, cut=0)[:shape[0], :shape[1]],
        "the padding is cut off above and on the left alone":
            painted(True, cut=0)[2 * padding:, 2 * padding:],
        "what overlaps is averaged; add it up": right / np.maximum(painted(True, np.ones(places)) * 0 + (
            matrix(np.ones(w.shape), shape, stride, padding).T @ np.ones(y.size)).reshape(shape), 1)})


@exercise("H", "K", "s", "m")
def sizes(answer: Any, rng: np.random.Generator) -> None:
    K, s, m, n = int(rng.integers(8, 10)), 7, int(rng.integers(1, 3)), int(rng.choice([3, 5, 6]))
    P = int(rng.integers(5, 7))    # no two of K, s, m and P are the same
    H = (P - 1) * s - 2 * m + K + n    # of these no two mistakes give the same n
    expect_parts(
        answer(H, K, s, m), "numbers",
        P=(P, {"P: the + 1 is missing: the first window needs no step": P - 1,
               "P: the quotient is rounded down: what is left over is not seen": [(H + 2 * m - K) / s + 1, P + 1],
               "P: the padding stands on both sides, so it counts twice": (H + m - K) // s + 1,
               "P: the padding is missing": (H - K) // s + 1,
               "P: the padding makes the picture larger, not smaller": (H - 2 * m - K) // s + 1,
               "P: the first window takes K pixels, which leave H + 2 m - K to step over": (H + 2 * m) // s + 1}),
        n=(n, {
            "n: that is the side which the transposed one restores without n; n is what is lacking to H":
                transposed_size(P, K, s, m, 0),
            "n has the wrong sign: it is H minus what comes back without it": transposed_size(P, K, s, m, 0) - H,
            "n: P windows cover (P - 1) s + K pixels, as the first takes K": H - (P * s - 2 * m + K),
            "n: 2 m of the pixels that the windows cover are padding": [H - ((P - 1) * s + K),
                                                                        H - ((P - 1) * s - m + K)]}))


@exercise("dy", "z", "c", "W")
def labelled_backward(answer: Any, rng: np.random.Generator) -> None:
    B, Z, C, H = 6, 3, 4, 5
    dy, z, W = rng.standard_normal((B, H)), rng.standard_normal((B, Z)), rng.standard_normal((Z + C, H))
    c = np.eye(C)[rng.permutation([0, 0, 1, 2, 2, 3])]
    whole, dW = dy @ W.T, np.concatenate([z, c], axis=1).T @ dy
    expect_parts(
        answer(dy, z, c, W), "arrays",
        dz=(whole[:, :Z], {
            "dz holds the label's gradient too: nobody can change a label, so keep z's columns alone": whole,
            "dz has the last columns; z stands first in [z, c]": [whole[:, -Z:], whole[:, Z:]],
            "dz is a mean over the batch; each row has its own": whole[:, :Z] / B,
            "that is the label's gradient; z stands first in [z, c]": whole[:, Z:]}),
        dW=(dW, {
            "dW lacks the label's rows: those weights are learned too": dW[:Z],
            "dW has zeros in the label's rows: those weights are learned too":
                np.concatenate([dW[:Z], np.zeros((C, H))]),
            "dW has the label's rows first; z stands first in [z, c]": np.concatenate([dW[Z:], dW[:Z]]),
            "dW is a mean over the batch; the mean is in dy already": dW / B,
            "dW is transposed": dW.T,
            "dW's label rows are the sum over the whole batch; a row belongs to the pictures of its class":
                np.concatenate([dW[:Z], np.tile(dy.sum(axis=0), (C, 1))])}))


@exercise("C", "O", "K", "P", "Q")
def count(answer: Any, rng: np.random.Generator) -> None:
    C, K = (int(n) for n in rng.choice([(4, 3), (5, 2), (7, 2)]))    # so few that the biases count
    O, P, Q = (int(n) for n in rng.choice([6, 8, 9, 11, 13], 3, replace=False))
    expect_parts(
        answer(C, O, K, P, Q), "numbers",
        weights=(K * K * C * O + O, {
            "the biases are missing: one for each output channel": K * K * C * O,
            "each output channel has one bias; C is the number of input channels": K * K * C * O + C,
            "one bias for all is too few: each output channel has its own": K * K * C * O + 1,
            "the same weights serve at every place, so P and Q play no part": P * Q * (K * K * C * O + O),
            "the window is K times K": K * C * O + O,
            "the window sees every input channel: C is missing": K * K * O + O,
            "each output channel has a window of its own: O is missing": [K * K * C + O, K * K * C + 1, K * K * C]}),
        multiplications=(P * Q * K * K * C * O, {
            "every weight is used at each of the P Q places": K * K * C * O,
            "a bias is added, not multiplied": [P * Q * (K * K * C * O + O), P * Q * K * K * C * O + O],
            "the window is K times K": P * Q * K * C * O,
            "the window sees every input channel: C is missing": P * Q * K * K * O,
            "each output channel needs its own: O is missing": P * Q * K * K * C,
            "a dense layer would need (P Q)^2 or more; a window looks at K times K pixels": (P * Q)**2 * C * O}))
