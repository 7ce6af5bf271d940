"""The judges of the exercises: right answers in any form, wrong ones of any kind, and answers that misbehave."""
import collections
import copy
import fractions
import functools
import importlib
import inspect
import itertools
import json
import linecache
import os
import pathlib
import re
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from mutants.harness import compare
from mutants.operators import Source
from numpyvae.course import Lesson
from numpyvae.course.check import DONE, NOT_ATTEMPTED, NOT_YET, Check, NotYet, verdict
from numpyvae.course.claim import LINE, ClaimFailed
from numpyvae.course.expect import expect, expect_parts, plain

pytestmark = pytest.mark.usefixtures("same_draws")

NUMBERS = sorted(int(path.stem[-2:]) for path in pathlib.Path(__file__).parent.glob("course/wrong_*.py"))


def judges(number):
    module = importlib.import_module(f"numpyvae.course.lesson_{number:02d}")
    return {name: f for name, f in vars(module).items() if hasattr(f, "is_exercise")}


def answers(number):
    return importlib.import_module(f"course.wrong_{number:02d}")


JUDGES = {name: judge for number in NUMBERS for name, judge in judges(number).items()}
RIGHT = {name: answer for number in NUMBERS for name, answer in answers(number).RIGHT.items()}
ALSO_RIGHT = [(name, answer) for number in NUMBERS for name, some in answers(number).ALSO_RIGHT.items()
              for answer in some]
FUNCTIONS = [name for name in JUDGES if callable(RIGHT[name])]
DRAWS = pytest.param(20), pytest.param(200, marks=pytest.mark.full)
how_often = pytest.mark.parametrize("draws", DRAWS)


# Right answers, in any form

def each(change, value):
    """A change of each array in a result, however deep."""
    if isinstance(value, dict):
        return {name: each(change, one) for name, one in value.items()}
    return type(value)(each(change, one) for one in value) if isinstance(value, (tuple, list)) else change(value)


