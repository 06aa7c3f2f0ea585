"""SQL texts in plans. Expressions are read by tokens, so that quoted text is no word; sqlglot parses statements."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

_TOKEN = re.compile(
    r"(?P<text>[rR]'[^']*'|[rR]\"[^\"]*\"|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")|(?P<name>`(?:[^`]|``)*`)"
    r"|(?P<comment>--[^\r\n]*|/\*.*?\*/)|(?P<word>\d*[A-Za-z_]\w*)|(?P<other>\d+|\S)",
    re.DOTALL,
)

_BEFORE_BRACKETS = frozenset({
    "all", "and", "any", "as", "between", "by", "case", "distinct", "else", "end", "escape", "exists", "extract",
    "filter", "from", "group", "having", "ilike", "in", "interval", "is", "join", "like", "not", "on", "or", "order",
    "over", "partition", "regexp", "rlike", "rollup", "select", "some", "then", "using", "values", "when", "where",
    "within", "cast", "try_cast", "char", "character", "dec", "decimal", "numeric", "varchar", "cube", "sets",
    "grouping",
})
"""Words of the grammar that brackets may follow."""

_ONLY_IN_SQL = frozenset({
    "and", "between", "case", "cast", "in", "measure", "not", "or",
    "any", "approx_top_k", "approx_top_k_accumulate", "approx_top_k_combine", "approx_top_k_estimate",
    "array_binary_search", "array_to_vector", "bigint", "binary", "bloom_filter_agg", "boolean", "chr",
    "collations", "collect_top_k", "date", "decimal", "distributed_id", "distributed_sequence_id", "div", "double",
    "ewm", "float", "from_avro", "from_protobuf", "if", "int", "len", "luhn_check", "map", "mod", "null_index",
    "pandas_covar", "pandas_kurt", "pandas_mode", "pandas_product", "pandas_skew", "pandas_stddev", "pandas_var",
    "percentile_cont", "percentile_disc", "random", "range", "schema_of_avro", "smallint", "space", "sql_keywords",
    "string", "time", "timestamp", "timestamp_ntz_to_long", "timestampadd", "timestampdiff", "tinyint", "to_avro",
    "to_protobuf", "uuid", "variant_explode", "variant_explode_outer", "vector_avg", "vector_cosine_similarity",
    "vector_inner_product", "vector_l2_distance", "vector_norm", "vector_normalize", "vector_sum",
    "vector_to_array",
})
"""Functions and operators of Spark that are not in `pyspark.sql.functions`, or have another name there."""

_ONLY_IN_PYTHON = frozenset({
    "arrow_udf", "arrow_udtf", "asc", "asc_nulls_first", "asc_nulls_last", "bitwise_not", "broadcast", "call_function",
    "call_udf", "col", "column", "count_distinct", "create_map", "desc", "desc_nulls_first", "desc_nulls_last", "expr",
    "listagg_distinct", "lit", "negate", "pandas_udf", "string_agg_distinct", "sum_distinct", "timestamp_add",
    "timestamp_diff", "udf", "udtf",
})
"""Names in `pyspark.sql.functions` that are no functions of Spark: a session may register functions by these names."""

MAKES_VIEW = frozenset({
    "createTempView", "createOrReplaceTempView", "createGlobalTempView", "createOrReplaceGlobalTempView",
    "registerTempTable",
})
"""Methods of pyspark's tables that register a view."""


@cache
def spark_functions() -> frozenset[str]:
    """Return names of Spark's functions, in lower case, and words of its grammar. Others are a session's."""
    from pyspark.sql import functions

    in_both = {name for name in functions.__all__ if name.islower()} - _ONLY_IN_PYTHON
    return frozenset(in_both) | _ONLY_IN_SQL | _BEFORE_BRACKETS


@lru_cache(maxsize=256)
def tokens(text: str) -> tuple[tuple[str, str], ...]:
    """Return the tokens of an SQL text, each with its kind, without comments.

    >>> tokens("f(`a b`) -- or 'b'")
    (('word', 'f'), ('other', '('), ('name', '`a b`'), ('other', ')'))
    """
    matches = ((str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text))
    return tuple((kind, token) for kind, token in matches if kind != "comment")


