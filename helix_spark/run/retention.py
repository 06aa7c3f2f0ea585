"""What of a run is kept, whichever front runs it: stored, in place of what is evicted, and within the budget once all
is recorded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.view import CatalogView, wished
from helix_spark.dag.slicing import ancestors_of
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.results.storing import Origin
from helix_spark.engine.spark.spark_errors import first_line
from helix_spark.errors import CatalogError
from helix_spark.planner.eviction import StoredResult, choose_evictions
from helix_spark.planner.joint import LARGE_GAP
from helix_spark.planner.lineage import Lineage, lineage_of
from helix_spark.planner.problem import Certificate, Derivation, Solution
from helix_spark.planner.storage import NodeCosts, PlanningProblem, Policy
from helix_spark.workflow.declaration import Wishes

OVERFLOW_ROUNDS = 6
"""An eviction is recorded as well, in some kilobytes, and may so ask for another one; so may what others store."""

OVERFLOWED = "records of the run took the room that the budget had left for it"
TOO_LARGE = "it turned out larger than what the budget had left"

DECISIONS = 3
"""How often it is decided what to keep while results turn out to be too large. What is known of sizes by then is
measured, mostly after one more."""

PATIENCE = 1.0
"""Seconds for which news of a stored result may wait, so that one sync serves several."""

_NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class WrittenResults:
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

    def then(self, more: WrittenResults, evicted: Collection[str]) -> WrittenResults:
        """Return all that was written once more was.

        Args:
            evicted: names of what was stored and is not any more.

        >>> WrittenResults({"a": 1, "b": 2}).then(WrittenResults({"c": 3}, {"d": 4}), ["b"])
        WrittenResults(stored={'a': 1, 'c': 3}, gone={'b': 2, 'd': 4})
        """
        stays = {name: size for name, size in self.stored.items() if name not in evicted}
        gone = {name: size for name, size in self.sizes.items() if name not in stays}
        return WrittenResults({**stays, **more.stored}, {**gone, **more.gone})


class RunResults(Protocol):
    """The results of a run that has its answers, as its front has them."""

    def problem(
        self, live: Collection[ArtifactRecord], overhead: int, sizes: Mapping[str, int], *, to_write: bool
    ) -> PlanningProblem:
        """Return the run as a planning problem, of which only storage is left to decide.

        Args:
            live: all that is stored by now.
            overhead: bytes of the budget that are taken beside it.
            sizes: bytes by name of what this run has stored already, or could not.
            to_write: whether what is not stored may still be; else it is decided what stays of what is.
        """

    @property
    def lineage(self) -> Lineage:
        """What the results on record are made from, where there is a budget."""

    @property
    def writable(self) -> Collection[str]:
        """Names of the nodes whose results were not stored before the run, and can be."""

    def read_by_writes(self, names: Collection[str]) -> frozenset[str]:
        """Signatures of the stored tables that these nodes' results are made from once more while they are written."""

    def write(self, origins: Sequence[Origin]) -> Iterator[ArtifactRecord | None]:
        """Store results, in this order; None for one that cannot be stored, which the front reports."""

    def drop(self, signature: str) -> None:
        """Forget a fixed result in memory: another driver stored another draw of it first."""


@dataclass(frozen=True, slots=True)
class RunToKeep:
    """A run that has its answers, as keeping needs it.

    Attributes:
        workflow, number: of its iteration.
        view: the catalog as the run was planned.
        budget: bytes that may be stored in all; None for no limit.
        wishes: what the author wishes today of each result, by signature; of others nothing.
    """

    workflow: str
    number: int
    view: CatalogView
    catalog: Catalog
    observer: Observer
    policy: Policy
    budget: int | None
    results: RunResults
    wishes: Mapping[str, Wishes] = field(default_factory=dict)

    def is_own(self, record: ArtifactRecord) -> bool:
        """Return whether a stored result is of this run, and not another driver's that came first."""
        return (record.workflow, record.iteration) == (self.workflow, self.number)


