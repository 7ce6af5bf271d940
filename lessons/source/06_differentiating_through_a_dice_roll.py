# %% [markdown]
# # 6. Differentiating through a dice roll
#
# **The question.** The loss depends on a random draw $z$ from $q$. The encoder decides $q$. How can a gradient pass the draw?
#
# *You need:* lesson 2 (gradients), lesson 5 (the Gaussian). *Time:* 45 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional.gaussian import gaussian_log_density_backward, reparameterize, reparameterize_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(6, DATA)
claim, check = lesson.claim, lesson.check
rng = np.random.default_rng(6)

# %% [markdown]
# ## The derivation
#
# **Symbols.** $q(z) = N(z;\, \mu, \sigma^2)$, and $f(z)$ is what the rest of the model makes of $z$ (in a VAE, the reconstruction
# term). We minimise the *average* of $f$ over draws of $z$:
#
# $$J(\mu, \sigma) = \mathrm E_{z\sim q}[f(z)] = \int q(z)\, f(z)\, dz \tag{6.1}$$
#
# We want $\partial J/\partial\mu$ and $\partial J/\partial\log\sigma^2$. Write $\phi$ for either of them. The trouble: $f$ does not
# contain $\phi$. Only the density does. There are two ways out.
#
# ### First way: the score function
#
# Differentiate the density under the integral. Since $\partial\log q = \partial q / q$, we have
# $\partial q = q\,\partial\log q$:
#
# $$\frac{\partial J}{\partial\phi} = \int \frac{\partial q}{\partial\phi} f\, dz
# = \int q\,\frac{\partial\log q}{\partial\phi} f\, dz
# = \mathrm E_{z\sim q}\Big[f(z)\,\frac{\partial\log q(z)}{\partial\phi}\Big] \tag{6.2}$$
#
# That is again an average over $q$, so draws estimate it. It needs no derivative of $f$. From
# $\log q = -\tfrac12\big((z-\mu)^2/\sigma^2 + \log\sigma^2 + \log 2\pi\big)$:
#
# $$\frac{\partial\log q}{\partial\mu} = \frac{z-\mu}{\sigma^2},\qquad
# \frac{\partial\log q}{\partial\log\sigma^2} = \tfrac12\Big(\frac{(z-\mu)^2}{\sigma^2} - 1\Big) \tag{6.3}$$

# %% [markdown]
# ### Second way: move the dice out
#
# Draw $\varepsilon$ from $N(0, 1)$, which knows nothing of $\phi$, and compute
#
# $$z = \mu + \sigma\,\varepsilon,\qquad \sigma = e^{\frac12\log\sigma^2} \tag{6.4}$$
#
# This $z$ has mean $\mu$ and variance $\sigma^2$. Now $J = \mathrm E_\varepsilon[f(\mu + \sigma\varepsilon)]$: the density is fixed,
# and $\phi$ stands inside $f$. The chain rule does the rest, with $\varepsilon$ held still:
#
# $$\frac{\partial z}{\partial\mu} = 1,\qquad
# \frac{\partial z}{\partial\log\sigma^2} = \tfrac12\,\sigma\,\varepsilon \tag{6.5}$$
#
# This is the *reparameterization trick*. It needs $f'$, which backpropagation gives.
#
# ### A baseline
#
# Any constant $c$ may be subtracted from $f$ in (6.2): $\int\partial q\,dz = \partial\int q\,dz = \partial 1 = 0$, so
# $\mathrm E[c\,\partial\log q] = 0$ and the mean does not change. The variance does:
#
# $$\frac{\partial J}{\partial\phi} = \mathrm E\Big[(f(z) - c)\,\frac{\partial\log q}{\partial\phi}\Big] \tag{6.6}$$

# %% [markdown]
# ## The code

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
# Take $f(z) = z^2 + \sin z$. Both averages are known: $\mathrm E[z^2] = \mu^2 + \sigma^2$ and
# $\mathrm E[\sin z] = \sin\mu\; e^{-\sigma^2/2}$. So $\partial J/\partial\mu = 2\mu + \cos\mu\; e^{-\sigma^2/2}$, exactly.

