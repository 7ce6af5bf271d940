"""The report of a run: one HTML file that holds its figures and needs nothing else.

The figures are drawn as SVG inside the page, with its text colour, so that they read well in light and dark mode.
"""
from __future__ import annotations

import html
import io
import math
import os
import re
import statistics
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import counted
from ..datasets.contents import looks_like_pictures
from ..evaluation.latents import kl_per_dimension
from ..files.regular import written_whole
from ..models.tree import tree_of
from ..models.vae import VAE
from . import alt, interactive, plots
from . import rows as figures
from .explore import explorer, refuse_unknown
from .page import page, source
from .summary import lines, nats, next_steps, parts_of, settings

Array = np.ndarray

N_MAPPED = 5000         # points that a map can still show separately
CANVAS = 320            # pixels across a grid of pictures: keeps the file small
MOST_WEIGHTS = 2_000_000    # of a model that runs in the report, in some 5 MB; `numpyvae explore` writes larger pages
# The headline: a key of metrics, its name on the page, its unit, how it is written.  A thing is an image, or a row.
HEADLINES: tuple[tuple[str, str, str, Callable[[Any], str]], ...] = (
    ("test_loss", "test loss", "nats per {thing}", nats),
    ("test_nll", "reconstruction part", "nats per {thing}", nats),
    ("test_kl", "KL part", "nats per {thing}", nats),
    ("epochs", "epochs", "through all {thing}s", "{:,d}".format),
    ("best_epoch", "epoch kept", "with the lowest validation loss", "{:,d}".format),
    ("validation_loss", "validation loss", "nats per {thing}, of that epoch", nats),
    ("seconds_per_epoch", "seconds per epoch", "the median", alt.number),
    ("images_per_second", "{thing}s per second", "in training", alt.number))


def write_report(path: str | os.PathLike[str], vae: VAE, records: Sequence[Any], images: Array,
                 labels: Array | None = None, thickness: Array | None = None, title: str = "A VAE",
                 configuration: dict[str, Any] | None = None, metrics: dict[str, Any] | None = None,
                 evaluation: dict[str, Any] | None = None, classes: Sequence[str] | None = None,
                 columns: Sequence[str] | None = None, commands: Sequence[str] = (), date: str = "",
                 run: str | None = None) -> None:
    """Write the report of a run as one self-contained HTML file, whole or not at all.

    vae           : the trained VAE
    records       : what `fit` yielded, at least one
    images        : (N, ...) uint8 or floats as the model takes them, preferably test images; what is not a picture is
                    drawn as bars or curves
    labels        : (N,) the images' classes, or None
    thickness     : (N,) a known true factor of the images, in pixels, or None
    configuration : what the run was asked to do; by default the model's parts
    metrics       : measured numbers, which replace or add to those of the records; "remarks" may hold sentences
    evaluation    : what `numpyvae evaluate` measured, for a section of its own
    classes       : the names of the labels 0, 1, ..., or None
    columns       : the names of a table's columns; None for images
    commands      : what was typed to make the run; date : when it was made
    run           : its folder, for the commands with which to go on; None for none

    Raises ValueError for arguments that do not fit together, and OSError if the file cannot be written.
    """
    records = list(records)
    if not records:
        raise ValueError("records is empty; expected at least one record: train for an epoch first")
    for name, values in (("labels", labels), ("thickness", thickness)):
        if values is not None and len(values) != len(images):
            raise ValueError(f"{name} has {len(values)} values; expected {len(images)}, one for each image")
    metrics = {**_metrics(records), **(metrics or {})}
    # Images may come sorted by class: the panels show a random choice of them, the same each time.
    rows = np.random.default_rng(0).permutation(len(images))[:N_MAPPED]
    images, numbers = np.asarray(images)[rows], rows
    labels, thickness = (None if known is None else np.asarray(known)[rows] for known in (labels, thickness))
    is_pictures = columns is None and looks_like_pictures(images)
    shape = plots.picture_shape(images.shape[1:]) if is_pictures else None
    if vae.n_classes is not None and labels is None:
        raise ValueError("labels is None; expected the images' labels, as the model is conditional")
    thing = "row" if shape is None else "image"
    held_out = "test" if "test_loss_by_epoch" in metrics else "validation"    # what the run looked at after each epoch
    sections = [_remarks(metrics.get("remarks", [])), _training(vae, records, thing, held_out)]
    mu, logvar = vae.encode(plots.as_rows(images), **plots.given(_told(vae, labels)))
    names = None if labels is None else _names(labels, classes)
    panels = [_play(vae, images, labels, thickness, classes, columns)]
    if shape is not None:
        images = images.reshape(-1, *shape)
        sections.append(_pictures(vae, images, labels))
        panels += _on_sheets(vae, mu, logvar, images, numbers, labels, names)
    else:
        sections.append(_rows(vae, plots.as_rows(images), labels, columns))
    if any(panels):
        sections.append(_section("Try it", "", *filter(None, panels)))
    if evaluation is not None:
        sections.append(_evaluation(evaluation, thing))
    sections += [_latent(vae, mu, logvar, images, labels, names, thickness, shape, thing),
                 _how(vae, configuration or parts_of(vae), metrics, commands, thing)]
    made = [f"<code>{html.escape(command)}</code>" for command in commands[-1:]] + [html.escape(date)] * bool(date)
    if run is not None:
        sections.append(_next(run, vae, metrics, configuration or {}, thing))
        made.append('<a href="#next">what to do next</a>')
    _write(path, _page(vae, title, metrics, "\n".join(sections), thing, made))


