"""The one gate for answers: it keeps only fields that an answer of its kind may have, and checks each of them.

A recorded answer may have been written by a stranger, and PySpark's client trusts its server: it unpickles observed
metrics of one name and classes of user-defined types, imports the classes that types name, and logs warnings as they
are. So the client gets only answers that the gate has rebuilt and tried. Answers are rebuilt before they are recorded,
too, so that the gate accepts every recorded answer.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import helix_spark.plans.connect_proto as pb
from helix_spark.plans.answer_fields import HANDLE, AnswerCheck, StrangeAnswerError, is_printable, read_batch

Kind = Literal["execute", "analyze", "config"]

_RESPONSES: Mapping[Kind, str] = {
    "execute": "ExecutePlanResponse", "analyze": "AnalyzePlanResponse", "config": "ConfigResponse",
}

_MOST_BATCHES = 1_000
_LARGEST_VECTOR = 1 << 24
"""The most slots of a vector, or cells of a matrix: a dense one takes eight bytes for each."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The form that an answer to a question must have.

    Attributes:
        kind: the service's call that answers the question.
        result: the field of the answer, such as ``schema`` or ``ml_command_result``; empty for any field.
        ml: the result of Spark ML: a ``model`` on the server, a ``stage`` with parameters, or a ``metric``; empty for
            any of them or a value.
        handle: the id of the answer's model or checkpoint; empty where it has none.
        observed: names of the observations in the question.
        keys: the requested settings; None for any.
        rows: the least number of rows.
        is_text: True if the rows are one text that the client prints.
        params: the parameters that a stage may have, by name; None where they are not checked.
    """

    kind: Kind
    result: str = ""
    ml: Literal["", "model", "stage", "metric"] = ""
    handle: str = ""
    observed: frozenset[str] = frozenset()
    keys: tuple[str, ...] | None = None
    rows: int = 0
    is_text: bool = False
    params: Mapping[str, Any] | None = field(default=None, hash=False)


def parse_answer(form: AnswerForm, chunks: Sequence[bytes]) -> list[Any]:
    """Return the messages of a serialized answer, rebuilt. Raises StrangeAnswerError."""
    from google.protobuf.message import DecodeError

    response = getattr(pb, _RESPONSES[form.kind])
    try:
        return rebuild(form, [response.FromString(chunk) for chunk in chunks])
    except DecodeError as error:
        raise StrangeAnswerError(f"it cannot be read: {error}") from error


def rebuild(form: AnswerForm, responses: Sequence[Any]) -> list[Any]:
    """Rebuild an answer of fields that it may have. Raises StrangeAnswerError for others, or no answer at all."""
    check, answers = AnswerCheck(form.observed), list[Any]()
    for response in responses:
        copy = deepcopy(response)
        copy.DiscardUnknownFields()
        check.clean(copy)
        answers.append(copy)
    answers = [answer for answer in answers if answer.ByteSize() or form.kind == "config"]
    match form.kind:
        case "execute":
            return _check_run(form, answers)
        case "analyze":
            results = [answer.WhichOneof("result") for answer in answers]
            if len(results) != 1 or results[0] is None or form.result not in ("", results[0]):
                raise StrangeAnswerError(f"it holds {results[:3]}, and not {form.result or 'one answer'}")
            if results[0] == "schema":
                _columns_of(answers[0].schema.schema.SerializeToString(deterministic=True))
            elif results[0] == "ddl_parse":
                _type_of(answers[0].ddl_parse.parsed.SerializeToString(deterministic=True))
        case "config":
            if len(answers) != 1:
                raise StrangeAnswerError(f"it is {len(answers)} answers")
            if form.keys is not None and [pair.key for pair in answers[0].pairs] != list(form.keys):
                raise StrangeAnswerError("it has other settings than the requested ones")
    return answers


def _conversion_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the client's conversions raise for invalid values."""
    import pyarrow as pa
    from pyspark.errors import PySparkException

    return (
        ValueError, TypeError, ArithmeticError, AssertionError, LookupError, AttributeError, RuntimeError, OSError,
        PySparkException, pa.ArrowException,
    )


