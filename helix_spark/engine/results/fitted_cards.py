"""Model cards: what a fitted Spark ML model reports, in plain values. Runs no job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from helix_spark.errors import HelixError
from helix_spark.history.model_card import MOST_COLUMNS, MOST_LABELS, MOST_PARTS, MOST_STEPS, MOST_WEIGHTS, ModelCard
from helix_spark.plans.stage_references import PARTS

_LONGEST = 200
_FIGURES = {
    "getNumTrees": "trees", "totalNumNodes": "nodes of all trees", "numNodes": "nodes", "depth": "depth",
    "numClasses": "classes", "intercept": "intercept", "scale": "scale", "rank": "rank", "numDocs": "documents",
}
"""Figures that Spark ML models know without a job, by their names there."""

_SUMMARY = {
    "totalIterations": "steps", "numIter": "steps", "numIterations": "steps", "trainingCost": "cost",
    "logLikelihood": "log likelihood",
}
"""The same of a training's summary."""

_WEIGHTS = {
    "coefficientMatrix": "class", "coefficients": "weight", "featureImportances": "importance",
    "clusterCenters": "center",
}
"""Properties of Spark ML models with their slots' weights; a row of weights for each of these."""


def card_of_model(model: Any, names: Sequence[str] = (), classes: Sequence[str] = ()) -> ModelCard:
    """Describe a model by what it reports. `names` are of the slots of the vector that it reads, empty if unknown;
    `classes` of the labels that it predicts, by index, empty if they are numbers."""
    columns, weights = _weights(model, classes)
    slots = max((len(values) for values in weights), default=0)
    named = names if len(names) == slots else [f"slot {place}" for place in range(slots)]
    rows = [(name, tuple(values)) for name, values in zip(named, zip(*weights, strict=True), strict=True)]
    heaviest = sorted(rows, key=lambda row: -max(map(abs, row[1])))[:MOST_WEIGHTS]
    summary = learned(model, ["summary"]).get("summary") if getattr(model, "hasSummary", False) else None
    history = learned(summary, ["objectiveHistory"]).get("objectiveHistory", ())[:MOST_STEPS]
    predicted = classes if hasattr(type(model), "numClasses") else ()
    labels = next(iter(learned(model, ("labels", "vocabulary")).values()), predicted)[:MOST_LABELS]
    return ModelCard(
        type(model).__name__, tuple(_parameters(model)),
        (*_figures(model, _FIGURES), *_figures(summary, _SUMMARY), *_searched(model)), tuple(columns),
        tuple((name[:_LONGEST], values) for name, values in heaviest if all(map(math.isfinite, values))), slots,
        tuple(filter(math.isfinite, history)), tuple(str(label)[:_LONGEST] for label in labels),
        tuple(_part_cards(model, names, classes)),
    )


def _part_cards(model: Any, names: Sequence[str], classes: Sequence[str]) -> Iterator[ModelCard]:
    """Yield the cards of the parts of a pipeline or search. Stages of a pipeline name the slots of later stages."""
    slots, labels = dict[str, list[str]](), dict[str, list[str]]()
    for part in parts_of(model)[:MOST_PARTS]:
        column = part.getOrDefault("featuresCol") if part.hasParam("featuresCol") else ""
        target = part.getOrDefault("labelCol") if part.hasParam("labelCol") else ""
        yield card_of_model(part, slots.get(column, names), labels.get(target, classes))
        note_slots(part, slots, labels)


def note_slots(stage: Any, slots: dict[str, list[str]], labels: dict[str, list[str]]) -> None:
    """Note the names of a stage's output slots and of its numbered categories, by column."""
    inputs, outputs = (_columns(stage, side) for side in ("input", "output"))
    match type(stage).__name__:
        case "StringIndexerModel":
            labels |= {out: list(map(str, texts)) for out, texts in zip(outputs, stage.labelsArray, strict=False)}
        case "OneHotEncoderModel":
            sizes = [size - bool(stage.getDropLast()) for size in stage.categorySizes]
            for source, out, size in zip(inputs, outputs, sizes, strict=False):
                slots[out] = [f"{source} = {label}" for label in labels.get(source, ())][:size]
        case "CountVectorizerModel":
            slots |= {out: list(stage.vocabulary) for out in outputs}
        case "VectorAssembler":
            slots |= {out: [slot for name in inputs for slot in slots.get(name, [name])] for out in outputs}
        case "StandardScalerModel" | "MinMaxScalerModel" | "MaxAbsScalerModel" | "RobustScalerModel" | "IDFModel":
            slots |= {out: slots.get(source, []) for source, out in zip(inputs, outputs, strict=False)}


