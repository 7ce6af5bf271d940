"""Where the time of a training step goes: how much of it the matrix products leave to everything else.

    python -m benchmarks.profile

Every twin and every matrix product is timed at its call, in the middle of a step, with the caches as the step leaves
them; what remains of the step is Python between the calls.  float32, forward + backward + Adam.
"""
from __future__ import annotations

import contextlib
import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

import numpyvae as nv
from numpyvae.nn import convolution
from numpyvae.twin import Twin

from .floor import conv_products, matrix_products, network_name, step_of
from .interleave import interleave, near_rounds
from .results import table, title_with_choices, write_section

STEPS, ROUNDS = 50, 20
DENSE = [((400,), 20, 128), ((400,), 20, 20), ((200, 200), 50, 20), ((400,), 20, 1024)]    # hidden, latent, batch
CONV_LATENT, CONV_BATCH = 16, 128
PRODUCTS, BETWEEN = "matrix products", "between the calls"
PARTS = {    # what a twin's module is for
    "functional.affine": PRODUCTS,
    "optimizers": "Adam",
    "functional.activations": "biases, activations",
    "functional.likelihoods": "likelihood",
    "functional.gaussian": "KL, z",
    "functional.convolution": "windows",
}


def main() -> None:
    rows = []
    for name, vae, batch, floor in works():
        step = step_of(vae, batch, np.random.default_rng(0))
        times = interleave({"step": step, "floor": floor}, ROUNDS)
        parts = profile(step)
        whole = sum(parts.values())
        rows.append([name, batch, f"{1e3 * np.median(times['step']):.2f}", f"{1e3 * np.median(times['floor']):.2f}",
                     *(f"{1e3 * parts[part]:.3f} ({parts[part] / whole:.0%})"
                       for part in (*PARTS.values(), BETWEEN))])
    write_section(title_with_choices("Where a step's time goes"), "python -m benchmarks.profile", f"""
Milliseconds; medians over {STEPS * ROUNDS} steps.  "Floor" is the matrix products alone, over and over, so they find
their operands in the caches.  The columns after it are the parts of a step, each timed at its calls, and their shares.

{table(["network", "batch", "step", "floor", *PARTS.values(), BETWEEN], rows)}
""")


def works() -> Iterator[tuple[str, nv.VAE, int, Callable[[], None]]]:
    rng = np.random.default_rng(0)
    for hidden, n_latent, batch in DENSE:
        yield (network_name(hidden, n_latent), nv.VAE.dense(784, hidden, n_latent, rng=rng), batch,
               matrix_products(hidden, n_latent, batch))
    yield "convolutional", nv.VAE.conv(n_latent=CONV_LATENT, rng=rng), CONV_BATCH, conv_products(CONV_BATCH)


def profile(step: Callable[[], None]) -> dict[str, float]:
    """Seconds of each part of a step, medians over the steps."""
    spent: dict[str, float] = defaultdict(float)

    def parts_of_a_step() -> list[float]:
        spent.clear()
        start = time.perf_counter()
        step()
        whole = time.perf_counter() - start
        spent[BETWEEN] = whole - sum(spent.values())
        return [spent[part] for part in (*PARTS.values(), BETWEEN)]
    with timed_calls(spent):
        rounds = near_rounds(lambda: [parts_of_a_step() for _ in range(STEPS)], ROUNDS)
    return dict(zip((*PARTS.values(), BETWEEN), np.median(np.concatenate(rounds), axis=0).tolist()))


@contextlib.contextmanager
def timed_calls(spent: dict[str, float]) -> Iterator[None]:
    """Within the block the time of every kernel and every product is added to its part."""
    run_kernel, multiply = Twin._run_kernel, convolution.matmul

    def timed_kernel(twin: Twin[Any, Any], values: tuple[Any, ...]) -> Any:
        start = time.perf_counter()
        result = run_kernel(twin, values)
        if not twin.compiled:    # it is made of products and other kernels, which are timed by themselves
            return result
        spent[PARTS[twin.reference.__module__.removeprefix("numpyvae.")]] += time.perf_counter() - start
        return result

    def timed_product(*args: Any, **out: Any) -> Any:
        start = time.perf_counter()
        result = multiply(*args, **out)
        spent[PRODUCTS] += time.perf_counter() - start
        return result

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Twin, "_run_kernel", timed_kernel))
        functional = (importlib.import_module(f"numpyvae.functional.{name}") for name in ("affine", "dense"))
        for module in (convolution, *functional):
            stack.enter_context(mock.patch.object(module, "matmul", timed_product))
        yield


if __name__ == "__main__":
    main()
