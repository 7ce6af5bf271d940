"""What is exported, in the frameworks that it is for: the same numbers forward, the same gradients, the way back."""
import functools
import importlib.util
import itertools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae import export
from numpyvae.cli import main
from numpyvae.export.layout import weights_of
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.models.likelihoods import LIKELIHOODS, WITH_SIGMA
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.nn.layers import Dense, Flatten, Reshape

pytestmark = pytest.mark.oracle

SHAPE = (5, 4, 2)
KINDS = {
    "dense": functools.partial(nv.VAE.dense, 7, (6, 5), 3),
    "conv": functools.partial(nv.VAE.conv, SHAPE, (3, 4), 6, 3),
    "conditional": functools.partial(nv.ConditionalVAE.dense, 7, (6,), 3, n_classes=4),
    "conditional conv": functools.partial(nv.ConditionalVAE.conv, SHAPE, (3, 4), 6, 3, n_classes=4),
    "full": functools.partial(nv.FullCovarianceVAE.dense, 7, (6,), 3),
    "full conv": functools.partial(nv.FullCovarianceVAE.conv, SHAPE, (3, 4), 6, 3),
    "autoencoder": functools.partial(nv.Autoencoder.dense, 7, (6, 5), 3),
    "conv autoencoder": functools.partial(nv.Autoencoder.conv, SHAPE, (3, 4), 6, 3)}
CASES = list(itertools.product(KINDS, LIKELIHOODS, ACTIVATIONS))
# Every pair of a kind, a likelihood and an activation, where all triples would take minutes
PAIRS = [(kind, likelihood, list(ACTIVATIONS)[(i + j) % len(ACTIVATIONS)])
         for i, kind in enumerate(KINDS) for j, likelihood in enumerate(LIKELIHOODS)]
CLOSE = {np.float32: 1e-6, np.float64: 1e-12}       # of the largest number that is compared
SLOPES = {np.float32: 1e-5, np.float64: 1e-11}


@pytest.fixture(autouse=True)
def without_kernels():
    """They are held to this elsewhere, and take a minute to compile."""
    with nv.kernels_off():
        yield


def model_of(kind, likelihood, activation, dtype=np.float64):
    rng = np.random.default_rng(CASES.index((kind, likelihood, activation)))
    options = {"sigma": 0.7} if likelihood in WITH_SIGMA else {}
    options |= {} if "autoencoder" in kind else {"beta": 0.5}
    model = KINDS[kind](likelihood=likelihood, activation=activation, rng=rng, dtype=dtype, **options)
    model.parameters.values[:] = rng.normal(0, 0.4, len(model.parameters))    # biases and logvar too
    return model


def batch_of(model, n=5):
    """x and codes, and what a loss takes beside x: eps, and the labels, where there are some."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (n, model.n_data)) / 255
    x.flat[:2] = 0, 1    # the ends of every support
    z = rng.standard_normal((n, model.n_latent))
    eps = () if isinstance(model, nv.Autoencoder) else (rng.standard_normal((n, model.n_latent)).astype(model.dtype),)
    labels = () if model.n_classes is None else (rng.integers(0, model.n_classes, n),)
    return x.astype(model.dtype), z.astype(model.dtype), eps, labels


def close(found, expected, tolerance, called):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype, called
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1),
                               err_msg=called)


def imported(path):
    """A file of source as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def grads_there(model):
    """Our gradients, by the names and in the layout of the frameworks."""
    return {weight.theirs: model.parameters.grad(weight.ours).transpose(weight.axes) for weight in weights_of(model)}


def compare(model, dtype, encode, decode, loss, gradients):
    """Everything that an export computes with what we compute."""
    x, z, eps, labels = batch_of(model)
    for found, expected in zip(as_tuple(encode(x, *labels)), as_tuple(model.encode(x, *labels)), strict=True):
        close(found, expected, CLOSE[dtype], "encode")
    close(decode(z, *labels), model.decode(z, *labels), CLOSE[dtype], "decode")
    expected = model.loss_and_grad(x, *eps, *labels).loss
    per_pixel = dtype(1 / model.n_data)    # the loss is a sum over pixels, of which some are negative
    close(loss(x, *eps, *labels) * per_pixel, dtype(expected) * per_pixel, CLOSE[dtype], "loss")
    ours, theirs = grads_there(model), gradients(x, *eps, *labels)
    assert list(ours) == list(theirs)
    largest = np.abs(model.parameters.grads).max()
    for name, grad in ours.items():
        close(theirs[name] / largest, grad / largest, SLOPES[dtype], name)


# PyTorch

def numpy_of(torch, f):
    def run(*arrays):
        with torch.no_grad():
            found = f(*map(torch.from_numpy, arrays))
        return tuple(one.numpy() for one in found) if isinstance(found, tuple) else found.numpy()
    return run


@pytest.fixture
def torch(oracles):
    return oracles.torch


