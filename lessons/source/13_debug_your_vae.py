# %% [markdown]
# # 13. Debug your VAE
#
# **The question.** What is wrong with mine?
#
# **After this lesson you can**
#
# - say from its curves and its pictures what a sick VAE probably has;
# - examine it, read the report line by line, and mend it;
# - wrap a VAE of your own, from whatever framework, so that it can be examined;
# - say what no such check can see.
#
# *You need:* lesson 2 (gradient checks), lesson 5 (the KL), lesson 7 (the five steps), lesson 10 (the β in a mean). The
# [refresher](00_refresher.ipynb) has the mathematics, the [glossary](00_glossary.ipynb) every symbol.
# *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson, patients
from numpyvae.course.common import black_and_white, shrink
from numpyvae.examination.explain import Fit
from numpyvae.examination.gradients import place_of_fault
from numpyvae.report.plots import BLUE, MUTED, ORANGE

lesson = Lesson(13, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# Any part can be sick: the pictures, the networks, the draw, the likelihood, the KL:

# %%
nv.plots.show_diagram("x", "encoder", "q(z|x)", "z", "decoder", "p(x|z)", "KL")

# %% [markdown]
# ## The waiting room
#
# Six patients. Each has the symptom of a VAE for which somebody asked for help in public:
#
# | | what they saw | where |
# |---|---|---|
# | A | whatever the code, the decoder paints the same picture | [keras #3373](https://github.com/keras-team/keras/issues/3373) |
# | B | a loss of 100 in one epoch, NaN in the next | [tensorflow-mnist-VAE #4](https://github.com/hwalsuklee/tensorflow-mnist-VAE/issues/4) |
# | C | the loss goes below zero and on and on; is that normal? | [Lasagne/Recipes #54](https://github.com/Lasagne/Recipes/issues/54), [mlpack #3601](https://github.com/mlpack/mlpack/issues/3601) |
# | D | grey pictures, from one version of the program to the next | [FluxML/model-zoo #289](https://github.com/FluxML/model-zoo/pull/289) |
# | E | nearly perfect reconstructions, but samples of noise; a loss of 60 where others have 90 to 100 | [vdvae #10](https://github.com/openai/vdvae/issues/10); [keras #4211](https://github.com/keras-team/keras/pull/4211) |
# | F | it trains, but never to the quality of the tutorial | [keras #4120](https://github.com/keras-team/keras/issues/4120) |
#
# For A to D and #4211 the thread names a cause, and our patient has the same. With vdvae #10 and keras #4120 our
# patients share the symptom, nothing more.
#
# **Predict first.** For how many of the six will a gradient check say that something is wrong?
#
# <details><summary>Answer</summary>
#
# For one, F. In the others the gradient is that of the loss; it is the loss, the data, the draw or the picture that is
# wrong, and a gradient check knows nothing of those. </details>

# %% [markdown]
# ## The derivation
#
# **Symbols.** $x$ is a picture of $D$ pixels, 0 or 1; $y_d$ the probability that pixel $d$ is 1. NLL, KL, $\beta$ as in
# lesson 10.
#
# ### Two marks on the curve
#
# *A decoder that knows nothing* gives every pixel $y_d = \frac12$. Each pixel costs $-\log\frac12 = 0.693$, so
#
# $$\text{NLL}_0 = D\log 2 \tag{13.1}$$
#
# *A decoder that ignores $z$* gives all pictures the same $y_d$. Let $m_d$ be the mean of pixel $d$ over the data. On
# average the pixel costs $-m_d\log y_d - (1-m_d)\log(1-y_d)$. The derivative with respect to $y_d$ is
# $-\frac{m_d}{y_d} + \frac{1-m_d}{1-y_d}$, and it is 0 at $y_d = m_d$. The best that it can do is the mean picture:
#
# $$\text{NLL}_1 = -\sum_d\big(m_d\log m_d + (1-m_d)\log(1-m_d)\big) \tag{13.2}$$
#
# A VAE whose NLL stays at this mark has not used $z$, whatever else its curve does.
#
# ### What a loss is made of, seen from outside
#
# `nv.examine` calls the VAE's functions; it does not read them. From what `encode` and `decode` return, it computes NLL
# and KL by the formulas of lessons 3 and 5, for many pictures and much noise, and fits
#
# $$\text{loss} = a\,\text{NLL} + b\,\text{KL} + c,\qquad \beta = \frac ba \tag{13.3}$$
#
# 1. Hold the picture, change the noise: $z$ moves, so the NLL does; the KL does not. That gives $a$.
# 2. Change the picture: the KL moves. That gives $b$ and $c$.
# 3. Do it with batches of two sizes. A sum over the batch grows with it, a mean does not.
# 4. If no $a$, $b$, $c$ fit, replace the formulas of the NLL and the KL by the classic wrong ones, until one of them
#    fits.
#
# ### Where a gradient goes wrong
#
# Number the arrays in the order of the data, $w_1, \dots, w_n$. The backward pass goes the other way: from the loss it
# comes to $w_n$ first and to $w_1$ last. A faulty step between $w_k$ and $w_{k+1}$ spoils what goes further back, and
# nothing that it has passed:
#
# $$w_1, \dots, w_k\ \text{wrong},\qquad w_{k+1}, \dots, w_n\ \text{right} \tag{13.4}$$
#
# So the last wrong array points at the faulty line. (Of $\mu$ and $\log\sigma^2$, a fault in one spares the other.)
#
# ## The code
#
# A fit of (13.3), and (13.4) in words, as they run in the package:

# %%
lesson.show(Fit, "13.3")

# %%
lesson.show(place_of_fault, "13.4")

# %% [markdown]
# ## The experiment
#
# **First the curves.** The patients are exhibits of the package's museum of bugs: small VAEs in plain NumPy, with
# $D = 196$ pixels. A healthy one is trained beside them.

# %%
brightness = shrink(lesson.images("train")[0][:4000])
pictures = black_and_white(brightness, seed=0)
ward = {name: patients.admit(name, pictures, seed=1) for name in patients.PATIENTS}
curves = {name: patients.train(vae, seed=2, epochs=20) for name, vae in ward.items()}

m = np.clip(pictures.mean(axis=0), 1e-12, 1 - 1e-12)    # a pixel that never changes costs nothing
knows_nothing, mean_picture = 196 * np.log(2), -np.sum(m * np.log(m) + (1 - m) * np.log(1 - m))    # (13.1), (13.2)

# %% tags=["hide-input"]
def show_ward(epochs):
    nv.plots.show_curves(patients.curve_panels(curves, mean_picture),
                         "Six panels, the loss of each patient over 20 epochs. A settles on the mark of the mean "
                         "picture. B stops with NaN. C falls far below zero. D lies on the healthy curve. E ends below "
                         "it. F stays above it.", "loss",
                         {"patient": ORANGE, "healthy": BLUE, "mean picture": MUTED}, epochs)


show_ward(20)
lesson.slider(show_ward, epochs=(1, 20))

# %% [markdown]
# A rests on the mark (13.2), which is divided by 196 here, as A's loss is a mean over pixels. C's loss has no floor:
# for a pixel of 2.5 a larger logit is always better. D trains as the healthy one does. E is the dangerous one: *its
# curve is the best of all.*

# %%
loss = {name: curve[-1] for name, curve in curves.items()}
claim("knows_nothing", knows_nothing, 135.9, 0.05)
claim("mean_picture", mean_picture, 47, 0.5, on="strokes")
holds("A ends within a nat of the mean picture", abs(196 * loss["A"] - mean_picture) < 1, on="strokes")
holds("B ends with NaN, and C below minus a million", np.isnan(loss["B"]) and loss["C"] < -1e6, on="strokes")
holds("D ends where the healthy one does", loss["D"] == loss["healthy"])
holds("E ends at least 5 nats below the healthy one, and F at least 1 nat above it",
      loss["E"] + 5 < loss["healthy"] < loss["F"] - 1, on="strokes")

# %% [markdown]
# **Then the pictures.** Left, reconstructions; right, samples: $z$ from the prior, painted by the patient's own
# `sample_x`.

# %% tags=["hide-input"]
z = np.random.default_rng(4).standard_normal((8, 8))
shown = {"pictures": pictures[:8].reshape(-1, 14, 14), "other pictures": pictures[8:16].reshape(-1, 14, 14)}
for name in ("healthy", "A", "D", "E", "F"):
    shown[f"{name}: reconstructions"] = patients.painted(ward[name], ward[name].encode(ward[name].x[:8])[0])
    shown[f"{name}: samples"] = patients.painted(ward[name], z)
nv.plots.show_rows(shown, "Six rows: eight reconstructions on the left, eight samples on the right. Healthy: soft "
                   "digits. A: the same grey blob sixteen times. D: digits in grey clouds. E: sharp reconstructions, "
                   "but samples of broken strokes. F: soft digits.", columns=8, across=2)

# %% [markdown]
# **The decision tree.** Curves and pictures together lead to the check that decides. Go down; the first "yes" names it:

# %%
nv.plots.show_symptom_tree()

# %% [markdown]
# That is a suspicion. Now the test, of the healthy VAE first:

# %%
def examined(vae, **more):
    return nv.examine(**{**vae.functions(), "x": vae.x[:12]}, **more, rng=np.random.default_rng(3))


print(examined(ward["healthy"]))

# %% [markdown]
# How to read it: `likelihood` gives $a$, $b$, $c$ of (13.3), `reduction` $\beta = b/a$ for two batch sizes and how each
# term is reduced, `kl` the closed form beside Monte Carlo. `sampling` compares mean and variance of drawn $z$ with
# $\mu$ and $\sigma^2$, `images` the mean of drawn pictures with the decoder's. `gradients` gives the largest error of
# all arrays. What was not given is "not checked". Now the six; of their reports only what says "wrong":

# %%
ward["B"] = patients.admit("B", pictures, seed=1)    # before training: examine need not wait for the NaN
reports = {name: examined(ward[name]) for name in "ABCDEF"}
for name, report in reports.items():
    print(f"patient {name}\n{patients.wrong_part(report)}\n")

# %%
holds("the healthy one has nothing wrong", examined(ward["healthy"]).ok)
holds("each patient has what the tree says, and nothing else", [report.wrong for report in reports.values()] == [
    ("reduction",), ("finite",), ("likelihood",), ("images",), ("sampling",), ("gradients",)])

# %% [markdown]
# F's evidence shows (13.4): the first two arrays are wrong and all others right. So the faulty step stands right after
# `encoder.b`: the encoder's sigmoid. And E's gradients are right, since forward and backward agree about the noise;
# they are those of another model. *A gradient check compares a gradient with a loss, whatever that loss is.*
#
# **Closer.** `nv.gradcheck.check` takes one of your own layers alone. The encoder's sigmoid, first with F's backward
# pass, then with the right one; $y$ is what the sigmoid put out:

# %%
def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def backward_of_F(dy, y):
    return dy * sigmoid(y) * (1 - sigmoid(y))    # the derivative of a sigmoid, given its output


def right_backward(dy, y):
    return dy * y * (1 - y)


layers = [nv.gradcheck.check((sigmoid, backward)) for backward in (backward_of_F, right_backward)]
print(*layers, sep="\n\n")
holds("F's step is wrong and the other right", not layers[0].ok and layers[1].ok)

# %% [markdown]
# ### The cures
#
# | | the sick line | the cure |
# |---|---|---|
# | A | `np.mean(nll(theta, x) / D) + np.mean(kl)` | no `/ D`: pixels add up |
# | B | `-x * np.log(y) - (1 - x) * np.log(1 - y)` | from the logit: exercise 13.2 |
# | C | `(x - x.mean()) / x.std()` for a Bernoulli | pixels in [0, 1], or a Gaussian likelihood |
# | D | `images = decode(z)` | `sigmoid(decode(z))` |
# | E | `mu + 0.01 * np.exp(logvar / 2) * eps` | no `0.01`: the KL means a standard deviation of 1 |
# | F | `dy * sigmoid(y) * (1 - sigmoid(y))` | `dy * y * (1 - y)` |
#
# After its cure each program is that of the healthy VAE. Examine again all the same: one disease can hide another.
#
# ### What no check sees
#
# `nv.examine` asks whether the program does what a VAE is meant to do, not whether that is a good idea. Four without a
# bug:

# %%
right = nv.museum.vae.TinyVAE
unwell = {
    "pixels divided by 255 twice": patients.trained(right, brightness / 255, seed=1),
    "one epoch": patients.trained(right, pictures, seed=1, epochs=1),
    "a code of one number": patients.trained(right, pictures, seed=1, units=(64, 1, 64)),
    "σ = 1 for pixels in [0, 1]": patients.trained(nv.museum.vae.GaussianVAE, brightness, seed=1)}
for name, vae in unwell.items():
    print(f"{name:30}", examined(vae).summary)
holds("examine finds nothing wrong in all four", all(examined(vae).ok for vae in unwell.values()))
twice, _, _, wide = unwell.values()
holds("divided twice, no pixel of a sample is above 0.1", twice.sample_x(z).max() < 0.1)
claim("kl_with_sigma_1", wide.kl(*wide.encode(wide.x[:500])).mean(), 0, 0.5)

# %% tags=["hide-input"]
shown = {"pictures": pictures[:8].reshape(-1, 14, 14)}
shown |= {name: patients.painted(vae, z[:, :vae.n_latent])
          for name, vae in {"healthy": ward["healthy"], **unwell}.items()}
nv.plots.show_rows(shown, "Six groups of eight: pictures, and samples of five VAEs. Healthy: soft digits. Divided "
                   "twice: black. One epoch: blobs in noise. A code of one number: noughts, ones and little else. σ = "
                   "1: the same grey blob eight times.", columns=8, across=3)

# %% [markdown]
# So look with your own eyes: at `x.min()`, `x.max()` and a picture, *as the model gets it*; at whether the curve still
# falls; at a code with more numbers; at the KL of each dimension (lesson 10).
#
# **"Not decided".** A loss that draws its own noise is known only up to that noise. If the draws run out before all
# else is excluded, `examine` says so. The same untrained VAE, with a loss that draws, and with `loss(x, eps)`:

# %%
drawing, given = (examined(kind(np.random.default_rng(5), pictures, patients.UNITS), draws=20_000)
                  for kind in (nv.museum.vae.DrawsItsNoise, right))
print(drawing.summary, drawing["reduction"].evidence, given.summary, sep="\n")
holds("with few draws of its own noise kl and reduction are not decided", {"kl", "reduction"} <= set(drawing.undecided))
holds("with loss(x, eps) as few draws decide everything", given.ok and not given.undecided)

# %% [markdown]
# What helps: `loss(x, eps)`; or training a little first, so that the KL differs between pictures; or more `draws`.
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **13.1** (10 minutes) Six exhibits of the museum, examined. You get what was measured; the line that names the mistake
# is torn off.

# %%
print(*patients.torn_reports().values(), sep="\n")

# %% [markdown]
# Name the diseases: a dictionary from the letter to one of `"KL summed over the batch"`, `"mean over pixels"`,
# `"constant noise"`, `"noise drawn twice"`, `"variance as standard deviation"`, `"wrong derivative in the encoder"`,
# `"missing relu mask"`, `"other loss reported"`, `"log of a probability"`, `"no probability"`.
#
# <details><summary>Hint</summary>
#
# For a, compare the two batch sizes. For c and f, (13.4) says where. For e, take logarithms. </details>

# %% tags=["exercise"]
diseases = ...    # your answer: {"a": "...", ..., "f": "..."}

# %% tags=["solution"]
diseases = {"a": "KL summed over the batch", "b": "constant noise", "c": "missing relu mask",
            "d": "no probability", "e": "variance as standard deviation", "f": "noise drawn twice"}

# %%
check.diseases(diseases)

# %% [markdown]
# **13.2** (10 minutes) Mend B. From logits `a` and pixels `x`, both $(B, D)$, return the NLL of each picture, $(B,)$,
# finite also for logits of ±1000.
#
# <details><summary>Hint</summary>
#
# Of one pixel it is $\log(1 + e^a) - x a$ (lesson 3). Only $e^a$ can overflow: for $a > 0$ take it out of the sum,
# which gives $\log(1 + e^a) = \max(a, 0) + \log(1 + e^{-|a|})$. </details>

# %% tags=["exercise"]
def mended_nll(a, x):
    ...    # your code


# %% tags=["solution"]
def mended_nll(a, x):
    return np.sum(np.maximum(a, 0) - x * a + np.log1p(np.exp(-np.abs(a))), axis=1)


# %%
check.mended_nll(mended_nll)

# %% [markdown]
# **13.3** (5 minutes) Mend a cousin of A. `pixel` $(B, D)$ has the NLL of each pixel. The sick line is
# `pixel.mean() - 0.5 * np.mean(1 + logvar - mu**2 - np.exp(logvar))`. Return the loss of a VAE with $\beta = 1$, a mean
# over the batch.
#
# <details><summary>Hint</summary>
#
# Sums over pixels and over latent dimensions, a mean over the batch; (10.2) says why. </details>

# %% tags=["exercise"]
def mended_loss(pixel, mu, logvar):
    ...    # your code


# %% tags=["solution"]
def mended_loss(pixel, mu, logvar):
    kl = 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)
    return np.mean(np.sum(pixel, axis=1) + kl)


