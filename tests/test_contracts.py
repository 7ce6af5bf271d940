"""What every pair and every layer promises, over shapes and values that hypothesis picks.

zero upstream gives zero; linear in the upstream gradient; two calls are bitwise equal; inputs stay as they were;
non-contiguous input is fine; dtype is kept
"""
import contextlib
import functools
import inspect

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import numpyvae as nv
from numpyvae import nn
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.gradcheck.pairs import kept_by, pairs
from numpyvae.nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, SharedLogvar
from numpyvae.nn.networks import dense_stack

from twins import arguments, as_tuple, copies, lengths

PAIRS = {backward.name: (forward, backward) for forward, backward in pairs()}
MODES = {"reference": nv.kernels_off, "kernel": contextlib.nullcontext}
EXACT = {np.float32: 2e-5, np.float64: 1e-13}    # for sums of at most ten terms in another order

sizes = st.lists(st.integers(1, 9), min_size=4, max_size=4)
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([1e-3, 1.0, 8.0])
quick = settings(max_examples=15)


def case(name, sizes, seed, scale, dtype):
    """The backward twin, and everything it takes but the upstream gradient: a function of that alone."""
    if dtype == np.float32:
        assume(fits_float32(name, sizes, seed, scale))
    forward, backward = PAIRS[name]
    rng = np.random.default_rng(seed)
    inputs = arguments(forward, lengths(*sizes), dtype, rng)
    inputs = {key: (scale * value).astype(dtype) if isinstance(value, np.ndarray) else value
              for key, value in inputs.items()}
    y, kept = kept_by(forward, dict(zip(inputs, copies(inputs))))
    blanks = arguments(backward, lengths(*sizes), dtype, rng)
    known = {**inputs, "y": y, "kept": kept}
    upstream, *others = backward.shapes
    rest = {key: None if key in backward.writes else known[key] if key in known else blanks[key] for key in others}

    def run(dy):
        fresh = {key: value if value is not None else blanks[key].copy() for key, value in rest.items()}
        results = as_tuple(backward(dy, *fresh.values()))
        return results[1:] if name.endswith("_and_grad") else results
    return run, rng.standard_normal(y.shape).astype(dtype), known


def fits_float32(name, sizes, seed, scale):
    """Whether float32 can hold the gradients: those of an ill-conditioned covariance are beyond it."""
    with nv.kernels_off(), np.errstate(over="ignore"):
        run, dy, _ = case(name, sizes, seed, scale, np.float64)
        return all(np.abs(gradient).max(initial=0.0) < 1e-3 * np.finfo(np.float32).max for gradient in run(dy))


def every_pair(test):
    """The test for each pair, on both paths, in both precisions."""
    test = quick(given(sizes=sizes, seed=seeds, scale=scales)(test))
    test = pytest.mark.parametrize("dtype", EXACT)(test)
    test = pytest.mark.parametrize("mode", MODES)(test)
    return pytest.mark.parametrize("name", PAIRS)(test)


@every_pair
def test_zero_upstream_gives_zero(name, mode, dtype, sizes, seed, scale):
    with MODES[mode]():
        run, dy, _ = case(name, sizes, seed, scale, dtype)
        for gradient in run(np.zeros_like(dy)):
            assert not gradient.any()


@every_pair
def test_linear_in_the_upstream_gradient(name, mode, dtype, sizes, seed, scale):
    with MODES[mode]():
        run, dy, _ = case(name, sizes, seed, scale, dtype)
        other = np.random.default_rng(seed + 1).standard_normal(dy.shape).astype(dtype)
        one, two, both = ([g.copy() for g in run(d)] for d in (dy, other, 2 * dy - 3 * other))
        for a, b, c in zip(one, two, both):
            size = max(np.abs(a).max(), np.abs(b).max(), np.finfo(dtype).tiny)
            assert np.abs(2 * a - 3 * b - c).max() <= EXACT[dtype] * size * 10


@every_pair
def test_two_calls_are_bitwise_equal_and_leave_their_inputs_alone(name, mode, dtype, sizes, seed, scale):
    with MODES[mode]():
        run, dy, known = case(name, sizes, seed, scale, dtype)
        before = {key: np.copy(value) for key, value in known.items()} | {"dy": dy.copy()}
        first = [g.copy() for g in run(dy)]
        for one, two in zip(first, run(dy)):
            assert one.tobytes() == two.tobytes() and one.dtype == dtype
        for key, value in (known | {"dy": dy}).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, before[key], equal_nan=True), f"{key} was changed"


@every_pair
def test_a_non_contiguous_upstream_gradient_is_fine(name, mode, dtype, sizes, seed, scale):
    with MODES[mode]():
        run, dy, _ = case(name, sizes, seed, scale, dtype)
        expected = [g.copy() for g in run(dy)]
        wide = np.zeros(tuple(2 * n for n in dy.shape), dtype)
        strided = wide[tuple(slice(None, None, 2) for _ in dy.shape)]
        strided[...] = dy
        for one, two in zip(expected, run(strided)):
            size = max(np.abs(one).max(), np.abs(dy).max())    # 1 - y^2 has few correct digits for y near 1
            np.testing.assert_allclose(two, one, rtol=10 * EXACT[dtype], atol=EXACT[dtype] * size)


