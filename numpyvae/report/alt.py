"""What a figure shows, in a sentence or two with its numbers, for readers who do not see it."""
from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from ..evaluation.remarks import UNUSED
from ..models.vae import VAE
from . import plots

Array = np.ndarray
MOST_CLASSES = 12       # whose places on a map are told one by one


def learning_curves(records: Sequence[Any], terms: Sequence[str], thing: str, held_out: str = "validation") -> str:
    """What happened from the first of the epochs to the last, in training and on the images held out."""
    first, last = records[0], records[-1]
    said = []
    for term in terms:
        text = f"the {plots.TERMS[term].spoken} {_went(getattr(first, term), getattr(last, term))} in training"
        if first.validation is not None and last.validation is not None:
            text += f" and {_went(getattr(first.validation, term), getattr(last.validation, term))} {place(held_out)}"
        said.append(text)
    return (f"Lines over epochs {first.epoch} to {last.epoch}, in nats per {thing}: {'; '.join(said)}."
            + _turn(records, held_out))


def place(held_out: str) -> str:
    return "on the test set" if held_out == "test" else f"in {held_out}"


def _turn(records: Sequence[Any], held_out: str) -> str:
    """Where the loss of the images held out was lowest, if that was not at the end."""
    losses = [(record.validation.loss, record.epoch) for record in records if record.validation is not None]
    if not losses or min(losses)[1] == records[-1].epoch:
        return ""
    loss, epoch = min(losses)
    return f" The {held_out} loss was lowest, {number(loss)}, after epoch {epoch}."


def _went(first: float, last: float) -> str:
    a, b = number(first), number(last)
    return f"stayed at {a}" if a == b else f"{'fell' if last < first else 'rose'} from {a} to {b}"


def reconstructions(originals: Array, rebuilt: Array, thing: str) -> str:
    """originals, rebuilt : (n, D) as the model takes them"""
    error, scale = float(np.abs(originals - rebuilt).mean()), float(np.ptp(originals))
    many = f"{len(originals)} test {thing}s, each with its reconstruction" if len(originals) > 1 else (
        f"A test {thing} with its reconstruction")
    share = f", {error / scale:.1%} of the range of the data" if scale > 0 else ""
    return f"{many}. They differ by {number(error)} per number on average{share}."


def samples(drawn: Array, data: Array, thing: str) -> str:
    """drawn, data : (n, D)"""
    what = "brightness" if thing == "image" else "value"
    return (f"{len(drawn)} new {thing}s, decoded from codes drawn from the prior. Their mean {what} is "
            f"{number(float(drawn.mean()))}; that of the test {thing}s is {number(float(data.mean()))}.")


def latent_map(mu: Array, values: Array | None, label: str, dimensions: Sequence[int], thing: str) -> str:
    """mu : (N, Z); values : (N,) classes, or floats with a colour bar; dimensions : the two (or the one) shown"""
    shown = mu[:, list(dimensions)].astype(float)
    where = " and ".join(f"z[{i}] from {number(low)} to {number(high)}"
                         for i, low, high in zip(dimensions, shown.min(axis=0), shown.max(axis=0)))
    text = f"{len(mu):,} points, one for each {thing}: {where}."
    if values is None:
        return text
    if values.dtype.kind == "f":
        follows = ", ".join(f"z[{i}] {number(r)}" for i, r in zip(dimensions, correlations(shown, values)))
        return (f"{text} The colour is the {label}, {number(values.min())} to {number(values.max())}; its correlation "
                f"with the dimensions: {follows}.")
    names = np.unique(values)
    if len(names) > MOST_CLASSES:
        return f"{text} The colour and the shape are the {label}, of which there are {len(names)}."
    centres = "; ".join(f"{plots.short(str(name))} around " + _tuple(shown[values == name].mean(axis=0))
                        for name in names)
    if len(names) == 1:
        return f"{text} All are of the {label} {plots.short(str(names[0]))}."
    return f"{text} The colour is the {label}. The middle of each: {centres}."


def _tuple(place: Array) -> str:
    return "(" + ", ".join(map(number, place)) + ")" if len(place) > 1 else number(place[0])


def correlations(columns: Array, factor: Array) -> Array:
    """Pearson's r of each column, (N, Z), and a factor, (N,); 0 where either is constant.  (Z,)"""
    columns, factor = columns - columns.mean(axis=0), factor - factor.mean()
    scale = np.sqrt((columns**2).sum(axis=0) * (factor**2).sum())
    return factor @ columns / np.where(scale > 0, scale, 1)


def latent_grid(n: int) -> str:
    reach = number(NormalDist().inv_cdf((n - 0.5) / n))
    return (f"{n * n} decoded images, of codes on a grid of {n} by {n}: z[0] from −{reach} at the left to {reach} at "
            f"the right, z[1] from −{reach} at the bottom to {reach} at the top.")


def latent_traversals(vae: VAE, image: Array, dimensions: Sequence[int], labels: Any) -> str:
    """How much each of the dimensions changes the picture on its way from -3 to 3."""
    code = vae.encode(image[None], **plots.given(labels))[0]
    ends = np.repeat(code, 2 * len(dimensions), axis=0)
    for row, dimension in enumerate(dimensions):
        ends[2 * row:2 * row + 2, dimension] = -3, 3
    x = vae.decode(ends, **plots.given(labels)).reshape(len(dimensions), 2, -1)
    change = np.abs(x[:, 0] - x[:, 1]).mean(axis=1)
    most, least = int(change.argmax()), int(change.argmin())
    text = f"One image, in each row with another dimension moved from −3 to 3: {_listed(dimensions)}."
    if len(dimensions) == 1:
        return f"{text} From end to end a pixel changes by {number(float(change[0]))} on average."
    return (f"{text} From end to end z[{dimensions[most]}] changes a pixel the most, by {number(float(change[most]))} "
            f"on average, and z[{dimensions[least]}] the least, by {number(float(change[least]))}.")


def _listed(dimensions: Sequence[int]) -> str:
    return ", ".join(f"z[{i}]" for i in dimensions)


def kl_per_dimension(kl: Array) -> str:
    """kl : (Z,)"""
    order = np.argsort(-kl, kind="stable")
    used = int((kl >= UNUSED).sum())
    text = f"{len(kl)} bars: the largest is z[{order[0]}] with {number(kl[order[0]])} nats"
    if len(kl) > 1:
        text += f", the smallest z[{order[-1]}] with {number(kl[order[-1]])}"
    return f"{text}. {used} of {len(kl)} have at least {UNUSED} nats."


def network(vae: VAE) -> str:
    """The sizes along the way of an image through the model."""
    def said(boxes: list[tuple[int, str]]) -> list[str]:
        return [f"{' '.join(name.split())} {size:,}" for size, name in boxes]
    x, z = plots.network_inputs(vae)
    pixels = vae.likelihood
    way = [*said([x, *plots.hidden_layers(vae.encoder)]), f"μ and log σ² {vae.n_latent} each",
           *said([z, *plots.hidden_layers(vae.decoder)[:-1],
                  (vae.n_data * pixels.outputs_per_pixel, pixels.output_names)])]
    return "Boxes from left to right: " + ", then ".join(way) + "."


def number(value: float) -> str:
    """Three or more digits, as people write them: 0.0123, 21.7, 1,234."""
    value = float(value)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:z.2f}"
    if 0 < abs(value) < 0.1:
        text = f"{value:.2g}"
    return text.replace("-", "−") if float(value) else "0"
