import numpy as np


def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


def safe(a, h):
    return np.abs(a) >= h


def sample_z(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * eps


def complex_step_gradient(f, x):
    gradient = np.zeros(len(x))
    for i in range(len(x)):
        moved = x.astype(complex)
        moved[i] += 1e-30j
        gradient[i] = np.imag(f(moved)) / 1e-30
    return gradient


def difference(f, x, h=1e-5):
    unit = np.eye(len(x))
    return np.array([(f(x + h * one) - f(x - h * one)) / (2 * h) for one in unit])


def never_put_back(f, x):
    x = x.astype(complex)
    gradient = np.zeros(len(x))
    for i in range(len(x)):
        x[i] += 1e-30j
        gradient[i] = np.imag(f(x)) / 1e-30
    return gradient


BUGS = {1: "half of the batch", 2: "no activation derivative", 3: "mean for sum"}
RIGHT = {"dense_backward": dense_backward, "safe": safe, "complex_step_gradient": complex_step_gradient, "bugs": BUGS,
         "sample_z": sample_z}

WRONG = {
    "dense_backward": [
        (lambda dy, x, W: (W @ dy.T, x.T @ dy, dy.sum(axis=0)), "dx is transposed"),
        (lambda dy, x, W: (dy @ W.T, dy.T @ x, dy.sum(axis=0)), "dW is transposed"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy / len(x), dy.sum(axis=0)), "dW is a mean over the batch"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy), "db is not summed"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy.mean(axis=0)), "db is a mean"),
        (lambda dy, x, W: (dy @ W.T, -x.T @ dy, dy.sum(axis=0)), "dW has the wrong sign"),
        (lambda dy, x, W: dy @ W.T, "expected three arrays"),
        (lambda dy, x, W: (dy @ W.T, np.outer(x[-1], dy[-1]), dy.sum(axis=0)),
         "2 of 3 are right; dW holds the last row"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy[-1]), "2 of 3 are right; db holds the last row"),
        (lambda dy, x, W: (dy @ W.T, dy.sum(axis=0), x.T @ dy), "dW and db are swapped"),
        (lambda dy, x, W: (dy @ W.T, x.T @ dy, dy.sum()), "each output has its own"),
        (lambda dy, x, W: (dy @ W.T, np.outer(x.sum(axis=0), dy.sum(axis=0)), dy.sum(axis=0)), "sum the products"),
        (lambda dy, x, W: None or dy.fill(0), "is `return` missing"),
    ],
    "safe": [
        (lambda a, h: np.abs(a) < h, "the other way round"),
        (lambda a, h: a >= h, "both sides count"),
        (lambda a, h: a > 0, "ReLU's own mask"),
        (lambda a, h: a != 0, "near the kink is unsafe too"),
        (lambda a, h: np.abs(a) >= 2 * h, "not 2 h"),
        (lambda a, h: a, "expected booleans"),
        (lambda a, h: np.abs(a) >= 0.1, ""),
        (lambda a, h: np.abs(a) >= h / 2, "not h / 2"),
        (lambda a, h: a**2 >= h, "square of a"),
        (lambda a, h: np.full(a.shape, True), "True everywhere"),
        (lambda a, h: np.sign(np.abs(a) - h), "expected booleans"),
        (lambda a, h: "safe", "the result is str"),
    ],
    "complex_step_gradient": [
        (difference, "is it a difference"),
        (lambda f, x: difference(f, x, 1e-3), ""),
        (never_put_back, "has to be put back"),
        (lambda f, x: 1e-30 * complex_step_gradient(f, x), "not divided by the step"),
        (lambda f, x: np.full(len(x), np.imag(f(x + 1e-30j)) / 1e-30), "all entries are moved at once"),
        (lambda f, x: np.imag(f(x + 1e-30j)) / 1e-30, "one number"),
        (lambda f, x: np.array([np.real(f(x + 1e-30j * one)) / 1e-30 for one in np.eye(len(x))]), "the real part"),
        (lambda f, x: np.array([np.imag(f(np.real(x + 1e-30j * one))) / 1e-30 for one in np.eye(len(x))]),
         "the imaginary part was lost"),
        (lambda f, x: np.array([np.imag(f(x + 0.1j * one)) / 0.1 for one in np.eye(len(x))]), "a step that is too"),
        (lambda f, x: -complex_step_gradient(f, x), "wrong sign"),
        (lambda f, x: np.array([f(x + 1e-30j * one) for one in np.eye(len(x))]), "is complex"),
        (lambda f, x: 2 * complex_step_gradient(f, x), "2 times what it should be"),
    ],
    "bugs": [
        ({**BUGS, 2: "transpose"}, "bug 2 is something else"),
        ({1: "no activation derivative", 2: "half of the batch", 3: "mean for sum"}, "bug 1 is something else"),
        ("transpose", "expected a dictionary"),
        ({**BUGS, 2: "transposition"}, "2 of 3 are right; bug 2 is something else"),
        ({**BUGS, 3: "the weather"}, "bug 3 is none of the names"),
        ({**BUGS, 3: None}, "bug 3 is none of the names"),
    ],
    "sample_z": [
        (lambda mu, logvar, eps: mu + np.exp(logvar) * eps, "the bug itself"),
        (lambda mu, logvar, eps: mu + logvar * eps, "logvar is a logarithm"),
        (lambda mu, logvar, eps: mu + eps, "scale it"),
        (lambda mu, logvar, eps: mu + np.exp(logvar / 2) * np.random.standard_normal(mu.shape), "off by"),
        (lambda mu, logvar, eps: mu, "no noise"),
        (lambda mu, logvar, eps: mu + np.exp(-logvar / 2) * eps, "1 / sigma"),
        (lambda mu, logvar, eps: mu - np.exp(logvar / 2) * eps, "subtracted"),
        (lambda mu, logvar, eps: np.exp(logvar / 2) * eps, "mu is missing"),
        (lambda mu, logvar, eps: np.float64(1), "has shape ()"),
    ],
}


def summed(dy, x, W):
    dW = np.zeros(W.shape)
    for row in range(len(x)):
        dW += np.outer(x[row], dy[row])
    return np.einsum("bo,io->bi", dy, W), dW, sum(dy)


ALSO_RIGHT = {
    "dense_backward": [summed, lambda dy, x, W: {"dx": dy @ W.T, "dW": x.T @ dy, "db": dy.sum(axis=0)}],
    "safe": [lambda a, h: np.abs(a) > h, lambda a, h: [abs(one) >= h for one in a],
             lambda a, h: (np.abs(a) >= h).astype(int), lambda a, h: (np.abs(a) >= h).astype(float),
             lambda a, h: (a - h) * (a + h) >= 0],
    "complex_step_gradient": [
        lambda f, x: [np.imag(f(x + 1e-20j * one)) / 1e-20 for one in np.eye(len(x))],
        lambda f, x: np.array([f(x + 1e-30j * one).imag / 1e-30 for one in np.eye(len(x))])],
    "bugs": [{1: "half-of-the-batch", 2: "No activation derivative ", 3: " MEAN for sum"},
             {"1": "half the batch", "2": "missing activation derivative", "3": "mean instead of sum"},
             list(BUGS.values()), {np.int64(key): name for key, name in BUGS.items()}],
    "sample_z": [lambda mu, logvar, eps: mu + np.sqrt(np.exp(logvar)) * eps],
}
