"""A training step beside its own matrix products, and beside the same step in other frameworks.

    python -m benchmarks.step

Everything is float32, forward + backward + Adam, in turn, each in a process of its own.  Without the extra `bench`
(torch, jax) only the floor is measured.
"""
from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .floor import matrix_products, network_name, training_step
from .interleave import Run, interleave_apart, spread
from .peers import jax_step, torch_step
from .results import table, title_with_choices, write_section

WORK = [((400,), 20, 128), ((400,), 20, 20), ((200, 200), 50, 20), ((400,), 20, 1024)]    # hidden, latent, batch
PEERS: dict[str, tuple[str, Callable[..., Run]]] = {
    "PyTorch eager": ("torch", torch_step),
    "PyTorch compiled": ("torch", functools.partial(torch_step, compiled=True)),
    "JAX jit": ("jax", jax_step),
}


def main() -> None:
    rows, bounds = [], []
    for hidden, n_latent, batch in WORK:
        makers = steps(hidden, n_latent, batch)
        peers = [name for name in makers if name in PEERS]
        times = interleave_apart(makers)
        network = network_name(hidden, n_latent)
        rows.append([network, batch, f"{1000 * np.median(times['numpyvae']):.2f}",
                     *(spread(times, name, "numpyvae") for name in ("floor", *peers))])
        bounds.append([network, batch, *(spread(times, name, "floor") for name in peers)])
    write_section(title_with_choices("A training step"), "python -m benchmarks.step", f"""
"Floor": the step's share of the speed of its matrix products alone (1 would be a step that does nothing else).
The frameworks' columns: how many times as long as ours their step takes.  Medians over the rounds, and the quartiles.

{table(["network", "batch", "ms a step", "floor", *peers], rows)}
{_bounds(peers, bounds)}""", ["numpy", "numba", "torch", "jax"])


def _bounds(peers: list[str], rows: list[list[Any]]) -> str:
    return f"""
What bounds them: how many times as long as the products alone the frameworks' steps take.  A step that leaves its
products to NumPy cannot be ahead by more.

{table(["network", "batch", *peers], rows)}
""" if peers else ""


def steps(hidden: Sequence[int], n_latent: int, batch: int) -> dict[str, Callable[[], Run]]:
    """Makers of our training step, of its matrix products, and of the step in every framework that is installed."""
    makers: dict[str, Callable[..., Run]] = {"numpyvae": training_step, "floor": matrix_products}
    makers |= {name: make for name, (module, make) in PEERS.items() if importlib.util.find_spec(module)}
    return {name: functools.partial(make, hidden, n_latent, batch) for name, make in makers.items()}


if __name__ == "__main__":
    main()
