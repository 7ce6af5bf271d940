import numpy as np

import numpyvae as nv
from numpyvae.museum import iwae as museum


def log_mean_exp(log_w):
    top = log_w.max(axis=1)
    return top + np.log(np.mean(np.exp(log_w - top[:, None]), axis=1))


def log_weight(log_px_given_z, z, mu, logvar):
    log_prior = -0.5 * np.sum(z**2, axis=1)
    log_q = -0.5 * np.sum((z - mu)**2 * np.exp(-logvar) + logvar, axis=1)
    return log_px_given_z + log_prior - log_q


def repaired_bound(x, eps, encode, log_likelihood):
    B, K, Z = eps.shape
    mu, logvar = (np.repeat(part, K, axis=0) for part in encode(x))
    z = mu + np.exp(0.5 * logvar) * eps.reshape(B * K, Z)
    log_w = log_weight(log_likelihood(z, np.repeat(x, K, axis=0)), z, mu, logvar)
    return log_mean_exp(log_w.reshape(B, K))


def draws_needed(log_w, bias):
    w = np.exp(log_w - log_w.max())
    return np.var(w) / np.mean(w)**2 / (2 * bias)


def mean_square(variance, q_variance):
    if 2 * q_variance <= variance:
        return np.inf
    return q_variance / np.sqrt(variance * (2 * q_variance - variance))


RIGHT = {"log_mean_exp": log_mean_exp, "log_weight": log_weight, "repaired_bound": repaired_bound,
         "draws_needed": draws_needed, "mean_square": mean_square}


def density(z, mu, logvar):
    return -0.5 * np.sum((z - mu)**2 * np.exp(-logvar) + logvar + np.log(2 * np.pi), axis=1)


def with_q(log_q):
    return lambda p, z, mu, logvar: p - 0.5 * np.sum(z**2, axis=1) - log_q(z - mu, logvar)


def sum_exp(log_w):
    return np.log(np.sum(np.exp(log_w), axis=1))


def gaussian_kl(mu, logvar):
    return 0.5 * np.sum(mu**2 + np.exp(logvar) - logvar - 1, axis=1)


def analytic_kl(*args):
    with nv.kernels_off():
        return museum.analytic_kl(*args)


def both_faults(x, eps, encode, log_likelihood):
    B, K, Z = eps.shape
    mu, logvar = (np.repeat(part, K, axis=0) for part in encode(x))
    z = mu + np.exp(0.5 * logvar) * eps.reshape(B * K, Z)
    log_w = log_likelihood(z, np.repeat(x, K, axis=0)) - gaussian_kl(mu, logvar)
    return log_mean_exp(log_w.reshape(K, B).T)


def elbo(x, eps, encode, log_likelihood):
    return museum.log_weights(x, eps, encode, log_likelihood).reshape(eps.shape[:2]).mean(axis=1)


def softmax_of_the_right_sign(*args):
    log_w = museum.log_weights(*args).reshape(args[1].shape[:2])
    w = np.exp(log_w)
    return np.sum(w * log_w, axis=1) / np.sum(w, axis=1)


def x_not_repeated(x, eps, encode, log_likelihood):
    return log_likelihood(eps.reshape(-1, 2), x)


