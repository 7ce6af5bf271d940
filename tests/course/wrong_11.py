import numpy as np


def convolve(x, w, stride, padding):
    padded, (K, L) = np.pad(x, padding), w.shape
    P, Q = (padded.shape[0] - K) // stride + 1, (padded.shape[1] - L) // stride + 1
    y = np.zeros((P, Q))
    for p in range(P):
        for q in range(Q):
            y[p, q] = np.sum(padded[stride * p:stride * p + K, stride * q:stride * q + L] * w)
    return y


def paint(y, w, stride, padding, shape):
    K, L = w.shape
    padded = np.zeros((shape[0] + 2 * padding, shape[1] + 2 * padding))
    for p in range(y.shape[0]):
        for q in range(y.shape[1]):
            padded[stride * p:stride * p + K, stride * q:stride * q + L] += y[p, q] * w
    return padded[padding:padding + shape[0], padding:padding + shape[1]]


def sizes(H, K, s, m):
    P = np.floor((H + 2 * m - K) / s) + 1
    return P, H - ((P - 1) * s - 2 * m + K)


def labelled_backward(dy, z, c, W):
    joined = np.concatenate([z, c], axis=1)
    return dy @ W[:z.shape[1]].T, joined.T @ dy


def count(C, O, K, P, Q):
    return K * K * C * O + O, P * Q * K * K * C * O


RIGHT = {"convolve": convolve, "paint": paint, "sizes": sizes, "labelled_backward": labelled_backward, "count": count}


def replaced(y, w, stride, padding, shape):
    padded = np.zeros((shape[0] + 2 * padding, shape[1] + 2 * padding))
    for p, q in np.ndindex(*y.shape):
        padded[stride * p:stride * p + w.shape[0], stride * q:stride * q + w.shape[1]] = y[p, q] * w
    return padded[padding:-padding, padding:-padding]


