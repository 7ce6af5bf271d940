"""Two threads that share a sum: which of the museum's ways are races, in every order of their steps."""
import math

import numpy as np
import pytest

from numpyvae.course import lesson_12
from numpyvae.museum import race

PROGRAMS = dict(zip("abcde", (race.rows_into_one, race.columns, race.one_scratch, race.next_column,
                              race.middle_twice)))


def outcomes(program, shape):
    dy = np.random.default_rng(0).integers(1, 100, shape).astype(float)    # whole numbers: their sums have no rounding
    return [np.array_equal(db, dy.sum(axis=0)) for _, db in race.every_order(program, dy)]


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("letter", PROGRAMS)
def test_exercise_12_3_says_which_are_races(letter, shape):
    right = outcomes(PROGRAMS[letter], shape)
    assert any(right)    # right on most days: one thread after the other
    assert all(right) == (lesson_12.RACES[letter] == "no race")


def test_every_order_is_tried_once():
    orders = [order for order, _ in race.every_order(race.rows_into_one, np.ones((4, 1)))]
    steps = len(orders[0]) // 2
    assert len(set(orders)) == len(orders) == math.comb(2 * steps, steps)
    assert all(order.count("A") == order.count("B") == steps for order in orders)


def test_of_six_orders_two_lose_nothing():
    assert sum(outcomes(race.rows_into_one, (2, 3))) == 2 and len(outcomes(race.rows_into_one, (2, 3))) == 6


def test_by_chance_one_of_the_orders_is_drawn(rng):
    dy = np.array([[1.0], [2.0]])
    drawn = {float(race.by_chance(race.rows_into_one, dy, rng)[0]) for _ in range(100)}
    assert drawn == {1.0, 2.0, 3.0}
    assert {float(race.by_chance(race.columns, np.ones((3, 2)), rng)[1]) for _ in range(20)} == {3.0}
