"""Convolutions against their definition and each other; the layers and the models made of them."""
import contextlib
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import numpyvae as nv
from numpyvae.cli import main
from numpyvae.nn import convolution
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d, as_pair
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.functional.convolution import (conv2d, conv2d_backward, conv2d_matrix, conv_transpose2d,
                                             conv_transpose2d_backward, patches, scatter_patches)
from numpyvae.gradcheck import check_model
from numpyvae.models.tree import tree_of
from numpyvae.nn.layers import Flatten, Reshape
from numpyvae.nn.networks import halved

MODES = {"reference": nv.kernels_off, "kernel": contextlib.nullcontext}
every_mode = pytest.mark.parametrize("mode", MODES)

positive_pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))
quick = settings(max_examples=40)


@st.composite
def geometries(draw):
    """Shapes of x and W, stride and padding, for an image that is taller than wide or the other way round."""
    K, L = draw(positive_pairs)
    H, W = draw(st.integers(K, 8)), draw(st.integers(L, 8))
    assume(H != W)
    B, C, O = (draw(st.integers(1, 5)) for _ in range(3))
    return (B, H, W, C), (K, L, C, O), draw(positive_pairs), draw(paddings)


def by_definition(x, W, b, stride, padding):
    """One number at a time: the sum over all pixels that a window sees."""
    (B, H, width, C), (K, L, _, O) = x.shape, W.shape
    P, Q = (H + 2 * padding[0] - K) // stride[0] + 1, (width + 2 * padding[1] - L) // stride[1] + 1
    y = np.empty((B, P, Q, O), np.result_type(x, W))
    for n, p, q, o in np.ndindex(y.shape):
        y[n, p, q, o] = b[o]
        for k, l, c in np.ndindex(K, L, C):
            i, j = stride[0] * p + k - padding[0], stride[1] * q + l - padding[1]
            if 0 <= i < H and 0 <= j < width:
                y[n, p, q, o] += x[n, i, j, c] * W[k, l, c, o]
    return y


@every_mode
@settings(max_examples=15)
@given(geometry=geometries(), seed=st.integers(0, 99))
def test_conv2d_is_its_definition(mode, geometry, seed):
    rng = np.random.default_rng(seed)
    x_shape, W_shape, stride, padding = geometry
    x, W, b = rng.standard_normal(x_shape), rng.standard_normal(W_shape), rng.standard_normal(W_shape[3])
    with MODES[mode]():
        y = conv2d(x, W, b, stride, padding)
    np.testing.assert_allclose(y, by_definition(x, W, b, stride, padding), rtol=1e-12, atol=1e-12)


def inner(a, b):
    return np.vdot(a, b), np.linalg.norm(a) * np.linalg.norm(b)


@every_mode
@quick
@given(geometry=geometries(), seed=st.integers(0, 99))
def test_convolution_and_transpose_are_each_other_s_adjoint(mode, geometry, seed):
    rng = np.random.default_rng(seed)
    x_shape, W_shape, stride, padding = geometry
    x, W = rng.standard_normal(x_shape), rng.standard_normal(W_shape)
    with MODES[mode]():
        Ax = conv2d(x, W, np.zeros(W_shape[3]), stride, padding)
        y = rng.standard_normal(Ax.shape)
        # The output padding brings back the part of the image that the rounding in conv2d left over.
        rest = tuple((side + 2 * m - k) % s for side, k, s, m in zip(x_shape[1:3], W_shape, stride, padding))
        assume(all((p - 1) * s - 2 * m + k + r > 0 for p, s, m, k, r
                   in zip(Ax.shape[1:3], stride, padding, W_shape, rest)))
        ATy = conv_transpose2d(y, W, np.zeros(W_shape[2]), stride, padding, rest)
    assert ATy.shape == x.shape
    (left, size), (right, _) = inner(Ax, y), inner(x, ATy)
    assert abs(left - right) <= 1e-12 * max(size, 1)


