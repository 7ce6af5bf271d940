import itertools
import os
import shutil
import signal
import zlib

import numpy as np
import pytest
from hypothesis import settings

# In notebooks that run in processes of their own too: a test solves no exercise for the person who runs it.
os.environ["NUMPYVAE_TALLY"] = "0"

# Processes that a shell starts in the background ignore Ctrl-C, and so would those that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The suite draws the same examples every time; `pytest --hypothesis-profile=thorough` draws new ones, and more.
settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def rng():
    return np.random.default_rng(20131220)


@pytest.fixture
def same_draws(monkeypatch, request):
    """Judges of exercises draw the same inputs in every run of a test, and wait: a busy machine may stand still."""
    monkeypatch.setattr("numpyvae.course.check.SECONDS", 100.0)
    seeds = itertools.count(zlib.crc32(request.node.name.encode()))
    monkeypatch.setattr("numpyvae.course.check.new_rng", lambda: np.random.default_rng(next(seeds)))


@pytest.fixture
def blobs():
    """Twelve smooth grey pictures, (12, 8, 6), as people may bring them."""
    y, x = np.mgrid[:8, :6]
    centres = np.random.default_rng(0).uniform(2, 5, (12, 2, 1, 1))
    return np.rint(255 * np.exp(-((y - centres[:, 0])**2 + (x - centres[:, 1])**2) / 4)).astype(np.uint8)


@pytest.fixture(scope="session")
def browser():
    """Chromium, for tests marked full; `.ci/browser` installs what it needs."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def oracles():
    """Models and objectives in PyTorch, tests/oracles.py, for tests marked oracle; without PyTorch they fail."""
    from tests import oracles
    return oracles
