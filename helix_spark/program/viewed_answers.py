"""What a program has asked so far, as it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from helix_spark.answers.answering import AnsweredQuestion
from helix_spark.catalog.records import IterationRecord
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, is_fit, rows_of_program
from helix_spark.program.program_record import parts_before, parts_of_row, place_of, reasons_of
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.views.program_view import AnswerView, ProgramView, Tally


def view_of_program(program: PlainProgram, place: Callable[[AnsweredQuestion], str] = place_of) -> ProgramView:
    """Return what a program has asked so far.

    Args:
        place: names where a question was asked, for people.
    """
    record, rows = program.record, rows_of_program(program)
    reasons = reasons_of(rows, parts_before(program, last_ended(program.catalog, program.name)), record)
    asked = [] if program.answerer is None else program.answerer.asked

    def viewed(row: QuestionRow) -> AnswerView:
        one = row.asked
        on_record = 0.0 if record is None else record.seconds(one.question.identity)
        return AnswerView(
            row.name, one.caller.call, place(one), one.question.identity, one.fresh, reasons[row.name],
            one.seconds if one.fresh else on_record, _why_asked_again(one), row.inputs, parts_of_row(row),
        )

    return ProgramView(
        program.name, tuple(map(viewed, rows)), tuple(one.question.identity for one in asked),
        next((one.question.identity for one in asked if one.fresh), ""),
    )


def _why_asked_again(asked: AnsweredQuestion) -> str:
    """Return why another run asks Spark again; empty if it does not."""
    if asked.why or not asked.fresh or asked.answer or asked.left or asked.question.sort == "table":
        return asked.why
    return "it is done each time"


def run_text(program: PlainProgram, ended: IterationRecord) -> str:
    """Tell in a line how a recorded run went. It saved at most what an earlier run took: answers add up to more, where
    they were computed side by side."""
    assert program.answerer is not None
    assert program.record is not None
    tally = tally_of(program.answerer.asked, program.record)
    earlier = (one.seconds for one in program.catalog.iterations(program.name) if one.number < ended.number)
    tally = replace(tally, saved=min(tally.saved, max(filter(None, earlier), default=tally.saved)))
    return tally.run_text(
        ended.workflow, ended.number, ended.seconds or 0.0, ended.start_seconds or 0.0,
        interrupted=ended.status == "interrupted",
    )


def tally_of(asked: Sequence[AnsweredQuestion], record: RecordedAnswers) -> Tally:
    """How questions were answered."""
    found = {one.question.identity for one in asked}
    fresh = {one.question.identity: one for one in asked if one.fresh}
    saved = sum(record.seconds(identity) for identity in found - fresh.keys())
    return Tally(len(found), len(fresh), sum(is_fit(one.question.what) for one in fresh.values()), saved)
