"""Puts a run of a program on record: its answers, its iteration with a node a question, and the models it fitted."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import Any

from helix_spark.answers.answer_forms import form_of
from helix_spark.answers.questions import AnsweredQuestion, ml_command
from helix_spark.answers.watched_functions import reads_of
from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.records import AnswerRecord, IterationRecord, NodeRecord
from helix_spark.errors import Location
from helix_spark.history.edit_message import edit_message
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.source_rows import call_of, line_name, merged_parts, names_of_lines, source_rows
from helix_spark.history.value_text import titled
from helix_spark.identity.difference import Change, changes, parts_from_json, parts_to_json
from helix_spark.identity.parts import Group, Part, digest
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_texts import answer_of_text
from helix_spark.plans.plan_messages import messages, sort_of
from helix_spark.plans.plan_words import lines_of
from helix_spark.program.keeping_results import keep_cards, keep_results, retention_of
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import (
    QuestionRow,
    is_fit,
    is_metric,
    kind_of,
    params_of,
    rows_of,
    rows_of_program,
)
from helix_spark.run.provenance import Provenance
from helix_spark.run.recorded_answers import RecordedAnswers
from helix_spark.run.recording import ending_of, record_end, with_ending
from helix_spark.views.program_view import AnswerView, ProgramView, Tally
from helix_spark.visible_text import LONGEST_NAME


def record_run(program: PlainProgram, error: BaseException | None) -> IterationRecord | None:
    """Record a run that has ended, and return its iteration; None if it asked Spark nothing.

    Args:
        error: what ended it, if something did.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    answerer, record = program.answerer, program.record
    if answerer is None or record is None:
        return None
    seconds = time.perf_counter() - program.began
    catalog = program.catalog
    last = last_ended(catalog, program.name)
    before = parts_before(program, last)
    begun = program.begun_iteration()
    try:
        provenance = Provenance.read(Location(str(program.path), 1))
        rows = rows_of_program(program)
        retention = cache(partial(retention_of, rows, program, begun.number))
        values = _evaluated(rows, record)
        catalog.answers.append(_answers(answerer.asked, program, begun.number))
        status, text = ending_of(None if _is_exit(error) else error)
        ended = provenance.stamped(replace(
            begun, seconds=seconds, status=status, error=text[:10_000],
            outputs=json.dumps({
                row.name: values[row.name] for row in rows
                if row.name in values and is_metric(row.asked.question, row.asked.caller)
            }),
            start_seconds=program.server.start_seconds or None if program.server is not None else None,
        ))
        if ended.status == "interrupted":  # at once: whoever interrupted it may not wait for what follows
            catalog.append_iteration(ended)
        # A person who interrupts a run wants it to end; after a save the next run can use what this one made.
        to_keep = not isinstance(error, KeyboardInterrupt)
        answerer.served.is_over = True
        kept = keep_results(rows, program, retention) if to_keep else {}
        reasons = reasons_of(rows, before)
        nodes = [_node(row, ended, program, reasons[row.name], kept.get(row.name)) for row in rows]
        edit = _edit(last, program, ended, nodes)
        ended = replace(ended, plan=with_ending(ended.plan, edit, {}, {"evaluated": values}))
        cards = keep_cards(rows, program, ended.number) if to_keep else ()
        record_end(catalog, ended, nodes, cards, [provenance.file_record()])
        if to_keep and any(row.asked.fresh for row in rows):  # an unchanged run adds little, and ends at once
            retention().tidy()
        catalog.sync()
    finally:
        catalog.forget_progress(begun.workflow, begun.number)
        catalog.leases.release(begun.run)
    return ended


