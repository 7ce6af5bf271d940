"""The objectives' expected gradients, by quadrature over the noise, against derivatives of the exact objective.

The exact objective is an integral over z on a fixed grid: it involves no eps, and so no reparameterization.
"""
import itertools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.training import objectives
from numpyvae.exact import log_sum_exp
from numpyvae.functional.gaussian import gaussian_kl, gaussian_log_density
from numpyvae.gradcheck import differentiate

GRID = np.linspace(-9, 9, 181)[:, None]
MINIMUM = 0.2


@pytest.fixture(params=["bernoulli", "gaussian-learned"])
def case(request):
    """A VAE with one latent dimension, and one image."""
    rng = np.random.default_rng(3)
    vae = nv.VAE.dense(3, (4,), 1, request.param, "tanh", rng=rng, dtype=np.float64)
    vae.parameters.values[:] = rng.normal(0, 0.4, len(vae.parameters))
    return vae, rng.random((1, 3))


def expected_gradient(objective, vae, x, samples):
    """The mean of the gradients over eps, by Gauss-Hermite quadrature: every node is one call of the objective."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60 if samples == 1 else 45)
    weights = weights / weights.sum()
    total, loss = np.zeros(len(vae.parameters)), 0.0
    for chosen in itertools.product(range(len(nodes)), repeat=samples):
        weight = np.prod(weights[list(chosen)])
        eps = nodes[list(chosen)].reshape((1, 1) if samples == 1 else (samples, 1, 1))
        loss += weight * objective(vae, x, eps).loss
        total += weight * vae.parameters.grads
    return total, loss


def exact_gradient(objective, vae, x):
    """The derivative of an integral over the grid, for every weight."""
    proof = vae.astype(complex)
    return differentiate(lambda: objective(proof, x), proof.parameters.values, "complex-step"), objective(vae, x)


def on_the_grid(vae, x):
    """log q(z|x) and log p(x, z), at each grid point: (N,), (N,)."""
    mu, logvar = vae.encode(x)
    z, rows = GRID.astype(vae.dtype), np.repeat(x, len(GRID), axis=0)
    zero = np.zeros_like(GRID)
    log_q = gaussian_log_density(GRID, mu * np.ones_like(GRID), logvar * np.ones_like(GRID))
    return log_q, gaussian_log_density(GRID, zero, zero) - vae.likelihood.nll(vae.decoder.forward(z), rows)


def step():
    return GRID[1, 0] - GRID[0, 0]


def minus_elbo(vae, x):
    log_q, log_joint = on_the_grid(vae, x)
    return -np.sum(np.exp(log_q) * (log_joint - log_q)) * step()


def minus_bound_of_two(vae, x):
    log_q, log_joint = on_the_grid(vae, x)
    log_w = log_joint - log_q
    pairs = np.stack(np.broadcast_arrays(log_w[:, None], log_w[None]), axis=-1)
    bound = log_sum_exp(pairs) - np.log(2)
    return -np.sum(np.exp(log_q)[:, None] * np.exp(log_q) * bound) * step()**2


def with_free_bits(vae, x):
    log_q, log_joint = on_the_grid(vae, x)
    zero = np.zeros_like(GRID)
    nll = gaussian_log_density(GRID, zero, zero) - log_joint
    mu, logvar = vae.encode(x)
    kl = gaussian_kl(mu, logvar)[0]
    return np.sum(np.exp(log_q) * nll) * step() + (kl if kl.real > MINIMUM else MINIMUM)


CASES = {
    "loss_and_grad": (lambda vae, x, eps: vae.loss_and_grad(x, eps), minus_elbo, 1),
    "score_function": (objectives.score_function, minus_elbo, 1),
    "score_function, baseline": (lambda *given: objectives.score_function(*given, baseline=4.0), minus_elbo, 1),
    "sticking_the_landing": (objectives.sticking_the_landing, minus_elbo, 1),
    "free_bits": (lambda *given: objectives.free_bits(*given, minimum=MINIMUM), with_free_bits, 1),
    "iwae": (objectives.iwae, minus_bound_of_two, 2),
    "dreg": (objectives.dreg, minus_bound_of_two, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_the_expected_gradient_is_the_gradient_of_the_exact_objective(name, case):
    objective, exact_objective, samples = CASES[name]
    found, found_loss = expected_gradient(objective, *case, samples)
    expected, loss = exact_gradient(exact_objective, *case)
    assert found_loss == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_every_objective_has_its_exact_gradient():
    public = {name for name, f in vars(objectives).items()
              if callable(f) and getattr(f, "__module__", "") == objectives.__name__ and not name.startswith("_")}
    assert public == {name.split(",")[0] for name in CASES} - {"loss_and_grad"}


def test_without_its_square_dreg_would_be_biased(case):
    """The check sees the difference: v for v^2 in the encoder's weights."""
    vae, x = case
    found, _ = expected_gradient(lambda *given: objectives._importance_weighted(*given, None, "no score"), vae, x, 2)
    expected, _ = exact_gradient(minus_bound_of_two, vae, x)
    assert np.abs(found - expected).max() > 1e-3 * np.abs(expected).max()


