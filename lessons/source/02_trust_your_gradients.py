# %% [markdown]
# # 2. Trust your gradients
#
# **The question.** You have written a backward pass by hand. How do you know that it is right?
#
# *You need:* the chain rule, NumPy. *Time:* 50 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional.activations import tanh_backward
from numpyvae.functional.affine import affine_backward
from numpyvae.report.plots import BLUE, GREEN, INK, ORANGE

lesson = Lesson(2, DATA)
claim, check = lesson.claim, lesson.check
rng = np.random.default_rng(2)

# %% [markdown]
# ## The derivation
#
# **Symbols.** A dense layer takes a batch `x` of shape (B, I): $B$ rows, $I$ inputs. It has weights `W` (I, O) and a bias
# `b` (O,). It gives `y` (B, O). Some loss $L$, one number, is computed from `y` later. We write `dy` for the array of all
# $\partial L/\partial y_{bo}$; it has the shape of `y`. It comes from the layer above and is called the *upstream gradient*.
# We want `dx`, `dW` and `db`.
#
# $$y_{bo} = \sum_i x_{bi} W_{io} + b_o \tag{2.1}$$
#
# **dx.** Change $x_{bi}$ a little. Every $y_{bo}$ of the same row $b$ changes, by $W_{io}$ times as much. The chain rule adds up
# the effects:
#
# $$dx_{bi} = \sum_o dy_{bo} W_{io}\qquad\text{that is}\qquad dx = dy\,W^T \tag{2.2}$$
#
# **dW.** Change $W_{io}$. In every row $b$ the output $y_{bo}$ changes, by $x_{bi}$ times as much:
#
# $$dW_{io} = \sum_b x_{bi}\, dy_{bo}\qquad\text{that is}\qquad dW = x^T dy \tag{2.3}$$
#
# **db.** The bias is added to every row, once:
#
# $$db_o = \sum_b dy_{bo} \tag{2.4}$$

# %% [markdown]
# **An activation** works on each number by itself: $y = f(a)$, so $da = dy\, f'(a)$. For tanh the slope can be written from
# the *output*: $\tanh' = 1 - \tanh^2$, so
#
# $$da = dy\,(1 - y^2) \tag{2.5}$$
#
# That saves keeping $a$. It is also where many bugs come from: it is right for tanh's output $y$ and for nothing else.

# %% [markdown]
# ### How to check: two numerical derivatives
#
# Take one entry, call it $x$, and everything else as fixed. $L$ is then a function $f(x)$ of one number. Taylor's series says
# $f(x \pm h) = f \pm h f' + \tfrac{h^2}{2} f'' \pm \tfrac{h^3}{6} f''' + \dots$
#
# **Central differences.** Subtract the two series and divide by $2h$:
#
# $$\frac{f(x+h) - f(x-h)}{2h} = f' + \tfrac{h^2}{6} f''' + \dots \tag{2.6}$$
#
# The *truncation error* falls with $h^2$. But a computer keeps 16 digits of $f$. The subtraction of two nearly equal numbers
# leaves an error of about $10^{-16}|f|$, which is then divided by $2h$. This *round-off error* grows as $h$ falls. The sum of
# both is smallest near $h \approx (10^{-16})^{1/3}$, about $10^{-5}$.
#
# **The complex step.** Put an imaginary step $ih$ into the series, with $i^2 = -1$:
# $f(x + ih) = f + ih f' - \tfrac{h^2}{2} f'' - \tfrac{ih^3}{6} f''' + \dots$ Its imaginary part, divided by $h$, is
#
# $$\frac{\mathrm{Im}\, f(x + ih)}{h} = f' - \tfrac{h^2}{6} f''' + \dots \tag{2.7}$$
#
# Nothing is subtracted. So $h$ may be $10^{-30}$, and the truncation error is gone too.

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
# A function whose derivative we know: $f(x) = e^x \sin x$, with $f' = e^x(\sin x + \cos x)$. Compare three numerical derivatives
# over all $h$. (The forward difference $(f(x+h) - f(x))/h$ is the one in many books.)

# %%
def errors(h, x=1.3):
    def f(x):
        return np.exp(x) * np.sin(x)
    truth = np.exp(x) * (np.sin(x) + np.cos(x))
    forward = (f(x + h) - f(x)) / h
    central = (f(x + h) - f(x - h)) / (2 * h)
    complex_step = f(x + 1j * h).imag / h
    return [np.maximum(abs(d / truth - 1), 1e-17) for d in (forward, central, complex_step)]


