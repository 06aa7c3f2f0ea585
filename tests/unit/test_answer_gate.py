"""The gate for answers: what a stranger wrote into one never reaches PySpark's client."""

from __future__ import annotations

import base64
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as pb
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pyspark.sql.connect.types import pyspark_types_to_proto_types
from pyspark.sql.conversion import ArrowTableToRowsConversion
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructType,
    TimestampType,
)

from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm, answer_of_text, check_text, rebuild, rows_answered, text_of_answer
from tests.fakes.programs import Runs, rows

ROWS, SCHEMA = AnswerForm("execute", "arrow_batch"), AnswerForm("analyze", "schema")
HANDLE = "helix-" + "0" * 64
LONGS = StructType().add("answers", LongType())


def schema_answered(schema: Any) -> list[Any]:
    """What a server says of a table's columns (`pyspark.sql.types.StructType`)."""
    import pyspark.sql.connect.proto as pb
    from pyspark.sql.connect.types import pyspark_types_to_proto_types

    answer = pb.AnalyzePlanResponse()
    answer.schema.schema.CopyFrom(pyspark_types_to_proto_types(schema))
    return [answer]


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


# Each field of each response --------------------------------------------------------------------------------------

ESCAPE = "\x1b]0;owned\x07"


def paths(descriptor: Descriptor, depth: int) -> Iterator[tuple[FieldDescriptor, ...]]:
    """All fields of a message and of those in it, each by the way to it."""
    for one in descriptor.fields:
        yield (one,)
        within = one.message_type
        if within is not None and within.GetOptions().map_entry:
            within = within.fields_by_name["value"].message_type
        if within is not None and depth:
            for inner in paths(within, depth - 1):
                yield (one, *inner)


def with_hostile(message: Any, path: Sequence[FieldDescriptor], canary: bytes) -> None:
    """Set the last field of a path in a message."""
    for one in path[:-1]:
        message = below(message, one)
    last = path[-1]
    if last.message_type is not None:
        below(message, last)
        return
    value: Any = {
        FieldDescriptor.CPPTYPE_STRING: canary if last.type == FieldDescriptor.TYPE_BYTES else f"os.system{ESCAPE}",
        FieldDescriptor.CPPTYPE_BOOL: True, FieldDescriptor.CPPTYPE_DOUBLE: 1e308, FieldDescriptor.CPPTYPE_FLOAT: 3e38,
        FieldDescriptor.CPPTYPE_ENUM: 1,
    }.get(last.cpp_type, 2**31 - 1)
    if last.is_repeated:
        getattr(message, last.name).append(value)
    else:
        setattr(message, last.name, value)


def below(message: Any, one: FieldDescriptor) -> Any:
    field = getattr(message, one.name)
    if one.message_type.GetOptions().map_entry:
        value = one.message_type.fields_by_name["value"]
        return field["os.system"] if value.message_type is not None else field
    if one.is_repeated:
        return field.add()
    field.SetInParent()
    return field


HARMLESS = {
    "StructField.name", "Literal.string", "Literal.binary", "MlOperatorInfo.warning_message", "ConfigResponse.warnings",
}
"""Texts that reach the client: names of columns, a program's own values, and warnings, escaped. Numbers do where the
client's own conversion takes them, which the gate tries."""


@pytest.mark.parametrize("response", ["ExecutePlanResponse", "AnalyzePlanResponse", "ConfigResponse"])
def test_a_hostile_value_in_any_field_is_refused_dropped_or_harmless(response: str, tmp_path: Path) -> None:
    kinds: Any = {"ExecutePlanResponse": "execute", "AnalyzePlanResponse": "analyze", "ConfigResponse": "config"}
    kind = kinds[response]
    canary = pickle.dumps(Canary(tmp_path / "unpickled"))
    made: Callable[[], Any] = getattr(pb, response)
    tried, passed = 0, set()
    for path in paths(made().DESCRIPTOR, depth=5):
        message = made()
        with_hostile(message, path, canary)
        tried += 1
        try:
            answer = rebuild(AnswerForm(kind), [message])
        except StrangeAnswerError:
            continue
        last = path[-1]
        is_text = last.cpp_type == FieldDescriptor.CPPTYPE_STRING
        if is_text and any(mark in str(answer) for mark in ("os.system", "posix")):
            passed.add(f"{last.containing_type.name}.{last.name}")
    assert tried > {"execute": 1_000, "analyze": 100, "config": 5}[kind]
    assert passed <= HARMLESS
    assert not (tmp_path / "unpickled").exists()


def test_a_field_that_no_pyspark_has_yet_is_dropped() -> None:
    answer = schema_answered(LONGS)[0]
    unknown = answer.SerializeToString() + bytes([0xFA, 0x3F, 3]) + b"new"  # field 1023
    (rebuilt,) = rebuild(SCHEMA, [pb.AnalyzePlanResponse.FromString(unknown)])
    assert rebuilt.SerializeToString() == answer.SerializeToString()


