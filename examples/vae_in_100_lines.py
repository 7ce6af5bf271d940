"""A variational autoencoder in a hundred lines of NumPy, with every gradient written out.

    python vae_in_100_lines.py

It learns to draw strokes: black pictures with one white line.  Read it from top to bottom.  B is the number of pictures
in a batch, D the number of pixels, H of hidden units, Z of latent dimensions; the shape of each array stands beside it.
A name with `d` in front is the gradient of the loss for that variable: dmu for mu.
"""
import numpy as np

SIDE, H, Z, BATCH, EPOCHS = 16, 128, 4, 64, 30
D = SIDE * SIDE
rng = np.random.default_rng(0)


def strokes(n):
    """n pictures of one line each, from a random point to a random point: (n, D), from 0, black, to 1, white."""
    start, end = rng.uniform(3, SIDE - 4, (2, n, 1, 2))                            # (n, 1, 2)  row and column
    pixel = np.stack(np.indices((SIDE, SIDE)), axis=-1).reshape(D, 2)              # (D, 2)
    along = np.sum((pixel - start) * (end - start), axis=2, keepdims=True)         # (n, D, 1)
    along = np.clip(along / np.sum((end - start)**2, axis=2, keepdims=True), 0, 1)
    distance = np.linalg.norm(pixel - start - along * (end - start), axis=2)       # (n, D)     of a pixel from the line
    return np.clip(2 - distance, 0, 1)


def first_weights():
    """W and b of the five layers: encoder, the two heads, and the decoder's two layers."""
    sizes = {"h": (D, H), "mu": (H, Z), "logvar": (H, Z), "g": (Z, H), "a": (H, D)}
    weights = {f"W_{name}": rng.normal(0, 1 / np.sqrt(shape[0]), shape) for name, shape in sizes.items()}
    return weights | {f"b_{name}": np.zeros(shape[1]) for name, shape in sizes.items()}


def decode(p, z):
    """From codes to the hidden layer g and the logits a: a pixel is white with probability 1 / (1 + exp(-a))."""
    g = np.tanh(z @ p["W_g"] + p["b_g"])                                           # (B, H)
    return g, g @ p["W_a"] + p["b_a"]                                              # (B, D)


def loss_and_grads(p, x, eps):
    """The negative ELBO of a batch, in nats per picture, and its gradient for every weight in p.

    x (B, D) are pictures, eps (B, Z) is noise from N(0, I), drawn by the caller.
    """
    B = len(x)
    # Forward.  The encoder's guess at z is a distribution: q(z|x) = N(mu, sigma^2), with logvar = log sigma^2.
    h = np.tanh(x @ p["W_h"] + p["b_h"])                                           # (B, H)
    mu = h @ p["W_mu"] + p["b_mu"]                                                 # (B, Z)
    logvar = h @ p["W_logvar"] + p["b_logvar"]                                     # (B, Z)
    sigma = np.exp(logvar / 2)                                                     # (B, Z)
    z = mu + sigma * eps                                                           # (B, Z)     reparameterization
    g, a = decode(p, z)                                                            # (B, H), (B, D)
    # -log p(x|z) = -sum( x log s + (1 - x) log(1 - s) ) with s = 1 / (1 + exp(-a)); each term is log(1 + exp(a)) - x a.
    # A grey pixel at a line's edge, say x = 0.3, counts as one that is white three times out of ten.
    nll = np.sum(np.logaddexp(0, a) - x * a) / B
    # KL( N(mu, sigma^2) || N(0, 1) ), the cost of a q that differs from the prior.
    kl = 0.5 * np.sum(mu**2 + sigma**2 - 1 - logvar) / B
    # Backward: the same lines, from the last to the first.
    d = {}
    da = (1 / (1 + np.exp(-a)) - x) / B                                            # (B, D)     d nll / d a = s - x
    dg = layer_backward(p, d, "a", g, da)                                          # (B, H)
    dz = layer_backward(p, d, "g", z, dg * (1 - g**2))                             # (B, Z)     tanh' = 1 - tanh^2
    dmu = dz + mu / B                                                              # (B, Z)     through z, and the KL
    dlogvar = dz * eps * sigma / 2 + (sigma**2 - 1) / 2 / B                        # (B, Z)     through z, and the KL
    dh = layer_backward(p, d, "mu", h, dmu) + layer_backward(p, d, "logvar", h, dlogvar)    # (B, H)  two paths meet
    layer_backward(p, d, "h", x, dh * (1 - h**2))
    return nll + kl, nll, kl, d


def layer_backward(p, d, name, x, dy):
    """Backward through y = x W + b: stores the gradients for W and b in d, and returns the one for x."""
    d[f"W_{name}"] = x.T @ dy
    d[f"b_{name}"] = dy.sum(axis=0)
    return dy @ p[f"W_{name}"].T


def adam(p, d, mean, square, t, lr=2e-3, beta1=0.9, beta2=0.999):
    """Step number t of Adam (Kingma & Ba 2015), in place."""
    for name in p:
        mean[name] += (1 - beta1) * (d[name] - mean[name])
        square[name] += (1 - beta2) * (d[name]**2 - square[name])
        p[name] -= lr * (mean[name] / (1 - beta1**t)) / (np.sqrt(square[name] / (1 - beta2**t)) + 1e-8)


def show(pictures):
    """Print pictures (n, D) next to each other, two characters per pixel."""
    for row in pictures.reshape(-1, SIDE, SIDE).transpose(1, 0, 2):
        print("  ".join("".join(" .:*#"[int(4.99 * value)] * 2 for value in picture) for picture in row))


def main():
    images, p, t = strokes(6400), first_weights(), 0
    mean, square = ({name: np.zeros_like(weight) for name, weight in p.items()} for _ in range(2))
    for epoch in range(1, EPOCHS + 1):
        sums = np.zeros(3)
        for rows in rng.permutation(len(images)).reshape(-1, BATCH):
            *terms, d = loss_and_grads(p, images[rows], rng.standard_normal((BATCH, Z)))
            t += 1
            adam(p, d, mean, square, t)
            sums += terms
        loss, nll, kl = sums * BATCH / len(images)
        print(f"epoch {epoch:2}: loss {loss:6.2f} = nll {nll:6.2f} + KL {kl:5.2f} nats")
    _, a = decode(p, rng.standard_normal((4, Z)))          # new pictures: codes from the prior N(0, I), decoded
    for two in np.split(1 / (1 + np.exp(-a)), 2):
        show(two)


if __name__ == "__main__":
    main()
