"""The wheel: what is in it, and that it works outside any checkout.  Nothing here needs a network.

It is built from copies, by the setuptools that is installed, and unpacked into a folder that stands first on the path,
so the packages that it needs are those of the tests.
"""
import contextlib
import email
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
pytestmark = pytest.mark.slow
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "build", "dist", "runs", "*.egg-info", "mnist", "_build")
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def built(kind, source, out):
    """The path of what setuptools makes of a folder: kind "build_wheel" or "build_sdist"."""
    done = subprocess.run([sys.executable, "-c", BUILD, kind, str(out)], cwd=source, capture_output=True, text=True,
                          check=True)
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "numpyvae"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return built("build_wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def run(site, tmp_path, monkeypatch):
    """Run Python with the wheel, in an empty folder, by somebody with an empty home."""
    monkeypatch.chdir(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMPYVAE")}
    environment |= {"PYTHONPATH": str(site), "NUMPYVAE_KERNELS": "0",    # compiling takes a minute
                    "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    before = files(site)
    yield lambda *arguments, **options: subprocess.run([sys.executable, *arguments], env=environment,
                                                       capture_output=True, text=True, **options)
    assert files(site) == before    # nothing is written where it is installed


def files(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def test_it_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        facts = email.message_from_bytes(archive.read(name))
        assert f"{name.split('/')[0]}/licenses/LICENSE" in archive.namelist()
    assert facts["License-Expression"] == "MIT" and facts["Requires-Python"] == ">=3.11" and facts["Summary"]
    classifiers = facts.get_all("Classifier")
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(classifiers)
    assert not any(classifier.startswith("License ::") for classifier in classifiers)    # not beside an expression
    assert {"lessons", "bench", "book"} <= set(facts.get_all("Provides-Extra"))
    assert "# numpyvae" in facts.get_payload() and facts["Description-Content-Type"] == "text/markdown"


def test_all_of_the_package_is_in_it_and_what_it_takes_along(site):
    inside, ours = files(site / "numpyvae"), files(ROOT / "numpyvae")
    package = {name: digest for name, digest in ours.items() if "__pycache__" not in name}
    assert {name: inside.get(name) for name in package} == package
    assert inside["data/strokes.npz"] == files(ROOT / "data")["strokes.npz"]
    notebooks = {f"lessons/{path.relative_to(ROOT / 'lessons').as_posix()}"
                 for folder in (ROOT / "lessons", ROOT / "lessons" / "solved") for path in folder.glob("[0-9]*.ipynb")}
    rest = set(inside) - set(package)
    assert {name for name in rest if name.startswith("lessons/")} == notebooks and len(notebooks) > 25
    assert {name.split("/")[0] for name in rest} == {"data", "lessons", "benchmarks"}
    assert {path.name.split("-")[0] for path in site.iterdir()} == {"numpyvae"}    # no other name in site-packages


def test_notebooks_come_without_outputs_and_with_every_cell(site):
    for path in (site / "numpyvae" / "lessons").rglob("*.ipynb"):
        packed = json.loads(path.read_text(encoding="utf-8"))
        committed = json.loads((ROOT / path.relative_to(site / "numpyvae")).read_text(encoding="utf-8"))
        assert [cell["source"] for cell in packed["cells"]] == [cell["source"] for cell in committed["cells"]]
        assert all(cell["outputs"] == [] for cell in packed["cells"] if cell["cell_type"] == "code")


def test_the_source_distribution_makes_the_same_wheel(source, wheel, tmp_path):
    archive = built("build_sdist", source, tmp_path)
    shutil.unpack_archive(archive, tmp_path, filter="data")
    again = built("build_wheel", tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {info.filename: info.CRC for info in one.infolist() if "RECORD" not in info.filename} == {
            info.filename: info.CRC for info in other.infolist() if "RECORD" not in info.filename}


def test_train_and_what_comes_after_it_work_from_any_folder(run, site, tmp_path):
    where = run("-c", "import numpyvae; print(numpyvae.__file__)", check=True).stdout.strip()
    assert pathlib.Path(where) == site / "numpyvae" / "__init__.py"
    run("-m", "numpyvae", "train", "--epochs", "1", "--hidden", "30", "--latent", "2", "--out", "run", check=True)
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000
    done = run("-m", "numpyvae", "evaluate", "run", "--samples", "5", "--images", "20", check=True)
    assert "log p(x)" in done.stdout
    run("-m", "numpyvae", "sample", "run", "--out", "new.png", check=True)
    assert (tmp_path / "new.png").stat().st_size > 1000


def test_the_frozen_images_are_read_not_drawn(run):
    code = ("import importlib\nmodule = importlib.import_module('numpyvae.datasets.strokes')\n"
            "module.strokes = None\nprint(len(module.load_strokes('train')[0]))")
    assert run("-c", code, check=True).stdout.split() == ["10000"]


def test_what_is_kept_lies_in_the_home_folder(run, tmp_path):
    code = "from numpyvae.course.tally import Tally; Tally(5).add('kl')"
    run("-c", code, check=True)
    assert json.loads((tmp_path / "home" / ".numpyvae" / "tally.json").read_text()) == {"5": ["kl"]}


def test_bench_measures(run):
    code = ("import functools\nif __name__ == '__main__':\n"
            "    from numpyvae.benchmarks import step\n    step.WORK = [((30,), 2, 20)]\n    step.PEERS = {}\n"
            "    step.interleave_apart = functools.partial(step.interleave_apart, rounds=1)\n    step.main()")
    pathlib.Path("bench.py").write_text(code)
    assert "| 784-30-2 | 20 |" in run("bench.py", check=True).stdout


def answer(address):
    """What JupyterLab says is in a folder; it names its address a moment before it answers there."""
    for _ in range(100):
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address, timeout=10) as response:
            return json.load(response)["content"]
        time.sleep(0.3)


def test_lessons_opens_jupyterlab_in_the_folder_of_copies(site, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONUNBUFFERED": "1", "NUMPYVAE_TALLY": "0"}
    server = subprocess.Popen([sys.executable, "-m", "numpyvae", "lessons", "--solved", "--no-browser", "--port",
                               str(port), "--dir", "my lessons"], cwd=tmp_path, env=environment, text=True,
                              stderr=subprocess.PIPE, start_new_session=True)
    try:
        address = next(found for line in server.stderr
                       if (found := re.search(rf"http://(localhost|127.0.0.1):{port}/lab/tree/\S*\?token=(\w+)", line)))
        assert "solved/00_the_whole_game.ipynb" in address[0]
        names = {each["name"] for each in answer(f"http://127.0.0.1:{port}/api/contents/solved?token={address[2]}")}
        assert names == {path.name for path in (ROOT / "lessons" / "solved").glob("[0-9]*.ipynb")}
        assert (tmp_path / "my lessons" / "00_glossary.ipynb").is_file()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_the_readmes_line_completes_commands_in_a_shell(tmp_path):
    [line] = re.findall(r"^(shtab .*numpyvae.*) > (\S+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    script = tmp_path / "completion"
    with open(script, "w") as file:
        subprocess.run([sys.executable, "-m", *shlex.split(line[0])], stdout=file, check=True, cwd=ROOT)
    ask = ('source "$1"; COMP_WORDS=(numpyvae {words}); COMP_CWORD={place}; COMP_LINE="numpyvae {words}"; '
           '_shtab_numpyvae; echo "${{COMPREPLY[@]}}"')
    for words, place, expected in (("tr", 1, ["train"]), ("train --ep", 2, ["--epochs"]),
                                   ("lessons --so", 2, ["--solved"])):
        done = subprocess.run(["bash", "-c", ask.format(words=words, place=place), "bash", str(script)],
                              capture_output=True, text=True, check=True)
        assert done.stdout.split() == expected, done
