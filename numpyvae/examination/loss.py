"""What the loss is made of, inferred from outside: how much NLL, how much KL, and what else.

For a batch of n copies of one image, formulas give the NLL and the KL from what encode and decode return.
Over different images and noise the loss is then fitted as

    loss = a NLL + b KL + c.

At two batch sizes n, a and b show how each term is reduced, and b / a is the beta that is really trained.  Where the
right formulas leave a residual, common wrong ones are tried in their place.

A loss that draws its own noise is known only up to that noise.  Two things make it tell in few draws: the images are
those of many made ones that say most about b (probes.py), and there are as many draws as it takes to decide.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.gaussian import HALF_LOG_2_PI
from ..models.likelihoods import Gaussian
from .formulas import RIGHT, kl_formulas, nll_formulas
from .probes import IMAGES, chosen_probes, probes
from .report import NOT_CHECKED, OK, WRONG, Finding
from .subject import Subject

Array = np.ndarray

REPEATS = 16            # draws of the noise for each image, each for n copies, where it is an argument of the loss
DRAWN_REPEATS = (4, 8, 16, 32, 64)    # where it is not: until the weight of the KL is known
FROZEN_COPIES = (3, 8)
DRAWN_COPIES = (32, 96)
STANDARD_ERRORS = 6.0
ROUNDINGS = 30.0        # a sum of many terms rounds more than once
DECIDED = 0.25          # the tolerance of a beta that is judged, relative to the beta
BETA_TOLERANCE = 0.01
MONTE_CARLO = 20000
UNDECIDED = ("In the loss the KL varies too little to be seen above the noise: write loss(x, eps), or pass a model "
             "that has been trained a little.")


@dataclass
class Measurement:
    """Losses of batches of n copies of one image, and what the formulas give for the same batches."""

    n: int
    loss: Array                   # (M,)
    error: Array                  # (M,) the standard error of the loss, in units of the NLL
    relative_error: float         # of the loss's own arithmetic
    n_terms: int                  # of the NLL's sum: where they cancel, it rounds more than its size suggests
    nll: dict[str, Array]         # by formula; RIGHT is the right one
    kl: dict[str, Array]
    repeats: int


@dataclass
class Fit:
    """loss = a NLL + b KL + c with standard errors.

    off        : the worst residual in standard errors
    chi_square : the sum of the squares of all residuals, in standard errors
    """

    a: float
    b: float
    c: float
    error: Array
    off: float
    chi_square: float
    n: int

    @property
    def beta(self) -> float:
        return self.b / self.a

    @property
    def beta_error(self) -> float:
        return float(abs(self.error[1] / self.a) + abs(self.beta * self.error[0] / self.a))


@dataclass
class Explanation:
    """Formulas for NLL and KL that explain the loss at both batch sizes."""

    nll: str
    kl: str
    fits: list[Fit]

    @property
    def chi_square(self) -> float:
        return sum(fit.chi_square for fit in self.fits)


def check_loss(subject: Subject) -> tuple[Finding, Finding, Finding]:
    """The findings "likelihood", "kl" and "reduction"."""
    names = ("likelihood", "kl", "reduction")
    if subject.loss is None or subject.decode is None:
        return tuple(Finding(name, NOT_CHECKED, "loss (or decode) was not given.") for name in names)  # type: ignore
    if not subject.kl_is_known:
        return tuple(Finding(name, NOT_CHECKED, "no closed form of the KL is known.") for name in names)  # type: ignore
    measured, explanations = _measured_frozen(subject) if subject.frozen else _measured_drawn(subject)
    if not all(np.isfinite(m.loss).all() for m in measured):
        return (Finding("likelihood", WRONG, "the loss of ordinary images is NaN or infinite.",
                        "look for log(0), a division by 0, or an exp that overflows."),
                *(Finding(name, NOT_CHECKED, "the loss is not finite.") for name in names[1:]))  # type: ignore
    if not explanations:
        return _unexplained(subject, measured)
    first, *others = _simplest(subject, explanations)
    return (_likelihood_finding(subject, first), _kl_finding(subject, first, others),
            _reduction_finding(subject, first.fits))


def _measured_frozen(subject: Subject) -> tuple[list[Measurement], list[Explanation]]:
    images = probes(subject)
    measured = [_measure(subject, images, n, REPEATS) for n in FROZEN_COPIES]
    return measured, _explanations(measured)


def _measured_drawn(subject: Subject) -> tuple[list[Measurement], list[Explanation]]:
    """Draws until one explanation is left and its beta is known well enough, or until that takes too long."""
    images = chosen_probes(subject)
    measured: list[Measurement] = []
    explanations: list[Explanation] = []
    for repeats in DRAWN_REPEATS:
        drawn = measured[0].repeats if measured else 0
        new = [_measure(subject, images, n, repeats - drawn) for n in DRAWN_COPIES]
        measured = [_pooled(*pair) for pair in zip(measured, new)] if measured else new
        if not all(np.isfinite(m.loss).all() for m in measured):
            break
        explanations = _explanations(measured)
        if not explanations or _is_decided(subject, explanations):
            break
    return measured, explanations


def _explanations(measured: list[Measurement]) -> list[Explanation]:
    """The formulas that leave no residual, or none that tells them from the best; the right ones first."""
    found = []
    for nll in measured[0].nll:
        for kl in measured[0].kl:
            fits = [_fit(m, m.nll[nll], m.kl[kl]) for m in measured]
            if all(fit.off < STANDARD_ERRORS for fit in fits):
                found.append(Explanation(nll, kl, fits))
    best = min((one.chi_square for one in found), default=0.0)
    return [one for one in found if one.chi_square < best + STANDARD_ERRORS**2]


def _tolerance(fits: list[Fit]) -> float:
    return STANDARD_ERRORS * max(fit.beta_error for fit in fits)


def _is_intended(subject: Subject, fits: list[Fit]) -> bool:
    tolerance = max(_tolerance(fits), BETA_TOLERANCE * max(1.0, subject.beta))
    return all(abs(fit.beta - subject.beta) <= tolerance for fit in fits)


def _is_known(subject: Subject, fits: list[Fit]) -> bool:
    """Whether beta is so well known that the intended one could not be mistaken for another."""
    size = max(abs(fits[-1].beta), subject.beta or 1.0)
    return _tolerance(fits) <= DECIDED * size or not _is_intended(subject, fits)


def _n_mistakes(subject: Subject, one: Explanation) -> int:
    """A wrong formula is one, a weight of the KL other than the intended one is another."""
    return int(one.nll != RIGHT) + int(one.kl != RIGHT) + int(not _is_intended(subject, one.fits))


def _simplest(subject: Subject, explanations: list[Explanation]) -> list[Explanation]:
    """Those with the fewest mistakes."""
    fewest = min(_n_mistakes(subject, one) for one in explanations)
    return [one for one in explanations if _n_mistakes(subject, one) == fewest]


def _is_decided(subject: Subject, explanations: list[Explanation]) -> bool:
    first, *others = _simplest(subject, explanations)
    return not others and _is_known(subject, first.fits)


def _measure(subject: Subject, images: Array, n: int, repeats: int) -> Measurement:
    loss, error, nll, kl = [], [], [], []
    for image in images:
        x = np.repeat(image[None], n, axis=0)
        mu, logvar = subject.encoded(x)
        losses, nlls = [], []
        for _ in range(repeats):
            eps = subject.noise(mu.shape) if subject.frozen else None
            losses.append(subject.loss_value(x, eps))
            theta = subject.decoded(subject.drawn(x, eps))
            nlls.append({name: rows for name, rows in nll_formulas(subject, theta, x).items()})
        rows = {name: np.array([one[name] for one in nlls]) for name in nlls[0]}    # (repeats, n)
        kls = {name: float(np.mean(value)) for name, value in kl_formulas(subject.kl(x), mu, logvar).items()}
        if subject.frozen:    # the same noise on both sides: every draw is a data point without error
            loss += losses
            error += [0.0] * repeats
            nll += [{name: float(value[i].mean()) for name, value in rows.items()} for i in range(repeats)]
            kl += [kls] * repeats
        else:                 # the loss draws its own noise: the errors of both add up
            loss.append(float(np.mean(losses)))
            error.append(float(np.sqrt(2 / (repeats * n)) * rows[RIGHT].std()))
            nll.append({name: float(value.mean()) for name, value in rows.items()})
            kl.append(kls)
    # A formula that is undefined for some image, such as log(logvar) of a logvar below 0, cannot be the loss's.
    known = [name for name in kl[0] if all(name in one for one in kl)]
    return Measurement(n, np.array(loss), np.array(error), ROUNDINGS * subject.rounding, x.shape[1],
                       {name: np.array([one[name] for one in nll]) for name in nll[0]},
                       {name: np.array([one[name] for one in kl]) for name in known}, repeats)


def _pooled(one: Measurement, other: Measurement) -> Measurement:
    """Both measurements of the same images as one."""
    repeats = one.repeats + other.repeats
    share = one.repeats / repeats
    loss = share * one.loss + (1 - share) * other.loss
    error = np.hypot(share * one.error, (1 - share) * other.error)
    nll = {name: share * one.nll[name] + (1 - share) * other.nll[name] for name in one.nll}
    return Measurement(one.n, loss, error, one.relative_error, one.n_terms, nll, one.kl, repeats)


def _fit(measured: Measurement, nll: Array, kl: Array) -> Fit:
    """Weighted least squares, twice, because the NLL's error enters the loss multiplied by a."""
    columns = np.stack([nll, kl, np.ones_like(nll)], axis=1)
    scale = np.maximum(np.abs(columns).max(axis=0), np.finfo(float).tiny)
    a = 0.0
    for _ in range(2):
        error = np.abs(a) * measured.error + measured.relative_error * np.maximum(
            np.abs(measured.loss), np.abs(a) * measured.n_terms) + 1e-300
        A = columns / scale / error[:, None]
        u, s, vt = np.linalg.svd(A, full_matrices=False)
        inverse = np.where(s > 1e-13 * s[0], 1 / np.maximum(s, np.finfo(float).tiny), 0.0)
        solution = vt.T @ (inverse * (u.T @ (measured.loss / error))) / scale
        a = solution[0]
    spread = np.where(s > 1e-13 * s[0], inverse, np.inf)
    with np.errstate(invalid="ignore"):
        variance = np.where(np.abs(vt) > 1e-9, vt**2 * spread[:, None]**2, 0.0).sum(axis=0)
    off = np.abs(measured.loss - columns @ solution) / error
    a, b, c = map(float, solution)
    return Fit(a, b, c, np.sqrt(variance) / scale, float(off.max()), float(np.sum(off**2)),
               measured.n)


