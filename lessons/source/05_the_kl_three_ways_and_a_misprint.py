# %% [markdown]
# # 5. The KL, three ways, and a misprint
#
# **The question.** A VAE's loss has a second term, $\tfrac12\sum(\sigma^2+\mu^2-\log\sigma^2-1)$. Where does it come
# from, and what happens if one symbol in it is wrong?
#
# *You need:* lesson 4 (what KL means), integrals, NumPy. *Time:* 45 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional.gaussian import gaussian_kl, gaussian_kl_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(5, DATA)
claim, check = lesson.claim, lesson.check
rng = np.random.default_rng(5)

# %% [markdown]
# ## The derivation
#
# **Symbols.** For one image the encoder puts out two numbers for each latent dimension: a mean $\mu$ and the logarithm
# of a variance, $\log\sigma^2$ (in the code: `mu`, `logvar`). They stand for the distribution
# $q(z) = N(z;\,\mu, \sigma^2)$. The prior is $p(z) = N(z;\,0, 1)$. The *Kullback-Leibler divergence* asks how much more
# likely a draw from $q$ is under $q$ than under $p$, on average:
#
# $$\mathrm{KL}(q\,\|\,p) = \mathrm E_{z\sim q}\big[\log q(z) - \log p(z)\big] \tag{5.1}$$
#
# Its unit is the nat, because $\log$ is the natural logarithm.
#
# **Step 1: the two logarithms.** The density of a Gaussian is
# $\frac{1}{\sigma\sqrt{2\pi}}\,e^{-(z-\mu)^2/(2\sigma^2)}$. Take the logarithm, and use
# $\log\sigma = \tfrac12\log\sigma^2$:
#
# $$\log q(z) = -\tfrac12\log 2\pi - \tfrac12\log\sigma^2 - \frac{(z-\mu)^2}{2\sigma^2},\qquad
# \log p(z) = -\tfrac12\log 2\pi - \frac{z^2}{2} \tag{5.2}$$
#
# **Step 2: subtract.** The terms $\tfrac12\log 2\pi$ cancel:
#
# $$\log q(z) - \log p(z) = -\tfrac12\log\sigma^2 - \frac{(z-\mu)^2}{2\sigma^2} + \frac{z^2}{2} \tag{5.3}$$

# %% [markdown]
# **Step 3: take the mean of each term.**
#
# - The first does not depend on $z$: it stays.
# - $\mathrm E[(z-\mu)^2]$ is the variance of $z$, so it is $\sigma^2$. The second term becomes $-\tfrac12$.
# - $\mathrm E[z^2]$: write $z = \mu + (z-\mu)$ and square: $\mu^2 + 2\mu(z-\mu) + (z-\mu)^2$. The mean of $z-\mu$ is 0, so
#   $\mathrm E[z^2] = \mu^2 + \sigma^2$.
#
# $$\mathrm{KL} = \tfrac12\left(\sigma^2 + \mu^2 - 1 - \log\sigma^2\right) \tag{5.4}$$
#
# With several latent dimensions, $q$ and $p$ are products, their logarithms are sums, and so is the KL.
#
# **Step 4: its gradient.** Write $s = \log\sigma^2$, so that $\sigma^2 = e^s$ and $de^s/ds = e^s$:
#
# $$\frac{\partial\,\mathrm{KL}}{\partial\mu} = \mu,\qquad
# \frac{\partial\,\mathrm{KL}}{\partial s} = \tfrac12\left(e^s - 1\right) \tag{5.5}$$
#
# Both are zero at $\mu = 0$, $s = 0$: there $q$ is the prior, and the KL is 0. It is positive everywhere else.

# %% [markdown]
# ## The code
#
# The package has these two equations as two functions. Read the docstrings: each line is a step from above.

# %%
lesson.show(gaussian_kl, "5.4")

# %%
lesson.show(gaussian_kl_backward, "5.5")

# %% [markdown]
# ## The experiment: three ways to one number
#
# The closed form (5.4) is a claim about an integral. So compute the integral (5.1) in two other ways.
#
# 1. *Quadrature*: a sum over a fine grid of $z$, which is exact to many digits here.
# 2. *Monte Carlo*: draw $z$ from $q$ and average $\log q - \log p$. Its error shrinks as $1/\sqrt N$.

