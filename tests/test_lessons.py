"""The lessons: notebooks that match their sources and run, claims that hold, exercises that give feedback."""
import ast
import importlib
import inspect
import json
import os
import pathlib
import re
import resource
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from lessons.build import gathered_claims, has_exercises
from numpyvae.course import Lesson, lesson_07
from numpyvae.course.check import DONE, NOT_ATTEMPTED, NOT_YET, Check, verdict
from numpyvae.course.claim import ClaimFailed, claim
from numpyvae.models.posteriors import DiagonalGaussian

pytestmark = pytest.mark.usefixtures("same_draws")

ROOT = pathlib.Path(__file__).parents[1]
LESSONS = ROOT / "lessons"
SOURCES = {source.stem: source for source in sorted((LESSONS / "source").glob("[0-9][0-9]_*.py"))}
NUMBERS = {stem: int(stem[:2]) for stem, source in SOURCES.items() if has_exercises(source)}
COMPANIONS = [stem for stem in SOURCES if stem not in NUMBERS]    # the refresher and the glossary
WHOLE = [*((stem, "solved") for stem in NUMBERS), *((stem, "learner") for stem in COMPANIONS)]
SECONDS = 60
SECONDS_ON_MNIST = 300
every_lesson = pytest.mark.parametrize("stem", NUMBERS)
every_notebook = pytest.mark.parametrize("stem, kind", [*WHOLE, *((stem, "learner") for stem in NUMBERS)])
every_whole_notebook = pytest.mark.parametrize("stem, kind", WHOLE)
how_often = pytest.mark.parametrize("draws", [20, pytest.param(200, marks=pytest.mark.full)])


def judges(number):
    module = importlib.import_module(f"numpyvae.course.lesson_{number:02d}")
    return {name: f for name, f in vars(module).items() if hasattr(f, "is_exercise")}


def answers(number):
    return importlib.import_module(f"course.wrong_{number:02d}")


EXERCISES = [(number, name) for number in NUMBERS.values() for name in judges(number)]
WRONG = [(number, name, i) for number in NUMBERS.values() for name, wrong in answers(number).WRONG.items()
         for i in range(len(wrong))]