def _likelihood_finding(subject: Subject, found: Explanation) -> Finding:
    nll, fit = found.nll, found.fits[-1]
    evidence = (f"over {IMAGES} images the loss is {fit.a:.4g} NLL + {fit.b:.4g} KL + {fit.c:.4g} for batches of "
                f"{fit.n}, with NLL = -log p(x|z) by its formula from decode: within {fit.off:.1f} standard errors.")
    if nll != RIGHT:
        return Finding("likelihood", WRONG, evidence.replace("by its formula", "by a wrong formula"), nll + ".")
    pixels = subject.likelihood
    if isinstance(pixels, Gaussian) and _is(fit.c / fit.a, -subject.x.shape[1] * (np.log(pixels.sigma) + HALF_LOG_2_PI),
                                            fit.error[2] / fit.a):
        evidence += " D log(sigma sqrt(2 pi)) is left out: training is the same, but the loss is not a log density."
    return Finding("likelihood", OK, evidence)


def _kl_finding(subject: Subject, found: Explanation, others: list[Explanation]) -> Finding:
    kl, fit = found.kl, found.fits[-1]
    image = subject.x[:1]
    closed, log_ratio = float(subject.kl(image)[0]), subject.log_ratios(image, MONTE_CARLO)
    error = log_ratio.std() / np.sqrt(MONTE_CARLO)
    evidence = (f"first image: closed form {closed:.4f}, Monte Carlo {log_ratio.mean():.4f} +- {error:.4f} nats.")
    if kl != RIGHT:
        return Finding("kl", WRONG, evidence + " The loss contains neither.", f"{kl}.")
    if not _is_known(subject, found.fits):
        return Finding("kl", NOT_CHECKED, f"{evidence} {UNDECIDED}")
    if _is(fit.b, 0.0, fit.error[1]):
        return Finding("kl", OK if subject.beta == 0 else NOT_CHECKED,
                       evidence + " The loss contains no KL, or next to none.")
    if others:
        return Finding("kl", NOT_CHECKED, f"{evidence} The loss fits the closed form, but another formula as well "
                       f"({others[0].kl or others[0].nll}): write loss(x, eps).")
    evidence += f" The loss follows the closed form, times {fit.b:.4g}."
    missing = 0.5 * subject.n_latent
    for constant in (missing, 2 * missing):
        if _is(fit.c / fit.b, constant, fit.error[2] / abs(fit.b)) and fit.error[2] < 0.1 * abs(fit.b):
            return Finding("kl", WRONG, evidence + f" A constant of {fit.c / fit.b:.4f} is added to it.",
                           f"the -1 of each latent dimension is missing (or has its sign flipped): the KL is "
                           f"{constant:.4g} nats too large.  The gradient is right, the reported ELBO is not.")
    return Finding("kl", OK, evidence)


