"""What the loss is made of, inferred from outside: how much NLL, how much KL, and what else.

For a batch of n copies of one image, formulas give the NLL and the KL from what encode and decode return (measure.py).
Over different images and noise the loss is then fitted (explain.py) as

    loss = a NLL + b KL + c.

At two batch sizes n, a and b show how each term is reduced, and b / a is the beta that is really trained.  Where the
right formulas leave a residual, common wrong ones are tried in their place.

A loss that draws its own noise is known only up to that noise.  Two things make it tell in few draws: the images are
those of many made ones that say most about b (probes.py), and there are as many draws as it takes to decide.
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..kernels.gaussian import HALF_LOG_2_PI
from ..models.likelihoods import Gaussian
from .explain import (STANDARD_ERRORS, Explanation, Fit, beta_tolerance, explanations, fit, is_intended,
                      is_known, n_mistakes, nearest_wrong, nll_candidates, rivals, simplest)
from .exclude import Exclusion, exclusion, is_excluded_enough, is_meant, is_precise, knows_constant, leaves_a_constant
from .formulas import BOUNDED, FREE_BITS, REMARKS, RIGHT, least_free_bits
from .measure import (FIRST_REPEATS, TINY, Measurement, draws_needed, measured_drawn, measured_frozen,
                      measured_once)
from .probes import IMAGES
from .reduction import described, mistaken_weight
from .report import NOT_CHECKED, NOT_DECIDED, OK, WRONG, Finding, digits
from .sampling import SHARED
from .subject import Subject

Array = np.ndarray
Findings = tuple[Finding, ...]

NAMES = ("likelihood", "kl", "reduction")
MONTE_CARLO = 20000
SPREAD_ERRORS = 4.0     # of the ratio of two spreads; besides, each has to be far too large itself
ALIKE = 0.5             # spreads of the loss and of the NLL whose logarithms differ by no more have one shape
NOT_FINITE = Finding("likelihood", WRONG, "the loss of ordinary images, or its NLL by the formula, is NaN or infinite.",
                     "look for log(0), a division by 0, or an exp that overflows.")


def check_loss(subject: Subject) -> Findings:
    """The findings "likelihood", "kl" and "reduction"; and "noise", where the measured losses show a fault in it."""
    if subject.loss is None or subject.decode is None:
        return _all(NOT_CHECKED, "loss (or decode) was not given.")
    if not subject.kl_is_known:
        return _all(NOT_CHECKED, "no closed form of the KL is known.")
    obstacle = _obstacle(subject)
    if obstacle:
        return _likelihood_first(obstacle)
    if subject.loss_is_constant:
        return _without_noise(subject)
    measured, found = (_frozen if subject.frozen else _drawn)(subject)
    if not measured:
        return _all(NOT_DECIDED, f"draws={subject.draws} are too few: expected at least {draws_needed(subject)}.")
    if not all(m.is_finite for m in measured):
        return _likelihood_first(NOT_FINITE)
    if not found:
        return _unexplained(subject, measured)
    first, *others = simplest(subject, found)
    if not subject.frozen and first.nll not in REMARKS and first.kl not in REMARKS:    # noise is explained, no loss
        return _unexplained(subject, measured)
    if _has_no_nll(first, measured):
        return _likelihood_first(Finding("likelihood", WRONG, _shares(first) + ".", "the loss contains no NLL, or next "
                                         "to none: nothing asks for a good reconstruction."))
    others = rivals(first, others)
    if _is_replaced(subject, first):
        return (_likelihood_finding(subject, first, others), Finding(
            "kl", WRONG, _shares(first) + ".", "a constant stands where the KL belongs, which is not the plain KL: "
            "free bits, or a tolerance, that no image's KL exceeds do that.  Until it does, nothing pulls q to the "
            "prior."),
            Finding("reduction", NOT_CHECKED, 'fix "kl" first.'))
    if not subject.frozen and _shares_noise(first, measured):
        small, large = (m.n for m in measured)
        return (*_all(NOT_CHECKED, 'fix "noise" first.'), Finding(
            "noise", WRONG, f"two losses of the same images differ, but those of {large} copies of an image vary from "
            f"draw to draw as much as those of {small}: noise of their own would average out.", SHARED))
    excluded = None
    if not subject.frozen and n_mistakes(subject, first) == 0:
        excluded = exclusion(subject, measured, first)
    kls = measured[0].kl if excluded is None else excluded.shown
    return (_likelihood_finding(subject, first, others), _kl_finding(subject, first, others, excluded, kls),
            _reduction_finding(subject, first, excluded))


def _all(verdict: str, evidence: str) -> Findings:
    return tuple(Finding(name, verdict, evidence) for name in NAMES)


def _likelihood_first(finding: Finding) -> Findings:
    return (finding, *(Finding(name, NOT_CHECKED, 'fix "likelihood" first.') for name in NAMES[1:]))


def _obstacle(subject: Subject) -> Finding | None:
    """What makes the NLL of ordinary images no number, or one without a meaning."""
    try:
        subject.likelihood.check(subject.x)
    except ValueError as error:
        advice = ("A cross-entropy of anything else has no lower bound: bring the data into [0, 1], or take another "
                  "likelihood." if subject.likelihood.support else "")
        return Finding("likelihood", WRONG, f"{error}.", advice)
    theta = subject.decoded(subject.draw(subject.q(subject.x), subject.posterior_noise(len(subject.x))))
    if not np.isfinite(theta).all():
        return Finding("likelihood", WRONG, "decode gives NaN or infinity for ordinary images.",
                       "look for a division by 0, or an exp that overflows.")
    if subject.decodes_to == "probabilities" and not (theta.min() >= -1e-6 and theta.max() <= 1 + 1e-6):
        return Finding("likelihood", WRONG, f"decode gives numbers from {theta.min():.4g} to {theta.max():.4g} where "
                       "decodes_to='probabilities' says that they lie in [0, 1].",
                       "these are logits: pass decodes_to='logits', or apply the sigmoid that decode lacks.")
    return None


def _frozen(subject: Subject) -> tuple[list[Measurement], list[Explanation]]:
    """Wrong formulas of the NLL take time: they are tried only where the right ones leave a mistake."""
    measured: list[Measurement] = []
    found: list[Explanation] = []
    for wrong in (False, True):
        measured = measured_frozen(subject, wrong)
        found = explanations(measured) if measured and all(m.is_finite for m in measured) else []
        if not measured or (found and _is_clear(subject, simplest(subject, found)[0])):
            break
    return measured, found


def _is_clear(subject: Subject, one: Explanation) -> bool:
    return n_mistakes(subject, one) == 0 and is_known(subject, one)


def _drawn(subject: Subject) -> tuple[list[Measurement], list[Explanation]]:
    """Draws until one explanation is left and its beta is known well enough, or until the budget is used up."""
    measured: list[Measurement] = []
    found: list[Explanation] = []
    measuring, tries_wrong = measured_drawn(subject), False
    try:
        measured = next(measuring)
        while all(m.is_finite for m in measured):
            found = explanations(measured)
            mistaken = not found or n_mistakes(subject, simplest(subject, found)[0]) > 0
            if (tries_wrong or not mistaken) and (not found or _is_decided(subject, measured, found)):
                break
            tries_wrong = tries_wrong or mistaken
            measured = measuring.send(tries_wrong)
    except StopIteration:
        pass
    return measured, found


def _is_decided(subject: Subject, measured: list[Measurement], found: list[Explanation]) -> bool:
    first, *others = simplest(subject, found)
    if n_mistakes(subject, first) == 0:
        return (measured[0].loss.shape[1] >= 2 * FIRST_REPEATS      # a variance of fewer draws says little
                and is_excluded_enough(subject, exclusion(subject, measured, first)))
    unlike = [one for one in others if one.kl not in BOUNDED]    # a bound nearby is as wrong: no draws for that
    return is_known(subject, first) and not rivals(first, unlike)


def _has_no_nll(one: Explanation, measured: list[Measurement]) -> bool:
    """Whether the NLL's weight is nothing, as well as it is known, and makes no difference to the loss."""
    return all(abs(each.a) <= STANDARD_ERRORS * each.error[0]
               and (abs(each.a) + each.error[0]) * np.ptp(m.nll[one.nll]) <= 0.01 * max(np.ptp(m.loss), 1e-300)
               for each, m in zip(one.fits, measured))


