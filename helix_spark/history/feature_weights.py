"""What fits gave the features of their examples: weights on record, summed by the extractors that made the slots.

A feature is *without influence* when every weight of its slots is exactly zero: then no prediction of this very model
depends on it. No tolerance is right here. A weight is in the units of its feature, so one of a billionth of the largest
carries as much as that one where the feature counts bytes and the other is 0 or 1; and an importance, however small, is
a split that sends rows another way. None is needed either: Spark ML's L1 and bounded optimisers return exact zeros, as
it does for a feature that never varies, and a tree gives zero to what it never splits by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.dag.node import Dag, column_name
from helix_spark.history.model_card import ModelCard, card_from
from helix_spark.planner.plan import Plan
from helix_spark.workflow.operators import Assemble, FitStage


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """What the fit of an iteration gave one feature: its `share` of the sum of all absolute weights, whether all its
    weights are zero, and the seconds that computing it and what only it needs is expected to take."""

    learner: str
    feature: str
    iteration: int
    share: float
    without_influence: bool
    seconds: float


def feature_weights(dag: Dag, plan: Plan, known: CatalogReader) -> Iterator[FeatureWeight]:
    """Yield what the fits of a graph's learners gave their features: those of the planned version, else the newest."""
    for node in dag.nodes:
        examples = dag[node.inputs[0]] if isinstance(node.operator, FitStage) else None
        if examples is None or not isinstance(examples.operator, Assemble):
            continue
        signature = plan[node.name].signature
        record = known.results((), [signature]).measured.get(signature)
        if record is None or not record.trained:
            record = known.measured(plan.workflow, [node.name]).get(node.name)
        card = card_from(known.file_text(record.trained) or "") if record is not None and record.trained else None
        if record is None or card is None:
            continue
        features = dict.fromkeys(examples.inputs[feature.index] for feature in examples.operator.features)
        for feature, weight in shares(card, features).items():
            seconds = sum(plan[name].compute_seconds for name in only_for(dag, examples.name, feature))
            yield FeatureWeight(node.name, feature, record.iteration, weight, weight == 0.0, seconds)


def shares(card: ModelCard, features: Iterable[str]) -> dict[str, float]:
    """Return the share of all absolute weight that each feature got, by name, of several classes together.

    None are known of a model without any weight, and of one with slots that are not on its card and may have weight.

    >>> card = ModelCard("", columns=("weight",), weights=(("school_MSc", (-3.0,)), ("age", (1.0,))), slots=2)
    >>> shares(card, ["age", "school"])
    {'age': 0.25, 'school': 0.75}
    """
    is_whole = len(card.weights) == card.slots or not any(card.weights[-1][1] if card.weights else (1.0,))
    if not is_whole or any(head.startswith("center ") for head in card.columns):
        return {}
    columns, sums = {column_name(one).removeprefix("helix_"): one for one in features}, dict[str, float]()
    for column, values in card.weights:  # a slot has the name of its column, and behind it which one of several it is
        while column and column not in columns:
            column = column.rpartition("_")[0]
        if column:
            sums[columns[column]] = sums.get(columns[column], 0.0) + sum(map(abs, values))
    total = sum(sums.values())
    return {name: sums[name] / total for name in columns.values() if name in sums} if total else {}


def only_for(dag: Dag, examples: str, feature: str) -> tuple[str, ...]:
    """Return what the graph would do without if these examples did without a feature; names, inputs first."""
    gone: dict[str, None] = {}
    waiting = [feature]
    while waiting:
        name = waiting.pop()
        # A node is looked at again with each reader that goes, so it is gone when its last one is.
        readers = (reader for reader in dag.readers(name) if (name, reader) != (feature, examples))
        if name not in gone and name not in dag.outputs and all(reader in gone for reader in readers):
            gone[name] = None
            waiting.extend(dag[name].inputs)
    return tuple(reversed(gone))
