# %% [markdown]
# # 12. Making it fast
#
# **The question.** Where does the time go, and how would one know before looking at a clock?
#
# **After this lesson you can**
#
# - count a step's operations and bytes, and say the least time that a machine needs for them, and what a tile is for;
# - let two threads share a sum so that not a bit changes, and see a race in a program that mostly works;
# - say what a compiled loop costs once, what a sum in float32 loses, and what `fastmath` takes away.
#
# *You need:* lessons 2 (the products of a backward pass), 5 (the KL) and 7 (the five steps). The
# [refresher](00_refresher.ipynb) has matrices, the [glossary](00_glossary.ipynb) every symbol.
# *Time:* 75 minutes. *Runs in:* under a minute.

# %%
DATA = "strokes"        # or "mnist"

import numpy as np
from threadpoolctl import threadpool_limits

import numpyvae as nv
from numpyvae.course import Lesson, patients, speed
from numpyvae.functional.likelihoods import bernoulli_nll_and_grad
from numpyvae.kernels import halves, jit, matmul
from numpyvae.museum import race
from numpyvae.twin import kernels_are_on

lesson = Lesson(12, DATA)
claim, holds, check = lesson.claim, lesson.holds, lesson.check

# %% [markdown]
# All parts take time; the two networks take nearly all of it.

# %%
nv.plots.show_diagram("encoder", "decoder")

# %% [markdown]
# ## The derivation
#
# **Symbols.** A matrix of $M$ rows and $K$ columns is multiplied by one of $K$ rows and $N$ columns. Each of the $MN$
# numbers of the result is a sum of $K$ terms, each a multiplication and an addition:
#
# $$\text{operations} = 2MKN \tag{12.1}$$
#
# Two matrices come from memory and one goes there, once each. In float32 a number has 4 bytes:
#
# $$\text{bytes} = 4\,(MK + KN + MN) \tag{12.2}$$
#
# A machine's *peak* is how many operations it can do in a second, its *bandwidth* how many bytes it can move. It does
# both side by side, so the longer time decides:
#
# $$\text{seconds} \ge \max\Big(\frac{\text{operations}}{\text{peak}},\ \frac{\text{bytes}}{\text{bandwidth}}\Big)$$
#
# *Intensity* is operations per byte. Divide operations by both sides:
#
# $$\frac{\text{operations}}{\text{second}} \le \min(\text{peak},\ \text{intensity}\cdot\text{bandwidth}) \tag{12.3}$$
#
# Drawn against the intensity, that is a slope and then a flat line: the *roofline*. Left of its edge memory is the
# limit, right arithmetic.
#
# **Use what you have fetched.** Three plain loops fetch two numbers for each pair of operations. Keep a *tile* of the
# result instead, 6 rows and 16 columns, in the *registers*, the few places inside the processor. For each $k$ fetch 6
# numbers of one matrix and 16 of the other, and multiply each with each. Per number fetched there are, instead of one,
#
# $$\frac{2\cdot 6\cdot 16}{6 + 16} = \frac{192}{22} = 8.7\ \text{operations} \tag{12.4}$$
#
# **Two threads.** Let each number of the result belong to one thread, which does the whole of its sum:
#
# $$\text{each number is computed in one half, in the order of one thread} \tag{12.5}$$
#
# Then the bits are those of one thread. Halve a *sum* instead, and both threads add to the same number. To do so they
# read it, add, and write. Let A add $a$, and B add $b$, to a number that is 0:
#
# $$\begin{array}{ll}\text{A reads } 0,\ \text{writes } a;\ \text{B reads } a,\ \text{writes } a + b: & \text{right}\\
# \text{A and B read } 0,\ \text{A writes } a,\ \text{B writes } b: & a \text{ is lost}\end{array} \tag{12.6}$$
#
# This is a *race*: chance decides who comes first.
#
# **One pass.** What does not fit into the *cache*, the processor's own small memory, comes from memory at each pass. In
# NumPy each operation is a pass. For $B$ pictures of $D$ pixels, passes that read or write $n$ arrays in all move
#
# $$\text{bytes} = 4\,BD\,n \tag{12.7}$$
#
# For the NLL and its gradient $n$ is some thirty in NumPy. A *fused kernel*, one loop that does it all, reads logits
# and pixels and writes the gradient: $n = 3$. It must be compiled, at the first call. If that call takes $t_1$ seconds,
# a later one $t$, and the way without it $T$, then $n$ calls cost about $t_1 + nt$ against $nT$. It pays from
#
# $$n = \frac{t_1}{T - t} \tag{12.8}$$
#
# **What a sum loses.** In float32 a result is rounded to 24 binary digits, and off by half of the last one at most:
#
# $$\mathrm{fl}(a + b) = (a + b)(1 + \delta),\qquad |\delta| \le u = 2^{-24} \tag{12.9}$$
#
# Each addition changes the share of a term by a factor $1 + \delta$. Of $N$ positive terms, added one after the other,
# the first goes through $N - 1$ additions; in pairs, and pairs of pairs, each through $\log_2 N$. Up to terms with
# $u^2$, the relative errors are
#
# $$\text{in order} \le (N - 1)\,u,\qquad \text{in pairs} \le u\log_2 N \tag{12.10}$$
#
# Better still, keep what is lost. If $s = \mathrm{fl}(a + b)$ and $|a| \ge |b|$, then $s - a$ is what arrived of $b$;
#
# $$\text{lost} = b - (s - a) \tag{12.11}$$
#
# is then *exact*, also in float32 (Dekker's theorem). A *compensated sum* adds it at the end.

