"""The policy that knows a script of edits beforehand, in a real session: what could be kept for it at best.

Another driver runs the whole script beforehand and stores everything: that measures every result of every version. Then
all versions are declared anew against those records, so that each has its signatures, seconds and bytes, and one
program over all iterations says what to keep after each (`simulation.oracle`). Its costs are of another run of
the same work, and it knows nothing of what the session still holds in memory: so it is no bound on single runs, but a
measure of what foresight of the edits is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import helix_spark as hx
from benchmarks.iterating.systems import workflow_of, write_texts
from benchmarks.scripts.edit import Version
from helix_spark.catalog.catalog import Catalog
from helix_spark.planner.joint import NEVER
from helix_spark.planner.problem import plan_execution
from helix_spark.planner.storage import Decision, NodeCosts, PlanningProblem, execution_problem
from tests.simulation.oracle import Foresight, foresee
from tests.simulation.oracle import Version as PlannedVersion


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One iteration's part of what was foreseen, as a policy.

    Attributes:
        nodes: as they were measured, by name.
        keep: signatures that are kept after the iteration.
    """

    nodes: dict[str, NodeCosts]
    keep: frozenset[str]
    name: str = "oracle"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`: the best states for what is stored and held, by measured costs; storage as foreseen."""
        nodes = tuple(self._measured(node) for node in problem.nodes)
        solution = problem.done or plan_execution(execution_problem(replace(problem, nodes=nodes)))
        # By name: a signature may be known by another one only since this run found the two to be equal.
        keep = {
            node.signature for node in problem.nodes
            if node.name in self.nodes and self.nodes[node.name].signature in self.keep
            and (node.stored or node.name in solution.chosen)
        }
        stored = {node.signature for node in problem.nodes if node.stored}
        stored |= {other.signature for other in problem.others}
        evict = stored - keep - self.keep
        reasons = dict.fromkeys(keep, "kept: a later iteration needs it")
        reasons |= dict.fromkeys(evict, "evicted: no later iteration needs it enough")
        return Decision(solution, frozenset(keep), frozenset(evict), solution.certificate, reasons)

    def _measured(self, node: NodeCosts) -> NodeCosts:
        known = self.nodes.get(node.name)
        return node if known is None else replace(
            node, compute_seconds=known.compute_seconds, load_seconds=known.load_seconds, bytes=known.bytes,
        )


def foreseen(
    name: str, script: Sequence[Version], folder: Path, records: Path, budget: int | None
) -> list[Foreseen]:
    """A policy an iteration.

    Args:
        name: of the workload.
        folder: for texts.
        records: the catalog of a run of the whole script in which everything was stored.

    Raises:
        HelixError: the program was not solved.
    """
    catalog = Catalog.open(records, create=False)
    planned = [_planned(name, version, folder, records) for version in script]
    view = catalog.snapshot(name)
    # What is not results counts too, and is about as large at the end of any run of the script.
    return steps(planned, None if budget is None else max(0, budget - view.other_bytes))


def steps(planned: Sequence[PlannedVersion], budget: int | None) -> list[Foreseen]:
    """The program's answer, an iteration each."""
    answer: Foresight = foresee(planned, budget)
    return [
        Foreseen({node.name: node for node in version.nodes}, keep)
        for version, (_, keep) in zip(planned, answer.steps, strict=True)
    ]


@dataclass
class _Asked:
    """A policy that remembers what it was asked last."""

    problem: PlanningProblem | None = None
    name: str = "asked"

    def decide(self, problem: PlanningProblem) -> Decision:
        """See `Policy.decide`."""
        self.problem = problem
        return NEVER.decide(problem)


def _planned(name: str, version: Version, folder: Path, records: Path) -> PlannedVersion:
    """A version as the records know it, with nothing at hand. Starts no session."""
    asked = _Asked()
    with hx.Helix(records, policy=asked, observer=hx.Silent()) as helix:
        helix.plan(workflow_of(write_texts(name, version, folder)[0], version))
    assert asked.problem is not None
    nodes = tuple(replace(node, stored=False) for node in asked.problem.nodes)
    return PlannedVersion(nodes, asked.problem.outputs)
