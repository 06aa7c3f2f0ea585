"""When a program's tables, views, functions and files mean what: at the line that builds a table, as in a classic
session, whether a server runs by then or starts later."""

from __future__ import annotations

import subprocess
from typing import Any

import grpc
import pytest

from helix_spark.plans.plan_messages import messages, type_of
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Program, Runs, rows


def kind(asked: Any) -> str:
    """What the server was sent, in a word."""
    if type(asked).__name__ == "AnalyzePlanRequest":
        return str(asked.WhichOneof("analyze"))
    return str(asked.WhichOneof("rel_type" if type_of(asked) == "Relation" else "command_type"))


def tables_read(asked: Any) -> list[str]:
    parts: list[Any] = [one for one in messages(asked) if type_of(one) == "Read.NamedTable"]
    return [one.unparsed_identifier for one in parts]


def replaced(*then: Program) -> Program:
    """A program that replaces a view after it built a table of it."""
    def program(spark: Any) -> Any:
        spark.range(5).createOrReplaceTempView("v")
        table = spark.table("v")
        found = [then[0](table)] if len(then) > 1 else []
        spark.range(8).createOrReplaceTempView("v")
        return found, then[-1](table), spark.table("v").collect()

    return program


def test_a_table_keeps_the_view_that_it_was_built_of(runs: Runs) -> None:
    server = runs.run(replaced(lambda table: table.filter("id > 1").collect(), lambda table: table.collect()))
    old, new = [one for one in server.asked if type_of(one) == "Relation"][-2:]
    assert tables_read(old)[0].startswith("global_temp.helix_")
    assert tables_read(new) == ["v"]


def test_an_unchanged_program_needs_no_server_to_tell_views_apart(runs: Runs) -> None:
    program = replaced(lambda table: table.collect())
    runs.run(program)
    before = runs.returned
    assert not runs.run(program).started
    assert runs.returned == before
    assert before[1] != before[2]


def test_a_server_that_starts_late_does_all_in_the_order_of_the_program(runs: Runs) -> None:
    runs.run(replaced(lambda table: table.collect()))
    server = runs.run(replaced(lambda table: table.sort("id").collect()))
    views = [one.create_dataframe_view for one in server.asked if kind(one) == "create_dataframe_view"]
    assert [one.name.partition("_")[0] for one in views] == ["v", "helix", "v"]
    assert [one.input.range.end for one in views] == [5, 0, 8]


