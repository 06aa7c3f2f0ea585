"""An audit runs a program from scratch, writes nothing, and tells which answers came out different; those are not given
from the record any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyspark.sql.connect.proto as pb
import pytest

from helix_spark.answers.answering import Mode, NotAuditedError
from helix_spark.catalog.catalog import Catalog
from helix_spark.plans import current_program
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_audit import compare_answers
from helix_spark.program.program_record import record_run, tally_of
from helix_spark.run.recorded_answers import RecordedAnswers
from tests.fakes.connect_server import FakeServer

COUNTS = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.read.csv("rows.csv", header=True)
print(rows.count(), rows.collect())
rows.write.mode("overwrite").parquet("written")
"""
LASTS = COUNTS + "rows.write.saveAsTable('kept')\nprint(rows.where('a > 1').count())\n"

Run = Callable[..., PlainProgram]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program in one of the modes, beside a server that a run has to itself."""
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("a,b\n1,2\n")

    def run(text: str, mode: Mode = "run", server: FakeServer | None = None) -> PlainProgram:
        Path("train.py").write_text(text)
        catalog = Catalog.open("catalog", create=True)
        program = PlainProgram(Path("train.py"), [], catalog, {}, print, mode=mode)
        program.server = server or FakeServer()  # type: ignore[assignment]  # what it is asked here
        program.record = RecordedAnswers(catalog, program.name)
        try:
            program.run()
            if mode == "run":
                record_run(program, None)
        finally:
            program.session({}).stop()
            current_program.PROGRAMS.clear()
        return program
    return run


def drifted() -> FakeServer:
    """A server that answers with other numbers than the first."""
    return FakeServer(asked=[pb.Relation()] * 10)


def fresh(program: PlainProgram) -> int:
    assert program.answerer is not None
    assert program.record is not None
    return tally_of(program.answerer.answers, program.record).sent


def commands(program: PlainProgram) -> list[Any]:
    assert isinstance(program.server, FakeServer)
    return [one for one in program.server.asked if isinstance(one, pb.Command)]


def test_what_comes_out_the_same_is_verified_and_nothing_is_written(run: Run) -> None:
    assert len(commands(run(COUNTS))) == 1
    again = run(COUNTS, "audit")
    assert [one.verdict for one in compare_answers(again)] == ["verified", "verified"]
    assert not commands(again)


def test_what_comes_out_different_is_asked_each_time(run: Run) -> None:
    run(COUNTS)
    assert fresh(run(COUNTS)) == 1  # the write, whose place a fake leaves empty
    found = compare_answers(run(COUNTS, "audit", drifted()))
    assert [one.verdict for one in found] == ["different", "different"]
    assert "and" in found[0].why
    for _ in range(2):
        assert fresh(run(COUNTS)) == 3


PERSISTS = """
from pyspark.sql import SparkSession
rows = SparkSession.builder.getOrCreate().read.csv("rows.csv", header=True).persist()
print(rows.count(), rows.collect())
"""


def test_a_table_that_a_different_answer_was_made_from_is_doubted_too(run: Run) -> None:
    run(PERSISTS)
    again = run(PERSISTS, "audit", drifted())
    compare_answers(again)
    assert again.answerer is not None
    (table,) = again.answerer.served.tables
    assert table.question is not None
    record = RecordedAnswers(again.catalog, "train")
    assert record.doubt(table.question.identity)
    assert record.table(table.question.identity) is None


def test_an_audit_ends_before_what_lasts(run: Run) -> None:
    run(LASTS)
    with pytest.raises(NotAuditedError, match="that lasts"):
        run(LASTS, "audit")


def test_the_text_that_is_recorded_is_the_one_that_ran(run: Run) -> None:
    saved_meanwhile = "from pathlib import Path\nPath('train.py').write_text('saved = True')\n"
    program = run(COUNTS + saved_meanwhile)
    (ended,) = program.catalog.iterations("train")
    assert program.catalog.file_text(ended.file_digest) == COUNTS + saved_meanwhile
