"""What was read of a catalog's records for one run: what is there, what it took, and how quick the disk is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.costs.model import LOAD, READ, WRITE, Throughput, calibrate, loads_from_reads

SAMPLED = 12
"""Artifacts of each kind, those of the latest iterations, whose reading is looked up: few, so that no plan waits for
it, and new, because disks change."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """What was read.

    Attributes:
        view: the iterations of the workflow, and what is stored.
        measured: what is known of results, by signature.
        loads: load throughput by kind of artifact, calibrated to the catalog.
        known_random: declared signatures, and why a result differs each time where an earlier run found that out.
    """

    view: CatalogView
    measured: Mapping[str, ResultRecord]
    loads: Mapping[str, Throughput] = field(default_factory=lambda: LOAD)
    known_random: Mapping[str, str] = field(default_factory=dict)

    def compute_seconds(self, signature: str) -> float | None:
        """Return what computing a result took, if that is on record."""
        record = self.measured.get(signature)
        return None if record is None else record.compute_seconds

    def load_seconds(self, artifact: ArtifactRecord) -> float:
        """Return what loading a stored result is expected to take."""
        return self.loads[artifact.kind].seconds(artifact.bytes)


def calibrated_writes(artifacts: Collection[ArtifactRecord]) -> dict[str, Throughput]:
    """Write throughput by kind of artifact, drawn from the live artifacts' own writes, where nothing but writing was in
    them: the others have no seconds on record."""
    return {
        kind: calibrate(((r.bytes, r.write_seconds) for r in artifacts if r.kind == kind and r.write_seconds), prior)
        for kind, prior in WRITE.items()
    }


def sampled(artifacts: Collection[ArtifactRecord]) -> dict[str, ArtifactRecord]:
    """The artifacts that tell how quick loads are, by signature."""
    newest = sorted(artifacts, key=lambda record: (-record.iteration, record.signature))
    of_kinds = [[record for record in newest if record.kind == kind][:SAMPLED] for kind in READ]
    return {record.signature: record for records in of_kinds for record in records}


def calibrated_loads(
    artifacts: Mapping[str, ArtifactRecord], measured: Mapping[str, ResultRecord]
) -> dict[str, Throughput]:
    """Load throughput by kind of artifact, from those of the artifacts that were read by themselves.

    Args:
        artifacts: by signature, see `sampled`.
        measured: what is on record of signatures.
    """
    samples: dict[str, list[tuple[int, float]]] = {}
    for signature, artifact in artifacts.items():
        seconds = measured[signature].read_seconds if signature in measured else None
        if seconds is not None:
            samples.setdefault(artifact.kind, []).append((artifact.bytes, seconds))
    return loads_from_reads(samples)
