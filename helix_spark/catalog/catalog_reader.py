"""Read a catalog and the shared catalogs below it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.history import IterationReader, PastIteration, Progress, read_progress
from helix_spark.catalog.known_results import AnswerLedger, ResultReader
from helix_spark.catalog.leases import Leases
from helix_spark.catalog.older_layout import is_older, older_segments
from helix_spark.catalog.places.catalog_folder import CatalogLocation, Layout, explained, index_file, locate
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import KINDS, ArtifactRecord, IterationRecord, NodeRecord
from helix_spark.catalog.segments.record_index import TURN_BITS, columns_of
from helix_spark.catalog.segments.record_log import RecordLog
from helix_spark.catalog.segments.segment import Segment
from helix_spark.catalog.shared_catalogs import SharedCatalogs
from helix_spark.catalog.tables import attempts as folders
from helix_spark.catalog.tables.attempts import Attempt
from helix_spark.catalog.tables.table_reading import CheckedTable, FirstRows, check_table, read_arrow, read_first
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

WHY_MISSING = "its folder is gone"
"""Why a record among `CatalogView.missing` cannot be loaded."""


@dataclass(frozen=True, slots=True)
class CatalogView:
    """A catalog as one workflow sees it before a run, read once.

    Attributes:
        artifacts: all live artifacts, of all workflows, by signature, without those in `missing`; also those of shared
            catalogs. Only those of the iterations in `past` have schemas.
        missing: live artifacts of iterations in `past` whose folder is gone: to be quarantined, never planned with.
        last, nodes: the newest iteration in `past` that has ended, and its nodes.
        past: the newest iterations of the workflow, oldest first, however they ended.
        next_iteration: the number that a run would get now.
        pinned: signature to a sentence that names the pinned iteration with the result.
        bytes_used: physical bytes of the catalog: live artifacts, records, leftovers (on a disk, without leftovers of
            live signatures).
    """

    workflow: str
    artifacts: Mapping[str, ArtifactRecord]
    missing: tuple[ArtifactRecord, ...]
    last: IterationRecord | None
    nodes: tuple[NodeRecord, ...]
    past: tuple[PastIteration, ...]
    next_iteration: int
    bytes_used: int
    pinned: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_artifacts(self) -> dict[str, ArtifactRecord]:
        """The live artifacts in the catalog itself."""
        return {signature: record for signature, record in self.artifacts.items() if not record.shared}

    @property
    def below(self) -> dict[str, ArtifactRecord]:
        """The live artifacts that only a shared catalog has."""
        return {signature: record for signature, record in self.artifacts.items() if record.shared}

    @property
    def artifact_bytes(self) -> int:
        """Physical bytes of the catalog's own live artifacts."""
        return sum(record.bytes for record in self.own_artifacts.values())

    @property
    def other_bytes(self) -> int:
        """Physical bytes of everything else: records, leftovers."""
        return self.bytes_used - self.artifact_bytes