def _reduction_finding(subject: Subject, fits: list[Fit]) -> Finding:
    fit = fits[-1]
    error = max(f.beta_error for f in fits)
    betas = " and ".join(f"{f.beta:.4g} for batches of {f.n}" for f in fits)
    evidence = (f"b / a, the weight of the KL relative to the NLL, is {betas} (+- {error:.2g}); expected "
                f"{subject.beta:g}.")
    if not _is_known(subject, fits):
        return Finding("reduction", NOT_CHECKED, f"{evidence} {UNDECIDED}")
    tolerance = max(_tolerance(fits), BETA_TOLERANCE * max(1.0, subject.beta))
    intended = _is_intended(subject, fits)
    if intended or abs(fits[0].beta - fit.beta) <= tolerance:    # then the batch is treated alike in both
        weights = [(subject.beta if intended else fit.beta) * f.a for f in fits]
    else:
        weights = [f.b for f in fits]
    described = (f"The NLL is {_reduction([f.a for f in fits], fits, subject.x.shape[1], 'pixels')}, the KL "
                 f"{_reduction(weights, fits, subject.n_latent, 'latent dimensions')}.")
    if intended:
        return Finding("reduction", OK, evidence + " " + described)
    mistake = f"{described} So the model trains with a hidden beta of {fit.beta / (subject.beta or 1):.4g}"
    mistake += f" on top of the intended beta of {subject.beta:g}." if subject.beta != 1 else "."
    if abs(fit.beta) <= tolerance:
        mistake += "  The KL has no weight to speak of: this is an autoencoder."
    elif fit.beta < 0:
        mistake += "  The KL is subtracted: the encoder is pushed away from the prior."
    elif fit.beta > subject.beta:
        mistake += "  The KL is too heavy: latent dimensions collapse onto the prior."
    else:
        mistake += "  The KL is too light: samples from the prior will look worse than reconstructions."
    return Finding("reduction", WRONG, evidence, mistake + "  Sum the NLL over pixels and the KL over latent "
                   "dimensions, and treat the batch in the same way in both.")


