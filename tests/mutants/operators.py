"""The mutations: small changes to a function's syntax tree, each a mistake that people make."""
from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

SCALE = 1.0005    # small enough to pass a tolerance of 1e-3
LARGE_SCALE = 1.05    # what a test of statistics can see

ARITHMETIC: dict[type, list[type]] = {
    ast.Add: [ast.Sub, ast.Mult], ast.Sub: [ast.Add], ast.Mult: [ast.Add, ast.Div], ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult, ast.Div], ast.MatMult: [ast.Mult], ast.FloorDiv: [ast.Mult]}
COMPARISONS: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.Gt, ast.GtE], ast.LtE: [ast.Lt, ast.Gt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt, ast.LtE], ast.GtE: [ast.Gt, ast.Lt, ast.LtE],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is]}
FUNCTIONS = {"exp": ["expm1", "tanh"], "expm1": ["exp", "tanh"], "log": ["log1p"], "log1p": ["log"],
             "tanh": ["exp"], "sigmoid": ["tanh", "softplus"], "sqrt": ["square"], "abs": ["negative"],
             "max": ["min"], "min": ["max"], "maximum": ["minimum"],
             "zeros": ["ones"], "zeros_like": ["ones_like"]}
COMMUTATIVE = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)
COMMUTATIVE_CALLS = {"max", "min", "maximum", "minimum"}    # of two arguments, in any order
EVEN = {"abs", "square"}    # of these no argument's sign is read,
NO_SIZE = {"flatnonzero", "iscomplexobj", "isfinite", "isinstance", "isnan", "shape"}    # and of these no size either
# Of one number or array, in other words or to another place in memory.
CONVERSIONS = {"float", "int", "bool", "asarray", "ascontiguousarray", "tuple", "list"}
# What a figure looks like, apart from where its marks stand, is judged by who looks at it.
STYLE = {"adjustable", "alpha", "aspect", "bbox_to_anchor", "cmap", "color", "edgecolor", "fill", "fontsize", "frameon",
         "handletextpad", "interpolation", "length", "linestyle", "linewidth", "linewidths", "loc", "marker",
         "min_n_ticks", "ncols", "shrink", "zorder"}
DRAWS = {"standard_normal", "random", "uniform", "integers", "logistic", "standard_t", "permutation"}
MISTAKEN_DRAWS = {"draw shared by rows": "draw[:1] + 0 * draw", "draw shared by columns": "draw[..., :1] + 0 * draw",
                  "another density": "draw * abs(draw) ** 0.1"}
COUNTS = {"step", "steps", "epoch", "epochs", "position", "n"}    # names of whole numbers that are easily one off
COUNTING = {"range", "len", "enumerate", "zip", "reversed", "list"}
# The arguments of these say where numbers are kept, and in which precision, not what they are.
STORAGE = {"empty", "empty_like", "zeros", "zeros_like", "_buffers", "_outputs", "reshape"}


LAMBDA = "<lambda>"