WRONG = {
    "convolve": [
        (lambda x, w, s, m: convolve(x, w[::-1, ::-1], s, m), "the window is flipped"),
        (lambda x, w, s, m: convolve(x, w, s, 0), "the padding is missing"),
        (lambda x, w, s, m: convolve(x, w, 1, m), "the stride is missing"),
        (lambda x, w, s, m: convolve(x, w, 1, 0), "stride and padding are missing"),
        (lambda x, w, s, m: convolve(x, w / w.size, s, m), "add up"),
        (lambda x, w, s, m: convolve(np.pad(x, m, mode="edge"), w, s, 0), "the padding is zeros"),
        (lambda x, w, s, m: convolve(np.pad(x, ((2 * m, 0), (2 * m, 0))), w, s, 0), "put zeros all around"),
        (lambda x, w, s, m: convolve(x, w, s, m)[:-1, :-1], "the last place is left out"),
        (lambda x, w, s, m: convolve(x, w, s, m).sum(), "each has its own"),
        (lambda x, w, s, m: convolve(x, w, s, m).T, "transposed"),
        (lambda x, w, s, m: convolve(x, w.T, s, m), "y"),
        (lambda x, w, s, m: convolve(x, w, s, m) + 0.01, "off by a constant"),
    ],
    "paint": [
        (replaced, "add them up"),
        (lambda y, w, s, m, shape: paint(y, w[::-1, ::-1], s, m, shape), "the window is flipped"),
        (lambda y, w, s, m, shape: paint(y, w, s, 0, (shape[0] + 2 * m, shape[1] + 2 * m)), "cut it off"),
        (lambda y, w, s, m, shape: paint(np.ones(y.shape), w, s, m, shape), "multiply by y"),
        (lambda y, w, s, m, shape: paint(y, w, s, 0, (shape[0] + 2, shape[1] + 2))[2:, 2:], "above and on the left"),
        (lambda y, w, s, m, shape: paint(y, w, s, 0, (shape[0] + 2, shape[1] + 2))[:-2, :-2],
         "below and on the right"),
        (lambda y, w, s, m, shape: -paint(y, w, s, m, shape), "wrong sign"),
        (lambda y, w, s, m, shape: paint(y, w, s, m, shape) / w.size, "times what it should be"),
        (lambda y, w, s, m, shape: paint(y, w, s, m, shape).T, "transposed"),
        (lambda y, w, s, m, shape: np.zeros(shape), "does not depend on y and w"),
    ],
    "sizes": [
        (lambda H, K, s, m: (sizes(H, K, s, m)[0] - 1, sizes(H, K, s, m)[1]), "the + 1 is missing"),
        (lambda H, K, s, m: ((H + 2 * m - K) / s + 1, sizes(H, K, s, m)[1]), "rounded down"),
        (lambda H, K, s, m: (-(-(H + 2 * m - K) // s) + 1, sizes(H, K, s, m)[1]), "rounded down"),
        (lambda H, K, s, m: ((H + 2 * m) // s + 1, sizes(H, K, s, m)[1]), "P"),
        (lambda H, K, s, m: (sizes(H, K, s, m)[0], -sizes(H, K, s, m)[1]), "1 of 2 is right; n has the wrong sign"),
        (lambda H, K, s, m: (sizes(H, K, s, m)[0], H - sizes(H, K, s, m)[1]), "n: that is the side"),
        (lambda H, K, s, m: (sizes(H, K, s, m)[0], sizes(H, K, s, m)[1] - s), "n: P windows cover"),
        (lambda H, K, s, m: (sizes(H, K, s, m)[0], sizes(H, K, s, m)[1] - 2 * m), "are padding"),
        (lambda H, K, s, m: (sizes(H, K, s, m)[0], 0), "n is off by"),
        (lambda H, K, s, m: sizes(H, K, s, m)[0], "expected two numbers"),
    ],
    "labelled_backward": [
        (lambda dy, z, c, W: (dy @ W.T, labelled_backward(dy, z, c, W)[1]), "nobody can change a label"),
        (lambda dy, z, c, W: (dy @ W[-z.shape[1]:].T, labelled_backward(dy, z, c, W)[1]), "z stands first"),
        (lambda dy, z, c, W: (dy @ W[z.shape[1]:].T, labelled_backward(dy, z, c, W)[1]), "z stands first"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], z.T @ dy), "1 of 2 is right; dW lacks the label's"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], np.hstack([c, z]).T @ dy), "label's rows first"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], np.hstack([z, 0 * c]).T @ dy), "has zeros in the"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], np.hstack([z, c]).T @ dy / len(z)), "a mean over"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], dy.T @ np.hstack([z, c])), "dW is transposed"),
        (lambda dy, z, c, W: (labelled_backward(dy, z, c, W)[0], np.hstack([z, 0 * c + 1]).T @ dy), "of its class"),
        (lambda dy, z, c, W: labelled_backward(dy, z, c, W)[0], "expected two arrays"),
        (lambda dy, z, c, W: labelled_backward(dy, z, c, W)[::-1], "swapped"),
    ],
    "count": [
        (lambda C, O, K, P, Q: (K * K * C * O, count(C, O, K, P, Q)[1]), "the biases are missing"),
        (lambda C, O, K, P, Q: (K * K * C * O + C, count(C, O, K, P, Q)[1]), "each output channel has one bias"),
        (lambda C, O, K, P, Q: (K * K * C * O + 1, count(C, O, K, P, Q)[1]), "one bias for all"),
        (lambda C, O, K, P, Q: (P * Q * (K * K * C * O + O), count(C, O, K, P, Q)[1]), "P and Q play no part"),
        (lambda C, O, K, P, Q: (K * C * O + O, count(C, O, K, P, Q)[1]), "K times K"),
        (lambda C, O, K, P, Q: (K * K * O + O, count(C, O, K, P, Q)[1]), "C is missing"),
        (lambda C, O, K, P, Q: (count(C, O, K, P, Q)[0], K * K * C * O), "1 of 2 is right; every weight is used"),
        (lambda C, O, K, P, Q: (count(C, O, K, P, Q)[0], P * Q * (K * K * C * O + O)), "a bias is added"),
        (lambda C, O, K, P, Q: (count(C, O, K, P, Q)[0], P * Q * K * K * O), "C is missing"),
        (lambda C, O, K, P, Q: (count(C, O, K, P, Q)[0], P * Q * K * K * C), "O is missing"),
        (lambda C, O, K, P, Q: count(C, O, K, P, Q)[::-1], "swapped"),
    ],
}


def by_window(x, w, stride, padding):
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, padding), w.shape)[::stride, ::stride]
    return np.einsum("pqkl,kl->pq", windows, w)


def by_weight(y, w, stride, padding, shape):
    padded = np.zeros((shape[0] + 2 * padding + w.shape[0], shape[1] + 2 * padding + w.shape[1]))
    for (k, l), weight in np.ndenumerate(w):
        padded[k:k + stride * y.shape[0]:stride, l:l + stride * y.shape[1]:stride] += weight * y
    return padded[padding:padding + shape[0], padding:padding + shape[1]]


ALSO_RIGHT = {
    "convolve": [by_window, lambda x, w, stride, padding: by_window(x, w, stride, padding).tolist()],
    "paint": [by_weight],
    "sizes": [lambda H, K, s, m: ((H + 2 * m - K) // s + 1, (H + 2 * m - K) % s),
              lambda H, K, s, m: {"P": int(np.floor((H + 2 * m - K) / s)) + 1, "n": (H + 2 * m - K) % s}],
    "labelled_backward": [
        lambda dy, z, c, W: ((dy @ W.T)[:, :z.shape[1]], np.concatenate([z.T @ dy, c.T @ dy])),
        lambda dy, z, c, W: {"dz": np.einsum("bh,zh->bz", dy, W[:z.shape[1]]), "dW": np.hstack([z, c]).T @ dy}],
    "count": [lambda C, O, K, P, Q: (O * (C * K**2 + 1), O * C * K**2 * P * Q)],
}