# %%
def draw_errors(x=1.3):
    h = np.logspace(-1, -20, 300)
    fig, ax = plt.subplots(figsize=(7, 3.6))
    for error, color, name in zip(errors(h, x), (ORANGE, BLUE, GREEN), ("forward", "central", "complex step")):
        ax.loglog(h, error, color=color, label=name)
    ax.set(xlabel="step h", ylabel="relative error", ylim=(1e-18, 10), xlim=(1e-1, 1e-20))
    ax.set_title("Differences make a V; the complex step reaches the last digit and stays there", fontsize=10)
    ax.legend(frameon=False)
    plt.show()


draw_errors()

# %% [markdown]
# Read it from left to right: $h$ gets *smaller*. Both differences first get better and then worse. "Smaller is better" is false.
# Move the point $x$: the V stays.

# %%
lesson.slider(draw_errors, x=(0.2, 2.0, 0.1))

# %%
def typical_error(h):
    return np.median(errors(h * np.linspace(0.5, 2, 101))[1])


for h, log10 in ((1e-2, -4.4), (1e-5, -10.9), (1e-9, -7.3), (1e-12, -4.4)):
    claim("central_error_log10", np.log10(typical_error(h)), log10, 0.7)
claim("complex_step_error", errors(1e-30)[2], 0.0, 5e-16)

# %% [markdown]
# Central differences are off by about $10^{-4.4}$ at $h = 10^{-2}$, by $10^{-10.9}$ at $10^{-5}$, by $10^{-7.3}$ at $10^{-9}$ and by
# $10^{-4.4}$ again at $10^{-12}$. The best step is near $10^{-5}$. The complex step at $10^{-30}$ has all digits.
#
# ### A real network
#
# Check a whole VAE on real pictures: 784-30-5, with the complex step, at 300 weights picked at random.

# %%
def check_vae():
    x = lesson.images("test")[0][:3].reshape(3, -1) / 255
    vae = nv.VAE.dense(784, (30,), 5, activation="tanh", rng=np.random.default_rng(0), dtype=np.float64)
    eps = np.random.default_rng(1).standard_normal((3, 5))
    vae.loss_and_grad(x, eps)
    analytic, proof = vae.parameters.grads.copy(), vae.astype(np.complex128)
    places = np.random.default_rng(2).permutation(len(analytic))[:300]
    numeric = np.empty(300)
    for i, place in enumerate(places):
        proof.parameters.values[place] += 1e-30j
        numeric[i] = proof.loss(x, eps).imag / 1e-30
        proof.parameters.values[place] = vae.parameters.values[place]
    return np.abs(analytic[places] - numeric).max() / np.abs(numeric).max()


claim("worst_error_in_a_vae", check_vae(), 0.0, 1e-12)

# %% [markdown]
# ### An all-ones upstream gradient is not enough
#
# To check a layer, its many outputs are made one number: $L = \sum dy \cdot y$ with some fixed `dy`. Many people take `dy = 1`.
# Here is a layer that subtracts each row's mean, and a backward pass that is utterly wrong: it returns zeros.

# %%
def centre(x):
    return x - x.mean(axis=1, keepdims=True)


def wrong_centre_backward(dy):
    return np.zeros_like(dy)


def error_of_check(dy):
    x = np.random.default_rng(3).standard_normal(dy.shape) + 0j
    numeric = nv.gradcheck.differentiate(lambda: np.sum(dy * centre(x)), x, "complex-step")
    return np.abs(wrong_centre_backward(dy) - numeric).max()


ones, random = error_of_check(np.ones((4, 7))), error_of_check(rng.standard_normal((4, 7)))
print(f"with ones: {ones:.1e}, with random numbers: {random:.2f}")
claim("error_seen_with_ones", ones, 0.0, 1e-12)
claim("error_seen_with_random_numbers_is_large", float(random > 0.5), 1, 0)

# %% [markdown]
# The rows of $y$ sum to zero whatever $x$ is. So with ones $L$ is always 0, and zeros are the right answer *to that question*.
# A random `dy` asks the question that training will ask.
#
# ### One per cent is not close
#
# Weight decay adds $\tfrac{\lambda}{2}\sum W^2$ to a loss, and $\lambda W$ to its gradient. Forget it, and look at the error.

# %%
x, W, dy = rng.standard_normal((4, 7)), rng.standard_normal((7, 5)) + 0j, rng.standard_normal((4, 5))
decay = 1e-3
numeric = nv.gradcheck.differentiate(
    lambda: np.sum(dy * np.tanh(x @ W)) + decay / 2 * np.sum(W**2), W, "complex-step")
