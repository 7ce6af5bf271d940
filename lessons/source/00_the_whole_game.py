# %% [markdown]
# # 0. The whole game
#
# **The question.** Show a machine ten thousand drawings of digits. Can it dream up new ones?
#
# **After this lesson you can**
#
# - train a variational autoencoder (VAE) and let it dream, in ten lines;
# - walk through its latent plane, and foretell what a walk shows;
# - say which lesson explains which part.
#
# *You need:* a little Python. *Time:* 15 minutes. *Runs in:* under a minute.
#
# Nothing is explained yet: first play the whole game once. The words are in the [glossary](00_glossary.ipynb), the mathematics that
# the lessons use is in the [refresher](00_refresher.ipynb).

# %%
DATA = "strokes"        # or "mnist"
SEED = 0

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson

lesson = Lesson(0, DATA)
check = lesson.check

# %% [markdown]
# ## The model
#
# A VAE has two networks. The *encoder* looks at a picture $x$ and puts out where it belongs in a space of a few numbers, the *latent
# space*. The *decoder* takes a point $z$ of that space and paints a picture. We take two numbers, so the latent space is a plane, and we
# can look at all of it.

# %%
nv.plots.show_diagram(*nv.plots.DIAGRAM)

# %% [markdown]
# The course takes it apart, one part at a time. Each lesson shows this diagram with its own part lit.
#
# | lesson | its question | parts |
# |---|---|---|
# | [1](01_why_cant_an_autoencoder_dream.ipynb) | Encoder and decoder alone rebuild pictures well. Why can they not dream? | encoder, z, decoder |
# | [2](02_trust_your_gradients.ipynb) | Training follows gradients, written by hand here. How do we know that they are right? | encoder, decoder |
# | [3](03_object_thickness_colour.ipynb) | What is a latent variable, and how likely is a picture? | p(z), z, decoder, p(x\|z) |
# | [4](04_guessing_z_from_x.ipynb) | Which z belongs to a picture? | x, encoder, q(z\|x) |
# | [5](05_the_kl_three_ways_and_a_misprint.ipynb) | What keeps all codes together, near 0? | q(z\|x), KL, p(z) |
# | [6](06_differentiating_through_a_dice_roll.ipynb) | z is drawn by lot. How does a gradient pass that? | q(z\|x), z |
# | [7](07_the_five_steps.ipynb) | What happens to one picture, number by number? | all |

# %% [markdown]
# ## The data
#
# `strokes` are digits drawn by a program: pictures of 28 × 28 grey pixels, so 784 numbers each. We show the machine the pictures, never
# the labels, which say what digit each is.

# %%
images, labels = lesson.images("train")
n = lesson.size(10000, in_browser=6000)     # a browser multiplies matrices slowly
images, labels = images[:n], labels[:n]
x = images.reshape(n, 784) / 255            # from 0, black, to 1, white
x = x.astype(np.float32)

# %% tags=["hide-input"]
nv.plots.show_rows({"": images[:28]}, "Twenty-eight small pictures of handwritten-looking digits, white on black.")

# %% [markdown]
# ## Train
#
# Two networks with one hidden layer of 256 numbers each (64 in a browser), a plane between them, and twelve rounds (*epochs*) through the pictures. The
# *loss* is what training makes small. It has two parts: what the rebuilt picture lacks, and the KL, what the codes cost.

# %%
rng = np.random.default_rng(SEED)
vae = nv.VAE.dense(784, (lesson.size(256, in_browser=64),), 2, rng=rng)
records = []
for record in nv.fit(vae, x, optimizer=nv.Adam(2e-3), epochs=12,
                     batch_size=lesson.size(100, in_browser=25), rng=rng):
    records.append(record)
    print(f"epoch {record.epoch}: loss {record.loss:.1f} nats per picture")

# %%
losses = np.array([record.loss for record in records])
lesson.holds("the loss falls in every epoch", np.all(np.diff(losses) < 0))

