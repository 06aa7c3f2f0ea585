"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.built import built_table, column_result, tables_of
from helix_spark.engine.lowering.called_functions import call
from helix_spark.engine.lowering.calls import Watcher, argument, authors_errors, remedy_for, table_in_memory
from helix_spark.engine.lowering.columns import (
    Again,
    CalledOnce,
    NumberOrNan,
    add_buckets,
    add_categories,
    add_expressions,
    add_functions,
    add_stage,
    column_name,
    with_columns,
    with_new,
)
from helix_spark.engine.lowering.fits import fit_batch, fit_stage, is_sparks_own, name_of
from helix_spark.engine.lowering.labels import label_metadata, numbered_label
from helix_spark.engine.lowering.sides import check_split, own_split, rows_taken, side_of
from helix_spark.engine.lowering.slots import slot_words, with_sizes
from helix_spark.engine.lowering.source_reads import read_source
from helix_spark.engine.lowering.stages import build_stage
from helix_spark.engine.results.node_results import (
    ColumnResult,
    ModelResult,
    NodeResult,
    TableResult,
    ValueResult,
    nullable,
    quoted,
)
from helix_spark.errors import ColumnNotFoundError, ResultTypeError
from helix_spark.plans.captured_function import AskingFunction, BuiltFunction
from helix_spark.plans.connect_session import named_alone
from helix_spark.workflow.operators import (
    LEFT_BY_PREDICT,
    ApplyStage,
    Assemble,
    Bucket,
    ColumnSource,
    EncodeCategories,
    FitCategories,
    FitQuantiles,
    FitStage,
    Form,
    Function,
    Interact,
    Kept,
    OwnSplit,
    Predict,
    PredictKeeping,
    Read,
    Result,
    Select,
    named_columns,
)
from helix_spark.workflow.sources import MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from helix_spark.engine.spark.session import Sessions


def lower(node: Node, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher) -> NodeResult:
    """A node's result from its inputs' results. Tables and columns stay lazy; fits and values are forced.

    Raises:
        NodeError: the author's code or the Spark job failed.
        ColumnNotFoundError, ResultTypeError, OperatorError: the operator does not fit its inputs.
    """
    operator = node.operator
    with authors_errors(node):
        match operator:
            case Read(source=MemorySource(data=data)):
                return table_in_memory(_arrow(data), sessions)
            case Read(source=source):
                return TableResult(lambda: _read(node, source, sessions, watcher))
            case BuiltFunction(built=built) if node.result is Result.COLUMN:
                return column_result(node, built, results)
            case BuiltFunction(built=built):
                return _as_result(built_table(node, built, tables_of(results), sessions.get()))
            case Function() if node.result is Result.COLUMN and not isinstance(operator, AskingFunction):
                return _function_column(node, operator, results, watcher)
            case Function():
                return call(node, operator, results, sessions, watcher)
            case FitCategories() | FitQuantiles():
                check_columns(node, results)
                return fit_batch([node], [results])[0]
            case FitStage():
                check_columns(node, results)
                return fit_stage(node, operator, results, watcher)
            case Assemble():
                return _as_result(_assembled(node, operator, results))
            case Predict():
                with watcher.acting(node):  # a model may be of the author's own
                    return _as_result(_predicted(node, operator, results))
            case Select() if node.result is Result.TABLE:
                check_columns(node, results)
                return _as_result(_base(results).frame().select(*map(quoted, operator.columns)))
            case _:
                check_columns(node, results)
                return ready_made_column(node, results, watcher)


def check_columns(node: Node, results: Sequence[NodeResult]) -> None:
    """Whether the base table has the columns that an operator names.

    Raises:
        ColumnNotFoundError: with the nearest name.
    """
    known = set(_base(results).frame().columns)
    for name in named_columns(node.operator):
        if name not in known:
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {name!r}, which {node.inputs[0]!r} does not have",
                where=node.where, remedy=remedy_for(name, known),
            )


def _read(node: Node, source: Source, sessions: Sessions, watcher: Watcher) -> DataFrame:
    """A source's table. It is read when the first of its readers asks for it; what is wrong with it is the source's.

    Raises:
        NodeError, ResultTypeError: they name the source.
    """
    spark = sessions.get()
    with authors_errors(node):
        try:
            with watcher.acting(node) if isinstance(source, ReaderSource) else nullcontext():
                frame = nullable(read_source(source, spark))
        except ResultTypeError as error:
            raise ResultTypeError(f"source {node.name!r}: {error.what}", where=node.where) from error
    watcher.opened(node.name, source)
    return frame


