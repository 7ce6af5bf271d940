import numpy as np


def squared_error_gradient(m, x, sigma):
    return (m - x) / sigma**2 / len(x)


def fit_gaussian(codes):
    return codes.mean(axis=0), np.cov(codes.T)


def distances(z, codes):
    return np.sqrt(np.sum((z[:, None] - codes)**2, axis=2))


def share_of_holes(z, codes, limit):
    return np.mean(distances(z, codes).min(axis=1) > limit)


RIGHT = {"squared_error_gradient": squared_error_gradient, "fit_gaussian": fit_gaussian,
         "share_of_holes": share_of_holes}

WRONG = {
    "squared_error_gradient": [
        (lambda m, x, sigma: (m - x) / sigma**2, "divide by the number of rows"),
        (lambda m, x, sigma: 2 * (m - x) / sigma**2 / len(x), "a 2 too many"),
        (lambda m, x, sigma: (m - x) / sigma / len(x), "not by its square"),
        (lambda m, x, sigma: (x - m) / sigma**2 / len(x), "the wrong way round"),
        (lambda m, x, sigma: (m - x) / len(x), "sigma is missing"),
        (lambda m, x, sigma: (m - x) / sigma**2 / x.size, "over the pixels as well"),
    ],
    "fit_gaussian": [
        (lambda codes: (codes.mean(axis=0), codes.var(axis=0)), "the variances alone"),
        (lambda codes: (codes.mean(axis=0), np.corrcoef(codes.T)), "the scale is lost"),
        (lambda codes: (codes.mean(axis=0), np.diag(codes.var(axis=0))), "off the diagonal"),
        (lambda codes: (codes.mean(axis=1), np.cov(codes.T)), "the wrong axis"),
        (lambda codes: codes.mean(axis=0), "expected two arrays"),
    ],
    "share_of_holes": [
        (lambda z, codes, limit: 1 - share_of_holes(z, codes, limit), "outside the holes"),
        (lambda z, codes, limit: np.mean(distances(z, codes) > limit), "that counts pairs"),
        (lambda z, codes, limit: np.sum(distances(z, codes).min(axis=1) > limit), "divide by how many"),
        (lambda z, codes, limit: np.mean(distances(z, codes).min(axis=1)**2 > limit), "square root is missing"),
    ],
}
