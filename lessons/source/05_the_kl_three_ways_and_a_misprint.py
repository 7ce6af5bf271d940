# %% [markdown]
# # 5. The KL, three ways, and a misprint
#
# **The question.** A VAE's loss has a second term, $\tfrac12\sum(\sigma^2+\mu^2-\log\sigma^2-1)$. Where does it come
# from, and what happens if one symbol in it is wrong?
#
# **After this lesson you can**
#
# - derive the KL of a Gaussian to the prior, and its gradient;
# - check a formula for an integral in two independent ways;
# - say what a VAE with the misprinted term really learns, and recognise it from its codes;
# - prove that the codes of a trained VAE have $\mathrm E[\mu^2+\sigma^2] = 1$ in each dimension.
#
# *You need:* [lesson 4](04_guessing_z_from_x.ipynb) (what KL means), integrals. The [refresher](00_refresher.ipynb) has the Gaussian and the
# expectation, the [glossary](00_glossary.ipynb) every symbol. *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.course.common import draw_codes, nearest, shrink
from numpyvae.functional.gaussian import gaussian_kl, gaussian_kl_backward
from numpyvae.report.plots import BLUE, INK, ORANGE

lesson = Lesson(5, DATA)
claim, check = lesson.claim, lesson.check

# %% [markdown]
# This lesson is about the blue parts: how far $q(z|x)$ is from the prior.

# %%
nv.plots.show_diagram("q(z|x)", "KL", "p(z)")

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
# Both are zero at $\mu = 0$, $s = 0$: there $q$ is the prior, and the KL is 0. It is positive everywhere else: with $s$ it reads
# $\tfrac12\mu^2 + \tfrac12(e^s - 1 - s)$, and $e^s \ge 1 + s$, with equality only at $s = 0$. (That is $\log t \le t - 1$ of lesson 4, with
# $t = e^s$.)

# %%
samples_of_mu, samples_of_s = np.random.default_rng(0).uniform(-4, 4, (2, 10_000, 1))
lowest_kl = gaussian_kl(samples_of_mu, samples_of_s).min()
claim("lowest_kl_of_ten_thousand", lowest_kl, 0.0, 0.05)
lesson.holds("none of them is below zero", np.all(gaussian_kl(samples_of_mu, samples_of_s) >= 0))
claim("kl_of_the_prior_to_itself", gaussian_kl(np.zeros((1, 1)), np.zeros((1, 1)))[0], 0.0, 0.0)

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


MU, LOGVAR = 1.2, -1.5
SIGMA = np.exp(LOGVAR / 2)
closed = gaussian_kl(np.array([[MU]]), np.array([[LOGVAR]]))[0]

z = np.linspace(MU - 12 * SIGMA, MU + 12 * SIGMA, 2001)
difference = log_normal(z, MU, SIGMA) - log_normal(z, 0.0, 1.0)
quadrature = np.sum(np.exp(log_normal(z, MU, SIGMA)) * difference) * (z[1] - z[0])

draws = MU + SIGMA * np.random.default_rng(5).standard_normal(100_000)
values = log_normal(draws, MU, SIGMA) - log_normal(draws, 0.0, 1.0)
standard_error = values.std() / np.sqrt(len(values))
print(f"closed form {closed:.10f}\nquadrature  {quadrature:.10f}\nMonte Carlo {values.mean():.4f} ± {standard_error:.4f}")

# %% [markdown]
# The closed form and the quadrature agree to the last digits. At $\mu = 1.2$, $\log\sigma^2 = -1.5$ the KL is 1.0816 nats.
# Monte Carlo agrees within its own error.

# %%
claim("kl_by_formula", closed, 1.0816, 5e-5)
claim("quadrature_minus_formula", quadrature - closed, 0.0, 1e-12)
claim("monte_carlo_error_in_standard_errors", (values.mean() - closed) / standard_error, 0.0, 4.0)

