"""A plain program's text as one straight list of statements: what `main()` does stands where it is called."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from helix_spark.errors import HelixError, Location
from helix_spark.program.conversion.statement_names import Names, free_in_function, names_of

ARGUMENTS = "argv"
"""What the straight text calls ``sys.argv``."""

DRAWN_SEED = 11
"""The seed that a split is given whose author gives none."""

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        line: of the program.
        original: as the program has it.
        text: the author's own lines, comments above them included, but what a workflow's has differently: see `_edits`.
        tree: of that text.
        names: that it reads, binds and changes.
        splits: whether it splits rows without a seed.
    """

    line: int
    original: ast.stmt
    text: str
    tree: ast.stmt
    names: Names
    splits: bool = False

    def read_as(self, name: str, part: ast.expr) -> tuple[Statement, Statement]:
        """Two statements: one that gives a part of this one a variable of its own, and this one with that."""
        before = ast.get_source_segment(self.text, part) or ""
        places = (part.lineno, part.col_offset), _end(part)
        return (
            self._with(f"{name} = {before}", splits=False),
            self._with(_replaced(self.text, [(*places, name)]), splits=self.splits),
        )

    def _with(self, text: str, *, splits: bool) -> Statement:
        (tree,) = ast.parse(text).body
        return Statement(self.line, self.original, text, tree, names_of([tree]), splits)


def statements_of(text: str, file: str) -> list[Statement]:
    """A program's statements in the order in which they run.

    Args:
        file: the program's, for errors.

    Raises:
        HelixError: the text cannot be parsed, or does not run straight through.
    """
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        raise HelixError(f"it cannot be parsed: {error.msg}", where=Location(file, error.lineno or 1)) from error
    program = _Text(text.splitlines(), file, module)
    return [program.statement(one) for one in program.straight(module.body)]


class _Text:
    """One program's text."""

    def __init__(self, lines: list[str], file: str, module: ast.Module) -> None:
        self._lines, self._file = lines, file
        loads = (node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
        self._called = Counter(loads)
        self._functions = {one.name: one for one in module.body if isinstance(one, ast.FunctionDef)}
        starts = Counter(one.lineno for one in ast.walk(module) if isinstance(one, ast.stmt))
        self._shared = {line for line, count in starts.items() if count > 1}
        self._within = _inside_texts("\n".join(lines))
        self._inlined = frozenset(self._main_functions(module.body))
        own = frozenset().union(*(names_of([one]).binds for one in module.body if not isinstance(one, _DEFINITIONS)))
        for name in sorted(self._inlined):
            self._check(self._functions[name], own)

    def straight(self, body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
        """The statements of a body, with those of functions that are called once for what they do."""
        for one in body:
            if isinstance(one, ast.FunctionDef) and one.name in self._inlined:
                continue
            if isinstance(one, ast.If) and _is_main_block(one):
                yield from self.straight(one.body)
            elif (call := self._call(one)) is not None and call[0] in self._inlined:
                function = self._functions[call[0]]
                yield from self._given(function, call[1])
                yield from self.straight(_without_end(function.body))
            elif not _is_text(one):
                yield one

    def statement(self, tree: ast.stmt) -> Statement:
        """A statement with its text."""
        edited, splits = _edited(self._text(tree))
        (again,) = ast.parse(edited).body
        return Statement(tree.lineno, tree, edited, again, names_of([again]), splits)

    def _text(self, tree: ast.stmt) -> str:
        if getattr(tree, "made", False):
            return ast.unparse(tree)
        if tree.lineno in self._shared and not isinstance(tree, _COMPOUND):
            return ast.get_source_segment("\n".join(self._lines), tree) or ast.unparse(tree)
        first = min([tree.lineno, *(one.lineno for one in getattr(tree, "decorator_list", ()))])
        while first > 1 and self._lines[first - 2].startswith(" " * tree.col_offset + "#"):
            first -= 1
        numbered = enumerate(self._lines[first - 1:tree.end_lineno], first)
        return "\n".join(one if at in self._within else one[tree.col_offset:] for at, one in numbered)

    def _main_functions(self, body: Iterable[ast.stmt]) -> Iterator[str]:
        for one in body:
            if isinstance(one, ast.If) and _is_main_block(one):
                yield from self._main_functions(one.body)
            elif (call := self._call(one)) is not None and self._called[call[0]] == 1:
                yield call[0]
                yield from self._main_functions(self._functions[call[0]].body)

    def _call(self, tree: ast.stmt) -> tuple[str, ast.Call] | None:
        """The function of the program's own that a statement is a call of; of ``sys.exit(main())``, too."""
        match tree:
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(attr="exit"), args=[ast.Call(func=ast.Name(id=name)) as call])
            ):
                pass
            case ast.Expr(value=ast.Call(func=ast.Name(id=name)) as call):
                pass
            case _:
                return None
        return (name, call) if name in self._functions and not self._functions[name].decorator_list else None

    def _given(self, function: ast.FunctionDef, call: ast.Call) -> Iterator[ast.stmt]:
        """A function's parameters as assignments."""
        named = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        defaults = dict(zip(named[len(named) - len(function.args.defaults):], function.args.defaults, strict=True))
        given = defaults | dict(zip(named, call.args, strict=False))
        given |= {one.arg or "": one.value for one in call.keywords}
        for name in named:
            value = given.get(name)
            if value is None:
                raise self._error(call, f"gives {function.name} other arguments than can be followed")
            if not (isinstance(value, ast.Name) and value.id == name):
                (made,) = ast.parse("\n" * (call.lineno - 1) + f"{name} = {ast.unparse(value)}").body
                made.made = True  # type: ignore[attr-defined]  # no lines of the author's are its text
                yield made

    def _check(self, function: ast.FunctionDef, own: frozenset[str]) -> None:
        """Raises HelixError where a function's body cannot stand for its call."""
        inside = _without_end(function.body)
        for node in (node for one in inside for node in _of_this_scope(one)):
            if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Global | ast.Nonlocal):
                raise self._error(node, f"leaves {function.name} in the middle, or shares its variables")
        bound = names_of(inside).binds
        others = (one for name, one in self._functions.items() if name not in self._inlined)
        twice = sorted(bound & (own | frozenset().union(*map(free_in_function, others))))
        if twice:
            raise self._error(function, f"has a variable {twice[0]!r}, which means something else outside it")

    def _error(self, node: ast.AST, why: str) -> HelixError:
        line = getattr(node, "lineno", 1)
        return HelixError(
            f"the program does not run straight through: it {why}", where=Location(self._file, line),
            remedy="have its steps stand one after the other, in the file or in one function that is called once",
        )


_COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try, *_DEFINITIONS)


def _is_main_block(tree: ast.If) -> bool:
    return not tree.orelse and "__name__" in ast.unparse(tree.test)


def _is_text(tree: ast.stmt) -> bool:
    """Whether a statement is a docstring, or `pass`."""
    return isinstance(tree, ast.Pass) or (isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant))


def _without_end(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    return body[:-1] if isinstance(body[-1], ast.Return) else body


def _of_this_scope(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    if not isinstance(tree, (*_DEFINITIONS, ast.Lambda)):
        for child in ast.iter_child_nodes(tree):
            yield from _of_this_scope(child)


def _inside_texts(text: str) -> frozenset[int]:
    """The lines that begin inside a text of several lines: what stands before them there is the text's."""
    found: set[int] = set()
    begun: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text + "\n").readline):
        name = tokenize.tok_name[token.type]
        if name == "FSTRING_START":
            begun.append(token.start[0])
        elif name in ("STRING", "FSTRING_END"):
            first = begun.pop() if name == "FSTRING_END" else token.start[0]
            found.update(range(first + 1, token.end[0] + 1))
    return frozenset(found)


def indented(text: str, by: str) -> str:
    """Text of a program, moved to the right; the insides of texts of several lines stay as they are.

    >>> print(indented('a = 1\\n\\nb = 2', "  "))
      a = 1
    <BLANKLINE>
      b = 2
    """
    within = _inside_texts(text)
    return "\n".join(
        by + one if one and at not in within else one for at, one in enumerate(text.splitlines(), 1)
    )


def _edited(text: str) -> tuple[str, bool]:
    """A statement's text as a workflow has it, and whether it splits rows without a seed.

    >>> _edited("rows = load(sys.argv[1]).cache()")[0], _edited("args = parser.parse_args()")[0]
    ('rows = load(argv[1])', 'args = parser.parse_args(argv[1:])')
    >>> _edited("a, b = rows.randomSplit([0.8, 0.2])")
    ('a, b = rows.randomSplit([0.8, 0.2], seed=11)', True)
    """
    edits = list(_edits(ast.parse(text)))
    return _replaced(text, edits), any(new.startswith(", seed=") for _, _, new in edits)


def _replaced(text: str, edits: Iterable[_Edit]) -> str:
    lines = [line.encode() for line in text.splitlines()]
    starts = [sum(len(line) + 1 for line in lines[:at]) for at in range(len(lines))]
    whole = text.encode()
    for (line, column), (end_line, end_column), new in sorted(edits, reverse=True):
        whole = whole[:starts[line - 1] + column] + new.encode() + whole[starts[end_line - 1] + end_column:]
    return whole.decode()


_Edit = tuple[tuple[int, int], tuple[int, int], str]
"""From where to where, as Python's parser counts lines and bytes, and what stands there instead."""


def _edits(tree: ast.AST) -> Iterator[_Edit]:
    """What a workflow has differently: what to keep in memory is Helix's to decide, the command line is a parameter,
    and what is drawn has a seed."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr="cache" | "persist")):
                yield _end(inner), _end(node), ""
            case ast.Attribute(value=ast.Name(id="sys"), attr="argv"):
                yield (node.lineno, node.col_offset), _end(node), ARGUMENTS
            case ast.Call(func=ast.Attribute(attr="parse_args"), args=[], keywords=[]):
                yield _end(node.func), _end(node), f"({ARGUMENTS}[1:])"
            case ast.Call(func=ast.Attribute(attr="randomSplit"), args=[given], keywords=[]):
                yield _end(given), _end(given), f", seed={DRAWN_SEED}"


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0
