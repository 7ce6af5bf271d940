"""Make the notebooks from their sources.

    python -m lessons.build          all of them
    python -m lessons.build 5 6      these lessons

A source, lessons/source/NN_title.py, is a notebook in jupytext's percent format.  Cells tagged "exercise" hold a
stub and are left out of the solved notebook; cells tagged "solution" are left out of the learner's; those tagged
"hide-input", which only draw, are folded.  The solved notebook is executed; of the learner's only the stubs and their
checks are, since the rest is the same.  A source without exercises, as the refresher, gives one notebook.  What the
claims print is gathered in claims.json.  Needs the extras lessons and dev.
"""
from __future__ import annotations

import argparse
import copy
import json
import os
import pathlib
import re
from typing import Any

from numpyvae.course.claim import LINE

LESSONS = pathlib.Path(__file__).parent
KINDS = {"learner": ("solution", LESSONS), "solved": ("exercise", LESSONS / "solved")}    # kind: tag left out, folder
CLAIMS = LESSONS / "claims.json"
MAX_SECONDS = 600    # of a cell; the tests hold a whole notebook to less


def sources() -> list[pathlib.Path]:
    return sorted((LESSONS / "source").glob("[0-9][0-9]_*.py"))


def has_exercises(source: pathlib.Path) -> bool:
    return 'tags=["exercise"]' in source.read_text(encoding="utf-8")


def notebook_path(source: pathlib.Path, kind: str) -> pathlib.Path:
    return KINDS[kind][1] / f"{source.stem}.ipynb"


def notebook(source: pathlib.Path, kind: str) -> Any:
    """The notebook of a source, not executed; cells have fixed names, so that a build changes only what changed."""
    import jupytext
    made = jupytext.read(source)
    made.cells = [cell for cell in made.cells if KINDS[kind][0] not in cell.metadata.get("tags", [])]
    if kind == "solved":    # companions of the lessons, which have no solved notebook, lie one folder higher
        companions = "|".join(other.stem for other in sources() if not has_exercises(other))
        for cell in made.cells:
            cell.source = re.sub(rf"\]\(({companions})\.ipynb", r"](../\1.ipynb", cell.source)
    for i, cell in enumerate(made.cells):
        cell.id = f"cell-{i}"
        if "hide-input" in cell.metadata.get("tags", []):    # books fold by the tag, JupyterLab by this
            cell.metadata["jupyter"] = {"source_hidden": True}
    made.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"}}
    return made


def execute(made: Any, folder: pathlib.Path) -> Any:
    """Run every cell in a fresh kernel whose folder is the notebook's; no widget state, no times are kept."""
    from nbclient import NotebookClient
    # nbclient's own, asynchronous manager misses a reply now and then on a busy machine, and waits for ever.
    client = NotebookClient(made, kernel_manager_class="jupyter_client.manager.KernelManager", timeout=MAX_SECONDS,
                            record_timing=False, coalesce_streams=True,
                            resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "NUMPYVAE_TALLY": "0"})    # a build solves no exercise for the person who builds
    for cell in made.cells:
        if cell.cell_type == "code":    # a slider without its kernel is an error message: the page shows the figure
            cell.outputs = [output for output in cell.outputs
                            if "application/vnd.jupyter.widget-view+json" not in output.get("data", {})]
    made.metadata.pop("widgets", None)
    made.metadata["language_info"] = {"name": "python"}
    return made


def claims_of(made: Any) -> list[dict[str, Any]]:
    """What the claims in an executed notebook printed."""
    printed = "\n".join("".join(output.get("text", "")) for cell in made["cells"] for output in cell.get("outputs", []))
    return [{"name": match["name"], **{key: float(match[key]) for key in ("value", "expected", "tol")}}
            for match in LINE.finditer(printed)]


def is_exercise(cell: Any) -> bool:
    """Whether a cell is a stub or a solution, or the check of one: all that sets the two notebooks apart."""
    return bool({"exercise", "solution"} & set(cell.metadata.get("tags", []))) or cell.source.startswith("check.")


def run_stubs(learner: Any, folder: pathlib.Path) -> Any:
    """The learner's first cell of code, its stubs and their checks, executed."""
    stubs = copy.deepcopy(learner)
    code = [cell for cell in stubs.cells if cell.cell_type == "code"]
    stubs.cells = [cell for cell in code if cell is code[0] or is_exercise(cell)]
    return execute(stubs, folder)


def learners(learner: Any, solved: Any, stubs: Any) -> Any:
    """The learner's notebook with the outputs of the two that were executed."""
    outputs = {cell.source: cell.outputs for made in (solved, stubs) for cell in made.cells if cell.cell_type == "code"}
    code = [cell for cell in learner.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.outputs, cell.execution_count = outputs[cell.source], count
    return learner


def build(source: pathlib.Path) -> None:
    import nbformat
    learner = notebook(source, "learner")
    if has_exercises(source):
        solved = execute(notebook(source, "solved"), KINDS["solved"][1])
        built = {"learner": learners(learner, solved, run_stubs(learner, LESSONS)), "solved": solved}
    else:
        built = {"learner": execute(learner, LESSONS)}
    for kind, made in built.items():
        path = notebook_path(source, kind)
        nbformat.write(made, path)
        print(f"{path.relative_to(LESSONS.parent)}: {path.stat().st_size / 1000:.0f} kB, {len(claims_of(made))} claims")


def write_claims() -> None:
    """claims.json, from the learner's notebooks as they lie there."""
    CLAIMS.write_text(json.dumps(gathered_claims(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def gathered_claims() -> dict[str, list[dict[str, Any]]]:
    return {source.stem: claims_of(json.loads(notebook_path(source, "learner").read_text(encoding="utf-8")))
            for source in sources() if notebook_path(source, "learner").exists()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the lessons' notebooks from their sources.")
    parser.add_argument("lesson", nargs="*", type=int, help="numbers of lessons; all, if none is given")
    chosen = parser.parse_args().lesson
    for source in sources():
        if not chosen or int(re.match(r"\d+", source.stem)[0]) in chosen:
            build(source)
    write_claims()


if __name__ == "__main__":
    main()
