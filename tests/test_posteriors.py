"""q(z|x) as an object: ours, and two that a user could have written, with and without a closed form of the KL.

A posterior of your own needs only its class: a VAE, every objective, evaluation, files and `examine` accept it.
"""
from typing import NamedTuple

import numpy as np
import pytest
from scipy import integrate, stats

import numpyvae as nv
from numpyvae.gradcheck.models import check_model
from numpyvae.gradcheck.objectives import OBJECTIVES, check_score_function
from numpyvae.models.likelihoods import Bernoulli
from numpyvae.models.posteriors import Diagonal, DiagonalGaussian, FullGaussian, Posterior, repeated, summed
from numpyvae.models.priors import StandardNormal


class Parameters(NamedTuple):
    mu: np.ndarray
    log_scale: np.ndarray


class TwoHeads(Posterior):
    """A head for each of two parameters."""

    def __init__(self, n_hidden, n_latent, *, rng, dtype=np.float32):
        self.n_hidden, self.n_latent = n_hidden, n_latent
        self.mu_head, self.scale_head = (nv.Dense(n_hidden, n_latent, rng=rng, dtype=dtype) for _ in range(2))

    def named_heads(self):
        return iter([("mu_head", self.mu_head), ("scale_head", self.scale_head)])

    def forward(self, h):
        return Parameters(self.mu_head.forward(h), self.scale_head.forward(h))

    def backward_heads(self, dq):
        return self.mu_head.backward(dq.mu) + self.scale_head.backward(dq.log_scale)


class LogNormal(TwoHeads):
    """log z is N(mu, exp(log_scale)^2): no closed form is given, so its KL comes from one sample."""

    def reparameterize(self, q, eps):
        self.q, self.eps, self.z = q, eps, np.exp(q.mu + np.exp(q.log_scale) * eps)
        return self.z

    def reparameterize_backward(self, dz, q, eps):
        sigma = np.exp(q.log_scale)
        z = np.exp(q.mu + sigma * eps)
        return Parameters(dz * z, dz * z * sigma * eps)

    def log_density(self, q, z):
        residual = (np.log(z) - q.mu) * np.exp(-q.log_scale)
        return -np.sum(0.5 * residual**2 + q.log_scale + np.log(z) + 0.5 * np.log(2 * np.pi), axis=1)

    def log_density_backward(self, dlog, q, z):
        residual = (np.log(z) - q.mu) * np.exp(-q.log_scale)
        dmu = dlog[:, None] * residual * np.exp(-q.log_scale)
        return -(dmu + dlog[:, None]) / z, Parameters(dmu, dlog[:, None] * (residual**2 - 1))

    def moments(self, q):
        variance = np.exp(2 * q.log_scale)
        return np.exp(q.mu + variance / 2), np.log(np.expm1(variance)) + 2 * q.mu + variance


class Laplace(TwoHeads):
    """z = mu + b eps with eps from Laplace(0, 1), b = exp(log_scale), and a closed form of the KL to N(0, I)."""

    closed_forms = (StandardNormal,)

    def noise(self, n, rng, dtype):
        return rng.laplace(size=(n, self.n_latent)).astype(dtype)

    def reparameterize(self, q, eps):
        self.q, self.eps, self.z = q, eps, q.mu + np.exp(q.log_scale) * eps
        return self.z

    def reparameterize_backward(self, dz, q, eps):
        return Parameters(dz, dz * np.exp(q.log_scale) * eps)

    def log_density(self, q, z):
        distance = np.where((z - q.mu).real < 0, q.mu - z, z - q.mu)
        return -np.sum(distance * np.exp(-q.log_scale) + q.log_scale + np.log(2), axis=1)

    def log_density_backward(self, dlog, q, z):
        dmu = dlog[:, None] * np.sign(z - q.mu) * np.exp(-q.log_scale)
        return -dmu, Parameters(dmu, dlog[:, None] * (np.abs(z - q.mu) * np.exp(-q.log_scale) - 1))

    def closed_form_kl(self, q):
        """E[log q] = -1 - log 2b;  E[z^2] = mu^2 + 2 b^2."""
        return np.sum(0.5 * (q.mu**2 + 2 * np.exp(2 * q.log_scale)) + 0.5 * np.log(2 * np.pi) - 1 - np.log(2)
                      - q.log_scale, axis=1)

    def closed_form_kl_backward(self, dkl, q):
        dkl = dkl[:, None]
        return Parameters(dkl * q.mu, dkl * (2 * np.exp(2 * q.log_scale) - 1))

    def moments(self, q):
        return q.mu.copy(), np.log(2) + 2 * q.log_scale


