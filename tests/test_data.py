"""Images in every shape and dtype that people keep them in, given to every function that takes images."""
import numpy as np
import pytest

import numpyvae as nv
from numpyvae.training import objectives

B, SHAPE, D = 5, (6, 4, 3), 72


def model(name, rng, channels=3):
    if name == "conv":
        return nv.VAE.conv((*SHAPE[:2], channels), (2,), 4, 2, rng=rng, dtype=np.float64)
    kind = nv.Autoencoder if name == "autoencoder" else nv.VAE
    return kind.dense(24 * channels, (5,), 2, rng=rng, dtype=np.float64)


def everything(vae, x):
    """What each function that takes images makes of them: numbers, with noise that is drawn alike."""
    def rng():
        return np.random.default_rng(1)
    noise = vae.noise(len(x), rng())
    found = {"fit": [record.loss for record in nv.fit(vae.astype(vae.dtype), x, optimizer=nv.Adam(), epochs=1,
                                                      batch_size=2, rng=rng(), validation=x)],
             "evaluate_loss": nv.evaluate_loss(vae, x, rng=rng()), "loss": vae.loss(x, *noise),
             "loss_terms": vae.loss_terms(x, *noise), "loss_and_grad": vae.loss_and_grad(x, *noise),
             "grads": vae.parameters.grads.copy(), "encode": vae.encode(x), "reconstruct": vae.reconstruct(x)}
    if isinstance(vae, nv.VAE):
        found |= {"log_likelihood": nv.evaluation.log_likelihood(vae, x, 5, rng=rng()).values,
                  "encode_all": nv.evaluation.encode_all(vae, x, rng=rng()), "iwae": objectives.iwae(vae, x, *noise),
                  "exact": nv.exact.log_likelihood(vae, x, points=4),
                  "remarks": [len(nv.evaluation.remarks(vae, x, 1.0, rng=rng()))]}
    return found


@pytest.mark.parametrize("name", ["dense", "conv", "autoencoder"])
def test_one_picture_in_every_form_gives_the_same_numbers(name, rng):
    vae, images = model(name, rng), rng.integers(0, 256, (B, *SHAPE), np.uint8)
    expected = everything(vae, images.reshape(B, D) * (1 / 255))
    for form in (images, images.reshape(B, D), images * (1 / 255), (images * (1 / 255)).tolist(),
                 np.asfortranarray(images), images[::-1][::-1]):
        for function, found in everything(vae, form).items():
            np.testing.assert_array_equal(found, expected[function], err_msg=function)


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_grey_pictures_need_no_axis_for_their_channel_and_may_have_it_anywhere(name, rng):
    vae, images = model(name, rng, channels=1), rng.integers(0, 256, (B, 6, 4), np.uint8)
    expected = vae.encode(images.reshape(B, 24) * (1 / 255))
    for form in (images, images[..., None], images[:, None]):
        np.testing.assert_array_equal(vae.encode(form), expected)


def test_black_and_white_as_bool_or_as_whole_numbers(rng):
    vae, x = model("dense", rng), rng.integers(0, 2, (B, D))
    for form in (x, x.astype(bool), x.astype(float), x.astype(np.int8), x.astype(np.uint8) * 255):
        np.testing.assert_array_equal(vae.encode(form), vae.encode(x.astype(float)))


@pytest.mark.parametrize("name, x, error, words", [
    ("dense", np.zeros((B, 7)), ValueError, r"\(5, 7\); expected \(B, 72\) or images \(B, height, width, .* of 72"),
    ("conv", np.zeros((B, 7)), ValueError, r"shape \(5, 7\); expected \(B, 72\) or images \(B, 6, 4, 3\), with"),
    ("conv", np.zeros((B, 3, 6, 4)), ValueError, r"channels come first, so give {x}.transpose\(0, 2, 3, 1\)$"),
    ("dense", np.zeros((B, 3, 4, 6)), ValueError,
     r"channels come first, so give {x}.transpose\(0, 2, 3, 1\), or rows, {x}.reshape\(len\({x}\), -1\)"),
    ("conv", np.zeros((B, 4, 6, 3)), ValueError, r"are exchanged, so give {x}.swapaxes\(1, 2\)"),
    ("conv", np.zeros((B, 24, 3)), ValueError, r"expected \(B, 72\) or images \(B, 6, 4, 3\)"),
    ("conv", np.zeros(SHAPE), ValueError, r"for one image give {x}\[None\]"),
    ("dense", np.zeros(D), ValueError, r"for one image give {x}\[None\]"),
    ("dense", np.zeros((0, D)), ValueError, "at least one (row|number)"),
    ("dense", np.zeros(()), ValueError, "expected"),
    ("dense", np.ones((B, D), np.uint8), ValueError, r"all but black.*{x} \* 255"),
    ("dense", np.full((B, D), 200), TypeError, r"dtype int64; expected uint8.*astype\(np.uint8\)"),
    ("dense", np.full((B, D), -1), TypeError, r"astype\(np.float32\) for other"),
    ("dense", np.full((B, D), "a"), TypeError, "expected .*real numbers"),
    ("dense", np.full((B, D), 200.0), ValueError, "divide bytes by 255"),
    ("dense", [[0.0] * D, [0.0]], ValueError, "expected .*, rows of equal length|with rows of equal length"),
])
def test_what_is_refused_is_refused_alike_and_says_what_was_expected(name, x, error, words, rng):
    vae = model(name, rng)
    with pytest.raises(error, match=words.format(x="x")):
        vae.encode(x)
    with pytest.raises(error, match=words.format(x="images") if "divide" not in words else words):
        nv.evaluate_loss(vae, x, rng=rng)


def test_exchanged_sides_of_grey_pictures(rng):
    with pytest.raises(ValueError, match=r"exchanged, so give x.swapaxes\(1, 2\)"):
        model("conv", rng, channels=1).encode(np.zeros((B, 4, 6)))


def test_dark_bytes_are_bytes(rng):
    vae, x = model("dense", rng), rng.integers(0, 3, (B, D), np.uint8)
    np.testing.assert_array_equal(vae.encode(x), vae.encode(x * (1 / 255)))
    np.testing.assert_array_equal(vae.encode(np.zeros((B, D), np.uint8)), vae.encode(np.zeros((B, D))))