WRONG = {
    "log_mean_exp": [
        (sum_exp, "log K is forgotten"),
        (lambda a: sum_exp(a) + np.log(a.shape[1]), "log K is added"),
        (lambda a: sum_exp(a) - a.shape[1], "subtract its logarithm"),
        (lambda a: sum_exp(a) / a.shape[1], "divide the sum"),
        (lambda a: a.mean(axis=1), "the mean of the logarithms"),
        (lambda a: a.max(axis=1), "the largest alone"),
        (lambda a: log_mean_exp(a) - a.max(axis=1), "never added again"),
        (lambda a: np.mean(np.exp(a), axis=1), "take its logarithm"),
        (lambda a: np.log(np.mean(np.exp(a), axis=0)), "axis 0"),
        (lambda a: np.log(np.mean(np.exp(a))), "one number for all the images"),
        (lambda a: sum_exp(a) - np.log(a.shape[1]), "take the largest out before np.exp"),
        (lambda a: a.max() + np.log(np.mean(np.exp(a - a.max()), axis=1)) + 1e-3, "by a constant, 0.001"),
        (lambda a: sum_exp(a) - np.log(len(a)), "by a constant"),
        (lambda a: -log_mean_exp(a), "the sign is flipped"),
    ],
    "log_weight": [
        (lambda p, z, mu, lv: p + density(z, 0 * mu, 0 * lv) + density(z, mu, lv), "log q is added"),
        (lambda p, z, mu, lv: p - density(z, mu, lv), "the prior is forgotten"),
        (lambda p, z, mu, lv: p - density(z, 0 * mu, 0 * lv) - density(z, mu, lv), "the prior is subtracted"),
        (lambda p, z, mu, lv: p + density(z, 0 * mu, 0 * lv), "log q is forgotten"),
        (lambda p, z, mu, lv: p - gaussian_kl(mu, lv), "the KL is an average"),
        (lambda p, z, mu, lv: log_weight(0 * p, z, mu, lv), "log p(x|z) is forgotten"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 * np.exp(-lv), axis=1)), "the normalizer of q is missing"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 * np.exp(-lv) - lv, axis=1)), "q has the wrong sign"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 * np.exp(-lv), axis=1) - lv.sum(axis=1)), "the half of logvar"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 * np.exp(-lv / 2) + lv, axis=1)), "divided by sigma"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 * np.exp(lv) + lv, axis=1)), "multiplied by the variance"),
        (with_q(lambda d, lv: -0.5 * np.sum(d**2 + lv, axis=1)), "not divided by the variance"),
        (lambda p, z, mu, lv: log_weight(p, z, 0 * mu, lv), "z is not centred"),
        (lambda p, z, mu, lv: log_weight(p, z, mu, lv) + 1.5 * np.log(2 * np.pi), "into neither"),
        (lambda p, z, mu, lv: np.exp(log_weight(p, z, mu, lv)), "return its logarithm"),
        (lambda p, z, mu, lv: log_weight(p, z, mu, lv).sum(), "has shape"),
        (lambda p, z, mu, lv: -log_weight(p, z, mu, lv), "the sign is flipped"),
    ],
    "repaired_bound": [
        (analytic_kl, "analytic_kl is still in it"),
        (museum.mixed_reshape, "mixed_reshape is still in it"),
        (museum.positive_softmax, "positive_softmax is still in it"),
        (both_faults, "two faults"),
        (elbo, "that is the ELBO"),
        (softmax_of_the_right_sign, "softmax(log w)"),
        (lambda *args: repaired_bound(*args) + np.log(args[1].shape[1]), "log K is forgotten"),
        (lambda *args: -repaired_bound(*args), "that is the loss"),
        (lambda *args: repaired_bound(*args).mean(), "one number for each image"),
        (lambda x, eps, encode, log_likelihood: x_not_repeated(x, eps, encode, log_likelihood), "each z needs its x"),
    ],
    "draws_needed": [
        (lambda log_w, bias: 2 * draws_needed(log_w, bias), "the 2 of (8.5)"),
        (lambda log_w, bias: np.var(np.exp(log_w)) / (2 * bias), "not divided by the squared mean"),
        (lambda log_w, bias: np.var(log_w) / (2 * bias), "variance of the logarithms"),
        (lambda log_w, bias: (draws_needed(log_w, 0.5))**0.5 / (2 * bias), "standard deviation"),
        (lambda log_w, bias: draws_needed(log_w, bias) + 0.5 / bias, "subtract 1"),
        (lambda log_w, bias: draws_needed(log_w, bias) / bias, "the bias is squared"),
        (lambda log_w, bias: draws_needed(log_w, 0.5) / 200, "with the 100 weights"),
        (lambda log_w, bias: draws_needed(log_w, 0.5) * 2 * bias, "divide by it"),
        (lambda log_w, bias: np.exp(log_w - 1000).sum()**2 / np.sum(np.exp(log_w - 1000)**2), "NaN"),
        (lambda log_w, bias: np.exp(log_w).sum()**2 / np.sum(np.exp(log_w)**2), "the effective number"),
        (lambda log_w, bias: 100, "off by"),
        (lambda log_w, bias: draws_needed(log_w, bias) * 1.05, "off by"),
    ],
    "mean_square": [
        (lambda v, q: q / np.sqrt(v * (2 * q - v)), "return np.inf"),
        (lambda v, q: q / np.sqrt(v * (2 * q - v)) if 2 * q > v else 0.0, "return np.inf"),
        (lambda v, q: mean_square(v, q) - 1, "the variance"),
        (lambda v, q: mean_square(v, q)**2, "the square root"),
        (lambda v, q: mean_square(q, v), "swapped"),
        (lambda v, q: np.inf, "only where 2 s^2 <= lambda"),
        (lambda v, q: 1.0, "E[w], which is 1"),
        (lambda v, q: mean_square(v, q) * np.sqrt(v / q), "not squared"),
        (lambda v, q: 1 / mean_square(v, q), "1 / E[w^2]"),
        (lambda v, q: mean_square(v, q) if q > v else np.inf, "does not fall"),
        (lambda v, q: 1.3, "off by"),
    ],
}


def by_scipy_s_way(log_w):
    return np.logaddexp.reduce(log_w, axis=1) - np.log(log_w.shape[1])


def row_by_row(log_w):
    return [row.max() + np.log(sum(np.exp(row - row.max())) / len(row)) for row in log_w]


def image_by_image(x, eps, encode, log_likelihood):
    bounds = []
    for one, noise in zip(x, eps):
        mu, logvar = encode(one[None])
        z = mu + np.exp(0.5 * logvar) * noise
        rows = np.ones((len(z), 1))
        bounds.append(log_mean_exp(log_weight(log_likelihood(z, one * rows), z, mu * rows, logvar * rows)[None])[0])
    return bounds


ALSO_RIGHT = {
    "log_mean_exp": [by_scipy_s_way, row_by_row, lambda a: np.logaddexp.reduce(a.T - np.log(a.shape[1]))],
    "log_weight": [lambda p, z, mu, lv: p + density(z, 0 * mu, 0 * lv) - density(z, mu, lv),
                   lambda p, z, mu, lv: p + 0.5 * np.sum(((z - mu) / np.exp(lv / 2))**2 + lv - z**2, axis=1)],
    "repaired_bound": [museum.iwae_bound, image_by_image],
    "draws_needed": [lambda log_w, bias: np.ceil(draws_needed(log_w, bias)),
                     lambda log_w, bias: draws_needed(log_w, bias) * 100 / 99,
                     lambda log_w, bias: (100 * np.exp(np.logaddexp.reduce(2 * log_w) - 2 * np.logaddexp.reduce(log_w))
                                          - 1) / (2 * bias)],
    "mean_square": [lambda v, q: np.sqrt(q / v) / np.sqrt(2 - v / q) if q > v / 2 else float("inf"),
                    lambda v, q: (q / v)**0.5 / max(2 - v / q, 0)**0.5 if 2 * q > v else np.inf],
}
