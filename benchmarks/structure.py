"""How large the package is, and how much of a training step goes into checking arguments.

    python -m benchmarks.structure

Code lines are lines with code on them: no blank ones, no comments, no docstrings.
"""
from __future__ import annotations

import ast
import collections
import io
import pathlib
import re
import sys
import tokenize
from typing import Any

import numpy as np

import numpyvae as nv

PACKAGE = pathlib.Path(nv.__path__[0])
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
          tokenize.ENDMARKER}


def main() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    untyped = sum(len(re.findall(r"\b(?:model|vae): Any\b", source)) for source in sources.values())
    calls = checks_of_a_step()
    print(f"code lines            {sum(map(code_lines, sources.values())):,} in {len(sources)} files")
    print(f"files at the top      {sum(path.parent == PACKAGE for path in sources)}")
    print(f"model: Any, vae: Any  {untyped}")
    print(f"checks in a step      {sum(calls.values())}: "
          + ", ".join(f"{name} {count}" for name, count in calls.most_common()))


def code_lines(source: str) -> int:
    """The lines of a file that hold code."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        match getattr(node, "body", None):
            case [ast.Expr(ast.Constant(str())) as docstring, *_]:
                docstrings.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


def checks_of_a_step() -> collections.Counter[str]:
    """Calls in one `loss_and_grad` to functions of arguments.py, and to those named expect... or check..."""
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(784, (400,), 20, rng=rng)
    x, eps = rng.random((128, 784), np.float32), rng.standard_normal((128, 20), np.float32)
    vae.loss_and_grad(x, eps)    # what has been checked once is not checked again
    calls: collections.Counter[str] = collections.Counter()

    def note(frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        name = code.co_name.lstrip("_")
        if event == "call" and (pathlib.Path(code.co_filename) == PACKAGE / "arguments.py"
                                or name.startswith(("expect", "check"))):
            calls[code.co_name] += 1
    sys.setprofile(note)
    try:
        vae.loss_and_grad(x, eps)
    finally:
        sys.setprofile(None)
    return calls


if __name__ == "__main__":
    main()
