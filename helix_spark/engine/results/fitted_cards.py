"""A fitted model of Spark ML in plain values: what it says of itself. Runs no job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from helix_spark.engine.spark.gateway import spark_errors
from helix_spark.history.model_card import (
    MOST_COLUMNS,
    MOST_LABELS,
    MOST_PARTS,
    MOST_STEPS,
    MOST_WEIGHTS,
    ModelCard,
)

_LONGEST = 200
_FIGURES = {
    "getNumTrees": "trees", "totalNumNodes": "nodes of all trees", "numNodes": "nodes", "depth": "depth",
    "numClasses": "classes", "intercept": "intercept", "scale": "scale", "rank": "rank", "numDocs": "documents",
}
"""What models of Spark ML tell at once, by its name there."""

_SUMMARY = {
    "totalIterations": "steps", "numIter": "steps", "numIterations": "steps", "trainingCost": "cost",
    "logLikelihood": "log likelihood",
}
"""The same of the summary of a training; what a summary would run a job for is not asked."""

_LABELS = ("labels", "vocabulary")


def card_of_model(model: Any, names: Sequence[str] = (), classes: Sequence[str] = ()) -> ModelCard:
    """Describe a model by what it reports of itself. `names` are of the slots of the vector that it reads, none where
    nobody knows them; `classes` of the labels that it predicts, by their indexes, none where they are numbers."""
    columns, weights = _weights(model, classes)
    slots = max((len(values) for values in weights), default=0)
    named = names if len(names) == slots else [f"slot {place}" for place in range(slots)]
    rows = [(name, tuple(values)) for name, values in zip(named, zip(*weights, strict=True), strict=True)]
    heaviest = sorted(rows, key=lambda row: -max(map(abs, row[1])))[:MOST_WEIGHTS]
    summary = _summary(model)
    return ModelCard(
        type(model).__name__, tuple(_parameters(model)),
        (*_figures(model, _FIGURES), *_figures(summary, _SUMMARY), *_searched(model)), tuple(columns),
        tuple((name[:_LONGEST], values) for name, values in heaviest if all(map(math.isfinite, values))), slots,
        _history(summary), _labels(model, classes), tuple(_part_cards(model, names, classes)),
    )


def _part_cards(model: Any, names: Sequence[str], classes: Sequence[str]) -> Iterator[ModelCard]:
    """Yield the cards of a pipeline's or a search's parts. Stages of a pipeline name the slots of later ones."""
    slots, labels = dict[str, list[str]](), dict[str, list[str]]()
    for part in _parts(model):
        column = part.getOrDefault("featuresCol") if part.hasParam("featuresCol") else ""
        target = part.getOrDefault("labelCol") if part.hasParam("labelCol") else ""
        yield card_of_model(part, slots.get(column, names), labels.get(target, classes))
        note_slots(part, slots, labels)


def note_slots(stage: Any, slots: dict[str, list[str]], labels: dict[str, list[str]]) -> None:
    """Note the names of the slots of vectors, and of the numbered categories, that a stage makes, by column."""
    inputs, outputs = (_columns(stage, side) for side in ("input", "output"))
    match type(stage).__name__:
        case "StringIndexerModel":
            labels |= {out: [str(one) for one in known] for out, known in zip(outputs, stage.labelsArray, strict=False)}
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


def _asked(of: Any, name: str) -> Any:
    """Return an attribute, or the result of a method without arguments; None where there is none."""
    unanswered: tuple[type[Exception], ...] = (*spark_errors(), TypeError, AttributeError, ValueError, RuntimeError)
    try:
        found = getattr(of, name, None)
        return found() if callable(found) else found
    except unanswered:
        return None


def _weights(model: Any, classes: Sequence[str]) -> tuple[list[str], list[list[float]]]:
    """Return heads, and of each the value of every slot."""
    sort = type(model)
    if hasattr(sort, "coefficientMatrix"):
        matrix = _array(_asked(model, "coefficientMatrix"))
        named = classes if len(classes) == len(matrix) else [f"class {place}" for place in range(len(matrix))]
        heads = ["weight"] if len(matrix) == 1 else [name[:_LONGEST] for name in named]
        return heads[:MOST_COLUMNS], matrix[:MOST_COLUMNS]
    for name, head in (("coefficients", "weight"), ("featureImportances", "importance")):
        if hasattr(sort, name):
            values = _array(_asked(model, name))
            return ([head], [values]) if values else ([], [])
    centers = _asked(model, "clusterCenters") if hasattr(sort, "clusterCenters") else None
    found = [[float(value) for value in center] for center in centers or ()][:MOST_COLUMNS]
    return [f"center {place}" for place in range(len(found))], found


def _array(vector: Any) -> list[Any]:
    return [] if vector is None else list(vector.toArray().tolist())


def _parameters(model: Any) -> Iterator[tuple[str, str, bool]]:
    """Yield the parameters of a model, those that were set first; not models and the like, whose names are random."""
    found = []
    for param in getattr(model, "params", ()):
        if model.isSet(param) or model.hasDefault(param):
            value = model.getOrDefault(param)
            inside = value if isinstance(value, list) else [value]
            if all(isinstance(one, str | bool | int | float) for one in inside):
                found.append((param.name[:_LONGEST], str(value)[:_LONGEST], bool(model.isSet(param))))
    yield from sorted(found, key=lambda one: not one[2])


def _figures(of: Any, asked: dict[str, str]) -> Iterator[tuple[str, float]]:
    for name, told in asked.items():
        if of is not None and hasattr(type(of), name):
            value = _asked(of, name)
            if type(value) in (int, float) and math.isfinite(value):
                yield told, float(value)


def _summary(model: Any) -> Any:
    return _asked(model, "summary") if getattr(model, "hasSummary", False) else None


def _history(summary: Any) -> tuple[float, ...]:
    steps = _asked(summary, "objectiveHistory") if summary is not None else None
    values = [float(step) for step in steps or ()]
    return tuple(value for value in values[:MOST_STEPS] if math.isfinite(value))


def _labels(model: Any, classes: Sequence[str]) -> tuple[str, ...]:
    for name in _LABELS:
        if hasattr(type(model), name):
            return tuple(str(label)[:_LONGEST] for label in list(_asked(model, name) or ())[:MOST_LABELS])
    return tuple(name[:_LONGEST] for name in classes[:MOST_LABELS]) if hasattr(type(model), "numClasses") else ()


def _searched(model: Any) -> Iterator[tuple[str, float]]:
    metrics = getattr(model, "avgMetrics", None) or getattr(model, "validationMetrics", None) or ()
    if not metrics or not hasattr(model, "getEstimatorParamMaps"):
        return
    for point, value in zip(model.getEstimatorParamMaps(), metrics, strict=False):
        text = ", ".join(f"{param.name}={chosen}" for param, chosen in point.items())
        if math.isfinite(value):
            yield f"score at {text}"[:_LONGEST], float(value)


def _parts(model: Any) -> list[Any]:
    best = getattr(model, "bestModel", None)
    inside = [best] if best is not None else getattr(model, "stages", None) or getattr(model, "models", None) or ()
    return list(inside)[:MOST_PARTS] if isinstance(inside, list | tuple) else []
