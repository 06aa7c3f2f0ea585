"""Arrow IPC streams of recorded answers, validated before a client reads them.

The framing and the sizes are read from the messages' own metadata first: a compressed body of kilobytes becomes
gigabytes, a column of nulls takes no bytes at all, and an extension type runs the Python code that registered it. What
passes is read by pyarrow and validated fully, since offsets that lead out of a buffer end the process otherwise. Layout
of the metadata: Message.fbs and Schema.fbs of Arrow's format, version 1.5.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 1 << 20
"""Values of an answer, those within lists and structs included: each becomes a Python object of some 100 bytes."""

_SCHEMA, _RECORD_BATCH = 1, 3
_CONTINUES, _NO_MORE = b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x00\x00\x00\x00"
_ZONE = re.compile(r"[A-Za-z0-9_+:/-]{1,64}")


class BadStreamError(ValueError):
    """Bytes that are no Arrow stream of one batch, or one that may not be read."""


def read_batch(data: bytes, columns: Any) -> pa.RecordBatch:
    """Read and validate the one batch of a stream.

    Args:
        columns: its Spark schema, a `pyspark.sql.types.StructType`.

    Raises:
        BadStreamError: it is none, or does not have these columns.
    """
    import pyarrow as pa

    try:
        _check_messages(data)
        with pa.ipc.open_stream(data) as stream:
            _check_columns(columns, stream.schema)
            (batch,) = stream
        batch.validate(full=True)
    except (struct.error, ValueError, OSError, pa.ArrowException) as error:
        raise BadStreamError(f"its rows are no Arrow stream of one batch: {error}") from error
    return batch


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a FlatBuffers message.

    Attributes:
        at: its position.
    """

    buffer: bytes
    at: int

    def field(self, number: int) -> int:
        """The position of a field; 0 where it is absent."""
        vtable = self.at - self.number("<i", self.at)
        entry = 4 + 2 * number
        if entry + 2 > self.number("<H", vtable):
            return 0
        offset = self.number("<H", vtable + entry)
        return self.at + offset if offset else 0

    def scalar(self, kind: str, number: int) -> int:
        at = self.field(number)
        return self.number(kind, at) if at else 0

    def table(self, number: int) -> _Table:
        at = self.field(number)
        if not at:
            raise ValueError("a message has no header")
        return _Table(self.buffer, at + self.number("<I", at))

    def number(self, kind: str, at: int) -> int:
        if at < 0:
            raise ValueError("an offset leads out of a message")
        found: int = struct.unpack_from(kind, self.buffer, at)[0]
        return found


def _check_messages(data: bytes) -> None:
    """Raise ValueError or struct.error unless a stream is a schema and one batch, of sizes that it has itself."""
    kinds = []
    for message in _messages(data):
        kinds.append(message.scalar("<B", 1))
        if message.field(4):
            raise ValueError("a message has metadata of its own")
        if kinds[-1] == _SCHEMA and b"ARROW:" in message.buffer:
            raise ValueError("a column has a type of an extension")
        if kinds[-1] == _RECORD_BATCH:
            _check_batch(message.table(2))
    if kinds != [_SCHEMA, _RECORD_BATCH]:
        raise ValueError("it is not a schema and a batch")


def _messages(data: bytes) -> Iterator[_Table]:
    """The metadata of each message."""
    at = 0
    while at < len(data) and not (at + 8 == len(data) and data.endswith(_NO_MORE)):
        mark, size = struct.unpack_from("<4si", data, at)
        metadata = data[at + 8:at + 8 + size] if size > 0 else b""
        if mark != _CONTINUES or len(metadata) != size:
            raise ValueError("a message is cut off")
        message = _Table(metadata, struct.unpack_from("<I", metadata, 0)[0])
        body = message.scalar("<q", 3)
        at += 8 + size + body
        if body < 0 or at > len(data):
            raise ValueError("a message is cut off")
        yield message


def _check_batch(batch: _Table) -> None:
    if batch.field(3):
        raise ValueError("it is compressed")
    nodes = batch.field(1)
    nodes = nodes + batch.number("<I", nodes) if nodes else 0
    count = batch.number("<I", nodes) if nodes else 0
    # A node is its length and its nulls; a column within a list may be longer than the batch.
    if 16 * count > len(batch.buffer):
        raise ValueError("a message is cut off")
    lengths = struct.unpack_from(f"<{2 * count}q", batch.buffer, nodes + 4)[::2] if count else ()
    if sum(map(abs, lengths)) + abs(batch.scalar("<q", 0)) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")


def _check_columns(columns: Any, schema: pa.Schema) -> None:
    if len(columns.fields) != len(schema.names):  # which decodes them: bytes that are no text are a ValueError
        raise ValueError(f"it has {len(schema)} columns, and its schema {len(columns.fields)}")
    for field, column in zip(columns.fields, schema, strict=True):
        _check_names(column.type)
        if not _fits(field.dataType, column.type):
            raise ValueError(f"a column of {field.dataType.simpleString()[:80]} has the type {str(column.type)[:80]}")


def _check_names(arrow: pa.DataType) -> None:
    """Raise ValueError unless names within a type are texts, and each is there once: a structure becomes a dict."""
    within = [arrow.field(place) for place in range(arrow.num_fields)]
    if len({field.name for field in within}) < len(within):
        raise ValueError("a structure has a name twice")
    for field in within:
        _check_names(field.type)


def _fits(kind: Any, arrow: pa.DataType) -> bool:
    """Whether Spark sends a type of its own as an Arrow type."""
    import pyarrow as pa
    from pyspark.sql import types as spark

    match kind:
        case spark.UserDefinedType():
            return _fits(kind.sqlType(), arrow)
        case spark.StringType() | spark.CharType() | spark.VarcharType():
            return arrow in (pa.string(), pa.large_string())
        case spark.BinaryType():
            return arrow in (pa.binary(), pa.large_binary())
        case spark.DecimalType():
            return bool(arrow == pa.decimal128(kind.precision, kind.scale))
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
    return bool(arrow == _plain_types().get(type(kind)))


@cache
def _plain_types() -> dict[type, Any]:
    import pyarrow as pa
    from pyspark.sql import types as spark

    found: dict[type, Any] = {
        spark.NullType: pa.null(), spark.BooleanType: pa.bool_(), spark.ByteType: pa.int8(),
        spark.ShortType: pa.int16(), spark.IntegerType: pa.int32(), spark.LongType: pa.int64(),
        spark.FloatType: pa.float32(), spark.DoubleType: pa.float64(), spark.DateType: pa.date32(),
        spark.TimestampNTZType: pa.timestamp("us"), spark.DayTimeIntervalType: pa.duration("us"),
    }
    if hasattr(spark, "TimeType"):  # of pyspark 4.1
        found[spark.TimeType] = pa.time64("ns")
    return found
