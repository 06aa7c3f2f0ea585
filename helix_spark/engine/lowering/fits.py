"""Fits: what feature extractors and learners learn from the data. Fits over one table that Spark can do in one pass
run as one, and are kept apart afterwards: eight one-hot columns are one scan, and an edit to one refits one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.columns import with_columns
from helix_spark.engine.lowering.partitions import in_few_partitions
from helix_spark.engine.results.results import ColumnResult, ModelResult, NodeResult, TableResult, ValueResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import ColumnSource, FitCategories, FitQuantiles, FitStage, Input, Kind, Rows, Stage
from helix_spark.workflow.parameters import check_not_wished, check_taken

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
    frame, inputs = _plainly_named(frame, unique)
    outputs = [f"helix_index_{i}" for i in range(len(unique))]
    indexer = StringIndexer(inputCols=inputs, outputCols=outputs, handleInvalid="keep")
    labels = dict(zip(unique, indexer.fit(frame).labelsArray, strict=True))
    return [list(labels[name]) for name in names]


def _quantiles(frame: DataFrame, names: list[str], bins: list[int], errors: list[float]) -> list[list[float]]:
    """The inner boundaries, ascending and distinct; one pass for all columns at the smallest error asked for."""
    unique = sorted(set(names))
    frame, inputs = _plainly_named(frame, unique)
    shares = sorted({i / count for count in bins for i in range(1, count)})
    found = dict(zip(unique, frame.approxQuantile(inputs, shares, min(errors)), strict=True))
    wanted = [{i / count for i in range(1, count)} for count in bins]
    return [
        sorted({value for share, value in zip(shares, found[name], strict=False) if share in keep})
        for name, keep in zip(names, wanted, strict=True)
    ]


def _plainly_named(frame: DataFrame, columns: list[str]) -> tuple[DataFrame, list[str]]:
    """These columns alone, under names without dots: Spark ML would look for a part of a column."""
    from pyspark.sql import functions as F

    plain = [f"helix_input_{i}" for i in range(len(columns))]
    return frame.select(*(F.col(quoted(c)).alias(p) for c, p in zip(columns, plain, strict=True))), plain


def _wished(node: Node) -> list[str]:
    """Options of the node's declaration that were taken for wishes and might be its stage's. Of a learner `keep` is
    always a wish."""
    wishes = node.wishes
    said = [name for name in ("fixed", "recompute", "depends_on", "exclude") if getattr(wishes, name)]
    return [*said, "keep"] if wishes.keep != "auto" and node.kind is Kind.EXTRACTOR else said


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
        check_not_wished(node.kind, node.name, make, _wished(node), node.where)
    check_taken(node.kind, node.name, make, parameters, node.where)
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
    base, rows = results[0], operator.rows
    assert isinstance(base, TableResult)
    assert rows is not None, "compilation says which"
    check_sides(node, rows, node.inputs[0], base)
    if rows != "all":
        frame = frame.where(frame["split"] == rows)
    elif frame is base.frame():
        frame = base.persisted()
    stage = build_stage(node, operator.stage)
    wired = {stage.getParam(name): column for (name, _), column in zip(operator.columns, names, strict=True)}
    if not hasattr(stage, "fit"):
        return ModelResult(stage)
    return ModelResult(stage.fit(in_few_partitions(frame, stage), wired or None))


def check_sides(node: Node, rows: Rows, name: str, table: TableResult) -> None:
    """Whether it was said that train and test rows are meant alike, where a learner or a prediction takes both.

    What a synthesizer divided is no longer told apart once a function has passed it on: nothing but a column `split`
    speaks of it then, and its rows have to be looked at.

    Args:
        name: of the table's node.

    Raises:
        OperatorError: the table has both, and its author did not say that all rows are meant.
    """
    from pyspark.sql import functions as F

    if rows != "all" or node.wishes.all_rows or node.kind not in (Kind.LEARNER, Kind.PREDICT):
        return
    frame = table.frame()
    if [kind for name, kind in frame.dtypes if name == "split"] != ["string"] or "split" in table.left_out:
        return  # what is left out, nothing reads; of two columns of one name nobody says which is meant
    sides = frame.where(frame["split"].isin("train", "test")).agg(F.min("split"), F.max("split")).first()
    if sides is not None and sides[0] != sides[1]:
        mine = "train" if node.kind is Kind.LEARNER else "test"
        raise OperatorError(
            f"{node.kind} {node.name!r} takes all of {name!r}, whose column `split` has both train and test rows",
            where=node.where, remedy=f'say rows="{mine}", or rows="all" if all of them are meant',
        )
