# %% [markdown]
# # 1. Why can't an autoencoder dream?
#
# **The question.** An autoencoder squeezes a picture into a few numbers and rebuilds it. So why not invent the numbers,
# and let it build pictures that nobody has drawn?
#
# **After this lesson you can**
#
# - write down the squared error, say which probability it belongs to, and derive its gradient;
# - fit a Gaussian to codes and draw from it;
# - show that place, scale and correlation of an autoencoder's codes are accidents;
# - measure how many invented codes fall into holes, in 2 and in 16 dimensions.
#
# *You need:* a little calculus and Python. The [refresher](00_refresher.ipynb) has the Gaussian, the covariance and the
# chain rule; the [glossary](00_glossary.ipynb) has every symbol. *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.course.common import nearest, shrink
from numpyvae.functional.likelihoods import gaussian_nll, gaussian_nll_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(1, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# The whole course builds one model, step by step. This lesson is about the blue parts, which make an *autoencoder*. The
# grey ones are what a VAE adds; you may forget them until lesson 3.

# %%
nv.plots.show_diagram("x", "encoder", "z", "decoder")

# %% [markdown]
# These are the pictures: handwriting of a kind. `shrink` makes them 14 × 14 pixels, each the mean of 2 × 2, with brightness
# from 0 (black) to 1 (white).

# %%
images, labels = lesson.images("train")
train, labels = shrink(images[:10000]), labels[:10000]
test = shrink(lesson.images("test")[0][:1000])

# %%
nv.plots.show_rows({"": train[:30]}, "Thirty small pictures of handwritten digits, white on black.", columns=15)

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is a picture, written as a row of $D = 196$ numbers. The *encoder* turns it into a *code* $z$ of $Z$
# numbers, with $Z$ much smaller than $D$: the bottleneck. The *decoder* turns the code into a picture $m$ of $D$ numbers.
# Both are networks of *dense layers*: multiply by a matrix, add a bias and, except in the last layer of each, set what is
# below zero to zero.
#
# We want $m$ to be like $x$. We measure the difference by the squared error, added up over the pixels:
#
# $$E(x) = \sum_{i=1}^{D} (x_i - m_i)^2 \tag{1.1}$$
#
# **As a probability.** A *Gaussian* with mean $m_i$ and standard deviation $\sigma$ has the density
# $\frac{1}{\sigma\sqrt{2\pi}}\,e^{-(x_i - m_i)^2/(2\sigma^2)}$: the bell curve. Suppose that each pixel $x_i$ was drawn
# from one, independently of the others. Then the densities multiply, so their logarithms add. The logarithm of
# $e^{-u}$ is $-u$, and the logarithm of $\frac1{\sigma\sqrt{2\pi}}$ is $-\log(\sigma\sqrt{2\pi})$. With the sign turned,
# that is the *negative log-likelihood*, NLL:
#
# $$L = \sum_i\Big[\frac{(x_i - m_i)^2}{2\sigma^2} + \log\big(\sigma\sqrt{2\pi}\big)\Big]
# = \frac{E}{2\sigma^2} + D\log\big(\sigma\sqrt{2\pi}\big) \tag{1.2}$$
#
# The second term does not depend on the networks. So the smallest squared error is the same as the largest density for
# the picture. From here on $\sigma = 1$.

# %% [markdown]
# **Its gradient.** How does $L$ change with one number $m_i$? Only one term of the sum in (1.2) has this $m_i$ in it.
# Write the term as $\frac{1}{2\sigma^2}u^2$ with $u = x_i - m_i$. By the chain rule its derivative is
# $\frac{1}{2\sigma^2}\cdot 2u\cdot\frac{du}{dm_i}$, and $\frac{du}{dm_i} = -1$. The 2 and the ½ cancel:
#
# $$\frac{\partial L}{\partial m_i} = \frac{-(x_i - m_i)}{\sigma^2} = \frac{m_i - x_i}{\sigma^2} \tag{1.3}$$
#
# Where the picture is too bright, the gradient is positive, and a step against it makes the picture darker.
#
# In training, the loss is the mean of $L$ over a *batch* of $B$ pictures, so each picture's gradient is divided by $B$.
# From $m$ the gradient goes back through the decoder and the encoder, layer by layer. Lesson 2 derives how, and checks it.

# %%
m, x = np.tile(train.mean(axis=0), (3, 1)), train[:3]
a_little = np.zeros(196)
a_little[105] = 1e-5    # of one pixel, in the middle
slope = (gaussian_nll(m + a_little, x, 0.5) - gaussian_nll(m - a_little, x, 0.5)) / 2e-5
gradient = gaussian_nll_backward(np.ones(3), m, x, 0.5)[:, 105]
print("gradient:", gradient, "  slope:", slope)
claim("gradient_minus_slope", np.abs(gradient - slope).max(), 0.0, 1e-8)

# %% [markdown]
# ## The code
#
# The gradient (1.3), and a training step's loss (1.2) with its way back, as they run in the package:

# %%
lesson.show(gaussian_nll_backward, "1.3")

# %%
lesson.show(nv.Autoencoder.loss_and_grad, "1.2")

# %% [markdown]
# ## The experiment: it reconstructs
#
# Two kinds of autoencoder, the same but for the bottleneck: 16 numbers, and 2 numbers that we can look at. We train five of
# each kind, from different random weights, so that what we say of the kind does not hang on one of them.

# %%
def train_autoencoder(n_latent, seed):
    model = nv.Autoencoder.dense(196, (100,), n_latent, likelihood="gaussian", rng=np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 100)
    for record in nv.fit(model, train, optimizer=nv.Adam(2e-3), epochs=6, batch_size=100, rng=rng):
        pass
    return model.astype(np.float64)


wide = [train_autoencoder(16, seed) for seed in range(5)]      # through 16 numbers
narrow = [train_autoencoder(2, seed) for seed in range(5)]     # through 2

# %%
def explained(model):
    """The share of the pixels' variance that the reconstruction explains: 0 for the mean picture, 1 if perfect."""
    error = np.mean((model.reconstruct(test) - test)**2)
    return 1 - error / np.mean((train.mean(axis=0) - test)**2)


explained_16 = np.array([explained(model) for model in wide])
explained_2 = np.array([explained(model) for model in narrow])
print(f"explained through 16 numbers: {explained_16.round(2)}, through 2: {explained_2.round(2)}")
claim("explained_through_16", explained_16.mean(), 0.80, 0.03, on="strokes")
claim("explained_through_2", explained_2.mean(), 0.40, 0.04, on="strokes")
holds("every wide one explains more than every narrow one", explained_16.min() > explained_2.max())

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 1, figsize=(8, 3), layout="constrained")
for ax, models, name in zip(axes, (wide, narrow), ("16 numbers", "2 numbers")):
    nv.plots.reconstructions(models[0], test[:14], ax, columns=14)
    ax.set_title(f"through {name}", fontsize=10)
