"""The main job and the tests in less comfortable surroundings than ours.

    python -m tests.surroundings read-only    package, environment and home cannot be written; no network
    python -m tests.surroundings narrow       in a terminal of 30 columns

Runs only the tests of what reads, writes and compiles, or of what prints; with --whole, all tests.

Uses the Python that runs it, with its packages: after `pip uninstall numba`, the second runs without numba.
Linux only: the first uses namespaces, which some machines reserve for root.
"""
from __future__ import annotations

import argparse
import fcntl
import os
import pathlib
import pty
import socket
import struct
import subprocess
import sys
import tempfile
import termios

ROOT = pathlib.Path(__file__).parents[1]
MAIN_JOB = [sys.executable, "-m", "numpyvae", "train", "--epochs", "1", "--hidden", "50", "--out"]
TESTS = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
PRINT = [f"tests/test_{name}.py" for name in ("cli", "what_runs")]
WRITE = PRINT + [f"tests/test_{name}.py" for name in ("files", "format_1", "layers", "report", "training")]
NO_CACHE = "no writable folder for compiled kernels"
COLUMNS = 30


def read_only(tests: list[str]) -> None:
    """Ask for namespaces of our own, in which this file continues with `inside_read_only`."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("home", "tmp"):
            (pathlib.Path(scratch) / folder).mkdir()
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("XDG_", "NUMBA_", "MPLCONFIG", "PYTHONPYCACHE"))}
        environment |= {"HOME": f"{scratch}/home", "TMPDIR": f"{scratch}/tmp"}
        subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "--net", sys.executable, "-m",
                        "tests.surroundings", "inside-read-only", *tests], cwd=ROOT, env=environment, check=True)


def inside_read_only(tests: list[str]) -> None:
    """Mount what shall not be written as read-only; the only network is this machine itself."""
    for folder in (sys.prefix, ROOT, os.environ["HOME"]):
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        if os.access(folder, os.W_OK):
            raise RuntimeError(f"{folder} can be written all the same")
    start_loopback()
    done = subprocess.run([*MAIN_JOB, f"{os.environ['TMPDIR']}/run"], stderr=subprocess.PIPE, text=True, check=True)
    print(done.stderr)
    if done.stderr.count(NO_CACHE) != 1:
        raise RuntimeError(f"expected one line with {NO_CACHE!r}")
    subprocess.run([*TESTS, "-n", "auto", *(tests or WRITE)], check=True)


def start_loopback() -> None:
    """`ip link set lo up`, where there is no ip: the flags of an interface, in the kernel's struct ifreq."""
    set_flags, up = 0x8914, 0x1
    with socket.socket() as control:
        fcntl.ioctl(control, set_flags, struct.pack("16sh22x", b"lo", up))


def narrow(tests: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for command in ([*MAIN_JOB, f"{scratch}/run"], [*TESTS, *(tests or PRINT)]):
            if code := in_a_terminal(command):
                raise subprocess.CalledProcessError(code, command)


def in_a_terminal(command: list[str]) -> int:
    """Run a command in a terminal of COLUMNS columns, and show what it writes; its exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, COLUMNS, 0, 0))
    try:
        while data := os.read(terminal, 2**16):
            os.write(1, data)
    except OSError:    # how Linux reports the end of a terminal
        pass
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


SURROUNDINGS = {"read-only": read_only, "inside-read-only": inside_read_only, "narrow": narrow}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.surroundings", description=__doc__.split("\n")[0])
    parser.add_argument("surroundings", choices=SURROUNDINGS)
    parser.add_argument("tests", nargs="*", help="files of tests")
    parser.add_argument("--whole", action="store_true", help="all tests")
    options = parser.parse_args()
    SURROUNDINGS[options.surroundings](["tests"] if options.whole else options.tests)
