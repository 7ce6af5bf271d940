"""The exercises of lesson 6: the score function, the reparameterized gradient, a baseline."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import NotYet, exercise, expect_parts
from .expect import numbers, parts


@exercise("f_of_z", "z", "mu", "logvar")
def score_estimates(answer: Any, rng: np.random.Generator) -> None:
    f, mu, logvar, eps = rng.standard_normal((4, 6))
    z = mu + np.exp(0.5 * logvar) * eps
    d, variance = z - mu, np.exp(logvar)
    right = f * 0.5 * (d**2 / variance - 1)
    scale = float(np.max(np.abs(right) + np.abs(f)))    # where z is one sigma from mu, it is a small difference
    expect_parts(answer(f, z, mu, logvar), "arrays", **{
        "the estimate for mu": (f * d / variance, {
            "the estimate for mu is the score alone: multiply it by f": d / variance,
            "the estimate for mu has the wrong sign: log q rises where mu moves towards z": -f * d / variance,
            "you divided by sigma; the variance belongs there": f * d / np.sqrt(variance),
            "you divided by the variance squared": f * d / variance**2,
            "you multiplied by the variance; divide by it": f * d * variance,
            "logvar is a logarithm: the variance is exp(logvar)": f * d / logvar,
            "z belongs there minus mu": f * z / variance,
            "there is a half too many in the estimate for mu": 0.5 * f * d / variance,
            "there is a 2 too many in the estimate for mu": 2 * f * d / variance,
            "z - mu is not divided by the variance": f * d}),
        "the estimate for logvar": (right, {
            "the half is missing in the estimate for logvar": 2 * right,
            "the half belongs to both terms": [f * (0.5 * d**2 / variance - 1), f * (d**2 / variance - 0.5)],
            "you differentiated with respect to sigma, not log sigma^2": f * (d**2 / variance - 1) / np.sqrt(variance),
            "you differentiated with respect to sigma^2, not its logarithm": right / variance,
            "you differentiated with respect to log sigma, not log sigma^2": 2 * right,
            "the -1 of the normaliser 1/sigma is missing": f * 0.5 * d**2 / variance,
            "1 is added; it is subtracted": f * 0.5 * (d**2 / variance + 1),
            "z - mu is not squared": f * 0.5 * (d / variance - 1),
            "you divided by sigma; the variance belongs there": f * 0.5 * (d**2 / np.sqrt(variance) - 1),
            "z - mu is not divided by the variance": f * 0.5 * (d**2 - 1),
            "the sign is flipped: log q rises with logvar where z is far from mu": -right,
            "the estimate for logvar is the score alone: multiply it by f": 0.5 * (d**2 / variance - 1)}, scale)})


@exercise("dz", "logvar", "eps")
def reparameterize_backward(answer: Any, rng: np.random.Generator) -> None:
    dz, mu, logvar, eps = rng.standard_normal((4, 3, 4))
    names = ["dmu", "dlogvar"]
    first, again = ([numbers(part, dz.shape, name) for part, name in zip(parts(result, "arrays", names), names)]
                    for result in (answer(dz, logvar, eps), answer(dz, logvar, eps)))
    if not all(np.array_equal(one, other, equal_nan=True) for one, other in zip(first, again)):
        raise NotYet("two calls with the same eps differ: noise is drawn twice; use the eps that you are given")

    def numeric(name: str) -> Any:    # by the complex step, with eps held fixed
        step = 1e-30j
        z = mu + (step if name == "mu" else 0) + np.exp(0.5 * (logvar + (step if name == "logvar" else 0))) * eps
        return dz * z.imag / 1e-30
    sigma, dmu, dlogvar = np.exp(0.5 * logvar), numeric("mu"), numeric("logvar")

    expect_parts(
        first, "arrays",
        dmu=(dmu, {"dz is not used: multiply by it": np.ones_like(dz),
                   "z = mu + sigma eps, so dmu is dz itself: no sigma in it": [dz * sigma, dz * sigma * eps],
                   "dmu is dlogvar: the two names stand for one array, in which dlogvar was computed": dlogvar}),
        dlogvar=(dlogvar, {
            "the half is missing: sigma = exp(logvar / 2)": dz * eps * sigma,
            "the noise is missing from dlogvar": [dz * sigma * 0.5, dz * sigma],
            "you differentiated with respect to sigma: multiply by d sigma / d logvar": dz * eps,
            "sigma is missing: d sigma / d logvar = sigma / 2": dz * eps * 0.5,
            "exp(logvar) is the variance; sigma belongs there": [dz * eps * sigma**2 * 0.5, dz * eps * sigma**2],
            "you divided by sigma; multiply": [dz * eps / sigma * 0.5, dz * eps / sigma],
            "logvar is a logarithm: sigma is exp(logvar / 2)": [dz * eps * logvar * 0.5, dz * eps * logvar],
            "mu's gradient is not part of dlogvar": dz + dlogvar,
            "dz is not used in dlogvar": eps * sigma * 0.5}))


@exercise("f_of_z", "score")
def with_baseline(answer: Any, rng: np.random.Generator) -> None:
    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        score = rng.standard_normal(n)
        score[5] = 0.0    # whatever the baseline, this draw's estimate is 0
        return rng.uniform(400, 600) + 3 * score + np.sin(score), score

    def estimates(f: np.ndarray, score: np.ndarray) -> np.ndarray:
        found = numbers(answer(f, score), f.shape, "the result")
        if found.shape != f.shape:
            raise NotYet(f"the result has shape {found.shape}; expected one estimate for each draw, {f.shape}")
        if not np.isfinite(found).all():
            raise NotYet("the result holds NaN or infinity")
        return found
    f, score = draw(10)    # so few that a tenth of the mean of all is the draw's own f(z)
    found = estimates(f, score)
    centred = f - f.mean()
    for wrong, words in ((f * score, "that is the estimate without a baseline"),
                         (centred * score, "the mean of all draws contains f(z) itself: with 10 draws every estimate "
                                           "is 9/10 of what it should be; leave the draw itself out, (6.8)"),
                         ((f + f.mean()) * score, "the baseline is added; subtract it"),
                         (-centred * score, "the sign is flipped: subtract the baseline from f, not f from it"),
                         (np.zeros(len(f)), "the baseline is f(z) itself: it depends on z, so nothing is left of the "
                                            "gradient"),
                         (centred, "that is f minus the baseline: multiply it by the score"),
                         (f * score - f.mean(), "the baseline is subtracted from the product; subtract it from f, then "
                                                "multiply by the score"),
                         (f * (score - score.mean()), "the score's mean is subtracted; subtract a number near f "
                                                      "from f"),
                         (np.full(len(f), np.mean(centred * score)), "every entry is the mean of the estimates: return "
                                                                     "one estimate for each draw, before the mean"),
                         (centred / f.std() * score, "f is divided by its standard deviation too: that changes the "
                                                     "gradient; only subtract")):
        if np.allclose(found, wrong, rtol=1e-4, atol=1e-4 * np.abs(wrong).std()):
            raise NotYet(words)
    if abs(found[5]) > 1e-9:
        raise NotYet("where the score is 0, the estimate is not: return f minus the baseline, times the score, and no "
                     "more")
    # A baseline does not depend on z: where f changes at one draw, its estimate changes by that change times the score.
    others = np.flatnonzero(score)
    for i in others:
        moved = f.copy()
        moved[i] += 10.0
        change = (estimates(moved, score) - found)[i] / (10.0 * score[i])
        if abs(change - 1.0) > 2.5e-4:
            raise NotYet(f"where f grows at one of 10 draws, its estimate grows {round(change, 4) + 0:g} times as much "
                         "as f times the score: a draw's baseline must not depend on its own f(z)")
    baseline = f[others] - found[others] / score[others]
    if np.abs(baseline - f.mean()).max() > 0.08 * f.mean():
        raise NotYet("the mean is right, but the variance is hardly smaller: subtract a number near f itself")
    f, score = draw(2000)
    found = estimates(f, score)
    truth = 3.0 + np.exp(-0.5)    # d/dmu E[f] by hand
    if abs(found.mean() - truth) > 5 * found.std() / np.sqrt(len(f)):
        raise NotYet(f"the mean is {found.mean():.3f}, the gradient {truth:.3f}: what you subtracted does not average "
                     "to 0, or depends on z")