# %% [markdown]
# ## The code
#
# Three loops as on paper, a tile, a product in halves, a fused loop, a compensated sum and a timer, as they run in the
# package. The tile has five words: `load` fetches 16 neighbours, `spread` one number 16 times, `fma` multiplies and
# adds 16 at once, `zeros` and `store` begin and end. Compilers seldom leave sums in registers; these words do.

# %%
lesson.show(matmul.matmul_three_loops, "12.1")

# %%
lesson.show(matmul.tile_6x16, "12.4")

# %%
lesson.show(halves.product, "12.5")

# %%
lesson.show(bernoulli_nll_and_grad.kernel, "12.7")

# %%
lesson.show(speed.compensated_sum, "12.11")

# %%
lesson.show(speed.time_calls, "12.8")

# %% [markdown]
# ## The experiment
#
# ### The roof of this machine
#
# A large product gives the peak, a copy the bandwidth. So both are what *this* product and *this* copy reach, a
# little less than the machine can do: later a point may lie up to a fifth above the roof. BLAS, which multiplies for
# NumPy, gets one thread, to compare like with like. Of several runs the fastest counts, and of time the thread's own:
# other programs only make a run longer. Where there is no numba, as in a browser, the lesson passes over what it says
# of compiled loops.

# %%
limit, compiled = threadpool_limits(1), kernels_are_on()
peak, bandwidth = speed.measure_peak(), speed.measure_bandwidth()
print(f"peak {peak / 1e9:.1f}, bandwidth {bandwidth / 1e9:.1f} billion a second; edge at {peak / bandwidth:.2f}")

# %% [markdown]
# **Predict first.** A dense layer from 784 to 400 numbers. Is $xW$ bound by memory or by arithmetic, for one picture,
# and for 1024? And Adam, which for each weight reads or writes 7 numbers and does some 13 operations?
#
# <details><summary>Answer</summary>
#
# For one picture each weight is fetched for 2 operations, half an operation per byte: memory. For 1024 there are 105
# per byte: arithmetic. Adam has 13 / 28: memory, whatever the batch. </details>

# %%
layers = {batch: speed.layer(batch) for batch in (1, 32, 1024)}
claim("intensity_of_one_picture", layers[1]["x W"][0], 0.498, 0.001)
claim("intensity_of_1024_pictures", layers[1024]["x W"][0], 105.2, 0.1)
one, many = layers[1]["x W"][1], layers[1024]["x W"][1]
holds("with 1024 pictures an operation takes less than two thirds of its time with one", many > 1.5 * one)
holds("no product is half as fast again as the flat roof", max(one, many) < 1.5 * peak)
holds("an addition takes more than twice as long if it is for one picture",
      layers[32]["y + b"][1] > 2 * layers[1]["y + b"][1])

