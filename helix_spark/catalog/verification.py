"""Whether what a catalog's records say is there is there, and sound. Reads; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.attempts import physical_bytes
from helix_spark.catalog.file_digest import digest_of_model
from helix_spark.catalog.held_columns import held_schema
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.side_checksums import ChecksumError, check_all
from helix_spark.catalog.spark_types import NeedsSparkError
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.catalog.catalog import Catalog

Verdict = Literal["sound", "damaged", "partly checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one stored result.

    Attributes:
        record: of the result.
        verdict: sound as far as it was looked at; damaged; or sound, with parts that only Spark can read.
        why: in words; empty for a sound one.
    """

    record: ArtifactRecord
    verdict: Verdict
    why: str = ""

    @property
    def bad(self) -> bool:
        return self.verdict == "damaged"

    def __str__(self) -> str:
        of = f"{self.record.workflow} {self.record.iteration}"
        text = f"{self.record.node} ({of}), {self.record.kind}: {self.verdict}"
        return f"{text}: {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        findings: one a live result.
        iterations, nodes: how many records of them were read.
        deep: whether all bytes were read.
    """

    findings: tuple[Finding, ...]
    iterations: int
    nodes: int
    deep: bool

    @property
    def sound(self) -> bool:
        return not any(finding.bad for finding in self.findings)


def verify(catalog: Catalog, *, deep: bool) -> Verification:
    """Compares all live results with their records.

    Args:
        deep: read every page and compare every checksum; else only logs, sizes, footers and values are looked at.

    Raises CatalogError if the records themselves are damaged.
    """
    iterations = catalog.iterations()
    nodes = sum(len(catalog.nodes(each.run)) for each in iterations) if deep else 0
    findings = tuple(_finding(catalog, record, deep=deep) for record in catalog.live())
    return Verification(findings, len(iterations), nodes, deep)


def _finding(catalog: Catalog, record: ArtifactRecord, *, deep: bool) -> Finding:
    try:
        remark = next(_remarks(catalog, record, deep=deep), "")
    except (CatalogError, ChecksumError, OSError, ValueError) as error:
        return Finding(record, "damaged", error.what if isinstance(error, CatalogError) else str(error))
    return Finding(record, "partly checked" if remark else "sound", remark)


def _remarks(catalog: Catalog, record: ArtifactRecord, *, deep: bool) -> Iterator[str]:
    """What could not be checked. Raises for what is wrong."""
    path = catalog.path_of(record)
    if path is None:
        json.loads(record.value or "")
        return
    if not path.is_dir():
        raise CatalogError(f"its folder {path} is gone")
    if record.kind == "model":
        if record.digest is not None and digest_of_model(path) != record.digest:
            raise CatalogError("its files are not those that were written")
        if record.digest is None and physical_bytes(path) != record.bytes:
            raise CatalogError(f"it has {physical_bytes(path):,} bytes, its record {record.bytes:,}")
    else:
        catalog.check_table(record)
    if not deep:
        return
    for file in path.rglob("*"):
        if file.is_file() and not file.name.startswith("."):
            check_all(file)
    if record.kind == "table":
        try:
            catalog.read_arrow(record, _held(record))
        except NeedsSparkError as error:
            yield f"{error.what}; its files match their checksums"


def _held(record: ArtifactRecord) -> list[str] | None:
    """The columns that the files hold, where that is not all of them."""
    schema = held_schema(record) if record.left_out else None
    return None if schema is None else [field["name"] for field in json.loads(schema)["fields"]]
