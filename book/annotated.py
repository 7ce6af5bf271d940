"""The code, annotated: pages on which a function's derivation, its NumPy body and its compiled loop stand side by side.

All of it is read from the sources: the derivation is the docstring, with its formulas set; the body is what runs with
kernels off, and the loop what runs with them on.
"""
from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from numpyvae import functional, models
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.twin import Twin

from .formulas import inline, is_math, tex

LESSONS = {int(path.name[:2]): path.stem for path in sorted(
    (pathlib.Path(__file__).parents[1] / "lessons").glob("[0-9]*.ipynb"))}    # of 0 the last, the whole game
MODELS = ("vae", "posteriors")
REFERENCE = re.compile(r"\s*\[([^\[\]]*(?:\d{4}|lesson \d+)[^\[\]]*)\]\s*$")
SHAPES = re.compile(r"[\w*.]+(?:, [\w*.]+)* +: |\([A-Z].*\)  ?->")
# In a sentence: what is marked as code, a shape, a product of matrices, a name with a line in it
CODE = re.compile(r"(`[^`]+`|(?<!\w)\([A-Z],[\w, +]*\)|(?:\w+ \+= )?\w+(?:\.T)? @ \w+|\b\w+_\w+\(?\)?)")
GRADIENTS = {f"d{name}" for name in ("mu", "logvar", "lower", "kl", "log", "nll", "theta", "h", "y")}
FEW = 3    # English words in a line that is a formula all the same


def pages() -> dict[str, str]:
    """Each page's name and its text, in reStructuredText: functional/, the first file to read first, and two models."""
    folder = pathlib.Path(functional.__file__).parent
    names = sorted((path.stem for path in folder.glob("[a-z]*.py")), key=lambda name: (name != "gaussian", name))
    found = {f"functional_{name}": page(f"numpyvae.functional.{name}") for name in names}
    return found | {f"models_{name}": page(f"{models.__name__}.{name}") for name in MODELS}


def page(name: str) -> str:
    """One file, from its docstring to its last public function."""
    module = importlib.import_module(name)
    title = f"{name.removeprefix('numpyvae.').replace('.', '/')}.py"
    made = [":html_theme.sidebar_secondary.remove: true", ""]    # the columns take its place
    made += [title, "=" * len(title), "", as_rst(module.__doc__ or "", module)]
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            thing = getattr(module, node.name)
            made += [node.name, "-" * len(node.name), ""]
            if isinstance(node, ast.ClassDef):
                made += list(_class(node, thing))
            else:
                made += list(_columns(thing))
    return "\n".join(made) + "\n"


def _class(node: ast.ClassDef, cls: type) -> Iterator[str]:
    yield as_rst(inspect.getdoc(cls) or "", cls.__init__)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and not (part.name.startswith("_") and part.name != "__init__"):
            yield from (part.name, "^" * len(part.name), "")
            yield from _columns(inspect.unwrap(_function(cls.__dict__[part.name])))


def _function(member: Any) -> Any:
    """The function behind a classmethod or a property."""
    if isinstance(member, property):
        return member.fget
    return getattr(member, "__func__", member)


def _columns(function: Any) -> Iterator[str]:
    """A derivation beside its code."""
    reference = function.reference if isinstance(function, Twin) else inspect.unwrap(function)
    yield from (".. container:: annotated", "")
    yield from _container("derivation", as_rst(inspect.getdoc(reference) or "", reference))
    yield from _container("code", _code("In NumPy", body(reference)))
    if isinstance(function, Twin):
        loops = list(loops_of(function))
        if loops:
            yield from _container("code", _code("Compiled", "\n\n\n".join(map(source, loops))))


def _container(kind: str, content: str) -> Iterator[str]:
    if content.strip():
        yield from (f"   .. container:: {kind}", "", textwrap.indent(content, " " * 6), "")


def _code(title: str, text: str) -> str:
    return f".. rst-class:: what\n\n   {title}\n\n.. code-block:: python\n\n{textwrap.indent(text, ' ' * 3)}\n"