# %% [markdown]
# ## Dream
#
# That is all. Now the encoder may rest. Draw $z$ from the standard normal distribution $N(0, I)$, and decode.

# %%
z = rng.standard_normal((28, 2))
dreams = vae.decode(z)

# %% tags=["hide-input"]
nv.plots.show_rows({"": dreams}, "Twenty-eight decoded draws. Many are digits, a little blurred; others are something between two digits.")

# %% [markdown]
# Many are digits, a little soft; others are something between two digits. Did the machine only learn pictures by heart? For each dream, look for the
# training picture nearest to it: the one with the smallest mean squared difference of the pixels.

# %%
differences = np.array([np.mean((x - dream)**2, axis=1) for dream in dreams])
nearest = np.argmin(differences, axis=1)
of_blank = np.mean(x**2)
lesson.holds("no dream is a copy of a training picture", differences.min() > 0.02 * of_blank)

# %% tags=["hide-input"]
nv.plots.show_rows({"dreams": dreams[:14], "the training pictures nearest to them": x[nearest[:14]]},
                   "Two rows of fourteen pictures: dreams above, and below each its nearest training picture: alike, and not "
                   "the same. The dreams are softer.")

# %% [markdown]
# ## The experiment: a walk through the latent plane
#
# Each point of the plane has a picture. Here is the plane, decoded at 12 × 12 points. Neighbours look alike.

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(5.6, 5.6))
nv.plots.latent_grid(vae, 12, ax=ax)
nv.plots.show("The latent plane as a grid of twelve by twelve decoded pictures. Pictures of the same digit lie together, and at "
              "the borders one digit turns gradually into the next.")

# %% [markdown]
# In a running notebook, walk with the two sliders. (On a page where nothing moves, read the grid: right is larger `z[0]`, up is larger
# `z[1]`.)

# %%
def draw_at(ax, point):
    nv.plots.image_grid(vae.decode(np.array([point], dtype=np.float32)), ax)
    ax.set_title(f"z = ({point[0]:.1f}, {point[1]:.1f})", fontsize=10)


lesson.slider(lambda right, up: nv.plots.strip(draw_at, [(right, up)], "the picture at this z", size=(2.4, 2.6)),
              right=(-2.5, 2.5, 0.1), up=(-2.5, 2.5, 0.1))

# %% [markdown]
# Five frames of a walk from left to right, along the middle of the plane:

# %%
nv.plots.strip(draw_at, [(-2.0, 0.0), (-1.0, 0.0), (0.0, 0.0), (1.0, 0.0), (2.0, 0.0)],
               "Five decoded pictures along the line from z = (-2, 0) to (2, 0), one digit turning into another.", size=(1.5, 1.8))

# %% [markdown]
# ## Exercises
#
# **0.1** (5 minutes) **Predict first.** Four walks, of nine frames each. What will each of them show? (Each name is used at most once.)
#
# - **a** Stand still: the same $z$ is decoded nine times.
# - **b** Nine tiny steps in one direction, 0.02 in all.
# - **c** Nine equal steps from the code of a 1 to the code of a 0.
# - **d** Nine equal steps straight outward, from the middle to $z = (40, 40)$, where no code has ever been.
#
# The names: `"the same picture"`, `"hardly a change"`, `"one digit melts into the other"`, `"one digit jumps to the other"`,
# `"two digits overlaid"` (one fades in while the other fades out), `"hard edges"` (no grey any more), `"grains"` (noise, pixel by pixel).
#
# <details><summary>Hint</summary>
#
# The decoder is a function made of sums and products. Is there any chance in it? Can it jump? Does it average *pictures*, or *codes*? And
# what do sums and products do with very large numbers?
# </details>

# %% tags=["exercise"]
walks = ...    # your answer: {"a": "...", "b": "...", "c": "...", "d": "..."}

