"""Python functions that a function registers with the session by name, while it is called on stand-ins: the texts of
its SQL call each by a name that nobody else has, so that they mean these functions wherever they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from helix_spark.capture.sql_reads import read_statement
from helix_spark.capture.sql_words import calls_renamed, spark_functions

_KEY = re.compile(r"\bhelix_function_\d+_(\w+)\b")
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """A Python function that was registered.

    Attributes:
        key: the name by which texts call it.
        name: the one that it was registered under, which its column has, too.
        call: gives a column of it, as of any function that is declared for Spark.
    """

    key: str
    name: str
    call: Any


Functions = Mapping[str, NamedFunction]
"""By the name that each was registered under, in lower case."""


def registered(name: str, call: Any, before: Functions) -> NamedFunction | None:
    """A function that is registered; None where its name may mean another one in what is built: one of Spark's own, or
    one that was registered before."""
    if not (name.isidentifier() and name.isascii()) or name.lower() in spark_functions() or name.lower() in before:
        return None
    return NamedFunction(f"helix_function_{next(_NUMBERS)}_{name}", name, call)


def calling(text: str, functions: Functions, *, is_statement: bool = False) -> str:
    """An SQL text that calls registered functions by their keys.

    >>> clean = {"clean": NamedFunction("helix_function_1_clean", "clean", None)}
    >>> calling("SELECT Clean(x), clean, t.clean(y) FROM t -- clean(x)", clean, is_statement=True)
    'SELECT helix_function_1_clean(x), clean, t.clean(y) FROM t -- clean(x)'
    >>> calling("SELECT * FROM VALUES (1) AS clean(x)", clean, is_statement=True)
    'SELECT * FROM VALUES (1) AS clean(x)'
    """
    tables = read_statement(text).in_brackets if functions and is_statement else ()
    return calls_renamed(text, {name: one.key for name, one in functions.items() if name not in tables})


def by_names(text: str) -> str:
    """A text, with functions by the names that their author gave them.

    >>> by_names("helix_function_12_clean(x) > 1")
    'clean(x) > 1'
    """
    return _KEY.sub(r"\1", text)


def is_key(name: str) -> bool:
    """Whether a name is one by which texts call a registered function.

    >>> is_key("helix_function_12_clean"), is_key("clean")
    (True, False)
    """
    return _KEY.fullmatch(name) is not None


def keys_in(text: str) -> Iterator[str]:
    """The names by which a text calls registered functions."""
    yield from (match[0] for match in _KEY.finditer(text))
