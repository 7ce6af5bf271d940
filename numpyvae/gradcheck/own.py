"""A learner's own backward pass: is it right, and if not, what is wrong with it, in words.

    numpyvae gradcheck my_layer.py:MyLayer

A layer is a class or an object with forward(x) and backward(dy); weights and gradients may be kept in any of the usual
ways (names.py has the words).  A pair is a function f beside its f_backward(dy, cache), f_backward(dy, x, W) or
f_prime(x); a function that returns (loss, gradient) needs no other.  What was not checked is said, and then the verdict
is not "all right".

To read in order: making.py, layers and inputs; calling.py, forward and backward; parts.py, what a layer holds;
attempt.py, the search for an input that fits; trial.py, one layer with one input; pairing.py, which gradient belongs
to what; comparing.py, the derivatives; reached.py, what was not tried.
"""
from __future__ import annotations

import contextlib
import inspect
import io
import os
import random
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import Kind, checked, shown
from .attempt import Attempt, Search
from .calling import method_of, ways_to_call
from .making import (N_IN, N_OUT, ROWS, Convention, Pair, Refused, Whole, call, inputs_for, load, names_of,
                     parameters_of, partner, said, values_for, ways_to_make)
from .names import BACKWARD, FORWARD, FRAMEWORKS, SIZES_IN, plain
from .numeric import Array
from .parts import LayerError, State, places
from .report import OwnReport
from .time_limit import TimeUp, time_limit

LARGEST_WIDTH = 10_000
SECONDS = 60    # for all of it; a layer that takes longer is too large, or never ends


def is_input(x: Any) -> bool:
    if isinstance(x, tuple):
        return len(x) > 0 and all(isinstance(one, np.ndarray) and is_input(one) for one in x)
    return isinstance(x, np.ndarray) and x.dtype.kind in "fiub" and x.size > 0 and bool(np.isfinite(x).all())


INPUTS = Kind(is_input, "an array of finite real numbers, or a tuple of them if forward takes several", TypeError)
LAYER = Kind(lambda layer: True, "a layer", convert=lambda layer: layer)    # not even looked at: it may raise


