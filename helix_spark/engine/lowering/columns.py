"""Columns that extractors add to a table, and the pipeline of Spark ML from a table to a learner's predictions.

The analyser's work grows with the square of the number of added columns (400 `withColumn` calls take seven times as
long as one `withColumns`), so columns of one kind are added together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node, column_name
from helix_spark.engine.lowering.stages import build_stage, is_sparks_own
from helix_spark.engine.lowering.watcher import Watcher
from helix_spark.engine.results.node_results import (
    ColumnResult,
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    quoted,
)
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    Bucket,
    ColumnSource,
    EncodeCategories,
    FitStage,
    Function,
    Interact,
    KeptColumn,
    Kind,
    Result,
    Select,
    named_columns,
)

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame


def with_columns(frame: DataFrame, columns: Iterable[ColumnResult]) -> DataFrame:
    """Return the table with these columns and the columns that they need."""
    for group in _groups(columns):
        if (stages := group[0].stages) is None:
            frame = with_new(frame, {column.column: column.make(frame) for column in group})
        else:
            for stage in stages(group):
                if _is_encoder(stage):
                    # Its fit reads the categories from the schema and runs no job. Its columns replace its inputs.
                    frame = stage.fit(frame).transform(frame).drop(*stage.getInputCols())
                else:
                    frame = stage.transform(frame)
    return frame


def _groups(columns: Iterable[ColumnResult]) -> Iterator[list[ColumnResult]]:
    """Yield the columns in groups of one kind, after the columns that they need."""
    waiting, added = closure(columns), set[str]()
    while waiting:
        ready = [column for column in waiting if all(need.column in added for need in column.needs)]
        # Expressions first: they may be bound to attributes of their table, which a library's stage may replace.
        first = min(ready, key=lambda column: column.stages is not None)
        yield (group := [column for column in ready if column.stages is first.stages])
        added.update(column.column for column in group)
        waiting = [column for column in waiting if column.column not in added]


def base_of(results: Sequence[NodeResult]) -> TableResult:
    """Return the first input: the table that a node extends, fits on or selects from."""
    assert isinstance(results[0], TableResult)
    return results[0]


def columns_among(results: Iterable[NodeResult]) -> tuple[ColumnResult, ...]:
    return tuple(result for result in results if isinstance(result, ColumnResult))


def name_of(column: ColumnSource, results: Sequence[NodeResult]) -> str:
    """Return a column's name in its table."""
    if isinstance(column, str):
        return column
    result = results[column.index]
    assert isinstance(result, ColumnResult)
    return result.column


def closure(columns: Iterable[ColumnResult]) -> list[ColumnResult]:
    """Return these columns and the columns that they need, in topological order."""
    ordered: dict[str, ColumnResult] = {}
    for column in columns:
        for need in (*closure(column.needs), column):
            ordered.setdefault(need.column, need)
    return list(ordered.values())


