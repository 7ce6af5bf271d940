"""The lessons in a browser: what is built, offline; python -m book.lite_check runs them."""
import base64
import hashlib
import io
import json
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest

from book import build, lite, lite_check
from book.lite_check import FONTS, wrong
from numpyvae.course import Lesson

ROOT = pathlib.Path(__file__).parents[1]
LOCK = {"numpy": {"name": "numpy", "depends": []}, "prompt-toolkit": {"name": "prompt_toolkit", "depends": ["wcwidth"]},
        "ipython": {"name": "ipython", "depends": ["prompt_toolkit", "numpy"]},
        "wcwidth": {"name": "wcwidth", "depends": []}, "scipy": {"name": "scipy", "depends": ["numpy"]}}


@pytest.fixture(autouse=True)
def downloads(monkeypatch, tmp_path):
    monkeypatch.setattr(lite, "DOWNLOADS", tmp_path)
    return tmp_path


def test_a_lock_keeps_what_is_needed_and_nothing_else():
    assert set(lite.closure(LOCK, ["ipython"])) == {"ipython", "prompt-toolkit", "wcwidth", "numpy"}


def test_a_wheel_is_taken_from_where_its_hash_is_right(monkeypatch, downloads):
    """Pyodide's address gives something else here, and the mirror the right file; the second time it is at hand."""
    entry = {"file_name": "a.whl", "sha256": hashlib.sha256(b"right").hexdigest()}
    asked = []

    class Mirror:
        def read(self, name):
            asked.append(name)
            return b"right"

    monkeypatch.setattr(lite, "official", lambda name: b"wrong")
    for _ in range(2):
        assert lite.wheel_of(entry, Mirror()) == b"right"
    assert asked == ["a.whl"]
    (downloads / "a.whl").write_bytes(b"damaged")
    assert lite.wheel_of(entry, Mirror()) == b"right" and asked == ["a.whl"] * 2


def test_a_wheel_of_another_hash_is_refused(monkeypatch, downloads):
    class Mirror:
        def read(self, name):
            return b"wrong"

    monkeypatch.setattr(lite, "official", lambda name: None)
    with pytest.raises(ValueError, match="no a.whl has the SHA-256 that pyodide-lock.json names"):
        lite.wheel_of({"file_name": "a.whl", "sha256": hashlib.sha256(b"right").hexdigest()}, Mirror())
    assert not (downloads / "a.whl").exists()


def test_pyodide_itself_is_refused_if_it_is_another(monkeypatch, downloads):
    content = io.BytesIO()
    tarfile.open(fileobj=content, mode="w:gz").close()
    path = downloads / lite.NPM.rsplit("/", 1)[1]
    path.write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="SHA-512"):
        lite.npm_package()
    assert not path.exists()
    path.write_bytes(content.getvalue())
    monkeypatch.setattr(lite, "NPM_SHA512", base64.b64encode(hashlib.sha512(content.getvalue()).digest()).decode())
    assert lite.npm_package().getnames() == []


def test_a_wheel_of_pure_python_gets_a_row_of_the_lock(tmp_path):
    path = tmp_path / "ipywidgets-8.1.7-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ipywidgets/__init__.py", "")
    row = lite.entry_of(path)
    assert (row["name"], row["version"], row["imports"]) == ("ipywidgets", "8.1.7", ["ipywidgets"])
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and "comm" in row["depends"]


