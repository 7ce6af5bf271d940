# %% [markdown]
# # 7. The five steps
#
# **The question.** What happens to one image in a VAE, number by number, forward and backward?
#
# **After this lesson you can**
#
# - walk one image through the five steps of a VAE, with every number in between;
# - write down the gradients for all ten weights, and prove them right;
# - train a whole VAE, and read its two-part loss, its latent plane and its samples;
# - measure whether it dreams better than lesson 1's autoencoder, and say where it does and where it does not.
#
# *You need:* lesson 2 (the backward pass of a dense layer), (3.6) and (3.7) of lesson 3 (the Bernoulli NLL), lesson 5
# (the KL), lesson 6 (the trick). The [refresher](00_refresher.ipynb) has the chain rule on arrays, the
# [glossary](00_glossary.ipynb) every symbol. *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import clear_output

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.course.common import black_and_white, draw_codes, nearest, shrink
from numpyvae.functional.activations import sigmoid, softplus
from numpyvae.models.posteriors import DiagonalGaussian
from numpyvae.report.plots import BLUE, GREEN, MUTED, ORANGE

lesson = Lesson(7, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# In this lesson all parts are lit.

# %%
nv.plots.show_diagram("x", "encoder", "q(z|x)", "z", "decoder", "p(x|z)", "p(z)", "KL")

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is a batch of $B$ images with $D$ pixels, one image in a row. $\varepsilon$ is noise from $N(0, 1)$,
# of shape (B, Z). All that a VAE minimises is one number, the mean over the batch of
#
# $$L = -\mathrm E_{q}\big[\log p(x\,|\,z)\big] + \beta\,\mathrm{KL}\big(q(z|x)\,\|\,p(z)\big) \tag{7.1}$$
#
# **The five steps** of the lecture, for an encoder and a decoder with one hidden layer each, and $\beta = 1$. $u$ and
# $t$ are what goes into the two tanh:
#
# $$\begin{aligned}
# \text{1. encode}\quad & u = x W_1 + b_1,\quad h = \tanh u\\
# \text{2. put out } \mu, \sigma\quad & \mu = h W_\mu + b_\mu,\quad s = \log\sigma^2 = h W_s + b_s\\
# \text{3. sample}\quad & z = \mu + e^{s/2}\,\varepsilon\\
# \text{4. decode}\quad & t = z W_2 + b_2,\quad g = \tanh t,\quad a = g W_3 + b_3\\
# \text{5. loss}\quad & L = \tfrac1B\textstyle\sum\big[\log(1 + e^a) - x a\big] + \tfrac1B\sum\tfrac12\big[e^s + \mu^2 - 1 - s\big]
# \end{aligned} \tag{7.2}$$
#
# The first sum in step 5 is the NLL of black-and-white pixels. $a$ are the *logits*: a pixel is 1 with probability
# $y = \mathrm{sigmoid}(a) = 1/(1 + e^{-a})$. Its NLL is $-\log y = \log(1 + e^{-a}) = \log(1+e^a) - a$ if $x = 1$, and
# $-\log(1-y) = \log(1 + e^a)$ if $x = 0$. Both are $\log(1+e^a) - x a$, which is (3.6). The second sum is the KL,
# (5.4).

# %% [markdown]
# **Backward.** Write $d$ for the gradient of $L$ with respect to what follows it: $da$ has the shape of $a$, and so on.
# We go through (7.2) from the bottom to the top, one intermediate at a time. Three rules do everything:
#
# - *A dense layer*, $y = xW + b$ (lesson 2): $dW = x^T dy$; $db$ is the sum of $dy$ over the rows, $\sum_B dy$;
#   $dx = dy\,W^T$.
# - *A function of each number*, $y = f(x)$: $dx = dy\,f'(x)$. For tanh, $f' = 1 - \tanh^2$. (With
#   $\tanh u = \frac{e^u - e^{-u}}{e^u + e^{-u}}$
#   the quotient rule gives $\frac{(e^u + e^{-u})^2 - (e^u - e^{-u})^2}{(e^u + e^{-u})^2} = 1 - \tanh^2 u$.)
# - *A fork*: if a number goes two ways into $L$, the gradients of the two ways add.
#
# *Step 5.* The derivative of $\log(1+e^a)$ is $\frac{e^a}{1+e^a} = \mathrm{sigmoid}(a)$, that of $x a$ is $x$. Each
# counts $\frac1B$: $da = \frac1B(\mathrm{sigmoid}(a) - x)$.
#
# *Step 4.* $a$ is a dense layer's output, so $dW_3 = g^T da$, $db_3 = \sum_B da$, $dg = da\,W_3^T$. Then back through
# tanh: $dt = dg\,(1-g^2)$. Then another dense layer: $dW_2 = z^T dt$, $db_2 = \sum_B dt$, $dz = dt\,W_2^T$.
#
# *Step 3.* A fork: $\mu$ goes into $z$ and into the KL. By (6.5) the path through $z$ gives $dz$, and by (5.5) the KL
# gives $\frac1B\mu$. So $d\mu = dz + \frac1B\mu$. $s$ goes both ways too:
# $ds = dz\,\frac12 e^{s/2}\varepsilon + \frac1B\,\frac12(e^s - 1)$.
#
# *Step 2.* Two dense layers: $dW_\mu = h^T d\mu$, $db_\mu = \sum_B d\mu$, $dW_s = h^T ds$, $db_s = \sum_B ds$.
#
# **Predict first.** And $dh$?
#
# <details><summary>Answer</summary>
#
# $h$ is a fork: it goes into $\mu$ and into $s$. The two gradients add: $dh = d\mu\,W_\mu^T + ds\,W_s^T$.
# </details>
#
# *Step 1.* Back through tanh, $du = dh\,(1-h^2)$, and the last dense layer: $dW_1 = x^T du$, $db_1 = \sum_B du$. Nobody
# needs $dx$.

# %% [markdown]
# **All of it on one page.** The ten gradients that the optimizer wants are in boxes:
#
# $$\begin{aligned}
# \text{5.}\quad & da = \tfrac1B\,(\mathrm{sigmoid}(a) - x)\\
# \text{4.}\quad & \boxed{dW_3} = g^T da,\quad \boxed{db_3} = \textstyle\sum_B da,\quad dg = da\,W_3^T\\
# & dt = dg\,(1 - g^2)\\
# & \boxed{dW_2} = z^T dt,\quad \boxed{db_2} = \textstyle\sum_B dt,\quad dz = dt\,W_2^T\\
# \text{3.}\quad & d\mu = dz + \tfrac1B\,\mu\\
# & ds = dz\,\tfrac12 e^{s/2}\varepsilon + \tfrac1B\,\tfrac12(e^s - 1)\\
# \text{2.}\quad & \boxed{dW_\mu} = h^T d\mu,\quad \boxed{db_\mu} = \textstyle\sum_B d\mu\\
# & \boxed{dW_s} = h^T ds,\quad \boxed{db_s} = \textstyle\sum_B ds\\
# & dh = d\mu\,W_\mu^T + ds\,W_s^T\\
# \text{1.}\quad & du = dh\,(1 - h^2)\\
# & \boxed{dW_1} = x^T du,\quad \boxed{db_1} = \textstyle\sum_B du
# \end{aligned} \tag{7.3}$$
#
# ## The code
#
# The package's version has the same lines. Its layers keep $x$, $h$ and $g$ for the way back. A VAE is made of an
# encoder, a decoder and three distributions: the posterior $q(z|x)$, the prior $p(z)$ and the likelihood $p(x|z)$.
# Steps 1, 4 and 5 are here:

# %%
lesson.show(nv.VAE.forward, "7.1")

# %%
lesson.show(nv.VAE.loss_and_grad, "7.1", "7.3")

# %% [markdown]
# Steps 2 and 3 belong to the posterior. It draws $z$; its `kl` is the closed form, as the prior is $N(0, I)$; and on
# the way back the paths meet in it.

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
# To see all numbers we shrink a picture to 7 × 7 pixels, make it black and white, and take a tiny VAE, not yet trained:
# 49 pixels, 5 hidden units, 2 latent dimensions.

# %%
image = lesson.images("test")[0][3] / 255
x = (image.reshape(7, 4, 7, 4).mean(axis=(1, 3)).reshape(1, 49) > 0.3).astype(float)
eps = np.array([[0.8, -1.3]])
tiny = nv.VAE.dense(49, (5,), 2, activation="tanh", rng=np.random.default_rng(1), dtype=np.float64)
p = tiny.parameters
W1, b1 = p["encoder.0.W"], p["encoder.0.b"]
Wmu, bmu = p["mu_head.W"], p["mu_head.b"]
Ws, bs = p["logvar_head.W"], p["logvar_head.b"]
W2, b2 = p["decoder.0.W"], p["decoder.0.b"]
W3, b3 = p["decoder.1.W"], p["decoder.1.b"]
np.set_printoptions(precision=3, suppress=True)

# %% [markdown]
# Forward, (7.2). `softplus(a)` is $\log(1+e^a)$, computed so that a large $a$ does no harm.

# %%
u = x @ W1 + b1
h = np.tanh(u)
print("1. u  ", u, "\n   h  ", h)
mu = h @ Wmu + bmu
s = h @ Ws + bs
print("2. mu ", mu, "\n   s  ", s, " sigma", np.exp(s / 2))
z = mu + np.exp(s / 2) * eps
print("3. z  ", z, " from eps", eps)
t = z @ W2 + b2
g = np.tanh(t)
a = g @ W3 + b3
print("4. t  ", t, "\n   g  ", g, "\n   a   49 logits from", a.min().round(2), "to", a.max().round(2))
nll = np.sum(softplus(a) - x * a)
kl = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s)
print(f"5. L   {nll:.3f} + {kl:.3f} = {nll + kl:.3f} nats")

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.6), layout="constrained")
names = ("x", "decoded: sigmoid(a)", "da = sigmoid(a) − x")
for ax, picture, name in zip(axes, (x, sigmoid(a), sigmoid(a) - x), names):
    gradient = name.startswith("da")
    drawn = ax.imshow(picture.reshape(7, 7), cmap="PuOr" if gradient else "gray", vmin=-1 if gradient else 0, vmax=1)
    ax.set(title=name, xticks=[], yticks=[])
    fig.colorbar(drawn, ax=ax, shrink=0.7)