# %% tags=["hide-input"]
counts = np.unique(np.logspace(1, 5, 200).astype(int))
running = np.cumsum(values)[counts - 1] / counts
band = 2 * values.std() / np.sqrt(counts)
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.fill_between(counts, closed - band, closed + band, color=BLUE, alpha=0.15, label="closed form ± 2 standard errors")
ax.semilogx(counts, running, color=ORANGE, label="Monte Carlo, running mean")
ax.axhline(closed, color=INK, linewidth=1)
ax.set(xlabel="number of draws", ylabel="KL estimate (nats)", ylim=(closed - 0.6, closed + 0.6))
ax.legend(frameon=False)
ax.set_title("A hundred times the draws, a tenth of the error", fontsize=10)
nv.plots.show("The running mean of the draws against their number, 10 to 100,000. It wanders at first and settles on the "
              "line of the closed form, inside a band that narrows.")

# %% [markdown]
# ## The misprint
#
# The same lecture prints the term as
#
# $$\widetilde{\mathrm{KL}} = \tfrac12\left(\sigma^2 + \mu^2 - \log\sigma - 1\right) \tag{5.6}$$
#
# with $\log\sigma$ where $\log\sigma^2$ belongs. It is one missing exponent, and it is easily written. What does it do?
#
# **Predict first.** Where is (5.6) lowest at $\mu = 0$: at $\sigma^2 = 1$, below, or above? Is it 0 there?
#
# <details><summary>Answer</summary>
#
# The term $-\log\sigma$ is what keeps $\sigma$ from shrinking. It is half as strong as it should be, so $\sigma^2$ rests lower: at
# $\tfrac12$. The value there is below 0.
# </details>
#
# **It is no divergence.** With $v = \sigma^2$ and $\log\sigma = \tfrac12\log v$, set the derivative with respect to $v$ to zero:
# $\tfrac12(1 - \tfrac{1}{2v}) = 0$, so the minimum lies at $v = \tfrac12$, not at 1. Its value there is
# $\tfrac12(\tfrac12 + \tfrac12\log 2 - 1) = -\tfrac14(1 - \log 2) = -0.0767$: below zero. A KL is never below zero.

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

# %% tags=["hide-input"]
def draw_kl(ax, mean):
    for kl, color, name in ((gaussian_kl, BLUE, "KL, (5.4)"), (misprinted_kl, ORANGE, "misprint, (5.6)")):
        height = kl(np.full_like(column, mean), column)
        ax.plot(v, height, color=color, label=name)
        ax.plot(v[np.argmin(height)], height.min(), "o", color=color)
        ax.axvline(v[np.argmin(height)], color=color, linewidth=0.8, linestyle=":")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xlabel="variance σ²", ylabel="nats", ylim=(-0.3, 3.2), title=f"μ = {mean:g}")
    ax.set_xticks([0, 0.5, 1, 2, 3], ["0", "½", "1", "2", "3"])
    ax.legend(frameon=False, fontsize="small", loc="upper right" if abs(mean) < 1.3 else (0.4, 0.25))


nv.plots.strip(draw_kl, (0.0, 1.0, 2.0), "Three frames with two curves each, against the variance. The KL is lowest at 1, "
               "the misprint at one half. For μ = 0 the misprint's lowest point lies below zero. For μ = 1 and 2 both "
               "curves are shifted up.", size=(3.2, 3))

# %% [markdown]
# At $\mu = 0$ the misprint's lowest point lies below the line: a "divergence" of less than nothing. As $\mu$ moves, both curves rise
# together. The two dots stay at $\sigma^2 = 1$ and at $\sigma^2 = \tfrac12$. In a running notebook, move $\mu$:

# %%
lesson.slider(lambda mean: nv.plots.strip(draw_kl, [mean], "the KL and the misprint", size=(5, 3.4)), mean=(-2.0, 2.0, 0.1))