forgotten = x.T @ (dy * (1 - np.tanh(x @ W.real)**2))
error = np.abs(forgotten - numeric).max() / np.abs(numeric).max()
print(f"relative error {error:.1e}: passes 1e-2, fails 1e-7 and 1e-12")
claim("forgotten_term_log10", np.log10(error), -3.0, 0.5)

# %% [markdown]
# A forgotten term is wrong by 100 % of itself. Beside larger terms it is about $10^{-3}$ of the whole. A tolerance of
# $10^{-2}$ lets it pass; the complex step's $10^{-12}$ does not.
#
# ### Three planted bugs
#
# A layer $y = \tanh(xW + b)$ and three wrong backward passes. Each picture shows the error of every entry of `dW` and,
# below it, `db`. The pattern tells what is wrong.

# %%
x, W, b = rng.standard_normal((6, 7)), rng.standard_normal((7, 5)), rng.standard_normal(5)
dy = rng.standard_normal((6, 5))
y = np.tanh(x @ W + b)
da = dy * (1 - y**2)


def bug_1():
    return x.T @ dy, da.sum(axis=0)


def bug_2():
    return x.T @ da, da.mean(axis=0)


def bug_3():
    return x[:3].T @ da[:3], da.sum(axis=0)


# %%
right = np.vstack([x.T @ da, da.sum(axis=0)])
fig, axes = plt.subplots(1, 3, figsize=(8.5, 3.4), layout="constrained")
for ax, bug in zip(axes, (bug_1, bug_2, bug_3)):
    dW, db = bug()
    error = np.abs(np.vstack([dW, db]) - right)
    shown = ax.imshow(np.where(error > 1e-12, error, np.nan), cmap="viridis", vmin=0)
    ax.axhline(6.5, color=INK)
    ax.set(title=bug.__name__, xlabel="output o", ylabel="input i of dW; last row: db")
    fig.colorbar(shown, ax=ax, shrink=0.7, label="|error|")
plt.show()

# %% [markdown]
# White is right, colour is wrong. Exercise 2.3 asks you to name the three.
#
# ### One bug that no gradient check can see
#
# This VAE from the package's museum of bugs samples with $e^{\log\sigma^2}$ in place of $\sigma$. Its backward pass
# differentiates that faithfully. An examination of the whole model says:

# %%
exhibit = next(e for e in nv.museum.EXHIBITS if e.name == "variance-as-sigma")
report = nv.examine(**exhibit.functions(np.random.default_rng(0)), rng=np.random.default_rng(0))
for name in ("gradients", "sampling"):
    print(f"{name}: {report[name].verdict}. {report[name].evidence}\n")

# %%
claim("checks_that_fail", len(report.wrong), 1, 0)
claim("the_gradient_check_passes", float(report["gradients"].verdict == "ok"), 1, 0)

# %% [markdown]
# The gradients are right: they belong to the function that was written. It is the wrong function. Only its *meaning*, the mean and
# the variance of the samples, shows it.
#
# ## Exercises
#
# **2.1** The backward pass of a dense layer: return `dx`, `dW`, `db`.

# %% tags=["exercise"]
def dense_backward(dy, x, W):
    ...    # your code


# %% tags=["solution"]
def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


# %%
check.dense_backward(dense_backward)

# %% [markdown]
# **2.2** ReLU, $\max(a, 0)$, has a kink at 0. A central difference with step $h$ is wrong where it straddles the kink. Return a
# boolean array: `True` where it is safe to compare.

# %% tags=["exercise"]
def safe(a, h):
    ...    # your code


# %% tags=["solution"]
def safe(a, h):
    return np.abs(a) >= h


# %%
check.safe(safe)

# %% [markdown]
# **2.3** Name the three bugs above: a dictionary from 1, 2, 3 to one of `"no activation derivative"`, `"mean for sum"`,
# `"half of the batch"`, `"transpose"`, `"wrong sign"`.

# %% tags=["exercise"]
bugs = ...    # your answer: {1: "...", 2: "...", 3: "..."}

# %% tags=["solution"]
bugs = {1: "no activation derivative", 2: "mean for sum", 3: "half of the batch"}

# %%
check.bugs(bugs)

# %% [markdown]
# **2.4** Repair the sampling that no gradient check can see: `mu`, `logvar`, `eps` (B, Z) in, `z` out, with variance
# $e^{\mathtt{logvar}}$.

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
# - Three sums, (2.2) to (2.4), are the whole backward pass of a dense layer.
# - Smaller $h$ is not better. The complex step has no such trade and gives all digits.
# - Random upstream gradients, distinct sizes, and a tolerance near the last digit: then a wrong gradient cannot hide.
# - A right gradient of the wrong function passes every check.
#
# Still wrong: all of this proves code, not models. What should a model of pictures say at all? That is lesson 3.
