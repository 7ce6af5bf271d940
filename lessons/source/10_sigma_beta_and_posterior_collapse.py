# %% [markdown]
# # 10. σ, β and posterior collapse
#
# **The question.** Why do latent dimensions die, and who did it?
#
# **After this lesson you can**
#
# - read the β that hides in a loss made of means and sums, and in a choice of σ;
# - predict from the eigenvalues of the data which latent dimensions die, and how many nats the others carry;
# - say what one nat of code buys, and read β off a curve as a slope;
# - choose a remedy for a collapsed VAE: which one mends the loss, and which one only hides the symptom.
#
# *You need:* lesson 5 (the KL), lesson 7 (the loss). Lesson 1 has the covariance of pictures; an *eigenvalue* of it is
# the variance of the pictures along one of its axes. The [refresher](00_refresher.ipynb) has the Gaussian, the
# [glossary](00_glossary.ipynb) every symbol. *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import functools

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.report.plots import BLUE, GREEN, INK, MUTED, ORANGE

lesson = Lesson(10, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about the blue parts: the noise σ that the decoder allows each pixel, the KL, and the code between
# them.

# %%
nv.plots.show_diagram("z", "p(x|z)", "KL")

# %% [markdown]
# ## The case
#
# *Posterior collapse*: the encoder gives every picture the same $q(z|x) = N(0, 1)$, the KL is 0, and the decoder, which
# learns nothing from $z$, paints the same grey blob for every picture. Here are five programs that people have asked
# for help with in public. Each has pictures of $D$ numbers and a code of $Z$.
#
# | | where | the pixels' part of the loss | the KL's part | $D$ | $Z$ |
# |---|---|---|---|---|---|
# | A | [keras #3383](https://github.com/keras-team/keras/pull/3383): "extremely small reconstruction loss" | Bernoulli NLL, mean over pixels | sum over dimensions | 784 | 2 |
# | B | [keras #3169](https://github.com/keras-team/keras/issues/3169) | Bernoulli NLL, mean over pixels | mean over dimensions | 784 | 2 |
# | C | [pytorch/examples #290](https://github.com/pytorch/examples/issues/290): "not properly scaled" | Bernoulli NLL, mean over pixels and images | sum over all, divided by batch size times 784 | 784 | 20 |
# | D | [WorldModels #12](https://github.com/AppliedDataSciencePartners/WorldModels/issues/12): a KL of 0.0000002 | 10 times the squared error, mean over pixels | mean over dimensions | 12288 | 32 |
# | E | [mlcolvar #188](https://github.com/luigibonati/mlcolvar/pull/188), mended with a β of 0.001 | squared error, mean over the numbers | sum over dimensions | $D$ | $Z$ |
#
# **Predict first.** One of the five is innocent: its loss is that of an ordinary VAE. Which one?
#
# <details><summary>Answer</summary>
#
# C. Both of its parts are divided by the same number, batch size times 784. The remedy proposed there, to divide the
# KL by batch size times 20 because $Z = 20$, would have made it guilty. The derivation says why.
# </details>

# %% [markdown]
# ## The derivation
#
# **Symbols.** $\beta$ is the weight of the KL, $\sigma^2$ the variance of the pixels' noise in $p(x|z)$. In this lesson
# $\sigma$ is the pixels', as in lesson 3. $r = x - m$ is the *residual*, what the decoder's mean $m$ leaves over, and
# $|r|^2$ the sum of its squares. All losses are averages over $q$ and over the pictures. The loss of a VAE is
#
# $$L(\beta) = \text{NLL} + \beta\,\text{KL} \tag{10.1}$$
#
# **The β in a reduction.** A program computes $a\,\text{NLL} + b\,\text{KL}$, where NLL is the *sum* over the pixels of
# one picture and KL the *sum* over the dimensions. A mean over pixels is $a = \frac1D$; a mean over dimensions is
# $b = \frac1Z$. Take $a$ out:
#
# $$a\,\text{NLL} + b\,\text{KL} = a\,\Big(\text{NLL} + \frac ba\,\text{KL}\Big),\qquad \beta = \frac ba \tag{10.2}$$
#
# A positive number in front of a loss moves no minimum. So such a program trains a VAE with $\beta = b/a$, whatever its
# author meant. Dividing by the batch size is harmless if *both* parts are divided.
#
# **The β in σ.** For the Gaussian of (3.3), with $s = \sigma^2$, write out the loss:
#
# $$L(\beta, s) = \frac{|r|^2}{2s} + \frac D2\log 2\pi s + \beta\,\text{KL}$$
#
# Now write out the loss of *another* VAE, which has $\beta = 1$ and the variance $\beta s$, and multiply it by $\beta$:
#
# $$\beta\,L(1, \beta s) = \frac{|r|^2}{2s} + \beta\,\frac D2\log 2\pi\beta s + \beta\,\text{KL}$$
#
# The first and the last term agree. The middle ones contain no weight of the networks. Therefore
#
# $$L(\beta, s) = \beta\,L(1, \beta s) + \frac D2\,\big(\log 2\pi s - \beta\log 2\pi\beta s\big) \tag{10.3}$$
#
# Both have the same minimum. $\beta$ and $\sigma^2$ are *one* knob: what counts is the product $\beta\sigma^2$. So a
# loss $a\,|r|^2 + b\,\text{KL}$, which has no σ at all, has one all the same. It is
# $2a\,\big(\frac{|r|^2}{2} + \frac b{2a}\text{KL}\big)$, that is,
#
# $$\beta\sigma^2 = \frac{b}{2a} \tag{10.4}$$

# %% [markdown]
# ### When does a dimension die?
#
# Take the simplest decoder, a straight line: $m = w z$ with one latent dimension. This is lesson 9's model, now with a
# β. Let the data be centred, and let $u$ be the direction, of length 1, in which $w = |w|\,u$ points. $\lambda$ is the
# variance of the data in this direction. First $\beta = 1$.
#
# *Step 1.* $x = wz + \sigma\eta$ is a sum of Gaussians, so $x$ is Gaussian. Along $u$ its variance is
# $c = |w|^2 + s$; in every other direction it is $s$, whatever $w$ is.
#
# *Step 2.* For this decoder the posterior is a Gaussian, and the encoder can put it out exactly. Then the gap is 0, and
# the loss is the mean of $-\log p(x)$. For a given $u$, the length $|w|$ enters only through the variance along $u$:
#
# $$\tfrac12\Big(\log c + \frac{\lambda}{c}\Big) + \text{const}$$
#
# *Step 3.* Its derivative with respect to $c$ is $\frac12\big(\frac1c - \frac{\lambda}{c^2}\big)$: negative below
# $c = \lambda$, positive above. So the best $c$ is $\lambda$, *if we may have it*: $c = |w|^2 + s$ is at least $s$. If
# $\lambda \le s$, the best is $c = s$, which means $w = 0$. By (10.3), for another $\beta$ put $\beta s$ for $s$:
#
# $$|w|^2 = \max(\lambda - \beta\sigma^2,\; 0) \tag{10.5}$$
#
# **A dimension dies where the variance that it could explain is at most $\beta\sigma^2$.** Nothing went wrong in
# training: this *is* the minimum of the loss.
#
# With $Z$ dimensions, let each take an axis of the data's covariance. The axes are at right angles, and along them
# $-\log p(x)$ is a sum of terms as in step 2, so the same holds for each of them. The best choice is the $Z$ axes with
# the largest eigenvalues, $\lambda_1 \ge \lambda_2 \ge \dots$ (that no other directions are better is Tipping and
# Bishop's theorem; below we check that the gradient is 0).
#
# *Step 4: what does a living one carry?* Let $t = \beta\sigma^2$, so $|w|^2 = \lambda - t$. As in step 3 we may take
# $\beta = 1$ and the variance $t$ for the pixels. Let $\xi = u^T x$ be the picture's place along $u$. Up to terms
# without $z$, the logarithm of the posterior is
#
# $$\log p(x|z) + \log p(z) = -\frac{(\xi - |w|z)^2}{2t} - \frac{z^2}2
# = -\tfrac12\,\frac{|w|^2 + t}{t}\,z^2 + \frac{|w|\,\xi}{t}\,z + \text{const}$$
#
# For a Gaussian, minus half of one over its variance stands before $z^2$, and its mean over its variance before $z$. So
# the variance of the posterior is $\frac t{|w|^2+t} = \frac t\lambda$, and its mean is $\mu = \frac{|w|\,\xi}\lambda$.
# The mean of $\mu^2$ over the pictures is $\frac{|w|^2}{\lambda^2}\,\lambda = 1 - \frac t\lambda$. Put both into (5.4):
#
# $$\text{KL}_j = \tfrac12\Big(1 - \frac t{\lambda_j} + \frac t{\lambda_j} - 1 - \log\frac t{\lambda_j}\Big)
# = \tfrac12\log\frac{\lambda_j}{\beta\sigma^2}\quad\text{if } \lambda_j > \beta\sigma^2,\text{ else } 0 \tag{10.6}$$

# %% [markdown]
# *Step 5: what is left over?* Along the axis of a living dimension the picture's place is $\xi$, with
# $\mathrm E\,\xi^2 = \lambda$. The residual is $\xi - |w|z$ with $z = \mu + \sqrt{t/\lambda}\,\varepsilon$. Its mean
# square is
#
# $$\lambda\Big(1 - \frac{|w|^2}\lambda\Big)^2 + |w|^2\frac t\lambda = \lambda\,\frac{t^2}{\lambda^2} +
# (\lambda - t)\frac t\lambda = \frac{t^2}\lambda + t - \frac{t^2}\lambda = t$$
#
# and along the axis of a dead one it is $\lambda$. So
#
# $$\mathrm E\,|r_j|^2 = \min(\lambda_j,\; \beta\sigma^2) \tag{10.7}$$
#
# Think of the eigenvalues as posts in a lake whose water stands at $\beta\sigma^2$. What is above the water goes
# through the code. What is under water is left to the noise. A post that is wholly under water has no dimension.

# %% [markdown]
# ### What one nat buys
#
# Call the mean KL the *rate* $R$ and the mean NLL the *distortion* $D_\text{NLL}$. The loss is $D_\text{NLL} + \beta
# R$. Train the same network with two weights $\beta_1 < \beta_2$, each to its minimum; the results are $(R_1, D_1)$ and
# $(R_2, D_2)$. Neither can do better at its own $\beta$ than the other:
#
# $$D_1 + \beta_1 R_1 \le D_2 + \beta_1 R_2,\qquad D_2 + \beta_2 R_2 \le D_1 + \beta_2 R_1$$
#
# The first says $D_2 - D_1 \ge \beta_1 (R_1 - R_2)$, the second $D_2 - D_1 \le \beta_2 (R_1 - R_2)$. Together, if
# $R_1 > R_2$,
#
# $$\beta_1 \;\le\; \frac{D_2 - D_1}{R_1 - R_2} \;\le\; \beta_2 \tag{10.8}$$
#
# On the curve of distortion against rate the slope between two models is minus something between their two $\beta$.
# Nothing linear was used: this holds for any VAE that was trained to its minimum. Let $\beta_2$ approach $\beta_1$: the
# slope is $-\beta$. **β is the price of a nat**: training buys nats of code as long as each saves at least $\beta$ nats
# of pixels.
#
# ### Three remedies
#
# **Let σ be learned.** Collect all pixels of all pictures; the NLL is $\frac{|r|^2}{2s} + \frac D2\log s$ and a
# constant. Its derivative with respect to $s$ is $-\frac{|r|^2}{2s^2} + \frac D{2s}$, which is 0 at
#
# $$\sigma^2 = \frac{\mathrm E\,|r|^2}{D} \tag{10.9}$$
#
# the mean square of the residual per pixel. Nobody has to choose it. In lesson 9 $\sigma$ was
# one more weight, the likelihood `"gaussian-shared"`, and the gradient led it to the same value. Here we set it by (10.9)
# after each epoch, which gets there in fewer steps.
#
# **Free bits.** Let the KL of a dimension, averaged over the batch, count no less than a minimum $\kappa$:
#
# $$L = \text{NLL} + \beta\sum_j\max\Big(\kappa,\; \frac1B\sum_b\text{KL}_{bj}\Big),\qquad
# \frac{\partial L}{\partial\,\text{KL}_{bj}} = \begin{cases}\beta/B & \text{if the average is above } \kappa\\
# 0 & \text{otherwise}\end{cases} \tag{10.10}$$
#
# Below $\kappa$ nothing pushes the dimension towards 0.
#
# **Warm-up.** Let $\beta$ grow from 0 to its value during the first epochs, so that the decoder learns to use the code
# while it is cheap. That changes the way to the minimum, not the minimum.

# %% [markdown]
# ## The code
#
# (10.3), (10.5) with the encoder that belongs to it, and (10.10), as they run in the package:

# %%
lesson.show(exact.same_loss_constant, "10.3")

# %%
lesson.show(exact.solve_linear_vae, "10.5")

# %%
lesson.show(nv.objectives.free_bits, "10.10")

# %% [markdown]
# ## The experiment
#
# ### The five suspects
#
# To find $a$ and $b$, give the loss one nat per picture of one kind, and none of the other. Each suspect gets `pixel`,
# what each pixel costs, of shape $(B, D)$, and `kl`, of shape $(B, Z)$. (A squared error of 2 is one nat at $\sigma =
# 1$, since the Gaussian has a half in front. So what comes out for D and E is $\beta\sigma^2$, as in (10.4).)

# %%
def hidden_beta(loss, D, Z, B=50):
    one_nat_of_pixels, one_nat_of_kl = np.full((B, D), 1 / D), np.full((B, Z), 1 / Z)
    a = loss(one_nat_of_pixels, 0 * one_nat_of_kl)
    b = loss(0 * one_nat_of_pixels, one_nat_of_kl)
    return b / a    # (10.2)


suspects = {
    "A": (lambda pixel, kl: pixel.mean() + kl.sum(axis=1).mean(), 784, 2),
    "B": (lambda pixel, kl: pixel.mean() + kl.mean(), 784, 2),
    "C": (lambda pixel, kl: pixel.mean() + kl.sum() / (len(kl) * 784), 784, 20),
    "D": (lambda pixel, kl: 10 * (2 * pixel).mean() + kl.mean(), 12288, 32),
    "E": (lambda pixel, kl: (2 * pixel).mean() + 0.001 * kl.sum(axis=1).mean(), 1000, 2)}    # for a D of 1000
found = {name: hidden_beta(*suspect) for name, suspect in suspects.items()}
remedy_of_C = hidden_beta(lambda pixel, kl: pixel.mean() + kl.mean(), 784, 20)
print("  ".join(f"{name}: {beta:g}" for name, beta in found.items()), f"  C, as it was to be mended: {remedy_of_C:g}")

# %%
claim("hidden_beta_of_A", found["A"], 784, 1e-9)
claim("hidden_beta_of_B", found["B"], 392, 1e-9)
claim("hidden_beta_of_C", found["C"], 1, 1e-9)
claim("hidden_beta_of_C_as_it_was_to_be_mended", remedy_of_C, 39.2, 1e-9)
claim("hidden_product_of_D", found["D"], 19.2, 1e-9)
claim("hidden_product_of_E", found["E"], 0.5, 1e-9)

# %% [markdown]
# The $\beta$ of A is 784, of B 392. D has $\beta\sigma^2 = 19.2$; we shall see how much that is. E without its 0.001
# has $\beta\sigma^2 = \frac D2$, which is 500 for a thousand numbers. The β of 0.001, which looks tiny, makes it 0.5.
#
# Now the crime, reconstructed. Pictures of 14 × 14 pixels, so $D = 196$; $Z = 8$; three reductions, each from five
# starts.

# %%
def brightness(images):
    return (images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255).astype(np.float32)


SEEDS = range(5)
pictures, test = brightness(lesson.images("train")[0][:4000]), brightness(lesson.images("test")[0][:1000])


# %%
def new_vae(seed, n_latent=8, hidden=(64,), activation="tanh", **kind):
    rng = np.random.default_rng(seed)
    return nv.VAE.dense(196, hidden, n_latent, activation=activation, rng=rng, **kind), rng


def train(vae, rng, epochs=8, batch_size=50, lr=2e-3, **how):
    for record in nv.fit(vae, pictures, optimizer=nv.Adam(lr), epochs=epochs, batch_size=batch_size, rng=rng, **how):
        pass
    return vae


def kl_of(vae, images=pictures):
    """The KL of each latent dimension, the largest first."""
    return np.sort(nv.evaluation.kl_per_dimension(*vae.encode(images)))[::-1]


# %%
REDUCTIONS = {"sum, sum": 1, "mean, mean": 196 / 8, "mean, sum": 196}
reduced = {name: [train(*new_vae(seed, beta=beta), epochs=6) for seed in SEEDS] for name, beta in REDUCTIONS.items()}
total = {name: np.array([kl_of(vae).sum() for vae in vaes]) for name, vaes in reduced.items()}
for name, kl in total.items():
    print(f"pixels, dimensions: {name:10}  β = {REDUCTIONS[name]:5.1f}   KL {np.round(kl, 3)}")
holds("with sums all five have a KL above 3 nats", min(total["sum, sum"]) > 3)
holds("with a mean over pixels all ten have a KL below 0.01 nats",
      max(*total["mean, mean"], *total["mean, sum"]) < 0.01)

# %% tags=["hide-input"]
shown = {"pictures": test[:14]}
shown |= {f"pixels, dimensions: {name} (β = {REDUCTIONS[name]:g})": vaes[0].reconstruct(test[:14])
          for name, vaes in reduced.items()}
nv.plots.show_rows({title: images.reshape(-1, 14, 14) for title, images in shown.items()},
                   "Four rows of fourteen pictures. Test digits; their reconstructions with sums, which are soft but "
                   "can be told apart; and with a mean over the pixels twice, where all fourteen are the same grey "
                   "blob.")

# %% [markdown]
# A mean over pixels kills all eight dimensions, whether the KL is a sum or a mean. The picture that it paints for
# everybody is the mean of all pictures.
#
# ### One knob, checked
#
# (10.3) for an untrained network with random weights, and several $\beta$ and $\sigma$; the gradients agree as well.

# %%
def loss_and_gradient(beta, sigma):
    vae, rng = new_vae(0, likelihood="gaussian", beta=beta, sigma=sigma, dtype=np.float64)
    loss = vae.loss_and_grad(pictures[:20], rng.standard_normal((20, 8))).loss
    return loss, vae.parameters.grads.copy()


for beta, sigma in ((0.1, 0.5), (4.0, 0.3), (50.0, 1.0)):
    loss, gradient = loss_and_gradient(beta, sigma)
    other, of_other = loss_and_gradient(1.0, np.sqrt(beta) * sigma)
    off = loss - beta * other - exact.same_loss_constant(196, beta, sigma)
    claim("one_knob_loss", off / abs(loss), 0, 1e-12)
    claim("one_knob_gradient", np.abs(gradient - beta * of_other).max() / np.abs(gradient).max(), 0, 1e-12)

# %% [markdown]
# ### Who dies, predicted
#
# The eigenvalues of our pictures say it all. The lake, at three levels; in a running notebook, move the water with the
# slider below.

# %%
eigenvalues = np.linalg.eigvalsh(np.cov(pictures.T.astype(np.float64), bias=True))[::-1]
print("the ten largest eigenvalues:", np.round(eigenvalues[:10], 2), " sum of all:", round(eigenvalues.sum(), 2))
claim("largest_eigenvalue", eigenvalues[0], 1.16, 0.01, on="strokes")
claim("sum_of_the_eigenvalues", eigenvalues.sum(), 9.37, 0.01, on="strokes")


def predicted_kl(level, Z=8):
    """(10.6), for the Z largest eigenvalues; the level is β σ²."""
    return 0.5 * np.log(np.maximum(eigenvalues[:Z] / level, 1))


def draw_lake(ax, level):
    posts, places = eigenvalues[:16], np.arange(1, 17)
    ax.bar(places, posts, color=BLUE)
    ax.bar(places, np.minimum(posts, level), color=MUTED)
    ax.axhline(level, color=INK, linewidth=1)
    ax.set(xlabel="axis", ylabel="variance λ", ylim=(0, 1.3))
    ax.set_title(f"β σ² = {level:.2f}: {np.sum(posts > level)} of 16 above water", fontsize=9)


# %%
nv.plots.strip(draw_lake, (0.12, 0.3, 0.75), "Three frames with sixteen bars, the eigenvalues, falling from 1.2 to "
               "0.1, and a level line, the water. At 0.12 all sixteen bars reach above it, at 0.3 eight, at 0.75 three."
               " The parts above the water are blue, those below grey.", size=(3.2, 2.6))

# %%
lesson.slider(lambda level: nv.plots.strip(draw_lake, [level], "eigenvalues and water", size=(6, 3)),
              level=(0.05, 1.3, 0.05))

# %% [markdown]
# **Predict first.** For a $\beta\sigma^2$ of 0.75 and $Z = 8$: how many of the eight dimensions live? And for 0.02?
#
# <details><summary>Answer</summary>
#
# Three eigenvalues are above 0.75, so three live and five die. Sixteen and more are above 0.02, so all eight live; a
# ninth dimension would live too, if there were one.
# </details>
#
# The 19.2 of suspect D is above the largest eigenvalue, 1.16, and even above the sum of all, 9.37: with these pictures
# every dimension would drown.
#
# First the *linear* model, in `float64`. `solve_linear_vae` sets the weights by (10.5). If that is the minimum, the
# gradient of the loss is 0 there. (`cubature` gives a few values of $\varepsilon$ over which the average of a linear
# model's loss is exact, so there is no noise.) And then its KL is (10.6), its mean square (10.7).

# %%
SIGMA, LEVELS = 0.3, (0.02, 0.05, 0.12, 0.3, 0.75)
points = exact.cubature(8)
rows, noise = np.repeat(pictures.astype(np.float64), 16, axis=0), np.tile(points, (len(pictures), 1))
for level in LEVELS:
    linear, _ = new_vae(0, hidden=(), likelihood="gaussian", sigma=SIGMA, beta=level / SIGMA**2, dtype=np.float64)
    exact.solve_linear_vae(linear, pictures)
    claim("kl_of_the_linear_model", np.abs(kl_of(linear) - predicted_kl(level)).max(), 0, 1e-9)
    if level in (0.05, 0.75):
        terms = linear.loss_and_grad(rows, noise)
        squares = 2 * SIGMA**2 * (terms.nll - 98 * np.log(2 * np.pi * SIGMA**2))
        expected = np.minimum(eigenvalues[:8], level).sum() + eigenvalues[8:].sum()
        claim("gradient_at_the_optimum", np.abs(linear.parameters.grads).max(), 0, 1e-9)
        claim("squares_of_the_linear_model", squares - expected, 0, 1e-9)

# %%
alive = [int(np.sum(predicted_kl(level) > 0)) for level in LEVELS]
print("alive of eight, predicted:", dict(zip(LEVELS, alive)))
claim("alive_at_0.75", alive[-1], 3, 0.1, on="strokes")
claim("alive_at_0.02", alive[0], 8, 0.1)

# %% [markdown]
# (10.5), (10.6) and (10.7) hold to nine digits. And a VAE that is *not* linear, with 64 tanh units on both sides?
# Nothing was proved about it. We train it from five starts at each of five levels.

# %%
bent = {level: [train(*new_vae(seed, likelihood="gaussian", sigma=SIGMA, beta=level / SIGMA**2)) for seed in SEEDS]
        for level in LEVELS}
bent_kl = {level: np.array([kl_of(vae) for vae in vaes]) for level, vaes in bent.items()}
for level in LEVELS:
    print(f"β σ² = {level:4}: predicted", predicted_kl(level).round(2),
          " trained", bent_kl[level].mean(axis=0).round(2))

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7.5, 3.6))
axis_of_levels = np.geomspace(0.015, 1.5, 300)
curves = np.array([predicted_kl(level) for level in axis_of_levels])
for j in range(8):
    ax.semilogx(axis_of_levels, curves[:, j], color=BLUE, linewidth=1)
    ax.axvline(eigenvalues[j], ymax=0.06, color=INK, linewidth=1)
