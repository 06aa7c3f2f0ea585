"""Which stored results are live: their records in, their ends in. Touches no folder of data.

An attempt is live when it was published and neither evicted nor quarantined; an end is final. A signature has at most
one live attempt: publishing is conditional on nobody having published in between, so the first record wins. Of an
attempt that was published several rows may say so, as more comes to be wished of it; the newest counts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.places.catalog_folder import checked_id, checked_signature, listed_signatures
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.catalog.view import wished
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.workflow.declaration import Wishes

End = Literal["evicted", "quarantined"]
"""How a stored result may end."""

_ENDED = "attempt IN (SELECT attempt FROM journal WHERE event <> 'published')"

_STORED = "event <> 'abandoned'"
"""Not of what was never stored."""

_OLDEST_FIRST = "ORDER BY sequence"
"""Of an attempt's rows the newest counts: see `by_signature`."""


class ArtifactLedger:
    """The journal of artifacts."""

    def __init__(self, journal: Journal[ArtifactRecord]) -> None:
        self._journal = journal

    def live(self, schemas_of: Collection[str] | None = None) -> dict[str, ArtifactRecord]:
        """All live artifacts by signature.

        Args:
            schemas_of: signatures of which alone schemas are told. Schemas are most of all that is on record of
                artifacts, and a plan has to do with few of them.
        """
        columns = "*"
        if schemas_of is not None:
            listed = listed_signatures(schemas_of)
            schema = f", CASE WHEN signature IN ({listed}) THEN schema END AS schema" if listed else ""
            columns = f"* EXCEPT (schema, why){schema}"
        return by_signature(self._journal.query(f"SELECT {columns} FROM journal WHERE NOT {_ENDED} {_OLDEST_FIRST}"))

    def live_of(self, signature: str) -> ArtifactRecord | None:
        """The live artifact of one signature."""
        return self.live_among([signature]).get(signature)

    def live_among(self, signatures: Collection[str]) -> dict[str, ArtifactRecord]:
        """The live artifacts of some signatures, by signature, in one look."""
        if not signatures:
            return {}
        return by_signature(self._journal.query(
            f"SELECT * FROM journal WHERE signature IN ({listed_signatures(signatures)}) AND NOT {_ENDED} "
            + _OLDEST_FIRST
        ))

    def newest(self, signatures: Collection[str] | None = None) -> dict[str, ArtifactRecord]:
        """The newest record of each signature that was ever stored, of all or of some: the live one, or how the last
        one ended."""
        if signatures is not None and not signatures:
            return {}
        wanted = "" if signatures is None else f" AND signature IN ({listed_signatures(signatures)})"
        rows = self._journal.query(
            f"SELECT * FROM journal WHERE {_STORED}{wanted} ORDER BY sequence, event <> 'published'"
        )
        ended = {record.attempt for record in rows if record.event != "published"}
        live = by_signature(record for record in rows if record.attempt not in ended)
        return {record.signature: record for record in rows} | live

    def version(self) -> int:
        """Grows whenever something is recorded."""
        return self._journal.version()

    def ends_of(self, attempts: Collection[str]) -> dict[str, ArtifactRecord]:
        """How some attempts ended, by attempt; none of those that never did."""
        if not attempts:
            return {}
        return {record.attempt: record for record in self._journal.query(
            f"SELECT * FROM journal WHERE attempt IN ({_listed_ids(attempts)}) AND event <> 'published'"
        )}

    def publish(self, record: ArtifactRecord) -> ArtifactRecord:
        """Append `record`, unless its signature is live already. Return the record that is live then.

        Raises CatalogError for a record that cannot be published, or whose attempt was ended before.
        """
        _check_publishable(record)
        live: ArtifactRecord | None = None

        def decide() -> Sequence[ArtifactRecord]:
            nonlocal live
            live = self.live_of(record.signature)
            if live is not None:
                return ()
            if self.events_of([record.attempt]):
                raise CatalogError(
                    f"the attempt {record.attempt} to store node {record.node!r} was ended before",
                    remedy="begin a new one",
                )
            return (record,)

        self._journal.decide_and_append(decide)
        return live or record

    def note_wishes(self, workflow: str, wishes: Mapping[str, Wishes]) -> None:
        """Append, in one commit, the records of live artifacts which do not say yet what a workflow's author wishes of
        them; nothing where all do.

        Args:
            wishes: by signature.
        """
        def decide() -> Sequence[ArtifactRecord]:
            live = self.live_among(wishes)
            told = {signature: wished(record, workflow, wishes[signature]) for signature, record in live.items()}
            return [record for signature, record in told.items() if record != live[signature]]

        self._journal.decide_and_append(decide)

    def end_all(
        self, why: Mapping[str, str], event: End, *, attempts: Collection[str] | None = None, seen: int | None = None
    ) -> tuple[ArtifactRecord, ...]:
        """Append the ends of the live attempts of some signatures in one commit, and return what was live.

        Args:
            why: by signature.
            attempts: only of these: who read a damaged table must not end its replacement.
            seen: nothing happens if anything was recorded since this `version`.
        """
        ended = tuple[ArtifactRecord, ...]()

        def decide() -> Sequence[ArtifactRecord]:
            nonlocal ended
            live = self.live_among(why) if seen in (None, self.version()) else {}
            ended = tuple(
                live[signature] for signature in why
                if signature in live and (attempts is None or live[signature].attempt in attempts)
            )
            return [_ended(record, event, why[record.signature]) for record in ended]

        self._journal.decide_and_append(decide)
        return ended

    def end_unpublished(self, why: Mapping[Attempt, str]) -> frozenset[str]:
        """Append the ends of attempts that nobody has published, in one commit: nobody can publish them from then on.

        Returns the ids of those that are ended by now, of whatever kind: none of them is live, nor will be.
        """
        def decide() -> Sequence[ArtifactRecord]:
            known = self.events_of([attempt.attempt for attempt in why])
            return [
                ArtifactRecord(one.signature, one.attempt, one.kind, "abandoned", "", "", 0, time.time(), why=text)
                for one, text in why.items() if one.attempt not in known
            ]

        appended = self._journal.decide_and_append(decide)
        ended = self.ends_of([attempt.attempt for attempt in why]) if len(appended) < len(why) else {}
        return frozenset(record.attempt for record in (*appended, *ended.values()))

    def events_of(self, attempts: Collection[str]) -> frozenset[str]:
        """Those of some attempts that there is a record of."""
        return frozenset(self._journal.columns(
            f"SELECT DISTINCT attempt FROM journal WHERE attempt IN ({_listed_ids(attempts)})"
        ).get("attempt", ()))


