"""Fits: what feature extractors and learners learn from the data. Fits over one table that Spark can do in one pass
run as one, and are kept apart afterwards: eight one-hot columns are one scan, and an edit to one refits one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Node
from helix_spark.engine.lowering.calls import Watcher
from helix_spark.engine.lowering.columns import base_of, columns_among, name_of, with_columns
from helix_spark.engine.lowering.partitions import in_few_partitions
from helix_spark.engine.lowering.sides import rows_taken, training_rows
from helix_spark.engine.lowering.stages import build_stage
from helix_spark.engine.results.node_results import ModelResult, NodeResult, ValueResult, quoted
from helix_spark.identity.functions.chance_in_code import stages_in
from helix_spark.workflow.operators import FitCategories, FitQuantiles, FitStage, Split, split_of_fit

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BATCHED = (FitCategories, FitQuantiles)


def shared_pass(node: Node) -> tuple[str, type, Split | None]:
    """Return what fits of BATCHED operators that one pass can do have in common: table, operator, rows."""
    return node.inputs[0], type(node.operator), split_of_fit(node.operator)


def fit_batch(nodes: Sequence[Node], results: Sequence[Sequence[NodeResult]]) -> list[ValueResult]:
    """Fit several nodes that have a pass in common (see `shared_pass`)."""
    operators: list[Any] = [node.operator for node in nodes]
    base = base_of(results[0]).frame()
    rows = with_columns(base, (column for row in results for column in columns_among(row)))
    frame = training_rows(rows, split_of_fit(nodes[0].operator), base.columns)
    names = [name_of(operator.column, row) for operator, row in zip(operators, results, strict=True)]
    if isinstance(operators[0], FitCategories):
        return [ValueResult(labels) for labels in _categories(frame, names)]
    return [
        ValueResult(splits)
        for splits in _quantiles(frame, names, [o.bins for o in operators], [o.relative_error for o in operators])
    ]


def _categories(frame: DataFrame, names: list[str]) -> list[list[str]]:
    """Return the labels of columns, most frequent first, ties in alphabetical order (StringIndexer's frequencyDesc)."""
    from pyspark.ml.feature import StringIndexer

    unique = sorted(set(names))
    frame, inputs = _plainly_named(frame, unique)
    outputs = [f"helix_index_{i}" for i in range(len(unique))]
    indexer = StringIndexer(inputCols=inputs, outputCols=outputs, handleInvalid="keep")
    labels = dict(zip(unique, indexer.fit(frame).labelsArray, strict=True))
    return [list(labels[name]) for name in names]


def _quantiles(frame: DataFrame, names: list[str], bins: list[int], errors: list[float]) -> list[list[float]]:
    """Return the inner boundaries, ascending and distinct; one pass for all columns at the smallest error asked for."""
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
    """Return these columns alone, under names without dots: Spark ML would look for a part of a column."""
    from pyspark.sql import functions as F

    plain = [f"helix_input_{i}" for i in range(len(columns))]
    return frame.select(*(F.col(quoted(c)).alias(p) for c, p in zip(columns, plain, strict=True))), plain


def is_sparks_own(stage: Any) -> bool:
    """Return whether no code of the author's is in a stage."""
    return all(type(one).__module__.startswith("pyspark.") for one in stages_in(stage))


def fit_stage(node: Node, operator: FitStage, results: Sequence[NodeResult], watcher: Watcher) -> ModelResult:
    """Fit an estimator to its table: to the rows the operator names, where examples are split, or to the training
    rows of an extractor's split."""
    base = base_of(results)
    frame = with_columns(base.frame(), columns_among(results))
    if (split := split_of_fit(operator)) is not None:
        frame = training_rows(frame, split, base.frame().columns)
    elif operator.rows != "all":
        frame = rows_taken(node, operator.rows, node.inputs[0], base)
    if frame is base.frame():
        frame = base.persisted()
    with watcher.acting(node):  # its class may be the author's own
        stage = build_stage(node, operator.stage)
    wired = {stage.getParam(name): name_of(column, results) for name, column in operator.columns}
    if not hasattr(stage, "fit"):
        return ModelResult(stage)
    few = in_few_partitions(frame, stage)
    with nullcontext() if is_sparks_own(stage) else watcher.acting(node):
        return ModelResult(stage.fit(few, wired or None))
