"""Answers of Spark's as texts of the record, and as a client receives them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from helix_spark.plans.answer_fields import HANDLE, StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm, parse_answer, rebuild

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that is recorded. What is larger is requested again."""

LONGEST_TEXT = 3 * LARGEST_ANSWER // 2
"""Letters of an answer's text at most; base 64 takes four for three bytes."""

SERVER_SESSION = "helix"
"""The id of the server's session that a client receives, whoever answers it."""


def text_of_answer(form: AnswerForm, responses: Sequence[Any]) -> str:
    """Return an answer, a server's messages, as text for the record.

    Raises:
        StrangeAnswerError: the gate would not let it through again, or it is too large.
    """
    chunks = [form.kind.encode()]
    chunks += [one.SerializeToString(deterministic=True) for one in rebuild(form, responses)]
    if sum(map(len, chunks)) > LARGEST_ANSWER:
        raise StrangeAnswerError("it is too large")
    return base64.b64encode(b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)).decode()


def answer_of_text(form: AnswerForm, text: str) -> list[Any]:
    """Return the messages of a recorded answer.

    Raises:
        StrangeAnswerError: it is none, or the gate does not let it through.
    """
    kind, chunks = _parsed(text)
    if kind != form.kind.encode():
        raise StrangeAnswerError("it is an answer of another kind")
    return parse_answer(form, chunks)


def with_identity(text: str, before: str, now: str) -> str:
    """The text of an answer under another identity of its question, of the same length: a fit's answer has it.

    >>> with_identity(base64.b64encode(b"helix-2f").decode(), "2f", "9a")
    'aGVsaXgtOWE='
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:  # none of ours, which whoever reads it says
        return text
    return base64.b64encode(raw.replace(before.encode(), now.encode())).decode()


def check_text(text: str, question: str) -> None:
    """Check a recorded answer whose question is known by its identity alone.

    Raises:
        StrangeAnswerError: it is none, or the gate does not let it through.
    """
    kind, chunks = _parsed(text)
    known = {form.kind.encode(): form for form in _ANY_FORMS}
    if kind not in known:
        raise StrangeAnswerError("it is an answer of another kind")
    parse_answer(replace(known[kind], handle=f"{HANDLE}{question}"), chunks)


_ANY_FORMS = (AnswerForm("execute"), AnswerForm("analyze"), AnswerForm("config"))


def _parsed(text: str) -> tuple[bytes, list[bytes]]:
    if len(text) > LONGEST_TEXT:
        raise StrangeAnswerError("it is too large")
    try:
        kind, *chunks = _chunks(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise StrangeAnswerError(f"it cannot be read: {error}") from error
    return kind, chunks


def _chunks(raw: bytes) -> list[bytes]:
    chunks, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at:at + 4], "big")
        if at + 4 + size > len(raw):
            raise StrangeAnswerError("it is cut off")
        chunks.append(raw[at + 4:at + 4 + size])
        at += 4 + size
    return chunks


def of_session(response: Any, request: Any) -> Any:
    """Return a copy of an answer, as one to a request."""
    copy = type(response)()
    copy.CopyFrom(response)
    copy.session_id, copy.server_side_session_id = request.session_id, SERVER_SESSION
    if type(copy).__name__ == "ExecutePlanResponse":
        copy.operation_id = request.operation_id
    return copy


def rows_answered(schema: Any, rows: Any) -> list[Any]:
    """Return what a server says of rows (`pyarrow.Table`) of a schema (`pyspark.sql.types.StructType`)."""
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
