"""numpyvae sample, numpyvae reconstruct, numpyvae encode"""
from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import evaluation
from ..arguments import counted, did_you_mean, shown
from ..datasets.contents import listed
from .common import add_common, add_run, load_run, named_after, say, whole
from .data import add_data, known_of_run, load_data_of_run, read_by
from .outputs import is_picture, output_path, write_result, write_table

MOST_DRAWN = 10_000    # images in one picture, which are some ten pixels wide then
ROWS_AT_ONCE = 10_000    # sampled together: what the layers put out needs more memory than the images do
FILE = "a .npy or .csv file, a picture (.png, .svg, .pdf, ...), or a folder for"


def add_sample(commands: Any) -> None:
    sample = commands.add_parser(
        "sample", help="draw new images from a trained model",
        description="Draw codes from the prior and decode them: E[x|z], new images as a picture or as numbers.",
        example="numpyvae sample RUN --n 100 --out new.npy")
    sample.set_defaults(run=run_sample)
    add_run(sample)
    sample.add_argument("--n", type=whole, default=64, metavar="N", help="how many images")
    sample.add_argument("--label", default=None, metavar="CLASS",
                        help="the class to draw, its name or its number, for a conditional model (default: each in "
                             "turn)")
    _add_out(sample, "samples.png")
    add_common(sample)


def add_reconstruct(commands: Any) -> None:
    reconstruct = commands.add_parser(
        "reconstruct", help="encode and decode test images with a trained model",
        description="Encode images to their means and decode those: the run's own test images, or the first of the "
                    "images that --data names, or --test beside it.",
        example="numpyvae reconstruct RUN --data photos --n 8 --out rebuilt.png")
    reconstruct.set_defaults(run=run_reconstruct)
    add_run(reconstruct)
    add_data(reconstruct, default=None)
    reconstruct.add_argument("--n", type=whole, default=16, metavar="N", help="how many images")
    _add_out(reconstruct, "reconstructions.png")
    add_common(reconstruct, "no effect here: means are decoded, and nothing is drawn at random")


def add_encode(commands: Any) -> None:
    encode = commands.add_parser(
        "encode", help="write the latent codes of images",
        description="Write what the encoder makes of each image: as .npy the means of q(z|x), (N, latent); as .csv "
                    "the image's place in its file or folder, counted from 0 (with all, of data with a test set of "
                    "their own, the test images come after those for training), means, log variances, and the names or "
                    "numbers of classes where there are some; as a picture a map of the means.",
        example="numpyvae encode RUN --part all\nnumpyvae encode RUN --data photos --out codes.csv")
    encode.set_defaults(run=run_encode)
    add_run(encode)
    add_data(encode, default=None)
    encode.add_argument("--part", choices=["test", "train", "all"], default=None,
                        help="which of the images; all keeps the order of their file (default: test, or all of those "
                             "that --data names)")
    _add_out(encode, "codes.csv")
    add_common(encode, "chooses the test images, with --part, of data that --data names and that have no test set")


def _add_out(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                        help=f"{FILE} {default} (default: {default} in RUN)")


def _path(options: argparse.Namespace, default: str, folder: str, known: dict[str, Any]) -> str:
    """Where the result goes; raises ValueError where it cannot, before any work is done."""
    return output_path(options.out, named_after(options.model, default), folder, read_by(options, known))


def _check_fits_a_picture(path: str, n: int) -> None:
    if is_picture(path) and n > MOST_DRAWN:
        raise ValueError(f"--n is {n:,}, more images than a picture can show; expected at most {MOST_DRAWN:,}, or "
                         "--out with the name of a .npy or .csv file")


def run_sample(options: argparse.Namespace) -> int:
    """numpyvae sample"""
    vae, folder = load_run(options.model)
    known = known_of_run(folder)
    path = _path(options, "samples.png", folder, known)
    _check_fits_a_picture(path, options.n)
    labels: Any = None
    if vae.n_classes is not None:
        labels = (np.arange(options.n) % vae.n_classes if options.label is None else
                  _class(options.label, vae.n_classes, known.get("classes")))
    elif options.label is not None:
        raise ValueError(f"--label is {shown(options.label)}, but the model was trained without labels; expected no "
                         "--label, or a model from numpyvae train --conditional")
    images = np.empty((options.n, vae.n_data), vae.dtype)
    rng = np.random.default_rng(options.seed)
    for start in range(0, options.n, ROWS_AT_ONCE):
        some = images[start:start + ROWS_AT_ONCE]
        some[:] = vae.sample(len(some), rng, labels=labels if np.ndim(labels) == 0 else labels[start:start + len(some)])
    shape, columns = vae.image_shape or known.get("shape"), known.get("columns")
    if shape is not None and np.prod(shape) == images.shape[1]:
        images = images.reshape(-1, *shape)
    from ..report import plots, rows

    def draw(ax: Any) -> None:
        if columns is None and plots.picture_shape(images.shape[1:]) is not None:
            plots.image_grid(images, ax)
        else:
            rows.some(plots.as_rows(images), ax, columns)
    return write_result(options, path, images, columns, draw)


