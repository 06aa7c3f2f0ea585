"""SQL statements and views in a function that is called on stand-ins: the plans of the views that a statement names go
into its own plan, as tables that it defines itself, so that it rests on nothing that a session holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from helix_spark.capture.named_functions import by_names
from helix_spark.capture.sql_reads import read_statement
from helix_spark.capture.sql_words import called, tokens

ALIAS = re.compile(r"\bhelix_view_\d+\b")
"""Names under which a server knows the tables of a statement while it reads it. None is given twice: two statements
that are read at the same time by one session must not find each other's."""

_ARGUMENT = re.compile(r"_pyspark_connect_temp_view_[0-9a-f]{32}")
"""Names that pyspark's client gives tables which are arguments of a statement (its `SQLStringFormatter`)."""

BINDING = "helix_arguments"
"""A table that statements with arguments are given where they have no other: Spark Connect reads those with tables of
their own as a session does, and leaves the arguments of others to a parser, of which Delta's forgets them
(`engine.spark.settings.BINDS_ARGUMENTS`)."""

_NUMBERS = count(1)
_DEFINED = re.compile(rf"WITH (?:`[^`]*` AS \(SELECT \* FROM {ALIAS.pattern}\)(?:, )?)+ ?")

_WITH = re.compile(r"\s*WITH\s+(?!RECURSIVE\b)", re.IGNORECASE)


def is_generated(name: str) -> bool:
    """Return whether a statement has the table of this name as an argument, and no session has it."""
    return bool(ALIAS.fullmatch(name) or _ARGUMENT.fullmatch(name))


def is_query(text: str) -> bool:
    """Whether a statement asks, and changes nothing."""
    return read_statement(text).asks


def query_of(relation: Any) -> str:
    """The text of an SQL relation (`spark.connect.Relation`), with tables of its own or without."""
    found = relation.with_relations.root if relation.HasField("with_relations") else relation
    return str(found.sql.query)


def defining(text: str, views: Mapping[str, Any], given: Sequence[tuple[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A statement that defines the views that it names, and the tables that it makes them of, by name.

    Args:
        views: what there are, by their names in lower case.
        given: the tables that the statement was given, with their names in it.

    >>> text, tables = defining("SELECT * FROM People JOIN t_1", {"people": "a", "other": "b"}, [("t_1", "c")])
    >>> ALIAS.sub("T", text), list(tables.values())
    ('WITH `People` AS (SELECT * FROM T) SELECT * FROM People JOIN T', ['c', 'a'])
    """
    tables = {}
    for name, plan in given:
        tables[alias := f"helix_view_{next(_NUMBERS)}"] = plan
        text = text.replace(name, alias)
    statement = read_statement(text)
    named = {f"helix_view_{next(_NUMBERS)}": name for name in sorted(statement.tables) if name.lower() in views}
    if not named or statement.defines & {name.lower() for name in named.values()}:  # it would be defined twice
        return text, tables
    defined = ", ".join(f"`{name}` AS (SELECT * FROM {alias})" for alias, name in named.items())
    begun = _WITH.match(text)
    text = f"WITH {defined}, {text[begun.end():]}" if begun is not None else f"WITH {defined} {text}"
    return text, tables | {alias: views[name.lower()] for alias, name in named.items()}


def as_written(text: str) -> str:
    """A statement as its author wrote it.

    >>> text, _ = defining("SELECT * FROM p JOIN t_1", {"p": "a"}, [("t_1", "c")])
    >>> as_written(text), as_written(defining("with q as (select 1) select * from p, q", {"p": "a"}, [])[0])
    ('SELECT * FROM p JOIN {table}', 'WITH q as (select 1) select * from p, q')
    """
    defined = _DEFINED.match(text)
    if defined is not None:
        text = ("WITH " if defined[0].endswith(", ") else "") + text[defined.end():]
    return by_names(ALIAS.sub("{table}", text))


def read_by_query(text: str, own: frozenset[str]) -> Iterator[str]:
    """What a statement reads beside tables of its own, as what follows "reads".

    Args:
        own: names of its own tables, in lower case.

    >>> list(read_by_query("SELECT t(a), upper(b) FROM x, VALUES (1) AS t(a)", frozenset()))
    ['the table x']
    """
    statement = read_statement(text)
    if not statement.known or not statement.asks:
        yield "tables that its SQL names"
    yield from (f"the table {name}" for name in sorted(statement.tables) if name.lower() not in own)


def called_by_query(text: str) -> list[str]:
    """The functions that a statement calls.

    >>> called_by_query("SELECT t(a), upper(b) FROM x, VALUES (1) AS t(a)")
    ['t', 'upper']
    """
    return list(Counter(name for name, _ in called(tokens(text))) - Counter(read_statement(text).in_brackets))
