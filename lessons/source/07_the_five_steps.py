# %% [markdown]
# # 7. The five steps
#
# **The question.** What happens to one image in a VAE, number by number, forward and backward?
#
# *You need:* lessons 2, 5 and 6. *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional.activations import sigmoid, softplus
from numpyvae.models.posteriors import DiagonalGaussian
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(7, DATA)
claim, check = lesson.claim, lesson.check
rng = np.random.default_rng(7)

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is a batch of $B$ images with $D$ pixels, $\varepsilon$ noise from $N(0, 1)$, of shape (B, Z). All that a VAE
# minimises is one number, the mean over the batch of
#
# $$L = -\mathrm E_{q}\big[\log p(x\,|\,z)\big] + \beta\,\mathrm{KL}\big(q(z|x)\,\|\,p(z)\big) \tag{7.1}$$
#
# **The five steps** of the lecture, for an encoder and a decoder with one hidden layer each and $\beta = 1$:
#
# $$\begin{aligned}
# \text{1. encode}\quad & h = \tanh(x W_1 + b_1)\\
# \text{2. put out } \mu, \sigma\quad & \mu = h W_\mu + b_\mu,\quad s = \log\sigma^2 = h W_s + b_s\\
# \text{3. sample}\quad & z = \mu + e^{s/2}\,\varepsilon\\
# \text{4. decode}\quad & g = \tanh(z W_2 + b_2),\quad a = g W_3 + b_3\\
# \text{5. loss}\quad & L = \tfrac1B\textstyle\sum\big[\log(1 + e^a) - x a\big] + \tfrac1B\sum\tfrac12\big[e^s + \mu^2 - 1 - s\big]
# \end{aligned} \tag{7.2}$$
#
# $a$ are the *logits*: the probability of a bright pixel is $1/(1 + e^{-a})$.

# %% [markdown]
# **Backward, the same lines reversed.** Write $d$ for the gradient of $L$, of the shape of what follows it. Each line is the chain
# rule once.
#
# $$\begin{aligned}
# \text{5.}\quad & da = \tfrac1B\,(\mathrm{sigmoid}(a) - x)\\
# \text{4.}\quad & dW_3 = g^T da,\quad db_3 = \textstyle\sum_B da,\quad dg = da\,W_3^T\\
# & dt = dg\,(1 - g^2),\quad dW_2 = z^T dt,\quad db_2 = \textstyle\sum_B dt,\quad dz = dt\,W_2^T\\
# \text{3.}\quad & d\mu = dz + \tfrac1B\,\mu,\quad ds = dz\,\tfrac12 e^{s/2}\varepsilon + \tfrac1B\,\tfrac12(e^s - 1)\\
# \text{2.}\quad & dW_\mu = h^T d\mu,\quad dW_s = h^T ds,\quad dh = d\mu\,W_\mu^T + ds\,W_s^T\\
# \text{1.}\quad & du = dh\,(1 - h^2),\quad dW_1 = x^T du,\quad db_1 = \textstyle\sum_B du
# \end{aligned} \tag{7.3}$$
#
# Twice two paths meet, and there gradients *add*: $\mu$ and $s$ go into $z$ and into the KL; $h$ goes into $\mu$ and into $s$.

# %% [markdown]
# ## The code
#
# The package's version has the same lines. Its layers keep $x$, $h$ and $g$ for the way back. A VAE is made of an encoder, a
# decoder and three distributions: the posterior $q(z|x)$, the prior $p(z)$ and the likelihood $p(x|z)$. Steps 1, 4 and 5 stand
# here:

# %%
lesson.show(nv.VAE.forward, "7.1")

# %%
lesson.show(nv.VAE.loss_and_grad, "7.1", "7.3")

# %% [markdown]
# Steps 2 and 3 belong to the posterior. It draws $z$; its `kl` is the closed form, as the prior is $N(0, I)$; and on the way back
# it is where the two paths meet.

# %%
lesson.show(DiagonalGaussian.reparameterize, "7.2")

# %%
lesson.show(DiagonalGaussian.closed_form_kl, "7.2")

# %%
lesson.show(DiagonalGaussian.backward, "7.3")

# %%
lesson.show(DiagonalGaussian.backward_heads, "7.3")

# %% [markdown]
# ## One image, every number
#
# To see all numbers we shrink the picture to 7 × 7 pixels and take a tiny VAE: 49 pixels, 5 hidden units, 2 latent dimensions.

