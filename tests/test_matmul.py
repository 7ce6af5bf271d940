"""The matrix product: the words for vectors, the tiles, their edges, and who multiplies."""
import importlib
import inspect
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from numpyvae.functional.affine import SMALL_PRODUCT, add_transposed_matmul
from numpyvae.kernels import matmul, processor, vectors
from numpyvae.kernels.jit import jit
from numpyvae.kernels.loop_for import loop_for
from numpyvae.twin import kernels_are_on

affine = importlib.import_module("numpyvae.functional.affine")    # numpyvae.functional.affine is the function
needs_kernels = pytest.mark.skipif(not kernels_are_on(), reason="kernels are off")
LOOPS = {loop.__name__: loop for loop in (matmul.matmul_three_loops, matmul.matmul_reordered, *matmul.by_6x16.values(),
                                          *matmul.by_8x48.values(), matmul.matmul_rows)}
TILED = {f"matmul_{size}x{columns}_{way}": (16 if way == "by_strips" else size, 16 if way == "transposed" else 1, 16)
         for size, columns in ((6, 16), (8, 48)) for way in ("in_place", "copied", "transposed", "by_strips")}
TILED["matmul_rows"] = 3, 1, 2    # the least M, K and N
AVX2, AVX512 = "+avx2,+fma", "+avx2,+fma,+avx512f"
TAKE_B_TRANSPOSED = {"matmul_6x16_transposed", "matmul_8x48_transposed", "matmul_rows"}


def operands(name, sizes, rng, a_transposed=False):
    M, K, N = sizes
    a_transposed |= name.endswith("by_strips")
    a = rng.standard_normal((K, M), np.float32).T if a_transposed else rng.standard_normal((M, K), np.float32)
    b = rng.standard_normal((N, K) if name in TAKE_B_TRANSPOSED else (K, N), np.float32)
    return a, b, np.full((M, N), np.nan, np.float32)


def worst_error(name, a, b, out):
    """The largest error of a number, relative to the norms of the row and the column that it is the product of."""
    a, b = a.astype(float), b.astype(float)
    b = b.T if name in TAKE_B_TRANSPOSED else b
    return (np.abs(out - a @ b) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=0))).max()


def words(a, b, out):
    """Every word, and what it is given: a (2, 16), b (17, 19), out (20, 20)."""
    x, y = vectors.load(b, 1, 3), vectors.load(b, 2, 2)
    vectors.store(vectors.fma(x, y, vectors.zeros()), out, 0, 1)
    vectors.store(vectors.fma(vectors.spread(a, 1, 5), y, x), out, 1, 0)
    out[19, 7] = vectors.sum_up(x)
    vectors.transpose(b, 1, 2, out, 4)
    return out


@needs_kernels
def test_each_word_compiled_means_what_its_body_says(rng):
    a, b = rng.standard_normal((2, 16), np.float32), rng.standard_normal((17, 19), np.float32)
    expected = np.full((20, 20), 7, np.float32)
    expected[0, 1:17] = b[1, 3:] * b[2, 2:18]
    expected[1, :16] = a[1, 5] * b[2, 2:18] + b[1, 3:]
    expected[19, 7] = b[1, 3:].sum()
    expected[2:18, 4:] = b[1:, 2:18].T
    for run in words, jit(words):
        np.testing.assert_allclose(run(a, b, np.full((20, 20), 7, np.float32)), expected, rtol=1e-6, atol=1e-6)


@needs_kernels
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["matmul_three_loops", "matmul_reordered"])
def test_the_loops_on_paper_agree_with_blas(name, transposed, rng):
    for sizes in [(1, 1, 1), (5, 9, 17), (13, 30, 513)]:
        a, b, out = operands(name, sizes, rng, transposed)
        assert worst_error(name, a, b, jit(LOOPS[name])(a, b, out)) < 1e-5
        assert worst_error(name, a, b, LOOPS[name](a, b, np.full_like(out, np.nan))) < 1e-5