class LaplacePrior:
    """p(z) of independent Laplace(0, 1): no posterior of ours has a closed form of the KL to it."""

    def __init__(self, n_latent):
        self.n_latent = n_latent

    def log_density(self, z):
        return -np.sum(np.where(z.real < 0, -z, z) + np.log(2), axis=1)

    def log_density_backward(self, dlog, z):
        return -dlog[:, None] * np.sign(z)

    def sample(self, n, rng, dtype):
        return rng.laplace(size=(n, self.n_latent)).astype(dtype)


PAIRS = {"LogNormal": (LogNormal, None), "Laplace": (Laplace, None), "Laplace, Laplace": (Laplace, LaplacePrior(2)),
         "Diagonal, Laplace": (DiagonalGaussian, LaplacePrior(2)), "Full, Laplace": (FullGaussian, LaplacePrior(2))}


def make(pair, beta=1.0, dtype=np.float64, n_latent=2):
    kind, prior = PAIRS[pair]
    rng = np.random.default_rng(0)
    encoder = nv.Sequential([nv.Dense(6, 5, "tanh", rng=rng, dtype=dtype)])
    decoder = nv.Sequential([nv.Dense(n_latent, 5, "tanh", rng=rng, dtype=dtype), nv.Dense(5, 6, rng=rng, dtype=dtype)])
    return nv.VAE(encoder, kind(5, n_latent, rng=rng, dtype=dtype), decoder, Bernoulli(), prior, beta)


@pytest.fixture
def x(rng):
    return rng.random((4, 6))


def right(gradients):
    return all(np.abs(analytic - numeric).max() <= 1e-12 * np.abs(numeric).max()
               for analytic, numeric in gradients.values())


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("pair", PAIRS)
def test_the_whole_gradient_is_right(pair, beta, x):
    with nv.kernels_off():
        assert right(check_model(make(pair, beta), x, "complex-step"))


@pytest.mark.parametrize("pair", ["LogNormal", "Laplace"])
@pytest.mark.parametrize("name", [bound.__name__ for bound in nv.objectives.BOUNDS_ON_LOG_P])
def test_the_gradients_of_the_bounds_are_right(pair, name, x):
    with nv.kernels_off():
        assert right(OBJECTIVES[name](make(pair), x, "complex-step"))


def test_objectives_that_need_a_closed_form_ask_for_it(x):
    with nv.kernels_off():
        assert right(check_score_function(make("Laplace", 4.0), x, "complex-step"))
    vae = make("LogNormal")
    with pytest.raises(ValueError, match="a LogNormal and a StandardNormal, whose KL has no closed form; expected"):
        nv.objectives.score_function(vae, x, np.zeros((4, 2)))
    for pair in "LogNormal", "Laplace", "Diagonal, Laplace":
        with pytest.raises(ValueError, match="whose KL of single dimensions has no closed form; expected"):
            nv.objectives.free_bits(make(pair), x, np.zeros((4, 2)))


@pytest.mark.parametrize("kind, density", [
    (LogNormal, lambda mu, b: stats.lognorm(b, scale=np.exp(mu))), (Laplace, lambda mu, b: stats.laplace(mu, b)),
    (DiagonalGaussian, lambda mu, b: stats.norm(mu, b**0.5))])
def test_draws_moments_density_and_kl_are_of_one_distribution(kind, density, rng):
    """Against SciPy's distribution, in one dimension."""
    posterior = kind(3, 1, rng=rng, dtype=np.float64)
    mu, log_scale = 0.3, -0.7
    q = posterior.forward(np.zeros((1, 3)))
    q = type(q)(np.full((1, 1), mu), np.full((1, 1), log_scale))
    true, n = density(mu, np.exp(log_scale)), 100_000
    eps = posterior.noise(n, rng, np.dtype(float))
    z = posterior.reparameterize(repeated(q, n), eps)
    assert stats.kstest(z[:, 0], true.cdf).pvalue > 1e-4
    np.testing.assert_allclose(posterior.log_density(repeated(q, 5), z[:5]), true.logpdf(z[:5, 0]), rtol=1e-10)
    mean, logvar = posterior.moments(q)
    assert (mean.item(), np.exp(logvar).item()) == pytest.approx((true.mean(), true.var()))
    low, high = true.ppf([1e-12, 1 - 1e-12])
    exact, _ = integrate.quad(lambda t: true.pdf(t) * (true.logpdf(t) - stats.norm.logpdf(t)), low, high, limit=500,
                              points=[mu] if low < mu < high else None)
    kl = posterior.kl(repeated(q, n) if not posterior.closed_forms else q, StandardNormal(1))
    assert kl.mean() == pytest.approx(exact, abs=1e-7 if posterior.closed_forms else 5 * kl.std() / n**0.5)


