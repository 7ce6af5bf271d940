"""The examination: it passes what is right, in any framework, and names the bug of each exhibit of the museum."""
import re

import numpy as np
import pytest

import numpyvae as nv
from numpyvae import museum
from numpyvae.functional.gaussian import gaussian_kl
from numpyvae.models.likelihoods import LIKELIHOODS, WITH_SIGMA

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("make", [museum.right, museum.right_that_draws_its_noise])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_vae_passes(make, seed):
    rng = np.random.default_rng(seed)
    report = nv.examine(**make(rng), rng=rng)
    assert report.ok, report


@pytest.mark.parametrize("exhibit", museum.EXHIBITS, ids=lambda exhibit: exhibit.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_each_exhibit_is_caught_by_the_check_that_its_label_says_and_by_no_other(exhibit, seed):
    rng = np.random.default_rng(seed)
    report = nv.examine(**exhibit.functions(rng), rng=rng)
    assert report.wrong == (exhibit.caught_by,), report
    assert exhibit.named in report[exhibit.caught_by].mistake


def test_one_exhibit_passes_every_gradient_check(rng):
    exhibit = next(e for e in museum.EXHIBITS if e.name == "variance-as-sigma")
    report = nv.examine(**exhibit.functions(rng), rng=rng)
    assert report["gradients"].verdict == "ok" and report["kl"].verdict == "ok"
    assert exhibit.caught_by == "sampling"


def test_every_family_of_bugs_is_on_show_with_its_label():
    assert {exhibit.family for exhibit in museum.EXHIBITS} == set(museum.FAMILIES)
    assert len({exhibit.name for exhibit in museum.EXHIBITS}) == len(museum.EXHIBITS)
    for exhibit in museum.EXHIBITS:
        assert exhibit.bug.endswith(".") and exhibit.seen_as.endswith(".")


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.full), 4.0])
@pytest.mark.parametrize("kind", [nv.VAE, nv.FullCovarianceVAE, nv.ConditionalVAE])
def test_our_own_vae_passes(kind, likelihood, beta, rng):
    images = nv.datasets.strokes(16, seed=0)[0].reshape(16, -1) / 255
    vae = kind.dense(784, (20,), 3, likelihood=likelihood, beta=beta,
                     sigma=0.5 if likelihood in WITH_SIGMA else 1.0, rng=rng)
    report = nv.examine(vae, x=images, labels=None if vae.n_classes is None else 7, rng=rng)
    assert report.ok, report
    checked = {finding.check for finding in report.findings if finding.verdict == "ok"}
    assert checked >= {"noise", "sampling", "likelihood", "kl", "reduction", "gradients", "images"}


@pytest.mark.parametrize("seed", range(12))
def test_a_wrong_formula_that_is_no_number_for_some_images_is_left_out(seed):
    """log(logvar) is a number where logvar happens to be above 0 in every dimension, for one image and not another."""
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(36, (8,), 3, rng=rng)
    assert nv.examine(vae, x=rng.random((12, 36)), rng=rng).ok


def test_a_beta_that_was_not_meant_is_found_in_our_own_vae(rng):
    vae = nv.VAE.dense(12, (7,), 3, beta=1.0, rng=rng)
    functions = {**vars_of(vae), "beta": 4.0}
    report = nv.examine(**functions, rng=rng)
    assert report.wrong == ("reduction",) and "hidden beta of 0.25" in report["reduction"].mistake


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_our_own_vae_takes_bytes_as_they_are(likelihood, rng):
    vae = nv.VAE.dense(12, (7,), 3, likelihood, rng=rng)
    assert nv.examine(vae, x=rng.integers(0, 256, (12, 3, 4), np.uint8), rng=rng).ok


@pytest.mark.parametrize("x, words", [(np.full((3, 12), 0.5), "x has 3 images; expected at least 4"),
                                      (3.0, r"x has shape \(\); expected")])
def test_too_few_images_for_our_own_vae(x, words, rng):
    with pytest.raises(ValueError, match=words):
        nv.examine(nv.VAE.dense(12, (7,), 3, rng=rng), x=x, rng=rng)


def vars_of(vae):
    from numpyvae.examination import functions_of
    return functions_of(vae.astype(np.float64), np.random.default_rng(3).random((12, vae.n_data)))


def test_the_report_prints_and_shows_in_a_notebook(rng):
    report = nv.examine(**museum.EXHIBITS[0].functions(rng), rng=rng)
    text = str(report)
    assert text.startswith("Examination: 1 wrong, 12 ok, 0 not checked")
    assert max(map(len, text.splitlines())) <= 100
    assert "exp(logvar) is used as the standard deviation" in " ".join(text.split())
    assert "<table>" in report._repr_html_()
    with pytest.raises(KeyError, match="the checks are noise, sampling"):
        report["nonsense"]


X = np.random.default_rng(0).random((8, 12))


@pytest.mark.parametrize("arguments, words", [
    (dict(model=3), "model is int; expected a numpyvae VAE"),
    (dict(encode=lambda x: (x, x)), "x is missing"),
    (dict(encode=lambda x: (x, x), x=X[0]), r"x has shape \(12,\)"),
    (dict(encode=lambda x: (x, x), x=X > 0.5), "dtype bool"),
    (dict(encode=lambda x: (x, x), x=X * np.nan), "NaN"),
    (dict(encode=lambda x: x, x=X), "expected the pair mu, logvar"),
    (dict(encode=lambda x: (x, x[:, :2]), x=X), r"expected \(B, Z\) for both"),
    (dict(encode=lambda x: (x, x), x=X, loss=lambda x, eps: x, decode=lambda z: z), "loss gives shape"),
    (dict(encode=lambda x: (x, x), x=X, loss=lambda x, eps: 0.0, decode=lambda z: z[:, :2]), "decode gives shape"),
    (dict(encode=lambda x: (x, x), x=X, decodes_to="logit"), "decodes_to"),
])
def test_what_no_vae_gives_is_refused_with_a_sentence(arguments, words, rng):
    with pytest.raises((TypeError, ValueError), match=words):
        nv.examine(**arguments, rng=rng)