nv.plots.show("Two pairs of rows, originals above and rebuilt pictures below. Through 16 numbers the rebuilt digits "
              "are a little soft, and nearly all right. Through 2 they are blurred, and some have become another digit.")

# %% [markdown]
# Through 16 numbers the decoder rebuilds pictures that it has never seen: it explains about 80 % of the variance. Through 2
# numbers it is about 40 %. Judged by (1.1), the wide one is far better.
#
# ## Now let it dream
#
# We need codes that come from no picture. Three ways to invent them:
#
# 1. draw each of the numbers from $N(0, 1)$, the Gaussian with mean 0 and variance 1. All together: $N(0, I)$;
# 2. *fit* a Gaussian to the codes of the training pictures, and draw from that;
# 3. take the codes of two pictures and go half way between them.
#
# **What fitting means.** A Gaussian in $Z$ dimensions has a mean $\bar z$, the average code, and a *covariance matrix*
# $C$. Its entry $C_{ij}$ is the average over all codes of
#
# $$(z_i - \bar z_i)\,(z_j - \bar z_j) \tag{1.4}$$
#
# On the diagonal, $C_{ii}$, that is the average of a square: the *variance* of number $i$, its spread. Off the diagonal it is
# positive if numbers $i$ and $j$ tend to be large together, negative if one tends to be large when the other is small, and 0 if
# there is no such tendency. The two are *correlated* if it is not 0.
#
# **How to draw from it.** Let $\varepsilon$ be a row of $Z$ independent draws from $N(0, 1)$, and $K$ a matrix. What is the
# covariance of $z = \bar z + \varepsilon K$? Entry by entry, $z_i - \bar z_i = \sum_k \varepsilon_k K_{ki}$. So (1.4) is the
# average of $\sum_{kl} \varepsilon_k\varepsilon_l\,K_{ki}K_{lj}$. The average of $\varepsilon_k\varepsilon_l$ is the
# variance 1 if $k = l$, and 0 if not, because different draws are independent. What is left is
#
# $$C_{ij} = \sum_k K_{ki}K_{kj},\qquad\text{that is}\qquad C = K^T K \tag{1.5}$$
#
# So we need a $K$ with $K^TK = C$: a kind of square root. `np.linalg.cholesky(C)` gives the matrix $L$ with $LL^T = C$ that
# has zeros above its diagonal (the *Cholesky factor*). Take $K = L^T$.

