"""Features without influence in a plan: what is left out, what a fit gave the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from helix_spark.dag.leaving_out import features_of, only_for
from helix_spark.dag.node import Dag, LeftOut
from helix_spark.identity.difference import changes
from helix_spark.identity.parts import Group
from helix_spark.planner.plan import PlannedFeature, PlannedInfluence
from helix_spark.planner.situation import Situation
from helix_spark.visible_text import named
from helix_spark.workflow.operators import Assemble


def planned_left_out(dag: Dag, seconds: Callable[[str], float]) -> tuple[LeftOut, ...]:
    """Return the features that the graph drops, with what that saves.

    Args:
        seconds: to compute a dropped node, by its name.
    """
    return tuple(replace(one, seconds=sum(map(seconds, one.nodes))) for one in dag.left_out)


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
                name, weight.share, declared in weightless, sum(situation[need].costs.compute_seconds for need in needs)
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
            found[synthesizer] = f"{named(lost)} left out, for want of influence"
    influences = [one.influence for one in situation.nodes if one.influence is not None]
    absent = {name for influence in influences for one in influence.left_out for name in one.nodes}
    back = [one.name for one in situation.nodes if one.name in absent and one.before is None]
    return found | dict.fromkeys(back, "left out until now")