class Retention:
    """What a run keeps in the catalog.

    Args:
        run: once it is known what it took.

    Attributes:
        acknowledgement: what was stored, until it is told.
    """

    def __init__(self, run: RunToKeep) -> None:
        self.run, self.acknowledgement = run, Acknowledgement(run.catalog, run.observer)
        self._attempts = {signature: record.attempt for signature, record in run.view.artifacts.items()}

    def keep(self) -> WrittenResults:
        """Decide what to keep on what is known by now, evict and store. What turns out to be too large leaves its
        room to others, so that it is decided once more."""
        kept, late = WrittenResults(), frozenset[str]()
        for _ in range(DECISIONS):
            problem = self._problem(kept.sizes)
            decision = self.run.policy.decide(problem)
            more, late = self._store(problem, decision.keep, decision.evictions)
            kept = kept.then(more, {node.name for node in problem.nodes if node.signature in decision.evict})
            if not more.gone:
                break
        self._evict({signature: why for signature, why in decision.evictions.items() if signature in late})
        proof = decision.certificate
        if proof.status == "fallback" or proof.gap > LARGE_GAP:
            self.run.observer.warning(f"what to keep, by what the run has measured: {proof.notice}")
        return kept

    def keep_planned(self, keep: Collection[str]) -> WrittenResults:
        """Store what a plan keeps, after a failure. Nothing goes for it: that would make room for more than was had.

        Args:
            keep: signatures.
        """
        return self._store(self._problem({}), keep, {})[0]

    def tidy(self) -> set[str]:
        """Keep the records quick to read, give back the bytes of writers that died, which count for the budget, and
        evict what is too much; return the signatures of what had to go."""
        try:
            self.run.catalog.maintain()
            self.run.catalog.gc(dry_run=False)
            return self.evict_overflow()
        except (CatalogError, OSError) as error:
            self.run.observer.warning(f"the catalog could not be tidied: {first_line(error)}")
            return set()

    def evict_overflow(self) -> set[str]:
        """Keep the catalog within its budget once all is recorded; return the signatures that had to go."""
        catalog, budget = self.run.catalog, self.run.budget
        if budget is None or catalog.bytes_used() <= budget:
            return set()
        seen = catalog.stored_version()
        problem = self._problem({}, to_write=False)
        gone = self._evict(dict.fromkeys(self.run.policy.decide(problem).evictions, OVERFLOWED), seen)
        lineage = {**self.run.results.lineage, **lineage_of(problem.nodes)}
        for _ in range(OVERFLOW_ROUNDS):
            # What others stored or evicted since this look has it decided anew.
            seen, excess = catalog.stored_version(), catalog.bytes_used() - budget
            if excess <= 0:
                break
            chosen = choose_evictions(self._held(), excess, lineage)
            gone |= self._evict(dict.fromkeys(chosen, OVERFLOWED), seen)
        return gone

    def _problem(self, sizes: Mapping[str, int], *, to_write: bool = True) -> PlanningProblem:
        """Return the problem on what is known by now; what the run itself has recorded takes its room, and so does what
        others have stored since it was planned. Arguments as for `RunResults.problem`."""
        live, overhead = self._live(), 0
        if self.run.budget is not None:
            overhead = self.run.catalog.bytes_used() - sum(record.bytes for record in live)
        return self.run.results.problem(live, overhead, sizes, to_write=to_write)

    def _store(
        self, problem: PlanningProblem, keep: Collection[str], evict: Mapping[str, str]
    ) -> tuple[WrittenResults, frozenset[str]]:
        """Evict and store, by signature. Return what was stored, and what of the evictions is left for `keep`: the
        writes read it."""
        run, catalog = self.run, self.run.catalog
        writable = run.results.writable
        wanted = [node for node in problem.nodes if node.signature in keep and node.name in writable]
        late = run.results.read_by_writes([node.name for node in wanted])
        self._evict({signature: why for signature, why in evict.items() if signature not in late})
        owed = sum(one.bytes for one in catalog.live_among(late & evict.keys()).values())
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = catalog.live_among([node.signature for node in wanted])
        self._note_wishes({**run.view.artifacts, **there})
        stored = {node.name: there[node.signature].bytes for node in wanted if node.signature in there}
        gone: dict[str, int] = {}
        met: dict[str, ArtifactRecord] = {}
        to_write = [node for node in wanted if node.signature not in there]
        for node, record in zip(to_write, run.results.write(self._origins(to_write, problem)), strict=True):
            if record is not None:
                fits = self._fits(record, owed)
                (stored if fits else gone)[node.name] = record.bytes
                met[node.signature] = record
                if fits:
                    self.acknowledgement.add(record)
        self._yield_to_others({**there, **met})
        self._note_wishes(met)  # of several drivers' records the first counts, which says what its own wishes are
        return WrittenResults(stored, gone), late

    def _origins(self, nodes: Collection[NodeCosts], problem: PlanningProblem) -> list[Origin]:
        above = ancestors_of(problem.nodes)
        seconds = {node.name: node.compute_seconds for node in problem.nodes}
        wishes = [self.run.wishes.get(node.signature, _NO_WISHES) for node in nodes]
        return [
            Origin(
                node.signature, self.run.workflow, node.name, self.run.number,
                sum(seconds[name] for name in {node.name} | above[node.name]), insisted=own.insisted, fixed=own.fixed,
            )
            for node, own in zip(nodes, wishes, strict=True)
        ]

    def _yield_to_others(self, found: Mapping[str, ArtifactRecord]) -> None:
        """What another driver stored first of a fixed node stands, and may be another draw than this run's."""
        for signature, record in found.items():
            if self.run.wishes.get(signature, _NO_WISHES).fixed and not self.run.is_own(record):
                self.run.results.drop(signature)

    def _note_wishes(self, stored: Mapping[str, ArtifactRecord]) -> None:
        """Record it where what is stored already is wished otherwise than when it was stored, or was stored by
        another workflow: whoever makes room has nothing but records to tell it from."""
        news = {
            signature: wishes for signature, wishes in self.run.wishes.items()
            if (record := stored.get(signature)) is not None and wished(record, self.run.workflow, wishes) != record
        }
        if news:
            with self._warned():
                self.run.catalog.note_wishes(self.run.workflow, news)

    def _live(self) -> tuple[ArtifactRecord, ...]:
        """All that is stored by now, with what other workflows wish of it today."""
        live = tuple(map(self.run.view.as_wished, self.run.catalog.live()))
        self._attempts = {record.signature: record.attempt for record in live}
        return live

    def _held(self) -> list[StoredResult]:
        """All that is stored by now, and who insists on it: of this version its author, as it says today."""
        wishes, workflow = self.run.wishes, self.run.workflow
        today = [wished(one, workflow, wishes.get(one.signature, _NO_WISHES)) for one in self._live()]
        return [
            StoredResult(one.signature, one.bytes, one.recompute_seconds, bool(one.insisting), one.fixed)
            for one in today
        ]

    def _fits(self, record: ArtifactRecord, owed: int) -> bool:
        """Return whether a result that was just stored has room; evict it otherwise.

        What takes no bytes always fits, were there no room for anything: that it went would free nothing. And another
        driver's record, which came first, is not this run's to take away.

        Args:
            owed: bytes of what is to go once all is written.
        """
        budget, catalog = self.run.budget, self.run.catalog
        if budget is not None and record.bytes and self.run.is_own(record) and catalog.bytes_used() - owed > budget:
            with self._warned():
                catalog.evict(record.signature, TOO_LARGE, attempt=record.attempt)
            return False
        return True

    def _evict(self, why: Mapping[str, str], seen: int | None = None) -> set[str]:
        """Evict by signature, for these reasons; return the signatures of what went. What was stored since it was
        decided stays; with `seen` all does, if anything was stored or ended since that version."""
        attempts = {self._attempts[signature] for signature in why if signature in self._attempts}
        with self._warned():
            return {one.signature for one in self.run.catalog.evict_all(why, attempts=attempts, seen=seen)}
        return set()

    @contextlib.contextmanager
    def _warned(self) -> Iterator[None]:
        """Report what cannot be evicted, or recorded, and no more: the run has answered."""
        try:
            yield
        except CatalogError as error:
            self.run.observer.warning(error.what)


