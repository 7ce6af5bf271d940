"""A learner's own backward pass: is it right, and if not, what is wrong with it, in words.

    numpyvae gradcheck my_layer.py:MyLayer

A layer is a class or an object with forward(x) and backward(dy); weights and gradients may be kept in any of the usual
ways (names.py has the words).  A pair is a function f beside its f_backward(dy, cache), f_backward(dy, x, W) or
f_prime(x); a function that returns (loss, gradient) needs no other.  What was not checked is said, and then the verdict
is not "all right".

To read in order: making.py, layers and inputs; calling.py, forward and backward; parts.py, what a layer holds;
trial.py, one layer with one input; pairing.py, which gradient belongs to what; comparing.py, the derivatives;
reached.py, what was not tried.
"""
from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import os
import random
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arguments import Kind, checked, shown
from ..time_limit import TimeUp, time_limit
from .calling import Way, method_of, ways_to_call
from .comparing import METHOD, MOST_SUMS, Comparison, has_kink
from .making import (BATCH, FUNCTION_NAMES, N_IN, N_OUT, ROWS, TIMES, Convention, Pair, Refused, Whole, are_labels,
                     call, inputs_for, load, names_of, parameters_of, partner, place_of_x, random_input, said,
                     values_for, ways_to_make)
from .names import BACKWARD, FORWARD, FRAMEWORKS, FUNCTIONS, SIZES_IN, plain
from .numeric import Array
from .parts import LayerError, State, places
from .reached import Reached
from .report import Report, Row
from .trial import Trial

LARGEST_WIDTH = 10_000
SECONDS = 60    # for all of it; a layer that takes longer is too large, or never ends
FACTORS = (0.03, 10.0)    # of x: kinks such as a clip at 6 lie far out, others near zero
FEW_SUMS = 12             # are enough for an x that is tried besides


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
            raise FileNotFoundError(f"{file} does not exist; expected the file that the layer {name} is in")
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
    """The report for the first of the ways to make and to call it in which each gradient has the right shape."""
    _refuse_frameworks(component)
    name = _name_of(component)
    given = None if x is None else [np.array(one, float) if one.dtype.kind == "f" else one
                                    for one in (x if isinstance(x, tuple) else (x,))]
    refused: list[str] = []
    first_misfit: Attempt | None = None
    trouble = None
    for layer in _layers(component, name, given[0] if given else None):
        state = State(layer)
        try:
            for names, inputs, convention in _inputs(layer, given):
                reports = []
                for way in ways_to_call(layer, names):
                    attempt = Attempt(name, layer, state, names, inputs, convention, way)
                    try:
                        misfit = attempt.trial().misfit
                        if misfit is None:
                            reports.append(attempt.report(trouble if _is_one_example(attempt.x) else None, x is None))
                            if not reports[-1].findings:
                                break
                            continue
                        first_misfit = first_misfit or attempt
                    except Refused as error:
                        misfit = str(error)
                        refused.append(f"{misfit} for {attempt.called}")
                        if not misfit.startswith("backward"):
                            continue
                    trouble = trouble or f"a batch: for {attempt.called} {misfit}"
                if reports:
                    return min(reports, key=lambda one: (bool(one.findings), max((row.worst[1] for row in one.rows),
                                                                                 default=0.0)))
        finally:
            state.restore()
    if first_misfit is not None:
        try:
            return first_misfit.report(None, False)
        finally:
            first_misfit.state.restore()
    why = next((one for one in refused if one.startswith("backward")), refused[0])
    raise LayerError(f"layer {name}: {why}; expected forward(x) and backward(dy) on NumPy arrays: if another shape of "
                     "x is needed, call nv.gradcheck.check(layer, x)")


