"""The package's layout: few files at the top, imports that go down only, few checks in a step."""
import ast
import graphlib

from benchmarks.structure import PACKAGE, checks_of_a_step


def room(path):
    """The folder of the package that a file is in; a file at the top is a room of its own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path):
    """The rooms that a file imports from when it is imported, not inside a function."""
    here = path.parent.relative_to(PACKAGE.parent).parts
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            package = here[:len(here) - node.level + 1]
            whole = (*package, *(node.module or "").split("."))
            names = [whole] if node.module else [(*package, alias.name) for alias in node.names]
            yield from (name[1] for name in names)


def test_at_most_six_files_at_the_top():
    assert len(list(PACKAGE.glob("*.py"))) <= 6


def test_imports_go_down_only():
    """No room imports from one that, through others or directly, imports from it."""
    below = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent != PACKAGE or path.name not in ("__init__.py", "__main__.py"):    # those two are the roof
            below.setdefault(room(path), set()).update(set(imported_rooms(path)) - {room(path)})
    assert "functional" in below["nn"] and "models" in below["training"]    # the test sees imports
    list(graphlib.TopologicalSorter(below).static_order())    # CycleError names a circle


def test_a_step_checks_little():
    assert sum(checks_of_a_step().values()) <= 16