# %%
def covariance(codes):    # (1.4)
    away = codes - codes.mean(axis=0)
    return away.T @ away / len(codes)


def fitted_gaussian(codes, noise):    # (1.5)
    return codes.mean(axis=0) + noise @ np.linalg.cholesky(covariance(codes)).T


some_codes = wide[0].encode(train)
many = fitted_gaussian(some_codes, np.random.default_rng(4).standard_normal((100_000, 16)))
largest = covariance(some_codes).max()
claim("covariance_of_the_draws_is_that_of_the_codes",
      np.abs(covariance(many) - covariance(some_codes)).max() / largest, 0.0, 0.03)

# %% [markdown]
# **Predict first.** The wide autoencoder rebuilds well. Which of the three ways will give pictures as good as its
# reconstructions?
#
# <details><summary>Answer</summary>
#
# None. Look.
# </details>

# %%
def half_way(codes, rng, n):
    first, second = rng.integers(0, len(codes), (2, n))
    return (codes[first] + codes[second]) / 2


def invent(model, n=1000):
    codes, rng = model.encode(train), np.random.default_rng(3)
    noise = rng.standard_normal((n, model.n_latent))
    return {"N(0, I)": noise, "fitted Gaussian": fitted_gaussian(codes, noise), "half way": half_way(codes, rng, n)}


dreams = invent(wide[0])

# %% tags=["hide-input"]
grids = {"reconstructions": wide[0].reconstruct(test[:30])}
for name in dreams:
    grids[name] = wide[0].decode(dreams[name][:30])
nv.plots.show_rows(grids, columns=6, across=4, alt=(
              "Four grids of thirty pictures. Reconstructions: digits. From N(0, I): bright speckles and scraps, "
              "hardly a digit. From the fitted Gaussian: blots that are nearly digits, few that are. Half way: soft "
              "shapes, many digits."))

# %% [markdown]
# ### Is it only the scale?
#
# $N(0, I)$ may fail for a dull reason: the codes may lie elsewhere. Here are their means and standard deviations (the roots of
# the variances) in the first wide model:

# %%
print("means:              ", np.sort(some_codes.mean(axis=0)).round(1))
print("standard deviations:", np.sort(some_codes.std(axis=0)).round(1))

# %% [markdown]
# No wonder that they are not 0 and 1: nothing in (1.1) asks for it. We can even prove that these numbers are accidents. Take any
# trained autoencoder, any matrix $A$ that has an inverse, and any row $c$, and change the codes to
#
# $$z' = zA + c \tag{1.6}$$
#
# **The encoder can do it.** Its last layer is $z = hV + a$, and nothing is cut off there. So $z' = h(VA) + (aA + c)$: a layer of
# the same kind, with other numbers.
#
# **The decoder can undo it.** Its first layer computes $zW + b$. Give it $W' = A^{-1}W$ and $b' = b - cA^{-1}W$. Then
#
# $$z'W' + b' = (zA + c)A^{-1}W + b - cA^{-1}W = zW + cA^{-1}W + b - cA^{-1}W = zW + b \tag{1.7}$$
#
# So all pictures stay as they were, and with them the error (1.1). The loss cannot tell the two models apart. Place ($c$), scale
# and correlation ($A$) of the codes are left to where training happens to begin and to go. In particular there is an equally good model with mean 0 and
# covariance $I$: take $A = K^{-1}$ and $c = -\bar zA$. For that one, $N(0, I)$ *is* the fitted Gaussian. The fitted Gaussian is
# the fair test.

