# %% [markdown]
# # 4. Guessing z from x
#
# **The question.** To learn $p(x\,|\,z)$ we need the $z$ that explains an image. How can a network propose it, and what does a
# wrong proposal cost?
#
# **After this lesson you can**
#
# - show that a KL divergence is never negative;
# - split $\log p(x)$ into the ELBO and the gap, and check the sum to many digits;
# - tell the KL that is the gap from the KL that is in the loss;
# - say what a $q$ without correlations cannot do, and compute what that costs.
#
# *You need:* [lesson 3](03_object_thickness_colour.ipynb) (latent variables, sums over a grid, log-sum-exp, the Bernoulli NLL). The
# [refresher](00_refresher.ipynb) has expectation and covariance, the [glossary](00_glossary.ipynb) every symbol. *Time:* 60 minutes.
# *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.course.common import black_and_white
from numpyvae.functional.gaussian import gaussian_kl, gaussian_log_density
from numpyvae.report.plots import BLUE, INK, ORANGE

lesson = Lesson(4, DATA)
claim, check = lesson.claim, lesson.check

# %% [markdown]
# This lesson is about the blue parts: what looks at $x$ and proposes $z$.

# %%
nv.plots.show_diagram("x", "encoder", "q(z|x)")

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is an image, $z$ its latent variables, $p(z) = N(0, I)$ the prior, $p(x\,|\,z)$ what the decoder says, and
# $p(x) = \int p(x\,|\,z)\,p(z)\,dz$. Bayes' rule gives the *posterior*, the $z$ that explain this image:
#
# $$p(z\,|\,x) = \frac{p(x\,|\,z)\,p(z)}{p(x)} \tag{4.1}$$
#
# The denominator is $p(x)$, an integral over all $z$. With two latent dimensions we can sum over a grid. With twenty we cannot.
#
# So let a network, the *encoder*, look at $x$ and propose a distribution $q(z\,|\,x) = N(\mu, \mathrm{diag}\,\sigma^2)$: a mean
# $\mu$ and a variance $\sigma^2$ for each latent dimension. We write $q(z)$ for short, and $\mathrm E_q$ for the average over $z$
# drawn from $q$. How good is a proposal $q$? Take the *Kullback-Leibler divergence*, KL, to the posterior:
#
# $$\mathrm{KL}\big(q\,\|\,p(z|x)\big) = \mathrm E_q\big[\log q(z) - \log p(z\,|\,x)\big] \tag{4.2}$$
#
# If $q$ is the posterior, the two logarithms are equal everywhere, and the KL is 0.

# %% [markdown]
# **The KL is never negative.** Everything below rests on this, so here is the proof, for any two densities $q$ and $p$.
#
# *Step 1.* For every $t > 0$: $\log t \le t - 1$. The difference $t - 1 - \log t$ has the derivative $1 - 1/t$. That is
# negative for $t < 1$ and positive for $t > 1$, so the difference is lowest at $t = 1$, where it is 0.
#
# *Step 2.* Put $t = p(z)/q(z)$ in, and take the average over $q$:
#
# $$-\mathrm{KL} = \mathrm E_q\Big[\log\frac{p(z)}{q(z)}\Big] \le \mathrm E_q\Big[\frac{p(z)}{q(z)} - 1\Big]$$
#
# *Step 3.* Write the average out: $\mathrm E_q\big[\frac pq\big] = \int q(z)\,\frac{p(z)}{q(z)}\,dz = \int p(z)\,dz$, taken where
# $q > 0$, which is at most 1. So the right side is at most $1 - 1 = 0$, and
#
# $$\mathrm{KL} \ge 0.$$
#
# In step 1 the two sides are equal only at $t = 1$. So the KL is 0 only if $p(z)/q(z) = 1$ wherever $q$ draws: $q$ is the posterior.

