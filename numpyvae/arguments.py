"""What an argument may be, and the error message for one that does not fit.

    @checked(codes="N Z", labels="any: N", n=WHOLE)
    def nearest(codes: Array, labels: Array, n: int, *, rng: np.random.Generator): ...

An array's axes are given as in twin.py: the same letter means the same length.  Any other argument has a Kind, given by
name or implied by its annotation.  NumPy's numbers become Python's, which do not overflow and fit into JSON.  Functions
that run in every training step check their arguments by hand, because binding them costs a few microseconds.
"""
from __future__ import annotations

import difflib
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

BLAMED = 10_000        # the size from which it is named alone where memory runs out
LARGEST = 2**31 - 1    # whole number accepted: more than anybody has time or memory for


def pip_line(extra: str) -> str:
    """What to type for an extra; it works for a checkout's package as well, which pip knows by its name."""
    return f"pip install 'numpyvae[{extra}]'"


def plain(value: Any) -> Any:
    """A NumPy number as Python's own, also inside a tuple or a list."""
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def as_tuple(value: Any) -> Any:
    """A list, a range or a one-dimensional array as a tuple of Python's own numbers."""
    if isinstance(value, (list, tuple, range)) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return tuple(map(plain, value))
    return plain(value)


def at_home(value: Any) -> Any:
    """A path that begins with ~ as one in the user's home folder."""
    is_path = isinstance(value, (str, os.PathLike))
    return os.path.expanduser(value) if is_path and os.fspath(value)[:1] in ("~", b"~") else value


class Kind(NamedTuple):
    """What an argument may be: a test, its description, the exception it raises, and a conversion made before it."""

    fits: Callable[[Any], bool]
    expected: str
    error: type[Exception] = ValueError
    convert: Callable[[Any], Any] = plain

    def check(self, called: str, name: str, value: Any) -> Any:
        """The converted value; if it does not fit, raises an error that names the function and the argument."""
        value = self.convert(value)
        if not self.fits(value):
            raise self.error(f"{called}: {name} is {shown(value)}; expected {self.expected}")
        return value