# What is an answer ------------------------------------------------------------------------------------------------

def test_an_answer_of_ours_is_given_as_it_was() -> None:
    table = pa.table({"answers": [1, 2, 3]})
    for form, answer in ((ROWS, rows_answered(LONGS, table)), (SCHEMA, schema_answered(LONGS))):
        text = text_of_answer(form, answer)
        again = answer_of_text(form, text)
        assert text_of_answer(form, again) == text
        check_text(text, "0" * 64)
    with pytest.raises(StrangeAnswerError, match="another kind"):
        answer_of_text(SCHEMA, text_of_answer(ROWS, rows_answered(LONGS, table)))
    with pytest.raises(StrangeAnswerError):
        answer_of_text(ROWS, text_of_answer(ROWS, rows_answered(LONGS, table))[:-8])


def test_batches_in_pieces_are_no_answer() -> None:
    schema, batch = rows_answered(LONGS, pa.table({"answers": [1, 2, 3]}))
    piece = pb.ExecutePlanResponse.ArrowBatch(row_count=3, data=batch.arrow_batch.data[:100], num_chunks_in_batch=2)
    with pytest.raises(StrangeAnswerError, match="pieces"):
        rebuild(ROWS, [schema, pb.ExecutePlanResponse(arrow_batch=piece)])


def rows_of(schema: StructType, batch: pa.RecordBatch, **changes: Any) -> list[Any]:
    written = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=changes.pop("compression", None))
    with pa.ipc.new_stream(written, batch.schema, options=options) as stream:
        stream.write_batch(batch)
    fields = {"row_count": batch.num_rows, "data": written.getvalue().to_pybytes()} | changes
    return [
        pb.ExecutePlanResponse(schema=pyspark_types_to_proto_types(schema)),
        pb.ExecutePlanResponse(arrow_batch=pb.ExecutePlanResponse.ArrowBatch(**fields)),
    ]


def far_offsets() -> pa.RecordBatch:
    offsets = pa.py_buffer(struct.pack("<iii", 0, 2**31 - 1, 1))
    return pa.record_batch({"a": pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"x")])})


def of_longs(batch: pa.RecordBatch | None = None, **changes: Any) -> list[Any]:
    return rows_of(LONGS, batch or pa.record_batch({"answers": pa.array([1], pa.int64())}), **changes)


STRINGS = StructType().add("a", StringType())


def nulls(count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.null(), count, [None])


STREAMS: dict[str, Callable[[], list[Any]]] = {
    "offsets far away": lambda: rows_of(STRINGS, far_offsets()),
    "compressed": lambda: of_longs(pa.record_batch({"answers": pa.array([0] * 9_999, pa.int64())}), compression="zstd"),
    "nulls without end": lambda: rows_of(
        StructType().add("a", NullType()), pa.record_batch({"a": nulls(2**31 - 1)})
    ),
    "rows of no columns": lambda: rows_of(
        StructType(), pa.record_batch({"a": nulls(2**31 - 1)}).select([])
    ),
    "nulls in a list": lambda: rows_of(
        StructType().add("a", ArrayType(NullType())), pa.record_batch({
            "a": pa.ListArray.from_arrays(pa.array([0, 2**31 - 2], pa.int32()), nulls(2**31 - 2)),
        })
    ),
    "another type": lambda: of_longs(pa.record_batch({"answers": pa.array(["x"])})),
    "another number of columns": lambda: of_longs(pa.record_batch({"answers": pa.array([1]), "b": pa.array([1])})),
    "a dictionary": lambda: rows_of(STRINGS, pa.record_batch({"a": pa.array(["x"]).dictionary_encode()})),
    "other rows than it says": lambda: of_longs(row_count=7),
    "another offset": lambda: of_longs(start_offset=7),
    "no stream": lambda: of_longs(data=b"\xff" * 64),
    "nothing": lambda: of_longs(data=b""),
    "only a schema": lambda: of_longs(data=of_longs()[1].arrow_batch.data[:200]),
    "bytes behind the end": lambda: of_longs(data=of_longs()[1].arrow_batch.data + b"more"),
    "an extension's type": lambda: rows_of(STRINGS, pa.record_batch(
        [pa.array(["x"])], pa.schema([pa.field("a", pa.string(), metadata={"ARROW:extension:name": "arrow.json"})])
    )),
    "a zone that is a path": lambda: rows_of(
        StructType().add("a", TimestampType()), pa.record_batch({"a": pa.array([0], pa.timestamp("us", "../../x"))})
    ),
    "a time beyond any calendar": lambda: rows_of(
        StructType().add("a", TimestampType()), pa.record_batch({"a": pa.array([2**62], pa.timestamp("us", "UTC"))})
    ),
    "a date beyond any calendar": lambda: rows_of(
        StructType().add("a", DateType()), pa.record_batch({"a": pa.array([2**31 - 1], pa.int32()).view(pa.date32())})
    ),
    "two schemas": lambda: [*of_longs(), of_longs()[0]],
    "no schema": lambda: of_longs()[1:],
    "no rows at all": lambda: of_longs()[:1],
    "a schema that is no struct": lambda: [
        pb.ExecutePlanResponse(schema=pb.DataType(long=pb.DataType.Long())), of_longs()[1]
    ],
}


