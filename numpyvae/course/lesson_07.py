"""The exercises of lesson 7: the five steps, the whole gradient, nearest neighbours."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .check import NotYet, exercise, expect_parts
from .expect import credit, is_close, numbers

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


@exercise("x", "eps", "p")
def five_steps(answer: Any, rng: np.random.Generator) -> None:
    x, eps, p = draw_case(rng)
    h, mu, s, z, g, a, loss = forward(x, eps, p)
    nll = np.sum(np.log(1 + np.exp(a)) - x * a, axis=1)
    kl = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1)
    mistakes: dict[str, dict[str, Any]] = {
        "h": {"h lacks its tanh": x @ p["W1"] + p["b1"], "h lacks its bias": np.tanh(x @ p["W1"]),
              "h was cut off below zero; here the activation is tanh": np.maximum(x @ p["W1"] + p["b1"], 0)},
        "mu": {"mu has a tanh; it is linear, and may be any number": np.tanh(mu), "mu lacks its bias": h @ p["Wmu"]},
        "s": {"s has a tanh; it is linear": np.tanh(s), "s is log sigma^2 itself: no exp": [np.exp(s), np.exp(s / 2)],
              "s lacks its bias": h @ p["Ws"]},
        "z": {"z is sampled with exp(s), which is the variance; sigma is exp(s / 2)": mu + np.exp(s) * eps,
              "z has no noise": mu, "z is sampled with s itself": mu + s * eps,
              "the noise in z is not scaled: sigma is exp(s / 2)": mu + eps,
              "z lacks mu": np.exp(s / 2) * eps, "the sign of s is flipped in z": mu + np.exp(-s / 2) * eps},
        "g": {"g lacks its tanh": z @ p["W2"] + p["b2"], "g lacks its bias": np.tanh(z @ p["W2"]),
              "g decodes mu; decode z": np.tanh(mu @ p["W2"] + p["b2"])},
        "a": {"a went through the sigmoid; the loss takes logits": 1 / (1 + np.exp(-a)),
              "a has a tanh; it is linear": np.tanh(a), "a lacks its bias": g @ p["W3"]},
        "L": {"the NLL is a mean over pixels; sum them": np.mean(nll) / D + np.mean(kl),
              "the KL is a mean over the latent dimensions; sum them": np.mean(nll) + np.mean(kl) / Z,
              "the NLL and the KL are means over pixels and dimensions; sum them": np.mean(nll) / D + np.mean(kl) / Z,
              "the loss is summed over the batch; take the mean": np.sum(nll + kl),
              "the loss lacks the KL": np.mean(nll),
              "the loss lacks the NLL": np.mean(kl),
              "the KL is subtracted": np.mean(nll - kl),
              "the KL lacks its half": np.mean(nll + 2 * kl),
              "the KL lacks the -1 of each dimension": np.mean(nll + kl) + Z / 2,
              "it is the lecture's misprint: log sigma where log sigma^2 belongs in the KL":
                  np.mean(nll + kl) + np.mean(np.sum(s, axis=1)) / 4,
              "the NLL has the wrong sign": np.mean(kl - nll),
              "x a is added in the NLL; it is subtracted": np.mean(nll + kl + 2 * np.sum(x * a, axis=1)),
              "that is one loss per row; take the mean over the batch": nll + kl}}
    right = dict(zip(STEPS, (h, mu, s, z, g, a, loss)))
    expect_parts(answer(x, eps, p), "values", **{name: (right[name], mistakes[name]) for name in STEPS})


ON_THE_WAY_BACK = {
    "b3": "b3 comes first on the way back: da = (sigmoid(a) - x) / B",
    "W3": "W3 is wrong though b3 is right: dW3 = g^T da", "b2": "the error enters in dt = dg (1 - g^2)",
    "W2": "W2 is wrong though b2 is right: dW2 = z^T dt",
    "bmu": "the error enters in dmu = dz + mu / B: two paths meet there",
    "Wmu": "Wmu is wrong though bmu is right: dWmu = h^T dmu",
    "bs": "the error enters in ds = dz exp(s/2) eps / 2 + (exp(s) - 1) / (2 B)",
    "Ws": "Ws is wrong though bs is right: dWs = h^T ds",
    "b1": "the error enters in dh = dmu Wmu^T + ds Ws^T or in du = dh (1 - h^2)",
    "W1": "W1 is wrong though b1 is right: dW1 = x^T du"}


@exercise("x", "eps", "p", "h", "mu", "s", "z", "g", "a")
def whole_gradient(answer: Any, rng: np.random.Generator) -> None:
    x, eps, p = draw_case(rng)
    p["W3"] *= 3    # with a small dz, or with s near 0, the KL hides what the noise adds to ds
    p["bs"] -= 1
    h, mu, s, z, g, a, _ = forward(x, eps, p)
    found = answer(x, eps, p, h, mu, s, z, g, a)
    if not isinstance(found, Mapping):
        raise NotYet(f"expected a dictionary with {', '.join(p)}")
    if missing := [name for name in p if name not in found]:
        raise NotYet(f"expected a dictionary with {', '.join(p)}; there is no {', '.join(missing)}")

    def numeric(name: str) -> Array:
        gradient = np.empty(p[name].shape)
        for index in np.ndindex(gradient.shape):
            moved = p[name].astype(complex)
            moved[index] += 1e-30j
            gradient[index] = forward(x, eps, {**p, name: moved})[-1].imag / 1e-30
        return gradient
    rights = {name: numeric(name) for name in ON_THE_WAY_BACK}
    gradients = {name: numbers(found[name], p[name].shape, f"the gradient for {name}") for name in ON_THE_WAY_BACK}
    if all(is_close(gradients[name], B * rights[name]) for name in rights):
        raise NotYet("every gradient is B times too large: the loss is a mean over the batch")
    if all(is_close(gradients[name], -rights[name]) for name in rights):
        raise NotYet("every gradient has the wrong sign")
    wrong = [name for name in rights if not is_close(gradients[name], rights[name])]
    if not wrong:
        return
    first = wrong[0]
    words = ON_THE_WAY_BACK[first]
    if gradients[first].shape != p[first].shape:
        words = f"the gradient for {first} has shape {gradients[first].shape}; expected {p[first].shape}"
    elif not np.isfinite(gradients[first]).all():
        words = f"the gradient for {first} holds NaN or infinity"
    if n_right := len(rights) - len(wrong):
        words = credit(n_right, len(rights), " gradients") + f"the first wrong one on the way back is {first}: {words}"
    raise NotYet(words)


@exercise("train_codes", "train_labels", "test_codes")
def nearest_labels(answer: Any, rng: np.random.Generator) -> None:
    train, labels, test = draw_neighbours(rng)
    difference = test[:, None] - train
    squared = np.sum(difference**2, axis=2)
    found = numbers(answer(train, labels, test), (len(test),), "the result")
    if found.shape != (len(test),):
        raise NotYet(f"the result has shape {found.shape}; expected a label for each test code, {(len(test),)}")
    right = squared.argmin(axis=1)
    if np.array_equal(found, labels[right]):    # first: another distance may, by chance, find the same neighbours
        return
    for wrong, words in ((squared.argmax(axis=1), "that is the farthest code, not the nearest"),
                         (np.abs(difference.sum(axis=2)).argmin(axis=1),
                          "differences are added before they are squared: opposite signs cancel"),
                         (difference.sum(axis=2).argmin(axis=1), "the differences are not squared"),
                         (np.abs(difference).sum(axis=2).argmin(axis=1),
                          "the sum of the differences is not the distance: square them first"),
                         (np.abs(difference).max(axis=2).argmin(axis=1),
                          "the largest difference is not the distance: add up the squares"),
                         (np.abs(difference[:, :, 0]).argmin(axis=1), "only the first dimension is compared"),
                         ((train @ test.T).T.argmax(axis=1),
                          "the largest product is not the smallest distance: |train|^2 is missing"),
                         ((np.sum(train**2, axis=1) - test @ train.T).argmin(axis=1),
                          "the 2 in front of the product is missing")):
        if np.array_equal(found, labels[wrong]):
            raise NotYet(words)
    if np.array_equal(found, right):
        raise NotYet("those are the indices of the nearest codes; return their labels")
    if not np.isin(found, labels).all():
        raise NotYet(f"{np.sum(~np.isin(found, labels))} of {len(test)} results are no label of a training code")
    raise NotYet(f"{np.sum(found != labels[right])} of {len(test)} labels are not that of the nearest code: which "
                 "squared distance is least?")


def draw_neighbours(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Codes train (80, 3), their labels, all different, and codes test (60, 3), most nearly half way between two."""
    centre = 4 * rng.standard_normal((40, 3))
    apart = rng.standard_normal((40, 3))
    order = rng.permutation(80)
    train = np.concatenate([centre - apart, centre + apart])[order]
    near = centre + rng.choice([-1e-3, 1e-3], (40, 1)) * apart
    test = rng.permutation(np.concatenate([near, 4 * rng.standard_normal((20, 3))]))
    return train, rng.permutation(10_000)[:80] + 100, test
