"""What was read of a catalog's records for one run: what is there, what it took, and how quick the disk is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from helix_spark.catalog.records import ArtifactRecord, ResultRecord
from helix_spark.catalog.view import CatalogView
from helix_spark.costs.model import LOAD, Throughput


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
