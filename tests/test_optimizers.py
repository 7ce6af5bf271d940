import contextlib

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.kernels.adam import NEGLIGIBLE
from numpyvae.training import optimizers


class Quadratic:
    """Stands in for Parameters: the loss is sum(scale * values**2) / 2."""

    def __init__(self, dtype=np.float64):
        self.values = np.array([1.0, -2.0, 3.0], dtype)
        self.scale = np.array([1.0, 10.0, 0.1], dtype)

    @property
    def grads(self):
        return self.scale * self.values


@pytest.mark.parametrize("optimizer, steps", [(nv.SGD(0.1), 600), (nv.Momentum(0.02), 600), (nv.Adam(0.05), 600)])
def test_each_finds_the_minimum(optimizer, steps):
    parameters = Quadratic()
    for _ in range(steps):
        optimizer.step(parameters)
    assert abs(parameters.values).max() < 0.02


def test_momentum_accumulates():
    parameters, grad = Quadratic(), np.array([1.0, -20.0, 0.3])
    optimizer = nv.Momentum(lr=0.1, momentum=0.5)
    parameters.scale = np.zeros(3)
    optimizer.velocity = grad.copy()
    optimizer.step(parameters)      # the gradient is gone: half the velocity is left
    np.testing.assert_allclose(parameters.values, np.array([1.0, -2.0, 3.0]) - 0.1 * 0.5 * grad)


def test_adam_takes_a_first_step_of_lr_whatever_the_scale():
    for scale in (1e-3, 1.0, 1e3):
        parameters = Quadratic()
        parameters.scale *= scale
        nv.Adam(lr=0.01).step(parameters)
        np.testing.assert_allclose(parameters.values, [0.99, -1.99, 2.99], atol=1e-6)


def test_adam_follows_the_paper_line_by_line(rng):
    """Algorithm 1 of Kingma & Ba, written out for one weight."""
    class Given:
        values, grads = np.array([0.7]), np.zeros(1)

    parameters, optimizer = Given(), nv.Adam(lr=0.01, beta1=0.8, beta2=0.95, eps=1e-3)
    w, m, v = 0.7, 0.0, 0.0
    for t in range(1, 20):
        g = float(rng.normal())
        parameters.grads = np.array([g])
        optimizer.step(parameters)
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g * g
        w -= 0.01 * (m / (1 - 0.8**t)) / ((v / (1 - 0.95**t)) ** 0.5 + 1e-3)
        assert parameters.values[0] == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])
def test_adam_forgets_a_gradient_that_is_gone(kernels):
    """A mean stuck among float32's subnormal numbers would slow every step to come."""
    parameters = Quadratic(np.float32)
    adam = nv.Adam(lr=0.01, beta2=0.95)
    with kernels():
        adam.step(parameters)
        parameters.scale[0] = 0    # as behind a ReLU that no image activates
        for _ in range(2000):
            adam.step(parameters)
            assert not ((0 < abs(adam.mean[:1])) & (abs(adam.mean[:1]) < np.finfo(np.float32).tiny)).any()
    assert adam.mean[0] == adam.square[0] == 0
    assert adam.square[1:].all()


def test_adam_keeps_the_means_of_the_gradient_and_of_its_square():
    parameters, adam = Quadratic(), nv.Adam(lr=0.01, beta1=0.8, beta2=0.95)
    assert adam.mean is adam.square is None and adam.t == 0
    adam.step(parameters)
    grads = np.array([1.0, -20.0, 0.3])
    np.testing.assert_allclose(adam.mean, 0.2 * grads, rtol=1e-12)
    np.testing.assert_allclose(adam.square, 0.05 * grads**2, rtol=1e-12)


@pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])
def test_adam_works_in_place_on_every_block_of_weights(kernels, rng):
    values, grads = rng.standard_normal((2, 2 * optimizers.BLOCK + 5))
    right, mean, square = values.copy(), np.zeros_like(values), np.zeros_like(values)
    with kernels():
        returned = optimizers.adam(values, grads, mean, square, 0.1, 0.2, 0.3, 0.4, 0.5, 1e-3)
    assert returned is values
    np.testing.assert_allclose(mean, 0.2 * grads, rtol=1e-12)
    np.testing.assert_allclose(square, 0.3 * grads**2, rtol=1e-12)
    expected = right - 0.1 * mean / 0.4 / (np.sqrt(square / 0.5) + 1e-3)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernels", [contextlib.nullcontext, nv.kernels_off])
@pytest.mark.parametrize("mean, square, grad, left", [    # in units of what is negligible
    (1.0, 1.0, 0.0, (0, 0)), (-1.0, 1.0, 0.0, (0, 0)), (0.0, 0.3, 0.0, (0, 0)), (0.01, 0.01, 0.0, (0, 0)),
    (1.02, 1.0, 0.0, (1.02, 1)), (-1.02, 0.3, 0.0, (-1.02, 0.3)), (0.0, 1.02, 0.0, (0, 1.02)),
    (0.3, 1.02, 0.0, (0, 1.02)), (0.3, 0.3, 0.7, (0.3, 0.3)), (0.3, 1.02, 0.7, (0.3, 1.02))])
def test_a_mean_vanishes_where_it_is_negligible_and_its_gradient_is_gone(mean, square, grad, left, kernels, dtype):
    """The mean first, and its square only after it: with rates of 0 the two stay as they are otherwise."""
    unit = NEGLIGIBLE * np.finfo(dtype).tiny
    values, means, squares, grads = (np.array([number], dtype) for number in (
        1.0, mean * unit, square * unit, grad))
    kept = [dtype(number * unit) for number in left]
    with kernels():
        optimizers.adam(values, grads, means, squares, *map(dtype, (0.1, 0, 0, 1, 1, 1e-8)))
    assert [means[0], squares[0]] == kept


@pytest.mark.parametrize("optimizer", [nv.SGD(), nv.Momentum(), nv.Adam()])
def test_a_step_asks_for_the_parameters_of_a_model(optimizer):
    with pytest.raises(TypeError, match="step: parameters is .*; expected the parameters of a model"):
        optimizer.step(np.zeros(3))


@pytest.mark.parametrize("make, named", [
    (lambda: nv.SGD(lr=0), "lr is 0"), (lambda: nv.Adam(lr=-1), "lr is -1"), (lambda: nv.Adam(lr="1"), "lr is '1'"),
    (lambda: nv.Adam(beta1=1), "beta1 is 1"), (lambda: nv.Momentum(momentum=1.5), "momentum is 1.5"),
    (lambda: nv.Adam(lr=float("nan")), "lr is nan"),
])
def test_a_wrong_argument_is_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_momentum_is_made_for_one_model(rng):
    optimizer = nv.Momentum()
    optimizer.step(nv.VAE.dense(5, (4,), 2, rng=rng).parameters)
    with pytest.raises(ValueError, match="parameters has 110 values, but the steps before had 81; expected the same"):
        optimizer.step(nv.VAE.dense(6, (5,), 2, rng=rng).parameters)
