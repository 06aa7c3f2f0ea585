"""What is to be computed is called, also where its plan is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from helix_spark.capture.capture_nodes import builds_as_planned, with_uncalled_called
from helix_spark.dag.node import Dag, Node
from helix_spark.iteration.deciding import plan_again
from helix_spark.iteration.preparation import declare
from helix_spark.iteration.run import Run
from helix_spark.planner.problem import State


def call_what_computes(run: Run) -> Run:
    """Calls the functions that are to be computed and were not called, as their plans are on record. Where one builds
    another plan by now, all is planned again by what functions build.

    Raises:
        WorkflowError, SignatureError, SourceError, CatalogError, PlanError: see there.
    """
    computed = (node for node in run.dag.nodes if run.plan[node.name].state is State.COMPUTE)
    called = {node.name: made for node in computed if (made := with_uncalled_called(node)) is not node}
    if not called:
        return run
    others = {name for name, made in called.items() if not builds_as_planned(run.dag[name], made)}
    if not others:
        return replace(run, whole=_with_operators(run.whole, called), dag=_with_operators(run.dag, called))
    return call_what_computes(plan_again(declare(replace(run, distrusted=run.distrusted | others))))


def _with_operators(dag: Dag, of: Mapping[str, Node]) -> Dag:
    """A graph with the operators of other nodes, by name."""
    nodes = (replace(one, operator=of[one.name].operator) if one.name in of else one for one in dag.nodes)
    return replace(dag, nodes=tuple(nodes))