# %%
def standardised(model):
    """The same model, with codes of mean 0 and covariance I."""
    changed = model.astype(np.float64)    # a copy
    weights, codes = changed.parameters, model.encode(train)
    A = np.linalg.inv(np.linalg.cholesky(covariance(codes)).T)
    c = -codes.mean(axis=0) @ A
    weights["encoder.1.b"][:] = weights["encoder.1.b"] @ A + c
    weights["encoder.1.W"][:] = weights["encoder.1.W"] @ A
    weights["decoder.0.W"][:] = np.linalg.inv(A) @ weights["decoder.0.W"]
    weights["decoder.0.b"][:] -= c @ weights["decoder.0.W"]
    return changed


twin = standardised(wide[0])
claim("mean_of_the_new_codes", np.abs(twin.encode(train).mean(axis=0)).max(), 0.0, 1e-9)
claim("covariance_of_the_new_codes_minus_I", np.abs(covariance(twin.encode(train)) - np.eye(16)).max(), 0.0, 1e-9)
change = twin.reconstruct(test) - wide[0].reconstruct(test)
claim("a_pixel_of_a_reconstruction_changes_by", np.abs(change).max(), 0.0, 1e-9)

# %% [markdown]
# ### Measure the holes
#
# A code is *in a hole* if it lies further from every training code than the code of a picture usually does. Take the test
# pictures: each of their codes has a nearest training code. 99 % of these distances are below some limit. A code whose distance
# to the nearest training code is above the limit is in a hole.
#
# The distance from a code $z$ to a code $c$ comes from
#
# $$|z - c|^2 = |z|^2 + |c|^2 - 2\,z\cdot c \tag{1.8}$$
#
# which NumPy does for all pairs at once.

# %%
lesson.show(nearest, "1.8")

# %%
def shares_in_holes(model, dreams):
    """For each way to invent codes, the share of them that lie in holes."""
    codes = model.encode(train)
    limit = np.quantile(nearest(model.encode(test), codes), 0.99)
    shares = {}
    for name, z in dreams.items():
        shares[name] = np.mean(nearest(z, codes) > limit)
    return shares

# %% tags=["hide-input"]
codes = wide[0].encode(train)
own = nearest(wide[0].encode(test), codes)
bins = np.linspace(0, 5, 100)
fig, ax = plt.subplots(figsize=(7, 2.8))
ax.hist(own, bins, histtype="stepfilled", density=True, color=INK, alpha=0.3, label="test pictures")
for (name, z), color in zip(dreams.items(), (ORANGE, BLUE, GREEN)):
    ax.hist(nearest(z, codes), bins, histtype="step", density=True, color=color, linewidth=1.5, label=name)
ax.axvline(np.quantile(own, 0.99), color=INK, linestyle="--", linewidth=1)
ax.set(xlabel="distance to the nearest training code; right of the dashed line is a hole", yticks=[])
fitted = np.mean(nearest(dreams["fitted Gaussian"], codes) > np.quantile(own, 0.99))
ax.set_title(f"16 dimensions: {fitted:.0%} of the fitted Gaussian's codes lie in holes", fontsize=10)
ax.legend(frameon=False, fontsize="small")
nv.plots.show("Four histograms of the distance to the nearest training code. Test pictures are nearest, half-way "
              "codes a little further, most draws of the fitted Gaussian are beyond a dashed line, and all of N(0, "
              "I) far beyond.")

# %% [markdown]
# Now all five models of each kind, and besides the three ways five repairs of $N(0, I)$: give it the codes' own mean (*place*), or
# their own standard deviations (*scale*), or both, or their correlations alone, or their whole covariance but not their place. With
# place, scale and correlation it is the fitted Gaussian.
#
# **Predict first.** Which of the three, place, scale or correlation, does most?
#
# <details><summary>Answer</summary>
#
# None of them does much by itself, in 16 dimensions. It takes all three to bring the share down to about 70 %. The rest is no matter
# of place, scale or correlation.
# </details>

# %%
def repaired(model, n=1000):
    codes, rng = model.encode(train), np.random.default_rng(3)
    noise = rng.standard_normal((n, model.n_latent))
    mean, spread, fitted = codes.mean(axis=0), codes.std(axis=0), fitted_gaussian(codes, noise)
    return {"N(0, I)": noise, "place": mean + noise, "scale": spread * noise, "correlation": (fitted - mean) / spread,
            "place, scale": mean + spread * noise, "scale, correlation": fitted - mean, "fitted: all three": fitted, "half way": half_way(codes, rng, n)}