def _columns(stage: Any, side: str) -> list[str]:
    for name, several in ((f"{side}Cols", True), (f"{side}Col", False)):
        if stage.hasParam(name) and stage.isDefined(name):
            value = stage.getOrDefault(name)
            return list(value) if several else [value]
    return []


def learned(model: Any, facts: Iterable[str]) -> dict[str, Any]:
    """Return what a model reports by these names, in plain values, without what it has not, or only after a fit."""
    values = {}
    for name in facts:
        if hasattr(type(model), name):
            try:
                fact = getattr(model, name)
                value = _plain(fact() if callable(fact) else fact, getattr(model, "uid", ""))
            except HelixError:  # such as of a server that has ended
                raise
            except Exception:  # noqa: BLE001 - a property that this kind of model does not have may raise anything
                continue
            if value is not None:
                values[name] = value
    return values


def _plain(fact: Any, uid: str) -> Any:
    if isinstance(fact, str):
        return fact.replace(uid, "")
    if hasattr(fact, "toArray"):
        return fact.toArray().tolist()
    if hasattr(fact, "toPandas"):
        rows = fact.toPandas()
        return [[_plain(cell, uid) for cell in row] for row in rows.sort_values(rows.columns[0]).values.tolist()]
    if isinstance(fact, list | tuple):
        return [_plain(item, uid) for item in fact]
    return fact.tolist() if hasattr(fact, "tolist") else fact


def _weights(model: Any, classes: Sequence[str]) -> tuple[list[str], list[list[float]]]:
    """Return the heads of columns, and for each head the values of all slots."""
    for name, head in _WEIGHTS.items():
        if values := learned(model, [name]).get(name):
            rows = values if isinstance(values[0], list) else [values]
            numbered = [f"{head} {place}" for place in range(len(rows))]
            if head == "class":
                numbered = ["weight"] if len(rows) == 1 else list(classes) if len(classes) == len(rows) else numbered
            heads = numbered if rows is values else [head]
            return [text[:_LONGEST] for text in heads[:MOST_COLUMNS]], rows[:MOST_COLUMNS]
    return [], []


def _parameters(model: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield the plain parameters of a model; those that were set come first."""
    rows = []
    for param in getattr(model, "params", ()):
        if model.isSet(param) or model.hasDefault(param):
            value = model.getOrDefault(param)
            items = value if isinstance(value, list) else [value]
            if all(isinstance(item, str | bool | int | float) for item in items):
                rows.append((param.name[:_LONGEST], str(value)[:_LONGEST], bool(model.isSet(param))))
    yield from sorted(rows, key=lambda row: not row[2])


def _figures(source: Any, labels: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, value in learned(source, labels).items():
        if type(value) in (int, float) and math.isfinite(value):
            yield labels[name], float(value)


def _searched(model: Any) -> Iterator[tuple[str, float]]:
    metrics = getattr(model, "avgMetrics", None) or getattr(model, "validationMetrics", None) or ()
    if not metrics or not hasattr(model, "getEstimatorParamMaps"):
        return
    for point, value in zip(model.getEstimatorParamMaps(), metrics, strict=False):
        text = ", ".join(f"{param.name}={chosen}" for param, chosen in point.items())
        if math.isfinite(value):
            yield f"score at {text}"[:_LONGEST], float(value)


def parts_of(model: Any) -> list[Any]:
    """Return the models that a pipeline, a search or a one-against-all consists of."""
    fields = getattr(model, "__dict__", {})
    values = [fields[name] for name in PARTS if fields.get(name) is not None]
    return [part for value in values for part in (value if isinstance(value, list | tuple) else [value])]
