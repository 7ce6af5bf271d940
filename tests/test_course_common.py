"""What several lessons compute, against the plain way to write it."""
import numpy as np
import pytest

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
