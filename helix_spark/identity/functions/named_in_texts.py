"""What texts name: variables, as pandas looks them up for ``rows.query("x > @LIMIT")``, and functions that SQL calls.

No syntax refers to such a variable, yet the result depends on what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import FunctionType

from helix_spark.identity.bytecode import nested_code
from helix_spark.identity.functions.code_form import CodeForm, Free, form_of, words_of
from helix_spark.identity.functions.names import Names, is_plain
from helix_spark.identity.objects.references import Described, Edge, Reference

_AFTER_AT = re.compile(r"@\s*([A-Za-z_]\w*)")
_MADE = re.compile(r"@\s*$")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_LOOK_UP = frozenset({"query", "eval"})
"""Methods of pandas' tables that look up what follows an @."""

_EVALUATE = _LOOK_UP | {"sql", "execute", "evaluate"}
"""What libraries call functions that look up any word of a text."""

_TABLES = frozenset({"pandas", "pyarrow", "polars", "numpy"})
"""Libraries whose tables other libraries find by the names of variables."""


def functions_called(texts: Iterable[str]) -> frozenset[str]:
    """Return the words that SQL may call as functions, in texts or pieces of such.

    >>> sorted(functions_called(["sum(clean (age)) + 1", "no query"]))
    ['clean', 'sum']
    """
    return frozenset(word for text in texts for word in _CALLED.findall(text))


def text_lookups(function: FunctionType, described: Described, texts: Iterable[str], home: str) -> Iterator[Edge]:
    """Yield what a function has looked up in texts: variables around it that hold data, and by an @ any, also its own.

    Args:
        described: the part of the function.
        texts: those that anything says which is reached with the function, which may be given one that evaluates texts.
        home: as in `describe_function`.
    """
    form = form_of(function.__code__)
    at: dict[str, None] = {}
    own: list[str] = []
    if form.mentioned.isdisjoint(_EVALUATE):
        held = (one.value for one in described.edges if isinstance(one, Reference) and not one.text)
        texts = (*form.texts, *(text for text in held if type(text) is str))
    else:
        at = dict.fromkeys(word for text in texts for word in _AFTER_AT.findall(text))
        own = [name for one in (function.__code__, *nested_code(function.__code__)) for name in one.co_varnames]
    names = Names(function, function.__name__, home)
    around = {**function.__globals__, **names.closure}
    for word in dict.fromkeys((*at, *(word for text in texts for word in words_of(text)))):
        if word in around and (word in at or _is_data(around[word])):
            yield names.resolve(Free(word))
        if word in own and word in at:
            yield f"local {own.index(word)} {word}"


def is_put_together(function: FunctionType, form: CodeForm) -> bool:
    """Return whether a function has a name looked up that is put together at run time: ``f"age > @AGE_{n}"``."""
    if form.mentioned.isdisjoint(_LOOK_UP):
        return False
    code = function.__code__
    known = {*function.__globals__, *code.co_freevars}
    known.update(name for one in (code, *nested_code(code)) for name in (*one.co_varnames, *one.co_cellvars))
    return any(_MADE.search(text) or not known.issuperset(_AFTER_AT.findall(text)) for text in form.texts)


def _is_data(value: object) -> bool:
    return is_plain(value) or (type(value).__module__.partition(".")[0] in _TABLES and not callable(value))
