"""Times and tracebacks that code only prints or logs: `print(f"{time.time() - start:.1f} s")`. They do not count."""

from __future__ import annotations

import ast
import io
import logging
import re
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
"""Functions and methods that may convert times."""

MESSAGES = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
"""Methods of loggers that only emit messages."""

_PRINT = "print"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_only_told(code: CodeType, line: int, names: Mapping[str, object]) -> bool:
    """Return whether the clocks on a line certainly serve messages alone, by `print` or loggers.

    Args:
        names: the globals of the function.
    """
    if isinstance(sys.stdout, io.StringIO) or "redirect_stdout" in code.co_names:  # the code may read its own output
        return False
    printers = _printers(code, code.co_filename, line)
    own = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return printers is not None and printers.isdisjoint(own) and all(_is_printer(name, names) for name in printers)


def _is_printer(name: str, names: Mapping[str, object]) -> bool:
    if name == _PRINT:
        return name not in names
    value = names.get(name)
    logger = value.logger if isinstance(value, logging.LoggerAdapter) else value
    loggers = [logging.root, *logging.root.manager.loggerDict.values()] if logger is logging else []
    while isinstance(logger, logging.Logger):
        loggers.append(logger)
        logger = logger.parent
    handlers = [handler for each in loggers for handler in getattr(each, "handlers", ())]
    return bool(loggers) and all(map(_writes_to_people, handlers))


def _writes_to_people(handler: logging.Handler) -> bool:
    """Return whether a handler emits to a stream, a file or a library, and not to the author's code."""
    emit = getattr(type(handler).emit, "__code__", None)
    return not _is_kept(handler) and emit is not None and kind_of(emit.co_filename) is not CodeOwner.AUTHOR


def _is_kept(handler: logging.Handler) -> bool:
    """Return whether a handler writes into a text, which the author's code may read."""
    return type(handler) is logging.StreamHandler and isinstance(handler.stream, io.StringIO)


def keeps_moment(handler: logging.Handler) -> bool:
    """Return whether a handler writes the time, the process or the thread into a text, by its format."""
    return _is_kept(handler) and _MOMENT.search(getattr(handler.formatter, "_fmt", None) or "") is not None


_MOMENT = re.compile("asctime|created|msecs|process|relative|thread", re.IGNORECASE)
"""Fields of log records that differ each time."""


@lru_cache(maxsize=1024)
def _printers(_code: CodeType, file: str, line: int) -> frozenset[str] | None:
    """Return the names that print or log the times of a line; None if the times may go elsewhere. The file is a
    parameter because code objects of two files may be equal."""
    functions = [node for node in ast.walk(syntax_of(file)) if isinstance(node, _Function) and _spans(node, line)]
    function = max(functions, key=lambda node: node.lineno, default=None)
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _is_clock(node)] if function else []
    return _message_names(function) if function and any(_spans(call, line) for call in calls) else None


def _spans(node: ast.stmt | ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or 0)


def _message_names(function: _Function) -> frozenset[str] | None:
    """Return the names that print or log the times of a function; None if a time has another use."""
    times = set[str]()

    def uses(node: ast.AST) -> int:
        return sum(_is_clock(part) or (isinstance(part, ast.Name) and part.id in times) for part in ast.walk(node))

    count = -1
    while count != len(times):
        count = len(times)
        times |= {name for node in ast.walk(function) for name in _assigned(node) if uses(node)}
    parts = [*_harmless(function)]
    outer = {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    calls = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.Call) and uses(node)]
    has_walrus = any(isinstance(node, ast.NamedExpr) and uses(node) for node in ast.walk(function))
    if has_walrus or not times.isdisjoint(outer) or sum(map(uses, parts)) != sum(map(uses, function.body)):
        return None
    if not all(_is_clock(call) or _printer(call) or _name(call.func) in _FORMATS for call in calls):
        return None
    return frozenset(filter(None, map(_printer, ast.walk(function))))


def _assigned(node: ast.AST) -> list[str]:
    """Return the variables that a statement sets, if it sets nothing else."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    is_assignment = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
    names = [target.id for target in targets if isinstance(target, ast.Name)] if is_assignment else []
    return names if len(names) == len(targets) else []


def _harmless(function: _Function) -> Iterator[ast.AST]:
    """Yield the parts of a function that may use times."""
    for node in ast.walk(function):
        if _assigned(node) or (isinstance(node, ast.Expr) and _printer(node.value)):
            yield node
        elif isinstance(node, ast.If) and all(
            isinstance(inner, ast.Expr) and _printer(inner.value) for inner in (*node.body, *node.orelse)
        ):
            yield node.test


def _is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in _CLOCKS


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else str(getattr(called, "id", ""))


def _printer(node: ast.AST) -> str:
    """Return the name by which a call prints or logs; empty if it does neither."""
    match node:
        case ast.Call(func=ast.Name(id="print"), keywords=keywords) if not any(word.arg == "file" for word in keywords):
            return _PRINT
        case ast.Call(func=ast.Attribute(value=ast.Name(id=holder), attr=method)) if method in MESSAGES:
            return holder
        case ast.Call(func=ast.Attribute(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id="logging"), attr="getLogger")), attr=method
        )) if method in MESSAGES:
            return "logging"
    return ""
