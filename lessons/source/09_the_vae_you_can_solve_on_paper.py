# %% [markdown]
# # 9. The VAE you can solve on paper
#
# **The question.** Has training found the best model there is?
#
# **After this lesson you can**
#
# - write down the best linear VAE for your data, with its $\sigma$ and its loss, before training anything;
# - use it as a test: a training loop that is right comes within a millionth of a nat;
# - say what fixes the latent axes, which $\log p(x)$ does not see, and what a wrong choice of them costs;
# - measure the angle between two subspaces.
#
# *You need:* lesson 4 (the gap, the best diagonal $q$), lesson 5 (the KL); lesson 1 has the covariance of pictures. The
# [refresher](00_refresher.ipynb) has the Gaussian and its covariance, the [glossary](00_glossary.ipynb) every symbol.
# *Time:* 60 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import dataclasses
import functools

import numpy as np

import numpyvae as nv
from numpyvae import exact
from numpyvae.course import Lesson
from numpyvae.course.common import angles_to, beside, draw_convergence, draw_turned
from numpyvae.nn.layers import SharedLogvar

lesson = Lesson(9, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about all parts: each of them is known exactly.

# %%
nv.plots.show_diagram(*nv.plots.DIAGRAM)

# %% [markdown]
# ## The derivation
#
# **Symbols.** A picture $x$ is a row of $D$ numbers, a code $z$ a row of $Z$. The decoder is one dense layer without an
# activation, and the noise of the pixels has one $\sigma$:
#
# $$x = zW + b + \sigma\eta,\qquad z \sim N(0, I),\quad \eta \sim N(0, I) \tag{9.1}$$
#
# Row $j$ of $W$ is a picture, $W_j$: what dimension $j$ paints. $V$ is the covariance matrix of the pictures. An
# *eigenvector* of it is a row $u$ of length 1 with $uV = \lambda u$; the *eigenvalue* $\lambda$ is the variance of the
# pictures along $u$. A covariance matrix has $D$ of them at right angles, the *principal axes* $u_1, u_2, \dots$ with
# $\lambda_1 \ge \lambda_2 \ge \dots$ This model is called *probabilistic PCA*.
#
# **The density.** $x$ is a sum of Gaussians, so it is Gaussian. Its mean is $b$. Its covariance is the average of
# $(zW + \sigma\eta)^T(zW + \sigma\eta)$. The average of $z^Tz$ is $I$, that of $\eta^T\eta$ too, and $z$ and $\eta$ are
# independent, so the mixed terms vanish:
#
# $$p(x) = N(x;\, b,\, C),\qquad C = W^TW + \sigma^2 I \tag{9.2}$$
#
# No integral is left to do. As in lesson 4,
# $\log p(x) = -\frac12\big(D\log 2\pi + \log\det C + (x-b)\,C^{-1}(x-b)^T\big)$. Take $b$ to be the mean picture. The
# average of the last term over the pictures is $\mathrm{tr}(C^{-1}V)$, as before (4.5):
#
# $$\mathrm E\log p(x) = -\tfrac12\big(D\log 2\pi + \log\det C + \mathrm{tr}(C^{-1}V)\big) \tag{9.3}$$

# %% [markdown]
# **The best $W$.** Let $W$ have its rows along the first $Z$ principal axes. Then $C$ has the same axes as $V$. Call
# its variances along them $c_j$; for $j > Z$ there is nothing but noise, $c_j = \sigma^2$. A determinant is the product
# of such variances and a trace a sum along the axes, so (9.3) falls into one term for each:
#
# $$\mathrm E\log p(x) = -\tfrac12\sum_{j=1}^D\Big(\log 2\pi + \log c_j + \frac{\lambda_j}{c_j}\Big) \tag{9.4}$$
#
# The derivative of $\log c + \lambda/c$ is $\frac1c - \frac\lambda{c^2}$, which is 0 at $c = \lambda$. So for $j \le Z$
# the best is $c_j = |W_j|^2 + \sigma^2 = \lambda_j$. The others share one number: the derivative of
# $(D-Z)\log\sigma^2 + \frac1{\sigma^2}\sum_{j>Z}\lambda_j$ with respect to $\sigma^2$ is 0 where
#
# $$\sigma^2 = \frac1{D-Z}\sum_{j>Z}\lambda_j,\qquad W_j = \sqrt{\lambda_j - \sigma^2}\;u_j \tag{9.5}$$
#
# **$\sigma^2$ is the mean of the discarded eigenvalues.** Put both into (9.4). The fractions add up to
# $Z + (D - Z) = D$:
#
# $$\mathrm E\log p(x) = -\tfrac12\Big(D\log 2\pi + D + \sum_{j\le Z}\log\lambda_j + (D-Z)\log\sigma^2\Big) \tag{9.6}$$
#
# That no $W$ of another form is better is the theorem of Tipping and Bishop; the experiment tries some.
#
# **The posterior.** Write $M = WW^T + \sigma^2 I$. Up to terms without $z$,
#
# $$\begin{aligned}\log p(x|z) + \log p(z) &= -\frac{|x-b-zW|^2}{2\sigma^2} - \frac{|z|^2}2 \\
# &= -\frac1{2\sigma^2}\,zMz^T + \frac1{\sigma^2}\,(x-b)W^Tz^T + \dots\end{aligned}$$
#
# A Gaussian with mean $\mu$ and covariance $S$ has $-\frac12 zS^{-1}z^T + \mu S^{-1}z^T$ there. So
# $S^{-1} = M/\sigma^2$, and $\mu M = (x-b)W^T$:
#
# $$p(z|x) = N(\mu,\, \sigma^2M^{-1}),\qquad \mu = (x-b)\,W^TM^{-1} \tag{9.7}$$
#
# $\mu$ is linear in $x$ and the covariance does not depend on $x$: an encoder of one dense layer can say both. With
# (9.5) the rows of $W$ are at right angles, so $M$ is diagonal, and a *diagonal* $q$ is exact. Then the gap is 0: the
# ELBO of this VAE **is** $\log p(x)$.

# %% [markdown]
# ### What fixes the axes?
#
# Turn the code: put $RW$ in place of $W$, where $R$ is a rotation, $R^TR = I$. Then $(RW)^TRW = W^TW$, so $C$ is the
# same, and with it $p(x)$ for *every* picture. The density cannot tell the axes.
#
# But $M$ becomes $RMR^T$, which need not be diagonal, and $q$ is. By (4.6) its best variances are
# $1/(S^{-1})_{jj} = \sigma^2/M_{jj}$, and (4.7) says what is lost, with $\sigma^2M^{-1}$ for the $C$ there; $\sigma^2$
# cancels:
#
# $$\text{gap} = \tfrac12\Big(\sum_j\log M_{jj} - \log\det M\Big) \tag{9.8}$$
#
# For two rows turned by an angle $\alpha$, whose $M$ was $\mathrm{diag}(\lambda_1, \lambda_2)$, the diagonal becomes
# $\lambda_1\cos^2\alpha + \lambda_2\sin^2\alpha$ and $\lambda_1\sin^2\alpha + \lambda_2\cos^2\alpha$. Their product is
# $\lambda_1\lambda_2 + (\lambda_1-\lambda_2)^2\cos^2\alpha\,\sin^2\alpha$, the determinant stays $\lambda_1\lambda_2$,
# and $\cos\alpha\sin\alpha = \frac12\sin 2\alpha$:
#
# $$\text{gap} = \tfrac12\log\Big(1 + \frac{(\lambda_1-\lambda_2)^2}{4\lambda_1\lambda_2}\sin^2 2\alpha\Big) \tag{9.9}$$
#
# It is 0 for $\alpha = 0$ and for 90°, where the rows have changed places, and positive between. So the ELBO is best
# where the rows are the principal axes. That is the KL's work, and it is weak: for equal eigenvalues (9.9) is 0 for all
# angles.
#
# ### Let σ be learned, and measure an angle
#
# With $s = \log\sigma^2$, the NLL of a picture is $\frac12\big(D\log 2\pi + Ds + |r|^2e^{-s}\big)$, where $r$ is what
# the decoder's mean leaves of $x$. Its derivative is
#
# $$\frac{\partial\,\text{NLL}}{\partial s} = \tfrac12\Big(D - \frac{|r|^2}{\sigma^2}\Big) \tag{9.10}$$
#
# On average it is 0 where $\sigma^2$ is the mean square of the residual, $\mathrm E|r|^2/D$. That agrees with (9.5):
# the residual has the mean square $\lambda_j$ along a discarded axis, and $\sigma^2$ along a kept one (lesson 10 shows
# it).
#
# Two subspaces, spanned by the rows of $A$ and of $B$: QR gives $Q_A$ and $Q_B$, whose columns have length 1, are at
# right angles, and span the same. Unit vectors in them are $Q_As$ and $Q_Bt$ with $|s| = |t| = 1$. The cosine of their
# angle is $s^TQ_A^TQ_Bt$. The largest that can be is the largest singular value of $Q_A^TQ_B$. At right angles to those
# $s$ and $t$, the largest is the next one, and so on:
#
# $$\cos\theta_i = \text{the } i\text{-th singular value of } Q_A^TQ_B \tag{9.11}$$
#
# These are the *principal angles*. All are 0 if the subspaces are the same.

# %% [markdown]
# ## The code
#
# (9.5), the learned $\sigma$, a layer with one weight at the decoder's end, and (9.11), as they run in the package:

# %%
lesson.show(exact.probabilistic_pca, "9.5")

# %%
lesson.show(SharedLogvar, "9.10")

# %%
lesson.show(exact.principal_angles, "9.11")

# %% [markdown]
# ## The experiment
#
# ### The answer, before training
#
# Pictures of 7 × 7 pixels, of which we keep those that vary; four latent dimensions.

# %%
small = lesson.images("train")[0].reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49) / 255
varies = small.std(axis=0) > 0.01
pictures = small[:, varies]
D, Z = pictures.shape[1], 4
solution = exact.probabilistic_pca(pictures, Z)
eigenvalues, optimum = solution.eigenvalues, solution.optimum
print(f"D = {D}; the largest eigenvalues: {np.round(eigenvalues[:6], 3)}; σ² = {solution.sigma**2:.5f}; "
      f"the best mean log p(x): {optimum:.6f} nats")

