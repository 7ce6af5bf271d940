"""Every argument of every public function, method and constructor: a result, or a sentence that names the argument.

The public surface is walked: what is added to `__all__` is tested too, and fails until VALID knows its arguments.
"""
import copy
import inspect
import os
import pickle
import random
import re
import sys
import traceback
import types
import warnings
from unittest import mock

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import numpyvae as nv
from numpyvae.arguments import checked
from numpyvae.models.likelihoods import make_likelihood
from numpyvae.twin import Twin

from twins import arguments as twin_arguments
from twins import lengths

# What the package makes and hands out: nobody else constructs these, and all that they are given are results.
MADE_HERE = (nv.LossTerms, nv.Record, nv.Examination, nv.datasets.DataSet, nv.evaluation.LogLikelihood,
             nv.exact.ProbabilisticPCA, nv.gradcheck.OwnReport, nv.gradcheck.Report, nv.gradcheck.Row,
             nv.museum.Exhibit)
INNER = {"named_layers"}    # of Parameters: an iterator, which inspecting it would use up


def surface():
    """Every public callable by name: the functions, constructors and methods that `__all__` leads to."""
    found = {}

    def walk(module):
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, types.ModuleType):
                walk(thing)
            elif inspect.isclass(thing):
                if thing not in MADE_HERE:
                    found[thing.__name__] = thing
                for method, function in inspect.getmembers(thing, callable):
                    if not method.startswith("_") and not hasattr(tuple, method) and not hasattr(dict, method):
                        found[f"{thing.__name__}.{method}"] = function
            elif callable(thing) and getattr(thing, "__module__", "").startswith("numpyvae"):
                found[f"{thing.__module__.removeprefix('numpyvae.')}.{thing.__name__}"] = thing
    walk(nv)
    return found


SURFACE = surface()
PACKAGE = os.path.dirname(nv.__file__)


def generator():
    return np.random.default_rng(0)


def model(kind=nv.VAE, **options):
    """A small one that has seen a batch, so that whatever needs an earlier forward pass has had one."""
    made = kind.dense(12, (6,), 2, rng=generator(), dtype=np.float64, **options)
    made.loss_and_grad(batch(), *made.noise(6, generator()))
    return made


def batch(n=6, width=12):
    return generator().random((n, width))


def images():
    return generator().integers(0, 256, (6, 4, 3), np.uint8)


def linear():
    return nv.VAE.dense(12, (), 2, "gaussian", rng=generator(), dtype=np.float64)


def saved():
    model().save("model.npz")
    return "model.npz"


def ready(layer, x):
    layer.forward(x)
    return layer


def dense():
    return ready(nv.Dense(12, 5, "tanh", rng=generator(), dtype=np.float64), batch())


SELVES = {
    "VAE": model, "Autoencoder": lambda: model(nv.Autoencoder), "Dense": dense, "Adam": nv.Adam, "SGD": nv.SGD,
    "Momentum": nv.Momentum, "Parameters": lambda: model().parameters,
    "Conv2d": lambda: ready(nv.Conv2d(1, 2, 3, rng=generator(), dtype=np.float64), batch(2, 30).reshape(2, 6, 5, 1)),
    "ConvTranspose2d": lambda: ready(nv.ConvTranspose2d(1, 2, 3, rng=generator(), dtype=np.float64),
                                     batch(2, 30).reshape(2, 6, 5, 1)),
    "Reshape": lambda: ready(nv.Reshape((4, 3)), batch()),
    "Flatten": lambda: ready(nv.Flatten(), batch().reshape(6, 2, 2, 3)),
    "Sequential": lambda: ready(nv.Sequential([dense()]), batch()),
    "ProbabilisticPCA": lambda: nv.exact.probabilistic_pca(generator().random((30, 12)), 2),
    "Record": lambda: RECORDS[0], "DataSet": lambda: nv.datasets.DataSet("own", images(), images(), None, None),
    "Report": lambda: nv.gradcheck.gradcheck("relu", "complex-step"),
    "OwnReport": lambda: nv.gradcheck.check(dense()),
}
RESULT = {"log_likelihood": -1.0, "standard_error": 0.1, "images": 3, "samples": 10, "effective_sample_size": 5.0,
          "elbo": -1.5, "rate": 1.0, "distortion": 0.5, "active_units": 1, "n_latent": 2, "aggregate_mean": [0.1],
          "aggregate_variance": [1.0]}
