"""The exercises of lesson 5: the KL, its gradient, another prior, five faults."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..functional import gaussian
from .check import exercise, expect, expect_names, expect_parts

# The NumPy bodies: compiling their twins takes seconds, while the learner waits.
gaussian_kl, gaussian_kl_backward = gaussian.gaussian_kl.reference, gaussian.gaussian_kl_backward.reference

FAULTS = {"a": "mean", "b": "sign", "c": "missing half", "d": "missing one", "e": "log sigma"}
HINTS = {"a": "compare sum and mean over the latent dimensions", "b": "try mu = 0, sigma = 1 with mu a little larger",
         "c": "compare the factor in front with (5.4)", "d": "what should it be where q is the prior?",
         "e": "compare the coefficient of logvar with (5.4)"}
SYNONYMS = {
    "log sigma": {"logsigma", "log σ", "log std", "log sigma for log sigma^2", "log sigma instead of log sigma^2",
                  "misprint", "the misprint", "the lecture's misprint"},
    "missing half": {"half missing", "missing 1/2", "1/2 missing", "half", "no half", "missing ½", "missing 0.5",
                     "the half is missing", "missing factor"},
    "mean": {"mean for sum", "mean instead of sum", "mean in place of sum", "mean not sum"},
    "sign": {"wrong sign", "sign error", "sign flipped", "flipped sign", "the sign"},
    "missing one": {"one missing", "missing 1", "1 missing", "missing -1", "-1 missing", "the -1 is missing", "no one"}}
MISPRINT = "it is the lecture's misprint: log sigma where log sigma^2 belongs, and logvar is log sigma^2 already"


@exercise("mu", "logvar")
def kl(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar = rng.standard_normal((2, 4, 3))
    right = gaussian_kl(mu, logvar)
    half = 0.5 * np.exp(logvar), 0.5 * mu**2, 0.5 * logvar

    def total(terms: Any) -> Any:
        return np.sum(terms, axis=1)
    expect(answer(mu, logvar), right, "the KL", {
        MISPRINT: right + 0.5 * total(half[2]),
        "you used logvar as log sigma": [total(0.5 * np.exp(2 * logvar) + half[1] - 0.5 - logvar),
                                         total(0.5 * np.exp(2 * logvar) + half[1] - 0.5 - half[2])],
        "it is a mean over the latent dimensions; independent dimensions add, so it must be a sum": right / 3,
        "it is a sum over the batch as well; each row has a KL of its own": right.sum(),
        "it is a mean over the batch as well; each row has a KL of its own": [right.mean(), right.mean() / 3],
        "it is summed over the batch; sum over the latent dimensions, axis 1": np.sum(
            half[0] + half[1] - 0.5 - half[2], axis=0),
        "it is not summed over the latent dimensions": half[0] + half[1] - 0.5 - half[2],
        "the half in front is missing": 2 * right,
        "the half belongs to all four terms": [total(half[0] + mu**2 - 1 - logvar),
                                               total(np.exp(logvar) + mu**2 - 1 - half[2])],
        "the -1 of each dimension is missing: the KL of the prior to itself would not be 0": right + 1.5,
        "the -1 is subtracted once; each dimension has its own": [right + 1.0, right + 0.5],
        "the 1 is added; it is subtracted": right + 3.0,
        "mu is not squared": right + total(0.5 * mu - half[1]),
        "the mu^2 is missing": right - total(half[1]),
        "logvar is a logarithm: sigma^2 is exp(logvar)": [right + total(half[2] - half[0]),
                                                          right + total(0.5 * logvar**2 - half[0])],
        "sigma^2 belongs there; exp(logvar / 2) is sigma": right + total(0.5 * np.exp(0.5 * logvar) - half[0]),
        "log sigma^2 is added; it is subtracted": right + 2 * total(half[2]),
        "log sigma^2 is missing": right + total(half[2]),
        "that is KL(p||q), from the prior to q; the loss needs KL(q||p)": total(
            0.5 * (np.exp(-logvar) * (1 + mu**2) - 1 + logvar)),
        "it has the wrong sign: a KL is never negative": -right,
    })


@exercise("dkl", "mu", "logvar")
def kl_backward(answer: Any, rng: np.random.Generator) -> None:
    dkl = rng.standard_normal(4)
    mu, logvar = rng.standard_normal((2, 4, 3))
    dmu, dlogvar = gaussian_kl_backward(dkl, mu, logvar)
    column = dkl[:, None]
    unscaled = "the upstream gradient dkl is not used: multiply each row by its own"
    expect_parts(
        answer(dkl, mu, logvar), "arrays",
        dmu=(dmu, {unscaled: mu,
                   "dmu is half of what it should be: the half cancels the 2 of mu^2": 0.5 * dmu,
                   "dmu is twice what it should be: the half cancels the 2 of mu^2": 2 * dmu,
                   "dmu is the KL's own term, not its derivative": column * 0.5 * mu**2}),
        dlogvar=(dlogvar, {
            unscaled: 0.5 * (np.exp(logvar) - 1),
            "the half is missing in dlogvar": 2 * dlogvar,
            "you differentiated with respect to sigma^2, not logvar: multiply by d sigma^2 / d logvar = sigma^2":
                column * 0.5 * (1 - np.exp(-logvar)),
            "you differentiated with respect to sigma, not logvar: multiply by d sigma / d logvar = sigma / 2":
                column * (np.exp(0.5 * logvar) - np.exp(-0.5 * logvar)),
            "you used logvar as log sigma": [column * (np.exp(2 * logvar) - 1),
                                             column * 0.5 * (np.exp(2 * logvar) - 1)],
            "the -1 is missing: at logvar = 0 the gradient is 0": column * 0.5 * np.exp(logvar),
            "1 is added; it is subtracted": column * 0.5 * (np.exp(logvar) + 1),
            "the half belongs to both terms": [column * (np.exp(logvar) - 0.5), column * (0.5 * np.exp(logvar) - 1)],
            "logvar is a logarithm: sigma^2 is exp(logvar)": column * 0.5 * (logvar - 1),
            "sigma^2 belongs there; exp(logvar / 2) is sigma": column * 0.5 * (np.exp(0.5 * logvar) - 1),
            "that is the misprint's gradient": column * 0.5 * (np.exp(logvar) - 0.5)}))


@exercise("mu", "logvar", "t")
def kl_to_wide_prior(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar = rng.standard_normal((2, 4, 3))
    t = float(rng.uniform(1.5, 3))
    right = gaussian_kl(mu / t, logvar - np.log(t**2))    # z / t has this q and the standard prior
    square, log_t = np.sum(mu**2, axis=1), np.log(t)
    variance, log_variance = np.sum(np.exp(logvar), axis=1), np.sum(logvar, axis=1)
    expect(answer(mu, logvar, t), right, "the KL", {
        "t was left out": gaussian_kl(mu, logvar),
        "the prior's own log t^2 is missing": right - 3 * log_t,
        "log t is half of log t^2: the slip of the lecture again, in the prior's variance": right - 1.5 * log_t,
        "the prior's log t^2 is counted once; each dimension has its own": [right - 2 * log_t, right - log_t],
        "the prior's log t^2 is subtracted; it is added": right - 6 * log_t,
        "t^2 belongs there; that is the logarithm of its fourth power": right + 3 * log_t,
        "you divided by t where its square belongs, or used t as the variance": [
            0.5 * ((variance + square) / t - 3 - log_variance + 3 * log_t),
            0.5 * ((variance + square) / t - 3 - log_variance + 6 * log_t)],
        "you multiplied by t^2; divide by it": 0.5 * ((variance + square) * t**2 - 3 - log_variance + 6 * log_t),
        "mu^2 has to be divided by t^2 as well": 0.5 * (variance / t**2 + square - 3 - log_variance + 6 * log_t),
        "sigma^2 has to be divided by t^2 as well": 0.5 * (variance + square / t**2 - 3 - log_variance + 6 * log_t),
        "the half in front is missing": 2 * right,
        "it is a mean over the latent dimensions; independent dimensions add, so it must be a sum": right / 3,
        "it is a sum over the batch as well; each row has a KL of its own": right.sum(),
        "the -1 of each dimension is missing: the KL of the prior to itself would not be 0": right + 1.5,
        "the -1 is subtracted once; each dimension has its own": right + 1.0,
        MISPRINT: right + 0.25 * log_variance,
        "mu is not squared": right + 0.5 * (np.sum(mu, axis=1) - square) / t**2,
        "that is the KL from the prior to q; it is asked for from q to the prior": 0.5 * np.sum(
            (t**2 + mu**2) * np.exp(-logvar) - 1 + logvar - np.log(t**2), axis=1),
        "it has the wrong sign: a KL is never negative": -right,
    })


@exercise()
def faults(answer: Any, rng: np.random.Generator) -> None:
    expect_names(answer, FAULTS, HINTS, SYNONYMS, "", "the letters a to e, each with the name of a fault")