def is_whole(value: Any, least: int = -LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST


def is_number(value: Any) -> bool:
    """A real number whose square a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e150 < value < 1e150


def all_are(fits: Callable[[Any], bool], least: int = 1) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (tuple, list)) and len(value) >= least and all(map(fits, value))


def has(*attributes: str) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, type) and all(hasattr(value, name) for name in attributes)


def protocol(words: str, *attributes: str) -> Kind:
    """A Kind that a user's own class can satisfy: the message lists every attribute it needs."""
    return Kind(has(*attributes), f"{words}, with {', '.join(attributes)}", TypeError)


def is_pair(least: int) -> Callable[[Any], bool]:
    return lambda value: is_whole(value, least) or (all_are(lambda n: is_whole(n, least))(value) and len(value) == 2)


def is_float_dtype(value: Any) -> bool:
    known = isinstance(value, (type, np.dtype)) or (isinstance(value, str) and value in ("float32", "float64"))
    return known and np.dtype(value) in (np.float32, np.float64, np.complex64, np.complex128)


ANYTHING = Kind(lambda value: True, "anything")    # or: checked in the function, which knows the valid names
WHOLE = Kind(lambda value: is_whole(value, 1), "a whole number of at least 1 (and below 2^31)")
AT_LEAST_2 = Kind(lambda value: is_whole(value, 2), "a whole number of at least 2 (and below 2^31)")
COUNT = Kind(lambda value: is_whole(value, 0), "a whole number of at least 0 (and below 2^31)")
SEED = Kind(lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
            "a whole number of at least 0")
NUMBER = Kind(is_number, "a number (between -1e150 and 1e150)")
POSITIVE = Kind(lambda value: is_number(value) and value > 1e-150, "a number above 0 (from 1e-150 to 1e150)")
NOT_NEGATIVE = Kind(lambda value: is_number(value) and value >= 0, "a number of at least 0 (and below 1e150)")
FRACTION = Kind(lambda value: is_number(value) and 0 <= value < 1, "a number from 0 to below 1")
FLAG = Kind(lambda value: isinstance(value, (bool, np.bool_)), "True or False")
TEXT = Kind(lambda value: isinstance(value, str), "text", TypeError)
METHOD = Kind(lambda value: isinstance(value, str) and value in ("complex-step", "central-differences"),
              "'complex-step' or 'central-differences'")
TEXTS = Kind(all_are(lambda one: isinstance(one, str)), "a tuple of names")
PATH = Kind(lambda value: isinstance(value, (str, os.PathLike)) and not {"\0", "\n"} & set(str(value)),
            "the path of a file or folder, without a line break", TypeError,
            convert=at_home)
GENERATOR = Kind(lambda value: isinstance(value, np.random.Generator), "a Generator, such as np.random.default_rng(0)",
                 TypeError)
DTYPE = Kind(is_float_dtype, "np.float32, np.float64 or complex", TypeError)
FUNCTION = Kind(callable, "a function", TypeError)
SIZES = Kind(all_are(lambda size: is_whole(size, 1), least=0), "a tuple of whole numbers of at least 1, such as (400,)",
             convert=as_tuple)
SHAPE = Kind(lambda value: SIZES.fits(value) and len(value) < 64, "whole numbers of at least 1, for at most 63 axes",
             convert=as_tuple)    # NumPy's arrays have 64 axes, and the batch is the first
CHANNELS = Kind(all_are(lambda size: is_whole(size, 1)), "each convolution's channels as a tuple, such as (32, 64)",
                convert=as_tuple)
IMAGE = Kind(lambda value: all_are(lambda size: is_whole(size, 1))(value) and len(value) == 3,
             "(height, width, channels), such as (28, 28, 1)", convert=as_tuple)
PICTURE_SIZE = Kind(lambda value: is_pair(1)(value) and np.max(value) <= 4096,
                    "a whole number from 1 to 4096, or (width, height)", convert=as_tuple)
STEPS = Kind(is_pair(1), "a whole number of at least 1, or a pair of them, along the height and the width",
             convert=as_tuple)
MARGINS = Kind(is_pair(0), "a whole number of at least 0, or a pair of them, along the height and the width",
               convert=as_tuple)
PLACES = Kind(all_are(lambda place: is_whole(place, 0)), "a tuple of dimensions, counted from 0", convert=as_tuple)
MODEL = Kind(has("parameters", "n_data", "dtype", "loss_and_grad", "noise"),
             "a model, such as VAE.dense(...)", TypeError)
VAE = Kind(has("parameters", "likelihood", "n_latent", "encoder", "decoder", "posterior", "prior", "decode"),
           "a VAE, such as VAE.dense(...)", TypeError)
POSTERIOR = protocol("a posterior, such as DiagonalGaussian", "n_hidden", "n_latent", "noise", "forward",
                     "backward_heads", "reparameterize", "reparameterize_backward", "knows_kl_to", "kl", "backward",
                     "moments", "named_heads")
has_closed_form = has("closed_form_kl", "closed_form_kl_backward")
has_density = has("log_density", "log_density_backward")
PRIOR = protocol("a prior, such as StandardNormal", "n_latent", "sample")
TYPES = Kind(all_are(lambda one: isinstance(one, type), least=0), "a list of classes, such as [MyLayer]", TypeError)
LAYER = protocol("a layer, such as Dense", "forward", "backward")    # a network has these too
LAYERS = Kind(all_are(has("forward", "backward", "params", "grads"), least=0),
              "a list of layers, such as Dense, each with forward, backward, params, grads", TypeError)
NETWORK = Kind(has("layers", "forward", "backward", "named_layers"), "a Sequential", TypeError)
LIKELIHOOD = protocol("a likelihood, such as likelihoods.Bernoulli()", "outputs_per_pixel", "check", "nll",
                      "nll_and_grad", "mean", "sample")
PARAMETERS = Kind(has("values", "grads"), "the parameters of a model", TypeError)
OPTIMIZER = Kind(has("step"), "an optimizer, such as Adam()", TypeError)
AXES = Kind(has("plot", "imshow", "transAxes"), "matplotlib's Axes", TypeError)
MAPPING = Kind(lambda value: isinstance(value, Mapping) and len(value) > 0, "a dict with at least one entry", TypeError)
EXTENTS = (WHOLE, AT_LEAST_2, COUNT, SIZES, SHAPE, CHANNELS, IMAGE, PICTURE_SIZE)    # on which memory depends
RECORDS = Kind(lambda value: isinstance(value, Sequence) and len(value) > 0
               and all(has("epoch", "validation")(record) for record in value),
               "a list of the records that fit yields, list(fit(...)), with at least one")

# The Kinds that annotations imply.  A number's annotation implies none: the function has to say which it takes.
TYPES_OF: dict[str, Kind] = {
    "bool": FLAG, "np.random.Generator": GENERATOR, "str | os.PathLike[str]": PATH, "DTypeLike": DTYPE,
    "str": ANYTHING,    # checked in the function, which knows the valid names
    "Function": FUNCTION, "VAE": VAE, "Model": MODEL, "Sequential": NETWORK, "Optimizer": OPTIMIZER, "Axes": AXES}


def checked(**kinds: str | Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check a function's arguments before it runs; lists become arrays where axes are given.

    kinds : a parameter's Kind, or its axes ("N Z", "..." for an array of any shape).  Arrays hold finite real numbers;
            the prefix "numbers: " also allows NaN, infinity and complex numbers, "any: " anything at all.  A parameter
            whose annotation is in TYPES_OF needs neither.  None is accepted where it is the default

    The function raises a TypeError or ValueError that names it, the argument, what was given and what was expected,
    and a NotEnoughMemory that names the largest of them where there is not enough memory for what was asked.
    """
    def bind(function: Callable[P, R]) -> Callable[P, R]:
        called, makes = function.__qualname__.removesuffix(".__init__"), function.__name__ == "__init__"
        signature = inspect.signature(function)
        named = {name: parameter for name, parameter in signature.parameters.items()
                 if name not in ("self", "cls") and parameter.kind not in (parameter.VAR_POSITIONAL,
                                                                           parameter.VAR_KEYWORD)}
        held_to = {name: kinds[name] if name in kinds else kind_of(called, parameter)
                   for name, parameter in named.items()}

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)    # Python says it best
            caller = type(args[0]).__name__ if makes else called    # a class may inherit its constructor
            lengths: dict[str, int] = {}
            given = {name: value for name, value in bound.arguments.items() if name in held_to}
            for name, value in given.items():
                kind = held_to[name]
                if value is None and named[name].default is None:
                    continue
                if isinstance(kind, str):
                    bound.arguments[name] = as_array(caller, name, value, kind, lengths)
                else:
                    bound.arguments[name] = kind.check(caller, name, value)
            try:
                return function(*bound.args, **bound.kwargs)
            except MemoryError as error:
                sizes = {f"{name} = {shown(value)}": extent(value) for name, value in given.items()
                         if isinstance(held_to[name], str) or held_to[name] in EXTENTS}
                raise NotEnoughMemory(f"{caller}: {too_large(sizes, error)}") from None
        return run
    return bind


class NotEnoughMemory(ValueError, MemoryError):
    """For what was asked of a function: both a wrong argument, and memory that ran out."""


def extent(value: Any) -> int:
    """How many numbers a size stands for, to tell which of several is the largest."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, (tuple, list)):
        return max(map(extent, value), default=0)
    return value if isinstance(value, int) else 0


def too_large(sizes: Mapping[str, int], error: MemoryError) -> str:
    """What there is not enough memory for: the largest of several sizes, each as it was written, and what to do."""
    (largest, *others) = sorted(sizes, key=lambda size: -sizes[size]) or ["what was asked for"]
    found = re.search(r"\d[\d.]* (bytes|.iB)", str(error))    # in NumPy's message
    at_once = f" ({found[0]} in one piece)" if found else ""
    if sizes.get(largest, 0) < BLAMED:
        return f"not enough memory for {', '.join([largest, *others])}{at_once}; expected smaller values"
    more = [size for size in others if 1000 * sizes[size] >= sizes[largest]]
    return (f"not enough memory for {largest}{at_once}; expected a smaller value"
            f"{', there or of ' * bool(more)}{', '.join(more)}")


def kind_of(called: str, parameter: inspect.Parameter) -> Kind:
    """The Kind that a parameter's annotation implies; raises TypeError where it implies none."""
    annotation = str(parameter.annotation).removesuffix(" | None")
    if annotation.startswith("Callable["):
        return FUNCTION
    if annotation not in TYPES_OF:
        raise TypeError(f"{called} takes {parameter.name}: {annotation}, an annotation that does not say which values "
                        f"are allowed; expected checked({parameter.name}=...)")
    return TYPES_OF[annotation]


def as_array(called: str, name: str, value: Any, spec: str, lengths: dict[str, int]) -> np.ndarray:
    """value as an array that fits a spec of `checked`; the lengths of its axes are added to `lengths`."""
    holding, _, axes = spec.rpartition(": ")
    refuse_masked(f"{called}: {name}", value)
    try:
        array = np.asarray(value)
    except ValueError:    # rows of different lengths
        raise ValueError(f"{called}: {name} is {shown(value)}; expected an array, with rows of equal length") from None
    if holding != "any" and array.dtype.kind not in ("fiubc" if holding else "fiub"):
        raise TypeError(f"{called}: {name} is {shown(value)}; expected an array of real numbers")
    expected = unmatched(axes, array.shape, lengths)
    if expected is not None or array.size == 0:
        raise ValueError(f"{called}: {name} has shape {array.shape}; expected {expected or 'at least one number'}")
    if not holding and not np.isfinite(array).all():
        raise ValueError(f"{called}: {name} holds NaN or infinity; expected finite numbers: replace or drop them")
    return array


def refuse_masked(named: str, value: Any) -> None:
    """Raises ValueError for a masked array with values that are missing: NumPy would compute with what lies below."""
    if np.ma.is_masked(value):
        raise ValueError(f"{named} is a masked array in which values are missing; expected all of them: fill or drop "
                         "them")


def unmatched(spec: str, shape: tuple[int, ...], lengths: dict[str, int]) -> str | None:
    """None where a shape matches the spec ("B 2D"), else what was expected, in words; `lengths` gains new axes."""
    if spec == "...":
        return None
    axes = [(int(axis[0]), axis[1:]) if axis[0].isdigit() else (1, axis) for axis in spec.split()]
    if len(shape) != len(axes) or not all(n % times == 0 and lengths.get(axis, n // times) == n // times
                                          for (times, axis), n in zip(axes, shape)):
        known = ", ".join(f"{axis} = {lengths[axis]}" for _, axis in axes if axis in lengths)
        return f"({', '.join(spec.split())})" + (f" with {known}, as in the earlier arguments" if known else "")
    lengths.update({axis: n // times for (times, axis), n in zip(axes, shape)})
    return None


def one_of(argument: str, value: Any, known: Any) -> Any:
    """value, if it is one of the known names; otherwise raises a ValueError that lists them."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{argument} is {shown(value)}; expected one of {', '.join(map(repr, known))}"
                         f"{did_you_mean(value, known) if isinstance(value, str) else ''}")
    return value


def counted(n: int, one: str, many: str = "") -> str:
    """1 row, 2 rows."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """": did you mean 'train'?" for the closest of the known names, in any case of letters; "" if none is close."""
    names = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name[:100].lower(), names, n=1)    # its time grows with the square of the length
    return f": did you mean {names[close[0]]!r}?" if close else ""


def did_you_mean_file(path: str, known: Iterable[str]) -> str:
    """The same for a path: by the file's own name without its ending, as the folder and the ending are alike anyway."""
    def stem(one: str) -> str:
        return os.path.splitext(os.path.basename(os.path.normpath(one)))[0]
    by_stem: dict[str, list[str]] = {}
    for one in known:
        by_stem.setdefault(stem(one).lower(), []).append(one)
    close = difflib.get_close_matches(stem(path)[:100].lower(), by_stem, n=1)
    if not close:
        return ""
    ending = os.path.splitext(path)[1]
    return f": did you mean {max(by_stem[close[0]], key=lambda one: os.path.splitext(one)[1] == ending)!r}?"


def shown(value: Any) -> str:
    """An argument in a message: short, and on one line."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array {value.shape} of {value.dtype}"
    if isinstance(value, (int, float, str, bytes, tuple, list, np.generic, np.ndarray)) or value is None:
        try:
            text = " ".join(repr(value).split())
        except ValueError:    # Python refuses to print an integer of thousands of digits
            text = "a number with thousands of digits"
        return text if len(text) <= 60 else text[:57] + "..."
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
