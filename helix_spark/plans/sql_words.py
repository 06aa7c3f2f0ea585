"""What SQL texts in a plan call and ask, told from their words. No parser; but what is in quotes is no word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

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

_WITHOUT_PYTHON = frozenset({
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
"""Functions of Spark that are no functions of `pyspark.sql.functions`, or have another name there."""

_OPENS_A_QUERY = frozenset({"from", "table", "with"})

_OF_PYTHON_ALONE = frozenset({
    "arrow_udf", "arrow_udtf", "asc", "asc_nulls_first", "asc_nulls_last", "bitwise_not", "broadcast", "call_function",
    "call_udf", "col", "column", "count_distinct", "create_map", "desc", "desc_nulls_first", "desc_nulls_last", "expr",
    "listagg_distinct", "lit", "negate", "pandas_udf", "string_agg_distinct", "sum_distinct", "timestamp_add",
    "timestamp_diff", "udf", "udtf",
})
"""Names in `pyspark.sql.functions` that are no functions of Spark: a session may register some under these."""

MAKES_VIEW = frozenset({
    "createTempView", "createOrReplaceTempView", "createGlobalTempView", "createOrReplaceGlobalTempView",
    "registerTempTable",
})
"""Methods of a table of pyspark by which SQL knows it under a name."""


@cache
def spark_functions() -> frozenset[str]:
    """Return the names of Spark's own functions, in lower case. Others are a session's, and may be anything."""
    from pyspark.sql import functions

    own = {name for name in functions.__all__ if name.islower()} - _OF_PYTHON_ALONE
    return frozenset(own) | _WITHOUT_PYTHON


Token = tuple[str, str]
"""Its kind (text, name, word, other) and itself."""


def tokens(text: str) -> list[Token]:
    """Return the words, names, texts and signs of an SQL text, without comments.

    >>> tokens("f(`a b`) -- or 'b'")
    [('word', 'f'), ('other', '('), ('name', '`a b`'), ('other', ')')]
    """
    found = ((str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text))
    return [one for one in found if one[0] != "comment"]


def called(given: Sequence[Token]) -> Iterator[tuple[str, bool]]:
    """Yield the functions that a text calls, in lower case; and whether it gives them anything.

    >>> list(called(tokens("now() > date_add(day, 1) and x in (1, 2) and 'rand(' = y")))
    [('now', False), ('date_add', True)]
    """
    for (kind, word), (_, bracket), (_, behind) in zip(given, given[1:], [*given[2:], ("other", "")], strict=False):
        if bracket == "(" and (kind in ("name", "text") or (kind == "word" and word.lower() not in _BEFORE_BRACKETS)):
            yield word.strip("`\"").lower(), behind != ")"  # by a setting, what is in double quotes is a name


def bare_words(given: Sequence[Token]) -> Iterator[str]:
    """Yield words that stand alone, in lower case: neither called nor part of a longer name.

    >>> list(bare_words(tokens("current_date - t.day > x.y(3)")))
    ['current_date']
    """
    padded = [("other", ""), *given, ("other", "")]
    for (_, before), (kind, word), (_, behind) in zip(padded, padded[1:], padded[2:], strict=False):
        if kind == "word" and before != "." and behind not in (".", "("):
            yield word.lower()


def asks_tables(given: Sequence[Token]) -> bool:
    """Return whether an expression has a query of its own in it, which may read tables by their names.

    >>> asks_tables(tokens("a in (select b from t)")), asks_tables(tokens("extract(year from day)"))
    (True, False)
    """
    words = [word.lower() for _, word in given]
    opened = {behind for before, behind in pairwise(words) if before == "("}
    return ("word", "select") in [(kind, word.lower()) for kind, word in given] or bool(opened & _OPENS_A_QUERY)
