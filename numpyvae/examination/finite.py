"""The loss stays finite when the decoder is far too confident."""
from __future__ import annotations

import numpy as np

from .report import NOT_CHECKED, OK, WRONG, Finding
from .subject import Subject

SURE = 1e4    # a logit that is certainly so far out that its probability rounds to 0 or 1


def check_finite(subject: Subject) -> Finding:
    """z at extreme logvar, and the loss at extreme logits, which extreme eps brings about."""
    if subject.sample_z is not None:
        one = np.ones((4, subject.n_latent), subject.dtype)
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
        theta = subject.decoded(subject.draw(subject.q(x), eps))
        extreme = np.abs(theta).max() >= SURE if subject.decodes_to == "logits" else np.isin(theta, (0, 1)).any()
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
