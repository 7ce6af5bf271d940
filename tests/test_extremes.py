"""At the limits of floating point: a training step is finite, or the run stops with a clear message.

Whatever is finite here is so by design: the losses are written with softplus and logsumexp, in nats, from logits.
"""
import contextlib

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models.likelihoods import LIKELIHOODS

MODELS = {"VAE": nv.VAE, "FullCovarianceVAE": nv.FullCovarianceVAE, "Autoencoder": nv.Autoencoder}
SIZE = 4    # height and width of an image
LARGEST = float(np.finfo(np.float32).max)

every_model = pytest.mark.parametrize("kind", MODELS)
every_likelihood = pytest.mark.parametrize("likelihood", LIKELIHOODS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_mode = pytest.mark.parametrize("mode", [nv.kernels_off, contextlib.nullcontext])


def model(kind, likelihood, dtype=np.float32):
    return MODELS[kind].dense(SIZE**2, (6,), 2, likelihood, rng=np.random.default_rng(0), dtype=dtype)


@pytest.fixture
def x(rng):
    return rng.integers(0, 256, (5, SIZE**2)) / 255


def is_finite(vae, x):
    """One step's loss and gradient."""
    with np.errstate(over="ignore"):
        terms = vae.loss_and_grad(x.astype(vae.dtype), *vae.noise(len(x), np.random.default_rng(0)))
    return np.isfinite(terms).all() and np.isfinite(vae.parameters.grads).all()


def outputs(vae):
    """The decoder's biases: logits or means, and after them the logarithms of the scales where they are learned."""
    if vae.likelihood.shared_logvar:
        means, logvar = vae.decoder.layers[-2:]
        return means.params["b"], logvar.params["logvar"]
    bias = vae.decoder.layers[-1].params["b"]
    return np.split(bias, vae.likelihood.outputs_per_pixel)


@every_mode
@every_dtype
@every_likelihood
@every_model
def test_a_step_from_weights_of_zero_is_finite(kind, likelihood, dtype, mode, x):
    vae = model(kind, likelihood, dtype)
    vae.parameters.values[:] = 0
    with mode():
        assert is_finite(vae, x)


@every_mode
@every_dtype
@pytest.mark.parametrize("value", [-1e4, 1e4])
@every_likelihood
@every_model
def test_logits_and_means_of_ten_thousand(kind, likelihood, value, dtype, mode, x):
    vae = model(kind, likelihood, dtype)
    outputs(vae)[0][:] = value
    with mode():
        assert is_finite(vae, x)


@every_mode
@every_dtype
@pytest.mark.parametrize("value", [-80.0, 80.0])
@pytest.mark.parametrize("likelihood", [name for name in LIKELIHOODS if LIKELIHOODS[name].outputs_per_pixel == 2])
@every_model
def test_a_learned_scale_s_logarithm_of_eighty(kind, likelihood, value, dtype, mode, x):
    vae = model(kind, likelihood, dtype)
    outputs(vae)[1][:] = value
    with mode():
        assert is_finite(vae, x)


@every_mode
@every_dtype
@pytest.mark.parametrize("value", [-80.0, 80.0])
@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous-bernoulli", "gaussian"])
@pytest.mark.parametrize("kind", ["VAE", "FullCovarianceVAE"])
def test_a_log_variance_of_eighty(kind, likelihood, value, dtype, mode, x):
    vae = model(kind, likelihood, dtype)
    vae.posterior.logvar_head.params["b"][:] = value
    with mode():
        assert is_finite(vae, x)


@every_mode
@pytest.mark.parametrize("pixel", [0, 128, 255])
@every_likelihood
@every_model
def test_constant_images_one_image_and_batches_of_one(kind, likelihood, pixel, mode):
    constant = np.full((3, SIZE, SIZE), pixel, np.uint8)
    with mode():
        for images in constant, constant[:1]:
            vae, rng = model(kind, likelihood), np.random.default_rng(0)
            records = list(nv.fit(vae, images, validation=images, optimizer=nv.Adam(), epochs=3, batch_size=1, rng=rng))
            assert np.isfinite([record.validation for record in records]).all()
            assert np.isfinite(vae.parameters.values).all()


@every_mode
@every_likelihood
@every_model
def test_float32_s_largest_number_stops_the_run(kind, likelihood, mode, rng):
    """A weight of 3e38 overflows the loss: the run stops, says so, and keeps the weights."""
    vae = model(kind, likelihood)
    for bias in outputs(vae):
        bias[:] = -LARGEST
    before = vae.parameters.values.copy()
    images = rng.integers(0, 256, (5, SIZE, SIZE), np.uint8)
    with mode(), np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="the loss is (inf|nan) in epoch 1"):
        list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=5, rng=rng))
    np.testing.assert_array_equal(vae.parameters.values, before)


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian-learned"])
def test_pixels_of_float32_s_largest_number_stop_the_run(likelihood, rng):
    vae = model("VAE", likelihood)
    images = np.full((5, SIZE, SIZE), LARGEST, np.float32)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="standardise the columns"):
        list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=5, rng=rng))


@every_mode
def test_numbers_too_small_for_float32_do_no_harm(mode, x):
    """Weights below float32's smallest normal number act as zero."""
    vae = model("VAE", "bernoulli")
    vae.parameters.values[:] = 1e-42
    with mode():
        assert is_finite(vae, x)


@every_mode
@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_and_its_slope_are_finite_for_any_input(activation, dtype, mode):
    """The slope of each lies between -1 and 2, also where a square or a cube of the input has overflowed."""
    layer = nv.Dense(1, 1, activation, rng=np.random.default_rng(0), dtype=dtype)
    layer.params["W"][:], layer.params["b"][:] = 1, 0
    sizes = 10.0 ** np.arange(-30, 31)
    x = np.concatenate([-sizes, sizes])[:, None].astype(dtype)
    with mode(), np.errstate(over="ignore"):
        assert np.isfinite(layer.forward(x)).all()
        dx = layer.backward(np.ones_like(x))
    assert (-1 <= dx).all() and (dx <= 2).all()