# %%
def log_normal(z, mu, sigma):
    return -0.5 * np.log(2 * np.pi) - np.log(sigma) - (z - mu)**2 / (2 * sigma**2)


mu, logvar = 1.2, -1.5
sigma = np.exp(logvar / 2)
closed = gaussian_kl(np.array([[mu]]), np.array([[logvar]]))[0]

z = np.linspace(mu - 12 * sigma, mu + 12 * sigma, 2001)
ratio = log_normal(z, mu, sigma) - log_normal(z, 0.0, 1.0)
quadrature = np.sum(np.exp(log_normal(z, mu, sigma)) * ratio) * (z[1] - z[0])

draws = mu + sigma * rng.standard_normal(100_000)
samples = log_normal(draws, mu, sigma) - log_normal(draws, 0.0, 1.0)
print(f"closed form {closed:.10f}\nquadrature  {quadrature:.10f}")
print(f"Monte Carlo {samples.mean():.4f} ± {samples.std() / np.sqrt(len(samples)):.4f}")

# %% [markdown]
# The closed form and the quadrature agree to the last digits. At $\mu = 1.2$, $\log\sigma^2 = -1.5$ the KL is 1.0816 nats.
# Monte Carlo agrees within its own error.

# %%
claim("kl_by_formula", closed, 1.0816, 5e-5)
claim("quadrature_minus_formula", quadrature - closed, 0.0, 1e-12)
claim("monte_carlo_error_in_standard_errors",
      abs(samples.mean() - closed) / (samples.std() / np.sqrt(len(samples))), 0.0, 4.0)

# %%
counts = np.unique(np.logspace(1, 5, 200).astype(int))
running = np.cumsum(samples)[counts - 1] / counts
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.fill_between(counts, closed - 2 * samples.std() / np.sqrt(counts), closed + 2 * samples.std() / np.sqrt(counts),
                color=BLUE, alpha=0.15, label="closed form ± 2 standard errors")
ax.semilogx(counts, running, color=ORANGE, label="Monte Carlo, running mean")
ax.axhline(closed, color=INK, linewidth=1)
ax.set(xlabel="number of draws", ylabel="KL estimate (nats)", ylim=(closed - 0.6, closed + 0.6))
ax.legend(frameon=False)
ax.set_title("A hundred times the draws, a tenth of the error", fontsize=10)
plt.show()

# %% [markdown]
# ## The misprint
#
# The lecture this course follows prints the term as
#
# $$\widetilde{\mathrm{KL}} = \tfrac12\left(\sigma^2 + \mu^2 - \log\sigma - 1\right) \tag{5.6}$$
#
# with $\log\sigma$ where $\log\sigma^2$ belongs. It is one missing exponent, and everybody writes it once. What does it do?
#
# **It is no divergence.** With $v = \sigma^2$ and $\log\sigma = \tfrac12\log v$, set the derivative for $v$ to zero:
# $\tfrac12(1 - \tfrac{1}{2v}) = 0$, so the minimum lies at $v = \tfrac12$, not at 1. Its value there is
# $\tfrac12(\tfrac12 + \tfrac12\log 2 - 1) = -\tfrac14(1 - \log 2)$: below zero. A KL is never below zero.

# %%
def misprinted_kl(mu, logvar):
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 0.5 * logvar - 1.0, axis=1)


v = np.linspace(0.02, 3, 2000)
column = np.log(v)[:, None]
right, wrong = gaussian_kl(0 * column, column), misprinted_kl(0 * column, column)
lowest = np.argmin(wrong)
claim("misprint_minimum", wrong[lowest], -0.0767, 1e-4)
claim("misprint_minimum_formula", -0.25 * (1 - np.log(2)), -0.0767, 1e-4)
claim("misprint_best_variance", v[lowest], 0.5, 2e-3)

# %%
def draw_kl(mean=0.0):
    fig, ax = plt.subplots(figsize=(7, 3.4))
    for kl, color, name in ((gaussian_kl, BLUE, "KL, eq. (5.4)"), (misprinted_kl, ORANGE, "misprint, eq. (5.6)")):
        values = kl(np.full_like(column, mean), column)
        ax.plot(v, values, color=color, label=name)
        ax.plot(v[np.argmin(values)], values.min(), "o", color=color)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xlabel="variance σ²", ylabel="nats", ylim=(-0.3, 2.5))
    ax.set_title(f"μ = {mean:g}: the KL is lowest at σ² = 1, the misprint at σ² = ½", fontsize=10)
    ax.legend(frameon=False)
    plt.show()