class Acknowledgement:
    """News of what a run stored, which people get once it survives a loss of power."""

    def __init__(self, catalog: Catalog, observer: Observer) -> None:
        self._catalog, self._observer = catalog, observer
        self._waiting: list[ArtifactRecord] = []
        self._reported = time.monotonic()

    def add(self, record: ArtifactRecord) -> None:
        """Add a result that was published. Report all that wait, if nothing was reported for a while."""
        self._waiting.append(record)
        if time.monotonic() - self._reported > PATIENCE:
            with contextlib.suppress(CatalogError):  # it is tried again, and reported, when all is stored
                self.give()

    def give(self, gone: Collection[str] = ()) -> None:
        """Sync all records, and report what was stored.

        Args:
            gone: signatures of what is not stored any more.

        Raises CatalogError if the records cannot be synced: nobody may rely on what they say.
        """
        self._catalog.sync()
        for record in self._waiting:
            if record.signature not in gone:
                self._observer.stored(record.node, record.bytes)
        self._waiting.clear()
        self._reported = time.monotonic()


def states_done(derivations: Mapping[str, Derivation]) -> Solution:
    """Return the states that a run had as a solution of which nothing is left to decide."""
    spent = sum(one.seconds for one in derivations.values())
    return Solution(derivations, Certificate("optimal", spent, spent, 0.0, "none needed", 0.0))