# %% tags=["hide-input"]
draw = lambda ax, batch: speed.draw_layer(ax, batch, peak, bandwidth, layers)
nv.plots.strip(draw, (1, 32, 1024), "Three rooflines with four points each. At batch 1 all are on the left; at 32 and "
               "1024 the two products are at the flat roof, the bias and Adam on the left.", size=(3.6, 3.2))
lesson.slider(lambda batch: nv.plots.strip(draw, [batch], "a roofline", size=(5, 4)), batch=(1, 1024))

# %% [markdown]
# Orange is bound by memory, blue by arithmetic: on the left move less, on the right compute better. What is above the
# slope came from the cache; what is far below has its reason: to call NumPy takes longer than 400 additions do.
#
# **A whole step.** Each layer multiplies forward, for its weights and, except the first, for its input: 419.84 million
# operations in all.

# %%
B, sides = 128, ((784, 400), (400, 20), (400, 20), (20, 400), (400, 784))
work = speed.step_products(B, sides)
claim("operations_of_a_step_in_millions", sum(one.operations for one in work) / 1e6, 419.84, 0.001)
vae, optimizer = nv.VAE.dense(784, (400,), 20, rng=np.random.default_rng(0)), nv.Adam()
least = (sum(one.operations / speed.roof(one.intensity, peak, bandwidth) for one in work)
         + speed.ADAM.moved * len(vae.parameters) / bandwidth)
x = lesson.images("train")[0][:B].reshape(B, 784).astype(np.float32) / 255
eps = np.random.default_rng(1).standard_normal((B, 20)).astype(np.float32)
seconds = speed.fastest({"": lambda: (vae.loss_and_grad(x, eps), optimizer.step(vae.parameters))}, 20)[""]
print(f"products and Adam need at least {1e3 * least:.2f} ms; a step takes {1e3 * seconds:.2f} ms")
holds("a step takes between half and ten times what its roofs allow", 0.5 < seconds / least < 10)

# %% [markdown]
# At 1.2 times its least time, little is left to win; at five times there is something to find.
#
# ### From three loops past BLAS
#
# The words have NumPy bodies, too. So a tile runs without a compiler, and we can count what it says:

# %%
counting_tile, said = speed.counting(matmul.tile_6x16)
rng = np.random.default_rng(2)
a, b, out = (rng.random(shape, np.float32) for shape in ((6, 50), (50, 16), (6, 16)))
counting_tile(a, b, out, 0, 0)
print(dict(said))
claim("operations_per_number_fetched", 2 * 16 * said["fma"] / (16 * said["load"] + said["spread"]), 192 / 22, 1e-9)

# %% [markdown]
# **Predict first.** Four products $M \times K \times N$: A, 1024 × 784 × 400; B, 128 × 784 × 400; C, 20 × 784 × 400; D,
# 128 × 20 × 400. BLAS first copies its matrices into the order in which its tile reads them; ours, here, copies
# nothing. Where will BLAS lose, and where will the two be nearly alike?
#
# <details><summary>Answer</summary>
#
# Copies handle $MK + KN$ numbers for $MKN$ multiplications, a share of $\frac1N + \frac1M$. That is largest in C, which
# has 20 rows: 0.05, against 0.01 in B and D and 0.003 in A. In D, whose sums have only 20 terms, what is done once for
# each number of the result, or once for each call, weighs too. So BLAS should lose most in C, and in A the two should
# be nearly alike; by how much depends on the processor. </details>

