"""Lowering: from an operator and its inputs' results to a DataFrame, a column, a model or a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.calls import authors_errors, call, table_in_memory
from helix_spark.engine.columns import (
    add_buckets,
    add_categories,
    add_expressions,
    add_stage,
    column_name,
    with_columns,
)
from helix_spark.engine.fits import build_stage, fit_batch, fit_stage, name_of
from helix_spark.engine.results import ColumnResult, ModelResult, NodeResult, TableResult, ValueResult, nullable
from helix_spark.engine.slots import with_sizes
from helix_spark.engine.sources import read_source
from helix_spark.errors import ColumnNotFoundError, ResultTypeError, nearest
from helix_spark.workflow.operators import (
    ApplyStage,
    Assemble,
    Bucket,
    ColumnSource,
    EncodeCategories,
    FitCategories,
    FitQuantiles,
    FitStage,
    Function,
    HashSplit,
    Interact,
    Kept,
    Predict,
    Read,
    Result,
    Select,
)
from helix_spark.workflow.sources import MemorySource

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from helix_spark.engine.session import Sessions

_SPLIT_STEPS = 1_000_000
"""Resolution of a split's share."""


def lower(node: Node, results: Sequence[NodeResult], sessions: Sessions) -> NodeResult:
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
                return TableResult(lambda: nullable(read_source(source, sessions.get())))
            case Function() if node.result is Result.COLUMN:
                return _function_column(node, operator, results)
            case Function():
                return call(node, operator, results, sessions)
            case FitCategories() | FitQuantiles():
                check_columns(node, results)
                return fit_batch([node], [results])[0]
            case FitStage():
                return fit_stage(node, operator, results)
            case Assemble():
                return _table(_assembled(node, operator, results))
            case Predict():
                return _table(_predicted(operator, results))
            case Select() if node.result is Result.TABLE:
                check_columns(node, results)
                return _table(_base(results).frame().select(*operator.columns))
            case _:
                check_columns(node, results)
                return _ready_made_column(node, results)


def check_columns(node: Node, results: Sequence[NodeResult]) -> None:
    """Whether the base table has the columns that an operator names.

    Raises:
        ColumnNotFoundError: with the nearest name.
    """
    known = set(_base(results).frame().columns)
    for name in _named_columns(node.operator):
        if name not in known:
            raise ColumnNotFoundError(
                f"{node.kind} {node.name!r} reads column {name!r}, which {node.inputs[0]!r} does not have",
                where=node.where, remedy=nearest(name, known),
            )


def _named_columns(operator: object) -> list[str]:
    match operator:
        case Select(columns=columns):
            return list(columns)
        case Interact(columns=columns):
            return [column for column in columns if isinstance(column, str)]
        case Assemble(split=split, keep=keep):
            return [*(one for one in keep if isinstance(one, str)), *(split.key if split else ())]
        case _:
            column: ColumnSource | None = getattr(operator, "column", None)
            return [column] if isinstance(column, str) else []


def _arrow(data: Any) -> Any:
    import pyarrow as pa

    # A copy: Arrow may share a DataFrame's memory, which its owner goes on to change.
    return data if isinstance(data, pa.Table) else pa.Table.from_pandas(data.copy(), preserve_index=False)


def _table(frame: DataFrame) -> TableResult:
    made = nullable(frame)
    return TableResult(lambda: made)


def _base(results: Sequence[NodeResult]) -> TableResult:
    assert isinstance(results[0], TableResult)
    return results[0]


def _needs(results: Iterable[NodeResult]) -> tuple[ColumnResult, ...]:
    return tuple(result for result in results if isinstance(result, ColumnResult))


def _function_column(node: Node, operator: Function, results: Sequence[NodeResult]) -> ColumnResult:
    from pyspark.sql import Column

    base = _base(results)

    def make(frame: DataFrame) -> Column:
        with authors_errors(node):
            arguments: dict[str, Any] = {}
            for name, result in zip(operator.arguments, results, strict=True):
                match result:
                    case TableResult():
                        arguments[name] = frame if result is base else result.frame()
                    case ColumnResult():
                        arguments[name] = frame[result.column]
                    case ModelResult() | ValueResult():
                        arguments[name] = result.copy()
            made = operator.call(**arguments)
        if not isinstance(made, Column):
            raise ResultTypeError(
                f"extractor {node.name!r} must return a Column; it returned a {type(made).__name__}",
                where=node.where, remedy="annotate the table it returns (-> DataFrame), or return an expression",
            )
        return made

    needs = _needs(results)
    if not needs:
        base.frame().select(make(base.frame()))  # analyses it now: a wrong column is found before anything runs
    return ColumnResult(column_name(node.name), base, needs, add_expressions, "expression", make)