draw_kl()

# %% [markdown]
# At $\mu = 0$ the misprint's lowest point lies below the line: a "divergence" of less than nothing. Move $\mu$: both curves rise together. The two dots stay above $\sigma^2 = 1$ and $\sigma^2 = \tfrac12$.

# %%
lesson.slider(draw_kl, mean=(-2.0, 2.0, 0.1))

# %% [markdown]
# **So what is (5.6)?** Take the KL to another prior, $N(0, \tfrac12)$. By the same steps as above, with $p$'s variance
# $\tfrac12$ in place of 1:
#
# $$\mathrm{KL}\big(q\,\|\,N(0,\tfrac12)\big) = \tfrac12\left(2\sigma^2 + 2\mu^2 - 1 - \log(2\sigma^2)\right)$$
#
# Half of it is $\tfrac12\left(\sigma^2 + \mu^2 - \tfrac12 - \tfrac12\log 2 - \log\sigma\right)$. Subtract
# $\tfrac14(1-\log 2)$, and it is (5.6):
#
# $$\widetilde{\mathrm{KL}} = \tfrac12\,\mathrm{KL}\big(q\,\|\,N(0,\tfrac12)\big) - \tfrac14(1 - \log 2) \tag{5.7}$$
#
# One missing exponent is *two* changes of the model: a prior with half the variance, and half the weight ($\beta = \tfrac12$).

# %%
mu, logvar = rng.standard_normal((2, 1000, 1))
narrow = 0.5 * np.sum(2 * np.exp(logvar) + 2 * mu**2 - 1 - np.log(2) - logvar, axis=1)
identity = misprinted_kl(mu, logvar) - (0.5 * narrow - 0.25 * (1 - np.log(2)))
claim("misprint_identity_worst_error", np.abs(identity).max(), 0.0, 1e-12)

# %% [markdown]
# ### What it does to a trained model
#
# Train two VAEs, the same but for this term. The misprint's gradient is written as carefully as the right one, so
# **every gradient check passes**: forward and backward agree, on the wrong function.

# %%
from unittest import mock


def misprinted_kl_backward(dkl, mu, logvar):
    dkl = dkl[:, None]
    return dkl * mu, dkl * 0.5 * (np.exp(logvar) - 0.5)


def train(kl, backward, epochs=8):
    images, _ = lesson.images("train")
    vae = nv.VAE.dense(784, (200,), 20, likelihood="gaussian", sigma=1.0, rng=np.random.default_rng(1))
    with mock.patch.multiple("numpyvae.models.posteriors", gaussian_kl=kl, gaussian_kl_backward=backward):
        list(nv.fit(vae, images[:10000], optimizer=nv.Adam(1e-3), epochs=epochs, batch_size=100,
                    rng=np.random.default_rng(2)))
    return vae


models = {"right KL": train(gaussian_kl, gaussian_kl_backward),
          "misprint": train(misprinted_kl, misprinted_kl_backward)}

# %% [markdown]
# Some of the 20 latent dimensions tell the decoder nothing: their $\mu$ hardly moves from image to image. Nothing but the
# KL term acts on them, so they rest where it is lowest: at $\sigma^2 = 1$ with the right one, at $\sigma^2 = \tfrac12$ with
# the misprint.

# %%
test = lesson.images("test")[0].reshape(-1, 784)[:2000] / 255
widest, spread = {}, {}
fig, ax = plt.subplots(figsize=(7, 3.2))
for (name, vae), color in zip(models.items(), (BLUE, ORANGE)):
    mu, logvar = vae.encode(test)
    width = np.sort(np.exp(logvar).mean(axis=0))
    widest[name] = width[-1]
    spread[name] = np.mean(mu.var(axis=0) + np.exp(logvar).mean(axis=0))
    ax.plot(np.arange(1, 21), width, "o-", color=color, label=name)
for level in (1, 0.5):
    ax.axhline(level, color=INK, linewidth=0.8, linestyle="--")
ax.set(xlabel="latent dimension, narrowest first", ylabel="σ², mean over test images", ylim=(0, 1.1))
ax.set_xticks([1, 5, 10, 15, 20])
ax.set_title("Unused dimensions rest at 1 with the KL, at ½ with the misprint", fontsize=10)
ax.legend(frameon=False)
plt.show()

