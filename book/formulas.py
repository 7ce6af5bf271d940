"""From the formulas of a docstring, written for a terminal, to TeX.

    1/2 log sigma^2 - (z - mu)^2 / 2    ->    \\tfrac{1}{2} \\log \\sigma^{2} - \\frac{(z - \\mu)^{2}}{2}

The conventions are those of the sources: a / between spaces divides what stands next to it on either side, one without
spaces whatever is written without a space; ^ and _ take a sign, a name, a number or a bracket; two or more spaces
separate formulas.  A word that is neither a name of the function nor a function of mathematics is text.
"""
from __future__ import annotations

import re
from collections.abc import Collection, Iterator

GREEK = {"alpha", "beta", "gamma", "epsilon", "lambda", "mu", "nu", "pi", "phi", "sigma", "theta", "Gamma"}
FUNCTIONS = {"log": r"\log", "exp": r"\exp", "tanh": r"\tanh", "max": r"\max", "min": r"\min", "det": r"\det",
             "sum": r"\sum", "prod": r"\prod", "tr": r"\operatorname{tr}"}
CALLED = {"sigmoid", "softplus", "relu", "silu", "gelu", "mean", "patches", "scatter", "conv2d", "diag", "KL", "ELBO"}
WORDS = {"mean", "patches", "scatter", "integral"}    # which a sentence may use as words
SYMBOLS = {"->": r"\to ", ">=": r"\ge ", "<=": r"\le ", "!=": r"\ne ", "||": r"\,\|\,", "...": r"\dots ", "~": r"\sim ",
           "∫": r"\int ",
           "*": r"\cdot ", "<": "< ", ">": "> ", "⟨": r"\langle ", "⟩": r"\rangle ", "{": r"\{", "}": r"\}", "%": r"\%",
           "&": r"\&", "#": r"\#", "_": r"\_", "$": r"\$", "\\": r"\backslash ", "^": r"\hat{\ }"}
OPEN, CLOSE = "([{⟨", ")]}⟩"
ENGLISH = {"a", "A", "I"}    # single letters that are more often a word
OPERATORS = {"=", "+", "-", "/", "*", "<", ">", "<=", ">=", "~", "||", "->", "!="}
TOKEN = re.compile(r"""(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)
    | (?P<name>[A-Za-z][A-Za-z]*(?:2d)?)(?P<sub>_(?:\{[^{}]*\}|[A-Za-z0-9]+(?:-\d+)?))?(?P<prime>'*)
    | (?P<symbol>\|\||->|>=|<=|!=|\.\.\.|.)""", re.VERBOSE | re.DOTALL)


def tex(text: str, names: Collection[str] = ()) -> str:
    """A formula in TeX.

    names : of arguments and variables, which are none of the English words

    Raises ValueError where its brackets do not match.
    """
    text = re.sub(r"/dlog (\w+)", r"/(dlog \1)", text.strip())    # by the logarithm of it
    formulas = re.split(r"\s{2,}", _with_signs(text))
    return r" \qquad ".join(_sequence(formula, names) for formula in formulas)


def _with_signs(text: str) -> str:
    """<x, y>, an inner product, in brackets that are no signs of order, and the integral of something by its sign."""
    text = text.replace("integral of ", "∫ ")
    return re.sub(r"<([A-Za-z][^<>=]*?, [^<>=]*?)>", r"⟨\1⟩", text)


def is_math(chunk: str, names: Collection[str]) -> bool:
    """Whether a word of a sentence, or a bracket in it, is mathematics."""
    chunk = re.sub(r"\b[a-z]{2,}\w*_[a-z]\w+(?=\()", "f", chunk)
    words = re.findall(r"[A-Za-z][A-Za-z]*(?:2d)?", re.sub(r"_\{?[A-Za-z0-9 <>=-]+\}?", "", chunk))
    return bool(re.fullmatch(r"[\x20-\x7e⟨⟩∫]+", chunk)) and all(_known(word, names) for word in words)


