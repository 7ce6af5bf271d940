# %% [markdown]
# # 8. How likely is this image?
#
# **The question.** What is $\log p(x)$ of my test set, and how far off is the number that I report?
#
# **After this lesson you can**
#
# - estimate $\log p(x)$ with weighted draws, and state it in nats or in bits per pixel;
# - prove that the estimate is too low on average, and that more draws bring it nearer;
# - say by how much it is too low, and recognize the case in which no number of draws helps;
# - find three bugs that turn it into a wrong bound;
# - say why a blank page beats nearly every digit.
#
# *You need:* lesson 3 (Bernoulli pixels, sums over a grid, the effective number), lesson 4 (the ELBO, the best diagonal
# $q$), lesson 6 (draws $z = \mu + \sigma\varepsilon$). The [refresher](00_refresher.ipynb) has variance and
# log-sum-exp, the [glossary](00_glossary.ipynb) every symbol. *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import evaluation, exact
from numpyvae.course import Lesson
from numpyvae.functional.gaussian import gaussian_kl
from numpyvae.museum import iwae as museum
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(8, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about the blue parts. All of them are known once a VAE is trained; nothing is trained here but for the
# experiment.

# %%
nv.plots.show_diagram("q(z|x)", "z", "p(x|z)", "p(z)")

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is an image, $p(x) = \int p(x\,|\,z)\,p(z)\,dz$ how likely the model finds it. $q(z)$ is short for
# the encoder's $q(z\,|\,x)$. $K$ is the number of draws $z_1, \dots, z_K$ from $q$.
#
# With two latent dimensions a sum over a grid gives $p(x)$. With twenty it does not, so we need draws. Lesson 3 drew
# from the prior. Most of those draws say nothing about $x$. Now draw from $q$, which prefers the $z$ that matter. To
# make up for that preference each draw gets a *weight*:
#
# $$p(x) = \int q(z)\,\frac{p(x\,|\,z)\,p(z)}{q(z)}\,dz = \mathrm E_q[w],\qquad
# w = \frac{p(x\,|\,z)\,p(z)}{q(z)} \tag{8.1}$$
#
# So the mean of $K$ weights, $\bar w = \frac1K\sum_k w_k$, is an unbiased estimate of $p(x)$, whatever $q$ is, as long
# as it is nowhere 0. This is called *importance sampling*. What people report is the logarithm. Its average is
#
# $$L_K = \mathrm E\Big[\log\frac1K\sum_{k=1}^K w_k\Big] \tag{8.2}$$
#
# For $K = 1$ it is $\mathrm E_q[\log p(x|z) + \log p(z) - \log q(z)]$: the ELBO of lesson 4.
#
# **In the computer.** A weight may be $e^{-2000}$, so we only have $a_k = \log w_k$. A mean is a sum divided by $K$,
# and the sum goes through the log-sum-exp of (3.5). This is *log-mean-exp*:
#
# $$\log\frac1K\sum_k e^{a_k} = \log\sum_k e^{a_k} - \log K \tag{8.3}$$

# %% [markdown]
# **Predict first.** $\bar w$ is right on average. Is $\log\bar w$ right on average too?
#
# <details><summary>Answer</summary>
#
# No, it is too low. Say $\bar w$ is half the time $\frac12 p(x)$ and half the time $\frac32 p(x)$: right on average.
# The logarithms are off by $\log\frac12 = -0.69$ and $\log\frac32 = +0.41$, on average by $-0.14$.
# </details>
#
# ### Too low, and less so with more draws
#
# *Step 1: $L_K \le \log p(x)$.* Lesson 4 proved $\log t \le t - 1$. Put $t = \bar w/p(x)$ in and take the average. As
# $\mathrm E[\bar w] = p(x)$, the right side is 0:
#
# $$\mathrm E\big[\log\bar w\big] - \log p(x) = \mathrm E\Big[\log\frac{\bar w}{p(x)}\Big]
# \le \mathrm E\Big[\frac{\bar w}{p(x)} - 1\Big] = 0$$
#
# *Step 2: leave one out.* Take $K + 1$ weights with the mean $\bar w$. Leave out one of them, the $j$-th, and call the
# mean of the other $K$ weights $\bar w_j$. There are $K + 1$ such means. Each weight is in $K$ of them, with the factor
# $\frac1K$ each time. So the means add up to the sum of all weights, and their average is $\bar w$.
#
# *Step 3: the same inequality, with $t = \bar w_j/\bar w$, averaged over $j$.* By step 2 the average of
# $\bar w_j/\bar w$ is 1, so the right side is 0 again:
#
# $$\frac1{K+1}\sum_j\log\bar w_j - \log\bar w \le \frac1{K+1}\sum_j\Big(\frac{\bar w_j}{\bar w} - 1\Big) = 0$$
#
# *Step 4: average over the draws.* Each $\bar w_j$ is a mean of $K$ weights, so $\mathrm E[\log\bar w_j] = L_K$, for
# every $j$. And $\mathrm E[\log\bar w] = L_{K+1}$. Together with step 1:
#
# $$\text{ELBO} = L_1 \le L_2 \le \dots \le L_K \le L_{K+1} \le \dots \le \log p(x) \tag{8.4}$$
#
# With more draws the bound can only rise. This is the *importance-weighted bound*. If $q$ is the posterior, Bayes' rule
# (4.1) says that every weight is $p(x)$: one draw is enough.

# %% [markdown]
# ### By how much is it too low?
#
# *Step 1.* Write $\bar w = p(x)\,(1 + \delta)$. The error $\delta$ has the mean 0. The variance of a mean of $K$ draws
# is a $K$-th of that of one draw, so $\mathrm E[\delta^2] = \mathrm{var}(w)/\big(K\,p(x)^2\big)$.
#
# *Step 2.* For a small $\delta$, $\log(1 + \delta) = \delta - \frac12\delta^2 + \dots$ Take the average:
#
# $$\log p(x) - L_K \approx \frac{\mathrm{var}(w)}{2K\,p(x)^2} \tag{8.5}$$
#
# The *bias* falls like $1/K$. The scatter of one estimate is $\delta$ itself, which falls like $1/\sqrt K$.
#
# All of this needs a variance. Does $w$ have one?

# %% [markdown]
# ### A case that can be solved on paper
#
# Lesson 4 took a posterior $N(0, C)$ in two dimensions, with variances 1 and correlation $\rho$. The best diagonal $q$,
# the one with the highest ELBO, has the variances $s^2 = 1 - \rho^2$ (4.6). Let $p(x) = 1$. Then the answer,
# $\log p(x)$, is exactly 0, and $w$ is the posterior's density over that of $q$.
#
# *Step 1: the weight.* With $z_0 = s\,\varepsilon_1$ and $z_1 = s\,\varepsilon_2$, the exponent of the posterior is
#
# $$-\tfrac12 z^T C^{-1} z = -\frac{z_0^2 - 2\rho z_0 z_1 + z_1^2}{2(1-\rho^2)}
# = -\tfrac12\varepsilon_1^2 - \tfrac12\varepsilon_2^2 + \rho\,\varepsilon_1\varepsilon_2$$
#
# and that of $q$ is $-\frac12\varepsilon_1^2 - \frac12\varepsilon_2^2$. What remains is
# $\rho\,\varepsilon_1\varepsilon_2$. The factors in front are $\frac1{2\pi\sqrt{\det C}}$ with $\det C = 1 - \rho^2$,
# and $\frac1{2\pi s^2}$. So
#
# $$w = \sqrt{1-\rho^2}\;e^{\rho\,\varepsilon_1\varepsilon_2} \tag{8.6}$$
#
# *Step 2: two averages.* For a number $a$ and $\varepsilon$ from $N(0, 1)$, complete the square:
# $a\varepsilon - \frac12\varepsilon^2 = \frac12 a^2 - \frac12(\varepsilon - a)^2$. The bell around $a$ has the same
# area as the one around 0, so $\mathrm E[e^{a\varepsilon}] = e^{a^2/2}$. And $\mathrm E[e^{b\varepsilon^2/2}]$ has the
# exponent $-\frac12(1 - b)\,\varepsilon^2$. **If $b < 1$** that is a bell of variance $\frac1{1-b}$, and its area is
# $\frac1{\sqrt{1-b}}$ times that of the standard one. For $b \ge 1$ the integrand does not fall, and the integral is
# infinite.
#
# *Step 3: the average of $w^n$.* First over $\varepsilon_2$, with $a = n\rho\,\varepsilon_1$, then over
# $\varepsilon_1$, with $b = n^2\rho^2$:
#
# $$\mathrm E[w^n] = (1-\rho^2)^{n/2}\;\mathrm E\big[e^{n^2\rho^2\varepsilon_1^2/2}\big]
# = \frac{(1-\rho^2)^{n/2}}{\sqrt{1 - n^2\rho^2}}\quad\text{if } n\,|\rho| < 1,\text{ else infinite} \tag{8.7}$$

# %% [markdown]
# $n = 1$ gives $\mathrm E[w] = 1$, as it must. $n = 2$ gives the variance, $\mathrm E[w^2] - 1$, and **it is finite
# only for $|\rho| < \frac12$**. At a higher correlation the $q$ that is best for the ELBO has weights of infinite
# variance. Now and then a draw weighs so much that it outdoes all others, and until it comes, the estimate is too low.
#
# **How heavy the tail is** can be read from (8.7): the moments $\mathrm E[w^n]$ are finite for $n < 1/|\rho|$. A tail
# whose moments are finite below $n = 1/k$ is said to have the *shape* $k$. Here
#
# $$k = |\rho| \tag{8.8}$$
#
# The shape can be estimated from the largest of the weights that were drawn: $\hat k$, *k-hat*. From $k = \frac12$ on,
# the variance is infinite, so a $\hat k$ above $\frac12$ is a warning.
#
# ### Nats and bits
#
# For black-and-white pixels $p(x)$ is a probability, and $\log p(x)$ is at most 0 (lesson 3). A nat is
# $1/\log 2 = 1.44$ bits. To compare images of several sizes, divide by the number of pixels $D$:
#
# $$\text{bits per pixel} = \frac{-\log p(x)}{D\,\log 2} \tag{8.9}$$
#
# That is how many bits a good compression that uses this model needs for each pixel, on average.

# %% [markdown]
# ## The code
#
# The weight (8.1), log-mean-exp (8.3), the bound (8.4) as an objective that one can train with, and the shape (8.8), as
# they run in the package:

# %%
lesson.show(nv.VAE.log_weight, "8.1")

# %%
lesson.show(exact.log_mean_exp, "8.3")

# %%
lesson.show(nv.objectives.iwae, "8.4")

# %%
lesson.show(evaluation.pareto_k, "8.8")

# %% [markdown]
# ## The experiment on paper's case
#
# First the formulas. The weight (8.6) against the two densities, and the moments (8.7) against a sum over a grid:

# %%
def toy_log_weights(rho, eps):
    """log w by (8.6); eps holds pairs."""
    return 0.5 * np.log(1 - rho**2) + rho * eps[..., 0] * eps[..., 1]


def moment(rho, n):
    """(8.7), where it is finite."""
    return (1 - rho**2)**(n / 2) / np.sqrt(1 - n**2 * rho**2)


rng = np.random.default_rng(0)
C, S, eps = np.array([[1, 0.8], [0.8, 1]]), (1 - 0.8**2) * np.eye(2), rng.standard_normal((1000, 2))
z = np.sqrt(1 - 0.8**2) * eps
by_densities = exact.gaussian_log_likelihood(z, np.zeros(2), C) - exact.gaussian_log_likelihood(z, np.zeros(2), S)
claim("weight_by_the_two_densities", np.abs(toy_log_weights(0.8, eps) - by_densities).max(), 0.0, 1e-10)

# %%
grid_eps, grid_log_w = exact.latent_grid(2, points=120, reach=15)
for rho, n in ((0.3, 1), (0.3, 2), (0.3, 3), (0.8, 1)):
    on_the_grid = np.sum(np.exp(grid_log_w + n * toy_log_weights(rho, grid_eps)))
    claim("moment_over_formula", on_the_grid / moment(rho, n), 1.0, 1e-8)

# %% [markdown]
# **The bias, measured** at $\rho = 0.3$, where the variance is $0.1375$. We need the average of $\log\bar w$ to four
# digits. A trick of lesson 6 helps: $\bar w - 1$ has the mean 0, so it may be subtracted, as a baseline may. It takes
# nearly all of the noise away, since $\log\bar w \approx \bar w - 1$.

# %%
counts = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
million = np.exp(toy_log_weights(0.3, rng.standard_normal((1_000_000, 2))))
means = [million.reshape(-1, K).mean(axis=1) for K in counts]    # many runs of K draws each
bias = np.array([-np.mean(np.log(mean) - (mean - 1)) for mean in means])
variance = moment(0.3, 2) - 1
predicted = variance / (2 * counts)    # (8.5)
claim("variance_of_a_weight_at_rho_0.3", variance, 0.1375, 5e-5)
claim("measured_bias_over_predicted_at_K_100", bias[6] / predicted[6], 1.0, 0.06)
claim("measured_bias_over_predicted_at_K_1", bias[0] / predicted[0], 0.69, 0.02)
holds("the measured bias falls from each K to the next", np.all(np.diff(bias) < 0))

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.loglog(counts, predicted, color=INK, linestyle="--", linewidth=1, label="var(w) / (2 K p²)")
ax.loglog(counts, bias, "o", color=BLUE, label="measured")
ax.set(xlabel="draws K", ylabel="log p(x) − bound, nats")
ax.set_title("ρ = 0.3: ten times the draws, a tenth of the bias", fontsize=10)
ax.legend(frameon=False)
nv.plots.show("Bias against the number of draws, both on logarithmic axes. Ten dots fall along a dashed straight line; "
              "the first one, for a single draw, lies a little below it.")

# %% [markdown]
# At $K = 1$ the formula is off by a third, as $\delta$ is not small; from ten draws on it holds.
#
# **And where the variance is infinite?** Below are ten runs for each of three $\rho$. Each line is one run's estimate
# of $\log p(x)$ as its draws come in. The truth is 0.
#
# **Predict first.** The usual warning sign is the effective number of lesson 3, $n_\text{eff} = (\sum w)^2/\sum w^2$.
# At $\rho = 0.9$ no fixed share of the draws counts in the long run: the share tends to
# $\mathrm E[w]^2/\mathrm E[w^2] = 0$. What will it be in a run of 1000 draws: about 1, about 100, or about 500?
#
# <details><summary>Answer</summary>
#
# About 100. The weights that would push it down to nothing are the ones that were not drawn.
# </details>

# %%
noise = rng.standard_normal((400, 1000, 2))    # 400 runs of 1000 draws


def effective_number(log_w):
    w = np.exp(log_w - log_w.max(axis=-1, keepdims=True))
    return w.sum(axis=-1)**2 / np.sum(w**2, axis=-1)


# %% tags=["hide-input"]
def draw_runs(ax, rho):
    log_w = toy_log_weights(rho, noise[:10])
    so_far = np.logaddexp.accumulate(log_w, axis=1) - np.log(np.arange(1, 1001))
    ax.semilogx(np.arange(1, 1001), so_far.T, color=BLUE, linewidth=0.8, alpha=0.7)
    ax.axhline(0, color=INK, linestyle="--", linewidth=1)
    count = np.median(effective_number(toy_log_weights(rho, noise)))
    ax.set(xlim=(10, 1000), ylim=(-1, 1), xlabel="draws K", ylabel="estimate of log p(x)")
    ax.set_title(f"ρ = {rho:.2f}\neffective number {count:.0f} of 1000", fontsize=10)


nv.plots.strip(draw_runs, (0.3, 0.6, 0.9), "Three frames with ten lines each, the estimates of ten runs against the "
               "number of draws. For ρ = 0.3 all lines close in on the exact 0, for ρ = 0.6 more slowly. For "
               "ρ = 0.9 most lines stay below 0, and now and then one jumps up.", size=(3.2, 2.7))

# %%
lesson.slider(lambda rho: nv.plots.strip(draw_runs, [rho], "ten runs", size=(6, 3)), rho=(0.0, 0.96, 0.04))

# %%
log_w = toy_log_weights(0.9, noise)
estimates, count = exact.log_mean_exp(log_w), effective_number(log_w)
print(f"1000 draws: median estimate {np.median(estimates):.2f}, median effective number {np.median(count):.0f}")
claim("median_estimate_at_rho_0.9", np.median(estimates), -0.27, 0.03)
claim("median_effective_number_at_rho_0.9", np.median(count), 95, 20)
claim("share_of_runs_below_the_truth", np.mean(estimates < 0), 0.86, 0.06)
many = toy_log_weights(0.9, rng.standard_normal((400, 10_000, 2)))
print(f"10,000 draws: median estimate {np.median(exact.log_mean_exp(many)):.2f}, median effective number "
      f"{np.median(effective_number(many)):.0f}")
claim("median_estimate_with_10000_draws", np.median(exact.log_mean_exp(many)), -0.19, 0.05)
claim("median_effective_number_with_10000_draws", np.median(effective_number(many)), 220, 80)

# %% [markdown]
# Read that as somebody would who does not know the truth. "About 95 of my 1000 draws count, so the error is about
# $1/\sqrt{95} = 0.1$ nats." In truth the median run is 0.27 too low, and more than four runs in five are too low. Ten times
# the draws bring that to less than 0.2, where $1/\sqrt K$ promises a third. The effective number is computed from the same
# draws, so it misses the same weights.
#
# **What does notice?** Two things. The *share* of draws that count should settle as $K$ grows, and here it falls. And
# the shape $\hat k$ looks at how the largest weights are spaced.

# %%
rhos = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
shares = [np.median(effective_number(toy_log_weights(rho, noise))) / 1000 for rho in rhos]
longer = noise.reshape(40, -1, 2)    # 40 runs of 10,000 draws
shares_of_many = [np.median(effective_number(toy_log_weights(rho, longer))) / 10_000 for rho in rhos]
shapes = np.array([evaluation.pareto_k(toy_log_weights(rho, noise[:100])) for rho in rhos])
below = np.linspace(0, 0.5, 200)[:-1]
limit = [1 / moment(rho, 2) for rho in below]
claim("share_that_counts_at_rho_0.3", shares[1], 1 / moment(0.3, 2), 0.02)
claim("share_that_counts_at_rho_0.6", shares[4], 0.46, 0.05)
claim("mean_shape_at_rho_0.3", shapes[1].mean(), 0.3, 0.06)
claim("mean_shape_at_rho_0.9", shapes[-1].mean(), 0.75, 0.06)
claim("share_of_runs_warned_at_rho_0.9", np.mean(shapes[-1] > 0.5), 0.94, 0.06)
claim("share_of_runs_warned_at_rho_0.3", np.mean(shapes[1] > 0.5), 0.06, 0.06)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3), layout="constrained")
axes[0].plot([*below, 0.5, 1], [*limit, 0, 0], color=INK, linestyle="--", linewidth=1, label="exact, many draws")
axes[0].plot(rhos, shares, "o-", color=BLUE, label="seen in 1000 draws")
axes[0].plot(rhos, shares_of_many, "o-", color=GREEN, label="seen in 10,000 draws")
axes[0].set(xlabel="ρ", ylabel="share of draws that count", title="the effective number hardly notices")
axes[0].legend(frameon=False, fontsize="small")
axes[1].plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="exact: k = ρ")
axes[1].axhline(0.5, color=ORANGE, linewidth=1, label="from here on: infinite variance")
axes[1].errorbar(rhos, shapes.mean(axis=1), shapes.std(axis=1, ddof=1), fmt="o", color=BLUE, label="k-hat, 1000 draws")
axes[1].set(xlabel="ρ", ylabel="shape of the tail", title="the shape does")
axes[1].legend(frameon=False, fontsize="small")
nv.plots.show("Left: the share of draws that count against ρ. The exact curve falls to 0 at ρ = 0.5. The share seen in "
              "1000 draws goes on smoothly, above one half there and near 0.1 at ρ = 0.9; that in 10,000 is lower. "
              "Right: the mean k-hat of runs follows the line k = ρ up to 0.4, then rises less steeply, to 0.75.")

