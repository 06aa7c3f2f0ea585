"""Runs a plain program statement by statement, and tells of each what kind of values it gave its variables, and
whether it asked Spark. What it writes is left out."""

from __future__ import annotations
import __future__

import ast
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from helix_spark.engine.results.node_results import plain
from helix_spark.errors import HelixError, Location, ResultTypeError
from helix_spark.program.conversion.straight_text import ARGUMENTS, Statement
from helix_spark.program.main_module import as_main
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.questions import KINDS

Kind = Literal["session", "table", "model", "spark", "value", "plain", "module"]
"""Of a value: `spark` is another object of pyspark's, or what holds one; `value` is what JSON gives back as it was."""

WRITES = frozenset({"insertInto", "save", "saveAsTable", "write", "writeTo"})


@dataclass(frozen=True, slots=True)
class Piece:
    """An expression whose value a statement shows.

    Attributes:
        text: its own.
        label: what is printed before it.
        kind: of its value.
        form: the value as a workflow keeps it, with the expression in the place of ``{}``; empty for a table.
    """

    text: str
    label: str
    kind: Kind
    form: str


@dataclass(frozen=True, slots=True)
class Met:
    """A statement that has run.

    Attributes:
        kinds: of what its variables hold behind it, those that it changes included.
        forms: the same as `Piece.form`.
        asks: whether it asked Spark to run something.
        shows: what it prints, or shows.
    """

    kinds: Mapping[str, Kind]
    forms: Mapping[str, str]
    asks: bool
    shows: tuple[Piece, ...] = ()


def meet(program: PlainProgram, statements: Sequence[Statement]) -> list[Met]:
    """Runs a program's statements, unheard.

    Raises:
        HelixError: the program fails; with its line.
    """
    program.begin()
    found: list[Met] = []
    try:
        with as_main(program.path, program.arguments) as names, redirect_stdout(io.StringIO()):
            names[ARGUMENTS] = sys.argv
            running = _Running(program, names)
            for one in statements:
                found.append(running.meet(one))
    except SystemExit:
        pass  # it ends itself
    except HelixError:
        raise
    except Exception as error:
        where = Location(str(program.path), statements[len(found)].line)
        raise HelixError(f"the program ends with {type(error).__name__}: {error}", where=where) from error
    return found


@dataclass(slots=True)
class _Running:
    program: PlainProgram
    names: dict[str, Any]
    flags: int = 0

    def meet(self, one: Statement) -> Met:
        before = self._asked()
        shows: tuple[Piece, ...] = ()
        if is_print(one.tree):
            shows = tuple(self._pieces(one))
        elif (shown := shown_table(one.tree)) is not None and kind_of_value(self._value(shown)) == "table":
            shows = (Piece(source_of(shown, one.text), "shown", "table", ""),)
        elif not is_write(one.tree):
            self._run(one.original)
        kinds = {
            name: kind_of_value(self.names[name]) for name in sorted(one.names.binds | one.names.changes)
            if name in self.names
        }
        forms = {name: form_of(self.names[name]) for name, kind in kinds.items() if kind in ("value", "plain")}
        return Met(kinds, forms, self._asked() > before, shows)

    def _run(self, tree: ast.stmt) -> None:
        if isinstance(tree, ast.ImportFrom) and tree.module == "__future__":
            self.flags |= sum(getattr(__future__, alias.name).compiler_flag for alias in tree.names)
        code = compile(ast.Module([tree], []), self.names["__file__"], "exec", self.flags, dont_inherit=True)
        exec(code, self.names)

    def _value(self, tree: ast.expr) -> Any:
        code = compile(ast.Expression(tree), self.names["__file__"], "eval", self.flags, dont_inherit=True)
        return eval(code, self.names)

    def _asked(self) -> int:
        answerer = self.program.answerer
        return 0 if answerer is None else sum(KINDS[one.question.sort] == "execute" for one in answerer.asked)

    def _pieces(self, one: Statement) -> Iterator[Piece]:
        for label, tree in printed(one.tree):
            value = self._value(tree)
            text = ast.unparse(tree) if label.startswith(_IN_TEXT) else source_of(tree, one.text)
            kind = kind_of_value(value)
            yield Piece(text, label.removeprefix(_IN_TEXT), kind, "" if kind == "table" else form_of(value))