# %% [markdown]
# **So what is (5.6)?** Take the KL to another prior, $N(0, \tfrac12)$. The same steps as above, with $p$'s variance $\tfrac12$ in place of
# 1: its logarithm is $\log p(z) = -\tfrac12\log 2\pi - \tfrac12\log\tfrac12 - z^2$. Subtract it from $\log q(z)$ in (5.2), and take the
# mean with $\mathrm E[z^2] = \mu^2+\sigma^2$:
#
# $$\mathrm{KL}\big(q\,\|\,N(0,\tfrac12)\big) = -\tfrac12\log\sigma^2 - \tfrac12 + \tfrac12\log\tfrac12 + \mu^2 + \sigma^2$$
#
# With $\tfrac12\log\tfrac12 = -\tfrac12\log 2$ that is
#
# $$\mathrm{KL}\big(q\,\|\,N(0,\tfrac12)\big) = \tfrac12\left(2\sigma^2 + 2\mu^2 - 1 - \log(2\sigma^2)\right)$$
#
# Half of it is $\tfrac12\left(\sigma^2 + \mu^2 - \tfrac12 - \tfrac12\log 2 - \log\sigma\right)$, as $\log(2\sigma^2) = \log 2 + 2\log\sigma$.
# Subtract $\tfrac14(1-\log 2) = \tfrac12(\tfrac12 - \tfrac12\log 2)$. The terms with $\log 2$ cancel, the two $\tfrac12$ add up to 1, and it is (5.6):
#
# $$\widetilde{\mathrm{KL}} = \tfrac12\,\mathrm{KL}\big(q\,\|\,N(0,\tfrac12)\big) - \tfrac14(1 - \log 2) \tag{5.7}$$
#
# One missing exponent is *two* changes of the model: a prior with half the variance, and half the weight. (The weight of the KL in the loss
# is usually called $\beta$: the loss is NLL + $\beta\,$KL, and an ordinary VAE has $\beta = 1$. Here it is $\tfrac12$.)

# %%
some_mu, some_logvar = np.random.default_rng(6).standard_normal((2, 1000, 1))
narrow = 0.5 * np.sum(2 * np.exp(some_logvar) + 2 * some_mu**2 - 1 - np.log(2) - some_logvar, axis=1)
identity = misprinted_kl(some_mu, some_logvar) - (0.5 * narrow - 0.25 * (1 - np.log(2)))
claim("misprint_identity_worst_error", np.abs(identity).max(), 0.0, 1e-12)

# %% [markdown]
# ### What a trained model's codes must look like
#
# Here is a fact about every VAE whose encoder ends with dense layers and whose decoder begins with one, if training has found a minimum. In
# each latent dimension,
#
# $$\mathrm E\big[\mu^2 + \sigma^2\big] = 1 \tag{5.8}$$
#
# where the mean is over the training images. **The proof** changes the model in a way that leaves the pictures alone.
#
# *Step 1: a change.* Take one latent dimension and any number $c > 0$. Let the encoder put out $c\mu$ in place of $\mu$, and
# $\log\sigma^2 + 2\log c$ in place of $\log\sigma^2$, so that $\sigma$ becomes $c\sigma$. Then $z = \mu + \sigma\varepsilon$ becomes $cz$.
# Let the decoder's first layer divide its weights for this dimension by $c$: it multiplies $cz$ by $w/c$ and gets $zw$, as before. So the
# decoded pictures, and the NLL, are the same.
#
# *Step 2: what it costs.* Only the KL (5.4) has changed. Its mean over the images is now
#
# $$\tfrac12\left(c^2\,\mathrm E[\mu^2 + \sigma^2] - 1 - \mathrm E[\log\sigma^2] - 2\log c\right) \tag{5.9}$$
#
# *Step 3: at a minimum no change helps.* The original model is $c = 1$, so there the derivative with respect to $c$ must be zero. It is
# $c\,\mathrm E[\mu^2+\sigma^2] - \tfrac1c$, and at $c = 1$ that is $\mathrm E[\mu^2+\sigma^2] - 1$. So (5.8) holds.
#
# **With the misprint**, $-\log\sigma$ becomes $-\log\sigma - \log c$: the last term of (5.9) is $-\log c$, not $-2\log c$. The derivative
# at $c = 1$ is $\mathrm E[\mu^2+\sigma^2] - \tfrac12$, and so
#
# $$\mathrm E\big[\mu^2 + \sigma^2\big] = \tfrac12 \quad\text{with the misprint.} \tag{5.10}$$
#
# $\mathrm E[\mu^2+\sigma^2]$ is the mean of $z^2$ over all images and draws, by step 3 of the first derivation. Now measure it.
#
# ### The experiment: train with the misprint
#
# The misprint's gradient is written as carefully as the right one, so **a gradient check passes**: forward and backward agree, on the
# wrong function.

# %%
def misprinted_kl_backward(dkl, mu, logvar):
    dkl = dkl[:, None]
    return dkl * mu, dkl * 0.5 * (np.exp(logvar) - 0.5)