nv.plots.show("Three pictures of 7 × 7 pixels: x, a black-and-white digit; what is decoded, an almost even grey; "
              "and da, orange, below zero, where x is white and purple, above zero, elsewhere.")

# %%
low, high = sigmoid(a).min(), sigmoid(a).max()
print(f"the decoded probabilities lie between {low:.2f} and {high:.2f}")
holds("da is below 0 exactly where x is 1", np.all((sigmoid(a) - x < 0) == (x == 1)))
holds("untrained, the decoder is sure of no pixel: all between 0.2 and 0.8", low > 0.2 and high < 0.8)

# %% [markdown]
# Untrained, the decoder is sure of nothing: every pixel is between 0.2 and 0.8. Its gradient $da$ is the picture of
# what is wrong: negative where $x$ is 1, so that a step *against* the gradient makes these pixels brighter; positive
# elsewhere.
#
# Now the way back, (7.3), one step in a cell. After each step we compare with the package, `p.grad(name)`. ($B = 1$
# here.)

# %%
out = tiny.loss_and_grad(x, eps)
claim("loss_by_hand_against_package", nll + kl - out.loss, 0.0, 1e-12)


def compare(by_hand, name):
    claim(name, np.abs(by_hand - p.grad(name)).max(), 0.0, 1e-12)


