"""What a layer is made of: every array and number in it, which of them belong together, and how to put all of it back.

People keep weights and gradients in attributes, dicts, lists, objects with .data and .grad, or behind methods.  Instead
of a case for each style, everything is found by walking from the layer, and each place has a path, such as
("params", "W") or ("layers", 0, "W").  One table of words says which path holds the gradient of which.
"""
from __future__ import annotations

import functools
import itertools
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .names import ACCESSORS, GRADIENT_HOLDERS, HOLDERS, MARKS, SAME, plain

Array = np.ndarray
Path = tuple[str | int, ...]

MOST_PARTS, DEEPEST, MOST_BYTES = 20_000, 7, 2 * 10**8    # of what is walked: a layer, not a program

NUMBERS = (float, np.floating)
LEAVES = (np.ndarray, np.generic, str, bytes, int, float, complex, type, types.ModuleType, types.FunctionType,
          types.BuiltinFunctionType, types.GeneratorType, type(None))
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


class LayerError(TypeError, ValueError):
    """What check raises: one sentence about the layer that was handed over."""


class Place(NamedTuple):
    """Where a number or an array stands: owner[key], or the attribute `key` of owner."""

    path: Path
    owner: Any
    key: Any
    value: Any

    def put(self, value: Any) -> None:
        if isinstance(self.owner, dict):
            dict.__setitem__(self.owner, self.key, value)
        elif isinstance(self.owner, list):
            list.__setitem__(self.owner, self.key, value)
        elif not isinstance(self.owner, (tuple, type)):
            object.__setattr__(self.owner, self.key, value)


def contents(thing: Any) -> list[tuple[Any, Any]]:
    """What a container or an object holds, by key or name; nothing of what has no parts."""
    if isinstance(thing, dict):
        return list(dict.items(thing))
    if isinstance(thing, list):    # whatever a subclass makes of iterating
        return list(enumerate(list.__getitem__(thing, slice(None))))
    if isinstance(thing, tuple):
        return list(enumerate(tuple.__getitem__(thing, slice(None))))
    if isinstance(thing, types.MethodType):
        return [("self", thing.__self__)]
    if isinstance(thing, LEAVES + GENERATORS):
        return []
    return list((slots_of(thing) | attributes_of(thing)).items())


def attributes_of(thing: Any) -> dict[str, Any]:
    """An object's own __dict__, whatever its class answers to the question."""
    try:
        found = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def slots_of(thing: Any) -> dict[str, Any]:
    state = object.__getstate__(thing)    # (__dict__, slots) where there are slots with values
    return state[1] if isinstance(state, tuple) else {}


SHARED = (np.ndarray, list, dict)


def shared_by_class(thing: Any) -> dict[str, Any]:
    """The arrays and containers that a class holds for all its objects, or that its functions take from around them."""
    found: dict[str, Any] = {}
    for cls in reversed(type(thing).__mro__):
        if cls.__flags__ & 1 << 9:    # a class written in Python
            for name, value in vars(cls).items():
                if isinstance(value, types.FunctionType):
                    found |= taken_from_outside(value)
                elif isinstance(value, SHARED) and not name.startswith("__"):
                    found[name] = value
    for value in attributes_of(thing).values():
        if isinstance(value, types.FunctionType):
            found |= taken_from_outside(value)
    return found


def taken_from_outside(function: types.FunctionType) -> dict[str, Any]:
    """The arrays that a function finds in its module, and the arrays and containers in the functions around it."""
    module = function.__globals__
    found = {name: module[name] for name in function.__code__.co_names if isinstance(module.get(name), np.ndarray)}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            if isinstance(cell.cell_contents, SHARED):
                found[name] = cell.cell_contents
        except ValueError:    # not yet written
            pass
    return found


def walk(root: Any, start: Path = ()) -> Iterator[Place]:
    """Every place that can be reached from root; each container is entered once.

    Raises LayerError for what is too large for a layer.
    """
    todo, seen, size, count = [(start, root)], {id(root)}, 0, 0
    for path, owner in todo:
        inside = contents(owner) if isinstance(owner, (dict, list, tuple)) else list(
            (shared_by_class(owner) | dict(contents(owner))).items())
        count += len(inside)
        for key, value in inside:
            if not isinstance(key, (str, int)):
                continue
            size += value.nbytes if isinstance(value, np.ndarray) else 0
            if count > MOST_PARTS or size > MOST_BYTES:
                raise LayerError(f"the layer holds more than {MOST_PARTS} parts or {MOST_BYTES} bytes; expected a "
                                 "small one, whose every gradient can be checked")
            yield Place((*path, key), owner, key, value)
            if id(value) not in seen and len(path) < DEEPEST and contents(value):
                seen.add(id(value))
                todo.append(((*path, key), value))