for level in LEVELS:
    for kl in bent_kl[level]:
        ax.plot(np.full(8, level), kl, "o", color=ORANGE, markersize=3, alpha=0.6)
ax.set(xlabel="β σ²  (ticks above the axis: the eigenvalues)", ylabel="KL of a dimension, nats", ylim=(0, 2.4))
ax.set_title("A dimension switches off at its eigenvalue: lines linear, dots a network of tanh", fontsize=10)
nv.plots.show("KL per dimension against β σ² on a logarithmic axis. Eight straight lines fall side by side from about "
              "2 nats and reach 0 one after the other, each at the tick of its eigenvalue, between 0.3 and 1.2. The "
              "network's orange dots lie on or near the lines, a little above them at the left end.")

# %%
middle = [np.abs(bent_kl[level].mean(axis=0) - predicted_kl(level))[:6].max() for level in (0.12, 0.3, 0.75)]
sums = np.array([bent_kl[level].sum(axis=1) for level in LEVELS])
print("largest difference from the prediction, of the six strongest, at 0.12, 0.3, 0.75:", np.round(middle, 2))
claim("network_minus_prediction", max(middle), 0.06, 0.06, on="strokes")
holds("in all five networks the KL falls from each level to the next", np.all(np.diff(sums, axis=0) < 0))
holds("at 0.02 all five carry more nats than the linear model",
      np.all(sums[0] > predicted_kl(0.02).sum()), on="strokes")

