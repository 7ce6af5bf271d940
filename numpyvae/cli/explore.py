"""numpyvae explore"""
from __future__ import annotations

import argparse
import os
from typing import Any

from .common import add_common, add_run, load_run, named_after
from .data import add_data, known_of_run, load_data_of_run, read_by
from .outputs import open_in_browser, output_path, write_page

LABEL = "label"    # the one of strokes' factors that is the class


def add_explore(commands: Any) -> None:
    explore = commands.add_parser(
        "explore", help="write a page to play with a trained model",
        description="Write one HTML file in which the model runs, for any browser and without a network: draw, and see "
                    "where the encoder places it; move over the map of codes, and see what the decoder makes of them.",
        example="numpyvae explore RUN --open\nnumpyvae explore RUN --out page.html")
    explore.set_defaults(run=run_explore)
    add_run(explore)
    add_data(explore, default=None)
    explore.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                         help="an .html file, or a folder for explore.html (default: explore.html in RUN)")
    explore.add_argument("--open", action="store_true", help="open the page in the browser when it is written")
    add_common(explore, "chooses the images that are shown, and which come first")


def run_explore(options: argparse.Namespace) -> int:
    """numpyvae explore"""
    vae, folder = load_run(options.model)
    known = known_of_run(folder, "data" not in options.typed)
    path = output_path(options.out, named_after(options.model, "explore.html"), folder, read_by(options, known),
                       [".html"])
    data, _ = load_data_of_run(options, folder, vae, known)
    from ..report.explore import explorer
    factors = {} if data.test_factors is None else {
        name: data.test_factors[name] for name in data.test_factors.dtype.names or () if name != LABEL}
    text = explorer(vae, data.test, data.test_labels, factors, f"A VAE on {data.name}", data.classes, data.columns,
                    options.seed)
    code = write_page(options, path, text, len(data.test))
    if options.open:
        open_in_browser(path)
    return code
