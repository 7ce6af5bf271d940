import numpy as np


def best_linear_vae(eigenvalues, n_latent):
    D, variance = len(eigenvalues), np.mean(eigenvalues[n_latent:])
    log_det = np.sum(np.log(eigenvalues[:n_latent])) + (D - n_latent) * np.log(variance)
    return variance, -0.5 * (D * np.log(2 * np.pi) + log_det + D)


def linear_posterior(x, mean, W, sigma):
    M_inverse = np.linalg.inv(W @ W.T + sigma**2 * np.eye(len(W)))
    return (x - mean) @ W.T @ M_inverse, sigma**2 * M_inverse


def turned_gap(W, sigma, angle):
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    M = R @ W @ W.T @ R.T + sigma**2 * np.eye(2)
    return 0.5 * (np.sum(np.log(np.diag(M))) - np.log(np.linalg.det(M)))


def largest_angle(A, B):
    Q_A, Q_B = np.linalg.qr(A.T)[0], np.linalg.qr(B.T)[0]
    cosines = np.linalg.svd(Q_A.T @ Q_B, compute_uv=False)
    return np.degrees(np.arccos(cosines[-1]))


def inverse(W, noise):
    return np.linalg.inv(W @ W.T + noise * np.eye(len(W)))


def mu(x, mean, W, s):
    return linear_posterior(x, mean, W, s)[0]


def covariance(x, mean, W, s):
    return linear_posterior(x, mean, W, s)[1]


def variance(e, Z, change):
    """The right log p, and a variance from the discarded eigenvalues and all."""
    return change(e[Z:], e), best_linear_vae(e, Z)[1]


def log_p(e, Z, change):
    """The right variance, and from it log p, or from the logarithms kept, D - Z, log sigma^2 and D."""
    right, p = best_linear_vae(e, Z)
    return right, change(p, np.log(e[:Z]).sum(), len(e) - Z, np.log(right), len(e))


LOG_2_PI = np.log(2 * np.pi)


def turned(W, noise, angle):
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return R @ W @ W.T @ R.T + noise * np.eye(2)


def cosines(A, B):
    return np.linalg.svd(np.linalg.qr(A.T)[0].T @ np.linalg.qr(B.T)[0], compute_uv=False)


def unit(A):
    return A / np.linalg.norm(A, axis=1, keepdims=True)


RIGHT = {"best_linear_vae": best_linear_vae, "linear_posterior": linear_posterior, "turned_gap": turned_gap,
         "largest_angle": largest_angle}

