"""The text that live code was compiled from, as a file, a notebook or a doctest has it now."""

from __future__ import annotations

import inspect
import io
import linecache
import tokenize
from pathlib import Path
from types import CodeType

from helix_spark.loaded_sources import is_edited
from helix_spark.regular_files import read_regular

LONGEST_SOURCE = 64 << 20
"""Bytes of a file of source code that are read."""


def text_of(code: CodeType) -> str:
    """Return the source of the function a code object belongs to, decorators included; empty if it is not to be had, as
    where the file was edited since."""
    if Path(code.co_filename).exists() and is_edited(code.co_filename):
        return ""
    return "".join(inspect.getblock(read_lines(code.co_filename)[code.co_firstlineno - 1 :]))


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
