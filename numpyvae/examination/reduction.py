"""In words, how the terms of a loss are reduced over pixels, latent dimensions and the batch."""
from __future__ import annotations

import numpy as np

from ..models.likelihoods import Gaussian
from .explain import Explanation, Fit, beta_tolerance, is_intended
from .subject import Subject

SAME_POWER = 0.1        # of the batch size
SAME_WEIGHT = 0.05      # relative
NEXT_TO_NONE = 0.25     # of the intended weight of the KL


def described(subject: Subject, one: Explanation) -> str:
    """How each term is reduced."""
    fits, intended = one.fits, is_intended(subject, one)
    alike = abs(fits[0].beta - fits[-1].beta) <= beta_tolerance(subject, one)
    if intended or alike:    # then the batch is treated alike in both, and a, which is known better, tells how
        weights = [(subject.beta if intended else fits[-1].beta) * each.a for each in fits]
    else:
        weights = [each.b for each in fits]
    return (f"The NLL is {_reduction([each.a for each in fits], fits, subject.x.shape[1], 'pixels')}, the KL "
            f"{_reduction(weights, fits, subject.n_latent, 'latent dimensions')}.")


def mistaken_weight(subject: Subject, one: Explanation) -> str:
    """What a weight of the KL other than the intended one does, and where it comes from."""
    beta = one.fits[-1].beta
    mistake = f"{described(subject, one)} So the model trains with a hidden beta of {beta / (subject.beta or 1):.4g}"
    mistake += f" on top of the intended beta of {subject.beta:g}." if subject.beta != 1 else "."
    if abs(beta) <= beta_tolerance(subject, one) and abs(beta) <= NEXT_TO_NONE * (subject.beta or 1):
        mistake += "  The KL has no weight to speak of: this is an autoencoder."
    elif beta < 0:
        mistake += "  The KL is subtracted: the encoder is pushed away from the prior."
    elif beta > subject.beta:
        mistake += "  The KL is too heavy: latent dimensions collapse onto the prior."
    else:
        mistake += "  The KL is too light: samples from the prior will look worse than reconstructions."
    return mistake + "  " + (_other_sigma(subject, one) or "Sum the NLL over pixels and the KL over latent "
                             "dimensions, and treat the batch in the same way in both.")


def _other_sigma(subject: Subject, one: Explanation) -> str:
    """A squared error that is summed as it should be, but with the weight of another sigma: without the 1/2, say."""
    pixels, fits = subject.likelihood, one.fits
    power, per_row = _power(fits, [each.a for each in fits])
    # The KL is right: of the mean over the batch it has the weight beta, of the sum too.
    if not isinstance(pixels, Gaussian) or not _is_one(per_row * fits[-1].beta / (subject.beta or 1)):
        return ""
    if min(abs(power), abs(power - 1)) > SAME_POWER or _is_one(per_row * subject.x.shape[1]):
        return ""
    sigma = pixels.sigma / np.sqrt(per_row)
    half = "The 1/2 of the Gaussian is missing: " if _is_one(per_row / 2) else ""
    return (f"{half}the squared error has the weight {0.5 * per_row / pixels.sigma**2:.4g} where 1 / (2 sigma^2) = "
            f"{0.5 / pixels.sigma**2:.4g} belongs.  That is the NLL of sigma = {sigma:.4g}: if it is meant, pass "
            f"sigma={sigma:.4g}.")


def _power(fits: list[Fit], coefficients: list[float]) -> tuple[float, float]:
    """The power of the batch size with which the coefficients grow, and the weight of one row in a batch's mean."""
    first, last = coefficients
    if not first or not last or first * last < 0:
        return np.inf, last
    power = float(np.log(last / first) / np.log(fits[-1].n / fits[0].n))
    n = fits[-1].n
    return power, last / n if abs(power - 1) < SAME_POWER else last * n if abs(power + 1) < SAME_POWER else last


def _reduction(coefficients: list[float], fits: list[Fit], width: int, axis: str) -> str:
    """In words, how a term with these coefficients at the two batch sizes was reduced."""
    power, per_row = _power(fits, coefficients)
    if not np.isfinite(power):
        return f"weighted {per_row:.4g}"
    batch = {0: "averaged over the batch", 1: "summed over the batch", -1: "divided by the batch size twice"}
    over_batch = next((words for p, words in batch.items() if abs(power - p) < SAME_POWER),
                      "weighted oddly over the batch")
    for weight, words in ((1, f"summed over {axis}"), (1 / width, f"averaged over {axis} (1/{width})")):
        if _is_one(per_row / weight):
            return f"{words} and {over_batch}"
    return f"summed over {axis}, times {per_row:.4g}, and {over_batch}"


def _is_one(value: float) -> bool:
    return bool(abs(value - 1) < SAME_WEIGHT)
