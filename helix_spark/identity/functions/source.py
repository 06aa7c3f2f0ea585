"""The text that live code was compiled from, as a file, a notebook or a doctest has it now."""

from __future__ import annotations
import __future__

import inspect
import io
import linecache
import tokenize
from types import CodeType

from helix_spark.identity.bytecode import nested_code
from helix_spark.identity.functions.code_form import form_of
from helix_spark.regular_files import read_regular

LONGEST_SOURCE = 64 << 20
"""Bytes of a file of source code that are read."""

_FUTURE_FEATURES = 0
for _name in __future__.all_feature_names:
    _FUTURE_FEATURES |= getattr(__future__, _name).compiler_flag
"""Features that a notebook cell or doctest has from an earlier one, and so does not say itself."""


def text_of(code: CodeType) -> str:
    """Return the source of the function a code object belongs to, decorators included; empty if it is not to be had, as
    where the file was edited since."""
    lines = read_lines(code.co_filename)
    try:
        flags = code.co_flags & _FUTURE_FEATURES
        module = compile("".join(lines), code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):  # half-edited, or holds null bytes: then no live code comes from it
        return ""
    # Lines above it may have come or gone since it was loaded; that alone makes no other function.
    named = [one for one in nested_code(module) if one.co_name == code.co_name]
    same = [one for one in named if (form_of(one).text, form_of(one).free) == (form_of(code).text, form_of(code).free)]
    found = code if code in same else next(iter(same), None)
    return "" if found is None else "".join(inspect.getblock(lines[found.co_firstlineno - 1 :]))


def read_lines(filename: str) -> list[str]:
    """Return a file's lines as they are now, or as a notebook or doctest keeps them; none if there are none. A record
    may name any file."""
    try:
        raw = io.BytesIO(read_regular(filename, LONGEST_SOURCE))  # not through linecache, which goes by the clock
        encoding, _ = tokenize.detect_encoding(raw.readline)
        raw.seek(0)
        return io.TextIOWrapper(raw, encoding, line_buffering=True).readlines()
    except (SyntaxError, UnicodeDecodeError):  # not a text in the encoding it declares
        return []
    except OSError:
        kept = filename in linecache.cache or (filename.startswith("<") and filename.endswith(">"))
        return linecache.getlines(filename) if kept else []
