"""SQL statements in plans: the tables that they are given, what they read and call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from helix_spark.plans.sql_reads import read_statement
from helix_spark.plans.sql_words import called, tokens

_ARGUMENT = re.compile(r"_pyspark_connect_temp_view_[0-9a-f]{32}")
"""Names that pyspark's client gives tables which are arguments of a statement (its `SQLStringFormatter`)."""

BINDING = "helix_arguments"
"""A table that statements with arguments are given where they have no other: Spark Connect reads those with tables of
their own as a session does, and leaves the arguments of others to a parser, of which Delta's forgets them
(`engine.spark.settings.BINDS_ARGUMENTS`)."""


def is_generated(name: str) -> bool:
    """Return whether a statement has the table of this name as an argument, and no session has it."""
    return bool(_ARGUMENT.fullmatch(name))


def as_written(text: str) -> str:
    """A statement as its author wrote it.

    >>> as_written("SELECT * FROM _pyspark_connect_temp_view_0123456789abcdef0123456789abcdef")
    'SELECT * FROM {table}'
    """
    return _ARGUMENT.sub("{table}", text)


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
