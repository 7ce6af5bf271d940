"""numpyvae sample, numpyvae reconstruct"""
from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import numpyvae as nv

from .common import add_common, add_data, add_run, count, load_data_of_run, load_run, whole


def add_sample(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw new images from a trained model",
                                 formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    sample.set_defaults(run=run_sample)
    add_run(sample)
    sample.add_argument("--n", type=whole, default=64, metavar="N", help="how many images")
    sample.add_argument("--label", type=count, default=None, metavar="K",
                        help="the class to draw, for a conditional model (default: each in turn)")
    sample.add_argument("--out", default=None, metavar="FILE", help="picture to write (default: samples.png in RUN)")
    add_common(sample)


def add_reconstruct(commands: Any) -> None:
    reconstruct = commands.add_parser("reconstruct", help="encode and decode test images with a trained model",
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    reconstruct.set_defaults(run=run_reconstruct)
    add_run(reconstruct)
    add_data(reconstruct, default=None)
    reconstruct.add_argument("--n", type=whole, default=16, metavar="N", help="how many images")
    reconstruct.add_argument("--out", default=None, metavar="FILE",
                             help="picture to write (default: reconstructions.png in RUN)")
    add_common(reconstruct)


def run_sample(options: argparse.Namespace) -> int:
    """numpyvae sample"""
    vae, folder = load_run(options.model)
    labels = options.label
    if vae.n_classes is not None:
        labels = np.arange(options.n) % vae.n_classes if labels is None else labels
    elif labels is not None:
        raise ValueError(f"--label is {labels}, but the model was trained without labels; expected no --label, or a "
                         "model from numpyvae train --conditional")
    images = vae.sample(options.n, np.random.default_rng(options.seed), labels=labels)
    first = next(iter(vae.encoder.layers), None)
    if isinstance(first, nv.Reshape):    # a conv model knows its images' shape
        images = images.reshape(-1, *first.shape)
    from ..report import plots
    return _write_picture(plots.image_grid, images, options, os.path.join(folder, "samples.png"))


def run_reconstruct(options: argparse.Namespace) -> int:
    """numpyvae reconstruct"""
    vae, folder = load_run(options.model)
    data = load_data_of_run(options, folder)
    images = data.test[:options.n]
    labels = None
    if vae.n_classes is not None:
        if data.test_labels is None:
            raise ValueError(f"the model was trained with labels, but {data.name} has none; expected data "
                             "with labels")
        labels = data.test_labels[:options.n]
    from ..report import plots
    return _write_picture(lambda images, ax: plots.reconstructions(vae, images, ax=ax, labels=labels), images, options,
                          os.path.join(folder, "reconstructions.png"))


def _write_picture(draw: Callable[..., Any], images: np.ndarray, options: argparse.Namespace, default: str) -> int:
    from matplotlib.figure import Figure
    path = options.out or default
    figure = Figure(figsize=(8, 8), layout="constrained")
    draw(images, ax=figure.subplots())
    try:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise ValueError(f"--out is {path!r}, which cannot be written ({error}); expected a picture, such as "
                         "samples.png, in a folder that you can write to") from error
    print(json.dumps({"picture": path, "images": len(images)}) if options.json else path)
    return 0
