"""Compare stored results with their records (`verify`), and make a damaged catalog usable again (`repair`).

A repair quarantines damaged files of records and reads their segments from files that a fold had replaced, if these
still exist. Stored results without a record are checked and recorded again from their manifest. The report lists lost
records and results; these results are computed again.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Literal

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.places.catalog_folder import Layout, explained, make_catalog
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import SegmentFolder, covering, pack
from helix_spark.catalog.tables.attempts import read_manifest, stored_attempts
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.catalog.tables.table_reading import DamagedArtifactError, check_rows, check_table, explained_damage
from helix_spark.errors import CatalogError
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import check_text

Verdict = Literal["sound", "damaged", "partly checked", "not reached"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a stored result; if it is partly checked, only Spark can read the other parts."""

    record: ArtifactRecord
    verdict: Verdict
    why: str = ""

    @property
    def bad(self) -> bool:
        return self.verdict == "damaged"

    def __str__(self) -> str:
        record = self.record
        text = f"{record.node} ({record.workflow} {record.iteration}), {record.kind}: {self.verdict}"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdicts on a catalog.

    Attributes:
        iterations, answers: numbers of records read.
        deep: True if all bytes were read.
        rejections: reasons why records were skipped.
    """

    findings: tuple[Finding, ...]
    iterations: int
    deep: bool
    rejections: tuple[str, ...] = ()
    answers: int = 0

    @property
    def sound(self) -> bool:
        bad = ("damaged", "not reached")
        return not self.rejections and not any(finding.verdict in bad for finding in self.findings)


def verify(catalog: CatalogReader, *, deep: bool) -> Verification:
    """Compare all live results with their records: logs, sizes and footers; if `deep` also each page with its checksum.
    Raises CatalogError if the records are damaged."""
    iterations, findings, answers = catalog.iterations(), list[Finding](), 0
    for record in catalog.live():
        try:
            findings.append(examine(catalog, record, deep=deep))
        except CatalogError as error:
            findings.append(Finding(record, "not reached", error.what))
    for answer in catalog.answers.records():
        answers += 1
        if (sound := catalog.answers.sound(answer)) is not None and sound.answer:
            try:
                check_text(sound.answer, sound.question)
            except StrangeAnswerError as error:
                catalog.answers.reject(sound.question, str(error))
    with explained(Layout(catalog.root), "read"):
        files = SegmentFolder(Layout(catalog.root).records).damaged()  # also those that an index has
    damaged = tuple(f"{file.place.name} is damaged: {why}" for file, why in files.items())
    return Verification(tuple(findings), len(iterations), deep, (*damaged, *catalog.rejections), answers)


def examine(catalog: CatalogReader, record: ArtifactRecord, *, deep: bool) -> Finding:
    """Compare one live result with its record. Raises CatalogError if it cannot be reached."""
    try:
        remarks = check_stored(catalog.path_of(record), record, deep=deep)
    except DamagedArtifactError as error:
        return Finding(record, "damaged", error.what)
    return Finding(record, "partly checked" if remarks else "sound", "; ".join(remarks))


def check_stored(path: Place | None, record: ArtifactRecord, *, deep: bool) -> tuple[str, ...]:
    """Compare a stored result with its record; return messages about columns that only Spark can read.

    Raises as `explained_damage`.
    """
    with explained_damage(path):
        if path is None:
            parsed(record.value or "")
            return ()
        if not path.is_own_folder():
            raise ValueError("its folder is gone")
        if record.kind == "table":
            check_table(path, record)
        elif (digest := checked_digest(path)) and record.digest is not None:
            if digest != record.digest:
                raise ValueError("its files are not those that were written")
        elif (size := path.total_bytes()) != record.bytes:
            raise ValueError(f"it has {size:,} bytes, its record {record.bytes:,}")
        return check_rows(path, record) if deep and record.kind == "table" else ()


@dataclass(frozen=True, slots=True)
class Repair:
    """The damage of a catalog and its repair, done or, in a dry run, proposed; in sentences.

    Attributes:
        saved: results that are recorded again.
        lost_history: True if records of iterations may be lost, which cannot be computed again.
        aside: the folder of quarantined files; empty if there are none.
    """

    damage: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    lost_history: bool = False
    aside: str = ""
    done: bool = False

    @property
    def is_needed(self) -> bool:
        return bool(self.damage or self.saved or self.lost)


def repair(layout: Layout, records: RecordLog, leases: Leases, *, dry_run: bool) -> Repair:
    """Repair a catalog, or propose a repair. Raises CatalogError, also if another process works on it."""
    if dry_run:
        return _repaired(layout, records, leases, None)
    with leases.alone("repair") as alone:
        if alone is None:
            lease = leases.find("repair")
            holder = (lease and lease.holder) or "another process"
            raise CatalogError(f"{holder} repairs the catalog {layout.root} at the moment",
                               remedy="wait until it has ended")
        check_idle(layout, leases)
        aside = layout.root / "damaged" / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        return _repaired(layout, records, leases, aside)


def check_idle(layout: Layout, leases: Leases) -> None:
    """Raise CatalogError if another process works on a catalog."""
    if holder := leases.at_work_elsewhere():
        raise CatalogError(f"{holder} works on the catalog {layout.root} at the moment",
                           remedy="wait until it has ended, or end it; `helix repair --dry-run` only reads")


def _repaired(layout: Layout, records: RecordLog, leases: Leases, aside: Place | None) -> Repair:
    """Find damage, and repair it if `aside` is a folder for damaged files."""
    with explained(layout, "read" if aside is None else "repaired"):
        if aside is not None:
            make_catalog(layout)
        folder, damage, lost = layout.records, tuple[str, ...](), tuple[str, ...]()
        if is_no_folder := isinstance(folder, LocalPath) and folder.exists() and not folder.is_dir():
            if aside is not None:
                aside.make_folder()
                folder.rename(str(aside / folder.name))
            damage, lost = (f"{folder} is no folder",), ("what ran",)
        is_empty = is_no_folder or records.is_empty()
        if not is_no_folder:
            damage, lost = _examined(SegmentFolder(folder), aside)
            if aside is not None and damage:
                records.forget_index()
        saved, unsound = _recover_results(layout, records, leases, aside)
        if is_empty and saved and not is_no_folder:
            damage, lost = ("the records are gone",), ("what ran",)
        if aside is not None and saved:
            records.sync()
    kept = str(aside) if aside is not None and aside.exists() else ""
    return Repair(damage, saved, (*lost, *unsound), bool(lost), kept, aside is not None)


def _examined(folder: SegmentFolder, aside: Place | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read all files of records; return descriptions of damaged files and of lost appends."""
    files, damaged = folder.files(), folder.damaged()
    damaged |= dict.fromkeys(folder.listing()[1], "its number is too far ahead")
    # Gaps are the first and last numbers of segments that no sound file has.
    covered, gaps, end = 0, list[tuple[int, int]](), max((file.last for file in files), default=0)
    sound = covering([file for file in files if file not in damaged], 0)
    for first, last in (*((file.first, file.last) for file in sound), (end + 1, end)):
        if first > covered + 1:
            gaps.append((covered + 1, first - 1))
        covered = max(covered, last)
    if aside is not None:
        for file in damaged:
            reach("repair.aside")
            aside.make_folder()
            file.place.move_to(aside / file.place.name)
        for first, last in gaps:
            folder.fold_file(first, last).place.write_new(pack(()), synced=True)
    return (
        tuple(f"the file {file.place} is damaged: {why}" for file, why in damaged.items()),
        tuple(f"what was recorded by {last - first + 1:,} appends ({first} to {last})" for first, last in gaps),
    )


def _recover_results(
    layout: Layout, records: RecordLog, leases: Leases, aside: Place | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Record finished results without a record; return descriptions of these and of unsound results."""
    ledger, saved, lost = ArtifactLedger(records), list[str](), list[str]()
    live = ledger.live()
    for attempt in stored_attempts(layout):
        if attempt.path is None or attempt.signature in live or ledger.events_of([attempt.attempt]):
            continue
        if not leases.is_dead(attempt.attempt):
            continue
        try:
            with explained_damage(attempt.path):
                record = read_manifest(attempt.path)
                if record is None:  # it was never finished
                    continue
                identity = (record.signature, record.attempt, record.kind, record.event)
                if identity != (attempt.signature, attempt.attempt, attempt.kind, "published"):
                    raise ValueError("its manifest is that of another result")
                if record.digest is None:
                    raise ValueError("its manifest has no digest")
            check_stored(attempt.path, record, deep=True)
        except DamagedArtifactError as error:
            lost.append(error.what)
            continue
        if aside is not None:
            ledger.publish(record)
        saved.append(f"the stored {record.kind} of {record.node!r} (iteration {record.iteration} of {record.workflow})")
    return tuple(saved), tuple(lost)