@needs_kernels
@pytest.mark.parametrize("name", TILED)
def test_a_tiled_product_of_any_shape_agrees_with_float64(name, rng):
    least_rows, least_terms, least_columns = TILED[name]
    compiled = jit(LOOPS[name])
    shapes = [TILED[name], (least_rows + 1, least_terms + 1, least_columns + 1), (8, 16, 48), (9, least_terms, 49),
              (16, 17, 97), (7 * least_rows - 1, 33, 47), (2048, 20, 50), (20, 2048, 50), (20, 20, 2048)]
    shapes += [(least_rows + m, least_terms + k, least_columns + n) for m, k, n in rng.integers(0, 200, (20, 3))]
    for sizes in shapes:
        if sizes[0] < least_rows:
            continue
        for transposed in (False, True)[:1 if name == "matmul_rows" else 2]:
            a, b, out = operands(name, sizes, rng, transposed)
            assert worst_error(name, a, b, compiled(a, b, out)) < 1e-5, sizes


@needs_kernels
@pytest.mark.parametrize("name", sorted(set(TILED) - TAKE_B_TRANSPOSED))
def test_the_product_of_some_rows_has_the_bits_of_the_whole(name, rng):
    """Every number is one sum in one order, in whichever tile it lies; so an edge may be computed twice."""
    a, b, out = operands(name, (29, 50, 113), rng)
    compiled = jit(LOOPS[name])
    compiled(a, b, out)
    some = np.empty((17, 70), np.float32)
    compiled(a[3:20], np.ascontiguousarray(b[:, 20:90]), some)
    np.testing.assert_array_equal(some, out[3:20, 20:90])


@needs_kernels
@pytest.mark.parametrize("name", ["matmul_6x16_thin", "matmul_8x48_thin"])
def test_a_product_with_fewer_columns_than_a_register_agrees_with_float64(name, rng):
    compiled = jit(LOOPS[name])
    for n_columns in range(1, 16):
        for M, K in [(8, 1), (13, 200), *rng.integers((8, 1), 60, (3, 2))]:
            for transposed in False, True:
                a, b, out = operands(name, (M, K, n_columns), rng, transposed)
                assert worst_error(name, a, b, compiled(a, b, out)) < 1e-5
                assert worst_error(name, a, b, compiled(a, np.asfortranarray(b), out)) < 1e-5


@pytest.mark.parametrize("name", [*TILED, "matmul_6x16_thin", "matmul_8x48_thin"])
def test_not_compiled_a_product_is_readable_python_that_does_the_same(name, rng):
    a, b, out = operands(name, (18, 20, 9 if name.endswith("thin") else 70), rng)
    assert worst_error(name, a, b, LOOPS[name](a, b, out)) < 1e-5


WRONG_TILES = [    # of tile_6x16: a register lost, two exchanged, a row or a column missed, sums that start anywhere
    ("s3 = fma(spread(a, i + 3, k), b_k, s3)", "s3 = fma(spread(a, i + 3, k), b_k, s2)"),
    ("s5 = fma(spread(a, i + 5, k), b_k, s5)", "s5 = s5"), ("store(s2, out, i + 2, j)", "store(s1, out, i + 2, j)"),
    ("store(s4, out, i + 4, j)", "store(s5, out, i + 4, j)"), ("store(s0, out, i, j)", "store(s0, out, i, 0)"),
    ("spread(a, i + 1, k)", "spread(a, i + 2, k)"),
    ("range(a.shape[1])", "range(1, a.shape[1])"), ("= zeros()", "= fma(zeros(), zeros(), load(panel, 0, 0))")]


@pytest.mark.parametrize("right, wrong", WRONG_TILES)
def test_a_wrong_tile_is_seen(right, wrong, rng):
    source = inspect.getsource(matmul.tile_6x16)
    assert source.count(right) == 1
    names = dict(vars(matmul))
    exec(source.replace(right, wrong), names)
    tile, errors = names["tile_6x16"], []
    for name in "matmul_6x16_copied", "matmul_6x16_transposed":
        a, b, out = operands(name, (12, 18, 32), rng)
        loop = loop_for(name, LOOPS[name], tile=tile, narrow_tile=tile)
        errors.append(worst_error(name, a, b, loop(a, b, out)))
    assert not max(errors) < 1e-3 or np.isnan(errors).any()


