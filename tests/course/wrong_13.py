import numpy as np

from numpyvae.course.patients import Stranger, stranger_functions

DISEASES = {"a": "KL summed over the batch", "b": "constant noise", "c": "missing relu mask",
            "d": "no probability", "e": "variance as standard deviation", "f": "noise drawn twice"}


def mended_nll(a, x):
    return np.sum(np.maximum(a, 0) - x * a + np.log1p(np.exp(-np.abs(a))), axis=1)


def mended_loss(pixel, mu, logvar):
    kl = 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)
    return np.mean(np.sum(pixel, axis=1) + kl)


def mended_dz(dtheta, a, W_hidden, W_output):
    return ((dtheta @ W_output.T) * (a > 0)) @ W_hidden.T


STRANGER = Stranger()
WRAPPER = stranger_functions(STRANGER)


def wrapped(**changes):
    return {**WRAPPER, **changes}


def encoded(of_log_sigma):
    def encode(x):
        h = STRANGER.infer(x)
        return h[:, :3], of_log_sigma(h[:, 3:])
    return encode


def by_probability(add=0.0, clip=0.0):
    def nll(a, x):
        y = np.clip(1 / (1 + np.exp(-a)), clip, 1 - clip)
        return -np.sum(x * np.log(y + add) + (1 - x) * np.log(1 - y + add), axis=1)
    return nll


def loss_of(change):
    return lambda pixel, mu, logvar: change(pixel, 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar))


RIGHT = {"diseases": DISEASES, "mended_nll": mended_nll, "mended_loss": mended_loss, "mended_dz": mended_dz,
         "wrapper": WRAPPER, "stranger": ("reduction", 2)}

