"""The exercises of lesson 7: the five steps, the whole gradient, nearest neighbours."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect

Array = np.ndarray
B, D, H, Z, G = 4, 6, 5, 2, 3
STEPS = ("h", "mu", "s", "z", "g", "a", "L")


def draw_case(rng: np.random.Generator) -> tuple[Array, Array, dict[str, Array]]:
    """x, eps, p; small weights, so that no tanh saturates: where g is 1, even a wrong formula gives the right ds."""
    shapes = {"W1": (D, H), "b1": (H,), "Wmu": (H, Z), "bmu": (Z,), "Ws": (H, Z), "bs": (Z,), "W2": (Z, G), "b2": (G,),
              "W3": (G, D), "b3": (D,)}
    return rng.random((B, D)), rng.standard_normal((B, Z)), {k: 0.3 * rng.standard_normal(n) for k, n in shapes.items()}


def forward(x: Array, eps: Array, p: dict[str, Any]) -> tuple[Any, ...]:
    """The five steps, done right; complex weights work too."""
    h = np.tanh(x @ p["W1"] + p["b1"])
    mu, s = h @ p["Wmu"] + p["bmu"], h @ p["Ws"] + p["bs"]
    z = mu + np.exp(s / 2) * eps
    g = np.tanh(z @ p["W2"] + p["b2"])
    a = g @ p["W3"] + p["b3"]
    nll = np.sum(np.log(1 + np.exp(a)) - x * a, axis=1)
    return h, mu, s, z, g, a, np.mean(nll + 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1))


@exercise
def five_steps(answer: Any, rng: np.random.Generator) -> None:
    x, eps, p = draw_case(rng)
    result = answer(x, eps, p)
    if not isinstance(result, (tuple, list)) or len(result) != len(STEPS):
        raise NotYet(f"expected seven values: {', '.join(STEPS)}")
    h, mu, s, z, g, a, loss = forward(x, eps, p)
    nll = np.sum(np.log(1 + np.exp(a)) - x * a, axis=1)
    kl = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1)
    mistakes: dict[str, dict[str, Any]] = {
        "h": {"h lacks its tanh": x @ p["W1"] + p["b1"], "h lacks its bias": np.tanh(x @ p["W1"])},
        "mu": {"mu has a tanh; it is linear, and may be any number": np.tanh(mu)},
        "s": {"s has a tanh; it is linear": np.tanh(s), "s is log sigma^2 itself: no exp": np.exp(s)},
        "z": {"z is sampled with exp(s), which is the variance; sigma is exp(s / 2)": mu + np.exp(s) * eps,
              "z has no noise": mu, "z is sampled with s itself": mu + s * eps},
        "a": {"a went through the sigmoid; the loss takes logits": 1 / (1 + np.exp(-a)),
              "a lacks its bias": g @ p["W3"]},
        "L": {"the NLL is a mean over pixels; sum them": np.mean(nll) / D + np.mean(kl),
              "the loss is summed over the batch; take the mean": np.sum(nll + kl),
              "the loss lacks the KL": np.mean(nll),
              "the loss lacks the NLL": np.mean(kl),
              "the KL is subtracted": np.mean(nll - kl),
              "that is one loss per row; take the mean over the batch": nll + kl}}
    for name, found, right in zip(STEPS, result, (h, mu, s, z, g, a, loss)):
        expect(found, right, name, mistakes.get(name))


@exercise
def whole_gradient(answer: Any, rng: np.random.Generator) -> None:
    x, eps, p = draw_case(rng)
    h, mu, s, z, g, a, _ = forward(x, eps, p)
    found = answer(x, eps, p, h, mu, s, z, g, a)
    if not isinstance(found, dict) or set(found) != set(p):
        raise NotYet(f"expected a dictionary with {', '.join(p)}")

    def numeric(name: str) -> Array:
        gradient = np.empty(p[name].shape)
        for index in np.ndindex(gradient.shape):
            moved = p[name].astype(complex)
            moved[index] += 1e-30j
            gradient[index] = forward(x, eps, {**p, name: moved})[-1].imag / 1e-30
        return gradient
    reason = {"b3": "b3 comes first on the way back: da = (sigmoid(a) - x) / B",
              "W3": "W3 is wrong though b3 is right: dW3 = g^T da", "b2": "the error enters in dt = dg (1 - g^2)",
              "W2": "W2 is wrong though b2 is right: dW2 = z^T dt",
              "bmu": "the error enters in dmu = dz + mu / B: two paths meet there",
              "Wmu": "Wmu is wrong though bmu is right: dWmu = h^T dmu",
              "bs": "the error enters in ds = dz exp(s/2) eps / 2 + (exp(s) - 1) / (2 B)",
              "Ws": "Ws is wrong though bs is right: dWs = h^T ds",
              "b1": "the error enters in dh = dmu Wmu^T + ds Ws^T or in du = dh (1 - h^2)",
              "W1": "W1 is wrong though b1 is right: dW1 = x^T du"}
    rights = {name: numeric(name) for name in reason}
    if all(np.allclose(found[name], B * rights[name]) for name in reason):
        raise NotYet("every gradient is B times too large: the loss is a mean over the batch")
    for name, words in reason.items():
        shape = np.shape(found[name])
        if shape != p[name].shape:
            raise NotYet(f"the gradient for {name} has shape {shape}; expected {p[name].shape}")
        if not np.allclose(found[name], rights[name], rtol=1e-6, atol=1e-9):
            raise NotYet(words)


@exercise
def nearest_labels(answer: Any, rng: np.random.Generator) -> None:
    train, test = rng.standard_normal((40, 2)) * np.array([1.0, 3.0]), rng.standard_normal((30, 2))
    labels = rng.integers(0, 10_000, 40)
    difference = test[:, None] - train
    squared = np.sum(difference**2, axis=2)
    found = np.asarray(answer(train, labels, test))
    if found.dtype.kind not in "iu" or found.shape != (30,):
        raise NotYet(f"the result has shape {found.shape} and dtype {found.dtype}; expected a label for each test code")
    for wrong, words in ((squared.argmax(axis=1), "that is the farthest code, not the nearest"),
                         (np.abs(difference.sum(axis=2)).argmin(axis=1),
                          "differences are added before they are squared: opposite signs cancel"),
                         (difference.sum(axis=2).argmin(axis=1), "the differences are not squared"),
                         ((train @ test.T).T.argmax(axis=1),
                          "the largest product is not the smallest distance: |train|^2 is missing")):
        if np.array_equal(found, labels[wrong]):
            raise NotYet(words)
    if np.array_equal(found, squared.argmin(axis=1)):
        raise NotYet("those are the indices of the nearest codes; return their labels")
    expect(found, labels[squared.argmin(axis=1)], "the labels")
