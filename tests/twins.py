"""Arguments for any twin, from the shapes that it declares."""
import numpy as np

from numpyvae.twin import ANY_SHAPE, NUMBER, registry

LETTERS = "BDZIONPSHW"
READ_TOO = ("y", "values", "mean", "square")    # written over what they hold; any other buffer is filled anew


def lengths(*sizes):
    """A length for each axis letter: the sizes in turn."""
    return {letter: sizes[i % len(sizes)] for i, letter in enumerate(LETTERS)}


def arguments(twin, lengths, dtype, rng):
    """One argument for each parameter of a twin, by name; buffers to be written to hold NaN."""
    made = {}
    for name, spec in twin.shapes.items():
        if spec == NUMBER:
            made[name] = 0.7
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
    if {"radius", "ink"} <= set(made):
        for name in ("x0", "y0", "x1", "y1"):
            made[name] = (made[name] * 3 + 4).astype(dtype)
        made["radius"] = np.abs(made["radius"])
    return made


def copies(made):
    return [value.copy() if isinstance(value, np.ndarray) else value for value in made.values()]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def all_twins():
    """The registry, by readable names."""
    return {key.removeprefix("numpyvae.").removeprefix("functional."): twin for key, twin in registry.items()}
