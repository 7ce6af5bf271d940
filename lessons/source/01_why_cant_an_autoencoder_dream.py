# %% [markdown]
# # 1. Why can't an autoencoder dream?
#
# **The question.** An autoencoder squeezes an image into a few numbers and rebuilds it. So why not invent numbers, and let it
# build images that nobody has drawn?
#
# *You need:* a little calculus, NumPy. *Time:* 40 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional.likelihoods import gaussian_nll_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(1, DATA)
claim, check = lesson.claim, lesson.check
images, labels = lesson.images("train")
pixels = images[:10000].reshape(-1, 784) / 255
test = lesson.images("test")[0][:2000].reshape(-1, 784) / 255

# %%
fig, ax = plt.subplots(figsize=(7, 2.6))
nv.plots.image_grid(pixels[:30], ax, columns=10)
ax.set_title("What we train on: 28 × 28 pixels, brightness from 0 to 1", fontsize=10)
plt.show()

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is an image, written as a row of $D = 784$ numbers. The *encoder* $e$ makes a *code* $z = e(x)$ of $Z$ numbers,
# $Z$ much smaller than $D$: the bottleneck. The *decoder* $d$ makes a picture $m = d(z)$ of $D$ numbers. Both are networks of dense
# layers: multiply by a matrix, add a bias, cut off below zero.
#
# We want $m$ to be like $x$. How unlike they are is the squared error, added up over the pixels:
#
# $$E(x) = \sum_{i=1}^{D} (x_i - m_i)^2,\qquad m = d(e(x)) \tag{1.1}$$
#
# **As a probability.** Suppose each pixel of $x$ were drawn from a Gaussian with mean $m_i$ and standard deviation $\sigma$. The
# negative logarithm of that density (the *NLL*; lesson 3 derives it) is
#
# $$L = \frac{1}{2\sigma^2}\sum_i (x_i - m_i)^2 + D\log\!\big(\sigma\sqrt{2\pi}\big)
# = \frac{E}{2\sigma^2} + \text{const.} \tag{1.2}$$
#
# So minimising the squared error is the same as making the image likely. From here on we speak of (1.2), with $\sigma = 1$.

# %% [markdown]
# **Its gradient.** Only the term with $m_i$ depends on $m_i$. The 2 from the square and the ½ cancel:
#
# $$\frac{\partial L}{\partial m_i} = \frac{m_i - x_i}{\sigma^2} \tag{1.3}$$
#
# Where the picture is too bright, the gradient is positive, and a step against it makes it darker. From $m$ the gradient goes back
# through the decoder and the encoder, layer by layer. Lesson 2 derives how, and proves it.
#
# ## The code

# %%
lesson.show(gaussian_nll_backward, "1.3")

# %%
lesson.show(nv.Autoencoder.loss_and_grad, "1.2")

# %% [markdown]
# ## The experiment: it reconstructs
#
# Two autoencoders, the same but for the bottleneck: 16 numbers, and 2 numbers that we can look at.

# %%
def train(n_latent):
    model = nv.Autoencoder.dense(784, (256, 64), n_latent, likelihood="gaussian", rng=np.random.default_rng(1))
    list(nv.fit(model, images[:10000], optimizer=nv.Adam(1e-3), epochs=12, batch_size=100,
                rng=np.random.default_rng(2)))
    return model


def explained(model):
    """The share of the pixels' variance that the reconstruction explains; 0 for the mean image, 1 if perfect."""
    return 1 - np.mean((model.reconstruct(test) - test)**2) / np.mean((pixels.mean(axis=0) - test)**2)


wide, narrow = train(16), train(2)
print(f"explained: {explained(wide):.2f} through 16 numbers, {explained(narrow):.2f} through 2")

# %%
fig, axes = plt.subplots(2, 1, figsize=(8, 4), layout="constrained")
for ax, model, name in zip(axes, (wide, narrow), ("16 numbers", "2 numbers")):
    nv.plots.reconstructions(model, test[:12], ax, columns=12)
    ax.set_title(f"through {name}", fontsize=10)
plt.show()
claim("explained_through_16", explained(wide), 0.76, 0.04, on="strokes")
claim("explained_through_2", explained(narrow), 0.43, 0.07, on="strokes")

