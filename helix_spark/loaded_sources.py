"""Sources as Python loaded them: their text, later edits, their cached bytecode, and loads in progress."""

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
"""The time when Helix was loaded. Modules imported before have no entry in `_loaded`."""

_loaded: dict[str, tuple[float, int]] = {}
"""The modification time and size of each file when it was last loaded as a module."""

_files: dict[str, str] = {}
"""The file that Python last examined to load a module, by the module's name."""


@cache
def note_loads() -> None:
    """Note which version of a file Python loads as a module; once a process."""
    original: Any = SourceFileLoader.path_stats

    def path_stats(self: Any, path: str) -> Any:
        status = original(self, path)
        _loaded[path], _files[self.name] = (status["mtime"], status["size"]), path
        return status

    SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign]  # replaced on purpose


def loaded_modules() -> dict[str, str]:
    """Return the files of all modules loaded after Helix, or that failed to load, by the modules' names."""
    return dict(_files)


def read_program(file: str) -> bytes:
    """Read a program to run as `__main__`, and note its version."""
    status = Path(file).stat()
    _loaded[file] = (status.st_mtime, status.st_size)
    with io.open_code(file) as stream:
        return stream.read()


_recorded: dict[str, str] = {}
"""The recorded text that was loaded instead of a file's current text, by file."""


def note_recorded_text(file: str, text: str) -> None:
    """Note that a recorded text is about to be loaded instead of a file, which need not exist."""
    _recorded[file] = text
    linecache.cache[file] = len(text), None, read_lines(file), file


def is_edited(file: str) -> bool:
    """Return whether a file may have changed since it was loaded."""
    if file in _recorded:
        return False
    try:
        status = Path(file).stat()
    except OSError:
        return True
    loaded = _loaded.get(file)
    return status.st_mtime > _BEGAN if loaded is None else loaded != (status.st_mtime, status.st_size)


def text_of(code: CodeType) -> str:
    """Return the source of a function's code, with decorators; empty if the file was edited or is missing."""
    if Path(code.co_filename).exists() and is_edited(code.co_filename):
        return ""
    return "".join(inspect.getblock(read_lines(code.co_filename)[code.co_firstlineno - 1 :]))


def read_lines(filename: str) -> list[str]:
    """Return the lines of a file as it is now, or of a notebook's cell or doctest; empty if there are none."""
    if filename in _recorded:
        return io.StringIO(_recorded[filename], newline=None).readlines()
    try:
        raw = io.BytesIO(read_regular(filename, 64 << 20))  # linecache misses edits within one tick of the clock
        encoding, _ = tokenize.detect_encoding(raw.readline)
        raw.seek(0)
        return io.TextIOWrapper(raw, encoding, line_buffering=True).readlines()
    except (SyntaxError, UnicodeDecodeError):  # not a text in its declared encoding
        return []
    except OSError:
        is_cached = filename in linecache.cache or (filename.startswith("<") and filename.endswith(">"))
        return linecache.getlines(filename) if is_cached else []


def syntax_of(file: str) -> ast.Module:
    """Return the syntax tree of a loaded file; an empty module if it was edited since or is not Python."""
    return parsed("" if is_edited(file) else "".join(read_lines(file)))


@lru_cache(maxsize=256)
def parsed(text: str) -> ast.Module:
    """Return the syntax tree of a text; an empty module if it is not Python."""
    with suppress(SyntaxError, ValueError):
        return ast.parse(text)
    return ast.Module([], [])


@cache
def cache_no_fresh_bytecode() -> None:
    """Keep Python from caching bytecode of sources saved just now; once a process.

    After two saves of the same size within a second, the bytecode of the first would run.
    """
    original: Any = SourceFileLoader.set_data

    def set_data(self: Any, path: str, data: Any, **options: Any) -> None:
        is_checked_by_time = not any(data[4:8])  # PEP 552: flags, then the time and the size of the source
        # Python compares the time in whole seconds, and a disk's clock may be a tick behind.
        if not is_checked_by_time or int.from_bytes(data[8:12], "little") + 2 <= int(time.time()):
            original(self, path, data, **options)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]  # replaced on purpose


_LOADING = ContextVar("helix_loading", default=False)


def is_loading() -> bool:
    """Return True while a command loads an author's file, so that the file's `hx.main` does not run."""
    return _LOADING.get()


@contextmanager
def loading() -> Iterator[None]:
    token = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(token)