def test_the_full_gaussian_s_dimensions_add_up_to_its_kl_and_its_density_is_scipy_s(rng):
    posterior = FullGaussian(4, 3, rng=rng, dtype=np.float64)
    q = posterior.forward(rng.standard_normal((2, 4)))
    q = type(q)(*(part.copy() for part in q))
    z = rng.standard_normal((2, 3))
    np.testing.assert_allclose(posterior.kl_of_dimensions(q).sum(axis=1), posterior.kl(q, StandardNormal(3)))
    for row in range(2):
        L = np.diag(np.exp(q.logvar[row] / 2)) + np.tril(q.lower[row], -1)
        expected = stats.multivariate_normal(q.mu[row], L @ L.T).logpdf(z[row])
        assert posterior.log_density(q, z)[row] == pytest.approx(expected)


@pytest.mark.parametrize("pair", PAIRS)
def test_it_trains_is_measured_and_comes_back_from_a_file(pair, rng, tmp_path):
    images = np.repeat(255 * rng.integers(0, 2, (60, 1), np.uint8), 6, axis=1)    # all black or all white
    vae = make(pair, dtype=np.float32)
    records = list(nv.fit(vae, images, optimizer=nv.Adam(1e-2), epochs=40, batch_size=20, rng=rng))
    assert records[-1].loss < records[0].loss - 1
    found = nv.evaluation.log_likelihood(vae, images[:4], 500, rng=rng)
    assert -records[-1].loss - 1 < found.mean < 0
    vae.save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz", parts=[LogNormal, Laplace, LaplacePrior])
    np.testing.assert_array_equal(again.decode(np.ones((1, 2))), vae.decode(np.ones((1, 2))))
    assert type(again.prior) is type(vae.prior) and again.sample(3, rng).shape == (3, 6)


@pytest.mark.parametrize("pair", PAIRS)
def test_examine_finds_nothing_wrong_with_it(pair, rng):
    vae = make(pair)
    report = nv.examine(vae, x=rng.random((12, 6)), rng=rng)
    assert report.ok, report
    assert report["gradients"].verdict == "ok"
    assert report["kl"].verdict == ("ok" if pair == "Laplace" else "not checked")


def test_a_subclass_of_the_standard_normal_is_a_prior_of_its_own(rng):
    class Wide(StandardNormal):
        """N(0, 4 I)."""

        def log_density(self, z):
            return super().log_density(z / 2) - self.n_latent * np.log(2)

    x, rows = rng.random((1, 6)), 20_000
    vae = nv.VAE.dense(6, (5,), 2, rng=rng, dtype=np.float64)
    mu, logvar = vae.encode(x)
    vae.prior = Wide(2)
    exact = np.sum(0.5 * ((np.exp(logvar) + mu**2) / 4 - 1 - logvar) + np.log(2))
    found = vae.loss_terms(np.repeat(x, rows, axis=0), rng.standard_normal((rows, 2))).kl
    assert found == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize("dtype, logvar", [(np.float32, -20.0), (np.float64, -60.0), (np.float64, -300.0)])
def test_a_narrow_full_gaussian_keeps_its_density(dtype, logvar, rng):
    """In units of its sigma, its draws are as likely as a wide one's; z = mu + L eps rounds, so mu is 0."""
    posterior = FullGaussian(4, 3, rng=rng, dtype=dtype)
    q = posterior.forward(np.zeros((5, 4), dtype))
    lower = np.full((5, 3, 3), 0.5 * np.exp(logvar / 2), dtype)
    q = type(q)(np.zeros((5, 3), dtype), np.full((5, 3), logvar, dtype), lower)
    eps = rng.standard_normal((5, 3)).astype(dtype)
    expected = -np.sum(0.5 * eps**2 + 0.5 * np.log(2 * np.pi) + logvar / 2, axis=1)
    np.testing.assert_allclose(posterior.log_density(q, posterior.reparameterize(q, eps)), expected, rtol=1e-4)


