"""What is odd about a trained VAE, in words, with what to do about it."""
from __future__ import annotations

import numpy as np

from ..arguments import NUMBER, checked
from ..models.likelihoods import GaussianLearned
from ..models.vae import VAE
from .latents import encode_all, kl_per_dimension

Array = np.ndarray

MOST_CODES = 1000       # which are decoded
UNUSED = 0.1            # nats of KL below which a latent dimension tells next to nothing
HARDLY_USED = 1.0       # nats of KL in all dimensions together
TINY = 0.01             # a learned sigma below which a pixel is as good as constant


@checked(images="numbers: ...", labels="any: ...", nll=NUMBER)
def remarks(vae: VAE, images: Array, nll: float, *, rng: np.random.Generator,
            labels: Array | None = None) -> list[str]:
    """Sentences about a code that is not used, and about a likelihood that is unbounded; none if all is well.

    images : (N, ...) test images; labels : (N,) theirs, for a conditional VAE
    nll    : their mean negative log likelihood, nats per image
    """
    mu, logvar = encode_all(vae, images, rng=rng, labels=labels)
    kl = kl_per_dimension(mu, logvar)
    found = []
    if kl.sum() < HARDLY_USED:
        found.append(f"the decoder hardly uses the code: its KL is {kl.sum():.2f} nats in all, so "
                     f"whatever it is given it rebuilds nearly the same (posterior collapse); {_how_to_use_it(vae)}")
    elif (kl < UNUSED).sum() > len(kl) / 2:
        n = int((kl < UNUSED).sum())
        found.append(f"{n} of {len(kl)} latent dimensions are not used (a KL below {UNUSED} nats each); a model with "
                     f"--latent {len(kl) - n} may be as good")
    if nll < 0:
        found.append("the loss is below 0, as it may be: for continuous pixels p(x|z) is a density, which can be "
                     "larger than 1; compare it only with losses of the same likelihood on the same data")
    if isinstance(vae.likelihood, GaussianLearned):
        known = None if labels is None else np.broadcast_to(labels, len(mu))[:MOST_CODES]
        found += _constant_pixels(vae, mu[:MOST_CODES], known)
    return found


def _how_to_use_it(vae: VAE) -> str:
    sigma = getattr(vae.likelihood, "sigma", None)
    advice = []
    if sigma is not None:
        advice.append(f"a smaller --sigma than {sigma:g} makes the reconstruction count for more")
    if vae.beta > 1:
        advice.append(f"a smaller --beta than {vae.beta:g} makes the code cheaper")
    return ", or ".join([*advice, "let the KL's weight grow slowly with --warmup, or train for longer"])


def _constant_pixels(vae: VAE, mu: Array, labels: Array | None) -> list[str]:
    """Where a pixel never changes, its likelihood grows without bound as sigma falls."""
    theta = vae.generate(mu.astype(vae.dtype), vae.one_hot(labels, len(mu)))
    sigma = np.exp(0.5 * np.median(np.split(theta, 2, axis=1)[1], axis=0))
    n = int((sigma < TINY).sum())
    return [f"the learned sigma is below {TINY} in {n:,} of {len(sigma):,} pixels, which hardly change; the likelihood "
            "of such pixels grows without bound as sigma falls, and drowns what the others say: leave them out, or "
            "choose one sigma for all with --likelihood gaussian --sigma"] * (n > 0)
