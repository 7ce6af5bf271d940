import numpy as np


def hidden_betas(B, D, Z):
    return D, D / Z, 1 / Z, 1 / B


def same_vae(n_data, beta, sigma):
    s = sigma**2
    return np.sqrt(beta) * sigma, n_data / 2 * (np.log(2 * np.pi * s) - beta * np.log(2 * np.pi * beta * s))


def kl_of_dimensions(eigenvalues, beta, sigma):
    return 0.5 * np.log(np.maximum(eigenvalues / (beta * sigma**2), 1))


def best_sigma(x, m):
    return np.sqrt(np.mean((x - m)**2))


def free_bits_backward(kl, minimum, beta):
    counts = kl.mean(axis=0) > minimum
    return np.ones_like(kl) * counts * beta / len(kl)


def constant(D, beta, sigma, change):
    return np.sqrt(beta) * sigma, change(D / 2, np.log(2 * np.pi * sigma**2), np.log(2 * np.pi * beta * sigma**2))


RIGHT = {"hidden_betas": hidden_betas, "same_vae": same_vae, "kl_of_dimensions": kl_of_dimensions,
         "best_sigma": best_sigma, "free_bits_backward": free_bits_backward}

WRONG = {
    "hidden_betas": [
        (lambda B, D, Z: (1 / D, Z / D, Z, B), "a is upside down"),
        (lambda B, D, Z: (D / Z, D / Z, 1 / Z, 1 / B), "3 of 4 are right; a: the KL is a sum over dimensions"),
        (lambda B, D, Z: (D, D, 1 / Z, 1 / B), "b: the KL is a mean over dimensions as well"),
        (lambda B, D, Z: (D, 1, 1 / Z, 1 / B), "b: each part is a mean, but over another number"),
        (lambda B, D, Z: (D, D * Z, 1 / Z, 1 / B), "b: dividing by D takes from the NLL"),
        (lambda B, D, Z: (D, D / Z, Z, 1 / B), "c is upside down"),
        (lambda B, D, Z: (D, D / Z, 1, 1 / B), "c: the KL is a mean over dimensions"),
        (lambda B, D, Z: (D, D / Z, D / Z, 1 / B), "c: the NLL is a sum over pixels"),
        (lambda B, D, Z: (D, D / Z, 1 / Z, 1), "d: the NLL is summed over the pictures of the batch too"),
        (lambda B, D, Z: (D, D / Z, 1 / Z, B), "d is upside down"),
        (lambda B, D, Z: (D / Z, D, 1 / Z, 1 / B), "2 of 4 are right"),
        (lambda B, D, Z: (784, 392, 0.5, 0.01), "a is off by"),
        (lambda B, D, Z: D, "expected four numbers"),
    ],
    "same_vae": [
        (lambda D, beta, s: (beta * s**2, same_vae(D, beta, s)[1]), "that is its variance"),
        (lambda D, beta, s: (beta * s, same_vae(D, beta, s)[1]), "multiplied by its square root"),
        (lambda D, beta, s: (s / beta**0.5, same_vae(D, beta, s)[1]), "not divided"),
        (lambda D, beta, s: (s, same_vae(D, beta, s)[1]), "sigma does not stay as it is"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: h * (a - beta * a)), "both logarithms"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: h * (a - b)), "second logarithm"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: h * (a - beta * b) / D), "there are n_data"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: 2 * h * (a - beta * b)), "the half is missing"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: h * (beta * b - a)), "the wrong sign"),
        (lambda D, beta, s: constant(D, beta, s, lambda h, a, b: h * (a - beta * b) + 1), "constant is off by"),
        (lambda D, beta, s: (s * beta**0.5, D / 2 * (np.log(2 * np.pi * s) - beta * np.log(2 * np.pi * beta * s))),
         "sigma where its square belongs"),
        (lambda D, beta, s: same_vae(D, beta, s)[::-1], "swapped"),
        (lambda D, beta, s: s * beta**0.5, "expected two numbers"),
    ],
    "kl_of_dimensions": [
        (lambda e, beta, s: 0.5 * np.log(e / (beta * s**2)), "a KL never is"),
        (lambda e, beta, s: np.log(np.maximum(e / (beta * s**2), 1)), "the half is missing"),
        (lambda e, beta, s: kl_of_dimensions(e, 1, s), "beta was left out"),
        (lambda e, beta, s: 0.5 * np.log(np.maximum(e / (beta * s), 1)), "sigma is a standard deviation"),
        (lambda e, beta, s: 0.5 * np.log(np.maximum(e / s, 1)), "sigma is a standard deviation"),
        (lambda e, beta, s: kl_of_dimensions(e, beta, 1), "sigma was left out"),
        (lambda e, beta, s: kl_of_dimensions(e, 1 / beta, s), "it does not divide it"),
        (lambda e, beta, s: beta * kl_of_dimensions(e, 1, s), "it does not multiply the KL"),
        (lambda e, beta, s: np.maximum(e - beta * s**2, 0), "that is what the code explains"),
        (lambda e, beta, s: np.minimum(e, beta * s**2), "what is left over"),
        (lambda e, beta, s: -kl_of_dimensions(e, beta, s), "the sign is flipped"),
        (lambda e, beta, s: kl_of_dimensions(e, beta, s).sum(), "that is their sum"),
        (lambda e, beta, s: e > beta * s**2, "which dimensions live"),
        (lambda e, beta, s: 0.5 * np.maximum(e / (beta * s**2), 1), "its logarithm is missing"),
        (lambda e, beta, s: 0.5 * np.log1p(np.maximum(e / (beta * s**2), 1)), ""),
    ],
    "best_sigma": [
        (lambda x, m: np.mean((x - m)**2), "that is sigma^2"),
        (lambda x, m: np.sqrt(np.mean(np.sum((x - m)**2, axis=1))), "divide by the number of pixels"),
        (lambda x, m: np.sqrt(np.sum((x - m)**2)), "it is a sum"),
        (lambda x, m: np.std(x - m), "the mean of the residual is subtracted"),
        (lambda x, m: np.sqrt(np.mean((x - m)**2, axis=0)), "one sigma for each pixel"),
        (lambda x, m: np.sqrt(np.mean((x - m)**2, axis=1)), "one sigma for each picture"),
        (lambda x, m: np.mean(np.abs(x - m)), "mean absolute error"),
        (lambda x, m: np.mean(x - m), "cancel"),
        (lambda x, m: np.sqrt(0.5 * np.mean((x - m)**2)), "a half too many"),
        (lambda x, m: np.mean(np.sqrt(np.mean((x - m)**2, axis=0))), "the roots are averaged"),
        (lambda x, m: np.std(x), "the standard deviation of the pictures"),
        (lambda x, m: np.sqrt(np.sum((x - m)**2) / (x.size - 1)), "off by"),
        (lambda x, m: 0.5, "it does not depend on x and m"),
    ],
    "free_bits_backward": [
        (lambda kl, k, beta: (kl > k) * beta / len(kl), "a whole column at a time"),
        (lambda kl, k, beta: len(kl) * free_bits_backward(kl, k, beta), "divides each entry's share by B"),
        (lambda kl, k, beta: free_bits_backward(kl, k, 1), "beta is missing"),
        (lambda kl, k, beta: beta / len(kl) - free_bits_backward(kl, k, beta), "the other way round"),
        (lambda kl, k, beta: np.full(kl.shape, beta / len(kl)), "the gradient is 0 there"),
        (lambda kl, k, beta: -free_bits_backward(kl, k, beta), "the sign is flipped"),
        (lambda kl, k, beta: kl * free_bits_backward(kl, k, beta), "the KL itself is in it"),
        (lambda kl, k, beta: beta * np.sum(np.maximum(k, kl.mean(axis=0))), "that is the loss"),
        (lambda kl, k, beta: free_bits_backward(kl, k, beta) / kl.shape[1], "by the number of dimensions"),
        (lambda kl, k, beta: beta * (kl.mean(axis=0) > k), "each entry has its own"),
        (lambda kl, k, beta: (kl.mean(axis=1, keepdims=True) > k) * np.full(kl.shape, beta / len(kl)), "axis 0"),
        (lambda kl, k, beta: (kl.sum(axis=0) > k) * np.full(kl.shape, beta / len(kl)), "compare the mean"),
    ],
}