class Site(NamedTuple):
    """A place in a tree: parent.field, or parent.field[index]."""

    parent: ast.AST
    field: str
    index: int | None

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class Mutant(NamedTuple):
    """One change: at `site`, `before` is replaced by `after`."""

    kind: str
    site: Site
    before: ast.AST
    after: ast.AST
    text: str         # what is changed, and the statement that contains it

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class Source:
    """A function's syntax tree, of which each mutant can be compiled.

    function      : a function or a method; a mutant of it sees the same globals and closure
    after_comment : the comment that begins the backward half, where the function has a forward half too
    arrays        : whether its variables are arrays, which have transposes; in a kernel most are numbers
    statistics    : whether numbers are judged by tests of statistics too, which see 1.05 times a number and not 1.0005
                    times; then defaults are mutated as well, only one variable is mistaken for each, none of them,
                    most being vectors, is transposed, and nothing is made that computes the same by construction, as
                    no comparison of numbers stands behind the list of equivalents
    """

    def __init__(self, function: Callable[..., Any], after_comment: str | None = None, arrays: bool = True,
                 statistics: bool = False):
        self.function, self.arrays, self.statistics = function, arrays, statistics
        self.closed_over = {name: cell.cell_contents    # __class__ among them, where a method calls super()
                            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ())}
        text = textwrap.dedent(inspect.getsource(function)) if function.__name__ != LAMBDA else as_definition(function)
        self.module = ast.parse(text)
        definition = self.module.body[0]
        assert isinstance(definition, ast.FunctionDef)
        if ast.get_docstring(definition) is not None:
            del definition.body[0]
        definition.decorator_list, definition.returns = [], None
        definition.name = f"mutated_{definition.name}"    # a method may call a function of its own name
        arguments = [node for node in ast.walk(definition.args) if isinstance(node, ast.arg)]
        for argument in arguments:
            argument.annotation = None
        self.definition, self.parameters = definition, [argument.arg for argument in arguments]
        self.first_line = next((n for n, line in enumerate(text.splitlines(), 1)
                                if after_comment is not None and line.strip().startswith(after_comment)), 0)

    def compile(self, mutant: Mutant | None = None) -> Callable[..., Any]:
        """The function or a mutant of it, with its module's globals; SyntaxError where that is not Python."""
        if mutant is not None:
            mutant.site.put(mutant.after)
        names: dict[str, Any] = {}
        around = ast.parse(f"def make({', '.join(self.closed_over)}):\n    return {self.definition.name}")
        assert isinstance(around.body[0], ast.FunctionDef)
        around.body[0].body[:0] = self.module.body
        body = self.module.body[0].body    # type: ignore[attr-defined]
        # Never reached: a mutant closes over the same variables, also those that it no longer uses.
        body.extend(ast.Expr(ast.Name(name, ast.Load())) for name in self.closed_over)
        try:
            code = compile(ast.fix_missing_locations(around), f"<{self.function.__qualname__}>", "exec")
        finally:
            del body[len(body) - len(self.closed_over):]
            if mutant is not None:
                mutant.site.put(mutant.before)
        exec(code, self.function.__globals__, names)
        return names["make"](**self.closed_over)

    def mutants(self) -> Iterator[Mutant]:
        """Every mutant of all statements; or, where a comment begins the backward half, of those after it
        and of those that assign a gradient, a name that starts with d.  Mutants of statistics are those of the rest.

        What an error says is left alone: a message is judged by its readers.  So is, among the mutants of statistics,
        what a warning says, what is worked out for a message alone, and a check that an argument is of its Kind, which
        tests/test_arguments.py tries for every function.
        """
        names = Names(self.definition, self.parameters, self.arrays, self.statistics)
        body = self.definition.body
        if self.statistics:
            chosen = [i for i, statement in enumerate(body)
                      if not self.first_line or (statement.lineno < self.first_line and not any(
                          name.startswith("d") for name in written(statement)))]
        else:
            chosen = [i for i, statement in enumerate(body)
                      if statement.lineno > self.first_line
                      or any(name.startswith("d") for name in written(statement))]
        for i in chosen:
            yield from mutate(body[i], Site(self.definition, "body", i), names, "value", body[i])
        yield from reordered(self.definition, Site(self.module, "body", 0), chosen)
        arguments = self.definition.args
        for field in ("defaults", "kw_defaults") if self.statistics else ():
            for i, default in enumerate(getattr(arguments, field)):
                if isinstance(default, ast.Constant) and default.value is not None:
                    head = ast.parse(f"def {self.function.__name__}(): ...").body[0]
                    assert isinstance(head, ast.stmt)
                    yield from mutate(default, Site(arguments, field, i), names, "value", head)


def as_definition(function: Callable[..., Any]) -> str:
    """A lambda, found in its file by where its code stands, as a function with a name."""
    with open(function.__code__.co_filename, encoding="utf-8") as file:
        nodes = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.Lambda)]
    places = {place[0::2] for place in function.__code__.co_positions() if None not in place}
    (node,) = (node for node in nodes if (node.body.lineno, node.body.col_offset) in places)
    return f"def unnamed({ast.unparse(node.args)}):\n    return {ast.unparse(node.body)}"


