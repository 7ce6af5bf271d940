"""numpyvae lessons and numpyvae bench, up to where JupyterLab and the clock take over; tests/test_wheel.py goes on."""
import json
import os
import pathlib
import socket
import sys

import pytest

from numpyvae.cli import main
from numpyvae.cli.tools import pip_line
from numpyvae.files import carried

ROOT = pathlib.Path(__file__).parents[1]
LEARNERS = {path.name for path in (ROOT / "lessons").glob("[0-9]*.ipynb")}
SOLVED = {f"solved/{path.name}" for path in (ROOT / "lessons" / "solved").glob("[0-9]*.ipynb")}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What would have been started, (command, folder), from an empty folder, with every extra installed."""
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("numpyvae.cli.tools._is_there", lambda module: True)
    monkeypatch.setattr("numpyvae.cli.tools.subprocess.call",
                        lambda command, cwd=None: calls.append((command, cwd)) or 0)
    return calls


def files(folder):
    return {path.relative_to(folder).as_posix() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


def test_the_notebooks_of_a_checkout_are_copied_and_the_first_is_opened(started, tmp_path, capsys):
    assert main(["lessons"]) == 0
    assert files("numpyvae-lessons") == LEARNERS and len(LEARNERS) >= 15
    for name in LEARNERS:
        assert (tmp_path / "numpyvae-lessons" / name).read_bytes() == (ROOT / "lessons" / name).read_bytes()
    [(command, cwd)] = started
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/00_the_whole_game.ipynb" in command
    assert f"--ServerApp.root_dir={cwd}" in command and cwd == tmp_path / "numpyvae-lessons"
    assert ("--allow-root" in command) == (os.geteuid() == 0) and "--no-browser" not in command
    assert capsys.readouterr().err == f"copied {len(LEARNERS)} notebooks to numpyvae-lessons\n"


def test_solved_ones_lie_below_the_others_as_their_links_expect(started):
    assert main(["lessons", "--solved", "--dir", "a b/mine", "--no-browser", "--port", "8999"]) == 0
    assert files("a b/mine") == LEARNERS | SOLVED
    [(command, _)] = started
    assert "--LabApp.default_url=/lab/tree/solved/00_the_whole_game.ipynb" in command
    assert "--no-browser" in command and "--port=8999" in command


@pytest.mark.parametrize("uid", [0, 1000])
def test_root_may_open_them_too(uid, started, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert main(["lessons"]) == 0
    assert ("--allow-root" in started[0][0]) == (uid == 0)


def test_a_notebook_that_is_there_already_is_the_learners(started, tmp_path, capsys):
    mine = tmp_path / "numpyvae-lessons" / "00_the_whole_game.ipynb"
    mine.parent.mkdir()
    mine.write_text("my answers")
    assert main(["lessons"]) == 0
    assert mine.read_text() == "my answers" and files("numpyvae-lessons") == LEARNERS
    assert ", kept 1 that were there\n" in capsys.readouterr().err


def test_without_jupyterlab_nothing_is_copied_and_one_line_says_what_brings_it(started, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("numpyvae.cli.tools._is_there", lambda module: False)
    assert main(["lessons"]) == 1
    assert capsys.readouterr().err == ("numpyvae: JupyterLab is not installed, so the lessons cannot be opened; "
                                       "pip install 'numpyvae[lessons]'\n")
    assert started == [] and list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_refused_before_anything_is_copied(started, tmp_path, capsys):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert main(["lessons", "--port", str(port)]) == 1
    assert capsys.readouterr().err == (f"numpyvae: --port is {port}, which another program uses; expected one that is "
                                       "free\n")
    assert started == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name, said", [
    ("", "--dir is ''; expected the name of a folder, such as numpyvae-lessons"),
    ("file", "--dir is 'file'; expected the name of a folder"),
    ("file/x", "--dir is 'file/x', which cannot be written (Not a directory); choose a folder that you can write to")])
def test_a_folder_that_is_none_is_refused_in_a_line(name, said, started, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["lessons", "--dir", name]) == 1
    assert said in capsys.readouterr().err and started == [] and files(tmp_path) == {"file"}


@pytest.mark.parametrize("command", ["lessons", "bench"])
def test_a_package_without_them_says_so(command, started, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(carried, "PACKAGE", tmp_path / "numpyvae")
    assert main([command]) == 1
    folder = {"lessons": "lessons", "bench": "benchmarks"}[command]
    assert f"the folder {folder}/ is neither in the package at" in capsys.readouterr().err
    assert started == [] and files(tmp_path) == set()


def test_bench_of_a_checkout_says_what_it_does_without(started, monkeypatch, capsys):
    monkeypatch.setattr("numpyvae.cli.tools._is_there", lambda module: module != "jax")
    assert main(["bench"]) == 0
    assert capsys.readouterr().err == "note: without JAX, which pip install 'numpyvae[bench]' brings\n"
    assert started == [([sys.executable, "-m", "benchmarks.step"], ROOT)]


def test_a_wheels_folders_come_before_those_beside_it(started, monkeypatch, tmp_path):
    package = tmp_path / "site" / "numpyvae"
    for folder in ("lessons", "data", "benchmarks"):
        (package / folder).mkdir(parents=True)
    (package / "lessons" / "00_the_whole_game.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.setattr(carried, "PACKAGE", package)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert carried.carried("data") == package / "data" and carried.kept() == tmp_path / "home" / ".numpyvae"
    monkeypatch.setattr("numpyvae.cli.tools.PACKAGE", package)
    assert main(["lessons"]) == 0 and main(["bench"]) == 0
    assert files("numpyvae-lessons") == {"00_the_whole_game.ipynb"}
    assert started[1] == ([sys.executable, "-m", "numpyvae.benchmarks.step"], None)


def test_what_a_checkout_keeps_lies_in_its_data_folder():
    assert carried.kept() == ROOT / "data"


def test_the_line_that_brings_an_extra_names_one_that_there_is():
    import configparser
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    for extra in ("lessons", "bench", "export", "sklearn", "dask"):
        assert extra in config["options.extras_require"] and f"numpyvae[{extra}]" in pip_line(extra)
