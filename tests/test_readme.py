"""The README and what is made of it: its links, its tables, the package's page."""
import importlib.util
import pathlib
import re

import numpyvae as nv

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]

spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)


def test_every_link_leads_somewhere():
    links = [link[3] for page in PAGES for link in setup.LINK.finditer(page)]
    assert len(links) > 12
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_file_that_the_tables_name_is_there():
    for page in PAGES:
        rows = "\n".join(line for line in page.splitlines() if line.startswith("| `") or line.startswith("| a"))
        for name in re.findall(r"`([a-z_]+/(?:[a-z_]+\.py)?)`", rows):
            assert (ROOT / name).exists() or (pathlib.Path(nv.__file__).parent / name).exists(), name


def test_links_are_absolute_once_there_is_an_address():
    assert setup.page(README, "") == README
    page = setup.page(README, "https://example.org/numpyvae")
    assert setup.LINK.search(page) is None
    assert "(https://example.org/numpyvae/raw/main/benchmarks/picture.png)" in page
    assert "(https://example.org/numpyvae/blob/main/CONTRIBUTING.md)" in page
    assert "pip install numpyvae" in page and "pip install numpyvae" not in README


def test_the_table_of_lessons_has_each_of_them_and_its_minutes():
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "lessons" / "source").glob("[0-9]*.py")}
    expected = {stem: re.search(r"\*Time:\* (\d+) minutes", text).group(1) for stem, text in sources.items()
                if stem not in ("00_refresher", "00_glossary")}
    rows = re.findall(r"^\| (\d+) \| \[.+?\]\(lessons/(\w+)\.ipynb\) \|.*\| (\d+) \|$", README, re.M)
    assert {stem: minutes for _, stem, minutes in rows} == expected
    assert all(int(stem[:2]) == int(number) for number, stem, _ in rows)


def test_the_picture_of_the_gradient_check_counts_the_components_that_there_are():
    """If this fails, make it again: python -m benchmarks.picture, and correct the number beside it."""
    for page in (README, (ROOT / "book" / "pages" / "index.md").read_text(encoding="utf-8")):
        (count,) = re.findall(r"the worst error of each of (\d+) components", page)
        assert int(count) == len(nv.gradcheck.components())