def places(layer: Any) -> list[Place]:
    """All that a layer holds, and what its methods and properties hand out as its parameters and gradients."""
    found = list(walk(layer))
    for name in ACCESSORS:
        given = getattr(type(layer), name, None)
        if isinstance(given, (property, types.FunctionType)):
            try:
                handed = getattr(layer, name) if isinstance(given, property) else getattr(layer, name)()
                if not isinstance(handed, (dict, list, tuple)):
                    handed = list(itertools.islice(handed, MOST_PARTS))
            except Exception:    # it wants arguments, or is not made for this: then it hands out nothing
                continue
            found += walk(handed, (name.removeprefix("get_"),))
    return found


Reading = tuple[tuple[str, ...], bool]    # the name without its marks and holders; is it a gradient's?


def readings(path: Path) -> set[Reading]:
    """What a path can mean: ("grads", "dW1") is the gradient of ("w1",)."""
    ways = []
    for part in path:
        word = plain(str(part))
        options: list[tuple[str | None, bool]] = [(SAME.get(word, word), False)]
        options += [(None, False)] * (word in HOLDERS) + [(None, True)] * (word in GRADIENT_HOLDERS)
        for mark in MARKS:
            for rest in (word.removeprefix(mark), word.removesuffix(mark)):
                if rest not in ("", word):
                    options.append((SAME.get(rest, rest), True))
        ways.append(list(dict.fromkeys(options)))
    return {(tuple(word for word, _ in way if word is not None), any(marked for _, marked in way))
            for way in itertools.islice(itertools.product(*ways), 2000)}


def belongs(gradient: Path, weight: Path) -> bool:
    """Does the path of one name the gradient of the other?"""
    wanted = {(name, True) for name, marked in readings(weight) if name and not marked}
    return bool(wanted & readings(gradient))


def called(path: Path) -> str:
    """A short name: W for ("params", "W"), layers.0.W for ("layers", 0, "W")."""
    words = [str(part) for part in path]
    kept = [word for word in words[:-1] if word.lower().strip("_") not in HOLDERS] + words[-1:]
    return ".".join(kept[:-1] if len(kept) > 1 and kept[-1] in HOLDERS else kept)


class State:
    """A layer as it is now, with its noise: `restore` puts all of it back, so that every call starts from the same."""

    def __init__(self, layer: Any, *modules: dict[str, Any]):
        found = [(None, layer)] + [(place.key, place.value) for place in walk(layer)]
        found += [(name, value) for module in modules for name, value in module.items()
                  if isinstance(value, GENERATORS)]
        things = {id(thing): thing for _, thing in found}.values()
        self.is_noisy = True    # as far as is known; putting noise back takes longer than all the rest
        self._containers: list[tuple[Any, dict[Any, Any], list[str]]] = []
        for thing in things:
            if not isinstance(thing, (*LEAVES, *GENERATORS, types.MethodType)):
                in_slots = [] if isinstance(thing, (dict, list, tuple)) else list(slots_of(thing))
                self._containers.append((thing, dict(contents(thing)), in_slots))
        self._arrays = [(array, array.copy()) for array in things
                        if isinstance(array, np.ndarray) and array.flags.writeable and array.dtype != object]
        self._noise: list[tuple[Callable[[Any], None], Any]] = [
            (np.random.set_state, np.random.get_state()), (random.setstate, random.getstate())]
        for generator in things:
            if isinstance(generator, np.random.Generator):
                bits = generator.bit_generator
                self._noise.append((functools.partial(setattr, bits, "state"), bits.state))
            elif isinstance(generator, np.random.RandomState):
                self._noise.append((generator.set_state, generator.get_state()))
            elif isinstance(generator, random.Random):
                self._noise.append((generator.setstate, generator.getstate()))

    def restore(self) -> None:
        self.restore_all_but_noise()
        if self.is_noisy:
            self.restore_noise()

    def restore_all_but_noise(self) -> None:
        for thing, held, in_slots in self._containers:
            put_back(thing, held, in_slots)
        for array, kept in self._arrays:
            array[...] = kept

    def restore_noise(self) -> None:
        for put, state in self._noise:
            put(state)


def put_back(thing: Any, held: dict[Any, Any], in_slots: Iterable[str]) -> None:
    if isinstance(thing, dict):
        dict.clear(thing)
        dict.update(thing, held)
    elif isinstance(thing, list):
        list.__setitem__(thing, slice(None), list(held.values()))
    elif not isinstance(thing, tuple):
        own, slots = attributes_of(thing), slots_of(thing)
        own.clear()
        own.update({name: value for name, value in held.items() if name not in in_slots})
        for name in slots:
            if name not in held:
                object.__delattr__(thing, name)
        for name in in_slots:
            object.__setattr__(thing, name, held[name])
