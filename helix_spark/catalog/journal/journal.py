"""One Delta table of records: rows are appended and read, never changed. No JVM, and no knowledge of what rows mean.

An append is one Delta commit, put in place by a link that fails where the version exists already, so of several
processes none loses a row. Reading sees whole commits. Each append has an id, which its commit names: an append whose
answer was lost, or which met itself, is found by it and not made twice.

What is appended is seen at once, and survives a loss of power once it is synced: see `syncing`.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.log_end import COMMIT, LogEnd, head_file
from helix_spark.catalog.journal.own_files import (
    SealedFiles,
    StrangeFilesError,
    check_folder,
    missing_sums,
    remove_sums,
)
from helix_spark.catalog.journal.rows import (
    PLACE,
    SEQUENCE,
    Misfit,
    Row,
    columns_of,
    from_columns,
    misfits,
    other_types,
    table_schema,
    to_table,
)
from helix_spark.catalog.leases.leases import GRACE_SECONDS
from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.same_place import Check, MovedError, unchecked
from helix_spark.catalog.places.side_checksums import ChecksumError
from helix_spark.errors import CatalogError, DamagedRecordsError

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

P = ParamSpec("P")
T = TypeVar("T")
J = TypeVar("J", bound="Journal[Any]")

ATTEMPTS = 30
"""Tries of one append under contention. With four writers none needed more than a handful."""

LONGEST_PAUSE = 0.25
"""Seconds between two tries at most."""

SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": f"interval {GRACE_SECONDS:.0f} seconds",
    "delta.deletedFileRetentionDuration": "interval 10 minutes",
}
"""What Delta is told of each table of records. Its log is cleaned up by `upkeep` alone. How long a checkpoint names
removed files matters to Delta's own vacuum alone, which is never asked."""

LOOKS = 3
"""Tries to read a table whose files or log entries vanish meanwhile."""


_MOST_TOLD = 100
"""Rows that do not fit of which it is told why."""

_FIRST_ROWS, _PIECE, _MOST_LETTERS = 64, 16 << 20, 512 << 20
"""How many rows become Python's values at first, letters that are to become so at once, and those of an answer at most.
A text that a file has once may be in each of its rows."""

Mender = Callable[[DamagedRecordsError], bool]
"""Told of damage that was met; says whether it was mended, so that what met it is done again."""


def refuses(error: DamagedRecordsError) -> bool:
    """Mends nothing: who only looks at records changes nothing of them."""
    return False


def journal_settings(pruned_by: Sequence[str]) -> dict[str, str]:
    """The settings of a journal's table.

    Args:
        pruned_by: the columns of which the log keeps the least and greatest values.
    """
    return {**SETTINGS, "delta.dataSkippingStatsColumns": ",".join(pruned_by)}


def _mended(method: Callable[Concatenate[J, P], T]) -> Callable[Concatenate[J, P], T]:
    """Does once more what met damage, if that could be mended."""
    def whole(self: J, /, *args: P.args, **named: P.kwargs) -> T:
        try:
            return method(self, *args, **named)
        except DamagedRecordsError as error:
            if not self.mender(error):
                raise
        with self._lock:
            self._table = None
        return method(self, *args, **named)

    return update_wrapper(whole, method)