def _check_run(form: AnswerForm, answers: Sequence[Any]) -> list[Any]:
    names = ("schema", "arrow_batch", "ml_command_result", "checkpoint_command_result")
    fields = {name for answer in answers for name in names if answer.HasField(name)}
    result = form.result or next(iter(fields - {"schema"}), "")
    if fields - {"schema"} != {result} or (result == "arrow_batch") != ("schema" in fields):
        raise StrangeAnswerError(f"it holds {', '.join(sorted(fields)) or 'nothing'}, and not {result or 'an answer'}")
    handles = {
        answer.checkpoint_command_result.relation.relation_id
        for answer in answers if answer.HasField("checkpoint_command_result")
    }
    for info in (answer.ml_command_result.operator_info for answer in answers):
        if info.HasField("obj_ref"):  # the trees of a forest have its id
            handles.update(name.partition("_")[0] for name in info.obj_ref.id.split(","))
    if handles - {form.handle}:
        raise StrangeAnswerError("it names another model or checkpoint than its question's")
    for metrics in (metrics for answer in answers for metrics in answer.observed_metrics):
        if len(metrics.keys) != len(metrics.values):
            raise StrangeAnswerError("its observations are cut off")
        for value in metrics.values:
            _value_of(value)
    if result == "arrow_batch":
        return _check_rows(form, answers)
    results = [getattr(answer, result) for answer in answers if answer.HasField(result)]
    if len(results) > 1:
        raise StrangeAnswerError(f"it is {len(results)} answers")
    if result == "ml_command_result":
        _check_ml(form, results[0])
    elif not results[0].relation.relation_id:
        raise StrangeAnswerError("it names no checkpoint")
    return list(answers)


def _check_rows(form: AnswerForm, answers: Sequence[Any]) -> list[Any]:
    schemas = [answer.schema for answer in answers if answer.HasField("schema")]
    if len(schemas) > 1 or not answers[0].HasField("schema"):
        raise StrangeAnswerError("it does not begin with its one schema")
    columns = _columns_of(schemas[0].SerializeToString(deterministic=True))
    rows, rebuilt = 0, [pb.ExecutePlanResponse(schema=schemas[0])]
    batches = [answer.arrow_batch for answer in answers if answer.HasField("arrow_batch")]
    if len(batches) > _MOST_BATCHES:
        raise StrangeAnswerError(f"it has {len(batches):,} batches")
    for batch in batches:
        if batch.chunk_index or batch.num_chunks_in_batch > 1:
            raise StrangeAnswerError("its rows are in pieces")
        if batch.HasField("start_offset") and batch.start_offset != rows:
            raise StrangeAnswerError(f"its rows begin at {batch.start_offset:,} where {rows:,} are before them")
        _check_batch(form, columns, batch)
        copy = pb.ExecutePlanResponse.ArrowBatch(row_count=batch.row_count, data=batch.data, start_offset=rows)
        rebuilt.append(pb.ExecutePlanResponse(arrow_batch=copy))
        rows += batch.row_count
    if rows < form.rows or (form.is_text and rows != 1):
        raise StrangeAnswerError(f"it has {rows:,} rows")
    observed = [answer.observed_metrics for answer in answers if answer.observed_metrics]
    return rebuilt + [pb.ExecutePlanResponse(observed_metrics=metrics) for metrics in observed]


def _check_batch(form: AnswerForm, columns: Any, sent: Any) -> None:
    import pyarrow as pa
    from pyspark.sql.conversion import ArrowTableToRowsConversion

    batch = read_batch(sent.data, columns)
    if batch.num_rows != sent.row_count:
        raise StrangeAnswerError(f"it has {batch.num_rows:,} rows, and says {sent.row_count:,}")
    types = [field.dataType.typeName() for field in columns.fields]
    if form.is_text and types != ["string"]:
        raise StrangeAnswerError("it is not one text")
    if not form.is_text and _DIRECT.issuperset(types):
        return
    try:
        values = ArrowTableToRowsConversion.convert(pa.Table.from_batches([batch]), columns)
    except _conversion_errors() as error:
        raise StrangeAnswerError(f"its rows cannot be converted: {str(error)[:200]}") from error
    if form.is_text and not all(isinstance(row[0], str) and is_printable(row[0]) for row in values):
        raise StrangeAnswerError("its text has characters that a terminal obeys")


_DIRECT = frozenset({"boolean", "byte", "short", "integer", "long", "float", "double", "string", "binary", "decimal"})
"""Types whose values the client can always convert from a valid batch. To try takes half a second for 1 MiB."""


@lru_cache(maxsize=64)
def _type_of(serialized: bytes) -> Any:
    """Convert a rebuilt type (`spark.connect.DataType`) as the client does."""
    from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type

    try:
        data_type = proto_schema_to_pyspark_data_type(pb.DataType.FromString(serialized))
        data_type.simpleString()
    except _conversion_errors() as error:
        raise StrangeAnswerError(f"it has an unknown type: {str(error)[:200]}") from error
    return data_type


def _columns_of(serialized: bytes) -> Any:
    columns = _type_of(serialized)
    if not hasattr(columns, "fields"):
        raise StrangeAnswerError("its schema is no struct")
    return columns


