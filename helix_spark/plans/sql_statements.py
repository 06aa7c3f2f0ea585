"""SQL statements in plans: what they read and call, and whether they ask or do something; told by sqlglot, which parses
Spark's SQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from helix_spark.plans.sql_words import called, spark_functions, tokens

_ARGUMENT = re.compile(r"_pyspark_connect_temp_view_[0-9a-f]{32}")
"""Names that pyspark's client gives tables which are arguments of a statement (its `SQLStringFormatter`)."""

BINDING = "helix_arguments"
"""A table that statements with arguments are given where they have no other: Spark Connect reads those with tables of
their own as a session does, and leaves the arguments of others to a parser, of which Delta's forgets them
(`engine.spark.settings.BINDS_ARGUMENTS`)."""


def is_generated(name: str) -> bool:
    """Return whether pyspark named a table so as an argument of a statement: no session has it."""
    return bool(_ARGUMENT.fullmatch(name))


def as_written(text: str) -> str:
    """Return a statement as its author wrote it.

    >>> as_written("SELECT * FROM _pyspark_connect_temp_view_0123456789abcdef0123456789abcdef")
    'SELECT * FROM {table}'
    """
    return _ARGUMENT.sub("{table}", text)


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL statement.

    Attributes:
        asks: whether it is a query, which changes nothing.
        tables: the names of tables and views in it, as they are written, without those that it defines itself; with
            those of functions that give tables and are not Spark's own, each with brackets behind it.
        known: whether it could be parsed; if not, nothing else is known of it.
        in_brackets: names of tables that brackets with names of columns follow, as of functions arguments, in lower
            case, as often as they are given.
    """

    asks: bool
    tables: frozenset[str]
    known: bool = True
    in_brackets: tuple[str, ...] = ()


@cache
def read_statement(text: str) -> Statement:
    """Parse a statement.

    >>> read_statement("WITH a AS (SELECT * FROM t) SELECT * FROM a, `U` JOIN v USING (x)").tables == {"t", "U", "v"}
    True
    >>> read_statement("SELECT * FROM range(3) JOIN t USING (id)").tables == {"t"}
    True
    >>> read_statement("SELECT * FROM table_changes('t', 1)").tables
    frozenset({'table_changes()'})
    >>> read_statement("SELECT * FROM VALUES (1) AS t(a)").in_brackets
    ('t',)
    >>> read_statement("WITH t AS (SELECT * FROM t), u AS (SELECT * FROM v) SELECT * FROM t, u").tables == {"t", "v"}
    True
    >>> read_statement("DROP VIEW t").asks, read_statement("select (").known
    (False, False)
    >>> read_statement("WITH a AS (TABLE t) SELECT * FROM a").known
    False
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except (SqlglotError, RecursionError):
        return Statement(asks=False, tables=frozenset(), known=False)
    is_query = isinstance(tree, exp.Query)
    if is_query and ("word", "table") in {(kind, word.lower()) for kind, word in tokens(text)}:
        return Statement(asks=False, tables=frozenset(), known=False)  # `(TABLE t)` it takes for two columns
    tables = [one for one in tree.find_all(exp.Table) if not _is_function(one) and not _is_own(one)]
    named = {
        ".".join(part.name for part in one.parts) + ("()" if isinstance(one.this, exp.Func) else "") for one in tables
    }
    brackets = tuple(one.name.lower() for one in tree.find_all(exp.TableAlias) if one.columns)
    return Statement(is_query, frozenset(named), in_brackets=brackets)


def _is_function(table: Any) -> bool:
    """Return whether a function of Spark's own gives a table, as `range(3)`; others may read what arguments name."""
    from sqlglot import exp

    name = str(table.this.sql(dialect="spark")).partition("(")[0].lower()
    return isinstance(table.this, exp.Func) and name in spark_functions()


def _is_own(table: Any) -> bool:
    """Return whether a statement defines a table itself, where it names it: in a definition those before it are known,
    and the table itself only where it is recursive."""
    from sqlglot import exp

    below, node, name = table, table.parent, table.name.lower()
    if len(table.parts) > 1:
        return False
    while node is not None:
        defined = node if isinstance(node, exp.With) else next(
            (one for one in node.iter_expressions() if isinstance(one, exp.With) and one is not below), None
        )
        if defined is not None:
            known = list(defined.expressions)
            if defined is node:
                at = next(place for place, one in enumerate(known) if one is below)
                known = known[:at + bool(node.args.get("recursive"))]
            if any(one.alias_or_name.lower() == name for one in known):
                return True
        below, node = node, node.parent
    return False


def read_by_query(text: str, own: frozenset[str]) -> Iterator[str]:
    """Yield what a statement reads beside tables of its own (in lower case), as what follows "reads".

    >>> list(read_by_query("SELECT t(a), upper(b) FROM x, VALUES (1) AS t(a)", frozenset()))
    ['the table x']
    """
    statement = read_statement(text)
    if not statement.known or not statement.asks:
        yield "tables that its SQL names"
    yield from (f"the table {name}" for name in sorted(statement.tables) if name.lower() not in own)


def called_by_query(text: str) -> list[str]:
    """Return the functions that a statement calls.

    >>> called_by_query("SELECT t(a), upper(b) FROM x, VALUES (1) AS t(a)")
    ['t', 'upper']
    """
    return list(Counter(name for name, _ in called(tokens(text))) - Counter(read_statement(text).in_brackets))
