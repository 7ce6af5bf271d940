# %% [markdown]
# # 3. Object, thickness, colour
#
# **The question.** What is a latent variable, and how does one speak of the probability of a picture?
#
# **After this lesson you can**
#
# - draw a picture as a VAE does, and say why $f(z)$ is not yet the picture;
# - write down $\log p(x\,|\,z)$ for grey pixels and for black-and-white ones, each with its derivation;
# - compute $p(x)$ by a sum over a grid, and by random draws, and say how far off each is;
# - find out which $z$ explain a given picture.
#
# *You need:* [lesson 1](01_why_cant_an_autoencoder_dream.ipynb), integrals. The [refresher](00_refresher.ipynb) has densities, the Gaussian,
# expectation and log-sum-exp, the [glossary](00_glossary.ipynb) every symbol. *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.course.common import shrink
from numpyvae.functional.likelihoods import bernoulli_nll, bernoulli_nll_backward, gaussian_nll
from numpyvae.report.plots import BLUE, INK, ORANGE

lesson = Lesson(3, DATA)
claim, check = lesson.claim, lesson.check

# %% [markdown]
# This lesson is about the blue parts. The others come in lessons 4 and 5.

# %%
nv.plots.show_diagram("p(z)", "z", "decoder", "p(x|z)")

# %% [markdown]
# ## The derivation
#
# Before drawing a digit, you decide: *which* digit, how *thick* the line, which *colour*. These decisions are not in the picture as such;
# they lie behind it. They are *latent variables*. In `strokes`, this project's data, they are known for every image:

# %% tags=["hide-input"]
coloured, table = nv.datasets.strokes(4000, seed=0, colour=True)
grey = coloured.max(axis=3)    # the brightest of red, green and blue
threes = np.flatnonzero((table["label"] == 3) & (np.abs(table["rotation"]) < 4))
medium = threes[np.abs(table["thickness"][threes] - 3) < 0.4]
rows = [("thickness", "pixels", threes, grey), ("slant", "degrees", medium, grey), ("hue", "degrees", medium, coloured)]
shown = {}
for factor, unit, among, pictures in rows:
    order = among[np.argsort(table[factor][among])]
    chosen = order[np.linspace(0, len(order) - 1, 14).astype(int)]
    low, high = table[factor][chosen[[0, -1]]]
    shown[f"{factor}: from {low:.1f} to {high:.1f} {unit}"] = pictures[chosen]
nv.plots.show_rows(shown, "Three rows of fourteen threes. In the first the line gets thicker, in the second the digit leans "
                   "from one side to the other, in the third it goes through the colours.")

# %% [markdown]
# **Symbols.** $z$ are the latent variables, a few numbers. $x$ is the picture, $D$ numbers. A model of pictures has two parts.
#
# 1. The *prior* $p(z)$: how likely each decision is. We choose the standard Gaussian $N(0, I)$.
# 2. The *likelihood* $p(x\,|\,z)$: given the decisions, a picture $f(z)$ is drawn, with some noise on each pixel:
#    $N(f(z), \sigma^2 I)$. $f$ is a network, the *decoder*. $\sigma$ is a number that we choose.
#
# (A slide of the lecture that this course follows prints $N(f(x), \sigma^2 I)$. It must read $f(z)$: nothing is known of $x$ yet.)
#
# **Why may the prior be so plain?** It has no thickness and no slant in it, only a round cloud. But $f$ may bend the cloud. An example
# by Doersch: let $|z|$ be the length of a $z$ with two numbers, and
#
# $$g(z) = \frac{z}{10} + \frac{z}{|z|}$$
#
# **Predict first.** $z/|z|$ has length 1. What will the cloud look like after $g$?
#
# <details><summary>Answer</summary>
#
# $z/|z|$ puts every point on the circle of radius 1. $z/10$ points in the same direction, so it moves the point outward, by a tenth of
# its old length. The cloud becomes a ring.
# </details>

# %%
def g(z):
    length = np.linalg.norm(z, axis=1, keepdims=True)
    return z / 10 + z / length


