"""Whether what a catalog's records say is there is there, and sound. Reads; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from helix_spark.catalog.answer_ledger import AnswerLedger
from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.attempts import physical_bytes
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.catalog.tables.table_check import DamagedArtifactError, check_table, explained_damage
from helix_spark.catalog.tables.table_reading import check_rows
from helix_spark.errors import CatalogError
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import check_text

Verdict = Literal["sound", "damaged", "partly checked", "not reached"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one stored result; of a partly checked one only Spark can read some parts."""

    record: ArtifactRecord
    verdict: Verdict
    why: str = ""

    @property
    def bad(self) -> bool:
        return self.verdict == "damaged"

    def __str__(self) -> str:
        one = self.record
        text = f"{one.node} ({one.workflow} {one.iteration}), {one.kind}: {self.verdict}"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        findings: one a live result.
        iterations, answers: how many were read.
        deep: whether all bytes were read.
        rejections: why records were left out that do not fit.
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
    """Compare all live results with their records. Raises CatalogError if the records themselves are damaged.

    Args:
        deep: read every page of tables and compare its checksum; else only logs, sizes and footers of these.
    """
    iterations = catalog.iterations()
    findings = []
    for record in catalog.live():
        try:
            findings.append(examine(catalog, record, deep=deep))
        except CatalogError as error:
            findings.append(Finding(record, "not reached", error.what))
    if deep:
        catalog.loads()  # which looks at all files of nodes
    answers = _check_answers(catalog.answers)
    damaged = tuple(f"{file.place.name} is damaged: {why}" for file, why in catalog.damaged_records().items())
    return Verification(tuple(findings), len(iterations), deep, (*damaged, *catalog.rejections), answers)


def _check_answers(answers: AnswerLedger) -> int:
    """Read all recorded answers as a run reads them; return how many there are."""
    count = 0
    for record in answers.records():
        count += 1
        sound = answers.sound(record)
        if sound is not None and sound.answer:
            try:
                check_text(sound.answer, sound.question)
            except StrangeAnswerError as error:
                answers.reject(sound.question, str(error))
    return count


def examine(catalog: CatalogReader, record: ArtifactRecord, *, deep: bool) -> Finding:
    """Compare one live result with its record. Raises CatalogError if it cannot be reached."""
    try:
        remarks = check_stored(catalog.path_of(record), record, deep=deep)
    except DamagedArtifactError as error:
        return Finding(record, "damaged", error.what)
    return Finding(record, "partly checked" if remarks else "sound", "; ".join(remarks))


def check_stored(path: Place | None, record: ArtifactRecord, *, deep: bool) -> tuple[str, ...]:
    """Compare a stored result with its record; return what only Spark can read of it. Raises DamagedArtifactError, and
    CatalogError if it cannot be reached."""
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
        elif (size := physical_bytes(path)) != record.bytes:
            raise ValueError(f"it has {size:,} bytes, its record {record.bytes:,}")
        return check_rows(path, record) if deep and record.kind == "table" else ()
