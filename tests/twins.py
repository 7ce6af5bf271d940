"""Arguments for any twin, made from the shapes that it declares."""
import numpy as np

from numpyvae.functional.convolution import conv_size
from numpyvae.gradcheck.pairs import EXAMPLE_PAIRS, example_of
from numpyvae.kernels.jit import jit
from numpyvae.twin import ANY_SHAPE, is_array, registry

LETTERS = "BDZIONPSHWKLCQJ"
READ_TOO = ("y", "values", "mean", "square")    # updated in place; any other buffer is filled from scratch


def lengths(*sizes):
    """A length for each axis letter: the sizes in turn; a window (K, L) is no larger than the image (H, W)."""
    made = {letter: sizes[i % len(sizes)] for i, letter in enumerate(LETTERS)}
    return made | {"K": min(made["K"], made["H"]), "L": min(made["L"], made["W"])}


def arguments(twin, lengths, dtype, rng):
    """One argument for each parameter of a twin, by name; buffers to be written to hold NaN."""
    if any("K L" in spec for spec in twin.shapes.values() if is_array(spec)):    # six axes would fill the memory
        lengths = {letter: min(n, 20 if letter == "C" else 6) for letter, n in lengths.items()}
    pairs = iter(EXAMPLE_PAIRS)
    others = {name: example_of(spec, pairs) for name, spec in twin.shapes.items() if not is_array(spec)}
    if twin.name.endswith(("conv2d_backward", "conv_transpose2d_backward")):    # as many places as the window has
        lengths |= {places: conv_size(lengths[side], lengths[kernel], others["stride"][i], others["padding"][i])
                    for i, (places, side, kernel) in enumerate(("PHK", "QWL"))}
    made = {}
    for name, spec in twin.shapes.items():
        if not is_array(spec):
            made[name] = others[name]
            continue
        fixed, _, axes = spec.rpartition(":")
        letters = ["B", "D"] if axes == ANY_SHAPE else axes.split()
        shape = [lengths[axis[-1]] * int(axis[:-1] or 1) for axis in letters]
        if fixed == "uint8":
            made[name] = rng.integers(0, 255, shape).astype(np.uint8)
        elif fixed == "int64":
            made[name] = rng.integers(0, lengths["N"], shape)
        elif name in twin.writes and name not in READ_TOO:
            made[name] = np.full(shape, np.nan, dtype)
        else:
            made[name] = rng.standard_normal(shape).astype(dtype)
    if "square" in made:    # Adam's running mean of squares
        made["square"] = np.abs(made["square"])
    return made


def compiled(twin):
    """The kernel as it runs: compiled by numba, unless it calls BLAS."""
    return jit(twin.kernel) if twin.compiled else twin.kernel


def copies(made):
    return [value.copy() if isinstance(value, np.ndarray) else value for value in made.values()]


def as_tuple(result):
    """Results as a tuple, without the None for what was not asked for."""
    return tuple(one for one in result if one is not None) if isinstance(result, tuple) else (result,)


def all_twins():
    """The registry, by readable names."""
    return {key.removeprefix("numpyvae.").removeprefix("functional."): twin for key, twin in registry.items()}


def twins_with_kernels():
    """All but those that are made of other twins."""
    return {name: twin for name, twin in all_twins().items() if twin.kernel is not None}
