"""Columns: how extractors add theirs to a table, and many of one kind in one step.

Adding columns one by one makes the analyser's work grow with the square of their number (400 `withColumn` calls take
seven times as long as one `withColumns`), so columns that are added in the same way are added together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult, quoted
from helix_spark.workflow.operators import ColumnSource

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

def column_name(node: str) -> str:
    """Return the name that a node's column has in its table: unlike all of the table's own, and plain for Spark ML.

    >>> column_name("age")
    'helix_age'
    >>> column_name("a b") == column_name("a_b")
    False
    """
    folded = re.sub(r"\W", "_", node)
    unique = "" if folded == node else "_" + sha256(node.encode()).hexdigest()[:6]
    return f"helix_{folded}{unique}"


def with_columns(frame: DataFrame, columns: Iterable[ColumnResult]) -> DataFrame:
    """Return the table with these columns and all that they need, each once."""
    waiting = closure(columns)
    there: set[str] = set()
    while waiting:
        ready = [column for column in waiting if all(need.column in there for need in column.needs)]
        # What an expression makes of its table may be bound to that table's own attributes, and a stage of a library
        # may leave others behind it.
        first = min(ready, key=lambda column: column.add is not add_expressions)
        together = [column for column in ready if column.add is first.add]
        frame = first.add(frame, together)
        there.update(column.column for column in together)
        waiting = [column for column in waiting if column.column not in there]
    return frame


def base_of(results: Sequence[NodeResult]) -> TableResult:
    """Return the table that a node extends, fits on or selects from: its first input."""
    assert isinstance(results[0], TableResult)
    return results[0]


def columns_among(results: Iterable[NodeResult]) -> tuple[ColumnResult, ...]:
    """Return the columns that a node takes."""
    return tuple(result for result in results if isinstance(result, ColumnResult))


def name_of(column: ColumnSource, results: Sequence[NodeResult]) -> str:
    """Return what a column is called in the table that holds it."""
    if isinstance(column, str):
        return column
    result = results[column.index]
    assert isinstance(result, ColumnResult)
    return result.column


def closure(columns: Iterable[ColumnResult]) -> list[ColumnResult]:
    """Return these columns and all that they need, each once and after what it needs."""
    found: dict[str, ColumnResult] = {}

    def visit(column: ColumnResult) -> None:
        for need in column.needs:
            visit(need)
        found.setdefault(column.column, column)

    for column in columns:
        visit(column)
    return list(found.values())


def add_expressions(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add columns whose `make` is a function of the DataFrame that returns a Column."""
    return with_new(frame, {column.column: column.make(frame) for column in columns})


def with_new(frame: DataFrame, made: Mapping[str, Column]) -> DataFrame:
    """Return the table with columns of new names. Unlike `withColumns` of Spark Connect this keeps their metadata."""
    return frame.select("*", *(column.alias(name) for name, column in made.items()))


def add_categories(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add one-hot vectors; each `make` is (input column, labels, drop_last)."""
    for drop_last in sorted({column.make[2] for column in columns}):
        indexer, encoder = category_stages([column for column in columns if column.make[2] == drop_last])
        frame = _encoded(indexer.transform(frame), encoder)
    return frame


def category_stages(columns: Sequence[ColumnResult]) -> tuple[Any, Any]:
    """Return the indexer and the unfitted encoder of one-hot vectors that all drop the last place, or all keep it."""
    from pyspark.ml.feature import OneHotEncoder, StringIndexerModel

    indexed = [f"{column.column}_index" for column in columns]
    indexer = StringIndexerModel.from_arrays_of_labels([list(column.make[1]) for column in columns], [])
    indexer.setInputCols([column.make[0] for column in columns]).setOutputCols(indexed).setHandleInvalid("keep")
    # The indexer gives unseen values and nulls the last place; dropping the last leaves them all zeros.
    drop_last = columns[0].make[2]
    return indexer, OneHotEncoder(inputCols=indexed, outputCols=[c.column for c in columns], dropLast=drop_last)


def _encoded(frame: DataFrame, encoder: Any) -> DataFrame:
    """Return the table with the encoder's columns in place of its inputs. Fitting reads the categories from the schema
    and runs no job."""
    encoded: DataFrame = encoder.fit(frame).transform(frame)
    return encoded.drop(*encoder.getInputCols())


def add_buckets(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add bucket numbers or their one-hot vectors; each `make` is (input column without nulls, inner boundaries,
    one_hot)."""
    bucketizer, encoder = bucket_stages(columns)
    frame = bucketizer.transform(frame)
    return frame if encoder is None else _encoded(frame, encoder)


def bucket_stages(columns: Sequence[ColumnResult]) -> tuple[Any, Any | None]:
    """Return the bucketizer, and the encoder, yet to be fitted, of those that become one-hot vectors, if any."""
    from pyspark.ml.feature import Bucketizer, OneHotEncoder

    inf = float("inf")
    numbered = {c.column: f"{c.column}_bucket" if c.make[2] else c.column for c in columns}
    bucketizer = Bucketizer(
        splitsArray=[[-inf, *c.make[1], inf] if c.make[1] else [-inf, 0.0, inf] for c in columns],
        inputCols=[c.make[0] for c in columns], outputCols=list(numbered.values()), handleInvalid="keep",
    )
    hot = [c.column for c in columns if c.make[2]]
    if not hot:
        return bucketizer, None
    # What is no number has a place of its own, which is dropped: it is all zeros.
    return bucketizer, OneHotEncoder(
        inputCols=[numbered[column] for column in hot], outputCols=hot, dropLast=True, handleInvalid="keep"
    )


@dataclass(frozen=True, slots=True)
class Again:
    """Makes a column of the table once more, under another name.

    >>> Again("a.b").sql
    '`a.b`'
    """

    source: str

    def __call__(self, frame: DataFrame) -> Column:
        return frame[quoted(self.source)]

    @property
    def sql(self) -> str:
        """The same as text, which a pipeline can hold."""
        return quoted(self.source)


@dataclass(frozen=True, slots=True)
class NumberOrNan:
    """Makes a numeric column with NaN for its nulls: Bucketizer has a place for NaN, and passes nulls on to an
    assembler that fails on them. A column of another type as it is, for Bucketizer to refuse: a cast would accept text.
    """

    source: str

    def __call__(self, frame: DataFrame) -> Column:
        from pyspark.sql import functions as F
        from pyspark.sql.types import NumericType

        found = frame[quoted(self.source)]
        is_number = isinstance(frame.schema[self.source].dataType, NumericType)
        return F.coalesce(found.cast("double"), F.lit(float("nan"))) if is_number else found

    @property
    def sql(self) -> str:
        """The same of a numeric column, as text, which a pipeline can hold."""
        return f"coalesce(CAST({quoted(self.source)} AS DOUBLE), CAST('NaN' AS DOUBLE))"


def add_stage(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add columns by Spark ML transformers; each `make` returns the transformer with its output column set."""
    for column in columns:
        frame = column.make().transform(frame)
    return frame


def assembler(columns: Sequence[str], output: str) -> Any:
    """Return the stage that makes one vector of columns."""
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=list(columns), outputCol=output)