def _check_ml(form: AnswerForm, result: Any) -> None:
    kind, info = result.WhichOneof("result_type"), result.operator_info
    value = _value_of(result.param) if kind == "param" else None
    fits = {
        "": kind is not None, "metric": isinstance(value, float),
        "model": info.HasField("obj_ref") and info.obj_ref.id == form.handle,
        "stage": kind == "operator_info" and not info.HasField("obj_ref"),
    }
    if not fits[form.ml]:
        raise StrangeAnswerError(f"it is no {form.ml or 'answer'}")
    if form.params is None:
        return
    for name, literal in info.params.params.items():
        if name not in form.params:
            raise StrangeAnswerError(f"it has the parameter {name[:80]!r}, which its stage does not have")
        try:
            form.params[name].typeConverter(_value_of(literal))
        except _conversion_errors() as error:
            raise StrangeAnswerError(f"its parameter {name!r} has a wrong value: {str(error)[:200]}") from error


def _value_of(literal: Any) -> Any:
    """Convert a rebuilt value as the client does."""
    from pyspark.ml.connect.serialize import deserialize_param

    is_vector, size = literal.HasField("struct") and literal.struct.struct_type.HasField("udt"), 1
    for element in literal.struct.elements if is_vector else ():
        size *= element.integer if element.HasField("integer") else 1
        if element.integer < 0 or size > _LARGEST_VECTOR:
            raise StrangeAnswerError(f"it has a vector or a matrix of more than {_LARGEST_VECTOR:,} cells")
    try:
        return deserialize_param(literal)
    except _conversion_errors() as error:
        raise StrangeAnswerError(f"it has a value that cannot be converted: {str(error)[:200]}") from error


# Recorded answers -----------------------------------------------------------------------------------------------------

LARGEST_ANSWER = 1 << 20
"""Most bytes of a recorded answer. A larger answer is requested again."""

SERVER_SESSION = "helix"
"""The id of the server's session that a client receives, from the record and from a server."""


def text_of_answer(form: AnswerForm, responses: Sequence[Any]) -> str:
    """Return a server's answer as text. Raises StrangeAnswerError if the gate refuses it, or it is too large."""
    chunks = [form.kind.encode()]
    chunks += [answer.SerializeToString(deterministic=True) for answer in rebuild(form, responses)]
    if sum(map(len, chunks)) > LARGEST_ANSWER:
        raise StrangeAnswerError("it is too large")
    return base64.b64encode(b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)).decode()


def answer_of_text(form: AnswerForm, text: str) -> list[Any]:
    """Return the messages of a recorded answer. Raises StrangeAnswerError if it is none, or the gate refuses it."""
    kind, chunks = _parsed(text)
    if kind != form.kind.encode():
        raise StrangeAnswerError("it is an answer of another kind")
    return parse_answer(form, chunks)


def with_identity(text: str, before: str, now: str) -> str:
    """Return a recorded answer with another identity of its question, of equal length; a fit's answer contains it.

    >>> with_identity(base64.b64encode(b"helix-2f").decode(), "2f", "9a")
    'aGVsaXgtOWE='
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:  # no recorded answer: reading it raises
        return text
    return base64.b64encode(raw.replace(before.encode(), now.encode())).decode()


def check_text(text: str, question: str) -> None:
    """Check a recorded answer whose question is only known by identity. Raises StrangeAnswerError if refused."""
    kind, chunks = _parsed(text)
    form_kind = next((name for name in _RESPONSES if name.encode() == kind), None)
    if form_kind is None:
        raise StrangeAnswerError("it is an answer of another kind")
    parse_answer(AnswerForm(form_kind, handle=f"{HANDLE}{question}"), chunks)


def _parsed(text: str) -> tuple[bytes, list[bytes]]:
    if len(text) > 3 * LARGEST_ANSWER // 2:  # base 64 takes four letters for three bytes
        raise StrangeAnswerError("it is too large")
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise StrangeAnswerError(f"it cannot be read: {error}") from error
    chunks, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at:at + 4], "big")
        if at + 4 + size > len(raw):
            raise StrangeAnswerError("it is cut off")
        chunks.append(raw[at + 4:at + 4 + size])
        at += 4 + size
    if not chunks:
        raise StrangeAnswerError("it is empty")
    return chunks[0], chunks[1:]


def of_session(response: Any, request: Any) -> Any:
    """Return a copy of an answer with the ids of a request."""
    copy = deepcopy(response)
    copy.session_id, copy.server_side_session_id = request.session_id, SERVER_SESSION
    if type(copy).__name__ == "ExecutePlanResponse":
        copy.operation_id = request.operation_id
    return copy


def rows_answered(schema: Any, rows: Any) -> list[Any]:
    """Return a server's answer for rows (`pyarrow.Table`) of a schema (`pyspark.sql.types.StructType`)."""
    import pyarrow as pa
    from pyspark.sql.connect.types import pyspark_types_to_proto_types

    answers = [pb.ExecutePlanResponse(schema=pyspark_types_to_proto_types(schema))]
    for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]:
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, batch.schema) as stream:
            stream.write_batch(batch)
        data = buffer.getvalue().to_pybytes()
        answers.append(pb.ExecutePlanResponse(
            arrow_batch=pb.ExecutePlanResponse.ArrowBatch(row_count=batch.num_rows, data=data)
        ))
    return answers
