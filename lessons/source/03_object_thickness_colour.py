# %% [markdown]
# # 3. Object, thickness, colour
#
# **The question.** What is a latent variable, and how does one speak of the probability of a picture?
#
# *You need:* lesson 1; densities and integrals. *Time:* 50 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.functional.likelihoods import gaussian_nll
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(3, DATA)
claim, check = lesson.claim, lesson.check
rng = np.random.default_rng(3)

# %% [markdown]
# ## The derivation
#
# Before drawing a digit, you decide: *which* digit, how *thick* the line, which *colour*. These decisions are not in the picture as such;
# they lie behind it. They are *latent variables*. In `strokes`, this project's data, they are known for every image:

# %%
coloured, table = nv.datasets.strokes(4000, seed=0, colour=True)
grey, _ = nv.datasets.strokes(4000, seed=0)
threes = np.flatnonzero((table["label"] == 3) & (np.abs(table["rotation"]) < 4))
medium = threes[np.abs(table["thickness"][threes] - 3) < 0.4]
fig, axes = plt.subplots(3, 1, figsize=(8, 3.4), layout="constrained")
for ax, factor, among, pictures in zip(axes, ("thickness", "slant", "hue"), (threes, medium, medium),
                                       (grey, grey, coloured)):
    order = among[np.argsort(table[factor][among])]
    chosen = order[np.linspace(0, len(order) - 1, 14).astype(int)]
    nv.plots.image_grid(pictures[chosen], ax, columns=14)
    low, high = table[factor][chosen[[0, -1]]]
    ax.set_title(f"{factor}: from {low:.1f} to {high:.1f} {'pixels' if factor == 'thickness' else 'degrees'}", fontsize=9)
plt.show()

# %% [markdown]
# **Symbols.** $z$ are the latent variables, a few numbers. $x$ is the picture, $D$ numbers. A model of pictures has two parts.
#
# 1. The *prior* $p(z)$: how likely each decision is. We choose the standard Gaussian $N(0, I)$. It has no thickness and no slant in it: a
#    flexible function can turn a Gaussian number into any of them.
# 2. The *likelihood* $p(x\,|\,z)$: given the decisions, a picture $f(z)$ is drawn, with some noise on each pixel:
#    $N(f(z), \sigma^2 I)$. $f$ is a network, $\sigma$ is chosen.
#
# (A slide of the lecture prints $N(f(x), \sigma^2 I)$. It must read $f(z)$: nothing is known of $x$ yet.)
#
# **The law of total probability** gives the density of a picture. It may have come from any $z$, so add up all of them:
#
# $$p(x) = \int p(x\,|\,z)\,p(z)\,dz \tag{3.1}$$
#
# Training makes $p(x)$ large for the pictures we have.

# %% [markdown]
# **Drawing a picture** follows the same order, from the ancestors down. It is called *ancestral sampling*:
#
# $$z \sim N(0, I),\qquad x = f(z) + \sigma\,\eta,\quad \eta\sim N(0, I) \tag{3.2}$$
#
# Note that $f(z)$ is not the sample. It is the *mean* of the samples that this $z$ can give.
#
# **The density in logarithms.** For one pixel the Gaussian density is
# $\frac{1}{\sigma\sqrt{2\pi}}e^{-(x-m)^2/(2\sigma^2)}$ with $m = f(z)$. Pixels are independent given $z$: densities multiply, so
# logarithms add:
#
# $$-\log p(x\,|\,z) = \sum_i\Big[\frac{(x_i - m_i)^2}{2\sigma^2} + \log\sigma + \tfrac12\log 2\pi\Big] \tag{3.3}$$
#
# A *density* may be larger than 1: with $\sigma = 0.1$ it is 3.99 at its peak. Only its integral must be 1. So $\log p(x)$ may be above 0.

# %%
peak = float(np.exp(-gaussian_nll(np.zeros((1, 1)), np.zeros((1, 1)), 0.1))[0])
claim("peak_of_a_density", peak, 3.99, 0.005)

# %% [markdown]
# ## The code
#
# Equation (3.3), and the integral (3.1) as a sum over a grid of $z$:
#
# $$p(x) \approx \sum_n p(x\,|\,z_n)\, w_n,\qquad w_n = p(z_n)\,h^Z \tag{3.4}$$
#
# with $h$ the distance of grid points. That works for one or two latent dimensions, and there it gives the truth.

# %%
lesson.show(gaussian_nll, "3.3")

# %%
lesson.show(exact.log_joint, "3.4")

