import numpy as np


def elbo_and_gap(log_pxz, log_q, area):
    bound = np.sum(np.exp(log_q) * (log_pxz - log_q)) * area
    return bound, np.log(np.sum(np.exp(log_pxz)) * area) - bound


def kl_to_prior(log_pxz, log_q, area):
    z = (np.arange(len(log_q)) - len(log_q) // 2) * area
    log_prior = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    return np.sum(np.exp(log_q) * (log_q - log_prior)) * area


def matching_q(z, p):
    mu = p @ z
    return mu, np.log(p @ (z - mu)**2)


def diagonal_gap(C):
    return 0.5 * (np.log(np.linalg.det(C)) + np.sum(np.log(np.diag(np.linalg.inv(C)))))


def marginal(C):
    P, v = np.diag(np.linalg.inv(C)), np.diag(C)
    return 0.5 * (np.sum(P * v) - len(C) + np.log(np.linalg.det(C)) - np.sum(np.log(v)))


RIGHT = {"elbo_and_gap": elbo_and_gap, "matching_q": matching_q, "diagonal_gap": diagonal_gap}

WRONG = {
    "elbo_and_gap": [
        (lambda p, q, a: (np.sum(np.exp(q) * p) * a, 0.0), "- log q is missing"),
        (lambda p, q, a: (np.sum(np.exp(q) * (p - q)), 0.0), "area of a cell"),
        (lambda p, q, a: (elbo_and_gap(p, q, a)[0], -elbo_and_gap(p, q, a)[1]), "never negative"),
        (lambda p, q, a: (elbo_and_gap(p, q, a)[0], kl_to_prior(p, q, a)), "KL to the prior"),
        (lambda p, q, a: (elbo_and_gap(p, q, a)[0], -elbo_and_gap(p, q, a)[0]), "divide the joint by p(x)"),
        (lambda p, q, a: elbo_and_gap(p, q, a)[0], "expected two numbers"),
        (lambda p, q, a: elbo_and_gap(p, q, a)[::-1], "swapped"),
        (lambda p, q, a: (-elbo_and_gap(p, q, a)[0], elbo_and_gap(p, q, a)[1]),
         "1 of 2 is right; the ELBO has the wrong"),
        (lambda p, q, a: (elbo_and_gap(p, q, a)[0], np.log(np.sum(np.exp(p)) * a)),
         "1 of 2 is right; that is log p(x)"),
        (lambda p, q, a: (np.mean(p - q), 0.0), "not averaged over q"),
        (lambda p, q, a: (-4.0, 0.5), "the ELBO is off by"),
    ],
    "matching_q": [
        (lambda z, p: (z.mean(axis=0), 0), "not weighted"),
        (lambda z, p: (p @ z, p @ (z - p @ z)**2), "take its logarithm"),
        (lambda z, p: (p @ z, np.sqrt(p @ (z - p @ z)**2)), "standard deviation"),
        (lambda z, p: (p @ z, 0.5 * np.log(p @ (z - p @ z)**2)), "half of logvar"),
        (lambda z, p: (p @ z, np.log(p @ z**2)), "not subtracted"),
        (lambda z, p: (p @ z, np.log(np.var(z, axis=0))), "variance is not weighted"),
        (lambda z, p: matching_q(z, p)[::-1], "swapped"),
        (lambda z, p: (z[p.argmax()], 0), "likeliest point"),
    ],
    "diagonal_gap": [
        (lambda C: 2 * diagonal_gap(C), "the half is missing"),
        (marginal, "marginal variances"),
        (lambda C: -diagonal_gap(C), "never negative"),
        (lambda C: 0.5 * np.sum(np.log(np.diag(np.linalg.inv(C)))), "determinant of C"),
        (lambda C: 0.5 * np.log(np.linalg.det(C)), "det S is missing"),
        (lambda C: diagonal_gap(C) + len(C) / 2, "cancels against k"),
        (lambda C: 0.5, "off by"),
        (lambda C: diagonal_gap(C) * 1.3, "off by"),
        (lambda C: np.log(np.diag(np.linalg.inv(C))), "has shape"),
    ],
}

ALSO_RIGHT = {
    "elbo_and_gap": [lambda p, q, a: (-np.sum(np.exp(q) * (q - p)) * a,
                                      np.sum(np.exp(q) * (q - p)) * a + np.log(np.sum(np.exp(p)) * a))],
    "matching_q": [lambda z, p: (np.average(z, axis=0, weights=p),
                                 np.log(np.average((z - p @ z)**2, axis=0, weights=p))),
                   lambda z, p: (p @ z, np.log(p @ z**2 - (p @ z)**2))],
    "diagonal_gap": [lambda C: 0.5 * (np.linalg.slogdet(C)[1] - np.sum(np.log(1 / np.diag(np.linalg.inv(C)))))],
}
