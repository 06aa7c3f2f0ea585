"""PySpark's Connect client, recording: what it is to the rest of the process, and where it cannot be had."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
from pyspark.sql import functions as F
from pyspark.sql import is_remote

from helix_spark.capture import connect_client
from helix_spark.capture.connect_client import recording
from helix_spark.capture.recorded_call import QuestionError, Recording
from helix_spark.capture.replaced_in_pyspark import keep_errors_out_of_logs
from helix_spark.errors import SetupError


def test_only_the_thread_that_records_builds_plans_for_the_client() -> None:
    elsewhere: list[bool] = []
    with recording(Recording()):
        other = threading.Thread(target=lambda: elsewhere.append(is_remote()))
        other.start()
        other.join()
        assert type(F.col("a")).__module__ == "pyspark.sql.connect.column"
    assert elsewhere == [False]
    assert not is_remote()


def test_a_question_is_noted_whoever_catches_its_error() -> None:
    into = Recording()
    with recording(into) as session, pytest.raises(QuestionError):
        session.range(3).count()
    assert into.questions == ["rows"]


def test_a_client_that_cannot_be_imported_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql.connect.session", None)
    with pytest.raises(SetupError, match="Connect client") as found:
        connect_client._made.__wrapped__()
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
