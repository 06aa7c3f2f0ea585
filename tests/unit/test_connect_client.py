"""Calls of functions by PySpark's Connect client: what they are to the rest of the process, and where there is none."""

from __future__ import annotations

import logging
import sys
import threading

import pyspark.sql
import pytest
from pyspark.sql import functions as F

from helix_spark.answers.function_calls import begin, capture
from helix_spark.answers.served_session import UnansweredError
from helix_spark.errors import SetupError
from helix_spark.plans import connect_session
from helix_spark.plans.captured_function import CallInputs
from helix_spark.plans.replaced_in_pyspark import keep_errors_out_of_logs


def test_only_a_call_and_its_threads_build_plans_for_the_client() -> None:
    capture(lambda rows: rows.limit(1), CallInputs({"rows": "table"}, {}))  # an action before it changes nothing
    call, going, seen = begin(CallInputs({}, {})), threading.Event(), dict[str, bool]()

    def look(who: str) -> None:
        going.wait(10)
        seen[who] = pyspark.sql.is_remote()

    other = threading.Thread(target=look, args=["another thread"])
    other.start()
    with call.under_way():
        own = threading.Thread(target=look, args=["a thread of the call"])
        own.start()
        going.set()
        own.join()
        other.join()
        assert type(F.col("a")).__module__ == "pyspark.sql.connect.column"
    assert seen == {"a thread of the call": True, "another thread": False}
    assert not pyspark.sql.is_remote()


def test_a_question_is_noted_whoever_catches_its_error() -> None:
    call = begin(CallInputs({}, {}))
    with call.under_way(), pytest.raises(UnansweredError):
        call.session({}).range(3).count()
    assert call.unanswered() == "rows"


def test_a_client_that_cannot_be_imported_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql.connect.session", None)
    with pytest.raises(SetupError, match="Connect client") as found:
        connect_session.prepare.__wrapped__()
    assert "pyspark[connect]" in str(found.value)


def test_errors_of_queries_are_not_logged_unless_the_author_wants_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.logger import PySparkLogger

    name, other = "SQLQueryContextLogger", "DataFrameQueryContextLogger"
    for one in (name, other):
        monkeypatch.delitem(logging.Logger.manager.loggerDict, one, raising=False)
    own = PySparkLogger.getLogger(other)
    keep_errors_out_of_logs()
    PySparkLogger.getLogger(name).exception("malformed", errorClass="CAST_INVALID_INPUT")
    assert capfd.readouterr().err == ""
    PySparkLogger.getLogger(name).addHandler(logging.StreamHandler())
    PySparkLogger.getLogger(name).exception("malformed", errorClass="CAST_INVALID_INPUT")
    assert "CAST_INVALID_INPUT" in capfd.readouterr().err
    assert [type(one) for one in own.handlers] == [logging.StreamHandler], "the author had set it up before"
