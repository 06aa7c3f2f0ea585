"""What texts name: variables, as pandas looks them up for ``rows.query("x > @LIMIT")``, and functions that SQL calls.

No syntax refers to such a variable, yet the result depends on what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import FunctionType

from helix_spark.identity.bytecode import nested
from helix_spark.identity.functions.code_form import CodeForm, Free, words_of
from helix_spark.identity.functions.fields import is_plain
from helix_spark.identity.functions.names import Names
from helix_spark.identity.objects.references import Edge, Reference

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*)")
_MADE = re.compile(r"@\s*$")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_LOOK_UP = frozenset({"query", "eval"})
"""Methods of pandas' tables that look up what follows an @."""

_EVALUATE = _LOOK_UP | {"sql", "execute", "evaluate"}
"""What libraries call functions that look up any word of a text."""

_TABLES = frozenset({"pandas", "pyarrow", "polars", "numpy"})
"""Libraries whose tables other libraries find by the names of variables."""


def named_in(form: CodeForm, edges: Iterable[Edge], names: Names) -> list[Edge]:
    """The variables around a function that its texts name, as far as they hold data."""
    held = [one.value for one in edges if isinstance(one, Reference) and type(one.value) is str and not one.text]
    words = dict.fromkeys(word for text in (*form.texts, *held) for word in words_of(text))
    around = {**names.function.__globals__, **names.closure}
    return [names.resolve(Free(word)) for word in words if word in around and _is_data(around[word])]


def functions_called(texts: Iterable[str]) -> frozenset[str]:
    """The words that SQL may call as functions, in texts or pieces of such.

    >>> sorted(functions_called(["sum(clean (age)) + 1", "no query"]))
    ['clean', 'sum']
    """
    return frozenset(word for text in texts for word in _CALLED.findall(text))


def looked_up(function: FunctionType, form: CodeForm, texts: Iterable[str], home: str) -> Iterator[Edge | str]:
    """What a function has looked up in texts that it may be given: variables around it, and by an @ names of its own.

    Args:
        texts: those that anything says which is reached with the function.
        home: as in `describe_function`.
    """
    if form.mentioned.isdisjoint(_EVALUATE):
        return
    names = Names(function, function.__name__, home)
    around = {**function.__globals__, **names.closure}
    own = [name for one in (function.__code__, *nested(function.__code__)) for name in one.co_varnames]
    at = dict.fromkeys(word for text in texts for word in _AFTER_AT.findall(text))
    for word in dict.fromkeys((*at, *(word for text in texts for word in words_of(text)))):
        if word in around and (word in at or _is_data(around[word])):
            yield names.resolve(Free(word))
        if word in own and word in at:
            yield f"local {own.index(word)} {word}"


def is_put_together(function: FunctionType, form: CodeForm) -> bool:
    """Whether a function has a name looked up that is put together at run time: ``f"age > @AGE_{n}"``."""
    if form.mentioned.isdisjoint(_LOOK_UP):
        return False
    code = function.__code__
    known = {*function.__globals__, *code.co_freevars}
    known.update(name for one in (code, *nested(code)) for name in (*one.co_varnames, *one.co_cellvars))
    return any(_MADE.search(text) or not known.issuperset(_AFTER_AT.findall(text)) for text in form.texts)


def _is_data(value: object) -> bool:
    return is_plain(value) or (type(value).__module__.partition(".")[0] in _TABLES and not callable(value))
