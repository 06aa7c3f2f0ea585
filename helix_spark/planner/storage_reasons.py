"""Why each result is kept, not kept or evicted, in words for people who do not know the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helix_spark.planner.candidates import Candidate, capacity, had_now
from helix_spark.planner.demands import Outlook, Recall, recall
from helix_spark.planner.problem import Solution
from helix_spark.planner.storage import NodeCosts, OtherArtifact, PlanningProblem
from helix_spark.sizes import format_size, seconds_text
from helix_spark.workflow.operators import Kind

_UNLIKELY = 0.005
"""Below half a percent a probability reads as 0 %."""
_SOME = 0.01
"""Share of the whole budget that a result takes at least before anything had to make room for it."""


@dataclass(frozen=True, slots=True)
class _Uses:
    """How likely the next iteration loads, or computes, each result; by signature, with what is kept."""

    loaded: Mapping[str, float]
    computed: Mapping[str, float]


def explain(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], solution: Solution,
    keep: frozenset[str], ahead: Sequence[Recall],
) -> dict[str, str]:
    """Signature -> one sentence, for every node of the current version and every stored result.

    Args:
        ahead: how each demand of `view` is met with what is kept.
    """
    uses = _uses(view, ahead)
    had = had_now(problem, solution)
    best = _best(problem, view, uses, keep)
    reasons: dict[str, str] = {}
    for node in problem.nodes:
        if node.signature in keep:
            reasons[node.signature] = _why_kept_node(node, view, uses, chosen[node.signature], keep)
        else:
            verb = "evicted" if node.stored else "not kept"
            why = _not_kept(problem, node, view, uses, had, keep, best)
            reasons[node.signature] = f"{verb}: {why}"
    for other in problem.others:
        reasons[other.signature] = _why_kept_other(other, uses, chosen.get(other.signature), keep, best)
    return reasons


def _uses(view: Outlook, ahead: Sequence[Recall]) -> _Uses:
    loaded = dict(view.certain_loads)
    computed: dict[str, float] = {}
    for demand, plan in zip(view.demands, ahead, strict=True):
        for uses, names in ((loaded, plan.loaded), (computed, plan.computed)):
            for name in names:
                uses[name] = uses.get(name, 0.0) + demand.probability
    return _Uses(loaded, computed)


def _seconds_again(view: Outlook, signature: str, keep: frozenset[str]) -> float:
    """Return seconds to have a result again without keeping it, with all else that is kept."""
    return recall(view.results, [signature], keep - {signature}).seconds


def _best(problem: PlanningProblem, view: Outlook, uses: _Uses, keep: frozenset[str]) -> str:
    """Return the name of the kept result that the budget is better spent on: of those that take some of it, the one
    that saves most. (By the byte a value of a few would win, for which nothing had to make room.)"""
    def saved(node: NodeCosts) -> float:
        again = _seconds_again(view, node.signature, keep)
        return uses.loaded[node.signature] * (again - node.load_seconds)

    some = _SOME * (capacity(problem) or 0)
    kept = [
        node for node in problem.nodes
        if node.signature in keep and uses.loaded.get(node.signature) and node.bytes > some
    ]
    return max(kept, key=saved).name if kept else ""


def _why_kept_node(
    node: NodeCosts, view: Outlook, uses: _Uses, candidate: Candidate, keep: frozenset[str]
) -> str:
    again = _seconds_again(view, node.signature, keep)
    chance = uses.loaded.get(node.signature, 0.0)
    price = format_size(node.bytes)
    price = f"takes {price}" if node.stored else f"costs {seconds_text(node.write_seconds)} and {price}"
    if candidate.insisted:
        asking = f"workflow `{node.kept_for}`" if node.kept_for else "you"
        return f"kept: {asking} asked for it; {price}"
    if chance < _UNLIKELY:
        return f"kept: it is stored and there is room; {price}"
    return (
        f"kept: {seconds_text(again)} to recompute, {seconds_text(node.load_seconds)} to load, "
        f"{chance:.0%} likely to be reused; {price}"
    )


def _not_kept(
    problem: PlanningProblem, node: NodeCosts, view: Outlook, uses: _Uses, had: frozenset[str],
    keep: frozenset[str], best: str,
) -> str:
    room = capacity(problem)
    if not node.storable:
        return _unstorable(node)
    if node.keep == "never":
        return "you asked not to keep it"
    if room is not None and node.bytes > room:
        return f"its {format_size(node.bytes)} are more than the whole budget"
    if not node.stored and node.signature not in had:
        return "this iteration did not need it"
    if not view.results[node.signature].loadable:
        return "you want it computed each time" if node.recompute else _no_quicker(node, view, keep)
    chance = uses.computed.get(node.signature, 0.0)
    again = _seconds_again(view, node.signature, keep)
    if chance < _UNLIKELY:
        return "with what is kept, the next edit hardly ever asks for it"
    if again <= node.load_seconds:
        return _no_quicker(node, view, keep)
    if node.stored or chance * (again - node.load_seconds) > node.write_seconds:
        return "the budget is better spent on " + (f"`{best}`" if best else "other results")
    return (
        f"{seconds_text(again)} to recompute and {chance:.0%} likely to be needed again, "
        f"not worth {seconds_text(node.write_seconds)} to write and {format_size(node.bytes)}"
    )


def _unstorable(node: NodeCosts) -> str:
    if node.differs:
        return "it may differ each time, so nobody could use it"
    return "it is read from where it lies" if node.kind == Kind.SOURCE else "it cannot be stored by itself"


def _no_quicker(node: NodeCosts, view: Outlook, keep: frozenset[str]) -> str:
    again = _seconds_again(view, node.signature, keep)
    return f"{seconds_text(again)} to recompute is no more than {seconds_text(node.load_seconds)} to load"


def _why_kept_other(
    other: OtherArtifact, uses: _Uses, candidate: Candidate | None, keep: frozenset[str], best: str
) -> str:
    whose = f"`{other.node}` of {other.workflow}"
    if other.signature not in keep:
        if candidate is None:
            return f"evicted: its {format_size(other.bytes)} are more than the whole budget"
        return f"evicted: the budget is better spent on {f'`{best}`' if best else 'newer results'} than on {whose}"
    if candidate is not None and candidate.insisted:
        return f"kept: {whose}, {_pinned_by(other)}; takes {format_size(other.bytes)}"
    chance = uses.loaded.get(other.signature, 0.0)
    if chance >= _UNLIKELY:
        return f"kept: {chance:.0%} likely to be asked for again ({whose}); takes {format_size(other.bytes)}"
    used = f"last used {other.age} iterations ago" if other.age > 0 else "its current result"
    return f"kept: there is room for {whose}, {used}; takes {format_size(other.bytes)}"


def _pinned_by(other: OtherArtifact) -> str:
    """Return which workflow insists on a stored result that the current version lacks, or why it is kept anyway."""
    if not other.kept_for:
        return "a draw that could not be had again"
    return "whose author asked for it" if other.kept_for == other.workflow else f"which `{other.kept_for}` asked for"
