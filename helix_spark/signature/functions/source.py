"""The text that live code was compiled from, as a file, a notebook or a doctest has it now."""

from __future__ import annotations
import __future__

import inspect
import linecache
import tokenize
from pathlib import Path
from types import CodeType

from helix_spark.signature.bytecode import nested, same_code

_FUTURE_FEATURES = 0
for _name in __future__.all_feature_names:
    _FUTURE_FEATURES |= getattr(__future__, _name).compiler_flag
"""Features that a notebook cell or doctest has from an earlier one, and so does not say itself."""


def text_of(code: CodeType) -> str:
    """The source of the function a code object belongs to, decorators included; empty if it is not to be had, as where
    the file was edited since."""
    lines = read_lines(code.co_filename)
    try:
        flags = code.co_flags & _FUTURE_FEATURES
        module = compile("".join(lines), code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):  # half-edited, or holds null bytes: then no live code comes from it
        return ""
    # Lines above it may have come or gone since it was loaded; that alone makes no other function.
    same = [one for one in nested(module) if same_code(one, code)]
    found = code if code in same else next(iter(same), None)
    return "" if found is None else "".join(inspect.getblock(lines[found.co_firstlineno - 1 :]))


def read_lines(filename: str) -> list[str]:
    """The file's lines as they are now, or as a notebook or doctest keeps them; empty if there are none."""
    if not Path(filename).is_file():
        return linecache.getlines(filename)
    try:
        with tokenize.open(filename) as stream:  # not through linecache, which goes by the clock
            return stream.readlines()
    except (OSError, SyntaxError, UnicodeDecodeError):  # gone, or not a text in the encoding it declares
        return []
