"""A learner's own backward pass: is it right, and if not, what is wrong with it, in words.

    numpyvae gradcheck my_layer.py:MyLayer

A layer is a class or an object with forward(x) and backward(dy); weights and gradients may be kept in any of the usual
ways (parts.py has the table of names).  A pair is a function f beside its f_backward(dy, cache), f_backward(dy, x, W).
What was not checked is said, and then the verdict is not "all right".
"""
from __future__ import annotations

import dataclasses
import inspect
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import Kind, checked, shown
from ..time_limit import TimeUp, time_limit
from .calling import method_of
from .making import (BACKWARD, FORWARD, FRAMEWORKS, N_IN, N_OUT, SIZES_IN, Pair, Refused, call, inputs_for, load,
                     parameters_of, plain, said, ways_to_make)
from .numeric import Array
from .parts import State, places
from .report import Report, Row
from .trial import COARSE_TOLERANCE, METHOD, Trial

LARGEST_WIDTH = 10_000
SECONDS = 60    # for all of it; a layer that takes longer is too large, or never ends


@dataclasses.dataclass(frozen=True)
class OwnReport(Report):
    """The gradient check of somebody's own layer: what is wrong, what was not checked and what else to know, in words.

    Prints as a table with a verdict: "all right", "WRONG" or "not all checked".
    """

    findings: list[str]     # what is wrong
    unchecked: list[str]    # what was found but could not be checked
    notes: list[str]

    @property
    def ok(self) -> bool:
        return not (self.failed or self.findings or self.unchecked)

    @property
    def verdict(self) -> str:
        return "all right" if self.ok else "WRONG" if self.failed or self.findings else "not all checked"

    def __str__(self) -> str:
        lines = [*self.findings, *(f"not checked: {one}" for one in self.unchecked),
                 *(f"note: {one}" for one in self.notes)]
        return "\n".join([super().__str__(), *(f"- {line}" for line in lines)])

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "verdict": self.verdict, "findings": self.findings, "unchecked": self.unchecked,
                "notes": self.notes}


def is_input(x: Any) -> bool:
    if isinstance(x, tuple):
        return len(x) > 0 and all(isinstance(one, np.ndarray) and is_input(one) for one in x)
    return isinstance(x, np.ndarray) and x.dtype.kind in "fiub" and x.size > 0 and bool(np.isfinite(x).all())


INPUTS = Kind(is_input, "an array of finite real numbers, or a tuple of them if forward takes several", TypeError)
LAYER = Kind(lambda layer: True, "a layer", convert=lambda layer: layer)    # not even looked at: it may raise


@checked(layer=LAYER, x=INPUTS)
def check(layer: Any, x: Array | tuple[Array, ...] | None = None) -> OwnReport:
    """Compare a layer's own backward pass with numerical derivatives; the layer is left as it was.

    layer : an object with forward(x) and backward(dy), a class of such objects, a pair (f, f_backward), or either of
            these in a file, as "FILE.py:NAME".  A class is constructed with what its parameters' names suggest
    x     : the input to try it on, with the batch first; a tuple if forward takes several; if None, likely shapes are
            tried at random values

    Weights are what the output depends on, wherever they stand; each is compared with the gradient that its name leads
    to.  The noise of a random layer is held fixed.

    Raises FileNotFoundError, ValueError or TypeError, in one sentence, if there is nothing to check, if the layer
    cannot be run, or if it takes longer than a minute.
    """
    noise = State(None)
    try:
        with time_limit(SECONDS), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            np.random.seed(0)    # what a constructor draws is the same each time
            random.seed(0)
            return _check(load(layer) if isinstance(layer, str) else layer, x)
    except TimeUp:
        raise ValueError(f"layer takes longer than {SECONDS:g} s; expected a small layer and a small x, and no loop "
                         "without an end") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if "layer" in str(error) and "; expected" in str(error):    # it is ours
            raise
        raise ValueError(f"layer cannot be looked into: {said(error)}; expected an object with forward(x) and "
                         "backward(dy)") from error
    finally:
        noise.restore_noise()


