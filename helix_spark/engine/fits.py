"""Fits: what feature extractors and learners learn from the data. Fits over one table that Spark can do in one pass
run as one, and are kept apart afterwards: eight one-hot columns are one scan, and an edit to one refits one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.columns import with_columns
from helix_spark.engine.partitions import in_few_partitions
from helix_spark.engine.results import ColumnResult, ModelResult, NodeResult, TableResult, ValueResult
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import ColumnSource, FitCategories, FitQuantiles, FitStage, Input, Stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCHED = (FitCategories, FitQuantiles)


def input_frame(results: Sequence[NodeResult], columns: Sequence[ColumnSource]) -> tuple[DataFrame, list[str]]:
    """The base table with the columns that an operator reads, and their names in it."""
    base = results[0]
    assert isinstance(base, TableResult)
    extra = [results[column.index] for column in columns if isinstance(column, Input)]
    made = [column for column in extra if isinstance(column, ColumnResult)]
    return with_columns(base.frame(), made), [name_of(column, results) for column in columns]


def name_of(column: ColumnSource, results: Sequence[NodeResult]) -> str:
    """What a column is called in the table that holds it."""
    if isinstance(column, str):
        return column
    result = results[column.index]
    assert isinstance(result, ColumnResult)
    return result.column


def fit_batch(nodes: Sequence[Node], results: Sequence[Sequence[NodeResult]]) -> list[ValueResult]:
    """Fits several nodes of one operator over one table in a single pass."""
    operators: list[Any] = [node.operator for node in nodes]
    made = {
        result.column: result for row in results for result in row if isinstance(result, ColumnResult)
    }
    base = results[0][0]
    assert isinstance(base, TableResult)
    frame = with_columns(base.frame(), made.values())
    names = [name_of(operator.column, row) for operator, row in zip(operators, results, strict=True)]
    if isinstance(operators[0], FitCategories):
        return [ValueResult(labels) for labels in _categories(frame, names)]
    return [
        ValueResult(splits)
        for splits in _quantiles(frame, names, [o.bins for o in operators], [o.relative_error for o in operators])
    ]


def _categories(frame: DataFrame, names: list[str]) -> list[list[str]]:
    """Most frequent first, ties in alphabetical order (StringIndexer's frequencyDesc)."""
    from pyspark.ml.feature import StringIndexer

    unique = sorted(set(names))
    outputs = [f"helix_index_{i}" for i in range(len(unique))]
    indexer = StringIndexer(inputCols=unique, outputCols=outputs, handleInvalid="keep")
    labels = dict(zip(unique, indexer.fit(frame.select(*unique)).labelsArray, strict=True))
    return [list(labels[name]) for name in names]


def _quantiles(frame: DataFrame, names: list[str], bins: list[int], errors: list[float]) -> list[list[float]]:
    """The inner boundaries, ascending and distinct; one pass for all columns at the smallest error asked for."""
    unique = sorted(set(names))
    shares = sorted({i / count for count in bins for i in range(1, count)})
    found = dict(zip(unique, frame.approxQuantile(unique, shares, min(errors)), strict=True))
    wanted = [{i / count for i in range(1, count)} for count in bins]
    return [
        sorted({value for share, value in zip(shares, found[name], strict=False) if share in keep})
        for name, keep in zip(names, wanted, strict=True)
    ]


def build_stage(node: Node, stage: Stage) -> Any:
    """The estimator or transformer, built now that a session runs.

    Raises:
        OperatorError: it is no Spark ML stage, or does not take these parameters.
    """
    make = stage.make
    parameters = dict(stage.parameters)
    if isinstance(make, str):
        module, _, name = make.rpartition(".")
        make = getattr(import_module(module), name)
    if inspect.isclass(make) or inspect.isroutine(make):
        try:
            built = make(**parameters)
        except TypeError as error:
            raise OperatorError(f"{node.name!r}: {error}", where=node.where) from error
    else:
        built = make.copy({make.getParam(name): value for name, value in parameters.items()})
    if not hasattr(built, "fit") and not hasattr(built, "transform"):
        raise OperatorError(
            f"{node.name!r} was given a {type(built).__name__}, which is no Spark ML estimator or transformer",
            where=node.where,
        )
    return built


def fit_stage(node: Node, operator: FitStage, results: Sequence[NodeResult]) -> ModelResult:
    """Fits an estimator to its table: to the rows the operator names, where examples are split."""
    frame, names = input_frame(results, [source for _, source in operator.columns])
    base = results[0]
    if operator.rows != "all":
        frame = frame.where(frame["split"] == operator.rows)
    elif isinstance(base, TableResult) and frame is base.frame():
        frame = base.persisted()
    stage = build_stage(node, operator.stage)
    wired = {stage.getParam(name): column for (name, _), column in zip(operator.columns, names, strict=True)}
    if not hasattr(stage, "fit"):
        return ModelResult(stage)
    return ModelResult(stage.fit(in_few_partitions(frame, stage), wired or None))
