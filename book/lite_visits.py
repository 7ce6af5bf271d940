"""What a visit to the notebooks in a browser costs: the first, the second, one without a network, one by a phone.

    python -m book.lite_visits SITE

For each: the seconds until numpyvae is imported, and what was loaded.  Needs the extra lite, and Chromium.
"""
from __future__ import annotations

import argparse
import pathlib
import shutil
import time
from typing import TYPE_CHECKING, Any

from .lite_check import open_notebook
from .serve import Quiet, served

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

NOTEBOOK = "examine_your_own"
PHONE = {"width": 375, "height": 800}
IMPORT = """async () => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  return (await kernel.requestExecute({code: 'import numpyvae'}).done).content.status;
}"""


class Counting(Quiet):
    """Knows how many bytes of files it has sent."""

    sent = 0

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        Counting.sent += len(content)
        outputfile.write(content)


def visit(context: BrowserContext, address: str, name: str) -> None:
    """Open the notebook in a new page and import numpyvae there; says what it took."""
    before, started = Counting.sent, time.perf_counter()
    page = open_notebook(context, address, NOTEBOOK)
    status = page.evaluate(IMPORT)
    width = page.evaluate("document.documentElement.scrollWidth")
    print(f"{name}: numpyvae imported ({status}) after {time.perf_counter() - started:.0f} s, "
          f"{(Counting.sent - before) / 1e6:.0f} MB loaded, the page is {width} pixels wide", flush=True)
    page.close()


def main(site: pathlib.Path) -> None:
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        with served(site / "lite", Counting) as address:
            visit(context, address, "first visit")
            visit(context, address, "second visit")
            visit(browser.new_context(viewport=PHONE), address, "phone")
        visit(context, address, "without a network")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=pathlib.Path)
    main(parser.parse_args().site)