def test_nothing_given_nothing_checked(rng):
    report = nv.examine(rng=rng)
    assert report.ok and {finding.verdict for finding in report.findings} == {"not checked"}


def test_parameters_come_back_as_they_were(rng):
    functions = museum.right(rng)
    before = {name: array.copy() for name, array in functions["parameters"].items()}
    nv.examine(**functions, rng=rng)
    for name, array in before.items():
        np.testing.assert_array_equal(array, functions["parameters"][name])


# Other ways to go wrong, besides the exhibits: each a right VAE with one function replaced.

def tiny(**changes):
    vae = museum.vae.TinyVAE(np.random.default_rng(0))
    for name, value in changes.items():
        setattr(vae, name, value)
    return vae.functions()


@pytest.mark.parametrize("changes, check, words", [
    (dict(kl=lambda mu, logvar: 0.5 * np.sum(np.exp(logvar) + mu**2 - logvar, axis=1)), "kl", "-1 of each latent"),
    (dict(kl=lambda mu, logvar: 0.5 * np.sum(np.exp(2 * logvar) + mu**2 - 1 - 2 * logvar, axis=1)), "kl",
     "logvar is used as log sigma"),
    (dict(nll=lambda theta, x: -np.sum(x * np.minimum(theta - np.log1p(np.exp(theta)), 0), axis=1)), "likelihood",
     r"\(1 - x\) log\(1 - y\) is missing"),
    (dict(sigma=lambda logvar: np.ones_like(logvar)), "sampling", "not scaled"),
    (dict(sigma=lambda logvar: 0 * logvar), "sampling", "no noise is added"),
    (dict(sample_x=lambda z: z @ np.ones((3, 12))), "images", "not drawn from"),
])
def test_other_mistakes_are_named(changes, check, words, rng):
    functions = tiny(**changes) | {"gradients": None}
    report = nv.examine(**functions, rng=rng)
    assert check in report.wrong
    assert re.search(words, report[check].mistake), report


def drawn(**changes):
    """`tiny`, whose loss draws its own noise; with a KL that varies, as that of a trained VAE does."""
    functions = tiny(**changes)
    functions["parameters"]["mu.W"] *= 4.0
    loss, noise = functions["loss"], np.random.default_rng(1)
    return functions | {"loss": lambda x: loss(x, noise.standard_normal((len(x), museum.vae.Z))), "gradients": None}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("weight", [1.0, 0.0, 0.05, 0.5, 2.0])
def test_a_loss_that_draws_its_own_noise_tells_the_weight_of_its_kl(weight, seed):
    functions = drawn(kl=lambda mu, logvar: weight * gaussian_kl(mu, logvar))
    report = nv.examine(**functions, rng=np.random.default_rng(seed))
    assert report.wrong == (() if weight == 1 else ("reduction",)), report
    assert report["reduction"].verdict == ("ok" if weight == 1 else "wrong"), report
    assert nv.examine(**functions, beta=weight, rng=np.random.default_rng(seed)).ok


def test_where_draws_cannot_decide_nothing_is_claimed(rng):
    """The KL is the same for every image: no number of draws tells its weight."""
    vae = museum.vae.TinyVAE(np.random.default_rng(0))
    for name in ("mu.W", "logvar.W"):
        vae.parameters[name][:] = 0.0
    functions = vae.functions() | {"gradients": None}
    frozen = functions["loss"]
    report = nv.examine(**functions | {"loss": lambda x: frozen(x, rng.standard_normal((len(x), museum.vae.Z)))},
                        rng=rng)
    assert report.ok and report["reduction"].verdict == report["kl"].verdict == "not decided"
    assert "varies too little" in report["kl"].evidence


def test_a_loss_that_follows_no_formula_is_said_to(rng):
    report = nv.examine(**tiny(nll=lambda theta, x: np.sum(np.abs(theta - x)**3, axis=1)) | {"gradients": None},
                        rng=rng)
    assert report.wrong == ("likelihood",) and "does not fit" in report["likelihood"].evidence
    report = nv.examine(**tiny(kl=lambda mu, logvar: np.sum(np.cosh(mu) + logvar**2, axis=1)) | {"gradients": None},
                        rng=rng)
    assert report.wrong == ("kl",) and "does not fit" in report["kl"].evidence


@pytest.mark.parametrize("name, change, words", [
    ("output.W", lambda g: 2 * g, "only output.W is wrong|just after output"),
    ("mu.W", lambda g: g.T.reshape(g.shape), "only mu.W is wrong"),
    ("mu.b", lambda g: g[:-1], "of the same shape"),
])
def test_a_wrong_gradient_is_placed(name, change, words, rng):
    functions = tiny()
    right = functions["gradients"]
    functions["gradients"] = lambda x, eps: {key: change(g) if key == name else g for key, g in right(x, eps).items()}
    report = nv.examine(**functions, rng=rng)
    assert report.wrong == ("gradients",)
    assert re.search(words, report["gradients"].mistake), report
