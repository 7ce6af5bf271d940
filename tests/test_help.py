"""The help of every command, and what is said where a command is typed wrongly: all commands and options are walked."""
import argparse
import io
import re
import shlex
import sys

import numpy as np
import pytest

from numpyvae.cli import main, make_parser


def commands():
    parser = make_parser()
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {"": parser, **found.choices}


COMMANDS = commands()


def failed(arguments, capsys):
    """The two lines of a usage error."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert stop.value.code == 2 and printed.out == "" and len(lines) == 2 and lines[1].endswith(" --help says more")
    return lines[0]


@pytest.mark.parametrize("columns", ["80", "200", "40"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_its_lines_and_says_only_what_there_is(command, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"] if command else ["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and not re.search(r"default:? (None|False|\[|==)", " ".join(text.split()))
    assert text.startswith(f"usage: {' '.join(filter(None, ['numpyvae', command]))} [OPTION ...]")
    if columns != "40":
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help_and_its_default_and_choices_where_there_are_some(command):
    parser = COMMANDS[command]
    text = " ".join(parser.format_help().split()).replace("- ", "-")    # a line may end after a hyphen
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(f" {name} {choice.help}" in text for name, choice in
                       zip(action.choices, action._choices_actions))
            continue
        assert action.help and (" ".join(action.help.split("(default")[0].split()).replace("- ", "-") in text), action
        if action.default not in (None, argparse.SUPPRESS, False):
            shown = action.default if not isinstance(action.default, list) else " ".join(map(str, action.default))
            assert f"default: {shown})" in text, action
        for choice in action.choices or ():
            assert choice in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_examples_that_can_be_typed(command):
    lines = COMMANDS[command].format_help().splitlines()
    start = next(i for i, line in enumerate(lines) if line in ("example:", "examples:"))
    assert len(lines) > start + 1
    for line in lines[start + 1:]:
        program, *arguments = shlex.split(line)
        options = make_parser().parse_args(arguments)
        assert program == "numpyvae" and options.run.__name__ == f"run_{arguments[0]}"
        assert command in ("", arguments[0])


@pytest.mark.parametrize("command", [name for name in COMMANDS if name])
def test_every_option_that_is_nearly_right_is_recognised(command, capsys):
    for action in COMMANDS[command]._actions:
        for name in action.option_strings:
            if len(name) < 5:
                continue
            for typed in (name[:3] + name[4] + name[3] + name[5:], name.upper(), name[1:]):
                known = COMMANDS[command]._option_string_actions
                if typed in known or any(one.startswith(typed) for one in known):    # it is right, or short for one
                    continue
                run = [] if command in ("train", "gradcheck", "bench", "lessons", "info") else ["RUN"]
                said = failed([command, *run, typed], capsys)
                assert f"did you mean '{name}'?" in said or re.search(f"did you mean '--.*{name[2]}", said), said


@pytest.mark.parametrize("command, action", [(name, action) for name, parser in COMMANDS.items()
                                             for action in parser._actions if name and action.choices])
def test_every_choice_that_is_nearly_right_is_recognised(command, action, capsys):
    run = ["RUN"] * (command not in ("train", "gradcheck"))
    for choice in action.choices:
        said = failed([command, *run, action.option_strings[0], choice.upper() + "x"], capsys)
        assert said.startswith(f"numpyvae {command}: {action.option_strings[0]}: ") and f"mean '{choice}'?" in said


@pytest.mark.parametrize("arguments, said", [
    ([], "there is no command; expected one of train, evaluate"), ([""], "there is no command"),
    (["--latent", "3"], "there is no command"), (["trian"], "did you mean 'train'?"),
    (["--epochs", "3", "train"], "'--epochs' stands before the command; expected it after: numpyvae train --epochs"),
    (["help", "trian"], "did you mean 'train'?"), (["fit"], "use numpyvae train"),
    (["examine", "model.py"], "use nv.examine("), (["version"], "use numpyvae --version"),
    (["runs/mine", "sample"], "expected it after: numpyvae sample runs/mine"),
    (["train", "photos"], "did you mean '--data photos'?"), (["encode", "RUN", "a b.npy"], "mean '--data a b.npy'?"),
    (["train", "-hidden", "30"], "did you mean '--hidden'?"), (["train", "-epochs=3"], "did you mean '--epochs'?"),
    (["train", "--epochs"], "--epochs: expected one argument"), (["train", "--epochs", ""], "''"),
    (["train", "--epochs", "1e3"], "'1e3' is not a whole number"), (["train", "--lr", "-1"], "--lr"),
    (["train", "--lr", "0,1"], "'0,1' is not a number above 0"), (["sample"], "required: RUN"),
    (["train", "--n\nx", "3"], "unrecognized"), (["sample", "RUN", "--n", "x" * 5000], "--n: ")])
def test_a_wrong_line_is_answered_in_two(arguments, said, capsys):
    assert said in failed(arguments, capsys)


# Any code page

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    toml = 'seeds = [0]\n[train]\ndata = "größe 文.npz"\nhidden = [4]\nepochs = 1\n'
    (folder / "größe 文.toml").write_text(toml, encoding="utf-8")
    np.savez(folder / "größe 文.npz", x=rng.integers(0, 256, (60, 6, 5), np.uint8), y=np.arange(60) % 3)
    assert main(["train", "--data", str(folder / "größe 文.npz"), "--conditional", "--hidden", "4", "--latent", "2",
                 "--epochs", "1", "--out", str(folder / "run é")]) == 0
    assert main(["export", str(folder / "run é"), "--out", str(folder)]) == 0
    (folder / "weights.safetensors").rename(folder / "weights é.safetensors")
    return folder


LINES = {
    "train": ["train", "--data", "größe 文.npz", "--hidden", "4", "--latent", "2", "--epochs", "1", "--out", "Σ"],
    "evaluate": ["evaluate", "run é", "--samples", "5", "--images", "4"],
    "explore": ["explore", "run é", "--out", "ж.html"], "sample": ["sample", "run é", "--n", "3"],
    "reconstruct": ["reconstruct", "run é", "--out", "ö.csv"], "encode": ["encode", "run é", "--out", "μ.npy"],
    "export": ["export", "run é", "--out", "größe Σ"],
    "import": ["import", "weights é.safetensors", "--like", "run é", "--out", "μ.npz", "--overwrite"],
    "gradcheck": ["gradcheck", "--component", "relu", "--method", "complex-step"], "bench": ["bench", "--help"],
    "lessons": ["lessons", "--help"], "info": ["info"], "": ["train", "--data", "größe"],
    "sweep": ["sweep", "größe 文.toml"]}


@pytest.mark.parametrize("encoding", ["cp437", "cp932", "cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("command", LINES)
def test_no_code_page_breaks_a_command(command, encoding, run, monkeypatch):
    assert set(LINES) == set(COMMANDS)
    monkeypatch.chdir(run)
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", lambda out, *_: f"{out}/report.html")    # takes seconds
    monkeypatch.setattr("numpyvae.cli.evaluate.write_run_report", lambda out, *_: f"{out}/report.html")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    arguments = LINES[command] + ["--overwrite"] * (command == "train")
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out.flush()
    err.flush()
    said = out.buffer.getvalue().decode(encoding) + err.buffer.getvalue().decode(encoding)
    assert code == (0 if command else 1) and said.strip() and "Error" not in said and "\\x" not in said
