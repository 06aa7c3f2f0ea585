"""What can still be read of a damaged journal, written anew as one commit after its newest version.

Each file is read by itself: the rows are those of all files that an entry of the log names, and of those whose own
entry cannot be read. The new commit has all of them. It is a checkpoint, so that no reader needs an entry before it,
and is put in place as any other commit, which is safe next to readers and writers. Then the log before it is moved
aside, so that a writer that was stopped before it took one of its numbers finds out (`LogEnd.is_cleaned`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal, sync
from helix_spark.catalog.journal.rows import PLACE, SEQUENCE, Row, RowType, journal_settings, table_schema, written_as
from helix_spark.catalog.journal.table_files import StrangeFilesError, checked_name, head_file, name_in, odd_files
from helix_spark.catalog.journal.upkeep import sync_checkpoint
from helix_spark.catalog.places.delta_log import DeltaLog, actions_in, entry_text, now
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place, is_out_of_reach, text_in
from helix_spark.catalog.places.side_checksums import ChecksumError, check_sums, remove_sums
from helix_spark.errors import CatalogError, DamagedRecordsError
from helix_spark.regular_files import OddFileError

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_VERSIONS = 1_000_000
"""No journal has so many: a name or a head with a greater number says nothing."""

_TRIES = 5
"""Reads of a journal to which others commit meanwhile."""


class _UnreadableError(Exception):
    """A file that says nothing; says why."""


@dataclass(slots=True)
class _Log:
    """What the readable part of a log says.

    Attributes:
        newest: the greatest version that anything names.
        synced: the newest version that was reported as recorded.
        live: statistics of the files that were added and not removed, by name.
        named: names of all files that were ever added or removed.
        lost: versions whose entries cannot be read, or are gone.
    """

    newest: int = -1
    synced: int = -1
    live: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def take(self, actions: Iterable[Mapping[str, Any]]) -> None:
        for action in actions:
            if add := action.get("add"):
                self.live[name_in(add)] = parsed(add.get("stats") or "{}")
                self.named.add(name_in(add))
            if remove := action.get("remove"):
                self.live.pop(name_in(remove), None)
                self.named.add(name_in(remove))


@dataclass(frozen=True, slots=True)
class Remains:
    """What can still be read of a journal.

    Attributes:
        damage: what is wrong with it; empty for a sound one.
        rows: all that can be read, each once; None where there are none, or nothing is damaged.
        files: names of the files that they are in.
        bad_files: files of rows that cannot be read, and why.
        lost: what was recorded and cannot be read any more, in words.
    """

    damage: str
    rows: pa.Table | None
    files: tuple[str, ...]
    log: _Log
    bad_files: Mapping[Place, str]
    lost: tuple[str, ...]


def remains_of(journal: Journal[Row]) -> Remains:
    """Read all of a journal that can be read."""
    folder, log = journal.folder, _read_log(journal.folder)
    readable, bad = dict[str, Any](), {folder / name: "is gone" for name in log.live}
    for file in sorted(folder.glob("*.parquet"), key=str):
        bad.pop(file, None)
        try:
            readable[file.name] = _read_rows(file, journal.row_type)
        except _UnreadableError as error:
            bad[file] = str(error)
    damage = _reading_error(journal) or "; ".join(
        f"the file {file} {why}" for file, why in bad.items() if file.name in log.live
    )
    if not damage:
        return Remains("", None, (), log, bad, ())
    sequences = {name: set(table.column(SEQUENCE).to_pylist()) for name, table in readable.items()}
    used = [name for name in readable if name in log.named or not log.lost.isdisjoint(sequences[name])]
    rows = _each_once([readable[name] for name in used]) if used else None
    lost = (*_lost_rows(folder.name, log, bad, rows), *_lost_entries(folder.name, log, sequences.values()))
    return Remains(damage, rows, tuple(used), log, bad, lost)


def salvage(journal: Journal[Row], aside: Place) -> Remains:
    """Write a damaged journal anew from what can be read of it, and move unreadable files to a folder `aside`; a sound
    one stays as it is."""
    for _ in range(_TRIES):
        remains = remains_of(journal)
        if not remains.damage:
            return remains
        kept = aside / journal.folder.name
        _move_odd(journal.folder, kept)
        try:
            _commit(journal, remains, aside)
        except FileExistsError:
            continue  # somebody committed meanwhile
        for file in (*_before(DeltaLog(journal.folder), remains.log.newest + 1), *remains.bad_files):
            remove_sums(file)
            _move(file, kept)
        journal.version()  # raises where it is still damaged
        sync([journal])
        return remains
    raise CatalogError(f"the records {journal.folder} are written by others all the time",
                       remedy="end the runs on this catalog, then repair it")


def _read_log(folder: Place) -> _Log:
    log, found = DeltaLog(folder), _Log()
    entries, checkpoints = log.numbered() if log.folder.is_own_folder() else ({}, {})
    base, head = -1, _head(folder)
    for version in sorted((one for one in checkpoints if one < _MOST_VERSIONS), reverse=True):
        with suppress(_UnreadableError):
            found.take(_checkpoint_actions(checkpoints[version]))
            base = version
            break
    numbered = {*entries, *checkpoints, -1 if head is None else head}
    found.newest = max(one for one in numbered if one < _MOST_VERSIONS)
    found.synced = found.newest if head is None else head
    for version in range(base + 1, found.newest + 1):
        try:
            found.take(_entry_actions(log.entry(version)))
        except _UnreadableError:
            found.lost.add(version)
    return found


def _before(log: DeltaLog, version: int) -> list[Place]:
    """Return the entries and checkpoints before a version, and those with a number that no journal has."""
    return [
        file for named in log.numbered() for one, file in named.items() if one < version or one >= _MOST_VERSIONS
    ]


def _head(folder: Place) -> int | None:
    """Return the version that was synced last; None where nothing says it."""
    try:
        head = int(text_in(head_file(folder)))
    except (FileNotFoundError, NotADirectoryError, OddFileError, ValueError):
        return None
    return head if head < _MOST_VERSIONS else None


@contextmanager
def _unreadable() -> Iterator[None]:
    """Raise what reading a file raises as `_UnreadableError`, unless the file cannot be reached."""
    import pyarrow as pa

    try:
        yield
    except _UnreadableError:
        raise
    # A damaged footer makes pyarrow fail in its own ways, down to names that are not Unicode.
    except (pa.ArrowException, ChecksumError, StrangeFilesError, OSError, ValueError, LookupError, TypeError,
            AttributeError) as error:
        if is_out_of_reach(error):
            raise
        gone = isinstance(error, FileNotFoundError)
        raise _UnreadableError("is gone" if gone else f"cannot be read: {error}") from error


def _entry_actions(entry: Place) -> list[Mapping[str, Any]]:
    with _unreadable():
        actions = list(actions_in(entry))
        check_sums(entry)
        if not actions:
            raise _UnreadableError("is empty")
        _Log().take(actions)  # so that none of an entry counts where one of its actions makes no sense
        return actions


def _checkpoint_actions(checkpoint: Place) -> list[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with _unreadable():
        with checkpoint.open_binary() as file:
            actions = pq.read_table(file, columns=["add", "remove"], page_checksum_verification=True).to_pylist()
        check_sums(checkpoint)
        _Log().take(actions)
        return list(actions)


def _read_rows(file: Place, row_type: type[RowType]) -> pa.Table:
    """Read the rows of a file, with the types that records have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _unreadable():
        checked_name(file.name)
        with file.open_binary() as opened:
            table = pq.read_table(opened, page_checksum_verification=True)
        check_sums(file)
        table.validate(full=True)
        known = pa.schema(table_schema(row_type))
        for place, name in enumerate(table.column_names):
            if name in known.names:
                table = table.set_column(place, known.field(name), table.column(name).cast(known.field(name).type))
        if any(table.column(name).null_count for name in (SEQUENCE, PLACE)):
            raise _UnreadableError("has rows without a number")
        return table