# %%
da = sigmoid(a) - x
dW3 = g.T @ da
db3 = da.sum(axis=0)
compare(dW3, "decoder.1.W")
compare(db3, "decoder.1.b")

# %%
dg = da @ W3.T
dt = dg * (1 - g**2)
dW2 = z.T @ dt
db2 = dt.sum(axis=0)
print("4. dg ", dg, "\n   dt ", dt)
compare(dW2, "decoder.0.W")
compare(db2, "decoder.0.b")

# %%
dz = dt @ W2.T
dmu = dz + mu
ds = dz * 0.5 * np.exp(s / 2) * eps + 0.5 * (np.exp(s) - 1)
print("3. dz ", dz, "\n   dmu", dmu, "\n   ds ", ds)

# %%
dWmu, dbmu = h.T @ dmu, dmu.sum(axis=0)
dWs, dbs = h.T @ ds, ds.sum(axis=0)
compare(dWmu, "mu_head.W")
compare(dbmu, "mu_head.b")
compare(dWs, "logvar_head.W")
compare(dbs, "logvar_head.b")

# %%
dh = dmu @ Wmu.T + ds @ Ws.T
du = dh * (1 - h**2)
dW1 = x.T @ du
db1 = du.sum(axis=0)
print("2. dh ", dh, "\n1. du ", du)
compare(dW1, "encoder.0.W")
compare(db1, "encoder.0.b")

# %% [markdown]
# Ten gradients, by hand and by the package. But two people may make the same mistake. So compare with somebody who
# knows no formula: the complex step of lesson 2, which only runs forward.

