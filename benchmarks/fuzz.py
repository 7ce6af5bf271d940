"""A coverage-guided fuzzer for every reader of files: atheris searches for bytes that reach new lines of code.

    pip install -e ".[fuzz]"
    python -m benchmarks.fuzz --minutes 10

A file that is neither read nor refused with our one-line message ends the run and is kept in fuzz/; make it a test.
"""
from __future__ import annotations

import argparse
import gzip
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile
from typing import Any

import numpy as np

from .hostile import KINDS, Kind, saved, zipped
from .results import table, write_section

MEGABYTES = 1024        # of memory; more is a crash: Python, NumPy and the fuzzer itself need 200
FOUND = pathlib.Path("fuzz")


class Target:
    """One input of the fuzzer: a byte that says which reader, and whether to pack the rest first; then the rest."""

    def __init__(self, folder: pathlib.Path):
        self.kind = Kind(folder)
        self.path = folder / "file"
        self.good = {name: self.kind.good(name) for name in KINDS}
        self.values = saved(self.kind.vae.parameters.values)
        with zipfile.ZipFile(io.BytesIO(self.good["checkpoint"][0])) as archive:
            self.members = [(name.removesuffix(".npy"), archive.read(name)) for name in archive.namelist()]

    def seeds(self) -> list[bytes]:
        """Good files, both as they are and unpacked."""
        raw = [bytes([i]) + content for i, name in enumerate(KINDS) for content in self.good[name]]
        packed = {"gzip": self.good["idx"], "npz": self.good["npy"], "model": [self.header(self.good["model"][0])],
                  "checkpoint": [bytes([i]) + content for i, (_, content) in enumerate(self.members)]}
        return raw + [bytes([KINDS.index(name) + len(KINDS)]) + content for name in packed for content in packed[name]]

    def header(self, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("header.npy") as member:
            return bytes(np.load(io.BytesIO(member.read())))

    def packed(self, name: str, content: bytes) -> bytes:
        """Checksums would hide what lies behind them from the fuzzer, so it mutates the unpacked content."""
        if name == "gzip":
            return gzip.compress(content, 1)
        if name == "npz":
            return zipped([("images", content)])
        if name == "model":
            return zipped([("header", saved(np.frombuffer(content, np.uint8))), ("values", self.values)])
        if name == "checkpoint" and content:
            members = list(self.members)
            i = content[0] % len(members)
            members[i] = (members[i][0], content[1:])
            return zipped(members)
        return content

    def __call__(self, data: bytes) -> None:
        """Raises what a reader must not raise: anything but our one-line message."""
        if not data:
            return
        name = KINDS[data[0] % len(KINDS)]
        self.path.write_bytes(self.packed(name, data[1:]) if data[0] // len(KINDS) % 2 else data[1:])
        try:
            self.kind.readers[name](self.path)
        except (ValueError, FloatingPointError) as error:
            assert type(error) in (ValueError, FloatingPointError), f"not an error of ours: {error!r}"
            assert "\n" not in str(error), f"an error of more than one line: {error!r}"
        assert not (self.kind.folder / "run").exists(), "a pickle was run"


def fuzz(options: argparse.Namespace) -> None:
    """Fuzz in this process, until time is up or a file does harm."""
    import atheris
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["numpyvae"]):
        import numpyvae  # noqa: F401  (and with it the readers, which are instrumented)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as corpus:
        target = Target(pathlib.Path(folder))
        for i, seed in enumerate(target.seeds()):
            (pathlib.Path(corpus) / f"seed{i}").write_bytes(seed)
        atheris.Setup([sys.argv[0], corpus, f"-max_total_time={60 * options.minutes:.0f}", "-max_len=8192",
                       f"-rss_limit_mb={MEGABYTES}", "-timeout=20", "-print_final_stats=1", "-verbosity=0",
                       f"-seed={options.seed + 1}", f"-artifact_prefix={FOUND}/"], target)
        atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)    # the fuzzer ends its process itself
    options = parser.parse_args()
    if options.here:
        fuzz(options)
    FOUND.mkdir(exist_ok=True)
    arguments = [sys.executable, "-m", "benchmarks.fuzz", "--here", "--minutes", str(options.minutes), "--seed",
                 str(options.seed)]
    environment = {**os.environ, "NUMPYVAE_KERNELS": "0"}    # numba cannot compile instrumented code
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, env=environment)
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    if done.returncode or not stats:
        print(done.stderr[-5000:], file=sys.stderr)
        return 1
    rows: list[list[Any]] = [["files read", f"{int(stats['number_of_executed_units']):,}"],
                             ["kept, because they reached new lines", f"{int(stats['new_units_added']):,}"],
                             ["files that did harm", 0], ["most memory", f"{stats['peak_rss_mb']} MB"]]
    write_section("Fuzzed", f"python -m benchmarks.fuzz --minutes {options.minutes:g}", f"""
Models, checkpoints, IDX, gzip, .npy, .npz and pictures; guided by the lines of the package that they reach.  More
than {MEGABYTES} MB, 20 seconds, or an error of more than one line would be harm.

{table(["", ""], rows)}
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