@every_mode
@quick
@given(geometry=geometries(), places=positive_pairs, seed=st.integers(0, 99))
def test_scattering_is_the_adjoint_of_gathering_whatever_the_sizes(mode, geometry, places, seed):
    rng = np.random.default_rng(seed)
    x_shape, W_shape, stride, padding = geometry
    x, out = rng.standard_normal(x_shape), np.full((x_shape[0], *places, *W_shape[:3]), np.nan)
    with MODES[mode]():
        patches(x, out, stride, padding)
        y = rng.standard_normal(out.shape)
        back = scatter_patches(y, np.full(x_shape, np.nan), stride, padding)
    assert abs(np.vdot(out, y) - np.vdot(x, back)) <= 1e-12 * x.size * out.size


@pytest.mark.parametrize("channels", [1, 3, 4, 5])    # few and many channels have separate loops
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@quick
@given(geometry=geometries(), seed=st.integers(0, 99))
def test_kernels_equal_their_references(channels, dtype, tolerance, geometry, seed):
    rng = np.random.default_rng(seed)
    (B, H, W, _), (K, L, _, _), stride, padding = geometry
    x = rng.standard_normal((B, H, W, channels)).astype(dtype)
    windows = rng.standard_normal((B, 3, 2, K, L, channels)).astype(dtype)
    found, expected = [], []
    for results, mode in ((found, contextlib.nullcontext), (expected, nv.kernels_off)):
        with mode():
            results += [patches(x, np.full_like(windows, np.nan), stride, padding),
                        scatter_patches(windows, np.full_like(x, np.nan), stride, padding)]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=tolerance * 9 * abs(windows).max())
    assert found[1].dtype == dtype


def test_a_hand_made_example():
    """A window of two ones over 1 2 3, with a zero at either end: 0+1, 2+3 at stride 2."""
    x, W = np.array([1.0, 2, 3]).reshape(1, 1, 3, 1), np.ones((1, 2, 1, 1))
    np.testing.assert_array_equal(conv2d(x, W, np.zeros(1), (1, 2), (0, 1)).ravel(), [1, 5])
    painted = conv_transpose2d(np.array([1.0, 5]).reshape(1, 1, 2, 1), W, np.zeros(1), (1, 1), (0, 0), (0, 1))
    np.testing.assert_array_equal(painted.ravel(), [1, 6, 5, 0])


ONE, KERNEL, BIAS = np.ones((2, 4, 3, 1)), np.ones((2, 2, 1, 5)), np.ones(5)


@every_mode
@pytest.mark.parametrize("call, words", [
    (lambda: conv2d(ONE, KERNEL, BIAS, 2, (0, 0)), "stride is 2; expected a tuple of two whole numbers of at least 1"),
    (lambda: conv2d(ONE, KERNEL, BIAS, (1, 0), (0, 0)), r"stride is \(1, 0\)"),
    (lambda: conv2d(ONE, KERNEL, BIAS, (1, 1), (0, -1)), r"padding is \(0, -1\); .* at least 0"),
    (lambda: conv2d(ONE, KERNEL, BIAS, (1, 1), (0.5, 1)), r"padding is \(0.5, 1\)"),
    (lambda: conv2d(ONE[0], KERNEL, BIAS, (1, 1), (0, 0)), r"x has shape \(4, 3, 1\); expected \(B, H, W, C\)"),
    (lambda: conv2d(ONE, np.ones((2, 2, 3, 5)), BIAS, (1, 1), (0, 0)), "W has shape .* with C = 1"),
    (lambda: conv2d(ONE, np.ones((2, 4, 1, 5)), BIAS, (1, 1), (0, 0)),
     "a side of 3, .* at least 4, the size of the kernel W"),
    (lambda: conv_transpose2d(ONE, np.ones((1, 1, 5, 1)), BIAS, (1, 1), (2, 0), (0, 0)),
     "padding is 2, which with a kernel W of 1 gives the picture a side of 0"),
    (lambda: conv2d_backward(ONE, ONE, KERNEL, (1, 1), (0, 0)), r"W has shape .* O = 1"),
    (lambda: conv2d_backward(np.ones((2, 4, 3, 5)), ONE, KERNEL, (1, 1), (0, 0)),
     r"dy and x have pictures of \(4, 3\) and \(4, 3\) pixels; expected \(3, 2\) for the smaller"),
    (lambda: conv_transpose2d_backward(np.ones((2, 5, 5, 1)), np.ones((2, 4, 3, 5)), KERNEL, (1, 1), (0, 0)),
     r"dy and x have pictures of \(4, 3\) and \(5, 5\) pixels; expected \(4, 4\) for the smaller"),
])
def test_wrong_arguments_of_functions_give_a_sentence(mode, call, words):
    with MODES[mode](), pytest.raises(ValueError, match=words):
        call()


