"""What a sweep of a thousand runs costs with so many workers, computed from what one run and its bookkeeping take here.

    python -m benchmarks.sweeping --epochs 10 --runs 1000 --seeds 10

Measured, in seconds of the processor: the first step of a setting, a run in a process of its own, the saving of its
files, a table and a figure.
Computed: the time of n runs on w workers, each of which takes a run at a time,

    settings x first step + one compilation + ceil(n / w) x run + n x (saving + transfer) + table and figure,

of which only the runs divide among the workers.  The transfer is that of a run's files at --megabytes per second.
"""
from __future__ import annotations

import argparse
import math
import os
import pathlib
import tempfile
from collections.abc import Callable

from numpyvae.cli import sweep, workers
from numpyvae.cli.sweep_file import read_sweep

WORKERS = (1, 10, 100, 1000)


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Of the processor, ours and our children's, so that other work on the machine does not count."""
    def spent() -> float:
        return sum(os.times()[:4])
    start = spent()
    for _ in range(times):
        work()
    return (spent() - start) / times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeping", description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=10, help="of a run on the bundled images")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10, help="of each setting")
    parser.add_argument("--megabytes", type=float, default=100, help="that the network carries in a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "vae.toml")
        file.write_text(f"seeds = [0]\n[train]\nepochs = {options.epochs}\n[grid]\nlatent = [18, 19, 20, 21]\n")
        runs = read_sweep(str(file))
        compiling = seconds(lambda: sweep.first_steps([runs[0].words]))
        checking = seconds(lambda: sweep._checked(str(file), runs)) / len(runs)
        outcomes: list[workers.Outcome] = []
        run = seconds(lambda: outcomes.append(workers.train(runs[0].words, os.path.join(folder, runs[0].name))))
        (outcome,) = outcomes
        if not outcome.files:
            raise RuntimeError(outcome.why)
        saving = seconds(lambda: sweep._put(folder, runs[0].name, outcome.files), times=5)
        settings = math.ceil(options.runs / options.seeds)
        rows = sweep._rows([runs[0]] * options.seeds, folder)
        table = seconds(lambda: sweep._write(folder, rows * settings))
    size = sum(map(len, outcome.files.values())) / 1e6
    transfer = size / options.megabytes
    print(f"a run of {options.epochs} epochs: {run:.1f} s in a process of its own, {size:.1f} MB of files\n"
          f"serial: a setting's first step {checking:.2f} s, compiling or loading kernels {compiling:.1f} s, saving a "
          f"run {saving:.3f} s, its transfer {transfer:.3f} s, a table and figure of {settings} settings "
          f"{table:.1f} s\n")
    serial = settings * checking + compiling + options.runs * (saving + transfer) + table
    print("| workers | hours | of these serial | runs per hour |\n| ---: | ---: | ---: | ---: |")
    for n in WORKERS:
        total = serial + math.ceil(options.runs / n) * run
        print(f"| {n:,} | {total / 3600:.2f} | {serial / total:.0%} | {options.runs * 3600 / total:,.0f} |")
