"""Figures.  Each function draws on the Axes that it is given, or on a new figure, and returns the Axes.

matplotlib is imported when a figure is drawn, not before.  Pictures show brightness from 0, black, to 1, white.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..arguments import COUNT, MODEL, PLACES, RECORDS, SIZES, TEXT, TEXTS, WHOLE, Kind, checked, has, one_of, shown
from ..evaluation import latents
from ..functional.convolution import conv_size, transposed_size
from ..models.model import Model
from ..models.vae import VAE
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Reshape, Sequential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
__all__ = ["gradient_errors", "image_grid", "kl_per_dimension", "latent_grid", "latent_map",
           "latent_traversals", "learning_curves", "network", "reconstructions"]

REPORT = Kind(has("rows", "failed"), "what gradcheck returns", TypeError)

# From the palette of Okabe & Ito (2008), made for colour-blind readers; INK takes the place of their black.
INK, MUTED = "#333333", "#8a8a8a"
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
# Ten are more than that palette has.  These were found by annealing: for normal, red-blind and green-blind eyes any two
# are at least 29 apart in CIELAB (tests/test_colours.py), and all show on a white page and on a dark one.
CLASSES = (BLUE, ORANGE, "#15E389", "#731F57", "#FAB0FE", "#CF0D00", "#9C58FF", "#A68A91", "#8B0620", "#0505FD")
MOST_NAMED = 39    # classes in a legend, which hides the map if it grows further
MARKERS = "o^sDvP"    # the next ten classes have the same colours and another shape


class Term(NamedTuple):
    """A part of the loss: what a legend calls it, what a sentence calls it, its colour."""

    label: str
    spoken: str
    color: str


TERMS = {"loss": Term("loss", "loss", BLUE), "nll": Term("reconstruction (nll)", "reconstruction part", ORANGE),
         "kl": Term("KL", "KL part", GREEN)}


@checked(records=RECORDS, terms=TEXTS, held_out=TEXT)
def learning_curves(records: Sequence[Any], ax: Axes | None = None, terms: Sequence[str] = tuple(TERMS),
                    held_out: str = "validation") -> Axes:
    """The loss and its parts over the epochs: solid in training, dashed in validation.

    records  : what `fit` yields, at least one
    terms    : which of "loss", "nll" and "kl" to draw
    held_out : what the images that `fit` validated with are called

    Raises ValueError if there is no record.
    """
    from matplotlib.ticker import MaxNLocator
    ax = _axes(ax)
    for term in terms:
        label, _, color = TERMS[one_of("terms", term, TERMS)]
        ax.plot([r.epoch for r in records], [getattr(r, term) for r in records], "o-", color=color, markersize=3,
                label=f"{label}, training")
        validated = [(r.epoch, getattr(r.validation, term)) for r in records if r.validation is not None]
        if validated:
            ax.plot(*zip(*validated), "s--", color=color, markersize=3, label=f"{label}, {held_out}")
    ax.set(xlabel="epoch", ylabel="nats per image")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(frameon=False, fontsize="small")
    return _open_frame(ax)


@checked(images="numbers: ...", columns=WHOLE, gap=COUNT)
def image_grid(images: Array, ax: Axes | None = None, columns: int | None = None, gap: int = 2) -> Axes:
    """Pictures side by side, row by row.

    images  : (N, height, width), (N, height, width, 1 or 3), or (N, D) where D is a square number; uint8, or floats
              in [0, 1] (what lies outside is drawn as black or white)
    columns : pictures in a row; by default the grid is about square
    gap     : between pictures, in pixels

    Raises ValueError for images that are not pictures.
    """
    pictures = _pictures(images)
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows, height = math.ceil(len(pictures) / columns), pictures.shape[1]
    return _draw_grid(pictures, columns, [i * (height + gap) for i in range(rows)], gap, ax)


def _draw_grid(pictures: Array, columns: int, tops: Sequence[int], gap: int, ax: Axes | None) -> Axes:
    """Pictures (N, height, width, 4) in rows of so many columns, whose upper edges are given in pixels."""
    _, height, width, _ = pictures.shape
    canvas = np.zeros((tops[-1] + height, columns * (width + gap) - gap, 4))    # transparent where empty
    for i, picture in enumerate(pictures):
        top, left = tops[i // columns], i % columns * (width + gap)
        canvas[top:top + height, left:left + width] = picture
    ax = _axes(ax)
    ax.imshow(canvas, interpolation="none")    # pixels as they are, also in a vector file
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


@checked(vae=MODEL, images="...", columns=WHOLE, labels="any: ...")
def reconstructions(vae: Model, images: Array, ax: Axes | None = None, columns: int = 10,
                    labels: Array | None = None) -> Axes:
    """Images in a row, and right below each its reconstruction from the mean of q(z|x); the next pair of rows is set
    apart, so that nobody takes a reconstruction for that of the image below it.

    images : as in image_grid
    labels : (N,), for a conditional VAE

    Raises ValueError for images that are not pictures.
    """
    originals = _pictures(images)
    _check_fits("images", images[0], vae)
    again = _pictures(vae.reconstruct(images, **given(labels)).reshape(np.shape(images)))
    columns = min(columns, len(originals))
    n_pairs, height = math.ceil(len(originals) / columns), originals.shape[1]
    rows = np.zeros((n_pairs, 2, columns, *originals.shape[1:]))    # transparent where the last pair has no image
    for i, pair in enumerate(zip(originals, again)):
        rows[i // columns, :, i % columns] = pair
    apart = max(4, height // 3)
    tops = [pair * (2 * height + 1 + apart) + below * (height + 1) for pair in range(n_pairs) for below in (0, 1)]
    ax = _draw_grid(rows.reshape(-1, *originals.shape[1:]), columns, tops, 2, ax)
    ax.set_yticks([top + (height - 1) / 2 for top in tops], n_pairs * ["original", "rebuilt"], fontsize="small")
    return ax


@checked(means="N Z", values="any: N", label=TEXT, dimensions=PLACES)
def latent_map(means: Array, values: Array | None = None, label: str = "", ax: Axes | None = None,
               dimensions: Sequence[int] = (0, 1)) -> Axes:
    """Where the images lie in the latent space, in two of its dimensions; the dashed circle holds 86 % of the prior.

    means  : (N, Z), the means of q(z|x) that `encode` gives, or an autoencoder's codes
    values : (N,) colours the points: floats by a colour bar, anything else by class; label says what they are

    A one-dimensional space is drawn against the index of the image.
    """
    from matplotlib.patches import Circle
    from matplotlib.ticker import MaxNLocator
    if means.shape[1] > 1 and (len(dimensions) != 2 or len(set(dimensions)) != 2 or max(dimensions) >= means.shape[1]):
        raise ValueError(f"dimensions is {shown(dimensions)}; expected two of the {means.shape[1]} columns of means")
    ax = _axes(ax)
    if means.shape[1] == 1:
        x, y, names = means[:, 0], np.arange(len(means)), ["z[0], mean", "image"]
    else:
        x, y = means[:, dimensions[0]], means[:, dimensions[1]]
        names = [f"z[{i}], mean" for i in dimensions]
        ax.add_patch(Circle((0, 0), 2, fill=False, linestyle="--", edgecolor=INK, zorder=3))
        ax.set_aspect("equal", adjustable="datalim")
    style = dict(s=36 / max(1.0, math.log10(len(means)) ** 1.5), linewidths=0, alpha=0.8)
    if values is None:
        ax.scatter(x, y, color=BLUE, **style)
    elif np.asarray(values).dtype.kind == "f":
        points = ax.scatter(x, y, c=values, cmap="viridis", **style)
        ax.figure.colorbar(points, label=label, shrink=0.8)
    else:
        _scatter_classes(ax, x, y, np.asarray(values), label, style)
    ax.set(xlabel=names[0], ylabel=names[1])
    if means.shape[1] == 1:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _open_frame(ax)


@checked(mu="B Z", logvar="B Z")
def kl_per_dimension(mu: Array, logvar: Array, ax: Axes | None = None) -> Axes:
    """Bars of `evaluation.kl_per_dimension`, the largest first; mu, logvar : (B, Z), what `encode` gives."""
    kl = latents.kl_per_dimension(mu, logvar)
    order = np.argsort(-kl, kind="stable")
    ax = _axes(ax)
    ax.bar(np.arange(len(kl)), kl[order], color=GREEN)
    step = math.ceil(len(kl) / 25)    # no more labels than can be read
    ax.set_xticks(np.arange(0, len(kl), step), list(map(str, order[::step])), fontsize="small")
    ax.set(xlabel="latent dimension, the largest KL first", ylabel="KL, nats per image")
    return _open_frame(ax)


@checked(vae=MODEL, n=WHOLE, shape=SIZES, labels="any: ...")
def latent_grid(vae: Model, n: int = 15, shape: Sequence[int] | None = None, ax: Axes | None = None,
                labels: Array | int | None = None) -> Axes:
    """A latent space of two dimensions, decoded on a grid of n x n points that are equally likely under the prior.

    The points are quantiles of N(0, 1), so the middle of the space gets most of them.   [Kingma & Welling 2013, fig. 4]

    shape  : of a picture, as (height, width) or (height, width, 3), unless it is a square
    labels : the class to decode, for a conditional VAE

    Raises ValueError if the latent space does not have two dimensions, or the data are not pictures.
    """
    if vae.n_latent != 2:
        raise ValueError(f"vae.n_latent is {vae.n_latent}; expected 2: use latent_traversals for other models")
    quantiles = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    if shape is not None and math.prod(shape) != vae.n_data:
        raise ValueError(f"shape is {shown(shape)}; expected that of a picture with the model's {vae.n_data} numbers")
    right, up = np.meshgrid(quantiles, quantiles[::-1])
    x = vae.decode(np.column_stack([right.ravel(), up.ravel()]), **given(labels))
    x = x.reshape(-1, *(shape or x.shape[1:]))
    ax = image_grid(x, ax, gap=0)
    height, width, _ = _pictures(x).shape[1:]
    middle = {n // 2} if n % 2 else set()    # an even number of points has none, and the ticks stay symmetric
    ticks = {0, n // 4, n - 1 - n // 4, n - 1} | middle
    ax.set_xticks([(i + 0.5) * width - 0.5 for i in ticks], [_number(quantiles[i]) for i in ticks])
    ax.set_yticks([(n - i - 0.5) * height - 0.5 for i in ticks], [_number(quantiles[i]) for i in ticks])
    ax.set(xlabel="z[0]", ylabel="z[1]")
    return ax


@checked(image="...", dimensions=PLACES, steps=WHOLE, labels="any: ...")
def latent_traversals(vae: VAE, image: Array, dimensions: Sequence[int], steps: int = 9, ax: Axes | None = None,
                      labels: Array | int | None = None) -> Axes:
    """One image's mean, decoded with one latent dimension at a time moved from -3 to 3.

    image      : (height, width), (height, width, 1 or 3), or (D,)
    dimensions : one row of pictures for each
    labels     : the image's class, for a conditional VAE

    Raises ValueError for an image that is not a picture.
    """
    _check_fits("image", image, vae)
    if max(dimensions) >= vae.n_latent:
        raise ValueError(f"dimensions is {shown(dimensions)}; expected numbers from 0 to {vae.n_latent - 1}")
    values = np.linspace(-3, 3, steps)
    mu, _ = vae.encode(image[None], **given(labels))
    z = np.repeat(mu, len(dimensions) * steps, axis=0).reshape(len(dimensions), steps, -1)
    for row, dimension in enumerate(dimensions):
        z[row, :, dimension] = values
    x = vae.decode(z.reshape(-1, vae.n_latent), **given(labels))
    ax = image_grid(x.reshape(-1, *image.shape), ax, columns=steps)
    height, width, _ = _pictures(image[None]).shape[1:]
    named = 0, steps // 2, steps - 1
    ax.set_xticks([(width - 1) / 2 + i * (width + 2) for i in named], [_number(values[i]) for i in named])
    ax.set_xlabel("value of the dimension")
    return _label_rows(ax, [f"z[{dimension}]" for dimension in dimensions], height)


@checked()
def network(vae: VAE, ax: Axes | None = None) -> Axes:
    """The network as boxes with their sizes; a box's height grows with the logarithm of its size."""
    n_latent, pixels = vae.n_latent, vae.likelihood
    x, z = network_inputs(vae)
    encoder = [x, *hidden_layers(vae.encoder)]
    decoder = [*hidden_layers(vae.decoder)[:-1], (vae.n_data * pixels.outputs_per_pixel, pixels.output_names)]
    ax = _axes(ax)
    at, half = len(encoder), _half_height(n_latent)
    top = max(_half_height(size) for size, _ in [*encoder, *decoder]) + 0.1
    for i, (size, name) in enumerate(encoder):
        _box(ax, i, 0, size, name, BLUE)
    for i, (size, name) in enumerate(decoder):
        _box(ax, at + 2 + i, 0, size, name, ORANGE)
    for y, name in ((half + 0.05, "μ"), (-half - 0.05, "log σ²")):
        _box(ax, at, y, n_latent, name, GREEN)
        _arrow(ax, (at - 1, 0), (at, y))
        _arrow(ax, (at, y), (at + 1, 0))
    _box(ax, at + 1, 0, *z, GREEN)
    edge = _half_height(z[0])
    ax.text(at + 1, edge + 0.06, "z = μ + σ ε", ha="center", va="bottom")
    ax.text(at + 1, -edge - 0.24, "ε ~ N(0, I)", ha="center", va="top")
    ax.annotate("", (at + 1, -edge), (at + 1, -edge - 0.22), arrowprops={"arrowstyle": "->", "color": MUTED})
    for i in [*range(at - 1), *range(at + 1, at + 1 + len(decoder))]:
        _arrow(ax, (i, 0), (i + 1, 0))
    ax.text((at - 1) / 2, top, "encoder", ha="center")
    ax.text(at + 2 + (len(decoder) - 1) / 2, top, "decoder", ha="center")
    reach = max(top + 0.1, 2 * half + 0.1)
    ax.set(xlim=(-0.4, at + 1.4 + len(decoder)), ylim=(-reach, reach))
    ax.set_axis_off()
    return ax