# %% [markdown]
# In this case the effective number goes on as if nothing had happened at $\rho = \frac12$. At $\rho = 0.6$ it says that
# nearly half of the draws count. With $\hat k$ we are warned: it is above one half in more than 90 % of the runs at
# $\rho = 0.9$, and in about 6 % at $\rho = 0.3$. Near one half it goes either way: 1000 draws do not know better.
#
# ## The experiment on images
#
# Pictures of 14 × 14 pixels, drawn black or white *once*: a pixel of brightness 0.7 becomes 1 with probability 0.7. So
# the test set stays the same for all models, and $p(x)$ is a probability. Five VAEs from five starts, with two latent
# dimensions, so that a sum over a grid tells the truth.

# %%
def shrink(images):
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255


def black_and_white(images, seed):
    brightness = shrink(images)
    return (np.random.default_rng(seed).random(brightness.shape) < brightness).astype(np.float64)


def train(seed):
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(196, (50,), 2, activation="tanh", rng=rng)
    for record in nv.fit(vae, pictures, optimizer=nv.Adam(3e-3), epochs=8, batch_size=100, rng=rng):
        pass
    return vae.astype(np.float64)


# %%
pictures = black_and_white(lesson.images("train")[0][:6000], seed=0)
x = black_and_white(lesson.images("test")[0][:100], seed=1)
models = [train(seed) for seed in range(5)]
vae = models[0]

