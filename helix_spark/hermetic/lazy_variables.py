"""Variables of a module, or of its classes, in which functions keep what they make once: ``if _model is None: _model =
load()``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from helix_spark.loaded_sources import read_lines, syntax_of


def is_lazy(name: str, file: str, others: Iterable[str]) -> bool:
    """Return whether functions of a module keep in a variable what they make once: whether no other code of the file
    mentions its name but for a statement that sets it to None; nor do other files."""
    module = syntax_of(file)
    functions = [one for one in ast.walk(module) if isinstance(one, ast.FunctionDef) and [*_mentions(one, name)]]
    known = [mention for one in functions for mention in _mentions(one, name)]
    word = re.compile(rf"\b{name}\b")
    return (
        bool(functions) and all(_makes(one, name) for one in functions)
        and len([*_mentions(module, name)]) == 1 + len(known)
        and not any(word.search("".join(read_lines(other))) for other in others if other != file)
    )


def _mentions(inside: ast.AST, name: str) -> Iterator[ast.Name | ast.Attribute]:
    for one in ast.walk(inside):
        if (isinstance(one, ast.Name) and one.id == name) or (isinstance(one, ast.Attribute) and one.attr == name):
            yield one


def _makes(function: ast.FunctionDef, name: str) -> bool:
    """Return whether a function sets a variable, and only where it is None."""
    stored = {one for one in _mentions(function, name) if not isinstance(one.ctx, ast.Load)}
    where_none = (
        statement for one in ast.walk(function) if isinstance(one, ast.If) and _is_none(one.test, name)
        for statement in one.body
    )
    return bool(stored) and stored <= {one for statement in where_none for one in _mentions(statement, name)}


def _is_none(test: ast.expr, name: str) -> bool:
    return re.fullmatch(rf"(\w+\.)?{name} is None|not (\w+\.)?{name}", ast.unparse(test)) is not None