# %% tags=["solution"]
walks = {"a": "the same picture", "b": "hardly a change", "c": "one digit melts into the other", "d": "hard edges"}

# %%
check.walks(walks)
check.tally()

# %% [markdown]
# Now walk, and see.

# %%
def walk(start, end, steps=9):
    """Decoded pictures at equal steps along the line from one point to another."""
    share = np.linspace(0, 1, steps)[:, None]
    return vae.decode((start + share * (end - start)).astype(np.float32))


codes, _ = vae.encode(x)
one, zero = np.median(codes[labels == 1], axis=0), np.median(codes[labels == 0], axis=0)
middle = np.zeros(2)
shown = {"a": walk(one, one), "b": walk(one, one + [0.02, 0.0]), "c": walk(one, zero), "d": walk(middle, middle + 40)}

# %% tags=["hide-input"]
nv.plots.show_rows(shown, "Four rows of nine frames. a: the same 1 nine times. b: the same to the eye. c: a 1 turns "
                          "little by little, by way of a 7, into a 0. d: a soft 2 turns into a slanted white stroke "
                          "with hard edges, which then hardly changes.", columns=9)

# %% [markdown]
# **a** The decoder is a function: nothing in it is drawn by lot. **b** It is continuous, so small steps make small changes. **c** What
# lies between two codes has pictures of its own. The middle frame is not the average of the two ends, as in a cross-fade, and no
# single step makes the whole change. **d** Far out the decoder's numbers get large, and large numbers mean "surely white" or "surely
# black". Nothing has told it what to paint there.

# %%
def change(frames):
    """The root mean square difference of each frame from the one before."""
    return np.sqrt(np.mean(np.diff(frames, axis=0)**2, axis=1))


def share_of_grey(picture):
    return np.mean((picture > 0.1) & (picture < 0.9))


melting, whole_way = shown["c"], change(shown["c"][[0, -1]])[0]
overlaid = (melting[0] + melting[-1]) / 2
lesson.holds("a: no frame differs from the first, but for rounding", np.abs(shown["a"] - shown["a"][0]).max() < 1e-6)
lesson.holds("b: the tiny steps change less than a tenth of walk c", change(shown["b"][[0, -1]])[0] < 0.1 * whole_way)
lesson.holds("c: no step makes more than half of the change", change(melting).max() < 0.5 * whole_way)
lesson.holds("c: the middle frame is not the ends overlaid", np.sqrt(np.mean((melting[4] - overlaid)**2)) > 0.2 * whole_way)
lesson.holds("d: no code is half as far out as the end of the walk", np.abs(codes).max() < 20)
lesson.holds("d: half of the grey or more is gone", share_of_grey(shown["d"][-1]) < 0.5 * share_of_grey(shown["d"][0]))

# %% [markdown]
# One more thing to measure. The machine has never seen a label. Take a thousand pictures, and for each the picture whose code is nearest
# among five thousand others. Do the two show the same digit? By chance that would be so for one in ten.

# %%
same = nv.evaluation.nearest_neighbour_accuracy(codes[:5000], labels[:5000], codes[5000:6000], labels[5000:6000])
print(f"the same digit: {same:.0%}")
lesson.holds("for more than half of the pictures it is the same digit", same > 0.5, on="strokes")

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - A VAE learns a latent space, of which each point has a picture. Draw a point from $N(0, I)$, decode it, and it dreams.
# - The code is short: `VAE.dense` makes the model, `fit` trains it, `decode` paints.
# - No labels were shown; yet pictures of the same digit tend to lie together.
#
# **Read next.** Simon Prince, *Understanding Deep Learning* (2023), section 17.1. Carl Doersch, *Tutorial
# on Variational Autoencoders* (2016), section 1.
#
# **Still wrong, and next.** Nothing is explained. There is no derivation here: why a *normal* distribution? Would an encoder and a decoder
# without all the rest not do as well? [Lesson 1](01_why_cant_an_autoencoder_dream.ipynb) tries just that.