_IN_TEXT = "\0"
"""Marks what stands inside an f-string: of that Python 3.11 does not tell the place."""


def is_print(tree: ast.stmt) -> bool:
    return isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Call) and ast.unparse(tree.value.func) == "print"


def printed(tree: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The expressions that a `print` prints, each with the text before it."""
    assert isinstance(tree, ast.Expr)
    assert isinstance(tree.value, ast.Call)
    label = ""
    for given in tree.value.args:
        match given:
            case ast.Constant(value=str(text)):
                label = text
            case ast.JoinedStr(values=parts):
                for part in parts:
                    if isinstance(part, ast.FormattedValue):
                        yield _IN_TEXT + label, part.value
                    label = str(part.value) if isinstance(part, ast.Constant) else ""
            case _:
                yield label, given.value if isinstance(given, ast.Starred) else given
                label = ""


def shown_table(tree: ast.stmt) -> ast.expr | None:
    """What a statement calls `show` of."""
    match tree:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=value, attr="show"))):
            return value
    return None


def is_write(tree: ast.stmt) -> bool:
    return isinstance(tree, ast.Expr) and any(
        isinstance(node, ast.Attribute) and node.attr in WRITES for node in ast.walk(tree)
    )


def source_of(tree: ast.expr, text: str) -> str:
    """An expression as it is written in a statement's text."""
    return ast.get_source_segment(text, tree) or ast.unparse(tree)


def kind_of_value(value: Any, depth: int = 3) -> Kind:
    """What kind of value something is."""
    owner = type(value)
    names = {f"{base.__module__}.{base.__name__}" for base in owner.__mro__}
    bare = {name.rpartition(".")[2] for name in names if name.startswith(("pyspark.sql.", "helix_spark."))}
    if bare & {"SparkSession", "SessionContext"}:
        return "session"
    if "DataFrame" in bare:
        return "table"
    if "pyspark.ml.base.Model" in names:
        return "model"
    if owner is ModuleType:
        return "module"
    if _is_exact(value):
        return "value"
    if isinstance(value, list | tuple | dict) and depth and not names & {"pyspark.sql.types.Row"}:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        return "spark" if any(kind_of_value(one, depth - 1) in _OF_SPARK for one in inside) else "plain"
    answers = names & {"pyspark.sql.types.Row", "pyspark.ml.linalg.Vector", "pyspark.ml.linalg.Matrix"}
    return "spark" if owner.__module__.startswith("pyspark.") and not answers else "plain"


_OF_SPARK = ("session", "table", "model", "spark")


def _is_exact(value: Any) -> bool:
    """Whether a value is the same after it was stored as JSON."""
    if type(value) is list:
        return all(map(_is_exact, value))
    if type(value) is dict:
        return all(type(key) is str and _is_exact(one) for key, one in value.items())
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def form_of(value: Any) -> str:
    """A value as a workflow keeps it: see `Piece.form`."""
    if _is_exact(value):
        return "{}"
    match _named(value):
        case "pandas.DataFrame":
            return "pandas"
        case "pyspark.Row" if _is_exact(value.asDict(recursive=True)):
            return "{}.asDict(recursive=True)"
        case "pyspark.DenseVector" | "pyspark.SparseVector" | "pyspark.DenseMatrix" | "pyspark.SparseMatrix":
            return "{}.toArray().tolist()"
        case "builtins.list" if value and all(_named(one) == "pyspark.Row" for one in value):
            if _is_exact([one.asDict(recursive=True) for one in value]):
                return "[row.asDict(recursive=True) for row in {}]"
    try:
        plain(value, "")
    except ResultTypeError:
        return "str({})"
    return "{}"


def _named(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