@pytest.mark.parametrize("name", STREAMS)
def test_rows_that_may_not_be_read_are_refused(name: str) -> None:
    with pytest.raises(StrangeAnswerError):
        rebuild(ROWS, STREAMS[name]())


def test_no_change_of_a_byte_in_a_stream_ends_the_process() -> None:
    """What still passes is a stream of the same shape, whose rows the client can convert."""
    of_map, of_struct = MapType(StringType(), IntegerType()), StructType().add("x", IntegerType())
    schema = StructType().add("a", ArrayType(IntegerType())).add("b", BooleanType()).add("c", StringType())
    schema = schema.add("d", of_map).add("e", ArrayType(of_struct))
    batch = pa.record_batch({
        "a": pa.array([[1, 2], None, [3]], pa.list_(pa.int32())), "b": pa.array([True, None, False]),
        "c": pa.array(["x", "yy", None]),
        "d": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        "e": pa.array([[{"x": 1}, None], [], None], pa.list_(pa.struct([("x", pa.int32())]))),
    })
    honest = rows_of(schema, batch)
    data = honest[1].arrow_batch.data
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        answer = [honest[0], pb.ExecutePlanResponse(
            arrow_batch=pb.ExecutePlanResponse.ArrowBatch(row_count=3, data=bytes(changed))
        )]
        try:
            rebuilt = rebuild(ROWS, answer)
        except StrangeAnswerError:
            continue
        with pa.ipc.open_stream(rebuilt[1].arrow_batch.data) as stream:
            assert len(ArrowTableToRowsConversion.convert(stream.read_all(), schema)) == 3


def literal(**value: Any) -> Any:
    return pb.ExecutePlanResponse(ml_command_result=pb.MlCommandResult(param=pb.Expression.Literal(**value)))


def named(identity: str, **fields: Any) -> Any:
    info = pb.MlCommandResult.MlOperatorInfo(obj_ref=pb.ObjectRef(id=identity), **fields)
    return pb.ExecutePlanResponse(ml_command_result=pb.MlCommandResult(operator_info=info))


def test_a_model_is_named_by_its_question() -> None:
    fit = AnswerForm("execute", "ml_command_result", "model", handle=HANDLE)
    assert rebuild(fit, [named(HANDLE, uid="LogisticRegression_1")])
    for other in ("", "helix-" + "1" * 64, "3f2a", HANDLE + ".summary", HANDLE.upper()):
        with pytest.raises(StrangeAnswerError):
            rebuild(fit, [named(other)])
    with pytest.raises(StrangeAnswerError, match="no model"):
        rebuild(fit, [literal(double=0.5)])
    fetch = AnswerForm("execute", "ml_command_result", handle=HANDLE)
    assert rebuild(fetch, [named(f"{HANDLE}_1,{HANDLE}_2")])
    for other in (f"{HANDLE}_1,helix-{'1' * 64}_2", f"{HANDLE}_1,", f"{HANDLE}_x"):
        with pytest.raises(StrangeAnswerError):
            rebuild(fetch, [named(other)])


def test_a_metric_is_a_number_and_a_vector_has_bounds() -> None:
    metric = AnswerForm("execute", "ml_command_result", "metric")
    assert rebuild(metric, [literal(double=0.5)])
    with pytest.raises(StrangeAnswerError, match="no metric"):
        rebuild(metric, [literal(string="0.5")])
    huge = pb.Expression.Literal.Struct(
        struct_type=pb.DataType(udt=pb.DataType.UDT(type="udt", jvm_class="org.apache.spark.ml.linalg.VectorUDT")),
        elements=[pb.Expression.Literal(byte=0), pb.Expression.Literal(integer=2**31 - 1)] + [
            pb.Expression.Literal(specialized_array=pb.Expression.Literal.SpecializedArray())
        ] * 2,
    )
    with pytest.raises(StrangeAnswerError, match="more than"):
        rebuild(AnswerForm("execute", "ml_command_result"), [literal(struct=huge)])


