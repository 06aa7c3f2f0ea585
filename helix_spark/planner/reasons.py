"""Why a node is loaded, computed or pruned, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from helix_spark.dag.influence import Influence
from helix_spark.dag.node import Dag, Node
from helix_spark.planner.influence import feature_reasons
from helix_spark.planner.problem import Solution, State
from helix_spark.signature.difference import changes
from helix_spark.signature.parts import Group, Part
from helix_spark.signature.signing import Description, Signed
from helix_spark.workflow.operators import Result

_SHOWN_CHANGES = 3
_DREW = "; Helix gives the seed of what it draws"


class Stored(Protocol):
    """What the planner needs to know of a live artifact."""

    @property
    def signature(self) -> str: ...
    @property
    def attempt(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def iteration(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def left_out(self) -> tuple[str, ...]: ...
    @property
    def insisting(self) -> frozenset[str]: ...


def kept_for(artifact: Stored, workflow: str) -> str:
    """The other workflow than this one whose author insists on a stored result, of several the first by name; empty if
    there is none."""
    return min(artifact.insisting - {workflow}, default="")


def reasons(
    dag: Dag, solution: Solution, signed: Mapping[str, Signed], described: Mapping[str, Description],
    stored: Mapping[str, Stored], previous: Mapping[str, Sequence[Part]], ended: Mapping[str, str],
    influences: Mapping[str, Influence], unserved: Mapping[str, str],
) -> dict[str, str]:
    """One sentence a node.

    Args:
        stored: live artifacts by signature.
        previous: each node's parts in the newest earlier iteration, by name.
        ended: signature -> why its artifact is gone (evicted, damaged).
        influences: what fits of the learners gave their features, by learner.
        unserved: signature -> why a result that is stored without some of its columns is not loaded.
    """
    found = {
        node.name: _reason(node, dag, solution, signed, described, stored, previous, ended, unserved)
        + (_DREW if signed[node.name].seen.drew and solution.state(node.name) is not State.PRUNE else "")
        for node in dag.nodes
    }
    parts = {name: own.parts for name, own in signed.items()}
    return found | {
        name: text for name, text in feature_reasons(dag, parts, previous, influences).items()
        if solution.state(name) is State.COMPUTE
    }


def _reason(
    node: Node, dag: Dag, solution: Solution, signed: Mapping[str, Signed], described: Mapping[str, Description],
    stored: Mapping[str, Stored], previous: Mapping[str, Sequence[Part]], ended: Mapping[str, str],
    unserved: Mapping[str, str],
) -> str:
    state, own = solution.state(node.name), signed[node.name]
    if state is State.PRUNE:
        return _pruned(node, dag, solution)
    if state is State.LOAD:
        return _loaded(node, own, dag, stored)
    if node.wishes.recompute and not node.wishes.fixed:
        return "you asked for it to be computed in every run"
    if own.random:
        return _random(node, own, described)
    if own.signature in unserved:
        return unserved[own.signature]
    if node.name not in previous:
        return "never run before"
    found = changes(previous[node.name], own.parts)
    mine = [change for change in found if change.group is not Group.INPUT]
    if mine:
        return _listed([str(change) for change in mine])
    if found:
        return _listed([str(change) for change in found])
    if own.signature in stored:
        return "cheaper to compute than to load"
    if own.signature in ended:
        return f"unchanged, but its result is gone: {ended[own.signature]}"
    return "unchanged, but its result was not stored"


def _pruned(node: Node, dag: Dag, solution: Solution) -> str:
    readers = dag.readers(node.name)
    loaded = [name for name in readers if solution.state(name) is State.LOAD]
    if loaded:
        return f"not needed: {_names(loaded)} {'is' if len(loaded) == 1 else 'are'} loaded"
    return f"not needed: nothing that runs reads it ({_names(readers)}: not needed either)"


def _loaded(node: Node, own: Signed, dag: Dag, stored: Mapping[str, Stored]) -> str:
    found = stored.get(own.signature)
    if found is None:
        return "held in memory"
    text = f"stored by iteration {found.iteration}"
    if found.workflow != dag.workflow:
        text += f" of workflow `{found.workflow}`"
    if found.node != node.name:
        text += f" as `{found.node}`"
    if own.declared != own.signature and not (own.random or own.seen.reads):
        text += "; the code or the data changed, this result did not"
    return text


def _random(node: Node, own: Signed, described: Mapping[str, Description]) -> str:
    mine = described[node.name].random
    if node.name in own.random:
        return f"its result may differ each time: {mine[0]}" if mine else "its result may differ each time"
    return f"reads {_names(own.random)}, whose result may differ each time"


def fixed_in_vain(dag: Dag, signed: Mapping[str, Signed], described: Mapping[str, Description]) -> list[str]:
    """What is to be said of nodes that were fixed and differ each time all the same: what they are made of does, or
    they are columns, of which no result could be kept. And of those that are to be computed in every run, too."""
    found: list[str] = []
    for node in dag.nodes:
        if not node.wishes.fixed:
            continue
        for wish in ("recompute", "fresh"):
            if getattr(node.wishes, wish):
                found.append(f"`{node.name}` is fixed: what was computed once stands, and {wish}=True is in vain")
        if blamed := signed[node.name].random:
            fixes = ", ".join(_how_to_fix(dag[name]) for name in blamed)
            found.append(f"`{node.name}` is fixed, but what differs is {_names(blamed)}, which it reads: {fixes}")
        elif node.result is Result.COLUMN and described[node.name].random:
            found.append(f"`{node.name}` is fixed, but it is a column, never stored by itself: {_how_to_fix(node)}")
    return found


def _how_to_fix(node: Node) -> str:
    if node.result is Result.COLUMN:
        return f"make `{node.name}` in a scanner, and fix that"
    return f"hx.fixed({node.name.removesuffix('.fit')})"


def _listed(sentences: Sequence[str]) -> str:
    shown = "; ".join(sentences[:_SHOWN_CHANGES])
    more = len(sentences) - _SHOWN_CHANGES
    return f"{shown}; and {more} more" if more > 0 else shown


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
