"""Whatever somebody's functions do, `examine` reports, or refuses in one sentence of ours: never anything else."""
import itertools
import pathlib
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numpyvae as nv
from numpyvae import museum

PACKAGE = pathlib.Path(nv.__file__).parent
DRAWS = 600     # enough to look at every image twice


class Unusual:
    """No number, no array, nothing at all."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("not an array\nbut two lines")


class Tensor:
    """What frameworks return: not an array, but it becomes one."""

    def __init__(self, value):
        self.value = value

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return np.asarray(self.value)


def raises(error):
    def spoil(result):
        raise error
    return spoil


def each(change):
    """The change of every array in a tuple, a dict or a list, or of the result itself."""
    def spoil(result):
        if isinstance(result, dict):
            return {key: spoil(value) for key, value in result.items()}
        return type(result)(map(spoil, result)) if isinstance(result, (tuple, list)) else change(np.asarray(result))
    return spoil


def endless(result):
    return itertools.repeat(np.zeros((5, 1)))


SPOILED = {
    "nothing": lambda result: None, "a word": lambda result: "nan", "an object": lambda result: object(),
    "unusual": lambda result: Unusual(), "a class": lambda result: dict, "a number": lambda result: 3.0,
    "an empty tuple": lambda result: (), "an empty dict": lambda result: {},
    "an empty array": lambda result: np.empty(0),
    "three of them": lambda result: (result, result, result), "a dict": lambda result: {"loss": result},
    "another dict": lambda result: {"kl": result, 3: None}, "a list": lambda result: [result],
    "ragged": lambda result: [[1.0], [1.0, 2.0]], "endless": endless,
    "NaN": each(lambda a: a * np.nan), "infinity": each(lambda a: a * np.inf), "huge": each(lambda a: a * 1e300),
    "large": each(lambda a: a * 1e30), "tiny": each(lambda a: a * 1e-300), "zero": each(lambda a: a * 0),
    "minus": each(lambda a: -a), "constant": each(np.ones_like), "noisy": each(lambda a: a + np.random.random(a.shape)),
    "complex": each(lambda a: a * 1j), "objects": each(lambda a: a.astype(object)),
    "text": each(lambda a: a.astype(str)),
    "half": each(lambda a: a.astype(np.float16)), "whole": each(lambda a: a.astype(np.int8)),
    "bool": each(lambda a: a > 0), "transposed": each(np.transpose), "flat": each(np.ravel),
    "an axis more": each(lambda a: a[None]), "a column": each(lambda a: a[..., None]),
    "shorter": each(lambda a: a[:-1] if a.ndim else a),
    "narrower": each(lambda a: a[..., :-1] if a.ndim else a), "tensors": each(Tensor),
    "nested": each(lambda a: a.tolist()), "one row": each(lambda a: a[:1] if a.ndim else a),
    "first number": each(lambda a: a.ravel()[:1]), "scalar": each(lambda a: a.sum()),
    **{type(error).__name__: raises(error) for error in (
        KeyError("mu"), RuntimeError("two\nlines"), np.linalg.LinAlgError("SVD did not converge"), TypeError(),
        IndexError("i" * 1000), AssertionError(), StopIteration(), MemoryError(), ZeroDivisionError("division"))},
}
FUNCTIONS = ("encode", "sample_z", "decode", "loss", "gradients", "sample_x", "binarize", "batches", "momentum", "stop",
             "iwae", "nll")
RIGHT = {"frozen": museum.right, "drawn": museum.right_that_draws_its_noise}


def arguments(kind):
    functions = RIGHT[kind](np.random.default_rng(0))
    if kind == "drawn":
        del functions["parameters"]
    return functions | {"nll": lambda theta, x: np.sum(np.logaddexp(0, theta) - x * theta, axis=1)}


def is_ours(error):
    """One line, raised by the package itself, that says what was expected."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    text = str(error)
    return (isinstance(error, (ValueError, TypeError)) and PACKAGE in pathlib.Path(last).parents
            and "\n" not in text and "expected" in text and len(text) < 700)


def check(kind, name, spoil, takes_any=False):
    given = arguments(kind)
    function = given[name]
    if function is None:
        return
    if name != "nll":
        del given["nll"]

    def spoiled(*arrays):
        return spoil(function(*arrays))

    # Most wrappers take *arrays; others have the arguments that the function has.
    given[name] = spoiled if takes_any else _like(function, spoiled)
    _examine(given)


def _like(function, spoiled):
    spoiled.__wrapped__ = function
    return spoiled


def _examine(given):
    with np.errstate(all="ignore"):
        try:
            report = nv.examine(**given, draws=DRAWS, rng=np.random.default_rng(0))
        except Exception as error:
            assert is_ours(error), "".join(traceback.format_exception(error))
        else:
            assert "Examination" in str(report) and report._repr_html_()


@given(st.sampled_from(sorted(RIGHT)), st.sampled_from(FUNCTIONS), st.sampled_from(sorted(SPOILED)), st.booleans())
def test_whatever_a_function_returns_or_raises_examine_reports_or_says_so(kind, name, how, takes_any):
    check(kind, name, SPOILED[how], takes_any)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", RIGHT)
def test_every_function_may_return_or_raise_anything(kind, name):
    for spoil in SPOILED.values():
        check(kind, name, spoil)


X = np.random.default_rng(0).random((12, 12))
ARGUMENTS = {"x": [0 * X, X * np.nan, X[0], X[:, :0], X[:3], [[1, 2]], "x", None, (255 * X).astype(np.uint8),
                   X.reshape(12, 3, 4), 1e200 * X, X + 0j, X.astype(np.float16), X.tolist()],
             "parameters": [{}, {"w": 3}, {"w": np.zeros(3)}, {"w": np.zeros((0, 3))}, {3: np.zeros(3, int)}, [1],
                            {"w": np.broadcast_to(0.0, 3)}],
             "draws": [0, 1, 10**9, 1.5, -3, "many"], "sigma": [0, -1, "s", np.nan], "beta": [-1, np.inf, "b"],
             "decodes_to": ["logit", 3, None, "mean", "mean and logvar", "probabilities", "mean and log scale"],
             **{name: [3, "f", np.sum, np.mean, lambda: 0, lambda *a: a, lambda *a, **k: None, dict, type,
                       np.linalg.svd] for name in FUNCTIONS}}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_whatever_an_argument_is_examine_reports_or_says_so(name):
    for value in ARGUMENTS[name]:
        given = arguments("frozen")
        del given["nll"]
        _examine({**given, name: value} if name != "draws" else given) if name != "draws" else _draws(given, value)


def _draws(given, value):
    try:
        nv.examine(**{**given, "batches": None}, draws=value, rng=np.random.default_rng(0))
    except Exception as error:
        assert is_ours(error), "".join(traceback.format_exception(error))
