import numpy as np


def log_likelihood(x, m, sigma):
    return -np.sum((x - m)**2 / (2 * sigma**2) + np.log(sigma) + 0.5 * np.log(2 * np.pi), axis=1)


def ancestral_sampling(f, sigma, n, rng, noise=None):
    z = rng.standard_normal((n, 2))
    mean = f(z)
    return z, mean + (sigma if noise is None else noise) * rng.standard_normal(mean.shape)


def grid_posterior(log_px_given_z, log_w):
    log_p = log_px_given_z + log_w
    p = np.exp(log_p - log_p.max())
    return p / p.sum()


RIGHT = {"log_likelihood": log_likelihood, "ancestral_sampling": ancestral_sampling, "grid_posterior": grid_posterior}

WRONG = {
    "log_likelihood": [
        (lambda x, m, s: -log_likelihood(x, m, s), "that is the NLL"),
        (lambda x, m, s: -np.sum((x - m)**2, axis=1) / (2 * s**2), "normaliser is missing"),
        (lambda x, m, s: log_likelihood(x, m, s) / x.shape[1], "a mean over the pixels"),
        (lambda x, m, s: log_likelihood(x, m, s) + x.shape[1] * np.log(s), "log sigma is missing"),
        (lambda x, m, s: np.exp(log_likelihood(x, m, s)), "return its logarithm"),
    ],
    "ancestral_sampling": [
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=0.0), "the mean, not a sample"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=s**2), "standard deviation sigma^2"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=s**0.5), "variance sigma"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=1.0), "not scaled by sigma"),
        (lambda f, s, n, rng: (rng.random((n, 2)), f(rng.random((n, 2)))), "not drawn from N(0, I)"),
        (lambda f, s, n, rng: f(rng.standard_normal((n, 2))), "expected two arrays"),
    ],
    "grid_posterior": [
        (lambda p, w: np.exp(p + w), "do not sum to 1"),
        (lambda p, w: grid_posterior(p, 0), "the prior is missing"),
        (lambda p, w: np.exp(p + w) / np.sum(np.exp(p + w)), "at -2000 it breaks down"),
        (lambda p, w: np.exp(p + w - np.max(p + w)), "the largest is 1"),
    ],
}
