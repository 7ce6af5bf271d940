# %% [markdown]
# # Refresher
#
# Five ideas that the lessons use: the Gaussian, expectation, covariance and Cholesky, log-sum-exp, and the chain rule on arrays. Each
# one comes in plain words, as a picture, and in a few lines of code whose claims are checked when they run.
#
# Read it now, or come back when a lesson sends you here. Every symbol and every word of the course is in the
# [glossary](00_glossary.ipynb); the course begins with [the whole game](00_the_whole_game.ipynb).
#
# *Time:* 30 minutes. *Runs in:* seconds.

# %%
import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.exact import log_sum_exp
from numpyvae.report.plots import BLUE, INK, ORANGE

claim = Lesson(0).claim
rng = np.random.default_rng(0)

# %% [markdown]
# ## Gaussian
#
# A *density* says how thickly a random number is spread: the area under it between two points is the probability to land between them.
# The whole area is 1. The height itself is no probability, and may be larger than 1.
#
# The *Gaussian*, or normal distribution, is the bell. It has two numbers: the *mean* $\mu$, where its middle is, and the *standard
# deviation* $\sigma$, how wide it is. We write $N(\mu, \sigma^2)$, and $\sigma^2$ is called the *variance*:
#
# $$p(z) = \frac{1}{\sigma\sqrt{2\pi}}\,e^{-(z-\mu)^2/(2\sigma^2)}$$
#
# The exponent is 0 in the middle and falls with the square of the distance. The factor in front makes the area 1.
#
# To draw from $N(\mu, \sigma^2)$, draw $\varepsilon$ from $N(0, 1)$, stretch it by $\sigma$ and move it by $\mu$: $z = \mu + \sigma\varepsilon$.
# About 68 % of the draws are within one $\sigma$ of $\mu$, about 95 % within two.

# %%
def density(z, mu, sigma):
    return np.exp(-(z - mu)**2 / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))


grid, h = np.linspace(-20, 20, 4001, retstep=True)
draws = 2 + 0.5 * rng.standard_normal(100_000)
claim("area_under_the_bell", np.sum(density(grid, 2, 0.5)) * h, 1.0, 1e-9)
claim("share_within_one_sigma", np.mean(np.abs(draws - 2) < 0.5), 0.68, 0.01)
claim("share_within_two_sigma", np.mean(np.abs(draws - 2) < 1.0), 0.95, 0.01)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.hist(draws, bins=80, density=True, color=BLUE, alpha=0.3, label="100,000 draws of 2 + 0.5 ε")
near = np.linspace(0, 4, 300)
ax.plot(near, density(near, 2, 0.5), color=BLUE, label="density of N(2, 0.25)")
for edge in (1.5, 2.5):
    ax.plot([edge, edge], [0, density(edge, 2, 0.5)], color=INK, linestyle="--", linewidth=1)
ax.text(2, 0.2, "68 %\nwithin\none σ", ha="center", fontsize="small")
ax.set(xlabel="z", ylabel="density", title="The bell is where the draws are", ylim=(0, 1.1))
ax.legend(frameon=False, fontsize="small", loc="upper right")
nv.plots.show("A bell-shaped curve with its middle at 2 over a histogram of draws that fills it. Two dashed lines mark one sigma "
              "to each side; 68 % lie between them.")

# %% [markdown]
# ## Expectation
#
# The *expectation* $\mathrm E[f(z)]$ is the average of $f(z)$ over very many draws of $z$. There are two ways to compute it, and the
# lessons use both to check each other.
#
# - **By draws**, called *Monte Carlo*: draw $N$ times and average. It is off by about $\mathrm{sd}/\sqrt N$, the *standard error*, where sd
#   is the standard deviation of $f(z)$: a hundred times the draws for one more digit.
# - **By a sum over a grid**, called *quadrature*: $\int f(z)\,p(z)\,dz \approx \sum_n f(z_n)\,p(z_n)\,h$, where $h$ is the distance of the
#   grid points.
#
# Two rules carry most derivations. Expectation is *linear*: $\mathrm E[a f + b g] = a\,\mathrm E[f] + b\,\mathrm E[g]$. And the *variance*,
# the mean squared distance from the mean $m = \mathrm E[z]$, is
#
# $$\mathrm{var}(z) = \mathrm E\big[(z - m)^2\big] = \mathrm E[z^2] - 2m\,\mathrm E[z] + m^2 = \mathrm E[z^2] - m^2$$
#
# So for $z$ from $N(\mu, \sigma^2)$: $\mathrm E[z^2] = \mu^2 + \sigma^2$.