# %% [markdown]
# ## The experiment
#
# We need some $f$. Here are two decoders for pictures of 14 × 14 pixels, one with 1 and one with 2 latent dimensions. How they were
# trained is the story of the next lessons; here they are given.

# %%
def shrink(images):
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255


train, test = shrink(lesson.images("train")[0][:10000]), shrink(lesson.images("test")[0][:200])
sigma = 0.5
models = {}
for n_latent in (1, 2):
    models[n_latent] = nv.VAE.dense(196, (100,), n_latent, likelihood="gaussian", sigma=sigma, activation="tanh",
                                    rng=np.random.default_rng(1))
    list(nv.fit(models[n_latent], train, optimizer=nv.Adam(2e-3), epochs=10, batch_size=100,
                rng=np.random.default_rng(2)))
    models[n_latent] = models[n_latent].astype(np.float64)

# %%
f = models[1].decode
fig, axes = plt.subplots(2, 1, figsize=(8, 2), layout="constrained")
z = np.linspace(-2.4, 2.4, 14)[:, None]
nv.plots.image_grid(f(z), axes[0], columns=14)
axes[0].set_title("f(z), one latent dimension, z from -2.4 to 2.4: the mean pictures", fontsize=10)
nv.plots.image_grid(f(z) + sigma * rng.standard_normal((14, 196)), axes[1], columns=14)
axes[1].set_title("samples x = f(z) + σ η: what the model really draws", fontsize=10)
plt.show()

# %% [markdown]
# **The truth by quadrature.** Refine the grid until nothing changes.

# %%
for n_latent, coarse, fine in ((1, 400, 4000), (2, 150, 300)):
    differences = exact.log_likelihood(models[n_latent], test[:5], points=fine) - exact.log_likelihood(
        models[n_latent], test[:5], points=coarse)
    print(f"{n_latent} dimensions: a finer grid changes log p(x) by at most {np.abs(differences).max():.1e} nats")
    claim("grid_is_fine_enough", np.abs(differences).max(), 0.0, 1e-6)

# %% [markdown]
# **Naive Monte Carlo.** The integral (3.1) is an average over the prior. So draw $z$ from the prior and average $p(x\,|\,z)$:
# $\hat p(x) = \frac1N\sum_n p(x\,|\,z_n)$. It is unbiased. Its error?

# %%
def squared_distances(model, images, z):
    m = model.decode(z)
    return np.sum(images**2, axis=1)[:, None] + np.sum(m**2, axis=1) - 2 * images @ m.T


def log_density(squares, sigma, D=196):
    return -squares / (2 * sigma**2) - D * np.log(sigma * np.sqrt(2 * np.pi))


def relative_error(n_latent, counts, repeats=40):
    model, images = models[n_latent], test[:20]
    truth = exact.log_likelihood(model, images, points=1000 if n_latent == 1 else 150)[:, None]
    found = []
    for n in counts:
        ratios = [np.mean(np.exp(log_density(squared_distances(model, images, rng.standard_normal((n, n_latent))),
                                             sigma) - truth), axis=1) for _ in range(repeats)]
        found.append(np.sqrt(np.mean((np.array(ratios) - 1)**2)))
    return np.array(found)

# %%
counts = np.array([30, 100, 300, 1000, 3000, 10000])
fig, ax = plt.subplots(figsize=(6.5, 3.2))
for n_latent, color in ((1, BLUE), (2, ORANGE)):
    error = relative_error(n_latent, counts)
    ax.loglog(counts, error, "o-", color=color, label=f"{n_latent} latent dimension{'s' * (n_latent - 1)}")
    slope = np.polyfit(np.log(counts), np.log(error), 1)[0]
    claim("slope_of_the_error", slope, -0.5, 0.12)
ax.loglog(counts, error[0] * (counts / counts[0])**-0.5, color=INK, linestyle="--", linewidth=1, label="slope -½")
ax.set(xlabel="number of draws N", ylabel="relative error of p(x)")
ax.set_title("Naive Monte Carlo: a hundred times the draws for one more digit", fontsize=10)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The error falls with $N^{-1/2}$, in one dimension and in two. With two it starts higher: fewer draws hit the $z$ that matter.
#
# **What σ does.** Take the same $f$ and other $\sigma$. The density of the test pictures, by quadrature:

# %%
grid, log_w = exact.latent_grid(2, points=150)
squares = squared_distances(models[2], test, grid)
sigmas = np.linspace(0.12, 0.8, 60)
mean_log_p = [exact.log_sum_exp(log_density(squares, s) + log_w).mean() for s in sigmas]
claim("two_ways_to_one_number", exact.log_sum_exp(log_density(squares, sigma) + log_w).mean()
      - exact.log_likelihood(models[2], test, points=150).mean(), 0.0, 1e-6)