# %%
image = lesson.images("test")[0][3] / 255
x = image.reshape(7, 4, 7, 4).mean(axis=(1, 3)).reshape(1, 49)
tiny = nv.VAE.dense(49, (5,), 2, activation="tanh", rng=np.random.default_rng(1), dtype=np.float64)
p = tiny.parameters
eps = np.array([[0.8, -1.3]])
print(", ".join(f"{name} {p[name].shape}" for name in p.names))

# %%
with np.printoptions(precision=3, suppress=True):
    h = np.tanh(x @ p["encoder.0.W"] + p["encoder.0.b"])
    print("1. h     ", h)
    mu = h @ p["mu_head.W"] + p["mu_head.b"]
    s = h @ p["logvar_head.W"] + p["logvar_head.b"]
    print("2. mu    ", mu, " s", s, " sigma", np.exp(s / 2))
    z = mu + np.exp(s / 2) * eps
    print("3. z     ", z, " from eps", eps)
    g = np.tanh(z @ p["decoder.0.W"] + p["decoder.0.b"])
    a = g @ p["decoder.1.W"] + p["decoder.1.b"]
    print("4. g     ", g)
    nll, kl = np.sum(softplus(a) - x * a), 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s)
    print(f"5. L      {nll:.3f} + {kl:.3f} = {nll + kl:.3f} nats")

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.6), layout="constrained")
pictures = {"x": x, "decoded: sigmoid(a)": sigmoid(a), "da = sigmoid(a) - x": sigmoid(a) - x}
for ax, (name, picture) in zip(axes, pictures.items()):
    gradient = name.startswith("da")
    shown = ax.imshow(picture.reshape(7, 7), cmap="PuOr" if gradient else "gray", vmin=-1 if gradient else 0, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])
    fig.colorbar(shown, ax=ax, shrink=0.7)
plt.show()

# %% [markdown]
# Untrained, the decoder says "one half" everywhere. Its gradient `da` is the picture of what is missing: negative where $x$ is
# bright, so that a step *against* the gradient makes these pixels brighter. Now the way back, and each result held against the package.

# %%
da = sigmoid(a) - x
dW3, dg = g.T @ da, da @ p["decoder.1.W"].T
dt = dg * (1 - g**2)
dW2, dz = z.T @ dt, dt @ p["decoder.0.W"].T
dmu = dz + mu
ds = dz * 0.5 * np.exp(s / 2) * eps + 0.5 * (np.exp(s) - 1)
dh = dmu @ p["mu_head.W"].T + ds @ p["logvar_head.W"].T
du = dh * (1 - h**2)
by_hand = {"decoder.1.W": dW3, "decoder.1.b": da[0], "decoder.0.W": dW2, "decoder.0.b": dt[0],
           "mu_head.W": h.T @ dmu, "mu_head.b": dmu[0], "logvar_head.W": h.T @ ds, "logvar_head.b": ds[0],
           "encoder.0.W": x.T @ du, "encoder.0.b": du[0]}
out = tiny.loss_and_grad(x, eps)
claim("loss_by_hand_against_package", nll + kl - out.loss, 0.0, 1e-12)
worst = max(np.abs(by_hand[name] - p.grad(name)).max() for name in p.names)
claim("gradient_by_hand_against_package", worst, 0.0, 1e-12)

# %%
proof = tiny.astype(complex)
numeric = nv.gradcheck.differentiate(lambda: proof.loss(x, eps), proof.parameters.values, "complex-step")
claim("gradient_against_the_complex_step", np.abs(numeric - p.grads).max() / np.abs(numeric).max(), 0.0, 1e-12)

# %% [markdown]
# By hand, by the package, by the complex step: one gradient.
#
# ## The experiment: the first full VAE
#
# Two latent dimensions, so that we can look at all of them. Watch the two parts of the loss while it trains.

# %%
images, labels = lesson.images("train")
images, labels = images[:10000], labels[:10000]
test, test_labels = lesson.images("test")
test, test_labels = test[:2000].reshape(-1, 784) / 255, test_labels[:2000]

# %%
def train(model, epochs=12):
    records, shown = [], None
    for record in nv.fit(model, images, optimizer=nv.Adam(1e-3), epochs=epochs, batch_size=100,
                         rng=np.random.default_rng(2)):
        records.append(record)
        fig, ax = plt.subplots(figsize=(6.5, 3))
        nv.plots.learning_curves(records, ax, terms=("loss", "nll", "kl"))
        ax.set_title("The loss falls; its smaller part, the KL, is the price of using z", fontsize=10)
        shown.update(fig) if shown else (shown := display(fig, display_id=True))
        plt.close(fig)
    return records


