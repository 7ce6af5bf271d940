"""Lesson 13's patients: they train, they are sick as they should be, and the stranger is sick in one place."""
import math

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.course import lesson_13, patients
from numpyvae.museum import EXHIBITS
from numpyvae.museum.vae import GaussianVAE, TinyVAE

PICTURES = (np.random.default_rng(0).random((40, 196)) < 0.3).astype(float)


@pytest.mark.parametrize("name, low, high, dtype", [("healthy", 0, 1, float), ("B", 0, 1, np.float32),
                                                    ("C", -0.7, 1.6, float)])
def test_a_patient_has_its_pictures_and_computes_in_their_precision(name, low, high, dtype):
    vae = patients.admit(name, PICTURES, seed=1)
    assert vae.x.min() == pytest.approx(low, abs=0.1) and vae.x.max() == pytest.approx(high, abs=0.1)
    assert {w.dtype for w in vae.parameters.values()} == {vae.x.dtype} == {np.dtype(dtype)}
    assert vae.encode(vae.x)[0].shape == (40, 8)
    assert np.array_equal(patients.admit("B", PICTURES, seed=1).x, 1 - PICTURES)


def test_training_lowers_the_loss_and_is_repeated_by_its_seed():
    one, other = (patients.admit("healthy", PICTURES, seed=1) for _ in range(2))
    losses = patients.train(one, seed=2, epochs=12, batch_size=10)
    assert len(losses) == 12 and losses[-1] < losses[0] - 5
    assert patients.train(other, seed=2, epochs=12, batch_size=10) == losses
    assert patients.train(patients.admit("healthy", PICTURES, seed=1), seed=3, epochs=1) != losses[:1]


def test_a_step_is_one_of_our_adam():
    """On the same gradients, from the same weights."""
    vae, lr = patients.admit("healthy", PICTURES, seed=1), 0.01
    before, eps_rng = vae.parameters["mu.W"].copy(), np.random.default_rng(2)
    rows = eps_rng.permutation(40)
    gradient = vae.gradients(vae.x[rows], eps_rng.standard_normal((40, 8)))["mu.W"]
    patients.train(vae, seed=2, epochs=1, lr=lr)
    assert np.allclose(vae.parameters["mu.W"], before - lr * gradient / (np.abs(gradient) + 1e-8), atol=1e-9)


def test_a_loss_that_is_no_number_ends_the_training():
    vae = patients.admit("healthy", PICTURES, seed=1)
    vae.loss = lambda x, eps: math.nan
    assert len(patients.train(vae, seed=2, epochs=5)) == 1


def test_the_panels_hold_each_curve_and_the_mark_in_its_units():
    curves = {name: [float(i)] * 3 for i, name in enumerate(patients.PATIENTS)}
    panels = dict(zip("ABCDEF", patients.curve_panels(curves, 98.0).values()))
    assert panels["A"] == {"patient": [1.0] * 3, "mean picture": [0.5] * 3}
    assert panels["C"] == {"patient": [3.0] * 3}
    assert panels["F"] == {"patient": [6.0] * 3, "healthy": [0.0] * 3, "mean picture": [98.0] * 3}


def test_pictures_are_painted_as_plotting_functions_do():
    z = np.random.default_rng(0).standard_normal((4, 8))
    for name in ("healthy", "D"):
        vae = patients.admit(name, PICTURES, seed=1)
        images, drawn = vae.sample_x(z), patients.painted(vae, z)
        assert drawn.shape == (4, 14, 14) and drawn.min() >= 0 and drawn.max() <= 1
        if name == "D":
            images = (images - images.min()) / np.ptp(images)
        assert np.allclose(drawn.reshape(4, 196), images)


def test_of_a_report_only_what_is_wrong_is_printed(rng):
    report = nv.examine(**next(one for one in EXHIBITS if one.name == "softplus-samples").functions(rng), rng=rng)
    text = patients.wrong_part(report)
    assert text.startswith("wrong         images") and "softplus(logits)" in text and "ok  " not in text


def test_torn_reports_name_the_check_and_the_numbers_but_not_the_mistake():
    torn = patients.torn_reports()
    assert set(torn) == set(lesson_13.DISEASES)
    caught = {one.name: one.caught_by for one in EXHIBITS}
    for letter, text in torn.items():
        assert text.startswith(f"{letter}  {caught[patients.REPORTS[letter]]}: ")
        assert "->" not in text and max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_stranger_has_a_beta_of_two_and_no_other_fault(seed):
    stranger = patients.Stranger()
    report = nv.examine(x=stranger.pictures, **patients.stranger_functions(stranger), rng=np.random.default_rng(seed))
    assert report.wrong == ("reduction",) and not report.undecided
    assert "hidden beta of 2." in report["reduction"].mistake


def test_a_wrapper_that_takes_log_sigma_for_logvar_makes_the_stranger_look_sick_elsewhere(rng):
    stranger = patients.Stranger()
    functions = patients.stranger_functions(stranger)
    functions["encode"] = lambda x: tuple(np.split(stranger.infer(x), 2, axis=1))
    functions["sample_z"] = lambda mu, logvar, eps: mu + np.exp(logvar) * eps
    assert "sampling" in nv.examine(x=stranger.pictures, **functions, rng=rng).wrong


@pytest.mark.parametrize("kind", [TinyVAE, GaussianVAE])
def test_an_exhibit_of_any_size_passes_and_is_trained(kind, rng):
    vae = patients.trained(kind, PICTURES, seed=1, epochs=2, units=(9, 1, 7))
    assert vae.parameters["hidden.W"].shape == (1, 7)
    assert nv.examine(**{**vae.functions(), "x": vae.x[:12]}, rng=rng).ok
    untrained = kind(np.random.default_rng(1), PICTURES, (9, 1, 7))
    eps = np.zeros((40, 1))
    assert vae.loss(vae.x, eps) < untrained.loss(vae.x, eps)
