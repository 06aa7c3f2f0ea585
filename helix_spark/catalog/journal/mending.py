"""A damaged journal made whole again, from all that is sound of it.

One more commit says all that is so: it is a checkpoint, so that no reader needs the entries before it, and it is put in
place as any other commit is, so that it is safe beside readers and writers. Then entries that cannot be read give way
to such that say nothing: no number after an entry that is there is ever free below the checkpoint, as a writer that was
stopped before it took it would not find out (`LogEnd.is_cleaned`).

Rows whose entry is lost are looked for in the files that no entry names: each row has the version that it was written
for (`SEQUENCE`) and its place in it, which tells whether it is there already.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.journal.journal import Journal, journal_settings
from helix_spark.catalog.journal.log_end import head_file
from helix_spark.catalog.journal.own_files import missing_sums, odd_files, remove_sums
from helix_spark.catalog.journal.rows import (
    PLACE,
    SEQUENCE,
    Misfit,
    Row,
    RowType,
    from_columns,
    other_types,
    table_schema,
)
from helix_spark.catalog.journal.survey import GONE, Added, Content, RowFile, Survey, survey
from helix_spark.catalog.journal.syncing import sync
from helix_spark.catalog.places.delta_log import DeltaLog, added, entry_text, information, metadata, now, protocol
from helix_spark.catalog.places.json_text import parsed
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import beside, checksums_of, write_checksums
from helix_spark.errors import CatalogError, DamagedRecordsError

if TYPE_CHECKING:
    import pyarrow as pa

_TRIES = 5
"""How often a journal is looked at anew because somebody committed meanwhile."""


@dataclass(frozen=True, slots=True)
class Mending:
    """What can be made of a journal.

    Attributes:
        found: files that no sound entry names, with the (sequence, place) of their rows that are taken up again.
        cut: versions that cannot be read, and of which nobody was told that they were recorded.
        lost: versions that were recorded, and whose rows are nowhere.
        lost_rows: how many rows were in files that cannot be read, and are nowhere else.
        unread: why the log cannot be read, or be appended to, although each of its files can be read; else empty.
        retyped: files whose columns have other types than records have, with what is wrong; they are written anew.
        lost_values: how many of their rows have a value that is none of its column.
    """

    survey: Survey
    found: tuple[tuple[RowFile, frozenset[tuple[int, int]]], ...] = ()
    cut: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    lost_rows: int = 0
    unread: str = ""
    retyped: Mapping[str, str] = field(default_factory=dict)
    lost_values: int = 0

    @property
    def is_needed(self) -> bool:
        return self.needs_commit or bool(self.survey.beside or self.survey.turned) or self.survey.head is None

    @property
    def needs_commit(self) -> bool:
        """Whether the log itself cannot be read as it is."""
        return bool(self.survey.unsound or self.survey.bad or self.unread or self.retyped)

    @property
    def kept(self) -> tuple[RowFile, ...]:
        """The files that stay as they are."""
        return tuple(file for file in self.survey.sound if file.name not in self.retyped)

    @property
    def loses(self) -> bool:
        """Whether something is lost that was on record."""
        return bool(self.lost or self.lost_rows or self.lost_values)

    @property
    def found_rows(self) -> int:
        return sum(len(keys) for _, keys in self.found)

    def damage(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        name = self.survey.folder.name
        for versions, why in _runs(self.survey.unsound):
            yield f"{name}: log {'entry' if ' ' not in versions else 'entries'} {versions} {_plural(why, versions)}"
        for file, why in (*self.survey.beside.items(), *self.survey.bad.items(), *self.retyped.items()):
            yield f"{name}: the file {file} {why}"
        for each in self.survey.turned.values():
            yield f"{name}: {each.wrong}"
        if self.survey.head is None:
            yield f"{name}: the file {name}.head holds no version"
        if self.unread:
            yield f"{name}: {self.unread}"


def _runs(unsound: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Neighbours that have one reason together.

    >>> list(_runs({1: "is gone", 2: "is gone", 4: "is empty"}))
    [('1 to 2', 'is gone'), ('4', 'is empty')]
    """
    versions = sorted(unsound)
    while versions:
        first, why, length = versions[0], unsound[versions[0]], 1
        while length < len(versions) and versions[length] == first + length and unsound[versions[length]] == why:
            length += 1
        yield (f"{first} to {first + length - 1}" if length > 1 else str(first)), why
        versions = versions[length:]