@dataclasses.dataclass
class Attempt:
    """A layer, as it was in `state`, with one input and one way to call it."""

    name: str
    layer: Any
    state: State
    names: list[str]
    inputs: list[Any]
    convention: Convention | None    # by which the inputs were made; None if they were given
    way: Way

    @property
    def x(self) -> Array:
        return self.inputs[place_of_x(self.names)]

    @property
    def called(self) -> str:
        return f"{self.names[place_of_x(self.names)]} of shape {np.shape(self.x)}"

    def trial(self, inputs: list[Any] | None = None) -> Trial:
        """Raises Refused if it cannot be tried on the inputs."""
        self.state.restore()
        trial = Trial(self.layer, self.names, inputs or self.inputs, self.way)
        if self.convention and not self.convention.probabilities and any(are_labels(self.names)) and (
                trial.clips_to_probabilities):
            raise Refused("forward clips x to between 0 and 1")
        return trial

    def compared(self, inputs: list[Any], most: int = MOST_SUMS) -> tuple[Comparison, Reached]:
        trial = self.trial(inputs)
        reached = Reached(trial.caller.forward_method, trial.caller.backward_method)
        with reached.watching():
            trial.run(trial.dy)
        return Comparison(trial, most), reached

    def report(self, trouble: str | None, is_free: bool) -> OwnReport:
        """is_free : may other inputs be tried besides?"""
        try:
            found, reached = self.compared(self.inputs)
            if (found.findings or found.n_unknown) and has_kink(found.trial, found.is_coarse):
                found, reached = self.compared(self._beside(found.trial))
                found.notes.append("forward has a kink at x, where there is no gradient: checked beside it, at x moved "
                                   "by a thousandth")
        except Refused as error:
            raise LayerError(f"layer {self.name}: {error}, though at other numbers it does not; expected forward and "
                             "backward to work whenever they are called") from None
        if is_free and not found.findings and not found.is_unheld:
            self._try_sizes(found, reached)
            self._try_forms(found, reached)
        missed = reached.missed
        if missed:
            found.notes.append(f"not tried, because no x reached it: {'; '.join(missed[:3])}" + (
                f"; and {len(missed) - 3} lines more" if len(missed) > 3 else ""))
        tolerance = found.tolerance if found.is_coarse else None
        rows = [Row(self.name, "its own", METHOD, found.errors, tolerance)] if found.errors else []
        unchecked = found.unchecked + ([trouble] if trouble else [])
        if not found.errors and not unchecked:
            unchecked = ["anything: neither the input nor a weight has a gradient"]
        return OwnReport(rows, found.findings, unchecked, list(dict.fromkeys(found.notes)))

    def _beside(self, trial: Trial) -> list[Any]:
        rng, free = np.random.default_rng(2), [one.name for one in trial.inputs]
        return [one + 1e-3 * (float(abs(one).max()) or 1.0) * rng.standard_normal(one.shape) if name in free else one
                for name, one in zip(self.names, self.inputs)]

    def _try_sizes(self, found: Comparison, reached: Reached) -> None:
        """The same x, smaller and larger.  Where forward keeps the argument of a logarithm away from zero, backward
        need not know it, so that a difference far out is no fault."""
        at = place_of_x(self.names)
        if self.inputs[at].dtype.kind != "f" or not self.convention or self.convention.probabilities:
            return
        tried = []
        for factor in FACTORS:
            inputs = [factor * one if place == at else one for place, one in enumerate(self.inputs)]
            text = f"for {factor:g} times this {self.names[at]}"
            try:
                other, also = self.compared(inputs, FEW_SUMS)
            except Refused as error:
                found.notes.append(f"not tried {text}: {error}")
                continue
            reached.add(also)
            words = [f"{text}, {words}" for words in other.findings]
            if words and reached.has_logarithm:
                found.notes.append(f"{words[0]}; a logarithm that is kept away from zero does that")
            else:
                found.findings += words
                tried.append(f"{factor:g}")
        if tried:
            found.notes.append(f"tried on {self.names[at]} up to {abs(self.inputs[at]).max():.2g} in size, and on "
                               f"{' and '.join(tried)} times as much")

    def _try_forms(self, found: Comparison, reached: Reached) -> None:
        """Other shapes of x and labels, as long as there are lines that none has reached, and those alone that reach
        one."""
        x, convention = self.x, self.convention or ROWS
        shapes = [x.shape]
        if x.ndim == 2 and convention.layout == "rows":
            shapes += [(BATCH, TIMES, x.shape[1]), (x.shape[1],)]
        labels = ["classes", "one-hot"] if any(are_labels(self.names)) else [convention.labels]
        functions = FUNCTION_NAMES if any(plain(name) in FUNCTIONS for name in self.names) else FUNCTION_NAMES[:1]
        for shape, form, function in itertools.product(shapes, labels, functions):
            if not reached.missed or found.findings:
                return
            other = convention._replace(labels=form, function=function)
            inputs = values_for(self.names, random_input(shape, other), other)
            try:
                if self.trial(inputs).misfit is not None:
                    continue
                compared, also = self.compared(inputs, FEW_SUMS)
            except Refused:
                continue
            if reached.add(also):
                what = ", ".join([f"x of shape {shape}", *[f"labels as {form}"][:len(labels) - 1],
                                  *[f"{function}"][:len(functions) - 1]])
                found.findings += [f"for {what}, {words}" for words in compared.findings]


def _is_one_example(x: Array) -> bool:
    return x.ndim < 2 or x.shape[-1] == 1


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
