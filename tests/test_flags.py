"""Every flag of every command with wrong or odd values: a result, or one line that says what is expected.

The flags are walked: any that are added to the command line are tested too.
"""
import argparse
import contextlib
import io
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numpyvae.gradcheck
from numpyvae.cli import main, make_parser
from numpyvae.gradcheck import components

TRAIN = ["train", "--data", "images.npy", "--hidden", "6", "--latent", "2", "--epochs", "1", "--batch-size", "12",
         "--out", "new"]
WORKING = {    # the flag under test is added to these; `info` and `bench` have none
    "train": TRAIN, "evaluate": ["evaluate", "run", "--samples", "3", "--images", "4"],
    "explore": ["explore", "run", "--data", "images.npy", "--out", "new.html"],
    "sample": ["sample", "run", "--n", "4", "--out", "new.png"],
    "reconstruct": ["reconstruct", "run", "--data", "images.npy", "--n", "4", "--out", "new.png"],
    "encode": ["encode", "run", "--data", "images.npy", "--out", "new.csv"],
    "export": ["export", "run", "--out", "new"],
    "import": ["import", "weights.safetensors", "--like", "run", "--out", "new"],
    "gradcheck": ["gradcheck", "--component", "relu", "--method", "complex-step"],
    "lessons": ["lessons", "--dir", "new"],
}
UNTRIED = {"bench", "info"}
ELSEWHERE = {"sweep"}    # each try starts processes: tests/test_sweep.py has its own


def flags():
    """(command, flag, or None for what has no name) of all that takes a value."""
    commands = next(action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert set(commands.choices) == set(WORKING) | UNTRIED | ELSEWHERE
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if action.nargs != 0 and command not in ELSEWHERE:
                assert command not in UNTRIED, f"{command} has flags now"
                yield command, action.option_strings[-1] if action.option_strings else None


NUMBERS = ["0", "-1", "1", "3", "1.5", "nan", "inf", "-inf", "1e400", "1e-400", "1e200", "1e-200", "9" * 30, "9" * 5000,
           "0x10", "1_0", " 2 ", "٣", "1e3", "True", "None", "[]"]
PATHS = ["images.npy", "run", "run/model.npz", "run/run.json", ".", "", "nowhere", "nowhere/x", "new.xyz", "x" * 300,
         "naïve 文件.png", "/dev/null", "/dev/null/x", "/proc/x", "a\0b", "a\nb", "-", "--", "broken.npy", "text.txt"]
WORDS = ["relu", "static", "dreg", "bernoulli", "5 steps", "0 steps", "-1 minute", "1 hour", "strokes ", "STROKES",
         "images.npy:f", "own.py", "own.py:", "own.py:nothing", "broken.py:f", "\udcff", "h"]
values = st.one_of(st.sampled_from(NUMBERS + PATHS + WORDS),
                   st.text(st.characters(blacklist_characters="/.", max_codepoint=0x2fff), max_size=8))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a small run, and files that are not runs; in it no command does what takes long: writes reports,
    checks every gradient."""
    folder = tmp_path_factory.mktemp("flags")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for command in "train", "evaluate":
            patch.setattr(f"numpyvae.cli.{command}.write_run_report", lambda out, *_: f"{out}/report.html")
        patch.setattr("numpyvae.cli.tools._is_there", lambda module: True)
        patch.setattr("numpyvae.cli.tools.carried", lambda name: folder / "carried")    # a lesson, and no JupyterLab
        patch.setattr("numpyvae.cli.tools.subprocess.call", lambda *_, **__: 0)
        (folder / "carried").mkdir()
        (folder / "carried" / "00_the_whole_game.ipynb").write_text("{}")
        few = dict(list(components().items())[:3])
        patch.setattr(numpyvae.gradcheck, "components", lambda: few)
        np.save("images.npy", np.random.default_rng(0).integers(0, 256, (40, 5, 5), np.uint8))
        pathlib.Path("broken.npy").write_bytes(b"\x93NUMPY\x01")
        pathlib.Path("text.txt").write_text("no picture")
        pathlib.Path("own.py").write_text("")
        pathlib.Path("broken.py").write_text("def f(:")
        assert main([*TRAIN[:-1], "run"]) == 0
        assert main(["export", "run", "--out", "."]) == 0
        yield folder


def called(arguments):
    """The exit code, and the lines on stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
    return code, errors.getvalue().strip("\n").split("\n")


@pytest.mark.parametrize("command, flag", list(flags()))
@given(value=values)
def test_a_bad_value_gives_a_result_or_a_line(command, flag, value, run):
    for left in "new", "new.png", "new.html":
        shutil.rmtree(run / left) if os.path.isdir(run / left) else (run / left).unlink(missing_ok=True)
    arguments = WORKING[command]
    given = [*arguments, flag, value] if flag else [command, value, *[word for word in arguments[1:] if word != "run"]]
    code, lines = called(given)
    assert code in (0, 1, 2)
    if code == 2:
        name = f"numpyvae {command}"
        assert len(lines) == 2 and lines[0].startswith(f"{name}: ") and lines[1] == f"{name} --help says more", lines
    if code == 1:
        assert not any(line.startswith("Traceback") for line in lines)
        if command != "gradcheck" or lines != [""]:    # gradcheck says on stdout what it found
            assert lines[-1].startswith("numpyvae: ") and re.search("expected|; ", lines[-1]), lines
