"""The exercises of lesson 13: six reports, three repairs, and a wrapper for somebody else's VAE."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..examination import MODEL_CHECKS
from .attempt import Attempt
from .check import NotYet, exercise, expect, expect_names
from .expect import parts, plain
from .patients import Stranger, stranger_functions

Array = np.ndarray

DISEASES = {"a": "KL summed over the batch", "b": "constant noise", "c": "missing relu mask",
            "d": "no probability", "e": "variance as standard deviation", "f": "noise drawn twice"}
HINTS = {"a": "b / a grows with the batch; which of the two terms does that?",
         "b": "nothing about the loss is wrong but that it says the same twice",
         "c": "two calls agree, so no noise is to blame; what stands right after the last of the wrong arrays?",
         "d": "can a mean of black-and-white pixels be what was found?",
         "e": "take the logarithm of both variances and compare",
         "f": "what should not differ, if eps is the same?"}
SYNONYMS = {
    "KL summed over the batch": {"kl sum over the batch", "kl summed", "sum of the kl over the batch"},
    "constant noise": {"noise constant", "the noise is constant", "noise baked in", "fixed noise"},
    "missing relu mask": {"relu mask missing", "no relu mask", "relu mask", "missing mask", "relu forward only"},
    "wrong derivative in the encoder": {"derivative in the encoder", "encoder derivative"},
    "no probability": {"not a probability", "no probabilities", "softplus", "softplus for sigmoid"},
    "variance as standard deviation": {"variance as sigma", "variance for standard deviation", "variance as std"},
    "noise drawn twice": {"noise twice", "drawn twice", "two noises"},
    "mean over pixels": {"mean over the pixels", "nll averaged over pixels"},
    "log of a probability": {"log of probability", "log(y)"},
    "other loss reported": {"another loss reported", "another loss is reported"}}


@exercise()
def diseases(answer: Any, rng: np.random.Generator) -> None:
    expect_names(answer, DISEASES, HINTS, SYNONYMS, "", "the letters a to f, each with the name of a disease")


@exercise("a", "x")
def mended_nll(answer: Any, rng: np.random.Generator) -> None:
    a, x = rng.normal(0, 2, (4, 5)), rng.random((4, 5))
    _expect_nll(answer(a, x), a, x)
    # Sure logits, right or wrong: what each naive way cannot do, in a row of its own.
    sure = np.outer([60.0, -60.0, 900.0, -900.0], rng.uniform(1, 1.2, 5))
    x = (sure > 0).astype(float)
    x[:, 2] = 1 - x[:, 2]    # a pixel on the wrong side costs its whole logit
    found = answer(sure, x)
    lost = ~np.isfinite(np.asarray(found, dtype=float))
    if lost.any():
        raise NotYet(f"it is right at moderate logits, but with logits of {np.abs(sure[lost]).min():.0f} it is NaN or "
                     "infinite: e^|a| overflows, or a probability rounds to 0 or 1")
    _expect_nll(found, sure, x)


def _expect_nll(found: Any, a: Array, x: Array) -> None:
    positive, rest, softplus = np.maximum(a, 0), np.log1p(np.exp(-np.abs(a))), np.logaddexp(0, a)
    y, terms = np.exp(-np.logaddexp(0, -a)), softplus - x * a
    small = 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12
    clipped = [np.clip(y, least, 1 - least) for least in small]
    expect(found, terms.sum(axis=1), "the NLL", {
        "it is a mean over the pixels; independent pixels add, so it must be a sum": terms.mean(axis=1),
        "it is summed over the batch as well; each row has its own": [terms.sum(), terms.mean()],
        "it is not summed over the pixels": terms,
        "it is summed over the batch; sum over the pixels, axis 1": terms.sum(axis=0),
        "it has the wrong sign: the NLL of black-and-white pixels is never negative": -terms.sum(axis=1),
        "the term - x a is missing": softplus.sum(axis=1),
        "x a is added; it is subtracted": (softplus + x * a).sum(axis=1),
        "only log(1 + e^-|a|) is left; max(a, 0) is missing": (rest - x * a).sum(axis=1),
        "|a| stands where max(a, 0) belongs": (np.abs(a) + rest - x * a).sum(axis=1),
        "log(1 + e^-|a|) is missing: without it the rest is right for sure logits alone":
            (positive - x * a).sum(axis=1),
        "black and white are exchanged": (softplus - (1 - x) * a).sum(axis=1),
        "the probability is clipped, or something is added to it: that hides the NaN, and what a sure mistake costs": [
            *(-np.sum(x * np.log(one) + (1 - x) * np.log(1 - one), axis=1) for one in clipped),
            *(-np.sum(x * np.log(y + more) + (1 - x) * np.log(1 - y + more), axis=1) for more in small)]})


@exercise("pixel", "mu", "logvar")
def mended_loss(answer: Any, rng: np.random.Generator) -> None:
    B, D, Z = 4, 7, 3
    pixel = rng.uniform(0.2, 1.5, (B, D))
    mu, logvar = rng.standard_normal((B, Z)), rng.uniform(-2, -0.5, (B, Z))    # of one sign: no sum of them is near 0
    nll, kl = pixel.sum() / B, 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar) / B
    expect(answer(pixel, mu, logvar), nll + kl, "the loss", {
        "that is the sick loss itself": nll / D + kl / Z,
        "the pixels are still averaged; they are independent, so add them": nll / D + kl,
        "the KL is still averaged over the latent dimensions; add them": [nll + kl / Z, nll - kl / Z],
        "both terms are summed over the batch as well; that is no hidden beta, but take the mean over B, as asked":
            B * (nll + kl),
        "the KL is summed over the batch as well, the NLL is not": nll + B * kl,
        "the NLL is summed over the batch as well, the KL is not": B * nll + kl,
        "the half of the KL is missing": nll + 2 * kl,
        "the KL is subtracted; both terms are costs": nll - kl,
        "the NLL is subtracted; both terms are costs": [kl - nll, -nll - kl],
        "the KL is missing": nll,
        "the NLL is missing": kl,
        "the -1 of each latent dimension is missing": nll + kl + 0.5 * Z,
        "that divides by D after the sum, as the mean did": (nll + kl) / D,
        "that is one loss for each picture; take their mean": pixel.sum(axis=1) + 0.5 * np.sum(
            np.exp(logvar) + mu**2 - 1 - logvar, axis=1)})


@exercise("dtheta", "a", "W_hidden", "W_output")
def mended_dz(answer: Any, rng: np.random.Generator) -> None:
    B, D, G, Z = 4, 7, 5, 3
    dtheta, a = rng.standard_normal((B, D)), rng.standard_normal((B, G))
    a[0, :2] = 0.5, -0.5    # a relu that is on, and one that is off
    W_hidden, W_output = rng.standard_normal((Z, G)), rng.standard_normal((G, D))
    dr, on = dtheta @ W_output.T, a > 0
    expect(answer(dtheta, a, W_hidden, W_output), (dr * on) @ W_hidden.T, "dz", {
        "that is the sick line itself: what the relu cut off forward must be cut off backward": dr @ W_hidden.T,
        "the mask is the wrong way round: the gradient passes where a > 0": (dr * ~on) @ W_hidden.T,
        "the relu itself stands where its derivative belongs: 1 where a > 0, and 0 elsewhere":
            (dr * np.maximum(a, 0)) @ W_hidden.T,
        "a itself stands where the relu's derivative belongs: 1 where a > 0, and 0 elsewhere": (dr * a) @ W_hidden.T,
        "the gradient itself goes through the relu; its mask is where a > 0": np.maximum(dr, 0) @ W_hidden.T,
        "the sign of a multiplies the gradient; the relu's derivative is 1 or 0": (dr * np.sign(a)) @ W_hidden.T,
        "1 - a^2 belongs to tanh": [(dr * (1 - a**2)) @ W_hidden.T, (dr * (1 - np.tanh(a)**2)) @ W_hidden.T],
        "that is the gradient for the relu's input; W_hidden is missing": dr * on,
        "that is the gradient for the relu's output; the mask and W_hidden are missing": dr,
        "dz is transposed": W_hidden @ (dr * on).T,
        "it is a mean over the batch; each row has its own": (dr * on) @ W_hidden.T / B})


@exercise()
def wrapper(answer: Any, rng: np.random.Generator) -> None:
    stranger = Stranger()
    right = stranger_functions(stranger)
    if not isinstance(answer, Mapping):
        raise NotYet(f"expected a dictionary with {', '.join(right)}")
    missing = [name for name in right if name not in answer]
    if missing:
        raise NotYet(f"the dictionary lacks {', '.join(missing)}")
    B, Z = 5, 3
    x, eps = rng.random((B, 1, 6, 6)), rng.standard_normal((B, Z))
    mu, logvar = right["encode"](x)
    given = {}
    for name, names in (("encode", ("x",)), ("sample_z", ("mu", "logvar", "eps")), ("decode", ("z",)),
                        ("loss", ("x", "eps"))):
        if not callable(answer[name]):
            raise NotYet(f"{name} is {type(answer[name]).__name__}; expected a function")
        given[name] = Attempt(answer[name], names)
    try:
        _judge_wrapped(given, stranger, x, eps, mu, logvar)
    except NotYet as reason:
        raise NotYet(str(reason)) from None
    if plain(answer["decodes_to"]) != right["decodes_to"]:
        raise NotYet('decodes_to says what decode gives: "logits" or "probabilities"; look at the range of paint(z)')


def _judge_wrapped(given: dict[str, Attempt], stranger: Stranger, x: Array, eps: Array, mu: Array, logvar: Array
                   ) -> None:
    B = len(x)
    found_mu, found_logvar = parts(given["encode"](x), "arrays", ["mu", "logvar"])
    expect(found_mu, mu, "encode: mu", {"encode gives logvar first; mu comes first": logvar,
                                        "encode: the first three columns are mu": 0.5 * logvar})
    expect(found_logvar, logvar, "encode: logvar", {
        "encode: infer gives log sigma; logvar = log sigma^2 is twice that": 0.5 * logvar,
        "encode: that is sigma; logvar is its logarithm, times two": np.exp(0.5 * logvar),
        "encode: that is the variance; logvar is its logarithm": np.exp(logvar),
        "encode: log sigma is halved; logvar = log sigma^2 is twice log sigma": 0.25 * logvar,
        "encode: log sigma is squared; the logarithm of a square is twice the logarithm": 0.25 * logvar**2})
    expect(given["sample_z"](mu, logvar, eps), mu + np.exp(0.5 * logvar) * eps, "sample_z: z", {
        "sample_z: it is given logvar now, not log sigma: sigma is exp(logvar / 2)": mu + np.exp(logvar) * eps,
        "sample_z: the noise eps is not used": mu,
        "sample_z: logvar is a logarithm: sigma is exp(logvar / 2)": mu + logvar * eps})
    y = stranger.paint(eps)
    found = np.asarray(given["decode"](eps))
    expect(found.reshape(y.shape) if found.size == y.size else found, y, "decode: the pictures", {
        "decode: those are logits; paint gives probabilities, pass them on as they are": np.log(y) - np.log(1 - y)})
    step = stranger.step(x, eps)
    found = given["loss"](x, eps)
    if isinstance(found, Mapping):
        raise NotYet('loss gives the whole dictionary; which of its entries is the loss?')
    total = np.ravel(found)
    if total.size == 1 and total.dtype.kind == "f" and np.isclose(total[0] * B, step["total"], rtol=1e-5):
        return    # a mean over the batch is as good
    expect(found, step["total"], "loss", {
        "loss: that is the pixels' part alone": [step["pixels"], step["pixels"] / B],
        "loss: that is the prior's part alone": [step["prior"], step["prior"] / B],
        "loss: the prior's part is subtracted": step["pixels"] - step["prior"],
        "loss: hand the stranger's own loss over as it is, faults and all; to mend it comes later":
            [step["pixels"] + 0.5 * step["prior"], (step["pixels"] + 0.5 * step["prior"]) / B]})


@exercise()
def stranger(answer: Any, rng: np.random.Generator) -> None:
    check, beta = parts(answer, "values", ["check", "beta"])
    if plain(check) not in MODEL_CHECKS:
        raise NotYet(f"expected the name of a check first, one of {', '.join(MODEL_CHECKS)}")
    if plain(check) != "reduction":
        raise NotYet(f'"{plain(check)}" is not what is wrong with the stranger: read the report; if it says so, look '
                     "at your wrapper again")
    expect(beta, 2, "beta", {"that is what is expected, not what was found": 1,
                             "it is upside down: beta is b / a": 0.5})