def _arrow(data: Any) -> Any:
    import pyarrow as pa

    # A copy: Arrow may share a DataFrame's memory, which its owner goes on to change.
    return data if isinstance(data, pa.Table) else pa.Table.from_pandas(data.copy(), preserve_index=False)


def _as_result(frame: DataFrame) -> TableResult:
    """A table as a result."""
    made = nullable(frame)
    return TableResult(lambda: made)


def _base(results: Sequence[NodeResult]) -> TableResult:
    assert isinstance(results[0], TableResult)
    return results[0]


def _needs(results: Iterable[NodeResult]) -> tuple[ColumnResult, ...]:
    return tuple(result for result in results if isinstance(result, ColumnResult))


def _function_column(
    node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher
) -> ColumnResult:
    """A function is called once, however many read its column: for each of them it would run its jobs again, and draw
    another seed. Nor does it see which columns one of them has beside it."""
    from pyspark.sql import Column

    base, needs, name = _base(results), _needs(results), column_name(node.name)

    def called(frame: DataFrame) -> Column:
        given = _arguments(operator, results, frame)
        with authors_errors(node), watcher.acting(node):
            made = operator.call(**given)
            if isinstance(made, Column):
                return named_alone(made, frame.sparkSession)  # type: ignore[no-any-return]  # pyspark's two sorts
        raise ResultTypeError(
            f"extractor {node.name!r} must return a Column; it returned a {type(made).__name__}",
            where=node.where, remedy="annotate the table it returns (-> DataFrame), or return an expression",
        )

    if needs:
        return ColumnResult(name, base, needs, add_functions, "function", CalledOnce(called, base, needs))
    column = called(base.frame())
    base.frame().select(column)  # analyses it now: a wrong column is found before anything runs
    return ColumnResult(name, base, (), add_expressions, "expression", lambda frame: column)


def _arguments(operator: Function, results: Sequence[NodeResult], frame: DataFrame) -> dict[str, Any]:
    """What an extractor's function is called with.

    Args:
        frame: its table, with the other columns that it takes. These it is given by name, for the same name stands for
            them in every table that they were added to.
    """
    from pyspark.sql import functions as F

    given: dict[str, Any] = {}
    for name, result, form in zip(operator.arguments, results, operator.forms, strict=True):
        if isinstance(result, ColumnResult):
            given[name] = F.col(quoted(result.column))
        elif result is results[0] and form not in (Form.PANDAS, Form.ARROW):
            given[name] = frame  # a Column is one of the very DataFrame that it was made of
        else:
            given[name] = argument(result, form)
    return given


def ready_made_column(node: Node, results: Sequence[NodeResult], watcher: Watcher | None = None) -> ColumnResult:
    """The column of an extractor that is no function. Its table is not looked at.

    Args:
        watcher: is told where a transformer of the author's own is at work.
    """
    base, name, learned = _base(results), column_name(node.name), results[-1]
    copies = {one: _plainly_named(one, base) for one in named_columns(node.operator) if "." in one or "`" in one}
    needs = (*_needs(results), *copies.values())

    def named(column: ColumnSource) -> str:
        return copies[column].column if isinstance(column, str) and column in copies else name_of(column, results)

    match node.operator:
        case Select(columns=(column,)):
            return ColumnResult(name, base, (), add_expressions, "expression", Again(column))
        case Select(columns=columns):
            taken = [named(column) for column in columns]
            return ColumnResult(name, base, needs, add_stage, "stage", lambda: assembler(taken, name))
        case EncodeCategories(column=column, drop_last=drop_last):
            assert isinstance(learned, ValueResult)
            make = (named(column), learned.value, drop_last)
            return ColumnResult(name, base, needs, add_categories, "categories", make)
        case Bucket(column=column, splits=splits, one_hot=one_hot):
            if splits is None:
                assert isinstance(learned, ValueResult)
                splits = tuple(learned.value)
            number = _number(column, results)
            make = (number.column, list(splits), one_hot)
            return ColumnResult(name, base, (number,), add_buckets, "buckets", make)
        case Interact(columns=columns):
            names = [named(column) for column in columns]
            return ColumnResult(name, base, needs, add_stage, "stage", lambda: _interaction(names, name))
        case ApplyStage() as operator:
            transformer = build_stage(node, operator.stage) if operator.stage else learned.model  # type: ignore[union-attr]  # the last input of a fitted stage is its model
            wired = {key: named(source) for key, source in operator.columns} | {"outputCol": name}

            def made() -> Any:
                stage = _wired(transformer, wired)
                return stage if watcher is None or is_sparks_own(stage) else _Watched(stage, node, watcher)

            return ColumnResult(name, base, needs, add_stage, "stage", made)
    raise AssertionError(f"{node.operator} makes no column")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A transformer of the author's own, which adds its column whenever somebody reads it."""

    stage: Any
    node: Node
    watcher: Watcher

    def transform(self, frame: DataFrame) -> DataFrame:
        """The table with its column."""
        with self.watcher.acting(self.node):
            added: DataFrame = self.stage.transform(frame)
            return added