cloud = np.random.default_rng(3).standard_normal((1000, 2))
ring = g(cloud)
radius = np.linalg.norm(ring, axis=1)
claim("ring_radius_is_1_plus_a_tenth", np.abs(radius - 1 - np.linalg.norm(cloud, axis=1) / 10).max(), 0.0, 1e-12)
claim("ring_has_a_hole", radius.min(), 1.0, 0.05)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.2), layout="constrained")
color = np.arctan2(cloud[:, 1], cloud[:, 0])
axes[0].scatter(cloud[:, 0], cloud[:, 1], c=color, cmap="twilight", s=8)
axes[1].scatter(ring[:, 0], ring[:, 1], c=color, cmap="twilight", s=8)
axes[0].set(title="z, drawn from the prior", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
axes[1].set(title="g(z): the same points, bent", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
nv.plots.show("Left: a round cloud of a thousand points, densest in the middle. Right: the same points, with the same "
              "colours, after g: a thin ring with an empty middle.")

# %% [markdown]
# One line of code turns a round cloud into a ring. A network is a much more flexible $g$.
#
# **The law of total probability** gives the density of a picture. It may have come from any $z$, so add up all of them:
#
# $$p(x) = \int p(x\,|\,z)\,p(z)\,dz \tag{3.1}$$
#
# Training makes $p(x)$ large for the pictures we have.
#
# **Drawing a picture** follows the same order, from the ancestors down. It is called *ancestral sampling*:
#
# $$z \sim N(0, I),\qquad x = f(z) + \sigma\,\eta,\quad \eta\sim N(0, I) \tag{3.2}$$
#
# $f(z)$ is not the sample. It is the *mean* of the samples that this $z$ can give.

# %% [markdown]
# **All of $p(x)$ in one picture.** Take "pictures" of only two numbers, so that $x$ is a point in a plane, and a $z$ of one number. Let
# $f(z) = (z, \sin 2z)$. As $z$ moves along its line, $f(z)$ moves along a curve. The noise turns each of its points into a small round
# cloud. All the clouds together, each as heavy as its $z$ is likely, are $p(x)$. The code is (3.1) with a sum in place of the integral.

# %%
def bend(z):
    return np.column_stack([z, np.sin(2 * z)])


def density_in_the_plane(x, s):
    z, h = np.linspace(-6, 6, 301, retstep=True)
    prior = np.exp(-z**2 / 2) / np.sqrt(2 * np.pi)
    f = bend(z)
    squares = (x[:, :1] - f[:, 0])**2 + (x[:, 1:] - f[:, 1])**2
    likelihood = np.exp(-squares / (2 * s**2)) / (2 * np.pi * s**2)
    return likelihood @ prior * h


side = 0.05    # of the small squares of the plane, for whose middles the density is computed
across, up = np.meshgrid(np.arange(-4.975, 5, side), np.arange(-2.975, 3, side))
plane = np.column_stack([across.ravel(), up.ravel()])
heat = density_in_the_plane(plane, 0.25)
claim("the_heat_map_adds_up_to_1", np.sum(heat) * side**2, 1.0, 1e-4)

# %% tags=["hide-input"]
def draw_heat(ax, s):
    p = density_in_the_plane(plane, s).reshape(up.shape)
    ax.imshow(p, extent=(-5, 5, -3, 3), origin="lower", cmap="inferno")
    ax.set(xlim=(-3, 3), ylim=(-2, 2), xlabel="x[0]", title=f"p(x), σ = {s:.2f}")


# %% tags=["hide-input"]
dots, noise = np.linspace(-2.4, 2.4, 9), np.random.default_rng(0).standard_normal((9, 80, 2))
curve = bend(np.linspace(-3, 3, 200))
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
for ax in axes[:2]:
    ax.plot(curve[:, 0], curve[:, 1], color=INK, linewidth=1)
    ax.set(xlim=(-3, 3), ylim=(-2, 2), xlabel="x[0]", aspect="equal")
axes[0].scatter(dots, bend(dots)[:, 1], s=150 * np.exp(-dots**2 / 2) + 8, color=BLUE, zorder=3)
for z, cloud_of_z in zip(dots, bend(dots)[:, None] + 0.25 * noise):
    axes[1].scatter(cloud_of_z[:, 0], cloud_of_z[:, 1], s=3, color=BLUE, alpha=0.15 + 0.85 * np.exp(-z**2 / 2))
axes[0].set(title="f(z): a dot for each z,\nlarge if z is likely", ylabel="x[1]")
axes[1].set(title="x = f(z) + σ η:\na cloud around each dot")
draw_heat(axes[2], 0.25)
axes[2].set_title("p(x): all clouds,\nadded up")
nv.plots.show("Three panels. Nine dots on a wavy curve, the middle ones largest. Round clouds of points around the nine "
              "dots. A heat map of p(x): a glowing band along the curve, brightest in the middle and fading at the ends.")

# %% [markdown]
# Check the third panel against the first two: draw many $x$ by (3.2) and count. How many have $x_1 > \tfrac12$ (the second number)? The
# heat map says the same.

# %%
toy_rng = np.random.default_rng(1)
toy = bend(toy_rng.standard_normal(100_000)) + 0.25 * toy_rng.standard_normal((100_000, 2))
counted = np.mean(toy[:, 1] > 0.5)
integrated = np.sum(heat[plane[:, 1] > 0.5]) * side**2
print(f"counted {counted:.4f}, integrated {integrated:.4f}")
claim("counted_minus_integrated", counted - integrated, 0.0, 0.006)    # four standard errors

# %% [markdown]
# With a small $\sigma$, $p(x)$ is a thin wire; with a large one, a fog. Three frames; in a running notebook, move the slider below them.

# %%
nv.plots.strip(draw_heat, (0.1, 0.3, 0.8), "Three heat maps of p(x). For σ = 0.1 a thin bright wire in the form of a wave, "
               "for σ = 0.3 a broad band, for σ = 0.8 a fog without form.", size=(3, 2.4))

# %%
lesson.slider(lambda s: nv.plots.strip(draw_heat, [s], "p(x) as a heat map", size=(5, 3.6)), s=(0.1, 1.0, 0.05))

# %% [markdown]
# **The density in logarithms.** For one pixel the Gaussian density is
# $\frac{1}{\sigma\sqrt{2\pi}}e^{-(x-m)^2/(2\sigma^2)}$ with $m = f(z)$. Pixels are independent given $z$: densities multiply, so
# logarithms add:
#
# $$-\log p(x\,|\,z) = \sum_i\Big[\frac{(x_i - m_i)^2}{2\sigma^2} + \log\sigma + \tfrac12\log 2\pi\Big] \tag{3.3}$$
#
# It is called the *negative log-likelihood*, NLL. Its unit is the nat, because $\log$ is the natural logarithm.
#
# A *density* may be larger than 1: with $\sigma = 0.1$ it is 3.99 at its peak. Only its integral must be 1. So $\log p(x)$ may be above 0.

# %%
def peak(s):
    one_pixel = np.zeros((1, 1))
    return np.exp(-gaussian_nll(one_pixel, one_pixel, s))[0]


claim("peak_of_a_density", peak(0.1), 3.99, 0.005)

# %% [markdown]
# **The integral as a sum.** Put $z$ on a grid of points $z_n$ with distance $h$; $Z$ is the number of latent dimensions:
#
# $$p(x) \approx \sum_n p(x\,|\,z_n)\, w_n,\qquad w_n = p(z_n)\,h^Z \tag{3.4}$$
#
# That works for one or two latent dimensions, and there it gives the truth.
#
# **In logarithms.** A picture of 196 pixels may have $\log p(x\,|\,z) = -2000$, and $e^{-2000}$ is too small for the computer: it gets 0.
# So we never leave the logarithms. Let $a_n = \log p(x\,|\,z_n) + \log w_n$, and $M$ the largest of them. Write each
# $e^{a_n} = e^M e^{a_n - M}$, and take $e^M$ out of the sum:
#
# $$\log\sum_n e^{a_n} = \log\Big(e^M\sum_n e^{a_n - M}\Big) = M + \log\sum_n e^{a_n - M} \tag{3.5}$$
#
# The largest term is now $e^0 = 1$, so the sum is at least 1, and its logarithm is safe. This is called *log-sum-exp*.

# %%
a = np.array([-2000.0, -2001.0])
print("directly:", np.sum(np.exp(a)), "  by (3.5):", exact.log_sum_exp(a))
lesson.holds("directly it is 0", np.sum(np.exp(a)) == 0)
claim("by_log_sum_exp", exact.log_sum_exp(a), -1999.687, 5e-4)

# %% [markdown]
# **Black-and-white pixels.** Now let a pixel be only 0 or 1. Say it is 1 with probability $y$. Then
#
# $$P(x) = y^x\,(1-y)^{1-x}$$
#
# (put in $x = 1$: it is $y$; put in $x = 0$: it is $1-y$). This is the *Bernoulli distribution*. A network can put out any number $a$, and
# $y$ must lie between 0 and 1, so take
#
# $$y = \mathrm{sigmoid}(a) = \frac{1}{1+e^{-a}},\qquad
# 1 - y = \frac{e^{-a}}{1+e^{-a}} = \frac{1}{e^a + 1}$$
#
# (the last step multiplies above and below by $e^a$). $a$ is called the *logit*. The two logarithms are
#
# $$-\log(1-y) = \log(1+e^a),\qquad
# -\log y = \log(1+e^{-a}) = \log\big(e^{-a}(e^a + 1)\big) = \log(1+e^a) - a$$
#
# Take $-\log P(x) = -x\log y - (1-x)\log(1-y)$ and put them in:
#
# $$-\log P(x) = x\,\big[\log(1+e^a) - a\big] + (1-x)\log(1+e^a) = \log(1+e^a) - x\,a \tag{3.6}$$
#
# Pixels add, as in (3.3). **Its gradient**: the derivative of $\log(1+e^a)$ is $\frac{e^a}{1+e^a} = \frac{1}{e^{-a}+1} = y$, that of
# $x\,a$ is $x$:
#
# $$\frac{d}{da}\big[-\log P(x)\big] = \mathrm{sigmoid}(a) - x \tag{3.7}$$
#
# It is the pixel that was expected minus the pixel that is there. Lesson 7 uses it in the first step of the backward pass.

# %%
logits = np.linspace(-6, 6, 121)[:, None]
ink, paper = np.ones_like(logits), np.zeros_like(logits)
for pixel in (ink, paper):
    y = 1 / (1 + np.exp(-logits))
    directly = -np.log(y**pixel * (1 - y)**(1 - pixel))[:, 0]
    claim("bernoulli_nll_by_its_definition", np.abs(bernoulli_nll(logits, pixel) - directly).max(), 0.0, 1e-12)
    step = bernoulli_nll(logits + 1e-5, pixel) - bernoulli_nll(logits - 1e-5, pixel)
    gradient = bernoulli_nll_backward(np.ones(121), logits, pixel)[:, 0]
    claim("bernoulli_gradient_by_differences", np.abs(gradient - step / 2e-5).max(), 0.0, 1e-8)

# %% [markdown]
# **Predict first.** The decoder says $a = 5$: it is sure of ink. What does the pixel cost, in nats, if there is ink? And if there is none?
#
# <details><summary>Answer</summary>
#
# With ink: $\log(1+e^5) - 5 = 0.0067$, almost nothing. Without: $\log(1+e^5) = 5.0067$. To be sure costs little when it is right, and
# about $|a|$ when it is wrong.
# </details>

# %% tags=["hide-input"]
five = np.array([[5.0]])
claim("sure_and_right", bernoulli_nll(five, np.ones((1, 1)))[0], 0.0067, 5e-5)
claim("sure_and_wrong", bernoulli_nll(five, np.zeros((1, 1)))[0], 5.0067, 5e-5)
fig, ax = plt.subplots(figsize=(5.5, 2.8))
ax.plot(logits, bernoulli_nll(logits, ink), color=BLUE, label="there is ink: x = 1")
ax.plot(logits, bernoulli_nll(logits, paper), color=ORANGE, label="there is none: x = 0")
ax.set(xlabel="logit a: sure of no ink on the left, sure of ink on the right", ylabel="nats per pixel")
ax.set_title("Sure and right is free; sure and wrong is dear", fontsize=10)
ax.legend(frameon=False, loc="upper center")
nv.plots.show("Two curves of the cost of a pixel against the logit. With ink it falls from 6 to 0; without ink it rises "
              "from 0 to 6. They cross at logit 0, at 0.69.")

# %% [markdown]
# This is a true *probability*: it is never above 1, so its logarithm is never above 0. It holds for pixels that are 0 or 1. Put a grey
# $x$ in, between 0 and 1, and (3.6) still gives a number, but no longer a probability: at $a = 0$ it is $\log 2$ for every $x$, so the
# "density" is $\tfrac12$ for every $x$ from 0 to 1, and its integral is $\tfrac12$, not 1. Lesson 4 makes its pixels black and white
# for this reason.

# %%
greys = np.linspace(0, 1, 101)[:, None]
claim("integral_over_greys_at_logit_0", np.mean(np.exp(-bernoulli_nll(np.zeros((101, 1)), greys))), 0.5, 1e-12)

# %% [markdown]
# ## The code
#
# Equations (3.3), (3.6) and (3.7), the grid of (3.4), and (3.5), as they run in the package:

# %%
lesson.show(gaussian_nll, "3.3")

# %%
lesson.show(bernoulli_nll, "3.6")

# %%
lesson.show(bernoulli_nll_backward, "3.7")

# %%
lesson.show(exact.latent_grid, "3.4")

# %%
lesson.show(exact.log_sum_exp, "3.5")

# %% [markdown]
# ## The experiment
#
# We need some $f$. Here are decoders for pictures of 14 × 14 grey pixels, with 1 and with 2 latent dimensions. How they were trained is
# the story of the next lessons; here they are given. (We train five of each kind, so that what we say of the kind does not hang on one.)

# %%
def make_decoder(n_latent, seed):
    vae = nv.VAE.dense(196, (100,), n_latent, likelihood="gaussian", sigma=0.5, activation="tanh",
                       rng=np.random.default_rng(seed))
    for record in nv.fit(vae, train, optimizer=nv.Adam(2e-3), epochs=5, batch_size=100, rng=np.random.default_rng(seed)):
        pass
    return vae.astype(np.float64)


train, test = shrink(lesson.images("train")[0][:10000]), shrink(lesson.images("test")[0][:200])
lines = [make_decoder(1, seed) for seed in range(5)]       # one latent dimension
planes = [make_decoder(2, seed) for seed in range(5)]      # two
line, plane_model = lines[0], planes[0]

# %% tags=["hide-input"]
means = line.decode(np.linspace(-2.4, 2.4, 14)[:, None])
noisy = means + 0.5 * np.random.default_rng(0).standard_normal((14, 196))
nv.plots.show_rows({"f(z), one latent dimension, z from -2.4 to 2.4: the mean pictures": means,
                    "samples x = f(z) + σ η, σ = 0.5: what the model really draws": noisy},
                   "Two rows of fourteen small pictures. Above, smooth blurred digits that change into one another. Below, "
                   "the same digits under heavy grain.")

# %% [markdown]
# **The truth by quadrature.** Quadrature is another word for (3.4). Is the grid fine enough? Refine it until nothing changes.

# %%
def change(model, coarse, fine):
    difference = exact.log_likelihood(model, test[:5], points=fine) - exact.log_likelihood(
        model, test[:5], points=coarse)
    return np.abs(difference).max()


claim("finer_grid_changes_one_dimension", change(line, 400, 4000), 0.0, 1e-6)
claim("finer_grid_changes_two_dimensions", change(plane_model, 150, 300), 0.0, 1e-6)

# %% [markdown]
# **Naive Monte Carlo.** The integral (3.1) is an average over the prior. So draw $N$ codes $z_n$ from the prior and average:
# $\hat p(x) = \frac1N\sum_n p(x\,|\,z_n)$. On average over the draws it is right: it is *unbiased*. How far is it off in one try?
#
# **Predict first.** Ten times the draws: how much smaller is the error?
#
# <details><summary>Answer</summary>
#
# $\sqrt{10} = 3.2$ times smaller. One more digit takes a hundred times the draws. The next lines show why.
# </details>
#
# The variance of a mean of $N$ independent draws is $1/N$ of the variance of one draw. The variance of one draw is the mean of its
# square less the square of its mean ([refresher](00_refresher.ipynb)): $\mathrm E[p(x|z)^2] - p(x)^2$. As a share of $p(x)$, the
# error of the average is therefore
#
# $$\frac{\text{error}}{p(x)} = \frac1{\sqrt N}\sqrt{\frac{\mathrm E_z\big[p(x\,|\,z)^2\big]}{p(x)^2} - 1} \tag{3.8}$$
#
# The second root is a number that quadrature gives. So we know the error before we draw, and can compare.

# %%
def squared_distances(model, images, z):
    """|x - f(z)|^2 of each image (rows) for each z (columns)."""
    m = model.decode(z)
    return np.sum(images**2, axis=1)[:, None] + np.sum(m**2, axis=1) - 2 * images @ m.T


def log_px_given_z(squares, s=0.5):
    """log p(x|z), by (3.3)."""
    return -squares / (2 * s**2) - 196 * np.log(s * np.sqrt(2 * np.pi))

# %%
def predicted_error(model):
    """The second root in (3.8), by quadrature, for 20 images: the error of one draw, root mean square."""
    z, log_w = exact.latent_grid(model.n_latent, points=1000 if model.n_latent == 1 else 150)
    log_p = log_px_given_z(squared_distances(model, test[:20], z))
    log_mean, log_mean_square = exact.log_sum_exp(log_p + log_w), exact.log_sum_exp(2 * log_p + log_w)
    return np.sqrt(np.mean(np.exp(log_mean_square - 2 * log_mean) - 1))


# %%
def measured_error(model, n, repeats=60):
    """The error of the average over n draws from the prior, root mean square over 20 images and the repeats."""
    draw = np.random.default_rng(n)
    truth = exact.log_likelihood(model, test[:20], points=150)
    errors = []
    for _ in range(repeats):
        z = draw.standard_normal((n, model.n_latent))
        log_average = exact.log_sum_exp(log_px_given_z(squared_distances(model, test[:20], z))) - np.log(n)
        errors.append(np.exp(log_average - truth) - 1)
    return np.sqrt(np.mean(np.square(errors)))


counts = np.array([300, 1000, 3000, 10000])
error_1 = np.array([measured_error(line, n) for n in counts])
error_2 = np.array([measured_error(plane_model, n) for n in counts])
claim("measured_over_predicted_one_dimension", error_1[-1] * np.sqrt(10000) / predicted_error(line), 1.0, 0.2)
claim("measured_over_predicted_two_dimensions", error_2[-1] * np.sqrt(10000) / predicted_error(plane_model), 1.0, 0.2)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.5, 3.2))
for model, error, color, name in ((line, error_1, BLUE, "1 latent dimension"),
                                  (plane_model, error_2, ORANGE, "2 latent dimensions")):
    ax.loglog(counts, error, "o", color=color, label=f"{name}, measured")
    ax.loglog(counts, predicted_error(model) / np.sqrt(counts), "--", color=color, linewidth=1, label="by (3.8)")
