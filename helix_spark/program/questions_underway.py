"""How far a run of a program is: what Spark is asked now, and what is left by what the run before asked and took."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Expected:
    """A question of the run before.

    Attributes:
        node: as it is on record.
        kept: whether it is answered from the record as long as it stays the same.
    """

    node: NodeRecord
    kept: bool

    @property
    def began(self) -> float:
        """Seconds after the start of its run."""
        return self.node.started or 0.0

    def over(self, row: RunningNode) -> RunningNode:
        """Return a question of this run as that before was called, with the seconds that Spark took for it last."""
        node = self.node
        seconds = node.seconds if node.state == "compute" else node.predicted_seconds
        return replace(
            row, name=node.name, kind=node.kind, inputs=node.inputs, output=node.output,
            predicted_seconds=(seconds or 0.0) if row.state == "compute" else 0.0,
        )


def progress_of_program(
    workflow: str, number: int, before: Sequence[Expected], met: Mapping[str, RunningNode], *, began: float,
    session_seconds: float, starting: bool,
) -> Progress:
    """Return how far a run is, as that of a workflow is told.

    What was over last time before one began that has been met is not asked any more. Once Spark is asked something that
    it was not asked before, what follows is taken to be made of that; else it is asked what is never kept.

    Args:
        number: of its iteration.
        met: the questions that this run has come to, by identity, under their titles; state ``load`` of those that
            Spark is not asked.
        began: Unix seconds when Spark was needed first.
        session_seconds: what its start is expected to take.
        starting: True if it is being started, or was.
    """
    earlier = _matched(before, met)
    # Until Spark has answered once, what was answered without it says nothing of how far its start is.
    is_there = not session_seconds or any(one.state == "compute" and one.ended is not None for one in met.values())
    nodes: dict[str, RunningNode] = {}
    for identity, one in met.items():
        if one.state == "compute" or is_there:
            row = earlier[identity].over(one) if identity in earlier else one
            name = f"{row.name} {identity[:8]}" if row.name in nodes else row.name
            nodes[name] = replace(row, name=name)
    reached = max((one.began for one in earlier.values()), default=0.0)
    same, taken = {one.node.signature for one in before}, {one.node.signature for one in earlier.values()}
    differs = any(one.state == "compute" and identity not in same for identity, one in met.items())
    for last in before:
        ended = last.began + (last.node.seconds or 0.0)
        if last.node.signature not in taken and ended > reached and (differs or not last.kept):
            nodes[last.node.name] = last.over(_LEFT)
    rows = [replace(one, inputs=tuple(name for name in one.inputs if name in nodes)) for one in nodes.values()]
    return Progress(
        workflow, number, tuple(in_order(rows)), began=began, session_seconds=session_seconds, starting=starting
    )


def _matched(before: Sequence[Expected], met: Mapping[str, RunningNode]) -> dict[str, Expected]:
    """Return the question of the run before that each is, by identity: the same, else the first left of its title."""
    same = {one.node.signature: one for one in before}
    found = {identity: same[identity] for identity in met if identity in same}
    of_title: defaultdict[str, deque[Expected]] = defaultdict(deque)
    for one in before:
        if one.node.signature not in found:
            of_title[call_of(one.node.name)].append(one)
    for identity, row in met.items():
        if identity not in found and of_title[row.name]:
            found[identity] = of_title[row.name].popleft()
    return found


class QuestionsUnderway:
    """Shows how far a run is while Spark is asked something; in between, the terminal is the program's own.

    Args:
        display: where it is shown besides the catalog; None for nowhere.
        long: seconds that an answer is waited for before anything is shown.
    """

    def __init__(self, program: PlainProgram, display: Observer | None, long: float = _LONG) -> None:
        self._program, self._display, self._long = program, display, long
        self._noted: Progress | None = None
        self._known: tuple[int, float, tuple[Expected, ...]] | None = None
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
        number, session_seconds, before = self._known
        with self._lock:
            if self._timer is None:
                return
            progress = progress_of_program(
                self._program.name, number, before, dict(self._met), began=self._began,
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
        return server is not None and not server.address and inherited_server() is None

    def _run_before(self) -> tuple[int, float, tuple[Expected, ...]]:
        """Return the number of this run, which is recorded now (0 if that fails), and the start and questions of the
        last one."""
        program, record, number = self._program, self._program.record, 0
        last = last_ended(program.catalog, program.name)
        with suppress(HelixError, OSError):
            number = program.begun_iteration().number
        if last is None or record is None:
            return number, 0.0, ()
        # Tables are made within the questions that read them, and take no time of their own.
        nodes = (one for one in program.catalog.nodes(last) if one.kind != "table")
        before = sorted((Expected(one, record.is_kept(one.signature)) for one in nodes), key=lambda one: one.began)
        return number, (last.start_seconds or 0.0) if self._starts else 0.0, tuple(before)