def network_inputs(vae: VAE) -> tuple[tuple[int, str], tuple[int, str]]:
    """How many numbers the encoder is given and the decoder, and the text in the box: with them a label, if any."""
    more, label = (0, "") if vae.n_classes is None else (vae.n_classes, "\nand label")
    return (vae.n_data + more, f"x{label}"), (vae.n_latent + more, f"z{label}")


def hidden_layers(network: Sequential) -> list[tuple[int, str]]:
    """The output size of each layer with weights, and the text in its box."""
    boxes: list[tuple[int, str]] = []
    image: tuple[int, ...] = ()
    for layer in network.layers:
        activation = getattr(layer, "activation", type(layer).__name__)
        if isinstance(layer, Reshape):
            image = layer.shape
            if boxes:    # the layer before it is drawn as the images that it is reshaped to
                boxes[-1] = (boxes[-1][0], f"{_times(image)}\n{boxes[-1][1]}")
        elif isinstance(layer, (Conv2d, ConvTranspose2d)):
            image = (*_sides(layer, image), layer.n_out)
            boxes.append((math.prod(image), f"{_times(image)}\n{activation}"))
        elif layer.params:
            boxes.append((getattr(layer, "n_out", boxes[-1][0] if boxes else 0), activation))
    return boxes


def _sides(layer: Conv2d | ConvTranspose2d, image: tuple[int, ...]) -> list[int]:
    sizes = zip(image, layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, Conv2d):
        return [conv_size(*side) for side in sizes]
    return [transposed_size(*side, extra) for side, extra in zip(sizes, layer.output_padding)]