def _shares_noise(one: Explanation, measured: list[Measurement]) -> bool:
    """Whether the loss of n copies varies n times as much as noise of their own lets it, by the NLL's variance.

    The logarithm of a variance's estimate from R draws has the variance 2 / (R - 1); its mean over the images is
    compared at both batch sizes, so that whatever else makes the loss vary, as a KL of one draw does, drops out.
    """
    ratios = [float(np.mean(np.log(m.loss_variance) - np.log(m.nll_variance[one.nll]))) - 2 * np.log(abs(each.a) + TINY)
              for m, each in zip(measured, one.fits)]
    n = [m.n for m in measured]
    error = np.sqrt(8 / (measured[0].loss.shape[1] - 1) / IMAGES)
    return bool(ratios[1] - ratios[0] > max(0.5 * np.log(n[1] / n[0]), SPREAD_ERRORS * error)
                and all(ratio > 0.5 * np.log(size) for ratio, size in zip(ratios, n)))


def _is_replaced(subject: Subject, one: Explanation) -> bool:
    """Whether there is a positive constant in the loss, and no KL, although there should be one."""
    if isinstance(subject.likelihood, Gaussian) or subject.beta == 0 or not is_known(subject, one):
        return False    # a Gaussian's own constant may be there or not
    each = one.fits[-1]
    return (one.nll in REMARKS and all(abs(f.beta) <= beta_tolerance(subject, one) for f in one.fits)
            and each.c / each.a > max(STANDARD_ERRORS * each.error[2] / abs(each.a), 1e-2))


