"""Write stored tables without a JVM: Arrow tables, and commits of parquet files that Spark wrote.

The only commit of such a Delta table has four kinds of actions
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions). We write it ourselves: deltalake does not support
Spark ML's vectors, and Delta's own writer takes some 0.4 s more, and 1.5 s the first time.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.tables.attempts import Attempt, commit_of
from helix_spark.catalog.tables.spark_types import NO_NAME
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa


class NotStorableError(CatalogError):
    """The table has a column that Delta cannot hold unchanged."""


def write_arrow(attempt: Attempt, table: pa.Table) -> None:
    """Write a table as a Delta table of one commit and one file into an attempt's folder, which must not exist. Reading
    it returns `storable(table)`. Raises NotStorableError as `storable`, CatalogError."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import Schema
    from deltalake.exceptions import DeltaError

    folder = attempt.path
    if attempt.kind != "table" or folder is None:
        raise CatalogError(f"an attempt to store a {attempt.kind} holds no table")
    table = storable(table)
    try:
        # deltalake's own Schema converts the types to Delta's, in the JSON that Spark uses, too.
        schema = Schema.from_arrow(table.schema).to_json()
        folder.make_new_folder(within=folder.parent.parent.parent)
        file = folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        with file.writable() as opened:
            pq.write_table(table, opened, compression="zstd", write_page_checksum=True)
        _commit(attempt, folder, [(file, len(table))], schema)
    except (OSError, DeltaError) as error:
        raise CatalogError(f"the table {folder} cannot be written: {error}") from error
    except pa.ArrowException as error:  # a type that `storable` accepts and Parquet does not
        raise NotStorableError(f"pyarrow does not write such a table: {error}") from error


def commit_files(attempt: Attempt, schema: str) -> None:
    """Commit all parquet files of an attempt's folder, which has no log yet, as one table. Spark's schema, as JSON,
    needs no feature of Delta beyond its first version. Raises CatalogError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, counted_files = attempt.path, list[tuple[Place, int]]()
    assert folder is not None
    try:
        files: list[Place] = [*folder.glob("part-*.parquet")]
        for file in sorted(files, key=str):
            with file.open_binary() as opened:
                counted_files.append((file, pq.read_metadata(opened).num_rows))
        _commit(attempt, folder, counted_files, schema)
    except (OSError, pa.ArrowException) as error:
        raise CatalogError(f"the table {folder} cannot be written: {error}") from error


def _commit(attempt: Attempt, folder: Place, files: Sequence[tuple[Place, int]], schema: str) -> None:
    """Commit files, each with its number of rows. The commit names the attempt: readers detect another table."""
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
        names = ["timestampNtz"]
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": names, "writerFeatures": names}
    actions: list[dict[str, Any]] = [{"commitInfo": commit}, {"metaData": metadata}, {"protocol": protocol}]
    for file, rows in files:
        status = file.stat()
        actions.append({"add": {
            "path": quote(file.name), "partitionValues": {}, "size": status.st_size, "dataChange": True,
            "modificationTime": int(status.st_mtime * 1000), "stats": json.dumps({"numRecords": rows}),
        }})
    log.replace_text("".join(f"{json.dumps(action)}\n" for action in actions))


def storable(table: pa.Table) -> pa.Table:
    """Return a table with the types that it has after storing and reading: nanoseconds become microseconds,
    dictionaries their values, unsigned integers the next larger signed ones, time zones UTC. Raises NotStorableError
    for types and names that Delta does not support, and for values that would change."""
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
    """Check names of columns or fields: Spark and Delta ignore case."""
    if len({name.lower() for name in names}) < len(names):
        raise NotStorableError(f"stored names must differ in more than upper and lower case: {', '.join(names)}")


def _storable_field(field: pa.Field, column: str, name: str | None = None) -> pa.Field:
    import pyarrow as pa

    name = field.name if name is None else name
    if NO_NAME.search(name):
        raise NotStorableError(f"no column named {name!r} is stored", remedy="rename the column")
    return pa.field(name, _storable_type(field.type, column), nullable=field.nullable)


def _storable_type(type_: pa.DataType, column: str) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(type_):
        return _storable_type(type_.value_type, column)
    if types.is_timestamp(type_):
        return pa.timestamp("us", tz="UTC" if type_.tz else None)
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return pa.list_(_storable_field(type_.value_field, column, "element"))
    if types.is_struct(type_) and type_.num_fields:  # Parquet cannot store a struct without fields
        _check_distinct([field.name for field in type_])
        return pa.struct([_storable_field(field, column) for field in type_])
    if types.is_map(type_):
        key = _storable_field(type_.key_field, column, "key")
        return pa.map_(key, _storable_field(type_.item_field, column, "value"))
    widened = {
        pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(), pa.date64(): pa.date32(), pa.large_string(): pa.string(),
        pa.string_view(): pa.string(), pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary(),
    }
    unchanged = (types.is_decimal128, types.is_boolean, types.is_floating, types.is_signed_integer, types.is_date32,
                 types.is_string, types.is_binary)
    if type_ not in widened and not any(is_kind(type_) for is_kind in unchanged):
        raise NotStorableError(f"Delta has no type for column {column!r}: {type_}", remedy="convert the column")
    return widened.get(type_, type_)