# %% [markdown]
# ### Training meets it
#
# The VAE starts at random, three times, and learns everything, $\sigma$ too. Two kinds of noise would blur the last
# digits, so we take both out. *The draws:* the loss of a linear decoder is quadratic in $\varepsilon$, so its average
# over $2Z$ chosen values, `cubature`, is the expectation, exactly. *The batches:* (9.3) knows the pictures by their
# mean and covariance alone. So $2D$ points with the same mean and covariance will do, and each step takes them all.

# %%
points = solution.mean + exact.cubature(D) @ np.linalg.cholesky(np.cov(pictures.T, bias=True)).T
claim("optimum_of_the_points", exact.probabilistic_pca(points, Z).optimum - optimum, 0, 1e-8)
rng, others = np.random.default_rng(0), []
for _ in range(1000):
    W = solution.W + rng.choice([1e-3, 0.03]) * rng.standard_normal((Z, D))
    other = dataclasses.replace(solution, W=W, sigma=solution.sigma * np.exp(0.01 * rng.standard_normal()))
    others.append(other.log_likelihood(points).mean())
holds("each of 1000 other W and σ, drawn around the best, is worse", max(others) < optimum)

# %%
noise = exact.cubature(Z)
rows, eps = np.repeat(points, len(noise), axis=0), np.tile(noise, (len(points), 1))
STEPS = 8000
LOOK = sorted({0, STEPS, *np.geomspace(1, STEPS, 60).astype(int)})


