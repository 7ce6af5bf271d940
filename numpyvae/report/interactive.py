"""The parts of a report that answer to a hand: a slider for each latent dimension, and a map whose points show images.

Everything they show is computed here and stands in the page: images side by side in one PNG (a sprite sheet), of which
report.js moves the right part into view.  There is no decoder in JavaScript, and nothing is loaded.
"""
from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..evaluation.remarks import UNUSED
from ..models.vae import VAE
from . import plots

Array = np.ndarray

MOST_SLIDERS = 32
STEPS, FEWER_STEPS = 25, 13    # from -3 to 3: every quarter, or every half where pictures are large
N_POINTS = 300                 # on the map: each brings its picture
FEWEST_POINTS = 3              # fewer make no map
MOST_VALUES = 600_000          # bytes of a sprite sheet before it is compressed; larger pictures are shown smaller
SIDE, MARGIN, TOP = 480, 44, 28    # of the map, in its own units; above TOP it would be empty


def sliders(vae: VAE, image: Array, kl: Array, label: Any = None) -> str:
    """A slider for each dimension that the model uses, the largest KL first; "" if it uses none.

    Each moves its own dimension from -3 to 3; the others keep the values that the image's code has.

    image : (height, width) or (height, width, C); label : its class, for a conditional VAE; kl : (Z,), in nats
    """
    used = [int(i) for i in np.argsort(-kl, kind="stable") if kl[i] >= UNUSED][:MOST_SLIDERS]
    if not used:
        return ""
    told = plots.given(label)
    code = vae.encode(image[None], **told)[0]
    n_steps = STEPS if len(used) * STEPS * image.size <= MOST_VALUES else FEWER_STEPS
    values = np.linspace(-3, 3, n_steps)

    def decoded() -> Iterator[Array]:
        for dimension in used:    # one at a time: a hundred large pictures would not fit into memory
            codes = np.repeat(code, n_steps, axis=0)
            codes[:, dimension] = values
            yield from vae.decode(codes, **told).reshape(-1, *image.shape)

    sheet = Sheet(decoded(), image.shape, len(used) * n_steps, columns=n_steps)
    start = Sheet([image, vae.decode(code, **told).reshape(image.shape)], image.shape, 2, columns=2)
    at = [values[np.abs(values - code[0, dimension]).argmin()] for dimension in used]
    cards = "\n".join(
        f'<div class="slider"><div class="sprite" role="img"></div>'
        f'<label for="z{dimension}">z[{dimension}]<small>KL {kl[dimension]:z.2f} nats</small></label>'
        f'<output for="z{dimension}"></output>'
        f'<input type="range" id="z{dimension}" min="-3" max="3" step="{6 / (n_steps - 1):g}" value="{value:g}" '
        f'data-row="{row}"></div>' for row, (dimension, value) in enumerate(zip(used, at)))
    others = " Each slider moves one dimension; the others stay as the image has them." * (len(used) > 1)
    return (f'<figure class="wide sliders" hidden {sheet.attributes}><h3>Move one dimension</h3>\n<div class="start">'
            f'<img src="{start.address}" alt="A test image, and beside it its reconstruction">'
            f"<p>The sliders start from the code of this test image, whose reconstruction is beside it.{others} What "
            "changes in the picture is what that dimension stands for.</p>"
            f'<button type="button">Back to the start</button></div>\n<div class="cards">\n{cards}\n</div>\n'
            f"<figcaption>{_which(len(used), len(kl))}, the largest KL first. Arrow keys move a slider too."
            "</figcaption></figure>")


def _which(n_used: int, n: int) -> str:
    if n_used == n:
        return f"All {n} dimensions" if n > 1 else "The one dimension"
    return f"{n_used} of {n} dimensions, " + ("those that the model uses most" if n_used == MOST_SLIDERS else
                                              f"those with a KL of at least {UNUSED} nats")


