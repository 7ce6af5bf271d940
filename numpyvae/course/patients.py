"""The sick VAEs of lesson 13: six patients, six reports for an exercise, and a VAE by somebody else."""
from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np

from .. import museum
from ..examination import Examination, examine
from ..functional.activations import sigmoid
from ..museum import vae as bugs
from ..training.optimizers import adam

Array = np.ndarray

# What each patient is, an exhibit of the museum, and what is done to its pictures.
PATIENTS = {"healthy": (bugs.TinyVAE, ""), "A": (bugs.MeanOverPixels, ""), "B": (bugs.LogOfProbability, "white paper"),
            "C": (bugs.TinyVAE, "standardized"), "D": (bugs.LogitsShown, ""), "E": (bugs.TooLittleNoise, ""),
            "F": (bugs.DerivativeOfTheOutput, "")}
TITLES = {"A": "A: rests on the mark", "B": "B: NaN", "C": "C: far below zero", "D": "D: nothing to be seen",
          "E": "E: the best of all", "F": "F: worse, and no better later"}
UNITS = 64, 8, 64    # of a patient's layers: the encoder's, the code, the decoder's

# The exhibits whose reports exercise 13.1 shows, by letter.
REPORTS = {"a": "kl-summed-over-batch", "b": "noise-baked-in", "c": "relu-forward-only", "d": "softplus-samples",
           "e": "variance-as-sigma", "f": "noise-drawn-twice"}
WIDTH = 100


def admit(name: str, pictures: Array, seed: int) -> bugs.TinyVAE:
    """A patient, not yet trained, with the pictures (N, D) that it trains on in `vae.x`."""
    kind, treated = PATIENTS[name]
    if treated == "white paper":    # and in the precision that most people train in
        pictures = (1 - pictures).astype(np.float32)
    elif treated == "standardized":
        pictures = (pictures - pictures.mean()) / pictures.std()
    return kind(np.random.default_rng(seed), pictures, UNITS)


def train(vae: bugs.TinyVAE, seed: int, epochs: int, lr: float = 4e-3, batch_size: int = 100) -> list[float]:
    """Train by Adam; the loss that the VAE reports, its mean over each epoch.  A loss that is no number ends it."""
    rng, t = np.random.default_rng(seed), 0
    losses: list[float] = []
    moments = {name: np.zeros((2, w.size), w.dtype) for name, w in vae.parameters.items()}
    while len(losses) < epochs and (not losses or math.isfinite(losses[-1])):
        seen = []
        for rows in np.array_split(rng.permutation(len(vae.x)), math.ceil(len(vae.x) / batch_size)):
            x = vae.x[rows]
            eps = rng.standard_normal((len(x), vae.n_latent)).astype(x.dtype)
            with np.errstate(all="ignore"):
                seen.append(vae.loss(x, eps))
            t += 1
            for name, gradient in vae.gradients(x, eps).items():
                mean, square = moments[name]
                adam(vae.parameters[name].reshape(-1), gradient.reshape(-1), mean, square, lr, 0.1, 0.001,
                     1 - 0.9**t, 1 - 0.999**t, 1e-8)
        losses.append(float(np.mean(seen)))
    return losses


def trained(kind: type[bugs.TinyVAE], pictures: Array, seed: int, epochs: int = 20,
            units: tuple[int, int, int] = UNITS) -> bugs.TinyVAE:
    """A new VAE of this kind, trained."""
    vae = kind(np.random.default_rng(seed), pictures, units)
    train(vae, seed, epochs)
    return vae


def curve_panels(curves: dict[str, list[float]], mark: float) -> dict[str, dict[str, list[float]]]:
    """What `plots.show_curves` draws: each patient beside the healthy one and the mark, where their units are its own.

    mark : the NLL of the mean picture
    """
    panels = {}
    for name, title in TITLES.items():
        panels[title] = {"patient": curves[name]}
        if name not in "AC":
            panels[title] |= {"healthy": curves["healthy"]}
        if name != "C":    # the loss of A is a mean over pixels
            panels[title] |= {"mean picture": [mark / (196 if name == "A" else 1)] * len(curves["healthy"])}
    return panels


def painted(vae: bugs.TinyVAE, z: Array) -> Array:
    """The pictures (N, 14, 14) that a VAE makes of codes, as plotting functions draw numbers beyond [0, 1]: the
    smallest is black and the largest white."""
    images = vae.sample_x(z).reshape(-1, 14, 14)
    return images if images.min() >= 0 and images.max() <= 1 else (images - images.min()) / np.ptp(images)


def wrong_part(report: Examination) -> str:
    """What an examination prints, of the checks that say "wrong" alone."""
    return str(Examination(tuple(f for f in report.findings if f.check in report.wrong))).partition("\n\n")[2]


def torn_reports() -> dict[str, str]:
    """For each letter of exercise 13.1, what was measured; the line that names the mistake is torn off."""
    torn = {}
    for letter, name in REPORTS.items():
        exhibit = next(one for one in museum.EXHIBITS if one.name == name)
        rng = np.random.default_rng(13)
        report = examine(**exhibit.functions(rng), rng=rng)
        text = "; ".join(f"{check}: {report[check].evidence}" for check in report.wrong)
        torn[letter] = textwrap.fill(text, WIDTH, initial_indent=f"{letter}  ", subsequent_indent="   ")
    return torn


class Stranger:
    """Somebody else's VAE, with conventions of its own; pictures are (B, 1, 6, 6).

    pictures              : twelve to examine it with
    infer(pictures)       : (B, 6): three means, and then three log sigma
    paint(z)              : (B, 1, 6, 6), the probability of ink for each pixel
    step(pictures, noise) : a dictionary with "total", "pixels" and "prior", each a sum over the batch; noise is (B, 3)
    """

    def __init__(self, seed: int = 13):
        rng = np.random.default_rng(seed)
        self._net = bugs.TinyVAE(rng, rng.random((12, 36)), (9, 3, 7))
        self.pictures = self._net.x.reshape(-1, 1, 6, 6)

    def infer(self, pictures: Array) -> Array:
        mu, logvar = self._net.encode(pictures.reshape(-1, 36))
        return np.concatenate([mu, 0.5 * logvar], axis=1)

    def paint(self, z: Array) -> Array:
        return sigmoid(self._net.decode(z)).reshape(-1, 1, 6, 6)

    def step(self, pictures: Array, noise: Array) -> dict[str, float]:
        mu, log_sigma = np.split(self.infer(pictures), 2, axis=1)
        a = self._net.decode(mu + np.exp(log_sigma) * noise)
        pixels = np.sum(np.logaddexp(0, a) - pictures.reshape(-1, 36) * a)
        prior = np.sum(mu**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1)
        return {"total": float(pixels + prior), "pixels": float(pixels), "prior": float(prior)}


def stranger_functions(stranger: Stranger) -> dict[str, Any]:
    """The wrapper that exercise 13.5 asks for."""
    def encode(x: Array) -> tuple[Array, Array]:
        mu, log_sigma = np.split(stranger.infer(x), 2, axis=1)
        return mu, 2 * log_sigma
    return {"encode": encode, "sample_z": lambda mu, logvar, eps: mu + np.exp(0.5 * logvar) * eps,
            "decode": stranger.paint, "loss": lambda x, eps: stranger.step(x, eps)["total"],
            "decodes_to": "probabilities"}