# %% tags=["hide-input"]
t = np.linspace(0.05, 3, 600)
lesson.holds("log t is never above t - 1", np.all(np.log(t) <= t - 1))
fig, ax = plt.subplots(figsize=(4.6, 2.8))
ax.plot(t, t - 1, color=ORANGE, label="t − 1")
ax.plot(t, np.log(t), color=BLUE, label="log t")
ax.plot(1, 0, "o", color=INK)
ax.set(xlabel="t", ylim=(-3, 2.1))
ax.set_title("The line touches the logarithm once, at t = 1", fontsize=10)
ax.legend(frameon=False)
nv.plots.show("The straight line t minus 1 lies above the curve log t everywhere and touches it at one dot, t = 1.")

# %% [markdown]
# **Put Bayes' rule in.** Take the logarithm of (4.1): $\log p(z\,|\,x) = \log p(x\,|\,z) + \log p(z) - \log p(x)$. The last term does
# not depend on $z$, so its average is itself:
#
# $$\mathrm{KL}\big(q\,\|\,p(z|x)\big)
# = \mathrm E_q\big[\log q(z) - \log p(x\,|\,z) - \log p(z)\big] + \log p(x)$$
#
# Move the average to the other side. The remainder of $\log p(x)$ is the *evidence lower bound*, ELBO:
#
# $$\log p(x) = \underbrace{\mathrm E_q\big[\log p(x|z) + \log p(z) - \log q(z)\big]}_{\text{ELBO}}
# + \underbrace{\mathrm{KL}\big(q\,\|\,p(z|x)\big)}_{\text{the gap}} \tag{4.3}$$
#
# The gap is never negative, so the ELBO is never above $\log p(x)$. Note *which* KL the gap is: the one to the **posterior**.
#
# **Another KL** appears if we group the ELBO's terms: the average of $\log q(z) - \log p(z)$ is the KL to the **prior**, for which lesson
# 5 derives a formula.
#
# $$\text{ELBO} = \mathrm E_q\big[\log p(x\,|\,z)\big] - \mathrm{KL}\big(q\,\|\,p(z)\big) \tag{4.4}$$
#
# That one is a part of the ELBO. It is not the gap. The loss of a VAE is minus (4.4).

# %% [markdown]
# ## The code
#
# The package computes (4.4) with one draw of $z$, and the posterior (4.1) on a grid, to compare with.

# %%
lesson.show(nv.VAE.loss_terms, "4.4")

# %%
lesson.show(exact.posterior, "4.1")

# %% [markdown]
# ## The experiment
#
# A VAE with two latent dimensions, trained a little. (Its activation is tanh, so that all integrals are smooth.) Its likelihood is
# Bernoulli, (3.6), which is a probability only for pixels that are 0 or 1. So we make the images black and white: a pixel of brightness
# 0.7 becomes 1 with probability 0.7. We draw once and keep the result.

# %%
train = black_and_white(lesson.images("train")[0][:10000].reshape(-1, 784) / 255, seed=0)
x = black_and_white(lesson.images("test")[0][:12].reshape(-1, 784) / 255, seed=1)
vae = nv.VAE.dense(784, (200,), 2, activation="tanh", rng=np.random.default_rng(1))
for record in nv.fit(vae, train, optimizer=nv.Adam(2e-3), epochs=8, batch_size=100, rng=np.random.default_rng(2)):
    pass
vae = vae.astype(np.float64)
mu, logvar = vae.encode(x)    # the encoder's q for twelve test images

# %% [markdown]
# **The truth, on a grid.** `joint` holds $\log p(x|z_n) + \log w_n$ for each image and grid point, as in (3.4). Log-sum-exp gives
# $\log p(x)$; subtract it, and we have the logarithm of the posterior (4.1) at each point.

# %%
grid, joint = exact.log_joint(vae, x, points=280, reach=7)
log_px = exact.log_sum_exp(joint)
posterior = np.exp(joint - log_px[:, None])
area = (grid[1, 1] - grid[0, 1])**2
claim("posterior_adds_up_to_1", np.abs(posterior.sum(axis=1) - 1).max(), 0.0, 1e-12)
lesson.holds("log p(x) is never above 0", np.all(log_px <= 0))