# Layers

@pytest.mark.parametrize("make, shape", [(Conv2d, (5, 3, 8, 2)), (ConvTranspose2d, (5, 3, 2, 8))])
@pytest.mark.parametrize("init", ["fan-in", "glorot"])
def test_first_weights_are_draws_as_wide_as_pytorch_s(make, shape, init):
    fan_in, fan_out = 5 * 3 * shape[2], 5 * 3 * shape[3]
    width = {"fan-in": (1 / fan_in) ** 0.5, "glorot": (6 / (fan_in + fan_out)) ** 0.5}[init]
    params = make(8, 2, (5, 3), init=init, rng=np.random.default_rng(5), dtype=np.float64).params
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(params["W"], rng.uniform(-width, width, shape))
    np.testing.assert_array_equal(params["b"], rng.uniform(-width, width, 2) if init == "fan-in" else np.zeros(2))


@pytest.mark.parametrize("make", [Conv2d, ConvTranspose2d])
def test_chunks_give_what_the_whole_batch_gives(rng, make):
    layer = make(3, 2, 3, 2, rng=rng, dtype=np.float64)
    x = rng.standard_normal((7, 4, 3, 3))

    def results(x):
        y = layer.forward(x).copy()
        return [y, layer.backward(np.sin(y)).copy(), *(grad.copy() for grad in layer.grads.values())]

    whole = results(x)
    small = min(x, layer.y, key=np.size)
    layer.chunk = 2 * small[0, ..., 0].size * layer.params["W"][..., 0].size + 1
    assert [part.stop - part.start for part in layer._chunks(small)] == 4 * [2]    # the last holds one image
    for chunked, expected in zip(results(x), whole, strict=True):
        np.testing.assert_allclose(chunked, expected, rtol=1e-12, atol=1e-13)
    assert abs(layer.forward(x[2:3])[0] - whole[0][2]).max() < 1e-13


def test_geometry_is_taken_as_it_is_given(rng):
    assert as_pair(20) == (20, 20) and as_pair((20, 30)) == as_pair([20, 30]) == (20, 30)
    layer = ConvTranspose2d(5, 1, 3, stride=21, output_padding=20, rng=rng)    # as large as it may be
    assert layer.forward(np.ones((1, 2, 2, 5), np.float32)).shape == (1, 44, 44, 1)
    with pytest.raises(ValueError, match="output_padding is 2; expected less than the stride, 2"):
        ConvTranspose2d(5, 1, 3, stride=2, output_padding=2, rng=rng)
    x = np.ones((1, 4, 5, 1), np.float32)
    assert Conv2d(1, 1, 3, rng=rng).forward(x).shape == (1, 2, 3, 1)
    assert ConvTranspose2d(1, 1, 3, rng=rng).forward(x).shape == (1, 6, 7, 1)


@pytest.mark.parametrize("chunk, sizes", [
    (24_000, [100]), (23_999, [50, 50]), (12_000, [50, 50]), (8000, [34, 34, 32]), (1, 100 * [1])])
def test_a_chunk_holds_the_windows_of_equally_many_images(chunk, sizes, rng):
    """An image has 4 x 5 windows of 2 x 2 pixels with 3 channels, 240 numbers."""
    layer = Conv2d(3, 2, 2, rng=rng)
    layer.chunk = chunk
    images = np.arange(100)
    assert [len(images[some]) for some in layer._chunks(np.empty((100, 4, 5, 2)))] == sizes


