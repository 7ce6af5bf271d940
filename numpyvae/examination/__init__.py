"""Examine your own VAE: `examine` takes plain functions and reports in words."""
from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arguments import ANYTHING, FUNCTION, MAPPING, NOT_NEGATIVE, POSITIVE, WHOLE, checked, counted, shown
from ..functional.full_gaussian import full_reparameterize
from ..functional.gaussian import reparameterize
from ..models.posteriors import DiagonalGaussian, FullGaussian
from ..models.vae import VAE
from .finite import check_finite
from .gradients import check_gradients
from .loss import check_loss
from .report import NOT_CHECKED, Examination, Finding
from .sampling import check_binarisation, check_images, check_noise, check_sampling
from .subject import Model, Subject, guarded, likelihood_of
from .training import check_batches, check_early_stopping, check_iwae, check_momentum

__all__ = ["Examination", "Finding", "examine"]

Array = np.ndarray
Function = Callable[..., Any]

MODEL_CHECKS = ("noise", "sampling", "likelihood", "kl", "reduction", "finite", "gradients", "images")
DRAWS = 200_000     # the budget where none is given; fewer of large images,
PIXELS = 250e6      # so that there are no more pixels than this in all
ENDLESS = 1000      # batches of an epoch of a few images
FEWEST = 4          # images that can be told apart from one another, in pairs


@checked(model=ANYTHING, x="numbers: ...", labels="any: ...", sigma=POSITIVE, beta=NOT_NEGATIVE, parameters=MAPPING,
         nll=FUNCTION, binarize=FUNCTION, momentum=FUNCTION, draws=WHOLE)