vae = nv.VAE.dense(784, (256, 64), 2, rng=np.random.default_rng(1))
records = train(vae)

# %%
last = records[-1]
print(f"loss {last.loss:.1f} = {last.nll:.1f} + KL {last.kl:.2f} nats per image")
claim("loss_after_training", last.loss, 141, 5, on="strokes")
claim("kl_after_training", last.kl, 5.3, 0.7, on="strokes")

# %% [markdown]
# The loss ends near 141 nats, of which about 5.3 are KL. Where did the images go? Each image's $q$ is an ellipse in the latent plane.

# %%
mu, logvar = vae.encode(test)
fig, ax = plt.subplots(figsize=(5.6, 5.2))
nv.plots.latent_map(mu, test_labels.astype(int), "digit", ax)
angle = np.linspace(0, 2 * np.pi, 60)
for m, s in zip(mu[:60], np.exp(0.5 * logvar[:60])):
    ax.plot(m[0] + 2 * s[0] * np.cos(angle), m[1] + 2 * s[1] * np.sin(angle), color=INK, linewidth=0.6)
ax.set_title("Means of q by digit; for 60 images q at two standard deviations", fontsize=10)
plt.show()

# %%
fig, ax = plt.subplots(figsize=(5.2, 5.2))
nv.plots.latent_grid(vae, n=14, ax=ax)
ax.set_title("The latent plane, decoded: neighbours look alike", fontsize=10)
plt.show()

# %% [markdown]
# Move through the plane:

# %%
def draw_decoded(z0=0.0, z1=0.0):
    fig, ax = plt.subplots(figsize=(2.4, 2.4))
    nv.plots.image_grid(vae.decode(np.array([[z0, z1]])), ax)
    ax.set_title(f"z = ({z0:.1f}, {z1:.1f})", fontsize=10)
    plt.show()


draw_decoded()

# %%
lesson.slider(draw_decoded, z0=(-3.0, 3.0, 0.1), z1=(-3.0, 3.0, 0.1))

# %% [markdown]
# ### Beside lesson 1
#
# The plain autoencoder has the same sizes and no noise, no KL. We draw $z$ from $N(0, I)$ for both, and for the autoencoder also
# from a Gaussian fitted to its codes.

# %%
plain = nv.Autoencoder.dense(784, (256, 64), 2, rng=np.random.default_rng(1))
list(nv.fit(plain, images, optimizer=nv.Adam(1e-3), epochs=12, batch_size=100, rng=np.random.default_rng(2)))
codes = plain.encode(images.reshape(-1, 784) / 255)
z = np.random.default_rng(3).standard_normal((30, 2))
fitted = codes.mean(axis=0) + z @ np.linalg.cholesky(np.cov(codes.T)).T
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
for ax, pictures, name in zip(axes, (vae.decode(z), plain.decode(z), plain.decode(fitted)),
                              ("VAE, N(0, I)", "autoencoder, N(0, I)", "autoencoder, fitted")):
    nv.plots.image_grid(pictures, ax, columns=6)
    ax.set_title(name, fontsize=10)
plt.show()

# %% [markdown]
# What you see is the decoder's *mean* for each $z$, a grey picture of probabilities. It is not a sample of the model. A sample draws
# every pixel as black or white:

# %%
fig, axes = plt.subplots(1, 2, figsize=(7, 2.2), layout="constrained")
for ax, noise, name in zip(axes, (False, True), ("means E[x|z]", "samples from p(x|z)")):
    nv.plots.image_grid(vae.sample(10, np.random.default_rng(3), pixel_noise=noise), ax, columns=5)
    ax.set_title(name, fontsize=10)
plt.show()

# %% [markdown]
# ### Do the means group similar objects?
#
# The lecture says so. Measure it: give each test image the digit of its nearest training image, in the space of the means. Compare
# with two other maps to two dimensions: principal components (PCA) and the autoencoder's codes. Nobody showed any of them a label.

# %%
def accuracy(train_codes, test_codes):
    distance = np.sum(train_codes**2, axis=1) - 2 * test_codes @ train_codes.T    # + |test|^2, the same in a row
    return np.mean(labels[distance.argmin(axis=1)] == test_labels)


