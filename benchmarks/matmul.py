"""The matrix product: ours against NumPy's BLAS, each on one thread, for every product of the models and 40 others.

    python -m benchmarks.matmul
"""
from __future__ import annotations

import importlib
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from numpyvae.kernels import matmul
from numpyvae.kernels.jit import jit
from numpyvae.kernels.processor import decide

from .results import table, write_section

affine = importlib.import_module("numpyvae.functional.affine")    # numpyvae.functional.affine is the function
ON_PAPER = {"three loops": matmul.matmul_three_loops, "reordered": matmul.matmul_reordered}
SECONDS, FEWEST = 0.5, 30    # what a shape is measured for, and the least number of turns
Run = Callable[[], object]
Shape = tuple[str, tuple[int, int, int], str]    # name, (M, K, N), which of a and b is a transposed view


def dense(batch: int, n_in: int, n_out: int) -> list[Shape]:
    """The three products of a dense layer."""
    return [(f"x W, batch {batch}", (batch, n_in, n_out), ""), (f"x^T dy, batch {batch}", (n_in, batch, n_out), "a"),
            (f"dy W^T, batch {batch}", (batch, n_out, n_in), "b")]


def convolution(batch: int, side: int, n_in: int, n_out: int) -> list[Shape]:
    """Those of a convolution with windows of 3 x 3 and stride 2, for images of side x side channels."""
    places, numbers = batch * (side // 2)**2, 9 * n_in
    return [(f"windows W, {n_in} -> {n_out}", (places, numbers, n_out), ""),
            (f"dy W^T, {n_in} -> {n_out}", (places, n_out, numbers), "b")]


SHAPES = [shape for batch in (20, 128, 1024) for sizes in ((784, 400), (400, 784), (400, 20), (20, 400))
          for shape in dense(batch, *sizes)] + convolution(128, 28, 1, 32) + convolution(128, 14, 32, 64)


def random_shapes(rng: np.random.Generator) -> list[Shape]:
    """40 of them, each side between 8 and 1,024 and as often small as large."""
    sides = np.exp(rng.uniform(np.log(8), np.log(1024), (40, 3))).astype(int)
    return [("random", (int(M), int(K), max(16, int(N))), ("", "a", "b")[i % 3]) for i, (M, K, N) in enumerate(sides)]


def main() -> None:
    rng = np.random.default_rng(0)
    with threadpool_limits(1):    # and so our loops are asked wherever they are faster
        if decide().tile is None:
            raise SystemExit(f"BLAS multiplies here: {decide().why}")
        rows, ratios = measure(SHAPES, rng)
        random_rows, random_ratios = measure(random_shapes(rng), rng)
        paper = on_paper(rng)
    blas = next(info for info in threadpool_info()    # SciPy, which numba loads, has a BLAS of its own
                if info["user_api"] == "blas" and "numpy" in info["filepath"])
    head = ["product", "M x K x N", "BLAS", "ours", "ours / BLAS (quartiles)"]
    write_section(f"The matrix product, BLAS for {blas['architecture']}", "python -m benchmarks.matmul", f"""
GFLOP/s in float32 on one thread, in turns of one product each, medians.  BLAS is {blas['internal_api']}
{blas['version']} with its routines for {blas['architecture']}; `OPENBLAS_CORETYPE` chooses others.  Ours:
{decide().why}.  Where `functional/affine.py` leaves a shape to BLAS, the last two columns say so.
{paper}

{table(head, rows)}

The models' products: {summary(ratios)}.  Forty random ones: {summary(random_ratios)}.

{table(head, random_rows)}
""")


def measure(shapes: list[Shape], rng: np.random.Generator) -> tuple[list[list[str]], list[float]]:
    """A row of the table for each shape, and ours over BLAS where ours multiplies."""
    rows, ratios = [], []
    for name, (M, K, N), transposed in shapes:
        a, b = matrix(rng, M, K, transposed == "a"), matrix(rng, K, N, transposed == "b")
        out = np.empty((M, N), np.float32)
        work: dict[str, Run] = {"BLAS": lambda: np.matmul(a, b, out=out)}
        if affine.multiplier(a, b, out) is not np.matmul:
            work["ours"] = lambda: affine.matmul(a, b, out)
        times = turns(work)
        row = [name, f"{M} x {K} x {N}", *(f"{2e-9 * M * K * N / np.median(each):.0f}" for each in times.values())]
        if "ours" in times:
            low, middle, high = np.quantile(times["BLAS"] / times["ours"], [0.25, 0.5, 0.75])
            row.append(f"{middle:.2f} ({low:.2f} - {high:.2f})")
            ratios.append(middle)
        else:
            row += ["BLAS's", "-"]
        rows.append(row)
    return rows, ratios


def turns(work: dict[str, Run]) -> dict[str, np.ndarray]:
    """Seconds of each run, one of each workload in turn; there are no threads that `interleave` would have to wake."""
    for run in work.values():
        run()    # compiles
    times: dict[str, list[float]] = {name: [] for name in work}
    start = time.perf_counter()
    while time.perf_counter() < start + SECONDS or min(map(len, times.values())) < FEWEST:
        for name, run in work.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: np.array(seconds) for name, seconds in times.items()}


def on_paper(rng: np.random.Generator) -> str:
    """A sentence on the loops that come before the tile."""
    a, b, out = matrix(rng, 128, 784), matrix(rng, 784, 400), np.empty((128, 400), np.float32)
    work = {name: (lambda kernel=jit(kernel): kernel(a, b, out)) for name, kernel in ON_PAPER.items()}
    times = turns(work)
    speeds = " and ".join(f"{name} {2e-9 * 128 * 784 * 400 / np.median(times[name]):.1f}" for name in ON_PAPER)
    return f"The loops on paper, 128 x 784 x 400: {speeds}."


def summary(ratios: list[float]) -> str:
    below = sum(ratio < 1 for ratio in ratios)
    return (f"ours multiplies {len(ratios)}, ours / BLAS {min(ratios):.2f} to {max(ratios):.2f}, in the median "
            f"{np.median(ratios):.2f}, below 1 in {below}")


def matrix(rng: np.random.Generator, rows: int, columns: int, transposed: bool = False) -> np.ndarray:
    if transposed:
        return rng.standard_normal((columns, rows), dtype=np.float32).T
    return rng.standard_normal((rows, columns), dtype=np.float32)


if __name__ == "__main__":
    main()
