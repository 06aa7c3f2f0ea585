"""The results of a workflow's run, as keeping them needs it: what they cost by what the run measured, which can be
stored, and how they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.costs.model import Costs, EstimateSource
from helix_spark.dag.node import Dag
from helix_spark.engine.execution.outcome import Outcome, lasting
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.engine.results.storing import Origin, StoringError, store
from helix_spark.errors import CatalogError
from helix_spark.planner.planning import planning_problem
from helix_spark.planner.problem import Derivation, State
from helix_spark.planner.storage import PlanningProblem
from helix_spark.run.data_read import DataRead
from helix_spark.run.foresight import others_among
from helix_spark.run.retention import Retention, states_done
from helix_spark.run.run import Run
from helix_spark.workflow.operators import Read


class WorkflowResults(Retention):
    """The results of a workflow's run.

    Args:
        run: once it is known what it took.

    Attributes:
        changes: what changed while the iteration ran, in sentences, as far as is known.
    """

    def __init__(self, run: Run) -> None:
        tools = run.tools
        super().__init__(
            run.plan.workflow, run.record.number, run.view, tools.catalog, tools.observer, tools.policy,
            run.plan.budget, {run.plan[node.name].signature: node.wishes for node in run.dag.nodes},
        )
        self.run = run
        self.changes = dict[str, str]()

    def problem(
        self, live: Collection[ArtifactRecord], overhead: int, sizes: Mapping[str, int], *, to_write: bool
    ) -> PlanningProblem:
        run, plan, situation = self.run, self.run.plan, self.run.situation
        seconds = {one.name: one.time.warm_seconds for one in run.nodes if one.time.warm_seconds is not None}
        again = seconds_to_have_again(run.dag, seconds, self._at_hand)
        held, stored = run.tools.memory.held, {record.signature: record for record in live}
        nodes = tuple(
            replace(one, held=one.signature in held, artifact=stored.get(one.signature), costs=_measured(
                one.costs, seconds.get(one.name) if plan[one.name].state is State.COMPUTE else None,
                again.get(one.name, 0.0), sizes.get(one.name),
            ))
            for one in situation.nodes
        )
        starts = (*situation.starts, run.start_seconds) if run.start_seconds else situation.starts
        others = others_among(live, {one.signature for one in nodes}, situation.lineage, run.records)
        done = states_done({
            node.name: Derivation(
                node.name, node.state, node.inputs if node.state is State.COMPUTE else (), seconds.get(node.name, 0.0)
            )
            for node in plan.nodes if to_write and node.state is not State.PRUNE
        })
        return planning_problem(replace(situation, nodes=nodes, overhead=overhead, others=others, starts=starts), done)

    def read_by_writes(self, names: Collection[str]) -> frozenset[str]:
        elsewhere = self.run.outcome.results.keys() - self._at_hand
        read = self.run.dag.upstream_within([name for name in names if name in elsewhere], elsewhere)
        planned = (self.run.plan[name] for name in read)
        return frozenset(node.signature for node in planned if node.state is State.LOAD)

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        return map(self._write, origins)

    def drop(self, signature: str) -> None:
        self.run.tools.memory.drop(signature)

    def _write(self, origin: Origin) -> ArtifactRecord | None:
        """Store the result of a node, and release its lease; None where it cannot be stored."""
        tools, name = self.run.tools, origin.node
        tools.observer.storing(name)
        try:
            return store(
                self.run.outcome.results[name], replace(origin, at_hand=name in self._at_hand), tools.catalog,
                lambda: self._check_unmoved(name),
            )
        except StoringError as error:
            tools.observer.warning(error.what)
            return None
        finally:
            self.run.leased.release(origin.signature)

    @cached_property
    def _at_hand(self) -> frozenset[str]:
        return names_at_hand(self.run.outcome)

    # What may be stored -----------------------------------------------------------------------------------------------

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.run.chance.found) | self.run.dag.descendants(self.run.chance.found)

    @cached_property
    def drawn_once(self) -> frozenset[str]:
        """Fixed tables whose rows Spark has not kept: writing or reading them would draw again."""
        drawn = {
            node.name: self.run.outcome.results.get(node.name) for node in self.run.dag.nodes
            if node.wishes.fixed and self.run.plan[node.name].state is State.COMPUTE
        }
        return frozenset(
            name for name, result in drawn.items()
            if isinstance(result, TableResult) and result.through_frame and name not in self.run.outcome.pinned
        )

    @property
    def not_to_be_held(self) -> frozenset[str]:
        """Results that no later run may find in memory, as far as can be told without reading files."""
        return self.spoiled | self.drawn_once | self._void(contents=False)

    @cached_property
    def void(self) -> frozenset[str]:
        """Results made of data that changed while the iteration ran, or under other settings; they stand for no
        signature."""
        return self._void(contents=True)

    def _void(self, *, contents: bool) -> frozenset[str]:
        for name in self._data.names:
            if (how := self._data.change(name, contents=contents)) is not None:
                is_source = isinstance(self.run.dag[name].operator, Read)
                what = f"source `{name}`" if is_source else f"what `{name}` depends on"
                self._warn(name, f"{what} changed while the iteration ran ({how}): nothing made of it is kept")
        return self._data.void | self._under_other_settings()

    def _under_other_settings(self) -> frozenset[str]:
        """Return what may have been computed under other settings than it is signed for: all of the run."""
        left = self.run.outcome.left
        for name, what in left.items():
            remedy = "set it back before it returns, or have the session start with it"
            kept = f"`{name}` leaves the setting {what}: nothing that this run computed is kept ({remedy})"
            self._warn(f"settings of {name}", kept)
        return frozenset(node.name for node in self.run.plan.nodes if left and node.state is State.COMPUTE)

    def _warn(self, key: str, sentence: str) -> None:
        """Warn of a change, once."""
        if key not in self.changes:
            self.changes[key] = sentence
            self.run.tools.observer.warning(sentence)

    @cached_property
    def _data(self) -> DataRead:
        return DataRead(self.run)

    @property
    def writable(self) -> frozenset[str]:
        """Names of the results that can be stored; after a failure only those in memory."""
        had = {
            name for name, result in lasting(self.run.outcome).items()
            if not (isinstance(result, TableResult) and result.only_in_its_files)
        } - self.spoiled - self.drawn_once - self.void - {node.name for node in self.run.plan.nodes if node.stored}
        return frozenset(had if self.run.outcome.failure is None else filter(self._is_in_memory, had))

    def _is_in_memory(self, name: str) -> bool:
        result = self.run.outcome.results[name]
        return not isinstance(result, TableResult) or result.in_memory

    def _check_unmoved(self, name: str) -> None:
        """Raise CatalogError if files have changed from which a table was read again while it was written."""
        result = self.run.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for reader in self._data.below(name):
            if (how := self._data.change(reader, contents=False)) is not None:
                raise CatalogError(f"what `{reader}` reads changed while it was written ({how})")


def seconds_to_have_again(dag: Dag, seconds: Mapping[str, float], at_hand: Collection[str]) -> dict[str, float]:
    """Return the seconds that writing each result of this run would compute again, by name.

    A lazy table that is not persisted comes from its inputs again, up to what is in memory. A table that columns extend
    is made once for all of them: it counts with its other readers, not with each column.

    Args:
        seconds: of each node that ran.
        at_hand: names of the results whose rows are in memory.
    """
    again: dict[str, float] = {}
    for node in dag.nodes:
        if node.name in seconds and node.name not in at_hand:
            inputs = (name for name in dict.fromkeys(node.inputs) if name != node.base)
            again[node.name] = seconds[node.name] + sum(again.get(name, 0.0) for name in inputs)
    return again


def names_at_hand(outcome: Outcome) -> frozenset[str]:
    """Return the names of the results whose rows are in memory, so that writing them reads nothing."""
    return frozenset(
        name for name, result in outcome.results.items()
        if name in outcome.pinned or isinstance(result, ModelResult | ValueResult)
        or (isinstance(result, TableResult) and result.at_hand)
    )


def _measured(costs: Costs, seconds: float | None, again: float, size: int | None) -> Costs:
    measured = replace(costs, write_seconds=costs.write_seconds + again)
    if seconds is not None:
        measured = replace(measured, compute_seconds=seconds, origin=EstimateSource.MEASURED)
    return measured if size is None else replace(measured, bytes=size, bytes_known=True)
