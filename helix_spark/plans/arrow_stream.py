"""Arrow IPC streams of recorded answers, validated before a client reads them.

The sizes are read from the batch's own metadata first: a compressed body of kilobytes becomes
gigabytes, a column of nulls takes no bytes at all, and an extension type runs the Python code that registered it. What
passes is read by pyarrow and validated fully, since offsets that lead out of a buffer end the process otherwise. Layout
of the metadata: Message.fbs and Schema.fbs of Arrow's format, version 1.5.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from helix_spark.plans.answer_fields import StrangeAnswerError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 1 << 20
"""Values of an answer, with those within lists and structs: each becomes a Python object of some 100 bytes."""

_HEADER, _NODES, _COMPRESSION = 2, 1, 3
"""Fields of a message, and of the batch that is its header."""

_ZONE = re.compile(r"[A-Za-z0-9_+:/-]{1,64}")


def read_batch(data: bytes, columns: Any) -> pa.RecordBatch:
    """Read and validate the one batch of a stream.

    Args:
        columns: its Spark schema, a `pyspark.sql.types.StructType`.

    Raises:
        StrangeAnswerError: it is none, or does not have these columns.
    """
    import pyarrow as pa
    from pyspark.errors import PySparkException

    try:
        _check_messages(data)
        with pa.ipc.open_stream(data) as stream:
            _check_columns(columns, stream.schema)
            (batch,) = stream
        if batch.num_rows > MOST_VALUES:  # of no columns
            raise ValueError(f"it has more than {MOST_VALUES:,} rows")
        batch.validate(full=True)
    except (struct.error, ValueError, OSError, pa.ArrowException, PySparkException) as error:
        raise StrangeAnswerError(f"its rows are no Arrow stream of one batch: {error}") from error
    return batch


def _check_messages(data: bytes) -> None:
    """Raise ValueError or ArrowException unless a stream is a schema and one batch, of sizes that it has itself."""
    import pyarrow as pa

    source = pa.BufferReader(data)
    messages = list(pa.ipc.MessageReader.open_stream(source))
    if [one.type for one in messages] != ["schema", "record batch"] or source.tell() != len(data):
        raise ValueError("it is not a schema and a batch")
    schema, batch = (one.metadata.to_pybytes() for one in messages)
    if b"ARROW:" in schema:
        raise ValueError("a column has a type of an extension")
    header = _field(batch, _number(batch, 0), _HEADER)
    if _field(batch, header, _COMPRESSION):
        raise ValueError("it is compressed")
    nodes = _field(batch, header, _NODES)
    # A node is its length and its nulls; a column within a list may be longer than the batch.
    count = _number(batch, nodes) if nodes else 0
    lengths = struct.unpack_from(f"<{2 * count}q", batch, nodes + 4)[::2] if count else ()
    if sum(map(abs, lengths)) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")


def _field(buffer: bytes, table: int, number: int) -> int:
    """Return the position of what a field of a FlatBuffers table refers to; 0 where it is absent."""
    vtable = table - _number(buffer, table)
    entry = 4 + 2 * number
    (size,) = struct.unpack_from("<H", buffer, vtable)
    (offset,) = struct.unpack_from("<H", buffer, vtable + entry) if entry < size else (0,)
    return table + offset + _number(buffer, table + offset) if offset else 0


def _number(buffer: bytes, at: int) -> int:
    found: int = struct.unpack_from("<i", buffer, at)[0]
    return found


def _check_columns(columns: Any, schema: pa.Schema) -> None:
    if len(columns.fields) != len(schema.names):  # which decodes them: bytes that are no text are a ValueError
        raise ValueError(f"it has {len(schema)} columns, and its schema {len(columns.fields)}")
    for field, column in zip(columns.fields, schema, strict=True):
        if not _fits(field.dataType, column.type):
            raise ValueError(f"a column of {field.dataType.simpleString()[:80]} has the type {str(column.type)[:80]}")


def _fits(kind: Any, arrow: pa.DataType) -> bool:
    """Return whether Spark sends a type of its own as an Arrow type."""
    import pyarrow as pa
    from pyspark.sql import types as spark
    from pyspark.sql.pandas.types import to_arrow_type

    match kind:
        case spark.UserDefinedType():
            return _fits(kind.sqlType(), arrow)
        case spark.TimestampType():
            zone = arrow.tz if pa.types.is_timestamp(arrow) else None
            return zone is not None and bool(_ZONE.fullmatch(zone)) and bool(arrow == pa.timestamp("us", zone))
        case spark.ArrayType():
            return pa.types.is_list(arrow) and _fits(kind.elementType, arrow.value_type)
        case spark.MapType():
            return pa.types.is_map(arrow) and (
                _fits(kind.keyType, arrow.key_type) and _fits(kind.valueType, arrow.item_type)
            )
        case spark.StructType():
            return pa.types.is_struct(arrow) and arrow.num_fields == len(kind.fields) and all(
                _fits(field.dataType, arrow.field(place).type) for place, field in enumerate(kind.fields)
            )
        case spark.VariantType():
            return pa.types.is_struct(arrow) and all(
                arrow.field(place).type in (pa.binary(), pa.large_binary()) for place in range(arrow.num_fields)
            )
        case spark.CharType() | spark.VarcharType():
            return _fits(spark.StringType(), arrow)
    small = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(arrow, arrow)
    return bool(small == to_arrow_type(kind))
