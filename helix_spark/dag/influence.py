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


@dataclass(frozen=True, slots=True)
class FeatureWeight:
    """What a fit gave one feature.

    Attributes:
        feature: its name then.
        declared: its declared signature then.
        share: of the sum of all absolute weights, 0 to 1.
        weightless: whether all its weights are zero.
    """

    feature: str
    declared: str
    share: float
    weightless: bool


@dataclass(frozen=True, slots=True)
class Absent:
    """A feature that a fit's examples went without already.

    Attributes:
        feature, declared: its name and declared signature then.
        iteration: of the fit that gave it no weight.
        nodes: names of what the graph went without for that reason.
    """

    feature: str
    declared: str
    iteration: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Influence:
    """What one fit tells of its features.

    Attributes:
        workflow, learner, iteration: which fit.
        target: identifies what it learned to predict (see `leaving_out.target`).
        features: what it gave to each feature that it was fitted on, in order.
        left_out: the features that its examples went without already.
    """

    workflow: str
    learner: str
    iteration: int
    target: str
    features: tuple[FeatureWeight, ...]
    left_out: tuple[Absent, ...] = ()

    def weightless(self) -> dict[str, int]:
        """Declared signature -> iteration of the fit that says so, of all features without influence.

        Of features with one signature none is, unless all are. A model without any weight tells nothing.
        """
        weighted = {one.declared for one in self.features if not one.weightless}
        found = {one.declared: self.iteration for one in self.features if one.declared not in weighted}
        before = {one.declared: one.iteration for one in self.left_out}
        return before | found if weighted else before


def by_feature(
    weights: Sequence[float], sizes: Sequence[int], features: Sequence[str], declared: Mapping[str, str]
) -> tuple[FeatureWeight, ...] | None:
    """Return absolute weights of a vector's slots as shares of the features that they belong to.

    Args:
        weights: absolute, one a slot.
        sizes: slots of each feature, in order.
        features: names, in order; one that is there twice has the slots of both places.
        declared: signatures by name.

    Returns None where they do not fit together, or a weight is not finite: then nothing is known.

    >>> education, race = by_feature([3.0, 1.0, 0.0], [2, 1], ["education", "race"], {"education": "e", "race": "r"})
    >>> education.share, race.weightless
    (1.0, True)
    """
    if sum(sizes) != len(weights) or len(sizes) != len(features) or not all(map(math.isfinite, weights)):
        return None
    sums = dict.fromkeys(features, 0.0)
    start = 0
    for feature, size in zip(features, sizes, strict=True):
        sums[feature] += math.fsum(weights[start:start + size])
        start += size
    total = math.fsum(sums.values())
    if not math.isfinite(total):
        return None
    return tuple(
        FeatureWeight(feature, declared[feature], weight / total if total else 0.0, weight == 0.0)
        for feature, weight in sums.items()
    )


def to_json(influence: Influence) -> str:
    """JSON text, for a record."""
    return json.dumps({
        "workflow": influence.workflow, "learner": influence.learner, "iteration": influence.iteration,
        "target": influence.target,
        "features": [[one.feature, one.declared, one.share, one.weightless] for one in influence.features],
        "left_out": [[one.feature, one.declared, one.iteration, one.nodes] for one in influence.left_out],
    })


def from_json(text: str) -> Influence | None:
    """Return the inverse of `to_json`; None for the empty text, which a fit without known weights has."""
    if not text:
        return None
    read = json.loads(text)
    features = tuple(FeatureWeight(*one) for one in read["features"])
    absent = tuple(
        Absent(feature, declared, iteration, tuple(nodes)) for feature, declared, iteration, nodes in read["left_out"]
    )
    return Influence(read["workflow"], read["learner"], read["iteration"], read["target"], features, absent)
