"""Programs get from the Connect client what a classic session gives them."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.errors.exceptions import connect
from pyspark.sql import functions as F

from helix_spark.plans.classic_compatibility import SessionContext
from helix_spark.plans.plan_messages import type_of
from tests.fakes.programs import Runs


def aggregates(frame: Any) -> list[str]:
    """The functions that a plan aggregates by, each with its column."""
    plan = frame._plan.to_proto(frame._session.client).root.aggregate
    return [
        f"{one.unresolved_function.function_name}"
        f"({one.unresolved_function.arguments[0].unresolved_attribute.unparsed_identifier})"
        for one in plan.aggregate_expressions
    ]


def test_a_table_has_the_rows_from_which_it_was_created(tmp_path: Path) -> None:
    def sent(spark: Any, change: bool) -> bytes:
        rows = pd.DataFrame({"x": np.arange(5.0), "n": np.arange(5)})
        table = spark.createDataFrame(rows)
        if change:
            rows.loc[:, "x"] = 100.0
            rows["n"].to_numpy()[:] = 9
        return bytes(table._plan.to_proto(table._session.client).root.to_df.input.local_relation.data)

    runs = Runs(tmp_path)
    runs.run(lambda spark: sent(spark, True) == sent(spark, False) != b"")
    assert runs.returned


@pytest.mark.parametrize(("name", "sent"), [
    ("mean", "avg"), ("average", "avg"), ("Avg", "avg"), ("std", "stddev"), ("size", "count"), ("MAX", "max"),
])
def test_aliases_of_aggregates_are_sent_by_the_names_that_name_columns(tmp_path: Path, name: str, sent: str) -> None:
    runs = Runs(tmp_path)
    runs.run(lambda spark: [
        aggregates(spark.range(3).groupBy().agg({"id": name})), aggregates(spark.range(3).agg({"id": name})),
    ])
    assert runs.returned == [[f"{sent}(id)"]] * 2


def test_a_plan_that_the_server_cannot_read_is_an_error_of_analysis(tmp_path: Path) -> None:
    Runs(tmp_path).run(lambda spark: None)
    kind = connect.EXCEPTION_CLASS_MAPPING["org.apache.spark.sql.connect.common.InvalidPlanInput"]
    assert issubclass(kind, AnalysisException)


def test_a_time_of_day_is_a_literal_that_the_server_takes(tmp_path: Path) -> None:
    def program(spark: Any) -> Any:
        return spark.table("t").select(F.lit(time(6, 30, 45, 887000))).collect()

    (asked,) = [one for one in Runs(tmp_path).run(program).asked if type_of(one) == "Relation"]
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
        return [type_of(next(answers)) for _ in range(3)]

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
    assert context.getConf().get("spark.app.name") == "study"
    context.setLocalProperty("pool", "small")
    context.setLogLevel("WARN")
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
