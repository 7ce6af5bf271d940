"""Make the book: one static site of the committed notebooks, the sources and the pages in book/pages.

    python -m book.build            into book/_build/html
    python -m book.build --out DIR
    python -m book.build --lite     with a JupyterLite in which every lesson runs, and links to it; needs the extra lite

Sources are gathered in book/_build/source, and Sphinx makes the site of them; the VAE on the front page is trained
then.  MathJax, the only thing from outside, is fetched once from npm, as a tarball of known SHA-512; the second time no
network is needed.  Needs the extra book.
"""
from __future__ import annotations

import argparse
import copy
import importlib.metadata
import importlib.util
import json
import pathlib
import shutil
import sys
import tarfile
from typing import Any

import numpy as np

import numpyvae as nv
from numpyvae.arguments import pip_line
from numpyvae.report.explore import explorer

from . import npm

BOOK = pathlib.Path(__file__).parent
ROOT = BOOK.parent
BUILD = BOOK / "_build"
MATHJAX = "https://registry.npmjs.org/mathjax/-/mathjax-3.2.2.tgz"
MATHJAX_SHA512 = "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
TAKEN = ("package/es5/tex-chtml-full.js", "package/es5/output/chtml/fonts/", "package/es5/input/tex/extensions/")
BUNDLED = ("sphinx", "sphinx-book-theme", "pydata-sphinx-theme", "myst-nb", "Pygments")    # whose files the site has
RESULTS = BOOK / "lite.json"    # of the notebooks in a browser, from lite_check
IN_BROWSER = ('<p><a href="../lite/lab/index.html?path=lessons/{name}">Run this page in your browser</a>, nothing '
              "installed: the first visit loads about 45 MB.</p>")
EPOCHS = 60    # of the VAE on the front page
SHOWN = {"code_prompt_show": "Show a solution", "code_prompt_hide": "Hide the solution"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the book, a static site.")
    parser.add_argument("--out", type=pathlib.Path, default=BUILD / "html", help="folder of the site, made anew")
    parser.add_argument("--lite", action="store_true", help="with the lessons as notebooks that run in the browser")
    options = parser.parse_args()
    out, lite = options.out, options.lite
    if importlib.util.find_spec("sphinx_book_theme") is None or importlib.util.find_spec("myst_nb") is None:
        sys.exit(f"book: Sphinx, myst-nb or the theme is not installed; {pip_line('book')}")
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").exists():
        sys.exit(f"book: --out is {out}, which holds something other than a site; expected a new folder")
    try:
        source = gather(mathjax(), lite)
    except (OSError, ValueError) as error:
        sys.exit(f"book: {error}")
    from sphinx.cmd.build import build_main
    made = BUILD / "site"
    shutil.rmtree(made, ignore_errors=True)
    if build_main(["-b", "html", "-q", "-W", "--keep-going", "-j", "auto", "-d", str(BUILD / "doctrees"),
                   "-c", str(BOOK), str(source), str(made)]):
        sys.exit("book: not built, for what is said above")
    if lite:
        from .lite import build as build_lite
        build_lite(made)
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, out)
    print(f"{out / 'index.html'}")


def mathjax() -> pathlib.Path:
    """MathJax's tarball, fetched where it is not there yet, with the hash that it must have.

    Raises OSError where it cannot be fetched, ValueError where it is another.
    """
    return npm.tarball("MathJax", MATHJAX, MATHJAX_SHA512, BUILD)


def gather(tarball: pathlib.Path, lite: bool = False) -> pathlib.Path:
    """Everything that Sphinx reads, in one folder.  lite : whether lessons name the notebook that runs in a browser"""
    from . import annotated
    source = BUILD / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(BOOK / "pages", source)
    shutil.rmtree(BUILD / "static", ignore_errors=True)
    with tarfile.open(tarball) as archive:
        for member in archive:
            if member.name.startswith(TAKEN):
                member.name = member.name.removeprefix("package/es5/")
                archive.extract(member, BUILD / "static" / "mathjax", filter="data")
    (source / "lessons").mkdir()
    for path in sorted((ROOT / "lessons").glob("[0-9]*.ipynb")):
        page = with_solutions(read(path), ROOT / "lessons" / "solved" / path.name)
        if lite:
            page["cells"].insert(1, {"cell_type": "markdown", "id": "in-browser", "metadata": {}, "source": [
                IN_BROWSER.format(name=path.name)]})
        (source / "lessons" / path.name).write_text(json.dumps(page), encoding="utf-8")
    for path in ("benchmarks/RESULTS.md", "benchmarks/scaling.png", "benchmarks/picture.png",
                 "examples/vae_in_100_lines.py"):
        shutil.copy(ROOT / path, source)
    (source / "code").mkdir(exist_ok=True)
    for name, text in annotated.pages().items():
        (source / "code" / f"{name}.rst").write_text(text, encoding="utf-8")
    licences = add_licences(BUILD / "extra" / "licences", tarball)
    fill_in(source / "licences.md", "@@LICENCES@@", "\n".join(
        f'- <a href="licences/{path.name}">{path.stem}</a>' for path in licences))
    fill_in(source / "index.md", "@@STROKES@@", f"{add_explorer(BUILD / 'extra' / 'explore.html'):,}")
    fill_in(source / "browser.md", "@@RESULTS@@", in_browser(read(RESULTS)))
    return source