WRONG = {
    "best_linear_vae": [
        (lambda e, Z: variance(e, Z, lambda left, e: np.sqrt(np.mean(left))), "1 of 2 is right; variance: that is sig"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.sum(left)), "it is a sum"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.sum(left) / len(e)), "not by D"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.sum(left) / Z), "not by Z"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(e[:Z])), "those are the kept ones"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(e)), "that is the mean of all"),
        (lambda e, Z: variance(e, Z, lambda left, e: e[-1]), "the smallest alone"),
        (lambda e, Z: variance(e, Z, lambda left, e: left[0]), "the largest of the discarded ones alone"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(e[Z - 1:])), "one too many"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(left[1:])), "one too few"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.median(left)), ""),    # of three it may be one of them
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(np.sqrt(left))), "the roots are averaged"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.exp(np.mean(np.log(left)))), "the logarithms are averaged"),
        (lambda e, Z: variance(e, Z, lambda left, e: np.mean(left) + 0.01), "variance is off by 0.01"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: 2 * p), "1 of 2 is right; log_p: the half is missing"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -p), "the sign is flipped"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: p + D / 2), "the D of the trace"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: p + D / 2 * LOG_2_PI), "D log 2 pi is missing"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (kept + n * s)), "both D and D log 2 pi"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (kept + n * s + LOG_2_PI + D)),
         "for each of the D axes"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (kept + s + D * LOG_2_PI + D)),
         "log sigma^2 counts D - Z times"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (kept + n * s / 2 + D * LOG_2_PI + D)),
         "log sigma where log sigma^2 belongs"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (kept + D * LOG_2_PI + D)),
         "the discarded axes are missing"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (n * s + D * LOG_2_PI + D)),
         "the kept axes are missing"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (np.log(e).sum() + D * LOG_2_PI + D)),
         "each discarded axis"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: -0.5 * (e.sum() + D * LOG_2_PI + D)),
         "logarithms of the eigenvalues are missing"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: p + 0.5 * (kept - np.log(e[:Z] - np.exp(s)).sum())),
         "not lambda - sigma^2"),
        (lambda e, Z: log_p(e, Z, lambda p, kept, n, s, D: p + 1e-2), "log_p is off by 0.01"),
        (lambda e, Z: best_linear_vae(e, Z)[::-1], "swapped"),
        (lambda e, Z: best_linear_vae(e, Z)[1], "expected two numbers"),
    ],
    "linear_posterior": [
        (lambda x, b, W, s: (x @ W.T @ inverse(W, s**2), covariance(x, b, W, s)), "the mean picture has to be"),
        (lambda x, b, W, s: ((x - b) @ W.T @ (W @ W.T + s**2 * np.eye(3)), covariance(x, b, W, s)),
         "1 of 2 is right; mu: M has to be inverted"),
        (lambda x, b, W, s: ((x - b) @ W.T, covariance(x, b, W, s)), "mu: M^-1 is missing"),
        (lambda x, b, W, s: ((x - b) @ W.T @ inverse(W, s), covariance(x, b, W, s)), "mu: sigma stands in M"),
        (lambda x, b, W, s: ((x - b) @ np.linalg.pinv(W), covariance(x, b, W, s)), "least squares"),
        (lambda x, b, W, s: ((x - b) @ W.T / (np.sum(W**2, axis=1) + s**2), covariance(x, b, W, s)),
         "only the diagonal of M"),
        (lambda x, b, W, s: (s**2 * mu(x, b, W, s), covariance(x, b, W, s)), "in mu it cancels"),
        (lambda x, b, W, s: ((x - b) @ W.T @ inverse(W, 1), covariance(x, b, W, s)), "I has the variance 1"),
        (lambda x, b, W, s: (mu(x, b, W, s) @ W, covariance(x, b, W, s)), "the picture that mu decodes to"),
        (lambda x, b, W, s: (mu(x, b, W, s), inverse(W, s**2)), "covariance: sigma^2 is missing in front"),
        (lambda x, b, W, s: (mu(x, b, W, s), s * inverse(W, s**2)), "sigma stands in front"),
        (lambda x, b, W, s: (mu(x, b, W, s), s**2 * inverse(W, s)), "covariance: sigma stands in M"),
        (lambda x, b, W, s: (mu(x, b, W, s), np.linalg.inv(covariance(x, b, W, s))), "that is the precision"),
        (lambda x, b, W, s: (mu(x, b, W, s), s**2 * np.linalg.inv(inverse(W, s**2))), "M has to be inverted"),
        (lambda x, b, W, s: (mu(x, b, W, s), inverse(W, s**2) / s**2), "divided by sigma^2"),
        (lambda x, b, W, s: (mu(x, b, W, s), s**2 * inverse(W, 0)), "I is missing"),
        (lambda x, b, W, s: (mu(x, b, W, s), np.diag(np.diag(covariance(x, b, W, s)))), "off the diagonal"),
        (lambda x, b, W, s: (mu(x, b, W, s), np.diag(covariance(x, b, W, s))), "shape (3,)"),
        (lambda x, b, W, s: (mu(x, b, W, s).T, covariance(x, b, W, s)), "mu is transposed"),
        (lambda x, b, W, s: (x @ W.T @ inverse(W, s), inverse(W, s)), "mu"),
        (lambda x, b, W, s: linear_posterior(x, b, W, s)[::-1], "swapped"),
        (lambda x, b, W, s: mu(x, b, W, s), "expected two arrays"),
    ],
    "turned_gap": [
        (lambda W, s, a: 2 * turned_gap(W, s, a), "the half is missing"),
        (lambda W, s, a: -turned_gap(W, s, a), "never negative"),
        (lambda W, s, a: turned_gap(W, 0, a), "sigma^2 is missing from M"),
        (lambda W, s, a: turned_gap(W, s**0.5, a), "sigma stands in M"),
        (lambda W, s, a: turned_gap(W, 1, a), "not 1"),
        (lambda W, s, a: 0.5 * np.log(np.diag(turned(W, s**2, a))).sum(), "log det M is missing"),
        (lambda W, s, a: turned_gap(W, s, a) + np.log(np.linalg.det(turned(W, s**2, a))), "log det M is added"),
        (lambda W, s, a: 0.5 * (np.trace(turned(W, s**2, a)) - np.linalg.det(turned(W, s**2, a))),
         "the logarithms are missing"),
        (lambda W, s, a: 0.5 * (np.log(np.trace(turned(W, s**2, a))) - np.log(np.linalg.det(turned(W, s**2, a)))),
         "sum the logarithms"),
        (lambda W, s, a: turned_gap(W, s, 0.0), "W is not turned"),
        (lambda W, s, a: turned_gap(W, s, np.radians(a)), "in radians as it is"),
        (lambda W, s, a: turned_gap(W, s, np.degrees(a)), ""),
        (lambda W, s, a: turned_gap(W, s, 2 * a), ""),
        (lambda W, s, a: turned_gap(W, s, a) + 1e-3, "off by 0.001"),
    ],
    "largest_angle": [
        (lambda A, B: np.arccos(cosines(A, B)[-1]), "in radians"),
        (lambda A, B: np.degrees(np.arccos(cosines(A, B)[0])), "the smallest angle"),
        (lambda A, B: np.degrees(np.arccos(cosines(A, B)[1])), "the one in the middle"),
        (lambda A, B: np.degrees(np.arccos(cosines(A, B))).mean(), "the mean of the angles"),
        (lambda A, B: cosines(A, B)[-1], "that is the cosine"),
        (lambda A, B: cosines(A, B)[0], "of the smallest angle"),
        (lambda A, B: np.degrees(np.arcsin(cosines(A, B)[-1])), "cosines, not sines"),
        (lambda A, B: np.degrees(np.arccos(cosines(A, B))), "those are all of them"),
        (lambda A, B: np.degrees(np.arccos(np.linalg.svd(unit(A) @ unit(B).T, compute_uv=False)[-1])), "use QR"),
        (lambda A, B: np.degrees(np.arccos(np.clip(np.linalg.svd(A @ B.T, compute_uv=False)[-1], -1, 1))), ""),
        (lambda A, B: np.degrees(np.arccos(np.linalg.svd(np.linalg.qr(A)[0].T @ np.linalg.qr(B)[0],
                                                         compute_uv=False)[-1])), ""),
        (lambda A, B: 45.0, "it does not depend on A and B"),
    ],
}


