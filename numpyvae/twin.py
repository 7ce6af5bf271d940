"""One switch between a function written to be read and the compiled loop that does the same work.

    @twin(kernels.gaussian.gaussian_kl, mu="B Z", logvar="B Z")
    def gaussian_kl(mu, logvar):
        return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1.0 - logvar, axis=1)

The body that the reader sees is the reference.  The kernel, a plain function with the same parameters, is compiled
at its first call and runs instead of the body when kernels are on and every array is float32 (or every one
float64) and C-contiguous.  Anything else runs the body, so a complex array, and with it the complex-step
gradient check, needs no special case.  Without numba, kernels are off.

The shapes given to `twin` are checked at every call on both paths, because compiled code checks no bounds.
"""
from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from .arguments import one_of, shown, unmatched
from .kernels.jit import jit

P = ParamSpec("P")
R = TypeVar("R")

MaybeArray = Any    # an array, or None where the caller does not need it

ANY_SHAPE = "..."
NUMBERS = {"number": -1e150, "positive number": 1e-150}    # lower bounds; the upper is 1e150, so no square overflows
PAIRS = {"pair": 0, "positive pair": 1}    # of whole numbers (height, width), and their lower bound
OTHERS: dict[str, tuple[Callable[[Any], bool], str]] = {    # neither array nor number: a test, and its description
    "flag": (lambda value: type(value) is bool or type(value) is np.bool_, "True or False"),
    "function": (callable, "a function")}
COMPILED_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

layout = operator.attrgetter("shape", "strides", "dtype")    # of an array: all that each call has to check

registry: dict[str, "Twin"] = {}    # every twin by module and name, for tests that walk them all
_kernels_on = os.environ.get("NUMPYVAE_KERNELS") != "0" and importlib.util.find_spec("numba") is not None
if os.environ.get("NUMPYVAE_KERNELS", "1") not in ("", "0", "1"):
    warnings.warn(f"the environment's NUMPYVAE_KERNELS is {os.environ['NUMPYVAE_KERNELS']!r}, which has no effect; "
                  "expected 0, for plain NumPy, or leave it out", stacklevel=2)


@contextlib.contextmanager
def kernels_off() -> Iterator[None]:
    """Run everything inside the `with` block in plain NumPy."""
    global _kernels_on
    before, _kernels_on = _kernels_on, False
    try:
        yield
    finally:
        _kernels_on = before


def kernels_are_on() -> bool:
    return _kernels_on


Spec = str | Mapping[str, Any]


def is_array(spec: Spec) -> bool:
    """Whether a parameter with this spec is an array."""
    return isinstance(spec, str) and spec not in NUMBERS and spec not in PAIRS and spec not in OTHERS


def twin(kernel: Callable[..., Any] | None, *, compiled: bool = True, writes: tuple[str, ...] = (),
         wrt: tuple[str, ...] | None = None,
         **shapes: Spec) -> Callable[[Callable[P, R]], "Twin[P, R]"]:
    """Bind a NumPy function to the kernel that computes the same.

    kernel : a plain function with the same parameters, from numpyvae.kernels; None for a function made of other
             twins, or one that takes little of a step's time
    compiled : False for a kernel that numba does not compile, because it calls BLAS and other twins
    writes : the parameters that are filled with results, and not read unless the docstring says so
    wrt    : the parameters that the function's `_backward` gives gradients for; all its arrays, if None
    shapes : for each parameter its axes ("B Z"; the same letter means the same length, "2D" twice that of "D"),
             "..." for an array of any shape (the same for all), "number" or "positive number", or "pair" for a
             tuple of two whole numbers of at least 0 ("positive pair": 1).  "uint8: N D" also fixes the dtype,
             which otherwise is the one floating dtype that all the arrays share.  "flag" is True or False,
             "function" a function, and a dict stands for one of its keys.  None is accepted where it is the default

    The result is called like the function; `.reference` is the function and `.kernel` the plain kernel.
    """
    def bind(reference: Callable[P, R]) -> Twin[P, R]:
        return Twin(reference, kernel, compiled, writes, wrt, shapes)
    return bind


