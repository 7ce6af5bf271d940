import numpy as np


def kl(mu, logvar):
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)


def kl_backward(dkl, mu, logvar):
    return dkl[:, None] * mu, dkl[:, None] * 0.5 * (np.exp(logvar) - 1)


def kl_to_wide_prior(mu, logvar, t):
    return 0.5 * np.sum((np.exp(logvar) + mu**2) / t**2 - 1 - logvar + np.log(t**2), axis=1)


FAULTS = {"a": "mean", "b": "sign", "c": "missing half", "d": "missing one", "e": "log sigma"}
RIGHT = {"kl": kl, "kl_backward": kl_backward, "kl_to_wide_prior": kl_to_wide_prior, "faults": FAULTS}

WRONG = {
    "kl": [
        (lambda mu, logvar: 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar / 2, axis=1), "the lecture's misprint"),
        (lambda mu, logvar: kl(mu, 2 * logvar), "logvar as log sigma"),
        (lambda mu, logvar: 2 * kl(mu, logvar), "half in front is missing"),
        (lambda mu, logvar: kl(mu, logvar) / mu.shape[1], "mean over the latent dimensions"),
        (lambda mu, logvar: kl(mu, logvar).sum(), "each row has a KL of its own"),
        (lambda mu, logvar: 0.5 * np.sum(np.exp(logvar) + mu**2 - logvar, axis=1), "the -1 of each dimension"),
        (lambda mu, logvar: -kl(mu, logvar), "wrong sign"),
        (lambda mu, logvar: kl(mu, logvar)[:, None], "has shape (4, 1)"),
        (lambda mu: mu, "it raises TypeError"),
        (lambda mu, logvar: "kl", "expected numbers"),
        (lambda mu, logvar: kl(mu, logvar) * np.nan, "NaN"),
        (lambda mu, logvar: 0.5 * (np.sum(np.exp(logvar) + mu**2 - logvar, axis=1) - 1), "-1 is subtracted once"),
        (lambda mu, logvar: 0.5 * np.sum(np.exp(logvar) + mu - 1 - logvar, axis=1), "mu is not squared"),
        (lambda mu, logvar: 0.5 * np.sum(np.exp(-logvar) * (1 + mu**2) - 1 + logvar, axis=1), "from the prior to q"),
        (lambda mu, logvar: 0.5 * np.sum(np.exp(logvar / 2) + mu**2 - 1 - logvar, axis=1), "is sigma"),
        (lambda mu, logvar: 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 + logvar, axis=1), "is added"),
        (lambda mu, logvar: kl(mu, logvar) + 2.5, "off by a constant"),
        (lambda mu, logvar: kl(mu, logvar) * 0.7, "0.7 times"),
        (lambda mu, logvar: np.sum(np.exp(logvar), axis=1), "does not depend on mu"),
        (kl(np.zeros((4, 3)), np.zeros((4, 3))), "the function itself"),
        (lambda mu, logvar: kl(mu[0], logvar), "3 of 4 entries"),
    ],
    "kl_backward": [
        (lambda dkl, mu, logvar: (mu, 0.5 * (np.exp(logvar) - 1)), "upstream gradient dkl is not used"),
        (lambda dkl, mu, logvar: (dkl[:, None] * mu, dkl[:, None] * (np.exp(logvar) - 1)), "half is missing in"),
        (lambda dkl, mu, logvar: (dkl[:, None] * mu, dkl[:, None] * 0.5 * (1 - np.exp(-logvar))), "respect to sigma^2"),
        (lambda dkl, mu, logvar: (dkl[:, None] * mu, dkl[:, None] * 0.5 * (np.exp(logvar) - 0.5)), "misprint"),
        (lambda dkl, mu, logvar: dkl[:, None] * mu, "expected two"),
        (lambda dkl, mu, logvar: kl_backward(dkl, mu, logvar)[::-1], "swapped"),
        (lambda dkl, mu, logvar: (dkl[:, None] * mu, dkl[:, None] * 0.5 * np.exp(logvar)), "1 of 2 is right; the -1"),
        (lambda dkl, mu, logvar: (dkl[:, None] * mu, None), "dlogvar is None"),
    ],
    "kl_to_wide_prior": [
        (lambda mu, logvar, t: kl(mu, logvar), "t was left out"),
        (lambda mu, logvar, t: kl_to_wide_prior(mu, logvar, t) - 3 * np.log(t), "log t^2 is missing"),
        (lambda mu, logvar, t: kl_to_wide_prior(mu, logvar, np.sqrt(t)), "used t as the variance"),
        (lambda mu, logvar, t: 0.5 * np.sum(np.exp(logvar) / t**2 + mu**2 - 1 - logvar + np.log(t**2), axis=1),
         "mu^2 has to be divided"),
        (lambda mu, logvar, t: 0.5 * np.sum((np.exp(logvar) + mu**2) / t**2 - 1 - logvar + np.log(t), axis=1),
         "the slip of the lecture again"),
        (lambda mu, logvar, t: 0.5 * np.sum((np.exp(logvar) + mu**2) / t**2 - 1 - logvar / 2 + np.log(t**2), axis=1),
         "the lecture's misprint"),
        (lambda mu, logvar, t: kl_to_wide_prior(mu, logvar, 1 / t), ""),
        (lambda mu, logvar, t: kl_to_wide_prior(mu, logvar, 2.0), "does not depend on t"),
    ],
    "faults": [
        ({**FAULTS, "e": "sign"}, "e is something else"),
        ({**FAULTS, "a": "missing half", "c": "mean"}, "a is something else"),
        ({"a": "mean"}, "letters a to e"),
        ("mean", "expected a dictionary"),
        ({**FAULTS, "e": "missing half"}, "4 of 5 are right; e is something else"),
        ({**FAULTS, "e": "log"}, "e is none of the names"),
        ({**FAULTS, "c": "missing one", "d": "missing half"}, "3 of 5 are right"),
        (list(FAULTS.values())[::-1], "a is something else"),
    ],
}

ALSO_RIGHT = {
    "kl": [lambda mu, logvar: -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=-1),
           lambda mu, logvar: [0.5 * sum(np.exp(s) + m * m - 1 - s for m, s in zip(*row))
                               for row in zip(mu, logvar)]],
    "kl_backward": [lambda dkl, mu, logvar: np.stack(kl_backward(dkl, mu, logvar)),
                    lambda dkl, mu, logvar: (np.diag(dkl) @ mu, (dkl * 0.5 * (np.exp(logvar) - 1).T).T)],
    "kl_to_wide_prior": [lambda mu, logvar, t: kl(mu / t, logvar - 2 * np.log(t))],
    "faults": [{"A": " Mean", "B": "Wrong sign", "C": "MISSING HALF", "D": "missing  one", "E": "log_sigma"},
               {"a": "mean instead of sum", "b": "sign error", "c": "missing 1/2", "d": "missing -1", "e": "misprint"},
               list(FAULTS.values())],
}