def examine(model: VAE | None = None, *, x: Array | None = None, labels: Array | None = None,
            encode: Function | None = None, sample_z: Function | None = None, decode: Function | None = None,
            loss: Function | None = None, decodes_to: str = "logits", sigma: float = 1.0, beta: float = 1.0,
            nll: Function | None = None, gradients: Function | None = None,
            parameters: Mapping[str, Array] | None = None,
            sample_x: Function | None = None, binarize: Function | None = None, batches: Function | None = None,
            momentum: Function | None = None, stop: Function | None = None, iwae: Function | None = None,
            draws: int | None = None, rng: np.random.Generator) -> Examination:
    """Examine a VAE, from whatever framework, through plain functions on NumPy arrays.

    Each check ends in "ok", "wrong", "not checked" or "not decided", with its numbers and, if wrong, the likely
    mistake.  Whatever is not given is not checked.  Functions whose last argument is `eps` receive their noise,
    N(0, I) of shape (B, Z); without it they draw their own.  The loss is then known only up to that noise: it is drawn
    again and again until the KL's weight and its formula are clear, or until `draws` are used up: "not decided", which
    is no pass.  A pass excludes 0.9 and 1.1 times the intended weight, and the report says what else is excluded.
    While it runs, a terminal shows how many images have gone through the loss.

    The functions are given NumPy arrays, images in the shape that x has, and may return arrays or any framework's
    tensors.  Call a PyTorch model's eval() before: dropout, and batch normalisation in training mode, make the same
    images give other numbers, which is found and said.

    model      : a numpyvae VAE; then only x and rng are needed
    x          : (B, D), or (B, ...) in any shape: some images, of the dtype and the range that the model trains on;
                 a dozen will do
    labels     : for a conditional numpyvae VAE, one class for all images; of an array (B,), only the first is used
    encode     : x -> mu, logvar, both (B, Z); logvar is log sigma^2
    sample_z   : mu, logvar[, eps] -> z (B, Z)
    decode     : z -> (B, D), what `decodes_to` says, or the shape of x; for two outputs also a pair
    loss       : x[, eps] -> one number, summed or averaged over the batch: NLL + beta KL.  Of a dict, "loss" is taken
    decodes_to : "logits" or "probabilities" (Bernoulli pixels), "mean" (Gaussian pixels with the given sigma), or
                 "mean and logvar" (Gaussian pixels, decode gives (B, 2D): first the means); or, for another of our
                 likelihoods, "continuous Bernoulli logits", "mean and log scale", "mean of Student's t"
    beta       : the intended weight of the KL
    nll        : for any other likelihood, theta, x -> -log p(x|z) of each row, (B,); theta is what decode gives, and
                 decodes_to does not matter then
    gradients  : x, eps -> {name: array}, of the loss, for `parameters`
    parameters : {name: array}, float32 or float64, in the order of the data flow; the model must see changes
                 made in place.  Every array is restored
    sample_x   : z -> (B, D), images drawn from p(x|z), or their means
    binarize   : x in [0, 1] -> zeros and ones of the same shape
    batches    : images, batch_size -> the batches of one epoch, one after another
    momentum   : values, grads -> new values; a fresh optimizer, which is called several times
    stop       : the validation losses of all epochs so far -> whether to stop now
    iwae       : x (B, D), eps (B, K, Z), encode, log_likelihood -> the bound on log p(x) from K samples, (B,) or its
                 mean.  It is given a separate model, whose log p(x) is known; log_likelihood(z, x) -> (n,) takes
                 rows z (n, Z) and x (n, D)
    draws      : how many rows of images may go through the loss to find what it is made of, each with its own noise;
                 unless given, 200 000, or fewer if x has more than 1250 pixels
    rng        : numpy.random.Generator; the same seed gives the same examination

    Raises TypeError or ValueError if the arguments do not fit together, or where one of your functions raises an
    exception, which stays attached.

    PyTorch's example VAE (784-400-20, `model` and `loss_function` as in its main.py):

        def numpy(f):
            def wrapped(*arrays):
                with torch.no_grad():
                    return f(*map(torch.from_numpy, arrays))
            return wrapped

        def loss(x):
            y, mu, logvar = model(x)
            return loss_function(y, x, mu, logvar)

        model.eval()
        report = examine(x=images, encode=numpy(model.encode), sample_z=numpy(model.reparameterize),
                         decode=numpy(model.decode), loss=numpy(loss), decodes_to="probabilities", rng=rng)
    """
    likelihood = likelihood_of(decodes_to, sigma, guarded("nll", nll))
    if not isinstance(model, VAE | None):
        raise TypeError(f"model is {type(model).__name__}; expected a numpyvae VAE: pass any other model as "
                        "functions, encode=, sample_z=, decode=, loss=")
    from tqdm.auto import tqdm
    if sys.platform == "emscripten":    # no threads, and tqdm would warn that its monitor is none
        tqdm.monitor_interval = 0
    with tqdm(desc="examine", unit="row", leave=False, disable=None) as bar:
        if model is not None:
            if x is None:
                raise ValueError("x is missing; expected some images (B, D) to examine the model with")
            findings = _checks(_model(model, x, labels, draws, bar, rng))
        elif encode is not None:
            x = _images(x)
            findings = _checks(Subject(
                x, guarded("encode", encode), guarded("sample_z", sample_z), guarded("decode", decode),
                guarded("loss", loss), likelihood, beta, guarded("gradients", gradients), _arrays(parameters),
                guarded("sample_x", sample_x), draws or _budget(x), bar, rng))
        else:
            missing = "encode was not given."
            findings = [Finding(name, NOT_CHECKED, missing) for name in MODEL_CHECKS]
    findings += [check_binarisation(guarded("binarize", binarize), rng), check_batches(_listed(batches)),
                 check_momentum(guarded("momentum", momentum)), check_early_stopping(guarded("stop", stop)),
                 check_iwae(guarded("iwae", iwae), rng)]
    return Examination(tuple(findings))