def projector(A):
    return A.T @ np.linalg.inv(A @ A.T) @ A


ALSO_RIGHT = {
    "best_linear_vae": [
        lambda e, Z: (sum(e[Z:]) / (len(e) - Z), best_linear_vae(e, Z)[1]),
        lambda e, Z: (np.mean(e[Z:]), -0.5 * sum(
            np.log(2 * np.pi * c) + one / c for one, c in zip(e, [*e[:Z], *[np.mean(e[Z:])] * (len(e) - Z)]))),
        lambda e, Z: {"variance": np.mean(e[Z:]), "log_p": -0.5 * (
            len(e) * (1 + LOG_2_PI) + np.log(np.prod(e[:Z]) * np.mean(e[Z:])**(len(e) - Z)))}],
    "linear_posterior": [
        lambda x, b, W, s: (np.linalg.solve(W @ W.T + s**2 * np.eye(len(W)), W @ (x - b).T).T,
                            np.linalg.inv(np.eye(len(W)) + W @ W.T / s**2)),
        lambda x, b, W, s: ((x - b) @ np.linalg.inv(W.T @ W + s**2 * np.eye(len(b))) @ W.T,    # by the covariance of x
                            np.eye(len(W)) - W @ np.linalg.inv(W.T @ W + s**2 * np.eye(len(b))) @ W.T),
        lambda x, b, W, s: {"mu": mu(x, b, W, s), "covariance": covariance(x, b, W, s)}],
    "turned_gap": [
        lambda W, s, a: turned_gap(W, s, -a),
        lambda W, s, a: 0.5 * np.log(1 + np.subtract(*(np.sum(W**2, axis=1)))**2 * np.sin(2 * a)**2
                                     / (4 * np.prod(np.sum(W**2, axis=1) + s**2))),
        lambda W, s, a: 0.5 * (np.linalg.slogdet(s**2 * np.linalg.inv(turned(W, s**2, a)))[1]
                               + np.log(np.diag(turned(W, s**2, a) / s**2)).sum())],
    "largest_angle": [
        lambda A, B: np.degrees(np.arcsin(np.linalg.norm(projector(A) - projector(B), 2))),
        lambda A, B: np.degrees(np.arccos(cosines(B, A).min())),
        lambda A, B: np.degrees(np.arccos(np.sqrt(np.sort(np.linalg.eigvals(projector(A) @ projector(B)).real)[-3])))],
}
