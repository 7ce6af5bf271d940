"""The same bits: one seed in fresh processes, with other thread counts, with and without cached kernels.

    python -m benchmarks.bits
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from .results import table, write_section

# Draws the data too, so that everything a run is made of is in the hash.
TRAIN = """
import json
import sys
import numpy as np
import numpyvae as nv
rng = np.random.default_rng(int(sys.argv[1]))
images, _ = nv.datasets.strokes(2000, int(sys.argv[1]))
vae = {"dense": nv.VAE.dense, "conv": nv.VAE.conv}[sys.argv[2]](**json.loads(sys.argv[3]), rng=rng).astype(sys.argv[5])
records = list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=128, rng=rng, binarize="dynamic"))
numbers = np.array([[record.loss, record.nll, record.kl] for record in records])
np.savez(sys.argv[4], weights=vae.parameters.values, numbers=numbers, samples=vae.sample(10, rng))
"""
ROUNDING = 1e-12    # 1 against 2 BLAS threads in float64, relative to the largest number
NETWORKS = {"dense": dict(n_data=784, hidden=(400,), n_latent=20), "conv": dict(n_latent=16)}


def trained(network: str, folder: pathlib.Path, seed: int = 0, dtype: str = "float32",
            **environment: str) -> dict[str, np.ndarray]:
    """What a fresh process makes of a seed: weights, losses, samples."""
    path = folder / "trained.npz"
    subprocess.run([sys.executable, "-c", TRAIN, str(seed), network, json.dumps(NETWORKS[network]), str(path), dtype],
                   env={**os.environ, **environment}, check=True, capture_output=True)
    with np.load(path) as found:
        return dict(found)


def hashed(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference in losses and in weights, relative to the largest value."""
    return {name: float(np.abs(a[name] - b[name]).max() / np.abs(a[name]).max()) for name in ("numbers", "weights")}


def compare(network: str, count: int, folder: pathlib.Path) -> dict[str, Any]:
    """`count` processes with one seed; one BLAS thread against two; cached kernels against newly compiled ones."""
    threads = {dtype: difference(*(trained(network, folder, dtype=dtype, OPENBLAS_NUM_THREADS=n) for n in "12"))
               for dtype in ("float32", "float64")}
    hashes = {hashed(trained(network, folder, OPENBLAS_NUM_THREADS="2")) for _ in range(count)}
    cold = hashed(trained(network, folder, OPENBLAS_NUM_THREADS="2", NUMBA_CACHE_DIR=str(folder / "empty" / network)))
    return {"hashes": hashes, "cold": cold, "threads": threads,
            "other seed": hashed(trained(network, folder, seed=1, OPENBLAS_NUM_THREADS="2"))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bits", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="processes with one seed")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for network in NETWORKS:
            found = compare(network, options.count, pathlib.Path(folder))
            rows.append([network, len(found["hashes"]), "yes" if {found["cold"]} == found["hashes"] else "NO",
                         "yes" if found["other seed"] not in found["hashes"] else "NO",
                         *(f"{found['threads'][dtype][name]:.1e}"
                           for dtype in ("float32", "float64") for name in ("numbers", "weights"))])
    head = ["network", f"hashes of {options.count} processes", "same with kernels compiled anew",
            "another seed gives another", "losses, 1 against 2 BLAS threads", "weights, likewise",
            "losses in float64", "weights in float64"]
    write_section("The same bits", f"python -m benchmarks.bits --count {options.count}", f"""
2,000 strokes drawn, two epochs, ten samples, in a fresh process each; SHA-256 of weights, losses and samples.  The last
four columns are the largest difference, relative to the largest loss or weight.  BLAS adds in another order with
another number of threads, and Adam makes a step of full size out of a gradient that is nothing but rounding: how far
float32 drifts apart depends on the seed and on the machine's BLAS.  That it is rounding and nothing else shows in
float64, where tests hold losses and weights to {ROUNDING:g}.

{table(head, rows)}
""")


if __name__ == "__main__":
    main()
