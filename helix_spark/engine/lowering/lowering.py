"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.called_functions import built_column, built_table, call
from helix_spark.engine.lowering.calls import Watcher, argument, authors_errors, remedy_for, table_in_memory
from helix_spark.engine.lowering.columns import (
    Again,
    NumberOrNan,
    add_buckets,
    add_categories,
    add_expressions,
    add_stage,
    assembler,
    base_of,
    column_name,
    columns_among,
    name_of,
    with_columns,
)
from helix_spark.engine.lowering.examples import assemble
from helix_spark.engine.lowering.fits import fit_batch, fit_stage, is_sparks_own
from helix_spark.engine.lowering.sides import rows_taken
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
    Predict,
    Read,
    Result,
    Select,
    named_columns,
)
from helix_spark.workflow.sources import MemorySource, ReaderSource, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from helix_spark.engine.spark.session import Sessions


def lower(node: Node, results: Sequence[NodeResult], sessions: Sessions, watcher: Watcher) -> NodeResult:
    """Return a node's result from its inputs' results. Tables and columns stay lazy; fits and values are forced.

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
                return built_column(node, built, results)
            case BuiltFunction(built=built):
                return _as_result(built_table(node, built, results, sessions.get()))
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
                check_columns(node, results)
                return _as_result(assemble(node, operator, results))
            case Predict():
                with watcher.acting(node):  # a model may be of the author's own
                    return _as_result(_predicted(node, operator, results))
            case Select() if node.result is Result.TABLE:
                check_columns(node, results)
                return _as_result(base_of(results).frame().select(*map(quoted, operator.columns)))
            case _:
                check_columns(node, results)
                return ready_made_column(node, results, watcher)


def check_columns(node: Node, results: Sequence[NodeResult]) -> None:
    """Check that the base table has the columns that an operator names.

    Raises:
        ColumnNotFoundError: with the nearest name.
    """
    known = set(base_of(results).frame().columns)
    for name in named_columns(node.operator):
        if name not in known:
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {name!r}, which {node.inputs[0]!r} does not have",
                where=node.where, remedy=remedy_for(name, known),
            )


def _read(node: Node, source: Source, sessions: Sessions, watcher: Watcher) -> DataFrame:
    """Read a source, when the first of its readers asks for its table; what is wrong with it is the source's.

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
    made = nullable(frame)
    return TableResult(lambda: made)


def _function_column(
    node: Node, operator: Function, results: Sequence[NodeResult], watcher: Watcher
) -> ColumnResult:
    """Return the column of an extractor's function, which is called once for all tables that get the column. It sees
    its own table with the columns that it takes."""
    from pyspark.sql import Column

    base, needs = base_of(results), columns_among(results)
    frame = with_columns(base.frame(), needs)
    shown = {*base.frame().columns, *(need.column for need in needs)}
    if others := [name for name in frame.columns if name not in shown]:
        frame = frame.drop(*others)
    given = _arguments(operator, results, frame)
    with watcher.acting(node):
        made = operator.call(**given)
    if not isinstance(made, Column):
        raise ResultTypeError(
            f"extractor {node.name!r} must return a Column; it returned a {type(made).__name__}",
            where=node.where, remedy="annotate the table it returns (-> DataFrame), or return an expression",
        )
    column = named_alone(made, frame.sparkSession)
    return ColumnResult(column_name(node.name), base, needs, add_expressions, lambda frame: column)


def _arguments(operator: Function, results: Sequence[NodeResult], frame: DataFrame) -> dict[str, Any]:
    """Return what an extractor's function is called with.

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
    """Return the column of an extractor that is no function. Its table is not looked at.

    Args:
        watcher: is told where a transformer of the author's own is at work.
    """
    base, name, learned = base_of(results), column_name(node.name), results[-1]
    copies = {one: _plainly_named(one, base) for one in named_columns(node.operator) if "." in one or "`" in one}
    needs = (*columns_among(results), *copies.values())

    def named(column: ColumnSource) -> str:
        return copies[column].column if isinstance(column, str) and column in copies else name_of(column, results)

    match node.operator:
        case Select(columns=(column,)):
            return ColumnResult(name, base, (), add_expressions, Again(column))
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
            number = _number(column, results)
            make = (number.column, list(splits), one_hot)
            return ColumnResult(name, base, (number,), add_buckets, make)
        case Interact(columns=columns):
            names = [named(column) for column in columns]
            return ColumnResult(name, base, needs, add_stage, lambda: _interaction(names, name))
        case ApplyStage() as operator:
            transformer = build_stage(node, operator.stage) if operator.stage else learned.model  # type: ignore[union-attr]  # the last input of a fitted stage is its model
            wired = {key: named(source) for key, source in operator.columns} | {"outputCol": name}

            def made() -> Any:
                stage = _wired(transformer, wired)
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


def _plainly_named(column: str, base: TableResult) -> ColumnResult:
    """Return a column of the table again, under a name without dots: Spark ML would look for a part of a column."""
    made = column_name(f"column {column}")
    return ColumnResult(made, base, (), add_expressions, Again(column))


def _number(column: ColumnSource, results: Sequence[NodeResult]) -> ColumnResult:
    """Return a column again, without its nulls: a need like any other, so that it is added together with them."""
    source = name_of(column, results)
    made, needs = column_name(f"number {source}"), columns_among(results)
    return ColumnResult(made, base_of(results), needs, add_expressions, NumberOrNan(source))


def _interaction(columns: Sequence[str], output: str) -> Any:
    from pyspark.ml.feature import Interaction

    return Interaction(inputCols=list(columns), outputCol=output)


def _wired(transformer: Any, columns: dict[str, str]) -> Any:
    return transformer.copy({transformer.getParam(key): column for key, column in columns.items()})


def _predicted(node: Node, operator: Predict, results: Sequence[NodeResult]) -> DataFrame:
    """Return predictions with the examples' other columns, without the vectors that nobody asked for."""
    model, examples = results
    assert isinstance(model, ModelResult)
    assert isinstance(examples, TableResult)
    frame = rows_taken(node, operator.rows, node.inputs[1], examples)
    dropped = (name for name in LEFT_BY_PREDICT if name not in operator.keep)
    predicted: DataFrame = model.model.transform(frame).drop(*dropped)
    return predicted