# %%
proof = tiny.astype(complex)
numeric = nv.gradcheck.differentiate(lambda: proof.loss(x, eps), proof.parameters.values, "complex-step")
claim("gradient_against_the_complex_step", np.abs(numeric - p.grads).max() / np.abs(numeric).max(), 0.0, 1e-12)

# %% [markdown]
# By hand, by the package, by the complex step: one gradient.
#
# ## The experiment: the first full VAE
#
# Pictures of 14 × 14 pixels, black and white as in lesson 4, and two latent dimensions, so that we can look at all of
# them. Watch the two parts of the loss while it trains.
#
# **Predict first.** The NLL will fall. And the KL?
#
# <details><summary>Answer</summary>
#
# It rises. To say something about its image, $q$ must leave the prior, and the KL is the price. It pays, as long as the
# NLL falls by more.
# </details>

# %%
train_images, train_labels = lesson.images("train")
test_images, test_labels = lesson.images("test")
brightness, labels = shrink(train_images[:4000]), train_labels[:4000]
pictures = black_and_white(brightness, seed=0)
test, test_labels = black_and_white(shrink(test_images[:1000]), seed=1), test_labels[:1000]


# %% tags=["hide-input"]
def draw_curves(records):
    fig, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), layout="constrained")
    nv.plots.learning_curves(records, axes[0], terms=("loss", "nll"))
    nv.plots.learning_curves(records, axes[1], terms=("kl",))
    axes[0].set_title("the loss falls, and so does the NLL ...", fontsize=10)
    axes[1].set_title("... while the KL, the price of using z, rises", fontsize=10)
    nv.plots.show("Two panels over eight epochs. Left, the loss and, a little below it, the NLL fall, steeply at "
                  "first. Right, on its own axis, the KL rises.")


# %%
def train(model, seed, live=False):
    records = []
    for record in nv.fit(model, pictures, optimizer=nv.Adam(3e-3), epochs=8, batch_size=50,
                         rng=np.random.default_rng(seed)):
        records.append(record)
        if live and record.epoch % 2 == 0:
            clear_output(wait=True)
            draw_curves(records)
    return model, records


def new_vae(n_latent, seed):
    return nv.VAE.dense(196, (128, 32), n_latent, rng=np.random.default_rng(seed))


vae, records = train(new_vae(2, seed=0), seed=0, live=True)

# %% [markdown]
# And four more, from other starts, so that what we say does not hang on one:

# %%
runs = [train(new_vae(2, seed), seed) for seed in range(1, 5)]
vaes, histories = [vae], [records]
for model, history in runs:
    vaes.append(model)
    histories.append(history)
losses = np.array([history[-1].loss for history in histories])
kls = np.array([history[-1].kl for history in histories])
print("loss:", losses.round(1), "  of it KL:", kls.round(2))
claim("loss_after_training", losses.mean(), 42.5, 1, on="strokes")
claim("kl_after_training", kls.mean(), 2.1, 0.5, on="strokes")
holds("in all five models the NLL fell and the KL rose",
      all(history[-1].nll < history[0].nll and history[-1].kl > history[0].kl for history in histories))
holds("among the five, more KL goes with a lower loss", np.corrcoef(kls, losses)[0, 1] < 0)

# %% [markdown]
# The loss ends near 42.5 nats, of which about 2.1 are KL. Some models have less KL than the others: one of their
# dimensions came late, or still says little, and they pay with a larger loss. Lesson 10 is about dimensions that say
# nothing at all.
#
# Where did the images go? Each image's $q$ is an ellipse in the latent plane.

# %% tags=["hide-input"]
mu_test, logvar_test = vae.encode(test)
fig, ax = plt.subplots(figsize=(5.6, 5.2))
nv.plots.latent_map(mu_test, test_labels.astype(int), "digit", ax)
nv.plots.ellipses(mu_test[:30], logvar_test[:30], ax, linewidth=0.6)
ax.set_title("Means of q by digit; for 30 images q at two standard deviations; dashed: radius 2", fontsize=10)
nv.plots.show("The latent plane with a thousand dots, one colour per digit, in patches that overlap in the middle, "
              "and thirty ellipses, each around a dot, one to two units across. A dashed circle of radius 2 holds "
              "most "
              "of the dots.")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(5.2, 5.2))
nv.plots.latent_grid(vae, n=14, ax=ax)
ax.set_title("The latent plane, decoded: neighbours look alike", fontsize=10)
nv.plots.show("A grid of 14 × 14 decoded pictures. Digits change smoothly into one another; every place shows "
              "something like a digit or a blend of two.")

# %% [markdown]
# Walk through the plane: three places on the line $z_1 = 0$. In a running notebook, move both sliders.