RECORDS = [nv.Record(1, 3.0, 2.0, 1.0, None, 1.0, 1.0)]
VALID = {    # by the argument's name
    **dict.fromkeys(("n", "n_latent", "groups", "epochs", "samples", "n_classes", "gap", "columns", "steps", "n_in",
                     "n_out", "kernel_size", "stride", "index", "seed", "n_hidden", "patience"), lambda: 2),
    "n_data": lambda: 12, "batch_size": lambda: 3, "points": lambda: 5, "padding": lambda: 1,
    "output_padding": lambda: 0, "warmup": lambda: 0, "hidden": lambda: (6,), "shape": lambda: (4, 3, 1),
    "channels": lambda: (2, 3), "dimensions": lambda: (0, 1), "dtype": lambda: np.float64, "rng": generator,
    **dict.fromkeys(("lr", "sigma", "beta", "lr_end", "eps", "nll"), lambda: 0.5), "reach": lambda: 4.0,
    **dict.fromkeys(("beta1", "beta2", "momentum", "minimum"), lambda: 0.5), "baseline": lambda: 0.5,
    **dict.fromkeys(("pixel_noise", "progress", "colour", "transpose"), lambda: False), "need_dx": lambda: True,
    "hold_out": lambda: True,
    "likelihood": lambda: "bernoulli", "activation": lambda: "tanh", "init": lambda: "fan-in",
    "network": lambda: "dense", "split": lambda: "test", "binarize": lambda: "none", "method": lambda: "complex-step",
    "component": lambda: "relu", "name": lambda: "mu_head.W", "label": lambda: "class", "prefix": lambda: "a",
    "data": lambda: "strokes", "data_dir": lambda: None, "terms": lambda: ("kl",),
    "checkpoint_every": lambda: "3 steps", "checkpoint": lambda: None, "resume": lambda: None,
    **dict.fromkeys(("test", "size", "array", "label_array", "classes", "passed_over"), lambda: None),
    "path": lambda: "file.npy", "stop": lambda: lambda: False,
    "x": batch, "z": lambda: batch(6, 2), "mu": lambda: batch(6, 2), "logvar": lambda: batch(6, 2),
    "images": images, "image": lambda: images()[0], "validation": images, "labels": lambda: None,
    "validation_labels": lambda: None, "objective": lambda: None, "codes": lambda: batch(6, 2),
    "test_codes": lambda: batch(3, 2), "test_labels": lambda: np.array([0, 1, 0]), "means": lambda: batch(6, 2),
    "values": lambda: np.arange(6) % 2, "recovery": lambda: batch(3, 2), "variance": lambda: np.array([1.0, 2.0]),
    "weights": lambda: np.full(3, 1 / 3), "a": lambda: batch(), "log_w": lambda: batch(6, 30),
    "mean": lambda: batch(1, 12)[0], "A": lambda: batch(2, 12), "B": lambda: batch(3, 12),
    "covariance": lambda: np.eye(12), "factors": lambda: {"thickness": np.arange(6.0)}, "result": lambda: RESULT,
    "records": lambda: RECORDS, "saved": lambda: RECORDS[0].to_json(), "ax": lambda: None,
    "report": lambda: nv.gradcheck.gradcheck("relu", "complex-step"),
    "draws": lambda: 2000, "held_out": lambda: "test",
    "vae": model, "model": model, "optimizer": nv.Adam, "parameters": lambda: model().parameters,
    "encoder": lambda: model().encoder, "decoder": lambda: model().decoder, "posterior": lambda: model().posterior,
    "prior": lambda: None, "parts": lambda: [], "layers": lambda: [dense()], "layer": dense,
    "named_layers": lambda: [("a", dense())], "analytic": batch, "numeric": batch,
    "loss": lambda: lambda: 0.0, "check": lambda: lambda method: {"x": (batch(), batch())},
    "forward": lambda: nv.functional.relu, "backward": lambda: nv.functional.relu_backward,
    "encode": lambda: None, "decode": lambda: None, "sample_z": lambda: None, "decodes_to": lambda: "logits",
    "gradients": lambda: None, "sample_x": lambda: None, "batches": lambda: None, "iwae": lambda: None,
}
OTHERWISE = {    # where a name means something else, or has to fit other arguments
    **{f"VAE.{name}": {"eps": lambda: batch(6, 2)} for name in ("loss", "loss_and_grad", "loss_terms", "check_batch")},
    **{f"training.objectives.{name}": {"eps": lambda: batch(6, 2)} for name in nv.objectives.__all__},
    "VAE": {"likelihood": lambda: make_likelihood("bernoulli", 1.0), "n_classes": lambda: None},
    "Autoencoder": {"likelihood": lambda: make_likelihood("bernoulli", 1.0),
                    "encoder": lambda: model(nv.Autoencoder).encoder},
    "Dense.backward": {"dy": lambda: batch(6, 5)}, "Sequential.backward": {"dy": lambda: batch(6, 5)},
    "Conv2d.forward": {"x": lambda: batch(2, 30).reshape(2, 6, 5, 1)},
    "Conv2d.backward": {"dy": lambda: batch(2, 24).reshape(2, 4, 3, 2)},
    "ConvTranspose2d": {"output_padding": lambda: 1},
    "ConvTranspose2d.forward": {"x": lambda: batch(2, 30).reshape(2, 6, 5, 1)},
    "ConvTranspose2d.backward": {"dy": lambda: generator().random((2, 8, 7, 2))},
    "Reshape": {"shape": lambda: (4, 3)}, "Reshape.backward": {"dy": lambda: batch().reshape(6, 4, 3)},
    "Flatten.forward": {"x": lambda: batch().reshape(6, 2, 2, 3)}, "Flatten.backward": {"dy": batch},
    "evaluation.factors.nearest_neighbour_accuracy": {"labels": lambda: np.arange(6)},
    "functional.convolution.conv2d_matrix": {"W": lambda: generator().random((3, 2, 1, 2)), "stride": lambda: (2, 1),
                                             "padding": lambda: (1, 0)},
    "exact.entropy.mixture_entropy": {"means": lambda: [-1.0, 0.0, 1.0]},
    "exact.pca.linear_loss": {"vae": linear}, "exact.pca.solve_linear_vae": {"vae": linear},
    "exact.pca.probabilistic_pca": {"x": lambda: generator().random((30, 12))},
    "gradcheck.numeric.differentiate": {"x": lambda: batch().astype(complex)},
    "gradcheck.layers.check_layer": {"x": batch}, "gradcheck.pairs.check_pair": {},
    "gradcheck.gradcheck": {"component": lambda: "relu"}, "gradcheck.check_component": {"name": lambda: "relu"},
    "training.fit.fit": {"samples": lambda: 1, "lr_end": lambda: 1e-4},
    "DataSet.labelled_as": {"classes": lambda: ["a"]},
    "examination.examine": {"model": lambda: None, "loss": lambda: None, "parameters": lambda: None,
                            "binarize": lambda: None, "momentum": lambda: None, "stop": lambda: None,
                            "nll": lambda: None,
                            "beta": lambda: 1.0, "sigma": lambda: 1.0},
    "report.plots.latent_grid": {"shape": lambda: (4, 3)}, "report.plots.latent_traversals": {},
    "models.loading.load": {"path": saved}, "datasets.mnist.mnist": {"data_dir": lambda: "nowhere"},
    "museum.right": {"model": lambda: nv.museum.vae.TinyVAE},
    **{f"{kind}.astype": {"dtype": lambda: np.float32} for kind in ("VAE", "Autoencoder")},
}
# What a VAE's halves pass to each other, and objectives to them: arrays that were checked on entry.
INSIDE = {f"VAE.{name}" for name in ("forward", "infer", "generate", "log_weight", "one_hot")} | {
    "ConditionalVAE", "FullCovarianceVAE"}    # and classes that are only constructors
