"""The oracle: one program over all iterations at once, for an edit script that is known beforehand.

No policy can do better than it, so a policy's time over the oracle's is its regret.

    min   sum_t [ sum_i l_i y_it + c_i x_it  +  sum_r w_r new_rt ]
    s.t.  for each iteration t the execution program's rows for (x, y), with y_it <= m_r,t-1 for i's result r;
          m_rt <= m_r,t-1 + x_rt;   new_rt >= m_rt - m_r,t-1;   sum_r bytes_r m_rt <= budget.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helix_spark.errors import HelixError
from helix_spark.planner.candidates import WRITE_WEIGHT
from helix_spark.planner.problem import Certificate, Derivation, Solution, State, total_seconds
from helix_spark.planner.solver import LinearProgram, solve
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem

TIME_LIMIT, GAP = 30.0, 1e-3
"""Seconds for the solver, and the relative gap at which it stops: a tenth of a percent of a regret is not told."""


@dataclass(frozen=True, slots=True)
class Version:
    """What one iteration runs; nodes come inputs first."""

    nodes: tuple[NodeCosts, ...]
    outputs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Foresight:
    """The oracle's answer for a whole script.

    Attributes:
        steps: each iteration's derivations by node, and the signatures that are kept after it.
        seconds: of all iterations, writes included.
        bound: no plan takes less.
    """

    steps: tuple[tuple[dict[str, Derivation], frozenset[str]], ...]
    seconds: float
    bound: float


def foresee(script: Sequence[Version], budget: int | None) -> Foresight:
    """The best that can be done for a script of iterations, nothing being stored at first.

    Args:
        budget: bytes, or None for no limit.

    Raises:
        HelixError: if the solver finds no plan in time.
        SetupError: if no solver is installed.
    """
    sizes = {node.signature: node.bytes for version in script for node in version.nodes}
    made = _Multiperiod(sizes, budget)
    for version, later in zip(script, _asked_for_later(script), strict=True):
        made.add(version, later)
    answer = solve(made.program, time_limit=TIME_LIMIT, gap=GAP)
    if answer.values is None:
        raise HelixError(f"the oracle found no plan in {TIME_LIMIT:g} s ({answer.status})")
    steps = tuple(
        (
            {way.node: way for way, index in ways.items() if answer.values[index] > 0.5},
            frozenset(name for name, index in kept.items() if answer.values[index] > 0.5),
        )
        for ways, kept in zip(made.ways, made.kept, strict=True)
    )
    return Foresight(steps, answer.objective, max(0.0, answer.bound))


@dataclass(frozen=True, slots=True)
class Oracle:
    """Replays, iteration by iteration, what was foreseen. Its problem must be the script's at `step`."""

    foresight: Foresight
    step: int = 0
    name: str = "oracle"

    def at(self, step: int) -> Oracle:
        """For another iteration of the script."""
        return replace(self, step=step)

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        chosen, keep = self.foresight.steps[self.step]
        cost = total_seconds(chosen.values())
        certificate = Certificate("optimal", cost, cost, 0.0, "none needed", 0.0)
        current = {node.signature for node in problem.nodes}
        stored = {node.signature for node in problem.nodes if node.stored}
        stored |= {other.signature for other in problem.others}
        reasons = dict.fromkeys(keep, "kept: a later iteration needs it")
        reasons |= dict.fromkeys(stored - keep, "evicted: no later iteration needs it enough")
        return Decision(Solution(chosen, certificate), keep & current, frozenset(stored - keep), certificate, reasons)


def _asked_for_later(script: Sequence[Version]) -> list[frozenset[str]]:
    """For each iteration, the signatures that a later one has."""
    later: list[frozenset[str]] = []
    seen: frozenset[str] = frozenset()
    for version in reversed(script):
        later.append(seen)
        seen |= {node.signature for node in version.nodes}
    return later[::-1]


@dataclass(slots=True)
class _Multiperiod:
    """The program as it grows, an iteration at a time.

    Attributes:
        sizes: bytes by signature.
        ways: the variable of each derivation, per iteration.
        kept: the variable of each signature that may be kept after it, per iteration.
    """

    sizes: Mapping[str, int]
    budget: int | None
    program: LinearProgram = field(default_factory=LinearProgram)
    ways: list[dict[Derivation, int]] = field(default_factory=list)
    kept: list[dict[str, int]] = field(default_factory=list)

    def add(self, version: Version, later: frozenset[str]) -> None:
        """One more iteration; `later` are the signatures that iterations after it have."""
        before = self.kept[-1] if self.kept else {}
        self._add_states(version, before)
        self._add_storage(version, before, {name for name in later if self._fits(name)})
        if self.budget is not None:
            # In thousandths of the budget: bytes as they are would drown the solver's tolerances.
            unit = max(1.0, self.budget / 1000)
            sizes = {index: self.sizes[name] / unit for name, index in self.kept[-1].items() if self.sizes[name]}
            if sum(sizes.values()) * unit > self.budget:
                self.program.at_most(sizes, self.budget / unit)

    def _fits(self, name: str) -> bool:
        return self.budget is None or self.sizes[name] <= self.budget

    def _add_states(self, version: Version, before: Mapping[str, int]) -> None:
        program = self.program
        ways: dict[Derivation, int] = {}
        had: dict[str, list[int]] = {}
        for node in version.nodes:
            compute = Derivation(node.name, State.COMPUTE, node.inputs, node.compute_seconds)
            ways[compute] = program.variable(node.compute_seconds, integer=False)
            had[node.name] = [ways[compute]]
            if node.signature in before and not node.recompute:
                load = Derivation(node.name, State.LOAD, (), node.load_seconds)
                ways[load] = program.variable(node.load_seconds, integer=False)
                program.at_most({ways[load]: 1.0, before[node.signature]: -1.0}, 0.0)
                had[node.name].append(ways[load])
            if node.name in version.outputs:
                program.at_most(dict.fromkeys(had[node.name], -1.0), -1.0)
            for name in dict.fromkeys(node.inputs):
                program.at_most({ways[compute]: 1.0, **dict.fromkeys(had[name], -1.0)}, 0.0)
        self.ways.append(ways)

    def _add_storage(self, version: Version, before: Mapping[str, int], later: Collection[str]) -> None:
        program = self.program
        computed = {way.node: index for way, index in self.ways[-1].items() if way.state is State.COMPUTE}
        kept = {name: program.variable(0.0) for name in before if name in later}
        seconds: dict[str, float] = {}
        sources: dict[str, list[int]] = {}
        for node in version.nodes:
            if node.storable and node.keep != "never" and node.signature in later:
                seconds[node.signature] = WRITE_WEIGHT * node.write_seconds
                sources.setdefault(node.signature, []).append(computed[node.name])
        for name, made_by in sources.items():
            index = kept[name] if name in kept else kept.setdefault(name, program.variable(0.0))
            new = program.variable(seconds[name], integer=False)
            earlier = {before[name]: -1.0} if name in before else {}
            program.at_most({index: 1.0, new: -1.0, **earlier}, 0.0)
            program.at_most({new: 1.0, **dict.fromkeys(made_by, -1.0)}, 0.0)
        for name, index in kept.items():
            if name not in sources:
                program.at_most({index: 1.0, before[name]: -1.0}, 0.0)
        self.kept.append(kept)