# %% [markdown]
# Through 16 numbers the decoder rebuilds images that it has never seen: it explains about 76 % of the variance. Through 2 numbers
# about 43 %. Judged by (1.1), the first is the far better model.
#
# ## Now let it dream
#
# We need codes that come from no image. Three ways to invent them:
#
# 1. draw from $N(0, I)$, as people do with VAEs;
# 2. *fit* a Gaussian to the codes of the training images, mean and covariance, and draw from that: right place, right scale;
# 3. take the codes of two images and go half way between them.

# %%
def invented(model, n=2000):
    codes, rng = model.encode(pixels), np.random.default_rng(3)
    noise = rng.standard_normal((n, model.n_latent))
    fitted = codes.mean(axis=0) + noise @ np.linalg.cholesky(np.cov(codes.T)).T
    first, second = rng.integers(0, len(codes), (2, n))
    return {"N(0, I)": noise, "fitted Gaussian": fitted, "half way": 0.5 * (codes[first] + codes[second])}


dreams = {model.n_latent: invented(model) for model in (wide, narrow)}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
for ax, (name, z) in zip(axes, dreams[16].items()):
    nv.plots.image_grid(wide.decode(z[:30]), ax, columns=6)
    ax.set_title(f"16 numbers: {name}", fontsize=10)
plt.show()

# %% [markdown]
# All three are worse than the reconstructions above. $N(0, I)$ fails first of all by **place and scale**: nothing told the encoder to
# put its codes around 0, with standard deviation 1.

# %%
codes = wide.encode(pixels)
print("means of the 16 codes:              ", np.sort(codes.mean(axis=0)).round(1))
print("standard deviations of the 16 codes:", np.sort(codes.std(axis=0)).round(1))
claim("largest_mean_is_far_from_0", float(np.abs(codes.mean(axis=0)).max() > 0.5), 1, 0)

# %% [markdown]
# But the fitted Gaussian has the right place, scale and correlations, and fails too. So scale is not all. The rest is **geometry**: the
# codes fill some places and leave others empty. In two dimensions we can see the holes.

# %%
flat = narrow.encode(pixels)
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
axes[0].scatter(*flat.T, s=2, c=[nv.plots.CLASSES[label] for label in labels[:10000]], linewidths=0)
axes[0].set(xlabel="code z[0]", ylabel="code z[1]", title="codes of 10,000 images, a colour a digit")
low, high = np.percentile(flat, [1, 99], axis=0)
right, up = np.meshgrid(np.linspace(low[0], high[0], 14), np.linspace(high[1], low[1], 14))
nv.plots.image_grid(narrow.decode(np.column_stack([right.ravel(), up.ravel()])), axes[1], columns=14, gap=0)
axes[1].set_title("the same plane, decoded: between the digits lie no digits", fontsize=10)
plt.show()

# %% [markdown]
# ### Measure the holes
#
# A *hole* is a place further from every training code than images ever are. Take the test images: each of their codes has a nearest
# training code. 99 % of them are nearer than some distance. Call a code beyond that distance "in a hole".

# %%
def nearest(z, codes):
    """The distance of each row of z to the nearest code."""
    square = np.sum(z**2, axis=1)[:, None] + np.sum(codes**2, axis=1) - 2 * z @ codes.T
    return np.sqrt(np.maximum(square.min(axis=1), 0))


def holes(model):
    codes = model.encode(pixels).astype(float)
    own = nearest(model.encode(test).astype(float), codes)
    distances = {name: nearest(z, codes) for name, z in dreams[model.n_latent].items()}
    return own, distances, {name: np.mean(d > np.percentile(own, 99)) for name, d in distances.items()}


own, distances, in_holes = holes(wide)
for name, share in in_holes.items():
    print(f"16 numbers, {name:16s} {share:5.0%} of the codes lie in holes")