def _reduction(coefficients: list[float], fits: list[Fit], width: int, axis: str) -> str:
    """In words, how a term with these coefficients at the two batch sizes was reduced."""
    first, last = coefficients
    if not first or not last or first * last < 0:
        return f"weighted {last:.4g}"
    power = np.log(last / first) / np.log(fits[-1].n / fits[0].n)
    per_row = last / fits[-1].n if abs(power - 1) < 0.1 else last * fits[-1].n if abs(power + 1) < 0.1 else last
    batch = {0: "averaged over the batch", 1: "summed over the batch", -1: "divided by the batch size twice"}
    over_batch = next((words for p, words in batch.items() if abs(power - p) < 0.1), "weighted oddly over the batch")
    for weight, words in ((1, f"summed over {axis}"), (1 / width, f"averaged over {axis} (1/{width})")):
        if abs(per_row / weight - 1) < 0.05:
            return f"{words} and {over_batch}"
    return f"summed over {axis}, times {per_row:.4g}, and {over_batch}"


def _unexplained(subject: Subject, measured: list[Measurement]) -> tuple[Finding, Finding, Finding]:
    """No formula fits.  With frozen noise, only the NLL changes with eps: the KL does not depend on it."""
    fits = [_fit(m, m.nll[RIGHT], m.kl[RIGHT]) for m in measured]
    evidence = ("the loss does not fit a NLL + b KL + c for any a, b, c: the best of them are off by "
                f"{fits[-1].off:.3g} standard errors")
    reduction = Finding("reduction", NOT_CHECKED, 'fix "likelihood" or "kl" first.')
    if subject.frozen:
        m = measured[-1]
        if _fit(_within_images(m), _centred(m.nll[RIGHT]), np.zeros_like(m.loss)).off < STANDARD_ERRORS:
            return (Finding("likelihood", OK, "for one image and different noise the loss changes as the NLL does."),
                    Finding("kl", WRONG, evidence + ", though it follows the NLL when only eps changes.",
                            "the KL's formula is wrong; it is 1/2 sum(exp(logvar) + mu^2 - 1 - logvar)."), reduction)
    return (Finding("likelihood", WRONG, evidence + f" (decodes_to={subject.decodes_to!r}).",
                    "the likelihood's formula is wrong; or decode and loss do not match (decodes_to says what "
                    "decode gives); or the loss does not use the z that sample_z gives."),
            Finding("kl", NOT_CHECKED, 'fix "likelihood" first.'), reduction)