# %% [markdown]
# **The truth**, by (3.4). For black-and-white pixels (3.6) is $\log p(x|z) = \sum_i x_i a_i - \log(1 + e^{a_i})$: one
# product of matrices for all images and all points of the grid.

# %%
grid, log_cell = exact.latent_grid(2, points=160)


def log_px_given_z(vae, images, z):
    """log p(x|z) of each image (rows) for each z (columns), by (3.6)."""
    logits = vae.generate(z)
    return images @ logits.T - np.logaddexp(0, logits).sum(axis=1)


def truth(vae, images):
    return exact.log_sum_exp(log_px_given_z(vae, images, grid) + log_cell)


log_px = np.array([truth(vae, x) for vae in models])    # (5, 100)
claim("truth_against_the_package_with_its_own_grid", np.abs(
    log_px[0, :5] - exact.log_likelihood(vae, x[:5], points=150)).max(), 0.0, 1e-6)
holds("log p(x) is never above 0", np.all(log_px <= 0))

# %%
log_w = [evaluation.log_weights(vae, x, 1000, rng=np.random.default_rng(8)) for vae in models]    # (100, 1000) each
elbo = np.array([one.mean(axis=1) for one in log_w])
ink = pictures.mean(axis=0).clip(1e-4, 1 - 1e-4)    # how often each pixel is 1
independent = np.sum(x * np.log(ink) + (1 - x) * np.log(1 - ink), axis=1)
grey = shrink(lesson.images("test")[0][:100]).clip(1e-12, 1 - 1e-12)
dice = np.sum(grey * np.log(grey) + (1 - grey) * np.log(1 - grey), axis=1)