best = sigmas[np.argmax(mean_log_p)]


def effective_number(s, n=10_000):
    log_p = log_density(squared_distances(models[2], test[:50], np.random.default_rng(4).standard_normal((n, 2))), s)
    w = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.median(w.sum(axis=1)**2 / np.sum(w**2, axis=1))

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3), layout="constrained")
axes[0].plot(sigmas, mean_log_p, color=BLUE)
axes[0].axvline(best, color=INK, linestyle="--", linewidth=1)
axes[0].set(xlabel="σ", ylabel="mean log p(x), nats", title=f"best at σ = {best:.2f}")
axes[1].semilogy(sigmas, [effective_number(s) for s in sigmas], color=ORANGE)
axes[1].set(xlabel="σ", ylabel="draws that count, of 10,000", title="small σ: most draws are wasted")
plt.show()
claim("best_sigma", best, 0.18, 0.03, on="strokes")

# %% [markdown]
# σ is not a detail. For this $f$ the pictures are likeliest near $\sigma = 0.18$: that is how far $f(z)$ really is from them. And the
# smaller σ, the fewer $z$ explain a picture, so the fewer draws from the prior count. Someone has to *propose* the right $z$: lesson 4.
#
# Which $z$ explain a picture? Bayes' rule: those with a large $p(x\,|\,z)\,p(z)$. Move σ and watch the posterior:

# %%
def draw_posterior(s=0.5):
    log_p = log_density(squares[0], s) + log_w
    p = np.exp(log_p - log_p.max()).reshape(150, 150).T
    fig, axes = plt.subplots(1, 2, figsize=(6, 2.9), layout="constrained", width_ratios=(1, 2))
    nv.plots.image_grid(test[:1], axes[0])
    axes[1].imshow(p, extent=(-6, 6, -6, 6), origin="lower", cmap="viridis")
    axes[1].set(xlim=(-4, 4), ylim=(-4, 4), xlabel="z[0]", ylabel="z[1]", title=f"which z explain it, σ = {s:.2f}")
    plt.show()


draw_posterior()

# %%
lesson.slider(draw_posterior, s=(0.15, 2.0, 0.05))

# %% [markdown]
# ## Exercises
#
# **3.1** The logarithm of the Gaussian density (3.3), with its sign turned: `x`, `m` (B, D) in, $\log p(x\,|\,z)$ (B,) out. The check
# integrates it.

# %% tags=["exercise"]
def log_likelihood(x, m, sigma):
    ...    # your code


# %% tags=["solution"]
def log_likelihood(x, m, sigma):
    return -np.sum((x - m)**2 / (2 * sigma**2) + np.log(sigma) + 0.5 * np.log(2 * np.pi), axis=1)


# %%
check.log_likelihood(log_likelihood)

# %% [markdown]
# **3.2** Ancestral sampling (3.2): draw `n` pairs with two latent dimensions; return `z` (n, 2) and `x` (n, D). `f` takes `z`.

# %% tags=["exercise"]
def ancestral_sampling(f, sigma, n, rng):
    ...    # your code


# %% tags=["solution"]
def ancestral_sampling(f, sigma, n, rng):
    z = rng.standard_normal((n, 2))
    mean = f(z)
    return z, mean + sigma * rng.standard_normal(mean.shape)


# %%
check.ancestral_sampling(ancestral_sampling)

# %% [markdown]
# **3.3** The posterior on a grid: from `log_px_given_z` (N,) and `log_w` (N,), the logarithms of likelihood and prior weight at each grid
# point, return the probability of each point. The logarithms may be as low as $-2000$.

# %% tags=["exercise"]
def grid_posterior(log_px_given_z, log_w):
    ...    # your code


# %% tags=["solution"]
def grid_posterior(log_px_given_z, log_w):
    log_p = log_px_given_z + log_w
    p = np.exp(log_p - log_p.max())
    return p / p.sum()


# %%
check.grid_posterior(grid_posterior)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - A latent variable is a decision behind the picture. $p(x)$ adds up all decisions, (3.1).
# - $f(z)$ is a mean. The sample has noise of size $\sigma$ on it, and $\sigma$ decides which $z$ can explain a picture.
# - Quadrature is exact for one or two dimensions. Naive Monte Carlo works in any number, and wastes nearly all its draws.
#
# Still wrong: real models have twenty latent dimensions. We need someone who looks at $x$ and proposes $z$. That is lesson 4.
