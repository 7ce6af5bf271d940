"""How Sphinx builds the site; `python -m book.build` gathers what it is built from."""
from __future__ import annotations

from typing import Any

from docutils import nodes

from book.annotated import as_rst
from numpyvae import __version__

project, author, release = "numpyvae", "", __version__
html_title = "numpyvae: how a VAE really works"
copyright = ""
html_show_copyright = html_show_sphinx = False
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
language = "en"
highlight_language = "text"    # of shapes and arguments; code names its own

nb_execution_mode = "off"    # the notebooks are committed as they were run, and tests run them
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True    # names of defaults rather than the arrays and folders that they stand for

html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True, "use_download_button": False,
                      "use_fullscreen_button": False}
html_context = {"default_mode": "auto"}    # light or dark, as the reader's system is
html_static_path = ["static", "_build/static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_favicon = "static/favicon.svg"
html_copy_source = html_use_index = False
html_extra_path = ["_build/extra"]
mathjax_path = "mathjax/tex-chtml-full.js"
# A reader's own tools find the formulas without MathJax's menu, which would fetch more of it
mathjax3_config = {"options": {"enableMenu": False}}


def unwrap(app: Any, tree: nodes.document, name: str) -> None:
    """Formulas as written: Sphinx puts those with a line break into `split`, where `aligned` with a tag fails."""
    for formula in tree.findall(nodes.math_block):
        if r"\\" in formula.astext() and not formula.get("no-wrap", formula.get("nowrap")):
            formula["no-wrap"] = True
            formula.children[:] = [nodes.Text(rf"\[{formula.astext()}\]")]


def derivation(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """A docstring's formulas set as formulas."""
    lines[:] = as_rst("\n".join(lines), thing).splitlines()


def setup(app: Any) -> None:
    app.connect("doctree-resolved", unwrap)
    app.connect("autodoc-process-docstring", derivation)