def _centred(values: Array) -> Array:
    groups = values.reshape(-1, REPEATS)
    return (groups - groups.mean(axis=1, keepdims=True)).ravel()


def _within_images(m: Measurement) -> Measurement:
    """The same losses minus each image's mean; the rounding error is still that of the losses themselves."""
    size = np.abs(m.loss).max() * m.relative_error
    loss = _centred(m.loss)
    return Measurement(m.n, loss, m.error + size / max(1e-300, np.abs(m.nll[RIGHT]).max()), 0.0, 0, m.nll, m.kl,
                       m.repeats)


def _is(value: float, expected: float, error: float) -> bool:
    return bool(abs(value - expected) <= STANDARD_ERRORS * error + 1e-3 * max(1e-3, abs(expected)))


def check_finite(subject: Subject) -> Finding:
    """The loss stays finite when the decoder is far too confident."""
    if subject.sample_z is not None:
        one = np.ones((4, subject.n_latent), subject.encoded(subject.x[:1])[0].dtype)
        for extreme_logvar in (-80, 80):
            if not np.isfinite(subject.sampled(one, extreme_logvar * one, None)).all():
                return Finding("finite", WRONG, f"z is not finite at logvar {extreme_logvar}.",
                               "sigma is exp(logvar / 2), which is finite there; its square may not be.")
    if subject.decode is None or not subject.frozen or subject.decodes_to not in ("logits", "probabilities"):
        return Finding("finite", NOT_CHECKED,
                       "this check needs a Bernoulli decoder and loss(x, eps): eps drives the logits up.")
    x = subject.x[:4]
    for power in range(1, 9):
        eps = 10.0**power * subject.noise((len(x), subject.n_latent))
        theta = subject.decoded(subject.drawn(x, eps))
        extreme = np.abs(theta).max() >= 1e4 if subject.decodes_to == "logits" else np.isin(theta, (0, 1)).any()
        if extreme:
            break
    else:
        return Finding("finite", NOT_CHECKED, "whatever eps is, the decoder's output stays moderate.")
    with np.errstate(all="ignore"):
        loss = subject.loss_value(x, eps)
    what = f"logits up to {np.abs(theta).max():.3g}" if subject.decodes_to == "logits" else "probabilities of 0 or 1"
    evidence = f"with {what} the loss is {loss:.6g}."
    if np.isfinite(loss):
        return Finding("finite", OK, evidence)
    return Finding("finite", WRONG, evidence, "the loss takes log(y) of a probability y that rounding made 0 or 1.  "
                   "Compute it from the logit a: log(1 + e^a) - x a, with log(1 + e^a) = max(a, 0) + log(1 + e^-|a|).")
