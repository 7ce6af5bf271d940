import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.training.batches import Pixels, drawn_once


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (50, 4, 3), np.uint8)


@pytest.fixture
def vae(rng):
    return nv.VAE.dense(12, (6,), 2, rng=rng)


def fit(vae, images, rng, **options):
    options = {"optimizer": nv.Adam(), "epochs": 2, "batch_size": 8, "rng": rng, **options}
    return list(nv.fit(vae, images, **options))


class Spy:
    """Looks like a model and keeps every batch that it is shown."""

    n_data, dtype = 1, np.dtype(np.float32)

    def __init__(self):
        self.seen, self.parameters = [], []

    def noise(self, n, rng):
        return ()

    def loss_and_grad(self, x):
        self.seen.append(x[:, 0].copy())
        return nv.LossTerms(0.0, 0.0, 0.0)


class Still:
    def step(self, parameters):
        pass


def test_a_fit_that_is_never_iterated_over_warns(vae, images, rng):
    before = vae.parameters.values.copy()
    with pytest.warns(UserWarning, match="nothing was learned: it trains as you iterate"):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=8, rng=rng)
    np.testing.assert_array_equal(vae.parameters.values, before)


@pytest.mark.filterwarnings("error")
def test_a_fit_that_was_left_early_does_not_warn_and_puts_back_the_schedule(vae, images, rng):
    optimizer = nv.Adam(1e-2)
    for _ in nv.fit(vae, images, optimizer=optimizer, epochs=9, batch_size=8, rng=rng, lr_end=1e-5, warmup=5):
        break
    assert optimizer.lr == 1e-2 and vae.beta == 1.0


@pytest.mark.parametrize("objective", [nv.objectives.iwae, nv.objectives.free_bits])
def test_an_autoencoder_draws_no_codes_for_an_objective(objective, images, rng):
    with pytest.raises(ValueError, match=f"objective is {objective.__name__}, but Autoencoder draws no codes; exp"):
        fit(nv.Autoencoder.dense(images[0].size, (4,), 2, rng=rng), images, rng, objective=objective,
            samples=2 if objective is nv.objectives.iwae else 1)


def test_more_noise_than_can_be_drawn_is_refused_before_training(vae, images, rng):
    with pytest.raises(ValueError, match="samples is 300,000,000, for each of the 8 images of a batch; expected at"):
        fit(vae, images, rng, objective=nv.objectives.iwae, samples=300_000_000, batch_size=8)


def test_as_much_noise_as_can_be_drawn_is_drawn(vae, images, rng, monkeypatch):
    monkeypatch.setitem(sys.modules["numpyvae.training.fit"].__dict__, "LARGEST", 24)
    fit(vae, images, rng, objective=nv.objectives.iwae, samples=3, batch_size=8, epochs=1)
    with pytest.raises(ValueError, match="expected at most 3"):
        fit(vae, images, rng, objective=nv.objectives.iwae, samples=4, batch_size=8, epochs=1)


def test_no_more_noise_than_a_c_int_counts(vae):
    check = sys.modules["numpyvae.training.fit"]._check_objective
    check(vae, nv.objectives.iwae, 2**31 - 1, 1)
    with pytest.raises(ValueError, match="expected at most 2,147,483,647"):
        check(vae, nv.objectives.iwae, 2**31, 1)


def test_a_missing_value_of_a_masked_array_is_no_number(vae, images, rng):
    masked = np.ma.masked_array(images / 255, images < 100)
    with pytest.raises(ValueError, match="images is a masked array in which values are missing; expected all of them"):
        fit(vae, masked, rng)
    with pytest.raises(ValueError, match="probabilistic_pca: x is a masked array"):
        nv.exact.probabilistic_pca(masked.reshape(len(masked), -1), 2)
    fit(vae, np.ma.masked_array(images), rng, epochs=1)    # of which none is missing


