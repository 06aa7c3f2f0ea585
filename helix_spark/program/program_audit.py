"""Audit of a program: it is run once more from scratch, and what Spark answers is compared with what is on record. One
answer that comes out different is never given from the record again, nor is what was fitted for it.

Nothing is kept of such a run, and nothing is written by Spark. What a program does by itself in Python, it does again.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from helix_spark.capture.answer_fields import HANDLE, StrangeAnswerError
from helix_spark.capture.answer_texts import answer_of_text
from helix_spark.catalog.records import AnswerRecord, ResultRecord
from helix_spark.engine.results.agreement import CLOSE
from helix_spark.iteration.audit import Audit, Audited, Verdict
from helix_spark.program.answer_forms import form_of
from helix_spark.program.answering import AnsweredQuestion, NotAuditedError
from helix_spark.program.main_module import silence
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import QuestionRow, kind_of, rows_of_program
from helix_spark.program.questions import Question
from helix_spark.visible_text import LONGEST_NAME, cut

CLOSE_OF_MODELS = 0.01
"""Relative difference of two numbers that are taken for one in answers that rest on a fitted model; `CLOSE` of others.
Its fit sums in another order each time, and may end a step sooner: the area under a curve differs by some 5e-6 from fit
to fit of one logistic regression, a count by single rows."""


def run_audited(program: PlainProgram) -> tuple[Audit, str]:
    """Run a program of mode ``audit`` from scratch. Return the audit, and what ended the program if something did.

    Spark writes nothing; what came out different is recorded.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    began, ended = time.monotonic(), ""
    try:
        try:
            with silence():
                program.run()
        except SystemExit:
            pass
        except NotAuditedError as error:
            ended = str(error)
        except Exception as error:  # noqa: BLE001 - whatever ends it is told, and what was compared by then stands
            ended = f"it ended with {type(error).__name__}: {error}"
        found = audit_of(program, time.monotonic() - began)
        note_audit(found, program)
    finally:
        program.close()
    return found, ended


def audit_of(program: PlainProgram, seconds: float, rows: Sequence[QuestionRow] | None = None) -> Audit:
    """Compare what Spark answered with what is recorded.

    Args:
        seconds: that the audit took.
        rows: the questions to look at; None for all of the program.
    """
    record = program.record
    results = []
    for row in rows_of_program(program) if rows is None else rows:
        one = row.asked
        before = None if record is None else record.answer(one.question.identity)
        if one.fresh and one.answer and before and one.question.sort != "fit":
            results.append(_audited(row.name, one, before))
    return Audit(tuple(results), (), (), seconds)


def note_audit(audit: Audit, program: PlainProgram, rows: Sequence[QuestionRow] | None = None) -> None:
    """Record what came out different, with what was fitted for it, and what was verified.

    Args:
        rows: see `audit_of`.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    rows = rows_of_program(program) if rows is None else rows
    questions = {row.asked.question.identity: row.asked.question for row in rows}
    doubts: dict[str, str] = {}
    for one in audit.results:
        if one.verdict == "different":
            why = f"an audit computed it again and it came out different ({one.why})"[:500]
            doubts |= dict.fromkeys((one.signature, *_fits_of(questions[one.signature])), why)
    now = time.time()
    program.catalog.answers.append([
        AnswerRecord(identity, program.name, 0, now, doubt=why) for identity, why in doubts.items()
    ])
    verdicts = _verdicts(audit, rows)
    program.catalog.append_results([
        ResultRecord(
            identity, identity, program.name, row.name[:LONGEST_NAME], kind_of(row.asked.question), 0,
            random=doubts.get(identity, ""), verified=verdicts.get(row.name) == "verified" or None,
        )
        for row in rows for identity in (row.asked.question.identity,)
        if identity in doubts or (row.asked.fresh and verdicts.get(row.name) == "verified")
    ])


def _verdicts(audit: Audit, rows: Sequence[QuestionRow]) -> dict[str, Verdict]:
    """Return what came out of an audit, by name. A fit and a table are judged by what was made from them.

    Args:
        rows: inputs first.
    """
    verdicts = {one.node: one.verdict for one in audit.results}
    below: defaultdict[str, set[Verdict]] = defaultdict(set)
    for row in reversed(rows):
        if row.name not in verdicts and below[row.name]:
            verdicts[row.name] = "different" if "different" in below[row.name] else "verified"
        if row.name in verdicts:
            for name in row.inputs:
                below[name].add(verdicts[row.name])
    return verdicts


def _fits_of(question: Question) -> Iterator[str]:
    """The identities of what was fitted for a question."""
    return (handle.removeprefix(HANDLE) for handle in question.handles if handle.startswith(HANDLE))


def _audited(name: str, asked: AnsweredQuestion, before: str) -> Audited:
    question = asked.question
    assert asked.answer is not None
    if asked.answer == before:
        return Audited(name, question.identity, "verified", exact=True)
    try:
        one, other = (rows_in(answer_of_text(form_of(question), text)) for text in (before, asked.answer))
    except StrangeAnswerError as error:
        return Audited(name, question.identity, "different", str(error), to_blame=True)
    how = difference(one, other, CLOSE_OF_MODELS if question.handles else CLOSE)
    if how is None:
        return Audited(name, question.identity, "verified")
    return Audited(name, question.identity, "different", how, to_blame=True)


def rows_in(responses: Sequence[Any]) -> list[str]:
    """An answer as texts, one a row of a table."""
    import pyarrow as pa
    from pyspark.ml.connect.serialize import deserialize_param

    found = []
    for one in responses:
        if type(one).__name__ != "ExecutePlanResponse":
            found.append(str(one))
        elif one.HasField("arrow_batch"):
            with pa.ipc.open_stream(one.arrow_batch.data) as stream:
                found += [str(list(row.values())) for row in stream.read_all().to_pylist()]
        elif one.HasField("ml_command_result"):
            result = one.ml_command_result
            found.append(str(deserialize_param(result.param)) if result.HasField("param") else str(result))
    return found


def difference(one: Sequence[str], other: Sequence[str], close: float) -> str | None:
    """How two answers differ, in words; None where they are the same but for rounding.

    Args:
        close: relative difference of two numbers that are taken for one.

    >>> difference(["['a', 0.30000000000000004]"], ["['a', 0.3]"], 1e-9)
    >>> difference(["[1]", "[2]"], ["[2]", "[1]"], 1e-9)
    'the same rows in another order'
    >>> difference(["[1016]"], ["[1017]"], 1e-9), difference(["[1016]"], ["[1017]"], 0.01)
    ('[1016] and [1017]', None)
    """
    if len(one) != len(other):
        return f"{len(one):,} and {len(other):,} rows"
    apart = next((pair for pair in zip(one, other, strict=True) if not _is_close(*pair, close)), None)
    if apart is None:
        return None
    if all(_is_close(*pair, close) for pair in zip(sorted(one), sorted(other), strict=True)):
        return "the same rows in another order"
    return " and ".join(_short(text) for text in apart)


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s|+-]+")


def _is_close(one: str, other: str, close: float) -> bool:
    if one == other:
        return True
    texts = [_BETWEEN.sub("", _NUMBER.sub("#", text)) for text in (one, other)]
    numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (one, other)]
    return texts[0] == texts[1] and len(numbers[0]) == len(numbers[1]) and all(
        math.isclose(*pair, rel_tol=close, abs_tol=close**2) for pair in zip(*numbers, strict=True)
    )


def _short(text: str) -> str:
    return cut(" ".join(text.split()), _LONGEST)


_LONGEST = 101