# %%
check.mended_loss(mended_loss)

# %% [markdown]
# **13.4** (5 minutes) Mend a cousin of F, whose sick line is `dz = (dtheta @ W_output.T) @ W_hidden.T`. Forward it
# has `a = z @ W_hidden`, `r = np.maximum(a, 0)`, `theta = r @ W_output`. Given the gradient `dtheta`, return `dz`.
#
# <details><summary>Hint</summary>
#
# Backward through `W_output`, through the relu, through `W_hidden`. The sick line leaves out the second. </details>

# %% tags=["exercise"]
def mended_dz(dtheta, a, W_hidden, W_output):
    ...    # your code


# %% tags=["solution"]
def mended_dz(dtheta, a, W_hidden, W_output):
    dr = dtheta @ W_output.T
    return (dr * (a > 0)) @ W_hidden.T


# %%
check.mended_dz(mended_dz)

# %% [markdown]
# **13.5** (15 minutes) Write the wrapper for a VAE of somebody else, as you would for your own: what `nv.examine`
# expects (its help lists all), a dictionary with `"encode"`, `"sample_z"`, `"decode"`, `"loss"` and `"decodes_to"`.
# `sample_z` gets `mu, logvar, eps`, `loss` gets `x, eps`. Leave the stranger's faults as they are.

