"""Puts a run of a program on record: its answers, its iteration with a node a question, and the models it fitted."""

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
    """Record a run that has ended, and store what is worth it; return its iteration, None if it asked Spark nothing."""
    answerer = program.answerer
    if answerer is None:
        return None
    if program.begun is not None and program.begun.status != "running":  # an interrupt came while results were stored
        return program.begun
    seconds, catalog = time.perf_counter() - program.began, program.catalog
    last = last_ended(catalog, program.name)
    begun = program.begun_iteration()
    # A person who interrupts a run wants it to end; after a save the next run can use what this one made.
    to_keep = not isinstance(error, KeyboardInterrupt)
    try:
        rows = rows_of_program(program)
        values = _evaluated(rows, program.record)
        _record_answers(answerer.asked, program, begun.number)
        answerer.served.is_over = True
        nodes = [replace(one, run=begun.run, iteration=begun.number) for one in nodes_of(rows, program)]
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
            if what := Expiry(program.iterations, program.days).expire(catalog):
                program.tell(what)
    finally:
        catalog.forget_progress(begun.workflow, begun.number)
        catalog.leases.release(begun.run)
    return ended


def keep_answers(program: PlainProgram, asked: Sequence[AnsweredQuestion]) -> None:
    """Record some answers of a program that goes on, and store the models that were fitted for them."""
    if not any(one.fresh for one in asked):
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
    """Return what the edit before a run was: what differs in calls of the author's."""
    if last is None or last.status != "done":
        return ""
    old, new = (
        [one for one in source_rows(all_of) if one.kind != "table"] for all_of in (program.catalog.nodes(last), nodes)
    )
    places = {one.name: titled("", one.code).strip() for one in (*old, *new)}
    old, new = ([replace(one, inputs=(), code="") for one in side] for side in (old, new))
    return edit_message(last, old, mapping(begun.parameters), new, places)


def _record_answers(asked: Sequence[AnsweredQuestion], program: PlainProgram, number: int) -> None:
    """Record answers, and what Python functions were seen to read for them."""
    assert program.answerer is not None
    found = ((one.identity, one) for one in (*program.answerer.analyses.take(), *asked))
    program.record.append(number, found, reads=program.watched.learned())


def _evaluated(rows: Sequence[AnsweredQuestion], record: RecordedAnswers) -> dict[str, Any]:
    """Return what evaluators gave, of the author's calls and of searches, by name."""
    from pyspark.ml.connect.serialize import deserialize_param

    found: dict[str, Any] = {}
    for row in rows:
        if (command := ml_command(row.question.what)) is None or not command.HasField("evaluate"):
            continue
        text = row.answer or record.answer(row.identity) or ""
        with suppress(StrangeAnswerError):
            for answer in answer_of_text(form_of(row.question), text) if text else ():
                found[row.name] = deserialize_param(answer.ml_command_result.param)
    return found


def view_of_program(program: PlainProgram, place: Callable[[AnsweredQuestion], str] = place_of) -> ProgramView:
    """Return what a program has asked so far; `place` names where a question was asked, for people."""
    rows, asked = rows_of_program(program), [] if program.answerer is None else program.answerer.asked

    def viewed(row: AnsweredQuestion, node: NodeRecord) -> AnswerView:
        is_kept = row.why or row.answer or row.left or row.kind == "table" or not row.fresh
        again = row.why if is_kept else "it is done each time"
        return AnswerView(replace(node, code=place(row)), row.caller.call, again)

    return ProgramView(
        program.name, tuple(map(viewed, rows, nodes_of(rows, program))), tuple(one.identity for one in asked),
        next((one.identity for one in asked if one.fresh), ""),
    )


def run_text(program: PlainProgram, ended: IterationRecord) -> str:
    """Tell in a line how a recorded run went. It saved at most what an earlier run took."""
    assert program.answerer is not None
    tally = tally_of(program.answerer.asked, program.record)
    earlier = (one.seconds for one in program.catalog.iterations(program.name) if one.number < ended.number)
    tally = replace(tally, saved=min(tally.saved, max(filter(None, earlier), default=tally.saved)))
    return tally.run_text(
        ended.workflow, ended.number, ended.seconds or 0.0, ended.start_seconds or 0.0,
        interrupted=ended.status == "interrupted", unproven=len(noted_unproven(ended)),
    )


def tally_of(asked: Sequence[AnsweredQuestion], record: RecordedAnswers) -> Tally:
    """Count how questions were answered."""
    found = {one.identity for one in asked}
    fresh = {one.identity: one for one in asked if one.fresh}
    saved = sum(record.seconds(identity) for identity in found - fresh.keys())
    return Tally(len(found), len(fresh), sum(bool(fitted_class(one.question.what)) for one in fresh.values()), saved)
