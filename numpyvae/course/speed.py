"""What lesson 12 counts and measures: operations and bytes, seconds, what the machine can do, sums in float32.

Everything is measured on one thread, in float32.  Whatever else runs on a machine only makes a run longer: so of
several runs the fastest counts, and of time that in which the thread itself had a core.
"""
from __future__ import annotations

import collections
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ..kernels import halves, matmul, vectors
from ..kernels.jit import jit
from ..kernels.loop_for import loop_for
from ..kernels.processor import decide
from ..report.plots import BLUE, GREEN, INK, MUTED, ORANGE
from ..training.optimizers import adam
from ..twin import kernels_are_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
Run = Callable[[], Any]
FLOAT = 4    # bytes
# The thread's own time, which stands still while another program has the core.  (Windows counts it too coarsely.)
clock = time.thread_time if hasattr(time, "CLOCK_THREAD_CPUTIME_ID") else time.perf_counter
AT_LEAST = 1e-3    # seconds: what takes less is done several times between two looks at the clock, which is coarse


class Work(NamedTuple):
    """Operations, and the bytes that come from memory or go there."""

    operations: float
    moved: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.moved


ADAM = Work(13, 7 * FLOAT)    # for each weight: w, g and two means are read, all but g are written


def product(M: int, K: int, N: int) -> Work:
    """(M, K) times (K, N): a multiplication and an addition for each m, k, n, and each array moved once.

    [lesson 12, eq. 12.1 and 12.2]
    """
    return Work(2 * M * K * N, FLOAT * (M * K + K * N + M * N))


def roof(intensity: Any, peak: float, bandwidth: float) -> Any:
    """Operations per second that can be reached at most, at so many operations per byte.   [lesson 12, eq. 12.3]"""
    return np.minimum(peak, intensity * bandwidth)


def step_products(batch: int, sides: Sequence[tuple[int, int]]) -> list[Work]:
    """Those of a training step: for each layer, (in, out), forward, for its weights, and for its input.

    sides : the first layer's, whose input is the data, comes first: the data need no gradient
    """
    shapes = [shape for n_in, n_out in sides
              for shape in ((batch, n_in, n_out), (n_in, batch, n_out), (batch, n_out, n_in))]
    return [product(*shape) for i, shape in enumerate(shapes) if i != 2]


class Calls(NamedTuple):
    """Seconds: of the first call, in which a compiler may have worked, and of the fastest of the later ones."""

    first: float
    later: float


def time_calls(run: Run, repeats: int = 10) -> Calls:
    """Call run() 1 + repeats times.   [lesson 12, eq. 12.8]"""
    start = clock()
    run()
    first = clock() - start
    return Calls(first, fastest({"": run}, repeats)[""])


def fastest(runs: Mapping[str, Run], repeats: int = 10) -> dict[str, float]:
    """Seconds of each run, called untimed first and then in turns, so that a busy moment does not fall on one alone."""
    often, best = {}, dict.fromkeys(runs, np.inf)
    for name, run in runs.items():
        run()
        start = clock()
        run()
        often[name] = 1 + int(AT_LEAST / max(clock() - start, 1e-7))
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            for _ in range(often[name]):
                run()
            best[name] = min(best[name], (clock() - start) / often[name])
    return best


def measure_peak(n: int = 512) -> float:
    """Operations per second of a large product on one thread: next to none of the time goes into fetching."""
    a, b = np.ones((2, n, n), np.float32)
    out = np.empty_like(a)
    with threadpool_limits(1):
        return product(n, n, n).operations / fastest({"": lambda: np.matmul(a, b, out=out)}, 20)[""]


def measure_bandwidth(n: int = 16_000_000) -> float:
    """Bytes per second: the better of copying n numbers and of adding to them in place, which reads and writes each.

    By default 64 MB, more than most caches hold.
    """
    a, b = np.ones(n, np.float32), np.ones(n, np.float32)
    seconds = fastest({"copy": lambda: np.copyto(b, a), "add": lambda: np.add(a, 1, out=a)}, 5)
    return 2 * FLOAT * n / min(seconds.values())


def layer(batch: int, n_in: int = 784, n_out: int = 400) -> dict[str, tuple[float, float]]:
    """What a dense layer does in a step, measured: {name: (operations per byte, operations per second)}."""
    rng = np.random.default_rng(0)
    x, W, y, dW = (rng.random(shape, np.float32)
                   for shape in ((batch, n_in), (n_in, n_out), (batch, n_out), (n_in, n_out)))
    w, g, mean, square = rng.random((4, W.size), np.float32)
    pieces: dict[str, tuple[Work, Run]] = {
        "x W": (product(batch, n_in, n_out), lambda: np.matmul(x, W, out=y)),
        "xᵀ dy": (product(n_in, batch, n_out), lambda: np.matmul(x.T, y, out=dW)),
        "y + b": (Work(y.size, 2 * FLOAT * y.size), lambda: np.add(y, 1, out=y)),
        "Adam": (Work(ADAM.operations * W.size, ADAM.moved * W.size),
                 lambda: adam(w, g, mean, square, 1e-3, 0.1, 1e-3, 0.1, 1e-3, 1e-8))}
    seconds = fastest({name: run for name, (_, run) in pieces.items()})
    return {name: (work.intensity, work.operations / seconds[name]) for name, (work, _) in pieces.items()}