def _times(image: tuple[int, ...]) -> str:
    return "×".join(map(str, image))


@checked(report=REPORT)
def gradient_errors(report: Any, ax: Axes | None = None) -> Axes:
    """The error of every entry that a gradient check looked at: a line for each check, a cell for each entry.

    report : what `gradcheck` returns.  The colour is the power of ten of the relative error.
    """
    ax = _axes(ax)
    lines = [np.concatenate([error.ravel() for error in row.errors.values()]) for row in report.rows]
    errors = np.full((len(lines), max(map(len, lines))), np.nan)
    for line, row in zip(errors, lines):
        line[:len(row)] = np.log10(np.clip(row, 1e-17, 1.0))    # an error of 0 has no logarithm
    image = ax.imshow(errors, aspect="auto", interpolation="nearest", cmap="viridis", vmin=-17, vmax=0)
    ax.set_yticks(range(len(lines)), [f"{row.component}, {row.path}" for row in report.rows], fontsize=6)
    ax.set(xlabel="entry")
    ax.figure.colorbar(image, label="log10 of the relative error")
    return _open_frame(ax)


# The parts of a VAE in its diagram: where each stands, and which arrows lead on from it.
DIAGRAM = {"x": (0, 0.0, ["encoder"]), "encoder": (1, 0.0, ["q(z|x)"]), "q(z|x)": (2, 0.0, ["z", "KL"]),
           "z": (3, 0.0, ["decoder"]), "decoder": (4, 0.0, ["p(x|z)"]), "p(x|z)": (5, 0.0, []),
           "KL": (2, -1.0, []), "p(z)": (3, -1.0, ["z", "KL"])}
