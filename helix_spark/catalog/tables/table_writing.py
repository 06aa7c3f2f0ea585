"""Stored tables, written without a JVM: Arrow tables, and the files that Spark wrote as such.

The commit that makes parquet files a Delta table is its first and only one, of four actions
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions). deltalake writes it for types that it knows, which
Spark ML's vectors are not. Delta's own writer takes some 0.4 s more than the files, and 1.5 s the first time.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.tables.attempts import Attempt, commit_of, physical_bytes
from helix_spark.catalog.tables.spark_types import NO_NAME
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa


class NotStorableError(CatalogError):
    """The table has a column that Delta cannot hold unchanged."""


class TableStats(NamedTuple):
    """What was written: the fields of an `ArtifactRecord` that describe a table; bytes are physical."""

    rows: int
    bytes: int
    schema: str


def write_arrow(attempt: Attempt, table: pa.Table) -> TableStats:
    """Write a table as a Delta table of one commit and one file into an attempt's folder, which must not exist. What is
    read back equals `storable(table)`. Raises NotStorableError as that, CatalogError."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import Schema
    from deltalake.exceptions import DeltaError

    folder = attempt.path
    if attempt.kind != "table" or folder is None:
        raise CatalogError(f"an attempt to store a {attempt.kind} holds no table")
    table = storable(table)
    try:
        # deltalake's own Schema says what Delta makes of the types, in the JSON that Spark uses too.
        schema = Schema.from_arrow(table.schema).to_json()
        folder.make_new_folder(within=folder.parent.parent.parent)
        file = folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        with file.writable() as written:
            pq.write_table(table, written, compression="zstd", write_page_checksum=True)
        _commit(attempt, folder, [(file, len(table))], schema)
    except (OSError, DeltaError) as error:
        raise CatalogError(f"the table {folder} cannot be written: {error}") from error
    except pa.ArrowException as error:  # what `storable` lets pass, and Parquet does not hold
        raise NotStorableError(f"pyarrow does not write such a table: {error}") from error
    return TableStats(len(table), physical_bytes(folder), schema)


def commit_files(attempt: Attempt, schema: str) -> int:
    """Commit all parquet files of an attempt's folder, which has no log yet, as one table; return the rows that their
    footers count. Spark's schema, as JSON, needs no feature of Delta beyond its first version. Raises CatalogError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, counted = attempt.path, list[tuple[Place, int]]()
    assert folder is not None
    try:
        files: list[Place] = [*folder.glob("part-*.parquet")]
        files.sort(key=str)
        for file in files:
            with file.open_binary() as opened:
                counted.append((file, pq.read_metadata(opened).num_rows))
        _commit(attempt, folder, counted, schema)
    except (OSError, pa.ArrowException) as error:
        raise CatalogError(f"the table {folder} cannot be written: {error}") from error
    return sum(rows for _, rows in counted)


def _commit(attempt: Attempt, folder: Place, files: Sequence[tuple[Place, int]], schema: str) -> None:
    """Commit files, each with its rows. The commit names the attempt, so that another table in its place is noticed."""
    reach("store.file_written")
    log, now = commit_of(folder), int(time.time() * 1000)
    log.parent.make_new_folder(within=folder)
    commit = {
        "timestamp": now, "operation": "WRITE", "engineInfo": "helix_spark", "userMetadata": attempt.attempt,
        "operationParameters": {"mode": "ErrorIfExists", "partitionBy": "[]"},
    }
    metadata = {
        "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
        "partitionColumns": [], "createdTime": now, "configuration": {},
    }
    protocol: dict[str, Any] = {"minReaderVersion": 1, "minWriterVersion": 2}
    if '"timestamp_ntz"' in schema:
        named = ["timestampNtz"]
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": named, "writerFeatures": named}
    actions: list[dict[str, Any]] = [{"commitInfo": commit}, {"metaData": metadata}, {"protocol": protocol}]
    for file, rows in files:
        status = file.stat()
        actions.append({"add": {
            "path": quote(file.name), "partitionValues": {}, "size": status.st_size, "dataChange": True,
            "modificationTime": int(status.st_mtime * 1000), "stats": json.dumps({"numRecords": rows}),
        }})
    log.replace_text("".join(f"{json.dumps(action)}\n" for action in actions))


def storable(table: pa.Table) -> pa.Table:
    """Return a table with the types it has after it was stored and read: nanoseconds become microseconds, dictionaries
    their values, unsigned integers the next larger signed ones, time zones UTC. Raises NotStorableError for types and
    names that Delta does not have, or values that would change."""
    import pyarrow as pa

    if not table.column_names:
        raise NotStorableError("a stored table needs columns")
    _check_distinct(table.column_names)
    fields = [_storable_field(field, field.name) for field in table.schema]
    try:
        return table.replace_schema_metadata(None).cast(pa.schema(fields))
    except (pa.ArrowException, ValueError) as error:
        raise NotStorableError(f"a column cannot be stored without changing it: {error}") from error


def _check_distinct(names: Sequence[str]) -> None:
    """Check names of columns or fields: Spark takes those in upper and lower case for one, as Delta does."""
    if len({name.lower() for name in names}) < len(names):
        what = "names that are to be stored must differ in more than upper and lower case"
        raise NotStorableError(f"{what}: {', '.join(names)}")


def _storable_field(field: pa.Field, column: str, name: str | None = None) -> pa.Field:
    import pyarrow as pa

    name = field.name if name is None else name
    if NO_NAME.search(name):
        raise NotStorableError(f"no column named {name!r} is stored", remedy="rename the column")
    return pa.field(name, _storable_type(field.type, column), nullable=field.nullable)


def _storable_type(given: pa.DataType, column: str) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(given):
        return _storable_type(given.value_type, column)
    if types.is_timestamp(given):
        return pa.timestamp("us", tz="UTC" if given.tz else None)
    if types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given):
        return pa.list_(_storable_field(given.value_field, column, "element"))
    if types.is_struct(given) and given.num_fields:  # Parquet has no place for one of no fields, as of empty dicts
        _check_distinct([field.name for field in given])
        return pa.struct([_storable_field(field, column) for field in given])
    if types.is_map(given):
        key, value = (given.key_field, "key"), (given.item_field, "value")
        return pa.map_(*(_storable_field(field, column, name) for field, name in (key, value)))
    widened = {
        pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(), pa.date64(): pa.date32(), pa.large_string(): pa.string(),
        pa.string_view(): pa.string(), pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary(),
    }
    same = (types.is_decimal128, types.is_boolean, types.is_floating, types.is_signed_integer, types.is_date32,
            types.is_string, types.is_binary)
    if given not in widened and not any(is_kind(given) for is_kind in same):
        raise NotStorableError(f"Delta has no type for column {column!r}: {given}", remedy="convert the column")
    return widened.get(given, given)