def _plainly_named(column: str, base: TableResult) -> ColumnResult:
    """A column of the table again, under a name without dots: Spark ML would look for a part of a column."""
    made = column_name(f"column {column}")
    return ColumnResult(made, base, (), add_expressions, "expression", Again(column))


def _number(column: ColumnSource, results: Sequence[NodeResult]) -> ColumnResult:
    """A column again, without its nulls: a need like any other, so that it is added together with them."""
    source = name_of(column, results)
    made, needs = column_name(f"number {source}"), _needs(results)
    return ColumnResult(made, _base(results), needs, add_expressions, "expression", NumberOrNan(source))


def assembler(columns: Sequence[str], output: str) -> Any:
    """What makes one vector of columns."""
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=list(columns), outputCol=output)


def _interaction(columns: Sequence[str], output: str) -> Any:
    from pyspark.ml.feature import Interaction

    return Interaction(inputCols=list(columns), outputCol=output)


def _wired(transformer: Any, columns: dict[str, str]) -> Any:
    return transformer.copy({transformer.getParam(key): column for key, column in columns.items()})


def _assembled(node: Node, operator: Assemble, results: Sequence[NodeResult]) -> DataFrame:
    from pyspark.sql import functions as F

    check_columns(node, results)
    table = _base(results)
    base, split = table.frame(), own_split(table) if isinstance(operator.split, OwnSplit) else operator.split
    if split is not None:
        check_split(node, split, node.inputs[0], base)
    features = [results[feature.index] for feature in operator.features]
    frame = with_columns(base, _needs(results))
    names = [feature.column for feature in features if isinstance(feature, ColumnResult)]
    label = operator.label
    extra: dict[str, Column] = {}
    classes: tuple[str, ...] = ()
    if label is not None:
        column = F.expr(label) if isinstance(label, str) else frame[name_of(label, results)]
        extra["label"], classes = numbered_label(node, frame, column)
    if split is not None:
        extra["split"] = side_of(split, base.columns)
    extra |= {kept.name: frame[name_of(kept.column, results)] for kept in operator.keep if isinstance(kept, Kept)}
    wanted = list(dict.fromkeys(["features", *extra, *(name for name in operator.keep if isinstance(name, str))]))
    renamed = {name: f"helix_new_{name}" for name in extra}
    frame = with_new(frame, {renamed[name]: made for name, made in extra.items()})
    assembled = assembler(names, "helix_new_features").transform(frame)
    words = slot_words(feature for feature in features if isinstance(feature, ColumnResult))
    sized = with_sizes(assembled, "helix_new_features", names, words)
    chosen = [
        F.col("helix_new_features").alias("features", metadata=sized) if name == "features"
        else F.col("helix_new_label").alias("label", metadata=label_metadata(classes)) if name == "label" and classes
        else F.col(f"helix_new_{name}").alias(name) if name in extra else F.col(quoted(name))
        for name in wanted
    ]
    examples: DataFrame = assembled.select(*chosen)
    return examples


def _predicted(node: Node, operator: Predict, results: Sequence[NodeResult]) -> DataFrame:
    """Predictions beside the examples' other columns, without the vectors that nobody asked for."""
    model, examples = results
    assert isinstance(model, ModelResult)
    assert isinstance(examples, TableResult)
    frame = rows_taken(node, operator.rows, node.inputs[1], examples)
    kept = operator.keep if isinstance(operator, PredictKeeping) else ()
    predicted: DataFrame = model.model.transform(frame).drop(*(name for name in LEFT_BY_PREDICT if name not in kept))
    return predicted