ax.set(xlabel="number of draws N", ylabel="relative error of p(x)")
ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["2 %", "5 %", "10 %", "20 %", "50 %"])
ax.minorticks_off()
ax.set_title("Naive Monte Carlo: a hundred times the draws for one more digit", fontsize=10)
ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
nv.plots.show("Relative error of p(x) against the number of draws, 300 to 10,000, both on logarithmic axes. Dots for one and "
              "for two latent dimensions lie near two parallel dashed lines that fall with N to the power minus one "
              "half, the first one for two dimensions well above its line; "
              "those for two dimensions are higher.")

# %% [markdown]
# The error falls with $N^{-1/2}$, in one dimension and in two. With two it is larger, in each of our five pairs of decoders: fewer
# draws hit the $z$ that matter.

# %%
pairs = [(predicted_error(one), predicted_error(two)) for one, two in zip(lines, planes)]
lesson.holds("two dimensions are worse in all five pairs", all(two > one for one, two in pairs))

# %% [markdown]
# **What σ does.** Take the same $f$ and other $\sigma$, and compute the density of the test pictures by quadrature. Which $\sigma$ makes
# them likeliest? And how many draws from the prior "count" for a picture? If the draws have the weights $w_n = p(x\,|\,z_n)$, take the
# *effective number*
#
# $$n_\text{eff} = \frac{\big(\sum_n w_n\big)^2}{\sum_n w_n^2} \tag{3.9}$$
#
# If $k$ of the weights are equal and all others are 0, it is $(kw)^2/(kw^2) = k$. If one weight is so large that all the others together
# are nothing beside it, it is about 1.

