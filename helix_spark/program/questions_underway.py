"""Progress of a program's run: the current questions, and those expected by the questions and times of the last run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import RLock, Timer

from helix_spark.answers.answering import QuestionStage
from helix_spark.answers.questions import Question
from helix_spark.catalog.history import Progress, RunningNode, in_order
from helix_spark.catalog.records import NodeRecord
from helix_spark.engine.execution.observer import Observer
from helix_spark.errors import HelixError
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.source_rows import call_of
from helix_spark.plans.program_client import Caller
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import is_node, title_of

_EXPECTED = RunningNode("", "answer", (), "compute", "", 0.0, output=False)
"""A question that is still to come."""


def expected_nodes(
    before: Sequence[NodeRecord], kept: Collection[str], encountered: Mapping[str, RunningNode], *, is_starting: bool
) -> tuple[RunningNode, ...]:
    """Return the questions of a run so far, and those that it is expected to ask yet.

    A question that ended in the last run before an encountered one began is not expected any more. Once Spark gets a
    new question, later ones are expected to depend on it; until then only those that are not `kept`.

    Args:
        kept: identities of questions that are answered from the record.
        encountered: questions of this run so far, by identity, under their titles; with the state ``load`` if Spark is
            not asked.
        is_starting: True until Spark has answered once: answers from the record do not show progress.
    """
    same = {node.signature: node for node in before}
    remaining = [node for node in before if node.signature not in encountered]
    reached, nodes = 0.0, dict[str, RunningNode]()
    for identity, row in encountered.items():
        earlier = same.get(identity) or next((node for node in remaining if call_of(node.name) == row.name), None)
        if earlier is not None:
            remaining = [node for node in remaining if node is not earlier]
            reached, row = max(reached, earlier.started or 0.0), _as_before(row, earlier)
        if row.state == "compute" or not is_starting:
            name = f"{row.name} {identity[:8]}" if row.name in nodes else row.name
            nodes[name] = replace(row, name=name)
    differs = any(row.state == "compute" and identity not in same for identity, row in encountered.items())
    for last in remaining:
        ended = (last.started or 0.0) + (last.seconds or 0.0)
        if ended > reached and (differs or last.signature not in kept):
            nodes[last.name] = _as_before(_EXPECTED, last)
    rows = [replace(node, inputs=tuple(name for name in node.inputs if name in nodes)) for node in nodes.values()]
    return tuple(in_order(rows))


def _as_before(row: RunningNode, last: NodeRecord) -> RunningNode:
    """Return a question with the name and the seconds that it had in the last run."""
    seconds = last.seconds if last.state == "compute" else last.predicted_seconds
    return replace(
        row, name=last.name, kind=last.kind, inputs=last.inputs, output=last.output,
        predicted_seconds=(seconds or 0.0) if row.state == "compute" else 0.0,
    )


class QuestionsUnderway:
    """Shows the progress of a run while an answer of Spark takes `long`; else the terminal is the program's own."""

    def __init__(self, program: PlainProgram, display: Observer | None, long: float = 0.5) -> None:
        self._program, self._display, self._long = program, display, long
        self._progress: Progress | None = None
        self._before: list[NodeRecord] = []
        self._kept = frozenset[str]()
        self._rows: dict[str, RunningNode] = {}
        self._lock = RLock()
        self._began = self._clock = 0.0
        self._waiting = 0
        self._timer: Timer | None = None

    def note(self, stage: QuestionStage, question: Question, who: Caller) -> None:
        """Note the stage of a question; see `Following`. Questions of pyspark itself are not shown."""
        with self._lock:
            identity, now = question.identity, round(time.perf_counter() - self._clock, 3)
            row = self._rows.get(identity)
            match stage:
                case "recorded" if row is None and is_node(question, who):
                    self._rows[identity] = replace(_EXPECTED, name=title_of(question, who), state="load", ended=0.0)
                case "waited for":
                    if is_node(question, who):
                        self._rows[identity] = replace(_EXPECTED, name=title_of(question, who))
                    if not self._clock:
                        self._clock, self._began = time.perf_counter(), time.time()
                    self._waiting += 1
                    self._timer = self._timer or self._later()
                case "sent" if row is not None:
                    self._rows[identity] = replace(row, started=now)
                case "answered":
                    if row is not None:
                        self._rows[identity] = replace(row, started=row.started or 0.0, ended=now)
                    self._waiting -= 1
                    if not self._waiting and self._timer is not None:
                        self._timer.cancel()
                        self._timer = None
                        if self._display is not None:
                            self._display.close()

    def _show(self) -> None:
        """Show the progress of the run, repeatedly while an answer is awaited."""
        before = self._progress or self._begin()
        with self._lock:
            if self._timer is None:
                return
            rows = self._rows.values()
            has_answered = any(row.state == "compute" and row.ended is not None for row in rows)
            is_starting = before.session_seconds > 0 and not has_answered
            nodes = expected_nodes(self._before, self._kept, self._rows, is_starting=is_starting)
            self._progress = replace(before, nodes=nodes)
            if self._display is not None and nodes:
                self._display.shows(self._progress)
            self._timer = self._later()
        if before.number and self._progress != before:
            self._program.catalog.note_progress(self._progress)

    def _later(self) -> Timer:
        timer = Timer(self._long, self._show)
        timer.daemon = True
        timer.start()
        return timer

    def _begin(self) -> Progress:
        """Record this run now (its number is 0 if that fails), and read the questions of the last one."""
        program, record, number = self._program, self._program.record, 0
        last = last_ended(program.catalog, program.name)
        with suppress(HelixError, OSError):
            number = program.begun_iteration().number
        server = program.server
        starts = server is not None and not server.address
        session_seconds = 0.0
        if last is not None:
            # Tables are computed within the questions that read them, and take no time of their own.
            nodes = [node for node in program.catalog.nodes(last) if node.kind != "table"]
            self._kept = frozenset(node.signature for node in nodes if record.is_kept(node.signature))
            self._before = sorted(nodes, key=lambda node: node.started or 0.0)
            session_seconds = (last.start_seconds or 0.0) if starts else 0.0
        return Progress(program.name, number, (), began=self._began, session_seconds=session_seconds, starting=starts)
