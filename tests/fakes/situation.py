"""What a planner knows of a workflow that never ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import helix_spark as hx
from helix_spark.costs.forecast import forecast
from helix_spark.costs.model import estimate, session_seconds
from helix_spark.dag.compilation import compile_workflow, merge_equal
from helix_spark.identity.signing import describe, resolve
from helix_spark.planner.planning import KnownNode, Situation
from helix_spark.planner.storage import PlanningProblem, scenarios


def situation(
    wf: hx.Workflow, *, budget: int | None = None, session_runs: bool = True, session_worked: bool = True,
    recorded: Mapping[str, int] = MappingProxyType({}),
) -> Situation:
    dag = compile_workflow(wf)
    described = describe(dag, {})
    signed = resolve(dag, described, run="run", equivalent={}, known_random={})
    names = {name: own.signature for name, own in signed.items()}
    merged = merge_equal(dag, names)
    costs = estimate(merged, names, {}, {}, {}, {})
    nodes = tuple(
        KnownNode(node, described[node.name], signed[node.name], costs[node.name]) for node in merged.nodes
    )
    ahead = PlanningProblem(
        (), frozenset(), budget, horizon=2.0, start_price=session_seconds(()),
        session_seconds=session_seconds((), runs=session_runs, worked=session_worked),
        scenarios=scenarios(forecast({node.name: node.kind for node in merged.nodes}), {}),
    )
    return Situation(merged, nodes, 4, ahead, session_runs, recorded=recorded)


def with_nodes(now: Situation, *names: str, **known: Any) -> Situation:
    """The same, where something else is known of these nodes."""
    return replace(now, nodes=tuple(replace(one, **known) if one.name in names else one for one in now.nodes))