# %%
def bits_per_pixel(log_p):
    return -np.mean(log_p) / (196 * np.log(2))


for name, value in (("independent pixels", independent), ("five VAEs, ELBO", elbo),
                    ("five VAEs, log p(x)", log_px), ("the dice alone", dice)):
    print(f"{name:20} {np.mean(value):7.2f} nats, {bits_per_pixel(value):.3f} bits per pixel")
claim("bits_per_pixel_of_independent_pixels", bits_per_pixel(independent), 0.361, 0.005, on="strokes")
claim("bits_per_pixel_of_the_dice", bits_per_pixel(dice), 0.141, 0.005, on="strokes")
claim("bits_per_pixel", bits_per_pixel(log_px), 0.335, 0.01, on="strokes")
claim("nats_per_pixel", -log_px.mean() / 196, 0.232, 0.007, on="strokes")
claim("elbo_is_too_low_by", np.mean(log_px - elbo), 0.2, 0.06, on="strokes")
holds("in all five models the mean ELBO is below the mean log p(x)", np.all(elbo.mean(axis=1) < log_px.mean(axis=1)))

# %% [markdown]
# If nothing were known, each pixel would cost 1 bit. If one knows how often each pixel is ink, and no more, it costs
# 0.361 bits; the VAE needs about 0.335. The last line is a floor: we threw dice for each pixel, and even somebody who knows
# the grey picture cannot foresee those. (The unit matters: whoever reports 0.23 for the same model has forgotten
# $\log 2$.)
#
# **The bound against $K$.** For one image, 50 runs; from $q$, and from the prior. From the prior the weight is
# $p(x\,|\,z)$, since $q = p(z)$ in (8.1).
#
# **Predict first.** How many draws from the prior are needed to come as near as *one* draw from $q$?
#
# <details><summary>Answer</summary>
#
# On average over the images fifty to eighty, and for the image below some two hundred. With two latent dimensions that is
# no obstacle. For more dimensions see below.
# </details>
#
# We take the image for which $q$ is farthest from the prior: its KL to the prior is largest.