# %%
grid, log_w = exact.latent_grid(2, points=150)
sigmas = np.arange(0.12, 0.81, 0.02)
squares_grid = squared_distances(plane_model, test[:100], grid)
mean_log_p = [exact.log_sum_exp(log_px_given_z(squares_grid, s) + log_w).mean() for s in sigmas]
best = sigmas[np.argmax(mean_log_p)]

# %%
squares_draws = squared_distances(plane_model, test[:50], np.random.default_rng(4).standard_normal((10_000, 2)))


def effective_number(s):
    log_p = log_px_given_z(squares_draws, s)
    w = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    return np.median(np.sum(w, axis=1)**2 / np.sum(w**2, axis=1))


count = np.array([effective_number(s) for s in sigmas])
claim("equal_weights_count_fully", 5**2 / np.sum(np.ones(5)**2), 5, 0)
lesson.holds("the larger sigma, the more draws count", np.all(np.diff(count) > 0))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3), layout="constrained")
axes[0].plot(sigmas, mean_log_p, color=BLUE)
axes[0].axvline(best, color=INK, linestyle="--", linewidth=1)
axes[0].set(xlabel="σ", ylabel="mean log p(x), nats", title=f"the pictures are likeliest at σ = {best:.2f}")
axes[1].semilogy(sigmas, count, color=ORANGE)
axes[1].set(xlabel="σ", ylabel="draws that count, of 10,000", title="small σ: most draws are wasted")
nv.plots.show("Left: the mean log p(x) against σ rises steeply to a peak, marked by a dashed line, and falls slowly. "
              "Right: the number of draws that count, of 10,000, on a logarithmic axis: it grows with σ.")

