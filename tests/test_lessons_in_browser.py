"""The lessons as a learner meets them: in JupyterLab, in a real browser.  `.ci/browser` installs what this needs."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

LESSONS = pathlib.Path(__file__).parents[1] / "lessons"
NOTEBOOKS = [LESSONS / path.name for path in sorted((LESSONS / "solved").glob("[0-9][0-9]_*.ipynb"))]
SECONDS = 600
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a JupyterLab that shows the learner's notebooks, without their outputs."""
    folder = tmp_path_factory.mktemp("lessons")
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        (folder / path.name).write_text(json.dumps(notebook), encoding="utf-8")
    settings = tmp_path_factory.mktemp("settings") / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')    # every cell in the page
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
         "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"],
        env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(settings.parents[1])}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=1)
                break
            except OSError:
                time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def lab(server):
    """The address; what a lesson started there ends with it, as a kernel keeps all that its notebook has made."""
    yield server
    with urllib.request.urlopen(f"{server}/api/sessions") as answer:
        sessions = json.load(answer)
    for session in sessions:
        urllib.request.urlopen(urllib.request.Request(f"{server}/api/sessions/{session['id']}", method="DELETE"))


def open_lesson(browser, lab, path):
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.goto(f"{lab}/lab/tree/{path.name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=SECONDS * 1000)
    # The indicator beside the kernel's name is idle before there is a kernel, and Run All then asks for one.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=SECONDS * 1000)
    return page


def run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    # Asked once a second: with every frame, as it is by itself, laying out the text takes half a core from the lesson.
    page.wait_for_function("document.querySelector('.jp-Notebook').innerText.includes('exercises done')",
                           polling=1000, timeout=SECONDS * 1000)
    page.wait_for_timeout(1500)    # for the last formulas and figures


def cell_with(page, text):
    return page.locator(".jp-CodeCell", has=page.locator(".jp-InputArea-editor", has_text=text)).first


def answer(page, stub, code, check):
    """Replace the cell that holds the stub, run it, run the check's cell, and return what that says."""
    cell = cell_with(page, stub)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Control+Enter")
    judged = cell_with(page, check)
    judged.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(1500)
    return judged.locator(".jp-OutputArea").inner_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_run_all_shows_everything(browser, lab, path, tmp_path):
    page = open_lesson(browser, lab, path)
    run_all(page)
    page.screenshot(path=tmp_path / "top.png")
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator("mjx-container").count() > 5
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    overflow = page.evaluate("""() => [...document.querySelectorAll('.jp-RenderedMarkdown, .jp-OutputArea-output')]
        .filter(e => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 4).map(e => e.innerText.slice(0, 80))""")
    assert overflow == []
    widths = page.evaluate("[...document.querySelectorAll('.jp-OutputArea img')].map(e => e.naturalWidth)")
    assert len(widths) >= 2 and min(widths) > 100
    page.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_slider_redraws_its_figure(browser, lab, path, tmp_path):
    page = open_lesson(browser, lab, path)
    run_all(page)
    widget = page.locator(".widget-interact").first
    widget.scroll_into_view_if_needed()
    picture = widget.locator("img")
    before = picture.get_attribute("src")
    widget.locator(".noUi-handle").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(3000)
    page.screenshot(path=tmp_path / "slider.png")
    assert picture.get_attribute("src") != before
    page.close()


def test_a_wrong_and_then_a_right_answer(browser, lab, tmp_path):
    page = open_lesson(browser, lab, next(path for path in NOTEBOOKS if path.name.startswith("05")))
    run_all(page)
    start = "def my_kl(mu, logvar):\n    return 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - "
    wrong = answer(page, "def my_kl(", start + "0.5 * logvar, axis=1)", "check.kl(")
    assert "not yet: it is the lecture's misprint" in wrong
    right = answer(page, "def my_kl(", start + "logvar, axis=1)", "check.kl(")
    assert "✓ kl: done" in right
    page.screenshot(path=tmp_path / "answer.png")
    page.close()