def _edit(
    last: IterationRecord | None, program: PlainProgram, ended: IterationRecord, nodes: Sequence[NodeRecord]
) -> str:
    """Return what the edit before a run was: what differs in calls of the author's."""
    if last is None or last.status != "done" or ended.status != "done":
        return ""
    old, new = (
        [one for one in source_rows(all_of) if one.kind != "table"] for all_of in (program.catalog.nodes(last), nodes)
    )
    places = {one.name: titled("", one.code).strip() for one in (*old, *new)}
    old, new = ([replace(one, inputs=(), code="") for one in side] for side in (old, new))
    return edit_message(last, old, mapping(ended.parameters), new, places)


def keep_answers(program: PlainProgram, asked: Sequence[AnsweredQuestion]) -> None:
    """Record some answers of a program that goes on, and store the models that were fitted for them.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    if not any(one.fresh for one in asked):
        return
    assert program.answerer is not None
    number = program.begun_iteration().number
    rows = rows_of(asked, program.answerer.served.tables)
    program.catalog.answers.append(_answers(asked, program, number))
    keep_results(rows, program, partial(retention_of, rows, program, number))
    program.catalog.append_results(keep_cards(rows, program, number))
    program.catalog.sync()


def _is_exit(error: BaseException | None) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _answers(asked: Sequence[AnsweredQuestion], program: PlainProgram, number: int) -> list[AnswerRecord]:
    """Return what is put on record: the answers, and what Python functions were seen to read for them."""
    now = time.time()
    learned = program.watched.learned() if program.watched is not None else ()
    analyses = program.answerer.analyses.take() if program.answerer is not None else ()
    return [
        *(
            AnswerRecord(one.question.identity, program.name, number, now, one.seconds, one.answer or "", one.left)
            for one in (*analyses, *asked) if one.answer or one.left
        ),
        *(AnswerRecord(reads_of(code), program.name, number, now, reads=text) for code, text in learned),
    ]


def _node(
    row: QuestionRow, ended: IterationRecord, program: PlainProgram, reason: str, stored: int | None,
) -> NodeRecord:
    asked, question = row.asked, row.asked.question
    assert program.record is not None
    return NodeRecord(
        run=ended.run, workflow=ended.workflow, iteration=ended.number, name=row.name[:LONGEST_NAME],
        kind=kind_of(question),
        inputs=tuple(name[:LONGEST_NAME] for name in row.inputs),
        state="compute" if asked.fresh else "load", reason=reason, declared=question.identity,
        signature=question.identity, parts=parts_to_json(parts_of_row(row)), code=place_of(asked),
        seconds=asked.seconds, predicted_seconds=program.record.seconds(question.identity) or None,
        bytes=stored, stored=not asked.fresh or stored is not None,
        output=question.sort == "rows", started=max(0.0, asked.started - program.began),
    )


def parts_before(program: PlainProgram, last: IterationRecord | None) -> dict[str, tuple[Part, ...]]:
    """Return what the lines of the program's last iteration were made of, by name."""
    nodes = () if last is None else program.catalog.nodes(last)
    return {node.name: parts_from_json(node.parts) for node in source_rows(nodes)}


def reasons_of(rows: Sequence[QuestionRow], before: Mapping[str, tuple[Part, ...]]) -> dict[str, str]:
    """Return why each question was asked of Spark, or not, by name; edits are told of the line.

    Args:
        before: see `parts_before`.
    """
    parts = {row.name: parts_of_row(row) for row in rows}
    lines: defaultdict[tuple[str, str], list[QuestionRow]] = defaultdict(list)
    for row in rows:
        lines[line_name(row.name), place_of(row.asked)].append(row)
    names = names_of_lines((*line, min(one.asked.started for one in of)) for line, of in lines.items())
    found: dict[str, str] = {}
    for line, of in lines.items():
        # Tables are there only where they were computed, so they do not show what changed.
        asked = [row for row in of if row.asked.question.sort != "table"] or of
        old, every = before.get(names[line]), [parts[row.name] for row in asked]
        new = every[0] if len(every) == 1 else merged_parts(every)
        differing = None if old is None else changes(old, new)
        found |= {row.name: _reason(row, differing, parts[row.name]) for row in of}
    return found


