"""Recorded weights of models, summed over the slots of each feature.

A feature is *without influence* if every weight of its slots is exactly zero: then no prediction of this model depends
on it. A tolerance would be wrong: weights are in the units of their features, and the smallest importance is a split
that some rows take. None is needed: Spark ML's L1 and bounded optimisers return exact zeros. Features that never vary,
or by which no tree splits, get zero too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.dag.node import Dag, column_name
from helix_spark.history.model_card import ModelCard, recorded_card
from helix_spark.planner.plan import Plan
from helix_spark.workflow.operators import Assemble, FitStage


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """A feature of a fitted model: its `share` of absolute weights, its seconds, and nodes that only it needs."""

    learner: str
    feature: str
    iteration: int
    share: float
    seconds: float

    @property
    def without_influence(self) -> bool:
        return self.share == 0.0


def feature_weights(dag: Dag, plan: Plan, records: CatalogReader) -> Iterator[FeatureWeight]:
    """Yield the weights in the models of a graph's learners: those of the planned version, else the newest."""
    for node in dag.nodes:
        examples = dag[node.inputs[0]] if isinstance(node.operator, FitStage) else None
        if examples is None or not isinstance(examples.operator, Assemble):
            continue
        signature = plan[node.name].signature
        record = records.results((), [signature]).measured.get(signature)
        if record is None or not record.trained:
            record = records.measured(plan.workflow, [node.name]).get(node.name)
        if record is None or (card := recorded_card(record, records)) is None:
            continue
        features = dict.fromkeys(examples.inputs[feature.index] for feature in examples.operator.features)
        for feature, share in shares(card, features).items():
            seconds = sum(plan[name].compute_seconds for name in needed_only_for(dag, examples.name, feature))
            yield FeatureWeight(node.name, feature, record.iteration, share, seconds)


def shares(card: ModelCard, features: Iterable[str]) -> dict[str, float]:
    """Return the share of each feature in the sum of absolute weights, over all classes.

    Empty for a model without weights, and for one whose card lacks slots that may have weight.

    >>> card = ModelCard("", columns=("weight",), weights=(("school_MSc", (-3.0,)), ("age", (1.0,))), slots=2)
    >>> shares(card, ["age", "school"])
    {'age': 0.25, 'school': 0.75}
    """
    # The heaviest slots come first: after one without weight, the slots that are not on the card have none.
    is_complete = len(card.weights) == card.slots or not any(card.weights[-1][1] if card.weights else (1.0,))
    if not is_complete or any(head.startswith("center ") for head in card.columns):
        return {}
    columns, sums = {column_name(name).removeprefix("helix_"): name for name in features}, dict[str, float]()
    for column, values in card.weights:  # a slot is named by its column and a suffix for its position
        while column and column not in columns:
            column = column.rpartition("_")[0]
        if column:
            sums[columns[column]] = sums.get(columns[column], 0.0) + sum(map(abs, values))
    total = sum(sums.values())
    return {name: sums[name] / total for name in columns.values() if name in sums} if total else {}


def needed_only_for(dag: Dag, examples: str, feature: str) -> tuple[str, ...]:
    """Return the nodes that the graph would not need if these examples did not have a feature, inputs first."""
    dropped: dict[str, None] = {}
    waiting = [feature]
    while waiting:
        name = waiting.pop()
        # Each dropped reader queues its inputs, so a node is dropped with its last reader.
        readers = (reader for reader in dag.readers(name) if (name, reader) != (feature, examples))
        if name not in dropped and name not in dag.outputs and all(reader in dropped for reader in readers):
            dropped[name] = None
            waiting.extend(dag[name].inputs)
    return tuple(reversed(dropped))
