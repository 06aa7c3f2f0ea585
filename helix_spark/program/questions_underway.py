"""How far a run of a program is: what Spark is asked now, and what is left by what the run before asked and took."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Expected:
    """A question of the run before.

    Attributes:
        node: as it is on record.
        seconds: that Spark took for it when it was asked last.
        kept: whether it is answered from the record as long as it stays the same.
    """

    node: NodeRecord
    seconds: float
    kept: bool

    @property
    def began(self) -> float:
        """Seconds after the start of its run."""
        return self.node.started or 0.0

    @property
    def ended(self) -> float:
        return self.began + (self.node.seconds or 0.0)


@dataclass(frozen=True, slots=True)
class QuestionProgress:
    """A question that this run has come to. Times are seconds since it came to the first that Spark is asked.

    Attributes:
        title: see `program_nodes.title_of`.
        fresh: whether Spark is asked.
        tells: whether it shows, if the run before did not ask it, that the program differs.
        started, ended: None as long as that has not begun, or is not over.
    """

    identity: str
    title: str
    fresh: bool
    tells: bool = True
    started: float | None = None
    ended: float | None = None


def expected_of(nodes: Iterable[NodeRecord], is_kept: Callable[[str], bool]) -> tuple[Expected, ...]:
    """The questions of a run on record, in the order in which they were asked. Tables are made within the questions
    that read them, and took no time beside theirs.

    Args:
        is_kept: whether there is an answer, by identity.
    """
    found = (
        Expected(
            one, (one.seconds if one.state == "compute" else one.predicted_seconds) or 0.0, is_kept(one.signature)
        )
        for one in nodes if one.kind != "table"
    )
    return tuple(sorted(found, key=lambda one: one.began))


def matched(before: Sequence[Expected], met: Iterable[QuestionProgress]) -> dict[str, Expected]:
    """Return which question of the run before each is, by identity: the same one, else the first of its title that no
    other one is."""
    same, met = {one.node.signature: one for one in before}, list(met)
    found = {one.identity: same[one.identity] for one in met if one.identity in same}
    of_title: defaultdict[str, deque[Expected]] = defaultdict(deque)
    for one in before:
        if one.node.signature not in found:
            of_title[call_of(one.node.name)].append(one)
    for other in met:
        if other.identity not in found and of_title[other.title]:
            found[other.identity] = of_title[other.title].popleft()
    return found


def still_to_come(
    before: Sequence[Expected], met: Sequence[QuestionProgress], found: Mapping[str, Expected]
) -> Iterator[Expected]:
    """Yield those that Spark is expected to be asked yet. What was over last time before one began that has been met is
    not asked any more. Once Spark is asked something that it was not asked before, what follows is taken to be made of
    that; else it is asked what is never kept."""
    reached = max((one.began for one in found.values()), default=0.0)
    same, taken = {one.node.signature for one in before}, {one.node.signature for one in found.values()}
    differs = any(one.fresh and one.tells and one.identity not in same for one in met)
    for one in before:
        if one.node.signature not in taken and one.ended > reached and (differs or not one.kept):
            yield one


def progress_of_program(
    workflow: str, number: int, before: Sequence[Expected], met: Sequence[QuestionProgress], *, began: float,
    session_seconds: float, starting: bool,
) -> Progress:
    """Return how far a run is, as that of a workflow is told.

    Args:
        number: of its iteration.
        began: Unix seconds when Spark was needed first.
        session_seconds: what its start is expected to take.
        starting: True if it is being started, or was.
    """
    found = matched(before, met)
    # Until Spark has answered once, what was answered without it says nothing of how far its start is.
    is_there = not session_seconds or any(one.ended is not None for one in met)
    nodes: list[RunningNode] = []
    for one in met:
        if one.fresh or is_there:
            earlier = found.get(one.identity)
            name = one.title if earlier is None else earlier.node.name
            is_taken = any(node.name == name for node in nodes)
            nodes.append(_row(f"{name} {one.identity[:8]}" if is_taken else name, earlier, one))
    nodes += [_row(one.node.name, one, None) for one in still_to_come(before, met, found)]
    there = {node.name for node in nodes}
    nodes = [replace(node, inputs=tuple(name for name in node.inputs if name in there)) for node in nodes]
    return Progress(
        workflow, number, tuple(in_order(nodes)), began=began, session_seconds=session_seconds, starting=starting
    )


def _row(name: str, before: Expected | None, met: QuestionProgress | None) -> RunningNode:
    """Return a question as a node: met in this run, expected by the run before, or both."""
    row = RunningNode(name, "answer", (), "compute", "", 0.0, output=False)
    if before is not None:
        node = before.node
        row = replace(row, kind=node.kind, inputs=node.inputs, output=node.output, predicted_seconds=before.seconds)
    if met is not None and not met.fresh:
        return replace(row, state="load", predicted_seconds=0.0, ended=met.ended or 0.0)
    return row if met is None else replace(row, started=met.started, ended=met.ended)


_LONG = 0.5


class QuestionsUnderway:
    """Has it shown how far a run is while Spark is asked something: in between, the terminal is the program's own. Who
    looks at the catalog sees it from the first time on, which puts the run on record.

    Args:
        display: where else it is shown; None for nowhere.
        long: seconds that an answer is waited for before anything is shown. Until then nothing is looked up for it.
    """

    def __init__(self, program: PlainProgram, display: Observer | None, long: float = _LONG) -> None:
        self._program, self._display, self._long = program, display, long
        self._noted: Progress | None = None
        self._known: tuple[int, float, tuple[Expected, ...]] | None = None
        self._met: dict[str, QuestionProgress] = {}
        self._lock = RLock()
        self._began = self._clock = 0.0
        self._waiting = 0
        self._timer: Timer | None = None

    def note(self, stage: Stage, question: Question, who: Caller) -> None:
        """Note how far a question is; see `Following`."""
        with self._lock:
            one = self._met.get(question.identity)
            match stage:
                case "recorded" if one is None and is_node(question, who):
                    self._meet(question, who, fresh=False)
                case "waited for":
                    self._begin_wait(question, who)
                case "sent" if one is not None:
                    self._met[question.identity] = replace(one, started=self._since())
                case "answered":
                    if one is not None:
                        self._met[question.identity] = replace(one, started=one.started or 0.0, ended=self._since())
                    self._end_wait()

    def _meet(self, question: Question, who: Caller, *, fresh: bool, tells: bool = True) -> None:
        self._met[question.identity] = QuestionProgress(question.identity, title_of(question, who), fresh, tells)

    def _begin_wait(self, question: Question, who: Caller) -> None:
        if not self._clock:
            self._clock, self._began = time.perf_counter(), time.time()
        if question.sort != "analysis":  # which takes no time beside the server's start
            # Of those that are no nodes the run before has none on record.
            self._meet(question, who, fresh=True, tells=is_node(question, who) or not question.chance)
        self._waiting += 1
        self._timer = self._timer or self._later()

    def _end_wait(self) -> None:
        self._waiting -= 1
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._display is not None:
                self._display.close()

    def _since(self) -> float:
        return round(time.perf_counter() - self._clock, 3)

    def _show(self) -> None:
        """Say how far the run is, again and again as long as something is waited for."""
        self._known = self._known or self._run_before()
        number, session_seconds, before = self._known
        with self._lock:
            if self._timer is None:
                return
            progress = progress_of_program(
                self._program.name, number, before, tuple(self._met.values()), began=self._began,
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
        """Whether Spark is started for this run."""
        server = self._program.server
        return server is not None and not server.address and inherited_server() is None

    def _run_before(self) -> tuple[int, float, tuple[Expected, ...]]:
        """The number of this run, which is put on record; 0 where that fails, and who records its end says why. What
        Spark's start took in the run before, and what that one asked."""
        program, record, number = self._program, self._program.record, 0
        last = last_ended(program.catalog, program.name)
        with suppress(HelixError, OSError):
            number = program.begun_iteration().number
        if last is None or record is None:
            return number, 0.0, ()
        before = expected_of(program.catalog.nodes(last), record.is_kept)
        return number, (last.start_seconds or 0.0) if self._starts else 0.0, before
