"""The bundled digits: true factors, the same numbers everywhere, and the look of handwriting."""
import gzip
import importlib
import os
import pathlib

import numpy as np
import pytest

# The package exports the function `strokes` under the module's name.
module = importlib.import_module("numpyvae.datasets.strokes")
strokes, load_strokes = module.strokes, module.load_strokes

MNIST = pathlib.Path(os.environ.get("NUMPYVAE_DATA", "")) / "mnist"


@pytest.fixture(scope="module")
def drawn():
    return strokes(3000, seed=11)


def moments(images):
    """Mass, centre column, centre row, and covariance (xx, xy, yy) of each image's ink."""
    ink = images / 255.0
    mass = ink.sum(axis=(1, 2))
    row, column = np.mgrid[:28, :28]

    def mean(of):
        return (ink * of).sum(axis=(1, 2)) / mass
    x, y = mean(column), mean(row)
    return mass, x, y, mean(column**2) - x**2, mean(row * column) - x * y, mean(row**2) - y**2


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


def test_images_and_table_have_the_promised_form(drawn):
    images, factors = drawn
    assert images.shape == (3000, 28, 28) and images.dtype == np.uint8
    assert factors.shape == (3000,)
    assert factors.dtype.names == ("label", "style", "thickness", "scale", "slant", "rotation",
                                   "shift_x", "shift_y")
    assert images.max(axis=(1, 2)).min() > 200    # in every image some pixel is close to full ink
    assert np.bincount(factors["label"]).tolist() == [300] * 10
    assert (np.sort(factors["label"].reshape(-1, 10), axis=1) == np.arange(10)).all()
    assert factors["label"][:10].tolist() != factors["label"][10:20].tolist()


def test_factors_follow_their_documented_distributions(drawn):
    _, factors = drawn
    for name, (least, greatest) in {"thickness": (1.6, 4.0), "scale": (0.88, 1.02)}.items():
        assert least <= factors[name].min() and factors[name].max() <= greatest
        assert abs(factors[name].mean() - (least + greatest) / 2) < 0.02 * (greatest - least)
    for name, (mean, deviation) in {"slant": (10, 10), "rotation": (0, 5), "shift_x": (0, 0.6),
                                    "shift_y": (0, 0.6)}.items():
        assert abs(factors[name].mean() - mean) < 4 * deviation / np.sqrt(3000)
        assert abs(factors[name].std() / deviation - 1) < 0.06
    sevens = factors[factors["label"] == 7]["style"]
    assert np.abs(np.bincount(sevens) / len(sevens) - [0.65, 0.20, 0.15]).max() < 0.1
    columns = np.array([factors[name] for name in factors.dtype.names])
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns)))[:, 2:].max() < 0.09


def test_factors_show_in_the_images(drawn):
    images, factors = drawn
    mass, x, y, _, xy, yy = moments(images)
    for digit in range(10):    # one by one: an 8 has a longer line than a 1, and a wider digit than a narrow one
        written = factors["label"] == digit
        assert correlation(mass[written], factors["thickness"][written]) > 0.8
    bold = factors["thickness"] > 2.8
    for centre, shift in (x, factors["shift_x"]), (y, factors["shift_y"]):
        error = centre - 14 - shift
        assert np.abs(error).max() < 0.5 and np.mean(np.abs(error) > 0.1) < 0.01    # the border cuts one in thirty
        for group in [bold, ~bold, *(factors["label"] == digit for digit in range(10))]:
            assert abs(error[group].mean()) < 0.01    # and no kind of digit lies off
    # A slant moves x by -tan(slant) y, and a clockwise turn by a small angle by -angle y: read off a digit 1.
    ones = factors["label"] == 1
    leaning = np.degrees(np.arctan(-xy[ones] / yy[ones]))
    assert correlation(leaning, factors["slant"][ones] + factors["rotation"][ones]) > 0.85
    # The larger side of the inked box, where it is not cut by the border, is 20 * scale.
    inked = images > 127
    sides = np.array([inked.any(axis=axis).sum(axis=1) for axis in (1, 2)]).max(axis=0)
    assert np.abs(sides - 20 * factors["scale"]).mean() < 0.6


def test_same_seed_same_images_and_a_smaller_set_begins_a_larger_one(drawn):
    images, factors = drawn
    fewer, fewer_factors = strokes(137, seed=11)
    assert (fewer == images[:137]).all() and (fewer_factors == factors[:137]).all()
    assert (strokes(137, seed=12)[0] != fewer).any(axis=(1, 2)).all()
    assert strokes(1, seed=0)[0].shape == (1, 28, 28)


def test_colour_is_the_grey_digit_in_one_hue(drawn):
    images, factors = strokes(200, seed=11, colour=True)
    assert images.shape == (200, 28, 28, 3) and images.dtype == np.uint8
    assert (images.max(axis=3) == drawn[0][:200]).all()    # the strongest channel is full
    assert (factors[list(drawn[1].dtype.names)] == drawn[1][:200]).all()
    assert 0 <= factors["hue"].min() and factors["hue"].max() < 360
    pure = module._in_colour(np.full((4, 1, 1), 200, np.uint8), np.array([0.0, 120.0, 240.0, 300.0]))
    assert pure[:, 0, 0].tolist() == [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 0, 200]]


@pytest.mark.parametrize("split, n", [("train", 10_000), ("test", 2_000)])
def test_generator_makes_the_frozen_set(split, n, monkeypatch, tmp_path):
    images, factors = load_strokes(split)
    assert images.shape == (n, 28, 28) and images.dtype == np.uint8 and len(factors) == n
    monkeypatch.setattr(module, "FROZEN", tmp_path / "strokes.npz")    # as where data/ is not installed
    drawn_images, drawn_factors = load_strokes(split)
    assert np.abs(images.astype(int) - drawn_images).max() <= 1
    assert factors.dtype == drawn_factors.dtype
    for name in factors.dtype.names:
        np.testing.assert_allclose(drawn_factors[name], factors[name], rtol=1e-6, atol=1e-6)


@pytest.mark.skipif("NUMPYVAE_DATA" not in os.environ or not MNIST.is_dir(), reason="no MNIST")
def test_nearest_mnist_images_name_the_digits():
    """1-nearest neighbour on 10,000 MNIST training images; 92 to 94 % were measured."""
    def read(name, header, count):
        with gzip.open(MNIST / name) as file:
            return np.frombuffer(file.read(header + count), np.uint8, offset=header)
    known = read("train-images-idx3-ubyte.gz", 16, 10_000 * 784).reshape(-1, 784).astype(np.float32)
    labels = read("train-labels-idx1-ubyte.gz", 8, 10_000)
    images, factors = load_strokes("test")
    half_norm = (known**2).sum(axis=1) / 2
    queries = images.reshape(-1, 784).astype(np.float32)
    named = np.concatenate([labels[(half_norm - block @ known.T).argmin(axis=1)]
                            for block in np.split(queries, 10)])
    right = named == factors["label"]
    assert right.mean() >= 0.85
    assert min(right[factors["label"] == digit].mean() for digit in range(10)) >= 0.75