# %% [markdown]
# Now both sides of (4.3), computed in *different* ways.
#
# - The ELBO by (4.4): $z = \mu + \sigma\varepsilon$ with $\varepsilon\sim N(0, I)$ is a draw from $q$ (lesson 6 makes much of this). So the
#   average over $q$ is an average over $\varepsilon$, and we take it by a sum over a grid of $\varepsilon$. The KL to the prior comes from
#   its formula.
# - The gap by (4.2), as a sum over the grid of $z$.

# %%
eps, log_eps_weight = exact.latent_grid(2, points=81, reach=7)


def elbo(image, mu, logvar):
    z = mu + np.exp(0.5 * logvar) * eps
    nll = vae.likelihood.nll(vae.generate(z), np.tile(image, (len(z), 1)))
    return np.sum(np.exp(log_eps_weight) * -nll) - gaussian_kl(mu[None], logvar[None])[0]


def gap(image_number, mu, logvar):
    same_for_all = np.ones((len(grid), 1))
    log_q = gaussian_log_density(grid, mu * same_for_all, logvar * same_for_all)
    log_posterior = joint[image_number] - log_px[image_number] - np.log(area)    # of the density, not of the cell
    return np.sum(np.exp(log_q) * (log_q - log_posterior)) * area


# %%
bounds = np.array([elbo(x[i], mu[i], logvar[i]) for i in range(12)])
gaps = np.array([gap(i, mu[i], logvar[i]) for i in range(12)])
print("image   log p(x)       ELBO        gap    ELBO + gap - log p(x)")
for i in range(5):
    print(f"{i:5d} {log_px[i]:10.4f} {bounds[i]:10.4f} {gaps[i]:10.4f} {bounds[i] + gaps[i] - log_px[i]:15.1e}")
claim("worst_identity_over_twelve_images", np.abs(bounds + gaps - log_px).max(), 0.0, 1e-8)
lesson.holds("no gap is negative", np.all(gaps >= 0))

# %% [markdown]
# The identity (4.3) holds to $10^{-8}$. Now *look* at it: the posterior of three images, and the encoder's proposal over it. The blue
# areas end where the posterior has fallen to $e^{-1/2}$ and to $e^{-2}$ of its peak. For a Gaussian these are the lines at 1 and at 2
# standard deviations, so the orange lines can be compared with them.

# %% tags=["hide-input"]
side = 280
axis = grid[:side, 1]
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for i, ax in enumerate(axes):
    height = posterior[i].reshape(side, side).T
    ax.contourf(axis, axis, height / height.max(), levels=[np.exp(-2), np.exp(-0.5), 1], cmap="Blues", vmin=-0.5, vmax=1)
    for radius in (1, 2):
        nv.plots.ellipses(mu[i:i + 1], logvar[i:i + 1], ax, radius, ORANGE)
    left, low = posterior[i] @ grid - 0.5
    ax.set(xlim=(left, left + 1), ylim=(low, low + 1), xlabel="z[0]", ylabel="z[1]", aspect="equal")
    ax.set_title(f"image {i}: gap {gaps[i]:.2f} nats", fontsize=10)
fig.suptitle("blue: the posterior; orange: the encoder's q, at 1 and 2 standard deviations", fontsize=10)
nv.plots.show("Three panels of the latent plane. In each a blue blot, the posterior, and two orange ellipses, the encoder's "
              "q. The ellipses have about the size of the blot and lie a little beside it.")

# %% [markdown]
# The proposals lie near the posteriors, not exactly on them. Two things keep them apart. The encoder must serve every image with the
# same weights; and a Gaussian without correlations may not have the right form. Which one costs more? For each image take the Gaussian
# that has the posterior's own mean and variances (exercise 4.2): what gap is left?

