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
        (changed(4, lambda x, eps, p, h, mu, s, z, g, a, L: np.tanh(mu @ p["W2"] + p["b2"])),
         "6 of 7 are right; g decodes mu"),
        (changed(6, lambda x, eps, p, h, mu, s, z, g, a, L: 1.2 * L), "L is off by"),
        (changed(2, lambda x, eps, p, h, mu, s, *rest: np.exp(s / 2)), "s is log sigma^2 itself"),
        (changed(3, lambda x, eps, p, h, mu, *rest: mu), "z has no noise"),
        (changed(6, lambda x, eps, p, h, mu, s, z, g, a, L: L + np.mean(np.sum(s, axis=1)) / 4), "misprint"),
        (lambda x, eps, p: [five_steps(x, eps, p)[i] for i in (0, 2, 1, 3, 4, 5, 6)], "mu and s are swapped"),
    ],
    "whole_gradient": [
        (lambda *args: whole_gradient(*args, scale=len(args[0])), "every gradient is B times too large"),
        (lambda *args: whole_gradient(*args, kl=0.0), "the error enters in dmu"),
        (lambda *args: whole_gradient(*args, noise=0.0), "the error enters in ds"),
        (lambda *args: whole_gradient(*args, slope=0.0), "the error enters in dt"),
        (lambda *args: {k: v.T for k, v in whole_gradient(*args).items()}, "has shape"),
        (lambda *args: {"W1": 0}, "expected a dictionary"),
        (lambda *args: whole_gradient(*args, noise=0.0), "6 of 10 gradients are right; the first wrong one "
         "on the way back is bs"),
        (lambda *args: {**whole_gradient(*args), "b3": whole_gradient(*args)["b3"].sum(keepdims=True)},
         "has shape (1,)"),
        (lambda *args: {**whole_gradient(*args), "b3": np.ones((4, 6)).sum(axis=1)}, "9 of 10 gradients are right"),
        (lambda *args: {name: -one for name, one in whole_gradient(*args).items()},
         "every gradient has the wrong sign"),
        (lambda *args: {**whole_gradient(*args), "W1": None}, "the gradient for W1 is None"),
        (lambda *args: {**whole_gradient(*args), "W1": np.full((6, 5), np.nan)}, "holds NaN"),
        (lambda *args: list(whole_gradient(*args).values()), "expected a dictionary"),
        (lambda *args: {**whole_gradient(*args), "W1": np.ones((6, 5)), "b1": np.ones(5)},
         "8 of 10 gradients are right; the first wrong one on the way back is b1: the error enters in dh"),
    ],
    "nearest_labels": [
        (lambda c, y, t: y[np.sum((t[:, None] - c)**2, axis=2).argmax(axis=1)], "the farthest"),
        (lambda c, y, t: y[np.abs(np.sum(t[:, None] - c, axis=2)).argmin(axis=1)], "cancel"),
        (lambda c, y, t: y[(t @ c.T).argmax(axis=1)], "|train|^2 is missing"),
        (lambda c, y, t: np.sum((t[:, None] - c)**2, axis=2).argmin(axis=1), "the indices of the nearest"),
        (lambda c, y, t: 0.5, "expected a label"),
        (lambda c, y, t: y[np.abs(t[:, None] - c).sum(axis=2).argmin(axis=1)], "square them first"),
        (lambda c, y, t: y[np.abs(t[:, None] - c).max(axis=2).argmin(axis=1)], "add up the squares"),
        (lambda c, y, t: np.append(nearest_labels(c, y, t)[:-1], y[0]), "1 of 60 labels"),
        (lambda c, y, t: nearest_labels(c, y, t) + 0.5, "60 of 60 results are no label"),
        (lambda c, y, t: nearest_labels(c, y, t)[:30], "expected a label"),
        (lambda c, y, t: y[(np.sum(c**2, axis=1) - t @ c.T).argmin(axis=1)], "the 2 in front of the product"),
        (lambda c, y, t: y[np.abs(t[:, :1] - c[:, 0]).argmin(axis=1)], "only the first dimension"),
    ],
}


def filled_in(x, eps, p, *steps):
    gradients = whole_gradient(x, eps, p, *steps)
    for name in p:
        p[name] = gradients[name]
    return p


def written_over(x, eps, p, *steps):
    gradients = whole_gradient(x, eps, p, *steps)
    for name in p:
        p[name][...] = gradients[name]
    return p


ALSO_RIGHT = {
    "five_steps": [lambda x, eps, p: dict(zip(("h", "mu", "s", "z", "g", "a", "L"), five_steps(x, eps, p)))],
    "whole_gradient": [filled_in, written_over, lambda *args: {**whole_gradient(*args), "da": None}],
    "nearest_labels": [
        lambda c, y, t: nearest_labels(c, y, t).astype(float),
        lambda c, y, t: [y[np.argmin([np.linalg.norm(code - one) for code in c])] for one in t],
        lambda c, y, t: y[(np.sum(c**2, axis=1) - 2 * t @ c.T).argmin(axis=1)]],
}