# %% tags=["hide-input"]
def draw_decoded(ax, z0, z1=0.0):
    nv.plots.image_grid(vae.decode(np.array([[z0, z1]])), ax)
    ax.set_title(f"z = ({z0:.1f}, {z1:.1f})", fontsize=10)


nv.plots.strip(draw_decoded, (-1.5, 0.0, 1.5), "Three decoded pictures, for z[0] = −1.5, 0 and 1.5, with z[1] = 0: "
               "three soft shapes, each another one.", size=(2, 2.2))

# %%
def draw_place(z0, z1):
    nv.plots.strip(lambda ax, z0: draw_decoded(ax, z0, z1), [z0], "one decoded picture", size=(2.4, 2.6))


lesson.slider(draw_place, z0=(-3.0, 3.0, 0.1), z1=(-3.0, 3.0, 0.1))

# %% [markdown]
# What you see is the decoder's *mean* for each $z$, a grey picture of probabilities. It is not a sample of the model. A
# sample draws every pixel as black or white:

# %% tags=["hide-input"]
nv.plots.show_rows({"means E[x|z]": vae.sample(10, np.random.default_rng(3), pixel_noise=False),
                    "samples from p(x|z)": vae.sample(10, np.random.default_rng(3), pixel_noise=True)},
                   "Two grids of ten pictures. Left, soft grey digits. Right, the same digits with every pixel black "
                   "or white: grainy.", columns=5, across=2)

# %% [markdown]
# ### Do the means group similar objects?
#
# The lecture says so. Measure it: give each test image the digit of its nearest training image, in the space of the
# means. Compare with two other maps to two dimensions: principal components (*PCA*: the two directions in which the
# pixels vary most) and the codes of lesson 1's autoencoder, with the same sizes. Nobody showed any of them a label.
#
# **Predict first.** Order the three: PCA, autoencoder, VAE.
#
# <details><summary>Answer</summary>
#
# PCA is last: it is linear. The VAE is *not* the first: its noise and its KL ask it to let similar images share a
# place, which helps dreaming and hurts telling apart.
# </details>

# %%
def new_autoencoder(n_latent, seed):
    return nv.Autoencoder.dense(196, (128, 32), n_latent, rng=np.random.default_rng(seed))


plains = [train(new_autoencoder(2, seed), seed)[0] for seed in range(5)]

# %%
def accuracy(train_codes, test_codes):
    return nv.evaluation.nearest_neighbour_accuracy(train_codes, labels, test_codes, test_labels)


centre = pictures.mean(axis=0)
_, directions = np.linalg.eigh(np.cov(pictures.T))    # the last two vary most
pca = accuracy((pictures - centre) @ directions[:, -2:], (test - centre) @ directions[:, -2:])
plain = np.array([accuracy(model.encode(pictures), model.encode(test)) for model in plains])
means = np.array([accuracy(model.encode(pictures)[0], model.encode(test)[0]) for model in vaes])
print(f"PCA {pca:.2f}, autoencoder {plain.round(2)}, VAE {means.round(2)}")
claim("nearest_neighbour_pca", pca, 0.31, 0.05, on="strokes")
claim("nearest_neighbour_autoencoder", plain.mean(), 0.50, 0.06, on="strokes")
claim("nearest_neighbour_vae", means.mean(), 0.43, 0.06, on="strokes")
holds("on average over five models PCA labels worse than the VAE, and the VAE worse than the autoencoder",
      pca < means.mean() < plain.mean(), on="strokes")

# %% tags=["hide-input"]
nv.plots.show_dots({"The networks group digits better than PCA; five models each":
                    {"PCA": [pca], "autoencoder": plain, "VAE": means}},
                   "Dots on three lines, the share labelled correctly: one for PCA, five for the autoencoder and five "
                   "for the VAE. All are far above guessing, PCA's is among the lowest.",
                   "share labelled correctly (dashed: guessing)",
                   {"PCA": GREEN, "autoencoder": ORANGE, "VAE": BLUE}, mark=0.1, xlim=(0, 1))

