"""The sources of a workflow that a plain program's reads amount to."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from helix_spark.program.conversion.met_statements import Met
from helix_spark.program.conversion.straight_text import Statement

_FORMATS = ("csv", "json", "parquet", "text")


@dataclass(frozen=True, slots=True)
class Source:
    """A source.

    Attributes:
        declared: as it is declared: ``hx.csv("people.csv", header=True)``.
        tree: the statement's expression that it takes the place of.
        rest: whether the statement does more than to read it.
    """

    declared: str
    tree: ast.expr
    rest: bool


def reads_apart(
    statements: Sequence[Statement], met: Sequence[Met]
) -> tuple[list[Statement], list[Met], frozenset[str]]:
    """A program's statements, of which none reads a source and does something with it at once; what was met in each;
    and the variables that hold the session."""
    sessions = frozenset(name for one in met for name, kind in one.kinds.items() if kind == "session")
    taken = {name for one in statements for name in one.names.reads | one.names.binds}
    found: list[tuple[Statement, Met]] = []
    for one, behind in zip(statements, met, strict=False):
        source = read_in(one, sessions)
        if source is None or not source.rest:
            found.append((one, behind))
            continue
        (variable,) = one.names.binds
        numbered = (f"{variable}_data{number or ''}" for number in count())
        name = next(name for name in numbered if name not in taken)
        taken.add(name)
        read = one.read_as(name, source.tree)
        found += [(read[0], Met({name: "table"}, {}, asks=False)), (read[1], behind)]
    return [one for one, _ in found], [one for _, one in found], sessions


def read_in(one: Statement, sessions: frozenset[str]) -> Source | None:
    """The source that a statement reads, if a workflow can declare it.

    Args:
        sessions: variables that hold the session.
    """
    if not isinstance(one.tree, ast.Assign) or not isinstance(one.tree.targets[0], ast.Name):
        return None
    top = inner = one.tree.value
    while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        steps = list(_steps(inner))
        if steps and isinstance(steps[-1], ast.Attribute) and _is_reader(steps[-1], sessions):
            declared = _declared([step for step in reversed(steps) if isinstance(step, ast.Call)], one.text)
            if declared is not None:
                return Source(declared, inner, inner is not top)
        inner = inner.func.value
    return None


def _steps(tree: ast.expr) -> Iterator[ast.expr]:
    """The calls of a chain from its last on, and what it begins with."""
    while isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute):
        yield tree
        tree = tree.func.value
    yield tree


def _is_reader(tree: ast.Attribute, sessions: frozenset[str]) -> bool:
    return tree.attr == "read" and isinstance(tree.value, ast.Name) and tree.value.id in sessions


def _declared(calls: list[ast.Call], text: str) -> str | None:
    """A chain of calls of a reader as a source's declaration; None if there is none that reads the same."""
    format, paths, options = "parquet", "", dict[str, str]()

    def written(tree: ast.expr) -> str:
        return ast.get_source_segment(text, tree) or ast.unparse(tree)

    for at, call in enumerate(calls):
        assert isinstance(call.func, ast.Attribute)
        named = {one.arg or "": written(one.value) for one in call.keywords}
        match call.func.attr, call.args:
            case "format", [ast.Constant(value=str(given))]:
                format = given.lower()
            case "schema", [given]:
                options["schema"] = written(given)
            case "option", [ast.Constant(value=str(name)), given] if name.isidentifier():
                options[name] = written(given)
            case "options", []:
                options |= named
            case "load" | "csv" | "json" | "parquet" | "text" as verb, [given, *more] if at == len(calls) - 1:
                format = format if verb == "load" else verb
                paths = written(given)
                if more and verb == "csv" and len(more) == 1:
                    options["schema"] = written(more[0])
                elif more and verb == "parquet":
                    paths = f"[{', '.join(map(written, call.args))}]"
                elif more:
                    return None
                options |= named
            case _:
                return None
    if "" in options or not paths or "path" in options:
        return None
    return _source(format, paths, options)


def _source(format: str, paths: str, options: dict[str, str]) -> str | None:
    if format == "delta":
        version = options.pop("versionAsOf", None)
        return None if options else f"hx.delta({paths}{'' if version is None else f', version={version}'})"
    if format not in _FORMATS or (format in ("parquet", "text") and "schema" in options):
        return None
    if format == "csv" and "schema" not in options:
        options.setdefault("inferSchema", "False")
    return f"hx.{format}({', '.join([paths, *(f'{name}={value}' for name, value in options.items())])})"
