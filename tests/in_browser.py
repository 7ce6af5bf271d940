"""What the tests in a browser have in common: windows in which nothing may go wrong, axe, and a walk with Tab."""
import contextlib
import itertools


@contextlib.contextmanager
def windows(browser, own=("file:", "data:"), may_log=False, **settings):
    """A function that opens an address as somebody may have set up their browser, each in a window of its own.

    In the end no page may have asked for anything but its own, missed a file, or complained.

    own     : what the addresses begin with that a page may ask for
    may_log : whether console.log is no complaint, as in a theme that is not ours
    """
    opened = []

    def open_page(address, width=1300, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **settings,
                                      **options)
        opened.append((address, context, complaints := []))
        page = context.new_page()
        page.on("request", lambda request: None if request.url.startswith(own) else complaints.append(request.url))
        page.on("response", lambda response: complaints.append((response.status, response.url))
                if response.status >= 400 else None)
        page.on("console", lambda message: None if may_log and message.type == "log" else
                complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page
    yield open_page
    for _, context, _ in opened:
        context.close()
    wrong = {address: complaints for address, _, complaints in opened if complaints}
    assert not wrong, wrong


# Of what is well, one place is enough; style sheets that axe loads for itself it would ask for at wrong addresses;
# pages within a page are looked at one by one, for between files axe cannot send its messages.
AXE = """axe.run(document, { resultTypes: ["violations"], preload: false, iframes: false })"""


def serious(page):
    """What axe finds in a page and in those within it that keeps some people from using it: rule, number, example."""
    from axe_playwright_python.sync_playwright import Axe
    script, found = Axe().axe_script, []
    for frame in page.frames:
        frame.evaluate(script)
        result = frame.evaluate(AXE)
        assert len(result["passes"]) > 15
        found += [(rule["id"], len(rule["nodes"]), rule["nodes"][0]["html"][:200])
                  for rule in result["violations"] if rule["impact"] in ("serious", "critical")]
    return found


# The element that has the focus, also in a page within the page; what an element is called; how wide its outline is.
FOCUSED = """() => {
    const within = (e) => (e.tagName === "IFRAME" ? within(e.contentDocument.activeElement) : e), named = NAMED;
    const e = within(document.activeElement), style = getComputedStyle(e);
    return e.tagName === "BODY" ? null :
        [named(e), style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth)];
}"""
NAMED = """(e) => e.id || e.getAttribute("aria-label") || e.textContent.trim()"""
CONTROLS = "a[href], input, button, select, summary, [tabindex]"


def walk(page, most=200):
    """Press Tab from the beginning of a page to its end: the names of what had the focus, in turn; each shows it."""
    reached = []
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED.replace("NAMED", NAMED))
        if focused is None:
            break
        reached.append(focused)
    unseen = [name for name, width in reached if width < 2]
    assert not unseen, unseen
    return [name for name, _ in reached]


def controls(page):
    """The names of all that can be used in a page, and in those within it."""
    return list(itertools.chain.from_iterable(frame.eval_on_selector_all(
        CONTROLS, f"all => all.filter(e => e.checkVisibility()).map({NAMED})") for frame in page.frames))
