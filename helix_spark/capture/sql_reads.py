"""What an SQL statement reads, and whether it asks or does something: told by sqlglot, which parses Spark's SQL."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL statement.

    Attributes:
        asks: whether it is a query, which changes nothing.
        tables: the names of tables and views in it, as they are written, without those that it defines itself.
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
    """What a statement is.

    >>> read_statement("WITH a AS (SELECT * FROM t) SELECT * FROM a, `U` JOIN v USING (x)").tables == {"t", "U", "v"}
    True
    >>> read_statement("SELECT * FROM VALUES (1) AS t(a)").in_brackets
    ('t',)
    >>> read_statement("DROP VIEW t").asks, read_statement("select (").known
    (False, False)
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except (SqlglotError, RecursionError):
        return Statement(asks=False, tables=frozenset(), known=False)
    own = {one.alias_or_name.lower() for one in tree.find_all(exp.CTE)}
    named = {".".join(part.name for part in one.parts) for one in tree.find_all(exp.Table)}
    brackets = tuple(one.name.lower() for one in tree.find_all(exp.TableAlias) if one.columns)
    tables = frozenset(one for one in named if one.lower() not in own)
    return Statement(isinstance(tree, exp.Query), tables, in_brackets=brackets)