def loops_of(function: Twin) -> Iterator[Callable[..., Any]]:
    """The compiled loop of a function, with the functions of one number that are filled in; of an activation, the loop
    in which a layer runs it."""
    kernel = function.kernel
    if kernel is None:
        name, _, backward = function.name.partition("_backward")
        if name not in ACTIVATIONS or function.name not in (name, f"{name}_backward"):
            return
        kernel = ACTIVATIONS[name].loops[function.name.endswith("_backward")].kernel
    yield kernel
    for used in ("f", "slope"):
        filled = kernel.__globals__.get(used)
        if used in kernel.__code__.co_names and isinstance(filled, types.FunctionType):
            yield filled


def source(function: Callable[..., Any]) -> str:
    """A function's lines, as they stand in its file."""
    return textwrap.dedent(inspect.getsource(function.__code__)).rstrip()


def body(function: Callable[..., Any]) -> str:
    """A function without its decorators and its docstring, which stand elsewhere."""
    text = source(function)
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    lines = text.splitlines()
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    head = lines[node.lineno - 1:node.body[0].lineno - 1]
    if not statements:    # a declaration alone
        return "\n".join([*head, "    ..."])
    start = node.body[0].end_lineno if len(statements) < len(node.body) else node.body[0].lineno - 1
    return "\n".join([*head, *lines[start:]]).rstrip()


def as_rst(text: str, thing: Any) -> str:
    """A docstring in reStructuredText: its formulas set, shapes and code as they are, papers and lessons as links.

    thing : what the docstring belongs to, for the names that its formulas use
    """
    names, made = _names(thing), []
    for block in _blocks(inspect.cleandoc(text).splitlines(), names):
        made += [*block, ""]
    return "\n".join(made)


def _names(thing: Any) -> set[str]:
    function = inspect.unwrap(getattr(thing, "reference", thing))
    if not isinstance(function, types.FunctionType):
        return set()
    return {name for name in function.__code__.co_varnames if len(name) < 4 or name[0] == "d"} - {"of", "in", "dtype"}


def _blocks(lines: list[str], names: set[str]) -> Iterator[list[str]]:
    """Paragraphs, displayed formulas and literal lines, in their order."""
    for kind, group in _grouped(lines, names):
        if kind == "formula":
            yield from _displayed(group, names)
        elif kind == "literal":
            yield ["::", "", *textwrap.indent(textwrap.dedent("\n".join(group)), "   ").splitlines()]
        else:
            yield [prose(" ".join(line.strip() for line in group), names)]


def _grouped(lines: list[str], names: set[str]) -> Iterator[tuple[str, list[str]]]:
    group: list[str] = []
    last = ""
    for line in [*lines, ""]:
        kind = _kind(line, last, names)
        if group and kind != last:
            yield last, group
            group = []
        if kind:
            group.append(line)
        last = kind


def _kind(line: str, last: str, names: set[str]) -> str:
    """"formula", "literal" for shapes, arguments and code, "prose", or "" for an empty line."""
    bare = REFERENCE.sub("", line).strip()
    if not line.strip():
        return ""
    if SHAPES.match(line) or last == "literal" and line.startswith(" "):
        return "literal"
    if line.startswith(" ") and re.search(r"nv\.|\w\.\w+\(|\"", line):
        return "literal"
    if (last != "prose" or re.match(r"-?[A-Za-z]\w*(\([^)]*\))? += ", bare)) and _is_formula(bare, names):
        return "formula"
    return "prose"


def _is_formula(line: str, names: set[str]) -> bool:
    """Whether a line is one, rather than a sentence with one in it."""
    formula, _ = _remark(line)
    if not re.search(r"=|^d?/?d/d", formula) or "`" in formula:
        return False
    try:
        tex(formula, names)
    except ValueError:
        return False
    words = [word for word in re.findall(r"(?<![\w^])[A-Za-z]{2,}(?![\w(])", formula) if not is_math(word, names)]
    return len(words) <= FEW and not re.match(r"(With|The|From|In|At|For|So|As|If) ", formula)