def _check(component: Any, x: Any) -> OwnReport:
    """The report for the first of the ways to make and to call it in which each gradient has the right shape."""
    _refuse_frameworks(component)
    name = _name_of(component)
    given = None if x is None else [np.array(one, float) if one.dtype.kind == "f" else one
                                    for one in (x if isinstance(x, tuple) else (x,))]
    refused: list[str] = []
    first_misfit: tuple[Any, list[str], list[Any]] | None = None
    trouble = None
    for layer in _layers(component, name):
        state = State(layer)
        try:
            for names, inputs in _inputs(layer, given):
                state.restore()
                try:
                    trial = Trial(layer, names, inputs)
                    misfit = trial.misfit
                    if misfit is None:
                        return _report(name, trial, trouble if _is_one_example(inputs[0]) else None)
                    first_misfit = first_misfit or (layer, names, inputs)
                except Refused as error:
                    misfit = str(error)
                    refused.append(f"{misfit} for {names[0]} of shape {np.shape(inputs[0])}")
                    if not misfit.startswith("backward"):
                        continue
                trouble = trouble or f"a batch: for {names[0]} of shape {np.shape(inputs[0])} {misfit}"
        finally:
            state.restore()
    if first_misfit is not None:
        layer, names, inputs = first_misfit
        state = State(layer)
        try:
            return _report(name, Trial(layer, names, inputs), None)
        finally:
            state.restore()
    why = next((one for one in refused if one.startswith("backward")), refused[0])
    raise ValueError(f"layer {name}: {why}; expected forward(x) and backward(dy) on NumPy arrays: if another shape of "
                     "x is needed, call nv.gradcheck.check(layer, x)")


def _report(name: str, trial: Trial, trouble: str | None) -> OwnReport:
    try:
        errors, findings = trial.compare()
    except Refused as error:
        raise ValueError(f"layer {name}: {error}, though at other numbers it does not; expected forward and backward "
                         "to work whenever they are called") from None
    rows = [Row(name, "its own", METHOD, errors, COARSE_TOLERANCE if trial.is_coarse else None)] if errors else []
    unchecked = trial.unchecked + ([trouble] if trouble else [])
    if not errors and not unchecked:
        unchecked = ["anything: neither the input nor a weight has a gradient"]
    return OwnReport(rows, findings, unchecked, trial.notes)


def _is_one_example(x: Array) -> bool:
    return x.ndim < 2 or x.shape[-1] == 1


def _name_of(component: Any) -> str:
    if isinstance(component, tuple):
        return getattr(component[0], "__name__", "f") if component else "()"
    return component.__name__ if inspect.isclass(component) else type(component).__name__


def _refuse_frameworks(component: Any) -> None:
    classes = component.__mro__ if inspect.isclass(component) else type(component).__mro__
    for cls in classes:
        framework = FRAMEWORKS.get(str(cls.__module__).split(".")[0])
        if framework is not None:
            raise TypeError(f"layer is made of {framework}'s {cls.__name__}, which {framework} differentiates by "
                            "itself; expected a layer with a backward pass written by hand, on NumPy arrays")


def _layers(component: Any, name: str) -> Iterator[Any]:
    """The objects on which it can be tried."""
    if isinstance(component, tuple):
        if len(component) != 2 or not all(map(callable, component)):
            raise TypeError(f"layer is {shown(component)}; expected a pair of functions, (f, f_backward)")
        yield Pair(*component)
    elif not inspect.isclass(component):
        for names in (FORWARD, BACKWARD):
            method_of(component, names)
        yield component
    else:
        failure, made = "its parameters cannot be guessed", False
        for arguments, options in ways_to_make(component):
            try:
                layer = call("its constructor", component, *arguments, **options)
            except Refused as error:
                failure = str(error)
                continue
            for names in (FORWARD, BACKWARD):
                method_of(layer, names)
            made = True
            yield layer
        if not made:
            raise TypeError(f"layer: {name} cannot be constructed ({failure}); expected {name}(), {name}({N_IN}, "
                            f"{N_OUT}) or {name}({N_IN}, {N_OUT}, rng=rng) to work, or an object: make one in the file "
                            "and name it, as FILE.py:layer")


def _inputs(layer: Any, given: list[Any] | None) -> Iterator[tuple[list[str], list[Any]]]:
    """The names and values of what forward takes."""
    forward = method_of(layer, FORWARD)
    if given is not None:
        names = [one.name for one in parameters_of(forward) or []][:len(given)]
        yield names + [f"x{at}" for at in range(len(names), len(given))], given
        return
    held = places(layer)
    told = [place.value for place in held if isinstance(place.value, int) and plain(str(place.key)) in SIZES_IN]
    arrays = sorted((place.value for place in held if isinstance(place.value, np.ndarray)), key=lambda one: -one.ndim)
    likely = [size for size in (*told, *(n for array in arrays for n in array.shape)) if 0 < size <= LARGEST_WIDTH]
    yield from inputs_for(forward, list(dict.fromkeys(likely))[:6])
