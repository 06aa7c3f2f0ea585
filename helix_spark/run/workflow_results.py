"""The results of a workflow's run, as keeping them needs it: what they cost by what the run measured, which can be
stored, and how they are.

What a run reads, sources and files of `depends_on`, must have held the data that was signed from when that was signed
until the last reader was done: of what changed meanwhile nobody knows what was made of it, whatever it holds now.
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
    """The results of a workflow's run.

    Attributes:
        changes: what changed while the iteration ran, in sentences, as far as is known.
    """

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
        seconds = {name: one.warm_seconds for name, one in run.times.items() if one.warm_seconds is not None}
        again = seconds_to_have_again(run.dag, seconds, self._at_hand)
        computed = {name: took for name, took in seconds.items() if run.plan[name].state is State.COMPUTE}
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
        """Names of the results whose rows are in memory, so that writing them reads nothing."""
        outcome = self.run.outcome
        return frozenset(
            name for name, result in outcome.results.items()
            if name in outcome.pinned or isinstance(result, ModelResult | ValueResult)
            or (isinstance(result, TableResult) and result.at_hand)
        )

    # What may be stored -----------------------------------------------------------------------------------------------

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.run.chance.found) | self.run.dag.descendants(self.run.chance.found)

    @cached_property
    def uncertain(self) -> frozenset[str]:
        """The same, with instances and what is made of them."""
        random = self.run.chance.found.keys() | self.run.chance.instances
        return self.run.dag.descendants(random).union(random)

    @cached_property
    def drawn_once(self) -> frozenset[str]:
        """Instances whose rows Spark has not kept, and what it would make of them: writing or reading that would make
        another instance."""
        again = unsettled_nodes(self.run.plan, self.run.outcome)
        instances = self.run.chance.instances.union(
            node.name for node in self.run.dag.nodes if node.wishes.fixed or self.run.plan[node.name].is_instance
        )
        return frozenset(
            name for name in again if not instances.isdisjoint({name, *self.run.dag.upstream_within([name], again)})
        )

    @cached_property
    def void(self) -> frozenset[str]:
        """Results made of data that changed while the iteration ran, or under other settings; they stand for no
        signature."""
        for name in self._data.names:
            if (how := self._data.change(name)) is not None:
                is_source = isinstance(self.run.dag[name].operator, Read)
                what = f"source `{name}`" if is_source else f"what `{name}` depends on"
                self._warn(f"{what} changed while the iteration ran ({how}): nothing made of it is kept")
        left = self.run.outcome.left  # all that it computed may rest on other settings than it is signed for
        for name, what in left.items():
            remedy = "set it back before it returns, or have the session start with it"
            self._warn(f"`{name}` leaves the setting {what}: nothing that this run computed is kept ({remedy})")
        under_others = (node.name for node in self.run.plan.nodes if left and node.state is State.COMPUTE)
        changed = self.run.outcome.changed
        for name, (what, by) in changed.items():
            who = named([one.name for one in self.run.dag.nodes if one.name in by], 3) or "another function"
            self._warn(
                f"`{name}` is not kept, nor {who}, nor what is made of these: before it was computed, one of them had "
                f"changed what it reads ({what}); return that from there, as an input"
            )
        # Where what changed it was reused, it would be computed with what was there before.
        leaving = {*changed}.union(*(by for _, by in changed.values()))
        return self._data.void.union(under_others, leaving, self.run.dag.descendants(leaving))

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
        had = {
            name for name, result in lasting(self.run.outcome).items()
            if not isinstance(result, TableResult)
            # What was loaded and is not pinned would be written from nothing but its own files.
            or not ((result.loaded and not result.pinned) or (failed and not result.in_memory))
        }
        stored = {node.name for node in self.run.plan.nodes if node.stored}
        return frozenset(had - self.spoiled - self.drawn_once - self.void - stored)

    def _check_unmoved(self, name: str) -> None:
        """Raise CatalogError if files have changed from which a table was read again while it was written."""
        result = self.run.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for reader in self._data.below(name):
            if (how := self._data.change(reader)) is not None:
                raise CatalogError(f"what `{reader}` reads changed while it was written ({how})")


def seconds_to_have_again(dag: Dag, seconds: Mapping[str, float], at_hand: Collection[str]) -> dict[str, float]:
    """Return the seconds that writing each result of this run would compute again, by name.

    A lazy table that is not persisted comes from its inputs again, up to what is in memory. A table that columns extend
    is made once for all of them: it counts with its other readers, not with each column.
    """
    again: dict[str, float] = {}
    for node in dag.nodes:
        if node.name in seconds and node.name not in at_hand:
            inputs = (name for name in dict.fromkeys(node.inputs) if name != node.base)
            again[node.name] = seconds[node.name] + sum(again.get(name, 0.0) for name in inputs)
    return again


class DataRead:
    """The data that one run read itself: results from the catalog or from memory were made of the signed data.

    Of a table that memory holds as collected rows alone, Spark computes the DataFrame again for its readers.
    """

    def __init__(self, run: Run) -> None:
        self._dag, self._plan, self._described, self._outcome = run.dag, run.plan, run.described, run.outcome
        self._changes: dict[str, str] = {}
        self._looked_into: set[Readable] = set()
        anew = [node.name for node in self._dag.nodes if self._is_computed_anew(node)]
        self._again = frozenset(anew).union(*map(self._dag.ancestors, anew))

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes that read something whose data may change under them."""
        return tuple(node.name for node in self._dag.nodes if self._reads(node.name))

    def below(self, name: str) -> Iterator[str]:
        """Yield those that are read once more where a table is computed again, as when it is written, or may be."""
        above = self._dag.ancestors(name) | {name}
        return (one for one in self.names if one in above)

    def change(self, name: str) -> str | None:
        """Say what was done to the data that a node reads since it was signed; None if nothing was.

        A change stays one, also where all is put back. Files are read, once each: a disk on the network may keep no
        time of change.
        """
        for one in self._reads(name) if name not in self._changes else ():
            if (how := self._change(name, one)) is not None:
                self._changes[name] = how
                break
        return self._changes.get(name)

    @property
    def void(self) -> frozenset[str]:
        """Nodes that read changed data, as far as that is known, and nodes whose results are made of it."""
        found: set[str] = set()
        for node in self._dag.nodes:
            made_here = self._plan[node.name].state is State.COMPUTE or node.name in self._again
            if node.name in self._changes or (made_here and not found.isdisjoint(node.inputs)):
                found.add(node.name)
        return frozenset(found)

    def _change(self, name: str, one: SignedData) -> str | None:
        how, opened = one.changed(contents=one.source not in self._looked_into), self._outcome.opened.get(name)
        self._looked_into.add(one.source)
        if opened is None or isinstance(one.source, Path):
            return how
        return one.identity.change(opened) or how

    def _reads(self, name: str) -> tuple[SignedData, ...]:
        """Return what a node read in this run that may change under it."""
        computed = name in self._outcome.results and self._plan[name].state is State.COMPUTE
        if not computed and name not in self._again:
            return ()
        return tuple(one for one in self._described[name].reads if _may_change(one.source))

    def _is_computed_anew(self, node: Node) -> bool:
        """Return whether memory holds a table's rows, and Spark computes them again for a reader of this run."""
        result = self._outcome.results.get(node.name)
        if self._plan[node.name].state is not State.LOAD or not isinstance(result, TableResult):
            return False
        return result.collected and result.through_frame and not result.in_memory and any(
            self._plan[name].state is State.COMPUTE and not collects(self._dag[name], node.name)
            for name in self._dag.readers(node.name)
        )


def _may_change(what: Readable) -> bool:
    """Return whether data may change: not copied tables in memory, nor what the author names the version of."""
    return isinstance(what, Path | DeltaSource) or (isinstance(what, FileSource) and what.version is None)
