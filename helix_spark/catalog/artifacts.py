"""The records of stored results, and the folders that no live record refers to.

An attempt is live if it was published and neither evicted nor quarantined; an end is final. A signature has at most one
live attempt: it is published only if no other is live, so the first record wins. A published attempt has another
record whenever its author's wishes change; the newest counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments.record_index import record_from_cells
from helix_spark.catalog.segments.record_log import RecordLog, listed
from helix_spark.catalog.tables.attempts import Attempt, has_manifest, stored_attempts
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.workflow.declaration import Wishes

End = Literal["evicted", "quarantined"]
"""How a stored result may end."""

_LIVE = """event = 'published' AND NOT EXISTS (
    SELECT 1 FROM artifacts AS other WHERE other.attempt = artifacts.attempt AND other.event <> 'published')"""

_AMONG = "signature IN (SELECT value FROM json_each(?))"


class ArtifactLedger:
    """The records of artifacts."""

    def __init__(self, records: RecordLog) -> None:
        self._records = records

    def live(self, schemas_of: Collection[str] | None = None) -> dict[str, ArtifactRecord]:
        """Return all live artifacts by signature. Schemas, most of the bytes, may be read for some only."""
        if schemas_of is None:
            return by_signature(self._records.rows(ArtifactRecord, f"WHERE {_LIVE} ORDER BY turn"))
        read = {"schema": f"CASE WHEN {_AMONG} THEN schema END", "why": "''"}
        columns = ", ".join(read.get(field.name, f'"{field.name}"') for field in fields(ArtifactRecord))
        sql = f"SELECT {columns} FROM artifacts WHERE {_LIVE} ORDER BY turn"
        rows = self._records.select(sql, listed(schemas_of))
        return by_signature(record_from_cells(ArtifactRecord, row) for row in rows)

    def live_among(self, signatures: Collection[str]) -> dict[str, ArtifactRecord]:
        if not signatures:
            return {}
        clause = f"WHERE {_AMONG} AND {_LIVE} ORDER BY turn"
        return by_signature(self._records.rows(ArtifactRecord, clause, listed(signatures)))

    def newest(self, signatures: Collection[str] | None = None) -> dict[str, ArtifactRecord]:
        """Return the newest record of each signature that was ever stored, of all or of some: live, or an end."""
        condition, values = ("", ()) if signatures is None else (f" AND {_AMONG}", (listed(signatures),))
        rows = self._records.rows(ArtifactRecord, f"WHERE event <> 'abandoned'{condition} ORDER BY turn", *values)
        ended = {record.attempt for record in rows if record.event != "published"}
        live = by_signature(record for record in rows if record.attempt not in ended)
        return {record.signature: record for record in rows} | live

    def events_of(self, attempts: Collection[str]) -> dict[str, ArtifactRecord]:
        """Return the end of each of these attempts, or else its newest record."""
        clause = "WHERE attempt IN (SELECT value FROM json_each(?)) ORDER BY event <> 'published', turn"
        return {record.attempt: record for record in self._records.rows(ArtifactRecord, clause, listed(attempts))}

    def publish(self, record: ArtifactRecord) -> ArtifactRecord:
        """Append `record`, unless its signature is live; return the live record. Raises CatalogError if it ended."""
        live: ArtifactRecord | None = None

        def decide() -> Sequence[ArtifactRecord]:
            nonlocal live
            live = self.live_among([record.signature]).get(record.signature)
            if live is not None:
                return ()
            if self.events_of([record.attempt]):
                raise CatalogError(f"the attempt {record.attempt} to store node {record.node!r} was ended before",
                                   remedy="begin a new one")
            return (record,)

        self._records.decide_and_append(decide)
        return live or record

    def note_wishes(self, workflow: str, wishes: Mapping[str, Wishes]) -> None:
        """Record a workflow's wishes, by signature, for live artifacts with other wishes."""
        def decide() -> Sequence[ArtifactRecord]:
            live = self.live_among(wishes)
            records = (wished(record, workflow, wishes[signature]) for signature, record in live.items())
            return [record for record in records if record != live[record.signature]]

        self._records.decide_and_append(decide)

    def end_all(
        self, why: Mapping[str, str], event: End, *, attempts: Collection[str] | None = None, seen: int | None = None,
        spared: Callable[[], Collection[str]] = tuple,
    ) -> tuple[ArtifactRecord, ...]:
        """End the live attempts of signatures that are not `spared`; return their records; see `Catalog.evict_all`."""
        ended = tuple[ArtifactRecord, ...]()

        def decide() -> Sequence[ArtifactRecord]:
            nonlocal ended
            live = self.live_among(why) if seen in (None, self._records.newest(ArtifactRecord)) else {}
            for signature in spared():
                live.pop(signature, None)
            ended = tuple(
                live[signature] for signature in why
                if signature in live and (attempts is None or live[signature].attempt in attempts)
            )
            now = time.time()
            return [
                replace(artifact, event=event, why=why[artifact.signature], at=now, schema=None, value=None)
                for artifact in ended
            ]

        self._records.decide_and_append(decide)
        return ended

    def end_unpublished(self, why: Mapping[Attempt, str]) -> frozenset[str]:
        """End unpublished attempts, which then cannot be published, in one append. Return the ended ids."""
        ids = [attempt.attempt for attempt in why]

        def decide() -> Sequence[ArtifactRecord]:
            recorded = self.events_of(ids)
            return [
                ArtifactRecord(
                    attempt.signature, attempt.attempt, attempt.kind, "abandoned", "", "", 0, time.time(), why=text
                )
                for attempt, text in why.items() if attempt.attempt not in recorded
            ]

        self._records.decide_and_append(decide)
        return frozenset(attempt for attempt, record in self.events_of(ids).items() if record.event != "published")