def without_layout(text: str) -> str:
    """Return an SQL text without comments, and with one space for each gap. Hints, which look like comments, stay.

    >>> without_layout("SELECT  a, -- the first\\n  ' x  ' FROM /*+ MERGE(t) */ t /* all */")
    "SELECT a, ' x  ' FROM /*+ MERGE(t) */ t"
    """
    pieces, end = list[str](), 0
    for match in _TOKEN.finditer(text):
        is_comment = match.lastgroup == "comment" and not match[0].startswith("/*+")
        if pieces and pieces[-1] != " " and (match.start() > end or is_comment):
            pieces.append(" ")
        if not is_comment:
            pieces.append(match[0])
        end = match.end()
    return "".join(pieces).rstrip()


_OPERATORS: tuple[frozenset[str], ...] = tuple(map(frozenset, (
    {"or"}, {"and"}, {">", ">=", "<", "<=", "="}, {"+", "-"}, {"*", "/", "%"},
)))
"""Operators of Spark's grammar, from the lowest precedence."""

Tree = str | int | tuple["Tree", str, "Tree"]
"""A column, a quoted text, a number; or an operator between two trees."""


def tree_of(text: str) -> Tree | None:
    """Parse an expression of names, whole numbers, plain texts and common operators; return None for any other.

    >>> tree_of("age > 17 and (k = 'a' or 2*v<=n)")
    (('age', '>', 17), 'and', (('k', '=', "'a'"), 'or', ((2, '*', 'v'), '<=', 'n')))
    >>> tree_of("a > 0.5"), tree_of("f(a)"), tree_of("a is null"), tree_of("a > b > c")
    (None, None, None, None)
    """
    words = [word.lower() if word.lower() in ("and", "or", "not") else word for _, word in tokens(text)]
    for sign in ("<", ">"):
        while (sign, "=") in (pairs := [*pairwise(words)]):
            position = pairs.index((sign, "="))
            words[position : position + 2] = [f"{sign}="]
    if len(words) > _LONGEST_TREE:
        return None
    try:
        tree = _operation(words, 0)
    except (ValueError, IndexError):
        return None
    return None if words else tree


def _operation(words: list[str], level: int) -> Tree:
    """Remove the first operation from the words and return it. Raises ValueError or IndexError without one."""
    if level < len(_OPERATORS):
        tree = _operation(words, level + 1)
        while words and words[0] in _OPERATORS[level]:
            tree = (tree, words.pop(0), _operation(words, level + 1))
            if level == _COMPARISONS:
                break
        return tree
    word = words.pop(0)
    if word == "(":
        tree = _operation(words, 0)
        if words.pop(0) != ")":
            raise ValueError("a bracket is open")
        return tree
    if word.isdecimal() and word.isascii() and int(word) < 1 << 31:
        return int(word)
    if not _PLAIN.fullmatch(word):
        raise ValueError("it is no name")
    return word


_COMPARISONS = 2
_LONGEST_TREE = 30
"""Most words of an expression: a message of a thousand alternatives would be nested too deeply to be written."""

_PLAIN = re.compile(r"(?!(and|or|not|null|true|false|case|interval|exists)$)[a-z_]\w*|'[^'\\]*'", re.IGNORECASE)


