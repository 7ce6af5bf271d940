"""The page to play with in a real browser: its model computes what the package computes, and people can use it by
mouse, by keyboard and by touch, in light and in dark mode, without a network.  `.ci/browser` installs what this needs.
"""
import base64
import functools
import io
import itertools
import json

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

import numpyvae as nv
from numpyvae.datasets.strokes import strokes
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models.likelihoods import LIKELIHOODS, make_likelihood
from numpyvae.models.tree import tree_of
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, SharedLogvar
from numpyvae.report.explore import explorer, source
from tests.in_browser import controls, serious, walk, windows

pytestmark = pytest.mark.full
LEVEL = 1 / 255


# Its arithmetic

@pytest.fixture(scope="module")
def model(browser):
    """A page with model.js alone."""
    page = browser.new_context(offline=True).new_page()
    page.add_script_tag(content=source("model.js"))
    return page


def as_array(name):
    """JavaScript: the argument of this name, {shape, values}, as an array of model.js."""
    return f"array({name}.shape, Float32Array.from({name}.values))"


def packed(x):
    x = np.asarray(x)
    return {"shape": x.shape, "values": x.ravel().tolist()}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, model):
    a = np.concatenate([np.linspace(-12, 12, 101), [-1000, -40, 0, 40, 1000]])
    found = model.evaluate(f"(a) => a.map((value) => {name}(value))", a.tolist())
    np.testing.assert_allclose(found, ACTIVATIONS[name].f(a), rtol=1e-12, atol=1e-14)


def layers(rng):
    """(a layer of each kind, an input that it takes)"""
    return [
        (Dense(5, 3, "tanh", rng=rng), (5,)), (Conv2d(2, 3, (3, 2), (2, 1), (1, 0), "silu", rng=rng), (5, 4, 2)),
        (Conv2d(1, 2, 3, 2, 1, rng=rng), (7, 6, 1)),
        (ConvTranspose2d(2, 3, (3, 2), (2, 1), (1, 0), (1, 0), "gelu", rng=rng), (5, 4, 2)),
        (ConvTranspose2d(3, 2, 3, 2, 1, (0, 1), rng=rng), (3, 4, 3)), (Reshape((2, 3)), (6,)),
        (ReshapeLabelled((3, 2, 2), 4), (16,)), (Flatten(), (2, 3, 4)), (Flatten(2), (2, 3, 4)),
        (SharedLogvar(4), (4,))]


def test_layers(model, rng):
    tried = layers(rng)
    kinds = {type(layer).__name__ for layer, _ in tried}
    assert kinds | {"Sequential"} == {name for name in dir(nv.nn.layers) + dir(nv.nn.convolution)
                                      if name in model.evaluate("Object.keys(PARTS)")}
    for layer, shape in tried:
        for weight in layer.params.values():
            weight[:] = rng.standard_normal(weight.shape)
        x = rng.standard_normal((1, *shape)).astype(np.float32)
        x.ravel()[::3] = 0
        values = [value for weight in layer.params.values() for value in weight.ravel().tolist()]
        y = model.evaluate(f"""([tree, values, x]) => {{
            const y = load(parse(tree), Float32Array.from(values)).forward({as_array('x')});
            return {{ shape: y.shape, values: [...y] }}; }}""", [tree(layer), values, packed(x[0])])
        wanted = layer.forward(x)[0]
        assert tuple(y["shape"]) == wanted.shape, type(layer)
        np.testing.assert_allclose(y["values"], wanted.ravel(), rtol=1e-5, atol=1e-6)