# %% [markdown]
# $\sigma$ is not a detail. For this $f$ the pictures are likeliest near $\sigma = 0.18$. That is how far a picture really is from its
# $f(z)$, per pixel: the root mean square over the $z$ that explain it is 0.19. And the smaller $\sigma$, the fewer $z$ explain a
# picture, so the fewer draws from the prior count: at $\sigma = 0.12$, of 10,000 draws about 60. Someone has to *propose* the right $z$:
# lesson 4.

# %%
log_p = log_px_given_z(squares_grid, best)
posterior = np.exp(log_p + log_w - exact.log_sum_exp(log_p + log_w)[:, None])
distance = np.sqrt(np.sum(posterior * squares_grid) / 100 / 196)
claim("best_sigma", best, 0.18, 0.02, on="strokes")
claim("distance_per_pixel", distance, 0.19, 0.01, on="strokes")
claim("distance_minus_best_sigma", distance - best, 0.0, 0.015)
claim("draws_that_count_at_0_12", count[0], 60, 25, on="strokes")

# %% [markdown]
# **Which $z$ explain a picture?** Bayes' rule: those with a large $p(x\,|\,z)\,p(z)$. Divided by its sum over the grid it is the
# *posterior* $p(z\,|\,x)$.
#
# **Predict first.** With a larger $\sigma$, will more $z$ explain the picture, or fewer? What is left when $\sigma$ is huge?
#
# <details><summary>Answer</summary>
#
# More: with much noise many $f(z)$ could have given this picture. When $\sigma$ is huge the picture says nothing, and the posterior
# is the prior, the round cloud.
# </details>

