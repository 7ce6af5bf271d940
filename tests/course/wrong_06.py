import numpy as np


def score_estimates(f, z, mu, logvar):
    r = (z - mu) * np.exp(-logvar)
    return f * r, f * 0.5 * ((z - mu) * r - 1)


def reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(0.5 * logvar) * 0.5


def with_baseline(f, score):
    return (f - f.mean()) * score


def second(change):
    return lambda f, z, mu, logvar: (score_estimates(f, z, mu, logvar)[0], change(f, z - mu, np.exp(logvar)))


RIGHT = {"score_estimates": score_estimates, "reparameterize_backward": reparameterize_backward,
         "with_baseline": with_baseline}

WRONG = {
    "score_estimates": [
        (lambda f, z, mu, logvar: (z - mu, z), "estimate for mu"),
        (lambda f, z, mu, logvar: (f * (z - mu), 0 * z), "z - mu is not divided by the variance"),
        (lambda f, z, mu, logvar: (f * (mu - z) * np.exp(-logvar), 0 * z), "wrong sign"),
        (lambda f, z, mu, logvar: ((z - mu) * np.exp(-logvar), 0 * z), "the score alone"),
        (second(lambda f, d, v: f * (d**2 / v - 1)), "the half is missing"),
        (second(lambda f, d, v: f * (d**2 / v - 1) / np.sqrt(v)), "to sigma, not log sigma^2"),
        (second(lambda f, d, v: f * 0.5 * d**2 / v), "-1 of the normaliser"),
        (lambda f, z, mu, logvar: f, "expected two arrays"),
    ],
    "reparameterize_backward": [
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar / 2)), "the half is missing"),
        (lambda dz, logvar, eps: (dz, dz * np.random.standard_normal(dz.shape)), "noise is drawn twice"),
        (lambda dz, logvar, eps: (dz, dz * eps), "with respect to sigma:"),
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar) * 0.5), "sigma belongs there"),
        (lambda dz, logvar, eps: (np.ones_like(dz), dz), "dz is not used"),
    ],
    "with_baseline": [
        (lambda f, score: f * score, "without a baseline"),
        (lambda f, score: (f + f.mean()) * score, "subtract it"),
        (lambda f, score: (f - f) * score, "depends on z"),
        (lambda f, score: (f - 3.0) * score, "hardly smaller"),
        (lambda f, score: np.mean((f - f.mean()) * score), "one estimate for each draw"),
        (lambda f, score: (f - f.mean()) * score + 5.0, "the mean is"),
    ],
}