def tree(part):
    return json.dumps(tree_of(part))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods(name, model, rng):
    likelihood = make_likelihood(name, 0.7) if name in ("gaussian", "student-t") else make_likelihood(name, 1.0)
    for scale in (0.01, 1, 8):
        theta = scale * rng.standard_normal((1, 60 * likelihood.outputs_per_pixel))
        theta[0, :5] = [0, 1e-3, -1e-3, 0.3, -0.3]
        theta = theta.astype(np.float32).astype(float)
        x = np.rint(255 * rng.random((1, 60))) / 255
        x[0, :2] = 0, 1
        mean, nll = model.evaluate(f"""([tree, theta, x]) => {{
            const likelihood = make(parse(tree)), given = {as_array('theta')};
            return [[...likelihood.mean(given)], likelihood.nll(given, x.values)]; }}""",
                                   [tree(likelihood), packed(theta), packed(x)])
        np.testing.assert_allclose(mean, likelihood.mean(theta)[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(nll, likelihood.nll(theta, x)[0], rtol=1e-10)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_are_those_of_the_distribution(name, model, rng):
    """The quantiles of 40,000 draws of each of three pixels, against those of as many draws in NumPy."""
    likelihood = make_likelihood(name, 0.7) if name in ("gaussian", "student-t") else make_likelihood(name, 1.0)
    mean, n = [-1.5, 0.4, 0.8], 40_000
    theta = np.array(mean + [-1.0, -2.0, -1.5] * (likelihood.outputs_per_pixel - 1))
    drawn = model.evaluate(f"""([tree, theta, n]) => {{
        const likelihood = make(parse(tree)), given = {as_array('theta')};
        return Array.from({{ length: n }}, () => [...likelihood.sample(given, rng)]); }}""",
                           [tree(likelihood), packed(theta), n])
    wanted = likelihood.sample(np.repeat(theta[None], n, axis=0), rng)
    levels = np.linspace(0.05, 0.95, 10)
    for pixel in range(3):
        found, others = np.array(drawn)[:, pixel], wanted[:, pixel]
        below = [(found <= value).mean() - (others <= value).mean() for value in np.quantile(others, levels)]
        assert np.abs(below).max() < 0.02, name    # six standard errors


def test_draws_of_codes(model, rng):
    mu, logvar, lower = rng.standard_normal(3), rng.standard_normal(3), rng.standard_normal((3, 3))
    eps = rng.standard_normal(3)
    q, row = nv.functional, functools.partial(np.expand_dims, axis=0)
    found = model.evaluate("""([mu, logvar, lower, eps]) => {
        const q = { mu: array([3], Float32Array.from(mu)), logvar: array([3], Float32Array.from(logvar)),
                    lower: array([9], Float32Array.from(lower)) };
        const full = FullGaussian.prototype, diagonal = DiagonalGaussian.prototype;
        const pairs = [[0, 0], [0, 1], [1, 1], [2, 1], [2, 2]];
        return { z: [[...diagonal.reparameterize(q, eps)], [...full.reparameterize(q, eps)]],
                 kl: [diagonal.kl(q), full.kl(q)], full: pairs.map(([i, j]) => full.covariance(q, i, j)),
                 diagonal: pairs.map(([i, j]) => diagonal.covariance(q, i, j)) };
        }""", [mu.tolist(), logvar.tolist(), lower.ravel().tolist(), eps.tolist()])
    pair, triple = (row(mu), row(logvar)), (row(mu), row(logvar), row(lower))
    np.testing.assert_allclose(found["z"][0], q.reparameterize(*pair, row(eps))[0], rtol=1e-5)
    np.testing.assert_allclose(found["z"][1], q.full_reparameterize(*triple, row(eps))[0], rtol=1e-5)
    np.testing.assert_allclose(found["kl"], [q.gaussian_kl(*pair)[0], q.full_gaussian_kl(*triple)[0]], rtol=1e-5)
    L = np.tril(lower, -1) + np.diag(np.exp(0.5 * logvar))
    for covariance, name in ((L @ L.T, "full"), (np.diag(np.exp(logvar)), "diagonal")):
        wanted = [covariance[i, j] for i, j in [(0, 0), (0, 1), (1, 1), (2, 1), (2, 2)]]
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-7)


def test_numbers_in_half_precision(model):
    values = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    found = model.evaluate("(bits) => bits.map(half)", values.view(np.uint16).tolist())
    np.testing.assert_array_equal(found, values)


# Its models

def blobs(rng, n, shape, channels=1):
    """Smooth pictures, as bytes."""
    y, x = np.mgrid[:shape[0], :shape[1]]
    places = rng.uniform(1, np.array(shape) - 1, (n, 2))[:, :, None, None]
    grey = np.rint(255 * np.exp(-((y - places[:, 0])**2 + (x - places[:, 1])**2) / 4)).astype(np.uint8)
    return grey if channels == 1 else np.stack([grey, grey // 2, 255 - grey], axis=3)


EVIL = "</script><b>&\"'$x</b>"


def trained(kind):
    """(vae, images, what else the page is told), trained for a few steps."""
    rng = np.random.default_rng(3)
    told = {}
    images = blobs(rng, 300, (12, 10))
    name, _, of = kind.partition(" ")
    dense, conv = {"n_data": 120, "hidden": (30,), "rng": rng}, {"shape": (12, 10, 1), "channels": (4, 6), "rng": rng}
    if name == "likelihood":
        vae = nv.VAE.dense(**dense, n_latent=4, likelihood=of)
    elif name == "activation":
        vae = nv.VAE.dense(**dense, n_latent=3, activation=of)
    elif name == "conv":
        vae = nv.VAE.conv(**conv, n_hidden=20, n_latent=4, likelihood=of or "bernoulli", activation="gelu")
    elif name == "conditional":
        told = {"labels": np.arange(300) % 12, "classes": [EVIL, *"bcdefghijkl"]}
        make = nv.ConditionalVAE.conv if of else nv.ConditionalVAE.dense
        vae = make(**(conv if of else dense), n_latent=3, n_classes=12)
    elif name == "full":
        vae = nv.FullCovarianceVAE.conv(**conv, n_latent=4) if of else nv.FullCovarianceVAE.dense(**dense, n_latent=4)
    elif name == "latent":
        vae = nv.VAE.dense(**dense, n_latent=int(of))
        told = {"labels": np.arange(300) % 3, "factors": {"place": rng.random(300)}}
    elif name == "linear":
        vae = nv.VAE.dense(120, (), 2, rng=rng)
    elif name == "digits":
        images = strokes(300, 3)[0]
        vae = nv.VAE.dense(784, (64,), 2, rng=rng)
    elif name == "colour":
        images = blobs(rng, 300, (12, 10), 3)
        vae = nv.VAE.dense(360, (30,), 4, rng=rng) if not of else nv.VAE.conv((12, 10, 3), (4,), 20, 4, rng=rng)
    elif name == "series":
        images = np.sin(np.arange(60) * rng.uniform(0.05, 0.2, (300, 1))).astype(np.float32)
        vae = nv.VAE.dense(60, (30,), 3, "gaussian", sigma=0.1, rng=rng)
    else:
        images = (rng.normal(0, 1, (300, 2)) @ rng.normal(0, 1, (2, 5)) * [1, 1, 1, 1, 50]).astype(np.float32)
        vae = nv.VAE.dense(5, (30,), 2, "gaussian", sigma=0.3, rng=rng)
        told = {"columns": [EVIL, "b", "c & d", "e", "f" * 40]}
    labels = {"labels": told["labels"]} if vae.n_classes else {}
    list(nv.fit(vae, images, optimizer=nv.Adam(lr=3e-3), epochs=15, batch_size=10, rng=rng, **labels))
    return vae, images, told


KINDS = [*(f"likelihood {name}" for name in LIKELIHOODS), *(f"activation {name}" for name in ACTIVATIONS), "conv",
         "conv gaussian-learned", "conv gaussian-shared", "conditional", "conditional conv", "full", "full conv",
         "latent 1", "latent 2", "latent 50", "linear", "digits", "colour", "colour conv", "series", "table"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """kind -> the model, its images, and the address of its page."""
    folder = tmp_path_factory.mktemp("pages")

    @functools.cache
    def made(kind):
        vae, images, told = trained(kind)
        path = folder / f"{kind}.html"
        path.write_text(explorer(vae, images, **told), encoding="utf-8")
        return vae, images, path.as_uri()
    return made


@pytest.fixture
def visit(browser, pages):
    """Open the page of a kind of model."""
    with windows(browser, "file:", offline=True) as open_page:
        def open_kind(kind, width=1300, scheme="light", hash="", **options):
            page = open_page(pages(kind)[2] + hash, width, scheme, **options)
            page.wait_for_function("took >= 0 && waiting === false")
            return page
        yield open_kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_computes_what_the_package_computes(kind, pages, visit):
    """100 images and 100 codes, by its encoder and its decoder."""
    (vae, images, _), page, rng = pages(kind), visit(kind), np.random.default_rng(7)
    x = images[rng.permutation(300)[:100]].reshape(100, -1)
    x = x / 255 if x.dtype == np.uint8 else x
    z = rng.standard_normal((100, vae.n_latent))
    labels = None if vae.n_classes is None else rng.integers(0, vae.n_classes, 100)
    found = page.evaluate("""([x, z, labels]) => x.map((row, i) => {
        const label = labels && labels[i], q = vae.infer(array([row.length], Float32Array.from(row)), label);
        return { mu: [...q.mu], variance: q.mu.reduce((all, _, j) => [...all, vae.posterior.covariance(q, j, j)], []),
                 x: [...vae.decode(array([vae.n_latent], Float32Array.from(z[i])), label)] }; })""",
                          [x.tolist(), z.tolist(), None if labels is None else labels.tolist()])
    told = {} if labels is None else {"labels": labels}
    mu, logvar = vae.encode(x, **told)
    assert np.abs(np.array([row["mu"] for row in found]) - mu).max() < LEVEL
    assert np.abs(np.log([row["variance"] for row in found]) - logvar).max() < LEVEL
    assert np.abs(np.array([row["x"] for row in found]) - vae.decode(z, **told)).max() < LEVEL


# Its use

@pytest.mark.parametrize("scheme, width", [("light", 1300), ("dark", 1300), ("light", 375), ("dark", 375)])
@pytest.mark.parametrize("kind", ["likelihood bernoulli", "conditional", "latent 1", "latent 50", "colour", "series",
                                  "table"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(kind, scheme, width, visit):
    page = visit(kind, width, scheme)
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", ["conditional", "latent 50", "table"])
def test_every_control_is_reached_by_the_keyboard_and_shows_it(kind, visit):
    page = visit(kind)
    names = walk(page)
    assert len(names) > 15 and set(controls(page)) <= set(names)


def at_rest(page):
    """Wait until what was asked for is drawn, written and told."""
    page.wait_for_timeout(600)
    page.wait_for_function("!waiting")


def code(page):
    return np.array(page.evaluate("[...state.z]"))


def shown(page, selector="#decoded"):
    """The picture on a canvas, as numbers in [0, 1]."""
    address = page.eval_on_selector(selector, "canvas => canvas.toDataURL()")
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(picture)[..., 0].ravel() / 255


def drag(page, selector, *fractions):
    """The mouse, held down, through places given by fractions of the width and the height."""
    box = page.locator(selector).bounding_box()
    places = [(box["x"] + right * box["width"], box["y"] + down * box["height"]) for right, down in fractions]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
    at_rest(page)


KIND = "likelihood bernoulli"


def test_dragging_over_the_map_decodes_the_code_under_the_hand(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    axes, reach, side = page.evaluate("[state.axes, reach, side()]")
    before = code(page)
    drag(page, "#map", (0.5, 0.5), (0.7, 0.4))
    z = code(page)
    unit = reach / (side / 2 - page.evaluate("MARGIN"))
    np.testing.assert_allclose(z[axes], [0.2 * side * unit, 0.1 * side * unit], atol=1.5 * unit)
    others = [i for i in range(4) if i not in axes]
    np.testing.assert_array_equal(z[others], before[others])
    assert np.abs(shown(page) - vae.decode(z[None])[0]).max() < LEVEL
    for i in range(4):
        assert abs(float(page.locator(f"#z{i}").input_value()) - z[i]) < 0.006


def test_a_finger_drags_too(visit):
    page = visit(KIND, 375, has_touch=True, is_mobile=True)
    page.locator("#map").scroll_into_view_if_needed()
    box, before = page.locator("#map").bounding_box(), code(page)
    page.touchscreen.tap(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    at_rest(page)
    assert np.abs(code(page) - before).max() > 0.1
    box, x = page.locator("#pad").bounding_box(), shown(page, "#pad")
    assert box["y"] >= 0 or page.evaluate("scrollTo(0, 0)") is None
    box = page.locator("#pad").bounding_box()
    page.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    at_rest(page)
    assert np.abs(shown(page, "#pad") - x).max() > 0.5
    assert page.locator("#map").evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_arrow_keys_move_the_code_and_home_takes_it_back(visit):
    page = visit(KIND)
    across, up = page.evaluate("state.axes")
    mean = code(page)
    page.locator("#map").focus()
    for key, axis, by in (("ArrowRight", across, 0.1), ("ArrowUp", up, 0.1), ("Shift+ArrowLeft", across, -0.5),
                          ("ArrowDown", up, -0.1)):
        before = code(page)
        page.keyboard.press(key)
        assert abs((code(page) - before)[axis] - by) < 1e-6
    at_rest(page)
    words = page.locator("#said").inner_text()
    assert f"z[{across}] = " in words and words in page.locator("#decoded").get_attribute("aria-label")
    page.keyboard.press("Home")
    at_rest(page)
    np.testing.assert_array_equal(code(page), mean)


def test_a_slider_moves_its_dimension_by_mouse_and_by_keyboard(pages, visit):
    page = visit(KIND)
    order = [int(name[1:]) for name in page.eval_on_selector_all(".slider input", "all => all.map(e => e.id)")]
    kl = page.evaluate("given.kl")
    assert [kl[i] for i in order] == sorted(kl, reverse=True) and sorted(order) == [0, 1, 2, 3]
    before, slider = code(page), page.locator(".slider input").nth(1)
    slider.focus()
    page.keyboard.press("ArrowRight")
    at_rest(page)
    change = code(page) - before
    assert 0.004 < change[order[1]] < 0.016 and np.count_nonzero(change) == 1
    assert slider.get_attribute("aria-valuetext") == f"z[{order[1]}] = {code(page)[order[1]]:.2f}".replace("-", "−")


def test_what_is_drawn_is_what_the_encoder_places(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    drag(page, "#pad", (0.2, 0.2), (0.8, 0.2), (0.8, 0.7))
    x = np.array(page.evaluate("[...state.x]"))
    assert np.abs(shown(page, "#pad") - x).max() < 1e-6 and np.abs(255 * x - np.rint(255 * x)).max() < 1e-4
    drawn = x.reshape(12, 10) > 0.5
    assert drawn[2, 2:8].all() and drawn[3:8, 7].all() and not drawn[4:, :5].any()    # and the example is gone
    mu, logvar = vae.encode(x[None])
    assert np.abs(code(page) - mu).max() < LEVEL
    variance = page.evaluate("[0, 1, 2, 3].map((i) => vae.posterior.covariance(state.q, i, i))")
    assert np.abs(np.log(variance) - logvar).max() < LEVEL
    theta, q = vae.generate(mu), vae.infer(x[None].astype(np.float32))
    nll, kl = map(float, [page.locator("#numbers").inner_text().split()[i].replace("−", "-") for i in (3, 8)])
    assert abs(nll - vae.likelihood.nll(theta, x[None])[0]) < 0.2 and abs(kl - vae.posterior.kl(q, vae.prior)[0]) < 0.1
    page.locator("#erase").check()
    drag(page, "#pad", (0.2, 0.2), (0.8, 0.2))
    assert (np.array(page.evaluate("[...state.x]")).reshape(12, 10)[2, 2:7] < 0.2).all()
    page.locator("#clear").click()
    at_rest(page)
    assert not shown(page, "#pad").any()


def test_a_drawing_is_centred_as_the_images_of_digits_are(pages, visit):
    vae, page = pages("digits")[0], visit("digits")
    before = page.evaluate("[...state.x]")
    page.locator("#clear").click()
    page.locator("#centre").click()    # there is nothing to move
    at_rest(page)
    assert not shown(page, "#pad").any()
    for ways in [((0.1, 0.2), (0.4, 0.2), (0.2, 0.5)), ((0.05, 0.5), (0.95, 0.5), (0.9, 0.95))]:    # small; large
        page.locator("#clear").click()
        drag(page, "#pad", *ways)
        page.locator("#centre").click()
        at_rest(page)
        x = np.array(page.evaluate("[...state.x]")).reshape(28, 28)
        centre = np.array(scipy.ndimage.center_of_mass(x))
        rows, columns = np.nonzero(x > 0.5)
        # as digits of scale 0.88 to 1.02 of 20 pixels lie about the pixel (14, 14)
        assert np.abs(centre - 14).max() < 0.5 and abs(max(np.ptp(rows), np.ptp(columns)) + 1 - 19) <= 1.5
        assert np.abs(code(page) - vae.encode(x.reshape(1, 784))[0]).max() < LEVEL
        assert np.abs(255 * x - np.rint(255 * x)).max() < 1e-4
    page.locator("#images button").first.click()    # a digit hardly changes
    page.locator("#centre").click()
    at_rest(page)
    assert np.abs(np.array(page.evaluate("[...state.x]")) - before).mean() < 0.05


@pytest.mark.parametrize("kind", ["latent 2", "colour", "table"])
def test_nothing_is_centred_where_the_data_are_not(kind, visit):
    assert not visit(kind).locator("#centre").is_visible()


def test_the_pad_by_keyboard(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    page.locator("#clear").click()
    page.locator("#pad").focus()
    for key in ("ArrowUp", "ArrowUp", "Space", "ArrowRight", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    drawn = np.array(page.evaluate("[...state.x]")).reshape(12, 10) > 0.5
    assert sorted(zip(*np.nonzero(drawn))) == [(4, 5), (5, 6), (6, 6), (7, 6)]
    assert page.locator("#said").inner_text() == "row 8, column 7" and page.locator("#cursor").is_visible()
    at_rest(page)
    assert np.abs(code(page) - vae.encode(np.array([page.evaluate("[...state.x]")]))[0]).max() < LEVEL
    page.keyboard.press("Tab")
    assert not page.locator("#cursor").is_visible()


def test_a_colour_is_drawn_in_over_the_picture(visit):
    page = visit("colour")
    before = np.array(page.evaluate("[...state.x]")).reshape(12, 10, 3)
    page.locator("#ink").fill("#00ff00")
    drag(page, "#pad", (0.15, 0.125), (0.35, 0.125))
    after = np.array(page.evaluate("[...state.x]")).reshape(12, 10, 3)
    np.testing.assert_array_equal(after[1, 1:3], [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(after[5:], before[5:])


def test_the_numbers_of_a_row_are_moved(pages, visit):
    vae, page = pages("table")[0], visit("table")
    before = np.array(page.evaluate("[...state.x]"))
    drag(page, "#pad", (0.3, 0.05), (0.31, 0.06))
    after, high = np.array(page.evaluate("[...state.x]")), page.evaluate("given.high")
    assert np.flatnonzero(after != before).tolist() == [1] and 0.7 * high[1] < after[1] < high[1]
    assert np.abs(code(page) - vae.encode(after[None])[0]).max() < LEVEL
    page.locator("#pad").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown"):    # the first one goes to the first number
        page.keyboard.press(key)
    assert page.evaluate("state.x[2]") < after[2] and page.locator("#said").inner_text().startswith("c & d = ")
    at_rest(page)
    assert "b = " in page.locator("#decoded").get_attribute("aria-label")


def test_the_ellipse_lies_where_q_does(visit):
    """Of a correlated q: two standard deviations along each of many directions, against the pixels drawn."""
    page = visit("full")
    page.evaluate("state.z = state.z.map(() => -2.5); state.ends = [state.z, state.z]; show()")
    at_rest(page)
    mean, covariance, axes, reach, side, margin, drawn = page.evaluate("""() => {
        const [i, j] = state.axes, canvas = find("map"), C = (a, b) => vae.posterior.covariance(state.q, a, b);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const inked = Array.from({ length: data.length / 4 }, (_, at) => data[4 * at + 3]);
        return [[state.q.mu[i], state.q.mu[j]], [[C(i, i), C(i, j)], [C(i, j), C(j, j)]], state.axes, reach, side(),
                MARGIN, inked]; }""")
    inked = np.array(drawn).reshape(side, side)
    L = np.linalg.cholesky(covariance)
    for angle in np.linspace(0, 2 * np.pi, 24):
        a, b = mean + 2 * L @ [np.cos(angle), np.sin(angle)]
        x, y = side / 2 + np.array([a, -b]) / reach * (side / 2 - margin)
        if 2 < x < side - 3 and 2 < y < side - 3:
            assert inked[int(y) - 1:int(y) + 3, int(x) - 1:int(x) + 3].max() > 100


def test_from_one_code_to_another(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    a, b = np.array(page.evaluate("state.ends.map((end) => [...end])"))
    assert np.abs(np.array([a]) - vae.encode(np.array([page.evaluate("[...image(0)]")]))[0]).max() < LEVEL
    for i in range(9):
        wanted = vae.decode((a + i / 8 * (b - a))[None])[0]
        assert np.abs(shown(page, f"#between canvas:nth-child({i + 1})") - wanted).max() < LEVEL
    page.locator("#t").focus()
    page.keyboard.press("End")
    at_rest(page)
    np.testing.assert_allclose(code(page), b, atol=1e-6)
    page.locator("#from").click()
    at_rest(page)
    assert np.abs(shown(page, "#between canvas") - vae.decode(b[None])[0]).max() < LEVEL


@pytest.mark.parametrize("kind", ["conditional", "conditional conv"])
def test_the_same_code_as_every_class(kind, pages, visit):
    vae, page = pages(kind)[0], visit(kind)
    drag(page, "#map", (0.5, 0.5), (0.6, 0.4))
    z = code(page)
    assert page.locator("#told button").count() == 12
    for label in range(12):
        wanted = vae.decode(z[None], label)[0]
        assert np.abs(shown(page, f"#told button:nth-child({label + 1}) canvas") - wanted).max() < LEVEL
    page.locator("#told button").nth(3).click()
    at_rest(page)
    np.testing.assert_array_equal(code(page), z)
    assert np.abs(shown(page) - vae.decode(z[None], 3)[0]).max() < LEVEL
    assert page.locator("#told [aria-pressed=true]").inner_text() == "d" and page.locator("#label").input_value() == "3"
    page.locator("#label").select_option("5")
    at_rest(page)
    assert np.abs(code(page) - vae.encode(np.array([page.evaluate("[...state.x]")]), 5)[0]).max() < LEVEL


def test_draws_at_a_press(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    mean = code(page)
    seen = []
    for _ in range(3):
        page.locator("#from-likelihood").click()
        at_rest(page)
        seen.append(shown(page))
        assert set(seen[-1]) <= {0, 1} and page.locator("#what").inner_text().endswith("drawn")
    assert any((one != other).any() for one, other in itertools.pairwise(seen))
    sigma = np.sqrt(page.evaluate("[0, 1, 2, 3].map((i) => vae.posterior.covariance(state.q, i, i))"))
    for button, center, spread in (("#from-q", mean, sigma), ("#from-prior", 0, 1)):
        page.locator(button).click()
        at_rest(page)
        assert 0.01 < np.abs((code(page) - center) / spread).max() < 6
        assert np.abs(shown(page) - vae.decode(code(page)[None])[0]).max() < LEVEL
    page.locator("#mean").click()
    at_rest(page)
    np.testing.assert_array_equal(code(page), mean)


def test_what_was_drawn_stays_until_z_moves(visit):
    page = visit(KIND)
    page.locator("#from-likelihood").click()
    at_rest(page)
    before = shown(page, "#decoded")
    page.locator("#to").click()
    page.set_viewport_size({"width": 1100, "height": 900})
    at_rest(page)
    np.testing.assert_array_equal(shown(page, "#decoded"), before)
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    at_rest(page)
    assert page.locator("#what").inner_text() == "E[x|z]: decoded"


def test_a_second_finger_and_the_browser_s_own_keys_do_nothing(visit):
    page = visit(KIND)
    page.evaluate("""() => {
      const pad = find("pad"), box = pad.getBoundingClientRect();
      pad.dispatchEvent(new PointerEvent("pointerdown", { pointerId: 7, isPrimary: false, button: 0, bubbles: true,
        clientX: box.left + 20, clientY: box.top + 20 }));
    }""")
    page.locator("#map").focus()
    before = page.evaluate("[...state.z]")
    page.keyboard.press("Control+ArrowRight")
    at_rest(page)
    assert page.evaluate("[...state.z]") == before and page.evaluate("state.chosen") == 0


def test_a_picture_from_the_address_is_drawn_over(visit):
    page = visit(KIND, hash="#x=1")
    before = page.evaluate("[...state.x]")
    drag(page, "#pad", (0.1, 0.1), (0.15, 0.1))
    assert np.abs(np.array(page.evaluate("[...state.x]"))[60:] - before[60:]).max() < 1e-6


def test_numbers_that_no_hand_could_give_a_row_are_passed_over(visit):
    for drawn in ("1,2,3,4,1e300", "1e30,0,0,0,0", "1,2"):
        page = visit("table", hash=f"#drawn={drawn}")
        assert page.evaluate("state.chosen") == 0


@pytest.mark.parametrize("width, height", [(667, 375), (1300, 900)])
def test_the_map_leaves_room_to_scroll_the_page(width, height, visit):
    page = visit(KIND, width=width)
    page.set_viewport_size({"width": width, "height": height})
    assert page.locator(".map").bounding_box()["height"] <= 0.86 * height


def test_a_test_image_goes_to_the_pad_and_its_code_to_the_map(pages, visit):
    vae, page = pages(KIND)[0], visit(KIND)
    page.locator("#images button").nth(5).click()
    at_rest(page)
    x = np.array(page.evaluate("[...image(5)]"))
    assert np.abs(shown(page, "#pad") - x).max() < 1e-6 and np.abs(code(page) - vae.encode(x[None])[0]).max() < LEVEL
    assert page.locator("#images [aria-pressed=true]").get_attribute("aria-label") == "Test image 6"
    drag(page, "#pad", (0.1, 0.9), (0.2, 0.9))    # which is drawn over, and then it is none of them
    assert page.locator("#images [aria-pressed=true]").count() == 0
    assert (np.array(page.evaluate("[...state.x]")) == x).mean() > 0.8


def test_the_map_can_show_other_dimensions_and_colours(visit):
    page = visit("latent 50")
    assert page.locator("#unused").is_visible() and page.locator("#used .slider, #unused .slider").count() == 50
    for _ in range(2):    # to the same dimension as the other axis: they part
        other = page.evaluate("String(state.axes[1])")
        page.locator("#across").select_option(other)
        assert page.evaluate("String(state.axes[0])") == other and page.evaluate("new Set(state.axes).size") == 2
    points = "find('points').toDataURL()"
    before = page.evaluate(points)
    assert page.locator("#legend li").all_inner_texts() == ["0", "1", "2"]
    page.locator("#colouring").select_option("1")
    assert page.evaluate(points) != before and page.locator("#legend").inner_text().startswith("place from 0.00383 to ")


def test_the_circle_that_the_text_names_is_seen_over_the_points(visit):
    dark = visit("latent 50").evaluate("""() => {
      const canvas = find("points"), scale = canvas.width / side();
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return [...Array(360).keys()].filter((degree) => {
        const angle = degree * Math.PI / 180;
        const [x, y] = place(2 * Math.cos(angle), 2 * Math.sin(angle)).map((value) => Math.floor(value * scale));
        const [red, green, blue, alpha] = pixels.slice(4 * (y * canvas.width + x), 4 * (y * canvas.width + x + 1));
        return alpha > 200 && red + green + blue < 200;
      }).length / 360;
    }""")
    assert 0.3 < dark < 0.9    # it is dashed


def test_the_address_brings_the_same_page_back(visit):
    page = visit("conditional")
    page.locator("#images button").nth(4).click()
    at_rest(page)
    drag(page, "#map", (0.5, 0.5), (0.6, 0.3))
    page.locator("#to").click()
    page.locator("#told button").nth(7).click()
    page.locator("#across").select_option(page.evaluate("String(state.axes[1])"))
    at_rest(page)
    kept = "[[...state.z], [...state.x], state.label, state.axes, state.chosen, state.ends.map((end) => [...end])]"
    then, hash = page.evaluate(kept), page.evaluate("location.hash")
    now = visit("conditional", hash=hash).evaluate(kept)
    for one, other in zip(now, then):
        np.testing.assert_allclose(np.array(one, float), np.array(other, float), atol=6e-4)
    page.evaluate("location.hash = '#z=1,2,3&class=2'")
    at_rest(page)
    np.testing.assert_allclose(code(page), [1, 2, 3], atol=1e-6)
    assert page.evaluate("state.label") == 2


@pytest.mark.parametrize("kind", ["conditional", "colour", "conv gaussian-learned", "series", "table"])
def test_the_address_brings_a_drawing_back(kind, visit):
    page, kept = visit(kind), "[[...state.x], [...state.z]]"
    drag(page, "#pad", (0.3, 0.2), (0.6, 0.7))
    at_rest(page)
    (x, z), hash = page.evaluate(kept), page.evaluate("location.hash")
    again = visit(kind, hash=hash)
    x_again, z_again = again.evaluate(kept)
    assert page.evaluate("state.chosen") is again.evaluate("state.chosen") is None
    np.testing.assert_allclose(x_again, x, rtol=1e-5, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(z_again, z, atol=6e-4)
    if kind == "conditional":    # bytes, and drawn on where it was left
        assert x_again == x
        drag(again, "#pad", (0.8, 0.8), (0.9, 0.9))
        assert np.count_nonzero(again.evaluate("[...state.x]")) > np.count_nonzero(x)


@pytest.mark.parametrize("hash", [
    "#drawn=", "#drawn=AAAA", "#drawn=%00%ff", f"#drawn={'*' * 64}", "#drawn=1,2,3",
    "#z=1,2", "#z=a,b,c", "#z=1e400,0,0", "#class=99&map=0,0&x=-1&colour=7", "#map=0,9&z=", "#<script>alert(1)</script",
    "#a=%00&b=NaN,NaN,NaN", "#&&&===", "#x=1.5&class=1e9"])
def test_an_address_that_asks_for_nonsense_gives_the_page_as_it_begins(hash, visit):
    kept = "[[...state.z], [...state.x], state.label, state.axes, state.chosen, state.colouring]"
    assert visit("conditional", hash=hash).evaluate(kept) == visit("conditional").evaluate(kept)


@pytest.mark.parametrize("wish, moves", [("reduce", False), ("no-preference", True)])
def test_nothing_moves_by_itself_for_those_who_do_not_want_it(wish, moves, visit):
    page = visit(KIND, reduced_motion=wish)
    page.evaluate("""() => { window.seen = new Set(); const drawn = render;
                             render = () => { drawn(); seen.add(state.z.join()); }; }""")
    page.locator("#images button").nth(3).click()
    at_rest(page)
    assert (page.evaluate("seen.size") > 2) == moves


def test_names_from_the_data_are_text(visit):
    for kind in ("conditional", "table"):
        page = visit(kind)
        assert page.locator("#explorer b").count() == 0
    assert visit("conditional").locator("#told button").first.inner_text() == EVIL[:18] + "..."


def test_without_javascript_it_says_so(visit, pages, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages(KIND)[2])
    assert "switched off" in page.locator("noscript").inner_text() and not page.locator("#explorer").is_visible()
    context.close()


def test_a_moved_code_is_drawn_well_within_a_frame_of_the_screen(browser, tmp_path):
    """The dense model 784-400-20: 60 pictures a second leave 16.7 ms for each."""
    rng = np.random.default_rng(0)
    vae, (images, _) = nv.VAE.dense(784, (400,), 20, rng=rng), nv.datasets.load_strokes("test")
    (tmp_path / "page.html").write_text(explorer(vae, images), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto((tmp_path / "page.html").as_uri())
    took = page.evaluate("""() => Array.from({ length: 200 }, (_, i) => {
        const start = performance.now();
        state.z = state.z.map((value) => value + 0.01 * Math.sin(i));
        render();
        return performance.now() - start; })""")
    assert np.median(took) < 8
