"""Tables that a program persists are read where an earlier run stored them: the same rows, and never for more than
that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pyspark.sql.connect.proto as pb
import pytest
from pyspark import StorageLevel

from helix_spark.answers.stored_tables import PLACE, with_partitions
from helix_spark.catalog.places.place import LocalPath
from helix_spark.catalog.tables.table_reading import CheckedTable
from helix_spark.plans.plan_messages import messages, type_of
from helix_spark.program.program_nodes import rows_of
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Runs, rows

SCHEMA = json.dumps({"type": "struct", "fields": [
    {"name": name, "type": "integer", "nullable": True, "metadata": {}} for name in ("a", "b")
]})


def store_tables(runs: Runs, schema: str = SCHEMA) -> None:
    """Has what the last run persisted stored, as a catalog does at its end."""
    for table in runs.answerer.served.tables:
        if table.is_computed:
            assert table.question is not None
            whole = json.loads(schema)
            whole["fields"].append({"name": PLACE, "type": "long", "nullable": False, "metadata": {}})
            stored = CheckedTable((LocalPath("/stored/part-0.parquet"),), with_partitions(json.dumps(whole), 3))
            runs.record.tables[table.question.identity] = stored


def reads(server: FakeServer) -> Iterator[str]:
    """What the queries and commands that a server was sent read."""
    for asked in server.asked:
        if type_of(asked) in ("Relation", "Command"):
            for one in messages(asked):
                part: Any = one
                if type_of(one) == "Read.DataSource":
                    yield part.format


def test_a_stored_table_is_read_in_place_of_what_made_it(runs: Runs) -> None:
    def program(least: int) -> Callable[[Any], Any]:
        return lambda spark: rows(spark).cache().where(f"a > {least}").count()

    assert list(reads(runs.run(program(1)))) == ["csv"]
    store_tables(runs)
    edited = runs.run(program(2))
    assert list(reads(edited)) == ["parquet"]
    (moved,) = [
        one for asked in edited.asked for one in messages(asked)
        if type_of(one) == "RepartitionByExpression" and type_of(asked) == "Relation"
    ]
    assert moved.num_partitions == 3  # type: ignore[attr-defined]  # of such a message


def test_its_server_is_told_to_keep_what_stands_in(runs: Runs) -> None:
    runs.run(lambda spark: rows(spark).cache().count())
    store_tables(runs)
    edited = runs.run(lambda spark: rows(spark).cache().where("a > 1").count())
    (kept,) = [one for one in edited.asked if isinstance(one, pb.AnalyzePlanRequest) and one.HasField("persist")]
    assert [one.format for one in messages(kept) if type_of(one) == "Read.DataSource"] == ["parquet"]  # type: ignore[attr-defined]  # as above


def test_a_table_of_other_data_is_not_read(runs: Runs) -> None:
    runs.run(lambda spark: rows(spark).cache().count())
    store_tables(runs)
    (runs.folder / "rows.csv").write_text("a,b\n1,3\n")
    assert list(reads(runs.run(lambda spark: rows(spark).cache().count()))) == ["csv"]


@pytest.mark.parametrize("asks", [
    lambda raw, kept: kept.select(raw["a"]).count(),
    lambda raw, kept: kept.select("rows.a").count(),
    lambda raw, kept: kept.where("rows.a > 1").count(),
    lambda raw, kept: kept.select("_metadata.file_path").count(),
], ids=["by a table below", "by an alias below", "by an alias in SQL", "by the files"])
def test_what_asks_for_more_than_its_rows_has_it_computed(runs: Runs, asks: Callable[[Any, Any], int]) -> None:
    def program(spark: Any) -> None:
        raw = rows(spark)
        asks(raw, raw.alias("rows").cache())

    runs.run(lambda spark: rows(spark).alias("rows").cache().count())
    store_tables(runs)
    assert list(reads(runs.run(program))) == ["csv"]


@pytest.mark.parametrize(("nullable", "read"), [(True, "parquet"), (False, "csv")])
def test_what_is_written_tells_what_may_be_null(runs: Runs, nullable: bool, read: str) -> None:
    runs.run(lambda spark: rows(spark).cache().count())
    store_tables(runs, SCHEMA if nullable else SCHEMA.replace("true", "false"))
    written = runs.run(lambda spark: rows(spark).cache().write.parquet(str(runs.folder / "out")))
    assert list(reads(written)) == [read]


def test_a_table_that_spark_cannot_read_is_computed(runs: Runs) -> None:
    class Error(grpc.RpcError):
        def details(self) -> str:
            return "no such file"

    class Refusing(FakeServer):
        def ExecutePlan(self, request: Any, metadata: Any = None) -> Iterator[Any]:  # noqa: N802 - the service calls it so
            if any(type_of(one) == "RepartitionByExpression" for one in messages(request)):
                raise Error
            return super().ExecutePlan(request, metadata)

    runs.run(lambda spark: rows(spark).cache().count())
    store_tables(runs)
    found = runs.run(lambda spark: rows(spark).cache().where("a > 1").count(), server=Refusing())
    assert list(reads(found)) == ["csv"]
    assert runs.said == ["with a stored table a request failed; it is sent again without it: no such file"]


def test_what_is_given_up_is_kept_until_it_is_stored(runs: Runs) -> None:
    def program(spark: Any) -> None:
        for least in range(6):
            kept = rows(spark).where(f"a > {least}").cache()
            kept.count()
            kept.unpersist()
            assert not kept.storageLevel.useMemory

    server = runs.run(program)
    kinds = [one.WhichOneof("analyze") for one in server.asked if isinstance(one, pb.AnalyzePlanRequest)]
    assert (kinds.count("persist"), kinds.count("unpersist")) == (6, 2)
    runs.answerer.served.forget_given_up()
    kinds = [one.WhichOneof("analyze") for one in server.asked if isinstance(one, pb.AnalyzePlanRequest)]
    assert kinds.count("unpersist") == 6


def test_tables_are_nodes_between_what_they_are_made_from_and_what_is_asked_of_them(runs: Runs) -> None:
    def program(spark: Any) -> None:
        from pyspark.ml.feature import StringIndexer

        kept = rows(spark).cache()
        model = StringIndexer(inputCol="a", outputCol="i").fit(kept)
        indexed = model.transform(kept).cache()
        indexed.count()

    runs.run(program)
    found = rows_of(runs.answerer.answers, runs.answerer.served.tables)
    fit = "model: StringIndexer"
    assert {row.name: row.inputs for row in found} == {
        "kept": (), fit: ("kept",), "indexed": (fit, "kept"), "indexed.count": ("indexed",),
    }


def test_what_is_made_of_a_model_that_may_be_another_is_asked_anew(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.ml.feature import StringIndexer
        from pyspark.sql import functions as F

        timed = rows(spark).withColumn("when", F.current_timestamp())
        model = StringIndexer(inputCol="when", outputCol="i").fit(timed)
        return model.transform(rows(spark)).count()

    runs.run(program)
    asked = [type_of(one) for one in runs.run(program).asked]
    assert asked.count("Relation") == 1


def test_two_models_that_may_differ_are_two(runs: Runs) -> None:
    def program(spark: Any) -> Any:
        from pyspark.ml.feature import StringIndexer
        from pyspark.sql import functions as F

        timed = rows(spark).withColumn("when", F.current_timestamp())
        indexer = StringIndexer(inputCol="when", outputCol="i")
        models = [indexer.fit(timed), indexer.fit(timed)]
        return [model.transform(rows(spark)).count() for model in models]

    server = runs.run(program)
    used = [one.id for asked in server.asked for one in messages(asked) if type_of(one) == "ObjectRef"]  # type: ignore[attr-defined]  # of such a message
    assert len(set(used)) == 2


def leave(runs: Runs, program: Callable[[Any], Any]) -> FakeServer:
    """Runs a program that leaves what it has persisted in memory; returns a server that has it."""
    left = runs.run(program)
    runs.answerer.served.leave_rows()
    return FakeServer(rows=left.rows)


def test_rows_in_memory_are_not_computed_again(runs: Runs) -> None:
    server = leave(runs, lambda spark: rows(spark).cache().where("a > 1").count())
    edited = runs.run(lambda spark: rows(spark).cache().where("a > 2").count(), server=server)
    assert list(reads(edited)) == []
    assert not any(isinstance(one, pb.AnalyzePlanRequest) and one.HasField("persist") for one in edited.asked)
    named = [one for asked in edited.asked for one in messages(asked) if type_of(one) == "CachedRemoteRelation"]
    assert len(named) == 1
    (table,) = [one for one in rows_of(runs.answerer.answers, runs.answerer.served.tables) if one.kind == "table"]
    assert not table.fresh


def test_rows_in_memory_of_other_data_are_not_used(runs: Runs) -> None:
    server = leave(runs, lambda spark: rows(spark).cache().count())
    (runs.folder / "rows.csv").write_text("a,b\n1,3\n")
    assert list(reads(runs.run(lambda spark: rows(spark).cache().count(), server=server))) == ["csv"]


def test_what_asks_for_more_than_rows_in_memory_has_them_computed(runs: Runs) -> None:
    server = leave(runs, lambda spark: rows(spark).cache().count())
    found = runs.run(lambda spark: rows(spark).cache().select("_metadata.file_path").count(), server=server)
    assert list(reads(found)) == ["csv"]


@pytest.mark.parametrize(("program", "left"), [
    (lambda spark: rows(spark).cache().where("rand() > 0.5").cache().count(), 1),
    (lambda spark: [kept := rows(spark).cache(), kept.count(), kept.unpersist()], 0),
    (lambda spark: rows(spark).persist(StorageLevel.DISK_ONLY).count(), 0),
    (lambda spark: rows(spark).count(), 0),
], ids=["by chance", "given up", "on disk", "not persisted"])
def test_rows_that_are_not_left_in_memory(runs: Runs, program: Callable[[Any], Any], left: int) -> None:
    assert len(leave(runs, program).rows) == left


def test_rows_of_data_that_has_changed_are_not_left(runs: Runs) -> None:
    def program(spark: Any) -> None:
        rows(spark).cache().count()
        (runs.folder / "rows.csv").write_text("a,b\n1,3\n")

    assert not leave(runs, program).rows


def test_where_the_server_of_rows_in_memory_ends_they_are_computed(runs: Runs) -> None:
    server = leave(runs, lambda spark: rows(spark).cache().where("a > 1").count())

    def program(spark: Any) -> None:
        kept = rows(spark).cache()
        kept.where("a > 2").count()
        server.rows.clear()
        server.ended = "was killed"
        kept.where("a > 3").count()

    assert list(reads(runs.run(program, server=server))) == ["csv"]