def _each_once(tables: Iterable[pa.Table]) -> pa.Table:
    """Return rows in their order, each once: what upkeep merged is in two files."""
    import pyarrow as pa

    whole = pa.concat_tables(tables, promote_options="permissive")
    places = {json.dumps(row, default=str): place for place, row in enumerate(whole.to_pylist())}
    return whole.take(sorted(places.values())).sort_by([(SEQUENCE, "ascending"), (PLACE, "ascending")])


def _reading_error(journal: Journal[Row]) -> str:
    """Return what a reader of the journal is told of its damage."""
    try:
        journal.query("SELECT * FROM journal WHERE false")
    except DamagedRecordsError as error:
        return error.what
    return ""


def _lost_rows(name: str, log: _Log, bad: Iterable[Place], rows: pa.Table | None) -> Iterator[str]:
    sequences = [] if rows is None else rows.column(SEQUENCE).to_pylist()
    for told in (log.live[file.name] for file in bad if file.name in log.live):
        least, most = (told.get(side, {}).get(SEQUENCE) for side in ("minValues", "maxValues"))
        least, most = least if isinstance(least, int) else 0, most if isinstance(most, int) else log.newest
        count = told.get("numRecords")
        missing = (count if isinstance(count, int) else 1) - sum(least <= one <= most for one in sequences)
        if missing > 0 and least <= log.synced:
            yield f"{missing:,} {'record' if missing == 1 else 'records'} of {name}"