ON_THE_LAST_PAGE = """
import ctypes, mmap, sys
import numpy as np
from numpyvae.kernels import matmul
from numpyvae.kernels.jit import jit

PAGE = mmap.PAGESIZE
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
kept = []

def fenced(rows, columns, rng):    # an array with a page at each end that nobody may touch
    size = 4 * rows * columns
    whole = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, whole + 2 * PAGE)
    kept.append(memory)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (first, first + PAGE + whole):
        assert protect(page, PAGE, 0) == 0
    start = PAGE + (whole - size if rng.random() < 0.5 else 0)
    array = np.frombuffer(memory, np.float32, rows * columns, start).reshape(rows, columns)
    array[:] = rng.standard_normal((rows, columns))
    return array

rng = np.random.default_rng(int(sys.argv[1]))
loops = {loop.__name__: jit(loop) for loop in (*matmul.by_6x16.values(), *matmul.by_8x48.values(), matmul.matmul_rows)}
for trial in range(40):
    M, K, N = (int(n) for n in rng.integers((8, 16, 16), (60, 60, 120)))
    for name, loop in loops.items():
        M, N = max(M, 16) if name.endswith("strips") else M, N % 15 + 1 if name.endswith("thin") else max(N, 16)
        for_b_transposed = name == "matmul_rows" or name.endswith("transposed")
        transposed = name.endswith("strips") or name != "matmul_rows" and rng.random() < 0.5
        a = fenced(K, M, rng).T if transposed else fenced(M, K, rng)
        b = fenced(N, K, rng) if for_b_transposed else fenced(K, N, rng)
        out = fenced(M, N, rng)
        loop(a, b, out)
        assert np.allclose(out, a @ (b.T if for_b_transposed else b), atol=1e-3), (name, M, K, N)
print("nothing beside them was touched")
"""


@needs_kernels
@pytest.mark.skipif(sys.platform == "win32", reason="mprotect is of POSIX")
def test_nothing_is_read_or_written_past_the_ends():
    done = subprocess.run([sys.executable, "-c", ON_THE_LAST_PAGE, "1"], capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == 0 and done.stdout == "nothing beside them was touched\n", done.stderr


# Who multiplies

@needs_kernels
@pytest.mark.parametrize("multiplier, expected", [("blas", "by BLAS: NUMPYVAE_MATMUL is blas"),
                                                  ("numba", "by our tiles of 6 x 16")])
def test_info_says_who_multiplies(multiplier, expected):
    done = subprocess.run([sys.executable, "-m", "numpyvae", "info"], capture_output=True, text=True,
                          env={**os.environ, "NUMPYVAE_MATMUL": multiplier, "NUMBA_CPU_FEATURES": AVX2})
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith(f"products:    {expected}")


def run(program, **environment):
    return subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=300)


WHO = """
from numpyvae.kernels import processor
tile, sizes, why = processor.decide()
print(tile and tile.name, sizes, why, sep='|')
"""
THREADS = "and several threads of BLAS are faster but for few rows"
LACKS = "None|few|our tiles are made for AVX-512 or AVX2 with FMA, which this processor lacks"


@needs_kernels
@pytest.mark.parametrize("environment, expected", [
    (dict(NUMPYVAE_MATMUL="blas"), "None|few|NUMPYVAE_MATMUL is blas"),
    (dict(NUMBA_CPU_FEATURES="+sse2"), LACKS),
    (dict(NUMBA_CPU_FEATURES="+avx2,-fma"), LACKS),
    (dict(NUMBA_CPU_FEATURES=AVX2, OPENBLAS_NUM_THREADS="2"),
     f"6 x 16|few|the processor has avx2 and fma, {THREADS}"),
    (dict(NUMBA_CPU_FEATURES=AVX512, OPENBLAS_NUM_THREADS="2"),
     f"8 x 48|few|the processor has avx512f, {THREADS}"),
    (dict(NUMBA_CPU_FEATURES=AVX2, OPENBLAS_NUM_THREADS="1"),
     "6 x 16|faster|the processor has avx2 and fma, and BLAS has one thread"),
    (dict(NUMBA_CPU_FEATURES=AVX512, NUMPYVAE_MATMUL="numba"),
     "8 x 48|every|the processor has avx512f; NUMPYVAE_MATMUL is numba")])
def test_the_processor_decides_who_multiplies(environment, expected):
    done = run(WHO, **{"NUMPYVAE_MATMUL": ""} | environment)
    assert done.stdout.strip() == expected, done.stderr


def test_an_unknown_multiplier_is_refused_in_a_line(monkeypatch):
    monkeypatch.setenv("NUMPYVAE_MATMUL", "mkl")
    expected = "^the environment's NUMPYVAE_MATMUL is 'mkl'; expected blas or numba, or leave it out$"
    with pytest.raises(ValueError, match=expected):
        processor.decide.__wrapped__()


