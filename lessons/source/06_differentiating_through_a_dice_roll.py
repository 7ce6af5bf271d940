# %% [markdown]
# # 6. Differentiating through a dice roll
#
# **The question.** The loss depends on a random draw $z$ from $q$. The encoder decides $q$. How can a gradient pass the
# draw?
#
# **After this lesson you can**
#
# - derive two estimates of the gradient of an average: by the score function, and by the reparameterization trick;
# - say what may be subtracted as a baseline, and why;
# - tell bias from variance, and measure both;
# - say why VAEs are trained with the trick, and what it does not remove.
#
# *You need:* lesson 2 (the chain rule), lesson 3 (sums over a grid), lesson 5 (the Gaussian and $\log\sigma^2$). The
# [refresher](00_refresher.ipynb) has the Gaussian and the expectation, the [glossary](00_glossary.ipynb) every symbol.
# *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.course.common import black_and_white, shrink
from numpyvae.functional.gaussian import gaussian_log_density_backward, reparameterize, reparameterize_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(6, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about the blue parts: the draw of $z$ from $q(z|x)$.

# %%
nv.plots.show_diagram("q(z|x)", "z")

# %% [markdown]
# ## The derivation
#
# **Symbols.** $q(z) = N(z;\, \mu, \sigma^2)$ is the encoder's distribution, and $s = \log\sigma^2$. $f(z)$ is what the
# rest of the model makes of $z$; in a VAE it is the NLL, $-\log p(x\,|\,z)$. We minimise the *average* of $f$ over
# draws of $z$:
#
# $$J = \mathrm E_{z\sim q}[f(z)] = \int q(z)\, f(z)\, dz \tag{6.1}$$
#
# We want $\partial J/\partial\mu$ and $\partial J/\partial s$. Write $\phi$ for either of $\mu$ and $s$.
#
# **Predict first.** Somebody has drawn $z = 0.37$ from $q$ and computed $f(0.37)$. What is the derivative of this
# number with respect to $\mu$?
#
# <details><summary>Answer</summary>
#
# Zero. $f(0.37)$ is a number on the table; there is no $\mu$ in it. Another $\mu$ would not have changed this number,
# but how likely it is to be drawn. That is the trouble: $\phi$ is in the density, not in $f$.
# </details>
#
# There are two ways out.
#
# ### First way: the score function
#
# *Step 1.* In (6.1) only $q$ contains $\phi$. The derivative of a sum is the sum of the derivatives, and an integral is
# a fine sum:
#
# $$\frac{\partial J}{\partial\phi} = \int \frac{\partial q(z)}{\partial\phi}\, f(z)\, dz$$
#
# Draws cannot estimate that: it is no average, because no density stands in front.
#
# *Step 2.* The chain rule for the logarithm says
# $\frac{\partial\log q}{\partial\phi} = \frac1q\,\frac{\partial q}{\partial\phi}$. Multiply by $q$:
# $\frac{\partial q}{\partial\phi} = q\,\frac{\partial\log q}{\partial\phi}$.
#
# *Step 3.* Put it into step 1. Now $q$ stands in front, so it is an average:
#
# $$\frac{\partial J}{\partial\phi} = \int q(z)\,\frac{\partial\log q(z)}{\partial\phi}\, f(z)\, dz
# = \mathrm E_{z\sim q}\Big[f(z)\,\frac{\partial\log q(z)}{\partial\phi}\Big] \tag{6.2}$$
#
# The factor $\partial\log q/\partial\phi$ is called the *score*. Draw $z$, multiply $f(z)$ by the score: that is an
# estimate of the gradient. It needs no derivative of $f$.

# %% [markdown]
# *Step 4: the score of a Gaussian.* $\log q = -\tfrac12\big((z-\mu)^2 e^{-s} + s + \log 2\pi\big)$, as in lesson 5,
# with $1/\sigma^2 = e^{-s}$. For $\mu$: the derivative of $(z-\mu)^2$ is $-2(z-\mu)$. For $s$: the derivative of
# $e^{-s}$ is $-e^{-s}$, that of $s$ is 1. So
#
# $$\frac{\partial\log q}{\partial\mu} = \frac{z-\mu}{\sigma^2},\qquad
# \frac{\partial\log q}{\partial s} = \tfrac12\Big(\frac{(z-\mu)^2}{\sigma^2} - 1\Big) \tag{6.3}$$
#
# ### Second way: move the dice out
#
# Draw $\varepsilon$ from $N(0, 1)$, which knows nothing of $\phi$, and compute
#
# $$z = \mu + \sigma\,\varepsilon,\qquad \sigma = e^{s/2} \tag{6.4}$$
#
# A Gaussian that is stretched and shifted is a Gaussian. Its mean is $\mu + \sigma\,\mathrm E[\varepsilon] = \mu$, its
# variance $\mathrm E[(z-\mu)^2] = \sigma^2\,\mathrm E[\varepsilon^2] = \sigma^2$. So $z$ is a draw from $q$, and
# $J = \mathrm E_\varepsilon\big[f(\mu + \sigma\varepsilon)\big]$. Now the density is fixed, and $\phi$ stands inside
# $f$. The chain rule does the rest, with $\varepsilon$ held still. The derivative of $\sigma = e^{s/2}$ is
# $\tfrac12 e^{s/2} = \tfrac12\sigma$:
#
# $$\frac{\partial J}{\partial\phi} = \mathrm E_\varepsilon\Big[f'(z)\,\frac{\partial z}{\partial\phi}\Big],\qquad
# \frac{\partial z}{\partial\mu} = 1,\quad \frac{\partial z}{\partial s} = \tfrac12\,\sigma\,\varepsilon \tag{6.5}$$
#
# This is the *reparameterization trick*. It needs $f'$, which backpropagation gives.

# %% [markdown]
# ### A baseline for the first way
#
# Let $c$ be a number that does not depend on $z$. It may be subtracted from $f$ in (6.2), since what it adds to the
# average is 0. By step 2, read backwards,
#
# $$\mathrm E\Big[c\,\frac{\partial\log q}{\partial\phi}\Big] = c\int q\,\frac{\partial\log q}{\partial\phi}\,dz
# = c\int\frac{\partial q}{\partial\phi}\,dz = c\,\frac{\partial}{\partial\phi}\int q\,dz = c\,\frac{\partial}{\partial\phi}\,1 = 0$$
#
# So the average stays, while the variance may shrink:
#
# $$\frac{\partial J}{\partial\phi} = \mathrm E\Big[\big(f(z) - c\big)\,\frac{\partial\log q}{\partial\phi}\Big] \tag{6.6}$$
#
# **May $c$ be $f(\mu)$?** It depends on $\mu$, and we differentiate with respect to $\mu$. Look at what the proof uses:
# $c$ can be taken out of an integral over $z$. That is all. Nobody differentiates $c$; it is a number that is known
# before the dice are thrown. So $c = f(\mu)$ is allowed. $c = f(z)$ is not: it cannot be taken out of the integral, and
# nothing would be left of the gradient.
#
# **The best number.** Write $S$ for the score. The variance of the estimate is the mean of its square less the square
# of its mean. The mean does not depend on $c$, so minimise $\mathrm E[(f-c)^2 S^2]$. Its derivative with respect to $c$
# is $-2\,\mathrm E[(f-c)\,S^2]$, which is 0 at
#
# $$c^* = \frac{\mathrm E[f S^2]}{\mathrm E[S^2]} \tag{6.7}$$

# %% [markdown]
# **From the draws themselves.** With $n$ draws $z_1, \dots, z_n$ one takes the mean of $f$ over them as baseline. But
# the mean of *all* draws contains $f(z_i)$, so it depends on $z_i$. *Leave one out*: for draw $i$ take the mean over
# the others,
#
# $$c_i = \frac1{n-1}\sum_{j\ne i} f(z_j) \tag{6.8}$$
#
# The others are drawn independently of $z_i$, so for them (6.6) holds. How wrong is the mean of all, $\bar f$? It holds
# $\frac1n$ of $f(z_i)$ and $\frac{n-1}n$ of $c_i$:
#
# $$f(z_i) - \bar f = f(z_i) - \tfrac1n f(z_i) - \tfrac{n-1}n c_i = \tfrac{n-1}{n}\,\big(f(z_i) - c_i\big)$$
#
# So with $\bar f$ every estimate is too small by the factor $\frac{n-1}n$. With two draws that is half the gradient.

# %% [markdown]
# ## The code
#
# (6.4), (6.5) and (6.3) as they run in the package, and (6.2) for a whole VAE:

# %%
lesson.show(reparameterize, "6.4")

# %%
lesson.show(reparameterize_backward, "6.5")

# %%
lesson.show(gaussian_log_density_backward, "6.3")

# %%
lesson.show(nv.objectives.score_function, "6.2")

# %% [markdown]
# ## The experiment: a toy whose answer is known
#
# Take $f(z) = z^2 + \sin z$, whose slope is $f'(z) = 2z + \cos z$. By lesson 5, $\mathrm E[z^2] = \mu^2 + \sigma^2$.
# And the sine?
#
# *Step 1.* $\sin(\mu + \sigma\varepsilon) = \sin\mu\,\cos(\sigma\varepsilon) + \cos\mu\,\sin(\sigma\varepsilon)$. The
# average of $\sin(\sigma\varepsilon)$ is 0, because $\varepsilon$ and $-\varepsilon$ are equally likely. So
# $\mathrm E[\sin z] = \sin\mu\;C(\sigma)$ with $C(\sigma) = \mathrm E[\cos(\sigma\varepsilon)]$.
#
# *Step 2.* $C'(\sigma) = -\int\varepsilon\,\sin(\sigma\varepsilon)\,\varphi(\varepsilon)\,d\varepsilon$, where
# $\varphi$ is the density of $N(0,1)$. Its derivative is $\varphi'(\varepsilon) = -\varepsilon\,\varphi(\varepsilon)$,
# so $C'(\sigma) = \int\sin(\sigma\varepsilon)\,\varphi'(\varepsilon)\,d\varepsilon$. Integrate by parts; $\varphi$ is 0
# far out: $C'(\sigma) = -\int\sigma\cos(\sigma\varepsilon)\,\varphi(\varepsilon)\,d\varepsilon = -\sigma\,C(\sigma)$.
#
# *Step 3.* $C(0) = \mathrm E[\cos 0] = 1$. The function that is 1 at 0 and whose derivative is $-\sigma$ times itself
# is $e^{-\sigma^2/2}$. Therefore
#
# $$\mathrm E[\sin z] = \sin\mu\; e^{-\sigma^2/2} \tag{6.9}$$
#
# So $J = \mu^2 + \sigma^2 + \sin\mu\;e^{-\sigma^2/2}$, and the exact gradient is
# $\partial J/\partial\mu = 2\mu + \cos\mu\;e^{-\sigma^2/2}$.
#
# The code checks (6.9) with a sum over a grid of $\varepsilon$, as in (3.4).

# %%
SIGMA = 0.7


def f(z):
    return z**2 + np.sin(z)


def exact_gradient(mu):
    return 2 * mu + np.cos(mu) * np.exp(-SIGMA**2 / 2)


def average(values):
    """The average over eps ~ N(0, 1) of values that were computed for each eps of the grid."""
    return np.sum(grid_weight * values)


# %%
points, log_weight = exact.latent_grid(1, points=401, reach=10)
grid_eps, grid_weight = points[:, 0], np.exp(log_weight)
z = 1 + SIGMA * grid_eps    # for μ = 1
claim("mean_of_the_sine", average(np.sin(z)) - np.sin(1) * np.exp(-SIGMA**2 / 2), 0.0, 1e-12)
claim("mean_of_the_slope", average(2 * z + np.cos(z)) - exact_gradient(1), 0.0, 1e-12)

# %% [markdown]
# Three estimates of $\partial J/\partial\mu$, each from one draw:

# %%
def estimates(mu, eps):
    z = mu + SIGMA * eps
    score = (z - mu) / SIGMA**2
    return {"trick": 2 * z + np.cos(z),                   # (6.5)
            "score": f(z) * score,                        # (6.2)
            "score, f(μ) off": (f(z) - f(mu)) * score}    # (6.6)


# %% [markdown]
# **Predict first.** Take $\mu = 1$. Which of the three are right on average? Which one scatters least?
#
# <details><summary>Answer</summary>
#
# All three are right on average; that is what the derivations say. The trick scatters least, by far. It sees only the
# slope of $f$; the score function multiplies all of $f$ with noise.
# </details>

# %%
N = 200_000
for name, values in estimates(1.0, np.random.default_rng(6).standard_normal(N)).items():
    off = (values.mean() - exact_gradient(1.0)) / (values.std(ddof=1) / np.sqrt(N))
    print(f"{name:16} mean {values.mean():.4f}, exact {exact_gradient(1.0):.4f}: off by {off:+.1f} standard errors")
    claim("off_in_standard_errors", off, 0.0, 4.0)

# %% [markdown]
# All three are *unbiased*: their means agree with the exact value within the error of a mean of 200,000. The score
# function is not wrong. It is noisy. Each dot is one estimate; the dashed line is the exact gradient.

# %% tags=["hide-input"]
def draw_dots(ax, mu):
    eps = np.random.default_rng(1).standard_normal(60)
    jitter = np.random.default_rng(2).uniform(-0.25, 0.25, 60)
    rows = estimates(mu, eps)
    for row, (values, color) in enumerate(zip(rows.values(), (BLUE, ORANGE, GREEN))):
        errors = np.clip(values - exact_gradient(mu), -30, 30)
        ax.plot(errors, row + jitter, ".", color=color, markersize=5, alpha=0.7)
    ax.axvline(0, color=INK, linestyle="--", linewidth=1)
    ax.set_yticks(range(3), rows)
    ax.set(xlim=(-31, 31), ylim=(2.5, -0.5), title=f"μ = {mu:g}",
           xlabel="one estimate minus the exact ∂J/∂μ\n(farther than 30: drawn at 30)")


nv.plots.strip(draw_dots, (0, 1, 3), "Three frames, for μ = 0, 1 and 3, with 60 dots in each of three rows: the "
               "estimates' distances from the exact gradient, all around 0. The trick's row is narrow in all "
               "frames. The score function's is not much wider in the first frame and many times as wide in the "
               "last, where its farthest dots are drawn at the edge. With f(μ) subtracted it is the same in the "
               "first frame and in between in the others.", size=(3.5, 2.4))

# %%
lesson.slider(lambda mu: nv.plots.strip(draw_dots, [mu], "estimates from one draw", size=(6, 2.6)), mu=(-4.0, 4.0, 0.5))

# %% [markdown]
# **How many draws is that?** The error of a mean of $n$ draws is $\sqrt{\text{variance}/n}$. So an estimate with 31
# times the variance needs 31 times the draws. The variance is an average,
# $\mathrm E[\text{estimate}^2] - \mathrm E[\text{estimate}]^2$, so the grid gives it exactly. We add a fourth estimate,
# with the best number (6.7).

# %%
def variances(mu):
    values = estimates(mu, grid_eps)
    z, score = mu + SIGMA * grid_eps, grid_eps / SIGMA
    best = average(f(z) * score**2) / average(score**2)    # (6.7)
    values["score, best number off"] = (f(z) - best) * score
    for name, each in values.items():
        values[name] = average(each**2) - average(each)**2
    return values


trick, score, off_f, off_best = variances(1.0).values()
print(f"μ = 1: variance of the trick {trick:.3f}\nthe others, as multiples of it: score {score / trick:.1f}, "
      f"f(μ) off {off_f / trick:.1f}, best number off {off_best / trick:.1f}")
claim("variance_of_the_trick", trick, 0.912, 5e-4)
claim("score_over_trick_at_1", score / trick, 31.1, 0.05)
claim("baseline_over_trick_at_1", off_f / trick, 15.6, 0.05)
claim("best_number_over_trick_at_1", off_best / trick, 13.5, 0.05)

# %% [markdown]
# **Predict first.** How will the four variances change as $\mu$ moves away from 0? And what does the baseline $f(\mu)$
# take back at $\mu = 0$?
#
# <details><summary>Answer</summary>
#
# $f$ grows like $\mu^2$, so the variance of the plain score function grows like $\mu^4$ far out. The trick sees $f'$,
# whose *spread* changes little. At $\mu = 0$ the baseline takes back nothing: $f(0) = 0$.
# </details>

# %% tags=["hide-input"]
mus = np.linspace(-4, 4, 81)
curves = [variances(mu) for mu in mus]
fig, ax = plt.subplots(figsize=(7, 3.2))
for (name, color, style) in (("score", ORANGE, "-"), ("score, f(μ) off", GREEN, "-"),
                             ("score, best number off", GREEN, ":"), ("trick", BLUE, "-")):
    ax.semilogy(mus, [curve[name] for curve in curves], color=color, linestyle=style, label=name)
ax.set(xlabel="μ", ylabel="variance of one estimate")
ax.set_title("The score function pays for the size of f; a baseline takes some of it back", fontsize=10)
ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
nv.plots.show("Variance of one estimate against μ from −4 to 4, on a logarithmic axis. The trick's curve is lowest, "
              "between 0.7 and 4. The score function's rises steeply on both sides. With f(μ) subtracted it rises "
              "less and meets the plain one at μ = 0; with the best number subtracted it is less than half as high "
              "near μ = 0, and nearly the same far out.")

# %%
lowest = min(curve["score, best number off"] / curve["trick"] for curve in curves)
print(f"at its best μ, the score function with its best number has {lowest:.1f} times the trick's variance")
claim("baseline_takes_back_nothing_at_0", variances(0)["score, f(μ) off"] / variances(0)["score"], 1.0, 1e-12)
holds("the trick has the least variance at every μ of the figure", lowest > 1)
holds("at μ = −0.5 subtracting f(μ) does harm", variances(-0.5)["score, f(μ) off"] > variances(-0.5)["score"])
holds("at μ = ±3 it takes back more than half",
      all(variances(mu)["score, f(μ) off"] < variances(mu)["score"] / 2 for mu in (-3, 3)))
wave = np.sin(50 * (1 + SIGMA * grid_eps)) / 50
holds("for a small fast wave the score function has the lower variance",
      average((wave * grid_eps / SIGMA)**2) < average(np.cos(50 * (1 + SIGMA * grid_eps))**2))

# %% [markdown]
# At $\mu = 1$ one draw of the trick is worth 31.1 of the score function's; with $f(\mu)$ subtracted 15.6, with the best
# number 13.5. Far from 0 the baseline $f(\mu)$ takes back more than half, at 0 nothing, and at $\mu = -0.5$ it does a
# little harm: not every number is a good one.
#
# The trick does not remove the noise: its variance at $\mu = 1$ is 0.912, not 0. And that it wins is no law: if $f$ is
# a small wave of very many periods, $f'$ is large although $f$ is small. A decoder is smoother than that.
#
# **Leave one out, checked.** Take only four draws. By (6.8) the leave-one-out estimates are unbiased, while the mean of
# all loses a quarter.

# %%
eps = np.random.default_rng(8).standard_normal((100_000, 4))    # many tries of four draws
values = f(1 + SIGMA * eps)
others = (values.sum(axis=1, keepdims=True) - values) / 3
everybody = values.mean(axis=1, keepdims=True)
left_out = np.mean((values - others) * eps / SIGMA, axis=1)
with_all = np.mean((values - everybody) * eps / SIGMA, axis=1)
print(f"exact {exact_gradient(1.0):.3f}, leave one out {left_out.mean():.3f}, mean of all {with_all.mean():.3f}")
claim("mean_of_all_is_three_quarters_of_it", np.abs(with_all - 0.75 * left_out).max(), 0.0, 1e-12)
error = left_out.std(ddof=1) / np.sqrt(len(left_out))
claim("leave_one_out_off_in_standard_errors", (left_out.mean() - exact_gradient(1.0)) / error, 0.0, 4.0)

# %% [markdown]
# ## The same inside a VAE
#
# Now $f$ is the NLL of an image, and the gradient is that of the encoder's two last weight matrices, which put out
# $\mu$ and $\log\sigma^2$. We take pictures of 14 × 14 pixels, made black and white as in lesson 4, and five VAEs, from
# five starts, with *one* latent dimension.

# %%
def train(n_latent, seed, activation="tanh"):
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(196, (50,), n_latent, activation=activation, rng=rng)
    for record in nv.fit(vae, pictures, optimizer=nv.Adam(2e-3), epochs=5, batch_size=50, rng=rng):
        pass
    return vae.astype(np.float64)


pictures = black_and_white(shrink(lesson.images("train")[0][:4000]), seed=0)
x = pictures[:4]
models = [train(1, seed) for seed in range(5)]
kinked = train(1, 0, activation="relu")


# %% [markdown]
# One estimate is a row of 100 numbers, the gradients for the two matrices. (They hold the KL's gradient too; it is the
# same in all three estimates, and there is no chance in it.) The baseline of an image is its own NLL at $z = \mu$: that
# is (6.6) with $f(\mu)$.

# %%
def nll_at_mu(vae, images):
    mu, _ = vae.encode(images)
    return vae.likelihood.nll(vae.generate(mu), images)


def estimate(name, vae, images, eps):
    if name == "trick":
        vae.loss_and_grad(images, eps)
    elif name == "score":
        nv.objectives.score_function(vae, images, eps)
    else:
        nv.objectives.score_function(vae, images, eps, baseline=nll_at_mu(vae, images))
    gradient = vae.parameters.grad
    return np.concatenate([gradient("mu_head.W").ravel(), gradient("logvar_head.W").ravel()])


# %% [markdown]
# With one latent dimension an estimate depends on one $\varepsilon$. So the grid gives its mean and its variance, and
# no dice are thrown at all. The *total variance* of a row is the sum of the variances of its numbers.

# %%
def on_the_grid(name, vae, image, points=161):
    """The mean of an estimate for one image, and its total variance."""
    eps, log_w = exact.latent_grid(1, points=points, reach=8)
    rows = np.array([estimate(name, vae, image[None], noise[None]) for noise in eps])
    weight = np.exp(log_w)
    mean = weight @ rows
    return mean, np.sum(weight @ (rows - mean)**2)


# %% [markdown]
# **How exact is the grid?** Take one twice as fine and see what changes. That is next to nothing if the network is
# smooth: tanh. A ReLU has a kink, the slope of $f$ jumps there, and the same grid is right to a few digits only. So we
# use tanh.

# %%
def change(vae):
    coarse, _ = on_the_grid("trick", vae, x[0], points=161)
    fine, _ = on_the_grid("trick", vae, x[0], points=321)
    return np.linalg.norm(fine - coarse) / np.linalg.norm(fine)


smooth, rough = change(models[0]), change(kinked)
print(f"a grid twice as fine changes the gradient by a share of {smooth:.0e} with tanh, {rough:.0e} with ReLU")
claim("finer_grid_with_tanh", smooth, 0.0, 1e-9)
holds("with ReLU the change is more than a million times as large", rough > 1e6 * smooth)

# %%
NAMES = ("trick", "score", "score, f(μ) off")
total_variance = np.zeros((3, 5))    # of an estimate (row) in a model (column), added up over the four images
worst = 0.0
for column, vae in enumerate(models):
    for image in x:
        exact_mean, _ = on_the_grid("trick", vae, image)
        for row, name in enumerate(NAMES):
            mean, variance = on_the_grid(name, vae, image)
            worst = max(worst, np.linalg.norm(mean - exact_mean) / np.linalg.norm(exact_mean))
            total_variance[row, column] += variance
claim("means_differ_by_a_share_of", worst, 0.0, 1e-8)

# %% [markdown]
# The three means agree to eight digits: all three estimates are unbiased in a VAE too. Their variances do not agree.

# %%
ratio, ratio_baseline = total_variance[1:] / total_variance[0]
print("score over trick:", np.round(ratio), "  with f(μ) off:", np.round(ratio_baseline, 1))
claim("log10_of_score_over_trick", np.log10(ratio).mean(), 3.3, 0.3, on="strokes")
claim("baseline_over_trick", ratio_baseline.mean(), 4.1, 0.5, on="strokes")
holds("in each of the five models the score function has more than a hundred times the variance", np.all(ratio > 100))
holds("in each of the five models the trick beats the baseline too", np.all(ratio_baseline > 1))

# %% [markdown]
# The plain score function has about $10^{3.3}$ times the trick's variance: thousands of its draws for one of the
# trick's. The reason is the size of $f$: the NLL of an image is some forty nats, nearly all of it the same for every
# $z$. A baseline for each image takes nearly all of that back; a factor of about 4 is left.
#
# **Predict first.** Is the baseline good enough, then? Will the factor stay about 4 with 16 latent dimensions?
#
# <details><summary>Answer</summary>
#
# It grows. The score of *one* dimension is multiplied by what $f$ does because of *all* dimensions, and what the others
# do is noise to it. The trick's gradient of a dimension is the slope in that dimension alone.
# </details>
#
# With 16 dimensions there is no grid, so we throw dice: 300 draws of each estimate, in five models.

# %%
def drawn_variance(name, vae, seed):
    rng = np.random.default_rng(seed)
    rows = [estimate(name, vae, x, rng.standard_normal((4, 16))) for _ in range(300)]
    return np.sum(np.var(rows, axis=0, ddof=1))


deep = [train(16, seed) for seed in range(5)]
deep_variance = np.zeros((3, 5))    # as above
for column, vae in enumerate(deep):
    for row, name in enumerate(NAMES):
        deep_variance[row, column] = drawn_variance(name, vae, seed=column)
deep_ratio = deep_variance[2] / deep_variance[0]
print("16 latent dimensions: with f(μ) off, over trick:", np.round(deep_ratio, 1))
claim("baseline_over_trick_with_16", np.median(deep_ratio), 7, 2, on="strokes")
holds("each of the five models with 16 is farther behind than those with 1 are on average",
      np.all(deep_ratio > ratio_baseline.mean()))

# %% tags=["hide-input"]
nv.plots.show_dots({f"1 latent dimension: green is {ratio_baseline.mean():.0f} times blue":
                    dict(zip(NAMES, total_variance)),
                    f"16 latent dimensions: green is {np.median(deep_ratio):.0f} times blue":
                    dict(zip(NAMES, deep_variance))},
                   "Two panels, for 1 and for 16 latent dimensions, with the total variance on a logarithmic axis, "
                   "five dots in each of three rows. The score function's dots lie thousands of times to the right "
                   "of the trick's in the first panel and hundreds to thousands of times in the second. With f(μ) "
                   "subtracted they lie about 4 times as far right as the trick's in the first and 7 to 9 times in "
                   "the second, but for one model, at 62.", "total variance of the encoder's gradient",
                   dict(zip(NAMES, (BLUE, ORANGE, GREEN))), xscale="log")

# %% [markdown]
# With 16 latent dimensions, in the middle one of the five models, about 7 draws with the baseline are worth one of the
# trick. (The numbers scatter: now and then one draw is huge, and 300 draws may have one such or none.) That is why VAEs
# are trained with (6.4). Where $f$ has no derivative (a $z$ that is a choice among categories), the score function is
# what remains, and good baselines are worth their trouble.
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **6.1** (5 minutes) The score function: from `f_of_z`, `z`, `mu`, `logvar`, arrays of the same shape, return the
# single-draw estimates of $\partial J/\partial\mu$ and of $\partial J/\partial\log\sigma^2$.
#
# <details><summary>Hint</summary>
#
# (6.2) with (6.3). $1/\sigma^2$ is `np.exp(-logvar)`.
# </details>

# %% tags=["exercise"]
def score_estimates(f_of_z, z, mu, logvar):
    ...    # your code


# %% tags=["solution"]
def score_estimates(f_of_z, z, mu, logvar):
    r = (z - mu) * np.exp(-logvar)
    return f_of_z * r, f_of_z * 0.5 * ((z - mu) * r - 1)


# %%
check.score_estimates(score_estimates)

# %% [markdown]
# **6.2** (5 minutes) The reparameterized gradients, given `dz` $= f'(z)$ and the *same* `eps` that made $z$: return
# `dmu`, `dlogvar`. The check compares with a numerical derivative at frozen $\varepsilon$.
#
# <details><summary>Hint</summary>
#
# (6.5): multiply `dz` by each derivative of $z$. $\sigma$ is `np.exp(0.5 * logvar)`.
# </details>

# %% tags=["exercise"]
def my_reparameterize_backward(dz, logvar, eps):
    ...    # your code


# %% tags=["solution"]
def my_reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(0.5 * logvar) * 0.5


# %%
check.reparameterize_backward(my_reparameterize_backward)

# %% [markdown]
# **6.3** (10 minutes) A baseline. You are given many values `f_of_z` and scores $\partial\log q/\partial\mu$ at the
# same draws. Return the estimates, one for each draw, with a baseline that makes their variance at least a hundred
# times smaller and leaves their mean *exactly* right, for any number of draws. Here $f$ is large and nearly constant.
#
# <details><summary>Hint 1</summary>
#
# A number near $f$ itself takes away nearly all of it. Multiply by the score after subtracting.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The mean of the others, (6.8): the sum of all, less the draw's own value, divided by $n - 1$.
# </details>

# %% tags=["exercise"]
def with_baseline(f_of_z, score):
    ...    # your code


# %% tags=["solution"]
def with_baseline(f_of_z, score):
    others = (f_of_z.sum() - f_of_z) / (len(f_of_z) - 1)
    return (f_of_z - others) * score


# %%
check.with_baseline(with_baseline)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - The score function (6.2) is unbiased and needs no derivative of $f$. Its noise grows with the size of $f$.
# - A baseline (6.6) may be any number that does not depend on $z$. From the draws themselves: leave one out, (6.8).
# - The trick (6.4) moves the randomness out of the way. The gradient still has noise, but far less.
# - $\varepsilon$ is drawn once, and the same one serves forward and backward.
#
# **Papers to read next.** Ronald Williams, *Simple Statistical Gradient-Following Algorithms* (1992): the score
# function, under the name REINFORCE. Kingma and Welling, *Auto-Encoding Variational Bayes* (2013), section 2.4: the
# trick. Shakir Mohamed and others, *Monte Carlo Gradient Estimation in Machine Learning* (2020), sections 4 and 5:
# both, with many more, and when which one wins.
#
# **Still wrong, and next.** We have a gradient for the last weights of the encoder. What about all the others? Every
# part is here; lesson 7 puts them together, and follows one image through them, number by number.