def test_every_image_is_seen_once_an_epoch_in_a_new_order(rng):
    spy = Spy()
    fit(spy, np.arange(50, dtype=np.uint8)[:, None], rng, optimizer=Still())
    assert [len(batch) for batch in spy.seen] == 2 * [8, 8, 8, 8, 8, 8, 2]
    first, second = (np.rint(255 * np.concatenate(spy.seen[i:i + 7])) for i in (0, 7))
    assert sorted(first) == sorted(second) == list(range(50))
    assert (first != second).any()
    # Nor are whole batches reordered: the first batch's images are spread over the second epoch.
    assert len({int(i) // 8 for i in np.nonzero(np.isin(second, first[:8]))[0]}) > 1


def test_training_lowers_the_loss_and_counts_its_parts(vae, images, rng):
    records = fit(vae, images, rng, epochs=60, validation=images)
    assert records[-1].loss < records[0].loss
    assert [record.epoch for record in records] == list(range(1, 61))
    for record in records:
        assert record.loss == pytest.approx(record.nll + record.kl, rel=1e-6)
        assert record.images_per_second == pytest.approx(50 / record.seconds)
    assert records[-1].validation.loss == pytest.approx(records[-1].loss, rel=0.05)


def test_a_seed_repeats_bit_for_bit(images):
    def train():
        rng = np.random.default_rng(1)
        vae = nv.VAE.dense(12, (6,), 2, rng=rng)
        fit(vae, images, rng, binarize="dynamic")
        return vae.parameters.values

    np.testing.assert_array_equal(train(), train())


def test_the_mean_loss_does_not_depend_on_the_batches(images, rng):
    """An epoch's record weights the short last batch by its size, so with fixed parameters the mean is the same."""
    model = nv.Autoencoder.dense(12, (6,), 2, rng=rng)
    losses = [fit(model, images, rng, optimizer=Still(), batch_size=size, epochs=1)[0].loss for size in (50, 8, 1)]
    assert losses == pytest.approx(3 * [losses[0]], rel=1e-6)


@pytest.mark.parametrize("kernels", [True, False])
def test_binary_pixels_have_the_pixels_brightness_as_their_mean(kernels, images, vae):
    def draw():
        pixels = Pixels("images", images, vae, "dynamic", np.random.default_rng(0))
        return np.mean([pixels.batch(np.arange(50))[0].copy() for _ in range(4000)], axis=0)

    if kernels:
        mean = draw()
    else:
        with nv.kernels_off():
            mean = draw()
    p = images.reshape(50, -1) / 255
    assert (abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / 4000) + 1e-6).all()


def test_static_pixels_are_drawn_once(images, vae, rng):
    pixels = Pixels("images", images, vae, "static", rng)
    first = pixels.batch(np.arange(50))[0].copy()
    assert set(np.unique(first)) == {0, 1}
    np.testing.assert_array_equal(pixels.batch(np.arange(50))[0], first)


def test_binary_pixels_are_those_of_the_generator_s_bytes(rng):
    """A pixel is white where a whole number from 0 to 254 lies below it; static ones are drawn 1,000 rows at a time."""
    images = rng.integers(0, 256, (2005, 2), np.uint8)
    vae = nv.VAE.dense(2, (6,), 2, rng=rng)
    with np.errstate(all="raise"):
        for binarize, blocks in (("static", (1000, 1000, 5)), ("dynamic", (2005,))):
            twin = np.random.default_rng(3)
            below = np.concatenate([twin.integers(0, 255, (n, 2), np.uint8) for n in blocks])
            pixels = Pixels("images", images, vae, binarize, np.random.default_rng(3))
            np.testing.assert_array_equal(pixels.batch(np.arange(2005))[0], below < images)


def test_pictures_for_convolutions_have_their_axes_in_order(rng):
    vae = nv.VAE.conv((6, 4, 3), (2,), 4, 2, rng=rng)
    with pytest.raises(ValueError, match="its channels come first"):
        Pixels("images", rng.integers(0, 256, (5, 3, 6, 4), np.uint8), vae, "none", rng)


def test_pixels_are_read_as_fractions(images, vae, rng):
    pixels = Pixels("images", images, vae, "none", rng)
    np.testing.assert_allclose(pixels.batch(np.array([3, 7]))[0], images[[3, 7]].reshape(2, -1) / 255, rtol=1e-6)
    assert pixels.batch(np.array([0]))[0].dtype == np.float32


@pytest.mark.parametrize("size", [1, 7, 25, 50, 60])
def test_batches_are_all_the_images_in_order(size, images, vae, rng):
    pixels = Pixels("images", images, vae, "none", rng)
    seen = [x.copy() for x, given in pixels.batches(size) if not given]
    assert [len(x) for x in seen] == [size] * (50 // size) + [50 % size] * (50 % size > 0)
    np.testing.assert_allclose(np.concatenate(seen), images.reshape(50, -1) / 255, rtol=1e-6)
    assert len(pixels) == 50


def test_a_batch_is_overwritten_by_the_next_which_may_be_longer(images, vae, rng):
    pixels = Pixels("images", images, vae, "none", rng)
    first, _ = pixels.batch(np.arange(20))
    assert np.shares_memory(first, pixels.batch(np.arange(20, 40))[0])
    assert first.base is pixels._x and pixels.batch(np.arange(5, 10))[0].base is pixels._x
    np.testing.assert_allclose(first[:5], images[5:10].reshape(5, -1) / 255, rtol=1e-6)
    assert pixels.batch(np.arange(21))[0].shape == (21, 12)
    np.testing.assert_allclose(pixels.batch(np.arange(21))[0], pixels.images[:21] / 255, rtol=1e-6)


def test_images_for_another_model_are_the_same_and_do_not_share_its_batch(images, vae, rng):
    pixels = Pixels("images", images, vae, "none", rng)
    x = pixels.batch(np.arange(4))[0]
    other = pixels.into(vae.astype(np.float64))
    y = other.batch(np.array([7, 9]))[0]
    assert y.dtype == np.float64 and x.dtype == pixels.batch(np.arange(4))[0].dtype == np.float32
    np.testing.assert_allclose(x, pixels.images[:4] / 255, rtol=1e-6)
    np.testing.assert_allclose(y, images[[7, 9]].reshape(2, -1) / 255, rtol=1e-14)
    assert pixels.model is vae and not np.shares_memory(other._x, pixels._x)


def test_numbers_stay_what_they_are(vae, rng):
    numbers = rng.random((30, 12))
    pixels = Pixels("images", numbers, vae, "none", rng)
    np.testing.assert_array_equal(pixels.batch(np.array([3, 0]))[0], numbers[[3, 0]].astype(np.float32))
    with pytest.raises(ValueError, match="binarize is 'static', which needs bytes, but images has dtype float64"):
        Pixels("images", numbers, vae, "static", rng)
    with pytest.raises(ValueError, match="x has pixels from"):
        Pixels("images", numbers + 1, vae, "none", rng)


def test_held_out_images_are_drawn_once():
    assert [drawn_once(binarize) for binarize in ("none", "static", "dynamic")] == ["none", "static", "static"]
    with pytest.raises(ValueError, match="binarize is 'twice'"):
        drawn_once("twice")


@pytest.mark.parametrize("argument, whose", [("images", "labels"), ("validation", "validation_labels")])
def test_labels_are_one_for_each_image_and_named_after_them(argument, whose, images, vae, rng):
    conditional = nv.ConditionalVAE.dense(12, (6,), 2, n_classes=3, rng=rng)
    labels = rng.integers(0, 3, 50)
    x, given = Pixels(argument, images, conditional, "none", rng, labels.tolist()).batch(np.array([4, 2, 4]))
    np.testing.assert_array_equal(given["labels"], labels[[4, 2, 4]])
    for model, some, words in ((conditional, None, f"^{whose} are missing, but the model has classes"),
                               (vae, labels, f"^{whose} are given, but the model has no classes"),
                               (conditional, labels[:49], rf"^{whose} have shape \(49,\); expected \(50,\)"),
                               (conditional, labels + 1, "to 3; expected")):
        with pytest.raises(ValueError, match=words):
            Pixels(argument, images, model, "none", rng, some)
    with pytest.raises(ValueError, match=f"{argument} has shape"):
        Pixels(argument, images[:, :3], vae, "none", rng)


@pytest.mark.parametrize("options, named", [
    (dict(epochs=0), "epochs is 0"), (dict(batch_size=2.0), "batch_size is 2.0"),
    (dict(batch_size=51), "batch_size is 51, more than the 50 images"), (dict(binarize="yes"), "binarize is 'yes'"),
    (dict(validation=np.zeros((2, 5), np.uint8)), r"validation has shape \(2, 5\); expected \(B, 12\)"),
])
def test_a_wrong_argument_is_named_before_training(options, named, vae, images, rng):
    with pytest.raises(ValueError, match=named):
        fit(vae, images, rng, **options)


@pytest.mark.parametrize("bad, error, named", [
    (np.zeros((0, 12), np.uint8), ValueError, "images has shape"),
    (np.zeros(12, np.uint8), ValueError, "images has shape"),
    (np.full((60, 12), 2), TypeError, "dtype int64"), (np.full((60, 12), 2.0), ValueError, "pixels from 2"),
])
def test_images_that_do_not_fit_are_named(bad, error, named, vae, rng):
    with pytest.raises(error, match=named):
        fit(vae, bad, rng)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_weights(vae, images, rng):
    vae.parameters["decoder.1.b"][0] = np.nan
    before = vae.parameters.values.copy()
    named = "loss is nan in epoch 1, step 1.*the weight decoder.1.b; .*make a new model"
    with pytest.raises(FloatingPointError, match=named):
        fit(vae, images, rng)
    np.testing.assert_array_equal(vae.parameters.values, before)


def test_a_validation_loss_that_is_no_number_stops_the_run_too(vae, images, rng, monkeypatch):
    """The last step's weights may be the ones that are too large: no later step would notice."""
    monkeypatch.setattr(type(vae), "loss_terms", lambda self, x, eps: nv.LossTerms(np.inf, np.inf, 0.0))
    named = "after epoch 1 the loss of the images held out is inf; expected a finite loss"
    with pytest.raises(FloatingPointError, match=named):
        fit(vae, images, rng, validation=images)


def test_the_global_random_state_is_left_alone(vae, images, rng):
    before = np.random.get_state()[1].copy()
    fit(vae, images, rng, binarize="dynamic")
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_an_autoencoder_trains_in_the_same_loop(images, rng):
    model = nv.Autoencoder.dense(12, (6,), 2, rng=rng)
    records = fit(model, images, rng, epochs=30)
    assert records[-1].loss < records[0].loss
    assert records[-1].kl == 0


class On32Bits(np.random.Generator):
    """Whole numbers as a 32-bit platform, such as WebAssembly, has them."""

    def permutation(self, x, axis=0):
        return super().permutation(x, axis).astype(np.int32)


def test_a_platform_of_32_bits_trains_the_same(rng):
    images = rng.integers(0, 256, (20, 6), np.uint8)

    def train(generator):
        vae = nv.VAE.dense(6, (5,), 2, rng=np.random.default_rng(0))
        list(nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=8, rng=generator))
        return vae.parameters.values
    np.testing.assert_array_equal(train(On32Bits(np.random.PCG64(3))), train(np.random.Generator(np.random.PCG64(3))))


@pytest.mark.parametrize("options, message", [
    (dict(samples=3), "samples is 3, but the model's own loss takes one; expected an objective"),
    (dict(validation_labels=np.zeros(50, int)), "validation_labels were given without images; expected validation"),
])
def test_an_argument_without_effect_is_refused(options, message, vae, images, rng):
    with pytest.raises(ValueError, match=message):
        nv.fit(vae, images, optimizer=nv.Adam(), epochs=1, batch_size=8, rng=rng, **options)


def test_a_checkpoint_holds_the_beta_that_the_caller_set_between_two_epochs(vae, images, rng, tmp_path):
    run = nv.fit(vae, images, optimizer=nv.Adam(), epochs=2, batch_size=8, rng=rng, checkpoint=tmp_path / "run.npz")
    next(run)
    vae.beta = 0.5
    list(run)
    assert nv.load(tmp_path / "run.npz").beta == 0.5


def test_a_schedule_leaves_the_beta_in_a_checkpoint_alone(vae, images, rng, tmp_path):
    steps = iter(range(3))
    with pytest.raises(KeyboardInterrupt):    # at a step where beta is a third of its way up
        fit(vae, images, rng, warmup=2, checkpoint=tmp_path / "run.npz", stop=lambda: next(steps) == 2)
    assert nv.load(tmp_path / "run.npz").beta == 1
