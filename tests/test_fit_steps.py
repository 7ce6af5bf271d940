"""What `fit` does around each step: when it stops and saves, its clock and its bar, what it says of infinity."""
import functools
import itertools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.training import fit as fit_module
from numpyvae.training.fit import first_not_finite, name_of
from numpyvae.training.resume import TrainingState

STEPS = 6    # of 45 images in batches of 8


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (45, 12), np.uint8)


@pytest.fixture
def vae(rng):
    return nv.VAE.dense(12, (6,), 2, rng=rng)


@pytest.fixture
def saved(monkeypatch):
    """How many steps were done at each time the run was saved, and whether it was over."""
    seen = []
    monkeypatch.setattr(TrainingState, "save", lambda state, path: seen.append(
        (STEPS * len(state.records) + -(-state.position // 8), path)))
    return seen


def begin(vae, images, rng, **options):
    return nv.fit(vae, images, **{"optimizer": nv.Adam(), "epochs": 3, "batch_size": 8, "rng": rng, **options})


def test_a_checkpoint_is_written_as_often_as_asked_and_when_all_is_done(vae, images, rng, saved):
    list(begin(vae, images, rng, checkpoint="c", checkpoint_every="4 steps"))
    assert saved == [(n, "c") for n in (4, 8, 12, 16, 18)]
    del saved[:]
    list(begin(vae, images, rng, checkpoint="c"))    # every minute
    assert saved == [(18, "c")]


@pytest.mark.parametrize("at", [1, 6, 7, 18])
def test_it_stops_after_the_step_in_which_it_is_told_to(at, vae, images, rng, saved):
    calls = itertools.count(1)
    with pytest.raises(KeyboardInterrupt):
        list(begin(vae, images, rng, checkpoint="c", stop=lambda: next(calls) == at))
    assert next(calls) == at + 1 and saved == [(at, "c")]
    calls = itertools.count(1)
    with pytest.raises(KeyboardInterrupt):    # without a checkpoint too
        list(begin(vae, images, rng, stop=lambda: next(calls) == at))
    assert len(saved) == 1


def test_an_epoch_s_seconds_are_those_of_its_steps(vae, images, rng, monkeypatch):
    """A clock that moves by a second whenever it is read: at the start, and after each step."""
    monkeypatch.setattr(fit_module.time, "perf_counter", functools.partial(next, itertools.count(100.0)))
    for record in begin(vae, images, rng, validation=images):
        assert record.seconds == STEPS and record.images_per_second == pytest.approx(45 / STEPS)


def test_the_bar_is_shown_where_it_is_asked_for(vae, images, rng, capsys):
    list(begin(vae, images, rng))
    assert capsys.readouterr().err == ""
    list(begin(vae, images, rng, progress=True))
    shown = capsys.readouterr().err
    assert all(f"epoch {epoch}/3" in shown for epoch in (1, 2, 3)) and f"/{STEPS} " in shown and "batch" in shown


def test_after_the_last_epoch_the_model_has_dropped_its_batch(vae, images, rng):
    run = begin(vae, images, rng)
    next(run)
    assert hasattr(vae.encoder.layers[0], "x")
    list(run)
    assert not hasattr(vae.encoder.layers[0], "x") and not hasattr(vae.posterior, "eps")
    run = begin(vae, images, rng)
    next(run)
    run.records.close()    # it is left early
    assert not hasattr(vae.encoder.layers[0], "x")


def test_weights_that_would_not_train_are_found_before_the_first_step(vae, images, rng):
    layer = vae.decoder.layers[0]
    layer.params["W"] = layer.params["W"].copy()
    before = vae.parameters.values.copy()
    with pytest.raises(ValueError, match="the weights or gradients of decoder.0 are not those of `parameters`"):
        list(begin(vae, images, rng))
    np.testing.assert_array_equal(vae.parameters.values, before)


@pytest.mark.parametrize("kind, name, culprit", [
    (nv.VAE, "decoder.1.b", "the weight decoder.1.b"), (nv.VAE, None, "the decoder's output, or its loss"),
    (nv.VAE, "mu", "the encoder's mu"), (nv.VAE, "logvar", "the encoder's logvar"),
    (nv.Autoencoder, "mu", "the encoder's mu")])
def test_the_first_array_that_is_not_finite_is_named(kind, name, culprit, rng):
    model = kind.dense(12, (6,), 2, rng=rng)
    if name in ("mu", "logvar"):
        bad = model.encode(np.ones((3, 12)))
        first = bad[0] if isinstance(bad, tuple) else bad
        (first if name == "mu" else bad[1])[2, 1] = np.inf
        model.encode = lambda x: bad
    elif name:
        model.parameters[name][3] = np.nan
    assert first_not_finite(model, np.ones((3, 12))) == culprit


@pytest.mark.parametrize("largest, advice", [(101.0, "the data reach 101, so standardise"), (99.0, "make a new model")])
def test_large_numbers_are_blamed_from_a_hundred_on(largest, advice, rng):
    vae = nv.VAE.dense(12, (6,), 2, "gaussian", rng=rng)
    vae.parameters["decoder.1.b"][0] = np.nan
    with pytest.raises(FloatingPointError, match=advice):
        list(begin(vae, np.full((45, 12), -largest), rng))


def test_an_objective_is_called_what_its_author_calls_it():
    class Own:
        pass
    assert [name_of(one) for one in (None, nv.objectives.iwae, Own(),
                                     functools.partial(nv.objectives.free_bits, minimum=0.5))] == [
        "elbo", "iwae", "Own", "free_bits(minimum=0.5)"]


@pytest.mark.parametrize("objective", [nv.objectives.iwae, functools.partial(nv.objectives.dreg)])
def test_a_bound_takes_no_other_beta_and_no_warm_up(objective, images, rng):
    vae = nv.VAE.dense(12, (6,), 2, beta=2.0, rng=rng)
    with pytest.raises(ValueError, match="^beta is 2; expected 1 with the objective"):
        begin(vae, images, rng, objective=objective, samples=3)
    vae.beta = 1.0
    with pytest.raises(ValueError, match="warmup is 1; expected 0 with the objective"):
        begin(vae, images, rng, objective=objective, samples=3, warmup=1)
    assert len(list(begin(vae, images, rng, objective=objective, samples=3))) == 3


def test_a_model_without_beta_has_nothing_to_warm_up(images, rng):
    with pytest.raises(ValueError, match="warmup is 1, but Autoencoder has no beta; expected 0"):
        begin(nv.Autoencoder.dense(12, (6,), 2, rng=rng), images, rng, warmup=1)


def test_a_warm_up_may_last_as_long_as_the_run(vae, images, rng):
    assert len(list(begin(vae, images, rng, warmup=3))) == 3
    assert len(list(begin(vae, images, rng, warmup=2, patience=1, validation=images, optimizer=nv.SGD(1e-9)))) == 3


def test_the_noise_of_validation_is_the_same_after_every_epoch(vae, images, rng):
    losses = {record.validation.loss for record in begin(vae, images, rng, validation=images, optimizer=nv.SGD(1e-30))}
    assert len(losses) == 1
    changed = begin(vae, images, np.random.default_rng(1), validation=images, optimizer=nv.SGD(1e-30))
    assert next(changed).validation.loss not in losses
    changed.records.close()


@pytest.mark.parametrize("samples", [1, 5])
def test_the_noise_of_a_step_is_the_generator_s(samples, vae, images):
    """After the order of the epoch, K draws for each image of the batch."""
    seen = []

    def objective(model, x, eps):
        seen.append(eps)
        return nv.LossTerms(1.0, 1.0, 0.0)
    list(begin(vae, images, np.random.default_rng(4), objective=objective, samples=samples, epochs=1))
    rng = np.random.default_rng(4)
    rng.permutation(45)
    for eps, n in zip(seen, [8] * 5 + [5], strict=True):
        expected = rng.standard_normal((samples, n, 2), np.float32)
        np.testing.assert_array_equal(eps, expected[0] if samples == 1 else expected)


def test_the_sizes_that_memory_depends_on_are_named(vae, images, rng, monkeypatch):
    def too_large(*given):
        raise MemoryError
    monkeypatch.setattr(nv.VAE, "loss_and_grad", too_large)
    with pytest.raises(nv.arguments.NotEnoughMemory, match="208 weights, batch_size = 8, samples = 1; expected"):
        list(begin(vae, images, rng))
