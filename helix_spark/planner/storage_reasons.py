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


def explain(
    problem: PlanningProblem, view: Outlook, chosen: Mapping[str, Candidate], solution: Solution,
    keep: frozenset[str], ahead: Sequence[Recall],
) -> dict[str, str]:
    """Signature -> one sentence, for every node of the current version and every stored result.

    Args:
        ahead: how each demand of `view` is met with what is kept.
    """
    loaded, computed = dict(view.certain_loads), dict[str, float]()
    for demand, plan in zip(view.demands, ahead, strict=True):
        for uses, names in ((loaded, plan.loaded), (computed, plan.computed)):
            for name in names:
                uses[name] = uses.get(name, 0.0) + demand.probability
    largest = max((node for node in problem.nodes if node.signature in keep), key=lambda node: node.bytes, default=None)
    best = f"`{largest.name}`" if largest is not None and largest.bytes else ""
    decided = _Decided(problem, view, chosen, keep, loaded, computed, had_now(problem, solution), best)
    return {
        **{node.signature: decided.why_node(node) for node in problem.nodes},
        **{other.signature: decided.why_other(other) for other in problem.others},
    }


@dataclass(frozen=True, slots=True)
class _Decided:
    """What was decided on storage.

    Attributes:
        loaded, computed: how likely the next iteration does so, by signature.
        had: signatures of what this iteration could have stored.
        best: the largest kept result, on which a budget is spent; empty if none takes room.
    """

    problem: PlanningProblem
    view: Outlook
    chosen: Mapping[str, Candidate]
    keep: frozenset[str]
    loaded: Mapping[str, float]
    computed: Mapping[str, float]
    had: frozenset[str]
    best: str

    def again(self, node: NodeCosts) -> float:
        """Return seconds to have a result again without keeping it, with all else that is kept."""
        return recall(self.view.results, [node.signature], self.keep - {node.signature}).seconds

    def why_node(self, node: NodeCosts) -> str:
        """Return the sentence of a result of the current version."""
        if node.signature not in self.keep:
            return f"{'evicted' if node.stored else 'not kept'}: {self._why_not(node)}"
        chance, size = self.loaded.get(node.signature, 0.0), format_size(node.bytes)
        price = f"takes {size}" if node.stored else f"costs {seconds_text(node.write_seconds)} and {size}"
        if self.chosen[node.signature].insisted:
            return f"kept: {f'workflow `{node.kept_for}`' if node.kept_for else 'you'} asked for it; {price}"
        if chance < _UNLIKELY:
            return f"kept: it is stored and there is room; {price}"
        return (
            f"kept: {seconds_text(self.again(node))} to recompute, {seconds_text(node.load_seconds)} to load, "
            f"{chance:.0%} likely to be reused; {price}"
        )

    def _why_not(self, node: NodeCosts) -> str:
        room = capacity(self.problem)
        if not node.storable:
            if node.differs:
                return "it may differ each time, so nobody could use it"
            return "it is read from where it lies" if node.kind == Kind.SOURCE else "it cannot be stored by itself"
        if node.keep == "never":
            return "you asked not to keep it"
        if room is not None and node.bytes > room:
            return f"its {format_size(node.bytes)} are more than the whole budget"
        if not node.stored and node.signature not in self.had:
            return "this iteration did not need it"
        if node.recompute:
            return "you want it computed each time"
        again, is_loadable = self.again(node), self.view.results[node.signature].loadable
        chance = self.computed.get(node.signature, 0.0)
        if is_loadable and chance < _UNLIKELY:
            return "with what is kept, the next edit hardly ever asks for it"
        if not is_loadable or again <= node.load_seconds:
            return f"{seconds_text(again)} to recompute is no more than {seconds_text(node.load_seconds)} to load"
        if node.stored or chance * (again - node.load_seconds) > node.write_seconds:
            return f"the budget is better spent on {self.best or 'other results'}"
        return (
            f"{seconds_text(again)} to recompute and {chance:.0%} likely to be needed again, "
            f"not worth {seconds_text(node.write_seconds)} to write and {format_size(node.bytes)}"
        )

    def why_other(self, other: OtherArtifact) -> str:
        """Return the sentence of a stored result that the current version does not have."""
        whose, size = f"`{other.node}` of {other.workflow}", format_size(other.bytes)
        candidate = self.chosen.get(other.signature)
        if candidate is None:
            return f"evicted: its {size} are more than the whole budget"
        if other.signature not in self.keep:
            return f"evicted: the budget is better spent on {self.best or 'newer results'} than on {whose}"
        if candidate.insisted:
            asked = "whose author asked for it" if other.kept_for == other.workflow else \
                f"which `{other.kept_for}` asked for"
            return f"kept: {whose}, {asked if other.kept_for else 'a draw that could not be had again'}; takes {size}"
        chance = self.loaded.get(other.signature, 0.0)
        if chance >= _UNLIKELY:
            return f"kept: {chance:.0%} likely to be asked for again ({whose}); takes {size}"
        used = f"last used {other.age} iterations ago" if other.age > 0 else "its current result"
        return f"kept: there is room for {whose}, {used}; takes {size}"