def _plural(why: str, versions: str) -> str:
    return why.replace("is ", "are ", 1) if " " in versions else why


def mending_of(seen: Survey) -> Mending:
    """What can be made of a journal, as it was seen."""
    open_versions = _open(seen)
    found = tuple(_found_again(seen, open_versions))
    taken = frozenset(key for _, keys in found for key in keys)
    there = {sequence for sequence, _ in seen.covered | taken}
    merged = _merged_without_a_word(seen, seen.covered | taken)
    # Version 0 makes the table, and has no rows; what upkeep merged is where it was, too.
    missing = [version for version in seen.unsound if version > 0 and version not in there | merged]
    headless = seen.head is None or (seen.head < 0 and not seen.never_synced and seen.newest > 1)
    told = seen.head if seen.head is not None and not headless else seen.newest
    lost_rows = 0
    for name in seen.bad:
        one = seen.added[name]
        if one.least is None or one.least <= told:
            again = sum(_is_within(one, key[0]) for key in taken)
            lost_rows += max((1 if one.rows is None else one.rows) - again, 0)
    return Mending(
        seen, found, tuple(version for version in missing if version > told),
        tuple(version for version in missing if version <= told), lost_rows,
    )


def _is_within(one: Added, sequence: int) -> bool:
    return (one.least is None or one.least <= sequence) and (one.most is None or sequence <= one.most)


def _open(seen: Survey) -> frozenset[int]:
    """The versions of which rows may be in files that no sound entry names."""
    found = set(seen.unsound)
    for name in seen.bad:
        found.update(each for each in _sequences(seen) if _is_within(seen.added[name], each))
    return frozenset(found)


def _sequences(seen: Survey) -> frozenset[int]:
    return frozenset(sequence for file in seen.spare for sequence in file.sequences)


def _merged_without_a_word(seen: Survey, there: frozenset[tuple[int, int]]) -> frozenset[int]:
    """Lost versions of upkeep, which are no loss: each wrote a file that no sound entry names, of rows that are all
    there, the last of them those of the version before."""
    return frozenset(
        max(file.sequences) + 1 for file in seen.spare
        if len(file.sequences) > 1 and file.name not in seen.named and file.keys <= there
    ) & seen.unsound.keys()


def _found_again(
    seen: Survey, versions: frozenset[int]
) -> Iterator[tuple[RowFile, frozenset[tuple[int, int]]]]:
    """Of several files that have rows of one version, those that a commit which failed left behind are passed over:
    only what is committed is merged with other rows, and what an entry names, lost or not, was committed."""
    there, of_file, committed = set(seen.covered), dict[int, str](), seen.mentioned | seen.bad.keys()
    texts: set[str] | None = None
    for file in sorted(
        seen.spare, key=lambda file: (file.name not in committed, -len(file.sequences), file.name)
    ):
        keys = {key for key in file.keys - there if key[0] in versions}
        if len(file.sequences) == 1 and file.name not in committed:
            texts = _texts(seen.sound) if texts is None else texts
            if file.sequences & of_file.keys() or _texts([file]) <= texts:
                continue
        if keys:
            there |= keys
            of_file.update(dict.fromkeys((key[0] for key in keys), file.name))
            yield file, frozenset(keys)


def _texts(files: Collection[RowFile]) -> set[str]:
    """What rows say, whatever version they were written for: a commit that is outrun is tried again for a later one."""
    return {
        json.dumps({name: value for name, value in row.items() if name not in (SEQUENCE, PLACE)}, default=str)
        for file in files for row in file.table.to_pylist()
    }


def examined(journal: Journal[Row]) -> Mending:
    """What can be made of a journal. Changes nothing. Raises OSError where it cannot be reached."""
    mending = _with_types(mending_of(survey(journal.folder)), journal.row_type)
    if mending.survey.there and not mending.is_needed:
        try:
            journal.query("SELECT * FROM journal WHERE false")
        except DamagedRecordsError as error:
            return replace(mending, unread=error.what)
    return mending