# %%
mu, logvar = vae.encode(x)
IMAGE = int(np.argmax(gaussian_kl(mu, logvar)))
from_q = evaluation.log_weights(vae, np.repeat(x[[IMAGE]], 50, axis=0), 1000, rng=np.random.default_rng(3))
from_prior = log_px_given_z(vae, x[[IMAGE]], np.random.default_rng(4).standard_normal((50_000, 2))).reshape(50, 1000)
runs = {name: np.array([exact.log_mean_exp(log_ws[:, :K]) for K in counts])    # estimates, (K, run)
        for name, log_ws in (("prior", from_prior), ("q", from_q))}
for K, with_q, with_prior in zip(counts, runs["q"].mean(axis=1), runs["prior"].mean(axis=1)):
    print(f"K = {K:4}: too low by {log_px[0, IMAGE] - with_q:6.3f} nats with q, by "
          f"{log_px[0, IMAGE] - with_prior:7.3f} with the prior")
holds("for this image one draw from q is nearer than twenty from the prior",
      runs["q"].mean(axis=1)[0] > runs["prior"].mean(axis=1)[4], on="strokes")

# %%
def in_blocks(log_w, K):
    """The mean estimate from K draws, over blocks of K of the draws and over the images."""
    return exact.log_mean_exp(log_w.reshape(len(log_w), -1, K)).mean()


draws = np.random.default_rng(7).standard_normal((1000, 2))
prior_20 = np.array([in_blocks(log_px_given_z(vae, x, draws), 20) for vae in models])
holds("in all five models one draw from q is nearer than twenty from the prior, on average over the images",
      np.all(elbo.mean(axis=1) > prior_20), on="strokes")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.5, 3))
for name, color, label in (("prior", ORANGE, "draws from the prior"), ("q", BLUE, "draws from q")):
    ax.fill_between(counts, *np.quantile(runs[name], (0.1, 0.9), axis=1), color=color, alpha=0.2)
    ax.semilogx(counts, runs[name].mean(axis=1), "o-", color=color, label=label)
ax.axhline(log_px[0, IMAGE], color=INK, linestyle="--", linewidth=1, label="log p(x), exact")
ax.set(xlabel="draws K", ylabel="estimate, nats", ylim=(log_px[0, IMAGE] - 12, log_px[0, IMAGE] + 3))
ax.set_title("More draws bring the bound nearer; a good q brings it near at once", fontsize=10)
ax.legend(frameon=False, fontsize="small", loc="lower right")
nv.plots.show("Estimates against the number of draws, mean and band of 50 runs. With q they begin a little below the "
              "dashed exact line and rise almost to it. With the prior they come from far below and need many times as "
              "many draws.")

# %% [markdown]
# **More dimensions.** By (8.5) what counts is $\mathrm E[w^2]/p(x)^2$: an estimate is worth something once $K$ is
# larger. Suppose the posterior is $N(0, 0.01)$ in each of several independent dimensions, and draw from the prior.
# Exercise 8.5 gives 7.1 for one dimension. Independent factors multiply: 50 for two dimensions, and $10^{17}$ for
# twenty. Patience does not help there. A $q$ that is close to the posterior does.

# %%
one_dimension = 1 / np.sqrt(0.01 * (2 - 0.01))
claim("mean_square_weight_from_the_prior_1_dimension", one_dimension, 7.1, 0.05)
claim("mean_square_weight_from_the_prior_2_dimensions", one_dimension**2, 50, 0.5)
claim("log10_of_it_in_20_dimensions", 20 * np.log10(one_dimension), 17, 0.05)

# %% [markdown]
# **(8.4), seen.** Take each image's 1000 weights in blocks of $K$, and average the blocks' $\log\bar w$. Ten blocks of
# 10 against one of 100, with the same weights: by step 3 of the proof the larger block cannot be lower.

# %%
bounds = np.array([[in_blocks(one, K) for K in (1, 10, 100, 1000)] for one in log_w])
print("too low by, in nats, for K = 1, 10, 100, 1000:\n", np.round(log_px.mean(axis=1)[:, None] - bounds, 3))
holds("in all five models the bound rises from K = 1 to 10, to 100, to 1000", np.all(np.diff(bounds, axis=1) > 0))
claim("too_low_by_with_10_draws", np.mean(log_px) - bounds[:, 1].mean(), 0.04, 0.02, on="strokes")
claim("too_low_by_with_1000_draws", np.mean(log_px) - bounds[:, 3].mean(), 0.005, 0.01, on="strokes")

