"""Recorded answers are what was written, whole, and read within bounds."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StructType

from helix_spark.catalog import known_results
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.known_results import AnswerLedger
from helix_spark.catalog.records import AnswerRecord
from helix_spark.catalog.segments.segment import SegmentFolder
from helix_spark.catalog.verification import verify
from helix_spark.plans.answer_gate import AnswerForm, rows_answered, text_of_answer
from helix_spark.run import recorded_answers
from helix_spark.run.recorded_answers import RecordedAnswers

COLUMNS = StructType().add("a", LongType())


def question(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def record(number: int, **changes: Any) -> AnswerRecord:
    answer = rows_answered(COLUMNS, pa.table({"a": [number]}))
    text = text_of_answer(AnswerForm("execute", "arrow_batch"), answer)
    return replace(AnswerRecord(question(number), "job", 1, 10.0, 0.5, text), **changes)


def written(catalog: Catalog, one: AnswerRecord) -> None:
    """Put a record there past the ledger, which would give it a digest."""
    catalog._records.append([one])


def told(catalog: Catalog) -> tuple[RecordedAnswers, list[str]]:
    said: list[str] = []
    return RecordedAnswers(catalog, "job", tell=said.append), said


def test_an_answer_is_found_again(catalog: Catalog) -> None:
    catalog.answers.append([record(1), record(2)])
    known, said = told(catalog)
    assert known.answer(question(1)) == record(1).answer
    assert known.seconds(question(2)) == 0.5
    assert known.answer(question(3)) is None
    assert not said
    assert verify(catalog, deep=False).sound


CHANGES: dict[str, Any] = {
    "question": question(2), "workflow": "jpb", "iteration": 3, "at": 10.5, "seconds": 0.25,
    "answer": record(2).answer, "left": question(4), "doubt": "x", "reads": '{"drew": true}',
    "needs_classic": "a.py:1 uses an RDD, which only a classic session has",
    "builds": '{"seen": {}, "nodes": {}}',
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_is_seen(catalog: Catalog, name: str) -> None:
    honest = record(1)
    written(catalog, replace(honest, **{name: CHANGES[name]}, digest=honest.content_digest()))
    known, said = told(catalog)
    asked = question(2) if name == "question" else question(1)
    assert (known.answer(asked), known.left(asked), known.doubt(asked)) == (None, None, "")
    assert len(said) == 1
    found = verify(Catalog.open(catalog.root, create=False), deep=False)
    assert not found.sound
    assert "digest" in found.rejections[0]


def test_every_field_has_its_change() -> None:
    assert {*CHANGES, "digest"} == {one.name for one in fields(AnswerRecord)}


def test_each_changed_letter_of_an_answer_is_seen(catalog: Catalog) -> None:
    honest = replace(record(1), digest=record(1).content_digest())
    for at, letter in enumerate(honest.answer):
        other = "A" if letter != "A" else "B"
        changed = replace(honest, answer=honest.answer[:at] + other + honest.answer[at + 1:])
        assert catalog.answers.sound(changed) is None


def test_answers_that_do_not_fit_take_one_line_of_a_run(catalog: Catalog) -> None:
    for number in range(5):
        written(catalog, replace(record(number), digest="0" * 64))
    known, said = told(catalog)
    assert [known.answer(question(number)) for number in range(5)] == [None] * 5
    assert len(said) == 1
    assert "helix verify" in said[0]


def test_a_fresh_answer_takes_the_place_of_one_that_does_not_fit(catalog: Catalog) -> None:
    written(catalog, replace(record(1), digest="0" * 64))
    catalog.answers.append([record(1)])
    known, said = told(catalog)
    assert known.answer(question(1))
    assert not said
    assert verify(catalog, deep=False).sound


def test_a_doubt_is_no_answer(catalog: Catalog) -> None:
    catalog.answers.append([record(1), record(1, answer="", doubt="it came out different")])
    known, _ = told(catalog)
    assert known.answer(question(1)) is None
    assert known.doubt(question(1)) == "it came out different"


def test_an_answer_that_is_none_is_found_by_who_verifies(catalog: Catalog) -> None:
    catalog.answers.append([record(1, answer="AAAA")])
    assert "the answer to" in verify(catalog, deep=False).rejections[0]


def test_a_run_holds_no_more_than_so_many_bytes_of_texts(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(record(1).answer)
    monkeypatch.setattr(recorded_answers, "KEPT_BYTES", 3 * size)
    for number in range(10):
        catalog.answers.append([record(number)])
    known, said = told(catalog)
    for _ in range(2):
        assert [known.answer(question(number)) for number in range(10)] == [
            record(number).answer for number in range(10)
        ]
    assert sum(len(one.answer) for one in known._kept.values() if one is not None) == 3 * size
    assert known.seconds(question(9)) == 0.5
    assert not said


def test_a_run_reads_each_record_once_and_looks_at_files_before_the_first(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.answers.append([record(1), record(2)])
    Catalog.open(catalog.root, create=False).answers.append([record(3)])
    reads = list[tuple[str, bool]]()
    newest = AnswerLedger.newest

    def counted(self: AnswerLedger, asked: str, *, is_fresh: bool = True) -> AnswerRecord | None:
        reads.append((asked, is_fresh))
        return newest(self, asked, is_fresh=is_fresh)

    monkeypatch.setattr(AnswerLedger, "newest", counted)
    known, _ = told(catalog)
    for _ in range(2):
        assert [known.answer(question(number)) for number in (3, 1, 4)] == [record(3).answer, record(1).answer, None]
        assert not known.is_kept(question(4))
    assert reads == [(question(3), True), (question(1), False), (question(4), False)]


def test_an_answer_of_another_workflow_is_found(catalog: Catalog) -> None:
    catalog.answers.append([record(1, workflow="copied", iteration=7)])
    assert told(catalog)[0].answer(question(1)) == record(1).answer


def test_of_several_answers_the_newest_counts(catalog: Catalog) -> None:
    catalog.answers.append([record(1, seconds=1.0), record(1, seconds=2.0)])
    Catalog.open(catalog.root, create=False).answers.append([record(1, seconds=3.0, at=0.0)])
    assert told(catalog)[0].seconds(question(1)) == 3.0
    assert [one.seconds for one in catalog.answers.records()] == [3.0]


def test_large_answers_are_appended_in_several_segments(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_results, "SEGMENT_BYTES", 3 * len(record(1).answer))
    catalog.answers.append([record(number) for number in range(10)])
    files = SegmentFolder(catalog.root / "records").files()
    assert [len(list(segment.rows)) for file in files for segment in file.segments()] == [3, 3, 3, 1]
    assert {one.question for one in catalog.answers.records()} == {question(number) for number in range(10)}