# %%
squares = draws**2
standard_error = squares.std() / np.sqrt(len(squares))
claim("mean_of_z_squared_on_a_grid", np.sum(grid**2 * density(grid, 2, 0.5)) * h, 2**2 + 0.5**2, 1e-9)
claim("draws_are_off_by_so_many_standard_errors", (squares.mean() - 4.25) / standard_error, 0.0, 4.0)

# %% tags=["hide-input"]
counts = np.arange(10, 20_000, 10)
running = np.cumsum(squares)[counts - 1] / counts
band = 2 * squares.std() / np.sqrt(counts)
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.fill_between(counts, 4.25 - band, 4.25 + band, color=BLUE, alpha=0.2, label="± 2 standard errors")
ax.semilogx(counts, running, color=ORANGE, label="average of z² so far")
ax.axhline(4.25, color=INK, linewidth=1)
ax.set(xlabel="number of draws N", ylim=(2.8, 5.7), title="The average settles on μ² + σ² = 4.25")
ax.legend(frameon=False, fontsize="small")
nv.plots.show("The average of z squared against the number of draws: it wanders at first and settles on the line 4.25, inside a band "
              "that narrows.")

# %% [markdown]
# ## Covariance and Cholesky
#
# Several numbers drawn together form a vector $z$, with a mean vector $\mu$. Do two of them go up together? Their *covariance* says so:
#
# $$C_{ij} = \mathrm E\big[(z_i - \mu_i)(z_j - \mu_j)\big]$$
#
# It is positive if they tend to be above their means together, 0 if neither tells of the other in this way. On the diagonal are the
# variances. The *correlation* is $C_{ij}$ divided by both standard deviations; it is between $-1$ and 1. From data, take the average
# over the rows: with the means taken off, `c.T @ c / len(c)`.
#
# **To draw such vectors**, start from independent $\varepsilon$ with $\mathrm E[\varepsilon\varepsilon^T] = I$, and multiply by a matrix
# $L$: $z = \mu + L\varepsilon$. Its covariance is
#
# $$\mathrm E\big[L\varepsilon\,(L\varepsilon)^T\big] = L\,\mathrm E[\varepsilon\varepsilon^T]\,L^T = L L^T$$
#
# So we need an $L$ with $LL^T = C$. The *Cholesky* factor is one: it has zeros above the diagonal, and `np.linalg.cholesky(C)` computes it.
# It is to a matrix what the square root is to a number: $\sigma$ from $\sigma^2$.

# %%
C = np.array([[1.0, 0.8], [0.8, 1.0]])
L = np.linalg.cholesky(C)
eps = rng.standard_normal((100_000, 2))
z = eps @ L.T                                # each row is L times its eps
claim("L_times_its_transpose_is_C", np.abs(L @ L.T - C).max(), 0.0, 1e-12)
claim("covariance_of_the_draws_is_C", np.abs(z.T @ z / len(z) - C).max(), 0.0, 0.03)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.2), layout="constrained")
for ax, cloud, title in ((axes[0], eps, "ε: round, covariance I"), (axes[1], z, "Lε: leaning, covariance C")):
    ax.scatter(cloud[:1500, 0], cloud[:1500, 1], s=3, color=BLUE, alpha=0.5)
    ax.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal", title=title)
nv.plots.show("Left: a round cloud of points. Right: the same points multiplied by L: a cloud stretched along the rising diagonal.")

# %% [markdown]
# ## Log-sum-exp
#
# Probabilities of pictures are tiny: $e^{-2000}$, say. A computer rounds that to 0. So the lessons keep only logarithms. Products become
# sums, which is easy. But how does one *add* two numbers of which only the logarithms $a_n$ may be touched? Take the largest, $M$, out:
#
# $$\log\sum_n e^{a_n} = \log\Big(e^M \sum_n e^{a_n - M}\Big) = M + \log\sum_n e^{a_n - M}$$
#
# Now the largest term is $e^0 = 1$. The sum is at least 1, and terms that are rounded to 0 would not have been seen beside the 1 anyway.