def by_signature(records: Iterable[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    """Return live records by signature."""
    # A signature has one live attempt. If it had two, all processes would agree on the smaller id.
    return {record.signature: record for record in sorted(records, key=lambda record: record.attempt, reverse=True)}


def wished(record: ArtifactRecord, workflow: str, wishes: Wishes) -> ArtifactRecord:
    """Return a record with the wishes of a workflow's author for the result.

    >>> from helix_spark.workflow.declaration import Wishes
    >>> record = ArtifactRecord("s", "a", "value", "published", "mine", "n", 1, 0.0, insisted=True)
    >>> sorted(wished(record, "yours", Wishes(keep="always")).insisting)
    ['mine', 'yours']
    >>> wished(record, "mine", Wishes()).insisting, wished(record, "yours", Wishes()) == record
    (frozenset(), True)
    """
    insisting = record.insisting - {workflow} | ({workflow} if wishes.insisted else frozenset())
    return replace(
        record, insisted=record.workflow in insisting, insisted_by=tuple(sorted(insisting - {record.workflow})),
        fixed=record.fixed or wishes.fixed,  # it never goes back to False
    )


@dataclass(frozen=True, slots=True)
class Leftover:
    """Data that no live record refers to.

    Attributes:
        attempt: its `path` is the folder.
        certain: True if its end is recorded or its writer's process is gone; False if it was only untouched for long.
    """

    attempt: Attempt
    bytes: int
    why: str
    certain: bool


def find_leftovers(
    layout: Layout, artifacts: ArtifactLedger, leases: Leases, dead: Collection[str], grace_seconds: float
) -> tuple[Leftover, ...]:
    """Return the leftovers; `dead` are names of dead leases. A folder without a lease counts if it was untouched
    for the grace. Raises CatalogError if it cannot be read."""
    def not_live(attempts: Collection[str]) -> set[str]:
        return set(attempts) - {record.attempt for record in artifacts.live(()).values()}

    with explained(layout, "read"):
        # List folders before reading records: results published in between then count as live.
        stored = {attempt.attempt: attempt for attempt in stored_attempts(layout)}
        waiting = not_live(stored)
        events, leftovers = artifacts.events_of(waiting), list[Leftover]()
        for name, attempt in stored.items():
            if name not in waiting or attempt.path is None:
                continue
            why, certain, lease = "", False, leases.find(name)
            if (end := events.get(name)) is not None and end.event != "published":
                why, certain = f"{end.event}: {end.why}" if end.why else end.event, True
            elif lease is not None:
                if name in dead:
                    why = f"never published; its writer, {lease.holder}, has ended"
                    certain = lease.holder is not None and lease.holder.is_gone
            elif not has_manifest(attempt.path) or artifacts.live_among([attempt.signature]):
                # A folder with a manifest was finished, and lost its record.
                newest = attempt.path.last_modified()
                age = 0.0 if newest is None else time.time() - newest
                why = f"never published, untouched for {age:,.0f} s" if age >= grace_seconds else ""
            if why:
                leftovers.append(Leftover(attempt, attempt.path.total_bytes(), why, certain))
        # A writer releases its lease after publishing: an attempt without a lease may be live by now.
        still = not_live([leftover.attempt.attempt for leftover in leftovers]) if leftovers else ()
        return tuple(leftover for leftover in leftovers if leftover.attempt.attempt in still)