# %%
stranger = patients.Stranger()
print(patients.Stranger.__doc__)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `encode` returns a pair, $\mu$ and $\log\sigma^2$; `infer` puts out $\log\sigma$. The stranger has no `sample_z`:
# write what its `step` does with the noise, from `logvar`. The loss is one entry of what `step` returns. </details>

# %% tags=["exercise"]
wrapper = ...    # your answer: {"encode": ..., "sample_z": ..., "decode": ..., "loss": ..., "decodes_to": "..."}

# %% tags=["solution"]
def encode(x):
    mu, log_sigma = np.split(stranger.infer(x), 2, axis=1)
    return mu, 2 * log_sigma


wrapper = {"encode": encode, "sample_z": lambda mu, logvar, eps: mu + np.exp(logvar / 2) * eps,
           "decode": stranger.paint, "loss": lambda x, eps: stranger.step(x, eps)["total"],
           "decodes_to": "probabilities"}

# %%
check.wrapper(wrapper)

# %% [markdown]
# **13.6** (5 minutes) What does the stranger have? Examine it,
# `print(nv.examine(x=stranger.pictures, **wrapper, rng=np.random.default_rng(0)))`, and give two things: the name of
# the check that says "wrong", and the $\beta$ with which the stranger really trains.
#
# <details><summary>Hint</summary>
#
# If `sampling` says "wrong", it is the wrapper that is sick. The $\beta$ stands in the evidence. </details>

