"""The colours of the figures, as people see them who lack one of the three kinds of cones."""
import itertools

import numpy as np
import pytest

from numpyvae.report import plots

# Linear RGB as it appears with no red, green or blue cones.  [Machado, Oliveira & Fernandes 2009, severity 1.0]
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]])}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                   [0.0193339, 0.1191920, 0.9503041]])    # of linear sRGB, for the white D65
CARDS = ["#ffffff", "#1c2024"]    # what the figures of a report lie on, in light and in dark mode


def linear(colors):
    c = np.array([[int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)] for color in colors])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """Linear sRGB (N, 3) -> CIELAB, in which a distance of about 2.3 can just be noticed."""
    t = np.clip(rgb, 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(t > (6 / 29)**3, np.cbrt(t), t / (3 * (6 / 29)**2) + 4 / 29)
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


def nearest(colors, sight):
    seen = lab(linear(colors) @ SIGHT[sight].T)
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


def contrast(a, b):
    light, dark = sorted((linear([a, b]) @ TO_XYZ[1]).tolist(), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measures_are_right_where_they_are_known():
    np.testing.assert_allclose(lab(linear(["#ffffff", "#000000"])), [[100, 0, 0], [0, 0, 0]], atol=0.01)
    np.testing.assert_allclose(lab(linear(["#ff0000"])), [[53.24, 80.09, 67.20]], atol=0.05)    # the standard's table
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for sight in SIGHT.values():
        np.testing.assert_allclose(sight.sum(axis=1), 1, atol=1e-5)    # white stays white
    assert nearest(["#c80000", "#6b6b00"], "deuteranopia") < nearest(["#c80000", "#6b6b00"], "normal") / 2


@pytest.mark.parametrize("sight, least", [("normal", 39), ("protanopia", 29), ("deuteranopia", 29), ("tritanopia", 23)])
def test_ten_classes_are_told_apart(sight, least):
    assert len(set(plots.CLASSES)) == 10
    assert nearest(plots.CLASSES, sight) >= least


@pytest.mark.parametrize("sight, least", [("normal", 60), ("protanopia", 40), ("deuteranopia", 40), ("tritanopia", 16)])
def test_the_lines_of_a_figure_are_told_apart(sight, least):
    assert nearest([term.color for term in plots.TERMS.values()], sight) > least
    assert nearest([plots.INK, plots.ORANGE], sight) > 40    # rows and their reconstructions
    assert nearest([plots.MUTED, plots.BLUE], sight) > 20    # the data and what is drawn


@pytest.mark.parametrize("card", CARDS)
def test_every_class_shows_on_a_light_and_on_a_dark_page(card):
    assert min(contrast(color, card) for color in plots.CLASSES) > 1.59