def train(model, *batch):
    """Adam with a long memory and smaller and smaller steps.  The loss and W, before each of the steps in LOOK."""
    adam, seen = nv.Adam(beta1=0.99, beta2=0.99), {}
    for step in range(STEPS + 1):
        adam.lr = 0.02 * 3e-3**(step / STEPS)
        loss = model.loss_and_grad(*batch).loss
        if step in LOOK:
            seen[step] = loss, model.parameters["decoder.0.W"].copy()
        adam.step(model.parameters)
    return seen


# %%
vaes = [nv.VAE.dense(D, (), Z, "gaussian-shared", rng=np.random.default_rng(seed), dtype=np.float64)
        for seed in (1, 2, 3)]
runs = [train(vae, rows, eps) for vae in vaes]
lacks = np.array([[loss for loss, _ in seen.values()] for seen in runs]) + optimum
learned = np.array([np.exp(vae.parameters["decoder.1.logvar"][0]) for vae in vaes])
print(f"the loss lacks {lacks[:, 0].round()} nats at first, {lacks[:, -1].max():.0e} or less at the end\n"
      f"learned σ²: {learned.round(7)}, the mean of the discarded eigenvalues: {eigenvalues[Z:].mean():.7f}")
holds("all three end within a millionth of a nat of the closed form", lacks[:, -1].max() < 1e-6, on="strokes")
holds("on the way none is ever below it", lacks.min() > -1e-9)
claim("learned_variance_over_the_mean_discarded", np.mean(learned / eigenvalues[Z:].mean()), 1, 1e-4, on="strokes")
claim("on_all_pictures_in_millionths", 1e6 * (exact.linear_loss(vaes[0], pictures) + optimum), 0, 1, on="strokes")

