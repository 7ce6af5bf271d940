"""numpyvae info"""
from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

import numpyvae as nv

from ..kernels.processor import FEW, blas_threads, decide, threads
from ..twin import kernels_are_on


def add_info(commands: Any) -> None:
    info = commands.add_parser(
        "info", help="what runs here: versions, the processor, who multiplies", example="numpyvae info",
        description="Print what the speed and the last bits of a result depend on; worth adding to a report of a "
                    "fault.")
    info.set_defaults(run=run_info)


def run_info(options: argparse.Namespace) -> int:
    """numpyvae info"""
    for name, what in facts().items():
        print(f"{name + ':':<12} {what}")
    return 0


def facts() -> dict[str, str]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    if kernels_are_on():
        kernels = f"on, compiled by numba {importlib.metadata.version('numba')}, threads: {threads()}"
    else:
        off = os.environ.get("NUMPYVAE_KERNELS") == "0"
        kernels = f"off: {'NUMPYVAE_KERNELS is 0' if off else 'numba is not installed'}"
    return {
        "numpyvae": nv.__version__,
        "Python": f"{platform.python_version()} on {platform.system()}, {platform.machine()}",
        "NumPy": f"{np.__version__}, with {blas['name']} {blas.get('version', '')}".rstrip(),
        "cores": f"{os.cpu_count()}, of which BLAS may use {blas_threads()}",
        "kernels": kernels,
        "products": who_multiplies() if kernels_are_on() else "by BLAS: kernels are off"}


def who_multiplies() -> str:
    """A sentence on the matrix products."""
    tile, sizes, why = decide()
    if tile is None:
        return f"by BLAS: {why}"
    who = "by BLAS, dy W^T of few rows by our loop" if sizes == FEW else f"by our tiles of {tile.name}, float64 by BLAS"
    return f"{who}: {why}"