def _lost_entries(name: str, log: _Log, files: Iterable[set[int]]) -> Iterator[str]:
    """Say of which versions nothing is left, by the sequences of the rows in each readable file. Version 0 makes the
    table; upkeep's have rows of the versions before."""
    there = {0}
    for sequences in files:
        there |= sequences | ({max(sequences) + 1} if len(sequences) > 1 else set())
    if gone := [one for one in sorted(log.lost - there) if one <= log.synced]:
        listed = ", ".join(map(str, gone[:5])) + (", ..." if len(gone) > 5 else "")
        yield f"{len(gone):,} {'entry' if len(gone) == 1 else 'entries'} of {name} ({listed})"


def _move_odd(folder: Place, aside: Place) -> None:
    """Move what lies where a folder or a file of the journal must be, and what leads elsewhere or never ends."""
    for place in (folder, DeltaLog(folder).folder):
        if not place.is_own_folder():
            _move(place, aside)
    for odd in (*odd_files(folder), *([head_file(folder)] if _head(folder) is None else [])):
        _move(odd, aside)


def _move(place: Place, kept: Place) -> None:
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    reach("repair.aside")
    kept.make_folder()
    place.move_to(kept / place.name)


def _commit(journal: Journal[Row], remains: Remains, aside: Place) -> None:
    """Write the rows as another table, and take that table's commit and checkpoint over."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    log, version = DeltaLog(journal.folder), remains.log.newest + 1
    draft = aside / f"{journal.folder.name}.draft"
    rows = remains.rows if remains.rows is not None else pa.schema(table_schema(journal.row_type)).empty_table()
    draft.delete_tree()
    draft.parent.make_folder()
    write_deltalake(
        draft.table_uri, rows, configuration=journal_settings(journal.pruned_by),
        writer_properties=written_as(journal.pruned_by), storage_options=draft.table_options,
    )
    DeltaTable(draft.table_uri, storage_options=draft.table_options).create_checkpoint()
    log.folder.make_folder()
    for file in list(draft.glob("*.parquet")):
        file.move_to(journal.folder / file.name)
        journal.folder.sync([journal.folder / file.name])
    drafted = DeltaLog(draft)
    removed = [
        {"remove": {"path": name, "deletionTimestamp": now(), "dataChange": True}}
        for name in sorted({*remains.files, *remains.log.live})
    ]
    log.entry(version).write_new_text(f"{text_in(drafted.entry(0))}\n{entry_text(removed)}", synced=True)
    reach("repair.committed")
    drafted.checkpoint(0).move_to(log.checkpoint(version))
    log.pointer.replace_text(json.dumps({**parsed(text_in(drafted.pointer)), "version": version}))
    sync_checkpoint(journal, version)
    draft.delete_tree()