def check_torch(model, torch, folder):
    export.save(model, folder, "torch")
    module = imported(folder / "vae_torch.py").load()    # strict
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == {
        name: array.shape for name, array in grads_there(model).items()}

    def gradients(*batch):
        module.zero_grad()
        module(*map(torch.from_numpy, batch)).backward()
        return {name: one.grad.numpy() for name, one in module.named_parameters()}
    compare(model, model.dtype.type, numpy_of(torch, module.encode), numpy_of(torch, module.decode),
            numpy_of(torch, module.loss), gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_computes_the_same(kind, torch, tmp_path):
    for dtype, cases in ((np.float64, CASES), (np.float32, PAIRS)):
        for case in cases:
            if case[0] == kind:
                check_torch(model_of(*case, dtype), torch, tmp_path / "-".join((*case, dtype.__name__)))


# JAX

@pytest.fixture
def jax():
    import jax
    jax.config.update("jax_disable_most_optimizations", True)    # of the compiler, which takes most of the time
    return jax


def check_jax(model, jax, folder):
    export.save(model, folder, "jax")
    module = imported(folder / "vae_jax.py")
    weights = module.load()
    assert {weight.dtype for weight in weights.values()} == {model.dtype}

    def gradients(*batch):
        found = jax.grad(module.loss)(weights, *batch)
        return {name: found[name] for name in weights}    # JAX sorts them
    compare(model, model.dtype.type, functools.partial(module.encode, weights),
            functools.partial(module.decode, weights), functools.partial(module.loss, weights), gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_jax_computes_the_same(kind, jax, tmp_path):
    for case in [case for case in PAIRS if case[0] == kind]:
        with jax.enable_x64(True):
            check_jax(model_of(*case, np.float64), jax, tmp_path / "-".join(case))


def test_jax_in_float32(jax, tmp_path):
    check_jax(model_of("conditional conv", "bernoulli", "relu", np.float32), jax, tmp_path)


# ONNX

def session(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_onnx(model, folder):
    import onnx
    for path in export.save(model, folder, "onnx"):
        onnx.checker.check_model(onnx.load(path), full_check=True)
    model = model.astype(np.float32)
    x, z, _, labels = batch_of(model)
    given = {"labels": labels[0]} if labels else {}
    codes = session(folder / "encoder.onnx").run(None, {"x": x, **given})
    for found, expected in zip(codes, as_tuple(model.encode(x, *labels)), strict=True):
        close(found, expected, 1e-6, "encode")
    theta, mean = session(folder / "decoder.onnx").run(["theta", "mean"], {"z": z, **given})
    c = (model.one_hot(*labels, len(z)),) if labels else ()
    generate = model.decoder.forward if isinstance(model, nv.Autoencoder) else model.generate
    close(theta, generate(z, *c), 1e-6, "theta")
    close(mean, model.decode(z, *labels), 1e-6, "mean")


def own_geometry(rng, dtype):
    """A VAE of convolutions with windows, steps and margins that differ by axis, with two kinds of activations."""
    encoder = nv.Sequential([
        Reshape((7, 6, 2)), Conv2d(2, 3, (3, 2), (2, 1), (1, 0), "silu", rng=rng, dtype=dtype),
        Conv2d(3, 4, (2, 3), 2, (0, 1), rng=rng, dtype=dtype), Flatten(), Dense(24, 5, "gelu", rng=rng, dtype=dtype)])
    decoder = nv.Sequential([
        Dense(3, 24, "tanh", rng=rng, dtype=dtype), Reshape((2, 3, 4)),
        ConvTranspose2d(4, 3, (2, 3), (3, 2), (0, 1), (2, 1), "softplus", rng=rng, dtype=dtype),
        ConvTranspose2d(3, 4, 2, 1, (0, 0), rng=rng, dtype=dtype),
        Conv2d(4, 4, (2, 2), 1, 0, rng=rng, dtype=dtype), Flatten(2)])
    vae = nv.VAE(encoder, nv.posteriors.DiagonalGaussian(5, 3, rng=rng, dtype=dtype), decoder,
                 nv.likelihoods.GaussianLearned(), beta=2.0)
    assert vae.decode(np.zeros((1, 3), dtype)).shape == (1, vae.n_data)
    return vae


def test_convolutions_of_every_geometry(torch, jax, rng, tmp_path):
    vae = own_geometry(rng, np.float64)
    check_torch(vae, torch, tmp_path)
    with jax.enable_x64(True):
        check_jax(vae, jax, tmp_path)
    check_onnx(vae, tmp_path)


def test_a_linear_vae_has_an_empty_encoder(torch, jax, rng, tmp_path):
    vae = nv.VAE.dense(7, (), 3, likelihood="gaussian", rng=rng, dtype=np.float64)
    check_torch(vae, torch, tmp_path)
    with jax.enable_x64(True):
        check_jax(vae, jax, tmp_path)
    check_onnx(vae, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_computes_the_same(kind, tmp_path):
    for case in CASES:
        if case[0] == kind:
            check_onnx(model_of(*case), tmp_path / "-".join(case))


# Far out

@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_output_of_a_decoder_is_too_large(likelihood, torch, tmp_path):
    """Logits, means and scales from 1e-8 to 80: the nll, its gradient and E[x|z] stay right in float32 and float64."""
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-5)):
        model = model_of("dense", likelihood, "identity", dtype)
        export.save(model, tmp_path / dtype.__name__, "torch")
        module = imported(tmp_path / dtype.__name__ / "vae_torch.py")
        rng, n = np.random.default_rng(0), model.n_data
        size = np.exp(rng.uniform(np.log(1e-8), np.log(80), (400, n)))
        theta = (rng.choice([-1, 1], size.shape) * size).astype(dtype)
        theta[:3] = 0
        if model.likelihood.outputs_per_pixel == 2:
            theta = np.concatenate([theta / 40, rng.uniform(-5, 5, theta.shape)], axis=1).astype(dtype)
        x = (rng.integers(0, 256, (400, n)) / 255).astype(dtype)
        expected, slopes = (one.copy() for one in model.likelihood.nll_and_grad(np.ones(400, dtype), theta, x))
        there = torch.tensor(theta, requires_grad=True)
        sigma = (model.likelihood.sigma,) if likelihood in WITH_SIGMA else ()
        found = module.nll(there, torch.from_numpy(x), *sigma)
        found.sum().backward()
        np.testing.assert_allclose(found.detach(), expected, rtol=tolerance, atol=tolerance * n)
        np.testing.assert_allclose(there.grad, slopes, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(module.mean(there).detach(), model.likelihood.mean(theta), rtol=0,
                                   atol=tolerance * max(1, np.abs(theta).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_continuous_bernoulli_has_a_gradient_however_far_out(dtype, torch, tmp_path):
    """The fifth power of 1e5 squared is beyond float32, and what is not chosen by `where` is differentiated too."""
    model = model_of("dense", "continuous-bernoulli", "identity", dtype)
    export.save(model, tmp_path, "torch")
    theta = np.linspace(-1e5, 1e5, 2 * model.n_data, dtype=dtype).reshape(2, -1)
    x = np.full_like(theta, 0.4)
    there = torch.tensor(theta, requires_grad=True)
    imported(tmp_path / "vae_torch.py").nll(there, torch.from_numpy(x)).sum().backward()
    _, slopes = model.likelihood.nll_and_grad(np.ones(2, dtype), theta, x)
    np.testing.assert_allclose(there.grad, slopes, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_means_in_onnx_are_right_far_out_too(likelihood, tmp_path):
    """A decoder whose theta is what the test asks for: its one layer copies z."""
    rng = np.random.default_rng(0)
    kind, sigma = LIKELIHOODS[likelihood], {"sigma": 0.7} if likelihood in WITH_SIGMA else {}
    n = kind.outputs_per_pixel * 2
    decoder = nv.Sequential([Dense(n, n, rng=rng)])
    model = nv.Autoencoder(nv.Sequential([Dense(2, n, rng=rng)]), decoder, kind(**sigma))
    model.parameters["decoder.0.W"][:], model.parameters["decoder.0.b"][:] = np.eye(n), 0
    export.save(model, tmp_path, "onnx")
    size = np.exp(rng.uniform(np.log(1e-8), np.log(90), (1000, n)))
    theta = (rng.choice([-1, 1], size.shape) * size).astype(np.float32)
    theta[:5] = 0
    _, mean = session(tmp_path / "decoder.onnx").run(["theta", "mean"], {"z": theta})
    np.testing.assert_allclose(mean, model.decode(theta), rtol=1e-6, atol=2e-6)


# The library safetensors, and the way back

def test_the_library_reads_and_writes_the_same(rng, tmp_path):
    from safetensors import numpy as library
    for dtype in CLOSE:
        vae = model_of("full conv", "gaussian-shared", "tanh", dtype)
        path, _ = export.save(vae, tmp_path / dtype.__name__)
        found = library.load_file(path)
        assert all(np.array_equal(found[name], array) and found[name].dtype == dtype
                   for name, array in export.state_dict(vae).items())
        library.save_file(found, tmp_path / "again", metadata={"epoch": "3"})
        again = export.load(tmp_path / "again", vae)
        np.testing.assert_array_equal(again.parameters.values, vae.parameters.values)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_trained_in_pytorch_come_back(kind, torch, tmp_path):
    """Adam's steps in the exported module, saved as PyTorch's users do; the loss here is then the loss there."""
    from safetensors.torch import save_file
    model = model_of(kind, "bernoulli", "relu", np.float32)
    model.save(tmp_path / "model.npz")
    assert main(["export", str(tmp_path), "--out", str(tmp_path)]) == 0
    module = imported(tmp_path / "vae_torch.py").load()
    x, z, eps, labels = batch_of(model)
    batch = [torch.from_numpy(one) for one in (x, *eps, *labels)]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = module(*batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    save_file(module.state_dict(), tmp_path / "trained.safetensors")
    assert main(["import", str(tmp_path / "trained.safetensors"), "--like", str(tmp_path)]) == 0
    trained = nv.load(tmp_path / "imported.npz")
    assert np.abs(trained.parameters.values - model.parameters.values).max() > 0.05
    assert trained.loss(x, *eps, *labels) == pytest.approx(module(*batch).item(), rel=1e-6)
    close(trained.decode(z, *labels), numpy_of(torch, module.decode)(z, *labels), 1e-6, "decode")
