"""Analyses the tables that a program builds where a classic session does: at the line that builds them. The schema that
Spark tells of a plan is an answer on record as any other. A refusal is not recorded: Spark is asked again."""

from __future__ import annotations

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
from helix_spark.plans.frame_creation import note_schema, raise_refusal, schema_request

_SCHEMA = AnswerForm("analyze", "schema")

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
    _accepted: set[int] = field(default_factory=set)
    _known: dict[str, Any] = field(default_factory=dict)
    _new: list[Analysis] = field(default_factory=list)

    def settle(self, frame: Any) -> FrameStep:
        """Analyse a table that the program is given, unless it is known to be right, and return its last step.

        Raises:
            AnalysisException: Spark refuses it.
        """
        step = self.steps.note_frame(frame)
        if step.is_open or step.number in self._accepted:
            return step
        identity = digest("analysis", str(PROGRAM_FORMAT), self.steps.signer.around, step.identity)
        said = None if step.chance else self._known.get(identity) or self._recorded(identity)
        if said is None and step.depth <= _DEEP and all(map(self.has, step.handles)):
            said = self._looked_up_or_asked(frame, step, identity)
        if said is not None:
            self._known[identity] = said
            self._accepted.add(step.number)
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
            try:
                said = self.ask(question, request)
            except rpc_error() as error:
                raise_refusal(frame, error)
        if said is not None and not step.chance:
            identities = {identity} if question.chance else {identity, question.identity}
            self._note(said, identities, time.perf_counter() - started)
        return said

    def _note(self, said: Any, identities: Collection[str], seconds: float) -> None:
        with suppress(StrangeAnswerError):  # such as a type of the author's own: Spark is asked again
            text = text_of_answer(_SCHEMA, [said])
            self._new += (Analysis(one, text, seconds) for one in sorted(identities))

    def columns(self, frame: Any) -> Collection[str] | None:
        """The names of a table's columns; None where they are not known without asking."""
        names: list[str] | None = None if frame._cached_schema is None else frame._cached_schema.names
        return names

    def take(self) -> list[Analysis]:
        """Take the analyses that are to be recorded, once."""
        taken, self._new = self._new, []
        return taken

    def _recorded(self, identity: str) -> Any | None:
        said = self.recorded(identity, _SCHEMA)
        return None if said is None else said[0]