def _metrics(records: Sequence[Any]) -> dict[str, Any]:
    """The headline numbers that the records give."""
    last = records[-1].validation
    test = {} if last is None else {"test_loss": last.loss, "test_nll": last.nll, "test_kl": last.kl}
    return {**test, "epochs": len(records),
            "seconds_per_epoch": statistics.median(record.seconds for record in records),
            "images_per_second": statistics.median(record.images_per_second for record in records)}


def _page(vae: VAE, title: str, metrics: dict[str, Any], sections: str, thing: str, made: Sequence[str]) -> str:
    numbers = [f"<div><dt>{name.format(thing=thing)}</dt>"
               f"<dd>{written(metrics[key])}<small>{unit.format(thing=thing)}</small></dd></div>"
               for key, name, unit, written in HEADLINES if key in metrics]
    lead = (f"A variational autoencoder with {counted(len(vae.parameters), 'weight')} turns "
            f"{counted(vae.n_data, 'number')} into a code of {vae.n_latent} and back. The loss is reconstruction + "
            f"{vae.beta:g} × KL: lower is better.")
    return page("report.html", title=html.escape(title), lead=html.escape(lead), numbers="\n".join(numbers),
                made=" · ".join(made), sections=sections, script=source("report.js"))


def _remarks(remarks: Sequence[str]) -> str:
    """What is odd about the model, above everything else."""
    items = "".join(f"<li>{html.escape(remark[0].upper() + remark[1:])}.</li>" for remark in remarks)
    return f"<section>\n<h2>Worth knowing</h2>\n<ul>{items}</ul>\n</section>" if remarks else ""


def _training(vae: VAE, records: Sequence[Any], thing: str, held_out: str) -> str:
    intro = (f"The loss is what it costs to describe one {thing}, in nats: bits, but with natural logarithms. The "
             f"training loss is averaged while the weights still change, and the {held_out} loss is measured after "
             "each epoch; that is why it can be lower.")
    parts = (f"Reconstruction: how badly the decoder recovers the {thing} from its code. KL: how much the encoder puts "
             f"into the code beyond what all {thing}s share; it often rises at first, as the code comes into use. The "
             f"loss is reconstruction + {vae.beta:g} × KL.")
    if len(records) == 1:    # a line of one point is none
        return _section("Training", intro, _one_epoch(records[0], parts, thing, held_out))
    late = records[len(records) // 5:]    # the first epochs dwarf what follows
    return _section(
        "Training", intro,
        _panel("The loss and its parts", parts,
               lambda ax: _speak_of(thing, plots.learning_curves(records, ax, held_out=held_out)),
               alt.learning_curves(records, list(plots.TERMS), thing, held_out)),
        _panel(f"The loss alone, from epoch {late[0].epoch} on", "Where the dashed line turns up while the solid one "
               f"still falls, the model learns its training {thing}s by heart.",
               lambda ax: _speak_of(thing, plots.learning_curves(late, ax, terms=["loss"], held_out=held_out)),
               alt.learning_curves(late, ["loss"], thing, held_out)))


def _one_epoch(record: Any, caption: str, thing: str, held_out: str) -> str:
    parts = [("in training", record)] + [(alt.place(held_out), record.validation)] * (record.validation is not None)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "loss", "reconstruction", "KL"))
    body = "".join(f'<tr><th scope="row">{name}</th>' + "".join(
        f"<td>{nats(getattr(terms, term))}</td>" for term in plots.TERMS) + "</tr>" for name, terms in parts)
    return (f'<figure class="wide"><h3>The loss and its parts after one epoch, in nats per {thing}</h3>'
            f"<table><tr>{head}</tr>{body}</table><figcaption>{html.escape(caption)}</figcaption></figure>")


