"""Early stopping: training ends with the weights of its best epoch, also through a kill, and with more patience."""
import functools
import itertools

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.files import checkpoint
from numpyvae.training import fit as fit_module

STEPS = 5    # of 40 images in batches of 8
LOSSES = [9.0, 7.0, 8.0, 7.0, 6.0, 6.5, 6.4, 6.3, 6.2, 5.0]    # of validation, told in place of measured ones


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (60, 12), np.uint8)


@pytest.fixture
def told(monkeypatch):
    """Validation losses of our choice, an epoch each, in place of those that are measured."""
    measure = fit_module.mean_loss    # its random numbers are still drawn

    def tell(losses, at=0):
        left = iter(losses[at:])
        monkeypatch.setattr(fit_module, "mean_loss", lambda *given: measure(*given)._replace(loss=next(left)))
    return tell


def begin(images, lr=1e-2, **options):
    """A model and the run that trains it, from one seed."""
    rng = np.random.default_rng(7)
    vae = nv.VAE.dense(12, (8,), 2, rng=rng)
    options = {"epochs": 10, "batch_size": 8, "validation": images[40:], **options}
    return vae, nv.fit(vae, images[:40], optimizer=nv.Adam(lr), rng=rng, **options)


def weights(images, epochs):
    """Those after so many epochs, without patience."""
    vae, run = begin(images, epochs=epochs)
    list(run)
    return vae.parameters.values


def outcome(vae, run):
    """All that has to be equal."""
    records = [(r.epoch, r.loss, r.nll, r.kl, r.validation, r.best_epoch) for r in run]
    return vae.parameters.values.tobytes(), records


def after(steps):
    """A `stop` that returns True at this step."""
    return functools.partial(lambda counter: next(counter) == steps, itertools.count(1))


@pytest.mark.parametrize("patience, last, best", [
    (1, 3, 2), (2, 4, 2), (3, 8, 5), (4, 9, 5), (5, 10, 10), (50, 10, 10)])
def test_it_stops_and_keeps_the_best_epoch(patience, last, best, images, told):
    """Also where the epochs end first; of equal losses the first counts, so the fourth epoch is no new lowest."""
    expected = weights(images, best)
    told(LOSSES)
    vae, run = begin(images, patience=patience)
    records = list(run)
    assert [record.epoch for record in records] == list(range(1, last + 1)) and records[-1].best_epoch == best
    np.testing.assert_array_equal(vae.parameters.values, expected)


def test_each_record_comes_with_its_own_weights_and_names_the_best_so_far(images, told):
    expected = [weights(images, epochs) for epochs in range(1, 5)]
    told(LOSSES)
    vae, run = begin(images, patience=2)
    found = [(record.best_epoch, vae.parameters.values.copy()) for record in run]
    assert [best for best, _ in found] == [1, 2, 2, 2]
    for (_, values), then in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, then)


def test_without_patience_nothing_changes(images, told):
    whole = weights(images, 10)
    told(LOSSES)
    vae, run = begin(images)
    assert [record.best_epoch for record in run] == 10 * [None]
    np.testing.assert_array_equal(vae.parameters.values, whole)


def test_on_measured_losses_the_model_has_the_lowest(images):
    """Without noise in the loss, and so the same when measured again."""
    rng = np.random.default_rng(7)
    model = nv.Autoencoder.dense(12, (30,), 6, rng=rng)
    records = list(nv.fit(model, images[:20], optimizer=nv.Adam(3e-2), epochs=60, batch_size=8, rng=rng,
                          validation=images[40:], patience=4))
    best = records[-1].best_epoch
    assert 1 < best == len(records) - 4 < 56    # it has learned, and then overfitted
    lowest = min(record.validation.loss for record in records)
    assert nv.evaluate_loss(model, images[40:], rng=rng).loss == records[best - 1].validation.loss == lowest


@pytest.mark.parametrize("warmup, best, last", [(1, 5, 8), (5, 10, 10), (2, 5, 8)])
def test_epochs_of_the_warm_up_are_no_candidates(warmup, best, last, images, told):
    """With a warm-up of 5 epochs, the fifth, whose loss is the lowest for long, was trained for a smaller beta."""
    told(LOSSES)
    _, run = begin(images, patience=3, warmup=warmup)
    records = list(run)
    assert (records[-1].best_epoch, len(records)) == (best, last)
    assert all(record.best_epoch is None for record in records[:warmup])
    assert records[warmup].best_epoch == warmup + 1


def test_the_validation_loss_has_the_whole_beta_during_the_warm_up(images):
    vae, run = begin(images, patience=3, warmup=4)
    for record in run:
        assert record.validation.loss == pytest.approx(record.validation.nll + record.validation.kl)


