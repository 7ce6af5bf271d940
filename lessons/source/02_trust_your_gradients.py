# %% [markdown]
# # 2. Trust your gradients
#
# **The question.** You have written a backward pass by hand. How do you know that it is right?
#
# **After this lesson you can**
#
# - derive the backward pass of a dense layer and of tanh;
# - check a gradient by central differences and by the complex step, and say how small $h$ should be and why;
# - say where the complex step silently gives 0, and where a central difference straddles a kink;
# - recognise a bug by the pattern of its errors, and name bugs that no gradient check can see.
#
# *You need:* [lesson 1](01_why_cant_an_autoencoder_dream.ipynb), derivatives, Python. The [refresher](00_refresher.ipynb) has
# the chain rule on arrays; the [glossary](00_glossary.ipynb) has every symbol. *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.course.common import shrink
from numpyvae.course.lesson_02 import BROKEN
from numpyvae.functional.activations import tanh_backward
from numpyvae.functional.affine import affine_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(2, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about what the blue parts are made of: dense layers and activations.

# %%
nv.plots.show_diagram("encoder", "decoder")

# %% [markdown]
# ## The derivation
#
# **Symbols.** A dense layer takes a batch `x` of shape (B, I): $B$ rows, $I$ inputs. It has weights `W` (I, O) and a bias
# `b` (O,). It gives `y` (B, O):
#
# $$y_{bo} = \sum_i x_{bi} W_{io} + b_o \tag{2.1}$$
#
# (The index $b$ counts rows; $b_o$ is the bias of output $o$.) Some loss $L$, one number, is computed from `y` later. We write
# `dy` for the array of all $\partial L/\partial y_{bo}$; it has the shape of `y`. It comes from the layers that follow, on the
# way back, and is called the *upstream gradient*. We want `dx`, `dW` and `db`.
#
# **The chain rule.** If one number $u$ changes several $y$, and these change $L$, the effects add up:
# $\frac{\partial L}{\partial u} = \sum_{bo} \frac{\partial L}{\partial y_{bo}}\,\frac{\partial y_{bo}}{\partial u}$. So for each
# of the three ask: *which $y$ does it change, and how much?*
#
# **dx.** $x_{bi}$ changes every $y_{bo}$ of the same row $b$, by $W_{io}$ times as much:
#
# $$dx_{bi} = \sum_o dy_{bo} W_{io}\qquad\text{that is}\qquad dx = dy\,W^T \tag{2.2}$$
#
# **dW.** $W_{io}$ changes the output $y_{bo}$ of every row $b$, by $x_{bi}$ times as much:
#
# $$dW_{io} = \sum_b x_{bi}\, dy_{bo}\qquad\text{that is}\qquad dW = x^T dy \tag{2.3}$$
#
# **db.** $b_o$ is added to $y_{bo}$ of every row, once:
#
# $$db_o = \sum_b dy_{bo} \tag{2.4}$$

# %% [markdown]
# **An activation** works on each number by itself: $y = f(a)$. So $a$ changes its own $y$ alone, and $da = dy\, f'(a)$. Take
# tanh. It is a quotient, $\tanh a = s/c$ with
#
# $$s = \frac{e^a - e^{-a}}{2},\qquad c = \frac{e^a + e^{-a}}{2}$$
#
# The derivative of $e^{-a}$ is $-e^{-a}$, so $s' = c$ and $c' = s$. The quotient rule gives
#
# $$\tanh' a = \frac{s'c - s\,c'}{c^2} = \frac{c^2 - s^2}{c^2} = 1 - \Big(\frac sc\Big)^2 = 1 - \tanh^2 a$$
#
# The slope can be computed from the *output* $y$:
#
# $$da = dy\,(1 - y^2) \tag{2.5}$$
#
# That saves keeping $a$. It is also where many bugs come from: it is right for tanh's output $y$ and for nothing else.

# %% [markdown]
# ### How to check: two numerical derivatives
#
# Take one entry of one array, and hold everything else fixed. $L$ is then a function $f(x)$ of one number $x$. Near $x$, Taylor's
# series says, for a small step $h$,
#
# $$f(x \pm h) = f \pm h f' + \tfrac{h^2}{2} f'' \pm \tfrac{h^3}{6} f''' + \dots$$
#
# where $f, f', f'', f'''$ are the function and its derivatives at $x$.
#
# **Central differences.** Subtract the two series. $f$ and $f''$ cancel, and $2hf' + \tfrac{h^3}{3}f'''$ is left. Divide by $2h$:
#
# $$\frac{f(x+h) - f(x-h)}{2h} = f' + \tfrac{h^2}{6} f''' + \dots \tag{2.6}$$
#
# The second term is the *truncation error*. It falls with $h^2$.
#
# **The complex step.** Put an imaginary step $ih$ into the series, with $i^2 = -1$ and $i^3 = -i$:
# $f(x + ih) = f + ih f' - \tfrac{h^2}{2} f'' - i\,\tfrac{h^3}{6} f''' + \dots$ Its imaginary part, divided by $h$, is
#
# $$\frac{\mathrm{Im}\, f(x + ih)}{h} = f' - \tfrac{h^2}{6} f''' + \dots \tag{2.7}$$
#
# Nothing is subtracted. So $h$ may be $10^{-30}$, and the truncation error is gone too.

# %% [markdown]
# **Which $h$ is best for central differences?** A computer keeps 16 digits: each of the two values of $f$ is rounded, by up to
# $u|f|$ with $u \approx 10^{-16}$. Their difference is off by up to $2u|f|$, and it is divided by $2h$. This *round-off error*
# $u|f|/h$ grows as $h$ falls. Together with the truncation error:
#
# $$\text{error}(h) \approx \tfrac{h^2}{6}|f'''| + \frac{u|f|}{h}$$
#
# Set the derivative with respect to $h$ to zero, $\tfrac h3|f'''| - \frac{u|f|}{h^2} = 0$, multiply by $h^2$, and solve:
#
# $$h = \sqrt[3]{3u\,|f|/|f'''|} \tag{2.8}$$
#
# Where $|f|$ and $|f'''|$ are of about the same size, this is $\sqrt[3]{3\cdot10^{-16}} \approx 7\cdot10^{-6}$.
#
# **The complex step has a condition.** (2.7) uses Taylor's series with a complex step. It holds only if $f$ is *analytic*: a
# function whose derivative at $x$ is the same in whichever direction of the complex plane you step. Sums, products, quotients,
# powers, `exp`, `log`, `sin`, `tanh` are analytic, and so is what is made of them. The absolute value is not: the distance of
# $x + ih$ from 0 is $\sqrt{x^2 + h^2}$, a real number. It has no imaginary part, so (2.7) gives **0**, without any error message.
# Whatever takes an absolute value, a real part or a conjugate inside loses its part of the slope in the same way.

# %% [markdown]
# ## The code
#
# The backward pass of a dense layer and of tanh, as the package has them. With `NUMPYVAE_KERNELS=0` every training step runs
# these very functions: put a `print` into one and see.

# %%
lesson.show(affine_backward, "2.2", "2.3", "2.4")

# %%
lesson.show(tanh_backward, "2.5")

# %% [markdown]
# And both numerical derivatives, for every entry of an array:

# %%
lesson.show(nv.gradcheck.differentiate, "2.6", "2.7")

# %% [markdown]
# ## The experiment: how small should h be?
#
# Take a function whose derivative we know: $f(x) = e^x\sin x$ with $f' = e^x(\sin x + \cos x)$. A central difference is the slope of
# the line through two points of the curve. In a running notebook, move $h$:

# %%
def f(x):
    return np.exp(x) * np.sin(x)


def slope_of_f(x):
    return np.exp(x) * (np.sin(x) + np.cos(x))

# %% tags=["hide-input"]
def draw_line(ax, h, x=1.3):
    line, wide = np.linspace(-0.2, 2.8, 100), np.array([-0.2, 2.8])
    slope = (f(x + h) - f(x - h)) / (2 * h)
    ax.plot(line, f(line), color=INK)
    ax.plot(wide, f(x) + slope_of_f(x) * (wide - x), color=GREEN, linewidth=1, label="the slope at x")
    ax.plot(wide, f(x - h) + slope * (wide - x + h), color=ORANGE, label="through x − h and x + h")
    ax.plot([x - h, x + h], [f(x - h), f(x + h)], "o", color=ORANGE)
    ax.set(xlim=(-0.2, 2.8), ylim=(-3, 9.5), title=f"h = {h:.2f}: {slope:.2f}, true {slope_of_f(x):.2f}")
    ax.legend(frameon=False, fontsize="x-small", loc="upper left")


nv.plots.strip(draw_line, (1.2, 0.6, 0.1), "Three frames: a curve, its slope at a point, and the line through two "
               "points to the left and right. At h = 1.2 the two slopes differ, at 0.6 less, at 0.1 they are the "
               "same to the eye.")

# %%
lesson.slider(lambda h: nv.plots.strip(draw_line, [h], "the line and the slope", size=(4, 4)), h=(0.05, 1.2, 0.05))

# %% [markdown]
# **Predict first.** Make $h$ smaller still: $10^{-5}$, $10^{-10}$, $10^{-16}$. What will the error do?
#
# <details><summary>Answer</summary>
#
# It falls at first and then grows, down to (2.8) and up again. At $10^{-16}$ the computer cannot tell $x + h$ from $x - h$: the difference is 0
# or garbage.
# </details>

# %%
def errors(h, x=1.3):
    """The relative errors of three numerical derivatives of f."""
    forward = (f(x + h) - f(x)) / h
    central = (f(x + h) - f(x - h)) / (2 * h)
    complex_step = np.imag(f(x + 1j * h)) / h
    return [np.abs(slope / slope_of_f(x) - 1) for slope in (forward, central, complex_step)]


def best_step(x=1.3):    # (2.8)
    third = 2 * np.exp(x) * (np.cos(x) - np.sin(x))
    return np.cbrt(3e-16 * np.abs(f(x)) / np.abs(third))


print(f"the best step for central differences by (2.8): {best_step():.1e}")

# %% tags=["hide-input"]
steps = np.logspace(-1, -20, 300)
fig, ax = plt.subplots(figsize=(7, 3.4))
for error, color, name in zip(errors(steps), (ORANGE, BLUE, GREEN), ("forward", "central", "complex step")):
    ax.loglog(steps, np.maximum(error, 1.1e-16), color=color, label=name)
ax.axvline(best_step(), color=INK, linestyle="--", linewidth=1)
ax.text(best_step() / 2, 1e-2, "(2.8)", color=INK)
ax.set(xlabel="step h, smaller to the right", ylabel="relative error", ylim=(3e-18, 10), xlim=(1e-1, 1e-20))
ax.set_title("Differences make a V; the complex step falls to the last digit and stays there", fontsize=10)
ax.legend(frameon=False, loc="center right")
nv.plots.show("Relative error against the step h, from 0.1 to 1e-20. Forward and central differences fall, turn, "
              "and rise to 1. The central one turns at the dashed line, near 6e-6. The complex step falls to 1e-16 "
              "and stays there.")

# %% [markdown]
# Read it from left to right: $h$ gets *smaller*. Both differences first get better and then worse. "Smaller is better" is false. (The
# forward difference $(f(x+h) - f(x))/h$ is the one in many books. Its truncation error falls only with $h$.)

# %%
def typical_error(h):
    """Of central differences, for steps near h."""
    return np.median(errors(h * np.linspace(0.5, 2, 1001))[1])


for h, log10 in ((1e-2, -4.5), (1e-5, -10.5), (1e-9, -7.3), (1e-12, -4.3)):
    claim(f"log10_of_the_error_at_{h:.0e}".replace("-", "_minus_"), np.log10(typical_error(h)), log10, 0.2)
holds("the step of (2.8) beats ten times as large and a tenth as large a one",
      typical_error(best_step()) < min(typical_error(10 * best_step()), typical_error(best_step() / 10)))
claim("complex_step_error", errors(1e-30)[2], 0.0, 5e-16)

# %% [markdown]
# At $h = 10^{-2}$ central differences are off by about $10^{-4.5}$, at $10^{-5}$ by $10^{-10.5}$, at $10^{-9}$ by $10^{-7.3}$ and at
# $10^{-12}$ by $10^{-4.3}$ again. The complex step at $10^{-30}$ has all digits.
#
# ### Where the complex step silently gives 0
#
# **Predict first.** Which of these will it get right: $|x|^{1.5}$, the length of the vector $(x, 2)$, the variance of $(x, 0, 1)$,
# `np.maximum(x, 1)`, $\tanh x$?
#
# <details><summary>Answer</summary>
#
# Only the last two. Length and variance square an *absolute value* inside, because NumPy is made for complex vectors too. `np.maximum`
# compares the real parts and hands the number on with its imaginary part.
# </details>

# %%
TRIALS = {    # name: function
    "np.abs(x)**1.5": lambda x: np.abs(x)**1.5,
    "np.linalg.norm([x, 2])": lambda x: np.linalg.norm([x, 2]),
    "np.var([x, 0, 1])": lambda x: np.var([x, 0, 1]),
    "x * np.conj(x)": lambda x: x * np.conj(x),
    "np.real(x)**2": lambda x: np.real(x)**2,
    "np.maximum(x, 1)": lambda x: np.maximum(x, 1),
    "np.tanh(x)": lambda x: np.tanh(x),
    "np.sqrt(x * x + 2**2)": lambda x: np.sqrt(x * x + 2**2),
}
central, stepped = [], []
print("function                  central   complex step")
for name, g in TRIALS.items():
    central.append(np.real(g(1.3 + 1e-5) - g(1.3 - 1e-5)) / 2e-5)
    stepped.append(np.imag(g(1.3 + 1e-30j)) / 1e-30)
    print(f"{name:24} {central[-1]:8.4f} {stepped[-1]:14.4f}")
holds("the first five are 0, and should not be", np.all(np.equal(stepped[:5], 0)) and np.min(central[:5]) > 0.1)
holds("the last three are right", np.allclose(stepped[5:], central[5:], atol=1e-8))

# %% [markdown]
# The last line is the length again, written so that it works: a square is `x * x`, not $|x|^2$. Two rules keep you safe:
#
# 1. Compare the complex step with a central difference *once*. Their weaknesses are not the same.
# 2. Where code must branch, let it look at the real part alone, as the package's ReLU does: `np.where(a.real < 0, 0, a)`.
#
# ### Where a central difference straddles a kink
#
# ReLU is $\max(a, 0)$: 0 on the left, $a$ on the right. Its slope is 0 for $a < 0$ and 1 for $a > 0$; at 0 there is a kink and no
# slope. If $|a| < h$, the two points of a central difference lie on two sides of the kink: $a + h > 0$ and $a - h < 0$. So
#
# $$\frac{\max(a+h, 0) - \max(a-h, 0)}{2h} = \frac{a + h}{2h} \tag{2.9}$$
#
# which lies between 0 and 1, and is nobody's slope. If $|a| \ge h$ both points are on one side, and it is right. The complex step
# takes the side that $a$ itself is on.

# %%
STEP = 0.1
a = np.linspace(-0.3, 0.3, 601)
ramp = (np.maximum(a + STEP, 0) - np.maximum(a - STEP, 0)) / (2 * STEP)
near = np.abs(a) < STEP - 1e-9
away = np.abs(a) > STEP + 1e-9
claim("near_the_kink_it_is_the_ramp", np.abs(ramp - (a + STEP) / (2 * STEP))[near].max(), 0.0, 1e-12)
claim("away_from_the_kink_it_is_the_slope", np.abs(ramp - (a > 0))[away].max(), 0.0, 1e-12)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(5.5, 2.5))
ax.plot(a, ramp, color=ORANGE, label="central difference, h = 0.1")
ax.plot(a[a < 0], 0 * a[a < 0], color=INK, linestyle="--", label="the slope")
ax.plot(a[a > 0], 1 + 0 * a[a > 0], color=INK, linestyle="--")
ax.axvspan(-STEP, STEP, color=ORANGE, alpha=0.12)
ax.set(xlabel="a", ylabel="slope of ReLU", yticks=[0, 0.5, 1])
ax.set_title("Within h of the kink a central difference is wrong", fontsize=10)
ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
nv.plots.show("The slope of ReLU, a step from 0 to 1 at a = 0, dashed. The central difference is a ramp from 0 at "
              "−0.1 to 1 at 0.1, in a shaded band.")