def _speak_of(thing: str, ax: Any) -> Any:
    """Axes that a function of `plots` labelled for images."""
    ax.set(xlabel=ax.get_xlabel().replace("image", thing), ylabel=ax.get_ylabel().replace("image", thing))
    return ax


def _told(vae: VAE, labels: Array | None, rows: Any = slice(None)) -> Any:
    """The labels of these rows, if the VAE is conditional."""
    return None if labels is None or vae.n_classes is None else labels[rows]


def _pictures(vae: VAE, images: Array, labels: Array | None) -> str:
    columns, rows = _grid(images)
    n = columns * rows
    classes = None if vae.n_classes is None else np.arange(n) % vae.n_classes
    samples = vae.sample(n, np.random.default_rng(0), labels=classes).reshape(-1, *images.shape[1:])
    shown, told = images[:n // 2], _told(vae, labels, slice(n // 2))
    originals = plots.as_rows(shown)
    beyond = images.dtype != np.uint8 and (images.min() < 0 or images.max() > 1)
    return _section(
        "What it sees and what it dreams", "The images have numbers below 0 or above 1: here and in all pictures "
        "but those of the model to play with, what lies below is black and what lies above white." if beyond else "",
        _panel("Images and their reconstructions", "Right below each image of the test set, what the decoder makes of "
               "its code. What is lost did not fit through the code.",
               lambda ax: plots.reconstructions(vae, shown, ax, columns, told),
               alt.reconstructions(originals, vae.reconstruct(originals, **plots.given(told)), "image"),
               size=_size(images, min(columns, len(shown)), 2 * math.ceil(len(shown) / columns))),
        _panel("Samples from the prior", "New images: codes drawn from p(z), decoded, none chosen by hand. They "
               "are means, so blur shows uncertainty.", lambda ax: plots.image_grid(samples, ax, columns),
               alt.samples(samples, plots.as_rows(images), "image"), size=_size(images, columns, rows)))


def _play(vae: VAE, images: Array, labels: Array | None, thickness: Array | None, classes: Sequence[str] | None,
          columns: Sequence[str] | None) -> str:
    """The model itself, in a page within the page; nothing where it is too large, or has a part that is not ours."""
    try:
        refuse_unknown(tree_of(vae))
    except ValueError:
        return ""
    if len(vae.parameters) > MOST_WEIGHTS:
        return ""
    text = explorer(vae, images, labels, None if thickness is None else {"thickness": thickness}, classes=classes,
                    columns=columns)
    # report.js starts it, once it listens to how tall it is.
    return (f'<figure class="wide play" hidden><h3>Play with the model</h3><iframe data-page="{html.escape(text)}" '
            'title="The model to play with: its input, a map of codes, what is decoded"></iframe>'
            "<figcaption>The encoder and the decoder run in this page. <code>numpyvae explore</code> writes a page "
            "with more: a slider for each dimension, and what lies between two codes.</figcaption></figure>")


def _on_sheets(vae: VAE, mu: Array, logvar: Array, images: Array, numbers: Array, labels: Array | None,
               names: Array | None) -> list[str]:
    """What shows pictures that were made before; nothing where no dimension is used, or too few images make a map."""
    kl = kl_per_dimension(mu, logvar)
    return [interactive.sliders(vae, images[0], kl, _told(vae, labels, 0)),
            interactive.code_map(mu, kl, images, numbers, names)]


def _rows(vae: VAE, rows: Array, labels: Array | None, columns: Sequence[str] | None) -> str:
    """The same for a table or a series."""
    told = None if vae.n_classes is None else np.arange(len(rows)) % vae.n_classes
    drawn = vae.sample(len(rows), np.random.default_rng(0), labels=told)
    rebuilt = vae.reconstruct(rows[:figures.N_ROWS], **plots.given(_told(vae, labels, slice(figures.N_ROWS))))
    return _section(
        "What it sees and what it dreams", "",
        _panel("Rows and their reconstructions", "Rows of the test set, and what the decoder makes of their codes. "
               "What is lost did not fit through the code.",
               lambda ax: figures.reconstructions(rows, rebuilt, ax, columns),
               alt.reconstructions(rows[:figures.N_ROWS], rebuilt, "row"), wide=True, size=(10.6, 4.2)),
        _panel("New rows from the prior", "Codes drawn from p(z), decoded. They are means, so they vary less than the "
               "data.", lambda ax: figures.samples(rows, drawn, ax, columns), alt.samples(drawn, rows, "row")))


def _latent(vae: VAE, mu: Array, logvar: Array, images: Array, labels: Array | None, names: Array | None,
            thickness: Array | None, shape: tuple[int, ...] | None, thing: str) -> str:
    kl = kl_per_dimension(mu, logvar)
    largest = np.argsort(-kl, kind="stable").tolist()

    def latent_map(title: str, hint: str, values: Array | None, label: str, which: str, ranks: Array) -> str:
        shown = [0, 1] if vae.n_latent == 2 else np.argsort(-ranks, kind="stable")[:2].tolist()
        where = (f"Each point is the mean of q(z|x) for one {thing}" +
                 (f", in the two of {vae.n_latent} dimensions {which}" if vae.n_latent > 2 else "") +
                 ("." if vae.n_latent == 1 else ". Inside the dashed circle lie 86 % of the prior's codes."))
        return _panel(title, where + hint, lambda ax: _speak_of(thing, plots.latent_map(mu, values, label, ax, shown)),
                      alt.latent_map(mu, values, label, shown, thing))

    panels = []
    if len(images) >= interactive.FEWEST_POINTS:
        if names is not None:
            panels.append(latent_map("The latent map by class", " Classes that lie apart were told apart without "
                                     "seeing a label." * (vae.n_classes is None), names, "class",
                                     "with the largest KL", kl))
        if thickness is not None:
            panels.append(latent_map("The latent map by thickness", " A smooth change of colour means that the code "
                                     "knows how thick the line is.", thickness.astype(float), "thickness, pixels",
                                     "that follow the thickness most closely", np.abs(alt.correlations(mu, thickness))))
        if not panels:
            panels.append(latent_map("The latent map", "", None, "", "with the largest KL", kl))
    told = _told(vae, labels, 0)
    if shape is not None and vae.n_latent == 2:
        n = max(3, min(15, 420 // max(shape[:2])))
        panels.append(_panel("The latent space, decoded", "Codes on a grid, equally likely under the prior, each "
                             "shown as its picture.", lambda ax: plots.latent_grid(vae, n, shape, ax, told),
                             alt.latent_grid(n)))
    elif shape is not None:
        columns, rows = _grid(images)
        steps, shown = max(3, min(columns, 9)), largest[:rows]
        panels.append(_panel("A walk along single dimensions", "One image's code, with one dimension at a time moved "
                             "from −3 to 3: what changes in a row is what that dimension stands for.",
                             lambda ax: plots.latent_traversals(vae, images[0], shown, steps, ax, told),
                             alt.latent_traversals(vae, images[0], shown, told),
                             size=_size(images, steps, len(shown))))
    if vae.n_latent > 1:
        panels.append(_panel("What each dimension says", "Each latent dimension's own KL to N(0, 1), "
                             f"{nats(kl.sum())} nats in all. A bar near 0 is a dimension that the model leaves unused.",
                             lambda ax: _speak_of(thing, plots.kl_per_dimension(mu, logvar, ax)),
                             alt.kl_per_dimension(kl)))
    return _section("The latent space", "", *panels)


def _evaluation(result: dict[str, Any], thing: str) -> str:
    rows = "".join(f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td>'
                   f"<td>{html.escape(hint)}</td></tr>" for name, value, hint in lines(result, thing))
    return _section("How good is it?", "", f'<figure class="wide"><h3>Measures on the test {thing}s</h3>'
                    f"<table>{rows}</table></figure>")


def _how(vae: VAE, configuration: dict[str, Any], metrics: dict[str, Any], commands: Sequence[str],
         thing: str) -> str:
    known = {key for key, *_ in HEADLINES}
    more = {key: value for key, value in metrics.items()
            if key not in known and isinstance(value, (int, float, np.number)) and not isinstance(value, bool)}
    columns = 3 + len(plots.hidden_layers(vae.encoder)) + len(plots.hidden_layers(vae.decoder))
    given, number = ("an image", "pixel") if thing == "image" else (f"a {thing}", "number")
    drawn = _panel("The network", f"The encoder turns {given} x into a mean μ and a log variance for each latent "
                   f"dimension; z is drawn with noise ε; the decoder turns z into the parameters of each {number}. A "
                   "box's height grows with the logarithm of its size.",
                   lambda ax: plots.network(vae, ax), alt.network(vae), wide=True,
                   size=(max(9.5, 1.4 * columns), 2.9))
    panels = [_commands(commands)] if commands else []
    panels += [drawn, _table("Configuration", settings(configuration, thing))]
    return _section("How it was made", "", *panels, *([_table("More numbers", more)] if more else []))


def _commands(commands: Sequence[str]) -> str:
    """What was typed, the first command and those that resumed it."""
    title = "The command" if len(commands) == 1 else "The commands, one after the other"
    lines = "".join(f"<li><code>{html.escape(command)}</code></li>" for command in commands)
    return f'<figure class="wide"><h3>{title}</h3><ol class="commands">{lines}</ol></figure>'


def _next(run: str, vae: VAE, metrics: dict[str, Any], configuration: dict[str, Any], thing: str) -> str:
    items = "".join(f"<li>{html.escape(words)}<code>{html.escape(command)}</code></li>"
                    for words, command in next_steps(run, metrics, configuration, vae.n_classes, thing)
                    if command)
    return (f'<section id="next">\n<h2>What to do next</h2>\n<p class="intro">In a terminal, where numpyvae is '
            f'installed:</p>\n<ul class="next">{items}</ul>\n</section>')


def _names(labels: Array, classes: Sequence[str] | None) -> Array:
    """Each image's class by its name, if it has one."""
    if classes is None:
        return labels.astype(str) if labels.dtype.kind == "f" else labels
    return np.array(classes)[labels]


def _grid(images: Array) -> tuple[int, int]:
    """Columns and rows (an even number) of a grid of such images."""
    height, width = images.shape[1:3]
    columns = min(max(2, min(10, CANVAS // width)), max(1, 20 * height // width))    # a strip needs the whole width
    return columns, 2 * max(1, min(4, CANVAS // (2 * height)))


def _size(images: Array, columns: int, rows: int) -> tuple[float, float]:
    """Inches of a figure that holds a grid of such images and no empty space, no taller than others."""
    height, width = images.shape[1:3]
    return 5.2, min(4.2, max(1.3, 0.6 + 4.3 * rows * height / (columns * width)))


def _section(title: str, intro: str, *panels: str) -> str:
    intro = f'<p class="intro">{html.escape(intro)}</p>\n' if intro else ""
    return f'<section>\n<h2>{title}</h2>\n{intro}<div class="panels">\n' + "\n".join(panels) + "\n</div>\n</section>"


def _panel(title: str, caption: str, draw: Callable[[Any], Any], text: str, wide: bool = False,
           size: tuple[float, float] = (5.2, 4.2)) -> str:
    """A figure, whose text says what it shows; a wide one can be scrolled on a phone, and by the keyboard."""
    title = html.escape(title)
    kind, scroll = (' class="wide"', f' tabindex="0" role="group" aria-label="{title}"') if wide else ("", "")
    return (f'<figure{kind}><h3>{title}</h3><div class="scroll"{scroll}>{_svg(draw, title, text, size)}</div>'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>")


def _table(title: str, content: dict[str, Any]) -> str:
    rows = "".join(f'<tr><th scope="row">{html.escape(str(key))}</th><td>{html.escape(_text(value))}</td></tr>'
                   for key, value in content.items())
    return f"<figure><h3>{title}</h3><table>{rows}</table></figure>"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


def _svg(draw: Callable[[Any], Any], title: str, text: str, size: tuple[float, float]) -> str:
    """A figure as an <svg> element: text stays text, points become one bitmap, ink takes the page's colour."""
    import matplotlib
    from matplotlib.figure import Figure
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    ink: dict[Any, str] = dict.fromkeys(inked, plots.INK)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")    # the browser has the letters that a font here lacks
        matplotlib.rcdefaults()    # a report looks the same whatever style the user has set
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": title, **ink})
        figure = Figure(figsize=size, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        for points in ax.collections:
            points.set_rasterized(True)
        file = io.StringIO()
        figure.savefig(file, format="svg", dpi=160, transparent=True,
                       metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = file.getvalue()
    svg = svg[svg.index("<svg"):].replace(plots.INK, "var(--ink)")
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)    # only what is referred to needs an id: they would repeat in a page
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(text)}" ', 1)


def _write(path: str | os.PathLike[str], text: str) -> None:
    path = os.path.abspath(path)
    try:
        with written_whole(path) as file:
            file.write(text.encode(errors="surrogateescape"))    # a name of a folder may be any bytes
    except OSError as error:
        raise OSError(f"the report cannot be written to {path} ({error.strerror}); "
                      "choose a folder that you can write to") from error