# %% [markdown]
# From a $\beta\sigma^2$ of 0.12 on, the six strongest dimensions of the network carry what the linear model's do, to
# about a tenth of a nat: where nats are dear, it buys the same few. (The weakest two are learned late.) At 0.02 it buys
# more of them than the best linear model does, and gets more for them, as the next figure shows.

# %%
def rate_and_distortion(vae):
    terms = nv.evaluate_loss(vae, pictures, rng=np.random.default_rng(10))
    return terms.kl, terms.nll


def linear_curve(level):
    squares = np.minimum(eigenvalues[:8], level).sum() + eigenvalues[8:].sum()
    return predicted_kl(level).sum(), squares / (2 * SIGMA**2) + 98 * np.log(2 * np.pi * SIGMA**2)


for level in LEVELS:
    (more, low), (less, high) = linear_curve(0.999 * level), linear_curve(1.001 * level)
    claim("linear_slope_over_beta", (low - high) / (more - less) / (level / SIGMA**2), -1, 1e-5)

# %%
measured = np.array([[rate_and_distortion(vae) for vae in bent[level]] for level in LEVELS])    # level, seed, (R, D)
steps = np.diff(measured, axis=0)
slopes = steps[..., 1] / steps[..., 0]
betas = np.array(LEVELS) / SIGMA**2
for low, high, slope in zip(betas, betas[1:], slopes):
    print(f"between β = {low:.2f} and {high:.2f}: minus the slope is", np.round(-slope, 2))