GAP = 3    # points between an arrow of the diagram and a box


@checked(lit=TEXTS)
def diagram(lit: Sequence[str], ax: Axes | None = None) -> Axes:
    """The parts of a VAE and what flows between them, with the parts that are spoken of lit.

    lit : names of DIAGRAM

    Raises ValueError for a name that is not in the diagram.
    """
    for name in lit:
        one_of("lit", name, DIAGRAM)
    ax = _axes(ax)
    boxes = {}
    for name, (x, y, _) in DIAGRAM.items():
        on = name in lit
        boxes[name] = ax.text(x, y, name, ha="center", va="center", color="white" if on else MUTED,
                              fontweight="bold" if on else "normal",
                              bbox={"boxstyle": "round,pad=0.5", "facecolor": BLUE if on else "white",
                                    "edgecolor": BLUE if on else MUTED}).get_bbox_patch()
    for name, (x, y, following) in DIAGRAM.items():
        for other in following:    # from the edge of one box to that of the next, which are as long as their words
            ax.annotate("", DIAGRAM[other][:2], (x, y), arrowprops={
                "arrowstyle": "->", "color": MUTED, "patchA": boxes[name], "patchB": boxes[other],
                "shrinkA": GAP, "shrinkB": GAP})
    ax.set(xlim=(-0.5, 5.5), ylim=(-1.4, 0.4))
    ax.set_axis_off()
    return ax


