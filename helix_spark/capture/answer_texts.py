"""Answers of Spark's as they are kept: the messages that a server sent, without what is of one session alone; and as
a client is given them.

They are read as protocol buffers, and looked at before a client is given them: a type of an author's own would have the
client import a class, or unpickle one, that whoever wrote the record chose.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from helix_spark.capture.plan_messages import messages, sort_of

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that is put on record. What is larger is asked again."""

SERVER_SESSION = "helix"
"""What a client is told of its server's session, whoever answers it."""

_KINDS = {"execute": "ExecutePlanResponse", "analyze": "AnalyzePlanResponse", "config": "ConfigResponse"}
_OF_A_SESSION = ("session_id", "server_side_session_id", "operation_id", "response_id", "metrics", "execution_progress")
_TYPES = ("pyspark.ml.linalg.VectorUDT", "pyspark.ml.linalg.MatrixUDT")


class StrangeAnswerError(ValueError):
    """What is on record is no answer that Helix put there."""


def text_of_answer(kind: str, responses: Sequence[Any]) -> str:
    """An answer as text, for the record; empty if it is too large.

    Args:
        kind: execute, analyze or config.
        responses: a server's messages.
    """
    chunks = [kind.encode()]
    for response in responses:
        plain = type(response)()
        plain.CopyFrom(response)
        for name in _OF_A_SESSION:
            if name in type(response).DESCRIPTOR.fields_by_name:
                plain.ClearField(name)
        if plain.ByteSize():
            chunks.append(plain.SerializeToString(deterministic=True))
    if sum(map(len, chunks)) > LARGEST_ANSWER:
        return ""
    return base64.b64encode(b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)).decode()


def answer_of_text(kind: str, text: str) -> list[Any]:
    """The messages of an answer on record.

    Raises:
        StrangeAnswerError: it is none, or holds what no answer to a program may hold.
    """
    import pyspark.sql.connect.proto as pb
    from google.protobuf.message import DecodeError

    try:
        raw = base64.b64decode(text, validate=True)
        first, *rest = _chunks(raw)
        if first != kind.encode():
            raise StrangeAnswerError("it is an answer of another kind")
        found = [getattr(pb, _KINDS[kind]).FromString(chunk) for chunk in rest]
    except (ValueError, DecodeError) as error:
        raise StrangeAnswerError(f"it cannot be read: {error}") from error
    _check(found)
    return found


def _chunks(raw: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at:at + 4], "big")
        if at + 4 + size > len(raw):
            raise StrangeAnswerError("it is cut off")
        found.append(raw[at + 4:at + 4 + size])
        at += 4 + size
    return found


def _check(responses: Iterable[Any]) -> None:
    for response in responses:
        for one in messages(response):
            part: Any = one
            if sort_of(one) == "DataType.UDT" and (part.serialized_python_class or part.python_class not in _TYPES):
                raise StrangeAnswerError(f"it names the type {part.python_class!r}, which is not Spark ML's")


def is_kept(responses: Iterable[Any]) -> bool:
    """Whether an answer is one that would be given again from the record."""
    try:
        _check(responses)
    except StrangeAnswerError:
        return False
    return True


def of_session(response: Any, request: Any) -> Any:
    """A copy of an answer, as one to a request."""
    copy = type(response)()
    copy.CopyFrom(response)
    copy.session_id, copy.server_side_session_id = request.session_id, SERVER_SESSION
    if type(copy).__name__ == "ExecutePlanResponse":
        copy.operation_id = request.operation_id
    return copy


def schema_answered(schema: Any) -> list[Any]:
    """What a server says of a table's columns (`pyspark.sql.types.StructType`)."""
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect.types import pyspark_types_to_proto_types

    answer = pb.AnalyzePlanResponse()
    answer.schema.schema.CopyFrom(pyspark_types_to_proto_types(schema))
    return [answer]


def rows_answered(schema: Any, rows: Any) -> list[Any]:
    """What a server says of a table's rows.

    Args:
        schema: a `pyspark.sql.types.StructType`.
        rows: a `pyarrow.Table`.
    """
    import pyarrow as pa
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect.types import pyspark_types_to_proto_types

    answers = [pb.ExecutePlanResponse(schema=pyspark_types_to_proto_types(schema))]
    for batch in rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)]:
        written = pa.BufferOutputStream()
        with pa.ipc.new_stream(written, batch.schema) as stream:
            stream.write_batch(batch)
        data = written.getvalue().to_pybytes()
        answers.append(pb.ExecutePlanResponse(
            arrow_batch=pb.ExecutePlanResponse.ArrowBatch(row_count=batch.num_rows, data=data)
        ))
    return answers
