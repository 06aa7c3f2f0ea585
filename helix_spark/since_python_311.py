"""Features of Python 3.11, also for 3.10."""

from __future__ import annotations

import glob
import os
import sys
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType

if sys.version_info >= (3, 11):
    from enum import StrEnum as StrEnum
else:
    class StrEnum(str, Enum):
        __str__ = str.__str__


def matches_of(pattern: str) -> list[str]:
    """Return the paths that match a pattern, including hidden ones."""
    if sys.version_info >= (3, 11):
        return glob.glob(pattern, include_hidden=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not glob.has_magic(pattern):
        return [pattern] if os.path.lexists(pattern) else []
    top = Path(pattern).anchor
    return [str(path) for path in Path(top).glob(pattern.removeprefix(top).replace("**", "*"))]


def own_name(function: FunctionType) -> str:
    """Return the qualified name of a function's own code, which `functools.wraps` does not change.

    In Python 3.10 it is only the last part, if the function's name was changed.

    >>> def f(): ...
    >>> f.__qualname__ = f.__name__ = "g"
    >>> own_name(f)
    'f'
    """
    code, name = function.__code__, function.__qualname__
    if sys.version_info >= (3, 11):
        return code.co_qualname
    return name if name.rpartition(".")[2] == code.co_name else code.co_name


def is_of_dataclass(code: CodeType) -> bool:
    """Return whether `dataclass` generated code. Python 3.10 compiles each such function from a text of its own, in
    which it begins on line 2."""
    if sys.version_info >= (3, 11):
        return code.co_qualname.startswith("__create_fn__.<locals>.")
    return (code.co_filename, code.co_firstlineno) == ("<string>", 2) and code.co_name.startswith("__")