def _remark(line: str) -> tuple[str, str]:
    """A formula and the words in brackets after it."""
    match = (re.fullmatch(r"(.*?)\s{3,}\(([^()]*(?:\([^()]*\)[^()]*)*)\)", line)
             or re.fullmatch(r"(.*?[^\s:])(?:: +|\s{3,}i\.e\. )(an? .*)", line))
    return (match[1], match[2]) if match else (line, "")


def _displayed(lines: list[str], names: set[str]) -> Iterator[list[str]]:
    rows, references = [], []
    for line in lines:
        if match := REFERENCE.search(line):
            references.append(match[1])
        formula, remark = _remark(REFERENCE.sub("", line).strip())
        made = tex(formula, names)
        if len(lines) > 1:    # aligned at the first sign of equality
            made = re.sub(r"^(.*?)(?<![<>!])(=)", r"\1 &\2", made, count=1) if "=" in made else f"& {made}"
        rows.append(made + (f" && {_words(remark, names)}" if remark else ""))
    if len(rows) > 1:
        yield [".. math::", "", r"   \begin{aligned}", *(f"   {row} \\\\" for row in rows), r"   \end{aligned}"]
    else:    # one row, which breaks between its formulas where the column is too narrow
        parts = rows[0].replace(" && ", r" \qquad ").split(r" \qquad ")
        blocks = [["   .. math::", "", f"      {part}", ""] for part in parts]
        yield [".. container:: formulas", "", *sum(blocks, [])]
    for reference in references:
        yield [".. rst-class:: source", "", f"   {linked(reference)}"]


def _words(remark: str, names: set[str]) -> str:
    """Words within a formula, and the formulas in these."""
    parts = [content.replace("\0", "") if formula else rf"\text{{ {content} }}"
             for formula, content in inline(remark, names)]
    return rf"({' '.join(parts)})".replace("} \\text{", "")


def prose(text: str, names: Iterable[str]) -> str:
    """A paragraph in reStructuredText: formulas set, code as code, papers and lessons in brackets as links."""
    if match := REFERENCE.search(text):
        text, reference = text[:match.start()], match[1]
    else:
        reference = ""
    made = []
    for part in CODE.split(text):
        if re.match(r"`|\([A-Z],|.* @ ", part):
            made.append(f"``{part.strip('`')}``")
        elif part.startswith("n_") or re.fullmatch(r"[a-z]\w{2,}_\w+(\(\))?", part) and not is_math(part, set(names)):
            made.append(f"``{part}``")
        else:
            made.append(part)
    words = []
    for piece in re.split(r"(``[^`]+``)", "".join(made)):
        if piece.startswith("``"):
            words.append(piece)
            continue
        for formula, content in inline(piece, set(names)):
            if formula:
                content, _, punctuation = content.partition("\0")
                words.append(rf":math:`{content.strip()}`{punctuation}")
            else:
                words.append(_word(content, names))
    line = re.sub(r"(``[^`]+``) ([,.;:)])", r"\1\2", " ".join(words))
    return (line + (f"  [{linked(reference)}]" if reference else "")).lstrip()


def _word(word: str, names: Iterable[str]) -> str:
    """A word of a sentence: an argument as code, *this* emphasized, and every other mark as it is."""
    if match := re.fullmatch(r"(\w{3,}|d\w)([,.;:]*)", word):
        if match[1] in names or match[1] == "logvar" or match[1] in GRADIENTS:
            return f"``{match[1]}``{match[2]}"
    if re.fullmatch(r"\*\w+\*[,.;:]*", word):
        return word
    return re.sub(r"([*`|_\\])", r"\\\1", word)


def linked(reference: str) -> str:
    """A reference with a link for each lesson that it names."""
    return re.sub(r"lesson (\d+)((?:, eq\. [\d.]+)?)", lambda match: (
        f":doc:`lesson {match[1]}{match[2]} </lessons/{LESSONS[int(match[1])]}>`" if int(match[1]) in LESSONS
        else match[0]), reference)
