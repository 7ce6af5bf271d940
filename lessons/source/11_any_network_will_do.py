# %% [markdown]
# # 11. Any network will do
#
# **The question.** Until now every network was dense. What must a network be to take its place in a VAE? And how does
# one ask a VAE for a *seven*?
#
# **After this lesson you can**
#
# - write a convolution as a matrix, and its backward pass as the transpose;
# - test with two random pictures whether a layer and its backward pass belong together;
# - compute the sizes of pictures on their way through convolutions, and say why some paint checkerboards;
# - build a conditional VAE, and measure that the label has left the code.
#
# *You need:* lesson 2 (the backward pass of a dense layer), lesson 7 (the five steps). The
# [refresher](00_refresher.ipynb) has matrices, the [glossary](00_glossary.ipynb) every symbol. *Time:* 75 minutes.
# *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import matplotlib.pyplot as plt
import numpy as np

import numpyvae as nv
from numpyvae.course import Lesson
from numpyvae.functional import concatenate_backward, conv2d, conv2d_matrix, conv_transpose2d
from numpyvae.functional.convolution import conv_size, transposed_size
from numpyvae.report.plots import BLUE, INK, ORANGE

lesson = Lesson(11, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# This lesson is about the blue parts, the two networks.

# %%
nv.plots.show_diagram("encoder", "decoder")

# %% [markdown]
# ## The derivation
#
# **What must a network be?** Look back at the five steps (7.2) and their backward pass (7.3). Of the encoder they ask
# two things: give an $h$ for an $x$, and, given $dh$, the gradients for its own weights. Of the decoder: give $a$ for a
# $z$, and, given $da$, the gradients for its weights and $dz$. Nothing says "dense". Any function with a backward pass
# will do, and lesson 2 says how to check it.
#
# ### Convolution
#
# **Symbols.** A picture $x$ has $H$ rows, $W$ columns and $C$ channels (1 for grey, 3 for colour). A *window* of
# $K \times K$ pixels slides over it, $s$ pixels at a time (the *stride*); around the picture lie $m$ rows and columns
# of zeros (the *padding*). At each place, the window's pixels are multiplied by weights $w$ and added up, once for each
# output channel $o$. The place in row $p$ and column $q$ sees, at $k, l$ in the window, the pixel in row $sp + k - m$:
#
# $$y_{pqo} = b_o + \sum_{k,l,c} x_{sp+k-m,\; sq+l-m,\; c}\; w_{klco} \tag{11.1}$$
#
# The same weights serve at every place. So a stroke that moves by $s$ pixels makes the same numbers, one place further.
#
# **How many places?** The padded picture has $H + 2m$ rows. The first window takes $K$ of them, each further one needs
# $s$ more. What is left over is not seen:
#
# $$P = \Big\lfloor\frac{H + 2m - K}{s}\Big\rfloor + 1 \tag{11.2}$$
#
# where $\lfloor\cdot\rfloor$ rounds down. **Predict first.** A picture of 5 × 8 pixels, $K = 3$, $s = 2$, $m = 1$: how
# many places?
#
# <details><summary>Answer</summary>
#
# Rows: $\lfloor(5 + 2 - 3)/2\rfloor + 1 = 3$. Columns: $\lfloor(8 + 2 - 3)/2\rfloor + 1 = 4$. The last column of zeros
# is never seen.
# </details>

# %% [markdown]
# ### It is a matrix
#
# (11.1) without $b$ is a sum of pixels times numbers. So write the picture as one long column $x$, and the output as
# one long column $y$. Then there is a matrix $M$ with
#
# $$y = M x + b,\qquad dx = M^T\,dy \tag{11.3}$$
#
# The first half says that a convolution is a dense layer, with most weights 0 and the others shared. The second half
# then is nothing new: it is (2.2), $dx = dy\,W^T$ for rows, written for columns. In words: pixel $i$
# reaches output $j$ with weight $M_{ji}$, so the gradient of output $j$ goes back to pixel $i$ with the same weight.
#
# **The transposed convolution** is the layer whose *forward* pass is $M^T$. Each pixel of the small picture paints a
# window into the large one, weighted by $w$; where windows overlap, they add up. That is what a decoder needs: it goes
# from small to large. (It is often called "deconvolution", as if it undid a convolution. It does not: $M^TM$ is not
# $I$. The experiment shows it.)
#
# **The adjoint test.** Write $\langle x, y\rangle$ for the sum of the products of all entries. For any $x$ and $y$,
#
# $$\langle Mx,\, y\rangle = \sum_{j}\Big(\sum_i M_{ji}x_i\Big)y_j = \sum_i x_i\Big(\sum_j M_{ji}\,y_j\Big)
# = \langle x,\, M^Ty\rangle \tag{11.4}$$
#
# So draw a random $x$ and a random $y$, and compare two numbers. If they differ, then the two functions do not belong
# together. No matrix has to be written down for it, and no step $h$ chosen. Take pictures that are *not square*: on
# square ones, rows and columns may be exchanged unseen.
#
# **The size on the way back.** Turn (11.2) round: $P$ windows cover $(P-1)s + K$ rows, and $2m$ of them are padding.
# Since (11.2) rounds down, $s$ different heights $H$ give the same $P$; the *output padding* $n$, from 0 to $s - 1$,
# says which one to restore:
#
# $$H = (P - 1)\,s - 2m + K + n \tag{11.5}$$

# %% [markdown]
# ### Asking for a digit
#
# Let $c$ be the label of a picture. Put it in as a condition everywhere: $p(x|z,c)$, $q(z|x,c)$. Lesson 4's derivation
# holds for each fixed $c$, word for word, since it only used what is true of any density:
#
# $$\log p(x|c) \ge \mathrm E_{q(z|x,c)}\big[\log p(x|z,c)\big] - \mathrm{KL}\big(q(z|x,c)\,\|\,p(z)\big) \tag{11.6}$$
#
# The prior stays $N(0, I)$, for every class. What the label says need not go through $z$, and nats of $z$ cost
# something. So training should leave in $z$ what the classes have in common: the *style*. To draw a seven, draw $z$
# from the prior and set $c = 7$.
#
# **How does a label enter a network?** As a *one-hot* row: ten numbers, 1 at the label's place, 0 elsewhere, appended
# to $x$ and to $z$. Split the first layer's matrix into the rows for $z$ and the rows for $c$:
#
# $$y = [z,\, c]\,W + b = z\,W_z + c\,W_c + b,\qquad dz = dy\,W_z^T \tag{11.7}$$
#
# $c\,W_c$ picks one row of $W_c$: each class has a bias of its own. On the way back, the gradient of $[z, c]$ is
# $dy\,W^T$; its first columns are $dz$, and the rest, the label's, is thrown away. Nobody can change a label. A
# convolution gets the label as ten more channels, each constant over the picture.
#
# ### What it costs
#
# A convolution with $C$ channels in and $O$ out has $K^2CO$ weights and $O$ biases, whatever the size of the picture.
# Each weight is used at each of the $PQ$ places:
#
# $$\text{weights} = K^2CO + O,\qquad \text{multiplications} = PQ\,K^2CO \tag{11.8}$$
#
# A dense layer between the same numbers has $HWC \cdot PQO$ weights, and uses each once.

# %% [markdown]
# ## The code
#
# (11.1), (11.3), (11.4) and (11.7), as they run in the package:

# %%
lesson.show(conv2d, "11.1")

# %%
lesson.show(conv2d_matrix, "11.3")

# %%
lesson.show(conv_transpose2d, "11.4")

# %%
lesson.show(concatenate_backward, "11.7")

# %% [markdown]
# ## The experiment
#
# ### A convolution, drawn
#
# A picture of 6 × 7 pixels, a window of 3 × 3 with the weights 1 to 9, $s = 1$, no padding.

# %%
weights = np.arange(1.0, 10).reshape(3, 3, 1, 1)
M = conv2d_matrix(weights, (6, 7, 1), (1, 1), (0, 0))
x = np.random.default_rng(0).standard_normal((1, 6, 7, 1))
by_matrix = M @ x.ravel()
by_windows = conv2d(x, weights, np.zeros(1), (1, 1), (0, 0)).ravel()
print("M has shape", M.shape, "and", np.count_nonzero(M), "of its", M.size, "entries are not 0")
claim("matrix_and_windows_agree", np.abs(by_matrix - by_windows).max(), 0, 1e-12)
claim("share_of_entries_that_are_not_0", np.count_nonzero(M) / M.size, 9 / 42, 1e-12)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8.6, 4.2), layout="constrained", width_ratios=(42, 20))
for ax, matrix, title, names in ((axes[0], M, "M: a convolution", ("pixel of x", "place of y")),
                                 (axes[1], M.T, "its transpose", ("place of y", "pixel of x"))):
    ax.imshow(np.ma.masked_equal(matrix, 0), cmap="viridis", interpolation="none")
    ax.set(title=title, xlabel=names[0], ylabel=names[1], yticks=range(0, len(matrix), 5))
