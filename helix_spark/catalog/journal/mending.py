"""A damaged journal made whole again, from all that is sound of it (see `examination`).

One more commit says all that is so: it is a checkpoint, so that no reader needs the entries before it, and it is put in
place as any other commit is, so that it is safe beside readers and writers. Then entries that cannot be read give way
to such that say nothing: no number after an entry that is there is ever free below the checkpoint, as a writer that was
stopped before it took it would not find out (`LogEnd.is_cleaned`).
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.examination import Mending, examined
from helix_spark.catalog.journal.journal import Journal
from helix_spark.catalog.journal.log_end import head_file
from helix_spark.catalog.journal.own_files import missing_sums, odd_files, remove_sums
from helix_spark.catalog.journal.retyping import in_columns
from helix_spark.catalog.journal.rows import SEQUENCE, Row, table_schema
from helix_spark.catalog.journal.survey import GONE, Content, RowFile, Survey
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.journal.table_settings import journal_settings
from helix_spark.catalog.places.delta_log import DeltaLog, added, entry_text, information, metadata, now, protocol
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import beside, checksums_of, write_checksums
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa

_TRIES = 5
"""How often a journal is looked at anew because somebody committed meanwhile."""


def mend(journal: Journal[Row], aside: Place) -> Mending:
    """Makes a journal whole again; what is unsound of it is put aside, under its own name. A sound one stays as it is.

    Args:
        aside: a folder for what is put aside; made when something is.

    Returns what was done. Raises CatalogError or OSError where it cannot be done.
    """
    _make_room(journal.folder, aside)
    for _ in range(_TRIES):
        mending = examined(journal)
        if not mending.is_needed:
            _seal(mending)
            return mending
        try:
            if mending.needs_commit:
                _commit(journal, mending)
        except FileExistsError:
            continue  # somebody committed meanwhile
        reach("repair.pointed")
        _put_aside(mending, aside)
        _seal(mending)
        journal.reopen()
        sync([journal])
        return mending
    raise CatalogError(f"the records {journal.folder} are written by others all the time",
                       remedy="end the runs on this catalog, then repair it")


def _make_room(folder: Place, aside: Place) -> None:
    """Puts aside what lies where a folder of the journal must be, and what leads elsewhere or never ends."""
    for place in (folder, DeltaLog(folder).folder):
        if not place.is_own_folder() and _lies_there(place):
            _move(place, aside / folder.name / place.name)
    for odd in odd_files(folder):
        _move(odd, aside / folder.name / odd.name)


def _lies_there(place: Place) -> bool:
    """Whether a file or a link is there, wherever it leads."""
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _move(place: Place, kept: Place) -> None:
    kept.parent.make_folder()
    place.move_to(kept)


def _commit(journal: Journal[Row], mending: Mending) -> None:
    seen, version = mending.survey, mending.survey.newest + 1
    log = DeltaLog(journal.folder)
    log.folder.make_folder()
    for each in sorted(seen.unsound):
        if seen.unsound[each] == GONE and each > 0 and log.entry(each - 1).exists():
            log.entry(each).write_new_text("")  # which no reader takes for a commit
    files = [_with_size(seen, file) for file in mending.kept]
    again = [*mending.rows_again(), *(file.table for file in seen.sound if file.name in mending.retyped)]
    table = in_columns(again, journal.row_type)
    new = [_written(journal, table)] if table is not None else []
    told, rules = seen.metadata, seen.protocol
    if told is None or rules is None or mending.unread:
        told = _new_metadata(journal, [*(file.table for file in mending.kept), table])
        rules = protocol(told["schemaString"])
    removed = [
        {"remove": {"path": name, "deletionTimestamp": now(), "dataChange": True}}
        for name in (*seen.bad, *mending.retyped)
    ]
    # Its removes are for readers who had the log before it was damaged: the checkpoint has no such files.
    says: list[Mapping[str, Any]] = [
        information("REPAIR"), {"protocol": rules}, {"metaData": told}, *removed, *new,
    ]
    log.entry(version).write_new_text(entry_text(says))
    reach("repair.committed")
    checkpoint = [{"protocol": rules}, {"metaData": told}, *files, *new]
    whole = log.checkpoint(version)
    _write_parquet(_checkpoint_table(checkpoint), whole)
    journal.folder.parent.sync([whole], missing_sums([whole]))
    log.pointer.replace_text(
        json.dumps({"version": version, "size": len(checkpoint), "numOfAddFiles": len(files) + len(new)}), synced=True
    )


def _with_size(seen: Survey, file: RowFile) -> dict[str, Any]:
    one = seen.added[file.name]
    return {"add": {
        "path": file.name, "size": file.size, "dataChange": True,
        "modificationTime": one.action.get("modificationTime") or 0, "stats": one.action.get("stats"),
    }}


def _written(journal: Journal[Row], table: pa.Table) -> dict[str, Any]:
    file = journal.folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
    _write_parquet(table, file)
    write_checksums(file)
    sequences = table.column(SEQUENCE).to_pylist()
    return added(file, {
        "numRecords": len(table), "minValues": {SEQUENCE: min(sequences)}, "maxValues": {SEQUENCE: max(sequences)},
        "nullCount": {SEQUENCE: 0},
    })


def _new_metadata(journal: Journal[Row], tables: Sequence[pa.Table | None]) -> dict[str, Any]:
    """Where none is left that serves: the columns are those of the row's type, and those that files have besides."""
    import pyarrow as pa
    from deltalake import Schema

    known = [pa.schema(table_schema(journal.row_type)), *(table.schema for table in tables if table is not None)]
    columns = {field.name: field for schema in reversed(known) for field in schema.remove_metadata()}
    schema = Schema.from_arrow(pa.schema(columns.values()))
    return metadata(schema.to_json(), journal_settings(journal.pruned_by))