# %% tags=["hide-input"]
def draw_posterior(ax, s):
    log_p = log_px_given_z(squares_grid[0], s) + log_w
    p = np.exp(log_p - log_p.max()).reshape(150, 150).T
    ax.imshow(p, extent=(-6, 6, -6, 6), origin="lower", cmap="viridis")
    ax.set(xlim=(-3, 3), ylim=(-3, 3), xlabel="z[0]", ylabel="z[1]", title=f"which z explain it, σ = {s:.2f}")
    picture = ax.inset_axes([0.02, 0.7, 0.28, 0.28])
    nv.plots.image_grid(test[:1], picture)


nv.plots.strip(draw_posterior, (0.2, 0.6, 2.0), "Three heat maps over the latent plane, for one picture, which is shown in "
               "the corner. For σ = 0.2 a small bright spot, for σ = 0.6 a larger blot, for σ = 2 nearly the round prior.")

# %%
lesson.slider(lambda s: nv.plots.strip(draw_posterior, [s], "which z explain the picture", size=(4, 4)), s=(0.15, 2.0, 0.05))

# %%
def posterior_spread(s):
    log_p = log_px_given_z(squares_grid[0], s) + log_w
    p = np.exp(log_p - exact.log_sum_exp(log_p))
    return np.sqrt(p @ np.sum((grid - p @ grid)**2, axis=1) / 2)


