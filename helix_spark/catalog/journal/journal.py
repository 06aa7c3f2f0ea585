"""One Delta table of records: rows are appended and read, never changed. No JVM, and no knowledge of what rows mean.

An append is one Delta commit, put in place on the condition that the version does not exist yet, so of several
processes none loses a row. Each append has an id, which its commit names: one whose answer was lost is found by it and
not made twice. What is appended is seen at once, and reported as recorded once it is synced. One sync serves all
commits since the last one and several journals. The heads come last, when all that they name is safe: see
`table_files`.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.open_table import LOOKS, OpenTable
from helix_spark.catalog.journal.rows import (
    PLACE,
    SEQUENCE,
    Columns,
    Row,
    columns_of,
    fitting,
    from_columns,
    journal_settings,
    table_schema,
    to_table,
    written_as,
)
from helix_spark.catalog.journal.table_files import COMMIT, LogEnd, head_file
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import missing_sums, remove_sums
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
"""Draws pauses. `random`'s own generator is the author's."""

_MOST_TOLD = 100
"""Rows that do not fit of which it is told why."""

Mender = Callable[[DamagedRecordsError], bool]
"""Receives damage; returns whether it was repaired."""


def _mended(method: Callable[Concatenate[J, P], T]) -> Callable[Concatenate[J, P], T]:
    """Retry a method once after damage that could be mended."""
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
    """A conditional append found that the table has moved on."""


class Journal(Generic[Row]):
    """The rows of one frozen dataclass in one Delta table, which is made by the first append. Safe to use from several
    threads.

    Args:
        folder: of the table; ``FOLDER.head`` is the journal's as well (see `table_files`).
        pruned_by: columns whose smallest and largest values the log keeps per file, so that a query which names them
            skips files.
        mender: is asked once where damage is met; by default it is an error.

    Attributes:
        rejections: why rows were left out that do not fit, in words.
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
        """Return the newest version; -1 before the first append."""
        with self._open.held("read"):
            table = self._open.newest()
            return table.version() if table else -1

    @_mended
    def append(self, rows: Sequence[Row], *, seen: int | None = None) -> int:
        """Append rows, at least one, in one commit, and return its version.

        Args:
            seen: commit only if this is still the newest version; else raises OutrunError.
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
        """Return whether rows are those of a version whose part of the log was cleaned up: not so where their writer
        was stopped before its commit, which then lies below a checkpoint and is never read."""
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
        """Read, decide and append as one step; return the rows that were appended.

        Args:
            decide: reads this journal and gives the rows to append, or none; called again if others commit meanwhile.
        """
        for attempt in range(ATTEMPTS):
            seen = self.version()
            rows = decide()
            try:
                if rows:
                    self.append(rows, seen=seen)
                return rows
            except OutrunError:
                _pause(attempt)
        raise self._outrun()

    def query(self, sql: str) -> list[Row]:
        """Return the rows that a query of the table ``journal`` gives, without those that do not fit."""
        rows, wrong = from_columns(self._read(sql), self.row_type)
        self.reject(*wrong)
        return rows

    def columns(self, sql: str) -> Columns:
        """Return the columns that a query gives, without rows that do not fit; none before the first append."""
        columns, wrong = fitting(self._read(sql), self.row_type)
        self.reject(*wrong)
        return columns

    def reject(self, *why: str) -> None:
        """Remember that rows were left out because they do not fit."""
        for one in why[: _MOST_TOLD - len(self.rejections)]:
            self.rejections[f"{self.folder.name}: {one}"] = None

    @_mended
    def _read(self, sql: str) -> dict[str, list[Any]]:
        return self._open.columns(sql)

    @_mended
    def files(self) -> frozenset[str]:
        """Return the names of the files that hold the rows of the newest version."""
        with self._open.held("read"):
            table = self._open.newest()
            return frozenset(uri.rpartition("/")[2] for uri in table.file_uris()) if table else frozenset()

    def is_gone(self) -> bool:
        """Return whether there is none: it was never begun, or is lost as a whole."""
        with self._open.explained("read"):
            return not head_file(self.folder).exists()

    @_mended
    def unsynced(self) -> tuple[int, Sequence[Place]] | None:
        """Return what `sync` has to sync; see `LogEnd.unsynced`."""
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
    """Wait a random while, longer from try to try."""
    time.sleep(PAUSES.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))


def sync(journals: Sequence[Journal[Any]]) -> None:
    """Make all that is committed to journals of one folder survive a loss of power. Raises CatalogError."""
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
    heads, files = dict[Place, bytes](), list[Place]()
    for journal in journals:
        if unsynced := journal.unsynced():
            heads[head_file(journal.folder)] = f"{unsynced[0]}\n".encode()
            files += unsynced[1]
    if heads:
        sums = missing_sums(files)
        reach("journal.syncing")
        records.sync(files, sums)
        records.sync((), heads)
