"""The museum of VAE bugs: what public VAEs really get wrong, one exhibit each.

    for exhibit in museum.EXHIBITS:
        print(exhibit.name, exhibit.bug)
        print(nv.examine(**exhibit.functions(rng), rng=rng))

An exhibit is a set of arguments for `examine` that is right except for one thing.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import Kind, checked
from . import iwae, training, vae

__all__ = ["EXHIBITS", "Exhibit", "FAMILIES", "right", "right_that_draws_its_noise"]

Functions = dict[str, Any]
TINY = Kind(lambda value: isinstance(value, type) and issubclass(value, vae.TinyVAE), "a class of museum.vae",
            TypeError)


@dataclass(frozen=True)
class Exhibit:
    """One bug.

    family    : one of FAMILIES; some bugs come in more than one form
    bug       : in one sentence
    seen_as   : how it shows in training
    caught_by : the one check of `examine` that says "wrong"
    named     : words from the likely mistake that this check reports
    functions : rng -> arguments for `examine`
    """

    name: str
    family: str
    bug: str
    seen_as: str
    caught_by: str
    named: str
    functions: Callable[[np.random.Generator], Functions]


FAMILIES = (
    "variance as standard deviation", "noise drawn twice", "mean in one term, sum in the other",
    "reported loss is not the optimised loss", "stale upstream gradient", "wrong activation derivative",
    "relu forward only", "sigmoid factor in a Gaussian decoder", "invalid importance weights",
    "softmax of the positive loss", "softplus for sigmoid", "log of a probability", "binarised the wrong way round",
    "constant noise", "shuffled batch starts", "early stopping and momentum that do nothing", "noise too small",
    "logits for probabilities", "two threads, one array")


@checked(model=TINY)
def right(rng: np.random.Generator, model: type[vae.TinyVAE] = vae.TinyVAE) -> Functions:
    """Everything that `examine` can look at, with nothing wrong in it, around a VAE of the given class."""
    return model(rng).functions() | {
        "binarize": functools.partial(training.binarize, rng=rng),
        "batches": functools.partial(training.shuffled_batches, rng=rng),
        "momentum": training.Momentum(), "stop": training.stop_early, "iwae": iwae.iwae_bound}


@checked()
def right_that_draws_its_noise(rng: np.random.Generator) -> Functions:
    """The same for a VAE whose functions take no eps."""
    return right(rng, vae.DrawsItsNoise)


def _model(model: type[vae.TinyVAE]) -> Callable[[np.random.Generator], Functions]:
    return functools.partial(right, model=model)


def _around(name: str, make: Callable[[np.random.Generator], Any]) -> Callable[[np.random.Generator], Functions]:
    return lambda rng: right(rng) | {name: make(rng)}


EXHIBITS = (
    Exhibit("variance-as-sigma", FAMILIES[0],
            "exp(logvar) is the standard deviation when sampling and the variance in the KL.",
            "Trains without complaint, as forward and backward agree; samples from the prior look worse than "
            "reconstructions, and the ELBO is lower than it could be.",
            "sampling", "exp(logvar) is used as the standard deviation", _model(vae.VarianceAsSigma)),
    Exhibit("noise-drawn-twice", FAMILIES[1],
            "The backward pass draws its own noise.",
            "The gradient for logvar is wrong in every step; sigma drifts to 1 or stays where it was.",
            "gradients", "noise is drawn twice", _model(vae.NoiseDrawnTwice)),
    Exhibit("mean-over-pixels", FAMILIES[2],
            "The NLL is a mean over pixels, the KL a sum over latent dimensions.",
            "The KL falls to zero within an epoch and every reconstruction is the same grey average.",
            "reduction", "The NLL is averaged over pixels", _model(vae.MeanOverPixels)),
    Exhibit("kl-summed-over-batch", FAMILIES[2],
            "The NLL is a mean over the batch, the KL a sum.",
            "Results change with the batch size; at large batches the latent dimensions collapse.",
            "reduction", "the KL summed over latent dimensions and summed over the batch",
            _model(vae.KLSummedOverBatch)),
    Exhibit("other-loss-reported", FAMILIES[3],
            "The gradients belong to a KL four times as heavy as in the loss that is reported.",
            "The curve looks fine and falls, then rises a little; a change of beta seems to do nothing.",
            "gradients", "the loss reported is not the loss optimised", _model(vae.OtherLossReported)),
    Exhibit("stale-upstream", FAMILIES[4],
            "z's gradient is computed from an upstream gradient kept from a later layer.",
            "The decoder learns, the encoder wanders: reconstructions stay blurred.",
            "gradients", "the error enters just after logvar.b", _model(vae.StaleUpstream)),
    Exhibit("tanh-derivative", FAMILIES[5],
            "The backward pass of a sigmoid has the derivative of tanh, 1 - y^2.",
            "Trains, but more slowly and to a worse ELBO.",
            "gradients", "the error enters just after encoder.b", _model(vae.TanhDerivative)),
    Exhibit("derivative-of-the-output", FAMILIES[5],
            "A derivative that is written for the input is given the output.",
            "Trains, but more slowly and to a worse ELBO; saturated units never recover.",
            "gradients", "written from the output but given the input, or the reverse",
            _model(vae.DerivativeOfTheOutput)),
    Exhibit("relu-forward-only", FAMILIES[6],
            "The backward pass forgets the relu's mask.",
            "Trains, but unsteadily; a smaller learning rate seems to be needed.",
            "gradients", "a missing relu mask", _model(vae.ReluForwardOnly)),
    Exhibit("sigmoid-in-gaussian", FAMILIES[7],
            "The gradient of Gaussian means is scaled by y (1 - y).",
            "Bright and dark pixels hardly learn; means beyond [0, 1] run away.",
            "gradients", "without a factor y (1 - y)", _model(vae.SigmoidInGaussian)),
    Exhibit("analytic-kl-in-weights", FAMILIES[8],
            "The importance weights use the KL's closed form in place of log q(z|x) - log p(z).",
            "The \"IWAE bound\" rises beyond log p(x) as samples are added.",
            "iwae", "with the analytic KL in them", _around("iwae", lambda rng: iwae.analytic_kl)),
    Exhibit("reshape-mixes-images", FAMILIES[8],
            "A reshape puts different images' weights into one mean.",
            "The bound depends on what else is in the batch, and is too good.",
            "iwae", "a reshape mixes samples and images", _around("iwae", lambda rng: iwae.mixed_reshape)),
    Exhibit("positive-softmax", FAMILIES[9],
            "The samples are weighted by softmax(+loss).",
            "More samples make the bound worse.",
            "iwae", "The worst sample weighs most", _around("iwae", lambda rng: iwae.positive_softmax)),
    Exhibit("softplus-samples", FAMILIES[10],
            "Images are made with softplus(logits) instead of sigmoid(logits).",
            "The loss is fine, but the pictures are burnt out: a logit of 2 gives 2.13.",
            "images", "the images follow softplus(logits)", _model(vae.SoftplusSamples)),
    Exhibit("log-of-probability", FAMILIES[11],
            "The NLL takes log(y) of a probability that has been rounded to 0 or 1.",
            "NaN after some epochs, sooner with a larger learning rate.",
            "finite", "log(y) of a probability y", _model(vae.LogOfProbability)),
    Exhibit("binarised-inverted", FAMILIES[12],
            "The comparison with the random number is reversed, so bright pixels become 0.",
            "The ELBO is off by tens of nats from published ones, and pictures look like negatives.",
            "binarisation", "the wrong way round",
            _around("binarize", lambda rng: functools.partial(training.binarize_inverted, rng=rng))),
    Exhibit("noise-baked-in", FAMILIES[13],
            "The noise is a constant, as when a compiler traced the draw once.",
            "The ELBO looks better than it is; samples from the prior are poor.",
            "noise", "the noise is constant", _model(vae.NoiseBakedIn)),
    Exhibit("shuffled-starts", FAMILIES[14],
            "The starts of the batches are shuffled, not the images.",
            "The loss oscillates with a period of one epoch.",
            "batches", "the starts of the batches are shuffled",
            _around("batches", lambda rng: functools.partial(training.shuffled_starts, rng=rng))),
    Exhibit("early-stopping-never", FAMILIES[15],
            "The count of epochs without improvement restarts at each fall of the loss, however small.",
            "Training runs to its last epoch, overfitting.",
            "early stopping", "early stopping never fires", _around("stop", lambda rng: training.never_stop)),
    Exhibit("momentum-forgotten", FAMILIES[15],
            "The velocity is computed and thrown away.",
            "Trains exactly as plain gradient descent does; changing the momentum changes nothing.",
            "momentum", "momentum never accumulates",
            _around("momentum", lambda rng: training.ForgetfulMomentum())),
    Exhibit("noise-too-small", FAMILIES[16],
            "The noise has a standard deviation of 0.01, while the KL believes in 1.",
            "Reconstructions are sharp and the loss is lower than published ones; samples from the prior are garbage.",
            "sampling", "scaled by something other than exp(logvar / 2)", _model(vae.TooLittleNoise)),
    Exhibit("logits-shown", FAMILIES[17],
            "The decoder's logits are shown as the picture, without the sigmoid.",
            "The loss is fine, but the pictures are grey.",
            "images", "the images follow the logits themselves", _model(vae.LogitsShown)),
    Exhibit("racing-bias", FAMILIES[18],
            "Two threads add their halves of the rows to the same bias gradient.",
            "Trains a little worse than it should, and no run can be repeated to the last bit.",
            "gradients", "two threads add to the same array", _model(vae.RacingBias)),
)
