"""The book, before a browser sees it: its formulas, its pages of code, its how-tos, and what it refuses."""
import ast
import contextlib
import io
import json
import pathlib
import re
import shlex
import subprocess
import sys
import types

import pytest

import numpyvae as nv
from book import annotated, build
from book.formulas import inline, tex
from numpyvae.cli import main
from numpyvae.functional.gaussian import gaussian_kl

ROOT = pathlib.Path(__file__).parents[1]
HOWTOS = sorted((ROOT / "book" / "pages" / "howto").glob("*.md"))


def without_spaces(text):
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("text, expected", [
    ("x^2", "x^{2}"), ("e^-|a|", "e^{-|a|}"), ("e^-(p - q)", "e^{-(p-q)}"), ("W^T", "W^{T}"),
    ("1/2 sigma^2", r"\tfrac{1}{2}\sigma^{2}"), ("a b / c", r"a\frac{b}{c}"), ("-a / (1 + b)", r"-\frac{a}{1+b}"),
    ("a / b / c", r"\frac{\frac{a}{b}}{c}"), ("dz/dmu = 1", r"\frac{dz}{d\mu}=1"), ("d/dm = r", r"\frac{d}{dm}=r"),
    ("sum_bi x_bi", r"\sum_{bi}x_{bi}"), ("sum_{j < i} L_ij^2", r"\sum_{j<i}L_{ij}^{2}"),
    ("sqrt(2 pi)", r"\sqrt{2\pi}"), ("exp(logvar / 2)", r"\exp\left(\frac{\mathrm{logvar}}{2}\right)"),
    ("dz/dlogvar_i", r"\frac{dz}{d\mathrm{logvar}_{i}}"), ("N(mu, diag exp(a))", r"N(\mu,\operatorname{diag}\exp(a))"),
    ("integral of e^a da", r"\inte^{a}da"), ("b / integral", r"\frac{b}{\mathrm{integral}}"),
    ("dp/dlog s = -p", r"\frac{dp}{d\logs}=-p"), ("log (L L^T)_ii", r"\log(LL^{T})_{ii}"),
    ("KL( q || p(z) )", r"\mathrm{KL}(q\,\|\,p(z))"), ("<A x, y>", r"\langleAx,y\rangle"),
    ("eps ~ N(0, I)", r"\varepsilon\simN(0,I)"),
    ("a = b  c = d", r"a=b\qquadc=d"), ("a = b for c > 0", r"a=b\;\text{for}\;c>0"),
    ("dx = scatter_patches(dv)", r"dx=\operatorname{scatter\_patches}(dv)"), ("x >= 0, y -> z", r"x\ge0,y\toz")])
def test_a_formula_becomes_tex(text, expected):
    assert without_spaces(tex(text)) == expected


@pytest.mark.parametrize("text", ["(a", "a)", "E[ (a ]"])
def test_a_formula_whose_brackets_do_not_match_is_refused(text):
    with pytest.raises(ValueError, match="do not match"):
        tex(text)


@pytest.mark.parametrize("text, formulas", [
    ("With t = e^-|a| <= 1: it is a sum", ["t=e^{-|a|}\\le1"]),
    ("the same times e^a / e^a, as a rule", [r"\frac{e^{a}}{e^{a}}"]),
    ("z_i has the mean mu_i + b_i here", ["z_{i}", r"\mu_{i}+b_{i}"]), ("so E_q[ log q ] is", [r"E_{q}[\logq]"]),
    ("A draw from a layer", []), ("so dx is the sum of all", []), ("it holds for each of these", [])])
def test_formulas_are_found_in_sentences(text, formulas):
    found = [without_spaces(content.split("\0")[0]) for is_formula, content in inline(text, {"dx"}) if is_formula]
    assert [formula for formula in found if len(formula) > 1] == formulas


@pytest.mark.parametrize("text", ["the mean", "a patches", "x is the integral", "= mean"])
def test_a_sentence_may_end_with_a_word_that_formulas_use(text):
    assert " ".join(content.split("\0")[0] for _, content in inline(text, set())) == text


