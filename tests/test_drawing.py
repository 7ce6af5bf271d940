"""How a digit is drawn, step by step: by hand, by a second implementation, and a few digits against the frozen set."""
import hashlib
import importlib

import numpy as np
import pytest

from numpyvae.datasets import digits

# The package exports the function `strokes` under the module's name.
module = importlib.import_module("numpyvae.datasets.strokes")
strokes, load_strokes = module.strokes, module.load_strokes
FROZEN = load_strokes("test")


# The path of the pen

def test_shares_of_styles_sum_to_one():
    assert digits.styles()[0].sum(axis=1) == pytest.approx(np.ones(10))


def catmull_rom(points, closed, t):
    """The curve at time t, piece by piece: each is the cubic with the slopes (P2 - P0) / 2 and (P3 - P1) / 2."""
    k = len(points)
    if closed:
        around = [points[-2], *points, points[1]]
    else:
        around = [2 * points[0] - points[1], *points, 2 * points[-1] - points[-2]]
    i = min(int(t), k - 2)
    p0, p1, p2, p3 = around[i:i + 4]
    t -= i
    return ((2 * t**3 - 3 * t**2 + 1) * p1 + (t**3 - 2 * t**2 + t) * (p2 - p0) / 2
            + (3 * t**2 - 2 * t**3) * p2 + (t**3 - t**2) * (p3 - p1) / 2)


def test_every_style_is_the_smooth_curve_through_its_points():
    shares, points, matrices = digits.styles()
    assert shares.shape == (10, 3) and points.shape[:2] == (10, 3) and matrices.shape[:4] == (10, 3, 2, 48)
    for digit, ways in digits.STYLES.items():
        assert [percent / 100 for percent, _ in ways] == shares[digit][shares[digit] > 0].tolist()
        for style, (_, path) in enumerate(ways):
            lines = [np.array([[float(v) / 100 for v in point.split(",")] for point in stroke.split()])
                     for stroke in path.split("|")]
            steps = np.cumsum([0] + [len(line) - 1 for line in lines])
            ends = np.rint(48 * steps / steps[-1]).astype(int)
            expected = [[catmull_rom(line, (line[0] == line[-1]).all(), (i + end) * (len(line) - 1) / n)
                         for line, n in zip(lines, np.diff(ends)) for i in range(n)] for end in (0, 1)]
            np.testing.assert_allclose(matrices[digit, style] @ points[digit, style], expected, atol=1e-12)
            k = len({tuple(point) for line in lines for point in line})
            assert not points[digit, style, k:].any() and not matrices[digit, style, ..., k:].any()
        assert not points[digit, len(ways):].any() and not matrices[digit, len(ways):].any()


def test_a_stroke_s_points_and_the_matrices_from_them():
    points, matrices = digits._curve("0,0 100,50 50,0")
    assert points.tolist() == [[0, 0], [0.5, 0], [1, 0.5]]    # in order, so that strokes can share them
    assert matrices.shape == (2, 48, 3)
    starts, ends = matrices @ points
    np.testing.assert_allclose(starts[[0, 24]], [[0, 0], [1, 0.5]], atol=1e-15)
    np.testing.assert_allclose(ends[[23, 47]], [[1, 0.5], [0.5, 0]], atol=1e-15)


# From the path to ink

def test_factors_show_where_all_else_is_equal():
    lines = np.array([[[[-1.0, -2.0]], [[1.0, 2.0]]]])    # one image, two ends, one line
    factors = np.array([(1, 0, 2.0, 1.0, 0.0, 0.0, 3.0, -2.0)], module.FACTORS)
    (x0, y0), (x1, y1) = module._scale(lines, factors)[0, :, 0]
    assert [x0, x1, y0, y1] == pytest.approx([14 - 4.5, 14 + 4.5, 14 - 9, 14 + 9])    # 20 less the thickness
    factors["slant"], factors["rotation"] = 45, 0
    top = np.array([[[0.0, -1.0]]])
    assert module._slant_and_turn(top, factors)[0, 0] == pytest.approx([1, -1])    # to the right
    factors["slant"], factors["rotation"] = 0, 90
    assert module._slant_and_turn(top, factors)[0, 0] == pytest.approx([1, 0])    # clockwise