# %%
def f(z):
    return z**2 + np.sin(z)


def estimates(mu, sigma, n, rng):
    """Single-draw estimates of dJ/dmu: reparameterized, score function, score function with a baseline."""
    eps = rng.standard_normal(n)
    z = mu + sigma * eps
    score = (z - mu) / sigma**2
    return {"reparameterization": 2 * z + np.cos(z), "score function": f(z) * score,
            "score function, baseline": (f(z) - f(mu)) * score}


# %%
mu, sigma, n = 1.0, 0.7, 200_000
exact = 2 * mu + np.cos(mu) * np.exp(-sigma**2 / 2)
drawn = estimates(mu, sigma, n, rng)
for name, each in drawn.items():
    off = (each.mean() - exact) / (each.std() / np.sqrt(n))
    print(f"{name:26s} mean {each.mean():.4f} (exact {exact:.4f}, off by {off:+.1f} standard errors), "
          f"variance {each.var():.2f}")
    claim("bias_in_standard_errors", abs(off), 0.0, 4.0)

# %% [markdown]
# All three are *unbiased*: their means agree with the exact value within the error of the mean. The score function is not wrong.
# It is noisy.

# %%
colors = dict(zip(drawn, (BLUE, ORANGE, GREEN)))


def draw_histograms(mu=1.0):
    exact = 2 * mu + np.cos(mu) * np.exp(-0.7**2 / 2)
    fig, ax = plt.subplots(figsize=(7, 3.2))
    for name, each in estimates(mu, 0.7, 20_000, np.random.default_rng(1)).items():
        ax.hist(each, np.linspace(exact - 15, exact + 15, 121), histtype="step", color=colors[name], label=name)
    ax.axvline(exact, color=INK, linestyle="--", linewidth=1)
    ax.set(xlabel="one estimate of ∂J/∂μ from one draw", ylabel="how often")
    ax.set_title(f"μ = {mu:g}: the same mean (dashed), very different widths", fontsize=10)
    ax.legend(frameon=False, fontsize="small")
    plt.show()


draw_histograms()

# %%
lesson.slider(draw_histograms, mu=(-3.0, 3.0, 0.5))

# %% [markdown]
# **Variance against μ.** Move $\mu$ away from zero: $f$ gets large, and the score function multiplies all of it with noise. The
# reparameterized gradient sees only the slope.

# %%
mus = np.linspace(-4, 4, 41)
variances = {name: [] for name in drawn}
for m in mus:
    for name, each in estimates(m, sigma, 20_000, np.random.default_rng(2)).items():
        variances[name].append(each.var())
fig, ax = plt.subplots(figsize=(7, 3.2))
for name, values in variances.items():
    ax.semilogy(mus, values, color=colors[name], label=name)
ax.set(xlabel="μ", ylabel="variance of one estimate")
ax.set_title("The score function pays for the size of f, a baseline takes much of it back", fontsize=10)
ax.legend(frameon=False, fontsize="small")
plt.show()
claim("variance_ratio_at_mu_1", drawn["score function"].var() / drawn["reparameterization"].var(), 31, 4)
claim("variance_ratio_with_baseline", drawn["score function, baseline"].var() / drawn["reparameterization"].var(), 16, 4)

# %% [markdown]
# At $\mu = 1$ one reparameterized draw is worth about 31 of the score function's, and about 16 with this baseline.
# The reparameterized estimate still has noise: its variance here is 0.92, not 0.

# %%
claim("reparameterization_has_noise_too", drawn["reparameterization"].var(), 0.92, 0.03)

# %% [markdown]
# ## The same inside a VAE
#
# A small VAE with *one* latent dimension, trained a little. With one dimension the exact gradient is an integral over one
# number $\varepsilon$, and quadrature gives it to all digits.

# %%
images = lesson.images("train")[0]
x = images[:4].reshape(4, -1) / 255
vae = nv.VAE.dense(784, (50,), 1, rng=np.random.default_rng(1), dtype=np.float64)
list(nv.fit(vae, images[:2000], optimizer=nv.Adam(1e-3), epochs=10, batch_size=50, rng=np.random.default_rng(2)))