def written(statement: ast.stmt) -> set[str]:
    """The variables that a statement assigns, or assigns entries of: a column that has a name is one by itself."""
    inner = {id(node) for loop in ast.walk(statement) if isinstance(loop, ast.comprehension)
             for node in ast.walk(loop.target)}    # known only there
    targets = [node for node in ast.walk(statement)
               if isinstance(getattr(node, "ctx", None), ast.Store) and id(node) not in inner]
    return {name for target in targets for name in [variable(target)] if name}


def variable(node: ast.AST) -> str:
    """The name of a variable or of what holds an entry, table['column'] for a column; "" for anything else."""
    match node:
        case ast.Name(name):
            return name
        case ast.Subscript(ast.Name(name), ast.Constant(str(column))):
            return f"{name}['{column}']"
        case ast.Subscript(ast.Name(name)):
            return name
    return ""


def mentioned(statement: ast.stmt) -> set[str]:
    """The variables that a statement names; where it names a column, not the table."""
    tables = {id(node.value) for node in ast.walk(statement)
              if isinstance(node, ast.Subscript) and "[" in variable(node)}
    return {variable(node) for node in ast.walk(statement) if id(node) not in tables} - {""}


def touches(names: set[str], others: set[str]) -> bool:
    """Whether a variable of the one set, a column or its table, is in the other."""
    return any(one == other or one.startswith(f"{other}[") or other.startswith(f"{one}[")
               for one in names for other in others)


def reordered(block: ast.FunctionDef | ast.For | ast.If, site: Site,
              chosen: Iterable[int]) -> Iterator[Mutant]:
    """Two neighbouring statements exchanged where one reads what the other writes: it reads a stale value."""
    for i in chosen:
        pair = block.body[i:i + 2]
        if len(pair) == 2 and (touches(written(pair[0]), mentioned(pair[1]))
                               or touches(written(pair[1]), mentioned(pair[0]))):
            after = copy.copy(block)
            after.body = [*block.body[:i], *reversed(pair), *block.body[i + 2:]]
            first, second = (ast.unparse(statement).splitlines()[0] for statement in pair)
            yield Mutant("order", site, block, after, f"{second}  before  {first}")


class Names:
    """A function's variables, each grouped with those that can be mistaken for it."""

    def __init__(self, definition: ast.FunctionDef, parameters: list[str], arrays: bool, statistics: bool):
        nodes = list(ast.walk(definition))
        stored = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        indices = {name.id for loop in nodes if isinstance(loop, ast.For) for name in ast.walk(loop.target)
                   if isinstance(name, ast.Name) and counts(loop, name)}
        # In a kernel what has entries or a shape is an array, and the rest are numbers.
        indexed = {node.value.id for node in nodes
                   if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.value, ast.Name)}
        self.groups: dict[str, list[str]] = {}
        for name in dict.fromkeys([*parameters, *stored]):
            if name not in ("self", "_"):
                group = "index" if name in indices else "value" if arrays or name in indexed else "number"
                self.groups.setdefault(group, []).append(name)
        self.arrays, self.statistics, self.scale = arrays, statistics, LARGE_SCALE if statistics else SCALE
        self.values = {name for group, names in self.groups.items() if group != "index" for name in names}

    def like(self, name: str) -> list[str]:
        """The variables that can be mistaken for one."""
        group = next((names for names in self.groups.values() if name in names), [])
        return [group[(group.index(name) + 1) % len(group)]] if self.statistics and group else group


def counts(loop: ast.For, name: ast.Name) -> bool:
    """Whether a loop's variable is a number that counts: that of range, the first of enumerate."""
    text = ast.unparse(loop.iter)
    return "range(" in text or ("enumerate(" in text and isinstance(loop.target, ast.Tuple)
                                and loop.target.elts[0] is name)


