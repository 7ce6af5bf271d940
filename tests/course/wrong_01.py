import numpy as np


def squared_error_gradient(m, x, sigma):
    return (m - x) / sigma**2 / len(x)


def fit_gaussian(codes):
    return codes.mean(axis=0), np.cov(codes.T)


def distances(z, codes):
    return np.sqrt(np.sum((z[:, None] - codes)**2, axis=2))


def share_of_holes(z, codes, limit):
    return np.mean(distances(z, codes).min(axis=1) > limit)


def undo_in_the_decoder(W, b, A, c):
    W_new = np.linalg.inv(A) @ W
    return W_new, b - c @ W_new


RIGHT = {"squared_error_gradient": squared_error_gradient, "fit_gaussian": fit_gaussian,
         "share_of_holes": share_of_holes, "undo_in_the_decoder": undo_in_the_decoder}

WRONG = {
    "squared_error_gradient": [
        (lambda m, x, sigma: (m - x) / sigma**2, "divide by the number of rows"),
        (lambda m, x, sigma: 2 * (m - x) / sigma**2 / len(x), "a 2 too many"),
        (lambda m, x, sigma: (m - x) / sigma / len(x), "not by its square"),
        (lambda m, x, sigma: (x - m) / sigma**2 / len(x), "the wrong way round"),
        (lambda m, x, sigma: (m - x) / len(x), "sigma is missing"),
        (lambda m, x, sigma: (m - x) / sigma**2 / x.size, "over the pixels as well"),
        (lambda m, x, sigma: (m - x) * sigma**2 / len(x), "divide by it"),
        (lambda m, x, sigma: (m - x) / len(x), "sigma is missing"),
        (lambda m, x, sigma: np.mean(0.5 * np.sum((m - x)**2, axis=1)) / sigma**2, "the loss, not its gradient"),
        (lambda m, x, sigma: np.ones_like(m), "does not depend on m and x and sigma"),
        (lambda m, x, sigma: np.where(m > 0.5, 1.1, 1) * (m - x) / sigma**2 / len(x),
         "entries of the gradient are wrong"),
        (lambda m, x, sigma: m.fill(0), "is `return` missing"),
    ],
    "fit_gaussian": [
        (lambda codes: (codes.mean(axis=0), codes.var(axis=0)), "the variances alone"),
        (lambda codes: (codes.mean(axis=0), np.corrcoef(codes.T)), "the scale is lost"),
        (lambda codes: (codes.mean(axis=0), np.diag(codes.var(axis=0))), "off the diagonal"),
        (lambda codes: (codes.mean(axis=1), np.cov(codes.T)), "the wrong axis"),
        (lambda codes: codes.mean(axis=0), "expected two arrays"),
        (lambda codes: (codes.mean(axis=0), np.abs(np.cov(codes.T))), "negative covariance"),
        (lambda codes: (codes.mean(axis=0), np.cov(codes)), "the covariance between images"),
        (lambda codes: (codes.mean(axis=0), codes.T @ codes / len(codes)), "mean is not subtracted"),
        (lambda codes: (codes.mean(axis=0), len(codes) * np.cov(codes.T)), "201 times"),
        (lambda codes: (codes.mean(axis=0), (codes - codes.mean(axis=0)).T @ (codes - codes.mean(axis=0))),
         "divide by the number of codes"),
        (lambda codes: (codes.mean(axis=0), np.linalg.cholesky(np.cov(codes.T))), "Cholesky"),
        (lambda codes: (codes.mean(axis=0), codes.var(axis=0, ddof=1)),
         "1 of 2 is right; those are the variances alone"),
        (lambda codes: (np.cov(codes.T), codes.mean(axis=0)), "swapped"),
    ],
    "share_of_holes": [
        (lambda z, codes, limit: 1 - share_of_holes(z, codes, limit), "outside the holes"),
        (lambda z, codes, limit: np.mean(distances(z, codes) > limit), "that counts pairs"),
        (lambda z, codes, limit: np.sum(distances(z, codes).min(axis=1) > limit), "divide by how many"),
        (lambda z, codes, limit: np.mean(distances(z, codes).min(axis=1)**2 > limit), "square root is missing"),
        (lambda z, codes, limit: sum(distances(z, codes).min(axis=1)[i] > limit for i in range(1, len(z))) / len(z),
         ""),
        (lambda z, codes, limit: np.mean(distances(z, codes).min(axis=1)[1:] > limit), ""),
        (lambda z, codes, limit: np.mean(distances(z, codes).min(axis=1)[:-1] > limit), ""),
        (lambda z, codes, limit: np.mean(distances(z, codes[1:]).min(axis=1) > limit), ""),
        (lambda z, codes, limit: np.mean(distances(z, codes[:-1]).min(axis=1) > limit), ""),
        (lambda z, codes, limit: np.mean(np.abs(z[:, None] - codes).max(axis=2).min(axis=1) > limit),
         "the largest difference"),
        (lambda z, codes, limit: np.mean(np.abs(z[:, None] - codes).sum(axis=2).min(axis=1) > limit),
         "square them first"),
        (lambda z, codes, limit: np.mean(distances(z, codes).min(axis=0) > limit), "use the other axis"),
        (lambda z, codes, limit: 0.5, "does not depend on z and codes and limit"),
    ],
    "undo_in_the_decoder": [
        (lambda W, b, A, c: (A @ W, b - c @ A @ W), "use its inverse"),
        (lambda W, b, A, c: (np.linalg.inv(A) @ W, b + c @ np.linalg.inv(A) @ W), "1 of 2 is right; b_new: the sign"),
        (lambda W, b, A, c: (np.linalg.inv(A) @ W, b - c @ W), "through the inverse of A as well"),
        (lambda W, b, A, c: (np.linalg.inv(A) @ W, b - c @ A @ W), "it has to go through its inverse"),
        (lambda W, b, A, c: (np.linalg.inv(A) @ W, b), "c is not undone"),
        (lambda W, b, A, c: (W, b - c @ W), "A is not undone"),
        (lambda W, b, A, c: (A.T @ W, b - c @ A.T @ W), "transposed, not inverted"),
        (lambda W, b, A, c: (np.linalg.inv(A).T @ W, b - c @ np.linalg.inv(A) @ W), "the inverse of A is transposed"),
        (lambda W, b, A, c: (1 / A @ W, b - c @ (1 / A @ W)), "inverts each entry"),
        (lambda W, b, A, c: (np.linalg.inv(A) @ W, -c @ np.linalg.inv(A) @ W), "b is missing"),
        (lambda W, b, A, c: (b - c @ np.linalg.inv(A) @ W, np.linalg.inv(A) @ W), "swapped"),
        (lambda W, b, A, c: np.linalg.inv(A) @ W, "expected two arrays"),
        (lambda W, b, A, c: (W @ np.linalg.inv(A), b), "it raises ValueError"),
    ],
}


def by_loops(z, codes, limit):
    return sum(min(float(np.linalg.norm(one - code)) for code in codes) > limit for one in z) / len(z)


def by_product(z, codes, limit):
    square = np.sum(z**2, axis=1)[:, None] + np.sum(codes**2, axis=1) - 2 * z @ codes.T
    return np.mean(np.sqrt(np.maximum(square, 0)).min(axis=1) >= limit)


def in_place(m, x, sigma):
    m -= x
    m /= sigma**2 * len(x)
    return m


ALSO_RIGHT = {
    "squared_error_gradient": [in_place],
    "fit_gaussian": [lambda codes: (codes.mean(axis=0), np.cov(codes.T, bias=True)),
                     lambda codes: (codes.mean(axis=0, keepdims=False), np.cov(codes, rowvar=False))],
    "share_of_holes": [by_loops, by_product],
    "undo_in_the_decoder": [lambda W, b, A, c: (np.linalg.solve(A, W), b - np.linalg.solve(A.T, c) @ W),
                            lambda W, b, A, c: dict(zip(("W_new", "b_new"), undo_in_the_decoder(W, b, A, c)))],
}
