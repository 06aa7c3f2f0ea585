"""Where in the author's code a declaration stands, told from the stack."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from helix_spark.errors import Location

_PACKAGE = str(Path(__file__).parent.parent)


def caller() -> Location:
    """The place in the author's file that led here: the first frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    assert frame is not None
    return Location(frame.f_code.co_filename, frame.f_lineno)


def builder(frame: FrameType) -> tuple[dict[str, Any], Location]:
    """The plain arguments of the function that builds a workflow, and where it does."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    plain = (bool, int, float, str, type(None))
    values = {name: frame.f_locals[name] for name in names if name in frame.f_locals}
    return {name: v for name, v in values.items() if isinstance(v, plain)}, Location(code.co_filename, frame.f_lineno)
