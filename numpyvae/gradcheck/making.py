"""From a class, a function or "FILE.py:NAME" to objects and inputs on which a backward pass can be tried.

What a parameter is, its name tells (names.py); how arrays lie, which form labels have and how large x is, is tried in
turn.
"""
from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import pathlib
import runpy
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .names import (BIASES, CACHES, FLAGS, FUNCTIONS, KNOWN, LABELS, MATRICES, NOISE, PREDICTIONS, RATES, SIZES_IN,
                    SMALL, SQUARES, STATES, STEPS, VECTORS, plain)
from .parts import Array, LayerError
from .time_limit import TimeUp

BATCH, N_IN, N_OUT = 4, 7, 5    # all different, so that no transpose goes unnoticed
IMAGES, TIMES, WINDOW = (8, 6), 3, SMALL["k"]


class Convention(NamedTuple):
    """Examples in rows, x (B, I) and W (I, O); in columns, x (I, B) and W (O, I); images, x (B, I, height, width)."""

    layout: str = "rows"
    labels: str = "classes"           # 0, 1, 2; "one-hot", or "numbers", as many as x has
    probabilities: bool = False       # is x between 0 and 1, with rows or columns that add up to 1?
    function: str = "tanh"            # where a parameter is an activation


FUNCTION_NAMES = ("tanh", "relu", "sigmoid")
ROWS, COLUMNS, PICTURES = Convention(), Convention("columns", "one-hot"), Convention("images", "one-hot")


class Refused(Exception):
    """A layer does not take this input, or this way of calling it; the sentence says why."""