# %% [markdown]
# **Are these weights well behaved?** Strictly, no. The decoder's tanh has limits, so far out $p(x|z)$ does not fall any
# further, and there $\mathrm E_q[w^2]$ is an integral of $p(z)^2/q(z)$. In each dimension that has the exponent
# $-z^2 + z^2/(2\sigma^2)$ far out, which grows if $\sigma^2 < \frac12$. And so it is, in this VAE as in nearly every
# other: the variance is infinite on paper. But no run ever reaches those $z$. What matters is what the draws see, and
# $\hat k$ looks at that:

# %%
widest = max(float(np.exp(vae.encode(x)[1]).max()) for vae in models)
k_hat = np.array([evaluation.pareto_k(one) for one in log_w])
error = np.abs(np.array([exact.log_mean_exp(one) for one in log_w]) - log_px)
heavy = k_hat >= 0.5
print(f"mean error {error.mean():.3f} nats; with k-hat above one half {error[heavy].mean():.3f}, below "
      f"{error[~heavy].mean():.3f}; images with k-hat above one half in each model: {heavy.sum(axis=1)}")
holds("q's largest variance of all is below one half", widest < 0.5, on="strokes")
claim("share_of_images_with_a_large_k", heavy.mean(), 0.37, 0.12, on="strokes")
claim("mean_error_of_1000_draws", error.mean(), 0.03, 0.01, on="strokes")

# %% [markdown]
# For more than a third of the images $\hat k$ warns. Their error is somewhat larger, and yet small: the mean error of
# all is 0.03 nats. The shape says how heavy the tail is, not how much of $p(x)$ is in it. With 1000 draws these numbers
# can be believed; with a $\hat k$ near 1 nobody should.

# %% [markdown]
# ## Three wrong bounds from the museum
#
# `numpyvae.museum` keeps faults that public VAEs really have. Three of them are in the importance-weighted bound. All
# three are right for $K = 1$ (on average over the draws), so nobody notices until $K$ is raised.
#
# - `analytic_kl` puts $\log p(x|z) - \mathrm{KL}$ in for $\log w$.
# - `mixed_reshape` has the weights' rows image by image, and reshapes them as if they came sample by sample.
# - `positive_softmax` averages the losses, weighted by the softmax of the losses: the worst draw counts most.

# %%
WRONG = (museum.analytic_kl, museum.mixed_reshape, museum.positive_softmax)


def mean_bound(bound, vae, K):
    """Of the 100 images, minus the mean of the exact log p(x)."""
    noise = np.random.default_rng(5).standard_normal((100, K, 2))
    log_likelihood = lambda z, x: -vae.likelihood.nll(vae.generate(z), x)
    return bound(x, noise, vae.encode, log_likelihood).mean() - truth_of[id(vae)]


truth_of = {id(vae): log_px[i].mean() for i, vae in enumerate(models)}
at_1, at_10, at_100 = ({bound.__name__: np.array([mean_bound(bound, vae, K) for vae in models])
                        for bound in (museum.iwae_bound, *WRONG)} for K in (1, 10, 100))
for name in at_1:
    print(f"{name:17} " + ", ".join(f"K = {K}: {at[name].mean():+6.2f}" for K, at in zip((1, 10, 100),
                                                                                    (at_1, at_10, at_100))))

# %%
holds("in all five models analytic_kl with 100 draws is above log p(x)", np.all(at_100["analytic_kl"] > 0))
holds("in all five models mixed_reshape with 100 draws is above log p(x) by more than 5 nats",
      np.all(at_100["mixed_reshape"] > 5))
holds("in all five models positive_softmax falls as draws are added",
      np.all((at_1["positive_softmax"] > at_10["positive_softmax"])
             & (at_10["positive_softmax"] > at_100["positive_softmax"])))
holds("in all five models the right one rises from 1 draw to 10, and with 100 is less than 0.1 nat off",
      np.all((at_1["iwae_bound"] < at_10["iwae_bound"]) & (np.abs(at_100["iwae_bound"]) < 0.1)), on="strokes")

# %% [markdown]
# Each fault leaves a trace. A number *above* $\log p(x)$ is no lower bound: `analytic_kl` is a little above,
# `mixed_reshape` by more than five nats, since it averages the weights of different images, and the likeliest image
# wins. A bound that *falls* with $K$ contradicts (8.4): `positive_softmax`. Without the exact answer the second test
# still works.
#
# ## Is the likeliest image the best one?
#
# If $\log p(x)$ says how well an image fits, then a digit should beat a blank page, which nobody ever wrote.
#
# **Predict first.** We let the models rank a hundred test digits and one blank page. Where will the blank page be?
#
# <details><summary>Answer</summary>
#
# Nearly on top. Read on.
# </details>

# %%
shifted = np.roll(x.reshape(-1, 14, 14), 2, axis=2).reshape(-1, 196)    # by two pixels
dots = np.eye(196)    # every page with a single dot of ink
blank, swapped = np.zeros((1, 196)), 1 - x    # ink and paper swapped
of_blank, of_shifted, of_swapped, of_dot, of_sharp, best_sharp = [], [], [], [], [], []
for vae in models:
    sharp = (vae.decode(grid[::61]) > 0.5).astype(float)    # the decoder's own pictures, every pixel decided
    found = np.split(truth(vae, np.concatenate([blank, shifted, swapped, dots, sharp])), [1, 101, 201, 397])
    for values, one in zip((of_blank, of_shifted, of_swapped, of_dot, of_sharp),
                           (found[0][0], found[1].mean(), found[2].mean(), found[3].max(), found[4].max())):
        values.append(one)
    best_sharp.append(sharp[np.argmax(found[4])])

