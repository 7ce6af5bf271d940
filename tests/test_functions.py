"""The forward halves of `functional`, each in other words: scipy's function, a matrix, a sum written out."""
import importlib
import types

import numpy as np
import pytest
from scipy import special, stats

from numpyvae import kernels
from numpyvae.functional import activations, dense
from numpyvae.functional.activations import ACTIVATIONS, Activation, Identity, fused
from numpyvae.functional.continuous_bernoulli import continuous_bernoulli_mean, continuous_bernoulli_nll
from numpyvae.functional.convolution import (_frame, check_places, conv2d, conv2d_matrix, conv_size,
                                             conv_transpose2d, patches, scatter_patches, transposed_size)
from numpyvae.functional.dense import new_array
from numpyvae.functional.discretized_logistic import discretized_logistic_mean, discretized_logistic_nll
from numpyvae.functional.full_gaussian import (_cholesky_factor, _noise_behind, _solve_transposed, full_gaussian_kl,
                                               full_gaussian_log_density, full_reparameterize)
from numpyvae.functional.gaussian import gaussian_kl, gaussian_kl_of_dimensions, gaussian_log_density, reparameterize
from numpyvae.functional.labels import concatenate, one_hot
from numpyvae.functional.likelihoods import bernoulli_nll, gaussian_learned_nll, gaussian_nll
from numpyvae.functional.pixels import pick_binary_pixels, pick_pixels
from numpyvae.functional.student_t import student_t_nll
from numpyvae.kernels.processor import EVERY, FASTER, FEW, Decision

affine = importlib.import_module("numpyvae.functional.affine")    # numpyvae.functional.affine is the function
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EPS = {np.float32: 1e-6, np.float64: 1e-13}

IN_OTHER_WORDS = {
    "identity": lambda a: a, "relu": lambda a: np.maximum(a, 0), "tanh": lambda a: 2 * special.expit(2 * a) - 1,
    "sigmoid": special.expit, "softplus": lambda a: np.logaddexp(0, a), "silu": lambda a: a * special.expit(a),
    "gelu": lambda a: a * special.expit(2 * np.sqrt(2 / np.pi) * (a + 0.044715 * a**3))}


# Activations

