"""Answers as a stranger would write them into a catalog, each made from an honest one."""

from __future__ import annotations

import base64
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as pb

from tests.faults.traps import Trap

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
MODULE = "helix_stranger"
"""A module in the working folder, which writes the canary when it is imported."""

Responses = Sequence[Any]


@dataclass(frozen=True)
class Strange:
    """One hostile answer.

    Attributes:
        question: what it answers, by the names of `answer_runs.name_of`.
        text: makes it of the honest messages, and of the path of the canary.
    """

    name: str
    question: str
    text: Callable[[Responses, Path], str]


KINDS: Mapping[str, str] = {
    "collect": "execute", "show": "execute", "fit": "execute", "evaluate": "execute", "fetch": "execute",
    "checkpoint": "execute", "explain": "analyze", "schema": "analyze", "setting": "config",
}


def encoded(kind: str, responses: Responses) -> str:
    chunks = [kind.encode(), *(one if isinstance(one, bytes) else one.SerializeToString() for one in responses)]
    return base64.b64encode(b"".join(len(chunk).to_bytes(4, "big") + chunk for chunk in chunks)).decode()


def stream(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    written = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(written, batch.schema, options=options) as sink:
        sink.write_batch(batch)
    return bytes(written.getvalue().to_pybytes())


def rows(schema: pb.DataType, data: bytes, count: int, **more: Any) -> list[Any]:
    batch = pb.ExecutePlanResponse.ArrowBatch(row_count=count, data=data, **more)
    return [pb.ExecutePlanResponse(schema=schema), pb.ExecutePlanResponse(arrow_batch=batch)]


def columns(kind: pb.DataType) -> pb.DataType:
    return pb.DataType(struct=pb.DataType.Struct(fields=[pb.DataType.StructField(name="a", data_type=kind)]))


STRING, LONG = pb.DataType(string=pb.DataType.String()), pb.DataType(long=pb.DataType.Long())
NULL, TIME = pb.DataType(null=pb.DataType.NULL()), pb.DataType(timestamp=pb.DataType.Timestamp())


# Of any question that runs something --------------------------------------------------------------------------------

def _executed(**result: Any) -> list[Any]:
    return [pb.ExecutePlanResponse(**result)]


def _fitted(**result: Any) -> list[Any]:
    return _executed(ml_command_result=pb.MlCommandResult(**result))


def _operator(**info: Any) -> list[Any]:
    return _fitted(operator_info=pb.MlCommandResult.MlOperatorInfo(**info))


def _observed(**metrics: Any) -> list[Any]:
    return _executed(observed_metrics=[pb.ExecutePlanResponse.ObservedMetrics(**metrics)])


def _typed(pickled: str | None = None) -> pb.DataType:
    """A user's type, whose class is to be imported from the stranger's module."""
    name = f"{MODULE}.Kind"
    return pb.DataType(udt=pb.DataType.UDT(type="udt", python_class=name, serialized_python_class=pickled))


def _accumulator(canary: Path) -> list[Any]:
    value = pb.Expression.Literal(binary=pickle.dumps(Trap(canary)))
    return _observed(name="__python_accumulator__", values=[value])


def _pickled_class(canary: Path) -> list[Any]:
    kind = _typed(base64.b64encode(pickle.dumps(Trap(canary))).decode())
    return rows(columns(kind), stream(pa.record_batch({"a": pa.array([1])})), 1)


def _imported_in_value() -> list[Any]:
    array = pb.Expression.Literal.Array(element_type=_typed(), elements=[pb.Expression.Literal(long=1)])
    return _fitted(param=pb.Expression.Literal(array=array))


def _extension(canary: Path) -> list[Any]:
    answer = pb.ExecutePlanResponse()
    answer.extension.type_url, answer.extension.value = "type.googleapis.com/x", pickle.dumps(Trap(canary))
    return [answer]


def _vector(size: int) -> list[Any]:
    ints = pb.Expression.Literal(specialized_array=pb.Expression.Literal.SpecializedArray())
    literal = pb.Expression.Literal.Struct(
        struct_type=pb.DataType(udt=pb.DataType.UDT(type="udt", jvm_class="org.apache.spark.ml.linalg.VectorUDT")),
        elements=[pb.Expression.Literal(byte=0), pb.Expression.Literal(integer=size), ints, ints],
    )
    return _fitted(param=pb.Expression.Literal(struct=literal))


OF_ANY: Mapping[str, Callable[[Responses, Path], Responses]] = {
    "metrics that are unpickled": lambda honest, canary: [*honest, *_accumulator(canary)],
    "a type's pickled class": lambda honest, canary: [*_pickled_class(canary), *honest],
    "a type's class to be imported": lambda honest, canary: [*_executed(schema=columns(_typed())), *honest],
    "a value's class to be imported": lambda honest, canary: _imported_in_value(),
    "an extension": lambda honest, canary: [*honest, *_extension(canary)],
    "observations of an error": lambda honest, canary: [*honest, *_observed(name="x", root_error_idx=7)],
    "nothing": lambda honest, canary: [],
    "all twice": lambda honest, canary: [*honest, *honest],
    "bytes that are no message": lambda honest, canary: [b"\xff\xff\xff"],
    "the result of a stream": lambda honest, canary: _executed(
        write_stream_operation_start_result=pb.WriteStreamOperationStartResult(name=ESCAPE)
    ),
    "a plan": lambda honest, canary: _executed(
        sql_command_result=pb.ExecutePlanResponse.SqlCommandResult(relation=pb.Relation(sql=pb.SQL(query="DROP x")))
    ),
    "an operator of a class of the stranger's": lambda honest, canary: _operator(name=f"{MODULE}.Kind"),
    "the id of another model": lambda honest, canary: _operator(obj_ref=pb.ObjectRef(id=f"helix-{'0' * 64}")),
    "a vector without end": lambda honest, canary: _vector(2**31 - 1),
    "a vector of a negative size": lambda honest, canary: _vector(-1),
}


# Of rows -----------------------------------------------------------------------------------------------------------

def _far_offsets() -> pa.RecordBatch:
    offsets = pa.py_buffer(struct.pack("<iii", 0, 2**31 - 1, 1))
    return pa.record_batch({"a": pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"x")])})


