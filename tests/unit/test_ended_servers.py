"""A server whose JVM has ended: requests fail at once, and another server takes its place where that can be."""

from __future__ import annotations

from typing import Any

import grpc
import pyspark.sql.connect.proto as pb
import pytest
from pyspark.errors.exceptions.connect import SparkConnectGrpcException

from helix_spark.answers.sent_requests import server_ended
from helix_spark.engine.spark.gateway import first_line
from helix_spark.errors import ServerEndedError
from tests.fakes.connect_server import EvictedError, FakeServer, commands
from tests.fakes.programs import Program, Runs, rows

KILLED = "was killed by signal 9"


def killed_between(before: Program, after: Any) -> tuple[Program, FakeServer]:
    """A program whose server is killed between two questions, and that server."""
    server = FakeServer()

    def program(spark: Any) -> Any:
        made = before(spark)
        server.ended = KILLED
        return after(spark, made)

    return program, server


def fit_rows(table: Any) -> Any:
    from pyspark.ml.classification import LogisticRegression

    return LogisticRegression().fit(table)


def fit(spark: Any) -> Any:
    spark.conf.set("spark.sql.ansi.enabled", "false")
    rows(spark).createOrReplaceTempView("v")
    return fit_rows(rows(spark))


def test_another_server_is_told_what_the_session_holds_and_makes_models_again(runs: Runs) -> None:
    program, server = killed_between(fit, lambda spark, model: model.transform(spark.table("v")).count())
    runs.run(program, server=server)
    assert commands(server) == ["fit"]
    told = [one.WhichOneof("op_type") for one in server.asked if isinstance(one, pb.ConfigRequest.Operation)]
    assert told == ["set"]
    assert any(isinstance(one, pb.Command) and one.HasField("create_dataframe_view") for one in server.asked)
    (said,) = [line for line in runs.said if KILLED in line]
    assert "another one is started" in said


def test_another_server_is_told_what_was_set_while_the_first_one_ran(runs: Runs) -> None:
    def set_late(spark: Any) -> None:
        rows(spark).count()
        spark.conf.set("spark.sql.ansi.enabled", "false")

    program, server = killed_between(set_late, lambda spark, _: rows(spark).filter("a > 1").count())
    runs.run(program, server=server)
    assert [one.WhichOneof("op_type") for one in server.asked if isinstance(one, pb.ConfigRequest.Operation)] == ["set"]


def test_a_server_that_nothing_more_is_asked_of_is_not_replaced(runs: Runs) -> None:
    program, server = killed_between(fit, lambda spark, model: None)
    runs.run(program, server=server)
    assert server.ended == KILLED
    assert runs.said == []


@pytest.mark.parametrize(("before", "lost"), [
    (lambda spark: spark.sql("CREATE TABLE t (a INT)"), "the effects of a statement of SQL"),
    (lambda spark: fit_rows(spark.range(9).selectExpr("uuid()")), "a nondeterministic result"),
])
def test_what_cannot_be_had_again_is_named(runs: Runs, before: Program, lost: str) -> None:
    program, server = killed_between(before, lambda spark, _: rows(spark).count())
    with pytest.raises(ServerEndedError, match=f"{KILLED}, which lost {lost}"):
        runs.run(program, server=server)


def test_after_the_end_of_the_program_no_server_is_started(runs: Runs) -> None:
    server = FakeServer()
    runs.run(fit, server=server)
    server.ended, runs.answerer.served.is_over = KILLED, True
    with pytest.raises(ServerEndedError, match=KILLED):
        runs.answerer.served.stub()


class Dying(FakeServer):
    """A server that dies of the first query, and whose successor answers."""

    died: int = 0

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        writes = request.plan.command.HasField("write_operation")
        if not self.died and (writes or request.plan.HasField("root")):
            self.died, self.ended = 1, KILLED
            raise server_ended(KILLED)
        return super().ExecutePlan(request, metadata)


def test_a_question_that_a_server_died_of_is_asked_of_another_one(runs: Runs) -> None:
    runs.run(lambda spark: rows(spark).count(), server=Dying())
    assert runs.returned, "it is answered"
    assert [line for line in runs.said if "another one is started" in line]


class DeadBefore(FakeServer):
    """A server that was killed before its first command, and whose successor answers."""

    died: int = 0

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        if not self.died:
            self.died, self.ended = 1, KILLED
            raise server_ended(KILLED)
        return super().ExecutePlan(request, metadata)


def count_in_view(spark: Any) -> int:
    rows(spark).createOrReplaceTempView("v")
    return int(spark.table("v").count())


def test_a_server_that_dies_before_it_knows_the_session_is_replaced(runs: Runs) -> None:
    runs.run(count_in_view)
    server = DeadBefore()
    runs.run(lambda spark: (count_in_view(spark), spark.table("v").filter("a > 1").count()), server=server)
    assert server.died
    assert runs.returned, "it is answered"
    assert [line for line in runs.said if "another one is started" in line]


def test_a_write_that_a_server_died_of_is_not_repeated(runs: Runs) -> None:
    with pytest.raises(ServerEndedError, match=KILLED):
        runs.run(lambda spark: rows(spark).write.csv("written"), server=Dying())


class Unreachable(FakeServer):
    """A server elsewhere whose connection breaks."""

    def ExecutePlan(self, request: Any, metadata: Any = None) -> Any:  # noqa: N802 - the service calls it so
        class Broken(grpc.RpcError):  # type: ignore[misc]  # grpc is without types
            def code(self) -> Any:
                return grpc.StatusCode.UNAVAILABLE

            def details(self) -> str:
                return "connection refused"

            def trailing_metadata(self) -> None:
                """Nothing."""

        self.asked.append(request)
        raise Broken


def test_a_request_that_fails_is_not_sent_again(runs: Runs) -> None:
    server = Unreachable()
    with pytest.raises(SparkConnectGrpcException):
        runs.run(lambda spark: rows(spark).count(), server=server)
    assert sum(isinstance(one, pb.ExecutePlanRequest) for one in server.asked) == 1


def test_what_a_server_refuses_is_told_in_its_own_words() -> None:
    assert first_line(EvictedError()) == EvictedError().details()
    assert first_line(ValueError("\nno rows\nat line 3")) == "no rows"
