"""What of a run is kept: stored, in place of what is evicted, and within the budget once all is recorded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.view import wished
from helix_spark.errors import CatalogError
from helix_spark.iteration.catalog_room import CatalogRoom, warned
from helix_spark.iteration.foresight import others_among
from helix_spark.iteration.result_writer import ResultWriter
from helix_spark.iteration.run import Run, WrittenResults
from helix_spark.iteration.storable import Storable
from helix_spark.iteration.storage_decision import decide_storage
from helix_spark.iteration.tools import Tools
from helix_spark.planner.eviction import choose_evictions
from helix_spark.planner.joint import LARGE_GAP
from helix_spark.planner.lineage import lineage_of
from helix_spark.planner.plan import Plan
from helix_spark.planner.situation import Situation

OVERFLOW_ROUNDS = 6
"""An eviction is recorded as well, in some kilobytes, and may so ask for another one; so may what others store."""

OVERFLOWED = "records of the run took the room that the budget had left for it"

DECISIONS = 3
"""How often it is decided what to keep while results turn out to be too large. What is known of sizes by then is
measured, mostly after one more."""


PATIENCE = 1.0
"""Seconds for which news of a stored result may wait, so that one sync serves several."""


class Retention:
    """What a run keeps in the catalog.

    Args:
        run: once it is known what it took.

    Attributes:
        storable: which results may be stored.
        writer: stores them.
        acknowledgement: what was stored, until it is told.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.storable = run, Storable(run)
        self.writer, self.acknowledgement = ResultWriter(run, self.storable), Acknowledgement(run.tools)
        self._wishes = {run.plan[node.name].signature: node.wishes for node in run.dag.nodes}
        self._room = CatalogRoom(run, self._wishes)

    def keep(self) -> WrittenResults:
        """Decide what to keep on what is known by now, evict and store. What turns out to be too large leaves its
        room to others, so that it is decided once more."""
        kept, plan = WrittenResults(), self.run.plan
        for _ in range(DECISIONS):
            plan = self._decide_storage(kept.sizes)
            more = self.store(plan)
            kept = kept.then(more, [name for name in kept.stored if self.run.plan[name].signature in plan.evict])
            if not more.gone:
                break
        late = self.storable.read_by_writes(plan)
        self._room.evict_all({signature: why for signature, why in plan.evict.items() if signature in late})
        if plan.certificate.status == "fallback" or plan.certificate.gap > LARGE_GAP:
            self.run.tools.observer.warning(f"what to keep, by what the run has measured: {plan.certificate.notice}")
        return kept

    def _decide_storage(self, sizes: Mapping[str, int], *, to_write: bool = True) -> Plan:
        """The plan with storage decided on what is known by now; what the run itself has recorded takes its room, and
        so does what others have stored since it was planned.

        Args:
            sizes: of what this run has stored already, or could not. `to_write` as for `decide_storage`.
        """
        run, situation = self.run, self.run.situation
        if run.start_seconds:
            situation = replace(situation, starts=(*situation.starts, run.start_seconds))
        if situation.budget is not None:
            live = self._room.live()
            beside = run.tools.catalog.bytes_used() - sum(record.bytes for record in live)
            situation = _as_stored_now(replace(situation, overhead=beside), live, run)
        return decide_storage(replace(run, situation=situation), sizes, to_write=to_write)

    def store(self, plan: Plan) -> WrittenResults:
        """Evict and store what a plan says; what the writes read is left for `keep` to evict."""
        late = self.storable.read_by_writes(plan)
        self._room.evict_all({signature: why for signature, why in plan.evict.items() if signature not in late})
        owed = sum(one.bytes for one in self.run.tools.catalog.live_among(late & plan.evict.keys()).values())
        wanted = self.storable.wanted(plan)
        # A run that planned while an earlier one was still storing, here or in another process, wants the same again.
        there = self.run.tools.catalog.live_among([node.signature for node in wanted])
        self._note_wishes({**self.run.view.artifacts, **there})
        stored: dict[str, int] = {}
        gone: dict[str, int] = {}
        met: dict[str, ArtifactRecord] = {}
        for node in wanted:
            if (before := there.get(node.signature)) is not None:
                stored[node.name] = before.bytes
            elif (record := self.writer.write(node.name, plan)) is not None:
                fits = self._room.fits(record, owed)
                (stored if fits else gone)[node.name] = record.bytes
                met[node.signature] = record
                if fits:
                    self.acknowledgement.add(record)
        self._yield_to_others({**there, **met})
        self._note_wishes(met)  # of several drivers' records the first counts, which says what its own wishes are
        return WrittenResults(stored, gone)

    def _yield_to_others(self, found: Mapping[str, ArtifactRecord]) -> None:
        """What another driver stored first of a fixed node stands, and may be another draw than this run's."""
        for signature, record in found.items():
            if self._wishes[signature].fixed and not self.run.is_own(record):
                self.run.tools.memory.drop(signature)

    def evict_overflow(self) -> set[str]:
        """Keep the catalog within its budget once all is recorded; return the signatures that had to go."""
        catalog, budget = self.run.tools.catalog, self.run.plan.budget
        if budget is None or catalog.bytes_used() <= budget:
            return set()
        seen = catalog.stored_version()
        plan = self._decide_storage({}, to_write=False)
        gone = self._room.evict_all(dict.fromkeys(plan.evict, OVERFLOWED), seen)
        lineage = {**self.run.situation.lineage, **lineage_of(plan.nodes)}
        for _ in range(OVERFLOW_ROUNDS):
            # What others stored or evicted since this look has it decided anew.
            seen, excess = catalog.stored_version(), catalog.bytes_used() - budget
            if excess <= 0:
                break
            chosen = choose_evictions(self._room.held(), excess, lineage)
            gone |= self._room.evict_all(dict.fromkeys(chosen, OVERFLOWED), seen)
        return gone

    def _note_wishes(self, stored: Mapping[str, ArtifactRecord]) -> None:
        """Record it where what is stored already is wished otherwise than when it was stored, or was stored by
        another workflow: whoever makes room has nothing but records to tell it from."""
        news = {
            signature: wishes for signature, wishes in self._wishes.items()
            if (record := stored.get(signature)) is not None
            and wished(record, self.run.plan.workflow, wishes) != record
        }
        if news:
            with warned(self.run.tools.observer):
                self.run.tools.catalog.note_wishes(self.run.plan.workflow, news)


class Acknowledgement:
    """News of what a run stored, which people get once it survives a loss of power."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
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
        self._tools.catalog.sync()
        for record in self._waiting:
            if record.signature not in gone:
                self._tools.observer.stored(record.node, record.bytes)
        self._waiting.clear()
        self._reported = time.monotonic()


def _as_stored_now(situation: Situation, live: Collection[ArtifactRecord], run: Run) -> Situation:
    """Return the situation after some results were stored, and others evicted, by this run or by another."""
    stored = {record.signature: record for record in live}
    return replace(
        situation, nodes=tuple(replace(one, artifact=stored.get(one.signature)) for one in situation.nodes),
        others=others_among(live, situation, run.records),
    )