def show_diagram(*lit: str) -> None:
    """Show the diagram in a notebook, with these parts lit."""
    import matplotlib.pyplot as plt
    diagram(lit, plt.subplots(figsize=(7, 1.7))[1])
    show("Diagram of a VAE: x, encoder, q(z|x), z, decoder, p(x|z) in a row; below, the prior p(z) with an arrow to z, "
         f"and the KL between q(z|x) and p(z). Lit: {', '.join(lit)}.")


# What one sees in a sick VAE, first things first; the check of `examine` that decides; what it mostly is.
SYMPTOMS = (("Is the loss NaN or infinite?", "finite", "the logarithm of a probability\nthat rounds to 0 or 1"),
            ("Bernoulli, and far below 0?", "likelihood", "pixels outside [0, 1]"),
            ("Do all z give the same picture?", "reduction", "the KL is too heavy:\na mean where a sum belongs"),
            ("Sharp reconstructions, poor samples?", "sampling", "z is not drawn\nas the KL believes"),
            ("A good loss, but grey pictures?", "images", "something that is no probability\nis shown as one"),
            ("Nothing odd, but worse than it should be?", "gradients", "a mistake in the backward pass"))


def symptom_tree(ax: Axes | None = None) -> Axes:
    """SYMPTOMS as a decision tree: questions from top to bottom, to the right of each what "yes" means."""
    ax = _axes(ax)
    style = {"boxstyle": "round,pad=0.45", "edgecolor": INK, "facecolor": "white"}
    rows = [ax.text(0, -y, question, ha="center", va="center", bbox=style)
            for y, (question, _, _) in enumerate(SYMPTOMS)]
    rows.append(ax.text(0, -len(SYMPTOMS), "Examine everything", ha="center", va="center", bbox=style))
    lit = {**style, "facecolor": BLUE, "edgecolor": BLUE}
    checks = [ax.text(1.45, -y, check, ha="center", va="center", color="white", fontweight="bold", bbox=lit)
              for y, (_, check, _) in enumerate(SYMPTOMS)]
    for y, (_, _, disease) in enumerate(SYMPTOMS):
        ax.text(1.95, -y, disease, va="center")
    ax.text(1.95, -len(SYMPTOMS), "all ok? Then look at what no check sees:\n"
            "the data, the epochs, the size of the code", va="center")
    for y, row in enumerate(rows[:-1]):
        for other, word, place in ((rows[y + 1], "no", (0.06, -y - 0.5)), (checks[y], "yes", (1.02, -y + 0.18))):
            ax.annotate("", other.get_position(), row.get_position(), arrowprops={
                "arrowstyle": "->", "color": MUTED, "patchA": row.get_bbox_patch(), "patchB": other.get_bbox_patch(),
                "shrinkA": GAP, "shrinkB": GAP})
            ax.text(*place, word, color=MUTED, fontsize="small", va="center", ha="left" if word == "no" else "center")
    ax.annotate("", (1.9, -len(SYMPTOMS)), (0, -len(SYMPTOMS)), arrowprops={
        "arrowstyle": "->", "color": MUTED, "patchA": rows[-1].get_bbox_patch(), "shrinkA": GAP, "shrinkB": GAP})
    ax.set(xlim=(-0.85, 3.3), ylim=(-len(SYMPTOMS) - 0.45, 0.45))
    ax.set_axis_off()
    return ax


