"""Whether a result is right; if not, in which words to say what is wrong with it.

    expect(found, expected, "the KL", {"the half is missing": 2 * expected})
    expect_parts(found, "arrays", dx=(expected_dx, {...}), dW=(expected_dW, {...}))

What is accepted: any numbers that NumPy understands, in any float type, of the right shape; for several results any
sequence, a stacked array, or a dictionary with their names.
"""
from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from .attempt import LARGEST, NotYet, Unexplained

RTOL = 1e-5    # of the largest entry: float32 computes no closer
COUNTS = {2: "two", 3: "three", 4: "four", 7: "seven"}
Mistakes = Mapping[str, Any]


def expect(found: Any, expected: Any, what: str = "the result", mistakes: Mistakes | None = None,
           scale: float | None = None) -> None:
    """Raise NotYet unless found equals expected; if it equals one of the mistakes, {words: array}, with its words.

    A list holds several arrays that are the same mistake.
    scale : of the numbers that expected is the difference of, where that is larger than expected itself
    """
    right = np.asarray(forms(expected)[0], dtype=float)
    found = numbers(found, right.shape, what)
    if any(is_close(found, form, scale) for form in forms(expected)):
        return
    for words, wrong in (mistakes or {}).items():
        if any(is_close(found, form, scale) for form in forms(wrong)):
            raise NotYet(words)
    if found.shape != right.shape:
        turned = found.shape == right.shape[::-1] and is_close(found.T, right, scale)
        raise NotYet(f"{what} is transposed: it has shape {found.shape}; expected {right.shape}" if turned else
                     f"{what} has shape {found.shape}; expected {right.shape}")
    if not np.isfinite(found).all():
        raise NotYet(f"{what} holds NaN or infinity")
    if is_close(found, -right, scale):
        raise NotYet(f"{what} has the wrong sign")
    if right.size > 1:    # one number is always some multiple of another, and some distance away
        _compare_entries(found, right, what, scale)
    raise Unexplained(f"{what} is off by {np.max(np.abs(found - right)):.3g}"
                      + (" at the worst entry" if right.size > 1 else ""))


def _compare_entries(found: np.ndarray, right: np.ndarray, what: str, scale: float | None) -> None:
    """Raise NotYet if all the entries of found, or some, have something in common."""
    largest = np.unravel_index(np.argmax(np.abs(right)), right.shape)
    share = found[largest] / right[largest] if right[largest] else 0.0
    if share and is_close(found, share * right, scale):
        raise NotYet(f"{what} is {share:.4g} times what it should be: look for a missing factor, or a mean "
                     "where a sum belongs")
    if is_close(found - right, np.full(right.shape, np.mean(found - right))):
        raise Unexplained(f"{what} is off by a constant, {np.mean(found - right):.4g}: a term is missing, or one too "
                          "many")
    if is_close(found.T, right, scale):
        raise NotYet(f"{what} is transposed")
    if is_close(np.abs(found), np.abs(right), scale):
        raise NotYet(f"{what} has the wrong sign in some entries")
    wrong = np.abs(found - right) > RTOL * np.max(np.abs(right))
    if 4 * np.sum(~wrong) >= right.size:
        first = ", ".join(map(str, np.argwhere(wrong)[0]))
        raise Unexplained(f"{np.sum(wrong)} of {right.size} entries of {what} are wrong, the first of them at "
                          f"[{first}]")


def expect_parts(result: Any, kind: str, **expected: tuple[Any, ...]) -> None:
    """`expect` for several results, with credit for those that are right.

    kind     : "arrays", "numbers" or "values", for the message
    expected : for each name, in order: what is right, the mistakes and, where it is needed, the scale of `expect`
    """
    found = dict(zip(expected, parts(result, kind, list(expected))))
    faults: dict[str, NotYet] = {}
    for name, (right, mistakes, *scale) in expected.items():
        try:
            expect(found[name], right, name, mistakes, *scale)
        except NotYet as reason:
            faults[name] = reason
    if not faults:
        return
    first, fault = next(iter(faults.items()))
    if str(fault) not in expected[first][1]:
        for other in expected:
            if other != first and _is_another(found[first], expected[other][0]):
                swap = other in faults and _is_another(found[other], expected[first][0])
                fault = NotYet(f"{first} and {other} are swapped" if swap else f"{first} is what {other} should be")
                break
    raise type(fault)(credit(len(expected) - len(faults), len(expected)) + str(fault))


