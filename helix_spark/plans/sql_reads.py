"""What an SQL statement reads, and whether it asks or does something: told by sqlglot, which parses Spark's SQL."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from helix_spark.plans.sql_words import spark_functions, tokens


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
    """Whether a function of Spark's own gives a table, as `range(3)`. Others may read what their arguments name."""
    from sqlglot import exp

    name = str(table.this.sql(dialect="spark")).partition("(")[0].lower()
    return isinstance(table.this, exp.Func) and name in spark_functions()


def _is_own(table: Any) -> bool:
    """Whether a statement defines a table itself, where it names it: in a definition those before it are known, and
    the table itself only where it is recursive."""
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