def test_log_p_is_the_same_by_quadrature_and_by_weights_whatever_q(rng):
    x = rng.random((3, 6))
    vae = make("Laplace", n_latent=1)
    truth = nv.exact.log_likelihood(vae, x)
    found = nv.evaluation.log_likelihood(vae, x, 20_000, rng=rng)
    assert np.abs(found.values - truth).max() < 5 * found.standard_errors.max()


def test_a_pair_without_any_kl_is_refused(rng):
    class Implicit(TwoHeads):
        reparameterize, reparameterize_backward = LogNormal.reparameterize, LogNormal.reparameterize_backward
        moments = LogNormal.moments
    with pytest.raises(ValueError, match="posterior is an Implicit and prior a StandardNormal, for which no KL"):
        nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng)]), Implicit(5, 2, rng=rng),
               nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())


def test_a_posterior_that_lacks_a_method_is_refused_when_the_model_is_made(rng):
    class Unfinished(TwoHeads):
        reparameterize, log_density = LogNormal.reparameterize, LogNormal.log_density
    with pytest.raises(TypeError, match="posterior is an Unfinished; expected a posterior.*, with n_hidden, .*moments"):
        nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng)]), Unfinished(5, 2, rng=rng),
               nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())


def test_a_closed_form_that_is_named_and_missing_is_said_when_the_model_is_made(rng):
    class Promising(LogNormal):
        closed_forms = (StandardNormal,)
    with pytest.raises(TypeError, match="names StandardNormal in closed_forms; expected it to have closed_form_kl"):
        nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng)]), Promising(5, 2, rng=rng),
               nv.Sequential([nv.Dense(2, 6, rng=rng)]), Bernoulli())


class Wide(StandardNormal):
    """N(0, 4 I)."""

    def sample(self, n, rng, dtype):
        return 2 * super().sample(n, rng, dtype)

    def log_density(self, z):
        return super().log_density(z / 2) - self.n_latent * np.log(2)

    def log_density_backward(self, dlog, z):
        return super().log_density_backward(dlog, z / 2) / 2


class ToWide(DiagonalGaussian):
    """Knows its KL to Wide alone: N(mu / 2, sigma^2 / 4) to N(0, I), as a KL does not change with the scale."""

    closed_forms = (Wide,)

    def closed_form_kl(self, q):
        return super().closed_form_kl(Diagonal(q.mu / 2, q.logvar - 2 * np.log(2)))

    def closed_form_kl_backward(self, dkl, q):
        dmu, dlogvar = super().closed_form_kl_backward(dkl, Diagonal(q.mu / 2, q.logvar - 2 * np.log(2)))
        return Diagonal(dmu / 2, dlogvar)


def test_a_subclass_s_own_closed_form_has_its_own_gradient(rng):
    vae = nv.VAE(nv.Sequential([nv.Dense(6, 5, "tanh", rng=rng, dtype=np.float64)]),
                 ToWide(5, 2, rng=rng, dtype=np.float64),
                 nv.Sequential([nv.Dense(2, 6, rng=rng, dtype=np.float64)]), Bernoulli(), prior=Wide(2))
    for analytic, numeric in check_model(vae, rng.random((4, 6)), "complex-step").values():
        np.testing.assert_allclose(analytic, numeric, atol=1e-12)


def test_rows_repeat_sample_by_sample_and_their_gradients_add_up(rng):
    q = Parameters(rng.random((2, 3)), rng.random((2, 3)))
    again = repeated(q, 4)
    np.testing.assert_array_equal(again.mu[2:4], q.mu)
    np.testing.assert_allclose(summed(again, 4).log_scale, 4 * q.log_scale)
    full = FullGaussian(4, 3, rng=rng, dtype=np.float64).forward(rng.standard_normal((2, 4)))
    for part, one in zip(repeated(full, 4), full):
        np.testing.assert_array_equal(part, np.concatenate([one] * 4))
    for part, one in zip(summed(repeated(full, 4), 4), full):
        np.testing.assert_allclose(part, 4 * one)


