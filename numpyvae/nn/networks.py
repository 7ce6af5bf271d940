"""Builders of networks: encoders and decoders from dense layers, and for images from convolutions."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .convolution import Conv2d, ConvTranspose2d
from .layers import Dense, Flatten, Layer, Reshape, ReshapeLabelled, Sequential, SharedLogvar

HALVING: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}    # n pixels become n / 2, rounded up


def dense_stack(sizes: Sequence[int], activation: str, last_activation: str, **options: Any) -> Sequential:
    """Dense layers through the given sizes: (784, 400, 20) makes 784 -> 400 -> 20."""
    activations = [activation] * (len(sizes) - 2) + [last_activation]
    return Sequential([Dense(n_in, n_out, f, **options) for n_in, n_out, f in zip(sizes, sizes[1:], activations)])


def dense_decoder(n_latent: int, hidden: Sequence[int], n_data: int, outputs_per_pixel: int, activation: str,
                  shared_logvar: bool = False, **weights: Any) -> Sequential:
    """From z through the hidden sizes, reversed, to what the likelihood needs for each pixel.

    shared_logvar : whether, of two outputs for each pixel, the second is one learned number for all pixels
    """
    outputs, last = _ending(n_data, outputs_per_pixel, shared_logvar, weights)
    stack = dense_stack([n_latent, *reversed(hidden), n_data * outputs], activation, "identity", **weights)
    return Sequential([*stack.layers, *last])


def conv_encoder(shape: Sequence[int], channels: Sequence[int], sizes: Sequence[int], activation: str,
                 last_activation: str, n_labels: int = 0, **weights: Any) -> Sequential:
    """Rows (B, H W C) as images, halved once for each of the channels, then dense layers of the given sizes.

    n_labels : how many numbers of a one-hot label follow the pixels in each row
    """
    first = ReshapeLabelled(shape, n_labels) if n_labels else Reshape(shape)
    steps = zip([shape[2] + n_labels, *channels], channels)
    convolutions = [Conv2d(i, o, **HALVING, activation=activation, **weights) for i, o in steps]
    n_flat = math.prod(halved(shape, len(channels))) * channels[-1]
    return Sequential([first, *convolutions, Flatten(),
                       *dense_stack([n_flat, *sizes], activation, last_activation, **weights).layers])


def conv_decoder(n_latent: int, n_hidden: int, channels: Sequence[int], shape: Sequence[int], outputs_per_pixel: int,
                 activation: str, shared_logvar: bool = False, **weights: Any) -> Sequential:
    """From z to what the likelihood needs for each pixel, as rows: conv_encoder's steps in reverse.

    shared_logvar : as in dense_decoder
    """
    outputs_per_pixel, last = _ending(math.prod(shape), outputs_per_pixel, shared_logvar, weights)
    smallest = (*halved(shape, len(channels)), channels[-1])
    layers: list[Layer] = [*dense_stack([n_latent, n_hidden, math.prod(smallest)], activation, activation,
                                        **weights).layers, Reshape(smallest)]
    outputs = [shape[2] * outputs_per_pixel, *channels]
    for n in reversed(range(len(channels))):
        # A side of 2 n - 1 pixels and one of 2 n are both halved to n; restoring the second takes one more pixel.
        height, width = halved(shape, n)
        extra = (1 - height % 2, 1 - width % 2)
        layers.append(ConvTranspose2d(outputs[n + 1], outputs[n], **HALVING, output_padding=extra,
                                      activation=activation if n > 0 else "identity", **weights))
    return Sequential([*layers, Flatten(outputs_per_pixel), *last])


def _ending(n_data: int, outputs_per_pixel: int, shared_logvar: bool,
            weights: dict[str, Any]) -> tuple[int, list[SharedLogvar]]:
    """How many outputs for each pixel the network computes, and the layer that adds the shared one, if there is one."""
    if not shared_logvar:
        return outputs_per_pixel, []
    return 1, [SharedLogvar(n_data, dtype=weights["dtype"])]


def halved(shape: Sequence[int], times: int) -> tuple[int, int]:
    """The height and the width of an image after this many convolutions."""
    height, width = (-(-side // 2**times) for side in shape[:2])
    return height, width
