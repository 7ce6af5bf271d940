"""The right NLL and KL, and what common mistakes make of them."""
from __future__ import annotations

import numpy as np

from ..functional.activations import sigmoid
from .subject import Subject, safe_log

Array = np.ndarray

RIGHT = ""


def nll_formulas(subject: Subject, theta: Array, x: Array) -> dict[str, Array]:
    """The right NLL of each row, and wrong ones, named by the mistake behind them."""
    formulas = {RIGHT: subject.nll(theta, x)}
    x = x.astype(float)
    if subject.decodes_to in ("logits", "probabilities"):
        y = subject.mean(theta)
        twice = sigmoid(y)
        formulas |= {
            "sigmoid is applied twice: the loss takes logits but was given probabilities":
                -np.sum(x * np.log(twice) + (1 - x) * np.log(1 - twice), axis=1),
            "the term (1 - x) log(1 - y) is missing": -np.sum(x * safe_log(y), axis=1),
            "the loss is a squared error, which is a Gaussian's NLL; a Bernoulli's is the cross-entropy":
                np.sum((x - y)**2, axis=1),
            "the squared error is that of the logits, not of the means": np.sum((x - theta)**2, axis=1),
        }
    else:
        mean = subject.mean(theta)
        formulas["the absolute error is a Laplace's NLL; a Gaussian's is the squared error"] = \
            np.sum(np.abs(x - mean), axis=1)
        if subject.decodes_to == "mean and logvar":
            logvar = theta[:, x.shape[1]:]
            square = (x - mean)**2
            formulas |= {
                "the decoder's logvar is used as log sigma":
                    np.sum(0.5 * square * np.exp(-2 * logvar) + logvar, axis=1),
                "the term logvar / 2 is missing next to the scaled square":
                    np.sum(0.5 * square * np.exp(-logvar), axis=1),
                "the decoder's logvar is not used: the loss is the squared error": np.sum(square, axis=1),
            }
    return formulas


def kl_formulas(right: Array, mu: Array, logvar: Array) -> dict[str, Array]:
    """The right KL of each row, and wrong ones, named by the mistake behind them."""
    m, s = mu.astype(float), logvar.astype(float)
    with np.errstate(all="ignore"):
        formulas = {
            "logvar is used as log sigma in the KL": 0.5 * np.exp(2 * s) + 0.5 * m**2 - s,
            "the sign of logvar is flipped": 0.5 * (np.exp(s) + m**2 + s),
            "exp(logvar) is missing": 0.5 * (m**2 - s),
            "logvar is missing": 0.5 * (np.exp(s) + m**2),
            "mu^2 is missing": 0.5 * (np.exp(s) - s),
            "mu is not squared": 0.5 * (np.exp(s) + m - s),
            "mu^2 is counted twice: the half multiplies only the other terms": 0.5 * (np.exp(s) - s) + m**2,
            "exp(logvar / 2) stands where exp(logvar) belongs": 0.5 * (np.exp(0.5 * s) + m**2 - s),
            "logvar is used as the variance in the KL": 0.5 * (s + m**2 - np.log(s)),
            "logvar is used as the standard deviation in the KL": 0.5 * (s**2 + m**2 - np.log(s**2)),
            "the two Gaussians are swapped: KL(prior || q)": 0.5 * ((1 + m**2) * np.exp(-s) + s),
        }
    rows = {name: np.sum(value, axis=1) for name, value in formulas.items() if np.isfinite(value).all()}
    return {RIGHT: right, **rows}