# %%
claim("widest_dimension_right", widest["right KL"], 1.0, 0.1)
claim("widest_dimension_misprint", widest["misprint"], 0.5, 0.1)

# %% [markdown]
# **The whole cloud of codes.** Draw an image at random, then $z$ from its $q$. These $z$ have the variance of $\mu$ over images
# plus the mean of $\sigma^2$. Averaged over the dimensions it is 1 with the right KL and ½ with the misprint, as (5.7) says:
# the codes fill the prior that the loss believes in.

# %%
claim("variance_of_all_codes_right", spread["right KL"], 1.0, 0.1, on="strokes")
claim("variance_of_all_codes_misprint", spread["misprint"], 0.5, 0.1, on="strokes")

# %% [markdown]
# Does it matter? We draw $z$ from $N(0, 1)$, as the text of every VAE says. The misprint's decoder has met codes with half that
# variance, so many draws land where nothing was ever encoded, and it paints what it likes there.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3))
for ax, (name, vae) in zip(axes, models.items()):
    nv.plots.image_grid(vae.sample(32, np.random.default_rng(3)), ax, columns=8)
    ax.set_title(f"decoded draws from N(0, I): {name}", fontsize=10)
plt.show()

# %% [markdown]
# ## Exercises
#
# Each check answers at once, on random inputs. It never shows the solution.
#
# **5.1** Write the KL of each row: `mu`, `logvar` of shape (B, Z) in, (B,) out.

# %% tags=["exercise"]
def my_kl(mu, logvar):
    ...    # your code


# %% tags=["solution"]
def my_kl(mu, logvar):
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)


# %%
check.kl(my_kl)

# %% [markdown]
# **5.2** Write its gradients, given `dkl` (B,), the gradient for each row's KL: return `dmu`, `dlogvar`, both (B, Z).

# %% tags=["exercise"]
def my_kl_backward(dkl, mu, logvar):
    ...    # your code


# %% tags=["solution"]
def my_kl_backward(dkl, mu, logvar):
    return dkl[:, None] * mu, dkl[:, None] * 0.5 * (np.exp(logvar) - 1)


# %%
check.kl_backward(my_kl_backward)

# %% [markdown]
# **5.3** The KL from $N(\mu, \sigma^2)$ to a prior $N(0, t^2)$ with any $t$, for each row. (Put $t^2 = \tfrac12$ in and (5.7) is
# near.)

# %% tags=["exercise"]
def kl_to_wide_prior(mu, logvar, t):
    ...    # your code


# %% tags=["solution"]
def kl_to_wide_prior(mu, logvar, t):
    return 0.5 * np.sum((np.exp(logvar) + mu**2) / t**2 - 1 - logvar + np.log(t**2), axis=1)


# %%
check.kl_to_wide_prior(kl_to_wide_prior)

# %% [markdown]
# **5.4** Five people wrote the KL. Name each fault: a dictionary from the letter to one of
# `"log sigma"`, `"missing half"`, `"mean"`, `"sign"`, `"missing one"`.
#
# - **a** `0.5 * np.mean(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)`
# - **b** `0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=1)`
# - **c** `np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)`
# - **d** `0.5 * np.sum(np.exp(logvar) + mu**2 - logvar, axis=1)`
# - **e** `0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - 0.5 * logvar, axis=1)`

# %% tags=["exercise"]
faults = ...    # your answer: {"a": "...", "b": "...", "c": "...", "d": "...", "e": "..."}

# %% tags=["solution"]
faults = {"a": "mean", "b": "sign", "c": "missing half", "d": "missing one", "e": "log sigma"}

# %%
check.faults(faults)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - The KL term is an integral that has a closed form, (5.4). Quadrature and Monte Carlo give the same number.
# - `logvar` is $\log\sigma^2$, always. With $\log\sigma$ in its place the loss is the one of another model: half the weight
#   and a prior of half the variance, (5.7).
# - A gradient check cannot see that. Only a comparison with the integral can.
#
# Still wrong: the KL's closed form is about $q$ and $p$ alone. The other half of the loss is an average over draws of $z$, and
# we have not said how a gradient can pass a draw. That is lesson 6.