@pytest.mark.parametrize("activation", ["identity", "softplus", "silu"])    # silu's backward reads its input
@pytest.mark.parametrize("make", [Conv2d, ConvTranspose2d])
def test_products_of_windows_give_what_the_functions_give(make, activation, rng, monkeypatch):
    """The path of compiled code, on any dtype, against the other, with every size different."""
    layer = make(4, 2, (2, 3), (2, 1), (1, 0), activation=activation, rng=rng, dtype=np.float64)
    x = rng.standard_normal((7, 6, 5, 4))

    def results(compiled, others):
        monkeypatch.setattr(layer, "_is_compiled", lambda: compiled)
        with monkeypatch.context() as patched:
            for name in others:    # what the other path is made of is out of reach
                patched.setattr(convolution, name, None)
            y = layer.forward(x).copy()
            layer.backward(np.ones_like(y))    # what it leaves behind is overwritten
            return [y, layer.backward(np.sin(y)).copy(), *(grad.copy() for grad in layer.grads.values())]

    expected = results(False, ["matmul", "add_transposed_matmul"])
    function, extra = (conv2d, []) if make is Conv2d else (conv_transpose2d, [(0, 0)])
    a = function(x, layer.params["W"], layer.params["b"], (2, 1), (1, 0), *extra)
    np.testing.assert_allclose(expected[0], ACTIVATIONS[activation].f(a), rtol=1e-14)
    for chunk in (layer.chunk, 400, 1):
        layer.chunk = chunk
        found = results(True, ["conv2d", "conv_transpose2d", "conv2d_backward", "conv_transpose2d_backward"])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        assert layer.backward(np.ones_like(layer.y), need_dx=False) is None


@pytest.mark.parametrize("dtype, on, compiled", [
    (np.float32, True, True), (np.float64, True, True), (np.complex128, True, False), (np.float32, False, False)])
def test_compiled_code_takes_real_numbers_while_kernels_are_on(dtype, on, compiled, rng, monkeypatch):
    monkeypatch.setattr(convolution, "kernels_are_on", lambda: on)
    assert Conv2d(1, 1, 1, rng=rng, dtype=dtype)._is_compiled() is compiled


def test_no_dx_where_nobody_needs_it(rng):
    for layer, shape in ((Conv2d(2, 3, 2, rng=rng), (4, 3, 3, 2)), (ConvTranspose2d(2, 3, 2, rng=rng), (4, 3, 3, 2)),
                         (Flatten(), (4, 3, 3, 2)), (Reshape((2, 3, 1)), (4, 6))):
        y = layer.forward(rng.standard_normal(shape).astype(np.float32))
        assert layer.backward(np.ones_like(y), need_dx=False) is None
        assert layer.backward(np.ones_like(y)).shape == shape


def test_the_first_convolution_of_a_network_computes_no_dx(rng, monkeypatch):
    """The layers before it have no weights, so nothing would read it."""
    vae = nv.VAE.conv((8, 8, 1), (2, 3), 4, 2, rng=rng)
    asked = []
    for layer in vae.encoder.layers:
        def backward(dy, need_dx=True, layer=layer):
            asked.append((type(layer).__name__, need_dx))
            return type(layer).backward(layer, dy, need_dx)
        monkeypatch.setattr(layer, "backward", backward)
    vae.loss_and_grad(rng.random((5, 64), np.float32), *vae.noise(5, rng))
    assert asked == [("Dense", True), ("Flatten", True), ("Conv2d", True), ("Conv2d", False)]


def test_flatten_puts_the_groups_one_after_the_other():
    image = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4)    # per pixel: two channels of the mean, two of the logvar
    row = Flatten(2).forward(image)
    np.testing.assert_array_equal(row[0, :12], image[..., :2].ravel())
    np.testing.assert_array_equal(row[0, 12:], image[..., 2:].ravel())
    np.testing.assert_array_equal(Flatten().forward(image)[0], image.ravel())