# %%
of_blank, of_dot, of_sharp, digits = np.array(of_blank), np.array(of_dot), np.array(of_sharp), log_px.mean(axis=1)
beaten = np.mean(log_px < of_blank[:, None], axis=1)
print("share of the test digits that the blank page beats, in each model:", beaten)
print(f"mean log p(x): digits {digits.mean():.1f}, shifted by two pixels {np.mean(of_shifted):.1f}, ink and paper "
      f"swapped {np.mean(of_swapped):.1f}, blank {of_blank.mean():.1f}")
claim("share_of_digits_that_the_blank_page_beats", beaten.mean(), 0.96, 0.03, on="strokes")
claim("log_p_of_the_blank_page", of_blank.mean(), -28, 4, on="strokes")
holds("in all five models the blank page is likelier than nine digits in ten", np.all(beaten > 0.9), on="strokes")
holds("in all five models shifted digits are less likely on average", np.all(of_shifted < digits), on="strokes")
holds("in all five models swapped ones are less likely on average", np.all(of_swapped < digits), on="strokes")

# %%
holds("in all five models the likeliest dot is likelier than the blank page", np.all(of_dot > of_blank), on="strokes")
holds("in all five models a picture with ink is likelier than the likeliest dot and all test digits",
      np.all((of_sharp > log_px.max(axis=1)) & (of_sharp > of_dot)), on="strokes")
ink_counts = [np.corrcoef(x.sum(axis=1), one)[0, 1] for one in log_px]
claim("correlation_of_ink_and_log_p", np.mean(ink_counts), -0.5, 0.15, on="strokes")

# %% tags=["hide-input"]
order = np.argsort(-log_px[0])
others = np.array([best_sharp[0], dots[np.argmax(truth(models[0], dots))], blank[0]])
nv.plots.show_rows({
    f"the decoder's likeliest, the likeliest dot, a blank page: log p(x) = {of_sharp[0]:.1f}, {of_dot[0]:.1f}, "
    f"{of_blank[0]:.1f}": others,
    f"the 12 likeliest test digits, from {log_px[0, order[0]]:.1f} to {log_px[0, order[11]]:.1f}": x[order[:12]],
    f"the 12 least likely, from {log_px[0, order[-12]]:.1f} to {log_px[0, order[-1]]:.1f}": x[order[-12:]]},
    "Three rows of small pictures, white ink on black. First a short upright stroke, a page with a single dot and an "
    "empty page. Then the likeliest test digits, most of them ones. Then the least likely, broad digits with much ink.",
    columns=12)

# %% [markdown]
# The blank page beats 96 % of the digits, in each of the five models. So *likely* does not mean *like the data*. Eric
# Nalisnick and others found the same in 2019 for large models of photographs: trained on one set of pictures, they find
# another, plainer one likelier. Is the emptiest picture always the likeliest, then? **Not quite.** A page with one dot
# of ink in the right place is likelier than the blank one, and the likeliest that we found is a short thin stroke. But
# ink costs: the more of it, the lower $\log p(x)$ tends to be (correlation between $-0.4$ and $-0.5$).
#
# **Why?** A digit with much ink could have been drawn in very many ways, each with some other pixels. All of them share
# the probability of "a digit with much ink", so each single one gets little. The blank page need not share with
# anybody.
#
# **Does the model draw blank pages, then?** It draws one with the probability $p(x) = e^{-28}$, once in $10^{12}$
# draws: never. The likeliest picture is not a *typical* one, as the likeliest result of a hundred throws of a biased
# coin, all heads, is hardly ever seen. To judge whether a picture is odd, ask whether its $\log p(x)$ is like those of
# real ones, from below *and* from above.

# %%
own = np.array([truth(vae, vae.sample(200, np.random.default_rng(9), pixel_noise=True)) for vae in models])
above = np.mean(own > of_blank[:, None], axis=1)
print(f"own draws: mean log p(x) {own.mean():.1f}; share likelier than the blank page, in each model: {above}")
holds("in all five models own draws are less likely than digits on average", np.all(own.mean(axis=1) < digits),
      on="strokes")
claim("own_draws_are_less_likely_by", digits.mean() - own.mean(), 9.5, 4, on="strokes")
holds("in all five models fewer than one own draw in ten is likelier than the blank page", np.all(above < 0.1),
      on="strokes")
claim("once_in_so_many_draws_log10", -of_blank.mean() / np.log(10), 12, 2, on="strokes")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.5, 2.8))
bins = np.linspace(-110, -10, 41)
ax.hist(log_px[0], bins, density=True, color=BLUE, alpha=0.5, label="test digits")
ax.hist(own[0], bins, density=True, histtype="step", color=INK, label="the model's own draws")
for value, color, name in ((of_blank[0], ORANGE, "blank page"), (of_sharp[0], GREEN, "the decoder's likeliest")):
    ax.axvline(value, color=color, label=name)
ax.set(xlabel="log p(x), nats", ylabel="density", title="Likelier than nearly all, and never drawn")
ax.legend(frameon=False, fontsize="small", loc="upper left")
nv.plots.show("Histograms of log p(x), of test digits and of the model's own draws, both broad. Two upright lines, for "
              "the blank page and the decoder's likeliest picture, stand at the upper end, where hardly anything is.")

# %% [markdown]
# One more thing shows. The model's own draws are some ten nats *less* likely than the digits: it draws pictures that
# are odder than the data. Likelihood punishes a model that leaves real pictures out. One that also allows for others
# loses little by it.
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **8.1** (5 minutes) `log_w` has a row of $K$ logarithms of weights for each image, (B, K). Return the estimate of
# $\log p(x)$ of each image, (B,). They may be near $-2000$.
#
# <details><summary>Hint</summary>
#
# (8.3): take the largest of each row out, as in (3.5), and put it back in the end. `keepdims=True` keeps the shape (B,
# 1).
# </details>

# %% tags=["exercise"]
def my_log_mean_exp(log_w):
    ...    # your code


# %% tags=["solution"]
def my_log_mean_exp(log_w):
    top = log_w.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.mean(np.exp(log_w - top), axis=1))