# %%
loops = speed.compiled_products()
if loops:
    shapes = {"A": (1024, 784, 400), "B": (128, 784, 400), "C": (20, 784, 400), "D": (128, 20, 400)}
    speeds = {name: speed.billions(*shape, loops if name == "B" else {"tile": loops["tile"]})
              for name, shape in shapes.items()}
    lead, of_B = {name: one["tile"] / one["BLAS"] for name, one in speeds.items()}, speeds["B"]
    print("B, in billions of operations a second:", ", ".join(f"{name} {of_B[name]:.1f}" for name in of_B))
    print("tile / BLAS:", ", ".join(f"{name} {lead[name]:.2f}" for name in lead))
    holds("the tile is more than four times as fast as three loops", of_B["tile"] > 4 * of_B["three loops"])
    holds("BLAS is more than twice as fast as loops that numba compiles as they stand",
          of_B["BLAS"] > 2 * max(of_B["three loops"], of_B["reordered"]))
    holds("in C or in D the tile is ahead of BLAS", max(lead["C"], lead["D"]) > 1)
    holds("nowhere does the tile take twice as long as BLAS", min(lead.values()) > 0.5)

# %% [markdown]
# So numba does not beat BLAS by itself; with (12.4) it can, most of all where BLAS's copies do not pay. (In the
# package the processor decides who multiplies, not a stopwatch: with one a seed would not give the same bits each
# time.)
#
# ### One pass, and the first call

# %%
if compiled:
    numbers, fused = np.random.default_rng(3).random(300), bernoulli_nll_and_grad
    given = np.ones(B, np.float32), vae.decode(eps), x, np.empty(B, np.float32), np.empty((B, 784), np.float32)
    taken = speed.fastest({"NumPy": lambda: fused.reference(*given), "fused": lambda: fused(*given),
                           "Python": lambda: speed.nearest_pair(numbers)}, 5)
    fast = speed.compiled(speed.nearest_pair)    # two loops over the numbers
    calls = speed.time_calls(lambda: fast(numbers))
    print(f"NLL and gradient: NumPy takes {taken['NumPy'] / taken['fused']:.1f} times as long as one loop\nfirst call "
          f"{calls.first:.2f} s, later {1e6 * calls.later:.0f} µs, in Python {1e3 * taken['Python']:.1f} ms: it pays "
          f"from {calls.first / (taken['Python'] - calls.later):.0f} calls on")
    holds("the fused loop takes less than two thirds of NumPy's time", taken["NumPy"] > 1.5 * taken["fused"])
    holds("the first call takes more than twenty times as long as a later one", calls.first > 20 * calls.later)

# %% [markdown]
# Whoever times the first call times the compiler. (The package keeps compiled code on disk.)
#
# ### A second thread
#
# To wake a thread takes as long as many kernels. So with `NUMPYVAE_THREADS=2` a second one stays awake for a while
# after each job, and looks at a *board* on which the caller writes the next:

# %% tags=["hide-input"]
speed.draw_protocol()
nv.plots.show("Two pairs of timelines. Above, the caller writes JOB and does half 0, the second thread claims half 1, "
              "does it and writes DONE. Below, it is late: the caller has claimed half 1 and done it as well.")

# %% [markdown]
# To *claim* is one instruction: "if this number is the old one, make it the new one; did you?" One thread alone is told
# yes. Does (12.5) hold? Both halves of a product, the second first, and two halves of each *sum*:

# %%
rng = np.random.default_rng(4)
whole, by_halves, by_terms = speed.halved_products(rng.random((12, 30), np.float32), rng.random((30, 64), np.float32))
holds("two halves of the result are the whole, bit for bit", np.array_equal(by_halves, whole))
holds("two halves of each sum agree only to rounding",
      np.allclose(by_terms, whole, rtol=1e-5) and not np.array_equal(by_terms, whole))

# %% [markdown]
# **A race.** A bias's gradient $db$ is the sum of the rows of $dy$. The museum of bugs shows five ways in which two
# threads can share it. A `yield` marks where the other one may get in between:

# %%
lesson.show(race, "12.6")

# %% [markdown]
# **Predict first.** With two rows, the two threads of `rows_into_one` take two steps each, in one of six orders. In how
# many is the sum right?
#
# <details><summary>Answer</summary> In two, AABB and BBAA: one thread after the other. </details>

