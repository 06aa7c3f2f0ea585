"""What fits gave: read from fitted models for the record, as cards for people and as influence of features; and that
influence from the record for a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.records import FileRecord, ResultRecord
from helix_spark.catalog.tables.vector_slots import class_names, slot_names
from helix_spark.dag.influence import Absent, Influence, by_feature, from_json, to_json
from helix_spark.dag.leaving_out import asking, features_of, target
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.lowering.examples import sizes_of
from helix_spark.engine.results.fitted_cards import card_of_model
from helix_spark.engine.results.node_results import ModelResult, NodeResult, TableResult
from helix_spark.engine.spark.spark_errors import first_line, spark_errors
from helix_spark.workflow.operators import Assemble, FitStage, Kind

if TYPE_CHECKING:
    from helix_spark.run.run import Run


class _UntoldError(Exception):
    """What a model gave its features cannot be told; the text says why."""


def fitted_influences(run: Run) -> dict[str, str]:
    """What each learner that was fitted in this run gave its features, as JSON by the learner's name. Runs no job. It
    is said where an author asked to prune features, and nothing can be told."""
    found: dict[str, str] = {}
    for one in run.nodes:
        node, fitted = one.node, one.result
        if node.kind is not Kind.LEARNER or not one.computed or fitted is None:
            continue
        try:
            found[node.name] = to_json(_influence(node, fitted, run))
        except _UntoldError as untold:
            why = str(untold)
        except spark_errors() as error:
            why = first_line(error)
        else:
            continue
        if node.wishes.prune_features:
            run.tools.observer.warning(
                f"`{node.name}` is to prune features, but their weights are unknown: {why}"
            )
    return found


def fitted_cards(run: Run) -> dict[str, FileRecord]:
    """What each model says of itself that was fitted in this run, as a record by the node's name. Runs no job."""
    found: dict[str, FileRecord] = {}
    for one in run.nodes:
        if not one.computed or not isinstance(one.result, ModelResult):
            continue
        model = one.result.model
        slots = slot_names(_metadata(one.node, model, "featuresCol", run.outcome.results))
        classes = class_names(_metadata(one.node, model, "labelCol", run.outcome.results))
        record = card_of_model(model, slots, classes).record(one.name)
        if record is not None:
            found[one.name] = record
    return found


def _metadata(node: Node, model: Any, parameter: str, results: Mapping[str, NodeResult]) -> Mapping[str, Any]:
    """The metadata of the column that a parameter of a model names, in the table that it was fitted on."""
    reader = getattr(model, "bestModel", None) or model
    column = reader.getOrDefault(parameter) if reader.hasParam(parameter) else ""
    for name in node.inputs:
        table = results.get(name)
        if isinstance(table, TableResult) and column in table.frame().columns:
            metadata: Mapping[str, Any] = table.frame().schema[column].metadata
            return metadata
    return {}


def absolute_weights(model: Any) -> list[float] | None:
    """The absolute weight of each slot of the vector that a model reads; of several classes the sum. None where it has
    none, or where Spark ML does not vouch for what they mean."""
    sort = type(model)
    if not sort.__module__.startswith("pyspark.ml."):
        return None
    if hasattr(sort, "coefficientMatrix"):
        summed: list[float] = abs(model.coefficientMatrix.toArray()).sum(axis=0).tolist()
        return summed
    for name in ("coefficients", "featureImportances"):
        if hasattr(sort, name):
            weights: list[float] = abs(getattr(model, name).toArray()).tolist()
            return weights
    return None


def newest_fits(dag: Dag, catalog: CatalogReader) -> dict[str, Influence]:
    """What the newest fit of each learner that asks to prune features gave them; nothing is read if none asks."""
    learners = asking(dag)
    if not learners:
        return {}
    records = catalog.measured(dag.workflow, learners)
    told = {name: from_json(record.influence) for name, record in records.items()}
    return {name: influence for name, influence in told.items() if influence is not None}


def influence_of(
    node: Node, records: Iterable[ResultRecord | None], newest: Influence | None
) -> Influence | None:
    """Return what is on record of a learner.

    Args:
        records: of its current version, and of its previous one.
        newest: see `newest_fits`.
    """
    if node.kind is not Kind.LEARNER:
        return None
    told = next((one for one in records if one is not None and one.influence), None)
    return from_json(told.influence) if told is not None else newest


def _influence(node: Node, fitted: NodeResult, run: Run) -> Influence:
    dag, results = run.dag, run.outcome.results
    examples = dag[node.inputs[0]] if isinstance(node.operator, FitStage) else None
    table = results.get(examples.name) if examples is not None else None
    if examples is None or not isinstance(examples.operator, Assemble) or not isinstance(table, TableResult):
        raise _UntoldError("it is not fitted on examples made of extractors")
    assert isinstance(fitted, ModelResult)
    weights = absolute_weights(fitted.model)
    if weights is None:
        raise _UntoldError(f"a {type(fitted.model).__name__} has none")
    if fitted.model.getOrDefault("featuresCol") != "features":
        raise _UntoldError("it reads another column than `features`")
    sizes = sizes_of(table.frame(), "features")
    if sizes is None:
        raise _UntoldError(f"the sizes of the vectors that `{examples.name}` is made of are not known")
    declared = {one.name: one.signed.declared for one in run.situation.nodes}
    features = by_feature(weights, sizes, features_of(examples, examples.operator), declared)
    if features is None:
        raise _UntoldError("they are not finite, or not as many as `features` has slots")
    return Influence(
        dag.workflow, node.name, run.record.number, target(examples, examples.operator, declared), features,
        _left_out(dag, node.name, examples.name),
    )


def _left_out(dag: Dag, learner: str, examples: str) -> tuple[Absent, ...]:
    return tuple(
        Absent(one.feature, one.declared, iteration, one.nodes) for one in dag.left_out
        if one.synthesizer == examples for name, iteration in one.found if name == learner
    )