ones, h = np.ones(1000), 1e-30    # the complex step of lesson 2
dmu, dlogvar = misprinted_kl_backward(ones, some_mu, some_logvar)
by_step_mu = misprinted_kl(some_mu + 1j * h, some_logvar).imag / h
by_step_logvar = misprinted_kl(some_mu, some_logvar + 1j * h).imag / h
claim("misprint_gradient_error_mu", np.abs(dmu[:, 0] - by_step_mu).max(), 0.0, 1e-13)
claim("misprint_gradient_error_logvar", np.abs(dlogvar[:, 0] - by_step_logvar).max(), 0.0, 1e-13)

# %% [markdown]
# Now two kinds of VAE, the same but for this term: pictures of 14 × 14 pixels, 20 latent dimensions. In the package the KL belongs to the
# posterior, $q(z|x)$. So we make a posterior of our own, which has everything from the package's except the two functions of the KL. We
# train five of each kind, from five different starts.

# %%
from numpyvae.models.likelihoods import Gaussian
from numpyvae.models.posteriors import Diagonal, DiagonalGaussian
from numpyvae.nn.networks import dense_decoder, dense_stack


class Misprinted(DiagonalGaussian):
    def closed_form_kl(self, q):
        return misprinted_kl(q.mu, q.logvar)

    def closed_form_kl_backward(self, dkl, q):
        dmu, dlogvar = misprinted_kl_backward(dkl, q.mu, q.logvar)
        return Diagonal(dmu, dlogvar)


# %%
def train(posterior, seed):
    rng = np.random.default_rng(seed)
    encoder = dense_stack([196, 100], "relu", "relu", rng=rng)
    decoder = dense_decoder(20, [100], 196, 1, "relu", rng=rng)
    vae = nv.VAE(encoder, posterior(100, 20, rng=rng), decoder, Gaussian(0.5))
    for record in nv.fit(vae, train_images, optimizer=nv.Adam(2e-3), epochs=10, batch_size=100, rng=rng):
        pass
    return vae.astype(np.float64)


train_images = shrink(lesson.images("train")[0][:10000])
test_images = shrink(lesson.images("test")[0][:1000])
right_models = [train(DiagonalGaussian, seed) for seed in range(5)]
wrong_models = [train(Misprinted, seed) for seed in range(5)]

# %% [markdown]
# **Predict first.** Some of the 20 latent dimensions tell the decoder nothing: their $\mu$ hardly moves from image to image, and nothing but
# the KL term acts on them. Which $\sigma^2$ will they have in the right models? And in the misprinted ones?
#
# <details><summary>Answer</summary>
#
# They rest where the term is lowest: at $\sigma^2 = 1$ with the right one, at $\sigma^2 = \tfrac12$ with the misprint.
# </details>

# %%
def widths(vae):
    """The variance sigma^2 of each dimension, averaged over test images, the narrowest first."""
    logvar = vae.encode(test_images)[1]
    return np.sort(np.exp(logvar).mean(axis=0))


right_widths = np.array([widths(vae) for vae in right_models])
wrong_widths = np.array([widths(vae) for vae in wrong_models])
claim("widest_dimension_right", right_widths[:, -1].mean(), 1.0, 0.05)
claim("widest_dimension_misprint", wrong_widths[:, -1].mean(), 0.5, 0.05)
lesson.holds("each misprinted model is narrower than each right one", wrong_widths[:, -1].max() < right_widths[:, -1].min())

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.2))
for many, color, name in ((right_widths, BLUE, "right KL"), (wrong_widths, ORANGE, "misprint")):
    ax.plot(np.arange(1, 21), many.T, color=color, linewidth=1, alpha=0.6)
    ax.plot(np.arange(1, 21), many.mean(axis=0), "o", color=color, label=f"{name}, five models")
for level in (1, 0.5):
    ax.axhline(level, color=INK, linewidth=0.8, linestyle="--")
ax.set(xlabel="latent dimension, narrowest first", ylabel="σ², mean over test images", ylim=(0, 1.1))
ax.set_xticks([1, 5, 10, 15, 20])
ax.set_title("Unused dimensions rest at 1 with the KL, at ½ with the misprint", fontsize=10)
ax.legend(frameon=False, loc="lower right")
nv.plots.show("The mean variance of the 20 dimensions, sorted. With the right KL it rises and stays at 1 for the last "
              "dimensions, in all five models. With the misprint it rises and stays at one half.")