holds("in all five networks each slope lies between the two β, with the minus sign",
      np.all((-slopes > betas[:-1, None]) & (-slopes < betas[1:, None])))

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.6))
ax.plot(*zip(*[linear_curve(level) for level in np.geomspace(0.012, 1.2, 200)]), color=BLUE, label="linear, exact")
ax.plot(measured[..., 0].ravel(), measured[..., 1].ravel(), "o", color=ORANGE, markersize=4, label="network of tanh")
for level, beta in zip(LEVELS, betas):
    rate, distortion = linear_curve(level)
    reach = np.array([-1.2, 1.2]) / np.sqrt(1 + (beta / 4)**2)
    ax.plot(rate + reach, distortion - beta * reach, color=INK, linewidth=1)
    ax.annotate(f"slope −{beta:.2g}", (rate, distortion), (8, 8), textcoords="offset points", fontsize=8)
ax.set(xlabel="rate: the KL, nats per picture", ylabel="distortion: the NLL, nats", xlim=(-0.5, 17))
ax.set_title("The first nats save the most; training stops buying where one saves β", fontsize=10)
ax.legend(frameon=False)
nv.plots.show("Distortion against rate. A blue curve falls steeply from the left and flattens to the right. Short "
              "black tangents at five points have slopes from −8.3 on the left to −0.22 on the right. The networks' "
              "orange dots lie on the curve, below it at the right end.")