def _checkpoint_table(actions: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A checkpoint of the first version of Delta's protocol."""
    import pyarrow as pa

    texts = pa.map_(pa.string(), pa.string())
    fields = {
        "protocol": [("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())],
        "metaData": [
            ("id", pa.string()), ("format", pa.struct([("provider", pa.string()), ("options", texts)])),
            ("schemaString", pa.string()), ("partitionColumns", pa.list_(pa.string())), ("createdTime", pa.int64()),
            ("configuration", texts),
        ],
        "add": [
            ("path", pa.string()), ("partitionValues", texts), ("size", pa.int64()),
            ("modificationTime", pa.int64()), ("dataChange", pa.bool_()), ("stats", pa.string()),
        ],
    }
    schema = pa.schema([(kind, pa.struct(members)) for kind, members in fields.items()])
    rows = [
        {kind: _as_members(action, [name for name, _ in fields[kind]]) for kind, action in each.items()}
        for each in actions
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _as_members(action: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    whole = {"partitionValues": {}, **action}
    found = {name: whole.get(name) for name in names}
    for name in ("partitionValues", "configuration"):
        if name in found:
            found[name] = list((found[name] or {}).items())
    if "format" in found:
        found["format"] = {"provider": "parquet", "options": []}
    return found


def _write_parquet(table: pa.Table, file: Place) -> None:
    """Whole or not at all: written beside the log, then put in its place."""
    import pyarrow.parquet as pq

    folder = file.parent.parent if file.parent.name == "_delta_log" else file.parent
    unfinished = folder / f".{file.name}.{uuid.uuid4().hex}"
    with unfinished.writable() as where:
        pq.write_table(table, where, compression="zstd", write_page_checksum=True)
    unfinished.move_to(file)


def _put_aside(mending: Mending, aside: Place) -> None:
    seen, folder = mending.survey, mending.survey.folder
    for version, why in seen.unsound.items():
        entry = DeltaLog(folder).entry(version)
        remove_sums(entry)
        if not entry.exists():
            continue
        says_nothing = entry_text([information("REPAIR", unread=why)])
        if entry.is_file() and not entry.stat().st_size:
            entry.replace_text(says_nothing, synced=True)
            continue
        reach("repair.aside")
        kept = aside / folder.name / entry.name
        kept.parent.make_folder()
        if entry.is_file():
            entry.keep_as(kept)
            entry.replace_text(says_nothing, synced=True)
        else:
            entry.move_to(kept)
            entry.write_new_text(says_nothing)
    for file in _unsound_files(mending):
        if file.exists():
            _move(file, aside / folder.name / file.name)
    for file, right in seen.turned.items():
        if file.name not in mending.retyped:
            _turn_back(file, right, aside / folder.name)


def _turn_back(file: Place, right: Content, aside: Place) -> None:
    kept = aside / right.damaged.name
    if right.damaged == file:  # which stays where it is until there is a right one
        aside.make_folder()
        file.keep_as(kept)
    else:
        _move(right.damaged, kept)
    file.parent.sync((), {file: right.data, right.sums: checksums_of(right.data)})


def _seal(mending: Mending) -> None:
    """Gives checksums to what was looked into, is sound, and has none: it is older, or of a copy without dot files."""
    seen, log = mending.survey, DeltaLog(mending.survey.folder)
    looked_at = [seen.folder / file.name for file in mending.kept]
    looked_at += [log.entry(each) for each in range(seen.base + 1, seen.newest + 1) if each not in seen.unsound]
    looked_at += [log.checkpoint(seen.base)] if seen.base >= 0 else []
    with contextlib.suppress(FileNotFoundError):  # upkeep elsewhere deletes what it replaced
        seen.folder.sync((), missing_sums(looked_at))


def _unsound_files(mending: Mending) -> Iterator[Place]:
    seen, folder, log = mending.survey, mending.survey.folder, DeltaLog(mending.survey.folder)
    for name in seen.beside:
        if name != log.pointer.name or not mending.needs_commit:  # a commit has written it anew
            yield log.folder / name
    rows = (*seen.bad, *mending.retyped)
    yield from (folder / name for name in rows)
    if isinstance(folder, Path):
        yield from (beside(folder / name) for name in rows)
    if seen.head is None:
        yield head_file(folder)