@pytest.mark.parametrize("kind, sizes", [(DiagonalGaussian, {"mu_head": 3, "logvar_head": 3}),
                                         (FullGaussian, {"mu_head": 3, "logvar_head": 3, "lower_head": 9})])
def test_each_head_computes_its_own_parameters(kind, sizes, rng):
    posterior, h = kind(5, 3, rng=rng), rng.standard_normal((4, 5)).astype(np.float32)
    assert (posterior.n_hidden, posterior.n_latent, posterior.init) == (5, 3, "fan-in")
    heads = dict(posterior.named_heads())
    assert {name: (head.n_in, head.n_out, head.init) for name, head in heads.items()} == {
        name: (5, n, "fan-in") for name, n in sizes.items()}
    assert heads["mu_head"].params["W"].dtype == np.float32
    for part, head in zip(posterior.forward(h), heads.values(), strict=True):
        np.testing.assert_allclose(part.reshape(4, -1), h @ head.params["W"] + head.params["b"], rtol=1e-5, atol=1e-6)
    again = np.random.default_rng(7)    # the heads are drawn one after the other
    for head in dict(kind(5, 3, rng=np.random.default_rng(7)).named_heads()).values():
        np.testing.assert_array_equal(head.params["W"], nv.Dense(5, head.n_out, rng=again).params["W"])
    other = kind(5, 3, "he", rng=rng, dtype=np.float64)
    assert all(head.init == "he" and head.params["W"].dtype == np.float64 for _, head in other.named_heads())


def test_one_dimension_has_nothing_to_be_correlated_with(rng):
    with pytest.raises(ValueError, match="n_latent is 1; expected at least 2"):
        FullGaussian(4, 1, rng=rng)
    assert FullGaussian(4, 2, rng=rng).n_latent == 2


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian])
def test_moments_are_copies_of_the_marginal_ones(kind, rng):
    posterior = kind(4, 3, rng=rng, dtype=np.float64)
    q = posterior.forward(rng.standard_normal((2, 4)))
    mean, logvar = posterior.moments(q)
    L = np.tril(q.lower, -1) if kind is FullGaussian else np.zeros((2, 3, 3))
    covariance = L @ L.transpose(0, 2, 1) + np.eye(3) * np.exp(q.logvar)[:, None]
    if kind is FullGaussian:
        L = L + np.eye(3) * np.exp(q.logvar / 2)[:, None]
        covariance = L @ L.transpose(0, 2, 1)
    np.testing.assert_array_equal(mean, q.mu)
    np.testing.assert_allclose(np.exp(logvar), np.diagonal(covariance, axis1=1, axis2=2), rtol=1e-12)
    assert not np.shares_memory(mean, q.mu) and not np.shares_memory(logvar, q.logvar)


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian])
def test_the_kl_of_each_dimension_is_that_of_its_formula(kind, rng):
    posterior = kind(4, 3, rng=rng, dtype=np.float64)
    q = posterior.forward(rng.standard_normal((2, 4)))
    below = np.sum(np.tril(q.lower, -1)**2, axis=2) if kind is FullGaussian else 0
    expected = 0.5 * (np.exp(q.logvar) + q.mu**2 - 1 - q.logvar + below)
    np.testing.assert_allclose(posterior.kl_of_dimensions(q), expected, rtol=1e-12)
    np.testing.assert_allclose(posterior.kl(q, StandardNormal(3)), expected.sum(axis=1), rtol=1e-12)


class Shifted(StandardNormal):
    """N(1, I), which is not even."""

    def log_density(self, z):
        return super().log_density(z - 1)


@pytest.mark.parametrize("kind", [DiagonalGaussian, FullGaussian])
def test_a_draw_is_kept_for_the_way_back_and_the_kl_of_one_sample_is_of_it(kind, rng):
    posterior = kind(4, 3, rng=rng, dtype=np.float64)
    q, eps, prior = posterior.forward(rng.standard_normal((2, 4))), rng.standard_normal((2, 3)), Shifted(3)
    z = posterior.reparameterize(q, eps)
    assert posterior.z is z and posterior.q is q and posterior.eps is eps
    np.testing.assert_allclose(posterior.kl(q, prior), posterior.log_density(q, z) - prior.log_density(z), rtol=1e-12)
    assert posterior.prior is prior