def exact_posterior_vae():
    """A linear VAE whose q is the true posterior of every x."""
    vae = nv.VAE.dense(3, (), 1, "gaussian", sigma=0.5, rng=np.random.default_rng(0), dtype=np.float64)
    W, b = vae.parameters["decoder.0.W"], vae.parameters["decoder.0.b"]    # x = z W + b + sigma noise
    variance = 1 / (1 + np.sum(W**2) / 0.25)
    vae.parameters["mu_head.W"][:] = variance * W.T / 0.25
    vae.parameters["mu_head.b"][:] = -variance * np.sum(W * b) / 0.25
    vae.parameters["logvar_head.W"][:] = 0
    vae.parameters["logvar_head.b"][:] = np.log(variance)
    return vae


def test_at_the_true_posterior_the_landing_sticks(rng):
    """Every draw of the encoder's gradient is zero, where the ordinary estimate is zero on average alone."""
    vae, x = exact_posterior_vae(), rng.standard_normal((5, 3))

    def encoder_gradient(objective):
        objective(vae, x, np.random.default_rng(0).standard_normal((5, 1)))
        return np.abs(vae.parameters.grad("mu_head.W")).max()
    assert encoder_gradient(objectives.sticking_the_landing) < 1e-14
    assert encoder_gradient(objectives.iwae) > 1e-3
    losses = {objectives.iwae(vae, x, rng.standard_normal((4, 5, 1))).loss for _ in range(3)}
    assert max(losses) - min(losses) < 1e-14    # and log w is the same for every z


def test_the_bound_rises_with_the_number_of_samples(case):
    vae, x = case
    rng, rows = np.random.default_rng(0), np.repeat(x, 2000, axis=0)
    bounds = [-objectives.iwae(vae, rows, rng.standard_normal((k, 2000, 1))).loss for k in (1, 10, 100)]
    truth = nv.exact.log_likelihood(vae, x)[0]
    assert bounds[0] < bounds[1] < bounds[2] < truth + 0.01
    assert bounds[2] == pytest.approx(truth, abs=0.02)


def test_a_baseline_lowers_the_variance(case, rng):
    vae, x = case

    def variance(baseline):
        grads = []
        for _ in range(300):
            objectives.score_function(vae, x, rng.standard_normal((len(x), 1)), baseline)
            grads.append(vae.parameters.grad("mu_head.W").copy())
        return np.var(grads, axis=0).sum()
    assert variance(vae.loss_terms(x, np.zeros((1, 1))).nll) < 0.5 * variance(0.0)


@pytest.mark.parametrize("call, words", [
    (lambda vae, x: objectives.free_bits(vae, x, np.zeros((1, 1)), -1.0), "minimum is -1.0; expected a number of at"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((2, 2, 1))), r"eps has shape \(2, 2, 1\); expected \(1, 1\), or"),
    (lambda vae, x: objectives.sticking_the_landing(vae, x, np.zeros((2, 1, 1))), "2 samples; expected one.*dreg"),
])
def test_what_does_not_fit_is_named(call, words, case):
    with pytest.raises(ValueError, match=words):
        call(*case)


def test_a_bound_has_no_other_beta(rng):
    vae = nv.VAE.dense(3, (4,), 1, beta=2.0, rng=rng)
    with pytest.raises(ValueError, match="beta is 2; expected 1"):
        objectives.iwae(vae, rng.random((1, 3)), np.zeros((2, 1, 1)))


@pytest.mark.parametrize("objective, samples", [(objectives.iwae, 5), (objectives.dreg, 5), (objectives.free_bits, 1),
                                                (objectives.sticking_the_landing, 1), (objectives.score_function, 1)])
def test_fit_trains_with_every_objective(objective, samples, rng):
    images = np.repeat(255 * rng.integers(0, 2, (60, 1), np.uint8), 8, axis=1)    # all black or all white
    vae = nv.VAE.dense(8, (8,), 2, rng=rng)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(5e-3), epochs=40, batch_size=20, rng=rng, objective=objective,
                          samples=samples))
    assert records[-1].loss < records[0].loss - 0.3


# Each loss by hand, for several images, samples and classes

def log_normal(z, mu, logvar):
    return -0.5 * np.sum(np.log(2 * np.pi) + logvar + (z - mu)**2 / np.exp(logvar), axis=-1)


