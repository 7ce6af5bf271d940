"""The page "Watch it learn" in a real browser: does the model learn there, and does it do what it is asked?

    python -m book.lite_watch SITE    of a site made by python -m book.build --lite

Needs the extra lite, and Chromium.
"""
from __future__ import annotations

import argparse
import pathlib
import shutil
import time
from typing import TYPE_CHECKING

from .serve import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

SECONDS = 300
EPOCHS = 12


def wait_for(page: Page, condition: str) -> float:
    """The seconds until an expression of the page holds."""
    started = time.perf_counter()
    page.wait_for_function(condition, timeout=SECONDS * 1000)
    return time.perf_counter() - started


def look(page: Page) -> str:
    """Start, train, pause, go on with another beta, begin again; says what it took.  Raises AssertionError."""
    button, complaints = page.locator("#watch-run"), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.locator("#watch-beta").fill("8")    # before there is a model, which then has to begin with it
    button.click()
    loaded = wait_for(page, "state.last !== null")
    wait_for(page, f"state.history.length >= {EPOCHS}")
    losses = [loss for loss, _, _ in page.evaluate("state.history")]
    loss, nll, kl = page.evaluate("state.history.at(-1)")
    assert abs(loss - nll - 8 * kl) < 1e-3 * loss, "it trains with another beta than the page shows"
    assert losses[-1] < 0.9 * losses[0], f"the loss went from {losses[0]:.1f} to {losses[-1]:.1f}"
    seconds = page.evaluate("state.last.seconds")
    button.click()
    page.wait_for_timeout(3000 + 2000 * seconds)    # an epoch that has begun comes to its end
    held = page.evaluate("state.history.length")
    page.wait_for_timeout(3000)
    assert page.evaluate("state.history.length") == held, "it trains on though it is paused"
    assert page.locator("#watch-said").inner_text() == "Paused."
    page.locator("#watch-beta").fill("1")
    button.click()
    wait_for(page, f"state.history.length >= {held + EPOCHS}")
    assert page.evaluate("state.history.at(-1)[2]") > kl, "with a lighter KL the KL does not rise"
    assert page.locator("#watch-said").inner_text() == "It learns."
    page.locator("#watch-again").click()
    wait_for(page, f"state.last.epoch < {EPOCHS}")
    assert not complaints, complaints
    return f"loaded after {loaded:.0f} s, {seconds:.1f} s an epoch, loss {losses[0]:.1f} to {losses[-1]:.1f}"


def main(site: pathlib.Path) -> None:
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright, served(site) as address:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/watch.html")
        print(look(page))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=pathlib.Path)
    main(parser.parse_args().site)
