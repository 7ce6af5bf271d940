"""A page to play with a trained VAE: one HTML file, in which its encoder and its decoder run as JavaScript.

The model is written as `save` writes it, as the tree of its parts and one vector of weights; model.js rebuilds it from
these, and explore.js is the page.
"""
from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.contents import looks_like_pictures
from ..evaluation.latents import kl_per_dimension
from ..models.tree import tree_of
from ..models.vae import VAE
from . import plots
from .page import page, source
from .rows import are_curves

Array = np.ndarray

MOST_MEGABYTES = 64        # of weights in a page: a browser still opens it in seconds
WITHIN = 0.5 / 255         # how far rounded weights may move a number of q(z|x) or of E[x|z]: no pixel by a level
WITHIN_NATS = 0.05         # and -log p(x|z) and the KL, of which the page shows one decimal
MOST_POINTS = 1000         # on the map
MOST_CODES = 200_000       # numbers in their codes
MOST_IMAGES, MOST_ROWS = 24, 8    # to begin with
MOST_VALUES = 500_000      # numbers in those
MOST_KINDS = 39            # of a factor in whole numbers, as MOST_NAMED in explore.js; with more it is a number
N_TRIED = 100              # images, and codes, for which the rounded weights are tried
RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")    # of a factor's colours: viridis


