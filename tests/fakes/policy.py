"""A policy that loads whatever is stored."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from helix_spark.planner.joint import policy_named
from helix_spark.planner.storage import Decision, PlanningProblem, Policy


@dataclass(frozen=True)
class LoadsGladly:
    """Stores as another policy does, and takes loading to cost nothing: small tables are computed sooner than loaded,
    and how much sooner depends on the machine that the tests run on."""

    stores: Policy = field(default_factory=lambda: policy_named("always"))

    @property
    def name(self) -> str:
        return self.stores.name

    def decide(self, problem: PlanningProblem) -> Decision:
        nodes = tuple(replace(node, load_seconds=0.0) for node in problem.nodes)
        return self.stores.decide(replace(problem, nodes=nodes))


def loading(policy: str) -> Policy:
    """Return the named policy, loading whatever is stored."""
    return LoadsGladly(policy_named(policy))
