"""Times and tracebacks that code only prints or logs: `print(f"{time.time() - begun:.1f} s")`. They are no part of its
result."""

from __future__ import annotations

import ast
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType

from helix_spark.hermetic.asking import CodeOwner, kind_of
from helix_spark.loaded_sources import syntax_of

_CLOCKS = frozenset({
    *(f"{clock}{unit}" for clock in ("time", "perf_counter", "monotonic", "process_time") for unit in ("", "_ns")),
    "now", "utcnow", "today", "format_exc",
})
_FORMATS = frozenset({
    "round", "str", "int", "float", "abs", "format", "timedelta", "strftime", "isoformat", "total_seconds",
})
"""Functions and methods that times may be given on their way."""

MESSAGES = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
"""Methods of loggers that only say something to people."""

_PRINT = "print"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_only_told(code: CodeType, line: int, names: Mapping[str, object]) -> bool:
    """Return whether the clocks that a line of a function asks serve messages alone: whether all that is computed of
    them is given to `print`, or to a logger, and to nothing else. In doubt it is not.

    Args:
        names: the globals of the function.
    """
    if isinstance(sys.stdout, io.StringIO) or "redirect_stdout" in code.co_names:  # what is printed is read
        return False
    told = _tellers(code, code.co_filename, line)
    own = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return told is not None and told.isdisjoint(own) and all(_is_teller(one, names) for one in told)


def _is_teller(name: str, names: Mapping[str, object]) -> bool:
    if name == _PRINT:
        return name not in names
    named = names.get(name)
    logger = named.logger if isinstance(named, logging.LoggerAdapter) else named
    loggers = [logging.root, *logging.root.manager.loggerDict.values()] if logger is logging else []
    while isinstance(logger, logging.Logger):
        loggers.append(logger)
        logger = logger.parent
    handlers = [handler for one in loggers for handler in getattr(one, "handlers", ())]
    return bool(loggers) and all(map(_writes_to_people, handlers))


def _writes_to_people(handler: logging.Handler) -> bool:
    """Return whether what a handler is given goes to a stream, a file or a library, and is not kept for the author."""
    is_kept = type(handler) is logging.StreamHandler and isinstance(handler.stream, io.StringIO)
    emit = getattr(type(handler).emit, "__code__", None)
    return not is_kept and emit is not None and kind_of(emit.co_filename) is not CodeOwner.AUTHOR


@lru_cache(maxsize=1024)
def _tellers(_code: CodeType, file: str, line: int) -> frozenset[str] | None:
    """Return the names of what tells the times that a line asks for; None if they may go elsewhere. The file, since to
    Python code of two files may be equal."""
    functions = [one for one in ast.walk(syntax_of(file)) if isinstance(one, _Function) and _spans(one, line)]
    function = max(functions, key=lambda one: one.lineno, default=None)
    asked = [one for one in ast.walk(function) if isinstance(one, ast.Call) and _asks(one)] if function else []
    return _message_names(function) if function and any(_spans(one, line) for one in asked) else None


def _spans(node: ast.stmt | ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or 0)


def _message_names(function: _Function) -> frozenset[str] | None:
    """Return what tells the times of a function, where each use of a clock, and of a variable made of one, makes
    another such variable or a message."""
    times = set[str]()

    def uses(node: ast.AST) -> int:
        return sum(_asks(one) or (isinstance(one, ast.Name) and one.id in times) for one in ast.walk(node))

    known = -1
    while known != len(times):
        known = len(times)
        times |= {name for one in ast.walk(function) for name in _assigned(one) if uses(one)}
    parts = [*_harmless(function)]
    outer = {name for one in ast.walk(function) if isinstance(one, ast.Global | ast.Nonlocal) for name in one.names}
    calls = [one for part in parts for one in ast.walk(part) if isinstance(one, ast.Call) and uses(one)]
    inside = any(isinstance(one, ast.NamedExpr) and uses(one) for one in ast.walk(function))  # it sets a variable, too
    is_told = not inside and times.isdisjoint(outer) and sum(map(uses, parts)) == sum(map(uses, function.body)) and all(
        _asks(one) or _teller(one) or _name(one.func) in _FORMATS for one in calls
    )
    return frozenset(filter(None, map(_teller, ast.walk(function)))) if is_told else None


def _assigned(node: ast.AST) -> list[str]:
    """Return the variables that a statement sets, if it sets nothing else."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    is_assignment = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
    found = [one.id for one in targets if isinstance(one, ast.Name)] if is_assignment else []
    return found if len(found) == len(targets) else []


def _harmless(function: _Function) -> Iterator[ast.AST]:
    """Yield the parts of a function that may use times."""
    for one in ast.walk(function):
        if _assigned(one) or (isinstance(one, ast.Expr) and _teller(one.value)):
            yield one
        elif isinstance(one, ast.If) and all(
            isinstance(inner, ast.Expr) and _teller(inner.value) for inner in (*one.body, *one.orelse)
        ):
            yield one.test


def _asks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in _CLOCKS


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else str(getattr(called, "id", ""))


def _teller(node: ast.AST) -> str:
    """Return by what name a call prints or logs, if it may do that; else nothing."""
    match node:
        case ast.Call(func=ast.Name(id="print"), keywords=given) if not any(word.arg == "file" for word in given):
            return _PRINT
        case ast.Call(func=ast.Attribute(value=ast.Name(id=holder), attr=method)) if method in MESSAGES:
            return holder
        case ast.Call(func=ast.Attribute(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id="logging"), attr="getLogger")), attr=method
        )) if method in MESSAGES:
            return "logging"
    return ""