nv.plots.show("Two matrices side by side, coloured where they are not 0. Left: 20 rows and 42 columns, with the same "
              "nine weights in every row, in three bands that move to the right from row to row and jump after every "
              "fifth. Right: the same, with rows and columns exchanged.")

# %% [markdown]
# Each row is one place of the window: the same nine numbers, moved along. The row of a place shows three short bands,
# because the window's three rows lie seven pixels apart in the long column. The transpose has the same numbers: its
# column is what one place *paints*.
#
# ### The adjoint test
#
# Four shapes, none of them square, with strides, padding and output padding. `f` goes to the small picture, `g` back to
# the large one.

# %%
def inner(a, b):
    return np.sum(a * b)


def adjoint_gap(shape, stride, padding, exchange=False, seed=0):
    """The two sides of (11.4), as a relative difference."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((3, 3, 2, 4))
    x = rng.standard_normal((1, *shape, 2))
    fx = conv2d(x, W, np.zeros(4), stride, padding)
    y = rng.standard_normal(fx.shape)
    extra = tuple(size - transposed_size(places, 3, s, m, 0)
                  for size, places, s, m in zip(shape, fx.shape[1:3], stride, padding))
    back = W.swapaxes(0, 1) if exchange else W    # the bug: rows and columns of the window are exchanged
    gy = conv_transpose2d(y, back, np.zeros(2), stride, padding, extra)
    return abs(inner(fx, y) - inner(x, gy)) / (np.linalg.norm(fx) * np.linalg.norm(y))


# %%
for shape, stride, padding in (((5, 8), (2, 2), (1, 1)), ((6, 9), (2, 2), (1, 1)), ((7, 4), (2, 1), (0, 1)),
                               ((5, 6), (1, 3), (1, 0))):
    claim("adjoint_gap", adjoint_gap(shape, stride, padding), 0, 1e-14)
wrong = [adjoint_gap((5, 8), (2, 2), (1, 1), exchange=True, seed=seed) for seed in range(5)]
print("with the window's rows and columns exchanged:", np.round(wrong, 3))
holds("the adjoint test sees the exchanged window for each of five draws", min(wrong) > 1e-4)

# %% [markdown]
# The right pair agrees to the last digits, and the bug is seen at once. Compare lesson 2: no step had to be chosen.
#
# ### It does not undo
#
# Halve a digit by a convolution whose window takes the mean of nine pixels, then go back by its transpose with the same
# weights. How far is the result from $x$? We give it the brightness that fits best, so that only the form counts.

# %%
def pixels_of(images):
    return (images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255).astype(np.float32)


train_images, train_labels = lesson.images("train")
test_images, test_labels = lesson.images("test")
pictures, labels = pixels_of(train_images[:3000]), train_labels[:3000].astype(int)
test, of_test = pixels_of(test_images[:1000]), test_labels[:1000].astype(int)

# %%
mean_window = np.full((3, 3, 1, 1), 1 / 9)
seven = test[:7].reshape(7, 14, 14, 1).astype(np.float64)
halved = conv2d(seven, mean_window, np.zeros(1), (2, 2), (1, 1))
back = conv_transpose2d(halved, mean_window, np.zeros(1), (2, 2), (1, 1), (1, 1))
back *= inner(back, seven) / inner(back, back)
distance = np.linalg.norm(back - seven) / np.linalg.norm(seven)
print("shapes:", seven.shape[1:3], "to", halved.shape[1:3], "and back to", back.shape[1:3])

# %% tags=["hide-input"]
nv.plots.show_rows({"x, 14 × 14": seven, "Mx, 7 × 7": halved / halved.max(), "MᵀMx, 14 × 14": back},
                   "Three rows of seven pictures: digits; the same, half as large and coarse; and back at full size, "
                   "blurred, with a grid of brighter rows and columns over them.", columns=7)

# %%
claim("relative_distance_of_MTMx_from_x", distance, 0.63, 0.01, on="strokes")

# %% [markdown]
# What comes back is a smear, and there is a *grid* in it that nobody put there.
#
# ### Checkerboards
#
# **Predict first.** Let every pixel of the small picture be 1 and every weight be 1. A transposed convolution then
# counts how many windows cover each pixel. With $K = 3$ and $s = 2$, is that the same number everywhere? With $K = 4$?
#
# <details><summary>Answer</summary>
#
# Along one axis, windows of 3 that begin 2 apart overlap at every other pixel: 1, 2, 1, 2, ... In two dimensions the
# counts multiply: 1, 2 and 4, a checkerboard. Windows of 4 that begin 2 apart cover every pixel twice: no pattern,
# except at the edges.
# </details>

# %%
def covers(K, s=2, places=7):
    """How many windows cover each pixel, away from the edges."""
    ones, window = np.ones((1, places, places, 1)), np.ones((K, K, 1, 1))
    counts = conv_transpose2d(ones, window, np.zeros(1), (s, s), (0, 0), (0, 0))
    return counts[0, K:-K, K:-K, 0]


def draw_covers(ax, K):
    ax.imshow(covers(K), cmap="gray", vmin=0, vmax=max(4, covers(K).max()), interpolation="none")
    ax.set(title=f"K = {K}, s = 2", xticks=[], yticks=[])


for K in (2, 3, 4, 5):
    print(f"K = {K}: windows over a pixel:", " or ".join(f"{n:g}" for n in np.unique(covers(K))))
holds("with K = 2 and 4 every pixel is covered equally often, with 3 and 5 not",
      [np.ptp(covers(K)) > 0 for K in (2, 3, 4, 5)] == [False, True, False, True])

# %%
nv.plots.strip(draw_covers, (2, 3, 4, 5), "Four frames of how often each pixel is covered. For windows of 2 and 4 an "
               "even tone; for windows of 3 and 5 a checkerboard of light and dark pixels.", size=(2.3, 2.5))

# %%
lesson.slider(lambda K: nv.plots.strip(draw_covers, [K], "how often each pixel is covered", size=(4, 4)), K=(1, 8, 1))

# %% [markdown]
# The pattern is even if $K$ is a multiple of $s$. Training can learn weights that make up for it, but it begins with a
# checkerboard, and in decoded pictures one often sees the rest of it.
#
# ### A VAE with convolutions, and one that takes the label
#
# `VAE.conv` halves the picture twice, 14, 7, 4, with 8 and then 16 channels; then a dense layer. The decoder does the
# same in reverse. `ConditionalVAE.conv` gets the label besides. $Z = 4$, five starts of each. (β is warmed up over two
# epochs, as in lesson 10, so that the decoder learns to use the code.)

# %%
SEEDS = range(5)


def train(seed, make, given):
    rng = np.random.default_rng(seed)
    vae = make(rng)
    for record in nv.fit(vae, pictures, optimizer=nv.Adam(3e-3), epochs=5, batch_size=25, rng=rng, warmup=2, **given):
        pass
    return vae


def conv(kind):
    return lambda rng: kind.conv((14, 14, 1), (8, 16), 64, 4, init="he", rng=rng)


plain = [train(seed, conv(nv.VAE), {}) for seed in SEEDS]
conditional = [train(seed, conv(nv.ConditionalVAE), {"labels": labels}) for seed in SEEDS]
print("weights:", len(plain[0].parameters), "and", len(conditional[0].parameters))
for name in plain[0].parameters.names[:2]:
    print(name, plain[0].parameters[name].shape, " with labels", conditional[0].parameters[name].shape)

# %% [markdown]
# **Is the gradient right?** The whole model, checked as in lesson 2: in `float64`, the complex step for every weight of
# a small conditional VAE on pictures that are not square.

# %%
small = nv.ConditionalVAE.conv((5, 8, 1), (2, 3), 4, 2, activation="tanh", n_classes=3, rng=np.random.default_rng(0),
                               dtype=np.float64)
gradients = nv.gradcheck.check_model(small, np.random.default_rng(1).random((3, 40)), "complex-step",
                                     labels=np.array([2, 0, 1]))
worst = max(np.abs(analytic - numeric).max() / np.abs(numeric).max() for analytic, numeric in gradients.values())
claim("worst_gradient", worst, 0, 1e-12)

# %% [markdown]
# **Does the label pay?** (11.6) bounds $\log p(x|c)$, which leaves out what the label itself would cost.

# %%
def loss_of(vae, given):
    terms = nv.evaluate_loss(vae, test, rng=np.random.default_rng(12), **given)
    return terms.loss, terms.kl


without = np.array([loss_of(vae, {}) for vae in plain])
with_label = np.array([loss_of(vae, {"labels": of_test}) for vae in conditional])
print("loss without the label:", without[:, 0].round(1), " KL", without[:, 1].round(1))
print("loss with the label:   ", with_label[:, 0].round(1), " KL", with_label[:, 1].round(1))
saved = np.mean(without[:, 0] - with_label[:, 0])
claim("nats_saved_by_the_label", saved, 4.5, 0.9, on="strokes")
holds("in all five pairs the label lowers the loss and the KL", np.all(with_label < without), on="strokes")
holds("it saves more than log 10, the nats that a label is worth", saved > np.log(10), on="strokes")

# %% [markdown]
# The label lowers the loss by about 4.5 nats, and the KL with it: the code carries less. One of ten equally likely
# labels is worth $\log 10 = 2.3$ nats: $\log p(x) \ge \log p(x|c) + \log p(c)$, since $p(x)$ is a sum over the classes.
# So a model without the label that knew all that the conditional one knows would lose at most 2.3 nats against it. This
# one loses more: it has to *find* the classes, and in five epochs it has not found them all.
#
# ### Has the label left the code?
#
# Lesson 7's measure: give each test picture the label of the nearest training code. The code of a picture is a *draw*
# from its $q$. Guessing is right in one of ten.

# %%
def draw_codes(vae, images, **given):
    mu, logvar = vae.encode(images, **given)
    return mu + np.exp(logvar / 2) * np.random.default_rng(13).standard_normal(mu.shape)


accuracy = nv.evaluation.nearest_neighbour_accuracy
of_plain = np.array([accuracy(draw_codes(vae, pictures), labels, draw_codes(vae, test), of_test) for vae in plain])
of_conditional = np.array([accuracy(draw_codes(vae, pictures, labels=labels), labels,
                                    draw_codes(vae, test, labels=of_test), of_test) for vae in conditional])
print("without the label:", of_plain.round(2), "  with it:", of_conditional.round(2))
claim("accuracy_without", of_plain.mean(), 0.52, 0.06, on="strokes")
claim("accuracy_with", of_conditional.mean(), 0.12, 0.03, on="strokes")
holds("in all five pairs the accuracy falls to less than half", np.all(of_conditional < of_plain / 2), on="strokes")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.5, 1.7))
for row, (shares, color) in enumerate(((of_plain, ORANGE), (of_conditional, BLUE))):
    ax.plot(shares, np.full(5, row), "o", color=color, alpha=0.7)
ax.axvline(0.1, color=INK, linestyle="--", linewidth=1)
ax.set_yticks(range(2), ["without the label", "with the label"])
ax.set(xlabel="share labelled correctly by the nearest code (dashed: guessing)", xlim=(0, 1), ylim=(1.5, -0.5))
ax.set_title("Once the label is given, the code no longer tells it", fontsize=10)
nv.plots.show("Two rows of five dots, the share labelled correctly. Without the label about 0.5; with it all five "
              "just to the right of the dashed line at 0.1.")

# %% [markdown]
# From about 52 % the accuracy falls to about 12 %, near guessing. The label has left the code.

# %%
of_means = np.array([accuracy(vae.encode(pictures, labels)[0], labels, vae.encode(test, of_test)[0], of_test)
                     for vae in conditional])
print("nearest means, with the label:", of_means.round(2))
holds("in all five the means tell the label more often than draws do", np.all(of_means > of_conditional))

# %% [markdown]
# Why draws and not means? The encoder is given $c$, so its means may differ a little by class, much less than $\sigma$,
# and the *nearest* mean finds even that. A draw has noise of the size of $\sigma$, and draws are what the decoder sees.

# %% tags=["hide-input"]
def page(vae, z):
    """Each z (a row) decoded as each class (a column)."""
    rows, columns = np.repeat(z, 10, axis=0), np.tile(np.arange(10), len(z))
    return vae.decode(rows, columns).reshape(-1, 14, 14)


best = conditional[int(np.argmin(with_label[:, 0]))]
styles = np.random.default_rng(4).standard_normal((6, 4)).astype(np.float32)
fig, ax = plt.subplots(figsize=(6, 3.8))
nv.plots.image_grid(page(best, styles), ax, columns=10)
ax.set_title("each row one z, each column one class, 0 to 9", fontsize=10)
nv.plots.show("A grid of six rows and ten columns of digits, 0 to 9. Within a row the digits share slant and "
              "thickness.")

# %% [markdown]
# **Write my digit as all the others.** Encode a test picture *with its own label*, keep $z$, and decode it with each of
# the ten labels.

# %% tags=["hide-input"]
chosen = [int(np.flatnonzero(of_test == digit)[3]) for digit in (7, 4, 2, 0)]
mu, _ = best.encode(test[chosen], of_test[chosen])
written = page(best, mu).reshape(4, 10, 14, 14)
lines = np.concatenate([test[chosen].reshape(4, 1, 14, 14), written], axis=1)
fig, ax = plt.subplots(figsize=(6.6, 2.6))
nv.plots.image_grid(lines.reshape(-1, 14, 14), ax, columns=11)
ax.set_title("a picture, and the same z as 0, 1, ..., 9", fontsize=10)
nv.plots.show("Four rows. First a digit from the test pictures, a 7, a 4, a 2 and a 0, then the ten digits in its "
              "style.")

# %% [markdown]
# How much of the style is kept? We decode the code of each test picture as an 8, and measure how much ink this has. It
# should follow the ink of the picture that the code came from.

# %%
def ink_kept(vae):
    mu, _ = vae.encode(test, of_test)
    eights = vae.decode(mu, 8).sum(axis=1)
    return np.corrcoef(eights, test.sum(axis=1))[0, 1]


kept = [ink_kept(vae) for vae in conditional]
print("correlation of the ink of a picture and of its 8:", np.round(kept, 2))
claim("ink_correlation", np.mean(kept), 0.5, 0.2, on="strokes")
holds("in all five the ink of the 8 follows that of the picture", min(kept) > 0.1, on="strokes")

# %% [markdown]
# It follows, though loosely: the correlation is about one half. The codes of these small models hold some two nats, and
# thickness is only one of the styles.

# %% [markdown]
# ### Does a VAE need convolutions?
#
# The same data, a dense VAE with one hidden layer of 100 and the same code, five starts.

# %%
dense = [train(seed, lambda rng: nv.VAE.dense(196, (100,), 4, init="he", rng=rng), {}) for seed in SEEDS]
of_dense = np.array([loss_of(vae, {})[0] for vae in dense])
print("loss, dense:", of_dense.round(1), "with", len(dense[0].parameters), "weights")
print("loss, convolutions:", without[:, 0].round(1), "with", len(plain[0].parameters), "weights")
claim("dense_minus_convolutions", of_dense.mean() - without[:, 0].mean(), -0.8, 0.7, on="strokes")

# %%
first_conv = {"weights": 9 * 1 * 8 + 8, "multiplications": 7 * 7 * 9 * 1 * 8}    # (11.8)
first_dense = {"weights": 196 * 7 * 7 * 8 + 7 * 7 * 8, "multiplications": 196 * 7 * 7 * 8}
print("first layer:", first_conv, " a dense one of the same sizes:", first_dense)
claim("weights_of_the_first_convolution", plain[0].parameters["encoder.1.W"].size + 8, first_conv["weights"], 0.1)
claim("places_after_one_halving", conv_size(14, 3, 2, 1), 7, 0.1)

# %% [markdown]
# On these small, centred pictures convolutions win nothing: the dense VAE is a little better after the same five
# epochs. Convolutions pay where pictures are large and a thing may be anywhere, because their number of weights does
# not grow with the picture. A VAE does not need them. It needs a network with a backward pass.
#
# ## Exercises
#
# Hints unfold; try without them first.
#
# **11.1** (15 minutes) A convolution by loops: one grey picture `x` of shape $(H, W)$, one window `w` of shape
# $(K, L)$, a `stride` and a `padding`, whole numbers. Return (11.1) without bias, of shape $(P, Q)$.
#
# <details><summary>Hint</summary>
#
# `np.pad(x, padding)` puts the zeros around. Then the place $p, q$ sees rows `stride * p` to `stride * p + K`. The
# window is *not* flipped.
# </details>

# %% tags=["exercise"]
def convolve(x, w, stride, padding):
    ...    # your code


# %% tags=["solution"]
def convolve(x, w, stride, padding):
    padded, (K, L) = np.pad(x, padding), w.shape
    P, Q = (padded.shape[0] - K) // stride + 1, (padded.shape[1] - L) // stride + 1
    y = np.zeros((P, Q))
    for p in range(P):
        for q in range(Q):
            y[p, q] = np.sum(padded[stride * p:stride * p + K, stride * q:stride * q + L] * w)
    return y


# %%
check.convolve(convolve)

# %% [markdown]
# **11.2** (15 minutes) Its transpose, by loops: `y` of shape $(P, Q)$ paints into a picture with `shape` $(H, W)$.
#
# <details><summary>Hint</summary>
#
# Make a padded picture of zeros, *add* `y[p, q] * w` where the window of that place lies, and cut the padding off. The
# check uses (11.4) with a right convolution.
# </details>

# %% tags=["exercise"]
def paint(y, w, stride, padding, shape):
    ...    # your code


# %% tags=["solution"]
def paint(y, w, stride, padding, shape):
    K, L = w.shape
    padded = np.zeros((shape[0] + 2 * padding, shape[1] + 2 * padding))
    for p in range(y.shape[0]):
        for q in range(y.shape[1]):
            padded[stride * p:stride * p + K, stride * q:stride * q + L] += y[p, q] * w
    return padded[padding:padding + shape[0], padding:padding + shape[1]]


# %%
check.paint(paint)

# %% [markdown]
# **11.3** (5 minutes) Sizes: from the side `H` of a picture, `K`, `s` and `m`, return the side $P$ after a convolution,
# and the output padding $n$ with which the transposed one restores `H`.
#
# <details><summary>Hint</summary>
#
# (11.2), then (11.5) for $n$.
# </details>

# %% tags=["exercise"]
def sizes(H, K, s, m):
    ...    # your code


# %% tags=["solution"]
def sizes(H, K, s, m):
    P = (H + 2 * m - K) // s + 1
    return P, H - ((P - 1) * s - 2 * m + K)


# %%
check.sizes(sizes)

# %% [markdown]
# **11.4** (10 minutes) A dense layer that takes a label: $y = [z, c]\,W + b$. Given `dy` $(B, H)$, `z` $(B, Z)$, `c`
# $(B, C)$ and `W` $(Z + C, H)$, return `dz` and `dW`.
#
# <details><summary>Hint</summary>
#
# (11.7). $dW$ needs all rows, the label's too: join `z` and `c` as on the way there.
# </details>

# %% tags=["exercise"]
def labelled_backward(dy, z, c, W):
    ...    # your code


# %% tags=["solution"]
def labelled_backward(dy, z, c, W):
    joined = np.concatenate([z, c], axis=1)
    return dy @ W[:z.shape[1]].T, joined.T @ dy


# %%
check.labelled_backward(labelled_backward)

# %% [markdown]
# **11.5** (5 minutes) Count: the weights (with biases) and the multiplications for one picture of a convolution from
# `C` to `O` channels with a $K \times K$ window and $P \times Q$ places.
#
# <details><summary>Hint</summary>
#
# (11.8).
# </details>

# %% tags=["exercise"]
def count(C, O, K, P, Q):
    ...    # your code


# %% tags=["solution"]
def count(C, O, K, P, Q):
    return K * K * C * O + O, P * Q * K * K * C * O


# %%
check.count(count)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - A VAE asks of a network a forward and a backward pass, nothing else.
# - A convolution is a matrix, banded and shared; its backward pass is the transpose; a transposed convolution does not
#   undo it.
# - The adjoint test compares two numbers, for pictures that are not square.
# - If $K$ is no multiple of $s$, a transposed convolution begins with a checkerboard.
# - A conditional VAE is the same VAE with $c$ given. What the label says leaves the code; the style stays.
#
# **Papers to read next.** Vincent Dumoulin and Francesco Visin, *A Guide to Convolution Arithmetic for Deep Learning*
# (2016): all sizes, drawn. Augustus Odena, Vincent Dumoulin and Chris Olah, *Deconvolution and Checkerboard Artifacts*
# (2016). Diederik Kingma and others, *Semi-supervised Learning with Deep Generative Models* (2014), and Kihyuk Sohn,
# Honglak Lee and Xinchen Yan, *Learning Structured Output Representation using Deep Conditional Generative Models*
# (2015): the conditional VAE.
#
# **Still wrong, and next.** Convolutions took most of this notebook's time. Where does it go, and what would make it
# less? That is lesson 12.
