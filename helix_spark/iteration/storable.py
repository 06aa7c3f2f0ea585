"""Which results of a run may be stored: what is of known data, is what the run answered with, and is there to write."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.execution.outcome import Outcome, lasting
from helix_spark.engine.results.results import TableResult
from helix_spark.errors import CatalogError
from helix_spark.iteration.preparation import Prepared
from helix_spark.iteration.read_sources import ReadSources
from helix_spark.iteration.settling import names_at_hand
from helix_spark.iteration.unread_columns import candidates
from helix_spark.planner.plan import Plan, PlannedNode
from helix_spark.planner.problem import State


@dataclass(frozen=True)
class Storable:
    """What may be stored of what a run has come to.

    Attributes:
        random: names of the nodes of which the run found that their own result may differ each time.
    """

    prepared: Prepared
    plan: Plan
    outcome: Outcome
    random: Collection[str]
    observer: Observer

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Names of the results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.random) | self.prepared.dag.descendants(self.random)

    @cached_property
    def drawn_once(self) -> frozenset[str]:
        """Names of the fixed tables whose rows Spark has not kept: whoever writes them, or reads them later on, would
        have them drawn once more."""
        drawn = {
            node.name: self.outcome.results.get(node.name) for node in self.prepared.dag.nodes
            if node.wishes.fixed and self.plan[node.name].state is State.COMPUTE
        }
        return frozenset(
            name for name, result in drawn.items()
            if isinstance(result, TableResult) and result.through_frame and name not in self.outcome.pinned
        )

    @property
    def not_to_be_held(self) -> frozenset[str]:
        """Names of the results that no later run may find in memory."""
        return self.spoiled | self.drawn_once

    @cached_property
    def of_moved_sources(self) -> frozenset[str]:
        """Names of the sources whose data changed while the iteration ran, and of all that is made of them: nobody
        knows which data they are of."""
        moved = frozenset(name for name in self._sources.names if self._sources.has_moved(name))
        for name in sorted(moved):
            self.observer.warning(f"source `{name}` changed while the iteration ran: nothing made of it is kept")
        return moved | self.prepared.dag.descendants(moved)

    @cached_property
    def _sources(self) -> ReadSources:
        return ReadSources(self.prepared.dag, self.plan, self.prepared.described, self.outcome.results)

    def narrowable(self) -> tuple[str, ...]:
        """Names of the tables that may be stored without some of their columns."""
        varying = self.spoiled.union(node.name for node in self.plan.nodes if node.random)
        return candidates(self.prepared, self.outcome.results, varying)

    def wanted(self, plan: Plan) -> list[PlannedNode]:
        """What is to be written. After a failure nothing that would first have to be computed for it: the plans of lazy
        tables are there long before their rows, and nobody waits for rows that a run did not get to."""
        had = {
            name for name, result in lasting(self.outcome).items()
            if not (isinstance(result, TableResult) and result.only_in_its_files)
        } - self.spoiled - self.drawn_once - self.of_moved_sources
        if self.outcome.failure is not None:
            had = {name for name in had if self._is_in_memory(name)}
        return [node for node in plan.nodes if node.keep and not node.stored and node.name in had]

    def _is_in_memory(self, name: str) -> bool:
        result = self.outcome.results[name]
        return not isinstance(result, TableResult) or result.in_memory

    @cached_property
    def at_hand(self) -> frozenset[str]:
        """Names of the results that are written from memory; the others' inputs may be read once more."""
        return names_at_hand(self.outcome)

    def read_by_writes(self, plan: Plan) -> frozenset[str]:
        """Signatures of the stored tables that what is to be written is made from once more: a run had them, but not in
        memory. If one of these is to go, it goes when all is written."""
        elsewhere = self.outcome.results.keys() - self.at_hand
        written = [node.name for node in self.wanted(plan) if node.name in elsewhere]
        read = self.prepared.dag.upstream_within(written, elsewhere)
        return frozenset(plan[name].signature for name in read if plan[name].state is State.LOAD)

    def check_unmoved(self, name: str) -> None:
        """A table that was not in memory was read from its files once more while it was written.

        Raises:
            CatalogError: they have changed since.
        """
        result = self.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for source in self._sources.below(name):
            if self._sources.has_moved(source):
                raise CatalogError(f"source `{source}` changed while it was written")
