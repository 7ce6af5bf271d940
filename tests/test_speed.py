"""What lesson 12 counts and measures: counts against plain ones, time that stands still, sums and their bounds."""
import contextlib
import time

import numpy as np
import pytest
from matplotlib.figure import Figure

import numpyvae as nv
from numpyvae.course import speed
from numpyvae.kernels import matmul


def test_a_product_is_counted():
    assert speed.product(2, 3, 5) == (60, 4 * (6 + 15 + 10))
    assert speed.product(2, 3, 5).intensity == 60 / 124


def test_the_roof_is_the_smaller_of_slope_and_peak():
    np.testing.assert_array_equal(speed.roof(np.array([1.0, 5.0, 20.0]), 100.0, 20.0), [20, 100, 100])
    work = speed.product(7, 80, 9)
    assert work.operations / speed.roof(work.intensity, 100.0, 20.0) == pytest.approx(
        max(work.operations / 100, work.moved / 20))


def test_the_products_of_a_step_are_three_for_each_layer_but_the_first(rng):
    vae = nv.VAE.dense(784, (400,), 20, rng=rng)
    sides = [vae.parameters[f"{name}.W"].shape for name in ("encoder.0", "mu_head", "logvar_head", "decoder.0",
                                                            "decoder.1")]
    work = speed.step_products(5, sides)
    assert len(work) == 3 * len(sides) - 1
    assert sum(one.operations for one in work) == sum(2 * 5 * (3 - (i == 0)) * n_in * n_out
                                                      for i, (n_in, n_out) in enumerate(sides))
    assert sum(one.operations for one in speed.step_products(128, sides)) == 419_840_000    # as the lesson says


def test_adam_moves_what_its_kernel_reads_and_writes():
    assert speed.ADAM.moved == 4 * (4 + 3)    # reads weights, gradients and two means; writes all but the gradients


def test_the_first_call_is_timed_apart():
    calls = []

    def run():
        calls.append(1)
        if len(calls) == 1:
            spend(0.05)
    timed = speed.time_calls(run)
    assert timed.first >= 0.05 and timed.later < 0.01 and len(calls) > 10


def spend(seconds):
    end = speed.clock() + seconds
    while speed.clock() < end:
        pass


def test_the_fastest_counts_and_sleep_does_not():
    durations = iter([0.0, 0.0, 0.004, 0.001, 0.003] + 10**4 * [0.005])
    times = speed.fastest({"work": lambda: spend(next(durations)), "sleep": lambda: time.sleep(0.002)}, 3)
    assert times["work"] > 0
    if speed.clock is not time.perf_counter:
        assert times["sleep"] < 0.001


def test_peak_and_bandwidth_are_of_this_machine():
    peak, bandwidth = speed.measure_peak(128), speed.measure_bandwidth(10**6)
    assert 1e8 < peak < 1e13 and 1e8 < bandwidth < 1e13


def test_a_layer_s_points_have_their_intensities():
    points = speed.layer(2, 8, 16)
    assert points["x W"][0] == speed.product(2, 8, 16).intensity
    assert points["xᵀ dy"][0] == speed.product(8, 2, 16).intensity
    assert points["y + b"][0] == 1 / 8 and points["Adam"][0] == 13 / 28
    assert all(rate > 0 for _, rate in points.values())


def test_a_counting_tile_computes_and_counts(rng):
    a, b, out = rng.random((6, 10), np.float32), rng.random((10, 16), np.float32), np.zeros((6, 16), np.float32)
    counting, said = speed.counting(matmul.tile_6x16)
    counting(a, b, out, 0, 0)
    np.testing.assert_allclose(out, a @ b, rtol=1e-5)
    assert said == {"load": 10, "spread": 60, "fma": 60, "store": 6}


def test_halves_of_the_result_have_the_bits_of_the_whole(rng):
    a, b = rng.random((12, 30), np.float32), rng.random((30, 64), np.float32)
    whole, by_halves, by_terms = speed.halved_products(a, b)
    np.testing.assert_array_equal(whole, by_halves)
    for one in (whole, by_terms):
        np.testing.assert_allclose(one, a.astype(float) @ b, rtol=1e-5)


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])
def test_compiled_products_are_the_product_or_none(kernels, rng):
    a, b = rng.random((20, 30), np.float32), rng.random((30, 40), np.float32)
    with kernels():
        loops = speed.compiled_products()
    assert kernels is contextlib.nullcontext or not loops
    for loop in loops.values():
        np.testing.assert_allclose(loop(a, b, np.zeros((20, 40), np.float32)), a @ b, rtol=1e-5)
    assert set(speed.billions(8, 16, 16, loops)) == {"BLAS", *loops}


def test_sums_add_up_within_their_bounds():
    lengths = 2 ** np.arange(2, 11)
    errors = speed.sum_errors(lengths)
    bounds = {"in order": lengths - 1, "in pairs": 1.01 * np.log2(lengths), "compensated": 2.0 + 0 * lengths}
    assert set(errors) == set(bounds)
    for name, each in errors.items():
        assert each.shape == (len(lengths), 20) and np.all(each.max(axis=1) <= bounds[name])
    many = np.append(np.float32(2**24), np.ones(1000, np.float32))
    assert speed.sum_in_order(many) == 2**24 and speed.compensated_sum(many) == 2**24 + 1000


def test_nan_and_the_nearest_pair_are_found():
    assert speed.has_nan(np.array([0.0, np.nan])) and not speed.has_nan(np.array([0.0, np.inf]))
    assert speed.nearest_pair(np.array([5.0, 1.0, 3.5, 9.0])) == 1.5


def test_a_function_is_compiled():
    pytest.importorskip("numba")
    assert speed.compiled(speed.nearest_pair)(np.array([5.0, 1.0, 3.5])) == 1.5


def test_points_left_of_the_edge_have_another_colour():
    ax = Figure().subplots()
    speed.draw_layer(ax, 3, 100e9, 20e9, {3: {"left": (1.0, 1e9), "right": (9.0, 1e9)}})
    left, right = (line for line in ax.lines if line.get_label() in ("left", "right"))
    assert left.get_color() == speed.ORANGE and right.get_color() == speed.BLUE
    assert ax.get_title() == "batch 3"


def test_in_the_picture_of_the_protocol_nobody_does_two_things_at_once():
    for threads, messages in (speed.AWAKE, speed.LATE):
        for spans in threads.values():
            assert all(end == start for (_, end, _), (start, _, _) in zip(spans, spans[1:]))
        done = [what for spans in threads.values() for _, _, what in spans if what.startswith("half")]
        assert sorted(done) == ["half 0", "half 1"]
        assert all(sent <= seen for _, _, sent, seen in messages)
