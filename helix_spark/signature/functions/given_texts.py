"""The texts that calls are given, queries and SQL, as far as they are known before the code runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from helix_spark.signature.functions.effects import effects_named
from helix_spark.signature.objects.attributes import attributes
from helix_spark.signature.objects.edges import NOTHING_SAID, Edge, Reference, Said
from helix_spark.signature.objects.origin import Package, package_of_module
from helix_spark.signature.text.forms import Argument, Call
from helix_spark.signature.text.sql_texts import functions_called, is_sql

_QUERIES = frozenset({"", "expr", "ex", "formula", "formula_like", "query", "sqlQuery"})
"""How parameters that take a query are called; what ``**`` brings is not known."""

_LEVELS, _SHORT, _LONG_TEXT = 3, 1000, 10_000
"""How deep in lists, dicts and objects texts are looked for, and in how long ones: a longer one holds no queries, and a
text of more characters is none."""

_REMEMBERED = 4096
"""So many constants are read once: each is asked for by several that look at a call."""

_EVALUATED = re.compile(r"[-+*/~<>=|&^%(\[]|^\s*[A-Za-z_]\w*\s*$")
"""What an expression or a formula has: an operator, a call, or nothing but a name."""


@dataclass(frozen=True, slots=True)
class Given:
    """The query that a call is given.

    Attributes:
        known: the texts that it is, or may be, as far as they are given outright or by a variable that holds one.
        open: whether it may be another one.
    """

    known: tuple[str, ...] = ()
    open: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """What is known of the texts that one function's calls are given.

    Attributes:
        edges: what the slots of its form stand for.
        own: the texts in it.
        elsewhere: what the rest of what the node reaches says.
    """

    edges: Sequence[Edge] = ()
    own: tuple[str, ...] = ()
    elsewhere: Said = NOTHING_SAID

    @property
    def candidates(self) -> tuple[str, ...]:
        """What a text may be that is not known."""
        return (*self.own, *sorted(self.elsewhere.texts))

    def of(self, call: Call) -> tuple[str, ...]:
        """All texts that are known to be passed, in whatever place."""
        return tuple(text for argument in call.given if (text := self.known(argument)) is not None)

    def unknown(self, call: Call) -> bool:
        """Whether more texts may be passed than these."""
        return any(self.known(argument) is None and self._may_be_text(argument) for argument in call.given)

    def given(self, call: Call) -> Given:
        """The query that is passed: in the first place, or by its name."""
        queries = call.arguments[:1] or tuple(value for name, value in call.keywords if name in _QUERIES)
        known = {argument: text for argument in queries if (text := self.known(argument)) is not None}
        unknown = [argument for argument in queries if argument not in known and self._may_be_text(argument)]
        return Given(tuple(known.values()), bool(unknown))

    def known(self, argument: Argument) -> str | None:
        """The text that an argument is, outright or by a variable that holds it; None where that is not known."""
        outright = constant_text(argument)
        edge = self._edge(argument)
        if outright is None and isinstance(edge, Reference) and isinstance(edge.value, str) and not edge.text:
            return edge.value
        return outright

    def _may_be_text(self, argument: Argument) -> bool:
        edge = self._edge(argument)
        if isinstance(edge, Reference) and not edge.text and not isinstance(edge.value, Package):
            return isinstance(edge.value, str)
        return argument.constant is None and argument.made != "lambda"

    def _edge(self, argument: Argument) -> Edge | None:
        return self.edges[argument.slot] if argument.slot is not None else None


def constant_text(argument: Argument) -> str | None:
    """The text that an argument is outright.

    >>> constant_text(Argument("'a'")), constant_text(Argument("3"))
    ('a', None)
    """
    source = argument.constant or ""
    return _text_of(source) if source[:1] in ("'", '"') else None


@lru_cache(maxsize=_REMEMBERED)
def _text_of(source: str) -> str:
    return str(ast.literal_eval(source))


def said_by(texts: Sequence[str]) -> Said:
    """What texts say that counts elsewhere.

    >>> said = said_by(["age > @LIMIT", "sum(age)", "no query"])
    >>> sorted(said.texts), said.calls
    (['age > @LIMIT', 'sum(age)'], frozenset({'sum'}))
    """
    short = (text for text in texts if len(text) < _LONG_TEXT)
    queries = frozenset(text for text in short if "@" in text or is_sql(text) or _EVALUATED.search(text))
    return Said(queries, calls=frozenset[str]().union(*map(functions_called, texts)), effects=effects_named(texts))


def texts_in(value: object, levels: int = _LEVELS) -> Iterator[str]:
    """The texts in a value, in short lists and dicts of them, and in objects of the project's own classes.

    >>> sorted(texts_in({"young": ["age < 3"], "limit": 3}))
    ['age < 3', 'limit', 'young']
    """
    inside: Iterable[object] = ()
    match value:
        case str():
            yield from (value,) if len(value) < _LONG_TEXT else ()
        case list() | tuple() | set() | frozenset() | dict() if len(value) < _SHORT:
            inside = (*value, *value.values()) if isinstance(value, dict) else value
        case _ if package_of_module(type(value).__module__) is None:
            inside = [attribute for _, attribute in attributes(value)]
    if levels:
        for one in inside:
            yield from texts_in(one, levels - 1)
