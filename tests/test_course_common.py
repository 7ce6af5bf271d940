"""What several lessons compute, against the plain way to write it."""
import numpy as np
import pytest
from matplotlib.figure import Figure

import numpyvae as nv
from numpyvae.course import common

RNG = np.random.default_rng(0)


def test_a_small_picture_is_the_mean_of_two_by_two_pixels():
    images = RNG.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    small = common.shrink(images)
    assert small.shape == (3, 196)
    assert small[1, 14 * 5 + 2] == pytest.approx(images[1, 10:12, 4:6].mean() / 255)


def test_black_and_white_pixels_are_drawn_by_their_brightness():
    drawn = common.black_and_white(np.tile([0.0, 0.3, 1.0], (20_000, 1)), seed=1)
    assert set(drawn.ravel()) == {0.0, 1.0}
    assert np.allclose(drawn.mean(axis=0), [0.0, 0.3, 1.0], atol=0.015)
    assert np.array_equal(drawn, common.black_and_white(np.tile([0.0, 0.3, 1.0], (20_000, 1)), seed=1))


def test_the_nearest_is_found_among_all_pairs():
    points, others = RNG.standard_normal((7, 3)), RNG.standard_normal((9, 3))
    assert np.allclose(common.nearest(points, others), np.linalg.norm(points[:, None] - others, axis=2).min(axis=1))
    assert np.allclose(common.nearest(others, others), 0, atol=1e-7)


def test_a_vaes_code_is_drawn_from_its_q_and_an_autoencoders_is_its_code():
    images = RNG.random((1, 9)).repeat(50_000, axis=0)
    vae = nv.VAE.dense(9, (4,), 2, rng=RNG, dtype=np.float64)
    mu, logvar = vae.encode(images[:1])
    codes = common.draw_codes(vae, images, RNG)
    assert np.allclose(codes.mean(axis=0), mu, atol=0.05) and np.allclose(codes.var(axis=0), np.exp(logvar), rtol=0.05)
    plain = nv.Autoencoder.dense(9, (4,), 2, rng=RNG)
    assert np.array_equal(common.draw_codes(plain, images[:3], RNG), plain.encode(images[:3]))


def test_rows_are_put_beside_the_axes_that_they_are_nearest_to():
    axes = np.eye(3, 5)
    W = np.array([[0.1, -4.0, 0, 0, 0], [0, 0.2, 0.5, 0.1, 0], [3.0, 0, 0.3, 0, 1.0]])
    assert np.array_equal(common.beside(W, axes), [W[2], -W[0], W[1]])


def test_angles_of_a_subspace_and_of_the_axes_in_it():
    axes, a, b = np.eye(2, 3), np.radians(30), np.radians(50)
    turned = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0]])
    assert np.allclose(common.angles_to(axes, 7 * turned[::-1]), [0, 30])
    out = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)]])
    assert np.allclose(common.angles_to(axes, out), [50, 50])


@pytest.mark.parametrize("degrees", [0, 30, 45])
def test_a_turned_posterior_is_drawn_with_its_best_q_and_the_gap(degrees):
    ax, variances, alpha = Figure().subplots(), np.array([0.1, 0.5]), np.radians(degrees)
    common.draw_turned(ax, degrees, variances)
    turn = np.array([[np.cos(alpha), -np.sin(alpha)], [np.sin(alpha), np.cos(alpha)]])
    precision = turn @ np.diag(1 / variances) @ turn.T
    posterior, q = (np.array(line.get_data()) for line in ax.lines)
    assert np.allclose(np.sum(posterior * (precision @ posterior), axis=0), 4)
    assert np.allclose(np.sum(q**2 * np.diag(precision)[:, None], axis=0), 4)
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.log(np.linalg.det(precision)))
    assert ax.get_title().endswith(f"gap {gap:.2f} nats")


def test_convergence_is_drawn_in_two_panels():
    import matplotlib.pyplot as plt
    plt.switch_backend("Agg")
    steps = np.array([0, 10, 100])
    lacks = np.array([[9.0, 1.0, 0.1], [8.0, 2.0, 0.3]])
    common.draw_convergence(steps, lacks, {"plane": lacks / 2, "axes": 5 * lacks})
    left, right = plt.gcf().axes
    assert np.array_equal([line.get_ydata() for line in left.lines], lacks)
    assert np.array_equal([line.get_ydata() for line in right.lines[2:4]], 5 * lacks)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["plane", "axes"]
    assert np.array_equal(right.lines[1].get_xdata(), steps + 1)
    plt.close()