def _with_types(mending: Mending, row_type: type[RowType]) -> Mending:
    """With what of a journal has other types than its records have."""
    import pyarrow as pa

    known, retyped, lost = pa.schema(table_schema(row_type)), dict[str, str](), 0
    for file in mending.survey.sound:
        odd = [one.name for one in file.table.schema if one.name in known.names and not _is_kind(
            one.type, known.field(one.name).type)]
        if odd:
            retyped[file.name] = f"has columns of another type than records have: {', '.join(odd)}"
            lost += _rows_that_lose(file.table.select(odd), known)
    unread = mending.unread
    if mending.survey.metadata is not None:
        try:
            odd_columns = other_types(mending.survey.metadata["schemaString"], row_type)
            unread = f"its columns have another type than records have: {', '.join(odd_columns)}" if odd_columns else ""
            unread = unread or _strange_columns(mending, known)
        except (ValueError, KeyError, TypeError):
            unread = "its schema is none"
    return replace(mending, unread=unread, retyped=retyped, lost_values=lost)


def _strange_columns(mending: Mending, known: pa.Schema) -> str:
    """What is wrong with the names of a journal's columns: some are neither those of records nor those of any file."""
    assert mending.survey.metadata is not None
    named = {one["name"] for one in parsed(mending.survey.metadata["schemaString"])["fields"]}
    there = {*known.names, *(name for file in mending.survey.sound for name in file.table.column_names)}
    return f"its schema has columns that nothing has: {', '.join(sorted(named - there))}" if named - there else ""


def _is_kind(one: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a type holds the same values as another: texts are written in several ways."""
    import pyarrow as pa

    if pa.types.is_list(wanted):
        is_list = bool(pa.types.is_list(one) or pa.types.is_large_list(one))
        return is_list and _is_kind(one.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return any(is_text(one) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
    return bool(one == wanted)


def _rows_that_lose(table: pa.Table, known: pa.Schema) -> int:
    """How many rows have a value that is none of its column's type."""
    losing = set[int]()
    for name in table.column_names:
        before, after = table.column(name).is_null(), _as_type(table.column(name), known.field(name).type).is_null()
        losing.update(place for place, (had, has) in enumerate(zip(before, after, strict=True))
                      if has.as_py() and not had.as_py())
    return len(losing)


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
    again = [*_tables_again(mending), *(file.table for file in seen.sound if file.name in mending.retyped)]
    table = _in_columns(again, journal.row_type)
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


def rows_of(mending: Mending, row_type: type[Row]) -> list[Row | Misfit]:
    """All rows that can be had of a journal, in their order, those that do not fit as well."""
    tables = [*(file.table for file in mending.survey.sound), *_tables_again(mending)]
    found = _in_columns(tables, row_type)
    return [] if found is None else from_columns(found.to_pydict(), row_type)


def _tables_again(mending: Mending) -> Iterator[pa.Table]:
    """The rows that are taken up again."""
    import pyarrow as pa

    for file, keys in mending.found:
        pairs = zip(*(file.table.column(name).to_pylist() for name in (SEQUENCE, PLACE)), strict=True)
        yield file.table.filter(pa.array([pair in keys for pair in pairs]))


def _in_columns(tables: Sequence[pa.Table], row_type: type[Row]) -> pa.Table | None:
    """Rows in their order, in those columns of a journal that they have; None where there are none."""
    import pyarrow as pa

    if not tables:
        return None
    known = pa.schema(table_schema(row_type))
    parts = []
    for table in tables:
        names = [name for name in table.column_names if name in known.names]
        columns = [_as_type(table.column(name), known.field(name).type) for name in names]
        parts.append(pa.Table.from_arrays(columns, schema=pa.schema([known.field(name) for name in names])))
    whole = pa.concat_tables(parts, promote_options="default")
    return whole.sort_by([(SEQUENCE, "ascending"), (PLACE, "ascending")])


def _as_type(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """A column as one of another type; what is none of its values becomes null. Then its row may not fit."""
    import pyarrow as pa

    try:
        return column.cast(wanted)
    except pa.ArrowNotImplementedError:
        return pa.chunked_array([pa.nulls(len(column), wanted)])
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([_as_value(value, wanted) for value in column], wanted)])


def _as_value(value: pa.Scalar, wanted: pa.DataType) -> Any:
    import pyarrow as pa

    try:
        return value.cast(wanted).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        return None


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
        if entry.is_file() and not entry.stat().st_size:
            entry.replace_text(entry_text([information("REPAIR", unread=why)]), synced=True)
            continue
        reach("repair.aside")
        kept = aside / folder.name / entry.name
        kept.parent.make_folder()
        if entry.is_file():
            entry.keep_as(kept)
            entry.replace_text(entry_text([information("REPAIR", unread=why)]), synced=True)
        else:
            entry.move_to(kept)
            entry.write_new_text(entry_text([information("REPAIR", unread=why)]))
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
