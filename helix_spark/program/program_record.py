"""Records a run of a program: its answers, its iteration with a node a question, and the models it fitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from helix_spark.answers.questions import AnsweredQuestion, form_of
from helix_spark.answers.sent_requests import fitted_class, ml_command
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import IterationRecord, NodeRecord
from helix_spark.history.edit_message import edit_message
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.source_rows import source_rows
from helix_spark.history.states import noted_unproven, unproven_in
from helix_spark.history.value_text import titled
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import answer_of_text
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import is_metric, nodes_of, place_of, rows_of, rows_of_program
from helix_spark.program.served_results import cards_of_fits, keep_results
from helix_spark.run.expiry import Expiry
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.run.recording import record_end
from helix_spark.views.program_view import AnswerView, ProgramView, Tally


def record_run(program: PlainProgram, error: BaseException | None) -> IterationRecord | None:
    """Record a run that has ended, and store results; return its iteration, None if it asked Spark nothing."""
    answerer = program.answerer
    if answerer is None:
        return None
    if program.begun is not None and program.begun.status != "running":  # an interrupt came while results were stored
        return program.begun
    seconds, catalog = time.perf_counter() - program.began, program.catalog
    last = last_ended(catalog, program.name)
    begun = program.begun_iteration()
    # An interrupted run must end at once; after an edit the next run can use this one's results.
    to_keep = not isinstance(error, KeyboardInterrupt)
    try:
        rows = rows_of_program(program)
        values = _evaluated(rows, program.record)
        _record_answers(answerer.answers, program, begun.number)
        answerer.served.is_over = True
        nodes = [replace(node, run=begun.run, iteration=begun.number) for node in nodes_of(rows, program)]
        failure = None if isinstance(error, SystemExit) and error.code in (None, 0) else error
        fits, cards = cards_of_fits(rows, program, begun.number) if to_keep else ([], [])
        ended = record_end(
            catalog, begun, program.provenance, failure, nodes, fits, texts=cards, seconds=seconds,
            start_seconds=program.server.start_seconds if program.server is not None else 0.0,
            outputs={
                row.name: values[row.name] for row in rows
                if row.name in values and is_metric(row.question, row.caller)
            },
            notes={
                "edit": _edit(last, program, begun, nodes) if failure is None else "", "evaluated": values,
                "unproven": unproven_in(nodes, catalog),
            },
        )
        catalog.sync()
        program.begun = ended
        if to_keep:
            keep_results(rows, program, ended.number, has_ended=True)
            if message := Expiry(program.iterations, program.days).expire(catalog):
                program.tell(message)
    finally:
        catalog.forget_progress(begun.workflow, begun.number)
        catalog.leases.release(begun.run)
    return ended


def keep_answers(program: PlainProgram, asked: Sequence[AnsweredQuestion]) -> None:
    """Record some answers of a running program, and store the models that were fitted for them."""
    if not any(answer.fresh for answer in asked):
        return
    assert program.answerer is not None
    number = program.begun_iteration().number
    rows = rows_of(asked, program.answerer.served.tables)
    _record_answers(asked, program, number)
    program.catalog.append_results(*cards_of_fits(rows, program, number))
    keep_results(rows, program, number, has_ended=False)


def _edit(
    last: IterationRecord | None, program: PlainProgram, begun: IterationRecord, nodes: Sequence[NodeRecord]
) -> str:
    """Describe the edit before a run by the differences of the author's calls."""
    if last is None or last.status != "done":
        return ""
    old, new = (
        [row for row in source_rows(side) if row.kind != "table"] for side in (program.catalog.nodes(last), nodes)
    )
    places = {row.name: titled("", row.code).strip() for row in (*old, *new)}
    old, new = ([replace(row, inputs=(), code="") for row in side] for side in (old, new))
    return edit_message(last, old, mapping(begun.parameters), new, places)


def _record_answers(asked: Sequence[AnsweredQuestion], program: PlainProgram, number: int) -> None:
    """Record answers, and the observed reads of Python functions."""
    assert program.answerer is not None
    answers = ((answer.identity, answer) for answer in (*program.answerer.analyses.take(), *asked))
    program.record.append(number, answers, reads=program.watched.learned())


def _evaluated(rows: Sequence[AnsweredQuestion], record: RecordedAnswers) -> dict[str, Any]:
    """Return the values of evaluators, in the author's calls and in searches, by name."""
    from pyspark.ml.connect.serialize import deserialize_param

    values: dict[str, Any] = {}
    for row in rows:
        if (command := ml_command(row.question.message)) is None or not command.HasField("evaluate"):
            continue
        text = row.answer or record.answer(row.identity) or ""
        with suppress(StrangeAnswerError):
            for answer in answer_of_text(form_of(row.question), text) if text else ():
                values[row.name] = deserialize_param(answer.ml_command_result.param)
    return values


def view_of_program(program: PlainProgram, place: Callable[[AnsweredQuestion], str] = place_of) -> ProgramView:
    """Return the view of a program's questions so far; `place` returns the line of a question, as text."""
    rows, asked = rows_of_program(program), [] if program.answerer is None else program.answerer.answers

    def view(row: AnsweredQuestion, node: NodeRecord) -> AnswerView:
        is_kept = row.why or row.answer or row.left or row.kind == "table" or not row.fresh
        resend_reason = row.why if is_kept else "each run sends it"
        return AnswerView(replace(node, code=place(row)), row.caller.call, resend_reason)

    return ProgramView(
        program.name, tuple(map(view, rows, nodes_of(rows, program))), tuple(answer.identity for answer in asked),
        next((answer.identity for answer in asked if answer.fresh), ""),
    )


def run_text(program: PlainProgram, ended: IterationRecord) -> str:
    """Summarize a recorded run in a line. It saved at most the seconds of an earlier run."""
    assert program.answerer is not None
    tally = tally_of(program.answerer.answers, program.record)
    iterations = program.catalog.iterations(program.name)
    earlier = (iteration.seconds for iteration in iterations if iteration.number < ended.number)
    saved = min(tally.saved_seconds, max(filter(None, earlier), default=tally.saved_seconds))
    tally = replace(tally, saved_seconds=saved)
    return tally.run_text(
        ended.workflow, ended.number, ended.seconds or 0.0, ended.start_seconds or 0.0,
        interrupted=ended.status == "interrupted", unproven=len(noted_unproven(ended)),
    )


def tally_of(asked: Sequence[AnsweredQuestion], record: RecordedAnswers) -> Tally:
    """Count the questions of a run, and those that Spark answered."""
    identities = {answer.identity for answer in asked}
    fresh = {answer.identity: answer.question for answer in asked if answer.fresh}
    saved = sum(record.seconds(identity) for identity in identities - fresh.keys())
    return Tally(len(identities), len(fresh), sum(bool(fitted_class(one.message)) for one in fresh.values()), saved)