def committed(stem, kind):
    folder = LESSONS if kind == "learner" else LESSONS / "solved"
    return json.loads((folder / f"{stem}.ipynb").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def printed(notebook):
    return "\n".join("".join(output.get("text", "")) for cell in code_cells(notebook) for output in cell["outputs"])


# Exercises

@how_often
@pytest.mark.parametrize("number, name", EXERCISES)
def test_the_stub_is_not_attempted_and_the_solution_is_done(number, name, draws):
    judge = judges(number)[name]
    assert verdict(judge, ...)[0] == verdict(judge, None)[0] == NOT_ATTEMPTED
    right = answers(number).RIGHT[name]
    if callable(right):
        assert verdict(judge, lambda *args: ...)[0] == NOT_ATTEMPTED
    for _ in range(draws):
        assert verdict(judge, right) == (DONE, "")


@how_often
@pytest.mark.parametrize("number, name, i", WRONG)
def test_a_wrong_answer_is_rejected_with_its_reason(number, name, i, draws):
    answer, words = answers(number).WRONG[name][i]
    for _ in range(draws):
        state, reason = verdict(judges(number)[name], answer)
        assert state == NOT_YET
        assert words in reason


def test_the_gradients_that_lesson_7_asks_for_are_all_alive():
    """Where a tanh is flat, no gradient reaches z, so even a wrong formula behind it gives the right result."""
    for seed in range(2000):
        h, _, _, _, g, *_ = lesson_07.forward(*lesson_07.draw_case(np.random.default_rng(seed)))
        assert (1 - h**2).max() > 0.01 and (1 - g**2).max() > 0.01


@every_lesson
def test_every_exercise_has_three_wrong_answers_and_every_lesson_but_the_first_three_exercises(stem):
    number = NUMBERS[stem]
    assert set(answers(number).WRONG) == set(answers(number).RIGHT) == set(judges(number))
    assert len(judges(number)) >= (3 if number else 1)
    assert all(len(wrong) >= 3 for wrong in answers(number).WRONG.values())


def test_check_knows_its_exercises_and_counts(capsys):
    check = Check(5)
    check.kl(answers(5).RIGHT["kl"])
    check.kl_backward(None)
    check.faults("mean")
    check.tally()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ kl: done"
    assert lines[1] == "○ kl_backward: not attempted"
    assert lines[2].startswith("✗ faults: not yet: expected a dictionary")
    assert lines[3] == "1 of 4 exercises done; still open: kl_backward, kl_to_wide_prior, faults"
    with pytest.raises(AttributeError, match="no exercise 'KL'; the exercises are kl, kl_backward"):
        check.KL


def test_what_an_answer_does_to_its_arguments_harms_nobody():
    def careless(mu, logvar):
        result = answers(5).RIGHT["kl"](mu, logvar)
        mu[:] = 0
        return result
    assert verdict(judges(5)["kl"], careless)[0] == DONE


# Claims

def test_a_claim_that_fails_stops_with_a_line_that_says_what_to_do(capsys):
    claim("pi", 3.14159, 3.14, 0.01)
    assert capsys.readouterr().out == "claim pi: 3.14159, the text says 3.14 ± 0.01 ✓\n"
    for value in (3.2, float("nan")):
        with pytest.raises(ClaimFailed, match="this does not hold. If you changed a cell above") as failed:
            claim("pi", value, 3.14, 0.01)
        assert len(failed.value._render_traceback_()) == 1


def test_a_claim_about_one_data_set_is_not_judged_on_another(capsys):
    lesson = Lesson(5)
    with pytest.raises(ClaimFailed):
        lesson.claim("accuracy", 0.5, 0.9, 0.01, on="strokes")
    lesson.claim("accuracy", 0.5, 0.9, 0.01, on="mnist")
    assert capsys.readouterr().out == "accuracy: 0.5 on this data; the text says 0.9, for `strokes`\n"
    with pytest.raises(ValueError, match="DATA is 'cifar'; expected one of"):
        Lesson(5, "cifar")


def test_claims_json_is_what_the_notebooks_print():
    assert json.loads((LESSONS / "claims.json").read_text(encoding="utf-8")) == gathered_claims()


@pytest.mark.parametrize("stem", SOURCES)
def test_claims_json_lists_every_claim_of_a_source(stem):
    source = SOURCES[stem].read_text(encoding="utf-8")
    named, claimed = set(re.findall(r'\bclaim\(\s*"(.*?)"', source)), {one["name"] for one in gathered_claims()[stem]}
    works_names_out = re.search(r'\bclaim\(\s*[^"\s)]', source)    # as for each of a step's gradients
    assert named < claimed if works_names_out else named == claimed


# The notebooks as they are committed

@every_notebook
def test_the_notebook_is_up_to_date_with_its_source(stem, kind):
    from lessons.build import notebook
    made = notebook(SOURCES[stem], kind)
    now = [(cell["cell_type"], "".join(cell["source"])) for cell in committed(stem, kind)["cells"]]
    assert now == [(cell.cell_type, cell.source) for cell in made.cells], f"run python -m lessons.build {stem[:2]}"


@every_notebook
def test_the_notebook_shows_no_error_and_no_warning_and_is_small(stem, kind):
    notebook = committed(stem, kind)
    check_outputs(notebook, kind, stem)
    folder = LESSONS if kind == "learner" else LESSONS / "solved"
    assert (folder / f"{stem}.ipynb").stat().st_size < 1_000_000
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    for cell in code_cells(notebook):
        assert "execution" not in cell["metadata"]
        assert not any("widget-view" in mime for output in cell["outputs"] for mime in output.get("data", {}))


@every_lesson
def test_the_learners_notebook_shows_what_the_solved_one_does(stem):
    """So running the solved one and the learner's stubs is as good as running both."""
    shown = {"".join(cell["source"]): cell["outputs"] for cell in code_cells(committed(stem, "solved"))}
    cells = {"".join(cell["source"]): cell["outputs"] for cell in code_cells(committed(stem, "learner"))}
    apart = [source for source in cells if cells[source] != shown.get(source)]
    n = len(judges(NUMBERS[stem]))
    assert sum(source.startswith("check.") for source in apart) == n
    stubs = [source for source in apart if not source.startswith("check.")]
    assert len(stubs) == n and all("..." in source for source in stubs), f"run python -m lessons.build {stem[:2]}"


@every_lesson
def test_what_a_lesson_shows_is_the_package_as_it_is(stem):
    names = {"lesson": Lesson(NUMBERS[stem])}
    cells = code_cells(committed(stem, "learner"))
    for cell in cells:
        for node in ast.parse("".join(cell["source"])).body:
            line = ast.unparse(node)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and "numpyvae" in line:
                exec(line, names)
    for cell in cells:
        source = "".join(cell["source"])
        if source.startswith("lesson.show("):
            shown = "".join(cell["outputs"][0]["data"]["text/plain"])
            assert shown == str(eval(source, names)), f"run python -m lessons.build {stem[:2]}"


def check_outputs(notebook, kind, stem):
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.get("text")
    if stem in COMPANIONS:
        return
    text = printed(notebook)
    n = len(judges(NUMBERS[stem]))
    if kind == "solved":
        assert f"{n} of {n} exercises done" in text
    else:
        assert f"0 of {n} exercises done" in text
        assert NOT_YET not in text


@every_whole_notebook
def test_the_writing_keeps_its_rules(stem, kind):
    for cell in committed(stem, kind)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert source.count("\n") < 20, source
        assert not re.search(r"\b(clearly|obviously|easy to see)\b", source, re.IGNORECASE), source


@every_lesson
def test_a_lesson_has_its_parts(stem):
    cells = committed(stem, "solved")["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for part in ("question", "derivation", "code", "experiment", "Exercises", "learned", "still wrong"):
        assert part in text, part
    assert "lesson.slider(" in "".join("".join(cell["source"]) for cell in cells)
    assert any("image/png" in output.get("data", {}) for cell in code_cells({"cells": cells})
               for output in cell["outputs"])


def test_derivation_and_code_are_tied_both_ways():
    """An equation that the package cites stands in its lesson; what a lesson shows cites an equation of it."""
    cited = set()
    for path in pathlib.Path(nv.__file__).parent.rglob("*.py"):
        cited |= set(re.findall(r"lesson (\d+), eq\. (\d+\.\d+)", path.read_text(encoding="utf-8")))
    tags = {(str(number), tag) for stem, number in NUMBERS.items()
            for tag in re.findall(r"\\tag\{([\d.]+)\}", SOURCES[stem].read_text(encoding="utf-8"))}
    shown = [(number, call) for stem, number in NUMBERS.items()
             for call in re.findall(r"lesson\.show\(([^)]*)\)", SOURCES[stem].read_text(encoding="utf-8"))]
    assert cited and cited <= tags
    assert {number for number, _ in shown} == set(NUMBERS.values()) - {0}    # the whole game has no equations
    for number, call in shown:
        assert re.search(r'"\d+\.\d+"', call), f"lesson {number}: show({call}) names no equation"


# Where each gradient of lesson 7's eq. 7.3 is computed: by step, under the package's names.
STEPS = {5: ["dtheta"], 4: ["dz"], 3: ["dmu", "dlogvar"], 2: ["dh"], 1: ["encoder.backward"]}


@pytest.mark.parametrize("step", STEPS)
def test_each_line_of_the_backward_pass_stands_in_the_two_functions_that_the_lesson_shows(step):
    shown = [inspect.getsource(code) for code in (nv.VAE.loss_and_grad, DiagonalGaussian.backward,
                                                  DiagonalGaussian.backward_heads)]
    lines = [line for source in shown for line in source.splitlines() if f"step {step}" in line]
    assert lines and all(any(name in line for line in lines) for name in STEPS[step]), lines


# The notebooks, executed

OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("this test has no network")
real = socket.socket.connect
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        refuse()
    return real(self, address)
socket.socket.connect = connect
socket.getaddrinfo = refuse
"""

OTHER_SEEDS = """
import numpy as np
original = np.random.default_rng
def other(seed=None):
    return original(seed + {shift} if isinstance(seed, int) else seed)
np.random.default_rng = other
"""

SIZES_OF_A_BROWSER = """
import numpyvae.course
numpyvae.course.Lesson.size = lambda self, usual, in_browser: in_browser
"""

EXECUTE = """
import pathlib, sys, nbformat
from lessons.build import execute, has_exercises, notebook, run_stubs
source, kind, data, out = sys.argv[1:]
source = pathlib.Path(source)
made = notebook(source, kind)
for cell in made.cells:
    cell.source = cell.source.replace('DATA = "strokes"', f'DATA = "{data}"')
run = run_stubs if kind == "learner" and has_exercises(source) else execute
nbformat.write(run(made, pathlib.Path(out).parent), out)
"""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory, worker_id):
    """Where notebooks keep their kernels: one folder for all of them and all workers, empty at first."""
    own = tmp_path_factory.getbasetemp()
    return (own if worker_id == "master" else own.parent) / "compiled"


def run_notebook(stem, kind, data, tmp_path, compiled, kernels=True, shift=0, in_browser=False):
    """From scratch: a fresh kernel, no network.  The notebook, and its processor time in s.

    compiled   : the folder of compiled kernels
    kernels    : False runs NumPy alone
    shift      : is added to every seed
    in_browser : in the sizes of a browser
    """
    (tmp_path / "sitecustomize.py").write_text(OFFLINE + (OTHER_SEEDS.format(shift=shift) if shift else "")
                                               + (SIZES_OF_A_BROWSER if in_browser else ""))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(compiled), "OPENBLAS_NUM_THREADS": "1",
                   **({} if kernels else {"NUMPYVAE_KERNELS": "0"}),
                   "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = tmp_path / f"{stem}.ipynb"
    done = subprocess.run([sys.executable, "-c", EXECUTE, str(SOURCES[stem]), kind, data, str(out)], cwd=ROOT,
                          env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    # CPU time on one thread: wall time runs on while other processes hold the machine, and waiting threads spin.
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(out.read_text(encoding="utf-8")), end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def words(notebook):
    """What the cells print and show, without numbers: a trained model's digits change with the machine."""
    shown = ["".join(output.get("data", {}).get("text/plain", "")) for cell in code_cells(notebook)
             for output in cell["outputs"]]
    text = re.sub(r"[-−]?\d[\d.,e+-]*", "#", "\n".join([printed(notebook), *shown]))
    return re.sub(r"([][,])", r" \1 ", text).split()    # NumPy fills a short number in an array with blanks


@pytest.mark.slow
@every_whole_notebook
def test_the_whole_notebook_runs_from_scratch(stem, kind, tmp_path, compiled):
    notebook, _ = run_notebook(stem, kind, "strokes", tmp_path, compiled)
    check_outputs(notebook, kind, stem)
    assert words(notebook) == words(committed(stem, kind)), f"run python -m lessons.build {stem[:2]}"


@pytest.mark.full    # not in the gate, which runs on machines of any speed
@every_lesson
def test_the_notebook_takes_less_than_a_minute(stem, tmp_path):
    nothing_yet = tmp_path / "compiled"
    _, seconds = run_notebook(stem, "solved", "strokes", tmp_path, nothing_yet)
    assert seconds < SECONDS


@pytest.mark.slow
@every_lesson
def test_the_stubs_run_from_scratch(stem, tmp_path, compiled):
    notebook, _ = run_notebook(stem, "learner", "strokes", tmp_path, compiled)
    check_outputs(notebook, "learner", stem)


@pytest.mark.full
@every_lesson
def test_the_notebook_runs_on_mnist(stem, tmp_path, compiled):
    assert "NUMPYVAE_DATA" in os.environ, "say where MNIST is"
    notebook, seconds = run_notebook(stem, "solved", "mnist", tmp_path, compiled)
    check_outputs(notebook, "solved", stem)
    assert seconds < SECONDS_ON_MNIST


@pytest.mark.full
@every_lesson
def test_the_notebook_runs_without_kernels(stem, tmp_path, compiled):
    """As in a browser, where there is no numba."""
    notebook, seconds = run_notebook(stem, "solved", "strokes", tmp_path, compiled, kernels=False)
    check_outputs(notebook, "solved", stem)
    assert seconds < SECONDS


@pytest.mark.full
@pytest.mark.parametrize("shift", [1000, 2000])
@every_lesson
def test_what_a_lesson_claims_holds_at_other_seeds(stem, shift, tmp_path, compiled):
    notebook, _ = run_notebook(stem, "solved", "strokes", tmp_path, compiled, shift=shift)
    check_outputs(notebook, "solved", stem)


SMALLER_IN_A_BROWSER = [stem for stem, source in SOURCES.items() if "in_browser=" in source.read_text(encoding="utf-8")]


@pytest.mark.full
@pytest.mark.parametrize("shift", [0, 1000, 2000])
@pytest.mark.parametrize("stem", SMALLER_IN_A_BROWSER)
def test_what_a_lesson_claims_holds_in_the_sizes_of_a_browser(stem, shift, tmp_path, compiled):
    notebook, _ = run_notebook(stem, "solved", "strokes", tmp_path, compiled, kernels=False, shift=shift,
                               in_browser=True)
    check_outputs(notebook, "solved", stem)