class CatalogReader(IterationReader, ResultReader):
    """A catalog to read. Make one with `open`; it may be used from several threads and processes at once."""

    def __init__(self, layout: Layout, shared: Sequence[str] = ()) -> None:
        def open_shared(name: str) -> CatalogReader | None:
            catalog = CatalogReader.open(name, create=False)
            if str(catalog.root) == str(self.root):
                return None
            catalog._check_recorded()
            catalog._records.hold()
            return catalog

        self.shared: SharedCatalogs[CatalogReader] = SharedCatalogs(shared, open_shared)
        self._begin(layout)

    def _begin(self, layout: Layout) -> None:
        self._layout = layout
        location = self._location = CatalogLocation(layout)

        def older() -> Iterator[Segment] | None:
            """The records of a catalog of layout 1; None once it was taken over."""
            location.is_older = location.is_older and is_older(layout)
            return older_segments(layout) if location.is_older else None

        self._records = RecordLog(
            layout.records, KINDS, lambda: None if location.is_older else index_file(layout, self.id), older
        )
        self.select = self._records.select
        self.answers = AnswerLedger(self._records, lambda question: next((
            (name, record) for name, record in self.shared.query(lambda below: below.answers.newest(question)) if record
        ), None))
        self._artifacts = ArtifactLedger(self._records)
        self.leases = Leases(layout.leases)

    @classmethod
    def open(cls, root: str | os.PathLike[str], *, create: bool, shared: Sequence[str] = ()) -> Self:
        """Open the catalog at `root` and the `shared` ones below it, which are only read. Nothing is written: with
        `create`, the first write makes a new catalog. Raises CatalogError if `root` holds something else, is of a newer
        layout, or does not exist (without `create`)."""
        return cls(locate(root, create=create), shared)

    @property
    def root(self) -> Place:
        return self._layout.root

    @property
    def roots(self) -> tuple[Place, ...]:
        """The roots of this catalog and of the shared ones that can be read."""
        return (self.root, *(catalog.root for catalog in self.shared.open_all()))

    @property
    def id(self) -> str:
        """The id of this catalog, unique for each creation; empty until then."""
        return self._location.id

    def snapshot(self, workflow: str) -> CatalogView:
        """Read the view that planning `workflow` needs. Raises CatalogError for damaged records."""
        with self._records.one_look():
            past = self._recent(workflow, 40)  # a forecast weighs older ones with less than a third (`FRESHNESS`)
            near = {node.signature for iteration in past for node in iteration.nodes}
            live = self._artifacts.live(near)
            ended = (iteration.record for iteration in reversed(past) if iteration.record.status != "running")
            last = next(ended, None)
            nodes = self.nodes(last) if last else ()
            pinned = self._pinned_results()
        if not past and not live:
            self._check_recorded()
        # Check that data exists only for the iterations in `past`; do not search a disk's folders of live signatures.
        with explained(self._layout, "read"):
            stored = list(folders.stored_attempts(self._layout, live.keys()))
            listed = {attempt.attempt for attempt in stored}
            nearby = (live[signature] for signature in sorted(near & live.keys()))
            missing = folders.missing_among(self._layout, (record for record in nearby if record.attempt not in listed))
        missing_signatures = {record.signature for record in missing}
        own = {signature: record for signature, record in live.items() if signature not in missing_signatures}

        def live_by_now(shared: CatalogReader) -> Mapping[str, ArtifactRecord]:
            shared._records.hold()
            return shared._artifacts.live(near)

        artifacts = MappingProxyType({**self.shared.artifacts(live_by_now), **own})
        return CatalogView(
            workflow, artifacts, tuple(missing), last, nodes, past,
            past[-1].record.number + 1 if past else 1, self._bytes_from_records(live.values(), stored),
            {signature: f"iteration {number} of `{name}` is pinned" for signature, (name, number) in pinned.items()},
        )

    def live(self) -> tuple[ArtifactRecord, ...]:
        """Return all live artifacts of the catalog itself, of all workflows."""
        return tuple(self._artifacts.live().values())

    def artifact(self, signature: str) -> ArtifactRecord | None:
        """Return the live artifact of a signature."""
        return self.live_among([signature]).get(signature)

    def live_among(self, signatures: Collection[str]) -> dict[str, ArtifactRecord]:
        """Return the live artifacts of some signatures, by signature, in one lookup; also of shared catalogs."""
        own = self._artifacts.live_among(signatures)
        missing = set(signatures) - own.keys()
        return own | (self.shared.artifacts(lambda catalog: catalog.live_among(missing)) if missing else {})

    def last_events(self, signatures: Collection[str] | None = None) -> dict[str, ArtifactRecord]:
        """Return the newest record of each signature that was ever stored, of all or of some. It is live if its event
        is `published`; else it has the time and reason of its end."""
        return self._artifacts.newest(signatures)

    def last_event(self, signature: str) -> ArtifactRecord | None:
        """Return the newest record of one signature; see `last_events`."""
        return self.last_events([signature]).get(signature)

    def progress(self, iteration: IterationRecord) -> Progress | None:
        """Return the progress of an iteration that runs, stores after its answer, or died."""
        ended = iteration.status not in ("running", "died")
        if ended and self.leases.is_dead(iteration.run):
            return None
        return read_progress(self._layout, iteration.workflow, iteration.number)

    def version(self) -> str:
        """Return a text that changes whenever an iteration, a node or an artifact is recorded."""
        kinds = (IterationRecord, NodeRecord, ArtifactRecord)
        return "-".join(str(self._records.newest(kind)) for kind in kinds)

    def stored_version(self) -> int:
        """Return a number that grows whenever an artifact, or its end, is recorded."""
        return self._records.newest(ArtifactRecord)

    def path_of(self, record: ArtifactRecord) -> Place | None:
        """Return the folder of an artifact; None for a value."""
        catalog = self.shared.catalogs[record.shared] if record.shared else self
        assert catalog is not None
        return folders.attempt_of(catalog._layout, record).path

    def check_table(self, record: ArtifactRecord) -> CheckedTable:
        """Check a stored table against its record, without reading its pages; see `table_reading.check_table`."""
        return check_table(self._table_path(record), record)

    def read_arrow(self, record: ArtifactRecord) -> pa.Table:
        """Read a stored table without a JVM; see `table_reading.read_arrow`."""
        return read_arrow(self._table_path(record), record)

    def first_rows(self, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
        """Read the first rows of a stored table without a JVM; see `table_reading.read_first`."""
        return read_first(self._table_path(record), record, rows, most_columns)

    def bytes_used(self) -> int:
        """Return the physical bytes of records, leftovers, and live artifacts as recorded."""
        with explained(self._layout, "read"):
            stored = list(folders.stored_attempts(self._layout))
        return self._bytes_from_records(self._artifacts.live(()).values(), stored)

    def _table_path(self, record: ArtifactRecord) -> Place:
        path = self.path_of(record)
        if record.kind != "table" or path is None:
            raise CatalogError(f"the stored result of node {record.node!r} is a {record.kind}, not a table")
        return path

    def _bytes_from_records(self, live: Iterable[ArtifactRecord], stored: Iterable[Attempt]) -> int:
        sizes = {record.attempt: record.bytes for record in live}
        with explained(self._layout, "read"):
            unrecorded = (attempt.path for attempt in stored if attempt.attempt not in sizes)
            unrecorded_bytes = sum(path.total_bytes() for path in unrecorded if path is not None)
            return sum(sizes.values()) + unrecorded_bytes + self._layout.records.total_bytes()


Format = Literal["delta", "parquet"]


def write_tables(catalog: CatalogReader, folder: Path, form: Format) -> Mapping[str, int]:
    """Write the records of each kind as a Delta table or a Parquet file into an existing folder; return their number by
    kind. A row has the record's fields; `segment` and `place` give the order. Raises CatalogError, OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    types: Mapping[str, pa.DataType] = {
        "str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "strs": pa.list_(pa.string()),
    }
    counts = dict[str, int]()
    for kind in KINDS:
        columns = columns_of(kind.record_type)
        rows = catalog.select(f"SELECT * FROM {kind.name} ORDER BY turn")
        turns, *cells = zip(*rows, strict=True) if rows else [()] * (len(columns) + 1)
        arrays = {
            "segment": pa.array([turn >> TURN_BITS for turn in turns], pa.int64()),
            "place": pa.array([turn & (1 << TURN_BITS) - 1 for turn in turns], pa.int64()),
        }
        for (name, column), values in zip(columns.items(), cells, strict=True):
            arrays[name] = pa.array([column.value(value) for value in values], types[column.plain])
        if form == "delta":
            write_deltalake(str(folder / kind.name), pa.table(arrays))
        else:
            pq.write_table(pa.table(arrays), folder / f"{kind.name}.parquet", compression="zstd")
        counts[kind.name] = len(rows)
    return counts
