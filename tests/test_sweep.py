"""numpyvae sweep: what a file asks for, what is trained and what is not again, the table, and what is refused."""
import concurrent.futures
import contextlib
import csv
import io
import json
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest

from numpyvae.cli import main, sweep_file, workers
from numpyvae.cli.sweep import first_steps
from numpyvae.report import sweep as result

SMALL = 'data = "mine.npy"\nhidden = [8]\nepochs = 1\nbatch-size = 20\n'
FILES = ["checkpoint.npz", "log.csv", "metrics.json", "model.npz", "report.html", "run.json"]


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch, blobs):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.repeat(blobs, 5, axis=0))


def write(seeds="[0, 1]", shared=SMALL, grid="latent = [2, 3]", path="vae.toml"):
    table = f"\n[grid]\n{grid}\n" if grid else ""
    pathlib.Path(path).write_text(f"seeds = {seeds}\n\n[train]\n{shared}{table}", encoding="utf-8")


class Inline(concurrent.futures.Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, function, *arguments):
        future = concurrent.futures.Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def trained(monkeypatch, tmp_path_factory):
    """Sweeps train in this process, without reports; the names of the runs that were begun."""
    begun = []

    def write_report(out, *_):
        pathlib.Path(out, "report.html").write_text("a report")
        return f"{out}/report.html"

    def train(words, place):
        begun.append(os.path.basename(place))
        folder = tmp_path_factory.mktemp("worker")
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            code = main(["train", *words, f"--out={begun[-1]}"])
        return workers.Outcome(workers._files(str(folder / begun[-1]), place) if code == 0 else {}, 1.5,
                               "" if code == 0 else "the loss is not finite", versions=workers.versions())
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", write_report)
    monkeypatch.setattr(workers, "ThreadPoolExecutor", lambda jobs: Inline())
    monkeypatch.setattr(workers, "train", train)
    return begun


def sweep(*options, code=0, file="vae.toml"):
    assert main(["sweep", file, *map(str, options)]) == code


def metrics(name, out="runs/vae"):
    return json.load(open(f"{out}/{name}/metrics.json"))


# What is trained

def test_a_sweep_is_what_train_would_do_one_by_one(capsys):
    """In processes of their own; the report's commands name the folder in which the run lies now."""
    write(grid="", seeds="[3, 4]")
    sweep("--jobs", 2, "--out", "a sweep")
    printed = capsys.readouterr()
    assert "2 runs of 2 to train, on this machine" in printed.err and "run 2/2  seed=" in printed.err
    assert "a sweep/sweep.md" in printed.out and sorted(set(os.listdir("a sweep")) - {".lock"}) == [
        "seed=3", "seed=4", "sweep.csv", "sweep.md", "sweep.png"]
    assert sorted(os.listdir("a sweep/seed=3")) == FILES
    words = ["--data", "mine.npy", "--hidden", "8", "--epochs", "1", "--batch-size", "20", "--seed", "3"]
    alone = subprocess.run([sys.executable, "-m", "numpyvae", "train", *words, "--out", "alone"], capture_output=True,
                           env=workers.ONE_THREAD | os.environ)
    assert alone.returncode == 0
    assert pathlib.Path("a sweep/seed=3/model.npz").read_bytes() == pathlib.Path("alone/model.npz").read_bytes()
    report = pathlib.Path("a sweep/seed=3/report.html").read_text()
    assert f"numpyvae evaluate &#x27;{os.path.abspath('a sweep/seed=3')}&#x27;</code>" in report
    assert "numpyvae-" not in report and main(["sample", "a sweep/seed=3", "--n", "2", "--out", "x.npy"]) == 0


def test_every_combination_has_every_seed_and_a_folder(trained):
    write(shared=SMALL.replace("hidden = [8]\n", ""),
          grid="latent = [2, 3]\nconditional = [false]\nhidden = [[8], [8, 4], []]")
    sweep()
    assert trained == [f"latent={latent},conditional=false,hidden={hidden},seed={seed}" for latent in (2, 3)
                       for hidden in ("8", "8-4", "none") for seed in (0, 1)]
    configuration = metrics("latent=3,conditional=false,hidden=8-4,seed=1")["configuration"]
    assert (configuration["n_latent"], configuration["hidden"], configuration["seed"]) == (3, [8, 4], 1)