# %%
check.log_mean_exp(my_log_mean_exp)

# %% [markdown]
# **8.2** (10 minutes) This repairs `analytic_kl`. For each row you have $\log p(x\,|\,z)$, the $z$ that was drawn, and
# $\mu$ and $\log\sigma^2$ of the $q$ it was drawn from, (B, Z) each. Return $\log w$, (B,). The prior is $N(0, I)$.
#
# <details><summary>Hint 1</summary>
#
# (8.1) in logarithms: $\log p(x|z) + \log p(z) - \log q(z)$. Each density is a sum over the latent dimensions.
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\log q = -\frac12\sum\big((z-\mu)^2/\sigma^2 + \log\sigma^2 + \log 2\pi\big)$, and the prior is the same with
# $\mu = 0$, $\sigma = 1$. So $\log 2\pi$ cancels.
# </details>

# %% tags=["exercise"]
def log_weight(log_px_given_z, z, mu, logvar):
    ...    # your code


# %% tags=["solution"]
def log_weight(log_px_given_z, z, mu, logvar):
    log_prior = -0.5 * np.sum(z**2, axis=1)
    log_q = -0.5 * np.sum((z - mu)**2 * np.exp(-logvar) + logvar, axis=1)
    return log_px_given_z + log_prior - log_q


# %%
check.log_weight(log_weight)

# %% [markdown]
# **8.3** (15 minutes) Now the whole bound, without any of the museum's three faults. `x` is (B, D) and `eps` (B, K, Z).
# `encode(x)` gives $\mu$ and $\log\sigma^2$, (B, Z) each; `log_likelihood(z, x)` gives $\log p(x|z)$ of rows, (n,) for
# (n, Z) and (n, D). Return the bound of each image, (B,). To read a faulty one, run
# `print(inspect.getsource(museum.mixed_reshape))` after `import inspect`.
#
# <details><summary>Hint 1</summary>
#
# Make rows image by image: `np.repeat(x, K, axis=0)`, the same with `mu` and `logvar`, and `eps.reshape(B * K, Z)`.
# Then use 8.2.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Rows that come image by image are put back with `.reshape(B, K)`. Then use 8.1.
# </details>

# %% tags=["exercise"]
def repaired_bound(x, eps, encode, log_likelihood):
    ...    # your code


# %% tags=["solution"]
def repaired_bound(x, eps, encode, log_likelihood):
    B, K, Z = eps.shape
    mu, logvar = (np.repeat(part, K, axis=0) for part in encode(x))
    z = mu + np.exp(0.5 * logvar) * eps.reshape(B * K, Z)
    log_w = log_weight(log_likelihood(z, np.repeat(x, K, axis=0)), z, mu, logvar)
    return my_log_mean_exp(log_w.reshape(B, K))


# %%
check.repaired_bound(repaired_bound)

# %% [markdown]
# **8.4** (5 minutes) You have the logarithms of the first 100 weights of an image, `log_w` (100,). How many draws does
# it take until the bound is too low by only `bias` nats? Return $K$, a number. (The variance is finite.)
#
# <details><summary>Hint</summary>
#
# Solve (8.5) for $K$. The mean of the weights stands for $p(x)$, and $\mathrm{var}(w)/p(x)^2$ does not change if all
# weights are divided by the largest.
# </details>

# %% tags=["exercise"]
def draws_needed(log_w, bias):
    ...    # your code


# %% tags=["solution"]
def draws_needed(log_w, bias):
    w = np.exp(log_w - log_w.max())
    return np.var(w) / np.mean(w)**2 / (2 * bias)


# %%
check.draws_needed(draws_needed)

# %% [markdown]
# **8.5** (15 minutes) One dimension: the posterior is $N(0, \lambda)$ with $\lambda$ = `variance`, $q$ is $N(0, s^2)$
# with $s^2$ = `q_variance`, and $p(x) = 1$. What is $\mathrm E_q[w^2]$? Return `np.inf` where it is infinite.
#
# <details><summary>Hint 1</summary>
#
# $\mathrm E_q[w^2] = \int p^2/q\,dz$. Collect the exponents, and the factors in front, of $p^2/q$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The exponent is $-\frac12 z^2\big(\frac2\lambda - \frac1{s^2}\big)$: a bell, if the bracket is positive. With the
# bracket $c$ its area is $\sqrt{2\pi/c}$.
# </details>

# %% tags=["exercise"]
def mean_square(variance, q_variance):
    ...    # your code


# %% tags=["solution"]
def mean_square(variance, q_variance):
    if 2 * q_variance <= variance:
        return np.inf
    return q_variance / np.sqrt(variance * (2 * q_variance - variance))


# %%
check.mean_square(mean_square)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - The mean of the weights (8.1) is an unbiased estimate of $p(x)$. Its logarithm is too low on average, and rises with
#   $K$, (8.4). Say which $K$ you used.
# - It is too low by $\mathrm{var}(w)/(2Kp^2)$, if the weights have a variance. With a $q$ that is too narrow they have
#   none, and the effective number does not notice. Look at $\hat k$.
# - A reported bound above $\log p(x)$, or one that falls with $K$, is a bug.
# - A blank page beats nearly every digit. Likelihood is not quality, nor does it tell what is odd.
#
# **Papers to read next.** Yuri Burda, Roger Grosse and Ruslan Salakhutdinov, *Importance Weighted Autoencoders* (2016):
# the bound, and how to train with it. Aki Vehtari and others, *Pareto Smoothed Importance Sampling* (2024): $\hat k$.
# Eric Nalisnick and others, *Do Deep Generative Models Know What They Don't Know?* (2019). Lucas Theis, Aäron van den
# Oord and Matthias Bethge, *A Note on the Evaluation of Generative Models* (2016): likelihood and good samples are two
# things.
#
# **Still wrong, and next.** We can measure how far the bound is from the truth, but has training found the best model
# there is? For one VAE the best one is known exactly. That is lesson 9.