# %% tags=["hide-input"]
shown = {"pictures": test[:14]}
shown |= {f"β σ² = {level:g}: {measured[i, 0, 0]:.1f} nats of code": bent[level][0].reconstruct(test[:14])
          for i, level in enumerate(LEVELS)}
nv.plots.show_rows({title: images.reshape(-1, 14, 14) for title, images in shown.items()},
                   "Six rows of fourteen pictures: test digits and their reconstructions at five levels. With 15 nats "
                   "of code the digits are soft and mostly right; with 7 they blur a little more; with less than 1 "
                   "nearly all are the same "
                   "smear.")

# %% [markdown]
# ### Not always the KL's fault
#
# Collapse is blamed on the KL. Take one number $x$, drawn by coin flip from $N(-1, 0.25^2)$ or $N(1, 0.25^2)$: surely
# worth a code that says which. $\beta = 1$, the same network twice; only the $\sigma$ of the decoder differs. The
# variance of all the data is $1 + 0.25^2 = 1.0625$.
#
# **Predict first.** What happens with $\sigma = 0.25$, and what with $\sigma^2 = 1.0625$?
#
# <details><summary>Answer</summary>
#
# $\lambda = 1.0625$ is far above $0.25^2$: the dimension lives. It is not above 1.0625: the dimension dies, with
# $\beta = 1$ and a right KL. The decoder's noise explains everything, so no code is needed.
# </details>

