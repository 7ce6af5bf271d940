"""The gradients of a trial beside numerical derivatives.

A difference of two losses tells a derivative only if the step is neither lost in the rounding nor crosses a kink.  So
where gradient and derivative disagree, the derivative is taken again with steps of eight lengths; the one that changes
least with the step counts.  Where the two sides of a point have different slopes, or where no two steps agree, there is
nothing to compare with: the entry is left out, and that is said.
"""
from __future__ import annotations

import numpy as np

from ..arguments import counted
from .diagnosis import diagnose, near, upstream_fault
from .making import Refused, Whole, call
from .names import GRADIENT_HOLDERS, ZERO_METHODS
from .numeric import STEP, TOLERANCE, Array, relative_errors
from .pairing import RETURNED, Gradient, overlap, same
from .parts import called
from .trial import Trial, Variable

METHOD = "central-differences"     # somebody's forward pass need not take complex numbers
MOST_SUMS = 120                    # of one array: a larger one is checked in so many sums of entries
TINY = 1e-9                        # relative to the loss: the rounding of a difference, not a gradient
ZERO = 1e-13                       # and of a gradient
COARSE, COARSE_TOLERANCE = 1e3, 5e-3    # for float32: a step that is so many times as long, and what it can tell
ROUNDING, MOST_ROUNDING = 2e-9, 1e-5    # of forward, relative: more is not double precision, or too much for anything


class Derivative:
    """Of a trial's loss by one variable: by each entry, or of a large one by sums of entries with random signs, so that
    no entry is left out."""

    def __init__(self, trial: Trial, variable: Variable, most: int, is_coarse: bool):
        value = variable.value
        self.trial, self.variable, self.kept, self.size = trial, variable, value.copy(), min(value.size, most)
        self.which, self.sign = np.arange(value.size) % self.size, np.ones(value.size)
        if self.is_summed:
            rng = np.random.default_rng(0)
            self.which, self.sign = rng.permutation(self.which), rng.choice([-1.0, 1.0], value.size)
        self.here, self.is_coarse = trial.loss(variable), is_coarse
        self.scale = float(abs(value).max()) or 1.0
        self.step = power_of_two(STEP[METHOD] * (COARSE if is_coarse else 1) * max(self.scale, 1e-2))
        self.numeric = np.array([self.slopes(at, self.step)[0] for at in range(self.size)])
        self.unknown = np.zeros(self.size, bool)
        self.settled = np.zeros(self.size, bool)

    @property
    def is_summed(self) -> bool:
        return self.size < self.kept.size

    def slopes(self, at: int, step: float) -> tuple[float, float]:
        """The central difference, and by how much the slope on the right is the larger one."""
        entries, losses = np.flatnonzero(self.which == at), []
        for signed in (step, -step):
            self.variable.value.flat[entries] = self.kept.flat[entries] + signed * self.sign[entries]
            losses.append(self.trial.loss(self.variable))
        self.variable.value.flat[entries] = self.kept.flat[entries]
        above, below = losses
        return (above - below) / (2 * step), (above - 2 * self.here + below) / step

    def settle(self, at: int, gradient: float, tolerance: float) -> None:
        """The derivative by the step for which it changes least."""
        self.settled[at] = True
        top = abs(self.numeric[~self.unknown]).max()
        most_change, most_bend = (2e-3, 2e-2) if self.is_coarse else (5e-8, 1e-4)
        first, second = self.slopes(at, self.step), self.slopes(at, self.step / 8)
        rounding = np.finfo(float).eps * abs(self.here) / self.step
        if max(abs(first[0] - second[0]), rounding) <= most_change * top and abs(second[1]) <= most_bend * top:
            return
        rounding *= 1e9 if self.is_coarse else 1    # that of float32
        longest = (1e-1 if self.is_coarse else 1e-3) * max(1, self.scale)
        shortest = max(1e-10 * min(1, self.scale), rounding * self.step / (most_change * 20 * top))
        steps = power_of_two(longest) * 8.0 ** -np.arange(max(3, np.log(longest / shortest) / np.log(8)))
        slopes, bends = np.array([self.slopes(at, step) for step in steps]).T
        changes = abs(np.diff(slopes))
        best = int(changes.argmin())
        self.numeric[at] = slopes[best + 1]
        has_kink = abs(bends[best + 1]) > max(0.5 * abs(bends[best]), most_bend * top)
        difference = abs(gradient - slopes[best + 1])
        self.unknown[at] = has_kink or (difference > tolerance * top and changes[best] > 0.1 * difference)

    def compare(self, gradient: Array, tolerance: float) -> tuple[Array, Array]:
        """The gradient and the derivative in one shape, and zero where nothing is known.

        If the gradient has the wrong shape, the shape is all that is said, and sums are not formed.
        """
        if gradient.shape != self.kept.shape:
            return gradient, self.numeric.reshape(self.kept.shape) if not self.is_summed else (
                gradient.T if gradient.T.shape == self.kept.shape else np.zeros(self.kept.shape))
        found = np.bincount(self.which, self.sign * gradient.ravel(), self.size)
        while True:
            found, expected = (np.where(self.unknown, 0, one) for one in (found, self.numeric))
            doubtful = (relative_errors(found, expected) > tolerance) & ~self.settled & np.isfinite(found)
            if not doubtful.any():
                break
            for at in map(int, np.flatnonzero(doubtful)):
                self.settle(at, found[at], tolerance)
        shape = (self.size,) if self.is_summed else gradient.shape
        return found.reshape(shape), expected.reshape(shape)


