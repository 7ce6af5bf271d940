"""A model as a tree of its parts, which JSON can hold: each has its class's name and its constructor's arguments.

    {"part": "Dense", "n_in": 784, "n_out": 400, "activation": "relu", "init": "fan-in"}

A class from outside this package is {"own": ...}, a tuple {"tuple": [...]}.  The weights, their dtype and the generator
that draws them are not part of it.
"""
from __future__ import annotations

import enum
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arguments import plain, shown
from ..files.regular import one_line
from ..nn.buffers import Buffers
from ..nn.layers import at_most

DEEPEST, MOST = 30, 5_000    # levels and entries of a tree: a model has 6 levels, counting lists, and about 100 entries
NOT_PARTS = sys.stdlib_module_names | {"numpy"}    # modules whose objects are plain values


def tree_of(part: Any) -> dict[str, Any]:
    """The tree of a part.

    Raises ValueError where an argument has no attribute of its name, or one that JSON cannot hold.
    """
    kind = type(part)
    return {origin(kind): kind.__name__} | {name: _written(part, name) for name in arguments_of(kind)
                                            if name not in ("rng", "dtype")}


def arguments_of(kind: type) -> list[str]:
    """The names of a constructor's arguments; raises ValueError where it takes *args or **kwargs."""
    parameters = inspect.signature(kind).parameters.values()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise ValueError(f"{kind.__name__} cannot be saved: its constructor takes {stars}{parameter.name}; "
                             "expected named arguments only, so that it can be rebuilt from a file")
    return [parameter.name for parameter in parameters]


def origin(kind: type) -> str:
    """The key of a class's name in a tree: a user's own class may have the same name as one of ours."""
    return "part" if kind.__module__.startswith("numpyvae.") else "own"


def is_part(value: Any) -> bool:
    """Whether a value is an object with a tree of its own."""
    if isinstance(value, (enum.Enum, type)):
        return False
    return (type(value).__module__.split(".")[0] not in NOT_PARTS
            or any(hasattr(value, name) for name in ("forward", "nll", "log_density")))    # a class in a user's code.py


def _written(part: Any, name: str) -> Any:
    called = type(part).__name__
    if not hasattr(part, name):
        raise ValueError(f"{called} cannot be saved: its constructor takes {name}, but it has no attribute of "
                         f"that name; expected self.{name}, so that it can be rebuilt from a file")

    def as_json(value: Any) -> Any:
        value = plain(value)
        if type(value) is tuple:
            return {"tuple": [as_json(one) for one in value]}
        if type(value) is list:
            return [as_json(one) for one in value]
        if value is None or type(value) in (bool, int, float, str):
            return value
        if not is_part(value):
            raise ValueError(f"{called} cannot be saved: its {name} is {shown(value)}; expected numbers, text, parts "
                             "of a model, or lists of them")
        return tree_of(value)
    return as_json(getattr(part, name))


class Maker:
    """From a tree to the part, with weights drawn at random.

    classes : those that may occur in it; of two with the same name the later one is used
    """

    def __init__(self, classes: Sequence[type], dtype: np.dtype):
        self.known = {(origin(kind), kind.__name__): kind for kind in classes}
        self.dtype, self.made = dtype, 0

    def __call__(self, tree: Any, depth: int = 1) -> Any:
        self.made += 1
        if depth > DEEPEST or self.made > MOST:
            raise ValueError(f"its tree has more than {DEEPEST} levels or {MOST:,} parts and numbers")
        if isinstance(tree, list):
            return [self(one, depth + 1) for one in tree]
        if not isinstance(tree, dict):
            return tree
        (key, name), *arguments = tree.items()
        if key == "tuple" and isinstance(name, list):
            return tuple(self(name, depth))
        kind = self.known.get((key, name)) if isinstance(name, str) else None
        if kind is None:
            hint = f": pass it, numpyvae.load(path, parts=[{name}])" if key == "own" else ""
            raise ValueError(f"it holds a part of the unknown class {name!r}{hint}")
        given = {argument: self(value, depth + 1) for argument, value in arguments}
        takes = inspect.signature(kind).parameters
        if not set(given) <= set(takes):
            raise ValueError(f"its {name} has {', '.join(set(given) - set(takes))}, which {name} does not take")
        drawing = {"rng": np.random.default_rng(0), "dtype": self.dtype}
        return kind(**given, **{argument: value for argument, value in drawing.items() if argument in takes})


