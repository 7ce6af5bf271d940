import numpy as np


def five_steps(x, eps, p):
    h = np.tanh(x @ p["W1"] + p["b1"])
    mu, s = h @ p["Wmu"] + p["bmu"], h @ p["Ws"] + p["bs"]
    z = mu + np.exp(s / 2) * eps
    g = np.tanh(z @ p["W2"] + p["b2"])
    a = g @ p["W3"] + p["b3"]
    nll = np.sum(np.logaddexp(0, a) - x * a, axis=1)
    return h, mu, s, z, g, a, np.mean(nll + 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1))


def whole_gradient(x, eps, p, h, mu, s, z, g, a, scale=1.0, kl=1.0, noise=1.0, slope=1.0):
    B = len(x) / scale
    da = (1 / (1 + np.exp(-a)) - x) / B
    dt = da @ p["W3"].T * (1 - slope * g**2)
    dz = dt @ p["W2"].T
    dmu = dz + kl * mu / B
    ds = noise * dz * 0.5 * np.exp(s / 2) * eps + 0.5 * (np.exp(s) - 1) / B
    du = (dmu @ p["Wmu"].T + ds @ p["Ws"].T) * (1 - h**2)
    return {"W1": x.T @ du, "b1": du.sum(0), "Wmu": h.T @ dmu, "bmu": dmu.sum(0), "Ws": h.T @ ds, "bs": ds.sum(0),
            "W2": z.T @ dt, "b2": dt.sum(0), "W3": g.T @ da, "b3": da.sum(0)}


def nearest_labels(train_codes, train_labels, test_codes):
    return train_labels[np.sum((test_codes[:, None] - train_codes)**2, axis=2).argmin(axis=1)]


def changed(i, change):
    def answer(x, eps, p):
        steps = list(five_steps(x, eps, p))
        steps[i] = change(x, eps, p, *steps)
        return steps
    return answer


RIGHT = {"five_steps": five_steps, "whole_gradient": whole_gradient, "nearest_labels": nearest_labels}

WRONG = {
    "five_steps": [
        (changed(0, lambda x, eps, p, *steps: x @ p["W1"] + p["b1"]), "h lacks its tanh"),
        (changed(1, lambda x, eps, p, h, mu, *rest: np.tanh(mu)), "mu has a tanh"),
        (changed(3, lambda x, eps, p, h, mu, s, *rest: mu + np.exp(s) * eps), "which is the variance"),
        (changed(5, lambda x, eps, p, h, mu, s, z, g, a, L: 1 / (1 + np.exp(-a))), "went through the sigmoid"),
        (changed(6, lambda x, eps, p, h, mu, s, z, g, a, L: L * len(x)), "summed over the batch"),
        (changed(6, lambda x, eps, p, h, mu, s, z, g, a, L: np.mean(np.sum(np.logaddexp(0, a) - x * a, axis=1))),
         "lacks the KL"),
        (lambda x, eps, p: five_steps(x, eps, p)[-1], "expected seven values"),
    ],
    "whole_gradient": [
        (lambda *args: whole_gradient(*args, scale=len(args[0])), "every gradient is B times too large"),
        (lambda *args: whole_gradient(*args, kl=0.0), "the error enters in dmu"),
        (lambda *args: whole_gradient(*args, noise=0.0), "the error enters in ds"),
        (lambda *args: whole_gradient(*args, slope=0.0), "the error enters in dt"),
        (lambda *args: {k: v.T for k, v in whole_gradient(*args).items()}, "has shape"),
        (lambda *args: {"W1": 0}, "expected a dictionary"),
    ],
    "nearest_labels": [
        (lambda c, y, t: y[np.sum((t[:, None] - c)**2, axis=2).argmax(axis=1)], "the farthest"),
        (lambda c, y, t: y[np.abs(np.sum(t[:, None] - c, axis=2)).argmin(axis=1)], "cancel"),
        (lambda c, y, t: y[(t @ c.T).argmax(axis=1)], "|train|^2 is missing"),
        (lambda c, y, t: np.sum((t[:, None] - c)**2, axis=2).argmin(axis=1), "the indices of the nearest"),
        (lambda c, y, t: 0.5, "expected a label"),
    ],
}
