"""Stages and models of Spark ML do as in a classic session, where pyspark's client alters or refuses their calls."""

from __future__ import annotations

import inspect
import json
import pickle
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as pb
import pytest
from program_fakes import FakeServer, Program, Runs, rows
from pyspark.ml.feature import Binarizer, HashingTF, MinHashLSH
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.regression import LinearRegression
from pyspark.sql.connect.types import pyspark_types_to_proto_types
from pyspark.sql.types import FloatType, StructType

from helix_spark.plans import recorded_call
from helix_spark.plans.plan_messages import messages, sort_of


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    return Runs(tmp_path)


def arguments(table: Any) -> list[Any]:
    """The values that a model's method is sent for a table, without those that are tables themselves."""
    plan = table._plan.to_proto(table._session.client).root
    literals = [one.param for one in plan.ml_relation.fetch.methods[-1].args if one.HasField("param")]
    return [getattr(one, one.WhichOneof("literal_type")) for one in literals]


def test_models_are_sent_arguments_by_keyword_and_defaults(runs: Runs) -> None:
    def program(spark: Any) -> list[Any]:
        model, table = MinHashLSH(inputCol="a", outputCol="hashes").fit(rows(spark)), rows(spark)
        return [arguments(one) for one in (
            model.approxSimilarityJoin(table, table, 0.5, "far"),
            model.approxSimilarityJoin(table, table, threshold=0.5, distCol="far"),
            model.approxSimilarityJoin(table, table, 0.5),
        )]

    runs.run(program)
    assert runs.returned == [[0.5, "far"], [0.5, "far"], [0.5, "distCol"]]


class Hashes(FakeServer):
    """Answers each query with a vector that has its one feature at 5."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
        self.asked.append(request.plan.root)
        schema = pyspark_types_to_proto_types(StructType().add("features", VectorUDT()))
        kind = pa.struct({"type": pa.int8(), "size": pa.int32(), "indices": pa.list_(pa.int32()),
                          "values": pa.list_(pa.float64())})
        vector = {"type": 0, "size": 10, "indices": [5], "values": [1.0]}
        batch = pa.record_batch({"features": pa.array([vector], kind)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        data = pb.ExecutePlanResponse.ArrowBatch(row_count=1, data=sink.getvalue().to_pybytes())
        yield pb.ExecutePlanResponse(
            session_id=request.session_id, server_side_session_id="real", schema=schema, arrow_batch=data
        )


@pytest.mark.parametrize(("term", "kind"), [
    ("b", "string"), (7, "integer"), (2**40, "long"), (0.5, "double"), (True, "boolean"), (None, "string"),
])
def test_the_index_of_a_term_is_asked_of_a_table_of_it(runs: Runs, term: Any, kind: str) -> None:
    def program(spark: Any) -> int:
        return HashingTF(numFeatures=10, inputCol="words").indexOf(term)

    server = runs.run(program, server=Hashes())
    assert runs.returned == 5
    (table,) = [one.local_relation for query in server.asked for one in messages(query)
                if sort_of(one) == "Relation" and one.WhichOneof("rel_type") == "local_relation"]
    assert json.loads(table.schema)["fields"][0]["type"]["elementType"] == kind
    with pa.ipc.open_stream(table.data) as terms:
        assert terms.read_all().to_pylist() == [{"term": [term]}]
    assert not runs.run(program, server=Hashes()).started
    assert runs.returned == 5


class StartsOverError(Exception):
    """Ends a program that needs a classic session."""


def call_of_jvm_stage(spark: Any) -> None:
    Binarizer(threshold=0.5, inputCol="a", outputCol="b")._transfer_params_to_java()


def other_format(spark: Any) -> None:
    model = LinearRegression().fit(rows(spark))
    assert model.write().format("internal") is not None
    model.write().format("pmml")


@pytest.mark.parametrize(("act", "what"), [(call_of_jvm_stage, "Binarizer._java_obj"), (other_format, "pmml")])
def test_what_only_the_jvm_can_do_with_stages_needs_a_classic_session(runs: Runs, act: Program, what: str) -> None:
    def need_classic(what: str) -> None:
        raise StartsOverError(what)

    def program(spark: Any) -> None:
        (here,) = recorded_call.PROGRAMS
        here.need_classic = need_classic  # type: ignore[method-assign]  # as a program on the command line does
        with pytest.raises(StartsOverError, match=what):
            act(spark)

    runs.run(program)


def test_a_predicting_function_is_the_same_in_another_run_and_its_cache_another_one(
    runs: Runs, control_draws: Callable[[], None]
) -> None:
    from pyspark.ml.functions import predict_batch_udf

    def make_doubling() -> Any:
        return lambda batch: batch * 2

    keys = []

    def program(spark: Any) -> None:
        control_draws()
        predict = predict_batch_udf(make_doubling, return_type=FloatType(), batch_size=2)
        keys.append(inspect.getclosurevars(predict.func).nonlocals["model_uuid"])
        rows(spark).select(predict("a")).collect()

    runs.run(program)
    assert not runs.run(program).started
    assert keys[0] != keys[1]
    assert type(pickle.loads(pickle.dumps(keys[0]))) is uuid.UUID  # workers need not import more
