"""Features without influence in words: what is left out, and what a fit gave the others."""

from __future__ import annotations

from helix_spark.planner.plan import Plan, PlannedFeature, PlannedInfluence, PlannedLeftOut
from helix_spark.sizes import format_seconds


def left_out_text(one: PlannedLeftOut) -> str:
    """A line about a feature that is left out.

    >>> print(left_out_text(PlannedLeftOut("race_is", "income", (("model", 3),), ("race_is.fit", "race_is"), 0.4)))
    left out of `income`: `race_is`: `model` gave it no weight in iteration 3; saves 0.40 s
    """
    said = " and ".join(f"`{learner}` gave it no weight in iteration {iteration}" for learner, iteration in one.found)
    saves = f"; saves {format_seconds(one.seconds)} s" if one.nodes else "; others need it still"
    return f"left out of `{one.synthesizer}`: `{one.feature}`: {said}{saves}"


def influence_lines(plan: Plan, name: str) -> list[str]:
    """Return what is known of the features of a learner, or of an extractor as a feature; set in."""
    lines = [f"  {left_out_text(one)}" for one in plan.left_out if name in _concerned(one)]
    for one in plan.influences:
        if name == one.learner:
            lines += _learner_lines(one, _when(one, plan))
        lines += [f"  {_feature_text(one, f, _when(one, plan))}" for f in one.features if name == f.name]
    return lines


def _learner_lines(one: PlannedInfluence, when: str) -> list[str]:
    ranked = sorted(one.features, key=lambda feature: -feature.share)
    carrying = ", ".join(f"{f.name} {f.share:.1%}" for f in ranked if not f.weightless)
    none = [f"{feature.name} ({format_seconds(feature.seconds)} s)" for feature in one.features if feature.weightless]
    lines = [f"  weight by feature in {when}: {carrying}"] if carrying else []
    if none:
        remedy = "" if one.prunes else "; prune_features=True leaves them out"
        lines.append(f"  without influence in {when}: {', '.join(none)}{remedy}")
    return lines


def _feature_text(one: PlannedInfluence, feature: PlannedFeature, when: str) -> str:
    if not feature.weightless:
        return f"`{one.learner}` gave it {feature.share:.1%} of the weight in {when}"
    return (
        f"`{one.learner}` gave it no weight in {when}; it and what only it needs take "
        f"{format_seconds(feature.seconds)} s"
    )


def _when(one: PlannedInfluence, plan: Plan) -> str:
    return f"iteration {one.iteration}" + (f" of `{one.workflow}`" if one.workflow != plan.workflow else "")


def _concerned(one: PlannedLeftOut) -> list[str]:
    return [one.synthesizer, one.feature, *(learner for learner, _ in one.found)]
