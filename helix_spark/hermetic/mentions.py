"""Files that the author's code names outright: a library in C may read them, and nobody tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike, fspath
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from helix_spark.hermetic.asking import CodeOwner, kind_of

_LONGEST = 1000
"""Characters of a path."""


def files_named(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the absolute paths of the files that are there and that a function names, or one of the author's that it
    calls by name: as texts or paths, written in it or held in variables that it refers to."""
    waiting: list[object] = [getattr(function, "__wrapped__", function)]
    met: set[int] = set()
    found: dict[str, None] = {}
    while waiting:
        one = waiting.pop()
        if isinstance(one, FunctionType):
            if id(one) not in met and kind_of(one.__code__.co_filename) is CodeOwner.AUTHOR:
                met.add(id(one))
                waiting.extend(_held(one))
        elif isinstance(one, str | PathLike) and (path := _file(fspath(one))) is not None:
            found[path] = None
    yield from found


def _held(function: FunctionType) -> Iterator[object]:
    """Yield the constants of a function, and what its names and its closure hold."""
    codes: list[CodeType] = [function.__code__]
    while codes:
        code = codes.pop()
        yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                codes.append(constant)
            yield from constant if isinstance(constant, tuple) else (constant,)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty as yet
            continue
    yield from (function.__defaults__ or ())


def _file(text: str | bytes) -> str | None:
    """Return the file that a text names; a name alone is one if it has an ending."""
    if not isinstance(text, str) or not 2 < len(text) < _LONGEST or not ("/" in text or "." in text):
        return None
    if "\n" in text or "\0" in text:
        return None
    path = Path(text)
    return str(path.absolute()) if path.is_file() else None
