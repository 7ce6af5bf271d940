import numpy as np


def log_likelihood(x, m, sigma):
    return -np.sum((x - m)**2 / (2 * sigma**2) + np.log(sigma) + 0.5 * np.log(2 * np.pi), axis=1)


def ancestral_sampling(f, sigma, n, rng, noise=None):
    z = rng.standard_normal((n, 2))
    mean = f(z)
    return z, mean + (sigma if noise is None else noise) * rng.standard_normal(mean.shape)


def sampled(draw_x):
    """z as it should be, then x by draw_x(z, f(z), sigma, rng)."""
    def answer(f, sigma, n, rng):
        z = rng.standard_normal((n, 2))
        return z, draw_x(z, f(z), sigma, rng)
    return answer


def from_z(f, sigma, rng, z):
    mean = f(z)
    return z, mean + sigma * rng.standard_normal(mean.shape)


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
        (lambda x, m, s: -np.sum((x - m)**2 / (2 * s**2) + 0.5 * np.log(2 * np.pi * s), axis=1), "half a log sigma"),
        (lambda x, m, s: -np.sum((x - m)**2 / (2 * s**2) + np.log(s) + np.log(2 * np.pi), axis=1), "lacks its half"),
        (lambda x, m, s: log_likelihood(x, m, s).sum(), "each row has its own"),
        (lambda x, m, s: -(x - m)**2 / (2 * s**2) - np.log(s) - 0.5 * np.log(2 * np.pi), "not added up"),
    ],
    "ancestral_sampling": [
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=0.0), "the mean, not a sample"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=s**2), "standard deviation sigma^2"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=s**0.5), "variance sigma"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng, noise=1.0), "not scaled by sigma"),
        (lambda f, s, n, rng: (rng.random((n, 2)), f(rng.random((n, 2)))), "not drawn from N(0, I)"),
        (lambda f, s, n, rng: f(rng.standard_normal((n, 2))), "expected two arrays"),
        (sampled(lambda z, m, s, rng: m + s * rng.standard_normal((len(z), 1))), "share their noise"),
        (lambda f, s, n, rng: from_z(f, s, rng, np.repeat(rng.standard_normal((n, 1)), 2, axis=1)),
         "depend on each other"),
        (sampled(lambda z, m, s, rng: m + s * np.column_stack([z, z[:, 0]])), "share their noise"),
        (sampled(lambda z, m, s, rng: m + s * np.column_stack([z, rng.standard_normal(len(z))])), "depends on z"),
        (sampled(lambda z, m, s, rng: m + s * (rng.exponential(size=m.shape) - 1)), "no Gaussian"),
        (sampled(lambda z, m, s, rng: m + s * rng.uniform(-3**0.5, 3**0.5, m.shape)), "no Gaussian"),
        (sampled(lambda z, m, s, rng: m + s * rng.choice([-1, 1], m.shape)), "no Gaussian"),
        (sampled(lambda z, m, s, rng: m + s * rng.laplace(0, 0.5**0.5, m.shape)), "no Gaussian"),
        (sampled(lambda z, m, s, rng: m + s * rng.standard_t(5, m.shape) * 0.6**0.5), ""),
        (sampled(lambda z, m, s, rng: m + s * rng.standard_normal(3)), "the same noise is added to every row"),
        (sampled(lambda z, m, s, rng: m + s * (0.1 + rng.standard_normal(m.shape))), "mean 0"),
        (sampled(lambda z, m, s, rng: m + s * np.sqrt(0.5 * (1 + z[:, :1]**2)) * rng.standard_normal(m.shape)), ""),
        (sampled(lambda z, m, s, rng: m + s * np.abs(rng.standard_normal(m.shape)) * np.sign(z[:, :1])),
         "share their noise"),
        (sampled(lambda z, m, s, rng: m + s * np.random.default_rng(0).standard_normal(m.shape)), "the same noise"),
        (sampled(lambda z, m, s, rng: m + s * np.random.standard_normal(m.shape)), "with the same rng differ"),
        (sampled(lambda z, m, s, rng: m + s * np.repeat(rng.standard_normal((len(z) // 2, 3)), 2, axis=0)), "the rows"),
        (sampled(lambda z, m, s, rng: m + s * np.tile(rng.standard_normal((len(z) // 2, 3)), (2, 1))), "the rows"),
        (sampled(lambda z, m, s, rng: m + 0.55 * rng.standard_normal(m.shape)), ""),
        (lambda f, s, n, rng: from_z(f, s, rng, rng.uniform(-3**0.5, 3**0.5, (n, 2))), "it is no Gaussian"),
        (lambda f, s, n, rng: from_z(f, s, rng, np.sort(rng.standard_normal((n, 2)), axis=0)), "depend on each other"),
        (sampled(lambda z, m, s, rng: m + 1.0005 * s * rng.standard_normal(m.shape)), "the noise of x is 1.0005 times"),
        (lambda f, s, n, rng: from_z(f, s, rng, 1.0005 * rng.standard_normal((n, 2))), "z is 1.0005 times"),
        (lambda f, s, n, rng: from_z(f, s, rng, 0.9 * rng.standard_normal((n, 2))), "mean and its variance"),
        (lambda f, s, n, rng: ancestral_sampling(f, s, n, rng)[::-1], "z and x are swapped"),
        (lambda f, s, n, rng: (rng.standard_normal((n, 2)), ancestral_sampling(f, s, n, rng)[1]), "drawn from this z"),
    ],
    "grid_posterior": [
        (lambda p, w: np.exp(p + w), "do not sum to 1"),
        (lambda p, w: grid_posterior(p, 0), "the prior is missing"),
        (lambda p, w: np.exp(p + w) / np.sum(np.exp(p + w)), "at -2000 it breaks down"),
        (lambda p, w: np.exp(p + w - np.max(p + w)), "the largest is 1"),
        (lambda p, w: grid_posterior(p, -w), "divided out"),
        (lambda p, w: p + w, "off by"),
        (lambda p, w: np.sum(np.exp(p + w)), "one number"),
    ],
}

ALSO_RIGHT = {
    "log_likelihood": [lambda x, m, s: np.sum(-0.5 * ((x - m) / s)**2 - np.log(s * np.sqrt(2 * np.pi)), axis=-1),
                       lambda x, m, s: -0.5 * np.sum(((x - m) / s)**2 + np.log(2 * np.pi * s**2), axis=1)],
    "ancestral_sampling": [
        sampled(lambda z, m, s, rng: rng.normal(m, s)),
        sampled(lambda z, m, s, rng: m + rng.normal(0, s, m.shape)),
        sampled(lambda z, m, s, rng: m + rng.multivariate_normal(np.zeros(3), s**2 * np.eye(3), len(z))),
        lambda f, s, n, rng: from_z(f, s, rng, rng.standard_normal((n, 2), dtype=np.float32)),
        lambda f, s, n, rng: from_z(f, s, rng, rng.multivariate_normal([0, 0], np.eye(2), n))],
    "grid_posterior": [lambda p, w: np.exp(p + w - np.logaddexp.reduce(p + w))],
}
