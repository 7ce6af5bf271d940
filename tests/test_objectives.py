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
