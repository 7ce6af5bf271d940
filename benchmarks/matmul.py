"""The matrix product, three times in numba and once in NumPy's BLAS, on one thread and as the project calls it.

    python -m benchmarks.matmul          needs threadpoolctl (extra `bench`)
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from numpyvae.kernels import matmul
from numpyvae.kernels.jit import jit

from .interleave import interleave, ratio
from .results import table, write_section

# name, (M, K, N), whether a is a transposed view: the products of a layer 784 -> 400 at batch 128, and of small batches
SHAPES = [("x W", (128, 784, 400), False), ("x^T dy", (784, 128, 400), True), ("dy W^T", (128, 400, 784), False),
          ("x W, batch 20", (20, 784, 400), False), ("x W, batch 20, 200 wide", (20, 784, 200), False)]
BLAS = ["BLAS, one thread", "BLAS, both threads"]
KERNELS = {"three loops": matmul.matmul_three_loops, "reordered": matmul.matmul_reordered, "tiled": matmul.matmul_tiled}


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for name, (M, K, N), transposed in SHAPES:
        a = rng.standard_normal((K, M) if transposed else (M, K), dtype=np.float32)
        a, b = a.T if transposed else a, rng.standard_normal((K, N), dtype=np.float32)
        out = np.empty((M, N), np.float32)
        work: dict[str, Callable[[], object]] = {
            label: (lambda kernel=jit(kernel): kernel(a, b, out)) for label, kernel in KERNELS.items()}
        work[BLAS[1]] = lambda: np.matmul(a, b, out=out)
        times = interleave(work, rounds=10)
        with threadpool_limits(1):
            times |= {BLAS[0]: interleave({"": work[BLAS[1]]}, rounds=10)[""]}
            times |= {"tiled again": interleave({"": work["tiled"]}, rounds=10)[""]}
        speed = {label: f"{2e-9 * M * K * N / np.median(seconds):.1f}" for label, seconds in times.items()}
        rows.append([name, f"{M} x {K} x {N}", *(speed[label] for label in (*KERNELS, *BLAS)),
                     f"{ratio(times, BLAS[0], 'tiled again')[0]:.2f}", f"{ratio(times, BLAS[1], 'tiled')[0]:.2f}"])
    blas = next(info for info in threadpool_info() if info["user_api"] == "blas")
    head = ["product", "M x K x N", *KERNELS, *BLAS, "tiled / BLAS on one", "tiled / BLAS on both"]
    title = f"The matrix product, BLAS for {blas['architecture']}"
    write_section(title, "python -m benchmarks.matmul", f"""
GFLOP/s in float32, medians; ours run on one thread.  BLAS is {blas['internal_api']} {blas['version']} with its
routines for {blas['architecture']}; `OPENBLAS_CORETYPE` chooses others.

{table(head, rows)}
""")


if __name__ == "__main__":
    main()
