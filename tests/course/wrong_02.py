import numpy as np


def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


def safe(a, h):
    return np.abs(a) >= h


def sample_z(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * eps


BUGS = {1: "no activation derivative", 2: "mean for sum", 3: "half of the batch"}
RIGHT = {"dense_backward": dense_backward, "safe": safe, "bugs": BUGS, "sample_z": sample_z}

WRONG = {
    "dense_backward": [
        (lambda dy, x, W: (W @ dy.T, x.T @ dy, dy.sum(axis=0)), "dx is transposed"),
        (lambda dy, x, W: (dy @ W.T, dy.T @ x, dy.sum(axis=0)), "dW is transposed"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy / len(x), dy.sum(axis=0)), "dW is a mean over the batch"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy), "db is not summed"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy.mean(axis=0)), "db is a mean"),
        (lambda dy, x, W: (dy @ W.T, -x.T @ dy, dy.sum(axis=0)), "dW has the wrong sign"),
        (lambda dy, x, W: dy @ W.T, "expected three arrays"),
    ],
    "safe": [
        (lambda a, h: np.abs(a) < h, "the other way round"),
        (lambda a, h: a >= h, "both sides count"),
        (lambda a, h: a > 0, "ReLU's own mask"),
        (lambda a, h: a != 0, "near the kink is unsafe too"),
        (lambda a, h: np.abs(a) >= 2 * h, "not 2 h"),
        (lambda a, h: a, "expected booleans"),
    ],
    "bugs": [
        ({**BUGS, 2: "transpose"}, "bug 2 is something else"),
        ({1: "half of the batch", 2: "mean for sum", 3: "no activation derivative"}, "bug 1 is something else"),
        ("transpose", "expected a dictionary"),
    ],
    "sample_z": [
        (lambda mu, logvar, eps: mu + np.exp(logvar) * eps, "the bug itself"),
        (lambda mu, logvar, eps: mu + logvar * eps, "logvar is a logarithm"),
        (lambda mu, logvar, eps: mu + eps, "scale it"),
        (lambda mu, logvar, eps: mu + np.exp(logvar / 2) * np.random.standard_normal(mu.shape), "off by"),
        (lambda mu, logvar, eps: mu, "no noise"),
    ],
}
