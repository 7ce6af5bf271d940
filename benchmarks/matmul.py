"""The matrix product, three ways in numba and once in NumPy's BLAS, on one thread and as the project calls it.

    python -m benchmarks.matmul
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from numpyvae.kernels import matmul
from numpyvae.kernels.jit import jit

from .interleave import interleave, ratio
from .results import table, write_section

# name, (M, K, N), which of a and b is a transposed view: the products of layers 784 -> 400 and back, and small batches
SHAPES = [("x W", (128, 784, 400), ""), ("x^T dy", (784, 128, 400), "a"), ("dy W^T", (128, 400, 784), "b"),
          ("x W, batch 20", (20, 784, 400), ""), ("x W, batch 20, 200 wide", (20, 784, 200), ""),
          ("dy W^T, batch 20", (20, 784, 400), "b"), ("dy W^T, batch 20, 200 wide", (20, 784, 200), "b")]
BLAS = ["BLAS, one thread", "BLAS, both threads"]
KERNELS = {"three loops": matmul.matmul_three_loops, "reordered": matmul.matmul_reordered, "tiled": matmul.matmul_tiled}


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for name, (M, K, N), transposed in SHAPES:
        a = matrix(rng, M, K, transposed == "a")
        b = matrix(rng, K, N, transposed == "b")
        copy, out = np.ascontiguousarray(b), np.empty((M, N), np.float32)
        work: dict[str, Callable[[], object]] = {
            label: (lambda kernel=jit(kernel): kernel(a, copy, out)) for label, kernel in KERNELS.items()}
        if transposed == "b":
            by_rows = jit(matmul.matmul_rows)
            work["tiled"] = lambda: by_rows(a, b.T, out)
        work[BLAS[1]] = lambda: np.matmul(a, b, out=out)
        times = interleave(work, rounds=10)
        with threadpool_limits(1):
            times |= {BLAS[0]: interleave({"": work[BLAS[1]]}, rounds=10)[""]}
            times |= {"tiled again": interleave({"": work["tiled"]}, rounds=10)[""]}
        speed = {label: f"{2e-9 * M * K * N / np.median(seconds):.1f}" for label, seconds in times.items()}
        rows.append([name, f"{M} x {K} x {N}", *(speed[label] for label in (*KERNELS, *BLAS)),
                     f"{ratio(times, BLAS[0], 'tiled again')[0]:.2f}", f"{ratio(times, BLAS[1], 'tiled')[0]:.2f}"])
    blas = next(info for info in threadpool_info()    # SciPy, which numba loads, has a BLAS of its own
                if info["user_api"] == "blas" and "numpy" in info["filepath"])
    head = ["product", "M x K x N", *KERNELS, *BLAS, "tiled / BLAS on one", "tiled / BLAS on both"]
    title = f"The matrix product, BLAS for {blas['architecture']}"
    write_section(title, "python -m benchmarks.matmul", f"""
GFLOP/s in float32, medians; ours run on one thread.  BLAS is {blas['internal_api']} {blas['version']} with its
routines for {blas['architecture']}; `OPENBLAS_CORETYPE` chooses others.  "Tiled" is `matmul_tiled`, for dy W^T
`matmul_rows`; the other loops are given a copy of W^T.

{table(head, rows)}
""")


def matrix(rng: np.random.Generator, rows: int, columns: int, transposed: bool) -> np.ndarray:
    if transposed:
        return rng.standard_normal((columns, rows), dtype=np.float32).T
    return rng.standard_normal((rows, columns), dtype=np.float32)


if __name__ == "__main__":
    main()