# %%
def matching(i):
    """mu and logvar of the Gaussian with the mean and the variances of image i's posterior."""
    mean = posterior[i] @ grid
    return mean, np.log(posterior[i] @ (grid - mean)**2)


gaps_of_matching = np.zeros(12)
for i in range(12):
    mean, logvariance = matching(i)
    gaps_of_matching[i] = gap(i, mean, logvariance)
print("encoder's q:", np.round(gaps, 2), "\nmatching q: ", np.round(gaps_of_matching, 2))
encoder_costs_more = gaps - gaps_of_matching > gaps_of_matching
lesson.holds("for at least 8 of the 12 images the encoder costs more than the form", encoder_costs_more.sum() >= 8,
             on="strokes")
lesson.holds("half of the matching q leave less than 0.2 nats", np.median(gaps_of_matching) < 0.2, on="strokes")

# %% [markdown]
# For most images it is the shared weights: a $q$ made for the one image usually leaves less than 0.2 nats. Where it leaves more, the
# posterior is not like a Gaussian without correlations: it is bent, or leans, or has two bumps.
#
# **Any q will do for the identity.** For one image take four: the encoder's, the matching one, one twice as wide, and the prior.
#
# **Predict first.** Which of the four numbers $\log p(x)$, ELBO, gap and ELBO + gap change from one $q$ to the next?
#
# <details><summary>Answer</summary>
#
# ELBO and gap. $\log p(x)$ does not know of $q$, and by (4.3) the sum is $\log p(x)$.
# </details>

# %%
IMAGE = 0
mean, logvariance = matching(IMAGE)
proposals = {"the encoder's q": (mu[IMAGE], logvar[IMAGE]), "the matching q": (mean, logvariance),
             "twice as wide": (mean, logvariance + 2 * np.log(2)), "the prior": (np.zeros(2), np.zeros(2))}
split = {}
for name, (m, lv) in proposals.items():
    split[name] = elbo(x[IMAGE], m, lv), gap(IMAGE, m, lv)
    print(f"{name:16} ELBO {split[name][0]:10.4f}   gap {split[name][1]:9.4f}   sum {sum(split[name]):10.4f}")
claim("worst_identity_over_four_q", max(abs(sum(pair) - log_px[IMAGE]) for pair in split.values()), 0.0, 1e-8)
lesson.holds("the prior's gap is more than fifty nats", split["the prior"][1] > 50, on="strokes")

# %% tags=["hide-input"]
names = ["the encoder's q", "the matching q", "twice as wide"]
low = log_px[IMAGE] - 4
fig, ax = plt.subplots(figsize=(7, 2.4))
for row, name in enumerate(names):
    bound, missing = split[name]
    ax.barh(row, bound - low, left=low, color=BLUE, label="ELBO" if row == 0 else None)
    ax.barh(row, missing, left=bound, color=ORANGE, label="gap" if row == 0 else None)
    ax.text(log_px[IMAGE] + 0.05, row, f"gap {missing:.2f}", va="center", fontsize="small")
ax.axvline(log_px[IMAGE], color=INK)
ax.set_yticks(range(3), names)
ax.set(xlim=(low, log_px[IMAGE] + 0.8), xlabel="nats; the line is log p(x); the bars begin 4 nats below it")
ax.set_title("A better q moves the boundary, never the end", fontsize=10)
ax.invert_yaxis()
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
nv.plots.show("Three stacked bars of the same length, each ending at the line log p(x). The orange part, the gap, is "
              "too thin to be seen for the matching q, 0.01 nats, wider for the encoder's, and widest for the one "
              "twice as wide.")

# %% [markdown]
# The prior as $q$ is left out of the picture: its gap is more than fifty nats. Most $z$ say nothing about this image. That is why
# drawing $z$ from the prior and averaging $p(x\,|\,z)$ (lesson 3) needs so many draws.
#
# Draws from another $q$ can be averaged too, if each gets the weight $w = p(x\,|\,z)\,p(z)/q(z)$: their average over $q$ is
# $\int q\,\frac{p(x|z)\,p(z)}{q}\,dz = p(x)$. How many of 10,000 draws count? The effective number
# $n_\text{eff} = (\sum w)^2 / \sum w^2$ of (3.9) tells.