# %%
a = np.array([-2000.0, -2001.0, -2003.0])
directly = np.sum(np.exp(a))                 # its logarithm would be minus infinity
claim("the_sum_itself_is_rounded_to", directly, 0.0, 0.0)
claim("its_logarithm", log_sum_exp(a), -1999.65, 0.01)
claim("log_sum_exp_where_both_work", log_sum_exp(a + 2000) - np.log(np.sum(np.exp(a + 2000))), 0.0, 1e-12)

# %% tags=["hide-input"]
x = np.linspace(-6, 6, 241)
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.plot(x, np.maximum(x, 0), color=INK, linestyle="--", label="the larger of a and 0")
ax.plot(x, log_sum_exp(np.column_stack([x, 0 * x])), color=BLUE, label="log(exp(a) + exp(0))")
ax.set(xlabel="a", title="A soft maximum: at most log 2 above the hard one")
ax.legend(frameon=False, fontsize="small")
nv.plots.show("Two curves against a. The dashed maximum of a and 0 has a corner at 0. Log-sum-exp lies just above it, smooth, and "
              "farthest, by log 2, at the corner.")

# %% tags=["hide-input"]
above = log_sum_exp(np.column_stack([x, 0 * x])) - np.maximum(x, 0)
claim("log_sum_exp_is_above_the_maximum_by_at_most_log_2", above.max(), np.log(2), 1e-9)
claim("points_where_it_is_below_the_maximum", np.sum(above < 0), 0, 0)

# %% [markdown]
# ## Chain rule on arrays
#
# The *derivative* of $L$ with respect to $x$ says how much $L$ changes, per change of $x$. If $x$ changes $y$, and $y$ changes $L$, the
# changes multiply:
#
# $$\frac{dL}{dx} = \frac{dL}{dy}\,\frac{dy}{dx}$$
#
# On arrays there is one more rule: if $x$ changes *several* numbers, all their changes *add*. The course writes $dy$ for the array of the
# derivatives of $L$ with respect to each entry of $y$, its *gradient*. It has the shape of $y$.
#
# **The one product that everything rests on.** Let $y = xW$, with $x$ of shape (B, I), $W$ (I, O) and $y$ (B, O), so that
# $y_{bo} = \sum_i x_{bi} W_{io}$. The entry $W_{io}$ changes $y_{bo}$ for every row $b$, each at the rate $x_{bi}$. Add:
#
# $$dW_{io} = \sum_b x_{bi}\,dy_{bo}\quad\text{so}\quad dW = x^T dy,\qquad\qquad
# dx_{bi} = \sum_o dy_{bo}\,W_{io}\quad\text{so}\quad dx = dy\,W^T$$
#
# The shapes alone nearly tell: only this order of the product has the shape of $W$, and only that one the shape of $x$.

# %%
x, W, target = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
dy = x @ W - target                          # the gradient of L = 1/2 sum (xW - target)^2 for y = xW
dx, dW = dy @ W.T, x.T @ dy


def loss(x, W):
    return 0.5 * np.sum((x @ W - target)**2)


# %%
def by_differences(f, array, h=1e-5):
    """The derivative of f with respect to each entry: move it a little up and a little down."""
    result = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        step = np.zeros_like(array)
        step[i] = h
        result[i] = (f(array + step) - f(array - step)) / (2 * h)
    return result


claim("dW_against_differences", np.abs(by_differences(lambda W: loss(x, W), W) - dW).max(), 0.0, 1e-8)
claim("dx_against_differences", np.abs(by_differences(lambda x: loss(x, W), x) - dx).max(), 0.0, 1e-8)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(6, 2.8), layout="constrained", width_ratios=(4, 2, 2))
for ax, array, name in zip(axes, (x.T, dy, dW), ("x transposed (I, B)", "times dy (B, O)", "is dW (I, O)")):
    ax.imshow(array, cmap="PuOr", vmin=-20, vmax=20)
    for (row, column), value in np.ndenumerate(array):
        ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize="small")
    ax.set_title(name, fontsize=10)
    ax.set(xticks=[], yticks=[])
nv.plots.show("Three small tables of numbers: x transposed, three rows and four columns; dy, four rows and two columns; and their "
              "product dW, three rows and two columns, the shape of W.")

# %% [markdown]
# Each number of $dW$ is a row of $x^T$ times a column of $dy$, number by number, added up: the sum over the batch.
# [Lesson 2](02_trust_your_gradients.ipynb) takes it from here.