# %% [markdown]
# ### A real network
#
# Check an autoencoder like those of lesson 1 on real pictures: 196 pixels, 30 hidden units, a code of 5. It has 12,321 weights and biases.
# Those that belong to corners which are black in all three pictures have gradient 0; a check of these proves nothing. Of the others we take 300
# at random, and compare the gradient from the backward pass with both numerical derivatives.

# %%
pictures = shrink(lesson.images("test")[0][:3])
network = nv.Autoencoder.dense(196, (30,), 5, likelihood="gaussian", activation="tanh",
                               rng=np.random.default_rng(0), dtype=np.float64)
network.loss_and_grad(pictures)
analytic = network.parameters.grads.copy()
places = np.random.default_rng(2).permutation(np.flatnonzero(analytic))[:300]


def loss_at(model, place, step):
    """The loss with one weight changed by step; the weight is put back."""
    before = model.parameters.values[place]
    model.parameters.values[place] = before + step
    loss = model.loss(pictures)
    model.parameters.values[place] = before
    return loss

# %%
in_complex_numbers = network.astype(np.complex128)
by_complex_step, by_differences = np.zeros(300), np.zeros(300)
for i, place in enumerate(places):
    by_complex_step[i] = loss_at(in_complex_numbers, place, 1e-30j).imag / 1e-30
    by_differences[i] = (loss_at(network, place, 1e-5) - loss_at(network, place, -1e-5)) / 2e-5

