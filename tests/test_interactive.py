"""What the sliders and the map of a report show: the right picture for each place, whatever the data."""
import base64
import configparser
import html
import io
import pathlib
import re
import zlib

import numpy as np
import pytest
from PIL import Image

import numpyvae as nv
from numpyvae.evaluation import kl_per_dimension
from numpyvae.report import interactive, plots


def make(rng, shape, n_latent=4, n_classes=None, gain=40.0):
    """A VAE whose code says much about an image, though it was not trained."""
    options = {} if n_classes is None else {"n_classes": n_classes}
    kind = nv.VAE if n_classes is None else nv.ConditionalVAE
    vae = kind.dense(int(np.prod(shape)), (6,), n_latent, rng=rng, **options)
    vae.parameters["mu_head.W"][:] *= gain
    return vae


def sheets(figure):
    """The pictures in a figure, as arrays, in the order in which they stand there."""
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
            for content in re.findall(r"data:image/png;base64,([\w+/=]+)", figure)]


def cells(sheet, rows, columns):
    """A sheet's parts: (rows, columns, height, width, ...)"""
    height, width = sheet.shape[0] // rows, sheet.shape[1] // columns
    return sheet.reshape(rows, height, columns, width, *sheet.shape[2:]).swapaxes(1, 2)


def codes(vae, images, labels=None):
    mu, logvar = vae.encode(plots.as_rows(images), **plots.given(labels))
    return mu, kl_per_dimension(mu, logvar)


@pytest.mark.parametrize("shape, n_classes", [((8, 6), None), ((5, 7, 3), None), ((8, 6, 1), None), ((8, 6), 3)])
def test_each_place_of_a_slider_shows_what_the_decoder_makes_of_it(shape, n_classes, rng):
    images = rng.integers(0, 256, (20, *shape), np.uint8)
    vae, labels = make(rng, shape, n_classes=n_classes), None if n_classes is None else np.arange(20) % 3
    mu, kl = codes(vae, images, labels)
    label = None if labels is None else labels[0]
    figure = interactive.sliders(vae, images[0], kl, label)
    order = np.argsort(-kl).tolist()
    assert re.findall(r'<input type="range" id="z(\d+)"', figure) == list(map(str, order))
    shown = cells(sheets(figure)[0], 4, interactive.STEPS)
    for row, dimension in enumerate(order):
        for column, value in enumerate(np.linspace(-3, 3, interactive.STEPS)):
            z = mu[:1].copy()
            z[0, dimension] = value
            x = vae.decode(z, **plots.given(label)).reshape(shape)
            np.testing.assert_allclose(shown[row, column].reshape(shape), 255 * x, atol=0.51)
    starts = [float(value) for value in re.findall(r'value="([-.\d]+)"', figure)]
    np.testing.assert_allclose(starts, np.clip(mu[0, order], -3, 3), atol=0.126)    # the nearest quarter
    original, again = cells(sheets(figure)[1], 1, 2)[0]
    np.testing.assert_array_equal(original.reshape(shape), images[0])
    np.testing.assert_allclose(again.reshape(shape), 255 * vae.decode(mu[:1], **plots.given(label)).reshape(shape),
                               atol=0.51)


def test_a_dimension_that_is_not_used_has_no_slider(rng):
    vae, image = make(rng, (8, 6)), rng.integers(0, 256, (8, 6), np.uint8)
    figure = interactive.sliders(vae, image, np.array([0.05, 2.0, 0.0, 0.5]))
    assert re.findall(r' id="z(\d)"', figure) == ["1", "3"]
    assert "2 of 4 dimensions, those with a KL of at least 0.1 nats" in figure
    assert interactive.sliders(vae, image, np.full(4, 0.01)) == ""


def test_no_more_sliders_than_a_page_can_hold(rng):
    figure = interactive.sliders(make(rng, (4, 4), 50), rng.integers(0, 256, (4, 4), np.uint8), np.linspace(1, 2, 50))
    assert figure.count("<input") == interactive.MOST_SLIDERS
    assert "32 of 50 dimensions, those that the model uses most" in figure