@checked(layer=LAYER, x=INPUTS)
def check(layer: Any, x: Array | tuple[Array, ...] | None = None) -> OwnReport:
    """Compare a layer's own backward pass with numerical derivatives; the layer is left as it was.

    layer : an object with forward(x) and backward(dy), a class of such objects, a function with its f_backward beside
            it, a pair (f, f_backward), or any of these in a file, as "FILE.py:NAME".  A class is constructed with what
            its parameters' names suggest
    x     : the input to try it on, with the batch first; a tuple if forward takes several; if None, likely shapes are
            tried at random values, and the one that fits at 0.03 and 10 times its size too

    Weights are what the output depends on, wherever they stand; each is compared with the gradient that its name leads
    to.  The noise of a random layer is held fixed, what a layer prints is not shown, and lines that no x reached are
    named.

    Raises FileNotFoundError, or LayerError (a ValueError and a TypeError), in one sentence, if there is nothing to
    check, if the layer cannot be run, or if it takes longer than a minute.
    """
    if type(layer) is str:    # isinstance would ask the layer
        file, _, name = layer.rpartition(":")
        if not file or not name:
            raise LayerError(f"layer is {shown(layer)}; expected FILE.py:NAME, such as my_layer.py:MyLayer")
        if not os.path.isfile(file):
            wrong = "is a folder" if os.path.isdir(file) else "does not exist"
            raise FileNotFoundError(f"{file} {wrong}; expected the file that the layer {name} is in")
    noise = State(None)
    try:
        with (time_limit(SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"),
              contextlib.redirect_stdout(io.StringIO())):
            warnings.simplefilter("ignore")
            np.random.seed(0)    # what a constructor draws is the same each time
            random.seed(0)
            return _check(load(file, name) if type(layer) is str else layer, x)
    except TimeUp:
        raise LayerError(f"layer takes longer than {SECONDS:g} s; expected a small layer and a small x, and no loop "
                         "without an end") from None
    except (KeyboardInterrupt, LayerError):
        raise
    except BaseException as error:
        raise LayerError(f"layer cannot be looked into: {said(error)}; expected an object with forward(x) and "
                         "backward(dy)") from error
    finally:
        noise.restore_noise()


def _check(component: Any, x: Any) -> OwnReport:
    """Objects, inputs and ways to call them are tried in turn, until each gradient has the shape of its array."""
    _refuse_frameworks(component)
    name = _name_of(component)
    given = None if x is None else [np.array(one, float) if one.dtype.kind == "f" else one
                                    for one in (x if isinstance(x, tuple) else (x,))]
    search = Search(is_free=given is None)
    for layer in _layers(component, name, given[0] if given else None):
        state = State(layer)
        try:
            for names, inputs, convention in _inputs(layer, given):
                report = search.report([Attempt(name, layer, state, names, inputs, convention, way)
                                        for way in ways_to_call(layer, names)])
                if report is not None:
                    return report
        finally:
            state.restore()
    return search.report_of_failure(name)


def _name_of(component: Any) -> str:
    if isinstance(component, tuple):
        return getattr(component[0], "__name__", "f") if component else "()"
    is_named = inspect.isclass(component) or isinstance(component, types.FunctionType)
    return component.__name__ if is_named else type(component).__name__


def _refuse_frameworks(component: Any) -> None:
    classes = component.__mro__ if inspect.isclass(component) else type(component).__mro__
    for cls in classes:
        framework = FRAMEWORKS.get(str(cls.__module__).split(".")[0])
        if framework is not None:
            raise LayerError(f"layer is made of {framework}'s {cls.__name__}, which {framework} differentiates by "
                             "itself; expected a layer with a backward pass written by hand, on NumPy arrays")


def _layers(component: Any, name: str, x: Array | None) -> Iterator[Any]:
    """The objects on which it can be tried."""
    if isinstance(component, tuple):
        if len(component) != 2 or not all(map(callable, component)):
            raise LayerError(f"layer is {shown(component)}; expected a pair of functions, (f, f_backward)")
        yield Pair(*component)
    elif isinstance(component, types.FunctionType):
        backward = partner(name, component.__globals__)
        yield Whole(component) if backward is None else Pair(component, component.__globals__[backward])
    elif not inspect.isclass(component):
        yield usable(component)
    else:
        failure, made = "its parameters cannot be guessed", False
        for arguments, options in ways_to_make(component, x):
            try:
                layer = call("its constructor", component, *arguments, **options)
            except Refused as error:
                failure = str(error)
                continue
            made = True
            yield usable(layer)
        if not made:
            raise LayerError(f"layer: {name} cannot be constructed ({failure}); expected {name}(), {name}({N_IN}, "
                             f"{N_OUT}) or {name}({N_IN}, {N_OUT}, rng=rng) to work, or an object: make one in the "
                             "file and name it, as FILE.py:layer")


def usable(layer: Any) -> Any:
    """A layer with a forward and a backward pass; a network whose loss(x, y) returns the gradients becomes one."""
    forward = method_of(layer, FORWARD)
    try:
        method_of(layer, BACKWARD)
    except LayerError:
        if getattr(forward, "__name__", "") != "loss":
            raise
        return Whole(forward)
    return layer


def _inputs(layer: Any, given: list[Any] | None) -> Iterator[tuple[list[str], list[Any], Convention | None]]:
    """The names and values of what forward takes."""
    forward = method_of(layer, FORWARD)
    if given is not None:
        names = [one.name for one in parameters_of(forward) or []]
        names += [f"x{at}" for at in range(len(names), len(given))]
        needed = names_of(layer, forward)[len(given):]    # such as training
        yield names[:len(given)] + needed, given + values_for(["x", *needed], given[0], ROWS)[1:], None
        return
    held, names = places(layer), names_of(layer, forward)
    told = [place.value for place in held if isinstance(place.value, int) and plain(str(place.key)) in SIZES_IN]
    arrays = sorted((place.value for place in held if isinstance(place.value, np.ndarray)), key=lambda one: -one.ndim)
    likely = [size for size in (*told, *(n for array in arrays for n in array.shape)) if 0 < size <= LARGEST_WIDTH]
    yield from inputs_for(names, list(dict.fromkeys(likely))[:6], isinstance(layer, Whole))
