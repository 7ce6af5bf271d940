"""What a user waits for before anything happens, and how much memory a run takes.

    NUMPYVAE_DATA=<folder of MNIST> python -m benchmarks.startup
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

import numpy as np

from .results import table, write_section

IMPORT = "import time; t = time.perf_counter(); import numpyvae; print(time.perf_counter() - t)"
FIRST_STEP = """
import numpy as np, numpyvae as nv, time
rng = np.random.default_rng(0)
vae = nv.VAE.dense(784, (400,), 20, rng=rng)
x, eps = rng.random((128, 784), np.float32), rng.standard_normal((128, 20), np.float32)
adam, t = nv.Adam(1e-3), time.perf_counter()
vae.loss_and_grad(x, eps)
adam.step(vae.parameters)
print(time.perf_counter() - t)
"""
MEMORY = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "numpyvae", "train", "--data", "mnist", "--epochs", "1", "--out", sys.argv[1]],
               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def number(program: str, *arguments: str, **environment: str) -> float:
    """The number that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], env={**os.environ, **environment}, check=True,
                          capture_output=True, text=True)
    return float(re.findall(r"[\d.e+-]+", done.stdout)[-1])


def main() -> None:
    rows = [["import numpyvae", f"{np.median([number(IMPORT) for _ in range(9)]):.2f} s", "0.25 s"]]
    with tempfile.TemporaryDirectory() as folder:
        cold = number(FIRST_STEP, NUMBA_CACHE_DIR=folder)
        warm = np.median([number(FIRST_STEP, NUMBA_CACHE_DIR=folder) for _ in range(5)])
        rows += [["first step, no kernel compiled yet", f"{cold:.1f} s", "15 s"],
                 ["first step, kernels in the cache", f"{warm:.2f} s", "1 s"]]
        try:
            peak = number(MEMORY, folder)
            rows.append(["peak memory of `numpyvae train --data mnist`", f"{peak / 1e6:.0f} MB", "400 MB"])
        except subprocess.CalledProcessError:
            print("MNIST was not found: set NUMPYVAE_DATA; its memory is left out", file=sys.stderr)
    write_section("Start-up and memory", "python -m benchmarks.startup", f"""
Each in a fresh process; medians, except where it says "first".

{table(["what", "measured", "to stay below"], rows)}
""")


if __name__ == "__main__":
    main()
