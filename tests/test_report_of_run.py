"""What a run hands to its report, and what the command says when it has written one."""
import json
import pathlib
import re
import webbrowser

import numpy as np
import pytest

from numpyvae.cli import main, make_parser
from numpyvae.report import summary
from tests.test_report import Page

SMALL = ["--hidden", "8", "--latent", "2", "--batch-size", "20"]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("my data.npy", np.repeat(blobs, 5, axis=0))


@pytest.fixture
def unwritten(monkeypatch):
    """For what does not look at the report, which takes most of the time."""
    monkeypatch.setattr("numpyvae.report.html.write_report", lambda *arguments, **options: None)


def train(*options):
    return main(["train", "--data", "my data.npy", *SMALL, "--epochs", "2", "--out", "run", *map(str, options)])


def page():
    return Page(pathlib.Path("run/report.html").read_text(encoding="utf-8"))


def table(text):
    return dict(re.findall('<tr><th scope="row">(.*?)</th><td>(.*?)</td></tr>', text))


def test_the_report_says_what_was_typed_and_when_also_after_others_have_added_to_it(tmp_path):
    train()
    typed = "numpyvae train --data 'my data.npy' --hidden 8 --latent 2 --batch-size 20 --epochs 2 --out run"
    date = json.load(open("run/metrics.json"))["date"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", date)
    assert page().text.count(typed) == 2 and any(date in text for text in page().text)
    assert f"numpyvae evaluate {tmp_path}/run" in page().text
    main(["evaluate", "run", "--samples", "3", "--images", "3"])
    assert page().text.count(typed) == 2 and any(date in text for text in page().text)
    main(["train", "--resume", "run", "--epochs", "4"])
    assert typed in page().text and page().text.count("numpyvae train --resume run --epochs 4") == 2
    assert f"numpyvae train --resume {tmp_path}/run --epochs 12" in page().text


def test_a_run_from_before_commands_were_kept_has_a_report(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("numpyvae.report.html.write_report", lambda *arguments, **options: None)
        train()
    for name in ("run.json", "metrics.json"):
        old = json.load(open(f"run/{name}"))
        old.pop("commands", None), old.pop("date", None)
        json.dump(old, open(f"run/{name}", "w"))
    assert main(["evaluate", "run", "--samples", "3", "--images", "3"]) == 0
    assert "The command" not in page().text
    assert main(["train", "--resume", "run", "--epochs", "3"]) == 0
    assert "The command" not in page().text


def test_the_last_lines_say_how_to_train_longer_and_the_last_of_all_where_the_report_is(capsys, unwritten):
    train()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "longer    numpyvae train --resume run --epochs 6", "report    run/report.html"]
    train("--overwrite", "--lr-end", "1e-4")
    assert "--resume" not in capsys.readouterr().out
    train("--overwrite", "--json")
    json.loads(capsys.readouterr().out)


def test_the_command_that_trains_longer_does(capsys, unwritten):
    train()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("longer"))
    assert main(line.split()[2:]) == 0
    assert json.load(open("run/metrics.json"))["epochs"] == 6


def test_the_first_run_is_short():
    assert make_parser().parse_args(["train"]).epochs == 10


@pytest.mark.parametrize("options, there, absent", [
    ([], {"learning rate": "0.001", "images per step": "20", "likelihood of a pixel": "bernoulli"},
     {"its sigma", "learning rate at the end", "codes per image (K)", "pixels drawn as 0 or 1",
      "epochs in which beta grows from 0"}),
    (["--likelihood", "gaussian", "--sigma", "0.5", "--lr-end", "1e-4", "--warmup", "1"],
     {"its sigma": "0.5", "learning rate at the end": "0.0001", "epochs in which beta grows from 0": "1"}, set()),
    (["--objective", "iwae", "--samples", "3", "--binarize", "dynamic"],
     {"objective": "IWAE", "codes per image (K)": "3", "pixels drawn as 0 or 1": "anew in every epoch"},
     {"its sigma"})])
def test_the_configuration_is_in_words_and_has_only_what_has_an_effect(options, there, absent):
    train(*options)
    text = pathlib.Path("run/report.html").read_text(encoding="utf-8")
    assert there.items() <= table(text).items() and absent.isdisjoint(table(text))
    assert "None" not in Page(text).text and not any("_" in name for name in table(text))


def test_every_setting_of_a_run_has_words(unwritten):
    train()
    configuration = json.load(open("run/metrics.json"))["configuration"]
    assert set(configuration) <= set(summary.SETTINGS)
    assert summary.settings({"size": [64, 48], "colour": True, "transpose": False, "mine": 3}) == {
        "colours kept": "yes", "pictures resized to": "64 × 48", "mine": 3}


def test_open_shows_the_report(monkeypatch, tmp_path, capsys, unwritten):
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda address: shown.append(address) or True)
    train("--open")
    assert shown == [(tmp_path / "run" / "report.html").resolve().as_uri()]
    assert "browser" not in capsys.readouterr().err
    assert "open" not in json.load(open("run/run.json"))
    main(["train", "--resume", "run", "--open"])
    assert len(shown) == 2
    main(["train", "--resume", "run"])
    assert len(shown) == 2


def no_browser(address):
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("opener", [no_browser, lambda address: False])
def test_where_no_browser_can_be_opened_it_says_so(opener, monkeypatch, capsys, unwritten):
    monkeypatch.setattr(webbrowser, "open", opener)
    assert train("--open") == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "numpyvae: no browser could be opened from here (--open); open run/report.html yourself")
