"""How far a run of a program is: what Spark is asked now, and what is left by what the run before asked and took."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import RLock, Timer

from helix_spark.answers.answering import Stage
from helix_spark.answers.questions import Question
from helix_spark.catalog.history import in_order
from helix_spark.catalog.records import NodeRecord
from helix_spark.catalog.run_progress import Progress, RunningNode
from helix_spark.engine.execution.observer import Observer
from helix_spark.engine.spark.connect_server import inherited_server
from helix_spark.errors import HelixError
from helix_spark.history.iteration_lookup import last_ended
from helix_spark.history.source_rows import call_of
from helix_spark.plans.program_client import Caller
from helix_spark.program.plain_program import PlainProgram
from helix_spark.program.program_nodes import is_node, title_of

_LONG = 0.5
_LEFT = RunningNode("", "answer", (), "compute", "", 0.0, output=False)
"""A question that is still to come."""


def progress_of_program(
    workflow: str, number: int, before: Sequence[NodeRecord], kept: Collection[str], met: Mapping[str, RunningNode], *,
    began: float, session_seconds: float, starting: bool,
) -> Progress:
    """Return how far a run is, as that of a workflow is told.

    What was over last time before one began that has been met is not asked any more. Once Spark is asked something that
    it was not asked before, what follows is taken to be made of that; else it is asked what is never kept.

    Args:
        before: the questions of the run before, in their order.
        kept: identities of those that are answered from the record as long as they stay the same.
        met: the questions that this run has come to, by identity, under their titles; state ``load`` of those that
            Spark is not asked.
        began: Unix seconds when Spark was needed first.
        session_seconds: what its start is expected to take.
    """
    same = {one.signature: one for one in before}
    left = [one for one in before if one.signature not in met]
    # Until Spark has answered once, what was answered without it says nothing of how far its start is.
    is_there = not session_seconds or any(one.state == "compute" and one.ended is not None for one in met.values())
    reached, nodes = 0.0, dict[str, RunningNode]()
    for identity, row in met.items():
        earlier = same.get(identity) or next((one for one in left if call_of(one.name) == row.name), None)
        if earlier is not None:
            left = [one for one in left if one is not earlier]
            reached, row = max(reached, earlier.started or 0.0), _as_before(row, earlier)
        if row.state == "compute" or is_there:
            name = f"{row.name} {identity[:8]}" if row.name in nodes else row.name
            nodes[name] = replace(row, name=name)
    differs = any(one.state == "compute" and identity not in same for identity, one in met.items())
    for last in left:
        ended = (last.started or 0.0) + (last.seconds or 0.0)
        if ended > reached and (differs or last.signature not in kept):
            nodes[last.name] = _as_before(_LEFT, last)
    rows = [replace(one, inputs=tuple(name for name in one.inputs if name in nodes)) for one in nodes.values()]
    return Progress(
        workflow, number, tuple(in_order(rows)), began=began, session_seconds=session_seconds, starting=starting
    )


def _as_before(row: RunningNode, last: NodeRecord) -> RunningNode:
    """Return a question called as that of the run before was, with the seconds that Spark took for it last."""
    seconds = last.seconds if last.state == "compute" else last.predicted_seconds
    return replace(
        row, name=last.name, kind=last.kind, inputs=last.inputs, output=last.output,
        predicted_seconds=(seconds or 0.0) if row.state == "compute" else 0.0,
    )


class QuestionsUnderway:
    """Shows how far a run is while Spark is asked something; in between, the terminal is the program's own.

    Args:
        display: where it is shown besides the catalog; None for nowhere.
        long: seconds that an answer is waited for before anything is shown.
    """

    def __init__(self, program: PlainProgram, display: Observer | None, long: float = _LONG) -> None:
        self._program, self._display, self._long = program, display, long
        self._noted: Progress | None = None
        self._known: tuple[int, float, list[NodeRecord], frozenset[str]] | None = None
        self._met: dict[str, RunningNode] = {}
        self._lock = RLock()
        self._began = self._clock = 0.0
        self._waiting = 0
        self._timer: Timer | None = None

    def note(self, stage: Stage, question: Question, who: Caller) -> None:
        """Note how far a question is; see `Following`. What pyspark asks by itself is not shown."""
        with self._lock:
            identity, now = question.identity, round(time.perf_counter() - self._clock, 3)
            one = self._met.get(identity)
            if stage == "waited for" or (stage == "recorded" and one is None):
                if is_node(question, who):
                    state, ended = ("load", 0.0) if stage == "recorded" else ("compute", None)
                    self._met[identity] = replace(_LEFT, name=title_of(question, who), state=state, ended=ended)
            elif stage == "sent" and one is not None:
                self._met[identity] = replace(one, started=now)
            elif stage == "answered" and one is not None:
                self._met[identity] = replace(one, started=one.started or 0.0, ended=now)
            if stage == "waited for":
                if not self._clock:
                    self._clock, self._began = time.perf_counter(), time.time()
                self._waiting += 1
                self._timer = self._timer or self._later()
            elif stage == "answered":
                self._waiting -= 1
                if not self._waiting and self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                    if self._display is not None:
                        self._display.close()

    def _show(self) -> None:
        """Show how far the run is, again and again as long as something is waited for."""
        self._known = self._known or self._run_before()
        number, session_seconds, before, kept = self._known
        with self._lock:
            if self._timer is None:
                return
            progress = progress_of_program(
                self._program.name, number, before, kept, dict(self._met), began=self._began,
                session_seconds=session_seconds, starting=self._starts,
            )
            if self._display is not None and progress.nodes:
                self._display.shows(progress, self._clock)
            self._timer = self._later()
        if number and progress != self._noted:
            self._program.catalog.note_progress(progress)
            self._noted = progress

    def _later(self) -> Timer:
        timer = Timer(self._long, self._show)
        timer.daemon = True
        timer.start()
        return timer

    @property
    def _starts(self) -> bool:
        server = self._program.server
        return server is not None and not server.address and not inherited_server()

    def _run_before(self) -> tuple[int, float, list[NodeRecord], frozenset[str]]:
        """Return the number of this run, which is recorded now (0 if that fails), and of the last one its start, its
        questions, and those that are kept."""
        program, record, number = self._program, self._program.record, 0
        last = last_ended(program.catalog, program.name)
        with suppress(HelixError, OSError):
            number = program.begun_iteration().number
        if last is None or record is None:
            return number, 0.0, [], frozenset()
        # Tables are made within the questions that read them, and take no time of their own.
        nodes = [one for one in program.catalog.nodes(last) if one.kind != "table"]
        kept = frozenset(one.signature for one in nodes if record.is_kept(one.signature))
        before = sorted(nodes, key=lambda one: one.started or 0.0)
        return number, (last.start_seconds or 0.0) if self._starts else 0.0, before, kept