def credit(n_right: int, n: int, noun: str = "") -> str:
    """"2 of 3 are right; ", or nothing if none is."""
    return f"{n_right} of {n}{noun} {'is' if n_right == 1 else 'are'} right; " if n_right else ""


def _is_another(found: Any, other: Any) -> bool:
    try:
        expect(found, other)
    except NotYet:
        return False
    return True


def parts(result: Any, kind: str, names: list[str]) -> list[Any]:
    """The results with these names, from any sequence, a stacked array or a dictionary; NotYet if there are others."""
    if isinstance(result, Mapping) and set(result) == set(names):
        return [result[name] for name in names]
    if not isinstance(result, (str, bytes, Mapping, Set)):
        with contextlib.suppress(Exception):    # a single number has no length, and a learner's own class may refuse
            if len(result) == len(names):    # a class may lie about it, so that `list` has no end
                return [result[i] for i in range(len(names))] if hasattr(result, "__getitem__") else list(result)
    raise NotYet(f"expected {COUNTS[len(names)]} {kind}: {', '.join(names)}")


def numbers(found: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Found as an array of floats, a single number of whatever shape as such; NotYet if it is no real number."""
    expected = f"expected numbers of shape {shape}" if shape else "expected a number"
    if found is None or found is ...:
        raise NotYet(f"{what} is {found}; {expected}")
    try:
        array = np.asarray(found)
        if array.dtype.kind == "O" and array.shape == shape:
            array = array.astype(float)
    except Exception:    # rows of different lengths, or an object that refuses
        raise NotYet(f"{what} is {type(found).__name__}, of which NumPy makes no array; {expected}") from None
    if array.dtype.kind not in "biufc":
        raise NotYet(f"{what} is {type(found).__name__}; {expected}")
    if array.dtype.kind == "c" and np.any(array.imag):
        raise NotYet(f"{what} is complex; {expected}")
    if shape == () and array.size == 1:
        array = array.reshape(())
    if array.shape != shape and array.size > LARGEST:
        raise NotYet(f"{what} has shape {array.shape}; {expected}")
    return np.asarray(array.real, dtype=float)


def forms(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_close(found: np.ndarray, other: Any, scale: float | None = None) -> bool:
    other = np.asarray(other, dtype=float)
    if found.shape != other.shape:
        return False
    tolerance = RTOL * max(scale or 0.0, np.max(np.abs(other), initial=1e-12))
    return bool(np.all(np.abs(found - other) <= tolerance))


def expect_names(answer: Any, right: Mapping[Any, str], hints: Mapping[Any, str],
                 synonyms: Mapping[str, set[str]], noun: str, what: str) -> None:
    """Raise NotYet unless the answer gives each key of right its name, or a synonym, in whatever spelling.

    synonyms : for each name that the exercise offers, what else people call it
    noun     : what a key is called in the message, as in "bug 2"
    what     : the form that is expected
    """
    if isinstance(answer, (list, tuple)) and len(answer) == len(right):
        answer = dict(zip(right, answer))
    if not isinstance(answer, Mapping):
        raise NotYet(f"expected a dictionary with {what}")
    given = {plain(key): value for key, value in answer.items()}
    if set(given) != set(map(plain, right)):
        raise NotYet(f"expected a dictionary with {what}")
    meant = {spelling: name for name, others in synonyms.items() for spelling in map(plain, {name, *others})}
    wrong = []
    for key, name in right.items():
        said = given[plain(key)]
        if plain(said) not in meant:
            wrong.append(f"{noun}{key} is none of the names: {', '.join(synonyms)}")
        elif meant[plain(said)] != name:
            wrong.append(f"{noun}{key} is something else: {hints[key]}")
    if wrong:
        raise NotYet(credit(len(right) - len(wrong), len(right)) + "; ".join(wrong))


def plain(text: Any) -> str:
    """A name without its capitals, blanks, quotes, hyphens and full stops."""
    if not isinstance(text, (str, int, float, np.generic)) or isinstance(text, bool):
        return ""
    return " ".join(re.sub(r"[\s_.,;:\"'`]+|(?<=\w)-(?=\w)", " ", str(text)).lower().split())
