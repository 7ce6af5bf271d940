"""Timing workloads in turn: which rounds count, and workloads in processes of their own."""
import functools
import os
import time

import pytest

pytest.importorskip("numba")    # which compiles the loops that measure the distance of the cores
from benchmarks import distance, interleave    # noqa: E402


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("REST", "WAKING", "BLOCK"):
        monkeypatch.setattr(interleave, name, 0)


def sleeper(seconds):
    return functools.partial(time.sleep, seconds)


def begin(log):
    with open(log, "a") as file:
        file.write("begun\n")
    return sleeper(0)


def cores(monkeypatch, *answers):
    """What cores_are_near says, before and after each round."""
    monkeypatch.setattr(interleave, "cores_are_near", iter(answers).__next__)


def test_only_rounds_count_in_which_the_cores_stay_near(monkeypatch):
    cores(monkeypatch, True, True, False, True, False, False, True, True)    # not asked again after a distant start
    assert interleave.near_rounds(iter(range(5)).__next__, 2) == [0, 4]


def test_where_the_cores_are_never_near_all_rounds_count(monkeypatch):
    monkeypatch.setattr(interleave, "cores_are_near", lambda: False)
    assert interleave.near_rounds(iter(range(99)).__next__, 2) == list(range(2 * interleave.PATIENCE))


def test_a_ratio_is_taken_within_each_round(monkeypatch):
    times = interleave.by_name([{"a": 2.0, "b": 1.0}, {"a": 30.0, "b": 10.0}, {"a": 400.0, "b": 100.0}])
    assert interleave.ratio(times, "a", "b") == (3, 2.5, 3.5)
    assert interleave.spread(times, "a", "b") == "3.00 (2.50 – 3.50)"


@pytest.mark.parametrize("turn", [interleave.block, interleave.single])
def test_works_apart_are_timed_like_works_in_this_process(monkeypatch, turn):
    monkeypatch.setattr(interleave, "cores_are_near", lambda: True)
    makers = {"short": functools.partial(sleeper, 0.002), "long": functools.partial(sleeper, 0.05)}
    times = interleave.interleave_apart(makers, 3, turn)
    assert {len(each) for each in times.values()} == {3}
    assert (times["short"] >= 0.002).all() and (times["long"] >= 0.05).all()


def test_works_that_are_started_anew_are_made_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(interleave, "cores_are_near", lambda: True)
    log = tmp_path / "log"
    times = interleave.interleave_apart({"work": functools.partial(begin, log)}, 3, starts=2)
    assert len(times["work"]) == 6 and log.read_text() == 2 * "begun\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
                    reason="one core, or a system that cannot say")
def test_a_handover_takes_time_and_leaves_the_process_its_cores():
    before = os.sched_getaffinity(0)
    assert distance.handover() > 1
    assert os.sched_getaffinity(0) == before