# %% [markdown]
# PCA labels about 31 % correctly, the autoencoder about 50 %, the VAE about 43 %. The means do group what looks alike,
# and nobody told them the digits. But grouping is no merit of the VAE's: the autoencoder groups better. What was the
# VAE made for, then? For dreaming.
#
# ### Beside lesson 1: does it dream better?
#
# Lesson 1 measured how many invented codes lie *in a hole*: farther from every training code than 99 % of test images'
# codes are. We do it again, for three ways to dream: the VAE's $z$ from $N(0, I)$; the autoencoder's code from a
# Gaussian fitted to its codes; and the autoencoder's code from $N(0, I)$. (For a VAE the code of an image is a draw
# from its $q$.) And we measure the pictures, too: how far are they from the nearest training picture, compared with
# reconstructions?
#
# **Predict first.** With *two* latent dimensions, how much better will the VAE be than the fitted autoencoder? And with
# *sixteen*?
#
# <details><summary>Answer</summary>
#
# With two: hardly. The codes of an autoencoder fill most of a plane, so a Gaussian fitted to them hits few holes. With
# sixteen the space is vast, and the codes lie in a small part of it: fitting helps, and does not rescue.
# </details>

# %%
def dream(model, fitted, n=1000):
    """n invented codes: from N(0, I), or from a Gaussian fitted to the training codes."""
    rng = np.random.default_rng(7)
    if not fitted:
        return rng.standard_normal((n, model.n_latent))
    codes = model.encode(pictures)
    return rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), n)


# %%
def in_holes(model, codes):
    rng = np.random.default_rng(8)
    known = draw_codes(model, pictures, rng)
    limit = np.quantile(nearest(draw_codes(model, test, rng), known), 0.99)
    return nearest(codes, known) > limit


def strangeness(model, codes):
    """How far decoded codes are from the nearest grey training picture, in units of what reconstructions are."""
    usual = nearest(model.reconstruct(test[:300]), brightness).mean()
    return nearest(model.decode(codes[:300]), brightness).mean() / usual


# %%
WAYS = ("VAE, N(0, I)", "autoencoder, fitted", "autoencoder, N(0, I)")


def measure(models, fitted):
    """Share in holes and strangeness of each of five models' dreams."""
    shares, strange = [], []
    for model in models:
        codes = dream(model, fitted)
        shares.append(np.mean(in_holes(model, codes)))
        strange.append(strangeness(model, codes))
    return shares, strange


def measure_three_ways(vaes, autoencoders):
    """The same for each way (rows)."""
    rows = [measure(vaes, fitted=False), measure(autoencoders, fitted=True), measure(autoencoders, fitted=False)]
    return np.array([shares for shares, _ in rows]), np.array([strange for _, strange in rows])


# %% [markdown]
# Five pairs with 2 latent dimensions, which we have, and five with 16:

# %%
deep_vaes = [train(new_vae(16, seed), seed)[0] for seed in range(5)]
deep_plains = [train(new_autoencoder(16, seed), seed)[0] for seed in range(5)]


def report(n_latent, shares, strange):
    for name, share, times in zip(WAYS, shares, strange):
        print(f"{n_latent:2} dimensions, {name:21} in holes {share.mean():6.1%} "
              f"({share.min():.1%} to {share.max():.1%})   strangeness {times.mean():.2f}")


holes_2, strange_2 = measure_three_ways(vaes, plains)
holes_16, strange_16 = measure_three_ways(deep_vaes, deep_plains)
report(2, holes_2, strange_2)
report(16, holes_16, strange_16)

# %%
vae_2, fitted_2, _ = holes_2.mean(axis=1)
vae_16, fitted_16, prior_16 = holes_16.mean(axis=1)
claim("holes_vae", 100 * vae_2, 1.6, 1.2, on="strokes")
claim("holes_autoencoder_fitted", 100 * fitted_2, 6, 4, on="strokes")
holds("with 2 dimensions one autoencoder has twice the share of another in holes, with N(0, I)",
      holes_2[2].max() > 2 * holes_2[2].min())
claim("holes_vae_16", 100 * vae_16, 1.8, 1.2, on="strokes")
claim("holes_autoencoder_fitted_16", 100 * fitted_16, 23, 7, on="strokes")
claim("holes_autoencoder_prior_16", 100 * prior_16, 97, 6, on="strokes")

# %%
claim("strangeness_vae", strange_2[0].mean(), 1.01, 0.03, on="strokes")
claim("strangeness_autoencoder_fitted", strange_2[1].mean(), 1.01, 0.03, on="strokes")
claim("strangeness_vae_16", strange_16[0].mean(), 1.01, 0.04, on="strokes")
claim("strangeness_autoencoder_fitted_16", strange_16[1].mean(), 1.10, 0.06, on="strokes")
claim("strangeness_autoencoder_prior_16", strange_16[2].mean(), 1.41, 0.12, on="strokes")
holds("with 16 dimensions, in all five pairs, the fitted autoencoder has more holes and stranger pictures than the VAE",
      np.all(holes_16[1] > holes_16[0]) and np.all(strange_16[1] > strange_16[0]))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="constrained")
