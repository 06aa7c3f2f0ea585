"""Columns: how extractors add theirs to a table, and many of one sort in one step.

Adding columns one by one makes the analyser's work grow with the square of their number (400 `withColumn` calls take
seven times as long as one `withColumns`), so columns of one sort are added together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results import ColumnResult

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def column_name(node: str) -> str:
    """The name that a node's column has beside the table's own: no clash, and plain for Spark ML.

    >>> column_name("age")
    'helix_age'
    >>> column_name("a b") == column_name("a_b")
    False
    """
    folded = re.sub(r"\W", "_", node)
    unique = "" if folded == node else "_" + sha256(node.encode()).hexdigest()[:6]
    return f"helix_{folded}{unique}"


def with_columns(frame: DataFrame, columns: Iterable[ColumnResult]) -> DataFrame:
    """The table with these columns and all that they need, each once."""
    waiting = _closure(columns)
    there: set[str] = set()
    while waiting:
        ready = [column for column in waiting if all(need.column in there for need in column.needs)]
        sort = ready[0].sort
        together = [column for column in ready if column.sort == sort]
        frame = together[0].add(frame, together)
        there.update(column.column for column in together)
        waiting = [column for column in waiting if column.column not in there]
    return frame


def _closure(columns: Iterable[ColumnResult]) -> list[ColumnResult]:
    found: dict[str, ColumnResult] = {}

    def visit(column: ColumnResult) -> None:
        for need in column.needs:
            visit(need)
        found.setdefault(column.column, column)

    for column in columns:
        visit(column)
    return list(found.values())


def add_expressions(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Adds columns whose `make` is a function of the DataFrame that returns a Column."""
    made: dict[str, Column] = {column.column: column.make(frame) for column in columns}
    return frame.withColumns(made)


def add_categories(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Adds one-hot vectors; each `make` is (input column, labels, drop_last)."""
    from pyspark.ml.feature import OneHotEncoder

    for drop_last in sorted({column.make[2] for column in columns}):
        group = [column for column in columns if column.make[2] == drop_last]
        indexed = [f"{column.column}_index" for column in group]
        indexer = _indexer([column.make[1] for column in group])
        indexer.setInputCols([column.make[0] for column in group]).setOutputCols(indexed).setHandleInvalid("keep")
        # The indexer gives unseen values and nulls the last place; dropping the last leaves them all zeros.
        encoder = OneHotEncoder(inputCols=indexed, outputCols=[c.column for c in group], dropLast=drop_last)
        frame = _encoded(indexer.transform(frame), encoder).drop(*indexed)
    return frame


def _indexer(labels: Sequence[Sequence[str]]) -> Any:
    """A StringIndexerModel of these labels. Its own `from_arrays_of_labels` makes a rectangular Java array, so that
    shorter lists end in nulls (PySpark 4.2), which the encoder fails on; this array is ragged."""
    from pyspark.ml.feature import StringIndexerModel
    from pyspark.sql import SparkSession

    gateway = SparkSession.active().sparkContext._gateway
    assert gateway is not None
    text = gateway.jvm.java.lang.String
    ragged = gateway.new_array(text, len(labels), 0)
    for position, some in enumerate(labels):
        ragged[position] = StringIndexerModel._new_java_array(list(some), text)
    return StringIndexerModel._create_from_java_class("org.apache.spark.ml.feature.StringIndexerModel", ragged)


def _encoded(frame: DataFrame, encoder: Any) -> DataFrame:
    """Fitting the encoder reads the categories from the schema; it runs no job."""
    encoded: DataFrame = encoder.fit(frame).transform(frame)
    return encoded


def add_buckets(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Adds bucket numbers or their one-hot vectors; each `make` is (input column, inner boundaries, one_hot)."""
    from pyspark.ml.feature import Bucketizer, OneHotEncoder

    inf = float("inf")
    numbered = {c.column: f"{c.column}_bucket" if c.make[2] else c.column for c in columns}
    frame = Bucketizer(
        splitsArray=[[-inf, *c.make[1], inf] if c.make[1] else [-inf, 0.0, inf] for c in columns],
        inputCols=[c.make[0] for c in columns], outputCols=list(numbered.values()), handleInvalid="keep",
    ).transform(frame)
    hot = [c.column for c in columns if c.make[2]]
    if hot:
        temporary = [numbered[column] for column in hot]
        # Numbers that are none (NaN, null) get a place of their own, which is dropped: they are all zeros.
        encoder = OneHotEncoder(inputCols=temporary, outputCols=hot, dropLast=True, handleInvalid="keep")
        frame = _encoded(frame, encoder).drop(*temporary)
    return frame


def add_stage(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Adds columns by Spark ML transformers; each `make` returns the transformer with its output column set."""
    for column in columns:
        frame = column.make().transform(frame)
    return frame