def call(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Somebody's code, whatever it raises."""
    try:
        return function(*arguments, **options)
    except (KeyboardInterrupt, TimeUp, Refused):
        raise
    except BaseException as error:
        raise Refused(f"{name} raises {said(error)}") from None


def random_values(shape: tuple[int, ...]) -> Array:
    """Away from a kink at zero, on both sides."""
    value = np.random.default_rng(1 + sum(shape)).standard_normal(shape)
    return value + np.copysign(0.1, value)


def random_input(shape: tuple[int, ...], way: Convention) -> Array:
    value = random_values(shape)
    if way.probabilities:
        value = np.exp(value)
        value /= 1.25 * value.sum(axis=_axis_of_features(value, way), keepdims=True) if len(shape) > 1 else 10
        value += 0.2 / value.shape[_axis_of_features(value, way)]
    return value


def value_for(name: str, at: int, way: Convention, width: int, x: Array | None = None) -> Any:
    """The value of the parameter `name`, the `at`-th, of a constructor (x is None) or of a function of x.

    width : the number of features of x
    """
    word, columns = plain(name), way.layout == "columns"
    batch = BATCH if x is None or not x.ndim else x.shape[-1 if columns else 0]
    if word in MATRICES:
        return 0.5 * random_values((N_OUT, width, WINDOW, WINDOW) if way.layout == "images" else
                                   (N_OUT, width) if columns else (width, N_OUT))
    for words, value in (
            (SQUARES, lambda: 0.5 * random_values((N_OUT, N_OUT))),
            (BIASES, lambda: random_values((N_OUT, 1) if columns else (N_OUT,))),
            (VECTORS, lambda: 1 + 0.3 * random_values((width,))),
            (FLAGS, lambda: True), (RATES, lambda: 0.5), (STEPS, lambda: 1.0), (SIZES_IN, lambda: width),
            (NOISE, lambda: np.random.default_rng(0)), (FUNCTIONS, lambda: way.function)):
        if word in words:
            return value()
    if word in SMALL:
        return SMALL[word]
    if word in CACHES:
        return Context()
    if x is None:
        return width if at == 0 else N_OUT
    if word.endswith(("param", "params", "config")):
        return {"mode": "train", "p": 0.5, "seed": 1, "stride": 1, "pad": 1, "pool_height": 2, "pool_width": 2}
    if word in LABELS or word == "y":
        if way.labels == "numbers":    # as large as x, but other ones
            numbers = random_values(x.shape[::-1]).T
            return (numbers > 0).astype(float) if way.probabilities else numbers
        labels = np.random.default_rng(1).integers(min(width, N_OUT), size=batch)
        return labels if way.labels == "classes" else np.eye(width)[labels].T if columns else np.eye(width)[labels]
    if word in STATES:
        return random_values((N_OUT, batch) if columns else (batch, N_OUT))
    return random_values(x.shape[::-1]).T


def _axis_of_features(x: Array, way: Convention) -> int:
    return 1 if x.ndim == 4 else 0 if way.layout == "columns" else -1


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


def place_of_x(names: list[str]) -> int:
    """Which parameter holds the data, and no weights or labels: the second of (y_true, y_pred)."""
    words = [plain(name) for name in names]
    unknown = [word for word in words if word not in KNOWN | {"y"}]
    predictions = [word for word in words if word in PREDICTIONS]
    likely = predictions or unknown or [word for word in ("p", "y") if word in words]
    return words.index(likely[0]) if likely else 0


def are_labels(names: list[str]) -> list[bool]:
    """Which of a function's parameters hold labels; y does beside something else."""
    x = place_of_x(names)
    return [at != x and plain(name) in LABELS | {"y"} for at, name in enumerate(names)]


def ways_to_make(cls: type, x: Array | None) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments for a constructor, in the order in which they are tried; x : what it will be tried on, if known."""
    names = required(cls) or []
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {})]
    widths = {way: N_IN if x is None or not x.ndim else x.shape[_axis_of_features(x, way)]
              for way in (ROWS, COLUMNS, PICTURES)}
    if names and sum(plain(name) not in KNOWN for name in names) <= 2:    # its sizes
        has_function = any(plain(name) in FUNCTIONS for name in names)
        for function, (way, width) in itertools.product(FUNCTION_NAMES[:1 + 2 * has_function], widths.items()):
            way = way._replace(function=function)
            ways.append((tuple(value_for(name, at, way, width) for at, name in enumerate(names)), {}))
    for width in dict.fromkeys(widths.values()):
        ways += [((width, N_OUT), {}), ((width, N_OUT), {"rng": np.random.default_rng(0)})]
    for arguments, options in ways:
        with contextlib.suppress(TypeError, ValueError):
            inspect.signature(cls).bind(*arguments, **options)
            yield arguments, options


def names_of(layer: Any, forward: Callable[..., Any]) -> list[str]:
    """Of what forward needs; a network's loss(X, y=None) needs its labels too."""
    parameters = parameters_of(forward) or []
    needed = [one.name for one in parameters if one.default is one.empty or (
        isinstance(layer, Whole) and plain(one.name) in LABELS | {"y"})]
    return needed or [one.name for one in parameters[:1]] or ["x"]


def inputs_for(names: list[str], widths: list[int], is_loss: bool) -> Iterator[tuple[list[str], list[Any], Convention]]:
    """The values of what forward takes, in the order in which they are tried; widths : the likely ones."""
    shapes: list[tuple[int, ...]] = []
    for width in dict.fromkeys([*widths, N_IN]):
        shapes += [(BATCH, width), (width, BATCH), (BATCH, TIMES, width), (2, width, *IMAGES), (2, *IMAGES, width),
                   (width, 1), (width,)]
    shapes.sort(key=lambda shape: (len(shape) < 2 or shape[-1] == 1))    # one example only after all batches
    ways = [ROWS]
    if len(names) > 1:
        sure = is_loss or any(plain(name) in LABELS for name in names)
        numbers = ROWS._replace(labels="numbers")
        ways = [ROWS, numbers, ROWS._replace(labels="one-hot")] if sure else [numbers, ROWS]
        ways += [COLUMNS, PICTURES]
    if any(plain(name) in FUNCTIONS for name in names):
        ways += [way._replace(function=function) for function in FUNCTION_NAMES[1:] for way in ways]
    for probabilities, shape, way in itertools.product((False, True), dict.fromkeys(shapes), ways):
        way = way._replace(probabilities=probabilities)
        yield names, values_for(names, random_input(shape, way), way), way
    for shape in ((BATCH,), (BATCH, TIMES)):
        x = np.random.default_rng(1).integers(0, min(N_OUT, *widths, N_IN), shape)
        yield names, values_for(names, x, ROWS), ROWS


def values_for(names: list[str], x: Array, way: Convention) -> list[Any]:
    width = N_IN if not x.ndim or x.dtype.kind == "i" else x.shape[_axis_of_features(x, way)]
    return [x if at == place_of_x(names) else value_for(name, at, way, width, x) for at, name in enumerate(names)]


class Context:
    """What functions in PyTorch's style save their inputs in."""

    def save_for_backward(self, *saved: Any) -> None:
        self.saved_tensors = self.saved_values = saved


class Pair:
    """A function and its backward as a layer; backward takes dy, and what else by name: the cache, the inputs, y."""

    def __init__(self, f: Callable[..., Any], f_backward: Callable[..., Any]):
        self.forward, self.backward = f, f_backward


class Whole:
    """A function that returns (loss, gradients) as a layer."""

    def __init__(self, f: Callable[..., Any]):
        self.self = getattr(f, "__self__", None)    # the network whose method it is
        self.gradients: tuple[Any, ...] = ()

        @functools.wraps(f)
        def forward(*inputs: Any) -> Any:
            found = f(*inputs)
            if not isinstance(found, tuple) or len(found) < 2:
                raise Refused(f"no {f.__name__}_backward stands beside it, and it does not return (loss, gradient)")
            self.gradients = found[1:]
            return found[0]
        self.forward = forward
        self.backward = lambda: self.gradients[0] if len(self.gradients) == 1 else self.gradients


def partner(name: str, names: Any) -> str | None:
    """The name of a function's backward: f_backward for f, affine_backward for affine_forward, f_prime for f."""
    tries = (f"{name}_backward", name.replace("forward", "backward"), name.replace("Forward", "Backward"),
             f"{name}_bwd", f"backward_{name}", f"{name}_back", f"{name}Backward", f"{name}_prime",
             f"{name}_derivative", f"{name}_deriv", f"{name}_gradient", f"{name}_grad", f"d_{name}", f"d{name}",
             f"grad_{name}")
    return next((one for one in tries if one != name and callable(names.get(one))), None)


def load(file: str, name: str) -> Any:
    """What "FILE.py:NAME" names: a class, an object or a function."""
    folder, known_as = str(pathlib.Path(file).parent.resolve()), pathlib.Path(file).stem
    sys.path.insert(0, folder)    # as Python has it for a script
    try:
        names = call(file, runpy.run_path, file, run_name=known_as)
    except Refused as error:
        raise LayerError(f"layer: {file} cannot be run: {str(error).removeprefix(f'{file} raises ')}; expected a file "
                         "that Python runs without an error") from None
    finally:
        sys.path.remove(folder)
    if name not in names and f"{name}_forward" in names:
        name = f"{name}_forward"
    if names.get(name) is None:
        raise LayerError(f"layer: {file} does not define {name}; expected the name of a layer's class, of a layer or "
                         "of a function")
    return names[name]


def said(error: BaseException) -> str:
    """Somebody's exception, in one short line."""
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = ""
    words = words if len(words) <= 120 else words[:117] + "..."
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
