"""Columns: how extractors add theirs to a table, and many of one kind in one step.

Adding columns one by one makes the analyser's work grow with the square of their number (400 `withColumn` calls take
seven times as long as one `withColumns`), so columns that are added in the same way are added together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node, column_name
from helix_spark.engine.lowering.stages import build_stage, is_sparks_own
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import ColumnResult, NodeResult, TableResult, ValueResult, quoted
from helix_spark.workflow.operators import (
    ApplyStage,
    Bucket,
    ColumnSource,
    EncodeCategories,
    Interact,
    Select,
    named_columns,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


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
    return _with_stages(frame, category_stages(columns))


def category_stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return the stages of one-hot vectors: an indexer and an encoder of those that drop the last place, and of those
    that keep it."""
    from pyspark.ml.feature import OneHotEncoder, StringIndexerModel

    stages = []
    for drop_last in sorted({column.make[2] for column in columns}):
        own = [column for column in columns if column.make[2] == drop_last]
        indexed = [f"{column.column}_index" for column in own]
        indexer = StringIndexerModel.from_arrays_of_labels([list(column.make[1]) for column in own], [])
        indexer.setInputCols([column.make[0] for column in own]).setOutputCols(indexed).setHandleInvalid("keep")
        # The indexer gives unseen values and nulls the last place; dropping the last leaves them all zeros.
        encoder = OneHotEncoder(inputCols=indexed, outputCols=[column.column for column in own], dropLast=drop_last)
        stages += [indexer, encoder]
    return stages


def add_buckets(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add bucket numbers or their one-hot vectors; each `make` is (input column without nulls, inner boundaries,
    one_hot)."""
    return _with_stages(frame, bucket_stages(columns))


def bucket_stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return the bucketizer, and an encoder of the buckets that become one-hot vectors."""
    from pyspark.ml.feature import Bucketizer, OneHotEncoder

    inf = float("inf")
    numbered = {c.column: f"{c.column}_bucket" if c.make[2] else c.column for c in columns}
    hot = {c.column: numbered[c.column] for c in columns if c.make[2]}
    bucketizer = Bucketizer(
        splitsArray=[[-inf, *c.make[1], inf] if c.make[1] else [-inf, 0.0, inf] for c in columns],
        inputCols=[c.make[0] for c in columns], outputCols=list(numbered.values()), handleInvalid="keep",
    )
    # What is no number has a place of its own, which is dropped: it is all zeros.
    encoder = OneHotEncoder(inputCols=[*hot.values()], outputCols=[*hot], dropLast=True, handleInvalid="keep")
    return [bucketizer, encoder] if hot else [bucketizer]


def _with_stages(frame: DataFrame, stages: Iterable[Any]) -> DataFrame:
    """Return the table with what stages add. An encoder's columns take the places of its inputs; to fit it reads the
    categories from the schema and runs no job."""
    for stage in stages:
        is_encoder = hasattr(stage, "fit")
        frame = (stage.fit(frame) if is_encoder else stage).transform(frame)
        frame = frame.drop(*stage.getInputCols()) if is_encoder else frame
    return frame


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """Makes a column of the table once more, under another name.

    Attributes:
        as_number: of a numeric column, NaN for its nulls: Bucketizer has a place for NaN, and passes nulls on to an
            assembler that fails on them. A column of another type stays as it is, for Bucketizer to refuse: a cast
            would accept text.

    >>> SourceColumn("a.b").sql
    '`a.b`'
    """

    source: str
    as_number: bool = False

    def __call__(self, frame: DataFrame) -> Column:
        from pyspark.sql import functions as F
        from pyspark.sql.types import NumericType

        found = F.col(quoted(self.source))
        if not (self.as_number and isinstance(frame.schema[self.source].dataType, NumericType)):
            return found
        return F.coalesce(found.cast("double"), F.lit(float("nan")))

    @property
    def sql(self) -> str:
        """The same as text, which a pipeline can hold."""
        name = quoted(self.source)
        return f"coalesce(CAST({name} AS DOUBLE), CAST('NaN' AS DOUBLE))" if self.as_number else name


def add_stage(frame: DataFrame, columns: Sequence[ColumnResult]) -> DataFrame:
    """Add columns by Spark ML transformers; each `make` returns the transformer with its output column set."""
    for column in columns:
        frame = column.make().transform(frame)
    return frame


def assembler(columns: Sequence[str], output: str) -> Any:
    """Return the stage that makes one vector of columns."""
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=list(columns), outputCol=output)


def ready_made_column(node: Node, results: Sequence[NodeResult], watcher: Watcher | None = None) -> ColumnResult:
    """Return the column of an extractor that is no function. Its table is not looked at.

    Args:
        watcher: is told where a transformer of the author's own is at work.
    """
    base, name, learned = base_of(results), column_name(node.name), results[-1]
    copies = {one: _again(one, base) for one in named_columns(node.operator) if "." in one or "`" in one}
    needs = (*columns_among(results), *copies.values())

    def named(column: ColumnSource) -> str:
        return copies[column].column if isinstance(column, str) and column in copies else name_of(column, results)

    match node.operator:
        case Select(columns=(column,)):
            return ColumnResult(name, base, (), add_expressions, SourceColumn(column))
        case Select(columns=columns):
            taken = [named(column) for column in columns]
            return ColumnResult(name, base, needs, add_stage, lambda: assembler(taken, name))
        case EncodeCategories(column=column, drop_last=drop_last):
            assert isinstance(learned, ValueResult)
            make = (named(column), learned.value, drop_last)
            return ColumnResult(name, base, needs, add_categories, make)
        case Bucket(column=column, splits=splits, one_hot=one_hot):
            if splits is None:
                assert isinstance(learned, ValueResult)
                splits = tuple(learned.value)
            number = _again(name_of(column, results), base, columns_among(results), as_number=True)
            make = (number.column, list(splits), one_hot)
            return ColumnResult(name, base, (number,), add_buckets, make)
        case Interact(columns=columns):
            from pyspark.ml.feature import Interaction

            names = [named(column) for column in columns]
            return ColumnResult(name, base, needs, add_stage, lambda: Interaction(inputCols=names, outputCol=name))
        case ApplyStage() as operator:
            transformer = build_stage(node, operator.stage) if operator.stage else learned.model  # type: ignore[union-attr]  # the last input of a fitted stage is its model
            wired = {key: named(source) for key, source in operator.columns} | {"outputCol": name}

            def made() -> Any:
                stage = transformer.copy({transformer.getParam(key): column for key, column in wired.items()})
                return stage if watcher is None or is_sparks_own(stage) else _Watched(stage, node, watcher)

            return ColumnResult(name, base, needs, add_stage, made)
    raise AssertionError(f"{node.operator} makes no column")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A transformer of the author's own, which adds its column whenever somebody reads it."""

    stage: Any
    node: Node
    watcher: Watcher

    def transform(self, frame: DataFrame) -> DataFrame:
        """Return the table with its column."""
        with self.watcher.acting(self.node):
            added: DataFrame = self.stage.transform(frame)
            return added


def _again(
    column: str, base: TableResult, needs: tuple[ColumnResult, ...] = (), *, as_number: bool = False
) -> ColumnResult:
    """Return a column again: without nulls, as a need like any other, so that it is added together with them; or under
    a name without dots, for Spark ML would look for a part of a column."""
    made = column_name(f"{'number' if as_number else 'column'} {column}")
    return ColumnResult(made, base, needs, add_expressions, SourceColumn(column, as_number=as_number))