spreads = [posterior_spread(s) for s in (0.2, 0.6, 2.0)]
lesson.holds("the larger sigma, the wider the spot", np.all(np.diff(spreads) > 0))
claim("with_a_huge_sigma_it_is_the_prior", posterior_spread(100.0), 1.0, 0.01)

# %% [markdown]
# ## Exercises
#
# Hints unfold; try without them first.
#
# **3.1** (5 minutes) The logarithm of the Gaussian density (3.3), with its sign turned: `x`, `m` (B, D) in, $\log p(x\,|\,z)$ (B,) out.
# The check integrates it.
#
# <details><summary>Hint</summary>
#
# Equation (3.3) gives $-\log p$, so every sign turns. `np.sum(..., axis=1)` adds over the pixels of each row. The two terms without $x$
# count once for *each* pixel.
# </details>

# %% tags=["exercise"]
def log_likelihood(x, m, sigma):
    ...    # your code


# %% tags=["solution"]
def log_likelihood(x, m, sigma):
    return -np.sum((x - m)**2 / (2 * sigma**2) + np.log(sigma) + 0.5 * np.log(2 * np.pi), axis=1)


# %%
check.log_likelihood(log_likelihood)

# %% [markdown]
# **3.2** (5 minutes) Ancestral sampling (3.2): draw `n` pairs with two latent dimensions; return `z` (n, 2) and `x` (n, D). `f` takes `z`.
#
# <details><summary>Hint</summary>
#
# `rng.standard_normal((n, 2))` draws the codes. Every pixel of every picture gets noise of its own, so draw $\eta$ in the shape of $f(z)$.
# </details>

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
# **3.3** (10 minutes) The posterior on a grid: from `log_px_given_z` (N,) and `log_w` (N,), the logarithms of likelihood and prior weight
# at each grid point, return the probability of each point. The logarithms may be as low as $-2000$.
#
# <details><summary>Hint 1</summary>
#
# Multiply likelihood and prior weight, so add their logarithms. The probabilities must sum to 1.
# </details>
#
# <details><summary>Hint 2</summary>
#
# As in (3.5): subtract the largest logarithm before `np.exp`. When you divide by the sum, the factor $e^M$ cancels.
# </details>

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
# - A latent variable is a decision behind the picture. $p(x)$ adds up all decisions, (3.1). The prior may be plain, because $f$ bends it.
# - $f(z)$ is a mean. The sample has noise of size $\sigma$ on it, and $\sigma$ decides which $z$ can explain a picture.
# - Grey pixels: the Gaussian NLL (3.3). Black-and-white pixels: the Bernoulli NLL (3.6), whose gradient is "expected minus seen", (3.7).
# - A sum over a grid is exact to many digits for one or two dimensions. Naive Monte Carlo works in any number, and wastes nearly all its draws.
#
# **Papers to read next.** Carl Doersch, *Tutorial on Variational Autoencoders* (2016), sections 1 and 2: the ring, and why $p(x)$ is hard
# to compute. Simon Prince, *Understanding Deep Learning* (2023), sections 17.1 to 17.3: the picture of the curve and its heat map.
#
# **Still wrong, and next.** Real models have twenty latent dimensions. No grid is large enough, and draws from the prior miss. We need
# someone who looks at $x$ and proposes $z$. That is lesson 4.