largest = np.abs(analytic).max()
error_complex = np.abs(analytic[places] - by_complex_step) / largest
error_differences = np.abs(analytic[places] - by_differences) / largest
claim("weights_and_biases", len(analytic), 12321, 0)
claim("worst_error_by_the_complex_step", error_complex.max(), 0.0, 1e-13)
claim("worst_error_by_differences", error_differences.max(), 0.0, 1e-6)
holds("the complex step agrees a thousand times as closely", 1000 * error_complex.max() < error_differences.max())

# %% tags=["hide-input"]
bins = np.linspace(-19.125, -5.875, 54)
fig, ax = plt.subplots(figsize=(6.5, 2.4))
for error, color, name in ((error_complex, GREEN, "complex step"), (error_differences, BLUE, "central differences")):
    ax.hist(np.log10(np.maximum(error, 1e-19)), bins, color=color, label=name)
ax.set_xticks([-19, -15, -12, -9, -6], ["0", "1e-15", "1e-12", "1e-9", "1e-6"])
ax.set(xlabel="error, as a share of the largest gradient", ylabel="weights")
ax.set_title("The backward pass of an autoencoder, 300 weights", fontsize=10)
ax.legend(frameon=False)
nv.plots.show("Two histograms of the errors of 300 gradients. By the complex step all lie below 1e-15, by central "
              "differences around 1e-9.")

