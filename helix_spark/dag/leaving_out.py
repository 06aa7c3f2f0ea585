"""Leaving out: features to which a fit gave no weight are taken out of its examples, and with them what only they need.

(Data-driven pruning; Xin et al., PVLDB 12(4), section 5.4.) The smaller examples are another result, under another
signature. So nobody else may be looking at them: examples that are an output, or read by other than learners that all
agree and the predictions of their models, stay whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from helix_spark.dag.influence import Influence
from helix_spark.dag.node import Dag, LeftOut, Node, slice_to_outputs
from helix_spark.visible_text import named
from helix_spark.workflow.operators import Assemble, FitStage, Input, Kept, Kind, Predict


@dataclass(frozen=True, slots=True)
class Leaving:
    """A graph without the features that are left out (`dag.left_out`), and in words where that could not be done."""

    dag: Dag
    notices: tuple[str, ...] = ()


def asking(dag: Dag) -> tuple[str, ...]:
    """Return names of the learners that want features without influence left out."""
    return tuple(node.name for node in dag.nodes if node.wishes.prune_features)


def leave_out(
    dag: Dag, fits: Mapping[str, Influence], declared: Mapping[str, str], random: Collection[str] = ()
) -> Leaving:
    """Return the same graph without features that have no influence on any learner that reads them, as far as they ask
    for it.

    Args:
        fits: what the newest fit of each learner tells, by its name.
        declared: each node's declared signature, by name.
        random: names of nodes whose result differs each time: of those a fit tells nothing about the next.
    """
    if not fits:
        return Leaving(dag)
    made, left, notices = dag, list[LeftOut](), list[str]()
    for node in dag.nodes:
        if not isinstance(node.operator, Assemble):
            continue
        learners = [name for name in dag.readers(node.name) if dag[name].wishes.prune_features and name in fits]
        found = _without_influence(node, node.operator, [fits[name] for name in learners], declared, random)
        blocked = _needs_whole(dag, node, learners) if found else ""
        if blocked:
            those = named(tuple(found))
            notices.append(f"nothing is left out of `{node.name}`, though {those} got no weight: {blocked}")
        elif found:
            made = _replaced(made, _shrunk(node, node.operator, found))
            left += [
                LeftOut(feature, node.name, declared[feature], tuple(zip(learners, iterations, strict=True)))
                for feature, iterations in found.items()
            ]
    if not left:
        return Leaving(dag, tuple(notices))
    sliced = slice_to_outputs(made)
    return Leaving(replace(sliced, dropped=dag.dropped, left_out=_with_nodes(dag, sliced, left)), tuple(notices))


def features_of(node: Node, operator: Assemble) -> tuple[str, ...]:
    """Return names of the features of examples, in order."""
    return tuple(node.inputs[feature.index] for feature in operator.features)


def target(node: Node, operator: Assemble, declared: Mapping[str, str]) -> str:
    """Return what the label of examples is, as text that is another for another label."""
    label = operator.label
    return declared[node.inputs[label.index]] if isinstance(label, Input) else label or ""


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


def _without_influence(
    node: Node, operator: Assemble, fits: Collection[Influence], declared: Mapping[str, str], random: Collection[str],
) -> dict[str, tuple[int, ...]]:
    """Return features that no fit gave weight to -> the iterations of the fits that say so; none if it would be all."""
    features = dict.fromkeys(features_of(node, operator))
    if not fits or not all(_holds(fit, features, target(node, operator, declared), declared) for fit in fits):
        return {}
    weightless = [fit.weightless() for fit in fits]
    found = {
        feature: tuple(one[declared[feature]] for one in weightless)
        for feature in features if feature not in random and all(declared[feature] in one for one in weightless)
    }
    return found if len(found) < len(features) else {}


def _holds(fit: Influence, features: Collection[str], label: str, declared: Mapping[str, str]) -> bool:
    """Return whether a fit still tells of these examples: it had the label, and nothing it gave weight to was taken
    away since. Two features may tell the same, and only one of them get the weight; without that one the other
    counts."""
    there = {*features, *(declared[feature] for feature in features)}
    return fit.target == label and all(
        one.weightless or one.feature in there or one.declared in there for one in fit.features
    )


def _needs_whole(dag: Dag, node: Node, learners: Collection[str]) -> str:
    """Return what reads all of these examples, in words; empty if nothing does."""
    if node.name in dag.outputs:
        return "it is an output"
    for name in dag.readers(node.name):
        reader = dag[name]
        if isinstance(reader.operator, Predict) and reader.inputs[0] in learners:
            continue
        if reader.kind is Kind.LEARNER and isinstance(reader.operator, FitStage):
            if name in learners:
                continue
            asks = reader.wishes.prune_features
            return f"`{name}` was not fitted yet" if asks else f"`{name}` is fitted on it, too, and does not ask for it"
        return f"`{name}` reads it, too"
    for learner in learners:
        for name in dag.readers(learner):
            reader = dag[name]
            if isinstance(reader.operator, Predict) and reader.inputs[1] != node.name:
                return f"`{name}` applies `{learner}` to `{reader.inputs[1]}`"
            if isinstance(reader.operator, Predict) and "features" in reader.operator.keep:
                return f"`{name}` keeps the features"
    return ""


def _shrunk(node: Node, operator: Assemble, without: Collection[str]) -> Node:
    features = [one for one in operator.features if node.inputs[one.index] not in without]
    labels = [operator.label] if isinstance(operator.label, Input) else []
    kept = [one.column for one in operator.keep if isinstance(one, Kept)]
    inputs = tuple(dict.fromkeys([node.inputs[0], *(node.inputs[one.index] for one in (*features, *labels, *kept))]))

    def moved(one: Input) -> Input:
        return Input(inputs.index(node.inputs[one.index]))

    shrunk = replace(
        operator, features=tuple(map(moved, features)),
        label=moved(operator.label) if isinstance(operator.label, Input) else operator.label,
        keep=tuple(replace(one, column=moved(one.column)) if isinstance(one, Kept) else one for one in operator.keep),
    )
    return replace(node, operator=shrunk, inputs=inputs)


def _replaced(dag: Dag, node: Node) -> Dag:
    return replace(dag, nodes=tuple(node if one.name == node.name else one for one in dag.nodes))


def _with_nodes(dag: Dag, sliced: Dag, left: Collection[LeftOut]) -> tuple[LeftOut, ...]:
    """Return each with what goes with it; what several needed is counted with the first."""
    there = {node.name for node in sliced.nodes}
    gone = [node.name for node in dag.nodes if node.name not in there]
    found = []
    for one in left:
        needed = dag.ancestors(one.feature) | {one.feature}
        found.append(replace(one, nodes=tuple(name for name in gone if name in needed)))
        gone = [name for name in gone if name not in needed]
    return tuple(found)