def test_ink_of_a_straight_edge_is_the_area_it_covers():
    line = np.array([[[[-9.0, 3.25]], [[39.0, 3.25]]]])    # level, through row 3.25
    ink = module._draw_lines(line, np.array([1.0]))
    assert ink[0, :8, 5] == pytest.approx([0, 0, 0.25, 1, 0.75, 0, 0, 0])    # from 2.25 to 4.25
    assert (ink == ink[:, :, :1]).all()


def test_a_line_of_no_length_is_a_round_dot():
    ink = module._draw_lines(np.full((1, 2, 1, 2), 5.0), np.array([2.0]))
    row, column = np.mgrid[:28, :28]
    np.testing.assert_allclose(ink[0], np.clip(2.5 - np.hypot(row - 5, column - 5), 0, 1), rtol=1e-6, atol=1e-6)


def test_ink_is_worked_out_in_float32(rng):
    """Bit for bit, from the lines one by one; the radius may have more digits."""
    lines, radius = rng.uniform(4, 24, (2, 2, 3, 2)), np.array([1.1, 1.7])
    (x0, y0), (x1, y1) = lines.transpose(1, 3, 0, 2).astype(np.float32)
    row, column = np.mgrid[:28, :28].astype(np.float32)
    distance = np.full((2, 28, 28), np.inf, np.float32)
    for i, s in np.ndindex(2, 3):
        px, py, dx, dy = column - x0[i, s], row - y0[i, s], x1[i, s] - x0[i, s], y1[i, s] - y0[i, s]
        t = np.clip((px * dx + py * dy) / (dx**2 + dy**2), 0, 1)
        distance[i] = np.minimum(distance[i], (px - t * dx)**2 + (py - t * dy)**2)
    ink = module._draw_lines(lines, radius)
    assert ink.dtype == np.float32
    expected = np.clip(radius[:, None, None] + 0.5 - np.sqrt(distance), 0, 1)
    np.testing.assert_array_equal(ink, expected.astype(np.float32))


def test_a_digit_leans_to_the_right_and_turns_clockwise_by_the_formula(rng):
    points, factors = rng.standard_normal((5, 3, 2)), np.zeros(5, module.FACTORS)
    factors["slant"], factors["rotation"] = 20 * rng.standard_normal((2, 5))
    for moved, point, slant, turn in zip(module._slant_and_turn(points, factors), points,
                                         np.deg2rad(factors["slant"].astype(float)),
                                         np.deg2rad(factors["rotation"].astype(float))):
        turned = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ np.array([[1, -np.tan(slant)], [0, 1]])
        np.testing.assert_allclose(moved, point @ turned.T, rtol=1e-13, atol=1e-14)


def test_ink_has_one_hue():
    pure = module._in_colour(np.full((5, 1, 1), 200, np.uint8), np.array([0.0, 120.0, 240.0, 300.0, 340.0]))
    assert pure[:, 0, 0].tolist() == [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 0, 200], [200, 0, 67]]


def test_a_coloured_digit_is_the_grey_one_in_its_hue():
    grey, factors = strokes(13, seed=3)
    coloured, with_hue = strokes(13, seed=3, colour=True)
    assert with_hue.dtype.names == (*factors.dtype.names, "hue")
    for name in factors.dtype.names:
        np.testing.assert_array_equal(with_hue[name], factors[name])
    uniform = np.random.default_rng(3).spawn(4)[1].random((13, 4))
    np.testing.assert_allclose(with_hue["hue"], 360 * uniform[:, 3], rtol=1e-6)
    np.testing.assert_array_equal(coloured, module._in_colour(grey, with_hue["hue"]))