# %% [markdown]
# At these weights both agree with the backward pass. The complex step does so to 13 digits or more, which leaves no room for a small
# mistake.
#
# ## Three ways to fool a check
#
# A check that passes proves little if it asks the wrong question. To check a layer, its many outputs are made one number,
# $L = \sum dy \cdot y$, with a fixed `dy`. That `dy` is then the upstream gradient.
#
# **First: an upstream gradient of ones.** Here is a layer that subtracts each row's mean, and a backward pass that is utterly wrong: it
# returns zeros.

# %%
def centre(x):
    return x - x.mean(axis=1, keepdims=True)


def wrong_centre_backward(dy):
    return np.zeros_like(dy)


def error_of_centre(dy):
    x = np.random.default_rng(3).standard_normal(dy.shape).astype(complex)
    numeric = nv.gradcheck.differentiate(lambda: np.sum(dy * centre(x)), x, "complex-step")
    return np.abs(wrong_centre_backward(dy) - numeric).max()


with_ones = error_of_centre(np.ones((4, 7)))
with_random = error_of_centre(np.random.default_rng(4).standard_normal((4, 7)))
print(f"error with ones: {with_ones:.1e}, with random numbers: {with_random:.2f}")
claim("error_of_zeros_seen_with_ones", with_ones, 0.0, 1e-12)
holds("random numbers show the error", with_random > 0.5)