def code_map(mu: Array, kl: Array, images: Array, numbers: Array, names: Array | None) -> str:
    """A map of codes, each of which shows its image by hover, focus or tap; "" for so few that there is no map.

    mu      : (N, Z), the means of q(z|x) of the images, of which the first are shown; kl : (Z,) chooses two dimensions
    images  : (N, height, width[, C]); numbers : (N,), their places in the test set; names : (N,), their classes
    """
    n = min(N_POINTS, len(images))
    if n < FEWEST_POINTS:
        return ""
    axes = [0, 1] if len(kl) == 2 else np.argsort(-kl, kind="stable")[:2].tolist()
    places = mu[:n, axes].astype(float)
    if len(axes) == 1:
        places = np.column_stack([places, np.linspace(-2, 2, n)])
    reach = max(2.5, 1.05 * float(np.abs(places).max()))
    texts = [f"Test image {number}" + ("" if names is None else f", class {plots.short(str(names[i]))}") + ": " +
             ", ".join(f"z[{axis}] = {mu[i, axis]:z.2f}".replace("-", "−") for axis in axes)
             for i, number in enumerate(numbers[:n])]
    colors, legend = [plots.BLUE] * n, ""
    classes = [] if names is None else np.unique(names).tolist()
    if names is not None and len(classes) <= len(plots.CLASSES):    # more would share colours
        colors = [plots.CLASSES[classes.index(name)] for name in names[:n].tolist()]
        legend = _legend(list(map(str, classes)))
    points = "".join(
        f'<circle role="option" aria-selected="false" id="p{i}" cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{color}" '
        f'aria-label="{html.escape(text)}"/>'
        for i, (x, y, color, text) in enumerate(zip(*_on_map(places, reach).T, colors, texts)))
    sheet = Sheet(images[:n], images.shape[1:], n, columns=20)
    where = f"{n:,} test images, each at the mean of its code" + ", one above the other" * (len(axes) == 1)
    return (f'<figure class="wide map" {sheet.attributes}><h3>Which image lies where</h3>\n<div class="explore">'
            f'<svg viewBox="0 {TOP} {SIDE} {SIDE - TOP}" role="listbox" tabindex="0" '
            f'aria-label="A map of {where}. Arrow keys go from point to point.">{_frame(axes, reach)}{points}'
            '<circle class="ring" r="9" aria-hidden="true" hidden=""/></svg>\n'
            '<div><div class="chosen" hidden><div class="sprite" role="img"></div><p aria-live="polite"></p></div>'
            f"{legend}</div></div>\n<figcaption>{where}. Point at one, tap it, or go from one to the next with the "
            "arrow keys, to see the image.</figcaption></figure>")


def _on_map(places: Array, reach: float) -> Array:
    """From -reach ... reach, to the right and up, to the map's own units, to the right and down.  (N, 2) -> (N, 2)"""
    return SIDE / 2 + places * [1, -1] / reach * (SIDE / 2 - MARGIN)


def _frame(axes: Sequence[int], reach: float) -> str:
    """The axes of the map, and the circle that holds 86 % of the prior's codes, for two dimensions."""
    low, high, middle = MARGIN, SIDE - MARGIN, SIDE / 2
    parts = [f'<path d="M{low},{low}V{high}H{high}"/>',
             f'<text x="{middle}" y="{SIDE - 6}" text-anchor="middle">z[{axes[0]}], mean</text>']
    step = max(1, int(reach) // 3)
    for value in range(-step * (int(reach) // step), int(reach) + 1, step):
        (right, down), = _on_map(np.array([[value, value]]), reach)
        text = str(value).replace("-", "−")
        parts.append(f'<text x="{right:.1f}" y="{high + 18}" text-anchor="middle">{text}</text>')
        if len(axes) == 2:
            parts.append(f'<text x="{low - 8}" y="{down + 5:.1f}" text-anchor="end">{text}</text>')
    if len(axes) == 2:
        radius = 2 / reach * (middle - MARGIN)
        parts += [f'<circle cx="{middle}" cy="{middle}" r="{radius:.1f}" stroke-dasharray="5 4"/>',
                  f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">z[{axes[1]}], mean'
                  "</text>"]
    return f'<g class="frame" aria-hidden="true">{"".join(parts)}</g>'


def _legend(classes: Sequence[str]) -> str:
    items = "".join(f'<li><span style="background:{color}"></span>{html.escape(plots.short(name))}</li>'
                    for color, name in zip(plots.CLASSES, classes))
    return f'<ul class="legend" aria-label="The classes and their colours">{items}</ul>'


class Sheet:
    """Pictures side by side in one PNG, row by row, each smaller where all of them would be too large for a page.

    pictures   : n of them, each of this shape, (height, width) or (height, width, C): bytes, or numbers in [0, 1]
    address    : the PNG as an address of data
    attributes : what the figure that shows its parts says about it, for report.html and report.js
    """

    def __init__(self, pictures: Iterable[Array], shape: Sequence[int], n: int, columns: int) -> None:
        scale = min(1.0, (MOST_VALUES / (n * math.prod(shape))) ** 0.5)
        height, width = (max(1, round(side * scale)) for side in shape[:2])
        rows = math.ceil(n / columns)
        channels = shape[2:] if shape[2:] != (1,) else ()
        sheet = np.zeros((rows * height, columns * width, *channels), np.uint8)
        for i, picture in enumerate(pictures):
            top, left = i // columns * height, i % columns * width
            sheet[top:top + height, left:left + width] = _resized(picture.reshape(*shape[:2], *channels), height, width)
        self.address = _png(sheet)
        self.attributes = (f'data-columns="{columns}" data-rows="{rows}" style="--sheet:url({self.address});'
                           f'--size:{100 * columns}% {100 * rows}%;--shape:{width}/{height}"')


def _resized(picture: Array, height: int, width: int) -> Array:
    from PIL import Image
    if picture.dtype != np.uint8:
        picture = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _png(pixels: Array) -> str:
    from PIL import Image
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
