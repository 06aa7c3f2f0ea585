"""The results of a workflow's run for retention: their measured costs, which of them can be stored, and how.

Sources and files of `depends_on` must not change from the time that they are signed until their last reader is done.
Results of changed data are void, even if the data is put back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.costs.model import session_seconds
from helix_spark.dag.node import Dag, Node
from helix_spark.engine.execution.outcome import lasting, unsettled_nodes
from helix_spark.engine.execution.units import collects
from helix_spark.engine.results.node_results import ModelResult, TableResult, ValueResult
from helix_spark.engine.results.stored_results import Origin, StoringError, store
from helix_spark.errors import CatalogError
from helix_spark.identity.data_version import Readable, SignedData
from helix_spark.planner.problem import State
from helix_spark.planner.storage import PlanningProblem
from helix_spark.run.foresight import starts_of
from helix_spark.run.retention import Retention
from helix_spark.run.run import Run
from helix_spark.visible_text import named
from helix_spark.workflow.operators import Read
from helix_spark.workflow.sources import DeltaSource, FileSource


class WorkflowResults(Retention):
    """The results of a workflow's run. `changes` are sentences on changes of data and settings while it ran."""

    def __init__(self, run: Run) -> None:
        tools = run.tools
        super().__init__(
            run.record.number, run.records, tools.catalog, tools.observer.warning, tools.policy,
            {run.plan[node.name].signature: node.wishes for node in run.dag.nodes},
        )
        self.run = run
        self.changes = list[str]()

    @cached_property
    def base(self) -> PlanningProblem:
        run, problem = self.run, self.run.situation.problem
        seconds = {name: time.warm_seconds for name, time in run.times.items() if time.warm_seconds is not None}
        again = seconds_to_write(run.dag, seconds, self._at_hand)
        computed = {name: warm for name, warm in seconds.items() if run.plan[name].state is State.COMPUTE}
        nodes = tuple(
            replace(
                node, compute_seconds=computed.get(node.name, node.compute_seconds),
                write_seconds=node.write_seconds + again.get(node.name, 0.0),
                held=node.signature in run.tools.memory.signatures,
            )
            for node in problem.nodes
        )
        starts = (*starts_of(run.view), *filter(None, [run.start_seconds]))
        return replace(problem, nodes=nodes, budget=run.plan.budget, start_price=session_seconds(starts))

    @property
    def states(self) -> dict[str, State]:
        return {node.name: node.state for node in self.run.plan.nodes}

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        return map(self._write, origins)

    def drop(self, signature: str) -> None:
        self.run.tools.memory.drop(signature)

    def _write(self, origin: Origin) -> ArtifactRecord | None:
        """Store the result of a node, and release its lease; return None if it cannot be stored."""
        tools, name = self.run.tools, origin.node
        tools.observer.storing(name)
        try:
            return store(
                self.run.outcome.results[name], replace(origin, at_hand=name in self._at_hand), tools.catalog,
                lambda: self._check_unchanged(name),
            )
        except StoringError as error:
            tools.observer.warning(error.what)
            return None
        finally:
            self.run.leases.release(origin.signature)

    @cached_property
    def _at_hand(self) -> frozenset[str]:
        """Names of the results in memory, so that writing them reads nothing."""
        outcome = self.run.outcome
        return frozenset(
            name for name, result in outcome.results.items()
            if name in outcome.pinned or isinstance(result, ModelResult | ValueResult)
            or (isinstance(result, TableResult) and result.at_hand)
        )

    # Results that may be stored ---------------------------------------------------------------------------------------

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Nondeterministic results and their descendants."""
        return frozenset(self.run.chance.found) | self.run.dag.descendants(self.run.chance.found)

    @cached_property
    def uncertain(self) -> frozenset[str]:
        """Nondeterministic results, instances, and the descendants of both."""
        random = self.run.chance.found.keys() | self.run.chance.instances
        return self.run.dag.descendants(random).union(random)

    @cached_property
    def drawn_once(self) -> frozenset[str]:
        """Instances whose rows Spark has not kept, and tables made from them: another read gives another instance."""
        unsettled = unsettled_nodes(self.run.plan, self.run.outcome)
        instances = self.run.chance.instances.union(
            node.name for node in self.run.dag.nodes if node.wishes.fixed or self.run.plan[node.name].is_instance
        )
        return frozenset(
            name for name in unsettled
            if not instances.isdisjoint({name, *self.run.dag.upstream_within([name], unsettled)})
        )

    @cached_property
    def void(self) -> frozenset[str]:
        """Results of data that changed meanwhile, or of other settings: not to be recorded under their signatures."""
        for name in self._data.names:
            if (change := self._data.change(name)) is not None:
                is_source = isinstance(self.run.dag[name].operator, Read)
                data = f"source `{name}`" if is_source else f"the data that `{name}` depends on"
                self._warn(f"{data} changed while the iteration ran ({change}): nothing made of it is kept")
        settings = self.run.outcome.left  # all results of this run may have been computed under them
        for name, setting in settings.items():
            remedy = "reset it before the function returns, or start the session with it"
            self._warn(f"`{name}` leaves the setting {setting}: nothing that this run computed is kept ({remedy})")
        under_settings = (node.name for node in self.run.plan.nodes if settings and node.state is State.COMPUTE)
        changed = self.run.outcome.changed
        for name, (value, changers) in changed.items():
            suspects = named([node.name for node in self.run.dag.nodes if node.name in changers], 3)
            self._warn(
                f"`{name}` is not kept, nor {suspects or 'another function'}, nor their descendants: one of these "
                f"changed what `{name}` reads before it was computed ({value}); return the value there, as an input"
            )
        # If a changer was reused, the node would be computed with the previous value.
        affected = {*changed}.union(*(changers for _, changers in changed.values()))
        return self._data.void.union(under_settings, affected, self.run.dag.descendants(affected))

    def _warn(self, sentence: str) -> None:
        self.changes.append(sentence)
        self.run.tools.observer.warning(sentence)

    @cached_property
    def _data(self) -> DataRead:
        return DataRead(self.run)

    @property
    def writable(self) -> frozenset[str]:
        """Names of the results that can be stored; after a failure only those in memory."""
        failed = self.run.outcome.failure is not None
        results = {
            name for name, result in lasting(self.run.outcome).items()
            if not isinstance(result, TableResult)
            # A loaded table that is not pinned would be written from its own files.
            or not ((result.loaded and not result.pinned) or (failed and not result.in_memory))
        }
        stored = {node.name for node in self.run.plan.nodes if node.stored}
        return frozenset(results - self.spoiled - self.drawn_once - self.void - stored)

    def _check_unchanged(self, name: str) -> None:
        """Raise CatalogError if files changed that were read again to write a table."""
        result = self.run.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for reader in self._data.readers_above(name):
            if (change := self._data.change(reader)) is not None:
                raise CatalogError(f"the data that `{reader}` reads changed while it was written ({change})")


def seconds_to_write(dag: Dag, seconds: Mapping[str, float], at_hand: Collection[str]) -> dict[str, float]:
    """Return the seconds of repeated computations for writing each result of this run, by name.

    A lazy table that is not persisted is computed again from its inputs, up to results in memory. A table that columns
    extend is computed once for all of them: its seconds count for its other readers, not for each column.
    """
    again: dict[str, float] = {}
    for node in dag.nodes:
        if node.name in seconds and node.name not in at_hand:
            inputs = (name for name in dict.fromkeys(node.inputs) if name != node.base)
            again[node.name] = seconds[node.name] + sum(again.get(name, 0.0) for name in inputs)
    return again


class DataRead:
    """The data that one run read itself, and its changes. Reused results were computed from the signed data.

    If memory has only the collected rows of a table, Spark computes its DataFrame again for its readers.
    """

    def __init__(self, run: Run) -> None:
        self._dag, self._plan, self._described, self._outcome = run.dag, run.plan, run.described, run.outcome
        self._changes: dict[str, str] = {}
        self._checked_contents: set[Readable] = set()
        frames = [node.name for node in self._dag.nodes if self._is_computed_again(node)]
        self._again = frozenset(frames).union(*(self._dag.ancestors[name] for name in frames))

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes that read data that may change."""
        return tuple(node.name for node in self._dag.nodes if self._reads(node.name))

    def readers_above(self, name: str) -> Iterator[str]:
        """Yield the nodes whose data is read again if a table is computed again, as for writing it."""
        above = self._dag.ancestors[name] | {name}
        return (reader for reader in self.names if reader in above)

    def change(self, name: str) -> str | None:
        """Describe the change of a node's data since it was signed, even if the data was put back; None for no change.
        The content of each file is compared once, as a network disk may not record times of change."""
        for data in self._reads(name) if name not in self._changes else ():
            if (change := self._change(name, data)) is not None:
                self._changes[name] = change
                break
        return self._changes.get(name)

    @property
    def void(self) -> frozenset[str]:
        """Nodes that are known to have read changed data, and their descendants in this run."""
        void: set[str] = set()
        for node in self._dag.nodes:
            is_computed = self._plan[node.name].state is State.COMPUTE or node.name in self._again
            if node.name in self._changes or (is_computed and not void.isdisjoint(node.inputs)):
                void.add(node.name)
        return frozenset(void)

    def _change(self, name: str, data: SignedData) -> str | None:
        change = data.changed(contents=data.source not in self._checked_contents)
        self._checked_contents.add(data.source)
        opened = self._outcome.opened.get(name)
        if opened is None or isinstance(data.source, Path):
            return change
        return data.identity.change(opened) or change

    def _reads(self, name: str) -> tuple[SignedData, ...]:
        """Return the data that may change and that a node read in this run."""
        is_computed = name in self._outcome.results and self._plan[name].state is State.COMPUTE
        if not is_computed and name not in self._again:
            return ()
        return tuple(data for data in self._described[name].reads if _may_change(data.source))

    def _is_computed_again(self, node: Node) -> bool:
        """Return whether memory has a table's rows, but Spark computes them again for a reader in this run."""
        result = self._outcome.results.get(node.name)
        if self._plan[node.name].state is not State.LOAD or not isinstance(result, TableResult):
            return False
        return result.collected and result.through_frame and not result.in_memory and any(
            self._plan[name].state is State.COMPUTE and not collects(self._dag[name], node.name)
            for name in self._dag.readers(node.name)
        )


def _may_change(source: Readable) -> bool:
    """Return whether data may change: not tables copied from memory, nor sources whose author declares a version."""
    return isinstance(source, Path | DeltaSource) or (isinstance(source, FileSource) and source.version is None)