FILES = {"models.loading.load", "datasets.files.load_images", "datasets.idx.read_idx", "datasets.mnist.mnist"}


def cases():
    """(callable, argument) of the whole surface."""
    for name, function in SURFACE.items():
        for argument in parameters_of(name, function):
            yield name, argument


def parameters_of(name, function):
    parameters = inspect.signature(function).parameters.values()
    skipped = {"self"} if "." in name and inspect.isfunction(function) else set()
    return [p.name for p in parameters
            if p.name not in skipped and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def valid(name):
    """Arguments with which this callable works."""
    function = SURFACE[name]
    if isinstance(function, Twin):
        return twin_arguments(function, lengths(4, 3, 2, 5), np.float64, generator())
    others = OTHERWISE.get(name, {})
    made = {}
    for argument in parameters_of(name, function):
        make = others.get(argument) or VALID[argument]
        made[argument] = make()
    return made


FEW = dict(list(nv.gradcheck.components().items())[:3])    # of all that gradcheck checks: all of it takes half a minute


def call(name, arguments):
    """The result; of a generator its first."""
    function = SURFACE[name]
    if "self" in inspect.signature(function).parameters:
        function = getattr(SELVES[name.split(".")[0]](), name.split(".")[1])
    with (warnings.catch_warnings(), np.errstate(all="ignore"),
          mock.patch.object(nv.gradcheck, "components", lambda: FEW)):
        warnings.simplefilter("ignore")
        result = function(**arguments)
        return next(result, None) if isinstance(result, types.GeneratorType) else result


scalars = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 3, 10**12, 2**63, -2**70, 10**5000, 0.0, -0.5, 1.5, 1e300, 1e-300,
                     np.float32(2), np.int64(3), np.bool_(True), 1j, "", "x", "\0", "a\nb", b"x", [], (), {}, set(),
                     [[1.0], [1.0, 2.0]], ["a"], [None], object(), object, int, len, ..., np.float64, "float16",
                     float("nan"), float("inf"), -float("inf")]),
    st.integers(-5, 9), st.floats(), st.text(max_size=5), st.lists(st.integers(-3, 3), max_size=4))
shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)
dtypes = st.sampled_from([np.float64, np.float32, np.int64, np.uint8, bool, complex, object, "U3", "datetime64[s]"])


@st.composite
def arrays(draw):
    shape, dtype = draw(shapes), draw(dtypes)
    return np.zeros(shape, dtype) if draw(st.booleans()) else np.ones(shape).astype(dtype)


@st.composite
def spoiled(draw, good):
    """An array that would do, but for one thing; lists and strided or read-only arrays are fine."""
    array = np.array(good)
    what = draw(st.integers(0, 11))
    if what <= 3 and array.dtype.kind == "f" and array.size:
        array.flat[draw(st.integers(0, array.size - 1))] = [np.nan, np.inf, -np.inf, 1e300][what]
    elif what == 4:
        array.flags.writeable = False
    elif what == 5 and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif what == 6:
        array = array[None]
    elif what == 7 and array.ndim:
        array = array[:0]
    elif what == 8 and array.ndim:
        array = array[:, :-1] if array.ndim > 1 else array[:-1]
    elif what == 9:
        array = array.astype(draw(dtypes))
    elif what == 10:
        array = -array if array.dtype.kind == "f" else array
    else:
        return array.tolist()
    return array


def fingerprint(arguments):
    """What must not change: arrays and lists, whatever else they are in."""
    return pickle.dumps({key: value for key, value in arguments.items()
                         if isinstance(value, (np.ndarray, list, tuple, dict)) and key not in INNER
                         and not isinstance(value, np.ndarray) or isinstance(value, np.ndarray)
                         and value.dtype != object})


def numbers_in(thing):
    """Every number of a result or an argument, as arrays."""
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, (tuple, list)):
        return [array for one in thing for array in numbers_in(one)]
    if isinstance(thing, (float, complex, np.generic, np.ndarray)):
        array = np.asarray(thing)
        return [array] if array.dtype.kind in "fc" else []
    return []


def holds_nan(thing):
    return any(np.isnan(array).any() for array in numbers_in(thing))


def is_tame(arguments):
    """Nothing in it is NaN, or so large that its square overflows."""
    with np.errstate(invalid="ignore"):
        return all((np.abs(array) < 1e15).all() for array in numbers_in(list(arguments.values())))


def is_ours(error, name, argument):
    """Raised by the package, in one line, with what was expected and the name of the argument; where two do not go
    together the later one is named, images are pixels, and a file is named by its path."""
    last, text = traceback.extract_tb(error.__traceback__)[-1].filename, str(error)
    if isinstance(error, OSError):
        return PACKAGE in last and "\n" not in text
    return PACKAGE in last and "\n" not in text and "expected" in text and (
        name in FILES or re.search(rf"\b{argument}\b", text) or "pixels" in text
        or "as in the earlier arguments" in text)


def test_what_is_walked_is_known():
    assert len(SURFACE) > 150
    for name, argument in cases():
        if not isinstance(SURFACE[name], Twin) and name not in INSIDE:
            assert argument in OTHERWISE.get(name, {}) or argument in VALID, f"{name}: {argument}"


def no_network(url):
    raise OSError(f"{url} was asked for")


@pytest.fixture(autouse=True)
def nothing_global(monkeypatch, tmp_path):
    """In an empty folder, without windows; and no global random state is read or changed."""
    monkeypatch.chdir(tmp_path)
    np.save("file.npy", images())
    monkeypatch.setattr(sys.modules["numpyvae.datasets.mnist"], "_fetch", no_network)
    matplotlib.use("Agg")
    before = random.getstate(), pickle.dumps(np.random.get_state())
    yield
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("name", [name for name in SURFACE if name not in INSIDE | FILES])
def test_the_valid_arguments_work(name):
    call(name, valid(name))