def mutate(node: ast.AST, site: Site, names: Names, role: str, statement: ast.stmt) -> Iterator[Mutant]:
    """Every mutant of a node and of what it holds.

    role : "value" of the computation, "index" into an array, "count" of a loop, "function" that is called, or
           "storage": an array's shape and precision
    """
    if isinstance(node, ast.stmt):
        statement = node
        if names.statistics and (is_check_of_kind(node) or is_docstring(node)):
            return
    line = ast.unparse(statement).splitlines()[0]
    for kind, after in changes(node, site, names, role):
        ast.fix_missing_locations(ast.copy_location(after, node))
        old, new = (ast.unparse(tree).splitlines()[0] for tree in (node, after))
        if ast.unparse(after) != ast.unparse(node):
            yield Mutant(kind, site, node, after, f"{old}  ->  {new}    in: {line}")
    if isinstance(node, (ast.For, ast.If)):
        yield from reordered(node, site, range(len(node.body)))
    if isinstance(node, (ast.Raise, ast.JoinedStr)) or names.statistics and is_warning(node):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if names.statistics and (is_for_a_message(node, field, child) or is_style(child)):
                continue
            if isinstance(child, ast.AST):
                child_role = role_of(node, field, role)
                yield from mutate(child, Site(node, field, index), names, child_role, statement)


def is_check_of_kind(node: ast.stmt) -> bool:
    """Whether a statement is like WHOLE.check("noise", "n", n)."""
    match node:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(kind), "check"), [ast.Constant(), ast.Constant(), _])):
            return kind.isupper()
    return False


def is_docstring(node: ast.stmt) -> bool:
    """Of a function inside; that of the function itself is gone."""
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def is_warning(node: ast.AST) -> bool:
    match node:
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("warnings"), "warn"))):
            return True
    return False


def is_for_a_message(block: ast.AST, field: str, statement: Any) -> bool:
    """Whether a statement stands in a block that ends with an error, before it."""
    statements = getattr(block, field)
    return (field in ("body", "orelse") and isinstance(statements, list) and len(statements) > 1
            and isinstance(statements[-1], ast.Raise) and statement is not statements[-1])


def is_style(node: Any) -> bool:
    return isinstance(node, ast.keyword) and node.arg in STYLE


def role_of(parent: ast.AST, field: str, role: str) -> str:
    if isinstance(parent, ast.Subscript) and field == "slice":
        return "index"
    if isinstance(parent, ast.For) and field == "iter":
        return "count"
    if isinstance(parent, ast.Attribute) and parent.attr == "dtype":
        return "storage"
    if isinstance(parent, ast.Call):
        if field == "func":
            return "function"
        name = last_name(parent)
        inside = "value" if role == "function" else role
        return "count" if name in COUNTING else "storage" if name in STORAGE else inside
    return role


