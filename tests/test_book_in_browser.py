"""The book as people meet it: every page in a real browser, at the width of a phone and of a screen, in light and in
dark mode, from this machine alone.  Needs what `.ci/browser` installs and the extra `book`; MathJax is fetched once."""
import pathlib
import re
import subprocess
import sys

import pytest

from book.serve import served
from tests.in_browser import serious, walk, windows

ROOT = pathlib.Path(__file__).parents[1]
LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("[0-9]*.ipynb"))
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, and its address."""
    folder = tmp_path_factory.mktemp("book") / "site"
    subprocess.run([sys.executable, "-m", "book.build", "--out", str(folder)], cwd=ROOT, check=True)
    with served(folder) as address:
        yield folder, address


@pytest.fixture
def visit(browser, site):
    """Open a page of the book."""
    with windows(browser, (site[1], "data:"), may_log=True) as open_page:
        def open_name(name, width=1300, scheme="light", **options):
            page = open_page(f"{site[1]}/{name}", width, scheme, **options)
            page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
            return page
        yield open_name


def pages(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html")
                  if "_static" not in path.parts)


def faults(page, width):
    """What is wrong with a page, in words."""
    found = page.evaluate("""() => [...document.querySelectorAll("mjx-merror, [data-mjx-error], .MathJax_Error")]
        .map(e => "formula: " + e.outerHTML.slice(0, 200))""")
    found += page.evaluate("""() => [...document.querySelectorAll("main .problematic, main .system-message")]
        .map(e => "markup: " + e.innerText.slice(0, 200))""")
    left = page.evaluate("""() => [...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
        .map(e => "formula not set: " + e.innerText.slice(0, 200))""")
    if page.evaluate("document.documentElement.scrollWidth") > width:
        found.append(f"wider than {width}: " + str(page.evaluate("""width => [...document.querySelectorAll("main *")]
            .filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest("pre, mjx-container, .cell_output"))
            .map(e => e.outerHTML.slice(0, 100)).slice(0, 3)""", width)))
    found += left + serious(page)
    page.context.close()    # dozens of open pages slow each other down
    return found


@pytest.mark.parametrize("width, scheme", [(1300, "light"), (375, "dark")])
def test_no_page_has_a_fault(width, scheme, site, visit):
    names = pages(site[0])
    assert len(names) > 35
    assert {name: found for name in names if (found := faults(visit(name, width, scheme), width))} == {}


@pytest.mark.parametrize("width, scheme", [(1300, "light"), (1300, "dark"), (375, "light"), (375, "dark")])
def test_the_front_page_begins_with_a_digit_to_draw(width, scheme, visit):
    page = visit("index.html", width, scheme)
    frame = page.frames[1]
    frame.wait_for_function("took > 0 && !waiting")
    page.wait_for_function("""() => { const frame = document.querySelector(".explorer");
        return frame.clientHeight === frame.contentDocument.body.offsetHeight; }""")    # all of it, and no more
    assert frame.evaluate("document.documentElement.scrollWidth") <= frame.evaluate("innerWidth")
    assert not frame.locator("h1").is_visible() and frame.locator("#pad").is_visible()
    code, decoded = frame.evaluate("[...state.z]"), frame.evaluate("find('decoded').toDataURL()")
    pad = frame.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert page.locator(".explorer").bounding_box()["y"] < 1.2 * 900 - page.evaluate("scrollY")
    for i, (right, down) in enumerate([(0.5, 0.2), (0.3, 0.5), (0.5, 0.8), (0.7, 0.5), (0.5, 0.2)]):    # a 0
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=5)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    frame.wait_for_function("!waiting")
    assert frame.evaluate("[...state.z]") != code and frame.evaluate("find('decoded').toDataURL()") != decoded
    nearest = frame.evaluate("""() => {
        const far = (i) => state.z.reduce((sum, value, j) => sum + (value - codes[n_latent * i + j]) ** 2, 0);
        const order = given.colourings[0].values.map((_, i) => i).sort((i, j) => far(i) - far(j));
        return order.slice(0, 5).map((i) => given.colourings[0].values[i]); }""")
    assert nearest.count(0) > 2    # it lands among the zeros


def test_the_page_within_the_front_page_is_dark_when_that_is(visit):
    page = visit("index.html", 1300, "dark")
    page.frames[1].wait_for_function("took > 0 && !waiting")
    seen = []
    for theme in ("light", "dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        page.wait_for_timeout(300)
        seen.append(page.frames[1].evaluate("""[getComputedStyle(find("clear")).backgroundColor, css("--ink"),
                                               getComputedStyle(document.documentElement).colorScheme]"""))
    assert seen == [["rgb(251, 250, 248)", "#22262b", "light"], ["rgb(20, 23, 26)", "#e6e4df", "dark"], seen[0]]


def test_the_keyboard_goes_through_the_page_within_the_front_page(visit):
    page = visit("index.html")
    page.frames[1].wait_for_function("took > 0 && !waiting")
    names = walk(page)
    inner = page.frames[1].eval_on_selector_all("[id][tabindex='0'], button[id]",
                                                "all => all.filter(e => e.checkVisibility()).map(e => e.id)")
    assert {"pad", "map", "clear"} <= set(inner) <= set(names)
    assert names[-1] not in inner    # and out of it again


def test_without_javascript_the_front_page_says_what_is_missing(visit):
    page = visit("index.html", java_script_enabled=False)
    assert not page.locator(".explorer").is_visible()
    assert "switched off" in page.locator("main noscript p >> visible=true").inner_text()


def test_every_lesson_has_its_page_with_solutions_folded(site, visit):
    assert {f"lessons/{stem}.html" for stem in LESSONS} <= set(pages(site[0]))
    page = visit("lessons/05_the_kl_three_ways_and_a_misprint.html")
    solution = page.locator("details", has_text="Show a solution").first
    assert not solution.locator("pre").is_visible()
    solution.locator("summary").click()
    assert "np.exp(logvar)" in solution.locator("pre").inner_text()


@pytest.mark.parametrize("word, page", [("reparameterization", "06_differentiating_through_a_dice_roll"),
                                        ("collapse", "10_sigma_beta_and_posterior_collapse")])
def test_search_finds_the_lesson(word, page, visit):
    found = visit(f"search.html?q={word}")
    found.wait_for_selector("#search-results li a")
    found.wait_for_timeout(1000)
    links = found.locator("#search-results li a").evaluate_all("all => all.map(e => e.getAttribute('href'))")
    assert any(page in link for link in links), links


def test_derivation_and_code_stand_side_by_side(visit):
    for width, columns in ((1300, 2), (375, 1)):
        page = visit("code/functional_gaussian.html", width)
        row = page.locator(".annotated").nth(2)
        lefts = {round(row.locator("> div").nth(i).bounding_box()["x"]) for i in range(3)}
        assert len(lefts) == columns
        assert "np.exp(logvar) + mu**2" in row.inner_text() and "for i in range" in row.inner_text()
        assert row.locator("mjx-container").count() > 1


def test_the_keyboard_reaches_search_and_the_first_link_skips_to_the_text(visit):
    page = visit("index.html")
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Control+k")
    page.keyboard.type("gradient")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=gradient*")


def test_what_is_bundled_comes_with_its_licence(site):
    licences = {path.name: path.read_text(encoding="utf-8") for path in (site[0] / "licences").iterdir()}
    assert "Apache License" in licences["mathjax.txt"] and "MIT License" in licences["numpyvae.txt"]
    assert {re.split("[-.]", name)[0] for name in licences} >= {"sphinx", "pydata", "myst", "pygments", "numpyvae"}
    page = (site[0] / "licences.html").read_text(encoding="utf-8")
    assert all(f"licences/{name}" in page for name in licences)


def test_no_page_names_a_solution_before_it_is_asked_for_without_javascript(visit):
    page = visit("lessons/05_the_kl_three_ways_and_a_misprint.html", java_script_enabled=False)
    assert page.locator("h1 >> visible=true").count() == 1    # the theme has another, for printing
    assert not page.locator("details", has_text="Show a solution").first.locator("pre").is_visible()