@pytest.mark.parametrize("name", [name for name, function in SURFACE.items()
                                  if parameters_of(name, function) and name not in INSIDE])
@given(data=st.data())
def test_a_bad_argument_gives_a_result_or_a_sentence(name, data):
    arguments = valid(name)
    argument = data.draw(st.sampled_from(sorted(arguments)), "argument")
    good = arguments[argument]
    bad = st.one_of(scalars, arrays(), spoiled(good)) if isinstance(good, np.ndarray) else st.one_of(scalars, arrays())
    arguments[argument] = copy.copy(data.draw(bad, "value"))
    annotation = str(inspect.signature(SURFACE[name]).parameters[argument].annotation)
    takes_code = name == "examination.examine" or annotation.startswith(("Callable[", "Buffers"))
    assume(not (takes_code and callable(arguments[argument])))    # what the caller's own code does is not tested
    writes = getattr(SURFACE[name], "writes", ())
    kept = {key: value for key, value in arguments.items() if key not in writes}
    before = fingerprint(kept)
    try:
        result = call(name, arguments)
        assert not (is_tame(kept) and holds_nan(result)), "NaN from finite numbers"
    except AssertionError:
        raise
    except Exception as error:
        reads = argument in ("path", "data", "data_dir", "test", "checkpoint", "resume") or name in FILES
        allowed = (ValueError, TypeError) + ((OSError,) if reads else ())
        assert isinstance(error, (*allowed, FloatingPointError)), repr(error)
        assert is_ours(error, name, argument), repr(error)
    assert fingerprint(kept) == before, f"{name} changed an argument"


def test_a_number_that_does_not_say_what_it_may_be_is_found_when_the_function_is_made():
    with pytest.raises(TypeError, match=r"f takes n: int, .* which values are allowed; expected checked\(n="):
        @checked()
        def f(n: "int", flag: "bool"):
            return n


def test_numpy_s_numbers_are_as_good_as_python_s(rng):
    """NumPy's overflow, warn or do not fit into JSON where Python's do."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae = nv.ConditionalVAE.dense(784, (np.uint8(200),), np.int64(2), "gaussian", sigma=np.float32(0.5),
                                      n_classes=np.uint8(9) + np.uint8(1), rng=rng)
        assert vae.decoder.layers[-1].params["b"].shape == (784,)
        assert [type(n) for n in (vae.encoder.layers[0].n_out, vae.n_latent, vae.n_classes)] == [int] * 3
        assert type(nv.Adam(np.float32(1e-3)).lr) is float
        np.testing.assert_allclose(nv.functional.gaussian_nll(np.zeros((1, 2)), np.ones((1, 2)), np.float32(1.0)),
                                   1 + np.log(2 * np.pi))
        std = nv.Dense(np.uint8(200), np.uint8(100), init="glorot", rng=rng).params["W"].std()
        np.testing.assert_allclose(std, np.sqrt(2 / 300), rtol=0.02)


def test_ranges_arrays_and_paths_are_taken(rng, tmp_path):
    vae = model()
    for dimensions in range(2), np.array([1, 0]), [0, 1]:
        nv.plots.latent_traversals(vae, batch()[0], dimensions, 3)
    np.save(tmp_path / "images.npy", images())
    assert len(nv.datasets.load_dataset(tmp_path / "images.npy").train) == 5


def test_what_would_be_changed_in_a_copy_is_refused():
    def loss():
        return float(np.sum(x))
    for x, method in (([1.0, 2.0], "central-differences"), (np.array([1, 2]), "central-differences"),
                      (np.array([1.0, 2.0]), "complex-step")):
        with pytest.raises(TypeError, match="x is .*; expected"):
            nv.gradcheck.differentiate(loss, x, method)


@pytest.mark.parametrize("values, named", [
    ([[1], [1, 2]] * 3, "rows of equal"), ([None] * 6, "real numbers"), ([np.nan] * 6, "NaN"), ([1, 2], "N = 6")])
def test_a_factor_that_cannot_be_counted_is_named(values, named):
    with pytest.raises((TypeError, ValueError), match=rf"factors\['a'\].*{named}"):
        nv.evaluation.factor_recovery(batch(), {"a": values})