def last_name(call: ast.Call) -> str:
    """The last name in what is called: sum, for np.sum and for sum."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def changes(node: ast.AST, site: Site, names: Names, role: str) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.stmt):
        yield from changes_of_statement(node, names)
    elif isinstance(node, ast.expr) and role != "storage":
        if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            yield from changes_of_target(node)
            return
        if role == "value" and is_number(node, site, names):
            if not (names.statistics and is_compared_with_0(site)):
                yield f"x {names.scale}", ast.BinOp(node, ast.Mult(), ast.Constant(names.scale))
            if not isinstance(site.parent, ast.UnaryOp) and not (names.statistics and has_no_sign(site)):
                yield "sign", ast.UnaryOp(ast.USub(), node)
        yield from changes_of_expression(node, site, names, role)


def is_number(node: ast.expr, site: Site, names: Names) -> bool:
    """Whether an expression stands for a number or an array of them, as a whole; what is true or false has no size."""
    if names.statistics and (site.field == "test" or isinstance(site.parent, ast.BoolOp)
                             or isinstance(site.parent, ast.UnaryOp) and isinstance(site.parent.op, ast.Not)):
        return False
    if isinstance(site.parent, ast.Compare) and isinstance(site.parent.ops[0], (ast.Is, ast.IsNot)):
        return False
    if names.statistics and isinstance(site.parent, ast.Call) and (
            last_name(site.parent) in NO_SIZE or last_name(site.parent) == "where" and site.index == 0):
        return False
    if isinstance(site.parent, (ast.Attribute, ast.Expr)) or (isinstance(site.parent, ast.Subscript)
                                                              and site.field == "value"):
        return False
    match node:
        case ast.Name(name):
            return name in names.values
        case ast.Attribute(_, "shape" | "dtype"):
            return False
        case ast.Call():
            return last_name(node) not in STORAGE
    return isinstance(node, (ast.BinOp, ast.Subscript, ast.Attribute, ast.IfExp))


def is_compared_with_0(site: Site) -> bool:
    """Whether only the sign is read of what stands there."""
    match site.parent:
        case ast.Compare(left, [_], [right]):
            other = right if site.field == "left" else left
            return isinstance(other, ast.Constant) and other.value == 0
    return False


def has_no_sign(site: Site) -> bool:
    """Whether the sign is not read of what stands there."""
    return is_made_even(site) or is_compared_with_0(site) and isinstance(
        site.parent.ops[0], (ast.Eq, ast.NotEq))    # type: ignore[attr-defined]


def is_made_even(site: Site) -> bool:
    """Whether of what stands there the square is taken, the absolute value or the parity: nobody reads its sign."""
    match site.parent:
        case ast.BinOp(_, ast.Mod(), ast.Constant(2)):
            return site.field == "left"
        case ast.BinOp(_, ast.Pow(), ast.Constant(int() as power)):
            return site.field == "left" and power % 2 == 0
        case ast.Call(_, [_]):
            return site.field == "args" and last_name(site.parent) in EVEN
    return False


def has_no_order(site: Site) -> bool:
    """Whether a tuple that stands there holds axes, types, or what something may be equal to."""
    match site.parent:
        case ast.keyword("axis") | ast.Compare(_, [ast.In() | ast.NotIn()], _):
            return True
        case ast.Call():
            return last_name(site.parent) == "isinstance"
    return False


def changes_of_statement(node: ast.stmt, names: Names) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node, ast.Pass):
        yield "dropped statement", ast.Pass()
    if isinstance(node, ast.AugAssign):
        load = ast.parse(ast.unparse(node.target), mode="eval").body
        yield "accumulation", ast.Assign([node.target], node.value)
        for other in ARITHMETIC.get(type(node.op), []) if names.statistics else (ast.Sub, ast.Mult):
            yield "accumulation", ast.Assign([node.target], ast.BinOp(load, other(), node.value))
    if isinstance(node, ast.If):
        yield "comparison", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        for always in (True, False):
            yield "comparison", ast.If(ast.Constant(always), node.body, node.orelse)


def changes_of_target(node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Tuple):
        for kind, elements in swapped(node.elts, "results"):
            yield kind, ast.Tuple(elements, ast.Store())
    if isinstance(node, ast.Subscript):
        yield from swapped_indices(node)


def changes_of_expression(node: ast.expr, site: Site, names: Names,
                          role: str) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.BinOp(left, op, right):
            for other in ARITHMETIC.get(type(op), []):
                yield "operator", ast.BinOp(left, other(), right)
            yield "dropped term", left
            yield "dropped term", right
            same = isinstance(op, COMMUTATIVE) or isinstance(op, ast.Sub) and is_made_even(site)
            if not (same if names.statistics else isinstance(op, (ast.Add, ast.Mult))):
                yield "operands swapped", ast.BinOp(right, op, left)
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.UnaryOp(ast.Not(), operand):
            yield "comparison", operand
        case ast.BoolOp(op, values):
            yield "comparison", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            yield from (("comparison", value) for value in values)
        case ast.Compare(left, [op], [right]):
            for other in COMPARISONS.get(type(op), []):
                yield "comparison", ast.Compare(left, [other()], [right])
        case ast.IfExp(test, body, orelse):
            yield "comparison", ast.IfExp(test, orelse, body)
            yield "dropped term", body
            yield "dropped term", orelse
        case ast.Constant(bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            for other in dict.fromkeys([value + 1, 2 * value, 0 * value]):
                yield "constant", ast.Constant(other)
        case ast.Name(name):
            if name in COUNTS and role == "value":
                yield "off by one", ast.BinOp(node, ast.Add(), ast.Constant(1))
            for other in names.like(name):
                yield "wrong variable", ast.Name(other, ast.Load())
            if role == "value" and names.arrays and not names.statistics and is_number(node, site, names):
                yield "transpose", ast.Attribute(node, "T", ast.Load())
        case ast.Attribute(value, "T"):
            yield "transpose", value
        case ast.Subscript():
            yield from swapped_indices(node)
        case ast.Tuple(elements):
            same = names.statistics and has_no_order(site)
            for kind, swap in swapped(elements, "results") if role == "value" and not same else []:
                yield kind, ast.Tuple(swap, ast.Load())
        case ast.Call():
            yield from changes_of_call(node, site, names)


def changes_of_call(node: ast.Call, site: Site, names: Names) -> Iterator[tuple[str, ast.AST]]:
    name = last_name(node)
    if name == "sum":
        yield "mean for sum", ast.Call(renamed(node.func, "mean"), node.args, node.keywords)
    for other in FUNCTIONS.get(name, []):
        yield "function", ast.Call(renamed(node.func, other), node.args, node.keywords)
    if len(node.args) == 1 and not node.keywords and name not in {*STORAGE, *CONVERSIONS, "type"}:
        yield "function", node.args[0]
        if name == "range":
            yield "loop", ast.Call(node.func, [ast.Constant(1), *node.args], [])
            yield "loop", ast.Call(node.func, [ast.BinOp(node.args[0], ast.Sub(), ast.Constant(1))], [])
    same = names.statistics and name in COMMUTATIVE_CALLS
    for kind, arguments in swapped(node.args, "arguments") if not same else []:
        yield kind, ast.Call(node.func, arguments, node.keywords)
    if name in DRAWS and isinstance(node.func, ast.Attribute):
        for kind, mistake in MISTAKEN_DRAWS.items():
            if kind == "another density" and keeps_its_density(node, site):
                continue
            yield kind, ast.Call(ast.parse(f"lambda draw: {mistake}", mode="eval").body, [node], [])
    for i in (i for i, keyword in enumerate(node.keywords) if not is_style(keyword)):
        yield "dropped argument", ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1:])


def keeps_its_density(draw: ast.Call, site: Site) -> bool:
    """Whether a power of a draw changes nothing: 0 and 1 are their own powers, and only the order of some is read."""
    if isinstance(site.parent, ast.Attribute) and site.parent.attr == "argsort":
        return True
    return last_name(draw) == "integers" and [ast.unparse(one) for one in draw.args[:2]] == ["0", "2"]


def renamed(function: ast.expr, name: str) -> ast.expr:
    """The same call path with another last name; a bare name is taken from NumPy."""
    path = function.value if isinstance(function, ast.Attribute) else ast.Name("np", ast.Load())
    return ast.Attribute(path, name, ast.Load())


def swapped(elements: list[ast.expr], what: str) -> Iterator[tuple[str, list[ast.expr]]]:
    """Each pair of neighbours exchanged."""
    for i in range(len(elements) - 1):
        yield f"{what} swapped", [*elements[:i], elements[i + 1], elements[i], *elements[i + 2:]]


def swapped_indices(node: ast.Subscript) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2:
        yield "transpose", ast.Subscript(node.value, ast.Tuple(node.slice.elts[::-1], ast.Load()), node.ctx)