@pytest.mark.parametrize("steps", [1, 7, 13, 20, 22, 31, 38])
def test_stopped_at_any_step_and_resumed_it_ends_with_the_same_bits(steps, images, tmp_path, told):
    told(LOSSES)
    whole = outcome(*begin(images, patience=3))
    told(LOSSES)
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        list(begin(images, patience=3, checkpoint=path, stop=after(steps))[1])
    told(LOSSES, at=(steps - 1) // STEPS)
    assert outcome(*begin(images, patience=3, checkpoint=path, resume=path)) == whole
    assert outcome(*begin(images, patience=3, resume=path)) == whole    # it has ended: only its records come
    assert nv.load(path).parameters.values.tobytes() == whole[0]


@pytest.mark.parametrize("first, then", [
    (dict(patience=2), dict(patience=5)), (dict(patience=3), dict(patience=5, epochs=12)),
    (dict(patience=5, epochs=6), dict(patience=5, epochs=12)), (dict(patience=2), dict(patience=2, epochs=12))])
@pytest.mark.parametrize("stopped", [None, 12])
def test_more_patience_and_more_epochs_as_if_given_at_first(first, then, stopped, images, tmp_path, told):
    losses = LOSSES + [4.9, 4.8]
    told(losses)
    whole = outcome(*begin(images, **then))
    told(losses)
    path = tmp_path / "checkpoint.npz"
    if stopped is None:
        done = len(list(begin(images, checkpoint=path, **first)[1]))
    else:
        with pytest.raises(KeyboardInterrupt):
            list(begin(images, checkpoint=path, stop=after(stopped), **first)[1])
        done = stopped // STEPS
    told(losses, at=done)
    vae, run = begin(images, resume=path, **then)
    assert run.restored == done
    assert outcome(vae, run) == whole


@pytest.mark.parametrize("first, then, words", [
    (3, 2, "patience was 3 and is now 2"), (3, None, "patience was 3 and is now None"),
    (None, 3, "patience was None and is now 3")])
def test_less_patience_is_another_run(first, then, words, images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        list(begin(images, patience=first, checkpoint=path, stop=after(12))[1])
    with pytest.raises(ValueError, match=words):
        begin(images, patience=then, resume=path)


def test_a_checkpoint_from_before_there_was_patience_resumes(images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        list(begin(images, checkpoint=path, stop=after(12))[1])
    header, arrays = checkpoint.read(path)
    del header["training"]["settings"]["patience"]
    for record in header["training"]["records"]:
        del record["best_epoch"]
    checkpoint.write(path, header, arrays)
    vae, run = begin(images, resume=path)
    list(run)
    np.testing.assert_array_equal(vae.parameters.values, weights(images, 10))


@pytest.mark.parametrize("damage", [
    lambda records, arrays: arrays.pop("best"), lambda records, arrays: records[-1].update(best_epoch=1),
    lambda records, arrays: records[-1].update(best_epoch=None), lambda records, arrays: records[-1].update(epoch="x"),
    lambda records, arrays: records[1].update(validation=None),
    lambda records, arrays: arrays.update(best=arrays["best"][:3]),
    lambda records, arrays: arrays["best"].fill(np.nan)])
def test_a_damaged_best_epoch_is_refused(damage, images, tmp_path, told):
    told([5.0, 4.0, 6.0])
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        list(begin(images, patience=5, checkpoint=path, stop=after(17))[1])
    header, arrays = checkpoint.read(path)
    damage(header["training"]["records"], arrays)
    checkpoint.write(path, header, arrays)
    with pytest.raises(ValueError, match="cannot be resumed|is not a checkpoint"):
        begin(images, patience=5, resume=path)


@pytest.mark.parametrize("options, words", [
    (dict(patience=3, validation=None), "patience is 3, but there is no validation loss to fall; expected validation"),
    (dict(patience=3, warmup=10), "patience looks for the best epoch after it; expected more epochs, or at most 9"),
    (dict(warmup=11), "only 10 epochs, so beta would never reach 1; expected more epochs, or at most 10"),
    (dict(warmup=2, epochs=1), "there is only 1 epoch, so"),
    (dict(warmup=2, objective=nv.objectives.dreg, samples=2), "expected 0 with the objective dreg"),
    (dict(samples=2, objective=nv.objectives.free_bits), "free_bits takes one; expected an objective that takes"),
    (dict(samples=2, objective=functools.partial(nv.objectives.free_bits, minimum=0.5)),
     "free_bits.minimum=0.5. takes")
])
def test_what_would_have_no_effect_is_refused(options, words, images):
    with pytest.raises(ValueError, match=words):
        begin(images, **options)


def test_a_warm_up_to_a_beta_of_nothing_is_refused(images, rng):
    vae = nv.VAE.dense(12, (8,), 2, beta=0.0, rng=rng)
    with pytest.raises(ValueError, match="but beta is 0, so there is nothing to grow"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=3, batch_size=8, rng=rng, warmup=2)


def test_an_optimizer_without_a_rate_has_none_to_change(images, rng):
    class Still:
        def step(self, parameters):
            pass
    vae = nv.VAE.dense(12, (8,), 2, rng=rng)
    with pytest.raises(ValueError, match="lr_end is 0.1, but Still has no lr; expected None"):
        nv.fit(vae, images, optimizer=Still(), epochs=3, batch_size=8, rng=rng, lr_end=0.1)


@pytest.mark.parametrize("objective, words", [(nv.objectives.iwae, "iwae is no more than the ELBO"),
                                              (nv.objectives.dreg, "dreg is no more than sticking_the_landing")])
def test_one_sample_where_several_are_the_point_is_told(objective, words, images):
    with pytest.warns(UserWarning, match=words):
        list(begin(images, objective=objective, epochs=1)[1])
