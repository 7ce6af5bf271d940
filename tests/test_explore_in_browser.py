"""The page to play with in a real browser: its model computes what the package computes, and people can use it by
mouse, by keyboard and by touch, in light and in dark mode, without a network.  `.ci/browser` installs what this needs.
"""
import functools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models.likelihoods import LIKELIHOODS, make_likelihood
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, SharedLogvar
from numpyvae.report.explore import explorer, source

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
    import json

    from numpyvae.models.tree import tree_of
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
    list(nv.fit(vae, images, optimizer=nv.Adam(lr=3e-3), epochs=15, batch_size=50, rng=rng, **labels))
    return vae, images, told


KINDS = [*(f"likelihood {name}" for name in LIKELIHOODS), *(f"activation {name}" for name in ACTIVATIONS), "conv",
         "conv gaussian-learned", "conv gaussian-shared", "conditional", "conditional conv", "full", "full conv",
         "latent 1", "latent 2", "latent 50", "linear", "colour", "colour conv", "series", "table"]


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
    """Open a page as somebody may have set up their browser; it fails if it asks the network or complains."""
    contexts = []

    def open_page(kind, width=1300, scheme="light", hash="", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True,
                                      **options)
        page = context.new_page()
        contexts.append((context, complaints := []))
        page.on("request", lambda request: complaints.append(request.url) if request.url[:5] != "file:" else None)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(pages(kind)[2] + hash)
        page.wait_for_function("took >= 0 && waiting === false")
        return page
    yield open_page
    for context, complaints in contexts:
        context.close()
        assert complaints == []


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