def table(models, measure):
    """The measure for each way (rows) and each of five models (columns)."""
    measured = [measure(model, repaired(model)) for model in models]
    rows = {}
    for name in measured[0]:
        rows[name] = np.array([one[name] for one in measured])
    return rows


holes_16, holes_2 = table(wide, shares_in_holes), table(narrow, shares_in_holes)
for name in holes_16:
    print(f"{name:20} in holes: {holes_16[name].mean():4.0%} of 16 numbers, {holes_2[name].mean():4.0%} of 2")

# %% tags=["hide-input"]
COLORS = {"N(0, I)": ORANGE, "fitted: all three": BLUE, "half way": GREEN}
TITLES = ("16 numbers: a dot for each model", "2 numbers: a dot for each model")
percent_16 = {name: 100 * shares for name, shares in holes_16.items()}
percent_2 = {name: 100 * shares for name, shares in holes_2.items()}
nv.plots.show_dots(dict(zip(TITLES, (percent_16, percent_2))),
                   "Two panels of dots, the share of codes in holes, five models in each row. Through 16 numbers: N(0, "
                   "I) and single repairs near 100 %, the fitted Gaussian near 70 %, half way near 15 %. Through 2: N(0, "
                   "I) spreads around a quarter, the fitted Gaussian around 11 %, half way around 2 %.",
                   "% of the invented codes that lie in holes", COLORS, xlim=(-3, 103))

# %%
claim("holes_16_prior", holes_16["N(0, I)"].mean(), 1.0, 0.02, on="strokes")
claim("holes_16_fitted", holes_16["fitted: all three"].mean(), 0.70, 0.08, on="strokes")
claim("holes_16_half_way", holes_16["half way"].mean(), 0.16, 0.07, on="strokes")
claim("holes_2_prior", holes_2["N(0, I)"].mean(), 0.25, 0.12, on="strokes")
claim("holes_2_fitted", holes_2["fitted: all three"].mean(), 0.11, 0.05, on="strokes")
claim("holes_2_half_way", holes_2["half way"].mean(), 0.02, 0.03, on="strokes")
one_repair = np.array([holes_16["place"], holes_16["scale"], holes_16["correlation"]])
holds("in 16 dimensions one of the three alone leaves nine tenths in holes, in each model", one_repair.min() > 0.9,
      on="strokes")
holds("in 16 dimensions all three repairs leave less than the two pairs of them, in each model", np.all(
    holes_16["fitted: all three"] < np.minimum(holes_16["place, scale"], holes_16["scale, correlation"])))
holds("in 16 dimensions more than half of the fitted draws lie in holes, in each model",
      holes_16["fitted: all three"].min() > 0.5, on="strokes")
holds("in 2 dimensions less than a quarter do, in each model", holes_2["fitted: all three"].max() < 0.25, on="strokes")

# %% [markdown]
# - **16 numbers.** Of the codes from $N(0, I)$, 100 % lie in holes. Place, scale or correlation alone hardly helps. All three
#   together, the fitted Gaussian, leave about 70 % in holes.
# - **2 numbers.** $N(0, I)$ has about a quarter in holes, the fitted Gaussian about 11 %. That is nearly a rescue.
# - **Half way** between two pictures there are far fewer: about 16 % and 2 %.
#
# Does the measure itself depend on the accident of the codes' scale? A little: it uses distances. So measure once more in the
# models whose codes have been given mean 0 and covariance $I$, where draws of $N(0, I)$ are draws of the fitted Gaussian.

# %%
shares = []
for model in wide:
    draws = np.random.default_rng(3).standard_normal((1000, 16))
    shares.append(shares_in_holes(standardised(model), {"N(0, I)": draws})["N(0, I)"])
print("in holes, after standardising:", np.round(shares, 2))
claim("holes_16_standardised", np.mean(shares), 0.60, 0.10, on="strokes")

# %% [markdown]
# About 60 % in place of 70 %: still more than half.

# %% [markdown]
# ### Why are there holes, and why more of them in 16 dimensions?
#
# The fitted Gaussian has the right mean and the right covariance. But there is more to a cloud than these. Take a cloud of
# points in the plane that form a ring:

