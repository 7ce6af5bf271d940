"""The exercises of lesson 6: the score function, the reparameterized gradient, a baseline."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect


def _pair(result: Any, names: str) -> Any:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet(f"expected two arrays: {names}")
    return result


@exercise
def score_estimates(answer: Any, rng: np.random.Generator) -> None:
    f, mu, logvar, eps = rng.standard_normal((4, 6))
    z = mu + np.exp(0.5 * logvar) * eps
    dmu, dlogvar = _pair(answer(f, z, mu, logvar), "for mu and for logvar")
    d, variance = z - mu, np.exp(logvar)
    expect(dmu, f * d / variance, "the estimate for mu", {
        "the estimate for mu is the score alone: multiply it by f": d / variance,
        "the estimate for mu has the wrong sign: log q rises where mu moves towards z": -f * d / variance,
        "you divided by sigma; the variance belongs there": f * d / np.sqrt(variance),
        "z - mu is not divided by the variance": f * d,
    })
    right = f * 0.5 * (d**2 / variance - 1)
    expect(dlogvar, right, "the estimate for logvar", {
        "the half is missing in the estimate for logvar": 2 * right,
        "you differentiated with respect to sigma, not log sigma^2": f * (d**2 / variance - 1) / np.sqrt(variance),
        "you differentiated with respect to sigma^2, not its logarithm": right / variance,
        "the -1 of the normaliser 1/sigma is missing": f * 0.5 * d**2 / variance,
        "the estimate for logvar is the score alone: multiply it by f": 0.5 * (d**2 / variance - 1),
    })


@exercise
def reparameterize_backward(answer: Any, rng: np.random.Generator) -> None:
    dz, mu, logvar, eps = rng.standard_normal((4, 3, 4))
    first, again = (_pair(answer(dz, logvar, eps), "dmu and dlogvar") for _ in range(2))
    if not all(np.array_equal(a, b) for a, b in zip(first, again)):
        raise NotYet("two calls with the same eps differ: noise is drawn twice; use the eps that you are given")

    def numeric(name: str) -> Any:    # by the complex step, with eps held fixed
        step = 1e-30j
        z = mu + (step if name == "mu" else 0) + np.exp(0.5 * (logvar + (step if name == "logvar" else 0))) * eps
        return dz * z.imag / 1e-30
    sigma = np.exp(0.5 * logvar)
    expect(first[0], numeric("mu"), "dmu", {"dz is not used: multiply by it": np.ones_like(dz)})
    expect(first[1], numeric("logvar"), "dlogvar", {
        "the half is missing: sigma = exp(logvar / 2)": dz * eps * sigma,
        "the noise is missing from dlogvar": dz * sigma * 0.5,
        "you differentiated with respect to sigma: multiply by d sigma / d logvar": dz * eps,
        "exp(logvar) is the variance; sigma belongs there": dz * eps * np.exp(logvar) * 0.5,
        "dz is not used in dlogvar": eps * sigma * 0.5,
    })


@exercise
def with_baseline(answer: Any, rng: np.random.Generator) -> None:
    n = 20_000
    eps = rng.standard_normal(n)
    f = 500.0 + eps + 0.3 * np.sin(eps)
    found = np.asarray(answer(f, eps), dtype=float)
    if found.shape != f.shape:
        raise NotYet(f"the result has shape {found.shape}; expected one estimate for each draw, {f.shape}")
    if np.allclose(found, f * eps):
        raise NotYet("that is the estimate without a baseline")
    if np.allclose(found, (f + f.mean()) * eps):
        raise NotYet("the baseline is added; subtract it")
    if not found.any():
        raise NotYet("the baseline is f(z) itself: it depends on z, so nothing is left of the gradient")
    truth = 1.0 + 0.3 * np.exp(-0.5)    # d/dmu E[f] by hand
    error = found.std() / np.sqrt(n) + 1e-12
    if abs(found.mean() - truth) > 8 * error + 0.02:
        raise NotYet(f"the mean is {found.mean():.3f}, the gradient {truth:.3f}: what you subtracted does not average "
                     "to 0, or depends on z")
    if found.var() > (f * eps).var() / 100:
        raise NotYet("the mean is right, but the variance is hardly smaller: subtract a number near f itself")