def inline(text: str, names: Collection[str]) -> Iterator[tuple[bool, str]]:
    """The parts of a sentence: (True, TeX, a zero byte, punctuation) for a formula in it, (False, text) for the rest.

    Of a sentence whose brackets do not match nothing is a formula.
    """
    try:
        chunks = _chunks(_with_signs(text))
    except ValueError:
        yield False, text
        return
    start = 0
    while start < len(chunks):
        end = start
        while end < len(chunks) and is_math(_bare(chunks[end])[0], names) and not (
                end > start and _bare(chunks[end - 1])[1]):
            end += 1
        while end > start and _bare(chunks[end - 1])[0] in OPERATORS | {"sum"}:    # the sum of what the words say
            end -= 1
        while start < end and chunks[start] in OPERATORS | WORDS:
            yield False, chunks[start]
            start += 1
        run = chunks[start:end]
        if run and _says_something(run):
            last, punctuation = _bare(run[-1])
            try:
                made = tex(" ".join([*run[:-1], last]), names)
            except ValueError:
                made = ""
            yield (True, f"{made}\0{punctuation}") if made else (False, " ".join(run))
            start = end
        elif start < len(chunks):    # not where the sentence ends with words that only could be in a formula
            yield False, chunks[start]
            start += 1


def _says_something(run: list[str]) -> bool:
    text = " ".join(run)
    if len(run) == 1:
        bare = _bare(text)[0]
        return bool(re.search(r"[\^]|^[a-zA-Z]+_[a-z]{1,6}$|^([a-zA-Z]|[A-Z]_q|KL|exp|log|sigmoid)[(\[].*[)\]]$", bare)
                    or bare in GREEK or re.fullmatch("[A-Za-z]", bare) and bare not in ENGLISH)
    return any(chunk in OPERATORS for chunk in run) or bool(re.search(r"[\^]|\b(log|exp|sum)\b", text))


def _known(word: str, names: Collection[str]) -> bool:
    return (len(word) == 1 or word in names or word in GREEK or word in FUNCTIONS or word in CALLED
            or word in ("sqrt", "logvar", "eps", "dL", "integral")
            or word[0] == "d" and word not in ("do", "due") and _known(word[1:], names))


def _bare(chunk: str) -> tuple[str, str]:
    """A chunk without the punctuation that ends it, and that."""
    match = re.fullmatch(r"(.*?)([,.;:]*)", chunk, re.DOTALL)
    assert match is not None
    return (match[1], match[2]) if not chunk.endswith("...") else (chunk, "")


def _chunks(text: str) -> list[str]:
    """What is written without spaces, or within brackets."""
    found, depth, start = [], [], 0
    for i, character in enumerate(text):
        if character in OPEN:
            depth.append(CLOSE[OPEN.index(character)])
        elif character in CLOSE and (not depth or depth.pop() != character):
            raise ValueError(f"the brackets of {text!r} do not match")
        elif character == " " and not depth:
            found.append(text[start:i])
            start = i + 1
    if depth:
        raise ValueError(f"the brackets of {text!r} do not match")
    return [chunk for chunk in [*found, text[start:]] if chunk]


def _sequence(text: str, names: Collection[str]) -> str:
    chunks, made, words = _chunks(text), [], []    # type: ignore[var-annotated]

    def end_of_words() -> None:
        if words:
            made.append(rf"\;\text{{{' '.join(words)}}}\;")
            words.clear()

    i = 0
    while i < len(chunks):
        if i + 2 < len(chunks) and chunks[i + 1] == "/":
            end_of_words()
            above, below, i = chunks[i], chunks[i + 2], i + 2
            while i + 2 < len(chunks) and chunks[i + 1] == "/":    # a / b / c
                above, below, i = f"({above} / {below})", chunks[i + 2], i + 2
            below, punctuation = _bare(below)
            sign = "-" if above.startswith("-") else ""
            above = above.removeprefix("-")
            made.append(rf"{sign}\frac{{{_within(above, names)}}}{{{_within(below, names)}}}{punctuation}")
        elif chunks[i] == "i.e." or re.fullmatch(r"[A-Za-z]+[,.:;]?", chunks[i]) and not is_math(
                _bare(chunks[i])[0], names):
            words.append(chunks[i])
        else:
            end_of_words()
            made.append(_chunk(chunks[i], names))
        i += 1
    end_of_words()
    return " ".join(made)


def _within(chunk: str, names: Collection[str]) -> str:
    """What a bracket holds, if the chunk is nothing else."""
    if chunk[:1] == "(" and _end_of_bracket(chunk, 0) == len(chunk):
        return _sequence(chunk[1:-1], names)
    return _chunk(chunk, names)


