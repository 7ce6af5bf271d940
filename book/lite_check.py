"""Every lesson in a real browser, by the real JupyterLite: Run All, and then what its cells say.

    python -m book.lite_check SITE            all notebooks of SITE/lite
    python -m book.lite_check SITE 05 11      those whose names begin so

For each: the seconds from the click to the last cell, the claims that hold, and what went wrong.  book/lite.json keeps
the last result of each notebook, and the book shows them.  Needs the extra lite, and Chromium.
"""
from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .lite import VERSION
from .serve import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

RESULTS = pathlib.Path(__file__).with_name("lite.json")
SECONDS = 600
# The one thing that may stand in stderr: in a browser no cache outlives a page.
FONTS = "Matplotlib is building the font cache; this may take a moment."
# One notebook at a time: what its cells are, read from JupyterLab's own model.
CELLS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  const found = [];
  for (let i = 0; i < cells.length; i++) {
    const cell = cells.get(i).toJSON();
    if (cell.cell_type !== 'code') continue;
    found.push({source: cell.source, count: cell.execution_count, outputs: cell.outputs});
  }
  return found;
}"""


def open_notebook(browser: Browser | BrowserContext, address: str, name: str) -> Page:
    """A notebook of the site in a new page, with its kernel."""
    page = browser.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{address}/lab/index.html?path=lessons/{name}.ipynb")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.connectionStatus === 'connected'")
    return page


def run_all(page: Page) -> list[dict[str, Any]]:
    """Run All Cells, and every cell of code once the last one has run."""
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    return page.evaluate(CELLS)


def text_of(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue") or ""
    return text if isinstance(text, str) else "".join(text)


def wrong(cells: Sequence[dict[str, Any]]) -> list[str]:
    """What did not go as it should: an exception shows as an error, or in stderr."""
    found = []
    for cell in cells:
        if cell["count"] is None and cell["source"].strip():
            found.append(f"not run: {cell['source'].splitlines()[0]}")
        for output in cell["outputs"]:
            said = text_of(output).replace(FONTS, "").strip()
            if output["output_type"] == "error" or (output.get("name") == "stderr" and said):
                found.append(f"{cell['source'].splitlines()[0]}: {said[-300:]}")
    return found


def look(browser: Browser, address: str, name: str) -> dict[str, Any]:
    page = open_notebook(browser, address, name)
    started = time.perf_counter()
    cells = run_all(page)
    row = {"seconds": round(time.perf_counter() - started), "wrong": wrong(cells),
           "claims": sum(text_of(output).count("✓") for cell in cells for output in cell["outputs"]),
           "date": datetime.date.today().isoformat(), "versions": f"Pyodide {VERSION}, Chromium {browser.version}"}
    page.close()
    return row


def keep(name: str, row: dict[str, Any]) -> None:
    """Put a notebook's result in the place of its last one."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(dict(sorted({**known, name: row}.items())), indent=1, ensure_ascii=False) + "\n",
                       encoding="utf-8")


def main(site: pathlib.Path, lessons: Sequence[str]) -> int:
    from playwright.sync_api import sync_playwright
    names = [path.stem for path in sorted((site / "lite" / "files" / "lessons").glob("*.ipynb"))
             if not lessons or path.stem.startswith(tuple(lessons))]
    faults = 0
    with served(site / "lite") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names:
            row = look(browser, address, name)
            keep(name, row)
            faults += len(row["wrong"])
            print(f"{name}: {row['seconds']} s, {row['claims']} claims", *row["wrong"], sep="\n    ", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("lessons", nargs="*")
    options = parser.parse_args()
    raise SystemExit(main(options.site, options.lessons))
