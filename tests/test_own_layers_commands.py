"""gradcheck of one's own layer on the command line; and a fuzz of what is handed over, as an object or by name."""
import collections
import itertools
import json
import sys
import threading
import time
import types
from unittest import mock

import numpy as np
import pytest

import numpyvae as nv
from layer_styles import Elementwise, Table
from numpyvae.cli import main
from numpyvae.gradcheck import own

check = nv.gradcheck.check


# The command line says what Python says.

SOURCE = """
import numpy as np
from dataclasses import dataclass

@dataclass
class Dense:
    n_in: int = 7
    n_out: int = 5
    factor: int = 1

    def __post_init__(self):
        self.W = np.ones((self.n_in, self.n_out))

    def forward(self, x):
        print("forward")
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.factor * self.x.T @ dy
        return dy @ self.W.T

doubled, made = Dense(factor=2), Dense(3, 2)

def affine_forward(x, w, b):
    return x @ w + b, (x, w)

def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)

class Table:
    table = np.arange(7.0)
    def forward(self, x):
        return x + self.table
    def backward(self, dy):
        return dy
"""


@pytest.mark.parametrize("name, code, verdict", [
    ("Dense", 0, "all right"), ("made", 0, "all right"), ("doubled", 1, "WRONG"), ("affine", 0, "all right"),
    ("affine_forward", 0, "all right"), ("Table", 3, "not all checked")])
def test_the_command_line_gives_the_same_verdict(name, code, verdict, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SOURCE)
    assert main(["gradcheck", f"mine.py:{name}"]) == code
    assert main(["gradcheck", f"mine.py:{name}", "--json"]) == code
    printed = capsys.readouterr().out
    table, _, last = printed.strip().rpartition("\n")
    assert verdict in table and json.loads(last)["verdict"] == verdict and "forward\n" not in printed
    report = check(f"mine.py:{name}")
    assert report.verdict == verdict and str(report) in printed


# A fuzz of what is handed over: a report, or one sentence of ours.

class AnswersAll:
    def __getattr__(self, name):
        return self

    def __call__(self, *_, **__):
        return self


class LooksAway:
    def __getattribute__(self, name):
        raise RuntimeError("never")


class Lies:
    @property
    def __class__(self):
        raise RuntimeError("liar")

    def forward(self, x):
        return x

    backward = forward


class CannotBeCompared(Elementwise):
    def __eq__(self, other):
        raise RuntimeError("not comparable")

    __hash__ = None


class Unspeakable(BaseException):
    def __str__(self):
        raise RuntimeError("no words")


def raises(error):
    def forward(*_):
        raise error
    return forward


def generates(x):
    yield x


async def promises(x):
    return x


def calls_itself(x):
    return calls_itself(x)


def circle():
    made = []
    made.append(made)
    return made


def never_ends(x):
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


class Holds(Elementwise):
    def __init__(self, **held):
        vars(self).update(held)


class PropertyRaises(Elementwise):
    params = property(raises(KeyError("no")))
    W = property(raises(RuntimeError("no")))


class Frozen(Elementwise):
    __slots__ = ("x", "W", "never")

    def __setattr__(self, name, value):
        if name != "x":
            raise RuntimeError("frozen")
        object.__setattr__(self, name, value)


class Constructor(Elementwise):
    def __init__(self):
        sys.exit(3)


class OtherObject:
    def __new__(cls):
        return 5


class KeywordsOnly:
    def forward(self, *, x):
        return x

    def backward(self, *, dy):
        return dy


class ForgetsItself(Elementwise):
    def forward(self, x):
        self.__dict__ = {"x": x}
        return np.sin(x)


class LosesItsWeight(Table):
    def backward(self, dy):
        del self.table
        return dy


class FailsLater(Elementwise):
    def __init__(self, calls=itertools.count()):
        self.calls = calls

    def forward(self, x):
        if next(self.calls) > 30:
            raise RuntimeError("enough")
        return super().forward(x)


class OtherShapes(FailsLater):
    def forward(self, x):
        return np.ones((4, 1 + next(self.calls)))