# %% [markdown]
# **The mean of $z^2$**, (5.8) and (5.10), over the training images and all dimensions:

# %%
def mean_square(vae):
    mu, logvar = vae.encode(train_images)
    return np.mean(mu**2 + np.exp(logvar))


right_squares = [mean_square(vae) for vae in right_models]
wrong_squares = [mean_square(vae) for vae in wrong_models]
print("right KL:", np.round(right_squares, 3), "  misprint:", np.round(wrong_squares, 3))
claim("mean_square_right", np.mean(right_squares), 1.0, 0.02)
claim("mean_square_misprint", np.mean(wrong_squares), 0.5, 0.02)
claim("farthest_from_1_of_the_five_right", np.abs(np.array(right_squares) - 1).max(), 0.0, 0.05)
claim("farthest_from_half_of_the_five_misprinted", np.abs(np.array(wrong_squares) - 0.5).max(), 0.0, 0.05)

# %% [markdown]
# The small differences that are left say that training has come near its minimum, not quite to it. So you can recognise the misprint in
# somebody's trained model without reading the code: look at the mean of $z^2$.
#
# **The proof, run.** Do step 1 of the proof to a trained model, in all dimensions at once, for several $c$. The NLL must not move, and the
# loss must be lowest near $c = 1$.

# %%
def rescaled(vae, c):
    changed = vae.astype(np.float64)    # a copy
    weights = changed.parameters
    weights["mu_head.W"][:] *= c
    weights["mu_head.b"][:] *= c
    weights["logvar_head.b"][:] += 2 * np.log(c)
    weights["decoder.0.W"][:] /= c
    return changed


def losses(vae):
    """NLL and loss for each c, over 2000 training images, always with the same noise."""
    eps = np.random.default_rng(0).standard_normal((2000, 20))
    terms = [rescaled(vae, c).loss_terms(train_images[:2000], eps) for c in scales]
    return np.array([term.nll for term in terms]), np.array([term.loss for term in terms])


# %%
scales = np.linspace(0.6, 1.6, 41)
right_nll, right_loss = losses(right_models[0])
wrong_nll, wrong_loss = losses(wrong_models[0])
claim("nll_moves_by", max(np.ptp(right_nll), np.ptp(wrong_nll)), 0.0, 1e-9)
claim("best_scale_right", scales[np.argmin(right_loss)], 1.0, 0.05)
claim("best_scale_misprint", scales[np.argmin(wrong_loss)], 1.0, 0.05)

# %% tags=["hide-input"]
wrong_by_right_kl = [rescaled(wrong_models[0], c).encode(train_images[:2000]) for c in scales]
true_loss = wrong_nll + np.array([gaussian_kl(m, s).mean() for m, s in wrong_by_right_kl])
claim("best_scale_of_the_misprinted_model_under_the_right_kl", scales[np.argmin(true_loss)], np.sqrt(2), 0.1)
fig, ax = plt.subplots(figsize=(6.5, 3))
for height, color, style, name in ((right_loss, BLUE, "-", "right model, right KL"),
                                   (wrong_loss, ORANGE, "-", "misprinted model, misprint"),
                                   (true_loss, ORANGE, "--", "misprinted model, right KL")):
    ax.plot(scales, height - height.min(), color=color, linestyle=style, label=name)
    ax.plot(scales[np.argmin(height)], 0, "o", color=color, markersize=11 if color == BLUE else 6)
ax.set(xlabel="c, by which all codes are scaled", ylabel="loss above its lowest (nats)", ylim=(-0.2, 6))
ax.set_title("Under the loss it was trained with, each model is best at c = 1", fontsize=10)
ax.legend(frameon=False, fontsize="small")
nv.plots.show("Loss against the scale c of the codes. Two solid valleys, of the right and of the misprinted model under their "
              "own loss, both have their bottom at c = 1. The dashed valley, the misprinted model under the right KL, has it "
              "at 1.4.")

