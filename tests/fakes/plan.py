"""A plan by names, without costs and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from helix_spark.costs.model import EstimateSource
from helix_spark.dag.node import Dag
from helix_spark.planner.problem import State


@dataclass
class Planned:
    """What `units` and `pins` read of a planned node."""

    state: State
    output: bool = False
    keep: bool = False
    stored: bool = False
    held: bool = False
    random: tuple[str, ...] = ()
    origin: EstimateSource = EstimateSource.MEASURED


@dataclass
class FakePlan:
    """A plan by name: everything is computed unless said otherwise."""

    dag: Dag
    states: dict[str, State] = field(default_factory=dict)
    keep: frozenset[str] = frozenset()
    guessed: frozenset[str] = frozenset()
    random: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Planned:
        return Planned(
            self.states.get(name, State.COMPUTE), name in self.dag.outputs, name in self.keep,
            random=(name,) if name in self.random else (),
            origin=EstimateSource.KIND if name in self.guessed else EstimateSource.MEASURED,
        )