def _without_noise(subject: Subject) -> Findings:
    """The loss does not change with the noise.  Either there is no noise, or no NLL that could show it."""
    measured = measured_once(subject)
    if measured and not measured[0].is_finite:
        return _likelihood_first(NOT_FINITE)
    for kl in measured[0].kl if measured else ():
        one = Explanation(RIGHT, kl, [fit(m, RIGHT, kl) for m in measured])
        if one.fits[0].off < STANDARD_ERRORS and _has_no_nll(one, measured):
            return _likelihood_first(Finding("likelihood", WRONG, _shares(one) + ".", "the loss contains no NLL: "
                                             "nothing asks for a good reconstruction."))
    return _all(NOT_CHECKED, 'fix "noise" first.')


def _shares(one: Explanation) -> str:
    each = one.fits[-1]
    return (f"over {IMAGES} images the loss is {digits(each.a)} NLL + {digits(each.b)} KL + {digits(each.c)} for "
            f"batches of {each.n}")


def _remark(remark: str) -> str:
    return f" {remark}" if remark else ""


def _likelihood_finding(subject: Subject, found: Explanation, others: list[Explanation]) -> Finding:
    each = found.fits[-1]
    formula = "its formula" if found.nll in REMARKS else "a wrong formula"
    evidence = (f"{_shares(found)}, with NLL = -log p(x|z) by {formula} from decode: within {each.off:.1f} standard "
                "errors.")
    if found.nll not in REMARKS:
        tied = [other.nll for other in others if other.nll not in (found.nll, *REMARKS)]
        if any(other.nll in REMARKS for other in others):
            return Finding("likelihood", NOT_DECIDED, f"{evidence} The right formula fits as well, with another fault: "
                           f'see "kl" and "reduction". {_how_to_decide(subject)}')
        return Finding("likelihood", WRONG, evidence, "; or ".join([found.nll, *dict.fromkeys(tied)]) + ".")
    evidence += _remark(REMARKS[found.nll])
    pixels = subject.likelihood
    if isinstance(pixels, Gaussian) and found.nll == RIGHT and _is(
            each.c / each.a, -subject.x.shape[1] * (np.log(pixels.sigma) + HALF_LOG_2_PI),
            each.error[2] / abs(each.a)):
        evidence += " D log(sigma sqrt(2 pi)) is left out: training is the same, but the loss is not a log density."
    return Finding("likelihood", OK, evidence)