# %%
def of_two_gaussians(sigma, seed):
    rng = np.random.default_rng(seed)
    x, _ = nv.datasets.two_gaussians(4000, 0.25, rng=rng)
    vae = nv.VAE.dense(1, (32,), 1, "gaussian", "tanh", sigma=sigma, rng=rng)
    for record in nv.fit(vae, x, optimizer=nv.Adam(1e-2), epochs=8, batch_size=100, rng=rng):
        pass
    return record


narrow, wide = ([of_two_gaussians(sigma, seed) for seed in SEEDS] for sigma in (0.25, np.sqrt(1.0625)))
print("σ = 0.25: KL", [round(r.kl, 2) for r in narrow], "   σ² = 1.0625: KL", [round(r.kl, 3) for r in wide])
claim("kl_with_the_narrow_sigma", np.mean([r.kl for r in narrow]), 1.1, 0.15)
holds("with the wide σ all five have a KL below 0.1", max(r.kl for r in wide) < 0.1)
holds("the narrow σ has the lower loss in all five pairs", all(n.loss < w.loss for n, w in zip(narrow, wide)))

# %% [markdown]
# The KL did nothing wrong. The decoder was told that so much noise is normal.
#
# ### The remedies, measured
#
# **Patient 1** has $\sigma = 1$: that is what "squared error with a half in front, summed over the pixels" means. The
# largest eigenvalue of our pictures is hardly above 1. We measure on test pictures, with the $\beta$ of the ELBO, which
# is 1. A dimension counts as *active* if the mean of $q$ moves: its variance over the pictures is above 0.01.

# %%
def learn_sigma(vae, rng, epochs=5):
    """After each epoch σ is set by (10.9)."""
    for record in nv.fit(vae, pictures, optimizer=nv.Adam(2e-3), epochs=epochs, batch_size=50, rng=rng):
        mu, logvar = vae.encode(pictures)
        z = mu + np.exp(logvar / 2) * rng.standard_normal(mu.shape)
        vae.likelihood.sigma = float(np.sqrt(np.mean((pictures - vae.decode(z))**2)))
    return vae


