"""Owners of running code: the author, a library, Python's own library, Spark or Helix."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from itertools import takewhile
from pathlib import Path
from types import FrameType, ModuleType
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
"""Modules of Python's library whose reads serve messages, or are noted separately."""


class CodeOwner(Enum):
    """The owner of the code in a file."""

    AUTHOR = "the author's"
    LIBRARY = "a library's"
    PYTHON = "Python's own"
    SPARK = "Spark's"
    HELIX = "Helix's"


@dataclass(frozen=True, slots=True)
class Asker:
    """The owner of the innermost code that is not Python's, a library's package, and the author's ``FILE:LINE``."""

    kind: CodeOwner
    package: str
    place: str

    def at(self, what: str) -> str:
        """Return a phrase with the author's line."""
        by = f" through {self.package}" if self.kind is CodeOwner.LIBRARY else ""
        return f"{what}{by}" + (f" ({self.place})" if self.place else "")


def is_code(path: str) -> bool:
    """Return whether a file holds code that counts by its version, unlike data of a package."""
    is_module = path.endswith((*SOURCE_SUFFIXES, *BYTECODE_SUFFIXES, *EXTENSION_SUFFIXES, "/"))
    inside = any(folder in path for folder in SITES)
    return (inside and is_module) or "/__pycache__/" in path or path.startswith((_HELIX, *_PYTHON))


@cache
def kind_of(file: str) -> CodeOwner:
    """Return the owner of the code in a file.

    >>> kind_of("/home/me/pyspark/train.py"), kind_of("/opt/spark/python/pyspark/sql/functions.py")
    (<CodeOwner.AUTHOR: "the author's">, <CodeOwner.SPARK: "Spark's">)
    """
    if any(part in file for part in _SPARK):
        return CodeOwner.SPARK
    if file.startswith(_HELIX):  # before SITES: it may be installed there
        return CodeOwner.HELIX
    if any(part in file for part in SITES):
        return CodeOwner.LIBRARY
    # Code compiled from text at run time, such as a dataclass's methods, belongs to its caller; notebook cells do not.
    is_generated = file.startswith("<") and not file.startswith("<ipython")
    return CodeOwner.PYTHON if is_generated or file.startswith(_PYTHON) else CodeOwner.AUTHOR


def is_authors(name: str) -> bool:
    """Return whether the module loaded under a name is the author's."""
    file = vars(module).get("__file__") if isinstance(module := sys.modules.get(name), ModuleType) else None
    return name == "__main__" or (isinstance(file, str) and kind_of(file) is CodeOwner.AUTHOR)


def callers(frame: FrameType | None) -> Iterator[tuple[FrameType, CodeOwner]]:
    """Yield a frame and its callers, each with the owner of its code."""
    while frame is not None:
        yield frame, kind_of(frame.f_code.co_filename)
        frame = frame.f_back


def library_of(file: str) -> str:
    """Return the top-level name of the library of a file; empty for other files."""
    return next((file.partition(part)[2] for part in SITES if part in file), "").partition("/")[0].partition(".")[0]


def asker(frame: FrameType | None) -> Asker | None:
    """Return the asker of a frame; None for Helix, Spark, imports and messages, which concern no node."""
    first: tuple[CodeOwner, str] | None = None
    for caller, kind in callers(frame):
        file = caller.f_code.co_filename
        if kind is CodeOwner.HELIX and first is not None and not _serves_spark(caller):
            break
        if kind in (CodeOwner.HELIX, CodeOwner.SPARK):  # libraries that Spark calls, such as grpc, work for Spark
            return None
        is_import = file.startswith("<frozen importlib") and caller.f_code.co_name != "get_data"  # an API for data
        if is_import or (kind is CodeOwner.LIBRARY and caller.f_code.co_name == "<module>"):
            return None
        if kind is CodeOwner.PYTHON and file.endswith(_SILENT):
            return None
        if first is None and kind is not CodeOwner.PYTHON:
            first = kind, library_of(file)
        if kind is CodeOwner.AUTHOR:
            return Asker(*(first or (kind, "")), f"{Path(file).name}:{caller.f_lineno}")
    return None if first is None else Asker(*first, "")


def is_for_spark(frame: FrameType | None) -> bool:
    """Return whether Spark called a library, such as grpc, which its client uses."""
    by_library = False
    for caller, kind in callers(frame):
        if kind is CodeOwner.SPARK or (kind is CodeOwner.HELIX and _serves_spark(caller)):
            return by_library
        if kind in (CodeOwner.AUTHOR, CodeOwner.HELIX):
            return False
        by_library = by_library or kind is CodeOwner.LIBRARY
    return False


def _serves_spark(frame: FrameType) -> bool:
    """Return whether Spark calls the code of Helix in a frame, which forwards its client's requests."""
    for caller, kind in callers(frame):
        if kind is not CodeOwner.HELIX:
            return kind is CodeOwner.SPARK
        # It replaces pyspark's methods that create frames.
        if caller.f_code.co_filename.endswith("/plans/frame_creation.py"):
            return True
    return False


def pattern_asked(frame: FrameType) -> str:
    """Return the pattern that names in a folder are matched against; empty if all names count."""
    pattern = _local(frame, "pattern", "glob", "_glob1")
    return pattern if isinstance(pattern, str) and not any(sign in pattern for sign in ("/", "**", " of ")) else ""


def group_asked(frame: FrameType) -> str | None:
    """Return the group of entry points that is looked up, empty for all groups; None for another lookup."""
    parameters = _local(frame, "params", "entry_points")
    return None if parameters is None else str(parameters.get("group", ""))


def _local(frame: FrameType, name: str, *functions: str) -> Any:
    """Return a local of the innermost caller among some functions of Python's library; None without such a caller."""
    library = takewhile(lambda pair: pair[1] is CodeOwner.PYTHON, callers(frame))
    return next((caller.f_locals.get(name) for caller, _ in library if caller.f_code.co_name in functions), None)


_STATUS_CALLS = frozenset({"stat", "lstat", "getmtime", "getctime", "getatime", "owner", "group"})


def takes_status(frame: FrameType) -> bool:
    """Return whether the author's code reads a file's status by a frame's call, not only its existence or type."""
    names = [caller.f_code.co_name for caller, _ in takewhile(lambda pair: pair[1] is CodeOwner.PYTHON, callers(frame))]
    return not names or names[-1] in _STATUS_CALLS