def test_every_function_has_its_derivation_its_body_and_its_loop():
    pages = annotated.pages()
    assert {"functional_gaussian", "models_vae", "models_posteriors"} <= set(pages)
    folder = pathlib.Path(nv.__file__).parent / "functional"
    for path in folder.glob("[a-z]*.py"):
        text = pages[f"functional_{path.stem}"]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert f"\n{node.name}\n{'-' * len(node.name)}\n" in text
                last = ast.get_source_segment(path.read_text(encoding="utf-8"), node).splitlines()[-1].strip()
                assert last in text, (path.stem, node.name)
    text = pages["functional_gaussian"]
    assert "flat_terms[i] = half * (exp(flat_logvar[i]) + flat_mu[i] * flat_mu[i] - one - flat_logvar[i])" in text
    assert r":doc:`lesson 5, eq. 5.4 </lessons/05_the_kl_three_ways_and_a_misprint>`" in text
    assert "def relu_slope(y):" in pages["functional_activations"]


def test_names_of_several_letters_are_upright():
    """In italics they would be products; indices, and d before one letter, are what they look like."""
    of_names = re.compile(r"\\(mathrm|operatorname|text|begin|end)\{[^}]*\}|\\[A-Za-z]+|(?<=_)\{[a-z]{2,6}\}")
    for name, text in annotated.pages().items():
        formulas = re.findall(r":math:`([^`]*)`", text) + re.findall(r"\.\. math::\n\n((?: +.*\n)+)", text)
        assert formulas and r"\text{iag}" not in text
        for formula in formulas:
            runs = re.findall(r"[A-Za-z]{2,}", of_names.sub(" ", formula))
            assert all(re.fullmatch("d[A-Za-z]", run) for run in runs), (name, formula)


@pytest.mark.parametrize("text, expected", [
    ("dkl (B, Z) -> dmu, and logvar.", "``dkl`` ``(B, Z)`` -> ``dmu``, and ``logvar``."),
    ("a dense layer, n_latent, joins", "a dense layer, ``n_latent``, joins"),
    ("of a @ b, whole (B, n_classes)", "of ``a @ b``, whole ``(B, n_classes)``")])
def test_in_sentences_shapes_and_names_are_code(text, expected):
    assert annotated.prose(text, {"dkl"}) == expected


def test_a_body_is_what_runs():
    body = annotated.body(gaussian_kl.reference)
    assert body.splitlines()[1:] == ["    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1.0 - logvar, axis=1)"]


def test_a_solution_follows_each_stub_and_is_folded():
    for path in sorted((ROOT / "lessons" / "solved").glob("[0-9]*.ipynb")):
        page = build.with_solutions(build.read(ROOT / "lessons" / path.name), path)
        stubs = [i for i, cell in enumerate(page["cells"]) if "exercise" in build.tags(cell)]
        solutions = [cell for cell in build.read(path)["cells"] if "solution" in build.tags(cell)]
        assert [page["cells"][i + 1]["source"] for i in stubs] == [cell["source"] for cell in solutions]
        assert all(build.tags(page["cells"][i + 1]) == ["hide-input"] for i in stubs)
        ids = [cell["id"] for cell in page["cells"]]
        assert len(set(ids)) == len(ids)


def test_notebooks_that_do_not_go_together_are_refused(tmp_path):
    solved = tmp_path / "05_kl.ipynb"
    solved.write_text(json.dumps({"cells": []}))
    learners = {"cells": [{"cell_type": "code", "metadata": {"tags": ["exercise"]}, "source": ""}]}
    with pytest.raises(ValueError, match="05_kl.ipynb has 0 solutions for 1 exercises; .* lessons.build 05"):
        build.with_solutions(learners, solved)


def test_another_mathjax_is_refused_and_none_is_asked_for_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BUILD", tmp_path)
    monkeypatch.setattr(build, "MATHJAX", (tmp_path / "nowhere" / "mathjax.tgz").as_uri())
    with pytest.raises(OSError, match="MathJax cannot be fetched from .*; expected a network, or the file at"):
        build.mathjax()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mathjax.tgz").write_bytes(b"another")
    with pytest.raises(ValueError, match="has SHA-512 .*; expected .*: delete it, and it is fetched again"):
        build.mathjax()