# %%
rng = np.random.default_rng(6)
angle, radius = rng.uniform(0, 2 * np.pi, 20_000), rng.normal(1, 0.1, 20_000)
ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
ring_draws = fitted_gaussian(ring, rng.standard_normal((20_000, 2)))


def in_the_hole(points):
    return np.linalg.norm(points, axis=1) < 0.7


claim("of_the_ring_in_the_hole", np.mean(in_the_hole(ring)), 0.0, 0.005)
claim("of_the_fitted_gaussian_in_the_hole", np.mean(in_the_hole(ring_draws)), 0.38, 0.02)

# %% tags=["hide-input"]
circle = 0.7 * np.column_stack([np.cos(np.linspace(0, 7, 200)), np.sin(np.linspace(0, 7, 200))])
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.2), layout="constrained")
for ax, points, color, name in ((axes[0], ring, INK, "codes on a ring"),
                                (axes[1], ring_draws, BLUE, "the fitted Gaussian")):
    ax.scatter(points[:2000, 0], points[:2000, 1], s=2, color=color, alpha=0.5)
    ax.plot(circle[:, 0], circle[:, 1], color=ORANGE)
    ax.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    ax.set_title(f"{name}:\n{np.mean(in_the_hole(points)):.0%} inside the circle", fontsize=10)
nv.plots.show("Left: points on a thin ring, nothing inside the orange circle. Right: draws of the Gaussian with the "
              "ring's mean and covariance, densest in the middle, where the ring has its hole.")

# %% [markdown]
# The two clouds have the same mean and the same covariance, and 38 % of the Gaussian's draws fall into the hole.
#
# **Predict first.** Now let a code have 16 numbers, in eight pairs, each pair on a ring of its own. Of 100 draws of the fitted
# Gaussian, how many miss all eight holes?
#
# <details><summary>Answer</summary>
#
# Each pair misses its hole in 62 % of the draws, independently of the others: $0.62^8 = 0.02$. Two of 100.
# </details>
#
# More dimensions mean more chances to fall into a hole. Real codes are no rings. But the count shows how holes that are a
# nuisance with 2 numbers can become the rule with 16.

# %%
noise_of_pairs = np.random.default_rng(7).standard_normal((8, 20_000, 2))
eight = [in_the_hole(fitted_gaussian(ring, noise)) for noise in noise_of_pairs]
claim("draws_that_miss_all_eight_holes", np.mean(~np.any(eight, axis=0)), 0.02, 0.005)

# %% [markdown]
# ### Two numbers, seen
#
# With two numbers we can look at all codes at once, and at the picture of every place of the plane.

# %% tags=["hide-input"]
flat = narrow[0].encode(train)
low, high = np.percentile(flat, [1, 99], axis=0)
right, up = np.meshgrid(np.linspace(low[0], high[0], 16), np.linspace(high[1], low[1], 16))
fig, axes = plt.subplots(1, 2, figsize=(9.4, 4), layout="constrained")
for label in np.unique(labels):
    here = flat[labels == label]
    axes[0].scatter(here[:, 0], here[:, 1], s=2, color=nv.plots.CLASSES[label], label=str(label))
axes[0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="z[0]", ylabel="z[1]")
axes[0].set_title("codes of 10,000 pictures, one colour per digit", fontsize=10)
axes[0].legend(frameon=False, fontsize="small", markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5))
nv.plots.image_grid(narrow[0].decode(np.column_stack([right.ravel(), up.ravel()])), axes[1], columns=16, gap=0)
axes[1].set_title("the same plane, decoded", fontsize=10)
nv.plots.show("Left: codes in the plane, coloured by digit: clouds that overlap, the zeros far from the others. "
              "Right: a picture for each of 16 by 16 places of the same plane: blurred digits nearly everywhere, "
              "blends between them.")

# %% [markdown]
# The codes leave wide places empty. In most of them the decoder paints something like a digit all the same. In the gap between two clouds it paints a faint blend of both. Walk through such a gap,
# from the middle of the zeros' codes to the middle of the ones':

# %% tags=["hide-input"]
ends = np.array([flat[labels == 0].mean(axis=0), flat[labels == 1].mean(axis=0)])


