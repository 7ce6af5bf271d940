"""Every kernel against the NumPy that it replaces; the switch between them; the polynomials; the cache on disk."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.kernels.exponential import exp, expm1, log, log1p
from numpyvae.kernels.jit import _fingerprint, jit
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.functional.dense import new_array
from numpyvae.functional.gaussian import gaussian_kl, reparameterize
from numpyvae.functional.likelihoods import bernoulli_nll, gaussian_nll
from numpyvae.twin import is_array, kernels_are_on, twin

from twins import all_twins, arguments, as_tuple, compiled, copies, lengths, twins_with_kernels

needs_kernels = pytest.mark.skipif(not kernels_are_on(), reason="kernels are off")
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}
SIZES = [(5, 7, 3), (1, 7, 4), (3, 1, 1), (1,), (33, 129, 17, 65), (3, 784, 5)]


def error(found, expected):
    """The largest difference, relative to the largest number in the array."""
    assert found.shape == expected.shape
    return np.abs(found.astype(float) - expected).max() / max(np.abs(expected.astype(float)).max(), 1e-30)


@needs_kernels
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", twins_with_kernels())
def test_kernel_equals_its_reference(name, dtype, sizes, rng):
    f = all_twins()[name]
    made = arguments(f, lengths(*sizes), dtype, rng)
    made = {key: dtype(value) if isinstance(value, float) else value for key, value in made.items()}
    expected = as_tuple(f.reference(*copies(made)))
    found = as_tuple(compiled(f)(*copies(made)))
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.dtype == other.dtype == dtype
        assert not np.isnan(one).any()
        assert error(one, other) <= TOLERANCE[dtype]


@needs_kernels
@pytest.mark.parametrize("name", twins_with_kernels())
def test_kernel_is_readable_python_that_does_the_same(name, rng):
    """Not compiled, the kernel is a plain function: what the mutants and the coverage see."""
    f = all_twins()[name]
    made = arguments(f, lengths(3, 4, 2), np.float64, rng)
    for one, other in zip(as_tuple(f.kernel(*copies(made))), as_tuple(f.reference(*copies(made)))):
        assert error(one, other) <= 1e-12


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", all_twins())
def test_non_contiguous_input_gives_the_same(name, dtype, rng):
    f = all_twins()[name]
    made = arguments(f, lengths(5, 7, 3), dtype, rng)

    def strided(value):    # every second entry of a larger array
        if not isinstance(value, np.ndarray):
            return value
        wide = np.zeros(tuple(2 * n for n in value.shape), value.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in value.shape)]
        view[...] = value
        return view
    expected = as_tuple(f(*copies(made)))
    found = as_tuple(f(*map(strided, copies(made))))
    for one, other in zip(found, expected):
        assert error(one, other) <= TOLERANCE[dtype]


@needs_kernels
def test_a_complex_array_takes_the_reference_and_a_real_one_the_kernel(rng):
    calls = []

    def kernel(a):
        return a * 2

    @twin(kernel, a="B D")
    def double(a):
        calls.append(a.dtype)
        return a * 2
    try:
        for dtype in (np.float32, np.float64, np.complex128):
            double(np.ones((2, 3), dtype))
        assert calls == [np.complex128]
        double(np.ones((3, 2)).T)
        with nv.kernels_off():
            double(np.ones((2, 3)))
        assert calls[1:] == [np.float64, np.float64]
    finally:
        from numpyvae.twin import registry
        del registry[f"{__name__}.double"]


@needs_kernels
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no interval timers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")    # from the dropped exceptions, below
def test_ctrl_c_in_a_kernel_is_a_keyboard_interrupt(rng):
    """numba runs Python to wrap up an array that a kernel returns; interrupted there it raises SystemError."""
    y, b = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    add_bias_relu = ACTIVATIONS["relu"].loops[0]
    add_bias_relu(y, b)

    interrupts, caught = [], 0

    def interrupt(*_):
        interrupts.append(True)
        raise KeyboardInterrupt

    def run():    # in a frame of its own: Python 3.13.0's loops raise past an except in the same frame
        while not interrupts:    # Python drops an exception raised during garbage collection
            add_bias_relu(y, b)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for seconds in rng.uniform(1e-5, 3e-4, 300):
            interrupts.clear()
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                run()
            except KeyboardInterrupt:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught > 250


def test_a_twin_is_declared_with_every_parameter():
    with pytest.raises(TypeError, match=r"was given shapes for \['a'\], but the parameters are \['a', 'b'\]"):
        @twin(lambda a, b: a, a="B D")
        def f(a, b):
            return a


ONE = np.ones((2, 3))


@pytest.mark.parametrize("call, words", [
    (lambda: gaussian_kl([[1.0]], ONE), "gaussian_kl: mu is \\[\\[1.0\\]\\]; expected a NumPy array of float,"),
    (lambda: gaussian_kl(ONE, np.array([["a"]])), "gaussian_kl: logvar is an array \\(1, 1\\) of <U1"),
    (lambda: gaussian_kl(ONE, ONE[:1]), r"logvar has shape \(1, 3\); expected \(B, Z\) with B = 2, Z = 3"),
    (lambda: gaussian_kl(ONE[0], ONE[0]), r"mu has shape \(3,\); expected \(B, Z\)"),
    (lambda: reparameterize(ONE, ONE, ONE[:, :2]), r"eps has shape \(2, 2\)"),
    (lambda: gaussian_nll(ONE, ONE, "1"), "sigma is str; expected a positive number"),
    (lambda: gaussian_nll(ONE, ONE, True), "sigma is bool; expected a positive number"),
    (lambda: gaussian_nll(ONE, ONE, 0.0), "sigma is 0.0; expected a positive number, from 1e-150 to 1e150"),
    (lambda: gaussian_nll(ONE, ONE, np.nan), "sigma is nan; expected a positive number"),
    (lambda: nv.functional.activations.relu_backward(ONE, ONE[:1]), "expected .* the shape of dy"),
])
@pytest.mark.parametrize("mode", [nv.kernels_off, contextlib.nullcontext])
def test_wrong_arguments_give_a_sentence_on_both_paths(call, words, mode):
    with mode(), pytest.raises((TypeError, ValueError), match=words):
        call()


def test_a_result_never_shares_memory_with_an_argument_unless_it_is_written_there(rng):
    for f in all_twins().values():
        made = arguments(f, lengths(5, 7, 3), np.float64, rng)
        values = copies(made)
        written = [value for name, value in zip(made, values) if name in f.writes]
        for mode in (nv.kernels_off, contextlib.nullcontext):
            with mode():
                for result in as_tuple(f(*values)):
                    for value in values:
                        if isinstance(value, np.ndarray) and not any(value is w for w in written):
                            assert not np.shares_memory(result, value), f.name


@pytest.mark.parametrize("name, array", [
    (name, array) for name, f in all_twins().items() for array, spec in f.shapes.items()
    if is_array(spec) and f.signature.parameters[array].default is None])
def test_an_array_that_may_be_left_out_can_be(name, array, rng):
    f = all_twins()[name]
    made = arguments(f, lengths(5, 7, 3), np.float64, rng)
    expected = as_tuple(f(*copies(made)))
    found = as_tuple(f(**{key: value for key, value in made.items() if key != array}))
    assert len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("name, array", [
    (name, array) for name, f in all_twins().items() if f.writes for array, spec in f.shapes.items()
    if is_array(spec) and ":" not in spec and array not in f.writes])
@pytest.mark.parametrize("mode", [nv.kernels_off, contextlib.nullcontext])
def test_a_complex_array_is_refused_where_its_result_goes_to_a_real_one(mode, name, array, rng):
    f = all_twins()[name]
    made = arguments(f, lengths(5, 7, 3), np.float64, rng)
    made[array] = made[array].astype(complex)
    with mode(), pytest.raises(TypeError, match=f"{f.name}: {array} has dtype complex128, which .* cannot hold"):
        f(**made)


# The polynomials

def exp_loop(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])
    return y


def expm1_loop(x, y):
    for i in range(x.size):
        y[i] = expm1(x[i])
    return y


def log_loop(x, y):
    for i in range(x.size):
        y[i] = log(x[i])
    return y


def log1p_loop(x, y):
    for i in range(x.size):
        y[i] = log1p(x[i])
    return y


LOOPS = {"exp": exp_loop, "expm1": expm1_loop, "log": log_loop, "log1p": log1p_loop}


@pytest.mark.parametrize("dtype, bound", [(np.float32, 2e-7), (np.float64, 5e-16)])
@pytest.mark.parametrize("name, low, high", [("exp", -87, 88), ("expm1", -60, 60), ("expm1", -1e-3, 1e-3),
                                             ("log", 1e-30, 1), ("log", 0.9, 1.1), ("log", 1, 1e9),
                                             ("log1p", 0, 1), ("log1p", 0, 1e-4)])
@needs_kernels
def test_polynomials_are_as_exact_as_the_precision(name, low, high, dtype, bound):
    import numba
    jit(bernoulli_nll.kernel)    # teaches numba our exponentials
    compiled = numba.njit(LOOPS[name])
    x = np.linspace(low, high, 200_001).astype(dtype)
    y = compiled(x, np.empty_like(x))
    exact = getattr(np, name)(x.astype(np.longdouble))
    nonzero = exact != 0
    assert y.dtype == dtype
    assert float(np.max(np.abs((y[nonzero] - exact[nonzero]) / exact[nonzero]))) < bound


@needs_kernels
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_not_a_number_stays_not_a_number(dtype):
    nan = np.full((1, 2), np.nan, dtype)
    assert np.isnan(gaussian_kl(nan, nan)).all()
    assert np.isnan(bernoulli_nll(nan, np.ones((1, 2), dtype))).all()
    for activation in ACTIVATIONS.values():
        y = nan.copy()
        activation.add_bias(y, nan[0], new_array)
        assert np.isnan(y).all()


# The cache on disk

PROGRAM = """
import numpy as np, numpyvae as nv
from numpyvae.functional.gaussian import gaussian_kl
print(gaussian_kl(np.ones((1, 2)), np.zeros((1, 2)))[0], sum(gaussian_kl._compiled.stats.cache_hits.values()))
"""


def run(program, **environment):
    return subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True,
                          text=True, timeout=300)


@needs_kernels
def test_the_second_process_finds_the_kernel_in_the_cache(tmp_path):
    first, second = (run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.stdout == "1.0 0\n" and first.stderr == ""
    assert second.stdout == "1.0 1\n"


@needs_kernels
def test_numba_still_has_the_private_stamp_that_jit_sets(tmp_path, monkeypatch):
    """Without it jit() falls back to compiling in every process, and blames the folder."""
    import numba
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))    # this folder may be read-only
    stamp = numba.njit(cache=True)(gaussian_kl.kernel)._cache._cache_file._source_stamp
    assert stamp is not None and jit(gaussian_kl.kernel)._cache._cache_file._source_stamp == _fingerprint()


@pytest.mark.parametrize("value, said", [("off", "NUMPYVAE_KERNELS is 'off', which has no effect; expected 0"),
                                         ("0", ""), ("1", ""), ("", "")])
def test_the_variable_that_switches_kernels_off_is_0(value, said):
    done = subprocess.run([sys.executable, "-c", "import numpyvae"], env={**os.environ, "NUMPYVAE_KERNELS": value},
                          capture_output=True, text=True)
    assert done.returncode == 0 and (said in done.stderr if said else "NUMPYVAE_KERNELS" not in done.stderr)


@needs_kernels
def test_a_change_in_any_kernel_file_makes_the_cache_stale(tmp_path):
    run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path))
    changed = "import numpyvae.kernels.jit as j; j._fingerprint = lambda: 'another'\n" + PROGRAM
    assert run(changed, NUMBA_CACHE_DIR=str(tmp_path)).stdout == "1.0 0\n"
    assert len(_fingerprint()) == 64


@needs_kernels
def test_where_no_cache_can_be_written_one_line_says_so(tmp_path):
    locked = tmp_path / "a file, no folder"
    locked.write_text("")
    twice = PROGRAM + "nv.functional.gaussian.reparameterize(*3 * [np.ones((1, 2))])\n"
    twice = twice.replace(", sum(gaussian_kl._compiled.stats.cache_hits.values())", "")
    only_there = "UserProvidedCacheLocator"    # otherwise numba would write into this checkout next
    done = run(twice, NUMBA_CACHE_DIR=str(locked / "inside"), NUMBA_CACHE_LOCATOR_CLASSES=only_there)
    assert done.returncode == 0 and done.stdout == "1.0\n"
    assert done.stderr.count("\n") == 1 and "set NUMBA_CACHE_DIR" in done.stderr


def test_import_compiles_nothing_and_leaves_the_heavy_libraries_alone():
    done = run("import sys, numpyvae\nprint([m for m in ('numba', 'matplotlib', 'tqdm', 'torch', 'jax') "
               "if m in sys.modules])")
    assert done.stdout == "[]\n"


def test_kernels_are_off_where_numba_is_missing(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('no numba on this machine')\n")
    done = run("import numpy as np, numpyvae as nv\n"
               "print(nv.functional.gaussian.gaussian_kl(np.ones((1, 2)), np.zeros((1, 2)))[0])",
               PYTHONPATH=str(tmp_path))
    assert done.stdout == "1.0\n", done.stderr


def test_the_kernel_files_know_nothing_of_the_package():
    for path in (pathlib.Path(nv.__file__).parent / "kernels").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from .", "import numpyvae")):
                assert not line.startswith("from .."), f"{path.name}: {line}"


@pytest.mark.parametrize("mode", [nv.kernels_off, contextlib.nullcontext])
def test_a_number_is_no_array_also_after_one_of_the_same_shape(mode):
    """np.float64(2) has the shape and dtype of np.array(2.0): the kernel must not be trusted with it."""
    with mode():
        nv.functional.sigmoid(np.array(2.0))
        with pytest.raises(TypeError, match="sigmoid: a is np.float64.2.0.; expected a NumPy array"):
            nv.functional.sigmoid(np.float64(2))
