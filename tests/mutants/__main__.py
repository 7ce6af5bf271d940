"""Run every mutant of every backward pass; exit 1 if one survives or the list of equivalents is wrong."""
from __future__ import annotations

import argparse
import collections
import functools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable, Sequence

from . import checks
from .equivalents import ROWS, Row
from .harness import FAILURES, VERDICTS, Result, examine
from .targets import plain_python, targets


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--target", metavar="NAME", help="only functions whose name holds NAME")
    parser.add_argument("--json", metavar="FILE", help="write the counts to FILE")
    options = parser.parse_args(arguments)

    started = time.perf_counter()
    fork = multiprocessing.get_context("fork")    # so that what is swapped and found here is there too
    with plain_python():
        with fork.Pool() as pool:
            failed = checks.run_unmutated(functools.partial(pool.starmap, chunksize=1)).failed
        if failed:
            parser.exit(1, f"the unmutated package fails {'; '.join(failed)}\n")
        chosen = [i for i, target in enumerate(targets()) if (options.target or "") in target.name]
        with fork.Pool() as pool:
            results = [result for some in pool.imap(examine_one, chosen, chunksize=1) for result in some]
    seconds = time.perf_counter() - started

    functions = [f"{result.path} {result.target}" for result in results]
    print(table("function", results, functions), end="\n\n")
    print(table("mutation", results, [result.kind for result in results]), end="\n\n")
    by = collections.Counter(result.by for result in results if result.verdict == "killed")
    print("killed by", ", ".join(f"{check}: {count}" for check, count in by.most_common()), end="\n\n")
    failures = [result for result in results if result.verdict in FAILURES]
    idle = [] if options.target else idle_rows(results)
    print(*failures, *idle, f"{len(results)} mutants in {seconds:.0f} s, {len(failures)} survived", sep="\n")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(summary(results, seconds), file, indent=1)
    return 1 if failures or idle else 0


def examine_one(i: int) -> list[Result]:
    return list(examine(targets()[i]))


def idle_rows(results: Sequence[Result], rows: Sequence[Row] = ROWS) -> list[str]:
    """Rows that no longer excuse any mutant: the table of equivalents must list only what holds."""
    same = [(result.target, result.mutant) for result in results if result.verdict == "equivalent"]
    return [f"no mutant needs the row {row.target!r}, {row.mutant!r} of equivalents.py"
            for row in rows if not any(row.excuses(*pair) for pair in same)]


def table(title: str, results: Iterable[Result], groups: Iterable[str]) -> str:
    """The verdicts counted for each group, and in all."""
    counts: dict[str, collections.Counter[str]] = {}
    for result, group in zip(results, groups):
        counts.setdefault(group, collections.Counter())[result.verdict] += 1
    counts["total"] = sum(counts.values(), collections.Counter())
    lines = [f"{title:<40}" + "".join(f"{verdict:>13}" for verdict in VERDICTS) + f"{'all':>13}"]
    for group, verdicts in counts.items():
        numbers = [*(verdicts[verdict] for verdict in VERDICTS), verdicts.total()]
        lines.append(f"{group:<40}" + "".join(f"{number or '-':>13}" for number in numbers))
    return "\n".join(lines)


def summary(results: list[Result], seconds: float) -> dict[str, object]:
    """The counts, for a results page."""
    def count(groups: Iterable[str]) -> dict[str, dict[str, int]]:
        counted: dict[str, dict[str, int]] = {}
        for result, group in zip(results, groups):
            counted.setdefault(group, dict.fromkeys(VERDICTS, 0))[result.verdict] += 1
        return counted

    return {"mutants": len(results), "seconds": round(seconds, 1),
            "verdicts": count(["all"] * len(results)).get("all", {}),
            "by kind": count([result.kind for result in results]),
            "by target": count([f"{result.path} {result.target}" for result in results]),
            "failures": [str(result) for result in results if result.verdict in FAILURES]}


if __name__ == "__main__":
    sys.exit(main())