@pytest.mark.parametrize("make, words", [
    (lambda rng: Conv2d(0, 3, 3, rng=rng), "n_in is 0"), (lambda rng: Conv2d(1, 2.5, 3, rng=rng), "n_out is 2.5"),
    (lambda rng: Conv2d(1, 2, 0, rng=rng), "kernel_size is 0; expected a whole number of at least 1, or a pair"),
    (lambda rng: Conv2d(1, 2, (3, 3, 3), rng=rng), r"kernel_size is \(3, 3, 3\)"),
    (lambda rng: Conv2d(1, 2, 3, stride=(2, 0), rng=rng), r"stride is \(2, 0\)"),
    (lambda rng: Conv2d(1, 2, 3, padding=-1, rng=rng), "padding is -1; expected a whole number of at least 0"),
    (lambda rng: Conv2d(1, 2, 3, padding=True, rng=rng), "padding is True"),
    (lambda rng: Conv2d(1, 2, 3, activation="swish", rng=rng), "activation is 'swish'"),
    (lambda rng: Conv2d(1, 2, 3, init="zeros", rng=rng), "init is 'zeros'"),
    (lambda rng: ConvTranspose2d(1, 2, 3, 2, 1, 2, rng=rng), "output_padding is 2; expected less than the stride, 2"),
    (lambda rng: Flatten(0), "groups is 0"),
    (lambda rng: Conv2d(1, 2, 3, rng=rng).forward(np.ones((4, 784))), r"x has shape \(4, 784\); expected \(B, height"),
    (lambda rng: Conv2d(1, 2, 3, rng=rng).forward(np.ones((4, 1, 28, 28))), r"expected \(B, height, width, 1\)"),
    (lambda rng: Conv2d(1, 2, 3, rng=rng).forward(np.ones((4, 2, 2, 1))), "a side of 2"),
    (lambda rng: ConvTranspose2d(1, 2, 3, rng=rng).forward(np.ones((4, 1, 28, 28))),
     r"x has shape .*; expected \(B, height, width, 1\)"),
])
def test_wrong_arguments_of_layers_are_named(make, words, rng):
    with pytest.raises(ValueError, match=words):
        make(rng)


# Models

KINDS = [nv.VAE, nv.Autoencoder]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "gaussian-learned"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 8, 2), (6, 3, 1), (7, 7, 3)])
def test_every_shape_goes_through_and_comes_back(shape, likelihood, rng):
    vae = nv.VAE.conv(shape, (2, 3, 4), 5, 2, likelihood, rng=rng)
    x = rng.random((3, int(np.prod(shape))))
    assert np.isfinite(vae.loss_and_grad(x, *vae.noise(3, rng)).loss)
    assert vae.reconstruct(x).shape == x.shape
    assert vae.sample(2, rng).shape == (2, x.shape[1])


def test_a_halved_side_is_what_the_convolution_makes_of_it(rng):
    layer = Conv2d(1, 1, 3, 2, 1, rng=rng)
    for side in range(1, 9):
        assert layer.forward(np.ones((1, side, side + 1, 1), np.float32)).shape[1:3] == halved((side, side + 1), 1)