def by_hand(w, x, eps, c=None):
    """nll, log p(z), log q(z|x) and the KL of each dimension, in plain NumPy; all (K, B), but for the KL, (B, Z)."""
    def joined(a):
        return a if c is None else np.concatenate([a, np.broadcast_to(c, (*a.shape[:-1], c.shape[-1]))], axis=-1)
    h = np.tanh(joined(x) @ w["encoder.0.W"] + w["encoder.0.b"])
    mu, logvar = (h @ w[f"{head}_head.W"] + w[f"{head}_head.b"] for head in ("mu", "logvar"))
    z = mu + np.exp(logvar / 2) * eps
    k = np.tanh(joined(z) @ w["decoder.0.W"] + w["decoder.0.b"])
    a = k @ w["decoder.1.W"] + w["decoder.1.b"]
    nll = np.sum(np.logaddexp(0, a) - x * a, axis=-1)
    kl = 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar)
    return nll, log_normal(z, 0, np.zeros_like(z)), log_normal(z, mu, logvar), kl


@pytest.fixture(params=[None, 3])
def several(request, rng):
    """A model with or without classes, its weights, five images, their labels and the labels one-hot."""
    sizes = dict(n_data=4, hidden=(6,), n_latent=2, activation="tanh", rng=rng, dtype=np.float64)
    vae = nv.VAE.dense(**sizes) if request.param is None else nv.ConditionalVAE.dense(**sizes, n_classes=3)
    vae.parameters.values[:] = rng.normal(0, 0.7, len(vae.parameters))
    labels = None if request.param is None else np.array([2, 0, 1, 1, 0])
    w = {name: vae.parameters[name] for name in vae.parameters.names}
    return vae, w, rng.random((5, 4)), labels, None if labels is None else np.eye(3)[labels]


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("objective", [objectives.iwae, objectives.dreg])
def test_a_bound_s_loss_is_its_formula(objective, samples, several, rng):
    vae, w, x, labels, c = several
    eps = rng.standard_normal((samples, 5, 2))
    nll, log_p, log_q, _ = by_hand(w, x, eps, c)
    weights = np.exp(log_p - log_q - nll)
    loss = -np.log(weights.mean(axis=0)).mean()
    part = np.sum(weights / weights.sum(axis=0) * nll, axis=0).mean()
    assert objective(vae, x, eps, labels) == pytest.approx((loss, part, loss - part), rel=1e-12)
    if samples == 1:
        assert objective(vae, x, eps[0], labels) == pytest.approx((loss, part, loss - part), rel=1e-12)
        assert objectives.sticking_the_landing(vae, x, eps[0], labels) == pytest.approx((loss, part, loss - part))


@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_the_other_losses_are_their_formulas(beta, several, rng):
    vae, w, x, labels, c = several
    vae.beta, eps = beta, rng.standard_normal((5, 2))
    nll, _, _, kl = by_hand(w, x, eps, c)
    expected = nll.mean() + beta * kl.sum(axis=1).mean(), nll.mean(), kl.sum(axis=1).mean()
    for found in (vae.loss_terms(x, eps, labels), vae.loss_and_grad(x, eps, labels),
                  objectives.score_function(vae, x, eps, labels=labels),
                  objectives.score_function(vae, x, eps, np.arange(5.0), labels=labels)):
        assert found == pytest.approx(expected, rel=1e-12)
    between = kl.mean(axis=0).mean()    # one dimension counts, and the other's minimum
    for minimum, given in ((0.1, {}), *((m, {"minimum": m}) for m in (0.0, between, 100.0))):
        counted = np.maximum(minimum, kl.mean(axis=0)).sum()
        assert objectives.free_bits(vae, x, eps, **given, labels=labels) == pytest.approx(
            (nll.mean() + beta * counted, nll.mean(), counted), rel=1e-12)


@pytest.mark.parametrize("call, words", [
    (lambda vae, x: objectives.score_function(vae, x, np.zeros((5, 2)), np.zeros(4)), r"\(4,\); expected a number"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((0, 5, 2))), r"eps has shape \(0, 5, 2\)"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((3, 5, 1))), r"eps has shape \(3, 5, 1\)"),
    (lambda vae, x: objectives.iwae(vae, x, np.zeros((3, 4, 2))), r"eps has shape \(3, 4, 2\)"),
    (lambda vae, x: objectives.dreg(vae, x, np.zeros((1, 1, 5, 2))), r"eps has shape \(1, 1, 5, 2\)"),
    (lambda vae, x: objectives.dreg(vae, x, np.full((2, 5, 2), np.nan)), "eps holds NaN"),
    (lambda vae, x: objectives.sticking_the_landing(vae, x, np.zeros((2, 5, 2))), "eps has 2 samples"),
])
def test_noise_that_does_not_fit_several_images_is_named(call, words, rng):
    vae = nv.VAE.dense(4, (6,), 2, rng=rng, dtype=np.float64)
    with pytest.raises(ValueError, match=words):
        call(vae, rng.random((5, 4)))