# %%
dy = np.array([[1.0, 10.0], [2.0, 20.0]])
orders = dict(race.every_order(race.rows_into_one, dy))
print(*(f"{order} {db}" for order, db in orders.items()), sep="\n")
claim("right_orders_of_six", sum(np.array_equal(db, dy.sum(axis=0)) for db in orders.values()), 2, 0)
racing = nv.museum.vae.RacingBias(np.random.default_rng(5))
print(patients.wrong_part(nv.examine(**racing.functions(), rng=np.random.default_rng(6))))

# %% [markdown]
# `nv.examine` sees that two calls differ, as with noise drawn twice. On a machine a step takes nanoseconds, and AABB
# comes nearly always. So look for races by thought, not by running.
#
# ### Sums, and what `fastmath` takes away

# %%
lengths = 2 ** np.arange(2, 14)
errors = speed.sum_errors(lengths)    # relative, in u
holds("2^24 + 1 is 2^24 in float32", np.float32(2**24) + np.float32(1) == 2**24)
holds("no sum errs by more than (12.10)", np.all(errors["in order"].max(axis=1) <= lengths)
      and np.all(errors["in pairs"].max(axis=1) <= 1.01 * np.log2(lengths)))
holds("no compensated sum errs by more than 2 u", errors["compensated"].max() <= 2)
holds("of 8192 numbers a sum in order loses more than five times what a sum in pairs loses",
      errors["in order"][-1].mean() > 5 * errors["in pairs"][-1].mean())

# %% tags=["hide-input"]
speed.draw_sums(lengths, errors)
nv.plots.show("Errors of sums of 4 to 8192 numbers: in order they grow to more than ten u; in pairs and compensated "
              "they stay below one u. The first two lie below their bounds, dashed lines.")

# %% [markdown]
# Rounded, $(a + b) + c$ is not $a + (b + c)$, so a compiler must not reorder a sum, unless `fastmath` allows it. That
# allows seven things; one, `nnan`, says "there is no NaN", another is `reassoc`. The package allows four.

# %%
with_nan, many = np.full(9, np.nan, np.float32), np.append(np.float32(2**24), np.ones(1000, np.float32))
seen, kept = {}, {}
for name, allowed in {"nothing": False, "ours": jit.FASTMATH, "everything": True}.items() if compiled else ():
    seen[name] = speed.compiled(speed.has_nan, allowed)(with_nan)
    kept[name] = speed.compiled(speed.compensated_sum, allowed)(many) - 2**24
    print(f"{name:10} allowed. NaN is seen: {seen[name]}. Of 1000 ones added to 2^24, {kept[name]:.0f} are left")
if compiled:
    holds("only with everything allowed NaN is not seen", seen == {"nothing": 1, "ours": 1, "everything": 0})
    holds("with nothing allowed all 1000 ones are left", bool(kept["nothing"] == 1000))

# %% [markdown]
# With `nnan` the answer to "is it NaN?" is "no" before the program runs. With `reassoc` the compiler may find that
# `value - ((total + value) - total)` is 0, as for real numbers it is, and strike it out.
#
# ## Exercises
#
# **12.1** (10 minutes) For a product in float32 return its operations, the bytes that must be moved, and the least
# seconds, on a machine of this `peak` and `bandwidth`.
#
# <details><summary>Hint</summary> (12.1), (12.2), and the left side of (12.3). </details>

# %% tags=["exercise"]
def least_time(M, K, N, peak, bandwidth):
    ...    # your code

# %% tags=["solution"]
def least_time(M, K, N, peak, bandwidth):
    operations, moved = 2 * M * K * N, 4 * (M * K + K * N + M * N)
    return operations, moved, max(operations / peak, moved / bandwidth)

# %%
check.least_time(least_time)

# %% [markdown]
# **12.2** (15 minutes) A fused kernel. From `dkl` (B,), `mu` and `logvar` (B, Z) return the KL of each row (B,) and the
# gradients for `mu` and `logvar`, with one loop over rows, one over columns, and one exponential per number. (With
# numba, `numba.njit` it, and time it with `speed.time_calls`.)
#
# <details><summary>Hint</summary> The KL of a row adds up (5.4); the gradients are (5.5), each times dkl. </details>