def test_what_numpyvae_needs_there_is_all_that_it_needs():
    """Its requirements, but for numba, which no browser has."""
    import configparser
    config = configparser.ConfigParser()
    config.read(lite.ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    names = {lite.key(line.split(">=")[0]) for line in lines if line.strip() and not line.startswith(("#", "numba"))}
    assert names <= set(map(lite.key, lite.NEEDS["numpyvae"]))
    known = set(map(lite.key, lite.WANTED)) | {line.split("==")[0] for line in lite.PURE.read_text().splitlines()}
    assert {lite.key(name) for needs in lite.NEEDS.values() for name in needs} <= known


def test_a_builders_other_extensions_are_left_out(tmp_path):
    names = [*lite.EXTENSIONS, "jupyterlab-other"]
    for name in names:
        (tmp_path / "extensions" / name).mkdir(parents=True)
    (tmp_path / "jupyter-lite.json").write_text(json.dumps({"jupyter-config-data": {
        "appName": "numpyvae", "federated_extensions": [{"name": name} for name in names]}}))
    lite.drop_extensions(tmp_path)
    kept = json.loads((tmp_path / "jupyter-lite.json").read_text())["jupyter-config-data"]
    assert [extension["name"] for extension in kept["federated_extensions"]] == list(lite.EXTENSIONS)
    assert kept["appName"] == "numpyvae" and not (tmp_path / "extensions" / "jupyterlab-other").exists()
    assert all((tmp_path / "extensions" / name).exists() for name in lite.EXTENSIONS)


@pytest.mark.parametrize("count, output, complaint", [
    (1, {"output_type": "stream", "name": "stdout", "text": "3.0\n"}, None),
    (1, {"output_type": "stream", "name": "stderr", "text": FONTS + "\n"}, None),
    (1, {"output_type": "stream", "name": "stderr", "text": [FONTS + "\n", "RuntimeWarning: overflow"]},
     "RuntimeWarning: overflow"),
    (1, {"output_type": "stream", "name": "stderr", "text": "NameError: f"}, "NameError: f"),
    (1, {"output_type": "error", "ename": "ValueError", "evalue": "not so"}, "not so"),
    (None, {"output_type": "stream", "name": "stdout", "text": ""}, "not run: f(x)")])
def test_what_went_wrong_in_a_notebook_is_found(count, output, complaint):
    found = wrong([{"source": "f(x)", "count": count, "outputs": [output]}])
    assert found == [] if complaint is None else complaint in found[0] and len(found) == 1


def test_a_notebooks_last_result_stands_in_the_book(monkeypatch, tmp_path):
    """A later run replaces the row of its notebook and leaves the others."""
    monkeypatch.setattr(lite_check, "RESULTS", tmp_path / "lite.json")
    row = {"seconds": 9, "claims": 3, "wrong": ["f(x): not so"], "date": "2026-01-01", "versions": "Chromium 1"}
    assert "No result" in build.in_browser({})
    lite_check.keep("05_kl", row)
    lite_check.keep("02_gradients", row)
    lite_check.keep("05_kl", {**row, "seconds": 7, "wrong": []})
    table = build.in_browser(json.loads((tmp_path / "lite.json").read_text(encoding="utf-8"))).splitlines()
    assert table[2:] == ["| 02_gradients | 9 | 3 | f(x): not so | 2026-01-01 | Chromium 1 |",
                         "| 05_kl | 7 | 3 | none | 2026-01-01 | Chromium 1 |"]


def test_fewer_only_in_a_browser(monkeypatch):
    lesson = Lesson(0)
    assert lesson.size(10000, in_browser=6000) == 10000
    monkeypatch.setattr("sys.platform", "emscripten")
    assert lesson.size(10000, in_browser=6000) == 6000


def test_what_the_page_of_a_model_that_learns_runs_is_right():
    page = {}
    exec((ROOT / "book" / "static" / "watch.py").read_text(encoding="utf-8"), page)
    page["begin"]()
    losses = [page["train"](1.0) for _ in range(3)]
    assert losses[-1][0] < 0.8 * losses[0][0]
    for loss, nll, kl in losses:
        assert loss == pytest.approx(nll + kl, rel=1e-5)
    means, pictures = page["look"]()
    assert means.shape == (2 * len(page["labels"]),) and pictures.shape == (81 * 784,)
    np.testing.assert_allclose(pictures.reshape(81, 784)[8], page["vae"].decode(np.array([[2.0, 2.0]]))[0], rtol=1e-4)
    loss, nll, kl = page["train"](4.0)
    assert loss == pytest.approx(nll + 4 * kl, rel=1e-5)
    page["begin"]()
    assert page["train"](1.0)[0] > loss    # another model, from the start
