"""What is odd about a trained VAE, in words, with what to do about it."""
from __future__ import annotations

import numpy as np

from ..arguments import NUMBER, WHOLE, checked, counted
from ..models.likelihoods import GaussianLearned
from ..models.vae import VAE
from ..training.fit import evaluate_loss
from .latents import encode_all, kl_per_dimension

Array = np.ndarray

MOST_CODES = 1000       # which are decoded
UNUSED = 0.1            # nats of KL below which a latent dimension tells next to nothing
HARDLY_USED = 1.0       # nats of KL in all dimensions together
TINY = 0.01             # a learned sigma below which a pixel is as good as constant
BEGINNING = 10          # epochs within which a code that is not used yet may still come into use


@checked(images="numbers: ...", labels="any: ...", nll=NUMBER, epochs=WHOLE)
def remarks(vae: VAE, images: Array, nll: float, *, rng: np.random.Generator,
            labels: Array | None = None, epochs: int | None = None) -> list[str]:
    """Sentences about a code that is not used, and about a likelihood that is unbounded; none if all is well.

    images : (N, ...) test images; labels : (N,) theirs, for a conditional VAE
    nll    : their mean negative log likelihood, nats per image
    epochs : for how many the VAE was trained, if that is known: after a few, a code may only not be used yet
    """
    mu, logvar = encode_all(vae, images, rng=rng, labels=labels)
    rate, kl = evaluate_loss(vae, images, rng=rng, labels=labels).kl, kl_per_dimension(mu, logvar)
    unused = int((kl < UNUSED).sum())
    found = []
    if rate < HARDLY_USED:
        found.append(_collapsed(vae, rate, epochs))
    elif unused > len(kl) / 2 and kl.sum() > rate / 2:    # else a correlated q tells by several together
        found.append(_unused(unused, len(kl), epochs))
    if nll < 0:
        found.append("the loss is below 0, as it may be: for continuous pixels p(x|z) is a density, which can be "
                     "larger than 1; compare it only with losses of the same likelihood on the same data")
    if isinstance(vae.likelihood, GaussianLearned) and not vae.likelihood.shared_logvar:
        known = None if labels is None else labels[:MOST_CODES]
        found += _constant_pixels(vae, mu[:MOST_CODES], known)
    return found


def _collapsed(vae: VAE, rate: float, epochs: int | None) -> str:
    """In words that claim no more than is known: after a few epochs, most codes are not used yet."""
    if epochs is not None and epochs < BEGINNING:
        return (f"the decoder hardly uses the code after {counted(epochs, 'epoch')}: its KL is {rate:.2f} nats in all, "
                "so whatever it is given it rebuilds nearly the same; so early that says little: train for longer, and "
                f"if it stays so (posterior collapse), {_how_to_use_it(vae)}")
    since = "" if epochs is None else f" after {epochs:,} epochs"
    return (f"the decoder hardly uses the code{since}: its KL is {rate:.2f} nats in all, so whatever it is given it "
            f"rebuilds nearly the same (posterior collapse); {_how_to_use_it(vae)}, or train for longer")


def _how_to_use_it(vae: VAE) -> str:
    sigma = getattr(vae.likelihood, "sigma", None)
    advice = []
    if sigma is not None:
        advice.append(f"a smaller --sigma than {sigma:g} makes the reconstruction count for more")
    if vae.beta > 1:
        advice.append(f"a smaller --beta than {vae.beta:g} makes the code cheaper")
    if vae.beta > 0:
        advice.append("let the KL's weight grow slowly with --warmup")
    return ", or ".join(advice or ["see whether the images differ at all"])


def _unused(unused: int, n_latent: int, epochs: int | None) -> str:
    since = "" if epochs is None else f" after {counted(epochs, 'epoch')}"
    if unused < n_latent:
        what, smaller = f"{unused} of {n_latent} latent dimensions are not used{since}", f"--latent {n_latent - unused}"
    else:    # many of them that tell a little each
        what, smaller = f"none of {n_latent} latent dimensions tells much{since}", "a smaller --latent"
    if epochs is not None and epochs < BEGINNING:
        advice = "so early that says little: train for longer, and look again"
    else:
        advice = f"a model with {smaller} may be as good"
    return f"{what} (a KL below {UNUSED} nats each); {advice}"


def _constant_pixels(vae: VAE, mu: Array, labels: Array | None) -> list[str]:
    """Where a pixel never changes, its likelihood grows without bound as sigma falls."""
    theta = vae.generate(mu.astype(vae.dtype), vae.one_hot(labels, len(mu)))
    sigma = np.exp(0.5 * np.median(np.split(theta, 2, axis=1)[1], axis=0))
    n = int((sigma < TINY).sum())
    return [f"the learned sigma is below {TINY} in {n:,} of {len(sigma):,} pixels, which hardly change; the likelihood "
            "of such pixels grows without bound as sigma falls, and drowns what the others say: leave them out, or "
            "learn one sigma for all with --likelihood gaussian-shared"] * (n > 0)