class Twin(Generic[P, R]):
    """A reference and its kernel, called as one function.

    Raises TypeError for an argument that is not an array of numbers (or not a number), ValueError for one whose shape
    does not fit the others or for a number outside its range.
    """

    def __init__(self, reference: Callable[P, R], kernel: Callable[..., Any] | None, compiled: bool,
                 writes: tuple[str, ...], wrt: tuple[str, ...] | None, shapes: dict[str, Spec]):
        functools.update_wrapper(self, reference)
        self.signature = inspect.signature(reference)
        if list(shapes) != list(self.signature.parameters):
            raise TypeError(f"{reference.__name__}: twin was given shapes for {list(shapes)}, "
                            f"but the parameters are {list(self.signature.parameters)}")
        self.name = reference.__name__
        self.reference: Callable[..., Any] = reference
        self.kernel: Any = kernel
        self.shapes = shapes
        self.writes = writes
        self.compiled = compiled
        self._arrays = [i for i, spec in enumerate(shapes.values()) if is_array(spec)]
        picked = operator.itemgetter(*self._arrays)
        self._arrays_of = picked if len(self._arrays) > 1 else lambda values: (picked(values),)
        self._has_arrays_alone = len(self._arrays) == len(shapes)
        others = [(i, name, spec) for i, (name, spec) in enumerate(shapes.items()) if not is_array(spec)]
        self._numbers = {i: NUMBERS[spec] for i, _, spec in others if isinstance(spec, str) and spec in NUMBERS}
        self._pairs = [(i, PAIRS[spec]) for i, _, spec in others if isinstance(spec, str) and spec in PAIRS]
        self._others = [(i, name, *OTHERS[spec]) for i, name, spec in others
                        if isinstance(spec, str) and spec in OTHERS]
        self._names = [(i, name, spec) for i, name, spec in others if not isinstance(spec, str)]
        self.wrt = tuple(list(shapes)[i] for i in self._arrays) if wrt is None else wrt
        self._floats = [i for i in self._arrays if ":" not in list(shapes.values())[i]]
        self._optional = [name for name, parameter in self.signature.parameters.items() if parameter.default is None]
        self._compiled: Callable[..., Any] | None = None if compiled else kernel
        self._seen: dict[tuple[Any, ...], bool] = {}    # layouts that fitted -> may the kernel take them?
        registry[f"{reference.__module__}.{reference.__name__}"] = self

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        values: tuple[Any, ...] = args
        if kwargs or len(args) != len(self.shapes):
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = bound.args
        arrays = values if self._has_arrays_alone else self._arrays_of(values)
        try:
            compilable = self._seen[tuple(map(layout, arrays))]
        except (AttributeError, KeyError):
            compilable = self._check(values)
        if arrays is not values:
            for i, least in self._numbers.items():
                if type(values[i]) is not float or not least < values[i] < 1e150:
                    self._check_number(i, least, values[i])
            for i, least in self._pairs:
                self._check_pair(i, least, values[i])
            for i, name, fits, expected in self._others:
                if not fits(values[i]):
                    raise TypeError(f"{self.name}: {name} is {shown(values[i])}; expected {expected}")
            for i, name, known in self._names:
                if type(values[i]) is not str or values[i] not in known:
                    one_of(f"{self.name}: {name}", values[i], known)
        if compilable and _kernels_on:
            return self._run_kernel(values)
        return self.reference(*values)

    def fast(self, *values: Any) -> Any:
        """The call without checks, for a caller who knows that the arguments fit: the kernel if there is one."""
        return self.reference(*values) if self.kernel is None else self._run_kernel(values)

    def _run_kernel(self, values: tuple[Any, ...]) -> R:
        if self._compiled is None:
            try:
                self._compiled = jit(self.kernel)
            except ImportError:    # no numba on this machine: the reference does the work
                self._compiled = self.reference
        if self._numbers:
            number = values[self._floats[0]].dtype.type    # a Python float would promote float32 to float64
            values = tuple(number(value) if i in self._numbers else value for i, value in enumerate(values))
        try:
            return self._compiled(*values)
        except SystemError as error:    # Ctrl-C while numba boxes an array that the kernel returns, or calls another
            cause: BaseException | None = error
            while isinstance(cause, SystemError):
                cause = cause.__cause__
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise

    def _check(self, args: tuple[Any, ...]) -> bool:
        """Check each array's shape; return whether the kernel could take them all."""
        lengths: dict[str, int] = {}
        whole: tuple[str, tuple[int, ...]] | None = None
        names = list(self.shapes)
        given = [i for i in self._arrays if args[i] is not None or names[i] not in self._optional]
        for i in given:
            name, value, spec = names[i], args[i], str(self.shapes[names[i]])
            if not isinstance(value, np.ndarray) or value.dtype.kind not in ("iu" if ":" in spec else "fc"):
                kind = spec.split(":")[0] if ":" in spec else "float"
                raise TypeError(f"{self.name}: {name} is {shown(value)}; expected a NumPy array of {kind}, "
                                f"as np.asarray({name}, {kind}) gives")
            if ":" in spec:
                dtype, spec = spec.split(":")
                if value.dtype != dtype:
                    raise TypeError(f"{self.name}: {name} has dtype {value.dtype}; expected {dtype}")
            if spec == ANY_SHAPE:
                if whole is not None and value.shape != whole[1]:
                    raise ValueError(f"{self.name}: {name} has shape {value.shape}; expected {whole[1]}, "
                                     f"the shape of {whole[0]}")
                whole = whole or (name, value.shape)
                continue
            expected = unmatched(spec, value.shape, lengths)
            if expected is not None:
                raise ValueError(f"{self.name}: {name} has shape {value.shape}; expected {expected}")
        for written in given:
            if names[written] in self.writes:
                self._check_holds(names[written], args[written].dtype, {names[i]: args[i].dtype for i in given})
        if len(given) < len(self._arrays):
            return False
        dtypes = {args[i].dtype for i in self._floats}
        compilable = (self.kernel is not None and len(dtypes) == 1 and dtypes <= set(COMPILED_DTYPES)
                      and all(args[i].flags.c_contiguous for i in self._arrays))
        if len(self._seen) > 1000:    # a caller that never repeats a shape must not fill the memory
            self._seen.clear()
        if all(args[i].ndim for i in self._arrays):    # a NumPy scalar has the shape () of an array, but is not one
            self._seen[tuple(layout(args[i]) for i in self._arrays)] = compilable
        return compilable

    def _check_holds(self, written: str, dtype: np.dtype[Any], others: dict[str, np.dtype[Any]]) -> None:
        for name, other in others.items():
            if other.kind in "fc" and not np.can_cast(other, dtype, "same_kind"):
                raise TypeError(f"{self.name}: {name} has dtype {other}, which {written} cannot hold; expected "
                                f"{dtype}, as {written} has")

    def _check_number(self, i: int, least: float, value: Any) -> None:
        name, spec = list(self.shapes.items())[i]
        if not isinstance(value, (int, float, np.floating, np.integer)) or isinstance(value, bool):
            raise TypeError(f"{self.name}: {name} is {type(value).__name__}; expected a {spec}")
        if not least < (value if isinstance(value, (int, float)) else float(value)) < 1e150:    # float32 overflows
            raise ValueError(f"{self.name}: {name} is {shown(value)}; expected a {spec}, from {least} to 1e150")

    def _check_pair(self, i: int, least: int, value: Any) -> None:
        if not (type(value) is tuple and len(value) == 2
                and all([type(number) is int and number >= least for number in value])):
            raise ValueError(f"{self.name}: {list(self.shapes)[i]} is {shown(value)}; expected a tuple of two whole "
                             f"numbers of at least {least}, along the height and the width")