def called(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the functions that a text calls, in lower case, and whether with arguments; words of the grammar before
    brackets among them, as a session may have functions of these names.

    >>> list(called("now() > date_add(day, 1) and x in (1, 2) and 'rand(' = y"))
    [('now', False), ('date_add', True), ('in', True)]
    """
    padded = [("other", ""), *tokens(text), ("other", "")]
    for (_, before), (kind, word), (_, bracket), (_, after) in zip(
        padded, padded[1:], padded[2:], padded[3:], strict=False
    ):
        # A type follows AS, or a table whose columns are named.
        if bracket == "(" and kind in ("word", "name", "text") and before.lower() != "as":
            yield word.strip("`\"").lower(), after != ")"  # a setting makes double quotes those of names


def bare_words(text: str) -> Iterator[str]:
    """Yield the words, in lower case, that are neither called nor part of a longer name.

    >>> list(bare_words("current_date - t.day > x.y(3)"))
    ['current_date']
    """
    padded = [("other", ""), *tokens(text), ("other", "")]
    for (_, before), (kind, word), (_, after) in zip(padded, padded[1:], padded[2:], strict=False):
        if kind == "word" and before != "." and after not in (".", "("):
            yield word.lower()


def asks_tables(text: str) -> bool:
    """Return whether an expression contains a query, which may read tables by name.

    >>> asks_tables("a in (select b from t)"), asks_tables("extract(year from day)")
    (True, False)
    """
    words = [(kind, word.lower()) for kind, word in tokens(text)]
    first_in_brackets = {word for (_, before), (_, word) in pairwise(words) if before == "("}
    return ("word", "select") in words or bool(first_in_brackets & {"from", "table", "with"})


# Statements -----------------------------------------------------------------------------------------------------------

_ARGUMENT = re.compile(r"_pyspark_connect_temp_view_[0-9a-f]{32}")
"""Names that pyspark's client (its `SQLStringFormatter`) generates for tables among a statement's arguments."""

BINDING = "helix_arguments"
"""A table that is added to statements that have arguments but no tables. Spark Connect leaves the arguments of a
statement without tables to a parser, and Delta's ignores them (`engine.spark.settings.CHANGES_NO_ANSWER`)."""


def is_generated(name: str) -> bool:
    """Return whether a name is one that pyspark generated for an argument of a statement: no session has it."""
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
        asks: True if it is a query, which changes nothing.
        tables: names of the tables and views in it, as written, without its own definitions; and of table functions
            that are not Spark's, each followed by brackets.
        known: True if it could be parsed; the other fields count only then.
    """

    asks: bool
    tables: frozenset[str]
    known: bool = True


@cache
def read_statement(text: str) -> Statement:
    """Parse a statement.

    >>> read_statement("WITH a AS (SELECT * FROM t) SELECT * FROM a, `U` JOIN v USING (x)").tables == {"t", "U", "v"}
    True
    >>> read_statement("SELECT * FROM range(3) JOIN t USING (id)").tables == {"t"}
    True
    >>> read_statement("SELECT /*+ BROADCAST(a) */ * FROM t a JOIN u USING (x)").tables == {"t", "u"}
    True
    >>> read_statement("SELECT * FROM table_changes('t', 1)").tables
    frozenset({'table_changes()'})
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

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that it does not know
    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except (SqlglotError, RecursionError):
        return Statement(asks=False, tables=frozenset(), known=False)
    is_query = isinstance(tree, exp.Query)
    if is_query and ("word", "table") in {(kind, word.lower()) for kind, word in tokens(text)}:
        return Statement(asks=False, tables=frozenset(), known=False)  # sqlglot takes `(TABLE t)` for two columns
    names = set()
    for table in tree.find_all(exp.Table):
        is_function = isinstance(table.this, exp.Func)
        # Spark's own functions, such as `range(3)`, read nothing; others may read what arguments name.
        function = str(table.this.sql(dialect="spark")).partition("(")[0].lower() if is_function else ""
        if function not in spark_functions() and not _is_own(table) and table.find_ancestor(exp.Hint) is None:
            names.add(".".join(part.name for part in table.parts) + "()" * is_function)
    return Statement(is_query, frozenset(names))


def _is_own(table: Any) -> bool:
    """Return whether a statement defines a table that it names: earlier on, or recursively."""
    from sqlglot import exp

    below, node, name = table, table.parent, table.name.lower()
    if len(table.parts) > 1:
        return False
    while node is not None:
        defined = node if isinstance(node, exp.With) else next(
            (inner for inner in node.iter_expressions() if isinstance(inner, exp.With) and inner is not below), None
        )
        if defined is not None:
            definitions = list(defined.expressions)
            if defined is node:
                at = next(place for place, definition in enumerate(definitions) if definition is below)
                definitions = definitions[:at + bool(node.args.get("recursive"))]
            if any(definition.alias_or_name.lower() == name for definition in definitions):
                return True
        below, node = node, node.parent
    return False
