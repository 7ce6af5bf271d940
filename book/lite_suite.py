"""The package's own tests in a browser: 32 bits, no numba, no threads, NumPy without BLAS.

    python -m book.lite_suite                         the files of TESTS
    python -m book.lite_suite gradcheck -k dense      one of them, with options of pytest

Pyodide and the wheels come as in book/lite.py; Chromium runs them.  Ends as pytest does.  Needs the extra lite.
"""
from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
import zipfile

from playwright.sync_api import sync_playwright

from .lite import PURE, ROOT, WANTED, add_pyodide
from .lite_check import SECONDS
from .serve import served

TESTS = ("formulas", "gradcheck", "layers", "losses", "optimizers", "posteriors", "fit_steps", "training", "by_hand")
BESIDES = ("pytest", "pluggy", "iniconfig", "hypothesis", "sortedcontainers")
RUN = """async ([packages, options]) => {
  const pyodide = await loadPyodide();
  await pyodide.loadPackage(packages);
  pyodide.unpackArchive(await (await fetch('tests.zip')).arrayBuffer(), 'zip');
  pyodide.setStdout({batched: line => console.log(line)});
  pyodide.globals.set('options', pyodide.toPy(options));
  return pyodide.runPython('import pytest; int(pytest.main(options))');
}"""


def main(arguments: list[str]) -> int:
    names = [word for word in arguments if word in TESTS] or list(TESTS)
    options = [word for word in arguments if word not in TESTS]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "pyodide")
        add_pyodide(folder, (*WANTED, "scipy"), (PURE, PURE.with_name("lite_suite.txt")))
        with zipfile.ZipFile(folder / "tests.zip", "w") as archive:
            for path in [ROOT / "setup.cfg", *(ROOT / "tests").rglob("*.py")]:
                archive.write(path, path.relative_to(ROOT))
        (folder / "index.html").write_text('<!doctype html><script src="pyodide.js"></script>')
        with served(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(SECONDS * 1000)
            page.on("console", lambda message: print(message.text, flush=True))
            page.goto(address)
            return int(page.evaluate(RUN, [["numpyvae", "scipy", *BESIDES], [
                "-q", "-p", "no:cacheprovider", *options, *(f"tests/test_{name}.py" for name in names)]]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
