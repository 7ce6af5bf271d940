"""How well the gradients are verified: the checks' errors, and the mutants that the checks have killed.

    python -m benchmarks.gradients

Also updates the table in the README.
"""
from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

from numpyvae.gradcheck import TOLERANCE, gradcheck

from .results import table, write_section

ROOT = pathlib.Path(__file__).parents[1]
SHOWN = "VAE(bernoulli"    # the components that the README shows
IN_README = re.compile(rf'(numpyvae gradcheck --component "{re.escape(SHOWN)}" --method complex-step\n```\n\n'
                       r"```text\n).*?(```)", re.DOTALL)


def main() -> None:
    rows = []
    for method, tolerance in TOLERANCE.items():
        start = time.perf_counter()
        report = gradcheck(method=method)
        worst = max(report.rows, key=lambda row: row.worst[1])
        errors = np.concatenate([error.ravel() for row in report.rows for error in row.errors.values()])
        rows.append([method, worst.path, len(report.rows), errors.size, f"{np.median(errors):.1e}",
                     f"{worst.worst[1]:.1e} ({worst.component}, {worst.worst[0]})", f"{tolerance:.0e}",
                     len(report.failed), f"{time.perf_counter() - start:.1f}"])
    write_section("Gradient checks", "python -m benchmarks.gradients", table(
        ["method", "path", "components", "entries", "median error", "worst error", "tolerance", "failed", "seconds"],
        rows))
    readme = ROOT / "README.md"
    example = str(gradcheck(SHOWN, "complex-step"))
    text, found = IN_README.subn(lambda found: f"{found[1]}{example}\n{found[2]}", readme.read_text(encoding="utf-8"))
    if found != 1:
        raise LookupError("the README has no place for the table")
    readme.write_text(text, encoding="utf-8")
    write_section("Mutants", "python -m benchmarks.gradients", f"""
Every backward pass, changed in one place at a time, and what became of it (`python -m tests.mutants` lists them all).
"killed": the results were silently wrong, and a gradient check or the comparison of kernel and reference found it.
"equivalent": the same results, for a reason that tests/mutants/equivalents.py gives.

{_mutants("tests.mutants")}
""")
    write_section("Mutants of what computes", "python -m benchmarks.gradients", f"""
Everything else that computes or picks data, changed likewise (`python -m tests.mutants.computing`).  "killed": one of
its judges, the tests of its room that run it, failed, for whatever reason.

{_mutants("tests.mutants.computing")}
""")


def _mutants(module: str) -> str:
    """What became of the mutants that a module makes: a table by kind, and how many they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mutants.json"
        subprocess.run([sys.executable, "-m", module, "--json", str(path)], cwd=ROOT, check=False,
                       stdout=subprocess.DEVNULL)
        counts = json.loads(path.read_text())
    every = [*counts["by kind"].items(), ("all", counts["verdicts"])]
    verdicts = [verdict for verdict, count in counts["verdicts"].items() if count or verdict == "survived"]
    return f"""{table(["mutation", *verdicts], [[kind, *map(found.get, verdicts)] for kind, found in every])}

{counts["mutants"]} mutants of {len(counts["by target"])} functions in {counts["seconds"]:.0f} seconds,
{len(counts["failures"])} survivors."""


if __name__ == "__main__":
    main()
