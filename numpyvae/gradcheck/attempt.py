"""What is tried of somebody's layer: one input and one way to call it, until there is something to compare; then other
sizes and forms of that input."""
from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .calling import Way
from .comparing import METHOD, MOST_SUMS, Comparison, has_kink
from .making import (BATCH, FUNCTION_NAMES, ROWS, TIMES, Convention, Refused, are_labels, place_of_x, random_input,
                     values_for)
from .names import FUNCTIONS, plain
from .numeric import Array
from .parts import LayerError, State
from .reached import Reached
from .report import OwnReport, Row
from .trial import Trial

FACTORS = (0.03, 10.0)    # of x: kinks such as a clip at 6 lie far out, others near zero
FEW_SUMS = 12             # are enough for an x that is tried besides


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
    def is_one_example(self) -> bool:
        return self.x.ndim < 2 or self.x.shape[-1] == 1

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
        """trouble : what else was not checked; is_free : may other inputs be tried besides?"""
        found, reached = self._compared_beside_kinks()
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

    def _compared_beside_kinks(self) -> tuple[Comparison, Reached]:
        """At x, or at a point close by if forward has a kink at x."""
        try:
            found, reached = self.compared(self.inputs)
            if (found.findings or found.n_unknown) and has_kink(found.trial, found.is_coarse):
                rng, free = np.random.default_rng(2), [one.name for one in found.trial.inputs]
                moved = [one + 1e-3 * (float(abs(one).max()) or 1.0) * rng.standard_normal(one.shape)
                         if name in free else one for name, one in zip(self.names, self.inputs)]
                found, reached = self.compared(moved)
                found.notes.append("forward has a kink at x, where there is no gradient: checked beside it, at x moved "
                                   "by a thousandth")
        except Refused as error:
            raise LayerError(f"layer {self.name}: {error}, though at other numbers it does not; expected forward and "
                             "backward to work whenever they are called") from None
        return found, reached

    def _try_sizes(self, found: Comparison, reached: Reached) -> None:
        """The same x, smaller and larger.  Where forward keeps the argument of a logarithm away from zero, backward
        need not know it, so that a difference far out is no fault."""
        at = place_of_x(self.names)
        if self.x.dtype.kind != "f" or not self.convention or self.convention.probabilities:
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
            found.notes.append(f"tried on {self.names[at]} up to {abs(self.x).max():.2g} in size, and on "
                               f"{' and '.join(tried)} times as much")

    def _try_forms(self, found: Comparison, reached: Reached) -> None:
        """Other forms of the input, as long as there are lines that none has reached; those count that reach one."""
        for words, inputs in self._forms():
            if not reached.missed or found.findings:
                return
            try:
                if self.trial(inputs).misfit is not None:
                    continue
                other, also = self.compared(inputs, FEW_SUMS)
            except Refused:
                continue
            if reached.add(also):
                found.findings += [f"for {words}, {finding}" for finding in other.findings]

    def _forms(self) -> Iterator[tuple[str, list[Any]]]:
        """In words and as values: x of other shapes, and where forward takes labels or an activation, other ones."""
        convention, shapes = self.convention or ROWS, [self.x.shape]
        if self.x.ndim == 2 and convention.layout == "rows":
            shapes += [(BATCH, TIMES, self.x.shape[1]), (self.x.shape[1],)]
        has_labels = any(are_labels(self.names))
        has_function = any(plain(name) in FUNCTIONS for name in self.names)
        for shape, labels, function in itertools.product(
                shapes, ("classes", "one-hot") if has_labels else (convention.labels,),
                FUNCTION_NAMES if has_function else FUNCTION_NAMES[:1]):
            form = convention._replace(labels=labels, function=function)
            words = [f"x of shape {shape}"] + [f"labels as {labels}"] * has_labels + [function] * has_function
            yield ", ".join(words), values_for(self.names, random_input(shape, form), form)


class Search:
    """For attempts that can be compared, and for the reason why others cannot.

    is_free : may other inputs than those of an attempt be tried besides?
    """

    def __init__(self, is_free: bool):
        self.is_free = is_free
        self.refused: list[str] = []           # why attempts could not even be run
        self.misfit: Attempt | None = None     # the first one with a gradient that does not have its array's shape
        self.trouble: str | None = None        # the first fault of a backward pass: forward has taken the input

    def report(self, ways: list[Attempt]) -> OwnReport | None:
        """Of the ways to call a layer with one input, the first in which nothing is wrong, or else the one with the
        smallest errors; None if it can be called in none of them."""
        reports = []
        for attempt in ways:
            if self._fits(attempt):
                reports.append(attempt.report(self.trouble if attempt.is_one_example else None, self.is_free))
                if not reports[-1].findings:
                    return reports[-1]
        return min(reports, default=None, key=lambda one: max((row.worst[1] for row in one.rows), default=0.0))

    def _fits(self, attempt: Attempt) -> bool:
        """Can it be run, and does each gradient have the shape of its array?"""
        try:
            fault = attempt.trial().misfit
            if fault is None:
                return True
            self.misfit = self.misfit or attempt
        except Refused as error:
            fault = str(error)
            self.refused.append(f"{fault} for {attempt.called}")
            if not fault.startswith("backward"):
                return False
        self.trouble = self.trouble or f"a batch: for {attempt.called} {fault}"
        return False

    def report_of_failure(self, name: str) -> OwnReport:
        """What is wrong where no attempt has fitted; raises LayerError if none could even be run."""
        if self.misfit is not None:
            try:
                return self.misfit.report(None, is_free=False)
            finally:
                self.misfit.state.restore()
        why = next((one for one in self.refused if one.startswith("backward")), self.refused[0])
        raise LayerError(f"layer {name}: {why}; expected forward(x) and backward(dy) on NumPy arrays: if another shape "
                         "of x is needed, call nv.gradcheck.check(layer, x)")