def power_of_two(step: float) -> float:
    """Near to a step; added to an entry, it is not rounded."""
    return float(2.0 ** np.round(np.log2(step)))


class Comparison:
    """errors : the relative error of each gradient, entry by entry; findings : in words what is wrong."""

    def __init__(self, trial: Trial, most: int = MOST_SUMS):
        self.trial, self.most = trial, most
        self.errors: dict[str, Array] = {}
        self.findings: list[str] = []
        self.notes, self.unchecked = list(trial.notes), list(trial.unchecked)
        self.n_unknown = 0
        self.is_coarse, self.is_unheld = False, False
        self.derivatives: dict[Variable, Derivative] = {}
        self.batch = max((1, *np.shape(trial.caller.inputs[trial.caller.x])[:1]))
        self.is_unheld = not trial.noise_is_held()
        if self.is_unheld:
            self.unchecked = ["forward draws noise that cannot be held fixed, so that no derivative can be compared; "
                              "expected it from np.random or from a Generator that the layer keeps"]
            return
        trial.state.is_noisy = trial.is_random()
        if trial.state.is_noisy:
            self.notes.append("forward draws random numbers: they were held fixed")
        arrays = [one for one in [*trial.inputs, *trial.weights] if one.value.ndim]
        rounding = max((rounding_of(trial, one) for one in arrays), default=0.0)
        self.is_coarse = rounding > ROUNDING
        if rounding > MOST_ROUNDING:
            self.unchecked = ["forward computes with three digits, as in float16, which tell no derivative; expected "
                              "float32 or float64"]
        else:
            self._compare()

    @property
    def tolerance(self) -> float:
        return COARSE_TOLERANCE if self.is_coarse else TOLERANCE[METHOD]

    def _compare(self) -> None:
        trial = self.trial
        found = trial.run(trial.dy)
        if not all(map(same, trial.caller.upstream, trial.dy)):
            self.findings.append("backward writes into dy, which belongs to the layer above")
        if not all(same(passed, given) for passed, given in zip(trial.caller.passed, trial.caller.inputs)):
            self.findings.append(f"{trial.caller.names[0]}, which belongs to the caller, has changed")
        again, later = self._once_more(found)
        flipped, doubled = (trial.run([factor * dy for dy in trial.dy]) for factor in (-1, 2))
        for one in trial.gradients:
            words = self._words(one, found[one.name])
            if words is None and not near(later[one.name], found[one.name]):
                words = self._adds_up(one, found[one.name])
            elif words is not None and found[one.name].shape == one.of.value.shape and not trial.is_loss:
                runs = found[one.name], flipped[one.name], doubled[one.name]
                words = self._added_or_clipped(one, *runs) or words + upstream_fault(*runs, again[one.name])
            self.findings += [words] if words is not None else []
        self._by_value()
        self._say_what_was_left()

    def derivative(self, variable: Variable) -> Derivative:
        if variable not in self.derivatives:
            self.derivatives[variable] = Derivative(self.trial, variable, self.most, self.is_coarse)
        return self.derivatives[variable]

    def _words(self, one: Gradient, gradient: Array) -> str | None:
        """What is wrong with a gradient; its errors are kept."""
        derivative = self.derivative(one.of)
        rounding, zero = np.array((1e-4, 1e-6) if self.is_coarse else (TINY, ZERO)) * (1 + abs(derivative.here))
        largest = abs(gradient).max()
        if gradient.shape == derivative.kept.shape and max(largest, abs(derivative.numeric).max()) < rounding:
            if largest > zero:
                self.unchecked.append(f"{one.name}: it is too small to be told from rounding, {largest:.1e}")
            else:    # such as of a bias that a normalisation takes away
                self.errors[one.name] = np.zeros(gradient.shape or 1)
            return None
        found, expected = derivative.compare(gradient, self.tolerance)
        label, parts = one.name, ("entry", "entries")
        if derivative.is_summed and gradient.shape == derivative.kept.shape:
            label, parts = f"{one.name} in sums", ("sum of its entries", "sums of its entries")
            self.notes.append(f"{one.name} was checked in {derivative.size} sums of its {derivative.kept.size} "
                              "entries, with random signs")
        self.errors[label] = np.atleast_1d(relative_errors(found, expected))
        n_unknown = int(derivative.unknown.sum())
        self.n_unknown += n_unknown
        if n_unknown:
            kept = ~derivative.unknown
            text = (f"{one.name}: {n_unknown} of {counted(derivative.size, *parts)} left out, where forward "
                    "has a kink or is too flat or too steep to tell")
            (self.notes if 4 * n_unknown <= derivative.size else self.unchecked).append(text)
            self.errors[label] = self.errors[label].ravel()[kept] if kept.any() else np.zeros(1)
        return diagnose(one.name, found, expected, self.batch, self.tolerance, parts)

    def _added_or_clipped(self, one: Gradient, found: Array, flipped: Array, doubled: Array) -> str | None:
        """What is right but for what people do to a gradient before the step."""
        derivative, value = self.derivative(one.of), one.of.value
        added = (found + flipped) / 2
        factor = np.vdot(value, added) / (np.vdot(value, value) or 1.0)
        if factor and near(added, factor * value) and near(doubled, 2 * found - added):
            rest = diagnose("it", *derivative.compare(found - added, self.tolerance), self.batch, self.tolerance)
            return (f"{one.name} has {factor:.6g} {one.of.name} added, as for weight decay, of which forward knows "
                    f"nothing; but for that {rest or 'it is right'}")
        if near(flipped, -found) and not near(doubled, 2 * found) and not derivative.is_summed:
            expected, limit = derivative.compare(found, self.tolerance)[1], abs(found).max()
            length = np.sqrt(np.vdot(found, found))
            if near(found, np.clip(expected, -limit, limit)):
                return f"{one.name} is right but for being clipped at {limit:.6g}"
            if near(doubled, found) and near(found, expected * length / np.sqrt(np.vdot(expected, expected))):
                return f"{one.name} is right but for its length, which is cut to {length:.6g}"
        return None

    def _once_more(self, found: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """backward called again at once, and in the next step of a training; not if it moves the weights."""
        trial = self.trial
        trial.forward()
        after = trial.backward_pass(trial.dy)
        if any(not same(after.get(path), weight.value) for weight in trial.weights for path in weight.paths[:1]):
            return found, found
        try:
            again = trial.read(trial.backward_pass(trial.dy))
        except Refused:    # its caches are used up
            again = found
        trial.run(trial.dy)
        return again, self._next_step()

    def _next_step(self) -> dict[str, Array]:
        trial = self.trial
        trial.state.restore_noise()
        trial.caller.forward()
        return trial.read(trial.backward_pass(trial.dy))

    def _adds_up(self, one: Gradient, found: Array) -> str | None:
        """A gradient is added to the old one.  That is as it should be where something sets it to zero."""
        layer = self.trial.layer
        method = next((name for name in ZERO_METHODS if callable(getattr(layer, name, None))), None)
        if method is not None:
            self.trial.run(self.trial.dy)
            call(method, getattr(layer, method))
            if near(self._next_step()[one.name], found):
                self.notes.append(f"{one.name} adds up until {method} is called")
                return None
        elif one.path and str(one.path[-1]) in GRADIENT_HOLDERS and len(one.path) > 1 and any(
                place.path[:-1] == one.path[:-1] for place in one.of.places):    # weight.data and weight.grad
            self.notes.append(f"{one.name} adds up, as .grad does in PyTorch: set it to zero before each step")
            return None
        return f"{one.name} changes when backward is called again: it adds to old values, or redraws the noise"

    def _by_value(self) -> None:
        """Gradients to which no name leads, but that backward returned or left in the layer: those that are right."""
        trial = self.trial
        trial.forward()
        taken = {one.path for one in trial.gradients}
        others = {path: array.astype(float) for path, array in trial.backward_pass(trial.dy).items()
                  if path not in taken}
        for weight in trial.weights:
            label = f"d{weight.name}"
            if not weight.value.ndim or any(one.of is weight or overlap(weight, one.of) for one in trial.gradients) or (
                    any(sentence.startswith(f"{label}:") for sentence in self.unchecked)):
                continue    # a number may be a constant, such as epsilon; the others have been dealt with
            for path, array in others.items():
                if array.shape == weight.value.shape and array.size > 1 and path not in taken:
                    found, expected = self.derivative(weight).compare(array, self.tolerance)
                    if expected.any() and near(found, expected):
                        self.errors[label] = relative_errors(found, expected)
                        taken.add(path)
                        break
            else:
                self.unchecked.append(f"{label}: the output depends on {weight.name}, and no gradient of it was found; "
                                      f"expected it as {label} or in grads; if it is a constant, nothing is missing")
        self.unchecked += [f"{called(path)} by backward: no array was found of which it could be the gradient; "
                           "expected the weight to be kept by the layer" for path, array in others.items()
                           if path[0] == RETURNED and array.ndim and path not in taken]

    def _say_what_was_left(self) -> None:
        trial = self.trial
        left = self.notes if isinstance(trial.layer, Whole) else self.unchecked    # whose X is data
        left += [f"d{one.name}: backward does not return it" for one in trial.inputs
                 if not any(gradient.of is one for gradient in trial.gradients)]
        self.unchecked += [f"the gradient of what forward returns in place {at}: backward takes no dy for it"
                           for at in trial.caller.left_over]
        if self.is_coarse:
            self.notes.append(f"the layer computes in float32, so that only errors above {COARSE_TOLERANCE:g} show")
        if not trial.inputs:
            self.notes.append(f"{trial.caller.names[trial.caller.x]} holds whole numbers, and so has no gradient")
        if trial.way.note:
            self.notes.append(trial.way.note)


def rounding_of(trial: Trial, variable: Variable) -> float:
    """The rounding of forward, relative to the outputs: what is left of their fourth differences over tiny steps, in
    which a smooth function of double precision shows nothing.  The least of several steps and of two directions, as
    some are too long or cross a kink; steps too short for the layer's precision change nothing, and do not count.
    [More & Wild 2011, Estimating computational noise]"""
    kept, roundings = variable.value.copy(), []
    direction = np.random.default_rng(0).uniform(0.5, 1, kept.shape) * (float(abs(kept).max()) or 1.0)
    for step in (1e-3, -1e-3, 1e-6, -1e-6, 1e-9, -1e-9):
        lines = []
        for times in range(5):
            variable.value[...] = kept + times * step * direction
            lines.append(np.concatenate([y.ravel() for y in trial.outputs_for(variable)]).astype(float))
        largest, fourth = abs(np.array(lines)).max(axis=0), abs(np.tensordot([1, -4, 6, -4, 1], lines, 1)) / np.sqrt(70)
        has_changed = (lines[0] != lines[-1]) & (largest > 0)
        if has_changed.any():    # nearly all of those, as one that is close to zero is rounded worse
            roundings.append(float(np.quantile((fourth / np.where(has_changed, largest, 1))[has_changed], 0.9)))
    variable.value[...] = kept
    return min(roundings, default=0.0)


def has_kink(trial: Trial, is_coarse: bool) -> bool:
    """Has forward a kink at x, in some direction?  Then no gradient is right there.  Over ever shorter steps the two
    sides differ in proportion to the step at a kink, and to its square elsewhere."""
    for one in trial.inputs:
        kept, here, sides = one.value.copy(), trial.loss(one), []
        direction = np.random.default_rng(1).standard_normal(kept.shape) * (float(abs(kept).max()) or 1.0)
        for step in 1e-4 * 10.0 ** -np.arange(6) * (COARSE if is_coarse else 1):
            losses = []
            for signed in (step, -step):
                one.value[...] = kept + signed * direction
                losses.append(trial.loss(one) - here)
            sides.append((abs(sum(losses)) / step, abs(losses[0]) / step))
        one.value[...] = kept
        bends, slopes = np.array(sides[:2] if is_coarse else sides).T
        if (bends[1:] > 0.5 * bends[:-1]).all() and (bends > 1e-4 * slopes).all():
            return True
    return False