# %% tags=["exercise"]
found = ...    # your answer: ("...", ...)

# %% tags=["solution"]
report = nv.examine(x=stranger.pictures, **wrapper, rng=np.random.default_rng(0))
print(patients.wrong_part(report))
found = "reduction", 2

# %%
check.stranger(found)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Curve and pictures lead to a suspicion, and the suspicion to a check. Read its evidence before its advice.
# - A falling loss and a right gradient prove little: E had both, and the best curve of all.
# - A right program may be of no use. Look at the data, the epochs, the size of the code. "Not decided" is no pass.
#
# **Papers to read next.** Diederik Kingma and Max Welling, *An Introduction to Variational Autoencoders* (2019): the
# field in one text. Matthew Hoffman and Matthew Johnson, *ELBO surgery* (2016): codes that miss the prior. James Lucas
# and others, *Don't Blame the ELBO!* (2019): collapse without a bug. Calvin Luo, *Understanding Diffusion Models: A
# Unified Perspective* (2022): the road from here.
#
# **Still wrong, and a last word.** Even the healthy VAE paints soft digits: it averages over what its code does not
# say. Better priors, better posteriors and deeper codes came since; a diffusion model can be read as a deep VAE with a
# fixed encoder. You know what they build on: three distributions, two networks, one bound. You have derived every line,
# checked every gradient, and believed no number that was not measured. Keep the habit.