for ax, name, model, fitted in zip(axes, WAYS, (vaes[0], plains[0], plains[0]), (False, True, False)):
    known, dreams = draw_codes(model, pictures, np.random.default_rng(8)), dream(model, fitted)
    lost = in_holes(model, dreams)
    ax.scatter(known[:, 0], known[:, 1], s=2, color=MUTED, alpha=0.4, linewidths=0)
    ax.scatter(dreams[~lost, 0], dreams[~lost, 1], s=5, color=BLUE, linewidths=0)
    ax.scatter(dreams[lost, 0], dreams[lost, 1], s=14, color=ORANGE, linewidths=0)
    ax.set(xlabel="z[0]", ylabel="z[1]", box_aspect=1)
    ax.set_aspect("equal", adjustable="datalim")    # squares, whatever the cloud's form
    ax.set_title(f"{name}:\n{np.mean(lost):.1%} in holes", fontsize=10)
nv.plots.show("Three maps of two-dimensional codes. Grey dots are training images' codes, blue dots draws among "
              "them, orange dots draws in holes. The VAE's draws lie all over its round cloud; the autoencoder's "
              "fitted draws cover its long cloud, with a few orange ones outside; its draws from N(0, I) sit at one "
              "end of the cloud, many of them beside it.")

# %%
near = [np.mean(np.linalg.norm(model.encode(pictures), axis=1) < 2) for model in plains]
print("share of the autoencoders' codes within 2 of the origin:", np.round(near, 2))
holds("in all five autoencoders fewer than half of the codes lie within 2 of the origin", max(near) < 0.5, on="strokes")

# %% tags=["hide-input"]
grids = {}
for n_latent, one_vae, one_plain, shares in ((2, vaes[0], plains[0], holes_2),
                                             (16, deep_vaes[0], deep_plains[0], holes_16)):
    for name, model, fitted, share in zip(WAYS, (one_vae, one_plain, one_plain), (False, True, False), shares):
        grids[f"{n_latent} dimensions: {name}\n{share.mean():.0%} in holes"] = model.decode(dream(model, fitted)[:24])
nv.plots.show_rows(grids, columns=8, across=3, alt=(
                   "Two rows of three grids with 24 dreams each. With 2 dimensions the VAE's and the fitted "
                   "autoencoder's look equally good. With 16 the VAE's are soft digits and strokes, the fitted "
                   "autoencoder's are more broken, and those from N(0, I) are mostly shapeless."))

# %% [markdown]
# **With two dimensions** about 2 % of the VAE's draws lie in holes, and 6 % of the fitted autoencoder's. The pictures
# of both are as close to real ones as reconstructions are: 1.01 times as far. So in two dimensions a fitted Gaussian
# nearly rescues the autoencoder.
#
# The autoencoder's draws from $N(0, I)$ are a matter of luck, since nobody told the encoder where the origin is: one of
# the five has more than twice as many of them in holes as another. And even where few are, that is no way to dream. The
# map shows why: they reach one part of the cloud. Within 2 of the origin, where 86 % of $N(0, I)$ lies, there are fewer
# than half of the codes, so we see a few kinds of digit again and again. Lesson 1's measure does not see what is
# *missing*.
#
# **With sixteen a fitted Gaussian does not rescue it.** There the three numbers are about 2 %, 23 % and nearly all, and
# the pictures are 1.0, 1.1 and 1.4 times as far from real ones as reconstructions. All five pairs agree on the order of
# the first two. That is what the noise and the KL bought: the VAE's codes cover the prior, so draws from the prior land
# where the decoder has been.
#
# They cover it; they do not fit it exactly. By (5.8) the mean of $z^2$ is 1 at a minimum of the loss, and training has
# not quite reached one:

# %%
spread = []
for model in vaes:
    codes = draw_codes(model, pictures, np.random.default_rng(9))
    spread.append(np.mean(codes**2))
print("mean of z² in the five VAEs with two dimensions:", np.round(spread, 2))
claim("mean_square_of_z", np.mean(spread), 1.15, 0.1, on="strokes")