def billions(M: int, K: int, N: int, loops: Mapping[str, Callable[[Array, Array, Array], Any]]) -> dict[str, float]:
    """10^9 operations per second of a product in float32, by BLAS and by compiled loops, {name: loop}."""
    rng = np.random.default_rng(0)
    a, b, out = (rng.random(shape, np.float32) for shape in ((M, K), (K, N), (M, N)))
    runs: dict[str, Run] = {"BLAS": lambda: np.matmul(a, b, out=out)}
    runs |= {name: functools.partial(loop, a, b, out) for name, loop in loops.items()}
    return {name: 1e-9 * product(M, K, N).operations / seconds for name, seconds in fastest(runs, 20).items()}


def compiled_products() -> dict[str, Callable[[Array, Array, Array], Any]]:
    """The loops of kernels/matmul.py, compiled for one thread; none without numba or a tile for the processor."""
    tile = decide().tile if kernels_are_on() else None
    if tile is None:
        return {}
    loops = {"three loops": matmul.matmul_three_loops, "reordered": matmul.matmul_reordered,
             "tile": tile.loops["in_place"]}
    for name, loop in loops.items():
        loops[name] = loop_for(loop.__name__, loop)
        vars(loops[name]).pop("how_halved", None)    # by which a second thread would do half of it
    return {name: jit(loop, matmul.SIGNATURE) for name, loop in loops.items()}