def walk(ax, t):
    here = (1 - t) * ends[:1] + t * ends[1:]
    ax.scatter(flat[:, 0], flat[:, 1], s=1, color="0.8")
    ax.plot(ends[:, 0], ends[:, 1], color=INK, linewidth=1)
    ax.plot(here[0, 0], here[0, 1], "o", color=ORANGE, markersize=9)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[], title=f"t = {t:.1f}")
    nv.plots.image_grid(narrow[0].decode(here), ax.inset_axes([0.02, 0.64, 0.34, 0.34]))


nv.plots.strip(walk, (0.0, 0.5, 1.0), "Three frames: the plane of codes, a line across it, a dot on the line, and "
               "the picture of the dot in the corner. At the start a zero, half way a faint blend, at the end a one.")

# %%
brightest = [narrow[0].decode((1 - t) * ends[:1] + t * ends[1:]).max() for t in (0.0, 0.5, 1.0)]
holds("half way the picture is fainter than at both ends", brightest[1] < min(brightest[0], brightest[2]), on="strokes")

# %%
lesson.slider(lambda t: nv.plots.strip(walk, [t], "the walk from zero to one", size=(4, 4)), t=(0.0, 1.0, 0.05))

# %% [markdown]
# ### And the pictures?
#
# A hole does harm only if the decoder paints something strange there. So measure the pictures too: how far is a decoded picture
# from the most similar training picture? Compare with the reconstructions of test pictures.

# %%
def strangeness(model, dreams):
    """How many times as far from the nearest training picture as a reconstruction; medians of 300 are compared."""
    usual = np.median(nearest(model.reconstruct(test[:300]), train))
    times = {}
    for name, z in dreams.items():
        times[name] = np.median(nearest(model.decode(z[:300]), train)) / usual
    return times


strange_16, strange_2 = table(wide, strangeness), table(narrow, strangeness)
for name in strange_16:
    print(f"{name:20} {strange_16[name].mean():.2f} times as far with 16 numbers, {strange_2[name].mean():.2f} with 2")

# %% tags=["hide-input"]
nv.plots.show_dots(dict(zip(TITLES, (strange_16, strange_2))),
                   "Two panels of dots: how many times as far from a real picture as a reconstruction. Through 16 "
                   "numbers: N(0, I) about 2.4, the fitted Gaussian 1.4, half way 1.2. Through 2 numbers all dots are "
                   "near 1.", "times as far from a real picture as a reconstruction", COLORS, mark=1, xlim=(0.9, 2.7))

# %%
claim("strangeness_16_prior", strange_16["N(0, I)"].mean(), 2.4, 0.3, on="strokes")
claim("strangeness_16_scale", strange_16["scale"].mean(), 1.5, 0.15, on="strokes")
claim("strangeness_16_fitted", strange_16["fitted: all three"].mean(), 1.4, 0.1, on="strokes")
claim("strangeness_16_half_way", strange_16["half way"].mean(), 1.2, 0.08, on="strokes")
claim("strangeness_2_fitted", strange_2["fitted: all three"].mean(), 1.02, 0.05, on="strokes")
holds("with 16 numbers: N(0, I) is stranger than the fitted Gaussian, and that than half way, in each model",
      np.all(strange_16["N(0, I)"] > strange_16["fitted: all three"])
      and np.all(strange_16["fitted: all three"] > strange_16["half way"]), on="strokes")
holds("with 16 numbers none of the ways comes as close as reconstructions, in any model",
      np.min(list(strange_16.values())) > 1.1, on="strokes")
holds("with 2 numbers the fitted Gaussian is less strange than with 16, in each pair of models",
      np.all(strange_2["fitted: all three"] < strange_16["fitted: all three"]), on="strokes")

# %% [markdown]
# - **16 numbers.** Pictures of $N(0, I)$ are 2.4 times as far from a real picture as reconstructions are. With the right scale it
#   is about 1.5 times: here scale helps. Codes twice as large as those that the decoder knows make it paint speckles. With everything
#   that a Gaussian can have right it is still about 1.4 times.
# - **2 numbers.** The fitted Gaussian's pictures are as close to real ones as reconstructions are (1.02 times). So a narrow
#   autoencoder with a fitted Gaussian *can* dream, a little. It pays for that in (1.1): it explains 40 % where the wide one
#   explains 80 %, and its reconstructions are blurred.
#
# So this is the dilemma. Few numbers: few holes, and poor pictures. Many numbers: good pictures, and codes that no Gaussian
# describes.