# %% [markdown]
# ## Exercises
#
# The weights come as a dictionary `p` with `W1`, `b1`, `Wmu`, `bmu`, `Ws`, `bs`, `W2`, `b2`, `W3`, `b3`, as in (7.2).
# Hints unfold; try without them first.
#
# **7.1** (10 minutes) The five steps: return `h, mu, s, z, g, a, L`. The check compares each in turn.
#
# <details><summary>Hint</summary>
#
# (7.2), line by line. In step 5 sum over pixels and over latent dimensions, `axis=1`, and take the mean over the rows.
# `np.logaddexp(0, a)` is $\log(1 + e^a)$.
# </details>

# %% tags=["exercise"]
def five_steps(x, eps, p):
    ...    # your code


# %% tags=["solution"]
def five_steps(x, eps, p):
    h = np.tanh(x @ p["W1"] + p["b1"])
    mu = h @ p["Wmu"] + p["bmu"]
    s = h @ p["Ws"] + p["bs"]
    z = mu + np.exp(s / 2) * eps
    g = np.tanh(z @ p["W2"] + p["b2"])
    a = g @ p["W3"] + p["b3"]
    nll = np.sum(np.logaddexp(0, a) - x * a, axis=1)
    kl = 0.5 * np.sum(np.exp(s) + mu**2 - 1 - s, axis=1)
    return h, mu, s, z, g, a, np.mean(nll + kl)


# %%
check.five_steps(five_steps)

# %% [markdown]
# **7.2** (20 minutes) The whole gradient: given `x`, `eps`, `p` and the intermediates, return a dictionary with the
# gradient for each of the ten weights, by the same names. The check says how many are right, and which one is the first
# wrong one on the way back.
#
# <details><summary>Hint 1</summary>
#
# (7.3), line by line. `B = len(x)`. Begin with `da`; return what you have, and go on when `b3` and `W3` are right.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The $\frac1B$ comes in three times: in `da`, and in the KL's part of `dmu` and of `ds`. `dz` has it already.
# </details>

# %% tags=["exercise"]
def whole_gradient(x, eps, p, h, mu, s, z, g, a):
    ...    # your code


# %% tags=["solution"]
def whole_gradient(x, eps, p, h, mu, s, z, g, a):
    B = len(x)
    da = (1 / (1 + np.exp(-a)) - x) / B
    dg = da @ p["W3"].T
    dt = dg * (1 - g**2)
    dz = dt @ p["W2"].T
    dmu = dz + mu / B
    ds = dz * 0.5 * np.exp(s / 2) * eps + 0.5 * (np.exp(s) - 1) / B
    dh = dmu @ p["Wmu"].T + ds @ p["Ws"].T
    du = dh * (1 - h**2)
    return {"W3": g.T @ da, "b3": da.sum(axis=0), "W2": z.T @ dt, "b2": dt.sum(axis=0),
            "Wmu": h.T @ dmu, "bmu": dmu.sum(axis=0), "Ws": h.T @ ds, "bs": ds.sum(axis=0),
            "W1": x.T @ du, "b1": du.sum(axis=0)}


# %%
check.whole_gradient(whole_gradient)

# %% [markdown]
# **7.3** (10 minutes) Nearest neighbours: return the label of the nearest training code for each test code.
#
# <details><summary>Hint</summary>
#
# `test_codes[:, None] - train_codes` has all differences, of shape (tests, trainings, Z). Square, add over the last
# axis, and take `argmin` over the trainings. It gives indices: use them on `train_labels`.
# </details>

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
# - Five steps forward, the same five back. Where paths fork on the way there, gradients add on the way back.
# - The loss has two parts: the NLL falls, and the KL rises, because it is the price of using $z$.
# - The means group what looks alike, without labels. The decoder's picture is a mean, not a sample.
# - In two dimensions a Gaussian fitted to an autoencoder's codes dreams nearly as well as a VAE. In sixteen it falls
#   into holes, and the VAE's prior does not.
#
# All of it fits into one file, NumPy alone: `examples/vae_in_100_lines.py`. You can read every line of it now.
#
# **Papers to read next.** Diederik Kingma and Max Welling, *Auto-Encoding Variational Bayes* (2013): you have now
# derived all of it but appendix D on. Danilo Rezende, Shakir Mohamed and Daan Wierstra, *Stochastic Backpropagation and
# Approximate Inference in Deep Generative Models* (2014): the same idea, found independently. Partha Ghosh and others,
# *From Variational to Deterministic Autoencoders* (2020): how far an autoencoder gets with a better density fitted to
# its codes than one Gaussian.
#
# **Still wrong, and next.** The loss is a *bound*: by (4.3) it lies above $-\log p(x)$ by a gap that we have not seen
# here. How likely are the images really? That is lesson 8.