# %% [markdown]
# The dashed curve: by the right KL the misprinted model's codes are too small, by a factor of about $\sqrt2 = 1.4$, as (5.8) and (5.10) say.
#
# ### Does it matter?
#
# We draw $z$ from $N(0, I)$, as the text of every VAE says. The misprint's decoder has met codes with half that variance. So do draws land
# where nothing was ever encoded? Measure it as lesson 1 did. Encode training images and test images, and draw a $z$ for each. For each test
# image, how far is its $z$ from the nearest $z$ of a training image? Take the distance that 99 % of them stay within. A draw from the prior
# that is farther than that from every training $z$ is *in a hole*.

# %%
def share_in_holes(vae, variance=1.0):
    rng = np.random.default_rng(7)
    known = draw_codes(vae, train_images[:5000], rng)
    limit = np.quantile(nearest(draw_codes(vae, test_images, rng), known), 0.99)
    dreams = np.sqrt(variance) * rng.standard_normal((1000, 20))
    return np.mean(nearest(dreams, known) > limit)


# %% [markdown]
# A hole is dangerous only if the decoder paints something strange there. So measure the pictures too: how far is a decoded draw from the
# nearest training image, compared with a reconstructed test image?

# %%
def strangeness(vae, variance=1.0):
    dreams = vae.decode(np.sqrt(variance) * np.random.default_rng(8).standard_normal((500, 20)))
    rebuilt = vae.reconstruct(test_images[:500])
    return nearest(dreams, train_images[:5000]).mean() / nearest(rebuilt, train_images[:5000]).mean()


cases = {"right KL, z ~ N(0, I)": (right_models, 1.0), "misprint, z ~ N(0, I)": (wrong_models, 1.0),
         "misprint, z ~ N(0, I/2)": (wrong_models, 0.5)}
holes, strange = {}, {}
for name, (models, variance) in cases.items():
    holes[name] = np.array([share_in_holes(vae, variance) for vae in models])
    strange[name] = np.array([strangeness(vae, variance) for vae in models])
    print(f"{name:24} in holes {holes[name].mean():6.1%}   {strange[name].mean():.2f} times as far as reconstructions")

# %%
right_holes, wrong_holes, cured_holes = holes.values()
right_strange, wrong_strange, cured_strange = strange.values()
claim("share_in_holes_right", right_holes.mean(), 0.02, 0.02, on="strokes")
claim("share_in_holes_misprint", wrong_holes.mean(), 0.60, 0.08, on="strokes")
claim("share_in_holes_misprint_narrow_prior", cured_holes.mean(), 0.03, 0.03, on="strokes")
claim("strangeness_right", right_strange.mean(), 1.12, 0.05, on="strokes")
claim("strangeness_misprint", wrong_strange.mean(), 1.37, 0.06, on="strokes")
claim("strangeness_misprint_narrow_prior", cured_strange.mean(), 1.20, 0.06, on="strokes")
lesson.holds("in all five pairs the misprint has more holes", np.all(wrong_holes > right_holes))
lesson.holds("in all five pairs the misprint is stranger", np.all(wrong_strange > right_strange))
lesson.holds("the narrow prior helps all five misprinted models", np.all(cured_strange < wrong_strange))

# %% [markdown]
# It matters. More than half of the misprint's draws land in holes, and 2 % of the right model's. Its pictures are 1.37 times as far from a
# training image as reconstructions are, the right model's 1.12 times. All five pairs agree. And the cure is what (5.7) says: draw the
# misprint's $z$ from $N(0, \tfrac12 I)$, the prior that its loss believes in, and about 3 % are in holes.
#
# Now look at some draws. The eye sees little of it: perhaps more strokes that lie over one another. That is why the misprint can live long
# in a program, and why we measured.

# %% tags=["hide-input"]
dreams = {}
for name, (models, variance) in cases.items():
    z = np.sqrt(variance) * np.random.default_rng(3).standard_normal((32, 20))
    dreams[f"{name}:\n{holes[name].mean():.0%} in holes"] = models[0].decode(z)
nv.plots.show_rows(dreams, "Three grids of 32 decoded draws. Right KL: soft, blurred digits. Misprint with z from N(0, I): "
                   "brighter, with strokes that cross or lie over one another. Misprint with z from N(0, I/2): between "
                   "the two.", columns=8, across=3)