def encoder_gradient():
    return np.concatenate([vae.parameters.grad(name).ravel() for name in ("mu_head.W", "logvar_head.W")])


nodes, weights = np.polynomial.hermite_e.hermegauss(60)    # E[g(eps)] = sum of weights * g(nodes)
truth = 0.0
for node, weight in zip(nodes, weights / np.sqrt(2 * np.pi)):
    vae.loss_and_grad(x, np.full((4, 1), node))
    truth = truth + weight * encoder_gradient()

# %%
def run(estimator, n=1000):
    """n estimates of the encoder's gradient: distance of their mean from the truth in standard errors; total variance."""
    draws = []
    for _ in range(n):
        estimator(rng.standard_normal((4, 1)))
        draws.append(encoder_gradient())
    variance = np.var(draws, axis=0).sum()
    return np.linalg.norm(np.mean(draws, axis=0) - truth) / np.sqrt(variance / n), variance


baseline = vae.loss_terms(x, np.zeros((4, 1))).nll
results = {"reparameterization": run(lambda eps: vae.loss_and_grad(x, eps)),
           "score function": run(lambda eps: nv.objectives.score_function(vae, x, eps)),
           "score function, baseline": run(lambda eps: nv.objectives.score_function(vae, x, eps, baseline))}
for name, (bias, variance) in results.items():
    print(f"{name:26s} off by {bias:.1f} standard errors, variance {variance:.3g}")
    claim("bias_in_a_vae_in_standard_errors", bias, 0.0, 4.0)

# %%
fig, ax = plt.subplots(figsize=(7, 2.2))
ax.barh(list(results), [variance for _, variance in results.values()], color=list(colors.values()))
ax.set(xscale="log", xlabel="variance of the encoder's gradient (logarithmic)")
ax.set_title("Inside a VAE the difference is a factor of thousands", fontsize=10)
ax.invert_yaxis()
plt.show()
ratio = results["score function"][1] / results["reparameterization"][1]
claim("log10_of_the_ratio_in_a_vae", np.log10(ratio), 3.9, 0.7, on="strokes")

# %% [markdown]
# The ratio is near $10^{3.9}$: thousands of draws of the score function for one of the other. The reason is the size of $f$:
# the NLL of an image is hundreds of nats, nearly all of it the same for every $z$. That is why VAEs are trained with (6.4).
#
# ## Exercises
#
# **6.1** The score function: return single-draw estimates of $\partial J/\partial\mu$ and $\partial J/\partial\log\sigma^2$,
# both like `z`, from `f_of_z`, `z`, `mu`, `logvar`.

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
# **6.2** The reparameterized gradients, given `dz` $= f'(z)$ and the *same* `eps` that made $z$: return `dmu`, `dlogvar`. The check
# compares with a numerical derivative at frozen $\varepsilon$.

# %% tags=["exercise"]
def my_reparameterize_backward(dz, logvar, eps):
    ...    # your code


# %% tags=["solution"]
def my_reparameterize_backward(dz, logvar, eps):
    return dz, dz * eps * np.exp(0.5 * logvar) * 0.5


# %%
check.reparameterize_backward(my_reparameterize_backward)

# %% [markdown]
# **6.3** A baseline. You are given many values `f_of_z` and scores $\partial\log q/\partial\mu$ at the same draws. Return the estimates
# with a baseline that keeps their mean right and makes their variance at least a hundred times smaller. Here $f$ is
# large and nearly constant.

# %% tags=["exercise"]
def with_baseline(f_of_z, score):
    ...    # your code


# %% tags=["solution"]
def with_baseline(f_of_z, score):
    return (f_of_z - f_of_z.mean()) * score


# %%
check.with_baseline(with_baseline)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - The score function (6.2) is unbiased and needs no derivative of $f$. Its noise grows with the size of $f$.
# - The trick (6.4) moves the randomness out of the way. The gradient still has noise, but far less.
# - $\varepsilon$ is drawn once, and the same one serves forward and backward.
#
# Still wrong: nothing, and that is new. All the parts are here. Lesson 7 puts them together.