def _checks(subject: Subject) -> list[Finding]:
    noise = check_noise(subject)
    if subject.unsteady or subject.shares_noise:
        others = [Finding(name, NOT_CHECKED, 'fix "noise" first.') for name in MODEL_CHECKS[2:]]
        return [noise, check_sampling(subject), *others]
    findings = [noise, check_sampling(subject), *check_loss(subject), check_finite(subject), check_gradients(subject),
                check_images(subject)]
    return list({finding.check: finding for finding in findings}.values())    # of two on the noise, the later


def _budget(x: Array) -> int:
    return int(min(DRAWS, PIXELS * len(x) // x.size))


def _listed(batches: Function | None) -> Function | None:
    """The batches of an epoch as a list, of which there may be an end or not."""
    if batches is None:
        return None
    return guarded("batches", lambda *given: list(itertools.islice(batches(*given), ENDLESS)))


def _arrays(parameters: Mapping[str, Array] | None) -> Mapping[str, Array] | None:
    for name, array in (parameters or {}).items():
        if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64) or not array.size:
            raise ValueError(f"parameters[{name!r}] is {shown(array)}; expected an array of float32 or float64 that "
                             "shares its memory with the model, such as p.detach().numpy()")
        if not array.flags.writeable:
            raise ValueError(f"parameters[{name!r}] is read-only; expected an array whose entries can be changed")
    return parameters


def functions_of(vae: VAE, x: Array, label: Array | None = None) -> dict[str, Any]:
    """A numpyvae VAE as the arguments of `examine`: an example of how to write them.  Best in float64.

    label : (1,), the class given with all images, for a conditional VAE
    """
    def gradients(x: Array, eps: Array) -> dict[str, Array]:
        vae.loss_and_grad(x, eps, label)
        return {name: vae.parameters.grad(name).copy() for name in vae.parameters.names}

    def upright(mu: Array, logvar: Array, eps: Array) -> Array:
        return full_reparameterize(mu, logvar, np.zeros((*mu.shape, mu.shape[1])), eps)

    sampling = {DiagonalGaussian: reparameterize, FullGaussian: upright}
    c = vae.one_hot(label, 1)
    return {"x": np.asarray(x, dtype=float), "encode": lambda x: vae.encode(x, label),
            "sample_z": sampling.get(type(vae.posterior)),
            "decode": lambda z: vae.generate(z, None if c is None else np.repeat(c, len(z), axis=0)).copy(),
            "loss": lambda x, eps: vae.loss(x, eps, label), "beta": vae.beta, "gradients": gradients,
            "parameters": {name: vae.parameters[name] for name in vae.parameters.names},
            "sample_x": lambda z: vae.decode(z, label)}


def _model(model: VAE, x: Array, labels: Array | None, draws: int | None, bar: Any, rng: np.random.Generator) -> Model:
    vae, label = model.astype(np.float64), None if labels is None else np.ravel(labels)[:1]
    x = vae.check_data(x)
    if len(x) < FEWEST:
        raise ValueError(f"x has {counted(len(x), 'image')}; expected at least {FEWEST}")
    return Model(**functions_of(vae, x, label), likelihood=vae.likelihood, draws=draws or _budget(x), bar=bar, rng=rng,
                 vae=vae, c=vae.one_hot(label, 1))


def _images(x: Array | None) -> Array:
    """x as the checks need it."""
    if x is None:
        raise ValueError("x is missing; expected some images (B, D), in the range that the model trains on")
    if x.ndim < 2 or len(x) < FEWEST:
        raise ValueError(f"x has shape {x.shape}; expected (B, D) or (B, ...) with at least {FEWEST} images")
    if x.dtype not in (np.float32, np.float64):
        how = "bytes as (x / 255).astype(np.float32)" if x.dtype == np.uint8 else "x.astype(np.float32)"
        raise ValueError(f"x has dtype {x.dtype}; expected float32 or float64, as the model trains on: {how}")
    if not np.isfinite(x).all() or x.max() == x.min():
        raise ValueError("x holds NaN or infinity, or only one value; expected ordinary images")
    return x