def by_derivative(x, m):
    """Where the derivative of the NLL for the logarithm of sigma^2 is 0, by Newton's steps."""
    s, square = 0.0, float(np.mean((x - m)**2))
    for _ in range(60):
        s += 1 - np.exp(s) / square
    return np.exp(s / 2)


ALSO_RIGHT = {
    "hidden_betas": [lambda B, D, Z: {"a": D, "b": D / Z, "c": 1 / Z, "d": 1 / B},
                     lambda B, D, Z: np.array([D, D / Z, Z**-1, B**-1])],
    "same_vae": [lambda D, beta, s: (np.sqrt(beta * s**2), 0.5 * D * ((1 - beta) * np.log(2 * np.pi * s**2)
                                                                      - beta * np.log(beta))),
                 lambda D, beta, s: {"sigma": s * beta**0.5, "constant": same_vae(D, beta, s)[1]}],
    "kl_of_dimensions": [
        lambda e, beta, s: np.maximum(0.5 * np.log(e / (beta * s**2)), 0),
        lambda e, beta, s: np.where(e > beta * s**2, np.log(np.sqrt(e / beta) / s), 0.0),
        lambda e, beta, s: [0.5 * np.log(one / (beta * s * s)) if one > beta * s * s else 0 for one in e]],
    "best_sigma": [by_derivative, lambda x, m: np.linalg.norm(x - m) / np.sqrt(x.size)],
    "free_bits_backward": [
        lambda kl, k, beta: np.where(kl.mean(axis=0) > k, beta / len(kl), 0) + 0 * kl,
        lambda kl, k, beta: np.tile((np.sum(kl, axis=0) > len(kl) * k) * beta / len(kl), (len(kl), 1)),
        lambda kl, k, beta: [[beta / len(kl) if np.mean(column) > k else 0 for column in kl.T] for _ in kl]],
}