# %% [markdown]
# ## Exercises
#
# Each check answers at once, on random inputs. It never shows the solution. Hints unfold; try without them first.
#
# **5.1** (5 minutes) Write the KL of each row: `mu`, `logvar` of shape (B, Z) in, (B,) out.
#
# <details><summary>Hint</summary>
#
# Equation (5.4), with $\sigma^2$ as `np.exp(logvar)`; add over the latent dimensions, `axis=1`, not over the rows.
# </details>

# %% tags=["exercise"]
def my_kl(mu, logvar):
    ...    # your code


# %% tags=["solution"]
def my_kl(mu, logvar):
    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)


# %%
check.kl(my_kl)

# %% [markdown]
# **5.2** (5 minutes) Write its gradients, given `dkl` (B,), the gradient for each row's KL: return `dmu`, `dlogvar`, both (B, Z).
#
# <details><summary>Hint</summary>
#
# Equation (5.5), each row multiplied by its own number of `dkl`. `dkl[:, None]` makes a column of it.
# </details>

# %% tags=["exercise"]
def my_kl_backward(dkl, mu, logvar):
    ...    # your code


# %% tags=["solution"]
def my_kl_backward(dkl, mu, logvar):
    return dkl[:, None] * mu, dkl[:, None] * 0.5 * (np.exp(logvar) - 1)


# %%
check.kl_backward(my_kl_backward)

# %% [markdown]
# **5.3** (10 minutes) The KL from $N(\mu, \sigma^2)$ to a prior $N(0, t^2)$ with any $t$, for each row. (Put $t^2 = \tfrac12$ in, and you are
# one step from (5.7).)
#
# <details><summary>Hint 1</summary>
#
# Go through the three steps again with $\log p(z) = -\tfrac12\log 2\pi - \tfrac12\log t^2 - \frac{z^2}{2t^2}$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\mathrm E[z^2]/t^2$ has both $\mu^2$ and $\sigma^2$ in it, and the prior's $\tfrac12\log t^2$ stays. Try $t = 1$: it must be 5.1.
# </details>

# %% tags=["exercise"]
def kl_to_wide_prior(mu, logvar, t):
    ...    # your code


# %% tags=["solution"]
def kl_to_wide_prior(mu, logvar, t):
    return 0.5 * np.sum((np.exp(logvar) + mu**2) / t**2 - 1 - logvar + np.log(t**2), axis=1)


# %%
check.kl_to_wide_prior(kl_to_wide_prior)

# %% [markdown]
# **5.4** (5 minutes) Five people wrote the KL. Name each fault: a dictionary from the letter to one of
# `"log sigma"`, `"missing half"`, `"mean"`, `"sign"`, `"missing one"`.
#
# - **a** `0.5 * np.mean(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)`
# - **b** `0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=1)`
# - **c** `np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)`
# - **d** `0.5 * np.sum(np.exp(logvar) + mu**2 - logvar, axis=1)`
# - **e** `0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - 0.5 * logvar, axis=1)`
#
# <details><summary>Hint</summary>
#
# Put `mu` = 0 and `logvar` = 0 in: which of them is not 0? Then compare the rest with (5.4), factor by factor.
# </details>

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
# - `logvar` is $\log\sigma^2$, always. With $\log\sigma$ in its place the loss is that of another model: half the weight and a prior of half
#   the variance, (5.7).
# - At a minimum $\mathrm E[\mu^2+\sigma^2]$ is 1 in each dimension; with the misprint it is $\tfrac12$. So codes drawn from $N(0, I)$ miss.
# - A gradient check cannot see that. A comparison with the integral can, and so can a look at the codes.
#
# **Papers to read next.** Kingma and Welling, *Auto-Encoding Variational Bayes* (2013), appendix B: this derivation in four lines. Matthew
# Hoffman and Matthew Johnson, *ELBO surgery* (2016): the cloud of all codes, and its distance from the prior. Irina Higgins and others,
# *beta-VAE* (2017): what people do with the weight $\beta$ on purpose.
#
# **Still wrong, and next.** The KL's closed form is about $q$ and $p$ alone. The other half of the loss is an average over draws of $z$, and
# we have not said how a gradient can pass a draw. That is lesson 6.