def test_the_front_page_has_a_vae_trained_on_strokes(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "EPOCHS", 1)
    assert build.add_explorer(tmp_path / "explore.html") == len(nv.datasets.load_strokes("train")[0])
    assert "A VAE on drawn digits" in (tmp_path / "explore.html").read_text(encoding="utf-8")
    front = (ROOT / "book" / "pages" / "index.md").read_text(encoding="utf-8")
    assert 'src="explore.html"' in front and "@@STROKES@@" in front


def test_without_its_extra_or_into_a_folder_of_other_things_it_says_so_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["build", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"pip install 'numpyvae\[book\]'"):
        build.main()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(SystemExit, match="which holds something other than a site"):
        build.main()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class Trial:
    """What a search's objective needs of optuna, which the suite does not install."""

    def suggest_int(self, name, low, high):
        return low

    def suggest_float(self, name, low, high, log=False):
        return (low * high) ** 0.5

    def report(self, value, step):
        assert value > 0 and step > 0

    def should_prune(self):
        return False


def optuna():
    def optimize(objective, n_trials):
        study.best_value = min(objective(Trial()) for _ in range(n_trials))
    study = types.SimpleNamespace(optimize=optimize, best_params={})
    return types.SimpleNamespace(create_study=lambda pruner: study, TrialPruned=Exception,
                                 pruners=types.SimpleNamespace(MedianPruner=lambda: None))


def blocks(path):
    """The pieces of code of a page, with their language."""
    return re.findall(r"^```(python|sh)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)


# What these show needs a GPU or a cluster; tests/test_oracle_export.py and test_sweep.py have their like.
ELSEWHERE = {"leaving", "sweeps"}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=[pytest.mark.full] * (path.stem == "sklearn"))
                                  for path in HOWTOS if path.stem not in ELSEWHERE])
def test_the_code_of_a_how_to_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", optuna())
    monkeypatch.setattr("numpyvae.cli.tools._is_there", lambda module: True)    # JupyterLab, which would not end
    monkeypatch.setattr("numpyvae.cli.tools.subprocess.call", lambda *_, **__: 0)
    monkeypatch.setattr("numpyvae.cli.train.write_run_report", lambda out, *_: f"{out}/report.html")    # takes seconds
    names, ran = {"__name__": "how_to"}, 0
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for language, code in blocks(path):
            if language == "python":
                exec(compile(code, str(path), "exec"), names)
                ran += 1
                continue
            for line in filter(None, code.splitlines()):
                program, *arguments = shlex.split(line)
                if program in ("pip", "jupyter"):    # the two that ask the network: for packages, and for a browser
                    assert arguments[0] in ("install", "nbconvert")
                    continue
                assert program == "numpyvae" and main(arguments) == 0, said.getvalue()
                ran += 1
    assert ran > 0


def test_every_how_to_is_in_the_contents_and_every_name_of_the_package_in_the_reference():
    index = (ROOT / "book" / "pages" / "index.md").read_text(encoding="utf-8")
    assert {f"howto/{path.stem}" for path in HOWTOS} <= set(index.split())
    reference = (ROOT / "book" / "pages" / "reference.rst").read_text(encoding="utf-8")
    modules = {"datasets", "evaluation", "exact", "functional", "gradcheck", "museum", "objectives", "plots"}
    for name in set(nv.__all__) - modules - {"__version__"}:
        assert re.search(rf"numpyvae\.{name}$", reference, re.M), name


def test_the_contents_list_lessons_by_what_is_there():
    index = (ROOT / "book" / "pages" / "index.md").read_text(encoding="utf-8")
    patterns = re.findall(r"^lessons/(\S+)$", index, re.M)
    names = {path.stem for path in (ROOT / "lessons").glob("[0-9]*.ipynb")}
    listed = {path.stem for pattern in patterns for path in (ROOT / "lessons").glob(f"{pattern}.ipynb")}
    assert listed == names


@pytest.mark.slow
def test_the_workflow_is_whole_and_runs_the_gate():
    import yaml    # which JupyterLab needs
    [path] = (ROOT / ".github" / "workflows").glob("*.yml")
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    text = "\n".join(step.get("run", "") for step in steps)
    assert ".ci/run" in text and "python -m book.build" in text and "twine check --strict" in text
    for step in steps:
        if "run" in step:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