# Layers

def layer_makers():
    """Functions of rng and dtype, each with the shapes of a row of x and of dy."""
    for name in ACTIVATIONS:
        yield f"Dense({name})", functools.partial(Dense, 5, 3, name), (5,), (3,)
    yield "Sequential", functools.partial(dense_stack, [5, 4, 3], "tanh", "identity"), (5,), (3,)
    for name in ("identity", "relu"):
        conv = functools.partial(Conv2d, 2, 3, (3, 2), (2, 1), (1, 0), name)
        yield f"Conv2d({name})", conv, (4, 3, 2), (2, 2, 3)
        transposed = functools.partial(ConvTranspose2d, 3, 2, (3, 2), (2, 1), (1, 0), (1, 0), name)
        yield f"ConvTranspose2d({name})", transposed, (2, 2, 3), (4, 3, 2)
    yield "Reshape", lambda rng, dtype=None: Reshape((3, 2)), (6,), (3, 2)
    yield "ReshapeLabelled", lambda rng, dtype=None: ReshapeLabelled((3, 2, 1), 4), (10,), (3, 2, 5)
    yield "SharedLogvar", lambda rng, dtype=np.float32: SharedLogvar(4, dtype=dtype), (4,), (8,)
    yield "Flatten", lambda rng, dtype=None: Flatten(2), (2, 3, 4), (24,)


LAYERS = {name: (make, x_shape, dy_shape) for name, make, x_shape, dy_shape in layer_makers()}


def every_layer(test):
    test = quick(given(n=st.integers(1, 9), seed=seeds)(test))
    test = pytest.mark.parametrize("dtype", EXACT)(test)
    return pytest.mark.parametrize("name", LAYERS)(test)


def gradients(layer, x, dy):
    """Copies of dx and of every parameter's gradient."""
    layer.forward(x)
    dx = layer.backward(dy).copy()
    inner = [one for _, one in layer.named_layers("")] if hasattr(layer, "named_layers") else [layer]
    return [dx] + [grad.copy() for one in inner for grad in one.grads.values()]


def layer_case(name, n, seed, dtype):
    make, x_shape, dy_shape = LAYERS[name]
    rng = np.random.default_rng(seed)
    layer = make(rng=rng, dtype=dtype)
    return layer, *(rng.standard_normal((n, *shape)).astype(dtype) for shape in (x_shape, dy_shape))


def layer_classes():
    """The classes of layers.py and convolution.py that follow the protocol."""
    return {kind for module in (nn.layers, nn.convolution) for _, kind in inspect.getmembers(module, inspect.isclass)
            if kind.__module__ == module.__name__ and hasattr(kind, "forward") and hasattr(kind, "backward")}


def test_every_layer_class_is_here():
    assert layer_classes() == {type(make(rng=np.random.default_rng(0))) for make, _, _ in LAYERS.values()}


@every_layer
def test_layer_zero_upstream_gives_zero(name, dtype, n, seed):
    layer, x, dy = layer_case(name, n, seed, dtype)
    for gradient in gradients(layer, x, 0 * dy):
        assert not gradient.any() and gradient.dtype == dtype


@every_layer
def test_layer_is_linear_in_the_upstream_gradient(name, dtype, n, seed):
    layer, x, dy = layer_case(name, n, seed, dtype)
    other = np.random.default_rng(seed + 1).standard_normal(dy.shape).astype(dtype)
    for a, b, c in zip(*(gradients(layer, x, d) for d in (dy, other, 2 * dy - 3 * other))):
        assert np.abs(2 * a - 3 * b - c).max() <= 10 * EXACT[dtype] * max(np.abs(a).max(), np.abs(b).max(), 1e-30)


@every_layer
def test_layer_repeats_bitwise_and_leaves_its_inputs_alone(name, dtype, n, seed):
    layer, x, dy = layer_case(name, n, seed, dtype)
    before = x.copy(), dy.copy()
    for one, two in zip(gradients(layer, x, dy), gradients(layer, x, dy)):
        assert one.tobytes() == two.tobytes()
    assert np.array_equal(x, before[0]) and np.array_equal(dy, before[1])


@every_layer
def test_layer_takes_non_contiguous_input(name, dtype, n, seed):
    layer, x, dy = layer_case(name, n, seed, dtype)
    expected = gradients(layer, x, dy)
    for one, two in zip(expected, gradients(layer, np.asfortranarray(x), np.repeat(dy, 2, axis=1)[:, ::2])):
        np.testing.assert_allclose(two, one, rtol=10 * EXACT[dtype], atol=10 * EXACT[dtype])
