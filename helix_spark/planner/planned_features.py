"""Features without influence in a plan: what is left out, what a fit gave the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from helix_spark.dag.leaving_out import features_of, only_for
from helix_spark.dag.node import Dag
from helix_spark.identity.difference import changes
from helix_spark.identity.parts import Group
from helix_spark.planner.plan import Plan, PlannedFeature, PlannedInfluence, PlannedLeftOut
from helix_spark.planner.situation import Situation
from helix_spark.workflow.operators import Assemble


def planned_left_out(dag: Dag, seconds: Callable[[str], float]) -> tuple[PlannedLeftOut, ...]:
    """Return the features that the graph drops.

    Args:
        seconds: to compute a dropped node, by its name.
    """
    return tuple(
        PlannedLeftOut(one.feature, one.synthesizer, one.found, one.nodes, sum(map(seconds, one.nodes)))
        for one in dag.left_out
    )


def planned_influences(situation: Situation) -> tuple[PlannedInfluence, ...]:
    """Return the influence of the features that are the same as when they were fitted."""
    found, dag = [], situation.dag
    for learner in situation.nodes:
        influence = learner.influence
        if influence is None:
            continue
        examples = dag[learner.node.inputs[0]]
        if not isinstance(examples.operator, Assemble):
            continue
        weights = {one.declared: one for one in influence.features}
        weightless = influence.weightless()
        features = []
        for name in dict.fromkeys(features_of(examples, examples.operator)):
            declared = situation[name].signed.declared
            weight = weights.get(declared)
            if weight is None:
                continue
            needs = only_for(dag, examples.name, name)
            features.append(PlannedFeature(
                name, weight.share, declared in weightless, sum(situation[need].costs.compute.amount for need in needs)
            ))
        found.append(PlannedInfluence(
            learner.name, influence.workflow, influence.iteration, learner.node.wishes.prune_features, tuple(features),
        ))
    return tuple(found)


def feature_reasons(situation: Situation) -> dict[str, str]:
    """Return why examples that only lose features, and features that come back, are computed; by name."""
    found: dict[str, str] = {}
    left_out = situation.dag.left_out
    for synthesizer in dict.fromkeys(one.synthesizer for one in left_out):
        new = {one.feature for one in left_out if one.synthesizer == synthesizer}
        examples = situation[synthesizer]
        differs = changes(examples.before or (), examples.signed.parts)
        lost = [change.label for change in differs if change.group is Group.INPUT and change.label in new]
        # Where the inputs are in `features` and `label` are positions, which move up as one goes.
        other = [c for c in differs if c.label not in (*lost, "features", "label") or c.sort == "added"]
        if lost and not other:
            found[synthesizer] = f"{_names(lost)} left out, for want of influence"
    told = [one.influence for one in situation.nodes if one.influence is not None]
    absent = {name for influence in told for one in influence.left_out for name in one.nodes}
    back = [one.name for one in situation.nodes if one.name in absent and one.before is None]
    return found | dict.fromkeys(back, "left out until now")


def left_out_json(plan: Plan) -> list[dict[str, Any]]:
    """Return the dropped features as JSON's types."""
    return [
        {
            "feature": one.feature, "synthesizer": one.synthesizer, "nodes": list(one.nodes), "seconds": one.seconds,
            "found": [{"learner": learner, "iteration": iteration} for learner, iteration in one.found],
        }
        for one in plan.left_out
    ]


def left_out_as(plan: Plan, name: str) -> PlannedLeftOut | None:
    """Return the dropped feature that a node belongs to, if there is one."""
    return next((one for one in plan.left_out if name in one.nodes), None)


def influence_json(plan: Plan, name: str) -> list[dict[str, Any]]:
    """Return the influence of a learner's features, or of an extractor as a feature, as JSON's types."""
    return [
        {
            "learner": one.learner, "feature": feature.name, "iteration": one.iteration, "share": feature.share,
            "without_influence": feature.weightless, "seconds": feature.seconds,
        }
        for one in plan.influences for feature in one.features if name in (one.learner, feature.name)
    ]


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