WRONG = {
    "diseases": [
        ({**DISEASES, "a": "mean over pixels"}, "5 of 6 are right; a is something else: b / a grows"),
        ({**DISEASES, "b": "noise drawn twice", "f": "constant noise"}, "4 of 6 are right; b is something else"),
        ({**DISEASES, "c": "wrong derivative in the encoder"}, "c is something else: two calls agree"),
        ({**DISEASES, "d": "log of a probability"}, "d is something else: can a mean"),
        ({**DISEASES, "e": "KL"}, "e is none of the names"),
        (list(DISEASES.values())[::-1], "a is something else"),
        ({"a": "constant noise"}, "letters a to f"),
        ("constant noise", "expected a dictionary"),
    ],
    "mended_nll": [
        (lambda a, x: np.sum(np.log(1 + np.exp(a)) - x * a, axis=1), "right at moderate logits, but with logits of"),
        (by_probability(), "right at moderate logits"),
        (by_probability(add=1e-8), "the probability is clipped, or something is added"),
        (by_probability(clip=1e-7), "the probability is clipped, or something is added"),
        (lambda a, x: mended_nll(a, x) / a.shape[1], "mean over the pixels"),
        (lambda a, x: mended_nll(a, x).sum(), "each row has its own"),
        (lambda a, x: np.logaddexp(0, a) - x * a, "not summed over the pixels"),
        (lambda a, x: np.sum(np.logaddexp(0, a) - x * a, axis=0), "axis 1"),
        (lambda a, x: -mended_nll(a, x), "the wrong sign"),
        (lambda a, x: np.sum(np.logaddexp(0, a), axis=1), "the term - x a is missing"),
        (lambda a, x: np.sum(np.logaddexp(0, a) + x * a, axis=1), "x a is added"),
        (lambda a, x: np.sum(np.log1p(np.exp(-np.abs(a))) - x * a, axis=1), "max(a, 0) is missing"),
        (lambda a, x: np.sum(np.abs(a) - x * a + np.log1p(np.exp(-np.abs(a))), axis=1), "|a| stands where"),
        (lambda a, x: np.sum(np.maximum(a, 0) - x * a, axis=1), "for sure logits alone"),
        (lambda a, x: mended_nll(a, 1 - x), "exchanged"),
        (lambda a, x: np.nan_to_num(by_probability()(a, x)), ""),
    ],
    "mended_loss": [
        (loss_of(lambda pixel, kl: pixel.mean() + kl.mean()), "the sick loss itself"),
        (loss_of(lambda pixel, kl: pixel.mean() + kl.sum(axis=1).mean()), "the pixels are still averaged"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1).mean() + kl.mean()), "still averaged over the latent"),
        (loss_of(lambda pixel, kl: pixel.sum() + kl.sum()), "take the mean over B"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1).mean() + kl.sum()), "the NLL is not"),
        (loss_of(lambda pixel, kl: pixel.sum() + kl.sum(axis=1).mean()), "the KL is not"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1).mean() + 2 * kl.sum(axis=1).mean()), "half of the KL is missing"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1).mean() - kl.sum(axis=1).mean()), "the KL is subtracted"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1).mean()), "the KL is missing"),
        (loss_of(lambda pixel, kl: kl.sum(axis=1).mean()), "the NLL is missing"),
        (loss_of(lambda pixel, kl: (pixel.sum(axis=1) + kl.sum(axis=1) + 1.5).mean()), "the -1 of each"),
        (loss_of(lambda pixel, kl: (pixel.sum(axis=1) + kl.sum(axis=1)).mean() / 7), "divides by D after"),
        (loss_of(lambda pixel, kl: pixel.sum(axis=1) + kl.sum(axis=1)), "take their mean"),
        (lambda pixel, mu, logvar: pixel.sum() / 4 + 1.0, "does not depend on mu and logvar"),
    ],
    "mended_dz": [
        (lambda d, a, Wh, Wo: (d @ Wo.T) @ Wh.T, "the sick line itself"),
        (lambda d, a, Wh, Wo: ((d @ Wo.T) * (a < 0)) @ Wh.T, "the wrong way round"),
        (lambda d, a, Wh, Wo: ((d @ Wo.T) * np.maximum(a, 0)) @ Wh.T, "the relu itself stands"),
        (lambda d, a, Wh, Wo: ((d @ Wo.T) * a) @ Wh.T, "a itself stands"),
        (lambda d, a, Wh, Wo: np.maximum(d @ Wo.T, 0) @ Wh.T, "the gradient itself goes through"),
        (lambda d, a, Wh, Wo: ((d @ Wo.T) * np.sign(a)) @ Wh.T, "the sign of a"),
        (lambda d, a, Wh, Wo: ((d @ Wo.T) * (1 - np.tanh(a)**2)) @ Wh.T, "belongs to tanh"),
        (lambda d, a, Wh, Wo: (d @ Wo.T) * (a > 0), "W_hidden is missing"),
        (lambda d, a, Wh, Wo: d @ Wo.T, "the mask and W_hidden are missing"),
        (lambda d, a, Wh, Wo: mended_dz(d, a, Wh, Wo).T, "transposed"),
        (lambda d, a, Wh, Wo: mended_dz(d, a, Wh, Wo) / len(d), "mean over the batch"),
        (lambda d, a, Wh, Wo: -mended_dz(d, a, Wh, Wo), "the wrong sign"),
        (lambda d, a, Wh, Wo: (d @ Wo * (a > 0)) @ Wh, "it raises ValueError"),
    ],
    "wrapper": [
        (wrapped(encode=STRANGER.infer), "expected two arrays: mu, logvar"),
        (wrapped(encode=encoded(lambda log_sigma: log_sigma)), "logvar = log sigma^2 is twice that"),
        (wrapped(encode=encoded(np.exp)), "encode: that is sigma"),
        (wrapped(encode=encoded(lambda log_sigma: np.exp(2 * log_sigma))), "encode: that is the variance"),
        (wrapped(encode=encoded(lambda log_sigma: log_sigma / 2)), "log sigma is halved"),
        (wrapped(encode=encoded(np.square)), "log sigma is squared"),
        (wrapped(encode=lambda x: WRAPPER["encode"](x)[::-1]), "mu comes first"),
        (wrapped(sample_z=lambda mu, logvar, eps: mu + np.exp(logvar) * eps), "not log sigma"),
        (wrapped(sample_z=lambda mu, logvar, eps: mu), "the noise eps is not used"),
        (wrapped(sample_z=lambda mu, logvar, eps: mu + logvar * eps), "logvar is a logarithm"),
        (wrapped(sample_z=lambda mu, logvar: mu), "it raises TypeError"),
        (wrapped(decode=lambda z: np.log(STRANGER.paint(z)) - np.log(1 - STRANGER.paint(z))), "those are logits"),
        (wrapped(decode=lambda z: STRANGER.paint(z)[0]), "decode: the pictures has shape"),
        (wrapped(loss=STRANGER.step), "the whole dictionary"),
        (wrapped(loss=lambda x, eps: STRANGER.step(x, eps)["pixels"]), "the pixels' part alone"),
        (wrapped(loss=lambda x, eps: STRANGER.step(x, eps)["prior"] / len(x)), "the prior's part alone"),
        (wrapped(loss=lambda x, eps: STRANGER.step(x, eps)["pixels"] + 0.5 * STRANGER.step(x, eps)["prior"]),
         "faults and all"),
        (wrapped(loss=lambda x, eps: STRANGER.step(x, 0 * eps)["total"]), "loss is off by"),
        (wrapped(loss=lambda x: 0.0), "it raises TypeError"),
        (wrapped(loss=3.0), "loss is float; expected a function"),
        (wrapped(decodes_to="logits"), "look at the range of paint(z)"),
        (wrapped(decodes_to=None), "look at the range of paint(z)"),
        ({"encode": WRAPPER["encode"]}, "lacks sample_z, decode, loss, decodes_to"),
        (WRAPPER["encode"], "expected a dictionary"),
    ],
    "stranger": [
        (("kl", 2), '"kl" is not what is wrong'),
        (("sampling", 2), "look at your wrapper again"),
        (("reduction", 1), "what is expected"),
        (("reduction", 0.5), "upside down"),
        (("reduction", 4), "beta is off by 2"),
        (("beta", 2), "the name of a check first"),
        ("reduction", "expected two values: check, beta"),
        ((2, "reduction"), "the name of a check first"),
    ],
}


