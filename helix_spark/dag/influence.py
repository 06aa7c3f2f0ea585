"""Influence: how a fit's weights fall to the features that its examples are made of. Numbers in, shares out.

A feature is *without influence* when every weight of its slots is exactly zero: then no prediction of this very model
depends on it. No tolerance is right here. A weight is in the units of its feature, so one of a billionth of the largest
carries as much as that one where the feature counts bytes and the other is 0 or 1; and an importance, however small, is
a split that sends rows another way. None is needed either: Spark ML's L1 and bounded optimisers return exact zeros, as
it does for a feature that never varies, and a tree gives zero to what it never splits by.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helix_spark.dag.node import Dag, Node
from helix_spark.workflow.operators import Assemble


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """What a fit gave one feature.

    Attributes:
        feature: its name.
        declared: its declared signature when it was fitted on.
        share: of the sum of all absolute weights, 0 to 1.
        weightless: whether all its weights are zero.
        seconds: in a plan, what computing it and what only it needs is expected to take.
    """

    feature: str
    declared: str
    share: float
    weightless: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Influence:
    """What one fit tells of its features.

    Attributes:
        workflow, learner, iteration: which fit.
        features: what it gave to each feature that it was fitted on, in order.
    """

    workflow: str
    learner: str
    iteration: int
    features: tuple[FeatureWeight, ...]

    def weightless(self) -> frozenset[str]:
        """Return the declared signatures of all features without influence.

        Of features with one signature none is, unless all are. A model without any weight tells nothing.
        """
        weighted = {one.declared for one in self.features if not one.weightless}
        return frozenset(one.declared for one in self.features if weighted) - weighted


def by_feature(
    weights: Sequence[float], slots: Sequence[str], columns: Mapping[str, str], declared: Mapping[str, str]
) -> tuple[FeatureWeight, ...] | None:
    """Return absolute weights of a vector's slots as shares of the features that they belong to.

    Args:
        weights: absolute, one a slot.
        slots: names, in order: the column of a feature, and behind it which of its slots it is.
        columns: of the features, by name, in order.
        declared: signatures by name.

    Returns None where they do not fit together, or a weight is not finite: then nothing is known.

    >>> slots = ["school_Masters", "school_Bachelors", "race"]
    >>> found = by_feature([3.0, 1.0, 0.0], slots, {"school": "school", "race": "race"}, {"school": "e", "race": "r"})
    >>> [(one.share, one.weightless) for one in found]
    [(1.0, False), (0.0, True)]
    """
    if len(slots) != len(weights) or len(set(slots)) < len(slots) or not all(map(math.isfinite, weights)):
        return None
    features, sums = {column: name for name, column in columns.items()}, dict[str, float]()
    for slot, weight in zip(slots, weights, strict=True):
        column = slot
        while column and column not in features:
            column = column.rpartition("_")[0]
        if not column:
            return None
        sums[features[column]] = sums.get(features[column], 0.0) + weight
    total = math.fsum(sums.values())
    if sums.keys() != columns.keys() or not math.isfinite(total):
        return None
    return tuple(
        FeatureWeight(one, declared[one], sums[one] / total if total else 0.0, sums[one] == 0.0) for one in columns
    )


def features_of(node: Node, operator: Assemble) -> tuple[str, ...]:
    """Return names of the features of examples, in order."""
    return tuple(node.inputs[feature.index] for feature in operator.features)


def only_for(dag: Dag, examples: str, feature: str) -> tuple[str, ...]:
    """Return what the graph would do without if these examples did without a feature; names, inputs first."""
    gone: dict[str, None] = {}
    waiting = [feature]
    while waiting:
        name = waiting.pop()
        # A node is looked at again with each reader that goes, so it is gone when its last one is.
        readers = (reader for reader in dag.graph.successors(name) if (name, reader) != (feature, examples))
        if name not in gone and name not in dag.outputs and all(reader in gone for reader in readers):
            gone[name] = None
            waiting.extend(dag[name].inputs)
    return tuple(reversed(gone))


def to_json(influence: Influence) -> str:
    """JSON text, for a record."""
    return json.dumps({
        "workflow": influence.workflow, "learner": influence.learner, "iteration": influence.iteration,
        "features": [[one.feature, one.declared, one.share, one.weightless] for one in influence.features],
    })


def from_json(text: str) -> Influence | None:
    """Return the inverse of `to_json`; None for the empty text, which a fit without known weights has."""
    if not text:
        return None
    read = json.loads(text)
    features = tuple(FeatureWeight(*one) for one in read["features"])
    return Influence(read["workflow"], read["learner"], read["iteration"], features)
