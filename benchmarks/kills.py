"""A training process, killed at random and resumed, ends bit for bit as an undisturbed one, again and again.

    python -m benchmarks.kills --count 200
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from numpyvae.files import checkpoint

from .results import table, write_section

BEFORE_IT_BEGAN, IN_TRAINING, IN_A_SAVE, AFTER_THE_END = (
    "before it had noted what it was to do", "in training", "in the middle of a save", "after the last step")


def write_images(folder: str | os.PathLike[str]) -> None:
    """The data that `command` trains on."""
    pixels = np.random.default_rng(0).integers(0, 256, (600, 6, 6), np.uint8)
    np.save(pathlib.Path(folder) / "images.npy", pixels)


def command(out: str) -> list[str]:
    """A run of 100 epochs that spends about half of its time saving; to be started in the folder of the images."""
    return [sys.executable, "-m", "numpyvae", "train", "--data", "images.npy", "--hidden", "16", "--latent", "2",
            "--epochs", "100", "--batch-size", "16", "--binarize", "dynamic", "--checkpoint-every", "5 steps",
            "--out", out]


def run(arguments: list[str]) -> None:
    """Raises RuntimeError with the process's last output if it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} exited with {done.returncode}: {done.stderr}")


def resume(out: str) -> None:
    """Resume, or start over if the process died before it had recorded its options."""
    run([*command(out)[:4], "--resume", out] if os.path.exists(f"{out}/run.json") else command(out))


def digest(out: str) -> str:
    """The digest of the last checkpoint: weights, moments, the random generator and the losses of every epoch."""
    header, arrays = checkpoint.read(os.path.join(out, "checkpoint.npz"))
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(arrays[name].tobytes())
    found.update(repr(header["training"]["rng"]).encode())
    for record in header["training"]["records"]:
        found.update(repr([record[key] for key in ("epoch", "loss", "nll", "kl", "validation")]).encode())
    return found.hexdigest()


def whole_run() -> float:
    """One undisturbed run, in the folder whole/; returns the seconds that it took with cached kernels."""
    run(command("cold"))
    start = time.perf_counter()
    run(command("whole"))
    return time.perf_counter() - start


def kill_and_resume(count: int, seconds: float, seed: int) -> Iterator[tuple[str, str]]:
    """For each of `count` runs: where it was killed, within these seconds, and its final digest."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        out, code = f"run{i}", 0
        while code == 0:    # it had ended before the signal came: try again
            shutil.rmtree(out, ignore_errors=True)
            process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, seconds))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        where = pathlib.Path(out)
        if not (where / "run.json").exists():
            place = BEFORE_IT_BEGAN
        elif (where / "metrics.json").exists():
            place = AFTER_THE_END
        else:
            place = IN_A_SAVE if list(where.glob("*.part")) else IN_TRAINING
        resume(out)
        yield place, digest(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="processes to kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    places: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_images(folder)
        seconds = whole_run()
        whole, equal = digest("whole"), 0
        for i, (place, found) in enumerate(kill_and_resume(options.count, seconds, options.seed), 1):
            places[place] += 1
            equal += found == whole
            print(f"kill {i}: {place}; {'the same bits' if found == whole else 'OTHER BITS'}", flush=True)
    write_section("Killed and resumed", f"python -m benchmarks.kills --count {options.count}", f"""
A training process gets SIGKILL at a moment drawn uniformly from the {seconds:.1f} seconds that it takes, and is
resumed: **{equal} of {options.count}** ended with the SHA-256 (weights, moments, random generator, losses of every
epoch) of an undisturbed run, `{whole[:16]}...` on this machine.

{table(["killed", "times"], places.most_common())}
""")


if __name__ == "__main__":
    main()