def with_new(frame: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
    """Return the table with new columns. Unlike `withColumns` of Spark Connect this keeps their metadata."""
    return frame.select("*", *(column.alias(name) for name, column in columns.items()))


# The stages that add columns together: `stages` of a ColumnResult

def category_stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return indexers and encoders of one-hot vectors; `make` is (input column, labels, drop_last)."""
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


def bucket_stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return a bucketizer and an encoder of one-hot vectors; `make` is (input without nulls, inner bounds, one-hot)."""
    from pyspark.ml.feature import Bucketizer, OneHotEncoder

    inf = float("inf")
    numbered = {c.column: f"{c.column}_bucket" if c.make[2] else c.column for c in columns}
    hot = {c.column: numbered[c.column] for c in columns if c.make[2]}
    bucketizer = Bucketizer(
        splitsArray=[[-inf, *c.make[1], inf] if c.make[1] else [-inf, 0.0, inf] for c in columns],
        inputCols=[c.make[0] for c in columns], outputCols=list(numbered.values()), handleInvalid="keep",
    )
    # NaN has the last bucket, which is dropped: all zeros.
    encoder = OneHotEncoder(inputCols=[*hot.values()], outputCols=[*hot], dropLast=True, handleInvalid="keep")
    return [bucketizer, encoder] if hot else [bucketizer]


def own_stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return a transformer for each column; each `make` returns it with its output column set."""
    return [column.make() for column in columns]


def _is_encoder(stage: Any) -> bool:
    return type(stage).__name__ == "OneHotEncoder"


def assembler(columns: Sequence[str], output: str) -> Any:
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=list(columns), outputCol=output)


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """Builder of a copy of a column. `as_number` replaces the nulls of a numeric column by NaN: Bucketizer has a bucket
    for NaN alone, and refuses a column of another type.

    >>> SourceColumn("a.b").sql
    '`a.b`'
    """

    source: str
    as_number: bool = False

    def __call__(self, frame: DataFrame) -> Column:
        from pyspark.sql import functions as F
        from pyspark.sql.types import NumericType

        is_plain = not self.as_number or isinstance(frame.schema[self.source].dataType, NumericType)
        return F.expr(self.sql if is_plain else quoted(self.source))

    @property
    def sql(self) -> str:
        """The column in SQL, for a pipeline."""
        name = quoted(self.source)
        return f"coalesce(CAST({name} AS DOUBLE), CAST('NaN' AS DOUBLE))" if self.as_number else name


def ready_made_column(node: Node, results: Sequence[NodeResult], watcher: Watcher | None = None) -> ColumnResult:
    """Return the column of an extractor that is not a function, without reading its table."""
    base, name, learned = base_of(results), column_name(node.name), results[-1]
    # Spark ML would look for a field of a struct.
    dotted = [column for column in named_columns(node.operator) if "." in column or "`" in column]
    copies = {column: _copy_column(column, base) for column in dotted}
    needs = (*columns_among(results), *copies.values())

    def named(column: ColumnSource) -> str:
        return copies[column].column if isinstance(column, str) and column in copies else name_of(column, results)

    match node.operator:
        case Select(columns=(column,)):
            return ColumnResult(name, base, (), None, SourceColumn(column))
        case Select(columns=columns):
            inputs = [named(column) for column in columns]
            return ColumnResult(name, base, needs, own_stages, lambda: assembler(inputs, name))
        case EncodeCategories(column=column, drop_last=drop_last):
            assert isinstance(learned, ValueResult)
            return ColumnResult(name, base, needs, category_stages, (named(column), learned.value, drop_last))
        case Bucket(column=column, splits=splits, one_hot=one_hot):
            boundaries = list(splits or ()) if splits is not None else list(learned.value)  # type: ignore[union-attr]  # the last input is what it learned
            number = _copy_column(name_of(column, results), base, columns_among(results), as_number=True)
            return ColumnResult(name, base, (number,), bucket_stages, (number.column, boundaries, one_hot))
        case Interact(columns=columns):
            from pyspark.ml.feature import Interaction

            names = [named(column) for column in columns]
            return ColumnResult(name, base, needs, own_stages, lambda: Interaction(inputCols=names, outputCol=name))
        case ApplyStage() as operator:
            transformer = build_stage(node, operator.stage) if operator.stage else learned.model  # type: ignore[union-attr]  # the last input of a fitted stage is its model
            wired = {key: named(source) for key, source in operator.columns} | {"outputCol": name}

            def wire() -> Any:
                stage = transformer.copy({transformer.getParam(key): column for key, column in wired.items()})
                return stage if watcher is None or is_sparks_own(stage) else _Watched(stage, node, watcher)

            return ColumnResult(name, base, needs, own_stages, wire)
    raise AssertionError(f"{node.operator} makes no column")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A user-defined transformer, which runs whenever its column is read."""

    stage: Any
    node: Node
    watcher: Watcher

    def transform(self, frame: DataFrame) -> DataFrame:
        with self.watcher.acting(self.node, gets_frames=True) as requests:
            added: DataFrame = self.stage.transform(frame)
            requests.note_made(added)
            return added


def _copy_column(
    column: str, base: TableResult, needs: tuple[ColumnResult, ...] = (), *, as_number: bool = False
) -> ColumnResult:
    """Return a copy of a column under a name without dots."""
    name = column_name(f"{'number' if as_number else 'column'} {column}")
    return ColumnResult(name, base, needs, None, SourceColumn(column, as_number=as_number))


FEATURES = "features"


def pipeline(node: Node, dag: Dag, result: Callable[[str], NodeResult]) -> PipelineModel:
    """Return the pipeline of a learner, from the rows of its examples to predictions. `result` returns the result of a
    node by name. Raises OperatorError where a function takes part: a pipeline holds none."""
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

    examples, operator = _examples_of(node, dag)
    learned = result(node.name)
    assert isinstance(learned, ModelResult)
    model = learned.copy()
    kept = [column.name for column in operator.keep if isinstance(column, KeptColumn)]
    reads_features = hasattr(model, "hasParam") and model.hasParam("featuresCol")
    if kept and not (reads_features and model.getOrDefault("featuresCol") == FEATURES):
        raise OperatorError(
            f"{node.name!r} may read other columns than `{FEATURES}`, and {examples.name!r} keeps {', '.join(kept)} of "
            "extractors, which its table does not have", where=examples.where,
            remedy=f"leave them out of keep=, or fit {node.name!r} on examples that do",
        )
    no_rows = TableResult(lambda: SparkSession.active().range(0))  # ready-made columns need none of their table

    @cache
    def build(name: str) -> NodeResult:
        if (source := dag[name]).result is Result.TABLE:
            return no_rows
        if source.result is not Result.COLUMN:
            return result(name)
        if isinstance(source.operator, Function):
            raise OperatorError(
                f"extractor {name!r}, of which {examples.name!r} is made, is a function, which no pipeline of Spark "
                "ML's holds", where=source.where,
                remedy=f"add the column where {source.base!r} is made, and take it as "
                f"wf.extractor({name!r}, hx.Fields({name!r}), on={source.base})",
            )
        return ready_made_column(source, [build(source_name) for source_name in source.inputs])

    features = columns_among(build(examples.inputs[feature.index]) for feature in operator.features)
    stages = [stage for group in _groups(features) for stage in _fitted_stages(group, no_rows)]
    return PipelineModel([*stages, assembler([feature.column for feature in features], FEATURES), model])


def _examples_of(node: Node, dag: Dag) -> tuple[Node, Assemble]:
    if node.kind is not Kind.LEARNER or not isinstance(node.operator, FitStage):
        raise OperatorError(
            f"{node.kind} {node.name!r} is no estimator of Spark ML's on examples: which columns its model reads is "
            "unknown", where=node.where,
            remedy='a pipeline is made for wf.learner("model", Estimator, on=examples)',
        )
    if not isinstance((examples := dag[node.inputs[0]]).operator, Assemble):
        raise OperatorError(
            f"{node.name!r} is fitted on {examples.kind} {examples.name!r}, and what makes its columns is a function's",
            where=examples.where, remedy='a pipeline is made where wf.synthesizer("examples", rows, features=[...]) '
            "assembles them of ready-made extractors",
        )
    return examples, examples.operator


def _fitted_stages(group: Sequence[ColumnResult], no_rows: TableResult) -> Iterator[Any]:
    """Yield the stages that add a group of columns. An encoder reads the schema alone, so it is fitted on no rows."""
    from pyspark.ml.feature import SQLTransformer
    from pyspark.sql import functions as F

    if (stages := group[0].stages) is None:
        added = ", ".join(f"{column.make.sql} AS {quoted(column.column)}" for column in group)
        yield SQLTransformer(statement=f"SELECT *, {added} FROM __THIS__")
        return
    before: Any = None
    for stage in stages(group):
        if _is_encoder(stage):
            sources = (F.lit(0.0).alias(name) for name in before.getInputCols())
            stage = stage.fit(before.transform(no_rows.frame().select(*sources)))
        yield stage
        before = stage
