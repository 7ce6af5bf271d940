"""What `fit` does around each step: when it stops and saves, its clock and its bar, what it says of infinity."""
import functools
import itertools
import zlib

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.files import checkpoint
from numpyvae.training import fit as fit_module
from numpyvae.training.fit import first_not_finite, name_of
from numpyvae.training.resume import TrainingState

STEPS = 6    # of 45 images in batches of 8


class Still:
    """An optimizer that changes nothing, and has no learning rate."""

    def step(self, parameters):
        pass


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


def test_the_seconds_before_an_interruption_count(images, monkeypatch, tmp_path):
    monkeypatch.setattr(fit_module.time, "perf_counter", functools.partial(next, itertools.count(100.0)))

    def run(**options):
        rng = np.random.default_rng(1)
        return list(begin(nv.VAE.dense(12, (6,), 2, rng=rng), images, rng, **options))
    calls = itertools.count(1)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "c", stop=lambda: next(calls) == STEPS + 4)
    assert [record.seconds for record in run(resume=tmp_path / "c")] == [STEPS] * 3


def test_the_bar_is_shown_where_it_is_asked_for(vae, images, rng, capsys):
    list(begin(vae, images, rng))
    assert capsys.readouterr().err == ""
    list(begin(vae, images, rng, progress=True))
    shown = capsys.readouterr().err
    assert all(f"epoch {epoch}/3:" in shown for epoch in (1, 2, 3)) and f"/{STEPS} " in shown and "batch" in shown


def test_the_bar_goes_when_its_epoch_is_done(vae, images, rng, monkeypatch):
    asked = []
    monkeypatch.setattr("tqdm.auto.tqdm", lambda batches, title, **options: asked.append(options) or batches)
    list(begin(vae, images, rng, progress=True))
    assert asked == 3 * [{"leave": False, "unit": "batch"}]


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


def test_where_the_weights_are_is_looked_at_once_an_epoch(vae, images, rng, monkeypatch):
    seen = []
    monkeypatch.setattr(vae, "check_views", lambda: seen.append(1))
    list(begin(vae, images, rng))
    assert len(seen) == 3


@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_of_a_million_million_nats_a_pixel_is_too_large_to_learn_from(sign, vae, images, rng):
    def objective(model, x, eps):
        return nv.LossTerms(loss, loss, 0.0)
    loss = sign * 11.9e12    # of 12 pixels
    assert len(list(begin(vae, images, rng, objective=objective))) == 3
    loss = sign * 12e12
    with pytest.raises(FloatingPointError, match=rf"^the loss is {loss:.3g} in epoch 1, step 1, too large to learn "
                       "from; expected less: ".replace("+", r"\+")):
        list(begin(vae, images, rng, objective=objective))


@pytest.mark.parametrize("optimizer, advice", [(nv.SGD(0.25), "a smaller lr than 0.25"), (Still(), "a smaller lr")])
def test_after_the_first_step_the_learning_rate_is_blamed(optimizer, advice, vae, images, rng):
    losses = iter([1.0, 1.0, np.nan])
    with pytest.raises(FloatingPointError, match=f"in epoch 1, step 3, .*: try {advice}, or look at the data"):
        list(begin(vae, images, rng, optimizer=optimizer, objective=lambda *_: nv.LossTerms(next(losses), 1.0, 0.0)))


def test_the_culprit_is_looked_for_in_the_batch_that_failed(images, rng):
    vae = nv.ConditionalVAE.dense(12, (6,), 2, n_classes=3, rng=rng)
    seen = []

    def objective(model, x, eps, labels):
        seen[:] = [x.copy(), labels.copy()]
        return nv.LossTerms(np.nan, np.nan, 0.0)

    def encode(x, labels):
        assert np.array_equal(x, seen[0]) and np.array_equal(labels, seen[1])
        return np.full((8, 2), np.inf), np.zeros((8, 2))
    vae.encode = encode
    with pytest.raises(FloatingPointError, match="that is not finite is the encoder's mu; expected a finite loss"):
        list(begin(vae, images, rng, objective=objective, labels=rng.integers(0, 3, 45)))


def test_numbers_that_overflow_on_the_way_do_not_warn(vae, images, rng, monkeypatch):
    def loss(*given):
        seen.append(np.float32(1e38) * np.float32(10) - np.float64(np.inf))    # over, then invalid
        return nv.LossTerms(1.0, 1.0, 0.0)
    seen = []
    monkeypatch.setattr(vae, "loss_terms", loss)
    with np.errstate(over="raise", invalid="raise"):
        list(begin(vae, images, rng, objective=loss, validation=images))
    assert len(seen) == 3 * (STEPS + 1)


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


@pytest.mark.parametrize("largest, advice", [(101.0, "the data reach 101, so standardise"),
                                             (100.0, "make a new model")])
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


def test_a_learning_rate_may_stay_but_not_rise(vae, images, rng):
    assert len(list(begin(vae, images, rng, optimizer=nv.SGD(0.01), lr_end=0.01))) == 3
    with pytest.raises(ValueError, match="^lr_end is 0.0104, above the learning rate at the start, 0.01; expected"):
        begin(vae, images, rng, optimizer=nv.SGD(0.01), lr_end=0.0104)


