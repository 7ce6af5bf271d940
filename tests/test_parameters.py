import numpy as np
import pytest

import numpyvae as nv


@pytest.fixture
def vae(rng):
    return nv.VAE.dense(7, (5,), 3, rng=rng, dtype=np.float64)


def test_names_follow_the_data(vae):
    assert vae.parameters.names == [
        "encoder.0.W", "encoder.0.b", "mu_head.W", "mu_head.b", "logvar_head.W", "logvar_head.b",
        "decoder.0.W", "decoder.0.b", "decoder.1.W", "decoder.1.b"]


def test_values_are_the_layers_own_weights(vae):
    vae.parameters.values[:] = np.arange(len(vae.parameters))
    assert vae.encoder.layers[0].params["W"][0, 1] == 1
    vae.decoder.layers[1].params["b"][-1] = -1
    assert vae.parameters.values[-1] == -1
    assert np.shares_memory(vae.parameters["mu_head.W"], vae.posterior.mu_head.params["W"])
    assert np.shares_memory(vae.parameters.grad("mu_head.W"), vae.posterior.mu_head.grads["W"])


def test_locate_names_the_entry(vae):
    index = 7 * 5 + 5 + 4    # encoder.0 has 7*5 weights and 5 biases; then the fifth weight of mu_head (5, 3)
    assert vae.parameters.locate(index) == ("mu_head.W", (1, 1))
    with pytest.raises(ValueError, match="expected 0 to"):
        vae.parameters.locate(len(vae.parameters))


def test_an_unknown_name_lists_the_known_ones(vae):
    with pytest.raises(ValueError, match="encoder.0.W"):
        vae.parameters["encoder.9.W"]


def test_a_copy_in_another_dtype_shares_nothing(vae):
    copy = vae.astype(np.complex128)
    assert copy.dtype == np.complex128
    np.testing.assert_array_equal(copy.parameters.values.real, vae.parameters.values)
    copy.parameters.values += 1
    assert not np.allclose(copy.parameters.values.real, vae.parameters.values)
    assert np.shares_memory(copy.parameters.values, copy.posterior.mu_head.params["W"])


def test_layers_without_weights_are_refused():
    with pytest.raises(ValueError, match="the layers hold no weights; expected at least one layer that has some"):
        nv.Parameters([("a", nv.Reshape((2, 2)))])