# %%
def effective_number(q, seed, n=10_000):
    q_mu, q_logvar = q
    rows = np.ones((n, 1))
    z = q_mu + np.exp(0.5 * q_logvar) * np.random.default_rng(seed).standard_normal((n, 2))
    log_likelihood = -vae.likelihood.nll(vae.generate(z), np.tile(x[IMAGE], (n, 1)))
    log_prior = gaussian_log_density(z, np.zeros((n, 2)), np.zeros((n, 2)))
    log_w = log_likelihood + log_prior - gaussian_log_density(z, q_mu * rows, q_logvar * rows)
    w = np.exp(log_w - log_w.max())
    return np.sum(w)**2 / np.sum(w**2)


from_prior = [effective_number(proposals["the prior"], seed) for seed in range(5)]
from_wide = [effective_number(proposals["twice as wide"], seed) for seed in range(5)]
print("from the prior:", np.round(from_prior), "  from the q twice as wide:", np.round(from_wide))
lesson.holds("in each try ten times as many draws from q count", np.all(np.array(from_wide) > 10 * np.array(from_prior)))
claim("draws_from_the_wide_q_that_count", np.mean(from_wide), 4350, 400, on="strokes")
lesson.holds("in each try fewer than 400 draws from the prior count", max(from_prior) < 400, on="strokes")

# %% [markdown]
# Of 10,000 draws from the prior about eighty count, in each of the five tries. How many depends on where the model has put the image:
# in a model that was trained from another start it may be a handful. Of 10,000 from the $q$ around the posterior about 4350 do.
#
# ### What a diagonal q cannot do
#
# $q$ has a variance for each dimension and no correlation. Suppose the posterior is a Gaussian in two dimensions with mean 0, variances
# 1 and *correlation* $\rho$: the average of $z_0 z_1$ is $\rho$. These numbers stand in its *covariance matrix* ([refresher](00_refresher.ipynb))
# $C = \begin{pmatrix}1&\rho\\ \rho&1\end{pmatrix}$. What is the best diagonal $q$, the one with the smallest gap?
#
# **Step 1: the KL of two Gaussians with the same mean.** ($q$ should have the posterior's mean, 0. With a mean $m$ instead, the average
# of $z^T C^{-1} z$ over $q$ grows by $m^T C^{-1} m$, which is never negative, and nothing else changes.) Let $q$ have the covariance
# matrix $S$ and the posterior $C$, in $k$ dimensions. The density of a Gaussian has the logarithm $-\tfrac12 z^T C^{-1} z -
# \tfrac12\log\det C - \tfrac k2\log 2\pi$. So
#
# $$\log q(z) - \log p(z|x) = \tfrac12\big(z^T C^{-1} z - z^T S^{-1} z + \log\det C - \log\det S\big)$$
#
# **Step 2: the average over $q$.** $z^T A z = \sum_{ij} A_{ij} z_i z_j$, and the average of $z_i z_j$ over $q$ is $S_{ij}$. So
# $\mathrm E_q[z^T A z] = \sum_{ij} A_{ij} S_{ij}$, which is the sum of the diagonal of $AS$, its *trace* $\mathrm{tr}(AS)$, as $S$ is
# symmetric. For $A = S^{-1}$ it is $\mathrm{tr}(I) = k$:
#
# $$\mathrm{KL} = \tfrac12\left(\mathrm{tr}(C^{-1}S) - k + \log\frac{\det C}{\det S}\right) \tag{4.5}$$