# %%
def draw_holes(percent=99):
    fig, ax = plt.subplots(figsize=(7, 3))
    bins = np.linspace(0, max(d.max() for d in distances.values()), 80)
    for (name, d), color in zip({"test images": own, **distances}.items(), (INK, ORANGE, BLUE, GREEN)):
        ax.hist(d, bins, histtype="step", density=True, color=color, label=name)
    ax.axvline(np.percentile(own, percent), color=INK, linestyle="--", linewidth=1)
    ax.set(xlabel="distance to the nearest training code", ylabel="density")
    ax.set_title("Invented codes lie further out than any image's code (dashed: the limit)", fontsize=10)
    ax.legend(frameon=False, fontsize="small")
    plt.show()


draw_holes()

# %%
lesson.slider(draw_holes, percent=(50, 100, 1))

# %%
claim("holes_of_the_prior", in_holes["N(0, I)"], 1.0, 0.1, on="strokes")
claim("holes_of_the_fitted_gaussian", in_holes["fitted Gaussian"], 0.57, 0.15, on="strokes")
claim("holes_half_way", in_holes["half way"], 0.12, 0.1, on="strokes")

# %% [markdown]
# Of the codes from $N(0, I)$ practically all, 100 %, lie in holes. Of those from the fitted Gaussian still 57 %, though their scale is right.
# Half way between two images it is 12 %. Of test images it is 1 %, by definition.
#
# ### And the pictures?
#
# Does a code in a hole decode to nothing? Measure how far each decoded picture is from the most similar training image, and compare
# with the reconstructions of test images.

# %%
def strangeness(pictures):
    return np.median(nearest(pictures.astype(float), pixels))


usual = strangeness(wide.reconstruct(test[:500]))
strange = {name: strangeness(wide.decode(z[:500])) / usual for name, z in dreams[16].items()}
for name, value in strange.items():
    print(f"{name:16s} {value:.2f} times as far from every real image as a reconstruction")
claim("strangeness_of_the_prior", strange["N(0, I)"], 1.44, 0.15, on="strokes")
claim("strangeness_of_the_fitted_gaussian", strange["fitted Gaussian"], 1.34, 0.12, on="strokes")
claim("strangeness_half_way", strange["half way"], 1.18, 0.1, on="strokes")

# %% [markdown]
# The pictures from $N(0, I)$ are 1.44 times as far from every real image as reconstructions are, those of the fitted Gaussian 1.34 times,
# those half way 1.18 times. The decoder has learned what to do where codes lie, and nothing about the rest.

# %% [markdown]
# ## Exercises
#
# **1.1** The gradient (1.3): for pictures `m` and images `x`, both (B, D), of the loss that is the *mean over the batch* of (1.2).

# %% tags=["exercise"]
def squared_error_gradient(m, x, sigma):
    ...    # your code


# %% tags=["solution"]
def squared_error_gradient(m, x, sigma):
    return (m - x) / sigma**2 / len(x)


# %%
check.squared_error_gradient(squared_error_gradient)

# %% [markdown]
# **1.2** Fit a Gaussian to `codes` (N, Z): return the mean (Z,) and the covariance matrix (Z, Z).

# %% tags=["exercise"]
def fit_gaussian(codes):
    ...    # your code


# %% tags=["solution"]
def fit_gaussian(codes):
    mean = codes.mean(axis=0)
    return mean, (codes - mean).T @ (codes - mean) / len(codes)


# %%
check.fit_gaussian(fit_gaussian)

# %% [markdown]
# **1.3** The share of holes: the share of `z` (M, Z) that is further from its nearest row of `codes` (N, Z) than `limit`.

# %% tags=["exercise"]
def share_of_holes(z, codes, limit):
    ...    # your code


# %% tags=["solution"]
def share_of_holes(z, codes, limit):
    distance = np.sqrt(np.sum((z[:, None] - codes)**2, axis=2)).min(axis=1)
    return np.mean(distance > limit)


# %%
check.share_of_holes(share_of_holes)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Good reconstruction does not make a generator. The decoder is trained where codes of images lie, and nowhere else.
# - Codes from $N(0, I)$ fail by scale. Codes of the right scale still fall into holes: that is geometry.
# - Nothing in (1.1) asks the encoder to leave no holes. The variational autoencoder adds exactly that.
#
# Still wrong: before we add anything, one matter of trust. All of this rests on gradients written by hand. Lesson 2 proves them.
