"""Modules of the project that are compiled, as ``fast.so`` beside ``job.py``: nobody can read their code, so the bytes
of the file count.
"""

from __future__ import annotations

from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

from helix_spark.signature.folders import content_digest
from helix_spark.signature.objects.origin import is_project_file


def is_compiled(module: ModuleType) -> bool:
    """Whether a module is the project's and compiled.

    >>> import json
    >>> is_compiled(json)
    False
    """
    file = vars(module).get("__file__")
    return isinstance(file, str) and file.endswith(tuple(EXTENSION_SUFFIXES)) and is_project_file(file)


def content_of(module: ModuleType) -> str:
    """SHA-256 of a compiled module's file."""
    return _content(str(module.__file__))


@cache
def _content(filename: str) -> str:
    """As it was when first asked for: a process loads it once, so what is built afterwards is not what runs here."""
    return content_digest(Path(filename))