# All of it

def test_factors_are_the_generator_s_draws(monkeypatch):
    monkeypatch.setattr(module, "SLANT", (3.0, 7.0))    # by chance the two are the same number
    _, factors = strokes(33, seed=5)
    label_rng, uniform_rng, normal_rng, _ = np.random.default_rng(5).spawn(4)
    labels = np.argsort(label_rng.random((4, 10)), axis=1).ravel()[:33]
    uniform, normal = uniform_rng.random((33, 4)), normal_rng.standard_normal((33, 4))
    np.testing.assert_array_equal(factors["label"], labels)
    ends = [np.cumsum([percent for percent, _ in digits.STYLES[label]]) for label in labels]
    assert factors["style"].tolist() == [np.searchsorted(end, 100 * u) for end, u in zip(ends, uniform[:, 0])]
    for name, expected in {"thickness": 1.6 + 2.4 * uniform[:, 1], "scale": 0.88 + 0.14 * uniform[:, 2],
                           "slant": 3 + 7 * normal[:, 0], "rotation": 5 * normal[:, 1],
                           "shift_x": 0.6 * normal[:, 2], "shift_y": 0.6 * normal[:, 3]}.items():
        np.testing.assert_allclose(factors[name], expected, rtol=1e-6)


# The frozen set

@pytest.mark.parametrize("n, block", [(13, 7), (63, 1000)])
def test_a_small_set_begins_the_frozen_one(n, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    images, factors = strokes(n, seed=2)
    frozen_images, frozen_factors = (array[:n] for array in FROZEN)
    assert images.dtype == np.uint8 and factors.dtype == frozen_factors.dtype
    assert np.abs(frozen_images.astype(int) - images).max() <= 1 and np.mean(images != frozen_images) < 1e-3
    for name in factors.dtype.names:
        np.testing.assert_allclose(factors[name], frozen_factors[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("split, n", [("train", 10_000), ("test", 2_000)])
def test_each_split_has_its_own_images_and_factors(split, n):
    images, factors = load_strokes(split)
    assert images.shape == (n, 28, 28) and images.dtype == np.uint8 and factors.shape == (n,)
    again = strokes(3, module.SPLITS[split][1])
    assert np.abs(images[:3].astype(int) - again[0]).max() <= 1 and (factors["label"][:3] == again[1]["label"]).all()


@pytest.mark.parametrize("split, given", [("train", (10_000, 1)), ("test", (2_000, 2))])
def test_without_the_file_it_is_drawn_anew(split, given, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "FROZEN", tmp_path / "strokes.npz")
    monkeypatch.setattr(module, "strokes", lambda *arguments: arguments)
    assert load_strokes(split) == given


def test_frozen_file_is_checked(monkeypatch, tmp_path):
    content = module.FROZEN.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert digest == module.FROZEN_SHA256 and digest in (module.FROZEN.parent / "README.md").read_text()
    changed = tmp_path / "strokes.npz"
    changed.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    monkeypatch.setattr(module, "FROZEN", changed)
    with pytest.raises(ValueError, match="strokes.npz has SHA-256 .*; expected .*; restore the file, or"):
        load_strokes("train")


@pytest.mark.parametrize("n, seed, message", [
    (0, 1, "n is 0; expected a whole number of at least 1"),
    (2.5, 1, "n is 2.5; expected a whole number of at least 1"),
    (True, 1, "n is True; expected a whole"),
    (3, -1, "seed is -1; expected a whole number of at least 0"),
    (3, None, "seed is None; expected a whole number of at least 0"),
])
def test_bad_arguments_are_named(n, seed, message):
    with pytest.raises(ValueError, match=message):
        strokes(n, seed)


def test_unknown_split_is_named():
    with pytest.raises(ValueError, match="split is 'valid'; expected one of 'train', 'test'"):
        load_strokes("valid")