def show_symptom_tree() -> None:
    """Show the decision tree in a notebook."""
    import matplotlib.pyplot as plt
    symptom_tree(plt.subplots(figsize=(9, 5.2))[1])
    show("A decision tree, from top to bottom. " + " ".join(
        f"{question} If yes, the check {check}: {' '.join(disease.split())}."
        for question, check, disease in SYMPTOMS) + " If none, examine everything; if all is ok, look at the data, the "
        "epochs, the size of the code.")


def show_curves(panels: Mapping[str, Mapping[str, Sequence[float]]], alt: str, ylabel: str,
                colors: Mapping[str, str], upto: int | None = None) -> None:
    """Show panels in a notebook, three side by side, each with curves over the epochs: {title: {name: numbers}}.

    A curve that ends with no number is marked; the last panel has the legend.

    colors : of the curves, by name
    upto   : how many epochs are drawn; all of them by default
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator
    _, axes = plt.subplots(math.ceil(len(panels) / 3), 3, figsize=(9, 2.3 * math.ceil(len(panels) / 3)),
                           squeeze=False, layout="constrained")
    for ax, (title, curves) in zip(axes.flat, panels.items()):
        for name, numbers in curves.items():
            drawn = numbers[:upto]
            ax.plot(range(1, len(drawn) + 1), drawn, ".-", color=colors.get(name, INK), label=name)
            if len(drawn) > 1 and not math.isfinite(drawn[-1]):
                last = len(drawn) - 1, drawn[-2]
                ax.plot(*last, "x", color=CLASSES[5], markersize=10)
                ax.annotate("NaN", last, (6, 6), textcoords="offset points", color=CLASSES[5])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_title(title, fontsize=10)
        _open_frame(ax)
    axes[-1, -1].legend(frameon=False, fontsize="small")
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    show(alt)


def show_rows(pictures: Mapping[str, Array], alt: str, columns: int = 14, across: int = 1) -> None:
    """Show pictures in a notebook, in rows under their titles: {title: images}, so many titles side by side."""
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    rows = [math.ceil(len(images) / columns) for images in pictures.values()]
    titled = 0.3 * max(title.count("\n") + bool(title) for title in pictures)
    heights = [8 / across / columns * max(rows[i:i + across]) + titled + 0.1 for i in range(0, len(rows), across)]
    _, axes = plt.subplots(len(heights), across, figsize=(8, sum(heights)), height_ratios=heights, squeeze=False,
                           layout=ConstrainedLayoutEngine(wspace=0.05))
    for ax, (title, images) in zip(axes.flat, pictures.items()):
        image_grid(images, ax, columns=columns)
        ax.set_title(title, fontsize=10)
    show(alt)


def show_dots(panels: Mapping[str, Mapping[str, Sequence[float]]], alt: str, xlabel: str,
              colors: Mapping[str, str], mark: float | None = None, **axes_settings: Any) -> None:
    """Show panels side by side in a notebook, each with a row of dots for every name: {title: {name: numbers}}.

    colors        : of the rows, by name
    mark          : where a dashed line stands
    axes_settings : of every panel, as `Axes.set` takes them
    """
    import matplotlib.pyplot as plt
    height = 0.3 * len(next(iter(panels.values()))) + 1
    _, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels) + 0.5, height), sharey=True, squeeze=False,
                           layout="constrained")
    for ax, (title, rows) in zip(axes[0], panels.items()):
        for row, (name, numbers) in enumerate(rows.items()):
            ax.plot(numbers, np.full(len(numbers), row), "o", color=colors.get(name, INK), alpha=0.6)
        if mark is not None:
            ax.axvline(mark, color=INK, linestyle="--", linewidth=1)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5), **axes_settings)
        ax.grid(axis="y", alpha=0.3)
        ax.set_title(title, fontsize=10)
    show(alt)


def ellipses(mu: Array, logvar: Array, ax: Axes, deviations: float = 2.0, color: str = INK, linewidth: float = 1.5
             ) -> None:
    """The ellipse of each q(z|x) in a plane, at so many standard deviations; mu, logvar : (N, 2)."""
    angle = np.linspace(0, 2 * np.pi, 100)
    for centre, width in zip(mu, deviations * np.exp(0.5 * logvar)):
        ax.plot(centre[0] + width[0] * np.cos(angle), centre[1] + width[1] * np.sin(angle), color=color,
                linewidth=linewidth)


def show(alt: str) -> None:
    """Show pyplot's current figure in a notebook, with a text for readers who do not see it, and close the figure.

    The picture goes out as HTML, where the text has a place that page makers keep, and as PNG for what shows no HTML.
    """
    import base64
    import html
    import io

    import matplotlib.pyplot as plt
    from IPython.display import display
    from PIL import Image
    drawn, small = io.BytesIO(), io.BytesIO()
    plt.gcf().savefig(drawn, format="png", bbox_inches="tight")
    plt.close()
    # A third of the size; by this method, for the default one takes two colours of few pixels for one.
    Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(small, "png", optimize=True)
    png = base64.b64encode(small.getvalue()).decode()
    tag = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'
    display({"text/html": tag, "image/png": png, "text/plain": alt}, raw=True, metadata={"image/png": {"alt": alt}})


def strip(draw: Callable[[Axes, float], Any], values: Sequence[float], alt: str, size: tuple[float, float] = (3, 3)
          ) -> None:
    """Show draw(ax, value) for each value, side by side: what a slider shows, for a page on which nothing moves.

    size : of one frame, in inches
    """
    import matplotlib.pyplot as plt
    whole = (len(values) * size[0], size[1])
    _, axes = plt.subplots(1, len(values), figsize=whole, squeeze=False, layout="constrained")
    for ax, value in zip(axes[0], values):
        draw(ax, value)
    show(alt)


def picture_tag(draw: Any, size: tuple[float, float], alt: str) -> str:
    """An HTML image, self-contained, of what draw(ax) draws on a figure of this size in inches."""
    import base64
    import io

    from matplotlib.figure import Figure
    figure = Figure(figsize=size, layout="constrained")
    draw(figure.subplots())
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}">'


def given(labels: Any) -> dict[str, Any]:
    """labels= for a conditional model; nothing for any other."""
    return {} if labels is None else {"labels": labels}


def as_rows(images: Array) -> Array:
    """Images as the model takes them: bytes become numbers in [0, 1], each image one row.  (N, ...) -> (N, D)"""
    images = np.asarray(images)
    rows = images.reshape(len(images), -1)
    return rows.astype(np.float32) / 255 if images.dtype == np.uint8 else rows


def picture_shape(shape: Sequence[int]) -> tuple[int, ...] | None:
    """How an image of this shape is drawn: (height, width) or (height, width, C), or None if it is not a picture.

    (D,) is a square of grey pixels, or of red, green and blue ones, if D is the right number.
    """
    if len(shape) == 1:
        for channels, tail in ((1, ()), (3, (3,))):
            side = math.isqrt(shape[0] // channels)
            if side * side * channels == shape[0]:
                return (side, side, *tail)
    return tuple(shape) if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)) else None


def _pictures(images: Array) -> Array:
    """Images as red, green, blue and opacity in [0, 1]: (N, ...) -> (N, height, width, 4)."""
    images = np.asarray(images)
    shape = picture_shape(images.shape[1:])
    if shape is None or len(images) == 0:
        raise ValueError(f"images has shape {images.shape}; expected (N, height, width), (N, height, width, 3), or "
                         "(N, D) where D is a square number, with at least one image")
    _check_dtype("images", images)
    pixels = images.reshape(len(images), *shape[:2], -1)
    if images.dtype == np.uint8:
        pixels = pixels / 255
    if pixels.shape[3] == 4:
        return np.clip(pixels, 0, 1)
    rgba = np.ones((*pixels.shape[:3], 4))
    rgba[..., :3] = np.clip(pixels, 0, 1)
    return rgba


def _check_dtype(argument: str, images: Array) -> None:
    if images.dtype != np.uint8 and images.dtype.kind not in "fb":
        raise TypeError(f"{argument} has dtype {images.dtype}; expected uint8, or floats as the model takes them")


def _check_fits(argument: str, image: Array, model: Model) -> None:
    _check_dtype(argument, image)
    if image.size != model.n_data:
        raise ValueError(f"{argument} has {image.size} numbers per image; expected {model.n_data}, the model's n_data")


def _scatter_classes(ax: Axes, x: Array, y: Array, values: Array, label: str, style: dict[str, Any]) -> None:
    names, classes = np.unique(values, return_inverse=True)
    colors = np.array(CLASSES)[classes % len(CLASSES)]
    shapes = classes // len(CLASSES) % len(MARKERS)
    for shape in np.unique(shapes):    # all of a shape at once, so that no class hides another
        here = shapes == shape
        ax.scatter(x[here], y[here], color=colors[here], marker=MARKERS[shape], **style)
    named = [short(str(name)) for name in names[:MOST_NAMED]]
    handles = [ax.scatter([], [], color=CLASSES[i % len(CLASSES)], marker=MARKERS[i // len(CLASSES) % len(MARKERS)])
               for i in range(len(named))]
    if len(names) > len(named):
        handles.append(ax.scatter([], [], alpha=0))
        named.append(f"and {len(names) - MOST_NAMED:,} more")
    legend = ax.legend(handles, list(map(str, range(len(named)))), title=label, frameon=False, fontsize="small",
                       loc="center left", bbox_to_anchor=(1, 0.5), handletextpad=0.2, ncols=math.ceil(len(named) / 20))
    for text, name in zip(legend.get_texts(), named):
        text.set_parse_math(False)    # a class may be called "$", and one called "_x" is shown too
        text.set_text(name)


def short(name: str) -> str:
    """A name from people's data, no longer than can be read."""
    return name if len(name) < 21 else name[:18] + "..."


def _label_rows(ax: Axes, labels: Sequence[str], height: int) -> Axes:
    """Names beside the rows of an image_grid with its usual gap."""
    ax.set_yticks([(height - 1) / 2 + i * (height + 2) for i in range(len(labels))], labels)
    return ax


def _box(ax: Axes, x: float, y: float, size: int, name: str, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch
    half = _half_height(size)
    ax.add_patch(FancyBboxPatch((x - 0.28, y - half), 0.56, 2 * half, boxstyle="round,pad=0,rounding_size=0.05",
                                facecolor=color + "38", edgecolor=color))
    ax.text(x, y, f"{name}\n{size}", ha="center", va="center")


def _half_height(size: int) -> float:
    return max(0.16, 0.05 * math.log2(1 + size))


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", (end[0] - 0.29, end[1]), (start[0] + 0.29, start[1]),
                arrowprops={"arrowstyle": "->", "color": MUTED, "shrinkA": 1, "shrinkB": 1})


def _number(value: float) -> str:
    return f"{round(value, 1) + 0:g}".replace("-", "−")    # + 0 makes -0 a 0


def _open_frame(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot
    return pyplot.subplots(layout="constrained")[1]
