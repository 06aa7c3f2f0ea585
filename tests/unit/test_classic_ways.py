"""Programs get from the Connect client what a classic session gives them."""

from __future__ import annotations

import json
import os
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from program_fakes import Runs
from pyspark.errors.exceptions import captured, connect
from pyspark.sql import functions as F

from helix_spark.plans.classic_ways import as_jvm_map
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.session_context import SessionContext


def aggregates(frame: Any) -> list[str]:
    """The functions that a plan aggregates by, each with its column."""
    plan = frame._plan.to_proto(frame._session.client).root.aggregate
    return [
        f"{one.unresolved_function.function_name}"
        f"({one.unresolved_function.arguments[0].unresolved_attribute.unparsed_identifier})"
        for one in plan.aggregate_expressions
    ]


@pytest.mark.parametrize(("name", "sent"), [
    ("mean", "avg"), ("average", "avg"), ("Avg", "avg"), ("std", "stddev"), ("size", "count"), ("MAX", "max"),
])
def test_aliases_of_aggregates_are_sent_by_the_names_that_name_columns(tmp_path: Path, name: str, sent: str) -> None:
    runs = Runs(tmp_path)
    runs.run(lambda spark: [
        aggregates(spark.range(3).groupBy().agg({"id": name})), aggregates(spark.range(3).agg({"id": name})),
    ])
    assert runs.returned == [[f"{sent}(id)"]] * 2


def test_a_sum_of_a_text_is_an_error_of_analysis(tmp_path: Path) -> None:
    from pyspark.sql.types import StructType

    def program(spark: Any) -> None:
        rows = spark.range(1)
        rows._cached_schema = StructType().add("name", "string")
        with pytest.raises(captured.AnalysisException, match='"name" is not a numeric column'):
            rows.groupBy().sum("name")

    Runs(tmp_path).run(program)


