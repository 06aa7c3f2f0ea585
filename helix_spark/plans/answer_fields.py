"""The fields that an answer may have, checked one by one, and its rows, validated before a client reads them.

Messages that are not listed below are refused, new ones of a later PySpark too, until a review shows what the client
does with them; `tests/unit/test_answer_gate.py` lists the texts in them that reach the client.

The sizes of an Arrow IPC stream are first read from the batch's own metadata: a compressed body of kilobytes becomes
gigabytes, a column of nulls takes no bytes at all, and an extension type runs the Python code that registered it. Then
pyarrow reads the stream and validates it fully, since offsets outside a buffer would end the process. Layout of the
metadata: Message.fbs and Schema.fbs of Arrow's format, version 1.5.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from helix_spark.plans.plan_messages import type_of
from helix_spark.visible_text import CONTROL, visible

if TYPE_CHECKING:
    import pyarrow as pa

HANDLE = "helix-"
"""The prefix of ids of a program's models and checkpoints; the identity of their question follows."""

_MOST_MESSAGES = 50_000
_DEEPEST = 64
"""The most levels of messages; each level of a nested type takes three. Protocol buffers allow a hundred."""


class StrangeAnswerError(ValueError):
    """An answer that the gate refuses."""


_MESSAGES = frozenset({
    "ExecutePlanResponse", "ExecutePlanResponse.ArrowBatch", "ExecutePlanResponse.ObservedMetrics", "MlCommandResult",
    "MlCommandResult.MlOperatorInfo", "MlParams", "ObjectRef", "CheckpointCommandResult", "CachedRemoteRelation",
    "AnalyzePlanResponse", "ConfigResponse", "KeyValue", "Bools", "Ints", "Longs", "Floats", "Doubles", "Strings",
    *(f"AnalyzePlanResponse.{name}" for name in (
        "Schema", "Explain", "TreeString", "IsLocal", "IsStreaming", "InputFiles", "SparkVersion", "DDLParse",
        "SameSemantics", "SemanticHash", "JsonToDDL",
    )),
    "Expression.Literal",
    *(f"Expression.Literal.{name}" for name in ("Decimal", "Time", "Array", "Map", "Struct", "SpecializedArray")),
    "DataType",
    *(f"DataType.{name}" for name in (
        "NULL", "Binary", "Boolean", "Byte", "Short", "Integer", "Long", "Float", "Double", "Decimal", "String", "Char",
        "VarChar", "Date", "Time", "Timestamp", "TimestampNTZ", "CalendarInterval", "YearMonthInterval",
        "DayTimeInterval", "Array", "Struct", "StructField", "Map", "Variant", "Geometry", "Geography", "UDT",
    )),
})
"""The messages that an answer may contain."""

_REFUSED = frozenset({
    "DataType.UDT.serialized_python_class", "ExecutePlanResponse.ObservedMetrics.root_error_idx",
    "Expression.Literal.year_month_interval",
})
"""Fields that an answer may not have: the client unpickles the first and looks up errors by the second."""


def is_printable(text: str) -> bool:
    """Return whether a text has no characters that a terminal obeys."""
    return _OBEYED.search(text) is None


