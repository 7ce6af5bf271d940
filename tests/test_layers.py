import numpy as np
import pytest

import numpyvae as nv
from numpyvae.nn.layers import INITS, Dense, Flatten, Reshape, Sequential
from numpyvae.nn.networks import dense_stack


def test_dense_is_activation_of_affine(rng):
    layer = Dense(4, 3, "tanh", rng=rng, dtype=np.float64)
    x = rng.normal(size=(5, 4))
    np.testing.assert_allclose(layer.forward(x), np.tanh(x @ layer.params["W"] + layer.params["b"]), rtol=1e-14)


def test_backward_overwrites_grads_and_leaves_its_argument(rng):
    layer = Dense(4, 3, "relu", rng=rng, dtype=np.float64)
    x, dy = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    before = dy.copy()
    layer.forward(x)
    dx = layer.backward(dy).copy()
    dW = layer.grads["W"].copy()
    layer.forward(x)
    np.testing.assert_array_equal(layer.backward(dy), dx)
    np.testing.assert_array_equal(layer.grads["W"], dW)
    np.testing.assert_array_equal(dy, before)


def test_no_dx_where_nobody_needs_it(rng):
    stack = Sequential([Dense(4, 3, rng=rng), Dense(3, 2, rng=rng)])
    stack.forward(np.ones((5, 4), np.float32))
    assert stack.backward(np.ones((5, 2), np.float32), need_dx=False) is None
    assert stack.backward(np.ones((5, 2), np.float32)).shape == (5, 4)
    without_weights = Sequential([Reshape((2, 2, 1)), Flatten()])
    without_weights.forward(np.ones((5, 4)))
    assert without_weights.backward(np.ones((5, 4)), need_dx=False) is None


def test_an_empty_stack_is_the_identity(rng):
    x = rng.normal(size=(2, 3))
    stack = Sequential([])
    assert stack.forward(x) is x
    assert stack.backward(x) is x


@pytest.mark.parametrize("init, half_width", [
    ("fan-in", 1 / 20), ("glorot", (6 / 700) ** 0.5), ("he", (6 / 400) ** 0.5)])
def test_first_weights_fill_the_interval_that_the_name_promises(init, half_width, rng):
    W = Dense(400, 300, init=init, rng=rng).params["W"]
    assert abs(W).max() <= half_width
    assert abs(W).max() > 0.999 * half_width
    assert W.std() == pytest.approx(half_width / 3**0.5, rel=0.01)


def test_biases_start_at_zero_unless_fan_in(rng):
    assert not Dense(9, 5, init="glorot", rng=rng).params["b"].any()
    assert abs(Dense(9, 5, init="fan-in", rng=rng).params["b"]).max() <= 1 / 3


def test_stack_has_its_last_activation_only_at_the_end(rng):
    stack = dense_stack([5, 4, 3, 2], "relu", "identity", rng=rng)
    assert [layer.activation for layer in stack.layers] == ["relu", "relu", "identity"]


@pytest.mark.parametrize("arguments, named", [
    (dict(n_in=0, n_out=3), "n_in is 0"),
    (dict(n_in=3, n_out=2.5), "n_out is 2.5"),
    (dict(n_in=3, n_out=2, activation="swish"), "activation is 'swish'.*'relu'"),
    (dict(n_in=3, n_out=2, init="zeros"), "init is 'zeros'.*'glorot'"),
])
def test_a_wrong_argument_is_named(arguments, named, rng):
    with pytest.raises(ValueError, match=named):
        Dense(**arguments, rng=rng)


def test_every_init_is_offered_by_the_model(rng):
    for init in INITS:
        nv.VAE.dense(6, (4,), 2, init=init, rng=rng)