def test_what_the_program_has_no_more_is_not_kept(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        for end in range(5):
            spark.range(end).createOrReplaceTempView("v")
            spark.table("v").collect()

    views = [one for one in runs.run(program).asked if kind(one) == "create_dataframe_view"]
    assert sum(one.create_dataframe_view.is_global for one in views) < 2


def test_a_function_that_is_registered_anew_changes_no_table_that_there_is(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        spark.udf.register("g", lambda number: 1, "int")
        table = spark.range(1).selectExpr("g(id)")
        first = table.collect()
        spark.udf.register("g", lambda number: 2, "int")
        return first == table.collect(), first == spark.range(1).selectExpr("g(id)").collect()

    server = runs.run(program)
    assert runs.returned == (True, False)
    assert not tables_read(server.asked[-1])


def test_only_settings_that_count_at_analysis_are_kept_with_tables(runs: Runs) -> None:
    def program(setting: str) -> Program:
        def run(spark: Any) -> Any:
            table = rows(spark)
            table.collect()
            spark.conf.set(setting, "7")
            return table.filter("a > 1").collect()

        return run

    assert not tables_read(runs.run(program("spark.sql.shuffle.partitions")).asked[-1])
    assert tables_read(runs.run(program("spark.sql.session.timeZone")).asked[-1])


def test_a_deep_loop_is_not_analysed_at_each_step(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        table = rows(spark)
        for number in range(100):
            table = table.selectExpr("*", f"unknown({number}) AS c{number}")
        return table.collect()

    assert [kind(one) for one in runs.run(program).asked].count("schema") < 65


def test_files_that_were_added_before_spark_listed_them_are_no_answer_on_record(runs: Runs) -> None:
    def program(*, late: bool) -> Program:
        def run(spark: Any) -> Any:
            table = rows(spark)
            subprocess.run(["sh", "-c", "echo 3,4 >> rows.csv"], cwd=runs.folder, check=True)
            return table.count() if late else 0

        return run

    runs.run(program(late=False))
    (runs.folder / "rows.csv").write_text("a,b\n1,2\n")
    assert runs.run(program(late=True)).started
    assert "before Spark listed its files" in runs.said[-1]
    (runs.folder / "rows.csv").write_text("a,b\n1,2\n")
    assert runs.run(program(late=True)).started


@pytest.mark.parametrize(("name", "sent"), [("rows.csv", ["schema"]), ("others.csv", [])])
def test_spark_lists_files_before_the_program_writes_to_them(runs: Runs, name: str, sent: list[str]) -> None:
    def program(spark: Any) -> Any:
        table = rows(spark)  # it can still be used
        (runs.folder / name).write_text("a,b\n1,2\n")
        return table

    runs.run(rows)
    assert [kind(one) for one in runs.run(program).asked] == sent


@pytest.mark.parametrize(("persist_first", "sent"), [(True, ["aggregate", "aggregate"]), (False, ["aggregate"])])
def test_persisted_tables_hold_rows_of_files_that_the_program_overwrites_later(
    runs: Runs, *, persist_first: bool, sent: list[str]
) -> None:
    def program(spark: Any) -> Any:
        (runs.folder / "rows.csv").write_text("a,b\n1,2\n3,4\n")
        table = rows(spark)
        for act in (table.persist, table.count) if persist_first else (table.count, table.persist):
            act()
        (runs.folder / "others.csv").rename(runs.folder / "rows.csv")
        return table.count()

    for _ in range(2):
        (runs.folder / "others.csv").write_text("a,b\n1,2\n")
        server = runs.run(program)
    assert [kind(one) for one in server.asked] == ["schema", "persist", *sent]


def test_a_program_writes_also_where_spark_cannot_read_the_files_before(runs: Runs) -> None:
    class Error(grpc.RpcError):
        def details(self) -> str:
            return "no such format"

    class Refusing(FakeServer):
        def AnalyzePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
            raise Error

    def program(spark: Any) -> Any:
        table = rows(spark)  # it can still be used
        (runs.folder / "rows.csv").write_text("a,b\n3,4\n")
        return table

    runs.run(rows)
    runs.run(program, server=Refusing())
    assert (runs.folder / "rows.csv").read_text() == "a,b\n3,4\n"
    assert runs.said[-1].endswith("could not read what tables have of it: no such format")


def test_only_answers_of_its_files_are_asked_again_behind_a_persisted_table(runs: Runs) -> None:
    def program(spark: Any) -> list[int]:
        (runs.folder / "rows.csv").write_text("a,b\n1,2\n")
        rows(spark).cache().count()
        (runs.folder / "rows.csv").write_text("a,b\n3,4\n")
        return [spark.read.csv(f"{name}.csv", header=True).count() for name in ("rows", "others")]

    (runs.folder / "others.csv").write_text("a,b\n1,2\n")
    runs.run(program)
    assert [kind(one) for one in runs.run(program).asked].count("aggregate") == 2  # both of rows.csv


@pytest.mark.parametrize("does", [
    lambda spark: spark.catalog.clearCache(),
    lambda spark: spark.catalog.cacheTable("some"),
    lambda spark: spark.catalog.uncacheTable("some"),
    lambda spark: spark.catalog.dropTempView("other"),
    lambda spark: spark.sql("CACHE TABLE some"),
    lambda spark: spark.sql("DROP VIEW IF EXISTS other"),
    lambda spark: spark.sql("SET spark.sql.ansi.enabled = false"),
    lambda spark: spark.sql("CREATE OR REPLACE TEMPORARY VIEW more AS SELECT a FROM some"),
])
def test_what_follows_a_known_effect_is_answered_from_the_record(runs: Runs, does: Program) -> None:
    def program(spark: Any) -> Any:
        from pyspark.sql import functions as F

        for name in ("some", "other"):
            rows(spark).createOrReplaceTempView(name)
        does(spark)
        return rows(spark).filter(F.col("a") > 1).collect(), spark.table("some").collect()

    runs.run(program)
    before = runs.returned
    assert not runs.run(program).started
    assert runs.returned == before


@pytest.mark.parametrize("statement", ["SHOW TABLES", "describe some", "EXPLAIN SELECT 1"])
def test_a_statement_that_only_looks_is_asked_again_by_itself(runs: Runs, statement: str) -> None:
    def program(spark: Any) -> Any:
        rows(spark).createOrReplaceTempView("some")
        spark.sql(statement)
        return spark.table("some").collect()

    runs.run(program)
    runs.run(program)
    assert [one.question.kind for one in runs.answerer.answers if one.fresh] == ["rows"]
    assert all(type_of(one.question.message) == "Command" for one in runs.answerer.answers if one.fresh)


def test_spark_functions_mean_the_same_after_a_statement_that_nobody_follows(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.sql import functions as F

        spark.sql("CREATE TABLE t AS SELECT 1 AS a")
        return rows(spark).filter(F.col("a") > 1).agg(F.sum("a")).collect()

    runs.run(program)
    assert not [one for one in runs.run(program).asked if type_of(one) == "Relation"]


def test_a_view_in_sql_means_what_its_names_mean_when_it_is_read(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        spark.range(5).createOrReplaceTempView("v")
        spark.sql("CREATE TEMP VIEW w AS SELECT * FROM v")
        table = spark.table("w")
        spark.range(8).createOrReplaceTempView("v")
        return table.collect(), spark.table("w").collect()

    old, new = [one for one in runs.run(program).asked if type_of(one) == "Relation"][-2:]
    assert tables_read(old)[0].startswith("global_temp.helix_")
    assert tables_read(new) == ["w"]
    assert runs.returned[0] != runs.returned[1]


def test_a_plan_passes_over_what_was_not_analysed_before(runs: Runs) -> None:
    server = FakeServer()
    runs.run(lambda spark: rows(spark).select("a") and None, mode="plan", server=server)
    assert not server.started


def test_a_query_that_names_columns_of_the_one_around_it_is_not_analysed_at_its_line(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.sql import functions as F

        outer = F.col("c.a") == F.col("o.a").outer()
        query = rows(spark).alias("c").where(outer).select("b")
        return rows(spark).alias("o").where(query.exists()).select("a").collect()

    asked = [one for one in runs.run(program).asked if kind(one) == "schema"]
    analysed = [[type_of(part) for part in messages(one)] for one in asked]
    assert analysed
    assert not any("Filter" in sorts for sorts in analysed), "nor is what is made with it"
