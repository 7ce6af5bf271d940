import numpy as np


def score_estimates(f, z, mu, logvar):
    r = (z - mu) * np.exp(-logvar)
    return f * r, f * 0.5 * ((z - mu) * r - 1)


def reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(0.5 * logvar) * 0.5


def with_baseline(f, score):
    return (f - (f.sum() - f) / (len(f) - 1)) * score


def weighted_mean(f, score):
    return (f - np.sum(f * score**2) / np.sum(score**2)) * score


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
        (second(lambda f, d, v: f * (d**2 / v - 0.5)), "the half belongs to both terms"),
        (second(lambda f, d, v: -f * 0.5 * (d**2 / v - 1)), "1 of 2 is right; the sign is flipped"),
        (lambda f, z, mu, logvar: score_estimates(f, z, mu, logvar)[::-1], "swapped"),
        (lambda f, z, mu, logvar: (f, f), "the estimate for mu is off by"),
        (lambda f, z, mu, logvar: (f * z * np.exp(-logvar), 0 * z), "z belongs there minus mu"),
        (lambda f, z, mu, logvar: (f * (z - mu) * np.exp(-logvar / 2), 0 * z), "you divided by sigma"),
        (second(lambda f, d, v: f * 0.5 * (d / v - 1)), "z - mu is not squared"),
    ],
    "reparameterize_backward": [
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar / 2)), "the half is missing"),
        (lambda dz, logvar, eps: (dz, dz * np.random.standard_normal(dz.shape)), "noise is drawn twice"),
        (lambda dz, logvar, eps: (dz, dz * eps), "with respect to sigma:"),
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar) * 0.5), "sigma belongs there"),
        (lambda dz, logvar, eps: (np.ones_like(dz), dz), "dz is not used"),
        (lambda dz, logvar, eps: (dz, dz * np.nan), "dlogvar holds NaN"),
        (lambda dz, logvar, eps: 2 * (dz * eps * np.exp(logvar / 2) * 0.5,), "two names stand for one array"),
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(logvar)), "sigma belongs there"),
        (lambda dz, logvar, eps: (dz * np.exp(logvar / 2), dz * eps * np.exp(logvar / 2) / 2), "no sigma in it"),
        (lambda dz, logvar, eps: (dz, dz * eps * logvar * 0.5), "logvar is a logarithm"),
        (lambda dz, logvar, eps: (dz, dz * eps * np.exp(-logvar / 2) * 0.5), "you divided by sigma"),
    ],
    "with_baseline": [
        (lambda f, score: f * score, "without a baseline"),
        (lambda f, score: (f - f.mean()) * score, "the mean of all draws contains f(z) itself"),
        (lambda f, score: (f - np.median(f)) * score, "must not depend on its own f(z)"),
        (lambda f, score: (f - f[0]) * score, "grows 0 times"),
        (weighted_mean, "must not depend on its own f(z)"),
        (lambda f, score: (f + f.mean()) * score, "subtract it"),
        (lambda f, score: (f - f) * score, "depends on z"),
        (lambda f, score: (f - 3.0) * score, "hardly smaller"),
        (lambda f, score: (f - (f.sum() - f) / len(f)) * score, "hardly smaller"),
        (lambda f, score: with_baseline(f - score, score), "the mean is"),
        (lambda f, score: np.mean((f - f.mean()) * score), "one estimate for each draw"),
        (lambda f, score: with_baseline(f, score) + 5.0, "where the score is 0"),
        (lambda f, score: np.full(len(f), np.mean((f - f.mean()) * score)), "every entry is the mean"),
        (lambda f, score: np.full(len(f), 1.182), "where the score is 0"),
        (lambda f, score: (f - f.mean()) / f.std() * score, "changes the gradient"),
        (lambda f, score: with_baseline(f, score) * 1.0005, "grows 1.0005 times"),
        (lambda f, score: with_baseline(f, score) + 0.01, "where the score is 0"),
        (lambda f, score: (f.mean() - f) * score, "the sign is flipped"),
        (lambda f, score: f * score - f.mean(), "from the product"),
        (lambda f, score: f - f.mean(), "multiply it by the score"),
        (lambda f, score: np.sort(with_baseline(f, score)), ""),
        (lambda f, score: f * np.nan, "NaN"),
    ],
}


def scaled_mean(f, score):
    return len(f) / (len(f) - 1) * (f - f.mean()) * score


def halves(f, score):
    one, other = np.array_split(f, 2)
    return np.concatenate([one - other.mean(), other - one.mean()]) * score


def by_deleting(f, score):
    return [(f[i] - np.delete(f, i).mean()) * score[i] for i in range(len(f))]


ALSO_RIGHT = {
    "score_estimates": [lambda f, z, mu, logvar: np.array(score_estimates(f, z, mu, logvar))],
    "reparameterize_backward": [lambda dz, logvar, eps: np.stack([dz, dz * eps * np.sqrt(np.exp(logvar)) / 2])],
    "with_baseline": [scaled_mean, halves, by_deleting],
}