def test_what_has_no_schedule_is_left_as_it_was(vae, images, rng):
    optimizer = Still()
    list(begin(vae, images, rng, optimizer=optimizer))
    assert vars(optimizer) == {}
    model = nv.Autoencoder.dense(12, (6,), 2, rng=rng)
    list(begin(model, images, rng))
    assert not hasattr(model, "beta")


def test_a_run_says_how_far_it_has_come_and_that_it_is_over(vae, images, rng):
    run = begin(vae, images, rng)
    assert repr(run) == "<fit, not yet begun: 0 records so far>"
    next(run)
    assert repr(run) == "<fit, under way: 1 record so far>"
    list(run)
    assert repr(run) == "<fit, ended: 3 records so far>"
    with pytest.warns(UserWarning, match="these epochs have been gone through"):
        assert list(run) == []


def test_a_warm_up_may_last_as_long_as_the_run(vae, images, rng):
    with pytest.raises(ValueError, match="warmup is 31, but there are only 30 epochs"):
        begin(vae, images, rng, epochs=30, warmup=31)
    assert len(list(begin(vae, images, rng, warmup=3))) == 3
    assert len(list(begin(vae, images, rng, warmup=2, patience=1, validation=images, optimizer=nv.SGD(1e-9)))) == 3


@pytest.mark.parametrize("binarize", ["none", "dynamic", "static"])
def test_what_is_drawn_for_validation_is_the_same_after_every_epoch(binarize, vae, images, rng):
    options = {"validation": images, "optimizer": nv.SGD(1e-30), "binarize": binarize}
    losses = {record.validation.loss for record in begin(vae, images, rng, **options)}
    assert len(losses) == 1
    changed = begin(vae, images, np.random.default_rng(1), **options)
    assert next(changed).validation.loss not in losses
    changed.records.close()


@pytest.mark.parametrize("binarize", ["none", "static"])
def test_what_an_evaluation_draws_is_the_generator_s(binarize, vae, images):
    rng = np.random.default_rng(5)
    x = (images * (1 / 255) if binarize == "none" else rng.integers(0, 255, images.shape, np.uint8) < images)
    expected = vae.loss_terms(x.astype(np.float32), rng.standard_normal((45, 2), np.float32))
    found = nv.evaluate_loss(vae, images, rng=np.random.default_rng(5), binarize=binarize)
    assert found == pytest.approx(expected, rel=1e-6)


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


def test_a_checkpoint_says_what_fit_was_given(rng, tmp_path):
    images, held_out = (rng.integers(0, 256, (n, 12), np.uint8) for n in (45, 30))
    labels, held_out_labels = rng.integers(0, 3, 45), rng.integers(0, 3, 30)
    vae = nv.ConditionalVAE.dense(12, (6,), 2, n_classes=3, rng=rng)
    given = {"epochs": 30, "batch_size": 40, "binarize": "dynamic", "samples": 1, "lr_end": None, "warmup": 25,
             "patience": 3}
    run = begin(vae, images, rng, labels=labels, validation=held_out, validation_labels=held_out_labels,
                objective=functools.partial(nv.objectives.free_bits, minimum=0.5), checkpoint=tmp_path / "c",
                checkpoint_every="1 step", **given)
    next(run)
    run.records.close()
    said = checkpoint.read(tmp_path / "c")[0]["training"]
    assert said["settings"] == {**given, "objective": "free_bits(minimum=0.5)"}
    assert said["data"] == {name: {"shape": list(array.shape), "checksum": zlib.crc32(array.tobytes())} for name, array
                            in (("images", images), ("labels", labels), ("validation images", held_out),
                                ("validation labels", held_out_labels))}


def test_a_checkpoint_says_how_many_samples_and_which_lr_at_the_end(vae, images, rng, tmp_path):
    list(begin(vae, images, rng, samples=30, objective=nv.objectives.iwae, lr_end=1e-4, checkpoint=tmp_path / "c"))
    said = checkpoint.read(tmp_path / "c")[0]["training"]["settings"]
    assert (said["samples"], said["objective"], said["lr_end"]) == (30, "iwae", 1e-4)


@pytest.mark.filterwarnings("error")
def test_several_samples_do_not_warn_and_an_objective_need_not_be_hashable(vae, images, rng):
    class Own:
        __hash__ = None

        def __call__(self, model, x, eps):
            return nv.LossTerms(1.0, 1.0, 0.0)
    for objective, samples in (nv.objectives.iwae, 3), (Own(), 1):
        assert len(list(begin(vae, images, rng, objective=objective, samples=samples))) == 3


def test_the_sizes_that_memory_depends_on_are_named(vae, images, rng, monkeypatch):
    run = begin(vae, images, rng, batch_size=40, samples=30, objective=nv.objectives.iwae)
    assert run.sizes == {"batch_size = 40": 40, "samples = 30": 30, "a model of 208 weights": 208}
    next(run)    # one that never begins would warn

    def too_large(*given):
        raise MemoryError
    monkeypatch.setattr(nv.VAE, "loss_and_grad", too_large)
    with pytest.raises(nv.arguments.NotEnoughMemory, match="208 weights, batch_size = 8, samples = 1; expected"):
        list(begin(vae, images, rng))