def test_the_default_is_the_network_of_the_benchmark(rng):
    vae = nv.VAE.conv(rng=rng)
    shapes = {name: vae.parameters[name].shape for name in vae.parameters.names if name.endswith("W")}
    assert list(shapes.values()) == [(3, 3, 1, 32), (3, 3, 32, 64), (3136, 256), (256, 16), (256, 16), (16, 256),
                                     (256, 3136), (3, 3, 32, 64), (3, 3, 1, 32)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_model_has_the_gradient_of_its_loss(kind, rng):
    """Other sizes than gradcheck's own example, with odd sides and several channels, by the complex step."""
    model = kind.conv((5, 2, 2), (3, 2), 3, 2, "gaussian-learned", "softplus", rng=rng, dtype=np.float64)
    with nv.kernels_off():
        for name, (analytic, numeric) in check_model(model, rng.random((2, 20)), "complex-step").items():
            assert abs(analytic - numeric).max() <= 1e-12 * abs(numeric).max(), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_and_the_model_comes_back_from_its_file(kind, rng, tmp_path):
    images, _ = nv.datasets.load_strokes("train")
    model = kind.conv(channels=(4, 8), n_hidden=16, n_latent=3, rng=rng)
    records = list(nv.fit(model, images[:600], optimizer=nv.Adam(3e-3), epochs=4, batch_size=20, rng=rng))
    assert records[-1].loss < 0.5 * records[0].loss
    model.save(tmp_path / "model.npz")
    loaded = nv.load(tmp_path / "model.npz")
    assert type(loaded) is type(model) and tree_of(loaded) == tree_of(model)
    x = images[:5].reshape(5, -1) / 255
    np.testing.assert_array_equal(loaded.reconstruct(x), model.reconstruct(x))
    np.testing.assert_allclose(model.astype(np.float64).reconstruct(x), model.reconstruct(x), atol=1e-4)


@pytest.mark.parametrize("arguments, named", [
    (dict(shape=(28, 28)), r"shape is \(28, 28\); expected \(height, width, channels\)"),
    (dict(shape=(28, 0, 1)), r"shape is \(28, 0, 1\)"), (dict(channels=32), "channels is 32; expected"),
    (dict(channels=()), r"channels is \(\)"), (dict(channels=(4, -1)), r"channels is \(4, -1\)"),
    (dict(n_hidden=0), "n_hidden is 0"), (dict(n_latent=0), "n_latent is 0"), (dict(beta=-1), "beta is -1"),
    (dict(likelihood="poisson"), "likelihood is 'poisson'"), (dict(activation="x"), "activation is 'x'"),
])
def test_a_wrong_argument_of_the_model_is_named(arguments, named, rng):
    with pytest.raises(ValueError, match=named):
        nv.VAE.conv(**{"shape": (4, 4, 1), **arguments}, rng=rng)


# The command line

def test_the_command_line_trains_one_and_writes_its_report(tmp_path, rng, capsys):
    np.save(tmp_path / "colour.npy", rng.integers(0, 256, (40, 5, 6, 3), np.uint8))
    arguments = ["train", "--data", str(tmp_path / "colour.npy"), "--network", "conv", "--channels", "2", "3",
                 "--hidden", "4", "--latent", "2", "--epochs", "1", "--batch-size", "10"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0
    configuration = json.loads((tmp_path / "run" / "metrics.json").read_text())["configuration"]
    assert configuration["network"] == "conv" and configuration["shape"] == [5, 6, 3]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "3×3×2" in page and "2×2×3" in page
    assert main(["sample", str(tmp_path / "run"), "--n", "2", "--out", str(tmp_path / "s.png")]) == 0
    assert main([*arguments, "--hidden", "4", "5", "--out", str(tmp_path / "other")]) == 1
    assert "--hidden is [4, 5]; expected one size with --network conv" in capsys.readouterr().err


def test_rows_that_are_no_pictures_need_the_other_network(tmp_path, rng, capsys):
    np.save(tmp_path / "rows.npy", rng.random((40, 7), np.float32))
    assert main(["train", "--data", str(tmp_path / "rows.npy"), "--network", "conv", "--out", str(tmp_path)]) == 1
    assert "--network is conv, but the data's rows have shape (7,)" in capsys.readouterr().err


@pytest.mark.parametrize("shape, window, stride, padding", [
    ((4, 5, 2), (3, 2), (2, 1), (1, 0)), ((5, 8, 1), (3, 3), (2, 2), (1, 1)), ((3, 3, 1), (3, 3), (1, 1), (0, 0))])
def test_the_matrix_of_a_convolution_and_its_transpose(shape, window, stride, padding, rng):
    W = rng.standard_normal((*window, shape[2], 3))
    M = conv2d_matrix(W, shape, stride, padding)
    x = rng.standard_normal((1, *shape))
    y = conv2d(x, W, np.zeros(3), stride, padding)
    np.testing.assert_allclose(M @ x.ravel(), y.ravel(), atol=1e-13)
    dy = rng.standard_normal(y.shape)
    np.testing.assert_allclose(M.T @ dy.ravel(), conv2d_backward(dy, x, W, stride, padding)[0].ravel(), atol=1e-13)
