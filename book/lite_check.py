"""Every lesson in a real browser, by the real JupyterLite: Run All, and then what its cells say.

    python -m book.lite_check SITE            all notebooks of SITE/lite
    python -m book.lite_check SITE 05 11      these lessons

For each: the seconds from the click to the last cell, and what went wrong.  Leaves SITE/lite.json, which the book
shows.  Needs the extra lite, and Chromium.
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

from .serve import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


def open_notebook(browser: Browser, address: str, name: str) -> Page:
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{address}/lab/index.html?path=lessons/{name}")
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
    row = {"notebook": name, "seconds": round(time.perf_counter() - started), "wrong": wrong(cells),
           "claims": sum(text_of(output).count("✓") for cell in cells for output in cell["outputs"])}
    page.close()
    return row


def main(site: pathlib.Path, lessons: Sequence[str]) -> int:
    from playwright.sync_api import sync_playwright
    names = [path.name for path in sorted((site / "lite" / "files" / "lessons").glob("*.ipynb"))
             if not lessons or path.name[:2] in lessons]
    rows = []
    with served(site / "lite") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names:
            rows.append(look(browser, address, name))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
        version = browser.version
    (site / "lite.json").write_text(json.dumps({
        "date": datetime.date.today().isoformat(), "browser": f"Chromium {version}", "lessons": rows}, indent=1))
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=pathlib.Path)
    parser.add_argument("lessons", nargs="*")
    options = parser.parse_args()
    raise SystemExit(main(options.site, options.lessons))
