"""The builders of networks: which layers they make, in which order, and that pictures of any size come back whole."""
import numpy as np
import pytest

from numpyvae.nn.convolution import Conv2d, ConvTranspose2d
from numpyvae.nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, SharedLogvar
from numpyvae.nn.networks import conv_decoder, conv_encoder, dense_decoder, dense_stack, halved


def words(network):
    """Each layer in a line: its kind, sizes, activation."""
    lines = []
    for layer in network.layers:
        match layer:
            case Dense() | Conv2d() | ConvTranspose2d():
                lines.append(f"{type(layer).__name__} {layer.n_in} {layer.n_out} {layer.activation}")
            case ReshapeLabelled():
                lines.append(f"ReshapeLabelled {layer.shape} {layer.n_classes}")
            case Reshape():
                lines.append(f"Reshape {layer.shape}")
            case Flatten():
                lines.append(f"Flatten {layer.groups}")
            case SharedLogvar():
                lines.append(f"SharedLogvar {layer.n_in}")
    return lines


def weights(rng):
    return {"init": "glorot", "rng": rng, "dtype": np.float64}


def assert_made_with_these_weights(network):
    layers = [layer for layer in network.layers if layer.params]
    assert all(weight.dtype == np.float64 for layer in layers for weight in layer.params.values()) and layers
    assert all(layer.init == "glorot" for layer in layers if "W" in layer.params)


def test_dense_layers_go_through_the_sizes_and_only_the_last_has_the_last_activation(rng):
    stack = dense_stack((7, 5, 4, 2), "relu", "tanh", **weights(rng))
    assert words(stack) == ["Dense 7 5 relu", "Dense 5 4 relu", "Dense 4 2 tanh"]
    assert words(dense_stack((7, 2), "relu", "tanh", **weights(rng))) == ["Dense 7 2 tanh"]
    assert_made_with_these_weights(stack)


def test_a_dense_decoder_takes_the_hidden_sizes_in_reverse(rng):
    decoder = dense_decoder(2, (9, 5), 7, 3, "relu", **weights(rng))
    assert words(decoder) == ["Dense 2 5 relu", "Dense 5 9 relu", "Dense 9 21 identity"]
    assert_made_with_these_weights(decoder)


def test_a_decoder_with_one_shared_logvar_computes_the_means_and_ends_with_it(rng):
    dense = dense_decoder(2, (9, 5), 7, 2, "relu", shared_logvar=True, **weights(rng))
    assert words(dense) == ["Dense 2 5 relu", "Dense 5 9 relu", "Dense 9 7 identity", "SharedLogvar 7"]
    images = conv_decoder(2, 10, (5,), (4, 6, 3), 2, "relu", shared_logvar=True, **weights(rng))
    assert words(images) == ["Dense 2 10 relu", "Dense 10 30 relu", "Reshape (2, 3, 5)",
                             "ConvTranspose2d 5 3 identity", "Flatten 1", "SharedLogvar 72"]
    for decoder, n_data in (dense, 7), (images, 72):
        assert_made_with_these_weights(decoder)
        assert decoder.forward(rng.standard_normal((3, 2))).shape == (3, 2 * n_data)


@pytest.mark.parametrize("n_labels, first", [(0, "Reshape (11, 6, 3)"), (4, "ReshapeLabelled (11, 6, 3) 4")])
def test_an_encoder_of_images_halves_them_and_ends_in_dense_layers(n_labels, first, rng):
    """11 x 6 pixels become 6 x 3 and 3 x 2; each of the two convolutions sees the channels of the one before."""
    encoder = conv_encoder((11, 6, 3), (5, 8), (9, 4, 7), "relu", "tanh", n_labels, **weights(rng))
    assert words(encoder) == [first, f"Conv2d {3 + n_labels} 5 relu", "Conv2d 5 8 relu", "Flatten 1",
                              "Dense 48 9 relu", "Dense 9 4 relu", "Dense 4 7 tanh"]
    assert_made_with_these_weights(encoder)
    x = rng.standard_normal((2, 11 * 6 * 3 + n_labels))
    assert encoder.forward(x).shape == (2, 7)
    assert [layer.y.shape[1:] for layer in encoder.layers[:3]] == [(11, 6, 3 + n_labels), (6, 3, 5), (3, 2, 8)]


def test_unless_it_is_told_of_labels_an_encoder_takes_none(rng):
    assert words(conv_encoder((4, 4, 1), (2,), (3,), "relu", "relu", rng=rng))[0] == "Reshape (4, 4, 1)"


@pytest.mark.parametrize("shape, sizes", [
    ((11, 6, 3), [(1, 1, 7), (2, 1, 4), (3, 2, 8), (6, 3, 5), (11, 6, 6)]),
    ((12, 9, 1), [(1, 1, 7), (2, 2, 4), (3, 3, 8), (6, 5, 5), (12, 9, 2)]),
    ((33, 5, 2), [(3, 1, 7), (5, 1, 4), (9, 2, 8), (17, 3, 5), (33, 5, 4)])])
def test_a_decoder_of_images_doubles_them_to_just_the_sides_that_were_halved(shape, sizes, rng):
    decoder = conv_decoder(2, 10, (5, 8, 4, 7), shape, 2, "relu", **weights(rng))
    (height, width, _), outputs = sizes[0], 2 * shape[2]
    assert words(decoder) == ["Dense 2 10 relu", f"Dense 10 {height * width * 7} relu", f"Reshape {sizes[0]}",
                              "ConvTranspose2d 7 4 relu", "ConvTranspose2d 4 8 relu", "ConvTranspose2d 8 5 relu",
                              f"ConvTranspose2d 5 {outputs} identity", "Flatten 2"]
    assert_made_with_these_weights(decoder)
    assert decoder.forward(rng.standard_normal((3, 2))).shape == (3, shape[0] * shape[1] * outputs)
    assert [layer.y.shape[1:] for layer in decoder.layers[2:7]] == sizes


@pytest.mark.parametrize("shape", [(28, 28, 1), (11, 6, 3), (1, 7, 1)])
def test_a_side_is_halved_and_rounded_up_each_time(shape):
    height, width = shape[:2]
    for times in range(5):
        assert halved(shape, times) == (height, width)
        height, width = (height + 1) // 2, (width + 1) // 2
