"""The exercises of lesson 5: the KL, its gradient, another prior, five faults."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..functional.gaussian import gaussian_kl, gaussian_kl_backward
from .check import NotYet, exercise, expect

FAULTS = {"a": "mean", "b": "sign", "c": "missing half", "d": "missing one", "e": "log sigma"}
HINTS = {"a": "compare sum and mean over the latent dimensions", "b": "try mu = 0, sigma = 1 with mu a little larger",
         "c": "compare the factor in front with (5.4)", "d": "what should it be where q is the prior?",
         "e": "compare the coefficient of logvar with (5.4)"}


@exercise
def kl(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar = rng.standard_normal((2, 4, 3))
    right = gaussian_kl(mu, logvar)
    expect(answer(mu, logvar), right, "the KL", {
        "it is the lecture's misprint: log sigma where log sigma^2 belongs, and logvar is log sigma^2 already":
            0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - 0.5 * logvar, axis=1),
        "you used logvar as log sigma": 0.5 * np.sum(np.exp(2 * logvar) + mu**2 - 1 - 2 * logvar, axis=1),
        "it is a mean over the latent dimensions; independent dimensions add, so it must be a sum": right / 3,
        "it is a sum over the batch as well; each row has a KL of its own": right.sum(),
        "the half in front is missing": 2 * right,
        "the -1 of each dimension is missing: the KL of the prior to itself would not be 0": right + 1.5,
    })


@exercise
def kl_backward(answer: Any, rng: np.random.Generator) -> None:
    dkl = rng.standard_normal(4)
    mu, logvar = rng.standard_normal((2, 4, 3))
    result = answer(dkl, mu, logvar)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotYet("expected two arrays: dmu and dlogvar")
    dmu, dlogvar = gaussian_kl_backward(dkl, mu, logvar)
    column = dkl[:, None]
    unscaled = "the upstream gradient dkl is not used: multiply each row by its own"
    expect(result[0], dmu, "dmu", {unscaled: mu, "dmu is half of what it should be: the half cancels the 2 of mu^2":
                                   0.5 * dmu})
    expect(result[1], dlogvar, "dlogvar", {
        unscaled: 0.5 * (np.exp(logvar) - 1),
        "the half is missing in dlogvar": 2 * dlogvar,
        "you differentiated with respect to sigma^2, not logvar: multiply by d sigma^2 / d logvar = sigma^2":
            column * 0.5 * (1 - np.exp(-logvar)),
        "that is the misprint's gradient": column * 0.5 * (np.exp(logvar) - 0.5),
    })


@exercise
def kl_to_wide_prior(answer: Any, rng: np.random.Generator) -> None:
    mu, logvar = rng.standard_normal((2, 4, 3))
    t = float(rng.uniform(1.5, 3))
    right = gaussian_kl(mu / t, logvar - np.log(t**2))    # z / t has this q and the standard prior
    expect(answer(mu, logvar, t), right, "the KL", {
        "t was left out": gaussian_kl(mu, logvar),
        "the prior's own log t^2 is missing": right - 3 * np.log(t),
        "you divided by t where its square belongs, or used t as the variance":
            0.5 * np.sum((np.exp(logvar) + mu**2) / t - 1 - logvar + np.log(t), axis=1),
        "mu^2 has to be divided by t^2 as well":
            0.5 * np.sum(np.exp(logvar) / t**2 + mu**2 - 1 - logvar + np.log(t**2), axis=1),
    })


@exercise
def faults(answer: Any, rng: np.random.Generator) -> None:
    if not isinstance(answer, dict) or set(answer) != set(FAULTS):
        raise NotYet("expected a dictionary with the letters a to e, each with the name of a fault")
    wrong = [letter for letter in FAULTS if answer[letter] != FAULTS[letter]]
    if wrong:
        raise NotYet("; ".join(f"{letter} is something else: {HINTS[letter]}" for letter in wrong))