def _reason(row: QuestionRow, of_line: Sequence[Change] | None, parts: Sequence[Part]) -> str:
    asked = row.asked
    if not asked.fresh:
        return _FOUND.get(asked.question.sort, "its answer is on record")
    if asked.why:
        return asked.why
    if of_line is None:
        return "it was not asked before"
    own = {one.shown for one in parts if one.group is Group.PARAMETER}
    found = [
        one for one in of_line
        if (one.group is not Group.PLAN or one.before != one.after)
        and (not one.label.startswith("grid value") or one.after in own)
    ]
    told = [one for one in found if one.group is not Group.INPUT]
    if found and not told:
        return "a model that it uses is another one"
    if told:
        return "; ".join(map(str, told))
    return _LOST.get(asked.question.sort, "its answer is not kept")


_LOST = {"table": "it is not stored"}
_FOUND = {"effect": "the same was written there before, and lies there still", "table": "it is stored"}


def place_of(asked: AnsweredQuestion) -> str:
    """Return the author's line that asks a question, as ``FILE:LINE``; empty where none is known."""
    return f"{asked.caller.file}:{asked.caller.line}" if asked.caller.file else ""


def parts_of_row(row: QuestionRow) -> tuple[Part, ...]:
    """Return the parts of a question, to compare two runs by."""
    return tuple(_parts(row))


def _parts(row: QuestionRow) -> Iterator[Part]:
    question = row.asked.question
    said = [str(line) for one in _relations(question.what) for line in lines_of(one)]
    code = tuple(dict.fromkeys(one for one, _ in question.code))
    text, given = "\n".join(said), sorted(params_of(question.what))
    # Where others tell what is not in the words of the plan, these alone say whether it changed.
    told_apart = bool(code or given or question.handles)
    yield Part(Group.PLAN, row.name, digest(text) if told_apart else question.own, text)
    if code:
        yield Part(Group.CODE, call_of(row.name), digest(*code), None)
    for handle in dict.fromkeys(question.handles):
        yield Part(Group.INPUT, "model", handle, None)
    for read in question.reads:
        yield Part(Group.SOURCE, read.shown, read.identity.digest, read.identity.shown)
    for name, value in given:
        yield Part(Group.PARAMETER, name, digest(name, value), value)


def _relations(what: Any) -> list[Any]:
    """Return the outermost relations in a message."""
    if sort_of(what) == "Relation":
        return [what]
    return [one for one in messages(what) if sort_of(one) == "Relation"][:1]


def _evaluated(rows: Sequence[QuestionRow], record: RecordedAnswers) -> dict[str, Any]:
    """Return what evaluators gave, of the author's calls and of searches, by name."""
    from pyspark.ml.connect.serialize import deserialize_param

    found: dict[str, Any] = {}
    for row in rows:
        command = ml_command(row.asked.question.what)
        if command is None or not command.HasField("evaluate"):
            continue
        text = row.asked.answer or record.answer(row.asked.question.identity) or ""
        with suppress(StrangeAnswerError):
            for answer in answer_of_text(form_of(row.asked.question), text) if text else ():
                found[row.name] = deserialize_param(answer.ml_command_result.param)
    return found


def view_of_program(program: PlainProgram, place: Callable[[AnsweredQuestion], str] = place_of) -> ProgramView:
    """Return what a program has asked so far.

    Args:
        place: names where a question was asked, for people.
    """
    record, rows = program.record, rows_of_program(program)
    reasons = reasons_of(rows, parts_before(program, last_ended(program.catalog, program.name)))
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
    """Tell in a line how a recorded run went. It saved at most what an earlier run took."""
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
    """Count how questions were answered."""
    found = {one.question.identity for one in asked}
    fresh = {one.question.identity: one for one in asked if one.fresh}
    saved = sum(record.seconds(identity) for identity in found - fresh.keys())
    return Tally(len(found), len(fresh), sum(is_fit(one.question.what) for one in fresh.values()), saved)
