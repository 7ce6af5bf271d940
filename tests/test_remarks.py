"""What is said about a code that is not used and about a density without bound; and where nothing is to be said."""
import numpy as np
import pytest

import numpyvae as nv
from numpyvae.cli import main


def said(rng, likelihood="gaussian", nll=1.0, kl_of=(), labels=None, epochs=None, **options):
    """Remarks about a VAE whose heads are set so that these dimensions have a KL of a nat and the others none."""
    kind = nv.VAE if labels is None else nv.ConditionalVAE
    classes = {} if labels is None else {"n_classes": 3}
    vae = kind.dense(6, (5,), 4, likelihood=likelihood, rng=rng, dtype=np.float64, **classes, **options)
    for name in ("mu_head", "logvar_head"):
        vae.parameters[f"{name}.W"][:] = vae.parameters[f"{name}.b"][:] = 0
    vae.parameters["mu_head.b"][list(kl_of)] = 2**0.5
    return nv.evaluation.remarks(vae, rng.random((20, 6)), nll, rng=rng, labels=labels, epochs=epochs), vae


def test_a_code_that_is_used_needs_no_words(rng):
    assert said(rng, kl_of=[0, 1])[0] == []


@pytest.mark.parametrize("options, advice", [
    ({"sigma": 0.5}, "a smaller --sigma than 0.5"), ({"labels": np.arange(20) % 3}, "--sigma"),
    ({"likelihood": "bernoulli", "beta": 4.0}, "a smaller --beta than 4"), ({"likelihood": "bernoulli"}, "--warmup")])
def test_a_code_that_is_not_used_is_said_with_what_to_do(options, advice, rng):
    (line, *more), _ = said(rng, **options)
    assert "its KL is 0.00 nats in all" in line and "posterior collapse" in line and advice in line and not more


@pytest.mark.parametrize("epochs, since, early", [
    (None, "the code:", False), (1, "after 1 epoch:", True), (9, "after 9 epochs:", True),
    (10, "after 10 epochs:", False), (1000, "after 1,000 epochs:", False)])
def test_a_short_training_is_not_called_a_collapse(epochs, since, early, rng):
    (line,), _ = said(rng, epochs=epochs)
    assert since in line and ("so early that says little: train for longer" in line) == early
    assert ("(posterior collapse); a smaller --sigma" in line) != early
    (line,), _ = said(rng, kl_of=[2], epochs=epochs)
    assert since[:-1] in line or epochs is None
    assert ("train for longer, and look again" in line) == early and ("--latent 1 may be as good" in line) != early


def test_many_dimensions_that_tell_a_little_each_do_not_advise_a_latent_of_none(rng):
    vae = nv.VAE.dense(6, (5,), 100, rng=rng)
    for name in ("mu_head", "logvar_head"):
        vae.parameters[f"{name}.W"][:] = vae.parameters[f"{name}.b"][:] = 0
    vae.parameters["mu_head.b"][:] = 0.3    # 0.045 nats in each of 100 dimensions
    (line,) = nv.evaluation.remarks(vae, rng.random((20, 6)), 1.0, rng=rng)
    assert line.startswith("none of 100 latent dimensions tells much") and "--latent 0" not in line


def test_the_kl_of_a_correlated_posterior_is_counted_whole(rng):
    """Its dimensions' own distributions may be those of the prior while together they tell much."""
    vae = nv.FullCovarianceVAE.dense(6, (5,), 2, rng=rng, dtype=np.float64)
    for name in ("mu_head", "logvar_head", "lower_head"):
        vae.parameters[f"{name}.W"][:] = vae.parameters[f"{name}.b"][:] = 0
    lower = vae.parameters["lower_head.b"].reshape(2, 2)
    lower[1, 0], vae.parameters["logvar_head.b"][1] = 0.99, np.log(1 - 0.99**2)    # a variance of 1, correlation 0.99
    assert nv.evaluation.remarks(vae, rng.random((20, 6)), 1.0, rng=rng) == []
    vae.parameters["lower_head.b"][:] = vae.parameters["logvar_head.b"][:] = 0
    assert "its KL is 0.00 nats in all" in nv.evaluation.remarks(vae, rng.random((20, 6)), 1.0, rng=rng)[0]


def test_dimensions_that_are_not_used_are_counted(rng):
    assert "3 of 4 latent dimensions are not used" in said(rng, kl_of=[2])[0][0]
    assert "--latent 1" in said(rng, kl_of=[2])[0][0]


def test_a_loss_below_zero_is_explained(rng):
    assert "p(x|z) is a density" in said(rng, kl_of=[0, 1], nll=-3.0)[0][0]


def test_pixels_whose_learned_sigma_vanishes_are_counted(rng):
    _, vae = said(rng, "gaussian-learned", kl_of=[0, 1])
    vae.parameters["decoder.1.b"][[7, 9]] = 2 * np.log(1e-3)    # log sigma^2 of two of the six pixels
    (line,) = nv.evaluation.remarks(vae, rng.random((20, 6)), 1.0, rng=rng)
    assert "below 0.01 in 2 of 6 pixels" in line and "grows without bound" in line


def test_the_command_says_it_and_the_report_shows_it(blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    main(["train", "--data", "x.npy", "--likelihood", "gaussian", "--hidden", "8", "--latent", "3", "--epochs", "2",
          "--out", "run"])
    assert "note: the decoder hardly uses the code after 2 epochs" in capsys.readouterr().err
    page = open("run/report.html", encoding="utf-8").read()
    assert "Worth knowing" in page and "The decoder hardly uses the code" in page
