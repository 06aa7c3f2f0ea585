"""The policy that knows a script of edits beforehand, in a real session: the most that storage could be worth.

Another driver runs the whole script beforehand and stores everything: that measures every result of every version. Then
all versions are planned against those records, so that each has its signatures, seconds and bytes, and one program over
all iterations decides what to keep after each (`simulation.oracle`). Its costs are of another run of the same work, and
it does not know what the session holds in memory: so it is no bound on single runs, but a measure of what foresight of
the edits is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import helix_spark as hx
from benchmarks.harness import load_workflow
from benchmarks.iterating.systems import other_bytes, write_texts
from benchmarks.scripts import Version
from helix_spark.planner.joint import NEVER
from helix_spark.planner.problem import plan_execution
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, execution_problem
from tests.simulation.oracle import Version as PlannedVersion
from tests.simulation.oracle import foresee


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The foreseen part of one iteration, as a policy.

    Attributes:
        nodes: measured nodes, by name.
        keep: signatures that are kept after the iteration.
    """

    nodes: dict[str, NodeCosts]
    keep: frozenset[str]
    name: str = "oracle"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`. States are the best for stored and cached results, by measured costs."""
        nodes = tuple(self._measured(node) for node in problem.nodes)
        solution = problem.done or plan_execution(execution_problem(replace(problem, nodes=nodes)))
        # By name: since this run found two results equal, a signature may have another one.
        keep = {
            node.signature for node in problem.nodes
            if node.name in self.nodes and self.nodes[node.name].signature in self.keep
            and (node.stored or node.name in solution.chosen)
        }
        stored = {node.signature for node in problem.nodes if node.stored}
        stored |= {artifact.signature for artifact in problem.others}
        evict = stored - keep - self.keep
        reasons = dict.fromkeys(keep, "kept: a later iteration needs it")
        reasons |= dict.fromkeys(evict, "evicted: no later iteration needs it enough")
        return Decision(solution, frozenset(keep), frozenset(evict), solution.certificate, reasons)

    def _measured(self, node: NodeCosts) -> NodeCosts:
        costs = self.nodes.get(node.name)
        return node if costs is None else replace(
            node, compute_seconds=costs.compute_seconds, load_seconds=costs.load_seconds, bytes=costs.bytes,
        )


def foreseen(
    name: str, script: Sequence[Version], folder: Path, records: Path, budget: int | None
) -> list[Foreseen]:
    """Return a policy for each iteration.

    Args:
        name: of the workload.
        folder: for texts.
        records: the catalog of a run of the whole script in which everything was stored.

    Raises:
        HelixError: the program was not solved.
    """
    planned = [_planned(name, version, folder, records) for version in script]
    # Records count too, and are about as large at the end of any run of the script.
    return steps(planned, None if budget is None else max(0, budget - other_bytes(records, name)))


def steps(planned: Sequence[PlannedVersion], budget: int | None) -> list[Foreseen]:
    """Solve the program, and return its answer for each iteration."""
    return [
        Foreseen({node.name: node for node in version.nodes}, keep)
        for version, (_, keep) in zip(planned, foresee(planned, budget).steps, strict=True)
    ]


@dataclass
class _Recording:
    """A policy that records its last problem."""

    problem: PlanningProblem | None = None
    name: str = "recording"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        self.problem = problem
        return NEVER.decide(problem)


def _planned(name: str, version: Version, folder: Path, records: Path) -> PlannedVersion:
    """Return the nodes of a version with their recorded costs, as if nothing were stored. Starts no session."""
    policy = _Recording()
    with hx.Helix(records, policy=policy, observer=hx.Silent()) as helix:
        helix.plan(load_workflow(write_texts(name, version, folder)[0], version.settings))
    assert policy.problem is not None
    nodes = tuple(replace(node, stored=False) for node in policy.problem.nodes)
    return PlannedVersion(nodes, policy.problem.outputs)