# %% tags=["exercise"]
def kl_and_grad(dkl, mu, logvar):
    ...    # your code

# %% tags=["solution"]
def kl_and_grad(dkl, mu, logvar):
    kl, dmu, dlogvar = np.zeros_like(dkl), np.empty_like(mu), np.empty_like(mu)
    for b in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            variance = np.exp(logvar[b, j])
            kl[b] += 0.5 * (variance + mu[b, j]**2 - 1 - logvar[b, j])
            dmu[b, j] = dkl[b] * mu[b, j]
            dlogvar[b, j] = dkl[b] * 0.5 * (variance - 1)
    return kl, dmu, dlogvar

# %%
check.kl_and_grad(kl_and_grad)

# %% [markdown]
# **12.3** (15 minutes) Find the races in the five ways shown above: a `rows_into_one`, b `columns`, c `one_scratch`, d
# `next_column`, e `middle_twice`. Say `"race"` where some order of the steps leaves a wrong $db$, else `"no race"`.
#
# <details><summary>Hint</summary>
#
# For each number: who writes it, who reads it, and may the other get in between? When you have decided, try
# `race.every_order(race.columns, dy)`. </details>

# %% tags=["exercise"]
races = ...    # your answer: {"a": "...", ..., "e": "..."}

# %% tags=["solution"]
races = {"a": "race", "b": "no race", "c": "race", "d": "race", "e": "no race"}

# %%
check.races(races)

# %% [markdown]
# **12.4** (10 minutes) Mend it. Two threads call this with the same `dy` and `db`, one with `half` 0, one with 1. Store
# your half of the sums in `db`, leave the rest of it alone, and return it.
#
# <details><summary>Hint</summary> (12.5): half of the columns, each with all of its rows. Do not read db. </details>

# %% tags=["exercise"]
def half_of_db(half, dy, db):
    ...    # your code

# %% tags=["solution"]
def half_of_db(half, dy, db):
    columns = np.array_split(np.arange(dy.shape[1]), 2)[half]
    db[columns] = dy[:, columns].sum(axis=0)
    return db

# %%
check.half_of_db(half_of_db)

# %% [markdown]
# **12.5** (10 minutes) (12.11) needs $|a| \ge |b|$. From two float32 arrays, in which sometimes the one number and
# sometimes the other is larger, return the rounded sum and what it has lost, so that the two together are $a + b$.
#
# <details><summary>Hint</summary>
#
# Choose with `np.where`. Or, without asking, as Knuth does: $s - a$ is what arrived of $b$, and $s$ minus that what
# arrived of $a$. Add up what both lack. </details>

# %% tags=["exercise"]
def two_sum(a, b):
    ...    # your code

# %% tags=["solution"]
def two_sum(a, b):
    total = a + b
    b_arrived = total - a
    return total, (a - (total - b_arrived)) + (b - b_arrived)

# %%
check.two_sum(two_sum)
check.tally()

# %% [markdown]
# ## What you have learned, and what is still wrong
#
# - Count before you measure: two numbers of the machine say what is left to win.
# - Fast is what uses what it has fetched: a tile, a fused loop, a larger batch. A compiler alone does not do it.
# - Time the first call apart. Where each number belongs to one thread, two threads give the bits of one.
# - The order of a sum decides its error. `fastmath` gives that order away, and NaN with it.
#
# **Papers to read next.** Samuel Williams, Andrew Waterman and David Patterson, *Roofline* (2009). Kazushige Goto and
# Robert van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (2008): what BLAS copies. Nicholas Higham,
# *The Accuracy of Floating Point Summation* (1993). Hans Boehm, *Threads Cannot Be Implemented as a Library* (2005).
#
# **Still wrong, and next.** What is wrong is now wrong sooner: a NaN that nobody sees, a gradient that is right on most
# days. When your own VAE misbehaves, which of this course's checks do you run first? That is lesson 13.