def test_the_table_has_mean_and_sample_deviation_over_the_seeds(trained, capsys):
    write(seeds="[0, 1, 5]")
    sweep()
    printed = capsys.readouterr().out
    rows = list(csv.DictReader(open("runs/vae/sweep.csv")))
    assert [row["latent"] for row in rows] == ["2", "3"] and {row["runs"] for row in rows} == {"3"}
    for row in rows:
        for measure in ("test_loss", "test_nll", "test_kl"):
            values = [metrics(f"latent={row['latent']},seed={seed}")[measure] for seed in (0, 1, 5)]
            assert float(row[measure]) == pytest.approx(sum(values) / 3, rel=1e-12)
            assert float(row[f"{measure}_sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-9)
    table = open("runs/vae/sweep.md", encoding="utf-8").read()
    assert table in printed and table.count("**") == 2
    best = min(rows, key=lambda row: float(row["test_loss"]))
    line = next(line for line in table.splitlines() if "**" in line)
    assert line.startswith(f"| {best['latent']} ")
    assert f"**{float(best['test_loss']):.2f} ± {float(best['test_loss_sd']):.2f}**" in line
    assert open("runs/vae/sweep.png", "rb").read(4) == b"\x89PNG"


def test_json_is_all_that_stdout_holds(trained, capsys):
    write(seeds="[0]")
    sweep("--json")
    found = json.loads(capsys.readouterr().out)
    assert found["settings"][1]["latent"] == "3" and found["settings"][1]["test_loss_sd"] is None
    assert found["failed"] == {} and os.path.exists(found["table"])


def test_different_betas_are_said_not_to_compare(trained, capsys):
    write(grid="beta = [1.0, 4.0]")
    sweep()
    assert "compare reconstruction + KL instead" in capsys.readouterr().err


def test_paths_are_found_from_the_file_s_own_folder(trained):
    os.mkdir("elsewhere")
    os.rename("mine.npy", "elsewhere/mine.npy")
    write(path="elsewhere/vae.toml", grid="", seeds="[0]")
    sweep(file="elsewhere/vae.toml")
    assert trained == ["seed=0"] and os.path.exists("runs/vae/seed=0/model.npz")


# What is not trained again

def test_what_is_whole_is_not_done_again(trained, capsys):
    write()
    sweep()
    assert len(trained) == 4
    before = {name: os.stat(f"runs/vae/{name}/model.npz").st_mtime_ns for name in trained}
    sweep("--jobs", 1)
    assert len(trained) == 4 and "4 runs of 4 are whole already" in capsys.readouterr().err
    write(seeds="[0, 1, 2]", grid="latent = [2, 3, 4]")
    sweep()
    assert trained[4:] == ["latent=2,seed=2", "latent=3,seed=2", *(f"latent=4,seed={seed}" for seed in range(3))]
    assert before == {name: os.stat(f"runs/vae/{name}/model.npz").st_mtime_ns for name in trained[:4]}


def test_a_changed_file_says_what_it_does_again_and_why(trained, capsys):
    write()
    sweep()
    write(shared=SMALL.replace("epochs = 1", "epochs = 2") + "lr = 0.01\n", grid="latent = [2]")
    sweep()
    said = capsys.readouterr().err
    assert "note: 2 runs will be done again: epochs was 1, is 2, lr was 0.001, is 0.01\n" in said
    assert "note: 2 runs in runs/vae are no longer in the file, such as latent=3,seed=0; they stay" in said
    assert trained[4:] == ["latent=2,seed=0", "latent=2,seed=1"] and metrics("latent=2,seed=0")["epochs"] == 2
    assert metrics("latent=3,seed=0")["epochs"] == 1 and len(list(csv.reader(open("runs/vae/sweep.csv")))) == 2


@pytest.mark.parametrize("harm, why", [
    (lambda: os.unlink("runs/vae/seed=0/model.npz"), "missing"), (lambda: os.unlink("runs/vae/seed=0/run.json"), ""),
    (lambda: open("runs/vae/seed=0/metrics.json", "w").close(), "damaged"),
    (lambda: os.truncate("runs/vae/seed=0/model.npz", 700), "damaged"),
    (lambda: os.unlink("runs/vae/seed=0/report.html"), "missing"),
    (lambda: np.save("mine.npy", 255 - np.load("mine.npy")), "the data are others")])
def test_a_run_that_is_not_what_the_file_asks_for_is_done_again(harm, why, trained, capsys):
    write(grid="", seeds="[0]")
    sweep()
    harm()
    if why:
        sweep()
        assert f"1 run will be done again: {why}" in capsys.readouterr().err.replace("a file of theirs is ", "")
        assert len(trained) == 2 and sorted(os.listdir("runs/vae/seed=0")) == FILES
    else:    # it may be anything
        refused(capsys, "'runs/vae/seed=0', which is no run but has the name of one")


def test_what_a_killed_sweep_left_goes(trained):
    write(grid="", seeds="[0]")
    os.makedirs("runs/vae/.seed=0.part")
    sweep()
    assert not os.path.exists("runs/vae/.seed=0.part") and trained == ["seed=0"]


# Runs that fail

def test_a_run_that_fails_leaves_the_others_alone(trained, capsys):
    write(grid="lr = [1e-3, 1e25]")
    sweep(code=1)
    assert len(trained) == 4 and "1e+25" in trained[2]
    said = capsys.readouterr()
    assert "0 of 2 |" in said.out and "2 runs failed, such as lr=1e+25,seed=0: the loss is not finite" in said.err
    assert not os.path.exists("runs/vae/lr=1e+25,seed=0") and os.path.exists("runs/vae/lr=0.001,seed=0")
    sweep(code=1)
    assert len(trained) == 6


def test_what_an_older_run_learned_does_not_stand_for_one_that_fails(trained, capsys):
    write(grid="")
    sweep()
    assert "2 of 2" not in capsys.readouterr().out
    write(grid="", shared=SMALL + "lr = 1e25\n")
    pathlib.Path("runs/vae/seed=1/metrics.json").write_text("{")
    sweep(code=1)
    assert "0 of 2 |" in capsys.readouterr().out
    assert pathlib.Path("runs/vae/sweep.csv").read_text().endswith("\n0,,,,,,\n")


def test_runs_are_trained_by_this_package_on_the_same_data_with_one_thread(monkeypatch):
    """Wherever the process of a run starts."""
    monkeypatch.setenv("NUMPYVAE_DATA", "somewhere")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    environment = workers._environment()
    package = pathlib.Path(workers.__file__).parents[2]
    assert environment["PYTHONPATH"] == os.pathsep.join([str(package), "elsewhere"])
    assert environment["NUMPYVAE_DATA"] == os.path.abspath("somewhere") and environment["OPENBLAS_NUM_THREADS"] == "1"


def test_a_worker_that_came_late_with_other_versions_is_refused(trained, capsys, monkeypatch):
    whole = workers.train
    monkeypatch.setattr(workers, "train", lambda words, place: whole(words, place)._replace(
        versions=workers.versions() | {"numpy": "1.26.4"}))
    write(grid="", seeds="[0]")
    sweep(code=1)
    assert "its worker has other versions" in capsys.readouterr().err and not os.path.exists("runs/vae/seed=0")


def test_a_sweep_that_is_killed_takes_its_processes_with_it():
    write(grid="", seeds="[0]", shared=SMALL.replace("epochs = 1", "epochs = 100000"))
    process = subprocess.Popen([sys.executable, "-m", "numpyvae", "sweep", "vae.toml"], stderr=subprocess.PIPE,
                               text=True)
    threads = pathlib.Path(f"/proc/{process.pid}/task")
    deadline = time.monotonic() + 120
    while not (found := [child for thread in threads.iterdir() for child in (thread / "children").read_text().split()]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM and not any(os.path.exists(f"/proc/{child}") for child in found)


def test_a_run_whose_process_is_killed_is_done_again_and_not_for_ever(trained, capsys, monkeypatch):
    whole, lost = workers.train, []

    def train(words, place):
        lost.append(os.path.basename(place))
        if lost.count(lost[-1]) < (2 if "seed=0" in place else 100):
            return workers.Outcome({}, 0, "its process was killed by signal 9", True)
        return whole(words, place)
    monkeypatch.setattr(workers, "train", train)
    write(grid="")
    sweep(code=1)
    said = capsys.readouterr().err
    assert trained == ["seed=0"] and lost.count("seed=1") == 3 and "1 run failed, such as seed=1" in said
    assert "note: seed=0 is done again: its process was killed by signal 9" in said


def test_a_process_that_is_killed_is_told_from_one_that_fails(tmp_path, monkeypatch):
    """By real processes, which stand for numpyvae train."""
    for line, why, is_lost in (("import os; os.kill(os.getpid(), 9)", "killed by signal 9", True),
                               ("import sys; sys.exit('numpyvae: too large')", "too large", False)):
        program = tmp_path / "python"
        # by the shell, as the first line of a script cannot hold a path with spaces
        program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(line)}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        outcome = workers.train(["--epochs=1"], "/somewhere/seed=0")
        monkeypatch.undo()
        assert outcome.files == {} and outcome.why.endswith(why) and outcome.is_lost == is_lost


# What is refused

def refused(capsys, words, *options, file="vae.toml"):
    before = sorted(map(str, pathlib.Path().rglob("*")))
    capsys.readouterr()
    assert main(["sweep", file, *map(str, options)]) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == "" and len(lines) == 1 and lines[0].startswith("numpyvae: ") and words in lines[0], lines
    assert before == sorted(map(str, pathlib.Path().rglob("*")))


@pytest.mark.parametrize("content, words", [
    ("", "vae.toml: there are no seeds; expected a list of whole numbers"), ("seeds = 3", "seeds is 3;"),
    ("seeds = []", "seeds is []"), ("seeds = [0, -1]", "seeds is [0, -1]"), ("seeds = [true]", "seeds is [True]"),
    ("seeds = [1, 1]", "each of them once"), ("seed = [0]", "'seed' is none of its entries"),
    ("seeds = [0]\ntrain = 3", "train is 3; expected a table, [train]"),
    ("seeds = [0]\n[trian]", "did you mean 'train'?"), ("seeds = [0]\n[grid]", "[grid] is empty"),
    ("seeds = [0]\n[grid]\nlatent = []", "[grid] latent is []; expected a list of at least one value"),
    ("seeds = [0]\n[grid]\nlatent = 3", "[grid] latent is 3; expected a list of at least one value, or the option in"),
    ("seeds = [0]\n[grid]\nlatent = [3, 3]", "[grid] latent has 3 twice"),
    ("seeds = [0]\n[train]\nlatent = 2\n[grid]\nlatent = [3]", "latent is given twice"),
    ("seeds = [0]\n[train]\ncolor = true\ncolour = true", "colour is given twice"),
    ("seeds = [0]\n[train]\nlatnet = 3", "[train] latnet is no option of numpyvae train"),
    ("seeds = [0]\n[train]\nlatnet = 3", "did you mean 'latent'?"),
    ("seeds = [0]\n[grid]\nbatch_size = [3]", "did you mean 'batch-size'?"),
    ("seeds = [0]\n[train.model]\nlatent = 3", "[train] model is no option"),
    ("seeds = [0]\n[train]\n'a\\nb' = 3", "is no option"),
    ("seeds = [0]\n[train]\nlatent = '3'", "[train] latent is '3'; expected a number"),
    ("seeds = [0]\n[train]\nlatent = true", "[train] latent is True; expected a number"),
    ("seeds = [0]\n[train]\nlatent = 2.5", "[train] latent: '2.5' is not a whole number"),
    ("seeds = [0]\n[train]\nlatent = -2", "[train] latent: '-2' is not a whole number"),
    ("seeds = [0]\n[train]\nlr = nan", "[train] lr: 'nan' is not a number above 0"),
    ("seeds = [0]\n[train]\nlr = 1979-05-27", "[train] lr is a date; expected a number"),
    ("seeds = [0]\n[train]\nhidden = 400", "[train] hidden is 400; expected a list of numbers"),
    ("seeds = [0]\n[train]\nchannels = []", "[train] channels: expected at least one argument"),
    ("seeds = [0]\n[grid]\nhidden = [400, 200]", "[grid] hidden is 400; expected a list of numbers"),
    ("seeds = [0]\n[train]\nconditional = 1", "[train] conditional is 1; expected true or false"),
    ("seeds = [0]\n[train]\ndata = 3", "[train] data is 3; expected text, in quotes"),
    ("seeds = [0]\n[train]\nlikelihood = 'bernouli'", "did you mean 'bernoulli'?"),
    ("seeds = [0]\n[train]\nsize = '64 by 48'", "[train] size: '64 by 48' is not a size"),
    ("seeds = [0]\n[train\n", "vae.toml is not TOML (Expected ']' at the end of a table declaration (at line 2"),
    ("seeds = [0]\nlatent 3", "(at line 2, column"),
    ("seeds = [0]\nseeds = [1]\n", "Cannot overwrite a value (at line 2"),
    ("seeds = [0]\n[train]\nwarmup = 20", "vae.toml, seed=0: --warmup is 20, but there are only 10 epochs"),
    ("seeds = [0]\n[train]\nsigma = 0.1", "vae.toml, seed=0: --sigma is 0.1, which has no effect here"),
    ("seeds = [0]\n[train]\ndata = 'nowhere.npy'", "vae.toml, seed=0: --data is "),
    ("seeds = [0]\n[train]\ndata = 'mine.npy'\nconditional = true", "--conditional needs labels"),
    ("seeds = [0]\n[train]\ndata = 'mine.npy'\ncheckpoint-every = 'often'", "seed=0: --checkpoint-every is 'often'"),
    ("seeds = [0]\n[grid]\nlr = [1e-3, 1e-4]\nlr-end = [1e-5, 1.0]", "lr=0.001,lr-end=1.0,seed=0: --lr-end is")])
def test_a_wrong_file_is_answered_in_one_line(content, words, trained, capsys):
    pathlib.Path("vae.toml").write_text(content)
    refused(capsys, words)
    assert trained == []


@pytest.mark.parametrize("name", sweep_file.NOT_OF_SWEEP)
def test_what_the_sweep_sees_to_itself_is_refused(name, capsys):
    pathlib.Path("vae.toml").write_text(f"seeds = [0]\n[train]\n{name} = 3\n")
    refused(capsys, f"[train] {name} is given, which numpyvae sweep sees to itself; expected none")


def test_a_file_that_is_none_is_named(capsys):
    refused(capsys, "gone.toml does not exist; give one with seeds = [0, 1, 2]", file="gone.toml")
    refused(capsys, "is a folder; expected a file", file=".")
    pathlib.Path("bytes.toml").write_bytes(b"\xff\xfe\x00")
    refused(capsys, "bytes.toml is not TOML ('utf-8' codec", file="bytes.toml")
    write(seeds=str(list(range(1000))), grid="latent = [2, 3, 4, 5]\nlr = [1e-3, 2e-3, 3e-3, 4e-3]\n"
                                             "beta = [1, 2, 3, 4, 5, 6, 7, 8]")
    refused(capsys, "make 128,000 runs; expected at most 100,000")


def test_a_folder_that_cannot_be_used_is_refused(trained, capsys, blobs):
    write()
    refused(capsys, "--out is '', expected".replace(",", ";"), "--out", "")
    refused(capsys, "--out is 'mine.npy', which is a file", "--out", "mine.npy")
    main(["train", "--data", "mine.npy", "--hidden", "8", "--epochs", "1", "--out", "run"])
    refused(capsys, "--out is 'run', which holds a run", "--out", "run")


def test_one_sweep_at_a_time_uses_a_folder(trained, capsys):
    import filelock
    write()
    sweep()
    with filelock.FileLock("runs/vae/.lock"):
        refused(capsys, "--out is 'runs/vae', which another numpyvae sweep is using")


def test_without_dask_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    write()
    refused(capsys, "--dask is 'tcp://x:1', but Dask is not installed; pip install 'numpyvae[dask]'", "--dask",
            "tcp://x:1")


def test_a_worker_with_other_data_at_that_place_is_refused(trained, monkeypatch, capsys):
    """At the first steps, or where it came later, by what it trained."""
    write(grid="")
    (run, *_) = sweep_file.read_sweep("vae.toml")
    with pytest.raises(ValueError, match="mine.npy holds other data there"):
        first_steps([run.words], ["0"])
    train = workers.train

    def elsewhere(words, place):
        images = np.load("mine.npy")
        np.save("mine.npy", images[::-1])
        try:
            return train(words, place)
        finally:
            np.save("mine.npy", images)
    monkeypatch.setattr(workers, "train", lambda words, place: (
        elsewhere if "--seed=1" in words else train)(words, place))
    sweep(code=1)
    said = capsys.readouterr().err
    assert "seed=1: its worker has other data at that place; expected the same on every machine" in said
    assert [name for name in sorted(os.listdir("runs/vae")) if name.startswith("seed")] == ["seed=0"]


# Names

def test_folders_have_names_that_any_disk_takes_and_that_differ():
    names = [sweep_file._folder_name(values) for values in (
        {"latent": 2, "lr": 1e-3, "seed": 0}, {"data": "a/b", "seed": 0}, {"data": "a_b", "seed": 0},
        {"data": "a:b", "seed": 0}, {"hidden": [400, 200]}, {"hidden": []}, {"conditional": True}, {"data": "ä" * 300},
        {"data": "ä" * 301})]
    assert names[0] == "latent=2,lr=0.001,seed=0"
    assert names[4:7] == ["hidden=400-200", "hidden=none", "conditional=true"]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and len(name) < 200 and not set(name) & set('/\\:*?"<>|') for name in names)


def test_rows_without_runs_and_with_one():
    rows = [result.Row({"data": "a|b"}, 2, dict.fromkeys(result.MEASURES, [])),
            result.Row({"data": "c"}, 1, dict.fromkeys(result.MEASURES, [3.0]))]
    table = result.as_markdown(rows)
    assert "| a\\|b | 0 of 2 |" in table and "**" not in table and "| 3.00 |" in table.replace("  ", " ")
    assert rows[0].as_dict()["test_loss"] is None and rows[1].as_dict()["test_loss_sd"] is None
    assert result.Row({}, 3, {name: [1.0, 2.0, 4.0] for name in result.MEASURES}).deviation("test_kl") == pytest.approx(
        statistics.stdev([1, 2, 4]))


# Ctrl-C, and kernels

@pytest.mark.slow
def test_ctrl_c_leaves_whole_runs_whole_and_no_process_behind():
    write(seeds="[0]", grid="epochs = [1, 1000000]", shared=SMALL.replace("epochs = 1\n", ""))
    command = [sys.executable, "-m", "numpyvae", "sweep", "vae.toml", "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("run 1/2"):
            break
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 130, lines
    assert "1 of these runs are whole, in runs/vae; what is not goes on with  numpyvae sweep vae.toml --jobs 2" in said
    assert "Traceback" not in said
    assert sorted(name for name in os.listdir("runs/vae") if name != ".lock") == ["epochs=1,seed=0"]
    with pytest.raises(ProcessLookupError):    # nobody is left in its group
        os.killpg(process.pid, 0)
    write(seeds="[0]", grid="epochs = [1, 2]", shared=SMALL.replace("epochs = 1\n", ""))
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert os.path.exists("runs/vae/epochs=2,seed=0/model.npz")


@pytest.mark.slow
def test_after_the_first_steps_no_run_compiles_what_training_needs(tmp_path):
    write(seeds="[0]", grid="")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    words = ["--data=" + str(tmp_path / "mine.npy"), "--hidden", "8", "--epochs", "2", "--batch-size", "20"]
    steps = "import sys; from numpyvae.cli.sweep import first_steps; first_steps([sys.argv[1:]])"
    subprocess.run([sys.executable, "-c", steps, *words], env=environment, check=True)
    compiled = {path.name for path in (tmp_path / "cache").rglob("*.nbc")}
    fit = ("import numpy as np, numpyvae as nv; x = np.load('mine.npy'); rng = np.random.default_rng(0)\n"
           "vae = nv.VAE.dense(48, (8,), 20, rng=rng)\n"
           "list(nv.fit(vae, x, validation=x, optimizer=nv.Adam(), epochs=2, batch_size=20, rng=rng))")
    subprocess.run([sys.executable, "-c", fit], env=environment, check=True)
    assert len(compiled) > 5 and compiled == {path.name for path in (tmp_path / "cache").rglob("*.nbc")}