def _kl_finding(subject: Subject, found: Explanation, others: list[Explanation], excluded: Exclusion | None,
                kls: Iterable[str]) -> Finding:
    """kls : the KL's formulas that the images tell apart"""
    kl, each = found.kl, found.fits[-1]
    image = subject.x[:1]
    closed, log_ratio = float(subject.kl(subject.q(image))[0]), subject.log_ratios(image, MONTE_CARLO)
    error = log_ratio.std() / np.sqrt(MONTE_CARLO)
    evidence = (f"first image: closed form {closed:.4f}, Monte Carlo {log_ratio.mean():.4f} +- {error:.4f} nats.")
    if excluded is not None:
        doubt = _doubt(subject, excluded)
        if not doubt and excluded.formulas:
            doubt = (f"Not excluded with draws={subject.draws} are wrong formulas of the KL: "
                     f"{'; '.join(excluded.formulas)}.")
        if doubt:
            return Finding("kl", NOT_DECIDED, f"{evidence} {doubt} {_how_to_decide(subject)}")
    elif not is_known(subject, found):
        return Finding("kl", NOT_DECIDED, f"{evidence} {_how_to_decide(subject)}")
    others_right = [other for other in others if other.kl in REMARKS]
    if kl not in REMARKS:
        if others_right:
            return Finding("kl", NOT_DECIDED, f"{evidence} The loss fits a wrong formula ({kl}), but the right one as "
                           f"well, with another fault. {_how_to_decide(subject)}")
        tied = dict.fromkeys(other.kl for other in others if other.kl != kl)
        return Finding("kl", WRONG, evidence + " The loss contains neither.", "; or ".join([kl, *tied]) + ".")
    if _is(each.b, 0.0, each.error[1]) and abs(each.beta) <= beta_tolerance(subject, found):
        return Finding("kl", OK if subject.beta == 0 else NOT_CHECKED,
                       evidence + " The loss contains no KL, or next to none.")
    if others:
        return Finding("kl", NOT_DECIDED, f"{evidence} The loss fits the closed form, but another formula as well "
                       f"({others[0].kl or others[0].nll}). {_how_to_decide(subject)}")
    evidence += f" The loss follows {'it' if kl != RIGHT else 'the closed form'}, times {each.b:.4g}."
    evidence += _remark(REMARKS[kl])
    missing = 0.5 * subject.n_latent
    for constant in (missing, 2 * missing):
        if _is(each.c / each.b, constant, each.error[2] / abs(each.b)) and each.error[2] < 0.1 * abs(each.b):
            return Finding("kl", WRONG, evidence + f" A constant of {each.c / each.b:.4f} is added to it.",
                           f"the -1 of each latent dimension is missing (or has its sign flipped): the KL is "
                           f"{constant:.4g} nats too large.  The gradient is right, the reported ELBO is not.")
    if subject.frozen and knows_constant(subject) and not _is(each.constant, 0.0, each.constant_error):
        evidence += (f" A constant of {digits(each.constant)} nats a row is left over, which belongs to neither NLL "
                     "nor KL, such as a penalty on the weights: without it the loss is the negative ELBO.")
    return Finding("kl", OK, f"{evidence} {_free_bits(kls)}")


def _free_bits(kls: Iterable[str]) -> str:
    """Which free bits the images do not show: where no dimension's KL is so small, they change nothing."""
    least = least_free_bits(kls)
    if least is None:
        return (f"Free bits are not excluded, up to {max(FREE_BITS):g} nats a dimension: too few images have so small "
                "a KL.")
    return f"Not excluded are free bits of less than {least:g} nats a dimension."


def _doubt(subject: Subject, excluded: Exclusion) -> str:
    """Why a loss that draws its own noise, and fits the right formulas, is not called right; "" if it is."""
    if not is_meant(subject, excluded) or leaves_a_constant(subject, excluded):
        return (f"A KL with the intended weight leaves a constant of {digits(excluded.constant)} +- "
                f"{digits(excluded.constant_error, 2)} nats a row over, which belongs to neither NLL nor KL; without "
                f"it the weight is {digits(excluded.beta)} +- {digits(excluded.beta_error, 2)}, or the KL's formula "
                f"another{''.join(f' ({kl})' for kl in excluded.formulas)}.")
    if not is_precise(subject, excluded):
        low, high = (digits(beta, 3) for beta in nearest_wrong(subject))
        return (f"Cannot tell with draws={subject.draws}: {_weights(excluded)}; a pass has to exclude {low} and {high} "
                "and all beyond.")
    return ""