def examined(vaes):
    """Rows: the loss on test pictures, the KL, the number of active dimensions; a column for each VAE."""
    terms = [nv.evaluate_loss(vae, test, rng=np.random.default_rng(11)) for vae in vaes]
    active = [nv.evaluation.active_units(vae.encode(test)[0]).sum() for vae in vaes]
    return np.array([[one.loss for one in terms], [one.kl for one in terms], active])


# %%
free = functools.partial(nv.objectives.free_bits, minimum=0.1)
wide_sigma = functools.partial(new_vae, likelihood="gaussian", sigma=1.0)
first = {"as it came": [train(*wide_sigma(seed), epochs=5) for seed in SEEDS],
         "warm-up": [train(*wide_sigma(seed), epochs=5, warmup=2) for seed in SEEDS],
         "free bits": [train(*wide_sigma(seed), epochs=5, objective=free) for seed in SEEDS],
         "learned σ": [learn_sigma(*wide_sigma(seed)) for seed in SEEDS]}

# %%
def report(patient):
    results = {name: examined(vaes) for name, vaes in patient.items()}
    for name, (loss, kl, active) in results.items():
        print(f"{name:10}  loss {loss.mean():7.1f}   KL {kl.mean():6.2f}   active {active.mean():4.1f} "
              f"({active.min():.0f} to {active.max():.0f})")
    return results


of_first = report(first)
sigmas = [vae.likelihood.sigma for vae in first["learned σ"]]
print("learned σ:", np.round(sigmas, 3))

# %%
came, warmed, freed, learned = (of_first[name] for name in first)
claim("loss_as_it_came", came[0].mean(), 185, 1, on="strokes")
claim("loss_with_learned_sigma", learned[0].mean(), -80, 12, on="strokes")
claim("learned_sigma", np.mean(sigmas), 0.145, 0.015, on="strokes")
holds("as it came and with warm-up all ten have a KL below 0.3 nats", max(*came[1], *warmed[1]) < 0.3, on="strokes")
holds("free bits make all eight dimensions active in all five, and all five losses higher",
      np.all(freed[2] == 8) and np.all(freed[0] > came[0]), on="strokes")
holds("a learned σ makes all eight active and lowers the loss by more than 200 nats in all five",
      np.all(learned[2] == 8) and np.all(learned[0] < came[0] - 200), on="strokes")

# %% [markdown]
# As it came, the VAE is as good as dead, at 185 nats. Warm-up does not help: the minimum itself is a collapsed one.
# Free bits make all eight dimensions "active", and the loss gets a little *worse*: they forbid the symptom. The learned
# $\sigma$ goes to about 0.145, and the loss to about −80 nats. (A density of grey pixels may be above 1, lesson 3.) By
# (10.3) the patient's $\sigma = 1$ was the same as a $\beta$ of $1/0.145^2$, about 50.
#
# **Patient 2** has a right loss: the Bernoulli likelihood has no $\sigma$, and $\beta = 1$. But it is deeper, learns
# fast, and some of its 16 dimensions fall asleep early: at first the decoder can do nothing with $z$, so the KL
# switches dimensions off, and then it is late.

# %%
deep = functools.partial(new_vae, n_latent=16, hidden=(100, 100), activation="relu")
fast = {"epochs": 10, "batch_size": 100, "lr": 4e-3}
second = {"as it came": [train(*deep(seed), **fast) for seed in SEEDS],
          "warm-up": [train(*deep(seed), **fast, warmup=5) for seed in SEEDS],
          "free bits": [train(*deep(seed), **fast, objective=free) for seed in SEEDS]}
of_second = report(second)
came, warmed, freed = (of_second[name] for name in second)
holds("on average over five models warm-up lowers the loss and raises the KL",
      warmed[0].mean() < came[0].mean() and warmed[1].mean() > came[1].mean(), on="strokes")
holds("free bits make all sixteen active in all five, with a higher loss than warm-up on average",
      np.all(freed[2] == 16) and freed[0].mean() > warmed[0].mean(), on="strokes")
claim("nats_saved_by_warm_up", np.mean(came[0] - warmed[0]), 0.75, 0.5, on="strokes")

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained")
for ax, results, title in zip(axes, (of_first, of_second), ("patient 1: σ = 1", "patient 2: deep and fast")):
    for row, (loss, _, active) in enumerate(results.values()):
        ax.plot(loss, np.full(5, row), "o", color=(MUTED, BLUE, GREEN, ORANGE)[row], alpha=0.7)
    names = [f"{name} ({active.mean():.0f} active)" for name, (_, _, active) in results.items()]
    ax.set_yticks(range(len(results)), names)
    ax.set(xlabel="loss on test pictures, nats", title=title, ylim=(len(results) - 0.5, -0.5))
fig.suptitle("A remedy must lower the loss, not only raise the KL; five models each", fontsize=10)
nv.plots.show("Two panels with five dots in each row, the losses. Patient 1: as it came, warm-up and free bits all "
              "near 185, a learned sigma far to the left near −80. Patient 2: on average warm-up lies about a nat to "
              "the left of as-it-came, free bits to the right of it.")