def by_loops(a, x):
    return [sum(max(s, 0) - t * s + np.log1p(np.exp(-abs(s))) for s, t in zip(*row)) for row in zip(a, x)]


def masked(dtheta, a, W_hidden, W_output):
    dr = dtheta @ W_output.T
    dr[a <= 0] = 0
    return dr @ W_hidden.T


ALSO_RIGHT = {
    "diseases": [{"A": "kl summed", "B": "Noise constant", "C": "No relu-mask", "D": "softplus",
                  "E": "variance as sigma", "F": "noise twice"}, list(DISEASES.values())],
    "mended_nll": [lambda a, x: np.sum(np.logaddexp(0, a) - x * a, axis=1), by_loops,
                   lambda a, x: np.sum(x * np.logaddexp(0, -a) + (1 - x) * np.logaddexp(0, a), axis=1)],
    "mended_loss": [loss_of(lambda pixel, kl: (pixel.sum() + kl.sum()) / len(kl)),
                    lambda pixel, mu, logvar: pixel.sum(axis=1).mean() - 0.5 * np.sum(
                        1 + logvar - mu**2 - np.exp(logvar), axis=1).mean()],
    "mended_dz": [masked, lambda d, a, Wh, Wo: np.einsum("bd,gd,bg,zg->bz", d, Wo, np.heaviside(a, 0), Wh)],
    "wrapper": [
        wrapped(loss=lambda x, eps: STRANGER.step(x, eps)["total"] / len(x), x=STRANGER.pictures),
        wrapped(encode=lambda x: [STRANGER.infer(x)[:, :3], 2 * STRANGER.infer(x)[:, 3:]]),
        wrapped(decode=lambda z: STRANGER.paint(z).reshape(len(z), 36), decodes_to=" Probabilities"),
        {**WRAPPER, "sample_z": lambda mu, logvar, eps: mu + np.sqrt(np.exp(logvar)) * eps}],
    "stranger": [["reduction", 2.0], {"check": "Reduction", "beta": 2}],
}