# %% [markdown]
# ## Exercises
#
# Each check answers at once, on random inputs. It never shows the solution. Hints unfold; try without them first.
#
# **1.1** (5 minutes) The gradient (1.3): for pictures `m` and `x`, both (B, D), of the loss that is the *mean over the batch* of
# (1.2). The result has a number for each pixel of each picture.
#
# <details><summary>Hint</summary>
#
# (1.3) for each entry, and then a mean over $B$ pictures: $B$ is `len(x)`.
# </details>

# %% tags=["exercise"]
def squared_error_gradient(m, x, sigma):
    ...    # your code


# %% tags=["solution"]
def squared_error_gradient(m, x, sigma):
    return (m - x) / sigma**2 / len(x)


# %%
check.squared_error_gradient(squared_error_gradient)

# %% [markdown]
# **1.2** (5 minutes) Fit a Gaussian to `codes` (N, Z): return the mean (Z,) and the covariance matrix (Z, Z).
#
# <details><summary>Hint</summary>
#
# (1.4), averaged over the rows. With `away` for the codes minus their mean, `away.T @ away` adds up all products.
# </details>

# %% tags=["exercise"]
def fit_gaussian(codes):
    ...    # your code


# %% tags=["solution"]
def fit_gaussian(codes):
    mean = codes.mean(axis=0)
    away = codes - mean
    return mean, away.T @ away / len(codes)


# %%
check.fit_gaussian(fit_gaussian)

# %% [markdown]
# **1.3** (10 minutes) The share of holes: the share of `z` (M, Z) that is further than `limit` from its nearest row of
# `codes` (N, Z).
#
# <details><summary>Hint 1</summary>
#
# For each row of `z`: the distances to all codes, the smallest of them, and whether it is above the limit. A loop is fine.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `np.sum((codes - one)**2, axis=1)` has the squared distances from one row of `z` to all codes. Mind the root.
# </details>

# %% tags=["exercise"]
def share_of_holes(z, codes, limit):
    ...    # your code


# %% tags=["solution"]
def share_of_holes(z, codes, limit):
    in_hole = []
    for one in z:
        distances = np.sqrt(np.sum((codes - one)**2, axis=1))
        in_hole.append(distances.min() > limit)
    return np.mean(in_hole)


# %%
check.share_of_holes(share_of_holes)

# %% [markdown]
# **1.4** (10 minutes) The encoder's codes have become $z' = zA + c$, as in (1.6). The decoder's first layer was $zW + b$. Return
# `W_new` and `b_new`, with which it computes the same from $z'$. Shapes: `W` (Z, H), `b` (H,), `A` (Z, Z), `c` (Z,).
#
# <details><summary>Hint</summary>
#
# Equation (1.7). `np.linalg.inv(A)` is $A^{-1}$.
# </details>

# %% tags=["exercise"]
def undo_in_the_decoder(W, b, A, c):
    ...    # your code


# %% tags=["solution"]
def undo_in_the_decoder(W, b, A, c):
    W_new = np.linalg.inv(A) @ W
    return W_new, b - c @ W_new


# %%
check.undo_in_the_decoder(undo_in_the_decoder)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Minimising the squared error (1.1) is maximising a Gaussian density (1.2). Its gradient is "painted minus wanted", (1.3).
# - Good reconstruction does not make a generator. The decoder has been trained where codes of pictures lie, and nowhere else.
# - Place, scale and correlation of the codes are accidents, (1.7). A fitted Gaussian repairs all three. In 2 dimensions that is
#   nearly enough; in 16, most draws still fall into holes, because the cloud of codes is no Gaussian.
# - Nothing in (1.1) asks the encoder for a cloud that we could draw from. A variational autoencoder adds exactly that.
#
# **Papers to read next.** Geoffrey Hinton and Ruslan Salakhutdinov, *Reducing the Dimensionality of Data with Neural Networks*
# (2006): autoencoders as a bottleneck, with a picture of a plane of codes. Partha Ghosh and others, *From Variational to
# Deterministic Autoencoders* (2020): how far an autoencoder comes with a distribution fitted to its codes.
#
# **Still wrong, and next.** Before we add anything, one matter of trust. All of this rests on gradients that were written by hand.
# [Lesson 2](02_trust_your_gradients.ipynb) shows how to check them.