def fill_in(path: pathlib.Path, place: str, text: str) -> None:
    """Write a text in its place in a page."""
    path.write_text(path.read_text(encoding="utf-8").replace(place, text), encoding="utf-8")


def add_explorer(path: pathlib.Path) -> int:
    """Train a VAE on strokes, some seconds long and each time the same, and write the page to play with it, which the
    front page shows; returns the number of digits that it was trained on."""
    images, _ = nv.datasets.load_strokes("train")
    test, factors = nv.datasets.load_strokes("test")
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(images[0].size, (256, 128), 2, rng=rng)
    for _ in nv.fit(vae, images, optimizer=nv.Adam(lr=2e-3), epochs=EPOCHS, batch_size=128, lr_end=2e-4, rng=rng):
        pass
    seen = {name: factors[name] for name in ("thickness", "slant")}
    path.write_text(explorer(vae, test, factors["label"], seen, "A VAE on drawn digits"), encoding="utf-8")
    return len(images)


def in_browser(results: dict[str, Any]) -> str:
    """A table of how the notebooks ran in a browser."""
    if not results:
        return "*No result yet.*"
    rows = [f"| {name} | {row['seconds']} | {row['claims']} | {'; '.join(row['wrong']) or 'none'} | {row['date']} | "
            f"{row['versions']} |" for name, row in results.items()]
    return "\n".join(["| notebook | seconds | claims that hold | complaints | date | with |", "|" + "---|" * 6, *rows])


def read(path: pathlib.Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def with_solutions(learners: Any, solved: pathlib.Path) -> Any:
    """The learner's notebook with a solution, folded, after each stub.

    Raises ValueError where the two notebooks do not go together.
    """
    if not solved.exists():    # the refresher and the glossary ask nothing
        return learners
    solutions = [copy.deepcopy(cell) for cell in read(solved)["cells"] if "solution" in tags(cell)]
    stubs = [cell for cell in learners["cells"] if "exercise" in tags(cell)]
    if len(stubs) != len(solutions):
        raise ValueError(f"{solved.name} has {len(solutions)} solutions for {len(stubs)} exercises; expected as many: "
                         f"run python -m lessons.build {solved.name[:2]}")
    for number, (stub, solution) in enumerate(zip(stubs, solutions)):
        solution["id"] = f"solution-{number}"
        solution["metadata"] = {"tags": ["hide-input"], "mystnb": SHOWN}
        place = next(i for i, cell in enumerate(learners["cells"]) if cell is stub)
        learners["cells"].insert(place + 1, solution)
    return learners


def tags(cell: Any) -> list[str]:
    found: list[str] = cell["metadata"].get("tags", [])
    return found


def add_licences(folder: pathlib.Path, tarball: pathlib.Path) -> list[pathlib.Path]:
    """Copy the licences of what the site bundles, as their packages bring them, and our own; returns the files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "LICENSE", folder / "numpyvae.txt")
    with tarfile.open(tarball) as archive:
        licence = archive.extractfile("package/LICENSE")
        assert licence is not None
        (folder / "mathjax.txt").write_bytes(licence.read())
    for name in BUNDLED:
        for file in importlib.metadata.files(name) or []:
            if "LICENSE" in file.name and file.suffix in ("", ".rst", ".txt"):
                stem = file.name.removesuffix(".txt").removesuffix(".rst")
                shutil.copy(str(file.locate()), folder / f"{name}-{stem}.txt".lower())
    return sorted(folder.iterdir())


if __name__ == "__main__":
    main()