# %% [markdown]
# The rows of $y$ sum to zero whatever $x$ is. So with ones $L$ is always 0, and zeros are the right answer *to that question*. A random
# `dy` asks the question that training will ask.
#
# **Second: a point at which nothing lives.** Take $y = \mathrm{ReLU}(xW + b)$, and a backward pass with the wrong sign. Check it where the
# bias is very negative, so that all units are 0.

# %%
def error_of_relu_layer(bias):
    rng = np.random.default_rng(5)
    x, dy = rng.standard_normal((6, 7)), rng.standard_normal((6, 5))
    W = rng.standard_normal((7, 5)).astype(complex)

    def output():
        a = x @ W + bias
        return np.where(a.real < 0, 0, a)
    numeric = nv.gradcheck.differentiate(lambda: np.sum(dy * output()), W, "complex-step")
    wrong = -x.T @ (dy * (output().real > 0))
    return np.abs(wrong - numeric).max()


print(f"error with all units dead: {error_of_relu_layer(-100):.1e}, with some alive: {error_of_relu_layer(0):.2f}")
claim("error_of_the_sign_where_all_is_dead", error_of_relu_layer(-100), 0.0, 0.0)
holds("alive units show the error", error_of_relu_layer(0) > 0.5)

# %% [markdown]
# Where all slopes are 0, every backward pass that multiplies by the slope gives 0, however wrong it is. A tanh far from 0, where it is
# flat, is nearly as good a hiding place. So check at random weights of moderate size, and look whether the gradient is 0 anywhere.
#
# **Third: a tolerance of one per cent.** Many people add a small penalty $\tfrac\lambda2\sum W^2$ to a loss, which keeps weights small.
# Its gradient is $\lambda W$. Here it is forgotten. Will anybody notice?