def _end_of_bracket(text: str, start: int) -> int:
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] in OPEN) - (text[i] in CLOSE)
        if depth == 0:
            return i + 1
    raise ValueError(f"the brackets of {text!r} do not match")


def _chunk(chunk: str, names: Collection[str]) -> str:
    """Something without spaces outside its brackets."""
    depth, cuts = 0, []
    for i, character in enumerate(chunk):
        depth += (character in OPEN) - (character in CLOSE)
        if character == "/" and not depth and 0 < i < len(chunk) - 1:
            cuts.append(i)
    if len(cuts) == 1:
        (above, below), (below, punctuation) = (chunk[:cuts[0]], ""), _bare(chunk[cuts[0] + 1:])
        sign = "-" if above.startswith("-") else ""
        kind = "tfrac" if above.removeprefix("-").isdigit() and below.isdigit() else "frac"
        return (rf"{sign}\{kind}{{{_within(above.removeprefix('-'), names)}}}{{{_within(below, names)}}}{punctuation}")
    return _atoms(chunk, names)


def _atoms(text: str, names: Collection[str]) -> str:
    made, i = "", 0
    while i < len(text):
        piece, i = _atom(text, i, names)
        made += piece
        if text[i - 1:i] in CLOSE and (match := re.compile(r"_([A-Za-z0-9]+)").match(text, i)):    # (L L^T)_ii
            made, i = f"{made}_{{{match[1]}}}", match.end()
        while text[i:i + 1] == "^" and i + 1 < len(text):
            sign, i = ("-", i + 2) if text[i + 1] == "-" else ("", i + 1)
            if text[i:i + 1] == "(":
                end = _end_of_bracket(text, i)
                inner = _sequence(text[i + 1:end - 1], names)
                made += f"^{{{sign}({inner})}}" if sign else f"^{{{inner}}}"
                i = end
            elif text[i:i + 1] == "|" and "|" in text[i + 1:]:
                end = text.index("|", i + 1)
                made += f"^{{{sign}|{_atoms(text[i + 1:end], names)}|}}"
                i = end + 1
            else:
                piece, i = _atom(text, i, names)
                made += f"^{{{sign}{piece}}}"
    return made


def _atom(text: str, i: int, names: Collection[str]) -> tuple[str, int]:
    """One name, number, bracket or sign of a formula that begins at i, in TeX, and where the next begins."""
    if text[i] in "([⟨":
        end = _end_of_bracket(text, i)
        inner = _sequence(text[i + 1:end - 1], names)
        left, right = (SYMBOLS.get(mark, mark) for mark in (text[i], text[end - 1]))
        return (rf"\left{left} {inner} \right{right}" if r"\frac" in inner else f"{left}{inner}{right}"), end
    if match := re.compile(r"[a-z]{2,}\w*_[a-z]\w+(?=\()").match(text, i):    # a function of ours
        return rf"\operatorname{{{match[0]}}}".replace("_", r"\_"), match.end()
    match = TOKEN.match(text, i)
    assert match is not None
    if match["name"] is None:
        return SYMBOLS.get(match[0], match[0]), match.end()
    name, sub, end = match["name"], match["sub"] or "", match.end()
    if name == "sqrt" and text[end:end + 1] == "(":
        last = _end_of_bracket(text, end)
        return rf"\sqrt{{{_sequence(text[end + 1:last - 1], names)}}}", last
    if sub:
        sub = f"_{{{_sequence(sub[1:].strip('{}'), names) if '{' in sub else sub[1:]}}}"
    made = _name(name, names) + sub + match["prime"]
    return made + " " * (made[-1].isalpha() and "\\" in made), end    # so that no letter is taken for a part of \\sigma


def _name(name: str, names: Collection[str]) -> str:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name == "eps":
        return r"\varepsilon"
    if name in GREEK:
        return rf"\{name}"
    if len(name) == 1:
        return name
    if name in CALLED and name not in ("KL", "ELBO"):
        return rf"\operatorname{{{name}}}"
    if name[0] == "d" and _known(name, names):
        return "d" + _name(name[1:], names)
    return rf"\mathrm{{{name}}}"    # upright: in italics it would be a product of its letters