@both_dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula_and_keeps_what_it_says(name, dtype):
    a = np.array([[-800, -30, -2, -0.3, 0], [800, 30, 2, 0.3, 1e-3]], dtype)
    activation = ACTIVATIONS[name]
    y, kept = activation.forward(a)
    np.testing.assert_allclose(y, IN_OTHER_WORDS[name](a.astype(float)), rtol=EPS[dtype], atol=EPS[dtype] / 100)
    assert y.dtype == dtype and kept is (a if activation.keeps == "a" else y)
    assert (activation.keeps == "a") == (name in ("gelu", "silu"))
    assert np.isnan(activation.f(np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_complex_step_sees_an_activation_s_slope(name):
    a = np.array([-30, -2, -0.3, 0.3, 2, 30])
    slope = (IN_OTHER_WORDS[name](a + 1e-5) - IN_OTHER_WORDS[name](a - 1e-5)) / 2e-5
    np.testing.assert_allclose(ACTIVATIONS[name].f(a + 1e-20j).imag / 1e-20, slope, rtol=1e-7, atol=1e-9)


class Lent:
    """Arrays of NaN, and what was asked for."""

    def __init__(self):
        self.asked, self.arrays = [], []

    def __call__(self, name, shape, dtype):
        self.asked.append((name, shape, np.dtype(dtype)))
        self.arrays.append(np.full(shape, np.nan, dtype))
        return self.arrays[-1]


@pytest.fixture
def own(monkeypatch):
    """Activations that nobody wrote a loop for; no other test sees their twins."""
    monkeypatch.setattr("numpyvae.twin.registry", {})
    made = {keeps: Activation(f"own{keeps}", lambda a: a**3, lambda dy, kept: dy * kept**2, keeps) for keeps in "ya"}
    for activation in made.values():
        monkeypatch.setitem(ACTIVATIONS, activation.name, activation)
    return made


@pytest.mark.parametrize("keeps", ["y", "a"])
def test_a_layer_adds_its_bias_and_applies_the_function_in_place(keeps, own, rng):
    a, b, dy = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal((5, 3))
    y, db, lent, activation = a.copy(), np.full(3, np.nan), Lent(), own[keeps]
    kept = activation.add_bias(y, b, lent)
    np.testing.assert_allclose(y, (a + b)**3, rtol=1e-14)
    np.testing.assert_allclose(kept, y if keeps == "y" else a + b, rtol=1e-14)
    da = activation.backward_bias(dy, kept, db, lent)
    np.testing.assert_allclose(da, dy * kept**2, rtol=1e-14)
    np.testing.assert_allclose(db, da.sum(axis=0), rtol=1e-13)
    assert [name for name, *_ in lent.asked] == ["a", "da"][keeps == "y":]
    assert da is lent.arrays[-1] and kept is (y if keeps == "y" else lent.arrays[0])
    assert activation.f(2.0) == 8 and activation.f_backward(2.0, 3.0) == 18
    forward, backward = activation.loops
    assert (forward.name, backward.name) == (f"add_bias_own{keeps}", f"own{keeps}_backward_bias")
    assert forward.writes == (("y",) if keeps == "y" else ("y", "a")) and backward.writes == ("da", "db")
    assert forward.wrt == ("y", "b") and forward.kernel is backward.kernel is None
    assert (forward(y, b) if keeps == "y" else forward(y, b, kept)) is y


def test_where_there_are_loops_they_are_bound(own):
    for name, loops in kernels.activations.LOOPS.items():
        activation = ACTIVATIONS[name]
        bound = fused(name, activation.f, activation.f_backward, activation.keeps)
        assert tuple(twin.kernel for twin in bound) == loops


def test_the_identity_adds_only_the_bias(monkeypatch, rng):
    for twin in (activations.add_bias, activations.bias_backward):
        monkeypatch.setattr(twin, "kernel", None)    # the bodies
    a, b, db, identity = rng.standard_normal((5, 3)), rng.standard_normal(3), np.full(3, np.nan), Identity()
    y = a.copy()
    assert identity.add_bias(y, b, Lent()) is y and identity.backward_bias(a, y, db, Lent()) is a
    np.testing.assert_allclose(y, a + b, rtol=1e-15)
    np.testing.assert_allclose(db, a.sum(axis=0), rtol=1e-14)
    assert identity.f(a) is a and identity.f_backward(a, y) is a and identity.keeps == "y"
    assert identity.name == "identity"


@pytest.mark.parametrize("keeps", ["y", "a"])
def test_a_dense_layer_has_two_ways_to_the_same(keeps, own, rng):
    x, W, b, dy = (rng.standard_normal(shape) for shape in ((5, 4), (4, 3), (3,), (5, 3)))
    a, lent = x @ W + b, Lent()
    kept = a**3 if keeps == "y" else a
    for y, found in (dense(x, W, b, f"own{keeps}"), dense.kernel(x, W, b, f"own{keeps}", lent)):
        np.testing.assert_allclose(y, a**3, rtol=1e-12)
        np.testing.assert_allclose(found, kept, rtol=1e-12)
    assert lent.asked[0] == ("y", (5, 3), np.float64) and y is lent.arrays[0]


def test_a_caller_without_buffers_gets_new_arrays():
    array = new_array("y", (2, 3), np.float32)
    assert array.shape == (2, 3) and array.dtype == np.float32


# The matrix product

def test_affine_is_a_sum_over_the_inputs(rng):
    x, W, b = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    np.testing.assert_allclose(affine.affine(x, W, b), np.einsum("bi,io->bo", x, W) + b, rtol=1e-13)


@pytest.mark.parametrize("on", [True, False])
def test_who_multiplies_is_decided_once_for_each_layout(on, monkeypatch, rng):
    decided = []
    monkeypatch.setattr(affine, "kernels_are_on", lambda: on)
    monkeypatch.setattr(affine, "_multipliers", {})
    monkeypatch.setattr(affine, "multiplier", lambda *arrays: decided.append(arrays) or np.matmul)
    rows, gaps = np.empty, lambda shape: np.empty((2 * shape[0], 2 * shape[1]))[::2, ::2]
    for n, *kinds in ((3, rows, rows, rows), (3, rows, rows, rows), (4, rows, rows, rows), (3, rows, rows, rows),
                      (4, gaps, rows, rows), (4, rows, gaps, rows), (4, rows, rows, gaps)):
        a, b, out = given = [kind(shape) for kind, shape in zip(kinds, ((n, 4), (4, 5), (n, 5)))]
        a[:], b[:] = rng.standard_normal((n, 4)), rng.standard_normal((4, 5))
        before = len(decided)
        assert affine.matmul(a, b, out) is out
        np.testing.assert_allclose(out, np.einsum("ik,kj->ij", a, b), rtol=1e-12)
        assert all(one is other for last in decided[before:] for one, other in zip(last, given, strict=True))
    assert [len(a) for a, _, _ in decided] == ([3, 4, 4, 4, 4] if on else [])


@pytest.mark.parametrize("known, after", [(1000, 1001), (1001, 1)])
def test_a_thousand_layouts_are_remembered(known, after, monkeypatch):
    monkeypatch.setattr(affine, "kernels_are_on", lambda: True)
    monkeypatch.setattr(affine, "_multipliers", dict.fromkeys(range(known)))
    monkeypatch.setattr(affine, "multiplier", lambda a, b, out: np.matmul)
    affine.matmul(np.ones((2, 2)), np.ones((2, 2)), np.empty((2, 2)))
    assert len(affine._multipliers) == after


def made(M, K, N, a, b, dtypes="fff"):
    """a and b of these layouts: read along the rows, along the columns, or neither."""
    def laid_out(rows, columns, layout, dtype):
        return {"rows": np.empty((rows, columns), dtype), "columns": np.empty((columns, rows), dtype).T,
                "neither": np.empty((2 * rows, 2 * columns), dtype)[::2, ::2]}[layout]
    return laid_out(M, K, a, dtypes[0]), laid_out(K, N, b, dtypes[1]), np.empty((M, N), dtypes[2])


@pytest.fixture
def who(monkeypatch):
    """The name of what would multiply, once it is compiled; it gets the arrays themselves, or b read along its rows."""
    names = "in_place", "copied", "transposed", "strips", "thin"
    tile = types.SimpleNamespace(loops={name: name for name in names})
    monkeypatch.setattr(affine, "_compiled", lambda name: lambda *arrays: (name, *arrays))
    monkeypatch.setattr(kernels.matmul, "matmul_rows", "rows")

    def multiplies(sizes, given, tile=tile):
        monkeypatch.setattr(affine, "decide", lambda: Decision(tile, sizes, "this test says so"))
        multiply = affine.multiplier(*given)
        if multiply is np.matmul:
            return "blas"
        name, a, b, out = multiply(*given)
        assert a is given[0] and out is given[2]
        if name in ("transposed", "rows"):
            assert b.flags.c_contiguous and b.shape == given[1].T.shape and np.shares_memory(b, given[1])
        else:
            assert b is given[1]
        return name
    return multiplies


@pytest.mark.parametrize("sizes, M, K, N, a, b, expected", [
    # every product that a tile fits
    (EVERY, 8, 16, 16, "rows", "rows", "in_place"), (EVERY, 7, 16, 16, "rows", "rows", "blas"),
    (EVERY, 8, 1, 16, "rows", "rows", "in_place"),
    (EVERY, 32, 16, 16, "rows", "rows", "in_place"), (EVERY, 33, 16, 16, "rows", "rows", "copied"),
    (EVERY, 16, 2, 16, "columns", "rows", "strips"), (EVERY, 15, 16, 16, "columns", "rows", "blas"),
    # with fewer columns than a tile, whatever b's layout
    (EVERY, 8, 1, 15, "rows", "rows", "thin"), (EVERY, 8, 1, 1, "rows", "columns", "thin"),
    (EVERY, 16, 9, 15, "columns", "neither", "thin"), (EVERY, 7, 9, 15, "rows", "rows", "blas"),
    (EVERY, 33, 16, 16, "neither", "rows", "blas"), (EVERY, 33, 16, 16, "rows", "neither", "blas"),
    # with b transposed there is a loop for few rows that are long, and blocks have 16 terms
    (EVERY, 33, 16, 16, "rows", "columns", "transposed"), (EVERY, 33, 15, 16, "rows", "columns", "blas"),
    (EVERY, 32, 128, 16, "rows", "columns", "rows"), (EVERY, 33, 128, 16, "rows", "columns", "transposed"),
    (EVERY, 32, 127, 16, "rows", "columns", "transposed"), (EVERY, 32, 128, 16, "columns", "columns", "transposed"),
    # those where one thread of ours is faster than one of BLAS
    (FASTER, 167, 3, 499, "rows", "rows", "blas"),
    (FASTER, 50, 50, 100, "rows", "rows", "copied"), (FASTER, 50, 50, 99, "rows", "rows", "blas"),
    (FASTER, 16, 500, 32, "rows", "rows", "in_place"), (FASTER, 15, 700, 32, "rows", "rows", "blas"),
    (FASTER, 16, 700, 31, "rows", "rows", "blas"), (FASTER, 1000, 100, 1000, "rows", "rows", "copied"),
    (FASTER, 1000, 100, 1001, "rows", "rows", "blas"), (FASTER, 99, 256, 99, "columns", "rows", "strips"),
    (FASTER, 99, 257, 99, "columns", "rows", "blas"), (FASTER, 99, 257, 99, "rows", "rows", "copied"),
    (FASTER, 99, 257, 99, "rows", "columns", "transposed"), (FASTER, 30, 257, 99, "rows", "columns", "rows"),
    # those of few rows, where it is faster than several
    (FEW, 30, 257, 99, "rows", "rows", "blas"), (FEW, 32, 257, 99, "rows", "columns", "rows"),
    (FEW, 33, 257, 99, "rows", "columns", "blas"), (FEW, 32, 128, 99, "rows", "columns", "rows"),
    (FEW, 32, 127, 99, "rows", "columns", "blas"), (FEW, 15, 257, 99, "rows", "columns", "blas")])
def test_who_multiplies_depends_on_sizes_and_layouts(sizes, M, K, N, a, b, expected, who):
    assert who(sizes, made(M, K, N, a, b)) == expected


@pytest.mark.parametrize("arrays", [
    made(20, 20, 20, "rows", "rows", "dff"), made(20, 20, 20, "rows", "rows", "fdf"),
    made(20, 20, 20, "rows", "rows", "ffd"), made(20, 20, 20, "rows", "rows", "ddd"),
    (*made(20, 21, 20, "rows", "rows")[:1], *made(20, 20, 20, "rows", "rows")[1:]),
    (*made(20, 20, 20, "rows", "rows")[:2], np.empty((20, 21), "f")),
    (*made(20, 20, 20, "rows", "rows")[:2], np.empty((21, 20), "f")),
    (*made(20, 20, 20, "rows", "rows")[:2], np.empty((20, 20), "f").T)])
def test_what_does_not_fit_is_left_to_numpy(arrays, who):
    assert who(EVERY, arrays) == "blas"


def test_without_a_tile_blas_multiplies(who):
    assert who(EVERY, made(20, 20, 20, "rows", "rows"), tile=None) == "blas"


@pytest.mark.parametrize("rows, sizes, pieces", [
    (25_000, (20, 5), [10_000, 10_000, 5000]), (20_000, (101, 1), [9900, 9900, 200]), (3000, (40, 25), [1000] * 3),
    (3000, (7, 143), [3000])])
def test_a_sum_over_many_rows_is_done_in_pieces_where_few_numbers_come_out(rows, sizes, pieces, rng, monkeypatch):
    seen = []
    monkeypatch.setattr(affine, "matmul", lambda a, b, out: seen.append((len(b), out)) or np.matmul(a, b, out))
    a, b = (rng.standard_normal((rows, n)) for n in sizes)
    total, scratch = np.ones(sizes), np.full(sizes, np.nan)
    affine.add_transposed_matmul(a, b, total, scratch)
    np.testing.assert_allclose(total, 1 + a.T @ b, rtol=1e-9, atol=1e-9)
    assert [n for n, _ in seen] == pieces and all(out is scratch for _, out in seen)


# Geometry

@pytest.mark.parametrize("size, kernel, stride, padding", [(5, 3, 2, 1), (1, 3, 1, 1), (6, 2, 3, 0), (4, 4, 2, 0)])
def test_a_window_has_as_many_positions_as_can_be_counted(size, kernel, stride, padding):
    starts = range(-padding, size + padding - kernel + 1, stride)
    assert conv_size(size, kernel, stride, padding) == len(starts)
    rest = size + padding - kernel - starts[-1]    # pixels after the last window
    assert transposed_size(len(starts), kernel, stride, padding, rest) == size


def test_a_picture_that_a_window_does_not_fit_into_or_that_nothing_is_left_of():
    with pytest.raises(ValueError, match="a side of 1, or 3 with padding; expected at least 4"):
        conv_size(1, 4, 1, 1)
    for size, padding in ((2, 10), (20, 1), (21, 0)):
        with pytest.raises(ValueError, match="expected at least 23"):
            conv_size(size, 23, 1, padding)
    assert conv_size(2, 4, 1, 1) == 1 == transposed_size(1, 3, 1, 1, 0)
    with pytest.raises(ValueError, match="padding is 2, .* a kernel W of 3 gives the picture a side of 0"):
        transposed_size(1, 3, 1, 2, 1)


def test_a_frame_holds_the_picture_and_every_window():
    frame = _frame((2, 5, 9, 3), (2, 4, 2, 3, 1, 3), (2, 3), (1, 2), np.float32)
    assert frame.shape == (2, 3 * 2 + 3, 2 + 9, 3) and frame.dtype == np.float32 and not frame.any()


def test_pictures_fit_where_a_window_has_so_many_places():
    larger, W, stride, padding = np.zeros((2, 8, 9, 3)), np.zeros((4, 2, 3, 5)), (2, 3), (1, 0)
    check_places(np.zeros((2, 4, 3, 5)), larger, W, stride, padding)
    for places in ((4, 4), (5, 3), (3, 4), (8, 9)):
        with pytest.raises(ValueError) as refusal:
            check_places(np.zeros((2, *places, 5)), larger, W, stride, padding)
        assert str(refusal.value).startswith(f"dy and x have pictures of {places} and (8, 9) pixels; expected (4, 3) ")


def windows_of(x, kernel, stride, padding):
    """What every window sees, (B, P, Q, K, L, C), by NumPy's own padding and sliding windows."""
    framed = np.pad(x, [(0, 0), *[(m, m) for m in padding], (0, 0)])
    seen = np.lib.stride_tricks.sliding_window_view(framed, kernel, axis=(1, 2))[:, ::stride[0], ::stride[1]]
    return np.moveaxis(seen, 3, 5)


@pytest.mark.parametrize("size, kernel, stride, padding", [
    ((5, 7), (3, 2), (2, 1), (1, 0)), ((4, 6), (2, 3), (1, 2), (0, 2)), ((6, 5), (1, 4), (3, 2), (0, 1)),
    ((3, 1), (5, 2), (1, 1), (2, 1)), ((8, 9), (2, 2), (3, 4), (1, 2)), ((7, 4), (2, 3), (3, 1), (2, 0))])
def test_convolutions_are_products_with_what_the_windows_see(size, kernel, stride, padding, rng):
    x, W, b = rng.standard_normal((2, *size, 3)), rng.standard_normal((*kernel, 3, 4)), rng.standard_normal(4)
    seen = windows_of(x, kernel, stride, padding)
    out = np.full(seen.shape, np.nan)
    assert patches(x, out, stride, padding) is out
    np.testing.assert_array_equal(out, seen)
    np.testing.assert_allclose(conv2d(x, W, b, stride, padding), np.einsum("bpqklc,klco->bpqo", seen, W) + b,
                               rtol=1e-11, atol=1e-12)
    # As matrices: those who see a pixel, in its row; the weights of a window, in its row
    pixels = np.eye(x[0].size).reshape(-1, *x.shape[1:])
    A = windows_of(pixels, kernel, stride, padding)
    dout = rng.standard_normal(seen.shape)
    dx = np.full(x.shape, np.nan)
    assert scatter_patches(dout, dx, stride, padding) is dx
    np.testing.assert_allclose(dx, np.einsum("npqklc,bpqklc->bn", A, dout).reshape(x.shape), rtol=1e-11, atol=1e-12)
    M = np.einsum("npqklc,klco->pqon", A, W).reshape(-1, x[0].size)
    found = conv2d_matrix(W.astype(np.float32), x.shape[1:], stride, padding)
    np.testing.assert_allclose(found, M, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    whole = np.rint(3 * W).astype(int)
    np.testing.assert_array_equal(conv2d_matrix(whole, x.shape[1:], stride, padding),
                                  conv2d_matrix(whole.astype(np.float64), x.shape[1:], stride, padding))
    # Painting is the transpose; the output padding says which of the pictures that give as many windows is meant
    y, c = rng.standard_normal((2, *seen.shape[1:3], 4)), rng.standard_normal(3)
    rest = tuple(n + 2 * m - k - s * (places - 1) for n, k, s, m, places in
                 zip(size, kernel, stride, padding, seen.shape[1:3]))
    np.testing.assert_allclose(conv_transpose2d(y, W, c, stride, padding, rest),
                               (y.reshape(2, -1) @ M).reshape(x.shape) + c, rtol=1e-11, atol=1e-12)


# Gaussians

@pytest.fixture
def q(rng):
    """mu, logvar, lower of four correlated Gaussians in three dimensions, and their Cholesky factors."""
    mu, logvar, lower = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal((4, 3, 3))
    return mu, logvar, lower, np.array([np.tril(one, -1) + np.diag(np.exp(v / 2)) for one, v in zip(lower, logvar)])


def test_a_diagonal_gaussian_by_scipy(q, rng):
    mu, logvar, z = q[0], q[1], rng.standard_normal((4, 3))
    sigma = np.exp(logvar / 2)
    np.testing.assert_allclose(reparameterize(mu, logvar, z), mu + sigma * z, rtol=1e-14)
    np.testing.assert_allclose(gaussian_log_density(z, mu, logvar), stats.norm.logpdf(z, mu, sigma).sum(axis=1))
    kl = (mu**2 + sigma**2 - 1) / 2 - np.log(sigma)
    np.testing.assert_allclose(gaussian_kl_of_dimensions(mu, logvar), kl, rtol=1e-12)
    np.testing.assert_allclose(gaussian_kl(mu, logvar), kl.sum(axis=1), rtol=1e-12)


def test_a_full_gaussian_by_its_matrices(q, rng):
    mu, logvar, lower, L = q
    z = rng.standard_normal((4, 3))
    np.testing.assert_allclose(full_reparameterize(mu, logvar, lower, z), mu + np.einsum("bij,bj->bi", L, z))
    expected = [stats.multivariate_normal(m, one @ one.T).logpdf(x) for x, m, one in zip(z, mu, L)]
    np.testing.assert_allclose(full_gaussian_log_density(z, mu, logvar, lower), expected, rtol=1e-10)
    expected = [(np.trace(one @ one.T) + m @ m - 3) / 2 - np.log(np.linalg.det(one)) for m, one in zip(mu, L)]
    np.testing.assert_allclose(full_gaussian_kl(mu, logvar, lower), expected, rtol=1e-12)


def test_triangular_systems_are_solved(q, rng):
    mu, logvar, lower, L = q
    factor = _cholesky_factor(logvar.astype(np.float32), lower.astype(np.float32))
    np.testing.assert_allclose(factor, L, rtol=1e-6)
    assert factor.dtype == np.float32
    z = rng.standard_normal((4, 3))
    noise = _noise_behind(z, mu, logvar, lower)
    np.testing.assert_allclose(noise, [np.linalg.solve(one, x - m) for one, x, m in zip(L, z, mu)], rtol=1e-10)
    np.testing.assert_allclose(_solve_transposed(L, z), [np.linalg.solve(one.T, e) for one, e in zip(L, z)], rtol=1e-10)


@pytest.mark.parametrize("which", [0, 1])
def test_a_full_gaussian_s_density_takes_a_complex_step(which, q, rng):
    mu, logvar, lower, L = q
    given = [rng.standard_normal((4, 3)), mu]
    g = [np.linalg.solve(one @ one.T, (x - m)) for x, m, one in zip(*given, L)]
    given[which] = given[which] + 1e-20j * np.eye(3)[1]
    slope = full_gaussian_log_density(*given, logvar, lower).imag / 1e-20
    np.testing.assert_allclose(slope, (-1, 1)[which] * np.array(g)[:, 1], rtol=1e-9)


# Likelihoods

@both_dtypes
def test_likelihoods_of_pixels_by_scipy(dtype, rng):
    theta, logvar = rng.standard_normal((2, 4, 6)).astype(dtype)
    x, sigma = rng.random((4, 6)).astype(dtype), 0.3
    y, m, s = special.expit(theta.astype(float)), theta.astype(float), np.exp(logvar.astype(float) / 2)
    for found, expected in [
            (bernoulli_nll(theta, x), special.xlogy(x, y) + special.xlog1py(1 - x, -y)),
            (gaussian_nll(theta, x, sigma), stats.norm.logpdf(x, m, sigma)),
            (gaussian_learned_nll(np.hstack([theta, logvar]), x), stats.norm.logpdf(x, m, s)),
            (student_t_nll(theta, x, sigma), stats.t.logpdf(x, 4, m, sigma))]:
        np.testing.assert_allclose(found, -expected.sum(axis=1), rtol=10 * EPS[dtype])


@pytest.mark.parametrize("degrees", [1.0, 3.0, 30.0])
def test_student_s_t_has_its_constant_for_any_degrees_of_freedom(degrees, rng, monkeypatch):
    monkeypatch.setattr("numpyvae.functional.student_t.DEGREES", degrees)
    mean, x = rng.standard_normal((2, 4, 6))
    np.testing.assert_allclose(student_t_nll(mean, x, 0.3), -stats.t.logpdf(x, degrees, mean, 0.3).sum(axis=1))


@both_dtypes
def test_the_continuous_bernoulli_is_divided_by_its_integral(dtype):
    a = np.array([[-800, -3, -0.7, -1e-3, 0, 1e-3, 0.7, 3, 800]], dtype).T
    x = np.full_like(a, 0.25)
    n = a.astype(float)[[1, 2, 3, 5, 6, 7]]
    integral = np.concatenate([[-np.log(800)], np.log(np.expm1(n) / n)[:3, 0], [0], np.log(np.expm1(n) / n)[3:, 0],
                               [800 - np.log(800)]])
    with np.errstate(all="raise", under="ignore"):
        found, found_mean = continuous_bernoulli_nll(a, x), continuous_bernoulli_mean(a)
    np.testing.assert_allclose(found, integral - 0.25 * a[:, 0].astype(float), rtol=EPS[dtype], atol=EPS[dtype])
    assert found.dtype == dtype == found_mean.dtype
    mean = np.concatenate([[1 / 800], (1 / -np.expm1(-n) - 1 / n)[:3, 0], [0.5], (1 / -np.expm1(-n) - 1 / n)[3:, 0],
                           [1 - 1 / 800]])
    np.testing.assert_allclose(found_mean[:, 0], mean, rtol=1e-6, atol=EPS[dtype])


def test_the_continuous_bernoulli_s_mean_has_its_digits_on_both_sides_of_one_half():
    """Below, by a series; there 1 / (1 - e^-a) - 1 / a has lost no more than a digit."""
    a = np.array([[-0.55, -0.49, -0.3, 0.3, 0.49, 0.55]])
    np.testing.assert_allclose(continuous_bernoulli_mean(a), 1 / -np.expm1(-a) - 1 / a, rtol=1e-12)


def test_the_continuous_bernoulli_s_slope_at_0_is_one_half():
    slope = continuous_bernoulli_nll(np.array([[1e-20j, -1 + 1e-20j]]), np.zeros((1, 2))).imag / 1e-20
    mean = 1 / -np.expm1(1) + 1
    assert slope[0] == pytest.approx(0.5 + mean, rel=1e-12)


@both_dtypes
@pytest.mark.parametrize("log_s", [-2.0, -1.0, 0.7])
def test_a_level_has_the_logistic_s_mass_within_half_a_level(log_s, dtype):
    k = np.array([[0, 1, 100, 254, 255]])
    m = np.linspace(0.1, 0.9, 5)[:, None] + 0 * k
    s, x = np.exp(log_s), k / 255
    above = np.where(k == 255, 1, special.expit((x + 1 / 510 - m) / s))
    below = np.where(k == 0, 0, special.expit((x - 1 / 510 - m) / s))
    theta = np.hstack([m, np.full(m.shape, log_s)]).astype(dtype)
    found = discretized_logistic_nll(theta, np.repeat(x, 5, axis=0).astype(dtype))
    np.testing.assert_allclose(found, -np.log(above - below).sum(axis=1), rtol=1e-4 if dtype == np.float32 else 1e-10)


@both_dtypes
def test_the_mean_of_levels_is_the_integral_of_what_lies_above(dtype):
    m, log_s = (grid.ravel() for grid in np.meshgrid([-1, 0, 0.3, 0.5, 0.8, 1, 1.7], [-4, -1, -0.01, 0, 0.01, 1, 5]))
    t = (np.arange(20_000) + 0.5) / 20_000
    expected = [special.expit((one - t) / np.exp(width)).mean() for one, width in zip(m, log_s)]
    found = discretized_logistic_mean(np.stack([m, log_s], axis=1).astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=2e-7 if dtype == np.float32 else 1e-8)
    ends = np.array([[0.3, -100], [0.3, 100], [3, -100], [-2, -100], [0.00137, -12], [0.00211, -12]]
                    + [[m, -0.3] for m in (1000.3, 1000.7, -1000.3, -1000.7)], dtype)
    with np.errstate(all="raise", under="ignore"):
        found = discretized_logistic_mean(ends)[:, 0]
    np.testing.assert_allclose(found, [0.3, 0.5, 1, 0, *ends[4:6, 0], 1, 1, 0, 0], rtol=EPS[dtype], atol=1e-14)


# Labels and pixels

def test_labels_are_columns_of_zeros_and_a_one(rng):
    c = one_hot(np.array([2, 0, 2]), 4, np.float32)
    np.testing.assert_array_equal(c, np.eye(4)[[2, 0, 2]])
    assert c.dtype == np.float32
    x = rng.standard_normal((3, 2))
    np.testing.assert_array_equal(concatenate(x, c.astype(float)), np.hstack([x, c]))


def test_a_pixel_of_value_v_is_1_for_v_of_255_thresholds():
    images = np.arange(256, dtype=np.uint8)[:, None].repeat(255, axis=1)
    thresholds = np.arange(255, dtype=np.uint8)[None].repeat(256, axis=0)
    rows = np.arange(255, -1, -1)
    x = pick_binary_pixels(images, rows, thresholds, np.full((256, 255), np.nan))
    np.testing.assert_array_equal(x.sum(axis=1), rows)
    assert set(np.unique(x)) == {0, 1}


@both_dtypes
def test_bytes_become_numbers_from_0_to_1(dtype):
    images = np.arange(256, dtype=np.uint8)[:, None]
    rows = np.arange(255, -1, -1)
    x = np.full((256, 1), np.nan, dtype)
    assert pick_pixels(images, rows, x) is x
    np.testing.assert_allclose(x[:, 0], rows / 255, rtol=EPS[dtype])
