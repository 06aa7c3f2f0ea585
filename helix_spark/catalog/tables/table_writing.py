"""Arrow tables as stored tables, written without a JVM: one Delta commit, one file, a checksum for every page."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helix_spark.catalog.failpoints import reach
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import write_checksums
from helix_spark.catalog.tables.attempts import physical_bytes
from helix_spark.catalog.tables.spark_types import NO_NAME
from helix_spark.catalog.tables.table_check import attempt_of
from helix_spark.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa


class NotStorableError(CatalogError):
    """The table has a column that Delta cannot hold unchanged."""


@dataclass(frozen=True, slots=True)
class TableStats:
    """What was written: the fields of an `ArtifactRecord` that describe a table; bytes are physical."""

    version: int
    files: int
    rows: int
    bytes: int
    schema: str


def write_arrow(folder: Place, table: pa.Table, *, attempt: str) -> TableStats:
    """Write a table as a Delta table of one commit and one file into `folder`, which must not exist.

    What is read back equals `storable(table)`. The commit names the attempt, so that another table in its place is
    noticed.

    Raises:
        NotStorableError: see `storable`; or pyarrow does not write such a table.
        CatalogError: the folder exists or cannot be written. Either way, what was written so far stays for `abandon`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import CommitProperties, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import AddAction, create_table_with_add_actions

    table = storable(table)
    try:
        # deltalake's own Schema says what Delta makes of the types, in the JSON that Spark uses too.
        schema = Schema.from_arrow(table.schema)
        folder.make_new_folder()
        file = folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        with file.writable() as written:
            pq.write_table(table, written, compression="zstd", write_page_checksum=True)
        write_checksums(file)
        reach("store.file_written")
        add = AddAction(
            file.name, file.stat().st_size, {}, int(time.time() * 1000), True, json.dumps({"numRecords": len(table)})
        )
        try:
            create_table_with_add_actions(
                folder.table_uri, schema, [add], mode="error", storage_options=folder.table_options,
                # Tried again within, a commit whose answer was lost would meet itself, and be made a second time.
                commit_properties=CommitProperties(custom_metadata={"userMetadata": attempt}, max_commit_retries=0),
            )
        except DeltaError:
            if attempt_of(folder) != attempt:
                raise
    except (OSError, DeltaError) as error:
        raise CatalogError(f"the table {folder} cannot be written: {error}") from error
    except pa.ArrowException as error:  # what `storable` lets pass, and Parquet does not hold
        raise NotStorableError(f"pyarrow does not write such a table: {error}") from error
    return TableStats(0, 1, len(table), physical_bytes(folder), schema.to_json())


def storable(table: pa.Table) -> pa.Table:
    """`table` with the types it has after it was stored and read: nanoseconds become microseconds, dictionaries their
    values, unsigned integers the next larger signed ones, time zones UTC.

    Raises NotStorableError for types and names that Delta does not have, or values that would change.
    """
    import pyarrow as pa

    if not table.column_names:
        raise NotStorableError("a stored table needs columns")
    _check_distinct(table.column_names)
    fields = [_storable_field(field, field.name, field.name) for field in table.schema]
    try:
        return table.replace_schema_metadata(None).cast(pa.schema(fields))
    except (pa.ArrowException, ValueError) as error:
        raise NotStorableError(f"a column cannot be stored without changing it: {error}") from error


def _check_distinct(names: Sequence[str]) -> None:
    """Of a table's columns or a struct's fields: Spark takes names in upper and lower case for one, as Delta does."""
    if len({name.lower() for name in names}) < len(names):
        raise NotStorableError(
            f"names that are to be stored must differ in more than upper and lower case: {', '.join(names)}"
        )


def _storable_field(field: pa.Field, name: str, column: str) -> pa.Field:
    import pyarrow as pa

    if NO_NAME.search(name):
        raise NotStorableError(f"no column named {name!r} is stored", remedy="rename the column")
    return pa.field(name, _storable_type(field.type, column), nullable=field.nullable)


def _storable_type(given: pa.DataType, name: str) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(given):
        return _storable_type(given.value_type, name)
    if types.is_timestamp(given):
        return pa.timestamp("us", tz="UTC" if given.tz else None)
    if types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given):
        return pa.list_(_storable_field(given.value_field, "element", name))
    if types.is_struct(given):
        if given.num_fields == 0:  # as of a column of empty dicts: Parquet has no place for it
            raise _no_type(given, name)
        _check_distinct([field.name for field in given])
        return pa.struct([_storable_field(field, field.name, name) for field in given])
    if types.is_map(given):
        return pa.map_(
            _storable_field(given.key_field, "key", name), _storable_field(given.item_field, "value", name)
        )
    if types.is_decimal128(given) or types.is_boolean(given) or (types.is_floating(given) and given.bit_width > 16):
        return given
    if types.is_signed_integer(given):
        return given
    widened = {
        pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(), pa.date32(): pa.date32(), pa.date64(): pa.date32(),
        pa.string(): pa.string(), pa.large_string(): pa.string(), pa.string_view(): pa.string(),
        pa.binary(): pa.binary(), pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary(),
    }
    if given not in widened:
        raise _no_type(given, name)
    return widened[given]


def _no_type(given: pa.DataType, column: str) -> NotStorableError:
    return NotStorableError(f"Delta has no type for column {column!r}: {given}", remedy="convert the column")