def _ended(record: ArtifactRecord, event: End, why: str) -> ArtifactRecord:
    """The record of an end, without what may be long in a record: nobody reads that of what is gone, and it would take
    its room, which counts for the budget, a second time."""
    return dataclasses.replace(record, event=event, why=why, at=time.time(), schema=None, value=None)


def _listed_ids(attempts: Collection[str]) -> str:
    return ", ".join(f"'{checked_id(attempt)}'" for attempt in sorted(attempts))


def by_signature(records: Iterable[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    """Live records, in their order, by signature."""
    # Two live attempts of a signature cannot be published where commits exclude each other, as on a local disk; where
    # they do not, the smaller id wins, so that all processes agree. Of one attempt's rows the last one does.
    return {record.signature: record for record in sorted(records, key=lambda record: record.attempt, reverse=True)}


def _check_publishable(record: ArtifactRecord) -> None:
    checked_signature(record.signature)
    checked_id(record.attempt)
    if record.event != "published":
        raise CatalogError(f"a record of event {record.event!r} is not published", remedy="use evict or quarantine")
    if record.bytes < 0:
        raise CatalogError(f"node {record.node!r} cannot take {record.bytes} bytes")
    if (record.kind == "value") != (record.value is not None):
        raise CatalogError(f"node {record.node!r} is a {record.kind}: a value has its JSON text, nothing else has")
