"""Examine your own VAE: `examine` takes plain functions and reports in words."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arguments import ANYTHING, FUNCTION, MAPPING, NOT_NEGATIVE, POSITIVE, checked, one_of
from ..functional.full_gaussian import full_reparameterize
from ..functional.gaussian import reparameterize
from ..models.posteriors import DiagonalGaussian, FullGaussian
from ..models.vae import VAE
from .gradients import check_gradients
from .loss import check_finite, check_loss
from .report import NOT_CHECKED, Examination, Finding
from .sampling import check_binarisation, check_images, check_noise, check_sampling
from .subject import DECODES_TO, Model, Subject, likelihood_of
from .training import check_batches, check_early_stopping, check_iwae, check_momentum

__all__ = ["Examination", "Finding", "examine"]

Array = np.ndarray
Function = Callable[..., Any]

MODEL_CHECKS = ("noise", "sampling", "likelihood", "kl", "reduction", "finite", "gradients", "images")


@checked(model=ANYTHING, x="numbers: ...", labels="any: ...", sigma=POSITIVE, beta=NOT_NEGATIVE, parameters=MAPPING,
         binarize=FUNCTION, momentum=FUNCTION)
def examine(model: VAE | None = None, *, x: Array | None = None, labels: Array | None = None,
            encode: Function | None = None, sample_z: Function | None = None, decode: Function | None = None,
            loss: Function | None = None, decodes_to: str = "logits", sigma: float = 1.0, beta: float = 1.0,
            gradients: Function | None = None, parameters: Mapping[str, Array] | None = None,
            sample_x: Function | None = None, binarize: Function | None = None, batches: Function | None = None,
            momentum: Function | None = None, stop: Function | None = None, iwae: Function | None = None,
            rng: np.random.Generator) -> Examination:
    """Examine a VAE, from whatever framework, through plain functions on NumPy arrays.

    Each check ends in "ok", "wrong" or "not checked", with its numbers and, if wrong, the likely mistake.
    Whatever is not given is not checked.  Functions whose last argument is `eps` receive their noise, N(0, I) of
    shape (B, Z); without it they draw their own.  The loss is then known only up to that noise: it is drawn again and
    again until the weight of the KL is clear, at most some 400 000 rows.

    model      : a numpyvae VAE; then only x and rng are needed
    x          : (B, D), some images, of the dtype and the range that the model trains on; a dozen will do
    labels     : for a conditional numpyvae VAE, one class for all images; of an array (B,), only the first is used
    encode     : x -> mu, logvar, both (B, Z); logvar is log sigma^2
    sample_z   : mu, logvar[, eps] -> z (B, Z)
    decode     : z -> (B, D), what `decodes_to` says
    loss       : x[, eps] -> one number, summed or averaged over the batch: NLL + beta KL
    decodes_to : "logits" or "probabilities" (Bernoulli pixels), "mean" (Gaussian pixels with the given sigma), or
                 "mean and logvar" (Gaussian pixels, decode gives (B, 2D): first the means); or, for another of our
                 likelihoods, "continuous Bernoulli logits", "mean and log scale"
    beta       : the intended weight of the KL
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
    rng        : numpy.random.Generator; the same seed gives the same examination

    Raises TypeError or ValueError if the arguments do not fit together; exceptions from your functions propagate.

    PyTorch's example VAE (784-400-20, `model` and `loss_function` as in its main.py):

        def numpy(f):
            def wrapped(*arrays):
                with torch.no_grad():
                    out = f(*map(torch.from_numpy, arrays))
                return tuple(t.numpy() for t in out) if isinstance(out, tuple) else out.numpy()
            return wrapped

        def loss(x):
            y, mu, logvar = model(x)
            return loss_function(y, x, mu, logvar)

        report = examine(x=images, encode=numpy(model.encode), sample_z=numpy(model.reparameterize),
                         decode=numpy(model.decode), loss=numpy(loss), decodes_to="probabilities", rng=rng)
    """
    one_of("decodes_to", decodes_to, DECODES_TO)
    if model is not None:
        if not isinstance(model, VAE):
            raise TypeError(f"model is {type(model).__name__}; expected a numpyvae VAE: pass any other model as "
                            "functions, encode=, sample_z=, decode=, loss=")
        if x is None:
            raise ValueError("x is missing; expected some images (B, D) to examine the model with")
        findings = _checks(_model(model, x, labels, rng))
    elif encode is None:
        missing = "encode was not given."
        findings = [Finding(name, NOT_CHECKED, missing) for name in MODEL_CHECKS]
    else:
        findings = _checks(Subject(_images(x), encode, sample_z, decode, loss, likelihood_of(decodes_to, sigma), beta,
                                   gradients, parameters, sample_x, rng))
    findings += [check_binarisation(binarize, rng), check_batches(batches), check_momentum(momentum),
                 check_early_stopping(stop), check_iwae(iwae, rng)]
    return Examination(tuple(findings))


def _checks(subject: Subject) -> list[Finding]:
    return [check_noise(subject), check_sampling(subject), *check_loss(subject), check_finite(subject),
            check_gradients(subject), check_images(subject)]


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


def _model(model: VAE, x: Array, labels: Array | None, rng: np.random.Generator) -> Model:
    vae, label = model.astype(np.float64), None if labels is None else np.ravel(labels)[:1]
    return Model(**functions_of(vae, x, label), likelihood=vae.likelihood, rng=rng, vae=vae, c=vae.one_hot(label, 1))


def _images(x: Array | None) -> Array:
    """x as the checks need it."""
    if x is None:
        raise ValueError("x is missing; expected some images (B, D), in the range that the model trains on")
    x = np.asarray(x)
    if x.ndim != 2 or len(x) < 4 or x.dtype.kind != "f":
        raise ValueError(f"x has shape {x.shape} and dtype {x.dtype}; expected (B, D) floats with at least four images")
    if not np.isfinite(x).all() or x.max() == x.min():
        raise ValueError("x holds NaN or infinity, or only one value; expected ordinary images")
    return x