# %%
rng = np.random.default_rng(6)
x, dy = rng.standard_normal((4, 7)), rng.standard_normal((4, 5))
W = rng.standard_normal((7, 5)).astype(complex)
numeric = nv.gradcheck.differentiate(
    lambda: np.sum(dy * np.tanh(x @ W)) + 1e-3 / 2 * np.sum(W * W), W, "complex-step")
forgotten = x.T @ (dy * (1 - np.tanh(x @ W.real)**2))
error = np.abs(forgotten - numeric).max() / np.abs(numeric).max()
print(f"relative error {error:.1e}")
claim("log10_of_that_error", np.log10(error), -2.8, 0.4)
holds("it passes a tolerance of 1e-2", error < 1e-2)
holds("it fails a tolerance of 1e-5", error > 1e-5)

# %% [markdown]
# A forgotten term is wrong by 100 % of itself. Beside larger terms it is one or two thousandths of the whole. The complex step allows a tolerance of
# $10^{-12}$, which lets no forgotten term pass that matters.
#
# ## What a wrong gradient looks like
#
# A layer $y = \tanh(xW + b)$ with 5 inputs and 4 outputs, and three backward passes with a bug each (they are hidden in the package, so
# that you need not look away). Each picture shows *found divided by right* for every entry of `dW`, and in the last row `db`. White is
# right. The upper row has a batch of 6, the lower a batch of *one* row.

# %%
def found_by_right(bug, rows):
    rng = np.random.default_rng(11)
    W, b = 0.4 * rng.standard_normal((5, 4)), 0.4 * rng.standard_normal(4)
    x, dy = rng.standard_normal((6, 5))[:rows], rng.standard_normal((6, 4))[:rows]
    y = np.tanh(x @ W + b)
    da = dy * (1 - y**2)
    right = np.vstack([x.T @ da, da.sum(axis=0)])
    dW, db = BROKEN[bug](dy, x, y)
    return np.vstack([dW, db]) / right