def is_float(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def float32(value):
    return value.astype(np.float32) if is_float(value) else value


def computed_in_float32(answer):
    return lambda *args: answer(*(each(float32, arg) for arg in args))


def rounded_to_float32(answer):
    return lambda *args: each(lambda one: np.asarray(one, dtype=np.float32), answer(*args))


def plain_lists(answer):
    return lambda *args: each(lambda one: np.asarray(one).tolist(), answer(*args))


def stacked(answer):
    def answer_stacked(*args):
        result = answer(*args)
        alike = isinstance(result, tuple) and len({np.shape(one) for one in result}) == 1
        return np.array(result) if alike else result
    return answer_stacked


def another_sequence(answer):
    return lambda *args: (list(result) if isinstance(result := answer(*args), tuple) else result)


def a_generator(answer):
    return lambda *args: (iter(result) if isinstance(result := answer(*args), tuple) else result)


def returns_the_same_memory(answer):
    kept = {}

    def keep(key, one):
        buffer = kept.setdefault((key, np.shape(one)), np.empty(np.shape(one), np.asarray(one).dtype))
        buffer[...] = one
        return buffer

    def answer_in_place(*args):
        result = answer(*args)
        parts = result if isinstance(result, tuple) else (result,)
        if isinstance(result, dict):
            return {name: keep(name, one) for name, one in result.items()}
        kept_parts = tuple(keep(i, one) for i, one in enumerate(parts))
        return kept_parts if isinstance(result, tuple) else kept_parts[0]
    return answer_in_place


def takes_keywords_alone(answer, names):
    made = {}
    exec(f"def keyword_only(*, {', '.join(names)}):\n    return answer({', '.join(names)})", {"answer": answer}, made)
    return made["keyword_only"]


def a_callable_object(answer):
    class Answer:
        def __call__(self, *args):
            return answer(*args)
    return Answer()


NUMBERS_ROUNDED = [functools.partial, computed_in_float32, rounded_to_float32]
SAME_NUMBERS = [plain_lists, stacked, another_sequence, a_generator, returns_the_same_memory, a_callable_object]


# What can go wrong by chance goes wrong in the numbers: in a form that leaves them as they are, one draw shows as much.
@pytest.mark.parametrize("style, draws", [
    *(pytest.param(style, *draws.values, marks=draws.marks) for style in NUMBERS_ROUNDED for draws in DRAWS),
    *((style, 1) for style in SAME_NUMBERS)], ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_answer_is_accepted_in_any_form(name, style, draws):
    for _ in range(draws):
        assert verdict(JUDGES[name], style(RIGHT[name])) == (DONE, "")


@how_often
@pytest.mark.parametrize("i", range(len(ALSO_RIGHT)), ids=[name for name, _ in ALSO_RIGHT])
def test_other_right_answers_are_accepted(i, draws):
    name, answer = ALSO_RIGHT[i]
    for _ in range(draws):
        assert verdict(JUDGES[name], answer) == (DONE, "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_by_name_alone_are_given_by_name(name):
    names = JUDGES[name].names
    assert verdict(JUDGES[name], takes_keywords_alone(RIGHT[name], names)) == (DONE, "")
    in_another_order = takes_keywords_alone(lambda *args: RIGHT[name](*args[::-1]), names[::-1])
    assert verdict(JUDGES[name], in_another_order) == (DONE, "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_an_answer_does_to_its_arguments_harms_nobody(name):
    def careless(*args):
        result = RIGHT[name](*args)
        for arg in args:
            for one in arg.values() if isinstance(arg, dict) else [arg]:
                if isinstance(one, np.ndarray):
                    one.fill(0)
        return result
    if name != "reparameterize_backward":    # whose right answer holds dz itself
        assert verdict(JUDGES[name], careless) == (DONE, "")


def test_each_exercise_is_called_with_the_names_in_its_stub():
    for number in NUMBERS:
        source = next((pathlib.Path(__file__).parents[1] / "lessons" / "source").glob(f"{number:02d}_*.py")).read_text()
        for name, judge in judges(number).items():
            if judge.names:
                call = source[source.index(f"check.{name}(") + len(f"check.{name}("):].partition(")")[0]
                assert f"def {call}({', '.join(judge.names)}):" in source


# Wrong answers: mutants of the right ones

MOST = 40    # mutants of one answer, evenly chosen; all of them with the marker `full`
SHARE = 0.02
Row = collections.namedtuple("Row", "exercise mutant reason")
ACCEPTED = [    # mutant: how its text begins
    Row("ancestral_sampling", r"(sign|operator): .*(standard_normal|sigma|noise)",
        "noise of the other sign is as good"),
    Row("matching_q", r"x 1.0005: mu  ->  mu \* 1.0005    in: return \(mu, np.log",
        "beside a mean that is a little off, the variance is off by the square of that: less than float32 errs"),
    Row("with_baseline", r"x 1.0005: (len|f.sum|\(f.sum|f  ->)",
        "any number near f, in which its own f(z) counts less than float32 errs, is a baseline"),
    Row("half_of_db", r"sign: ", "counted from the end, the columns are cut elsewhere, which is as good"),
]


def comparable(value):
    """A result for the mutants' `compare`."""
    if isinstance(value, dict):
        return [comparable(value[name]) for name in sorted(value)]
    return [comparable(one) for one in value] if isinstance(value, (tuple, list)) else np.asarray(value)


def fuzz(name, most):
    """How many mutants of the right answer compute something else, and which of these are accepted."""
    right, source = RIGHT[name], Source(RIGHT[name])
    mutants = list(source.mutants())
    n_wrong, accepted = 0, []
    for mutant in mutants[::max(1, len(mutants) // most)]:
        try:
            function = source.compile(mutant)
        except SyntaxError:
            continue
        seen = set()

        def beside(*args, function=function, seen=seen):
            result = function(*copy.deepcopy(args))
            seen.add(compare(comparable(result), comparable(right(*args))))
            return result
        state, reason = verdict(JUDGES[name], beside)
        assert "cannot be read" not in reason, (mutant, reason)
        if state == DONE and seen <= {"same", "rounding"}:
            continue
        n_wrong += 1
        if state == DONE:
            accepted.append(str(mutant))
    return n_wrong, accepted


@pytest.mark.parametrize("most", [MOST, pytest.param(10**6, marks=pytest.mark.full)])
def test_of_all_mutants_few_are_accepted_each_for_a_reason(most):
    total, idle = 0, set(ACCEPTED)
    n_accepted = 0
    for name in FUNCTIONS:
        n_wrong, accepted = fuzz(name, most)
        total, n_accepted = total + n_wrong, n_accepted + len(accepted)
        for mutant in accepted:
            rows = {row for row in ACCEPTED if row.exercise == name and re.match(row.mutant, mutant)}
            assert rows, f"{name} accepts {mutant}"
            idle -= rows
    assert total > 10 * len(FUNCTIONS)
    assert n_accepted <= SHARE * total
    assert most == MOST or not idle


# Answers that misbehave

class Refuses:
    """Whatever is done with it raises."""

    def _refuse(self, *args, **kwargs):
        raise ZeroDivisionError("no")
    __array__ = __len__ = __iter__ = __getitem__ = __eq__ = __float__ = __bool__ = __str__ = __repr__ = _refuse
    __hash__ = None


class Lies:
    """A sequence that is longer than it says."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return list(range(7))[i]


def odd_results():
    ragged, endless = [[1.0], [1.0, 2.0]], []
    endless.append(endless)
    return [None, True, 0, 1.5, -1, np.nan, np.inf, 10**400, 1j, fractions.Fraction(1, 3), "", "kl", b"kl", [], (), {},
            set(), {1.0, 2.0}, {"a": 1}, object(), print, int, Refuses(), Lies(), ragged, endless, range(4),
            itertools.count(), [None] * 4, [[None] * 3] * 4, np.zeros(0), np.zeros((2, 0)), np.zeros((1,) * 20),
            np.array("kl"), np.array(None), np.array([object()]), np.array(ragged, dtype=object), np.ones((1, 1)),
            np.full((4, 3), np.nan), np.ones(4), np.ones((4, 3)), np.ones((4, 3), dtype=bool),
            np.ma.masked_all((4, 3)), np.datetime64("2026-01-01"), np.zeros(3, dtype=[("a", float)]),
            np.broadcast_to(1.0, (10**6, 10**6)), memoryview(b"kl"), NotYet("done"), collections.deque([1.0, 2.0]),
            collections.UserList([1.0, 2.0])]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_result_makes_a_judge_raise(name):
    wrapped = [lambda odd: odd, lambda odd: (odd, odd), lambda odd: [odd] * 3, lambda odd: (odd,) * 7,
               lambda odd: (np.zeros((4, 3)), odd),
               lambda odd: dict.fromkeys(("W1", "b1", "Wmu", "bmu", "Ws", "bs", "W2", "b2", "W3", "b3"), odd)]
    for i, odd in enumerate(odd_results()):
        for wrap in wrapped[:5] if name != "whole_gradient" else wrapped[5:]:
            state, reason = verdict(JUDGES[name], lambda *args: wrap(odd))
            assert state == NOT_YET and reason, i
            assert "cannot be read" not in reason, (i, reason)


@pytest.mark.parametrize("name", JUDGES)
def test_no_answer_makes_a_judge_raise(name):
    for odd in odd_results():
        state, reason = verdict(JUDGES[name], odd)
        assert state == (NOT_ATTEMPTED if odd is None else NOT_YET), odd
        assert "cannot be read" not in reason, (odd, reason)
        if name in FUNCTIONS and odd is not None and not callable(odd):
            assert reason.startswith("expected the function itself")


def kl(*args):
    return verdict(JUDGES["kl"], *args)


class Silent(Exception):
    def __str__(self):
        raise ValueError


def raise_(error):
    raise error


def helper(mu):
    return mu[9]


def two_lines(mu, logvar):
    smaller = mu / 2
    return smaller + helper(mu)


def in_a_library(mu, logvar):
    return np.linalg.inv(mu)


def recursive(mu, logvar):
    return recursive(mu, logvar)


def line_number(function, after):
    return inspect.getsourcelines(function)[1] + after


@pytest.mark.parametrize("answer, words", [
    (two_lines, f"it raises IndexError in line {line_number(helper, 1)}, `return mu[9]`: index 9 is out of bounds"),
    (in_a_library, f"it raises LinAlgError in line {line_number(in_a_library, 1)}, `return np.linalg.inv(mu)`: "),
    (recursive, f"it raises RecursionError in line {line_number(recursive, 1)}, `return recursive(mu, logvar)`: "),
    (lambda mu: mu, "it raises TypeError: "), (lambda mu: mu, "; the check calls it with (mu, logvar)"),
    (lambda mu, logvar: raise_(SystemExit(1)), "it raises SystemExit in line"),
    (lambda mu, logvar: raise_(GeneratorExit()), "it raises GeneratorExit in line"),
    (lambda mu, logvar: raise_(Silent()), "it raises Silent in line"),
    (lambda mu, logvar: raise_(KeyError("a\nb")), "a\\nb"),
    (lambda mu, logvar: raise_(KeyboardInterrupt()), "it was interrupted in line"),
    (lambda mu, logvar: mu.fill(0), "it returned None: is `return` missing?"),
    (7, "expected the function itself, not called; this is int"),
])
def test_what_an_answer_raises_is_said_with_its_line(answer, words):
    state, reason = kl(answer)
    assert state == NOT_YET and words in reason and "\n" not in reason


def test_the_line_is_that_of_the_cell(tmp_path):
    """In a notebook a cell is its own file, and `linecache` has its text."""
    cell = "def my_kl(mu, logvar):\n    total = 0\n    for i in range(99):\n        total += mu[i]\n"
    linecache.cache["<cell 7>"] = (len(cell), None, cell.splitlines(True), "<cell 7>")
    names = {"__name__": "__main__"}
    exec(compile(cell, "<cell 7>", "exec"), names)
    assert "it raises IndexError in line 4, `total += mu[i]`: " in kl(names["my_kl"])[1]


def test_stubs_of_all_kinds_are_not_attempted():
    def documented(mu, logvar):
        """With words."""

    def passes(mu, logvar):
        pass
    for stub in (documented, passes, lambda mu, logvar: None, lambda mu, logvar: ...,
                 lambda *_: raise_(NotImplementedError())):
        assert kl(stub) == (NOT_ATTEMPTED, "")


def never_ends(mu, logvar):
    while True:
        mu = mu + 1


def never_ends_and_swallows(mu, logvar):
    while True:
        try:
            mu = mu + 1
        except:    # noqa: E722
            pass


@pytest.mark.parametrize("answer", [never_ends, never_ends_and_swallows, lambda mu, logvar: time.sleep(60),
                                    lambda mu, logvar: [mu for _ in itertools.count()]])
def test_what_never_ends_is_stopped_and_says_so(answer, monkeypatch):
    monkeypatch.setattr("numpyvae.course.check.SECONDS", 0.2)
    handler, start = signal.getsignal(signal.SIGALRM), time.monotonic()
    state, reason = kl(answer)
    assert time.monotonic() - start < 10
    assert state == NOT_YET and reason.startswith("it is not done after 0.2 seconds in line")
    assert reason.endswith("does a loop never end?")
    assert signal.getsignal(signal.SIGALRM) is handler and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_somebody_elses_timer_goes_on():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert kl(RIGHT["kl"])[0] == DONE
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.3
        time.sleep(0.4)
        assert rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_in_a_thread_there_is_no_limit_and_no_error():
    found = []
    thread = threading.Thread(target=lambda: found.append(kl(RIGHT["kl"])))
    thread.start()
    thread.join()
    assert found == [(DONE, "")]


def test_without_timers_as_on_windows_an_answer_is_judged_all_the_same(monkeypatch):
    monkeypatch.delattr(signal, "setitimer")
    assert kl(RIGHT["kl"]) == (DONE, "")


def test_an_answers_warnings_and_settings_stay_its_own(recwarn):
    def noisy(mu, logvar):
        np.seterr(all="raise")
        warnings.warn("look")
        return RIGHT["kl"](mu, logvar)
    before = np.geterr()
    assert kl(noisy) == (DONE, "")
    assert np.geterr() == before and not recwarn.list


# Words

@pytest.mark.parametrize("found, words", [
    (np.arange(12.0).reshape(3, 4) * 0.7, "0.7 times what it should be"),
    (-np.arange(12.0).reshape(3, 4), "wrong sign"),
    (np.arange(12.0).reshape(3, 4) + 0.3, "off by a constant, 0.3"), (np.arange(12.0).reshape(3, 4).T, "is transposed"),
    (np.arange(12.0).reshape(3, 4) * np.where(np.arange(4) == 1, -1, 1), "wrong sign in some entries"),
    (np.arange(12.0).reshape(3, 4) + (np.arange(4) == 1), "3 of 12 entries of y are wrong, the first of them at [0, 1"),
    (np.arange(12.0)[::-1].reshape(3, 4), "off by 11 at the worst entry"), (np.full((3, 4), np.inf), "NaN or infinity"),
    (None, "y is None; expected numbers of shape (3, 4)"), (np.arange(12.0).reshape(3, 4) + 1j, "complex"),
])
def test_a_wrong_array_is_described(found, words):
    with pytest.raises(NotYet) as reason:
        expect(found, np.arange(12.0).reshape(3, 4), "y")
    assert words in str(reason.value)


def test_a_single_number_is_no_multiple_of_another():
    with pytest.raises(NotYet, match=r"^y is off by 1$"):
        expect(3.0, 2.0, "y")
    expect(np.float32(2.0), 2.0)
    expect([[2.0]], 2.0)


def test_several_results_are_credited_and_told_apart():
    a, b = np.arange(3.0), np.arange(3.0)**2
    for found, words in (((a, a), "1 of 2 is right; b is what a should be"), ((b, a), "a and b are swapped"),
                         ((a, b + [0, 1, 5]), "1 of 2 is right; 2 of 3 entries of b"),
                         ([a], "expected two arrays: a, b")):
        with pytest.raises(NotYet) as reason:
            expect_parts(found, "arrays", a=(a, {}), b=(b, {}))
        assert str(reason.value).startswith(words)
    for right in ((a, b), [a, b], np.array([a, b]), {"b": b, "a": a}, collections.deque([a, b])):
        expect_parts(right, "arrays", a=(a, {}), b=(b, {}))


def test_an_argument_that_is_not_used_is_named():
    assert kl(lambda mu, logvar: np.sum(np.exp(logvar), axis=1))[1].endswith("; it does not depend on mu")
    assert verdict(JUDGES["kl_to_wide_prior"], lambda mu, logvar, t: mu.sum(axis=1) + logvar.sum(axis=1))[1].endswith(
        "; it does not depend on t")


def test_spellings():
    spelled = ("Half of the batch", " half  of the batch ", "half-of-the_batch", "'half of the batch'")
    assert {plain(name) for name in spelled} == {"half of the batch"}
    assert plain("missing -1") != plain("missing 1") and plain(None) == plain(True) == ""


@pytest.mark.parametrize("number, table", [(0, "WALKS"), (2, "BUGS"), (5, "FAULTS")])
def test_no_synonym_means_two_faults(number, table):
    module = importlib.import_module(f"numpyvae.course.lesson_{number:02d}")
    spelled = [plain(one) for name, others in module.SYNONYMS.items() for one in {name, *others}]
    assert len(spelled) == len(set(spelled))
    assert set(getattr(module, table).values()) <= set(module.SYNONYMS)


# The tally

@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMPYVAE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("NUMPYVAE_TALLY")
    return tmp_path / "data"


def tally(check, capsys):
    capsys.readouterr()
    check.tally()
    return capsys.readouterr().out.strip()


def test_what_is_done_is_remembered_and_can_be_reset(folder, capsys):
    check = Check(5)
    check.kl(RIGHT["kl"])
    check.kl_backward(None)
    check.faults("mean")
    assert tally(check, capsys) == "1 of 4 exercises done; still open: kl_backward, kl_to_wide_prior, faults"
    Check(6).score_estimates(RIGHT["score_estimates"])
    later = Check(5)
    assert tally(later, capsys).startswith("1 of 4 exercises done, 1 of them in an earlier session; still open: kl_b")
    later.kl(None)
    later.kl_backward(RIGHT["kl_backward"])
    assert tally(later, capsys).startswith("2 of 4 exercises done, 1 of them in an earlier session; ")
    later.reset()
    assert capsys.readouterr().out.startswith("0 of 4 exercises done")
    assert tally(Check(5), capsys).startswith("0 of 4") and tally(Check(6), capsys).startswith("1 of 3")
    assert os.listdir(folder) == ["tally.json"]


def test_with_numpyvae_tally_0_nothing_is_read_or_written(folder, monkeypatch, capsys):
    folder.mkdir()
    (folder / "tally.json").write_text('{"5": ["kl"]}')
    monkeypatch.setenv("NUMPYVAE_TALLY", "0")
    check = Check(5)
    assert tally(check, capsys).startswith("0 of 4")
    check.faults(RIGHT["faults"])
    assert tally(check, capsys).startswith("1 of 4 exercises done; ")
    check.reset()
    assert (folder / "tally.json").read_text() == '{"5": ["kl"]}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b'{"5": 7}', b'{"5": {"kl": 1}}',
                                     b'{"5": [[], 7, "no"]}', b"\xff\xfe\x00", b"[" * 100_000,
                                     b'{"5": ["kl"]' + b" " * 200_000 + b"}"],
                         ids=lambda content: f"{len(content)} bytes")
def test_a_damaged_tally_counts_as_empty_and_is_replaced(folder, content, capsys):
    folder.mkdir()
    (folder / "tally.json").write_bytes(content)
    check = Check(5)
    assert tally(check, capsys).startswith("0 of 4")
    check.kl(RIGHT["kl"])
    assert tally(check, capsys).startswith("1 of 4 exercises done; ")
    assert "kl" in json.loads((folder / "tally.json").read_text())["5"]


@pytest.mark.parametrize("obstacle", ["a folder", "a pipe", "a file for the folder", "read-only"])
def test_a_tally_that_cannot_be_kept_hurts_nobody(folder, obstacle, capsys, monkeypatch):
    if obstacle == "a file for the folder":
        folder.write_text("")
    else:
        folder.mkdir()
    if obstacle == "a folder":
        (folder / "tally.json").mkdir()
    if obstacle == "a pipe":
        os.mkfifo(folder / "tally.json")
    if obstacle == "read-only":
        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")
        monkeypatch.setattr(pathlib.Path, "write_text", refuse)
    check = Check(5)
    check.kl(RIGHT["kl"])
    assert capsys.readouterr().out == "✓ kl: done\n"
    assert tally(check, capsys).startswith("1 of 4 exercises done; ")
    check.reset()
    assert not folder.is_dir() or not [name for name in os.listdir(folder) if name.endswith(".part")]


def test_the_names_of_the_exercises_are_completed():
    assert set(dir(Check(5))) == {"kl", "kl_backward", "kl_to_wide_prior", "faults", "tally", "reset"}
    assert all(callable(getattr(Check(5), name)) for name in dir(Check(5)))


# Claims

def test_a_sentence_holds_or_stops_the_notebook(capsys):
    lesson = Lesson(5)
    lesson.holds("the KL is never negative", True)
    lesson.holds("all are small", np.all(np.zeros(3) < 1))
    assert capsys.readouterr().out == "the KL is never negative ✓\nall are small ✓\n"
    with pytest.raises(ClaimFailed, match="^the KL is negative: this does not hold. If you changed a cell above"):
        lesson.holds("the KL is negative", False)
    with pytest.raises(ClaimFailed):
        lesson.holds("digits are round", np.False_, on="strokes")
    lesson.holds("digits are round", False, on="mnist")
    assert capsys.readouterr().out == "digits are round: not so on this data; the text speaks of `strokes`\n"


def test_no_line_is_so_long_that_a_notebook_breaks_a_word(capsys):
    Lesson(5).holds("of a long sentence " * 5 + "x end", True)
    Check(6).with_baseline(lambda f, score: (f - f.mean()) * score)
    *sentence, first, second = capsys.readouterr().out.splitlines()
    assert sentence == ["of a long sentence " * 5 + "x", "  end ✓"]    # "end" has room, "end ✓" has none
    assert len(first) <= 100 and second.endswith("leave the draw itself out, (6.8)")


@pytest.mark.parametrize("condition", [np.array([True, False]), 1, "yes", None, [True]])
def test_a_condition_is_true_or_false(condition):
    with pytest.raises(TypeError, match="expected True or False"):
        Lesson(5).holds("so it is", condition)


@pytest.mark.parametrize("name", ["two words", "", "a-b", "name\n", "a:"])
def test_a_claim_has_a_name_that_claims_json_can_list(name):
    with pytest.raises(ValueError, match="letters, digits, underscores"):
        Lesson(5).claim(name, 1.0, 1.0, 0.1)


def test_a_name_with_a_full_stop_is_listed(capsys):
    Lesson(4).claim("gap_at_rho_0.9", 0.83, 0.83, 0.005)
    found = LINE.search(capsys.readouterr().out)
    assert found["name"] == "gap_at_rho_0.9" and float(found["value"]) == 0.83
