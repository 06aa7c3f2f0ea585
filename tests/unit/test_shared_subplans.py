"""What several fits of a program are made of is computed once, where it takes no more than a table that the program
itself has kept; and models go as the program lets them go."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import grpc
import pyspark.sql.connect.proto as pb
import pytest

from helix_spark.answers import served_models
from tests.fakes.connect_server import FakeServer
from tests.fakes.programs import Program, Runs, rows


def searched(steps: Sequence[float], *, kept: bool = True, by_sql: bool = False, evaluated: bool = False) -> Program:
    """Fits that differ in a parameter, each on what a pipeline's stages make of one table, as a search does it."""
    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.evaluation import BinaryClassificationEvaluator
        from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler

        table = rows(spark)
        if kept:
            table.persist()
        for step in steps:
            indexed = StringIndexer(inputCol="a", outputCol="index").fit(table).transform(table)
            if by_sql:
                indexed = SQLTransformer(statement="SELECT * FROM __THIS__ ORDER BY a").transform(indexed)
            data = VectorAssembler(inputCols=["index"], outputCol="features").transform(indexed)
            model = LogisticRegression(regParam=step).fit(data)
            if evaluated:
                BinaryClassificationEvaluator().evaluate(model.transform(data))
        table.unpersist()
    return program


def told(server: FakeServer, kind: str) -> list[Any]:
    """What a server was told to persist, or not to persist any more."""
    asked = [one for one in server.asked if isinstance(one, pb.AnalyzePlanRequest)]
    return [getattr(one, kind).relation for one in asked if one.WhichOneof("analyze") == kind]


def data_of_fits(server: FakeServer, word: str = "LogisticRegression") -> list[Any]:
    commands = [one.ml_command for one in server.asked if isinstance(one, pb.Command)]
    fits = [one.fit for one in commands if one.WhichOneof("command") == "fit"]
    return [one.dataset for one in fits if one.estimator.name.endswith(word)]


def test_what_fits_are_made_of_is_kept_from_the_second_one_on(runs: Runs) -> None:
    server = runs.run(searched([0.1, 0.2, 0.3]))
    first, second, third = data_of_fits(server)
    _, features = told(server, "persist")
    assert second == third == features
    assert first != second
    assert told(server, "unpersist") == [features]  # the table itself is kept until it is stored


def test_what_models_are_evaluated_on_is_kept_too(runs: Runs) -> None:
    server = runs.run(searched([0.1, 0.2], evaluated=True))
    evaluated = [
        one.ml_command.evaluate.dataset.ml_relation.transform.input
        for one in server.asked if isinstance(one, pb.Command) and one.ml_command.HasField("evaluate")
    ]
    assert [one in told(server, "persist") for one in evaluated] == [True, True]


def test_questions_that_are_on_record_tell_what_will_be_asked_again(runs: Runs) -> None:
    runs.run(searched([0.1, 0.2]))
    server = runs.run(searched([0.1, 0.2, 0.3]))
    (only,) = data_of_fits(server)
    assert only == told(server, "persist")[-1]


@pytest.mark.parametrize("program", [
    pytest.param(searched([0.1, 0.2], kept=False), id="of a table that is not kept"),
    pytest.param(searched([0.1, 0.2], by_sql=True), id="behind SQL, which may move rows"),
    pytest.param(searched([0.1]), id="for one fit"),
])
def test_nothing_is_kept(runs: Runs, program: Program) -> None:
    assert not [one for one in told(runs.run(program), "persist") if one.HasField("ml_relation")]


def test_what_cannot_be_computed_as_a_whole_is_computed_for_each(runs: Runs) -> None:
    class Refuses(FakeServer):
        def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
            kept = [one for one in told(self, "persist")[1:] if one not in told(self, "unpersist")]
            if any(one in kept for one in data_of_fits(FakeServer(asked=[request.plan.command]))):
                raise _Refused
            return super().ExecutePlan(request, metadata)

    server = runs.run(searched([0.1, 0.2, 0.3]), server=Refuses())
    assert len(data_of_fits(server)) == 3
    assert len(told(server, "persist")) == 2
    assert runs.said == ["the input that several fits share is computed for each: a column divides by zero"]


class _Refused(grpc.RpcError):
    def details(self) -> str:
        return "a column divides by zero"


def fitted_and_let_go(steps: Sequence[float]) -> Program:
    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression

        for step in steps:
            LogisticRegression(regParam=step).fit(rows(spark))
            gc.collect()
    return program


def deleted(server: FakeServer) -> list[str]:
    commands = [one.ml_command for one in server.asked if isinstance(one, pb.Command)]
    return [ref.id for one in commands if one.WhichOneof("command") == "delete" for ref in one.delete.obj_refs]


def test_models_that_a_program_lets_go_are_held_until_they_are_stored(runs: Runs) -> None:
    assert not deleted(runs.run(fitted_and_let_go([0.1, 0.2, 0.3])))


def test_no_more_of_them_than_there_is_room_for(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_models, "MOST_UNSTORED", 1)
    server = runs.run(fitted_and_let_go([0.1, 0.2, 0.3, 0.4]))
    assert deleted(server) == server.models[:2]


def test_a_model_that_was_let_go_is_made_again_where_it_is_needed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models, "MOST_UNSTORED", 1)

    def program(spark: Any) -> None:
        from pyspark.ml.classification import LogisticRegression

        fitted_and_let_go([0.1, 0.2, 0.3, 0.4])(spark)
        LogisticRegression(regParam=0.1).fit(rows(spark)).transform(rows(spark)).collect()

    assert len(data_of_fits(runs.run(program))) == 5