def halved_products(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """a @ b by a tile: whole, by halves of the result, the second first, and as the sum of two halves of the terms.

    It runs in NumPy.
    """
    tiled = matmul.by_6x16["in_place"]    # a plain function: what is compiled is made of it
    whole, by_halves, first, second = np.empty((4, len(a), b.shape[1]), np.float32)
    tiled(a, b, whole)
    in_halves = loop_for("in_halves", halves.product, kernel=tiled)
    for half in (1, 0):
        in_halves(half, a, b, by_halves)
    middle = len(b) // 2
    return whole, by_halves, tiled(a[:, :middle], b[:middle], first) + tiled(a[:, middle:], b[middle:], second)


def counting(tile: Callable[..., None]) -> tuple[Callable[..., None], collections.Counter[str]]:
    """A tile of kernels/matmul.py that counts which words it says, and the counts.  It runs in NumPy."""
    said: collections.Counter[str] = collections.Counter()

    def counted(word: Callable[..., Any]) -> Callable[..., Any]:
        def say(*arguments: Any) -> Any:
            said[word.__name__] += 1
            return word(*arguments)
        return say

    words = vectors.load, vectors.spread, vectors.fma, vectors.store
    return loop_for(f"counting_{tile.__name__}", tile, **{word.__name__: counted(word) for word in words}), said


# Sums in float32, along the first axis: of numbers, or of rows, column by column.

def sum_in_order(x: Array) -> Array:
    """One number after the other: n - 1 roundings on the longest way."""
    return np.add.accumulate(x)[-1]


def sum_in_pairs(x: Array) -> Array:
    """Halves added, until one number is left: log2 n roundings on each way.  n is a power of 2."""
    while len(x) > 1:
        x = x[:len(x) // 2] + x[len(x) // 2:]
    return x[0]


def compensated_sum(x: Array) -> Array:
    """One after the other, but what each addition loses is kept, and added at the end.   [lesson 12, eq. 12.11]"""
    total, lost = x[0], x[0] - x[0]
    for value in x[1:]:
        new = total + value
        lost = lost + (value - (new - total))
        total = new
    return total + lost


SUMS = {"in order": sum_in_order, "in pairs": sum_in_pairs, "compensated": compensated_sum}
UNIT = 2.0**-24    # half of the last digit of a number near 1, in float32


def sum_errors(lengths: Array, repeats: int = 20) -> dict[str, Array]:
    """Relative errors of SUMS, of random numbers between 0 and 1, in units: {name: (lengths, repeats)}."""
    x = np.random.default_rng(0).random((max(lengths), repeats), np.float32)
    exact = {n: x[:n].sum(axis=0, dtype=np.float64) for n in lengths}
    return {name: np.array([np.abs(add_up(x[:n]) / exact[n] - 1) / UNIT for n in lengths])
            for name, add_up in SUMS.items()}


def nearest_pair(x: Array) -> float:
    """The smallest distance between two of the numbers."""
    best = np.inf
    for i in range(x.size):
        for j in range(i):
            best = min(best, abs(x[i] - x[j]))
    return best


def compiled(function: Callable[..., Any], fastmath: Any = False) -> Callable[..., Any]:
    """The function, to be compiled by numba at its first call.

    fastmath : what the compiler may do to real numbers' arithmetic: True, False, or the names of LLVM's flags
    """
    import numba
    return numba.njit(function, fastmath=fastmath)


def has_nan(x: Array) -> bool:
    """A NaN is the one number that is not equal to itself."""
    for value in x:
        if value != value:
            return True
    return False


# Figures

def draw_roofline(ax: Axes, peak: float, bandwidth: float, points: Mapping[str, tuple[float, float]]) -> None:
    """The roof on logarithmic axes, and points {name: (operations per byte, operations per second)}."""
    x = np.geomspace(0.06, 400, 100)
    ridge = peak / bandwidth
    ax.loglog(x, roof(x, peak, bandwidth) / 1e9, color=INK)
    ax.axvline(ridge, color=MUTED, linewidth=0.8, linestyle=":")
    for i, (name, (intensity, speed)) in enumerate(points.items()):
        ax.plot(intensity, speed / 1e9, "osD^v"[i % 5], color=(BLUE, ORANGE)[intensity < ridge], markersize=7,
                label=name)
    lowest = min(0.01 * bandwidth, *(0.7 * rate for _, rate in points.values()))
    ax.set(xlabel="operations per byte", ylabel="10⁹ operations per second", ylim=(1e-9 * lowest, 2e-9 * peak))
    ax.legend(frameon=False, fontsize="x-small", loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)


def draw_sums(lengths: Array, errors: Mapping[str, Array]) -> None:
    """The mean errors of SUMS, and the bounds, on pyplot's figure.   [lesson 12, eq. 12.10]"""
    import matplotlib.pyplot as plt
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for (name, each), color in zip(errors.items(), (ORANGE, BLUE, GREEN)):
        ax.loglog(lengths, each.mean(axis=1), "o-", color=color, label=name)
    for name, bound, color in (("in order", lengths - 1, ORANGE), ("in pairs", np.log2(lengths), BLUE)):
        ax.loglog(lengths, bound, "--", color=color, label=f"at most, {name}")
    ax.set(xlabel="numbers in the sum", ylabel="relative error, in u", title="the order of a sum decides what it loses")
    ax.legend(frameon=False, fontsize="small", loc="upper left")
    ax.spines[["top", "right"]].set_visible(False)


def draw_layer(ax: Axes, batch: int, peak: float, bandwidth: float, known: Mapping[int, Any]) -> None:
    """The roofline with a layer's work at this batch, from those known, else measured."""
    draw_roofline(ax, peak, bandwidth, known.get(batch) or layer(batch))
    ax.set_title(f"batch {batch}", fontsize=10)


# Who does what when, in kernels/second_thread.py: for each thread (when it begins, when it ends, what), and messages:
# (what is written, by which thread, when, and when the other one sees it).
Scene = tuple[dict[str, tuple[tuple[float, float, str], ...]], tuple[tuple[str, int, float, float], ...]]
AWAKE: Scene = (
    {"the caller": ((0, 1, "writes the job\nJOB += 1"), (1, 4, "half 0"), (4, 5.2, "claims half 1:\ntaken"),
                    (5.2, 6.2, "waits")),
     "the second thread": ((0, 1.4, "looks at JOB"), (1.4, 2.4, "claims half 1:\nmine"), (2.4, 6, "half 1"))},
    (("JOB", 0, 1, 1.4), ("DONE", 1, 6, 6.2)))
LATE: Scene = (
    {"the caller": ((0, 1, "writes the job\nJOB += 1"), (1, 4, "half 0"), (4, 5.2, "claims half 1:\nmine"),
                    (5.2, 8, "half 1")),
     "the second thread": ((0, 6, "the system lets it wait"), (6, 7.2, "claims half 1:\ntaken"),
                           (7.2, 8, "looks at\nJOB"))},
    (("JOB", 0, 1, 6),))


def draw_protocol() -> None:
    """Two bars over time, the caller's and the second thread's, on pyplot's figure: above it is awake, below late."""
    import matplotlib.pyplot as plt
    _, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
    for ax, (threads, messages), title in zip(axes, (AWAKE, LATE), (
            "The second thread is awake: each does a half", "It comes too late: nobody waits for it")):
        for row, spans in enumerate(threads.values()):
            for start, end, what in spans:
                works = what.startswith("half")
                ax.barh(-row, end - start, left=start, height=0.5, color=(BLUE, ORANGE)[row] if works else "white",
                        edgecolor=INK, linewidth=0.8)
                ax.text((start + end) / 2, -row, what, ha="center", va="center", fontsize=8,
                        color="white" if works and not row else INK)
        for name, sender, sent, seen in messages:
            edges = -0.25, -0.75    # of the caller's bar and the second thread's, where they face each other
            ax.annotate("", (seen, edges[1 - sender]), (sent, edges[sender]),
                        arrowprops={"arrowstyle": "->", "color": MUTED})
            ax.text((sent + seen) / 2 + 0.08, -0.45, name, fontsize=8, color=MUTED, va="center")
        ax.set(yticks=[0, -1], yticklabels=list(threads), xticks=[], xlim=(-0.02, 8.02), ylim=(-1.4, 0.4))
        ax.set_title(title, fontsize=10)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    axes[1].set_xlabel("time →")