# %% [markdown]
# The ELBO reaches $\log p(x)$ and stops there. It is not always loose: here the gap is 0.
#
# ### The plane fast, the axes slowly
#
# **Predict first.** Two things have to be learned: which four-dimensional subspace the pictures lie near, and which
# axes in it. (9.9) knows the price of wrong axes. Which of the two is found first? (We take the largest angle (9.11)
# for the one, and for the other the angle of an axis to the nearest row of $W$.)
#
# <details><summary>Answer</summary>
#
# The subspace. To miss it costs $\log p(x)$; to miss the axes costs only the gap, and little for like eigenvalues.
# </details>

# %%
found = np.array([[angles_to(solution.W, W) for _, W in seen.values()] for seen in runs])
of_subspace, of_axes = found.transpose(2, 0, 1)
steps = np.array(list(runs[0]))
first = np.array([[steps[min(np.flatnonzero(run > 5)[-1] + 1, len(steps) - 1)] for run in of_one]
                  for of_one in (of_subspace, of_axes)])
print(f"within five degrees for good: the subspaces after {first[0]} steps, the axes after {first[1]}")
holds("in each run the axes come later, and on average they take more than twice as many steps",
      np.all(first[1] > first[0]) and first[1].mean() > 2 * first[0].mean(), on="strokes")
holds("when the subspace is within five degrees, in each run some axis is still off by more than ten",
      all(run[steps == at] > 10 for run, at in zip(of_axes, first[0])), on="strokes")

# %% tags=["hide-input"]
draw_convergence(steps, lacks, {"the subspace": of_subspace, "the axes in it": of_axes})
nv.plots.show("Two panels against the step. Left: the loss falls from tens of nats above the optimum to a billionth. "
              "Right: the subspace's angle falls below five degrees first, that of the axes one to two thousand "
              "steps later.")

# %% tags=["hide-input"]
def drawn(W):
    """The rows of W beside the axes that they are nearest to, as pictures in which grey is 0."""
    whole = np.zeros((Z, 49))
    whole[:, varies] = beside(W, solution.W)
    return 0.5 + 0.5 * (whole / np.abs(whole).max(axis=1, keepdims=True)).reshape(Z, 7, 7)


frames = {"start": 0, f"subspace found, axes not: step {first[0, 0]}": first[0, 0], f"end: step {STEPS}": STEPS}
nv.plots.show_rows({title: drawn(runs[0][step][1]) for title, step in frames.items()} | {"exact": drawn(solution.W)},
                   "Four groups of four pictures, the rows of W: noise at the start; blots, mixtures of the axes, when "
                   "the subspace is found; at the end the same as the exact answer.", columns=Z, across=2)

# %% [markdown]
# ### Turn it
#
# Take the exact answer, now with sixteen dimensions, whose eigenvalues are less alike, and turn its first and last row
# by $\alpha$. The decoder becomes $RW$, the encoder the best that a diagonal $q$ allows.

# %%
wide = exact.probabilistic_pca(points, 16)
wide_vae = nv.VAE.dense(D, (), 16, "gaussian", sigma=wide.sigma, rng=np.random.default_rng(0), dtype=np.float64)
exact.solve_linear_vae(wide_vae, points)
pair = eigenvalues[[0, 15]]


