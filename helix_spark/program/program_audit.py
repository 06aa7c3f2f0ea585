"""Audit of a program: it is run once more from scratch, and what Spark answers is compared with what is on record. One
answer that comes out different is never given from the record again, nor is what was fitted for it.

Nothing is kept of such a run, and nothing is written by Spark. What a program does by itself in Python, it does again.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any

from helix_spark.capture.answer_fields import HANDLE, StrangeAnswerError
from helix_spark.capture.answer_texts import answer_of_text
from helix_spark.catalog.records import AnswerRecord
from helix_spark.engine.results.agreement import CLOSE
from helix_spark.iteration.audit import Audit, Audited
from helix_spark.program.answer_forms import form_of
from helix_spark.program.answering import AnsweredQuestion, NotAuditedError
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import rows_of_program
from helix_spark.program.questions import Question
from helix_spark.visible_text import cut

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
            with redirect_stdout(io.StringIO()):
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


def audit_of(program: PlainProgram, seconds: float) -> Audit:
    """Return what came out of an audit, once the program has run.

    Args:
        seconds: that it took.
    """
    record = program.record
    found = []
    for row in rows_of_program(program):
        one = row.asked
        before = None if record is None else record.answer(one.question.identity)
        if one.fresh and one.answer and before and one.question.sort != "fit":
            found.append(_audited(row.name, one, before))
    return Audit(tuple(found), (), (), seconds)


def note_audit(found: Audit, program: PlainProgram) -> None:
    """Put on record what came out different, and what was fitted for it.

    Raises:
        CatalogError: the catalog cannot be written.
    """
    if program.answerer is None or found.sound:
        return
    asked = {one.question.identity: one.question for one in program.answerer.asked}
    doubts: dict[str, str] = {}
    for one in found.results:
        if one.verdict == "different":
            why = f"an audit computed it again and it came out different ({one.why})"[:500]
            doubts |= dict.fromkeys((one.signature, *_fits_of(asked[one.signature])), why)
    now = time.time()
    program.catalog.answers.append([
        AnswerRecord(identity, program.name, 0, now, doubt=why) for identity, why in doubts.items()
    ])


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
