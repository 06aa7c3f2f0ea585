"""Analyses the tables that a program builds where a classic session does: at the line that builds them. What Spark says
of a plan is an answer on record as any other, a refusal too; and where it can refuse nothing, it is not asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from helix_spark.answers.frame_steps import FrameStep, FrameSteps
from helix_spark.answers.questions import PROGRAM_FORMAT, Question
from helix_spark.answers.sent_requests import rpc_error
from helix_spark.identity.parts import digest
from helix_spark.plans.answer_fields import StrangeAnswerError
from helix_spark.plans.answer_gate import AnswerForm
from helix_spark.plans.answer_texts import text_of_answer
from helix_spark.plans.frame_creation import (
    error_of,
    is_refusal,
    note_schema,
    raise_refusal,
    refusal_text,
    schema_request,
)
from helix_spark.plans.plan_columns import kinds_of_schema

_ACCEPTED, _REFUSED = AnswerForm("analyze", "schema"), AnswerForm("analyze", "explain")
"""The forms of answers to an analysis: a schema, or the text of a refusal."""

_DEEP = 60
"""Steps on top of each other at most for a plan to be analysed at its line: in a loop of hundreds of steps that would
take time that grows with their square. Deeper ones are analysed when rows are asked for."""

@dataclass(frozen=True, slots=True)
class Analysis:
    """What Spark said of a plan in this run.

    Attributes:
        answer: as it is put on record.
        seconds: that it took.
    """

    identity: str
    answer: str
    seconds: float


@dataclass(slots=True)
class Analyses:
    """Those of a session. Its methods may be called from any thread.

    Attributes:
        recorded: gives the recorded answer of a form, by its identity.
        has: whether the server holds a model or a checkpoint, by the program's id of it.
        ask: asks the server; None where none may be asked.
    """

    steps: FrameSteps
    recorded: Callable[[str, AnswerForm], list[Any] | None]
    has: Callable[[str], bool]
    ask: Callable[[Question, Any], Any] | None
    details: threading.local = field(default_factory=threading.local)
    _known: dict[str, Any] = field(default_factory=dict)
    _new: list[Analysis] = field(default_factory=list)

    def settle(self, frame: Any) -> FrameStep:
        """Analyse a table that the program is given, unless it is known to be right, and return its last step.

        Raises:
            AnalysisException: Spark refuses it.
        """
        step = self.steps.note_frame(frame)
        if step.is_open or self.steps.kinds[step.number] is not None:
            return step
        identity = digest("analysis", str(PROGRAM_FORMAT), self.steps.signer.around, step.identity)
        said = None if step.chance else self._known.get(identity) or self._recorded(identity)
        if said is None and step.depth <= _DEEP and all(map(self.has, step.handles)):
            said = self._looked_up_or_asked(frame, step, identity)
        if said is None:
            return step
        self._known[identity] = said
        if said.HasField("explain"):
            raise error_of(said.explain.explain_string)
        self.steps.kinds[step.number] = kinds_of_schema(said.schema.schema)
        note_schema(frame, said.schema.schema)
        return step

    def _looked_up_or_asked(self, frame: Any, step: FrameStep, identity: str) -> Any | None:
        """The answer to the same question in other words; else the server's."""
        started, request = time.perf_counter(), schema_request(frame)
        what = request.schema
        if step.chance:
            question = Question(identity, identity, "analysis", what, step.chance, tuple(sorted(step.handles)))
        else:
            question = self.steps.signer.question("analysis", what)
        said = None if question.chance else self._recorded(question.identity)
        if said is None and self.ask is not None:
            said = self._ask_server(frame, question, request, self.ask)
        if said is not None and not step.chance:
            identities = {identity} if question.chance else {identity, question.identity}
            self._note(said, identities, time.perf_counter() - started)
        return said

    def _note(self, said: Any, identities: Collection[str], seconds: float) -> None:
        form = _REFUSED if said.HasField("explain") else _ACCEPTED
        with suppress(StrangeAnswerError):  # such as a type of the author's own: Spark is asked again
            text = text_of_answer(form, [said])
            self._new += (Analysis(_filed(one, form), text, seconds) for one in sorted(identities))

    def columns(self, frame: Any) -> Collection[str] | None:
        """The names of a table's columns; None where they are not known without asking."""
        kinds = self.steps.kinds.get(frame._plan._plan_id)
        if kinds is not None or frame._cached_schema is None:
            return kinds
        names: list[str] = frame._cached_schema.names
        return names

    def take(self) -> list[Analysis]:
        """Take the analyses that are to be recorded, once."""
        taken, self._new = self._new, []
        return taken

    def _recorded(self, identity: str) -> Any | None:
        for form in (_ACCEPTED, _REFUSED):
            if (said := self.recorded(_filed(identity, form), form)) is not None:
                return said[0]
        return None

    def _ask_server(self, frame: Any, question: Question, request: Any, ask: Callable[[Question, Any], Any]) -> Any:
        try:
            return ask(question, request)
        except rpc_error() as error:
            return self._refusal(frame, error)

    def _refusal(self, frame: Any, error: Exception) -> Any:
        """Return what the server says of an error, as an answer. Raises all errors that are not for good."""
        import pyspark.sql.connect.proto as pb

        self.details.last = None
        try:
            raise_refusal(frame, error)
        except Exception as raised:
            if not is_refusal(raised) or self.details.last is None:
                raise
        return pb.AnalyzePlanResponse(
            explain=pb.AnalyzePlanResponse.Explain(explain_string=refusal_text(self.details.last))
        )


def _filed(identity: str, form: AnswerForm) -> str:
    return identity if form is _ACCEPTED else digest(identity, "refused")
