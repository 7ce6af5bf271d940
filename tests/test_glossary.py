"""The glossary: what it lists is used where it says, under the name that it says, and what recurs is listed."""
import ast
import collections
import pathlib
import re

import pytest

import numpyvae as nv

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "lessons" / "source").glob("[0-9][0-9]_*.py"))
GLOSSARY = next(path for path in SOURCES if path.stem == "00_glossary")
LESSONS = {int(path.stem[:2]): path.read_text(encoding="utf-8") for path in SOURCES
           if path.stem not in ("00_glossary", "00_refresher")}
GREEK = ("alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon "
         "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega").split()    # pi is a number


def rows(columns):
    """The table with so many columns, without its head."""
    lines = [line[2:] for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("# |")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if len(row) == columns and row[-1].isdigit()]


SYMBOLS, WORDS = rows(5), rows(3)


def prose(text):
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


def bare(math):
    """LaTeX without what only spaces it; a table cannot hold a vertical bar, so the glossary writes \\mid."""
    return re.sub(r"\\,|\\;|\s", "", math.replace(r"\mid", "|"))


def math_of(number):
    return [bare(math) for pair in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", prose(LESSONS[number]).replace("\n#", " "),
                                              re.DOTALL) for math in pair if math]


def names(code):
    """The names that code defines, binds or takes, those of attributes too."""
    found = {getattr(node, field, None) for node in ast.walk(ast.parse(code))
             for field in ("name", "id", "attr", "arg")}
    return found - {None}


@pytest.fixture(scope="module")
def package():
    sources = pathlib.Path(nv.__file__).parent.rglob("*.py")
    return set().union(*(names(path.read_text(encoding="utf-8")) for path in sources))


def test_the_tables_are_read_whole():
    n_lines = sum(line.startswith("# |") for line in GLOSSARY.read_text(encoding="utf-8").splitlines())
    assert len(SYMBOLS) + len(WORDS) == n_lines - 4 and len(SYMBOLS) > 30 and len(WORDS) > 30
    for table in (SYMBOLS, WORDS):
        assert len({row[0] for row in table}) == len(table)
    assert [row[0].lower() for row in WORDS] == sorted(row[0].lower() for row in WORDS)


# Lessons that use a letter before the one that introduces it: for something of their own, for a few lines ("h" in
# lesson 1 is a hidden row), in passing, with its meaning beside it (x and z in lesson 0), or in N(0, I) or w_n.
BORROWED = {"$x$": {0}, "$z$": {0}, "$h$": {1}, "$a$": {1}, r"$\mu$": {2}, r"$\log\sigma^2$": {2}, "$s$": {2},
            "$g$": {3}, "$k$": {1, 3, 4}, r"$\lambda$": {2}, "$u$": {1, 2, 7}, "$M$": {3}, "$N$": {0, 1, 2},
            "$w$": {3}}


@pytest.mark.parametrize("symbol, number", [(row[0], int(row[-1])) for row in SYMBOLS])
def test_a_symbol_is_used_in_its_lesson_and_not_before(symbol, number):
    letter = re.escape(bare(symbol.strip("$")))
    whole = re.compile(rf"(?<![A-Za-z\\]){letter}(?![A-Za-z])" if symbol.strip("$").isalpha() else letter)
    lessons = {lesson for lesson in LESSONS if any(whole.search(math) for math in math_of(lesson))}
    assert number in lessons, f"lesson {number} does not use {symbol}"
    assert {lesson for lesson in lessons if lesson < number} == BORROWED.get(symbol, set())


@pytest.mark.parametrize("name, number", [(row[3].strip("`"), int(row[-1])) for row in SYMBOLS if row[3]])
def test_a_name_in_the_code_exists(name, number, package):
    assert name in package | names(LESSONS[number])


@pytest.mark.parametrize("word, number", [(row[0], int(row[-1])) for row in WORDS])
def test_a_word_is_used_in_its_lesson(word, number):
    text = " ".join(prose(LESSONS[number]).replace("\n#", " ").split())
    assert re.search(rf"\b{re.escape(word)}s?\b", text, re.IGNORECASE), f"lesson {number} does not use {word}"


def test_a_greek_letter_of_several_lessons_is_listed():
    lessons = collections.defaultdict(set)
    for number in LESSONS:
        for letter in GREEK:
            if any(re.search(rf"\\{letter}(?![a-zA-Z])", math) for math in math_of(number)):
                lessons[letter].add(number)
    several = {letter for letter, where in lessons.items() if len(where) > 1}
    listed = {letter for letter in GREEK for row in SYMBOLS if re.search(rf"\\{letter}(?![a-zA-Z])", row[0])}
    assert several and several <= listed, several - listed