def test_vectors_and_matrices_of_both_packages_are_let_through() -> None:
    from pyspark.ml import linalg
    from pyspark.mllib import linalg as mllib

    for kind in (linalg.VectorUDT(), linalg.MatrixUDT(), mllib.VectorUDT(), mllib.MatrixUDT()):
        (answer,) = rebuild(SCHEMA, schema_answered(StructType().add("cell", kind)))
        (field,) = answer.schema.schema.struct.fields
        assert field.data_type.udt.python_class == f"{kind.module()}.{type(kind).__name__}"


def test_a_warning_is_shown_without_what_a_terminal_obeys() -> None:
    fit = AnswerForm("execute", "ml_command_result", "model", handle=HANDLE)
    (answer,) = rebuild(fit, [named(HANDLE, warning_message=ESCAPE + "x" * 9_999)])
    shown = answer.ml_command_result.operator_info.warning_message
    assert shown.startswith("\\x1b]0;owned\\x07")
    assert len(shown) == 2_000
    assert rebuild(fit, [answer]) == [answer]
    (settings,) = rebuild(AnswerForm("config"), [pb.ConfigResponse(warnings=[ESCAPE])])
    assert list(settings.warnings) == ["\\x1b]0;owned\\x07"]


@pytest.mark.parametrize("name", ["show_string", "tree_string"])
def test_what_the_client_prints_has_no_escapes(name: str) -> None:
    if name == "tree_string":
        answer = pb.AnalyzePlanResponse(tree_string=pb.AnalyzePlanResponse.TreeString(tree_string=f"root\n{ESCAPE}"))
        with pytest.raises(StrangeAnswerError):
            rebuild(AnswerForm("analyze", name), [answer])
        return
    form = AnswerForm("execute", "arrow_batch", is_text=True)
    assert rebuild(form, rows_of(STRINGS, pa.record_batch({"a": pa.array(["+-+\n|a|\n"])})))
    for texts in ([ESCAPE], [], ["a", "b"], [None]):
        with pytest.raises(StrangeAnswerError):
            rebuild(form, rows_of(STRINGS, pa.record_batch({"a": pa.array(texts, pa.string())})))


@pytest.mark.parametrize("metadata", ["{", "[" * 99 + "]" * 99, "7" * 5])
def test_metadata_of_a_column_is_shallow_json(metadata: str) -> None:
    answer = schema_answered(LONGS)[0]
    answer.schema.schema.struct.fields[0].metadata = metadata
    if metadata.isdigit():
        assert json.loads(rebuild(SCHEMA, [answer])[0].schema.schema.struct.fields[0].metadata) == 77777
        return
    with pytest.raises(StrangeAnswerError):
        rebuild(SCHEMA, [answer])


def test_settings_are_those_that_were_asked_for() -> None:
    form = AnswerForm("config", keys=("spark.a",))
    assert rebuild(form, [pb.ConfigResponse(pairs=[pb.KeyValue(key="spark.a", value="1")])])
    for keys in ([], ["spark.b"], ["spark.a", "spark.a"]):
        with pytest.raises(StrangeAnswerError):
            rebuild(form, [pb.ConfigResponse(pairs=[pb.KeyValue(key=key) for key in keys])])


# In a run ---------------------------------------------------------------------------------------------------------

def raw_text(responses: Sequence[Any]) -> str:
    """An answer as a stranger writes it."""
    chunks = [b"execute", *(one.SerializeToString() for one in responses)]
    return base64.b64encode(b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)).decode()


def identity_of_rows(runs: Runs) -> str:
    (found,) = (one.question.identity for one in runs.answerer.answers if one.question.kind == "rows")
    return found


def test_an_answer_that_unpickles_is_no_answer_but_its_observations(runs: Runs, tmp_path: Path) -> None:
    def program(spark: Any) -> Any:
        return rows(spark).collect()

    runs.run(program)
    identity = identity_of_rows(runs)
    honest = runs.record.answers[identity]
    canary = pb.Expression.Literal(binary=pickle.dumps(Canary(tmp_path / "unpickled")))
    metrics = pb.ExecutePlanResponse.ObservedMetrics(name="__python_accumulator__", values=[canary])
    hostile = [*answer_of_text(ROWS, honest), pb.ExecutePlanResponse(observed_metrics=[metrics])]
    runs.record.answers[identity] = raw_text(hostile)
    first = runs.returned
    runs.run(program)
    assert runs.returned == first
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    "hostile", ["", "AAAA", "in doubt: x", "{}", "é", raw_text([]), raw_text(of_longs(row_count=9))]
)
def test_what_is_no_answer_is_asked_again(runs: Runs, hostile: str) -> None:
    def program(spark: Any) -> Any:
        return rows(spark).collect()

    runs.run(program)
    identity = identity_of_rows(runs)
    runs.record.answers[identity] = hostile
    assert runs.run(program).started
    assert not runs.run(program).started
