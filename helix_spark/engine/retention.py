"""What of a run is kept: stored, in place of what is evicted, and within the budget once all is recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.dag.node import Node
from helix_spark.engine.executor import Outcome, lasting
from helix_spark.engine.preparation import Prepared
from helix_spark.engine.results import TableResult
from helix_spark.engine.settling import settled
from helix_spark.engine.storing import NotStoredError, Origin, store
from helix_spark.engine.tools import Tools
from helix_spark.engine.unread_columns import candidates, unread_columns
from helix_spark.errors import CatalogError, SourceError
from helix_spark.planner.overflow import Held, overflow
from helix_spark.planner.plan import Plan
from helix_spark.planner.planning import Situation
from helix_spark.planner.serving import PlanReads
from helix_spark.signature.data_version import version_of
from helix_spark.workflow.operators import Read

OVERFLOW_ROUNDS = 3
"""An eviction is recorded as well, in some kilobytes, and may so ask for another one."""


DECISIONS = 3
"""How often it is decided what to keep while results turn out to be too large. What is known of sizes by then is
measured, mostly after one more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Physical bytes by node, of what a run wrote.

    Attributes:
        stored: of what is there.
        gone: of what is not: it turned out to be larger than the room that was left, or made room for something else.
    """

    stored: Mapping[str, int] = field(default_factory=dict)
    gone: Mapping[str, int] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """All that was learnt of sizes."""
        return {**self.gone, **self.stored}

    def then(self, more: Kept, evicted: Collection[str]) -> Kept:
        """After more was written.

        Args:
            evicted: names of what was stored and is not any more.

        >>> Kept({"a": 1, "b": 2}).then(Kept({"c": 3}, {"d": 4}), ["b"])
        Kept(stored={'a': 1, 'c': 3}, gone={'b': 2, 'd': 4})
        """
        stays = {name: size for name, size in self.stored.items() if name not in evicted}
        gone = {name: size for name, size in self.sizes.items() if name not in stays}
        return Kept({**stays, **more.stored}, {**gone, **more.gone})


@dataclass(frozen=True)
class Retention:
    """What a run keeps in the catalog.

    Attributes:
        iteration: its number.
        start_seconds: what starting Spark took in the run; 0 if it ran already, or was not needed.
        warm_seconds: of each node that ran, without what a young JVM takes longer.
        random: names of the nodes of which the run found that their own result may differ each time.
        leased: names of the leases that the run holds.
    """

    prepared: Prepared
    plan: Plan
    outcome: Outcome
    iteration: int
    start_seconds: float
    warm_seconds: Mapping[str, float]
    random: Collection[str]
    leased: tuple[str, ...]
    tools: Tools

    @cached_property
    def spoiled(self) -> frozenset[str]:
        """Names of the results that may differ each time, by themselves or by what they are made of."""
        return frozenset(self.random) | self.prepared.dag.descendants(self.random)

    @cached_property
    def of_moved_sources(self) -> frozenset[str]:
        """Names of the sources whose data changed while the iteration ran, and of all that is made of them: nobody
        knows which data they are of."""
        had = self.outcome.results
        moved = [node for node in self.prepared.dag.nodes if node.name in had and self._has_moved(node)]
        for node in moved:
            self.tools.observer.warning(
                f"source `{node.name}` changed while the iteration ran: nothing made of it is kept"
            )
        names = frozenset(node.name for node in moved)
        return names | self.prepared.dag.descendants(names)

    def narrowable(self) -> tuple[str, ...]:
        """Names of the tables that may be stored without some of their columns."""
        varying = self.spoiled.union(node.name for node in self.plan.nodes if node.random)
        return candidates(self.prepared, self.outcome.results, varying)

    def keep(self, reads: PlanReads) -> Kept:
        """Decides what to keep on what is known by now, evicts and stores. What turns out to be too large leaves its
        room to others, so that it is decided once more.

        Args:
            reads: what this run was told of the columns that functions read, beside that on record.
        """
        kept = Kept()
        for _ in range(DECISIONS):
            plan = self._settled(kept)
            more = self.store(plan, reads)
            kept = kept.then(more, [name for name in kept.stored if self.plan[name].signature in plan.evict])
            if not more.gone:
                break
        return kept

    def _settled(self, kept: Kept) -> Plan:
        """The plan with storage decided on what is known by now; what the run itself has recorded takes its room.

        Args:
            kept: what this run has stored already.
        """
        tools, situation = self.tools, self.prepared.situation
        if self.start_seconds:
            situation = replace(situation, starts=(*situation.starts, self.start_seconds))
        if situation.budget is not None:
            live = tools.catalog.live()
            situation = replace(situation, overhead=tools.catalog.bytes_used() - sum(record.bytes for record in live))
            if kept.sizes:
                situation = _as_stored_now(situation, live)
        prepared = replace(self.prepared, situation=situation)
        return settled(
            prepared, self.plan, self.outcome, self.warm_seconds, tools.policy, tools.memory.held, kept.sizes
        )

    def store(self, plan: Plan, reads: PlanReads) -> Kept:
        """Evicts and stores what a plan says. Argument as for `keep`."""
        for signature, why in plan.evict.items():
            self._evict(signature, why)
        spoiled = self.spoiled | self.of_moved_sources
        had = lasting(self.outcome).keys() - spoiled
        wanted = [node for node in plan.nodes if node.keep and not node.stored and node.name in had]
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = self.tools.catalog.live_among([node.signature for node in wanted])
        narrow, told = self.narrowable(), {**self.prepared.told, **reads}
        stored: dict[str, int] = {}
        gone: dict[str, int] = {}
        for node in wanted:
            before = there.get(node.signature)
            left_out: tuple[str, ...] = ()
            if node.name in narrow:
                left_out = unread_columns(
                    node.name, before, self.prepared, self.outcome.results, told, self.tools.catalog
                )
            if before is not None and set(before.left_out) <= set(left_out):
                stored[node.name] = before.bytes
            elif (record := self._store_one(node.name, plan, left_out)) is not None:
                fits = self._fits(record)
                (stored if fits else gone)[node.name] = record.bytes
        return Kept(stored, gone)

    def evict_overflow(self) -> set[str]:
        """Keeps the catalog within its budget once all is recorded; returns the signatures that had to go."""
        catalog, budget = self.tools.catalog, self.plan.budget
        gone = set[str]()
        if budget is None:
            return gone
        insisted = {self.plan[node.name].signature for node in self.prepared.dag.nodes if node.wishes.insisted}
        for _ in range(OVERFLOW_ROUNDS):
            excess = catalog.bytes_used() - budget
            if excess <= 0:
                break
            chosen = overflow([
                Held(one.signature, one.bytes, one.recompute_seconds, one.signature in insisted)
                for one in catalog.live() if one.signature not in gone
            ], excess)
            for signature in chosen:
                self._evict(signature, "records of the run took the room that the budget had left for it")
            gone.update(chosen)
        return gone

    def _store_one(self, name: str, plan: Plan, left_out: tuple[str, ...]) -> ArtifactRecord | None:
        tools, node = self.tools, plan[name]
        tools.observer.storing(name)
        try:
            again = sum(plan[made].compute_seconds for made in {name, *self.prepared.dag.ancestors(name)})
            maker = Origin(node.signature, plan.workflow, name, self.iteration, again)
            return store(
                self.outcome.results[name], maker, tools.catalog, left_out, lambda: self._check_unmoved(name)
            )
        except NotStoredError as error:
            tools.observer.warning(error.what)
            return None
        finally:
            if node.signature in self.leased:
                tools.catalog.leases.release(node.signature)

    def _fits(self, record: ArtifactRecord) -> bool:
        """Whether there is room for what was just stored; else it goes."""
        budget = self.plan.budget
        if budget is not None and self.tools.catalog.bytes_used() > budget:
            self._evict(record.signature, "it turned out larger than what the budget had left")
            return False
        self.tools.observer.stored(record.node, record.bytes)
        return True

    def _evict(self, signature: str, why: str) -> None:
        try:
            self.tools.catalog.evict(signature, why)
        except CatalogError as error:
            self.tools.observer.warning(error.what)

    def _check_unmoved(self, name: str) -> None:
        """A table that was not in memory was read from its files once more while it was written.

        Raises:
            CatalogError: they have changed since.
        """
        result = self.outcome.results[name]
        if not isinstance(result, TableResult) or result.at_hand:
            return
        for source in {name, *self.prepared.dag.ancestors(name)}:
            if self._has_moved(self.prepared.dag[source]):
                raise CatalogError(f"source `{source}` changed while it was written")

    def _has_moved(self, node: Node) -> bool:
        """Whether a node is a source whose data is not what was signed any more."""
        before = self.prepared.described[node.name].version
        if before is None or not isinstance(node.operator, Read):
            return False
        try:
            return version_of(node.operator.source).digest != before.digest
        except (SourceError, OSError):
            return True


def _as_stored_now(situation: Situation, live: Collection[ArtifactRecord]) -> Situation:
    """The situation after some results were stored, and others evicted. One that lacked columns may be whole by now."""
    lacking = {gap.stored.attempt for gap in situation.unserved.values()}
    there = {record.attempt if record.attempt in lacking else record.signature for record in live}
    return replace(
        situation, stored={record.signature: record for record in live if record.attempt not in lacking},
        others=tuple(other for other in situation.others if other.signature in there),
    )
