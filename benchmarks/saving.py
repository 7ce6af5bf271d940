"""What saving costs: its share of the time of an ordinary `numpyvae train`.

    NUMPYVAE_DATA=data python -m benchmarks.saving
"""
from __future__ import annotations

import pathlib
import tempfile
import time
from unittest import mock

from numpyvae.files import checkpoint
from numpyvae.cli import main as numpyvae

from .results import table, write_section

RUNS = [("strokes", "dense"), ("mnist", "dense"), ("strokes", "conv")]


def saving(data: str, network: str) -> dict[str, float]:
    """Seconds of a run, and of its saves: the model after each epoch, a checkpoint every minute."""
    saves: list[float] = []
    write = checkpoint.write

    def timed(*arguments: object) -> None:
        start = time.perf_counter()
        write(*arguments)
        saves.append(time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(checkpoint, "write", timed), \
            mock.patch("numpyvae.cli.train.write_run_report", lambda out, *_: ""):    # the report comes after training
        start = time.perf_counter()
        if numpyvae(["train", "--data", data, "--network", network, "--epochs", "30",
                     "--out", str(pathlib.Path(folder) / "run")]):
            raise RuntimeError("the run failed, and said why")
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "saves": len(saves), "saving": sum(saves)}


def main() -> None:
    rows = []
    for data, network in RUNS:
        found = saving(data, network)
        rows.append([data, network, f"{found['seconds']:.1f}", found["saves"],
                     f"{1000 * found['saving'] / found['saves']:.1f}", f"{found['saving'] / found['seconds']:.2%}"])
    write_section("What saving costs", "python -m benchmarks.saving", f"""
Of `numpyvae train --data ... --network ... --epochs 30`: the model after each, and every minute and at the end a
checkpoint with the optimizer's moments.  Each save goes to the disk before training continues.

{table(["data", "network", "seconds", "saves", "ms a save", "share of the time"], rows)}
""")


if __name__ == "__main__":
    main()