pixels = images.reshape(-1, 784) / 255
centre = pixels.mean(axis=0)
_, directions = np.linalg.eigh(np.cov(pixels.T))
components = directions[:, -2:]
found = {"PCA": accuracy((pixels - centre) @ components, (test - centre) @ components),
         "autoencoder": accuracy(codes, plain.encode(test)), "VAE": accuracy(vae.encode(pixels)[0], mu)}

# %%
fig, ax = plt.subplots(figsize=(6, 2))
ax.barh(list(found), list(found.values()), color=(GREEN, ORANGE, BLUE))
for i, value in enumerate(found.values()):
    ax.text(value + 0.01, i, f"{value:.2f}", va="center")
ax.axvline(0.1, color=INK, linestyle="--", linewidth=1)
ax.set(xlabel="share of test images named rightly by the nearest mean (dashed: guessing)", xlim=(0, 1))
plt.show()
claim("nearest_neighbour_pca", found["PCA"], 0.42, 0.02, on="strokes")
claim("nearest_neighbour_autoencoder", found["autoencoder"], 0.64, 0.07, on="strokes")
claim("nearest_neighbour_vae", found["VAE"], 0.68, 0.07, on="strokes")

# %% [markdown]
# In two dimensions PCA names 42 % rightly, the autoencoder about 64 %, the VAE about 68 %. The means do group what looks alike. They
# do not know digits: what looks alike is often, not always, the same digit.
#
# ## Exercises
#
# The weights come as a dictionary `p` with `W1`, `b1`, `Wmu`, `bmu`, `Ws`, `bs`, `W2`, `b2`, `W3`, `b3`, as in (7.2).
#
# **7.1** The five steps: return `h, mu, s, z, g, a, L`. The check compares each in turn.

# %% tags=["exercise"]
def five_steps(x, eps, p):
    ...    # your code


# %% tags=["solution"]
def five_steps(x, eps, p):
    h = np.tanh(x @ p["W1"] + p["b1"])
    mu, s = h @ p["Wmu"] + p["bmu"], h @ p["Ws"] + p["bs"]
    z = mu + np.exp(s / 2) * eps
    g = np.tanh(z @ p["W2"] + p["b2"])
    a = g @ p["W3"] + p["b3"]
    nll = np.sum(np.logaddexp(0, a) - x * a, axis=1)
    kl = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1)
    return h, mu, s, z, g, a, np.mean(nll + kl)


# %%
check.five_steps(five_steps)

# %% [markdown]
# **7.2** The whole gradient: given `x`, `eps`, `p` and the intermediates, return a dictionary with the gradient for each of the ten
# weights, by the same names.

# %% tags=["exercise"]
def whole_gradient(x, eps, p, h, mu, s, z, g, a):
    ...    # your code


# %% tags=["solution"]
def whole_gradient(x, eps, p, h, mu, s, z, g, a):
    B = len(x)
    da = (1 / (1 + np.exp(-a)) - x) / B
    dt = da @ p["W3"].T * (1 - g**2)
    dz = dt @ p["W2"].T
    dmu = dz + mu / B
    ds = dz * 0.5 * np.exp(s / 2) * eps + 0.5 * (np.exp(s) - 1) / B
    du = (dmu @ p["Wmu"].T + ds @ p["Ws"].T) * (1 - h**2)
    return {"W1": x.T @ du, "b1": du.sum(0), "Wmu": h.T @ dmu, "bmu": dmu.sum(0), "Ws": h.T @ ds, "bs": ds.sum(0),
            "W2": z.T @ dt, "b2": dt.sum(0), "W3": g.T @ da, "b3": da.sum(0)}


# %%
check.whole_gradient(whole_gradient)

# %% [markdown]
# **7.3** Nearest neighbours: return the label of the nearest training code for each test code.

# %% tags=["exercise"]
def nearest_labels(train_codes, train_labels, test_codes):
    ...    # your code


# %% tags=["solution"]
def nearest_labels(train_codes, train_labels, test_codes):
    distance = np.sum((test_codes[:, None] - train_codes)**2, axis=2)
    return train_labels[distance.argmin(axis=1)]


# %%
check.nearest_labels(nearest_labels)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Five lines forward, five lines back. Where paths fork on the way there, gradients add on the way back.
# - The VAE's codes fill the prior, so draws from it decode to digits. The autoencoder's do not.
# - The means group what looks alike, without labels. The decoder's picture is a mean, not a sample.
#
# All of it fits into one file, NumPy alone: `examples/vae_in_100_lines.py`. You can read every line of it now.
#
# Still wrong: the loss is a *bound*. How likely are the images really? That is lesson 8.