@pytest.mark.parametrize("shape", [(8, 6), (5, 7, 3), (8, 6, 1)])
def test_each_point_of_the_map_has_its_image_and_its_place(shape, rng):
    images, numbers = rng.integers(0, 256, (30, *shape), np.uint8), rng.permutation(1000)[:30]
    mu, kl = codes(make(rng, shape), images)
    names = np.array(["a", "b", "c"])[np.arange(30) % 3]
    figure = interactive.code_map(mu, kl, images, numbers, names)
    rows = int(re.search(r'data-rows="(\d+)"', figure).group(1))
    shown = cells(sheets(figure)[0], rows, 20).reshape(rows * 20, *images.shape[1:])
    np.testing.assert_array_equal(shown[:30], images)
    first, second = np.argsort(-kl)[:2]
    points = re.findall(r'id="p(\d+)" cx="([-.\d]+)" cy="([-.\d]+)" r="4.5" fill="(.*?)" aria-label="(.*?)"', figure)
    assert [int(point[0]) for point in points] == list(range(30))
    x, y = np.array([[float(point[1]), float(point[2])] for point in points]).T
    assert np.corrcoef(x, mu[:, first])[0, 1] > 0.99999 and np.corrcoef(y, mu[:, second])[0, 1] < -0.99999
    for i, point in enumerate(points):
        assert point[3] == plots.CLASSES[i % 3]
        assert point[4] == (f"Test image {numbers[i]}, class {names[i]}: z[{first}] = {mu[i, first]:.2f}, "
                            f"z[{second}] = {mu[i, second]:.2f}").replace("-", "−")


def test_names_from_outside_are_text(rng):
    evil = "<img src=x onerror=\"alert('x')\">"[:20]
    images = rng.integers(0, 256, (10, 4, 4), np.uint8)
    figure = interactive.code_map(*codes(make(rng, (4, 4)), images), images, np.arange(10), np.array([evil] * 10))
    assert evil not in figure and figure.count(html.escape(evil)) == 11    # a label each, and the legend


def test_more_classes_than_colours_have_one_colour_and_no_legend(rng):
    images = rng.integers(0, 256, (30, 4, 4), np.uint8)
    figure = interactive.code_map(*codes(make(rng, (4, 4)), images), images, np.arange(30), np.arange(30) % 11)
    assert set(re.findall('fill="(.*?)"', figure)) == {plots.BLUE} and "legend" not in figure


def test_so_few_images_are_no_map_and_one_dimension_is(rng):
    images = rng.integers(0, 256, (10, 4, 4), np.uint8)
    mu, kl = codes(make(rng, (4, 4), 1), images)
    assert interactive.code_map(mu[:2], kl, images[:2], np.arange(2), None) == ""
    figure = interactive.code_map(mu, kl, images, np.arange(10), None)
    assert figure.count('role="option"') == 10 and "z[0], mean" in figure


def test_large_pictures_are_shown_smaller_and_keep_their_shape(rng):
    images = rng.integers(0, 256, (300, 160, 80, 3), np.uint8)
    sheet = interactive.Sheet(images, images.shape[1:], 300, 20)
    content = base64.b64decode(sheet.address.split(",")[1])
    width, height = Image.open(io.BytesIO(content)).size
    assert (width // 20) / (height // 15) == pytest.approx(0.5, rel=0.1)
    assert width * height * 3 <= 1.05 * interactive.MOST_VALUES and len(zlib.compress(content)) < 1_000_000
    part = cells(np.asarray(Image.open(io.BytesIO(content))), 15, 20)[0, 0]
    assert part.mean() == pytest.approx(images[0].mean(), abs=2)


def test_what_the_page_is_made_of_is_installed_with_the_package():
    root = pathlib.Path(__file__).parents[1]
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg")
    named = {name.strip() for name in settings["options.package_data"]["numpyvae.report"].split(",")}
    files = pathlib.Path(plots.__file__).parent.iterdir()
    there = {path.name for path in files if path.suffix in (".html", ".js", ".css")}
    assert named == there and "report.js" in there