def _weights(excluded: Exclusion) -> str:
    """Which weights of the KL are left, in words without a full stop."""
    assumed = ", if the loss holds no other constant" if excluded.is_anchored else ""
    return ("the draws exclude every weight of the KL but those between "
            f"{digits(excluded.low, 3)} and {digits(excluded.high, 3)}{assumed}")


def _how_to_decide(subject: Subject) -> str:
    if subject.frozen:
        return "To decide, pass images that differ more from each other, or a model that has been trained a little."
    return (f"In the loss the KL varies too little to be seen above the noise with draws={subject.draws}: write "
            "loss(x, eps), which decides at once, allow more draws, or pass a model that has been trained a little.")


def _reduction_finding(subject: Subject, found: Explanation, excluded: Exclusion | None) -> Finding:
    betas = " and ".join(f"{digits(each.beta)} for batches of {each.n}" for each in found.fits)
    evidence = (f"b / a, the weight of the KL relative to the NLL, is {betas} (+- {digits(found.beta_error, 2)}); "
                f"expected {subject.beta:g}.")
    if excluded is not None:
        doubt = _doubt(subject, excluded)
        if doubt:
            return Finding("reduction", NOT_DECIDED, f"{evidence} {doubt} {_how_to_decide(subject)}")
        evidence = f"{evidence[:-1]}: {_weights(excluded)}."
    elif not is_known(subject, found):
        return Finding("reduction", NOT_DECIDED, f"{evidence} {_how_to_decide(subject)}")
    if is_intended(subject, found):
        return Finding("reduction", OK, evidence + " " + described(subject, found))
    return Finding("reduction", WRONG, evidence, mistaken_weight(subject, found))


def _unexplained(subject: Subject, measured: list[Measurement]) -> Findings:
    """No formulas fit.  The noise changes only the NLL, so it tells whether the NLL at least is right."""
    names = [name for name in nll_candidates(measured) if subject.frozen or _spreads_alike(measured, name)]
    right = [name for name in names if name in REMARKS]
    best: Fit = fit(measured[-1], (right or [RIGHT])[0], RIGHT)
    evidence = ("the loss does not fit a NLL + b KL + c for any a, b, c: the best of them are off by "
                f"{digits(best.off, 3)} standard errors")
    reduction = Finding("reduction", NOT_CHECKED, 'fix "likelihood" or "kl" first.')
    if right:
        follows = ("for one image and different noise the loss changes as the NLL does." if subject.frozen else
                   "from draw to draw the loss varies as the NLL does.")
        return (Finding("likelihood", OK, follows + _remark(REMARKS[right[0]])),
                Finding("kl", WRONG, evidence + ", though it follows the NLL when only the noise changes.",
                        "the loss does not contain the plain KL, 1/2 sum(exp(logvar) + mu^2 - 1 - logvar): its formula "
                        "is wrong, or something is meant that changes it, such as free bits, a tolerance or a "
                        "capacity, or a term is added that depends on the image."), reduction)
    mistake = ("the likelihood's formula is wrong; or decode and loss do not match (decodes_to says what decode "
               "gives); or the loss does not use the z that sample_z gives.")
    if names and subject.frozen:
        mistake = "; or ".join(names) + ".  The KL is not the plain one either."
    return (Finding("likelihood", WRONG, evidence + f" (decodes_to={subject.decodes_to!r}).", mistake),
            Finding("kl", NOT_CHECKED, 'fix "likelihood" first.'), reduction)


def _spreads_alike(measured: list[Measurement], nll: str) -> bool:
    """Whether the loss spreads from draw to draw as the NLL does: in the same images much, in the same little.

    A variance from R draws is known to a fraction sqrt(2 / (R - 1)); the two of each image have one ratio, a^2.
    """
    for m in measured:
        logs = np.log(m.loss_variance) - np.log(m.nll_variance[nll])
        error = np.sqrt(4 / (m.loss.shape[1] - 1))
        if not np.std(logs) < ALIKE + error:
            return False
    return True


def _is(value: float, expected: float, error: float) -> bool:
    return bool(abs(value - expected) <= STANDARD_ERRORS * error + 1e-3 * max(1e-3, abs(expected)))
