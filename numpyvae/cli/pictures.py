"""numpyvae sample, numpyvae reconstruct, numpyvae encode"""
from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np

import numpyvae as nv

from .. import evaluation
from .common import add_common, add_data, add_run, count, load_data_of_run, load_run, options_of_run, whole
from .outputs import write_result

FILE = ".npy, .csv, or a picture"


def add_sample(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw new images from a trained model",
                                 formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    sample.set_defaults(run=run_sample)
    add_run(sample)
    sample.add_argument("--n", type=whole, default=64, metavar="N", help="how many images")
    sample.add_argument("--label", type=count, default=None, metavar="K",
                        help="the class to draw, for a conditional model (default: each in turn)")
    sample.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                        help=f"{FILE} (default: samples.png in RUN)")
    add_common(sample)


def add_reconstruct(commands: Any) -> None:
    reconstruct = commands.add_parser("reconstruct", help="encode and decode test images with a trained model",
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    reconstruct.set_defaults(run=run_reconstruct)
    add_run(reconstruct)
    add_data(reconstruct, default=None)
    reconstruct.add_argument("--n", type=whole, default=16, metavar="N", help="how many images")
    reconstruct.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                             help=f"{FILE} (default: reconstructions.png in RUN)")
    add_common(reconstruct)


def add_encode(commands: Any) -> None:
    encode = commands.add_parser(
        "encode", help="write the latent codes of images", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Write what the encoder makes of each image: as .npy the means of q(z|x), (N, latent); as .csv "
                    "means, log variances, and labels where there are some; as a picture a map of the means.")
    encode.set_defaults(run=run_encode)
    add_run(encode)
    add_data(encode, default=None)
    encode.add_argument("--part", choices=["test", "train"], default="test", help="which of the images")
    encode.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                        help=f"{FILE} (default: codes.csv in RUN)")
    add_common(encode)


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
    known = options_of_run(folder) or {}
    shape, columns = known.get("shape"), known.get("columns")
    first = next(iter(vae.encoder.layers), None)
    if isinstance(first, nv.Reshape):    # a conv model knows its images' shape
        shape = first.shape
    if shape is not None and np.prod(shape) == images.shape[1]:
        images = images.reshape(-1, *shape)
    from ..report import plots, rows

    def draw(ax: Any) -> None:
        if columns is None and plots.picture_shape(images.shape[1:]) is not None:
            plots.image_grid(images, ax)
        else:
            rows.some(plots.as_rows(images), ax, columns)
    return write_result(options, os.path.join(folder, "samples.png"), images, columns, draw)


def run_reconstruct(options: argparse.Namespace) -> int:
    """numpyvae reconstruct"""
    vae, folder = load_run(options.model)
    data = load_data_of_run(options, folder)
    images = data.test[:options.n]
    labels = _labels_for(vae, data.test_labels, data.name)
    labels = None if labels is None else labels[:options.n]
    from ..report import plots, rows
    given = plots.given(labels)
    rebuilt = vae.reconstruct(plots.as_rows(images), **given)

    def draw(ax: Any) -> None:
        if data.thing == "image":
            plots.reconstructions(vae, images, ax=ax, labels=labels)
        else:
            rows.reconstructions(plots.as_rows(images), rebuilt, ax, data.columns)
    return write_result(options, os.path.join(folder, "reconstructions.png"), rebuilt.reshape(images.shape),
                        data.columns, draw)


def run_encode(options: argparse.Namespace) -> int:
    """numpyvae encode"""
    vae, folder = load_run(options.model)
    data = load_data_of_run(options, folder)
    images, labels = (data.test, data.test_labels) if options.part == "test" else (data.train, data.train_labels)
    mu, logvar = evaluation.encode_all(vae, images, rng=np.random.default_rng(options.seed),
                                       labels=_labels_for(vae, labels, data.name))
    from ..report import plots
    names, table = [f"mu{i}" for i in range(vae.n_latent)], mu
    if (options.out or ".csv").lower().endswith(".csv"):
        names += [f"logvar{i}" for i in range(vae.n_latent)]
        table = np.column_stack([mu, logvar])
        if labels is not None:
            names, table = [*names, "label"], np.column_stack([table, labels])
    return write_result(options, os.path.join(folder, "codes.csv"), table, names,
                        lambda ax: plots.latent_map(mu, labels, "class", ax))


def _labels_for(vae: nv.VAE, labels: np.ndarray | None, name: str) -> np.ndarray | None:
    """What the model has to be told."""
    if vae.n_classes is None:
        return None
    if labels is None:
        raise ValueError(f"the model was trained with labels, but {name} has none; expected data with labels")
    return labels
