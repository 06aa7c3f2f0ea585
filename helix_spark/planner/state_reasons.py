"""Why a node is loaded, computed or pruned, in words."""

from __future__ import annotations

from collections.abc import Sequence

from helix_spark.dag.node import Dag, Node
from helix_spark.hermetic.seen import Seen
from helix_spark.identity.difference import changes
from helix_spark.identity.parts import Group
from helix_spark.planner.problem import Solution, State
from helix_spark.planner.situation import KnownNode, Situation
from helix_spark.visible_text import named
from helix_spark.workflow.operators import Result

_SHOWN_CHANGES = 3
_DREW = "; Helix gives the seed of what it draws"


def reasons(situation: Situation, solution: Solution) -> dict[str, str]:
    """One sentence a node, by name."""
    return {one.name: _reason(one, situation, solution) for one in situation.nodes}


def _reason(one: KnownNode, situation: Situation, solution: Solution) -> str:
    match solution.state(one.name):
        case State.PRUNE:
            if (number := situation.recorded.get(one.name)) is not None:
                return f"unchanged: iteration {number} has it on record; it is {_how_had(one)} when you ask for it"
            return _pruned(one.node, situation.dag, solution)
        case State.LOAD:
            why = _loaded(one, situation.dag)
        case State.COMPUTE:
            why = _computed(one)
    return why + _draws(one.signed.seen)


def _draws(seen: Seen) -> str:
    """Return whose seed the code of a node draws from, where it draws."""
    if not seen.drew:
        return ""
    seeded = " and ".join(f"`{name}`" for name in seen.seeded)
    return f"; it draws from {seeded} as your code seeds it" if seeded else _DREW


def _computed(one: KnownNode) -> str:
    wishes, own = one.node.wishes, one.signed
    if wishes.recompute and not wishes.fixed:
        return "you asked for it to be computed in every run"
    if own.random:
        return _random(one)
    if one.before is None:
        return "never run before"
    found = changes(one.before, own.parts)
    mine = [change for change in found if change.group is not Group.INPUT]
    if mine or found:
        return _listed([str(change) for change in mine or found])
    if one.artifact is not None:
        return "cheaper to compute than to load"
    if one.ended:
        return f"unchanged, but its result is gone: {one.ended}"
    return "unchanged, but its result was not stored"


def _how_had(one: KnownNode) -> str:
    return "loaded" if one.artifact is not None else "computed"


def _pruned(node: Node, dag: Dag, solution: Solution) -> str:
    readers = dag.readers(node.name)
    loaded = [name for name in readers if solution.state(name) is State.LOAD]
    if loaded:
        return f"not needed: {named(loaded)} {'is' if len(loaded) == 1 else 'are'} loaded"
    return f"not needed: nothing that runs reads it ({named(readers)}: not needed either)"


def _loaded(one: KnownNode, dag: Dag) -> str:
    found, own = one.artifact, one.signed
    if found is None:
        return "held in memory"
    text = f"stored by iteration {found.iteration}"
    if found.workflow != dag.workflow:
        text += f" of workflow `{found.workflow}`"
    if found.node != one.name:
        text += f" as `{found.node}`"
    if own.declared != own.signature and not (own.random or own.seen.reads):
        text += "; the code or the data changed, this result did not"
    return text


def _random(one: KnownNode) -> str:
    mine, blamed = one.described.random, one.signed.random
    if one.name in blamed:
        return f"its result may differ each time: {mine[0]}" if mine else "its result may differ each time"
    return f"reads {named(blamed)}, whose result may differ each time"


def fixed_in_vain(situation: Situation) -> list[str]:
    """Return warnings of fixed nodes that differ each time all the same.

    Their inputs do, or they are columns, whose results cannot be kept, or they are to be computed in every run, too.
    """
    found: list[str] = []
    for one in situation.nodes:
        node = one.node
        if not node.wishes.fixed:
            continue
        for wish in ("recompute", "fresh"):
            if getattr(node.wishes, wish):
                found.append(f"`{node.name}` is fixed: what was computed once stands, and {wish}=True is in vain")
        if blamed := one.signed.random:
            fixes = ", ".join(_how_to_fix(situation.dag[name]) for name in blamed)
            found.append(f"`{node.name}` is fixed, but what differs is {named(blamed)}, which it reads: {fixes}")
        elif node.result is Result.COLUMN and one.described.random:
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