def test_aggregates_of_a_dict_come_in_the_order_of_the_jvm(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.run(lambda spark: aggregates(spark.range(3).groupBy().agg({"z": "max", "age": "min", "b": "count"})))
    assert runs.returned == ["count(b)", "max(z)", "min(age)"]


@pytest.mark.parametrize(("columns", "in_jvm"), [
    ("age height income", "income age height"),
    ("b zeta kappa x_1 hours-per-week", "zeta x_1 b hours-per-week kappa"),
    ("age height income b zeta kappa x_1 hours-per-week", "height zeta b income hours-per-week kappa x_1 age"),
])
def test_maps_have_the_order_that_a_classic_session_was_seen_to_give(columns: str, in_jvm: str) -> None:
    assert list(as_jvm_map(dict.fromkeys(columns.split(), "max"))) == in_jvm.split()


def test_maps_of_any_size_keep_their_entries() -> None:
    for size in (0, 1, 4, 5, 12, 13, 200):
        named = {f"column {number}": str(number) for number in range(size)}
        assert as_jvm_map(named) == named


def test_schemas_are_printed_with_the_names_of_the_jvm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql.types import StructType

    runs = Runs(tmp_path)

    def program(spark: Any) -> str:
        frame = spark.range(1)
        frame._cached_schema = StructType().add("v", VectorUDT())
        frame.printSchema()
        return str(frame.schema.treeString())

    runs.run(program)
    assert "-- v: vector (" in capsys.readouterr().out
    assert "-- v: vectorudt (" in runs.returned  # as Python says it in a classic session, too


@pytest.mark.parametrize(("jvm", "name"), [
    ("org.apache.spark.sql.AnalysisException", "AnalysisException"),
    ("org.apache.spark.sql.catalyst.parser.ParseException", "ParseException"),
    ("java.lang.ArithmeticException", "ArithmeticException"),
    ("com.example.OtherException", "UnknownException"),
])
def test_errors_are_those_of_both_kinds_of_sessions(tmp_path: Path, jvm: str, name: str) -> None:
    from google.rpc.error_details_pb2 import ErrorInfo

    Runs(tmp_path).run(lambda spark: None)
    info = ErrorInfo(metadata={"classes": json.dumps([jvm]), "errorClass": "BAD_THING", "sqlState": "42000"})
    error = connect.convert_exception(info, "[BAD_THING] it is bad", None)
    assert isinstance(error, vars(captured)[name])
    assert isinstance(error, connect.SparkConnectException)
    assert f"{type(error).__module__}.{type(error).__name__}" == f"pyspark.errors.exceptions.captured.{name}"
    assert "[BAD_THING] it is bad" in str(error)
    assert (error.getCondition(), error.getSqlState()) == ("BAD_THING", "42000")


def test_a_parsing_error_is_an_error_of_analysis(tmp_path: Path) -> None:
    Runs(tmp_path).run(lambda spark: None)
    kind = connect.EXCEPTION_CLASS_MAPPING["org.apache.spark.sql.catalyst.parser.ParseException"]
    assert issubclass(kind, captured.AnalysisException)
    assert issubclass(kind, connect.AnalysisException)


def test_a_plan_that_the_server_cannot_read_is_an_error_of_analysis(tmp_path: Path) -> None:
    Runs(tmp_path).run(lambda spark: None)
    kind = connect.EXCEPTION_CLASS_MAPPING["org.apache.spark.sql.connect.common.InvalidPlanInput"]
    assert issubclass(kind, captured.AnalysisException)


@pytest.mark.parametrize(("condition", "sides"), [
    (lambda rows: rows.answers == rows.answers, 2),
    (lambda rows: (rows.answers.eqNullSafe(rows.answers)) & (F.lit(1) == 1), 2),
    (lambda rows: rows.answers > rows.answers, 1),
    (lambda rows: (rows.answers == rows.answers) & (rows.answers > 1), 1),
])
def test_a_table_that_is_joined_with_itself_has_two_sides(tmp_path: Path, condition: Any, sides: int) -> None:
    def program(spark: Any) -> Any:
        rows = spark.table("t")
        return rows.join(rows, condition(rows)).collect()

    (asked,) = [one for one in Runs(tmp_path).run(program).asked if sort_of(one) == "Relation"]
    columns: list[Any] = [one for one in messages(asked) if sort_of(one) == "Expression.UnresolvedAttribute"]
    assert len({one.plan_id for one in columns}) == sides
    assert {asked.join.left.common.plan_id, asked.join.right.common.plan_id} >= {one.plan_id for one in columns}


def test_a_time_of_day_is_a_literal_that_the_server_takes(tmp_path: Path) -> None:
    def program(spark: Any) -> Any:
        return spark.table("t").select(F.lit(time(6, 30, 45, 887000))).collect()

    (asked,) = [one for one in Runs(tmp_path).run(program).asked if sort_of(one) == "Relation"]
    assert asked.project.expressions[0].expression_string.expression == "TIME '06:30:45.887000'"


def test_events_of_streams_come_as_the_server_sends_them(tmp_path: Path) -> None:
    """The answer to a listener has no end: it is read as far as the program reads it."""
    import pyspark.sql.connect.proto as pb

    class Endless:
        def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
            while True:
                yield pb.ExecutePlanResponse(session_id=request.session_id, server_side_session_id="real")

    runs = Runs(tmp_path)

    def program(spark: Any) -> list[str]:
        request = spark.client._execute_plan_request_with_metadata()
        request.plan.command.streaming_query_listener_bus_command.add_listener_bus_listener = True
        answers = spark.client._stub.ExecutePlan(request)
        return [sort_of(next(answers)) for _ in range(3)]

    class Server:
        def stub(self) -> Endless:
            return Endless()

    runs.run(program, server=Server())  # type: ignore[arg-type]  # all that it is asked for
    assert len(runs.returned) == 3


@pytest.mark.parametrize(("master", "cores"), [
    ("local", 1), ("local[3]", 3), ("local[3, 2]", 3), ("spark://host:7077", None),
])
def test_a_context_says_of_its_session_what_changes_no_answer(master: str, cores: int | None) -> None:
    context = SessionContext({"spark.master": master, "spark.app.name": "study"})
    assert context.defaultParallelism == (cores or os.cpu_count())
    assert context.defaultMinPartitions == min(context.defaultParallelism, 2)
    assert context.getConf().get("spark.app.name") == "study"
    context.setLocalProperty("pool", "small")
    assert context.getLocalProperty("pool") == "small"
    assert context.getLocalProperty("other") is None
    assert repr(context) == f"<SparkContext master={master} appName=study>"
    with pytest.raises(AttributeError, match="needs a classic session"):
        context.parallelize([1])


def test_functions_of_every_kind_are_registered(tmp_path: Path) -> None:
    def program(spark: Any) -> list[Any]:
        from pyspark.sql import functions as F

        declared = F.udf(lambda a: a, "int")
        made = spark.udf.register("g", lambda a: a + 1, "int")
        return [made.func(1), spark.udf.register("h", declared) is not None, str(made("id"))]

    runs = Runs(tmp_path)
    runs.run(program)
    assert runs.returned == [2, True, "Column<'g(id)'>"]


def test_a_session_is_one_of_the_class_that_programs_import(tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    def program(spark: Any) -> list[Any]:
        return [
            isinstance(spark, SparkSession), repr(spark).partition(" object")[0],
            [hasattr(spark, name) for name in ("range", "_jvm", "newSession", "sparkContext")],
        ]

    runs = Runs(tmp_path)
    runs.run(program)
    assert runs.returned == [True, "<pyspark.sql.session.SparkSession", [True, False, False, True]]

    def ended_by_with(spark: Any) -> bool:
        with spark:
            spark.range(3).collect()
        return bool(spark.is_stopped)

    runs.run(ended_by_with)
    assert runs.returned


def test_a_table_in_an_expression_is_part_of_the_question(tmp_path: Path) -> None:
    def program(size: int) -> Any:
        def run(spark: Any) -> Any:
            rows = spark.range(9)
            return rows.where(rows.id.isin(spark.range(size))).collect()

        return run

    runs = Runs(tmp_path)
    assert runs.run(program(6)).started
    assert not runs.run(program(6)).started
    assert runs.run(program(7)).started


def test_names_that_are_none_of_sparks_are_set_without_it(tmp_path: Path) -> None:
    def program(spark: Any) -> str:
        spark.conf.set("my_key", "my_value")
        return str(spark.conf.get("my_key"))

    runs = Runs(tmp_path)
    assert not runs.run(program).started
    assert runs.returned == "my_value"
