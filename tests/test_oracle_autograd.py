"""Gradients, optimizers and `examine` against PyTorch, whose autograd knows nothing of our derivations."""
import contextlib
import functools
import itertools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.gradcheck.models import CONSTRUCTORS
from numpyvae.models.likelihoods import LIKELIHOODS, WITH_SIGMA
from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.training import objectives

pytestmark = pytest.mark.oracle

MODES = {"kernels": contextlib.nullcontext, "reference": nv.kernels_off}
N_MODELS = 62
TOLERANCE = 1e-10    # of an array's largest entry; the worst of these models is off by 1e-12

# How a kind of VAE is made.
KINDS = {"dense": nv.VAE.dense, "conv": nv.VAE.conv,
         "conditional": nv.ConditionalVAE.dense, "conditional conv": nv.ConditionalVAE.conv,
         "full": nv.FullCovarianceVAE.dense, "full conv": nv.FullCovarianceVAE.conv}
# What it is trained with: (vae, x, eps, labels, option) -> terms, and the same in tests/oracles.py.
OBJECTIVES = {
    "elbo": (lambda vae, *batch, **no: vae.loss_and_grad(*batch), "elbo"),
    "elbo without closed form": (lambda vae, *batch, **no: vae.loss_and_grad(*batch), "elbo_without_closed_form"),
    "free_bits": (lambda vae, x, eps, labels, **given: objectives.free_bits(vae, x, eps, labels=labels, **given),
                  "free_bits"),
    "score_function": (lambda vae, x, eps, labels: objectives.score_function(vae, x, eps, labels=labels),
                       "score_function"),
    "score_function with baselines": (
        lambda vae, x, eps, labels, **given: objectives.score_function(vae, x, eps, labels=labels, **given),
        "score_function"),
    "iwae": (objectives.iwae, "iwae"),
    "sticking_the_landing": (objectives.sticking_the_landing, "sticking_the_landing"),
    "dreg": (objectives.dreg, "dreg")}
AUTOENCODERS = {"autoencoder": nv.Autoencoder.dense, "conv autoencoder": nv.Autoencoder.conv}

PAIRS = [(kind, objective) for kind in KINDS for objective in OBJECTIVES] + [
    (kind, "nll") for kind in AUTOENCODERS for _ in LIKELIHOODS]