# %% [markdown]
# Here warm-up helps, by about a nat on average, with other seeds by half of that. Free bits again make all dimensions active and buy nothing with it.
# They have their use where a very strong decoder ignores $z$; on this patient, measure before you prescribe.
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **10.1** (5 minutes) Hidden β. `pixel` and `kl` are as above. Four programs compute
# (a) `pixel.mean() + kl.sum(axis=1).mean()`, (b) `pixel.mean() + kl.mean()`,
# (c) `pixel.sum(axis=1).mean() + kl.mean()`, (d) `pixel.sum() + kl.sum(axis=1).mean()`.
# Return the $\beta$ of each, four numbers, from `B`, `D` and `Z`.
#
# <details><summary>Hint</summary>
#
# (10.2): write each part as a number times "sum over the numbers of one picture, mean over pictures". In (d) the sum
# runs over the pictures too, so $a = B$.
# </details>

# %% tags=["exercise"]
def hidden_betas(B, D, Z):
    ...    # your code


# %% tags=["solution"]
def hidden_betas(B, D, Z):
    return D, D / Z, 1 / Z, 1 / B


# %%
check.hidden_betas(hidden_betas)

# %% [markdown]
# **10.2** (10 minutes) One knob. A Gaussian VAE with `n_data` pixels has `beta` and `sigma`. Return the `sigma` of the
# VAE with $\beta = 1$ that has the same minimum, and the constant of (10.3).
#
# <details><summary>Hint</summary>
#
# The other one's *variance* is $\beta\sigma^2$. The constant is $\frac D2\log 2\pi s - \beta\,\frac D2\log 2\pi\beta
# s$. </details>

# %% tags=["exercise"]
def same_vae(n_data, beta, sigma):
    ...    # your code


# %% tags=["solution"]
def same_vae(n_data, beta, sigma):
    s = sigma**2
    constant = n_data / 2 * (np.log(2 * np.pi * s) - beta * np.log(2 * np.pi * beta * s))
    return np.sqrt(beta) * sigma, constant


# %%
check.same_vae(same_vae)

# %% [markdown]
# **10.3** (10 minutes) Who dies? From the `eigenvalues` of the data, `beta` and `sigma`, return the KL of each
# dimension of the best linear VAE: 0 for the dead.
#
# <details><summary>Hint</summary>
#
# (10.6). `np.maximum(..., 1)` inside the logarithm makes the dead ones 0.
# </details>

# %% tags=["exercise"]
def kl_of_dimensions(eigenvalues, beta, sigma):
    ...    # your code


# %% tags=["solution"]
def kl_of_dimensions(eigenvalues, beta, sigma):
    return 0.5 * np.log(np.maximum(eigenvalues / (beta * sigma**2), 1))


# %%
check.kl_of_dimensions(kl_of_dimensions)

# %% [markdown]
# **10.4** (5 minutes) The best σ: from pictures `x` and the decoder's means `m`, both of shape $(N, D)$, return the one
# $\sigma$ that makes the NLL of all of them smallest.
#
# <details><summary>Hint</summary>
#
# (10.9) gives its square: a mean over all pixels of all pictures.
# </details>

# %% tags=["exercise"]
def best_sigma(x, m):
    ...    # your code


# %% tags=["solution"]
def best_sigma(x, m):
    return np.sqrt(np.mean((x - m)**2))


# %%
check.best_sigma(best_sigma)

# %% [markdown]
# **10.5** (10 minutes) Free bits, backward: from `kl` of shape $(B, Z)$, `minimum` and `beta`, return the gradient of
# the loss (10.10) for each entry of `kl`.
#
# <details><summary>Hint</summary>
#
# Take the mean over the batch first and compare *that* with the minimum: a whole column counts, or a whole column does
# not.
# </details>

# %% tags=["exercise"]
def free_bits_backward(kl, minimum, beta):
    ...    # your code


# %% tags=["solution"]
def free_bits_backward(kl, minimum, beta):
    counts = kl.mean(axis=0) > minimum
    return np.ones_like(kl) * counts * beta / len(kl)


# %%
check.free_bits_backward(free_bits_backward)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - $\beta$ and $\sigma^2$ are one knob, $\beta\sigma^2$. A mean where a sum belongs turns it by a factor of $D$.
# - In the linear model a dimension dies where its eigenvalue is at most $\beta\sigma^2$, and else carries
#   $\frac12\log\frac{\lambda}{\beta\sigma^2}$ nats. A small network followed the prediction closely.
# - $\beta$ is the price of a nat: minus the slope of distortion against rate.
# - Look first for a wrong $\beta\sigma^2$; learn σ. Warm-up helps where dimensions die early by accident. Free bits
#   raise the KL by decree: watch the loss.
#
# **Papers to read next.** James Lucas and others, *Don't Blame the ELBO!* (2019): collapse in the linear VAE. Oleh
# Rybkin, Kostas Daniilidis and Sergey Levine, *Simple and Effective VAE Training with Calibrated Decoders* (2021): the
# learned σ. Alexander Alemi and others, *Fixing a Broken ELBO* (2018): rate and distortion. Irina Higgins and others,
# *beta-VAE* (2017): β on purpose. Diederik Kingma and others, *Improved Variational Inference with Inverse
# Autoregressive Flow* (2016), appendix C.8: free bits. Samuel Bowman and others, *Generating Sentences from a
# Continuous Space* (2016): warm-up.
#
# **Still wrong, and next.** All our networks were dense: they do not know that a picture has neighbours, and nobody can
# ask for a particular digit. The five steps never said what a network must be. Lesson 11 puts others in.
