"""repr and print of a model, also of one with somebody's own parts; and the README's five lines."""
import copy
import pathlib
import re

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.gradcheck.models import model_examples
from numpyvae.models.likelihoods import Bernoulli
from numpyvae.models.posteriors import DiagonalGaussian

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = {name: make for name, make in model_examples() if "beta=0" not in name}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_model_is_described_in_a_line_and_in_a_table(name):
    model = EXAMPLES[name]().model
    line, (title, _, *rows) = repr(model), str(model).splitlines()
    assert "\n" not in line and line.startswith(type(model).__name__)
    assert f"{model.n_data} -> {model.n_latent}" in line and f"{len(model.parameters):,} weights of float64" in line
    kind = "conditional VAE" if model.n_classes is not None else type(model).__name__
    assert title == f"{kind} of {model.n_data} numbers, with {model.n_latent} latent dimensions"
    layers = dict(model.named_layers())
    table = {row.split()[0]: row for row in rows}
    for layer in layers:
        n = sum(p.size for p in layers[layer].params.values())
        assert re.search(rf"\(B, [0-9, ]+\) +{n:,}$", table[layer]), table[layer]
    assert model.likelihood.name.replace("-", "") in table["likelihood"].lower()
    assert table["total"].endswith(f"{len(model.parameters):,} weights of float64")
    assert hasattr(model, "beta") == ("beta" in table) and (model.n_classes is not None) == ("n_classes" in table)
    assert max(map(len, [title, *rows])) <= 80


def test_the_shapes_are_those_of_the_layers(rng):
    vae = nv.VAE.conv((5, 7, 2), (3,), 4, 2, "gaussian", sigma=0.5, rng=rng)
    words = str(vae)
    for one in ("encoder.0    Reshape                    (B, 5, 7, 2)        0", "(B, 3, 4, 3)       57", "(B, 36)",
                "Gaussian(sigma=0.5)", "DiagonalGaussian(n_hidden=4, n_latent=2, init='fan-in')"):
        assert one in words, words
    assert repr(vae.encoder.layers[1]).startswith("Conv2d(n_in=2, n_out=3, ")
    assert repr(nv.VAE.dense(4, (), 2, beta=2.5, rng=rng)) == (
        "VAE(4 -> 2, DiagonalGaussian, Bernoulli, beta=2.5, 32 weights of float32)")


class Bad:
    """A layer of somebody's own in which everything goes wrong but its weights."""

    n_in = 4

    def __init__(self, *sizes, **options):
        self.params, self.grads = {"g": np.ones(3, np.float32)}, {"g": np.ones(3, np.float32)}

    def forward(self, x):
        raise RuntimeError("not so")

    backward = forward

    def __repr__(self):
        raise RuntimeError("no name")


def test_parts_of_one_s_own_and_half_made_objects_never_raise(rng):
    vae = nv.VAE(nv.Sequential([Bad(), nv.Dense(4, 3, rng=rng)]), DiagonalGaussian(3, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 4, rng=rng)]), Bernoulli())
    assert re.search(r"encoder.0 +Bad +\? +3\n", str(vae)) and re.search(r"encoder.1 .*\? +15\n", str(vae))
    assert repr(vae) and repr(vae.encoder).startswith("Sequential(")
    for kind in (nv.VAE, nv.Autoencoder, nv.Dense, nv.Sequential, DiagonalGaussian, Bernoulli):
        assert kind.__name__ in repr(kind.__new__(kind)) and kind.__name__ in str(kind.__new__(kind))
    half = nv.VAE.__new__(nv.VAE)
    for name, value in vars(vae).items():    # as far as a constructor may have come
        setattr(half, name, value)
        assert repr(half) and str(half)
    vae.beta = vae.likelihood = vae.posterior = None
    assert repr(vae) and str(vae)


def test_printing_changes_nothing_between_forward_and_backward(rng):
    vae = nv.VAE.dense(6, (4,), 2, rng=rng)
    x, eps = rng.random((3, 6)), rng.standard_normal((3, 2))
    vae.forward(*vae.check_batch(x, eps, None)[:2])
    layer = vae.encoder.layers[0]
    before = copy.deepcopy((layer.x, layer.y))
    str(vae)
    np.testing.assert_array_equal(layer.x, before[0])
    np.testing.assert_array_equal(layer.y, before[1])


@pytest.mark.parametrize("kind", [nv.ConditionalVAE, nv.FullCovarianceVAE])
def test_what_only_makes_vaes_has_no_objects(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__} has no objects.*expected {kind.__name__}.dense"):
        kind()
    with pytest.raises(TypeError, match="no objects of its own"):
        kind(784, rng=0)


# The five lines

def five_lines(text):
    lines = [line.strip() for line in text.splitlines()]
    first = next(i for i, line in enumerate(lines) if line.startswith("encoder = "))
    return lines[first:first + 5]


@pytest.mark.parametrize("text", [README, nv.VAE.__doc__], ids=["README", "docstring"])
def test_five_lines_make_a_vae_of_one_s_own_layers(text, rng, tmp_path):
    lines = five_lines(text)
    assert lines == five_lines(README) and lines[-1].startswith("vae = nv.VAE(")
    space = {"nv": nv, "rng": rng}
    exec("\n".join(lines), space)
    vae = space["vae"]
    images = rng.integers(0, 256, (20, 28, 28), np.uint8)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=10, rng=rng))
    assert records[1].loss < records[0].loss and "encoder.0" in str(vae)
    vae.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(nv.load(tmp_path / "model.npz").reconstruct(images), vae.reconstruct(images))
