"""Who asks for something: the author's code, a library that it calls, Python's own library, Spark or Helix."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

_HELIX = f"{Path(__file__).resolve().parents[1]}/"
_PYTHON = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})
OF_MACHINE = ("/proc/", "/sys/", "/dev/")
SITES = ("/site-packages/", "/dist-packages/")
_SPARK = (
    *(f"{site}{package}/" for site in SITES for package in ("pyspark", "py4j")),
    "/python/pyspark/", "/pyspark.zip/", "-src.zip/py4j/",  # of a distribution of Spark
)
METADATA = "/importlib/metadata/__init__.py"
_SILENT = ("linecache.py", "traceback.py", "warnings.py", "logging/__init__.py", "logging/handlers.py", METADATA)
"""Of Python's library: what these read and ask is for people to see, or is noted apart."""


class CodeOwner(Enum):
    """Whose code a file holds."""

    AUTHOR = "the author's"
    LIBRARY = "a library's"
    PYTHON = "Python's own"
    SPARK = "Spark's"
    HELIX = "Helix's"


@dataclass(frozen=True, slots=True)
class Asker:
    """The kind of the innermost code that is not Python's own, a library's package, and the author's ``FILE:LINE``."""

    kind: CodeOwner
    package: str
    place: str

    def at(self, what: str) -> str:
        """Return a phrase with the author's line."""
        by = f" through {self.package}" if self.kind is CodeOwner.LIBRARY else ""
        return f"{what}{by}" + (f" ({self.place})" if self.place else "")


def is_code(path: str) -> bool:
    """Return whether a file holds code that counts by its version; what a package brings or fetches besides counts."""
    is_module = path.endswith((*SOURCE_SUFFIXES, *BYTECODE_SUFFIXES, *EXTENSION_SUFFIXES, "/"))
    inside = any(folder in path for folder in SITES)
    return (inside and is_module) or "/__pycache__/" in path or path.startswith((_HELIX, *_PYTHON))


@cache
def kind_of(file: str) -> CodeOwner:
    """Return whose code a file holds.

    >>> kind_of("/home/me/pyspark/train.py"), kind_of("/opt/spark/python/pyspark/sql/functions.py")
    (<CodeOwner.AUTHOR: "the author's">, <CodeOwner.SPARK: "Spark's">)
    """
    if any(part in file for part in _SPARK):
        return CodeOwner.SPARK
    if file.startswith(_HELIX):  # which may be installed among libraries
        return CodeOwner.HELIX
    if any(part in file for part in SITES):
        return CodeOwner.LIBRARY
    # What is made of a text at run time, as a dataclass's methods, is whoever's calls it; a notebook's cells are not.
    made = file.startswith("<") and not file.startswith("<ipython")
    return CodeOwner.PYTHON if made or file.startswith(_PYTHON) else CodeOwner.AUTHOR


def callers(frame: FrameType | None) -> Iterator[tuple[FrameType, CodeOwner]]:
    """Yield a frame and those that led to it, each with whose code it runs."""
    while frame is not None:
        yield frame, kind_of(frame.f_code.co_filename)
        frame = frame.f_back


def library_of(file: str) -> str:
    """Return the top-level name of the library that a file is of; empty for other files."""
    return next((file.partition(part)[2] for part in SITES if part in file), "").partition("/")[0].partition(".")[0]


def asker(frame: FrameType | None) -> Asker | None:
    """Return the asker, by its frame; None for what is no node's concern: Helix, Spark, imports, messages."""
    first: tuple[CodeOwner, str] | None = None
    for one, kind in callers(frame):
        file = one.f_code.co_filename
        if kind is CodeOwner.HELIX and first is not None and not _serves_spark(one):
            break
        if kind in (CodeOwner.HELIX, CodeOwner.SPARK):  # a library that Spark calls, as grpc, asks for Spark
            return None
        is_import = file.startswith("<frozen importlib") and one.f_code.co_name != "get_data"  # which packages offer
        if is_import or (kind is CodeOwner.LIBRARY and one.f_code.co_name == "<module>"):
            return None
        if kind is CodeOwner.PYTHON and file.endswith(_SILENT):
            return None
        if first is None and kind is not CodeOwner.PYTHON:
            first = kind, library_of(file)
        if kind is CodeOwner.AUTHOR:
            return Asker(*(first or (kind, "")), f"{Path(file).name}:{one.f_lineno}")
    return None if first is None else Asker(*first, "")


def is_for_spark(frame: FrameType | None) -> bool:
    """Return whether a library works for Spark, which calls it: grpc, by which its client speaks to a server."""
    by_library = False
    for one, kind in callers(frame):
        if kind is CodeOwner.SPARK or (kind is CodeOwner.HELIX and _serves_spark(one)):
            return by_library
        if kind in (CodeOwner.AUTHOR, CodeOwner.HELIX):
            return False
        by_library = by_library or kind is CodeOwner.LIBRARY
    return False


def _serves_spark(frame: FrameType) -> bool:
    """Return whether Spark calls the code of Helix's that a frame is of: what passes its client's requests on."""
    for one, kind in callers(frame):
        if kind is not CodeOwner.HELIX:
            return kind is CodeOwner.SPARK
        # It takes the place of pyspark's methods that give tables.
        if one.f_code.co_filename.endswith("/plans/frame_creation.py"):
            return True
    return False


def pattern_asked(frame: FrameType) -> str:
    """Return the pattern of the names for which a folder is looked through, and of no others; empty where all count."""
    pattern = _local(frame, "pattern", "glob", "_glob1")
    return pattern if isinstance(pattern, str) and not any(sign in pattern for sign in ("/", "**", " of ")) else ""


def group_asked(frame: FrameType) -> str | None:
    """Return the group of entry points for which installed packages are looked through; empty for all groups."""
    asked = _local(frame, "params", "entry_points")
    return None if asked is None else str(asked.get("group", ""))


def _local(frame: FrameType, name: str, *functions: str) -> Any:
    """Return what a local holds in the innermost of some functions of Python's library that ask; None if none does."""
    library = takewhile(lambda one: one[1] is CodeOwner.PYTHON, callers(frame))
    return next((one.f_locals.get(name) for one, _ in library if one.f_code.co_name in functions), None)


_OF_STATUS = frozenset({"stat", "lstat", "getmtime", "getctime", "getatime", "owner", "group"})


def takes_status(frame: FrameType) -> bool:
    """Return whether the author's code asks for the status of a file, such as its times, by a call of the system or of
    Python's library that a frame makes. Otherwise it asks whether the file is there, and what kind of file it is."""
    called = [one.f_code.co_name for one, _ in takewhile(lambda one: one[1] is CodeOwner.PYTHON, callers(frame))]
    return not called or called[-1] in _OF_STATUS
