"""How far a run of a program is: what Spark is asked now, and what is left by what the run before asked and took."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import RLock, Timer

from helix_spark.answers.answering import Stage
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

_LEFT = RunningNode("", "answer", (), "compute", "", 0.0, output=False)
"""A question that is still to come."""


def expected_nodes(
    before: Sequence[NodeRecord], kept: Collection[str], met: Mapping[str, RunningNode], *, is_starting: bool
) -> tuple[RunningNode, ...]:
    """Return what a run asks, as far as it has come to that, and what it is expected to ask yet.

    What was over last time before one began that has been met is not asked any more. Once Spark is asked something that
    it was not asked before, what follows is taken to be made of that; else it is asked what is never kept.

    Args:
        kept: identities of those that are answered from the record as long as they stay the same.
        met: the questions that this run has come to, by identity, under their titles; state ``load`` of those that
            Spark is not asked.
        is_starting: True until Spark has answered once: what was answered without it says nothing of how far it is.
    """
    same = {one.signature: one for one in before}
    left = [one for one in before if one.signature not in met]
    reached, nodes = 0.0, dict[str, RunningNode]()
    for identity, row in met.items():
        earlier = same.get(identity) or next((one for one in left if call_of(one.name) == row.name), None)
        if earlier is not None:
            left = [one for one in left if one is not earlier]
            reached, row = max(reached, earlier.started or 0.0), _as_before(row, earlier)
        if row.state == "compute" or not is_starting:
            name = f"{row.name} {identity[:8]}" if row.name in nodes else row.name
            nodes[name] = replace(row, name=name)
    differs = any(one.state == "compute" and identity not in same for identity, one in met.items())
    for last in left:
        ended = (last.started or 0.0) + (last.seconds or 0.0)
        if ended > reached and (differs or last.signature not in kept):
            nodes[last.name] = _as_before(_LEFT, last)
    rows = [replace(one, inputs=tuple(name for name in one.inputs if name in nodes)) for one in nodes.values()]
    return tuple(in_order(rows))


def _as_before(row: RunningNode, last: NodeRecord) -> RunningNode:
    """Return a question called as that of the run before was, with the seconds that Spark took for it last."""
    seconds = last.seconds if last.state == "compute" else last.predicted_seconds
    return replace(
        row, name=last.name, kind=last.kind, inputs=last.inputs, output=last.output,
        predicted_seconds=(seconds or 0.0) if row.state == "compute" else 0.0,
    )


class QuestionsUnderway:
    """Shows how far a run is where an answer of Spark's takes `long`; in between, the terminal is the program's own."""

    def __init__(self, program: PlainProgram, display: Observer | None, long: float = 0.5) -> None:
        self._program, self._display, self._long = program, display, long
        self._progress: Progress | None = None
        self._before: list[NodeRecord] = []
        self._kept = frozenset[str]()
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
            match stage:
                case "recorded" if one is None and is_node(question, who):
                    self._met[identity] = replace(_LEFT, name=title_of(question, who), state="load", ended=0.0)
                case "waited for":
                    if is_node(question, who):
                        self._met[identity] = replace(_LEFT, name=title_of(question, who))
                    if not self._clock:
                        self._clock, self._began = time.perf_counter(), time.time()
                    self._waiting += 1
                    self._timer = self._timer or self._later()
                case "sent" if one is not None:
                    self._met[identity] = replace(one, started=now)
                case "answered":
                    if one is not None:
                        self._met[identity] = replace(one, started=one.started or 0.0, ended=now)
                    self._waiting -= 1
                    if not self._waiting and self._timer is not None:
                        self._timer.cancel()
                        self._timer = None
                        if self._display is not None:
                            self._display.close()

    def _show(self) -> None:
        """Show how far the run is, again and again as long as something is waited for."""
        known = self._progress or self._begin()
        with self._lock:
            if self._timer is None:
                return
            has_answered = any(one.state == "compute" and one.ended is not None for one in self._met.values())
            is_starting = known.session_seconds > 0 and not has_answered
            nodes = expected_nodes(self._before, self._kept, self._met, is_starting=is_starting)
            self._progress = replace(known, nodes=nodes)
            if self._display is not None and nodes:
                self._display.shows(self._progress)
            self._timer = self._later()
        if known.number and self._progress != known:
            self._program.catalog.note_progress(self._progress)

    def _later(self) -> Timer:
        timer = Timer(self._long, self._show)
        timer.daemon = True
        timer.start()
        return timer

    def _begin(self) -> Progress:
        """Record this run now (its number is 0 if that fails), and read what the last one asked."""
        program, record, number = self._program, self._program.record, 0
        last = last_ended(program.catalog, program.name)
        with suppress(HelixError, OSError):
            number = program.begun_iteration().number
        server = program.server
        starts = server is not None and not server.address
        session_seconds = 0.0
        if last is not None:
            # Tables are made within the questions that read them, and take no time of their own.
            nodes = [one for one in program.catalog.nodes(last) if one.kind != "table"]
            self._kept = frozenset(one.signature for one in nodes if record.is_kept(one.signature))
            self._before = sorted(nodes, key=lambda one: one.started or 0.0)
            session_seconds = (last.start_seconds or 0.0) if starts else 0.0
        return Progress(program.name, number, (), began=self._began, session_seconds=session_seconds, starting=starts)