# %% [markdown]
# **Step 3: the best diagonal $S$.** Now $S$ has the variances $S_{ii}$ and zeros elsewhere. So
# $\mathrm{tr}(C^{-1}S) = \sum_i (C^{-1})_{ii} S_{ii}$ and $\log\det S = \sum_i\log S_{ii}$. The terms with $S_{ii}$ are
# $\tfrac12\big((C^{-1})_{ii} S_{ii} - \log S_{ii}\big)$. Set the derivative to zero:
#
# $$\tfrac12\Big((C^{-1})_{ii} - \frac1{S_{ii}}\Big) = 0 \quad\Rightarrow\quad S_{ii} = \frac{1}{(C^{-1})_{ii}} \tag{4.6}$$
#
# **Step 4: its gap.** With this $S$ each $(C^{-1})_{ii} S_{ii}$ is 1, so the trace is $k$ and cancels:
#
# $$\mathrm{KL} = \tfrac12\Big(\log\det C + \sum_i\log\,(C^{-1})_{ii}\Big) \tag{4.7}$$
#
# **Step 5: two dimensions.** $\det C = 1-\rho^2$ and
# $C^{-1} = \frac{1}{1-\rho^2}\begin{pmatrix}1&-\rho\\ -\rho&1\end{pmatrix}$. So $S_{ii} = 1-\rho^2$, and the gap is
# $\tfrac12\big(\log(1-\rho^2) - 2\log(1-\rho^2)\big) = -\tfrac12\log(1-\rho^2)$.
#
# **Predict first.** The posterior has variance 1 in each dimension. At $\rho = 0.9$, is the best $q$ wider, the same, or narrower?
#
# <details><summary>Answer</summary>
#
# Narrower: its variance is $1 - 0.81 = 0.19$. See the picture.
# </details>

# %%
def kl_of_gaussians(S, C):    # (4.5)
    return 0.5 * (np.trace(np.linalg.inv(C) @ S) - len(C) + np.log(np.linalg.det(C) / np.linalg.det(S)))


def covariance(rho):
    return np.array([[1, rho], [rho, 1]])


def best_diagonal(C):    # (4.6)
    return np.diag(1 / np.diag(np.linalg.inv(C)))


for rho in (0.0, 0.5, 0.9):
    C = covariance(rho)
    missing = kl_of_gaussians(best_diagonal(C), C)
    claim("gap_of_the_best_diagonal_q", missing + 0.5 * np.log(1 - rho**2), 0.0, 1e-12)

# %%
C = covariance(0.9)
others = np.linspace(0.05, 1, 200)
gaps_of_others = [kl_of_gaussians(s * np.eye(2), C) for s in others]
claim("best_variance_at_rho_0_9", others[np.argmin(gaps_of_others)], 0.19, 0.005)
claim("gap_at_rho_0_9", kl_of_gaussians(best_diagonal(C), C), 0.83, 0.005)
claim("gap_with_the_posteriors_own_variances", kl_of_gaussians(np.eye(2), C), 3.43, 0.005)

# %% tags=["hide-input"]
def draw_diagonal(ax, rho):
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.array([np.cos(angle), np.sin(angle)])
    C = covariance(rho)
    S = best_diagonal(C)
    outline, ours = np.linalg.cholesky(C) @ circle, np.sqrt(S) @ circle    # at one standard deviation
    ax.fill(outline[0], outline[1], color=BLUE, alpha=0.25)
    ax.plot(outline[0], outline[1], color=BLUE, label="posterior")
    ax.plot(ours[0], ours[1], color=ORANGE, label="best diagonal q")
    ax.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xlabel="z[0]", ylabel="z[1]", aspect="equal")
    ax.set_title(f"ρ = {rho:.2f}: gap {kl_of_gaussians(S, C):.2f} nats", fontsize=10)
    ax.legend(frameon=False, fontsize="x-small", loc="upper left")


nv.plots.strip(draw_diagonal, (0.0, 0.6, 0.9), "Three frames. For ρ = 0 the posterior and the best diagonal q are the same "
               "circle. For ρ = 0.6 and 0.9 the posterior is a longer and longer ellipse along the diagonal, and q a smaller "
               "and smaller circle. The gap grows from 0 to 0.22 and 0.83 nats.")