@dataclass(frozen=True, slots=True)
class Unsynced:
    """What of a journal might be lost with the power.

    Attributes:
        head: the file that is to name the version once the rest is safe.
        version: the newest that is committed.
        files: entries of the log, and files of rows.
        seals: checksums that are missing beside them, by where they belong.
    """

    head: Place
    version: int
    files: tuple[Place, ...] = ()
    seals: Mapping[Place, bytes] = field(default_factory=dict)


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
        check: asked before anything is written.
        mender: is asked once where damage is met; by default it is an error.

    Attributes:
        left_out: why rows were left out that do not fit, in words, in the order in which they were met.
    """

    def __init__(
        self, folder: Place, row_type: type[Row], *, pruned_by: Sequence[str], check: Check = unchecked,
        mender: Mender = refuses,
    ) -> None:
        self.folder, self.row_type, self.check, self.mender = folder, row_type, check, mender
        self.pruned_by = (SEQUENCE, *pruned_by)
        self._log = LogEnd(folder)
        self._sealed = SealedFiles(folder)
        self.left_out: dict[str, None] = {}
        self._lock = threading.RLock()
        self._table: DeltaTable | None = None
        self._options: dict[str, str] | None = None

    def written_as(self) -> WriterProperties:
        """How its files are written: with statistics of those columns alone that skip files.

        A footer has a column's smallest and largest value whole, twice each; of rows with long texts, one or two a
        file, that was half of all bytes of records.
        """
        from deltalake import ColumnProperties, WriterProperties

        with_statistics = {name: ColumnProperties(statistics_enabled="CHUNK") for name in self.pruned_by}
        return WriterProperties(
            compression="ZSTD", default_column_properties=ColumnProperties(statistics_enabled="NONE"),
            column_properties=with_statistics,
        )

    @_mended
    def version(self) -> int:
        """The newest version there is; -1 before the first append. Raises CatalogError for a damaged log."""
        with self._lock, self._explained("read"):
            table = self._refreshed()
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
        with self._lock, self._explained("written"):
            for attempt in range(ATTEMPTS):
                with self._explained("read"):
                    table = self._refreshed()
                table = table or self._made()
                if odd := self._odd_columns(table):
                    raise odd
                base = table.version()
                if seen is not None and base != max(seen, 0):
                    raise OutrunError
                first_seen = base if first_seen is None else first_seen
                version: int | None = base + 1
                try:
                    self._commit(table, rows, commit)
                except (DeltaError, OSError) as error:
                    # Outrun by another commit; or ours was carried out, and its answer was lost.
                    self._table = None
                    version = self._log.version_of(commit, first_seen)
                    if version is None and self._log.is_cleaned(base + 1):
                        version = base + 1
                    elif version is None and not isinstance(error, CommitFailedError):
                        raise
                if version is not None and (not self._log.is_cleaned(version) or self._holds(rows, version)):
                    return version
                self._table = None
                first_seen = first_seen if version is None else None
                _pause(attempt)
        raise self._outrun()

    def _holds(self, rows: Sequence[Row], version: int) -> bool:
        """Whether rows are on record as those of a version whose part of the log was cleaned up. They are where their
        writer was stopped after its commit; where it was stopped before, the version is another's, and what was put in
        its place lies below a checkpoint, where nobody reads it."""
        self._table = None
        return self.query(f"SELECT * FROM journal WHERE {SEQUENCE} = {version:d} ORDER BY {PLACE}") == list(rows)

    def _commit(self, table: DeltaTable, rows: Sequence[Row], commit: str) -> None:
        from deltalake.exceptions import DeltaError

        reach("journal.appending")
        self.check()
        reach("journal.looked")
        try:
            with self.committing(table.version()):
                self._write(table, rows, commit)
        except (DeltaError, OSError):
            self._check_where_it_went()
            raise
        reach("journal.committed")
        self._check_where_it_went()

    def _write(self, table: DeltaTable, rows: Sequence[Row], commit: str) -> None:
        from deltalake import CommitProperties, PostCommitHookProperties, write_deltalake

        write_deltalake(
            table,
            to_table(rows, self.row_type, table.version() + 1),
            mode="append",
            schema_mode="merge" if self._has_other_columns(table) else None,
            writer_properties=self.written_as(),
            # No retry inside: `seen` must hold, and what is retried here carries a fresh `SEQUENCE`.
            commit_properties=CommitProperties(custom_metadata={COMMIT: commit}, max_commit_retries=0),
            # Checkpoints and log clean-up belong to `upkeep`, out of the way of an answer.
            post_commithook_properties=PostCommitHookProperties(
                create_checkpoint=False, cleanup_expired_logs=False
            ),
        )

    def _check_where_it_went(self) -> None:
        """Raises MovedError if the catalog was moved while a record was written."""
        try:
            self.check()
        except MovedError as error:
            raise MovedError(
                error.what, exists="a record was being written at that moment, and may be there now",
                remedy=f"{error.remedy}; if `helix log` finds damage there, `helix repair` mends it",
            ) from error
        except CatalogError:
            return  # whoever writes next asks again

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
        found = self.rows(sql)
        for row in found:
            if isinstance(row, Misfit):
                self.leave_out(str(row))
        return [row for row in found if not isinstance(row, Misfit)]

    def rows(self, sql: str) -> list[Row | Misfit]:
        """The same with those that do not fit."""
        return from_columns(self._read(sql), self.row_type)

    def columns(self, sql: str) -> dict[str, list[Any]]:
        """The columns that a query gives, without rows in which a field does not fit; none before the first append."""
        columns = self._read(sql)
        wrong = misfits(columns, self.row_type)
        for of_row in wrong.values():
            self.leave_out(str(Misfit({}, of_row)))
        if not wrong:
            return columns
        return {name: [one for place, one in enumerate(values) if place not in wrong]
                for name, values in columns.items()}

    def leave_out(self, why: str) -> None:
        """Remember that a row was left out because it does not fit."""
        if len(self.left_out) < _MOST_TOLD:
            self.left_out[f"{self.folder.name}: {why}"] = None

    @_mended
    def _read(self, sql: str) -> dict[str, list[Any]]:
        from deltalake.exceptions import DeltaError

        with self._lock, self._explained("read"):
            for look in range(LOOKS):
                try:
                    table = self._refreshed()
                    return {} if table is None else self._checked(table, sql)
                except (FileNotFoundError, DeltaError):
                    # Upkeep elsewhere deleted what was replaced between looking and reading.
                    self._table = None
                    if look + 1 == LOOKS:
                        raise
        raise AssertionError("the last look returns or raises")

    @_mended
    def files(self) -> frozenset[str]:
        """The names of the files that hold the rows of the newest version."""
        with self._lock, self._explained("read"):
            table = self._refreshed()
            return frozenset(uri.rpartition("/")[2] for uri in table.file_uris()) if table else frozenset()

    def is_gone(self) -> bool:
        """Whether there is none: it was never begun, or is lost as a whole. Raises CatalogError."""
        with self._explained("read"):
            return not self._log.begun

    @_mended
    def unsynced(self) -> Unsynced | None:
        """What `syncing` has to sync for all that is committed by now; None if nothing. Raises OSError."""
        versions = self._log.unsynced()
        if not versions:
            return None
        head = head_file(self.folder)
        if not self.folder.needs_syncs:
            return Unsynced(head, versions[-1])
        files = (*self._log.files_added(versions), *self._log.entries(versions))
        return Unsynced(head, versions[-1], files, missing_sums(files))

    def reopen(self) -> int:
        """Read the log anew, as after it was mended. Returns its version."""
        with self._lock, self._explained("read"):
            self._table = None
            table = self._refreshed()
            return table.version() if table is not None else -1

    def committing(self, after: int) -> AbstractContextManager[None]:
        """While deltalake commits to the table what follows a version; see `Place.committing`."""
        log = DeltaLog(self.folder)
        remove_sums(log.entry(after + 1))  # of an entry that was lost
        return log.folder.committing()

    def _checked(self, table: DeltaTable, sql: str) -> dict[str, list[Any]]:
        try:
            self._sealed.check(table)
            return _run(table, sql)
        except (ChecksumError, StrangeFilesError) as error:
            self._table = None
            raise self._log.damaged(str(error)) from error

    def _refreshed(self) -> DeltaTable | None:
        from deltalake.exceptions import DeltaError

        for _ in range(LOOKS - 1):
            # Upkeep elsewhere may delete a checkpoint or an entry between listing and reading it.
            with suppress(FileNotFoundError, DeltaError):
                return self._looked_at()
            self._table = None
        return self._looked_at()

    def _looked_at(self) -> DeltaTable | None:
        # The head is read first: read later, it could name a commit that came after the table was read.
        from deltalake.exceptions import DeltaError

        head, options = self._log.head(), self.folder.table_options
        if self._options != options:  # what the place can do may be found out once it is written to
            self._table, self._options = None, options
        if self._table is not None and not self._log.ends_at(self._table.version(), head):
            self._check_folder()
            try:
                self._table.update_incremental()
            except DeltaError:
                # The entries that lead from our version to the newest were cleaned up; the checkpoint has them.
                self._table = None
        if self._table is None:
            self._table = self._opened(head)
            if self._table is not None and (odd := self._odd_columns(self._table)) and self.mender(odd):
                self._table = self._opened(self._log.head())
        if self._table is not None:
            self._log.check(self._table.version(), head)
        return self._table

    def _opened(self, head: int) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if head < 0 and not DeltaLog(self.folder).folder.exists():
            return None
        self._check_folder()
        try:
            return DeltaTable(self.folder.table_uri, storage_options=self._options)
        except TableNotFoundError as error:
            if head < 0:
                # Being made by another process, which will have it whole in a moment.
                return None
            raise self._log.damaged("its log is gone") from error

    def _check_folder(self) -> None:
        try:
            check_folder(self.folder)
        except StrangeFilesError as error:
            raise self._log.damaged(str(error)) from error

    def _made(self) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError, DeltaError

        self.check()
        self._log.begin()
        DeltaLog(self.folder).folder.make_folder()
        for attempt in range(ATTEMPTS):
            failure: Exception | None = None
            try:
                with self.committing(-1):
                    DeltaTable.create(
                        self.folder.table_uri, table_schema(self.row_type), mode="ignore",
                        configuration=journal_settings(self.pruned_by), storage_options=self.folder.table_options,
                    )
            except (DeltaError, OSError) as error:
                failure = error
            # Whoever was stopped in the middle may find that others have written to it since, and cleaned up its log.
            if (table := self._refreshed()) is not None:
                return table
            if failure is not None and not isinstance(failure, CommitFailedError):
                raise failure
            _pause(attempt)
        raise self._outrun()

    def _odd_columns(self, table: DeltaTable) -> DamagedRecordsError | None:
        """What is wrong with the types of its columns: what is in them can be read as far as it fits, but no row can be
        appended."""
        try:
            odd = other_types(table.schema().to_json(), self.row_type)
        except (ValueError, KeyError, TypeError):
            return self._log.damaged("its schema is none")
        return self._log.damaged(told_types(odd)) if odd else None

    def _has_other_columns(self, table: DeltaTable) -> bool:
        # Written by an older or a newer version; a column that readers must understand comes with a new layout.
        return {field.name for field in table.schema().fields} != {SEQUENCE, PLACE, *columns_of(self.row_type)}

    def _outrun(self) -> CatalogError:
        return CatalogError(
            f"the records {self.folder} are written by others all the time: gave up after {ATTEMPTS} tries",
            remedy="run fewer workflows on this catalog at once, then try again",
        )

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except CatalogError:
            self._table = None
            raise
        except BaseException as error:
            if not _is_deltas(error):
                raise
            self._table = None
            raise self._failed(done, error) from error

    def _failed(self, done: str, error: BaseException) -> CatalogError:
        from deltalake.exceptions import DeltaError

        odd = (DeltaError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
        if done == "read" and isinstance(error, odd):
            return self._log.damaged(f"they cannot be read ({_cause(error)})")
        what = f"the records {self.folder} cannot be {done}: {_cause(error)}"
        return CatalogError(what, exists=self.folder.room() or None)


def _run(table: DeltaTable, sql: str) -> dict[str, list[Any]]:
    from deltalake import QueryBuilder

    try:
        result = QueryBuilder().register("journal", table).execute(sql).read_all()
    except BaseException as error:
        if _is_deltas(error) and "not found" in str(error):
            raise FileNotFoundError(str(error)) from error
        raise
    found: dict[str, list[Any]] = {name: [] for name in result.column_names}
    start, rows, letters = 0, _FIRST_ROWS, 0
    while start < result.num_rows:
        piece, before = result.slice(start, min(rows, result.num_rows - start)), letters
        for name in found:
            values = list(piece.column(name).to_pylist())
            letters += sum(len(one) for one in values if isinstance(one, str))
            found[name] += values
        if letters > _MOST_LETTERS:
            raise StrangeFilesError(f"it has more than {letters:,} letters in what was asked for")
        start += rows
        rows = max(1, min(rows * 4, _PIECE * rows // (letters - before + 1)))
    return found


def told_types(odd: Mapping[str, Any]) -> str:
    """Columns of other types in words.

    Args:
        odd: see `other_types`.
    """
    return f"{', '.join(sorted(odd))}: records have {'another type there' if len(odd) == 1 else 'other types there'}"


def _is_deltas(error: BaseException) -> bool:
    """Whether an error says that a table cannot be read or written.

    A stream's errors are bare `Exception`s with a text; so are no others that are ours. A damaged footer makes the
    reader panic, which reaches us as a `PanicException` that no package exports.
    """
    from deltalake.exceptions import DeltaError

    if isinstance(error, DeltaError | OSError):
        return True
    return type(error) is Exception or type(error).__name__ == "PanicException"


def _pause(attempt: int) -> None:
    """Wait a random while, longer from try to try, so that writers who collided do not collide again."""
    time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**attempt)))


def _cause(error: BaseException) -> str:
    """The innermost cause: deltalake puts each layer's name before it, and a stack trace below."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.rsplit(" error: ", 1)[-1]


def text_literal(value: str) -> str:
    """A text as it stands in a query.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
