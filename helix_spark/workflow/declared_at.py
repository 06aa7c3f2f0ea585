"""Location of a declaration in the author's code, read from the stack."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path, PurePath
from types import FrameType
from typing import Any

from helix_spark.errors import Location
from helix_spark.since_python_311 import is_of_dataclass

_PACKAGE = str(Path(__file__).parent.parent)

_PLAIN = (bool, int, float, str, type(None))
_SINGLE = (*_PLAIN, date, PurePath)

MOST_LISTED = 100
"""Maximum length of a list that counts as a parameter; longer lists are data."""


def caller() -> Location:
    """Return the location in the author's file: the first frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or is_of_dataclass(frame.f_code)
    ):
        frame = frame.f_back
    assert frame is not None
    return Location(frame.f_code.co_filename, frame.f_lineno)


def builder(frame: FrameType) -> tuple[dict[str, Any], Location]:
    """Return plain arguments and location of a workflow's function; paths, dates, short lists as `--set` takes them."""
    code = frame.f_code
    parameters = dict[str, Any]()
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value = frame.f_locals.get(name, code)  # the code object is never plain
        items = value if isinstance(value, list | tuple) else [value]
        if len(items) <= MOST_LISTED and all(isinstance(item, _SINGLE) for item in items):
            parameters[name] = _as_set(value)
    return parameters, Location(code.co_filename, frame.f_lineno)


def _as_set(value: Any) -> Any:
    """Return a plain value unchanged, and anything else as text.

    >>> _as_set(0.1), _as_set(date(2024, 5, 31)), _as_set(["a", "b"]), _as_set((0.1, 2)), _as_set([])
    (0.1, '2024-05-31', 'a,b', '0.1,2', '')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, _PLAIN) else str(value)