def checked_tree_of(model: Any) -> dict[str, Any]:
    """The tree of a model, if the same model can be rebuilt from it: users' own parts are rebuilt and compared.

    Raises ValueError where one cannot be rebuilt, or comes out different.
    """
    try:
        tree = tree_of(model)
        parts = list(parts_of(model))
    except RecursionError:
        raise ValueError(f"{type(model).__name__} cannot be saved: a part of it contains itself, or its parts are "
                         "nested too deeply; expected a tree of parts") from None
    size = _size(tree)
    if size > MOST:
        raise ValueError(f"{type(model).__name__} cannot be saved: it has {size:,} parts and numbers besides its "
                         f"weights; expected at most {MOST:,}")
    own = {type(part).__name__ for part in parts if origin(type(part)) == "own"}
    if own:
        again = _made_again(model, tree, parts, ", ".join(sorted(own)))
        for part, other in zip(parts, parts_of(again)):
            if type(part) is not type(other):
                raise ValueError(f"two different classes are called {type(part).__name__}; expected "
                                 "distinct names")
            if origin(type(part)) == "own":
                _check_alike(part, other)
    return tree


def _made_again(model: Any, tree: dict[str, Any], parts: list[Any], names: str) -> Any:
    """The model rebuilt from its tree, with its weights."""
    try:
        with at_most(len(model.parameters)):
            again = Maker([type(part) for part in parts], model.dtype)(tree)
        alike = tree_of(again) == tree and again.parameters.names == model.parameters.names
    except Exception as error:    # a user's own code
        raise ValueError(f"{names} cannot be saved: rebuilding it raised {one_line(repr(error))}; expected a "
                         "constructor that accepts what its attributes hold") from error
    if not alike:
        raise ValueError(f"{names} cannot be saved: rebuilt from its constructor's arguments it is not the same; "
                         "expected attributes that keep the arguments unchanged")
    again.parameters.values[:] = model.parameters.values
    return again


def parts_of(part: Any) -> Iterator[Any]:
    """A part and all parts below it, in the order of the tree."""
    yield part
    for name in arguments_of(type(part)):
        value: Any = getattr(part, name, None)
        for one in value if type(value) in (list, tuple) else [value]:
            if is_part(one):
                yield from parts_of(one)


def _size(tree: Any) -> int:
    """How many parts and numbers `Maker` will count."""
    if isinstance(tree, dict):
        tree = [value for key, value in tree.items() if key not in ("part", "own")]
    return 1 + sum(map(_size, tree)) if isinstance(tree, list) else 1


def _check_alike(part: Any, again: Any) -> None:
    """Raises ValueError where the rebuilt part differs from what the part holds now."""
    for name, value in _state(again).items():
        now = getattr(part, name, None)
        if not _is_alike(now, value, set()):
            raise ValueError(f"{type(part).__name__} cannot be saved: its {name} is {shown(now)}, but a file would "
                             f"restore it as {shown(value)}; expected it in params, which are saved, or, if it may be "
                             "lost, its name in not_copied")


def _state(part: Any) -> dict[str, Any]:
    """The attributes of an object, without its scratch arrays."""
    scratch = {"grads", *getattr(part, "not_copied", ())}
    return {name: value for name, value in getattr(part, "__dict__", {}).items() if name not in scratch}


def _is_alike(now: Any, again: Any, seen: set[tuple[int, int]]) -> bool:
    """Whether two values are equal at every depth; what is None in the rebuilt part may be anything now.

    seen : pairs whose comparison has begun, since an object may contain itself
    """
    if again is None or (id(now), id(again)) in seen:
        return True
    seen.add((id(now), id(again)))
    if isinstance(again, (np.ndarray, np.number, int, float)):
        if not isinstance(now, (np.ndarray, np.number, int, float)):
            return False
        now, again = np.asarray(now), np.asarray(again)
        return np.array_equal(now, again.astype(now.dtype), equal_nan=now.dtype.kind in "fc")
    if isinstance(again, (str, bytes)):
        return bool(now == again)
    if isinstance(again, (list, tuple)):
        return type(now) is type(again) and len(now) == len(again) and all(
            _is_alike(a, b, seen) for a, b in zip(now, again))
    if isinstance(again, dict):
        return isinstance(now, dict) and list(now) == list(again) and all(
            _is_alike(now[key], value, seen) for key, value in again.items())
    if not is_part(again) or isinstance(again, Buffers):
        return True
    return type(now) is type(again) and all(
        _is_alike(getattr(now, name, None), value, seen) for name, value in _state(again).items())
