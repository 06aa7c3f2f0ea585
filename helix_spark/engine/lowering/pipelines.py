"""Pipelines: a learner's model with all that makes its features, of Spark ML's own stages. What one holds needs neither
Helix nor a catalog: it takes the rows of the table that the examples were assembled of, and gives predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from helix_spark.dag.node import Dag, Node
from helix_spark.engine.lowering.columns import (
    add_buckets,
    add_categories,
    add_expressions,
    assembler,
    bucket_stages,
    category_stages,
    closure,
    columns_among,
    ready_made_column,
)
from helix_spark.engine.results.node_results import ColumnResult, ModelResult, NodeResult, TableResult, quoted
from helix_spark.errors import OperatorError
from helix_spark.workflow.operators import Assemble, FitStage, Function, Kept, Kind, Result

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame

FEATURES = "features"


def pipeline(node: Node, dag: Dag, result: Callable[[str], NodeResult]) -> PipelineModel:
    """Return the pipeline of a learner.

    Args:
        result: gives the result of a node by its name: of the learner, and of what its features' extractors learnt.

    Raises:
        OperatorError: a function has a part in it, which no pipeline of Spark ML's holds.
    """
    examples, operator = _examples_of(node, dag)
    learned = result(node.name)
    assert isinstance(learned, ModelResult)
    model = learned.copy()
    _check_reads(node, model, examples, operator)
    base = TableResult(_no_rows)

    @cache
    def made(name: str) -> NodeResult:
        source = dag[name]
        if source.result is Result.TABLE:
            return base
        if source.result is not Result.COLUMN:
            return result(name)
        _check_ready_made(source, examples)
        return ready_made_column(source, [made(one) for one in source.inputs])

    features = columns_among(made(examples.inputs[feature.index]) for feature in operator.features)
    from pyspark.ml import PipelineModel

    whole = assembler([feature.column for feature in features], FEATURES)
    return PipelineModel([*_stages(closure(features)), whole, model])


def _examples_of(node: Node, dag: Dag) -> tuple[Node, Assemble]:
    if node.kind is not Kind.LEARNER or not isinstance(node.operator, FitStage):
        raise OperatorError(
            f"{node.kind} {node.name!r} is no estimator of Spark ML's on examples, so that nobody can say of which "
            "columns its model makes what", where=node.where,
            remedy='a pipeline is made for wf.learner("model", Estimator, on=examples)',
        )
    examples = dag[node.inputs[0]]
    if not isinstance(examples.operator, Assemble):
        raise OperatorError(
            f"{node.name!r} is fitted on {examples.kind} {examples.name!r}, and what makes its columns is a function's",
            where=examples.where, remedy='a pipeline is made where wf.synthesizer("examples", rows, features=[...]) '
            "assembles them of ready-made extractors",
        )
    return examples, examples.operator


def _check_reads(node: Node, model: Any, examples: Node, operator: Assemble) -> None:
    """Check what examples keep: what is of the base table has the same name there; what they keep of extractors has
    another one."""
    kept = [one.name for one in operator.keep if isinstance(one, Kept)]
    named = hasattr(model, "hasParam") and model.hasParam("featuresCol")
    if kept and not (named and model.getOrDefault("featuresCol") == FEATURES):
        raise OperatorError(
            f"{node.name!r} may read other columns than `{FEATURES}`, and {examples.name!r} keeps {', '.join(kept)} of "
            "extractors, which its table does not have", where=examples.where,
            remedy=f"leave them out of keep=, or fit {node.name!r} on examples that do",
        )


def _check_ready_made(extractor: Node, examples: Node) -> None:
    if isinstance(extractor.operator, Function):
        raise OperatorError(
            f"extractor {extractor.name!r}, of which {examples.name!r} is made, is a function, which no pipeline of "
            "Spark ML's holds", where=extractor.where,
            remedy=f"add the column where {extractor.base!r} is made, and take it as "
            f"wf.extractor({extractor.name!r}, hx.Fields({extractor.name!r}), on={extractor.base})",
        )


def _no_rows() -> DataFrame:
    raise AssertionError("a ready-made column is made without its table")


def _stages(columns: Sequence[ColumnResult]) -> list[Any]:
    """Return the stages that add columns, each after what it needs; one names those that the table has already."""
    plain = [column for column in columns if column.add is add_expressions and not column.needs]
    names = {column.column for column in plain}
    others = [stage for column in columns if column.column not in names for stage in _stages_of(column)]
    return [_selection(plain), *others] if plain else others


def _stages_of(column: ColumnResult) -> list[Any]:
    if column.add is add_expressions:
        return [_selection([column])]
    if column.add not in (add_categories, add_buckets):
        return [column.make()]
    is_text = column.add is add_categories
    example, stages = _example(column.make[0], "" if is_text else 0.0), []
    for stage in (category_stages if is_text else bucket_stages)([column]):
        stages.append(stage.fit(example) if hasattr(stage, "fit") else stage)
        example = stages[-1].transform(example)
    return stages


def _selection(columns: Sequence[ColumnResult]) -> Any:
    from pyspark.ml.feature import SQLTransformer

    added = ", ".join(f"{column.make.sql} AS {quoted(column.column)}" for column in columns)
    return SQLTransformer(statement=f"SELECT *, {added} FROM __THIS__")


def _example(column: str, value: object) -> DataFrame:
    """Return a table without rows that has such a column: an encoder learns from the schema alone."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    return SparkSession.active().range(0).select(F.lit(value).alias(column))