alone = [np.allclose(found_by_right(bug, 1), 1) for bug in (1, 2, 3)]
claim("bugs_that_a_batch_of_one_row_hides", np.sum(alone), 2, 0)

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 3, figsize=(7, 5), layout="constrained")
for column, bug in enumerate((1, 2, 3)):
    for ax, rows in zip(axes[:, column], (6, 1)):
        picture = ax.imshow(found_by_right(bug, rows), cmap="RdBu_r", vmin=-1, vmax=3, aspect="auto")
        ax.axhline(4.5, color=INK)
        ax.set_xticks(range(4))
        ax.set_yticks(range(6), ["dW 0", "dW 1", "dW 2", "dW 3", "dW 4", "db"])
        ax.set_title(f"bug {bug}, batch of {rows}", fontsize=10)
bar = fig.colorbar(picture, ax=axes, shrink=0.6, label="found ÷ right", ticks=[-1, 0, 1, 2, 3])
bar.ax.set_yticklabels(["−1 or less", "0", "1: right", "2", "3 or more"])
nv.plots.show("Six maps of found divided by right; white is right. Batch of 6: bug 1 and bug 2 are patchy in dW and "
              "db, bug 3 is white in dW and evenly blue in db. Batch of one: bugs 1 and 3 are all white; bug 2 has "
              "red columns, each of one shade, which includes db.")

# %% [markdown]
# Try small cases: a batch of one row takes all sums over the batch away, so whatever is still wrong then is not about the batch. Exercise 2.4
# asks you to name the three.
#
# ## A bug that no gradient check can see
#
# From lesson 4 on we draw codes from Gaussians whose mean $\mu$ and variance $\sigma^2$ a network puts out. As in lesson 1,
# $z = \mu + \sigma\varepsilon$ with $\varepsilon$ from $N(0, 1)$. A variance must be positive, and a network may put out any number. So it puts
# out the logarithm, $\log\sigma^2$, called `logvar`: then $\sigma^2 = e^{\mathtt{logvar}}$ is positive in any case. Here is a sampling with its
# backward pass, as it was really found in public code:

# %%
def sample(mu, logvar, eps):
    return mu + np.exp(logvar) * eps


def sample_backward(dz, logvar, eps):
    return dz, dz * np.exp(logvar) * eps    # dmu, dlogvar


rng = np.random.default_rng(8)
mu, eps, dz = rng.standard_normal((3, 4, 2))
logvar = rng.standard_normal((4, 2)).astype(complex)
numeric = nv.gradcheck.differentiate(lambda: np.sum(dz * sample(mu, logvar, eps)), logvar, "complex-step")
dmu, dlogvar = sample_backward(dz, logvar.real, eps)
claim("error_of_its_gradient", np.abs(dlogvar - numeric).max(), 0.0, 1e-12)

# %% [markdown]
# The check passes. **Predict first.** We ask for a variance of 4, `logvar` = log 4. Which variance will the draws have?
#
# <details><summary>Answer</summary>
#
# The noise is multiplied by $e^{\log 4} = 4$, so the standard deviation is 4, and the variance is 16.
# </details>

# %%
draws = sample(0.0, np.log(4.0), np.random.default_rng(9).standard_normal(100_000))
print(f"variance asked for: 4, variance of the draws: {draws.var():.2f}")
claim("variance_of_the_draws", draws.var(), 16.0, 0.4)

# %% [markdown]
# The gradients are right: they belong to the function that was written. It is the wrong function. Only its *meaning*, the mean and the
# variance of its draws, shows it. (`nv.examine` looks for such things in a whole model: its `sampling` check draws, and counts.)
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **2.1** (5 minutes) The backward pass of a dense layer: return `dx`, `dW`, `db`.
#
# <details><summary>Hint</summary>
#
# (2.2), (2.3), (2.4). In NumPy `@` is the matrix product, `W.T` the transpose. Check the shapes: dx (B, I), dW (I, O), db (O,).
# </details>

# %% tags=["exercise"]
def dense_backward(dy, x, W):
    ...    # your code


# %% tags=["solution"]
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


# %%
check.dense_backward(dense_backward)

# %% [markdown]
# **2.2** (5 minutes) A central difference of ReLU with step `h` is wrong where it straddles the kink. Return a boolean array like `a`: `True`
# where it is safe to compare.
#
# <details><summary>Hint</summary>
#
# It is wrong where $a - h < 0 < a + h$. Which is a condition on the absolute value of $a$.
# </details>

