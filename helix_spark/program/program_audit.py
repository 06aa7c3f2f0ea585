"""Audit of a program: runs it again from scratch, and compares Spark's answers with the recorded ones. An answer that
differs is never reused again, nor are the fits and tables that it depends on.

Such a run stores nothing, and Spark writes nothing. Effects of the program's own Python code happen again.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from helix_spark.answers.answering import NotAuditedError
from helix_spark.answers.questions import AnsweredQuestion, form_of
from helix_spark.catalog.records import ResultRecord
from helix_spark.dag.node import ancestors_of
from helix_spark.engine.results.agreement import CLOSE
from helix_spark.plans.answer_fields import HANDLE, StrangeAnswerError
from helix_spark.plans.answer_gate import answer_of_text
from helix_spark.program.main_module import silence
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import rows_of_program
from helix_spark.run.audit import Audit, Audited, judge
from helix_spark.run.auditor import circumstances
from helix_spark.visible_text import cut

CLOSE_OF_MODELS = 0.01
"""Relative difference of numbers that count as equal in answers that depend on a fitted model; `CLOSE` for others. Each
fit sums in another order, and may end a step sooner: between fits of one logistic regression the area under a curve
differs by some 5e-6, and a count by single rows."""


def run_audited(program: PlainProgram) -> Audit:
    """Run a program of mode ``audit`` from scratch, and record different answers. Spark writes nothing."""
    began, ended = time.monotonic(), ""
    try:
        try:
            with silence():
                program.run()
        except SystemExit:
            pass
        except NotAuditedError as error:
            ended = str(error)
        except Exception as error:  # noqa: BLE001 - reported, with the comparisons until then
            ended = f"it ended with {type(error).__name__}: {error}"
        results = compare_answers(program)
    finally:
        program.close()
    return Audit(results, seconds=time.monotonic() - began, ended=ended)


def compare_answers(program: PlainProgram) -> tuple[Audited, ...]:
    """Compare Spark's new answers with the recorded ones, and record the results.

    Fits and tables are judged by the answers that depend on them.
    """
    questions = {row.name: row for row in rows_of_program(program)}
    records = {
        name: ResultRecord(row.identity, row.identity, program.name, name, row.kind, 0)
        for name, row in questions.items()
    }
    above = ancestors_of(questions.values())

    def compare(name: str, above: Mapping[str, Audited]) -> Audited | None:
        row, again = questions[name], questions[name].answer
        if not row.fresh or not again or row.kind == "learner":
            return None
        if not (earlier := program.record.answer(row.identity)):
            return None
        if again == earlier:
            return Audited(name, row.identity, "verified", "", True)
        try:
            form = form_of(row.question)
            before, now = (rows_in(answer_of_text(form, text)) for text in (earlier, again))
            how = difference(before, now, CLOSE_OF_MODELS if row.question.handles else CLOSE)
        except StrangeAnswerError as error:
            how = str(error)
        return Audited(name, row.identity, "verified" if how is None else "different", how or "", False)

    hidden = [name for name, row in questions.items() if row.kind in ("learner", "table")]
    here = circumstances([program.provenance.digest, *program.arguments])
    results, reasons = judge(
        records, above, compare, program.catalog, hidden=hidden, circumstances=here, since=program.began
    )
    _doubt(reasons, records, above, questions, program)
    return results


def _doubt(
    reasons: Mapping[str, str], records: Mapping[str, ResultRecord], above: Mapping[str, Collection[str]],
    questions: Mapping[str, AnsweredQuestion], program: PlainProgram,
) -> None:
    """Doubt answers, and the fits and tables that they depend on: any of these may be wrong."""
    doubts = dict[str, str]()
    for name, why in reasons.items():
        tables = (row.identity for row in map(questions.__getitem__, above[name]) if row.kind == "table")
        handles = questions[name].question.handles
        fits = (handle.removeprefix(HANDLE) for handle in handles if handle.startswith(HANDLE))
        doubts |= dict.fromkeys((questions[name].identity, *fits, *tables), why)
    program.record.append(0, doubts=doubts.items())
    program.catalog.append_results([
        replace(record, random=doubts[record.signature])
        for name, record in records.items() if record.signature in doubts and name not in reasons
    ])


def rows_in(responses: Sequence[Any]) -> list[str]:
    """Return an answer as texts, one for each row."""
    import pyarrow as pa
    from pyspark.ml.connect.serialize import deserialize_param

    texts = []
    for response in responses:
        if type(response).__name__ != "ExecutePlanResponse":
            texts.append(str(response))
        elif response.HasField("arrow_batch"):
            with pa.ipc.open_stream(response.arrow_batch.data) as stream:
                texts += [str(list(row.values())) for row in stream.read_all().to_pylist()]
        elif response.HasField("ml_command_result"):
            result = response.ml_command_result
            texts.append(str(deserialize_param(result.param)) if result.HasField("param") else str(result))
    return texts


def difference(before: Sequence[str], now: Sequence[str], close: float) -> str | None:
    """Describe how two answers differ; None if they do not, up to a relative difference of numbers of `close`.

    >>> difference(["['a', 0.30000000000000004]"], ["['a', 0.3]"], 1e-9)
    >>> difference(["[1]", "[2]"], ["[2]", "[1]"], 1e-9)
    'the same rows in another order'
    >>> difference(["[1016]"], ["[1017]"], 1e-9), difference(["[1016]"], ["[1017]"], 0.01)
    ('[1016] and [1017]', None)
    """
    if len(before) != len(now):
        return f"{len(before):,} and {len(now):,} rows"
    different = next((pair for pair in zip(before, now, strict=True) if not _is_close(*pair, close)), None)
    if different is None:
        return None
    if all(_is_close(*pair, close) for pair in zip(sorted(before), sorted(now), strict=True)):
        return "the same rows in another order"
    return " and ".join(cut(" ".join(text.split()), 101) for text in different)


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s|+-]+")


def _is_close(before: str, now: str, close: float) -> bool:
    if before == now:
        return True
    texts = [_BETWEEN.sub("", _NUMBER.sub("#", text)) for text in (before, now)]
    numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (before, now)]
    return texts[0] == texts[1] and len(numbers[0]) == len(numbers[1]) and all(
        math.isclose(*pair, rel_tol=close, abs_tol=close**2) for pair in zip(*numbers, strict=True)
    )