# %% [markdown]
# At $\rho = 0.9$ the gap is 0.83 nats. The best diagonal $q$ is too *narrow*: its variance is 0.19 where the posterior's is 1. With the
# posterior's own variances it would put weight in the two corners where the posterior has none, and the gap would be 3.43 nats. In a
# running notebook, move $\rho$:

# %%
lesson.slider(lambda rho: nv.plots.strip(draw_diagonal, [rho], "posterior and best diagonal q", size=(4, 4)),
              rho=(-0.98, 0.98, 0.02))

# %% [markdown]
# ## Exercises
#
# Hints unfold; try without them first.
#
# **4.1** (10 minutes) On a grid with cells of the given `area` you have the logarithms of two functions of $z$:
# `log_pxz` $= \log p(x, z) = \log p(x|z) + \log p(z)$ and `log_q` $= \log q(z)$. Return the ELBO and the gap.
#
# <details><summary>Hint 1</summary>
#
# An average over $q$ is a sum over the grid of `np.exp(log_q) * ... * area`. The ELBO is the first bracket of (4.3).
# </details>
#
# <details><summary>Hint 2</summary>
#
# $p(x)$ is the sum of $p(x, z)$ times the area. The gap is how far the ELBO falls short of $\log p(x)$.
# </details>

# %% tags=["exercise"]
def elbo_and_gap(log_pxz, log_q, area):
    ...    # your code


# %% tags=["solution"]
def elbo_and_gap(log_pxz, log_q, area):
    bound = np.sum(np.exp(log_q) * (log_pxz - log_q)) * area
    return bound, np.log(np.sum(np.exp(log_pxz)) * area) - bound


# %%
check.elbo_and_gap(elbo_and_gap)

# %% [markdown]
# **4.2** (5 minutes) Given grid points `z` (N, Z) and their posterior probabilities `p` (N,), return `mu` and `logvar` of the Gaussian with
# the same means and variances.
#
# <details><summary>Hint</summary>
#
# A mean under `p` is `p @ z`. A variance is the mean of a squared distance from the mean. `logvar` is the logarithm of the variance.
# </details>

# %% tags=["exercise"]
def matching_q(z, p):
    ...    # your code


# %% tags=["solution"]
def matching_q(z, p):
    mu = p @ z
    return mu, np.log(p @ (z - mu)**2)


# %%
check.matching_q(matching_q)

# %% [markdown]
# **4.3** (10 minutes) The posterior is $N(0, C)$, with any covariance matrix `C`. What gap does the best diagonal $q$ leave?
#
# <details><summary>Hint</summary>
#
# Equation (4.7), or (4.5) with the $S$ of (4.6). `np.linalg.inv(C)`, `np.linalg.det(C)`, and `np.diag`, which takes the diagonal of a matrix.
# </details>

# %% tags=["exercise"]
def diagonal_gap(C):
    ...    # your code


# %% tags=["solution"]
def diagonal_gap(C):
    return 0.5 * (np.log(np.linalg.det(C)) + np.sum(np.log(np.diag(np.linalg.inv(C)))))


# %%
check.diagonal_gap(diagonal_gap)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - A KL is never negative, because $\log t \le t - 1$.
# - $\log p(x)$ = ELBO + KL to the posterior, for *every* $q$. A better $q$ closes the gap.
# - The KL to the prior is another one: a part of the ELBO.
# - The encoder's $q$ is a proposal, not the posterior. It has no correlations, and it serves all images with one network.
#
# **Papers to read next.** Diederik Kingma and Max Welling, *Auto-Encoding Variational Bayes* (2013), sections 1 and 2. Chris Cremer, Xuechen
# Li and David Duvenaud, *Inference Suboptimality in Variational Autoencoders* (2018): how much of the gap is due to the shared weights, and how
# much to the form of $q$.
#
# **Still wrong, and next.** We took the formula of the KL to the prior on trust. Lesson 5 derives it, and finds it misprinted.