def turned(alpha):
    """log p(x), the ELBO and (9.8), after the first and the last row of W are turned by alpha."""
    R = np.eye(16)
    R[np.ix_([0, -1], [0, -1])] = [[np.cos(alpha), -np.sin(alpha)], [np.sin(alpha), np.cos(alpha)]]
    W, weights = R @ wide.W, wide_vae.parameters
    M = W @ W.T + wide.sigma**2 * np.eye(16)
    weights["decoder.0.W"][:], weights["mu_head.W"][:] = W, W.T @ np.linalg.inv(M)    # (9.7)
    weights["mu_head.b"][:] = -wide.mean @ weights["mu_head.W"]
    weights["logvar_head.b"][:] = np.log(wide.sigma**2 / np.diag(M))                  # (4.6)
    log_p = dataclasses.replace(wide, W=W).log_likelihood(points).mean()
    return log_p, -exact.linear_loss(wide_vae, points), 0.5 * (np.log(np.diag(M)).sum() - np.linalg.slogdet(M)[1])


# %%
turns = np.radians(np.arange(0, 181, 5))
log_p, elbo, gap = np.array([turned(alpha) for alpha in turns]).T
by_9_9 = 0.5 * np.log(1 + np.diff(pair)**2 / (4 * pair.prod()) * np.sin(2 * turns)**2)
claim("change_of_log_p", np.ptp(log_p), 0, 1e-9)
claim("elbo_plus_gap_minus_log_p", np.abs(elbo + gap - log_p).max(), 0, 1e-9)
claim("the_two_formulas_of_the_gap", np.abs(gap - by_9_9).max(), 0, 1e-9)
claim("gap_at_45_degrees", gap[9], 0.64, 0.01, on="strokes")

# %% tags=["hide-input"]
draw = functools.partial(draw_turned, variances=wide.sigma**2 / pair)
nv.plots.strip(draw, (0, 20, 45), "Three frames with two ellipses. Unturned, the orange q lies on the blue posterior. "
               "Turned by 20 and by 45 degrees the posterior is a slanted ellipse, and the upright q crosses it, far "
               "too short along it.", size=(3, 3))

# %%
lesson.slider(lambda degrees: nv.plots.strip(draw, [degrees], "the posterior and the best q", size=(4, 4)),
              degrees=(0, 90, 5))

# %% [markdown]
# $\log p(x)$ has not moved, to nine decimals. The ELBO has lost exactly lesson 4's gap, 0.64 nats at 45°.
#
# ### A linear autoencoder
#
# **Predict first.** A plain autoencoder with the same two layers has no KL. Trained on the same points, does it find
# the subspace? The axes?
#
# <details><summary>Answer</summary>
#
# The subspace, since that has the smallest squared error. Not the axes: any $W$ with the same span, together with the
# encoder that undoes it, reconstructs as well.
# </details>

# %%
autoencoder = nv.Autoencoder.dense(D, (), Z, "gaussian", rng=np.random.default_rng(3), dtype=np.float64)
plain = train(autoencoder, points)
squares = 2 * (plain[STEPS][0] - D / 2 * np.log(2 * np.pi))
subspace, axes = angles_to(solution.W, plain[STEPS][1])
print(f"squared error {squares:.6f}, the discarded eigenvalues {eigenvalues[Z:].sum():.6f}; "
      f"angles: subspace {subspace:.2g}°, axes {axes:.0f}°")
claim("squared_error_over_the_discarded", squares / eigenvalues[Z:].sum(), 1, 1e-4, on="strokes")
holds("the autoencoder finds the subspace to a degree, and is off by more than ten in some axis",
      subspace < 1 and axes > 10, on="strokes")

# %% [markdown]
# ## Exercises
#
# **9.1** (15 minutes) The best linear VAE: from the `eigenvalues` of the data, largest first, and `n_latent` return
# the best $\sigma^2$ and the mean $\log p(x)$ that is reached with it.
#
# <details><summary>Hint</summary>
#
# (9.5) and (9.6). `eigenvalues[n_latent:]` are the discarded ones; $D$ is the number of all.
# </details>

