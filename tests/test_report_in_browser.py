"""The report as people meet it: in a real browser, by mouse, by keyboard and by touch, in light and in dark mode,
without a network and without JavaScript.  `.ci/browser` installs what this needs."""
import contextlib
import pathlib

import numpy as np
import pytest

from numpyvae.cli import main
from tests.in_browser import controls, serious, walk, windows
from tests.own_data import save_pictures, write_csv

pytestmark = pytest.mark.full
KINDS = ("strokes", "photos", "table", "series", "conditional", "tiny")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The addresses of reports of six kinds of data."""
    folder, rng = tmp_path_factory.mktemp("reports"), np.random.default_rng(0)
    y, x = np.mgrid[:12, :10]
    places = rng.uniform(2, 8, (200, 2, 1, 1))
    grey = np.rint(255 * np.exp(-((y - places[:, 0])**2 + (x - places[:, 1])**2) / 4)).astype(np.uint8)
    with contextlib.chdir(folder):
        for name, part in (("<b>day</b>", grey[:100]), ("night", 255 - grey[100:])):
            (folder / "photos").mkdir(exist_ok=True)
            save_pictures(folder / "photos" / name.replace("/", "_"), np.stack([part, part // 2, 255 - part], axis=3))
        write_csv(folder / "table.csv", rng.normal(0, 1, (200, 4)).round(2), ["a", "b", "c & d", "label"])
        np.save("series.npy", np.sin(np.arange(60) * rng.uniform(0.05, 0.2, (200, 1))).astype(np.float32))
        np.savez("classes.npz", x=grey, y=np.arange(200) % 12)
        np.save("tiny.npy", grey[:3])
        gaussian = ["--likelihood", "gaussian", "--sigma", "0.1"]
        for kind, options in zip(KINDS, (
                ["strokes", "--epochs", "2"], ["photos", "--colour", "--epochs", "40"],
                ["table.csv", *gaussian, "--epochs", "5"], ["series.npy", *gaussian, "--epochs", "5", "--latent", "2"],
                ["classes.npz", "--conditional", "--epochs", "40", "--latent", "3"],
                ["tiny.npy", "--epochs", "1", "--latent", "1"])):
            assert main(["train", "--data", *options, "--out", f"run-{kind}"]) == 0
    return {kind: (folder / f"run-{kind}" / "report.html").as_uri() for kind in KINDS}


@pytest.fixture
def visit(browser):
    with windows(browser, offline=True) as open_page:
        yield open_page


@pytest.mark.parametrize("scheme, width", [("light", 1300), ("dark", 1300), ("light", 375), ("dark", 375)])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(kind, scheme, width, reports, visit):
    page = visit(reports[kind], width, scheme)
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_is_reached_by_the_keyboard_and_shows_it(kind, reports, visit):
    page = visit(reports[kind])
    names = walk(page)
    assert set(controls(page)) <= set(names)
    assert len(names) > (10 if kind == "strokes" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_runs_in_the_report_in_a_frame_as_tall_as_it_needs(kind, reports, visit):
    page = visit(reports[kind])
    inside = page.frame_locator(".play iframe")
    inside.locator("#numbers", has_text="KL").wait_for()
    before = inside.locator("#numbers").inner_text()
    pad = inside.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert inside.locator("#numbers").inner_text() != before
    frame = page.frames[1]
    assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert frame.evaluate("innerHeight - document.body.offsetHeight") < 5


def picture(page, selector):
    return page.locator(selector).first.screenshot()


def test_arrow_keys_move_a_slider_and_its_picture(reports, visit):
    page = visit(reports["strokes"])
    slider, shown = page.locator(".slider input").first, ".slider .sprite"
    name, start, before = slider.get_attribute("id")[1:], slider.input_value(), picture(page, shown)
    others = picture(page, ".slider:nth-child(2)")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft" if float(start) > 0 else "ArrowRight")
    assert picture(page, shown) != before and picture(page, ".slider:nth-child(2)") == others
    value = f"{float(slider.input_value()):.2f}".replace("-", "−")
    assert page.locator(".slider output").first.inner_text() == value
    assert slider.get_attribute("aria-valuetext") == f"z[{name}] = {value}"
    assert page.locator(shown).first.get_attribute("aria-label") == f"The decoded image with z[{name}] = {value}"
    page.get_by_role("button", name="Back to the start").click()
    assert slider.input_value() == start and picture(page, shown) == before


def test_sliders_come_in_the_order_of_their_kl(reports, visit):
    page = visit(reports["strokes"])
    kl = [float(text.split()[1]) for text in page.locator(".slider small").all_inner_texts()]
    assert len(kl) > 10 and kl == sorted(kl, reverse=True) and min(kl) >= 0.1


def said(page):
    return page.locator(".chosen p").inner_text()


def test_pointing_at_a_code_shows_its_image(reports, visit):
    page = visit(reports["strokes"])
    points = page.locator(".map [role=option]")
    seen = set()
    for i in (0, 7, 100, 299):
        point = points.nth(i)
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert said(page) == point.get_attribute("aria-label") and point.get_attribute("aria-selected") == "true"
        assert page.locator(".map [aria-selected=true]").count() == 1
        seen.add(picture(page, ".chosen .sprite"))
    assert len(seen) == 4


def test_tapping_a_code_shows_its_image_on_a_phone(reports, visit):
    page = visit(reports["photos"], 375, has_touch=True, is_mobile=True)
    point = page.locator(".map [role=option]").nth(5)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert said(page) == point.get_attribute("aria-label")
    assert page.locator(".chosen .sprite").bounding_box()["width"] > 80


def test_arrow_keys_go_from_code_to_code_in_their_direction(reports, visit):
    page = visit(reports["strokes"])
    where = """() => { const p = document.querySelector(".map [aria-selected=true]");
                       return [Number(p.getAttribute("cx")), Number(p.getAttribute("cy"))]; }"""
    page.locator(".map svg").focus()
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowUp", 1, -1), ("ArrowLeft", 0, -1), ("ArrowDown", 1, 1)):
        before, words = page.evaluate(where), said(page)
        page.keyboard.press(key)
        after = page.evaluate(where)
        assert sign * (after[axis] - before[axis]) > 0 and said(page) != words
    page.keyboard.press("Home")
    xs = page.eval_on_selector_all(".map [role=option]", "all => all.map(e => Number(e.getAttribute('cx')))")
    assert page.evaluate(where)[0] == min(xs)
    chosen = page.locator(".map svg").get_attribute("aria-activedescendant")
    assert page.locator(f"#{chosen}").get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("wish, moves", [("reduce", False), ("no-preference", True)])
def test_nothing_moves_by_itself_for_those_who_do_not_want_it(wish, moves, reports, visit):
    page = visit(reports["strokes"], reduced_motion=wish)
    seconds = page.eval_on_selector_all("*", """all => all.flatMap(e => {
        const style = getComputedStyle(e);
        return [style.transitionDuration, style.animationDuration].map(parseFloat); })""")
    assert (max(seconds) > 0) == moves
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_without_javascript_the_rest_is_there_and_nothing_that_does_not_work(reports, visit):
    page = visit(reports["strokes"], java_script_enabled=False)
    assert page.locator(".map circle[role=option]").count() == 300
    assert not any(page.locator(f".{what}").is_visible() for what in ("play", "sliders", "chosen"))
    assert page.locator("figure >> visible=true").count() >= 10


def test_a_name_from_the_data_is_text(reports, visit):
    page = visit(reports["photos"])
    assert page.locator("main b").count() == 0
    assert any("<b>day<_b>" in text for text in page.locator(".legend li").all_inner_texts())


def test_a_report_is_small_enough_to_send(reports):
    size = {kind: pathlib.Path(address.removeprefix("file://")).stat().st_size for kind, address in reports.items()}
    assert size["strokes"] < 4_000_000 and size["tiny"] < 2_000_000    # most of it are the model's weights