# %% tags=["exercise"]
def safe(a, h):
    ...    # your code


# %% tags=["solution"]
def safe(a, h):
    return np.abs(a) >= h


# %%
check.safe(safe)

# %% [markdown]
# **2.3** (10 minutes) The gradient by the complex step: `f` takes an array of shape (D,) and gives one number; `x` is such an array, of real
# numbers. Return the gradient, (D,). (The check's `f` adds a large constant, so that differences lose their digits.)
#
# <details><summary>Hint 1</summary>
#
# `x.astype(complex)` makes a copy that can hold an imaginary part. Go through its entries in a loop.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Add `1e-30j` to one entry, take `np.imag(f(...)) / 1e-30`, and put the entry back before the next one.
# </details>

# %% tags=["exercise"]
def complex_step_gradient(f, x):
    ...    # your code


# %% tags=["solution"]
def complex_step_gradient(f, x):
    gradient = np.zeros(len(x))
    for i in range(len(x)):
        moved = x.astype(complex)
        moved[i] += 1e-30j
        gradient[i] = np.imag(f(moved)) / 1e-30
    return gradient


# %%
check.complex_step_gradient(complex_step_gradient)

# %% [markdown]
# **2.4** (10 minutes) Name the three bugs in the picture above: a dictionary from 1, 2, 3 to one of `"no activation derivative"`,
# `"mean for sum"`, `"half of the batch"`, `"transpose"`, `"wrong sign"`.
#
# <details><summary>Hint 1</summary>
#
# Which of the five would still show with a batch of one row?
# </details>
#
# <details><summary>Hint 2</summary>
#
# The slope of tanh is below 1. In a batch of one row, whoever forgets it finds too much, by a factor that is the same for everything that
# belongs to one output.
# </details>

# %% tags=["exercise"]
bugs = ...    # your answer: {1: "...", 2: "...", 3: "..."}

# %% tags=["solution"]
bugs = {1: "half of the batch", 2: "no activation derivative", 3: "mean for sum"}

# %%
check.bugs(bugs)

# %% [markdown]
# **2.5** (5 minutes) Repair the sampling that no gradient check can see: `mu`, `logvar`, `eps` (B, Z) in, `z` out, with variance
# $e^{\mathtt{logvar}}$.
#
# <details><summary>Hint</summary>
#
# The noise is multiplied by the standard deviation: $\sigma = \sqrt{\sigma^2} = (e^{\mathtt{logvar}})^{1/2} = e^{\mathtt{logvar}/2}$.
# </details>

# %% tags=["exercise"]
def sample_z(mu, logvar, eps):
    ...    # your code


# %% tags=["solution"]
def sample_z(mu, logvar, eps):
    return mu + np.exp(0.5 * logvar) * eps


# %%
check.sample_z(sample_z)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Three sums, (2.2) to (2.4), are the whole backward pass of a dense layer. Ask of each number: which outputs does it change, and how much?
# - Smaller $h$ is not better, (2.8). The complex step has no such trade-off and gives all digits, *if* the function is analytic and its code
#   carries complex numbers to the end. If not, it gives 0, or a part of the slope, and says nothing.
# - Check at a random upstream gradient, at random weights where units are alive, with a tolerance near the last digit. A mistake can
#   still hide at a kink, in a dead unit, or where you did not look.
# - A right gradient of the wrong function passes every check.
#
# **Papers to read next.** William Squire and George Trapp, *Using Complex Variables to Estimate Derivatives of Real Functions* (1998): three pages,
# and the whole idea. Joaquim Martins, Peter Sturdza and Juan Alonso, *The Complex-Step Derivative Approximation* (2003): what to do
# about `abs`, `max` and their kind. Yoshua Bengio, *Practical Recommendations for Gradient-Based Training of Deep Architectures* (2012):
# its section on checking gradients.
#
# **Still wrong, and next.** All of this checks code, not models. What should a model of pictures say at all?
# That is [lesson 3](03_object_thickness_colour.ipynb).