def pair_of(forward, backward=lambda d: d):
    return types.SimpleNamespace(forward=forward, backward=backward)


VALUES = [
    None, 0, True, 1.5, "abc", b"abc", [], [1, 2], [[1], [1, 2]], (), (1,), (None, None), {}, {"dx": None}, {"W": "x"},
    object(), object, 10 ** 400, 1j, np.nan, set(), range(4), iter([1]), circle(), Exception("e"), len, AnswersAll(),
    mock.MagicMock(), LooksAway(), Lies(), CannotBeCompared(), threading.Lock(), np, np.random.default_rng(0),
    np.array(None), np.array(["a"]), np.array([1j]), np.zeros(0), np.zeros((0, 7)), np.float32(2),
    np.full((4, 7), np.nan), np.full((4, 7), 1e308), np.ones((4, 7), int), np.ones((7, 4)),
    np.ones((4, 7), [("a", float)]),
    np.ma.masked_array(np.ones((4, 7)), mask=True), np.ones((4, 7), np.longdouble),
    np.array("2020-01-01", "datetime64[D]"), np.broadcast_to(np.ones(1), (10 ** 6, 10 ** 6)), [[0.1] * 60] * 60,
    (np.ones((4, 7)), {"dW": "x"}),
    collections.namedtuple("Pair", "dx dW")(np.ones((4, 7)), 1),
]
BROKEN = [
    *VALUES, "", ":", "a:b", "\0:x", "a" * 5000 + ":b", (len,), (len, len), (1, 2), (np.sin, np.cos), (str, str), int,
    type, np.ndarray, Constructor, OtherObject, KeywordsOnly, PropertyRaises, Frozen, ForgetsItself, LosesItsWeight,
    FailsLater, OtherShapes, pair_of(generates), pair_of(calls_itself), pair_of(len, len), pair_of(np.sum, np.sum),
    pair_of(print),
    pair_of(min, max), pair_of(lambda: 1.0, lambda: 1.0), pair_of(lambda *a: a[0], lambda *a: a[0]),
    pair_of(lambda **k: 1.0), pair_of(lambda x: x, lambda a, b, c, d: a), pair_of(lambda x: x, calls_itself),
    *(pair_of(raises(error)) for error in (
        KeyError(), ValueError("a\nb" * 500), Unspeakable(), SystemExit(3), GeneratorExit(), MemoryError())),
    *(pair_of(lambda x: x, raises(error)) for error in (KeyError(), SystemExit("bye"), Unspeakable())),
    *(pair_of(lambda x, value=value: value) for value in VALUES),
    *(pair_of(lambda x: x, lambda d, value=value: value) for value in VALUES),
    *(pair_of(lambda x, value=value: value, lambda d, value=value: value) for value in VALUES),
    *(Holds(W=value, dW=value, params={"W": value}, grads=value) for value in VALUES),
    *(Holds(params=[value, np.ones(7)], grads=[value]) for value in VALUES),
]


@pytest.mark.filterwarnings("ignore:coroutine")
def test_whatever_is_handed_over_gives_a_report_or_a_sentence(capsys):
    assert len(BROKEN) > 300
    for at, layer in enumerate([*BROKEN, pair_of(promises)]):
        began = time.process_time()
        try:
            report = check(layer)
            json.dumps(report.as_dict())
            assert str(report)
        except (ValueError, TypeError, OSError) as error:
            text = str(error)
            assert "\n" not in text and "layer" in text and "expected" in text, f"{at}: {text}"
        except BaseException as error:
            raise AssertionError(f"{at}: {error!r}") from error
        assert time.process_time() - began < 10, at


def test_an_endless_loop_is_stopped(monkeypatch):
    monkeypatch.setattr(own, "SECONDS", 0.5)
    for layer in (pair_of(never_ends), pair_of(lambda x: x, never_ends)):
        with pytest.raises(ValueError, match="layer takes longer than 0.5 s; expected"):
            check(layer)


def test_outside_the_main_thread_there_is_no_alarm():
    reports = []
    thread = threading.Thread(target=lambda: reports.append(check(Elementwise)))
    thread.start()
    thread.join()
    assert reports[0].ok