_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def _is_metadata(text: str) -> bool:
    """Return whether a text is JSON of at most 50 levels."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    steps = (1 if bracket in "[{" else -1 for bracket in _BRACKET.findall(_JSON_TEXT.sub("", text)))
    return max(accumulate(steps), default=0) <= 50


_BRACKET, _JSON_TEXT = re.compile(r"[\[\]{}]"), re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)

_ID = f"{HANDLE}[0-9a-f]{{64}}(_[0-9]{{1,6}})?"
_is_id = _matches(f"{_ID}(,{_ID})*")
is_handle = _matches(_ID)
"""Predicate of ids by which programs know models and checkpoints."""

_TEXTS: Mapping[str, Callable[[str], bool]] = {
    "MlCommandResult.summary": is_printable,
    "MlCommandResult.MlOperatorInfo.name": _matches(r"org\.apache\.spark\.ml\.[\w.$]{1,200}"),
    "MlCommandResult.MlOperatorInfo.uid": lambda text: len(text) <= 1_000 and CONTROL.search(text) is None,
    "ObjectRef.id": _is_id,
    "CachedRemoteRelation.relation_id": _is_id,
    "AnalyzePlanResponse.Explain.explain_string": is_printable,
    "AnalyzePlanResponse.TreeString.tree_string": is_printable,
    "AnalyzePlanResponse.InputFiles.files": is_printable,
    "AnalyzePlanResponse.SparkVersion.version": _matches(r"[\w.+-]{1,100}"),
    "AnalyzePlanResponse.JsonToDDL.ddl_string": is_printable,
    "KeyValue.key": is_printable,
    "KeyValue.value": is_printable,
    "Expression.Literal.Decimal.value": _matches(r"[-+]?[0-9.]{1,80}([eE][-+]?[0-9]{1,3})?"),
    "DataType.String.collation": _matches(r"\w{1,100}"),
    "DataType.StructField.metadata": _is_metadata,
    "DataType.UDT.type": _matches("udt"),
    "DataType.UDT.jvm_class": _matches(r"org\.apache\.spark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
    "DataType.UDT.python_class": _matches(r"pyspark\.(ml|mllib)\.linalg\.(Vector|Matrix)UDT"),
}
"""Predicates of texts that the client prints, imports or refers to, by field."""

_DROPPED = frozenset(
    f"{response}.{name}" for response in ("ExecutePlanResponse", "AnalyzePlanResponse", "ConfigResponse") for name in (
        "session_id", "server_side_session_id", "operation_id", "response_id", "metrics", "execution_progress",
        "result_complete",
    )
)
"""Fields that belong to one session alone."""


@dataclass(slots=True)
class AnswerCheck:
    """Checks the messages of one answer. Drops the fields of one session, and observations that are not in `observed`.
    """

    observed: frozenset[str] = frozenset()
    _messages: int = 0

    def clean(self, message: Any, depth: int = 0) -> None:
        """Clean a response in place. Raises StrangeAnswerError for a message or a field that no recorded answer has."""
        name = type_of(message)
        self._messages += 1
        if self._messages > _MOST_MESSAGES or depth > _DEEPEST:
            raise StrangeAnswerError(f"it has more than {_MOST_MESSAGES:,} parts, or {_DEEPEST} inside each other")
        if name not in _MESSAGES:
            raise StrangeAnswerError(f"it has a {name}, which no recorded answer has")
        if name == "ExecutePlanResponse":
            metrics = [metric for metric in message.observed_metrics if metric.name in self.observed]
            del message.observed_metrics[:]
            message.observed_metrics.extend(metrics)
        for descriptor, value in message.ListFields():
            path = f"{name}.{descriptor.name}"
            if path in _DROPPED:
                message.ClearField(descriptor.name)
            elif descriptor.message_type is None:
                _check_texts(message, path, list(value) if descriptor.is_repeated else [value])
            elif path in ("AnalyzePlanResponse.schema", "ExecutePlanResponse.schema"):
                kind: Any = type(value)
                _check_schema(kind, value.SerializeToString(deterministic=True))
            elif descriptor.message_type.GetOptions().map_entry:
                for key in value:
                    self.clean(value[key], depth + 1)
            else:
                for part in value if descriptor.is_repeated else (value,):
                    self.clean(part, depth + 1)


def _check_texts(message: Any, path: str, values: list[Any]) -> None:
    name, check = path.rpartition(".")[2], _TEXTS.get(path)
    if path in _REFUSED or (check is not None and not all(map(check, values))):
        raise StrangeAnswerError(f"it has the {name.replace('_', ' ')} {str(values)[:80]}")
    if name == "warnings":
        message.warnings[:] = [visible(text)[:_LONGEST_WARNING] for text in values[:_MOST_WARNINGS]]
    elif name == "warning_message":
        message.warning_message = visible(values[0])[:_LONGEST_WARNING]


@lru_cache(maxsize=64)
def _check_schema(kind: type, serialized: bytes) -> None:
    """Check a schema; most answers of a program share a few."""
    schema: Any = kind()
    schema.ParseFromString(serialized)
    AnswerCheck().clean(schema)


_MOST_WARNINGS, _LONGEST_WARNING = 10, 2_000


# Rows -----------------------------------------------------------------------------------------------------------------

MOST_VALUES = 1 << 20
"""The most values of an answer, with those in lists and structs: each becomes a Python object of some 100 bytes."""

_HEADER, _NODES, _COMPRESSION = 2, 1, 3
"""Numbers of fields of a message and of its header, the batch."""

_ZONE = re.compile(r"[A-Za-z0-9_+:/-]{1,64}")


def read_batch(data: bytes, columns: Any) -> pa.RecordBatch:
    """Read and validate a stream of one batch. Raises StrangeAnswerError if it is not one, or has other columns.

    Args:
        columns: its Spark schema, a `pyspark.sql.types.StructType`.
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
    """Check that a stream is a schema and one batch of true sizes. Raises ValueError or ArrowException if not."""
    import pyarrow as pa

    source = pa.BufferReader(data)
    messages = list(pa.ipc.MessageReader.open_stream(source))
    if [message.type for message in messages] != ["schema", "record batch"] or source.tell() != len(data):
        raise ValueError("it is not a schema and a batch")
    schema, batch = (message.metadata.to_pybytes() for message in messages)
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
    """Return the position that a field of a FlatBuffers table refers to; 0 where the field is absent."""
    vtable = table - _number(buffer, table)
    entry = 4 + 2 * number
    (size,) = struct.unpack_from("<H", buffer, vtable)
    (offset,) = struct.unpack_from("<H", buffer, vtable + entry) if entry < size else (0,)
    return table + offset + _number(buffer, table + offset) if offset else 0


def _number(buffer: bytes, at: int) -> int:
    return int(struct.unpack_from("<i", buffer, at)[0])


def _check_columns(columns: Any, schema: pa.Schema) -> None:
    if len(columns.fields) != len(schema.names):  # decodes the names: bytes that are no text are a ValueError
        raise ValueError(f"it has {len(schema)} columns, and its schema {len(columns.fields)}")
    for field, column in zip(columns.fields, schema, strict=True):
        if not _fits(field.dataType, column.type):
            raise ValueError(f"a column of {field.dataType.simpleString()[:80]} has the type {str(column.type)[:80]}")


def _fits(kind: Any, arrow: pa.DataType) -> bool:
    """Return whether Spark sends values of a Spark type as an Arrow type."""
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