def _nulls(count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.null(), count, [None])


def _far_lists() -> pa.RecordBatch:
    lists = pa.ListArray.from_arrays(pa.array([0, 2**31 - 2], pa.int32()), _nulls(2**31 - 2))
    return pa.record_batch({"a": lists})


def _bomb() -> bytes:
    return stream(pa.record_batch({"a": pa.array([0] * 60_000_000, pa.int64())}), "zstd")


def _extended() -> bytes:
    field = pa.field("a", pa.string(), metadata={"ARROW:extension:name": "arrow.json"})
    return stream(pa.record_batch([pa.array(["x"])], pa.schema([field])))


def _of_times(value: int, zone: str) -> bytes:
    return stream(pa.record_batch({"a": pa.array([value], pa.timestamp("us", zone))}))


def _of(kind: pb.DataType, column: pa.Array, name: str = "a") -> list[Any]:
    """Rows of one column."""
    return rows(columns(kind), stream(pa.record_batch({name: column})), len(column))


def _again(honest: Responses, count: int | None = None, **more: int) -> list[Any]:
    """The honest rows, of which something else is said."""
    batch = honest[1].arrow_batch
    return rows(honest[0].schema, batch.data, batch.row_count if count is None else count, **more)


def _cut(honest: Responses) -> list[Any]:
    data = honest[1].arrow_batch.data
    return rows(honest[0].schema, data[:len(data) // 2], honest[1].arrow_batch.row_count)


LISTS = pb.DataType(array=pb.DataType.Array(element_type=NULL, contains_null=True))
DECIMAL = pb.DataType(decimal=pb.DataType.Decimal(precision=1000, scale=-1000))
UNPARSED = pb.DataType(unparsed=pb.DataType.Unparsed(data_type_string="x"))

OF_ROWS: Mapping[str, Callable[[Responses], Responses]] = {
    "offsets far away": lambda honest: rows(columns(STRING), stream(_far_offsets()), 2),
    "nulls without end": lambda honest: _of(NULL, _nulls(2**31 - 1)),
    "lists of nulls without end": lambda honest: rows(columns(LISTS), stream(_far_lists()), 1),
    "kilobytes that become half a gigabyte": lambda honest: rows(columns(LONG), _bomb(), 60_000_000),
    "an extension's type": lambda honest: rows(columns(STRING), _extended(), 1),
    "a zone that is a path": lambda honest: rows(columns(TIME), _of_times(0, "../../../etc/passwd"), 1),
    "a time beyond any calendar": lambda honest: rows(columns(TIME), _of_times(2**62, "UTC"), 1),
    "a dictionary": lambda honest: _of(STRING, pa.array(["x"]).dictionary_encode()),
    "columns of another type": lambda honest: _of(LONG, pa.array(["x"])),
    "fewer columns": lambda honest: rows(
        columns(LONG), stream(pa.RecordBatch.from_pylist([{}], pa.schema([]))), 0
    ),
    "other rows than it says": lambda honest: _again(honest, 99),
    "rows from another offset": lambda honest: _again(honest, start_offset=5),
    "a piece of two": lambda honest: _again(honest, num_chunks_in_batch=2),
    "the second piece": lambda honest: _again(honest, chunk_index=1),
    "half a stream": _cut, "no stream": lambda honest: rows(honest[0].schema, b"\xff" * 999, 1),
    "no schema": lambda honest: honest[1:], "no batch": lambda honest: honest[:1],
    "a schema that is no struct": lambda honest: [*_executed(schema=LONG), *honest[1:]],
    "a decimal of a thousand places": lambda honest: [*_executed(schema=columns(DECIMAL)), *honest[1:]],
    "an unparsed type": lambda honest: [*_executed(schema=columns(UNPARSED)), *honest[1:]],
}

# Of the others ------------------------------------------------------------------------------------------------------

_TEXTS: Mapping[str, str] = {
    "no letters of base 64": "!!!!", "letters of another alphabet": "\u00e9\u202e", "JSON": "{}",
    "a cut answer": "AAAAB2V4ZWN1", "a doubt of an older version": "in doubt: no",
    "a length beyond the end": "////////",
}


def _deep_type() -> pb.DataType:
    kind = LONG
    for _ in range(30):
        kind = columns(kind)
    return kind


def _analysis(**result: Any) -> list[Any]:
    return [pb.AnalyzePlanResponse(**result)]


def _schema(kind: pb.DataType) -> list[Any]:
    return _analysis(schema=pb.AnalyzePlanResponse.Schema(schema=kind))


def _with_metadata(text: str) -> pb.DataType:
    kind = columns(LONG)
    kind.struct.fields[0].metadata = text
    return kind


def _texts(honest: Responses, *texts: str) -> list[Any]:
    batch = pa.record_batch({"show_string": pa.array(texts, pa.string())})
    return rows(honest[0].schema, stream(batch), len(texts))


def _settings(**pairs: str) -> list[Any]:
    return [pb.ConfigResponse(pairs=[pb.KeyValue(key=key, value=value) for key, value in pairs.items()])]


OF_OTHERS: Mapping[str, Mapping[str, Callable[[Responses], Responses]]] = {
    "schema": {
        "a class to be imported": lambda honest: _schema(columns(_typed())),
        "a type in itself, again and again": lambda honest: _schema(_deep_type()),
        "metadata that is no JSON": lambda honest: _schema(_with_metadata("{")),
        "metadata nested without end": lambda honest: _schema(_with_metadata("[" * 100_000)),
        "a type that is no table's": lambda honest: _schema(LONG),
        "another analysis": lambda honest: _analysis(is_local=pb.AnalyzePlanResponse.IsLocal(is_local=True)),
        "an empty one": lambda honest: _analysis(), "two": lambda honest: [*honest, *honest],
        "a collation that there is none of": lambda honest: _schema(
            columns(pb.DataType(string=pb.DataType.String(collation=ESCAPE)))
        ),
    },
    "explain": {
        "a text with escapes": lambda honest: _analysis(
            explain=pb.AnalyzePlanResponse.Explain(explain_string=f"== Plan =={ESCAPE}")
        ),
        "another analysis": lambda honest: _schema(columns(LONG)), "nothing": lambda honest: [],
    },
    "setting": {
        "another setting": lambda honest: _settings(other="1"),
        "no setting": lambda honest: _settings(), "two answers": lambda honest: [*honest, *honest],
        "a value with escapes": lambda honest: _settings(**{honest[0].pairs[0].key: ESCAPE}),
    },
    "show": {
        "a text with escapes": lambda honest: _texts(honest, ESCAPE),
        "two texts": lambda honest: _texts(honest, "a", "b"), "no text": lambda honest: _texts(honest),
        "a number": lambda honest: _of(LONG, pa.array([1])),
    },
    "evaluate": {
        "a text for a metric": lambda honest: _fitted(param=pb.Expression.Literal(string="0.5")),
        "no value": lambda honest: _fitted(),
    },
    "checkpoint": {
        "the id of another checkpoint": lambda honest: _executed(checkpoint_command_result=pb.CheckpointCommandResult(
            relation=pb.CachedRemoteRelation(relation_id="3f2a")
        )),
    },
}


def all_strange() -> list[Strange]:
    """All of them, those of different kinds in turn."""
    executed = [question for question, kind in KINDS.items() if kind == "execute"]
    makes: list[tuple[str, str, Callable[[Responses, Path], Responses]]] = [
        *((name, question, make) for name, make in OF_ANY.items() for question in executed),
        *((name, "collect", _without_canary(make)) for name, make in OF_ROWS.items()),
        *(
            (name, question, _without_canary(make))
            for question, makes_of in OF_OTHERS.items() for name, make in makes_of.items()
        ),
    ]
    found = [
        *(Strange(name, question, partial(_encoded, KINDS[question], make)) for name, question, make in makes),
        *(
            Strange(name, question, lambda honest, canary, text=text: text)  # type: ignore[misc]  # a lambda's default
            for name, text in _TEXTS.items() for question in ("collect", "schema", "fit")
        ),
    ]
    step = 7
    return [one for start in range(step) for one in found[start::step]]


def _without_canary(make: Callable[[Responses], Responses]) -> Callable[[Responses, Path], Responses]:
    return lambda honest, canary: make(honest)


def _encoded(kind: str, make: Callable[[Responses, Path], Responses], honest: Responses, canary: Path) -> str:
    return encoded(kind, make(honest, canary))