def _class(asked: str, n_classes: int, names: Sequence[str] | None) -> int:
    """The class of that name, or of that number; a name that is a number, as of a folder called 7, comes first."""
    if asked in (names or ()):
        return list(names or ()).index(asked)
    numbered = not names or not all(name.strip().isdecimal() for name in names)
    if numbered and asked.strip().isdecimal() and len(asked) < 10 and int(asked) < n_classes:
        return int(asked)
    expected = ([listed(names)] if names else []) + [f"a number from 0 to {n_classes - 1}"] * numbered
    raise ValueError(f"--label is {shown(asked)}; expected {', or '.join(expected)}{did_you_mean(asked, names or ())}")


def run_reconstruct(options: argparse.Namespace) -> int:
    """numpyvae reconstruct"""
    vae, folder = load_run(options.model)
    known = known_of_run(folder, "data" not in options.typed)
    path = _path(options, "reconstructions.png", folder, known)
    if "n" in options.typed:
        _check_fits_a_picture(path, options.n)
    data, _ = load_data_of_run(options, folder, vae, known)
    _say_if_nothing_is_drawn(options)
    # Of the images that --data names, where they have no test set, the first are shown.
    images, labels = data.whole() if "data" in options.typed and data.rows is not None else (
        data.test, data.test_labels)
    if options.n > len(images) and "n" in options.typed:
        say(f"note: --n is {options.n:,}, more than the {counted(len(images), data.thing)}: all of them are shown")
    images, labels = images[:options.n], None if vae.n_classes is None or labels is None else labels[:options.n]
    from ..report import plots, rows
    rebuilt = vae.reconstruct(images, **plots.given(labels))

    def draw(ax: Any) -> None:
        if data.thing == "image":
            plots.reconstructions(vae, images, ax=ax, labels=labels)
        else:
            rows.reconstructions(plots.as_rows(images), rebuilt, ax, data.columns)
    return write_result(options, path, rebuilt.reshape(images.shape), data.columns, draw)


def _say_if_nothing_is_drawn(options: argparse.Namespace) -> None:
    if "seed" in options.typed:
        say(f"note: --seed is {options.seed}, which has no effect here: nothing is drawn at random")


def run_encode(options: argparse.Namespace) -> int:
    """numpyvae encode"""
    vae, folder = load_run(options.model)
    known = known_of_run(folder, "data" not in options.typed)
    path = _path(options, "codes.csv", folder, known)
    part = options.part or ("all" if "data" in options.typed else "test")
    data, _ = load_data_of_run(options, folder, vae, known)
    if part != "all" and not len(data.train):
        data = data.split(options.seed)
    else:
        _say_if_nothing_is_drawn(options)
    images, labels, places = {"test": lambda: (data.test, data.test_labels, data.rows and data.rows[1]),
                              "train": lambda: (data.train, data.train_labels, data.rows and data.rows[0]),
                              "all": lambda: (*data.whole(), None)}[part]()
    mu, logvar = evaluation.encode_all(vae, images, rng=np.random.default_rng(options.seed),
                                       labels=None if vae.n_classes is None else labels)
    from ..report import plots

    def draw(ax: Any) -> None:
        plots.latent_map(mu, labels, "class", ax)
    if not path.lower().endswith(".csv"):
        return write_result(options, path, mu, None, draw)
    table = {data.thing: np.arange(len(mu)) if places is None else places}
    table |= {f"{name}{i}": column for name, part_of_q in (("mu", mu), ("logvar", logvar))
              for i, column in enumerate(part_of_q.T)}
    if labels is not None:
        table["label"] = np.array(data.classes)[labels] if data.classes else labels
    return write_table(options, path, table)
