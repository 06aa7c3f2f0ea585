"""Sources as Python has loaded them: their text, its cached code, later edits, whether a command loads one just now."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import time
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from helix_spark.regular_files import read_regular

_BEGAN = time.time()
"""When Helix was loaded. What was imported before has no entry in `_loaded`."""

_loaded: dict[str, tuple[float, int]] = {}
"""The time and the size that a file had when it was last loaded as a module."""

_files: dict[str, str] = {}
"""By the name of a module, the file that Python looked at last to load it."""


@cache
def note_loads() -> None:
    """Note which version of a file Python loads as a module; once a process."""
    look: Any = SourceFileLoader.path_stats

    def path_stats(self: Any, path: str) -> Any:
        status = look(self, path)
        _loaded[path], _files[self.name] = (status["mtime"], status["size"]), path
        return status

    SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign]  # replaced on purpose


def loaded_modules() -> dict[str, str]:
    """Return the files of all modules that were loaded since Helix was, or failed to be, by the modules' names."""
    return dict(_files)


def read_program(file: str) -> bytes:
    """Read a program that is to run as `__main__`, and note which version of it that is."""
    status = Path(file).stat()
    _loaded[file] = (status.st_mtime, status.st_size)
    with io.open_code(file) as opened:
        return opened.read()


_recorded: dict[str, str] = {}
"""By file, the text that was loaded in place of the one that is there."""


def note_recorded_text(file: str, text: str) -> None:
    """Note that a recorded text is about to be loaded in place of what a file holds now, if it is there at all."""
    _recorded[file] = text
    linecache.cache[file] = len(text), None, read_lines(file), file


def is_edited(file: str) -> bool:
    """Return whether a file may be another one than the module has that was loaded from it."""
    if file in _recorded:
        return False
    try:
        status = Path(file).stat()
    except OSError:
        return True
    loaded = _loaded.get(file)
    return status.st_mtime > _BEGAN if loaded is None else loaded != (status.st_mtime, status.st_size)


def text_of(code: CodeType) -> str:
    """Return the source of a code object's function with decorators; empty where the file was edited, or is lost."""
    if Path(code.co_filename).exists() and is_edited(code.co_filename):
        return ""
    return "".join(inspect.getblock(read_lines(code.co_filename)[code.co_firstlineno - 1 :]))


def read_lines(filename: str) -> list[str]:
    """Return the lines of a file, which may be any, as they are now, or as a notebook or doctest keeps them, if any."""
    if filename in _recorded:
        return io.StringIO(_recorded[filename], newline=None).readlines()
    try:
        raw = io.BytesIO(read_regular(filename, 64 << 20))  # not through linecache, which goes by the clock
        encoding, _ = tokenize.detect_encoding(raw.readline)
        raw.seek(0)
        return io.TextIOWrapper(raw, encoding, line_buffering=True).readlines()
    except (SyntaxError, UnicodeDecodeError):  # not a text in the encoding it declares
        return []
    except OSError:
        kept = filename in linecache.cache or (filename.startswith("<") and filename.endswith(">"))
        return linecache.getlines(filename) if kept else []


def syntax_of(file: str) -> ast.Module:
    """Return the syntax of a file as it was loaded; an empty module where it was edited, or is no Python."""
    return parsed("" if is_edited(file) else "".join(read_lines(file)))


@lru_cache(maxsize=256)
def parsed(text: str) -> ast.Module:
    """Return the syntax of a text; an empty module where it is no Python."""
    with suppress(SyntaxError, ValueError):
        return ast.parse(text)
    return ast.Module([], [])


@cache
def cache_no_fresh_bytecode() -> None:
    """Let Python cache the code of a module only when no later save can have the same time; once a process. After two
    saves of one size in a second the code of the first would run."""
    write: Any = SourceFileLoader.set_data

    def set_data(self: Any, path: str, data: Any, **named: Any) -> None:
        is_checked_by_time = not any(data[4:8])  # PEP 552: flags, then the time and the size of the source
        # Python knows a text by the second in which it was saved, and a disk's clock may be a tick behind.
        if not is_checked_by_time or int.from_bytes(data[8:12], "little") + 2 <= int(time.time()):
            write(self, path, data, **named)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]  # replaced on purpose


_LOADING = ContextVar("helix_loading", default=False)


def is_loading() -> bool:
    """True while a command loads an author's file: one that runs itself by `hx.main` must not do so then."""
    return _LOADING.get()


@contextmanager
def loading() -> Iterator[None]:
    before = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(before)
