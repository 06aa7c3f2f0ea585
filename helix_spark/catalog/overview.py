"""What people look at in a catalog: iterations, their nodes, what is stored, the first rows of a table. Reads only.

Apart from `Catalog`, which stores and removes: what shows a catalog to a browser cannot change it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from helix_spark.catalog.artifacts import ArtifactLedger
from helix_spark.catalog.deaths import concluded
from helix_spark.catalog.history import History
from helix_spark.catalog.leases.leases import SILENCE_SECONDS, Leases
from helix_spark.catalog.places.folder_bytes import FolderBytes
from helix_spark.catalog.places.layout import Layout, locate
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.progress import Progress, read_progress
from helix_spark.catalog.records import ArtifactRecord, IterationRecord, NodeRecord, ResultRecord
from helix_spark.catalog.results import ResultLedger
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    from helix_spark.catalog.tables.table_reading import FirstRows


class Overview:
    """A catalog to look at. Every method raises CatalogError for damaged records."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._artifacts = ArtifactLedger(layout.records / "artifacts")
        self._history = History(layout.records)
        self._results = ResultLedger(layout.records / "results")
        self._records_bytes = FolderBytes(layout.records)
        self._leases = Leases(layout.leases)

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Overview:
        """The catalog at `root`. Raises CatalogError if there is none."""
        return cls(locate(root, create=False))

    @property
    def root(self) -> Place:
        return self._layout.root

    def version(self) -> str:
        """Differs whenever something was recorded."""
        return "-".join(map(str, (*self._history.version(), self._artifacts.version())))

    def workflows(self) -> tuple[str, ...]:
        return self._history.workflows()

    def iterations(self, workflow: str) -> tuple[IterationRecord, ...]:
        """All iterations of a workflow, newest first. Running ones whose process is gone have died."""
        return self.concluded(workflow, self._history.iterations(workflow))

    def concluded(self, workflow: str, found: Sequence[IterationRecord]) -> tuple[IterationRecord, ...]:
        """Iterations of a workflow that were read some time ago: some of those that ran may have died since."""
        return concluded(found, self._leases, lambda: self._history.iterations(workflow))

    def nodes(self, iteration: IterationRecord) -> tuple[NodeRecord, ...]:
        """What happened to each node, inputs first; none before the iteration has ended."""
        return self._history.nodes_of(iteration)

    def progress(self, iteration: IterationRecord) -> Progress | None:
        """How far an iteration is that runs or, after its answer, still stores; how far one came that died. None
        otherwise."""
        ended = iteration.status not in ("running", "died")
        if ended and self._leases.is_dead(iteration.run, untouched=SILENCE_SECONDS):
            return None
        return read_progress(self._layout, iteration.workflow, iteration.number)

    def artifacts(self) -> dict[str, ArtifactRecord]:
        """The newest record of every signature that was ever stored: live if its event is `published`."""
        return self._artifacts.newest()

    def loads(self) -> dict[str, tuple[int, str, int]]:
        """How often each signature was loaded, and by which workflow and iteration last."""
        return self._history.loads()

    def measured(self, signatures: Collection[str]) -> dict[str, ResultRecord]:
        """What is known of the costs of signatures."""
        return dict(self._results.known((), signatures).measured)

    def file_text(self, digest: str) -> str | None:
        """A text on record by its digest, such as the first rows of an output; None if it was never kept."""
        found = self._history.file(digest) if digest else None
        return found.text if found else None

    def first_rows(self, record: ArtifactRecord, rows: int, most_columns: int) -> FirstRows:
        """The first rows of a stored table; see `table_reading.read_first`."""
        from helix_spark.catalog.tables.table_reading import read_first

        if record.kind != "table":
            raise CatalogError(f"the stored result of node {record.node!r} is a {record.kind}, not a table")
        folder = self._layout.attempt(record.kind, record.signature, record.attempt)
        return read_first(folder, record, rows, most_columns)

    def bytes_used(self) -> int:
        """Physical bytes of the whole catalog, as the budget counts them."""
        from helix_spark.catalog.leftovers import bytes_of_results
        from helix_spark.catalog.tables.attempts import stored_attempts

        stored = list(stored_attempts(self._layout))
        return bytes_of_results(self._artifacts.live_bytes(), stored) + self._records_bytes.total()
