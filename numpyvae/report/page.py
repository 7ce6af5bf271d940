"""Pages from the templates in this folder, each one HTML file that needs nothing else."""
from __future__ import annotations

from importlib import resources
from string import Template

from ..version import __version__


def source(name: str) -> str:
    """A file of this folder that pages are made of."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def page(template: str, **parts: str) -> str:
    """A page from its template, whose $names are replaced by these parts, the common style and the version."""
    return Template(source(template)).substitute(style=source("page.css").rstrip(), version=__version__, **parts)
