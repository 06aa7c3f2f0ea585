"""A server of Spark Connect in memory, which counts its requests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as pb
from grpc import RpcError
from pyspark.ml.connect.serialize import serialize_param
from pyspark.ml.linalg import Vectors

from helix_spark.answers.sent_requests import HELPER
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.plans.program_client import DEFAULT_SETTINGS


class EvictedError(RpcError):
    """What Spark says of an object that it does not hold."""

    def details(self) -> str:
        return "[CONNECT_ML.CACHE_INVALID] Generic Spark Connect ML error. Cannot retrieve Summary object"


@dataclass
class FakeServer:
    """Answers each query with one row that says how many it has answered, and each fit with a model of its own.

    Attributes:
        asked: the messages that it was sent, without what a session holds.
        models: ids of the models, and of what they returned that stays on the server, that it was ever asked for.
        evicted: those that went with an earlier process.
        ended: how its process ended, until another one takes its place.
    """

    asked: list[Any] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    evicted: set[str] = field(default_factory=set)
    started: bool = False
    start_seconds: float = 0.0
    address: str = ""
    elsewhere: str = ""
    ended: str = ""
    rows: set[str] = field(default_factory=set)

    def leave_rows(self, session_id: str, key: str, relation: bytes) -> bool:
        self.rows.add(key)
        return True

    def take_rows(self, session_id: str, key: str, name: str) -> bool:
        return key in self.rows

    def how_ended(self) -> str:
        return self.ended

    def open_session(self, user: str, session_id: str) -> None:
        """Nothing: it knows any session."""

    def drop(self) -> None:
        self.ended = ""
        self.evicted.update(self.models)
        self.asked.clear()

    def stop(self) -> None:
        """Nothing: there is no process."""

    def stub(self) -> FakeServer:
        self.started = True
        return self

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        self._check_models(request)
        plan = request.plan
        answer = pb.ExecutePlanResponse(session_id=request.session_id, server_side_session_id="real")
        if plan.WhichOneof("op_type") == "root":
            self.asked.append(plan.root)
            answer.schema.CopyFrom(_SCHEMA)
            answer.arrow_batch.CopyFrom(_batch(len(self.asked)))
        else:
            self.asked.append(plan.command)
            kind = plan.command.ml_command.WhichOneof("command")
            if kind == "fetch":
                self._fetch(plan.command.ml_command.fetch, answer.ml_command_result)
            if kind == "evaluate":
                answer.ml_command_result.param.double = 0.5
            if kind in ("fit", "read"):
                self.models.append(str(uuid.uuid4()))
                answer.ml_command_result.operator_info.obj_ref.id = self.models[-1]
        return iter([answer])

    def _fetch(self, fetch: Any, result: Any) -> None:
        method = fetch.methods[-1].method
        made = [str(uuid.uuid4()) for _ in range({"evaluate": 1, "toLocal": 1, "trees": 3}.get(method, 0))]
        self.models += made
        if method == "evaluate":
            result.summary = made[0]
        elif made:
            result.operator_info.obj_ref.id = ",".join(made)
        else:
            result.param.integer = 2

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self._check_models(request)
        self.asked.append(request)
        answer = pb.AnalyzePlanResponse(session_id=request.session_id, server_side_session_id="real")
        getattr(answer, request.WhichOneof("analyze")).SetInParent()
        if request.WhichOneof("analyze") == "schema":
            answer.schema.schema.CopyFrom(_SCHEMA)
        return answer

    def Config(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        self.asked.append(request.operation)
        asked = request.operation
        pairs = [*asked.get_with_default.pairs]
        names = (*asked.get.keys, *asked.get_option.keys)
        pairs += [pb.KeyValue(key=name, value=_SETTINGS.get(name, "true")) for name in names]
        return pb.ConfigResponse(session_id=request.session_id, server_side_session_id="real", pairs=pairs)

    def FetchErrorDetails(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        assert request.client_observed_server_side_session_id in ("", "real"), "a session that this server has not"
        return pb.FetchErrorDetailsResponse(session_id=request.session_id, server_side_session_id="real")

    def _check_models(self, request: Any) -> None:
        for one in messages(request):
            part: Any = one
            if type_of(one) == "ObjectRef" and part.id in self.evicted:
                raise EvictedError
            assert type_of(one) != "ObjectRef" or part.id in (HELPER, *self.models), f"no model {part.id}"


class Regressing(FakeServer):
    """Tells of its models what one of a linear regression tells."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        (answer,) = super().ExecutePlan(request, metadata)
        command = request.plan.command.ml_command
        if command.HasField("fetch"):
            told: dict[str, Any] = {
                "coefficients": Vectors.dense(0.5, -3.0), "intercept": 1.0, "scale": 1.0, "totalIterations": 2,
                "objectiveHistory": [0.5, 0.25, 0.125],
            }
            value: Any = told[command.fetch.methods[-1].method]
            answer.ml_command_result.param.CopyFrom(serialize_param(value, None))  # type: ignore[arg-type]
        return iter([answer])

    def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - as above
        answer = super().AnalyzePlan(request, metadata)
        if request.HasField("schema"):
            attributes = {"ml_attr": {"attrs": {"numeric": [{"idx": 0, "name": "a"}, {"idx": 1, "name": "b"}]}}}
            (field,) = answer.schema.schema.struct.fields
            field.name, field.metadata = "features", json.dumps(attributes)
        return answer


_SETTINGS = {**DEFAULT_SETTINGS, "spark.sql.session.timeZone": "UTC"}

_SCHEMA = pb.DataType(struct=pb.DataType.Struct(fields=[
    pb.DataType.StructField(name="answers", data_type=pb.DataType(long=pb.DataType.Long())),
]))


def _batch(number: int) -> Any:
    sink = pa.BufferOutputStream()
    rows = pa.record_batch({"answers": pa.array([number], pa.int64())})
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return pb.ExecutePlanResponse.ArrowBatch(row_count=1, data=sink.getvalue().to_pybytes(), start_offset=0)


def commands(server: FakeServer) -> list[str]:
    """The commands of Spark ML that a server was sent, what is fetched by its method; `evaluate` asks `numClasses` by
    itself."""
    sent = [one.ml_command for one in server.asked if isinstance(one, pb.Command) and one.HasField("ml_command")]
    kinds = [one.WhichOneof("command") for one in sent]
    named = [one.fetch.methods[-1].method if kind == "fetch" else kind for one, kind in zip(sent, kinds, strict=True)]
    return [one for one in named if one != "numClasses"]