def _ready_made_column(node: Node, results: Sequence[NodeResult]) -> ColumnResult:
    base, needs, name = _base(results), _needs(results), column_name(node.name)
    learned = results[-1]
    match node.operator:
        case Select(columns=(column,)):
            return ColumnResult(name, base, needs, add_expressions, "expression", lambda frame: frame[column])
        case Select(columns=columns):
            return ColumnResult(name, base, needs, add_stage, "stage", lambda: _assembler(columns, name))
        case EncodeCategories(column=column, drop_last=drop_last):
            assert isinstance(learned, ValueResult)
            make = (name_of(column, results), learned.value, drop_last)
            return ColumnResult(name, base, needs, add_categories, "categories", make)
        case Bucket(column=column, splits=splits, one_hot=one_hot):
            if splits is None:
                assert isinstance(learned, ValueResult)
                splits = tuple(learned.value)
            make = (name_of(column, results), list(splits), one_hot)
            return ColumnResult(name, base, needs, add_buckets, "buckets", make)
        case Interact(columns=columns):
            names = [name_of(column, results) for column in columns]
            return ColumnResult(name, base, needs, add_stage, "stage", lambda: _interaction(names, name))
        case ApplyStage() as operator:
            transformer = build_stage(node, operator.stage) if operator.stage else learned.model  # type: ignore[union-attr]  # the last input of a fitted stage is its model
            wired = {key: name_of(source, results) for key, source in operator.columns} | {"outputCol": name}
            return ColumnResult(name, base, needs, add_stage, "stage", lambda: _wired(transformer, wired))
    raise AssertionError(f"{node.operator} makes no column")


def _assembler(columns: Sequence[str], output: str) -> Any:
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
    base = _base(results).frame()
    features = [results[feature.index] for feature in operator.features]
    frame = with_columns(base, _needs(results))
    names = [feature.column for feature in features if isinstance(feature, ColumnResult)]
    label, split = operator.label, operator.split
    extra: dict[str, Column] = {}
    if label is not None:
        column = F.expr(label) if isinstance(label, str) else frame[name_of(label, results)]
        extra["label"] = column.cast("double")
    if split is not None:
        extra["split"] = _split_column(split, base.columns)
    extra |= {kept.name: frame[name_of(kept.column, results)] for kept in operator.keep if isinstance(kept, Kept)}
    wanted = ["features", *extra, *(name for name in operator.keep if isinstance(name, str))]
    renamed = {name: f"helix_new_{name}" for name in extra}
    frame = frame.withColumns({renamed[name]: made for name, made in extra.items()})
    assembled = _assembler(names, "helix_new_features").transform(frame)
    sized = with_sizes(assembled, "helix_new_features", names)
    chosen = [
        F.col("helix_new_features").alias("features", metadata=sized) if name == "features"
        else F.col(f"helix_new_{name}").alias(name) if name in extra else F.col(name)
        for name in wanted
    ]
    examples: DataFrame = assembled.select(*chosen)
    return examples


def _split_column(split: HashSplit, columns: Sequence[str]) -> Column:
    """By a hash of the row: whichever way and order rows are read in, a row stays on its side."""
    from pyspark.sql import functions as F

    hashed = F.xxhash64(*(F.col(f"`{name}`") for name in split.key or columns), F.lit(split.seed))
    share = F.pmod(hashed, F.lit(_SPLIT_STEPS))
    return F.when(share < round(split.test * _SPLIT_STEPS), "test").otherwise("train")


def _predicted(operator: Predict, results: Sequence[NodeResult]) -> DataFrame:
    """Predictions beside the examples' other columns; the feature vectors and raw scores are left out."""
    model, examples = results
    assert isinstance(model, ModelResult)
    assert isinstance(examples, TableResult)
    frame = examples.frame()
    if operator.rows != "all":
        frame = frame.where(frame["split"] == operator.rows)
    predicted: DataFrame = model.model.transform(frame).drop("features", "rawPrediction")
    return predicted


