"""From a class, a function or "FILE.py:NAME" to objects and inputs on which a backward pass can be tried.

What a parameter is, its name tells: one table of names says which value it gets.  Three conventions are tried in turn:
examples in rows, x (B, I) and W (I, O); in columns, x (I, B) and W (O, I); images, x (B, I, height, width).
"""
from __future__ import annotations

import contextlib
import importlib.util
import inspect
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..time_limit import TimeUp
from .parts import Array, attributes_of

BATCH, N_IN, N_OUT = 4, 7, 5    # all different, so that no transpose goes unnoticed
IMAGES, TIMES, WINDOW = (8, 6), 3, 3
CONVENTIONS = ("rows", "columns", "images")

FORWARD = ("forward", "forward_pass", "forward_propagation", "forwardprop", "fprop", "__call__")
BACKWARD = ("backward", "backward_pass", "backward_propagation", "backwardprop", "backprop", "bprop")
FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "jax": "JAX", "flax": "Flax",
              "equinox": "Equinox", "mxnet": "MXNet", "paddle": "Paddle", "tinygrad": "tinygrad"}

# The names of parameters, without _ and in small letters.
SIZES_IN = {"nin", "ninputs", "ninput", "infeatures", "inputsize", "indim", "inputdim", "inchannels", "fanin", "din",
            "sizein", "insize", "nchannels", "numfeatures", "nfeatures", "dim", "size", "features", "vocabsize",
            "numembeddings"}
MATRICES = {"w", "weight", "weights", "kernel", "theta", "wx", "filters", "wxh"}
SQUARES = {"wh", "whh", "u"}
BIASES = {"b", "bias", "biases"}
VECTORS = {"gamma", "beta", "scale", "shift", "slope"}
STATES = {"h", "prevh", "hprev", "h0", "state", "hidden"}
FLAGS = {"training", "train", "trainflg", "istraining", "trainmode"}
RATES = {"p", "rate", "dropout", "dropoutratio", "droprate", "keepprob", "prob", "alpha", "momentum", "negativeslope"}
LABELS = {"t", "label", "labels", "target", "targets", "ytrue", "ytarget", "classes"}
STEPS = {"learningrate", "learnrate", "lr", "eta", "alpha", "stepsize"}
CACHES = {"cache", "caches", "ctx", "context", "memory", "saved"}
NOISE, FUNCTIONS = {"rng", "generator", "randomstate"}, {"activation", "act", "nonlinearity"}
SMALL = {"stride": 1, "pad": 1, "padding": 1, "kernelsize": WINDOW, "filtersize": WINDOW, "k": WINDOW, "poolh": 2,
         "poolw": 2, "poolsize": 2, "seed": 0}
KNOWN = SIZES_IN.union(MATRICES, SQUARES, BIASES, VECTORS, STATES, FLAGS, RATES, LABELS, STEPS, NOISE, FUNCTIONS, SMALL)


class Refused(Exception):
    """A layer does not take this input, or this way of calling it; the sentence says why."""