def chosen(i):
    """The kind, objective, likelihood and activation of the i-th model."""
    return *PAIRS[i % len(PAIRS)], list(LIKELIHOODS)[i % len(LIKELIHOODS)], list(ACTIVATIONS)[
        (i + 2 * (i // len(LIKELIHOODS))) % len(ACTIVATIONS)]


def test_the_models_meet_everything_there_is():
    kinds, trained_with, likelihoods, activations = zip(*map(chosen, range(N_MODELS)))
    assert set(zip(kinds, trained_with)) == set(PAIRS)
    assert set(zip(kinds, likelihoods)) == {(kind, one) for kind in (*KINDS, *AUTOENCODERS) for one in LIKELIHOODS}
    assert set(zip(likelihoods, activations)) == set(itertools.product(LIKELIHOODS, ACTIVATIONS))
    assert {make.__qualname__ for make in (*KINDS.values(), *AUTOENCODERS.values())} == {
        f"{getattr(kind, name).__qualname__}" for kind in CONSTRUCTORS for name in ("dense", "conv")
        if hasattr(kind, name)}
    assert {name.split()[0] for name in OBJECTIVES} == {"elbo", *objectives.__all__}


def random_model(i, rng):
    """The i-th model in float64, with random sizes and weights; and what its weights do not say."""
    kind, objective, likelihood, activation = chosen(i)
    make, is_autoencoder = (KINDS | AUTOENCODERS)[kind], kind in AUTOENCODERS
    options = {"likelihood": likelihood, "activation": activation, "rng": rng, "dtype": np.float64}
    told = {"activation": activation, "likelihood": likelihood, "sigma": 1.0, "is_autoencoder": is_autoencoder}
    if likelihood in WITH_SIGMA:
        options["sigma"] = told["sigma"] = float(rng.uniform(0.3, 2))
    if not is_autoencoder and OBJECTIVES[objective][0] not in objectives.BOUNDS_ON_LOG_P:
        options["beta"] = told["beta"] = float(rng.choice([0, 0.5, 1, 4]))
    if "conditional" in kind:
        options["n_classes"] = told["n_classes"] = int(rng.integers(2, 5))
    n_latent = int(rng.integers(2 if "full" in kind else 1, 5))
    if "conv" in kind:
        told["image"] = tuple(map(int, (*rng.integers(2, 8, 2), rng.integers(1, 3))))
        channels = tuple(map(int, rng.integers(1, 4, rng.integers(1, 3))))
        model = make(told["image"], channels, int(rng.integers(2, 6)), n_latent, **options)
    else:
        hidden = tuple(map(int, rng.integers(2, 7, rng.integers(0 if kind == "dense" else 1, 3))))
        model = make(int(rng.integers(3, 9)), hidden, n_latent, **options)
    model.parameters.values[:] = rng.normal(0, 0.5, len(model.parameters))
    if objective == "elbo without closed form":
        model.posterior.closed_forms = ()
    return model, told


def random_batch(model, objective, rng):
    """x, and for a VAE eps, labels or None, and the objective's options."""
    n = int(rng.integers(1, 6))
    x = rng.integers(0, 256, (n, model.n_data)) / 255 if model.likelihood.support else rng.normal(
        0.5, 1, (n, model.n_data))
    x.flat[:2] = (0, 1)    # the ends of every support
    if objective == "nll":
        return (x,), {}
    samples = (int(rng.integers(2, 7)),) if objective in ("iwae", "dreg") else ()
    eps = rng.standard_normal((*samples, n, model.n_latent))
    labels = None if model.n_classes is None else rng.integers(0, model.n_classes, n)
    option = {"free_bits": {"minimum": float(rng.uniform(0.05, 1))},
              "score_function with baselines": {"baseline": rng.normal(3, 2, n)}}.get(objective, {})
    return (x, eps, labels), option


@pytest.mark.parametrize("i", range(N_MODELS), ids=lambda i: f"{i}, " + ", ".join(chosen(i)))
def test_every_gradient_of_a_random_model_is_autograd_s(i, oracles):
    rng = np.random.default_rng(i)
    model, told = random_model(i, rng)
    objective = chosen(i)[1]
    batch, option = random_batch(model, objective, rng)
    ours, theirs = (type(model).loss_and_grad, "autoencoder") if objective == "nll" else OBJECTIVES[objective]
    peer = oracles.Model({name: model.parameters[name] for name in model.parameters.names},
                         oracles.Architecture(**told))
    expected_loss, expected = getattr(oracles, theirs)(peer, *oracles.batch(told, *batch), **option)
    assert set(expected) == set(model.parameters.names)
    for mode in MODES.values():
        model.parameters.grads[:] = np.nan    # every entry has to be written
        with mode():
            terms = ours(model, *batch, **option)
        assert terms.loss == pytest.approx(expected_loss.item(), rel=1e-12)
        for name, grad in expected.items():
            np.testing.assert_allclose(model.parameters.grad(name), grad, rtol=0,
                                       atol=TOLERANCE * max(np.abs(grad).max(), 1e-3), err_msg=name)


# Layers

@pytest.mark.parametrize("n_images", [1, 5])
@pytest.mark.parametrize("activation", ["identity", "relu"])
@pytest.mark.parametrize("kernel, stride, padding, extra", [
    (3, 2, 1, 1), ((3, 2), (2, 1), (1, 0), (1, 0)), (4, 2, 1, 0), (1, 1, 0, 0), ((2, 3), 3, 0, (2, 1))])
def test_layers_agree_with_pytorch(n_images, activation, kernel, stride, padding, extra, oracles, rng):
    torch = oracles.torch
    for ours, theirs, options in (
            (Conv2d, torch.nn.Conv2d, {}), (ConvTranspose2d, torch.nn.ConvTranspose2d, {"output_padding": extra})):
        layer = ours(2, 3, kernel, stride, padding, **options, activation=activation, rng=rng, dtype=np.float64)
        peer = theirs(2, 3, kernel, stride, padding, **options, dtype=torch.float64)
        peer.weight.data = torch.from_numpy(layer.params["W"].transpose(3, 2, 0, 1).copy())
        peer.bias.data = torch.from_numpy(layer.params["b"].copy())
        x = rng.standard_normal((n_images, 7, 5, 2))
        their_x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
        their_y = peer(their_x)
        their_y = torch.relu(their_y) if activation == "relu" else their_y
        y = layer.forward(x)
        dy = rng.standard_normal(y.shape)
        their_y.backward(torch.from_numpy(dy.transpose(0, 3, 1, 2).copy()))
        close = {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(y, their_y.detach().numpy().transpose(0, 2, 3, 1), **close)
        np.testing.assert_allclose(layer.backward(dy), their_x.grad.numpy().transpose(0, 2, 3, 1), **close)
        np.testing.assert_allclose(layer.grads["W"], peer.weight.grad.numpy().transpose(2, 3, 1, 0), **close)
        np.testing.assert_allclose(layer.grads["b"], peer.bias.grad.numpy(), **close)


# Optimizers

OPTIMIZERS = {
    "SGD": (lambda: nv.SGD(0.03), lambda optim: functools.partial(optim.SGD, lr=0.03)),
    "Momentum": (lambda: nv.Momentum(0.02, 0.8), lambda optim: functools.partial(optim.SGD, lr=0.02, momentum=0.8)),
    "Adam": (nv.Adam, lambda optim: functools.partial(optim.Adam, lr=1e-3)),
    "Adam with other settings": (lambda: nv.Adam(0.01, 0.7, 0.95, 1e-3), lambda optim: functools.partial(
        optim.Adam, lr=0.01, betas=(0.7, 0.95), eps=1e-3))}


class Given:
    """Stands in for Parameters."""

    def __init__(self, values):
        self.values, self.grads = values, np.zeros_like(values)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_pytorch_s_steps(name, mode, oracles, rng):
    """Fifty, for gradients from 1e-6 to 1e3, and with the learning rate changed on the way."""
    make, peer = OPTIMIZERS[name]
    torch, parameters, ours = oracles.torch, Given(rng.standard_normal(40)), make()
    weights = torch.tensor(parameters.values, requires_grad=True)
    theirs = peer(torch.optim)([weights])
    scale = np.logspace(-6, 3, 40)
    with MODES[mode]():
        for step in range(50):
            parameters.grads[:] = scale * rng.standard_normal(40)
            weights.grad = torch.tensor(parameters.grads)
            if step == 30:
                ours.lr = theirs.param_groups[0]["lr"] = 0.5 * ours.lr
            ours.step(parameters)
            theirs.step()
            np.testing.assert_allclose(parameters.values, weights.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps_of_training_end_at_pytorch_s_weights(name, oracles, rng):
    """Loss, gradient and optimizer together, the same noise for both."""
    make, peer = OPTIMIZERS[name]
    vae, ours = nv.VAE.dense(12, (8,), 3, activation="tanh", rng=rng, dtype=np.float64), make()
    told = {"activation": "tanh", "likelihood": "bernoulli", "sigma": 1.0}
    model = oracles.Model({name: vae.parameters[name] for name in vae.parameters.names}, oracles.Architecture(**told))
    theirs = peer(oracles.torch.optim)(list(model.weights.values()))
    before = vae.parameters.values.copy()
    for _ in range(50):
        x, eps = rng.random((10, 12)), rng.standard_normal((10, 3))
        vae.loss_and_grad(x, eps)
        ours.step(vae.parameters)
        _, grads = oracles.elbo(model, *oracles.batch(told, x, eps))
        for name, weight in model.weights.items():
            weight.grad = oracles.torch.tensor(grads[name])
        theirs.step()
    assert np.abs(vae.parameters.values - before).max() > 0.01
    for name, weight in model.weights.items():
        np.testing.assert_allclose(vae.parameters[name], weight.detach().numpy(), rtol=1e-9, atol=1e-11)


# A framework's own VAE

def test_pytorch_s_example_passes(oracles, rng):
    """784-400-20 as in pytorch/examples/vae, written again here, wrapped as the docstring of `examine` shows."""
    torch, F = oracles.torch, oracles.F
    torch.manual_seed(0)

    class VAE(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.mu, self.logvar = (torch.nn.Linear(*n) for n in ((784, 400), (400, 20), (400, 20)))
            self.up, self.out = torch.nn.Linear(20, 400), torch.nn.Linear(400, 784)

        def encode(self, x):
            h = F.relu(self.hidden(x))
            return self.mu(h), self.logvar(h)

        def reparameterize(self, mu, logvar):
            std = torch.exp(0.5 * logvar)
            return mu + torch.randn_like(std) * std

        def decode(self, z):
            return torch.sigmoid(self.out(F.relu(self.up(z))))

        def forward(self, x):
            mu, logvar = self.encode(x)
            return self.decode(self.reparameterize(mu, logvar)), mu, logvar

    def loss_function(y, x, mu, logvar):
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return F.binary_cross_entropy(y, x, reduction="sum") + kl

    model = VAE()
    images = (nv.datasets.strokes(500, seed=0)[0].reshape(500, -1) / 255).astype(np.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for start in list(range(0, 500, 50)) * 10:    # before training, its KL is lost in the noise
        x = torch.from_numpy(images[start:start + 50])
        optimizer.zero_grad()
        y, mu, logvar = model(x)
        loss_function(y, x, mu, logvar).backward()
        optimizer.step()

    def numpy(f):
        def wrapped(*arrays):
            with torch.no_grad():
                out = f(*map(torch.from_numpy, arrays))
            return tuple(t.numpy() for t in out) if isinstance(out, tuple) else out.numpy()
        return wrapped

    def loss(x):
        y, mu, logvar = model(x)
        return loss_function(y, x, mu, logvar)

    report = nv.examine(x=images[:12], encode=numpy(model.encode), sample_z=numpy(model.reparameterize),
                        decode=numpy(model.decode), loss=numpy(loss), decodes_to="probabilities", rng=rng)
    assert report.ok, report
    for check in ("noise", "sampling", "likelihood", "kl", "reduction"):
        assert report[check].verdict == "ok", report
    wrong = nv.examine(x=images[:12], encode=numpy(model.encode), sample_z=numpy(model.reparameterize),
                       decode=numpy(model.decode), decodes_to="probabilities", rng=rng,
                       loss=numpy(lambda x: F.binary_cross_entropy(model(x)[0], x)))
    assert "reduction" in wrong.wrong or "kl" in wrong.wrong, wrong
