"""All that the records of a catalog say, as far as they can be read, whatever state they are in; and what lost ones
said, as far as something else says it: stored results, which have a manifest, and nodes, which name their iteration.
What is taken up again was checked as whatever is loaded. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from helix_spark.catalog.artifacts import by_signature, live_among_all
from helix_spark.catalog.history import heaviest
from helix_spark.catalog.journal.examination import Mending, examined, rows_of
from helix_spark.catalog.journal.rows import Misfit, Row
from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.places.catalog_folder import Layout
from helix_spark.catalog.places.place import Place, is_out_of_reach
from helix_spark.catalog.record_journals import journals_in
from helix_spark.catalog.records import ArtifactRecord, FileRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.catalog.tables.attempts import Attempt, read_manifest, stored_attempts
from helix_spark.catalog.tables.table_check import DamagedArtifactError, unreached
from helix_spark.catalog.verification import check_copy
from helix_spark.identity.parts import digest


@dataclass(frozen=True)
class HeldRecords:
    """The rows of each journal in their order.

    Attributes:
        mendings: by type of row, what was found of its journal.
        odd_attempts: the attempts that records of artifacts name which do not fit.
    """

    files: tuple[FileRecord, ...]
    results: tuple[ResultRecord, ...]
    nodes: tuple[NodeRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    iterations: tuple[IterationRecord, ...]
    mendings: Mapping[type[Any], Mending]
    odd_attempts: frozenset[str]

    @property
    def live(self) -> dict[str, ArtifactRecord]:
        """The live artifacts by signature."""
        return by_signature(live_among_all(self.artifacts))


def held_records(records: Place) -> HeldRecords:
    """Reads all journals. Raises OSError where they cannot be reached.

    Args:
        records: the folder of all journals.
    """
    mendings = {
        journal.row_type: examined(journal) for journal in journals_in(records)
    }
    artifacts = rows_of(mendings[ArtifactRecord], ArtifactRecord)
    return HeldRecords(
        files=_fitting(rows_of(mendings[FileRecord], FileRecord)),
        results=_fitting(rows_of(mendings[ResultRecord], ResultRecord)),
        nodes=_fitting(rows_of(mendings[NodeRecord], NodeRecord)),
        artifacts=_fitting(artifacts),
        iterations=_fitting(rows_of(mendings[IterationRecord], IterationRecord)),
        mendings=mendings,
        odd_attempts=frozenset(str(row.fields.get("attempt")) for row in artifacts if isinstance(row, Misfit)),
    )


def _fitting(rows: Sequence[Row | Misfit]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not isinstance(row, Misfit))


LOST = "the record of its end was lost; `helix repair` made it again from what else is on record"


def unrecorded(layout: Layout, held: HeldRecords, leases: Leases) -> Iterator[tuple[Attempt, ArtifactRecord | str]]:
    """The stored results that no record names and that were finished, each with the record that it had, or, in words,
    why it cannot be taken up again. Not what somebody writes at the moment.

    Raises CatalogError or OSError for one that cannot be reached.
    """
    known, live = {record.attempt for record in held.artifacts}, held.live
    for attempt in stored_attempts(layout):
        if attempt.attempt in known or attempt.signature in live or attempt.path is None:
            continue
        if attempt.attempt in held.odd_attempts:
            yield attempt, "its record does not fit"
            continue
        if not leases.is_dead(attempt.attempt, untouched=SILENCE_SECONDS):
            continue
        try:
            record = read_manifest(attempt.path)
            if record is not None:
                _check_of(attempt, record)
                check_copy(record, attempt.path)
                yield attempt, record
        except (DamagedArtifactError, OSError, ValueError, TypeError) as error:
            if is_out_of_reach(error):
                raise unreached(attempt.path, error) from error
            yield attempt, error.what if isinstance(error, DamagedArtifactError) else str(error)


def _check_of(attempt: Attempt, record: ArtifactRecord) -> None:
    """Raises ValueError for a manifest that is not this attempt's."""
    told = (record.signature, record.attempt, record.kind, record.event)
    if told != (attempt.signature, attempt.attempt, attempt.kind, "published"):
        raise ValueError("its manifest is that of another result")
    if record.bytes < 0 or record.iteration < 1:
        raise ValueError("its manifest is not whole")


def missing_iterations(held: HeldRecords, leases: Leases, now: float) -> list[IterationRecord]:
    """Records of the iterations that something is on record of, and which have none themselves; and ends of those that
    came to their end, as their nodes are there, and of which only the start is on record.

    Args:
        now: seconds since 1970, for those of which nothing tells when they were.
    """
    values = {one.signature: one.value for one in held.live.values() if one.value is not None}
    times = {(one.workflow, one.iteration): one.at for one in reversed(held.artifacts)}
    known, numbers = heaviest(held.iterations), {(one.workflow, one.number) for one in held.iterations}
    nodes: dict[str, list[NodeRecord]] = {}
    for node in held.nodes:
        nodes.setdefault(node.run, []).append(node)
    found = []
    for run, of in nodes.items():
        of_run, key = known.get(run), (of[0].workflow, of[0].iteration)
        if of_run is None and key not in numbers:
            start = IterationRecord(run, *key, "running", times.get(key, now))
            found.append(_ended(start, of, values))
        elif of_run is not None and of_run.status == "running" and leases.is_dead(run, untouched=SILENCE_SECONDS):
            found.append(_ended(of_run, of, values))
    numbers.update((one.workflow, one.number) for one in found)
    mentioned = {(one.workflow, one.iteration) for one in held.artifacts}
    mentioned.update((one.workflow, one.iteration) for one in held.results)
    return found + [
        IterationRecord(
            digest("lost iteration", workflow, str(number))[:32], workflow, number, "failed",
            times.get((workflow, number), now), error=LOST,
        )
        for workflow, number in sorted(mentioned - numbers) if number >= 1
    ]


def _ended(
    start: IterationRecord, nodes: Sequence[NodeRecord], values: Mapping[str, str]
) -> IterationRecord:
    asked = [node for node in nodes if node.output]
    had = all(node.state == "load" or node.seconds is not None for node in asked)
    outputs = {node.name: json.loads(values[node.signature]) for node in asked if node.signature in values}
    ends = [node.started + (node.seconds or 0.0) for node in nodes if node.started is not None]
    return replace(
        start, status="done" if had else "failed", seconds=max(ends, default=None), outputs=json.dumps(outputs),
        error=LOST,
    )