def call(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Somebody's code, whatever it raises."""
    try:
        return function(*arguments, **options)
    except (KeyboardInterrupt, TimeUp):
        raise
    except BaseException as error:
        raise Refused(f"{name} raises {said(error)}") from None


def plain(name: str) -> str:
    return name.lower().replace("_", "")


def random_values(shape: tuple[int, ...]) -> Array:
    """Away from a kink at zero, on both sides."""
    value = np.random.default_rng(1 + sum(shape)).standard_normal(shape)
    return value + np.copysign(0.1, value)


def value_for(name: str, at: int, convention: str, x: Array | None = None) -> Any:
    """The value of the parameter `name`, the `at`-th, of a constructor (x is None) or of a function of x."""
    word, columns = plain(name), convention == "columns"
    width = N_IN if x is None or not x.ndim or x.dtype.kind == "i" else x.shape[_axis_of_features(x, convention)]
    batch = BATCH if x is None or not x.ndim else x.shape[-1 if columns else 0]
    if word in MATRICES:
        return 0.5 * random_values((N_OUT, width, WINDOW, WINDOW) if convention == "images" else
                                   (N_OUT, width) if columns else (width, N_OUT))
    for words, value in (
            (SQUARES, lambda: 0.5 * random_values((N_OUT, N_OUT))),
            (BIASES, lambda: random_values((N_OUT, 1) if columns else (N_OUT,))),
            (VECTORS, lambda: 1 + 0.3 * random_values((width,))),
            (FLAGS, lambda: True), (RATES, lambda: 0.5), (STEPS, lambda: 1.0), (SIZES_IN, lambda: N_IN),
            (NOISE, lambda: np.random.default_rng(0)), (FUNCTIONS, lambda: "tanh")):
        if word in words:
            return value()
    if word in SMALL:
        return SMALL[word]
    if x is None:
        return N_IN if at == 0 else N_OUT
    if word.endswith(("param", "params", "config")):
        return {"mode": "train", "p": 0.5, "seed": 1, "stride": 1, "pad": 1, "pool_height": 2, "pool_width": 2}
    if word in LABELS or (word == "y" and at and convention != "images"):
        if word == "y" and convention == "rows":
            return random_values(x.shape[::-1]).T    # as large as x, but other numbers
        labels = np.arange(batch) % width
        return labels if convention == "rows" else np.eye(width)[labels].T if columns else np.eye(width)[labels]
    if word in STATES:
        return random_values((N_OUT, batch) if columns else (batch, N_OUT))
    return random_values(x.shape[::-1]).T if at else x


def _axis_of_features(x: Array, convention: str) -> int:
    return 1 if x.ndim == 4 else 0 if convention == "columns" else -1


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Its positional parameters; None if Python does not know them."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    return [one for one in found if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def required(function: Callable[..., Any]) -> list[str] | None:
    found = parameters_of(function)
    return None if found is None else [one.name for one in found if one.default is one.empty]


def ways_to_make(cls: type) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments for a constructor, in the order in which they are tried."""
    rng = np.random.default_rng(0)
    names = required(cls) or []
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {})]
    if names and sum(plain(name) not in KNOWN for name in names) <= 2:    # its sizes
        ways += [(tuple(value_for(name, at, way) for at, name in enumerate(names)), {}) for way in CONVENTIONS]
    for arguments, options in (*ways, ((N_IN, N_OUT), {}), ((N_IN, N_OUT), {"rng": rng})):
        with contextlib.suppress(TypeError, ValueError):
            inspect.signature(cls).bind(*arguments, **options)
            yield arguments, options


def inputs_for(forward: Callable[..., Any], widths: list[int]) -> Iterator[tuple[list[str], list[Any]]]:
    """The names and values of what forward takes, in the order in which they are tried; widths : the likely ones."""
    names = required(forward)
    if names is None:
        names = ["x"]
    if not names:    # forward(*inputs)
        names = [one.name for one in parameters_of(forward) or []][:1] or ["x"]
    shapes: list[tuple[int, ...]] = []
    for width in dict.fromkeys([*widths, N_IN]):
        shapes += [(BATCH, width), (width, BATCH), (BATCH, TIMES, width), (2, width, *IMAGES), (2, *IMAGES, width),
                   (width, 1), (width,)]
    shapes.sort(key=lambda shape: (len(shape) < 2 or shape[-1] == 1))    # one example only after all batches
    for shape, convention in itertools.product(dict.fromkeys(shapes), CONVENTIONS if len(names) > 1 else ("rows",)):
        x = random_values(shape)
        yield names, [x] + [value_for(name, 1 + at, convention, x) for at, name in enumerate(names[1:])]
    for shape in ((BATCH,), (BATCH, TIMES)):
        x = np.random.default_rng(1).integers(0, min(N_OUT, *widths, N_IN), shape)
        yield names, [x] + [value_for(name, 1 + at, "rows", x) for at, name in enumerate(names[1:])]


class Pair:
    """A function and its backward as a layer; backward takes dy, and what else by name: the cache, the inputs, y."""

    def __init__(self, f: Callable[..., Any], f_backward: Callable[..., Any]):
        self.forward, self.backward = f, f_backward


def partner(name: str, names: Any) -> str | None:
    """The name of a function's backward: f_backward for f, affine_backward for affine_forward."""
    tries = (f"{name}_backward", name.replace("forward", "backward"), name.replace("Forward", "Backward"),
             f"{name}_bwd", f"backward_{name}", f"{name}_back", f"{name}Backward")
    return next((one for one in tries if one != name and callable(names.get(one))), None)


def load(place: str) -> Any:
    """What "FILE.py:NAME" names: a class, an object, or a pair of functions.

    Raises FileNotFoundError, or ValueError for a file that cannot be run or does not define it.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not name:
        raise ValueError(f"layer is {place!r}; expected FILE.py:NAME, such as my_layer.py:MyLayer")
    path = pathlib.Path(file)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{file} does not exist; expected the file that the layer {name} is in")
    known_as = path.stem if path.stem not in sys.modules else f"own_{path.stem}"
    spec = importlib.util.spec_from_file_location(known_as, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"layer: {file} is not a Python file; expected FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(known_as)
    sys.modules[known_as] = module    # dataclasses look for their module there
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        call(file, spec.loader.exec_module, module)
    except Refused as error:
        raise ValueError(f"layer: {file} cannot be run: {str(error).removeprefix(f'{file} raises ')}; expected a file "
                         "that Python runs without an error") from None
    finally:
        sys.path[:] = sys.path[1:]
        if before is None:
            sys.modules.pop(known_as, None)
        else:
            sys.modules[known_as] = before
    names = attributes_of(module)
    if name not in names and f"{name}_forward" in names:
        name = f"{name}_forward"
    if names.get(name) is None:
        raise ValueError(f"layer: {file} does not define {name}; expected the name of a layer's class, of a layer or "
                         "of a function")
    found = names[name]
    if inspect.isclass(found) or not inspect.isfunction(found):
        return found
    backward = partner(name, names)
    if backward is None:
        raise ValueError(f"layer: {file} defines {name} but no {name}_backward; expected both, as "
                         f"{name}_backward(dy, x)")
    return found, names[backward]


def said(error: BaseException) -> str:
    """Somebody's exception, in one short line."""
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = ""
    words = words if len(words) <= 120 else words[:117] + "..."
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
