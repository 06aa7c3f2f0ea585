"""One Delta table of records: rows are appended and read, never changed. No JVM, and no knowledge of what rows mean.

An append is one Delta commit, put in place by a link that fails where the version exists already, so of several
processes none loses a row. Reading sees whole commits. Each append has an id, which its commit names: an append whose
answer was lost, or which met itself, is found by it and not made twice.

What is appended is seen at once, and survives a loss of power once it is synced: before, it is not said to be recorded.
One sync serves all commits since the last one (group commit) and several journals, as a disk takes hardly longer for
many files than for one. The heads come last, when all that they name is safe: see `log_end`.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.log_end import COMMIT, LogEnd, Unsynced, head_file
from helix_spark.catalog.journal.open_table import LOOKS, OpenTable
from helix_spark.catalog.journal.own_files import remove_sums
from helix_spark.catalog.journal.rows import (
    PLACE,
    SEQUENCE,
    Misfit,
    Row,
    columns_of,
    from_columns,
    journal_settings,
    misfits,
    table_schema,
    to_table,
    written_as,
)
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.errors import CatalogError, DamagedRecordsError

if TYPE_CHECKING:
    from deltalake import DeltaTable

P = ParamSpec("P")
T = TypeVar("T")
J = TypeVar("J", bound="Journal[Any]")

ATTEMPTS = 30
"""Tries of one append under contention. With four writers none needed more than a handful."""

LONGEST_PAUSE = 0.25
"""Seconds between two tries at most."""

PAUSES = random.Random()
"""Draws how long a writer waits before it tries again. `random`'s own generator is the author's."""

_MOST_TOLD = 100
"""Rows that do not fit of which it is told why."""


Mender = Callable[[DamagedRecordsError], bool]
"""Receives damage that was met; returns whether it was repaired, so that what met it is done again."""


def _mended(method: Callable[Concatenate[J, P], T]) -> Callable[Concatenate[J, P], T]:
    """Does once more what met damage, if that could be mended."""
    def whole(self: J, /, *args: P.args, **named: P.kwargs) -> T:
        try:
            return method(self, *args, **named)
        except DamagedRecordsError as error:
            if self._mender is None or not self._mender(error):
                raise
        self._open.forget()
        return method(self, *args, **named)

    return update_wrapper(whole, method)


class OutrunError(Exception):
    """A conditional append found that the table has moved on; look again and decide anew."""


class Journal(Generic[Row]):
    """The rows of one frozen dataclass in one Delta table.

    Safe to use from several threads; the table is made by the first append.

    Args:
        folder: of the table; ``FOLDER.head`` beside it is the journal's as well (see `log_end`).
        row_type: the dataclass.
        pruned_by: columns whose smallest and largest values the log keeps per file, so that a query which names them
            skips files.
        mender: is asked once where damage is met; by default it is an error.

    Attributes:
        rejections: why rows were left out that do not fit, in words, in the order in which they were met.
    """

    def __init__(
        self, folder: Place, row_type: type[Row], *, pruned_by: Sequence[str], mender: Mender | None = None,
    ) -> None:
        self.folder, self.row_type, self._mender = folder, row_type, mender
        self.pruned_by = (SEQUENCE, *pruned_by)
        self._log = LogEnd(folder)
        self._open = OpenTable(folder, row_type, self._log)
        self.rejections: dict[str, None] = {}

    @_mended
    def version(self) -> int:
        """The newest version there is; -1 before the first append. Raises CatalogError for a damaged log."""
        with self._open.held("read"):
            table = self._open.newest()
            return table.version() if table else -1

    @_mended
    def append(self, rows: Sequence[Row], *, seen: int | None = None) -> int:
        """Append all rows in one commit, and return its version.

        Args:
            rows: at least one.
            seen: commit only if this is still the newest version (see `version`).

        Raises:
            OutrunError: somebody committed after `seen`; nothing was appended.
            CatalogError: the table is damaged or cannot be written.
        """
        from deltalake.exceptions import CommitFailedError, DeltaError

        commit, first_seen = uuid.uuid4().hex, None
        with self._open.held("written"):
            for attempt in range(ATTEMPTS):
                with self._open.explained("read"):
                    table = self._open.newest()
                table = table or self._create_table()
                base = table.version()
                if seen is not None and base != max(seen, 0):
                    raise OutrunError
                first_seen = base if first_seen is None else first_seen
                version: int | None = base + 1
                try:
                    self._commit(table, rows, commit)
                except (DeltaError, OSError) as error:
                    # Outrun by another commit; or ours was carried out, and its answer was lost.
                    self._open.forget()
                    version = self._log.version_of(commit, first_seen)
                    if version is None and self._log.is_cleaned(base + 1):
                        version = base + 1
                    elif version is None and not isinstance(error, CommitFailedError):
                        raise
                if version is not None and (not self._log.is_cleaned(version) or self._holds(rows, version)):
                    return version
                self._open.forget()
                first_seen = first_seen if version is None else None
                _pause(attempt)
        raise self._outrun()

    def _holds(self, rows: Sequence[Row], version: int) -> bool:
        """Whether rows are on record as those of a version whose part of the log was cleaned up. They are where their
        writer was stopped after its commit; where it was stopped before, the version is another's, and what was put in
        its place lies below a checkpoint, where nobody reads it."""
        self._open.forget()
        return self.query(f"SELECT * FROM journal WHERE {SEQUENCE} = {version:d} ORDER BY {PLACE}") == list(rows)

    def _commit(self, table: DeltaTable, rows: Sequence[Row], commit: str) -> None:
        from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake

        reach("journal.appending")
        # Written by an older or a newer version; a column that readers must understand comes with a new layout.
        is_other = {one.name for one in table.schema().fields} != {SEQUENCE, PLACE, *columns_of(self.row_type)}
        self.forget_sums(table.version() + 1)
        write_deltalake(
            table,
            to_table(rows, self.row_type, table.version() + 1),
            mode="append",
            schema_mode="merge" if is_other else None,
            writer_properties=written_as(self.pruned_by),
            # No retry inside: `seen` must hold, and what is retried here carries a fresh `SEQUENCE`.
            commit_properties=CommitProperties(custom_metadata={COMMIT: commit}, max_commit_retries=0),
            # Checkpoints and log clean-up belong to `upkeep`, out of the way of an answer.
            post_commithook_properties=PostCommitHookProperties(
                create_checkpoint=False, cleanup_expired_logs=False
            ),
        )
        reach("journal.committed")

    def decide_and_append(self, decide: Callable[[], Sequence[Row]]) -> Sequence[Row]:
        """Read, decide and append as one step: what `decide` read is still so when its rows are committed.

        Args:
            decide: reads this journal and gives the rows to append, or none; asked again if others commit meanwhile.

        Returns the rows that were appended. Raises CatalogError as `append` does.
        """
        for attempt in range(ATTEMPTS):
            seen = self.version()
            rows = decide()
            if not rows:
                return rows
            try:
                self.append(rows, seen=seen)
            except OutrunError:
                _pause(attempt)
                continue
            return rows
        raise self._outrun()

    def query(self, sql: str) -> list[Row]:
        """The rows that a query gives, without those that do not fit. In `sql` the table is called ``journal``.

        Raises CatalogError for damaged records.
        """
        found = from_columns(self._read(sql), self.row_type)
        for row in found:
            if isinstance(row, Misfit):
                self.reject(str(row))
        return [row for row in found if not isinstance(row, Misfit)]

    def columns(self, sql: str) -> dict[str, list[Any]]:
        """The columns that a query gives, without rows in which a field does not fit; none before the first append."""
        columns = self._read(sql)
        wrong = misfits(columns, self.row_type)
        for of_row in wrong.values():
            self.reject(str(Misfit(of_row)))
        if not wrong:
            return columns
        return {name: [one for place, one in enumerate(values) if place not in wrong]
                for name, values in columns.items()}

    def reject(self, why: str) -> None:
        """Remember that a row was left out because it does not fit."""
        if len(self.rejections) < _MOST_TOLD:
            self.rejections[f"{self.folder.name}: {why}"] = None

    @_mended
    def _read(self, sql: str) -> dict[str, list[Any]]:
        return self._open.columns(sql)

    @_mended
    def files(self) -> frozenset[str]:
        """The names of the files that hold the rows of the newest version."""
        with self._open.held("read"):
            table = self._open.newest()
            return frozenset(uri.rpartition("/")[2] for uri in table.file_uris()) if table else frozenset()

    def is_gone(self) -> bool:
        """Whether there is none: it was never begun, or is lost as a whole. Raises CatalogError."""
        with self._open.explained("read"):
            return not head_file(self.folder).exists()

    @_mended
    def unsynced(self) -> Unsynced | None:
        """Return what `sync` has to sync for all that is committed by now; None if nothing. Raises OSError."""
        return self._log.unsynced()

    def forget_sums(self, version: int) -> None:
        """Remove the checksums of an entry that was lost, before its version is committed again."""
        remove_sums(DeltaLog(self.folder).entry(version))

    def _create_table(self) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, DeltaError

        self._log.begin()
        DeltaLog(self.folder).folder.make_folder()
        for attempt in range(ATTEMPTS):
            failure: Exception | None = None
            try:
                self.forget_sums(0)
                DeltaTable.create(
                    self.folder.table_uri, table_schema(self.row_type), mode="ignore",
                    configuration=journal_settings(self.pruned_by), storage_options=self.folder.table_options,
                )
            except (DeltaError, OSError) as error:
                failure = error
            # Whoever was stopped in the middle may find that others have written to it since, and cleaned up its log.
            if (table := self._open.newest()) is not None:
                return table
            if failure is not None and not isinstance(failure, CommitFailedError):
                raise failure
            _pause(attempt)
        raise self._outrun()

    def _outrun(self) -> CatalogError:
        return CatalogError(
            f"the records {self.folder} are written by others all the time: gave up after {ATTEMPTS} tries",
            remedy="run fewer workflows on this catalog at once, then try again",
        )


def _pause(attempt: int) -> None:
    """Wait a random while, longer from try to try, so that writers that collided do not collide again."""
    time.sleep(PAUSES.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))


def sync(journals: Sequence[Journal[Any]]) -> None:
    """Make all that is committed to journals of one folder survive a loss of power. Readers and writers go on
    meanwhile.

    Raises CatalogError if that cannot be had.
    """
    records = journals[0].folder.parent
    for look in range(LOOKS):
        try:
            return _sync(records, journals)
        except OSError as error:
            # Upkeep elsewhere, which syncs first, may delete what was to be synced.
            if not isinstance(error, FileNotFoundError) or look + 1 == LOOKS:
                raise CatalogError(
                    f"the records {records} cannot be synced: {error}", exists=records.room() or None,
                    remedy="what was recorded last may be lost with the power",
                ) from error
    raise AssertionError("the last look returns or raises")


def _sync(records: Place, journals: Sequence[Journal[Any]]) -> None:
    unsynced = [found for journal in journals if (found := journal.unsynced()) is not None]
    if not unsynced:
        return
    reach("journal.syncing")
    records.sync(
        [file for found in unsynced for file in found.files],
        {seal: sums for found in unsynced for seal, sums in found.seals.items()},
    )
    records.sync((), {found.head: f"{found.version}\n".encode() for found in unsynced})