@pytest.mark.parametrize("asked, expected", [("1", 1), ("0", None), ("many", None), ("10000", None)])
def test_blas_has_as_many_threads_as_the_environment_says_and_cores_there_are(asked, expected):
    def threads(**environment):
        clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        done = subprocess.run([sys.executable, "-m", "numpyvae", "info"], env=clean | environment, capture_output=True,
                              text=True)
        return int(re.search(r"of which BLAS may use (\d+)$", done.stdout, re.M).group(1))
    assert threads(OPENBLAS_NUM_THREADS=asked) == (expected or threads())


@pytest.mark.parametrize("sizes", [processor.EVERY, processor.FASTER, processor.FEW])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_right_whoever_multiplies(sizes, dtype, rng, monkeypatch):
    tile = processor.TILES[1] if kernels_are_on() else None
    monkeypatch.setattr(affine, "decide", lambda: processor.Decision(tile, sizes, "this test says so"))
    monkeypatch.setattr(affine, "_multipliers", {})
    multipliers = set()
    for M, K, N in [(1, 1, 1), (20, 400, 49), (33, 400, 32), (90, 60, 70), (40, 5, 15), (300, 30, 35)]:
        for a, b in [(rng.standard_normal((M, K)), rng.standard_normal((K, N))),
                     (rng.standard_normal((K, M)).T, rng.standard_normal((K, N))),
                     (rng.standard_normal((M, K)), rng.standard_normal((N, K)).T),
                     (rng.standard_normal((K, M)).T, rng.standard_normal((N, K)).T),
                     (rng.standard_normal((2 * M, K))[::2], rng.standard_normal((K, 2 * N))[:, ::2])]:
            a, b, out = a.astype(dtype, order="K"), b.astype(dtype, order="K"), np.full((M, N), np.nan, dtype)
            a.flags.writeable = b.flags.writeable = False    # as a file that is mapped, or another framework's array
            assert affine.matmul(a, b, out) is out
            np.testing.assert_allclose(out, a.astype(float) @ b, rtol=0, atol=1e-4)
    multipliers = {getattr(multiply, "__name__", "") for multiply in affine._multipliers.values()}
    ours = dtype == np.float32 and kernels_are_on()
    expected = ({"matmul_6x16_in_place", "matmul_6x16_copied", "matmul_6x16_by_strips"} if sizes != processor.FEW
                else set()) | ({"matmul_6x16_thin"} if sizes == processor.EVERY else set())
    assert multipliers - {"matmul"} == (expected | {"<lambda>"} if ours else set())


def test_arrays_that_do_not_fit_are_refused_whoever_multiplies():
    for a, b, out in [((20, 30), (31, 20), (20, 20)), ((20, 30), (30, 20), (21, 20)), ((20, 30), (30, 20), (20, 19))]:
        with pytest.raises(ValueError):
            affine.matmul(*(np.ones(shape, np.float32) for shape in (a, b, out)))


@pytest.mark.parametrize("sizes", [(9, 32), (9, 4), (40, 30)], ids=str)
@pytest.mark.parametrize("pieces", [0.001, 1, 2.5])
def test_a_sum_over_many_rows_is_the_same_in_pieces(sizes, pieces, rng):
    rows = 1 + int(pieces * SMALL_PRODUCT / np.prod(sizes))
    a, b = (rng.standard_normal((rows, n)) for n in sizes)
    total, scratch = np.ones(sizes), np.full(sizes, np.nan)
    add_transposed_matmul(a, b, total, scratch)
    np.testing.assert_allclose(total, 1 + a.T @ b, rtol=0, atol=1e-9)


TRAIN = """
import numpy as np, numpyvae as nv
rng = np.random.default_rng(0)
vae = nv.VAE.dense(100, (80,), 40, rng=rng)
x = rng.random((64, 100), np.float32)
eps = rng.standard_normal((64, 40), np.float32)
print(vae.loss_and_grad(x, eps).loss, *vae.parameters.grads)
"""


@needs_kernels
def test_a_vae_trains_with_our_own_product():
    ours, blas = (run(TRAIN, NUMPYVAE_MATMUL=name) for name in ("numba", "blas"))
    assert ours.returncode == 0, ours.stderr
    ours, blas = (np.array(done.stdout.split(), float) for done in (ours, blas))
    assert not (ours == blas).all()    # another order of sums: so both have run
    np.testing.assert_allclose(ours, blas, rtol=1e-4, atol=1e-5)