def explorer(vae: VAE, images: Array, labels: Array | None = None, factors: Mapping[str, Array] | None = None,
             title: str = "A VAE", classes: Sequence[str] | None = None, columns: Sequence[str] | None = None,
             seed: int = 0) -> str:
    """The HTML of a page in which a VAE answers to a hand; it needs nothing but itself.

    vae     : made of parts of this package
    images  : (N, ...) uint8 or floats as the model takes them, preferably test images; what is not a picture is shown
              as bars or as a curve
    labels  : (N,) the images' classes, 0, 1, ..., by which the map can be coloured; a conditional VAE is told them
    factors : true factors of the images by their names, each (N,), by which the map can be coloured too
    classes : the names of the labels 0, 1, ..., or None
    columns : the names of a table's columns; None for images
    seed    : chooses which of the images are shown, where there are more than a page holds, and which come first

    Raises ValueError where the model has a part that the page does not know, where it is too large for a page, or for
    arguments that do not fit together.
    """
    if not len(images):
        raise ValueError("images is empty; expected at least one")
    if labels is not None and "class" in (factors or {}):
        raise ValueError("factors has a 'class', as the labels are called; expected another name")
    coloured = {**({} if labels is None else {"class": labels}), **(factors or {})}
    for name, values in coloured.items():
        if np.shape(values) != (len(images),):
            raise ValueError(f"{'labels' if name == 'class' else name} has shape {np.shape(values)}; expected "
                             f"{(len(images),)}, one for each image")
    if classes is not None and labels is not None and not set(np.unique(labels)) <= set(range(len(classes))):
        raise ValueError(f"classes has {len(classes)} names; expected one for each of the labels 0 to {max(labels)}")
    if vae.n_classes is not None and labels is None:
        raise ValueError("labels is None; expected the images' labels, as the model is conditional")
    tree = tree_of(vae)
    refuse_unknown(tree)
    # Images may come sorted by class: a random choice of them is shown, the same for the same seed.
    n = max(1, min(MOST_POINTS, MOST_CODES // vae.n_latent))
    rows = np.random.default_rng(seed).permutation(len(images))[:n]
    images, coloured = np.asarray(images)[rows], {name: np.asarray(values)[rows] for name, values in coloured.items()}
    shape = plots.picture_shape(images.shape[1:]) if columns is None and looks_like_pictures(images) else None
    x, told = images.reshape(len(images), -1), coloured["class"] if vae.n_classes is not None else None
    mu, logvar = vae.encode(x, **plots.given(told))
    most = MOST_ROWS if shape is None else MOST_IMAGES
    begin = _of_each_class(coloured.get("class"), len(x))[:max(1, min(most, MOST_VALUES // vae.n_data))]
    names = _names(vae, classes)
    given = {
        "model": tree, "weights": _weights(vae, x, told), "n_data": vae.n_data,
        "shape": None if shape is None else [*shape, 1][:3], "columns": None if columns is None else list(columns),
        **_range(x, shape), "images": _packed(x[begin]),
        "labels": None if told is None else told[begin].tolist(), "classes": names,
        "codes": _packed(mu.astype(np.float32)), "kl": kl_per_dimension(mu, logvar).tolist(),
        "colourings": [_colouring(name, values, classes) for name, values in coloured.items()],
        "palette": plots.CLASSES, "ramp": RAMP}
    # Inside a <script>, only "<" could end it or begin a comment; JSON may write it as an escape.
    written = json.dumps(given, allow_nan=False).replace("<", r"\u003c")
    thing = "row" if shape is None else "image"
    lead = (f"{'Draw on the pad' if shape else 'Move the numbers of the row'}: the encoder places it on the map, at "
            "the mean of q(z|x), with an ellipse of two standard deviations (lesson 4). Drag over the map, or move a "
            f"slider: the decoder shows E[x|z], the {thing} that it expects behind that code (lesson 3). Between the "
            f"codes of two {thing}s it finds {thing}s too, for the KL leaves few holes in the map (lesson 1).")
    return page("explore.html", title=html.escape(title), lead=html.escape(lead), thing=thing, given=written,
                compared="" if shape else "; grey is x", model=source("model.js"), script=source("explore.js"))


def known(table: str) -> set[str]:
    """The names in a table of model.js, "PARTS" or "ACTIVATIONS": what the page can compute."""
    found = re.search(rf"^const {table} = {{(.*?)}};", source("model.js"), re.M | re.S)
    assert found is not None
    return set(re.findall(r"\w+", found[1]))


def refuse_unknown(tree: dict[str, Any]) -> None:
    """Raises ValueError where a model's tree has a part or an activation that the page does not know."""
    for part in _parts(tree):
        name = part.get("part", part.get("own"))
        if name not in known("PARTS") or "own" in part:
            raise ValueError(f"the model has a part {name}, which the page cannot compute; expected only parts of "
                             f"numpyvae, and of them {', '.join(sorted(known('PARTS')))}")
        activation = part.get("activation", "identity")
        if activation not in known("ACTIVATIONS"):
            raise ValueError(f"the model has the activation {activation!r}, which the page cannot compute; expected "
                             f"one of {', '.join(sorted(known('ACTIVATIONS')))}")


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every part in a tree."""
    if isinstance(tree, dict):
        if "part" in tree or "own" in tree:
            yield tree
        tree = list(tree.values())
    for inner in tree if isinstance(tree, list) else []:
        yield from _parts(inner)


def _weights(vae: VAE, x: Array, labels: Array | None) -> dict[str, str]:
    """The weights in half precision, or in single precision where that would be seen.

    Raises ValueError where the model is too large for a page.
    """
    values = vae.parameters.values
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    rounded = half if _is_not_seen(vae, half, x[:N_TRIED], labels) else values.astype(np.float32)
    megabytes = math.ceil(rounded.nbytes / 3) * 4 / 1e6
    if megabytes > MOST_MEGABYTES:
        raise ValueError(f"the model has {values.size:,} weights, which would make a page of {megabytes:,.0f} MB; "
                         f"expected at most {MOST_MEGABYTES} MB of them, as a browser hardly opens more: train a "
                         "smaller one")
    return _packed(rounded)


def _is_not_seen(vae: VAE, half: Array, x: Array, labels: Array | None) -> bool:
    """Whether a model with rounded weights gives the same codes and images, as far as an eye can tell."""
    if not np.isfinite(half).all():
        return False
    other = vae.astype(np.float32)
    other.parameters.values[:] = half
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N_TRIED, vae.n_latent))
    drawn = None if vae.n_classes is None else rng.integers(0, vae.n_classes, N_TRIED)
    told = plots.given(None if labels is None else labels[:len(x)])
    (codes, nats), (other_codes, other_nats) = (_shown(model, x, **told) for model in (vae, other))
    pictures = tuple(model.decode(z, **plots.given(drawn)) for model in (vae, other))
    return (all(bool(np.abs(one - two).max() < WITHIN) for one, two in [*zip(codes, other_codes), pictures])
            and all(bool(np.abs(one - two).max() < WITHIN_NATS) for one, two in zip(nats, other_nats)))


def _shown(vae: VAE, x: Array, labels: Array | None = None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """What the page shows of each image: mu and logvar; -log p(x|z) at z = mu, and the KL, in nats."""
    x, c = vae.check_data(x), vae.one_hot(labels, len(x))
    q = vae.infer(x, c)
    mu, logvar = vae.posterior.moments(q)
    return (mu, logvar), (vae.likelihood.nll(vae.generate(mu, c), x), vae.posterior.kl(q, vae.prior))


def _packed(values: Array) -> dict[str, str]:
    """Numbers in base64, by the name of their dtype: bytes stay bytes, others are in half or in single precision."""
    if values.dtype not in (np.uint8, np.float16):
        values = values.astype(np.float32)
    little_endian = values.astype(values.dtype.newbyteorder("<"))
    return {values.dtype.name: base64.b64encode(little_endian.tobytes()).decode()}


def _of_each_class(labels: Array | None, n: int) -> list[int]:
    """The rows of n images, the first of each class before the second of any."""
    if labels is None:
        return list(range(n))
    seen: dict[Any, int] = {}
    rank = []
    for label in labels.tolist():
        rank.append((seen.setdefault(label, 0), label))
        seen[label] += 1
    return sorted(range(n), key=rank.__getitem__)


def _range(x: Array, shape: tuple[int, ...] | None) -> dict[str, Any]:
    """What the page draws between: the lowest and the highest number, of a table for each column; and what a drawing
    begins from, the end of that range which most pixels are near to."""
    x = x / 255 if x.dtype == np.uint8 else x.astype(float)
    if shape is not None:
        low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
        return {"low": [low], "high": [high], "blank": low if np.median(x) < (low + high) / 2 else high}
    axis = None if are_curves(x) else 0
    lowest, highest = (np.broadcast_to(end(x, axis=axis), x.shape[1]).astype(float) for end in (np.min, np.max))
    margin = 0.1 * np.where(highest > lowest, highest - lowest, 1)
    return {"low": (lowest - margin).tolist(), "high": (highest + margin).tolist(), "blank": 0}


def _names(vae: VAE, classes: Sequence[str] | None) -> list[str] | None:
    """What a conditional VAE's classes are called."""
    if vae.n_classes is None:
        return None
    return list(map(str, classes if classes and len(classes) == vae.n_classes else range(vae.n_classes)))


def _colouring(name: str, values: Array, classes: Sequence[str] | None) -> dict[str, Any]:
    """What the points can be coloured by: the number of each point's class and the classes' names; or a number, None
    where it is not finite."""
    if name != "class" and (values.dtype.kind == "f" or values.dtype.kind in "iu" and len(set(values)) > MOST_KINDS):
        return {"name": name, "values": [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]}
    kinds, numbers = np.unique(values, return_inverse=True)
    called = [str(kind) if name != "class" or classes is None else classes[kind] for kind in kinds.tolist()]
    return {"name": name, "names": called, "values": numbers.tolist()}
