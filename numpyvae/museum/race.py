"""Two threads that share a sum, in ways of which some are races, and what comes of each in every order of their steps.

A bias's gradient db (O,) is the sum of the rows of dy (B, O), and each of two threads, A and B, does half of the work.
A thread is written here as a generator; where it yields, the other one may get in between.  An order of their steps is
a word such as "AABB".  On a machine chance chooses one, in ever finer steps; here all can be tried.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Array = np.ndarray
Steps = Iterator[None]
Program = Callable[[int, Array, Array, Array], Steps]    # half, dy, db, and a number that both threads see, at first 0


def half_of(n: int, half: int) -> range:
    """The first half of n things, or the second."""
    return range(n // 2, n) if half else range(n // 2)


def rows_into_one(half: int, dy: Array, db: Array, shared: Array) -> Steps:
    """Each thread adds half of the rows to db.   [lesson 12, eq. 12.6]"""
    for b in half_of(len(dy), half):
        before = db.copy()
        yield
        db[:] = before + dy[b]


def columns(half: int, dy: Array, db: Array, shared: Array) -> Steps:
    """Each thread adds up half of the columns, in db."""
    for b in range(len(dy)):
        for o in half_of(dy.shape[1], half):
            before = db[o]
            yield
            db[o] = before + dy[b, o]


def one_scratch(half: int, dy: Array, db: Array, shared: Array) -> Steps:
    """Each thread adds up half of the columns, in shared[0]."""
    for o in half_of(dy.shape[1], half):
        shared[0] = dy[0, o]
        yield
        for b in range(1, len(dy)):
            shared[0] += dy[b, o]
            yield
        db[o] = shared[0]


def next_column(half: int, dy: Array, db: Array, shared: Array) -> Steps:
    """Whoever is free takes the next column, whose number stands in shared[0]."""
    while True:
        o = int(shared[0])
        yield
        if o >= dy.shape[1]:
            return
        shared[0] = o + 1
        db[o] += dy[:, o].sum()


def middle_twice(half: int, dy: Array, db: Array, shared: Array) -> Steps:
    """The halves overlap by a column; what is stored are finished sums."""
    middle = dy.shape[1] // 2
    for o in range(middle, dy.shape[1]) if half else range(middle + 1):
        total = dy[:, o].sum()
        yield
        db[o] = total


def run(program: Program, dy: Array, order: str) -> tuple[Array, str]:
    """db after the steps in this order, and the names of the threads that are not done."""
    db, shared = np.zeros(dy.shape[1], dy.dtype), np.zeros(1, dy.dtype)
    threads = {"A": program(0, dy, db, shared), "B": program(1, dy, db, shared)}
    done = {name for name in order if next(threads[name], "done") == "done"}
    return db, "".join(name for name in threads if name not in done)


def every_order(program: Program, dy: Array) -> Iterator[tuple[str, Array]]:
    """Each order in which the two threads can take their steps, and the db that it leaves."""
    begun = [""]
    while begun:
        order = begun.pop()
        db, left = run(program, dy, order)
        if not left:
            yield order, db
        begun += [order + name for name in reversed(left)]


def by_chance(program: Program, dy: Array, rng: np.random.Generator) -> Array:
    """The db that an order drawn at random leaves."""
    order = ""
    while True:
        db, left = run(program, dy, order)
        if not left:
            return db
        order += str(rng.choice(list(left)))
