import contextlib
import types

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.nn.layers import (INITS, Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar, at_most,
                                check_upstream, expect)
from numpyvae.nn.networks import dense_stack


def test_dense_is_activation_of_affine(rng):
    layer = Dense(4, 3, "tanh", rng=rng, dtype=np.float64)
    x = rng.normal(size=(5, 4))
    np.testing.assert_allclose(layer.forward(x), np.tanh(x @ layer.params["W"] + layer.params["b"]), rtol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dense_layer_has_the_gradients_of_what_it_computes(activation, rng):
    """Along one direction for x, W and b each, by the complex step."""
    layer = Dense(4, 3, activation, rng=rng, dtype=np.complex128)
    x, dy = rng.normal(size=(5, 4)).astype(complex), rng.normal(size=(5, 3)).astype(complex)
    y = layer.forward(x).copy()
    np.testing.assert_allclose(y, ACTIVATIONS[activation].f(x @ layer.params["W"] + layer.params["b"]), rtol=1e-14)
    gradients = [(x, layer.backward(dy).copy()),
                 *((layer.params[name], layer.grads[name].copy()) for name in layer.params)]
    for value, gradient in gradients:
        direction = rng.normal(size=value.shape)
        value += 1e-20j * direction
        slope = np.sum(dy.real * layer.forward(x).imag) / 1e-20
        value -= 1e-20j * direction
        assert slope == pytest.approx(np.sum(gradient.real * direction), rel=1e-12)


def test_rows_of_another_size_are_refused_by_the_layer_that_gets_them(rng):
    with pytest.raises(ValueError, match=r"^x has shape \(5, 3\); expected \(B, 4\)"):
        Dense(4, 3, rng=rng).forward(np.ones((5, 3), np.float32))
    with pytest.raises(ValueError, match=r"^x has shape \(5, 3\); expected \(B, 4\)"):
        Reshape((2, 2)).forward(np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"^x has shape \(5, 3\); expected \(B, height, width, channels\)"):
        Flatten().forward(np.ones((5, 3)))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_flatten_writes_one_group_after_the_other_and_backward_puts_them_back(groups, rng):
    layer, x = Flatten(groups), rng.normal(size=(2, 3, 4, 6))
    parts = np.split(x, groups, axis=3)
    np.testing.assert_array_equal(layer.forward(x), np.hstack([part.reshape(2, -1) for part in parts]))
    np.testing.assert_array_equal(layer.backward(layer.y.copy()), x)
    with pytest.raises(ValueError, match=r"channels in 4 equal groups"):
        Flatten(4).forward(rng.normal(size=(4, 4, 4, 6)))


def test_flatten_copies_only_what_moves_and_always_to_the_same_place(rng):
    x = rng.normal(size=(2, 3, 4, 6))
    assert np.shares_memory(Flatten(1).forward(x), x)
    layer = Flatten(2)
    assert np.shares_memory(layer.forward(x), layer.forward(x + 1))


def test_reshape_makes_pictures_of_rows_and_backward_puts_them_back(rng):
    layer, x = Reshape((2, 3, 4)), rng.normal(size=(5, 24))
    assert layer.n_in == 24
    np.testing.assert_array_equal(layer.forward(x), x.reshape(5, 2, 3, 4))
    np.testing.assert_array_equal(layer.backward(layer.y.copy()), x)


def test_the_shared_logvar_stands_behind_every_mean_and_its_gradient_is_summed(rng):
    layer, x = SharedLogvar(3, dtype=np.float64), rng.normal(size=(4, 3))
    assert (layer.n_in, layer.n_out) == (3, 6) and layer.params["logvar"] == 0
    layer.params["logvar"][:] = -1.3
    np.testing.assert_array_equal(layer.forward(x), np.hstack([x, np.full((4, 3), -1.3)]))
    dy = rng.normal(size=(4, 6))
    np.testing.assert_array_equal(layer.backward(dy), dy[:, :3])
    assert layer.grads["logvar"] == pytest.approx([dy[:, 3:].sum()])
    assert layer.backward(2 * dy, need_dx=False) is None
    assert layer.grads["logvar"] == pytest.approx([2 * dy[:, 3:].sum()])
    with pytest.raises(ValueError, match=r"x has shape \(4, 2\); expected \(B, 3\)"):
        layer.forward(x[:, :2])
    assert Sequential([layer]).n_out == 6
    with at_most(1):
        SharedLogvar(3)
        with pytest.raises(ValueError, match="more weights than it holds"):
            SharedLogvar(3)


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


def test_first_weights_are_the_generator_s_next_draws():
    """So that a seed gives the same model in every version."""
    params = Dense(4, 3, rng=np.random.default_rng(5), dtype=np.float64).params
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(params["W"], rng.uniform(-1 / 2, 1 / 2, (4, 3)))
    np.testing.assert_array_equal(params["b"], rng.uniform(-1 / 2, 1 / 2, 3))


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


@pytest.mark.parametrize("value, shape, dtype, error", [
    (np.ones((2, 3)), ("B", 3), float, None),
    (np.ones((2, 3)), (2, 3), float, None),
    (np.ones((2, 3, 4)), ("B", "height", 4), float, None),
    (np.ones((2, 3), np.float32), ("B", 3), float, None),
    (np.ones((2, 3)), ("B", 3), complex, None),
    (np.ones((2, 3), complex), ("B", 3), complex, None),
    (np.ones((2, 3), np.complex64), ("B", 3), complex, None),
    (np.ones((2, 3)).view(np.matrix), ("B", 3), float, None),
    (np.ones((2, 3), np.uint8), ("B", 3), None, None),
    (np.ones((2, 3), bool), ("B", 3), None, None),
    (np.ones((2, 3), complex), ("B", 3), float, TypeError),
    (np.ones((2, 3), int), ("B", 3), float, TypeError),
    (np.ones((2, 3), int), ("B", 3), complex, TypeError),
    (np.full((2, 3), "a"), ("B", 3), None, TypeError),
    ([[1.0, 2.0, 3.0]], ("B", 3), None, TypeError),
    (np.ones((2, 4)), ("B", 3), float, ValueError),
    (np.ones((2, 3)), (4, 3), float, ValueError),
    (np.ones((2, 3, 5)), ("B", "height", 4), float, ValueError),
    (np.ones((2, 3, 4)), ("B", 3), float, ValueError),
    (np.ones((2, 4, 3)), ("B", 3), float, ValueError),
    (np.ones((2, 4)), ("B", "height", 4), float, ValueError),
    (np.ones(3), ("B", 3), float, ValueError),
    (np.ones((0, 3)), ("B", 3), float, ValueError),
])
def test_a_layer_takes_rows_of_its_size_and_no_others(value, shape, dtype, error):
    with contextlib.nullcontext() if error is None else pytest.raises(error, match="^x "):
        expect("x", value, shape, None if dtype is None else np.dtype(dtype))


@pytest.mark.parametrize("y, dy, need_dx, error", [
    (np.ones((2, 3)), np.ones((2, 3)), True, None),
    (np.ones((2, 3)), np.ones((2, 3)), np.False_, None),
    (np.ones((2, 3)), np.ones((2, 3), np.float32), True, None),
    (np.ones((2, 3)), np.ones((2, 3)).view(np.matrix), True, None),
    (np.ones((2, 3), complex), np.ones((2, 3)), True, None),
    (np.ones((2, 3)), np.ones((2, 3), complex), True, TypeError),
    (np.ones((2, 3)), np.ones((2, 3), int), True, TypeError),
    (np.ones((2, 3)), [[1.0, 1.0, 1.0]] * 2, True, TypeError),
    (np.ones((2, 3)), np.ones((2, 4)), True, ValueError),
    (np.ones((2, 3)), np.ones((3, 3)), True, ValueError),
    (np.ones((2, 3)), np.ones((2, 3)), 1, ValueError),
    (np.ones((2, 3)), np.ones((2, 3)), None, ValueError),
    (None, np.ones((2, 3)), True, ValueError),
    (None, None, True, ValueError),
])
def test_a_layer_takes_a_gradient_like_its_output_and_no_other(y, dy, need_dx, error):
    layer = types.SimpleNamespace() if y is None else types.SimpleNamespace(y=y)
    with contextlib.nullcontext() if error is None else pytest.raises(error, match="^(dy|need_dx|backward) "):
        check_upstream(layer, dy, need_dx)


def test_layers_may_have_as_many_weights_in_all_as_is_said(rng):
    with at_most(100):
        Dense(9, 9, rng=rng), Dense(4, 2, rng=rng)    # 90 and 10
        with pytest.raises(ValueError, match="its parts need more weights than it holds"):
            Dense(1, 1, rng=rng)
    with at_most(1000):
        Dense(9, 9, rng=rng)
        with pytest.raises(ValueError, match="its parts need more weights than it holds"):
            Dense(6, 131, rng=rng)    # 917, of the 910 that are left
    with at_most(99), pytest.raises(ValueError, match="its parts need more weights than it holds"):
        Dense(9, 10, rng=rng)
    Dense(99, 99, rng=rng)    # and none is counted outside


def test_a_label_is_channels_that_are_the_same_at_every_pixel(rng):
    layer, x = ReshapeLabelled((2, 3, 2), 4), rng.standard_normal((5, 16))
    y = layer.forward(x)
    np.testing.assert_array_equal(y[..., :2], x[:, :12].reshape(5, 2, 3, 2))
    np.testing.assert_array_equal(y[..., 2:], np.tile(x[:, None, None, 12:], (1, 2, 3, 1)))
    with pytest.raises(ValueError, match="x has shape"):
        layer.forward(x[:, :15])


def test_before_the_first_backward_pass_the_gradients_are_zero(rng):
    layer = Dense(3, 2, rng=rng)
    assert set(layer.grads) == {"W", "b"} and not any(grad.any() for grad in layer.grads.values())


def test_a_stack_is_its_layers_one_after_another(rng):
    layers = [Dense(3, 4, "tanh", rng=rng, dtype=np.float64), Dense(4, 2, rng=rng, dtype=np.float64)]
    stack, x = Sequential(layers), rng.standard_normal((5, 3))
    first, second = (layer.params for layer in layers)
    expected = np.tanh(x @ first["W"] + first["b"]) @ second["W"] + second["b"]
    np.testing.assert_allclose(stack.forward(x), expected, rtol=1e-12)
    assert (stack.n_in, stack.n_out) == (3, 2) and Sequential([]).n_in is Sequential([]).n_out is None


def test_dense_layers_that_do_not_follow_one_another_are_refused(rng):
    with pytest.raises(ValueError, match=r"Dense\(n_in=6, .* before Dense\(n_in=5, .*; expected a Dense that takes 4"):
        Sequential([Dense(6, 4, rng=rng), Dense(5, 5, rng=rng)])
    Sequential([Dense(6, 4, rng=rng), Reshape((2, 2, 1)), Flatten(), Dense(4, 5, rng=rng)])