# %% tags=["exercise"]
def best_linear_vae(eigenvalues, n_latent):
    ...    # your code


# %% tags=["solution"]
def best_linear_vae(eigenvalues, n_latent):
    D, variance = len(eigenvalues), np.mean(eigenvalues[n_latent:])
    log_det = np.sum(np.log(eigenvalues[:n_latent])) + (D - n_latent) * np.log(variance)
    return variance, -0.5 * (D * np.log(2 * np.pi) + log_det + D)


# %%
check.best_linear_vae(best_linear_vae)

# %% [markdown]
# **9.2** (10 minutes) The exact encoder: from `x` $(N, D)$, the `mean` picture, `W` $(Z, D)$ and `sigma` return $\mu$
# $(N, Z)$ and the covariance of $p(z|x)$, $(Z, Z)$. The rows of `W` are *not* at right angles here.
#
# <details><summary>Hint</summary>
#
# (9.7). $M$ is $(Z, Z)$: `W @ W.T`, and $\sigma^2$ on the diagonal, `np.eye(len(W))`.
# </details>

# %% tags=["exercise"]
def linear_posterior(x, mean, W, sigma):
    ...    # your code


# %% tags=["solution"]
def linear_posterior(x, mean, W, sigma):
    M_inverse = np.linalg.inv(W @ W.T + sigma**2 * np.eye(len(W)))
    return (x - mean) @ W.T @ M_inverse, sigma**2 * M_inverse


# %%
check.linear_posterior(linear_posterior)

# %% [markdown]
# **9.3** (10 minutes) What a turn costs: `W` has two rows at right angles. Turn it by `angle`, in radians, and return
# the gap of the best diagonal $q$.
#
# <details><summary>Hint</summary>
#
# $R = \begin{pmatrix}\cos\alpha&-\sin\alpha\\ \sin\alpha&\cos\alpha\end{pmatrix}$, $M = RW(RW)^T + \sigma^2I$, and
# (9.8).
# </details>

# %% tags=["exercise"]
def turned_gap(W, sigma, angle):
    ...    # your code


# %% tags=["solution"]
def turned_gap(W, sigma, angle):
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    M = R @ W @ W.T @ R.T + sigma**2 * np.eye(2)
    return 0.5 * (np.sum(np.log(np.diag(M))) - np.log(np.linalg.det(M)))


# %%
check.turned_gap(turned_gap)

# %% [markdown]
# **9.4** (10 minutes) The largest angle, in degrees, between the subspaces that the rows of `A` and of `B` span.
#
# <details><summary>Hint</summary>
#
# (9.11). `np.linalg.qr(A.T)[0]` is $Q_A$; `np.linalg.svd(..., compute_uv=False)` gives singular values, falling. The
# largest angle has the smallest cosine.
# </details>

# %% tags=["exercise"]
def largest_angle(A, B):
    ...    # your code


# %% tags=["solution"]
def largest_angle(A, B):
    Q_A, Q_B = np.linalg.qr(A.T)[0], np.linalg.qr(B.T)[0]
    cosines = np.linalg.svd(Q_A.T @ Q_B, compute_uv=False)
    return np.degrees(np.arccos(cosines[-1]))


# %%
check.largest_angle(largest_angle)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - The best linear VAE is known in closed form, and training reached it to a millionth of a nat. If yours does not,
#   there is a bug: this is a test that needs no second implementation.
# - $\sigma^2$ is the mean of the discarded eigenvalues, (9.5). It can be learned like any other weight.
# - $\log p(x)$ fixes the subspace. Only the gap of a diagonal $q$ fixes the axes, and it pulls weakly: they come late.
#
# **Papers to read next.** Michael Tipping and Christopher Bishop, *Probabilistic Principal Component Analysis* (1999).
# James Lucas and others, *Don't Blame the ELBO!* (2019): the linear VAE. Xuchan Bao and others, *Regularized Linear
# Autoencoders Recover the Principal Components, Eventually* (2020): why the axes are slow.
#
# **Still wrong, and next.** The best $\sigma$ was easy to have, and most people choose another. What happens to the
# dimensions whose eigenvalue is below its square? They die: that is lesson 10.
